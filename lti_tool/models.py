"""All tables. A UNIQUE constraint states a business rule; code only words it.

Registration → Deployment → Course; Registration → Person; Person × Course → Enrolment.
Achievement → AchievementVersion (frozen); Course × AchievementVersion → CourseBadge → Column.
Result (raw, as received) → Mastery → Award → Edition (what is signed). Mark (made here) → Posting → Result."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from lti_tool.db import Compressed, Said, SaidText, UtcDateTime, random_id
from lti_tool.sentence import read

LIVE_STATES = ("pending", "review", "held", "issued")
AWARD_STATES = (*LIVE_STATES, "revoked", "superseded")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: String,
    }


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=name)


# -- platforms and people ---------------------------------------------------------------------------------------


class Registration(Base):
    """The tool's registration on one platform: issuer and client id. All Canvas cloud customers share an issuer."""

    __tablename__ = "registration"
    __table_args__ = (
        UniqueConstraint("issuer", "client_id"),
        _one_of("status", ("active", "disabled"), "status"),
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
        _one_of("status", ("active", "pending", "disabled"), "status"),
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
    subject_id: Mapped[str] = mapped_column(unique=True)
    test_user: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    # The person whose awards hers are too, as an administrator has linked them; never one that is linked itself.
    same_as_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    created_at: Mapped[datetime]

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
        _one_of("state", ("linked", "unlinked", "refused"), "state"),
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
        _one_of("state", ("ok", "attention", "concluded"), "state"),
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
    roster_at: Mapped[datetime | None]
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
        _one_of("state", ("offered", "taken", "declined"), "state"),
        _one_of("told_by", ("launch", "notice", "hand"), "told_by"),
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


# -- launches ---------------------------------------------------------------------------------------------------


class Login(Base):
    """A login that was started: state, nonce, registration and target, bound together and used once."""

    __tablename__ = "login"
    state_hash: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str]
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    target_link_uri: Mapped[str]
    browser_hash: Mapped[str]
    storage_target: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    consumed_at: Mapped[datetime | None]


class Browser(Base):
    """A browser that has launched, known by the hash of the secret in its cookie."""

    __tablename__ = "browser"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime]


class Launch(Base):
    """What one verified launch opened: its id stands in every address of the pages it leads to."""

    __tablename__ = "launch"
    __table_args__ = (CheckConstraint("(browser_id IS NULL) <> (token_hash IS NULL)", name="one_proof"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    # One of the two: the browser whose cookie opens it, or the hash of the token in its addresses (no cookie came).
    browser_id: Mapped[str | None] = mapped_column(ForeignKey("browser.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str | None]
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    role: Mapped[str]  # a word of lti.roles
    locale: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    deployment: Mapped[Deployment] = relationship()
    person: Mapped[Person] = relationship()
    course: Mapped[Course | None] = relationship()


class Message(Base):
    """What a launch asks for beyond a page, for as long as its session lives: which links, or whose submission."""

    __tablename__ = "message"
    launch_id: Mapped[str] = mapped_column(ForeignKey("launch.id", ondelete="CASCADE"), primary_key=True)
    message_type: Mapped[str]  # the specification's word
    told: Mapped[dict[str, Any]]


# -- administrators ---------------------------------------------------------------------------------------------


class Administrator(Base):
    """Somebody who looks after this installation. No LMS makes anyone that. One removed stays, for the audit log."""

    __tablename__ = "administrator"
    __table_args__ = (
        Index(
            "uq_administrator_email",
            "email",
            unique=True,
            sqlite_where=text("removed_at IS NULL AND email <> ''"),
            postgresql_where=text("removed_at IS NULL AND email <> ''"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(default="")  # in lower case
    created_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class SignInAddress(Base):
    """A one-time address that signs an administrator in, or makes one. Only the hash of its secret is kept."""

    __tablename__ = "sign_in_address"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    administrator_id: Mapped[str | None] = mapped_column(ForeignKey("administrator.id"))  # None: whoever opens it
    email: Mapped[str] = mapped_column(default="")
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))  # whose bound LMS account asked for it
    made_by: Mapped[str]  # an actor of the audit log
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class AdminSession(Base):
    """A signed-in browser, known by the hash of the secret in its cookie."""

    __tablename__ = "admin_session"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))  # the bound LMS account it came through
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    administrator: Mapped[Administrator] = relationship()


class Binding(Base):
    """An LMS account that gives its administrator a way in. `confirmed_at` is None until she has looked at it."""

    __tablename__ = "binding"
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), index=True)
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    administrator: Mapped[Administrator] = relationship()
    person: Mapped[Person] = relationship()


class BindingCode(Base):
    """A short-lived code that an administrator types into the page of her own launch. One each."""

    __tablename__ = "binding_code"
    administrator_id: Mapped[str] = mapped_column(ForeignKey("administrator.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]


# -- badges -----------------------------------------------------------------------------------------------------


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
    picture_svg: Mapped[str | None] = mapped_column(Text, deferred=True)
    picture_png: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # read only where it is asked for
    published_at: Mapped[datetime]
    achievement: Mapped[Achievement] = relationship(back_populates="versions")


class CourseBadge(Base):
    """A course's use of a badge. `draft` is what is being prepared; `version` is what counts."""

    __tablename__ = "course_badge"
    __table_args__ = (
        UniqueConstraint("course_id", "slug"),
        _one_of("status", ("draft", "publishing", "active", "retired"), "status"),
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
    course: Mapped[Course] = relationship(back_populates="badges")
    version: Mapped[AchievementVersion | None] = relationship()
    columns: Mapped[list[Column]] = relationship(back_populates="course_badge", order_by="Column.id")


class Column(Base):
    """A gradebook column of a course badge: the line item a tag was found at or made as."""

    __tablename__ = "gradebook_column"
    __table_args__ = (
        UniqueConstraint("course_badge_id", "tag"),
        UniqueConstraint("course_badge_id", "url"),
        _one_of("state", ("bound", "missing"), "state"),
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
    course_badge: Mapped[CourseBadge] = relationship(back_populates="columns")


class Publication(Base):
    """That a version came into force in a course: when, by whom, and for whom it counts."""

    __tablename__ = "publication"
    __table_args__ = (_one_of("counts_for", ("everybody", "new"), "counts_for"),)
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
    """A badge that a published one asks for first, by its slug: whose award may make others due."""

    __tablename__ = "prerequisite"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    slug: Mapped[str] = mapped_column(primary_key=True, index=True)


# -- grades and awards ------------------------------------------------------------------------------------------


class Result(Base):
    """The latest answer for one column and user, kept as received, also for a user no roster names."""

    __tablename__ = "result"
    column_id: Mapped[int] = mapped_column(ForeignKey("gradebook_column.id"), primary_key=True)
    user_sub: Mapped[str] = mapped_column(primary_key=True)
    raw: Mapped[str | None] = mapped_column(Text)  # None: it was there once and is gone
    received_at: Mapped[datetime]


class Mastery(Base):
    """Where a person stands in one sub-competency or gate, and why. `before` holds the earlier ones, newest first."""

    __tablename__ = "mastery"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int | None]  # index from the lowest, 0; None: no level reached
    met: Mapped[bool]
    record: Mapped[dict[str, Any]]  # domain.mastery.Standing.record()
    before: Mapped[list[Any]] = mapped_column(default=list)
    decided_at: Mapped[datetime]


class Award(Base):
    """That a person earned a badge. One live award per achievement, person and scope."""

    __tablename__ = "award"
    __table_args__ = (
        Index(
            "uq_award_live",
            "achievement_id",
            "person_id",
            "scope",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
        _one_of("status", AWARD_STATES, "status"),
        _one_of("given", ("grades", "hand", "file"), "given"),
        CheckConstraint("given = 'grades' OR (note IS NOT NULL AND note <> '')", name="note"),
        CheckConstraint("NOT live OR status IN ('pending', 'review', 'held', 'issued')", name="live_state"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    achievement_id: Mapped[int] = mapped_column(ForeignKey("achievement.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("achievement_version.id"))
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), index=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    # Set where a person who was linked to that one earned it.
    earned_as_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    scope: Mapped[str]  # "course:<id>" or "installation"
    status: Mapped[str] = mapped_column(index=True)
    live: Mapped[bool] = mapped_column(default=True)  # False after revocation and expiry
    decision: Mapped[dict[str, Any]]  # the decision record, frozen
    earned_at: Mapped[datetime]
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    page_public: Mapped[bool] = mapped_column(default=False)
    revoked_at: Mapped[datetime | None]
    revocation_reason: Mapped[str | None]
    given: Mapped[str] = mapped_column(default="grades", server_default="grades")  # or by "hand", or from a "file"
    note: Mapped[str | None] = mapped_column(Text)  # the evidence of one that no grades carry
    note_told: Mapped[bool] = mapped_column(default=True, server_default=text("true"))  # in its credential, too
    held_reason: Mapped[str | None] = mapped_column(Text)  # an instructor holds this one, whatever the badge's release
    held_until: Mapped[datetime | None]  # None with a reason: until she lets it go
    version: Mapped[AchievementVersion] = relationship()
    achievement: Mapped[Achievement] = relationship()
    course_badge: Mapped[CourseBadge] = relationship()
    course: Mapped[Course] = relationship()
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    earned_as: Mapped[Person | None] = relationship(foreign_keys=[earned_as_id])
    editions: Mapped[list[Edition]] = relationship(back_populates="award", order_by="Edition.number")

    @property
    def earner(self) -> Person:
        """The person whose grades carry it and whose pseudonym its credential names: linking people changes neither."""
        return self.earned_as or self.person


class Edition(Base):
    """What is signed: an award and the learner's choices. Its id is the credential's."""

    __tablename__ = "edition"
    __table_args__ = (
        UniqueConstraint("award_id", "number"),
        UniqueConstraint("status_list_id", "status_index"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"))
    number: Mapped[int] = mapped_column(default=1)
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict)
    salt: Mapped[str]
    status_list_id: Mapped[int] = mapped_column(ForeignKey("status_list.id"))
    status_index: Mapped[int]
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    signed_at: Mapped[datetime | None] = mapped_column(index=True)
    document: Mapped[bytes | None] = mapped_column(Compressed, deferred=True)  # the signed JSON, byte for byte
    jwt: Mapped[bytes | None] = mapped_column(Compressed, deferred=True)
    withdrawn_at: Mapped[datetime | None]  # its status bit is set: revoked or superseded
    decision: Mapped[dict[str, Any] | None] = mapped_column(
        JSON
    )  # what it was made from, if its award's is another now
    award: Mapped[Award] = relationship(back_populates="editions")


class StatusList(Base):
    """A Bitstring status list. `revision` counts its changes, so that a signed copy is known to be current."""

    __tablename__ = "status_list"
    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)
    closed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class Review(Base):
    """A grade that no longer carries its award. A person looks at it; nothing changes by itself."""

    __tablename__ = "review"
    __table_args__ = (
        Index(
            "uq_review_open",
            "award_id",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    award_id: Mapped[str] = mapped_column(ForeignKey("award.id"))
    reason: Mapped[str] = mapped_column(SaidText)
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None]


class Mark(Base):
    """What was marked here in one row of the rubric for one learner.

    `revision` rises with every change: whoever saves names the one she saw, and the later of two is told."""

    __tablename__ = "mark"
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int | None]  # index from the lowest, 0; None: a comment without a level, or a mark taken back
    points: Mapped[str | None]  # of that level, as decimal text
    maximum: Mapped[str | None]  # the highest level's points when it was marked
    comment: Mapped[str] = mapped_column(Text, default="")
    marked_by: Mapped[str]  # an actor of the audit log
    marked_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=1)


class Posting(Base):
    """What one cell of the gradebook is to hold, and how far that has come. `tag` is its column's: a row's, or "total".

    `sent_*` is written down before a score goes out and may have arrived; `posted_*` was read back."""

    __tablename__ = "posting"
    __table_args__ = (
        _one_of("state", ("due", "sent", "posted", "refused", "conflict", "kept", "left"), "state"),
        Index("ix_posting_state", "state", "retry_at"),
    )
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    # due, sent: on its way; posted; refused, for `reason`; conflict: the gradebook holds something else, and a person
    # chooses; kept: she chose the gradebook's; left: the mark was taken back here, and the gradebook still holds it
    state: Mapped[str] = mapped_column(default="due")
    revision: Mapped[int] = mapped_column(default=1)  # of what is wanted: an answer to an older one settles nothing
    points: Mapped[str]
    maximum: Mapped[str]
    comment: Mapped[str] = mapped_column(Text, default="")
    sent_points: Mapped[str | None]
    sent_comment: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None]  # the timestamp in the last score
    posted_points: Mapped[str | None]
    posted_comment: Mapped[str | None] = mapped_column(Text)
    posted_at: Mapped[datetime | None]
    found: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what the gradebook holds instead
    over: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what may be replaced, exactly as it was seen
    reason: Mapped[str | None]  # why it was refused or did not arrive, one word
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None]  # when a refused one is tried again by itself


class Evidence(Base):
    """What a learner, or somebody who marks her, has put beside a row of the rubric. Withdrawn ones stay as rows."""

    __tablename__ = "evidence"
    __table_args__ = (
        _one_of("kind", ("text", "link", "note"), "kind"),
        Index("ix_evidence_course_badge_id_person_id", "course_badge_id", "person_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    tag: Mapped[str]
    kind: Mapped[str]
    content: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str]  # an actor of the audit log
    created_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class AwardFile(Base):
    """A file of learners to be awarded, as it was read and shown. Confirming gives what stands here and nothing else.

    `lines` are those that can be given, `problems` the others, each with its number; `given` how many were."""

    __tablename__ = "award_file"
    id: Mapped[str] = mapped_column(primary_key=True, default=random_id)
    course_badge_id: Mapped[str] = mapped_column(ForeignKey("course_badge.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))  # who sent it
    name: Mapped[str]
    lines: Mapped[list[Any]] = mapped_column(default=list)
    problems: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]
    given: Mapped[list[Any]] = mapped_column(default=list)  # person ids


# -- work and record --------------------------------------------------------------------------------------------


class Job(Base):
    """Work that is due. The queue only says "look now"; what is to be done stands here."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "uq_job_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("state IN ('due', 'running')"),
            postgresql_where=text("state IN ('due', 'running')"),
        ),
        _one_of("state", ("due", "running", "done", "failed"), "state"),
        Index("ix_job_due", "state", "not_before"),
        Index("ix_job_subject", "kind", "subject"),
    )
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    kind: Mapped[str]  # "sync", "publish", "copy", "subscribe", "post"
    subject: Mapped[str]  # the id of the course, the course badge or the deployment
    state: Mapped[str] = mapped_column(default="due")
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]  # after it a running job counts as abandoned by a dead worker (J04)
    progress: Mapped[list[Any]] = mapped_column(
        default=list
    )  # what was done, in order: sentences as `sentence.kept` has them
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str | None] = mapped_column(SaidText)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    @property
    def told(self) -> list[str]:
        """What was done, in order, in sentences."""
        return [read(line) for line in self.progress]

    @property
    def what_to_do(self) -> str:
        """What to do about the problem; empty where there is nothing."""
        return read(self.outcome.get("what_to_do") or "")


class AuditEvent(Base):
    """Who did what to which thing, and when. Rows are only ever added."""

    __tablename__ = "audit_event"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]  # "person:<id>", "administrator:<id>", "operator" or "tool"
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
