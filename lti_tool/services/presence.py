"""Which workers are alive, on whatever machine, and whether the schedule runs: each says so now and then."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Integer, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lti_tool.db import random_id
from lti_tool.errors import ToolError
from lti_tool.models import Presence
from lti_tool.services.tool import Tool, log

EVERY = 20.0  # seconds between two signs of life
GONE_AFTER = timedelta(seconds=90)  # then a killed worker has no share of the platforms any more
UNWELL_AFTER = timedelta(minutes=2)  # then a health check of its host fails
LOST_AFTER = timedelta(minutes=10)  # then people are told
FORGOTTEN_AFTER = timedelta(days=1)  # by another that is alive: the last one that was is never forgotten
ASSUMED_THREADS = 2  # where nobody has said anything: a worker's default
SCHEDULE, STEP = "schedule", "step"  # beside the workers; a step of the schedule is there while it fails


@dataclass(frozen=True)
class Watch:
    """When a worker, and the schedule, were last seen: None for never."""

    worker: datetime | None
    schedule: datetime | None
    workers: int  # alive now

    def lost(self, now: datetime) -> bool:
        """Tell whether nobody does the work any more. A new installation has had no worker yet, and says so itself."""
        return self.worker is not None and now - self.worker > LOST_AFTER

    def unscheduled(self, now: datetime) -> bool:
        """Tell whether there are workers, and none of them looks what is due."""
        return self.workers > 0 and self.schedule is not None and now - self.schedule > LOST_AFTER


# -- saying so --------------------------------------------------------------------------------------------------


@contextmanager
def alive(tool: Tool, threads: int, *, periodic: bool) -> Iterator[str]:
    """Say from a thread of its own that this worker lives, while the block runs; gives its id.

    What the process has counted is added to the figures of all on the way."""
    me, ended = new_worker(), threading.Event()
    seen(tool, me, datetime.now(UTC), threads=threads, periodic=periodic)

    def tell() -> None:
        while not ended.wait(EVERY):
            try:
                seen(tool, me, datetime.now(UTC), threads=threads, periodic=periodic)
                tool.figures.add()
            except (SQLAlchemyError, ToolError) as error:  # it is told of by the others, and soon again by itself
                log.warning("a sign of life could not be written: %s", type(error).__name__)

    thread = threading.Thread(target=tell, name="alive", daemon=True)
    thread.start()
    try:
        yield me
    finally:
        ended.set()
        thread.join(5)
        with suppress(SQLAlchemyError, ToolError):
            gone(tool, me, datetime.now(UTC))
            tool.figures.add()


def new_worker() -> str:
    return f"worker:{random_id()}"


def seen(tool: Tool, id: str, now: datetime, *, threads: int = ASSUMED_THREADS, periodic: bool = True) -> None:
    """Write down that a worker, or the schedule, is alive; what has been gone for a day is forgotten."""
    with tool.db.write() as session:
        _seen(session, id, now, threads, periodic)
        session.execute(delete(Presence).where(Presence.seen_at < now - FORGOTTEN_AFTER))


def _seen(session: Session, id: str, now: datetime, threads: int = 0, periodic: bool = True) -> None:
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    row = {"id": id, "kind": id.partition(":")[0], "host": platform.node(), "threads": threads, "periodic": periodic}
    statement = insert(Presence).values({**row, "started_at": now, "seen_at": now})
    changed = {"seen_at": now, "host": row["host"]}
    session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


def swept(tool: Tool, failed: Sequence[str], now: datetime) -> None:
    """Write down that the schedule has looked at everything, and which of its steps failed on this host."""
    failing = [f"{STEP}:{name}" for name in failed]
    with tool.db.write() as session:
        for id in sorted((SCHEDULE, *failing)):  # in one order: two schedules would wait for each other's rows
            _seen(session, id, now)
        mended = (Presence.kind == STEP, Presence.host == platform.node(), Presence.id.not_in(failing))
        session.execute(delete(Presence).where(*mended))


def gone(tool: Tool, id: str, now: datetime) -> None:
    """Note that a worker ends in order. The last one stays known, so that its absence is seen."""
    with tool.db.write() as session:
        row = session.get(Presence, id)
        if row is not None:
            row.seen_at = min(row.seen_at, now - UNWELL_AFTER)


# -- who is there -----------------------------------------------------------------------------------------------


def threads(session: Session, now: datetime) -> int:
    """Return how many jobs all living workers can do at a time."""
    found = session.scalar(select(func.sum(Presence.threads)).where(*_living(now)))
    return int(found) if found else ASSUMED_THREADS


def processes(session: Session, now: datetime) -> tuple[int, int]:
    """Return how many worker processes are alive, and how many of them run the schedule."""
    query = select(func.count(), func.sum(cast(Presence.periodic, Integer)))
    count, periodic = session.execute(query.where(*_living(now))).one()
    return int(count), int(periodic or 0)


def _living(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Presence.kind == "worker", Presence.seen_at >= now - GONE_AFTER)


def watch(tool: Tool, now: datetime) -> Watch:
    """Return who is alive."""
    with tool.db.read() as session:
        rows = session.execute(select(Presence.kind, Presence.seen_at)).all()
    workers = [at for kind, at in rows if kind == "worker"]
    schedule = [at for kind, at in rows if kind == SCHEDULE]
    living = sum(now - at < UNWELL_AFTER for at in workers)
    return Watch(max(workers, default=None), max(schedule, default=None), living)


def failing(tool: Tool, now: datetime) -> list[tuple[str, datetime]]:
    """Return the steps of the schedule that fail now, and since when."""
    query = select(Presence.id, Presence.started_at).where(Presence.kind == STEP, Presence.seen_at > now - LOST_AFTER)
    with tool.db.read() as session:
        return [(id.partition(":")[2], since) for id, since in session.execute(query.order_by(Presence.id))]


def is_well(tool: Tool, now: datetime) -> bool:
    """Tell whether a worker of this host has been seen lately: what a health check beside it asks."""
    here = (Presence.kind == "worker", Presence.host == platform.node())
    with tool.db.read() as session:
        return (
            session.scalar(select(Presence.id).where(*here, Presence.seen_at > now - UNWELL_AFTER).limit(1)) is not None
        )
