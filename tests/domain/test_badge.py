"""A definition as values: its content, its digest, numbers as people write them, durations."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lti_tool.domain.badge import (
    Alignment,
    Badge,
    Gate,
    Level,
    Picture,
    Stack,
    SubCompetency,
    after,
    badge_from_content,
    months_days_hours,
    needed,
    number_text,
)
from lti_tool.services.catalog import library
from tests.classroom import badge, replace, row

text = st.text(max_size=12)
word = st.text(min_size=1, max_size=12)  # what the rules never let be empty
numbers = st.decimals(min_value=0, max_value=10**6, places=3) | st.integers(0, 10**6).map(Decimal)
alignments = st.lists(st.builds(Alignment, text, word, word, text), max_size=2).map(tuple)
level = st.builds(Level, word, numbers, text, alignments)
sub_competency = st.builds(
    SubCompetency,
    code=word,
    name=word,
    levels=st.lists(level, min_size=1, max_size=4).map(tuple),
    required_level=word,
    description=text,
    source=word,
    evidence=word,
    alignment=alignments,
)
gates = st.builds(Gate, word, word, word, text, st.lists(st.tuples(word, numbers), max_size=3).map(tuple), word)
any_badge = st.builds(
    Badge,
    slug=word,
    name=word,
    description=word,
    criteria=word,
    sub_competencies=st.lists(sub_competency, max_size=2).map(tuple),
    gates=st.lists(gates, max_size=2).map(tuple),
    level=text,
    tags=st.lists(text, max_size=3).map(tuple),
    language=st.just("en"),
    expires_after=text,
    release=word,
    rule=word,
    credits=st.none() | numbers,
    picture=st.builds(Picture, alt=text, shape=word, icon=word, file=text),
    alignment=alignments,
    prerequisites=st.lists(text, max_size=2).map(tuple),
    stack=st.none() | st.builds(Stack, st.lists(text, min_size=1, max_size=3).map(tuple), word, st.booleans(), text),
)


@settings(max_examples=40)
@given(any_badge)
def test_a_badge_comes_back_from_its_content_whole(one):
    back = badge_from_content(json.loads(json.dumps(one.content())))
    assert back == one
    assert back.digest() == one.digest()


@settings(max_examples=40)
@given(any_badge)
def test_a_number_written_in_another_way_is_the_same_content(one):
    def bent(value: Decimal) -> Decimal:
        return Decimal(f"{value}0") if "." in str(value) else Decimal(f"{value}.00")

    rows = tuple(
        replace(r, levels=tuple(replace(each, points=bent(each.points)) for each in r.levels))
        for r in one.sub_competencies
    )
    other = replace(one, sub_competencies=rows, credits=None if one.credits is None else bent(one.credits))
    assert other.digest() == one.digest()


@pytest.mark.parametrize("one", list(library().values()), ids=lambda one: one.slug)
def test_an_example_badge_comes_back_equal(one):
    assert badge_from_content(json.loads(json.dumps(one.content()))) == one


def test_the_digest_does_not_change_between_versions_of_this_program():
    """Stored digests find versions again: a change here makes a second version of every badge at the next import."""
    assert badge("stable", rows=2).digest() == "628b4d60789941bad063524dd6e7a43f9b1ea8fe3ead93fa4fff5d25786c2a3b"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Careful work"},
        {"criteria": "Careful *each* time. "},
        {"release": "held"},
        {"rule": "any 1"},
        {"tags": ("a",)},
        {"picture": Picture(alt="A star")},
        {"sub_competencies": (row("B"), row("A"))},
        {"sub_competencies": (row("A", points=(1, 2, 3, 5)), row("B"))},
        {"credits": Decimal("0.5")},
    ],
)
def test_every_change_changes_the_digest(change):
    one = badge("changed")
    assert replace(one, **change).digest() != one.digest()


def test_a_row_knows_its_tag_its_levels_and_where_its_level_comes_from():
    one = row("OC-1", source="csv")
    assert (one.tag, one.highest_points, one.required_index, one.reads_column) == ("sub-competency:OC-1", 4, 2, False)
    with pytest.raises(KeyError):
        one.level_index("Superb")


@pytest.mark.parametrize(
    ("kind", "required", "maximum"),
    [("points", "60", 100), ("points", "150", 150), ("percent", "60", 100), ("letter", "B", 100), ("pass", "", 1)],
)
def test_a_gate_column_has_a_maximum_its_condition_can_be_reached_on(kind, required, maximum):
    assert Gate("g", "G", kind, required).maximum == maximum


@pytest.mark.parametrize(("rule", "of", "count"), [("all", 4, 4), ("any 3", 4, 3), ("any 0", 4, 0)])
def test_a_rule_asks_for_so_many(rule, of, count):
    assert needed(rule, of) == count


@pytest.mark.parametrize("rule", ["", "any", "any -1", "any 1.5", "most", "any  2", "any x"])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(ValueError, match="rule must be"):
        needed(rule, 4)


@pytest.mark.parametrize(
    ("text", "months", "days", "hours"),
    [
        *(("P3Y", 36, 0, 0), ("P18M", 18, 0, 0), ("P90D", 0, 90, 0), ("P2W", 0, 14, 0), ("P1Y2M3W4D", 14, 25, 0)),
        *(("PT24H", 0, 0, 24), ("P1DT12H", 0, 1, 12), ("P1YT1H", 12, 0, 1)),
    ],
)
def test_a_duration_is_read_as_months_days_and_hours(text, months, days, hours):
    assert months_days_hours(text) == (months, days, hours)


def test_hours_are_counted_after_months_and_days():
    start = datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert after(start, "P1MT36H") == datetime(2027, 3, 2, tzinfo=UTC)
    assert after(start, "PT24H") == datetime(2027, 2, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "P", "3Y", "PT", "P1DT", "PT1.5H", "PT30M", "T1H", "P1Y1", "P-1Y", "P1.5Y", "p1y"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        months_days_hours(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("3.0"), "3"),
        (Decimal("1E+2"), "100"),
        (Decimal("2.50"), "2.5"),
        (Fraction(7, 10), "0.7"),
        (Fraction(1, 3), "0.33333"),
        (Fraction(2_999_999_999, 1_000_000_000), "2.999999999"),
        (Fraction(8, 3), "2.66666"),
        (Fraction(0), "0"),
        (Fraction(10**30, 3), "3" * 30 + ".33333"),
        (Fraction(-1, 3), "-0.33334"),
    ],
)
def test_a_number_is_written_as_people_do_and_never_rounded_up(value, text):
    assert number_text(value) == text


@given(st.fractions(min_value=0, max_value=10**40))
def test_a_number_as_written_is_never_more_than_it_is(value):
    assert 0 <= value - Fraction(number_text(value)) < Fraction(1, 10**5)
