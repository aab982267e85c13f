"""What people may ask about their own data: to be erased, and to be called by another name. An administrator decides.

A name that is not the LMS's goes into credentials that strangers trust, so nobody gives herself one. An erasure cannot
be taken back, so somebody else looks at it first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import signable
from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import Award, Enrolment, Evidence, Person, Registration, RightsRequest
from lti_tool.sentence import Sentence
from lti_tool.services import audit, award_acts, editions, erasures
from lti_tool.services.award_acts import one_line
from lti_tool.services.awards import shown_status
from lti_tool.services.her_data import who_is
from lti_tool.services.tool import Tool

LONGEST_NAME = 255
MOST_A_DAY = 10  # requests of one kind that somebody makes: an administrator reads each
A_PAGE = 100  # of requests that were decided
DECIDED_ALREADY = Sentence("This request has been decided or withdrawn already.")


@dataclass(frozen=True)
class OwnRequest:
    """A request as whoever made it sees it. `reason` is why it was refused."""

    id: str
    kind: str
    state: str
    asked_at: datetime
    decided_at: datetime | None
    reason: str
    wanted: str = field(repr=False)


@dataclass(frozen=True)
class OwnRights:
    """What a learner's page about her data shows: her names, and what she has asked for, the newest of each kind.

    `awards` are those an erasure would withdraw before others' eyes. One that is not issued yet is none of them: that
    there is one is not told before its release."""

    lms_name: str = field(repr=False)
    shown_name: str = field(repr=False)
    name: OwnRequest | None
    erasure: OwnRequest | None
    awards: int


@dataclass(frozen=True)
class RequestRow:
    """A request in the administrator's list: no more of a person than that she asked."""

    id: str
    kind: str
    state: str
    platform: str
    asked_at: datetime
    decided_at: datetime | None
    finished_at: datetime | None
    by: str  # who asked: "herself", "administrator", "operator"


@dataclass(frozen=True)
class Subject:
    """A person as far as an administrator must know her to decide. Nobody's name or address is in the `repr`."""

    id: str
    platform: str
    since: datetime
    erased_at: datetime | None
    awards: int
    courses: int
    evidence: int
    ids: int  # how many user ids are linked as hers
    sub: str = field(repr=False)
    name: str = field(repr=False)
    shown_name: str = field(repr=False)
    email: str = field(repr=False)


@dataclass(frozen=True)
class RequestPage:
    request: RequestRow
    person: Subject
    wanted: str = field(repr=False)
    reason: str
    decided_by: str  # an actor of the audit log


# -- asking -----------------------------------------------------------------------------------------------------


def own(tool: Tool, person_id: str) -> OwnRights:
    """Return what somebody sees of her names and requests."""
    with tool.db.read() as session:
        person = session.get_one(Person, person_id)
        issued = Award.id.in_(who_is(session, person_id).awards), Award.status == "issued"
        awards = session.scalar(select(func.count()).select_from(Award).where(*issued)) or 0
        query = select(RightsRequest).where(RightsRequest.person_id == person_id).order_by(RightsRequest.asked_at)
        newest = {row.kind: row for row in session.scalars(query)}
        return OwnRights(person.name, person.shown_name, _own(newest.get("name")), _own(newest.get("erasure")), awards)


def _own(row: RightsRequest | None) -> OwnRequest | None:
    if row is None:
        return None
    return OwnRequest(row.id, row.kind, row.state, row.asked_at, row.decided_at, row.reason, row.wanted)


def ask_erasure(tool: Tool, person_id: str, *, actor: str, now: datetime) -> str:
    """Ask for everything about somebody to be erased; returns the request's id, the open one's where there is one."""
    return _ask(tool, person_id, "erasure", "", actor, now)


def ask_name(tool: Tool, person_id: str, wanted: str, *, actor: str, now: datetime) -> str:
    """Ask that credentials call somebody so. Raises BadInput for a name that is none, or is hers already."""
    wanted = " ".join(signable(wanted).split())
    if not wanted:
        raise BadInput(sentence=Sentence("Write the name as it is to be shown."))
    if len(wanted) > LONGEST_NAME:
        raise BadInput(sentence=Sentence("A name has at most %(num)s characters.", num=LONGEST_NAME))
    with tool.db.read() as session:
        if session.get_one(Person, person_id).called == wanted:
            raise BadInput(sentence=Sentence("This is the name that is shown already."))
    return _ask(tool, person_id, "name", wanted, actor, now)


def _ask(tool: Tool, person_id: str, kind: str, wanted: str, actor: str, now: datetime) -> str:
    def ask() -> str:
        with tool.db.write() as session:
            person = session.get_one(Person, person_id)
            if person.erased_at is not None:
                raise NotFound("erased")
            of_kind = RightsRequest.person_id == person_id, RightsRequest.kind == kind
            waits = select(RightsRequest).where(*of_kind, RightsRequest.state.in_(("open", "doing")))
            row = session.scalar(waits.with_for_update())
            if row is not None:
                if row.wanted == wanted or row.state != "open":
                    return row.id
                # Another name is another request: who has this one before her confirms no name she has not read.
                row.state, row.wanted, row.decided_at, row.decided_by = "withdrawn", "", now, actor
                session.flush()
            today = select(func.count()).where(*of_kind, RightsRequest.asked_at > now - timedelta(days=1))
            if actor == audit.person(person_id) and (session.scalar(today) or 0) >= MOST_A_DAY:
                raise BadInput(
                    reason="rate_limited",
                    status=429,
                    sentence=Sentence("You have asked for this %(num)s times within a day.", num=MOST_A_DAY),
                    what_to_do=Sentence("Ask again tomorrow, or write to the institution."),
                )
            row = RightsRequest(person_id=person_id, kind=kind, wanted=wanted, asked_by=actor, asked_at=now)
            session.add(row)
            session.flush()
            audit.record(session, now, actor, f"privacy.{kind}_asked", audit.person(person_id))
            return row.id

    try:
        return ask()
    except IntegrityError:  # the same form twice at the same moment
        return ask()


def withdraw(tool: Tool, person_id: str, kind: str, *, actor: str, now: datetime) -> None:
    """Take an open request of one's own back. One that is gone already is no error."""
    with tool.db.write() as session:
        hers = RightsRequest.person_id == person_id, RightsRequest.kind == kind, RightsRequest.state == "open"
        row = session.scalar(select(RightsRequest).where(*hers).with_for_update())
        if row is not None:
            row.state, row.wanted, row.decided_at, row.decided_by = "withdrawn", "", now, actor
            audit.record(session, now, actor, f"privacy.{kind}_withdrawn", audit.person(person_id))


def use_lms_name(tool: Tool, person_id: str, *, actor: str, now: datetime) -> None:
    """Go back to the name that the LMS tells: nobody needs to confirm that."""
    _rename(tool, person_id, "", actor, now)


# -- deciding ---------------------------------------------------------------------------------------------------


def grant(tool: Tool, request_id: str, *, actor: str, now: datetime) -> list[int]:
    """Do what was asked for; returns the jobs to wake. Raises Conflict where it is not open any more."""
    jobs, changed = repeat_collided(lambda: _grant(tool, request_id, actor, now))
    for award_id in changed:
        editions.sign_pending(tool, award_id=award_id)
    return jobs


def _grant(tool: Tool, request_id: str, actor: str, now: datetime) -> tuple[list[int], list[str]]:
    """Return the jobs to wake, and the awards to sign."""
    with tool.db.write() as session:
        row = _open(session, request_id)
        row.decided_by, row.decided_at = actor, now
        person_id, kind, wanted = row.person_id, row.kind, row.wanted
        if kind == "erasure":
            return erasures.begin(tool, session, person_id, actor=actor, now=now), []
        row.state, row.wanted, row.finished_at = "done", "", now
        return [], _call(session, person_id, wanted, actor, now)


def refuse(tool: Tool, request_id: str, reason: str, *, actor: str, now: datetime) -> None:
    """Refuse a request, with a reason that whoever asked will read."""
    reason = one_line(reason)
    if not reason:
        raise BadInput(sentence=Sentence("Say why it is refused: whoever asked will read it."))
    with tool.db.write() as session:
        row = _open(session, request_id)
        row.state, row.wanted, row.reason = "refused", "", reason
        row.decided_by, row.decided_at, row.finished_at = actor, now, now
        audit.record(session, now, actor, f"privacy.{row.kind}_refused", audit.person(row.person_id))


def erase(tool: Tool, person_id: str, *, actor: str, now: datetime) -> list[int]:
    """Erase somebody who has asked outside the tool, by letter say; returns the jobs to wake."""
    request_id = ask_erasure(tool, person_id, actor=actor, now=now)
    return grant(tool, request_id, actor=actor, now=now)


def _open(session: Session, request_id: str) -> RightsRequest:
    row = session.get(RightsRequest, request_id, with_for_update=True)
    if row is None:
        raise NotFound("no such request")
    if row.state != "open":
        raise Conflict(sentence=DECIDED_ALREADY)
    return row


def _rename(tool: Tool, person_id: str, name: str, actor: str, now: datetime) -> None:
    with tool.db.write() as session:
        changed = _call(session, person_id, name, actor, now)
    for award_id in changed:
        editions.sign_pending(tool, award_id=award_id)


def _call(session: Session, person_id: str, name: str, actor: str, now: datetime) -> list[str]:
    """Call somebody so from now on; returns her awards whose credential has a new edition, to be signed (H11)."""
    who = who_is(session, person_id)
    session.execute(update(Person).where(Person.id.in_(who.ids)).values(shown_name=name))
    audit.record(session, now, actor, "privacy.name_changed", audit.person(person_id))
    session.flush()
    query = select(Award).where(Award.id.in_(who.awards), Award.status == "issued").order_by(Award.id)
    changed = []
    for award in session.scalars(query.with_for_update(of=Award, key_share=True)):
        session.refresh(award.earner)
        old = award.editions[-1] if award.editions else None
        called = award.earner.called.strip()
        if old is None or not old.choices.get("name") or not called or old.choices["name"] == called:
            continue
        if shown_status(award, now) != "issued":
            continue  # what is over stays as it was
        old.decision = old.decision or award.decision
        award_acts.withdraw_editions(session, award, now)
        edition = editions.another(session, award, {**old.choices, "name": called}, now)
        after, before = {"credential": edition.id}, {"credential": old.id}
        audit.record(session, now, actor, "award.renamed", f"award:{award.id}", before=before, after=after)
        changed.append(award.id)
    return changed


# -- the administrator's pages ----------------------------------------------------------------------------------


def waiting(tool: Tool) -> int:
    with tool.db.read() as session:
        return session.scalar(select(func.count()).where(RightsRequest.state.in_(("open", "doing")))) or 0


def listing(tool: Tool) -> tuple[list[RequestRow], list[RequestRow]]:
    """Return the requests that wait, the oldest first, and those that were decided, the newest first."""
    rows = select(RightsRequest, Registration.name)
    rows = rows.join(Person, Person.id == RightsRequest.person_id)
    rows = rows.join(Registration, Registration.id == Person.registration_id)
    is_open = RightsRequest.state.in_(("open", "doing"))
    with tool.db.read() as session:
        waits = session.execute(rows.where(is_open).order_by(RightsRequest.asked_at))
        decided = session.execute(rows.where(~is_open).order_by(RightsRequest.asked_at.desc()).limit(A_PAGE))
        return [_row(*each) for each in waits], [_row(*each) for each in decided]


def _row(row: RightsRequest, platform: str) -> RequestRow:
    by = row.asked_by.partition(":")[0]
    return RequestRow(
        id=row.id,
        kind=row.kind,
        state=row.state,
        platform=platform,
        asked_at=row.asked_at,
        decided_at=row.decided_at,
        finished_at=row.finished_at,
        by="herself" if by == "person" else by,
    )


def page(tool: Tool, request_id: str) -> RequestPage:
    """Return one request with whom it is about; raises NotFound."""
    with tool.db.read() as session:
        row = session.scalar(
            select(RightsRequest).where(RightsRequest.id == request_id).options(joinedload(RightsRequest.person))
        )
        if row is None:
            raise NotFound("no such request")
        subject = _subject(session, row.person)
        return RequestPage(_row(row, subject.platform), subject, row.wanted, row.reason, row.decided_by or "")


def person(tool: Tool, person_id: str) -> Subject:
    """Return a person before she is erased; raises NotFound."""
    with tool.db.read() as session:
        found = session.get(Person, person_id)
        if found is None:
            raise NotFound("no such person")
        return _subject(session, found)


def _subject(session: Session, person: Person) -> Subject:
    who = who_is(session, person.id)

    def count(model: Any) -> int:
        return session.scalar(select(func.count()).select_from(model).where(model.person_id.in_(who.ids))) or 0

    return Subject(
        id=person.id,
        platform=session.get_one(Registration, person.registration_id).name,
        since=person.created_at,
        erased_at=person.erased_at,
        awards=session.scalar(select(func.count()).select_from(who.awards.subquery())) or 0,
        courses=count(Enrolment),
        evidence=count(Evidence),
        ids=len(who.ids),
        sub="" if person.erased_at is not None else person.sub,
        name=person.name,
        shown_name=person.shown_name,
        email=person.email,
    )
