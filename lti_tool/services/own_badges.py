"""Whose badges are whose: which course badges somebody may open as her own, and where she stands in many at once.

Everything here is of one platform. People whom an administrator has linked are one: the awards of all of them lie with
`Person.holder_id`, and in each course it is judged who is a learner there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import PREREQUISITE, Badge, badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, EarlierVersion, Enrolment, Mastery, Person
from lti_tool.services import catalog, prerequisites, stack_trees, stacks
from lti_tool.services.awards import once_for_all
from lti_tool.services.launches import LaunchSession
from lti_tool.services.pages.rows import RowView
from lti_tool.services.rows import Parts, hide, row_views
from lti_tool.services.words import day, numbered

OPEN = ("pending", "review", "held")  # given, and not issued yet


@dataclass(frozen=True)
class Own:
    """Somebody with everybody she is linked to. `ids` begins with the one who looks."""

    holder_id: str
    registration_id: int
    ids: tuple[str, ...]


def own(session: Session, person_id: str) -> Own:
    person = session.get_one(Person, person_id)
    linked = select(Person.id).where(or_(Person.id == person.holder_id, Person.same_as_id == person.holder_id))
    others = session.scalars(linked.where(Person.id != person.id, ~Person.disabled).order_by(Person.id))
    return Own(person.holder_id, person.registration_id, (person.id, *others))


# -- what she may open ------------------------------------------------------------------------------------------


def find(session: Session, who: LaunchSession, key: str) -> CourseBadge:
    """Return the published badge that an address of somebody's own pages names; raises NotFound for any other.

    `key` is a slug of the course she was launched from, or a course badge's id: of any course where she is a learner,
    and of any where a badge was issued to her, whatever became of the course or her place in it since. The id of an
    award that was issued to her names its badge. What is private, absent or somebody else's answers the same (D14)."""
    found = None
    if who.course_id is not None and who.rights:
        query = select(CourseBadge).where(CourseBadge.course_id == who.course_id, CourseBadge.slug == key)
        found = session.scalar(query)
    if found is None:
        found = session.get(CourseBadge, key)
        if found is not None and not _is_hers(session, who, found):
            found = None
    if found is None and (award := issued_to(session, who.person_id, key)) is not None:
        found = award.course_badge
    if found is None or found.version is None:
        raise NotFound(f"badge {key} is not published, or not hers")
    return found


def issued_to(session: Session, person_id: str, award_id: str) -> Award | None:
    """Return an award that was issued to somebody; what is another's, or not there, is the same None (D14)."""
    holder = select(func.coalesce(Person.same_as_id, Person.id)).where(Person.id == person_id).scalar_subquery()
    query = select(Award).where(Award.id == award_id, Award.person_id == holder, Award.issued_at.is_not(None))
    return session.scalar(query) if award_id.isprintable() else None


def _is_hers(session: Session, who: LaunchSession, badge: CourseBadge) -> bool:
    if badge.version is None or badge.course.registration_id != who.registration_id:
        return False
    if badge.course_id == who.course_id and who.rights:
        return True
    me = own(session, who.person_id)
    given = select(Award.id).where(
        Award.course_badge_id == badge.id, Award.person_id == me.holder_id, Award.issued_at.is_not(None)
    )
    if session.scalar(given.limit(1)) is not None or badge.course_id in learns_in(session, me):
        return True
    return stack_trees.of_another_course(session, who, badge.id) is not None


def learns_in(session: Session, me: Own) -> dict[int, str]:
    """Return the courses where she may be awarded, and as which of the people she is there."""
    query = select(Enrolment).where(Enrolment.person_id.in_(me.ids), Enrolment.active)
    rows = session.scalars(query.options(joinedload(Enrolment.person)))
    found: dict[int, str] = {}
    for row in sorted(rows, key=lambda row: me.ids.index(row.person_id)):
        if row.is_learner:
            found.setdefault(row.course_id, row.person_id)
    return found


# -- where she stands in them -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """What a learner may see of a badge now; `definition` is what the rows are of.

    `earlier` are awards that were issued to her before the one that is shown."""

    definition: Badge
    award: Award | None
    rows: tuple[RowView, ...]
    shown: frozenset[str] = frozenset()  # the tags of which she may see what was found
    history: tuple[tuple[datetime, str], ...] = ()
    present: bool = True  # the rows are those she is judged by now; False: those an award was given for
    earlier: tuple[Award, ...] = ()


def standing(session: Session, badge: CourseBadge, person_id: str, now: datetime, base: str) -> Standing:
    me = own(session, person_id)
    judged = person_id
    if len(me.ids) > 1:
        judged = learns_in(session, me).get(badge.course_id, person_id)
    return standings(session, [badge], {badge.course_id: judged}, me, now, base)[badge.id]


def standings(
    session: Session,
    badges: Sequence[CourseBadge],
    judged: Mapping[int, str],
    me: Own,
    now: datetime,
    base: str,
    *,
    history: bool = True,
) -> dict[str, Standing]:
    """Return where somebody stands in each of these badges, by id: in six queries at most, however many there are.

    `judged` says by course which of the people she is judged there; the badges come with their versions.
    Held back, present levels are not even hinted at; an award issued here before shows what it was given for. That she
    has a badge which comes first is told all the same: it is no secret of this one."""
    ids = [badge.id for badge in badges]
    people = sorted(set(judged.values()))
    earlier = select(EarlierVersion).where(
        EarlierVersion.course_badge_id.in_(ids), EarlierVersion.person_id.in_(people)
    )
    began = {
        (row.course_badge_id, row.person_id): row.version
        for row in session.scalars(earlier.options(joinedload(EarlierVersion.version)))
    }
    stored: dict[tuple[str, str], dict[str, Mastery]] = {}
    rows = select(Mastery).where(Mastery.course_badge_id.in_(ids), Mastery.person_id.in_(people))
    for row in session.scalars(rows):
        stored.setdefault((row.course_badge_id, row.person_id), {})[row.tag] = row
    awards = _awards(session, badges, me.holder_id)
    judged_by: dict[str, Badge] = {}
    for badge in badges:
        version = began.get((badge.id, judged.get(badge.course_id, ""))) or badge.version
        judged_by[badge.id] = version.badge if version is not None else catalog.definition_of(badge)
    first = {(badge.course_id, slug) for badge in badges for slug in judged_by[badge.id].prerequisites}
    newest = prerequisites.newest(session, first)
    in_force = _in_force(session, me.holder_id, {each.achievement_id for each in newest.values()}, now)
    found = {}
    for badge in badges:
        definition, mine = judged_by[badge.id], awards.get(badge.id, [])
        asked = {
            slug: prerequisites.described(newest[badge.course_id, slug], slug, base)
            for slug in definition.prerequisites
            if (badge.course_id, slug) in newest
        } | stacks.parts_of(session, badge, definition, base)
        has = stored.get((badge.id, judged.get(badge.course_id, "")), {})
        earned = {
            slug
            for slug in definition.prerequisites
            if (meant := newest.get((badge.course_id, slug))) is not None and meant.achievement_id in in_force
        }
        found[badge.id] = _standing(badge, definition, asked, mine, has, earned, now, history)
    return found


def _in_force(session: Session, holder_id: str, achievement_ids: Collection[int], now: datetime) -> frozenset[int]:
    """Return which of these achievements she has, issued and in force."""
    if not achievement_ids:
        return frozenset()
    query = select(Award.achievement_id).where(
        Award.person_id == holder_id,
        Award.achievement_id.in_(achievement_ids),
        Award.status == "issued",
        or_(Award.expires_at.is_(None), Award.expires_at > now),
    )
    return frozenset(session.scalars(query))


def _awards(session: Session, badges: Sequence[CourseBadge], holder_id: str) -> dict[str, list[Award]]:
    """Return the awards that each badge's pages show her, the one that says most last: see `awards.newest_awards`."""
    made: dict[int, list[CourseBadge]] = {}
    for badge in badges:
        if badge.version is not None:
            made.setdefault(badge.version.achievement_id, []).append(badge)
    here = Award.course_badge_id.in_([badge.id for badge in badges])
    for_all = {made_by for made_by, theirs in made.items() if any(once_for_all(badge) for badge in theirs)}
    anywhere = Award.achievement_id.in_(made) & ((Award.scope == "installation") | Award.achievement_id.in_(for_all))
    query = select(Award).where(Award.person_id == holder_id, or_(here, anywhere))
    query = query.options(joinedload(Award.version).joinedload(AchievementVersion.achievement))
    found: dict[str, list[Award]] = {}
    for award in session.scalars(query.order_by(Award.earned_at, Award.id)):
        shown_at = {award.course_badge_id}
        for badge in made.get(award.achievement_id, ()):
            if award.scope == "installation" or once_for_all(badge):
                shown_at.add(badge.id)
        for badge_id in shown_at:
            found.setdefault(badge_id, []).append(award)
    for each in found.values():
        each.sort(key=lambda award: award.status != "superseded")
    return found


def _standing(
    badge: CourseBadge,
    definition: Badge,
    parts: Parts,
    awards: Sequence[Award],
    stored: Mapping[str, Mastery],
    earned: Collection[str],
    now: datetime,
    with_history: bool,
) -> Standing:
    if catalog.released(badge, now):
        # What the LMS does not show her yet is here as if it were not: no level, and not that there is one.
        visible = {tag: row for tag, row in stored.items() if row.record.get("released") is not False}
        hidden = len(visible) < len(stored)
        rows = row_views(definition, {tag: row.record for tag, row in visible.items()}, parts)
        if hidden:
            awards = [each for each in awards if each.status not in OPEN]
        award = awards[-1] if awards else None
        told = tuple(_history(rows, visible)) if with_history else ()
        shown = frozenset(row.tag for row in rows) - (stored.keys() - visible.keys())
        earlier = tuple(each for each in awards[:-1] if each.issued_at is not None)
        return Standing(definition, award, rows, shown, told, earlier=earlier)
    issued = [award for award in awards if award.course_badge_id == badge.id and award.issued_at is not None]
    if not issued:
        blank = row_views(
            definition, {PREREQUISITE + slug: {"state": "met", "name": parts[slug].name} for slug in earned}, parts
        )
        return Standing(definition, None, tuple(row if row.comes_first else hide(row) for row in blank))
    given_for = issued[-1].version.badge
    rows = row_views(given_for, {row["tag"]: row for row in issued[-1].decision["rows"]}, parts)
    return Standing(given_for, issued[-1], rows, present=False, earlier=tuple(issued[:-1]))


def _history(rows: Sequence[RowView], stored: Mapping[str, Mastery]) -> list[tuple[datetime, str]]:
    """Return what happened in each row, with when, the newest first: which level was reached, not that there was none.

    `until` of an earlier standing is when it was decided. One that the LMS did not show her then is as none."""
    told = []
    for row in rows:
        if (mastery := stored.get(row.tag)) is None:
            continue
        earlier = [(datetime.fromisoformat(each["until"]), each) for each in reversed(mastery.before)]
        had = ""
        for when, each in (*earlier, (mastery.decided_at, mastery.record)):
            if each.get("released") is False:
                continue
            has = each["reached"] if row.steps else each["state"] if each["state"] == "met" else ""
            if has != had:
                told.append((when, _what_happened(row, each["state"], has, day(when))))
            had = has
    return told


def _what_happened(row: RowView, state: str, has: str, when: str) -> str:
    if not has:
        if state == "ungraded":
            return _("%(day)s: “%(row)s” has no result any more", day=when, row=row.name)
        return _("%(day)s: “%(row)s” is not reached any more", day=when, row=row.name)
    if row.steps:
        return _("%(day)s: %(level)s in “%(row)s”", day=when, level=has, row=row.name)
    return _("%(day)s: “%(row)s” is fulfilled", day=when, row=row.name)


# -- in which order ---------------------------------------------------------------------------------------------


def in_order(badges: Iterable[CourseBadge]) -> list[CourseBadge]:
    """Return badges in their teacher's order: as they were made, and of those made at once by name, 10 after 9."""
    return sorted(badges, key=lambda badge: (badge.created_at, numbered(catalog.definition_of(badge).name), badge.id))


# -- her courses ------------------------------------------------------------------------------------------------


def label(course: Course) -> str:
    return course.label or course.title or _("another course")


def definition_of(award: Award) -> Badge:
    return badge_from_content(award.version.definition)
