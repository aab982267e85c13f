"""Frameworks of others that a badge is begun from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.db import random_id
from lti_tool.models.base import Base


class FrameworkFile(Base):
    """A CASE package as it was read, kept a day for whoever sent it: what a badge can be begun from."""

    __tablename__ = "framework_file"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))  # who sent it
    name: Mapped[str]
    framework: Mapped[dict[str, Any]]  # services.case_package.Framework, as plain values
    created_at: Mapped[datetime] = mapped_column(index=True)
