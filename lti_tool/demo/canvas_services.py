"""The Canvas mood's Assignment and Grade Services and roster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from . import wire
from .launches import INSTITUTION, LTI, SYSTEM, TEST_USER, substitute
from .records import Column, Course, Grade, Tool, User

if TYPE_CHECKING:
    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
SUBMISSION_TYPE = "https://canvas.instructure.com/lti/submission_type"
SUBMISSION = "https://canvas.instructure.com/lti/submission"
LINEITEM = "application/vnd.ims.lis.v2.lineitem+json"
LINEITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
RESULTS = "application/vnd.ims.lis.v2.resultcontainer+json"
MEMBERSHIPS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
OFFLINE_TYPES = ("on_paper", "external_tool", "none", "not_graded", "wiki_page")
ACTIVITY = ("Initialized", "Started", "InProgress", "Submitted", "Completed")
GRADING = ("FullyGraded", "Pending", "PendingManual", "Failed", "NotReady")
KEEPS_SCORE = ("FullyGraded", "PendingManual")
AGS_PAGE, AGS_MAX_PAGE, NRPS_PAGE = 10, 100, 50
TYPES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    412: "precondition_failed",
    422: "unprocessable_entity",
}


class Refused(Exception):
    """An answer that ends a request early."""

    def __init__(self, status: int, message: str | None) -> None:
        super().__init__(message)
        if message is None:
            self.response = Response(b"", status)
        elif status == 404:
            self.response = answer({"errors": [{"message": message}]}, 404, "application/json; charset=utf-8")
        else:
            self.response = answer(
                {"errors": {"type": TYPES[status], "message": message}}, status, "application/json; charset=utf-8"
            )


def answer(body: Any, status: int = 200, content_type: str = LINEITEM) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type=content_type)


def add_routes(blueprint: Blueprint, lms: Lms) -> None:
    services = CanvasServices(lms)
    blueprint.register_error_handler(Refused, lambda refused: refused.response)
    item = "/api/lti/courses/<int:course>/line_items/<int:number>"
    for path, endpoint, view, methods in (
        ("/api/lti/courses/<int:course>/line_items", "lineitems", services.lineitems, ["GET", "POST"]),
        (item, "lineitem", services.lineitem, ["GET", "PUT", "DELETE"]),
        (item + "/results", "results", services.results, ["GET"]),
        (item + "/results/<int:result>", "results_one", services.result, ["GET"]),
        (item + "/scores", "scores", services.scores, ["POST"]),
        ("/api/lti/courses/<int:course>/names_and_roles", "memberships", services.memberships, ["GET"]),
    ):
        blueprint.add_url_rule(path, endpoint, wire.locked(lms, view), methods=methods)


class CanvasServices:
    def __init__(self, lms: Lms) -> None:
        self.lms = lms

    # Who is asking, and for what (section 3.5)

    def enter(self, course: int, *scopes: str) -> tuple[Tool, Course]:
        found = next((one for one in self.lms.courses.values() if one.number == course), None)
        access = wire.access(self.lms)
        if isinstance(access, str):
            sentence = {
                "missing": "Missing access token",
                "expired": "Access token expired",
                "unknown": "Invalid access token format",
            }[access]
            raise Refused(401, sentence)
        if not set(scopes) & set(access.scopes):
            raise Refused(401, "Insufficient permissions")
        tool = self.lms.tools.get(access.client_id)
        if tool is None or not tool.active:
            raise Refused(401, "Unknown or inactive Developer Key")
        if found is None:
            raise Refused(404, "The specified resource does not exist.")
        if tool.client_id in found.withdrawn:
            raise Refused(401, "Access Token not linked to a Tool associated with this Context")
        return tool, found

    def enter_gradebook(self, course: int, *scopes: str) -> tuple[Tool, Course]:
        tool, found = self.enter(course, *scopes)
        if found.concluded:
            raise Refused(422, "This course has concluded. AGS requests will no longer be accepted for this course.")
        return tool, found

    def column(self, course: Course, number: int) -> Column:
        column = self.lms.columns_by_number.get(number)
        if column is None or column.course_id != course.id:
            raise Refused(404, "The specified resource does not exist.")
        return column

    def own_column(self, course: Course, number: int, tool: Tool) -> Column:
        column = self.column(course, number)
        if column.client_id != tool.client_id:
            raise Refused(412, "Tool does not have permission to view line_item")
        return column

    # Pages (section 2.4)

    def page(self, rows: list[Any], default: int, largest: int) -> tuple[list[Any], str]:
        """Cut a page out of the rows; gives it and the Link header."""
        asked = request.args.get("per_page") or request.args.get("limit") or ""
        size = int(asked) if asked.isdigit() and int(asked) else default
        size = min(size, largest, self.lms.max_page_size or largest)
        number = request.args.get("page", "1")
        current = int(number) if number.isdigit() and int(number) else 1
        last = max(1, -(-len(rows) // size))
        address = self.lms.server_root + request.path.removeprefix(f"/{self.lms.name}")
        kept = [pair for pair in request.args.items(multi=True) if pair[0] not in ("page", "per_page")]

        def link(relation: str, page: int) -> str:
            query = urlencode([*kept, ("page", page), ("per_page", size)])
            return f'<{address}?{query}>; rel="{relation}"'

        links = [link("current", current)]
        if current < last:
            links.append(link("next", current + 1))
        if current > 1:
            links.append(link("prev", current - 1))
        links += [link("first", 1), link("last", last)]
        return rows[(current - 1) * size : current * size], ",".join(links)

    def listed(self, rows: list[Any], links: str, content_type: str) -> Response:
        response = answer(rows, 200, content_type)
        response.headers["Link"] = links
        return response

    # Line items (section 2)

    def lineitems(self, course: int) -> Response:
        if request.method == "POST":
            return self.create(course)
        tool, found = self.enter_gradebook(course, SCOPE + "lineitem", SCOPE + "lineitem.readonly")
        rows = [column for column in self.lms.columns(found) if column.client_id == tool.client_id]
        for parameter, attribute in (("tag", "tag"), ("resource_id", "resource_id"), ("resource_link_id", "link_id")):
            if parameter in request.args:
                rows = [column for column in rows if getattr(column, attribute) == request.args[parameter]]
        rows, links = self.page(rows, AGS_PAGE, AGS_MAX_PAGE)
        return self.listed([self.written(column) for column in rows], links, LINEITEMS)

    def create(self, course: int) -> Response:
        tool, found = self.enter_gradebook(course, SCOPE + "lineitem")
        body = self.body("label", "scoreMaximum")
        submission = body.get(SUBMISSION_TYPE) or {"type": "none"}
        if submission.get("type") not in OFFLINE_TYPES:
            return answer({"error": f"Invalid submission_type for new assignment: {submission.get('type')}"}, 400)
        self.check_maximum(body)
        linked, coupled_to = None, body.get("resourceLinkId")
        if coupled_to:
            linked = self.lms.links.get(coupled_to)
            if linked is None:
                raise Refused(404, "The specified resource does not exist.")
            if linked.client_id != tool.client_id:
                raise Refused(422, "Resource link id points to Tool not associated with this Context")
            if linked.course_id != found.id or linked.column is None:
                raise Refused(412, None)
        column = self.lms.add_column(
            found,
            body["label"],
            body["scoreMaximum"],
            tag=body.get("tag"),
            resource_id=body.get("resourceId"),
            client_id=tool.client_id,
            link_id=coupled_to,
            extra=linked is not None,
            submission_type=None if linked else submission["type"],
            start=body.get("startDateTime"),
            end=body.get("endDateTime"),
        )
        return answer(self.written(column), 201)

    def lineitem(self, course: int, number: int) -> Response:
        scopes = [SCOPE + "lineitem"] + ([SCOPE + "lineitem.readonly"] if request.method == "GET" else [])
        tool, found = self.enter_gradebook(course, *scopes)
        column = self.own_column(found, number, tool)
        if request.method == "DELETE":
            if column.coupled:
                raise Refused(401, None)
            self.lms.delete_column(found, column)
            return Response(b"", 204)
        if request.method == "PUT":
            body = self.body()
            self.check_maximum(body)
            for name, attribute in (
                ("label", "label"),
                ("tag", "tag"),
                ("resourceId", "resource_id"),
                ("startDateTime", "start"),
                ("endDateTime", "end"),
            ):
                if name in body:
                    setattr(column, attribute, body[name])
            if "scoreMaximum" in body:
                self.lms.set_maximum(found, column, body["scoreMaximum"])
            self.lms.changed()
        return answer(self.written(column))

    def written(self, column: Column) -> dict[str, Any]:
        """Write a line item; members without a value are left out."""
        body = {
            "id": self.lms.lineitem_url(column),
            "scoreMaximum": float(column.maximum),
            "label": column.label,
            "tag": column.tag,
            "resourceId": column.resource_id,
            "resourceLinkId": column.link_id,
            "startDateTime": column.start,
            "endDateTime": column.end,
        }
        if column.submission_type and not column.coupled:
            body[SUBMISSION_TYPE] = {"type": column.submission_type}
        if "launch_url" in request.args.getlist("include[]") and column.link_id in self.lms.links:
            body["https://canvas.instructure.com/lti/launch_url"] = self.lms.links[column.link_id].url
        return {name: value for name, value in body.items() if value is not None}

    def body(self, *required: str) -> dict[str, Any]:
        body = wire.json_body()
        if body is None:
            raise Refused(400, "There was a problem in the request body")
        for name in required:
            if body.get(name) in (None, ""):
                raise Refused(400, f"param is missing or the value is empty: {name}")
        return body

    def check_maximum(self, body: dict[str, Any]) -> None:
        maximum = body.get("scoreMaximum", 0)
        if not wire.is_number(maximum) or maximum < 0:
            raise Refused(422, "Score maximum must be greater than or equal to 0")

    # Results (section 3)

    def results(self, course: int, number: int) -> Response:
        _, found = self.enter_gradebook(course, SCOPE + "result.readonly")
        column = self.column(found, number)  # whose item it is, is not checked here (section 2.1)
        rows = sorted(column.grades.items(), key=lambda row: row[1].number)
        rows = [row for row in rows if row[1].result_maximum is not None]
        if "user_id" in request.args:
            user = self.find_user(request.args["user_id"])
            # The test student is in the list, but asking for them alone gives nothing (section 3.1).
            wanted = user.id if user and self.lms.role(found, user) == "student" else None
            rows = [row for row in rows if row[0] == wanted]
        rows, links = self.page(rows, AGS_PAGE, AGS_MAX_PAGE)
        return self.listed([self.written_result(column, user_id, grade) for user_id, grade in rows], links, RESULTS)

    def result(self, course: int, number: int, result: int) -> Response:
        tool, found = self.enter_gradebook(course, SCOPE + "result.readonly")
        column = self.own_column(found, number, tool)
        for user_id, grade in column.grades.items():
            if grade.number == result:
                return answer(
                    self.written_result(column, user_id, grade), 200, "application/vnd.ims.lis.v2.result+json"
                )
        raise Refused(404, "The specified resource does not exist.")

    def written_result(self, column: Column, user_id: str, grade: Grade) -> dict[str, Any]:
        item = self.lms.lineitem_url(column)
        body: dict[str, Any] = {"id": f"{item}/results/{grade.number}", "scoreOf": item, "userId": user_id}
        if grade.result_score is not None:
            body["resultScore"] = float(grade.result_score)
        if grade.result_maximum is not None:
            body["resultMaximum"] = float(grade.result_maximum)
        if grade.comment is not None:
            body["comment"] = grade.comment
        if grade.extension is not None:
            body[SUBMISSION] = grade.extension
        return body

    # Scores (section 4)

    def scores(self, course: int, number: int) -> Response:
        _, found = self.enter_gradebook(course, SCOPE + "score")
        column = self.column(found, number)
        body = self.body("userId", "activityProgress", "gradingProgress", "timestamp")
        if body["activityProgress"] not in ACTIVITY or body["gradingProgress"] not in GRADING:
            raise Refused(400, "activityProgress or gradingProgress is not valid")
        extension = body.get(SUBMISSION) or {}
        user = self.find_user(str(body["userId"]))
        if user is None or self.lms.role(found, user) not in ("student", "test"):
            raise Refused(422, "User not found in course or is not a student")
        if not column.published:
            raise Refused(422, "This assignment is still unpublished")
        given: Any = body.get("scoreGiven")
        maximum: Any = body.get("scoreMaximum")
        self.check_score(column, given, maximum)
        moment = self.check_times(column, user, body, extension)

        grade = column.grades.get(user.id)
        if grade is None:
            grade = column.grades[user.id] = Grade(self.lms.serial("result"), None, moment, "tool")
        teacher_holds = grade.by == "teacher" and grade.score is not None
        if given is not None and body["gradingProgress"] in KEEPS_SCORE:
            if not (teacher_holds and extension.get("prioritize_non_tool_grade")):
                grade.result_score, grade.result_maximum, grade.by = float(given), float(maximum), "tool"
                grade.score = given * column.maximum / maximum if maximum else float(given)
        elif not extension.get("preserve_score"):
            # Any other gradingProgress, or no scoreGiven, erases what is there, a teacher's grade too.
            grade.score = grade.result_score = None
            grade.result_maximum = float(maximum or column.maximum)
            grade.by = "tool"
        grade.changed = moment
        grade.comment = body.get("comment", grade.comment)
        if extension:
            grade.extension = extension
        self.lms.changed()
        return answer(
            {SUBMISSION: {"content_items": []}, "resultUrl": f"{self.lms.lineitem_url(column)}/results/{grade.number}"},
            200,
            SCORE,
        )

    def check_score(self, column: Column, given: Any, maximum: Any) -> None:
        if given is None:
            return
        if not wire.is_number(given) or given < 0:
            raise Refused(422, "ScoreGiven must be greater than or equal to 0")
        if maximum is None:
            raise Refused(422, "ScoreMaximum not supplied when ScoreGiven present.")
        if not wire.is_number(maximum) or maximum < 0 or (maximum == 0 and column.maximum):
            raise Refused(422, "ScoreMaximum must be greater than or equal to 0")

    def check_times(self, column: Column, user: User, body: dict[str, Any], extension: dict[str, Any]) -> float:
        moment = wire.seconds(body["timestamp"])
        if moment is None:
            raise Refused(400, "Provided timestamp not a valid timestamp")
        grade = column.grades.get(user.id)
        if grade is not None and moment < grade.changed:
            raise Refused(
                400,
                f"Provided timestamp of {body['timestamp']} before last updated timestamp of {wire.iso(grade.changed)}",
            )
        submitted = extension.get("submitted_at") or (body.get("submission") or {}).get("submittedAt")
        if submitted is not None and (wire.seconds(submitted) or float("inf")) > self.lms.clock() + 60:
            raise Refused(400, f"Provided submitted_at timestamp of {submitted} in the future")
        return moment

    def find_user(self, name: str) -> User | None:
        """Find a person by `sub` or by Canvas' number."""
        if name in self.lms.users:
            return self.lms.users[name]
        return next((user for user in self.lms.users.values() if str(user.number) == name), None)

    # Roster (section 7)

    def memberships(self, course: int) -> Response:
        tool, found = self.enter(course, NRPS_SCOPE)
        link_id = request.args.get("rlid")
        link = self.lms.links.get(link_id or "")
        if link_id and link_id != found.id and (link is None or link.course_id != found.id):
            raise Refused(400, "Invalid 'rlid' parameter")
        if link is not None and link.client_id != tool.client_id:
            raise Refused(400, "Tool does not have access to rlid or rlid does not exist")
        rows = []
        for user in self.lms.people(found):
            roles = self.membership_roles(user, found)
            if request.args.get("role", roles[0]) in roles:
                rows.append((user, roles))
        page, links = self.page(rows, NRPS_PAGE, NRPS_PAGE)
        members = [self.member(tool, found, user, roles, bool(link_id)) for user, roles in page]
        address = self.lms.memberships_url(found, tool)
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        body = {
            "id": address + query,
            "context": {"id": found.id, "label": found.label, "title": found.title},
            "members": members,
        }
        response = answer(body, 200, MEMBERSHIPS)
        response.headers["Link"] = links
        return response

    def membership_roles(self, user: User, course: Course) -> list[str]:
        """Give membership roles only, and the test student's mark."""
        roles = self.lms.mood.roles(user, course)
        return [role for role in roles if not role.startswith((INSTITUTION, SYSTEM)) or role == TEST_USER]

    def member(self, tool: Tool, course: Course, user: User, roles: list[str], message: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "status": "Active",
            "user_id": user.id,
            "lti11_legacy_user_id": wire.digest("canvas", "legacy", user.id),
            "roles": roles,
        }
        if tool.privacy in ("public", "name_only"):
            body |= {
                "name": user.name,
                "given_name": user.given_name,
                "family_name": user.family_name,
                "lis_person_sourcedid": user.sourcedid,
            }
        if tool.privacy in ("public", "email_only"):
            body["email"] = user.email
        if tool.privacy == "public":
            body["picture"] = f"{self.lms.browser_root}/images/messages/avatar-50.png"
        if message:
            custom = substitute(tool.custom, self.lms.mood.variables(user, course, None))
            body["message"] = [{LTI + "message_type": "LtiResourceLinkRequest", "locale": "en", LTI + "custom": custom}]
        return body
