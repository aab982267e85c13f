"""What keeps a definition from being used: each problem with the place it stands at."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lti_tool.domain.badge import Alignment, Level, Picture, Stack
from lti_tool.domain.rules import problems
from lti_tool.services.catalog import library
from tests.classroom import LETTERS, badge, gate, levels, replace, row


def places(definition):
    return [place for place, _ in problems(definition)]


def one_problem(definition):
    found = problems(definition)
    assert len(found) == 1, found
    return found[0]


def with_row(**changes):
    return badge("b", sub_competencies=(row("A"), replace(row("B"), **changes)))


@pytest.mark.parametrize("definition", [badge("fine"), *library().values()], ids=lambda d: d.slug)
def test_a_good_definition_has_no_problem(definition):
    assert problems(definition) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"slug": "Not a slug"}, ("badge", "slug")),
        ({"slug": "a" * 81}, ("badge", "slug")),
        ({"slug": "a--b"}, ("badge", "slug")),
        ({"name": " "}, ("badge", "name")),
        ({"name": "n" * 201}, ("badge", "name")),
        ({"description": ""}, ("badge", "description")),
        ({"criteria": "\n"}, ("badge", "criteria")),
        ({"language": "english"}, ("badge", "language")),
        ({"expires_after": "3 years"}, ("badge", "expires_after")),
        ({"expires_after": "P0D"}, ("badge", "expires_after")),
        ({"release": "soon"}, ("badge", "release")),
        ({"release": "2027-01-31T12:00:00"}, ("badge", "release")),
        ({"credits": Decimal(0)}, ("badge", "credits")),
        ({"credits": Decimal("NaN")}, ("badge", "credits")),
        ({"credits": Decimal("1e99999999")}, ("badge", "credits")),
        ({"picture": Picture(alt="")}, ("badge", "picture")),
        ({"picture": Picture(alt="x", shape="blob")}, ("badge", "picture")),
        ({"picture": Picture(alt="x", colours=("red", "#000000"))}, ("badge", "picture")),
        ({"alignment": (Alignment("F", "N", "ftp://x"),)}, ("badge", "alignment", 0)),
        ({"alignment": (Alignment("F", "", "https://x"),)}, ("badge", "alignment", 0)),
        ({"prerequisites": ("A B",)}, ("badge", "prerequisites", 0)),
        ({"prerequisites": ("x", "b")}, ("badge", "prerequisites", 1)),
        ({"rule": "most"}, ("badge", "rule")),
        ({"rule": "any 0"}, ("badge", "rule")),
        ({"rule": "any 3"}, ("badge", "rule")),
        ({"sub_competencies": ()}, ("badge",)),
        ({"columns": "none"}, ("badge", "columns")),
        ({"columns": "total"}, ("badge", "columns")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_problem_of_the_badge_is_found_at_its_key(change, place):
    assert one_problem(badge(**{"slug": "b", **change}))[0] == place


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"code": "A"}, ("sub_competency", 1, "code")),
        ({"code": "a b"}, ("sub_competency", 1, "code")),
        ({"code": ""}, ("sub_competency", 1, "code")),
        ({"code": "x" * 61}, ("sub_competency", 1, "code")),
        ({"name": ""}, ("sub_competency", 1, "name")),
        ({"name": "n" * 201}, ("sub_competency", 1, "name")),
        ({"required_level": "Superb"}, ("sub_competency", 1, "required_level")),
        ({"levels": levels(1, 2, 2, 4)}, ("sub_competency", 1, "level", 2, "points")),
        ({"levels": levels(1, 3, 2, 4)}, ("sub_competency", 1, "level", 2, "points")),
        ({"levels": levels(-1, 2, 3, 4)}, ("sub_competency", 1, "level", 0, "points")),
        ({"levels": levels(1, 2, 3, "1e99999999")}, ("sub_competency", 1, "level", 3, "points")),
        ({"levels": levels("0.000001", 2, 3, 4)}, ("sub_competency", 1, "level", 0, "points")),
        ({"levels": levels("1e-99999999", 2, 3, 4)}, ("sub_competency", 1, "level", 0, "points")),
        ({"levels": (*levels(1, 2, 3), Level("Beginning", Decimal(4)))}, ("sub_competency", 1, "level", 3, "name")),
        ({"levels": (*levels(1, 2, 3), Level(" ", Decimal(4)))}, ("sub_competency", 1, "level", 3, "name")),
        ({"levels": levels(1), "required_level": "Beginning"}, ("sub_competency", 1)),
        (
            {"levels": tuple(Level(f"L{n}", Decimal(n)) for n in range(11)), "required_level": "L1"},
            ("sub_competency", 1),
        ),
        ({"alignment": (Alignment("F", "N", "https://x y"),)}, ("sub_competency", 1, "alignment", 0)),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_problem_of_a_row_is_found_at_its_row_and_level(changes, place):
    assert one_problem(with_row(**changes))[0] == place


def test_a_level_that_is_not_known_is_told_with_those_that_are():
    _, sentence = one_problem(with_row(required_level="Superb"))
    assert "'Superb'" in sentence and "'Proficient'" in sentence


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (gate("A"), ("gate", 0, "code")),
        (replace(gate("g"), name=" "), ("gate", 0, "name")),
        (gate(kind="percent", required="101"), ("gate", 0, "required")),
        (gate(kind="percent", required="x"), ("gate", 0, "required")),
        (gate(kind="points", required="-1"), ("gate", 0, "required")),
        (gate(kind="points", required="NaN"), ("gate", 0, "required")),
        (gate(kind="points", required="1e99999999"), ("gate", 0, "required")),
        (gate(kind="pass", required="60"), ("gate", 0, "required")),
        (gate(kind="letter", required="E", scale=LETTERS), ("gate", 0, "required")),
        (gate(kind="letter", required="F", scale=LETTERS[:1]), ("gate", 0, "scale")),
        (gate(kind="letter", required="B", scale=LETTERS[::-1]), ("gate", 0, "scale")),
        (gate(kind="letter", required="A", scale=(("F", Decimal(0)), ("A", Decimal(101)))), ("gate", 0, "scale")),
        (gate(kind="letter", required="A", scale=(("F", Decimal(-5)), ("A", Decimal(90)))), ("gate", 0, "scale")),
    ],
    ids=str,
)
def test_a_problem_of_a_gate_is_found_at_its_key(bad, place):
    assert one_problem(badge("b", gates=(bad,)))[0] == place


def stack(*members, **changes):
    return badge("s", rows=0, stack=Stack(members, **changes))


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        (stack("a", "S S"), ("stack", "members", 1)),
        (stack("a", "s"), ("stack", "members", 1)),
        (stack("a", "a"), ("stack", "members")),
        (stack("a", "b", rule="any 3"), ("stack", "rule")),
        (stack("a", "b", rule="credits none"), ("stack", "rule")),
        (stack("a", "b", rule="any 0"), ("stack", "rule")),
        (stack("a", "b", within="a year"), ("stack", "within")),
        (badge("s", rows=1, stack=Stack(("a", "b"))), ("stack",)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_problem_of_a_stack_is_found_at_its_key(definition, place):
    assert one_problem(definition)[0] == place


def test_every_problem_is_told_and_in_the_order_of_the_file():
    definition = replace(with_row(name="", required_level="x"), slug="B B", gates=(gate("A"),))
    assert places(definition) == [
        ("badge", "slug"),
        ("sub_competency", 1, "name"),
        ("sub_competency", 1, "required_level"),
        ("gate", 0, "code"),
    ]
