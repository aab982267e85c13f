"""The progress matrix: learners × sub-competencies.

A class of 1,000 is told apart by a few columns of each row; only the page of it that is shown is read in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from lti_tool import sheets
from lti_tool.domain.award import met_rows
from lti_tool.domain.badge import GATE, PREREQUISITE, Badge
from lti_tool.domain.mastery import Standing, part_word
from lti_tool.errors import NotFound
from lti_tool.lti.platforms import platform_of
from lti_tool.models import CourseBadge, Enrolment, Mastery, Person, may_be_awarded
from lti_tool.services import catalog, drift, earned, versions
from lti_tool.services.awards import AwardState, newest_states, records_of, shown_status, under_review
from lti_tool.services.instructor_pages import HOLDS, column_plans, learner_row, standing_word, sync_state
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.pages.instructor import LearnerRow, Matrix, MatrixView
from lti_tool.services.pages.rows import RowView
from lti_tool.services.posting import PASSING
from lti_tool.services.rows import Parts, row_views
from lti_tool.services.sync import count_aside
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation, said, words

A_PAGE = 50  # learners
GROUPS = ("ready", "one", "review", "earned", "way", "none")
SORTS = ("name", "near")


class _Person(NamedTuple):
    """A learner as far as the matrix goes; her name is never empty here."""

    id: str
    name: str
    sub: str
    holder_id: str
    sections: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a learner stands, without the words of each cell."""

    person: _Person
    met: int | Decimal
    state: str
    word: str
    award: AwardState | None
    holds: bool
    open: tuple[str, ...]  # tags that are not met


def matrix(tool: Tool, who: LaunchSession, slug: str, view: MatrixView) -> Matrix:
    """Return one page of the matrix. Filter, search and order are those of the whole class."""
    now = datetime.now(UTC)
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        doubted = under_review(session, badge)
        people = _people(session, badge.course_id)
        sections = _sections(people)
        lines = _lines(session, badge, definition, people, doubted, now)
        here = [line for line in lines if view.section in ("", *(id_ for id_, _name in line.person.sections))]
        counts = Counter(line.state for line in here)
        fitting = _arranged(here, view)
        parts = catalog.asked_of(session, badge, definition, tool.settings.base_url)
        last = max(1, -(-len(fitting) // A_PAGE))
        number = min(max(view.page, 1), last)
        shown = fitting[(number - 1) * A_PAGE : number * A_PAGE]
        return Matrix(
            slug=slug,
            badge=definition,
            status=badge.status,
            version=badge.version.number if badge.version else 0,
            summary=_summary(lines, MANAGE in who.rights),
            most_missing=_most_missing(lines, definition, parts),
            rows=_rows(session, badge, definition, parts, shown, doubted, now),
            heads=row_views(definition, {}, parts),
            counts={"all": len(here), **{group: counts[group] for group in GROUPS}},
            sync=sync_state(session, badge.course),
            columns=column_plans(badge, definition),
            aside=count_aside(session, badge.course, badge),
            may_manage=MANAGE in who.rights,
            view=MatrixView(view.show, view.q, view.sort, view.section, number),
            found=len(fitting),
            first=(number - 1) * A_PAGE + 1,
            last_page=last,
            sections=sections,
            drifts=drift.notes(session, badge.course, badge),
            earned=earned.view(session, badge, PASSING) if badge.writes_earned else None,
            partly=bool(sections) and not platform_of(who.product).tells_all_groups,
        )


def _people(session: Session, course_id: int) -> list[_Person]:
    """Return the learners of a course, by name."""
    rows = session.execute(
        select(
            Person.id,
            Person.name,
            Person.sub,
            Person.same_as_id,
            Person.test_user,
            Enrolment.roster_role,
            Enrolment.launch_role,
            Enrolment.sections,
        )
        .join(Enrolment, Enrolment.person_id == Person.id)
        .where(Enrolment.course_id == course_id, Enrolment.active)
    )
    found = [
        _Person(id_, name, sub, same_as or id_, tuple((each[0], each[1]) for each in sections or ()))
        for id_, name, sub, same_as, test_user, roster, launch, sections in rows
        if may_be_awarded(roster, launch, test_user)
    ]
    return sorted(found, key=lambda person: (collation(person.name), person.sub))


def _sections(people: Sequence[_Person]) -> tuple[tuple[str, str], ...]:
    """Return the sections or groups there are, by name; one whose name nobody told is called by its number."""
    names: dict[str, str] = {}
    if len({person.sections for person in people}) < 2:
        return ()  # everybody is in the same: there is nothing to choose
    for person in people:
        for id_, name in person.sections:
            names[id_] = names.get(id_) or name
    named = [(id_, name or _("Group %(number)s", number=id_)) for id_, name in names.items()]
    return tuple(sorted(named, key=lambda each: (collation(each[1]), each[0])))


def _lines(
    session: Session,
    badge: CourseBadge,
    definition: Badge,
    people: Sequence[_Person],
    doubted: dict[str, str],
    now: datetime,
) -> list[_Line]:
    earlier = versions.definitions(session, badge)
    tags_of = {id(each): _tags(each) for each in (definition, *earlier.values())}
    parts = {tag for each in (definition, *earlier.values()) if each.stack is not None for tag in each.stack.tags}
    none = {tag: _nothing(tag, parts) for tags in tags_of.values() for tag in tags}
    # A class has a few hundred kinds of cells: each is one object.
    kinds: dict[tuple[str, str, str], Standing] = {}
    found: dict[str, dict[str, Standing]] = {}
    state = Mastery.record["state"].as_string()
    # The points of a part are its credits; how many points a row has matters to nobody here.
    points = Mastery.record["points"].as_string() if definition.counts_credits else literal("")
    query = select(Mastery.person_id, Mastery.tag, state, points).where(Mastery.course_badge_id == badge.id)
    for person_id, *kind in session.execute(query):
        tag, word, worth = kind
        standing = kinds.get((tag, word, worth))
        if standing is None:
            standing = kinds[tag, word, worth] = Standing(tag, "", word, "", points=worth)
        found.setdefault(person_id, {})[tag] = standing
    newest = newest_states(session, badge)
    lines = []
    for person in people:
        has = found.get(person.id, {})
        judged_by = earlier.get(person.id, definition)
        standings = [has.get(tag) or none[tag] for tag in tags_of[id(judged_by)]]
        award = newest.get(person.holder_id)
        status = shown_status(award, now) if award is not None else ""
        group, word = standing_word(judged_by, standings, status, doubted=award is not None and award.id in doubted)
        met = met_rows(judged_by, standings)
        open_tags = tuple(standing.tag for standing in standings if not standing.met)
        lines.append(_Line(person, met, group, word, award, status in HOLDS, open_tags))
    return lines


def _tags(definition: Badge) -> list[str]:
    rows = [row.tag for row in definition.sub_competencies]
    rows += definition.stack.tags if definition.stack is not None else ()
    rows += [gate.tag for gate in definition.gates]
    return rows + [PREREQUISITE + slug for slug in definition.prerequisites]


def _nothing(tag: str, parts: Set[str]) -> Standing:
    """Return the standing of somebody about whom nothing is recorded: a badge to be earned first is not there yet."""
    return Standing(tag, "", "short" if tag.startswith(PREREQUISITE) and tag not in parts else "ungraded", "")


def _arranged(lines: Sequence[_Line], view: MatrixView) -> list[_Line]:
    """Return the learners that fit a view, in its order. One is found without her accents: "zoe" finds Zoë."""
    wanted = sheets.unmarked(view.q)
    fitting = [
        line
        for line in lines
        if view.show in ("all", line.state) and (not wanted or wanted in sheets.unmarked(line.person.name))
    ]
    if view.sort == "near":
        fitting.sort(key=lambda line: -line.met)
    return fitting


def _rows(
    session: Session,
    badge: CourseBadge,
    definition: Badge,
    parts: Parts,
    lines: Sequence[_Line],
    doubted: dict[str, str],
    now: datetime,
) -> tuple[LearnerRow, ...]:
    records = records_of(session, badge.id, [line.person.id for line in lines])
    earlier = versions.definitions(session, badge)
    return tuple(
        learner_row(
            earlier.get(line.person.id, definition),
            line.person.id,
            line.person.name,
            records.get(line.person.id, {}),
            line.award,
            doubted,
            now,
            heads=definition,
            parts=parts,
        )
        for line in lines
    )


def _summary(rows: Sequence[_Line], may_manage: bool) -> str:
    if not rows:
        return str(_("No learner is known here yet. They come with the first sync."))
    counts = Counter(row.state for row in rows)
    earned = sum(row.holds for row in rows)
    parts = [
        ngettext(
            "%(many)s of %(all)s has earned it",
            "%(many)s of %(all)s have earned it",
            earned,
            many=words(earned, capital=True),
            all=len(rows),
        )
        if earned
        else _("Nobody has earned it yet")
    ]
    waiting = counts["ready"] + counts["review"]
    if waiting and may_manage:
        parts.append(ngettext("%(many)s waits for you", "%(many)s wait for you", waiting, many=words(waiting)))
    elif waiting:
        told = ngettext(
            "%(many)s waits for an instructor", "%(many)s wait for an instructor", waiting, many=words(waiting)
        )
        parts.append(told)
    if counts["one"]:
        one = counts["one"]
        parts.append(ngettext("%(many)s is one short", "%(many)s are one short", one, many=words(one)))
    return ", ".join(parts) + "."


def _most_missing(rows: Sequence[_Line], definition: Badge, parts: Parts) -> str:
    """Return the row that most learners on the way still miss, empty where none stands out."""
    short = Counter(tag for row in rows if row.state in ("way", "one") for tag in row.open)
    top = short.most_common(2)
    if not top or (len(top) > 1 and top[0][1] == top[1][1]):
        return ""
    names = {row.tag: row.name for row in definition.sub_competencies}
    names |= {gate.tag: gate.name for gate in definition.gates}
    names |= {PREREQUISITE + slug: part.name for slug, part in parts.items()}
    return names.get(top[0][0], "")


def matrix_csv(tool: Tool, who: LaunchSession, slug: str) -> str:
    """Return the matrix of the whole class as CSV; nothing in it runs as a formula (I19)."""
    now = datetime.now(UTC)
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        people = _people(session, badge.course_id)
        sections = dict(_sections(people))
        lines = _lines(session, badge, definition, people, under_review(session, badge), now)
        records = records_of(session, badge.id)
        heads = row_views(definition, {}, catalog.asked_of(session, badge, definition, tool.settings.base_url))
    told = [_("Section")] if sections else []
    rows = [[_("Learner"), *told, *(f"{head.code} {head.name}".strip() for head in heads), _("Badge"), _("User id")]]
    for line in lines:
        of = [", ".join(sections[id_] for id_, _name in line.person.sections)] if sections else []
        cells = [_cell(records.get(line.person.id, {}).get(head.tag), head) for head in heads]
        rows.append([line.person.name or _("Learner"), *of, *cells, line.word, line.person.sub])
    return sheets.write_csv(rows)


def _cell(record: dict[str, Any] | None, head: RowView) -> str:
    """Return a cell in words: "Proficient (3 of 4)"; empty where there is no result."""
    if head.part:
        return said(part_word(record["state"])) if record is not None and record["state"] != "ungraded" else ""
    if record is None or not record["points"]:
        return ""
    gate = record["tag"].startswith(GATE)
    points, most = (record["score"], record["maximum"]) if gate else (record["points"], head.highest)
    reached = record["reached"] or _("below the lowest level")
    return str(_("%(level)s (%(points)s of %(highest)s)", level=reached, points=points, highest=most))


def _course_id(who: LaunchSession) -> int:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    return who.course_id
