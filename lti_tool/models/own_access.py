"""After the course: the addresses that learners have confirmed, and what lets them in without their LMS."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.db import random_id
from lti_tool.models.base import Base


class OwnAddress(Base):
    """The e-mail address a person has confirmed, by which she gets at her badges without her LMS. One each.

    One human in two LMSs is two persons here, and may confirm one address from both. It stands in lower case, which is
    also how mail goes to it: so nobody else's mailbox is ever taken for hers."""

    __tablename__ = "own_address"
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    address: Mapped[str] = mapped_column(index=True)
    confirmed_at: Mapped[datetime]


class OwnAddressRequest(Base):
    """An address that waits to be confirmed: by a person from her launch, or in the place of one that is confirmed.

    Only the hash of the secret in the mail's link is kept."""

    __tablename__ = "own_address_request"
    __table_args__ = (CheckConstraint("(person_id IS NULL) <> (instead_of = '')", name="whose"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    instead_of: Mapped[str] = mapped_column(default="")  # the address of all whom this one is to let in
    address: Mapped[str] = mapped_column(index=True)
    language: Mapped[str]
    secret_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]  # another address was entered since, or none is wanted


class OwnLinkRequest(Base):
    """An address that somebody has entered to be sent a link, whoever that is. There until a worker has looked."""

    __tablename__ = "own_link_request"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    address: Mapped[str]
    language: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)


class OwnLink(Base):
    """A one-time link to the badges of whoever has confirmed an address. Only the hash of its secret is kept."""

    __tablename__ = "own_link"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    address: Mapped[str] = mapped_column(index=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class OwnSession(Base):
    """A browser that such a link has let in, known by the hash of the secret in its cookie.

    Whose badges it opens is looked at with every request: those of the people whose confirmed address it is then."""

    __tablename__ = "own_session"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class OwnReminder(Base):
    """That a person has put away the reminder to keep access; she is not reminded again."""

    __tablename__ = "own_reminder"
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    dismissed_at: Mapped[datetime]
