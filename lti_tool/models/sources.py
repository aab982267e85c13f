"""Where grades come from beside the gradebook: connections to an LMS's own interface, matched rows, their answers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Said, random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.people import Course, Registration


class Connection(Base):
    """Access to an LMS's own interface: for a whole platform, or with a teacher's consent for one course.

    `secrets` is sealed (`keyring`), and is nowhere else: not in a page, a log, or the audit log."""

    __tablename__ = "connection"
    __table_args__ = (
        Index(
            "uq_connection_platform",
            "registration_id",
            "kind",
            unique=True,
            sqlite_where=text("course_id IS NULL"),
            postgresql_where=text("course_id IS NULL"),
        ),
        Index(
            "uq_connection_course",
            "course_id",
            "kind",
            unique=True,
            sqlite_where=text("course_id IS NOT NULL"),
            postgresql_where=text("course_id IS NOT NULL"),
        ),
        one_of("kind", ("canvas", "moodle"), "kind"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id", ondelete="CASCADE"))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id", ondelete="CASCADE"))
    kind: Mapped[str]
    address: Mapped[str] = mapped_column(default="")  # of the LMS; "": that of the platform's own connection
    client_id: Mapped[str] = mapped_column(default="")  # what is not secret of a key
    secrets: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(default="")  # whose access it is, as the LMS names the account; "": nobody's
    created_by: Mapped[str]  # an actor of the audit log
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]  # of the token in it
    used_at: Mapped[datetime | None]  # when it was last good for something
    problem: Mapped[str | None] = mapped_column(Said)  # why the LMS refuses it, with the click that mends it
    registration: Mapped[Registration] = relationship()
    course: Mapped[Course | None] = relationship()


class ConnectionRequest(Base):
    """That somebody is on the way to an LMS to consent. `state_hash` is of the one-time state that comes back."""

    __tablename__ = "connection_request"
    state_hash: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id", ondelete="CASCADE"))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id", ondelete="CASCADE"))
    session: Mapped[str]  # the launch, or the administrator's session, that it was begun in
    actor: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SourceLink(Base):
    """What a row or gate of a course badge is matched with in the LMS, as an instructor confirmed it."""

    __tablename__ = "source_link"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]  # as the definition names it: canvas-rubric, moodle-course-grade
    place: Mapped[dict[str, Any]]  # in the connector's words
    title: Mapped[str] = mapped_column(Said)  # how people know it: "Essay 2: Adapts the message"
    confirmed_at: Mapped[datetime]
    confirmed_by: Mapped[str]  # an actor of the audit log


class SourceSeen(Base):
    """What a course's LMS offered for matching when somebody last looked, so that no page waits for the LMS."""

    __tablename__ = "source_seen"
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # of the connection
    rows: Mapped[list[Any]]  # grades.source.OfferedRow, as plain values
    seen_at: Mapped[datetime]


class SourceAnswer(Base):
    """The latest answer of a source for one row and user; kept beside `Result`, and like it for anybody."""

    __tablename__ = "source_answer"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    user_sub: Mapped[str] = mapped_column(primary_key=True)
    raw: Mapped[str | None] = mapped_column(Text)  # None: it was there once and is gone
    received_at: Mapped[datetime]


class SourceFile(Base):
    """A file of grades as it was read and shown. Confirming takes what stands here and nothing else.

    `heads` are its columns with what they were taken for, `lines` what each learner's line gives, `problems` what could
    not be taken, each with its number. It holds names for a day; what was taken stands in `source_answer`."""

    __tablename__ = "source_file"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id", ondelete="CASCADE"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("achievement_version.id"))  # whose rows it was read for
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))  # who sent it
    name: Mapped[str]
    heads: Mapped[list[Any]] = mapped_column(default=list)
    unused: Mapped[list[Any]] = mapped_column(default=list)  # headings that nothing was found for
    lines: Mapped[list[Any]] = mapped_column(default=list)
    problems: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what confirming it did
