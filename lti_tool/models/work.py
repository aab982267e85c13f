"""Work that is due, and the record of what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.db import SaidText
from lti_tool.models.base import Base, one_of
from lti_tool.sentence import read


class Job(Base):
    """Work that is due. The queue only says "look now"; what is to be done stands here."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "uq_job_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("state IN ('due', 'running')"),
            postgresql_where=text("state IN ('due', 'running')"),
        ),
        one_of("state", ("due", "running", "done", "failed"), "state"),
        Index("ix_job_due", "state", "not_before"),
        Index("ix_job_subject", "kind", "subject"),
    )
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    kind: Mapped[str]  # "sync", "publish", "copy", "subscribe", "post"
    subject: Mapped[str]  # the id of the course, the course badge or the deployment
    # The platform it will ask; None: none, or whatever state that is in (a look at the platform). No reference: what a
    # removed platform was asked stays listed.
    registration_id: Mapped[int | None]
    priority: Mapped[int] = mapped_column(default=0, server_default="0")  # see services.work: the highest goes first
    state: Mapped[str] = mapped_column(default="due")
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]  # after it a running job counts as abandoned by a dead worker (J04)
    progress: Mapped[list[Any]] = mapped_column(
        default=list
    )  # what was done, in order: sentences as `sentence.kept` has them
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str | None] = mapped_column(SaidText)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    request_id: Mapped[str] = mapped_column(
        default="", server_default=""
    )  # of the request that started it, for the log

    @property
    def told(self) -> list[str]:
        """What was done, in order, in sentences."""
        return [read(line) for line in self.progress]

    @property
    def what_to_do(self) -> str:
        """What to do about the problem; empty where there is nothing."""
        return read(self.outcome.get("what_to_do") or "")


class PlatformLoad(Base):
    """How much a platform bears, as all workers know it. No row: nothing is known against it."""

    __tablename__ = "platform_load"
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id", ondelete="CASCADE"), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)  # in a row; several open its circuit
    problem: Mapped[str | None] = mapped_column(SaidText)  # what the last of them was
    paused_until: Mapped[datetime | None]  # no job that asks it begins before
    asked: Mapped[bool] = mapped_column(default=False)  # it named that pause itself, so nobody's wish shortens it
    seconds: Mapped[float] = mapped_column(Float, default=0.0)  # a request takes, the latest ones counting most
    served_at: Mapped[datetime | None]  # when a job of it was last begun: platforms take turns


class AuditEvent(Base):
    """Who did what to which thing, and when. Rows are only ever added."""

    __tablename__ = "audit_event"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]  # "person:<id>", "administrator:<id>", "operator" or "tool"
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Figure(Base):
    """A number that only grows, of all processes together: each adds what it has counted now and then."""

    __tablename__ = "figure"
    name: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[str] = mapped_column(primary_key=True)  # a JSON list of pairs, sorted
    value: Mapped[float] = mapped_column(Float, default=0.0)


class Presence(Base):
    """A worker process, or the schedule, and when it last said that it is alive; and what of the schedule fails."""

    __tablename__ = "presence"
    id: Mapped[str] = mapped_column(
        primary_key=True
    )  # "schedule", "worker:" and something of its own, "step:" and its name
    kind: Mapped[str]  # "worker", "schedule", "step"
    host: Mapped[str]
    threads: Mapped[int]  # of a worker: all together are what platforms have a share of
    periodic: Mapped[bool]  # of a worker: it runs the schedule
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
