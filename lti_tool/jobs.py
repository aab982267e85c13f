"""The queue: huey tells a worker to look; what is to be done stands in the database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from huey import Huey, RedisHuey, SqliteHuey, crontab

from lti_tool.services import awards, catalog, copies, notices, sync, work
from lti_tool.services.tool import Tool

RUNNERS: dict[str, work.Runner] = {
    "sync": sync.run_sync,
    "publish": catalog.run_publish,
    "copy": copies.run_copy,
    "subscribe": notices.run_subscribe,
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

    tool.wake = lambda job_id: look(job_id) and None
    return queue


def sweep(tool: Tool) -> None:
    """Find what is due and wake a worker for it: old syncs, jobs whose message was lost, held awards, unsigned ones."""
    now = datetime.now(UTC)
    sync.forget_expired(tool, now)
    for course_id in sync.courses_due(tool, now):
        work.request(tool, "sync", str(course_id), now)
    for job_id in work.due(tool, now):
        tool.wake(job_id)
    awards.release_due(tool, now)
    awards.sign_pending(tool)
