"""A badge made of badges: which of them count, compared with trying every choice there is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.domain import rules
from lti_tool.domain.award import Issue, Review, Wait, decide, met_rows, progress, steps_to_go
from lti_tool.domain.badge import Badge, Picture, Stack, after, badge_from_content
from lti_tool.domain.stacks import APART, EARLY, ENDED, NONE, WITHDRAWN, Part, Tally, standings, tally

DAY = datetime(2026, 9, 1, tzinfo=UTC)
NOW = DAY + timedelta(days=2000)


def part(slug: str, day: int = 0, credits: float = 1, **changes: object) -> Part:
    made = Part(slug, DAY + timedelta(days=day), Decimal(str(credits)), known_as=f"{slug}-{day}")
    return replace(made, **changes)  # type: ignore[arg-type]


def stack(*members: str, **changes: object) -> Badge:
    return Badge(
        slug="whole",
        name="The Whole",
        description="All of it.",
        criteria="All parts.",
        picture=Picture(alt="A tower"),
        stack=Stack(members or ("a", "b", "c"), **changes),  # type: ignore[arg-type]
    )


def counted(badge: Badge, *parts: Part, now: datetime = NOW) -> Tally:
    assert badge.stack is not None
    return tally(badge.stack, parts, now)


def rows(badge: Badge, *parts: Part, now: datetime = NOW) -> list:
    assert badge.stack is not None
    found = tally(badge.stack, parts, now)
    return standings(badge.stack, found, {"a": "Find", "b": "Judge", "c": "Cite"}, dict.fromkeys("abc", Decimal(2)))


# -- by example


def test_G16_a_stack_of_all_is_earned_with_the_last_of_its_parts() -> None:
    badge = stack()
    assert decide(badge, rows(badge, part("a"), part("b")), awarded=None, released=True) == Wait(
        progress(badge, rows(badge, part("a"), part("b")))
    )
    assert progress(badge, rows(badge, part("a"), part("b"))) == "2 of 3. Missing: the badge “Cite”."
    assert decide(badge, rows(badge, part("a"), part("b"), part("c")), awarded=None, released=True) == Issue()


def test_any_two_of_three_are_enough_whichever_they_are() -> None:
    badge = stack(rule="any 2")
    for two in itertools.combinations("abc", 2):
        assert counted(badge, *(part(slug) for slug in two)).met
    assert not counted(badge, part("a")).met


def test_credits_of_the_parts_are_added_exactly() -> None:
    badge = stack(rule="credits 1")
    assert not counted(badge, part("a", credits=0.3), part("b", credits=0.6)).met
    assert counted(badge, part("a", credits=0.3), part("b", credits=0.7)).met
    shown = rows(badge, part("a", credits=0.5))
    assert progress(badge, shown) == "0.5 of 1 credits. Missing: the badge “Judge”, the badge “Cite”."
    assert met_rows(badge, shown) == Decimal("0.5") and steps_to_go(badge, shown) == 1


def test_a_part_that_is_withdrawn_or_over_does_not_count_and_its_award_is_looked_at() -> None:
    badge = stack("a", "b")
    gone, over = part("a", withdrawn=True), part("b", ends_at=NOW)
    assert counted(badge, gone, over).others == {"a": WITHDRAWN, "b": ENDED}
    found = decide(badge, rows(badge, gone, part("b")), awarded="issued", released=True)
    assert found == Review(progress(badge, rows(badge, gone, part("b"))))
    assert found.sentence == "1 of 2. Missing: the badge “Find” (withdrawn)."


def test_one_that_was_withdrawn_and_earned_again_counts() -> None:
    assert counted(stack("a"), part("a", 0, withdrawn=True), part("a", 5)).met
    assert counted(stack("a"), part("a", 0), part("a", 5, withdrawn=True)).met


def test_of_two_versions_of_one_badge_the_one_that_is_worth_more_counts() -> None:
    badge = stack("a", rule="credits 2")
    assert counted(badge, part("a", 0, credits=1), part("a", 5, credits=2)).met
    assert counted(badge, part("a", 0, credits=2), part("a", 5, credits=1)).met


def test_in_order_means_that_none_was_issued_before_one_further_up() -> None:
    badge = stack(ordered=True)
    assert counted(badge, part("a", 1), part("b", 2), part("c", 3)).met
    assert counted(badge, part("a", 1), part("b", 1), part("c", 1)).met  # at one moment: nobody can tell
    late = counted(badge, part("a", 1), part("b", 5), part("c", 3))
    assert not late.met and set(late.others.values()) == {EARLY}
    assert counted(badge, part("a", 1), part("b", 5), part("c", 3), part("c", 9)).met  # earned once more, later


def test_any_two_in_order_take_the_two_that_are() -> None:
    badge = stack(rule="any 2", ordered=True)
    found = counted(badge, part("a", 9), part("b", 1), part("c", 5))
    assert [each.slug for each in found.counted] == ["b", "c"] and found.others == {"a": EARLY}


def test_a_window_holds_the_day_it_ends_on_and_not_the_next() -> None:
    badge = stack("a", "b", within="P30D")
    assert counted(badge, part("a", 0), part("b", 30)).met
    apart = counted(badge, part("a", 0), part("b", 31))
    assert not apart.met and APART in apart.others.values()


def test_the_window_with_the_most_is_taken_and_not_the_first() -> None:
    badge = stack("a", "b", "c", rule="any 2", within="P10D")
    found = counted(badge, part("a", 0), part("b", 20), part("c", 25))
    assert [each.slug for each in found.counted] == ["b", "c"] and found.others == {"a": APART}


def test_nothing_earned_is_nothing_and_not_an_error() -> None:
    found = counted(stack(within="P1Y", ordered=True))
    assert not found.met and found.counted == () and set(found.others.values()) == {NONE}


def test_a_stack_survives_being_stored() -> None:
    badge = stack(rule="credits 12", ordered=True, within="P18M")
    assert badge_from_content(badge.content()) == badge and badge.needed == 12 and badge.counts_credits


# -- what can never hold


def problem(badge: Badge) -> str:
    return "; ".join(f"{place[-1]}: {sentence}" for place, sentence in rules.problems(badge))


def test_what_can_never_be_earned_is_refused_with_a_sentence() -> None:
    assert problem(stack(rule="any 5")) == "rule: asks for 5 of 3 badges"
    assert (
        problem(stack(rule="any 0")) == problem(stack(rule="credits ٣")) == 'rule: write "all", "any 3" or "credits 12"'
    )
    assert problem(stack("a", "a")) == "members: a badge is there twice"
    assert "cannot hold itself" in problem(stack("whole"))
    assert "not a duration" in problem(stack(within="1 year")) and "above zero" in problem(stack(within="P0D"))
    assert "a prerequisite too" in problem(replace(stack(), prerequisites=("a",)))
    assert "name at least one badge" in problem(replace(stack(), stack=Stack(())))
    assert problem(stack(*(f"m-{n}" for n in range(50)))) == ""
    assert "at most 50" in problem(stack(*(f"m-{n}" for n in range(51))))


# -- against every choice there is


@st.composite
def cases(draw: st.DrawFn) -> tuple[Stack, list[Part]]:
    members = tuple("abcd"[: draw(st.integers(1, 4))])
    rule = draw(st.sampled_from(["all", "any 1", f"any {len(members)}", "credits 1", "credits 4"]))
    made = Stack(members, rule, draw(st.booleans()), draw(st.sampled_from(["", "P3D", "P10D", "P1M"])))
    one = st.builds(
        part,
        st.sampled_from([*members, "stranger"]),
        st.integers(0, 14),
        st.sampled_from([0, 0.5, 1, 2.5]),
        withdrawn=st.sampled_from([False, False, False, True]),
        ends_at=st.sampled_from([None, None, NOW, NOW + timedelta(days=1)]),
    )
    return made, draw(st.lists(one, max_size=7))


def every_choice(made: Stack, parts: Sequence[Part]) -> Decimal:
    """Return the most that any choice of parts is worth that keeps all the rules: the definition, word for word."""
    best = Decimal(0)
    there = [each for each in parts if each.slug in made.members and not each.withdrawn]
    there = [each for each in there if each.ends_at is None or each.ends_at > NOW]
    for size in range(len(there) + 1):
        for chosen in itertools.combinations(there, size):
            slugs = [each.slug for each in chosen]
            if len(set(slugs)) != len(slugs):
                continue
            sorted_by_place = sorted(chosen, key=lambda each: made.members.index(each.slug))
            moments = [each.issued_at for each in sorted_by_place]
            if made.ordered and moments != sorted(moments):
                continue
            if made.within and chosen and max(moments) > after(min(moments), made.within):
                continue
            worth = sum((each.credits for each in chosen), Decimal(0)) if made.counts_credits else Decimal(size)
            best = max(best, worth)
    return best


@given(cases())
def test_the_best_choice_is_found_whatever_was_earned_and_when(case: tuple[Stack, list[Part]]) -> None:
    made, parts = case
    found = tally(made, parts, NOW)
    assert found.have == every_choice(made, parts)
    assert every_choice(made, found.counted) == found.have  # and what it names keeps the rules itself
    assert {each.slug for each in found.counted} | set(found.others) == set(made.members)
    assert not {each.slug for each in found.counted} & set(found.others)


@given(cases(), st.randoms())
def test_the_order_in_which_awards_are_read_changes_nothing(case: tuple[Stack, list[Part]], random) -> None:
    made, parts = case
    mixed = list(parts)
    random.shuffle(mixed)
    assert tally(made, mixed, NOW).have == tally(made, parts, NOW).have
    assert tally(made, mixed, NOW).met == tally(made, parts, NOW).met


@given(cases())
def test_the_standings_say_the_same_as_the_tally(case: tuple[Stack, list[Part]]) -> None:
    made, parts = case
    badge = replace(stack(), stack=made)
    found = tally(made, parts, NOW)
    told = standings(made, found, {}, {})
    assert met_rows(badge, told) == found.have
    assert [each.met for each in told] == [slug not in found.others for slug in made.members]
    decision = decide(badge, told, awarded=None, released=True)
    assert isinstance(decision, Issue) == (found.met and made.needed > 0)


@pytest.mark.parametrize("ordered", [False, True])
def test_fifty_parts_are_judged_at_once(ordered: bool) -> None:
    members = tuple(f"m-{n}" for n in range(50))
    made = Stack(members, "all", ordered, "P1Y")
    parts = [part(slug, day) for day, slug in enumerate(members)]
    assert tally(made, parts, NOW).met
    assert not tally(made, parts[:-1], NOW).met
