"""Who looks after this installation: one-time sign-in addresses, sessions, invitations, removal.

No role of an LMS makes anybody administrator. An operator's command makes the first; she invites others."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import repeat_collided
from lti_tool.errors import Conflict, NotSignedIn
from lti_tool.lti.registration import digest
from lti_tool.models import Administrator, AdminSession, Person, Registration, SignInAddress
from lti_tool.services import audit
from lti_tool.services.tool import Tool

ADDRESS_LASTS = timedelta(hours=24)
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


# -- one-time addresses -----------------------------------------------------------------------------------------


def invite(tool: Tool, *, email: str = "", actor: str, now: datetime) -> str:
    """Make a one-time sign-in address and return it; it is shown once, and only its hash is kept.

    An e-mail address of an administrator signs her in; else whoever opens it becomes one."""
    email = email.strip().lower()
    secret = secrets.token_urlsafe(32)
    with tool.db.write() as session:
        known = _with_email(session, email)
        row = SignInAddress(
            secret_hash=digest(secret),
            administrator_id=known.id if known else None,
            email=email,
            made_by=actor,
            created_at=now,
            expires_at=now + ADDRESS_LASTS,
        )
        session.add(row)
        session.flush()
        subject = f"administrator:{known.id}" if known else f"sign-in:{row.id}"
        audit.record(session, now, actor, "administrator.invited", subject)
    return f"{tool.settings.base_url}/sign-in/{secret}"


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
        return NotSignedIn("used", reason="address_used", sentence="This sign-in address was already used.")
    if row is not None and row.expires_at <= now:
        return NotSignedIn("expired", reason="address_expired", sentence="This sign-in address has expired.")
    return NotSignedIn("unknown", reason="address_unknown", sentence="This sign-in address is not one of ours.")


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
                problems["email"] = "Another administrator has this e-mail address. Leave it out, or write another one."
    return problems


def problem_of_name(name: str) -> str:
    if not name.strip():
        return "Write your name."
    if len(name.strip()) > LONGEST_NAME:
        return f"A name has at most {LONGEST_NAME} characters; this one has {len(name.strip()):,}."
    return "" if name.strip().isprintable() else "There is a character in this name that cannot be shown."


def problem_of_email(email: str) -> str:
    """Return what is wrong with an e-mail address; an empty one is none."""
    if not email or (len(email) <= LONGEST_EMAIL and EMAIL.fullmatch(email)):
        return ""
    return "This is not an e-mail address. Write it as name@example.edu, or leave it out."


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
                "used meanwhile", reason="address_used", sentence="This sign-in address was already used."
            )
        who = _whom(session, used.administrator_id, used.email)
        if used.person_id is not None and not may_launch(session, used.person_id):
            raise NotSignedIn("the LMS account it came through is switched off", reason="disabled")
        if who is None:
            if _with_email(session, email) is not None:
                raise Conflict(sentence="Somebody with this e-mail address has become administrator in the meantime.")
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
        if row.person_id is not None and not may_launch(session, row.person_id):
            raise NotSignedIn("the LMS account it came through is switched off", reason="disabled")
    if now - row.used_at > SEEN_EVERY:
        with tool.db.write() as session:
            session.execute(update(AdminSession).where(AdminSession.id == row.id).values(used_at=now))
    return SignedIn(row.administrator_id, row.administrator.name, row.administrator.email, row.id)


def may_launch(session: Session, person_id: str) -> bool:
    """Tell whether somebody of an LMS is let in by it: neither she nor the platform is switched off."""
    query = (
        select(Person.id)
        .join(Registration, Registration.id == Person.registration_id)
        .where(Person.id == person_id, ~Person.disabled, Registration.status == "active")
    )
    return session.scalar(query) is not None


def csrf_token(secret: str, session_id: str) -> str:
    """Return the token every form of a session's pages carries."""
    return hashlib.sha256(f"admin-csrf\0{secret}\0{session_id}".encode()).hexdigest()
