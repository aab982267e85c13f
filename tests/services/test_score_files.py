"""Grades from a file, through the tool: shown, taken, evaluated; what cannot be taken is named by its line."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
import requests
from sqlalchemy import select

from lti_tool.domain.badge import SubCompetency
from lti_tool.models import AuditEvent, Person, Review, SourceAnswer, SourceFile, SourceLink
from lti_tool.services import score_files
from tests.classroom import Classroom, badge, gate, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now, token_in

A, B, GATE = "sub-competency:A", "sub-competency:B", "gate:grade"


def from_file(code: str, **changes: Any) -> SubCompetency:
    return row(code, source="csv", **changes)


@pytest.fixture
def course(room: Classroom) -> Classroom:  # noqa: F811
    """A course whose badge reads one row and a condition from a file, and is known by its roster."""
    room.publish(badge(sub_competencies=(from_file("A"),), gates=(gate("grade", required="60", source="csv"),)))
    room.sync()
    return room


def send(course: Classroom, text: str | bytes, name: str = "grades.csv") -> requests.Response:
    """Send a file as an instructor does; gives the page that says what it would do."""
    content = text.encode() if isinstance(text, str) else text
    return course.page.post(f"badges/{course.badge.slug}/grades/file", {}, files={"file": (name, content)})


def take(course: Classroom, shown: requests.Response, **more: str) -> requests.Response:
    assert shown.status_code == 200, shown.text[:500]
    return course.page.http.post(shown.url, data={"csrf": token_in(shown.text), **more}, timeout=20)


def kept(course: Classroom) -> dict[tuple[str, str], str | None]:
    with course.tool.db.read() as session:
        query = select(SourceAnswer).where(SourceAnswer.course_badge_id == course.course_badge(session).id)
        return {(each.tag, each.user_sub): each.raw for each in session.scalars(query)}


def words_of(page: requests.Response) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text).split())


def test_nothing_counts_until_the_file_is_confirmed_and_then_what_was_shown_does(course: Classroom) -> None:
    ana, ben = course.students
    shown = send(course, f"user,A,grade\n{ana.id},Proficient,85\n{ben.id},1,85\n")
    assert "4 grades can be taken" in words_of(shown) and kept(course) == {}
    done = take(course, shown)
    assert "4 grades were taken" in words_of(done)
    assert json.loads(kept(course)[A, ana.id] or "")["resultScore"] == 3
    assert [each["user"] for each in course.awards()] == [ana.id]


def test_an_empty_cell_is_not_graded_and_never_zero(course: Classroom) -> None:
    ana, ben = course.students
    take(course, send(course, f"user,A,grade\n{ana.id},,85\n{ben.id},4,\n"))
    assert set(kept(course)) == {(GATE, ana.id), (A, ben.id)}
    assert course.awards() == []


def test_each_line_that_cannot_be_taken_is_named_with_its_number_and_reason(course: Classroom) -> None:
    ana = course.students[0]
    text = f"user,A,grade\nnobody,3,80\n{ana.id},Excellent,80\n{ana.id},3,80\n,3,80\n{course.teacher.id},3,80\n"
    shown = words_of(send(course, text))
    assert "Line 2 Nobody in this course is known as “nobody”." in shown
    assert "A: “Excellent” is none of its levels (Beginning, Developing, Proficient, Advanced) and no number." in shown
    assert "stands in line 3 already" in shown
    assert "Line 5 It does not say who." in shown
    assert "Line 6 Tess Teacher is not a learner in this course." in shown


def test_a_cell_that_cannot_be_taken_leaves_what_was_known_of_it(course: Classroom) -> None:
    ana = course.students[0]
    take(course, send(course, f"user,A,grade\n{ana.id},4,85\n"))
    take(course, send(course, f"user,A,grade\n{ana.id},Excellent,90\n"))
    assert json.loads(kept(course)[A, ana.id] or "")["resultScore"] == 4
    assert json.loads(kept(course)[GATE, ana.id] or "")["resultScore"] == 90


def test_learners_are_found_by_sis_id_address_and_name_as_lmss_write_them(course: Classroom) -> None:
    ana, ben = course.students
    take(course, send(course, f"SIS User ID,A\n{ana.sourcedid},4\n"))
    take(course, send(course, f"Email address,A\n{ben.email.upper()},2\n"))
    assert json.loads(kept(course)[A, ana.id] or "")["resultScore"] == 4
    assert json.loads(kept(course)[A, ben.id] or "")["resultScore"] == 2
    take(course, send(course, f'Student,ID,A\n"{ana.family_name}, {ana.given_name}",,1\n'))
    assert json.loads(kept(course)[A, ana.id] or "")["resultScore"] == 1


def test_two_learners_of_one_name_are_not_guessed_between(course: Classroom) -> None:
    with course.tool.db.write() as session:
        for user in course.students:
            session.get_one(Person, course.person_id(user)).name = "Sam Same"
    assert "More than one person here is “Sam Same”" in words_of(send(course, "name,A\nSam Same,3\n"))


def test_a_file_sent_again_replaces_what_it_names_and_leaves_the_rest(course: Classroom) -> None:
    ana, ben = course.students
    take(course, send(course, f"user,A\n{ana.id},4\n{ben.id},4\n"))
    shown = send(course, f"user,A\n{ana.id},2\n")
    assert "Take away the grades of 1 learner who is not in this file" in words_of(shown)
    take(course, shown)
    assert [json.loads(kept(course)[A, each.id] or "")["resultScore"] for each in (ana, ben)] == [2, 4]
    take(course, send(course, f"user,A\n{ana.id},3\n"), only="yes")
    assert kept(course)[A, ben.id] is None


def test_a_grade_that_is_empty_in_a_later_file_is_told_and_opens_a_review(course: Classroom) -> None:
    ana = course.students[0]
    take(course, send(course, f"user,A,grade\n{ana.id},4,85\n"))
    shown = send(course, f"user,A,grade\n{ana.id},,85\n")
    assert "1 cell is empty where an earlier file had a grade" in words_of(shown)
    take(course, shown)
    assert kept(course)[A, ana.id] is None and course.award()["status"] == "issued"
    with course.tool.db.read() as session:
        assert session.scalar(select(Review.id).where(Review.award_id == course.award()["id"])) is not None


def test_the_downloaded_table_names_the_class_and_is_read_back_as_it_stands(course: Classroom) -> None:
    ana, ben = course.students
    take(course, send(course, f"user,A,grade\n{ana.id},Developing,62.5\n{ben.id},2.5,\n"))
    before = kept(course)
    answer = course.page.get(f"badges/{course.badge.slug}/grades/file.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["User ID", "SIS User ID", "Name", "Email", "A Row A", "grade Gate grade"]
    assert {line[0]: line[4:] for line in rows[1:]} == {ana.id: ["Developing", "62.5"], ben.id: ["2.5", ""]}
    take(course, send(course, answer.content))
    assert kept(course) == before


def test_the_file_is_taken_once_and_by_its_sender_alone(course: Classroom) -> None:
    ana = course.students[0]
    shown = send(course, f"user,A\n{ana.id},4\n")
    take(course, shown)
    assert take(course, shown).status_code == 409
    other = course.lms.add_user(course.course, "instructor")
    colleague = course.enter(other)
    assert colleague.get(f"badges/{course.badge.slug}/grades/file/{shown.url.rpartition('/')[2]}").status_code == 404


def test_a_file_read_for_rows_that_were_published_anew_meanwhile_is_not_taken(course: Classroom) -> None:
    ana = course.students[0]
    shown = send(course, f"user,A\n{ana.id},4\n")
    course.publish(badge(course.badge.slug, sub_competencies=(from_file("A"), from_file("B"))))
    answer = take(course, shown)
    assert answer.status_code == 409 and "published anew" in answer.text
    assert kept(course) == {}


def test_what_another_source_had_said_of_a_row_does_not_count_as_a_file_s(course: Classroom) -> None:
    ana, ben = course.students
    with course.tool.db.write() as session:
        badge_id = course.course_badge(session).id
        told = {
            "source": "moodle-rubric",
            "place": {},
            "title": "Talk: A",
            "confirmed_at": now(),
            "confirmed_by": "operator",
        }
        session.add(SourceLink(course_badge_id=badge_id, tag=A, **told))
        raw = '{"resultScore": 4, "resultMaximum": 4}'
        session.add(SourceAnswer(course_badge_id=badge_id, tag=A, user_sub=ben.id, raw=raw, received_at=now()))
    take(course, send(course, f"user,A\n{ana.id},3\n"))
    assert set(kept(course)) == {(A, ana.id)}


def test_taking_a_file_is_in_the_audit_log_with_counts_and_without_names(course: Classroom) -> None:
    ana = course.students[0]
    take(course, send(course, f"user,A\n{ana.id},4\nnobody,1\n"))
    with course.tool.db.read() as session:
        subject = f"badge:{course.course_badge(session).id}"
        query = select(AuditEvent).where(AuditEvent.action == "badge.file_taken", AuditEvent.subject == subject)
        event = session.scalars(query).one()
        assert event.detail == {"left_out": 1, "new": 1, "changed": 0, "emptied": 0}
        link = session.scalars(select(SourceLink).where(SourceLink.tag == A).order_by(SourceLink.confirmed_at)).all()[
            -1
        ]
        assert link.title == "grades.csv: A" and link.confirmed_by == event.actor


REFUSED = {
    b"": "There is nothing in this file.",
    b"\x89PNG\r\n\x1a\n\x00\x01\x02": "This is not a table of text.",
    b"A\n3\n": "names no column that says who",
    b"user,essay\nu,3\n": "No column of this file belongs to a row",
    b"user,A\n" + b"u,3\n" * (score_files.MOST_LINES + 1): "A file may have 5000 lines",
    b"x" * (score_files.LARGEST + 1): "larger than a table of grades can be",
}


def test_a_file_that_is_no_table_of_grades_is_refused_and_says_what_it_needs(course: Classroom) -> None:
    for content, why in REFUSED.items():
        answer = send(course, content)
        assert 400 <= answer.status_code < 500 and why in words_of(answer), words_of(answer)


def test_a_file_is_kept_for_a_day(course: Classroom) -> None:
    send(course, f"user,A\n{course.students[0].id},4\n")
    with course.tool.db.write() as session:
        score_files.forget_old(session, now() + score_files.KEPT)
        assert session.scalars(select(SourceFile.id)).all() == []


def test_a_badge_without_a_row_from_a_file_says_so(room: Classroom) -> None:  # noqa: F811
    room.publish(badge())
    assert (
        "No row of this badge reads its grades from a file"
        in room.page.get(f"badges/{room.badge.slug}/grades/file").text
    )
    assert send(room, "user,A\nu,1\n").status_code == 409


def test_H02_the_same_file_confirmed_twice_at_once_is_taken_once(course: Classroom) -> None:
    from threading import Thread

    shown = send(course, f"user,A,grade\n{course.students[0].id},4,85\n")
    token, seen = token_in(shown.text), []

    def confirm() -> None:
        http = requests.Session()
        http.cookies.update(course.page.http.cookies)
        seen.append(course.page.http.post(shown.url, data={"csrf": token}, timeout=20).status_code)

    threads = [Thread(target=confirm) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [200, 409, 409]
