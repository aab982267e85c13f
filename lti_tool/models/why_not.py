"""What a learner says about a badge that she has not claimed: that she does not want to now, and why, if she likes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.models.base import Base, one_of

REASONS = ("later", "private", "unclear", "effort", "other")


class WhyNot(Base):
    """One row an award at most, so that she is asked once. Nothing in it but the award says whose it is.

    `reason` and `words` are empty where she skipped the question."""

    __tablename__ = "why_not"
    __table_args__ = (one_of("reason", ("", *REASONS), "reason"),)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id", ondelete="CASCADE"), primary_key=True)
    put_off_at: Mapped[datetime | None]  # she chose "Not now"
    asked_at: Mapped[datetime | None]  # when the question first stood on a page of hers
    answered_at: Mapped[datetime | None]  # or skipped
    reason: Mapped[str] = mapped_column(default="", server_default="")
    words: Mapped[str] = mapped_column(Text, default="", server_default="")
