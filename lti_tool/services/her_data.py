"""Where a person's data stands: every table is decided here, so that none is forgotten when she asks.

`TABLES` says of each what is found of hers, how she is told it, and what an erasure leaves. A test demands an entry for
every table of the model. What her teachers have not released is `Hidden` from her, in the copy and in every count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, cast, false, literal, or_, select
from sqlalchemy.orm import Session

from lti_tool.models import (
    AdminSession,
    AuditEvent,
    Award,
    AwardFile,
    AwardTally,
    Binding,
    Browser,
    Column,
    Connection,
    ConnectionRequest,
    Course,
    CourseBadge,
    EarlierVersion,
    Edition,
    Endorsement,
    EndorsementRequest,
    Enrolment,
    Erasure,
    Evidence,
    EvidenceFile,
    FrameworkFile,
    Job,
    Launch,
    Mail,
    MailChoice,
    Mark,
    Mastery,
    Message,
    Notification,
    OAuthCode,
    OAuthGrant,
    OAuthRequest,
    OAuthToken,
    OutsideBadge,
    OwnAddress,
    OwnAddressRequest,
    OwnLink,
    OwnLinkRequest,
    OwnReminder,
    OwnSession,
    Person,
    PersonLink,
    Posting,
    Result,
    Review,
    RightsRequest,
    ShareLink,
    SignInAddress,
    SourceAnswer,
    SourceFile,
    WalletOffer,
    WhyNot,
)
from lti_tool.services import audit, catalog

DELETED, EMPTIED, STAYS = "deleted", "emptied", "stays"


@dataclass(frozen=True)
class Who:
    """One human: the ids that are linked as hers, and what the LMS calls each: registration, `sub`."""

    ids: tuple[str, ...]
    subs: tuple[tuple[int, str], ...] = field(default=(), repr=False)

    @property
    def actors(self) -> list[str]:
        return [audit.person(each) for each in self.ids]

    @property
    def awards(self) -> Select[Any]:
        return select(Award.id).where(or_(Award.person_id.in_(self.ids), Award.earned_as_id.in_(self.ids)))


Find = Callable[[Who], ColumnElement[bool]]


@dataclass(frozen=True)
class Kept:
    """One table. `told`: it stands in what she downloads; `left_out`: the columns that do not, with `why` if none."""

    model: Any
    find: Find
    told: bool = True
    why: str = ""  # why she is not told it
    left_out: tuple[str, ...] = ()
    erased: str = DELETED
    empty: Mapping[str, Any] = field(default_factory=dict)  # what an emptied row holds


def _person(model: Any) -> Find:
    return lambda who: model.person_id.in_(who.ids)


def _of_awards(model: Any) -> Find:
    return lambda who: model.award_id.in_(who.awards)


def _of_grants(model: Any) -> Find:
    return lambda who: model.grant_id.in_(select(OAuthGrant.id).where(OAuthGrant.person_id.in_(who.ids)))


def _results(who: Who) -> ColumnElement[bool]:
    return or_(false(), *(and_(Result.user_sub == sub, Result.column_id.in_(_columns(r))) for r, sub in who.subs))


def _columns(registration_id: int) -> Select[Any]:
    query = select(Column.id).join(CourseBadge, CourseBadge.id == Column.course_badge_id).join(Course)
    return query.where(Course.registration_id == registration_id)


def _answers(who: Who) -> ColumnElement[bool]:
    def badges(registration_id: int) -> Select[Any]:
        return select(CourseBadge.id).join(Course).where(Course.registration_id == registration_id)

    return or_(
        false(),
        *(and_(SourceAnswer.user_sub == sub, SourceAnswer.course_badge_id.in_(badges(r))) for r, sub in who.subs),
    )


def _links(who: Who) -> ColumnElement[bool]:
    return or_(PersonLink.person_id.in_(who.ids), PersonLink.same_as_id.in_(who.ids))


def _events(who: Who) -> ColumnElement[bool]:
    """Entries by her, about her or her awards, or that name her beside something else."""
    awards = select(literal("award:") + Award.id).where(
        or_(Award.person_id.in_(who.ids), Award.earned_as_id.in_(who.ids))
    )
    return or_(
        AuditEvent.actor.in_(who.actors),
        AuditEvent.subject.in_(who.actors),
        AuditEvent.subject.in_(awards),
        *(cast(AuditEvent.detail, Text).contains(each, autoescape=True) for each in who.ids),
    )


def _messages(who: Who) -> ColumnElement[bool]:
    return Message.launch_id.in_(select(Launch.id).where(Launch.person_id.in_(who.ids)))


def _of_address(model: Any) -> Find:
    """Rows of an address that she has confirmed."""
    return lambda who: model.address.in_(select(OwnAddress.address).where(OwnAddress.person_id.in_(who.ids)))


def _jobs(who: Who) -> ColumnElement[bool]:
    return and_(Job.kind == "sign", Job.subject.in_(who.awards))


# In the order in which an erasure goes through them: first what refers to what comes later. Awards are emptied row by
# row, see services.erasures, and so are people, whose names are gone before anything else is.
TABLES: tuple[Kept, ...] = (
    Kept(Message, _messages, left_out=("told",)),
    Kept(Launch, _person(Launch), left_out=("token_hash", "browser_id")),
    Kept(Browser, _person(Browser), left_out=("secret_hash",)),
    Kept(AdminSession, _person(AdminSession), left_out=("secret_hash",)),
    Kept(SignInAddress, _person(SignInAddress), left_out=("secret_hash",), erased=EMPTIED, empty={"person_id": None}),
    Kept(Binding, _person(Binding)),
    Kept(ConnectionRequest, lambda w: ConnectionRequest.actor.in_(w.actors), left_out=("state_hash", "session")),
    Kept(Connection, lambda w: Connection.created_by.in_(w.actors), left_out=("secrets",)),
    Kept(AwardFile, _person(AwardFile), left_out=("lines", "problems", "given")),
    Kept(SourceFile, _person(SourceFile), left_out=("lines", "problems")),
    Kept(FrameworkFile, _person(FrameworkFile), left_out=("framework",)),
    Kept(OAuthToken, _of_grants(OAuthToken), left_out=("access_hash", "refresh_hash")),
    Kept(OAuthCode, _of_grants(OAuthCode), left_out=("code_hash", "code_challenge")),
    Kept(OAuthRequest, _person(OAuthRequest), left_out=("browser_hash", "code_hash", "code_challenge", "state")),
    Kept(OAuthGrant, _person(OAuthGrant)),
    Kept(
        WalletOffer,
        _of_awards(WalletOffer),
        left_out=("address_hash", "code_hash", "exchange_hash", "pin_hash", "token_hash"),
    ),
    Kept(OwnSession, _of_address(OwnSession), left_out=("secret_hash",)),
    Kept(OwnLink, _of_address(OwnLink), left_out=("secret_hash",)),
    Kept(OwnLinkRequest, _of_address(OwnLinkRequest)),
    Kept(OwnAddressRequest, _person(OwnAddressRequest), left_out=("secret_hash",)),
    Kept(OwnAddress, _person(OwnAddress)),
    Kept(OwnReminder, _person(OwnReminder)),
    Kept(Mail, _person(Mail), left_out=("values",)),  # what opens or stops something, while it waits
    Kept(MailChoice, _person(MailChoice), left_out=("token",)),
    Kept(Notification, _person(Notification)),
    Kept(AwardTally, _of_awards(AwardTally), erased=EMPTIED, empty={"views": 0, "shared_on": None}),
    Kept(Result, _results),
    Kept(SourceAnswer, _answers),
    Kept(Mastery, _person(Mastery)),
    Kept(Posting, _person(Posting)),
    Kept(Mark, _person(Mark)),
    Kept(
        EvidenceFile, lambda w: EvidenceFile.evidence_id.in_(select(Evidence.id).where(Evidence.person_id.in_(w.ids)))
    ),
    Kept(Evidence, _person(Evidence)),
    Kept(ShareLink, _of_awards(ShareLink), left_out=("token_hash", "sealed")),
    Kept(OutsideBadge, _person(OutsideBadge)),
    Kept(EarlierVersion, _person(EarlierVersion)),
    Kept(Enrolment, _person(Enrolment)),
    Kept(Review, _of_awards(Review)),
    Kept(WhyNot, _of_awards(WhyNot)),
    Kept(Job, _jobs),
    Kept(
        Endorsement,
        _of_awards(Endorsement),
        left_out=("document",),  # as a file
        erased=EMPTIED,
        empty={"name": "", "role": "", "organisation": "", "comment": "", "document": b"", "withdrawn_reason": ""},
    ),
    Kept(
        EndorsementRequest,
        _of_awards(EndorsementRequest),
        left_out=("token_hash", "reviewer"),  # how whoever asked calls somebody else
        erased=EMPTIED,
        empty={"reviewer": "", "words": ""},
    ),
    Kept(Edition, _of_awards(Edition), left_out=("document", "jwt"), erased=EMPTIED),
    Kept(Award, lambda w: Award.id.in_(w.awards), erased=EMPTIED),
    Kept(AuditEvent, _events, erased=EMPTIED, empty={"detail": {}}),
    Kept(PersonLink, _links, left_out=("undo",)),
    Kept(RightsRequest, _person(RightsRequest), erased=EMPTIED, empty={"wanted": "", "reason": ""}),
    Kept(Erasure, lambda w: Erasure.person_id.in_(w.ids), left_out=("known", "before"), erased=STAYS),
    Kept(Person, lambda w: Person.id.in_(w.ids), erased=EMPTIED),
)

# Tables in which nobody stands who could ask: what courses, badges and platforms are, and what keeps the tool going.
# Whoever made something is named there by her id at most, which is nobody's any more once she is erased.
NOT_PERSONAL = frozenset(
    {
        *("registration", "deployment", "course", "resource_link", "context_notice", "course_copy", "drift", "invite"),
        *("issuer", "achievement", "achievement_version", "course_badge", "gradebook_column", "publication"),
        *("prerequisite", "status_list", "signed_status_list", "withdrawn_elsewhere", "source_link", "source_seen"),
        *("login", "used_nonce", "oauth_client", "platform_load", "figure", "presence"),
        *("retention_period", "retention_run", "tally", "mail_server"),
        *("administrator", "binding_code"),  # an office, not a learner: they are removed by each other
    }
)


def who_is(session: Session, person_id: str) -> Who:
    """Return everybody who is linked as the same human as this person."""
    holder = session.get_one(Person, person_id).holder_id
    query = select(Person.id, Person.registration_id, Person.sub)
    rows = session.execute(query.where(or_(Person.id == holder, Person.same_as_id == holder)).order_by(Person.id)).all()
    return Who(tuple(row.id for row in rows), tuple((row.registration_id, row.sub) for row in rows))


# -- what is not released ---------------------------------------------------------------------------------------

OF_A_BADGE: tuple[Any, ...] = (Mastery, Mark, Posting, SourceAnswer)  # each with the badge and tag it is of
NOT_RELEASED = ("review", "held")


@dataclass(frozen=True)
class Hidden:
    """What is not released: whole course badges, single rows of others (badge, tag), and awards."""

    badges: frozenset[str]
    rows: frozenset[tuple[str, str]]
    awards: frozenset[str]


def hidden_from(session: Session, who: Who, now: datetime) -> Hidden:
    """Return what somebody must not see of her own data yet, nor find counted."""
    courses = select(Enrolment.course_id).where(Enrolment.person_id.in_(who.ids))
    graded = select(Mastery.course_badge_id).where(Mastery.person_id.in_(who.ids))
    of_hers = or_(
        CourseBadge.course_id.in_(courses),
        CourseBadge.id.in_(graded),
        CourseBadge.id.in_(select(Award.course_badge_id).where(Award.id.in_(who.awards))),
    )
    query = select(CourseBadge).where(of_hers, CourseBadge.version_id.is_not(None))
    badges = frozenset(badge.id for badge in session.scalars(query) if not catalog.released(badge, now))
    records = session.execute(
        select(Mastery.course_badge_id, Mastery.tag, Mastery.record).where(Mastery.person_id.in_(who.ids))
    )
    rows = frozenset((row.course_badge_id, row.tag) for row in records if row.record.get("released") is False)
    waits = select(Award.id, Award.course_badge_id, Award.status).where(Award.id.in_(who.awards))
    kept_back = {badge for badge, _tag in rows}
    awards = frozenset(
        row.id
        for row in session.execute(waits)
        if row.status in NOT_RELEASED or (row.status == "pending" and row.course_badge_id in kept_back)
    )
    return Hidden(badges, rows, awards)


def shown(model: Any, hidden: Hidden) -> list[ColumnElement[bool]]:
    """Return the conditions that leave out what is not released."""
    if model in OF_A_BADGE:
        own = [(model.course_badge_id == badge) & (model.tag == tag) for badge, tag in hidden.rows]
        left = [model.course_badge_id.not_in(hidden.badges), ~or_(false(), *own)]
        if model is Mastery:  # a row that says of nothing but that there is no result would tell it from one left out
            left.append(or_(Mastery.record["state"].as_string() != "ungraded", cast(Mastery.before, Text) != "[]"))
        return left
    if model is Evidence:  # what is hers stays; what whoever marks put beside it is like a mark
        rows = [(Evidence.course_badge_id == badge) & (Evidence.tag == tag) for badge, tag in hidden.rows]
        hers = Evidence.created_by == literal(audit.person("")) + Evidence.person_id
        return [or_(hers, ~or_(Evidence.course_badge_id.in_(hidden.badges), *rows))]
    if model is Result:
        columns = select(Column.id).where(
            or_(
                Column.course_badge_id.in_(hidden.badges),
                *((Column.course_badge_id == badge) & (Column.tag == tag) for badge, tag in hidden.rows),
            )
        )
        return [Result.column_id.not_in(columns)]
    if model is Award:
        return [Award.id.not_in(hidden.awards)]
    if model is AuditEvent:
        badges = {*hidden.badges, *(badge for badge, _tag in hidden.rows)}
        subjects = [f"badge:{badge}" for badge in badges] + [f"award:{award}" for award in hidden.awards]
        return [AuditEvent.subject.not_in(subjects)]
    if hasattr(model, "award_id"):
        return [or_(model.award_id.is_(None), model.award_id.not_in(hidden.awards))]
    return []
