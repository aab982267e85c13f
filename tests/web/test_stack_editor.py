"""A badge made of badges, made in the editor without script: begun, put together, looked at, published."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from lti_tool.domain.badge import Stack
from lti_tool.models import CourseBadge
from lti_tool.services import catalog
from tests.classroom import make_room, replace, room, shared  # noqa: F401 (fixtures)
from tests.scene import token_in
from tests.services.test_stacks import earn, part, publish, slugs, stack


class Editor:
    """The three steps of one draft as their forms send them."""

    def __init__(self, room: Any) -> None:  # noqa: F811
        self.teacher = room.enter(room.teacher)
        begun = self.teacher.post("badges", {"of": "badges"})
        self.address = begun.url.removeprefix(self.teacher.home).rpartition("/")[0]
        self.id = self.address.rpartition("/")[2]

    def page(self, step: str) -> str:
        return html.unescape(self.teacher.get(f"{self.address}/{step}").text)

    def send(self, step: str, **fields: str) -> Any:
        shown = self.teacher.get(f"{self.address}/{step}").text
        revision = re.search(r'name="revision" value="(\d+)"', shown)
        assert revision
        named = {name.replace("__", "."): text for name, text in fields.items()}
        sent = {"csrf": token_in(shown), "revision": revision[1], **named}
        return self.teacher.http.post(f"{self.teacher.home}{self.address}/{step}", data=sent, timeout=20)

    def add(self, definition: Any) -> Any:
        return self.send("rubric", stack__chosen=definition.slug, do="member.add")

    def name_it(self, name: str) -> None:
        told = {"name": name, "description": "All of it.", "criteria": "All parts.", "picture__alt": "A tower"}
        assert self.send("about", **told).status_code == 200


@pytest.fixture
def editor(room):  # noqa: F811
    return Editor(room)


def test_a_stack_is_put_together_by_its_forms_and_published(room, editor):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    publish(room, a, b)
    earn(room, room.students[0], a, b)
    assert "From badges" in editor.teacher.get("").text
    editor.name_it("The Whole")
    empty = editor.page("rubric")
    assert "Which badges count" in empty and "None is chosen yet." in empty and "Choose the badges first." in empty
    assert editor.add(b).status_code == editor.add(a).status_code == 200
    assert editor.send("rubric", do=f"member.move:{a.slug}:up").status_code == 200
    assert editor.send("rubric", stack__rule="any", stack__any="1", stack__within="2", stack__within_unit="M").ok
    told = editor.page("rubric")
    assert "Any one of these two badges, all issued within two months. “The Whole” comes by itself" in told
    grades = editor.page("grades")
    assert "How it is awarded" in grades and "Gradebook columns" not in grades
    assert editor.send("grades", once="person").ok
    plan = html.unescape(editor.teacher.get(f"{editor.address}/preview").text)
    assert "Before you publish" in plan and "+1" in plan and "First" in plan
    assert "Whoever has earned its badges as a learner on this platform gets it" in plan
    assert editor.teacher.post("badges/the-whole/publish").status_code == 200
    assert "the-whole" in slugs(room, room.students[0])
    with room.tool.db.read() as session:
        definition = catalog.definition_of(session.get_one(CourseBadge, editor.id))
    assert definition.stack == Stack((a.slug, b.slug), "any 1", False, "P2M") and definition.once == "person"


def test_badges_of_the_institution_are_offered_beside_those_of_the_course(make_room, room, editor):  # noqa: F811
    there = make_room()
    far, near, draft = part(name="Far away"), part(name="Near by"), part(name="Not yet")
    publish(there, far)
    publish(room, near)
    room.put(draft)
    offered = editor.page("rubric")
    assert all(name in offered for name in ("Far away", "Near by", "Not yet (a draft)"))
    assert editor.add(far).ok and editor.add(draft).ok
    shown = editor.page("rubric")
    assert "of the institution" in shown and "Not published yet: this badge can be published once it is." in shown


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"stack__rule": "any", "stack__any": "5"}, "Write a number from 1 to 1, as many as there are badges."),
        ({"stack__rule": "credits", "stack__credits": "x"}, "Write a whole number above zero, as 3."),
        ({"stack__rule": "credits", "stack__credits": "9"}, "all its badges together give 0"),
        ({"stack__rule": "most"}, "Choose one of what is offered here."),
        ({"stack__within": "soon", "stack__within_unit": "Y"}, "Write a whole number above zero, as 3."),
    ],
)
def test_what_can_never_be_earned_is_told_at_its_field_and_stays_as_it_was_typed(
    room,  # noqa: F811
    editor,
    fields,
    sentence,
):
    a = part()
    publish(room, a)
    editor.name_it("The Whole")
    editor.add(a)
    done = editor.send("rubric", go="rubric", **fields)
    assert sentence in html.unescape(done.text)
    assert all(f'value="{text}"' in done.text for text in fields.values() if not text.isalpha())
    with room.tool.db.read() as session:
        assert session.get_one(CourseBadge, editor.id).draft is None  # nothing that could be published


def test_a_circle_is_told_in_the_editor_before_anything_is_published(room):  # noqa: F811
    a = part()
    one = stack(a, name="One")
    two = stack(one, name="Two")
    publish(room, a, one, two)
    teacher = room.enter(room.teacher)
    editor = Editor.__new__(Editor)
    editor.teacher = teacher
    editor.address = teacher.get(f"badges/{one.slug}/edit").url.removeprefix(teacher.home).rpartition("/")[0]
    editor.id = editor.address.rpartition("/")[2]
    assert editor.add(two).ok
    shown = html.unescape(teacher.get(f"{editor.address}/rubric?check=yes").text)
    assert f"“{one.slug}” asks for “{two.slug}” asks for “{one.slug}”" in shown
    assert editor.send("rubric", do=f"member.remove:{two.slug}").ok
    assert "asks for" not in editor.page("rubric")


def test_acts_that_are_none_are_refused_and_change_nothing(room, editor):  # noqa: F811
    a = part()
    publish(room, a)
    editor.add(a)
    for act in ("member.add", f"member.add:{a.slug}", "member.remove:nothing", "member.move:nothing:up", "row.add",
                "levels.share", "member.add:Not A Slug"):  # fmt: skip
        assert editor.send("rubric", do=act).status_code == 400, act
    with room.tool.db.read() as session:
        values = session.get_one(CourseBadge, editor.id).working
    assert values is not None and values["stack"]["members"] == [a.slug] and values["rows"] == []


def test_a_published_stack_is_changed_and_what_changes_is_said(room):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    made = stack(a, b)
    publish(room, a, b, made)
    room.put(replace(made, stack=Stack((b.slug, a.slug), "any 1", True, "P1Y")))
    page = html.unescape(room.enter(room.teacher).get(f"badges/{made.slug}/plan").text)
    for sentence in (
        "Its badges stand in another order.",
        "It takes any 1 badges instead of all badges.",
        "Its badges have to be earned in their order.",
        "Its badges have to be issued within one year.",
    ):
        assert sentence in page
