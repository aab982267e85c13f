"""Moodle's own rubrics through the tool: connected, matched, read in a sync, awarded, held while Moodle hides them."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

import pytest
import requests
from sqlalchemy import select

from lti_tool.demo import moodle_rubrics, moodle_web
from lti_tool.grades import moodle
from lti_tool.models import AuditEvent, Connection, Course, SourceAnswer, SourceLink
from lti_tool.services import administrators, platform_load, sources
from tests.classroom import Classroom, badge, gate, row, shared, tidy  # noqa: F401 (fixtures)
from tests.scene import Administrator, Scene, now

LEVELS = [("Beginning", 1), ("Developing", 2), ("Proficient", 3), ("Advanced", 4)]
CODES = ("T-1", "T-2")
ROWS = ("T-1 Speaks up", "Row T-2")


@cache
def administrator_of(scene: Scene) -> Administrator:
    return Administrator(scene).sign_in(administrators.invite(scene.tool, actor="operator", now=now()), "Ada Admin")


class MoodleRoom(Classroom):
    """A course in the demo's Moodle whose assignment has a rubric."""

    def __init__(self, scene: Scene, **settings: bool) -> None:
        super().__init__(scene, mood="moodle", students=2)
        rows = [(title, LEVELS) for title in ROWS]
        self.talk = moodle_rubrics.add(self.lms, self.course, "Talk", rows, **settings)
        self.boss = self.lms.add_user(None, "admin")
        self.admin = administrator_of(scene)

    @property
    def platform(self) -> int:
        return self.scene.platform["moodle"]

    def connect(self, token: str | None = None, **changes: str) -> requests.Response:
        token = moodle_web.new_token(self.lms, self.boss) if token is None else token
        told = {"address": self.lms.server_root, "token": token, **changes}
        return self.admin.post(f"/admin/platforms/{self.platform}/connections/moodle", told)

    def own(self, token: str) -> requests.Response:
        return self.page.post(f"badges/{self.badge.slug}/sources/moodle", {"token": token})

    def sources(self, path: str = "", data: dict[str, str] | None = None) -> requests.Response:
        address = f"badges/{self.badge.slug}/sources{path}"
        return self.page.get(address) if data is None else self.page.post(address, data)

    def draft(self, *, gates: bool = False) -> None:
        """Put a badge of two rows from Moodle's rubric."""
        more = (gate("grade", required="60", source="moodle-course-grade"),) if gates else ()
        rows = tuple(row(code, source="moodle-rubric") for code in CODES)
        self.badge = badge(sub_competencies=rows, gates=more)
        self.put(self.badge)

    def match(self) -> None:
        """Look, and confirm what is proposed."""
        self.sources("/look", {})
        page = self.sources().text
        chosen = {
            name: value
            for name, options in re.findall(r'<select[^>]* name="(row-[^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL)
            for value in re.findall(r'<option value="([^"]*)" selected', options)
        }
        assert all(chosen.values()) and chosen, page
        answer = self.sources("", chosen)
        assert "Saved." in answer.text, answer.text

    def ready(self, *, gates: bool = False) -> None:
        self.draft(gates=gates)
        self.connect()
        self.match()
        self.publish_again()

    def mark(self, user: Any, *levels: str | None, **options: Any) -> None:
        moodle_rubrics.mark(self.lms, self.talk, user, dict(zip(ROWS, levels, strict=False)), **options)

    def connections(self) -> list[Connection]:
        with self.tool.db.read() as session:
            query = select(Connection).where(Connection.registration_id == self.platform)
            return list(session.scalars(query))


@pytest.fixture
def course(shared: Scene) -> Any:  # noqa: F811
    yield MoodleRoom(shared)
    tidy(shared)
    made = shared.site.moodle
    made.web_services = True
    with shared.tool.db.write() as session:
        for each in session.scalars(select(Connection)):
            session.delete(each)


def words_of(page: requests.Response) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text).split())


# -- connecting ---------------------------------------------------------------------------------------------------


def test_an_administrator_connects_moodle_and_the_token_is_nowhere_in_the_open(
    course: MoodleRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = course.admin.get(f"/admin/platforms/{course.platform}/connections/")
    assert course.lms.server_root in page.text and all(name in page.text for name in moodle.FUNCTIONS)
    token = moodle_web.new_token(course.lms, course.boss)
    answer = course.connect(token)
    assert "The token works" in words_of(answer) and token not in answer.text
    (connection,) = course.connections()
    assert connection.account == course.boss.name and token not in connection.secrets
    with course.tool.db.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "connection.made")).all()
        assert token not in "".join(f"{each.detail}" for each in events) and events[-1].subject.startswith(
            "connection:"
        )
    assert token not in caplog.text


def test_a_token_is_tried_at_once_and_a_refusal_says_what_to_click(course: MoodleRoom) -> None:
    answer = course.connect("0123456789abcdef")
    assert answer.status_code == 422 and "Moodle does not know this token" in words_of(answer)
    assert "Manage tokens" in answer.text and course.connections() == []
    course.lms.web_services = False
    assert "Enable web services" in course.connect().text
    course.lms.web_services = True
    lacking = moodle_web.new_token(course.lms, course.boss, without=(moodle.INSTANCES,))
    assert moodle.INSTANCES in words_of(course.connect(lacking)) and course.connections() == []
    assert "letters and digits" in words_of(course.connect("not a token"))
    assert "There is no Moodle at this address" in words_of(
        course.connect(address=course.scene.site.canvas.server_root)
    )


def test_a_token_of_another_moodle_is_refused(course: MoodleRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    real = moodle_web.FUNCTIONS[moodle.SITE_INFO]
    monkeypatch.setitem(
        moodle_web.FUNCTIONS, moodle.SITE_INFO, lambda *told: {**real(*told), "siteurl": "https://other.example.edu"}
    )
    answer = course.connect()
    assert answer.status_code == 422 and "This is the Moodle at https://other.example.edu" in words_of(answer)


def test_what_a_service_lacks_for_course_grades_is_told(course: MoodleRoom) -> None:
    token = moodle_web.new_token(course.lms, course.boss, without=(moodle.GRADE_ITEMS,))
    assert f"Its service lacks {moodle.GRADE_ITEMS}" in words_of(course.connect(token))
    course.draft()
    assert "cannot read the course grade" in words_of(course.sources())


def test_a_teacher_connects_her_own_course_and_no_colleague_of_hers_does(course: MoodleRoom) -> None:
    course.draft()
    assert "Security keys" in course.sources().text
    other = course.lms.add_user(course.course, "instructor")
    refused = course.own(moodle_web.new_token(course.lms, other))
    assert refused.status_code == 422 and "another account" in words_of(refused)
    answer = course.own(moodle_web.new_token(course.lms, course.teacher))
    assert "The token works" in words_of(answer)
    (connection,) = course.connections()
    assert connection.course_id == course.id and connection.account == course.teacher.name
    assert "Row T-2" in course.sources().text  # the rubric was looked at


def test_a_connection_is_removed_and_what_was_read_stays(course: MoodleRoom) -> None:
    course.ready()
    course.own(moodle_web.new_token(course.lms, course.teacher))
    course.mark(course.students[0], "Proficient", "Proficient")
    course.sync()
    course.sources("/disconnect", {})
    assert [each.course_id for each in course.connections()] == [None]
    assert course.award(course.students[0])["status"] == "issued"


# -- reading ------------------------------------------------------------------------------------------------------


def test_rows_are_matched_by_code_and_title_and_a_filled_rubric_earns_the_badge(course: MoodleRoom) -> None:
    course.ready()
    with course.tool.db.read() as session:
        query = select(SourceLink.title).where(SourceLink.course_badge_id == course.course_badge(session).id)
        assert sorted(session.scalars(query)) == ["Talk: Row T-2", "Talk: Speaks up"]
    ana, ben = course.students
    course.mark(ana, "Proficient", "Advanced")
    course.mark(ben, "Proficient", None)
    course.sync()
    assert [each["user"] for each in course.awards()] == [ana.id]
    record = course.shown(course.award(ana)["id"])
    assert record is not None


def test_a_grade_moodle_has_not_released_holds_the_badge_back(course: MoodleRoom) -> None:
    course.ready()
    ana = course.students[0]
    course.talk.workflow = True
    course.mark(ana, "Proficient", "Proficient", state="inreview")
    course.sync()
    assert [each["status"] for each in course.awards()] == ["held"]
    course.mark(ana, state="released")
    course.sync()
    assert course.award(ana)["status"] == "issued"


def test_the_course_grade_is_a_condition(course: MoodleRoom) -> None:
    course.ready(gates=True)
    ana, ben = course.students
    for user in (ana, ben):
        course.mark(user, "Proficient", "Proficient")
    exam = course.lms.add_column(course.course, "Exam", 100)
    course.lms.grade(course.course, exam, ana, 90)
    course.lms.grade(course.course, exam, ben, 20)
    course.sync()
    assert [each["user"] for each in course.awards()] == [ana.id]


def test_F08_a_token_that_is_withdrawn_is_a_state_with_its_click_and_takes_nothing_back(course: MoodleRoom) -> None:
    course.ready()
    ana = course.students[0]
    course.mark(ana, "Proficient", "Proficient")
    course.sync()
    course.lms.web_tokens.clear()
    course.sync()
    with course.tool.db.read() as session:
        row_ = session.get_one(Course, course.id)
        assert row_.state == "attention" and row_.problem == "moodle_token"
        assert "Manage tokens" in (row_.problem_sentence or "")
        assert all(each.raw for each in session.scalars(select(SourceAnswer)) if each.user_sub == ana.id)
    assert course.award(ana)["status"] == "issued"
    assert "Moodle does not know this token" in words_of(course.sources())
    course.connect()
    course.sync()
    with course.tool.db.read() as session:
        assert session.get_one(Course, course.id).state == "ok"


def test_F08_the_platform_s_token_takes_over_where_moodle_has_withdrawn_a_teacher_s(course: MoodleRoom) -> None:
    course.draft()
    hers = moodle_web.new_token(course.lms, course.teacher)
    course.own(hers)
    course.match()
    course.publish_again()
    course.connect()
    course.mark(course.students[0], "Proficient", "Proficient")
    del course.lms.web_tokens[hers]
    course.sync()
    assert course.awards() == []
    course.sync()
    assert course.award(course.students[0])["status"] == "issued"
    with course.tool.db.read() as session:
        assert session.get_one(Course, course.id).state == "ok"


def test_F16_a_rubric_that_is_half_read_changes_nothing(course: MoodleRoom) -> None:
    course.ready()
    ana = course.students[0]
    course.mark(ana, "Proficient", "Proficient")
    course.lms.faults.on("webservice", "status", status=503, skip=3)
    assert course.sync().state != "done"
    assert course.awards() == []
    course.lms.faults.clear()
    course.sync()
    assert course.award(ana)["status"] == "issued"


def test_F18_a_criterion_that_is_deleted_is_told_and_no_award_is_doubted(course: MoodleRoom) -> None:
    course.ready()
    ana = course.students[0]
    course.mark(ana, "Proficient", "Proficient")
    course.sync()
    del course.talk.criteria[1]
    course.sync()
    with course.tool.db.read() as session:
        assert session.get_one(Course, course.id).problem == "source_missing"
    assert course.award(ana)["status"] == "issued"


def test_what_moodles_web_services_are_asked_is_the_platforms(
    course: MoodleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int | None, str]] = []
    http = course.tool.http
    monkeypatch.setattr(http, "after_attempt", lambda platform, outcome, _took: asked.append((platform, outcome)))
    course.ready()
    asked.clear()
    with platform_load.counting() as tally:
        sources.read(course.tool, course.id, dict, lambda _line: None)
    assert tally.requests == len(asked) > 2 and {platform for platform, _outcome in asked} == {course.platform}
    course.own(moodle_web.new_token(course.lms, course.teacher))
    assert {platform for platform, _outcome in asked} == {course.platform}
