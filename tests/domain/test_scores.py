"""Reading an LMS's result: an exact score, ungraded, or malformed with the reason."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.domain.scores import Malformed, Score, Ungraded, read_result


def parsed(text: str) -> dict[str, object]:
    """Parse as the tool does: what stands in the JSON is what counts."""
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("result", [None, {}, {"userId": "u"}, {"resultScore": None}, {"resultMaximum": 4}])
def test_G01_a_score_that_is_null_or_absent_is_ungraded_and_never_zero(result):
    assert read_result(result) == Ungraded()


def test_G02_a_score_of_zero_is_a_score():
    assert read_result({"resultScore": 0, "resultMaximum": 4}) == Score(Fraction(0), Fraction(4))


@pytest.mark.parametrize(
    "result", [{"resultScore": Decimal("0.7")}, {"resultScore": Decimal("0.7"), "resultMaximum": None}]
)
def test_G03_without_a_maximum_the_maximum_is_one(result):
    assert read_result(result) == Score(Fraction(7, 10), Fraction(1))


@pytest.mark.parametrize("maximum", [0, Decimal("0.0"), -1, Decimal("-4.5")])
def test_G04_a_maximum_that_is_not_above_zero_is_malformed(maximum):
    assert isinstance(read_result({"resultScore": 1, "resultMaximum": maximum}), Malformed)


def test_G05_a_score_above_the_maximum_is_kept_as_it_is():
    reading = read_result({"resultScore": 5, "resultMaximum": 4})
    assert isinstance(reading, Score) and reading.points == 5 and reading.share == Fraction(5, 4)


@pytest.mark.parametrize(
    "text",
    [
        '{"resultScore":7,"resultMaximum":10}',
        '{"resultScore":70.0,"resultMaximum":100}',
        '{"resultScore":0.7,"resultMaximum":1}',
        '{"resultScore":0.7}',
        '{"resultScore":7e-1,"resultMaximum":1e0}',
    ],
)
def test_G07_seven_tenths_is_exactly_seven_tenths_however_it_is_written(text):
    reading = read_result(parsed(text))
    assert isinstance(reading, Score) and reading.share == Fraction(7, 10)


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 6))
def test_G07_a_score_is_read_exactly_as_written_in_the_json(units, maximum, places):
    text = f'{{"resultScore": {Decimal(units).scaleb(-places):f}, "resultMaximum": {maximum}}}'
    reading = read_result(parsed(text))
    assert isinstance(reading, Score) and reading.share == Fraction(units, 10**places * maximum)


@pytest.mark.parametrize("score", ["3", True, False, [], {}, Decimal("NaN"), Decimal("Infinity"), 0.7, float("nan")])
def test_a_score_that_is_no_exact_number_is_malformed(score):
    assert isinstance(read_result({"resultScore": score, "resultMaximum": 4}), Malformed)


@pytest.mark.parametrize("maximum", ["4", True, [], Decimal("NaN"), Decimal("-Infinity"), 4.0])
def test_a_maximum_that_is_no_exact_number_is_malformed(maximum):
    assert isinstance(read_result({"resultScore": 1, "resultMaximum": maximum}), Malformed)


@pytest.mark.parametrize("number", ["1e30", "1e99999999", "1e-99999999", "-1e400", "1e-400", "0." + "7" * 400])
@pytest.mark.parametrize("member", ["resultScore", "resultMaximum"])
def test_a_number_no_gradebook_holds_is_malformed_and_costs_no_time(number, member):
    """1e99999999 is ten characters of JSON and a hundred million digits as a fraction."""
    began = time.monotonic()
    result = {"resultScore": 1, "resultMaximum": 1, member: Decimal(number)}
    assert isinstance(read_result(result), Malformed)
    assert time.monotonic() - began < 1


def test_a_malformed_result_says_why_in_words():
    assert read_result({"resultScore": "3"}) == Malformed("the score is not a number")
    assert read_result({"resultScore": 3, "resultMaximum": "x"}) == Malformed("the maximum is not a number")
    assert read_result({"resultScore": 3, "resultMaximum": 0}) == Malformed("the column's maximum is not above zero")


@pytest.mark.parametrize("extra", [{"comment": "=1+1"}, {"scoringUserId": 7}, {"id": None}])
def test_members_that_say_nothing_of_the_score_are_ignored(extra):
    assert read_result({"resultScore": 3, "resultMaximum": 4, **extra}) == Score(Fraction(3), Fraction(4))
