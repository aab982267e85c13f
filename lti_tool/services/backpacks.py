"""A learner's side of the Open Badges API: what a backpack asks of her, and the connections she has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.models import Award, OAuthGrant, Person
from lti_tool.services import oauth_tokens
from lti_tool.services.oauth import Asked
from lti_tool.services.oauth_clients import OFFLINE, READ_CREDENTIALS, READ_PROFILE, Client, client_of
from lti_tool.services.tool import Tool


@dataclass(frozen=True)
class Backpack:
    """A backpack as its own registration names it: anybody can give itself a name, and nobody another's host."""

    name: str
    host: str
    site: str
    terms: str
    privacy: str


@dataclass(frozen=True)
class Consent:
    """What a learner is asked. `badges`: how many a backpack would get now; `lasts`: it may come again by itself."""

    request_id: str
    backpack: Backpack
    reads_badges: bool
    reads_profile: bool
    lasts: bool
    asked_at: datetime
    name: str
    email: str
    badges: int
    unclaimed: int
    replaces: datetime | None  # since when this backpack is connected already
    decision: str


@dataclass(frozen=True)
class Connection:
    id: str
    backpack: Backpack
    reads_badges: bool
    reads_profile: bool
    shows: tuple[str, ...]  # "name", "email"
    lasts: bool
    since: datetime
    used_at: datetime | None


def backpack_of(client: Client) -> Backpack:
    told = client.told
    return Backpack(client.name, client.host, told["client_uri"], told["tos_uri"], told["policy_uri"])


def consent(tool: Tool, asked: Asked, person_id: str, now: datetime) -> Consent:
    """Return what a person is asked to allow."""
    with tool.db.read() as session:
        person = session.get_one(Person, person_id)
        claimed, unclaimed = _counts(tool, session, person.holder_id)
        open_now = session.scalar(
            _open(now).where(OAuthGrant.client_id == asked.client.id, OAuthGrant.person_id == person_id)
        )
        return Consent(
            request_id=asked.id,
            backpack=backpack_of(asked.client),
            reads_badges=asked.reads_badges,
            reads_profile=asked.reads_profile,
            lasts=asked.lasts,
            asked_at=asked.created_at,
            name=person.called,
            email=person.email,
            badges=claimed,
            unclaimed=unclaimed,
            replaces=open_now.created_at if open_now is not None and not asked.decision else None,
            decision=asked.decision,
        )


def _counts(tool: Tool, session: Session, holder_id: str) -> tuple[int, int]:
    """Return how many of a learner's issued badges a backpack gets, and how many wait to be claimed."""
    count = select(func.count()).select_from(Award).where(Award.person_id == holder_id, Award.status == "issued")
    issued = session.scalar(count) or 0
    if tool.settings.privacy.claim == "automatic":
        return issued, 0
    claimed = session.scalar(count.where(Award.claimed_at.is_not(None))) or 0
    return claimed, issued - claimed


def connections(tool: Tool, person_id: str, now: datetime) -> tuple[Connection, ...]:
    """Return the backpacks that may fetch a learner's badges now, the newest first."""
    with tool.db.read() as session:
        rows = session.scalars(
            _open(now)
            .where(OAuthGrant.person_id.in_(_ids(session, person_id)))
            .order_by(OAuthGrant.created_at.desc(), OAuthGrant.id)
        )
        return tuple(_connection(row) for row in rows)


def _connection(row: OAuthGrant) -> Connection:
    client, scopes = client_of(row.client), row.scope.split()
    shows = (("name", row.with_name), ("email", row.with_email))
    return Connection(
        id=row.id,
        backpack=backpack_of(client),
        reads_badges=READ_CREDENTIALS in scopes,
        reads_profile=READ_PROFILE in scopes,
        shows=tuple(word for word, shown in shows if shown),
        lasts=OFFLINE in scopes and client.refreshes,
        since=row.created_at,
        used_at=row.used_at,
    )


def end(tool: Tool, grant_id: str, person_id: str, now: datetime) -> None:
    """End one of a learner's own connections; raises NotFound."""
    with tool.db.read() as session:
        ids = _ids(session, person_id)
    oauth_tokens.end_own(tool, grant_id, ids, person_id=person_id, now=now)


def _open(now: datetime) -> Select[OAuthGrant]:
    return (
        select(OAuthGrant)
        .where(OAuthGrant.ended_at.is_(None), OAuthGrant.expires_at > now)
        .options(joinedload(OAuthGrant.client))
    )


def _ids(session: Session, person_id: str) -> list[str]:
    """Return the ids of a person and of those who are linked with her: her badges are one set."""
    holder = session.get_one(Person, person_id).holder_id
    return list(session.scalars(select(Person.id).where(or_(Person.id == holder, Person.same_as_id == holder))))
