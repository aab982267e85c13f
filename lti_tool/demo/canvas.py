"""The Canvas mood: ids, addresses, login, claims, tokens and how grades behave.

What it does is written in the notes on Canvas' source (sections named in comments); its services are in
canvas_services.py.
"""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
from flask import Response

from . import canvas_notices, canvas_pages, canvas_registration, canvas_rest, canvas_rubrics, canvas_services, launches
from .launches import AGS, INSTITUTION, LTI, MEMBERSHIP, NRPS, SYSTEM, TEST_USER
from .records import Access, Column, Course, Grade, Launch, Link, Tool, User
from .wire import digest, find_tool_key, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Blueprint

    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
ROLES = {
    "instructor": [INSTITUTION + "#Instructor", MEMBERSHIP + "#Instructor", SYSTEM + "#User"],
    "ta": [
        INSTITUTION + "#Instructor",
        MEMBERSHIP + "/Instructor#TeachingAssistant",
        MEMBERSHIP + "#Instructor",
        SYSTEM + "#User",
    ],
    "student": [INSTITUTION + "#Student", MEMBERSHIP + "#Learner", SYSTEM + "#User"],
    "test": [INSTITUTION + "#Student", MEMBERSHIP + "#Learner", TEST_USER],
    "observer": [INSTITUTION + "#Observer", MEMBERSHIP + "#Mentor", SYSTEM + "#User"],
    "designer": [INSTITUTION + "#Instructor", MEMBERSHIP + "#ContentDeveloper", SYSTEM + "#User"],
}
AUTH_REQUIRED = (
    "client_id",
    "login_hint",
    "lti_message_hint",
    "nonce",
    "prompt",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
)
ASSERTION_REQUIRED = ("iss", "sub", "aud", "exp", "iat", "jti")


ACCOUNT_ID = digest("canvas", "account", 1)


class Canvas:
    name = "canvas"
    title = "Canvas"
    product = "canvas"
    auth_path = "/api/lti/authorize_redirect"
    token_path = "/login/oauth2/token"
    jwks_path = "/api/lti/security/jwks"
    deep_link_path = "/courses/<course>/deep_linking_response"
    jwks_max_age: int | None = 864000
    keys_published = 3  # past, present, future
    has_test_student = True
    scopes = (
        SCOPE + "lineitem",
        SCOPE + "lineitem.readonly",
        SCOPE + "result.readonly",
        SCOPE + "score",
        "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
        "https://canvas.instructure.com/lti-ags/progress/scope/show",
        canvas_notices.SCOPE,
    )

    course_pages = (("rubrics", "Rubrics"),)  # tabs of its own

    def __init__(self, lms: Lms) -> None:
        self.lms = lms
        self.rubrics = canvas_rubrics.Rubrics(lms)
        self.rest = canvas_rest.Rest(lms, self.rubrics)
        self.first_serials: dict[str, int] = {}
        self.custom = {
            "canvas_user_id": "$Canvas.user.id",
            "canvas_course_id": "$Canvas.course.id",
            "canvas_api_domain": "$Canvas.api.domain",
            "context_id_history": "$Context.id.history",
            "resource_link_id_history": "$ResourceLink.id.history",  # comes back as it is written
            "canvas_enrollment_state": "$Canvas.enrollment.enrollmentState",
            "canvas_assignment_id": "$Canvas.assignment.id",
            "canvas_section_ids": "$Canvas.course.sectionIds",
            "canvas_section_names": "$com.instructure.User.sectionNames",
            "canvas_course_begins": "$Canvas.course.startAt",
            "canvas_term": "$Canvas.term.name",
            "canvas_course_ends": "$Canvas.course.endAt",
            "canvas_term_ends": "$Canvas.term.endAt",
            "student_view": "$com.instructure.User.student_view",
        }

    # Ids

    def new_kid(self) -> str:
        moment = datetime.fromtimestamp(self.lms.clock(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}_{uuid.uuid4()}"

    def new_client_id(self, number: int) -> str:
        return str(10_000_000_000_000 + number)

    def new_deployment_id(self, tool: Tool, number: int) -> str:
        # The first is in the account, further ones in sub-accounts.
        return f"{number}:{ACCOUNT_ID if not tool.deployment_ids else digest('canvas', 'account', number)}"

    def new_course_id(self, number: int) -> str:
        return digest("canvas", "course", number)

    def new_user_id(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"canvas:user:{number}"))

    def new_link_id(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"canvas:link:{number}"))

    def login_hint(self, user: User) -> str:
        return digest("canvas", "hint", user.id)

    def new_hint(self, launch: Launch) -> str:
        claims = {
            "verifier": secrets.token_hex(32),
            "canvas_domain": self.host,
            "context_id": 10_000_000_000_000,
            "context_type": "Course" if launch.course else "Account",
            "exp": int(launch.expires),
            "iat": int(self.lms.clock()),
        }
        return jwt.encode(claims, self.lms.token_secret, algorithm="HS256")

    @property
    def host(self) -> str:
        return self.lms.browser_root.split("/")[2]

    def add_test_student(self, course: Course) -> None:
        self.lms.add_user(course, "test", given_name="Test", family_name="Student", email="", username="teststudent")

    # Addresses

    def course_path(self, course: Course) -> str:
        return f"{self.lms.server_root}/api/lti/courses/{course.number}"

    def lineitems_url(self, course: Course, tool: Tool) -> str:
        return self.course_path(course) + "/line_items"

    def lineitem_url(self, column: Column) -> str:
        return f"{self.course_path(self.lms.courses[column.course_id])}/line_items/{column.number}"

    def memberships_url(self, course: Course, tool: Tool) -> str:
        return self.course_path(course) + "/names_and_roles"

    def return_url(self, course: Course | None, link: Link | None) -> str:
        return f"{self.lms.browser_root}/course/{course.number}" if course else f"{self.lms.browser_root}/profile"

    # Launches (section 6)

    def course_link(self, course: Course, tool: Tool, deployment_id: str | None) -> Link | None:
        return None  # course navigation has no link of its own: resource_link.id is the context's id

    def placement(self, link: Link | None, message_type: str) -> str | None:
        if message_type == launches.DEEP_LINKING:
            return "assignment_selection"
        return None if link else "course_navigation"

    def login_extras(self, launch: Launch) -> dict[str, Any]:
        extras = {"canvas_region": "us-east-1", "canvas_environment": "prod", "deployment_id": launch.deployment_id}
        if self.lms.storage_target and not launch.window:
            extras["lti_storage_target"] = self.lms.storage_target
        return extras

    def check_auth(self, query: dict[str, str]) -> Launch | dict[str, Any]:
        """Check an authentication request; an unknown redirect_uri is answered by a page, never by a form."""
        tool = self.lms.tools.get(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        if tool is None or not self.redirect_uri_is_registered(tool, redirect_uri):
            raise launches.AuthPage(400, "Invalid redirect_uri")
        state = query.get("state")
        missing = [name for name in AUTH_REQUIRED if not query.get(name)]
        if missing:
            return self.error(
                "invalid_request_object", f"The following parameters are missing: {','.join(missing)}", state
            )
        wanted = {"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none"}
        for name, value in wanted.items():
            if query[name] != value:
                return self.error("invalid_request_object", f"The '{name}' must be '{value}'", state)
        waiting = self.lms.launches.get(query["lti_message_hint"])
        if waiting is not None and query["login_hint"] != self.login_hint(waiting.user):
            return self.error("login_required", "Must have an active user session", state)
        if waiting is not None and (
            waiting.tool is not tool or not tool.active or self.is_withdrawn(tool, waiting.course)
        ):
            return self.error("unauthorized_client", "Client not authorized in requested context", state)
        launch = launches.take(self.lms, query["lti_message_hint"])
        if launch is None:
            return self.error("launch_no_longer_valid", "The launch has either expired or already been consumed", state)
        return launch

    def redirect_uri_is_registered(self, tool: Tool, uri: str) -> bool:
        """Compare exactly; a query string is ignored where the registered address has none."""
        return uri in tool.redirect_uris or uri.partition("?")[0] in tool.redirect_uris

    def is_withdrawn(self, tool: Tool, course: Course | None) -> bool:
        return course is not None and tool.client_id in course.withdrawn

    def error(self, error: str, description: str, state: str | None) -> dict[str, Any]:
        return {"error": error, "error_description": description, "state": state}

    def launch_form(self, launch: Launch, token: str, query: dict[str, str]) -> dict[str, Any]:
        return {
            "utf8": "✓",
            "authenticity_token": secrets.token_urlsafe(48),
            "id_token": token,
            "state": query.get("state"),
            "lti_storage_target": self.login_extras(launch).get("lti_storage_target"),
        }

    def claims(self, launch: Launch, nonce: str | None, now: float) -> dict[str, Any]:
        """Write the claims of section 6.3."""
        lms, tool, user, course, link = self.lms, launch.tool, launch.user, launch.course, launch.link
        issued = int(now)
        context = self.context(course)
        written: dict[str, Any] = {
            LTI + "message_type": launch.message_type,
            LTI + "version": "1.3.0",
            "aud": tool.client_id,
            "azp": tool.client_id,
            "iss": lms.issuer,
            "iat": issued,
            "exp": issued + 3600,
            "nonce": nonce,
            "sub": user.id,
            LTI + "deployment_id": launch.deployment_id,
            LTI + "target_link_uri": launch.target_link_uri,
            LTI + "context": context,
            "locale": user.locale,
            LTI + "roles": self.roles(user, course),
            LTI + "tool_platform": {
                "guid": "zOUAdemo:canvas-lms",
                "name": "Demo University",
                "version": "cloud",
                "product_family_code": "canvas",
            },
            LTI + "launch_presentation": {
                "document_target": "window" if launch.window else "iframe",
                "return_url": self.return_url(course, link),
                "locale": user.locale,
            },
            LTI + "custom": launches.substitute(
                {**tool.custom, **(link.custom if link else {})}, self.variables(user, course, link)
            ),
            LTI + "lti11_legacy_user_id": digest("canvas", "legacy", user.id),
            LTI + "lti1p1": {"user_id": digest("canvas", "legacy", user.id)},
            "https://www.instructure.com/placement": launch.placement,
            **launches.person_claims(user, tool.privacy),
        }
        if tool.privacy == "public":
            written["picture"] = f"{lms.browser_root}/images/messages/avatar-50.png"
        if tool.privacy in ("public", "name_only"):
            written[LTI + "lis"] = {
                "person_sourcedid": user.sourcedid,
                "course_offering_sourcedid": "$CourseSection.sourcedId",
            }
        if course is not None:
            written |= self.course_claims(launch, course)
        if launch.message_type == launches.DEEP_LINKING:
            written[launches.DL + "deep_linking_settings"] = self.deep_linking_settings(launch)
        elif link is not None:
            written[LTI + "resource_link"] = {"id": link.id, "title": link.title, "description": link.text}
        else:
            written[LTI + "resource_link"] = {"id": context["id"], "title": context["title"], "description": None}
        return written

    def course_claims(self, launch: Launch, course: Course) -> dict[str, Any]:
        endpoint: dict[str, Any] = {
            "scope": [one for one in launch.tool.scopes if "lti-ags" in one],
            "lineitems": self.lineitems_url(course, launch.tool),
        }
        if launch.link is not None and launch.link.column in self.lms.columns_by_number:
            endpoint["lineitem"] = self.lineitem_url(self.lms.columns_by_number[launch.link.column])
        written: dict[str, Any] = {AGS: endpoint} if endpoint["scope"] else {}
        if canvas_services.NRPS_SCOPE in launch.tool.scopes:
            written[NRPS] = {
                "context_memberships_url": self.memberships_url(course, launch.tool),
                "service_versions": ["2.0"],
            }
        if canvas_notices.SCOPE in launch.tool.scopes:
            written[LTI + "platformnotificationservice"] = canvas_notices.claim(
                self.lms, launch.tool, launch.deployment_id
            )
        return written

    def context(self, course: Course | None) -> dict[str, Any]:
        if course is None:
            return {"id": ACCOUNT_ID, "title": "Demo University", "type": ["Account"]}
        return {
            "id": course.id,
            "label": course.label,
            "title": course.title,
            "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
        }

    def roles(self, user: User, course: Course | None) -> list[str]:
        """Mix institution, system and membership roles in one list, as Canvas does."""
        role = self.lms.role(course, user)
        if role:
            return ROLES[role]
        if user.admin:
            return [INSTITUTION + "#Administrator", SYSTEM + "#User"]
        elsewhere = {one.enrolments[user.id].role for one in self.lms.courses.values() if user.id in one.enrolments}
        person = "#Instructor" if elsewhere & {"instructor", "ta", "designer"} else "#Student"
        return [INSTITUTION + person, SYSTEM + "#User"]

    def for_user(self, user: User) -> dict[str, Any]:
        return {"user_id": user.id, "name": user.name, "email": user.email}

    def variables(self, user: User, course: Course | None, link: Link | None) -> dict[str, Any]:
        """Give the substitutions that Canvas can make here; the others stay as written."""
        known: dict[str, Any] = {
            "$Canvas.user.id": user.number,
            "$Canvas.api.domain": self.host,
            "$Person.name.full": user.name,
            "$Canvas.api.baseUrl": f"http://{self.host}",
            "$Person.email.primary": user.email,
            "$User.id": user.id,
            "$Canvas.user.loginId": user.username,
            "$Canvas.user.sisSourceId": user.sourcedid,
            "$Message.locale": "en",
            "$com.instructure.User.student_view": self.lms.role(course, user) == "test",
        }
        if course is not None:
            # Everybody is in a section; where none was made, it is the course's own, called as the course is.
            enrolment = course.enrolments.get(user.id)
            sections = sorted(enrolment.sections or [(course.number, course.title)]) if enrolment else []
            known |= {
                "$Canvas.course.sectionIds": ",".join(str(number) for number, _ in sections),
                "$com.instructure.User.sectionNames": json.dumps([name for _, name in sections]),
                "$Canvas.course.id": course.number,
                "$Canvas.course.startAt": course.starts_at,
                "$Canvas.course.endAt": course.ends_at,
                "$Canvas.term.name": course.term,
                "$Context.id": course.id,
                "$Context.title": course.title,
                "$Context.id.history": ",".join(course.history),
                "$Context.label": course.label,
                "$Canvas.course.previousContextIds": ",".join(course.history),
                "$Canvas.course.workflowState": "completed" if course.concluded else "available",
                "$Canvas.enrollment.enrollmentState": "active" if self.lms.role(course, user) else "",
            }
        if link is not None:
            known |= {
                "$ResourceLink.id": link.id,
                "$ResourceLink.title": link.title,
                "$Canvas.assignment.id": link.number,
            }
        return known

    def deep_linking_settings(self, launch: Launch) -> dict[str, Any]:
        assert launch.course is not None
        address = f"{self.lms.browser_root}/courses/{launch.course.number}/deep_linking_response"
        return {
            "deep_link_return_url": f"{address}?modal=true&placement={launch.placement}",
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_media_types": "application/vnd.ims.lti.v1.ltilink",
            "auto_create": str(launch.placement).startswith("module_"),
            "accept_multiple": launch.placement != "assignment_selection",
            "data": jwt.encode({"course": launch.course.id, "placement": launch.placement}, self.lms.token_secret),
        }

    def take_items(
        self, course: Course, tool: Tool, deployment_id: str, items: list[dict[str, Any]], data: str | None
    ) -> tuple[list[str], list[str]]:
        """Make assignments of the items a tool sent back (section 2.2, B); gives what was made and what was refused."""
        made, refused = [], []
        try:
            kept = jwt.decode(data or "", self.lms.token_secret, algorithms=["HS256"])
        except jwt.PyJWTError:
            return [], ["the tool did not send `data` back as it was"]
        # What a teacher picks while making an assignment becomes one, with a column of its own either way (2.2, A).
        is_assignment = kept.get("placement") == "assignment_selection"
        for item in items:
            if item.get("type") != "ltiResourceLink":
                refused.append(f"type {item.get('type')!r} is not accepted")
                continue
            line = item.get("lineItem")
            if line is not None and not isinstance(line.get("scoreMaximum"), int | float):
                refused.append("lineItem.scoreMaximum is a required field")
                continue
            title = item.get("title") or tool.name
            link = self.lms.add_link(
                course,
                tool,
                title,
                url=item.get("url"),
                text=item.get("text", ""),
                custom=item.get("custom") or {},
                deployment_id=deployment_id,
                maximum=line["scoreMaximum"] if line else 0.0 if is_assignment else None,
                tag=(line or {}).get("tag"),
                resource_id=(line or {}).get("resourceId"),
            )
            if link.column:
                self.lms.columns_by_number[link.column].published = False
            made.append(title)
        return made, refused

    # Tokens (section 9.1)

    def token(self, form: dict[str, str]) -> Response:
        """Check the client assertion; the tool's JWKS is fetched every time."""
        lms = self.lms
        if form.get("grant_type") in ("authorization_code", "refresh_token"):
            with lms.lock:
                return self.rest.token(form)
        if form.get("grant_type") != "client_credentials":
            return self.token_error("unsupported_grant_type", "Grant type not supported")
        try:
            assertion = form.get("client_assertion", "")
            claims = jwt.decode(assertion, options={"verify_signature": False})
            header = jwt.get_unverified_header(assertion)
        except jwt.PyJWTError:
            return self.token_error("invalid_request", "JWS signature invalid.")
        tool = lms.tools.get(str(claims.get("sub")))
        if tool is None or not tool.active:
            return self.token_error("invalid_client", "Unknown or inactive Developer Key", 401)
        missing = [name for name in ASSERTION_REQUIRED if not claims.get(name)]
        if missing:
            return self.token_error("invalid_request", f"the following assertions are missing: {','.join(missing)}")
        key, trouble = find_tool_key(tool.jwks_url, header.get("kid"))
        if key is None or header.get("alg") != "RS256":
            return self.token_error("invalid_request", f"JWK Error: {trouble or 'Invalid alg'}")
        try:
            jwt.decode(
                assertion,
                key,
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return self.token_error("invalid_request", "JWS signature invalid.")
        now = lms.clock()
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        problems = {
            "iss": claims["iss"] != tool.client_id,
            "aud": lms.token_url not in audiences,
            "exp": not is_number(claims["exp"]) or claims["exp"] <= now,
            "iat": not is_number(claims["iat"]) or not now - 300 <= claims["iat"] <= now + 30,
        }
        for name, wrong in problems.items():
            if wrong:
                return self.token_error("invalid_request", f"the '{name}' is invalid")
        asked = form.get("scope", "").split()
        refused = [scope for scope in asked if scope not in tool.scopes]
        if refused or not asked:
            return self.token_error(
                "invalid_scope",
                f"A requested scope is invalid, unknown, malformed, or exceeds the scope granted: {' '.join(refused)}",
            )
        issued = {
            "iss": lms.issuer,
            "sub": tool.client_id,
            "aud": lms.token_url,
            "iat": int(now),
            "exp": int(now) + 3600,
            "jti": secrets.token_hex(16),
            "scopes": " ".join(asked),
        }
        token = jwt.encode(issued, lms.token_secret, algorithm="HS256")
        lms.grant(token, Access(tool.client_id, asked, now + 3600))
        return json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": " ".join(asked)}
        )

    def token_error(self, error: str, description: str, status: int = 400) -> Response:
        return json_response({"error": error, "error_description": description}, status)

    # Grades (section 3.4)

    def teacher_grades(self, column: Column, user: User, score: float | None, comment: str | None) -> None:
        """Grade: the result stays on the scale of whoever wrote it first. The comment is not sent to tools."""
        grade = column.grades.get(user.id)
        if grade is None:
            if score is None:
                return
            grade = Grade(number=self.lms.serial("result"), score=None, changed=0, by="teacher")
            column.grades[user.id] = grade
        if grade.result_maximum is None:
            grade.result_maximum = column.maximum
        grade.score, grade.by, grade.changed = score, "teacher", self.lms.clock()
        if score is None:
            grade.result_score = None
        elif column.maximum:
            grade.result_score = score * grade.result_maximum / column.maximum
        else:
            grade.result_score = score

    def change_maximum(self, column: Column, maximum: float) -> None:
        column.maximum = maximum  # points given and results sent stay as they are

    def add_routes(self, blueprint: Blueprint) -> None:
        canvas_services.add_routes(blueprint, self.lms)
        canvas_registration.add_routes(blueprint, self.lms)
        canvas_notices.add_routes(blueprint, self.lms)
        canvas_rest.add_routes(blueprint, self.lms, self.rest)

    def add_pages(self, routes: Blueprint, address: Callable[..., str]) -> None:
        canvas_pages.add_pages(routes, self.lms, self.rubrics, self.rest, address)

    def fill(self, course: Course) -> None:
        """Put into the demo's course what only this LMS has."""
        canvas_rubrics.fill(self.rubrics, course)

    def kept(self) -> dict[str, Any]:
        """Give what a snapshot keeps of it."""
        return {"rubrics": self.rubrics.kept(), "rest": self.rest.kept()}

    def take_back(self, plain: dict[str, Any]) -> None:
        self.rubrics.take_back(plain.get("rubrics", []))
        self.rest.take_back(plain.get("rest", {}))

    def course_copied(self, new: Course, old: Course) -> None:
        """Tell the tools that asked for it."""
        canvas_notices.copied(self.lms, new, old)

    def can_review(self, column: Column, grade: Grade | None) -> bool:
        return False  # its gradebook opens SpeedGrader, and no submission review of a tool

    def note_on(self, column: Column) -> str:
        """Say below a column's name what a teacher would see of it."""
        return "" if column.published else "unpublished"


def json_response(body: Any, status: int = 200, content_type: str = "application/json; charset=utf-8") -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type=content_type)
