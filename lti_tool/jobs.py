"""The queue: huey tells a worker to look; what is to be done stands in the database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from huey import Huey, PostgresHuey, RedisHuey, SqliteHuey, crontab
from psycopg import Error as PostgresError
from redis.exceptions import RedisError

from lti_tool.errors import ConfigurationError, ToolError
from lti_tool.migrations import schema
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

Step = Callable[[Tool, datetime], object]

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


def sweep(tool: Tool) -> list[str]:
    """Take every step of the schedule once; returns the names of those that failed, which hold up no other.

    Two that do it at the same time do no harm: the database lets each thing be made due once."""
    now = datetime.now(UTC)
    schema.current(tool.db)  # a database that does not answer ends it here, and not at each of its steps
    failed = [name for name, step in STEPS.items() if not _taken(tool, name, step, now)]
    presence.swept(tool, failed, datetime.now(UTC))
    return failed


def _taken(tool: Tool, name: str, step: Step, now: datetime) -> bool:
    try:
        step(tool, now)
        return True
    except ToolError as error:
        log.error("schedule step=%s failed reason=%s detail=%s", name, error.reason, error.detail)
    except Exception:
        log.exception("schedule step=%s crashed", name)
    tool.figures.count("schedule_failures", step=name)
    return False


def _remind(tool: Tool, now: datetime) -> None:
    if now.minute % 10 == 0:
        reminders.look(tool, now)


def _tell_news(tool: Tool, now: datetime) -> None:
    if now.minute % 10 == 0:
        digests.look(tool, now)


def _post(tool: Tool, now: datetime) -> None:
    for course_id in posting.courses_due(tool, now):
        work.request(tool, "post", str(course_id), now, priority=work.SCHEDULED)


def _wake(tool: Tool, now: datetime) -> None:
    """Find jobs whose message was lost, and those just made due."""
    for job_id in work.due(tool, now):
        tool.wake(job_id)


def _sign(tool: Tool, _now: datetime) -> None:
    editions.sign_pending(tool)


def _count(tool: Tool, now: datetime) -> None:
    if tool.caught_up is None or now - tool.caught_up > counting.CATCH_UP_EVERY:
        tool.caught_up = now
        counting.catch_up(tool.db, now)


# What is looked at each minute, in this order, by the names that doctor, /readyz and /metrics tell where one fails.
STEPS: dict[str, Step] = {
    "revocations": revocations.look,
    "erasures": erasures.look,
    "logins": sync.forget_expired,
    "administrators": administrators.forget_expired,
    "wallet_offers": wallet_offers.forget_expired,
    "backpacks": oauth_tokens.forget_expired,
    "own_access": own_access.forget_expired,
    "share_links": share_links.forget_expired,
    "evidence": evidence_files.sweep,
    "courses": schedule.make_due,
    "earned": earned.wish,
    "reminders": _remind,
    "news": _tell_news,
    "mail": mail.make_due,
    "marks": _post,
    "jobs": _wake,
    "releases": award_acts.release_due,
    "signatures": _sign,
    "retention": retention.step,
    "statistics": _count,
}
