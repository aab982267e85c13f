"""OAuth 2 for backpacks: they register, send a learner's browser here, and come for tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from authlib.oauth2 import OAuth2Error
from flask import Blueprint, Response, current_app, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import BadInput, Conflict, FormExpired, ToolError
from lti_tool.security import public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import backpacks, oauth, oauth_server
from lti_tool.services.issuer import issuer_row
from lti_tool.services.oauth_server import Answer, RegistrationRequest

pages = Blueprint("oauth", __name__, url_prefix="/oauth")

COOKIE = "backpack"
ENDPOINTS = ("/oauth/register", "/oauth/token", "/oauth/revoke")  # where programs come, and get JSON
REGISTRATIONS_PER_MINUTE = 10  # from one address
REQUESTS_PER_MINUTE = 60  # of browsers that are sent here: a class may be one address
TOKENS_PER_MINUTE = 600
LARGEST_REGISTRATION = 50_000  # bytes


@pages.record_once
def _limits(state: Any) -> None:
    for name, most in (
        ("registrations", REGISTRATIONS_PER_MINUTE),
        ("requests", REQUESTS_PER_MINUTE),
        ("tokens", TOKENS_PER_MINUTE),
    ):
        state.app.extensions[f"oauth_{name}"] = security.RateLimit(most)


def _count(what: str) -> None:
    current_app.extensions[f"oauth_{what}"].count(request.remote_addr or "")


def _now() -> datetime:
    return datetime.now(UTC)


def _address() -> str:
    return f"{tool().settings.base_url}{request.path}"


def _asked(values: Any) -> oauth_server.Request:
    told = {name: values.getlist(name) for name in values}
    return oauth_server.Request(request.method, _address(), dict(request.headers), told)


# -- for programs -----------------------------------------------------------------------------------------------


def _answered(answer: Answer) -> Response:
    response = Response(answer.body, status=answer.status)
    response.headers.update(answer.headers)
    response.headers["Content-Type"] = "application/json"
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.post("/register")
@public
def register() -> Response:
    """Register a backpack (RFC 7591); open to everybody, as Open Badges 3.0 asks."""
    _count("registrations")
    data = request.get_json(silent=True) if (request.content_length or 0) <= LARGEST_REGISTRATION else None
    if not isinstance(data, dict) or not data:
        return _refused("invalid_client_metadata", "A JSON object is needed.", 400)
    server = oauth_server.Server(tool(), _now())
    asked = RegistrationRequest(_address(), data)
    return _answered(server.create_endpoint_response(oauth_server.REGISTRATION, asked))


@pages.post("/token")
@public
def token() -> Response:
    """Exchange a code, or a refresh token, for an access token."""
    _count("tokens")
    return _answered(oauth_server.Server(tool(), _now()).token(_asked(request.form)))


@pages.post("/revoke")
@public
def revoke() -> Response:
    """Take a token back (RFC 7009)."""
    _count("tokens")
    server = oauth_server.Server(tool(), _now())
    return _answered(server.create_endpoint_response(oauth_server.REVOCATION, _asked(request.form)))


def _refused(error: str, description: str, status: int) -> Response:
    return _answered(Answer(status, json.dumps({"error": error, "error_description": description}).encode(), {}))


def error_answer(error: ToolError, status: int) -> Response | None:
    """Return an error as a program reads it at these endpoints, None where it is not theirs."""
    if request.path not in ENDPOINTS:
        return None
    g.failed = True
    if status == 429:
        return _refused("temporarily_unavailable", "Too many requests. Try again in a minute.", status)
    if status >= 500:
        return _refused("server_error", "The server could not answer.", status)
    return _refused("invalid_request", "This is not asked this way.", status)


# -- for the learner's browser ----------------------------------------------------------------------------------


@pages.get("/authorize")
@public
def authorize() -> BaseResponse | tuple[str, int]:
    """Take what a backpack asks, bind it to this browser, and lead to the page that shows it."""
    _count("requests")
    g.no_store = True
    try:
        asked = oauth_server.Server(tool(), _now()).asked(_asked(request.args))
    except OAuth2Error as error:
        return _not_asked(error)
    browser = _browser() or oauth.new_browser()
    request_id = oauth.ask(tool(), asked.pop("client"), browser, **asked, now=_now())
    response = redirect(url_for("oauth.show", request_id=request_id), 303)
    security.set_unframed_cookie(response, COOKIE, browser, oauth.ASKED_LASTS)
    return response


def _browser() -> str:
    """Return the secret of this browser's cookie, empty where it has none that is ours."""
    secret = request.cookies.get(security.cookie_name(COOKIE), "")
    return secret if len(secret) == len(oauth.new_browser()) and secret.isascii() else ""


def _not_asked(error: OAuth2Error) -> tuple[str, int]:
    """Say that a backpack has asked wrongly. Where the address to answer is its own, a link leads there."""
    back = ""
    if error.redirect_uri:
        state = request.args.get("state", "")
        back = oauth.back_to(tool(), error.redirect_uri, state, error=str(error.error))
    client = oauth_server.Server(tool(), _now()).query_client(request.args.get("client_id", "")) if back else None
    return render_template(
        "oauth/not_asked.html",
        back=back,
        client=client,
        error=error.error,
        detail=error.get_error_description() or "",
    ), 400


@pages.get("/authorize/<request_id>")
@public
def show(request_id: str) -> str | tuple[str, int]:
    return _page(request_id)


def _page(request_id: str, problem: ToolError | None = None) -> str | tuple[str, int]:
    """Show the code to type in the course; or, where a launch of hers is open here, ask at once."""
    g.no_store = True
    asked = oauth.asked_in(tool(), request_id, _browser(), _now())
    who = None if asked.decision else oauth.person_here(tool(), security.browser_secret(), _now())
    g.posts_to = asked.origin  # a form's redirect is held against the policy, too (seen in Chromium 156)
    page = render_template(
        "oauth/authorize.html",
        asked=asked,
        backpack=backpacks.backpack_of(asked.client),
        code=oauth.shown_code(_browser(), asked.id),
        consent=backpacks.consent(tool(), asked, who[0], _now()) if who is not None else None,
        csrf=oauth.csrf_token(_browser(), asked.id),
        csrf_of_hers=oauth.csrf_token(_browser(), asked.id, who[0]) if who is not None else "",
        problem=problem,
    )
    return (page, problem.status) if problem is not None else page


@pages.post("/authorize/<request_id>")
@public
def act(request_id: str) -> BaseResponse | str | tuple[str, int]:
    """Answer here, or go back to the backpack with what was answered in the course."""
    g.no_store = True
    browser, does = _browser(), request.form.get("do", "")
    asked = oauth.asked_in(tool(), request_id, browser, _now())
    again = Sentence("Load the page again, then try once more.")
    try:
        if does in ("allow", "refuse"):
            who = oauth.person_here(tool(), security.browser_secret(), _now())
            if who is None:
                raise FormExpired("no launch here", what_to_do=again)
            security.same_token(oauth.csrf_token(browser, asked.id, who[0]), again)
            oauth.answer(
                tool(),
                asked.id,
                who[0],
                allow=does == "allow",
                with_name="name" in request.form,
                with_email="email" in request.form,
                browser=browser,
                now=_now(),
            )
        elif does in ("continue", "cancel"):
            security.same_token(oauth.csrf_token(browser, asked.id), again)
        else:
            raise BadInput("no act")
        back = oauth.finish(tool(), asked.id, browser, cancel=does == "cancel", now=_now())
    except Conflict as error:
        return _page(request_id, error)
    return redirect(back, 303)


@pages.get("/authorize/<request_id>/state")
@public
def state(request_id: str) -> Response:
    """Tell the waiting page whether it was answered in the course."""
    g.no_store = True
    asked = oauth.asked_in(tool(), request_id, _browser(), _now())
    return jsonify(answered=bool(asked.decision))


@pages.get("/about")
@public
def about() -> str:
    """Say in words what a backpack may do with the API, and what is kept: its terms and its privacy policy."""
    with tool().db.read() as session:
        row = issuer_row(session)
    return render_template("oauth/about.html", told=row)
