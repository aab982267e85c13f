"""Which gradebook column belongs to which row, where their marks do not say it: recognised by title, or chosen by hand.

Only columns the tool sees can be chosen: on Canvas and Moodle alike those it made itself, or that came along with a
course copy. What they are is read by a job and kept with the course, so that no page waits for the LMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, number_text
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.grades.columns import EARNED, WantedColumn, wanted_columns
from lti_tool.lti.ags import LineItem, list_line_items
from lti_tool.models import Column, Course, CourseBadge, Job
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, drift, work
from lti_tool.services.access import course_service
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool
from lti_tool.services.work import Say


def run_columns(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Look which columns of a course's gradebook the tool sees. Makes nothing there; safe to repeat."""
    say(Sentence("Looking at the gradebook columns …"))
    service, url = course_service(tool, int(course_id))
    items = list_line_items(service, url)
    with tool.db.write() as session:
        keep_seen(session.get_one(Course, int(course_id)), items, datetime.now(UTC))
    return {"columns": len(items)}


def keep_seen(course: Course, items: Sequence[LineItem], now: datetime) -> None:
    """Keep what columns a course's gradebook showed."""
    course.seen_at = now
    course.seen_columns = [
        {
            "url": item.url,
            "label": item.label,
            "maximum": number_text(item.maximum),
            "resource_id": item.resource_id or "",
            "tag": item.tag or "",
        }
        for item in items
        if item.maximum > 0 and item.tag != EARNED
    ]


# -- the page ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A column that can be chosen. `of` is the badge it belongs to by its marks, empty where it carries none."""

    url: str
    label: str
    maximum: str
    of: str


@dataclass(frozen=True)
class MatchRow:
    """A row that reads a column. `url` is the one it has; `found_by` as models.Column's, empty for one we made.

    `fixed`: grades have been read from it, or it is in force: it is not changed here."""

    tag: str
    code: str
    label: str
    maximum: str
    url: str
    column: str
    found_by: str
    fixed: bool


@dataclass(frozen=True)
class MatchPage:
    slug: str
    badge: Badge
    status: str
    rows: tuple[MatchRow, ...]
    choices: tuple[Choice, ...]
    looked_at: datetime | None
    job_id: int  # that is looking
    problem: str  # why the last look failed

    @property
    def recognised(self) -> int:
        return sum(bool(row.url) for row in self.rows)


def page(tool: Tool, who: LaunchSession, slug: str) -> MatchPage:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id, slug)
        definition = catalog.next_definition(badge)
        query = select(Job).where(Job.kind == "columns", Job.subject == str(badge.course_id)).order_by(Job.id.desc())
        last = session.scalar(query.limit(1))
        job_id = looking(session, badge.course_id)
        bound = {column.tag: column for column in badge.columns}
        return MatchPage(
            slug=slug,
            badge=definition,
            status=badge.status,
            rows=tuple(_match_row(wanted, bound.get(wanted.tag)) for wanted in wanted_columns(definition)),
            choices=tuple(
                Choice(each["url"], each["label"], each["maximum"], _of(each["resource_id"], definition))
                for each in badge.course.seen_columns or ()
            ),
            looked_at=badge.course.seen_at,
            job_id=job_id,
            problem=last.problem or "" if last is not None and last.id != job_id and last.state != "done" else "",
        )


def looking(session: Session, course_id: int) -> int:
    """Return the job that is looking at a course's gradebook or at what came along with a copy; 0 where none is.

    One that has failed and waits for another attempt is none: a page that waited for it would wait for long."""
    for kind in ("copy", "columns"):
        job = work.open_job(session, kind, str(course_id))
        if job is not None and (job.attempts == 0 or (job.state == "running" and job.attempts == 1)):
            return job.id
    return 0


def _match_row(wanted: WantedColumn, column: Column | None) -> MatchRow:
    is_there = column is not None and column.state == "bound"
    return MatchRow(
        tag=wanted.tag,
        code=wanted.code,
        label=wanted.label,
        maximum=wanted.maximum,
        url=column.url if column is not None and is_there else "",
        column=column.label if column is not None and is_there else "",
        found_by=column.found_by if column is not None and column.found else "",
        fixed=is_there and column is not None and not _may_change(column),
    )


def _may_change(column: Column) -> bool:
    """A column that was recognised or chosen can be changed until the badge is published; one that is gone always."""
    return column.state != "bound" or (column.found and column.course_badge.version_id is None)


def _of(resource_id: str, definition: Badge) -> str:
    slug = resource_id.removeprefix("badge:")
    return "" if slug == definition.slug or not resource_id.startswith("badge:") else slug


def look(tool: Tool, who: LaunchSession, now: datetime) -> int:
    """Make the look at the gradebook due; returns the job. The caller wakes the queue."""
    return work.request(tool, "columns", str(who.course_id), now)


def choose(
    tool: Tool, course_id: int, slug: str, chosen: Mapping[str, str], *, actor: str, now: datetime
) -> dict[str, str]:
    """Bind columns to rows as an instructor says: tag → address of a column, empty for one that publishing makes.

    Rows whose column is in force stay as they are. Raises BadInput for a column that was not among those seen, or is
    given to two rows; returns what was changed."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        catalog.refuse_while_publishing(session, badge)
        if badge.status == "retired":
            raise Conflict(sentence=Sentence("This badge is retired, so no column is read for it."))
        seen = {each["url"]: each for each in badge.course.seen_columns or ()}
        bound = {column.tag: column for column in badge.columns}
        changed: dict[str, str] = {}
        for wanted in wanted_columns(catalog.next_definition(badge)):
            column, url = bound.get(wanted.tag), chosen.get(wanted.tag)
            if url is None or (column is not None and not _may_change(column)):
                continue
            if url and url not in seen:
                raise BadInput(
                    sentence=Sentence("That column is not among those the tool sees in this gradebook."),
                    what_to_do=Sentence("Look at the gradebook again, then choose."),
                )
            if _bind(session, badge, wanted, column, seen.get(url), now):
                changed[wanted.tag] = seen[url]["label"] if url else ""
        urls = [column.url for column in session.scalars(select(Column).where(Column.course_badge_id == badge.id))]
        if len(set(urls)) != len(urls):
            raise BadInput(sentence=Sentence("One column was chosen for two rows. Each row needs a column of its own."))
        if changed:
            badge.evaluated = None
            audit.record(session, now, actor, "badge.columns_chosen", f"badge:{badge.id}", slug=slug, columns=changed)
        return changed


def _bind(
    session: Session,
    badge: CourseBadge,
    wanted: WantedColumn,
    column: Column | None,
    item: Mapping[str, str] | None,
    now: datetime,
) -> bool:
    if item is None:
        if column is None or column.state != "bound":
            return False
        session.delete(column)
        session.flush()
        return True
    if column is not None and column.url == item["url"] and column.state == "bound":
        return False
    taken = session.scalar(
        select(Column).where(Column.course_badge_id == badge.id, Column.url == item["url"], Column.tag != wanted.tag)
    )
    if taken is not None:
        raise BadInput(
            sentence=Sentence(
                "“%(column)s” is read for another row already. Each row needs a column of its own.",
                column=item["label"],
            )
        )
    if column is None:
        column = Column(course_badge_id=badge.id, tag=wanted.tag)
        session.add(column)
    elif column.url != item["url"]:
        drift.moved(session, column, now)
    else:
        drift.end(session, column, now)
    # Answers older than this came from another column: its being empty does not take them back.
    column.created_at, column.found, column.found_by, column.state = now, True, "hand", "bound"
    column.url, column.label, column.score_maximum = item["url"], item["label"], item["maximum"]
    session.flush()
    return True
