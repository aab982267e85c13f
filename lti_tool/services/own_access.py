"""Access after the course: an address that a learner confirms from her launch, and one-time links that go there.

An LMS account ends; what its learner has earned here stays hers. So she may name a mailbox that she keeps. Whoever asks
for a link to it is answered the same whether it is known or not, and a worker looks later. A link opens the badges of
everybody who has confirmed that mailbox, each from her own launch: one human in two LMSs is two persons here.

Secrets leave by mail alone; what is kept is their hash, and a mail that waits holds its link sealed."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Busy, Conflict, NotPermitted, OwnLinkRefused, OwnSessionEnded
from lti_tool.lti.registration import digest
from lti_tool.models import (
    Award,
    Course,
    Mail,
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
from lti_tool.services import audit, mail, work
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

KIND = "own_links"  # the job that looks whether the addresses that were entered are known
ALL = "all"
CONFIRM_LASTS = timedelta(hours=24)
LINK_LASTS = timedelta(minutes=15)
SESSION_LASTS = timedelta(hours=8)
IDLE_LASTS = timedelta(hours=2)
SEEN_EVERY = timedelta(minutes=1)  # a session's last use is written down this often, not with every page
LINKS_KEPT = timedelta(days=1)  # after its time, so that whoever opens one late is told why it opens nothing
MOST_CONFIRMATIONS = 5  # that are mailed within an hour for one person, and to one address
MOST_LINKS = 3  # that are mailed to one address within the time that one lasts
MOST_LINKS_A_DAY = 10
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


@dataclass(frozen=True)
class Learner:
    """Who is behind a request without a launch: everybody who has confirmed the session's address."""

    session_id: str
    address: str = field(repr=False)
    people: tuple[OwnPerson, ...]
    ends_at: datetime

    @property
    def holders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.holder_id for each in self.people))

    def actor_for(self, holder_id: str) -> str:
        """Return who acts on an award of this holder, as the audit log names an actor."""
        return audit.person(next(each.id for each in self.people if each.holder_id == holder_id))


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


def _people(session: Session, address: str) -> list[OwnPerson]:
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


def ask_instead(tool: Tool, learner: Learner, typed: str, language: str, now: datetime) -> str:
    """Send a link that confirms another address in the place of the one that let this learner in."""
    address = checked(typed)
    if address == learner.address:
        raise BadInput(reason="address", sentence=Sentence("This is the address you have confirmed already."))
    return _ask(tool, typed, language, now, instead_of=learner.address)


def _ask(
    tool: Tool, typed: str, language: str, now: datetime, *, person_id: str | None = None, instead_of: str = ""
) -> str:
    if not offered(tool):
        raise Conflict(sentence=Sentence("This installation sends no mail, so no address can be confirmed."))
    address, secret = checked(typed), secrets.token_urlsafe(32)

    def write() -> None:
        with tool.db.write() as session:
            same = OwnAddressRequest.person_id == person_id if person_id else OwnAddressRequest.instead_of == instead_of
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
            for each in [person_id] if person_id else [p.id for p in _people(session, instead_of)]:
                audit.record(session, now, audit.person(each), "access.asked", audit.person(each))
            _mail(tool, session, f"own-confirm:{row.id}", address, "own_confirm", row.language, CONFIRM_LASTS, now,
                  link=f"{tool.settings.base_url}/own/confirm/{secret}")  # fmt: skip

    repeat_collided(write)
    mail.send_soon(tool)
    return address


def _not_too_many(session: Session, whose: Any, now: datetime) -> None:
    since = OwnAddressRequest.created_at > now - timedelta(hours=1)
    if (session.scalar(select(func.count()).select_from(OwnAddressRequest).where(whose, since)) or 0) >= (
        MOST_CONFIRMATIONS
    ):
        raise Conflict(
            reason="rate_limited",
            status=429,
            sentence=Sentence("Several mails were sent within the last hour, so none is sent now."),
            what_to_do=Sentence("Look for them in the mailbox, among unwanted mail too. In an hour you can ask again."),
        )


def _mail(
    tool: Tool,
    session: Session,
    key: str,
    to: str,
    template: str,
    language: str,
    worth: timedelta,
    now: datetime,
    *,
    link: str = "",
    **values: Any,
) -> None:
    """Write down a mail; its link is sealed, as it opens what the database keeps only the hash of the secret to."""
    if link:
        values["sealed"] = tool.keyring.seal({"link": link})
    mail.enqueue(session, key=key, to=to, template=template, values=values, language=language, now=now, worth=worth)


def remove(tool: Tool, person_id: str, now: datetime) -> None:
    """Take a learner's address away, and whatever waits to be confirmed: from now on nobody is let in for her."""
    _remove(tool, [person_id], now)


def leave(tool: Tool, learner: Learner, now: datetime) -> None:
    """Take the address away that let this learner in, for all its people."""
    _remove(tool, [each.id for each in learner.people], now)


def _remove(tool: Tool, people: Sequence[str], now: datetime) -> None:
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
        _shut(session, gone)
        if gone or waited:
            for each in people:
                audit.record(session, now, audit.person(each), "access.removed", audit.person(each))


def _shut(session: Session, addresses: Iterable[str]) -> None:
    """End what an address has opened and could open, where nobody has it any more."""
    for address in addresses:
        if session.scalar(select(OwnAddress.person_id).where(OwnAddress.address == address).limit(1)) is not None:
            continue
        for table in (OwnSession, OwnLink, OwnLinkRequest):
            session.execute(delete(table).where(table.address == address))


# -- the reminder -----------------------------------------------------------------------------------------------


def reminded(tool: Tool, who: LaunchSession, now: datetime) -> bool:
    """Tell whether to remind a learner: the course nears its end, she has a badge, and no address of hers is known."""
    if not offered(tool) or who.course_id is None or who.test_user:
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
            raise _unknown("confirmation")
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


def _unknown(what: str) -> OwnLinkRefused:
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
        raise _unknown("confirmation")
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
            raise _unknown("person")
        told: dict[str, bool] = {}  # address → it was the one that let her in
        for person in people:
            row = session.get(OwnAddress, person.id)
            if (lms := _suggested(person.email)) and lms != asked.address:
                told.setdefault(lms, False)
            if row is None:
                session.add(OwnAddress(person_id=person.id, address=asked.address, confirmed_at=now))
            else:
                if row.address != asked.address:
                    told[row.address] = True
                row.address, row.confirmed_at = asked.address, now
            audit.record(session, now, audit.person(person.id), "access.confirmed", audit.person(person.id))
        session.flush()
        _shut(session, [address for address, before in told.items() if before])
        for n, (to, before) in enumerate(told.items()):
            template = "own_moved" if before else "own_confirmed"
            _mail(tool, session, f"own-told:{asked.id}:{n}", to, template, asked.language, mail.WORTH, now)
        return str(asked.address)


# -- a link -----------------------------------------------------------------------------------------------------


def request_link(tool: Tool, typed: str, language: str, now: datetime) -> None:
    """Note that a link to this address is wanted. A worker looks whether it is known, so nothing here can tell.

    Raises BadInput for what is no address."""
    address = checked(typed)

    def write() -> int:
        with tool.db.write() as session:
            session.add(OwnLinkRequest(address=address, language=language, created_at=now))
            return work.request_in(session, KIND, ALL, now, again=True)

    tool.wake(repeat_collided(write))


def run_links(tool: Tool, _subject: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Job step: mail a link to each of the addresses that were entered and are known."""
    asked = 0
    while _look_at_one(tool):
        asked += 1
        say("")
    if asked:
        mail.send_soon(tool)
    return {"asked": asked}


def _look_at_one(tool: Tool) -> bool:
    now = datetime.now(UTC)
    with tool.db.write() as session:
        oldest = select(OwnLinkRequest).order_by(OwnLinkRequest.created_at, OwnLinkRequest.id).limit(1)
        row = session.scalar(oldest.with_for_update(skip_locked=True))
        if row is None:
            return False
        session.delete(row)
        if row.created_at > now - LINK_LASTS and offered(tool):
            _send_link(tool, session, row, now)
    return True


def _send_link(tool: Tool, session: Session, row: OwnLinkRequest, now: datetime) -> None:
    people = _people(session, row.address)
    if not people:
        return
    mailed = select(func.count()).select_from(OwnLink).where(OwnLink.address == row.address)
    if (session.scalar(mailed.where(OwnLink.created_at > now - LINK_LASTS)) or 0) >= MOST_LINKS:
        return
    if (session.scalar(mailed.where(OwnLink.created_at > now - timedelta(days=1))) or 0) >= MOST_LINKS_A_DAY:
        return
    secret = secrets.token_urlsafe(32)
    link = OwnLink(address=row.address, secret_hash=digest(secret), created_at=now, expires_at=now + LINK_LASTS)
    session.add(link)
    session.flush()
    for each in people:
        audit.record(session, now, audit.TOOL, "access.link_sent", audit.person(each.id))
    _mail(tool, session, f"own-link:{link.id}", row.address, "own_link", row.language, LINK_LASTS, now,
          link=f"{tool.settings.base_url}/own/link/{secret}")  # fmt: skip


def look_at_link(tool: Tool, secret: str, now: datetime) -> None:
    """Raise OwnLinkRefused for a link that opens nothing. It uses nothing up and tells nothing of anybody."""
    with tool.db.read() as session:
        row = session.scalar(select(OwnLink).where(OwnLink.secret_hash == digest(secret)))
    if row is None:
        raise _unknown("link")
    if row.used_at is not None:
        raise OwnLinkRefused(
            reason="own_link_used",
            sentence=Sentence("This link was used already. Each works once."),
            what_to_do=Sentence("Ask for a new one. If it was not you who used it, end all visits once you are in."),
        )
    if row.expires_at <= now:
        raise OwnLinkRefused(
            reason="own_link_expired",
            sentence=Sentence("This link was good for 15 minutes, which are over."),
            what_to_do=Sentence("Ask for a new one."),
        )


def open_session(tool: Tool, secret: str, before: str | None, now: datetime) -> str:
    """Use a link up and open a session; returns its secret, for the cookie. Of two at once, one gets in.

    `before` is the secret of this browser's earlier session, which ends. Raises OwnLinkRefused."""
    fresh = secrets.token_urlsafe(32)
    if not repeat_collided(lambda: _open_session(tool, secret, fresh, before, now)):
        _note_refused(tool, secret, now)
        look_at_link(tool, secret, now)  # says why not
        raise _unknown("link")
    return fresh


def _open_session(tool: Tool, secret: str, fresh: str, before: str | None, now: datetime) -> bool:
    with tool.db.write() as session:
        address = session.scalar(
            update(OwnLink)
            .where(OwnLink.secret_hash == digest(secret), OwnLink.used_at.is_(None), OwnLink.expires_at > now)
            .values(used_at=now)
            .returning(OwnLink.address)
        )
        people = _people(session, address) if address is not None else []
        if address is None or not people:
            return False
        if before:
            session.execute(delete(OwnSession).where(OwnSession.secret_hash == digest(before)))
        session.add(
            OwnSession(
                secret_hash=digest(fresh),
                address=address,
                created_at=now,
                used_at=now,
                expires_at=now + SESSION_LASTS,
            )
        )
        for each in people:
            audit.record(session, now, audit.person(each.id), "access.opened", audit.person(each.id))
        return True


def _note_refused(tool: Tool, secret: str, now: datetime) -> None:
    """Note that somebody pressed the button of a link that was used or too late. One nobody made leaves no trace."""
    with tool.db.write() as session:
        address = session.scalar(select(OwnLink.address).where(OwnLink.secret_hash == digest(secret)))
        for each in _people(session, address) if address is not None else []:
            audit.record(session, now, audit.NOBODY, "access.refused", audit.person(each.id))


# -- the session ------------------------------------------------------------------------------------------------


def find_session(tool: Tool, secret: str | None, now: datetime) -> Learner:
    """Return who is behind a request; raises OwnSessionEnded where nobody is, or nobody has the address any more."""
    if not secret:
        raise OwnSessionEnded(
            "no cookie",
            reason="own_no_session",
            sentence=Sentence("This page opens with a link from your mailbox."),
            what_to_do=Sentence("Ask for one: it is sent to the address that you have confirmed in your course."),
        )
    with tool.db.read() as session:
        row = session.scalar(select(OwnSession).where(OwnSession.secret_hash == digest(secret)))
        if row is None or row.expires_at <= now or row.used_at + IDLE_LASTS <= now:
            raise OwnSessionEnded("no such session, or an old one")
        people = _people(session, row.address)
    if not people:
        raise OwnSessionEnded("nobody has the address any more")
    if now - row.used_at > SEEN_EVERY:
        with suppress(Busy), tool.db.write() as session:  # a page is not refused because its time cannot be noted
            session.execute(update(OwnSession).where(OwnSession.id == row.id).values(used_at=now))
    return Learner(row.id, row.address, tuple(people), row.expires_at)


def csrf_token(secret: str, session_id: str) -> str:
    """Return the token every form of a session's pages carries."""
    return hashlib.sha256(f"own-csrf\0{secret}\0{session_id}".encode()).hexdigest()


def sign_out(tool: Tool, learner: Learner, now: datetime, *, everywhere: bool = False) -> None:
    """End this session, or all that the address has opened, with the links that are still on their way."""
    with tool.db.write() as session:
        if everywhere:
            for table in (OwnSession, OwnLink, OwnLinkRequest):
                session.execute(delete(table).where(table.address == learner.address))
        else:
            session.execute(delete(OwnSession).where(OwnSession.id == learner.session_id))
        action = "access.ended" if everywhere else "access.left"
        for each in learner.people:
            audit.record(session, now, audit.person(each.id), action, audit.person(each.id))


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove sessions, links and unconfirmed addresses whose time is over."""
    over = {
        OwnSession: or_(OwnSession.expires_at < now, OwnSession.used_at < now - IDLE_LASTS),
        OwnLink: OwnLink.expires_at < now - LINKS_KEPT,
        OwnAddressRequest: OwnAddressRequest.expires_at < now - LINKS_KEPT,
        OwnLinkRequest: OwnLinkRequest.created_at < now - LINK_LASTS,
    }
    with tool.db.write() as session:
        for table, condition in over.items():
            session.execute(delete(table).where(condition))


# -- whose it is ------------------------------------------------------------------------------------------------


def kept_of(session: Session, person_id: str) -> dict[str, Any]:
    """Return what is kept here about a person, as JSON takes it: for her own download."""
    known = session.get(OwnAddress, person_id)
    waiting = session.scalars(
        select(OwnAddressRequest).where(OwnAddressRequest.person_id == person_id).order_by(OwnAddressRequest.created_at)
    )
    reminder = session.get(OwnReminder, person_id)
    found: dict[str, Any] = {
        "address": known.address if known is not None else None,
        "confirmed_at": known.confirmed_at.isoformat() if known is not None else None,
        "asked": [
            {"address": row.address, "at": row.created_at.isoformat(), "until": row.expires_at.isoformat()}
            for row in waiting
        ],
        "reminder_put_away_at": reminder.dismissed_at.isoformat() if reminder is not None else None,
        "links": [],
        "visits": [],
    }
    if known is not None:
        links = select(OwnLink).where(OwnLink.address == known.address).order_by(OwnLink.created_at)
        visits = select(OwnSession).where(OwnSession.address == known.address).order_by(OwnSession.created_at)
        found["links"] = [
            {"sent_at": row.created_at.isoformat(), "used_at": row.used_at.isoformat() if row.used_at else None}
            for row in session.scalars(links)
        ]
        found["visits"] = [
            {"began_at": row.created_at.isoformat(), "last_used_at": row.used_at.isoformat()}
            for row in session.scalars(visits)
        ]
    return found


def forget(session: Session, person_id: str) -> None:
    """Remove all that is kept here about a person, in the caller's transaction: nobody is let in for her any more.

    What belongs to another person who has confirmed the same address stays."""
    addresses = set(
        session.scalars(delete(OwnAddress).where(OwnAddress.person_id == person_id).returning(OwnAddress.address))
    )
    asked = delete(OwnAddressRequest).where(OwnAddressRequest.person_id == person_id)
    entered = set(session.scalars(asked.returning(OwnAddressRequest.address)))
    session.execute(delete(OwnReminder).where(OwnReminder.person_id == person_id))
    _shut(session, addresses)
    for address in addresses | entered:
        if session.scalar(select(OwnAddress.person_id).where(OwnAddress.address == address).limit(1)) is None:
            session.execute(delete(OwnAddressRequest).where(OwnAddressRequest.instead_of == address))
            session.execute(delete(Mail).where(Mail.recipient == address, Mail.template.like(r"own\_%", escape="\\")))
