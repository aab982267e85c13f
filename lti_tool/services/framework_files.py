"""A badge begun from somebody's framework file: looked at first, then a rubric or single items become a draft."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.db import random_id, repeat_collided
from lti_tool.domain.badge import Alignment, Badge, Level, Picture, SubCompetency
from lti_tool.domain.rules import CODE, LONGEST_NAME, LONGEST_TEXT, MOST, MOST_LEVELS, MOST_ROWS
from lti_tool.errors import BadInput, NotFound
from lti_tool.models import CourseBadge, FrameworkFile
from lti_tool.services import audit, case_package, drafts
from lti_tool.services.case_package import Criterion, CriterionLevel, Framework, Item, Rubric
from lti_tool.services.draft_values import blank, slug_of, values_of
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

LARGEST = case_package.LARGEST
KEPT = timedelta(days=1)
CRITERION, CRITERION_LEVEL, RUBRIC, ITEM = "CFRubricCriterion", "CFRubricCriterionLevel", "CFRubric", "CFItem"


@dataclass(frozen=True)
class RubricOffer:
    """A rubric as the draft would have it; `problem` says why it cannot be one, `notes` what was filled in."""

    id: str
    title: str
    description: str
    rows: tuple[SubCompetency, ...]
    notes: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class FrameworkPage:
    id: str
    name: str
    framework: Framework
    rubrics: tuple[RubricOffer, ...]
    most: int = MOST_ROWS


def put(tool: Tool, who: LaunchSession, content: bytes, *, name: str, now: datetime) -> str:
    """Read a file and keep what it offers for a day; returns its id. Raises BadInput for one that is no package."""
    framework = case_package.read_package(content)
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.write() as session:
        row = FrameworkFile(
            id=random_id(),
            course_id=who.course_id,
            person_id=who.person_id,
            name=" ".join("".join(each for each in name if each.isprintable()).split())[:120],
            framework=framework.plain(),
            created_at=now,
        )
        session.add(row)
        return row.id


def page(tool: Tool, who: LaunchSession, file_id: str) -> FrameworkPage:
    """Return what a badge can be begun from; raises NotFound for another course's or another person's file."""
    with tool.db.read() as session:
        row = _row(session, who, file_id)
        framework = case_package.framework_of(row.framework)
        return FrameworkPage(row.id, row.name, framework, tuple(_offer(framework, each) for each in framework.rubrics))


def _row(session: Session, who: LaunchSession, file_id: str) -> FrameworkFile:
    row = session.scalar(
        select(FrameworkFile).where(
            FrameworkFile.id == file_id,
            FrameworkFile.course_id == who.course_id,
            FrameworkFile.person_id == who.person_id,
        )
    )
    if row is None:
        raise NotFound("no such file", sentence=_("This file is not kept any more. Send it again."))
    return row


def _offer(framework: Framework, rubric: Rubric) -> RubricOffer:
    notes = _Notes()
    rows: tuple[SubCompetency, ...] = ()
    problem = ""
    if len(rubric.criteria) > MOST_ROWS:
        problem = _("It has more than %(most)s rows, which no badge can hold.", most=MOST_ROWS)
    elif any(len(row.levels) > MOST_LEVELS for row in rubric.criteria):
        problem = _("One of its rows has more than %(most)s levels.", most=MOST_LEVELS)
    else:
        rows = _rows_of(framework, rubric, notes)
    title = rubric.title or framework.title
    return RubricOffer(rubric.id, title, rubric.description, rows, notes.sentences(), problem)


def begin(
    tool: Tool,
    who: LaunchSession,
    file_id: str,
    *,
    rubric: str = "",
    items: Sequence[str] = (),
    language: str,
    actor: str,
    now: datetime,
) -> str:
    """Begin a draft with a rubric, or with a sub-competency for each chosen item; returns the badge's id.

    What the file cannot say (criteria in words, the picture's description) is left to be written."""
    with tool.db.read() as session:
        framework = case_package.framework_of(_row(session, who, file_id).framework)
    sketch = _from_rubric(framework, rubric) if rubric else _from_items(framework, items)
    begun = blank(framework.language or language)
    values = {
        **values_of(replace(sketch, language=begun["language"])),
        "auto_slug": "yes",
    }
    return repeat_collided(lambda: _begin(tool, who, values, framework.title, actor, now))


def _begin(tool: Tool, who: LaunchSession, values: dict[str, object], title: str, actor: str, now: datetime) -> str:
    with tool.db.write() as session:
        course_id = who.course_id or 0
        slug = drafts.free_slug(session, course_id, slug_of(str(values["name"])) or drafts.UNNAMED)
        badge = CourseBadge(
            id=random_id(), course_id=course_id, slug=slug, created_at=now, working={**values, "slug": slug}
        )
        badge.working_at, badge.working_by = now, actor
        session.add(badge)
        session.flush()
        audit.record(session, now, actor, "badge.started", f"badge:{badge.id}", framework=title[:200])
        return badge.id


def forget_old(session: Session, now: datetime) -> None:
    session.execute(delete(FrameworkFile).where(FrameworkFile.created_at < now - KEPT))


# -- what becomes of it -----------------------------------------------------------------------------------------


class _Notes:
    """What was filled in, counted by kind, so that forty rows are one sentence."""

    def __init__(self) -> None:
        self._found: dict[Callable[[list[str]], str], list[str]] = {}

    def add(self, kind: Callable[[list[str]], str], row: str) -> None:
        rows = self._found.setdefault(kind, [])
        if row not in rows:
            rows.append(row)

    def sentences(self) -> tuple[str, ...]:
        return tuple(kind(rows) for kind, rows in self._found.items())


def _named(rows: list[str]) -> str:
    shown = [_("“%(name)s”", name=row) for row in rows[:3]]
    if len(rows) > 3:
        shown.append(ngettext("%(num)s more", "%(num)s more", len(rows) - 3))
    return ", ".join(shown)


def _no_points(rows: list[str]) -> str:
    return _(
        "The file gives no rising points for %(rows)s: its levels get 1, 2, 3 … in the order of the file. "
        "Look whether they go from low to high.",
        rows=_named(rows),
    )


def _no_levels(rows: list[str]) -> str:
    return _(
        "Fewer than two levels in the file, so these get four usual ones to describe: %(rows)s.", rows=_named(rows)
    )


def _no_address(rows: list[str]) -> str:
    return _("No web address in the file, so the credential cannot point there: %(rows)s.", rows=_named(rows))


def _from_rubric(framework: Framework, rubric_id: str) -> Badge:
    rubric = next((each for each in framework.rubrics if each.id == rubric_id), None)
    if rubric is None:
        raise BadInput("no such rubric", sentence=_("Choose a rubric, or tick items."), what_to_do="")
    if (offer := _offer(framework, rubric)).problem:
        raise BadInput("an unusable rubric", sentence=offer.problem, what_to_do="")
    title = rubric.title or framework.title
    aligned = _aligned(framework, title, rubric.url, "", RUBRIC)
    return _badge(framework, title, rubric.description or framework.description, offer.rows, aligned)


def _from_items(framework: Framework, chosen: Sequence[str]) -> Badge:
    wanted = set(chosen)
    items = [item for item in framework.items if item.id in wanted]
    if not items:
        raise BadInput("nothing chosen", sentence=_("Choose a rubric, or tick items."), what_to_do="")
    if len(items) > MOST_ROWS:
        raise BadInput(
            "too many items",
            sentence=_(
                "A badge has at most %(most)s sub-competencies; %(num)s are ticked.", most=MOST_ROWS, num=len(items)
            ),
            what_to_do=_("Tick fewer, or make several badges."),
        )
    codes = _Codes()
    rows = []
    for item in items:
        name, description = _short(item.short or item.statement, item.statement)
        rows.append(
            SubCompetency(
                code=codes.of(item.code),
                name=name,
                description=description,
                levels=_usual_levels(),
                required_level=_usual_levels()[2].name,
                alignment=_of_item(framework, item),
            )
        )
    return _badge(framework, framework.title, framework.description, tuple(rows), ())


def _badge(
    framework: Framework,
    title: str,
    description: str,
    rows: tuple[SubCompetency, ...],
    alignment: tuple[Alignment, ...],
) -> Badge:
    return Badge(
        slug="",
        name=_cut(title, LONGEST_NAME),
        description=description[:LONGEST_TEXT],
        criteria="",
        sub_competencies=rows,
        picture=Picture(alt=""),
        alignment=alignment,
    )


class _Codes:
    """Codes for rows: the framework's own where it can be one here, else the next number."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, wanted: str) -> str:
        plain = wanted.strip()
        if not CODE.fullmatch(plain) or plain in self._used:
            plain = next(code for n in range(1, 10_000) if (code := f"SC-{n}") not in self._used)
        self._used.add(plain)
        return plain


def _rows_of(framework: Framework, rubric: Rubric, notes: _Notes) -> tuple[SubCompetency, ...]:
    codes = _Codes()
    return tuple(_row_of(framework, row, codes, notes) for row in rubric.criteria)


def _row_of(framework: Framework, row: Criterion, codes: _Codes, notes: _Notes) -> SubCompetency:
    item = framework.item(row.item) if row.item else None
    name, description = _short(row.name, row.description or (item.statement if item is not None else ""))
    levels = _levels_of(framework, name, row.levels, notes)
    aligned = _aligned(framework, name, row.url, "", CRITERION)
    if not aligned:
        notes.add(_no_address, name)
    if item is not None:
        aligned += _of_item(framework, item)
    # One below the highest, as most rubrics have it; of two levels the higher.
    required = levels[-1 if len(levels) == 2 else -2].name
    return SubCompetency(
        code=codes.of(item.code if item is not None else ""),
        name=name,
        description=description,
        levels=levels,
        required_level=required,
        alignment=aligned,
    )


def _levels_of(framework: Framework, row: str, told: tuple[CriterionLevel, ...], notes: _Notes) -> tuple[Level, ...]:
    if len(told) < 2:
        notes.add(_no_levels, row)
        return _usual_levels()
    points = [Decimal(level.points) for level in told if level.points]
    rising = len(points) == len(told) and all(low < high for low, high in itertools.pairwise(points))
    if not rising or points[0] < 0 or points[-1] > MOST or any(each != round(each, 5) for each in points):
        notes.add(_no_points, row)
        points = [Decimal(number) for number in range(1, len(told) + 1)]
    found: list[Level] = []
    for number, (level, worth) in enumerate(zip(told, points, strict=True), start=1):
        name = _cut(level.name or _("Level %(n)s", n=number), LONGEST_NAME)
        if any(name == other.name for other in found):
            name = _("%(level)s (%(n)s)", level=_cut(name, LONGEST_NAME - 10), n=number)
        aligned = _aligned(framework, name, level.url, "", CRITERION_LEVEL)
        found.append(Level(name, worth, level.description, aligned))
    return tuple(found)


def _usual_levels() -> tuple[Level, ...]:
    names = (_("Beginning"), _("Developing"), _("Proficient"), _("Advanced"))
    return tuple(Level(name, Decimal(points)) for points, name in enumerate(names, start=1))


def _of_item(framework: Framework, item: Item) -> tuple[Alignment, ...]:
    return _aligned(framework, item.short or item.statement, item.url, item.code, ITEM)


def _aligned(framework: Framework, name: str, url: str, code: str, kind: str) -> tuple[Alignment, ...]:
    """Return the alignment to a node of the framework; none where it has no address."""
    if not url:
        return ()
    return (Alignment(_cut(framework.title, LONGEST_NAME), _cut(name, LONGEST_NAME), url, code, type=kind),)


def _short(name: str, description: str) -> tuple[str, str]:
    """Return a name that a gradebook can hold, and a description with what was cut off it."""
    short = _cut(name, LONGEST_NAME)
    if short != " ".join(name.split()) and not description.startswith(name):
        description = f"{name}\n\n{description}".strip()
    return short, "" if description == short else description[:LONGEST_TEXT]


def _cut(text: str, most: int) -> str:
    """Return a text in one line, cut between words where it is too long."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    return f"{line[: most - 1].rpartition(' ')[0] or line[: most - 1]}…"
