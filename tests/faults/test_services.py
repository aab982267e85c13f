"""Table F: the LMS's services fail, under a course with a badge in force, at a Canvas and at a Moodle."""

from __future__ import annotations

import contextlib
import itertools
import threading
from datetime import timedelta

import pytest

from lti_tool import jobs
from lti_tool.errors import AccessRefused
from lti_tool.lti import ags, nrps
from lti_tool.models import Course, Posting, Registration
from lti_tool.services import audit, posting, schedule
from tests.classroom import badge, row
from tests.faults.conftest import SLUG
from tests.faults.watching import (
    AGAIN,
    asked,
    course_row,
    failed_for_now,
    home,
    job_row,
    pause_of,
    ran,
    registration_row,
    results_of,
    started_anew,
    text_of,
    time_is_up,
)
from tests.scene import now

UNREACHABLE = "Your LMS could not be reached."
ODD = "Your LMS did not answer as it should."
PAUSE = "Your LMS asks for a pause before it answers again."


# -- nobody answers ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def nobody_at(room, how):
    """Let the LMS be switched off, or its name be unknown."""
    if how == "switched off":
        with room.scene.site.away():
            yield
        return
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        registration = session.get_one(Registration, course.registration_id)
        known = registration.auth_token_url
        registration.auth_token_url = "http://no-such-lms.invalid/token"
    room.tool.tokens._tokens.clear()
    try:
        yield
    finally:
        with room.tool.db.write() as session:
            session.get_one(Registration, registration.id).auth_token_url = known


@pytest.mark.parametrize("how", ["switched off", "no such name"])
def test_F01_an_lms_that_is_not_there_is_asked_again_with_growing_pauses_and_what_was_known_stays(room, how):
    first, second = room.students
    room.sync()
    before = results_of(room), course_row(room).synced_at
    room.grade(first, 1, 1)
    room.grade(second, 3, 3)
    with nobody_at(room, how):
        since = now()
        job = room.sync()
        failed_for_now(room, job, "connect" if how == "switched off" else "dns", UNREACHABLE)
        assert 7 < pause_of(job, since) < 20
        time_is_up(room, job.id)
        since = now()
        assert ran(room, job.id)
        assert job_row(room, job.id).attempts == 2
        assert 15 < pause_of(job_row(room, job.id), since) < 35
        assert (results_of(room), course_row(room).synced_at) == before
        assert room.award(first)["status"] == "issued" and room.awards(second) == []
    time_is_up(room, job.id)
    assert ran(room, job.id) and job_row(room, job.id).state == "done"
    assert room.award(second)["status"] == "issued"
    assert AGAIN not in home(room)


def test_F02_a_service_that_does_not_answer_in_time_holds_up_no_writer(room, monkeypatch):
    """Whoever writes while the tool waits between two tries is not held up: no transaction is open."""
    monkeypatch.setattr(room.tool.http, "timeout", (1, 0.15))
    room.lms.faults.on("results", "slow", seconds=0.4)
    written = []

    def somebody_else_writes(_seconds):
        def write():
            with room.tool.db.write() as session:
                audit.record(session, now(), "operator", "test.f02", str(room.id))
            written.append(room.id)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(3)

    monkeypatch.setattr(room.tool.http, "_sleep", somebody_else_writes)
    job = room.sync()
    failed_for_now(room, job, "broken_off", UNREACHABLE)
    assert written == [room.id] * 2  # three tries, two pauses
    assert results_of(room) == {} and room.awards() == []
    monkeypatch.undo()
    room.lms.faults.clear()
    assert room.sync().state == "done" and room.award()["status"] == "issued"


def test_F02_an_answer_that_breaks_off_is_no_answer(room):
    for service, kind in itertools.product(("memberships", "results"), ("drop", "cut")):
        room.lms.faults.on(service, kind)
        failed_for_now(room, room.sync(), "broken_off", UNREACHABLE)
        assert results_of(room) == {} and room.awards() == []
        room.lms.faults.clear()
    assert room.sync().state == "done" and room.award()["status"] == "issued"


# -- it answers with an error -----------------------------------------------------------------------------------


def test_F03_two_errors_and_then_an_answer_are_a_sync_like_any_other(room, pauses):
    for service, status in itertools.product(("token", "memberships", "results"), (500, 502, 503)):
        pauses.clear()
        room.tool.tokens._tokens.clear()
        room.lms.faults.on(service, status=status, count=2)
        job = room.sync()
        assert (job.state, job.attempts, job.problem) == ("done", 1, None), (service, status)
        assert len(pauses) == 2 and 0 < pauses[0] < pauses[1]
        assert room.lms.faults.active == []
    assert room.award()["status"] == "issued" and AGAIN not in home(room)


@pytest.mark.parametrize("service", ["token", "memberships", "results"])
def test_F04_the_pause_an_lms_names_is_kept_by_the_schedule_and_by_who_presses_sync(room, service):
    room.tool.tokens._tokens.clear()
    room.lms.faults.on(service, status=503, retry_after=120)
    since = now()
    job = room.sync()
    failed_for_now(room, job, "service_busy", PAUSE)
    assert 120 <= pause_of(job, since) < 180
    assert len(asked(room, service)) == 1  # the wait is the job's, not the request's
    room.lms.faults.clear()
    room.lms.requests.clear()
    assert room.page.post("sync").status_code == 200
    jobs.sweep(room.tool)
    room.enter(room.students[0])
    assert asked(room, service) == [] and room.awards() == []
    assert job_row(room, job.id).attempts == 1
    time_is_up(room, job.id)
    assert ran(room, job.id) and room.award()["status"] == "issued"


@pytest.mark.parametrize("named", ["86400000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_F04_a_course_is_read_again_after_a_day_at_most_whatever_was_named(room, named):
    room.lms.faults.on("results", "status", status=503, headers={"Retry-After": named}, count=1)
    job = room.sync()
    assert job.state == "due" and job.not_before <= now() + timedelta(days=1)


def test_F05_throttling_is_a_pause_named_or_not_and_never_a_refusal(room):
    """403 "Rate Limit Exceeded" is Canvas' own way to say 429."""
    for status, (named, least, most) in itertools.product((403, 429), ((90, 90, 130), (None, 7, 20))):
        room.lms.faults.on("results", "rate_limited", status=status, retry_after=named)
        room.lms.requests.clear()
        since = now()
        job = room.sync()
        failed_for_now(room, job, "service_busy", PAUSE)
        assert least <= pause_of(job, since) < most
        assert len(asked(room, "results")) == 1
        room.lms.faults.clear()
        time_is_up(room, job.id)
        assert ran(room, job.id) and job_row(room, job.id).state == "done"
    assert room.award()["status"] == "issued"


def test_F05_a_short_pause_is_waited_out_at_once(room, pauses):
    room.lms.faults.on("results", "rate_limited", status=429, retry_after=2, count=1)
    job = room.sync()
    assert (job.state, job.attempts, pauses) == ("done", 1, [2.0])


# -- tokens -----------------------------------------------------------------------------------------------------


def test_F07_tokens_that_no_longer_count_are_replaced_and_nobody_notices(room):
    room.sync()
    room.lms.faults.expire_tokens()
    room.grade(room.students[1], 3, 3)
    room.lms.requests.clear()
    job = room.sync()
    assert (job.state, job.attempts) == ("done", 1)
    assert room.award(room.students[1])["status"] == "issued"
    refused = [each for each in room.lms.requests if each.status == 401]
    assert len(refused) == len(asked(room, "token")) == 2  # one of the roster's, one of the gradebook's
    for each in refused:
        assert [other.status for other in room.lms.requests if other.path == each.path] == [401, 200]


def test_F08_a_second_401_marks_the_course_and_not_the_registration_and_is_not_tried_again(room):
    tool = room.scene.lti_tool[room.mood]
    room.lms.withdraw_tool(room.course, tool)
    job = room.sync()
    reason = {"canvas": "tool_not_in_course", "moodle": AccessRefused.reason}[room.mood]
    assert (job.state, job.attempts, job.outcome["reason"]) == ("failed", 1, reason)
    row = course_row(room)
    assert (row.state, row.problem) == ("attention", reason)
    assert registration_row(room).problem is None
    told = {"canvas": "no longer there in this Canvas course", "moodle": "does not let the tool read this course"}
    assert told[room.mood] in home(room)
    room.lms.course(room.course).withdrawn.clear()
    assert room.sync().state == "done" and course_row(room).state == "ok"


@pytest.mark.parametrize("status", [400, 401])
def test_F08_a_refused_token_marks_the_registration_and_a_good_sync_unmarks_it(room, status):
    room.tool.tokens._tokens.clear()
    room.lms.faults.on("token", "status", status=status, body={"error": "invalid_client"})
    job = room.sync()
    assert (job.state, job.attempts, len(asked(room, "token"))) == ("failed", 1, 1)
    assert "does not let the tool in" in registration_row(room).problem
    assert course_row(room).state == "ok"
    assert "does not let the tool in" in home(room)
    room.lms.faults.clear()
    room.sync()
    assert registration_row(room).problem is None


def test_F08_the_sweep_asks_a_course_that_refuses_no_more_often_than_one_that_answers(room):
    """And ever more rarely: a refusal is no reason to ask each minute."""
    every = room.tool.settings.queue.sync_every
    room.lms.withdraw_tool(room.course, room.scene.lti_tool[room.mood])
    with room.tool.db.write() as session:
        session.get_one(Course, room.id).next_sync_at = now() - timedelta(seconds=1)
    assert room.id in schedule.courses_due(room.tool, now())
    pauses = []
    for _ in range(12):
        room.sync()
        assert room.id not in schedule.courses_due(room.tool, now())
        pauses.append((course_row(room).next_sync_at - now()).total_seconds())
    assert all(every * 0.89 * 2**n < pauses[n] <= every * 2**n for n in range(7))
    assert 86400 * 0.89 < pauses[-1] <= 86400
    room.lms.course(room.course).withdrawn.clear()
    room.sync()
    assert (course_row(room).next_sync_at - now()).total_seconds() <= every


def test_F09_a_token_endpoint_that_answers_with_a_page_is_told(room):
    room.tool.tokens._tokens.clear()
    room.lms.faults.on("token", "html")
    failed_for_now(room, room.sync(), "not_json", ODD)
    assert registration_row(room).problem is None  # an error page is no refusal
    assert asked(room, "results") == []


def test_F09_a_token_that_names_no_end_is_used_for_an_hour(room):
    room.tool.tokens._tokens.clear()
    room.lms.faults.on("token", "no_expires_in")
    assert room.sync().state == "done" and room.award()["status"] == "issued"
    kept = list(room.tool.tokens._tokens.values())
    assert kept and all(timedelta(minutes=59) < each.ends_at - now() <= timedelta(hours=1) for each in kept)
    room.lms.requests.clear()
    room.sync()
    assert asked(room, "token") == []


def test_F09_a_scope_that_was_not_granted_stops_before_the_call_and_a_grant_is_seen_at_once(room):
    room.tool.tokens._tokens.clear()
    room.lms.faults.on("token", "scope_subset", scopes=[nrps.MEMBERSHIPS_READ, ags.LINE_ITEM, ags.SCORE])
    job = room.sync()
    assert (job.state, job.attempts, job.outcome["reason"]) == ("failed", 1, "scope_missing")
    assert asked(room, "results") == [] and results_of(room) == {}
    assert course_row(room).state == "attention"
    said = home(room)
    assert "Your LMS has not given the tool a permission it needs." in said
    assert "The LMS administrator can grant it in the tool's registration." in said
    room.sync()
    assert len(asked(room, "token")) <= 4  # a token of the roster's, and one of the gradebook's for each try
    room.lms.faults.clear()  # the administrator grants it
    assert room.sync().state == "done" and course_row(room).state == "ok"
    assert room.award()["status"] == "issued"


def test_F10_a_token_that_ends_while_a_class_is_read_is_replaced_and_the_page_asked_for_again(room):
    """Canvas sends a page for each result here; at Moodle the token ends between two columns."""
    for student in room.students:
        room.grade(student, 3, 3)
    room.lms.max_page_size = 1
    room.tool.tokens._tokens.clear()
    room.lms.faults.on("token", "expires_after", requests=1)
    job = room.sync()
    assert (job.state, job.attempts) == ("done", 1)
    answers = asked(room, "results")
    at = next(place for place, each in enumerate(answers) if each.status == 401)
    again = answers[at + 1]
    assert at > 0 and (again.path, again.query, again.status) == (answers[at].path, answers[at].query, 200)
    assert [room.award(student)["status"] for student in room.students] == ["issued"] * 2


# -- pages ------------------------------------------------------------------------------------------------------


def test_F11_a_next_page_that_is_this_page_ends_the_sync_and_old_data_stays(room):
    room.sync()
    before = results_of(room)
    room.grade(room.students[0], 1, 1)
    room.grade(room.students[1], 3, 3)
    for service in ("memberships", "results"):
        room.lms.requests.clear()
        room.lms.faults.on(service, "next_same")
        sentence = "Your LMS sent the same page of results twice, so none of them were used."
        failed_for_now(room, room.sync(), "paging_loop", sentence)
        assert len(asked(room, service)) <= 2
        assert results_of(room) == before and room.awards(room.students[1]) == []
        room.lms.faults.clear()


ELSEWHERE = (
    ("next_host", {}),
    ("next_http", {}),
    ("next_to", {"url": "http://169.254.169.254/latest/meta-data"}),
    ("next_to", {"url": "file:///etc/passwd"}),
    ("next_to", {"url": "//evil.example/x"}),
)


def test_F13_a_next_page_on_another_server_is_not_asked_for_and_the_instructor_is_told(room):
    room.lms.max_page_size = 1
    room.grade(room.students[1], 3, 3)
    for service, (kind, options) in itertools.product(("memberships", "results"), ELSEWHERE):
        room.lms.requests.clear()
        room.lms.faults.on(service, kind, **options)
        job = room.sync()
        assert (job.state, job.attempts, job.outcome["reason"]) == ("failed", 1, "next_page_elsewhere"), kind
        assert len(asked(room, service)) == 1
        assert results_of(room) == {} and room.awards() == []
        room.lms.faults.clear()
    said = home(room)
    assert "Your LMS pointed to another server for the next page, so nothing was read." in said
    assert "Tell the LMS administrator" in said


@pytest.mark.parametrize("mood", ["canvas"])
def test_F14_a_next_page_is_asked_for_letter_by_letter(room):
    """Of Canvas only: Moodle sends no next page to whoever names no limit."""
    room.lms.max_page_size = 1
    for student in room.students:
        room.grade(student, 3, 3)
    for service in ("memberships", "results"):
        room.lms.faults.on(service, "next_uppercase")
    assert room.sync().state == "done"
    for service in ("memberships", "results"):
        later = [each for each in asked(room, service) if "cursor=" in each.query]
        assert later and all("/API/LTI/" in each.path and "&limit=10&limit=10" in each.query for each in later)
    assert [room.award(student)["status"] for student in room.students] == ["issued"] * 2


def test_F16_where_a_page_fails_nothing_is_evaluated_from_half_a_class(make_room, mood):
    """At Canvas the third page of five, at Moodle, where a column is one page, the second of two columns."""
    room = make_room(mood=mood, students=5)
    room.publish(badge(SLUG))
    for student in room.students:
        room.grade(student, 3, 3)
    room.lms.max_page_size = 1
    for service, kind in itertools.product(("memberships", "results"), ("status", "html", "cut", "rate_limited")):
        where = {"page": 3} if mood == "canvas" else {"skip": 0 if service == "memberships" else 1}
        room.lms.faults.on(service, kind, **where)
        job = room.sync()
        assert (job.state, room.awards(), results_of(room)) == ("due", [], {}), (service, kind)
        assert course_row(room).synced_at is None and "Not synced yet" in home(room)
        room.lms.faults.clear()
        started_anew(room, job.id)
    assert room.sync().state == "done" and len(room.awards()) == 5


def test_F16_what_was_known_before_a_failure_stays_on_the_pages(room):
    room.sync()
    before = course_row(room).synced_at
    room.grade(room.students[0], 1, 1)
    room.lms.faults.on("results", "html")
    failed_for_now(room, room.sync(), "malformed", ODD)
    page = room.page.get(f"badges/{room.badge.slug}")
    assert page.status_code == 200 and "Earned" in page.text and AGAIN in text_of(page.text)
    assert course_row(room).synced_at == before
    assert room.award()["status"] == "issued"


# -- columns ----------------------------------------------------------------------------------------------------


def test_F17_what_is_asked_of_a_column_stands_before_its_query(make_room, mood):
    room = make_room(mood=mood)
    room.publish(badge(sub_competencies=(row("A", source="rubric"), row("B"))))
    room.lms.requests.clear()
    room.sync()
    mark(room, 2)
    assert post(room).state == "done"
    for service in ("results", "scores"):
        for each in asked(room, service):
            assert each.path.endswith(f"/{service}") and each.status < 300
            assert ("type_id=" in each.query) == (mood == "moodle")
        assert asked(room, service)


def test_F18_a_column_that_was_deleted_awards_nobody_doubts_nobody_and_is_told(room):
    first, other = room.students
    room.grade(other, 1, 4)
    room.sync()
    room.lms.delete_column(room.course, room.column("B"))
    room.lms.grade(room.course, room.column("A"), other, 4)  # with the 4 that was kept from B it would be enough
    room.lms.grade(room.course, room.column("A"), first, 1)
    job = room.sync()
    assert (job.state, job.outcome["missing_columns"], job.outcome["reviews"]) == ("done", 1, 0)
    assert room.award()["status"] == "issued" and room.awards(other) == []
    assert "no longer in the gradebook" in room.page.get("").text
    assert [c.tag for c in room.columns] == ["sub-competency:A"]  # never made again silently


def test_F18_a_column_that_comes_back_counts_again(room):
    column = room.column("B")
    room.lms.delete_column(room.course, column)
    room.sync()
    assert room.awards() == []
    room.lms.columns_by_number[column.number] = column
    room.sync()
    assert room.award()["status"] == "issued"


def test_F18_a_column_of_a_row_the_badge_no_longer_has_may_go(make_room, mood):
    """Version 2 asks for one row only; the teacher tidies the other's column away."""
    room = make_room(mood=mood)
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.publish(badge(room.badge.slug, rows=1))
    room.lms.delete_column(room.course, room.column("B"))
    room.sync()
    assert room.award()["status"] == "issued"
    assert "no longer in the gradebook" not in room.page.get("").text


# -- the roster -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["told as inactive", "left out"])
def test_F21_an_inactive_member_is_not_evaluated_and_keeps_her_award(room, how):
    room.sync()
    earned, other = room.students
    for each in (earned, other):
        if how == "left out":  # Moodle's roster leaves a suspended enrolment out
            room.lms.suspend(room.course, each)
        else:
            room.lms.faults.on("memberships", "rows", user=each.id, set={"status": "Inactive"})
    room.grade(earned, 1, 1)
    room.grade(other, 4, 4)
    job = room.sync()
    assert (job.state, job.outcome["reviews"]) == ("done", 0)
    assert room.award(earned)["status"] == "issued" and room.awards(other) == []


def test_F22_without_names_and_addresses_everything_works(make_room, mood, shared):
    tool = shared.lti_tool[mood]
    tool.privacy = "anonymous"
    try:
        room = make_room(mood=mood)
        room.publish(badge(SLUG))
        room.grade(room.students[0], 4, 4)
        assert room.sync().state == "done"
        page = room.enter(room.teacher).get(f"badges/{room.badge.slug}")
        assert "Learner" in page.text and room.students[0].family_name not in page.text
        assert room.award()["status"] == "issued"
        assert room.enter(room.students[0]).page.status_code == 200
    finally:
        tool.privacy = "public"


def test_F23_a_result_of_somebody_no_roster_names_is_kept_aside_and_counted(room):
    stranger = room.lms.add_user(room.course, "student")
    room.grade(stranger, 4, 4)
    room.lms.faults.on("memberships", "rows", change=lambda body: without(body, stranger))
    job = room.sync()
    assert (job.state, job.outcome["aside"]) == ("done", 1)
    assert room.awards(stranger) == []
    assert stranger.id in {sub for _, sub in results_of(room)}
    # she is awarded as soon as she is a learner of this course
    room.lms.faults.clear()
    assert room.sync().outcome["aside"] == 0
    assert room.award(stranger)["status"] == "issued"


@pytest.mark.parametrize("odd", ["x\0y", "x\ud800", "x" * 256])
def test_B28_F23_somebody_whose_id_cannot_be_stored_is_set_aside_and_the_others_go_on(room, caplog, odd):
    other = room.lms.add_user(room.course, "student")
    room.grade(other, 4, 4)
    room.lms.faults.on("memberships", "rows", user=other.id, set={"user_id": odd})
    room.lms.faults.on("results", "rows", user=other.id, set={"userId": odd})
    assert room.sync().state == "done"
    assert room.award()["status"] == "issued" and room.awards(other) == []
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "members set aside" in told and "results set aside" in told


def without(body, user):
    return {**body, "members": [each for each in body["members"] if each["user_id"] != user.id]}


# -- scores -----------------------------------------------------------------------------------------------------


def mark(room, level):
    """Mark the first student's row A as an instructor does in the tool."""
    from lti_tool.services import marking
    from lti_tool.services.marking import Wish

    marking.save(
        room.tool,
        room.id,
        room.badge.slug,
        room.person_id(room.students[0]),
        [Wish("sub-competency:A", level, "", 0)],
        actor=audit.person(room.person_id(room.teacher)),
        now=now(),
    )


def post(room):
    return room.run("post", str(room.id))


LEARNER = "The LMS does not know this person as a learner who can be graded."
REFUSALS = {
    ("canvas", "not_a_student"): (1, LEARNER),
    ("moodle", "not_a_student"): (1, LEARNER),
    ("canvas", "unpublished"): (1, "The assignment behind the column is not published in the LMS yet."),
    ("canvas", "course_concluded"): (0, "The course has ended in the LMS, which takes no grades any more."),
}


@pytest.mark.parametrize(("mood", "reason"), list(REFUSALS))
def test_F24_a_score_that_is_refused_is_not_sent_again_and_the_page_says_why(make_room, mood, reason):
    """Of Moodle only the first: it has neither unpublished columns nor courses that refuse their grades.

    Where the course has ended nothing is sent at all: the column is read first."""
    room = make_room(mood=mood)
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.sync()
    student, column = room.students[0], room.columns[0]
    if reason == "not_a_student":
        room.lms.unenrol(room.course, student)
    elif reason == "unpublished":
        room.lms.publish_column(room.course, column, False)
    else:
        room.lms.conclude_course(room.course)
    mark(room, 2)
    room.lms.requests.clear()
    post(room)
    sent, sentence = REFUSALS[mood, reason]
    assert len(asked(room, "scores")) == sent
    with room.tool.db.read() as session:
        key = (room.course_badge(session).id, room.person_id(student), "sub-competency:A")
        kept = session.get_one(Posting, key)
    assert (kept.state, kept.reason) == ("refused", reason)
    assert sentence in text_of(room.page.get(f"badges/{room.badge.slug}/marking/{kept.person_id}").text)
    post(room)
    assert len(asked(room, "scores")) == sent  # nor does the next run send it again before its time
    assert room.id not in posting.courses_due(room.tool, now())
