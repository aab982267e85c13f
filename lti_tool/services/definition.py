"""The badge definition file: TOML ⇄ Badge, each problem with its line."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lti_tool.credentials import picture
from lti_tool.domain import badge as domain
from lti_tool.domain.badge import Badge
from lti_tool.domain.rules import problems
from lti_tool.errors import DefinitionInvalid
from lti_tool.sentence import Sentence

LARGEST = 500_000  # bytes; a definition with every text filled is below 50 KB

UNREADABLE = Sentence("holds a number or a nesting beyond all measure, so it is not a badge definition")

_NAME = re.compile(r"[A-Za-z0-9_.\"' -]+")  # of a table; both cost no more than the line is long
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")

Place = tuple[str | int, ...]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Alignment(_Table):
    framework: str = ""
    name: str
    url: str
    code: str = ""
    type: str = ""
    description: str = ""


class _Identifier(_Table):
    type: str
    value: str


class _Creator(_Table):
    name: str
    url: str = ""
    email: str = ""
    description: str = ""


class _Related(_Table):
    url: str
    language: str = ""
    version: str = ""


class _Level(_Table):
    name: str
    points: Decimal
    description: str = ""
    alignment: list[_Alignment] = []


class _SubCompetency(_Table):
    code: str
    name: str
    description: str = ""
    required_level: str
    source: Literal["rubric", "column", "canvas-rubric", "moodle-rubric", "csv"] = "rubric"
    evidence: Literal["none", "optional", "required"] = "optional"
    alignment: list[_Alignment] = []
    level: list[_Level]


class _Gate(_Table):
    code: str
    name: str
    kind: Literal["letter", "points", "percent", "pass"]
    scale: dict[str, Decimal] = {}
    required: str | Decimal = ""
    source: Literal["column", "csv", "canvas-course-grade", "moodle-course-grade"] = "column"
    out_of: Decimal | None = None


class _Picture(_Table):
    alt: str = ""
    shape: str = "hexagon"
    icon: str = "star"
    colours: list[str] = Field(default=["#0E5468", "#F2B35E"], min_length=2, max_length=2)
    file: str = ""


class _Stack(_Table):
    members: list[str]
    rule: str = "all"
    ordered: bool = False
    within: str = ""


class _Head(_Table):
    slug: str
    name: str
    description: str
    criteria: str
    level: str = ""
    tags: list[str] = []
    language: str = "en"
    expires_after: str = ""
    award: Literal["automatic", "review"] = "automatic"
    release: str = "immediate"
    columns: Literal["each", "total", "none"] = "each"
    once: Literal["course", "person"] = "course"
    rule: str = "all"
    credits: Decimal | None = None
    picture: _Picture
    alignment: list[_Alignment] = []
    prerequisites: list[str] = []
    type: str = ""
    field_of_study: str = ""
    specialization: str = ""
    human_code: str = ""
    identifiers: list[_Identifier] = []
    creator: _Creator | None = None
    related: list[_Related] = []


class _File(_Table):
    badge: _Head
    sub_competency: list[_SubCompetency] = []
    gate: list[_Gate] = []
    stack: _Stack | None = None


def read_definition(text: str, file: str) -> Badge:
    """Read a definition; raises DefinitionInvalid with every problem found, each with its line in `file`."""
    if len(text.encode()) > LARGEST:
        raise DefinitionInvalid(
            file, [(0, Sentence("larger than %(size)s KB, so it is not a badge definition", size=LARGEST // 1000))]
        )
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column \d+\)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise DefinitionInvalid(
            file, [(int(match[1]) if match else 0, Sentence("not TOML: %(problem)s", problem=message))]
        ) from None
    except (ValueError, ArithmeticError, RecursionError):  # a number of 5,000 digits, lists in lists without end
        raise DefinitionInvalid(file, [(0, UNREADABLE)]) from None
    lines = _lines(text)
    try:
        parsed = _File.model_validate(_numbers(values))
    except RecursionError:
        raise DefinitionInvalid(file, [(0, UNREADABLE)]) from None
    except ValidationError as error:
        found = [(_line(lines, e["loc"]), _sentence(dict(e))) for e in error.errors(include_url=False)]
        raise DefinitionInvalid(file, sorted(found)) from None
    badge = _badge(parsed)
    found = [(_line(lines, place), _at(place, sentence)) for place, sentence in problems(badge)]
    if not found and not badge.picture.file:
        try:
            picture.draw(badge.picture, slug=badge.slug, ribbon=badge.level, pips=0)
        except ValueError as error:
            found = [
                (
                    _line(lines, ("badge", "picture")),
                    Sentence("%(name)s: %(problem)s", name="picture", problem=error.args[0]),
                )
            ]
    if found:
        raise DefinitionInvalid(file, sorted(found))
    return badge


def write_definition(badge: Badge) -> str:
    """Write the file that `read_definition` reads back to an equal badge."""
    head: dict[str, Any] = badge.content()
    rows = head.pop("sub_competencies", [])
    gates = head.pop("gates", [])
    stack = head.pop("stack", None)
    if badge.credits is not None:
        head["credits"] = badge.credits
    document: dict[str, Any] = {"badge": head}
    if rows:
        document["sub_competency"] = [_row_table(row) for row in rows]
    if gates:
        document["gate"] = [_gate_table(gate) for gate in gates]
    if stack:
        document["stack"] = stack
    return tomli_w.dumps(_tidy(document), multiline_strings=False)


def _row_table(row: dict[str, Any]) -> dict[str, Any]:
    levels = [{**level, "points": Decimal(level["points"])} for level in row["levels"]]
    return {**{key: value for key, value in row.items() if key != "levels"}, "level": levels}


def _gate_table(gate: dict[str, Any]) -> dict[str, Any]:
    table = dict(gate)
    if gate.get("scale"):
        table["scale"] = {letter: Decimal(least) for letter, least in gate["scale"]}
    if gate.get("out_of"):
        table["out_of"] = Decimal(gate["out_of"])
    return table


def _tidy(value: Any) -> Any:
    """Write whole decimals as integers: points = 3."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _numbers(value: Any) -> Any:
    """Make every number a Decimal, for which strict validation takes no integer, and every time a text."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, datetime):
        return value.isoformat()  # release = 2027-01-31T12:00:00Z, TOML's own form, without quotes
    return value


def _badge(parsed: _File) -> Badge:
    values = parsed.badge.model_dump()
    values.update(
        tags=tuple(parsed.badge.tags),
        prerequisites=tuple(parsed.badge.prerequisites),
        identifiers=tuple(domain.Identifier(**each.model_dump()) for each in parsed.badge.identifiers),
        creator=domain.Creator(**parsed.badge.creator.model_dump()) if parsed.badge.creator else None,
        related=tuple(domain.Related(**each.model_dump()) for each in parsed.badge.related),
        type="" if parsed.badge.type == domain.MICRO_CREDENTIAL else parsed.badge.type,
        alignment=_alignments(parsed.badge.alignment),
        picture=domain.Picture(**{**values["picture"], "colours": tuple(values["picture"]["colours"])}),
        sub_competencies=tuple(_sub_competency(row) for row in parsed.sub_competency),
        gates=tuple(_gate(gate) for gate in parsed.gate),
        stack=domain.Stack(**{**parsed.stack.model_dump(), "members": tuple(parsed.stack.members)})
        if parsed.stack
        else None,
    )
    return Badge(**values)


def _alignments(alignments: list[_Alignment]) -> tuple[domain.Alignment, ...]:
    return tuple(domain.Alignment(**a.model_dump()) for a in alignments)


def _sub_competency(row: _SubCompetency) -> domain.SubCompetency:
    values = row.model_dump(exclude={"level", "alignment"})
    levels = tuple(
        domain.Level(level.name, level.points, level.description, _alignments(level.alignment)) for level in row.level
    )
    return domain.SubCompetency(**values, levels=levels, alignment=_alignments(row.alignment))


def _gate(gate: _Gate) -> domain.Gate:
    required = domain.number_text(gate.required) if isinstance(gate.required, Decimal) else gate.required
    return domain.Gate(gate.code, gate.name, gate.kind, required, tuple(gate.scale.items()), gate.source, gate.out_of)


# -- lines ------------------------------------------------------------------------------------------------------


def _lines(text: str) -> dict[Place, int]:
    """Map each table and key of a TOML text to its line, tables of an array counted from 0."""
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            if closing in line:
                closing = ""
            continue
        if header := _header(line):
            table = _table(*header, counts)
            found.setdefault(table, number)
            if isinstance(table[-1], int):
                found.setdefault(table[:-1], number)  # [[gates]], which is not known at all
        elif key := _KEY.match(line):
            found.setdefault((*table, key[1]), number)
        for quote in ('"""', "'''"):
            if line.count(quote) % 2:
                closing = quote
    return found


def _header(line: str) -> tuple[str, bool] | None:
    """Return a table's name, and whether it is one of an array, from the line that begins it."""
    text = line.strip()
    if not text.startswith("["):
        return None
    is_array = text.startswith("[[")
    name, closed, _ = text[1 + is_array :].partition("]")
    name = name.strip()
    return (name, is_array) if closed and _NAME.fullmatch(name) else None


def _table(name: str, is_array: bool, counts: dict[Place, int]) -> Place:
    place: Place = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for position, part in enumerate(parts):
        place = (*place, part)
        last = position == len(parts) - 1
        if last and is_array:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _line(lines: dict[Place, int], place: Place) -> int:
    """Return the line of the nearest place that has one: the key, else its table."""
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return 1


def _at(place: Place, sentence: str) -> str:
    name = next((part for part in reversed(place) if isinstance(part, str)), "")
    if not name or name == place[0]:
        return sentence
    return Sentence("%(name)s: %(problem)s", name=name, problem=sentence)


def _sentence(error: dict[str, Any]) -> str:
    names = [str(part) for part in error["loc"] if isinstance(part, str) and part not in ("decimal", "str")]
    name = names[-1] if names else "file"
    if not name.isprintable():  # a key may be written with any character
        name = repr(name)
    match error["type"]:
        case "missing":
            return Sentence("%(name)s is missing", name=name)
        case "extra_forbidden":
            return Sentence("%(name)s is not known here; is it misspelt?", name=name)
        case "literal_error":
            return Sentence(
                "%(name)s cannot be %(value)s; write %(expected)s",
                name=name,
                value=_written(error["input"]),
                expected=error["ctx"]["expected"],
            )
        case "string_type":
            return Sentence('%(name)s must be text in quotes, as %(name)s = "…"', name=name)
        case "bool_type":
            return Sentence("%(name)s must be true or false", name=name)
        case "decimal_type" | "decimal_parsing" | "is_instance_of" | "finite_number":
            return Sentence("%(name)s must be a number", name=name)
        case "list_type":
            return Sentence("%(name)s must be a list: [ … ] or a repeated [[%(name)s]]", name=name)
        case "model_type" | "dict_type" | "model_attributes_type":
            return Sentence("%(name)s must be a table of its own", name=name)
        case "too_short" | "too_long":
            return Sentence(
                "%(name)s needs %(wanted)s entries, and has %(num)s",
                name=name,
                wanted=error["ctx"].get("min_length") or error["ctx"]["max_length"],
                num=error["ctx"]["actual_length"],
            )
    return Sentence("%(name)s: %(problem)s", name=name, problem=error["msg"])


def _written(value: Any) -> str:
    """Write a value for people: as in the file where it is short, else as what it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return domain.number_text(value) if value.is_finite() and abs(value.adjusted()) < 30 else f"{value}"
        case str():
            return f"{value!r}"
        case list():
            return "[…]"
    return "{…}"
