"""Standings and what was awarded before → what is to be done now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lti_tool.domain.badge import Badge
from lti_tool.domain.mastery import Standing
from lti_tool.sentence import Sentence

GATE = "gate:"


@dataclass(frozen=True, slots=True)
class Issue:
    """Earned, and nothing stands in the way."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Earned, but waits: `status` is "review" (an instructor confirms) or "held" (its release)."""

    status: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not earned yet."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Review:
    """Awarded, but the grades do not carry it any more: a person looks at it, nothing changes by itself."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Nothing:
    """Awarded and still carried, or withdrawn by a person who alone may give it again."""


Decision = Issue | Hold | Wait | Review | Nothing


def decide(badge: Badge, standings: Sequence[Standing], *, awarded: str | None, released: bool) -> Decision:
    """Decide for one learner. `standings` holds every row and gate in the badge's order; `awarded` is the status of
    the newest award that is live or revoked, None where there is none (or the last one has expired)."""
    earned = is_earned(badge, standings)
    if awarded == "revoked":
        return Nothing()
    if awarded is not None:
        return Nothing() if earned else Review(progress(badge, standings))
    if not earned:
        return Wait(progress(badge, standings))
    if badge.award == "review":
        return Hold("review")
    return Issue() if released else Hold("held")


def is_earned(badge: Badge, standings: Sequence[Standing]) -> bool:
    """Tell whether as many rows as the rule asks stand at their level and every gate holds."""
    rows = [s for s in standings if not s.tag.startswith(GATE)]
    gates = [s for s in standings if s.tag.startswith(GATE)]
    return sum(s.met for s in rows) >= badge.needed > 0 and all(s.met for s in gates)


def missing(badge: Badge, standings: Sequence[Standing]) -> list[Standing]:
    """Return the rows and gates that still count as missing: no rows once as many as the rule asks are met."""
    rows = [s for s in standings if not s.tag.startswith(GATE)]
    open_gates = [s for s in standings if s.tag.startswith(GATE) and not s.met]
    if sum(s.met for s in rows) >= badge.needed:
        return open_gates
    return [s for s in rows if not s.met] + open_gates


def short_by(badge: Badge, standings: Sequence[Standing]) -> int:
    """Return how many more rows and gates have to be met."""
    met = sum(s.met for s in standings if not s.tag.startswith(GATE))
    open_gates = sum(not s.met for s in standings if s.tag.startswith(GATE))
    return max(0, badge.needed - met) + open_gates


def progress(badge: Badge, standings: Sequence[Standing]) -> Sentence:
    """Say where a learner stands: "3 of 4. Missing: Listens actively (Beginning, needs Proficient).\""""
    met = sum(s.met for s in standings if not s.tag.startswith(GATE))
    of = badge.needed
    short = missing(badge, standings)
    if not short:
        return Sentence("%(met)s of %(all)s.", met=min(met, of), all=of)
    return Sentence(
        "%(met)s of %(all)s. Missing: %(rows)s.", met=min(met, of), all=of, rows=[each.missing for each in short]
    )


def lowered(decided: Mapping[str, Mapping[str, Any]], standings: Sequence[Standing]) -> str:
    """Say which levels an award was given for are lower now, empty where none is. `decided`: its record's rows by tag.

    The award may still be earned: its credential then says more than the grades do."""
    falls = []
    for standing in standings:
        before = decided.get(standing.tag)
        if before is None or before["level"] is None:
            continue
        if standing.level is None or standing.level < before["level"]:
            falls.append(
                Sentence(
                    "%(row)s (%(have)s, was %(was)s)", row=standing.name, have=standing.have, was=before["reached"]
                )
            )
    return Sentence("Still earned, with lower levels: %(rows)s.", rows=falls) if falls else ""


def is_released(badge: Badge, now: datetime) -> bool:
    """Tell whether the release policy lets awards, and the levels behind them, be seen."""
    if badge.release == "immediate":
        return True
    return badge.release != "held" and now >= datetime.fromisoformat(badge.release)
