"""What learners, and those who mark them, put beside the rows of a rubric."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.base import Base, one_of

EVIDENCE_KINDS = ("text", "reflection", "link", "file", "note")


class Evidence(Base):
    """A piece of evidence. Before `submitted_at` it is a draft, which its learner alone sees.

    One that was handed in is never edited: a newer version names it in `replaces_id`, and it is withdrawn in the same
    moment. Withdrawn ones stay as rows. `content` is the words, the address, or the file's name."""

    __tablename__ = "evidence"
    __table_args__ = (
        one_of("kind", EVIDENCE_KINDS, "kind"),
        Index("ix_evidence_course_badge_id_person_id", "course_badge_id", "person_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    tag: Mapped[str]
    kind: Mapped[str]
    content: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text, default="", server_default="")  # what she says of a link or a file
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("evidence.id"), index=True)
    created_by: Mapped[str]  # an actor of the audit log
    created_at: Mapped[datetime]
    saved_at: Mapped[datetime | None]  # when a draft was last changed
    submitted_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    file: Mapped[EvidenceFile | None] = relationship(
        back_populates="evidence", lazy="selectin", cascade="all, delete-orphan"
    )


class EvidenceFile(Base):
    """The file of a piece of evidence: what it is, and where its bytes lie below `evidence.dir`.

    `place` is None once they are gone; what they were stays known by size and digest."""

    __tablename__ = "evidence_file"
    evidence_id: Mapped[str] = mapped_column(ForeignKey("evidence.id"), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True, default=random_id)  # the end of its public address
    type: Mapped[str]  # a name in services.file_types
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    digest: Mapped[str]  # SHA-256, hexadecimal
    cleaned: Mapped[bool] = mapped_column(default=False)  # hidden notes of a photo were taken out
    place: Mapped[str | None] = mapped_column(unique=True)
    stored_at: Mapped[datetime]
    evidence: Mapped[Evidence] = relationship(back_populates="file")
