"""How long things are kept: periods with their reasons, and the daily run that deletes what has been kept long enough.

The sweep of each minute takes a few batches of it, so that nobody waits, and a run that was broken off goes on. What a
credential needs to be checked never goes: signed credentials, definitions, status lists and keys have no period."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, func, literal, or_, select, tuple_, update
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput
from lti_tool.models import (
    AuditEvent,
    Award,
    Base,
    Column,
    Course,
    CourseBadge,
    EarlierVersion,
    Edition,
    Enrolment,
    Evidence,
    Mail,
    MailChoice,
    Mark,
    Mastery,
    Notification,
    OutsideBadge,
    Person,
    Posting,
    Result,
    RetentionPeriod,
    RetentionRun,
    RightsRequest,
    SourceAnswer,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, digests, erasures, evidence_files, notifications, reminders, schedule
from lti_tool.services.tool import Tool, log

EVERY = timedelta(days=1)
A_BATCH = 500  # rows of one transaction
BATCHES = 10  # of one sweep
RUNS_KEPT = timedelta(days=365)
LEAST, MOST = 30, 36_500  # days
# A reminder's row says that it was told, and is asked for while it could still be due: it stays this much longer.
REMINDED = timedelta(days=180)
NOT_CLAIMED = Sentence("It was not claimed in time.")

Rows = Sequence[tuple[Any, ColumnElement[bool]]]


@dataclass(frozen=True)
class Kind:
    """One kind of data with a period: `days` as usual, None for good. `rows` are those older than a moment.

    `delete` takes one batch away and returns how many rows that were; none given: `rows` go, batch by batch."""

    key: str
    what: Sentence
    since: Sentence  # what the days are counted from
    why: Sentence
    days: int | None
    rows: Callable[[datetime], Rows]
    delete: Callable[[Tool, datetime, datetime], int] | None = None


def _ended(cutoff: datetime) -> Any:
    """Courses that ended before a moment, and in which nothing has moved since; without an end, that alone counts."""
    quiet = func.coalesce(Course.moved_at, Course.created_at) < cutoff
    return select(Course.id).where(quiet, or_(Course.ends_at.is_(None), Course.ends_at < cutoff))


def _badges(cutoff: datetime) -> Any:
    return select(CourseBadge.id).where(CourseBadge.course_id.in_(_ended(cutoff)))


def _course_rows(cutoff: datetime) -> Rows:
    columns = select(Column.id).where(Column.course_badge_id.in_(_badges(cutoff)))
    of_badges = (SourceAnswer, Mastery, Posting, Mark, EarlierVersion)
    return (
        (Result, Result.column_id.in_(columns)),
        *((model, model.course_badge_id.in_(_badges(cutoff))) for model in of_badges),
        (
            MailChoice,
            MailChoice.scope.in_(_ended(cutoff).with_only_columns(literal(digests.SCOPE) + cast(Course.id, Text))),
        ),
        (Enrolment, Enrolment.course_id.in_(_ended(cutoff))),
    )


def _delete_course(tool: Tool, cutoff: datetime, _now: datetime) -> int:
    """Delete what an ended course knew of its learners, and put it to rest: the schedule would bring all of it back.

    Should somebody open it again, the LMS is read from the start."""
    with tool.db.write() as session:
        awake = or_(Course.next_sync_at.is_(None), Course.next_sync_at < schedule.NEVER)
        session.execute(update(Course).where(Course.id.in_(_ended(cutoff)), awake).values(next_sync_at=schedule.NEVER))
        ended = Course.id.in_(_ended(cutoff)), Course.roster_digest.is_not(None)
        session.execute(update(Course).where(*ended).values(roster_digest=None))
        read = Column.course_badge_id.in_(_badges(cutoff)), Column.read_digest.is_not(None)
        session.execute(update(Column).where(*read).values(read_digest=None))
    return _delete_rows(tool, _course_rows(cutoff))


def _evidence_rows(cutoff: datetime) -> Rows:
    return ((Evidence, Evidence.course_badge_id.in_(_badges(cutoff)) & ~_chosen()),)


def _delete_evidence(tool: Tool, cutoff: datetime, now: datetime) -> int:
    ((_, condition),) = _evidence_rows(cutoff)
    with tool.db.read() as session:
        ids = list(session.scalars(select(Evidence.id).where(condition).limit(A_BATCH)))
    return evidence_files.delete(tool, ids, now) if ids else 0


def _chosen() -> ColumnElement[bool]:
    """Evidence that a credential shows: its award has an edition that names it."""
    named = cast(Edition.choices, Text).contains(Evidence.id)
    of_hers = Award.person_id == Evidence.person_id
    earned = Award.earned_as_id == Evidence.person_id
    award = (Award.id == Edition.award_id) & (Award.course_badge_id == Evidence.course_badge_id)
    return exists().where(award, or_(of_hers, earned), named)


def _unclaimed_rows(cutoff: datetime) -> Rows:
    copied = exists().where(Edition.award_id == Award.id, Edition.holder.is_not(None))
    never = and_(Award.claimed_at.is_(None), ~Award.page_public, Award.status == "issued", Award.issued_at < cutoff)
    return ((Award, never & ~copied),)


def _delete_unclaimed(tool: Tool, cutoff: datetime, now: datetime) -> int:
    ((_, condition),) = _unclaimed_rows(cutoff)
    with tool.db.write() as session:
        query = select(Award).where(condition).order_by(Award.id).limit(A_BATCH // 10)
        found = list(session.scalars(query.with_for_update(of=Award, key_share=True)))
        for award in found:
            erasures.empty_award(tool, session, award, actor=audit.TOOL, now=now, reason=NOT_CLAIMED)
        return len(found)


def _told_rows(cutoff: datetime) -> Rows:
    reminder = Notification.kind.in_(reminders.KINDS)
    theirs = or_(Award.person_id == MailChoice.person_id, Award.earned_as_id == MailChoice.person_id)
    return (
        (Mail, Mail.ended_at < cutoff),
        (Notification, and_(Notification.created_at < cutoff, ~reminder)),
        (Notification, and_(Notification.created_at < cutoff - REMINDED, reminder)),
        (
            MailChoice,
            and_(MailChoice.created_at < cutoff, MailChoice.scope == notifications.BADGES, ~exists().where(theirs)),
        ),
    )


def _people_rows(cutoff: datetime) -> Rows:
    """People of whom nothing else is kept: no course, no award, no request."""
    referring = [
        column
        for table in Base.metadata.tables.values()
        for column in table.columns
        if any(key.target_fullname == "person.id" for key in column.foreign_keys)
    ]
    theirs = Person.__table__.c.id
    others = [~exists().where(column == theirs) for column in referring if column.table is not Person.__table__]
    linked = Person.__table__.alias("linked")
    others.append(~exists().where(linked.c.same_as_id == theirs))
    return ((Person, and_(Person.created_at < cutoff, *others)),)


KINDS: tuple[Kind, ...] = (
    Kind(
        "course",
        Sentence("Grades, levels, marks with comments and the list of learners of a course"),
        Sentence("after the course ended, or nothing moved in it"),
        Sentence(
            "Awards keep what they were decided by. Appeals and accreditation may ask for the rest for some years."
        ),
        1825,
        _course_rows,
        _delete_course,
    ),
    Kind(
        "evidence",
        Sentence("Evidence that no credential shows, with its files"),
        Sentence("after the course ended, or nothing moved in it"),
        Sentence("It was for those who marked. What a learner put into a credential stays."),
        730,
        _evidence_rows,
        _delete_evidence,
    ),
    Kind(
        "refused",
        Sentence("Badges from elsewhere that were refused as a part"),
        Sentence("after they were refused"),
        Sentence("Whoever handed one in can ask why, for a year."),
        365,
        lambda cutoff: ((OutsideBadge, and_(OutsideBadge.status == "refused", OutsideBadge.decided_at < cutoff)),),
    ),
    Kind(
        "unclaimed",
        Sentence("Awards that nobody claimed: they are revoked, and what they say of a learner goes"),
        Sentence("after they were issued"),
        Sentence("As usual they wait for good: a learner may come back for a badge years later."),
        None,
        _unclaimed_rows,
        _delete_unclaimed,
    ),
    Kind(
        "told",
        Sentence("What people were told: notifications, that a mail has gone out, and who wants none"),
        Sentence("after they were told"),
        Sentence(
            "Nobody is told twice of one thing. Who wants no mail is known as long as there is a badge of theirs."
        ),
        730,
        _told_rows,
    ),
    Kind(
        "people",
        Sentence("People of whom nothing else is kept any more"),
        Sentence("after they were first seen"),
        Sentence("Without a course and without an award, a name is good for nothing."),
        365,
        _people_rows,
    ),
    Kind(
        "requests",
        Sentence("Requests to be erased or renamed, once decided"),
        Sentence("after they were decided"),
        Sentence("To show that they were answered, as long as somebody could complain."),
        1095,
        lambda cutoff: ((RightsRequest, and_(RightsRequest.decided_at < cutoff, _decided())),),
    ),
    Kind(
        "audit",
        Sentence("The audit log"),
        Sentence("after each entry"),
        Sentence("As long as a credential of then is likely to be asked about."),
        3650,
        lambda cutoff: ((AuditEvent, AuditEvent.at < cutoff),),
    ),
)

# What passes by itself, and what never does: shown beside the periods, so that the page is complete.
FIXED = (
    (Sentence("Open visits"), Sentence("12 hours")),
    (Sentence("Files of learners, of grades and of frameworks that were sent in"), Sentence("a day")),
    (Sentence("Offers to wallets"), Sentence("a day")),
    (Sentence("Connections to backpacks"), Sentence("30 days after their end")),
    (Sentence("Address and words of a mail"), Sentence("until it has gone out")),
    (Sentence("Jobs, once done"), Sentence("30 days")),
)
FOR_GOOD = (
    Sentence("Signed credentials, and which of them were withdrawn"),
    Sentence("Definitions of badges, the issuer, public keys"),
    Sentence("Awards with the record of their decision, as long as their learner does not ask to be erased"),
    Sentence("That somebody was erased, by a keyed hash that names nobody"),
)


def _decided() -> ColumnElement[bool]:
    return RightsRequest.state.in_(("done", "refused", "withdrawn"))


@dataclass(frozen=True)
class Line:
    """A kind as the administrator's page shows it. `due` is None where nobody has asked what would go."""

    key: str
    what: str
    since: str
    why: str
    usual: int | None
    typed: str  # days, empty for good
    due: int | None
    gone: int  # by the last run
    wrong: str = ""


@dataclass(frozen=True)
class RetentionPage:
    lines: tuple[Line, ...]
    last: datetime | None  # when the last run ended
    running: bool


# -- periods ----------------------------------------------------------------------------------------------------


def periods(session: Session) -> dict[str, int | None]:
    """Return the days that count now, by kind."""
    said = {row.kind: row.days for row in session.scalars(select(RetentionPeriod))}
    return {kind.key: said.get(kind.key, kind.days) for kind in KINDS}


def read_periods(typed: Mapping[str, str]) -> dict[str, int | None]:
    """Read periods as a form sends them; raises BadInput whose detail names the kinds that cannot be used."""
    found: dict[str, int | None] = {}
    wrong = []
    for kind in KINDS:
        text = typed.get(kind.key, "").strip()
        if not text:
            found[kind.key] = None
        elif text.isdecimal() and len(text) < 7 and LEAST <= int(text) <= MOST:
            found[kind.key] = int(text)
        else:
            wrong.append(kind.key)
    if wrong:
        raise BadInput(
            " ".join(wrong),
            sentence=Sentence("A period is a whole number of days from %(least)s to %(most)s.", least=LEAST, most=MOST),
            what_to_do=Sentence("Correct it, or leave it empty to keep this for good. Nothing was changed."),
        )
    return found


def save(tool: Tool, wanted: Mapping[str, int | None], *, actor: str, now: datetime) -> int:
    """Keep what an administrator has said; returns how many periods are others now."""
    with tool.db.write() as session:
        before = periods(session)
        changed = {key: days for key, days in wanted.items() if days != before[key]}
        for key, days in changed.items():
            row = session.get(RetentionPeriod, key) or RetentionPeriod(kind=key)
            row.days, row.changed_by, row.changed_at = days, actor, now
            session.add(row)
            told = {"before": before[key], "after": days}
            audit.record(session, now, actor, "retention.changed", "retention:1", kind=key, **told)
    return len(changed)


# -- looking ----------------------------------------------------------------------------------------------------


def page(
    tool: Tool, now: datetime, *, wanted: Mapping[str, int | None] | None = None, look: bool = False
) -> RetentionPage:
    """Return the administrator's page; `look` counts what would go now, with `wanted` periods where given."""
    with tool.db.read() as session:
        counted = dict(wanted) if wanted is not None else periods(session)
        due = {kind.key: _due(session, kind, counted[kind.key], now) for kind in KINDS} if look else {}
        newest = select(RetentionRun).order_by(RetentionRun.id.desc())
        last = session.scalar(newest.where(RetentionRun.finished_at.is_not(None)).limit(1))
        running = session.scalar(newest.where(RetentionRun.finished_at.is_(None)).limit(1))
    gone = last.counts if last is not None else {}
    lines = tuple(
        Line(
            kind.key,
            kind.what,
            kind.since,
            kind.why,
            kind.days,
            str(counted[kind.key] or ""),
            due.get(kind.key),
            gone.get(kind.key, 0),
        )
        for kind in KINDS
    )
    return RetentionPage(lines, last.finished_at if last is not None else None, running is not None)


def _due(session: Session, kind: Kind, days: int | None, now: datetime) -> int:
    if days is None:
        return 0
    rows = kind.rows(now - timedelta(days=days))
    counts = (session.scalar(select(func.count()).select_from(model).where(of)) or 0 for model, of in rows)
    return sum(counts)


# -- deleting ---------------------------------------------------------------------------------------------------


def step(tool: Tool, now: datetime, batches: int = BATCHES) -> int:
    """Go on with today's run, or begin it: a few batches, each a transaction. Returns how many rows went."""
    with tool.db.read() as session:
        newest = session.scalar(select(RetentionRun).order_by(RetentionRun.id.desc()).limit(1))
    if newest is not None and (newest.finished_at is not None and newest.began_at > now - EVERY):
        return 0
    if newest is None or newest.finished_at is not None:
        with tool.db.write() as session:
            newest = RetentionRun(began_at=now, counts={})
            session.add(newest)
            session.execute(delete(RetentionRun).where(RetentionRun.began_at < now - RUNS_KEPT))
    done: dict[str, int] = {}
    with tool.db.read() as session:
        days = periods(session)
    left = batches
    for kind in KINDS:
        kept_for = days[kind.key]
        while kept_for is not None and left > 0:
            left -= 1
            if not (count := _batch(tool, kind, now - timedelta(days=kept_for), now)):
                break
            done[kind.key] = done.get(kind.key, 0) + count
    _note(tool, newest.id, done, now, finished=left > 0)
    return sum(done.values())


def _batch(tool: Tool, kind: Kind, cutoff: datetime, now: datetime) -> int:
    if kind.delete is not None:
        return kind.delete(tool, cutoff, now)
    return _delete_rows(tool, kind.rows(cutoff))


def _delete_rows(tool: Tool, rows: Rows) -> int:
    """Delete a batch of the first of these tables that has any."""
    for model, condition in rows:
        keys = tuple(model.__table__.primary_key.columns)
        with tool.db.write() as session:
            found = [tuple(row) for row in session.execute(select(*keys).where(condition).limit(A_BATCH))]
            if not found:
                continue
            which = tuple_(*keys).in_(found) if len(keys) > 1 else keys[0].in_([key for (key,) in found])
            session.execute(delete(model.__table__).where(which))
            return len(found)
    return 0


def _note(tool: Tool, run_id: int, done: Mapping[str, int], now: datetime, *, finished: bool) -> None:
    with tool.db.write() as session:
        run = session.get(RetentionRun, run_id, with_for_update=True)
        if run is None or run.finished_at is not None:
            return
        run.counts = {key: run.counts.get(key, 0) + done.get(key, 0) for key in {*run.counts, *done}}
        if finished:
            run.finished_at = now
            if any(run.counts.values()):
                audit.record(session, now, audit.TOOL, "retention.ran", "retention:1", **run.counts)
                log.info("retention: %s", run.counts)
