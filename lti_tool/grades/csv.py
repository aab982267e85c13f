"""Grades from a table: which of its columns says who, which belongs to a row of the badge, and what a cell says.

A cell holds a level's name or points. An empty one is "not graded", never zero. Headers of Canvas' gradebook export and
of Moodle's grade export are known: their columns carry the assignment's name with something around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from lti_tool.domain.badge import Gate, SubCompetency, number_text
from lti_tool.domain.scores import MOST_PLACES
from lti_tool.errors import BadInput
from lti_tool.grades.source import raw_answer
from lti_tool.sentence import Sentence
from lti_tool.sheets import Line, key, plain_cell, unmarked

Target = SubCompetency | Gate

# What a column that says who may be called, in the languages the tool speaks; compared by `_head`.
WHO = {
    "sub": ("sub", "user", "user id", "lti user id", "lti sub", "lms id", "id", "usuario", "id de usuario"),
    "sis": (
        *("sis user id", "sis id", "id number", "student id", "student number", "sourcedid", "person sourcedid"),
        *("numero de id", "numero de identificacion", "id sis", "matricula"),
    ),
    "login": ("sis login id", "login", "login id", "username", "nombre de usuario"),
    "email": ("email", "e mail", "mail", "email address", "correo", "correo electronico", "direccion de correo"),
    "name": ("name", "learner", "student", "full name", "student name", "alumno", "estudiante", "nombre completo"),
    "first": ("first name", "given name", "nombre", "nombre s"),
    "last": ("last name", "surname", "family name", "apellido s", "apellidos", "apellido"),
}
# Canvas' own number of a learner is in its export beside the SIS id, and is not the id of a launch.
CANVAS_EXPORT = ("sis user id", "sis login id")
EMPTY = ("", "-", "–", "—")
NOT_GRADED = ("n/a", "na", "ex", "excused", "no grade", "not graded", "sin calificar", "exento")
POSSIBLE = ("points possible", "puntos posibles")
PARTS = {
    "value": ("points", "score", "real", "puntos"),
    "level": ("rating", "level", "nivel"),
    "percent": ("percentage", "porcentaje"),
    "letter": ("letter", "letra"),
    "comment": ("comments", "comment", "feedback", "remark", "comentarios", "comentario"),
}
PART = {word: part for part, words in PARTS.items() for word in words}
PASSED = ("yes", "y", "pass", "passed", "true", "x", "si", "aprobado", "aprobada", "verdadero")
FAILED = ("no", "n", "fail", "failed", "false", "suspenso", "suspensa", "falso")
NUMBER = re.compile(r"([+-]?)(\d+(?:[.,' \u00a0\u202f]\d+)*)(\s*%)?")
LONGEST_COMMENT = 2000


@dataclass(frozen=True)
class Heading:
    """A column that belongs to a row or gate. `part` is what it holds: value, level, percent, letter or comment."""

    place: int
    text: str
    tag: str
    part: str


@dataclass(frozen=True)
class Table:
    """How a table is read. `who` names its columns that say who; `possible` are points by column, where it tells."""

    who: Mapping[str, int]
    headings: tuple[Heading, ...]
    unused: tuple[str, ...]
    possible: Mapping[int, Decimal]
    lines: tuple[Line, ...]


class Unreadable(Exception):
    """A cell that cannot be taken; `sentence` says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


# -- the header -------------------------------------------------------------------------------------------------


def recognise(lines: Sequence[Line], targets: Sequence[Target]) -> Table:
    """Find out what each column is. Raises BadInput where none says who, none is a row's, or two claim the same."""
    head, rest = lines[0], list(lines[1:])
    names = [_head(cell) for cell in head.cells]
    canvas = any(name in CANVAS_EXPORT for name in names)
    who: dict[str, int] = {}
    found: dict[tuple[str, str], tuple[int, Heading]] = {}
    unused = []
    known = {name: kind for kind, words in WHO.items() for name in words}
    for place, name in enumerate(names):
        kind = known.get(name)
        if kind == "sub" and name == "id" and canvas:
            continue
        if kind is not None:
            if kind in who:
                raise _twice(head, place)
            who[kind] = place
            continue
        match = _target(head.cells[place], targets)
        if match is None:
            if name:
                unused.append(plain_cell(head.cells[place])[:80])
            continue
        rank, tag, part = match
        heading = Heading(place, plain_cell(head.cells[place])[:200], tag, part)
        other = found.get((tag, part))
        if other is not None and other[0] == rank:
            raise _twice(head, place)
        if other is None or rank < other[0]:  # by its code before by its title
            found[tag, part] = rank, heading
    if "first" in who and "last" not in who and "name" not in who:
        who["name"] = who.pop("first")  # "Nombre" alone is the whole of it
    if not set(who) - {"first", "last"} and not {"first", "last"} <= set(who):
        raise BadInput(
            sentence=Sentence("Line %(line)s names no column that says who.", line=head.number),
            what_to_do=Sentence(
                "The first line of the file names its columns, in any order. One of them has to be the user id of your "
                "LMS, the SIS id, the e-mail address or the name."
            ),
        )
    headings = sorted((heading for _, heading in found.values()), key=lambda each: each.place)
    if not any(each.part != "comment" for each in headings):
        raise BadInput(
            sentence=Sentence("No column of this file belongs to a row that reads its grades from a file."),
            what_to_do=Sentence(
                "A column is found by the code of its row, or by its name: %(names)s.",
                names=[f"{each.code} {each.name}" for each in targets],
            ),
        )
    possible, rest = _possible(rest, who, headings)
    return Table(who, tuple(headings), tuple(unused), possible, tuple(rest))


def _head(cell: str) -> str:
    """Return a heading as headings are compared: no case, no accents, no punctuation."""
    plain = unmarked(plain_cell(cell))
    return " ".join("".join(each if each.isalnum() else " " for each in plain).split())


def _twice(head: Line, place: int) -> BadInput:
    text = plain_cell(head.cells[place])[:80]
    return BadInput(
        sentence=Sentence("Line %(line)s has two columns “%(head)s”.", line=head.number, head=text),
        what_to_do=Sentence("Leave one of them out."),
    )


def _target(cell: str, targets: Sequence[Target]) -> tuple[int, str, str] | None:
    """Return which row a heading names and what its column holds: by code (0), code and title (1), or title (2)."""
    readings = _readings(plain_cell(cell))
    for text, part in readings:
        by_code = [each for each in targets if key(text) == key(each.code)]
        by_title = [each for each in targets if key(text) in (key(each.name), key(f"{each.code} {each.name}"))]
        if by_code:
            return 0, by_code[0].tag, part
        if len(by_title) == 1:
            return (2 if key(text) == key(by_title[0].name) else 1), by_title[0].tag, part
    for text, part in reversed(readings):
        begins = [each for each in targets if _begins_with(text, each.code)]
        if begins:
            return 1, max(begins, key=lambda each: len(each.code)).tag, part
    return None


def _begins_with(text: str, code: str) -> bool:
    text, code = key(text), key(code)
    after = text.removeprefix(code)
    return after != text and not after[:1].isalnum() and after[:1] not in (".", "-", "_")


def _readings(text: str) -> list[tuple[str, str]]:
    """Return what a heading may mean, the plainest first: as it stands, without what an LMS puts around a name.

    Canvas' gradebook: "Essay (4711)". Moodle: "Assignment: Essay (Real)". A rubric: "Adapts the message - Points"."""
    found = [(text, "value")]
    inside = re.fullmatch(r"(.*\S)\s*\(([^()]*)\)", text, re.DOTALL)
    if inside is not None:
        told = _head(inside[2])
        if told in PART or told.isdigit():
            found += [(inside[1], PART.get(told, "value"))]
    dashed = re.fullmatch(r"(.*\S)\s+[-–:]\s+(\S+)", text, re.DOTALL)
    if dashed is not None and _head(dashed[2]) in PART:
        found += [(dashed[1], PART[_head(dashed[2])])]
    for plain, part in tuple(found):
        prefix, colon, rest = plain.partition(":")
        if colon and rest.strip():
            known = PART.get(_head(prefix))  # "Points: Adapts the message"
            found += [(rest.strip(), known or part)]
    return found


def _possible(
    lines: list[Line], who: Mapping[str, int], headings: Sequence[Heading]
) -> tuple[dict[int, Decimal], list[Line]]:
    """Take off the lines that are no learner's: Canvas' "Points Possible", and what it writes above that."""
    possible: dict[int, Decimal] = {}
    name = who.get("name")
    if name is None:
        return possible, lines
    for at, line in enumerate(lines[:3]):
        if _head(_cell(line, name)) in POSSIBLE:
            for heading in headings:
                text = plain_cell(_cell(line, heading.place))
                if _thousands(text) is not None:
                    raise BadInput(sentence=_two_readings(text))
                number = _number(text)
                if number is not None and number > 0:
                    possible[heading.place] = number
            return possible, lines[at + 1 :]
    return possible, lines


# -- cells ------------------------------------------------------------------------------------------------------


def said_of(line: Line, table: Table) -> dict[str, str]:
    """Return what a line says of who it is about, by the kind of its column."""
    told = {kind: plain_cell(_cell(line, place)) for kind, place in table.who.items()}
    if told.get("first") or told.get("last"):
        told.setdefault("name", f"{told.get('first', '')} {told.get('last', '')}".strip())
    login = told.get("login", "")
    if "@" in login and not told.get("email"):
        told["email"] = login
    return {kind: text for kind, text in told.items() if kind in ("sub", "sis", "email", "name")}


def answers(line: Line, table: Table, targets: Mapping[str, Target]) -> tuple[dict[str, str | None], list[Sentence]]:
    """Return what a line gives for each row, and why some of its cells cannot be taken.

    An answer is as `raw_answer` writes it; None: the cell is empty, so the row is not graded. A row whose cell cannot
    be taken is in neither of the two with an answer: what was known of it stays."""
    found: dict[str, str | None] = {}
    problems: list[Sentence] = []
    comments = {
        each.tag: plain_cell(_cell(line, each.place))[:LONGEST_COMMENT]
        for each in table.headings
        if each.part == "comment"
    }
    for tag in dict.fromkeys(each.tag for each in table.headings if each.part != "comment"):
        of_tag = [each for each in table.headings if each.tag == tag and each.part != "comment"]
        # Points say more than a level's name where a rubric's export has both.
        of_tag.sort(key=lambda each: ("value", "percent", "level", "letter").index(each.part))
        try:
            raw = None
            for heading in of_tag:
                cell = plain_cell(_cell(line, heading.place))
                most = table.possible.get(heading.place)
                raw = raw or _answer(targets[tag], heading.part, cell, most, comments.get(tag, ""))
            found[tag] = raw
        except Unreadable as unreadable:
            problems.append(
                Sentence("%(column)s: %(why)s", column=targets[tag].code or targets[tag].name, why=unreadable.sentence)
            )
    return found, problems


def _cell(line: Line, place: int) -> str:
    return line.cells[place] if place < len(line.cells) else ""


def _answer(target: Target, part: str, cell: str, most: Decimal | None, comment: str) -> str | None:
    text = _unformula(cell)
    if key(text) in EMPTY or (key(text) in NOT_GRADED and not _is_named(target, text)):
        return None
    if isinstance(target, Gate):
        return _gate_answer(target, part, text, most, comment)
    level = next((each for each in target.levels if key(each.name) == key(text)), None) or next(
        (each for each in target.levels if unmarked(each.name) == unmarked(text)), None
    )
    number = _number(text)
    if level is not None and (number is None or part == "level" or number == level.points):
        return raw_answer(level.points, target.highest_points, level=level.name, comment=comment)
    if level is not None:
        raise Unreadable(
            Sentence("“%(cell)s” is a level and a number of points as well. Write the points it has.", cell=text[:60])
        )
    if number is None:
        raise Unreadable(
            Sentence(
                "“%(cell)s” is none of its levels (%(levels)s) and no number.",
                cell=text[:60],
                levels=[each.name for each in target.levels],
            )
        )
    return _points(text, number, part, most, target.highest_points, comment)


def _is_named(target: Target, text: str) -> bool:
    """Tell whether a level or a letter is called so: on a scale BE, AP, ME, EX the last is the best there is."""
    if isinstance(target, Gate):
        return target.kind == "letter" and any(key(letter) == key(text) for letter, _ in target.scale)
    return any(unmarked(level.name) == unmarked(text) for level in target.levels)


def _gate_answer(gate: Gate, part: str, text: str, most: Decimal | None, comment: str) -> str:
    number = _number(text)
    if gate.kind == "letter" and number is None:
        letters = {key(letter): (letter, least) for letter, least in gate.scale}
        if key(text) not in letters:
            raise Unreadable(
                Sentence(
                    "“%(cell)s” is no letter of its scale (%(letters)s).",
                    cell=text[:60],
                    letters=[letter for letter, _ in gate.scale],
                )
            )
        letter, least = letters[key(text)]
        return raw_answer(least, 100, level=letter, comment=comment)
    if gate.kind == "pass" and unmarked(text) in (*PASSED, *FAILED):
        return raw_answer(1 if unmarked(text) in PASSED else 0, 1, comment=comment)
    if number is None:
        raise Unreadable(Sentence("“%(cell)s” is no number.", cell=text[:60]))
    return _points(text, number, part, most, gate.maximum, comment)


def _points(text: str, number: Decimal, part: str, told_most: Decimal | None, most: Decimal, comment: str) -> str:
    """Return an answer of points, or of per cent where the cell or its column says so."""
    if number < 0:
        raise Unreadable(Sentence("“%(cell)s” is below zero.", cell=text[:60]))
    if text.endswith("%") or part == "percent":
        return raw_answer(number, 100, comment=comment)
    grouped = _thousands(text)
    if told_most is not None:  # the file says of how many: more of them is extra credit
        if grouped is not None and told_most >= 1000:
            raise Unreadable(_two_readings(text))
        return raw_answer(number, told_most, comment=comment)
    if grouped is not None and grouped <= most:
        raise Unreadable(_two_readings(text))
    if number > most:
        raise Unreadable(
            Sentence("%(number)s is more than the %(most)s points there are.", number=text[:60], most=number_text(most))
        )
    return raw_answer(number, most, comment=comment)


def _two_readings(text: str) -> Sentence:
    return Sentence("“%(cell)s” can be read in two ways. Write it without a mark between thousands.", cell=text[:60])


def _unformula(cell: str) -> str:
    """Return a cell that a spreadsheet was kept from taking for a number, ="3", as what it says."""
    text = cell.removeprefix("=").strip() if cell.startswith("=") else cell
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _number(text: str) -> Decimal | None:
    """Read a number with a decimal point or comma, with or without marks between thousands; None where it is none."""
    match = NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    sign, digits = match[1], match[2]
    marks = [each for each in digits if not each.isdigit()]
    last = marks[-1] if marks else ""
    if last in (".", ",") and marks.count(last) == 1:
        whole, _, after = digits.rpartition(last)
    else:
        whole, after = digits, ""
    groups = re.split(r"[^\d]", whole)
    if len(groups) > 1 and (len(set(marks[: len(groups) - 1])) > 1 or any(len(each) != 3 for each in groups[1:])):
        return None
    number = Decimal(f"{sign}{''.join(groups)}{'.' + after if after else ''}")
    return number if len(digits) <= 2 * MOST_PLACES else None


def _thousands(text: str) -> Decimal | None:
    """Read 1.234 or 1,234 the other way, as one thousand; None where it has only one reading."""
    match = re.fullmatch(r"\+?(\d{1,3})[.,](\d{3})", text.strip())
    return Decimal(match[1] + match[2]) if match and match[1] != "0" else None


def cell_of(target: Target, score: Fraction, maximum: Fraction, level: str) -> str:
    """Return how a stored answer is written into a table, so that reading it again gives the same; "" where it cannot.

    A level by its name, points of the row's own maximum as a number, anything else in per cent."""
    if level:
        return level
    most = target.maximum if isinstance(target, Gate) else target.highest_points
    if maximum == Fraction(most):
        return number_text(score) if Fraction(number_text(score)) == score else ""
    share = number_text(score * 100 / maximum)
    return f"{share} %" if Fraction(share) == score * 100 / maximum else ""
