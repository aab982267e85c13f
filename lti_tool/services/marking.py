"""The rubric marked here: what is stored when somebody marks, and what is then to be in the gradebook.

Nothing here calls an LMS: a mark and the posting it asks for are one transaction; `services.posting` does the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.domain.badge import Badge, SubCompetency, number_text
from lti_tool.domain.scores import Score, same_score
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.grades import rubric
from lti_tool.grades.columns import EARNED
from lti_tool.lti.ags import RawResult, exact
from lti_tool.models import Column, CourseBadge, Enrolment, Mark, Person, Posting, Result
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, work
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation

TOTAL = "total"  # the tag of the one column of a badge with columns = "total"
LONGEST_COMMENT = 2_000  # characters
LONGEST_TOTAL_COMMENT = 4_000
OPEN = ("due", "sent")  # on its way


@dataclass(frozen=True)
class Wish:
    """What somebody marks in one row. `revision` is the mark's as she saw it, 0 where there was none.

    `level` is an index from the lowest; None takes a mark back, or leaves a comment alone."""

    tag: str
    level: int | None
    comment: str
    revision: int


@dataclass(frozen=True)
class Overtaken:
    """A mark that somebody else has changed since it was looked at: hers stands, and nothing was stored."""

    tag: str
    by: str
    at: datetime
    level: int | None
    comment: str
    revision: int


@dataclass(frozen=True)
class Saved:
    """`job_id` is for the caller to wake, 0 where nothing is to be done."""

    job_id: int
    stored: tuple[str, ...]  # tags
    overtaken: tuple[Overtaken, ...]


# -- what others read -------------------------------------------------------------------------------------------


def marks_of(session: Session, course_badge_id: str) -> dict[tuple[str, str], tuple[Score, dict[str, str]]]:
    """Return what was marked here, by (person id, tag): points of the highest level's points when it was marked, and
    who made the mark and when, as a decision record keeps it."""
    query = select(Mark.person_id, Mark.tag, Mark.points, Mark.maximum, Mark.marked_by, Mark.marked_at)
    query = query.where(Mark.course_badge_id == course_badge_id, Mark.points.is_not(None))
    return {
        (person_id, tag): (score_of(points, maximum), {"by": by, "at": at.isoformat()})
        for person_id, tag, points, maximum, by, at in session.execute(query.order_by(Mark.person_id, Mark.tag))
        if points is not None and maximum is not None
    }


def score_of(points: str, maximum: str) -> Score:
    return Score(Fraction(Decimal(points)), Fraction(Decimal(maximum)))


def known_score(points: str | None, maximum: str) -> Score | None:
    return None if points is None else score_of(points, maximum)


def marked_rows(definition: Badge) -> tuple[SubCompetency, ...]:
    """Return the rows of a badge that are marked here."""
    return tuple(row for row in definition.sub_competencies if row.source == "rubric")


def learners(session: Session, course_id: int) -> list[Person]:
    """Return those of a course who may be awarded, by name: they, and nobody else, are marked."""
    query = (
        select(Enrolment)
        .join(Enrolment.person)
        .where(Enrolment.course_id == course_id, Enrolment.active, ~Person.disabled)
    )
    people = [enrolment.person for enrolment in session.scalars(query) if enrolment.is_learner]
    return sorted(people, key=lambda person: (collation(person.name), person.sub))


def learner(session: Session, course_id: int, person_id: str) -> Person:
    """Return somebody who may be marked in this course; raises NotFound for anybody else."""
    enrolment = session.get(Enrolment, (course_id, person_id))
    if enrolment is None or not enrolment.active or enrolment.person.disabled or not enrolment.is_learner:
        raise NotFound(f"person {person_id} is no learner of course {course_id}")
    return enrolment.person


# -- marking ----------------------------------------------------------------------------------------------------


def save(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    wishes: Sequence[Wish],
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
) -> Saved:
    """Store marks, each unless somebody else has changed it since; what is to be posted is written down with them.

    `version` is the badge's as she saw it: another one's levels would be other ones. Raises NotFound for a badge or a
    person that is not marked here, BadInput for what cannot be stored, Conflict for another version."""
    return repeat_collided(lambda: _save(tool, course_id, slug, person_id, wishes, actor, now, version))


def _save(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    wishes: Sequence[Wish],
    actor: str,
    now: datetime,
    version: int | None,
) -> Saved:
    with tool.db.write() as session:
        badge, definition = open_badge(session, course_id, slug)
        if version is not None and badge.version is not None and badge.version.number != version:
            raise Conflict(
                sentence=Sentence("The rubric was changed while this page was open, so this was not stored."),
                what_to_do=Sentence("Load the page again and look at the levels as they are now."),
            )
        # One at a time for each learner: of two who mark different rows at one moment on PostgreSQL, neither would see
        # the other's, and a total of both would never be asked for. The person and not the enrolment, since whoever
        # erases her holds that row first too.
        session.get(Person, person_id, with_for_update={"key_share": True})
        person = learner(session, course_id, person_id)
        rows = {row.tag: row for row in marked_rows(definition)}
        stored, overtaken = [], []
        for wish in wishes:
            if wish.tag not in rows:
                raise NotFound(f"{wish.tag} is not marked here")
            row = rows[wish.tag]
            if wish.level is not None and not 0 <= wish.level < len(row.levels):
                raise BadInput(f"no level {wish.level} in {wish.tag}")
            if len(wish.comment) > LONGEST_COMMENT:
                raise BadInput(
                    f"a comment of {len(wish.comment)} characters",
                    sentence=Sentence(
                        "The comment on “%(name)s” is longer than %(longest)s characters.",
                        name=row.name,
                        longest=LONGEST_COMMENT,
                    ),
                    what_to_do=Sentence("Shorten it: nothing of it is lost until then."),
                )
            other = _store(session, badge, person, row, wish, actor, now)
            if other is not None:
                overtaken.append(other)
            else:
                stored.append(wish.tag)
        session.flush()
        _ask_for_postings(session, badge, definition, person_id, stored)
        job_id = work.request_in(session, "post", str(course_id), now, again=True) if stored else 0
        return Saved(job_id, tuple(stored), tuple(overtaken))


def open_badge(session: Session, course_id: int, slug: str) -> tuple[CourseBadge, Badge]:
    """Return a badge that can be marked now, with its definition; raises NotFound, or Conflict for one that is over."""
    badge = catalog.get_badge(session, course_id, slug)
    if badge.version is None:
        raise NotFound(f"badge {slug} is not published")
    if badge.status == "retired":
        raise Conflict(sentence=Sentence("This badge is retired, so it is not marked any more."), what_to_do="")
    definition = catalog.definition_of(badge)
    if not marked_rows(definition):
        raise NotFound(f"nothing of {slug} is marked here")
    return badge, definition


def _store(
    session: Session, badge: CourseBadge, person: Person, row: SubCompetency, wish: Wish, actor: str, now: datetime
) -> Overtaken | None:
    """Store one mark; return the other's where somebody was quicker. Two who want the same are of one mind."""
    values = _values(row, wish.level)
    known = session.get(Mark, (badge.id, person.id, row.tag), populate_existing=True)
    if known is None:
        if wish.revision:
            raise Conflict(f"no mark with revision {wish.revision}")
        if wish.level is None and not wish.comment:
            return None
        mark = Mark(course_badge_id=badge.id, person_id=person.id, tag=row.tag, marked_by=actor, marked_at=now)
        mark.level, mark.points, mark.maximum, mark.comment = *values, wish.comment
        session.add(mark)
        session.flush()  # a mark made at the same moment is in the way here, and the whole is done again
        _audit(session, badge, person, row, None, "", mark, actor, now)
        return None
    if (known.level, known.comment) == (wish.level, wish.comment):
        return None
    if known.revision != wish.revision:
        return overtaken_by(session, known)
    before, comment = known.level, known.comment
    taken = session.execute(
        update(Mark)
        .where(Mark.course_badge_id == badge.id, Mark.person_id == person.id, Mark.tag == row.tag)
        .where(Mark.revision == wish.revision)
        .values(
            level=values[0],
            points=values[1],
            maximum=values[2],
            comment=wish.comment,
            marked_by=actor,
            marked_at=now,
            revision=wish.revision + 1,
        )
        .returning(Mark.revision)
    ).one_or_none()
    session.refresh(known)
    if taken is None:
        return overtaken_by(session, known)
    _audit(session, badge, person, row, before, comment, known, actor, now)
    return None


def _values(row: SubCompetency, level: int | None) -> tuple[int | None, str | None, str | None]:
    if level is None:
        return None, None, None
    return level, number_text(row.levels[level].points), number_text(row.highest_points)


def overtaken_by(session: Session, mark: Mark) -> Overtaken:
    return Overtaken(
        mark.tag, name_of(session, mark.marked_by), mark.marked_at, mark.level, mark.comment, mark.revision
    )


def name_of(session: Session, actor: str) -> str:
    """Return the name behind an actor of the audit log, empty where there is none."""
    kind, _, ident = actor.partition(":")
    person = session.get(Person, ident) if kind == "person" else None
    return person.called if person is not None else ""


def _audit(
    session: Session,
    badge: CourseBadge,
    person: Person,
    row: SubCompetency,
    before: int | None,
    comment_before: str,
    mark: Mark,
    actor: str,
    now: datetime,
) -> None:
    """Leave who marked whom, in what, from which level to which; of a comment only that it changed."""

    def word(level: int | None) -> str | None:
        return row.levels[level].name if level is not None and level < len(row.levels) else None

    audit.record(
        session,
        now,
        actor,
        "mark.set" if mark.level is not None else "mark.taken_back",
        f"badge:{badge.id}",
        learner=person.id,
        row=row.code,
        before=word(before),
        after=word(mark.level),
        comment_changed=mark.comment != comment_before,
    )


# -- what is to be posted ---------------------------------------------------------------------------------------


def _ask_for_postings(
    session: Session, badge: CourseBadge, definition: Badge, person_id: str, tags: Sequence[str]
) -> None:
    """Write down what the cells of one learner are to hold after these rows were marked."""
    if not tags or definition.columns == "none":
        return
    marks = {
        mark.tag: mark
        for mark in session.scalars(
            select(Mark)
            .where(Mark.course_badge_id == badge.id, Mark.person_id == person_id)
            .execution_options(populate_existing=True)
        )
    }
    if definition.columns == TOTAL:
        _want(session, badge.id, person_id, TOTAL, *_total(definition, marks))
        return
    for tag in tags:
        mark = marks.get(tag)
        if mark is not None:
            _want(session, badge.id, person_id, tag, mark.points, mark.maximum, mark.comment)


def _total(definition: Badge, marks: Mapping[str, Mark]) -> tuple[str | None, str, str]:
    """Return the total's points (None until every row is marked), its maximum, and the comments as one."""
    rows = definition.sub_competencies
    maximum = number_text(sum((row.highest_points for row in rows), Decimal(0)))
    done = [marks[row.tag] for row in rows if row.tag in marks and marks[row.tag].points is not None]
    comment = rubric.total_comment(
        [(row.name, marks[row.tag].comment) for row in rows if row.tag in marks], LONGEST_TOTAL_COMMENT
    )
    if len(done) < len(rows):
        return None, maximum, comment
    # Each row's share of its highest points, should a version have changed them since it was marked.
    total = sum(
        (
            score_of(mark.points or "0", mark.maximum or "1").share * Fraction(row.highest_points)
            for row, mark in zip(rows, done, strict=True)
        ),
        Fraction(0),
    )
    return number_text(total), maximum, comment


def _want(
    session: Session,
    course_badge_id: str,
    person_id: str,
    tag: str,
    points: str | None,
    maximum: str | None,
    comment: str,
) -> None:
    posting = session.get(Posting, (course_badge_id, person_id, tag), with_for_update=True, populate_existing=True)
    if points is None or maximum is None:
        if posting is None:
            return
        if posting.sent_points is None and posting.found is None:
            session.delete(posting)
        elif posting.state != "left":  # AGS could only erase the grade, and that is a teacher's to do
            renew(posting, "left")
        return
    if posting is None:
        session.add(
            Posting(
                course_badge_id=course_badge_id,
                person_id=person_id,
                tag=tag,
                points=points,
                maximum=maximum,
                comment=comment,
            )
        )
        return
    if (posting.points, posting.maximum, posting.comment) == (points, maximum, comment) and posting.state != "left":
        return
    posting.points, posting.maximum, posting.comment = points, maximum, comment
    renew(posting, "due")


def renew(posting: Posting, state: str) -> None:
    """Let a posting begin anew in this state: an answer to what was wanted before settles nothing."""
    posting.state, posting.revision = state, posting.revision + 1
    posting.found = posting.over = posting.reason = posting.retry_at = None
    posting.tries = 0


# -- where the gradebook holds something else -------------------------------------------------------------------


def seen(found: Mapping[str, Any]) -> str:
    """Return what a form says of the grade somebody looked at when she chose, so that another one is not replaced."""
    return hashlib.sha256(json.dumps(dict(found), sort_keys=True).encode()).hexdigest()[:16]


def held_instead(session: Session, posting: Posting) -> dict[str, Any] | None:
    """Return what the gradebook holds in place of a posting: found at posting, or read by a later sync.

    None where it holds what was posted, or nothing is known."""
    if posting.state not in ("posted", "kept"):
        return posting.found
    row = session.execute(
        select(Result.raw, Result.user_sub)
        .join(Column, Column.id == Result.column_id)
        .join(Person, Person.sub == Result.user_sub)
        .where(Column.course_badge_id == posting.course_badge_id, Column.tag == posting.tag)
        .where(Person.id == posting.person_id)
    ).one_or_none()
    return held_by(posting, row.raw, row.user_sub) if row is not None else posting.found


def held_by(posting: Posting, raw: str | None, user_sub: str) -> dict[str, Any] | None:
    """Do as `held_instead` with the answer that a sync has stored."""
    there = rubric.Found()
    if raw is not None:
        there = rubric.found(RawResult(user_sub, raw, json.loads(raw, parse_float=exact, parse_int=exact)))
    reading = there.reading
    if isinstance(reading, Score) and same_score(reading, score_of(posting.points, posting.maximum)):
        return None
    return there.record()


def choose(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    tag: str,
    choice: str,
    *,
    seen_as: str,
    actor: str,
    now: datetime,
) -> int:
    """Keep the gradebook's grade, or replace it with the mark, as a person has chosen; returns a job to wake, or 0.

    Raises Conflict where the gradebook holds another grade by now than the one she saw."""
    return repeat_collided(lambda: _choose(tool, course_id, slug, person_id, tag, choice, seen_as, actor, now))


def _choose(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    tag: str,
    choice: str,
    seen_as: str,
    actor: str,
    now: datetime,
) -> int:
    with tool.db.write() as session:
        badge, _ = open_badge(session, course_id, slug)
        learner(session, course_id, person_id)
        posting = session.get(Posting, (badge.id, person_id, tag), with_for_update=True)
        if posting is None or tag == EARNED or choice not in ("keep", "replace"):
            raise NotFound(f"nothing to choose for {tag}")
        return choose_between(session, badge, posting, choice, seen_as, actor, now)


def choose_between(
    session: Session, badge: CourseBadge, posting: Posting, choice: str, seen_as: str, actor: str, now: datetime
) -> int:
    """Keep what the gradebook holds in a cell, or replace it; returns a job to wake, or 0. The row is locked."""
    held = held_instead(session, posting)
    if posting.state not in ("conflict", "posted", "kept", "refused") or held is None or seen(held) != seen_as:
        raise Conflict(sentence=Sentence("The gradebook holds another grade by now."))
    renew(posting, "kept" if choice == "keep" else "due")
    posting.found = held if choice == "keep" else None
    posting.over = held if choice == "replace" else None
    ours = f"{posting.points} of {posting.maximum}"
    theirs = f"{held['points']} of {held['maximum']}" if held["points"] is not None else None
    before, after = (ours, theirs) if choice == "keep" else (theirs, ours)
    action = "mark.gradebook_kept" if choice == "keep" else "mark.gradebook_replaced"
    detail = {"learner": posting.person_id, "row": posting.tag, "before": before, "after": after}
    audit.record(session, now, actor, action, f"badge:{badge.id}", **detail)
    return work.request_in(session, "post", str(badge.course_id), now, again=True) if choice == "replace" else 0


def try_again(tool: Tool, course_id: int, slug: str, person_id: str | None, *, actor: str, now: datetime) -> int:
    """Make what the gradebook refused due again, of one learner or of all; returns a job to wake, or 0."""
    return repeat_collided(lambda: _try_again(tool, course_id, slug, person_id, actor, now))


def _try_again(tool: Tool, course_id: int, slug: str, person_id: str | None, actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        badge, _ = open_badge(session, course_id, slug)
        refused = update(Posting).where(Posting.course_badge_id == badge.id, Posting.state == "refused")
        refused = refused.where(Posting.tag != EARNED)
        if person_id is not None:
            refused = refused.where(Posting.person_id == person_id)
        done = session.execute(
            refused.values(state="due", tries=0, retry_at=None, revision=Posting.revision + 1).returning(Posting.tag)
        ).all()
        if not done:
            return 0
        audit.record(session, now, actor, "mark.posted_again", f"badge:{badge.id}", learner=person_id, cells=len(done))
        return work.request_in(session, "post", str(course_id), now, again=True)
