"""AGS: one gradebook column per sub-competency, found by resourceId and tag, made where it is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lti_tool.domain.badge import Badge, number_text
from lti_tool.lti.ags import LineItem


@dataclass(frozen=True, slots=True)
class WantedColumn:
    """A column a badge needs. `maximum` is the highest level's points, as text."""

    tag: str
    code: str
    label: str
    maximum: str


def wanted_columns(badge: Badge) -> list[WantedColumn]:
    """Return the columns a badge with `columns = "each"` reads, in its order.

    The label begins with the code: teachers sort and search their gradebook by it."""
    rows = [
        WantedColumn(row.tag, row.code, f"{row.code} {row.name}", number_text(row.highest_points))
        for row in badge.sub_competencies
        if row.reads_column
    ]
    gates = [
        WantedColumn(gate.tag, gate.code, gate.name, number_text(gate.maximum))
        for gate in badge.gates
        if gate.reads_column
    ]
    return rows + gates


def find_column(items: Iterable[LineItem], resource_id: str, tag: str) -> LineItem | None:
    """Return the first column that carries both marks: they survive a course copy, ids and labels do not.

    Canvas and Moodle both copy resourceId and tag; a teacher cannot edit either in the gradebook."""
    return next((item for item in items if item.resource_id == resource_id and item.tag == tag), None)
