"""What can be earned: the issuer, achievements with their versions, and what a course makes of them."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import random_id
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.people import Course


class Issuer(Base):
    """The institution. One row; `issuer.*` of the settings fills it at the first start."""

    __tablename__ = "issuer"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    did: Mapped[str]
    name: Mapped[str]
    url: Mapped[str]
    email: Mapped[str]
    description: Mapped[str]
    accent: Mapped[str]
    linkedin: Mapped[str] = mapped_column(default="")  # LinkedIn's number of the organisation's page
    logo: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # a PNG of ours, read only where asked for
    logo_at: Mapped[datetime | None]  # when it was put there; None: there is no logo
    saved_at: Mapped[datetime | None]  # when an administrator last saved the page; None: the settings still fill it
    phone: Mapped[str] = mapped_column(default="", server_default="")
    address: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # credentials.ob3.Address
    identifiers: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # [type, value], of registries
    parent_name: Mapped[str] = mapped_column(default="", server_default="")  # the organisation it belongs to
    parent_url: Mapped[str] = mapped_column(default="", server_default="")
    terms_url: Mapped[str] = mapped_column(default="", server_default="")  # where the terms of use of badges stand


class Achievement(Base):
    """What a badge stands for, under its public slug. The course that made it owns it."""

    __tablename__ = "achievement"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    owner_course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    created_at: Mapped[datetime]
    versions: Mapped[list[AchievementVersion]] = relationship(
        back_populates="achievement", order_by="AchievementVersion.number"
    )


class AchievementVersion(Base):
    """A published definition, never edited. `digest` finds equal content again: there is one version of it."""

    __tablename__ = "achievement_version"
    __table_args__ = (UniqueConstraint("achievement_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    achievement_id: Mapped[int] = mapped_column(ForeignKey("achievement.id"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(unique=True)
    definition: Mapped[dict[str, Any]]  # domain.badge.Badge.content()
    # Of a badge made of badges: what each part meant when it was published, see services.stacks
    members: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    picture_svg: Mapped[str | None] = mapped_column(Text, deferred=True)
    picture_png: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # read only where it is asked for
    published_at: Mapped[datetime]
    form: Mapped[int] = mapped_column(
        default=1, server_default="1"
    )  # how its Achievement is written, for good: ob3.FORM
    achievement: Mapped[Achievement] = relationship(back_populates="versions")

    @cached_property
    def badge(self) -> Badge:
        """The definition, read once for as long as this object lives: it never changes."""
        return badge_from_content(self.definition)


class CourseBadge(Base):
    """A course's use of a badge. `draft` is what is being prepared; `version` is what counts."""

    __tablename__ = "course_badge"
    __table_args__ = (
        UniqueConstraint("course_id", "slug"),
        one_of("status", ("draft", "publishing", "active", "retired"), "status"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    slug: Mapped[str]
    status: Mapped[str] = mapped_column(default="draft")
    draft: Mapped[dict[str, Any] | None]
    draft_picture: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # a file that came with the draft
    version_id: Mapped[int | None] = mapped_column(ForeignKey("achievement_version.id"), index=True)
    evaluated: Mapped[str | None]  # digest of what the last evaluation saw, so that an unchanged class costs nothing
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    # From when on an instructor lets learners see what the release policy holds back; it may lie ahead.
    released_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    # Of the publishing that was asked for last: by whom, of which content, and for whom it is to count
    asked_by: Mapped[str | None]
    asked_digest: Mapped[str | None]
    asked_for: Mapped[str | None]  # as Publication.counts_for
    # What is being written, as typed: services.draft_values. `draft` is set exactly while it is complete.
    working: Mapped[dict[str, Any] | None]
    working_revision: Mapped[int] = mapped_column(default=0, server_default="0")
    working_at: Mapped[datetime | None]
    working_by: Mapped[str | None]  # an actor of the audit log
    draft_picture_svg: Mapped[str | None] = mapped_column(Text, deferred=True)  # where the file was a drawing
    # The course's choice, no part of the definition: who has earned it stands in a column of its own, see
    # services.earned
    writes_earned: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    course: Mapped[Course] = relationship(back_populates="badges")
    version: Mapped[AchievementVersion | None] = relationship()
    columns: Mapped[list[Column]] = relationship(back_populates="course_badge", order_by="Column.id")


class Column(Base):
    """A gradebook column of a course badge: the line item a tag was found at or made as."""

    __tablename__ = "gradebook_column"
    __table_args__ = (
        UniqueConstraint("course_badge_id", "tag"),
        UniqueConstraint("course_badge_id", "url"),
        one_of("state", ("bound", "missing"), "state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"))
    tag: Mapped[str]
    label: Mapped[str]
    url: Mapped[str]
    score_maximum: Mapped[str]  # points, as decimal text
    state: Mapped[str] = mapped_column(default="bound")
    found: Mapped[bool]  # it was there already; False: we made it
    # how one that was there was recognised: "marks" (resourceId and tag), "tag", "title", or "hand": somebody chose it
    found_by: Mapped[str] = mapped_column(default="marks", server_default="marks")
    created_at: Mapped[datetime]
    maximum_now: Mapped[str | None]  # the gradebook's, where somebody has changed it there since
    maximum_accepted: Mapped[str | None]  # the changed one that an instructor has called right
    asked_again_at: Mapped[datetime | None]  # it is gone, and an instructor wants it made again
    # Of its results as they were last stored, byte for byte, and when they were read: see services.sync
    read_digest: Mapped[str | None]
    read_at: Mapped[datetime | None]
    course_badge: Mapped[CourseBadge] = relationship(back_populates="columns")

    @property
    def maximum(self) -> str:
        """The gradebook's maximum as last seen."""
        return self.maximum_now or self.score_maximum


class Publication(Base):
    """That a version came into force in a course: when, by whom, and for whom it counts."""

    __tablename__ = "publication"
    __table_args__ = (one_of("counts_for", ("everybody", "new"), "counts_for"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("achievement_version.id"))
    published_at: Mapped[datetime]
    actor: Mapped[str]  # as in the audit log
    counts_for: Mapped[str] = mapped_column(default="everybody")  # "new": only for who had no result before it
    version: Mapped[AchievementVersion] = relationship()


class EarlierVersion(Base):
    """Which earlier version a learner goes on to be judged by, since a later one counts for new learners only."""

    __tablename__ = "earlier_version"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("achievement_version.id"))
    version: Mapped[AchievementVersion] = relationship()


class Prerequisite(Base):
    """A badge that a published one asks for, first or as a part, by its slug: whose award may make others due."""

    __tablename__ = "prerequisite"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    slug: Mapped[str] = mapped_column(primary_key=True, index=True)
