"""One course's grades, read whole or not at all, stored as received, and evaluated for its learners only."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text

from lti_tool import jobs
from lti_tool.models import Course, Enrolment, Mastery, Person, Registration, Result
from lti_tool.services import schedule, sync, whole, work
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"


def roster_says(room, *members):  # noqa: F811
    """Let the roster be these lines: (user, status, role)."""
    lines = [
        {"user_id": user.id, "status": status, "roles": [MEMBERSHIP + role], "name": "N"}
        for user, status, role in members
    ]
    body = json.dumps({"id": "x", "context": {"id": room.course.id}, "members": lines})
    room.lms.faults.on("memberships", "status", status=200, body=body, content_type="application/json")


@pytest.fixture
def graded(room):  # noqa: F811
    """A course with a published badge of two columns, its first student at the required level in both."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    return room


def results_of(room):  # noqa: F811
    with room.tool.db.read() as session:
        ids = [column.id for column in room.course_badge(session).columns]
        return {
            (r.column_id, r.user_sub): r.raw for r in session.scalars(select(Result).where(Result.column_id.in_(ids)))
        }


def course_row(room):  # noqa: F811
    with room.tool.db.read() as session:
        return session.get_one(Course, room.id)


# -- the roster


def test_H13_somebody_who_left_the_course_keeps_her_award_and_is_not_evaluated(graded):
    graded.sync()
    graded.lms.unenrol(graded.course, graded.students[0])
    graded.grade(graded.students[0], 1, 1)
    assert graded.sync().outcome["reviews"] == 0
    assert graded.award()["status"] == "issued"


@pytest.mark.parametrize("part", [1, whole.PART])
@pytest.mark.parametrize("order", [1, -1])
def test_H03_who_is_listed_twice_is_active_where_one_line_says_so(graded, monkeypatch, part, order):
    monkeypatch.setattr(whole, "PART", part)
    twice = [(graded.students[0], "Active", "Learner"), (graded.students[0], "Inactive", "Learner")][::order]
    roster_says(graded, twice[0], (graded.students[1], "Active", "Learner"), twice[1])
    assert graded.sync().state == "done"
    assert graded.award()["status"] == "issued"


@pytest.mark.parametrize("part", [1, whole.PART])
@pytest.mark.parametrize("order", [1, -1])
def test_D06_who_is_listed_twice_has_the_role_with_most_rights(graded, monkeypatch, part, order):
    monkeypatch.setattr(whole, "PART", part)
    twice = [(graded.students[0], "Active", "Instructor"), (graded.students[0], "Active", "Learner")][::order]
    roster_says(graded, twice[0], (graded.students[1], "Active", "Learner"), twice[1])
    assert graded.sync().state == "done"
    assert graded.awards() == []


def test_sections_of_two_lines_are_put_together():
    one = ("u", "", "", False, "", None, "Learner", False, [["1", "One"]])
    other = ("u", "N", "n@x", True, "s", "7", "", True, [["1", "One"], ["2", "Two"]])
    assert sync._merged(one, other) == ("u", "N", "n@x", True, "s", "7", "Learner", True, [["1", "One"], ["2", "Two"]])
    assert sync._merged(one, (*other[:8], None))[8] == sync._merged((*one[:8], None), one)[8] == [["1", "One"]]


def test_a_learner_who_launches_for_the_first_time_while_her_course_is_stored_is_in_nobodys_way(graded):
    new, done = graded.lms.add_user(graded.course, "student"), []
    syncing = threading.Thread(target=lambda: done.append(graded.sync()))
    with graded.tool.db.write() as session:
        registration_id = session.get_one(Course, graded.id).registration_id
        made = {"registration_id": registration_id, "sub": new.id, "subject_id": f"urn:{new.id}", "created_at": now()}
        session.add(Person(**made))
        session.flush()
        syncing.start()
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        for _ in range(200):  # until the sync stands at her row; on SQLite it waits for this writer from its beginning
            if graded.tool.db.is_sqlite:
                break
            with graded.tool.db.engine.connect() as other:
                if other.scalar(waiting):
                    break
            time.sleep(0.05)
    syncing.join(30)
    assert (done[0].state, done[0].attempts) == ("done", 1)
    with graded.tool.db.read() as session:
        query = select(func.count()).select_from(Enrolment).join(Person, Person.id == Enrolment.person_id)
        assert session.scalar(query.where(Person.sub == new.id)) == 1


def test_somebody_who_comes_back_is_evaluated_again(graded):
    graded.lms.unenrol(graded.course, graded.students[0])
    graded.sync()
    assert graded.awards() == []
    graded.lms.enrol(graded.course, graded.students[0])
    graded.sync()
    assert graded.award()["status"] == "issued"


def test_D06_a_test_student_may_look_and_is_never_awarded(make_room):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    tester = room.lms.mood.add_test_student(room.course) or room.lms.people(room.course, "test")[0]
    looking = room.enter(tester)
    assert looking.page.status_code == 200 and "preview" in looking.page.text
    room.publish(badge())
    room.grade(tester, 4, 4)
    room.grade(room.students[0], 4, 4)
    room.sync()
    assert room.awards(tester) == []
    assert len(room.awards()) == 1


def test_a_non_editing_teacher_whom_moodles_roster_calls_a_learner_is_never_awarded(graded):
    """Moodle's roster says Learner; only her launch says Instructor (decisions.md)."""
    assistant = graded.lms.add_user(graded.course, "ta")
    graded.grade(assistant, 4, 4)
    graded.enter(assistant)
    graded.sync()
    with graded.tool.db.read() as session:
        enrolment = session.get_one(Enrolment, (graded.id, graded.person_id(assistant)))
        assert (enrolment.roster_role, enrolment.launch_role) == ("Learner", "Instructor")
    assert graded.awards(assistant) == []


def test_a_disabled_person_is_not_evaluated(graded):
    graded.sync()
    other = graded.students[1]
    with graded.tool.db.write() as session:
        session.get_one(Person, graded.person_id(other)).disabled = True
    graded.grade(other, 4, 4)
    graded.sync()
    assert graded.awards(other) == []


# -- kept apart


def test_K07_the_same_course_id_in_two_deployments_is_two_courses(shared, make_room):  # noqa: F811
    room = make_room(mood="moodle")  # noqa: F811
    tool = shared.lti_tool["moodle"]
    other_deployment = room.lms.add_deployment(tool)
    link = room.lms.add_link(room.course, tool, "Badges", deployment_id=other_deployment)
    student = room.enter(room.students[0], link=link)
    assert student.page.status_code == 200
    with room.tool.db.read() as session:
        courses = list(session.scalars(select(Course).where(Course.context_id == room.course.id).order_by(Course.id)))
        people = list(session.scalars(select(Person).where(Person.sub == room.students[0].id)))
    assert len(courses) == 2 and courses[0].deployment_pk != courses[1].deployment_pk
    assert len(people) == 1  # a person is known by registration, a course by deployment


def test_two_customers_of_one_issuer_and_the_same_sub_are_kept_apart(shared):  # noqa: F811
    shared.mood = "canvas"
    first = shared.lti_tool["canvas"], shared.platform["canvas"]
    try:
        shared.register("canvas")
        second = shared.lti_tool["canvas"], shared.platform["canvas"]
        course = shared.lms.add_course("SHARED")
        teacher = shared.lms.add_user(course, "instructor")
        student = shared.lms.add_user(course, "student")
        for tool, _ in (first, second):
            assert shared.launch(teacher.id, course.id, tool=tool).page.status_code == 200
            assert shared.launch(student.id, course.id, tool=tool).page.status_code == 200
        with shared.tool.db.read() as session:
            people = list(session.scalars(select(Person).where(Person.sub == student.id)))
            courses = list(session.scalars(select(Course).where(Course.context_id == course.id)))
        assert {p.registration_id for p in people} == {first[1], second[1]} == {c.registration_id for c in courses}
        assert len({p.subject_id for p in people}) == 2  # nor can their credentials be joined by the subject
        keys = {key[:2] for key in shared.tool.tokens._tokens}
        assert all(client == first[0].client_id for registration, client in keys if registration == first[1])
    finally:
        shared.lti_tool["canvas"], shared.platform["canvas"] = first


# -- kept as received


@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_a_raw_result_is_kept_exactly_as_received(make_room, mood):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 2.5)
    room.lms.requests.clear()
    room.sync()
    (raw,) = results_of(room).values()
    assert json.loads(raw)["userId"] == room.students[0].id
    assert "2.5" in raw
    with room.tool.db.read() as session:
        mastery = session.scalars(select(Mastery).where(Mastery.person_id == room.person_id(room.students[0]))).one()
    assert (mastery.record["score"], mastery.record["maximum"], mastery.record["reached"]) == ("2.5", "4", "Developing")


def test_H06_a_result_that_goes_is_kept_as_an_empty_row(graded):
    graded.sync()
    graded.grade(graded.students[0], None, 3)
    graded.sync()
    raws = [raw for (_, sub), raw in results_of(graded).items() if sub == graded.students[0].id]
    assert len(raws) == 2
    assert sum(raw is None or json.loads(raw).get("resultScore") is None for raw in raws) == 1


def test_H01_a_second_sync_that_finds_nothing_new_writes_nothing_about_grades_or_awards(graded):
    graded.sync()
    written: list[str] = []

    def watch(_connection, _cursor, statement, *_rest):
        words = statement.split()
        if words[0] in ("INSERT", "UPDATE", "DELETE"):
            written.append(words[2 if words[0] != "UPDATE" else 1].strip('"'))

    event.listen(graded.tool.db.engine, "before_cursor_execute", watch)
    try:
        job = graded.sync()
    finally:
        event.remove(graded.tool.db.engine, "before_cursor_execute", watch)
    assert not set(written) & {"award", "edition", "review", "mastery", "result", "person", "enrolment", "status_list"}
    assert job.outcome["unchanged"] == 1 and job.outcome["results"] == 0 and job.outcome["signed"] == 0


# -- the same, byte for byte


@pytest.fixture
def taken_apart(monkeypatch):
    """Counts the pages of columns and rosters that are read for what they say."""
    seen = {"columns": 0, "roster": 0}

    def counting(what, read):
        def counted(body):
            seen[what] += 1
            return read(body)

        return counted

    monkeypatch.setattr(sync, "results_in", counting("columns", sync.results_in))
    monkeypatch.setattr(sync, "members_in", counting("roster", sync.members_in))
    return seen


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_what_is_byte_for_byte_as_before_is_not_taken_apart_and_one_change_is_seen(make_room, mood, taken_apart):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 2)
    room.sync()
    room.sync()  # the launch that published it enrolled the teacher
    taken_apart.update(columns=0, roster=0)
    assert room.sync().outcome["results"] == 0 and taken_apart == {"columns": 0, "roster": 0}
    room.grade(room.students[0], 3, 3)
    room.sync()
    assert room.award()["status"] == "issued" and taken_apart["columns"] > 0 and taken_apart["roster"] == 0
    room.lms.unenrol(room.course, room.students[1])
    room.sync()
    assert taken_apart["roster"] > 0


def test_an_answer_stored_since_is_compared_with_the_same_page_again(graded):
    """A mark was posted, read back and stored, and then the gradebook was set back: its page is as it was before."""
    graded.sync()
    with graded.tool.db.write() as session:
        column = graded.course_badge(session).columns[0]
        row = session.get_one(Result, (column.id, graded.students[0].id))
        was, row.raw, row.received_at = row.raw, '{"resultScore": 1, "resultMaximum": 4}', now()
        key = (column.id, graded.students[0].id)
    assert graded.sync().outcome["results"] == 1 and results_of(graded)[key] == was


def test_a_column_that_is_bound_anew_is_read_whatever_it_says(graded, taken_apart):
    graded.sync()
    with graded.tool.db.write() as session:
        for column in graded.course_badge(session).columns:
            column.created_at = now()
    taken_apart.update(columns=0)
    graded.sync()
    assert taken_apart["columns"] > 0


def test_somebody_who_launches_between_two_equal_rosters_is_put_out_by_the_second(graded):
    graded.sync()
    guest = graded.lms.add_user(graded.course, "student")
    graded.enter(guest)
    graded.lms.unenrol(graded.course, guest)
    graded.sync()
    with graded.tool.db.read() as session:
        assert not session.get_one(Enrolment, (graded.id, graded.person_id(guest))).active


# -- what an LMS refuses


def test_K10_a_concluded_course_is_left_alone_and_its_awards_verify(make_room):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 4, 4)
    room.sync()
    room.lms.conclude_course(room.course)
    job = room.sync()
    assert (job.state, job.attempts) == ("failed", 1)
    assert course_row(room).state == "concluded"
    assert room.id not in schedule.courses_due(room.tool, now() + timedelta(days=1))
    assert "This course has ended" in room.page.get("").text
    assert room.award()["status"] == "issued"
    room.lms.conclude_course(room.course, False)
    assert room.sync().state == "done"
    assert course_row(room).state == "ok"


def test_the_sweep_of_the_worker_finds_a_published_course_and_syncs_it(graded):
    with graded.tool.db.write() as session:
        session.get_one(Course, graded.id).next_sync_at = now() - timedelta(seconds=1)
    jobs.sweep(graded.tool)
    assert graded.award()["status"] == "issued"


def test_J15_a_request_to_an_lms_inside_a_transaction_is_an_error(graded):
    for transaction in (graded.tool.db.read, graded.tool.db.write):
        with transaction(), pytest.raises(RuntimeError, match="inside a database transaction"):
            graded.tool.http.get(graded.lms.jwks_url)
    assert graded.tool.http.get(graded.lms.jwks_url).status == 200


def test_a_disabled_platform_is_not_asked(graded, shared):  # noqa: F811
    with graded.tool.db.write() as session:
        session.get_one(Registration, course_row(graded).registration_id).status = "disabled"
    try:
        assert graded.id not in sync.courses_to_sync(graded.tool)
    finally:
        with graded.tool.db.write() as session:
            session.get_one(Registration, course_row(graded).registration_id).status = "active"


def test_a_launch_starts_a_sync_where_the_last_one_is_old_and_none_where_it_is_fresh(graded):
    graded.sync()
    count = lambda: len([j for j in work.listing(graded.tool, all_states=True) if j["subject"] == str(graded.id)])  # noqa: E731
    before = count()
    graded.enter(graded.students[0])
    assert count() == before
    with graded.tool.db.write() as session:
        session.get_one(Course, graded.id).synced_at = now() - timedelta(hours=1)
    graded.enter(graded.students[0])
    assert count() == before + 1


# -- versions


def test_G15_old_awards_keep_their_version_and_new_learners_are_judged_by_the_new_one(graded):
    first, second = graded.students
    graded.sync()
    harder = badge(graded.badge.slug, rows=3)
    assert graded.publish(harder).state == "done"
    graded.grade(second, 3, 3, 2)
    job = graded.sync()
    assert job.outcome["reviews"] == 0  # the first has no grade in the new row, and needs none
    assert graded.award(first)["badge_version"] == 1
    assert graded.awards(second) == []
    graded.grade(second, 3, 3, 3)
    graded.sync()
    assert graded.award(second)["badge_version"] == 2
    graded.grade(first, 1, 3)
    assert graded.sync().outcome["reviews"] == 1  # by the rules of version 1 too


def test_G11_a_badge_without_its_columns_awards_nobody(graded):
    for column in list(graded.columns):
        graded.lms.delete_column(graded.course, column)
    graded.sync()
    assert graded.awards() == []


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"resultScore": None}, "ungraded"),
        ({"resultScore": 0}, "short"),
        ({"resultMaximum": 0}, "malformed"),
        ({"resultMaximum": -4}, "malformed"),
        ({"resultScore": 99}, "met"),
        ({"resultScore": "3"}, "malformed"),
    ],
)
def test_G01_to_G05_an_odd_result_is_stored_and_told(graded, changes, state):
    graded.lms.faults.on("results", "rows", set=changes)
    job = graded.sync()
    assert job.state == "done"
    with graded.tool.db.read() as session:
        found = session.scalars(select(Mastery).where(Mastery.person_id == graded.person_id(graded.students[0]))).all()
    assert {m.record["state"] for m in found} == {state}
    assert len(graded.awards()) == (state == "met")
    page = graded.page.get(f"badges/{graded.badge.slug}")
    assert page.status_code == 200


ABSURD = ("9" * 5000, "3." + "9" * 5000, "1e99999999999999999999999", "-1e-99999999999999999999")


@pytest.mark.parametrize("number", ABSURD, ids=["long", "fine", "huge exponent", "tiny exponent"])
@pytest.mark.parametrize("member", ["resultScore", "resultMaximum"])
def test_G04_an_absurd_number_is_nobodys_matter_but_that_learners(graded, number, member):
    one, other = graded.students
    odd = {"resultScore": "4", "resultMaximum": "4", member: number}
    told = ", ".join(f'"{name}": {value}' for name, value in odd.items())
    graded.lms.faults.on(
        "results",
        "status",
        status=200,
        content_type="application/vnd.ims.lis.v2.resultcontainer+json",
        body=f'[{{"userId": "{one.id}", "resultScore": 4, "resultMaximum": 4}}, {{"userId": "{other.id}", {told}}}]',
    )
    assert graded.sync().state == "done"
    assert graded.award(one)["status"] == "issued" and graded.awards(other) == []
    with graded.tool.db.read() as session:
        found = session.scalars(select(Mastery).where(Mastery.person_id == graded.person_id(other))).all()
    assert {each.record["state"] for each in found} == {"malformed"}


def test_G04_a_number_that_would_take_all_memory_does_no_harm(graded):
    graded.lms.faults.on(
        "results",
        "status",
        status=200,
        content_type="application/vnd.ims.lis.v2.resultcontainer+json",
        body=f'[{{"userId": "{graded.students[0].id}", "resultScore": 1e99999999, "resultMaximum": 4}}]',
    )
    assert graded.sync().state == "done"
    assert graded.awards() == []
