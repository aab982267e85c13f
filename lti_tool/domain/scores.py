"""An LMS's result → an exact share of the maximum, or Ungraded, or Malformed. Every oddity is handled here.

AGS 2.0, Result service: https://www.imsglobal.org/spec/lti-ags/v2p0#result-service"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from lti_tool.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Score:
    """Points given and points possible, as sent. `share` may be above 1: extra credit is allowed (AGS 3.4.7)."""

    points: Fraction
    maximum: Fraction

    def __hash__(self) -> int:
        # A Fraction works its own out anew each time, by a modular inverse.
        return hash((*self.points.as_integer_ratio(), *self.maximum.as_integer_ratio()))

    @property
    def share(self) -> Fraction:
        return self.points / self.maximum


@dataclass(frozen=True, slots=True)
class Ungraded:
    """No result, or one without a score: cleared, excused, never marked. Never the same as zero."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A result that cannot be used; `why` is part of a sentence."""

    why: Sentence


Reading = Score | Ungraded | Malformed

SAME = Fraction(1, 100_000)  # Moodle keeps five decimals of a score (seen), Canvas a float

MOST_DIGITS = 300  # a float written out has 17; Python writes no whole number of more than 4,300
MOST_PLACES = 15  # before and behind the decimal point: 1e99999999 would be a hundred million digits as a fraction


def read_result(result: Mapping[str, Any] | None) -> Reading:
    """Read one AGS result. Numbers must have been parsed as Decimal or int, so that 0.7 stays 7/10."""
    if result is None or result.get("resultScore") is None:
        return Ungraded()  # Canvas drops the member for excused and cleared grades, Moodle for erased ones
    points, maximum = result["resultScore"], result.get("resultMaximum")
    if isinstance(points, int | Decimal) and isinstance(maximum, int | Decimal):
        return _reading(points, maximum)
    return _read(points, maximum)


def _read(points_sent: Any, maximum_sent: Any) -> Reading:
    points = _number(points_sent)
    maximum = _number(maximum_sent) if maximum_sent is not None else Fraction(1)
    if points is None:
        return Malformed(Sentence("the score is not a number"))
    if maximum is None:
        return Malformed(Sentence("the maximum is not a number"))
    if maximum <= 0:
        return Malformed(Sentence("the column's maximum is not above zero"))  # Canvas allows 0 points possible
    return Score(points, maximum)


# A class has few different scores. `typed`: True is no number, and equal to one.
_reading = lru_cache(maxsize=4096, typed=True)(_read)


def same_score(found: Score, given: Score) -> bool:
    """Tell whether what a gradebook answers is the score it was given, within five decimals of its own points."""
    return abs(found.points - given.share * found.maximum) <= SAME


def _number(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or (number and abs(number.adjusted()) > MOST_PLACES):
        return None
    return Fraction(number) if len(number.as_tuple().digits) <= MOST_DIGITS else None


def read_back(reading: Reading, mark: Score | None) -> Reading:
    """Return what counts for a row that is marked in the tool and read back from its column.

    What equals the mark that was posted is that mark, to the last digit; anything else is a correction, and counts."""
    if mark is None or not isinstance(reading, Score):
        return reading
    return mark if same_score(reading, mark) else reading
