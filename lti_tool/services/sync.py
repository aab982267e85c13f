"""One course's grades: the roster and every column read to the end, stored as received, evaluated, awarded, signed.

Nothing is evaluated from half a class: the LMS is read whole, outside any transaction, before a row is written."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import among, insert_rows, random_id, repeat_collided
from lti_tool.domain.badge import number_text
from lti_tool.domain.prerequisites import in_order
from lti_tool.errors import Busy, ColumnMissing, DiskFull, ServiceError, ToolError
from lti_tool.grades.columns import EARNED, find_column
from lti_tool.lti.ags import LineItem, list_line_items, result_answers, results_in
from lti_tool.lti.nrps import members_in
from lti_tool.lti.platforms import Platform
from lti_tool.lti.service import Service
from lti_tool.models import (
    Browser,
    Column,
    Course,
    CourseBadge,
    Enrolment,
    Job,
    Launch,
    Login,
    Person,
    Prerequisite,
    Registration,
    Result,
)
from lti_tool.sentence import Sentence
from lti_tool.services import (
    award_acts,
    award_files,
    drift,
    earned,
    editions,
    erased,
    evaluation,
    framework_files,
    outside_badges,
    schedule,
    score_files,
    sources,
    work,
)
from lti_tool.services.access import course_roster, course_service, roster_answers
from lti_tool.services.erased import ShutOut
from lti_tool.services.launches import main_role, most_rights
from lti_tool.services.tool import Tool, log
from lti_tool.services.whole import Answers, Rows
from lti_tool.services.work import Say

JOBS_KEPT = timedelta(days=30)  # after their end


class _Same(enum.Enum):
    SAME = "as it was"


SAME = _Same.SAME


@dataclass
class _Read:
    """What one reading of the LMS brought. `members` is None where the LMS gives no roster.

    A member is a row of `_member_row`, a result is (LTI `sub`, text as received). A list whose every byte is as it was
    when it was last stored is not taken apart: it stands as SAME."""

    at: datetime
    members: Rows | _Same | None = None
    results: dict[int, Rows | _Same] = field(default_factory=dict)  # by column id
    roster_digest: str | None = None
    digests: dict[int, str] = field(default_factory=dict)  # of the results, by column id
    missing: list[int] = field(default_factory=list)
    items: Sequence[LineItem] | None = None  # every column the tool sees; None where the LMS did not tell
    back: dict[int, LineItem] = field(default_factory=dict)  # by column: deleted, and there again under another address
    sources: sources.Reading = field(default_factory=sources.Reading)  # what is read from elsewhere than the gradebook


def run_sync(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Bring one course up to date. Safe to repeat; a failure leaves what was known, and is told on the pages."""
    course = int(course_id)
    try:
        read = _read_lms(tool, course, say)
    except ServiceError as error:
        _note_problem(tool, course, error)
        schedule.could_not_be_read(tool, course, error, datetime.now(UTC))
        raise
    say(Sentence("Working out levels …"))
    # The launch of a learner who is new here may be storing her at this moment.
    counts = repeat_collided(lambda: _store(tool, course, read))
    return _decide(tool, course, read.at, counts)


def run_evaluate(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Judge a course by what is stored, without asking the LMS: something else than its grades has changed."""
    say(Sentence("Working out levels …"))
    return _decide(tool, int(course_id), datetime.now(UTC), {})


def _decide(tool: Tool, course: int, now: datetime, counts: dict[str, Any]) -> dict[str, Any]:
    outside_badges.check_again(tool, course, now)
    failed = evaluate_badges(tool, course, now, counts)
    counts["released"] = award_acts.release_due(tool, datetime.now(UTC), course)
    counts["signed"] = editions.sign_pending(tool, course)
    earned.write(tool, now, course)
    if failed:
        raise ToolError(
            f"badges {failed}",
            reason="evaluation_failed",
            sentence=Sentence(
                "The levels of %(failed)s could not be worked out. Everything else is up to date.",
                failed=", ".join(failed),
            ),
            what_to_do=Sentence("If this stays, tell whoever runs this tool."),
        )
    return counts


# -- reading ----------------------------------------------------------------------------------------------------


def _read_lms(tool: Tool, course_id: int, say: Say) -> _Read:
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        memberships_url, context_id = course.memberships_url, course.context_id
        writes = any(badge.writes_earned and badge.status == "active" for badge in course.badges)
        columns = list(
            session.scalars(
                select(Column)
                .join(CourseBadge)
                .where(CourseBadge.course_id == course_id, CourseBadge.status == "active", Column.tag != EARNED)
                .options(joinedload(Column.course_badge))
                .order_by(Column.id)
            )
        )
        touched = _changed_since_stored(session, columns)
        # Who is who is asked for where something is read from elsewhere: then the roster is taken apart.
        roster = None if sources.are_read(session, course_id) else course.roster_digest
    # A course whose badges are all marked here, and written nowhere, needs no gradebook.
    service, line_items_url = course_roster(tool, course_id), ""
    if columns or writes:
        service, line_items_url = course_service(tool, course_id)
    service = replace(service, after_page=lambda: say(""))
    read = _Read(datetime.now(UTC))
    if memberships_url is not None:
        say(Sentence("Reading the list of learners …"))
        answers = _whole(roster_answers(service, memberships_url, context_id))
        read.roster_digest = answers.digest
        read.members = SAME if answers.digest == roster else _rows(_member_rows(service.platform, answers))
    for number, column in enumerate(columns, start=1):
        say(Sentence("Reading column %(number)s of %(all)s …", number=number, all=len(columns)))
        try:
            _read_column(service, column, None if column.id in touched else column.read_digest, read)
        except ColumnMissing:
            read.missing.append(column.id)
    if line_items_url:
        _look_at_columns(service, line_items_url, read)
    _find_again(service, [column for column in columns if column.id in read.missing], read)
    read.sources = sources.read(tool, course_id, lambda: _numbers(read.members), say)
    return read


def _changed_since_stored(session: Session, columns: Sequence[Column]) -> set[int]:
    """Return the columns of which something else than their last reading has been stored since: a mark read back.

    One that was bound anew since has another address, and nothing of what was read before is its."""
    ids = [column.id for column in columns]
    newer = select(Result.column_id).join(Column).where(Column.id.in_(ids), Result.received_at > Column.read_at)
    bound = {column.id for column in columns if column.read_at is None or column.read_at < column.created_at}
    return bound | set(session.scalars(newer.distinct()))


def _read_column(service: Service, column: Column, known: str | None, read: _Read, url: str = "") -> None:
    answers = _whole(result_answers(service, url or column.url))
    read.digests[column.id] = answers.digest
    read.results[column.id] = SAME if answers.digest == known else _rows(results_in(body) for body in answers)


def _whole(pages: Iterable[bytes]) -> Answers:
    answers = Answers()
    for body in pages:
        answers.add(body)
    return answers


def _rows(pages: Iterable[Sequence[Sequence[Any]]]) -> Rows:
    rows = Rows()
    for page in pages:
        rows.add(page)
    return rows


def _member_rows(platform: Platform, answers: Iterable[bytes]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield of each member what is kept: sub, name, address, test user, SIS id, own number, role, active, sections."""
    for body in answers:
        yield [
            (
                member.user_id,
                (member.name or "")[:255],
                (member.email or "")[:255],
                member.test_user,
                (member.sis_id or "")[:255],
                platform.own_number(member.custom),
                main_role(member),
                member.is_active,
                None if (told := platform.sections(member.custom)) is None else [list(each) for each in told],
            )
            for member in members_in(body)
        ]


def _numbers(members: Rows | _Same | None) -> dict[str, str]:
    """Return who is who in a roster that was read: the LMS's own number → LTI `sub`."""
    return {row[5]: row[0] for part in members for row in part if row[5]} if isinstance(members, Rows) else {}


def _look_at_columns(service: Service, line_items_url: str, read: _Read) -> None:
    """Read how the columns are called now, what their maxima are and which are gone: one request for all of them."""
    try:
        read.items = list_line_items(service, line_items_url)
    except ServiceError as error:  # what was read is good all the same; the next sync looks again
        log.info("columns not listed: reason=%s detail=%s", error.reason, error.detail)


def _find_again(service: Service, missing: Sequence[Column], read: _Read) -> None:
    """Look for columns with the marks of those that are gone: a placed link brings one back. None is made here."""
    for column in missing:
        item = find_column(read.items or (), f"badge:{column.course_badge.slug}", column.tag)
        if item is None or item.url == column.url:
            continue
        try:
            _read_column(service, column, None, read, item.url)
        except ColumnMissing:
            continue
        read.back[column.id] = item
        read.missing.remove(column.id)


def _note_problem(tool: Tool, course_id: int, error: ServiceError) -> None:
    with tool.db.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        drift.note_error(session, course, error, datetime.now(UTC))


# -- storing ----------------------------------------------------------------------------------------------------


def _store(tool: Tool, course_id: int, read: _Read) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    with tool.db.write() as session:
        # Locked: a worker that lost its lease and the one that took over may both be here (PostgreSQL; SQLite has one
        # writer anyway). Not against its key, which the launch of a new learner refers to meanwhile.
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        if course.synced_at is not None and course.synced_at > read.at:
            return {"stale": 1}  # somebody has read the course after us, and stored it before
        shut_out = erased.shut_out(tool, session, course.registration_id)
        if isinstance(read.members, Rows):
            counts["members"] = _store_roster(session, course, read.members, read.at, shut_out)
            course.roster_digest = read.roster_digest
        elif read.members is SAME:
            course.roster_at = read.at
        _forget_bound_anew(session, read)
        for column_id, item in read.back.items():
            column = session.get_one(Column, column_id)
            # Answers older than this came from the column that is gone: its being empty does not take them back.
            column.url, column.label, column.created_at, column.found = item.url, item.label, read.at, True
            column.score_maximum, column.found_by = number_text(item.maximum), "marks"
            drift.moved(session, column, read.at)
        session.flush()
        counts["read"] = sum(found.count for found in read.results.values() if isinstance(found, Rows))
        answers = sources.store(session, read.sources, read.at, shut_out)
        counts["results"] = _store_results(session, read, shut_out) + answers
        counts["aside"] = count_aside(session, course)
        for column_id in read.results:
            session.execute(update(Column).where(Column.id == column_id, Column.state != "bound").values(state="bound"))
        counts["missing_columns"] = drift.note_columns(session, course, read.items, read.missing, read.at)
        course.synced_at = read.at
        schedule.was_read(session, course, read.at, moved=counts["results"] > 0, queue=tool.settings.queue)
        drift.note_read(session, course, read.at)
        drift.note_sources(session, course, read.sources.problem, read.at)
        session.execute(
            update(Registration)
            .where(Registration.id == course.registration_id, Registration.problem.is_not(None))
            .values(problem=None)
        )
    return counts


def _forget_bound_anew(session: Session, read: _Read) -> None:
    """Leave out columns that were bound anew, or are no more, since this reading began: it says nothing of them."""
    asked = {*read.results, *read.back}
    query = select(Column.id).where(Column.id.in_(asked), Column.created_at <= read.at)
    for column_id in asked.difference(session.scalars(query)):
        read.results.pop(column_id, None)
        read.back.pop(column_id, None)


def evaluate_badges(tool: Tool, course_id: int, now: datetime, counts: dict[str, Any]) -> list[str]:
    """Evaluate each badge in a transaction of its own, counting what was done; returns the slugs of those that failed.

    One badge that cannot be evaluated takes back nobody's award of another. What others ask for first comes first."""
    failed = []
    with tool.db.read() as session:
        query = select(CourseBadge.id, CourseBadge.slug).where(CourseBadge.course_id == course_id)
        badges = {slug: badge_id for badge_id, slug in session.execute(query.order_by(CourseBadge.id))}
        asked: dict[str, list[str]] = {slug: [] for slug in badges}
        slugs = {badge_id: slug for slug, badge_id in badges.items()}
        rows = select(Prerequisite.course_badge_id, Prerequisite.slug).where(Prerequisite.course_badge_id.in_(slugs))
        for badge_id, first in session.execute(rows):
            asked[slugs[badge_id]].append(first)
    for slug in in_order(asked):
        try:
            with tool.db.write() as session:
                session.get_one(Course, course_id, with_for_update={"key_share": True})
                done = evaluation.evaluate(session, session.get_one(CourseBadge, badges[slug]), now)
        except (Busy, DiskFull):  # of the database, and of no badge
            raise
        except Exception:
            log.exception("course=%s badge=%s could not be evaluated", course_id, badges[slug])
            failed.append(slug)
            continue
        for name, count in done.items():
            counts[name] = counts.get(name, 0) + count
    return failed


def _store_roster(session: Session, course: Course, members: Rows, now: datetime, shut_out: ShutOut) -> int:
    """Bring people and enrolments up to the roster; somebody no longer on it is not evaluated, and keeps her awards.

    Who was erased is not brought back by it. Who is named more than once is who all her lines together say."""
    listed: set[str] = set()
    subs: set[str] = set()
    again: set[str] = set()  # named in more than one part: stored at the end
    for part in members:
        by_sub = _by_sub(row for row in part if not shut_out(row[0]))
        again |= subs & by_sub.keys()
        subs |= by_sub.keys()
        listed |= _store_members(session, course, by_sub, now)
    if again:
        _store_members(session, course, _by_sub(row for part in members for row in part if row[0] in again), now)
    active = select(Enrolment.person_id).where(Enrolment.course_id == course.id, Enrolment.active)
    gone = [person_id for person_id in session.scalars(active) if person_id not in listed]
    if gone:
        told = {"course_id": course.id, "active": False}
        session.execute(update(Enrolment), [{**told, "person_id": person_id} for person_id in gone])
    course.roster_at = now
    return len(listed)


def _by_sub(rows: Iterable[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return one row for each person: NRPS does not forbid a line for each of somebody's sections."""
    found: dict[str, Sequence[Any]] = {}
    for row in rows:
        found[row[0]] = _merged(found[row[0]], row) if row[0] in found else row
    return found


def _merged(one: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
    """Return one row of two that name the same person: active where one is, in the role with most rights."""
    sub, name, email, test_user, sis_id, number, role, active, sections = one
    _, name_2, email_2, test_user_2, sis_id_2, number_2, role_2, active_2, sections_2 = other
    if sections is None or sections_2 is None:
        told = sections_2 if sections is None else sections
    else:
        told = [*sections, *[each for each in sections_2 if each not in sections]]
    return (
        *(sub, name or name_2, email or email_2, test_user or test_user_2, sis_id or sis_id_2, number or number_2),
        *(most_rights(role, role_2), active or active_2, told),
    )


def _store_members(session: Session, course: Course, by_sub: Mapping[str, Sequence[Any]], now: datetime) -> set[str]:
    people = _store_people(session, course, by_sub, now)
    _store_enrolments(session, course, {people[sub]: row for sub, row in by_sub.items()})
    return set(people.values())


def _store_people(
    session: Session, course: Course, by_sub: Mapping[str, Sequence[Any]], now: datetime
) -> dict[str, str]:
    """Bring these people up to the roster, without objects: those of a whole class cost more than all else of a quiet
    sync. Returns their ids by `sub`."""
    query = select(Person.id, Person.sub, Person.name, Person.email, Person.test_user, Person.sis_id)
    query = query.where(Person.registration_id == course.registration_id, among(Person.sub, by_sub))
    people: dict[str, str] = {}
    changed = []
    for person_id, sub, known_name, known_email, was_test_user, known_sis_id in session.execute(query):
        _, name, email, test_user, sis_id, *_ = by_sub[sub]
        people[sub] = person_id
        told = (name or known_name, email or known_email, was_test_user or test_user, sis_id or known_sis_id)
        if told != (known_name, known_email, was_test_user, known_sis_id):
            changed.append(dict(zip(("id", "name", "email", "test_user", "sis_id"), (person_id, *told), strict=True)))
    fresh = [
        {
            "id": random_id(),
            "registration_id": course.registration_id,
            "sub": sub,
            "name": name,
            "email": email,
            "sis_id": sis_id,
            "subject_id": f"urn:uuid:{uuid.uuid4()}",
            "test_user": test_user,
            "created_at": now,
        }
        for sub, name, email, test_user, sis_id, *_ in by_sub.values()
        if sub not in people
    ]
    if fresh:
        insert_rows(session, Person, fresh)
        people |= {row["sub"]: row["id"] for row in fresh}
    if changed:
        session.execute(update(Person), changed)
    return people


def _store_enrolments(session: Session, course: Course, members: Mapping[str, Sequence[Any]]) -> None:
    query = select(Enrolment.person_id, Enrolment.roster_role, Enrolment.active, Enrolment.sections)
    rows = session.execute(query.where(Enrolment.course_id == course.id, among(Enrolment.person_id, members)))
    known = {row.person_id: (row.roster_role, row.active, row.sections) for row in rows}
    fresh, changed = [], []
    none: list[Any] = []  # the same for all: it is written once
    for person_id, (*_, role, active, told) in members.items():
        # A roster that tells nothing of sections leaves what a launch has told.
        before = known[person_id][2] if person_id in known else none
        sections = before if told is None else told
        row = {
            "course_id": course.id,
            "person_id": person_id,
            "roster_role": role,
            "active": active,
            "sections": sections,
        }
        if person_id not in known:
            fresh.append(row)
        elif known[person_id] != (role, active, sections):
            changed.append(row)
    insert_rows(session, Enrolment, fresh)
    if changed:
        session.execute(update(Enrolment), changed)


def _store_results(session: Session, read: _Read, shut_out: ShutOut) -> int:
    """Keep each answer exactly as received; one that is gone stays as an empty row, so that its going is seen."""
    count = 0
    for column_id, found in read.results.items():
        if isinstance(found, Rows):
            count += _store_column(session, column_id, found, read.at, shut_out)
            stored = {"read_digest": read.digests[column_id], "read_at": read.at}
            session.execute(update(Column).where(Column.id == column_id).values(**stored))
    return count


def _store_column(session: Session, column_id: int, found: Rows, read_at: datetime, shut_out: ShutOut) -> int:
    of_column = Result.column_id == column_id
    # Read back after a posting while this reading was under way: it says nothing of those.
    newer = set(session.scalars(select(Result.user_sub).where(of_column, Result.received_at > read_at)))
    answered: set[str] = set()
    count = 0
    for part in found:
        answers = {sub: raw for sub, raw in part if sub not in newer and not shut_out(sub)}
        known: dict[str, str | None] = dict(
            session.execute(select(Result.user_sub, Result.raw).where(of_column, among(Result.user_sub, answers))).all()
        )
        fresh, changed = [], []
        for sub, raw in answers.items():
            if sub not in known:
                fresh.append({"column_id": column_id, "user_sub": sub, "raw": raw, "received_at": read_at})
            elif known[sub] != raw:
                changed.append({"column_id": column_id, "user_sub": sub, "raw": raw, "received_at": read_at})
        insert_rows(session, Result, fresh)
        if changed:
            session.execute(update(Result), changed)
        answered.update(answers)
        count += len(fresh) + len(changed)
    return count + _empty(session, column_id, answered | newer, read_at)


def _empty(session: Session, column_id: int, answered: AbstractSet[str], read_at: datetime) -> int:
    """Take back the answers of those who are not in the gradebook any more; returns how many."""
    # Not what came from a column that is gone, and in whose place this one was bound.
    bound_at = session.get_one(Column, column_id).created_at
    there = (Result.column_id == column_id, Result.raw.is_not(None), Result.received_at >= bound_at)
    gone = [sub for sub in session.scalars(select(Result.user_sub).where(*there)) if sub not in answered]
    if gone:
        told = {"column_id": column_id, "raw": None, "received_at": read_at}
        session.execute(update(Result), [{**told, "user_sub": sub} for sub in gone])
    return len(gone)


def count_aside(session: Session, course: Course, badge: CourseBadge | None = None) -> int:
    """Count the users with a result, of one badge where given, whom neither roster nor launch names.

    What they have is kept, and they are never awarded (F23)."""
    graded = select(Result.user_sub).join(Column, Column.id == Result.column_id).join(CourseBadge)
    graded = graded.where(CourseBadge.course_id == course.id, Result.raw.is_not(None))
    if badge is not None:
        graded = graded.where(CourseBadge.id == badge.id)
    users = graded.distinct().subquery()  # each is looked up once, however many columns she has a result in
    query = (
        select(func.count())
        .select_from(users)
        .outerjoin(Person, (Person.sub == users.c.user_sub) & (Person.registration_id == course.registration_id))
        .outerjoin(Enrolment, (Enrolment.person_id == Person.id) & (Enrolment.course_id == course.id))
        .where(Enrolment.person_id.is_(None))
    )
    return session.scalar(query) or 0


# -- what is due ------------------------------------------------------------------------------------------------


def courses_to_sync(tool: Tool, *, platform: int | None = None, context: str | None = None) -> list[int]:
    """Return the courses that have a published badge, of one platform or context where given, oldest sync first.

    One that retention put to rest is read only where it is named."""
    query = _courses_with_badges()
    if platform is not None:
        query = query.where(Course.registration_id == platform)
    if context is not None:
        query = query.where(Course.context_id == context)
    else:
        query = query.where(or_(Course.next_sync_at.is_(None), Course.next_sync_at < schedule.NEVER))
    with tool.db.read() as session:
        return list(session.scalars(query))


def _courses_with_badges() -> Select[int]:
    return (
        select(Course.id)
        .join(Registration, Registration.id == Course.registration_id)
        .where(Registration.status == "active")
        .where(Course.id.in_(select(CourseBadge.course_id).where(CourseBadge.status == "active")))
        .order_by(Course.synced_at)
    )


def sync_if_old(tool: Tool, launch_id: str, now: datetime) -> None:
    """Start a sync of a launch's course where the last one is older than the settings say. See `sync_course_if_old`."""
    with tool.db.read() as session:
        course_id = session.get_one(Launch, launch_id).course_id
    if course_id is not None:
        sync_course_if_old(tool, course_id, now)


def sync_course_if_old(tool: Tool, course_id: int, now: datetime) -> None:
    """Start a sync of a course where the last one, or last failure to, is older than the settings say.

    None is started for a course without a published badge, or one that has ended (K10); a job that waits after a
    failure keeps its time. One that is read rarely is read often again: somebody is there."""
    oldest = now - timedelta(seconds=tool.settings.queue.sync_on_launch_after)
    tried = (Job.state == "failed") & (Job.finished_at > oldest)
    waits = Job.state.in_(("due", "running")) & (Job.attempts > 0)
    known = select(Job.id).where(Job.kind == "sync", Job.subject == str(course_id), tried | waits)
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        if course.state == "concluded" or not any(badge.status == "active" for badge in course.badges):
            return
        if session.scalar(known.limit(1)) is not None:
            return
    if schedule.is_slow(tool.settings.queue, course.next_sync_at, now):
        schedule.opened(tool, course_id, now)
    if course.synced_at is None or course.synced_at < oldest:
        work.start(tool, "sync", str(course_id))


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove logins and launches whose time is over, browsers without a launch, and jobs that ended long ago."""
    with tool.db.write() as session:
        session.execute(delete(Login).where(Login.expires_at < now))
        session.execute(delete(Launch).where(Launch.expires_at < now))
        session.execute(delete(Browser).where(~select(Launch.id).where(Launch.browser_id == Browser.id).exists()))
        session.execute(delete(Job).where(Job.state.in_(("done", "failed")), Job.finished_at < now - JOBS_KEPT))
        award_files.forget_old(session, now)
        score_files.forget_old(session, now)
        framework_files.forget_old(session, now)


def course_name(tool: Tool, course_id: int) -> str:
    """Return a course as commands name it."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        return course.label or course.title or course.context_id
