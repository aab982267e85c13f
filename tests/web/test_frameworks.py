"""A badge begun from a framework file, by an instructor in her course."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from sqlalchemy import select

from lti_tool.domain.badge import Alignment, badge_from_content
from lti_tool.models import CourseBadge, FrameworkFile
from lti_tool.services import framework_files
from lti_tool.services.draft_values import definition
from tests.case_files import SITE, as_bytes, criterion, item, level, link, package, rubric
from tests.classroom import make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now, token_in


def send(room, content: bytes, name: str = "framework.json") -> requests.Response:  # noqa: F811
    page = room.page
    files = {"file": (name, content, "application/json")}
    data = {"csrf": token_in(page.get("").text)}
    return page.http.post(f"{page.home}framework/", data=data, files=files, timeout=20)


def begun(room, answer: requests.Response) -> Any:  # noqa: F811
    """Return the draft that an answer leads to: the badge as far as it is written, and what is missing."""
    badge_id = re.search(r"/edit/([0-9a-f]+)/about", answer.url)[1]
    with room.tool.db.read() as session:
        row = session.get_one(CourseBadge, badge_id)
        return definition(row.working, row.slug)


def choose(room, looked: requests.Response, **chosen: Any) -> requests.Response:  # noqa: F811
    return room.page.post(looked.url.split(f"/{room.page.launch}/")[1], chosen)


def test_a_rubric_becomes_a_draft_with_its_rows_levels_points_and_addresses(room):  # noqa: F811
    looked = send(room, as_bytes(package()))
    assert "Oral communication" in looked.text and "Speaks clearly" in looked.text
    assert "What the draft would ask for" in looked.text
    answer = choose(room, looked, rubric=link("rubric Oral communication")["identifier"])
    badge, missing = begun(room, answer)
    assert set(missing) == {"criteria", "picture.alt"}
    assert (badge.name, badge.slug, badge.language) == ("Oral communication", "oral-communication", "en")
    delivery, organisation = badge.sub_competencies
    assert (delivery.code, delivery.name, delivery.required_level) == ("SL.1", "Delivery", "Accomplished")
    assert [(each.name, str(each.points)) for each in delivery.levels] == [
        ("Beginning", "1"),
        ("Developing", "2"),
        ("Accomplished", "3"),
        ("Exemplary", "4"),
    ]
    at, title = link, "Speaking and Listening"
    assert badge.alignment == (
        Alignment(title, "Oral communication", at("rubric Oral communication")["uri"], type="CFRubric"),
    )
    assert delivery.alignment == (
        Alignment(title, "Delivery", at("criterion Delivery")["uri"], type="CFRubricCriterion"),
        Alignment(title, "Speaks clearly", at("a")["uri"], "SL.1", type="CFItem"),
    )
    assert delivery.levels[3].alignment == (
        Alignment(title, "Exemplary", at("level Exemplary 4")["uri"], type="CFRubricCriterionLevel"),
    )
    assert organisation.code == "SC-1" and delivery.levels[0].description == "What Beginning looks like."


def test_ticked_items_become_rows_with_four_levels_to_describe(room):  # noqa: F811
    looked = send(room, as_bytes(package(CFRubrics=[])))
    answer = choose(room, looked, item=[link("a1")["identifier"], link("c")["identifier"]])
    badge, missing = begun(room, answer)
    assert [(row.code, row.name, len(row.levels)) for row in badge.sub_competencies] == [
        ("SL.1.a", "Is heard at the back of the room", 4),
        ("SC-1", "Listens actively", 4),
    ]
    assert badge.sub_competencies[0].alignment[0].type == "CFItem"
    assert badge.sub_competencies[0].required_level == "Proficient"
    assert "criteria" in missing


def test_a_finished_draft_is_published_and_its_credential_points_into_the_framework(room):  # noqa: F811
    looked = send(room, as_bytes(package()))
    answer = choose(room, looked, rubric=link("rubric Oral communication")["identifier"])
    typed = {"criteria": "Speaks before a class.", "picture.alt": "A speech bubble", "revision": "0"}
    path = answer.url.split(f"/{room.page.launch}/")[1].partition("?")[0]
    assert room.page.post(path, typed).status_code == 200
    with room.tool.db.read() as session:
        row = session.scalars(select(CourseBadge).where(CourseBadge.course_id == room.id)).one()
        room.badge = badge_from_content(row.draft)
    assert room.page.post(f"badges/{room.badge.slug}/publish").status_code == 200
    achievement = requests.get(f"{room.scene.url}/achievements/oral-communication/v1.json", timeout=20).json()
    (first, _second) = achievement["resultDescription"]
    assert [(each["targetType"], each.get("targetCode")) for each in first["alignment"]] == [
        ("CFRubricCriterion", None),
        ("CFItem", "SL.1"),
    ]
    assert first["rubricCriterionLevel"][0]["alignment"][0]["targetType"] == "CFRubricCriterionLevel"
    assert all(each["targetUrl"].startswith(SITE) for each in first["alignment"])
    assert achievement["alignment"][0]["targetType"] == "CFRubric"


def test_what_the_file_leaves_open_is_said_before_anything_is_made(room):  # noqa: F811
    without = criterion("Unscored", level("High", None), level("Low", None))
    single = criterion("Single", level("Only", 1))
    nowhere = {**criterion("Nowhere", level("Low", 1), level("High", 2)), "uri": "urn:x"}
    looked = send(room, as_bytes(package(CFRubrics=[rubric("R", without, single, nowhere)])))
    for words in ("no rising points for “Unscored”", "to describe: “Single”", "cannot point there: “Nowhere”"):
        assert words in looked.text
    badge, _missing = begun(room, choose(room, looked, rubric=link("rubric R")["identifier"]))
    assert [str(each.points) for each in badge.sub_competencies[0].levels] == ["1", "2"]
    assert len(badge.sub_competencies[1].levels) == 4
    assert badge.sub_competencies[2].alignment == ()


def test_levels_of_one_name_and_names_that_are_too_long_can_be_used(room):  # noqa: F811
    same = criterion("Same", level("Good", 1), level("Good", 2), level("", 3))
    long = criterion("word " * 60, level("Low", 1), level("High", 2))
    looked = send(room, as_bytes(package(CFRubrics=[rubric("R", same, long)])))
    badge, missing = begun(room, choose(room, looked, rubric=link("rubric R")["identifier"]))
    assert [each.name for each in badge.sub_competencies[0].levels] == ["Good", "Good (2)", "Level 3"]
    assert len(badge.sub_competencies[1].name) <= 200 and badge.sub_competencies[1].name.endswith("…")
    assert badge.sub_competencies[1].description.startswith("word word")
    assert set(missing) == {"criteria", "picture.alt"}


def test_a_rubric_no_badge_can_hold_is_shown_with_the_reason_and_cannot_be_chosen(room):  # noqa: F811
    many = [criterion(f"Row {n}", level("Low", 1), level("High", 2)) for n in range(51)]
    tall = criterion("Tall", *(level(f"L{n}", n) for n in range(11)))
    looked = send(room, as_bytes(package(CFRubrics=[rubric("Many", *many), rubric("Tall", tall)])))
    assert "more than 50 rows" in looked.text and "more than 10 levels" in looked.text
    assert "Begin with this rubric" not in looked.text
    answer = choose(room, looked, rubric=link("rubric Many")["identifier"])
    assert answer.status_code == 400 and "more than 50 rows" in answer.text


def test_nothing_chosen_and_too_much_chosen_is_said_and_what_was_ticked_stays(room):  # noqa: F811
    items = [item(f"i{n}", f"Statement {n}") for n in range(55)]
    looked = send(room, as_bytes(package(CFItems=items, CFAssociations=[])))
    assert choose(room, looked).status_code == 400
    answer = choose(room, looked, item=[link(f"i{n}")["identifier"] for n in range(55)])
    assert answer.status_code == 400 and "at most 50 sub-competencies; 55 are ticked" in answer.text
    assert answer.text.count(" checked") == 55


@pytest.mark.parametrize("content", [b"{}", b"nothing", b""])
def test_a_file_that_is_none_is_refused_on_the_page_it_came_from(room, content):  # noqa: F811
    answer = send(room, content)
    assert answer.status_code == 400
    assert "This is not a CASE package." in answer.text and "Badges in this course" in answer.text


def test_markup_in_a_framework_is_text(room):  # noqa: F811
    hostile = package(CFItems=[item("a", "<script>alert(1)</script>")], CFAssociations=[])
    hostile["CFDocument"]["title"] = '"><img onerror=alert(1)>'
    looked = send(room, as_bytes(hostile), name="<b>x</b>.json")
    assert "<script>alert(1)" not in looked.text and "<img onerror" not in looked.text


def test_a_file_is_its_sender_s_and_ends_after_a_day(room, make_room):  # noqa: F811
    looked = send(room, as_bytes(package()))
    path = looked.url.split(f"/{room.page.launch}/")[1]
    elsewhere = make_room()
    assert elsewhere.page.get(path).status_code == 404
    assert elsewhere.page.post(path, {"rubric": link("rubric Oral communication")["identifier"]}).status_code == 404
    learner = room.enter(room.students[0])
    assert learner.http.get(looked.url, timeout=20).status_code in (401, 403)
    with room.tool.db.write() as session:
        framework_files.forget_old(session, now() + framework_files.KEPT)
        assert session.scalars(select(FrameworkFile)).all() == []
    assert room.page.get(path).status_code == 404
