"""The queue: huey tells a worker to look; what is to be done stands in the database."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from huey import Huey, RedisHuey, SqliteHuey, crontab
from redis.exceptions import RedisError

from lti_tool.errors import ConfigurationError
from lti_tool.services import (
    administrators,
    award_acts,
    catalog,
    copies,
    editions,
    matching,
    notices,
    platform_checks,
    posting,
    source_pages,
    sync,
    work,
)
from lti_tool.services.tool import Tool, log

RUNNERS: dict[str, work.Runner] = {
    "sync": sync.run_sync,
    "evaluate": sync.run_evaluate,
    "publish": catalog.run_publish,
    "check": platform_checks.run_check,
    "columns": matching.run_columns,
    "copy": copies.run_copy,
    "subscribe": notices.run_subscribe,
    "post": posting.run_post,
    "rows": source_pages.run_rows,
}


def make_queue(url: str) -> Huey:
    """Return the queue of `queue.url`: a SQLite file on one machine, Redis for several."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey("lti-tool", filename=str(path), results=False, journal_mode="wal", timeout=10)
    return RedisHuey("lti-tool", url=url, results=False)


def connect(tool: Tool) -> Huey:
    """Give a tool its queue: `tool.wake(job_id)` makes a worker look at that job. Returns the queue for the worker.

    The tasks carry an id and nothing else, so a lost or doubled message harms nothing: the sweep finds what is due."""
    queue = make_queue(tool.settings.queue.url)

    @queue.task(name="look")  # type: ignore[untyped-decorator]
    def look(job_id: int) -> None:
        work.run(tool, job_id, RUNNERS)

    @queue.periodic_task(crontab(minute="*"), name="sweep")  # type: ignore[untyped-decorator]
    def periodic_sweep() -> None:
        sweep(tool)

    def wake(job_id: int) -> None:
        try:
            look(job_id)
        except (RedisError, sqlite3.Error) as error:  # the job stands in the database: the sweep finds it
            log.warning("the queue does not answer, job=%s waits for the sweep: %s", job_id, type(error).__name__)

    tool.wake = wake
    return queue


def check_queue(tool: Tool, queue: Huey) -> None:
    """Raise ConfigurationError where the queue does not answer."""
    try:
        queue.pending_count()
    except (RedisError, sqlite3.Error) as error:
        shown = re.sub(r"//[^/@]*@", "//", tool.settings.queue.url)
        why = f"The queue {shown} cannot be reached: is it running, and is queue.url right?"
        raise ConfigurationError(f"{why} ({type(error).__name__})") from None


def sweep(tool: Tool) -> None:
    """Find what is due and wake a worker for it: old syncs, jobs whose message was lost, held awards, unsigned ones."""
    now = datetime.now(UTC)
    sync.forget_expired(tool, now)
    administrators.forget_expired(tool, now)
    for course_id in sync.courses_due(tool, now):
        work.request(tool, "sync", str(course_id), now)
    for course_id in posting.courses_due(tool, now):
        work.request(tool, "post", str(course_id), now)
    for job_id in work.due(tool, now):
        tool.wake(job_id)
    award_acts.release_due(tool, now)
    editions.sign_pending(tool)
