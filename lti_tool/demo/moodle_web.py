"""The Moodle mood's web services: what a token can read of assignments, rubrics and grades.

Seen on Moodle 4.5.6: every error is an HTTP 200 with `exception`, `errorcode` and `message`. Where web services, or
the REST protocol, are off, it is a 403 with nothing in it (webservice/rest/server.php)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, g, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from . import moodle_rubrics
from .moodle_rubrics import Assignment, Marking
from .records import Course, User, WebToken

if TYPE_CHECKING:
    from .lms import Lms

PATH = "/webservice/rest/server.php"
INDEXED = re.compile(r"(\w+)\[(\d+)\]")
MEANINGS = {
    "accessexception": "Access control exception",
    "invalidtoken": "Invalid token - token not found",
    "invalidtimedtoken": "Invalid token - token expired",
    "invalidiptoken": "Invalid token - your IP is not supported",
    "invalidparameter": "Invalid parameter value detected",
    "invalidrecord": "Can't find data record in database table.",
    "nopermissions": "Sorry, but you do not currently have permissions to do that (Manage advanced grading methods).",
    "sitemaintenance": "The site is undergoing maintenance and is currently not available",
}
EXCEPTIONS = {
    "accessexception": "webservice_access_exception",
    "invalidparameter": "invalid_parameter_exception",
    "nopermissions": "required_capability_exception",
    "invalidrecord": "dml_missing_record_exception",
}


class Refused(Exception):
    """An error of the web services, by its errorcode."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def new_token(lms: Lms, user: User | str, *, without: tuple[str, ...] = ()) -> str:
    """Make a token for somebody; its service has every function but those `without`."""
    token = secrets.token_hex(16)
    with lms.lock:
        functions = [name for name in FUNCTIONS if name not in without]
        lms.web_tokens[token] = WebToken(lms.user(user).id, functions)
        lms.changed()
    return token


def add_routes(routes: Blueprint, lms: Lms) -> None:
    @routes.route(PATH, endpoint="webservice", methods=["GET", "POST"])
    def webservice() -> Response:
        if not lms.web_services:
            return Response("", 403)
        request.get_data()  # before the form is read from it: the list of requests shows the body
        asked = {**request.args.to_dict(), **request.form.to_dict()}
        try:
            return jsonify(answer(lms, asked))
        except Refused as refused:
            return jsonify(
                exception=EXCEPTIONS.get(refused.code, "moodle_exception"),
                errorcode=refused.code,
                message=MEANINGS[refused.code],
            )


def answer(lms: Lms, asked: dict[str, str]) -> Any:
    token = lms.web_tokens.get(asked.get("wstoken", ""))
    if token is None:
        raise Refused("invalidtoken")
    if token.expires is not None and token.expires < lms.clock():
        raise Refused("invalidtimedtoken")
    if token.elsewhere:
        raise Refused("invalidiptoken")
    name = asked.get("wsfunction", "")
    if name not in token.functions:
        raise Refused("accessexception")
    return FUNCTIONS[name](lms, token, asked)


def numbers(asked: dict[str, str], name: str) -> list[int]:
    """Read an array as PHP writes it in a form: name[0], name[1] …"""
    found = {}
    for key, value in asked.items():
        match = INDEXED.fullmatch(key)
        if match and match[1] == name:
            if not value.isdigit():
                raise Refused("invalidparameter")
            found[int(match[2])] = int(value)
    return [found[place] for place in sorted(found)]


def number(asked: dict[str, str], name: str) -> int:
    if not asked.get(name, "").isdigit():
        raise Refused("invalidparameter")
    return int(asked[name])


def warning(item: str, number: int, code: str, message: str) -> dict[str, Any]:
    return {"item": item, "itemid": number, "warningcode": code, "message": message}


def may_grade(lms: Lms, token: WebToken, course: Course | str) -> bool:
    user = lms.users.get(token.user_id)
    return user is not None and (user.admin or lms.role(course, user) in ("instructor", "ta"))


# -- the functions ----------------------------------------------------------------------------------------------


def site_info(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    user = lms.users[token.user_id]
    return {
        "sitename": "Demo Moodle",
        "username": user.username,
        "firstname": user.given_name,
        "lastname": user.family_name,
        "fullname": user.name,
        "lang": user.locale,
        "userid": user.number,
        "siteurl": lms.issuer,
        "functions": [{"name": name, "version": "2024100706"} for name in token.functions],
        "release": "4.5.6 (Build: 20250811)",
        "version": "2024100706",
        "userissiteadmin": user.admin,
    }


def get_assignments(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    courses, warnings = [], []
    for course_id in numbers(asked, "courseids"):
        course = lms.courses.get(str(course_id))
        if course is None or not may_grade(lms, token, course):
            beyond = asked.get("includenotenrolledcourses") == "1"
            code, message = ("1", "No access rights in course context") if beyond else ("2", "User is not enrolled")
            warnings.append(warning("course", course_id, code, message))
            continue
        courses.append(
            {
                "id": course.number,
                "fullname": course.title,
                "shortname": course.label,
                "timemodified": int(lms.clock()),
                "assignments": [assignment_row(lms, one) for one in moodle_rubrics.of(lms, course)],
            }
        )
    return {"courses": courses, "warnings": warnings}


def assignment_row(lms: Lms, one: Assignment) -> dict[str, Any]:
    return {
        "id": one.number,
        "cmid": one.module,
        "course": int(one.course_id),
        "name": one.title,
        "nosubmissions": 0,
        "grade": int(lms.columns_by_number[one.column].maximum),
        "teamsubmission": int(one.team),
        "blindmarking": int(one.anonymous),
        "revealidentities": int(one.revealed),
        "markingworkflow": int(one.workflow),
        "markingallocation": 0,
    }


def get_definitions(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    areas, warnings = [], []
    for module in numbers(asked, "cmids"):
        one = next((each for each in lms.assignments.values() if each.module == module), None)
        if one is None or not may_grade(lms, token, one.course_id):
            warnings.append(warning("module", module, "1", "No access rights in module context"))
            continue
        areas.append(
            {
                "cmid": module,
                "contextid": module + 1000,
                "component": "mod_assign",
                "areaname": "submissions",
                "activemethod": "rubric",
                "definitions": [
                    {
                        "id": one.form,
                        "method": "rubric",
                        "name": one.title,
                        "status": 20,
                        "rubric": {
                            "rubric_criteria": [
                                {
                                    "id": row.number,
                                    "sortorder": place,
                                    "description": f"<p>{row.title}</p>",
                                    "descriptionformat": 1,
                                    "levels": [
                                        {
                                            "id": level.number,
                                            "score": int(level.points) if level.points % 1 == 0 else level.points,
                                            "definition": level.name,
                                            "definitionformat": 1,
                                        }
                                        for level in row.levels
                                    ],
                                }
                                for place, row in enumerate(one.criteria, 1)
                            ]
                        },
                    }
                ],
            }
        )
    return {"areas": areas, "warnings": warnings}


def get_instances(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    form = number(asked, "definitionid")
    one = next((each for each in lms.assignments.values() if each.form == form), None)
    if one is None:
        raise Refused("invalidrecord")
    if not may_grade(lms, token, one.course_id):
        raise Refused("nopermissions")
    found = []
    for user_id, marking in one.markings.items():
        # Filled forms of earlier attempts stay active: each belongs to the grade of its attempt.
        for each in [*(moodle_rubrics.marking_from(was) for was in marking.earlier), marking]:
            if any(row.level is not None for row in each.rows.values()):
                found.append(instance(lms, each, user_id))
    return {"instances": found, "warnings": []}


def instance(lms: Lms, marking: Marking, user_id: str) -> dict[str, Any]:
    return {
        "id": marking.form,
        "raterid": lms.users[marking.by].number,
        "itemid": marking.number,
        "rawgrade": None,
        "status": 1,
        "feedback": "",
        "feedbackformat": 0,
        "timemodified": int(marking.changed),
        "rubric": {
            "criteria": [
                {
                    "id": marking.form * 100 + place,
                    "criterionid": int(key),
                    "levelid": filled.level,
                    "remark": filled.comment,
                    "remarkformat": 1,
                }
                for place, (key, filled) in enumerate(marking.rows.items())
                if filled.level is not None
            ]
        },
    }


def get_grades(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    found, warnings = [], []
    for number_asked in numbers(asked, "assignmentids"):
        one = lms.assignments.get(number_asked)
        if one is None or not may_grade(lms, token, one.course_id):
            warnings.append(warning("assignment", number_asked, "1", "No access rights in module context"))
            continue
        grades = [grade(lms, one, user_id, marking) for user_id, marking in one.markings.items()]
        if grades:
            found.append({"assignmentid": one.number, "grades": grades})
        else:
            warnings.append(warning("assignment", one.number, "3", "No grades found"))
    return {"assignments": found, "warnings": warnings}


def grade(lms: Lms, one: Assignment, user_id: str, marking: Marking) -> dict[str, Any]:
    points = moodle_rubrics.total(one, marking)
    return {
        "id": marking.number,
        "assignment": one.number,
        "userid": lms.users[user_id].number,
        "attemptnumber": marking.attempt,
        "timecreated": int(marking.changed),
        "timemodified": int(marking.changed),
        "grader": lms.users[marking.by].number,
        "grade": f"{-1 if points is None else points:.5f}",
    }


def get_user_flags(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    found, warnings = [], []
    for number_asked in numbers(asked, "assignmentids"):
        one = lms.assignments.get(number_asked)
        if one is None or not may_grade(lms, token, one.course_id):
            warnings.append(warning("assignment", number_asked, "1", "No access rights in module context"))
            continue
        flags = [
            {
                "id": marking.form,
                "userid": lms.users[user_id].number,
                "locked": 0,
                "mailed": 0,
                "extensionduedate": 0,
                # Nothing is stored before somebody chooses a state, so "not marked" comes as an empty text.
                "workflowstate": "" if marking.state == "notmarked" else marking.state,
                "allocatedmarker": 0,
            }
            for user_id, marking in one.markings.items()
        ]
        if flags:
            found.append({"assignmentid": one.number, "userflags": flags})
        else:
            warnings.append(warning("assignment", one.number, "3", "No user flags found"))
    return {"assignments": found, "warnings": warnings}


def get_grade_items(lms: Lms, token: WebToken, asked: dict[str, str]) -> dict[str, Any]:
    course = lms.courses.get(asked.get("courseid", ""))
    if course is None:
        raise Refused("invalidrecord")
    if not may_grade(lms, token, course):
        raise Refused("nopermissions")
    only = asked.get("userid", "0")
    learners = [user for user in lms.learners(course) if only in ("0", user.id)]
    return {"usergrades": [report(lms, course, user) for user in learners], "warnings": []}


def report(lms: Lms, course: Course, user: User) -> dict[str, Any]:
    """Write one learner's grades: an item for each column, then the total of those that are graded."""
    assignments = {one.column: one for one in moodle_rubrics.of(lms, course)}
    items: list[dict[str, Any]] = []
    points = most = 0.0
    for column in lms.columns(course):
        cell = column.grades.get(user.id)
        score = cell.score if cell else None
        one = assignments.get(column.number)
        if score is not None:
            points, most = points + score, most + column.maximum
        marking = one.markings.get(user.id) if one else None
        items.append(
            {
                "id": column.number,
                "itemname": column.label,
                "itemtype": "mod" if one or column.coupled else "manual",
                "itemmodule": "assign" if one else "lti" if column.coupled else None,
                "iteminstance": one.number if one else column.number,
                "itemnumber": 0,
                "idnumber": "",
                **({"cmid": one.module} if one else {}),
                "graderaw": plain(score),
                "gradedategraded": int(cell.changed) if cell and score is not None else None,
                "gradehiddenbydate": False,
                "gradeneedsupdate": False,
                "gradeishidden": bool(one and (one.hidden or (marking and marking.hidden))),
                "gradeislocked": False,
                "gradeisoverridden": bool(cell and cell.overridden),
                "grademin": 0,
                "grademax": plain(column.maximum),
            }
        )
    items.append(
        {
            "id": 900000 + course.number,
            "itemname": "",
            "itemtype": "course",
            "itemmodule": None,
            "iteminstance": course.number,
            "itemnumber": None,
            "idnumber": "",
            "graderaw": plain(points) if most else None,
            "gradedategraded": None,
            "gradehiddenbydate": False,
            "gradeneedsupdate": False,
            "gradeishidden": course.total_hidden,
            "gradeislocked": False,
            "gradeisoverridden": False,
            "grademin": 0,
            "grademax": plain(most or 100.0),
        }
    )
    return {
        "courseid": course.number,
        "courseidnumber": "",
        "userid": user.number,
        "userfullname": user.name,
        "useridnumber": user.sourcedid,
        "maxdepth": 2,
        "gradeitems": items,
    }


def plain(value: float | None) -> float | int | None:
    """Write a number as PHP's JSON does: without a needless .0."""
    return int(value) if value is not None and value == int(value) else value


FUNCTIONS: dict[str, Callable[[Lms, WebToken, dict[str, str]], Any]] = {
    "core_webservice_get_site_info": site_info,
    "mod_assign_get_assignments": get_assignments,
    "core_grading_get_definitions": get_definitions,
    "core_grading_get_gradingform_instances": get_instances,
    "mod_assign_get_grades": get_grades,
    "mod_assign_get_user_flags": get_user_flags,
    "gradereport_user_get_grade_items": get_grade_items,
}


# -- the page ---------------------------------------------------------------------------------------------------


def add_pages(routes: Blueprint, lms: Lms, address: Callable[..., str]) -> None:
    """Add the page where tokens are made: an administrator's "Manage tokens", a teacher's "Security keys"."""

    def may_use() -> bool:
        return g.user.admin or any(lms.role(course, g.user) == "instructor" for course in lms.courses.values())

    @routes.get("/web-services")
    def web_services() -> str:
        if not may_use():
            abort(403)
        return render_template(
            "web_services.html",
            tokens={token: one for token, one in lms.web_tokens.items() if g.user.id == one.user_id},
            functions=list(FUNCTIONS),
        )

    @routes.post("/web-services")
    def new() -> AnyResponse:
        if not may_use():
            abort(403)
        act = request.form.get("do")
        if act == "switch" and g.user.admin:
            lms.web_services = not lms.web_services
            lms.changed()
        elif act == "delete":
            lms.web_tokens.pop(request.form.get("token", ""), None)
            lms.changed()
        elif act == "create":
            kept = request.form.getlist("function") or list(FUNCTIONS)
            new_token(lms, g.user, without=tuple(name for name in FUNCTIONS if name not in kept))
        return redirect(address("web_services"), 303)
