"""Which worker processes are alive, on whatever machine: each says so in the database every now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Integer, cast, delete, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from lti_tool.db import random_id
from lti_tool.errors import Busy
from lti_tool.models import Worker
from lti_tool.services.tool import Tool, log

SAY_EVERY = 20.0  # seconds
GONE_AFTER = timedelta(seconds=90)
ASSUMED_THREADS = 2  # where nobody has said anything: a worker's default


@contextmanager
def alive(tool: Tool, threads: int, *, periodic: bool) -> Iterator[str]:
    """Say that this process works while the block runs; gives its id. A killed one is forgotten after GONE_AFTER."""
    worker_id, ended = random_id(), threading.Event()
    _say(tool, worker_id, threads, periodic)

    def go_on() -> None:
        while not ended.wait(SAY_EVERY):
            try:
                _say(tool, worker_id, threads, periodic)
            except (Busy, DBAPIError) as error:  # the next word will do
                log.warning("a worker could not say that it is alive: %s", type(error).__name__)

    thread = threading.Thread(target=go_on, name="alive", daemon=True)
    thread.start()
    try:
        yield worker_id
    finally:
        ended.set()
        thread.join(5)
        with tool.db.write() as session:
            session.execute(delete(Worker).where(Worker.id == worker_id))


def _say(tool: Tool, worker_id: str, threads: int, periodic: bool) -> None:
    now = datetime.now(UTC)
    with tool.db.write() as session:
        session.execute(delete(Worker).where(Worker.seen_at < now - GONE_AFTER))
        known = session.execute(update(Worker).where(Worker.id == worker_id).values(seen_at=now))
        if not known.rowcount:  # type: ignore[attr-defined]
            row = Worker(id=worker_id, threads=threads, periodic=periodic, started_at=now, seen_at=now)
            session.add(row)


def threads(session: Session, now: datetime) -> int:
    """Return how many jobs all living workers can do at a time."""
    found = session.scalar(select(func.sum(Worker.threads)).where(Worker.seen_at >= now - GONE_AFTER))
    return int(found) if found else ASSUMED_THREADS


def processes(session: Session, now: datetime) -> tuple[int, int]:
    """Return how many worker processes are alive, and how many of them run the schedule."""
    query = select(func.count(), func.sum(cast(Worker.periodic, Integer)))
    count, periodic = session.execute(query.where(Worker.seen_at >= now - GONE_AFTER)).one()
    return int(count), int(periodic or 0)
