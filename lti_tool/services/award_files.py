"""Awards from a file: read and shown first, every line that cannot be given with its reason; given as it was shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from lti_tool import sheets
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import AwardFile, CourseBadge, Mastery, Person
from lti_tool.services import audit, by_hand
from lti_tool.services.launches import LaunchSession
from lti_tool.services.named import Named
from lti_tool.services.tool import Tool

MOST_LINES = 5000
LARGEST = 2_000_000  # bytes
KEPT = timedelta(days=1)
LONGEST_SHOWN = 80  # characters of a cell that is shown with its problem

# What the columns may be called, in the languages the tool speaks; compared by `sheets.key`, without marks.
HEADS = {
    "sub": ("sub", "user", "user id", "lti user id", "lti sub", "lms id", "id", "usuario", "id de usuario"),
    "email": ("email", "mail", "email address", "correo", "correo electronico", "direccion de correo"),
    "name": ("name", "learner", "student", "full name", "student name", "nombre", "alumno", "estudiante"),
    "note": ("note", "evidence", "evidence note", "comment", "reason", "nota", "evidencia", "comentario", "motivo"),
}


@dataclass(frozen=True)
class GoodLine:
    """A line that can be given; `by` is how its learner was found: "sub", "email" or "name"."""

    number: int
    name: str
    by: str
    note: str


@dataclass(frozen=True)
class BadLine:
    number: int
    sentence: str


@dataclass(frozen=True)
class FilePage:
    """A file as it was read, before and after it was confirmed. `given` are the names of those who got the badge."""

    id: str
    name: str
    good: tuple[GoodLine, ...]
    bad: tuple[BadLine, ...]
    confirmed: bool
    given: tuple[str, ...] = ()
    late: tuple[str, ...] = ()  # who got it between the two


# -- reading ----------------------------------------------------------------------------------------------------


def put(
    tool: Tool,
    who: LaunchSession,
    slug: str,
    content: bytes,
    *,
    name: str,
    note: str,
    now: datetime,
) -> str:
    """Read a file and keep what it says for a day; returns its id. `note` counts for lines that have none.

    Nothing is given yet. Raises BadInput for a file that is no table, or says of nobody who it is."""
    if len(content) > LARGEST:
        raise BadInput(
            sentence=_("This file is larger than a list of learners can be."),
            what_to_do=_("Leave out what is not needed, or send it in parts."),
        )
    lines = sheets.read(content)
    if not lines:
        raise BadInput(sentence=_("There is nothing in this file."))
    heads = _heads(lines[0])
    if len(lines) - 1 > MOST_LINES:
        raise BadInput(sentence=_("A file may have %(num)s lines. Send it in parts.", num=MOST_LINES))
    common = by_hand.note_of(note) if note.strip() else ""
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.write() as session:
        badge = by_hand.open_badge(session, who.course_id, slug)
        people = Named(by_hand.candidates(session, badge, now))
        good: list[dict[str, Any]] = []
        problems: list[dict[str, Any]] = []
        first_at: dict[str, int] = {}
        for line in lines[1:]:
            cells = {head: _cell(line, place) for head, place in heads.items()}
            found, why, by = people.find(cells)
            told = note_problem = ""
            if "note" in heads and _raw(line, heads["note"]) and sheets.is_formula(_raw(line, heads["note"])):
                note_problem = "formula"
            else:
                try:
                    told = by_hand.note_of(cells["note"]) if cells.get("note") else common
                except BadInput:
                    note_problem = "long"
            why = why or (found.why if found else "") or note_problem or ("" if told else "note")
            if found is not None and not why and found.holder_id in first_at:
                why = "twice"
            if why or found is None:
                shown = {head: text[:LONGEST_SHOWN] for head, text in cells.items()}
                known = found.name if found else ""
                before = first_at.get(found.holder_id, 0) if found else 0
                problems.append({"line": line.number, "why": why, "cells": shown, "name": known, "first": before})
                continue
            first_at[found.holder_id] = line.number
            good.append({"line": line.number, "person": found.person_id, "by": by, "note": told})
        row = AwardFile(
            course_badge_id=badge.id,
            person_id=who.person_id,
            name=" ".join("".join(each for each in name if each.isprintable()).split())[:120],
            lines=good,
            problems=problems,
            created_at=now,
        )
        session.add(row)
        session.flush()
        return row.id


def _heads(line: sheets.Line) -> dict[str, int]:
    """Return which column holds what, from the first line; raises BadInput where none says who."""
    known = {name: head for head, names in HEADS.items() for name in names}
    found: dict[str, int] = {}
    for place, cell in enumerate(line.cells):
        plain = sheets.unmarked(sheets.plain_cell(cell)).replace("-", "").replace("_", " ")
        head = known.get(" ".join(plain.split()))
        if head is None:
            continue
        if head in found:
            raise BadInput(
                sentence=_("Line %(line)s has two columns “%(head)s”.", line=line.number, head=cell.strip()[:40]),
                what_to_do=_("Leave one of them out."),
            )
        found[head] = place
    if not found.keys() & {"sub", "email", "name"}:
        raise BadInput(
            sentence=_("Line %(line)s names no column that says who: user, email or name.", line=line.number),
            what_to_do=_(
                "The first line of the file names its columns, in any order. A column note holds the evidence of each."
            ),
        )
    return found


def _raw(line: sheets.Line, place: int) -> str:
    return line.cells[place] if place < len(line.cells) else ""


def _cell(line: sheets.Line, place: int) -> str:
    return sheets.plain_cell(_raw(line, place))


# -- showing ----------------------------------------------------------------------------------------------------


def page(tool: Tool, who: LaunchSession, slug: str, file_id: str) -> FilePage:
    """Return a file as it was read; raises NotFound for another badge's or another person's."""
    with tool.db.read() as session:
        row = _row(session, who, slug, file_id)
        ids = [each["person"] for each in row.lines]
        people = select(Person.id, Person.name).where(Person.id.in_(ids))
        names = dict(session.execute(people).all())
        given = set(row.given)
        return FilePage(
            id=row.id,
            name=row.name,
            good=tuple(
                GoodLine(each["line"], names.get(each["person"], "") or _("Learner"), each["by"], each["note"])
                for each in row.lines
            ),
            bad=tuple(BadLine(each["line"], problem_words(each)) for each in row.problems),
            confirmed=row.confirmed_at is not None,
            given=tuple(names.get(each["person"], "") for each in row.lines if each["person"] in given),
            late=tuple(names.get(each["person"], "") for each in row.lines if each["person"] not in given)
            if row.confirmed_at is not None
            else (),
        )


def _row(session: Session, who: LaunchSession, slug: str, file_id: str, *, lock: bool = False) -> AwardFile:
    query = (
        select(AwardFile)
        .join(CourseBadge, CourseBadge.id == AwardFile.course_badge_id)
        .where(AwardFile.id == file_id, CourseBadge.course_id == who.course_id, CourseBadge.slug == slug)
        .where(AwardFile.person_id == who.person_id)
    )
    row = session.scalar(query.with_for_update(of=AwardFile, key_share=True) if lock else query)
    if row is None:
        raise NotFound("no such file", sentence=_("This file is not kept any more. Send it again."))
    return row


def problem_words(problem: Mapping[str, Any]) -> str:
    """Say what is wrong with a line."""
    why, cells = problem["why"], problem["cells"]
    who = problem["name"] or next((cells[head] for head in ("sub", "email", "name") if cells.get(head)), "")
    if why == "nobody":
        return _("It does not say who.")
    if why == "unknown":
        return _("Nobody in this course is known as “%(who)s”.", who=who)
    if why == "several":
        return _("More than one person here is “%(who)s”. Use the e-mail address or the user id.", who=who)
    if why == "differ":
        return _("Its columns name two different people.")
    if why == "twice":
        return _("%(name)s stands in line %(line)s already.", name=who, line=problem["first"])
    if why == "formula":
        return _("Its note begins like a formula. Write it as text.")
    if why == "long":
        return _("Its note is longer than %(num)s characters.", num=by_hand.LONGEST_NOTE)
    if why == "note":
        return _("It has no note, and no note for all of them was given.")
    return by_hand.why_not(why, who)


# -- giving -----------------------------------------------------------------------------------------------------


def confirm(tool: Tool, who: LaunchSession, slug: str, file_id: str, *, actor: str, now: datetime) -> int:
    """Give what a file said when it was shown, once; returns how many got the badge.

    Who may not be awarded any more, or has been meanwhile, is left out and told."""
    with tool.db.write() as session:
        row = _row(session, who, slug, file_id, lock=True)
        taken = session.execute(
            update(AwardFile)
            .where(AwardFile.id == row.id, AwardFile.confirmed_at.is_(None))
            .values(confirmed_at=now)
            .returning(AwardFile.id)
        )
        if not taken.all():
            raise Conflict(sentence=_("This file has been given already. Nothing was done twice."))
        badge = by_hand.open_badge(session, who.course_id or 0, slug, lock=True)
        able = {each.person_id: each for each in by_hand.candidates(session, badge, now) if not each.why}
        levels = _levels(session, badge, [line["person"] for line in row.lines])
        wanted = [
            (able[line["person"]], line["note"], by_hand.told_of(levels.get(line["person"], {})))
            for line in row.lines
            if line["person"] in able
        ]
        ids = by_hand.give_all(tool, session, badge, wanted, "file", actor=actor, now=now)
        holders = set(session.scalars(by_hand.holders_of(ids)))
        row.given = [each.person_id for each, _note, _levels in wanted if each.holder_id in holders]
        counted = Counter(problem["why"] for problem in row.problems)
        audit.record(
            session, now, actor, "award.file_given", f"badge:{badge.id}", given=len(ids), left_out=dict(counted)
        )
        return len(ids)


def _levels(session: Session, badge: CourseBadge, people: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    query = select(Mastery.person_id, Mastery.tag, Mastery.record).where(Mastery.course_badge_id == badge.id)
    wanted = set(people)
    for person_id, tag, record in session.execute(query):
        if person_id in wanted:
            found.setdefault(person_id, {})[tag] = record
    return found


def forget_old(session: Session, now: datetime) -> None:
    """Remove files after a day: they hold names and addresses, and what was given stands in the awards."""
    session.execute(delete(AwardFile).where(AwardFile.created_at < now - KEPT))
