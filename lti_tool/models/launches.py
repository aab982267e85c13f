"""What a launch leaves: its login, the browser, the session it opens."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.base import Base

if TYPE_CHECKING:
    from lti_tool.models.people import Course, Deployment, Person


class Login(Base):
    """A login that was started: state, nonce, registration and target, bound together and used once."""

    __tablename__ = "login"
    state_hash: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str]
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    target_link_uri: Mapped[str]
    browser_hash: Mapped[str]
    storage_target: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    consumed_at: Mapped[datetime | None]


class Browser(Base):
    """A browser that has launched, known by the hash of the secret in its cookie."""

    __tablename__ = "browser"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime]


class Launch(Base):
    """What one verified launch opened: its id stands in every address of the pages it leads to."""

    __tablename__ = "launch"
    __table_args__ = (CheckConstraint("(browser_id IS NULL) <> (token_hash IS NULL)", name="one_proof"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    # One of the two: the browser whose cookie opens it, or the hash of the token in its addresses (no cookie came).
    browser_id: Mapped[str | None] = mapped_column(ForeignKey("browser.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str | None]
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    role: Mapped[str]  # a word of lti.roles
    locale: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    deployment: Mapped[Deployment] = relationship()
    person: Mapped[Person] = relationship()
    course: Mapped[Course | None] = relationship()

    @property
    def switched_off(self) -> bool:
        """Whether its platform, deployment or person has been switched off since (D13)."""
        deployment = self.deployment
        return deployment.registration.status != "active" or deployment.status != "active" or self.person.disabled


class Message(Base):
    """What a launch asks for beyond a page, for as long as its session lives: which links, or whose submission."""

    __tablename__ = "message"
    launch_id: Mapped[str] = mapped_column(ForeignKey("launch.id", ondelete="CASCADE"), primary_key=True)
    message_type: Mapped[str]  # the specification's word
    told: Mapped[dict[str, Any]]
