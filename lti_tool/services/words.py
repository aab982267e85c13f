"""Numbers, days and durations as people say them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from lti_tool.domain.badge import months_and_days

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def words(number: int, *, capital: bool = False) -> str:
    """Write a number below ten as a word."""
    word = NUMBERS[number] if 0 <= number < len(NUMBERS) else str(number)
    return word[:1].upper() + word[1:] if capital else word


def number(count: int, noun: str) -> str:
    """Write a number with its noun: one key, three keys."""
    return f"{words(count)} {noun}{'' if count == 1 else 's'}"


def plain_clicks(clicks: Iterable[str]) -> list[str]:
    """Write what to click as plain text: a label of the LMS, written [[Save]], in quotes."""
    return [each.replace("[[", "“").replace("]]", "”") for each in clicks]


def day(when: datetime) -> str:
    """Write a day: 16 Nov 2026."""
    when = when.astimezone(UTC)
    return f"{when.day} {when:%b %Y}"


def moment(when: datetime) -> str:
    """Write a moment: 16 Nov 2026, 10:18 UTC."""
    return f"{day(when)}, {when.astimezone(UTC):%H:%M} UTC"


def ago(when: datetime, now: datetime) -> str:
    """Say how long ago: 3 min ago; after two days, the day."""
    minutes = int((now - when).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return day(when)


def lasts(duration: str) -> str:
    """Say how long a badge is valid: "lasts three years"; empty where it has no end."""
    if not duration:
        return ""
    months, days = months_and_days(duration)
    years, months = divmod(months, 12)
    parts = [
        f"{words(number)} {unit}{'s' if number > 1 else ''}"
        for number, unit in ((years, "year"), (months, "month"), (days, "day"))
        if number
    ]
    return "lasts " + " and ".join(parts)
