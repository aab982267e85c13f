"""Who looks after this installation, and how they come in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.base import Base

if TYPE_CHECKING:
    from lti_tool.models.people import Person


class Administrator(Base):
    """Somebody who looks after this installation. No LMS makes anyone that. One removed stays, for the audit log."""

    __tablename__ = "administrator"
    __table_args__ = (
        Index(
            "uq_administrator_email",
            "email",
            unique=True,
            sqlite_where=text("removed_at IS NULL AND email <> ''"),
            postgresql_where=text("removed_at IS NULL AND email <> ''"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(default="")  # in lower case
    created_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class SignInAddress(Base):
    """A one-time address that signs an administrator in, or makes one. Only the hash of its secret is kept."""

    __tablename__ = "sign_in_address"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    administrator_id: Mapped[str | None] = mapped_column(ForeignKey("administrator.id"))  # None: whoever opens it
    email: Mapped[str] = mapped_column(default="")
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))  # whose bound LMS account asked for it
    made_by: Mapped[str]  # an actor of the audit log
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class AdminSession(Base):
    """A signed-in browser, known by the hash of the secret in its cookie."""

    __tablename__ = "admin_session"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))  # the bound LMS account it came through
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    administrator: Mapped[Administrator] = relationship()


class Binding(Base):
    """An LMS account that gives its administrator a way in. `confirmed_at` is None until she has looked at it."""

    __tablename__ = "binding"
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), index=True)
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    administrator: Mapped[Administrator] = relationship()
    person: Mapped[Person] = relationship()


class BindingCode(Base):
    """A short-lived code that an administrator types into the page of her own launch. One each."""

    __tablename__ = "binding_code"
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
