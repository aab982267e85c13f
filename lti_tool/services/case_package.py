"""A CASE package (1.0 or 1.1) as JSON: its items, and its rubrics with criteria and levels.

https://www.imsglobal.org/sites/default/files/spec/case/v1p1/information_model/caseservicev1p1_infomodelv1p0.html
Somebody else's file: sizes and depth are capped, and what cannot be used is said in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from lti_tool.domain.badge import number_text
from lti_tool.domain.rules import LANGUAGE, MOST_LEVELS, MOST_ROWS
from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

LARGEST = 4_000_000  # bytes; the Common Core's mathematics, 1,500 items, has 2 MB
DEEPEST = 30  # nesting of the JSON; a package needs seven
MOST_ITEMS = 5_000
MOST_RUBRICS = 100
MOST_GENERATIONS = 12  # of items below items; deeper ones are shown at this depth
LONGEST = 4_000  # characters of a text that is kept
ADDRESS = re.compile(r"https?://[^\s<>\"{}|^`\\]{1,1900}")


@dataclass(frozen=True)
class Item:
    """A competency. `depth` is how many items it lies below; items stand in the order they are read in."""

    id: str
    url: str
    statement: str
    short: str
    code: str
    kind: str
    depth: int = 0


@dataclass(frozen=True)
class CriterionLevel:
    """A level. `points` is decimal text, empty where the file names none."""

    url: str
    name: str
    points: str
    description: str


@dataclass(frozen=True)
class Criterion:
    """A row of a rubric, its levels low → high; `item` is the id of the item it judges, empty for none."""

    url: str
    name: str
    description: str
    item: str
    levels: tuple[CriterionLevel, ...]


@dataclass(frozen=True)
class Rubric:
    id: str
    url: str
    title: str
    description: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True)
class Framework:
    title: str
    url: str
    creator: str
    description: str
    language: str
    items: tuple[Item, ...]
    rubrics: tuple[Rubric, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values, as it is kept."""
        return asdict(self)

    def item(self, item_id: str) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None)


def framework_of(plain: Mapping[str, Any]) -> Framework:
    """Return the framework that `Framework.plain()` was made of."""
    rubrics = tuple(
        Rubric(
            **{
                **rubric,
                "criteria": tuple(
                    Criterion(**{**row, "levels": tuple(CriterionLevel(**level) for level in row["levels"])})
                    for row in rubric["criteria"]
                ),
            }
        )
        for rubric in plain["rubrics"]
    )
    return Framework(**{**plain, "items": tuple(Item(**item) for item in plain["items"]), "rubrics": rubrics})


# -- reading ----------------------------------------------------------------------------------------------------


def read_package(content: bytes) -> Framework:
    """Read a package; raises BadInput with a sentence for what is none."""
    package = _package(_json(content))
    document = _object(package.get("CFDocument"))
    title = _text(document, "title")
    if not title:
        raise _not_one(Sentence("Its CFDocument has no title."))
    items = _items(package)
    rubrics = _rubrics(package, {item.id for item in items})
    if not items and not rubrics:
        raise _not_one(Sentence("There are no items and no rubrics in it."))
    language = _text(document, "language")
    return Framework(
        title=title,
        url=_address(document),
        creator=_text(document, "creator"),
        description=_text(document, "description"),
        language=language if LANGUAGE.fullmatch(language) else "",
        items=items,
        rubrics=rubrics,
    )


def _not_one(why: str) -> BadInput:
    return BadInput(
        "no CASE package",
        sentence=Sentence("This is not a CASE package. %(why)s", why=why),
        what_to_do=Sentence(
            "A framework’s site offers it as JSON, under “CASE” or “CFPackage”: take the whole package of a document."
        ),
    )


def _json(content: bytes) -> Any:
    if len(content) > LARGEST:
        raise BadInput(
            "too large",
            sentence=Sentence("This file is larger than %(most)s MB.", most=LARGEST // 1_000_000),
            what_to_do=Sentence("Take the package of one document, not of several."),
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_one(Sentence("It is not UTF-8 text.")) from None
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError):
        raise _not_one(Sentence("It is not JSON.")) from None
    if _deeper_than(value, DEEPEST):
        raise _not_one(Sentence("It is nested deeper than any framework."))
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"no JSON number: {text}")


def _deeper_than(value: Any, most: int) -> bool:
    """Tell whether a value is nested deeper, without recursion of our own."""
    layer = [value]
    for _ in range(most):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def _package(value: Any) -> dict[str, Any]:
    found = _object(value)
    for wrapped in ("CFPackage", "cfPackage", "package"):
        if isinstance(found.get(wrapped), dict):
            found = found[wrapped]
    if "CFDocument" not in found:
        if isinstance(found.get("CFDocuments"), list):
            raise _not_one(Sentence("It is a list of documents, without what is in them."))
        raise _not_one(Sentence("It has no CFDocument."))
    return found


# -- items ------------------------------------------------------------------------------------------------------


def _items(package: Mapping[str, Any]) -> tuple[Item, ...]:
    told = [each for each in _list(package.get("CFItems")) if isinstance(each, dict)]
    if len(told) > MOST_ITEMS:
        raise BadInput(
            "too many items",
            sentence=Sentence("There are more than %(most)s items in it.", most=MOST_ITEMS),
            what_to_do=Sentence("Take the package of a smaller document."),
        )
    found: dict[str, Item] = {}
    for each in told:
        statement, item_id = _text(each, "fullStatement"), _text(each, "identifier")
        if statement and item_id and item_id not in found:
            found[item_id] = Item(
                id=item_id,
                url=_address(each),
                statement=statement,
                short=_text(each, "abbreviatedStatement"),
                code=_text(each, "humanCodingScheme")[:60],
                kind=_text(each, "CFItemType")[:60],
            )
    return _as_tree(found, package)


def _as_tree(items: dict[str, Item], package: Mapping[str, Any]) -> tuple[Item, ...]:
    """Return the items as they are read: each with those below it, by their sequence numbers.

    What the associations leave out, or tie into a ring, comes at the end, at the top."""
    below: dict[str, list[tuple[Decimal, int, str]]] = {}
    has_parent = set()
    for place, each in enumerate(_list(package.get("CFAssociations"))):
        if not isinstance(each, dict) or _text(each, "associationType").lower() != "ischildof":
            continue
        child = _text(_object(each.get("originNodeURI")), "identifier")
        parent = _text(_object(each.get("destinationNodeURI")), "identifier")
        if child in items:
            number = _number(each.get("sequenceNumber"))
            below.setdefault(parent, []).append((number if number is not None else Decimal(10**9), place, child))
            if parent in items and parent != child:
                has_parent.add(child)
    ordered: list[Item] = []
    seen: set[str] = set()
    first = [child for parent in below if parent not in items for *_order, child in sorted(below[parent])]
    for root in (*first, *(each for each in items if each not in has_parent), *items):
        stack = [(root, 0)]
        while stack:
            item_id, depth = stack.pop()
            if item_id in seen:
                continue
            seen.add(item_id)
            item = items[item_id]
            ordered.append(Item(**{**asdict(item), "depth": min(depth, MOST_GENERATIONS)}))
            stack += [(child, depth + 1) for *_order, child in sorted(below.get(item_id, []), reverse=True)]
    return tuple(ordered)


# -- rubrics ----------------------------------------------------------------------------------------------------


def _rubrics(package: Mapping[str, Any], items: set[str]) -> tuple[Rubric, ...]:
    told = [each for each in _list(package.get("CFRubrics")) if isinstance(each, dict)]
    if len(told) > MOST_RUBRICS:
        raise BadInput(
            "too many rubrics",
            sentence=Sentence("There are more than %(most)s rubrics in it.", most=MOST_RUBRICS),
            what_to_do=Sentence("Take the package of a smaller document."),
        )
    found: list[Rubric] = []
    for place, each in enumerate(told, start=1):
        rows = _by_position([row for row in _list(each.get("CFRubricCriteria")) if isinstance(row, dict)])
        criteria = tuple(_criterion(row, number, items) for number, row in enumerate(rows[: MOST_ROWS + 1], start=1))
        rubric = Rubric(
            id=_text(each, "identifier") or f"rubric-{place}",
            url=_address(each),
            title=_text(each, "title"),
            description=_text(each, "description"),
            criteria=criteria,
        )
        if criteria and all(rubric.id != other.id for other in found):
            found.append(rubric)
    return tuple(found)


def _criterion(row: Mapping[str, Any], number: int, items: set[str]) -> Criterion:
    category, description = _text(row, "category"), _text(row, "description")
    told = [each for each in _list(row.get("CFRubricCriterionLevels")) if isinstance(each, dict)]
    item = _text(_object(row.get("CFItemURI")), "identifier")
    return Criterion(
        url=_address(row),
        name=category or description or f"{number}",
        description=description if category else "",
        item=item if item in items else "",
        levels=_levels(told[: MOST_LEVELS + 1]),
    )


def _levels(told: list[dict[str, Any]]) -> tuple[CriterionLevel, ...]:
    """Return levels low → high: by their scores where each has one of its own, else as they stand."""
    scores = [_number(each.get("score")) for each in told]
    known = [score for score in scores if score is not None]
    if len(known) == len(told) and len(set(known)) == len(told):
        ordered = [each for _score, _place, each in sorted(zip(known, range(len(told)), told, strict=True))]
    else:
        ordered = _by_position(told)
    return tuple(
        CriterionLevel(
            url=_address(each),
            name=_text(each, "quality"),
            points=number_text(score) if (score := _number(each.get("score"))) is not None else "",
            description=_text(each, "description") or _text(each, "feedback"),
        )
        for each in ordered
    )


def _by_position(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return things by their `position`, those without one as they stand, behind."""

    def place(each: dict[str, Any]) -> Decimal:
        number = _number(each.get("position"))
        return number if number is not None else Decimal(10**9)

    return sorted(told, key=place)


# -- a stranger's values ----------------------------------------------------------------------------------------


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(values: Mapping[str, Any], name: str) -> str:
    """Return a text without signs that no page shows, cut where nothing of ours is that long."""
    value = values.get(name)
    if not isinstance(value, str):
        return ""
    plain = "".join(each for each in value if each.isprintable() or each in "\n\t").strip()
    return plain[:LONGEST]


def _address(values: Mapping[str, Any]) -> str:
    """Return the address of a node, empty where it has none that a credential could name."""
    uri = values.get("uri")
    return uri if isinstance(uri, str) and ADDRESS.fullmatch(uri) else ""


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and -10 < number.adjusted() < 10 else None
