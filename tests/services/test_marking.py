"""The rubric marked in the tool: posted through AGS, read back, never over a teacher's grade, never lost."""

from __future__ import annotations

import json
import re
import socket
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Response, request
from sqlalchemy import select

from lti_tool.demo import faults
from lti_tool.domain.badge import Level
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.jobs import RUNNERS
from lti_tool.lti.ags import create_line_item
from lti_tool.models import AuditEvent, Award, Column, Course, Job, Mark, Mastery, Posting, Result, Review
from lti_tool.services import audit, catalog, marking, posting, sync, work
from lti_tool.services.access import course_service
from lti_tool.services.marking import Wish
from tests.classroom import Classroom, at_once, badge, make_room, replace, row, shared  # noqa: F401 (fixtures)
from tests.scene import now

MOODS = ("canvas", "moodle")
CANVAS_EXTENSION = "https://canvas.instructure.com/lti/submission"


def rubric_badge(rows=2, **changes):
    changes.setdefault("sub_competencies", tuple(row(code, source="rubric") for code in "ABCDEFGH"[:rows]))
    return badge(**changes)


@pytest.fixture
def desk(make_room):  # noqa: F811
    """Make a course with a published badge of two rows that are marked in the tool."""

    def make(mood="moodle", rows=2, students=2, **changes) -> Classroom:
        room = make_room(mood=mood, students=students)
        assert room.publish(rubric_badge(rows, **changes)).state == "done"
        room.sync()
        return room

    return make


@pytest.fixture
def without_columns(make_room):  # noqa: F811
    """Make a course whose badge has one column for its total, or none: put in force by hand."""

    def make(columns, mood="moodle", students=2) -> Classroom:
        room = make_room(mood=mood, students=students)
        room.sync()
        room.put(rubric_badge(columns=columns))
        made = None
        if columns == "total":
            service, url = course_service(room.tool, room.id)
            made = create_line_item(
                service, url, label="All of it", maximum=8, resource_id=room.badge.resource_id, tag="total"
            )
        with room.tool.db.write() as session:
            course_badge = room.course_badge(session)
            catalog.freeze_version(session, course_badge, room.badge, b"", now())
            if made is not None:
                values = {"tag": "total", "label": made.label, "url": made.url, "score_maximum": "8", "found": False}
                session.add(Column(course_badge_id=course_badge.id, created_at=now(), **values))
        room.sync()
        return room

    return make


def tag_of(code):
    return code if code == "total" else f"sub-competency:{code}"


def mark(room, student, code, level, comment="", revision=0, actor=None):
    """Store one mark as a page does; nothing is posted yet."""
    return marking.save(
        room.tool,
        room.id,
        room.badge.slug,
        room.person_id(student),
        [Wish(tag_of(code), level, comment, revision)],
        actor=actor or audit.person(room.person_id(room.teacher)),
        now=now(),
    )


def post(room):
    """Run the course's job now, whatever pause it may be in; the job as it ended."""
    job_id = work.request(room.tool, "post", str(room.id), now())
    with room.tool.db.write() as session:
        session.get_one(Job, job_id).not_before = now()
    return work.wait(room.tool, job_id, RUNNERS)


def cell(room, student, code):
    with room.tool.db.read() as session:
        return session.get(Posting, (room.course_badge(session).id, room.person_id(student), tag_of(code)))


def held(room, student, code):
    column = room.column(code) if code != "total" else room.columns[0]
    return room.lms.score_of(room.course, column, student)


def is_of(request, number):
    """Tell whether a request asks for a column, by its number: that of a course may be the same."""
    return re.search(rf"/line_?items/{number}/", request.path) is not None


def sent(room, before=0):
    """Count the scores the LMS was sent in this course."""
    path = {c.number for c in room.columns}
    return sum(1 for r in room.lms.requests if r.service == "scores" and any(is_of(r, n) for n in path)) - before


def choose(room, student, code, choice):
    found = cell(room, student, code)
    with room.tool.db.read() as session:
        there = marking.held_instead(session, session.merge(found, load=False))
    who = audit.person(room.person_id(room.teacher))
    marking.choose(
        room.tool,
        room.id,
        room.badge.slug,
        room.person_id(student),
        tag_of(code),
        choice,
        seen_as=marking.seen(there),
        actor=who,
        now=now(),
    )


def actions(room):
    with room.tool.db.read() as session:
        subject = f"badge:{room.course_badge(session).id}"
        found = session.scalars(select(AuditEvent).where(AuditEvent.subject == subject).order_by(AuditEvent.id))
        return [(each.action, each.detail) for each in found if each.action.startswith("mark.")]


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
    assert [held(room, ana, code) for code in "AB"] == [3, 3] and held(room, ben, "A") == 1
    assert room.lms.grade_of(room.course, room.column("A"), ana).comment == "Well done."
    assert (cell(room, ana, "A").state, cell(room, ana, "A").posted_points) == ("posted", "3")
    assert room.award(ana)["status"] == "issued"  # no sync was needed
    assert room.awards(ben) == []


def test_the_decision_record_says_who_marked_it_here_and_when(desk):
    room = desk()
    ana = room.students[0]
    for code in "AB":
        mark(room, ana, code, 2)
    post(room)
    page = room.page.get(f"badges/{room.badge.slug}/record/{room.person_id(ana)}/{tag_of('A')}")
    assert "here by Tess Teacher" in page.text
    with room.tool.db.read() as session:
        award = session.get_one(Award, room.award(ana)["id"])
    assert {each["marked"]["by"] for each in award.decision["rows"]} == {audit.person(room.person_id(room.teacher))}


def test_a_grade_from_the_gradebook_is_not_said_to_be_marked_here(desk):
    room = desk()
    room.grade(room.students[0], 3, 3)
    room.sync()
    with room.tool.db.read() as session:
        person_id = room.person_id(room.students[0])
        records = session.scalars(select(Mastery.record).where(Mastery.person_id == person_id)).all()
    assert len(records) == 2 and all("marked" not in record for record in records)


def test_a_level_the_gradebook_rounds_down_is_kept_as_it_was_marked(desk):
    """Moodle keeps five decimals: 1.33333 of 4 would lie below a level of 1.333333 points."""
    levels = (Level("Low", Decimal(1)), Level("High", Decimal("1.333333")), Level("Top", Decimal(4)))
    room = desk(sub_competencies=(replace(row("A", source="rubric"), levels=levels, required_level="High"),))
    ana, ben = room.students
    mark(room, ana, "A", 1)
    room.lms.grade(room.course, room.column("A"), ben, 1.33332)  # a teacher's own: not what was marked
    post(room)
    assert held(room, ana, "A") == 1.33333
    room.sync()
    assert room.award(ana)["status"] == "issued"
    assert room.awards(ben) == []


# -- two markers


def test_of_two_markers_the_later_is_told_whose_mark_stands_and_nothing_is_replaced(desk):
    room = desk()
    ana = room.students[0]
    other = audit.person(room.person_id(room.students[1]))  # any other person will do
    mark(room, ana, "A", 1, "Mine.")
    saved = mark(room, ana, "A", 3, "No, mine.", revision=0, actor=other)
    (overtaken,) = saved.overtaken
    assert (overtaken.by, overtaken.level, overtaken.comment, overtaken.revision) == ("Tess Teacher", 1, "Mine.", 1)
    assert saved.stored == () and saved.job_id == 0
    post(room)
    assert held(room, ana, "A") == 2
    assert mark(room, ana, "A", 3, "No, mine.", revision=1, actor=other).stored  # told, she chose
    post(room)
    assert held(room, ana, "A") == 4


def test_two_who_mark_different_rows_or_the_same_level_are_not_in_each_other_s_way(desk):
    room = desk()
    ana = room.students[0]
    other = audit.person(room.person_id(room.students[1]))
    assert mark(room, ana, "A", 2).stored and mark(room, ana, "B", 2, actor=other).stored
    assert mark(room, ana, "A", 2, actor=other).overtaken == ()


def test_of_two_who_mark_at_the_same_moment_exactly_one_is_stored(desk):
    room = desk()
    ana = room.students[0]
    people = [audit.person(room.person_id(student)) for student in room.students]
    done = at_once(*(lambda n=n, who=who: mark(room, ana, "A", n, actor=who) for n, who in enumerate(people)))
    assert sorted(len(each.stored) for each in done) == [0, 1], done
    done = at_once(*(lambda n=n: mark(room, ana, "A", n + 2, revision=1) for n in range(2)))
    assert sorted(len(each.stored) for each in done) == [0, 1], done


# -- a teacher's change in the gradebook


@pytest.mark.parametrize("mood", MOODS)
def test_a_grade_that_stood_there_before_is_asked_about_and_not_replaced(desk, mood):
    room = desk(mood)
    ana = room.students[0]
    room.lms.grade(room.course, room.column("A"), ana, 2)
    mark(room, ana, "A", 3)
    assert post(room).state == "done"
    assert held(room, ana, "A") == 2
    found = cell(room, ana, "A")
    assert (found.state, found.found["points"], found.found["maximum"]) == ("conflict", "2", "4")


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize(("choice", "ends"), [("keep", 2), ("replace", 4)])
def test_a_teacher_s_newer_change_is_asked_about_and_what_is_chosen_happens(desk, mood, choice, ends):
    room = desk(mood)
    ana = room.students[0]
    mark(room, ana, "A", 2)
    post(room)
    room.lms.grade(room.course, room.column("A"), ana, 2)
    mark(room, ana, "A", 3, revision=1)
    post(room)
    assert held(room, ana, "A") == 2 and cell(room, ana, "A").state == "conflict"
    choose(room, ana, "A", choice)
    post(room)
    assert held(room, ana, "A") == ends
    assert cell(room, ana, "A").state == {"keep": "kept", "replace": "posted"}[choice]
    (action, detail) = actions(room)[-1]
    assert action == {"keep": "mark.gradebook_kept", "replace": "mark.gradebook_replaced"}[choice]
    assert {detail["before"], detail["after"]} == {"2 of 4", "4 of 4"}


def test_replacing_replaces_only_the_grade_that_was_seen(desk):
    room = desk()
    ana = room.students[0]
    room.lms.grade(room.course, room.column("A"), ana, 2)
    mark(room, ana, "A", 3)
    post(room)
    choose(room, ana, "A", "replace")
    room.lms.grade(room.course, room.column("A"), ana, 1)  # changed again, before the job ran
    post(room)
    assert held(room, ana, "A") == 1 and cell(room, ana, "A").state == "conflict"
    assert cell(room, ana, "A").found["points"] == "1"


def test_a_grade_the_teacher_took_away_is_not_put_back_without_asking(desk):
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 2)
    post(room)
    room.lms.grade(room.course, room.column("A"), ana, None)
    mark(room, ana, "A", 3, revision=1)
    post(room)
    assert held(room, ana, "A") is None
    assert cell(room, ana, "A").state == "conflict" and cell(room, ana, "A").found["points"] is None


def test_a_teacher_s_words_beside_a_grade_are_not_wiped_out_without_asking(desk):
    """Moodle takes its feedback away with the next score: the points are still ours, the words are not."""
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 2)
    post(room)
    room.lms.grade(room.course, room.column("A"), ana, 3, "<p>Very <b>clear</b>.</p>")
    mark(room, ana, "A", 3, revision=1)
    post(room)
    assert held(room, ana, "A") == 3
    assert cell(room, ana, "A").found["comment"] == "Very clear ."


def test_canvas_keeps_a_grade_that_a_teacher_enters_between_reading_and_posting(desk):
    """There is no conditional write: `prioritize_non_tool_grade` closes the gap, and reading back tells of it."""
    room = desk("canvas")
    ana = room.students[0]
    room.lms.grade(room.course, room.column("A"), ana, 1)
    stale = {"change": lambda body: []}  # the first reading still saw an empty cell
    room.lms.faults.on("results", "rows", count=1, **stale)
    mark(room, ana, "A", 3)
    post(room)
    assert sent(room) == 1 and held(room, ana, "A") == 1
    assert cell(room, ana, "A").state == "conflict"


def test_the_same_grade_entered_by_a_teacher_is_left_alone(desk):
    room = desk()
    ana = room.students[0]
    room.lms.grade(room.course, room.column("A"), ana, 3)
    mark(room, ana, "A", 2)
    post(room)
    assert (sent(room), cell(room, ana, "A").state) == (0, "posted")


# -- timestamps, comments, erasing


@pytest.mark.parametrize("mood", MOODS)
def test_marks_in_quick_succession_carry_timestamps_the_platform_accepts(desk, mood):
    room = desk(mood)
    ana = room.students[0]
    for revision, level in enumerate((0, 1, 2, 3)):
        mark(room, ana, "A", level, revision=revision)
        assert post(room).state == "done"
        assert held(room, ana, "A") == level + 1


def test_a_changed_comment_is_sent_once_to_canvas_and_each_time_to_moodle(desk):
    for mood, expected in (("canvas", ["First.", "Second.", None]), ("moodle", ["First.", "Second.", "Second."])):
        room = desk(mood)
        ana = room.students[0]
        mark(room, ana, "A", 1, "First.")
        post(room)
        mark(room, ana, "A", 1, "Second.", revision=1)
        post(room)
        mark(room, ana, "A", 3, "Second.", revision=2)
        post(room)
        number = room.column("A").number
        bodies = [json.loads(r.body) for r in room.lms.requests if r.service == "scores" and is_of(r, number)]
        assert [each.get("comment") for each in bodies] == expected
        assert room.lms.grade_of(room.course, room.column("A"), ana).comment == "Second."
        assert {each["gradingProgress"] for each in bodies} == {"FullyGraded"}


def test_a_mark_that_is_taken_back_erases_nothing_in_the_gradebook(desk):
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 2)
    post(room)
    mark(room, ana, "A", None, revision=1)
    before = sent(room)
    assert post(room).state == "done"
    assert (sent(room), held(room, ana, "A"), cell(room, ana, "A").state) == (before, 3, "left")
    mark(room, ana, "A", 3, revision=2)
    post(room)
    assert held(room, ana, "A") == 4


# -- refusals


def refuse(room, reason):
    """Make the LMS refuse, and return what ends it."""
    ana, column = room.students[0], room.column("A")
    if reason == "unpublished":
        room.lms.publish_column(room.course, column, False)
        return lambda: room.lms.publish_column(room.course, column)
    if reason == "not_a_student":
        room.lms.unenrol(room.course, ana)
        return lambda: room.lms.enrol(room.course, ana)
    if reason == "grade_locked":
        room.lms.faults.on("scores", "status", status=500, body="[]")
    if reason == "no_attempts_left":
        body = {"errors": {"message": "The maximum number of allowed attempts has been reached for this submission"}}
        room.lms.faults.on("scores", "status", status=422, body=body)
    if reason == "earlier_timestamp":
        room.lms.faults.on("scores", "status", status=409, body="[]")
    return room.lms.faults.clear


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("canvas", "unpublished"),
        ("canvas", "not_a_student"),
        ("canvas", "no_attempts_left"),
        ("moodle", "grade_locked"),
        ("moodle", "not_a_student"),
        ("moodle", "earlier_timestamp"),
    ],
)
def test_a_refused_mark_is_shown_with_its_reason_and_posted_when_it_helps(desk, mood, reason):
    room = desk(mood)
    ana, ben = room.students
    mend = refuse(room, reason)
    mark(room, ana, "A", 2)
    mark(room, ben, "B", 2)
    assert post(room).state == "done"
    assert (cell(room, ana, "A").state, cell(room, ana, "A").reason) == ("refused", reason)
    if reason in ("unpublished", "not_a_student"):
        assert cell(room, ben, "B").state == "posted"  # nobody else is held up
    mend()
    if reason == "no_attempts_left":
        assert cell(room, ana, "A").retry_at is None  # by hand only
        marking.try_again(room.tool, room.id, room.badge.slug, room.person_id(ana), actor="operator", now=now())
    else:
        with room.tool.db.write() as session:  # its time has come
            key = (room.course_badge(session).id, room.person_id(ana), tag_of("A"))
            session.get_one(Posting, key).retry_at = now()
        assert room.id in posting.courses_due(room.tool, now())
    post(room)
    assert (cell(room, ana, "A").state, held(room, ana, "A")) == ("posted", 3)


def test_what_keeps_being_refused_is_tried_with_growing_pauses_and_not_for_ever(desk):
    room = desk()
    mark(room, room.students[0], "A", 2)
    room.lms.faults.on("scores", "status", status=500, body="[]")
    pauses = []
    for _ in range(posting.MOST_RETRIES + 1):
        before = now()
        assert post(room).state == "done"
        found = cell(room, room.students[0], "A")
        if found.retry_at is None:
            break
        pauses.append(found.retry_at - before)
        with room.tool.db.write() as session:
            session.merge(found).retry_at = now()
    assert len(pauses) == posting.MOST_RETRIES and found.retry_at is None
    assert pauses[0] < pauses[1] < pauses[2] and pauses[-1] <= posting.LONGEST_RETRY * 1.01


def test_a_course_that_keeps_refusing_is_tried_with_growing_pauses_until_it_lets_the_tool_in(desk):
    room = desk("canvas")
    ana, ben = room.students
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        scopes, course.scopes = course.scopes, [each for each in course.scopes if not each.endswith("/score")]
    mark(room, ana, "A", 2)
    pauses = []
    for _ in range(posting.MOST_RETRIES + 2):
        before = now()
        assert post(room).state == "failed"
        found = cell(room, ana, "A")
        assert (found.state, found.reason) == ("refused", "scope_missing")
        pauses.append(found.retry_at - before)
        with room.tool.db.write() as session:
            session.merge(found).retry_at = now()
    assert pauses[0] < pauses[1] < pauses[2] and pauses[-2] >= posting.LONGEST_RETRY
    assert pauses[-1] <= posting.LONGEST_RETRY * 1.01  # and goes on: marks wait for an administrator
    mark(room, ben, "B", 2)
    post(room)  # one attempt for both, not one for each
    assert abs(cell(room, ana, "A").retry_at - now() - posting.LONGEST_RETRY) < timedelta(minutes=1)
    with room.tool.db.write() as session:
        session.get_one(Course, room.id).scopes = scopes
    room.lms.publish_column(room.course, room.column("A"), False)
    mark(room, ben, "B", 3, revision=1)
    assert post(room).state == "done"
    assert cell(room, ben, "B").state == "posted"
    found = cell(room, ana, "A")  # refused by itself for the first time
    assert (found.reason, found.tries) == ("unpublished", 1) and found.retry_at is not None


def test_a_deleted_column_is_told_and_a_column_that_is_back_takes_the_mark(desk):
    room = desk()
    ana = room.students[0]
    column = room.column("A")
    room.lms.delete_column(room.course, column)
    mark(room, ana, "A", 2)
    mark(room, ana, "B", 2)
    post(room)
    assert (cell(room, ana, "A").state, cell(room, ana, "A").reason) == ("refused", "column_missing")
    assert cell(room, ana, "B").state == "posted"
    room.sync()
    room.lms.columns_by_number[column.number] = column
    room.sync()
    marking.try_again(room.tool, room.id, room.badge.slug, None, actor="operator", now=now())
    post(room)
    assert held(room, ana, "A") == 3


def test_a_course_that_has_ended_refuses_everything_in_words_and_keeps_the_marks(desk):
    room = desk("canvas")
    ana = room.students[0]
    room.lms.conclude_course(room.course)
    mark(room, ana, "A", 2)
    job = post(room)
    assert (job.state, job.outcome["reason"]) == ("failed", "course_concluded")
    assert (cell(room, ana, "A").state, cell(room, ana, "A").reason) == ("refused", "course_concluded")
    with room.tool.db.read() as session:
        assert session.get_one(Course, room.id).state == "concluded"
        assert session.scalars(select(Mark).where(Mark.person_id == room.person_id(ana))).one().points == "3"
    room.lms.conclude_course(room.course, False)
    marking.try_again(room.tool, room.id, room.badge.slug, None, actor="operator", now=now())
    post(room)
    assert held(room, ana, "A") == 3


@pytest.mark.parametrize("between", ["nothing", "a refusal"])
def test_what_met_the_end_of_a_course_goes_out_by_itself_once_it_is_open_again(desk, between):
    room = desk("canvas")
    ana = room.students[0]
    room.lms.conclude_course(room.course)
    mark(room, ana, "A", 2)
    post(room)
    assert cell(room, ana, "A").retry_at is None
    rested = now() + posting.FAILED_RESTS + timedelta(minutes=1)
    room.lms.conclude_course(room.course, False)
    if between == "a refusal":
        room.lms.faults.on("memberships", "status", status=401, count=2)
        room.sync()
        with room.tool.db.read() as session:
            assert session.get_one(Course, room.id).state == "attention"
        assert room.id not in posting.courses_due(room.tool, rested)
    assert room.sync().state == "done"  # as Sync now does
    assert room.id in posting.courses_due(room.tool, rested)
    post(room)
    assert held(room, ana, "A") == 3 and cell(room, ana, "A").state == "posted"


def test_a_permission_that_is_missing_is_told_at_the_marks(desk):
    room = desk()
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        course.scopes = [scope for scope in course.scopes if not scope.endswith("/score")]
    mark(room, room.students[0], "A", 2)
    job = post(room)
    assert (job.state, cell(room, room.students[0], "A").reason) == ("failed", "scope_missing")


# -- answers that were lost, crashes


@pytest.mark.parametrize("mood", MOODS)
def test_a_score_whose_answer_was_lost_is_found_by_reading_and_not_sent_again(desk, mood, monkeypatch):
    room = desk(mood)
    ana = room.students[0]
    drop_answers(room, monkeypatch)
    mark(room, ana, "A", 2, "Once only.")
    job = post(room)
    assert job.state == "done", job.problem  # read back at once
    assert (sent(room), held(room, ana, "A"), cell(room, ana, "A").state) == (1, 3, "posted")
    assert cell(room, ana, "A").posted_comment == "Once only."


def drop_answers(room, monkeypatch):
    """Let scores arrive, and their answers not: the connection is cut once the LMS has done its work."""

    def cut(lms, fault, response):
        connection = request.environ.get("werkzeug.socket")
        connection.shutdown(socket.SHUT_RDWR)
        return response

    monkeypatch.setitem(faults.AFTER, "lost_answer", cut)
    monkeypatch.setitem(faults.KINDS, "lost_answer", "do it, and lose the answer")
    room.lms.faults.on("scores", "lost_answer")


@pytest.mark.parametrize("mood", MOODS)
def test_a_crash_between_posting_and_reading_back_posts_nothing_twice(desk, mood, monkeypatch):
    room = desk(mood)
    ana = room.students[0]
    mark(room, ana, "A", 2, "Once only.")
    room.lms.faults.on("results", "status", status=500, skip=1)  # the reading before goes well, the one after does not
    assert post(room).state == "due"
    assert cell(room, ana, "A").state == "sent" and held(room, ana, "A") == 3
    room.lms.faults.clear()
    assert post(room).state == "done"
    assert (sent(room), cell(room, ana, "A").state, cell(room, ana, "A").posted_points) == (1, "posted", "3")
    mark(room, ana, "A", 3, "Once only.", revision=1)  # what was found is ours: it may be changed without asking
    post(room)
    assert held(room, ana, "A") == 4


def test_a_worker_killed_after_a_post_leaves_what_the_next_one_needs(desk, monkeypatch):
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 2)

    def killed(*arguments, **options):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(posting, "_keep_results", lambda *a, **o: None if not sent(room) else killed())
        with pytest.raises(SystemExit):
            posting.run_post(room.tool, str(room.id), lambda line: None)
    assert cell(room, ana, "A").state == "sent"
    posting.run_post(room.tool, str(room.id), lambda line: None)
    assert (sent(room), cell(room, ana, "A").state) == (1, "posted")


def test_a_mark_made_while_its_cell_is_being_posted_is_not_lost(desk, monkeypatch):
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 2)
    original, changed = posting.rubric.post_cell, []

    def meanwhile(*arguments):
        original(*arguments)
        if not changed:
            changed.append(mark(room, ana, "A", 3, revision=1))

    monkeypatch.setattr(posting.rubric, "post_cell", meanwhile)
    posting.run_post(room.tool, str(room.id), lambda line: None)
    assert (held(room, ana, "A"), cell(room, ana, "A").state, cell(room, ana, "A").posted_points) == (4, "posted", "4")


def test_a_mark_made_while_the_job_works_out_levels_is_looked_at_too(without_columns, monkeypatch):
    """The job has read the marks and is about to end: asked for again, it is due once more."""
    room = without_columns("none")
    ana = room.students[0]
    mark(room, ana, "A", 2)
    original, made = sync.evaluate_badges, []

    def meanwhile(*arguments):
        done = original(*arguments)
        if not made:
            made.append(mark(room, ana, "B", 2))
        return done

    monkeypatch.setattr(sync, "evaluate_badges", meanwhile)
    job = post(room)
    assert (job.state, len(made)) == ("done", 1)
    assert room.award(ana)["status"] == "issued"


def test_an_lms_that_is_down_is_tried_again_and_nothing_is_lost(desk):
    room = desk()
    ana = room.students[0]
    room.lms.faults.on("*", "status", status=503)
    mark(room, ana, "A", 2)
    job = post(room)
    assert (job.state, job.attempts) == ("due", 1)
    assert cell(room, ana, "A").state == "due"
    room.lms.faults.clear()
    assert post(room).state == "done"
    assert held(room, ana, "A") == 3


def test_one_score_the_lms_chokes_on_does_not_hold_up_the_others(desk):
    room = desk(students=5, rows=1)
    room.lms.faults.on("scores", "status", status=503, count=1)
    for student in room.students:
        mark(room, student, "A", 2)
    assert post(room).state == "due"
    assert sorted(held(room, each, "A") or 0 for each in room.students) == [0, 3, 3, 3, 3]
    assert post(room).state == "done"
    assert [held(room, each, "A") for each in room.students] == [3] * 5
    assert sent(room) == 6


def readings(room, before=0):
    """Count the pages of results the LMS was asked for in this course."""
    path = {c.number for c in room.columns}
    return sum(1 for r in room.lms.requests if r.service == "results" and any(is_of(r, n) for n in path)) - before


@pytest.mark.parametrize("mood", MOODS)
def test_a_class_s_column_is_read_once_before_it_is_posted_and_once_afterwards(desk, mood, monkeypatch):
    room = desk(mood, rows=1, students=60)
    for student in room.students:
        mark(room, student, "A", 2)
    monkeypatch.setattr(room.lms, "max_page_size", 20)
    before = readings(room)
    assert post(room).state == "done"
    assert sent(room) == 60 and {held(room, each, "A") for each in room.students} == {3}
    assert {cell(room, each, "A").state for each in room.students} == {"posted"}
    assert readings(room, before) <= 1 + 3 + 1  # nobody is there before; an LMS may give a last page that is empty


@pytest.mark.parametrize("mood", MOODS)
def test_where_posting_takes_long_the_rest_is_compared_with_what_the_column_holds_by_then(desk, mood, monkeypatch):
    room = desk(mood, rows=1, students=6)
    *_, late = sorted(room.students, key=room.person_id)
    for student in room.students:
        mark(room, student, "A", 2)
    monkeypatch.setattr(posting, "READING_COUNTS", timedelta(0))
    note = posting._note_sending

    def meanwhile(tool, wanted, timestamp):
        if sent(room) == 1:  # the first is on its way when a teacher grades the last
            room.lms.grade(room.course, room.column("A"), late, 1)
        return note(tool, wanted, timestamp)

    monkeypatch.setattr(posting, "_note_sending", meanwhile)
    assert post(room).state == "done"
    assert cell(room, late, "A").state == "conflict" and held(room, late, "A") == 1
    assert sent(room) == 5 and {held(room, each, "A") for each in room.students if each is not late} == {3}


def test_two_scores_the_lms_chokes_on_let_the_others_through_at_the_next_attempt(desk, monkeypatch):
    room = desk(students=5, rows=1)
    first, second, *others = sorted(room.students, key=room.person_id)
    for student in room.students:
        mark(room, student, "A", 2)
    choking = {first.id, second.id}

    def choke(lms, fault):
        return Response(status=500) if request.get_json(force=True)["userId"] in choking else None

    monkeypatch.setitem(faults.BEFORE, "choke", choke)
    monkeypatch.setitem(faults.KINDS, "choke", "fail at some people's scores")
    room.lms.faults.on("scores", "choke")
    assert post(room).state == "due"
    assert post(room).state == "due"
    assert {held(room, each, "A") for each in others} == {3}


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("named", [120, None])
def test_F04_nothing_more_is_posted_once_the_lms_asks_for_a_pause(desk, mood, named):
    room = desk(mood, rows=4)
    for student in room.students:
        for code in "ABCD":
            mark(room, student, code, 2)
    room.lms.faults.on("scores", "rate_limited", status=429, retry_after=named, count=1)
    room.lms.requests.clear()
    job = post(room)
    assert (job.state, job.outcome["reason"]) == ("due", "service_busy")
    asked = [each.service for each in room.lms.requests if each.service != "token"]
    assert asked[-1] == "scores" and asked.count("scores") == sent(room) == 1
    assert {cell(room, each, code).state for each in room.students for code in "ABCD"} == {"due", "sent"}
    assert post(room).state == "done"
    assert {held(room, each, code) for each in room.students for code in "ABCD"} == {3}
    assert sent(room) == 9


def test_F04_a_score_that_went_before_the_pause_is_found_and_not_sent_again(desk):
    room = desk(rows=1)
    ana, ben = room.students
    mark(room, ana, "A", 2)
    mark(room, ben, "A", 2)
    room.lms.faults.on("scores", "rate_limited", status=429, retry_after=120, count=1, skip=1)
    room.lms.requests.clear()
    assert post(room).state == "due"
    assert sorted(cell(room, each, "A").state for each in room.students) == ["sent", "sent"]
    assert post(room).state == "done"
    assert sent(room) == 3 and [held(room, each, "A") for each in room.students] == [3, 3]


def test_a_course_whose_message_was_lost_is_found_by_the_sweep(desk):
    room = desk()
    mark(room, room.students[0], "A", 2)
    with room.tool.db.write() as session:
        for job in session.scalars(select(Job).where(Job.kind == "post", Job.subject == str(room.id))):
            job.state, job.finished_at = "done", now()
    assert room.id in posting.courses_due(room.tool, now())
    posting.nudge(room.tool, room.id, now())
    assert held(room, room.students[0], "A") == 3
    assert room.id not in posting.courses_due(room.tool, now())


def test_a_sync_that_began_before_a_mark_was_read_back_does_not_take_it_back(desk, monkeypatch):
    room = desk()
    ana = room.students[0]
    read = sync._read_lms(room.tool, room.id, lambda line: None)  # nothing is marked yet
    for code in "AB":
        mark(room, ana, code, 2)
    post(room)
    assert room.award(ana)["status"] == "issued"
    sync._store(room.tool, room.id, read)
    sync.evaluate_badges(room.tool, room.id, now(), {})
    with room.tool.db.read() as session:
        column_ids = [column.id for column in room.course_badge(session).columns]
        raws = session.scalars(select(Result.raw).where(Result.column_id.in_(column_ids))).all()
        assert len(raws) == 2 and None not in raws
        assert session.scalars(select(Review).where(Review.award_id == room.award(ana)["id"])).all() == []


def test_a_sync_that_read_an_older_mark_does_not_bring_it_back(desk):
    room = desk()
    ana = room.students[0]
    for code in "AB":
        mark(room, ana, code, 2)
    post(room)
    read = sync._read_lms(room.tool, room.id, lambda line: None)
    for code in "AB":
        mark(room, ana, code, 3, revision=1)
    post(room)
    sync._store(room.tool, room.id, read)
    with room.tool.db.read() as session:
        column_ids = [column.id for column in room.course_badge(session).columns]
        raws = session.scalars(select(Result.raw).where(Result.column_id.in_(column_ids))).all()
    assert {json.loads(raw)["resultScore"] for raw in raws} == {4}


def test_what_is_stored_after_a_newer_reading_is_looked_at_again_by_the_next(desk, monkeypatch):
    """A worker reads a mark back and is slow to store it; the gradebook is set back meanwhile, and a sync says so."""
    room = desk("canvas")
    ana, other = room.students
    mark(room, ana, "A", 2)
    post(room)
    keep, before = posting._keep_results, sent(room)

    def slowly(tool, batch, there, at):
        if sent(room, before) and cell(room, ana, "A").state == "sent":
            room.grade(ana, 3)
            room.grade(other, 1)
            room.sync()
        keep(tool, batch, there, at)

    mark(room, ana, "A", 3, revision=1)
    with monkeypatch.context() as patched:
        patched.setattr(posting, "_keep_results", slowly)
        post(room)
    assert points_kept(room, ana, "A") == 4 and level_of(room, ana, "A") == 3
    room.sync()
    assert points_kept(room, ana, "A") == 3 and level_of(room, ana, "A") == 2


def points_kept(room, student, code):
    with room.tool.db.read() as session:
        of_badge = Column.course_badge_id == room.course_badge(session).id
        column = session.scalars(select(Column).where(of_badge, Column.tag == tag_of(code))).one()
        return json.loads(session.get_one(Result, (column.id, student.id)).raw)["resultScore"]


def level_of(room, student, code):
    with room.tool.db.read() as session:
        key = (room.course_badge(session).id, room.person_id(student), tag_of(code))
        return session.get_one(Mastery, key).level


# -- one column, or none


@pytest.mark.parametrize("mood", MOODS)
def test_the_total_is_posted_once_every_row_is_marked_and_levels_come_from_the_marks(without_columns, mood):
    room = without_columns("total", mood)
    ana = room.students[0]
    mark(room, ana, "A", 2, "Good.")
    post(room)
    assert held(room, ana, "total") is None and cell(room, ana, "total") is None
    mark(room, ana, "B", 3, "Better.")
    post(room)
    assert (held(room, ana, "total"), cell(room, ana, "total").state) == (7, "posted")
    assert room.lms.grade_of(room.course, room.columns[0], ana).comment == "Row A: Good.\nRow B: Better."
    assert room.award(ana)["status"] == "issued"


def test_two_who_mark_the_last_two_rows_at_the_same_moment_make_the_total(without_columns):
    room = without_columns("total", students=6)
    people = [audit.person(room.person_id(each)) for each in (room.teacher, room.students[0])]
    for student in room.students:
        done = at_once(
            lambda student=student: mark(room, student, "A", 2, actor=people[0]),
            lambda student=student: mark(room, student, "B", 3, actor=people[1]),
        )
        assert [len(each.stored) for each in done] == [1, 1], done
    assert [getattr(cell(room, each, "total"), "points", None) for each in room.students] == ["7"] * 6


def test_a_total_that_a_teacher_changed_is_asked_about_and_the_levels_stay(without_columns):
    room = without_columns("total")
    ana = room.students[0]
    for code in "AB":
        mark(room, ana, code, 2)
    post(room)
    room.lms.grade(room.course, room.columns[0], ana, 3)
    room.sync()
    mark(room, ana, "A", 3, revision=1)
    post(room)
    assert held(room, ana, "total") == 3 and cell(room, ana, "total").state == "conflict"
    assert room.award(ana)["status"] == "issued"
    choose(room, ana, "total", "replace")
    post(room)
    assert held(room, ana, "total") == 7


def test_a_badge_without_columns_is_earned_by_the_marks_and_nothing_is_posted(without_columns):
    room = without_columns("none")
    ana = room.students[0]
    for code in "AB":
        mark(room, ana, code, 2)
    assert post(room).state == "done"
    assert room.award(ana)["status"] == "issued"
    assert cell(room, ana, "A") is None
    mark(room, ana, "A", 0, revision=1)
    post(room)
    with room.tool.db.read() as session:
        assert session.scalars(select(Review).where(Review.award_id == room.award(ana)["id"])).one().resolved_at is None


# -- who is marked, and what is refused


def test_only_learners_who_may_be_awarded_are_marked(desk):
    room = desk()
    other = Classroom(room.scene)
    with pytest.raises(NotFound):
        mark(room, room.teacher, "A", 2)
    with pytest.raises(NotFound):
        marking.save(
            room.tool,
            room.id,
            room.badge.slug,
            other.person_id(other.teacher),
            [Wish(tag_of("A"), 2, "", 0)],
            actor="operator",
            now=now(),
        )
    room.lms.suspend(room.course, room.students[1])
    room.sync()
    with pytest.raises(NotFound):
        mark(room, room.students[1], "A", 2)


def test_a_level_that_is_not_there_and_a_comment_that_is_too_long_are_refused(desk):
    room = desk()
    with pytest.raises(BadInput):
        mark(room, room.students[0], "A", 4)
    with pytest.raises(BadInput):
        mark(room, room.students[0], "A", 2, "x" * (marking.LONGEST_COMMENT + 1))
    with pytest.raises(NotFound):
        mark(room, room.students[0], "Z", 2)


def test_marks_on_another_version_s_levels_are_refused_in_words(desk):
    room = desk()
    with pytest.raises(Conflict) as refused:
        marking.save(
            room.tool,
            room.id,
            room.badge.slug,
            room.person_id(room.students[0]),
            [Wish(tag_of("A"), 2, "", 0)],
            actor="operator",
            now=now(),
            version=7,
        )
    assert "rubric was changed" in refused.value.sentence


def test_every_mark_leaves_an_audit_entry_with_before_and_after_and_no_comment(desk):
    room = desk()
    ana = room.students[0]
    mark(room, ana, "A", 1, "A secret.")
    mark(room, ana, "A", 2, "A secret.", revision=1)
    mark(room, ana, "A", None, "", revision=2)
    found = actions(room)
    assert [(action, detail["before"], detail["after"]) for action, detail in found] == [
        ("mark.set", None, "Developing"),
        ("mark.set", "Developing", "Proficient"),
        ("mark.taken_back", "Proficient", None),
    ]
    assert "secret" not in str(found) and found[0][1]["learner"] == room.person_id(ana)


def test_marks_of_gives_points_of_the_highest_points(desk):
    room = desk()
    mark(room, room.students[0], "A", 2)
    with room.tool.db.read() as session:
        found = marking.marks_of(session, room.course_badge(session).id)
    assert {key: (score.points, score.maximum) for key, (score, _) in found.items()} == {
        (room.person_id(room.students[0]), tag_of("A")): (3, 4)
    }
