"""Roles: what somebody is in a course, and what does not count (D01 to D06)."""

from __future__ import annotations

import pytest

from lti_tool.lti.roles import TEST_USER, Role, course_roles, is_test_user

V2 = "http://purl.imsglobal.org/vocab/lis/v2/"


@pytest.mark.parametrize(
    ("uris", "expected"),
    [
        ([f"{V2}membership#Instructor"], [Role.INSTRUCTOR]),
        ([f"{V2}membership#Learner"], [Role.LEARNER]),
        (["Instructor"], [Role.INSTRUCTOR]),
        (["Learner"], [Role.LEARNER]),
        ([f"{V2}membership#Mentor", f"{V2}membership#ContentDeveloper"], [Role.CONTENT_DEVELOPER, Role.MENTOR]),
        ([f"{V2}membership#Administrator"], [Role.ADMINISTRATOR]),
        ([f"{V2}membership/Instructor#PrimaryInstructor"], [Role.INSTRUCTOR]),
        ([f"{V2}membership/Learner#GuestLearner"], [Role.LEARNER]),
        ([], []),
        (["", "instructor", "Teacher", f"{V2}membership#instructor", f"{V2}membership#Wizard"], []),
    ],
)
def test_context_roles_are_read_in_full_and_short_form(uris, expected):
    assert list(course_roles(uris)) == expected


def test_D01_an_instructor_of_the_institution_has_no_rights_in_the_course():
    assert course_roles([f"{V2}institution/person#Instructor", f"{V2}system/person#User"]) == ()
    assert course_roles([f"{V2}institution/person#Instructor", f"{V2}membership#Learner"]) == (Role.LEARNER,)


def test_D02_an_administrator_of_institution_or_system_has_no_rights_in_the_course():
    assert course_roles([f"{V2}institution/person#Administrator", f"{V2}system/person#Administrator"]) == ()
    assert course_roles([f"{V2}system/person#SysAdmin", f"{V2}membership/Administrator#Support"]) == ()


def test_D03_an_instructor_who_is_a_learner_too_is_an_instructor_first():
    assert course_roles([f"{V2}membership#Learner", f"{V2}membership#Instructor"]) == (Role.INSTRUCTOR, Role.LEARNER)


@pytest.mark.parametrize("name", ["TeachingAssistant", "TeachingAssistantSection", "Grader"])
def test_D04_a_teaching_assistant_is_no_instructor_though_canvas_sends_both(name):
    sub_role = f"{V2}membership/Instructor#{name}"
    assert course_roles([sub_role]) == (Role.TEACHING_ASSISTANT,)
    assert course_roles([sub_role, f"{V2}membership#Instructor"]) == (Role.TEACHING_ASSISTANT,)


def test_D04_who_also_holds_a_teaching_sub_role_is_an_instructor():
    uris = [f"{V2}membership/Instructor#TeachingAssistant", f"{V2}membership/Instructor#Lecturer"]
    assert course_roles(uris) == (Role.INSTRUCTOR, Role.TEACHING_ASSISTANT)


def test_the_sub_role_of_a_learner_that_is_called_instructor_is_a_learner():
    """pylti1p3 takes the part behind # and makes an instructor of it."""
    assert course_roles([f"{V2}membership/Learner#Instructor"]) == (Role.LEARNER,)


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/membership#Instructor",
        f" {V2}membership#Instructor",
        f"{V2}membership#Instructor\n",
        f"{V2}institution/membership#Instructor",
        f"x{V2}membership#Instructor",
    ],
)
def test_a_uri_that_only_resembles_a_role_is_none(uri):
    assert course_roles([uri]) == ()


def test_D06_the_test_student_is_told_from_a_student():
    assert is_test_user([f"{V2}membership#Learner", TEST_USER])
    assert not is_test_user([f"{V2}membership#Learner"])


def test_D06_the_test_student_of_canvas_is_marked_in_the_launch(canvas):
    user = canvas.lms.add_user(canvas.course, "test")
    launch = canvas.launch(user)
    assert launch.test_user and launch.course_roles == (Role.LEARNER,)


@pytest.mark.parametrize(("role", "expected"), [("ta", "canvas"), ("observer", "canvas"), ("designer", "canvas")])
def test_other_members_of_a_canvas_course_are_no_instructors(canvas, role, expected):
    launch = canvas.launch(canvas.lms.add_user(canvas.course, role))
    assert Role.INSTRUCTOR not in launch.course_roles and launch.course_roles
