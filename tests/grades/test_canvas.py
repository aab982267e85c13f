"""Canvas' rubrics and course grades over real HTTP: what is offered and read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from lti_tool import demo
from lti_tool.errors import AddressRefused, NotConnected, PagingLoop, ServiceBusy, ServiceError, SourceMissing
from lti_tool.grades import canvas
from lti_tool.grades.source import AskedCourse
from lti_tool.http import Http

BACK = "http://localhost:1/connect/canvas"


@pytest.fixture(scope="module")
def site() -> Iterator[demo.Running]:
    with demo.start(("canvas",), filled=False) as running:
        yield running


class Class:
    """A course of the demo's Canvas with an assignment, and somebody who reads it."""

    def __init__(self, site: demo.Running) -> None:
        self.lms: Any = site.canvas
        self.rest, self.rubrics = self.lms.mood.rest, self.lms.mood.rubrics
        self.lms.faults.clear()
        self.lms.max_page_size = None
        self.course = self.lms.add_course(f"C{len(self.lms.courses)}")
        self.teacher = self.lms.add_user(self.course, "instructor")
        self.students = [self.lms.add_user(self.course, "student") for _ in range(3)]
        self.essay = self.rubrics.add(self.course, "Essay", ("Data modelling", "SC-1.2"), ("SQL", None))
        self.key = self.rest.add_key(BACK)
        self.http = Http(allow_private=True, sleep=lambda _: None)
        self.token = self.connect(self.teacher)
        self.refusals: list[str | None] = []
        self.caller = canvas.Caller(self.http, self.lms.server_root, self.access)

    def access(self, refused: str | None) -> str:
        self.refusals.append(refused)
        if refused is not None:
            self.token = canvas.renew(
                self.http, self.lms.server_root, self.key.client_id, self.key.secret, self.token.refresh
            )
        return self.token.access

    def connect(self, user: Any) -> canvas.Token:
        return canvas.redeem(
            self.http, self.lms.server_root, self.key.client_id, self.key.secret, self.code(user), BACK
        )

    def code(self, user: Any) -> str:
        """Consent as a person does, and return the code that comes back."""
        address = canvas.consent_address(self.lms.server_root, self.key.client_id, BACK, "the-state")
        answer = requests.post(address, data={"as": user.id, "do": "authorize"}, allow_redirects=False, timeout=10)
        back = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert back["state"] == ["the-state"]
        return back["code"][0]

    @property
    def asked(self) -> AskedCourse:
        """The course with its roster's numbers, as NRPS gives them for a resource link."""
        return AskedCourse(self.course.id, {str(one.number): one.id for one in (*self.students, self.teacher)})

    def place(self, row: int = 0) -> dict[str, str]:
        return {"assignment": str(self.essay.number), "criterion": self.essay.criteria[row].id}

    def read(self, row: int = 0) -> dict[str, dict[str, Any]]:
        answers = canvas.read(self.caller, self.asked, {"t": self.place(row)})["t"]
        return {each.user_id: json.loads(each.raw, parse_float=Decimal) for each in answers}

    def refusal(self) -> NotConnected:
        with pytest.raises(NotConnected) as refused:
            self.read()
        return refused.value


@pytest.fixture
def room(site: demo.Running) -> Class:
    return Class(site)


# -- offered


def test_every_rubric_row_is_offered_with_its_outcome_code_title_points_and_assignment(room: Class) -> None:
    rows = [row for row in canvas.offered(room.caller, room.asked) if not row.gate]
    told = [(row.code, row.title, row.where, Decimal(row.maximum)) for row in rows]
    assert told == [("SC-1.2", "Data modelling", "Essay", 4), ("", "SQL", "Essay", 4)]
    assert rows[0].place == room.place()


def test_the_course_grade_is_offered_for_gates_the_strict_one_first(room: Class) -> None:
    gates = [row.place["course_grade"] for row in canvas.offered(room.caller, room.asked) if row.gate]
    assert gates == ["final_score", "current_score"]


def test_an_assignment_of_another_course_is_never_offered(room: Class, site: demo.Running) -> None:
    other = Class(site)
    assert str(other.essay.number) not in {
        row.place.get("assignment") for row in canvas.offered(room.caller, room.asked)
    }


# -- read


def test_a_row_is_read_for_the_whole_class_over_pages_with_who_marked_it_and_how(room: Class) -> None:
    room.lms.max_page_size = 2
    for student, points in zip(room.students, (4, 2, 1), strict=True):
        room.rubrics.mark(room.essay, student, points, 3, grader=room.teacher, comments="Good  work")
    found = room.read()
    ana = found[room.students[0].id]
    assert (ana["resultScore"], ana["resultMaximum"], ana["level"]) == (4, 4, "Advanced")
    assert (ana["comment"], ana["gradedBy"], "released" in ana) == ("Good work", room.teacher.id, False)
    assert ana["gradedAt"]
    assert [found[student.id]["resultScore"] for student in room.students] == [4, 2, 1]
    assert {each["resultScore"] for each in room.read(1).values()} == {3}


def test_numbers_stay_as_Canvas_wrote_them(room: Class) -> None:
    room.rubrics.mark(room.essay, room.students[0], 2.7)
    (answer,) = canvas.read(room.caller, room.asked, {"t": room.place()})["t"]
    assert '"resultScore": 2.7,' in answer.raw


def test_who_is_not_marked_or_excused_has_no_answer(room: Class) -> None:
    room.rubrics.mark(room.essay, room.students[0], None, 3)
    room.rubrics.mark(room.essay, room.students[1], 4)
    room.rubrics.excuse(room.essay, room.students[1])
    assert room.read() == {}


def test_a_grade_that_is_not_posted_is_not_released(room: Class) -> None:
    room.essay.post_manually = True
    room.rubrics.mark(room.essay, room.students[0], 4)
    assert room.read()[room.students[0].id]["released"] is False
    room.rubrics.post(room.essay)
    room.caller = canvas.Caller(room.http, room.lms.server_root, room.access)
    assert "released" not in room.read()[room.students[0].id]


def test_a_rubric_that_hides_its_points_is_read_by_the_rating(room: Class) -> None:
    room.essay.hide_points = True
    room.rubrics.mark(room.essay, room.students[0], 3)
    assert room.read()[room.students[0].id]["resultScore"] == 3


def test_free_comments_count_by_their_points_and_without_points_not_at_all(room: Class) -> None:
    room.essay.free_form = True
    room.rubrics.mark(room.essay, room.students[0], 2.5, comments="In my own words")
    room.rubrics.mark(room.essay, room.students[1], None, comments="Words only")
    found = room.read()
    assert set(found) == {room.students[0].id}
    assert found[room.students[0].id]["resultScore"] == Decimal("2.5")
    assert "level" not in found[room.students[0].id]


def test_who_is_not_in_the_roster_has_no_answer(room: Class) -> None:
    room.rubrics.mark(room.essay, room.students[0], 3)
    room.students.pop(0)
    assert room.read() == {}


def test_the_course_grade_is_a_share_of_a_hundred(room: Class) -> None:
    room.rubrics.add(room.course, "Not yet marked", ("Row", None))
    room.rubrics.mark(room.essay, room.students[0], 3, 3)
    places = {"c": {"course_grade": "current_score"}, "f": {"course_grade": "final_score"}}
    found = canvas.read(room.caller, room.asked, places)
    shares = {tag: json.loads(answers[0].raw) for tag, answers in found.items()}
    assert (shares["c"]["resultScore"], shares["f"]["resultScore"]) == (75.0, 50.0)
    assert shares["c"]["resultMaximum"] == 100
    ungraded = {each.user_id for each in found["c"]}
    assert ungraded == {room.students[0].id}


def test_one_assignment_is_asked_for_once_in_a_sync(room: Class) -> None:
    before = len(room.lms.requests)
    canvas.read(room.caller, room.asked, {"a": room.place(0), "b": room.place(1)})
    assert [one.service for one in list(room.lms.requests)[before:]] == ["assignments", "submissions"]


# -- tokens


def test_a_token_that_has_ended_is_renewed_once_and_the_reading_goes_on(room: Class) -> None:
    room.rubrics.mark(room.essay, room.students[0], 3)
    old = room.token
    room.rest.expire()
    assert room.read()[room.students[0].id]["resultScore"] == 3
    assert room.token.access != old.access and room.token.refresh == old.refresh
    assert room.refusals[:2] == [None, old.access]


def test_a_second_course_of_the_same_teacher_leaves_the_first_ones_access_alone(room: Class) -> None:
    first = room.token
    room.connect(room.teacher)
    room.token = first
    assert room.read() == {}
    assert room.refusals == [None, None]


def test_a_code_works_once_and_only_with_the_address_it_was_given_for(room: Class) -> None:
    code = room.code(room.teacher)
    wrong = "http://localhost:1/elsewhere"
    with pytest.raises(NotConnected):
        canvas.redeem(room.http, room.lms.server_root, room.key.client_id, room.key.secret, code, wrong)
    with pytest.raises(NotConnected):
        canvas.redeem(room.http, room.lms.server_root, room.key.client_id, room.key.secret, code, BACK)


def test_a_token_is_not_in_what_is_printed_of_it(room: Class) -> None:
    assert room.token.access not in repr(room.token) and room.token.refresh not in repr(room.token)


# -- refused, in words


def test_access_that_was_taken_back_asks_to_connect_again(room: Class) -> None:
    room.rest.take_access(room.teacher)
    refused = room.refusal()
    assert refused.reason == "consent_ended" and "Connect again" in refused.told


def test_a_wrong_secret_or_a_key_switched_off_sends_to_the_key(room: Class) -> None:
    room.key.active = False
    refused = room.refusal()
    assert refused.reason == "key_refused" and "Developer Keys" in refused.told


def test_a_missing_scope_is_named_as_one(room: Class) -> None:
    room.rest.tokens[-1].scopes = room.rest.tokens[-1].scopes[:1]
    refused = room.refusal()
    assert refused.reason == "scope_missing" and "scopes" in refused.told


def test_somebody_who_may_not_see_the_grades_is_not_taken_for_an_ended_token(room: Class) -> None:
    room.lms.unenrol(room.course, room.teacher)
    refused = room.refusal()
    assert refused.reason == "not_permitted_there" and room.refusals == [None]


def test_includes_that_are_dropped_are_recognised_and_the_switch_is_named(room: Class) -> None:
    room.rubrics.mark(room.essay, room.students[0], 3)
    room.key.allow_include = False
    refused = room.refusal()
    assert refused.reason == "include_dropped" and "“Allow Include Parameters”" in refused.told


def test_a_class_graded_without_the_rubric_is_not_taken_for_dropped_includes(room: Class) -> None:
    room.rubrics.grade_total(room.essay, room.students[0], 7)
    assert room.read() == {}


def test_a_class_nobody_was_graded_in_yet_says_nothing_of_includes(room: Class) -> None:
    room.key.allow_include = False
    assert room.read() == {}


def test_a_roster_without_Canvas_numbers_names_the_custom_field(room: Class) -> None:
    with pytest.raises(NotConnected) as refused:
        canvas.read(room.caller, AskedCourse(room.course.id), {"t": room.place()})
    assert "canvas_user_id=$Canvas.user.id" in refused.value.told


def test_an_assignment_that_is_deleted_is_a_row_to_be_matched_again(room: Class) -> None:
    room.rubrics.remove(room.essay)
    with pytest.raises(SourceMissing) as refused:
        room.read()
    assert "Match the row again" in refused.value.told


def test_a_row_that_is_gone_from_the_rubric_is_one_to_be_matched_again(room: Class) -> None:
    place = room.place(1)
    room.essay.criteria.pop(1)
    with pytest.raises(SourceMissing):
        canvas.read(room.caller, room.asked, {"t": place})


@pytest.mark.parametrize("told", [{"status": 429, "retry_after": 90}, {"kind": "rate_limited"}], ids=str)
def test_F05_Canvas_asking_for_a_pause_is_no_refusal(room: Class, told: dict[str, Any]) -> None:
    room.lms.faults.on("submissions", told.pop("kind", "status"), **told)
    with pytest.raises(ServiceBusy) as busy:
        room.read()
    assert not busy.value.lasting


def test_F16_a_page_that_fails_fails_the_whole_reading(room: Class) -> None:
    room.lms.max_page_size = 1
    room.lms.faults.on("submissions", "status", status=500, page=3)
    with pytest.raises(ServiceError):
        room.read()


def test_F11_a_next_page_that_is_this_page_stops(room: Class) -> None:
    room.lms.max_page_size = 1
    room.lms.faults.on("submissions", "next_same")
    with pytest.raises(PagingLoop):
        room.read()


@pytest.mark.parametrize("kind", ["next_host", "next_http"])
def test_F13_a_next_page_elsewhere_is_refused_and_gets_no_token(room: Class, kind: str) -> None:
    room.lms.max_page_size = 1
    room.lms.faults.on("submissions", kind)
    with pytest.raises(AddressRefused):
        room.read()
