"""A rubric marked in the tool: its points go into the gradebook through AGS, where the column stays the record.

AGS has no conditional write: what a cell holds is read before a score goes there, and again afterwards."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from lti_tool.domain.badge import number_text
from lti_tool.domain.scores import Malformed, Reading, Score, Ungraded, read_result, same_score
from lti_tool.lti.ags import RawResult, post_score, results
from lti_tool.lti.service import Service

FEW = 3  # people who are asked for one by one; for more the whole column is read, which costs a page or two

_TAGS = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"\s+")

Act = Literal["there", "post", "ask", "unreadable"]


@dataclass(frozen=True)
class Cell:
    """What one learner's cell of a column is to hold, and what is known of it.

    `sent` may have arrived, `posted` was read back; `over` is what may be replaced, as `found` wrote it."""

    user_id: str
    score: Score
    comment: str = ""
    sent: Score | None = None
    sent_comment: str | None = None
    sent_at: datetime | None = None
    posted: Score | None = None
    posted_comment: str | None = None
    over: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Found:
    """What a cell of the gradebook holds: `raw` as received, None where nobody was ever graded there."""

    raw: str | None = None
    reading: Reading = field(default_factory=Ungraded)
    comment: str = ""
    at: datetime | None = None  # Moodle tells it, Canvas does not

    def record(self) -> dict[str, Any]:
        """Return it as plain values, to be kept, shown and compared."""
        if isinstance(self.reading, Score):
            points, maximum = number_text(self.reading.points), number_text(self.reading.maximum)
            return {"points": points, "maximum": maximum, "comment": self.comment}
        return {"points": None, "maximum": None, "comment": self.comment}


def read_cells(service: Service, column_url: str, user_ids: Collection[str]) -> dict[str, Found]:
    """Read what the gradebook holds for these people; raises as `lti.ags.results`."""
    wanted = set(user_ids)
    if len(wanted) <= FEW:
        rows = [row for user_id in sorted(wanted) for row in results(service, column_url, user_id=user_id)]
    else:
        rows = list(results(service, column_url))
    return {user_id: Found() for user_id in wanted} | {row.user_id: found(row) for row in rows if row.user_id in wanted}


def found(row: RawResult) -> Found:
    comment, told = row.values.get("comment"), row.values.get("timestamp")
    return Found(row.raw, read_result(row.values), plain(comment) if isinstance(comment, str) else "", _moment(told))


def plain(comment: str) -> str:
    """Return a comment's words alone: a teacher's may come back as HTML (Moodle, seen), and with other spaces."""
    return _SPACE.sub(" ", html.unescape(_TAGS.sub(" ", comment))).strip()


def decide(cell: Cell, there: Found) -> Act:
    """Say what is to be done with a cell: nothing, since it is there; post it; or ask a person.

    A person is asked wherever the gradebook holds, or no longer holds, something that did not come from here."""
    reading = there.reading
    if isinstance(reading, Malformed):
        return "unreadable"
    allowed = cell.over is not None and dict(cell.over) == there.record()
    if not isinstance(reading, Score):
        return "post" if cell.posted is None or allowed else "ask"
    ours = any(known is not None and same_score(reading, known) for known in (cell.sent, cell.posted))
    if same_score(reading, cell.score) and (not ours or _comment_is_there(cell, there)):
        return "there"
    if ours and there.comment in {"", plain(cell.sent_comment or ""), plain(cell.posted_comment or "")}:
        return "post"
    return "post" if allowed else "ask"


def _comment_is_there(cell: Cell, there: Found) -> bool:
    if cell.comment == (cell.posted_comment or ""):
        return True
    return cell.comment == cell.sent_comment and plain(cell.comment) == there.comment


def came_from_here(cell: Cell, there: Found) -> bool:
    """Tell whether the score that a cell holds is one that was sent from here."""
    reading = there.reading
    return isinstance(reading, Score) and any(
        known is not None and same_score(reading, known) for known in (cell.sent, cell.posted)
    )


def score_time(service: Service, cell: Cell, there: Found, now: datetime) -> datetime:
    """Return a timestamp that the platform accepts: later than our last score and than the last change it told of."""
    known = [moment for moment in (cell.sent_at, there.at) if moment is not None]
    return service.platform.score_time(now, max(known, default=None))


def post_cell(service: Service, column_url: str, cell: Cell, timestamp: datetime) -> None:
    """Put a cell's score into its column, with its comment where that is not there yet; raises as `post_score`.

    Only a score that a person has chosen to put over another's may replace a teacher's."""
    post_score(
        service,
        column_url,
        user_id=cell.user_id,
        points=cell.score.points,
        maximum=cell.score.maximum,
        timestamp=timestamp,
        comment=service.platform.score_comment(cell.comment, cell.posted_comment),
        replace=cell.over is not None,
    )


def total_comment(parts: Sequence[tuple[str, str]], longest: int) -> str:
    """Join the comments of all rows, as (row, comment), into the one that goes with a total."""
    return "\n".join(f"{row}: {comment}" for row, comment in parts if comment)[:longest]


def _moment(told: object) -> datetime | None:
    if not isinstance(told, str):
        return None
    try:
        when = datetime.fromisoformat(told)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
