"""Backpacks that fetch a learner's badges: OAuth 2 clients, what they asked, and what she allowed.

Of every secret only its hash is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.base import Base, one_of
from lti_tool.models.people import Person


class OAuthClient(Base):
    """A backpack that registered itself (RFC 7591). Its id is the client_id; all its addresses are on one host."""

    __tablename__ = "oauth_client"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str]
    name: Mapped[str]
    host: Mapped[str]
    scope: Mapped[str]  # of what it asked for, those there are; words with blanks between
    redirect_uris: Mapped[list[Any]]
    told: Mapped[dict[str, Any]]  # its metadata as it was answered
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]  # when it last sent somebody here, or came for a token


class OAuthRequest(Base):
    """What a backpack asks in one browser, until the learner has answered and that browser has gone back to it.

    `person_id` is set when she types its code, or answers in the same browser: nobody else can answer then."""

    __tablename__ = "oauth_request"
    __table_args__ = (one_of("decision", ("allowed", "refused"), "decision"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_client.id"), index=True)
    browser_hash: Mapped[str]  # of the secret in the cookie of the browser it came in
    code_hash: Mapped[str] = mapped_column(unique=True)
    redirect_uri: Mapped[str] = mapped_column(Text)
    scope: Mapped[str]
    state: Mapped[str] = mapped_column(Text)
    code_challenge: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    decision: Mapped[str | None]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("oauth_grant.id", ondelete="SET NULL"))
    finished_at: Mapped[datetime | None]  # the browser was sent back
    client: Mapped[OAuthClient] = relationship()


class OAuthGrant(Base):
    """A connection: what a learner allows one backpack. Another consent for the same backpack replaces it."""

    __tablename__ = "oauth_grant"
    __table_args__ = (
        Index(
            "uq_oauth_grant_open",
            "client_id",
            "person_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_client.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    scope: Mapped[str]
    with_name: Mapped[bool] = mapped_column(default=False)  # in the profile
    with_email: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # when badges were last fetched, to the hour
    expires_at: Mapped[datetime] = mapped_column(index=True)  # when the last code or token of it ends
    ended_at: Mapped[datetime | None]
    client: Mapped[OAuthClient] = relationship()
    person: Mapped[Person] = relationship()


class OAuthCode(Base):
    """An authorization code. A used one stays as long as its grant, so that a second use is noticed."""

    __tablename__ = "oauth_code"
    code_hash: Mapped[str] = mapped_column(primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("oauth_grant.id", ondelete="CASCADE"), index=True)
    redirect_uri: Mapped[str] = mapped_column(Text)
    code_challenge: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    grant: Mapped[OAuthGrant] = relationship()


class OAuthToken(Base):
    """An access token, and the refresh token that came with it. A refresh token is spent by its first use."""

    __tablename__ = "oauth_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("oauth_grant.id", ondelete="CASCADE"), index=True)
    scope: Mapped[str]
    access_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]  # the access token alone
    refresh_hash: Mapped[str | None] = mapped_column(unique=True)
    refresh_expires_at: Mapped[datetime | None]
    spent_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    grant: Mapped[OAuthGrant] = relationship()
