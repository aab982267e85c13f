"""A draft as its form holds it: texts as typed, each at a path, and the definition they make once they can.

Rows, levels, alignments and conditions carry a key of their own (`k`), so that a path still names the same thing after
somebody has moved or removed another one: `rows.r2.levels.l3.points`."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from flask_babel import gettext as _

from lti_tool.credentials import picture
from lti_tool.domain.badge import (
    DURATION,
    MICRO_CREDENTIAL,
    SLUG,
    Alignment,
    Badge,
    Creator,
    Gate,
    Identifier,
    Level,
    Picture,
    Related,
    SubCompetency,
    badge_from_content,
    number_text,
    plain,
)
from lti_tool.domain.rules import LANGUAGE, Place, problems
from lti_tool.errors import BadInput
from lti_tool.services import draft_stack
from lti_tool.services.words import said

Values = dict[str, Any]
Problems = dict[str, str]  # path → sentence

LONGEST = 30_000  # characters of one field: more than any rule allows, and no more than a save should carry
LONGEST_SLUG = 80
NOT_WRITTEN = {"k", "auto_slug", "file", "stack"}  # set by acts, never by typing
# What a draft that was begun before these were asked for does not hold yet
LATER = {"type": "", "field_of_study": "", "specialization": "", "human_code": "", "identifiers": "", "related": ""}
CREATOR = {"name": "", "url": "", "email": "", "description": ""}
LATER_OF_ALIGNMENTS = {"type": "", "description": ""}
CTID = re.compile(r"ce-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
# Pairs of the design that pass its contrasts, to choose from with one press.
PAIRS = (
    ("#0E5468", "#F2B35E"),
    ("#1E4F3B", "#EBCB6E"),
    ("#2F4192", "#B9D4F5"),
    ("#5A2A6B", "#F0C6DE"),
    ("#7A2E1D", "#F4D9A8"),
    ("#23313F", "#D9BE8A"),
)
NOT_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")


# -- values and paths -------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """Return a text as it can be kept: line breaks as one sign, nothing that no database or XML file holds."""
    return NOT_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def usual(path: str, text: str) -> str:
    """Return a text as it is compared and kept: clean, and a colour in capitals, which browsers write in small."""
    return clean(text).upper() if path in ("picture.dark", "picture.light") else clean(text)


def read(values: Values, path: str) -> str | None:
    """Return the text at a path, None where there is no such field (any more)."""
    if (match := re.fullmatch(r"levels\.(\w+)\.name", path)) is not None:
        found = [level for row in values["rows"] for level in row["levels"] if level["k"] == match[1]]
        return found[0]["name"] if found and not values["own_levels"] else None
    node, last = _holder(values, path)
    return node[last] if node is not None and _is_field(node, last) else None


def write(values: Values, path: str, text: str) -> None:
    """Put a text at a path that `read` knows; raises BadInput for another path, or for a text beyond all measure."""
    if len(text) > LONGEST:
        raise BadInput("a text too long", sentence=_("This text is longer than any badge can hold."))
    if read(values, path) is None:
        raise BadInput(f"no field {path[:80]}", sentence=_("This field is not there any more."))
    if path.startswith("levels."):
        key = path.split(".")[1]
        for row in values["rows"]:
            for level in row["levels"]:
                if level["k"] == key:
                    level["name"] = clean(text)
        return
    node, last = _holder(values, path)
    assert node is not None
    node[last] = usual(path, text)
    if path == "slug":
        values["auto_slug"] = ""


def _holder(values: Values, path: str) -> tuple[Values | None, str]:
    *parts, last = path.split(".")
    node: Any = values
    for part in parts:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list):
            node = keyed(node, part)
    return (node, last) if isinstance(node, dict) else (None, last)


def _is_field(node: Values, name: str) -> bool:
    return name not in NOT_WRITTEN and isinstance(node.get(name), str)


def keyed(items: Iterable[Values], key: str) -> Values | None:
    return next((item for item in items if isinstance(item, dict) and item.get("k") == key), None)


def complete(values: Values) -> Values:
    """Return a draft with every field of today's form, also where it was begun with an earlier one."""
    values = {**LATER, **values, "creator": {**CREATOR, **values.get("creator", {})}}
    values["alignment"] = _complete_alignments(values["alignment"])
    values["rows"] = [
        {
            **row,
            "alignment": _complete_alignments(row["alignment"]),
            "levels": [{**level, "alignment": _complete_alignments(level["alignment"])} for level in row["levels"]],
        }
        for row in values["rows"]
    ]
    return values


def _complete_alignments(alignments: Iterable[Values]) -> list[Values]:
    return [{**LATER_OF_ALIGNMENTS, **each} for each in alignments]


# -- from a definition, or from nothing -------------------------------------------------------------------------


def blank(language: str) -> Values:
    """Return what a badge begins with that nobody has written yet."""
    names = (_("Beginning"), _("Developing"), _("Proficient"), _("Advanced"))
    levels = tuple(Level(name, Decimal(points)) for points, name in enumerate(names, start=1))
    row = SubCompetency(code="SC-1", name="", levels=levels, required_level=names[2])
    begun = Badge(slug="", name="", description="", criteria="", sub_competencies=(row,), picture=Picture(alt=""))
    language = language if LANGUAGE.fullmatch(language) else "en"
    return {**values_of(begun), "language": language, "auto_slug": "yes"}


def blank_stack(language: str) -> Values:
    """Return what a badge made of badges begins with."""
    return {**blank(language), "rows": [], "stack": draft_stack.blank()}


def values_of(badge: Badge) -> Values:
    """Return the form of a definition; `definition` makes an equal one of it again."""
    expires = DURATION.fullmatch(badge.expires_after) if badge.expires_after else None
    units = [(unit, count) for unit, count in zip(UNITS, expires.groups(), strict=False) if count] if expires else []
    plainly = len(units) == 1 and badge.expires_after == f"P{units[0][1]}{units[0][0]}"
    at_a_time = badge.release not in ("immediate", "held")
    rows = [_row_values(index, row) for index, row in enumerate(badge.sub_competencies, start=1)]
    return {
        "slug": badge.slug,
        "auto_slug": "",
        "name": badge.name,
        "description": badge.description,
        "criteria": badge.criteria,
        "level": badge.level,
        "language": badge.language,
        "tags": _tags_text(badge.tags),
        "expires": units[0][1] if plainly else badge.expires_after,
        "expires_unit": units[0][0] if plainly else "iso" if badge.expires_after else "",
        "once": badge.once,
        "credits": number_text(badge.credits) if badge.credits is not None else "",
        "award": badge.award,
        "release": "at" if at_a_time else badge.release,
        "release_at": badge.release if at_a_time else "",
        "columns": badge.columns,
        "rule": "any" if badge.rule != "all" else "all",
        "any": badge.rule.removeprefix("any ") if badge.rule != "all" else str(max(1, len(rows) - 1)),
        "picture": {
            "kind": "file" if badge.picture.file else "drawn",
            "file": badge.picture.file,
            "shape": badge.picture.shape,
            "icon": badge.picture.icon,
            "dark": badge.picture.colours[0],
            "light": badge.picture.colours[1],
            "alt": badge.picture.alt,
        },
        "alignment": _alignment_values(badge.alignment),
        "prerequisites": " ".join(badge.prerequisites),
        "own_levels": "" if _share_levels(rows) else "on",
        "rows": rows,
        "gates": [gate_values(index, gate) for index, gate in enumerate(badge.gates, start=1)],
        "type": badge.type,
        "field_of_study": badge.field_of_study,
        "specialization": badge.specialization,
        "human_code": badge.human_code,
        "identifiers": "".join(f"{each.type} {each.value}\n" for each in badge.identifiers),
        "related": "".join(f"{' '.join([r.url, r.language, r.version]).strip()}\n" for r in badge.related),
        "creator": dataclasses.asdict(badge.creator) if badge.creator is not None else dict(CREATOR),
        "stack": draft_stack.values_of(badge.stack) if badge.stack is not None else None,
    }


def _row_values(index: int, row: SubCompetency) -> Values:
    levels = [
        {
            "k": f"l{place}",
            "name": level.name,
            "points": number_text(level.points),
            "description": level.description,
            "alignment": _alignment_values(level.alignment),
        }
        for place, level in enumerate(row.levels, start=1)
    ]
    return {
        "k": f"r{index}",
        "code": row.code,
        "name": row.name,
        "description": row.description,
        "required": f"l{row.required_index + 1}",
        "source": row.source,
        "evidence": row.evidence,
        "alignment": _alignment_values(row.alignment),
        "levels": levels,
    }


def gate_values(index: int, gate: Gate) -> Values:
    written = {name: value for name, value in plain(gate).items() if name != "scale"}
    texts = {field.name: "" for field in dataclasses.fields(Gate)} | written
    return {"k": f"g{index}", **texts, "scale": scale_text(gate.scale)}


def _alignment_values(alignments: Iterable[Alignment]) -> list[Values]:
    return [{"k": f"a{index}", **dataclasses.asdict(each)} for index, each in enumerate(alignments, start=1)]


def _share_levels(rows: list[Values]) -> bool:
    """Tell whether every row has the same levels by name, so that a name is written once for all."""
    return len({tuple((level["k"], level["name"]) for level in row["levels"]) for row in rows}) <= 1


def scale_text(scale: Iterable[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{letter} = {number_text(least)}" for letter, least in scale)


def read_scale(text: str) -> tuple[tuple[str, Decimal], ...]:
    """Read "F = 0, D = 60, C = 70"; raises ValueError."""
    found = []
    for part in (each.strip() for each in re.split(r"[,;\n]", text)):
        if not part:
            continue
        match = re.fullmatch(r"([^\s=:](?:[^=:]*[^\s=:])?)\s*[=:\s]\s*(\d+(?:\.\d+)?)\s*%?", part)
        if not match:
            raise ValueError(part)
        found.append((match[1], Decimal(match[2])))
    if len({letter for letter, _least in found}) != len(found):
        raise ValueError("a letter twice")
    return tuple(found)


def _tags_text(tags: Iterable[str]) -> str:
    found = list(tags)
    return "".join(f"{tag}\n" for tag in found) if any("," in tag for tag in found) else ", ".join(found)


def read_tags(text: str) -> tuple[str, ...]:
    """Read tags: one on each line where there are several lines, else separated by commas; none twice."""
    parts = text.splitlines() if "\n" in text else text.split(",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def slug_of(name: str) -> str:
    """Return the slug a name suggests, empty where it has no letter or digit that one may hold."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:LONGEST_SLUG].rstrip("-")


# -- to a definition --------------------------------------------------------------------------------------------


def definition(values: Values, slug: str) -> tuple[Badge, Problems]:
    """Return the badge that is written so far, and what is missing or wrong, each at its field.

    Only without a problem is it a definition; with one it still has a shape, to be drawn and counted."""
    found: Problems = {}
    say = found.setdefault
    values = complete(values)
    rows = tuple(_row(row, say) for row in values["rows"])
    expires, unit = values["expires"].strip(), values["expires_unit"]
    if unit in UNITS and not re.fullmatch(r"[1-9]\d{0,4}", expires):
        say("expires", _("Write a whole number above zero, as 3."))
        unit = ""
    release = values["release_at"].strip() if values["release"] == "at" else values["release"]
    if not _is_release(release):
        say("release_at", _("Choose the day and the time from which learners may see it."))
        release = "held"
    rule = "all"
    if values["rule"] == "any":
        rule = f"any {values['any'].strip()}"
        if not values["any"].strip().isdecimal() or not 1 <= int(values["any"]) <= max(1, len(rows)):
            say("any", _("Write a number from 1 to %(most)s, as many as there are sub-competencies.", most=len(rows)))
            rule = "all"
    badge = Badge(
        slug=slug,
        name=values["name"].strip(),
        description=values["description"].strip(),
        criteria=values["criteria"],
        sub_competencies=rows,
        gates=tuple(_gate(gate, say) for gate in values["gates"]),
        level=values["level"].strip(),
        tags=read_tags(values["tags"]),
        language=values["language"].strip(),
        expires_after={"": "", "iso": expires}.get(unit, f"P{expires}{unit}"),
        award=values["award"],
        release=release,
        columns=values["columns"],
        once=values["once"],
        rule=rule,
        credits=_number(values["credits"], "credits", say) if values["credits"].strip() else None,
        picture=_picture(values["picture"], say),
        alignment=_alignments(values["alignment"], "alignment", say),
        prerequisites=tuple(dict.fromkeys(values["prerequisites"].split())),
        stack=draft_stack.read(values["stack"], say) if values["stack"] else None,
        type="" if values["type"].strip() == MICRO_CREDENTIAL else values["type"].strip(),
        field_of_study=values["field_of_study"].strip(),
        specialization=values["specialization"].strip(),
        human_code=values["human_code"].strip(),
        identifiers=_identifiers(values["identifiers"], say),
        creator=_creator(values["creator"], say),
        related=_related(values["related"], say),
    )
    _head_problems(badge, values, say)
    _choice_problems(values, say)
    for place, sentence in problems(badge):
        path = _path(values, place, sentence)
        if path not in found:
            say(path, _sentence(said(sentence)))
    if not badge.picture.file and "picture" not in found:
        try:
            picture.draw(badge.picture, slug=slug, ribbon=badge.level, pips=0)
        except ValueError as error:
            say("picture", said(error.args[0]))
    if not found and badge_from_content(badge.content()) != badge:
        say("", _("Something in this draft cannot be kept as it is. Look for unusual characters."))
    return badge, found


Say = Callable[[str, str], Any]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _head_problems(badge: Badge, values: Values, say: Say) -> None:
    if not badge.name:
        say("name", _("Give the badge a name."))
    if not badge.description:
        say("description", _("Say in a sentence or two what the badge stands for."))
    if not badge.criteria.strip():
        say("criteria", _("Say what a learner must show, and how it is judged."))
    if not SLUG.fullmatch(badge.slug) or len(badge.slug) > LONGEST_SLUG:
        say("slug", _("Write it in small letters, digits and hyphens, as oral-communication."))
    if not badge.picture.alt.strip():
        say("picture.alt", _("Say in words what the picture shows, for people who do not see it."))
    if badge.columns == "total" and any(row.source != "rubric" for row in badge.sub_competencies):
        say("columns", _("One column for the whole badge works only where every row is marked here. Change the rows."))
    if badge.columns == "none" and any(row.source == "column" for row in badge.sub_competencies):
        say("columns", _("Without a column no row can be graded in the gradebook. Change the rows."))


CHOICES = {
    "expires_unit": ("", *UNITS, "iso"),
    "once": ("course", "person"),
    "award": ("automatic", "review"),
    "release": ("immediate", "held", "at"),
    "columns": ("each", "total", "none"),
    "rule": ("all", "any"),
    "own_levels": ("", "on"),
    "source": ("rubric", "column", "canvas-rubric", "moodle-rubric", "csv"),
    "evidence": ("none", "optional", "required"),
    "kind": ("letter", "points", "percent", "pass"),
}
GATE_SOURCES = ("column", "csv", "canvas-course-grade", "moodle-course-grade")


def _choice_problems(values: Values, say: Say) -> None:
    """Refuse what no choice of the page sends: it would end in a definition that cannot be read back."""
    words = _("Choose one of these.")
    whole = ("expires_unit", "once", "award", "release", "columns", "rule", "own_levels")
    places: list[tuple[Values, str, tuple[str, ...]]] = [(values, "", whole)]
    places += [(row, f"rows.{row['k']}.", ("source", "evidence")) for row in values["rows"]]
    places += [(gate, f"gates.{gate['k']}.", ("kind",)) for gate in values["gates"]]
    for node, at, names in places:
        for name in names:
            if node[name] not in CHOICES[name]:
                say(f"{at}{name}", words)
    for gate in values["gates"]:
        if gate["source"] not in GATE_SOURCES:
            say(f"gates.{gate['k']}.source", words)
    if values["picture"]["kind"] not in ("drawn", "file"):
        say("picture", words)


def _is_release(text: str) -> bool:
    if text in ("immediate", "held"):
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _number(text: str, path: str, say: Say, instead: Decimal = Decimal(1)) -> Decimal:
    """Read a number as people write one; where it is none, say so and go on with another."""
    written = text.strip()
    if re.fullmatch(r"\d{1,12},\d{1,5}", written):
        written = written.replace(",", ".")
    if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", written):
        try:
            return Decimal(written)
        except InvalidOperation:
            pass
    say(path, _("Write a number, as 3 or 2.5."))
    return instead


def _row(row: Values, say: Say) -> SubCompetency:
    at = f"rows.{row['k']}"
    if not row["name"].strip():
        say(f"{at}.name", _("Give this sub-competency a name."))
    levels: list[Level] = []
    for level in row["levels"]:
        here = f"{at}.levels.{level['k']}"
        name = level["name"].strip()
        if not name:
            say(f"{here}.name", _("Give the level a name."))
        least = levels[-1].points + 1 if levels else Decimal(1)
        points = _number(level["points"], f"{here}.points", say, least)
        if levels and points <= levels[-1].points:
            say(
                f"{here}.points",
                _("“%(level)s” needs more points than “%(lower)s”.", level=name, lower=levels[-1].name),
            )
        aligned = _alignments(level["alignment"], f"{here}.alignment", say)
        levels.append(Level(name or "–", points, level["description"].strip(), aligned))
    places = {level["k"]: index for index, level in enumerate(row["levels"])}
    if row["required"] not in places:
        say(f"{at}.required", _("Choose the level a learner has to reach."))
    return SubCompetency(
        code=row["code"].strip(),
        name=row["name"].strip(),
        levels=tuple(levels),
        required_level=levels[places.get(row["required"], -1)].name if levels else "",
        description=row["description"].strip(),
        source=row["source"],
        evidence=row["evidence"],
        alignment=_alignments(row["alignment"], f"{at}.alignment", say),
    )


def _gate(gate: Values, say: Say) -> Gate:
    at = f"gates.{gate['k']}"
    if not gate["name"].strip():
        say(f"{at}.name", _("Give this condition a name; its gradebook column is called by it."))
    scale: tuple[tuple[str, Decimal], ...] = ()
    kind, required = gate["kind"], gate["required"].strip()
    if kind == "letter":
        try:
            scale = read_scale(gate["scale"])
        except ValueError:
            say(f"{at}.scale", _("Write each letter once with its least per cent, as F = 0, D = 60, C = 70, B = 80."))
        if not required:
            say(f"{at}.required", _("Write the letter that is needed at least."))
    elif kind in ("points", "percent"):
        required = number_text(_number(required, f"{at}.required", say))
    else:
        required = ""
    more: dict[str, Any] = {}
    if kind == "points" and gate.get("out_of", "").strip():
        more["out_of"] = _number(gate["out_of"], f"{at}.out_of", say, Decimal(100))
    return Gate(gate["code"].strip(), gate["name"].strip(), kind, required, scale, gate["source"], **more)


def _alignments(alignments: list[Values], at: str, say: Say) -> tuple[Alignment, ...]:
    """Return what is aligned to; an entry nobody has written into is none."""
    found = []
    for each in alignments:
        names = ("framework", "name", "url", "code", "type", "description")
        texts = {name: each[name].strip() for name in names}
        if not any(text for name, text in texts.items() if name != "type"):
            continue
        if not texts["name"]:
            say(f"{at}.{each['k']}.name", _("Name what it is aligned to."))
        if not re.match(r"https?://\S+$", texts["url"]):
            say(f"{at}.{each['k']}.url", _("Write the whole address, beginning with https://."))
        found.append(Alignment(**texts))
    return tuple(found)


def _identifiers(text: str, say: Say) -> tuple[Identifier, ...]:
    """Read identifiers, one on each line: its type and the identifier; a CTID needs no type."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        kind, _space, value = line.partition(" ")
        if CTID.fullmatch(line):
            kind, value = "ext:ctid", line
        if not value.strip():
            say("identifiers", _("Write the type and then the identifier, as in: ext:ctid ce-98cb027b-…"))
            continue
        found.append(Identifier(kind, value.strip()))
    return tuple(found)


def _related(text: str, say: Say) -> tuple[Related, ...]:
    """Read related achievements, one on each line: its address, then its language and its version."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        parts = line.split()
        if len(parts) > 3:
            say("related", _("Write the address, then the language, then the version, and nothing more on the line."))
            continue
        found.append(Related(*parts))
    return tuple(found)


def _creator(values: Values, say: Say) -> Creator | None:
    texts = {name: values[name].strip() for name in CREATOR}
    if not any(texts.values()):
        return None
    if not texts["name"]:
        say("creator.name", _("Name the department or partner that made the badge."))
    return Creator(**texts)


def _picture(values: Values, say: Say) -> Picture:
    kept = Picture(alt=values["alt"].strip())
    if values["kind"] == "file" and not values["file"]:
        say("picture", _("Choose a file, or let the picture be drawn."))
    file = values["file"] if values["kind"] == "file" else ""
    return dataclasses.replace(
        kept, shape=values["shape"], icon=values["icon"], colours=(values["dark"], values["light"]), file=file
    )


def _path(values: Values, place: Place, sentence: str) -> str:
    """Return the field a problem of the rules stands at; empty where there is none."""
    lists = {"sub_competency": "rows", "gate": "gates"}
    root, *rest = place
    if root == "stack":
        return draft_stack.path_of(place)
    node: Any = values
    parts: list[str] = []
    if root == "badge":
        if rest[:1] == ["picture"]:
            return "picture.alt" if sentence.startswith("alt ") else "picture"
        if rest[:1] == ["creator"]:
            return "creator.url" if "address" in sentence else "creator.name"
        names = {"expires_after": "expires", "release": "release_at" if values["release"] == "at" else "release"}
        rest = [names.get(str(part), part) for part in rest]
    elif root in lists:
        rest = [lists[str(root)], *rest]
    else:
        return ""
    for part in rest:
        if isinstance(part, int):
            if not isinstance(node, list):
                break
            written = [
                item for item in node if "url" not in item or any(item[n] for n in item if n not in ("k", "type"))
            ]
            if part >= len(written):
                return ".".join(parts[:-1])
            node = written[part]
            parts.append(node["k"])
        else:
            part = {"level": "levels" if isinstance(node, dict) and "levels" in node else "level"}.get(part, part)
            part = {"required_level": "required"}.get(part, part)
            node = node.get(part) if isinstance(node, dict) else None
            parts.append(part)
    if node is values["alignment"] or (parts and parts[-2:-1] == ["alignment"]):
        parts.append("url" if "address" in sentence else "type" if "type of target" in sentence else "name")
    elif len(parts) == 2 and parts[0] in ("rows", "gates"):
        parts.append("name")
    return ".".join(parts)
