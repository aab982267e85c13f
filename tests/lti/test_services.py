"""Tokens, gradebook and roster over HTTP, and what happens when they fail: table F."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import jwt
import pytest

from lti_tool.errors import (
    AccessRefused,
    AddressRefused,
    ColumnMissing,
    CourseConcluded,
    PagingLoop,
    ScopeMissing,
    ScoreRefused,
    ServiceBusy,
    ServiceError,
    ServiceUnreachable,
    TokenRefused,
)
from lti_tool.http import Response
from lti_tool.lti import ags, nrps
from lti_tool.lti.ags import RawResult, create_line_item, list_line_items, post_score, results
from lti_tool.lti.nrps import memberships
from lti_tool.lti.platforms import platform_of
from lti_tool.lti.roles import Role
from lti_tool.lti.service import with_path, with_query
from lti_tool.lti.token import client_assertion


def column_with_grades(room, count=3):
    """A column of the tool's, and `count` students graded 1, 2, 3 … of 100 by their teacher."""
    item = create_line_item(
        room.service(), room.line_items_url, label="Listens", maximum=100, resource_id="badge:oral", tag="sc:OC-1"
    )
    column = next(column for column in room.lms.columns(room.course) if room.lms.lineitem_url(column) == item.url)
    students = [*room.students, *(room.lms.add_user(room.course, "student") for _ in range(count - 3))][:count]
    for points, student in enumerate(students, start=1):
        room.lms.grade(room.course, column, student, points)
    return item, column, students


def paged(canvas, count=45, size=10):
    """A Canvas column whose results come in pages of `size`."""
    item, column, students = column_with_grades(canvas, count)
    canvas.lms.max_page_size = size
    canvas.lms.requests.clear()
    return item, column, students


# Columns


def test_a_column_is_made_with_its_keys_and_found_by_them(room):
    service = room.service()
    made = create_line_item(service, room.line_items_url, label="Listens", maximum=4, resource_id="badge:a", tag="t:1")
    create_line_item(service, room.line_items_url, label="Speaks", maximum=4, resource_id="badge:a", tag="t:2")
    assert (made.label, made.maximum, made.resource_id, made.tag) == ("Listens", 4, "badge:a", "t:1")
    assert [item.tag for item in list_line_items(service, room.line_items_url, resource_id="badge:a")] == [
        "t:1",
        "t:2",
    ]
    assert [item.url for item in list_line_items(service, room.line_items_url, tag="t:1")] == [made.url]
    assert list_line_items(service, room.line_items_url, tag="none") == ()


def test_all_columns_are_listed_over_pages(canvas):
    service = canvas.service()
    for number in range(25):
        create_line_item(service, canvas.line_items_url, label="x", maximum=1, resource_id="badge:a", tag=f"t:{number}")
    canvas.lms.max_page_size = 10
    assert [i.tag for i in list_line_items(service, canvas.line_items_url)] == [f"t:{number}" for number in range(25)]


def test_a_column_of_canvas_waits_for_no_submission(canvas):
    column_with_grades(canvas)
    made = json.loads(next(r.body for r in canvas.asked("lineitems") if r.method == "POST"))
    assert made["https://canvas.instructure.com/lti/submission_type"] == {"type": "none"}


def test_a_label_is_no_longer_than_moodle_can_keep(moodle):
    item = create_line_item(
        moodle.service(), moodle.line_items_url, label="x" * 400, maximum=1, resource_id="badge:a", tag="t"
    )
    assert len(item.label) == 255


# Results


def test_results_keep_the_text_as_received_and_numbers_as_decimals(room):
    item, _, students = column_with_grades(room)
    found = results(room.service(), item.url)
    assert [result.user_id for result in found] == [student.id for student in students]
    for points, result in enumerate(found, start=1):
        assert json.loads(result.raw) == {
            name: float(value) if isinstance(value, Decimal) else value for name, value in result.values.items()
        }
        assert isinstance(result.values["resultScore"], Decimal)
        assert Fraction(result.values["resultScore"]) / Fraction(result.values["resultMaximum"]) == Fraction(
            points, 100
        )


def test_somebody_never_graded_has_no_result(room):
    item, _, students = column_with_grades(room, count=2)
    assert {result.user_id for result in results(room.service(), item.url)} == {student.id for student in students}


def test_one_persons_result_can_be_asked_for(room):
    item, _, students = column_with_grades(room)
    (result,) = results(room.service(), item.url, user_id=students[1].id)
    assert result.user_id == students[1].id


def test_a_grade_that_was_taken_back_has_no_score(canvas):
    item, column, students = column_with_grades(canvas)
    canvas.lms.grade(canvas.course, column, students[0], None)
    (result,) = [r for r in results(canvas.service(), item.url) if r.user_id == students[0].id]
    assert "resultScore" not in result.values


def test_f17_results_and_scores_go_before_the_query(moodle):
    item, _, students = column_with_grades(moodle)
    assert "?type_id=" in item.url
    results(moodle.service(), item.url)
    moodle.clock.ahead = 5
    at = moodle.clock()
    post_score(moodle.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=at)
    assert moodle.asked("results")[-1].path.endswith("/lineitem/results")
    assert moodle.asked("scores")[-1].path.endswith("/lineitem/scores")
    assert "type_id=" in moodle.asked("results")[-1].query


def test_limit_is_sent_to_canvas_and_never_to_moodle(canvas, moodle):
    """Moodle 4.5.6 answers `limit` on results with 404."""
    for room, expected in ((canvas, True), (moodle, False)):
        item, _, _ = column_with_grades(room)
        results(room.service(), item.url)
        assert ("limit=100" in room.asked("results")[-1].query) is expected


class FakeService:
    """Answers one page of results; for answers no LMS of ours gives."""

    platform = platform_of("other")

    def __init__(self, body: bytes) -> None:
        self.body = body

    def pages(self, url, **options):
        yield Response(200, "OK", {}, self.body, url)


def test_the_raw_text_of_a_result_is_kept_to_the_letter():
    raw = '{"resultScore": 0.70,  "userId":"5", "resultMaximum":1e0, "x": [1.10, {"y": "\\u00e9 ] }"}]}'
    (result,) = results(FakeService(f" [ {raw} ] \n".encode()), "https://lms.example/1")
    assert result == RawResult("5", raw, json.loads(raw, parse_float=Decimal, parse_int=Decimal))
    assert str(result.values["resultScore"]) == "0.70"


def test_a_number_beyond_all_measure_is_infinite_and_keeps_no_other_from_being_read():
    text = '[{"userId": 5, "resultScore": 1e999999999, "resultMaximum": ' + "9" * 5000 + "}]"
    (result,) = results(FakeService(text.encode()), "https://lms.example/1")
    assert result.user_id == "5"
    assert not result.values["resultScore"].is_finite() and not result.values["resultMaximum"].is_finite()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[",
        "[{}",
        "[{},]",
        "[,]",
        "[{}{}]",
        "[{}] x",
        "[7]",
        "[{}]",
        '[{"userId": null}]',
        "\xff",
        '[{"userId": ""}]',
        '[{"userId": "5", "resultScore": NaN}]',
        '[{"userId": "5", "resultScore": -Infinity}]',
        "<html>",
        "[" * 100_000,
        '[{"userId": ["5"]}]',
    ],
)
def test_an_answer_that_is_not_a_list_of_results_is_an_error(text):
    with pytest.raises(ServiceError) as error:
        results(FakeService(text.encode("latin-1")), "https://lms.example/1")
    assert error.value.reason == "malformed"


# Scores


def test_a_score_is_posted_in_full_and_as_canvas_needs_it(canvas):
    item, column, students = column_with_grades(canvas)
    moment = canvas.clock() + timedelta(seconds=5)  # Canvas refuses a score older than its last change
    post_score(
        canvas.service(),
        item.url,
        user_id=students[0].id,
        points=Fraction(7, 10),
        maximum=Decimal("4.0"),
        timestamp=moment.replace(microsecond=123456),
        comment="Well listened",
    )
    sent = json.loads(canvas.asked("scores")[-1].body)
    assert sent == {
        "userId": students[0].id,
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.123Z",
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "scoreGiven": 0.7,
        "scoreMaximum": 4,
        "comment": "Well listened",
        "https://canvas.instructure.com/lti/submission": {"new_submission": False},
    }
    assert canvas.lms.score_of(canvas.course, column, students[0]) == pytest.approx(17.5)


def test_a_score_after_a_score_takes_the_time_the_platform_needs(room):
    item, _, students = column_with_grades(room)
    service, last = room.service(), None
    room.clock.ahead = 5
    for points in (1, 2, 3):
        last = service.platform.score_time(room.clock(), last)
        post_score(service, item.url, user_id=students[0].id, points=points, maximum=4, timestamp=last)
    (result,) = results(service, item.url, user_id=students[0].id)
    assert result.values["resultScore"] / result.values["resultMaximum"] == Decimal("0.75")


def test_a_score_earlier_than_the_teachers_grade_is_refused_for_good(room):
    item, _, students = column_with_grades(room)
    with pytest.raises(ScoreRefused) as refusal:
        post_score(
            room.service(),
            item.url,
            user_id=students[0].id,
            points=1,
            maximum=4,
            timestamp=datetime.now(UTC) - timedelta(hours=1),
        )
    assert refusal.value.reason == "earlier_timestamp"
    assert len(room.asked("scores")) == 1


def test_f24_a_score_for_somebody_who_is_no_student_is_refused_for_good_with_the_reason(room):
    item, _, _ = column_with_grades(room)
    with pytest.raises(ScoreRefused) as refusal:
        post_score(room.service(), item.url, user_id=room.teacher.id, points=1, maximum=4, timestamp=room.clock())
    assert refusal.value.reason == "not_a_student"
    assert len(room.asked("scores")) == 1
    for private in (room.teacher.id, room.teacher.name, "userId"):
        assert private not in f"{refusal.value.detail} {refusal.value.sentence}"


def test_f24_a_score_into_an_unpublished_assignment_says_so(canvas):
    item, column, students = column_with_grades(canvas)
    canvas.lms.publish_column(canvas.course, column, False)
    with pytest.raises(ScoreRefused) as refusal:
        post_score(canvas.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=canvas.clock())
    assert refusal.value.reason == "unpublished" and "not published" in refusal.value.sentence


def test_f24_a_concluded_course_is_no_error_of_the_score(canvas):
    item, _, students = column_with_grades(canvas)
    canvas.lms.conclude_course(canvas.course)
    service = canvas.service()
    with pytest.raises(CourseConcluded):
        post_score(service, item.url, user_id=students[0].id, points=1, maximum=4, timestamp=canvas.clock())
    with pytest.raises(CourseConcluded):
        results(service, item.url)
    with pytest.raises(CourseConcluded):
        list_line_items(service, canvas.line_items_url)


def test_a_grade_locked_in_moodle_is_refused_for_good(moodle):
    item, _, students = column_with_grades(moodle)
    moodle.lms.faults.on("scores", "status", status=500, body="[]")
    with pytest.raises(ScoreRefused) as refusal:
        post_score(moodle.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=moodle.clock())
    assert refusal.value.reason == "grade_locked"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_score_is_never_sent_twice_by_itself(canvas, status):
    item, _, students = column_with_grades(canvas)
    canvas.lms.requests.clear()
    canvas.lms.faults.on("scores", "status", status=status)
    with pytest.raises(ServiceError):
        post_score(canvas.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=canvas.clock())
    assert len(canvas.asked("scores")) == 1


# Roster


def test_the_roster_names_people_with_their_roles(room):
    people = {member.user_id: member for member in memberships(room.service(), room.memberships_url)}
    assert people[room.teacher.id].course_roles == (Role.INSTRUCTOR,)
    for student in room.students:
        member = people[student.id]
        assert member.course_roles == (Role.LEARNER,) and member.is_active and not member.test_user
        assert (member.name, member.email) == (student.name, student.email)


def test_the_whole_roster_is_read_over_pages(canvas):
    for _ in range(60):
        canvas.lms.add_user(canvas.course, "student")
    assert len(memberships(canvas.service(), canvas.memberships_url)) == 64
    assert len(canvas.asked("memberships")) == 2


def test_the_test_student_of_canvas_is_marked(canvas):
    user = canvas.lms.add_user(canvas.course, "test")
    people = {member.user_id: member for member in memberships(canvas.service(), canvas.memberships_url)}
    assert people[user.id].test_user


def test_F21_an_inactive_member_is_told_from_an_active_one():
    members = [
        {"user_id": "1", "status": "Inactive", "roles": ["Learner"]},
        {"user_id": "2", "roles": []},
        {"user_id": "3", "status": "Deleted"},
    ]
    read = memberships(FakeService(json.dumps({"members": members}).encode()), "https://lms.example/m")
    assert [(m.user_id, m.is_active) for m in read] == [("1", False), ("2", True), ("3", False)]


def test_a_section_whose_number_is_beyond_all_measure_is_left_out():
    told = {"canvas_section_ids": f"2,{'9' * 5000},1", "canvas_section_names": '["Two", "x", "One"]'}
    assert platform_of("canvas").sections(told) == (("1", ""), ("2", ""))


def test_F22_a_roster_without_names_and_addresses_works(room):
    room.tool.privacy = "anonymous"
    people = memberships(room.service(), room.memberships_url)
    assert len(people) == 4
    assert {(m.name, m.email) for m in people} == {(None, None)}


@pytest.mark.parametrize(
    "body", ["[]", "{}", "x", '{"members": [7]}', '{"members": [{"user_id": 7}]}', '{"members": {}}']
)
def test_an_answer_that_is_no_roster_is_an_error(body):
    with pytest.raises(ServiceError):
        memberships(FakeService(body.encode()), "https://lms.example/m")


# Tokens


def test_a_token_serves_many_calls_and_both_services_have_their_own(room):
    item, _, _ = column_with_grades(room)
    for _ in range(3):
        results(room.service(), item.url)
        memberships(room.service(), room.memberships_url)
    assert len(room.asked("token")) == 2


def test_a_token_is_renewed_a_minute_before_its_end(room):
    room.tokens.get(room.registration, [ags.RESULT_READ])
    room.clock.ahead = 3600 - 61
    room.tokens.get(room.registration, [ags.RESULT_READ])
    assert len(room.asked("token")) == 1


def test_a_token_about_to_end_is_replaced(room, lms_clock):
    room.tokens.get(room.registration, [ags.RESULT_READ])
    room.clock.ahead = lms_clock.ahead = 3600 - 59
    room.tokens.get(room.registration, [ags.RESULT_READ])
    assert len(room.asked("token")) == 2


def test_a_token_is_never_that_of_another_client_of_the_same_issuer(canvas, tool_jwks_url):
    other_tool = canvas.lms.register_tool("http://x.example/l", "http://x.example/l", tool_jwks_url)
    other = replace(canvas.registration, id=canvas.registration.id + 10_000, client_id=other_tool.client_id)
    one = canvas.tokens.get(canvas.registration, [ags.RESULT_READ])
    two = canvas.tokens.get(other, [ags.RESULT_READ])
    assert one.value != two.value
    assert canvas.lms.access[two.value].client_id == other_tool.client_id


def test_20_threads_ask_for_one_token(room):
    with ThreadPoolExecutor(20) as threads:
        tokens = list(threads.map(lambda _: room.tokens.get(room.registration, [ags.RESULT_READ]), range(20)))
    assert len({token.value for token in tokens}) == 1
    assert len(room.asked("token")) == 1


def test_the_assertion_says_all_that_canvas_checks(room):
    now = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    token = client_assertion(room.registration, room.key, "dep-1", now)
    assert jwt.get_unverified_header(token)["kid"] == room.key.kid
    claims = jwt.decode(token, options={"verify_signature": False})
    assert len(claims.pop("jti")) >= 22
    assert claims == {
        "iss": room.tool.client_id,
        "sub": room.tool.client_id,
        "aud": room.lms.token_url,
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        "https://purl.imsglobal.org/spec/lti/claim/deployment_id": "dep-1",
    }
    audience = replace(room.registration, auth_audience="https://lms.example/aud")
    assert jwt.decode(client_assertion(audience, room.key, None, now), options={"verify_signature": False})["aud"] == (
        "https://lms.example/aud"
    )


def test_f09_a_token_answer_in_html_is_an_error_of_the_service(room):
    room.lms.faults.on("token", "html")
    with pytest.raises(ServiceError) as error:
        memberships(room.service(), room.memberships_url)
    assert error.value.reason == "not_json" and not isinstance(error.value, TokenRefused)


def test_f09_a_token_without_expires_in_lasts_an_hour(room):
    room.lms.faults.on("token", "no_expires_in")
    token = room.tokens.get(room.registration, [ags.RESULT_READ])
    assert timedelta(minutes=59) < token.ends_at - room.clock() <= timedelta(hours=1)


def test_f09_a_scope_that_was_not_granted_is_missing_before_the_call(room):
    item, _, students = column_with_grades(room)
    room.tokens = room.new_token_cache()
    room.lms.faults.on("token", "scope_subset")
    room.lms.requests.clear()
    with pytest.raises(ScopeMissing):
        post_score(room.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=room.clock())
    assert room.asked("scores") == []
    assert results(room.service(), item.url)


def test_f09_a_scope_the_launch_does_not_grant_is_not_even_asked_for(room):
    item, _, _ = column_with_grades(room)
    room.lms.requests.clear()
    with pytest.raises(ScopeMissing):
        results(room.service(granted=frozenset({ags.SCORE})), item.url)
    assert list(room.lms.requests) == []


def test_a_scope_the_registration_has_lost_is_missing_not_a_refusal(room):
    room.tool.scopes = [ags.SCORE]
    with pytest.raises(ScopeMissing):
        room.tokens.get(room.registration, [ags.RESULT_READ])


@pytest.mark.parametrize("status", [400, 401])
def test_f08_the_token_endpoints_refusal_is_a_state_of_the_registration(room, status):
    room.lms.faults.on("token", "status", status=status, body='{"error": "invalid_client"}')
    with pytest.raises(TokenRefused):
        memberships(room.service(), room.memberships_url)
    assert len(room.asked("token")) == 1


def test_f08_the_broken_json_of_moodles_refusal_is_read(moodle):
    moodle.lms.faults.on(
        "token", "status", status=400, body='{"error" : ""kid" invalid, unable to lookup correct key"}'
    )
    with pytest.raises(TokenRefused) as refusal:
        memberships(moodle.service(), moodle.memberships_url)
    assert "kid" in refusal.value.detail


def test_f03_the_token_endpoint_may_fail_twice(room):
    room.lms.faults.on("token", "status", status=503, count=2)
    assert room.tokens.get(room.registration, [ags.RESULT_READ]).value


# Services failing


@pytest.mark.parametrize("status", [500, 502, 503])
def test_f03_two_failures_then_an_answer_succeeds(room, status):
    item, _, _ = column_with_grades(room)
    room.lms.faults.on("results", "status", status=status, count=2)
    assert len(results(room.service(), item.url)) == 3
    assert len(room.pauses) == 2 and 0 < room.pauses[0] < room.pauses[1] <= 5


def test_f03_a_third_failure_is_an_error(room):
    item, _, _ = column_with_grades(room)
    room.lms.requests.clear()
    room.lms.faults.on("results", "status", status=502)
    with pytest.raises(ServiceError) as error:
        results(room.service(), item.url)
    assert error.value.reason == "status_502"
    assert len(room.asked("results")) == 3


def test_f07_a_401_drops_the_token_and_one_new_one_is_tried(room):
    item, _, _ = column_with_grades(room)
    results(room.service(), item.url)
    room.lms.faults.expire_tokens()
    room.lms.requests.clear()
    assert len(results(room.service(), item.url)) == 3
    assert (len(room.asked("token")), len(room.asked("results"))) == (1, 2)


def test_f08_a_second_401_is_a_state_of_the_course(room):
    item, _, _ = column_with_grades(room)
    room.lms.requests.clear()
    room.lms.faults.on("results", "status", status=401)
    with pytest.raises(AccessRefused):
        results(room.service(), item.url)
    assert (len(room.asked("token")), len(room.asked("results"))) == (1, 2)


def test_f08_one_course_the_tool_was_taken_out_of_leaves_the_other_working(canvas):
    item, _, _ = column_with_grades(canvas)
    other = canvas.lms.add_course("OTHER")
    canvas.lms.withdraw_tool(canvas.course, canvas.tool)
    with pytest.raises(AccessRefused):
        results(canvas.service(), item.url)
    assert list_line_items(canvas.service(), canvas.lms.lineitems_url(other, canvas.tool)) == ()


def test_f10_a_token_that_ends_mid_paging_is_replaced_and_the_page_repeated(canvas):
    item, _, students = paged(canvas)
    canvas.tokens = canvas.new_token_cache()
    canvas.lms.faults.on("token", "expires_after", requests=2, count=1)
    assert [r.user_id for r in results(canvas.service(), item.url)] == [student.id for student in students]
    assert len(canvas.asked("token")) == 2


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_f11_a_next_link_to_the_same_page_stops(request, mood):
    room = request.getfixturevalue(mood)
    item, _, _ = column_with_grades(room)
    room.lms.requests.clear()
    room.lms.faults.on("results", "next_same")
    with pytest.raises(PagingLoop):
        results(room.service(), item.url)
    assert len(room.asked("results")) <= 2


@pytest.mark.parametrize("kind", ["next_host", "next_http"])
def test_f13_a_next_link_to_another_host_or_scheme_is_refused(canvas, kind):
    item, _, _ = paged(canvas)
    canvas.lms.faults.on("results", kind)
    with pytest.raises(AddressRefused):
        results(canvas.service(), item.url)
    assert len(canvas.asked("results")) == 1


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "file:///etc/passwd", "//evil.example/x", "gopher://x/"])
def test_f13_a_next_link_to_anywhere_else_is_refused(canvas, target):
    item, _, _ = paged(canvas)
    canvas.lms.faults.on("results", "next_to", url=target)
    with pytest.raises(AddressRefused):
        results(canvas.service(), item.url)


def test_f14_a_next_link_with_upper_case_path_and_repeated_limit_is_used_as_is(canvas):
    item, _, students = paged(canvas)
    canvas.lms.faults.on("results", "next_uppercase")
    assert len(results(canvas.service(), item.url)) == len(students)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 404},
        {"kind": "html"},
        {"kind": "drop"},
        {"kind": "rate_limited"},
    ],
)
def test_f16_where_page_three_of_five_fails_nothing_is_read(canvas, fault):
    item, _, _ = paged(canvas)
    canvas.lms.faults.on("results", page=3, **fault)
    with pytest.raises(ServiceError):
        results(canvas.service(), item.url)


def test_f18_a_deleted_column_is_missing(room):
    item, column, students = column_with_grades(room)
    room.lms.delete_column(room.course, column)
    with pytest.raises(ColumnMissing):
        results(room.service(), item.url)
    with pytest.raises(ColumnMissing):
        post_score(room.service(), item.url, user_id=students[0].id, points=1, maximum=4, timestamp=room.clock())


def test_a_404_for_the_roster_is_no_missing_column(room):
    room.lms.faults.on("memberships", "status", status=404)
    with pytest.raises(ServiceError) as error:
        memberships(room.service(), room.memberships_url)
    assert error.value.reason == "status_404" and not isinstance(error.value, ColumnMissing)


@pytest.mark.parametrize("status", [403, 429])
def test_f05_canvas_throttle_is_a_pause_not_a_refusal(canvas, status):
    item, _, _ = column_with_grades(canvas)
    canvas.lms.faults.on("results", "rate_limited", status=status, retry_after=60)
    with pytest.raises(ServiceBusy) as busy:
        results(canvas.service(), item.url)
    assert busy.value.retry_after == 60


def test_f01_an_lms_that_is_not_there_is_unreachable(room):
    gone = replace(room.registration, auth_token_url="http://localhost:1/token")
    with pytest.raises(ServiceUnreachable):
        memberships(room.service(registration=gone), room.memberships_url)


# Addresses and links


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://l.example/1/lineitem?type_id=1", "https://l.example/1/lineitem/results?type_id=1"),
        ("https://l.example/1", "https://l.example/1/results"),
        ("https://l.example/1/", "https://l.example/1/results"),
        ("https://l.example/A?b=%2F?c", "https://l.example/A/results?b=%2F?c"),
    ],
)
def test_f17_an_ending_goes_behind_the_path(url, expected):
    assert with_path(url, "results") == expected


def test_parameters_are_added_to_what_is_there():
    assert with_query("https://l.example/a?b=1", limit=100, tag=None) == "https://l.example/a?b=1&limit=100"
    assert (
        with_query("https://l.example/a", tag="sub-competency:A&B") == "https://l.example/a?tag=sub-competency%3AA%26B"
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('<https://a/B?c=D&limit=1&limit=2>; rel="next"', "https://a/B?c=D&limit=1&limit=2"),
        ('<https://a/1>; rel="current",<https://a/2>; rel="next",<https://a/9>; rel="last"', "https://a/2"),
        ("<https://a/2>; rel=next", "https://a/2"),
        ('<https://a/2>; title="x, y; rel=z"; rel=\'x\'; rel="prev next"', "https://a/2"),
        ('<https://a/2?q=a,b;c>;rel="NEXT"', "https://a/2?q=a,b;c"),
        ('<https://a/2>; rel="nextish"', None),
        ('<https://a/2>; title="; rel=next"; rel="prev"', None),
        ("<https://a/2>;" + " " * 15_000 + "x", None),
        ("<" * 60_000, None),
        ('<https://a/2>; rel="prev", <https://a/3>; rel="differences"', None),
        ("", None),
        ("next", None),
    ],
)
def test_the_next_page_is_read_from_the_link_header(header, expected):
    assert platform_of("other").next_page(header) == expected


def test_the_next_page_of_moodle_has_curly_quotes_and_entities():
    header = "<http://m/lineitems?type_id=1&amp;limit=2&amp;from=2>; rel=“next”".encode().decode("latin-1")
    assert platform_of("moodle").next_page(header) == "http://m/lineitems?type_id=1&limit=2&from=2"
    assert platform_of("moodle").next_page('<http://m/x?limit=3&copy=1>; rel="next"') == "http://m/x?limit=3&copy=1"


def test_score_times_are_strictly_later_and_whole_seconds_on_moodle():
    now = datetime(2026, 11, 22, 10, 0, 0, 900_000, UTC)
    assert platform_of("canvas").score_time(now, None) == now
    assert platform_of("canvas").score_time(now, now) == now + timedelta(milliseconds=1)
    second = now.replace(microsecond=0)
    assert platform_of("moodle").score_time(now, None) == second
    assert platform_of("moodle").score_time(now, second) == second + timedelta(seconds=1)
    assert platform_of("moodle").score_time(now, now + timedelta(seconds=5)) == second + timedelta(seconds=6)


@pytest.mark.parametrize("product", ["canvas", "moodle", "other", None, "Blackboard"])
def test_every_platform_says_where_to_click(product):
    platform = platform_of(product)
    told = platform.keep_out_of_total()
    assert "course total" in told.what and (product not in ("canvas", "moodle") or len(told.clicks) == 3)


def test_the_roster_scope_is_not_among_the_gradebooks(room):
    assert nrps.MEMBERSHIPS_READ not in room.service().granted
