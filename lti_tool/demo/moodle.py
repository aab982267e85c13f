"""The Moodle mood: ids, addresses, login, claims, tokens and how grades behave.

What it does was seen on a Moodle 4.5.6; its services are in moodle_services.py.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import jwt
from flask import Response

from . import launches, moodle_registration, moodle_rubrics, moodle_services, moodle_web
from .launches import AGS, INSTITUTION, LTI, MEMBERSHIP, NRPS, SYSTEM
from .records import Access, Column, Course, Grade, Launch, Link, Tool, User, WebToken
from .wire import find_tool_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Blueprint

    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
# A non-editing teacher is Instructor in a launch and Learner in the roster.
LAUNCH_ROLES = {
    "instructor": [MEMBERSHIP + "#Instructor"],
    "ta": [MEMBERSHIP + "#Instructor"],
    "student": [MEMBERSHIP + "#Learner"],
    "designer": [MEMBERSHIP + "#Instructor"],
    "observer": [MEMBERSHIP + "#Learner"],
    "test": [MEMBERSHIP + "#Learner"],
}
ADMIN_ROLES = [INSTITUTION + "#Administrator", MEMBERSHIP + "#Instructor", SYSTEM + "#Administrator"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def rounded(score: float) -> float:
    """Keep five decimals, as Moodle's gradebook does."""
    return round(score, 5)


class Moodle:
    name = "moodle"
    title = "Moodle"
    product = "moodle"
    auth_path = "/mod/lti/auth.php"
    token_path = "/mod/lti/token.php"
    jwks_path = "/mod/lti/certs.php"
    deep_link_path = "/mod/lti/contentitem_return.php"
    jwks_max_age: int | None = None
    keys_published = 1
    course_pages = (("assignments", "Assignments"),)  # tabs of its own
    has_test_student = False
    scopes = (
        SCOPE + "lineitem",
        SCOPE + "lineitem.readonly",
        SCOPE + "result.readonly",
        SCOPE + "score",
        "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
    )

    def __init__(self, lms: Lms) -> None:
        self.lms = lms
        self.first_serials = {"course": 1, "user": 2}  # course 1 is the site; guest and administrator come first
        self.custom = {
            "context_id_history": "$Context.id.history",
            "user_username": "$User.username",
            "resource_link_id_history": "$ResourceLink.id.history",
            "membership_role": "$Membership.role",
            "moodle_group_ids": "$Moodle.Person.userGroupIds",
        }
        self.tool_keys: dict[tuple[str, str | None], Any] = {}

    # Ids

    def new_kid(self) -> str:
        return secrets.token_hex(10)

    def new_client_id(self, number: int) -> str:
        return hashlib.sha256(f"moodle client {number}".encode()).hexdigest()[:15]

    def new_deployment_id(self, tool: Tool, number: int) -> str:
        return str(number)

    def new_course_id(self, number: int) -> str:
        return str(number)

    def new_user_id(self, number: int) -> str:
        return str(number)

    def new_link_id(self, number: int) -> str:
        return str(number)

    def login_hint(self, user: User) -> str:
        return user.id

    def new_hint(self, launch: Launch) -> str:
        module = launch.link.number + 2 if launch.link else 0
        return json.dumps(
            {"cmid": module, "launchid": f"ltilaunch{module}_{secrets.randbelow(10**9)}"}, separators=(",", ":")
        )

    def add_test_student(self, course: Course) -> None:
        """Do nothing: Moodle has no test student."""

    # Addresses

    @property
    def services(self) -> str:
        return f"{self.lms.server_root}/mod/lti/services.php"

    def lineitems_url(self, course: Course, tool: Tool) -> str:
        return f"{self.services}/{course.id}/lineitems?type_id={tool.number}"

    def lineitem_url(self, column: Column, part: str = "") -> str:
        """Give the item's address; `part` ("/results") goes before the question mark."""
        tool = self.lms.tools.get(column.client_id or "")
        query = f"?type_id={tool.number}" if tool else ""
        return f"{self.services}/{column.course_id}/lineitems/{column.number}/lineitem{part}{query}"

    def memberships_url(self, course: Course, tool: Tool) -> str:
        return f"{self.services}/CourseSection/{course.id}/bindings/{tool.number}/memberships"

    def return_url(self, course: Course | None, link: Link | None) -> str:
        return (
            f"{self.lms.browser_root}/mod/lti/return.php?course={course.id if course else 1}&launch_container=3"
            f"&instanceid={link.id if link else 0}&sesskey={secrets.token_hex(5)}"
        )

    # Launches (section 2)

    def course_link(self, course: Course, tool: Tool, deployment_id: str | None) -> Link:
        """Give the course's activity for this tool; Moodle has no course navigation."""
        for link in self.lms.links_of(course, tool):
            if link.navigation and deployment_id in (None, link.deployment_id):
                return link
        link = self.lms.add_link(course, tool, tool.name, deployment_id=deployment_id)
        link.navigation = True
        self.lms.changed()
        return link

    def placement(self, link: Link | None, message_type: str) -> str | None:
        return None

    def login_extras(self, launch: Launch) -> dict[str, Any]:
        return {}

    def check_auth(self, query: dict[str, str]) -> Launch | dict[str, Any]:
        """Check an authentication request; what auth.php cannot trust gets Moodle's own 404 page."""
        redirect_uri = query.get("redirect_uri", "")
        waiting = self.lms.launches.get(query.get("lti_message_hint", ""))
        launch = launches.take(self.lms, query.get("lti_message_hint", ""))
        if launch is None or waiting is None:
            raise launches.AuthPage(404, "Invalid request: the launch is not known or was used before")
        if redirect_uri not in launch.tool.redirect_uris:
            raise launches.AuthPage(404, "Invalid request: the redirect_uri is not registered")
        if not query.get("nonce"):
            raise launches.AuthPage(404, "Invalid request: nonce is missing")
        state = query.get("state", "")
        wrong = [
            name
            for name, value in (("scope", "openid"), ("response_type", "id_token"), ("response_mode", "form_post"))
            if query.get(name) != value
        ]
        if wrong or query.get("prompt", "none") != "none":
            return {
                "error": "invalid_request",
                "error_description": f"Invalid {' '.join(wrong) or 'prompt'}",
                "state": state,
            }
        if query.get("client_id") != launch.tool.client_id:
            return {"error": "unauthorized_client", "state": state}
        if query.get("login_hint") != launch.user.id:
            return {"error": "access_denied", "state": state}
        return launch

    def launch_form(self, launch: Launch, token: str, query: dict[str, str]) -> dict[str, Any]:
        return {"id_token": token, "state": query.get("state", "")}

    def claims(self, launch: Launch, nonce: str | None, now: float) -> dict[str, Any]:
        """Write the claims seen in section 2; the token lives 60 seconds."""
        lms, tool, user, course, link = self.lms, launch.tool, launch.user, launch.course, launch.link
        issued = int(now)
        custom = launches.substitute(
            {**tool.custom, **(link.custom if link else {})}, self.variables(user, course, link)
        )
        written: dict[str, Any] = {
            "nonce": nonce,
            "iat": issued,
            "exp": issued + 60,
            "iss": lms.issuer,
            "aud": tool.client_id,
            LTI + "deployment_id": launch.deployment_id,
            LTI + "target_link_uri": launch.target_link_uri,
            "sub": user.id,
            LTI + "lis": {
                "person_sourcedid": user.sourcedid,
                "course_section_sourcedid": f"SIS-{course.label}" if course else "",
            },
            LTI + "roles": self.roles(user, course),
            LTI + "message_type": launch.message_type,
            LTI + "launch_presentation": {"locale": user.locale},
            LTI + "tool_platform": {
                "product_family_code": "moodle",
                "version": "2024100706",
                "guid": "1b992568014218dda3d4bb5e6a64b975",
                "name": "moodle",
                "description": "Demo Moodle",
            },
            LTI + "version": "1.3.0",
            **launches.person_claims(user, tool.privacy),
        }
        extension = {"lms": "moodle-2"}
        if tool.privacy in ("public", "name_only"):
            extension = {"user_username": user.username, **extension}
        written[LTI + "ext"] = extension
        if course is not None:
            written[LTI + "context"] = {
                "id": course.id,
                "label": course.label,
                "title": course.title,
                "type": ["CourseSection"],
            }
            written |= self.service_claims(tool, course, link)
            custom |= self.service_custom(tool, course)
        written[LTI + "custom"] = custom
        if launch.message_type == launches.DEEP_LINKING:
            written[launches.DL + "deep_linking_settings"] = self.deep_linking_settings(launch)
            return written
        if link is not None:
            written[LTI + "resource_link"] = {"title": link.title, "description": link.text, "id": link.id}
            written["https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome"] = self.basic_outcome(tool, user, link)
        written[LTI + "launch_presentation"] |= {
            "document_target": "window" if launch.window else "iframe",
            "return_url": self.return_url(course, link),
        }
        return written

    def service_claims(self, tool: Tool, course: Course, link: Link | None) -> dict[str, Any]:
        written: dict[str, Any] = {}
        scopes = [one for one in tool.scopes if "lti-ags" in one]
        if scopes:
            endpoint: dict[str, Any] = {"scope": scopes, "lineitems": self.lineitems_url(course, tool)}
            lineitem = self.lineitem_claim(course, tool, link)
            if lineitem is not None:
                endpoint["lineitem"] = lineitem
            written[AGS] = endpoint
        if moodle_services.NRPS_SCOPE in tool.scopes:
            written[NRPS] = {
                "context_memberships_url": self.memberships_url(course, tool),
                "service_versions": ["1.0", "2.0"],
            }
        return written

    def lineitem_claim(self, course: Course, tool: Tool, link: Link | None) -> str | None:
        """Give the claim's value: absent with none or several items, empty where the coupled one was deleted."""
        if link is None:
            return None
        bound = [
            column
            for column in self.lms.columns(course)
            if column.client_id == tool.client_id and column.link_id == link.id
        ]
        if len(bound) != 1:
            return None
        return self.lineitem_url(bound[0]) if bound[0].coupled else ""

    def service_custom(self, tool: Tool, course: Course) -> dict[str, str]:
        return {
            "context_memberships_url": self.memberships_url(course, tool),
            "system_setting_url": f"{self.services}/tool/{tool.number}/custom",
            "context_setting_url": f"{self.services}/CourseSection/{course.id}/bindings/tool/{tool.number}/custom",
            "link_setting_url": f"{self.services}/links/{{link_id}}/custom",
        }

    def basic_outcome(self, tool: Tool, user: User, link: Link) -> dict[str, str]:
        data = {"instanceid": link.id, "userid": user.id, "typeid": str(tool.number), "launchid": 1044514837}
        digest = hashlib.sha256(json.dumps(data).encode()).hexdigest()
        return {
            "lis_result_sourcedid": json.dumps({"data": data, "hash": digest}),
            "lis_outcome_service_url": f"{self.lms.server_root}/mod/lti/service.php",
        }

    def roles(self, user: User, course: Course | None) -> list[str]:
        if user.admin:
            return ADMIN_ROLES
        return LAUNCH_ROLES.get(self.lms.role(course, user) or "", [])

    def for_user(self, user: User) -> dict[str, Any]:
        return {"user_id": user.id}

    def variables(self, user: User, course: Course | None, link: Link | None) -> dict[str, Any]:
        """Give the substitutions Moodle can make; others, ResourceLink.id.history too, stay as written."""
        known: dict[str, Any] = {
            "$User.id": user.id,
            "$User.username": user.username,
            "$Person.name.full": user.name,
            "$Person.sourcedId": user.sourcedid,
            "$Person.email.primary": user.email,
            "$Membership.role": "Instructor" if "Instructor" in str(self.roles(user, course)) else "Learner",
        }
        if course is not None:
            enrolment = course.enrolments.get(user.id)
            groups = enrolment.sections if enrolment else []
            known |= {
                "$Moodle.Person.userGroupIds": ",".join(str(number) for number, _ in groups),
                "$Context.id": course.id,
                "$Context.id.history": ",".join(course.history),
                "$Context.label": course.label,
                "$Context.title": course.title,
                "$CourseSection.sourcedId": f"SIS-{course.label}",
                "$Context.sourcedId": f"SIS-{course.label}",
            }
        if link is not None:
            known |= {"$ResourceLink.id": link.id, "$ResourceLink.title": link.title}
        return known

    def deep_linking_settings(self, launch: Launch) -> dict[str, Any]:
        assert launch.course is not None
        return {
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["frame", "iframe", "window"],
            "accept_copy_advice": False,
            "accept_multiple": True,
            "accept_unsigned": False,
            "auto_create": False,
            "can_confirm": False,
            "deep_link_return_url": f"{self.lms.browser_root}/mod/lti/contentitem_return.php"
            f"?course={launch.course.id}&id={launch.tool.number}&sesskey=5a55c0ffee",
            "title": launch.tool.name,
            "text": "",
        }

    def take_items(
        self, course: Course, tool: Tool, deployment_id: str, items: list[dict[str, Any]], data: str | None
    ) -> tuple[list[str], list[str]]:
        """Make activities of the items (section 4): links and html too, and the item's label is not used."""
        made = []
        for item in items:
            line = item.get("lineItem") or {}
            title = item.get("title") or tool.name
            self.lms.add_link(
                course,
                tool,
                title,
                url=item.get("url"),
                text=item.get("text", ""),
                custom=item.get("custom") or {},
                deployment_id=deployment_id,
                maximum=line.get("scoreMaximum", 100) if line else None,
                tag=line.get("tag"),
                resource_id=line.get("resourceId"),
            )
            made.append(title)
        return made, []

    # Tokens (section 6): every answer is sent as text/html

    def token(self, form: dict[str, str]) -> Response:
        """Check the client assertion; the audience, jti and replay are not checked."""
        lms = self.lms
        assertion = form.get("client_assertion", "")
        if (
            form.get("grant_type") != "client_credentials"
            or form.get("client_assertion_type") != ASSERTION_TYPE
            or not assertion
            or not form.get("scope")
        ):
            return html(json.dumps({"error": "invalid_request"}), 400)
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
            kid = jwt.get_unverified_header(assertion).get("kid")
        except jwt.PyJWTError:
            return html(json.dumps({"error": "invalid_request"}), 400)
        if not claims.get("sub"):
            return html(json.dumps({"error": "invalid_request"}), 400)
        tool = lms.tools.get(str(claims["sub"]))
        if tool is None or claims.get("iss") != tool.client_id:
            return html(json.dumps({"error": "invalid_client"}), 400)
        if not self.signature_holds(tool, assertion, kid):
            # Not JSON: the quotes are Moodle's.
            return html('{"error" : ""kid" invalid, unable to lookup correct key"}', 400)
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= lms.clock():
            return html(json.dumps({"error": "Expired token"}), 400)
        granted = [scope for scope in form["scope"].split() if scope in tool.scopes]
        if not granted:
            return html(json.dumps({"error": "invalid_scope"}), 400)
        token = secrets.token_hex(16)
        lms.grant(token, Access(tool.client_id, granted, lms.clock() + 3600))
        return html(
            json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": " ".join(granted)})
        )

    def signature_holds(self, tool: Tool, assertion: str, kid: str | None) -> bool:
        """Check with the remembered key; fetch the tool's JWKS again where that fails."""
        name = (tool.client_id, kid)
        for attempt in (1, 2):
            if name not in self.tool_keys or attempt == 2:
                self.tool_keys[name] = find_tool_key(tool.jwks_url, kid)[0]
            if self.tool_keys[name] is None:
                continue
            try:
                jwt.decode(
                    assertion,
                    self.tool_keys[name],
                    algorithms=["RS256"],
                    options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
                )
                return True
            except jwt.PyJWTError:
                continue
        return False

    # Grades (section 7)

    def teacher_grades(self, column: Column, user: User, score: float | None, comment: str | None) -> None:
        """Grade; on a coupled item this is an override that later scores of the tool cannot change."""
        grade = column.grades.get(user.id)
        if grade is None:
            if score is None:
                return
            grade = column.grades[user.id] = Grade(self.lms.serial("result"), None, 0, "teacher")
        grade.score = None if score is None else rounded(max(0.0, min(float(score), column.maximum)))
        grade.by, grade.changed, grade.comment = "teacher", self.lms.clock(), comment
        grade.overridden = column.coupled

    def change_maximum(self, column: Column, maximum: float) -> None:
        """Rescale every grade; who has none gets 0: on a coupled item everybody, else whoever has an entry."""
        old, column.maximum = column.maximum, maximum
        if maximum == old:
            return
        if column.coupled:
            for user in self.lms.people(column.course_id):
                column.grades.setdefault(user.id, Grade(self.lms.serial("result"), None, 0, "tool"))
        for grade in column.grades.values():
            grade.score = rounded((grade.score or 0.0) * maximum / old) if old else 0.0
            grade.changed = self.lms.clock()

    def add_pages(self, routes: Blueprint, address: Callable[..., str]) -> None:
        moodle_rubrics.add_pages(routes, self.lms, address)
        moodle_web.add_pages(routes, self.lms, address)

    def fill(self, course: Course) -> None:
        """Put into the demo's course what only this LMS has."""
        moodle_rubrics.fill(self.lms, course)

    def kept(self) -> dict[str, Any]:
        """Give what a snapshot keeps of it."""
        return {
            "assignments": [asdict(one) for one in self.lms.assignments.values()],
            "web_services": self.lms.web_services,
            "web_tokens": {token: asdict(one) for token, one in self.lms.web_tokens.items()},
        }

    def take_back(self, plain: dict[str, Any]) -> None:
        found = [moodle_rubrics.assignment_from(one) for one in plain.get("assignments", [])]
        self.lms.assignments = {one.number: one for one in found}
        self.lms.web_services = plain.get("web_services", True)
        self.lms.web_tokens = {token: WebToken(**one) for token, one in plain.get("web_tokens", {}).items()}

    def add_routes(self, blueprint: Blueprint) -> None:
        moodle_services.add_routes(blueprint, self.lms)
        moodle_registration.add_routes(blueprint, self.lms)
        moodle_web.add_routes(blueprint, self.lms)

    def course_copied(self, new: Course, old: Course) -> None:
        """Do nothing: Moodle has no notices."""

    def can_review(self, column: Column, grade: Grade | None) -> bool:
        """Offer a submission review for every grade of an activity with a tool (section 5)."""
        return column.coupled and grade is not None and grade.score is not None

    def note_on(self, column: Column) -> str:
        """Say below a column's name what a teacher would see of it."""
        return "activity" if column.coupled else ""


def html(body: str, status: int = 200) -> Response:
    return Response(body, status, content_type="text/html; charset=utf-8")
