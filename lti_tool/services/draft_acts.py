"""What changes the shape of a draft: rows, levels, alignments and conditions added, moved and removed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from decimal import Decimal

from flask_babel import gettext as _

from lti_tool.domain.badge import Gate, number_text
from lti_tool.domain.rules import MOST_GATES, MOST_LEVELS, MOST_ROWS
from lti_tool.errors import BadInput
from lti_tool.services import draft_stack
from lti_tool.services.draft_values import LATER_OF_ALIGNMENTS, PAIRS, Values, blank, gate_values, slug_of

MOST_ALIGNMENTS = 20


def act(values: Values, what: str) -> str:
    """Do one act, written as `row.move:r2:up`; returns the id of what should have the focus then.

    Raises BadInput for one that is not there or not possible."""
    name, *told = what.split(":")
    done = ACTS.get(name)
    of_rows = name.startswith(("row.", "level", "sources."))
    if done is None or len(told) > 3 or (of_rows and not values["rows"]):  # a stack has none
        raise BadInput(f"no act {what[:60]!r}")
    try:
        return done(values, *told)
    except TypeError:
        raise BadInput(f"an act with other details: {what[:60]!r}") from None


def field_id(path: str) -> str:
    return "f-" + path.replace(".", "-")


def _gone(what: str) -> BadInput:
    return BadInput(f"no {what}", sentence=_("What you wanted to change is not there any more."))


def _find(items: list[Values], key: str) -> int:
    for index, item in enumerate(items):
        if item["k"] == key:
            return index
    raise _gone(key[:40])


def _too_many(most: int) -> BadInput:
    return BadInput("too many", sentence=_("There can be no more than %(most)s here.", most=most))


def _new_key(letter: str) -> str:
    return letter + secrets.token_hex(4)


def _move(items: list[Values], key: str, where: str) -> int:
    """Move an item up, down, or to a place counted from 0; returns its new place."""
    index = _find(items, key)
    wanted = index - 1 if where == "up" else index + 1 if where == "down" else int(where) if where.isdecimal() else -1
    if wanted < 0 or wanted >= len(items):
        return index
    items.insert(wanted, items.pop(index))
    return wanted


def _row_add(values: Values) -> str:
    rows: list[Values] = values["rows"]
    if len(rows) >= MOST_ROWS:
        raise _too_many(MOST_ROWS)
    last = rows[-1] if rows else blank("en")["rows"][0]
    row = {
        "k": _new_key("r"),
        "code": _new_code(values),
        "name": "",
        "description": "",
        "required": last["required"],
        "source": last["source"],
        "evidence": last["evidence"],
        "alignment": [],
        "levels": [{**level, "description": "", "alignment": []} for level in last["levels"]],
    }
    rows.append(row)
    return field_id(f"rows.{row['k']}.name")


def _new_code(values: Values, prefix: str = "") -> str:
    used = {each["code"] for each in (*values["rows"], *values["gates"])}
    if not prefix:
        heads = {code[: -len(number)] for code in used if (number := _number_at_end(code))}
        prefix = heads.pop() if len(heads) == 1 else ""
    if not prefix:
        words = [word for word in slug_of(values["name"]).split("-") if word]
        letters = "".join(word[0] for word in words[:2]) if len(words) > 1 else "".join(words)[:2]
        prefix = f"{letters.upper() or 'SC'}-"
    return next(code for n in range(1, 1000) if (code := f"{prefix}{n}") not in used)


def _number_at_end(code: str) -> str:
    match = re.search(r"\d+$", code)
    return match[0] if match and match.start() else ""


def _row_remove(values: Values, key: str) -> str:
    index = _find(values["rows"], key)
    if len(values["rows"]) == 1:
        raise BadInput("the last row", sentence=_("A badge needs at least one sub-competency."))
    values["rows"].pop(index)
    return f"row-{values['rows'][min(index, len(values['rows']) - 1)]['k']}"


def _row_move(values: Values, key: str, where: str) -> str:
    place = _move(values["rows"], key, where)
    return _still_there(f"row-{key}", where, place, len(values["rows"]))


def _still_there(what: str, where: str, place: int, count: int) -> str:
    """Return the id of the button pressed, or of its neighbour where that one is at its end now."""
    way = "down" if (where == "up" and place == 0) or (where == "down" and place < count - 1) else "up"
    return f"{what}-{way}"


def _rows_of_levels(values: Values, row: str) -> list[Values]:
    """Return the rows whose levels an act changes: all that share them, or the one that has its own."""
    if not row:
        if values["own_levels"]:
            raise _gone("shared levels")
        return list(values["rows"])
    return [values["rows"][_find(values["rows"], row)]]


def _level_add(values: Values, row: str = "") -> str:
    rows = _rows_of_levels(values, row)
    if any(len(each["levels"]) >= MOST_LEVELS for each in rows):
        raise _too_many(MOST_LEVELS)
    key = _new_key("l")
    for each in rows:
        highest = each["levels"][-1]["points"]
        points = number_text(Decimal(highest) + 1) if re.fullmatch(r"\d{1,6}(\.\d{1,5})?", highest) else ""
        each["levels"].append({"k": key, "name": "", "points": points, "description": "", "alignment": []})
    return field_id(f"rows.{row}.levels.{key}.name" if row else f"levels.{key}.name")


def _level_remove(values: Values, key: str, row: str = "") -> str:
    rows = _rows_of_levels(values, row)
    for each in rows:
        index = _find(each["levels"], key)
        if len(each["levels"]) <= 2:
            raise BadInput("two levels", sentence=_("A sub-competency has at least two levels."))
        each["levels"].pop(index)
        if each["required"] == key:  # the next lower one stands in, so that nothing gets harder unnoticed
            each["required"] = each["levels"][max(0, index - 1)]["k"]
    return f"add-level-{row}" if row else "add-level"


def _level_move(values: Values, key: str, where: str, row: str = "") -> str:
    """Move a level; the points stay where they are, as they rise from low to high."""
    rows = _rows_of_levels(values, row)
    place = 0
    for each in rows:
        points = [level["points"] for level in each["levels"]]
        place = _move(each["levels"], key, where)
        for level, kept in zip(each["levels"], points, strict=True):
            level["points"] = kept
    return _still_there(f"level-{row}-{key}" if row else f"level-{key}", where, place, len(rows[0]["levels"]))


def _levels_own(values: Values) -> str:
    values["own_levels"] = "on"
    return "levels-share"


def _levels_share(values: Values) -> str:
    first, *others = values["rows"]
    if any(len(row["levels"]) != len(first["levels"]) for row in others):
        raise BadInput(
            "other numbers of levels",
            sentence=_("The rows have different numbers of levels. Give each as many as the first one has."),
        )
    for row in others:
        for level, like in zip(row["levels"], first["levels"], strict=True):
            if row["required"] == level["k"]:
                row["required"] = f"={like['k']}"
            level["k"], level["name"] = like["k"], like["name"]
        row["required"] = row["required"].removeprefix("=")
    values["own_levels"] = ""
    return "levels-own"


def _aligned(values: Values, row: str, level: str) -> tuple[list[Values], str]:
    """Return the alignments of the badge, of a row or of one of its levels, and their path."""
    holder, at = values, ""
    for name, key in (("rows", row), ("levels", level)):
        if key:
            holder, at = holder[name][_find(holder[name], key)], f"{at}{name}.{key}."
    found: list[Values] = holder["alignment"]
    return found, f"{at}alignment"


def _alignment_add(values: Values, row: str = "", level: str = "") -> str:
    alignments, at = _aligned(values, row, level)
    if len(alignments) >= MOST_ALIGNMENTS:
        raise _too_many(MOST_ALIGNMENTS)
    key = _new_key("a")
    alignments.append({"k": key, "framework": "", "name": "", "url": "", "code": "", **LATER_OF_ALIGNMENTS})
    return field_id(f"{at}.{key}.framework")


def _alignment_remove(values: Values, key: str, row: str = "", level: str = "") -> str:
    alignments, _at = _aligned(values, row, level)
    alignments.pop(_find(alignments, key))
    return "-".join(part for part in ("add-alignment", row, level) if part)


def _gate_add(values: Values) -> str:
    if len(values["gates"]) >= MOST_GATES:
        raise _too_many(MOST_GATES)
    gate = {
        **gate_values(0, Gate("", "", "percent", "60")),
        "k": _new_key("g"),
        "code": _new_code(values, "G-"),
        "scale": "F = 0, D = 60, C = 70, B = 80, A = 90",
    }
    values["gates"].append(gate)
    return field_id(f"gates.{gate['k']}.name")


def _gate_remove(values: Values, key: str) -> str:
    values["gates"].pop(_find(values["gates"], key))
    return "add-gate"


def _picture_colours(values: Values, number: str) -> str:
    if not number.isdecimal() or int(number) >= len(PAIRS):
        raise _gone("pair of colours")
    values["picture"]["dark"], values["picture"]["light"] = PAIRS[int(number)]
    return f"pair-{number}"


def _picture_drawn(values: Values) -> str:
    values["picture"].update(kind="drawn", file="")
    return field_id("picture.alt")


def _sources_all(values: Values, source: str) -> str:
    if source not in ("rubric", "column"):
        raise BadInput(f"no source {source[:40]}")
    for row in values["rows"]:
        row["source"] = source
    return f"all-{source}"


ACTS: dict[str, Callable[..., str]] = {
    "row.add": _row_add,
    "row.remove": _row_remove,
    "row.move": _row_move,
    "level.add": _level_add,
    "level.remove": _level_remove,
    "level.move": _level_move,
    "levels.own": _levels_own,
    "levels.share": _levels_share,
    "alignment.add": _alignment_add,
    "alignment.remove": _alignment_remove,
    "gate.add": _gate_add,
    "gate.remove": _gate_remove,
    "sources.all": _sources_all,
    "picture.colours": _picture_colours,
    "picture.drawn": _picture_drawn,
    **draft_stack.ACTS,
}
