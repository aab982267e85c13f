"""What an LMS opens to register the tool by itself, and what Canvas reads where a key is made by address."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, current_app, g, jsonify, render_template, request

from lti_tool import security
from lti_tool.errors import InviteRefused, RegistrationRefused
from lti_tool.security import public, tool
from lti_tool.services import registration

pages = Blueprint("registration", __name__)

REGISTRATIONS_PER_MINUTE = 30  # from one network address: each makes the tool call an address it was given


@pages.record_once
def _limit(state: object) -> None:
    state.app.extensions["registration_limit"] = security.RateLimit(REGISTRATIONS_PER_MINUTE)  # type: ignore[attr-defined]


@pages.get("/lti/register")
@public
def register() -> str:
    """Register the tool with the LMS that opened this address, and say what to click next there.

    LTI Dynamic Registration 1.0 has the LMS open it by GET. What protects it is the invite, which works once."""
    g.frame_anywhere = True
    current_app.extensions["registration_limit"].count(request.remote_addr or "")
    if request.method == "HEAD":
        raise RegistrationRefused("HEAD", reason="head", status=405)
    invite, asked = request.args.get("invite", ""), request.args.get("openid_configuration", "")
    if not invite:
        raise InviteRefused("no invite", reason="invite_missing")
    token = request.args.get("registration_token") or None
    done = registration.register(tool(), invite, asked, token, datetime.now(UTC))
    return render_template("registered.html", done=done)


@pages.get("/lti/config.json")
@public
def canvas_configuration() -> Response:
    """Answer the configuration of a Canvas developer key ("Enter URL")."""
    response = jsonify(registration.canvas_configuration(tool()))
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
