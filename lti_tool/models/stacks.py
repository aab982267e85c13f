"""Badges of other issuers that are to count as a part of a badge made of badges."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import SaidText, random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.badges import CourseBadge
    from lti_tool.models.people import Person


class OutsideBadge(Base):
    """A badge from elsewhere, handed in for one part of a stack. It counts once an instructor has accepted it.

    One for each part and person is open or accepted, and one credential is accepted for one part of one person."""

    __tablename__ = "outside_badge"
    __table_args__ = (
        Index(
            "uq_outside_badge_open",
            "course_badge_id",
            "person_id",
            "slug",
            unique=True,
            sqlite_where=text("status <> 'refused'"),
            postgresql_where=text("status <> 'refused'"),
        ),
        Index(
            "uq_outside_badge_used",
            "course_badge_id",
            "digest",
            unique=True,
            sqlite_where=text("status = 'accepted'"),
            postgresql_where=text("status = 'accepted'"),
        ),
        one_of("status", ("waiting", "accepted", "refused"), "status"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    slug: Mapped[str]  # of the part, as the stack names it
    status: Mapped[str] = mapped_column(default="waiting")
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # the file, or the address, as it was sent
    source: Mapped[str]  # the file's name, or the address
    digest: Mapped[str]  # of the issuer and the credential's id: the same one in another form is the same
    # What it says of itself, as it was checked
    name: Mapped[str]
    issuer_id: Mapped[str]
    issuer_name: Mapped[str]
    credential_id: Mapped[str]
    issued_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    names: Mapped[str]  # how it names its recipient: "email" (hers), "other" (another address), "none"
    report: Mapped[list[Any]]  # of the last check that could be made: [question, outcome, sentence]
    checked_at: Mapped[datetime]
    tried_at: Mapped[datetime]  # later than that where it could not be checked since
    problem: Mapped[str | None] = mapped_column(SaidText)  # why it counts no more
    handed_by: Mapped[str]  # an actor of the audit log
    handed_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)
    course_badge: Mapped[CourseBadge] = relationship()
    person: Mapped[Person] = relationship()
