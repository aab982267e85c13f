"""A table of grades: its header, and what a cell says."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from lti_tool.domain.badge import Gate, Level, SubCompetency
from lti_tool.errors import BadInput
from lti_tool.grades import csv
from lti_tool.grades.csv import Target
from lti_tool.sheets import Line, read

LEVELS = tuple(
    Level(name, Decimal(points))
    for points, name in enumerate(("Beginning", "Developing", "Proficient", "Advanced"), start=1)
)
A = SubCompetency("OC-1", "Adapts the message", LEVELS, "Proficient", source="csv")
B = SubCompetency("OC-10", "Listens actively", LEVELS, "Proficient", source="csv")
PERCENT = Gate("grade", "Course grade", "percent", "60", source="csv")
LETTER = Gate("letter", "Course letter", "letter", "B", (("F", Decimal(0)), ("B", Decimal(80))), source="csv")
PASS = Gate("done", "Placement done", "pass", source="csv")
POINTS = Gate("points", "Points", "points", "1000", source="csv", out_of=Decimal(2000))
TARGETS: tuple[Target, ...] = (A, B, PERCENT, LETTER, PASS, POINTS)
BY_TAG = {each.tag: each for each in TARGETS}


def table(text: str | bytes) -> csv.Table:
    return csv.recognise(read(text.encode() if isinstance(text, str) else text), TARGETS)


def taken(text: str | bytes, line: int = 0) -> dict[str, Any]:
    """Return what a line of a table gives, by code."""
    found = table(text)
    answers, problems = csv.answers(found.lines[line], found, BY_TAG)
    assert not problems, problems
    return {
        BY_TAG[tag].code: None if raw is None else json.loads(raw, parse_float=Decimal) for tag, raw in answers.items()
    }


def cell(text: str, target: Target = A) -> Any:
    """Return points and maximum of a cell; None where it is not graded, a text where it cannot be taken."""
    line = Line(2, ("u", text))
    read_as = csv.recognise([Line(1, ("user", target.code)), line], [target])
    answers, problems = csv.answers(line, read_as, {target.tag: target})
    if problems:
        return str(problems[0])
    raw = answers[target.tag]
    if raw is None:
        return None
    values = json.loads(raw, parse_float=Decimal)
    return values["resultScore"], values["resultMaximum"]


# -- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "heading",
    [
        "OC-1",
        "oc-1",
        "OC-1 Adapts the message",
        "OC-1: anything",
        "Adapts the message",
        "ADAPTS  THE MESSAGE",
        "Adapts the message (4711)",
        "OC-1 Adapts the message (4711)",
        "Assignment: Adapts the message (Real)",
        "Adapts the message - Points",
        "Points: Adapts the message",
    ],
)
def test_a_column_is_found_by_code_or_title_as_spreadsheets_and_lmss_write_it(heading: str) -> None:
    assert taken(f'user,"{heading}"\nu1,3\n')["OC-1"]["resultScore"] == 3


def test_a_code_that_begins_like_another_is_not_taken_for_it() -> None:
    found = table("user,OC-10,OC-1\nu,1,2\n")
    assert [(each.text, each.tag) for each in found.headings] == [("OC-10", B.tag), ("OC-1", A.tag)]
    assert table("user,OC-100 x,OC-1\nu,1,2\n").unused == ("OC-100 x",)


def test_the_code_comes_before_the_title() -> None:
    found = table("user,Adapts the message,OC-1\nu,1,4\n")
    assert [(each.text, each.tag) for each in found.headings] == [("OC-1", A.tag)]


@pytest.mark.parametrize("text", ["user,OC-1,oc-1\nu,1,2\n", "user,User ID,OC-1\nu,u,2\n"])
def test_two_columns_for_one_thing_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="two columns"):
        table(text)


def test_a_file_that_says_of_nobody_who_or_has_no_row_is_refused_with_what_it_needs() -> None:
    with pytest.raises(BadInput) as nobody:
        table("OC-1\n3\n")
    assert "user id" in nobody.value.what_to_do
    with pytest.raises(BadInput) as nothing:
        table("user,essay\nu,3\n")
    assert "OC-1 Adapts the message" in nothing.value.what_to_do


def test_canvas_gradebook_export_is_read_with_its_points_possible() -> None:
    text = (
        "Student,ID,SIS User ID,SIS Login ID,Section,OC-1 Adapts the message (31),Final Score\n"
        "    Manual Posting,,,,,Manual Posting,\n"
        "    Points Possible,,,,,8,(read only)\n"
        '"Okafor, Amina",901,SIS-1,amina@example.edu,Monday,6,88.1\n'
    )
    found = table(text)
    assert csv.said_of(found.lines[0], found) == {
        "sis": "SIS-1",
        "name": "Okafor, Amina",
        "email": "amina@example.edu",
    }
    assert taken(text) == {"OC-1": {"resultScore": 6, "resultMaximum": 8}}
    assert found.unused == ("Section", "Final Score") and len(found.lines) == 1


def test_moodle_grade_export_is_read_and_its_dash_is_not_graded() -> None:
    text = (
        '"First name","Last name","ID number",Institution,"Email address","Assignment: Adapts the message (Real)",'
        '"Assignment: Listens actively (Percentage)","Course grade (Percentage)"\n'
        'Amina,Okafor,SIS-1,,amina@example.edu,3.00,-,"85.50 %"\n'
    )
    found = table(text)
    assert csv.said_of(found.lines[0], found) == {"sis": "SIS-1", "email": "amina@example.edu", "name": "Amina Okafor"}
    assert taken(text) == {
        "OC-1": {"resultScore": Decimal("3.00"), "resultMaximum": 4},
        "OC-10": None,
        "grade": {"resultScore": Decimal("85.50"), "resultMaximum": 100},
    }


def test_a_rubric_export_gives_points_level_and_comment_of_one_row() -> None:
    text = (
        "Student Id,Student Name,OC-1 Adapts the message - Rating,OC-1 Adapts the message - Points,"
        'OC-1 Adapts the message - Comments\nSIS-1,Amina,Advanced,4,"Heard\nevery word"\nSIS-2,Ben,Developing,,\n'
    )
    assert taken(text) == {"OC-1": {"resultScore": 4, "resultMaximum": 4, "comment": "Heard\nevery word"}}
    assert taken(text, 1) == {"OC-1": {"resultScore": 2, "resultMaximum": 4, "level": "Developing"}}


def test_spanish_headings_are_known() -> None:
    found = table("Nombre;Apellido(s);Dirección de correo;OC-1\nAmina;Okafor;amina@example.edu;2,5\n")
    assert csv.said_of(found.lines[0], found) == {"email": "amina@example.edu", "name": "Amina Okafor"}
    assert csv.said_of(table("Nombre;OC-1\nAmina;1\n").lines[0], table("Nombre;OC-1\nAmina;1\n")) == {"name": "Amina"}


@pytest.mark.parametrize(
    "content",
    [
        "user;OC-1\r\nu;2,5\r\n".encode("cp1252"),
        b"sep=;\r\nuser;OC-1\r\nu;2,5\r\n",
        "\ufeffuser\tOC-1\r\nu\t2,5\r\n".encode("utf-16-le"),
        'user,OC-1\nu,"2,5"\n'.encode("utf-8-sig"),
    ],
)
def test_separators_encodings_and_decimal_commas_of_spreadsheets_are_read(content: bytes) -> None:
    assert taken(content) == {"OC-1": {"resultScore": Decimal("2.5"), "resultMaximum": 4}}


def test_a_line_is_known_by_its_number_in_the_file_though_cells_have_line_breaks() -> None:
    found = table('user,note,OC-1\nu1,"one\ntwo",1\n\nu2,,2\n')
    assert [line.number for line in found.lines] == [2, 5]


# -- cells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  ", "-", "–", "n/a", "N/A", "EX", "Excused", "Sin calificar"])
def test_an_empty_cell_is_not_graded_and_never_zero(text: str) -> None:
    assert cell(text) is None


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("0", "0"),
        ("3", "3"),
        ("3.0", "3.0"),
        ("2,50", "2.50"),
        ("+2", "2"),
        ("'+2", "2"),
        ("=3", "3"),
        ('="3"', "3"),
        ("Proficient", "3"),
        ("proficient ", "3"),
        ("'=Proficient", "3"),
    ],
)
def test_a_cell_holds_points_or_a_level(text: str, points: str) -> None:
    assert cell(text) == (Decimal(points), 4)


def test_per_cent_counts_of_a_hundred() -> None:
    assert cell("62,5 %") == (Decimal("62.5"), 100)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Excellent", "none of its levels (Beginning, Developing, Proficient, Advanced)"),
        ("5", "more than the 4 points"),
        ("-1", "below zero"),
        ("1.2.3", "none of its levels"),
        ("NaN", "none of its levels"),
        ("1e3", "none of its levels"),
        ("9" * 40, "none of its levels"),
        ("=A1+B1", "none of its levels"),
    ],
)
def test_a_cell_that_cannot_be_taken_says_why(text: str, why: str) -> None:
    assert why in cell(text) and cell(text).startswith("OC-1: ")


def test_a_number_with_two_readings_is_refused_only_where_both_are_possible() -> None:
    assert "two ways" in cell("1,234", POINTS)
    assert cell("1.234,5", POINTS) == (Decimal("1234.5"), 2000)
    assert cell("1 234", POINTS) == (1234, 2000)
    assert cell("1,234") == (Decimal("1.234"), 4)


def test_a_number_with_two_readings_is_refused_where_the_file_says_of_how_many_points() -> None:
    def export(possible: str, points: str) -> str:
        return f'Student,SIS User ID,OC-1 (31)\n    Points Possible,,"{possible}"\n"Okafor, Amina",SIS-1,"{points}"\n'

    for points in ("1,234", "1,050"):  # the second with extra credit
        found = table(export("1000", points))
        answers, (problem,) = csv.answers(found.lines[0], found, BY_TAG)
        assert answers == {} and "two ways" in problem
    assert taken(export("1000", "1050"))["OC-1"] == {"resultScore": 1050, "resultMaximum": 1000}
    assert taken(export("8", "1,234"))["OC-1"] == {"resultScore": Decimal("1.234"), "resultMaximum": 8}
    with pytest.raises(BadInput, match="two ways"):
        table(export("1,234", "5"))


COMMON = ("BE", "AP", "ME", "EX")


@pytest.mark.parametrize(("text", "points"), [("EX", 4), ("ex", 4), ("Me", 3), ("", None), ("-", None), ("n/a", None)])
def test_a_level_that_is_called_as_some_call_no_grade_is_that_level(text: str, points: int | None) -> None:
    scale = tuple(Level(name, Decimal(points)) for points, name in enumerate(COMMON, start=1))
    found = cell(text, SubCompetency("A", "Row A", scale, "ME", source="csv"))
    assert found == (None if points is None else (points, 4))


def test_a_letter_that_is_called_as_some_call_no_grade_is_that_letter() -> None:
    scale = (("F", Decimal(0)), ("EX", Decimal(90)))
    assert cell("EX", Gate("letter", "Letter", "letter", "EX", scale, source="csv")) == (90, 100)
    assert cell("EX", PERCENT) is None


def test_a_level_whose_name_is_another_number_is_refused() -> None:
    odd = SubCompetency("X", "Odd", (Level("1", Decimal(0)), Level("2", Decimal(5))), "2", source="csv")
    assert "a number of points as well" in cell("2", odd)
    plain = SubCompetency("X", "Plain", (Level("0", Decimal(0)), Level("5", Decimal(5))), "5", source="csv")
    assert cell("5", plain) == (5, 5)


def test_gates_read_letters_per_cent_points_and_yes_or_no() -> None:
    assert cell("b", LETTER) == (80, 100)
    assert cell("81", LETTER) == (81, 100)
    assert "no letter of its scale (F, B)" in cell("C", LETTER)
    assert cell("85 %", PERCENT) == (85, 100) == cell("85", PERCENT)
    assert cell("sí", PASS) == (1, 1) == cell("Passed", PASS)
    assert cell("no", PASS) == (0, 1) == cell("0", PASS)
    assert "no number" in cell("soon", PERCENT)


@pytest.mark.parametrize("score", ["0", "2.5", "3"])
@pytest.mark.parametrize("maximum", ["4", "100", "8"])
def test_what_is_written_into_the_table_is_read_back_as_the_same_share(score: str, maximum: str) -> None:
    written = csv.cell_of(A, Fraction(score), Fraction(maximum), "")
    points, most = cell(written)
    assert Fraction(points) / Fraction(most) == Fraction(score) / Fraction(maximum)
    assert csv.cell_of(A, Fraction(1), Fraction(3), "") == ""
