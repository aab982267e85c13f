"""What a fault left: in the database, in the requests the LMS saw, and in what the pages say."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from lti_tool.jobs import RUNNERS
from lti_tool.models import Column, Course, Job, PlatformLoad, Registration, Result
from lti_tool.services import work
from tests.classroom import Classroom
from tests.scene import now

AGAIN = "Nothing was lost: what was known before still counts. The tool tries again by itself, next at"


def text_of(page: str) -> str:
    """Return what a page says, without its marks."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page)))


def home(room: Classroom) -> str:
    """Return what the instructor's first page says."""
    answer = room.page.get("")
    assert answer.status_code == 200
    return text_of(answer.text)


def course_row(room: Classroom) -> Course:
    with room.tool.db.read() as session:
        return session.get_one(Course, room.id)


def registration_row(room: Classroom) -> Registration:
    with room.tool.db.read() as session:
        return session.get_one(Registration, course_row(room).registration_id)


def results_of(room: Classroom) -> dict[tuple[int, str], str | None]:
    with room.tool.db.read() as session:
        ids = list(session.scalars(select(Column.id).where(Column.course_badge_id == room.course_badge(session).id)))
        return {
            (row.column_id, row.user_sub): row.raw
            for row in session.scalars(select(Result).where(Result.column_id.in_(ids)))
        }


def asked(room: Classroom, service: str) -> list[Any]:
    """Return the requests that the LMS got for one of its services since the last look."""
    return [each for each in room.lms.requests if each.service == service]


def job_row(room: Classroom, job_id: int) -> Job:
    with room.tool.db.read() as session:
        return session.get_one(Job, job_id)


def pause_of(job: Job, since: Any) -> float:
    """Return the seconds a job that failed has to wait, counted from a moment before it ran."""
    assert job.state == "due", (job.state, job.problem)
    seconds: float = (job.not_before - since).total_seconds()
    return seconds


def time_is_up(room: Classroom, job_id: int) -> None:
    """Let a pause be over, the job's and the platform's."""
    with room.tool.db.write() as session:
        session.execute(delete(PlatformLoad))
        session.get_one(Job, job_id).not_before = now() - timedelta(seconds=1)


def started_anew(room: Classroom, job_id: int) -> None:
    """Let a job be as if it had not been tried: the next fault is not its fifth."""
    with room.tool.db.write() as session:
        job = session.get_one(Job, job_id)
        job.attempts, job.not_before, job.outcome, job.problem = 0, now(), {}, None


def ran(room: Classroom, job_id: int) -> bool:
    """Let a worker look at a job; tells whether it ran it."""
    return work.run(room.tool, job_id, RUNNERS)


def failed_for_now(room: Classroom, job: Job, reason: str, sentence: str) -> None:
    """Check what every passing failure leaves: a job that waits, a page that says so, and old data as it was."""
    assert (job.state, job.outcome["reason"], job.finished_at) == ("due", reason, None)
    assert job.not_before > now()
    said = home(room)
    assert f"{sentence} {AGAIN}" in said
    assert ("Last synced" in said) == (course_row(room).synced_at is not None)
    assert course_row(room).state == "ok"
