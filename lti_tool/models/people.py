"""Platforms, the people in them, and the courses that brought them here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Said, random_id
from lti_tool.models.base import Base, one_of

if TYPE_CHECKING:
    from lti_tool.models.badges import CourseBadge


class Registration(Base):
    """The tool's registration on one platform: issuer and client id. All Canvas cloud customers share an issuer."""

    __tablename__ = "registration"
    __table_args__ = (
        UniqueConstraint("issuer", "client_id"),
        one_of("status", ("active", "disabled"), "status"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    product: Mapped[str]
    issuer: Mapped[str]
    client_id: Mapped[str]
    auth_login_url: Mapped[str]
    auth_token_url: Mapped[str]
    auth_audience: Mapped[str | None]
    jwks_url: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    approved: Mapped[bool] = mapped_column(default=True)  # False: it registered itself and waits, and is disabled too
    registered_by: Mapped[str] = mapped_column(default="hand")  # or "invite"
    # AGS and NRPS scopes as the platform said it grants them when it registered; None where it said nothing reliable
    granted_scopes: Mapped[list[Any] | None] = mapped_column(JSON)
    # named: only deployments given by an administrator are let in; else each is approved as the settings say
    deployments_named: Mapped[bool] = mapped_column(default=False)
    origins: Mapped[list[Any]] = mapped_column(default=list)  # origins seen in verified launches, for frame-ancestors
    jwks: Mapped[str | None] = mapped_column(Text)  # the platform's keys as last received
    jwks_fetched_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Said)  # why the token endpoint refuses, in words
    checks: Mapped[list[Any] | None] = mapped_column(JSON)  # the last look at it, see services.platform_checks
    checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    deployments: Mapped[list[Deployment]] = relationship(back_populates="registration")

    @property
    def state(self) -> str:
        """Return `active`, `disabled`, or `pending` for one that waits to be approved here."""
        return self.status if self.approved else "pending"


class Invite(Base):
    """A one-time address for dynamic registration. `claimed_until` is the lease of the request that is using it.

    `asked_at` without `used_at`: a platform was asked to register the tool, and its answer was never stored."""

    __tablename__ = "invite"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    asked_of: Mapped[str | None]  # the issuer
    used_at: Mapped[datetime | None]
    registration_id: Mapped[int | None] = mapped_column(ForeignKey("registration.id", ondelete="SET NULL"))


class Deployment(Base):
    __tablename__ = "deployment"
    __table_args__ = (
        UniqueConstraint("registration_id", "deployment_id"),
        one_of("status", ("active", "pending", "disabled"), "status"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_id: Mapped[str]
    status: Mapped[str]
    # it belongs to a client id the platform had before: its courses go over to the deployment they are launched from
    former: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    notices_url: Mapped[str | None]  # of its notification service, as a launch named it
    notices_asked_at: Mapped[datetime | None]  # when it was last told where notices go
    registration: Mapped[Registration] = relationship(back_populates="deployments")


class Person(Base):
    """Somebody as one registration knows her. `subject_id` is her pseudonym in credentials."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("registration_id", "sub"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    sub: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(default="")
    sis_id: Mapped[str] = mapped_column(default="", server_default="")  # as the roster tells it, "" where it does not
    language: Mapped[str] = mapped_column(default="", server_default="")  # one we speak, as her last launch told it
    subject_id: Mapped[str] = mapped_column(unique=True)
    test_user: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    # The person whose awards hers are too, as an administrator has linked them; never one that is linked itself.
    same_as_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    created_at: Mapped[datetime]
    # What her credentials call her where the LMS calls her otherwise; no roster and no launch writes it.
    shown_name: Mapped[str] = mapped_column(default="", server_default="")
    erased_at: Mapped[datetime | None]  # since then nothing here says who she was

    @property
    def called(self) -> str:
        """What new credentials and her own pages call her."""
        return self.shown_name or self.name

    @property
    def holder_id(self) -> str:
        """Whose awards hers are: her own, or those of the person she is linked to."""
        return self.same_as_id or self.id


class PersonLink(Base):
    """What an administrator decided of two people who may be one. Rows stay, so that a decision can be looked up.

    `undo` holds what linking changed, so that unlinking can put it back."""

    __tablename__ = "person_link"
    __table_args__ = (
        Index(
            "uq_person_link_open",
            "person_id",
            unique=True,
            sqlite_where=text("state = 'linked'"),
            postgresql_where=text("state = 'linked'"),
        ),
        one_of("state", ("linked", "unlinked", "refused"), "state"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    same_as_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    state: Mapped[str]
    undo: Mapped[dict[str, Any]] = mapped_column(default=dict)
    decided_at: Mapped[datetime]
    unlinked_at: Mapped[datetime | None]
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    same_as: Mapped[Person] = relationship(foreign_keys=[same_as_id])


class Course(Base):
    """A context of one deployment: the same context id under two deployments is two courses."""

    __tablename__ = "course"
    __table_args__ = (
        UniqueConstraint("deployment_pk", "context_id"),
        one_of("state", ("ok", "attention", "concluded"), "state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    context_id: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    label: Mapped[str] = mapped_column(default="")
    line_items_url: Mapped[str | None]
    memberships_url: Mapped[str | None]
    scopes: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(default="ok")
    problem: Mapped[str | None]  # one word, the reason of errors.py
    problem_sentence: Mapped[str | None] = mapped_column(Said)
    synced_at: Mapped[datetime | None]
    # See services.schedule. None: as soon as there is a badge; `NEVER`: not by itself, since retention put it to rest.
    next_sync_at: Mapped[datetime | None]
    moved_at: Mapped[datetime | None]  # when grades last changed, or somebody opened it after a quiet time
    sync_failures: Mapped[int] = mapped_column(default=0, server_default="0")  # jobs in a row
    ends_at: Mapped[datetime | None]  # as a launch told it
    starts_at: Mapped[datetime | None]  # likewise
    term: Mapped[str] = mapped_column(default="", server_default="")  # its name, likewise
    roster_at: Mapped[datetime | None]
    roster_digest: Mapped[str | None]  # of the roster as it was last stored; None: it is stored again whatever it says
    history: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # what it was copied from, as told
    created_at: Mapped[datetime]
    # The columns the tool saw in its gradebook when somebody last asked, see services.matching
    seen_columns: Mapped[list[Any] | None] = mapped_column(JSON)
    seen_at: Mapped[datetime | None]
    registration: Mapped[Registration] = relationship()
    deployment: Mapped[Deployment] = relationship()
    badges: Mapped[list[CourseBadge]] = relationship(back_populates="course", order_by="CourseBadge.created_at")


class ResourceLink(Base):
    """A place in a course that opens the tool: a Canvas assignment, a Moodle activity. A copied course has others."""

    __tablename__ = "resource_link"
    __table_args__ = (UniqueConstraint("deployment_pk", "resource_link_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    resource_link_id: Mapped[str]
    history: Mapped[list[Any]] = mapped_column(default=list)  # ids of the links it was copied from, as launches told
    created_at: Mapped[datetime]


class ContextNotice(Base):
    """A platform's signed notice that a course was copied; kept also for a course that was never launched."""

    __tablename__ = "context_notice"
    __table_args__ = (UniqueConstraint("registration_id", "notice_id"), Index(None, "deployment_pk", "context_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    notice_id: Mapped[str]
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    context_id: Mapped[str]
    origins: Mapped[list[Any]]  # context ids
    received_at: Mapped[datetime]


class CourseCopy(Base):
    """That a course was copied from another one whose badges it may use, or that an instructor named one of hers.

    Awards are never copied."""

    __tablename__ = "course_copy"
    __table_args__ = (
        UniqueConstraint("course_id", "source_id"),
        one_of("state", ("offered", "taken", "declined"), "state"),
        one_of("told_by", ("launch", "notice", "hand"), "told_by"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    source_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    told_by: Mapped[str]  # whoever sets up an activity can write a launch's history, but only the platform a notice
    state: Mapped[str] = mapped_column(default="offered")
    columns: Mapped[list[Any] | None]  # [resourceId, tag] of what came along; None: the gradebook was not read yet
    problem: Mapped[str | None] = mapped_column(Said)  # why it could not be read, in words
    badges: Mapped[list[Any]] = mapped_column(default=list)  # the slugs that were taken
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    course: Mapped[Course] = relationship(foreign_keys=[course_id])
    source: Mapped[Course] = relationship(foreign_keys=[source_id])


DRIFTS_OF_THE_COURSE = (
    "scope_missing",
    "scores_not_allowed",
    "access_refused",
    "token_refused",
    "source_refused",
    "course_concluded",
)
DRIFTS_OF_A_COLUMN = ("column_missing", "maximum_changed", "unpublished")


class Drift(Base):
    """That something in the LMS is no longer as it was set up: since when, and until when.

    One of a column names its badge and tag; one of the whole course has "" there, so that one index holds both."""

    __tablename__ = "drift"
    __table_args__ = (
        Index(
            "uq_drift_open",
            "course_id",
            "course_badge_id",
            "tag",
            "kind",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        one_of("kind", (*DRIFTS_OF_THE_COURSE, *DRIFTS_OF_A_COLUMN), "kind"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    course_badge_id: Mapped[str] = mapped_column(default="")
    tag: Mapped[str] = mapped_column(default="")
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)  # values to word it with: services.drift
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Enrolment(Base):
    """A person in a course. Two sources that can disagree: the roster and her own launches."""

    __tablename__ = "enrolment"
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    roster_role: Mapped[str | None]  # a word of lti.roles, "" for none, None where no roster named her
    launch_role: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    # [id, name] of her sections or groups, as roster and launch tell them; the name is "" where only the id is told
    sections: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    person: Mapped[Person] = relationship()

    @property
    def is_learner(self) -> bool:
        """Tell whether she may be awarded here."""
        return may_be_awarded(self.roster_role, self.launch_role, self.person.test_user)


def may_be_awarded(roster_role: str | None, launch_role: str | None, test_user: bool) -> bool:
    """Tell whether somebody with these roles in a course may be awarded there: any but learner excludes.

    Moodle's roster calls non-editing teachers learners; their launch says Instructor."""
    return {roster_role, launch_role} - {None} == {"Learner"} and not test_user
