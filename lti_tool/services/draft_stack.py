"""The parts of a stack in a draft: as its form holds them, the acts that change them, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask_babel import gettext as _

from lti_tool.domain.badge import CREDITS, DURATION, SLUG, Stack
from lti_tool.domain.rules import MOST_ROWS
from lti_tool.errors import BadInput

Values = dict[str, Any]
Say = Callable[[str, str], Any]

RULES = ("all", "any", "credits")
UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}


def blank() -> Values:
    return values_of(Stack(()))


def values_of(stack: Stack) -> Values:
    """Return the form of a stack; `read` makes an equal one of it again."""
    within = DURATION.fullmatch(stack.within) if stack.within else None
    units = [(unit, count) for unit, count in zip(UNITS, within.groups(), strict=False) if count] if within else []
    plainly = len(units) == 1 and stack.within == f"P{units[0][1]}{units[0][0]}"
    word, _space, number = stack.rule.partition(" ")
    return {
        "members": list(stack.members),
        "chosen": "",  # in the list of badges to add
        "rule": word,
        "any": number if word == "any" else str(max(1, len(stack.members) - 1)),
        "credits": number if word == "credits" else "",
        "ordered": "on" if stack.ordered else "",
        "within": units[0][1] if plainly else stack.within,
        "within_unit": units[0][0] if plainly else "iso" if stack.within else "",
    }


def usual(stack: Values | None) -> Values | None:
    """Return what a draft holds of a stack in today's form: one that was begun before has the file's."""
    if stack is None or "any" in stack:
        return stack
    return values_of(Stack(**{**stack, "members": tuple(stack["members"])}))


def read(values: Values, say: Say) -> Stack:
    """Return the stack that is written so far; what is missing or wrong is said at its field."""
    members = tuple(values["members"])
    if not members:
        say("stack.members", _("Choose at least one badge."))
    rule, counted = "all", values["any"].strip()
    if values["rule"] not in RULES:
        say("stack.rule", _("Choose one of what is offered here."))
    if values["rule"] == "any":
        if re.fullmatch("[1-9][0-9]{0,2}", counted) and int(counted) <= len(members):
            rule = f"any {counted}"
        else:
            say("stack.any", _("Write a number from 1 to %(most)s, as many as there are badges.", most=len(members)))
    if values["rule"] == "credits":
        if re.fullmatch("[1-9][0-9]{0,5}", values["credits"].strip()):
            rule = f"{CREDITS}{values['credits'].strip()}"
        else:
            say("stack.credits", _("Write a whole number above zero, as 3."))
    within, unit = values["within"].strip(), values["within_unit"]
    if unit not in ("", *UNITS, "iso"):
        say("stack.within", _("Choose one of what is offered here."))
        unit = ""
    if unit in UNITS and not re.fullmatch(r"[1-9]\d{0,4}", within):
        say("stack.within", _("Write a whole number above zero, as 3."))
        unit = ""
    return Stack(members, rule, values["ordered"] == "on", {"": "", "iso": within}.get(unit, f"P{within}{unit}"))


def path_of(place: tuple[str | int, ...]) -> str:
    """Return the field a problem of the rules stands at."""
    field = str(place[1]) if len(place) > 1 else "members"
    return f"stack.{field}" if field in ("members", "rule", "within") else "stack.members"


# -- acts -------------------------------------------------------------------------------------------------------


def _stack(values: Values) -> Values:
    stack: Values | None = values["stack"]
    if stack is None:
        raise BadInput("no stack", sentence=_("What you wanted to change is not there any more."))
    return stack


def add(values: Values, slug: str = "") -> str:
    """Add a badge at the end; without a slug the one that is chosen in the list of the page."""
    stack = _stack(values)
    slug, stack["chosen"] = slug or stack["chosen"], ""
    if not SLUG.fullmatch(slug):
        raise BadInput("no badge chosen", sentence=_("Choose a badge first."))
    if slug in stack["members"]:
        raise BadInput("there already", sentence=_("This badge is a part of it already."))
    if len(stack["members"]) >= MOST_ROWS:
        raise BadInput("too many", sentence=_("There can be no more than %(most)s here.", most=MOST_ROWS))
    stack["members"].append(slug)
    return "add-member"


def remove(values: Values, slug: str) -> str:
    members = _stack(values)["members"]
    if slug not in members:
        raise BadInput("gone", sentence=_("What you wanted to change is not there any more."))
    place = members.index(slug)
    members.pop(place)
    return f"member-{members[min(place, len(members) - 1)]}" if members else "add-member"


def move(values: Values, slug: str, where: str) -> str:
    members = _stack(values)["members"]
    if slug not in members:
        raise BadInput("gone", sentence=_("What you wanted to change is not there any more."))
    place = members.index(slug)
    wanted = place - 1 if where == "up" else place + 1 if where == "down" else int(where) if where.isdecimal() else -1
    if 0 <= wanted < len(members):
        members.insert(wanted, members.pop(place))
        place = wanted
    way = "down" if (where == "up" and place == 0) or (where == "down" and place < len(members) - 1) else "up"
    return f"member-{slug}-{way}"


ACTS: dict[str, Callable[..., str]] = {"member.add": add, "member.remove": remove, "member.move": move}
