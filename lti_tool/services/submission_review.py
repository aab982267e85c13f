"""Submission review: what an instructor sees of one learner when the LMS opens it from its gradebook.

https://www.imsglobal.org/spec/lti-sr/v1p0"""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.models import Column, Course, CourseBadge, Enrolment, Person
from lti_tool.services import instructor_pages, messages
from lti_tool.services.launches import LaunchSession
from lti_tool.services.messages import Submission
from lti_tool.services.pages.instructor import SubmissionReview
from lti_tool.services.tool import Tool


def review(tool: Tool, who: LaunchSession) -> SubmissionReview:
    """Return where the learner of this launch stands in what was opened; all badges where the LMS names none.

    Raises NotFound for a session that was not opened by a submission review."""
    with tool.db.read() as session:
        asked = messages.submission(session, who.launch_id)
        course = session.get_one(Course, who.course_id)
        person = session.scalar(
            select(Person).where(Person.registration_id == who.registration_id, Person.sub == asked.user_id)
        )
        enrolment = session.get(Enrolment, (course.id, person.id)) if person is not None else None
        sync = instructor_pages.sync_state(session, course)
        if person is None or enrolment is None:
            return SubmissionReview("", False, (), "", sync)
        slug, tag = subject(session, course.id, asked)
        return SubmissionReview(
            name=person.name or "Learner",
            learns=enrolment.active and enrolment.is_learner,
            standings=instructor_pages.standings(session, course, person, slug, tool.settings.base_url),
            only=tag,
            sync=sync,
        )


def subject(session: Session, course_id: int, asked: Submission) -> tuple[str, str]:
    """Return the badge and the row's tag that a submission belongs to, "" for what cannot be told.

    The column it was opened from says it best; the link's own parameters, which Moodle sends along, say it else."""
    in_course = CourseBadge.course_id == course_id
    if asked.line_item:
        columns = select(CourseBadge.slug, Column.tag, Column.url).join(Column).where(in_course)
        for slug, tag, url in session.execute(columns):
            if _same_line_item(url, asked.line_item):
                return slug, tag
    badge = session.scalar(select(CourseBadge).where(in_course, CourseBadge.slug == asked.badge))
    if badge is None or badge.version is None:
        return "", ""
    codes = {row["code"] for row in badge.version.definition.get("sub_competencies", ())}
    return badge.slug, f"sub-competency:{asked.sub_competency}" if asked.sub_competency in codes else ""


def _same_line_item(one: str, other: str) -> bool:
    """Compare by path: Canvas names a line item under the host of the day (source, line_items_serializer.rb)."""
    return urlsplit(one).path == urlsplit(other).path


def own_badge(tool: Tool, launch_id: str, course_id: int) -> str:
    """Return the slug of the badge a learner opened her own submission of, "" where none can be told."""
    with tool.db.read() as session:
        return subject(session, course_id, messages.submission(session, launch_id))[0]
