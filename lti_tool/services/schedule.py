"""When a course is read again: soon while its grades move, ever more rarely while nothing does, and at some moments.

The database holds the time for each course, so that it does not matter which worker looks, nor how many do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, String, cast, exists, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import ServiceError
from lti_tool.models import Award, Course, CourseBadge, Job, Registration
from lti_tool.services import catalog, work
from lti_tool.services.tool import Tool
from lti_tool.settings import Queue

# The pause is this part of the time since grades last moved: ten minutes after four and a half hours, two and a half
# hours after a weekend, a day after four weeks.
QUIET_PART = 28
JITTER = 0.1  # of a pause, so that courses that began together do not stay together
BEFORE_RELEASE = timedelta(minutes=2)  # what is released is what holds then
BEFORE_END = timedelta(minutes=30)  # Canvas refuses AGS afterwards; this leaves time for another attempt
MOST_DOUBLINGS = 10
AT_A_TIME = 50  # courses made due in one transaction
NEVER = datetime(9999, 1, 1, tzinfo=UTC)  # a course put to rest, until somebody opens or reads it


def pause(queue: Queue, moved_at: datetime | None, now: datetime) -> timedelta:
    """Return how long a course is left alone after a reading that went well."""
    quiet = now - moved_at if moved_at is not None else timedelta()
    quick, longest = timedelta(seconds=queue.sync_every), timedelta(seconds=queue.sync_at_least)
    return min(max(quiet / QUIET_PART, quick), max(quick, longest))


def _pause_after_failures(queue: Queue, failures: int) -> timedelta:
    seconds = queue.sync_every * 2.0 ** min(max(failures - 1, 0), MOST_DOUBLINGS)
    return timedelta(seconds=min(seconds, max(queue.sync_every, queue.sync_at_least)))


def _with_jitter(pause: timedelta) -> timedelta:
    return pause * random.SystemRandom().uniform(1 - JITTER, 1)


# -- what a reading says about the next ------------------------------------------------------------------------


def was_read(session: Session, course: Course, at: datetime, *, moved: bool, queue: Queue) -> None:
    """Note that a course was read whole at a moment, and whether any grade was other than before."""
    course.sync_failures = 0
    if moved or course.moved_at is None:
        course.moved_at = at
    reckon(session, course, at, queue)


def could_not_be_read(tool: Tool, course_id: int, error: ServiceError, now: datetime) -> None:
    """Note that a job has given up reading a course: the schedule asks it ever more rarely.

    An attempt that will be followed by another one counts for nothing yet."""
    queue = tool.settings.queue
    with tool.db.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        if work.is_tried_again(session, "sync", str(course_id), error):
            return
        course.sync_failures += 1
        regular = now + _with_jitter(_pause_after_failures(queue, course.sync_failures))
        course.next_sync_at = _or_at_a_moment(session, course, regular, now)


def reckon(session: Session, course: Course, now: datetime, queue: Queue) -> None:
    """Set when a course that was read well is read next: after its pause, or at the first moment that counts."""
    regular = now + _with_jitter(pause(queue, course.moved_at, now))
    course.next_sync_at = _or_at_a_moment(session, course, regular, now)


def _or_at_a_moment(session: Session, course: Course, regular: datetime, now: datetime) -> datetime:
    """Return the regular time of a course's next reading, or the first moment that counts where that comes before."""
    return min([regular, *(moment for moment in moments(session, course) if moment > now)])


def moments(session: Session, course: Course) -> Iterator[datetime]:
    """Yield the moments at which a course is to be read whatever its pause: before each release, before its end."""
    badges = select(CourseBadge).where(CourseBadge.course_id == course.id, CourseBadge.status == "active")
    for badge in session.scalars(badges):
        if badge.released_at is not None:
            yield badge.released_at - BEFORE_RELEASE
        if badge.version is not None and (at := catalog.definition_of(badge).release) not in ("immediate", "held"):
            yield datetime.fromisoformat(at) - BEFORE_RELEASE
    held = select(Award.held_until).where(Award.course_id == course.id, Award.status == "held").distinct()
    for until in session.scalars(held.where(Award.held_until.is_not(None))):
        if until is not None:
            yield until - BEFORE_RELEASE
    if course.ends_at is not None:
        yield course.ends_at - BEFORE_END


def at_a_moment(session: Session, course: Course, now: datetime) -> bool:
    """Tell whether one of those moments has come since the course was last read."""
    since = course.synced_at or course.created_at
    return any(since < moment <= now for moment in moments(session, course))


def moment_was_set(tool: Tool, course_id: int, now: datetime) -> None:
    """Do as `moment_set` in a transaction of its own: whoever locks a badge does not lock its course afterwards."""
    with tool.db.write() as session:
        moment_set(session, session.get_one(Course, course_id, with_for_update={"key_share": True}), now)


def moment_set(session: Session, course: Course, now: datetime) -> None:
    """Bring a course's time forward where a moment that counts, set just now, lies before it."""
    if course.next_sync_at is not None:
        course.next_sync_at = _or_at_a_moment(session, course, course.next_sync_at, now)


def is_slow(queue: Queue, next_sync_at: datetime | None, now: datetime) -> bool:
    """Tell whether a course is read more rarely than one where grades move."""
    return next_sync_at is not None and next_sync_at > now + timedelta(seconds=queue.sync_every)


def opened(tool: Tool, course_id: int, now: datetime) -> None:
    """Note that somebody has opened a course: it is read often again, unless it refuses or has ended."""
    quick = timedelta(seconds=tool.settings.queue.sync_every)
    with tool.db.write() as session:
        session.execute(
            update(Course)
            .where(Course.id == course_id, Course.next_sync_at > now + quick, Course.sync_failures == 0)
            .values(moved_at=now, next_sync_at=now + _with_jitter(quick))
        )


# -- what is due -----------------------------------------------------------------------------------------------


def courses_due(tool: Tool, now: datetime) -> list[int]:
    """Return the courses whose time has come and whom no job reads already, the longest waiting first."""
    query = select(Course.id).where(_due(now)).order_by(Course.next_sync_at.asc().nulls_first(), Course.id)
    with tool.db.read() as session:
        return list(session.scalars(query))


def make_due(tool: Tool, now: datetime) -> int:
    """Make a job of each course that is due; returns how many. Two who do it at the same time make one of each."""
    found, made = courses_due(tool, now), 0
    for start in range(0, len(found), AT_A_TIME):
        some = found[start : start + AT_A_TIME]
        made += repeat_collided(partial(_make_due, tool, some, now))
    return made


def _make_due(tool: Tool, course_ids: list[int], now: datetime) -> int:
    made = 0
    queue = tool.settings.queue
    with tool.db.write() as session:
        rows = select(Course).where(Course.id.in_(course_ids), _due(now)).order_by(Course.id)
        for course in session.scalars(rows.with_for_update(of=Course, key_share=True, skip_locked=True)).all():
            moment = at_a_moment(session, course, now)
            work.request_in(
                session, "sync", str(course.id), now, priority=work.AT_ITS_MOMENT if moment else work.SCHEDULED
            )
            # Until the reading says better: a job that dies without a word is not made anew with every sweep.
            regular = now + _pause_after_failures(queue, course.sync_failures + 1)
            course.next_sync_at = _or_at_a_moment(session, course, regular, now)
            made += 1
    return made


def _due(now: datetime) -> ColumnElement[bool]:
    open_job = exists().where(
        Job.kind == "sync", Job.subject == cast(Course.id, String), Job.state.in_(("due", "running"))
    )
    active = select(CourseBadge.course_id).where(CourseBadge.status == "active")
    platforms = select(Registration.id).where(Registration.status == "active")
    return (
        or_(Course.next_sync_at.is_(None), Course.next_sync_at <= now)
        & (Course.state != "concluded")
        & Course.id.in_(active)
        & Course.registration_id.in_(platforms)
        & ~open_job
    )


def oldest_due(tool: Tool, now: datetime) -> timedelta:
    """Return how long the course that has waited longest to be read is over its time, zero where none is."""
    reading = select(func.min(Course.next_sync_at)).where(_due(now))
    waiting = select(func.min(Job.not_before)).where(Job.kind == "sync", Job.state == "due", Job.not_before <= now)
    with tool.db.read() as session:
        found = [moment for moment in (session.scalar(reading), session.scalar(waiting)) if moment is not None]
    return max((now - moment for moment in found), default=timedelta())
