"""Registration by invite link: an administrator's one-time address, and what an LMS that opens it leads to.

Three short transactions with the network between them: the invite is claimed, what is about to be asked is noted, and
what the platform answered is stored together with the invite's end. A claim is a lease, so a process that dies in
between blocks nobody; the note says that the platform may hold a client nobody knows of."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import Conflict, InviteRefused, NotFound, RegistrationRefused
from lti_tool.lti.dynamic_registration import (
    NEEDED_SCOPES,
    Configuration,
    Granted,
    ask_registration,
    read_configuration,
    registration_request,
)
from lti_tool.lti.platforms import Clicks, canvas_key_configuration, platform_of
from lti_tool.lti.registration import digest
from lti_tool.models import Deployment, Invite, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import audit
from lti_tool.services.issuer import issuer_row
from lti_tool.services.platforms import check_client_id, same_client, told_by
from lti_tool.services.tool import Tool, log

INVITE_LASTS = timedelta(hours=24)
LONGEST_INVITE = timedelta(days=30)
# Two requests with their timeouts; after it a request that has not come back counts as dead.
CLAIM_LASTS = timedelta(minutes=3)
DESCRIPTION = "Awards Open Badges for what learners show, from the grades of this course."


@dataclass(frozen=True)
class Made:
    """A new invite. The address is shown once: only the hash of its secret is kept."""

    id: int
    address: str
    expires_at: datetime


@dataclass(frozen=True)
class Registered:
    """What to tell the administrator in the LMS's window. `origins` are where its page may lie, to be told to close."""

    platform_id: int
    name: str
    product_name: str
    client_id: str
    state: str
    again: bool
    clicks: Clicks
    missing: tuple[str, ...]
    origins: tuple[str, ...]


# -- invites ----------------------------------------------------------------------------------------------------


def invite(tool: Tool, *, lasts: timedelta = INVITE_LASTS, actor: str, now: datetime) -> Made:
    """Make a one-time address for dynamic registration."""
    secret = secrets.token_urlsafe(32)
    with tool.db.write() as session:
        row = Invite(token_hash=digest(secret), created_by=actor, created_at=now, expires_at=now + lasts)
        session.add(row)
        session.flush()
        audit.record(session, now, actor, "invite.made", f"invite:{row.id}")
        return Made(row.id, f"{tool.settings.base_url}/lti/register?{urlencode({'invite': secret})}", row.expires_at)


def withdraw(tool: Tool, invite_id: int, *, actor: str, now: datetime) -> None:
    """Take an invite back. Raises NotFound, or Conflict for one that was used."""
    with tool.db.write() as session:
        row = session.get(Invite, invite_id)
        if row is None:
            raise NotFound(sentence=Sentence("There is no invite %(invite_id)s.", invite_id=invite_id))
        if row.used_at is not None:
            raise Conflict(
                sentence=Sentence("This invite was used already."), what_to_do=Sentence("Look at the platform it made.")
            )
        if row.withdrawn_at is None:
            row.withdrawn_at = now
            audit.record(session, now, actor, "invite.withdrawn", f"invite:{row.id}")


def invites(tool: Tool, now: datetime) -> list[dict[str, Any]]:
    """Return the invites of the last month, newest first, each with its state as a word."""
    query = select(Invite).where(Invite.created_at > now - LONGEST_INVITE).order_by(Invite.id.desc())
    with tool.db.read() as session:
        return [
            {
                "id": row.id,
                "state": _state(row, now),
                "created_at": row.created_at,
                "expires_at": row.expires_at,
                "asked_of": row.asked_of,
                "platform": row.registration_id,
            }
            for row in session.scalars(query)
        ]


def _state(row: Invite, now: datetime) -> str:
    if row.used_at is not None:
        return "used"
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.claimed_until is not None and row.claimed_until > now:
        return "in use"
    if row.asked_at is not None:
        return "broken off"
    return "open" if row.expires_at > now else "expired"


# -- registering ------------------------------------------------------------------------------------------------


def register(tool: Tool, secret: str, config_url: str, token: str | None, now: datetime) -> Registered:
    """Register the tool with the platform whose configuration lies at `config_url`, with a one-time invite.

    Of parallel requests with one invite one goes on. A registration that fails leaves the invite usable, unless the
    platform has made a client. Raises InviteRefused, Conflict (in use at this moment) or RegistrationRefused.
    The registration token goes to the platform and nowhere else: it is not stored, and no error holds it (E14)."""
    invite_id = _claim(tool, secret, now)
    try:
        found = read_configuration(tool.http, config_url, token)
        with tool.db.read() as session:
            contact = issuer_row(session).email or None
        request = registration_request(found, base_url=tool.settings.base_url, description=DESCRIPTION, contact=contact)
        if found.registration_endpoint is not None:
            _note_asked(tool, invite_id, found.issuer, now)
        granted = ask_registration(tool.http, found, request, token)
    except RegistrationRefused as refused:
        _release(tool, invite_id, now, made=refused.made, unsure=refused.reason == "no_answer")
        raise
    except Exception:
        _release(tool, invite_id, now, made=False, unsure=True)
        raise
    return _store(tool, invite_id, found, granted, now)


def _claim(tool: Tool, secret: str, now: datetime) -> int:
    with tool.db.write() as session:
        claimed = session.execute(
            update(Invite)
            .where(
                Invite.token_hash == digest(secret),
                Invite.used_at.is_(None),
                Invite.withdrawn_at.is_(None),
                Invite.expires_at > now,
                or_(Invite.claimed_until.is_(None), Invite.claimed_until <= now),
            )
            .values(claimed_until=now + CLAIM_LASTS)
            .returning(Invite.id)
        ).scalar_one_or_none()
        if claimed is not None:
            return claimed
        row = session.scalar(select(Invite).where(Invite.token_hash == digest(secret)))
    if row is None:
        raise InviteRefused("unknown", reason="invite_unknown")
    state = _state(row, now)
    if state == "used":
        raise InviteRefused(
            "used", reason="invite_used", sentence=Sentence("This registration address was already used.")
        )
    if state == "withdrawn":
        raise InviteRefused(
            "withdrawn", reason="invite_withdrawn", sentence=Sentence("This registration address was withdrawn.")
        )
    if state == "in use":
        raise Conflict(
            "in use",
            reason="invite_in_use",
            sentence=Sentence("This registration address is being used at this moment."),
            what_to_do=Sentence("Wait for the other window to finish. If there is none, try again in three minutes."),
        )
    raise InviteRefused("expired", reason="invite_expired", sentence=Sentence("This registration address has expired."))


def _note_asked(tool: Tool, invite_id: int, issuer: str, now: datetime) -> None:
    with tool.db.write() as session:
        row = session.get_one(Invite, invite_id)
        row.asked_at, row.asked_of = now, issuer


def _release(tool: Tool, invite_id: int, now: datetime, *, made: bool, unsure: bool) -> None:
    with tool.db.write() as session:
        row = session.get_one(Invite, invite_id)
        row.claimed_until = None
        if made:
            row.used_at = now
            audit.record(session, now, audit.TOOL, "invite.used", f"invite:{row.id}", of=row.asked_of, stored=False)
        elif not unsure:
            row.asked_at = row.asked_of = None


def _store(tool: Tool, invite_id: int, found: Configuration, granted: Granted, now: datetime) -> Registered:
    """Store what came of it. Raises RegistrationRefused where the client id is another LMS's; it uses the invite up."""

    def store() -> Registered:
        with tool.db.write() as session:
            row, again = _row(session, tool, found, granted, now)
            return _finish(session, tool, invite_id, row, found, granted, now, again=again)

    try:
        # Repeated: the same client may be stored by somebody else between our look and our write.
        return repeat_collided(store)
    except Conflict as conflict:
        _release(tool, invite_id, now, made=True, unsure=False)
        raise RegistrationRefused(
            conflict.detail, reason=conflict.reason, sentence=conflict.sentence, what_to_do=conflict.what_to_do
        ) from None


def _row(
    session: Session, tool: Tool, found: Configuration, granted: Granted, now: datetime
) -> tuple[Registration, bool]:
    """Return the registration's row, and whether it was there before.

    The addresses of one that was there stay as they are: an invite must not lead a platform's launches elsewhere."""
    row = session.scalar(
        select(Registration).where(Registration.issuer == found.issuer, Registration.client_id == granted.client_id)
    )
    if row is not None:
        row.granted_scopes = list(granted.scopes) if granted.scopes is not None else None
        return row, True
    told = told_by(found, granted.client_id)
    check_client_id(session, told)
    # Somebody has to look at an LMS with another one's client id, whatever the setting says.
    at_once = tool.settings.lti.approve_registrations == "automatic"
    at_once = at_once and not same_client(session, told.issuer, told.client_id)
    row = Registration(
        name=told.name,
        product=told.product,
        issuer=told.issuer,
        client_id=told.client_id,
        auth_login_url=told.auth_login_url,
        auth_token_url=told.auth_token_url,
        auth_audience=told.auth_audience,
        jwks_url=told.jwks_url,
        status="active" if at_once else "disabled",
        approved=at_once,
        registered_by="invite",
        granted_scopes=list(granted.scopes) if granted.scopes is not None else None,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row, False


def _finish(
    session: Session,
    tool: Tool,
    invite_id: int,
    row: Registration,
    found: Configuration,
    granted: Granted,
    now: datetime,
    *,
    again: bool,
) -> Registered:
    known = {each.deployment_id for each in row.deployments}
    if granted.deployment_id is not None and granted.deployment_id not in known:
        # A new registration's own deployment is approved with it; of one that was there an administrator decides.
        status = "pending" if again else "active"
        session.add(
            Deployment(registration_id=row.id, deployment_id=granted.deployment_id, status=status, created_at=now)
        )
    used = session.get_one(Invite, invite_id)
    used.used_at, used.claimed_until, used.registration_id = now, None, row.id
    action = "platform.registered_again" if again else "platform.registered"
    audit.record(
        session, now, audit.TOOL, action, f"platform:{row.id}", name=row.name, issuer=row.issuer, invite=invite_id
    )
    log.info("registered platform=%s product=%s state=%s again=%s", row.id, row.product, row.state, again)
    other = (row.auth_login_url, row.auth_token_url, row.jwks_url) != (
        found.authorization_endpoint,
        found.token_endpoint,
        found.jwks_uri,
    )
    if again and other:
        log.warning("platform=%s registered again with other addresses, which were not taken", row.id)
    return Registered(
        platform_id=row.id,
        name=row.name,
        product_name=platform_of(row.product).name if row.product != "other" else Sentence("your LMS"),
        client_id=row.client_id,
        state=row.state,
        again=again,
        clicks=platform_of(row.product).after_registration(),
        missing=tuple(scope_word(each) for each in missing_scopes(granted.scopes)),
        origins=found.origins,
    )


def missing_scopes(granted: tuple[str, ...] | list[str] | None) -> list[str]:
    """Return the scopes the tool needs and a platform did not grant (E11); none where it did not say."""
    return [] if granted is None else [scope for scope in NEEDED_SCOPES if scope not in granted]


SCOPE_WORDS = dict(
    zip(
        NEEDED_SCOPES,
        (
            Sentence("make gradebook columns"),
            Sentence("read results"),
            Sentence("send scores"),
            Sentence("read who is in the course"),
        ),
        strict=True,
    )
)


def scope_word(scope: str) -> str:
    return SCOPE_WORDS.get(scope, scope.rpartition("/")[2])


def canvas_configuration(tool: Tool) -> dict[str, Any]:
    """Return what a Canvas developer key reads at /lti/config.json."""
    host = tool.settings.base_url.partition("://")[2]
    return canvas_key_configuration(tool.settings.base_url, host, DESCRIPTION, NEEDED_SCOPES)
