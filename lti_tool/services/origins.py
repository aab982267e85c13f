"""Where a course came from: what launches and notices tell of it, and which courses here that means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.models import ContextNotice, Course, CourseBadge, Deployment, ResourceLink

MOST_KEPT = 100  # ids of one history


# -- at a launch ------------------------------------------------------------------------------------------------


def news(session: Session, course: Course, launch: VerifiedLaunch, *, first: bool, now: datetime) -> bool:
    """Note what a launch tells of its course's and its link's past; tell whether any of it is new.

    `first`: the course was not known before, and notices may have come for it."""
    told = _put_first(launch.context_history, course.history)
    changed = told != course.history
    if changed:
        course.history = told
    if _note_link(session, course, launch, now):
        changed = True
    if first and not changed:
        where = (ContextNotice.deployment_pk == course.deployment_pk, ContextNotice.context_id == course.context_id)
        changed = session.scalar(select(ContextNotice.id).where(*where).limit(1)) is not None
    return changed


def link_id(launch: VerifiedLaunch) -> str | None:
    """Return the id of the place a launch came through, None where that is the course itself.

    Canvas' course navigation has the context's id there (source, jwt_message.rb)."""
    link, context = launch.resource_link, launch.context
    return link.id if link is not None and (context is None or link.id != context.id) else None


def _put_first(told: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Add ids that are new in front; a launch that tells none of them, or fewer, takes none away."""
    if set(told) <= set(kept):
        return list(kept)
    return list(dict.fromkeys([*told, *kept]))[:MOST_KEPT]


def _note_link(session: Session, course: Course, launch: VerifiedLaunch, now: datetime) -> bool:
    link = link_id(launch)
    if link is None:
        return False
    where = (ResourceLink.deployment_pk == course.deployment_pk, ResourceLink.resource_link_id == link)
    row = session.scalar(select(ResourceLink).where(*where))
    if row is None:
        row = ResourceLink(
            deployment_pk=course.deployment_pk, course_id=course.id, resource_link_id=link, history=[], created_at=now
        )
        session.add(row)
    told = _put_first(launch.link_history, row.history)
    changed = told != row.history
    row.history = told
    session.flush()
    return changed


# -- what it means ----------------------------------------------------------------------------------------------


def sources(session: Session, course: Course) -> dict[int, str]:
    """Return the courses this one was copied from, as far as they have badges: id → who told, "launch" or "notice".

    Of a history the first known id with a badge counts: it is the course that was copied, and what lies further back
    had its say there. A notice names each course that was copied from."""
    found: dict[int, str] = {}
    links = select(ResourceLink.history).where(ResourceLink.course_id == course.id)
    of_links = [_course_of_link(session, course, each) for ids in session.scalars(links) for each in ids]
    of_history = [_course_of_context(session, course, each) for each in course.history]
    for candidates in (of_history, of_links):
        first = next((c for c in candidates if c is not None and c.id != course.id and _has_badge(session, c.id)), None)
        if first is not None:
            found[first.id] = "launch"
            break
    notices = select(ContextNotice.origins).where(
        ContextNotice.deployment_pk == course.deployment_pk, ContextNotice.context_id == course.context_id
    )
    for origins in session.scalars(notices):
        for context_id in origins:
            origin = _course_of_context(session, course, context_id)
            if origin is not None and origin.id != course.id and _has_badge(session, origin.id):
                found[origin.id] = "notice"
    return found


def _course_of_context(session: Session, course: Course, context_id: str) -> Course | None:
    """Return a course of this registration, rather of the same deployment: ids need only be unique within one (K07)."""
    query = select(Course).where(Course.registration_id == course.registration_id, Course.context_id == context_id)
    return session.scalar(query.order_by(Course.deployment_pk != course.deployment_pk, Course.id).limit(1))


def _course_of_link(session: Session, course: Course, resource_link_id: str) -> Course | None:
    query = (
        select(Course)
        .join(ResourceLink, ResourceLink.course_id == Course.id)
        .join(Deployment, Deployment.id == ResourceLink.deployment_pk)
        .where(Deployment.registration_id == course.registration_id, ResourceLink.resource_link_id == resource_link_id)
    )
    return session.scalar(query.order_by(ResourceLink.deployment_pk != course.deployment_pk, Course.id).limit(1))


def _has_badge(session: Session, course_id: int) -> bool:
    return session.scalar(select(CourseBadge.id).where(CourseBadge.course_id == course_id).limit(1)) is not None
