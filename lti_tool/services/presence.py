"""Which workers are alive, and whether the schedule runs: each says so in the database every half minute."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from lti_tool.db import random_id
from lti_tool.models import Presence
from lti_tool.services.tool import Tool

EVERY = 30.0  # seconds between two signs of life
LOST_AFTER = timedelta(minutes=10)  # then people are told
UNWELL_AFTER = timedelta(minutes=2)  # then a health check of its host fails
FORGOTTEN_AFTER = timedelta(days=1)  # by another that is alive: the last one that was is never forgotten
SCHEDULE = "schedule"


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


def new_worker() -> str:
    return f"worker:{random_id()}"


def seen(tool: Tool, id: str, now: datetime) -> None:
    """Write down that a worker, or the schedule, is alive; what has been gone for a day is forgotten."""
    insert = sqlite_insert if tool.db.is_sqlite else postgresql_insert
    row = {"id": id, "kind": id.partition(":")[0], "host": platform.node(), "started_at": now, "seen_at": now}
    statement = insert(Presence).values(row)
    changed = {"seen_at": now, "host": row["host"]}
    with tool.db.write() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))
        session.execute(delete(Presence).where(Presence.seen_at < now - FORGOTTEN_AFTER))


def gone(tool: Tool, id: str, now: datetime) -> None:
    """Note that a worker ends in order. The last one stays known, so that its absence is seen."""
    with tool.db.write() as session:
        row = session.get(Presence, id)
        if row is not None:
            row.seen_at = min(row.seen_at, now - UNWELL_AFTER)


def watch(tool: Tool, now: datetime) -> Watch:
    """Return who is alive."""
    with tool.db.read() as session:
        rows = session.execute(select(Presence.kind, Presence.seen_at)).all()
    workers = [at for kind, at in rows if kind == "worker"]
    schedule = [at for kind, at in rows if kind == SCHEDULE]
    alive = sum(now - at < UNWELL_AFTER for at in workers)
    return Watch(max(workers, default=None), max(schedule, default=None), alive)


def is_well(tool: Tool, now: datetime) -> bool:
    """Tell whether a worker of this host has been seen lately: what a health check beside it asks."""
    here = (Presence.kind == "worker", Presence.host == platform.node())
    with tool.db.read() as session:
        return (
            session.scalar(select(Presence.id).where(*here, Presence.seen_at > now - UNWELL_AFTER).limit(1)) is not None
        )
