"""Badges made of badges: what their parts mean, who has earned which, and what an award keeps of that.

A part's slug means what `prerequisites.achievement_of` says on the day of publishing, and from then on that: the
version keeps it (`AchievementVersion.members`), and so does every later version of the same course badge. Which
course, term or version a part was earned in makes no difference; whether it is signed does, since what is held back
would be given away by what it makes whole.

Who is judged: the learners of the course the stack stands in. One that is earned once for all courses
(`once = "person"`) is given besides to everybody of the same platform who has earned its parts as a learner elsewhere,
and is not somebody else than a learner here; whoever was given it so stays among them when no part is left."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.credentials import ob3
from lti_tool.domain.badge import PREREQUISITE, Badge, Stack, number_text
from lti_tool.domain.stacks import Part, Tally, standings, tally
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Award,
    CourseBadge,
    Edition,
    Enrolment,
    OutsideBadge,
    Person,
    may_be_awarded,
)
from lti_tool.sentence import Number, Sentence
from lti_tool.services import prerequisites

AWARD, OUTSIDE = "award:", "outside:"  # what `Part.known_as` begins with


@dataclass(frozen=True)
class Member:
    """A part of a stack: its slug there, and what it means. `version` is the newest one of it."""

    slug: str
    achievement: Achievement
    version: AchievementVersion

    @property
    def name(self) -> str:
        return str(self.version.definition["name"])

    @property
    def credits(self) -> Decimal:
        return Decimal(self.version.definition.get("credits", 0))


# -- what the parts mean ----------------------------------------------------------------------------------------


def member(session: Session, badge: CourseBadge, slug: str) -> Member | None:
    """Return what a slug means in a course badge, None where nothing of that name was ever published."""
    known = {each["slug"]: each for each in (badge.version.members if badge.version is not None else None) or ()}
    if slug in known:
        query = select(Achievement).where(Achievement.slug == known[slug]["achievement"])
        found = session.scalar(query)
    else:
        found = prerequisites.achievement_of(session, badge.course_id, slug)
    return Member(slug, found, found.versions[-1]) if found is not None else None


def members(session: Session, badge: CourseBadge, stack: Stack) -> dict[str, Member]:
    """Return the parts that mean something, by slug, in the stack's order."""
    found = {slug: member(session, badge, slug) for slug in stack.members}
    return {slug: each for slug, each in found.items() if each is not None}


def frozen(session: Session, badge: CourseBadge, definition: Badge) -> list[dict[str, Any]] | None:
    """Return what a version keeps of its parts: slug, name, and the public slug and version of their achievement."""
    if definition.stack is None:
        return None
    return [
        {"slug": each.slug, "name": each.name, "achievement": each.achievement.slug, "version": each.version.number}
        for each in members(session, badge, definition.stack).values()
    ]


def digest(plain_digest: str, session: Session, badge: CourseBadge, definition: Badge) -> str:
    """Return the digest of a definition with what its parts mean: in another course they may be other badges.

    A newer version of a part makes no other stack."""
    told = frozen(session, badge, definition)
    if told is None:
        return plain_digest
    meant = json.dumps([[each["slug"], each["achievement"]] for each in told])
    return hashlib.sha256(f"{plain_digest} {meant}".encode()).hexdigest()


def as_described(kept: Sequence[Mapping[str, Any]] | None, base_url: str) -> tuple[ob3.StackMember, ...]:
    """Return what a version kept of its parts as its Achievement describes them."""
    return tuple(
        ob3.StackMember(
            each["slug"], each["name"], ob3.achievement_address(base_url, each["achievement"], each["version"])
        )
        for each in kept or ()
    )


def parts_of(session: Session, badge: CourseBadge, definition: Badge, base_url: str) -> dict[str, ob3.StackMember]:
    """Return what the parts of a course badge are called and where they are described, by slug."""
    if definition.stack is None:
        return {}
    kept = badge.version.members if badge.version is not None and badge.version.members else ()
    known = {each["slug"] for each in kept}
    told = kept if known >= set(definition.stack.members) else frozen(session, badge, definition)
    return {each.slug: each for each in as_described(told, base_url)}


def described(session: Session, version: AchievementVersion, base_url: str) -> dict[str, ob3.StackMember]:
    """Return what the badges that a version asks for are called and where they are described, by slug.

    Its parts are as it has kept them; what comes first is as its own course means it."""
    first = prerequisites.first(session, version.achievement.owner_course_id, version.badge, base_url)
    return first | {part.slug: part for part in as_described(version.members, base_url)}


def least_results(definition: Badge) -> int | None:
    """Return how many sub-competencies, or parts, a credential of this badge must tell of as reached.

    Of one that counts credits one: how many give them is decided before, and no result of it says so."""
    return 1 if definition.counts_credits else definition.needed


# -- what cannot be ---------------------------------------------------------------------------------------------


def obstacles(session: Session, badge: CourseBadge, definition: Badge, called: Callable[[str], str]) -> Iterator[str]:
    """Say why a stack cannot be published as it is. `called` names a part that was never published, by its slug."""
    if definition.stack is None:
        return
    there = members(session, badge, definition.stack)
    for slug in definition.stack.members:
        if slug not in there:
            yield Sentence(
                "The badge “%(badge)s” is a part of it, and has not been published yet. Begin with that one.",
                badge=called(slug),
            )
    if too_few := too_few_credits(session, badge.course_id, definition, badge):
        yield too_few


def too_few_credits(session: Session, course_id: int, definition: Badge, badge: CourseBadge | None = None) -> str:
    """Say that a stack asks for more credits than its parts give; empty where not, or where one is not known yet."""
    stack = definition.stack
    if stack is None or not stack.counts_credits:
        return ""
    given = Decimal(0)
    for slug in stack.members:
        worth = _credits(session, course_id, slug, badge)
        if worth is None:
            return ""
        given += worth
    if given >= stack.needed:
        return ""
    return Sentence(
        "It asks for %(needed)s credits, and all its badges together give %(given)s.",
        needed=stack.needed,
        given=Number(number_text(given)),
    )


def _credits(session: Session, course_id: int, slug: str, badge: CourseBadge | None) -> Decimal | None:
    """Return the credits of a part, of a draft of this course too; None where nothing is known of it."""
    if badge is not None and (found := member(session, badge, slug)) is not None:
        return found.credits
    here = session.scalar(select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug))
    if here is not None:
        content = here.version.definition if here.version is not None else here.draft
        return None if content is None else Decimal(content.get("credits", 0))
    made = session.scalar(select(Achievement).where(Achievement.slug == slug))
    return Decimal(made.versions[-1].definition.get("credits", 0)) if made is not None else None


# -- who has earned which ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Earned:
    """What the learners of a course badge have earned of the parts that its versions ask for.

    `names` and `gives` (credits) are by slug, `parts` by `Person.holder_id`."""

    now: datetime
    names: Mapping[str, str]
    gives: Mapping[str, Decimal]
    parts: Mapping[str, tuple[Part, ...]]

    def told(self) -> str:
        """Return everything in it that a decision depends on, as text; nothing where no part is asked for."""
        if not self.names and not self.parts:
            return ""
        earned = sorted((person, [repr(part) for part in parts]) for person, parts in self._in_force())
        return repr((sorted(self.names.items()), sorted(self.gives.items()), earned))

    def _in_force(self) -> Iterator[tuple[str, list[tuple[Part, bool]]]]:
        for person, parts in self.parts.items():
            yield person, [(part, part.in_force(self.now)) for part in parts]


def earned(session: Session, badge: CourseBadge, definitions: Iterable[Badge], now: datetime) -> Earned:
    """Return who has earned which parts of these stacks: signed here, or accepted from elsewhere."""
    asked = {slug: None for each in definitions if each.stack is not None for slug in each.stack.members}
    found = {slug: each for slug in asked if (each := member(session, badge, slug)) is not None}
    parts: dict[str, list[Part]] = {}
    by_achievement: dict[int, list[str]] = {}
    for slug, each in found.items():
        by_achievement.setdefault(each.achievement.id, []).append(slug)
    if asked:
        for person_id, made, part in _awarded(session, badge, by_achievement):
            for slug in by_achievement[made]:
                parts.setdefault(person_id, []).append(dataclasses.replace(part, slug=slug))
        for person_id, part in _accepted(session, badge, found):
            parts.setdefault(person_id, []).append(part)
    return Earned(
        now,
        {slug: each.name for slug, each in found.items()},
        {slug: each.credits for slug, each in found.items()},
        {person: tuple(sorted(each, key=lambda part: (part.slug, part.known_as))) for person, each in parts.items()},
    )


def _awarded(
    session: Session, badge: CourseBadge, achievements: Mapping[int, Sequence[str]]
) -> Iterator[tuple[str, int, Part]]:
    """Yield the awards of these achievements on this platform: holder, achievement, and the part without its slug."""
    query = (
        select(
            Award.person_id,
            Award.achievement_id,
            Award.id,
            Award.issued_at,
            Award.expires_at,
            Award.status,
            AchievementVersion.definition["credits"].as_string(),
        )
        .join(AchievementVersion, AchievementVersion.id == Award.version_id)
        .join(Person, Person.id == Award.person_id)
        .where(
            Award.achievement_id.in_(achievements),
            Award.status.in_(("issued", "revoked")),
            Award.issued_at.is_not(None),
            Person.registration_id == badge.course.registration_id,
        )
    )
    for person_id, made, award_id, issued_at, ends_at, status, credits in session.execute(query):
        yield (
            person_id,
            made,
            Part("", issued_at, Decimal(credits or 0), ends_at, status == "revoked", f"{AWARD}{award_id}"),
        )


def _accepted(session: Session, badge: CourseBadge, found: Mapping[str, Member]) -> Iterator[tuple[str, Part]]:
    """Yield the outside badges that were accepted for a part here; each is worth what the part itself is."""
    holder = func.coalesce(Person.same_as_id, Person.id)
    query = (
        select(OutsideBadge, holder)
        .join(Person, Person.id == OutsideBadge.person_id)
        .where(OutsideBadge.course_badge_id == badge.id, OutsideBadge.status == "accepted")
    )
    for outside, person_id in session.execute(query):
        worth = found[outside.slug].credits if outside.slug in found else Decimal(0)
        gone = outside.problem is not None
        known_as = f"{OUTSIDE}{outside.id}"
        yield person_id, Part(outside.slug, outside.issued_at, worth, outside.ends_at, gone, known_as)


def tally_of(stack: Stack, holder_id: str, found: Earned) -> Tally:
    return tally(stack, found.parts.get(holder_id, ()), found.now)


def standings_of(stack: Stack, counted: Tally, found: Earned) -> list[Any]:
    return standings(stack, counted, found.names, found.gives)


def record_of(counted: Tally, tag: str) -> dict[str, Any]:
    """Return what a decision record keeps of a part that counts: which award, and when it was issued."""
    part = next((each for each in counted.counted if PREREQUISITE + each.slug == tag), None)
    return {"part": part.known_as, "issued_at": part.issued_at.isoformat()} if part is not None else {}


def others(session: Session, badge: CourseBadge, definition: Badge) -> list[tuple[str, str]]:
    """Return who is judged besides the course's learners, as (person id, LTI `sub`): see the top of this file."""
    if definition.stack is None or definition.once != "person":
        return []
    found = members(session, badge, definition.stack).values()
    holder = func.coalesce(Person.same_as_id, Person.id)
    here = (
        select(holder, Enrolment.roster_role, Enrolment.launch_role, Enrolment.active)
        .join(Person, Person.id == Enrolment.person_id)
        .where(Enrolment.course_id == badge.course_id)
    )
    # Whoever is an active learner here is judged as such; whoever is something else here is never awarded.
    settled = {
        person
        for person, roster, launch, active in session.execute(here)
        if active or not may_be_awarded(roster, launch, False)
    }
    has_a_part = Award.achievement_id.in_({each.achievement.id for each in found}) & (Award.status == "issued")
    has_the_whole = (Award.course_badge_id == badge.id) & Award.live
    query = (
        select(Person.id, Person.sub)
        .join(Award, Award.person_id == Person.id)
        .where(
            has_a_part | has_the_whole,
            Person.registration_id == badge.course.registration_id,
            ~Person.disabled,
            ~Person.test_user,
        )
        .distinct()
        .order_by(Person.id)
    )
    return [(person, sub) for person, sub in session.execute(query) if person not in settled]


# -- what an award keeps ----------------------------------------------------------------------------------------


def freeze(session: Session, decision: dict[str, Any]) -> dict[str, Any]:
    """Return a decision record that names the credentials of those parts whose pages are public at this moment.

    The others are not named: that somebody has a badge is hers to tell."""
    ids = [row["part"].removeprefix(AWARD) for row in decision["rows"] if row.get("part", "").startswith(AWARD)]
    if not ids:
        return decision
    query = (
        select(Edition.award_id, Edition.id)
        .join(Award)
        .where(Award.id.in_(ids), Award.page_public, Edition.signed_at.is_not(None), Edition.withdrawn_at.is_(None))
        .where(Edition.holder.is_(None))  # a wallet's copy is that wallet's
        .order_by(Edition.number)
    )
    public = {f"{AWARD}{award_id}": edition_id for award_id, edition_id in session.execute(query)}
    rows = [
        {**row, "credential": public[row["part"]]} if row.get("part") in public else row for row in decision["rows"]
    ]
    return {**decision, "rows": rows}


def results_of(definition: Badge, rows: Mapping[str, Mapping[str, Any]]) -> tuple[ob3.GateResult, ...]:
    """Return the parts that counted, as results of the credential."""
    if definition.stack is None:
        return ()
    return tuple(
        ob3.GateResult(slug, None, passed=True)
        for slug, tag in zip(definition.stack.members, definition.stack.tags, strict=True)
        if tag in rows and rows[tag]["state"] == "met"
    )


def with_evidence(facts: ob3.EditionFacts, edition: Edition, base_url: str) -> ob3.EditionFacts:
    """Return what an edition says, with the credentials of its parts that its decision record names as evidence."""
    decision = edition.decision or edition.award.decision
    named = [row for row in decision["rows"] if row.get("credential")]
    if not named or not facts.include_results:
        return facts
    evidence = tuple(
        ob3.Evidence(name=row["name"], url=ob3.credential_address(base_url, row["credential"]), genre="Credential")
        for row in named
    )
    return dataclasses.replace(facts, evidence=(*facts.evidence, *evidence))
