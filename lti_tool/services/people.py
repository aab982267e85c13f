"""One human under two ids: after Canvas merges two accounts, old courses keep naming the old id and new ones do not.

Nothing here is done by itself. An e-mail address is no proof, since people can often change theirs in the LMS: it makes
a suggestion, to an administrator and to nobody else. Linking moves awards to one of the two, where the database allows
one live award of a kind; the credentials keep naming whom they named. Unlinking puts everything back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import Award, Course, Enrolment, Person, PersonLink, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import audit, award_acts, awards, prerequisites
from lti_tool.services.tool import Tool

MOST_SUGGESTIONS = 200


@dataclass(frozen=True)
class PersonView:
    """A person as an administrator meets her. Nobody's name or address is in the `repr`, which may end up in a log."""

    id: str
    sub: str
    platform: str
    first_seen: datetime
    courses: tuple[str, ...]
    awards: int
    name: str = field(repr=False)
    email: str = field(repr=False)


@dataclass(frozen=True)
class Suggestion:
    """Two people of one platform with one e-mail address. `person` would be linked to `same_as`, the earlier one."""

    person: PersonView
    same_as: PersonView


@dataclass(frozen=True)
class LinkView:
    """Two ids that an administrator has linked. `replaced`: awards that another one stands in for since."""

    id: str
    person: PersonView
    same_as: PersonView
    linked_at: datetime
    replaced: int


# -- looking ----------------------------------------------------------------------------------------------------


def suggestions(tool: Tool) -> list[Suggestion]:
    """Return pairs that may be one human: one platform, one e-mail address, neither linked nor looked at before."""
    address = func.lower(Person.email)
    real = (Person.email != "", ~Person.test_user)
    shared = select(Person.registration_id, address).where(*real).group_by(Person.registration_id, address)
    twice = shared.having(func.count() > 1).subquery()
    query = (
        select(Person)
        .join(twice, (Person.registration_id == twice.c[0]) & (address == twice.c[1]))
        .where(*real)
        .order_by(Person.registration_id, address, Person.created_at, Person.id)
        .limit(MOST_SUGGESTIONS * 5)
    )
    with tool.db.read() as session:
        groups: dict[tuple[int, str], list[Person]] = {}
        for person in session.scalars(query):
            groups.setdefault((person.registration_id, person.email.lower()), []).append(person)
        decided = {frozenset((link.person_id, link.same_as_id)) for link in session.scalars(select(PersonLink))}
        pairs = [
            (person, group[0])
            for group in groups.values()
            for person in group[1:]
            if person.holder_id != group[0].holder_id and frozenset((person.id, group[0].id)) not in decided
        ][:MOST_SUGGESTIONS]
        views = _views(session, {each for pair in pairs for each in pair})
        return [Suggestion(views[person.id], views[same_as.id]) for person, same_as in pairs]


def links(tool: Tool) -> list[LinkView]:
    """Return who is linked to whom at present, the newest first."""
    query = (
        select(PersonLink)
        .where(PersonLink.state == "linked")
        .options(joinedload(PersonLink.person), joinedload(PersonLink.same_as))
        .order_by(PersonLink.decided_at.desc())
    )
    with tool.db.read() as session:
        found = list(session.scalars(query))
        views = _views(session, {person for link in found for person in (link.person, link.same_as)})
        return [
            LinkView(
                link.id,
                views[link.person_id],
                views[link.same_as_id],
                link.decided_at,
                len(link.undo.get("superseded", ())),
            )
            for link in found
        ]


def find_person(tool: Tool, registration_id: int, sub: str) -> str:
    """Return the id of the person an LMS names so; raises NotFound."""
    where = (Person.registration_id == registration_id, Person.sub == sub.strip())
    with tool.db.read() as session:
        found = session.scalar(select(Person.id).where(*where)) if sub.isprintable() else None
    if found is None:
        raise NotFound(
            f"no such person on platform {registration_id}",
            sentence=Sentence("Nobody with this user id has been seen from this platform."),
            what_to_do=Sentence("The id is the one the LMS sends: lti-tool awards list shows it as “user”."),
        )
    return found


def platforms(tool: Tool) -> list[tuple[int, str]]:
    """Return the platforms people come from, for a choice: id, name."""
    with tool.db.read() as session:
        rows = session.execute(select(Registration.id, Registration.name).order_by(Registration.id))
        return [(row.id, row.name) for row in rows]


def _views(session: Session, people: Iterable[Person]) -> dict[str, PersonView]:
    by_id = {person.id: person for person in people}
    query = (
        select(Enrolment.person_id, Course.label, Course.title)
        .join(Course, Course.id == Enrolment.course_id)
        .where(Enrolment.person_id.in_(by_id))
        .order_by(Course.id)
    )
    courses: dict[str, list[str]] = {}
    for row in session.execute(query):
        courses.setdefault(row.person_id, []).append(row.label or row.title or _("a course"))
    # By whom they were earned: linking moves them, and that is not what is asked here.
    earned = func.coalesce(Award.earned_as_id, Award.person_id)
    counted = select(earned, func.count()).where(earned.in_(by_id)).group_by(earned)
    counts: dict[str, int] = {row[0]: row[1] for row in session.execute(counted)}
    names = {row.id: row.name for row in session.execute(select(Registration.id, Registration.name))}
    return {
        id_: PersonView(
            id=id_,
            sub=person.sub,
            platform=names[person.registration_id],
            first_seen=person.created_at,
            courses=tuple(courses.get(id_, ())),
            awards=counts.get(id_, 0),
            name=person.name,
            email=person.email,
        )
        for id_, person in by_id.items()
    }


# -- deciding ---------------------------------------------------------------------------------------------------


def link(tool: Tool, person_id: str, same_as_id: str, *, actor: str, now: datetime) -> str:
    """Link a person to another: from now on the awards of both are the other's. Returns the link's id.

    Of two live awards of one badge and scope the one that is issued stays, of two of a kind the earlier; the other is
    superseded (H15). Raises Conflict where the two cannot be linked."""
    link_id = repeat_collided(lambda: _link(tool, person_id, same_as_id, actor, now))
    _look_again(tool, [person_id, same_as_id])
    return link_id


def _look_again(tool: Tool, people: Sequence[str]) -> None:
    """Let badges be looked at again that ask for what one of these has: it is another's now."""
    with tool.db.read() as session:
        theirs = or_(Award.person_id.in_(people), Award.earned_as_id.in_(people))
        versions = set(session.scalars(select(Award.version_id).where(theirs).distinct()))
    if versions:
        prerequisites.look_again(tool, versions)


def _link(tool: Tool, person_id: str, same_as_id: str, actor: str, now: datetime) -> str:
    with tool.db.write() as session:
        person, same_as = _pair(session, person_id, same_as_id)
        _refuse(session, person, same_as)
        theirs = _awards_of(session, person.id)
        superseded = _collapse(session, theirs, _awards_of(session, same_as.id), now)
        session.flush()
        for award in theirs:
            award.earned_as_id = award.earned_as_id or person.id
            award.person_id = same_as.id
        person.same_as_id = same_as.id
        row = PersonLink(
            person_id=person.id,
            same_as_id=same_as.id,
            state="linked",
            undo={"superseded": superseded},
            decided_at=now,
        )
        session.add(row)
        session.flush()
        for each in superseded:
            audit.record(session, now, actor, "award.superseded", f"award:{each['award']}", by=each["by"])
        audit.record(session, now, actor, "person.linked", f"person:{person.id}", same_as=same_as.id, link=row.id)
        return row.id


def _pair(session: Session, person_id: str, same_as_id: str) -> tuple[Person, Person]:
    """Return her and the one she is the same as, in the end: where that one is linked to another, the other.

    All are locked, in one order: two administrators who link them both ways do not wait for each other, and nobody
    links the other away meanwhile."""
    if person_id == same_as_id:
        raise BadInput(sentence=Sentence("These are the same user id, so there is nothing to link."))
    end = session.scalar(select(Person.same_as_id).where(Person.id == same_as_id))
    wanted = {person_id, same_as_id, end or same_as_id}
    query = select(Person).where(Person.id.in_(wanted)).order_by(Person.id).execution_options(populate_existing=True)
    found = {person.id: person for person in session.scalars(query.with_for_update(key_share=True))}
    if len(found) < len(wanted):
        raise NotFound("no such person", sentence=Sentence("One of the two people is not there."))
    if found[same_as_id].same_as_id != end:
        raise Conflict(
            sentence=Sentence("Somebody else linked one of them in this moment."),
            what_to_do=Sentence("Look again, then link."),
        )
    return found[person_id], found[end or same_as_id]


def _refuse(session: Session, person: Person, same_as: Person) -> None:
    dependents = select(Person.id).where(Person.same_as_id == person.id).limit(1)
    if person.same_as_id is not None or person.id == same_as.id or session.scalar(dependents) is not None:
        raise Conflict(
            sentence=Sentence("This person is linked already."),
            what_to_do=Sentence("Unlink what is there first, then link the two you mean."),
        )
    if person.registration_id != same_as.registration_id:
        raise Conflict(
            sentence=Sentence("These two come from different platforms."),
            what_to_do=Sentence("Only two user ids of one platform can be linked."),
        )


def _awards_of(session: Session, person_id: str) -> list[Award]:
    query = select(Award).where(Award.person_id == person_id).order_by(Award.id)
    return list(session.scalars(query.with_for_update(key_share=True)))


def _collapse(
    session: Session, theirs: Sequence[Award], others: Sequence[Award], now: datetime
) -> list[dict[str, Any]]:
    """Supersede one of each two awards in force of the same badge and scope; returns what that changed, to undo it."""
    for award in (*theirs, *others):
        if awards.shown_status(award, now) == "expired":
            award.live = False
    live = {(award.achievement_id, award.scope): award for award in others if award.live}
    changed: list[dict[str, Any]] = []
    for award in theirs:
        other = live.get((award.achievement_id, award.scope)) if award.live else None
        if other is None:
            continue
        # An issued one is in somebody's hands: one that still waits, though it was earned earlier, does not replace it.
        stays, goes = sorted((award, other), key=lambda a: (a.status != "issued", a.earned_at, a.id))
        was = goes.status
        award_acts.supersede(session, goes, now)
        changed.append({"award": goes.id, "status": was, "by": stays.id})
    return changed


def unlink(tool: Tool, link_id: str, *, actor: str, now: datetime) -> None:
    """Take a link back: each has her own awards again, and those that were superseded by it count again (H16).

    One whose credential had been issued gets a new one, which `editions.sign_pending` signs. The decision is kept."""
    _look_again(tool, repeat_collided(lambda: _unlink(tool, link_id, actor, now)))


def _unlink(tool: Tool, link_id: str, actor: str, now: datetime) -> list[str]:
    with tool.db.write() as session:
        row = session.get(PersonLink, link_id, with_for_update={"key_share": True})
        if row is None or row.state != "linked":
            raise NotFound("no such link", sentence=Sentence("These two are not linked any more."))
        person, _ = _pair(session, row.person_id, row.same_as_id)
        person.same_as_id = None
        earned = select(Award).where(Award.earned_as_id == person.id).order_by(Award.id)
        for award in session.scalars(earned.with_for_update(key_share=True)):
            award.person_id, award.earned_as_id = person.id, None
        session.flush()
        restored = [each["award"] for each in row.undo.get("superseded", ()) if _restore(session, each, now)]
        row.state, row.unlinked_at = "unlinked", now
        for award_id in restored:
            audit.record(session, now, actor, "award.restored", f"award:{award_id}")
        audit.record(session, now, actor, "person.unlinked", f"person:{person.id}", same_as=row.same_as_id, link=row.id)
        return [person.id, row.same_as_id]


def _restore(session: Session, told: dict[str, Any], now: datetime) -> bool:
    """Put one award back, unless her own badge was given to her anew since."""
    award = session.get_one(Award, told["award"], with_for_update={"key_share": True})
    if award.status != "superseded":
        return False
    others = (
        Award.achievement_id == award.achievement_id,
        Award.person_id == award.person_id,
        Award.scope == award.scope,
        Award.live,
    )
    session.execute(update(Award).where(*others, awards.is_over(now)).values(live=False))
    if session.scalar(select(Award.id).where(*others).limit(1)) is not None:
        return False
    award_acts.restore(session, award, told["status"], now)
    session.flush()
    return True


def refuse(tool: Tool, person_id: str, same_as_id: str, *, actor: str, now: datetime) -> None:
    """Write down that two people are not one: they are suggested no more."""
    with tool.db.write() as session:
        person, _ = _pair(session, person_id, same_as_id)
        row = PersonLink(person_id=person.id, same_as_id=same_as_id, state="refused", decided_at=now)
        session.add(row)
        session.flush()
        audit.record(session, now, actor, "person.link_refused", f"person:{person.id}", same_as=same_as_id)
