"""The rubric marked in the tool: posted through AGS, read back, never over a teacher's grade, never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from lti_tool.db import Database
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.jobs import RUNNERS
from lti_tool.models import AuditEvent, Column, CourseBadge, Job, Mark, Mastery, Posting, Result, Review
from lti_tool.services import audit, marking, posting, sync, work
from lti_tool.services.marking import Wish
from tests.classroom import Classroom, at_once, badge, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now

MOODS = ("canvas", "moodle")


def rubric_badge(rows=2, **changes):
    return badge(sub_competencies=tuple(row(code, source="rubric") for code in "ABCDEFGH"[:rows]), **changes)


@pytest.fixture
def desk(make_room):  # noqa: F811
    """Make a course with a published badge of two rows that are marked in the tool."""

    def make(mood="moodle", rows=2, students=2, **changes) -> Classroom:
        made = make_room(mood=mood, students=students)
        assert made.publish(rubric_badge(rows, **changes)).state == "done"
        made.sync()
        return made

    return make


def mark(room, student, code, level, comment="", revision=0, actor=None, when=None):  # noqa: F811
    """Store one mark as a page does, without anything being posted yet."""
    return marking.save(
        room.tool,
        room.id,
        room.badge.slug,
        room.person_id(student),
        [Wish(f"sub-competency:{code}", level, comment, revision)],
        actor=actor or audit.person(room.person_id(room.teacher)),
        now=when or now(),
    )


def post(room):  # noqa: F811
    """Run the course's job, now, whatever pause it may be in."""
    job_id = work.request(room.tool, "post", str(room.id), now())
    with room.tool.db.write() as session:
        session.get_one(Job, job_id).not_before = now()
    return work.wait(room.tool, job_id, RUNNERS)


def cell(room, student, code):  # noqa: F811
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        tag = code if code == "total" else f"sub-competency:{code}"
        return session.get(Posting, (badge_id, room.person_id(student), tag))


def score(room, student, code):  # noqa: F811
    return room.lms.score_of(room.course, room.column(code), student)


def posts(room):  # noqa: F811
    """The scores the LMS was sent, since the tests of this file began."""
    return [each for each in room.lms.requests if each.service == "scores"]


# -- the whole way


@pytest.mark.parametrize("mood", MOODS)
def test_marks_reach_the_gradebook_are_read_back_and_earn_the_badge_at_once(desk, mood):
    room = desk(mood)
    ana, ben = room.students
    for code in "AB":
        mark(room, ana, code, 2, "Well done.")
    mark(room, ben, "A", 0)
    job = post(room)
    assert (job.state, job.outcome["posted"]) == ("done", 3)
    assert [score(room, ana, code) for code in "AB"] == [3, 3] and score(room, ben, "A") == 1
    assert room.lms.grade_of(room.course, room.column("A"), ana).comment == "Well done."
    assert cell(room, ana, "A").state == "posted" and cell(room, ana, "A").posted_points == "3"
    assert room.award(ana)["status"] == "issued"  # no sync was needed
    assert room.awards(ben) == []


def test_page_smoke(desk):
    room = desk()
    ana, ben = room.students
    page = room.page.get(f"badges/{room.badge.slug}/marking/")
    assert page.status_code == 200 and "0 of 2 learners" in page.text
    page = room.page.get(f"badges/{room.badge.slug}/marking/{room.person_id(ana)}")
    assert page.status_code == 200, page.text[:3000]
    open("/tmp/p.html", "w").write(page.text)
