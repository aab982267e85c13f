"""A standing as people see it: its level on the scale, the words beside it, what the next level asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

from flask_babel import gettext as _

from lti_tool.credentials.ob3 import StackMember
from lti_tool.domain.badge import PREREQUISITE, Badge, Gate, Level, SubCompetency, number_text
from lti_tool.domain.mastery import (
    EARNED,
    NOT_EARNED,
    explain,
    explain_gate,
    explain_part,
    explain_prerequisite,
    gate_needs,
    gate_reached,
    part_word,
    pass_gate,
    stand,
    standing_of,
)
from lti_tool.domain.scores import Ungraded
from lti_tool.sentence import Sentence
from lti_tool.services.pages.rows import LevelMark, RowView
from lti_tool.services.words import decimal, said

TONES = 4


Parts = Mapping[str, StackMember]  # what the badges that one asks for are called and where they are described, by slug
NO_PARTS: Parts = MappingProxyType({})


def row_views(badge: Badge, records: dict[str, dict[str, Any]], parts: Parts = NO_PARTS) -> tuple[RowView, ...]:
    """Return every row and condition of a badge, with what is recorded for one learner (nothing: no result yet)."""
    rows = [sub_competency_view(row, records.get(row.tag), badge.language) for row in badge.sub_competencies]
    if badge.stack is not None:
        rows += [part_view(slug, records.get(PREREQUISITE + slug), parts.get(slug)) for slug in badge.stack.members]
    rows += [gate_view(gate, records.get(gate.tag)) for gate in badge.gates]
    first = [(slug, records.get(PREREQUISITE + slug), parts.get(slug)) for slug in badge.prerequisites]
    return tuple(rows + [prerequisite_view(*each) for each in first])


def rows_beside(
    heads: Badge, judged_by: Badge, records: dict[str, dict[str, Any]], parts: Parts = NO_PARTS
) -> tuple[RowView, ...]:
    """Return the rows of one version under the heads of another: a row that is not in it is "other"."""
    own = {view.tag: view for view in row_views(judged_by, records, parts)}
    under = row_views(heads, {}, parts)
    return tuple(own.get(head.tag) or dataclasses.replace(head, state="other") for head in under)


def prerequisite_view(slug: str, record: dict[str, Any] | None, asked: StackMember | None) -> RowView:
    """Return a badge to be earned first: earned or not."""
    state, name = (record["state"], record["name"]) if record else ("short", asked.name if asked is not None else slug)
    met = state == "met"
    return RowView(
        tag=PREREQUISITE + slug,
        code="",
        name=name,
        description="",
        state=state,
        told=partial(explain_prerequisite, name, state),
        reached=said(EARNED if met else NOT_EARNED),
        required=_("the badge"),
        tone=3 if met else 0,
        steps=0,
        level=0,
        required_step=0,
        short_by=0 if met else 1,
        points="",
        highest="",
        share=1.0 if met else 0.0,
    )


def part_view(slug: str, record: dict[str, Any] | None, part: StackMember | None) -> RowView:
    """Return a badge that a stack is made of: earned or not, and why one that is does not count."""
    state, name = (record["state"], record["name"]) if record else ("ungraded", part.name if part is not None else slug)
    met = state == "met"
    return RowView(
        tag=PREREQUISITE + slug,
        code="",
        name=name,
        description="",
        state=state,
        told=partial(explain_part, name, state),
        reached=said(part_word(state)),
        required=said(EARNED),
        tone=3 if met else 0,
        steps=0,
        level=0,
        required_step=0,
        short_by=0 if met else 1,
        points=record["points"] if record else "",
        highest="",
        share=1.0 if met else 0.0,
        part=True,
        link=part.address if part is not None else "",
    )


def met_of(badge: Badge, rows: Sequence[RowView]) -> int | Decimal:
    """Count what counts of these rows: those at their level; of a stack the parts that count, or their credits."""
    met = [row for row in rows if row.counts and row.state == "met"]
    return sum((Decimal(row.points or 0) for row in met), Decimal(0)) if badge.counts_credits else len(met)


def missing_of(badge: Badge, rows: Sequence[RowView]) -> list[RowView]:
    """Return what is still missing, as `domain.award.missing`: no rows once as many as the rule asks are met."""
    short = [row for row in rows if row.counts and row.state != "met"] if met_of(badge, rows) < badge.needed else []
    return short + [row for row in rows if not row.counts and row.state != "met"]


def amount(number: int | Decimal) -> str:
    """Write how much counts, as its reader writes numbers."""
    return decimal(number_text(Decimal(number)))


def sub_competency_view(row: SubCompetency, record: dict[str, Any] | None, language: str = "") -> RowView:
    standing = standing_of(record) if record else stand(row, Ungraded())
    level, state = standing.level, standing.state
    required = row.required_index
    filled = 0 if level is None else level + 1
    points = Decimal(standing.points or 0)
    beyond = (
        row.levels[level + 1].description if state == "met" and level is not None and filled < len(row.levels) else ""
    )
    return RowView(
        tag=row.tag,
        code=row.code,
        name=row.name,
        description=row.description,
        state=state,
        told=partial(explain, row, standing),
        reached=standing.reached,
        required=row.required_level,
        tone=tone(level, len(row.levels)),
        steps=len(row.levels),
        level=filled,
        required_step=required + 1,
        short_by=max(0, required + 1 - filled) if state != "met" else 0,  # none where only evidence is missing
        points=standing.points,
        highest=number_text(row.highest_points),
        share=_share(points, row.levels[required].points, state),
        levels=tuple(_mark(each, index, level, required, len(row.levels)) for index, each in enumerate(row.levels)),
        alignment=row.alignment,
        next_asks="" if state in ("met", "unproven") else row.levels[required].description,
        beyond=beyond,
        language=language,
    )


def gate_words(gate: Gate) -> str:
    """Say what a further condition asks for, as its reader reads it."""
    return said(gate_needs(gate))


def gate_view(gate: Gate, record: dict[str, Any] | None) -> RowView:
    standing = standing_of(record) if record else pass_gate(gate, Ungraded())
    state = standing.state
    return RowView(
        tag=gate.tag,
        code=gate.code,
        name=gate.name,
        description="",
        state=state,
        told=partial(explain_gate, gate, standing),
        reached=said(gate_reached(gate, standing)),
        required=gate_words(gate),
        tone=3 if state == "met" else 0 if state == "ungraded" else 1,
        steps=0,
        level=0,
        required_step=0,
        short_by=0 if state == "met" else 1,
        points=standing.score,
        highest=standing.maximum or number_text(gate.maximum),
        share=1.0 if state == "met" else 0.0,
    )


def hide(view: RowView) -> RowView:
    """Return the row without anything that hints at a grade: for a learner, before the badge's release."""
    return dataclasses.replace(
        view,
        state="hidden",
        told=lambda: Sentence("Your teacher has not released this yet."),
        reached="",
        tone=0,
        level=0,
        short_by=0,
        points="",
        share=0.0,
        levels=tuple(dataclasses.replace(mark, reached=False, passed=False) for mark in view.levels),
        next_asks="",
        beyond="",
    )


def tone(level: int | None, levels: int) -> int:
    """Return the colour of a level, 1 to 4: the lowest is 1, the highest 4, the others spread between; 0 for none."""
    if level is None:
        return 0
    return 1 + round(level * (TONES - 1) / (levels - 1)) if levels > 1 else TONES


def _mark(level: Level, index: int, reached: int | None, required: int, count: int) -> LevelMark:
    return LevelMark(
        name=level.name,
        points=number_text(level.points),
        description=level.description,
        tone=tone(index, count),
        reached=index == reached,
        passed=reached is not None and index < reached,
        required=index == required,
    )


def _share(points: Decimal, needed: Decimal, state: str) -> float:
    if state == "met":
        return 1.0
    return min(0.99, float(points / needed)) if needed else 0.0
