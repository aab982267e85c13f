"""What happened how often, without people; and beside each award what has been counted of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.models.base import Base


class Tally(Base):
    """How often something happened on one day with one course badge. It names nobody and no moment, and outlives her.

    Course and platform stand in it as they were, without a reference: what is removed stays counted."""

    __tablename__ = "tally"
    day: Mapped[str] = mapped_column(primary_key=True)  # in UTC, as 2026-11-27
    kind: Mapped[str] = mapped_column(primary_key=True)  # one of services.counting.KINDS
    course_badge_id: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 0 where no version is meant
    detail: Mapped[str] = mapped_column(primary_key=True)  # where it was shared or seen, why it was not claimed, or ""
    # Of what has a beginning: how long it took, as the upper bound of services.counting.BOUNDS in seconds; else -1
    lasted: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    course_id: Mapped[int] = mapped_column(index=True)
    registration_id: Mapped[int] = mapped_column(index=True)
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))


class AwardTally(Base):
    """What has been counted of one award, so that nothing is counted twice, and how often its page was opened.

    It is the learner's, as the award is: whoever erases her empties it (services.counting.forget)."""

    __tablename__ = "award_tally"
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id", ondelete="CASCADE"), primary_key=True)
    issued: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    claimed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    revoked: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    expired: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # since it was renewed last
    shared_on: Mapped[str | None]  # the day on which she first passed it on, as 2026-11-27
    views: Mapped[int] = mapped_column(default=0, server_default="0")
