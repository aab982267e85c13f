"""Awards on their way into a wallet. No secret lies here, only hashes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.awards import Award
from lti_tool.models.base import Base


class WalletOffer(Base):
    """One offer of one award: a way in that is open for minutes and works once.

    `address_hash` is of the address at which a wallet reads the offer, `code_hash` of its pre-authorised code,
    `exchange_hash` of the address the Learner Credential Wallet posts to, `token_hash` of the access token."""

    __tablename__ = "wallet_offer"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"), index=True)
    address_hash: Mapped[str] = mapped_column(unique=True)
    code_hash: Mapped[str] = mapped_column(unique=True)
    exchange_hash: Mapped[str] = mapped_column(unique=True)
    pin_hash: Mapped[str | None]  # of the transaction code; None: none is asked for
    tries: Mapped[int] = mapped_column(default=0)  # transaction codes that were tried
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    token_hash: Mapped[str | None] = mapped_column(unique=True)
    token_expires_at: Mapped[datetime | None]
    configurations: Mapped[list[Any]]  # what the token may ask for, by the ids of the issuer's metadata
    holders: Mapped[list[Any]] = mapped_column(default=list)  # the DIDs it was given to
    award: Mapped[Award] = relationship()


class UsedNonce(Base):
    """A c_nonce that a key proof has used up. It is signed and tells its own age, so only used ones are kept."""

    __tablename__ = "used_nonce"
    id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
