"""What the LMS answers to a tool: keys, logins, tokens, deep links; and the switches of the faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jwt
from flask import Blueprint, Response, abort, g, jsonify, render_template, request

from . import launches, wire
from .faults import SERVICES
from .records import Course, Request, Tool

if TYPE_CHECKING:
    from .lms import Lms

BODY_KEPT = 20_000  # characters of a request's body in the log
LTI, DL = launches.LTI, launches.DL


def blueprint(lms: Lms) -> Blueprint:
    """Make the routes of one LMS."""
    routes = Blueprint(lms.name, __name__, url_prefix=f"/{lms.name}")
    mood = lms.mood

    @routes.before_request
    def let_faults_act() -> Response | None:
        g.faults = []
        service = service_name()
        if service is None:
            return None
        g.faults = lms.faults.take(service)
        return lms.faults.before(g.faults)

    @routes.after_request
    def note(response: Response) -> Response:
        service = service_name()
        if service is not None:
            response = lms.faults.after(g.get("faults", []), response)
            keep_request(lms, service, response)
        return response

    @routes.get(mood.jwks_path, endpoint="jwks")
    def jwks() -> Response:
        response = jsonify(lms.jwks())
        if mood.jwks_max_age:
            response.headers["Cache-Control"] = f"max-age={mood.jwks_max_age}"
        return response

    @routes.post(mood.token_path, endpoint="token")
    def token() -> Response:
        return mood.token(request.form.to_dict())

    @routes.route(mood.auth_path, endpoint="auth", methods=["GET", "POST"])
    def auth() -> Response | str | tuple[str, int]:
        try:
            form = launches.answer(lms, request.values.to_dict())
        except launches.AuthPage as page:
            return render_template("refused.html", lms=lms, sentence=page.sentence), page.status
        return render_template(
            "post.html", lms=lms, target=form["target"], fields=form["fields"], words="Going back to the tool"
        )

    @routes.post(mood.deep_link_path, endpoint="deep_link")
    def deep_link(course: str | None = None) -> Response | str | tuple[str, int]:
        try:
            found = lms.course(course or request.args.get("course", ""))
        except KeyError:
            abort(404)
        try:
            tool, claims = read_deep_link_response(lms, request.form.get("JWT", ""))
        except launches.AuthPage as page:
            return render_template("refused.html", lms=lms, sentence=page.sentence), page.status
        return take_items(lms, found, tool, claims)

    @routes.get("/control/faults", endpoint="control")
    def faults() -> Response:
        return jsonify(lms.faults.listed())

    @routes.post("/control/faults", endpoint="control_on")
    def switch_on() -> tuple[Response, int]:
        asked = wire.json_body()
        if asked is None or not request.is_json:
            return jsonify(error="send a JSON object"), 400
        try:
            act(lms, asked)
        except (ValueError, KeyError, TypeError) as trouble:
            return jsonify(error=str(trouble)), 400
        return jsonify(lms.faults.listed()), 201

    @routes.delete("/control/faults", endpoint="control_off")
    def switch_off() -> tuple[str, int]:
        lms.faults.clear()
        return "", 204

    mood.add_routes(routes)
    return routes


def act(lms: Lms, asked: dict[str, Any]) -> None:
    """Do what the control address was asked: a fault, or something a teacher does behind the tool's back."""
    asked = dict(asked)
    kind = asked.pop("kind", "status")
    if kind == "course_concluded":
        lms.conclude_course(asked["course"], asked.get("concluded", True))
    elif kind == "column_deleted":
        lms.delete_column(asked["course"], asked["column"])
    elif kind == "column_maximum":
        lms.set_maximum(asked["course"], asked["column"], float(asked["maximum"]))
    elif kind == "column_renamed":
        lms.rename_column(asked["course"], asked["column"], asked["label"])
    elif kind == "column_published":
        lms.publish_column(asked["course"], asked["column"], asked.get("published", True))
    elif kind == "column_unpublished":
        lms.publish_column(asked["course"], asked["column"], False)
    elif kind == "course_opened":
        lms.conclude_course(asked["course"], False)
    elif kind in ("tool_taken_out", "tool_let_in"):
        for tool in lms.tools.values():
            (lms.withdraw_tool if kind == "tool_taken_out" else lms.let_tool_in)(asked["course"], tool)
    elif kind in ("tool_off", "tool_on"):
        lms.switch_tool(lms.tools[asked["tool"]], kind == "tool_on")
    elif kind in ("permission_taken", "permission_given"):
        lms.permit(lms.tools[asked["tool"]], asked["scope"], kind == "permission_given")
    elif kind == "web_services":
        lms.web_services = bool(asked.get("on", False))
    elif kind == "web_token_deleted":
        lms.web_tokens.clear()
    elif kind == "keys_rotated":
        lms.rotate_keys(int(asked.get("times", 1)))
    elif kind == "tokens_expired":
        lms.faults.expire_tokens()
    else:
        lms.faults.on(asked.pop("service"), kind, **asked)


def service_name() -> str | None:
    """Name the service a request is for; pages and switches have none."""
    name = (request.endpoint or "").rpartition(".")[2].split("_")[0]
    return name if name in SERVICES else None


def keep_request(lms: Lms, service: str, response: Response) -> None:
    path, _, query = request.environ.get("RAW_URI", request.full_path).partition("?")
    lms.requests.append(
        Request(
            method=request.method,
            path=path,
            query=query,
            status=response.status_code,
            accept=request.headers.get("Accept"),
            content_type=request.headers.get("Content-Type"),
            authorization=request.headers.get("Authorization"),
            user_agent=request.headers.get("User-Agent"),
            body=request.get_data(as_text=True, parse_form_data=False)[:BODY_KEPT],
            service=service,
            at=lms.clock(),
        )
    )


def read_deep_link_response(lms: Lms, text: str) -> tuple[Tool, dict[str, Any]]:
    """Check a tool's deep linking response; gives the tool and the claims."""

    def refuse(sentence: str) -> launches.AuthPage:
        return launches.AuthPage(400, f"The tool's answer cannot be used: {sentence}.")

    try:
        claims = jwt.decode(text, options={"verify_signature": False})
        kid = jwt.get_unverified_header(text).get("kid")
    except jwt.PyJWTError:
        raise refuse("it is not a JWT") from None
    tool = lms.tools.get(str(claims.get("iss")))
    if tool is None:
        raise refuse("its issuer is not a registered client id")
    key, trouble = wire.find_tool_key(tool.jwks_url, kid)
    if key is None:
        raise refuse(trouble)
    try:
        claims = jwt.decode(
            text,
            key,
            algorithms=["RS256"],
            audience=lms.issuer,
            options={"require": ["exp", "iat", "nonce"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError as wrong:
        raise refuse(str(wrong)) from None
    if not claims["iat"] - 60 <= lms.clock() < claims["exp"]:
        raise refuse("it has expired")
    if claims.get(LTI + "message_type") != "LtiDeepLinkingResponse" or claims.get(LTI + "version") != "1.3.0":
        raise refuse("it is not a deep linking response of LTI 1.3.0")
    if claims.get(LTI + "deployment_id") not in tool.deployment_ids:
        raise refuse("the deployment is not known")
    return tool, claims


def take_items(lms: Lms, course: Course, tool: Tool, claims: dict[str, Any]) -> str:
    items = [item for item in claims.get(DL + "content_items") or [] if isinstance(item, dict)]
    made, refused = lms.mood.take_items(course, tool, claims[LTI + "deployment_id"], items, claims.get(DL + "data"))
    message = claims.get(DL + "msg") or claims.get(DL + "errormsg")
    return render_template(
        "deep_linked.html",
        lms=lms,
        course=course,
        made=made,
        refused=refused,
        message=message,
        raw=json.dumps(items, ensure_ascii=False, indent=2),
    )
