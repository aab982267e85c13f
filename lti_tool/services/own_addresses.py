"""The address that a learner confirms to keep access after the course: entered in a launch, confirmed from its mailbox.

Confirming binds the mailbox to whoever asked, in whatever browser the mail is opened. Secrets leave by mail alone; what
is kept is their hash, and a mail that waits holds its link sealed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Conflict, NotPermitted, OwnLinkRefused
from lti_tool.lti.registration import digest
from lti_tool.models import (
    Award,
    Course,
    OwnAddress,
    OwnAddressRequest,
    OwnLink,
    OwnLinkRequest,
    OwnReminder,
    OwnSession,
    Person,
    Registration,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, mail
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

CONFIRM_LASTS = timedelta(hours=24)
MOST_CONFIRMATIONS = 5  # that are mailed within an hour for one person, and to one address
MOST_CONFIRMATIONS_A_DAY = 10
REMINDED = timedelta(days=30)  # before the course ends
LONGEST = 254
# Plain ASCII in lower case. What looks the same as another letter is no letter of an address here, and nothing is
# folded: of two mailboxes that a fold would make one, the second is somebody else's.
NAME = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
MAILBOX = re.compile(rf"(?=.{{1,{LONGEST}}}\Z)(?=[^@]{{1,64}}@){NAME}@{HOST}\Z")
NOT_AN_ADDRESS = Sentence("This is not an e-mail address. Write it as name@example.org, without anything else.")


@dataclass(frozen=True)
class KeepPage:
    """What the page in the course shows. `address` is the confirmed one; `waiting` one that is not confirmed yet."""

    offered: bool  # this installation sends mail
    address: str = field(default="", repr=False)
    confirmed_at: datetime | None = None
    waiting: str = field(default="", repr=False)
    waiting_until: datetime | None = None
    suggested: str = field(default="", repr=False)  # the LMS's
    preview: bool = False  # a test user or somebody who only looks


@dataclass(frozen=True)
class Confirmation:
    """What a link in a mail would confirm. It says nothing of the person: the mail may have gone to a stranger."""

    address: str = field(repr=False)
    platform: str
    asked_at: datetime


@dataclass(frozen=True)
class OwnPerson:
    """One of the people whom an address lets in. `holder_id`: whose awards hers are."""

    id: str
    holder_id: str
    platform: str
    name: str = field(repr=False)


# -- an address -------------------------------------------------------------------------------------------------


def offered(tool: Tool) -> bool:
    """Tell whether this installation can send the mail without which nobody is let in."""
    return mail.is_on(tool)


def checked(typed: str) -> str:
    """Return an address as it is kept and written to; raises BadInput for anything that is not one mailbox."""
    typed = typed.strip(" \t")
    if not typed.isascii():
        raise BadInput(
            reason="address",
            sentence=Sentence(
                "Only addresses in plain letters can be used: a to z, digits and signs, without accents."
            ),
        )
    address = typed.lower()
    if not MAILBOX.match(address):
        raise BadInput(reason="address", sentence=NOT_AN_ADDRESS)
    return address


def _suggested(email: str) -> str:
    try:
        return checked(email)
    except BadInput:
        return ""


def people_of(session: Session, address: str) -> list[OwnPerson]:
    """Return whom an address lets in: those who have confirmed it, whatever has become of their LMS, in their order.

    Somebody whom an administrator has switched off is not let in here either (D13)."""
    query = (
        select(Person.id, Person.same_as_id, Person.name, Registration.name)
        .join(OwnAddress, OwnAddress.person_id == Person.id)
        .join(Registration, Registration.id == Person.registration_id)
        .where(OwnAddress.address == address, ~Person.disabled, ~Person.test_user)
        .order_by(Person.created_at, Person.id)
    )
    return [OwnPerson(id_, same_as or id_, platform, name) for id_, same_as, name, platform in session.execute(query)]


# -- in the course ----------------------------------------------------------------------------------------------


def page(tool: Tool, who: LaunchSession, now: datetime) -> KeepPage:
    """Return what a learner's page in her course shows of her own access."""
    with tool.db.read() as session:
        person = session.get_one(Person, who.person_id)
        known = session.get(OwnAddress, person.id)
        open_one = session.scalar(
            select(OwnAddressRequest)
            .where(OwnAddressRequest.person_id == person.id, *_open(now))
            .order_by(OwnAddressRequest.created_at.desc(), OwnAddressRequest.id)
            .limit(1)
        )
        return KeepPage(
            offered=offered(tool),
            address=known.address if known is not None else "",
            confirmed_at=known.confirmed_at if known is not None else None,
            waiting=open_one.address if open_one is not None else "",
            waiting_until=open_one.expires_at if open_one is not None else None,
            suggested=_suggested(person.email),
            preview=who.test_user,
        )


def _open(now: datetime) -> tuple[Any, ...]:
    return (
        OwnAddressRequest.used_at.is_(None),
        OwnAddressRequest.withdrawn_at.is_(None),
        OwnAddressRequest.expires_at > now,
    )


def ask(tool: Tool, who: LaunchSession, typed: str, language: str, now: datetime) -> str:
    """Send a link that confirms an address for whoever has launched; returns the address.

    Raises BadInput for what is no address, Conflict where enough mails went out already."""
    if who.test_user:
        raise NotPermitted("a test user", sentence=Sentence("This is a preview, so no mail is sent."))
    return _ask(tool, typed, language, now, person_id=who.person_id)


def ask_instead(tool: Tool, old: str, typed: str, language: str, now: datetime) -> str:
    """Send a link that confirms another address in the place of a confirmed one, for all whom that one lets in."""
    if checked(typed) == old:
        raise BadInput(reason="address", sentence=Sentence("This is the address you have confirmed already."))
    return _ask(tool, typed, language, now, instead_of=old)


def _ask(
    tool: Tool, typed: str, language: str, now: datetime, *, person_id: str | None = None, instead_of: str = ""
) -> str:
    if not offered(tool):
        raise Conflict(sentence=Sentence("This installation sends no mail, so no address can be confirmed."))
    address, secret = checked(typed), secrets.token_urlsafe(32)

    def write() -> None:
        with tool.db.write() as session:
            same = OwnAddressRequest.person_id == person_id if person_id else OwnAddressRequest.instead_of == instead_of
            people = [person_id] if person_id else [each.id for each in people_of(session, instead_of)]
            for each in sorted(people):  # who asks twice at once is counted once after the other
                session.get(Person, each, with_for_update={"key_share": True})
            _not_too_many(session, or_(same, OwnAddressRequest.address == address), now)
            session.execute(
                update(OwnAddressRequest)
                .where(same, OwnAddressRequest.address != address, *_open(now))
                .values(withdrawn_at=now)
            )
            row = OwnAddressRequest(
                person_id=person_id,
                instead_of=instead_of,
                address=address,
                language=language,
                secret_hash=digest(secret),
                created_at=now,
                expires_at=now + CONFIRM_LASTS,
            )
            session.add(row)
            session.flush()
            for each in people:
                audit.record(session, now, audit.person(each), "access.asked", audit.person(each))
            link = f"{tool.settings.base_url}/own/confirm/{secret}"
            to = To(address, people[0] if people else None)
            write_mail(tool, session, f"own-confirm:{row.id}", to, "own_confirm", language, CONFIRM_LASTS, now, link)

    repeat_collided(write)
    mail.send_soon(tool)
    return address


def _not_too_many(session: Session, whose: Any, now: datetime) -> None:
    asked = select(func.count()).select_from(OwnAddressRequest).where(whose)
    of_hour, of_day = (OwnAddressRequest.created_at > now - timedelta(hours=each) for each in (1, 24))
    if (session.scalar(asked.where(of_day)) or 0) >= MOST_CONFIRMATIONS_A_DAY:
        raise Conflict(
            reason="rate_limited",
            status=429,
            sentence=Sentence("Many mails were sent within the last day, so none is sent now."),
            what_to_do=Sentence("Look for them in the mailbox, among unwanted mail too. Tomorrow you can ask again."),
        )
    if (session.scalar(asked.where(of_hour)) or 0) >= MOST_CONFIRMATIONS:
        raise Conflict(
            reason="rate_limited",
            status=429,
            sentence=Sentence("Several mails were sent within the last hour, so none is sent now."),
            what_to_do=Sentence("Look for them in the mailbox, among unwanted mail too. In an hour you can ask again."),
        )


@dataclass(frozen=True)
class To:
    """Where a mail goes, and whose it is: with her erasure it goes too, whatever address it is for."""

    address: str = field(repr=False)
    person_id: str | None


def write_mail(
    tool: Tool,
    session: Session,
    key: str,
    to: To,
    template: str,
    language: str,
    worth: timedelta,
    now: datetime,
    link: str = "",
) -> None:
    """Write down a mail; its link is sealed, as the database keeps no more of its secret than the hash."""
    mail.enqueue(
        session,
        key=key,
        to=to.address,
        template=template,
        values={"sealed": tool.keyring.seal({"link": link})} if link else {},
        language=language,
        now=now,
        person_id=to.person_id,
        worth=worth,
    )


def remove(tool: Tool, people: Sequence[str], now: datetime) -> None:
    """Take the address of these people away, and whatever waits to be confirmed: nobody is let in for them any more."""
    with tool.db.write() as session:
        gone = set(
            session.scalars(delete(OwnAddress).where(OwnAddress.person_id.in_(people)).returning(OwnAddress.address))
        )
        theirs = or_(OwnAddressRequest.person_id.in_(people), OwnAddressRequest.instead_of.in_(gone))
        waited = session.scalars(
            update(OwnAddressRequest)
            .where(theirs, *_open(now))
            .values(withdrawn_at=now)
            .returning(OwnAddressRequest.id)
        ).all()
        shut(session, gone)
        if gone or waited:
            for each in people:
                audit.record(session, now, audit.person(each), "access.removed", audit.person(each))


def shut(session: Session, addresses: Iterable[str]) -> None:
    """End what an address has opened and could open, where nobody has it any more."""
    for address in addresses:
        if session.scalar(select(OwnAddress.person_id).where(OwnAddress.address == address).limit(1)) is not None:
            continue
        for table in (OwnSession, OwnLink, OwnLinkRequest):
            session.execute(delete(table).where(table.address == address))


# -- the reminder -----------------------------------------------------------------------------------------------


def standing(tool: Tool, who: LaunchSession, now: datetime) -> str:
    """Return what a learner's first page says of this: "" nothing, "offered", or "reminder".

    She is reminded where the course nears its end, she has a badge, and no address of hers is known."""
    if not offered(tool) or who.test_user:
        return ""
    return "reminder" if _is_due(tool, who, now) else "offered"


def _is_due(tool: Tool, who: LaunchSession, now: datetime) -> bool:
    if who.course_id is None:
        return False
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        soon = course.ends_at is not None and course.ends_at <= now + REMINDED
        if not soon and course.state != "concluded":
            return False
        person = session.get_one(Person, who.person_id)
        if session.get(OwnAddress, person.id) is not None or session.get(OwnReminder, person.id) is not None:
            return False
        earned = select(Award.id).where(Award.person_id == person.holder_id, Award.status == "issued").limit(1)
        return session.scalar(earned) is not None


def put_away(tool: Tool, person_id: str, now: datetime) -> None:
    """Put the reminder away for good; a second time does nothing."""

    def write() -> None:
        with tool.db.write() as session:
            if session.get(OwnReminder, person_id) is None:
                session.add(OwnReminder(person_id=person_id, dismissed_at=now))

    repeat_collided(write)


# -- confirming -------------------------------------------------------------------------------------------------


def look_at_confirmation(tool: Tool, secret: str, now: datetime) -> Confirmation:
    """Say what a link would confirm, and do nothing. Raises OwnLinkRefused for one that confirms nothing."""
    query = (
        select(OwnAddressRequest, Registration.name)
        .outerjoin(Person, Person.id == OwnAddressRequest.person_id)
        .outerjoin(Registration, Registration.id == Person.registration_id)
        .where(OwnAddressRequest.secret_hash == digest(secret))
    )
    with tool.db.read() as session:
        found = session.execute(query).one_or_none()
        if found is None:
            raise unknown("confirmation")
        row, platform = found
        _refuse_confirmation(row, now)
        return Confirmation(row.address, platform or "", row.created_at)


def _refuse_confirmation(row: OwnAddressRequest, now: datetime) -> None:
    if row.used_at is not None:
        raise OwnLinkRefused(
            reason="own_link_used",
            sentence=Sentence("This address is confirmed already."),
            what_to_do=Sentence("There is nothing more to do here."),
        )
    if row.withdrawn_at is not None:
        raise OwnLinkRefused(
            reason="own_link_withdrawn",
            sentence=Sentence("This link is not wanted any more, so nothing was confirmed."),
            what_to_do=Sentence("The address was taken back, or another one was entered since."),
        )
    if row.expires_at <= now:
        raise OwnLinkRefused(
            reason="own_link_expired",
            sentence=Sentence("This link was good for a day, which is over. Nothing was confirmed."),
            what_to_do=Sentence("Enter your address once more where you did, and you get a new one."),
        )


def unknown(what: str) -> OwnLinkRefused:
    return OwnLinkRefused(
        f"unknown {what}",
        status=404,
        reason="own_link_unknown",
        sentence=Sentence("This link is not one of ours, or not whole."),
        what_to_do=Sentence("Copy all of it from the mail. After a day or two an old link is forgotten, too."),
    )


def confirm(tool: Tool, secret: str, now: datetime) -> str:
    """Use a link up and let its address in for whoever asked; returns the address. Of two at once, one does it.

    Whoever could be surprised is told: at the address before, and at the one her LMS tells."""
    address = repeat_collided(lambda: _confirm(tool, secret, now))
    if address is None:
        look_at_confirmation(tool, secret, now)  # says why not
        raise unknown("confirmation")
    mail.send_soon(tool)
    return address


def _confirm(tool: Tool, secret: str, now: datetime) -> str | None:
    with tool.db.write() as session:
        asked = session.execute(
            update(OwnAddressRequest)
            .where(OwnAddressRequest.secret_hash == digest(secret), *_open(now))
            .values(used_at=now)
            .returning(
                OwnAddressRequest.id,
                OwnAddressRequest.person_id,
                OwnAddressRequest.instead_of,
                OwnAddressRequest.address,
                OwnAddressRequest.language,
            )
        ).one_or_none()
        if asked is None:
            return None
        wanted = Person.id == asked.person_id if asked.person_id else OwnAddress.address == asked.instead_of
        people = session.scalars(
            select(Person).outerjoin(OwnAddress, OwnAddress.person_id == Person.id).where(wanted, ~Person.disabled)
        ).all()
        if not people:
            raise unknown("person")
        told: dict[str, tuple[bool, str]] = {}  # address → it was the one that let her in; who she is
        for person in people:
            row = session.get(OwnAddress, person.id)
            if (lms := _suggested(person.email)) and lms != asked.address:
                told.setdefault(lms, (False, person.id))
            if row is None:
                session.add(OwnAddress(person_id=person.id, address=asked.address, confirmed_at=now))
            else:
                if row.address != asked.address:
                    told[row.address] = True, person.id
                row.address, row.confirmed_at = asked.address, now
            audit.record(session, now, audit.person(person.id), "access.confirmed", audit.person(person.id))
        session.flush()
        shut(session, [address for address, (before, _person_id) in told.items() if before])
        for n, (address, (before, person_id)) in enumerate(told.items()):
            template, to = "own_moved" if before else "own_confirmed", To(address, person_id)
            write_mail(tool, session, f"own-told:{asked.id}:{n}", to, template, asked.language, mail.WORTH, now)
        return str(asked.address)
