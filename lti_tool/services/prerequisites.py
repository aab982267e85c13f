"""Badges that must be earned first: found by slug, in force or not, and who is due when one of them is awarded.

A slug means the badge that this course calls so; where it has none, the installation's achievement of that public
slug. Which course it was earned in makes no difference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ob3
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.prerequisites import circle
from lti_tool.models import Achievement, AchievementVersion, Award, CourseBadge, Prerequisite
from lti_tool.sentence import Sentence
from lti_tool.services import work
from lti_tool.services.tool import Tool

IN_FORCE = ("pending", "issued")  # one that is held back would be given away by what it opens


@dataclass(frozen=True)
class Held:
    """`names` of the badges asked for, by slug, and who has one in force: (Person.holder_id, slug)."""

    names: dict[str, str]
    pairs: frozenset[tuple[str, str]]


def achievement_of(session: Session, course_id: int, slug: str) -> Achievement | None:
    """Return what a slug means in a course: see the top of this file. None where nothing was ever published."""
    here = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
    badge = session.scalar(here)
    if badge is not None and badge.version is not None:
        return badge.version.achievement
    return session.scalar(select(Achievement).where(Achievement.slug == slug)) if badge is None else None


def held(session: Session, course_id: int, slugs: Collection[str], now: datetime) -> Held:
    """Return who has which of these badges in force now."""
    names: dict[str, str] = {}
    by_achievement: dict[int, list[str]] = {}
    for slug in sorted(slugs):
        achievement = achievement_of(session, course_id, slug)
        names[slug] = _newest(achievement).name if achievement is not None else slug
        if achievement is not None:
            by_achievement.setdefault(achievement.id, []).append(slug)
    if not by_achievement:
        return Held(names, frozenset())
    query = select(Award.person_id, Award.achievement_id).where(
        Award.achievement_id.in_(by_achievement),
        Award.status.in_(IN_FORCE),
        or_(Award.expires_at.is_(None), Award.expires_at > now),
    )
    found = {(person, slug) for person, made in session.execute(query) for slug in by_achievement[made]}
    return Held(names, frozenset(found))


def _newest(achievement: Achievement) -> Badge:
    return badge_from_content(achievement.versions[-1].definition)


def name_of(session: Session, course_id: int, slug: str) -> str:
    """Return the name of a badge that is asked for, its slug where there is none yet."""
    return held(session, course_id, [slug], datetime.now(UTC)).names[slug]


def newest(session: Session, asked: Collection[tuple[int, str]]) -> dict[tuple[int, str], AchievementVersion]:
    """Return the newest version of what each slug means in its course (course id, slug), in few queries.

    Nothing that was never published is in it."""
    if not asked:
        return {}
    slugs = {slug for _course, slug in asked}
    local = select(CourseBadge).where(CourseBadge.course_id.in_({id_ for id_, _ in asked}), CourseBadge.slug.in_(slugs))
    local = local.options(joinedload(CourseBadge.version))
    here = {(badge.course_id, badge.slug): badge.version for badge in session.scalars(local)}
    made = select(AchievementVersion).join(Achievement).order_by(AchievementVersion.number)
    ids = {version.achievement_id for version in here.values() if version is not None}
    made = made.where(or_(Achievement.slug.in_(slugs), Achievement.id.in_(ids)))
    by_id: dict[int, AchievementVersion] = {}
    by_slug: dict[str, AchievementVersion] = {}
    for version in session.scalars(made.options(joinedload(AchievementVersion.achievement))):
        by_id[version.achievement_id] = by_slug[version.achievement.slug] = version
    found = {}
    for pair in asked:
        own = here.get(pair)
        meant = by_id.get(own.achievement_id) if own is not None else None if pair in here else by_slug.get(pair[1])
        if meant is not None:
            found[pair] = meant
    return found


def described(version: AchievementVersion, slug: str, base_url: str) -> ob3.StackMember:
    """Return what a badge that is asked for by this slug is called, and where it is described."""
    address = ob3.achievement_address(base_url, version.achievement.slug, version.number)
    return ob3.StackMember(slug, str(version.definition["name"]), address)


def first(session: Session, course_id: int, badge: Badge, base_url: str) -> dict[str, ob3.StackMember]:
    """Return what the badges to be earned first are called in a course and where they are described, by slug."""
    found = newest(session, [(course_id, slug) for slug in badge.prerequisites])
    return {slug: described(version, slug, base_url) for (_course, slug), version in found.items()}


# -- what cannot be ---------------------------------------------------------------------------------------------


ELSEWHERE = "/"  # before the public slug of a badge that this course has not: no slug begins so


def circular(session: Session, course_id: int, badge: Badge) -> str:
    """Say in words that what a definition asks for comes round to itself; empty where it does not.

    Looked at are this course's drafts and badges, and everything that is published anywhere, each slug as it is meant
    where it is written. A draft of another course is not: nobody is to learn of it here, and it cannot be published
    once this is."""
    way = circle(badge.slug, _asks(session, course_id, badge))
    if not way:
        return ""
    said: str = f"“{way[0]}”"
    for slug in way[1:]:
        said = Sentence("%(way)s asks for “%(badge)s”", way=said, badge=slug.removeprefix(ELSEWHERE))
    return Sentence("It would have to be earned before itself: %(way)s.", way=said)


def _asks(session: Session, course_id: int, badge: Badge) -> Callable[[str], Sequence[str]]:
    query = select(CourseBadge).where(CourseBadge.course_id == course_id)
    here = {each.slug: each for each in session.scalars(query)}
    public = {each.version.achievement.slug: each.slug for each in here.values() if each.version is not None}

    def of_public(slug: str) -> str:
        return public.get(slug, ELSEWHERE + slug)

    def written_here(slug: str) -> str:
        return slug if slug in here or slug == badge.slug else of_public(slug)

    def of_version(version: AchievementVersion, at: int) -> Iterator[str]:
        """Yield what a published version asks for: its parts as it has kept them, what comes first as meant there."""
        yield from (of_public(each["achievement"]) for each in version.members or ())
        for slug in version.definition.get("prerequisites", ()):
            if at == course_id:
                yield written_here(slug)
            elif (found := achievement_of(session, at, slug)) is not None:
                yield of_public(found.slug)

    def asks(key: str) -> Sequence[str]:
        if key == badge.slug:
            return [written_here(slug) for slug in first_of(badge)]
        if key in here:
            draft, version = here[key].draft, here[key].version
            if draft is not None:
                return [written_here(slug) for slug in _asked_in(draft)]
            return list(of_version(version, course_id)) if version is not None else ()
        query = select(Achievement).where(Achievement.slug == key.removeprefix(ELSEWHERE))
        found = session.scalar(query)
        return list(of_version(found.versions[-1], found.owner_course_id)) if found is not None else ()

    return asks


def first_of(badge: Badge) -> tuple[str, ...]:
    """Return what must be earned before a badge: its prerequisites, and the members of a stack."""
    return badge.prerequisites + (badge.stack.members if badge.stack else ())


def _asked_in(content: dict[str, object]) -> tuple[str, ...]:
    stack = content.get("stack")
    members = stack.get("members", ()) if isinstance(stack, dict) else ()
    asked = content.get("prerequisites", ())
    return (*(asked if isinstance(asked, list | tuple) else ()), *members)


def obstacles(session: Session, badge: CourseBadge, definition: Badge, called: Callable[[str], str]) -> Iterable[str]:
    """Say why a badge with prerequisites cannot be published as it is. `called`: as for `stacks.obstacles`."""
    if sentence := circular(session, badge.course_id, definition):
        yield Sentence("%(problem)s Take one of these out.", problem=sentence)
    for slug in definition.prerequisites:
        if achievement_of(session, badge.course_id, slug) is None:
            yield Sentence(
                "It asks for the badge “%(badge)s” first, which has not been published here yet. Begin with that one.",
                badge=called(slug),
            )


# -- who is due -------------------------------------------------------------------------------------------------


def remember(session: Session, badge: CourseBadge, definition: Badge) -> None:
    """Write down what a badge that is being published asks for, first or as its parts."""
    known = set(session.scalars(select(Prerequisite.slug).where(Prerequisite.course_badge_id == badge.id)))
    wanted = set(first_of(definition))
    for row in session.scalars(select(Prerequisite).where(Prerequisite.course_badge_id == badge.id)):
        if row.slug not in wanted:
            session.delete(row)
    for slug in sorted(wanted - known):
        session.add(Prerequisite(course_badge_id=badge.id, slug=slug))


def look_again(tool: Tool, version_ids: Collection[int]) -> None:
    """Make courses due whose badges ask for one of these, which has just been awarded, withdrawn or moved.

    Only a hint: what is lost here is found by the course's next sync."""
    with tool.db.read() as session:
        made = select(AchievementVersion.achievement_id).where(AchievementVersion.id.in_(version_ids))
        public = select(Achievement.slug).where(Achievement.id.in_(made))
        local = select(CourseBadge.slug).join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        local = local.where(AchievementVersion.achievement_id.in_(made))
        asking = (
            select(CourseBadge.course_id)
            .join(Prerequisite, Prerequisite.course_badge_id == CourseBadge.id)
            .where(CourseBadge.status == "active", or_(Prerequisite.slug.in_(public), Prerequisite.slug.in_(local)))
            .distinct()
        )
        courses = list(session.scalars(asking))
    for course_id in courses:
        work.start(tool, "evaluate", str(course_id), again=True)
