"""Standings and what was awarded before → a decision; progress in words; release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from lti_tool.domain.award import Hold, Issue, Nothing, Review, Wait, decide, is_earned, is_released, missing, progress
from lti_tool.domain.mastery import Standing, pass_gate, stand
from lti_tool.domain.scores import Malformed, Score, Ungraded
from tests.classroom import badge, gate


def standings(definition, *points, gates=()) -> list[Standing]:
    """Standings for points in the rows' order: None is ungraded."""

    def reading(value):
        return (
            Ungraded()
            if value is None
            else value
            if isinstance(value, Malformed)
            else Score(Fraction(value), Fraction(4))
        )

    rows = [stand(r, reading(p)) for r, p in zip(definition.sub_competencies, points, strict=True)]
    return rows + [pass_gate(g, reading(p)) for g, p in zip(definition.gates, gates, strict=True)]


def decided(definition, *points, awarded=None, released=True, gates=()):
    return decide(definition, standings(definition, *points, gates=gates), awarded=awarded, released=released)


THREE = badge("three", rows=3)


def test_all_rows_at_their_level_are_issued():
    assert decided(THREE, 3, 4, 3) == Issue()


def test_G12_all_but_one_wait_and_the_missing_one_is_named():
    assert decided(THREE, 3, 2, 4) == Wait("2 of 3. Missing: Row B (Developing, needs Proficient).")


def test_G13_one_ungraded_row_waits():
    assert decided(THREE, 3, None, 4) == Wait("2 of 3. Missing: Row B (no result yet, needs Proficient).")


def test_G04_a_malformed_row_waits():
    assert isinstance(decided(THREE, 3, Malformed("the score is not a number"), 4), Wait)


def test_G02_a_zero_waits_like_any_low_score():
    assert decided(THREE, 3, 0, 4) == Wait("2 of 3. Missing: Row B (below the lowest level, needs Proficient).")


def test_any_two_of_three_is_enough():
    definition = badge("any", rows=3, rule="any 2")
    assert decided(definition, 3, 1, 3) == Issue()
    assert decided(definition, 3, 1, None) == Wait(
        "1 of 2. Missing: Row B (Beginning, needs Proficient), Row C (no result yet, needs Proficient)."
    )


def test_a_gate_that_does_not_hold_keeps_the_badge_back_though_every_row_is_met():
    definition = badge("gated", rows=2, gates=(gate(),))
    assert decided(definition, 4, 4, gates=(2,)) == Wait("2 of 2. Missing: Gate g (50 %, needs 60 %).")
    assert decided(definition, 4, 4, gates=(3,)) == Issue()


def test_a_gate_that_holds_does_not_count_as_a_row():
    definition = badge("gated-2", rows=2, rule="any 2", gates=(gate(),))
    assert isinstance(decided(definition, 4, 1, gates=(4,)), Wait)


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_at_all_earns_nothing(rows):
    assert not is_earned(badge("none", rows=rows), [])


@pytest.mark.parametrize("status", ["pending", "review", "held", "issued"])
def test_H01_what_is_awarded_and_still_carried_is_left_alone(status):
    assert decided(THREE, 3, 3, 3, awarded=status) == Nothing()


@pytest.mark.parametrize("status", ["pending", "review", "held", "issued"])
@pytest.mark.parametrize("points", [2, None])
def test_H06_an_award_that_is_no_longer_carried_is_looked_at_by_a_person(status, points):
    decision = decided(THREE, 3, points, 3, awarded=status)
    assert isinstance(decision, Review) and "Row B" in decision.sentence


@pytest.mark.parametrize("points", [(4, 4, 4), (1, 1, 1)])
def test_H10_what_a_person_revoked_is_given_again_by_nobody_but_a_person(points):
    assert decided(THREE, *points, awarded="revoked") == Nothing()


def test_a_badge_that_a_person_confirms_waits_for_her_and_before_its_release_too():
    definition = badge("confirmed", rows=1, award="review", release="held")
    assert decided(definition, 3, released=False) == Hold("review")
    assert decided(definition, 3, released=True) == Hold("review")


def test_a_badge_that_is_not_released_is_held():
    assert decided(badge("held", rows=1, release="held"), 3, released=False) == Hold("held")


def test_missing_names_no_row_once_enough_are_met():
    definition = badge("any-2", rows=3, rule="any 2", gates=(gate(),))
    short = missing(definition, standings(definition, 3, 3, 1, gates=(0,)))
    assert [s.tag for s in short] == ["gate:g"]
    assert progress(definition, standings(definition, 4, 4, 4, gates=(4,))) == "2 of 2."


NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


def test_an_immediate_badge_is_always_released_and_a_held_one_never_by_the_clock():
    assert is_released(badge("i"), NOON)
    assert not is_released(badge("h", release="held"), NOON + timedelta(days=10_000))


@pytest.mark.parametrize("written", ["2027-01-31T12:00:00Z", "2027-01-31T13:00:00+01:00"])
def test_a_timed_release_comes_exactly_at_its_moment_in_any_zone(written):
    definition = badge("t", release=written)
    assert not is_released(definition, NOON - timedelta(microseconds=1))
    assert is_released(definition, NOON)
