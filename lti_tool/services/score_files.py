"""Grades from a file: read and shown first, each line that cannot be taken with its reason; taken as it was shown.

What is taken replaces what an earlier file said of the same learner and row; an empty cell says "not graded". Who is
not in the file keeps what she has, unless the instructor says otherwise."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from lti_tool import sheets
from lti_tool.db import repeat_collided
from lti_tool.domain.badge import Badge, Gate, number_text
from lti_tool.domain.scores import Score, read_result
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.grades import csv
from lti_tool.grades.csv import Target
from lti_tool.grades.source import CSV
from lti_tool.models import CourseBadge, Person, SourceAnswer, SourceFile, SourceLink
from lti_tool.sentence import Sentence, counted, kept, read
from lti_tool.services import audit, by_hand, catalog, work
from lti_tool.services.launches import LaunchSession
from lti_tool.services.named import Named
from lti_tool.services.tool import Tool
from lti_tool.services.words import said

MOST_LINES = 5000
LARGEST = 2_000_000  # bytes
KEPT = timedelta(days=1)
MOST_SHOWN = 200  # lines that can be taken, on the page


# -- the page before a file -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileRow:
    """A row or gate that reads from a file, and what the last file said of it."""

    code: str
    name: str
    needs: str
    answers: int
    taken_at: datetime | None
    title: str


@dataclass(frozen=True)
class ScoresPage:
    badge: Badge
    slug: str
    status: str
    rows: tuple[FileRow, ...]
    learners: int


def targets_of(definition: Badge) -> tuple[Target, ...]:
    """Return the rows and gates of a badge that read from a file, in its order."""
    rows: tuple[Target, ...] = () if definition.marked_here else definition.sub_competencies
    return tuple(each for each in (*rows, *definition.gates) if each.source == CSV)


def page(tool: Tool, who: LaunchSession, slug: str, now: datetime) -> ScoresPage:
    """Return what a badge reads from files. Raises NotFound."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        links = {
            link.tag: link for link in session.scalars(select(SourceLink).where(SourceLink.course_badge_id == badge.id))
        }
        query = select(SourceAnswer.tag, func.count()).where(
            SourceAnswer.course_badge_id == badge.id, SourceAnswer.raw.is_not(None)
        )
        answers = dict(session.execute(query.group_by(SourceAnswer.tag)).all())
        rows = []
        for target in targets_of(definition):
            link = links.get(target.tag)
            from_file = link is not None and link.source == CSV
            rows.append(
                FileRow(
                    code=target.code,
                    name=target.name,
                    needs=_needs(target),
                    answers=answers.get(target.tag, 0) if from_file else 0,
                    taken_at=link.confirmed_at if link is not None and from_file else None,
                    title=link.title if link is not None and from_file else "",
                )
            )
        open_now = badge.version is not None and badge.status == "active"
        learners = len(_able(by_hand.candidates(session, badge, now))) if open_now else 0
        return ScoresPage(definition, slug, badge.status, tuple(rows), learners)


def _needs(target: Target) -> str:
    """Say what may stand in a cell."""
    if not isinstance(target, Gate):
        return Sentence(
            "%(levels)s, or points up to %(most)s",
            levels=[level.name for level in target.levels],
            most=number_text(target.highest_points),
        )
    if target.kind == "letter":
        return Sentence("%(letters)s, or per cent", letters=[letter for letter, _ in target.scale])
    if target.kind == "percent":
        return Sentence("Per cent")
    if target.kind == "pass":
        return Sentence("yes or no")
    return Sentence("Points up to %(most)s", most=number_text(target.maximum))


def template(tool: Tool, who: LaunchSession, slug: str, now: datetime) -> str:
    """Return the class as a table to fill in: who, a column for each row, and what the last file said."""
    with tool.db.read() as session:
        badge = by_hand.open_badge(session, _course_id(who), slug)
        targets = targets_of(catalog.definition_of(badge))
        people = _able(by_hand.candidates(session, badge, now))
        answers = {(tag, sub): raw for tag, sub, raw in _answers(session, badge.id, [each.tag for each in targets])}
    with_sis = any(each.sis_id for each in people)
    # Read again by `csv.recognise`, whatever the language of who downloads it: its headings are always these.
    head = [
        "User ID",
        *(["SIS User ID"] if with_sis else []),
        "Name",
        "Email",
        *(f"{t.code} {t.name}" for t in targets),
    ]
    rows = [
        [
            each.sub,
            *([each.sis_id] if with_sis else []),
            each.name,
            each.email,
            *(_written(target, answers.get((target.tag, each.sub))) for target in targets),
        ]
        for each in people
    ]
    return sheets.write_csv([head, *rows])


def _written(target: Target, raw: str | None) -> str:
    values = json.loads(raw, parse_float=Decimal) if raw else {}
    reading = read_result(values)
    if not isinstance(reading, Score):
        return ""
    return csv.cell_of(target, reading.points, reading.maximum, str(values.get("level", "")))


def _able(people: Iterable[by_hand.Candidate]) -> list[by_hand.Candidate]:
    return [each for each in people if each.why in ("", "has")]


def _answers(session: Session, badge_id: str, tags: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """Return what earlier files said, by tag and LTI `sub`; what another source said of a row is not among it."""
    query = (
        select(SourceAnswer.tag, SourceAnswer.user_sub, SourceAnswer.raw)
        .join(
            SourceLink,
            (SourceLink.course_badge_id == SourceAnswer.course_badge_id) & (SourceLink.tag == SourceAnswer.tag),
        )
        .where(SourceAnswer.course_badge_id == badge_id, SourceAnswer.tag.in_(tags), SourceLink.source == CSV)
    )
    return [(tag, sub, raw) for tag, sub, raw in session.execute(query)]


def _course_id(who: LaunchSession) -> int:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    return who.course_id


# -- reading a file ---------------------------------------------------------------------------------------------


def put(tool: Tool, who: LaunchSession, slug: str, content: bytes, *, name: str, now: datetime) -> str:
    """Read a file and keep what it says for a day; returns its id. Nothing is taken yet.

    Raises BadInput for a file that is no table, says of nobody who it is, or has no column for a row."""
    if len(content) > LARGEST:
        raise BadInput(
            sentence=Sentence("This file is larger than a table of grades can be."),
            what_to_do=Sentence("Leave out what is not needed, or send it in parts."),
        )
    lines = sheets.read(content)
    if not lines:
        raise BadInput(sentence=Sentence("There is nothing in this file."))
    if len(lines) - 1 > MOST_LINES:
        raise BadInput(sentence=Sentence("A file may have %(num)s lines. Send it in parts.", num=MOST_LINES))
    with tool.db.read() as session:  # and read outside of any transaction that writes: others wait for those
        badge = by_hand.open_badge(session, _course_id(who), slug)
        badge_id, version_id = badge.id, badge.version_id
        targets = {each.tag: each for each in targets_of(catalog.definition_of(badge))}
        people = Named(by_hand.candidates(session, badge, now))
    if not targets:
        raise _none_wanted()
    table = csv.recognise(lines, list(targets.values()))
    good, problems = _read_lines(table, targets, people)
    with tool.db.write() as session:
        forget_old(session, now)
        row = SourceFile(
            course_badge_id=badge_id,
            version_id=version_id,
            person_id=who.person_id,
            name=" ".join("".join(each for each in name if each.isprintable()).split())[:120],
            heads=[dataclasses.asdict(each) for each in table.headings],
            unused=list(table.unused),
            lines=good,
            problems=problems,
            created_at=now,
        )
        session.add(row)
        session.flush()
        return row.id


def _none_wanted() -> Conflict:
    return Conflict(
        sentence=Sentence("No row of this badge reads its grades from a file."),
        what_to_do=Sentence("Choose “I upload a file” for a row in the editor, and publish the change."),
    )


def _read_lines(
    table: csv.Table, targets: Mapping[str, Target], people: Named
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    good: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    first_at: dict[str, int] = {}
    for line in table.lines:
        told = csv.said_of(line, table)
        found, why, by = people.find(told)
        if found is not None and not why and found.why in ("role", "gone", "test", "disabled"):
            why = found.why
        if found is not None and not why and found.sub in first_at:
            why = "twice"
        if found is None or why:
            named = found.name if found is not None else told.get(by, "") or next(filter(None, told.values()), "")
            first = first_at.get(found.sub, 0) if found is not None else 0
            problems.append({"line": line.number, "why": kept(_why(why, named[:80], first))})
            continue
        first_at[found.sub] = line.number
        answers, bad = csv.answers(line, table, targets)
        problems += [{"line": line.number, "sub": found.sub, "name": found.name, "why": kept(each)} for each in bad]
        if answers:
            good.append(
                {"line": line.number, "sub": found.sub, "person": found.person_id, "by": by, "answers": answers}
            )
    return good, problems


def _why(why: str, who: str, first: int) -> Sentence:
    """Say what is wrong with a line."""
    return {
        "nobody": Sentence("It does not say who."),
        "unknown": Sentence("Nobody in this course is known as “%(who)s”.", who=who),
        "several": Sentence("More than one person here is “%(who)s”. Use the e-mail address or the user id.", who=who),
        "differ": Sentence("Its columns name two different people."),
        "twice": Sentence("%(name)s stands in line %(line)s already.", name=who, line=first),
        "role": Sentence("%(name)s is not a learner in this course.", name=who),
        "gone": Sentence("%(name)s is no longer in this course.", name=who),
        "test": Sentence("%(name)s is a test student.", name=who),
        "disabled": Sentence("%(name)s has been removed from this tool.", name=who),
    }[why]


# -- what it would do -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodLine:
    """A line that can be taken: whose, how she was found, and what stands in each column, in words."""

    number: int
    name: str
    by: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class BadLine:
    number: int
    name: str
    sentence: str


@dataclass(frozen=True)
class FilePage:
    """A file as it was read, before and after it was taken."""

    id: str
    name: str
    badge: Badge
    heads: tuple[tuple[str, str, str], ...]  # code, name, the heading it was found by
    missing: tuple[str, ...]  # rows from a file that this one has no column for
    unused: tuple[str, ...]
    good: tuple[GoodLine, ...]
    more: int  # good lines beyond those
    blank: int  # lines without any grade, which are not among them
    bad: tuple[BadLine, ...]
    graded: int  # answers with a grade
    emptied: int  # answers that are there today, and empty in the file
    absent: int  # learners with an answer of an earlier file who are not in this one
    confirmed: bool
    counts: Mapping[str, int]


def file_page(tool: Tool, who: LaunchSession, slug: str, file_id: str) -> FilePage:
    """Return a file as it was read; raises NotFound for another badge's or another person's."""
    with tool.db.read() as session:
        row, badge = _file(session, who, slug, file_id)
        definition = catalog.definition_of(badge)
        targets = {each.tag: each for each in targets_of(definition)}
        tags = _tags(row)
        filled = [line for line in row.lines if any(raw is not None for raw in line["answers"].values())]
        names = _names(session, [line["person"] for line in filled[:MOST_SHOWN]])
        before = {(tag, sub): raw for tag, sub, raw in _answers(session, badge.id, tags) if raw is not None}
        confirmed = row.confirmed_at is not None
        heads = {tag: next(each["text"] for each in row.heads if each["tag"] == tag) for tag in tags}
        return FilePage(
            id=row.id,
            name=row.name,
            badge=definition,
            heads=tuple((targets[tag].code, targets[tag].name, heads[tag]) for tag in tags if tag in targets),
            missing=tuple(f"{each.code} {each.name}" for each in targets.values() if each.tag not in tags),
            unused=tuple(row.unused),
            good=tuple(
                GoodLine(
                    line["line"],
                    names.get(line["person"], ""),
                    line["by"],
                    tuple(_shown(line["answers"], tag) for tag in tags if tag in targets),
                )
                for line in filled[:MOST_SHOWN]
            ),
            more=max(0, len(filled) - MOST_SHOWN),
            blank=len(row.lines) - len(filled),
            bad=tuple(BadLine(each["line"], each.get("name", ""), said(read(each["why"]))) for each in row.problems),
            graded=sum(raw is not None for line in row.lines for raw in line["answers"].values()),
            emptied=_changes(before, _wanted(row))["emptied"],
            absent=len({sub for _, sub in _absent(row, before)}),
            confirmed=confirmed,
            counts=row.counts,
        )


def _file(
    session: Session, who: LaunchSession, slug: str, file_id: str, *, lock: bool = False
) -> tuple[SourceFile, CourseBadge]:
    query = (
        select(SourceFile, CourseBadge)
        .join(CourseBadge, CourseBadge.id == SourceFile.course_badge_id)
        .where(SourceFile.id == file_id, CourseBadge.course_id == who.course_id, CourseBadge.slug == slug)
        .where(SourceFile.person_id == who.person_id)
    )
    found = session.execute(query.with_for_update(of=SourceFile, key_share=True) if lock else query).first()
    if found is None:
        raise NotFound("no such file", sentence=Sentence("This file is not kept any more. Send it again."))
    return found[0], found[1]


def _tags(row: SourceFile) -> list[str]:
    """Return the rows a file has a column for, in its order; a column of comments alone is none."""
    return list(dict.fromkeys(each["tag"] for each in row.heads if each["part"] != "comment"))


def _names(session: Session, ids: Sequence[str]) -> dict[str, str]:
    return dict(session.execute(select(Person.id, Person.name).where(Person.id.in_(ids))).all())


def _shown(answers: Mapping[str, str | None], tag: str) -> str:
    """Say what a cell was read as: a level, points of how many, or nothing; "?" for one that is among the problems."""
    if tag not in answers:
        return "?"
    raw = answers[tag]
    if raw is None:
        return ""
    values = json.loads(raw, parse_float=Decimal)
    if values.get("level"):
        return str(values["level"])
    return said(
        Sentence(
            "%(points)s of %(highest)s",
            points=number_text(Decimal(values["resultScore"])),
            highest=number_text(Decimal(values["resultMaximum"])),
        )
    )


# -- taking it --------------------------------------------------------------------------------------------------


def _wanted(row: SourceFile) -> dict[tuple[str, str], str | None]:
    """Return what a file says, by tag and LTI `sub`."""
    return {(tag, line["sub"]): raw for line in row.lines for tag, raw in line["answers"].items()}


def _absent(row: SourceFile, before: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Return what earlier files said of learners whom this one does not name, not even in a cell that is a problem."""
    named = {line["sub"] for line in row.lines} | {each["sub"] for each in row.problems if "sub" in each}
    return {cell for cell in before if cell[1] not in named}


def _changes(before: Mapping[tuple[str, str], str], wanted: Mapping[tuple[str, str], str | None]) -> dict[str, int]:
    """Count what these answers would change of those that are there."""
    return {
        "new": sum(raw is not None and cell not in before for cell, raw in wanted.items()),
        "changed": sum(raw is not None and cell in before and before[cell] != raw for cell, raw in wanted.items()),
        "emptied": sum(raw is None and cell in before for cell, raw in wanted.items()),
    }


def confirm(
    tool: Tool, who: LaunchSession, slug: str, file_id: str, *, only: bool = False, actor: str, now: datetime
) -> None:
    """Take what a file said when it was shown, once, and have the course judged anew.

    `only`: what earlier files said of learners who are not in this one is taken away, too. Raises Conflict where it
    was taken already, or the badge has been published anew since."""
    tool.wake(repeat_collided(lambda: _confirm(tool, who, slug, file_id, only=only, actor=actor, now=now)))


def _confirm(tool: Tool, who: LaunchSession, slug: str, file_id: str, *, only: bool, actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        by_hand.open_badge(session, _course_id(who), slug, lock=True)
        row, badge = _file(session, who, slug, file_id, lock=True)
        taken = session.execute(
            update(SourceFile)
            .where(SourceFile.id == row.id, SourceFile.confirmed_at.is_(None))
            .values(confirmed_at=now)
            .returning(SourceFile.id)
        )
        if not taken.all():
            raise Conflict(sentence=Sentence("This file has been taken already. Nothing was done twice."))
        if row.version_id != badge.version_id:
            raise Conflict(
                sentence=Sentence("The badge has been published anew since this file was read."),
                what_to_do=Sentence("Send the file again, so that it is read for the rows there are now."),
            )
        tags = _tags(row)
        _forget_other_sources(session, badge.id, tags)
        known = {(tag, sub): raw for tag, sub, raw in _answers(session, badge.id, tags)}
        before = {cell: raw for cell, raw in known.items() if raw is not None}
        wanted = _wanted(row)
        if only:
            wanted |= dict.fromkeys(_absent(row, before))
        _store(session, badge.id, known, wanted, now)
        heads = {each["tag"]: each["text"] for each in reversed(row.heads) if each["part"] != "comment"}
        for tag in tags:
            session.merge(
                SourceLink(
                    course_badge_id=badge.id,
                    tag=tag,
                    source=CSV,
                    place={"heading": heads[tag]},
                    title=f"{row.name}: {heads[tag]}",
                    confirmed_at=now,
                    confirmed_by=actor,
                )
            )
        row.counts = _changes(before, wanted)
        audit.record(
            session, now, actor, "badge.file_taken", f"badge:{badge.id}", left_out=len(row.problems), **row.counts
        )
        return work.request_in(session, "evaluate", str(badge.course_id), now, again=True)


def _forget_other_sources(session: Session, badge_id: str, tags: Sequence[str]) -> None:
    """Remove what another source had said of these rows, before they were read from files: it says nothing of these."""
    from_file = select(SourceLink.tag).where(SourceLink.course_badge_id == badge_id, SourceLink.source == CSV)
    session.execute(
        delete(SourceAnswer).where(
            SourceAnswer.course_badge_id == badge_id, SourceAnswer.tag.in_(tags), SourceAnswer.tag.not_in(from_file)
        )
    )


def _store(
    session: Session,
    badge_id: str,
    known: Mapping[tuple[str, str], str | None],
    wanted: Mapping[tuple[str, str], str | None],
    now: datetime,
) -> None:
    fresh, changed = [], []
    for (tag, sub), raw in wanted.items():
        row = {"course_badge_id": badge_id, "tag": tag, "user_sub": sub, "raw": raw, "received_at": now}
        if (tag, sub) not in known:
            if raw is not None:
                fresh.append(row)
        elif known[tag, sub] != raw:
            changed.append(row)
    if fresh:
        session.execute(insert(SourceAnswer), fresh)
    if changed:
        session.execute(update(SourceAnswer), changed)


def forget_old(session: Session, now: datetime) -> None:
    """Remove files after a day: they hold names, and what was taken stands in the answers."""
    session.execute(delete(SourceFile).where(SourceFile.created_at < now - KEPT))


def taken_words(counts: Mapping[str, int]) -> str:
    """Say what taking a file did."""
    changed = counts.get("new", 0) + counts.get("changed", 0)
    gone = counts.get("emptied", 0)
    if not gone:
        return said(counted("%(num)s grade was taken from it.", "%(num)s grades were taken from it.", changed))
    return said(
        Sentence(
            "%(changed)s %(gone)s",
            changed=counted("%(num)s grade was taken from it.", "%(num)s grades were taken from it.", changed),
            gone=counted("%(num)s is empty now.", "%(num)s are empty now.", gone),
        )
    )
