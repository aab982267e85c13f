"""Rules beyond "all": conditions, evidence, badges asked for first, one column for all; and what can never hold."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from lti_tool.domain.award import Hold, Issue, Review, Wait, decide, is_earned, other_total, progress, steps_to_go
from lti_tool.domain.badge import badge_from_content
from lti_tool.domain.changes import changes
from lti_tool.domain.mastery import pass_gate, prerequisite, stand, with_evidence
from lti_tool.domain.prerequisites import circle, in_order
from lti_tool.domain.rules import problems
from lti_tool.domain.scores import Malformed, Score, Ungraded, read_back
from lti_tool.services.definition import read_definition, write_definition
from tests.classroom import LETTERS, badge, gate, levels, replace, row


def score(points: float | str, maximum: float | str = 4) -> Score:
    return Score(Fraction(str(points)), Fraction(str(maximum)))


def places(definition):
    return [place for place, _ in problems(definition)]


# -- evidence


def test_a_row_that_asks_for_evidence_is_met_only_when_it_is_there():
    reached = stand(row(), score(4))
    assert with_evidence(reached, there=True) == reached
    waiting = with_evidence(reached, there=False)
    assert (waiting.state, waiting.met, waiting.level) == ("unproven", False, 3)
    assert waiting.missing == "Row A (Advanced, evidence is missing)"
    assert "evidence has not been handed in" in waiting.sentence


@pytest.mark.parametrize("reading", [score(1), Ungraded(), Malformed("odd")])
def test_evidence_that_is_missing_says_nothing_where_the_level_is_missing_too(reading):
    standing = stand(row(), reading)
    assert with_evidence(standing, there=False) == standing


# -- badges asked for first, any k, gates together


def standings(definition, *points, held=(), grade=None):
    rows = [
        stand(each, score(point) if point is not None else Ungraded())
        for each, point in zip(definition.sub_competencies, points, strict=True)
    ]
    rows += [pass_gate(each, grade or Ungraded()) for each in definition.gates]
    return rows + [prerequisite(slug, slug.title(), in_force=slug in held) for slug in definition.prerequisites]


def test_every_condition_must_hold_and_as_many_rows_as_the_rule_says():
    one = badge(rows=3, rule="any 2", gates=(gate("g", "letter", "B", scale=LETTERS),), prerequisites=("first",))
    assert is_earned(one, standings(one, 3, 4, None, held=["first"], grade=score(80, 100)))
    assert not is_earned(one, standings(one, 3, None, None, held=["first"], grade=score(80, 100)))
    assert not is_earned(one, standings(one, 3, 4, 4, held=["first"], grade=score("79.99", 100)))
    assert not is_earned(one, standings(one, 3, 4, 4, grade=score(80, 100)))


def test_what_is_missing_is_counted_in_steps_and_named():
    one = badge(rows=3, rule="any 2", gates=(gate("g"),), prerequisites=("first",))
    assert steps_to_go(one, standings(one, 3, None, None, held=["first"], grade=score(60, 100))) == 1
    assert steps_to_go(one, standings(one, None, None, None)) == 4
    told = progress(one, standings(one, 3, 3, 1))
    assert told == "2 of 2. Missing: Gate g (no result yet, needs 60 %), the badge “First”."


def test_a_prerequisite_that_is_lost_after_the_award_opens_a_review():
    one = badge(rows=1, prerequisites=("first",))
    assert decide(one, standings(one, 4, held=["first"]), awarded=None, released=True) == Issue()
    assert isinstance(decide(one, standings(one, 4), awarded=None, released=True), Wait)
    assert decide(one, standings(one, 4), awarded="issued", released=True) == Review(
        "1 of 1. Missing: the badge “First”."
    )
    reviewed = replace(one, award="review")
    assert decide(reviewed, standings(one, 4, held=["first"]), awarded=None, released=True) == Hold("review")


# -- marks read back


def test_what_comes_back_within_five_decimals_is_the_mark_itself():
    third = Score(Fraction(1, 3), Fraction(4))
    assert read_back(score("0.33333"), third) == third
    assert read_back(score("0.33332"), third) == score("0.33332")
    assert read_back(Score(Fraction("8.33333"), Fraction(100)), third) == third  # on another maximum
    assert read_back(Ungraded(), third) == Ungraded()
    assert read_back(score(3), None) == score(3)


def test_a_third_that_is_read_back_keeps_the_level_it_was_marked_at():
    thirds = replace(row(), levels=levels("0.33334", 1), required_level="Beginning")
    mark = Score(Fraction("0.333340"), Fraction(1))
    assert stand(thirds, read_back(Score(Fraction("0.33333"), Fraction(1)), mark)).met
    assert not stand(thirds, Score(Fraction("0.33333"), Fraction(1))).met


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (score(12, 16), ""),
        (score("12.00001", 16), ""),
        (score(75, 100), ""),
        (Ungraded(), ""),
        (Malformed("x"), ""),
        (score(9, 16), "The gradebook's total is 9 of 16; the rubric marked here comes to 12 of 16."),
        (score(12.5, 16), "The gradebook's total is 12.5 of 16; the rubric marked here comes to 12 of 16."),
    ],
)
def test_a_total_says_something_only_where_it_is_another(total, said):
    assert (other_total(Score(Fraction(12), Fraction(16)), total) or "") == said


# -- refused when saved


@pytest.mark.parametrize(
    ("definition", "place", "words"),
    [
        (badge("b", rows=2, rule="any 3"), ("badge", "rule"), "asks for 3 of 2"),
        (
            badge("b", gates=(gate("g", "points", "60", out_of=Decimal(50)),)),
            ("gate", 0, "required"),
            "more than the 50 points there are",
        ),
        (badge("b", gates=(gate("g", "percent", "101"),)), ("gate", 0, "required"), "more than 100 %"),
        (
            badge("b", gates=(gate("g", "letter", "A+", scale=LETTERS),)),
            ("gate", 0, "required"),
            "not a letter of the scale",
        ),
        (badge("b", gates=(gate("g", out_of=Decimal(50)),)), ("gate", 0, "out_of"), "only a condition in points"),
        (badge("b", gates=(gate("g", "points", "0", out_of=Decimal(0)),)), ("gate", 0, "out_of"), "above zero"),
        (badge("b", gates=(gate("g"), replace(gate("g"), name="Other"))), ("gate", 1, "code"), "used twice"),
        (
            badge("b", gates=(gate("g"), replace(gate("h"), name="gate G "))),
            ("gate", 1, "name"),
            "two gates are called",
        ),
        (
            badge(
                "b",
                gates=(gate("g", source="canvas-course-grade"), gate("h", "pass", "", source="canvas-course-grade")),
            ),
            ("gate", 1),
            "already asks for the course grade",
        ),
        (badge("b", prerequisites=("a", "a")), ("badge", "prerequisites", 1), "named twice"),
        (badge("b", prerequisites=("b",)), ("badge", "prerequisites", 0), "its own prerequisite"),
        (
            badge("b", columns="none", sub_competencies=(row(source="rubric"),), gates=(gate(),)),
            ("badge", "columns"),
            "no column to read",
        ),
        (badge("b", columns="total", sub_competencies=(row(source="csv"),)), ("badge", "columns"), "marked here"),
        (
            badge(
                "b",
                columns="total",
                sub_competencies=tuple(row(c, (1, 2, 3, 900_000), source="rubric") for c in "AB"),
            ),
            ("badge", "columns"),
            "more than 1,000,000",
        ),
    ],
)
def test_two_conditions_that_never_hold_together_are_refused_in_words(definition, place, words):
    found = problems(definition)
    assert [each for each, _ in found] == [place] and words in found[0][1]


@pytest.mark.parametrize("columns", ["total", "none"])
def test_a_badge_marked_here_with_one_column_or_none_is_a_good_definition(columns):
    gates = (gate("g", "points", "40", out_of=Decimal(50)),) if columns == "total" else ()
    one = badge("b", columns=columns, sub_competencies=(row("A", source="rubric"),), gates=gates)
    assert problems(one) == []
    assert read_definition(write_definition(one), "b.toml") == one == badge_from_content(one.content())


# -- circles


@pytest.mark.parametrize(
    ("asks", "way"),
    [
        ({}, ()),
        ({"a": ("b",), "b": ("c",)}, ()),
        ({"a": ("b",), "b": ("a",)}, ("a", "b", "a")),
        ({"a": ("x", "b"), "b": ("c",), "c": ("a",), "x": ()}, ("a", "b", "c", "a")),
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, ()),  # a circle of others is theirs
        ({"a": ("a",)}, ("a", "a")),
    ],
)
def test_a_circle_is_found_and_its_way_is_told(asks, way):
    assert circle("a", lambda slug: asks.get(slug, ())) == way


def test_what_is_asked_for_first_comes_first():
    assert in_order({"c": ["b"], "b": ["a", "elsewhere"], "a": []}) == ["a", "b", "c"]
    assert sorted(in_order({"a": ["b"], "b": ["a"]})) == ["a", "b"]


# -- what changed


def told(old, new):
    return [(each.what, each.code, each.old, each.new) for each in changes(old, new)]


def test_a_version_without_a_change_has_none():
    assert changes(badge("b"), badge("b")) == []


def test_each_change_is_named_with_before_and_after():
    old = badge("b", rows=3, gates=(gate("g"), gate("gone")), prerequisites=("a",))
    lowered = replace(row("B"), required_level="Developing")
    renamed = replace(row("C"), name="Other", levels=levels(1, 2, 3, 5), evidence="required")
    new = replace(
        old,
        name="New",
        criteria="Other.",
        rule="any 2",
        sub_competencies=(lowered, renamed, row("D")),
        gates=(gate("g", required="70"), gate("new", "pass", "")),
        prerequisites=("z",),
    )
    assert told(old, new) == [
        ("row_required", "B", "Proficient", "Developing"),
        ("row_name", "C", "Row C", "Other"),
        ("row_points", "C", "4", "Advanced: 5"),
        ("row_evidence", "C", "optional", "required"),
        ("row_added", "D", "", "Proficient"),
        ("row_removed", "A", "", ""),
        ("gate_changed", "g", "60 %", "70 %"),
        ("gate_added", "new", "", ""),
        ("gate_removed", "gone", "", ""),
        ("first_added", "", "", ""),
        ("first_removed", "", "", ""),
        ("rule", "", "all", "any 2"),
        ("name", "", "Careful Work", "New"),
        ("criteria", "", "", ""),
    ]
    weighty = {each.what for each in changes(old, new) if each.weighty}
    assert {"row_name", "name", "criteria"}.isdisjoint(weighty) and "row_required" in weighty


def test_wording_alone_is_no_weighty_change():
    worded = replace(row("A"), description="More.", levels=tuple(replace(e, description="x") for e in row("A").levels))
    found = changes(badge("b", rows=1), badge("b", sub_competencies=(worded,)))
    assert [each.what for each in found] == ["row_words"] and not found[0].weighty


def test_a_level_that_is_only_called_otherwise_requires_nothing_else():
    called = tuple(replace(each, name="Able") if each.name == "Proficient" else each for each in row("A").levels)
    found = told(
        badge("b", rows=1), badge("b", sub_competencies=(replace(row("A"), levels=called, required_level="Able"),))
    )
    assert found == [("level_name", "A", "Proficient", "Able")]
