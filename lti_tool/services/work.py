"""Jobs: the database says what is due, the queue only says "look now". Each step can be repeated.

A worker that looks takes the best job there is: what somebody waits for, then platforms in turn, then the oldest. Every
third time it takes first what is late, so that neither can keep the other back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from lti_tool.db import random_id, repeat_collided
from lti_tool.errors import Busy, DiskFull, JobLost, NotFound, ServiceBusy, ServiceError, ToolError
from lti_tool.logs import of_request, request_id
from lti_tool.models import Job, PlatformLoad
from lti_tool.sentence import Sentence, kept
from lti_tool.services import audit, platform_load
from lti_tool.services.platform_load import Tally
from lti_tool.services.tool import Tool, log

LEASE = timedelta(minutes=5)  # renewed with every progress line; a dead worker loses its job after it
ALIVE_EVERY = 30.0  # seconds between two renewals by a long reading that has nothing new to tell
TOLD_EVERY = 0.25  # seconds between two progress lines that are written down: nobody reads faster
MOST_ATTEMPTS = 5
FIRST_PAUSE = 10.0  # seconds; doubled with every attempt, with jitter
SCHEDULED, AT_ITS_MOMENT, WAITED_FOR = 0, 1, 2  # priorities: somebody waits for most that is not on the schedule
LATE = timedelta(minutes=5)  # over its time; what has its moment is late as soon as that has come
TURN_OF_THE_LATE = 3  # each such turn of a process's workers
ONE_AT_A_TIME = 0x6C746977  # any number: the lock under which PostgreSQL's workers choose their jobs

Say = Callable[[str], None]
Runner = Callable[[Tool, str, Say], dict[str, Any]]


class _Claimed(NamedTuple):
    """A job that is ours to do. `request_id`: of the request that asked for it."""

    id: int
    kind: str
    subject: str
    attempt: int
    platform: int | None
    request_id: str


def request(
    tool: Tool, kind: str, subject: str, now: datetime, *, again: bool = False, priority: int = WAITED_FOR
) -> int:
    """Make a job due, or return the one that is due or running already. The caller wakes the queue.

    One that waits after a failure is due at once, unless the LMS itself named the time (F04). `again`: see
    `request_in`."""

    def ask() -> int:
        with tool.db.write() as session:
            return request_in(session, kind, subject, now, again=again, priority=priority)

    try:
        return ask()
    except IntegrityError:  # somebody else has just made the same job due
        return ask()


def request_in(
    session: Session, kind: str, subject: str, now: datetime, *, again: bool = False, priority: int = WAITED_FOR
) -> int:
    """Do as `request` in a transaction of the caller's, so that what it marks and the job are there both or neither.

    `again`: a job that is running may have looked already, so it is due once more when it ends. Raises IntegrityError
    where somebody else has just made the same job due: the whole transaction is done again."""
    job = open_job(session, kind, subject, lock=again)
    if job is None:
        platform = platform_load.platform_of_job(session, kind, subject)
        job = Job(
            kind=kind,
            subject=subject,
            registration_id=platform,
            priority=priority,
            not_before=now,
            created_at=now,
            request_id=request_id(),
        )
        if (pause := platform_load.asked_pause(session, platform, now)) is not None:
            job.not_before, job.problem, job.outcome = pause, ServiceBusy.sentence, _told(ServiceBusy(), must_wait=True)
        session.add(job)
        session.flush()
    elif job.state == "due" and not job.outcome.get("must_wait"):
        job.not_before = min(job.not_before, now)
        job.priority = max(job.priority, priority)
    elif job.state == "running" and again:
        job.outcome = {**job.outcome, "again": True}
    return job.id


def _told(error: ToolError, *, must_wait: bool = False) -> dict[str, Any]:
    told = {"reason": error.reason, "what_to_do": kept(error.what_to_do), "error_id": random_id()[:8]}
    return {**told, "must_wait": must_wait}


def start(tool: Tool, kind: str, subject: str, *, again: bool = False) -> int:
    """Make a job due and tell the queue; returns the job's id."""
    job_id = request(tool, kind, subject, datetime.now(UTC), again=again)
    tool.wake(job_id)
    return job_id


def open_job(session: Session, kind: str, subject: str, *, lock: bool = False) -> Job | None:
    """Return the job of this kind and subject that is due or running, if there is one."""
    query = select(Job).where(Job.kind == kind, Job.subject == subject, Job.state.in_(("due", "running")))
    return session.scalar(query.with_for_update() if lock else query)


def open_jobs(tool: Tool, kind: str) -> set[int]:
    """Return the jobs of a kind that are due or running."""
    with tool.db.read() as session:
        return set(session.scalars(select(Job.id).where(Job.kind == kind, Job.state.in_(("due", "running")))))


def is_tried_again(session: Session, kind: str, subject: str, error: ToolError) -> bool:
    """Tell whether the job that is running will be tried again by itself after this error."""
    job = open_job(session, kind, subject)
    return job is not None and job.state == "running" and _may_help(error, job.attempts)


def _may_help(error: ToolError, attempt: int) -> bool:
    """Tell whether trying again may help after an attempt that ended so."""
    lasting = error.lasting if isinstance(error, ServiceError) else type(error) not in (ToolError, Busy, DiskFull)
    return not lasting and attempt < MOST_ATTEMPTS


def due(tool: Tool, now: datetime, limit: int = 100) -> list[int]:
    """Return the jobs a worker may take now, the best first: due ones, and running ones whose worker is gone."""
    with tool.db.read() as session:
        return list(session.scalars(_best(tool, session, now).limit(limit)))


def next_due(tool: Tool, now: datetime, within: timedelta) -> datetime | None:
    """Return when the next job that waits will be due, where that is within this time."""
    query = select(func.min(Job.not_before)).where(
        Job.state == "due", Job.not_before > now, Job.not_before < now + within
    )
    with tool.db.read() as session:
        return session.scalar(query)


def depth(tool: Tool, now: datetime) -> dict[str, int]:
    """Count the jobs there are: due now, waiting for their time, running and failed."""
    has_come = Job.not_before <= now
    parts: dict[str, ColumnElement[bool]] = {
        "due": (Job.state == "due") & has_come,
        "waiting": (Job.state == "due") & ~has_come,
    }
    parts |= {"running": Job.state == "running", "failed": lost()}
    query = select(*(func.count().filter(part).label(name) for name, part in parts.items())).select_from(Job)
    with tool.db.read() as session:
        return dict(session.execute(query).one()._mapping)


def lost() -> ColumnElement[bool]:
    """Return the condition on jobs that failed, and that no later one for the same thing has made good since."""
    later = aliased(Job)
    good = select(later.id).where(
        later.kind == Job.kind,
        later.subject == Job.subject,
        later.state == "done",
        later.finished_at > Job.finished_at,
    )
    return and_(Job.state == "failed", ~good.exists())


def _takeable(now: datetime) -> ColumnElement[bool]:
    """Return the condition on jobs whose time has come, and on running ones whose worker is gone."""
    abandoned = (Job.state == "running") & (Job.lease_until < now)
    return or_((Job.state == "due") & (Job.not_before <= now), abandoned)


def _best(tool: Tool, session: Session, now: datetime, *, late_first: bool = False) -> Select[Any]:
    """Return the query for jobs in the order workers take them, without those whose platform is to be left alone."""
    rank: ColumnElement[int] = Job.priority.expression
    if late_first:
        late = (Job.priority == SCHEDULED) & (Job.not_before < now - LATE)
        rank = case((Job.priority == AT_ITS_MOMENT, WAITED_FOR + 2), (late, WAITED_FOR + 1), else_=rank)
    under_way = platform_load.running(now)
    allowed = platform_load.limits(tool, session, now)
    return (
        select(Job.id)
        .outerjoin(PlatformLoad, PlatformLoad.registration_id == Job.registration_id)
        .outerjoin(under_way, under_way.c.registration_id == Job.registration_id)
        .where(and_(_takeable(now), platform_load.may_be_asked(under_way, allowed, now)))
        .order_by(
            rank.desc(),
            func.coalesce(under_way.c.jobs, 0),
            PlatformLoad.served_at.asc().nulls_first(),
            Job.not_before,
            Job.id,
        )
    )


def run_next(tool: Tool, runners: dict[str, Runner]) -> bool:
    """Take the best job there is and run it; return whether there was one."""
    claimed = _claim_best(tool)
    if claimed is None:
        return False
    _run(tool, claimed, runners)
    return True


def run(tool: Tool, job_id: int, runners: dict[str, Runner]) -> bool:
    """Run this very job, whatever else waits, unless another worker has it; return whether it was run here.

    A failure is kept with the job: tried again with growing pauses, parked as failed after MOST_ATTEMPTS or where
    trying again cannot help."""
    claimed = _claim(tool, job_id)
    if claimed is None:
        return False
    return _run(tool, claimed, runners)


def _run(tool: Tool, claimed: _Claimed, runners: dict[str, Runner]) -> bool:
    job_id, kind, attempt = claimed.id, claimed.kind, claimed.attempt
    with of_request(claimed.request_id or f"job-{job_id}"), platform_load.counting() as tally:
        if attempt > MOST_ATTEMPTS:  # no failure was kept: each worker that had it died of it, or with it
            log.error("job=%s kind=%s given up after %s workers were lost", job_id, kind, MOST_ATTEMPTS)
            _fail(tool, job_id, attempt, ToolError(reason="workers_lost"), tally)
            return False
        started = time.monotonic()
        say = _Teller(tool, job_id, attempt)
        try:
            outcome = runners[kind](tool, claimed.subject, say)
        except ToolError as error:
            log.warning(
                "job=%s kind=%s attempt=%s reason=%s detail=%s", job_id, kind, attempt, error.reason, error.detail
            )
            _fail(tool, job_id, attempt, error, tally, say.untold)
            _count(tool, claimed, error.reason, time.monotonic() - started, {})
        except Exception:
            log.exception("job=%s kind=%s attempt=%s crashed", job_id, kind, attempt)
            _fail(tool, job_id, attempt, ToolError(), tally, say.untold)
            _count(tool, claimed, "crashed", time.monotonic() - started, {})
        else:
            seconds = round(time.monotonic() - started, 3)
            _count(tool, claimed, "done", seconds, outcome)
            log.info("job=%s kind=%s done in %s s %s", job_id, kind, seconds, outcome)
            if _done(tool, job_id, attempt, outcome, tally, say.untold):
                tool.wake(job_id)
    return True


def _count(tool: Tool, claimed: _Claimed, result: str, seconds: float, outcome: dict[str, Any]) -> None:
    """Count an attempt that has ended, and add what this process has counted: a worker answers nobody who would."""
    tool.figures.count("jobs", kind=claimed.kind, result=result)
    if claimed.kind == "sync":
        tool.figures.count("syncs", platform=claimed.platform, result=result)
        if result == "done":
            tool.figures.observe("sync_seconds", seconds, platform=claimed.platform)
            tool.figures.count("results", by=outcome.get("read", 0), platform=claimed.platform)
    tool.figures.add_if_due()


def _done(
    tool: Tool, job_id: int, attempt: int, outcome: dict[str, Any], tally: Tally, untold: Sequence[Any] = ()
) -> bool:
    """End a job; one that was asked for again while it ran is due once more instead, and is to be woken."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        job = _still_ours(session, job_id, attempt)
        if job is None:
            return False
        again = bool(job.outcome.get("again"))
        job.outcome, job.problem, job.lease_until = outcome, None, None
        job.progress = [*job.progress, *untold]
        if again:
            job.state, job.attempts, job.not_before = "due", 0, now
        else:
            job.state, job.finished_at = "done", now
        platform_load.note(session, job.registration_id, tally, None, now)
        return again


def _still_ours(session: Session, job_id: int, attempt: int) -> Job | None:
    """Return the job unless another worker has taken it over in the meantime: then what we say of it counts no more."""
    job = session.get_one(Job, job_id, with_for_update=True)
    return job if job.state == "running" and job.attempts == attempt else None


def _claim(tool: Tool, job_id: int) -> _Claimed | None:
    now = datetime.now(UTC)
    with tool.db.write() as session:
        return _take(session, Job.id == job_id, now)


def _claim_best(tool: Tool) -> _Claimed | None:
    """Take the best job. Workers choose one after another, so that none sees a platform's share as it was before."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        if not tool.db.is_sqlite:  # which has one writer anyway
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        late_first = next(tool.turns) % TURN_OF_THE_LATE == 0
        best = _best(tool, session, now, late_first=late_first).limit(1).with_for_update(of=Job, skip_locked=True)
        return _take(session, Job.id == best.scalar_subquery(), now)


def _take(session: Session, which: ColumnElement[bool], now: datetime) -> _Claimed | None:
    taken = session.execute(
        update(Job)
        .where(which, _takeable(now))
        .values(state="running", lease_until=now + LEASE, attempts=Job.attempts + 1, progress=[])
        .returning(Job.id, Job.kind, Job.subject, Job.attempts, Job.registration_id, Job.request_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if taken is None:
        return None
    if taken.registration_id is not None:
        platform_load.served(session, taken.registration_id, now)
    return _Claimed(*taken)


class _Teller:
    """What a runner tells its progress with. An empty line only says that it is alive, now and then.

    What it tells in quick succession is written down together; `untold` waits for the next line, or the job's end."""

    def __init__(self, tool: Tool, job_id: int, attempt: int) -> None:
        self._tool, self._job_id, self._attempt = tool, job_id, attempt
        self._told = float("-inf")
        self.untold: list[Any] = []

    def __call__(self, line: str) -> None:
        if line:
            self.untold.append(kept(line))
        if time.monotonic() - self._told > (TOLD_EVERY if line else ALIVE_EVERY):
            _say(self._tool, self._job_id, self._attempt, self.untold)
            self.untold, self._told = [], time.monotonic()


def _say(tool: Tool, job_id: int, attempt: int, lines: list[Any]) -> None:
    with tool.db.write() as session:
        job = _still_ours(session, job_id, attempt)
        if job is None:
            raise JobLost(f"job {job_id}, attempt {attempt}")
        job.progress = [*job.progress, *lines]
        job.lease_until = datetime.now(UTC) + LEASE


def _fail(tool: Tool, job_id: int, attempt: int, error: ToolError, tally: Tally, untold: Sequence[Any] = ()) -> None:
    now = datetime.now(UTC)
    with tool.db.write() as session:
        job = _still_ours(session, job_id, attempt)
        if job is None:
            return
        job.problem = error.sentence
        job.outcome = _told(error)
        job.progress = [*job.progress, *untold]
        job.lease_until = None
        platform_load.note(session, job.registration_id, tally, error, now)
        if _may_help(error, attempt):
            pause = FIRST_PAUSE * 2 ** (attempt - 1) * random.SystemRandom().uniform(0.75, 1.25)
            named = min(getattr(error, "retry_after", None) or 0.0, platform_load.LONGEST_ASKED.total_seconds())
            pause = max(pause, named)
            job.outcome = {**job.outcome, "must_wait": named > 0}
            job.state, job.not_before = "due", now + timedelta(seconds=pause)
        else:
            job.state, job.finished_at = "failed", now


def listing(tool: Tool, *, all_states: bool = False) -> list[dict[str, Any]]:
    """Return jobs for `jobs list`, newest first: what failed or waits for another attempt, or everything."""
    query = select(Job).order_by(Job.id.desc()).limit(500)
    if not all_states:
        query = query.where(or_(lost(), (Job.state == "due") & (Job.attempts > 0)))
    with tool.db.read() as session:
        return [
            {
                "id": job.id,
                "kind": job.kind,
                "subject": job.subject,
                "state": job.state,
                "attempts": job.attempts,
                "problem": job.problem,
                "reason": job.outcome.get("reason"),
                "created_at": job.created_at.isoformat(),
                "next": job.not_before.isoformat() if job.state == "due" else None,
            }
            for job in session.scalars(query)
        ]


def retry(tool: Tool, job_id: int, now: datetime, *, actor: str = audit.OPERATOR) -> int:
    """Make a failed job due again, with its attempts counted from the start; raises NotFound."""
    return repeat_collided(lambda: _retry(tool, job_id, now, actor))


def _retry(tool: Tool, job_id: int, now: datetime, actor: str) -> int:
    with tool.db.write() as session:
        job = session.get(Job, job_id)
        if job is None:
            raise NotFound(
                sentence=Sentence("There is no job %(job_id)s.", job_id=job_id),
                what_to_do=Sentence("See lti-tool jobs list --all."),
            )
        if job.state in ("failed", "due"):
            other = open_job(session, job.kind, job.subject)
            if other is not None and other.id != job.id:
                return other.id
            job.state, job.attempts, job.not_before, job.finished_at = "due", 0, now, None
            audit.record(session, now, actor, "job.retried", f"job:{job.id}", kind=job.kind)
        return job.id


def wait(tool: Tool, job_id: int, runners: dict[str, Runner], seconds: float = 600.0) -> Job:
    """Run a job here, or wait until the worker that has it is done; returns the job as it ended."""
    until = time.monotonic() + seconds
    while True:
        run(tool, job_id, runners)
        with tool.db.read() as session:
            job = session.get_one(Job, job_id)
        if job.state != "running" or time.monotonic() > until:
            return job
        time.sleep(0.2)
