"""What a review found missing in the rules: measures for what had none."""

from __future__ import annotations

import pytest

from lti_tool.domain.badge import Stack
from lti_tool.domain.rules import problems
from tests.classroom import badge, gate, replace, row

ROWS = tuple(row(f"R{n}") for n in range(51))
GATES = tuple(gate(f"g{n}") for n in range(21))


@pytest.mark.parametrize("duration", ["P9000Y", "P101Y", "P1201M", "P36526D", "P5300W", "P60Y20000D"])
def test_nothing_lasts_longer_than_a_hundred_years(duration):
    assert [place for place, _ in problems(badge("b", expires_after=duration))] == [("badge", "expires_after")]
    stack = badge("b", sub_competencies=(), stack=Stack(("one", "two"), within=duration))
    assert [place for place, _ in problems(stack)] == [("stack", "within")]


@pytest.mark.parametrize("duration", ["P100Y", "P1200M", "P36525D", "P3Y", "P99Y11M"])
def test_a_hundred_years_may_be_asked_for(duration):
    assert problems(badge("b", expires_after=duration)) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"sub_competencies": ROWS}, ("sub_competency", 50)),
        ({"gates": GATES}, ("gate", 20)),
        ({"tags": ("t",) * 51}, ("badge", "tags")),
        ({"tags": ("t" * 101,)}, ("badge", "tags")),
        ({"description": "d" * 20_001}, ("badge", "description")),
        ({"criteria": "c" * 20_001}, ("badge", "criteria")),
        ({"sub_competencies": (row(description="d" * 20_001),)}, ("sub_competency", 0, "description")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_more_than_anybody_needs_is_refused_at_its_place(change, place):
    assert [where for where, _ in problems(badge("b", **change))] == [place]


def test_a_level_that_tells_a_novel_is_refused_at_its_place():
    long = row()
    long = replace(long, levels=(replace(long.levels[0], description="d" * 20_001), *long.levels[1:]))
    where = [place for place, _ in problems(badge("b", sub_competencies=(long,)))]
    assert where == [("sub_competency", 0, "level", 0, "description")]


@pytest.mark.parametrize(
    "change",
    [
        {"sub_competencies": ROWS[:50]},
        {"gates": GATES[:20]},
        {"tags": ("t" * 100,) * 50},
        {"description": "d" * 20_000, "criteria": "c" * 20_000},
    ],
    ids=lambda value: str(value)[:30],
)
def test_as_much_as_is_allowed_is_allowed(change):
    assert problems(badge("b", **change)) == []
