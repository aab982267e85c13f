"""The progress matrix of a large class: a page of it at a time, looked through as a whole."""

from __future__ import annotations

import csv
import io
import re

import pytest
from lxml import html
from sqlalchemy import func, select

from lti_tool.models import AuditEvent, Award, Enrolment, Job, Mastery, Person
from lti_tool.services import matrix
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)

MANY = matrix.A_PAGE + 7


@pytest.fixture(scope="module")
def large(shared):  # noqa: F811
    """A class of two pages: number n has n % 3 rows met; the last two names are odd."""
    from tests.classroom import Classroom

    room = Classroom(shared, students=MANY)  # noqa: F811
    for number, student in enumerate(room.students):
        student.given_name, student.family_name = f"Learner {number:03}", ""
    room.students[-1].given_name = "Zoë ‮Ünal"
    room.students[-2].given_name = "=SUM(A1)"
    room.publish(badge(rows=2))
    for number, student in enumerate(room.students):
        if number:
            room.grade(student, 3 if number % 3 else 1, 3 if number % 3 == 2 else 1)
    room.sync()
    return room


def page(room, query: str = "", **headers: str) -> html.HtmlElement:  # noqa: F811
    answer = room.page.get(f"badges/{room.badge.slug}{query}", headers=headers)
    assert answer.status_code == 200
    return html.document_fromstring(answer.text)


def names(page: html.HtmlElement) -> list[str]:
    return [" ".join(each.text_content().split()) for each in page.xpath("//table//tbody//*[@class='who']")]


def test_a_large_class_is_shown_a_page_at_a_time_and_every_learner_is_on_one(large):
    first, second = page(large), page(large, "?page=2")
    assert first.get_element_by_id("shown").text_content().strip() == f"Learners 1 to {matrix.A_PAGE} of {MANY}"
    found = names(first) + names(second)
    assert len(found) == len(set(found)) == MANY
    assert names(page(large, "?page=99")) == names(second)
    assert names(page(large, "?page=x&show=odd&sort=odd")) == names(first)


def test_people_stand_in_the_order_people_look_for_them_in(make_room):  # noqa: F811
    room = make_room(students=6)  # noqa: F811
    told = ("Zoë Krüger", "Łukasz Nowak", "Íris Jónsdóttir", "lena abt", "Ivo Östlund", "Ørjan Å")
    for student, name in zip(room.students, told, strict=True):
        student.given_name, student.family_name = name.split()
    room.publish(badge(rows=1))
    assert "One badge; no learner is known here yet." in room.page.get("").text
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    by_name = ["Íris Jónsdóttir", "Ivo Östlund", "lena abt", "Łukasz Nowak", "Ørjan Å", "Zoë Krüger"]
    assert names(page(room)) == by_name
    awards = html.document_fromstring(room.page.get(f"badges/{room.badge.slug}/awards").text)
    assert awards.xpath("//table[contains(@class, 'awarded')]//tbody//th/text()") == by_name
    assert "One badge for six learners; six have been earned." in room.page.get("").text


def test_a_cell_without_a_result_says_so_once(room):  # noqa: F811
    room.publish(badge(rows=1))
    room.sync()
    person = room.person_id(room.students[0])
    record = room.page.get(f"badges/{room.badge.slug}/record/{person}/sub-competency:A").text
    assert "No result yet. Needs Proficient." in record and "Why not yet" not in record


def test_filter_and_counts_are_those_of_the_whole_class(large):
    seen = page(large, "?show=one")
    rows = seen.xpath("//tbody/tr/@data-state")
    assert set(rows) == {"one"} and len(rows) == len([n for n in range(1, MANY) if n % 3 == 1])
    counts = {each.get("data-count"): int(each.text) for each in seen.xpath("//b[@data-count]")}
    assert counts["all"] == MANY and counts["one"] == len(rows) and counts["earned"] == len(large.awards())


def test_nearest_first_orders_the_whole_class(large):
    met = {f"Learner {n:03}": n % 3 for n in range(MANY)} | {"=SUM(A1)": (MANY - 2) % 3, "Zoë ‮Ünal": (MANY - 1) % 3}
    met["Learner 000"] = 0
    order = [met[name] for name in names(page(large, "?sort=near")) + names(page(large, "?sort=near&page=2"))]
    assert order == sorted(order, reverse=True)


def test_a_learner_is_found_on_any_page_without_her_accents_and_without_a_name_in_the_address(large):
    assert names(page(large, "?q=zoe")) == ["Zoë ‮Ünal"]
    assert names(page(large, **{"X-Find": "zo%C3%AB%20"})) == ["Zoë ‮Ünal"]
    assert names(page(large, "?q=nobody%20at%20all")) == []
    assert "No learner fits" in page(large, "?q=nobody").text_content()


def test_I19_the_csv_has_every_learner_and_no_formula(large):
    content = large.page.get(f"badges/{large.badge.slug}/progress.csv").content.decode("utf-8-sig")
    table = list(csv.reader(io.StringIO(content)))
    assert len(table) == MANY + 1 and {len(line) for line in table} == {5}
    assert table[0] == ["Learner", "A Row A", "B Row B", "Badge", "User id"]
    by_name = {line[0]: line[1:] for line in table}
    assert by_name["'=SUM(A1)"][0].startswith(("Proficient (3 of 4)", "Beginning (1 of 4)"))
    assert by_name["Learner 000"][:3] == ["", "", "Not started"]
    assert not [cell for line in table for cell in line if cell.startswith(("=", "+", "-", "@"))]


# -- sections


def test_canvas_sections_are_a_filter_and_a_column_of_the_csv(make_room):  # noqa: F811
    room = make_room(mood="canvas", students=3)  # noqa: F811
    for student, section in zip(room.students, ((11, "Monday"), (9, "Früh <b>"), (11, "Monday")), strict=True):
        room.course.enrolments[student.id].sections = [section]
    room.publish(badge(rows=1))
    room.sync()
    seen = page(room)
    options = {each.get("value"): each.text for each in seen.xpath("//select[@name='section']/option")}
    assert options == {"": "All sections", "9": "Früh <b>", "11": "Monday"}
    assert len(names(page(room, "?section=11"))) == 2
    assert page(room, "?section=9").xpath("//b[@data-count='all']/text()") == ["1"]
    assert "No learner fits" in page(room, "?section=77").text_content()
    content = room.page.get(f"badges/{room.badge.slug}/progress.csv").content.decode("utf-8-sig")
    assert [line[1] for line in csv.reader(io.StringIO(content))] == ["Section", *(s for s in csv_sections(room))]
    room.course.enrolments[room.students[1].id].sections = [(11, "Monday")]
    room.sync()
    assert not page(room).xpath("//select[@name='section']")  # all in one: nothing to choose


def csv_sections(room) -> list[str]:  # noqa: F811
    sections = {s.id: room.course.enrolments[s.id].sections[0][1] for s in room.students}
    return [sections[s.id] for s in sorted(room.students, key=lambda s: (s.name.casefold(), s.id))]


def test_moodle_groups_are_told_by_launches_alone_and_by_number(make_room):  # noqa: F811
    room = make_room(mood="moodle", students=2)  # noqa: F811
    room.course.enrolments[room.students[0].id].sections = [(7, "Nobody tells this name")]
    room.publish(badge(rows=1))
    room.sync()
    assert not page(room).xpath("//select[@name='section']")
    room.enter(room.students[0])
    room.sync()  # the roster, which tells nothing of groups, leaves what the launch has told
    seen = page(room)
    assert seen.xpath("//select[@name='section']/option/text()") == ["All sections", "Group 7"]
    assert "only of learners who have opened the tool" in seen.text_content()
    assert len(names(page(room, "?section=7"))) == 1


# -- as a student would see it


def count_rows(room) -> list[int]:  # noqa: F811
    with room.tool.db.read() as session:
        tables = (Award, AuditEvent, Enrolment, Job, Mastery, Person)
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_an_instructor_sees_a_badge_as_a_student_with_nobodys_data_and_leaves_no_trace(room):  # noqa: F811
    room.publish(badge(rows=2))
    room.grade(room.students[0], 4, 4)
    room.sync()
    before = count_rows(room)
    home = f"badges/{room.badge.slug}/as-student/"
    for rest in ("", "badge", "claim"):
        answer = room.page.get(f"{home}{rest}")
        seen = html.document_fromstring(answer.text)
        assert answer.status_code == 200 and "as a student would, with nobody’s data" in answer.text
        assert not seen.xpath("//form") and not seen.xpath("//button[not(@disabled)]")
        assert not seen.xpath("//input[not(@disabled)]")
        assert not re.search(r"/me/", answer.text)  # every link stays in these pages
        assert not any(student.family_name in answer.text for student in room.students)
    assert "no result to show yet" in room.page.get(f"{home}badge").text
    assert count_rows(room) == before
    assert room.enter(room.students[0]).get(f"/course/{room.page.launch}/{home}").status_code in (401, 403)


def test_a_withdrawn_badge_does_not_stand_under_earned(room):  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 4)
    room.sync()
    room.page.post(f"badges/{room.badge.slug}/awards/{room.award()['id']}/revoke", {"reason": "A slip."})
    seen = html.document_fromstring(room.enter(room.students[0]).page.text)
    assert "h-earned" not in seen.xpath("//@id")
    over = seen.xpath("//section[@aria-labelledby='h-over']")[0]
    assert "Withdrawn" in over.text_content() and "A slip." in over.text_content()
