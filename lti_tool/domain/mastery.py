"""A score → the level reached in a sub-competency, or whether a gate holds, with the reason in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from lti_tool.domain.badge import PREREQUISITE, Gate, SubCompetency, number_text
from lti_tool.domain.scores import Reading, Score, Ungraded
from lti_tool.sentence import Number, Sentence


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a learner stands in one row. `level` is an index from the lowest, 0; None where no level is reached.

    `state` is "met", "short", "ungraded", "malformed", or "unproven": the level is there, its evidence is not. That of
    a badge in a stack is "met", "ungraded" (not earned), or one of PART_WORDS: earned, and why it does not count.
    `reached` and `required` are the words people see."""

    tag: str
    name: str
    state: str
    sentence: str
    reached: str = ""
    required: str = ""
    level: int | None = None
    score: str = ""
    maximum: str = ""
    points: str = ""

    @property
    def met(self) -> bool:
        return self.state == "met"

    @property
    def missing(self) -> Sentence:
        """Name the row as one that is missing: "Listens actively (Beginning, needs Proficient)"."""
        if self.state == "unproven":
            return Sentence("%(row)s (%(level)s, evidence is missing)", row=self.name, level=self.reached)
        if self.tag.startswith(PREREQUISITE):
            if self.state in PART_WORDS:
                return Sentence("the badge “%(badge)s” (%(why)s)", badge=self.name, why=PART_WORDS[self.state])
            return Sentence("the badge “%(badge)s”", badge=self.name)
        return Sentence("%(row)s (%(have)s, needs %(required)s)", row=self.name, have=self.have, required=self.required)

    @property
    def have(self) -> str:
        """What the learner has, in words: a graded 0 is below the lowest level, not "no result yet"."""
        return self.reached or (NO_RESULT if self.state == "ungraded" else BELOW)


FIELDS = tuple(field.name for field in dataclasses.fields(Standing))
NO_RESULT = Sentence("no result yet")
BELOW = Sentence("below the lowest level")
EARNED, NOT_EARNED = Sentence("earned"), Sentence("not earned")
PART_WORDS = {
    "withdrawn": Sentence("withdrawn"),
    "ended": Sentence("no longer valid"),
    "early": Sentence("earned too early"),
    "apart": Sentence("earned outside the time window"),
}


def stand(row: SubCompetency, reading: Reading) -> Standing:
    """Return the highest level whose points are at most share × highest points, compared exactly."""
    required = row.required_level
    if isinstance(reading, Ungraded):
        return Standing(row.tag, row.name, "ungraded", _ungraded(required), required=required)
    if not isinstance(reading, Score):
        return Standing(row.tag, row.name, "malformed", _not_counted(reading.why), required=required)
    points = reading.share * Fraction(row.highest_points)
    level = max((i for i, each in enumerate(row.levels) if Fraction(each.points) <= points), default=None)
    met = level is not None and level >= row.required_index
    standing = Standing(
        tag=row.tag,
        name=row.name,
        state="met" if met else "short",
        sentence="",
        reached=row.levels[level].name if level is not None else "",
        required=required,
        level=level,
        score=number_text(reading.points),
        maximum=number_text(reading.maximum),
        points=number_text(points),
    )
    return _with_sentence(standing, explain(row, standing, reading))


def with_evidence(standing: Standing, *, there: bool) -> Standing:
    """Return a standing of a row that asks for evidence: without it, a level that is reached does not count yet."""
    if there or not standing.met:
        return standing
    unproven = dataclasses.replace(standing, state="unproven")
    sentence = Sentence("%(reached)s Its evidence has not been handed in yet.", reached=standing.sentence)
    return dataclasses.replace(unproven, sentence=sentence)


def prerequisite(slug: str, name: str, *, in_force: bool) -> Standing:
    """Tell whether a badge that is to be earned first is there and in force."""
    met = "met" if in_force else "short"
    return Standing(
        PREREQUISITE + slug, name, met, explain_prerequisite(name, met), EARNED if in_force else NOT_EARNED, EARNED
    )


def explain_prerequisite(name: str, state: str) -> Sentence:
    """Say whether a badge that is to be earned first holds."""
    if state == "met":
        return Sentence("The badge “%(badge)s” is in force.", badge=name)
    return Sentence("The badge “%(badge)s” is not earned yet, or not in force any more.", badge=name)


def part_word(state: str) -> Sentence:
    """Say in a word how a badge of a stack stands."""
    return EARNED if state == "met" else PART_WORDS.get(state, NOT_EARNED)


def explain_part(name: str, state: str) -> Sentence:
    """Say why a badge counts towards a stack or does not."""
    if state == "met":
        return Sentence("The badge “%(badge)s” is in force and counts.", badge=name)
    if state == "withdrawn":
        return Sentence("The badge “%(badge)s” was withdrawn, so it counts no more.", badge=name)
    if state == "ended":
        return Sentence("The badge “%(badge)s” is no longer valid, so it counts no more.", badge=name)
    if state == "early":
        return Sentence("The badge “%(badge)s” was issued before one that has to come first.", badge=name)
    if state == "apart":
        return Sentence("The badge “%(badge)s” was not issued within the time window of the others.", badge=name)
    return Sentence("The badge “%(badge)s” has not been earned yet.", badge=name)


def choose(row: SubCompetency, level: int) -> Standing:
    """Return the standing of somebody to whom an instructor gave a level by hand: there is no score behind it."""
    chosen = row.levels[level]
    return Standing(
        tag=row.tag,
        name=row.name,
        state="met" if level >= row.required_index else "short",
        sentence=_chosen(row, chosen.name),
        reached=chosen.name,
        required=row.required_level,
        level=level,
        points=number_text(chosen.points),
    )


def explain(row: SubCompetency, standing: Standing, score: Score | None = None) -> Sentence:
    """Say why a standing is what it is. Without the exact score, the numbers it has kept are counted with."""
    if standing.state == "ungraded":
        return _ungraded(row.required_level)
    if standing.state == "malformed":
        return _kept_reason(standing)
    if standing.state == "unproven":
        reached = explain(row, dataclasses.replace(standing, state="met"), score)
        return Sentence("%(reached)s Its evidence has not been handed in yet.", reached=reached)
    if not standing.score:
        return _chosen(row, standing.reached)
    counted = _score(standing)
    if (score.maximum if score else Decimal(standing.maximum)) != row.highest_points:
        counted = Sentence(
            "Score %(score)s of %(maximum)s counts as %(points)s of %(highest)s points",
            **counted.values,
            points=Number(standing.points),
            highest=Number(number_text(row.highest_points)),
        )
    if standing.met:
        return Sentence(
            "%(counted)s: %(level)s, needs %(required)s.",
            counted=counted,
            level=standing.reached,
            required=row.required_level,
        )
    begins = Fraction(row.levels[row.required_index].points)
    points = score.share * Fraction(row.highest_points) if score else Fraction(standing.points)
    return Sentence(
        "%(counted)s: %(level)s. %(required)s begins at %(begins)s points, so %(more)s more are needed.",
        counted=counted,
        level=standing.reached or BELOW,
        required=row.required_level,
        begins=Number(number_text(begins)),
        more=Number(number_text(begins - points)),
    )


def _with_sentence(standing: Standing, sentence: Sentence) -> Standing:
    return Standing(
        standing.tag,
        standing.name,
        standing.state,
        sentence,
        standing.reached,
        standing.required,
        standing.level,
        standing.score,
        standing.maximum,
        standing.points,
    )


def _chosen(row: SubCompetency, level: str) -> Sentence:
    return Sentence("Chosen by an instructor: %(level)s, needs %(required)s.", level=level, required=row.required_level)


def _ungraded(required: str) -> Sentence:
    return Sentence("No result yet; needs %(required)s.", required=required)


def _not_counted(why: str) -> Sentence:
    return Sentence("Not counted: %(why)s.", why=why)


def _kept_reason(standing: Standing) -> Sentence:
    """Return why a result does not count, from the English that a record has kept."""
    return _not_counted(Sentence(standing.sentence.removeprefix("Not counted: ").removesuffix(".")))


def _score(standing: Standing) -> Sentence:
    return Sentence("Score %(score)s of %(maximum)s", score=Number(standing.score), maximum=Number(standing.maximum))


def gate_needs(gate: Gate) -> Sentence:
    """Say what a gate asks for."""
    if gate.kind == "letter":
        return Sentence("%(letter)s or better", letter=gate.required)
    if gate.kind == "percent":
        return Sentence("%(number)s %%", number=Number(gate.required))
    if gate.kind == "pass":
        return Sentence("a pass")
    return Sentence("%(number)s points", number=Number(gate.required))


def pass_gate(gate: Gate, reading: Reading) -> Standing:
    """Tell whether a gate holds. Letters and per cent compare share × 100, points compare share × maximum."""
    needs = gate_needs(gate)
    if isinstance(reading, Ungraded):
        return Standing(gate.tag, gate.name, "ungraded", _ungraded(needs), required=needs)
    if not isinstance(reading, Score):
        return Standing(gate.tag, gate.name, "malformed", _not_counted(reading.why), required=needs)
    percent = reading.share * 100
    points = reading.share * Fraction(gate.maximum)
    letter = ""
    if gate.kind == "letter":
        letters = [letter for letter, least in gate.scale if Fraction(least) <= percent]
        letter = letters[-1] if letters else ""
        met = percent >= Fraction(dict(gate.scale)[gate.required])
    elif gate.kind == "percent":
        met = percent >= Fraction(Decimal(gate.required))
    elif gate.kind == "points":
        met = points >= Fraction(Decimal(gate.required))
    else:
        met = reading.share >= 1
    standing = Standing(
        tag=gate.tag,
        name=gate.name,
        state="met" if met else "short",
        sentence="",
        reached=letter,
        required=needs,
        score=number_text(reading.points),
        maximum=number_text(reading.maximum),
        points=number_text(points),
    )
    standing = dataclasses.replace(standing, reached=gate_reached(gate, standing))
    return _with_sentence(standing, explain_gate(gate, standing))


def gate_reached(gate: Gate, standing: Standing) -> str:
    """Say what a gate found; empty where there is nothing, or less than the lowest letter."""
    if gate.kind == "letter" or not standing.score:
        return standing.reached
    if gate.kind == "percent":
        share = Fraction(standing.score) / Fraction(standing.maximum)
        return Sentence("%(number)s %%", number=Number(number_text(share * 100)))
    if gate.kind == "points":
        return Sentence("%(number)s points", number=Number(standing.points))
    return Sentence("passed") if standing.met else Sentence("not passed")


def explain_gate(gate: Gate, standing: Standing) -> Sentence:
    """Say why a gate holds or does not."""
    if standing.state == "ungraded":
        return _ungraded(gate_needs(gate))
    if standing.state == "malformed":
        return _kept_reason(standing)
    return Sentence(
        "%(counted)s: %(reached)s, needs %(required)s.",
        counted=_score(standing),
        reached=gate_reached(gate, standing) or Sentence("below the scale"),
        required=gate_needs(gate),
    )


def standing_of(record: Mapping[str, Any]) -> Standing:
    """Return the standing a decision record has kept."""
    return Standing(*[record.get(name, "") for name in FIELDS])
