"""Stacks as one learner sees them: a tree of badges, each with where she stands, over courses and terms.

Nothing here tells more than she can see elsewhere: badges of this course as their own pages show them, and of other
courses what was issued to her."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from flask_babel import gettext as _
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.stacks import Tally
from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, Enrolment, Person
from lti_tool.services import stacks
from lti_tool.services.launches import LaunchSession
from lti_tool.services.pages import StudentCard, TreeNode
from lti_tool.services.rows import amount
from lti_tool.services.stack_words import rule_words

DEEPEST = 12  # tiers; a tree deeper than that is shown as far


@dataclass(frozen=True)
class _Look:
    """Who looks, from which course, and what is there: the stacks of her platform, by achievement."""

    session: Session
    person: Person
    course_id: int
    now: datetime
    cards: Mapping[str, StudentCard]
    here: Mapping[int, CourseBadge]  # this course's badges, by achievement
    stacks: Mapping[int, CourseBadge]


def trees(
    session: Session, who: LaunchSession, cards: Mapping[str, StudentCard], now: datetime
) -> tuple[TreeNode, ...]:
    """Return the stacks that this course's badges build up to, each whole; one that is part of another is in that."""
    look = _look(session, who, cards, now)
    wanted = _built_up_to(look)
    within = {part for made in wanted for part in _parts(look, look.stacks[made])}
    roots = sorted(wanted - within, key=lambda made: (made not in look.here, look.stacks[made].created_at))
    return tuple(_stack(look, look.stacks[made], ()) for made in roots)


def _built_up_to(look: _Look) -> set[int]:
    """Return the stacks of this course and those its badges are parts of, through however many others."""
    wanted = {made for made in look.stacks if made in look.here}
    grown = set(look.here)
    while grown:  # upwards, tier by tier
        grown = {made for made, badge in look.stacks.items() if made not in wanted and grown & _parts(look, badge)}
        wanted |= grown
    return wanted


def earned_elsewhere(session: Session, who: LaunchSession, now: datetime) -> list[CourseBadge]:
    """Return the stacks of other courses that this course's badges have brought her: she finds them nowhere else."""
    look = _look(session, who, {}, now)
    badges = [look.stacks[made] for made in _built_up_to(look) if look.stacks[made].course_id != who.course_id]
    found = [badge for badge in badges if _award(session, badge, look.person) is not None]
    return sorted(found, key=lambda badge: badge.created_at)


def tree(session: Session, who: LaunchSession, badge: CourseBadge, now: datetime) -> TreeNode | None:
    """Return the tree below one stack, None for any other badge."""
    if badge.version is None or not badge.version.members:
        return None
    return _stack(_look(session, who, {}, now), badge, ())


def of_another_course(session: Session, who: LaunchSession, badge_id: str) -> CourseBadge | None:
    """Return a stack of another course that this learner may have, by its id; None for anything else."""
    badge = session.get(CourseBadge, badge_id)
    if badge is None or badge.version is None or not badge.version.members or badge.course_id == who.course_id:
        return None
    person = session.get_one(Person, who.person_id)
    if badge.course.registration_id != person.registration_id:
        return None
    return badge if _open_to(session, badge, person) or _award(session, badge, person) is not None else None


def _open_to(session: Session, badge: CourseBadge, person: Person) -> bool:
    """Tell whether she can be awarded a stack: in its course, or anywhere where it is earned once for all courses."""
    if badge.status != "active" or badge.version is None:
        return False
    if badge.version.definition.get("once") == "person":
        return True
    enrolment = session.get(Enrolment, (badge.course_id, person.id))
    return enrolment is not None and enrolment.active and enrolment.is_learner


def _look(session: Session, who: LaunchSession, cards: Mapping[str, StudentCard], now: datetime) -> _Look:
    person = session.get_one(Person, who.person_id)
    query = (
        select(CourseBadge)
        .join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        .join(Course, Course.id == CourseBadge.course_id)
        .where(AchievementVersion.members.is_not(None), Course.registration_id == person.registration_id)
        .where(or_(CourseBadge.status == "active", CourseBadge.course_id == who.course_id))
        .options(joinedload(CourseBadge.version).joinedload(AchievementVersion.achievement))
        .order_by(CourseBadge.created_at.desc())
    )
    found: dict[int, CourseBadge] = {}
    for badge in session.scalars(query):  # this course's goes before another's, the oldest before a later one
        made = badge.version.achievement_id if badge.version is not None else 0
        own = badge.course_id == who.course_id
        if (own or _open_to(session, badge, person)) and not (
            made in found and found[made].course_id == who.course_id and not own
        ):
            found[made] = badge
    own_badges = select(CourseBadge).where(CourseBadge.course_id == who.course_id, CourseBadge.version_id.is_not(None))
    here = {badge.version.achievement_id: badge for badge in session.scalars(own_badges) if badge.version is not None}
    return _Look(session, person, who.course_id or 0, now, cards, here, found)


def _parts(look: _Look, badge: CourseBadge) -> set[int]:
    definition = _definition(badge)
    if definition.stack is None:
        return set()
    return {each.achievement.id for each in stacks.members(look.session, badge, definition.stack).values()}


def _definition(badge: CourseBadge) -> Badge:
    if badge.version is None:
        raise ValueError("a stack in a tree is published")
    return badge_from_content(badge.version.definition)


def _stack(look: _Look, badge: CourseBadge, above: tuple[int, ...]) -> TreeNode:
    definition = _definition(badge)
    assert definition.stack is not None and badge.version is not None
    made = badge.version.achievement_id
    found = stacks.members(look.session, badge, definition.stack)
    earned = stacks.earned(look.session, badge, [definition], look.now)
    tally = stacks.tally_of(definition.stack, look.person.holder_id, earned)
    counted = {part.slug for part in tally.counted}
    nodes = []
    for slug in definition.stack.members:
        if slug not in found:
            continue
        node = _member(look, found[slug], (*above, made))
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


def _standing(look: _Look, badge: CourseBadge, definition: Badge, tally: Tally) -> tuple[str, str]:
    award = _award(look.session, badge, look.person)
    if (over := _over(award, look.now)) is not None:
        return over
    have = amount(min(tally.have, Decimal(tally.needed)))
    word = _("%(met)s of %(all)s badges so far", met=have, all=tally.needed)
    if definition.counts_credits:
        word = _("%(met)s of %(all)s credits so far", met=have, all=tally.needed)
    return ("way" if tally.counted else "todo"), word


def _member(look: _Look, part: stacks.Member, above: tuple[int, ...]) -> TreeNode:
    made = part.achievement.id
    if made in look.stacks and made not in above and len(above) < DEEPEST:
        return _stack(look, look.stacks[made], above)
    node = TreeNode(
        name=part.name,
        state="todo",
        word="",
        slug=look.here[made].slug if made in look.here else "",
        picture="" if made in look.here else f"{_described(part.version)}.png",
        described=_described(part.version),
    )
    over = _over(_newest(look.session, made, look.person), look.now)
    if over is not None:
        return replace(node, state=over[0], word=over[1])
    card = look.cards.get(look.here[made].slug) if made in look.here else None
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


def _newest(session: Session, achievement_id: int, person: Person) -> Award | None:
    """Return the award of an achievement that says most: one in force before one that is not, else the latest."""
    query = select(Award).where(
        Award.achievement_id == achievement_id,
        Award.person_id == person.holder_id,
        Award.status.in_(("issued", "revoked")),
        Award.issued_at.is_not(None),
    )
    found = list(session.scalars(query.order_by(Award.issued_at)))
    return max(found, key=lambda award: (award.status == "issued" and award.live, award.issued_at), default=None)


def _award(session: Session, badge: CourseBadge, person: Person) -> Award | None:
    return _newest(session, badge.version.achievement_id, person) if badge.version is not None else None


def _offered(look: _Look, achievement_id: int) -> str:
    """Say where a badge can be earned: in a course of hers, else in any of her platform."""
    query = (
        select(Course)
        .join(CourseBadge, CourseBadge.course_id == Course.id)
        .join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        .where(AchievementVersion.achievement_id == achievement_id, CourseBadge.status == "active")
        .where(Course.registration_id == look.person.registration_id, Course.state != "concluded")
        .order_by(Course.created_at.desc())
    )
    courses = list(look.session.scalars(query))
    if not courses:
        return _("Not open at the moment")
    hers = set(look.session.scalars(select(Enrolment.course_id).where(Enrolment.person_id == look.person.id)))
    best = max(courses, key=lambda course: course.id in hers)
    return _("Offered in %(course)s", course=best.label or best.title or _("another course"))


def _described(version: AchievementVersion) -> str:
    return f"/achievements/{version.achievement.slug}/v{version.number}"
