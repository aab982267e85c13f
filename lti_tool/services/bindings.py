"""An administrator's LMS account as her way in: bound with a code, confirmed by her, used by a one-time address.

It begins on the administrator's page, which shows a short-lived code; whoever is launched types it into the tool's
page in her LMS; and back on the administrator's page she sees whose account that was, and says yes. So neither a code
that was overheard nor an address that was sent to her binds anybody else's account unawares."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Conflict, NotFound, NotPermitted
from lti_tool.models import Administrator, AdminSession, Binding, BindingCode, Launch, SignInAddress
from lti_tool.sentence import Sentence
from lti_tool.services import administrators, audit
from lti_tool.services.administrators import ASKED_LASTS, SignedIn
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

CODE_LASTS = timedelta(minutes=10)
ADDRESS_LASTS = timedelta(minutes=5)
LETTERS = "ABCDEFGHJKLMNPQRTUVWXY346789"  # none that reads as another: 28 to the power of 8, guessed within ten minutes
CODE_LENGTH = 8
BOUND, OPEN, CLOSED = "bound", "open", ""


def new_code(tool: Tool, who: SignedIn, now: datetime) -> str:
    """Return a code that binds an LMS account to this administrator, shown once; an earlier one ends."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))

    def put() -> None:
        with tool.db.write() as session:
            session.execute(delete(BindingCode).where(BindingCode.administrator_id == who.id))
            row = BindingCode(administrator_id=who.id, code_hash=_digest(code), expires_at=now + CODE_LASTS)
            session.add(row)

    repeat_collided(put)
    return f"{code[:4]}-{code[4:]}"


def _digest(code: str) -> str:
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(f"binding\0{plain}".encode()).hexdigest()


def way_in(tool: Tool, person_id: str, now: datetime) -> str:
    """Say what somebody launched may do about administration: BOUND: sign in; OPEN: type a code; CLOSED: nothing.

    OPEN only while some administrator has asked for a code, so that nobody else ever meets the word."""
    with tool.db.read() as session:
        if _bound(session, person_id) is not None:
            return BOUND
        code = select(BindingCode.administrator_id).where(BindingCode.expires_at > now).limit(1)
        return OPEN if session.scalar(code) is not None else CLOSED


def way_in_of_launch(tool: Tool, launch_id: str, now: datetime) -> str:
    """Do as `way_in` for a launch that has just been opened."""
    with tool.db.read() as session:
        person_id = session.scalar(select(Launch.person_id).where(Launch.id == launch_id))
    return way_in(tool, person_id, now) if person_id else CLOSED


def _bound(session: Session, person_id: str) -> Administrator | None:
    """Return the administrator whom an LMS account signs in."""
    return session.scalar(
        select(Administrator)
        .join(Binding, Binding.administrator_id == Administrator.id)
        .where(Binding.person_id == person_id, Binding.confirmed_at.is_not(None), Administrator.removed_at.is_(None))
    )


def enter_code(tool: Tool, who: LaunchSession, code: str, now: datetime) -> None:
    """Ask for a launched person's account to be bound. Raises BadInput for a code that is wrong or over."""
    if who.test_user:
        raise NotPermitted(
            "a test user", sentence=Sentence("The LMS's test student cannot be bound to an administrator.")
        )
    repeat_collided(lambda: _enter_code(tool, who, code, now))


def _enter_code(tool: Tool, who: LaunchSession, code: str, now: datetime) -> None:
    with tool.db.write() as session:
        used = session.scalar(
            delete(BindingCode)
            .where(BindingCode.code_hash == _digest(code), BindingCode.expires_at > now)
            .returning(BindingCode.administrator_id)
        )
        if used is None:
            raise BadInput(
                sentence=Sentence("This code is not right, or its ten minutes are over."),
                what_to_do=Sentence("The administrator's page shows a new one."),
            )
        row = session.get(Binding, who.person_id)
        if row is not None and row.confirmed_at is not None:
            raise Conflict(sentence=Sentence("This LMS account signs in an administrator already."), what_to_do="")
        if row is not None:
            session.delete(row)
            session.flush()
        session.add(Binding(person_id=who.person_id, administrator_id=used, created_at=now))
        person = audit.person(who.person_id)
        audit.record(session, now, person, "administrator.account_asked", f"administrator:{used}")


def confirm(tool: Tool, who: SignedIn, person_id: str, now: datetime) -> None:
    """Say yes to an LMS account that asks to sign this administrator in; only she herself can."""
    with tool.db.write() as session:
        row = session.get(Binding, person_id, with_for_update=True)
        if (
            row is None
            or row.administrator_id != who.id
            or (not row.confirmed_at and row.created_at < now - ASKED_LASTS)
        ):
            raise NotFound(
                "no such binding", sentence=Sentence("This LMS account does not ask any more."), what_to_do=""
            )
        row.confirmed_at = row.confirmed_at or now
        audit.record(session, now, who.actor, "administrator.account_bound", f"person:{person_id}")


def undo(tool: Tool, who: SignedIn, person_id: str, now: datetime) -> None:
    """Take an LMS account's way in away, whoever's it is; what it opened ends at once."""
    with tool.db.write() as session:
        row = session.get(Binding, person_id, with_for_update=True)
        if row is None:
            raise NotFound(
                "no such binding", sentence=Sentence("This LMS account is not bound any more."), what_to_do=""
            )
        whose = row.administrator_id
        session.delete(row)
        session.execute(delete(AdminSession).where(AdminSession.person_id == person_id))
        unused = (SignInAddress.person_id == person_id, SignInAddress.used_at.is_(None))
        session.execute(delete(SignInAddress).where(*unused))
        told = {} if whose == who.id else {"administrator": whose}
        audit.record(session, now, who.actor, "administrator.account_unbound", f"person:{person_id}", **told)


def sign_in_address(tool: Tool, who: LaunchSession, now: datetime) -> str:
    """Return a one-time address for the administrator whose bound account has launched; raises NotPermitted."""
    with tool.db.write() as session:
        known = _bound(session, who.person_id)
        if known is None:
            raise NotPermitted(
                "not bound",
                sentence=Sentence("This LMS account does not sign in an administrator."),
                what_to_do=Sentence("An administrator binds her account on her own page, under Administrators."),
            )
        return administrators.make_address(
            tool,
            session,
            known,
            person_id=who.person_id,
            lasts=ADDRESS_LASTS,
            actor=audit.person(who.person_id),
            now=now,
        )
