"""What outsiders say for a badge, an award or the institution, and the one-time links they say it by."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Compressed, random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.awards import Award
    from lti_tool.models.badges import AchievementVersion

ENDORSED = ("badge", "award", "issuer")


class EndorsementRequest(Base):
    """That somebody outside was asked, by a link that works once and of which only the hash is kept.

    `kind` "badge" names a version, "award" an award, "issuer" neither."""

    __tablename__ = "endorsement_request"
    __table_args__ = (one_of("kind", ENDORSED, "kind"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    token_hash: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    version_id: Mapped[int | None] = mapped_column(ForeignKey("achievement_version.id"), index=True)
    award_id: Mapped[str | None] = mapped_column(ForeignKey("award.id"), index=True)
    course_badge_id: Mapped[str | None] = mapped_column(ForeignKey("course_badge.id"), index=True)
    reviewer: Mapped[str]  # as whoever asked calls her; nobody else sees it
    words: Mapped[str] = mapped_column(Text, default="")  # to the reviewer
    asked_by: Mapped[str]  # an actor of the audit log
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    declined: Mapped[bool] = mapped_column(default=False)
    withdrawn_at: Mapped[datetime | None]
    version: Mapped[AchievementVersion | None] = relationship()
    award: Mapped[Award | None] = relationship()


class Endorsement(Base):
    """What a reviewer has said, signed by the installation, which names her. Its words and bytes never change."""

    __tablename__ = "endorsement"
    __table_args__ = (
        UniqueConstraint("status_list_id", "status_index"),
        one_of("kind", ENDORSED, "kind"),
        Index("ix_endorsement_version_id", "version_id", "kind"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)  # in its address, as a credential's
    request_id: Mapped[str] = mapped_column(ForeignKey("endorsement_request.id"), unique=True)
    kind: Mapped[str]
    version_id: Mapped[int | None] = mapped_column(ForeignKey("achievement_version.id"))
    award_id: Mapped[str | None] = mapped_column(ForeignKey("award.id"), index=True)
    edition_id: Mapped[str | None] = mapped_column(ForeignKey("edition.id"))  # of an award: the credential it names
    name: Mapped[str]
    role: Mapped[str]
    organisation: Mapped[str]
    comment: Mapped[str] = mapped_column(Text)
    said_at: Mapped[datetime]
    document: Mapped[bytes] = mapped_column(Compressed, deferred=True)  # the signed JSON, byte for byte
    status_list_id: Mapped[int] = mapped_column(ForeignKey("status_list.id"))
    status_index: Mapped[int]
    withdrawn_at: Mapped[datetime | None]  # its status bit is set
    withdrawn_reason: Mapped[str] = mapped_column(default="")
