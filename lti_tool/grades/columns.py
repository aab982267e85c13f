"""AGS: one gradebook column per sub-competency, found by resourceId and tag, made where it is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from lti_tool.domain.badge import TOTAL, Badge, number_text
from lti_tool.lti.ags import LineItem

EARNED = "earned"  # the tag of the column that tells the LMS who has earned a badge; nothing is read from it


@dataclass(frozen=True, slots=True)
class WantedColumn:
    """A column a badge needs. `maximum` is the highest level's points, as text."""

    tag: str
    code: str
    label: str
    maximum: str


def wanted_columns(badge: Badge) -> list[WantedColumn]:
    """Return the columns a badge reads, in its order: one a row, or one for all of it, or none, and its gates'.

    The label of a row begins with the code: teachers sort and search their gradebook by it."""
    if badge.columns == "each":
        rows = [
            WantedColumn(row.tag, row.code, f"{row.code} {row.name}", number_text(row.highest_points))
            for row in badge.sub_competencies
            if row.reads_column
        ]
    elif badge.columns == "total" and badge.sub_competencies:
        rows = [WantedColumn(TOTAL, "", badge.name, number_text(badge.highest_total))]
    else:
        rows = []
    gates = [
        WantedColumn(gate.tag, gate.code, gate.name, number_text(gate.maximum))
        for gate in badge.gates
        if gate.reads_column
    ]
    return rows + gates


def earned_column(label: str) -> WantedColumn:
    """Return the column in which who has earned a badge has 1 of 1."""
    return WantedColumn(EARNED, "", label, "1")


def same_column(items: Iterable[LineItem], url: str) -> LineItem | None:
    """Return the column at an address as it is now.

    Canvas writes a line item's id with the account's main host, whatever host was called (source): paths are told
    apart, hosts are not."""
    items = list(items)
    path = urlsplit(url).path
    exact = next((item for item in items if item.url == url), None)
    same_path = [item for item in items if urlsplit(item.url).path == path]
    return exact or (same_path[0] if len(same_path) == 1 else None)


def find_column(items: Iterable[LineItem], resource_id: str, tag: str) -> LineItem | None:
    """Return the first column that carries both marks: they survive a course copy, ids and labels do not.

    Canvas and Moodle both copy resourceId and tag; a teacher cannot edit either in the gradebook."""
    return next((item for item in items if item.resource_id == resource_id and item.tag == tag), None)


def match_column(items: Iterable[LineItem], resource_id: str, wanted: WantedColumn) -> tuple[LineItem, str] | None:
    """Return the column a copied course has for a row, and how it was recognised: by "marks", "tag" or "title".

    A column whose marks name another badge is never taken. By tag or title alone only where exactly one fits: a guess
    between two would count somebody's grades for the wrong row."""
    items = list(items)
    marked = find_column(items, resource_id, wanted.tag)
    if marked is not None:
        return marked, "marks"
    free = [item for item in items if not item.resource_id and item.maximum > 0]
    by_tag = [item for item in free if item.tag == wanted.tag]
    if len(by_tag) == 1:
        return by_tag[0], "tag"
    by_title = [item for item in free if not item.tag and _title(item.label) == _title(wanted.label)]
    return (by_title[0], "title") if len(by_title) == 1 else None


def _title(label: str) -> str:
    return " ".join(label.split()).casefold()
