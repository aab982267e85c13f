"""What each LMS bears, known to all workers through the database: pauses it asks for, its circuit, its share of them.

One LMS that is slow or down must not hold up the others, so it never has all workers; after some failures in a row only
one job at a time tries it, after a pause that grows. What a person waits for at the command line is tried all the same,
and its success closes the circuit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from lti_tool.errors import ServiceBusy, ServiceError, ServiceUnreachable, TokenRefused, ToolError
from lti_tool.models import Course, CourseBadge, Deployment, Job, PlatformLoad, Registration
from lti_tool.sentence import Moment, Sentence
from lti_tool.services import presence
from lti_tool.services.tool import Tool, log

OPENS_AFTER = 3  # failures in a row
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0  # seconds a circuit stays open; doubled with every failure
UNNAMED_PAUSE = (20.0, 40.0)  # seconds, where an LMS says "slower" and no time: Canvas' bucket fills by 10 a second
LONGEST_ASKED = timedelta(days=1)
SLOW = 3.0  # seconds a request takes
NEWEST_COUNTS = 0.3  # of the mean of those seconds
TELL_EVERY = 5.0  # seconds between two words to the other workers about a bucket that runs low
ANSWERED_BADLY = ("status_500", "status_502", "status_503", "status_504", "not_json", "no_token")
OF_A_COURSE = ("sync", "columns", "copy", "post", "rows")


@dataclass
class Tally:
    """What one job asked of its platform."""

    requests: int = 0
    seconds: float = 0.0
    told: float = float("-inf")


class _Thread(threading.local):
    tally: Tally | None = None


_thread = _Thread()


@contextmanager
def counting() -> Iterator[Tally]:
    """Count what this thread asks of an LMS while the block runs."""
    _thread.tally = tally = Tally()
    try:
        yield tally
    finally:
        _thread.tally = None


def watcher(tool: Tool, registration_id: int) -> Callable[[float, float], None]:
    """Return what is told of every answer: the seconds it took, and those the LMS should be left alone."""

    def answered(seconds: float, rest: float) -> None:
        tally = _thread.tally
        if tally is not None:
            tally.requests += 1
            tally.seconds += seconds
        if rest and tally is not None and time.monotonic() - tally.told > TELL_EVERY:
            tally.told = time.monotonic()
            until = datetime.now(UTC) + timedelta(seconds=rest)
            with tool.db.write() as session:
                _pause(_row(session, registration_id), until, asked=False)

    return answered


def platform_of_job(session: Session, kind: str, subject: str) -> int | None:
    """Return the platform a job of this kind will ask; None where it asks none, or has to ask it whatever its state."""
    query: Select[Any] | None = None
    if kind in OF_A_COURSE and subject.isdecimal():
        query = select(Course.registration_id).where(Course.id == int(subject))
    elif kind == "subscribe" and subject.isdecimal():
        query = select(Deployment.registration_id).where(Deployment.id == int(subject))
    elif kind in ("publish", "make_columns"):
        query = select(Course.registration_id).join(CourseBadge).where(CourseBadge.id == subject)
    return None if query is None else session.scalar(query)


# -- what became of a job ---------------------------------------------------------------------------------------


def note(session: Session, registration_id: int | None, tally: Tally, error: ToolError | None, now: datetime) -> None:
    """Keep what a job's end says about its platform. Called in the transaction that ends the job."""
    if registration_id is None or session.get(Registration, registration_id) is None:
        return
    if isinstance(error, ServiceBusy):
        named = error.retry_after if error.retry_after is not None else _between(*UNNAMED_PAUSE)
        until = now + min(timedelta(seconds=named), LONGEST_ASKED)
        _pause(_row(session, registration_id), until, asked=True)
        log.warning("platform=%s asks for a pause until %s", registration_id, until.isoformat(timespec="seconds"))
    elif isinstance(error, ServiceError) and _is_the_platforms(error):
        row = _row(session, registration_id)
        row.failures += 1
        row.problem = error.sentence
        if row.failures >= OPENS_AFTER:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(row.failures - OPENS_AFTER, 10))
            _pause(row, now + timedelta(seconds=pause * _between(0.75, 1.25)), asked=False)
            log.warning("platform=%s left alone after %s failures in a row", registration_id, row.failures)
    elif tally.requests and (error is None or isinstance(error, ServiceError)):  # it answered
        took = tally.seconds / tally.requests
        known = session.get(PlatformLoad, registration_id)
        if known is None and took < 1:
            return
        if known is None or known.failures or max(known.seconds, took) >= 1:
            row = _row(session, registration_id)
            row.seconds = took if known is None else row.seconds + NEWEST_COUNTS * (took - row.seconds)
            if row.failures:
                log.info("platform=%s answers again after %s failures", registration_id, row.failures)
                row.failures, row.problem = 0, None
                if not row.asked:
                    row.paused_until = None


def _is_the_platforms(error: ServiceError) -> bool:
    return isinstance(error, ServiceUnreachable | TokenRefused) or error.reason in ANSWERED_BADLY


def _pause(row: PlatformLoad, until: datetime, *, asked: bool) -> None:
    """Let no job of a platform begin before. A longer pause stays; one the LMS asked for stays its own."""
    if row.paused_until is None or row.paused_until < until:
        row.paused_until, row.asked = until, asked


def _row(session: Session, registration_id: int) -> PlatformLoad:
    row = session.get(PlatformLoad, registration_id, with_for_update=True)
    if row is None:
        dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        values = {"registration_id": registration_id, "failures": 0, "asked": False, "seconds": 0.0}
        session.execute(dialect.insert(PlatformLoad).values(values).on_conflict_do_nothing())
        row = session.get_one(PlatformLoad, registration_id, with_for_update=True)
    return row


def served(session: Session, registration_id: int, now: datetime) -> None:
    """Remember that a platform has had its turn."""
    here = update(PlatformLoad).where(PlatformLoad.registration_id == registration_id).values(served_at=now)
    known = session.scalar(here.returning(PlatformLoad.registration_id))
    if known is None and session.get(Registration, registration_id) is not None:
        _row(session, registration_id).served_at = now


def _between(least: float, most: float) -> float:
    return random.SystemRandom().uniform(least, most)


# -- who may be asked now ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """How many jobs may ask one platform at a time: one that is well, and one that is slow or has just failed."""

    well: int
    poor: int


def limits(tool: Tool, session: Session, now: datetime) -> Limits:
    """Return how many of the workers one platform may have. Where there is only one platform, it may have all."""
    threads = presence.threads(session, now)
    platforms = session.scalar(select(func.count()).select_from(Registration).where(Registration.status == "active"))
    if (platforms or 0) < 2:
        return Limits(threads, max(1, threads - 1))
    return Limits(max(1, int(threads * tool.settings.queue.platform_share)), 1)


def running(now: datetime) -> Any:
    """Return the jobs under way, counted by platform, as something to join."""
    return (
        select(Job.registration_id, func.count().label("jobs"))
        .where(Job.state == "running", Job.lease_until >= now, Job.registration_id.is_not(None))
        .group_by(Job.registration_id)
        .subquery("under_way")
    )


def may_be_asked(under_way: Any, allowed: Limits, now: datetime) -> ColumnElement[bool]:
    """Return the condition on a job, joined with PlatformLoad and `running`, that its platform can be asked."""
    most = case(
        (PlatformLoad.failures >= OPENS_AFTER, 1),
        (or_(PlatformLoad.failures > 0, PlatformLoad.seconds > SLOW), allowed.poor),
        else_=allowed.well,
    )
    rested = or_(PlatformLoad.paused_until.is_(None), PlatformLoad.paused_until <= now)
    return or_(Job.registration_id.is_(None), and_(rested, func.coalesce(under_way.c.jobs, 0) < most))


def rests(now: datetime) -> ColumnElement[bool]:
    """Return the condition on jobs whose platform is left alone, or tried by one job at a time."""
    resting = or_(PlatformLoad.paused_until > now, PlatformLoad.failures >= OPENS_AFTER)
    return exists().where(PlatformLoad.registration_id == Job.registration_id, resting)


def asked_pause(session: Session, registration_id: int | None, now: datetime) -> datetime | None:
    """Return until when a platform has asked to be left alone, None where it has not."""
    row = None if registration_id is None else session.get(PlatformLoad, registration_id)
    if row is None or row.paused_until is None or row.paused_until <= now or not row.asked:
        return None
    return row.paused_until


@dataclass(frozen=True)
class Standing:
    """What is known of a platform's load: `state` is well, slow, failing, open (its circuit) or asked (for a pause)."""

    state: str
    failures: int = 0
    problem: str = ""
    until: datetime | None = None
    seconds: float = 0.0


def standing(session: Session, registration_id: int, now: datetime) -> Standing:
    """Return how a platform stands."""
    row = session.get(PlatformLoad, registration_id)
    if row is None:
        return Standing("well")
    until = row.paused_until if row.paused_until is not None and row.paused_until > now else None
    state = "slow" if row.seconds > SLOW else "well"
    if row.failures:
        state = "open" if row.failures >= OPENS_AFTER else "failing"
    if until is not None and row.asked:
        state = "asked"
    return Standing(state, row.failures, row.problem or "", until, row.seconds)


def told(standing: Standing) -> str:
    """Say how a platform stands, empty where there is nothing to say."""
    if standing.state == "asked" and standing.until is not None:
        return Sentence(
            "It has asked to be left alone: nothing is read from it or sent to it until %(until)s.",
            until=Moment(standing.until),
        )
    if standing.state == "open" and standing.until is not None:
        return Sentence(
            "It has failed %(times)s times in a row, so it is left alone until %(until)s. Last: %(problem)s",
            times=standing.failures,
            until=Moment(standing.until),
            problem=standing.problem,
        )
    if standing.state == "open":
        return Sentence(
            "It has failed %(times)s times in a row, so one course at a time tries it now. Last: %(problem)s",
            times=standing.failures,
            problem=standing.problem,
        )
    if standing.state == "slow":
        return Sentence(
            "It takes %(seconds)s seconds for an answer, so that few courses are read from it at a time.",
            seconds=round(standing.seconds),
        )
    return ""


def try_now(tool: Tool, registration_id: int, now: datetime) -> None:
    """End the pause of a circuit, so that one job tries the platform. A pause it asked for itself stays."""
    with tool.db.write() as session:
        session.execute(
            update(PlatformLoad)
            .where(PlatformLoad.registration_id == registration_id, PlatformLoad.asked.is_(False))
            .values(paused_until=now)
        )
