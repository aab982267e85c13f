"""A badge made of badges: which of the badges somebody has earned count towards it, and what is missing.

A badge counts while it is in force. Of several of one kind one counts. Where the order matters none that counts was
issued before one that stands further up; two of the same moment are in order, since nobody can say otherwise. Where a
time window is set, all that count were issued within one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from lti_tool.domain.badge import PREREQUISITE, Stack, after, number_text
from lti_tool.domain.mastery import EARNED, Standing, explain_part, part_word

# Why one does not count: never earned, taken back, its time is over, issued before one that stands further up, or
# outside the window in which the others lie.
NONE, WITHDRAWN, ENDED, EARLY, APART = "ungraded", "withdrawn", "ended", "early", "apart"


@dataclass(frozen=True, slots=True)
class Part:
    """A badge somebody has earned, under the slug by which a stack asks for it. `known_as` tells it from others."""

    slug: str
    issued_at: datetime
    credits: Decimal = Decimal(0)
    ends_at: datetime | None = None
    withdrawn: bool = False
    known_as: str = ""

    def in_force(self, now: datetime) -> bool:
        return not self.withdrawn and (self.ends_at is None or self.ends_at > now)


@dataclass(frozen=True, slots=True)
class Tally:
    """What counts towards a stack, in its order. `have` and `needed` are badges, or credits where the rule says so.

    `others` says of each further member why it does not count, by slug: one of the words above."""

    counted: tuple[Part, ...]
    have: Decimal
    needed: int
    others: Mapping[str, str]

    @property
    def met(self) -> bool:
        return self.have >= self.needed


def tally(stack: Stack, parts: Iterable[Part], now: datetime) -> Tally:
    """Choose of what somebody has earned the badges that bring her furthest."""
    earned = sorted(parts, key=lambda part: (part.issued_at, part.known_as))
    places = {slug: place for place, slug in enumerate(stack.members)}
    there = [(places[part.slug], part) for part in earned if part.slug in places and part.in_force(now)]
    best: tuple[Part, ...] = ()
    for group in _windows(stack, there):
        chosen = _in_order(stack, group) if stack.ordered else _one_each(stack, group)
        if _worth(stack, chosen) > _worth(stack, best):
            best = chosen
    counted = {part.slug for part in best}
    others = {slug: _why_not(stack, slug, earned, best, now) for slug in stack.members if slug not in counted}
    return Tally(best, _worth(stack, best)[0], stack.needed, others)


def _windows(stack: Stack, there: Sequence[tuple[int, Part]]) -> Iterable[Sequence[tuple[int, Part]]]:
    """Yield what lies within each window there is: one begins with each badge."""
    if not stack.within:
        yield there
        return
    for start in dict.fromkeys(part.issued_at for _, part in there):
        end = after(start, stack.within)
        yield [(place, part) for place, part in there if start <= part.issued_at <= end]


def _one_each(stack: Stack, group: Sequence[tuple[int, Part]]) -> tuple[Part, ...]:
    """Return one of each member, in the stack's order: the earliest of those that are worth most."""
    best: dict[int, Part] = {}
    for place, part in group:
        if place not in best or _worth(stack, (part,)) > _worth(stack, (best[place],)):
            best[place] = part
    return tuple(best[place] for place in sorted(best))


def _in_order(stack: Stack, group: Sequence[tuple[int, Part]]) -> tuple[Part, ...]:
    """Return the members that are worth most together of which none was issued before one further up."""
    chains: list[tuple[int, tuple[Decimal, int], tuple[Part, ...]]] = []
    nothing = (-1, (Decimal(0), 0), ())
    for place, part in sorted(group, key=lambda each: (each[0], each[1].issued_at, each[1].known_as)):
        before = (each for each in chains if each[0] < place and each[2][-1].issued_at <= part.issued_at)
        _, worth, chain = max(before, key=lambda each: each[1], default=nothing)
        more = _worth(stack, (part,))
        chains.append((place, (worth[0] + more[0], worth[1] + more[1]), (*chain, part)))
    return max(chains, key=lambda each: each[1], default=nothing)[2]


def _worth(stack: Stack, chosen: Sequence[Part]) -> tuple[Decimal, int]:
    if stack.counts_credits:
        return sum((part.credits for part in chosen), Decimal(0)), len(chosen)
    return Decimal(len(chosen)), len(chosen)


def _why_not(stack: Stack, slug: str, earned: Sequence[Part], best: Sequence[Part], now: datetime) -> str:
    own = [part for part in earned if part.slug == slug]
    if not own:
        return NONE
    in_force = [part for part in own if part.in_force(now)]
    if not in_force:
        return WITHDRAWN if own[-1].withdrawn else ENDED
    if stack.within and best:
        start = min(part.issued_at for part in best)
        end = after(start, stack.within)
        if not stack.ordered or not any(start <= part.issued_at <= end for part in in_force):
            return APART
    return EARLY


def standings(stack: Stack, found: Tally, names: Mapping[str, str], gives: Mapping[str, Decimal]) -> list[Standing]:
    """Return where somebody stands in each member, in the stack's order. `gives`: the credits of each, by slug."""
    counted = {part.slug: part for part in found.counted}
    rows = []
    for slug in stack.members:
        name, part = names.get(slug, slug), counted.get(slug)
        state = "met" if part is not None else found.others[slug]
        points = ""
        if stack.counts_credits:
            points = number_text(part.credits if part is not None else gives.get(slug, Decimal(0)))
        rows.append(
            Standing(
                tag=PREREQUISITE + slug,
                name=name,
                state=state,
                sentence=explain_part(name, state),
                reached=part_word(state),
                required=EARNED,
                points=points,
            )
        )
    return rows
