"""1EdTech's certification of LTI 1.3 core, rows A13 to A30: the valid launches, and the page each of them opens."""

from __future__ import annotations

import pytest

from lti_tool.demo.launches import MEMBERSHIP
from tests.classroom import badge, room, shared  # noqa: F401 (fixtures)

NAMES, EMAIL = ("name", "given_name", "family_name"), ("email",)
UNKNOWN_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/uknownrole/unknown#Helper"
INSTRUCTOR, LEARNER, NO_ROLE, NO_COURSE = (
    "Badges in this course",
    "My badges",
    "There is nothing here for your role",
    "Open Badges from a course",
)


def opens(room, who, page: str, *, roles=None, drop=()):  # noqa: F811
    """Launch with these changes; the answer is 200 and has this heading, and no page of the other side."""
    claims = {} if roles is None else {"roles": roles}
    answer = room.enter(who, auth={"claims": claims, "drop": list(drop)}).page
    assert answer.status_code == 200
    headings = {INSTRUCTOR, LEARNER, NO_ROLE, NO_COURSE}
    found = {heading for heading in headings if f">{heading}</h1>" in answer.text}
    assert found == {page}
    return answer


@pytest.fixture
def teacher(room):  # noqa: F811
    return lambda page, **changes: opens(room, room.teacher, page, **changes)


@pytest.fixture
def student(room):  # noqa: F811
    room.publish(badge())
    return lambda page, **changes: opens(room, room.students[0], page, **changes)


def test_A13_a_teacher_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR)


def test_A14_a_teacher_with_several_roles_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR, roles=[f"{MEMBERSHIP}#Instructor", f"{MEMBERSHIP}#Mentor", f"{MEMBERSHIP}#Learner"])


def test_A15_a_teacher_with_a_short_role_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR, roles=["Instructor"])


def test_A16_a_teacher_with_an_unknown_role_gets_the_page_of_least_rights(teacher):
    teacher(NO_ROLE, roles=[UNKNOWN_ROLE])


def test_A17_a_teacher_without_a_role_gets_the_page_of_least_rights(teacher):
    teacher(NO_ROLE, roles=[])


def test_A18_a_teacher_of_whom_only_the_e_mail_is_told_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR, drop=NAMES)


def test_A19_a_teacher_of_whom_only_the_names_are_told_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR, drop=EMAIL)


def test_A20_a_teacher_of_whom_nothing_is_told_opens_the_instructors_page(teacher):
    teacher(INSTRUCTOR, drop=NAMES + EMAIL)


def test_A21_a_teacher_with_an_e_mail_and_no_context_is_told_to_open_a_course(teacher):
    teacher(NO_COURSE, drop=(*NAMES, "context"))


def test_A22_a_student_opens_her_own_page(student):
    student(LEARNER)


def test_A23_a_student_with_several_roles_opens_her_own_page(student):
    student(LEARNER, roles=[f"{MEMBERSHIP}#Learner", f"{MEMBERSHIP}#Mentor"])


def test_A24_a_student_with_a_short_role_opens_her_own_page(student):
    student(LEARNER, roles=["Learner"])


def test_A25_a_student_with_an_unknown_role_gets_the_page_of_least_rights(student):
    student(NO_ROLE, roles=[UNKNOWN_ROLE])


def test_A26_a_student_without_a_role_gets_the_page_of_least_rights(student):
    student(NO_ROLE, roles=[])


def test_A27_a_student_of_whom_only_the_e_mail_is_told_opens_her_own_page(student):
    student(LEARNER, drop=NAMES)


def test_A28_a_student_of_whom_only_the_names_are_told_opens_her_own_page(student):
    student(LEARNER, drop=EMAIL)


def test_A29_a_student_of_whom_nothing_is_told_is_shown_as_a_learner(room, student):  # noqa: F811
    answer = student(LEARNER, drop=NAMES + EMAIL)
    assert "None" not in answer.text and "@example" not in answer.text
    page = room.enter(room.teacher).get(f"badges/{room.badge.slug}")
    assert page.status_code == 200 and "Learner" in page.text


def test_A30_a_student_with_an_e_mail_and_no_context_is_told_to_open_a_course(student):
    student(NO_COURSE, drop=(*NAMES, "context"))
