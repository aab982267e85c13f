"""What is different between two definitions of a badge, and whether it can change who earns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lti_tool.domain.badge import Badge, Gate, Stack, SubCompetency, number_text

# Changes that can change who earns the badge; all others are words and looks.
WEIGHTY = frozenset(
    {
        "row_added",
        "row_removed",
        "row_required",
        "row_levels",
        "row_points",
        "row_source",
        "row_evidence",
        "gate_added",
        "gate_removed",
        "gate_changed",
        "first_added",
        "first_removed",
        "part_added",
        "part_removed",
        "parts_order",
        "parts_ordered",
        "parts_rule",
        "parts_within",
        "rule",
        "columns",
        "once",
    }
)

# Changes whose `name` is another badge, by its slug.
OF_BADGES = frozenset({"first_added", "first_removed", "part_added", "part_removed"})

# What registries and catalogues read; nobody earns or sees anything differently by it.
CATALOGUE = ("type", "field_of_study", "specialization", "human_code", "identifiers", "creator", "related")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `what` is a code; `name` and `code` say of which row or condition, empty for the badge itself.

    `old` and `new` are values as the definition has them; empty where the wording is too long to repeat."""

    what: str
    name: str = ""
    code: str = ""
    old: str = ""
    new: str = ""

    @property
    def weighty(self) -> bool:
        return self.what in WEIGHTY

    @property
    def changes_nothing(self) -> bool:
        """Tell whether it is a matter of words and looks alone: nobody earns, sees or keeps anything differently."""
        return not self.weighty and self.what not in ("award", "release", "expires_after", "credits", "evidence_offer")


def changes(old: Badge, new: Badge) -> list[Change]:
    """Return what is different, in the order people read a badge: rows, conditions, rule, how it is given, words."""
    return [*_rows(old, new), *_parts(old, new), *_gates(old.gates, new.gates), *_head(old, new)]


def _rows(old: Badge, new: Badge) -> Iterator[Change]:
    before = {row.code: row for row in old.sub_competencies}
    after = {row.code: row for row in new.sub_competencies}
    for code, row in after.items():
        if code not in before:
            yield Change("row_added", row.name, code, new=row.required_level)
        else:
            yield from _row(before[code], row)
    for code, row in before.items():
        if code not in after:
            yield Change("row_removed", row.name, code)
    if [code for code in before if code in after] != [code for code in after if code in before]:
        yield Change("order")


def _row(old: SubCompetency, new: SubCompetency) -> Iterator[Change]:
    name, code = new.name, new.code
    if old.name != new.name:
        yield Change("row_name", name, code, old.name, new.name)
    old_levels, new_levels = [level.name for level in old.levels], [level.name for level in new.levels]
    if len(old_levels) != len(new_levels):
        yield Change("row_levels", name, code, ", ".join(old_levels), ", ".join(new_levels))
    else:
        for was, level in zip(old.levels, new.levels, strict=True):
            if was.name != level.name:
                yield Change("level_name", name, code, was.name, level.name)
            if was.points != level.points:
                points = f"{level.name}: {number_text(level.points)}"
                yield Change("row_points", name, code, number_text(was.points), points)
    if old.required_index != new.required_index or (
        len(old_levels) != len(new_levels) and old.required_level != new.required_level
    ):
        yield Change("row_required", name, code, old.required_level, new.required_level)
    if old.source != new.source:
        yield Change("row_source", name, code, old.source, new.source)
    if (old.evidence == "required") != (new.evidence == "required"):
        yield Change("row_evidence", name, code, old.evidence, new.evidence)
    elif old.evidence != new.evidence:
        yield Change("evidence_offer", name, code, old.evidence, new.evidence)
    words = [(level.description, level.alignment) for level in old.levels]
    if (old.description, old.alignment, words) != (
        new.description,
        new.alignment,
        [(level.description, level.alignment) for level in new.levels],
    ):
        yield Change("row_words", name, code)


def _gates(old: Sequence[Gate], new: Sequence[Gate]) -> Iterator[Change]:
    before = {gate.code: gate for gate in old}
    after = {gate.code: gate for gate in new}
    for code, gate in after.items():
        if code not in before:
            yield Change("gate_added", gate.name, code, new=_asked(gate))
        elif before[code] != gate:
            yield Change("gate_changed", gate.name, code, _asked(before[code]), _asked(gate))
    for code, gate in before.items():
        if code not in after:
            yield Change("gate_removed", gate.name, code)


def _parts(old: Badge, new: Badge) -> Iterator[Change]:
    before, after = old.stack or Stack(()), new.stack or Stack(())
    yield from (Change("part_added", slug) for slug in after.members if slug not in before.members)
    yield from (Change("part_removed", slug) for slug in before.members if slug not in after.members)
    if [s for s in before.members if s in after.members] != [s for s in after.members if s in before.members]:
        yield Change("parts_order")
    if before.rule != after.rule:
        yield Change("parts_rule", old=before.rule, new=after.rule)
    if before.ordered != after.ordered:
        yield Change("parts_ordered", new="yes" if after.ordered else "")
    if before.within != after.within:
        yield Change("parts_within", old=before.within, new=after.within)


def _asked(gate: Gate) -> str:
    if gate.kind == "percent":
        return f"{gate.required} %"
    if gate.kind == "points":
        return f"{gate.required} / {number_text(gate.maximum)}"
    return gate.required


def _head(old: Badge, new: Badge) -> Iterator[Change]:
    yield from (Change("first_added", slug) for slug in new.prerequisites if slug not in old.prerequisites)
    yield from (Change("first_removed", slug) for slug in old.prerequisites if slug not in new.prerequisites)
    if old.rule != new.rule:
        yield Change("rule", old=old.rule, new=new.rule)
    for field in ("columns", "award", "release", "once", "expires_after", "name", "level"):
        if getattr(old, field) != getattr(new, field):
            yield Change(field, old=getattr(old, field), new=getattr(new, field))
    if old.credits != new.credits:
        yield Change("credits", old=_number(old), new=_number(new))
    for field in ("description", "criteria", "picture", "tags", "language", "alignment"):
        if getattr(old, field) != getattr(new, field):
            yield Change(field)
    if any(getattr(old, field) != getattr(new, field) for field in CATALOGUE):
        yield Change("catalogue")


def _number(badge: Badge) -> str:
    return number_text(badge.credits) if badge.credits is not None else ""
