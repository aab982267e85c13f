"""Access after the course: one-time links to a confirmed address, and the sessions that they open.

An LMS account ends; what its learner has earned here stays hers. Whoever asks for a link is answered the same whether
the address is known or not, and a worker looks later. A link opens the badges of everybody who has confirmed that
mailbox, each from her own launch: one human in two LMSs is two persons here."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import Busy, OwnLinkRefused, OwnSessionEnded
from lti_tool.lti.registration import digest
from lti_tool.models import (
    Award,
    Mail,
    OwnAddress,
    OwnAddressRequest,
    OwnLink,
    OwnLinkRequest,
    OwnReminder,
    OwnSession,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, mail, own_addresses, work
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

KIND = "own_links"  # the job that looks whether the addresses that were entered are known
ALL = "all"
LINK_LASTS = timedelta(minutes=15)
SESSION_LASTS = timedelta(hours=8)
IDLE_LASTS = timedelta(hours=2)
SEEN_EVERY = timedelta(minutes=1)  # a session's last use is written down this often, not with every page
LINKS_KEPT = timedelta(days=1)  # after its time, so that whoever opens one late is told why it opens nothing
MOST_LINKS = 3  # that are mailed to one address within the time that one lasts
MOST_LINKS_A_DAY = 10


@dataclass(frozen=True)
class Learner:
    """Who is behind a request without a launch: everybody who has confirmed the session's address."""

    session_id: str
    address: str = field(repr=False)
    people: tuple[own_addresses.OwnPerson, ...]
    ends_at: datetime

    @property
    def person_id(self) -> str:
        """The first of them."""
        return self.people[0].id

    @property
    def holders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.holder_id for each in self.people))


Viewer = LaunchSession | Learner  # whoever looks at her own badges


# -- a link -----------------------------------------------------------------------------------------------------


def request_link(tool: Tool, typed: str, language: str, now: datetime) -> None:
    """Note that a link to this address is wanted. A worker looks whether it is known, so nothing here can tell.

    Raises BadInput for what is no address."""
    address = own_addresses.checked(typed)

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
        if row.created_at > now - LINK_LASTS and own_addresses.offered(tool):
            _send_link(tool, session, row, now)
    return True


def _send_link(tool: Tool, session: Session, row: OwnLinkRequest, now: datetime) -> None:
    people = own_addresses.people_of(session, row.address)
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
    address = f"{tool.settings.base_url}/own/link/{secret}"
    to = own_addresses.To(row.address, people[0].id)
    own_addresses.write_mail(
        tool, session, f"own-link:{link.id}", to, "own_link", row.language, LINK_LASTS, now, address
    )


def look_at_link(tool: Tool, secret: str, now: datetime) -> None:
    """Raise OwnLinkRefused for a link that opens nothing. It uses nothing up and tells nothing of anybody."""
    with tool.db.read() as session:
        row = session.scalar(select(OwnLink).where(OwnLink.secret_hash == digest(secret)))
    if row is None:
        raise own_addresses.unknown("link")
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
        raise own_addresses.unknown("link")
    return fresh


def _open_session(tool: Tool, secret: str, fresh: str, before: str | None, now: datetime) -> bool:
    with tool.db.write() as session:
        address = session.scalar(
            update(OwnLink)
            .where(OwnLink.secret_hash == digest(secret), OwnLink.used_at.is_(None), OwnLink.expires_at > now)
            .values(used_at=now)
            .returning(OwnLink.address)
        )
        people = own_addresses.people_of(session, address) if address is not None else []
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
        for each in own_addresses.people_of(session, address) if address is not None else []:
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
        people = own_addresses.people_of(session, row.address)
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


# -- her awards -------------------------------------------------------------------------------------------------


def hers(learner: Learner) -> ColumnElement[bool]:
    """Return the condition on awards that she sees here: issued once, or being signed anew after her own choice."""
    signing = and_(Award.status == "pending", Award.claimed_at.is_not(None))
    return and_(
        Award.person_id.in_(learner.holders),
        Award.issued_at.is_not(None),
        or_(Award.status.in_(("issued", "revoked")), signing),
    )


def award_of(session: Session, learner: Learner, award_id: str) -> Award | None:
    """Return an award of hers; what is another's, or not there, is the same None after the same query (D14)."""
    if not award_id.isprintable():
        return None
    return session.scalar(select(Award).where(Award.id == award_id, hers(learner)))


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
    own_addresses.shut(session, addresses)
    known, left = set[str](), addresses | entered
    while left:  # one after another: each may have taken the place of one before
        address = left.pop()
        known.add(address)
        if session.scalar(select(OwnAddress.person_id).where(OwnAddress.address == address).limit(1)) is None:
            named = or_(OwnAddressRequest.instead_of == address, OwnAddressRequest.address == address)
            moved = delete(OwnAddressRequest).where(named, OwnAddressRequest.person_id.is_(None))
            pairs = session.execute(moved.returning(OwnAddressRequest.instead_of, OwnAddressRequest.address)).all()
            left |= {each for pair in pairs for each in pair} - known
            session.execute(delete(Mail).where(Mail.recipient == address, Mail.template.like(r"own\_%", escape="\\")))
