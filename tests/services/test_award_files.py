"""A file of learners: read as spreadsheets write it, shown line by line, given as it was shown."""

from __future__ import annotations

import re

import pytest
import requests

from lti_tool import sheets
from lti_tool.errors import BadInput
from lti_tool.models import AwardFile, Person
from lti_tool.services import award_files
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

ROWS = (("name", "note"), ("Zoë Müller", "Gave the keynote, twice"), ("José", "“Quoted”"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_in_every_form_a_spreadsheet_writes(encoding, separator, end):
    text = end.join(separator.join(f'"{cell}"' for cell in row) for row in ROWS)
    lines = sheets.read(text.encode(encoding))
    assert [line.cells for line in lines] == [tuple(row) for row in ROWS]
    assert [line.number for line in lines] == [1, 2, 3]


def test_a_line_is_counted_as_an_editor_counts_it():
    lines = sheets.read(b'sep=;\n\nname;note\nAna;"two\nlines"\n\nBen;x\n')
    assert [(line.number, line.cells[0]) for line in lines] == [(3, "name"), (4, "Ana"), (7, "Ben")]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\x00", b"PK\x03\x04\x14\x00\x06", bytes(range(1, 32)) * 9])
def test_what_is_no_table_is_refused_with_what_to_do(content):
    with pytest.raises(BadInput, match="not a table of text") as refused:
        sheets.read(content)
    assert "save the sheet as CSV" in refused.value.what_to_do


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_I19_what_would_run_as_a_formula_is_written_as_text_and_read_back_as_it_was(cell):
    written = sheets.write_csv([[cell]])
    assert written.lstrip('"').startswith("'")
    (line,) = sheets.read(written.encode())
    assert sheets.plain_cell(line.cells[0]) == cell.strip() or cell[0] in "\t\r"


# -- the dry run


@pytest.fixture
def open_room(make_room):  # noqa: F811
    room = make_room(students=5)  # noqa: F811
    names = ("Ana Ruiz", "Ben Okri", "Twin Name", "Twin Name", "Zoë Ünal")
    for student, name in zip(room.students, names, strict=True):
        given, _, family = name.partition(" ")
        student.given_name, student.family_name = given, family
    room.publish(badge(rows=1))
    room.sync()
    return room


def send(room, text: str | bytes, note: str = "", name: str = "list.csv") -> requests.Response:  # noqa: F811
    content = text.encode() if isinstance(text, str) else text
    return room.page.post(f"badges/{room.badge.slug}/awards/file", {"note": note}, files={"file": (name, content)})


def words(answer: requests.Response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2]).split())


def test_every_bad_line_is_named_and_nothing_is_given_before_it_is_confirmed(open_room):
    room = open_room  # noqa: F811
    ana, ben, twin, _, zoe = room.students
    room.grade(ben, 4)
    room.sync()
    test_student = room.lms.add_user(room.course, "student", given_name="Test", family_name="Student")
    room.sync()
    with room.tool.db.write() as session:
        session.get_one(Person, room.person_id(test_student)).test_user = True
    text = "\n".join(
        [
            "Note;E-Mail;User ID;Name",
            f"Gave the keynote;{ana.email.upper()};;",  # 2: good
            f";{ana.email};;",  # 3: twice
            ";nobody@example.edu;;",  # 4
            "x;;;Twin Name",  # 5
            f"x;;{ben.id};",  # 6: has it
            "x;;;Test Student",  # 7
            f"=HYPERLINK(1);{zoe.email};;",  # 8
            "x;;;",  # 9
            f"x;;{room.teacher.id};",  # 10
            f"x;{ana.email};{twin.id};",  # 11: two people
            "'=1+1;;;=cmd|x",  # 12: a formula as a name
            ";;;zoe  ÜNAL",  # 13: accents count in a name, so unknown
            ";;;zoë  ünal",  # 14: good, with the note of all
        ]
    )
    shown = send(room, text, note="From the open day")
    said = words(shown)
    for line, why in {
        3: "stands in line 2 already",
        4: "Nobody in this course is known as “nobody@example.edu”",
        5: "More than one person here is “Twin Name”",
        6: "has this badge already",
        7: "is a test student",
        8: "begins like a formula",
        9: "It does not say who",
        10: "is not a learner in this course",
        11: "name two different people",
        12: "Nobody in this course is known as “=cmd|x”",
        13: "Nobody in this course is known as “zoe ÜNAL”",
    }.items():
        assert re.search(rf"Line {line} [^·]*?{re.escape(why)}", said), (line, why, said)
    assert "2 learners get the badge." in said and "11 lines are left out." in said
    assert len(room.awards()) == 1
    done = confirm(room, shown)
    assert "2 learners have the badge now." in words(done)
    notes = {each["user"]: note_of(room, each["id"]) for each in room.awards()}
    assert (notes[ana.id], notes[zoe.id]) == ("Gave the keynote", "From the open day")
    assert {each["status"] for each in room.awards()} == {"issued"}


def confirm(room, shown: requests.Response) -> requests.Response:  # noqa: F811
    return room.page.post(shown.url.removeprefix(room.page.home))


def note_of(room, award_id: str) -> str | None:  # noqa: F811
    from lti_tool.models import Award

    with room.tool.db.read() as session:
        return session.get_one(Award, award_id).note


def test_what_was_shown_is_given_once_and_who_got_it_meanwhile_is_told(open_room):
    room = open_room  # noqa: F811
    ana, ben, *_ = room.students
    shown = send(room, f"user,note\n{ana.id},A\n{ben.id},B\n")
    room.grade(ben, 4)
    room.sync()
    answers = at_once(*[lambda: confirm(room, shown)] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    done = next(answer for answer in answers if answer.status_code == 200)
    assert "1 learner has the badge now." in words(done) and "Ben Okri" in words(done)
    assert [each["user"] for each in room.awards()].count(ana.id) == 1 and len(room.awards()) == 2
    assert any("given already" in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "There is nothing in this file"),
        (b"first,second\nAna,x\n", "names no column that says who"),
        (b"name,Full name\nAna,Ana\n", "has two columns"),
        (b"\x89PNG\r\n\x1a\n\x00", "not a table of text"),
        (b"name\n" + b"Ana\n" * 5001, "A file may have 5000 lines"),
        (b"name\n" + b"x" * 2_000_000, "larger than a list of learners"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words_and_the_note_is_kept(open_room, content, sentence):
    answer = send(open_room, content, note="What I typed")
    assert answer.status_code == 400 and sentence in answer.text and "What I typed" in answer.text


def test_a_file_is_its_sender_s_alone_and_goes_after_a_day(open_room, make_room):  # noqa: F811
    room = open_room  # noqa: F811
    shown = send(room, f"user,note\n{room.students[0].id},A\n")
    rest = shown.url.removeprefix(room.page.home)
    colleague = room.lms.add_user(room.course, "instructor")
    assert room.enter(colleague).get(rest).status_code == 404
    student = room.enter(room.students[0])
    assert student.get(rest).status_code in (403, 404)
    with room.tool.db.write() as session:
        award_files.forget_old(session, now() + award_files.KEPT * 2)
        assert session.query(AwardFile).count() == 0
    assert confirm(room, shown).status_code == 404 and room.awards() == []


def test_I19_a_line_s_html_is_text_on_the_page(open_room):
    shown = send(open_room, "name,note\n<img src=x onerror=alert(1)>,x\n", name="<b>list</b>.csv")
    assert "<img src=x" not in shown.text and "&lt;img src=x" in shown.text and "<b>list" not in shown.text
