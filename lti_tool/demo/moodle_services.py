"""The Moodle mood's Assignment and Grade Services and roster, as seen on Moodle 4.5.6."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from . import wire
from .launches import LTI, MEMBERSHIP, substitute
from .records import Column, Course, Grade, Tool, User

if TYPE_CHECKING:
    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
LINEITEM = "application/vnd.ims.lis.v2.lineitem+json"
LINEITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
RESULTS = "application/vnd.ims.lis.v2.resultcontainer+json"
MEMBERSHIPS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
LONGEST_LABEL = 255
# Non-editing teachers are learners here, though their launch says Instructor.
SHORT_ROLES = {"instructor": "Instructor", "designer": "Instructor"}


class Refused(Exception):
    """An answer that ends a request early."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason or REASONS[status]

    @property
    def response(self) -> Response:
        body = {
            "status": self.status,
            "reason": self.reason,
            "request": {
                "method": request.method,
                "url": request.url,
                "accept": request.headers.get("Accept", ""),
                "contentType": request.headers.get("Content-Type", ""),
            },
        }
        return Response(json.dumps(body), f"{self.status} {one_line(self.reason)}", content_type="application/json")


class Page(Exception):
    """An HTML page where a tool expects JSON."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.response = Response(
            f"<!DOCTYPE html><html><head><title>Error</title></head><body><p class=errorbox>"
            f"{escape(sentence)}</p></body></html>",
            status,
            content_type="text/html; charset=utf-8",
        )


class ScoreRefused(Exception):
    """The answers of the scores service: the sentence is the HTTP reason, the body an empty list."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.response = Response("[]", f"{status} {one_line(reason)}", content_type="application/json")


def one_line(reason: str) -> str:
    return " ".join(reason.split()).encode("ascii", "backslashreplace").decode()


def answer(body: Any, status: int, content_type: str) -> Response:
    return Response(json.dumps(body), status, content_type=content_type)


def plain(number: float) -> int | float:
    """Write 3.0 as 3, as PHP does."""
    return int(number) if float(number).is_integer() else number


def add_routes(blueprint: Blueprint, lms: Lms) -> None:
    services = MoodleServices(lms)
    for kind in (Refused, Page, ScoreRefused):
        blueprint.register_error_handler(kind, lambda refused: refused.response)
    root = "/mod/lti/services.php"
    item = root + "/<course>/lineitems/<number>/lineitem"
    for path, endpoint, view, methods in (
        (root + "/<course>/lineitems", "lineitems", services.lineitems, ["GET", "POST"]),
        (item, "lineitem", services.lineitem, ["GET", "PUT", "DELETE"]),
        (item + "/results", "results", services.results, ["GET"]),
        (item + "/scores", "scores", services.scores, ["POST"]),
        (root + "/CourseSection/<course>/bindings/<binding>/memberships", "memberships", services.memberships, ["GET"]),
    ):
        blueprint.add_url_rule(path, endpoint, wire.locked(lms, view), methods=methods)


class MoodleServices:
    def __init__(self, lms: Lms) -> None:
        self.lms = lms

    def enter(self, course: str, *scopes: str) -> tuple[Tool, Course]:
        """Check the token; it is good for every course of the site."""
        access = wire.access(self.lms)
        if isinstance(access, str) or not set(scopes) & set(access.scopes):
            raise Refused(401)
        tool = self.lms.tools.get(access.client_id)
        if tool is None or request.args.get("type_id", str(tool.number)) != str(tool.number):
            raise Refused(401)
        found = self.lms.courses.get(course)
        if found is None:
            raise Refused(404)
        if tool.client_id in found.withdrawn:
            raise Refused(401)
        return tool, found

    def need_accept(self, wanted: str) -> None:
        """Refuse where the list's own media type is not asked for."""
        if wanted not in [one.split(";")[0].strip() for one in request.headers.get("Accept", "").split(",")]:
            raise Refused(400)

    def refuse_other_accept(self, wanted: str) -> None:
        """Take no Accept at all, and the right one; application/json is refused."""
        asked = [one.split(";")[0].strip() for one in request.headers.get("Accept", "*/*").split(",")]
        if not set(asked) & {wanted, "*/*", ""}:
            raise Refused(400)

    def need_content_type(self, wanted: str) -> None:
        if (request.headers.get("Content-Type") or "").split(";")[0].strip() != wanted:
            raise Refused(400)

    def own_column(self, course: Course, number: str, tool: Tool) -> Column:
        column = self.lms.columns_by_number.get(int(number)) if number.isdigit() else None
        if column is None or column.course_id != course.id or column.client_id != tool.client_id:
            raise Refused(404)
        return column

    # Line items

    def lineitems(self, course: str) -> Response:
        if request.method == "POST":
            return self.create(course)
        tool, found = self.enter(course, SCOPE + "lineitem", SCOPE + "lineitem.readonly")
        self.need_accept(LINEITEMS)
        rows = [column for column in self.lms.columns(found) if column.client_id == tool.client_id]
        for parameter, attribute in (("tag", "tag"), ("resource_id", "resource_id"), ("resource_link_id", "link_id")):
            if request.args.get(parameter):
                rows = [column for column in rows if (getattr(column, attribute) or "") == request.args[parameter]]
        response_rows, headers = rows, {}
        if request.args.get("limit", "").isdigit() and int(request.args["limit"]):
            limit, start = int(request.args["limit"]), int(request.args.get("from") or 0)
            response_rows = rows[start : start + limit]
            headers["Link"] = self.curly_link(found, tool, limit, start, len(rows))
        response = answer([self.written(column) for column in response_rows], 200, LINEITEMS)
        response.headers.update(headers)
        return response

    def curly_link(self, course: Course, tool: Tool, limit: int, start: int, total: int) -> str:
        """Write Moodle's Link header: typographic quotes as UTF-8 bytes, `&amp;`, and a wrong "last"."""
        address = self.lms.mood.lineitems_url(course, tool)
        for name in ("tag", "resource_id", "resource_link_id"):
            if request.args.get(name):
                address += f"&amp;{name}={request.args[name]}"
        links = [
            f"<{address}&amp;limit={limit}&amp;from=0>; rel=“first”",
            f"<{address}&amp;limit={limit}&amp;from={total}>; rel=“last”",
        ]
        if start + limit < total:
            links.append(f"<{address}&amp;limit={limit}&amp;from={start + limit}>; rel=“next”")
        # WSGI wants a header's bytes written as latin-1.
        return ", ".join(links).encode().decode("latin-1")

    def create(self, course: str) -> Response:
        tool, found = self.enter(course, SCOPE + "lineitem")
        self.need_content_type(LINEITEM)
        body = wire.json_body()
        if body is None or not body.get("label") or not wire.is_number(body.get("scoreMaximum")):
            raise Refused(400, "No label or Score Maximum")
        if len(body["label"]) > LONGEST_LABEL:
            raise Page(502, "502 Bad Gateway")  # PHP sends the status "0", which nginx cannot read
        link_id = body.get("resourceLinkId")
        link = self.lms.links.get(str(link_id)) if link_id else None
        if link_id and (link is None or link.client_id != tool.client_id or link.course_id != found.id):
            raise Refused(403)
        column = self.lms.add_column(
            found,
            body["label"],
            body["scoreMaximum"],
            tag=body.get("tag"),
            resource_id=body.get("resourceId"),
            client_id=tool.client_id,
            link_id=str(link_id) if link_id else None,
        )
        return answer({**body, "id": self.lms.lineitem_url(column)}, 201, LINEITEM)

    def lineitem(self, course: str, number: str) -> Response:
        scopes = [SCOPE + "lineitem"] + ([SCOPE + "lineitem.readonly"] if request.method == "GET" else [])
        tool, found = self.enter(course, *scopes)
        column = self.own_column(found, number, tool)
        if request.method == "DELETE":
            self.lms.delete_column(found, column)
            return Response(b"", 204)
        if request.method == "PUT":
            self.need_content_type(LINEITEM)
            body = wire.json_body()
            if body is None or not body.get("label") or not wire.is_number(body.get("scoreMaximum")):
                raise Refused(400, "No label or Score Maximum")
            column.label = body["label"]
            column.tag, column.resource_id = body.get("tag"), body.get("resourceId")  # left out: cleared
            self.lms.set_maximum(found, column, body["scoreMaximum"])
        else:
            self.refuse_other_accept(LINEITEM)
        return answer(self.written(column), 200, LINEITEM)

    def written(self, column: Column) -> dict[str, Any]:
        """Write a line item; tag and resourceId are there even when empty."""
        body: dict[str, Any] = {
            "id": self.lms.lineitem_url(column),
            "label": column.label,
            "scoreMaximum": plain(column.maximum),
            "resourceId": column.resource_id or "",
            "tag": column.tag or "",
        }
        if column.link_id:
            body |= {"resourceLinkId": column.link_id, "ltiLinkId": column.link_id}
        return body

    # Results: all in one page, and `limit` breaks it

    def results(self, course: str, number: str) -> Response:
        tool, found = self.enter(course, SCOPE + "result.readonly")
        if "limit" in request.args:
            raise Page(404, "Exception - Typed property $lastpage must be of type int, null used")
        self.refuse_other_accept(RESULTS)
        column = self.own_column(found, number, tool)
        wanted = request.args.get("user_id")
        rows = [
            self.written_result(column, user_id, grade)
            for user_id, grade in column.grades.items()
            if wanted in (None, user_id)
        ]
        return answer(rows, 200, RESULTS)

    def written_result(self, column: Column, user_id: str, grade: Grade) -> dict[str, Any]:
        item, tool = self.lms.lineitem_url(column), self.lms.tools[column.client_id or ""]
        address = item.partition("?")[0]
        body: dict[str, Any] = {"id": f"{address}/results?type_id={tool.number}&user_id={user_id}", "userId": user_id}
        if grade.score is None:
            return body  # touched, but no grade
        body |= {"resultScore": plain(grade.score), "resultMaximum": plain(column.maximum)}
        if grade.comment:
            body["comment"] = grade.comment
        return {**body, "scoreOf": item, "timestamp": datetime.fromtimestamp(int(grade.changed), UTC).isoformat()}

    # Scores

    def scores(self, course: str, number: str) -> Response:
        tool, found = self.enter(course, SCOPE + "score")
        self.need_content_type(SCORE)
        column = self.own_column(found, number, tool)
        text = request.get_data(as_text=True)
        body = wire.json_body() or {}
        if not str(body.get("userId", "0")).isdigit():
            raise Page(502, "502 Bad Gateway")
        user = self.lms.users.get(str(body.get("userId")))
        moment, given = wire.seconds(body.get("timestamp")), body.get("scoreGiven")
        complete = all(body.get(name) for name in ("userId", "timestamp", "activityProgress", "gradingProgress"))
        maximum: Any = body.get("scoreMaximum")
        if (
            not complete
            or moment is None
            or user is None
            or not self.can_be_graded(found, user)
            or (given is not None and not (wire.is_number(given) and wire.is_number(maximum) and maximum > 0))
        ):
            raise ScoreRefused(400, f"Incorrect score received{text}")
        grade = column.grades.get(user.id)
        if grade is not None and int(moment) <= int(grade.changed):
            raise ScoreRefused(
                409, f"Refusing score with an earlier timestamp for item {column.number} and user {user.id}"
            )
        self.set_score(column, user, body, int(moment))
        self.lms.changed()
        return Response(b"", 200, content_type=SCORE)

    def can_be_graded(self, course: Course, user: User) -> bool:
        """Take learners, suspended ones too."""
        enrolment = course.enrolments.get(user.id)
        return enrolment is not None and enrolment.role == "student"

    def set_score(self, column: Column, user: User, body: dict[str, Any], moment: int) -> None:
        grade = column.grades.get(user.id)
        if grade is not None and grade.overridden:
            return  # a teacher's grade on a coupled item stays, and the tool is told 200
        given = body.get("scoreGiven")
        if body["gradingProgress"] != "FullyGraded":
            given = None
        if given is None and column.coupled:
            column.grades.pop(user.id, None)  # gone from the results, and so is the guard on timestamps
            return
        if grade is None:
            grade = column.grades[user.id] = Grade(self.lms.serial("result"), None, 0, "tool")
        grade.score = None
        if given is not None:
            scaled = given * column.maximum / body["scoreMaximum"]
            grade.score = round(max(0.0, min(scaled, column.maximum)), 5)
        grade.by, grade.changed, grade.comment = "tool", float(moment), body.get("comment")

    # Roster

    def memberships(self, course: str, binding: str) -> Response:
        tool, found = self.enter(course, NRPS_SCOPE)
        self.refuse_other_accept(MEMBERSHIPS)
        if binding != str(tool.number):
            raise Refused(401)
        link_id = request.args.get("rlid")
        if link_id and link_id not in self.lms.links:
            raise Refused(404)
        people = sorted(self.lms.people(found), key=lambda user: (user.family_name, user.given_name))
        wanted = request.args.get("role", "").removeprefix(MEMBERSHIP + "#")
        if wanted in ("Learner", "Instructor"):
            people = [user for user in people if self.short_role(found, user) == wanted]
        headers = {}
        if request.args.get("limit", "").isdigit() and int(request.args["limit"]):
            limit, start = int(request.args["limit"]), int(request.args.get("from") or 0)
            limit = min(limit, self.lms.max_page_size or limit)
            if start + limit < len(people):
                address = self.lms.memberships_url(found, tool)
                kept = "".join(f"&{name}={request.args[name]}" for name in ("role", "rlid") if name in request.args)
                headers["Link"] = f'<{address}?limit={limit}&from={start + limit}{kept}>; rel="next"'
            people = people[start : start + limit]
        body = {
            "id": self.lms.memberships_url(found, tool),
            "context": {"id": found.id, "label": found.label, "title": found.title},
            "members": [self.member(tool, found, user, link_id) for user in people],
        }
        response = answer(body, 200, MEMBERSHIPS)
        response.headers.update(headers)
        return response

    def short_role(self, course: Course, user: User) -> str:
        return SHORT_ROLES.get(self.lms.role(course, user) or "", "Learner")

    def member(self, tool: Tool, course: Course, user: User, link_id: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "status": "Active",
            "roles": [self.short_role(course, user)],
            "user_id": user.id,
            "lis_person_sourcedid": user.sourcedid,
        }
        if tool.privacy in ("public", "name_only"):
            body |= {"name": user.name, "given_name": user.given_name, "family_name": user.family_name}
        if tool.privacy in ("public", "email_only"):
            body["email"] = user.email
        if tool.privacy in ("public", "name_only"):
            body["ext_user_username"] = user.username
        if link_id:
            known = self.lms.mood.variables(user, course, self.lms.links[link_id])
            known |= {"$Moodle.Person.userGroupIds": ""}  # of whoever asks, and a service is nobody
            custom = substitute(tool.custom, known)
            body["message"] = [{LTI + "message_type": "LtiResourceLinkRequest", LTI + "custom": custom}]
        return body
