"""The queue: huey tells a worker to look; what is to be done stands in the database."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from huey import Huey, PostgresHuey, RedisHuey, SqliteHuey, crontab
from psycopg import Error as PostgresError
from redis.exceptions import RedisError

from lti_tool.errors import ConfigurationError
from lti_tool.services import (
    administrators,
    award_acts,
    catalog,
    columns,
    copies,
    counting,
    digests,
    earned,
    editions,
    erasures,
    evidence_files,
    mail,
    matching,
    notices,
    oauth_tokens,
    own_access,
    platform_checks,
    posting,
    presence,
    reminders,
    retention,
    revocations,
    schedule,
    share_links,
    source_pages,
    sync,
    wallet_offers,
    work,
)
from lti_tool.services.tool import Tool, log

QUEUE_ERRORS = (RedisError, PostgresError, sqlite3.Error)
UNTIL_A_SWEEP = timedelta(seconds=55)  # what is due later is found by the next one
RUNNERS: dict[str, work.Runner] = {
    "sync": sync.run_sync,
    "erase": erasures.run_erase,
    "evaluate": sync.run_evaluate,
    "publish": catalog.run_publish,
    "check": platform_checks.run_check,
    "columns": matching.run_columns,
    "make_columns": columns.run_make_columns,
    "copy": copies.run_copy,
    "subscribe": notices.run_subscribe,
    "post": posting.run_post,
    "rows": source_pages.run_rows,
    "sign": editions.run_sign,
    own_access.KIND: own_access.run_links,
    mail.KIND: mail.run_send,
    mail.REFUSED_KIND: mail.run_refused,
}


def make_queue(url: str) -> Huey:
    """Return the queue of `queue.url`: a SQLite file on one machine, Redis or PostgreSQL for several."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey("lti-tool", filename=str(path), results=False, journal_mode="wal", timeout=10)
    if url.startswith("postgresql+psycopg://"):
        address = url.replace("+psycopg", "", 1)  # as libpq reads it
        try:
            return PostgresHuey("lti-tool", dsn=address, results=False, table_prefix="queue")
        except PostgresError as error:
            raise _out_of_reach(url, error) from None
    return RedisHuey("lti-tool", url=url, results=False)


def connect(tool: Tool) -> Huey:
    """Give a tool its queue: `tool.wake(job_id)` makes a worker look. Returns the queue for the worker.

    What the worker takes then is the best job there is, which may be another: the id is only for whoever reads the
    queue. A lost or doubled message harms nothing: whoever has done a job looks again, and the sweep finds the rest."""
    queue = make_queue(tool.settings.queue.url)

    @queue.task(name="look")  # type: ignore[untyped-decorator]
    def look(job_id: int) -> None:
        if not work.run_next(tool, RUNNERS):
            return
        now = datetime.now(UTC)
        if left := work.due(tool, now, limit=1):
            tool.wake(left[0])
        elif (soon := work.next_due(tool, now, UNTIL_A_SWEEP)) is not None:
            look.schedule(args=(job_id,), delay=(soon - now).total_seconds() + 0.1)

    @queue.periodic_task(crontab(minute="*"), name="sweep")  # type: ignore[untyped-decorator]
    def periodic_sweep() -> None:
        sweep(tool)

    def wake(job_id: int) -> None:
        try:
            look(job_id)
        except QUEUE_ERRORS as error:  # the job stands in the database: the sweep finds it
            log.warning("the queue does not answer, job=%s waits for the sweep: %s", job_id, type(error).__name__)

    tool.wake = wake
    return queue


def check_queue(tool: Tool, queue: Huey) -> None:
    """Raise ConfigurationError where the queue does not answer."""
    try:
        queue.pending_count()
    except QUEUE_ERRORS as error:
        raise _out_of_reach(tool.settings.queue.url, error) from None


def _out_of_reach(url: str, error: Exception) -> ConfigurationError:
    shown = re.sub(r"//[^/@]*@", "//", url)
    why = f"The queue {shown} cannot be reached: is it running, and is queue.url right?"
    return ConfigurationError(f"{why} ({type(error).__name__})")


def sweep(tool: Tool) -> None:
    """Find what is due and wake a worker for it: old syncs, jobs whose message was lost, held awards, unsigned ones.

    Two that do it at the same time do no harm: the database lets each thing be made due once."""
    now = datetime.now(UTC)
    presence.seen(tool, presence.SCHEDULE, now)
    revocations.look(tool, now)
    erasures.look(tool, now)
    sync.forget_expired(tool, now)
    administrators.forget_expired(tool, now)
    wallet_offers.forget_expired(tool, now)
    oauth_tokens.forget_expired(tool, now)
    own_access.forget_expired(tool, now)
    share_links.forget_expired(tool, now)
    evidence_files.sweep(tool, now)
    schedule.make_due(tool, now)
    earned.wish(tool, now)
    if now.minute % 10 == 0:
        reminders.look(tool, now)
        digests.look(tool, now)
    mail.make_due(tool, now)
    for course_id in posting.courses_due(tool, now):
        work.request(tool, "post", str(course_id), now, priority=work.SCHEDULED)
    for job_id in work.due(tool, now):
        tool.wake(job_id)
    award_acts.release_due(tool, now)
    editions.sign_pending(tool)
    retention.step(tool, now)
    if tool.caught_up is None or now - tool.caught_up > counting.CATCH_UP_EVERY:
        tool.caught_up = now
        counting.catch_up(tool.db, now)
