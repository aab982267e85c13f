"""Moodle's rubrics and course grades by its web services, against the demo's Moodle over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest

from lti_tool import demo
from lti_tool.demo import moodle_rubrics as rubrics
from lti_tool.demo import moodle_web
from lti_tool.demo.lms import Lms
from lti_tool.demo.moodle_rubrics import Assignment
from lti_tool.demo.records import Course, User
from lti_tool.errors import NotConnected, ServiceBusy, ServiceError, SourceMissing
from lti_tool.grades import moodle
from lti_tool.grades.moodle import Moodle
from lti_tool.grades.source import MOODLE_RUBRIC, AskedCourse, Wanted, propose
from lti_tool.http import Http

LEVELS = [("Beginning", 1), ("Developing", 2), ("Proficient", 3), ("Advanced", 4)]
LISTENS, ANSWERS = "OC-3 Listens actively", "Answers questions & more"


@pytest.fixture(scope="module")
def lms() -> Iterator[Lms]:
    with demo.start(("moodle",), filled=False) as site:
        yield site.moodle


class Class:
    """A course with an assignment and a token of its teacher."""

    def __init__(self, lms: Lms, **settings: bool) -> None:
        self.lms = lms
        self.course: Course = lms.add_course(f"C{lms.serials.get('course', 0)}")
        self.teacher = lms.add_user(self.course, "instructor")
        self.ana: User = lms.add_user(self.course, "student")
        self.ben: User = lms.add_user(self.course, "student")
        self.essay: Assignment = rubrics.add(lms, self.course, "Essay", [(LISTENS, LEVELS), (ANSWERS, LEVELS)])
        for name, value in settings.items():
            setattr(self.essay, name, value)
        self.token = moodle_web.new_token(lms, self.teacher)
        self.asked = AskedCourse(self.course.id)

    @property
    def moodle(self) -> Moodle:
        return Moodle(Http(allow_private=True, sleep=lambda _: None), self.lms.issuer, self.token)

    @property
    def places(self) -> dict[str, dict[str, str]]:
        rows = self.essay.criteria
        return {
            name: {"assignment": str(self.essay.number), "criterion": str(row.number)}
            for name, row in zip(("A", "B"), rows, strict=True)
        }

    def mark(self, user: User, *levels: str | None, **options: Any) -> None:
        chosen = dict(zip((LISTENS, ANSWERS), levels, strict=False))
        rubrics.mark(self.lms, self.essay, user, chosen, **options)

    def read(self) -> dict[str, dict[str, Any]]:
        """Read both rows; gives what was answered by tag and user id."""
        found = moodle.read(self.moodle, self.asked, self.places)
        return {
            tag: {each.user_id: json.loads(each.raw, parse_float=Decimal) for each in answers}
            for tag, answers in found.items()
        }

    def total(self) -> dict[str, Any]:
        (answers,) = moodle.read(self.moodle, self.asked, {"gate:g": moodle.TOTAL}).values()
        return {each.user_id: json.loads(each.raw, parse_float=Decimal) for each in answers}


@pytest.fixture
def group(lms: Lms) -> Iterator[Class]:
    yield Class(lms)
    lms.faults.clear()
    lms.web_services = True


def asked(lms: Lms) -> list[str]:
    """Return the functions that were called, oldest first."""
    return [parse_qs(each.body)["wsfunction"][0] for each in lms.requests if each.service == "webservice"]


# -- whose token it is --------------------------------------------------------------------------------------------


def test_a_token_tells_whose_it_is_and_what_its_service_lacks(group: Class) -> None:
    site = moodle.site(group.moodle)
    assert (site.user_id, site.user_name) == (group.teacher.id, group.teacher.name)
    assert site.address == group.lms.issuer and site.missing == ()
    group.token = moodle_web.new_token(group.lms, group.teacher, without=(moodle.FLAGS,))
    assert moodle.site(group.moodle).missing == (moodle.FLAGS,)


def test_the_token_is_in_no_address_and_no_text_of_the_caller(group: Class) -> None:
    group.read()
    assert group.token not in repr(group.moodle)
    for request in group.lms.requests:
        assert group.token not in f"{request.path}?{request.query}"
    assert any(group.token in request.body for request in group.lms.requests)


# -- rows to match ------------------------------------------------------------------------------------------------


def test_every_row_of_every_rubric_is_offered_with_its_code_and_the_course_total(group: Class) -> None:
    rubrics.add(group.lms, group.course, "Talk", [("Speaks up", [("No", 0), ("Yes", 2.5)])])
    found = moodle.offered(group.moodle, group.asked)
    assert [(each.code, each.title, each.maximum, each.where) for each in found] == [
        ("OC-3", "Listens actively", "4", "Essay"),
        ("", ANSWERS, "4", "Essay"),
        ("", "Speaks up", "2.5", "Talk"),
        ("", "Course total", "", ""),
    ]
    assert [each.gate for each in found] == [False, False, False, True]


def test_rows_are_proposed_by_code_and_then_by_title(group: Class) -> None:
    wanted = [
        Wanted("A", MOODLE_RUBRIC, "OC-3", "Another name", gate=False),
        Wanted("B", MOODLE_RUBRIC, "X-9", ANSWERS, gate=False),
    ]
    found = propose(wanted, moodle.offered(group.moodle, group.asked))
    assert {tag: row.place for tag, row in found.items()} == group.places


# -- the join -----------------------------------------------------------------------------------------------------


def test_each_row_gets_the_points_of_its_level_and_never_those_of_another_learner(group: Class) -> None:
    group.mark(group.ben, "Advanced", "Beginning")
    group.mark(group.ana, "Proficient", "Developing", comments={LISTENS: "Heard “every” word"})
    found = group.read()
    assert found["A"][group.ana.id] == {
        "resultScore": 3,
        "resultMaximum": 4,
        "comment": "Heard “every” word",
        "level": "Proficient",
        "gradedBy": group.teacher.id,
        "gradedAt": found["A"][group.ana.id]["gradedAt"],
    }
    assert {user: each["resultScore"] for user, each in found["A"].items()} == {group.ana.id: 3, group.ben.id: 4}
    assert {user: each["resultScore"] for user, each in found["B"].items()} == {group.ana.id: 2, group.ben.id: 1}


def test_a_row_that_is_not_marked_is_no_zero_and_a_level_of_no_points_is_one(group: Class) -> None:
    zero = rubrics.add(group.lms, group.course, "Zero", [(LISTENS, [("None", 0), ("All", 4)]), (ANSWERS, LEVELS)])
    group.essay = zero
    group.mark(group.ana, "None", None)
    found = group.read()
    assert found["A"][group.ana.id]["resultScore"] == 0
    assert found["B"] == {}


def test_a_class_that_nobody_has_marked_is_read_without_a_word_of_it(group: Class) -> None:
    assert group.read() == {"A": {}, "B": {}}


def test_only_the_latest_attempt_counts(group: Class) -> None:
    group.mark(group.ana, "Advanced", "Advanced")
    group.mark(group.ana, "Beginning", again=True)
    found = group.read()
    assert found["A"][group.ana.id]["resultScore"] == 1
    assert group.ana.id not in found["B"]


def test_points_that_are_no_whole_numbers_are_read_exactly(group: Class) -> None:
    group.essay = rubrics.add(
        group.lms, group.course, "Halves", [(LISTENS, [("Low", 0.1), ("High", 2.7)]), ("X", LEVELS)]
    )
    group.mark(group.ana, "Low")
    assert group.read()["A"][group.ana.id]["resultScore"] == Decimal("0.1")


def test_a_criterion_that_is_gone_is_said_and_is_not_an_empty_column(group: Class) -> None:
    group.mark(group.ana, "Advanced")
    places = {"A": {**group.places["A"], "criterion": "999999"}}
    with pytest.raises(SourceMissing):
        moodle.read(group.moodle, group.asked, places)
    del group.lms.assignments[group.essay.number]
    with pytest.raises(SourceMissing):
        group.read()


def test_a_group_assignment_answers_for_each_of_its_members(group: Class) -> None:
    group.essay.team = True
    for user in (group.ana, group.ben):
        group.mark(user, "Proficient")
    assert set(group.read()["A"]) == {group.ana.id, group.ben.id}


def test_two_assignments_are_read_with_one_question_for_their_grades(group: Class) -> None:
    other = rubrics.add(group.lms, group.course, "Talk", [("Speaks up", LEVELS)])
    group.mark(group.ana, "Proficient")
    rubrics.mark(group.lms, other, group.ana, {"Speaks up": "Advanced"})
    group.lms.requests.clear()
    places = {
        **group.places,
        "C": {"assignment": str(other.number), "criterion": str(other.criteria[0].number)},
    }
    found = moodle.read(group.moodle, group.asked, places)
    assert [json.loads(each.raw)["resultScore"] for tag in "AC" for each in found[tag]] == [3, 4]
    assert asked(group.lms) == [
        moodle.ASSIGNMENTS,
        moodle.DEFINITIONS,
        moodle.GRADES,
        moodle.INSTANCES,
        moodle.INSTANCES,
        moodle.GRADE_ITEMS,
    ]


# -- what a learner may not see yet ---------------------------------------------------------------------------------


def test_a_grade_in_the_marking_workflow_is_not_released_until_moodle_says_so(lms: Lms) -> None:
    group = Class(lms, workflow=True)
    group.mark(group.ana, "Advanced")
    group.mark(group.ben, "Advanced", state="readyforrelease")
    assert {user: each["released"] for user, each in group.read()["A"].items()} == {
        group.ana.id: False,
        group.ben.id: False,
    }
    group.mark(group.ben, state="released")
    assert "released" not in group.read()["A"][group.ben.id]


def test_a_grade_of_anonymous_marking_is_not_released_before_identities_are_revealed(lms: Lms) -> None:
    group = Class(lms, anonymous=True)
    group.mark(group.ana, "Advanced")
    assert group.read()["A"][group.ana.id]["released"] is False
    group.essay.revealed = True
    assert "released" not in group.read()["A"][group.ana.id]


def test_a_grade_that_is_hidden_in_the_gradebook_is_not_released(group: Class) -> None:
    for user in (group.ana, group.ben):
        group.mark(user, "Advanced")
    group.essay.markings[group.ben.id].hidden = True
    found = group.read()["A"]
    assert found[group.ben.id]["released"] is False and "released" not in found[group.ana.id]
    group.essay.hidden = True
    assert group.read()["A"][group.ana.id]["released"] is False


def test_without_the_report_in_its_service_the_rubric_is_read_all_the_same(group: Class) -> None:
    group.mark(group.ana, "Advanced")
    group.essay.hidden = True
    group.token = moodle_web.new_token(group.lms, group.teacher, without=(moodle.GRADE_ITEMS,))
    assert "released" not in group.read()["A"][group.ana.id]


def test_a_workflow_whose_states_may_not_be_read_is_refused_and_not_taken_for_released(lms: Lms) -> None:
    group = Class(lms, workflow=True)
    group.mark(group.ana, "Advanced")
    group.token = moodle_web.new_token(group.lms, group.teacher, without=(moodle.FLAGS,))
    with pytest.raises(NotConnected) as refused:
        group.read()
    assert moodle.FLAGS in refused.value.sentence


# -- the course grade -------------------------------------------------------------------------------------------------


def test_the_course_grade_is_the_course_total_and_nobody_ungraded_has_one(group: Class) -> None:
    column = group.lms.add_column(group.course, "Exam", 20)
    group.lms.grade(group.course, column, group.ana, 15)
    assert group.total() == {group.ana.id: {"resultScore": 15, "resultMaximum": 20}}


def test_a_hidden_course_total_is_not_released(group: Class) -> None:
    group.lms.grade(group.course, group.lms.add_column(group.course, "Exam", 20), group.ana, 15)
    group.course.total_hidden = True
    assert group.total()[group.ana.id]["released"] is False


def test_rows_and_the_course_grade_share_one_report(group: Class) -> None:
    group.mark(group.ana, "Advanced", "Advanced")
    group.lms.requests.clear()
    found = moodle.read(group.moodle, group.asked, {**group.places, "gate:g": moodle.TOTAL})
    assert [len(found[tag]) for tag in ("A", "B", "gate:g")] == [1, 1, 1]
    assert asked(group.lms).count(moodle.GRADE_ITEMS) == 1


# -- refused ----------------------------------------------------------------------------------------------------------


def refusal(group: Class) -> NotConnected:
    with pytest.raises(NotConnected) as refused:
        group.read()
    assert refused.value.lasting and group.token not in f"{refused.value} {refused.value.detail}"
    return refused.value


def test_a_token_moodle_does_not_know_is_said_with_the_click_that_makes_another(group: Class) -> None:
    group.lms.web_tokens.pop(group.token)
    error = refusal(group)
    assert error.reason == "moodle_token" and "Manage tokens" in error.what_to_do


def test_a_token_that_has_expired_or_belongs_to_another_address_is_said(group: Class) -> None:
    group.lms.web_tokens[group.token].expires = 0
    assert refusal(group).reason == "moodle_expired"
    group.lms.web_tokens[group.token].expires = None
    group.lms.web_tokens[group.token].elsewhere = True
    assert "IP restriction" in refusal(group).what_to_do


def test_web_services_that_are_off_are_named(group: Class) -> None:
    group.lms.web_services = False
    error = refusal(group)
    assert error.reason == "moodle_off" and "Manage protocols" in error.what_to_do


@pytest.mark.parametrize("function", moodle.NEEDED[1:])
def test_a_function_the_service_lacks_is_named(group: Class, function: str) -> None:
    group.mark(group.ana, "Advanced")
    group.token = moodle_web.new_token(group.lms, group.teacher, without=(function,))
    error = refusal(group)
    assert error.reason == "moodle_function" and function in error.sentence and "Add functions" in error.what_to_do


def test_an_account_that_may_not_see_the_course_is_said(group: Class) -> None:
    stranger = group.lms.add_user(None, "student")
    group.token = moodle_web.new_token(group.lms, stranger)
    assert refusal(group).reason == "moodle_rights"


def test_an_address_without_a_moodle_is_said(group: Class) -> None:
    caller = Moodle(group.moodle.http, f"{group.lms.issuer}/elsewhere", group.token)
    with pytest.raises(NotConnected) as refused:
        moodle.site(caller)
    assert refused.value.reason == "moodle_elsewhere"


@pytest.mark.parametrize(
    ("kind", "options"),
    [("status", {"status": 503}), ("drop", {}), ("html", {})],
)
def test_F16_one_call_that_fails_leaves_nothing_read(group: Class, kind: str, options: dict[str, Any]) -> None:
    group.mark(group.ana, "Advanced")
    group.lms.faults.on("webservice", kind, skip=3, **options)
    with pytest.raises(ServiceError):
        group.read()


def test_F03_a_call_that_fails_twice_and_then_answers_is_read(group: Class) -> None:
    group.mark(group.ana, "Advanced")
    group.lms.faults.on("webservice", "status", status=502, count=2)
    assert group.ana.id in group.read()["A"]


def test_F04_a_moodle_that_asks_for_a_pause_is_told_apart_from_a_refusal(group: Class) -> None:
    group.lms.faults.on("webservice", "status", status=503, retry_after=120)
    with pytest.raises(ServiceBusy) as busy:
        group.read()
    assert busy.value.retry_after == 120 and not busy.value.lasting
