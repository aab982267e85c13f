"""Canvas' own rubrics through the tool: connected, matched, read in a sync, awarded, hidden while Canvas hides them."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from lti_tool.models import (
    AuditEvent,
    Connection,
    ConnectionRequest,
    Course,
    Mastery,
    PlatformLoad,
    SourceAnswer,
    SourceLink,
)
from lti_tool.services import administrators, keys
from tests.classroom import Classroom, badge, gate, row, shared, tidy  # noqa: F401 (fixtures)
from tests.scene import Administrator, Scene, now

CODES = ("A", "B")


@cache
def administrator_of(scene: Scene) -> Administrator:
    return Administrator(scene).sign_in(administrators.invite(scene.tool, actor="operator", now=now()), "Ada Admin")


class CanvasRoom(Classroom):
    """A course in the demo's Canvas whose assignment has a rubric, and whose platform has an API key."""

    def __init__(self, scene: Scene, *, key: bool = True) -> None:
        super().__init__(scene, mood="canvas", students=3)
        self.canvas: Any = self.lms.mood
        self.rubrics = self.canvas.rubrics
        self.essay = self.rubrics.add(self.course, "Essay", ("Row A", None), ("Something", "B"))
        self.admin = administrator_of(scene)
        self.back = f"{scene.url}/connect/canvas"
        self.api_key = self.canvas.rest.add_key(self.back)
        if key:
            self.enter_key()

    @property
    def platform(self) -> int:
        return self.scene.platform["canvas"]

    def enter_key(self, **changes: str) -> requests.Response:
        told = {
            "address": self.lms.server_root,
            "client_id": self.api_key.client_id,
            "secret": self.api_key.secret,
            **changes,
        }
        return self.admin.post(f"/admin/platforms/{self.platform}/connections/key", told)

    def sources(self, path: str = "", data: dict[str, str] | None = None) -> requests.Response:
        address = f"badges/{self.badge.slug}/sources{path}"
        return self.page.get(address) if data is None else self.page.post(address, data)

    def begin(self) -> str:
        """Ask for the way to Canvas, and return the address of its page of consent."""
        asked = self.sources("/connect", {})
        found = re.search(r'href="([^"]*/login/oauth2/auth[^"]*)"', asked.text)
        assert found, asked.text
        return html.unescape(found[1])

    def agree(self, address: str, user: Any = None, do: str = "authorize") -> str:
        """Decide in Canvas; returns where it sends the browser."""
        sent = {"as": (user or self.teacher).id, "do": do}
        answer = requests.post(address, data=sent, allow_redirects=False, timeout=20)
        return answer.headers["Location"]

    def connect(self, user: Any = None) -> requests.Response:
        return requests.get(self.agree(self.begin(), user), timeout=20)

    def prepare(self, definition: Any = None) -> None:
        """Put the badge, connect, look and confirm what is proposed."""
        self.put(definition or self.from_canvas())
        assert self.connect().status_code == 200
        self.sources("/look", {})
        self.confirm()

    def confirm(self) -> requests.Response:
        return self.sources("", self.picked())

    def picked(self) -> dict[str, str]:
        """What the form would send as it stands."""
        text, sent = self.sources().text, {}
        for name, body in re.findall(r'<select[^>]* name="(row-[^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL):
            chosen = re.search(r'value="([^"]*)" selected', body)
            sent[html.unescape(name)] = chosen[1] if chosen else ""
        return sent

    def from_canvas(self, **changes: Any) -> Any:
        rows = tuple(row(code, source="canvas-rubric") for code in CODES)
        return badge(sub_competencies=rows, **changes)

    def connections(self) -> list[Connection]:
        with self.tool.db.read() as session:
            return list(session.scalars(select(Connection).where(Connection.course_id == self.id)))

    def audit(self, action: str) -> list[AuditEvent]:
        with self.tool.db.read() as session:
            return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)))

    def course_problem(self) -> str:
        with self.tool.db.read() as session:
            return session.get_one(Course, self.id).problem_sentence or ""


@pytest.fixture
def room(shared: Scene) -> Any:  # noqa: F811
    yield CanvasRoom(shared)
    tidy(shared)


# -- connecting


def test_a_teacher_connects_her_course_and_the_secret_lies_sealed(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    assert "Connect this course" in room.sources().text
    connected = room.connect()
    assert connected.status_code == 200 and "Connected" in connected.text
    (row,) = room.connections()
    token = room.canvas.rest.tokens[-1]
    assert (row.kind, row.account) == ("canvas", room.teacher.name)
    assert token.access not in row.secrets and token.refresh not in row.secrets
    assert room.tool.keyring.unseal(row.secrets)["refresh"] == token.refresh
    assert f"with the access of {room.teacher.name}" in html.unescape(room.sources().text)
    (event,) = [each for each in room.audit("connection.made") if each.subject == f"connection:{row.id}"]
    assert event.actor == f"person:{room.person_id(room.teacher)}"


def test_no_secret_is_in_the_log_a_page_or_the_audit_log(room: CanvasRoom, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        room.prepare()
        room.canvas.rest.expire()
        room.publish_again()
        room.sync()
    pages = room.sources().text + room.admin.get(f"/admin/platforms/{room.platform}/connections/").text
    pages += room.admin.get("/admin/audit").text
    with room.tool.db.read() as session:
        written = str([each.detail for each in session.scalars(select(AuditEvent))])
    told = caplog.text + pages + written
    tokens = [secret for one in room.canvas.rest.tokens for secret in (one.access, one.refresh)]
    for secret in (*tokens, room.api_key.secret):
        assert secret not in told


def test_a_state_works_once(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    back = room.agree(room.begin())
    assert requests.get(back, timeout=20).status_code == 200
    again = requests.get(back, timeout=20)
    assert again.status_code == 400 and "nothing was connected" in again.text
    assert len(room.connections()) == 1


def test_a_state_nobody_was_given_connects_nothing(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    refused = requests.get(f"{room.back}?code=x&state=made-up", timeout=20)
    assert refused.status_code == 400 and room.connections() == []


def test_a_state_that_is_ten_minutes_old_connects_nothing(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    back = room.agree(room.begin())
    with room.tool.db.write() as session:
        session.execute(update(ConnectionRequest).values(expires_at=now() - timedelta(seconds=1)))
    assert requests.get(back, timeout=20).status_code == 400
    assert room.connections() == []


def test_the_consent_of_somebody_else_is_not_taken_for_the_teacher_s(room: CanvasRoom) -> None:
    """Whoever sends the link on to a colleague does not get her access."""
    room.put(room.from_canvas())
    colleague = room.lms.add_user(room.course, "instructor")
    refused = requests.get(room.agree(room.begin(), colleague), timeout=20)
    assert refused.status_code == 502 and "not the one that opened this course" in refused.text
    assert room.connections() == []


def test_saying_no_in_Canvas_connects_nothing_and_says_so(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    refused = requests.get(room.agree(room.begin(), do="cancel"), timeout=20)
    assert "you did not agree" in refused.text and room.connections() == []


def test_without_a_key_the_page_says_who_can_enter_one(room: CanvasRoom) -> None:
    with room.tool.db.write() as session:
        for each in session.scalars(select(Connection)):
            session.delete(each)
    room.put(room.from_canvas())
    assert "An administrator of this tool has to enter" in html.unescape(room.sources().text)


def test_only_who_manages_badges_sees_the_page(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    learner = room.enter(room.students[0])
    address = f"/course/{learner.launch}/badges/{room.badge.slug}/sources"
    assert learner.get(address).status_code == 403
    assert learner.post(f"{address}/connect").status_code == 403


def test_another_course_s_badge_is_not_found(room: CanvasRoom) -> None:
    other = CanvasRoom(room.scene)
    other.put(other.from_canvas())
    assert room.page.get(f"badges/{other.badge.slug}/sources").status_code == 404


# -- matching


def test_rows_are_proposed_by_code_then_title_and_count_only_once_confirmed(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    room.connect()
    room.sources("/look", {})
    text = html.unescape(room.sources().text)
    assert text.count("proposed; it counts once you confirm") == 2 and "0 matched" in text
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        assert session.scalars(select(SourceLink).where(SourceLink.course_badge_id == badge_id)).all() == []
    plan = room.page.get(f"badges/{room.badge.slug}/plan").text
    assert "Not matched with anything in your LMS yet" in html.unescape(plan)
    assert room.page.post(f"badges/{room.badge.slug}/publish").status_code == 409
    assert "2 matched" in room.confirm().text
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        links = {one.tag: one for one in session.scalars(select(SourceLink)) if one.course_badge_id == badge_id}
    assert {tag: (one.place["criterion"], one.title) for tag, one in links.items()} == {
        "sub-competency:A": (room.essay.criteria[0].id, "Essay: Row A"),
        "sub-competency:B": (room.essay.criteria[1].id, "Essay: Something"),
    }
    assert room.audit("badge.sources_matched")[-1].detail["rows"] == {"A": "Essay: Row A", "B": "Essay: Something"}


def test_one_row_cannot_be_chosen_twice_and_nothing_chosen_is_lost(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    room.connect()
    room.sources("/look", {})
    picked = room.picked()
    first = picked["row-sub-competency:A"]
    refused = room.sources("", {**picked, "row-sub-competency:B": first})
    assert refused.status_code == 400 and "was chosen twice" in refused.text
    assert refused.text.count(f'value="{first}" selected') == 2


def test_what_was_not_offered_cannot_be_chosen(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    room.connect()
    room.sources("/look", {})
    refused = room.sources("", {"row-sub-competency:A": "0" * 20})
    assert refused.status_code == 400 and "not among what was seen" in refused.text


# -- reading


def test_a_marked_rubric_becomes_an_award_in_a_sync(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    ana, ben, _ = room.students
    room.rubrics.mark(room.essay, ana, 3, 4, grader=room.teacher, comments="Clear")
    room.rubrics.mark(room.essay, ben, 3, 2)
    room.sync()
    assert [each["user"] for each in room.awards()] == [ana.id] and room.award(ana)["status"] == "issued"
    page = room.page.get(f"badges/{room.badge.slug}/record/{room.person_id(ana)}/sub-competency:A").text
    for words in ("Canvas rubric, Essay: Row A", "by Tess Teacher", "Clear"):
        assert words in html.unescape(page)
    assert room.columns == []


def test_a_grade_that_is_not_posted_is_hidden_and_its_award_waits(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    room.essay.post_manually = True
    ana = room.students[0]
    room.rubrics.mark(room.essay, ana, 4, 4)
    room.sync()
    assert room.award(ana)["status"] == "held"
    learner = room.enter(ana)
    assert "has not released" not in learner.get(f"badges/{room.badge.slug}").text  # not even that there is a grade
    awards = room.page.get(f"badges/{room.badge.slug}/awards").text
    assert "not posted in your LMS yet" in awards and "Issue it now" not in awards
    room.rubrics.post(room.essay)
    room.sync()
    assert room.award(ana)["status"] == "issued"


def test_one_connection_that_is_missing_stands_in_the_way_once(room: CanvasRoom) -> None:
    room.put(room.from_canvas(gates=(gate(required="75", source="canvas-course-grade"),)))
    plan = room.page.get(f"badges/{room.badge.slug}/plan").text
    assert "One thing stands in the way:" in plan


def test_a_course_grade_gate_reads_the_final_score(room: CanvasRoom) -> None:
    course_grade = gate(required="75", source="canvas-course-grade")
    room.prepare(room.from_canvas(gates=(course_grade,)))
    assert "3 matched" in room.sources().text
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 3, 3)
    room.rubrics.mark(room.essay, room.students[1], 3, 4)
    room.rubrics.add(room.course, "Short task", ("Row", None))
    room.sync()
    assert room.awards() == []
    room.rubrics.assignments.popitem()
    room.sync()
    assert {each["user"] for each in room.awards()} == {room.students[0].id, room.students[1].id}


def test_the_trap_is_named_on_the_page_and_what_was_read_before_stays(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    ana = room.students[0]
    room.rubrics.mark(room.essay, ana, 4, 4)
    room.sync()
    room.api_key.allow_include = False
    room.sync()
    assert "“Allow Include Parameters”" in room.course_problem()
    assert "“Allow Include Parameters”" in html.unescape(room.sources().text)
    assert room.award(ana)["status"] == "issued"
    room.api_key.allow_include = True
    room.sync()
    assert room.course_problem() == "" and "Allow Include" not in html.unescape(room.sources().text)


def test_access_that_is_gone_leaves_the_gradebook_readable_and_says_how_to_mend_it(room: CanvasRoom) -> None:
    room.prepare(room.from_canvas())
    room.publish_again()
    other = badge(rows=1)
    first, room.badge = room.badge, other
    room.publish(other)
    room.grade(room.students[0], 4)
    room.canvas.rest.take_access(room.teacher)
    room.canvas.rest.expire()
    room.sync()
    assert room.award(room.students[0])["badge"] == other.slug
    assert "Connect again" in room.course_problem()
    room.badge = first
    assert room.connect().status_code == 200
    room.sync()
    assert room.course_problem() == ""


def test_a_pause_Canvas_asks_for_fails_the_sync_and_changes_nothing(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.lms.faults.on("submissions", "rate_limited", count=5)
    room.sync()
    assert room.awards() == []
    with room.tool.db.read() as session:
        assert session.get_one(Course, room.id).synced_at is None
        badge_id = room.course_badge(session).id
        stored = select(SourceAnswer).where(SourceAnswer.course_badge_id == badge_id)
        assert session.scalars(stored).all() == []
    room.lms.faults.clear()


def test_a_deleted_assignment_asks_to_match_again_and_takes_nothing_back(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.sync()
    room.rubrics.remove(room.essay)
    room.sync()
    assert "Match the row again" in room.course_problem()
    assert "Match the row again" in html.unescape(room.sources().text)
    assert [each.problem for each in room.connections()] == [None]
    assert room.award(room.students[0])["status"] == "issued"
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        kept = session.scalars(select(Mastery.met).where(Mastery.course_badge_id == badge_id)).all()
    assert kept.count(True) == 2


# -- the administrator's page


def test_an_administrator_sees_address_and_scopes_to_copy_and_the_trap_and_never_the_secret(room: CanvasRoom) -> None:
    text = html.unescape(room.admin.get(f"/admin/platforms/{room.platform}/connections/").text)
    for words in (room.back, "url:GET|/api/v1/courses/:course_id/enrollments", "Allow Include Parameters"):
        assert words in text
    assert room.api_key.secret not in text and room.api_key.client_id in text


def test_what_cannot_be_a_key_is_told_and_what_was_typed_stays(room: CanvasRoom) -> None:
    refused = room.enter_key(address="ftp://canvas.example", client_id="1234567")
    assert refused.status_code == 400 and "1234567" in refused.text and "ftp://canvas.example" in refused.text
    assert room.api_key.secret not in refused.text


def test_an_empty_secret_keeps_the_one_that_is_stored(room: CanvasRoom) -> None:
    room.enter_key(secret="")
    room.put(room.from_canvas())
    assert room.connect().status_code == 200


def service_account(room: CanvasRoom) -> str:
    """Let a service account agree in Canvas; returns where Canvas sends the administrator's browser."""
    service = room.lms.add_user(room.course, "instructor", given_name="Service", family_name="Account")
    asked = room.admin.post(f"/admin/platforms/{room.platform}/connections/connect")
    found = re.search(r'href="([^"]*/login/oauth2/auth[^"]*)"', asked.text)
    assert found
    return room.agree(html.unescape(found[1]), service)


def test_a_service_account_takes_over_where_canvas_has_ended_a_teacher_s_consent(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    assert room.admin.http.get(service_account(room), timeout=20).status_code == 200
    assert room.teacher.name in html.unescape(room.sources().text)  # hers comes first, while it holds
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.canvas.rest.take_access(room.teacher)
    room.canvas.rest.expire()
    room.sync()
    assert room.awards() == [] and "Connect again" in room.course_problem()
    room.canvas.rest.expire()
    room.sync()
    assert room.award(room.students[0])["status"] == "issued" and room.course_problem() == ""
    assert "with the account Service Account" in html.unescape(room.sources().text)
    remove_platform_access(room)


def test_a_service_account_serves_courses_nobody_has_connected(room: CanvasRoom) -> None:
    back = service_account(room)
    stranger = requests.get(back, timeout=20)
    assert stranger.status_code == 400, "the state belongs to the administrator's session"
    assert room.admin.http.get(back, timeout=20).status_code == 200
    room.put(room.from_canvas())
    assert "with the account Service Account" in html.unescape(room.sources().text)
    room.sources("/look", {})
    room.confirm()
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.sync()
    assert room.award(room.students[0])["status"] == "issued"
    remove_platform_access(room)


def remove_platform_access(room: CanvasRoom) -> None:
    """Take the service account away for the tests that follow on the same scene."""
    with room.tool.db.write() as session:
        for each in session.scalars(select(Connection).where(Connection.course_id.is_(None))):
            session.delete(each)


def test_an_administrator_removes_a_connection_and_what_was_read_stays(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.sync()
    (row,) = room.connections()
    room.admin.post(f"/admin/platforms/{room.platform}/connections/{row.id}/remove")
    assert room.connections() == []
    assert room.audit("connection.removed")[-1].subject == f"connection:{row.id}"
    room.sync()
    assert room.award(room.students[0])["status"] == "issued"
    assert "not connected" in room.course_problem()


def test_a_connection_of_another_platform_is_not_removed_from_here(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    room.connect()
    (row,) = room.connections()
    moodle = room.scene.platform["moodle"]
    assert room.admin.post(f"/admin/platforms/{moodle}/connections/{row.id}/remove").status_code == 404
    assert len(room.connections()) == 1


def test_the_editor_offers_Canvas_rubrics_only_where_a_key_is_there(room: CanvasRoom) -> None:
    room.put(badge(sub_competencies=(row(),), gates=(gate(),)))
    address = room.page.get(f"badges/{room.badge.slug}/edit").url
    grades = room.page.http.get(address.replace("/about", "/grades"), timeout=20).text
    assert "a rubric in Canvas" in grades and "a rubric in Moodle" not in grades
    rubric = room.page.http.get(address.replace("/about", "/rubric"), timeout=20).text
    assert "The course grade in Canvas" in rubric


def test_the_address_that_comes_back_is_the_one_the_administrator_copies(room: CanvasRoom) -> None:
    room.put(room.from_canvas())
    query = parse_qs(urlsplit(room.begin()).query)
    assert query["redirect_uri"] == [room.back]
    assert len(query["state"][0]) >= 40


def test_stored_tokens_are_sealed_anew_and_go_on_working(room: CanvasRoom) -> None:
    room.prepare()
    (before,) = room.connections()
    sealed = keys.rotate_sealing(room.tool, actor="operator", now=now())
    (after,) = room.connections()
    assert sealed >= 2 and after.secrets != before.secrets
    newest = sorted(room.tool.settings.keys.dir.glob("secrets-*.key"))[-1].read_bytes().strip()
    assert Fernet(newest).decrypt(after.secrets.encode())
    room.publish_again()
    room.rubrics.mark(room.essay, room.students[0], 4, 4)
    room.sync()
    assert room.award(room.students[0])["status"] == "issued"


def test_a_key_that_is_lost_asks_to_connect_again(room: CanvasRoom) -> None:
    room.prepare()
    room.publish_again()
    with room.tool.db.write() as session:
        sealed = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
        session.execute(update(Connection).where(Connection.course_id == room.id).values(secrets=sealed))
    room.sync()
    assert "cannot be read any more. Connect it again" in room.course_problem()


def test_what_canvas_interface_is_asked_is_the_platforms_and_a_bucket_that_runs_low_is_let_fill(
    room: CanvasRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int | None, str]] = []
    slept: list[float] = []
    monkeypatch.setattr(
        room.tool.http, "after_attempt", lambda platform, outcome, _took: asked.append((platform, outcome))
    )
    monkeypatch.setattr(room.tool.http, "_sleep", slept.append)
    room.prepare()
    assert room.publish_again().state == "done"
    with room.tool.db.write() as session:  # its access has to be renewed
        session.execute(update(Connection).values(expires_at=now() - timedelta(hours=1)))
    asked.clear()
    room.lms.faults.on("assignments", "bucket", remaining=100.0)
    assert room.sync().state == "done"
    assert len(asked) >= 4 and {platform for platform, _outcome in asked} == {room.platform}
    assert slept == [5.0]
    with room.tool.db.read() as session:
        paused = session.get_one(PlatformLoad, room.platform).paused_until
    assert paused is not None and timedelta() < paused - now() <= timedelta(seconds=5)
