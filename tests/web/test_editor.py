"""The editor's addresses: who may, what is refused and how, and what a page shows of what was typed."""

from __future__ import annotations

import re

import pytest

from lti_tool.models import CourseBadge
from tests.classroom import badge, make_room, room, shared  # noqa: F401
from tests.scene import token_in

PAGES = ("about", "rubric", "grades")


@pytest.fixture
def teacher(room):  # noqa: F811
    return room.enter(room.teacher)


def begin(teacher):
    return teacher.post("badges").url.removeprefix(teacher.home).rpartition("/")[0]


def save(teacher, address, body, **headers):
    token = token_in(teacher.get(f"{address}/about").text)
    sent = {"X-Csrf": token, **headers}
    return teacher.http.post(f"{teacher.home}{address}/save.json", json=body, headers=sent, timeout=20)


def test_only_who_manages_the_course_edits_its_badges(room, teacher):  # noqa: F811
    address = begin(teacher)
    student = room.enter(room.students[0])
    mine = teacher.home.replace(teacher.launch, student.launch)
    for page in PAGES:
        assert student.http.get(f"{mine}{address}/{page}", timeout=20).status_code == 403
    assert student.http.get(f"{teacher.home}{address}/about", timeout=20).status_code == 401


def test_a_save_without_the_page_s_token_is_refused_as_json(teacher):
    answer = save(teacher, begin(teacher), {"revision": 0, "changes": {}}, **{"X-Csrf": "0" * 64})
    assert (answer.status_code, answer.json()["reason"]) == (400, "csrf")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"revision": "0", "changes": {}},
        {"revision": 0, "changes": []},
        {"revision": 0, "changes": {"name": "x"}},
        {"revision": 0, "changes": {"name": ["", 3]}},
        {"revision": 0, "changes": {}, "do": 3},
        {"revision": 0, "changes": {}, "do": "row.remove:nothing"},
        {"revision": 0, "changes": {"name": ["", "x" * 50_000]}},
    ],
)
def test_a_save_that_is_none_is_refused_and_changes_nothing(room, teacher, body):  # noqa: F811
    address = begin(teacher)
    answer = save(teacher, address, body)
    assert answer.status_code == 400 and answer.json()["error"]
    with room.tool.db.read() as session:
        assert session.get_one(CourseBadge, address.rpartition("/")[2]).working_revision == 0


def test_a_save_says_the_problems_of_every_step_and_how_many_each_has(teacher):
    address = begin(teacher)
    answer = save(teacher, address, {"revision": 0, "changes": {"name": ["", "A name"], "credits": ["", "x"]}}).json()
    assert answer["revision"] == 1 and answer["slug"] == "a-name" and answer["title"] == "A name"
    assert answer["problems"]["credits"] == "Write a number, as 3 or 2.5."
    assert answer["left"] == {"about": 4, "rubric": 1, "grades": 0}


def test_an_unfinished_badge_leads_back_to_its_first_gap_and_breaks_no_page(room, teacher):  # noqa: F811
    address = begin(teacher)
    slug = "new-badge"
    for path in (f"{address}/preview", f"badges/{slug}/plan", f"badges/{slug}"):
        assert teacher.get(path).url.endswith(f"{address}/about?check=yes"), path
    home = teacher.get("").text
    assert "Untitled badge" in home and "things are still missing" in home
    assert teacher.get(f"badges/{slug}/picture.svg").text.startswith("<svg")
    assert teacher.get(f"badges/{slug}/badge.toml").status_code == 404
    assert teacher.post(f"badges/{slug}/publish").status_code == 404
    assert room.enter(room.students[0]).page.status_code == 200
    assert teacher.post(f"badges/{slug}/remove").status_code == 200
    assert "Untitled badge" not in teacher.get("").text


def test_criteria_are_previewed_without_programs_in_them(teacher):
    address = begin(teacher)
    text = "**bold** <script>alert(1)</script> [x](javascript:alert(1)) [y](https://a.example)"
    shown = teacher.post(f"{address}/criteria", {"text": text}).text
    assert "<strong>bold</strong>" in shown and 'href="https://a.example"' in shown
    assert "<script" not in shown and 'href="javascript' not in shown


def test_an_own_picture_is_published_as_it_was_sent_and_survives_a_change(room, teacher):  # noqa: F811
    room.put(badge("own"))
    address = teacher.get("badges/own/edit").url.removeprefix(teacher.home).rpartition("/")[0]
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4" fill="red"/></svg>'
    assert teacher.post(f"{address}/picture", files={"file": ("own.svg", svg)}).status_code == 200
    assert room.publish_again().state == "done"
    public = room.scene.launch(room.teacher.id, room.course.id).get("/achievements/own/v1.svg")
    assert (public.status_code, 'fill="red"' in public.text) == (200, True)
    assert save(teacher, address, {"revision": 9, "changes": {"description": ["Works carefully.", "New."]}}).ok
    assert room.publish_again().state == "done"
    assert 'fill="red"' in teacher.get("/achievements/own/v2.svg").text
    assert teacher.get("/achievements/own/v2.png").content == teacher.get("/achievements/own/v1.png").content


def test_a_form_that_somebody_else_s_save_has_overtaken_shows_both_and_saves_the_second_time(teacher):
    address = begin(teacher)
    save(teacher, address, {"revision": 0, "changes": {"name": ["", "Theirs"]}})
    form = {"revision": "0", "name": "Mine", "go": "about"}
    answer = teacher.post(f"{address}/about", form)
    assert answer.status_code == 409 and "stands there now; you wrote" in answer.text
    assert 'value="Mine"' in answer.text
    again = re.search(r'name="revision" value="(\d+)"', answer.text)
    assert again and teacher.post(f"{address}/about", {**form, "revision": again[1]}).status_code == 200
    assert 'value="Mine"' in teacher.get(f"{address}/about").text


def test_a_file_of_a_badge_that_is_being_edited_here_is_not_taken_over_it_unasked(room, teacher):  # noqa: F811
    room.put(badge("mine"))
    address = teacher.get("badges/mine/edit").url.removeprefix(teacher.home).rpartition("/")[0]
    file = teacher.get("badges/mine/badge.toml").text
    save(teacher, address, {"revision": 0, "changes": {"description": ["Works carefully.", "My own words."]}})
    answer = teacher.post("import", files={"file": ("mine.toml", file)})
    assert answer.status_code == 409 and "is being edited here" in answer.text
    assert "My own words." in teacher.get(f"{address}/about").text
    assert teacher.post("import", {"replace": "mine"}, files={"file": ("mine.toml", file)}).status_code == 200
    assert "My own words." not in teacher.get(f"{address}/about").text
