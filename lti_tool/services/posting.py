"""Marks on their way into the gradebook: one job a course, which can be broken off anywhere and done again.

What may have arrived is written down before it goes out, so a score whose answer was lost is found by reading, and
never sent blindly twice. No transaction is open while the LMS is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, cast, select, update
from sqlalchemy.orm import Session

from lti_tool.db import among, repeat_collided
from lti_tool.domain.badge import number_text
from lti_tool.domain.scores import Score, same_score
from lti_tool.errors import ColumnMissing, ScoreRefused, ServiceBusy, ServiceError
from lti_tool.grades import rubric
from lti_tool.grades.columns import EARNED
from lti_tool.grades.rubric import Cell, Found
from lti_tool.lti.service import Service
from lti_tool.models import Column, Course, CourseBadge, Job, Person, Posting, Registration, Result
from lti_tool.services import award_acts, drift, earned, editions, sync, work
from lti_tool.services.access import course_service
from lti_tool.services.marking import OPEN, known_score, score_of
from lti_tool.services.tool import Tool, log
from lti_tool.services.work import Say

AT_ONCE = 50  # cells stored in one transaction
READING_COUNTS = timedelta(minutes=1)  # for which a column that was read is posted into; then it is read again
LOST_IN_A_ROW = 2  # scores without an answer, after which the LMS is left alone for a while
# Refusals of everything that goes into a course: tried again until somebody has let the tool in.
OF_THE_COURSE = ("scope_missing", "access_refused", "token_refused", "key_switched_off", "tool_not_in_course")
# Refusals that a change in the LMS can end: they are tried again by themselves, with growing pauses.
PASSING = (
    *("unpublished", "grade_locked", "not_a_student", "earlier_timestamp", "not_shown", "column_missing"),
    *OF_THE_COURSE,
)
FIRST_RETRY = timedelta(minutes=5)
LONGEST_RETRY = timedelta(hours=12)
MOST_RETRIES = 12  # of one cell that is refused by itself
FAILED_RESTS = timedelta(minutes=10)  # after which a job that gave up is due again, while something is on its way

Key = tuple[str, str, str]  # course badge, person, tag


@dataclass(frozen=True)
class Wanted:
    """One cell that is due: `revision` is what of it is wanted, `was_sent` that a score may have arrived."""

    key: Key
    revision: int
    cell: Cell


@dataclass(frozen=True)
class Batch:
    """The cells of one column; its address is empty where the column is gone."""

    course_id: int
    column_id: int
    url: str
    wanted: tuple[Wanted, ...]


@dataclass
class Outcome:
    """How a cell ended: columns of its row to set, or nothing where it stays on its way."""

    wanted: Wanted
    values: dict[str, Any] = field(default_factory=dict)


def run_post(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Bring every mark of a course that is due into the gradebook, then work out levels and awards from it.

    One cell's trouble does not hold up the others. Raises ServiceError at the end where something was not answered:
    the job is done again, and begins with reading."""
    course = int(course_id)
    counts: Counter[str] = Counter()
    tried: set[tuple[Key, int]] = set()
    trouble: ServiceError | None = None
    while trouble is None:
        batches = _due(tool, course, tried, datetime.now(UTC))
        for place, batch in enumerate(batches):
            tried.update((wanted.key, wanted.revision) for wanted in batch.wanted)
            try:
                service = replace(course_service(tool, course)[0], after_page=lambda: say(""))
                trouble = _post_batch(tool, service, batch, counts, say) or trouble
                if isinstance(trouble, ServiceBusy):  # it is asked nothing more, for the other columns neither
                    _give_up(tool, batches[place + 1 :], trouble)
                    break
            except ColumnMissing as error:
                _give_up(tool, [batch], error)
            except ServiceError as error:
                trouble = error
                _give_up(tool, batches[place:], error)
                break
        more = _evaluate(tool, course, counts)
        if not batches and not more:
            break
    _note(tool, course, trouble, counts)
    if trouble is not None:
        raise trouble
    return dict(counts)


def _note(tool: Tool, course_id: int, trouble: ServiceError | None, counts: Mapping[str, int]) -> None:
    """Keep what the LMS told of the course while it was written to."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        drift.note_postings(session, course_id, now)
        if trouble is not None:
            drift.note_error(session, course, trouble, now, posting=True)
        elif counts["posted"]:
            drift.note_posted(session, course_id, now)


# -- what is due ------------------------------------------------------------------------------------------------


def _due(tool: Tool, course_id: int, tried: set[tuple[Key, int]], now: datetime) -> list[Batch]:
    """Return what is on its way in a course, by column, but for what this run has tried already.

    Whatever starts the run, all that the course has refused goes with it: it is let in with the rest, or waits with
    it for one next attempt."""
    again = (Posting.state == "refused") & ((Posting.retry_at <= now) | Posting.reason.in_(OF_THE_COURSE))
    query = (
        select(Posting, Column, Person.sub)
        .join(CourseBadge, CourseBadge.id == Posting.course_badge_id)
        .join(Person, Person.id == Posting.person_id)
        .outerjoin(Column, (Column.course_badge_id == Posting.course_badge_id) & (Column.tag == Posting.tag))
        .where(CourseBadge.course_id == course_id, Posting.state.in_(OPEN) | again, _wanted())
        # What was sent before comes last: of that, the LMS may choke on some, which would hold up the others.
        .order_by(Posting.course_badge_id, Posting.tag, Posting.sent_at.nulls_first(), Posting.person_id)
    )
    grouped: dict[tuple[int, str], list[Wanted]] = {}
    with tool.db.read() as session:
        for posting, column, sub in session.execute(query):
            key = (posting.course_badge_id, posting.person_id, posting.tag)
            if (key, posting.revision) in tried:
                continue
            gone = column is None or column.state != "bound"
            place = (column.id if column is not None else 0, "" if gone else column.url)
            grouped.setdefault(place, []).append(Wanted(key, posting.revision, _cell(posting, sub)))
    return [Batch(course_id, column_id, url, tuple(wanted)) for (column_id, url), wanted in grouped.items()]


def _wanted() -> ColumnElement[bool]:
    """Who has earned a badge is written only while the course wants it."""
    return (Posting.tag != EARNED) | CourseBadge.writes_earned


def _cell(posting: Posting, sub: str) -> Cell:
    return Cell(
        user_id=sub,
        score=score_of(posting.points, posting.maximum),
        comment=posting.comment,
        sent=known_score(posting.sent_points, posting.maximum),
        sent_comment=posting.sent_comment,
        sent_at=posting.sent_at,
        posted=known_score(posting.posted_points, posting.maximum),
        posted_comment=posting.posted_comment,
        over=posting.over,
    )


# -- one column -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a column holds for those whose cells are due, and when it was read. A column of thousands costs pages."""

    at: datetime
    cells: Mapping[str, Found]


def _see(tool: Tool, service: Service, batch: Batch, cells: Sequence[Wanted]) -> Seen:
    at = datetime.now(UTC)
    seen = Seen(at, rubric.read_cells(service, batch.url, [wanted.cell.user_id for wanted in cells]))
    _keep_results(tool, batch, seen.cells, at)
    return seen


def _post_batch(tool: Tool, service: Service, batch: Batch, counts: Counter[str], say: Say) -> ServiceError | None:
    """Read, post what is to be posted, and read back. Returns the trouble with those that stay on their way.

    What is read back is what the rest is compared with, where posting took longer than a reading counts."""
    if not batch.url:
        _settle(tool, [_refused(wanted, "column_missing") for wanted in batch.wanted], counts)
        return None
    trouble: ServiceError | None = None
    rest: Sequence[Wanted] = batch.wanted
    seen = _see(tool, service, batch, rest)
    while to_post := _to_post(tool, rest, seen, counts):
        seen, rest, met = _send(tool, service, batch, to_post, seen, counts, say)
        trouble = met or trouble
    return trouble


def _to_post(tool: Tool, cells: Sequence[Wanted], seen: Seen, counts: Counter[str]) -> list[Wanted]:
    """Return the cells that are to be posted; settle those that are there, or that a person is asked about."""
    to_post = []
    outcomes = []
    for wanted in cells:
        found = seen.cells[wanted.cell.user_id]
        act = rubric.decide(wanted.cell, found)
        if act == "post":
            to_post.append(wanted)
        elif act == "there":
            outcomes.append(_posted(wanted, found, now=seen.at))
        elif act == "ask":
            outcomes.append(_other(wanted, found))
        else:
            outcomes.append(_refused(wanted, "unreadable"))
    _settle(tool, outcomes, counts)
    return to_post


def _send(
    tool: Tool,
    service: Service,
    batch: Batch,
    to_post: Sequence[Wanted],
    before: Seen,
    counts: Counter[str],
    say: Say,
) -> tuple[Seen, Sequence[Wanted], ServiceError | None]:
    """Post these cells while their reading counts, and read back what became of them.

    Returns the new reading, the cells whose turn has not come, and the trouble with those that stay on their way.
    Raises what concerns the whole course. Where the LMS asks for a pause it is not even asked what has arrived: the
    next attempt begins with that."""
    outcomes: list[Outcome] = []
    answered: list[Wanted] = []
    unanswered: list[Wanted] = []
    trouble: ServiceError | None = None
    rest: Sequence[Wanted] = ()
    lost = 0
    for place, wanted in enumerate(to_post):
        now = datetime.now(UTC)
        if place and now - before.at > READING_COUNTS:
            rest = to_post[place:]
            break
        say("")
        timestamp = rubric.score_time(service, wanted.cell, before.cells[wanted.cell.user_id], now)
        if not _note_sending(tool, wanted, timestamp):
            continue
        try:
            rubric.post_cell(service, batch.url, wanted.cell, timestamp)
        except ScoreRefused as error:
            refused = _refused(wanted, error.reason)
            outcomes.append(Outcome(wanted, {**refused.values, "sent_points": None}))  # it has not arrived
            lost = 0
        except ServiceError as error:
            if error.lasting:  # of the course or of the registration: nothing more goes there, what went is read back
                trouble = error
                break
            if isinstance(error, ServiceBusy):
                _settle(tool, outcomes, counts)
                return before, (), error
            trouble, lost = error, lost + 1
            unanswered.append(wanted)
            if lost >= LOST_IN_A_ROW:
                break
        else:
            lost = 0
            answered.append(wanted)
    _settle(tool, outcomes, counts)
    went = [*answered, *unanswered]
    if not went and not rest:
        if trouble is not None and trouble.lasting:
            raise trouble
        return before, rest, trouble
    seen = _see(tool, service, batch, [*went, *rest])
    still_lost = trouble is not None and trouble.lasting
    outcomes = []
    for wanted in went:
        found = seen.cells[wanted.cell.user_id]
        if isinstance(found.reading, Score) and same_score(found.reading, wanted.cell.score):
            outcomes.append(_posted(wanted, found, now=seen.at, sent=True))
        elif wanted in unanswered:
            still_lost = True  # it has not arrived, or not yet: the next attempt begins with reading
        elif wanted.cell.over is not None and found.record() == before.cells[wanted.cell.user_id].record():
            outcomes.append(_refused(wanted, "overridden", found=found.record()))
        elif not isinstance(found.reading, Score) and found.record() == before.cells[wanted.cell.user_id].record():
            outcomes.append(_refused(wanted, "not_shown"))
        else:
            outcomes.append(_other(wanted, found))
    _settle(tool, outcomes, counts)
    if trouble is not None and trouble.lasting:
        raise trouble
    return seen, rest, trouble if still_lost else None


# -- how cells end ----------------------------------------------------------------------------------------------


def _posted(wanted: Wanted, found: Found, *, now: datetime, sent: bool = False) -> Outcome:
    """It is there. What somebody else had entered, and happens to be the same, does not become ours."""
    cell = wanted.cell
    values: dict[str, Any] = {"state": "posted", "posted_at": now, "found": None, "over": None, "reason": None}
    if sent:
        values |= {"posted_points": number_text(cell.score.points), "posted_comment": cell.comment}
    elif rubric.came_from_here(cell, found):
        arrived = cell.sent is not None and same_score(cell.score, cell.sent)
        comment = cell.sent_comment if arrived else cell.posted_comment
        values |= {"posted_points": number_text(cell.score.points), "posted_comment": comment}
    return Outcome(wanted, {**values, "retry_at": None, "tries": 0})


def _other(wanted: Wanted, found: Found) -> Outcome:
    return Outcome(
        wanted, {"state": "conflict", "found": found.record(), "over": None, "reason": None, "retry_at": None}
    )


def _refused(wanted: Wanted, reason: str, found: dict[str, Any] | None = None) -> Outcome:
    return Outcome(wanted, {"state": "refused", "reason": reason, "found": found})


def _note_sending(tool: Tool, wanted: Wanted, timestamp: datetime) -> bool:
    """Write down what is about to go out. What has been marked anew meanwhile does not, and waits for its next turn."""
    with tool.db.write() as session:
        taken = session.execute(
            _row(wanted)
            .values(state="sent", sent_points=Posting.points, sent_comment=Posting.comment, sent_at=timestamp)
            .returning(Posting.tag)
        ).one_or_none()
    return taken is not None


def _row(wanted: Wanted) -> Any:
    badge_id, person_id, tag = wanted.key
    return update(Posting).where(
        Posting.course_badge_id == badge_id,
        Posting.person_id == person_id,
        Posting.tag == tag,
        Posting.revision == wanted.revision,
    )


def _settle(tool: Tool, outcomes: Sequence[Outcome], counts: Counter[str]) -> None:
    """Store how cells ended. Of one that was marked anew meanwhile, only what has arrived is kept."""
    now = datetime.now(UTC)
    for start in range(0, len(outcomes), AT_ONCE):
        with tool.db.write() as session:
            for outcome in outcomes[start : start + AT_ONCE]:
                _settle_one(session, outcome, counts, now)


def _settle_one(session: Session, outcome: Outcome, counts: Counter[str], now: datetime) -> None:
    badge_id, person_id, tag = outcome.wanted.key
    posting = session.get(Posting, (badge_id, person_id, tag), with_for_update=True, populate_existing=True)
    if posting is None:
        return
    anew = posting.revision != outcome.wanted.revision
    shut_out = posting.reason in OF_THE_COURSE
    for name, value in outcome.values.items():
        if not anew or name.startswith("posted_"):
            setattr(posting, name, value)
    if anew:
        return
    counts[posting.state] += 1
    if posting.state == "refused":
        posting.tries = 1 if shut_out else posting.tries + 1  # the course was: that says nothing of this cell
        posting.retry_at = _retry_at(posting, now)


def _retry_at(posting: Posting, now: datetime) -> datetime | None:
    lasts = posting.tries > MOST_RETRIES and posting.reason not in OF_THE_COURSE
    if posting.reason not in PASSING or lasts:
        return None
    return now + min(FIRST_RETRY * 2 ** (min(posting.tries, MOST_RETRIES) - 1), LONGEST_RETRY)


def _give_up(tool: Tool, batches: Sequence[Batch], error: ServiceError) -> None:
    """Say at the cells why nothing came of them. Trouble that may pass leaves them on their way."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        for wanted in [wanted for batch in batches for wanted in batch.wanted]:
            posting = session.get(Posting, wanted.key, with_for_update=True, populate_existing=True)
            if posting is None or posting.revision != wanted.revision or posting.state not in (*OPEN, "refused"):
                continue
            posting.reason = error.reason
            if error.lasting:
                posting.state, posting.tries = "refused", posting.tries + 1
                posting.retry_at = _retry_at(posting, now)


def _keep_results(tool: Tool, batch: Batch, there: Mapping[str, Found], at: datetime) -> None:
    """Keep what was read, as received, unless a sync has read it since: the column is the record that is evaluated."""

    def keep() -> None:
        with tool.db.write() as session:
            session.get_one(Course, batch.course_id, with_for_update={"key_share": True})  # a sync stores whole columns
            read_at = session.get_one(Column, batch.column_id, populate_existing=True).read_at
            # Stored after a reading that began after ours, it is the newer: the next reading looks whether it is so.
            stored = at if read_at is None or read_at < at else read_at + timedelta(microseconds=1)
            query = select(Result).where(Result.column_id == batch.column_id, among(Result.user_sub, there))
            known = {row.user_sub: row for row in session.scalars(query)}
            for user_sub, found in there.items():
                row = known.get(user_sub)
                if row is None and found.raw is not None:
                    session.add(Result(column_id=batch.column_id, user_sub=user_sub, raw=found.raw, received_at=stored))
                elif row is not None and row.raw != found.raw and row.received_at < at:
                    row.raw, row.received_at = found.raw, stored

    if batch.wanted[0].key[2] != EARNED:  # nothing is read from that one
        repeat_collided(keep)


def _evaluate(tool: Tool, course_id: int, counts: Counter[str]) -> int:
    """Work out levels and awards at once: whoever marks sees them without waiting for the schedule.

    Returns how many cells more are due by that."""
    done: dict[str, Any] = {}
    failed = sync.evaluate_badges(tool, course_id, datetime.now(UTC), done)
    if failed:
        log.error("course=%s badges %s could not be evaluated after marking", course_id, failed)
    done["released"] = award_acts.release_due(tool, datetime.now(UTC), course_id)
    done["signed"] = editions.sign_pending(tool, course_id)
    counts.update({name: count for name, count in done.items() if isinstance(count, int)})
    return len(earned.wish(tool, datetime.now(UTC), course_id))


# -- work whose message was lost --------------------------------------------------------------------------------


def courses_due(tool: Tool, now: datetime) -> list[int]:
    """Return the courses in which something is on its way, or to be tried again, and no job is open for it.

    A job that gave up rests for a while: the LMS did not answer it five times."""
    with tool.db.read() as session:
        return list(_courses_due(session, now))


def _courses_due(session: Session, now: datetime, course_id: int | None = None) -> Iterator[int]:
    again = (Posting.state == "refused") & (Posting.retry_at <= now)
    open_jobs = select(Job.subject).where(Job.kind == "post", Job.state.in_(("due", "running")))
    rests = select(Job.subject).where(Job.kind == "post", Job.state == "failed", Job.finished_at > now - FAILED_RESTS)
    query = (
        select(Course.id)
        .join(CourseBadge, CourseBadge.course_id == Course.id)
        .join(Posting, Posting.course_badge_id == CourseBadge.id)
        .join(Registration, Registration.id == Course.registration_id)
        .where(Posting.state.in_(OPEN) | again, Registration.status == "active", _wanted())
        .where(cast(Course.id, String).not_in(open_jobs), cast(Course.id, String).not_in(rests))
        .distinct()
    )
    if course_id is not None:
        query = query.where(Course.id == course_id)
    yield from session.scalars(query)


def nudge(tool: Tool, course_id: int, now: datetime) -> None:
    """Start the job of a course where something is on its way and none is open: it ended while a mark was stored."""
    with tool.db.read() as session:
        due = list(_courses_due(session, now, course_id))
    if due:
        work.start(tool, "post", str(course_id))
