"""The shape that all sources beside the gradebook share: rows they offer for matching, and answers for learners.

A connector has `offered(caller, course)` and `read(caller, course, places)`. Reading is whole or not at all: an error
on any page is raised, since part of a class is no class."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lti_tool.domain.badge import Badge
from lti_tool.lti.nrps import Member

Place = Mapping[str, str]  # where a row lies in the LMS, in the connector's own words

CANVAS_RUBRIC, MOODLE_RUBRIC, CSV = "canvas-rubric", "moodle-rubric", "csv"
CANVAS_COURSE_GRADE, MOODLE_COURSE_GRADE = "canvas-course-grade", "moodle-course-grade"


@dataclass(frozen=True, slots=True)
class Answer:
    """One learner's answer for one row. `user_id` is her LTI `sub`; `raw` a JSON object, as `raw_answer` writes it."""

    user_id: str
    raw: str


@dataclass(frozen=True, slots=True)
class OfferedRow:
    """Something in the LMS that a row or a gate can be matched with.

    `where` names what it lies in ("Essay 2"), `maximum` its points as text. `gate`: it is the course grade."""

    place: Place
    code: str
    title: str
    maximum: str
    where: str
    gate: bool = False


@dataclass(frozen=True)
class AskedCourse:
    """A course as a connector asks for it: its id in launches, and its roster, which knows people by both names."""

    context_id: str
    members: Sequence[Member] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row or gate that reads from elsewhere than the gradebook."""

    tag: str
    source: str
    code: str
    name: str
    gate: bool


def wanted_sources(badge: Badge) -> tuple[Wanted, ...]:
    """Return the rows and gates of a badge that do not read a gradebook column, in its order."""
    if badge.marked_here:
        rows: tuple[Wanted, ...] = ()
    else:
        rows = tuple(
            Wanted(row.tag, row.source, row.code, row.name, gate=False)
            for row in badge.sub_competencies
            if not row.reads_column
        )
    gates = tuple(
        Wanted(gate.tag, gate.source, gate.code, gate.name, gate=True) for gate in badge.gates if not gate.reads_column
    )
    return rows + gates


def raw_answer(
    score: Decimal | int | None,
    maximum: Decimal | int | None,
    *,
    comment: str = "",
    level: str = "",
    graded_by: str = "",
    graded_at: str = "",
    released: bool = True,
) -> str:
    """Write an answer as it is kept, shaped like an AGS result: numbers stay exactly as the LMS wrote them.

    Without a score there is none: not graded, excused. `graded_by` is an LTI `sub` where the grader has one.
    `released`: False where the LMS says that the learner cannot see the grade yet."""
    told: dict[str, Any] = {
        "comment": comment,
        "level": level,
        "gradedBy": graded_by,
        "gradedAt": graded_at,
    }
    members = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in told.items() if value]
    numbers = {"resultScore": score, "resultMaximum": maximum}
    members = [f'"{name}": {number}' for name, number in numbers.items() if number is not None] + members
    if not released:
        members.append('"released": false')
    return "{" + ", ".join(members) + "}"


def propose(wanted: Iterable[Wanted], offered: Sequence[OfferedRow]) -> dict[str, OfferedRow]:
    """Propose what each row is matched with, by tag: by code, then by title, and only where exactly one fits.

    A course grade is proposed for the gate that asks for it, the first that is offered. A person confirms."""
    found: dict[str, OfferedRow] = {}
    for each in wanted:
        fitting = [row for row in offered if row.gate == each.gate]
        if each.gate:
            if fitting:
                found[each.tag] = fitting[0]
            continue
        for matches in (
            [row for row in fitting if row.code and _words(row.code) == _words(each.code)],
            [row for row in fitting if _words(row.title) in (_words(each.name), _words(f"{each.code} {each.name}"))],
        ):
            if len(matches) == 1:
                found[each.tag] = matches[0]
                break
    return found


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True)
class Connector:
    """One LMS's own interface as a source. `kind` is its connection's; `rows` and `gates` are the sources it serves.

    `open(tool, course_id)` gives the caller that the other two take; it raises NotConnected."""

    kind: str
    rows: str
    gates: str
    open: Callable[[Any, int], Any]
    offered: Callable[[Any, AskedCourse], Sequence[OfferedRow]]
    read: Callable[[Any, AskedCourse, Mapping[str, Place]], Mapping[str, Sequence[Answer]]]
