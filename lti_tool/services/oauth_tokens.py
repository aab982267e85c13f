"""What a backpack holds once a learner has allowed it: codes, tokens, and how a connection ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import NotFound
from lti_tool.lti.registration import digest
from lti_tool.models import OAuthClient, OAuthCode, OAuthGrant, OAuthRequest, OAuthToken, Person, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import audit, oauth_clients
from lti_tool.services.oauth_clients import OFFLINE, Client
from lti_tool.services.tool import Tool

ACCESS_LASTS = timedelta(hours=1)  # as the specification recommends
REFRESH_LASTS = timedelta(days=180)  # from its last use
OVER_KEPT = timedelta(days=1)
SPENT_KEPT = timedelta(days=30)  # how long a second use of a refresh token is recognised as one
USE_NOTED = timedelta(hours=1)


@dataclass(frozen=True)
class CodeFound:
    """An authorization code that is good, as authlib asks for it."""

    code_hash: str
    grant_id: str
    person_id: str
    scope: str
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(frozen=True)
class TokenFound:
    """A token that is good, as authlib asks for it. Of a refresh token `scope` is what the grant allows."""

    id: int
    grant_id: str
    client_id: str
    person_id: str
    holder_id: str
    scope: str
    with_name: bool
    with_email: bool
    used_at: datetime | None

    def check_client(self, client: Client) -> bool:
        return client.id == self.client_id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return False  # `find_token` returns none that is

    def is_revoked(self) -> bool:
        return False


# -- codes and tokens -------------------------------------------------------------------------------------------


def find_code(tool: Tool, code: str, client: Client, now: datetime) -> CodeFound | None:
    """Return an authorization code that this backpack may use; a used one ends what was allowed with it.

    RFC 6749, 4.1.2: a code that comes twice was stolen, or its first answer was."""
    with tool.db.read() as session:
        row = session.scalar(
            select(OAuthCode)
            .join(OAuthGrant)
            .where(OAuthCode.code_hash == digest(code), OAuthGrant.client_id == client.id)
            .options(joinedload(OAuthCode.grant))
        )
    if row is None:
        return None
    if row.used_at is not None:
        end(tool, row.grant_id, why="code", now=now)
        return None
    if row.expires_at <= now or row.grant.ended_at is not None:
        return None
    return CodeFound(
        code_hash=row.code_hash,
        grant_id=row.grant_id,
        person_id=row.grant.person_id,
        scope=row.grant.scope,
        redirect_uri=row.redirect_uri,
        code_challenge=row.code_challenge,
    )


def find_token(tool: Tool, access_token: str, now: datetime) -> TokenFound | None:
    """Return what an access token allows; None for one that is unknown, over, or whose person was switched off."""
    query = _tokens().where(
        OAuthToken.access_hash == digest(access_token),
        OAuthToken.expires_at > now,
        OAuthToken.revoked_at.is_(None),
        OAuthGrant.ended_at.is_(None),
        ~Person.disabled,
        Registration.status == "active",
    )
    with tool.db.read() as session:
        row = session.scalar(query)
        return _token(row, row.scope) if row is not None else None


def find_refresh_token(tool: Tool, refresh_token: str, client: Client, now: datetime) -> TokenFound | None:
    """Return a refresh token that this backpack may use; one that was used before ends the connection.

    RFC 9700, 4.14.2: two who use one refresh token cannot both be the backpack."""
    query = _tokens().where(OAuthToken.refresh_hash == digest(refresh_token), OAuthGrant.client_id == client.id)
    with tool.db.read() as session:
        row = session.scalar(query)
    if row is None or row.refresh_expires_at is None:
        return None
    if row.spent_at is not None:
        end(tool, row.grant_id, why="refresh", now=now)
        return None
    person = row.grant.person
    if row.refresh_expires_at <= now or row.grant.ended_at is not None or person.disabled:
        return None
    return _token(row, row.grant.scope)


def _tokens() -> Any:
    return (
        select(OAuthToken)
        .join(OAuthToken.grant)
        .join(OAuthGrant.person)
        .join(Registration, Registration.id == Person.registration_id)
        .options(joinedload(OAuthToken.grant).joinedload(OAuthGrant.person))
    )


def _token(row: OAuthToken, scope: str) -> TokenFound:
    grant = row.grant
    return TokenFound(
        id=row.id,
        grant_id=row.grant_id,
        client_id=grant.client_id,
        person_id=grant.person_id,
        holder_id=grant.person.holder_id,
        scope=scope,
        with_name=grant.with_name,
        with_email=grant.with_email,
        used_at=grant.used_at,
    )


def keep_token(
    tool: Tool,
    token: Mapping[str, str],
    *,
    code: CodeFound | None = None,
    spent: TokenFound | None = None,
    now: datetime,
) -> bool:
    """Keep a new token in exchange for a code or a refresh token, in one transaction; False where that was used up.

    Of two who bring the same at one moment, one gets a token, and the other's attempt ends what was allowed."""
    grant_id = code.grant_id if code is not None else spent.grant_id if spent is not None else ""
    with tool.db.write() as session:
        # The grant first, as where it is ended: two that need both wait for each other no longer than that.
        open_grant = session.scalar(
            select(OAuthGrant)
            .where(OAuthGrant.id == grant_id, OAuthGrant.ended_at.is_(None))
            .with_for_update(key_share=True)
        )
        if open_grant is not None and _spend(session, code, spent, now):
            refresh = token.get("refresh_token")
            session.add(
                OAuthToken(
                    grant_id=grant_id,
                    scope=token["scope"],
                    access_hash=digest(token["access_token"]),
                    expires_at=now + ACCESS_LASTS,
                    refresh_hash=digest(refresh) if refresh else None,
                    refresh_expires_at=now + REFRESH_LASTS if refresh else None,
                    created_at=now,
                )
            )
            open_grant.expires_at = now + (REFRESH_LASTS if refresh else ACCESS_LASTS)
            session.execute(update(OAuthClient).where(OAuthClient.id == open_grant.client_id).values(seen_at=now))
            return True
    end(tool, grant_id, why="code" if code is not None else "refresh", now=now)
    return False


def _spend(session: Session, code: CodeFound | None, spent: TokenFound | None, now: datetime) -> bool:
    if code is not None:
        used = session.scalars(
            update(OAuthCode)
            .where(OAuthCode.code_hash == code.code_hash, OAuthCode.used_at.is_(None))
            .values(used_at=now)
            .returning(OAuthCode.grant_id)
        )
    else:
        used = session.scalars(
            update(OAuthToken)
            .where(OAuthToken.id == (spent.id if spent else 0), OAuthToken.spent_at.is_(None))
            .values(spent_at=now)
            .returning(OAuthToken.grant_id)
        )
    return used.one_or_none() is not None


def refreshes(client: Client, scope: str) -> bool:
    """Tell whether a refresh token belongs to what was allowed: only where she was asked for more than an hour."""
    return client.check_grant_type("refresh_token") and OFFLINE in scope.split()


# -- ended ------------------------------------------------------------------------------------------------------


def end(tool: Tool, grant_id: str, *, why: str, now: datetime) -> None:
    """End a connection, with every code and token of it. `why`: "backpack", or what came twice: "code", "refresh"."""
    with tool.db.write() as session:
        _end(session, OAuthGrant.id == grant_id, actor=audit.TOOL, why=why, now=now)


def end_own(tool: Tool, grant_id: str, person_ids: list[str], *, person_id: str, now: datetime) -> None:
    """End a connection that a learner no longer wants; raises NotFound for somebody else's."""
    with tool.db.write() as session:
        hers = (OAuthGrant.id == grant_id) & OAuthGrant.person_id.in_(person_ids)
        if not _end(session, hers, actor=audit.person(person_id), why="learner", now=now):
            raise NotFound("no such connection", sentence=Sentence("This connection has ended already."), what_to_do="")


def _end(session: Session, which: Any, *, actor: str, why: str, now: datetime) -> bool:
    grant = session.scalar(
        select(OAuthGrant)
        .where(which, OAuthGrant.ended_at.is_(None))
        .options(joinedload(OAuthGrant.client))
        .with_for_update(of=OAuthGrant, key_share=True)
    )
    if grant is None:
        return False
    grant.ended_at = now
    told = {"backpack": f"{grant.client.name}, {grant.client.host}", "why": why}
    audit.record(session, now, actor, "backpack.ended", audit.person(grant.person_id), **told)
    return True


def revoke(tool: Tool, text: str, client: Client, now: datetime) -> None:
    """Revoke a token that its backpack gives back (RFC 7009).

    With a refresh token, or where there is none, the connection ends."""
    hashed = digest(text)
    found = _tokens().where(
        (OAuthToken.access_hash == hashed) | (OAuthToken.refresh_hash == hashed), OAuthGrant.client_id == client.id
    )
    with tool.db.write() as session:
        row = session.scalar(found)
        if row is None:
            return
        if row.refresh_hash == hashed or row.refresh_hash is None:
            _end(session, OAuthGrant.id == row.grant_id, actor=audit.TOOL, why="backpack", now=now)
        row.revoked_at = row.revoked_at or now


def note_use(tool: Tool, token: TokenFound, now: datetime) -> None:
    """Remember that badges were fetched, to the hour: her page says when it was last."""
    if token.used_at is None or now - token.used_at >= USE_NOTED:
        with tool.db.write() as session:
            session.execute(update(OAuthGrant).where(OAuthGrant.id == token.grant_id).values(used_at=now))


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove requests, connections and tokens whose time is over, and backpacks that nobody uses."""
    with tool.db.write() as session:
        session.execute(delete(OAuthRequest).where(OAuthRequest.expires_at < now))
        over = (OAuthGrant.expires_at < now - OVER_KEPT) | (OAuthGrant.ended_at < now - SPENT_KEPT)
        session.execute(delete(OAuthGrant).where(over))
        session.execute(
            delete(OAuthToken).where(
                OAuthToken.created_at < now - SPENT_KEPT,
                OAuthToken.refresh_hash.is_(None) | OAuthToken.spent_at.is_not(None),
            )
        )
        oauth_clients.forget_unused(session, now)
