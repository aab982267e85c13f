"""The figures pages: what the tallies of services.counting say, for administrators and for a course's instructors.

An instructor sees each learner of her course anyway, so she reads her course's numbers as they are. What the
administrator reads may be passed on, and must not tell of few people. So there

- a group of fewer than ten people is not told, nor a number that stands for fewer than ten;
- where what a table hides is of fewer than ten people together, its smallest row is hidden too: else the total minus
  the rows beside it would tell;
- a filter opens no group that its table would hide;
- numbers are told to the nearest five, and rates are worked out from those: no difference of two pages is exact.

How many people a number stands for is asked of the awards. Where a learner was erased or an award is held back again
that finds fewer, and hides more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from babel.dates import format_date
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Integer, Select, and_, case, distinct, func, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Award,
    AwardTally,
    Course,
    CourseBadge,
    Mastery,
    Registration,
    Tally,
)
from lti_tool.services import catalog, counting
from lti_tool.services.tool import Tool
from lti_tool.services.words import ENGLISH
from lti_tool.sheets import write_csv

FEWEST = 10  # people
NEAREST = 5
FEWEST_FOR_A_RATE = 20  # below, "7 of 12" says more than a share of a hundred
FEWEST_FOR_A_MEDIAN = 5  # where numbers are told as they are
MOST_LINES, MOST_MONTHS, MOST_ROWS = 200, 36, 10
SEEN = (counting.PAGE, counting.SHARED_PAGE)
DIMENSIONS = ("platform", "course", "badge", "term", "month")


# -- what is asked ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Which part of the figures: None or "" for all. `period` is a year or a month: 2026, 2026-11."""

    platform: int | None = None
    course: int | None = None
    badge: int | None = None  # an achievement
    term: str = ""
    period: str = ""
    by: str = "badge"
    course_badge: str = ""  # of a course's instructors: one of her badges

    @property
    def filters(self) -> tuple[str, ...]:
        """The dimensions that are narrowed, by the names of DIMENSIONS."""
        found = [name for name in ("platform", "course", "badge", "term") if getattr(self, name)]
        return (*found, "month") if self.period else tuple(found)

    def without(self, dimension: str) -> Asked:
        empty: dict[str, Any] = {"month": {"period": ""}, "term": {"term": ""}}.get(dimension, {dimension: None})
        return replace(self, **empty)

    def value(self, dimension: str) -> Any:
        return self.period if dimension == "month" else getattr(self, dimension)


def asked_of(told: Mapping[str, str]) -> Asked:
    """Return what a form asks for; what cannot be understood asks for nothing in particular."""

    def number(name: str) -> int | None:
        text = told.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 10 else None

    period = told.get("period", "")
    if not (len(period) in (4, 7) and period.replace("-", "0").isdecimal()):
        period = ""
    by, term = told.get("by", ""), told.get("term", "")
    return Asked(
        platform=number("platform"),
        course=number("course"),
        badge=number("badge"),
        term=term[:200] if term.isprintable() else "",  # PostgreSQL takes no NUL
        period=period,
        by=by if by in DIMENSIONS else "badge",
    )


# -- what is told -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """The numbers of one group. A number that is None stands for fewer than ten people, and is not told."""

    label: str
    issued: int | None = 0
    claimed: int | None = 0
    shared: int | None = 0  # awards that were passed on at all
    views: int | None = 0
    claim_rate: int | None = None  # of a hundred
    share_rate: int | None = None  # of a hundred that were claimed
    to_award: str = ""  # within which time half of them were: grade to award, award to claim
    to_claim: str = ""
    hidden: bool = False  # the whole group is not told
    more: Mapping[str, int | None] = field(default_factory=dict)  # by kind: revoked, expired, renewed, withdrawn


@dataclass(frozen=True)
class Share:
    """One part of something: how many of how many, and the share of a hundred that a bar shows."""

    label: str
    number: int | None
    of: int | None = None
    percent: int = 0
    beside: str = ""  # what it belongs to


@dataclass(frozen=True)
class FiguresPage:
    asked: Asked
    total: Line
    months: tuple[Line, ...] = ()
    lines: tuple[Line, ...] = ()
    held_back: tuple[Share, ...] = ()
    places: tuple[Share, ...] = ()
    why_not: tuple[Share, ...] = ()
    choices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    guarded: bool = True  # small numbers are not told
    too_small: bool = False  # what was asked for is of too few people
    anything: bool = True  # something was ever counted
    highest: int = 0  # of the months, for their bars
    badge: Badge | None = None  # where it is the page of one badge of a course
    status: str = ""  # of that course badge


# -- reading ----------------------------------------------------------------------------------------------------


class _Numbers:
    """What the tallies say of one group."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.details: dict[str, Counter[str]] = {}
        self.lasted: dict[str, Counter[int]] = {}

    def add(self, kind: str, detail: str, lasted: int, number: int) -> None:
        if kind != counting.VIEWED or detail in SEEN:
            self.kinds[kind] += number
        self.details.setdefault(kind, Counter())[detail] += number
        if lasted != counting.UNTOLD:
            self.lasted.setdefault(kind, Counter())[lasted] += number


_BY_TALLY: Mapping[str, Any] = {
    "platform": Tally.registration_id,
    "course": Tally.course_id,
    "badge": AchievementVersion.achievement_id,
    "term": Course.term,
    "month": func.substr(Tally.day, 1, 7),
}


def _numbers(session: Session, asked: Asked, by: str = "") -> dict[Any, _Numbers]:
    """Return the numbers of what is asked for, by the values of a dimension; by None where none is named."""
    key: Any = _BY_TALLY[by] if by else None
    of = [key] if by else []
    query = select(*of, Tally.kind, Tally.detail, Tally.lasted, func.sum(Tally.number)).select_from(Tally)
    query = query.outerjoin(AchievementVersion, AchievementVersion.id == Tally.version_id)
    query = query.outerjoin(Course, Course.id == Tally.course_id).where(*_tally_filter(asked))
    found: dict[Any, _Numbers] = {} if by else {None: _Numbers()}
    for row in session.execute(query.group_by(*of, Tally.kind, Tally.detail, Tally.lasted)):
        value = row[0] if by else None
        kind, detail, lasted, number = row[-4:]
        if by and not value:
            continue  # what belongs to no course or version
        found.setdefault(value, _Numbers()).add(kind, detail, lasted, int(number))
    return found


def _tally_filter(asked: Asked) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        _BY_TALLY[name] == asked.value(name) for name in asked.filters if name != "month"
    ]
    if asked.period:
        found.append(Tally.day.startswith(asked.period, autoescape=True))
    if asked.course_badge:
        found.append(Tally.course_badge_id == asked.course_badge)
    return found


def _people(session: Session, asked: Asked, by: str, kind: str, only: Iterable[Any] = ()) -> dict[Any, int]:
    """Return how many people a number stands for, by the values of a dimension; of some values together: by None."""
    month = _month_of(session, kind)
    keys: Mapping[str, Any] = {
        "platform": Course.registration_id,
        "course": Award.course_id,
        "badge": Award.achievement_id,
        "term": Course.term,
        "month": month,
    }
    some = list(only)
    of = [keys[by]] if by and not some else []
    query: Select[Any] = select(*of, func.count(distinct(Award.person_id))).select_from(Award)
    query = query.join(Course, Course.id == Award.course_id)
    query = query.outerjoin(AwardTally, AwardTally.award_id == Award.id).where(_MOMENTS[kind].is_not(None))
    query = query.where(*(keys[name] == asked.value(name) for name in asked.filters if name != "month"))
    if asked.period:
        query = query.where(month.startswith(asked.period, autoescape=True))
    if some:
        query = query.where(keys[by].in_(some))
    if of:
        query = query.group_by(*of)
    return {(row[0] if of else None): int(row[-1]) for row in session.execute(query)}


_MOMENTS: Mapping[str, Any] = {
    counting.ISSUED: Award.issued_at,
    counting.CLAIMED: Award.claimed_at,
    counting.SHARERS: AwardTally.shared_on,
}


def _month_of(session: Session, kind: str) -> Any:
    moment = _MOMENTS[kind]
    if kind == counting.SHARERS:
        return func.substr(moment, 1, 7)
    if session.get_bind().dialect.name == "sqlite":
        return func.strftime("%Y-%m", moment)
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM")


# -- telling ----------------------------------------------------------------------------------------------------


def _as_it_is(number: int, people: int) -> int | None:
    return number


def _guarded(number: int, people: int) -> int | None:
    if number == 0:
        return 0
    if min(number, people) < FEWEST:
        return None
    return NEAREST * round(number / NEAREST)


Tell = Callable[[int, int], "int | None"]


def _line(label: str, numbers: _Numbers, people: Mapping[str, int], tell: Tell) -> Line:
    """Word the numbers of one group; `people` by kind."""
    kinds, of = numbers.kinds, people.get(counting.ISSUED, 0)
    issued = tell(kinds[counting.ISSUED], of)
    claimed = tell(kinds[counting.CLAIMED], people.get(counting.CLAIMED, 0))
    shared = tell(kinds[counting.SHARERS], people.get(counting.SHARERS, 0))
    others = (counting.REVOKED, counting.EXPIRED, counting.RENEWED, counting.WITHDRAWN)
    return Line(
        label=label,
        issued=issued,
        claimed=claimed,
        shared=shared,
        views=tell(kinds[counting.VIEWED], of),
        claim_rate=_rate(claimed, issued),
        share_rate=_rate(shared, claimed),
        to_award=_half(numbers.lasted.get(counting.ISSUED), issued, tell),
        to_claim=_half(numbers.lasted.get(counting.CLAIMED), claimed, tell),
        more={kind: tell(kinds[kind], of) for kind in others if kinds[kind]},
    )


def _rate(part: int | None, whole: int | None) -> int | None:
    """Return a share of a hundred, of numbers as they are told; None where it would say too little or too much."""
    if not part or whole is None or whole < FEWEST_FOR_A_RATE or part > whole:
        return None
    return round(100 * part / whole)


def _half(lasted: Counter[int] | None, told: int | None, tell: Tell) -> str:
    """Say within which time half of them were."""
    if not lasted or told is None:
        return ""
    all_of_them, so_far = lasted.total(), 0
    if all_of_them < (FEWEST_FOR_A_MEDIAN if tell is _as_it_is else FEWEST):
        return ""
    for bound in sorted(lasted):
        so_far += lasted[bound]
        if 2 * so_far >= all_of_them:
            return _within(bound)
    return ""


def _within(bound: int) -> str:
    if bound == counting.LONGER:
        return _("more than a year")
    minutes, hours, days = bound // 60, bound // 3600, bound // 86400
    if days:
        return ngettext("within a day", "within %(num)s days", days)
    if hours:
        return ngettext("within an hour", "within %(num)s hours", hours)
    return ngettext("within a minute", "within %(num)s minutes", minutes)


def _shown(session: Session, asked: Asked, by: str, people: Mapping[Any, int]) -> set[Any]:
    """Return which rows of a table may be told, see the head of this file."""
    shown = {value for value, number in people.items() if number >= FEWEST}
    hidden = {value for value, number in people.items() if 0 < number < FEWEST}
    while shown and hidden:
        if _people(session, asked, by, counting.ISSUED, hidden).get(None, 0) >= FEWEST:
            break
        smallest = min(shown, key=lambda value: (people[value], str(value)))
        shown.discard(smallest)
        hidden.add(smallest)
    return shown


def _opens(session: Session, asked: Asked) -> bool:
    """Tell whether no filter opens a group that the table without it would hide."""
    for dimension in asked.filters:
        around = asked.without(dimension)
        if dimension == "month" and len(asked.period) == 4:
            people = _by_year(session, around)
        else:
            if dimension == "month":  # a month is one of its year
                around = replace(around, period=asked.period[:4])
            people = _people(session, around, dimension, counting.ISSUED)
        value = asked.value(dimension)
        if people.get(value) and value not in _shown(session, around, dimension, people):
            return False
    return True


def _by_year(session: Session, asked: Asked) -> dict[Any, int]:
    years = {month[:4] for month in _people(session, asked, "month", counting.ISSUED) if month}
    found = {}
    for year in years:
        of = _people(session, replace(asked, period=year), "", counting.ISSUED)
        found[year] = of.get(None, 0)
    return found


def _lines(session: Session, asked: Asked, by: str, names: Mapping[Any, str], tell: Tell) -> tuple[Line, ...]:
    """Return the table of what is asked for by a dimension, the largest first; months in their order."""
    numbers = _numbers(session, asked, by)
    if tell is _as_it_is:
        of = dict.fromkeys(_MOMENTS, FEWEST)
        rows = [(value, _line(names.get(value, str(value)), told, of, tell)) for value, told in numbers.items()]
    else:
        people = {kind: _people(session, asked, by, kind) for kind in _MOMENTS}
        shown = _shown(session, asked, by, people[counting.ISSUED])
        rows = []
        for value, told in numbers.items():
            label, of = names.get(value, str(value)), {kind: people[kind].get(value, 0) for kind in people}
            rows.append((value, _line(label, told, of, tell) if value in shown else Line(label, hidden=True)))
    if by == "month":
        rows.sort(key=lambda row: str(row[0]))
        return tuple(line for _value, line in rows[-MOST_MONTHS:])
    rows.sort(key=lambda row: (row[1].hidden, -(row[1].issued or 0), row[1].label.casefold()))
    return tuple(line for _value, line in rows[:MOST_LINES])


def _total(session: Session, asked: Asked, tell: Tell) -> tuple[Line, _Numbers, int]:
    """Return the numbers of all that is asked for, and how many people they stand for."""
    numbers = _numbers(session, asked)[None]
    if tell is _as_it_is:
        people = dict.fromkeys(_MOMENTS, FEWEST)
    else:
        people = {kind: _people(session, asked, "", kind).get(None, 0) for kind in _MOMENTS}
    return _line("", numbers, people, tell), numbers, people[counting.ISSUED]


# -- the administrator's ----------------------------------------------------------------------------------------


def figures(tool: Tool, asked: Asked) -> FiguresPage:
    """Return the figures of the installation, or of a part of it."""
    with tool.db.read() as session:
        choices = _choices(session)
        if not choices["period"]:
            return FiguresPage(asked, Line(""), anything=False, choices=choices)
        total, numbers, people = _total(session, asked, _guarded)
        if (people < FEWEST and numbers.kinds.total()) or not _opens(session, asked):
            return FiguresPage(asked, Line("", hidden=True), choices=choices, too_small=True)
        months = _lines(session, asked, "month", _months(session, asked), _guarded)
        lines = months if asked.by == "month" else _lines(session, asked, asked.by, _names(session, asked.by), _guarded)
        return FiguresPage(
            asked=asked,
            total=total,
            months=months,
            lines=lines,
            held_back=_held_back(session, asked, _guarded),
            places=_places(numbers, people, _guarded),
            why_not=_reasons(numbers),
            choices=choices,
            highest=_highest(months),
        )


def _highest(months: Sequence[Line]) -> int:
    return max((max(line.issued or 0, line.claimed or 0) for line in months), default=0)


def _choices(session: Session) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return what each filter offers, as values and words."""
    months = sorted(session.scalars(select(func.substr(Tally.day, 1, 7)).distinct()), reverse=True)
    years = sorted({month[:4] for month in months}, reverse=True)
    periods = [(year, year) for year in years] + [(month, month_words(month)) for month in months[:MOST_MONTHS]]
    found = {"period": tuple(periods)}
    for dimension in ("platform", "course", "badge", "term"):
        counted = session.scalars(
            select(_BY_TALLY[dimension])
            .distinct()
            .select_from(Tally)
            .outerjoin(AchievementVersion, AchievementVersion.id == Tally.version_id)
            .outerjoin(Course, Course.id == Tally.course_id)
        )
        names = _names(session, dimension)
        options = [(str(value), names.get(value, str(value))) for value in counted if value]
        found[dimension] = tuple(sorted(options, key=lambda one: one[1].casefold()))
    return found


def _names(session: Session, dimension: str) -> dict[Any, str]:
    """Return what the values of a dimension are called."""
    if dimension == "platform":
        return dict(session.execute(select(Registration.id, Registration.name)).all())
    if dimension == "course":
        called = func.coalesce(func.nullif(Course.label, ""), func.nullif(Course.title, ""), Course.context_id)
        return dict(session.execute(select(Course.id, called)).all())
    if dimension == "badge":
        newest = select(func.max(AchievementVersion.id)).group_by(AchievementVersion.achievement_id)
        query = select(AchievementVersion.achievement_id, AchievementVersion.definition, Achievement.slug)
        rows = session.execute(query.join(Achievement).where(AchievementVersion.id.in_(newest))).all()
        called_so = Counter(definition["name"] for _id, definition, _slug in rows)
        return {
            id: definition["name"] if called_so[definition["name"]] == 1 else f"{definition['name']} ({slug})"
            for id, definition, slug in rows
        }
    return {}


def _months(session: Session, asked: Asked) -> dict[Any, str]:
    months = session.scalars(select(func.substr(Tally.day, 1, 7)).distinct())
    return {month: month_words(month) for month in months}


def month_words(month: str) -> str:
    """Write a month: Nov 2026."""
    return format_date(date(int(month[:4]), int(month[5:7]), 1), "MMM y", locale=get_locale() or ENGLISH)


# -- a course's -------------------------------------------------------------------------------------------------


def course_figures(tool: Tool, course_id: int, asked: Asked, slug: str = "") -> FiguresPage:
    """Return the figures of a course, or of one of its badges, as they are; raises NotFound for another course's."""
    with tool.db.read() as session:
        asked = Asked(course=course_id, period=asked.period, by="badge")
        of: dict[str, Any] = {}
        if slug:
            badge = catalog.get_badge(session, course_id, slug)
            if badge.version is None:
                raise NotFound(f"badge {slug} is not published")
            asked = replace(asked, course_badge=badge.id)
            of = {"badge": badge_from_content(badge.version.definition), "status": badge.status}
        months_of = _months_of(session, replace(asked, period=""))
        if not months_of:
            held_back = _held_back(session, asked, _as_it_is)
            return FiguresPage(asked, Line(""), held_back=held_back, guarded=False, anything=False, **of)
        total, numbers, _people_here = _total(session, asked, _as_it_is)
        months = _lines(session, asked, "month", _months(session, asked), _as_it_is)
        years = sorted({month[:4] for month in months_of}, reverse=True)
        periods = [(each, each) for each in years] + [(each, month_words(each)) for each in months_of]
        return FiguresPage(
            asked=asked,
            total=total,
            months=months,
            lines=() if slug else _lines(session, asked, "badge", _names(session, "badge"), _as_it_is),
            held_back=_held_back(session, asked, _as_it_is),
            places=_places(numbers, FEWEST, _as_it_is),
            why_not=_reasons(numbers),
            choices={"period": tuple(periods)},
            guarded=False,
            highest=_highest(months),
            **of,
        )


def _months_of(session: Session, asked: Asked) -> list[str]:
    query = select(func.substr(Tally.day, 1, 7)).distinct().select_from(Tally)
    query = query.outerjoin(AchievementVersion, AchievementVersion.id == Tally.version_id)
    query = query.outerjoin(Course, Course.id == Tally.course_id).where(*_tally_filter(asked))
    return sorted(session.scalars(query), reverse=True)[:MOST_MONTHS]


# -- what holds people back, where it is shown, why it is not claimed -------------------------------------------


def _held_back(session: Session, asked: Asked, tell: Tell) -> tuple[Share, ...]:
    """Return the rows in which most learners are below the required level, of those who have a result there.

    As their grades stand now, whatever the period."""
    state = Mastery.record["state"].as_string()
    counts = or_(Mastery.met, Mastery.level.is_not(None), state.not_in(("ungraded", "hidden", "malformed")))
    query = (
        select(
            AchievementVersion.achievement_id,
            Mastery.tag,
            func.count(),
            func.sum(case((Mastery.met, 0), else_=1)).cast(Integer),
            func.count(distinct(Mastery.person_id)),
            func.max(AchievementVersion.id),
        )
        .select_from(Mastery)
        .join(CourseBadge, CourseBadge.id == Mastery.course_badge_id)
        .join(AchievementVersion, AchievementVersion.id == CourseBadge.version_id)
        .join(Course, Course.id == CourseBadge.course_id)
        .where(counts, CourseBadge.status == "active", *_course_filter(asked))
        .group_by(AchievementVersion.achievement_id, Mastery.tag)
    )
    found = []
    rows = session.execute(query).all()
    versions = {
        version.id: version
        for version in session.scalars(
            select(AchievementVersion)
            .where(AchievementVersion.id.in_({row[5] for row in rows}))
            .options(joinedload(AchievementVersion.achievement))
        )
    }
    for _achievement_id, tag, learners, below, people, version_id in rows:
        badge = badge_from_content(versions[version_id].definition)
        names = {row.tag: row.name for row in badge.sub_competencies}
        of = tell(learners, people)
        number = tell(below, min(people, below))
        if tag not in names or not of or not number or number > of:
            continue
        found.append(Share(names[tag], number, of, round(100 * number / of), badge.name))
    found.sort(key=lambda each: (-each.percent, -(each.of or 0), each.beside, each.label))
    return tuple(found[:MOST_ROWS])


def _course_filter(asked: Asked) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if asked.platform:
        found.append(Course.registration_id == asked.platform)
    if asked.course:
        found.append(Course.id == asked.course)
    if asked.badge:
        found.append(AchievementVersion.achievement_id == asked.badge)
    if asked.term:
        found.append(Course.term == asked.term)
    if asked.course_badge:
        found.append(CourseBadge.id == asked.course_badge)
    return [and_(*found)] if found else []


def place_words(place: str) -> str:
    """Say where an award was passed on to."""
    if place.startswith(counting.DOWNLOAD):
        return _("File: %(form)s", form=place.removeprefix(counting.DOWNLOAD).upper())
    words = {
        "link": _("Copied link"),
        "linkedin": _("LinkedIn"),
        "embed": _("Embedded in a page"),
        "share-link": _("Share link"),
        "wallet": _("Wallet"),
        "backpack": _("Backpack"),
        "pdf": _("PDF certificate"),
        "qr": _("QR code"),
    }
    return words.get(place, place)


def _places(numbers: _Numbers, people: int, tell: Tell) -> tuple[Share, ...]:
    return _parts(numbers.details.get(counting.SHARED, Counter()), place_words, people, tell)


def _reasons(numbers: _Numbers) -> tuple[Share, ...]:
    """Return the reasons that ten people or more gave: fewer are not told to an instructor either."""
    told = _parts(numbers.details.get(counting.WHY_NOT, Counter()), reason_words, FEWEST, _guarded)
    return tuple(part for part in told if part.number is not None)


def reason_words(reason: str) -> str:
    """Say why an award was not claimed, in the words that were chosen from."""
    words = {
        "later": _("I will do it later"),
        "private": _("It is nobody’s business"),
        "unclear": _("I do not see what it is good for"),
        "effort": _("It is too much to do"),
        "other": _("Something else"),
    }
    return words.get(reason, reason)


def _parts(of: Counter[str], words: Callable[[str], str], people: int, tell: Tell) -> tuple[Share, ...]:
    told = [(words(name), tell(number, people)) for name, number in of.most_common() if number]
    highest = max((number or 0 for _name, number in told), default=0)
    return tuple(
        Share(name, number, percent=round(100 * number / highest) if number and highest else 0) for name, number in told
    )


# -- taken along ------------------------------------------------------------------------------------------------


def as_csv(page: FiguresPage) -> str:
    """Return the table of a page for a spreadsheet: what the page does not tell, the file does not either."""
    words = {
        "platform": _("Platform"),
        "course": _("Course"),
        "badge": _("Badge"),
        "term": _("Term"),
        "month": _("Month"),
    }
    head = [
        words[page.asked.by],
        _("Issued"),
        _("Claimed"),
        _("Claimed of 100"),
        _("Shared"),
        _("Shared of 100"),
        _("Page opened"),
        _("From grade to badge, half of them"),
        _("From badge to claim, half of them"),
    ]
    rows = [head]
    for line in (*page.lines, replace(page.total, label=_("All"))):
        if line.hidden:
            rows.append([line.label, *[_("fewer than ten people")] * 8])
            continue
        numbers = (line.issued, line.claimed, line.claim_rate, line.shared, line.share_rate, line.views)
        cells = [
            str(number) if number is not None else "" if place in (2, 4) else _("fewer than ten")
            for place, number in enumerate(numbers)
        ]
        rows.append([line.label, *cells, line.to_award, line.to_claim])
    return write_csv(rows)
