"""What an instructor sees of badges from elsewhere that are to count as parts of a stack."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from lti_tool.domain.badge import Badge
from lti_tool.errors import NotFound
from lti_tool.models import Enrolment
from lti_tool.services import catalog, outside_badges, stacks
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.pages.student import OutsideView
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation


@dataclass(frozen=True)
class OutsidePage:
    slug: str
    badge: Badge
    status: str
    version: int
    handed_in: tuple[OutsideView, ...]
    parts: tuple[tuple[str, str], ...]  # slug, name
    learners: tuple[tuple[str, str], ...]  # person id, name
    may_manage: bool


def outside_page(tool: Tool, who: LaunchSession, slug: str) -> OutsidePage:
    """Return what was handed in for a course's stack; raises NotFound for any other badge."""
    if who.course_id is None:
        raise NotFound("not launched from a course")
    handed_in = outside_badges.of_badge(tool, who.course_id, slug)
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id, slug)
        definition = catalog.definition_of(badge)
        if definition.stack is None or badge.version is None:
            raise NotFound(f"{slug} is no stack that is published")
        parts = stacks.parts_of(session, badge, definition, tool.settings.base_url)
        query = (
            select(Enrolment)
            .where(Enrolment.course_id == who.course_id, Enrolment.active)
            .options(joinedload(Enrolment.person))
        )
        people = [(each.person_id, each.person.name) for each in session.scalars(query) if each.is_learner]
        return OutsidePage(
            slug=slug,
            badge=definition,
            status=badge.status,
            version=badge.version.number,
            handed_in=handed_in,
            parts=tuple((each, parts[each].name if each in parts else each) for each in definition.stack.members),
            learners=tuple(sorted(people, key=lambda each: (collation(each[1]), each[0]))),
            may_manage=MANAGE in who.rights,
        )
