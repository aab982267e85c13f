"""One course's grades: the roster and every column read to the end, stored as received, evaluated, awarded, signed.

Nothing is evaluated from half a class: the LMS is read whole, outside any transaction, before a row is written."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, String, cast, delete, func, insert, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import number_text
from lti_tool.domain.prerequisites import in_order
from lti_tool.errors import (
    AccessRefused,
    ColumnMissing,
    CourseConcluded,
    ScopeMissing,
    ServiceError,
    TokenRefused,
    ToolError,
)
from lti_tool.grades.columns import find_column
from lti_tool.lti.ags import LineItem, RawResult, list_line_items, results
from lti_tool.lti.nrps import Member
from lti_tool.lti.platforms import Platform, platform_of
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
from lti_tool.services import award_acts, award_files, editions, evaluation, score_files, sources, work
from lti_tool.services.access import course_roster, course_service, members_of
from lti_tool.services.launches import main_role
from lti_tool.services.tool import Tool, log
from lti_tool.services.work import Say

JOBS_KEPT = timedelta(days=30)  # after their end
OF_THE_COURSE = (AccessRefused, ScopeMissing, CourseConcluded)  # kept as its state, told to its instructor


@dataclass
class _Read:
    """What one reading of the LMS brought. `members` is None where the LMS gives no roster."""

    at: datetime
    members: Sequence[Member] | None = None
    results: dict[int, Sequence[RawResult]] = field(default_factory=dict)  # by column id
    missing: list[int] = field(default_factory=list)
    back: dict[int, LineItem] = field(default_factory=dict)  # by column: deleted, and there again under another address
    sources: sources.Reading = field(default_factory=sources.Reading)  # what is read from elsewhere than the gradebook


def run_sync(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Bring one course up to date. Safe to repeat; a failure leaves what was known, and is told on the pages."""
    course = int(course_id)
    try:
        read = _read_lms(tool, course, say)
    except ServiceError as error:
        _note_problem(tool, course, error)
        raise
    say(Sentence("Working out levels …"))
    counts = _store(tool, course, read)
    return _decide(tool, course, read.at, counts)


def run_evaluate(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Judge a course by what is stored, without asking the LMS: something else than its grades has changed."""
    say(Sentence("Working out levels …"))
    return _decide(tool, int(course_id), datetime.now(UTC), {})


def _decide(tool: Tool, course: int, now: datetime, counts: dict[str, Any]) -> dict[str, Any]:
    failed = evaluate_badges(tool, course, now, counts)
    counts["released"] = award_acts.release_due(tool, datetime.now(UTC), course)
    counts["signed"] = editions.sign_pending(tool, course)
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
        columns = list(
            session.scalars(
                select(Column)
                .join(CourseBadge)
                .where(CourseBadge.course_id == course_id, CourseBadge.status == "active")
                .options(joinedload(Column.course_badge))
                .order_by(Column.id)
            )
        )
    # A course whose badges are all marked here needs no gradebook.
    service, line_items_url = course_service(tool, course_id) if columns else (course_roster(tool, course_id), "")
    service = replace(service, after_page=lambda: say(""))
    read = _Read(datetime.now(UTC))
    if memberships_url is not None:
        say(Sentence("Reading the list of learners …"))
        read.members = members_of(service, memberships_url, context_id)
    for number, column in enumerate(columns, start=1):
        say(Sentence("Reading column %(number)s of %(all)s …", number=number, all=len(columns)))
        try:
            read.results[column.id] = results(service, column.url)
        except ColumnMissing:
            read.missing.append(column.id)
    if read.missing:
        _find_again(service, line_items_url, [column for column in columns if column.id in read.missing], read)
    read.sources = sources.read(tool, course_id, read.members, say)
    return read


def _find_again(service: Service, line_items_url: str, missing: Sequence[Column], read: _Read) -> None:
    """Look for columns with the marks of those that are gone: a placed link brings one back. None is made here."""
    try:
        items = list_line_items(service, line_items_url)
    except ServiceError:  # what was read is good all the same; the next sync looks again
        return
    for column in missing:
        item = find_column(items, f"badge:{column.course_badge.slug}", column.tag)
        if item is None or item.url == column.url:
            continue
        try:
            read.results[column.id] = results(service, item.url)
        except ColumnMissing:
            continue
        read.back[column.id] = item
        read.missing.remove(column.id)


def _note_problem(tool: Tool, course_id: int, error: ServiceError) -> None:
    with tool.db.write() as session:
        course = session.get_one(Course, course_id)
        if isinstance(error, TokenRefused):
            course.registration.problem = error.sentence
        if isinstance(error, OF_THE_COURSE):
            course.state = "concluded" if isinstance(error, CourseConcluded) else "attention"
            course.problem, course.problem_sentence = error.reason, error.told


# -- storing ----------------------------------------------------------------------------------------------------


def _store(tool: Tool, course_id: int, read: _Read) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    with tool.db.write() as session:
        # Locked: a worker that lost its lease and the one that took over may both be here (PostgreSQL; SQLite has one
        # writer anyway). Not against its key, which the launch of a new learner refers to meanwhile.
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        if course.synced_at is not None and course.synced_at > read.at:
            return {"stale": 1}  # somebody has read the course after us, and stored it before
        if read.members is not None:
            counts["members"] = _store_roster(session, course, read.members, read.at)
        for column_id, item in read.back.items():
            column = session.get_one(Column, column_id)
            # Answers older than this came from the column that is gone: its being empty does not take them back.
            column.url, column.label, column.created_at, column.found = item.url, item.label, read.at, True
            column.score_maximum, column.found_by = number_text(item.maximum), "marks"
        session.flush()
        counts["results"] = _store_results(session, read) + sources.store(session, read.sources, read.at)
        counts["aside"] = count_aside(session, course)
        for column_id in read.missing:
            session.execute(update(Column).where(Column.id == column_id).values(state="missing"))
        for column_id in read.results:
            session.execute(update(Column).where(Column.id == column_id, Column.state != "bound").values(state="bound"))
        course.synced_at = read.at
        course.state, course.problem, course.problem_sentence = "ok", None, None
        if (refused := read.sources.problem) is not None:  # the gradebook was read all the same
            course.state, course.problem, course.problem_sentence = "attention", refused.reason, refused.told
        session.execute(
            update(Registration)
            .where(Registration.id == course.registration_id, Registration.problem.is_not(None))
            .values(problem=None)
        )
    counts["missing_columns"] = len(read.missing)
    return counts


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
        except Exception:
            log.exception("course=%s badge=%s could not be evaluated", course_id, badges[slug])
            failed.append(slug)
            continue
        for name, count in done.items():
            counts[name] = counts.get(name, 0) + count
    return failed


def _store_roster(session: Session, course: Course, members: Sequence[Member], now: datetime) -> int:
    """Bring people and enrolments up to the roster; somebody no longer on it is not evaluated, and keeps her awards."""
    by_sub = {member.user_id: member for member in members}
    known = _people(session, course, by_sub)
    fresh = [
        {
            "registration_id": course.registration_id,
            "sub": sub,
            "name": (member.name or "")[:255],
            "email": (member.email or "")[:255],
            "sis_id": (member.sis_id or "")[:255],
            "subject_id": f"urn:uuid:{uuid.uuid4()}",
            "test_user": member.test_user,
            "created_at": now,
        }
        for sub, member in by_sub.items()
        if sub not in known
    ]
    changed = []
    for sub, person in known.items():
        member = by_sub[sub]
        name, email = (member.name or person.name)[:255], (member.email or person.email)[:255]
        test_user, sis_id = person.test_user or member.test_user, (member.sis_id or person.sis_id)[:255]
        if (name, email, test_user, sis_id) != (person.name, person.email, person.test_user, person.sis_id):
            changed.append({"id": person.id, "name": name, "email": email, "test_user": test_user, "sis_id": sis_id})
    if fresh:
        session.execute(insert(Person), fresh)
        known = _people(session, course, by_sub)
    if changed:
        session.execute(update(Person), changed)
    platform = platform_of(course.registration.product)
    _store_enrolments(session, course, platform, {known[sub].id: member for sub, member in by_sub.items()})
    course.roster_at = now
    return len(by_sub)


def _people(session: Session, course: Course, subs: Collection[str]) -> dict[str, Any]:
    """Return the people with these subs as rows: objects of a whole class cost more than all else of a quiet sync."""
    query = select(Person.id, Person.sub, Person.name, Person.email, Person.test_user, Person.sis_id)
    rows = session.execute(query.where(Person.registration_id == course.registration_id))
    return {row.sub: row for row in rows if row.sub in subs}


def _store_enrolments(session: Session, course: Course, platform: Platform, members: dict[str, Member]) -> None:
    query = select(Enrolment.person_id, Enrolment.roster_role, Enrolment.active, Enrolment.sections)
    rows = session.execute(query.where(Enrolment.course_id == course.id))
    known = {row.person_id: (row.roster_role, row.active, row.sections) for row in rows}
    fresh, changed = [], []
    for person_id, member in members.items():
        role, active = main_role(member), member.is_active
        told = platform.sections(member.custom)
        # A roster that tells nothing of sections leaves what a launch has told.
        before: list[Any] = known[person_id][2] if person_id in known else []
        sections = before if told is None else [list(each) for each in told]
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
    changed += [
        {"course_id": course.id, "person_id": person_id, "roster_role": role, "active": False, "sections": sections}
        for person_id, (role, active, sections) in known.items()
        if active and person_id not in members
    ]
    if fresh:
        session.execute(insert(Enrolment), fresh)
    if changed:
        session.execute(update(Enrolment), changed)


def _store_results(session: Session, read: _Read) -> int:
    """Keep each answer exactly as received; one that is gone stays as an empty row, so that its going is seen."""
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for column_id, found in read.results.items():
        bound_at = session.get_one(Column, column_id).created_at
        stored = select(Result.user_sub, Result.raw, Result.received_at).where(Result.column_id == column_id)
        rows = session.execute(stored).all()
        known: dict[str, str | None] = {sub: raw for sub, raw, _ in rows}
        from_before = {sub for sub, _, received_at in rows if received_at < bound_at}
        # Read back after a posting while this reading was under way: it says nothing of those.
        newer = {sub for sub, _, received_at in rows if received_at > read.at}
        answers = {result.user_id: result.raw for result in found if result.user_id not in newer}
        for sub, raw in answers.items():
            row = {"column_id": column_id, "user_sub": sub, "raw": raw, "received_at": read.at}
            if sub not in known:
                fresh.append(row)
            elif known[sub] != raw:
                changed.append(row)
        changed += [
            {"column_id": column_id, "user_sub": sub, "raw": None, "received_at": read.at}
            for sub, raw in known.items()
            if sub not in answers and raw is not None and sub not in from_before | newer
        ]
    if fresh:
        session.execute(insert(Result), fresh)
    if changed:
        session.execute(update(Result), changed)
    return len(fresh) + len(changed)


def count_aside(session: Session, course: Course, badge: CourseBadge | None = None) -> int:
    """Count the users with a result, of one badge where given, whom neither roster nor launch names.

    What they have is kept, and they are never awarded (F23)."""
    query = (
        select(func.count(func.distinct(Result.user_sub)))
        .join(Column, Column.id == Result.column_id)
        .join(CourseBadge)
        .outerjoin(Person, (Person.sub == Result.user_sub) & (Person.registration_id == course.registration_id))
        .outerjoin(Enrolment, (Enrolment.person_id == Person.id) & (Enrolment.course_id == course.id))
        .where(CourseBadge.course_id == course.id, Result.raw.is_not(None), Enrolment.person_id.is_(None))
    )
    if badge is not None:
        query = query.where(CourseBadge.id == badge.id)
    return session.scalar(query) or 0


# -- what is due ------------------------------------------------------------------------------------------------


def courses_to_sync(tool: Tool, *, platform: int | None = None, context: str | None = None) -> list[int]:
    """Return the courses that have a published badge, of one platform or context where given, oldest sync first."""
    query = _courses_with_badges()
    if platform is not None:
        query = query.where(Course.registration_id == platform)
    if context is not None:
        query = query.where(Course.context_id == context)
    with tool.db.read() as session:
        return list(session.scalars(query))


def courses_due(tool: Tool, now: datetime) -> list[int]:
    """Return the courses whose last sync, or last failure to, is older than the settings say."""
    old = now - timedelta(seconds=tool.settings.queue.sync_every)
    tried = select(Job.subject).where(Job.kind == "sync", Job.finished_at > old)
    query = _courses_with_badges().where(
        (Course.synced_at.is_(None)) | (Course.synced_at < old),
        cast(Course.id, String).not_in(tried),
        Course.state != "concluded",
    )
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
    """Start a sync of a launch's course where the last one is older than the settings say."""
    with tool.db.read() as session:
        course_id = session.get_one(Launch, launch_id).course_id
    if course_id is not None:
        sync_course_if_old(tool, course_id, now)


def sync_course_if_old(tool: Tool, course_id: int, now: datetime) -> None:
    """Start a sync of a course where the last one, or last failure to, is older than the settings say.

    None is started for a course without a published badge, or one that has ended (K10); a job that waits after a
    failure keeps its time."""
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


def course_name(tool: Tool, course_id: int) -> str:
    """Return a course as commands name it."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        return course.label or course.title or course.context_id
