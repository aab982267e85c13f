"""Stored results → standings → decisions, for every learner of a course badge, in one transaction."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session, contains_eager

from lti_tool.domain.award import Hold, Issue, Review, decide, lowered
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.mastery import Standing, choose, pass_gate, stand
from lti_tool.domain.scores import Reading, Score, read_result, same_score
from lti_tool.models import Award, Column, CourseBadge, Enrolment, Mastery, Person, Result
from lti_tool.models import Review as ReviewRow
from lti_tool.services import awards, catalog, marking

KEPT_BEFORE = 20  # earlier standings kept with each row, newest first
EVALUATOR = 1  # raised when the rules of domain/ change, so that every badge is looked at again


@dataclass(frozen=True)
class Received:
    """One stored answer: the result as values, and when it came."""

    values: dict[str, Any] | None
    at: datetime


Marks = dict[tuple[str, str], tuple[Score, dict[str, str]]]  # of the tool's own: services.marking.marks_and_makers


@dataclass(frozen=True)
class Learner:
    """Whose grades count, and whose the award will be: another's where an administrator has linked the two."""

    person_id: str
    sub: str
    holder_id: str


def evaluate(session: Session, badge: CourseBadge, now: datetime) -> dict[str, int]:
    """Bring standings and awards of one course badge up to its stored results; returns what it did, counted.

    Costs one query where nothing has changed since the last time."""
    definition = badge_from_content(badge.version.definition) if badge.version else None
    if definition is None or badge.status != "active":
        return {}
    learners = _learners(session, badge.course_id)
    rows = list(session.execute(_results_query(badge)))
    marks = marking.marks_and_makers(session, badge.id)
    seen = _digest(badge, learners, rows, marks, now)
    if seen == badge.evaluated:
        return {"unchanged": 1}
    results: dict[tuple[str, str], Received] = {
        (tag, sub): Received(_values(raw), received_at) for tag, sub, raw, received_at in rows
    }
    standings = {learner.person_id: _standings(definition, learner, results, marks) for learner in learners}
    changed = _store_standings(session, badge, definition, learners, standings, results, marks, now)
    counts = _store_decisions(session, badge, definition, learners, standings, results, marks, now)
    badge.evaluated = seen
    return {"standings": changed, **counts}


def _learners(session: Session, course_id: int) -> list[Learner]:
    enrolments = session.scalars(
        select(Enrolment)
        .join(Enrolment.person)
        .where(Enrolment.course_id == course_id, Enrolment.active, ~Person.disabled)
        .options(contains_eager(Enrolment.person))
    )
    return [Learner(e.person_id, e.person.sub, e.person.holder_id) for e in enrolments if e.is_learner]


def _results_query(badge: CourseBadge) -> Any:
    return (
        select(Column.tag, Result.user_sub, Result.raw, Result.received_at)
        .join(Column, Column.id == Result.column_id)
        .where(Column.course_badge_id == badge.id)
        .order_by(Result.column_id, Result.user_sub)
    )


def _values(raw: str | None) -> dict[str, Any] | None:
    return None if raw is None else json.loads(raw, parse_float=Decimal)


def _digest(badge: CourseBadge, learners: Sequence[Learner], rows: Iterable[Any], marks: Marks, now: datetime) -> str:
    """Return a digest of everything the evaluation depends on."""
    digest = hashlib.sha256(f"{EVALUATOR} {badge.version_id} {catalog.released(badge, now)}".encode())
    digest.update(json.dumps([(c.tag, c.state) for c in badge.columns]).encode())
    for learner in sorted(learners, key=lambda each: each.person_id):
        digest.update(f"{learner.person_id} {learner.holder_id}\n".encode())
    for tag, sub, raw, _ in rows:
        digest.update(f"{tag}\0{sub}\0{raw}\n".encode())
    for (person_id, tag), (score, maker) in marks.items():
        digest.update(f"{person_id}\0{tag}\0{score}\0{maker}\n".encode())
    return digest.hexdigest()


def _standings(
    definition: Badge, learner: Learner, results: dict[tuple[str, str], Received], marks: Marks
) -> list[Standing]:
    def reading(tag: str) -> Reading:
        received = results.get((tag, learner.sub))
        result = read_result(received.values if received else None)
        mark = _counted_mark(definition, learner, tag, result, marks)
        return result if mark is None else mark[0]

    rows = [stand(row, reading(row.tag)) for row in definition.sub_competencies]
    return rows + [pass_gate(gate, reading(gate.tag)) for gate in definition.gates]


def _counted_mark(
    definition: Badge, learner: Learner, tag: str, result: Reading, marks: Marks
) -> tuple[Score, dict[str, str]] | None:
    """Return the tool's own mark where it is what counts, exact as it was given, with who made it.

    Where each row has a column, the column is the record: its answer counts, also against the mark. A gradebook that
    rounds what was posted keeps the marked level."""
    mark = marks.get((learner.person_id, tag))
    if mark is None or definition.columns != "each":
        return mark
    return mark if isinstance(result, Score) and same_score(result, mark[0]) else None


# -- standings --------------------------------------------------------------------------------------------------


def _store_standings(
    session: Session,
    badge: CourseBadge,
    definition: Badge,
    learners: Sequence[Learner],
    standings: dict[str, list[Standing]],
    results: dict[tuple[str, str], Received],
    marks: Marks,
    now: datetime,
) -> int:
    query = select(Mastery.person_id, Mastery.tag, Mastery.record, Mastery.before, Mastery.decided_at)
    known = {
        (person_id, tag): (record, before, at)
        for person_id, tag, record, before, at in session.execute(query.where(Mastery.course_badge_id == badge.id))
    }
    labels = {column.tag: column.label for column in badge.columns}
    version = badge.version.number if badge.version else 0
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for learner in learners:
        for standing in standings[learner.person_id]:
            received = results.get((standing.tag, learner.sub))
            maker = _maker(definition, learner, standing.tag, received, marks)
            record = _record(standing, received, labels.get(standing.tag, ""), version, maker)
            key = (learner.person_id, standing.tag)
            row = {
                "course_badge_id": badge.id,
                "person_id": learner.person_id,
                "tag": standing.tag,
                "level": standing.level,
                "met": standing.met,
                "record": record,
                "decided_at": now,
            }
            if key not in known:
                fresh.append({**row, "before": []})
            elif _substance(known[key][0]) != _substance(record):
                old, before, at = known[key]
                earlier = {**{k: old[k] for k in ("reached", "required", "state", "version")}, "until": at.isoformat()}
                changed.append({**row, "before": [earlier, *before][:KEPT_BEFORE]})
    if fresh:
        session.execute(insert(Mastery), fresh)
    if changed:
        session.execute(update(Mastery), changed)
    return len(fresh) + len(changed)


def _maker(
    definition: Badge, learner: Learner, tag: str, received: Received | None, marks: Marks
) -> dict[str, str] | None:
    """Return who marked what counts in a row, None where it was not marked here."""
    mark = _counted_mark(definition, learner, tag, read_result(received.values if received else None), marks)
    return mark[1] if mark else None


def _record(
    standing: Standing, received: Received | None, column: str, version: int, maker: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the decision record of one row: where the score came from, who marked it here, and what it came to."""
    values = (received.values if received else None) or {}
    graded_at = values.get("timestamp")  # Moodle tells it, Canvas does not
    return {
        **dataclasses.asdict(standing),
        "column": column,
        "graded_at": graded_at if isinstance(graded_at, str) else None,
        "received_at": received.at.isoformat() if received else None,
        "version": version,
        **({"marked": maker} if maker else {}),
    }


def chosen_record(standing: Standing, version: int) -> dict[str, Any]:
    """Return the decision record of a row whose level a person chose; `source` says so."""
    return {**_record(standing, None, "", version), "source": "hand"}


def records_at_required(definition: Badge) -> dict[str, dict[str, Any]]:
    """Return the records of somebody who stands exactly at each required level, by tag: an example, nobody's."""
    rows = [choose(row, row.required_index) for row in definition.sub_competencies]
    return {standing.tag: chosen_record(standing, 0) for standing in rows}


def _substance(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("received_at", "graded_at", "column", "marked")}


# -- decisions --------------------------------------------------------------------------------------------------


def _store_decisions(
    session: Session,
    badge: CourseBadge,
    definition: Badge,
    learners: Sequence[Learner],
    standings: dict[str, list[Standing]],
    results: dict[tuple[str, str], Received],
    marks: Marks,
    now: datetime,
) -> dict[str, int]:
    if badge.version is None:
        raise ValueError("only a published badge is evaluated")
    # A column that is gone says nothing: nobody is awarded, and nobody's award is doubted, until it is back (F18).
    # The column of a row that this version no longer has may go.
    read = {row.tag for row in definition.sub_competencies} | {gate.tag for gate in definition.gates}
    if any(column.state != "bound" and column.tag in read for column in badge.columns):
        return {"awards": 0, "reviews": 0}
    scope = awards.scope_of(definition, badge.course_id)
    newest = _newest_awards(session, badge, scope, now)
    records = _records(session, badge)
    released = catalog.released(badge, now)
    wanted: list[dict[str, Any]] = []
    reviews = restored = 0
    for learner in learners:
        award = newest.get(learner.holder_id)
        rows = standings[learner.person_id]
        judged_by = definition
        if award is not None and award.version_id != badge.version_id:
            # G15: an award is only doubted by the rules it was given under, rows that have been dropped since included.
            judged_by = badge_from_content(award.version.definition)
            rows = _standings(judged_by, learner, results, marks)
        decision = decide(judged_by, rows, awarded=award.status if award else None, released=released)
        if isinstance(decision, Issue | Hold):
            status = decision.status if isinstance(decision, Hold) else "pending"
            rows_now = records.get(learner.person_id, {})
            wanted.append(
                {
                    "achievement_id": badge.version.achievement_id,
                    "version_id": badge.version_id,
                    "course_badge_id": badge.id,
                    "course_id": badge.course_id,
                    "person_id": learner.holder_id,
                    "earned_as_id": learner.person_id if learner.person_id != learner.holder_id else None,
                    "scope": scope,
                    "status": status,
                    "decision": awards.decision_record(definition, badge.version.number, rows_now, now),
                    "earned_at": now,
                }
            )
        elif award is None or award.course_badge_id != badge.id or _earned_as(award) != learner.person_id:
            continue  # an award is doubted by the grades it was given for, and by no others
        elif award.given != "grades":
            continue  # nor is one that a person gave, on evidence of another kind
        elif isinstance(decision, Review):
            reviews += _open_review(session, award, decision.sentence, now)
        elif award.live and (lower := lowered({row["tag"]: row for row in award.decision["rows"]}, rows)):
            reviews += _open_review(session, award, lower, now)
        else:
            restored += _settle_review(session, award, now)
    given = awards.give(session, wanted, now)
    return {"awards": given, "reviews": reviews, "restored": restored}


def _earned_as(award: Award) -> str:
    return award.earned_as_id or award.person_id


def _newest_awards(session: Session, badge: CourseBadge, scope: str, now: datetime) -> dict[str, Award]:
    """Return each person's newest award that still speaks, by `Person.holder_id`: live, or revoked by somebody.

    One that has expired makes room, but only where a grade has changed since: the old ones were spent on it."""
    if badge.version is None:
        return {}
    query = (
        select(Award)
        .where(Award.achievement_id == badge.version.achievement_id, Award.scope == scope)
        .where(Award.status != "superseded")
        .order_by(Award.earned_at)
    )
    newest: dict[str, Award] = {}
    for award in session.scalars(query):
        newest[award.person_id] = award
    expired = [a for a in newest.values() if a.status == "issued" and a.expires_at and a.expires_at <= now]
    for award in expired:
        regraded = session.scalar(
            select(Mastery.tag)
            .where(Mastery.course_badge_id == badge.id, Mastery.person_id == _earned_as(award))
            .where(Mastery.decided_at > award.expires_at)
            .limit(1)
        )
        award.live = False
        if regraded:
            del newest[award.person_id]
    session.flush()
    return newest


def _records(session: Session, badge: CourseBadge) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    query = select(Mastery.person_id, Mastery.tag, Mastery.record).where(Mastery.course_badge_id == badge.id)
    for person_id, tag, record in session.execute(query):
        found.setdefault(person_id, {})[tag] = record
    return found


def counted_now(session: Session, award: Award) -> dict[str, dict[str, Any]]:
    """Return what counts now for an award, by the rules it was given under: the rows of its decision record, by tag.

    The stored results are read anew: the standings that pages show are those of the version in force."""
    badge = award.course_badge
    definition = badge_from_content(award.version.definition)
    earner = Learner(award.earner.id, award.earner.sub, award.person_id)
    results: dict[tuple[str, str], Received] = {
        (tag, sub): Received(_values(raw), received_at)
        for tag, sub, raw, received_at in session.execute(_results_query(badge).where(Result.user_sub == earner.sub))
    }
    marks = marking.marks_and_makers(session, badge.id)
    labels = {column.tag: column.label for column in badge.columns}
    found = {}
    for standing in _standings(definition, earner, results, marks):
        received = results.get((standing.tag, earner.sub))
        maker = _maker(definition, earner, standing.tag, received, marks)
        found[standing.tag] = _record(standing, received, labels.get(standing.tag, ""), award.version.number, maker)
    return found


def _open_review(session: Session, award: Award, reason: str, now: datetime) -> int:
    # One that is open says what is so now: a level may have fallen further since, or be back in part.
    opened = session.execute(
        update(ReviewRow)
        .where(ReviewRow.award_id == award.id, ReviewRow.resolved_at.is_(None))
        .values(reason=reason)
        .returning(ReviewRow.id)
    )
    if opened.all():
        return 0
    kept = session.scalar(
        select(ReviewRow.reason)
        .where(ReviewRow.award_id == award.id, ReviewRow.resolution == "kept")
        .order_by(ReviewRow.id.desc())
        .limit(1)
    )
    if kept == reason:
        return 0  # a person has already looked at exactly this
    session.add(ReviewRow(award_id=award.id, reason=reason, opened_at=now))
    return 1


def _settle_review(session: Session, award: Award, now: datetime) -> int:
    settled = session.execute(
        update(ReviewRow)
        .where(ReviewRow.award_id == award.id, ReviewRow.resolved_at.is_(None))
        .values(resolved_at=now, resolution="restored")
        .returning(ReviewRow.id)
    )
    return len(settled.all())
