"""What a launch asks for beyond a page, kept with its session; and the badge that a placed link names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.errors import NotFound
from lti_tool.lti import claims as c
from lti_tool.lti.claims import DeepLinking
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.platforms import platform_of
from lti_tool.models import Column, CourseBadge, Message
from lti_tool.sentence import Sentence
from lti_tool.services import catalog, work
from lti_tool.services.launches import LOOK, Opened
from lti_tool.services.tool import Tool

# The custom parameters a placed link carries; they survive a course copy.
BADGE, SUB_COMPETENCY = "badge", "sub_competency"


@dataclass(frozen=True)
class Submission:
    """Whose submission is reviewed, and of what: what the link names, and the column the LMS opened it from."""

    user_id: str
    badge: str
    sub_competency: str
    line_item: str


@dataclass(frozen=True)
class Named:
    """What a placed link leads to: a badge of the course that this person may know of, None where there is none.

    `code` is that of the sub-competency, empty for the badge as a whole or one that it no longer has."""

    slug: str | None
    code: str


def keep(tool: Tool, launch_id: str, launch: VerifiedLaunch, product: str) -> None:
    """Write down what a deep linking or submission review launch asks for; it lives as long as its session."""
    told: dict[str, Any]
    if launch.deep_linking is not None:
        makes_column = platform_of(product).link_makes_column(launch.raw)
        told = {"settings": dataclasses.asdict(launch.deep_linking), "link_makes_column": makes_column}
    else:
        assert launch.for_user is not None
        told = {
            "user_id": launch.for_user.user_id,
            "badge": launch.custom.get(BADGE, ""),
            "sub_competency": launch.custom.get(SUB_COMPETENCY, ""),
            "line_item": (launch.ags.line_item if launch.ags else None) or "",
        }
    with tool.db.write() as session:
        session.add(Message(launch_id=launch_id, message_type=launch.message_type, told=told))


def deep_linking(session: Session, launch_id: str) -> tuple[DeepLinking, bool]:
    """Return the settings of a deep linking launch, and whether its links get a column whether we ask or not.

    Raises NotFound for a session that was opened by another message."""
    told = _told(session, launch_id, c.DEEP_LINKING_REQUEST)
    settings: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in told["settings"].items()}
    return DeepLinking(**settings), told["link_makes_column"]


def submission(session: Session, launch_id: str) -> Submission:
    """Return what a submission review launch is about; raises NotFound as `deep_linking`."""
    return Submission(**_told(session, launch_id, c.SUBMISSION_REVIEW_REQUEST))


def _told(session: Session, launch_id: str, message_type: str) -> dict[str, Any]:
    row = session.get(Message, launch_id)
    if row is None or row.message_type != message_type:
        raise NotFound(
            f"the launch is no {message_type}",
            sentence=Sentence("This page belongs to a step in your LMS that is not under way."),
            what_to_do=Sentence("Begin it again in your LMS."),
        )
    return row.told


def named_badge(tool: Tool, opened: Opened, custom: Mapping[str, str]) -> Named | None:
    """Return what a resource link names, None for a link that names nothing.

    A learner's link to a draft leads nowhere yet: drafts do not exist for learners."""
    slug = custom.get(BADGE, "")
    if not slug:
        return None
    with tool.db.read() as session:
        badge = session.scalar(
            select(CourseBadge).where(CourseBadge.course_id == opened.course_id, CourseBadge.slug == slug)
        )
        if badge is None or (badge.version is None and LOOK not in opened.rights):
            return Named(None, "")
        codes = {row.code for row in catalog.definition_of(badge).sub_competencies}
        code = custom.get(SUB_COMPETENCY, "")
        return Named(slug, code if code in codes else "")


def look_for_columns(tool: Tool, course_id: int, slug: str) -> None:
    """Start a sync where a badge misses a column: the link that was just opened may have brought it back."""
    missing = (
        select(Column.id)
        .join(CourseBadge)
        .where(CourseBadge.course_id == course_id, CourseBadge.slug == slug, CourseBadge.status == "active")
        .where(Column.state == "missing")
    )
    with tool.db.read() as session:
        found = session.scalar(missing.limit(1))
    if found is not None:
        work.start(tool, "sync", str(course_id))
