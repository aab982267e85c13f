"""Jobs as an administrator sees them: what failed and why, what is tried again, what runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lti_tool.models import Award, Course, CourseBadge, Deployment, Job, PlatformLoad, Registration
from lti_tool.sentence import Sentence
from lti_tool.services.tool import Tool
from lti_tool.services.words import said
from lti_tool.services.work import MOST_ATTEMPTS, lost

MOST = 200  # of each list
KINDS = {
    "check": Sentence("Checking a platform"),
    "columns": Sentence("Looking at a gradebook's columns"),
    "copy": Sentence("Looking where a course was copied from"),
    "erase": Sentence("Erasing what is kept about somebody"),
    "evaluate": Sentence("Working out levels"),
    "mail": Sentence("A mail that was refused"),
    "make_columns": Sentence("Making gradebook columns"),
    "own_links": Sentence("Looking at addresses that a link was asked for"),
    "post": Sentence("Posting marks to the gradebook"),
    "publish": Sentence("Publishing a badge"),
    "rows": Sentence("Looking at the LMS's own rubrics"),
    "send_mail": Sentence("Sending mail"),
    "sign": Sentence("Signing a credential"),
    "subscribe": Sentence("Asking for notices of copied courses"),
    "sync": Sentence("Reading grades"),
}


@dataclass(frozen=True)
class JobRow:
    """A job. `tried` counts attempts; `next_at` is None where nothing happens by itself any more."""

    id: int
    what: str
    where: str
    state: str
    problem: str
    what_to_do: str
    error_id: str
    tried: int
    of: int
    created_at: datetime
    ended_at: datetime | None
    next_at: datetime | None


@dataclass(frozen=True)
class JobsPage:
    failed: tuple[JobRow, ...]
    again: tuple[JobRow, ...]  # failed at least once, and tried again by themselves
    open: tuple[JobRow, ...]  # due or running for the first time


def page(tool: Tool, now: datetime) -> JobsPage:
    """Return what failed, newest first, and what is due or running."""
    failed = select(Job).where(lost()).order_by(Job.finished_at.desc(), Job.id.desc())
    going = select(Job).where(or_(Job.state == "running", Job.state == "due")).order_by(Job.not_before)
    with tool.db.read() as session:
        failed_ones = [_row(session, job) for job in session.scalars(failed.limit(MOST))]
        rest = [(_row(session, job), job) for job in session.scalars(going.limit(MOST))]
    again = tuple(row for row, job in rest if job.state == "due" and job.problem)
    known = {row.id for row in again}
    return JobsPage(tuple(failed_ones), again, tuple(row for row, _ in rest if row.id not in known))


def overdue(row: JobRow, now: datetime) -> bool:
    """Tell whether a due job should have begun by now: then no worker is there."""
    return row.state == "due" and row.next_at is not None and now - row.next_at > timedelta(minutes=2)


def _row(session: Session, job: Job) -> JobRow:
    return JobRow(
        id=job.id,
        what=said(KINDS.get(job.kind, job.kind)),
        where=_where(session, job),
        state=job.state,
        problem=said(job.problem or ""),
        what_to_do=said(job.what_to_do),
        error_id=job.outcome.get("error_id") or "",
        tried=job.attempts,
        of=MOST_ATTEMPTS,
        created_at=job.created_at,
        ended_at=job.finished_at,
        next_at=_next_at(session, job),
    )


def _next_at(session: Session, job: Job) -> datetime | None:
    """Return when a job is tried next; None where nothing happens by itself any more. Its platform may be resting."""
    if job.state != "due":
        return None
    load = session.get(PlatformLoad, job.registration_id) if job.registration_id is not None else None
    rests_until = load.paused_until if load is not None else None
    return max(job.not_before, rests_until) if rests_until is not None else job.not_before


def _where(session: Session, job: Job) -> str:
    """Say what a job is about: a course, a badge in one, a platform or a deployment."""
    if job.kind in ("sync", "evaluate", "columns", "copy", "post", "rows") and job.subject.isdecimal():
        course = session.get(Course, int(job.subject))
        return _course(course) if course is not None else ""
    if job.kind == "check":
        platform = session.get(Registration, int(job.subject))
        return platform.name if platform is not None else ""
    if job.kind == "subscribe":
        deployment = session.get(Deployment, int(job.subject))
        return (
            _(
                "%(deployment)s on %(platform)s",
                deployment=deployment.deployment_id,
                platform=deployment.registration.name,
            )
            if deployment is not None
            else ""
        )
    if job.kind in ("mail", "own_links", "send_mail"):
        return ""  # whose it was is nothing for a list of jobs
    if job.kind == "sign":
        award = session.get(Award, job.subject)
        badge = award.course_badge if award is not None else None
    else:
        badge = session.get(CourseBadge, job.subject)
    return (
        _("%(badge)s in %(course)s", badge=badge.slug, course=_course(badge.course))
        if badge is not None
        else job.subject
    )


def _course(course: Course) -> str:
    return _(
        "%(course)s on %(platform)s",
        course=course.label or course.title or course.context_id,
        platform=course.registration.name,
    )
