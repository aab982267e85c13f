"""A score → the level reached in a sub-competency, or whether a gate holds, with the reason in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from lti_tool.domain.badge import PREREQUISITE, Gate, SubCompetency, number_text
from lti_tool.domain.scores import Reading, Score, Ungraded


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a learner stands in one row. `level` is an index from the lowest, 0; None where no level is reached.

    `state` is "met", "short", "ungraded", "malformed", or "unproven": the level is there, its evidence is not.
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
    def missing(self) -> str:
        """Name the row as one that is missing: "Listens actively (Beginning, needs Proficient)"."""
        if self.state == "unproven":
            return f"{self.name} ({self.reached}, evidence is missing)"
        if self.tag.startswith(PREREQUISITE):
            return f"the badge “{self.name}”"
        have = self.reached or ("no result yet" if self.state == "ungraded" else "below the lowest level")
        return f"{self.name} ({have}, needs {self.required})"


def stand(row: SubCompetency, reading: Reading) -> Standing:
    """Return the highest level whose points are at most share × highest points, compared exactly."""
    required = row.required_level
    if isinstance(reading, Ungraded):
        return Standing(row.tag, row.name, "ungraded", f"No result yet; needs {required}.", required=required)
    if not isinstance(reading, Score):
        return Standing(row.tag, row.name, "malformed", f"Not counted: {reading.why}.", required=required)
    points = reading.share * Fraction(row.highest_points)
    level = max((i for i, each in enumerate(row.levels) if Fraction(each.points) <= points), default=None)
    met = level is not None and level >= row.required_index
    reached = row.levels[level].name if level is not None else ""
    return Standing(
        tag=row.tag,
        name=row.name,
        state="met" if met else "short",
        sentence=_level_sentence(row, reading, points, reached, met),
        reached=reached,
        required=required,
        level=level,
        score=number_text(reading.points),
        maximum=number_text(reading.maximum),
        points=number_text(points),
    )


def with_evidence(standing: Standing, *, there: bool) -> Standing:
    """Return a standing of a row that asks for evidence: without it, a level that is reached does not count yet."""
    if there or not standing.met:
        return standing
    return replace(standing, state="unproven", sentence=f"{standing.sentence} Its evidence has not been handed in yet.")


def prerequisite(slug: str, name: str, *, in_force: bool) -> Standing:
    """Tell whether a badge that is to be earned first is there and in force."""
    sentence = f"The badge “{name}” is {'in force' if in_force else 'not earned yet, or not in force any more'}."
    reached = "earned" if in_force else "not earned"
    return Standing(PREREQUISITE + slug, name, "met" if in_force else "short", sentence, reached, "earned")


def _level_sentence(row: SubCompetency, score: Score, points: Fraction, reached: str, met: bool) -> str:
    counted = f"Score {number_text(score.points)} of {number_text(score.maximum)}"
    if score.maximum != Fraction(row.highest_points):
        counted += f" counts as {number_text(points)} of {number_text(row.highest_points)} points"
    if met:
        return f"{counted}: {reached}, needs {row.required_level}."
    begins = row.levels[row.required_index].points
    more = number_text(Fraction(begins) - points)
    have = reached or "below the lowest level"
    return f"{counted}: {have}. {row.required_level} begins at {number_text(begins)} points, so {more} more are needed."


def pass_gate(gate: Gate, reading: Reading) -> Standing:
    """Tell whether a gate holds. Letters and per cent compare share × 100, points compare share × maximum."""
    needs = {"letter": f"{gate.required} or better", "percent": f"{gate.required} %", "pass": "passed"}.get(
        gate.kind, f"{gate.required} points"
    )
    if isinstance(reading, Ungraded):
        return Standing(gate.tag, gate.name, "ungraded", f"No result yet; needs {needs}.", required=needs)
    if not isinstance(reading, Score):
        return Standing(gate.tag, gate.name, "malformed", f"Not counted: {reading.why}.", required=needs)
    percent = reading.share * 100
    points = reading.share * Fraction(gate.maximum)
    if gate.kind == "letter":
        letters = [letter for letter, least in gate.scale if Fraction(least) <= percent]
        reached = letters[-1] if letters else ""
        met = percent >= Fraction(dict(gate.scale)[gate.required])
    elif gate.kind == "percent":
        reached, met = f"{number_text(percent)} %", percent >= Fraction(Decimal(gate.required))
    elif gate.kind == "points":
        reached, met = f"{number_text(points)} points", points >= Fraction(Decimal(gate.required))
    else:
        met = reading.share >= 1
        reached = "passed" if met else "not passed"
    counted = f"Score {number_text(reading.points)} of {number_text(reading.maximum)}"
    return Standing(
        tag=gate.tag,
        name=gate.name,
        state="met" if met else "short",
        sentence=f"{counted}: {reached or 'below the scale'}, needs {needs}.",
        reached=reached,
        required=needs,
        score=number_text(reading.points),
        maximum=number_text(reading.maximum),
        points=number_text(points),
    )
