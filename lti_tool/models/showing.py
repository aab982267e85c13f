"""Links by which a learner shows an award for a while, with parts of its page left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.models.awards import Award
from lti_tool.models.base import Base

PARTS = ("name", "levels", "grades", "narrative", "evidence", "course", "endorsements")


class ShareLink(Base):
    """A page of an award that ends by itself, at an address nobody can guess.

    It is found by the hash of its token. The token itself lies here sealed with a key of `keys.dir`, for its learner
    to copy again: whoever gets hold of the database alone opens nothing. `shows` are the parts that it shows of what
    the award's newest credential holds; what a later one holds besides, it does not show."""

    __tablename__ = "share_link"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    sealed: Mapped[str] = mapped_column(Text)
    shows: Mapped[list[Any]] = mapped_column(default=list)
    label: Mapped[str] = mapped_column(default="")  # what its learner calls it; nobody else reads it
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]  # she ended it before its time
    opened: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[datetime | None]  # the last time
    award: Mapped[Award] = relationship()
