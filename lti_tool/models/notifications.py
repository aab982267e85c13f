"""What people are told: mail on its way out, notifications inside the tool, and who wants which."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.db import SaidText, random_id
from lti_tool.models.base import Base, one_of

MAIL_STATES = ("due", "sending", "sent", "unsure", "refused", "late", "stopped")


class Mail(Base):
    """One mail to one address. `key` names the event: there is never a second one for it.

    Address and values are there only as long as they are needed; what stays says that the event was told."""

    __tablename__ = "mail"
    __table_args__ = (one_of("state", MAIL_STATES, "state"), Index(None, "state", "not_before"))
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)  # the local part of its Message-ID
    key: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)  # whose address it is, if known
    recipient: Mapped[str] = mapped_column(default="")  # "" once it has gone out, or never will
    template: Mapped[str]
    language: Mapped[str]
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {} once it has gone out, or never will
    # due; sending: a worker has it until `lease_until`; sent; unsure: handed over twice and never answered for;
    # refused, for `problem`; late: its time is over, and it was not sent; stopped: its reader wants none
    state: Mapped[str] = mapped_column(default="due")
    attempts: Mapped[int] = mapped_column(default=0)
    # attempts whose end nobody knows: the answer, or the worker, was lost after it may have been handed over
    unknown: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    not_after: Mapped[datetime]  # then it is not worth sending any more
    lease_until: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(SaidText)  # of the last attempt
    created_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


class MailServer(Base):
    """What is known of the mail server of `mail.url`: one row, or none before the first attempt."""

    __tablename__ = "mail_server"
    id: Mapped[int] = mapped_column(primary_key=True)  # 1
    problem: Mapped[str | None] = mapped_column(SaidText)  # why it took nothing, the last time it was asked
    failing_since: Mapped[datetime | None]
    worked_at: Mapped[datetime | None]  # when it last took a mail


class Notification(Base):
    """Something a person is told inside the tool. `key` names the event: there is never a second one for it."""

    __tablename__ = "notification"
    __table_args__ = (Index(None, "person_id", "dismissed_at"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    key: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"), index=True)
    kind: Mapped[str]  # see services.notifications
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)  # values to word it with
    created_at: Mapped[datetime] = mapped_column(index=True)
    dismissed_at: Mapped[datetime | None]


class MailChoice(Base):
    """What a person wants of one sort of mail, and the token that lets her stop it without signing in."""

    __tablename__ = "mail_choice"
    __table_args__ = (UniqueConstraint("person_id", "scope"),)
    token: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    scope: Mapped[str]  # "badges", or "digest:<course id>"
    stopped_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]  # of a digest: up to when things have been told
    created_at: Mapped[datetime]
