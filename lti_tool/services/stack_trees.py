"""Stacks as one learner sees them: a tree of badges, each with where she stands, over courses and terms.

Nothing here tells more than she can see elsewhere: badges of this course as their own pages show them, and of other
courses what was issued to her."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from flask_babel import gettext as _
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from lti_tool.domain.badge import Badge, Stack
from lti_tool.domain.stacks import Part, Tally
from lti_tool.domain.stacks import tally as count
from lti_tool.models import Achievement, AchievementVersion, Award, Course, CourseBadge, Enrolment, OutsideBadge, Person
from lti_tool.services import stacks
from lti_tool.services.launches import LaunchSession
from lti_tool.services.pages.student import StudentCard, TreeNode
from lti_tool.services.rows import amount
from lti_tool.services.stack_words import rule_words

DEEPEST = 12  # tiers; a tree deeper than that is shown as far


@dataclass(frozen=True)
class Look:
    """Who looks, from which course, and what there is: the stacks of her platform, and all that their trees tell.

    Read at once, in as many queries however many stacks there are."""

    session: Session
    person: Person
    course_id: int
    now: datetime
    here: Mapping[int, CourseBadge]  # this course's badges, by achievement
    stacks: Mapping[int, CourseBadge]  # likewise
    made: Mapping[str, Achievement]  # what the parts of stacks mean, by public slug
    awards: Mapping[int, list[Award]]  # hers that were issued once, by achievement, oldest first
    accepted: Mapping[str, list[OutsideBadge]]  # hers from elsewhere that count, by stack
    offers: Mapping[int, list[Course]]  # where they can be earned, the newest course first, by achievement
    enrolled: frozenset[int]


def trees(look: Look, cards: Mapping[str, StudentCard]) -> tuple[TreeNode, ...]:
    """Return the stacks that this course's badges build up to, each whole; one that is part of another is in that."""
    wanted = _built_up_to(look)
    within = {part for made in wanted for part in _parts(look, look.stacks[made])}
    roots = sorted(wanted - within, key=lambda made: (made not in look.here, look.stacks[made].created_at))
    return tuple(_stack(look, cards, look.stacks[made], ()) for made in roots)


def _built_up_to(look: Look) -> set[int]:
    """Return the stacks of this course and those its badges are parts of, through however many others."""
    wanted = {made for made in look.stacks if made in look.here}
    grown = set(look.here)
    while grown:  # upwards, tier by tier
        grown = {made for made, badge in look.stacks.items() if made not in wanted and grown & _parts(look, badge)}
        wanted |= grown
    return wanted


def earned_elsewhere(look: Look) -> list[CourseBadge]:
    """Return the stacks of other courses that this course's badges have brought her: she finds them nowhere else."""
    badges = [look.stacks[made] for made in _built_up_to(look) if look.stacks[made].course_id != look.course_id]
    return sorted((badge for badge in badges if _award(look, badge) is not None), key=lambda badge: badge.created_at)


def tree(session: Session, who: LaunchSession, badge: CourseBadge, now: datetime) -> TreeNode | None:
    """Return the tree below one stack, None for any other badge."""
    if badge.version is None or not badge.version.members:
        return None
    return _stack(look(session, who, _published(session, who.course_id), now, also=badge), {}, badge, ())


def of_another_course(session: Session, who: LaunchSession, badge_id: str) -> CourseBadge | None:
    """Return a stack of another course that this learner may have, by its id; None for anything else."""
    badge = session.get(CourseBadge, badge_id)
    if badge is None or badge.version is None or not badge.version.members or badge.course_id == who.course_id:
        return None
    person = session.get_one(Person, who.person_id)
    if badge.course.registration_id != person.registration_id:
        return None
    if _open_to(badge, _enrolled(session, person)):
        return badge
    given = select(Award.id).where(
        Award.achievement_id == badge.version.achievement_id,
        Award.person_id == person.holder_id,
        Award.status.in_(("issued", "revoked")),
        Award.issued_at.is_not(None),
    )
    return badge if session.scalar(given.limit(1)) is not None else None


def _open_to(badge: CourseBadge, learns: Collection[int]) -> bool:
    """Tell whether she can be awarded a stack: in its course, or anywhere where it is earned once for all courses."""
    if badge.status != "active" or badge.version is None:
        return False
    return badge.version.definition.get("once") == "person" or badge.course_id in learns


def _enrolled(session: Session, person: Person) -> frozenset[int]:
    """Return the courses where she may be awarded."""
    query = select(Enrolment).where(Enrolment.person_id == person.id, Enrolment.active)
    rows = session.scalars(query.options(joinedload(Enrolment.person)))
    return frozenset(row.course_id for row in rows if row.is_learner)


def _published(session: Session, course_id: int | None) -> Sequence[CourseBadge]:
    query = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.version_id.is_not(None))
    return session.scalars(query.options(joinedload(CourseBadge.version))).all()


def look(
    session: Session,
    who: LaunchSession,
    badges: Iterable[CourseBadge],
    now: datetime,
    also: CourseBadge | None = None,
) -> Look:
    """Read what the trees of a learner's page tell. `badges` are this course's; `also` a stack that is drawn anyway."""
    person = session.get_one(Person, who.person_id)
    here = {badge.version.achievement_id: badge for badge in badges if badge.version is not None}
    learns = _enrolled(session, person)
    found = _stacks(session, who, person, learns)
    drawn = [*found.values(), *([also] if also is not None else ())]
    if not drawn:
        return Look(session, person, who.course_id or 0, now, here, {}, {}, {}, {}, {}, frozenset())
    slugs = {
        each["achievement"] for badge in drawn if badge.version is not None for each in badge.version.members or ()
    }
    meant = select(Achievement).where(Achievement.slug.in_(slugs)).options(selectinload(Achievement.versions))
    made = {each.slug: each for each in session.scalars(meant)}
    parts = {each.id for each in made.values()}
    enrolled = session.scalars(select(Enrolment.course_id).where(Enrolment.person_id == person.id))
    return Look(
        session,
        person,
        who.course_id or 0,
        now,
        here,
        found,
        made,
        _issued(session, person),
        _accepted(session, person, [badge.id for badge in drawn]),
        _offers(session, person, parts),
        frozenset(enrolled),
    )


def _stacks(session: Session, who: LaunchSession, person: Person, learns: Collection[int]) -> dict[int, CourseBadge]:
    query = (
        select(CourseBadge)
        .join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        .join(Course, Course.id == CourseBadge.course_id)
        .where(AchievementVersion.members.is_not(None), Course.registration_id == person.registration_id)
        .where(or_(CourseBadge.status == "active", CourseBadge.course_id == who.course_id))
        .options(
            joinedload(CourseBadge.version).joinedload(AchievementVersion.achievement), joinedload(CourseBadge.course)
        )
        .order_by(CourseBadge.created_at.desc())
    )
    found: dict[int, CourseBadge] = {}
    for badge in session.scalars(query):  # this course's goes before another's, the oldest before a later one
        made = badge.version.achievement_id if badge.version is not None else 0
        own = badge.course_id == who.course_id
        if (own or _open_to(badge, learns)) and not (
            made in found and found[made].course_id == who.course_id and not own
        ):
            found[made] = badge
    return found


def _issued(session: Session, person: Person) -> dict[int, list[Award]]:
    query = (
        select(Award)
        .where(
            Award.person_id == person.holder_id,
            Award.status.in_(("issued", "revoked")),
            Award.issued_at.is_not(None),
        )
        .options(joinedload(Award.version))
        .order_by(Award.issued_at)
    )
    found: dict[int, list[Award]] = {}
    for award in session.scalars(query):
        found.setdefault(award.achievement_id, []).append(award)
    return found


def _accepted(session: Session, person: Person, badge_ids: Sequence[str]) -> dict[str, list[OutsideBadge]]:
    query = (
        select(OutsideBadge)
        .join(Person, Person.id == OutsideBadge.person_id)
        .where(OutsideBadge.course_badge_id.in_(badge_ids), OutsideBadge.status == "accepted")
        .where(func.coalesce(Person.same_as_id, Person.id) == person.holder_id)
    )
    found: dict[str, list[OutsideBadge]] = {}
    for outside in session.scalars(query):
        found.setdefault(outside.course_badge_id, []).append(outside)
    return found


def _offers(session: Session, person: Person, achievements: Collection[int]) -> dict[int, list[Course]]:
    query = (
        select(AchievementVersion.achievement_id, Course)
        .join(CourseBadge, CourseBadge.version_id == AchievementVersion.id)
        .join(Course, Course.id == CourseBadge.course_id)
        .where(AchievementVersion.achievement_id.in_(achievements), CourseBadge.status == "active")
        .where(Course.registration_id == person.registration_id, Course.state != "concluded")
        .order_by(Course.created_at.desc())
    )
    found: dict[int, list[Course]] = {}
    for made, course in session.execute(query):
        found.setdefault(made, []).append(course)
    return found


def _members(look: Look, badge: CourseBadge, stack: Stack) -> dict[str, stacks.Member]:
    """Return the parts of a stack, by slug, in its order: what its version has kept of them."""
    kept = {each["slug"]: each for each in (badge.version.members if badge.version is not None else None) or ()}
    if not kept.keys() >= set(stack.members):
        return stacks.members(look.session, badge, stack)
    found = {slug: look.made.get(kept[slug]["achievement"]) for slug in stack.members}
    return {slug: stacks.Member(slug, made, made.versions[-1]) for slug, made in found.items() if made is not None}


def _parts(look: Look, badge: CourseBadge) -> set[int]:
    definition = _definition(badge)
    if definition.stack is None:
        return set()
    return {each.achievement.id for each in _members(look, badge, definition.stack).values()}


def _definition(badge: CourseBadge) -> Badge:
    if badge.version is None:
        raise ValueError("a stack in a tree is published")
    return badge.version.badge


def _stack(look: Look, cards: Mapping[str, StudentCard], badge: CourseBadge, above: tuple[int, ...]) -> TreeNode:
    definition = _definition(badge)
    assert definition.stack is not None and badge.version is not None
    made = badge.version.achievement_id
    found = _members(look, badge, definition.stack)
    tally = count(definition.stack, _earned(look, badge, found), look.now)
    counted = {part.slug for part in tally.counted}
    nodes = []
    for slug in definition.stack.members:
        if slug not in found:
            continue
        node = _member(look, cards, found[slug], (*above, made))
        if slug in counted and node.state != "done":  # another issuer's badge, accepted for it
            node = replace(node, state="done", word=_("Accepted from elsewhere"))
        nodes.append(node)
    state, word = _standing(look, badge, definition, tally)
    own = badge.course_id == look.course_id
    return TreeNode(
        name=definition.name,
        state=state,
        word=word,
        slug=badge.slug if own else badge.id,
        picture="",
        rule=rule_words(definition),
        parts=tuple(nodes),
        described=_described(badge.version),
    )


def _standing(look: Look, badge: CourseBadge, definition: Badge, tally: Tally) -> tuple[str, str]:
    award = _award(look, badge)
    if (over := _over(award, look.now)) is not None:
        return over
    have = amount(min(tally.have, Decimal(tally.needed)))
    word = _("%(met)s of %(all)s badges so far", met=have, all=tally.needed)
    if definition.counts_credits:
        word = _("%(met)s of %(all)s credits so far", met=have, all=tally.needed)
    return ("way" if tally.counted else "todo"), word


def _member(look: Look, cards: Mapping[str, StudentCard], part: stacks.Member, above: tuple[int, ...]) -> TreeNode:
    made = part.achievement.id
    if made in look.stacks and made not in above and len(above) < DEEPEST:
        return _stack(look, cards, look.stacks[made], above)
    node = TreeNode(
        name=part.name,
        state="todo",
        word="",
        slug=look.here[made].slug if made in look.here else "",
        picture="" if made in look.here else f"{_described(part.version)}.png",
        described=_described(part.version),
    )
    over = _over(_newest(look, made), look.now)
    if over is not None:
        return replace(node, state=over[0], word=over[1])
    card = cards.get(look.here[made].slug) if made in look.here else None
    if card is not None and card.state == "way":
        return replace(node, state="way", word=_("%(met)s of %(all)s", met=amount(card.met), all=card.of))
    if card is not None and card.state == "waiting":
        return replace(node, state="way", word=_("Reached, waits for your teacher"))
    if made in look.here:
        return replace(node, word=_("Not started"))
    return replace(node, word=_offered(look, made))


def _over(award: Award | None, now: datetime) -> tuple[str, str] | None:
    """Return state and word of a badge that was issued once, None where none was."""
    if award is None:
        return None
    if award.status == "revoked":
        return "over", _("Withdrawn")
    if award.expires_at is not None and award.expires_at <= now:
        return "over", _("No longer valid")
    return "done", _("Earned")


def _newest(look: Look, achievement_id: int) -> Award | None:
    """Return the award of an achievement that says most: one in force before one that is not, else the latest."""
    found = look.awards.get(achievement_id, ())
    return max(found, key=lambda award: (award.status == "issued" and award.live, award.issued_at), default=None)


def _award(look: Look, badge: CourseBadge) -> Award | None:
    return _newest(look, badge.version.achievement_id) if badge.version is not None else None


def _earned(look: Look, badge: CourseBadge, members: Mapping[str, stacks.Member]) -> Iterable[Part]:
    """Yield what she has earned of a stack's parts, as `stacks.earned` does of everybody."""
    for slug, part in members.items():
        for award in look.awards.get(part.achievement.id, ()):
            if award.issued_at is not None:
                yield Part(
                    slug,
                    award.issued_at,
                    Decimal(award.version.definition.get("credits", 0) or 0),
                    award.expires_at,
                    award.status == "revoked",
                    f"{stacks.AWARD}{award.id}",
                )
    for outside in look.accepted.get(badge.id, ()):
        worth = members[outside.slug].credits if outside.slug in members else Decimal(0)
        gone = outside.problem is not None
        known_as = f"{stacks.OUTSIDE}{outside.id}"
        yield Part(outside.slug, outside.issued_at, worth, outside.ends_at, gone, known_as)


def _offered(look: Look, achievement_id: int) -> str:
    """Say where a badge can be earned: in a course of hers, else in any of her platform."""
    courses = look.offers.get(achievement_id, ())
    if not courses:
        return _("Not open at the moment")
    best = max(courses, key=lambda course: course.id in look.enrolled)
    return _("Offered in %(course)s", course=best.label or best.title or _("another course"))


def _described(version: AchievementVersion) -> str:
    return f"/achievements/{version.achievement.slug}/v{version.number}"
