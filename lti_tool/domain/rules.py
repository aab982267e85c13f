"""What a badge definition must fulfil beyond its form: each problem with the place it stands at."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation

from lti_tool.domain.badge import (
    ACHIEVEMENT_TYPES,
    ALIGNMENT_TYPES,
    EXTENSION,
    IDENTIFIER_TYPES,
    MICRO_CREDENTIAL,
    SHAPES,
    SLUG,
    Alignment,
    Badge,
    Gate,
    SubCompetency,
    months_days_hours,
    needed,
    number_text,
)
from lti_tool.sentence import Sentence

Place = tuple[str | int, ...]
Problem = tuple[Place, str]

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LONG_TEXTS = ("description", "criteria")  # those of several lines
_IN_FILE = {"sub_competencies": "sub_competency", "levels": "level", "gates": "gate"}
_NOT_IN_LINE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_NOT_IN_LONG_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
LANGUAGE = re.compile(r"[a-z]{2,4}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")  # the pattern of the OB 3.0 schema
COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
MOST_LEVELS = 10
MOST_ROWS = 50
MOST_GATES = 20
MOST_TAGS = 50
LONGEST_TAG = 100  # characters, as below
LONGEST_TEXT = 20_000  # of a description or criteria
MOST = 1_000_000  # points or credits; and no more places behind the point than gradebooks keep
FINEST = -5
LONGEST_DURATION = 36_525  # days; a calendar ends with the year 9999
MOST_IDENTIFIERS = MOST_RELATED = 20
LONGEST_WORD = 200  # of a field of study, a code, an identifier
LONGEST_NAME = 200  # Moodle answers 502 to an overlong label of a column


def problems(badge: Badge) -> list[Problem]:
    """Return everything that keeps the definition from being used, in the order of the file."""
    found = [*_head(badge), *_rows(badge), *_gates(badge), *_stack(badge)]
    told = {place for place, _ in found}
    return found + [problem for problem in _characters(badge) if problem[0] not in told]


def _characters(badge: Badge) -> Iterator[Problem]:
    """Find characters that PostgreSQL or a line of a gradebook cannot hold."""
    for place, text in _texts((), badge.content()):
        match = (_NOT_IN_LONG_TEXT if place[-1] in LONG_TEXTS else _NOT_IN_LINE).search(text)
        if match is None:
            continue
        if match[0] in "\r\n":
            yield place, Sentence("this is one line: leave the line break out")
        else:
            code = f"U+{ord(match[0]):04X}"
            yield place, Sentence("holds the control character %(code)s: leave it out", code=code)


def _texts(place: Place, value: object) -> Iterator[tuple[Place, str]]:
    """Yield every text of a definition's content with the place it has in the file."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts((*place, index), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            here: str = _IN_FILE.get(name) or name
            top = () if place or here in ("sub_competency", "gate", "stack") else ("badge",)
            yield from _texts((*place, *top, here), item)


def _head(badge: Badge) -> Iterator[Problem]:
    at = ("badge",)
    if not SLUG.fullmatch(badge.slug) or len(badge.slug) > 80:
        yield (*at, "slug"), Sentence('write it in small letters, digits and hyphens, as "oral-communication"')
    for field in ("name", "description", "criteria"):
        if not getattr(badge, field).strip():
            yield (*at, field), Sentence("say something here: it is what people read")
    if len(badge.name) > LONGEST_NAME:
        yield (*at, "name"), Sentence("longer than %(longest)s characters", longest=LONGEST_NAME)
    yield from _length((*at, "description"), badge.description)
    yield from _length((*at, "criteria"), badge.criteria)
    if len(badge.tags) > MOST_TAGS:
        yield (*at, "tags"), Sentence("at most %(most)s tags, these are %(have)s", most=MOST_TAGS, have=len(badge.tags))
    if any(len(tag) > LONGEST_TAG for tag in badge.tags):
        yield (*at, "tags"), Sentence("a tag is longer than %(longest)s characters", longest=LONGEST_TAG)
    if not LANGUAGE.fullmatch(badge.language):
        yield (
            (*at, "language"),
            Sentence('%(language)s is not a language tag such as "en" or "pt-BR"', language=f"{badge.language!r}"),
        )
    if badge.expires_after:
        yield from _duration((*at, "expires_after"), badge.expires_after)
    yield from _release(badge.release)
    if badge.credits is not None and not (_is_usual(badge.credits) and badge.credits > 0):
        yield (*at, "credits"), Sentence("credits are above zero, or left out")
    yield from _picture(badge)
    yield from _alignments(at, badge.alignment)
    yield from _catalogue(badge)
    for index, slug in enumerate(badge.prerequisites):
        if not SLUG.fullmatch(slug):
            yield (*at, "prerequisites", index), Sentence("%(slug)s is not the slug of a badge", slug=f"{slug!r}")
        if slug == badge.slug:
            yield (*at, "prerequisites", index), Sentence("a badge cannot be its own prerequisite")
        if slug in badge.prerequisites[:index]:
            yield (*at, "prerequisites", index), Sentence("%(slug)s is named twice", slug=f"{slug!r}")


def _catalogue(badge: Badge) -> Iterator[Problem]:
    """Check what registries and catalogues read."""
    at = ("badge",)
    if badge.type and badge.type not in ACHIEVEMENT_TYPES and not EXTENSION.fullmatch(badge.type):
        yield (
            (*at, "type"),
            Sentence(
                '%(type)s is no type of achievement: write "%(usual)s", another of Open Badges 3.0, or "ext:…"',
                type=f"{badge.type!r}",
                usual=MICRO_CREDENTIAL,
            ),
        )
    for field in ("field_of_study", "specialization", "human_code"):
        if len(getattr(badge, field)) > LONGEST_WORD:
            yield (*at, field), Sentence("longer than %(longest)s characters", longest=LONGEST_WORD)
    for name, items, most in (
        ("identifiers", badge.identifiers, MOST_IDENTIFIERS),
        ("related", badge.related, MOST_RELATED),
    ):
        if len(items) > most:
            yield (*at, name), Sentence("at most %(most)s of these, there are %(have)s", most=most, have=len(items))
    for index, identifier in enumerate(badge.identifiers):
        here: Place = (*at, "identifiers", index)
        if identifier.type not in IDENTIFIER_TYPES and not EXTENSION.fullmatch(identifier.type):
            yield (
                here,
                Sentence(
                    '%(type)s is no type of identifier: write one of Open Badges 3.0, or "ext:…"',
                    type=f"{identifier.type!r}",
                ),
            )
        if not identifier.value.strip() or len(identifier.value) > LONGEST_WORD:
            yield here, Sentence("write the identifier, in at most %(longest)s characters", longest=LONGEST_WORD)
    for index, related in enumerate(badge.related):
        here = (*at, "related", index)
        if not _is_address(related.url):
            yield here, Sentence("%(url)s is not an address that begins with https://", url=f"{related.url!r}")
        if related.language and not LANGUAGE.fullmatch(related.language):
            yield (
                here,
                Sentence(
                    '%(language)s is not a language tag such as "en" or "pt-BR"', language=f"{related.language!r}"
                ),
            )
    if badge.creator is not None:
        if not badge.creator.name.strip() or len(badge.creator.name) > LONGEST_NAME:
            yield (*at, "creator"), Sentence("name who made the badge, in at most %(longest)s characters", longest=200)
        if badge.creator.url and not _is_address(badge.creator.url):
            yield (
                (*at, "creator"),
                Sentence("%(url)s is not an address that begins with https://", url=f"{badge.creator.url!r}"),
            )


def _is_address(url: str) -> bool:
    return url.startswith(("https://", "http://")) and not any(c.isspace() for c in url)


def _length(place: Place, text: str) -> Iterator[Problem]:
    if len(text) > LONGEST_TEXT:
        yield place, Sentence("longer than %(longest)s characters", longest=f"{LONGEST_TEXT:,}")


def _is_usual(number: Decimal) -> bool:
    """Tell whether a number is one a gradebook can hold: 1e99999999, written out, would take all memory."""
    if not number.is_finite() or not (-30 < number.adjusted() < 30):
        return False
    return 0 <= number <= MOST and number == round(number, -FINEST)


def _duration(place: Place, text: str) -> Iterator[Problem]:
    try:
        months, days, hours = months_days_hours(text)
        if "W" in text and not re.fullmatch(r"P\d+W", text):  # ISO 8601-1:2004, 4.4.3.2; awards of before may have it
            raise ValueError("weeks beside others")
    except ValueError:
        yield (
            place,
            Sentence(
                '%(text)s is not a duration: write whole years, months, days and hours, as "P3Y", "P1Y6M" or "PT36H", '
                'or weeks alone, as "P2W"',
                text=f"{text!r}",
            ),
        )
        return
    if (months, days, hours) == (0, 0, 0):
        yield place, Sentence("a duration above zero is needed")
    if months * 365 + (days + hours / 24) * 12 > LONGEST_DURATION * 12:
        yield place, Sentence("a hundred years at most: leave it out where there is to be no end")


def _release(release: str) -> Iterator[Problem]:
    if release in ("immediate", "held"):
        return
    try:
        zone = datetime.fromisoformat(release).tzinfo
    except ValueError:
        yield ("badge", "release"), Sentence('write "immediate", "held", or a time such as "2027-01-31T12:00:00Z"')
        return
    if zone is None:
        yield ("badge", "release"), Sentence('the time needs a zone, as in "2027-01-31T12:00:00Z"')


def _picture(badge: Badge) -> Iterator[Problem]:
    picture, at = badge.picture, ("badge", "picture")
    if not picture.alt.strip():
        yield at, Sentence("alt is missing: say in words what the picture shows")
    if picture.file:
        return
    if picture.shape not in SHAPES:
        yield at, Sentence("shape must be one of %(shapes)s", shapes=", ".join(SHAPES))
    for colour in picture.colours:
        if not COLOUR.fullmatch(colour):
            yield at, Sentence('%(colour)s is not a colour such as "#0E5468"', colour=f"{colour!r}")


def _alignments(place: Place, alignments: tuple[Alignment, ...]) -> Iterator[Problem]:
    for index, alignment in enumerate(alignments):
        if not _is_address(alignment.url):
            yield (
                (*place, "alignment", index),
                Sentence("%(url)s is not an address that begins with https://", url=f"{alignment.url!r}"),
            )
        if not alignment.name.strip():
            yield (*place, "alignment", index), Sentence("name what it is aligned to")
        if alignment.type and alignment.type not in ALIGNMENT_TYPES and not EXTENSION.fullmatch(alignment.type):
            yield (
                (*place, "alignment", index),
                Sentence(
                    '%(type)s is no type of target: write one of %(types)s, or "ext:" and a word',
                    type=f"{alignment.type!r}",
                    types=", ".join(ALIGNMENT_TYPES),
                ),
            )
        yield from _length((*place, "alignment", index), alignment.description)


def _rows(badge: Badge) -> Iterator[Problem]:
    if badge.stack is None and not badge.sub_competencies:
        yield ("badge",), Sentence("a badge needs at least one [[sub_competency]], or a [stack]")
        return
    if badge.stack is not None:
        return
    if len(badge.sub_competencies) > MOST_ROWS:
        yield ("sub_competency", MOST_ROWS), Sentence("a badge has at most %(most)s sub-competencies", most=MOST_ROWS)
    seen: set[str] = set()
    for index, row in enumerate(badge.sub_competencies):
        at: Place = ("sub_competency", index)
        yield from _code((*at, "code"), row.code, seen)
        yield from _row(at, row)
    yield from _rule(badge)
    yield from _columns(badge)


def _columns(badge: Badge) -> Iterator[Problem]:
    at: Place = ("badge", "columns")
    if badge.columns == "each":
        return
    if any(row.source != "rubric" for row in badge.sub_competencies):
        yield (
            at,
            Sentence(
                'with columns = "%(columns)s" every sub-competency needs source = "rubric": it is marked here',
                columns=badge.columns,
            ),
        )
    if badge.columns == "none" and any(gate.reads_column for gate in badge.gates):
        yield at, Sentence('with columns = "none" no gate can have source = "column": there would be no column to read')
    usual = all(_is_usual(level.points) for row in badge.sub_competencies for level in row.levels[-1:])
    if badge.columns == "total" and usual and all(row.levels for row in badge.sub_competencies):
        if badge.highest_total > MOST:
            yield (
                at,
                Sentence(
                    "the highest points of all rows come to more than %(most)s, which no column can hold",
                    most=f"{MOST:,}",
                ),
            )
        elif badge.highest_total == 0:
            yield at, Sentence("the highest points of all rows come to zero, so there would be nothing to enter")


def _code(place: Place, code: str, seen: set[str]) -> Iterator[Problem]:
    if not CODE.fullmatch(code):
        yield (
            place,
            Sentence('%(code)s cannot be a code: use letters, digits, ".", "_" and "-", at most 60', code=f"{code!r}"),
        )
    if code in seen:
        yield place, Sentence("the code %(code)s is used twice", code=f"{code!r}")
    seen.add(code)


def _row(at: Place, row: SubCompetency) -> Iterator[Problem]:
    if not row.name.strip():
        yield (*at, "name"), Sentence("give the sub-competency a name")
    if len(row.name) > LONGEST_NAME:
        yield (*at, "name"), Sentence("longer than %(longest)s characters", longest=LONGEST_NAME)
    yield from _length((*at, "description"), row.description)
    if not 2 <= len(row.levels) <= MOST_LEVELS:
        yield (
            at,
            Sentence(
                "a sub-competency has 2 to %(most)s levels, this one has %(have)s",
                most=MOST_LEVELS,
                have=len(row.levels),
            ),
        )
    names = [level.name for level in row.levels]
    for index, level in enumerate(row.levels):
        here = (*at, "level", index)
        if not level.name.strip():
            yield (*here, "name"), Sentence("give the level a name")
        if names.index(level.name) != index:
            yield (*here, "name"), Sentence("the level %(level)s is there twice", level=f"{level.name!r}")
        if not _is_usual(level.points):
            yield (
                (*here, "points"),
                Sentence(
                    "points are between zero and %(most)s, with %(decimals)s decimals at most",
                    most=f"{MOST:,}",
                    decimals=-FINEST,
                ),
            )
        elif index and level.points <= row.levels[index - 1].points:
            yield (
                (*here, "points"),
                Sentence(
                    "levels go from low to high: %(level)s must have more points than %(lower)s",
                    level=f"{level.name!r}",
                    lower=f"{names[index - 1]!r}",
                ),
            )
        yield from _length((*here, "description"), level.description)
        yield from _alignments(here, level.alignment)
    if row.required_level not in names:
        known = ", ".join(repr(name) for name in names)
        yield (
            (*at, "required_level"),
            Sentence("%(level)s is not one of its levels (%(known)s)", level=f"{row.required_level!r}", known=known),
        )
    yield from _alignments(at, row.alignment)


def _rule(badge: Badge) -> Iterator[Problem]:
    count = len(badge.sub_competencies)
    try:
        wanted = needed(badge.rule, count)
    except ValueError:
        yield ("badge", "rule"), Sentence('write "all" or "any 3"')
        return
    if not 1 <= wanted <= count:
        yield ("badge", "rule"), Sentence("asks for %(wanted)s of %(all)s sub-competencies", wanted=wanted, all=count)


def _gates(badge: Badge) -> Iterator[Problem]:
    if len(badge.gates) > MOST_GATES:
        yield ("gate", MOST_GATES), Sentence("a badge has at most %(most)s gates", most=MOST_GATES)
    seen = {row.code for row in badge.sub_competencies}
    for index, gate in enumerate(badge.gates):
        at: Place = ("gate", index)
        yield from _code((*at, "code"), gate.code, seen)
        if not gate.name.strip():
            yield (*at, "name"), Sentence("give the gate a name")
        yield from _gate(at, gate)
        yield from _same_grade(at, gate, badge.gates[:index])


def _same_grade(at: Place, gate: Gate, earlier: tuple[Gate, ...]) -> Iterator[Problem]:
    """Refuse two conditions on one grade: the stricter alone says it, and with other scales they contradict."""
    for other in earlier:
        if gate.name.strip() and gate.name.strip().casefold() == other.name.strip().casefold():
            yield (
                (*at, "name"),
                Sentence("two gates are called %(name)s: nobody could tell their columns apart", name=f"{gate.name!r}"),
            )
        elif gate.source == other.source and gate.source.endswith("-course-grade"):
            yield (
                at,
                Sentence(
                    "%(name)s already asks for the course grade: keep the stricter of the two", name=f"{other.name!r}"
                ),
            )


def _gate(at: Place, gate: Gate) -> Iterator[Problem]:
    if gate.out_of is not None:
        if gate.kind != "points":
            yield (*at, "out_of"), Sentence("only a condition in points says out of how many")
        elif not (_is_usual(gate.out_of) and gate.out_of > 0):
            yield (*at, "out_of"), Sentence("a number above zero, at most %(most)s, is needed", most=f"{MOST:,}")
    if gate.kind == "letter":
        letters = [letter for letter, _ in gate.scale]
        leasts = [least for _, least in gate.scale]
        if len(letters) < 2:
            yield (
                (*at, "scale"),
                Sentence("a letter grade needs its scale, as { F = 0, D = 60, C = 70, B = 80, A = 90 }"),
            )
        elif any(high <= low for low, high in itertools.pairwise(leasts)):
            yield (
                (*at, "scale"),
                Sentence("the scale goes from low to high, each letter with more per cent than the one before"),
            )
        elif not all(0 <= least <= 100 for least in leasts):
            yield (*at, "scale"), Sentence("each letter has a least per cent between 0 and 100")
        if gate.required not in letters:
            yield (*at, "required"), Sentence("%(letter)s is not a letter of the scale", letter=f"{gate.required!r}")
    elif gate.kind in ("percent", "points"):
        try:
            value = Decimal(gate.required)
        except InvalidOperation:
            yield (*at, "required"), Sentence("%(letter)s is not a number", letter=f"{gate.required!r}")
            return
        if not _is_usual(value):
            yield (*at, "required"), Sentence("a number between zero and %(most)s is needed", most=f"{MOST:,}")
        elif gate.kind == "percent" and value > 100:
            yield (*at, "required"), Sentence("more than 100 % can never be reached")
        elif gate.kind == "points" and gate.out_of is not None and _is_usual(gate.out_of) and gate.out_of < value:
            yield (
                (*at, "required"),
                Sentence(
                    "more than the %(there)s points there are can never be reached", there=number_text(gate.out_of)
                ),
            )
    elif gate.required:
        yield (*at, "required"), Sentence("a pass gate is passed or not: leave required out")


def _stack(badge: Badge) -> Iterator[Problem]:
    stack = badge.stack
    if stack is None:
        return
    if badge.sub_competencies:
        yield ("stack",), Sentence("a badge has sub-competencies or is a stack of badges, not both")
    if not stack.members:
        yield ("stack", "members"), Sentence("name at least one badge")
    if len(stack.members) > MOST_ROWS:
        yield ("stack", "members"), Sentence("a stack has at most %(most)s badges", most=MOST_ROWS)
    for index, slug in enumerate(stack.members):
        at: Place = ("stack", "members", index)
        if not SLUG.fullmatch(slug):
            yield at, Sentence("%(slug)s is not the slug of a badge", slug=f"{slug!r}")
        if slug == badge.slug:
            yield at, Sentence("a stack cannot hold itself")
        if slug in badge.prerequisites:
            yield at, Sentence("%(slug)s is a part of the stack, and a prerequisite too", slug=f"{slug!r}")
    if len(set(stack.members)) != len(stack.members):
        yield ("stack", "members"), Sentence("a badge is there twice")
    word, _, number = stack.rule.partition(" ")
    counts = word in ("any", "credits") and bool(re.fullmatch("[1-9][0-9]{0,5}", number))
    if stack.rule != "all" and not counts:
        yield ("stack", "rule"), Sentence('write "all", "any 3" or "credits 12"')
    elif word == "any" and int(number) > len(stack.members):
        yield (
            ("stack", "rule"),
            Sentence("asks for %(number)s of %(all)s badges", number=number, all=len(stack.members)),
        )
    if stack.within:
        yield from _duration(("stack", "within"), stack.within)
