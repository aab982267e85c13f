"""Who looks after this installation: one-time sign-in addresses, sessions, invitations, removal.

No role of an LMS makes anybody administrator. An operator's command makes the first; she invites others."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Busy, Conflict, NotFound, NotSignedIn
from lti_tool.lti.registration import digest
from lti_tool.models import (
    Administrator,
    AdminSession,
    Binding,
    BindingCode,
    Invite,
    Person,
    Registration,
    SignInAddress,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit
from lti_tool.services.tool import Tool

ADDRESS_LASTS = timedelta(hours=24)
ADDRESSES_KEPT = timedelta(days=30)  # after that one that is opened is unknown, no longer used or expired
ASKED_LASTS = timedelta(minutes=30)  # how long an LMS account that asks to be bound waits for the answer
SESSION_LASTS = timedelta(hours=12)
IDLE_LASTS = timedelta(hours=1)
LONGEST_NAME = 200
LONGEST_EMAIL = 254
EMAIL = re.compile(r"[^\s@<>(),;:\"\\\[\]]+@[^\s@<>(),;:\"\\\[\]]+\.[^\s@<>(),;:\"\\\[\].]+")
SEEN_EVERY = timedelta(minutes=1)  # a session's last use is written down this often, not with every page


@dataclass(frozen=True)
class SignedIn:
    """The administrator behind a request."""

    id: str
    name: str
    email: str
    session_id: str

    @property
    def actor(self) -> str:
        return audit.administrator(self.id)


@dataclass(frozen=True)
class Asked:
    """What a one-time address offers: `name` of the administrator it signs in, empty where it makes a new one."""

    name: str
    email: str


@dataclass(frozen=True)
class OpenedSession:
    """A session that was opened; `secret` goes into the cookie and nowhere else."""

    administrator_id: str
    secret: str


@dataclass(frozen=True)
class Row:
    """An administrator as the list shows her."""

    id: str
    name: str
    email: str
    signed_in_at: datetime | None
    lms_accounts: tuple[Account, ...]


@dataclass(frozen=True)
class Account:
    """An LMS account that signs an administrator in, or asks to."""

    person_id: str
    name: str
    platform: str
    confirmed: bool


@dataclass(frozen=True)
class OpenAddress:
    """A sign-in address nobody has used yet."""

    id: str
    whom: str  # a name, an e-mail address, or empty: whoever opens it
    made_by: str  # an actor of the audit log
    expires_at: datetime


@dataclass(frozen=True)
class AdministratorsPage:
    rows: tuple[Row, ...]
    open_addresses: tuple[OpenAddress, ...]


# -- one-time addresses -----------------------------------------------------------------------------------------


def invite(tool: Tool, *, email: str = "", administrator_id: str | None = None, actor: str, now: datetime) -> str:
    """Make a one-time sign-in address and return it; it is shown once, and only its hash is kept.

    An administrator, by id or by e-mail address, is signed in by it; else whoever opens it becomes one."""
    email = email.strip().lower()
    if problem := problem_of_email(email):
        raise BadInput(sentence=problem)
    with tool.db.write() as session:
        known = get(session, administrator_id) if administrator_id else _with_email(session, email)
        return make_address(tool, session, known, email=email, lasts=ADDRESS_LASTS, actor=actor, now=now)


def make_address(
    tool: Tool,
    session: Session,
    who: Administrator | None,
    *,
    email: str = "",
    person_id: str | None = None,
    lasts: timedelta,
    actor: str,
    now: datetime,
) -> str:
    """Write a one-time address for somebody, or for whoever opens it, and return it."""
    secret = secrets.token_urlsafe(32)
    row = SignInAddress(
        secret_hash=digest(secret),
        administrator_id=who.id if who else None,
        email=email,
        person_id=person_id,
        made_by=actor,
        created_at=now,
        expires_at=now + lasts,
    )
    session.add(row)
    session.flush()
    told = {"administrator": who.id} if who else {}
    audit.record(session, now, actor, "administrator.address_made", f"sign-in:{row.id}", **told)
    return f"{tool.settings.base_url}/sign-in/{secret}"


def withdraw(tool: Tool, address_id: str, *, actor: str, now: datetime) -> None:
    """Take an address back that nobody has used yet."""
    with tool.db.write() as session:
        unused = (SignInAddress.id == address_id, SignInAddress.used_at.is_(None))
        if session.scalar(delete(SignInAddress).where(*unused).returning(SignInAddress.id)) is None:
            raise Conflict(sentence=Sentence("This sign-in address was used or withdrawn in the meantime."))
        audit.record(session, now, actor, "administrator.address_withdrawn", f"sign-in:{address_id}")


def get(session: Session, administrator_id: str) -> Administrator:
    """Return an administrator who is one still; raises NotFound."""
    who = session.get(Administrator, administrator_id)
    if who is None or who.removed_at is not None:
        raise NotFound(
            "no such administrator", sentence=Sentence("This administrator is not there any more."), what_to_do=""
        )
    return who


def _with_email(session: Session, email: str) -> Administrator | None:
    if not email:
        return None
    return session.scalar(select(Administrator).where(Administrator.email == email, Administrator.removed_at.is_(None)))


def look(tool: Tool, secret: str, now: datetime, *, tried: bool = False) -> Asked:
    """Say whom an address signs in, and use nothing up. Raises NotSignedIn for one that is used, expired or unknown.

    `tried`: somebody has pressed the button, so a refusal goes into the audit log."""
    with tool.db.read() as session:
        row = session.scalar(select(SignInAddress).where(SignInAddress.secret_hash == digest(secret)))
        if row is not None and row.used_at is None and row.expires_at > now:
            who = _whom(session, row.administrator_id, row.email)
            return Asked(who.name if who else "", row.email)
    if tried:
        _refused(tool, row, now)
    raise _not_this_one(row, now)


def _not_this_one(row: SignInAddress | None, now: datetime) -> NotSignedIn:
    if row is not None and row.used_at is not None:
        return NotSignedIn("used", reason="address_used", sentence=Sentence("This sign-in address was already used."))
    if row is not None and row.expires_at <= now:
        return NotSignedIn("expired", reason="address_expired", sentence=Sentence("This sign-in address has expired."))
    return NotSignedIn(
        "unknown", reason="address_unknown", sentence=Sentence("This sign-in address is not one of ours.")
    )


def _refused(tool: Tool, row: SignInAddress | None, now: datetime) -> None:
    """Write a failed sign-in down, without anything of what was sent."""
    subject = f"sign-in:{row.id}" if row else "sign-in"
    reason = _not_this_one(row, now).reason
    with tool.db.write() as session:
        audit.record(session, now, audit.NOBODY, "administrator.refused", subject, reason=reason)


def _whom(session: Session, administrator_id: str | None, email: str) -> Administrator | None:
    """Return the administrator an address is for, None where it makes one. Raises NotSignedIn for one removed."""
    if administrator_id is None:
        return _with_email(session, email)
    who = session.get_one(Administrator, administrator_id)
    if who.removed_at is not None:
        raise NotSignedIn("removed", reason="removed")
    return who


def problems_of(tool: Tool, asked: Asked, *, name: str, email: str) -> dict[str, str]:
    """Return what is wrong with the name and e-mail address of a new administrator, by field."""
    if asked.name:
        return {}
    problems = {}
    if problem := problem_of_name(name):
        problems["name"] = problem
    email = email.strip().lower()
    if problem := problem_of_email(email):
        problems["email"] = problem
    elif email and email != asked.email:
        with tool.db.read() as session:
            if _with_email(session, email) is not None:
                problems["email"] = Sentence(
                    "Another administrator has this e-mail address. Leave it out, or write another one."
                )
    return problems


def problem_of_name(name: str) -> str:
    if not name.strip():
        return Sentence("Write your name.")
    if len(name.strip()) > LONGEST_NAME:
        return Sentence(
            "A name has at most %(most)s characters; this one has %(length)s.",
            most=LONGEST_NAME,
            length=f"{len(name.strip()):,}",
        )
    return "" if name.strip().isprintable() else Sentence("There is a character in this name that cannot be shown.")


def problem_of_email(email: str) -> str:
    """Return what is wrong with an e-mail address; an empty one is none."""
    if not email or (len(email) <= LONGEST_EMAIL and EMAIL.fullmatch(email)):
        return ""
    return Sentence("This is not an e-mail address. Write it as name@example.edu, or leave it out.")


def sign_in(tool: Tool, secret: str, *, name: str, email: str, before: str | None, now: datetime) -> OpenedSession:
    """Use up a one-time address and open a session; `before` is the secret of this browser's earlier one, which ends.

    Raises NotSignedIn where another request has used the address up in the meantime."""
    name, email = name.strip(), email.strip().lower()
    return repeat_collided(lambda: _sign_in(tool, secret, name, email, before, now))


def _sign_in(tool: Tool, secret: str, name: str, email: str, before: str | None, now: datetime) -> OpenedSession:
    with tool.db.write() as session:
        used = session.execute(
            update(SignInAddress)
            .where(
                SignInAddress.secret_hash == digest(secret),
                SignInAddress.used_at.is_(None),
                SignInAddress.expires_at > now,
            )
            .values(used_at=now)
            .returning(SignInAddress.id, SignInAddress.administrator_id, SignInAddress.email, SignInAddress.person_id)
        ).one_or_none()
        if used is None:  # only one request gets the row; whoever comes second finds nothing to use
            raise NotSignedIn(
                "used meanwhile", reason="address_used", sentence=Sentence("This sign-in address was already used.")
            )
        who = _whom(session, used.administrator_id, used.email)
        if used.person_id is not None and not _account_holds(session, used.person_id, used.administrator_id):
            raise NotSignedIn("the LMS account it came through is switched off", reason="disabled")
        if who is None and (there := _with_email(session, email)) is not None:
            if email != used.email:
                raise Conflict(
                    sentence=Sentence("Somebody with this e-mail address has become administrator in the meantime.")
                )
            who = there  # by another of her addresses, a moment ago: each statement sees what is there by then
        if who is None:
            who = Administrator(name=name, email=email, created_at=now)
            session.add(who)
            session.flush()
            audit.record(session, now, audit.administrator(who.id), "administrator.added", f"administrator:{who.id}")
        who.signed_in_at = now
        if before:
            session.execute(delete(AdminSession).where(AdminSession.secret_hash == digest(before)))
        fresh = secrets.token_urlsafe(32)
        session.add(
            AdminSession(
                secret_hash=digest(fresh),
                administrator_id=who.id,
                person_id=used.person_id,
                created_at=now,
                used_at=now,
                expires_at=now + SESSION_LASTS,
            )
        )
        audit.record(session, now, audit.administrator(who.id), "administrator.signed_in", f"sign-in:{used.id}")
        return OpenedSession(who.id, fresh)


def sign_out(tool: Tool, who: SignedIn, now: datetime) -> None:
    with tool.db.write() as session:
        session.execute(delete(AdminSession).where(AdminSession.id == who.session_id))
        audit.record(session, now, who.actor, "administrator.signed_out", f"administrator:{who.id}")


# -- who there is -----------------------------------------------------------------------------------------------


def page(tool: Tool, now: datetime) -> AdministratorsPage:
    """Return every administrator with her LMS accounts, and the addresses that are still open."""
    people = select(Administrator).where(Administrator.removed_at.is_(None)).order_by(Administrator.created_at)
    bound = (
        select(Binding.administrator_id, Binding.person_id, Person.name, Registration.name, Binding.confirmed_at)
        .join(Person, Person.id == Binding.person_id)
        .join(Registration, Registration.id == Person.registration_id)
        .where(or_(Binding.confirmed_at.is_not(None), Binding.created_at > now - ASKED_LASTS))
        .order_by(Binding.created_at)
    )
    waiting = (
        select(SignInAddress)
        .where(SignInAddress.used_at.is_(None), SignInAddress.expires_at > now, SignInAddress.person_id.is_(None))
        .order_by(SignInAddress.expires_at)
    )
    with tool.db.read() as session:
        accounts: dict[str, list[Account]] = {}
        for administrator_id, person_id, name, platform, confirmed_at in session.execute(bound):
            account = Account(person_id, name or _("Somebody without a name"), platform, confirmed_at is not None)
            accounts.setdefault(administrator_id, []).append(account)
        rows = [
            Row(who.id, who.name, who.email, who.signed_in_at, tuple(accounts.get(who.id, ())))
            for who in session.scalars(people)
        ]
        names = {row.id: row.name for row in rows}
        addresses = [
            OpenAddress(row.id, names.get(row.administrator_id or "", row.email), row.made_by, row.expires_at)
            for row in session.scalars(waiting)
        ]
    return AdministratorsPage(tuple(rows), tuple(addresses))


def remove(tool: Tool, administrator_id: str, *, actor: str, now: datetime) -> None:
    """Remove an administrator: her sessions, LMS accounts, codes and open addresses end at once.

    Never the last one: all are locked, in one order, so that of two who remove each other only one succeeds."""
    with tool.db.write() as session:
        active = select(Administrator).where(Administrator.removed_at.is_(None)).order_by(Administrator.id)
        everybody = {each.id: each for each in session.scalars(active.with_for_update())}
        if administrator_id not in everybody:
            raise NotFound(
                "no such administrator", sentence=Sentence("This administrator is not there any more."), what_to_do=""
            )
        if len(everybody) == 1:
            raise Conflict(
                sentence=Sentence("This is the last administrator, and there has to be one."),
                what_to_do=Sentence("Invite somebody else first. She can remove you once she has signed in."),
            )
        who = everybody[administrator_id]
        session.execute(delete(AdminSession).where(AdminSession.administrator_id == who.id))
        session.execute(delete(Binding).where(Binding.administrator_id == who.id))
        session.execute(delete(BindingCode).where(BindingCode.administrator_id == who.id))
        hers = or_(
            SignInAddress.administrator_id == who.id,
            SignInAddress.made_by == audit.administrator(who.id),
            and_(SignInAddress.email == who.email, SignInAddress.email != ""),
        )
        session.execute(delete(SignInAddress).where(hers, SignInAddress.used_at.is_(None)))
        links = (Invite.created_by == audit.administrator(who.id), Invite.used_at.is_(None))
        session.execute(update(Invite).where(*links).values(withdrawn_at=now))
        who.removed_at = now
        audit.record(session, now, actor, "administrator.removed", f"administrator:{who.id}")


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove sessions, codes and sign-in addresses whose time is over."""
    with tool.db.write() as session:
        session.execute(
            delete(AdminSession).where(or_(AdminSession.expires_at < now, AdminSession.used_at < now - IDLE_LASTS))
        )
        session.execute(delete(SignInAddress).where(SignInAddress.expires_at < now - ADDRESSES_KEPT))
        session.execute(delete(BindingCode).where(BindingCode.expires_at < now))
        session.execute(delete(Binding).where(Binding.confirmed_at.is_(None), Binding.created_at < now - ASKED_LASTS))


# -- the session behind a request -------------------------------------------------------------------------------


def find_session(tool: Tool, secret: str | None, now: datetime) -> SignedIn:
    """Return who is signed in. Raises NotSignedIn where nobody is: no session, an old one, a removed administrator."""
    if not secret:
        raise NotSignedIn("no cookie")
    query = (
        select(AdminSession)
        .where(AdminSession.secret_hash == digest(secret))
        .options(joinedload(AdminSession.administrator))
    )
    with tool.db.read() as session:
        row = session.scalar(query)
        if row is None or row.expires_at <= now or row.used_at + IDLE_LASTS <= now:
            raise NotSignedIn("no such session, or an old one", reason="session_ended")
        if row.administrator.removed_at is not None:
            raise NotSignedIn("removed", reason="removed")
        if row.person_id is not None and not _account_holds(session, row.person_id, row.administrator_id):
            raise NotSignedIn("the LMS account it came through is switched off", reason="disabled")
    if now - row.used_at > SEEN_EVERY:
        with suppress(Busy), tool.db.write() as session:  # a page is not refused because its time cannot be noted
            session.execute(update(AdminSession).where(AdminSession.id == row.id).values(used_at=now))
    return SignedIn(row.administrator_id, row.administrator.name, row.administrator.email, row.id)


def _account_holds(session: Session, person_id: str, administrator_id: str) -> bool:
    """Tell whether an LMS account still signs an administrator in: bound, and let in by its platform."""
    query = (
        select(Binding.person_id)
        .join(Person, Person.id == Binding.person_id)
        .join(Registration, Registration.id == Person.registration_id)
        .where(
            Binding.person_id == person_id,
            Binding.administrator_id == administrator_id,
            Binding.confirmed_at.is_not(None),
            ~Person.disabled,
            Registration.status == "active",
        )
    )
    return session.scalar(query) is not None


def csrf_token(secret: str, session_id: str) -> str:
    """Return the token every form of a session's pages carries."""
    return hashlib.sha256(f"admin-csrf\0{secret}\0{session_id}".encode()).hexdigest()
