"""Figures of the whole installation: each process counts in its memory and adds what is new to the database.

So one address tells the figures of all web processes and workers, on every host, and they outlive each of them. What
is true at a moment (what is due, what was awarded) is not counted but asked when somebody looks."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError

from lti_tool.db import Database, repeat_collided
from lti_tool.errors import ToolError
from lti_tool.models import Award, Edition, Figure, Job, Presence, Registration

EVERY = 15.0  # seconds between two additions by a process
MOST = 5000  # different counters a process keeps between two: far above what the labels below can make

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]


@dataclass(frozen=True)
class Told:
    """How a figure is told: `labels` beside the platform's name, `bounds` of a histogram in seconds."""

    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


FIGURES: Mapping[str, Told] = {
    "launches": Told("Launches that opened a page.", ("platform", "message")),
    "launch_seconds": Told(
        "From a launch's arrival to its answer.", (), (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    ),
    "refusals": Told("Requests that were answered with an error page, by its reason.", ("reason",)),
    "syncs": Told("Readings of a course's grades: done, or why not.", ("platform", "result")),
    "results": Told("Results taken in; a column that is byte for byte as before is not.", ("platform",)),
    "sync_seconds": Told("Duration of a sync that ended well.", ("platform",), (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)),
    "jobs": Told("Jobs that ended an attempt: done, or why not.", ("kind", "result")),
    "schedule_failures": Told("Steps of the schedule that failed, by their names.", ("step",)),
    "lag_seconds": Told(
        "From the grade that completed a badge (the LMS's time of it, else when it was first read) to the signature.",
        (),
        (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400),
    ),
    "signatures": Told("Credentials that were signed.", ()),
    "status_lists_signed": Told("Status lists that were signed.", ()),
    "calls": Told("Requests to an LMS, each attempt, by status or by what failed.", ("platform", "status")),
    "call_seconds": Told("Duration of a request to an LMS.", ("platform",), (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)),
}
NAMESPACE = "lti_tool"
OTHER = (
    "other"  # requests that no registered platform asked for: a credential's issuer, an LMS that is being registered
)


class Figures:
    """What this process has counted and not yet added. Counting costs a lock and an addition, no query."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._new: dict[Key, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._added_at = time.monotonic()

    def count(self, name: str, by: float = 1, **labels: object) -> None:
        """Count something up."""
        if by:
            self._add([((name, _labels(labels)), by)])

    def observe(self, name: str, seconds: float, **labels: object) -> None:
        """Put a duration where it belongs in its histogram."""
        bounds = FIGURES[name].bounds
        place = bisect_left(bounds, seconds)
        bound = "+Inf" if place == len(bounds) else str(float(bounds[place]))
        self._add([((name, _labels({**labels, "le": bound})), 1), ((f"{name}_sum", _labels(labels)), seconds)])

    def call(self, platform: int | None, outcome: str, seconds: float) -> None:
        """Count an attempt of the outgoing client, see `http.Http`."""
        whose = OTHER if platform is None else platform
        self.count("calls", platform=whose, status=outcome)
        self.observe("call_seconds", seconds, platform=whose)

    def _add(self, more: Iterable[tuple[Key, float]]) -> None:
        with self._lock:
            for key, by in more:
                if key in self._new or len(self._new) < MOST:
                    self._new[key] += by

    def add_if_due(self) -> None:
        """Add what is new to the database, unless that was done a moment ago. Never fails: figures stop nobody."""
        if self._new and time.monotonic() - self._added_at >= EVERY:
            self.add()

    def add(self) -> None:
        """Add what is new to the database now. What cannot be added is kept for the next time."""
        with self._lock:
            new, self._new = self._new, defaultdict(float)
            self._added_at = time.monotonic()
        if not new:
            return
        # In one order everywhere: two processes that each wait for the other's row would be a deadlock on PostgreSQL.
        rows = [
            {"name": name, "labels": json.dumps(labels), "value": value}
            for (name, labels), value in sorted(new.items())
        ]
        try:
            repeat_collided(lambda: self._write(rows))
        except (SQLAlchemyError, ToolError):
            self._add(new.items())

    def _write(self, rows: list[dict[str, Any]]) -> None:
        insert = sqlite_insert if self._db.is_sqlite else postgresql_insert
        statement = insert(Figure)
        more = {"value": Figure.value + statement.excluded.value}
        statement = statement.on_conflict_do_update(index_elements=["name", "labels"], set_=more)
        with self._db.write() as session:
            session.connection().execute(statement, rows)


def _labels(labels: Mapping[str, object]) -> Labels:
    return tuple(sorted((name, str(value)[:60]) for name, value in labels.items()))


# -- telling them -----------------------------------------------------------------------------------------------


def exposition(db: Database, now: datetime, overdue: timedelta) -> bytes:
    """Return every figure as Prometheus reads it. `overdue`: see `schedule.oldest_due`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(list(_families(db, now, overdue))))
    return generate_latest(registry)


class _Collector:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _families(db: Database, now: datetime, overdue: timedelta) -> Iterator[Metric]:
    with db.read() as session:
        names = {str(row.id): row.name for row in session.execute(select(Registration.id, Registration.name))}
        stored: dict[str, dict[Labels, float]] = defaultdict(dict)
        for name, labels, value in session.execute(select(Figure.name, Figure.labels, Figure.value)):
            stored[name][tuple((n, v) for n, v in json.loads(labels))] = value
        jobs = session.execute(
            select(Job.kind, Job.state, func.count()).where(Job.state != "done").group_by(Job.kind, Job.state)
        ).all()
        oldest_job = session.scalar(select(func.min(Job.not_before)).where(Job.state == "due", Job.not_before <= now))
        awards = session.execute(select(Award.status, func.count()).group_by(Award.status)).all()
        unsigned = session.scalar(
            select(func.count()).select_from(Edition).where(Edition.signed_at.is_(None), Edition.withdrawn_at.is_(None))
        )
        living = select(Presence.kind, func.max(Presence.seen_at)).where(Presence.kind.in_(("worker", "schedule")))
        alive = session.execute(living.group_by(Presence.kind)).all()
    for name, told in FIGURES.items():
        yield from _counted(name, told, stored, names)
    yield _gauge("jobs_now", "Jobs that are due, running or given up.", ("kind", "state"), jobs)
    late = (now - oldest_job).total_seconds() if oldest_job else 0
    yield _gauge("oldest_due_job_seconds", "For how long the oldest job has been due.", (), [(late,)])
    told_overdue = "For how long the course that waits longest to be read has been due."
    yield _gauge("oldest_due_course_seconds", told_overdue, (), [(overdue.total_seconds(),)])
    yield _gauge("awards", "Awards by their status.", ("status",), awards)
    yield _gauge("unsigned_credentials", "Credentials that wait for their signature.", (), [(unsigned or 0,)])
    seen = [(kind, (now - at).total_seconds()) for kind, at in alive]
    yield _gauge("seen_seconds_ago", "When a worker, and the schedule, last said to be alive.", ("kind",), seen)


def _gauge(name: str, help: str, labels: tuple[str, ...], rows: Iterable[Any]) -> Metric:
    family = GaugeMetricFamily(f"{NAMESPACE}_{name}", help, labels=labels)
    for *told, value in rows:
        family.add_metric([str(each) for each in told], float(value))
    return family


def _counted(
    name: str, told: Told, stored: Mapping[str, Mapping[Labels, float]], names: Mapping[str, str]
) -> Iterator[Metric]:
    shown = told.labels if "platform" not in told.labels else (*told.labels, "platform_name")

    def values(labels: Mapping[str, str]) -> list[str]:
        return [names.get(labels["platform"], "") if n == "platform_name" else labels.get(n, "") for n in shown]

    if not told.bounds:
        counter = CounterMetricFamily(f"{NAMESPACE}_{name}", told.help, labels=shown)
        if not shown and not stored.get(name):
            counter.add_metric([], 0)
        for labels, value in sorted(stored.get(name, {}).items()):
            counter.add_metric(values(dict(labels)), value)
        yield counter
        return
    histogram = HistogramMetricFamily(f"{NAMESPACE}_{name}", told.help, labels=shown)
    bounds = [*(str(float(bound)) for bound in told.bounds), "+Inf"]
    for rest, total in sorted(stored.get(f"{name}_sum", {}).items()):
        below, buckets = 0.0, []
        for bound in bounds:
            below += stored[name].get(tuple(sorted((*rest, ("le", bound)))), 0)
            buckets.append((bound, below))
        histogram.add_metric(values(dict(rest)), buckets, total)
    yield histogram
