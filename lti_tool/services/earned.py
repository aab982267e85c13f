"""Writing back who has earned a badge: 1 of 1 in a column of its own, so that the LMS can open activities by it.

A course chooses it for a badge and can change its mind; it is no part of the definition, and nothing is ever read from
that column. Whoever has not earned the badge has no score there. An award that is withdrawn, or held back once it was
issued, becomes 0 of 1: a score may not be erased. One whose time is over keeps its 1: it was earned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.domain.badge import Badge
from lti_tool.errors import Conflict, NotFound
from lti_tool.grades.columns import EARNED, WantedColumn, earned_column
from lti_tool.lti.ags import LINE_ITEM, LONGEST_LABEL, SCORE
from lti_tool.models import (
    AchievementVersion,
    Award,
    Column,
    Course,
    CourseBadge,
    Enrolment,
    Job,
    Person,
    Posting,
    Registration,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, drift, marking, work
from lti_tool.services.tool import Tool

HAS, HAS_NOT = "1", "0"  # of 1
LABELS = {"es": "{}: obtenida"}  # in the language the badge is written in
LABEL = "{}: earned"
Cell = tuple[str, str, int]  # course badge, person, course


def wanted_column(definition: Badge) -> WantedColumn:
    label = LABELS.get(definition.language.partition("-")[0], LABEL)
    return earned_column(label.format(definition.name[: LONGEST_LABEL - len(label)]))


# -- who ----------------------------------------------------------------------------------------------------------


def write(tool: Tool, now: datetime, course_id: int | None = None) -> int:
    """Write down what is to stand in these columns, of one course or of all, and let it be posted."""
    changed = wish(tool, now, course_id)
    for course in sorted({course for _, _, course in changed}):
        work.start(tool, "post", str(course), again=True)
    return len(changed)


def wish(tool: Tool, now: datetime, course_id: int | None = None) -> set[Cell]:
    """Write down which cells are to change, for `services.posting`; returns them. Costs two queries where none is."""
    with tool.db.read() as session:
        courses = {course for _, _, course in (*_to_give(session, now, course_id), *_to_take(session, course_id))}
    changed: set[Cell] = set()
    for course in sorted(courses):
        changed |= repeat_collided(partial(_wish, tool, now, course))
    return changed


def _wish(tool: Tool, now: datetime, course_id: int) -> set[Cell]:
    with tool.db.write() as session:
        session.get_one(Course, course_id, with_for_update={"key_share": True})  # two workers see the same
        give, take = _to_give(session, now, course_id), _to_take(session, course_id)
        for badge_id, person_id, _ in give:
            posting = session.get(Posting, (badge_id, person_id, EARNED), with_for_update=True)
            if posting is None:
                row = Posting(course_badge_id=badge_id, person_id=person_id, tag=EARNED, points=HAS, maximum=HAS)
                session.add(row)
            else:
                posting.points = HAS
                marking.renew(posting, "due")
        for badge_id, person_id, _ in take:
            posting = session.get_one(Posting, (badge_id, person_id, EARNED), with_for_update=True)
            if posting.sent_points is None and posting.posted_points is None:
                session.delete(posting)  # none of ours is there: a grade that somebody else gave stays
            else:
                posting.points = HAS_NOT
                marking.renew(posting, "due")
        return {*give, *take}


def _to_give(session: Session, now: datetime, course_id: int | None) -> list[Cell]:
    """Return the learners who have an issued award in force and no 1 written down."""
    role = ~Person.test_user & ~Person.disabled
    for told in (Enrolment.roster_role, Enrolment.launch_role):
        role &= func.coalesce(told, "Learner") == "Learner"
    role &= or_(Enrolment.roster_role.is_not(None), Enrolment.launch_role.is_not(None))
    in_force = _award((Award.status == "issued") & or_(Award.expires_at.is_(None), Award.expires_at > now))
    query = _cells(course_id).where(role, in_force, or_(Posting.person_id.is_(None), Posting.points != HAS))
    return [(badge, person, course) for badge, person, course in session.execute(query)]


def _to_take(session: Session, course_id: int | None) -> list[Cell]:
    """Return the people with a 1 written down whose award was withdrawn or is held back, and who have no other."""
    query = _cells(course_id).where(Posting.points == HAS)
    query = query.where(
        _award(Award.status.in_(("revoked", "held", "review"))), ~_award(Award.status.in_(("issued", "pending")))
    )
    return [(badge, person, course) for badge, person, course in session.execute(query)]


def _cells(course_id: int | None) -> Select[str, str, int]:
    query = (
        select(CourseBadge.id, Person.id, CourseBadge.course_id)
        .join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        .join(Course, Course.id == CourseBadge.course_id)
        .join(Registration, Registration.id == Course.registration_id)
        .join(Column, (Column.course_badge_id == CourseBadge.id) & (Column.tag == EARNED))
        .join(Enrolment, Enrolment.course_id == CourseBadge.course_id)
        .join(Person, Person.id == Enrolment.person_id)
        .outerjoin(
            Posting,
            (Posting.course_badge_id == CourseBadge.id) & (Posting.person_id == Person.id) & (Posting.tag == EARNED),
        )
        .where(CourseBadge.writes_earned, Column.state == "bound", Enrolment.active)
        .where(Registration.status == "active", Course.state != "concluded")
    )
    return query if course_id is None else query.where(CourseBadge.course_id == course_id)


def _award(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Tell whether somebody holds such an award: given in this course, or anywhere where it counts everywhere."""
    for_all = (Award.scope == "installation") | (AchievementVersion.definition["once"].as_string() == "person")
    everywhere = (Award.achievement_id == AchievementVersion.achievement_id) & for_all
    holder = func.coalesce(Person.same_as_id, Person.id)
    found = select(Award.id).where(Award.person_id == holder, or_(Award.course_badge_id == CourseBadge.id, everywhere))
    return found.where(which).correlate(CourseBadge, AchievementVersion, Person).exists()


# -- the choice -------------------------------------------------------------------------------------------------


def obstacle(course: Course) -> str:
    """Say why nothing can be written into a course's gradebook; empty where it can."""
    missing = {LINE_ITEM, SCORE} - set(course.scopes)
    if course.line_items_url is None or missing:
        return Sentence(
            "The tool may not write into this course's gradebook. The LMS administrator has to allow it to make "
            "columns and to send scores."
        )
    if course.state == "concluded":
        return Sentence("This course has ended, and its gradebook takes nothing more.")
    return ""


def switch(tool: Tool, course_id: int, slug: str, *, on: bool, actor: str, now: datetime) -> int:
    """Write back who has earned a badge from now on, or no more; returns a job to wake, or 0.

    Switched off, the column and what stands in it stay as they are. Raises Conflict where nothing can be written."""
    return repeat_collided(lambda: _switch(tool, course_id, slug, on, actor, now))


def _switch(tool: Tool, course_id: int, slug: str, on: bool, actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        if badge.writes_earned == on:
            return 0
        if on and (why := obstacle(badge.course)):
            raise Conflict(sentence=why, what_to_do="")
        if on and badge.status == "retired":
            raise Conflict(
                sentence=Sentence("This badge is retired. Bring it back under History first."), what_to_do=""
            )
        badge.writes_earned = on
        action = "badge.earned_written" if on else "badge.earned_not_written"
        audit.record(session, now, actor, action, f"badge:{badge.id}", slug=slug)
        column = next((each for each in badge.columns if each.tag == EARNED), None)
        if not on:
            never = (Posting.sent_points.is_(None), Posting.posted_points.is_(None), Posting.state != "kept")
            here = (Posting.course_badge_id == badge.id, Posting.tag == EARNED)
            session.execute(delete(Posting).where(*here, *never))
            if column is not None:
                column.asked_again_at = None
                drift.end(session, column, now)
            return 0
        if badge.version_id is None:
            return 0  # its publishing makes the column
        if column is not None:
            column.asked_again_at = now  # it may have been deleted meanwhile; she asks for one
        return work.request_in(session, "make_columns", badge.id, now, again=True)


# -- the page ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Differs:
    """A cell of the column that holds something else than we would write. `points` is empty where it is empty."""

    person_id: str
    name: str
    ours: str
    points: str
    maximum: str
    seen: str


@dataclass(frozen=True)
class EarnedView:
    """How writing back stands for a badge. `state`: "off", "draft", "making", "missing" or "on"."""

    state: str
    label: str
    obstacle: str = ""
    written: int = 0  # learners who have 1 of 1
    taken: int = 0  # who have 0 since their award was withdrawn
    waiting: int = 0
    refused: tuple[tuple[str, int], ...] = ()  # reason, how many
    again: bool = False  # some of them are tried again by themselves
    differs: tuple[Differs, ...] = ()
    problem: str = ""  # why the column could not be made
    job_id: int = 0

    @property
    def trouble(self) -> int:
        return sum(count for _, count in self.refused)


def view(session: Session, badge: CourseBadge, passing: Collection[str]) -> EarnedView:
    """Return how writing back stands. `passing`: reasons after which it is tried again by itself."""
    column = next((each for each in badge.columns if each.tag == EARNED), None)
    label = column.label if column is not None else wanted_column(catalog.next_definition(badge)).label
    if not badge.writes_earned:
        return EarnedView("off", label, obstacle=obstacle(badge.course))
    query = select(Job).where(Job.kind == "make_columns", Job.subject == badge.id).order_by(Job.id.desc()).limit(1)
    job = session.scalar(query)
    open_ = job if job is not None and job.state in ("due", "running") else None
    problem = (job.problem or "") if job is not None and job.state in ("due", "failed") else ""
    if badge.version_id is None:
        return EarnedView("draft", label)
    job_id = open_.id if open_ is not None else 0
    if column is None or column.asked_again_at is not None:
        return EarnedView("making", label, problem=problem, job_id=job_id)
    rows = list(session.scalars(select(Posting).where(Posting.course_badge_id == badge.id, Posting.tag == EARNED)))
    there = [row for row in rows if row.state == "posted"]
    refused = Counter(row.reason or "" for row in rows if row.state == "refused")
    return EarnedView(
        "missing" if column.state != "bound" else "on",
        label,
        written=sum(row.points == HAS for row in there),
        taken=sum(row.points == HAS_NOT for row in there),
        waiting=sum(row.state in marking.OPEN for row in rows),
        refused=tuple(sorted(refused.items())),
        again=any(row.state == "refused" and row.reason in passing and row.retry_at is not None for row in rows),
        differs=_differs(session, badge),
        job_id=job_id,
    )


def _differs(session: Session, badge: CourseBadge) -> tuple[Differs, ...]:
    query = select(Posting, Person).join(Person, Person.id == Posting.person_id)
    query = query.where(Posting.course_badge_id == badge.id, Posting.tag == EARNED, Posting.state == "conflict")
    found = []
    for posting, person in session.execute(query.order_by(Person.name, Person.id)):
        held = posting.found or {}
        points, maximum = held.get("points") or "", held.get("maximum") or ""
        found.append(Differs(person.id, person.name, posting.points, points, maximum, marking.seen(held)))
    return tuple(found)


def choose(
    tool: Tool, course_id: int, slug: str, person_id: str, choice: str, *, seen_as: str, actor: str, now: datetime
) -> int:
    """Keep what the gradebook holds for a learner, or replace it, as a person has chosen; returns a job to wake, or 0.

    Raises Conflict where it holds something else by now than what she saw."""
    return repeat_collided(lambda: _choose(tool, course_id, slug, person_id, choice, seen_as, actor, now))


def _choose(
    tool: Tool, course_id: int, slug: str, person_id: str, choice: str, seen_as: str, actor: str, now: datetime
) -> int:
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug)
        posting = session.get(Posting, (badge.id, person_id, EARNED), with_for_update=True)
        if posting is None or choice not in ("keep", "replace"):
            raise NotFound("nothing to choose")
        return marking.choose_between(session, badge, posting, choice, seen_as, actor, now)


def try_again(tool: Tool, course_id: int, slug: str, *, actor: str, now: datetime) -> int:
    """Make what the gradebook refused due again; returns a job to wake, or 0."""
    return repeat_collided(lambda: _try_again(tool, course_id, slug, actor, now))


def _try_again(tool: Tool, course_id: int, slug: str, actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug)
        refused = (Posting.course_badge_id == badge.id, Posting.tag == EARNED, Posting.state == "refused")
        values = {"state": "due", "tries": 0, "retry_at": None, "revision": Posting.revision + 1}
        done = session.execute(update(Posting).where(*refused).values(values).returning(Posting.person_id)).all()
        if not done:
            return 0
        audit.record(session, now, actor, "mark.posted_again", f"badge:{badge.id}", row=EARNED, cells=len(done))
        return work.request_in(session, "post", str(course_id), now, again=True)
