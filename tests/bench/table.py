"""Figures as Markdown: medians with their spread, and ratios of what ran in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One figure's runs, in the order of the rounds."""

    runs: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.runs)

    def __format__(self, form: str) -> str:
        return f"{self.median:{form}} ({min(self.runs):{form}}–{max(self.runs):{form}})"

    def ratio(self, other: Figure) -> Figure:
        """Return this one by the other, round by round: a machine that slows down slows both."""
        return Figure([one / two for one, two in zip(self.runs, other.runs, strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; the first column is words, the others are numbers."""
    lines = [" | ".join(head), "|".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines) + "\n"
