"""The definition file: every kind of mistake told with file, line and reason; what is written reads back equal."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lti_tool.domain.badge import Alignment, Picture, Stack
from lti_tool.errors import DefinitionInvalid
from lti_tool.services.catalog import read_file
from lti_tool.services.definition import LARGEST, read_definition, write_definition
from tests.classroom import LETTERS, badge, gate, replace, row
from tests.scene import LIBRARY

GOOD = """\
[badge]
slug = "careful"
name = "Careful"
description = "Works carefully."
criteria = \"\"\"
Careful each time.

[badge]
slug = "not a key: inside a text"
\"\"\"
release = "immediate"
rule = "all"
picture = { alt = "A star" }

[[sub_competency]]
code = "A"
name = "First"
required_level = "High"

  [[sub_competency.level]]
  name = "Low"
  points = 1

  [[sub_competency.level]]
  name = "High"
  points = 2.5

[[sub_competency]]
code = "B"
name = "Second"
required_level = "High"
evidence = "none"

  [[sub_competency.level]]
  name = "Low"
  points = 1

  [[sub_competency.level]]
  name = "High"
  points = 2

[[gate]]
code = "grade"
name = "Grade"
kind = "letter"
scale = { F = 0, C = 70, B = 80 }
required = "B"
"""


def line_of(text: str, part: str, nth: int = 1) -> int:
    found = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return found[nth - 1]


def told(text: str) -> list[tuple[int, str]]:
    with pytest.raises(DefinitionInvalid) as error:
        read_definition(text, "careful.toml")
    assert error.value.lines() == [
        f"careful.toml:{line}: {reason}" if line else f"careful.toml: {reason}" for line, reason in error.value.problems
    ]
    return error.value.problems


def test_a_good_file_is_read():
    read = read_definition(GOOD, "careful.toml")
    assert [r.code for r in read.sub_competencies] == ["A", "B"]
    assert read.sub_competencies[0].levels[1].points == Decimal("2.5")
    assert read.gates[0].scale == (("F", 0), ("C", 70), ("B", 80))
    assert "not a key" in read.criteria


# what is changed: (old, new, the part of the line it is told at, words of the reason)
MISTAKES = {
    "unknown key": ('rule = "all"', 'rools = "all"', "rools", "rools is not known here"),
    "unknown key of a row": ('name = "Second"', 'name = "Second"\nweight = 3', "weight", "weight is not known here"),
    "unknown table": ("[[gate]]", "[[gates]]", "[[gates]]", "gates is not known here"),
    "missing key": ('name = "Careful"\n', "", "[badge]", "name is missing"),
    "missing key of a row": ('name = "Second"\n', "", 'code = "B"', "name is missing"),
    "wrong type: number for text": ('name = "Careful"', "name = 7", "name = 7", "name must be text in quotes"),
    "wrong type: text for number": ("points = 2.5", 'points = "2.5"', '"2.5"', "points must be a number"),
    "wrong type: bool for number": ("points = 2.5", "points = true", "points = true", "points must be a number"),
    "wrong type: text for list": ('rule = "all"', 'tags = "a"', "tags", "tags must be a list"),
    "wrong type: text for table": (
        'picture = { alt = "A star" }',
        'picture = "star"',
        "picture",
        "picture must be a table",
    ),
    "not one of the words": ('evidence = "none"', 'evidence = "some"', "evidence", "evidence cannot be 'some'"),
    "number for a word": ('rule = "all"', "award = 7", "award", "award cannot be 7; write 'automatic' or 'review'"),
    "bool for a word": ('rule = "all"', "columns = true", "columns", "columns cannot be true; write 'each', 'total'"),
    "time for a word": ('rule = "all"', "once = 2026-01-01", "once", "once cannot be"),
    "list for a word": ('rule = "all"', 'once = ["course"]', "once", "once cannot be […]; write 'course' or 'person'"),
    "endless credits": ('rule = "all"', "credits = inf", "credits", "credits must be a number"),
    "level order": ("points = 2.5", "points = 0.5", "points = 0.5", "levels go from low to high"),
    "negative points": ("points = 2.5", "points = -1", "points = -1", "points are between zero"),
    "points no gradebook holds": ("points = 2.5", "points = 1e99999999", "points = 1e9", "points are between zero"),
    "not a number": ("points = 2.5", "points = nan", "points = nan", "points"),
    "endless": ("points = 2.5", "points = inf", "points = inf", "points"),
    "unknown level": (
        'required_level = "High"\nevidence',
        'required_level = "Top"\nevidence',
        '"Top"',
        "'Top' is not one of its levels",
    ),
    "code twice": ('code = "B"', 'code = "A"', None, "the code 'A' is used twice"),
    "bad code": ('code = "B"', 'code = "B B"', "B B", "cannot be a code"),
    "bad slug": ('slug = "careful"', 'slug = "Careful!"', "Careful!", "small letters, digits and hyphens"),
    "empty name": ('name = "Careful"', 'name = " "', 'name = " "', "say something here"),
    "scale order": ("F = 0, C = 70, B = 80", "F = 0, C = 90, B = 80", "scale", "the scale goes from low to high"),
    "letter not on the scale": ('required = "B"', 'required = "E"', '"E"', "'E' is not a letter of the scale"),
    "bad rule": ('rule = "all"', 'rule = "any 3"', "rule", "asks for 3 of 2"),
    "bad release": ('release = "immediate"', 'release = "later"', "release", 'write "immediate", "held"'),
    "release without zone": ('release = "immediate"', "release = 2027-01-31T12:00:00", "release", "needs a zone"),
    "bad duration": ('rule = "all"', 'expires_after = "3 years"', "expires_after", "is not a duration"),
    "fractions": (
        'rule = "all"',
        'expires_after = "P1.5Y"',
        "expires_after",
        "write whole years, months",
    ),
    "weeks beside years": ('rule = "all"', 'expires_after = "P1Y2W"', "expires_after", "or weeks alone"),
    "a line break in a name": ('"Careful"', '"Care\\nful"', "Care", "name: this is one line"),
    "a line break in a row's name": ('"Second"', '"Sec\\r\\nond"', "Sec", "name: this is one line"),
    "a line break in a tag": ('rule = "all"', 'tags = ["a", "b\\nc"]', "tags", "tags: this is one line"),
    "NUL in a name": ('"Careful"', '"Care\\u0000ful"', "Care", "name: holds the control character U+0000"),
    "NUL in a description": ('"Works carefully."', '"a\\u0000\\n"', "description", "control character U+0000"),
    "an escape in a level": ('"Low"\n  points = 1', '"\\u001bLow"\n  points = 1', "001b", "control character U+001B"),
    "NUL in a letter": ("{ F = 0", '{ "\\u0000" = 0', "scale", "scale: holds the control character U+0000"),
    "NUL in an alignment": (
        'rule = "all"',
        'alignment = [{ name = "a\\u0085", url = "https://x.example" }]',
        "alignment",
        "name: holds the control character U+0085",
    ),
    "NUL in a picture": ('alt = "A star"', 'alt = "A\\u0000"', "picture", "alt: holds the control character"),
    "no alternative text": ('alt = "A star"', 'alt = ""', "picture", "alt is missing"),
    "unknown icon": ('alt = "A star"', 'alt = "x", icon = "no-such"', "picture", "picture:"),
    "one colour": (
        'alt = "A star"',
        'alt = "x", colours = ["#000000"]',
        "picture",
        "colours needs 2 entries, and",
    ),
    "stack and rows": ("[[gate]]", '[stack]\nmembers = ["x", "y"]\n\n[[gate]]', "[stack]", "not both"),
    "empty stack": ("[[gate]]", "[stack]\nmembers = []\n\n[[gate]]", "members", "members: name at least one badge"),
}


@pytest.mark.parametrize(("old", "new", "part", "reason"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line_and_reason(old, new, part, reason):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    problems = told(text)
    where = line_of(text, part) if part else line_of(text, 'code = "A"', 2)
    if old.startswith('name = "Second"') and not new:
        where = line_of(text, "[[sub_competency]]", 2)
    assert any(line == where and reason in words for line, words in problems), (where, problems)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[badge\n", 1),
        ('[badge]\nslug = "a\n', 2),
        ('[badge]\nslug = "a"\nslug = "b"\n', 3),
        ("[badge]\na = \n", 2),
        ("[badge]\n[badge]\n", 2),
        ("\0", 1),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text, line):
    ((found, reason),) = told(text)
    assert (found, reason[:9]) == (line, "not TOML:")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 10_000 + "]" * 10_000,
        "a = " + "9" * 5000,
        "a = 1e99999999999999999999999",
        "a = 0x" + "f" * 9000,
        "a = -1e-99999999999999999999999",
        "a." * 5000 + "b = 1",
        "a = " + "{b=" * 5000 + "1" + "}" * 5000,
    ],
    ids=["nested", "long number", "huge exponent", "hex", "tiny exponent", "dotted", "tables"],
)
def test_a_file_that_is_made_to_break_the_reader_is_refused_like_any_other(text):
    assert told(text)


def test_a_file_that_is_too_large_is_refused():
    assert told("#" * (LARGEST + 1))[0][1].startswith("larger than")


def test_an_unknown_key_is_named_without_its_control_characters():
    assert told(GOOD.replace('rule = "all"', '"a\\u001b[2J" = 1'))[0][1].startswith(r"'a\x1b[2J' is not known here")


def test_several_mistakes_are_all_told_in_the_order_of_the_file():
    text = (
        GOOD.replace('slug = "careful"', 'slug = "C!"')
        .replace("points = 2.5", "points = 0")
        .replace('required = "B"', 'required = "E"')
    )
    lines = [line for line, _ in told(text)]
    assert len(lines) == 3 and lines == sorted(lines)


def test_a_stack_file_is_read():
    text = GOOD[: GOOD.index("[[sub_competency]]")] + '[stack]\nmembers = ["a", "b"]\nrule = "any 1"\nwithin = "P1Y"\n'
    assert read_definition(text, "s.toml").stack == Stack(("a", "b"), "any 1", False, "P1Y")


@pytest.mark.parametrize("written", ["2027-01-31T12:00:00Z", "2027-01-31 13:00:00+01:00"])
def test_a_release_may_be_written_as_tomls_own_time(written):
    read = read_definition(GOOD.replace('release = "immediate"', f"release = {written}"), "x.toml")
    assert read.release.startswith("2027-01-31T1")
    assert read_definition(write_definition(read), "x.toml") == read


def test_an_alignment_needs_no_framework():
    text = GOOD.replace('rule = "all"', 'alignment = [{ name = "N", url = "https://x.example" }]')
    read = read_definition(text, "x.toml")
    assert read.alignment == (Alignment("", "N", "https://x.example"),)
    assert read_definition(write_definition(read), "x.toml") == read


# -- writing


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_file_written_again_reads_back_equal(path):
    read, png = read_file(path)
    again = read_definition(write_definition(read), path.name)
    assert again == read and again.digest() == read.digest() and png is None


@pytest.mark.parametrize(
    "one",
    [
        badge(
            "gates",
            gates=(gate(), gate("l", "letter", "B", scale=LETTERS), gate("p", "pass", ""), gate("q", "points", "12.5")),
        ),
        badge("credits", credits=Decimal("1.5")),
        badge("lasts", expires_after="P1Y6M", tags=("a", "b"), prerequisites=("x",)),
        badge(
            "aligned", alignment=(Alignment("F", "N", "https://x.example/?a=1&b", "C"),), rule="any 1", once="person"
        ),
        badge("stack", rows=0, stack=Stack(("x", "y"), "credits 12", True, "P1Y")),
        badge("picture", picture=Picture(alt='a "quoted" \\ picture', shape="shield", colours=("#000000", "#FFFFFF"))),
        badge("text", criteria="\"\"\"\n'''\n\\u0041 \t é 🎓\r\n[badge]", name="Ends with \\"),
    ],
    ids=lambda one: one.slug,
)
def test_a_definition_of_any_kind_reads_back_equal(one):
    assert read_definition(write_definition(one), "x.toml") == one


visible = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(lambda t: t.strip())


@settings(max_examples=60, deadline=None)
@given(visible, visible, visible, st.decimals(min_value="0.001", max_value=1000, places=3))
def test_whatever_people_write_reads_back_equal(name, criteria, description, points):
    rows = (row("A"), replace(row("B", points=(0, points, points + 1, points + 2)), name=name, description=description))
    one = badge("any", name=name, criteria=criteria, description=description, sub_competencies=rows)
    assert read_definition(write_definition(one), "x.toml") == one


# -- files


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    for content, reason in ((None, "cannot be read"), (b"\xff\xfe\x00", "is not UTF-8 text")):
        path = tmp_path / "x.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DefinitionInvalid) as error:
            read_file(path)
        assert reason in error.value.problems[0][1] and str(path) == error.value.file


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert read_file(path)[0].slug == "careful"


@pytest.mark.parametrize("content", [None, b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_picture_file_that_cannot_be_used_is_told(tmp_path, content):
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace('alt = "A star"', 'alt = "A star", file = "p.png"'))
    if content is not None:
        (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(DefinitionInvalid) as error:
        read_file(path)
    assert "p.png" in error.value.problems[0][1]
