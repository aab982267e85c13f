"""The Canvas mood's REST interface: an API developer key, a person's consent, rubrics and course grades.

Sections named here are of the notes on Canvas' source (5.1 to 5.4)."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from . import wire

if TYPE_CHECKING:
    from .canvas_rubrics import Assignment, Rubrics, Submission
    from .lms import Lms
    from .records import Course, User

CODE_SECONDS = 600
TOKEN_SECONDS = 3600
PAGE, LARGEST_PAGE = 10, 100
API = "url:GET|/api/v1/courses/:course_id/"


@dataclass
class ApiKey:
    """A developer key of the kind “API Key”, which is another than a tool's LTI key."""

    client_id: str
    secret: str
    redirect_uris: list[str]
    name: str = "Badges: rubrics"
    active: bool = True
    enforce_scopes: bool = True
    scopes: list[str] = field(default_factory=list)
    allow_include: bool = True  # “Allow Include Parameters”


@dataclass
class UserToken:
    """What somebody consented to. `access` changes with every refresh, `refresh` never does."""

    client_id: str
    user_id: str
    refresh: str
    scopes: list[str]
    access: str = ""
    expires: float = 0.0


class Rest:
    def __init__(self, lms: Lms, rubrics: Rubrics) -> None:
        self.lms, self.rubrics = lms, rubrics
        self.keys: dict[str, ApiKey] = {}
        self.codes: dict[str, tuple[str, str, str, list[str], float]] = {}  # code → key, user, redirect, scopes, until
        self.tokens: list[UserToken] = []

    def add_key(self, *redirect_uris: str, client_id: str | None = None, **options: Any) -> ApiKey:
        """Make an API key, switched on, with all that the connector may ask for."""
        with self.lms.lock:
            scopes = [API + path for path in ("assignments", "assignments/:assignment_id/submissions", "enrollments")]
            number = self.lms.serial("api key")
            made = ApiKey(
                client_id=client_id or str(10_000_000_009_000 + number),
                secret=secrets.token_urlsafe(32),
                redirect_uris=list(redirect_uris),
                **{"scopes": scopes, **options},
            )
            self.keys[made.client_id] = made
            self.lms.changed()
            return made

    def take_access(self, user: User | str) -> None:
        """Take every access back that a person gave, as under their Canvas settings."""
        gone = self.lms.user(user).id
        self.tokens = [one for one in self.tokens if one.user_id != gone]
        self.lms.changed()

    def expire(self) -> None:
        for one in self.tokens:
            one.expires = 0

    # Consent (5.4)

    def consent(self) -> AnyResponse | str | tuple[str, int]:
        """Show who asks for what, and send the browser back with a code; a wrong address gets a page, no redirect."""
        asked = request.values
        if request.method == "GET" and request.host != self.lms.browser_root.split("/")[2]:
            query = request.query_string.decode()  # a person's cookie lives at the browser's address
            return redirect(f"{self.lms.browser_root}/login/oauth2/auth?{query}")
        user = self.lms.users.get(asked.get("as") or request.cookies.get(f"demo_{self.lms.name}", ""))
        key = self.keys.get(asked.get("client_id", ""))
        if key is None or not key.active:
            return self._page("unknown client", 401)
        if asked.get("redirect_uri") not in key.redirect_uris:
            return self._page("redirect_uri does not match client settings", 400)
        if asked.get("response_type") != "code":
            return self._page("unsupported response_type", 400)
        scopes = asked.get("scope", "").split()
        if key.enforce_scopes and (not scopes or set(scopes) - set(key.scopes)):
            return self._back(error="invalid_scope", error_description="A requested scope is invalid.")
        if user is None:
            return self._page("Log in first: enter as somebody, then try again.", 401)
        do = request.form.get("do")
        if do == "authorize":
            code = secrets.token_hex(32)
            until = self.lms.clock() + CODE_SECONDS
            self.codes[code] = (key.client_id, user.id, asked["redirect_uri"], scopes, until)
            return self._back(code=code)
        if do == "cancel":
            return self._back(error="access_denied", error_description="The resource owner denied the request")
        return render_template("consent.html", lms=self.lms, user=user, key=key, fields=dict(asked))

    def _back(self, **told: str) -> AnyResponse:
        state = request.values.get("state")
        kept = {**told, **({"state": state} if state is not None else {})}
        return redirect(wire.with_query(request.values["redirect_uri"], **kept), 302)

    def _page(self, sentence: str, status: int) -> tuple[str, int]:
        return render_template("refused.html", lms=self.lms, sentence=sentence), status

    def token(self, form: dict[str, str]) -> Response:
        key = self.keys.get(form.get("client_id", ""))
        if key is None or not key.active or form.get("client_secret") != key.secret:
            return _json({"error": "invalid_client", "error_description": "unknown client"}, 401)
        now = self.lms.clock()
        if form["grant_type"] == "authorization_code":
            client_id, user_id, redirect_uri, scopes, until = self.codes.pop(form.get("code", ""), ("", "", "", [], 0))
            if client_id != key.client_id or until <= now or form.get("redirect_uri") != redirect_uri:
                return _json({"error": "invalid_grant", "error_description": "authorization_code not found"}, 400)
            given = UserToken(key.client_id, user_id, secrets.token_urlsafe(48), scopes)
            self.tokens.append(given)
        else:
            found = [one for one in self.tokens if one.refresh == form.get("refresh_token")]
            if not found or found[0].client_id != key.client_id:
                return _json({"error": "invalid_grant", "error_description": "refresh_token not found"}, 400)
            given = found[0]
        given.access, given.expires = f"{key.client_id[-4:]}~{secrets.token_urlsafe(48)}", now + TOKEN_SECONDS
        user = self.lms.users[given.user_id]
        answer = {
            "access_token": given.access,
            "token_type": "Bearer",
            "user": {"id": user.number, "name": user.name, "global_id": str(10_000_000_000_000 + user.number)},
            "canvas_region": "us-east-1",
            "expires_in": TOKEN_SECONDS,
        }
        if form["grant_type"] == "authorization_code":
            answer["refresh_token"] = given.refresh
        self.lms.changed()
        return _json(answer)

    # Reading (5.1, 5.2)

    def enter(self, course: str, scope: str) -> tuple[Course, ApiKey] | Response:
        """Tell who may read what of a course, or the answer that refuses it."""
        _, _, access = request.headers.get("Authorization", "").partition(" ")
        given = next((one for one in self.tokens if one.access and one.access == access), None)
        if given is None or given.expires <= self.lms.clock():
            refused = _json({"errors": [{"message": "Invalid access token."}]}, 401)
            refused.headers["WWW-Authenticate"] = 'Bearer realm="canvas-lms"'
            return refused
        key = self.keys.get(given.client_id)
        if key is None or not key.active:
            refused = _json({"errors": [{"message": "Invalid access token."}]}, 401)
            refused.headers["WWW-Authenticate"] = 'Bearer realm="canvas-lms"'
            return refused
        if key.enforce_scopes and API + scope not in given.scopes:
            return _json({"errors": [{"message": "Insufficient scopes on access token."}]}, 401)
        wanted = course.removeprefix("lti_context_id:")
        named = [one for one in self.lms.courses.values() if wanted == (one.id if ":" in course else str(one.number))]
        if not named:
            return _json({"errors": [{"message": "The specified resource does not exist."}]}, 404)
        user = self.lms.users[given.user_id]
        if not user.admin and self.lms.role(named[0], user) not in ("instructor", "ta"):
            message = "user not authorized to perform that action"
            return _json({"status": "unauthorized", "errors": [{"message": message}]}, 401)
        return named[0], key

    def assignments(self, course: str) -> Response:
        entered = self.enter(course, "assignments")
        if isinstance(entered, Response):
            return entered
        return self.listed([self.assignment_written(one) for one in self.rubrics.of(entered[0])])

    def assignment_written(self, assignment: Assignment) -> dict[str, Any]:
        return {
            "id": assignment.number,
            "name": assignment.name,
            "points_possible": assignment.points,
            "grading_type": "points",
            "submission_types": ["online_upload"],
            "post_manually": assignment.post_manually,
            "use_rubric_for_grading": True,
            "free_form_criterion_comments": assignment.free_form,
            "rubric": [
                {
                    "id": row.id,
                    "points": row.points,
                    "description": row.description,
                    "long_description": "",
                    "ignore_for_scoring": False,
                    "criterion_use_range": False,
                    "ratings": [{**asdict(one), "long_description": ""} for one in reversed(row.ratings)],
                    **({"outcome_id": row.outcome_id, "vendor_guid": row.vendor_guid} if row.outcome_id else {}),
                }
                for row in assignment.criteria
            ],
            "rubric_settings": {
                "id": assignment.number + 5000,
                "title": f"{assignment.name} rubric",
                "points_possible": assignment.points,
                "free_form_criterion_comments": assignment.free_form,
                "hide_score_total": False,
                "hide_points": assignment.hide_points,
            },
        }

    def submissions(self, course: str, assignment: int) -> Response:
        entered = self.enter(course, "assignments/:assignment_id/submissions")
        if isinstance(entered, Response):
            return entered
        found, key = entered
        one = self.rubrics.assignments.get(assignment)
        if one is None or one.course_id != found.id:
            return _json({"errors": [{"message": "The specified resource does not exist."}]}, 404)
        # A key with scopes and without “Allow Include Parameters”: dropped without a word (5.1, the trap).
        included = request.args.getlist("include[]") if key.allow_include or not key.enforce_scopes else []
        rows = [self.submission_written(one, user, included) for user in self.lms.learners(found)]
        return self.listed(rows)

    def submission_written(self, assignment: Assignment, user: User, included: list[str]) -> dict[str, Any]:
        found: Submission | None = assignment.submissions.get(user.id)
        score = found.score if found else None
        written: dict[str, Any] = {
            "id": assignment.number * 10_000 + user.number,
            "assignment_id": assignment.number,
            "user_id": user.number,
            "score": score,
            "grade": None if score is None else f"{score:g}",
            "workflow_state": "graded" if score is not None else "unsubmitted",
            "graded_at": found.graded_at if found else None,
            "grader_id": found.grader if found else None,
            "posted_at": found.posted_at if found else None,
            "attempt": None,
            "excused": found.excused if found else None,
            "grade_matches_current_submission": True,
        }
        if "visibility" in included:
            written["assignment_visible"] = True
        if "rubric_assessment" in included and found is not None and found.assessed:
            written["rubric_assessment"] = {
                key: {
                    "rating_id": row.rating_id,
                    "comments": row.comments,
                    **({"points": row.points} if row.points is not None and not assignment.hide_points else {}),
                }
                for key, row in found.marked.items()
            }
        return written

    def enrollments(self, course: str) -> Response:
        entered = self.enter(course, "enrollments")
        if isinstance(entered, Response):
            return entered
        found, _ = entered
        rows = [
            {
                "id": number,
                "user_id": user.number,
                "course_id": found.number,
                "type": "StudentEnrollment",
                "enrollment_state": "active",
                "grades": {
                    "html_url": f"{self.lms.browser_root}/courses/{found.number}/grades/{user.number}",
                    "current_grade": None,
                    "final_grade": None,
                    **self.rubrics.course_grades(found, user),
                },
            }
            for number, user in enumerate(self.lms.people(found, "student"), 1)
        ]
        return self.listed(rows)

    def listed(self, rows: list[Any]) -> Response:
        asked = request.args.get("per_page", "")
        size = min(int(asked) if asked.isdigit() and int(asked) else PAGE, self.lms.max_page_size or LARGEST_PAGE)
        page = request.args.get("page", "1")
        current, last = int(page) if page.isdigit() else 1, max(1, -(-len(rows) // size))
        address = self.lms.server_root + request.path.removeprefix(f"/{self.lms.name}")
        kept = [pair for pair in request.args.items(multi=True) if pair[0] not in ("page", "per_page")]
        links = {"current": current, "first": 1, "last": last, **({"next": current + 1} if current < last else {})}
        answer = _json(rows[(current - 1) * size : current * size])
        answer.headers["Link"] = ",".join(
            f'<{address}?{urlencode([*kept, ("page", number), ("per_page", size)])}>; rel="{name}"'
            for name, number in links.items()
        )
        answer.headers["X-Request-Cost"], answer.headers["X-Rate-Limit-Remaining"] = "0.5", "599.5"
        return answer

    # Snapshot

    def kept(self) -> dict[str, Any]:
        return {"keys": [asdict(one) for one in self.keys.values()], "tokens": [asdict(one) for one in self.tokens]}

    def take_back(self, plain: dict[str, Any]) -> None:
        self.keys = {one["client_id"]: ApiKey(**one) for one in plain.get("keys", ())}
        self.tokens = [UserToken(**one) for one in plain.get("tokens", ())]


def add_routes(blueprint: Blueprint, lms: Lms, rest: Rest) -> None:
    """Answer at Canvas' own addresses. The names of the first three are what fault switches know them by."""
    course = "/api/v1/courses/<course>"
    for path, endpoint, view in (
        (f"{course}/assignments", "assignments", rest.assignments),
        (f"{course}/assignments/<int:assignment>/submissions", "submissions", rest.submissions),
        (f"{course}/enrollments", "enrollments", rest.enrollments),
    ):
        blueprint.add_url_rule(path, endpoint, wire.locked(lms, view), methods=["GET"])
    blueprint.add_url_rule("/login/oauth2/auth", "consent", rest.consent, methods=["GET", "POST"])


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type="application/json; charset=utf-8")
