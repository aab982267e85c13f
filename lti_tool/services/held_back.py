"""Credentials that did not pass their check before release: kept as failed jobs, so that an administrator sees them.

One job of kind `sign` for each award, as long as its credential waits. The sweep tries again every minute, the button
beside it at once; when it is signed, the job is done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.errors import CredentialHeldBack
from lti_tool.models import Award, Job
from lti_tool.sentence import Sentence
from lti_tool.services.tool import Tool

KIND = "sign"
OPEN = ("due", "running", "failed")
WHAT_TO_DO = Sentence(
    "Look at what the reason names: the badge's definition, the issuer's details, or what was given with the award. "
    "Put it right and try again; the award waits and loses nothing."
)
WAITS = Sentence(
    "Earned, and waits: its credential did not pass the check before release. Your administrator sees why."
)


def problem(error: CredentialHeldBack) -> Sentence:
    """Say for an administrator why a credential is held back."""
    return Sentence(
        "Its credential did not pass the check before release, so it was not issued (%(detail)s).",
        detail=error.detail[:300] or error.reason,
    )


def note(tool: Tool, errors: Mapping[str, CredentialHeldBack], now: datetime) -> None:
    """Keep what holds back the credential of each award, by the award's id; one kept already is not repeated."""
    if not errors:
        return
    with tool.db.write() as session:
        # The awards' rows are the lock: two sweeps at once keep one job each.
        order = select(Award.id).where(Award.id.in_(errors)).order_by(Award.id).with_for_update(key_share=True)
        for award_id in session.scalars(order).all():
            error = errors[award_id]
            told = {"reason": error.reason, "what_to_do": WHAT_TO_DO.kept()}
            job = session.scalar(_open_jobs().where(Job.subject == award_id).limit(1))
            if job is None:
                job = Job(kind=KIND, subject=award_id, state="failed", attempts=1, not_before=now, created_at=now)
                job.finished_at = now
                session.add(job)
            if job.problem != problem(error):
                job.problem, job.outcome = problem(error), told


def still(session: Session, award_id: str) -> CredentialHeldBack:
    """Return why an award's credential is held back, as it was noted."""
    job = session.scalar(_open_jobs().where(Job.subject == award_id).limit(1))
    told = job.problem if job is not None and job.problem else None
    return CredentialHeldBack(f"award {award_id}", sentence=told, what_to_do=WHAT_TO_DO)


def settle(tool: Tool, now: datetime) -> None:
    """End the jobs of awards that wait for no signature any more."""
    with tool.db.read() as session:
        kept = list(session.scalars(_open_jobs().where(Job.state == "failed")))
        if not kept:
            return
        waiting = _pending(session, [job.subject for job in kept])
    done = [job.id for job in kept if job.subject not in waiting]
    if not done:
        return
    with tool.db.write() as session:
        for job in session.scalars(_open_jobs().where(Job.id.in_(done), Job.state == "failed").with_for_update()):
            job.state, job.finished_at, job.problem, job.outcome = "done", now, None, {}


def of_awards(session: Session, course_badge_id: str) -> frozenset[str]:
    """Return the ids of a course badge's awards whose credentials are held back."""
    query = select(Job.subject).join(Award, Award.id == Job.subject)
    query = query.where(Job.kind == KIND, Job.state.in_(OPEN), Award.course_badge_id == course_badge_id)
    return frozenset(session.scalars(query.where(Award.status == "pending")))


def _open_jobs() -> Select[Job]:
    return select(Job).where(Job.kind == KIND, Job.state.in_(OPEN)).order_by(Job.id)


def _pending(session: Session, award_ids: list[str]) -> set[str]:
    return set(session.scalars(select(Award.id).where(Award.id.in_(award_ids), Award.status == "pending")))
