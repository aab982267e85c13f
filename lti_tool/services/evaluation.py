"""Stored results → standings → decisions, for every learner of a course badge, in one transaction."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from lti_tool.db import among, insert_rows
from lti_tool.domain.award import Hold, Issue, Nothing, Review, decide, is_earned, lowered, other_total
from lti_tool.domain.badge import TOTAL, Badge, Stack, SubCompetency, badge_from_content
from lti_tool.domain.mastery import FIELDS, Standing, choose, pass_gate, prerequisite, stand, with_evidence
from lti_tool.domain.scores import Reading, Score, Ungraded, read_back, read_result
from lti_tool.domain.stacks import Part, Tally
from lti_tool.domain.stacks import standings as part_standings
from lti_tool.grades.columns import EARNED, wanted_columns
from lti_tool.grades.source import wanted_sources
from lti_tool.lti.ags import exact
from lti_tool.models import (
    AchievementVersion,
    Award,
    Column,
    CourseBadge,
    Enrolment,
    Mastery,
    Person,
    Result,
    SourceAnswer,
    SourceLink,
    may_be_awarded,
)
from lti_tool.models import Review as ReviewRow
from lti_tool.sentence import Sentence
from lti_tool.services import awards, catalog, evidence, marking, prerequisites, sources, stacks, versions
from lti_tool.services.awards import STANDS_SINCE

Records = dict[str, dict[str, dict[str, Any]]]  # decision records by person id, then by tag
KEPT_BEFORE = 20  # earlier standings kept with each row, newest first
Stored = Select[str, str, str | None, datetime]  # tag, LTI `sub`, text as received, when
EVALUATOR = 2  # raised when the rules of domain/ change, so that every badge is looked at again
BATCH = 2000  # learners who are judged at a time: a class of 100,000 never lies in memory whole
_FIELDS_OF = attrgetter(*FIELDS)
# Made once: making one takes longer than reading an answer.
_EXACT = json.JSONDecoder(parse_float=exact, parse_int=exact)


class Received:
    """One stored answer: its text as received, and when it came. No dataclass: a class of 2,000 has 8,000 of them."""

    __slots__ = ("_values", "at", "raw")

    def __init__(self, raw: str | None, at: datetime) -> None:
        self.raw, self.at = raw, at
        self._values: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any] | None:
        """What it says, every fraction exact; None where it is gone."""
        if self._values is None and self.raw is not None:
            self._values = _EXACT.decode(self.raw)
        return self._values

    @property
    def released(self) -> bool:
        """False where the LMS says that the learner cannot see this grade yet; the gradebook service never does."""
        values = self.values or {}
        return values.get("released") is not False or values.get("resultScore") is None


class Learner(NamedTuple):
    """Whose grades count, and whose the award will be: another's where an administrator has linked the two."""

    person_id: str
    sub: str
    holder_id: str


@dataclass(frozen=True)
class Inputs:
    """Everything that levels and decisions of one course badge depend on, and nothing of what they came to before.

    `results` are by (tag, LTI `sub`), and so is what other sources than the gradebook told (`answers`); `answered_by`
    names which source that was, by tag, so that what one told is not taken for another's. `marks`, who made them
    (`makers`) and `evidence` are by (person id, tag). `earlier` names those who are judged by an earlier version than
    the badge's present one."""

    learners: Sequence[Learner]
    results: Mapping[tuple[str, str], Received]
    answers: Mapping[tuple[str, str], Received]
    answered_by: Mapping[str, str]
    marks: Mapping[tuple[str, str], Score]
    makers: Mapping[tuple[str, str], Mapping[str, str]]
    evidence: AbstractSet[tuple[str, str]]
    held: prerequisites.Held
    parts: stacks.Earned
    earlier: Mapping[str, AchievementVersion]


class Judge:
    """One definition as it is applied to a class: a score that many have is worked out once.

    `version` is the number that its records carry."""

    def __init__(self, definition: Badge, version: int = 0) -> None:
        self.definition, self.version = definition, version
        self.reads = {column.tag for column in wanted_columns(definition)}
        self.elsewhere = {each.tag: each.source for each in wanted_sources(definition)}
        self._rows = [(row.tag, row, partial(stand, row)) for row in definition.sub_competencies]
        self._marked_here = definition.marked_here
        self._known: dict[tuple[str, Reading], Standing] = {}
        self._records: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._tallies: dict[str, Tally] = {}

    def standings(self, learner: Learner, inputs: Inputs) -> list[Standing]:
        """Return where a learner stands: rows or parts, gates, badges to be earned first, in the badge's order."""
        definition = self.definition
        rows = [self._row(tag, row, judge, learner, inputs) for tag, row, judge in self._rows]
        if definition.stack is not None:
            rows += stacks.standings_of(definition.stack, self._tally(definition.stack, learner, inputs), inputs.parts)
        for gate in definition.gates:
            reading = self._result(inputs, gate.tag, learner)
            rows.append(self._once(gate.tag, reading, partial(pass_gate, gate)))
        for slug in definition.prerequisites:
            in_force = (learner.holder_id, slug) in inputs.held.pairs
            rows.append(prerequisite(slug, inputs.held.names.get(slug, slug), in_force=in_force))
        return rows

    def _tally(self, stack: Stack, learner: Learner, inputs: Inputs) -> Tally:
        if learner.holder_id not in self._tallies:
            self._tallies[learner.holder_id] = stacks.tally_of(stack, learner.holder_id, inputs.parts)
        return self._tallies[learner.holder_id]

    def part(self, tag: str, learner: Learner, inputs: Inputs) -> dict[str, Any]:
        """Return what a record keeps of a part that counts; nothing of any other row."""
        stack = self.definition.stack
        if stack is None or tag not in stack.tags:
            return {}
        return stacks.record_of(self._tally(stack, learner, inputs), tag)

    def _row(
        self, tag: str, row: SubCompetency, judge: Callable[[Reading], Standing], learner: Learner, inputs: Inputs
    ) -> Standing:
        mark = inputs.marks.get((learner.person_id, tag)) if inputs.marks else None
        if self._marked_here:
            reading: Reading = mark or Ungraded()
        else:
            reading = self._result(inputs, tag, learner)
            if row.source == "rubric":
                reading = read_back(reading, mark)
        standing = self._once(tag, reading, judge)
        if row.evidence != "required":
            return standing
        return with_evidence(standing, there=(learner.person_id, tag) in inputs.evidence)

    def record(
        self, standing: Standing, learner: Learner, inputs: Inputs, column: str, links: Mapping[str, SourceLink]
    ) -> dict[str, Any]:
        """Return the decision record of a row; where many have the same, it is one object for all of them."""
        tag = standing.tag
        received, maker = self.received(tag, learner, inputs), self.maker(tag, learner, inputs)
        stack = self.definition.stack
        if maker or tag in self.elsewhere or (stack is not None and tag in stack.tags):
            record = _record(standing, received, column, self.version, maker)
            return record | origin(self, links, tag, received) | self.part(tag, learner, inputs)
        key = (standing, column, *((received.at, _graded_at(received)) if received else ()))
        if key not in self._records:
            if len(self._records) > BATCH:  # Moodle tells when each was graded, so that few are the same
                self._records.clear()
            self._records[key] = _record(standing, received, column, self.version)
        return self._records[key]

    def received(self, tag: str, learner: Learner, inputs: Inputs) -> Received | None:
        """Return what was received for a row from where this definition says that its grades come from."""
        if tag not in self.elsewhere:
            return inputs.results.get((tag, learner.sub))
        return inputs.answers.get((tag, learner.sub)) if inputs.answered_by.get(tag) == self.elsewhere[tag] else None

    def unreleased(self, learner: Learner, inputs: Inputs) -> bool:
        """Tell whether a grade that counts here is one the LMS does not show to the learner yet."""
        return any(
            received is not None and not received.released
            for received in (self.received(tag, learner, inputs) for tag in self.elsewhere)
        )

    def _result(self, inputs: Inputs, tag: str, learner: Learner) -> Reading:
        received = self.received(tag, learner, inputs)
        return read_result(received.values if received else None)

    def maker(self, tag: str, learner: Learner, inputs: Inputs) -> Mapping[str, str] | None:
        """Return who marked what counts in a row, and when; None where it was not marked here."""
        if not inputs.marks:
            return None
        key = (learner.person_id, tag)
        mark = inputs.marks.get(key)
        if mark is None:
            return None
        if not self._marked_here and read_back(self._result(inputs, tag, learner), mark) is not mark:
            return None
        return inputs.makers.get(key)

    def _once(self, tag: str, reading: Reading, judge: Callable[[Reading], Standing]) -> Standing:
        key = (tag, reading)
        if key not in self._known:
            self._known[key] = judge(reading)
        return self._known[key]

    def other_total(self, learner: Learner, inputs: Inputs) -> Sentence | None:
        """Say that the gradebook's one column was changed, see `domain.award.other_total`.

        A result that is older than the newest mark has not been posted yet, and is no change."""
        if self.definition.columns != "total":
            return None
        keys = [(learner.person_id, row.tag) for row in self.definition.sub_competencies]
        given = [inputs.marks[key] for key in keys if key in inputs.marks]
        marked_at = max((inputs.makers[key]["at"] for key in keys if key in inputs.makers), default="")
        received = inputs.results.get((TOTAL, learner.sub))
        if not given or received is None or (marked_at and received.at < datetime.fromisoformat(marked_at)):
            return None
        most = sum((Fraction(row.highest_points) for row in self.definition.sub_competencies), Fraction(0))
        marked = Score(sum((mark.points for mark in given), Fraction(0)), most)
        return other_total(marked, self._result(inputs, TOTAL, learner))


def gather(
    session: Session,
    badge: CourseBadge,
    definitions: Iterable[Badge],
    now: datetime,
    marks: Mapping[tuple[str, str], Score] | None = None,
) -> Inputs:
    """Read what these definitions need to judge a course badge's learners. `marks`: those to use instead of stored."""
    return _with_received(session, badge, _besides_results(session, badge, definitions, now, marks))


def _besides_results(
    session: Session,
    badge: CourseBadge,
    definitions: Iterable[Badge],
    now: datetime,
    marks: Mapping[tuple[str, str], Score] | None,
) -> Inputs:
    definitions = list(definitions)
    asked = {slug for definition in definitions for slug in definition.prerequisites}
    proven = any(row.evidence == "required" for each in definitions for row in each.sub_competencies)
    made = marking.marks_of(session, badge.id) if marks is None else {}
    return Inputs(
        learners=_learners(session, badge.course_id),
        results={},
        answers={},
        answered_by={tag: link.source for tag, link in sources.links_of(session, badge).items()},
        marks={key: mark for key, (mark, _) in made.items()} if marks is None else marks,
        makers={key: maker for key, (_, maker) in made.items()},
        evidence=evidence.handed_in(session, badge.id) if proven else frozenset(),
        held=prerequisites.held(session, badge.course_id, asked, now),
        parts=stacks.earned(session, badge, definitions, now),
        earlier=versions.earlier(session, badge),
    )


def evaluate(
    session: Session, badge: CourseBadge, now: datetime, marks: Mapping[tuple[str, str], Score] | None = None
) -> dict[str, int]:
    """Bring standings and awards of one course badge up to its stored results; returns what it did, counted.

    Costs a few queries where nothing has changed since the last time."""
    if badge.version is None or badge.status != "active":
        return {}
    judges = Judges(badge.version)
    earlier = versions.earlier(session, badge)
    judged_by = {badge.version, *earlier.values(), *_awarded_under(session, badge)}
    definitions = [judges.of(version).definition for version in sorted(judged_by, key=lambda version: version.id)]
    everybody = _besides_results(session, badge, definitions, now, marks)
    others = elsewhere(session, badge, judges.of(badge.version).definition, everybody)
    everybody = dataclasses.replace(everybody, learners=[*everybody.learners, *others])
    seen = _digest(session, badge, everybody, now)
    if seen == badge.evaluated:
        return {"unchanged": 1}
    counts = {"standings": 0, "awards": 0, "reviews": 0, "restored": 0}
    for inputs in _batches(session, badge, everybody):
        standings = {
            learner.person_id: judges.of(earlier.get(learner.person_id, badge.version)).standings(learner, inputs)
            for learner in inputs.learners
        }
        stored, records = _store_standings(session, badge, judges, inputs, standings, now)
        counts["standings"] += stored
        for name, count in _store_decisions(session, badge, judges, inputs, standings, records, now).items():
            counts[name] += count
    badge.evaluated = seen
    return counts


def _awarded_under(session: Session, badge: CourseBadge) -> list[AchievementVersion]:
    """Return the versions by which awards that were given here are still looked at."""
    given = select(Award.version_id).where(Award.course_badge_id == badge.id, Award.live).distinct()
    return list(session.scalars(select(AchievementVersion).where(AchievementVersion.id.in_(given))))


def elsewhere(session: Session, badge: CourseBadge, definition: Badge, inputs: Inputs) -> list[Learner]:
    """Return who is judged without being in the course: see `services.stacks`."""
    here = {learner.holder_id for learner in inputs.learners}
    found = stacks.others(session, badge, definition)
    return [Learner(person, sub, person) for person, sub in found if person not in here]


def _batches(session: Session, badge: CourseBadge, inputs: Inputs) -> Iterator[Inputs]:
    """Yield the same for some learners at a time, with their results; people who were linked stay together."""
    learners = sorted(inputs.learners, key=lambda learner: (learner.holder_id, learner.person_id))
    for start in range(0, len(learners), BATCH):
        some = learners[start : start + BATCH]
        subs = None if len(some) == len(learners) else [learner.sub for learner in some]
        yield _with_received(session, badge, dataclasses.replace(inputs, learners=some), subs)


class Judges:
    """The judge of each version that has a say, the present one's first."""

    def __init__(self, present: AchievementVersion) -> None:
        self.present = present
        self._by_version: dict[AchievementVersion, Judge] = {}

    def of(self, version: AchievementVersion) -> Judge:
        judge = self._by_version.get(version)
        if judge is None:
            judge = Judge(badge_from_content(version.definition), version.number)
            self._by_version[version] = judge
        return judge


def _learners(session: Session, course_id: int) -> list[Learner]:
    # Columns, not objects: a class of a thousand is read each time somebody looks at what a change would do.
    query = (
        select(Person.id, Person.sub, Person.same_as_id, Enrolment.roster_role, Enrolment.launch_role, Person.test_user)
        .join(Enrolment, Enrolment.person_id == Person.id)
        .where(Enrolment.course_id == course_id, Enrolment.active, ~Person.disabled)
    )
    rows = session.execute(query)
    return [
        Learner(p, sub, same_as or p)
        for p, sub, same_as, roster, launch, test_user in rows
        if may_be_awarded(roster, launch, test_user)
    ]


def _results_queries(session: Session, badge: CourseBadge) -> list[tuple[str, datetime | None, Any]]:
    """Return of each column its tag, when it was last read, and a query for its results; one for all would be sorted
    first."""
    of_badge = Column.course_badge_id == badge.id
    query = select(Result.user_sub, Result.raw, Result.received_at).order_by(Result.user_sub)
    columns = session.execute(select(Column.id, Column.tag, Column.read_at).where(of_badge).order_by(Column.id))
    return [(tag, read_at, query.where(Result.column_id == column_id)) for column_id, tag, read_at in columns]


def _answers_query(badge: CourseBadge) -> Stored:
    query = select(SourceAnswer.tag, SourceAnswer.user_sub, SourceAnswer.raw, SourceAnswer.received_at)
    query = query.where(SourceAnswer.course_badge_id == badge.id)
    return query.order_by(SourceAnswer.tag, SourceAnswer.user_sub)


def _with_received(session: Session, badge: CourseBadge, inputs: Inputs, subs: Collection[str] | None = None) -> Inputs:
    """Return the same with the stored answers of everybody, or of those with these LTI `sub`s."""
    results: dict[tuple[str, str], Received] = {}
    for tag, _, query in _results_queries(session, badge):
        of_some = query if subs is None else query.where(among(Result.user_sub, subs))
        results |= {(tag, sub): Received(raw, at) for sub, raw, at in session.execute(of_some)}
    answers = _answers_query(badge)
    if subs is not None:
        answers = answers.where(among(SourceAnswer.user_sub, subs))
    told = {(tag, sub): Received(raw, at) for tag, sub, raw, at in session.execute(answers)}
    return dataclasses.replace(inputs, results=results, answers=told)


def _digest(session: Session, badge: CourseBadge, inputs: Inputs, now: datetime) -> str:
    """Return a digest of everything the evaluation depends on, in little more time than the people take.

    Results are not read for it: each that a reading of their column changes is received at its time, so their number
    and the newest time tell of any change up to it. Those that were read back since are looked at one by one."""
    digest = hashlib.sha256(f"{EVALUATOR} {badge.version_id} {catalog.released(badge, now)}".encode())
    digest.update(json.dumps([(c.tag, c.state) for c in badge.columns if c.tag != EARNED]).encode())
    earlier = {person_id: version.id for person_id, version in inputs.earlier.items()}
    people = sorted([(each.person_id, each.holder_id, earlier.get(each.person_id, "")) for each in inputs.learners])
    digest.update("".join([f"{person} {holder} {version}\n" for person, holder, version in people]).encode())
    for tag, read_at, query in _results_queries(session, badge):
        of_column = query.with_only_columns(Result.user_sub, Result.raw)
        if read_at is not None:
            until = query.order_by(None).where(Result.received_at <= read_at)
            count, newest = session.execute(until.with_only_columns(func.count(), func.max(Result.received_at))).one()
            digest.update(f"{tag} {count} {newest}\n".encode())
            of_column = of_column.where(Result.received_at > read_at)
        for rows in session.execute(of_column.execution_options(yield_per=BATCH)).partitions():
            digest.update("".join([f"{tag}\0{sub}\0{raw}\n" for sub, raw in rows]).encode())
    digest.update(b"\0")
    answers = _answers_query(badge).with_only_columns(SourceAnswer.tag, SourceAnswer.user_sub, SourceAnswer.raw)
    for rows in session.execute(answers.execution_options(yield_per=BATCH)).partitions():
        digest.update("".join([f"{tag}\0{sub}\0{raw}\n" for tag, sub, raw in rows]).encode())
    digest.update(b"\0")
    for (person_id, tag), mark in sorted(inputs.marks.items()):
        maker = inputs.makers.get((person_id, tag))
        digest.update(f"{person_id} {tag} {mark.points} {mark.maximum} {maker}\n".encode())
    digest.update(repr((sorted(inputs.answered_by.items()), sorted(inputs.evidence))).encode())
    digest.update(repr((sorted(inputs.held.names.items()), sorted(inputs.held.pairs))).encode())
    digest.update(inputs.parts.told().encode())
    return digest.hexdigest()


# -- standings --------------------------------------------------------------------------------------------------


def _store_standings(
    session: Session,
    badge: CourseBadge,
    judges: Judges,
    inputs: Inputs,
    standings: dict[str, list[Standing]],
    now: datetime,
) -> tuple[int, Records]:
    """Store what has changed; returns how many rows, and every record as it stands in the table now."""
    query = select(Mastery.person_id, Mastery.tag, Mastery.record, Mastery.before, Mastery.decided_at)
    query = query.where(Mastery.course_badge_id == badge.id, among(Mastery.person_id, standings))
    known = {(person_id, tag): (record, before, at) for person_id, tag, record, before, at in session.execute(query)}
    begun = _begun(session, badge, standings, known)
    labels = {column.tag: column.label for column in badge.columns}
    links = sources.links_of(session, badge)
    badge_id = badge.id
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    none_before: list[Any] = []  # the same for all: it is written once
    records: Records = {}
    for learner in inputs.learners:
        judge = judges.of(inputs.earlier.get(learner.person_id, judges.present))
        of_learner = records[learner.person_id] = {}
        for standing in standings[learner.person_id]:
            record = judge.record(standing, learner, inputs, labels.get(standing.tag, ""), links)
            key = (learner.person_id, standing.tag)
            of_learner[standing.tag] = record
            row = {
                "course_badge_id": badge_id,
                "person_id": learner.person_id,
                "tag": standing.tag,
                "level": standing.level,
                "met": standing.met,
                "record": record,
                "decided_at": now,
            }
            if key not in known:
                since = begun.awarded.get(learner.person_id)
                if since is None and not record["score"]:
                    since = begun.known.get(learner.person_id)
                if since is not None:
                    row["record"] = of_learner[standing.tag] = {**record, STANDS_SINCE: since.isoformat()}
                fresh.append({**row, "before": none_before})
            elif _substance(known[key][0]) != _substance(record):
                old, before, at = known[key]
                if _graded(old) == _graded(record):
                    since = old.get(STANDS_SINCE) or at.isoformat()
                    row["record"] = of_learner[standing.tag] = {**record, STANDS_SINCE: since}
                kept = ("reached", "required", "state", "version", "released")
                was = {**{k: old[k] for k in kept if k in old}, "until": at.isoformat()}
                changed.append({**row, "before": [was, *before][:KEPT_BEFORE]})
            else:
                of_learner[standing.tag] = known[key][0]
    insert_rows(session, Mastery, fresh)
    if changed:
        session.execute(update(Mastery), changed)
    return len(fresh) + len(changed), records


def _record(
    standing: Standing, received: Received | None, column: str, version: int, maker: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the decision record of one row: where the score came from, who marked it here, and what it came to."""
    return {
        **dict(zip(FIELDS, _FIELDS_OF(standing), strict=True)),  # dataclasses.asdict copies every word
        "column": column,
        "graded_at": _graded_at(received) if received else None,
        "received_at": received.at.isoformat() if received else None,
        "version": version,
        **({"marked": dict(maker)} if maker else {}),
    }


def _graded_at(received: Received) -> str | None:
    graded_at = (received.values or {}).get("timestamp")  # Moodle tells it, Canvas does not
    return graded_at if isinstance(graded_at, str) else None


def origin(judge: Judge, links: Mapping[str, SourceLink], tag: str, received: Received | None) -> dict[str, Any]:
    """Return what a record keeps of a row that is not read from the gradebook: the source, and what the LMS said of it.

    `by` is an LTI `sub` where the grader has one. `released` is there only where the LMS holds the grade back."""
    if tag not in judge.elsewhere:
        return {}
    values = (received.values if received else None) or {}
    told = {key: values[name] for key, name in TOLD.items() if isinstance(values.get(name), str) and values[name]}
    link = links.get(tag)
    return {
        "column": "",
        "source": judge.elsewhere[tag],
        "from": link.title if link is not None and link.source == judge.elsewhere[tag] else "",
        **told,
        **({"released": False} if received is not None and not received.released else {}),
    }


TOLD = {"by": "gradedBy", "graded_at": "gradedAt", "their_level": "level", "comment": "comment"}


def chosen_record(standing: Standing, version: int) -> dict[str, Any]:
    """Return the decision record of a row whose level a person chose; `source` says so."""
    return {**_record(standing, None, "", version), "source": "hand"}


def records_at_required(definition: Badge) -> dict[str, dict[str, Any]]:
    """Return the records of somebody who stands exactly at each required level, by tag: an example, nobody's."""
    rows = [choose(row, row.required_index) for row in definition.sub_competencies]
    if definition.stack is not None:
        counted = Tally(tuple(Part(slug, datetime.min) for slug in definition.stack.members), Decimal(0), 0, {})
        rows += part_standings(definition.stack, counted, {}, {})
    return {standing.tag: chosen_record(standing, 0) for standing in rows}


NO_SUBSTANCE = ("received_at", "graded_at", "column", "marked", "by", "from", "comment", "their_level", STANDS_SINCE)


def _substance(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in NO_SUBSTANCE}


def _graded(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the grade in a record: a score, or which badge counts. What a definition makes of it is none."""
    if record["score"]:
        return record["score"], record["maximum"]
    return record["state"], record["level"], record.get("part")


class _Begun(NamedTuple):
    """Since when something is known of people, by person id.

    `known`: since their first row was written. `awarded`: of those without a row who were awarded here, since then:
    what was known of them was deleted, so that reading it once more tells of no new grade."""

    known: Mapping[str, datetime]
    awarded: Mapping[str, datetime]


def _begun(
    session: Session,
    badge: CourseBadge,
    person_ids: Iterable[str],
    rows: Mapping[tuple[str, str], tuple[Any, Any, datetime]],
) -> _Begun:
    known: dict[str, datetime] = {}
    for (person_id, _), (*_, at) in rows.items():
        known[person_id] = min(known.get(person_id, at), at)
    strangers = [person_id for person_id in person_ids if person_id not in known]
    if not strangers:
        return _Begun(known, {})
    earner = func.coalesce(Award.earned_as_id, Award.person_id)
    query = select(earner, Award.earned_at).where(Award.course_badge_id == badge.id, among(earner, strangers))
    return _Begun(known, dict(session.execute(query.order_by(Award.earned_at)).all()))


# -- decisions --------------------------------------------------------------------------------------------------


def _store_decisions(
    session: Session,
    badge: CourseBadge,
    judges: Judges,
    inputs: Inputs,
    standings: dict[str, list[Standing]],
    records: Records,
    now: datetime,
) -> dict[str, int]:
    gone = {column.tag for column in badge.columns if column.state != "bound"}
    newest: dict[AchievementVersion, tuple[dict[str, Award], set[str]]] = {}
    holders = {learner.holder_id for learner in inputs.learners}
    released = catalog.released(badge, now)
    earned: list[tuple[Learner, Judge, AchievementVersion, dict[str, Any]]] = []
    reviews = restored = 0
    for learner in inputs.learners:
        version = inputs.earlier.get(learner.person_id, judges.present)
        judge = judges.of(version)
        # A column that is gone says nothing: nobody is awarded, and nobody's award is doubted, until it is back (F18).
        # The column of a row that this version no longer has may go.
        if gone & judge.reads:
            continue
        if version not in newest:
            newest[version] = _newest_awards(session, badge, version, judge.definition, holders, now)
        of_holders, regraded = newest[version]
        award = None if learner.person_id in regraded else of_holders.get(learner.holder_id)
        rows = standings[learner.person_id]
        judged_by = judge
        if award is not None and award.version_id != version.id:
            # G15: an award is only doubted by the rules it was given under, rows that have been dropped since included.
            judged_by = judges.of(award.version)
            rows = judged_by.standings(learner, inputs)
        if award is None and not is_earned(judged_by.definition, rows):
            continue  # what she has to wait for is told where somebody asks
        shown = released and not judged_by.unreleased(learner, inputs)
        decision = decide(judged_by.definition, rows, awarded=award.status if award else None, released=shown)
        if award is not None and isinstance(decision, Nothing) and award.status != "revoked":
            # The one column of the whole badge is only a record: a change in it is looked at, and changes no level.
            other = judged_by.other_total(learner, inputs)
            decision = Review(other) if other else decision
        if isinstance(decision, Issue | Hold):
            status = decision.status if isinstance(decision, Hold) else "pending"
            row = {
                "achievement_id": version.achievement_id,
                "version_id": version.id,
                "course_badge_id": badge.id,
                "course_id": badge.course_id,
                "person_id": learner.holder_id,
                "earned_as_id": learner.person_id if learner.person_id != learner.holder_id else None,
                "scope": awards.scope_of(judge.definition, badge.course_id),
                "status": status,
                "earned_at": now,
            }
            earned.append((learner, judge, version, row))
        elif award is None or award.course_badge_id != badge.id or _earned_as(award) != learner.person_id:
            continue  # an award is doubted by the grades it was given for, and by no others
        elif award.given != "grades":
            continue  # nor is one that a person gave, on evidence of another kind
        elif _forgotten(award, records[learner.person_id]):
            continue
        elif isinstance(decision, Review):
            reviews += _open_review(session, award, decision.sentence, now)
        elif award.live and (lower := lowered({row["tag"]: row for row in award.decision["rows"]}, rows)):
            reviews += _open_review(session, award, lower, now)
        else:
            restored += _settle_review(session, award, now)
    given = awards.give(session, _with_decisions(session, earned, records, now), now)
    return {"awards": given, "reviews": reviews, "restored": restored}


def _with_decisions(
    session: Session,
    earned: Sequence[tuple[Learner, Judge, AchievementVersion, dict[str, Any]]],
    records: Records,
    now: datetime,
) -> list[dict[str, Any]]:
    """Return the awards that were earned with the record each freezes, as it stands in the table now."""
    wanted = []
    for learner, judge, version, row in earned:
        rows = records[learner.person_id]
        decision = awards.decision_record(judge.definition, version.number, rows, now)
        wanted.append({**row, "decision": stacks.freeze(session, decision)})
    return wanted


def _forgotten(award: Award, records: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether a mark that an award was given for has been deleted here: that it is gone doubts nothing."""
    for row in award.decision["rows"]:
        record = records.get(row["tag"], {})
        since = record.get(STANDS_SINCE)
        gone = record.get("state") == "ungraded" and row.get("state") != "ungraded"
        if gone and since and datetime.fromisoformat(since) <= award.earned_at:
            return True
    return False


def _earned_as(award: Award) -> str:
    return award.earned_as_id or award.person_id


def _newest_awards(
    session: Session,
    badge: CourseBadge,
    version: AchievementVersion,
    definition: Badge,
    holders: AbstractSet[str],
    now: datetime,
) -> tuple[dict[str, Award], set[str]]:
    """Return the newest award of each that still speaks, by `Person.holder_id`: live, or revoked by somebody.

    One that has expired makes room, but only for a learner whose grades have changed since: the old ones were spent on
    it. Those are named too, by person id: of two ids that were linked, it may be either."""
    query = (
        select(Award)
        .where(Award.achievement_id == version.achievement_id, awards.stand_against(definition, badge.course_id))
        .where(Award.status != "superseded", among(Award.person_id, holders))
        .order_by(Award.live, Award.earned_at)
    )
    newest: dict[str, Award] = {}
    for award in session.scalars(query):
        newest[award.person_id] = award
    regraded: set[str] = set()
    for award in newest.values():
        if (over := award.expires_at) is not None and awards.shown_status(award, now) == "expired":
            award.live = False
            written = select(Mastery.person_id, Mastery.record).join(Person, Person.id == Mastery.person_id)
            hers = func.coalesce(Person.same_as_id, Person.id) == award.person_id
            since = (Mastery.course_badge_id == badge.id, Mastery.decided_at > over)
            for person_id, record in session.execute(written.where(hers, *since)):
                if STANDS_SINCE not in record or datetime.fromisoformat(record[STANDS_SINCE]) > over:
                    regraded.add(person_id)
    session.flush()
    return newest, regraded


def counted_now(session: Session, award: Award, now: datetime) -> dict[str, dict[str, Any]]:
    """Return what counts now for an award, by the rules it was given under: the rows of its decision record, by tag.

    The stored results are read anew: the standings that pages show are those of the version in force."""
    badge = award.course_badge
    judge = Judge(badge_from_content(award.version.definition), award.version.number)
    inputs = gather(session, badge, [judge.definition], now)
    earner = Learner(award.earner.id, award.earner.sub, award.person_id)
    labels = {column.tag: column.label for column in badge.columns}
    links = sources.links_of(session, badge)
    found = {}
    for standing in judge.standings(earner, inputs):
        found[standing.tag] = judge.record(standing, earner, inputs, labels.get(standing.tag, ""), links)
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
