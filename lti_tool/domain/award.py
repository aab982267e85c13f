"""Standings and what was awarded before → what is to be done now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from lti_tool.domain.badge import ROW, Badge, number_text
from lti_tool.domain.mastery import Standing
from lti_tool.domain.scores import Reading, Score, same_score
from lti_tool.sentence import Number, Sentence


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
    """Decide for one learner. `standings` holds every row and condition in the badge's order; `awarded` is the status
    of the newest award that is live or revoked, None where there is none (or the last one has expired)."""
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
    """Tell whether as many rows as the rule asks stand at their level and every further condition holds."""
    rows, conditions = _rows(badge, standings)
    return 0 < badge.needed <= _worth(badge, rows) and all(s.met for s in conditions)


def met_rows(badge: Badge, standings: Sequence[Standing]) -> int | Decimal:
    """Count the sub-competencies at their required level or above; of a stack: the badges that count, or credits."""
    return _worth(badge, _rows(badge, standings)[0])


def missing(badge: Badge, standings: Sequence[Standing]) -> list[Standing]:
    """Return the rows and conditions that still count as missing: no rows once as many as the rule asks are met."""
    rows, conditions = _rows(badge, standings)
    short = [s for s in conditions if not s.met]
    if _worth(badge, rows) >= badge.needed:
        return short
    return [s for s in rows if not s.met] + short


def steps_to_go(badge: Badge, standings: Sequence[Standing]) -> int:
    """Count the steps to the badge: rows the rule still asks for, and conditions that do not hold yet."""
    rows, conditions = _rows(badge, standings)
    steps = sum(not s.met for s in conditions)
    short = badge.needed - _worth(badge, rows)
    if not badge.counts_credits:
        return steps + max(0, int(short))
    for credits in sorted((_credits(s) for s in rows if not s.met), reverse=True):  # the largest ones first
        if short <= 0:
            return steps
        short, steps = short - credits, steps + 1
    return steps + (short > 0)


def _rows(badge: Badge, standings: Sequence[Standing]) -> tuple[list[Standing], list[Standing]]:
    """Return what is counted (sub-competencies, or the members of a stack), and the further conditions."""
    members = badge.stack.tags if badge.stack is not None else ()
    rows: list[Standing] = []
    conditions: list[Standing] = []
    for each in standings:
        (rows if each.tag.startswith(ROW) or each.tag in members else conditions).append(each)
    return rows, conditions


def _worth(badge: Badge, rows: Sequence[Standing]) -> int | Decimal:
    if badge.counts_credits:
        return sum((_credits(s) for s in rows if s.met), Decimal(0))
    return sum(s.met for s in rows)


def _credits(standing: Standing) -> Decimal:
    return Decimal(standing.points or 0)


def progress(badge: Badge, standings: Sequence[Standing]) -> Sentence:
    """Say where a learner stands: "3 of 4. Missing: Listens actively (Beginning, needs Proficient).\""""
    of = badge.needed
    met = min(met_rows(badge, standings), of)
    short = missing(badge, standings)
    if badge.counts_credits:
        have = Number(number_text(Decimal(met)))
        if not short:
            return Sentence("%(met)s of %(all)s credits.", met=have, all=of)
        rows = [each.missing for each in short]
        return Sentence("%(met)s of %(all)s credits. Missing: %(rows)s.", met=have, all=of, rows=rows)
    if not short:
        return Sentence("%(met)s of %(all)s.", met=int(met), all=of)
    rows = [each.missing for each in short]
    return Sentence("%(met)s of %(all)s. Missing: %(rows)s.", met=int(met), all=of, rows=rows)


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


def other_total(marked: Score, total: Reading) -> Sentence | None:
    """Say that the gradebook's one column holds another total than the rubric marked here; None where it does not.

    A column that is empty, or cannot be read, says nothing: the rubric is the record."""
    if not isinstance(total, Score) or same_score(total, marked):
        return None
    return Sentence(
        "The gradebook's total is %(total)s of %(maximum)s; the rubric marked here comes to %(marked)s of %(most)s.",
        total=Number(number_text(total.points)),
        maximum=Number(number_text(total.maximum)),
        marked=Number(number_text(marked.points)),
        most=Number(number_text(marked.maximum)),
    )


def is_released(badge: Badge, now: datetime) -> bool:
    """Tell whether the release policy lets awards, and the levels behind them, be seen."""
    if badge.release == "immediate":
        return True
    return badge.release != "held" and now >= datetime.fromisoformat(badge.release)
