"""What of a course in its LMS is no longer as it was set up: noticed by reading, kept while it lasts, told with what
mends it.

Nothing is mended here: a column that was deleted is made again, chosen or left out by an instructor only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, badge_from_content, number_text
from lti_tool.errors import AccessRefused, Conflict, CourseConcluded, NotFound, ScopeMissing, ServiceError, TokenRefused
from lti_tool.grades.columns import EARNED, same_column, wanted_columns
from lti_tool.lti.ags import LONGEST_LABEL, SCORE, LineItem
from lti_tool.lti.nrps import MEMBERSHIPS_READ
from lti_tool.lti.platforms import Clicks, Trouble, platform_of
from lti_tool.models import DRIFTS_OF_A_COLUMN, DRIFTS_OF_THE_COURSE, Column, Course, CourseBadge, Drift, Posting
from lti_tool.sentence import Sentence
from lti_tool.services import audit, versions
from lti_tool.services.tool import Tool
from lti_tool.services.words import decimal, name, said

OF_THE_COURSE = (AccessRefused, ScopeMissing, CourseConcluded)  # kept as its state, told to its instructor
WHEN_READING = tuple(kind for kind in DRIFTS_OF_THE_COURSE if kind not in ("scores_not_allowed", "source_refused"))
MOST_TOLD = 30  # past and present ones on a history page


@dataclass(frozen=True)
class Seen:
    """One thing that is not as it was set up, as a reading has found it."""

    kind: str
    course_badge_id: str = ""
    tag: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


# -- noticing ---------------------------------------------------------------------------------------------------


def keep(session: Session, course_id: int, kinds: Collection[str], seen: Iterable[Seen], now: datetime) -> None:
    """Begin what has been found, and end what of these kinds has not; the caller has locked the course."""
    open_ = {
        (row.course_badge_id, row.tag, row.kind): row
        for row in session.scalars(
            select(Drift).where(Drift.course_id == course_id, Drift.ended_at.is_(None), Drift.kind.in_(kinds))
        )
    }
    for each in seen:
        row = open_.pop((each.course_badge_id, each.tag, each.kind), None)
        if row is None:
            session.add(
                Drift(
                    course_id=course_id,
                    course_badge_id=each.course_badge_id,
                    tag=each.tag,
                    kind=each.kind,
                    detail=each.detail,
                    began_at=now,
                )
            )
        elif row.detail != each.detail:
            row.detail = each.detail
    for row in open_.values():
        row.ended_at = now
    session.flush()


def moved(session: Session, column: Column, now: datetime) -> None:
    """Go on with a column that has another address: made again, chosen by hand, or back. It may hold nothing of ours.

    What was posted into the one before is posted again, after a look at what the new one holds."""
    end(session, column, now)
    here = (Posting.course_badge_id == column.course_badge_id, Posting.tag == column.tag)
    if column.tag == EARNED:
        session.execute(delete(Posting).where(*here, Posting.points == "0"))
    nothing: dict[str, Any] = dict.fromkeys(
        f"{when}_{what}" for when in ("sent", "posted") for what in ("points", "comment", "at")
    )
    nothing |= dict.fromkeys(("found", "over", "reason", "retry_at"))
    session.execute(
        update(Posting)
        .where(*here, Posting.state.not_in(("kept", "left")))
        .values(state="due", tries=0, revision=Posting.revision + 1, **nothing)
    )


def end(session: Session, column: Column, now: datetime) -> None:
    """End everything that was said of a column: it is there, or there again."""
    column.maximum_now = column.maximum_accepted = column.asked_again_at = None
    session.execute(
        update(Drift)
        .where(Drift.course_badge_id == column.course_badge_id, Drift.tag == column.tag, Drift.ended_at.is_(None))
        .values(ended_at=now)
    )


def note_columns(
    session: Session, course: Course, items: Sequence[LineItem] | None, missing: Collection[int], at: datetime
) -> int:
    """Keep how the gradebook's columns are now: their names, their maxima, and which are gone; returns how many are.

    `items` are all that the tool sees, None where they were not told; `missing` the ids of columns that answered 404;
    `at` when the reading began. A name is just taken over: columns are found by their marks."""
    query = select(Column).join(CourseBadge).where(CourseBadge.course_id == course.id, CourseBadge.status == "active")
    seen, gone = [], 0
    for column in session.scalars(query.order_by(Column.id)):
        if column.created_at > at or (column.tag == EARNED and not column.course_badge.writes_earned):
            continue  # made or chosen while this reading was under way: it says nothing of it
        item = same_column(items, column.url) if items is not None else None
        if column.tag == EARNED and items is not None:
            column.state = "missing" if item is None else "bound"
        elif column.id in missing:
            column.state = "missing"
        if item is not None:
            _take_over(column, item)
        if column.state != "bound":
            gone += 1
        seen += _seen_of(session, column)
    kinds = ("column_missing", "maximum_changed")
    keep(session, course.id, kinds, seen, at)
    return gone


def _take_over(column: Column, item: LineItem) -> None:
    label = item.label[:LONGEST_LABEL]
    if label and label != column.label:
        column.label = label
    same = item.maximum == Decimal(column.score_maximum)
    now = None if same else number_text(item.maximum)
    if now != column.maximum_now:
        column.maximum_now = now
    if same and column.maximum_accepted is not None:
        column.maximum_accepted = None


def _seen_of(session: Session, column: Column) -> list[Seen]:
    found = []
    if column.state != "bound":
        found.append(Seen("column_missing", column.course_badge_id, column.tag, {"column": column.label}))
    elif column.maximum_now is not None and column.maximum_now != column.maximum_accepted:
        detail = {"column": column.label, "was": column.score_maximum, "now": column.maximum_now}
        found.append(Seen("maximum_changed", column.course_badge_id, column.tag, detail))
    # The column of a row that no version asks for any more may go.
    return found if found and (column.tag == EARNED or column.tag in _read(session, column.course_badge)) else []


def _read(session: Session, badge: CourseBadge) -> set[str]:
    """Return the tags of the columns that a badge's version in force, or an earlier one somebody is under, reads."""
    if badge.version is None:
        return set()
    earlier = {id(each): each for each in versions.definitions(session, badge).values()}
    in_use = [badge_from_content(badge.version.definition), *earlier.values()]
    return {wanted.tag for definition in in_use for wanted in wanted_columns(definition)}


def note_postings(session: Session, course_id: int, now: datetime) -> None:
    """Keep which columns take no scores, as the LMS said when one was posted: only then does it tell."""
    query = (
        select(Posting.course_badge_id, Posting.tag, Column.label)
        .join(CourseBadge, CourseBadge.id == Posting.course_badge_id)
        .join(Column, (Column.course_badge_id == Posting.course_badge_id) & (Column.tag == Posting.tag))
        .where(CourseBadge.course_id == course_id, Posting.state == "refused", Posting.reason == "unpublished")
        .distinct()
    )
    seen = [Seen("unpublished", badge, tag, {"column": label}) for badge, tag, label in session.execute(query)]
    keep(session, course_id, ("unpublished",), seen, now)


def note_error(session: Session, course: Course, error: ServiceError, now: datetime, *, posting: bool = False) -> None:
    """Keep that an LMS has refused a course, or the tool as a whole. Trouble that passes by itself is no state.

    `posting`: a score was refused, while grades may well be read."""
    if isinstance(error, TokenRefused):
        course.registration.problem = error.sentence
        keep(session, course.id, ("token_refused",), [Seen("token_refused")], now)
    elif posting and isinstance(error, AccessRefused | ScopeMissing):
        keep(session, course.id, ("scores_not_allowed",), [Seen("scores_not_allowed", detail=_detail(error))], now)
    elif isinstance(error, OF_THE_COURSE):
        concluded = isinstance(error, CourseConcluded)
        course.state = "concluded" if concluded else "attention"
        course.problem, course.problem_sentence = error.reason, error.told
        course.registration.problem = None  # the tool itself was let in, and this course was not
        kind = "course_concluded" if concluded else "scope_missing" if _is_scope(error) else "access_refused"
        keep(session, course.id, WHEN_READING, [Seen(kind, detail=_detail(error))], now)


def _is_scope(error: ServiceError) -> bool:
    return isinstance(error, ScopeMissing)


def _detail(error: ServiceError) -> dict[str, Any]:
    scope = error.scope if isinstance(error, ScopeMissing) else ""
    return {"reason": error.reason, **({"scope": scope} if scope else {})}


def note_read(session: Session, course: Course, now: datetime) -> None:
    """Keep that a course has been read: whatever kept the tool out is over.

    What could not be posted because the course had ended is due again with it."""
    if course.state != "ok":
        badges = select(CourseBadge.id).where(CourseBadge.course_id == course.id)
        session.execute(
            update(Posting)
            .where(Posting.course_badge_id.in_(badges), Posting.state == "refused")
            .where(Posting.reason == CourseConcluded.reason)
            .values(retry_at=now, tries=0)
        )
    course.state, course.problem, course.problem_sentence = "ok", None, None
    keep(session, course.id, WHEN_READING, (), now)


def note_sources(session: Session, course: Course, refused: ServiceError | None, now: datetime) -> None:
    """Keep whether a source beside the gradebook is refused; the gradebook itself was read."""
    seen = []
    if refused is not None:
        course.state, course.problem, course.problem_sentence = "attention", refused.reason, refused.told
        seen.append(Seen("source_refused", detail={"reason": refused.reason}))
    keep(session, course.id, ("source_refused",), seen, now)


def note_posted(session: Session, course_id: int, now: datetime) -> None:
    """Keep that a course's gradebook takes scores."""
    keep(session, course_id, ("scores_not_allowed",), (), now)


# -- mending ----------------------------------------------------------------------------------------------------


def accept_maximum(tool: Tool, course_id: int, slug: str, tag: str, *, seen: str, actor: str, now: datetime) -> None:
    """Call the maximum right that somebody has given a column in the gradebook: nothing more is said of it.

    `seen` is the one she looked at. Raises NotFound where it is as it was, Conflict where it is another by now."""
    with tool.db.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        query = select(Column).join(CourseBadge).where(CourseBadge.course_id == course.id, CourseBadge.slug == slug)
        column = session.scalar(query.where(Column.tag == tag))
        if column is None or column.maximum_now is None:
            raise NotFound(f"no other maximum in {tag}")
        if column.maximum_now != seen:
            raise Conflict(sentence=Sentence("The column has another maximum by now."))
        column.maximum_accepted = column.maximum_now
        session.execute(
            update(Drift)
            .where(Drift.course_badge_id == column.course_badge_id, Drift.tag == tag, Drift.ended_at.is_(None))
            .where(Drift.kind == "maximum_changed")
            .values(ended_at=now)
        )
        audit.record(
            session,
            now,
            actor,
            "badge.maximum_accepted",
            f"badge:{column.course_badge_id}",
            column=column.label,
            before=column.score_maximum,
            after=column.maximum_now,
        )


# -- telling ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DriftNote:
    """What a page says of one drift. `administrator`: the clicks are those of an LMS administrator, not a teacher's.

    `choices` are what can be done here: "make", "choose", "leave_out", "accept", "switch_off"."""

    kind: str
    slug: str  # of the badge, "" where it is of the whole course
    tag: str
    title: str
    text: str
    since: datetime
    clicks: Clicks = ()
    administrator: bool = False
    choices: tuple[str, ...] = ()
    asked_again: bool = False  # it is being made again
    maximum: str = ""  # the gradebook's now


def notes(session: Session, course: Course, badge: CourseBadge | None = None) -> tuple[DriftNote, ...]:
    """Return what is to be told of a course now, or of the course and one badge of it: the course's own first."""
    query = select(Drift).where(Drift.course_id == course.id, Drift.ended_at.is_(None))
    if badge is not None:
        query = query.where(Drift.course_badge_id.in_(("", badge.id)))
    kinds = (*DRIFTS_OF_THE_COURSE, *DRIFTS_OF_A_COLUMN)  # what weighs most first
    rows = sorted(session.scalars(query.order_by(Drift.id)), key=lambda row: kinds.index(row.kind))
    badges = {each.id: each for each in course.badges}
    return tuple(
        _note(row, course, badges.get(row.course_badge_id)) for row in rows if row.course_badge_id in {"", *badges}
    )


def _note(row: Drift, course: Course, badge: CourseBadge | None) -> DriftNote:
    platform = platform_of(course.registration.product)
    label = name(row.detail.get("column", ""))
    columns = {column.tag: column for column in badge.columns} if badge is not None else {}
    column = columns.get(row.tag)
    values: dict[str, Any] = {"kind": row.kind, "tag": row.tag, "since": row.began_at}
    values["slug"] = badge.slug if badge is not None else ""
    if row.kind == "column_missing":
        return DriftNote(
            **values,
            title=_("“%(column)s” is no longer in the gradebook.", column=label),
            text=_("It was deleted there, so nothing more is written back.")
            if row.tag == EARNED
            else _("It was deleted there. What was counted from it is kept, and nobody is awarded without it."),
            choices=("make", "switch_off") if row.tag == EARNED else ("make", "choose", "leave_out"),
            asked_again=column is not None and column.asked_again_at is not None,
        )
    if row.kind == "maximum_changed":
        was, now = row.detail["was"], row.detail["now"]
        return DriftNote(
            **values,
            title=_(
                "“%(column)s” now has %(now)s points in the gradebook, where it had %(was)s.",
                column=label,
                now=decimal(now),
                was=decimal(was),
            ),
            text=_meaning(badge, row.tag, was, now, said(platform.maximum_changed())),
            choices=("accept",) if Decimal(now) > 0 else (),
            maximum=now,
        )
    if row.kind == "unpublished":
        return DriftNote(
            **values,
            title=_(
                "“%(column)s” is not published in %(lms)s, so it takes no scores.",
                column=label,
                lms=said(platform.name),
            ),
            text=_("What waits for it is written there by itself once it is published."),
            clicks=platform.mend("unpublished"),
        )
    title, text = _of_the_course(row, course)
    if row.kind == "source_refused":  # its sentence says what to do, here or in the LMS
        return DriftNote(**values, title=title, text=text)
    trouble, administrator = mended_by(row.kind, row.detail)
    return DriftNote(**values, title=title, text=text, clicks=platform.mend(trouble), administrator=administrator)


def _of_the_course(row: Drift, course: Course) -> tuple[str, str]:
    if row.kind == "course_concluded":
        return _("This course has ended in your LMS, so its grades are not read any more."), _(
            "Badges that were awarded stay, and can be checked for ever. Should the course be opened "
            "again, press Sync now: reading starts anew."
        )
    if row.kind == "token_refused":
        return _("Your LMS does not let the tool in."), shut_out(course.registration.problem)
    if row.kind == "scores_not_allowed":
        return _("Scores cannot be written into the gradebook at the moment."), _(
            "The tool has not the permission to. What waits is kept here, and tried again by itself."
        )
    if row.kind == "source_refused":
        return _("Some grades cannot be read at the moment."), said(course.problem_sentence or "")
    return _("Grades cannot be read at the moment."), said(course.problem_sentence or "")


def shut_out(problem: str | None) -> str:
    """Return what to say below "does not let the tool in": what else is known of it, or what to do."""
    return said(problem if problem and problem != TokenRefused.sentence else TokenRefused.what_to_do)


def mended_by(kind: str, detail: dict[str, Any]) -> tuple[Trouble, bool]:
    """Return which clicks mend a drift of a course, and whether an administrator of the LMS makes them."""
    if kind == "course_concluded":
        return "concluded", False
    if kind == "token_refused" or detail.get("reason") == "key_switched_off":
        return "token", True
    if kind == "scores_not_allowed" or detail.get("scope") == SCORE:
        return "columns_write", True
    if kind == "scope_missing":
        return ("roster" if detail.get("scope") == MEMBERSHIPS_READ else "columns_read"), True
    return "course", False


def _meaning(badge: CourseBadge | None, tag: str, was: str, now: str, grades: str) -> str:
    """Say in words whether levels still mean the same: a score counts by its share of the maximum it was given on."""
    if Decimal(now) <= 0:
        return _("Nothing can be counted from a column without points. Give it points again in the gradebook.")
    if tag == EARNED:
        return _("Whoever has earned the badge gets all of its points. The course total may weigh it differently.")
    least = _least(badge_from_content(badge.version.definition), tag) if badge and badge.version else None
    if least is None:
        return _("Levels and conditions still mean the same share of the points. %(grades)s", grades=grades)
    level, share = least
    return _(
        "Levels still mean the same share of the points: “%(level)s” was reached with %(before)s of %(was)s, and "
        "is now with %(points)s of %(now)s. %(grades)s",
        level=level,
        before=_points(share * Fraction(Decimal(was))),
        was=decimal(was),
        points=_points(share * Fraction(Decimal(now))),
        now=decimal(now),
        grades=grades,
    )


def _points(points: Fraction) -> str:
    return decimal(number_text(round(Decimal(points.numerator) / Decimal(points.denominator), 2)))


def _least(definition: Badge, tag: str) -> tuple[str, Fraction] | None:
    """Return a row's required level and the share of the maximum that reaches it."""
    row = next((each for each in definition.sub_competencies if each.tag == tag), None)
    if row is None:
        return None
    return row.required_level, Fraction(row.levels[row.required_index].points) / Fraction(row.highest_points)


@dataclass(frozen=True)
class PastDrift:
    """One line of a badge's history. `ended_at` is None while it lasts."""

    what: str
    began_at: datetime
    ended_at: datetime | None


def history(session: Session, badge: CourseBadge) -> tuple[PastDrift, ...]:
    """Return what has happened to a badge's columns and its course in the LMS, newest first."""
    query = select(Drift).where(Drift.course_id == badge.course_id, Drift.course_badge_id.in_(("", badge.id)))
    rows = session.scalars(query.order_by(Drift.began_at.desc(), Drift.id.desc()).limit(MOST_TOLD))
    return tuple(PastDrift(_past(row), row.began_at, row.ended_at) for row in rows)


def _past(row: Drift) -> str:
    label = name(row.detail.get("column", ""))
    if row.kind == "maximum_changed":
        was, now = decimal(row.detail["was"]), decimal(row.detail["now"])
        return _("“%(column)s” had %(now)s points in the gradebook instead of %(was)s", column=label, now=now, was=was)
    return {
        "column_missing": _("“%(column)s” was not in the gradebook", column=label),
        "unpublished": _("“%(column)s” was not published", column=label),
        "course_concluded": _("The course had ended"),
        "token_refused": _("The LMS did not let the tool in"),
        "access_refused": _("The LMS did not let the tool read the course"),
        "source_refused": _("A rubric, course grade or file of the LMS could not be read"),
        "scope_missing": _("The tool lacked a permission to read the course"),
        "scores_not_allowed": _("The tool was not allowed to write scores"),
    }[row.kind]
