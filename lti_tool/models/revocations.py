"""Status lists as they are signed, and what is withdrawn of credentials that this database does not hold."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.db import Compressed
from lti_tool.models.base import Base


class SignedStatusList(Base):
    """A status list as it was last signed, for all processes: what one has signed, no other signs again.

    Without a row nobody has asked for the list yet."""

    __tablename__ = "signed_status_list"
    status_list_id: Mapped[int] = mapped_column(ForeignKey("status_list.id"), primary_key=True, autoincrement=False)
    revision: Mapped[int]  # of the list, when its bits were read
    kid: Mapped[str]  # of the key it is signed with
    signed_at: Mapped[datetime]
    document: Mapped[bytes] = mapped_column(Compressed, deferred=True)


class WithdrawnElsewhere(Base):
    """A withdrawn credential that this database does not hold: issued after the backup that it was restored from.

    Its status bit stays set. It comes from the journal of revocations."""

    __tablename__ = "withdrawn_elsewhere"
    status_list_id: Mapped[int] = mapped_column(ForeignKey("status_list.id"), primary_key=True, autoincrement=False)
    status_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    edition_id: Mapped[str] = mapped_column(unique=True)
    award_id: Mapped[str]
    why: Mapped[str]  # as in the journal
    reason: Mapped[str]
    withdrawn_at: Mapped[datetime]
