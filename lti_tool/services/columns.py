"""Gradebook columns made outside a publishing, because somebody asked: one that was deleted, and who has earned it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lti_tool.db import repeat_collided
from lti_tool.errors import Conflict, NotFound
from lti_tool.grades.columns import EARNED, WantedColumn, wanted_columns
from lti_tool.models import Column, Course, CourseBadge
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, earned, work
from lti_tool.services.tool import Tool
from lti_tool.services.work import Say


def ask_again(tool: Tool, course_id: int, slug: str, tag: str, *, actor: str, now: datetime) -> int:
    """Let a column that was deleted in the gradebook be made again; returns the job. The caller wakes the queue.

    Raises NotFound for a column the badge never had, Conflict for one that is there."""
    return repeat_collided(lambda: _ask_again(tool, course_id, slug, tag, actor, now))


def _ask_again(tool: Tool, course_id: int, slug: str, tag: str, actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        column = next((each for each in badge.columns if each.tag == tag), None)
        if column is None:
            raise NotFound(f"no column {tag}")
        if column.state == "bound":
            raise Conflict(sentence=Sentence("This column is in the gradebook again."), what_to_do="")
        publishing = work.open_job(session, "publish", badge.id)
        if publishing is not None and badge.draft is None:
            return publishing.id  # of no change: it makes what is missing
        column.asked_again_at = now
        detail = {"slug": slug, "column": column.label}
        audit.record(session, now, actor, "badge.column_asked_again", f"badge:{badge.id}", **detail)
        return work.request_in(session, "make_columns", badge.id, now, again=True)


def run_make_columns(tool: Tool, course_badge_id: str, say: Say) -> dict[str, Any]:
    """Find or make the columns of a badge that somebody asked for; repeating it makes nothing twice."""
    with tool.db.read() as session:
        badge = session.get_one(CourseBadge, course_badge_id)
        if badge.version is None:
            return {"made": 0}
        wanted = _asked_for(badge)
        course_id, resource_id = badge.course_id, catalog.definition_of(badge).resource_id
    made = catalog.bind_columns(tool, course_badge_id, course_id, resource_id, wanted, say)
    if wanted:
        work.start(tool, "sync", str(course_id), again=True)
        earned.write(tool, datetime.now(UTC), course_id)
    return {"columns": len(wanted), "made": made}


def _asked_for(badge: CourseBadge) -> list[WantedColumn]:
    definition = catalog.definition_of(badge)
    known = {column.tag: column for column in wanted_columns(definition)}
    asked = [column for column in badge.columns if column.asked_again_at is not None]
    wanted = [_again(column, known) for column in asked if column.tag != EARNED]
    has = next((column for column in badge.columns if column.tag == EARNED), None)
    if badge.writes_earned and (has is None or has.asked_again_at is not None):
        wanted.append(earned.wanted_column(definition))
    return wanted


def _again(column: Column, known: dict[str, WantedColumn]) -> WantedColumn:
    """Return a column as the definition has it; one that only an earlier version reads, as it was."""
    return known.get(column.tag) or WantedColumn(column.tag, "", column.label, column.score_maximum)
