"""A score → the level reached, compared exactly, with the reason in words; gates likewise."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.domain.mastery import pass_gate, stand
from lti_tool.domain.scores import Malformed, Score, Ungraded
from tests.classroom import LETTERS, gate, row


def score(points, maximum=4) -> Score:
    return Score(Fraction(points), Fraction(maximum))


@pytest.mark.parametrize(
    ("points", "level", "state"),
    [
        (0, None, "short"),
        ("0.99", None, "short"),
        (1, 0, "short"),
        (2, 1, "short"),
        ("2.99999", 1, "short"),
        (3, 2, "met"),
        (4, 3, "met"),
        (5, 3, "met"),
        (-1, None, "short"),
    ],
)
def test_the_highest_level_whose_points_are_reached_counts(points, level, state):
    standing = stand(row(), score(points))
    assert (standing.level, standing.state) == (level, state)


def test_G01_without_a_result_a_row_is_ungraded_and_reaches_no_level():
    standing = stand(row(), Ungraded())
    assert (standing.state, standing.level, standing.met) == ("ungraded", None, False)
    assert standing.sentence == "No result yet; needs Proficient."


def test_G02_zero_is_graded_and_not_met():
    standing = stand(row(), score(0))
    assert (standing.state, standing.score) == ("short", "0")
    assert "below the lowest level" in standing.sentence


def test_G02_zero_reaches_a_lowest_level_that_begins_at_zero():
    assert stand(row(points=(0, 1, 2, 3)), score(0, 3)).reached == "Beginning"


def test_G04_a_malformed_result_is_not_evaluated_and_says_why():
    standing = stand(row(), Malformed("the column's maximum is not above zero"))
    assert (standing.state, standing.level) == ("malformed", None)
    assert standing.sentence == "Not counted: the column's maximum is not above zero."


def test_G05_a_score_above_the_maximum_stands_at_the_highest_level():
    standing = stand(row(), score(6))
    assert (standing.reached, standing.score, standing.points) == ("Advanced", "6", "6")


@pytest.mark.parametrize(("points", "maximum"), [("7", 10), ("70", 100), ("0.7", 1), ("2.8", 4), ("0.0007", "0.001")])
def test_G07_seven_tenths_meets_seventy_per_cent_however_it_is_written(points, maximum):
    seventy = row(points=("0", "1", "2.8", "4"))
    assert stand(seventy, score(points, maximum)).state == "met"


@pytest.mark.parametrize(("points", "maximum"), [("69.99999", 100), ("6.999999", 10), ("0.69999999999999999", 1)])
def test_G08_a_hair_below_seventy_per_cent_is_not_met(points, maximum):
    seventy = row(points=("0", "1", "2.8", "4"))
    assert stand(seventy, score(points, maximum)).state == "short"


@given(st.integers(1, 10**6), st.integers(1, 400), st.integers(1, 10**6))
def test_G07_exactly_the_threshold_is_met_and_any_amount_below_is_not(maximum, points, parts):
    """Whatever the column's maximum, floats would be wrong for one in a few of these."""
    required = Fraction(points, 100)
    three = row(points=("0", "0.001", str(Decimal(points) / 100 + Decimal("0.01")), "10"))
    threshold = (required + Fraction(1, 100)) / 10 * maximum
    assert stand(three, Score(threshold, Fraction(maximum))).met
    assert not stand(three, Score(threshold - Fraction(1, parts * 10**9), Fraction(maximum))).met


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 997))
def test_more_points_never_reach_a_lower_level(one, other, maximum):
    low, high = sorted((one, other))
    first, second = stand(row(), score(low, maximum)), stand(row(), score(high, maximum))
    assert (first.level if first.level is not None else -1) <= (second.level if second.level is not None else -1)


def test_the_sentence_names_score_level_and_what_is_missing():
    assert stand(row(), score(2)).sentence == (
        "Score 2 of 4: Developing. Proficient begins at 3 points, so 1 more are needed."
    )
    assert stand(row(), score(3)).sentence == "Score 3 of 4: Proficient, needs Proficient."


def test_the_sentence_says_how_another_maximum_counts():
    assert stand(row(), score(50, 100)).sentence.startswith("Score 50 of 100 counts as 2 of 4 points: Developing.")


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_the_sentence_never_says_that_nothing_is_missing_from_a_row_that_is_short(points, maximum):
    standing = stand(row(), score(points, maximum))
    if standing.state == "short":
        assert "so 0 more" not in standing.sentence and standing.points != "3"


def test_a_missing_row_is_named_with_what_it_has_and_needs():
    assert stand(row("A"), score(1)).missing == "Row A (Beginning, needs Proficient)"
    assert stand(row("A"), Ungraded()).missing == "Row A (no result yet, needs Proficient)"
    assert stand(row("A"), score(0)).missing == "Row A (below the lowest level, needs Proficient)"


@pytest.mark.parametrize("reading", [score("1e15", "1e-9"), score(Fraction(10**15, 3), 7), score(1, 10**15)])
def test_a_score_of_any_size_can_be_written_down(reading):
    assert stand(row(), reading).points


# -- gates


@pytest.mark.parametrize(
    ("points", "reached", "met"), [("79.99", "C", False), (80, "B", True), (69, "F", False), (95, "A", True)]
)
def test_a_letter_gate_holds_from_its_letter_up(points, reached, met):
    standing = pass_gate(gate(kind="letter", required="B", scale=LETTERS), score(points, 100))
    assert (standing.reached, standing.met, standing.level) == (reached, met, None)


def test_a_score_below_the_scale_says_so():
    scale = LETTERS[1:]
    assert "below the scale" in pass_gate(gate(kind="letter", required="B", scale=scale), score(5, 100)).sentence


@pytest.mark.parametrize(("points", "maximum", "met"), [("6", 10, True), ("59.999", 100, False), (3, 5, True)])
def test_a_per_cent_gate_compares_the_exact_share(points, maximum, met):
    assert pass_gate(gate(kind="percent", required="60"), score(points, maximum)).met is met


@pytest.mark.parametrize(
    ("required", "points", "maximum", "met"),
    [("60", 60, 100, True), ("60", 30, 50, True), ("150", 150, 150, True), ("150", 149, 150, False)],
)
def test_a_points_gate_compares_on_its_own_maximum(required, points, maximum, met):
    assert pass_gate(gate(kind="points", required=required), score(points, maximum)).met is met


@pytest.mark.parametrize(("points", "met"), [(1, True), ("0.99", False), (2, True)])
def test_a_pass_gate_needs_the_whole_maximum(points, met):
    assert pass_gate(gate(kind="pass", required=""), score(points, 1)).met is met


@pytest.mark.parametrize("kind", ["letter", "percent", "points", "pass"])
def test_a_gate_without_a_result_does_not_hold(kind):
    one = gate(kind=kind, required="B" if kind == "letter" else "60" if kind != "pass" else "", scale=LETTERS)
    assert pass_gate(one, Ungraded()).state == "ungraded"
    assert pass_gate(one, Malformed("the score is not a number")).state == "malformed"
