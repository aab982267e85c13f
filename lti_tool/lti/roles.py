"""Role URIs of a launch or a roster → what somebody is in this course.

Only context roles (`membership`) say anything about a course. Whoever teaches somewhere in the institution, or
administers the LMS, has no rights in this course by that (D01, D02).
LTI Core 1.3: https://www.imsglobal.org/spec/lti/v1p3/#role-vocabularies"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """A context role, in the specification's words."""

    INSTRUCTOR = "Instructor"
    TEACHING_ASSISTANT = "TeachingAssistant"
    CONTENT_DEVELOPER = "ContentDeveloper"
    ADMINISTRATOR = "Administrator"
    MENTOR = "Mentor"
    LEARNER = "Learner"


# https://www.imsglobal.org/spec/lti/v1p3/#context-roles and #context-sub-roles
_PRINCIPAL = re.compile(r"http://purl\.imsglobal\.org/vocab/lis/v2/membership#(\w+)")
_SUB_ROLE = re.compile(r"http://purl\.imsglobal\.org/vocab/lis/v2/membership/(\w+)#(\w+)")

# https://www.imsglobal.org/spec/lti/v1p3/#lti-vocabulary-for-system-roles: Canvas' "Student View" sends it.
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

# Sub-roles of Instructor that assist. Grader and the rest of the TeachingAssistant family likewise.
_ASSISTS = re.compile(r"TeachingAssistant\w*|Grader")


def course_roles(uris: Iterable[str]) -> tuple[Role, ...]:
    """Return the roles held in the course, the one with most rights first; none for a visitor.

    A short name ("Instructor") counts as a context role: LTI Core allows it to stand for one, and Moodle 4.5
    writes its roster so. The role of a sub-role URI is the part before `#`: `membership/Learner#Instructor` is a
    learner. Canvas sends a teaching assistant as `membership/Instructor#TeachingAssistant` together with
    `membership#Instructor`; the narrower one counts."""
    found: set[Role] = set()
    assists = teaches = False
    for uri in uris:
        if sub_role := _SUB_ROLE.fullmatch(uri):
            principal, name = sub_role.groups()
            if principal == Role.INSTRUCTOR and _ASSISTS.fullmatch(name):
                assists = True
            elif principal == Role.INSTRUCTOR:
                teaches = True
            elif principal in set(Role) and principal != Role.ADMINISTRATOR:
                found.add(Role(principal))  # Administrator's sub-roles (support staff) grant nothing by themselves
            continue
        match = _PRINCIPAL.fullmatch(uri)
        name = match.group(1) if match else uri
        if name in set(Role):
            found.add(Role(name))
    if teaches:
        found.add(Role.INSTRUCTOR)
    if assists:
        found.add(Role.TEACHING_ASSISTANT)
        if not teaches:
            found.discard(Role.INSTRUCTOR)
    return tuple(role for role in Role if role in found)


# https://www.imsglobal.org/spec/lti/v1p3/#lis-vocabulary-for-institution-roles and …-for-system-roles. Canvas sends the
# first for an account's administrator (source), Moodle both for a site's (seen).
_ADMINISTRATORS = {
    "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator",
    "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator",
    "http://purl.imsglobal.org/vocab/lis/v2/system/person#SysAdmin",
}


def is_administrator(uris: Iterable[str]) -> bool:
    """Say whether the LMS calls somebody an administrator of its own. It gives no right in a course, and none here."""
    return not _ADMINISTRATORS.isdisjoint(uris)


def is_test_user(uris: Iterable[str]) -> bool:
    """Say whether this is an LMS's pretended student, who may look and is never awarded (D06)."""
    return TEST_USER in set(uris)
