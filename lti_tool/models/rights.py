"""What people ask about their own data, who was erased, and how long things are kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.people import Person


class RightsRequest(Base):
    """What somebody asks of an administrator: to be erased, or to be called otherwise in her credentials.

    `doing`: it was granted, and a job is at it. The name asked for stands here only until that is decided."""

    __tablename__ = "rights_request"
    __table_args__ = (
        Index(
            "uq_rights_request_open",
            "person_id",
            "kind",
            unique=True,
            sqlite_where=text("state IN ('open', 'doing')"),
            postgresql_where=text("state IN ('open', 'doing')"),
        ),
        one_of("kind", ("erasure", "name"), "kind"),
        one_of("state", ("open", "doing", "done", "refused", "withdrawn"), "state"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    kind: Mapped[str]
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    state: Mapped[str] = mapped_column(default="open")
    wanted: Mapped[str] = mapped_column(default="")  # the name
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was refused; she reads it
    asked_by: Mapped[str]  # an actor of the audit log
    asked_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    person: Mapped[Person] = relationship()


class Erasure(Base):
    """That somebody was erased, and the keyed hash by which she is known again without being named.

    No sync brings her back: only she does, with `returned_at`. `before` holds what named her until the last of it is
    found and gone. A database that was put back may have the row without the person, so nothing is referred to."""

    __tablename__ = "erasure"
    person_id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[int]
    known: Mapped[str] = mapped_column(index=True)  # services.erasures.known_by
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    began_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]


class RetentionPeriod(Base):
    """How long one kind of data is kept, where an administrator has said otherwise than as usual."""

    __tablename__ = "retention_period"
    kind: Mapped[str] = mapped_column(primary_key=True)  # of services.retention.KINDS
    days: Mapped[int | None]  # None: for good
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]


class RetentionRun(Base):
    """One run that deleted what had been kept long enough, and how much of each kind."""

    __tablename__ = "retention_run"
    id: Mapped[int] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
