"""A badge's versions in a course: what changed with each, when, by whom, how many have it. And its retirement.

Retired: nobody is awarded any more, and what was awarded stays and verifies for ever. A badge that was published is
never removed (H12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import achievement_address
from lti_tool.db import repeat_collided
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.changes import OF_BADGES, Change, changes
from lti_tool.errors import Conflict, NotFound
from lti_tool.models import AchievementVersion, Award, CourseBadge, EarlierVersion, Person, Publication
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, drift, versions, work
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.tool import Tool


@dataclass(frozen=True)
class VersionRow:
    """A version as it came into force here. `awarded` counts awards that stand; `by` is empty where nobody is known."""

    number: int
    url: str
    at: datetime
    by: str
    counts_for: str
    changes: tuple[Change, ...]  # against the one before; empty for the first, and where one came back unchanged
    first: bool
    present: bool
    awarded: int
    withdrawn: int
    under: int  # learners who are still judged by it, though a later one is in force


@dataclass(frozen=True)
class HistoryPage:
    slug: str
    badge: Badge
    status: str
    versions: tuple[VersionRow, ...]  # newest first
    waiting: tuple[Change, ...]  # what the draft would change
    draft: bool
    retired_at: datetime | None
    to_decide: int  # awards that wait for somebody, which a retired badge still lets go
    may_manage: bool
    drifts: tuple[drift.PastDrift, ...] = ()


def page(tool: Tool, who: LaunchSession, slug: str) -> HistoryPage:
    """Return a badge's versions in a course, newest first; raises NotFound for a badge never published."""
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id, slug)
        if badge.version is None:
            raise NotFound(f"badge {slug} is not published")
        present = badge_from_content(badge.version.definition)
        draft = badge_from_content(badge.draft) if badge.draft is not None else None
        return HistoryPage(
            slug=slug,
            badge=present,
            status=badge.status,
            versions=tuple(_rows(tool, session, badge)),
            waiting=changes_in(session, badge, present, draft, tool.settings.base_url) if draft is not None else (),
            draft=draft is not None,
            retired_at=badge.retired_at if badge.status == "retired" else None,
            to_decide=_count(session, Award.course_badge_id == badge.id, Award.status.in_(("review", "held"))),
            may_manage=MANAGE in who.rights,
            drifts=drift.history(session, badge),
        )


def _rows(tool: Tool, session: Session, badge: CourseBadge) -> list[VersionRow]:
    query = (
        select(Publication)
        .where(Publication.course_badge_id == badge.id)
        .options(joinedload(Publication.version).joinedload(AchievementVersion.achievement))
        .order_by(Publication.id)
    )
    rows: list[VersionRow] = []
    before: Badge | None = None
    published = list(session.scalars(query))
    names = _names(session, published)
    awarded = _awards_by_version(session, badge, standing=True)
    withdrawn = _awards_by_version(session, badge, standing=False)
    counted = select(EarlierVersion.version_id, func.count()).where(EarlierVersion.course_badge_id == badge.id)
    under = dict(session.execute(counted.group_by(EarlierVersion.version_id)).all())
    last = {each.version_id: each.id for each in published}  # one that came back carries its awards where it is newest
    for each in published:
        definition, version = badge_from_content(each.version.definition), each.version
        newest_of_it = last[version.id] == each.id
        rows.append(
            VersionRow(
                number=version.number,
                url=achievement_address(tool.settings.base_url, version.achievement.slug, version.number),
                at=each.published_at,
                by=names.get(each.actor, ""),
                counts_for=each.counts_for,
                changes=(
                    changes_in(session, badge, before, definition, tool.settings.base_url) if before is not None else ()
                ),
                first=before is None,
                present=each is published[-1],
                awarded=awarded.get(version.id, 0) if newest_of_it else 0,
                withdrawn=withdrawn.get(version.id, 0) if newest_of_it else 0,
                under=under.get(version.id, 0) if newest_of_it else 0,
            )
        )
        before = definition
    return rows[::-1]


def changes_in(session: Session, badge: CourseBadge, old: Badge, new: Badge, base_url: str) -> tuple[Change, ...]:
    """Return what is different between two definitions of a course badge, other badges by what they are called."""
    found = changes(old, new)
    if not any(one.what in OF_BADGES for one in found):
        return tuple(found)
    asked = catalog.asked_of(session, badge, old, base_url) | catalog.asked_of(session, badge, new, base_url)
    names = {slug: member.name for slug, member in asked.items()}
    return tuple(
        replace(one, name=names.get(one.name) or catalog.called(session, badge.course_id, one.name))
        if one.what in OF_BADGES
        else one
        for one in found
    )


def _awards_by_version(session: Session, badge: CourseBadge, *, standing: bool) -> dict[int, int]:
    is_gone = Award.status.in_(("revoked", "superseded"))
    query = select(Award.version_id, func.count()).where(Award.course_badge_id == badge.id)
    query = query.where(~is_gone if standing else is_gone).group_by(Award.version_id)
    return dict(session.execute(query).all())


def _count(session: Session, *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Award).where(*where)) or 0


def _names(session: Session, published: Sequence[Publication]) -> dict[str, str]:
    """Return who published, by the audit log's actor: a person of the LMS by name, the operator by her part."""
    ids = {each.actor.removeprefix("person:") for each in published if each.actor.startswith("person:")}
    people = session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    named = {audit.person(person_id): name for person_id, name in people if name}
    return {audit.OPERATOR: _("the operator, by command"), **named}


# -- retirement -------------------------------------------------------------------------------------------------


def retire(tool: Tool, course_id: int, slug: str, *, actor: str, now: datetime) -> None:
    """Award a badge no more. What was awarded stays; what waits for an instructor can still be decided.

    Raises Conflict for one that was never published, or is being published."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        catalog.refuse_while_publishing(session, badge)
        if badge.version_id is None:
            raise Conflict(
                sentence=Sentence("This badge was never published, so there is nothing to retire."),
                what_to_do=Sentence("Remove the draft if it is not needed."),
            )
        if badge.status == "retired":
            return
        badge.status, badge.retired_at = "retired", now
        audit.record(session, now, actor, "badge.retired", f"badge:{badge.id}", slug=slug)


def bring_back(tool: Tool, course_id: int, slug: str, *, actor: str, now: datetime) -> int | None:
    """Let a retired badge be awarded again; returns the job that reads its grades, None where it was not retired."""
    return repeat_collided(lambda: _bring_back(tool, course_id, slug, actor, now))


def _bring_back(tool: Tool, course_id: int, slug: str, actor: str, now: datetime) -> int | None:
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        if badge.status != "retired":
            return None
        badge.status, badge.retired_at, badge.evaluated = "active", None, None
        audit.record(session, now, actor, "badge.brought_back", f"badge:{badge.id}", slug=slug)
        return work.request_in(session, "sync", str(course_id), now, again=True)


def note_of_version(session: Session, badge: CourseBadge, award: Award | None, person_id: str) -> tuple[int, int]:
    """Return the number of the version a learner's award was given under and of the one her page shows.

    (0, 0) where they are the same or there is no award: then there is nothing to say."""
    shown = versions.earlier(session, badge).get(person_id) or badge.version
    if award is None or shown is None or award.version_id == shown.id or award.status in ("revoked", "superseded"):
        return (0, 0)
    return (award.version.number, shown.number)
