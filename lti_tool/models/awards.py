"""Results, standings and marks; awards and what is signed of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Compressed, SaidText, random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.badges import Achievement, AchievementVersion, CourseBadge
    from lti_tool.models.people import Course, Person

LIVE_STATES = ("pending", "review", "held", "issued")
AWARD_STATES = (*LIVE_STATES, "revoked", "superseded")


class Result(Base):
    """The latest answer for one column and user, kept as received, also for a user no roster names."""

    __tablename__ = "result"
    column_id: Mapped[int] = mapped_column(ForeignKey("gradebook_column.id"), primary_key=True)
    user_sub: Mapped[str] = mapped_column(primary_key=True)
    raw: Mapped[str | None] = mapped_column(Text)  # None: it was there once and is gone
    received_at: Mapped[datetime]


class Mastery(Base):
    """Where a person stands in one sub-competency or gate, and why. `before` holds the earlier ones, newest first."""

    __tablename__ = "mastery"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int | None]  # index from the lowest, 0; None: no level reached
    met: Mapped[bool]
    record: Mapped[dict[str, Any]]  # domain.mastery.Standing.record()
    before: Mapped[list[Any]] = mapped_column(default=list)
    decided_at: Mapped[datetime]


class Award(Base):
    """That a person earned a badge. One live award per achievement, person and scope."""

    __tablename__ = "award"
    __table_args__ = (
        Index(
            "uq_award_live",
            "achievement_id",
            "person_id",
            "scope",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
        one_of("status", AWARD_STATES, "status"),
        one_of("given", ("grades", "hand", "file"), "given"),
        CheckConstraint("given = 'grades' OR (note IS NOT NULL AND note <> '')", name="note"),
        CheckConstraint("NOT live OR status IN ('pending', 'review', 'held', 'issued')", name="live_state"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    achievement_id: Mapped[int] = mapped_column(ForeignKey("achievement.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("achievement_version.id"))
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), index=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    # Set where a person who was linked to that one earned it.
    earned_as_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    scope: Mapped[str]  # "course:<id>" or "installation"
    status: Mapped[str] = mapped_column(index=True)
    live: Mapped[bool] = mapped_column(default=True)  # False after revocation and expiry
    decision: Mapped[dict[str, Any]]  # the decision record, frozen
    earned_at: Mapped[datetime]
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    claimed_at: Mapped[datetime | None]
    page_public: Mapped[bool] = mapped_column(default=False)
    confirmed_at: Mapped[datetime | None]  # where it waited for that
    searchable: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # search engines may list it
    revoked_at: Mapped[datetime | None]
    revocation_reason: Mapped[str | None]
    given: Mapped[str] = mapped_column(default="grades", server_default="grades")  # or by "hand", or from a "file"
    note: Mapped[str | None] = mapped_column(Text)  # the evidence of one that no grades carry
    note_told: Mapped[bool] = mapped_column(default=True, server_default=text("true"))  # in its credential, too
    held_reason: Mapped[str | None] = mapped_column(Text)  # an instructor holds this one, whatever the badge's release
    held_until: Mapped[datetime | None]  # None with a reason: until she lets it go
    version: Mapped[AchievementVersion] = relationship()
    achievement: Mapped[Achievement] = relationship()
    course_badge: Mapped[CourseBadge] = relationship()
    course: Mapped[Course] = relationship()
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    earned_as: Mapped[Person | None] = relationship(foreign_keys=[earned_as_id])
    editions: Mapped[list[Edition]] = relationship(back_populates="award", order_by="Edition.number")

    @property
    def earner(self) -> Person:
        """The person whose grades carry it and whose pseudonym its credential names: linking people changes neither."""
        return self.earned_as or self.person


class Edition(Base):
    """What is signed: an award and the learner's choices. Its id is the credential's.

    One with a `holder` is a copy of the newest edition, bound to that wallet. Copies are numbered -1, -2, …, so that
    the highest number is always an award's own edition."""

    __tablename__ = "edition"
    __table_args__ = (
        UniqueConstraint("award_id", "number"),
        UniqueConstraint("status_list_id", "status_index"),
        Index(
            "uq_edition_holder",
            "award_id",
            "holder",
            unique=True,
            sqlite_where=text("holder IS NOT NULL AND withdrawn_at IS NULL"),
            postgresql_where=text("holder IS NOT NULL AND withdrawn_at IS NULL"),
        ),
        # Which bits are set stands in this index: the rows hold a signed document each, and a list has 65,000 of them.
        Index(
            "ix_edition_withdrawn",
            "status_list_id",
            "status_index",
            sqlite_where=text("withdrawn_at IS NOT NULL"),
            postgresql_where=text("withdrawn_at IS NOT NULL"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"))
    number: Mapped[int] = mapped_column(default=1)
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict)
    salt: Mapped[str]
    status_list_id: Mapped[int] = mapped_column(ForeignKey("status_list.id"))
    status_index: Mapped[int]
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    signed_at: Mapped[datetime | None] = mapped_column(index=True)
    document: Mapped[bytes | None] = mapped_column(Compressed, deferred=True)  # the signed JSON, byte for byte
    # The same as VC-JWT RS256, once somebody has asked for it: see services.tokens.
    jwt: Mapped[bytes | None] = mapped_column(Compressed, deferred=True)
    withdrawn_at: Mapped[datetime | None]  # its status bit is set: revoked or superseded
    decision: Mapped[dict[str, Any] | None] = mapped_column(
        JSON
    )  # what it was made from, if its award's is another now
    holder: Mapped[str | None]  # the DID of the wallet it is bound to
    award: Mapped[Award] = relationship(back_populates="editions")


class StatusList(Base):
    """A Bitstring status list. `revision` counts its changes, so that a signed copy is known to be current."""

    __tablename__ = "status_list"
    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)
    closed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class Review(Base):
    """A grade that no longer carries its award. A person looks at it; nothing changes by itself."""

    __tablename__ = "review"
    __table_args__ = (
        Index(
            "uq_review_open",
            "award_id",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"))
    reason: Mapped[str] = mapped_column(SaidText)
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None]


class Mark(Base):
    """What was marked here in one row of the rubric for one learner.

    `revision` rises with every change: whoever saves names the one she saw, and the later of two is told."""

    __tablename__ = "mark"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int | None]  # index from the lowest, 0; None: a comment without a level, or a mark taken back
    points: Mapped[str | None]  # of that level, as decimal text
    maximum: Mapped[str | None]  # the highest level's points when it was marked
    comment: Mapped[str] = mapped_column(Text, default="")
    marked_by: Mapped[str]  # an actor of the audit log
    marked_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=1)


class Posting(Base):
    """What one cell of the gradebook is to hold, and how far that has come. `tag` is its column's: a row's, or "total".

    `sent_*` is written down before a score goes out and may have arrived; `posted_*` was read back."""

    __tablename__ = "posting"
    __table_args__ = (
        one_of("state", ("due", "sent", "posted", "refused", "conflict", "kept", "left"), "state"),
        Index("ix_posting_state", "state", "retry_at"),
    )
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    # due, sent: on its way; posted; refused, for `reason`; conflict: the gradebook holds something else, and a person
    # chooses; kept: she chose the gradebook's; left: the mark was taken back here, and the gradebook still holds it
    state: Mapped[str] = mapped_column(default="due")
    revision: Mapped[int] = mapped_column(default=1)  # of what is wanted: an answer to an older one settles nothing
    points: Mapped[str]
    maximum: Mapped[str]
    comment: Mapped[str] = mapped_column(Text, default="")
    sent_points: Mapped[str | None]
    sent_comment: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None]  # the timestamp in the last score
    posted_points: Mapped[str | None]
    posted_comment: Mapped[str | None] = mapped_column(Text)
    posted_at: Mapped[datetime | None]
    found: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what the gradebook holds instead
    over: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what may be replaced, exactly as it was seen
    reason: Mapped[str | None]  # why it was refused or did not arrive, one word
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None]  # when a refused one is tried again by itself


class AwardFile(Base):
    """A file of learners to be awarded, as it was read and shown. Confirming gives what stands here and nothing else.

    `lines` are those that can be given, `problems` the others, each with its number; `given` how many were."""

    __tablename__ = "award_file"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))  # who sent it
    name: Mapped[str]
    lines: Mapped[list[Any]] = mapped_column(default=list)
    problems: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]
    given: Mapped[list[Any]] = mapped_column(default=list)  # person ids
