"""What an LMS calls: login, launch, the tool's keys, its icon."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.lti.jwks import public_jwks
from lti_tool.lti.launch import told_by, verify_launch
from lti_tool.lti.login import login_cookie
from lti_tool.lti.notices import read_body
from lti_tool.security import public
from lti_tool.services import entry, notices, sync
from lti_tool.web import messages

pages = Blueprint("lti", __name__)
log = logging.getLogger("lti_tool")


@pages.record_once
def _limit(state: Any) -> None:
    limit = security.RateLimit(state.app.extensions["lti_tool"].settings.server.logins_per_minute)
    state.app.extensions["login_limit"] = limit


@pages.route("/lti/login", methods=["GET", "POST"])
@public
def login() -> BaseResponse:
    """Answer a third-party login, by GET and by POST, with the redirect to the platform."""
    g.frame_anywhere = True
    current_app.extensions["login_limit"].count(request.remote_addr or "")
    tool, now = security.tool(), datetime.now(UTC)
    sent = request.form if request.method == "POST" else request.args
    started = entry.start(tool, sent.to_dict(), now)
    response = security.see(started.redirect_url, 302)
    security.set_cookie(response, login_cookie(started.state), started.browser_secret, security.LOGIN_COOKIE_LASTS)
    return response


@pages.route("/lti/launch", methods=["POST"])
@public
def launch() -> BaseResponse:
    """Verify a launch and open the page that fits its role; the session is made here and nowhere else."""
    g.frame_anywhere = True
    tool, now = security.tool(), datetime.now(UTC)
    form = request.form.to_dict()
    cookie = login_cookie(form.get("state", ""))

    way_in = entry.Entry(tool, told_by(form), security.browser_secret(), now)
    verified = verify_launch(
        form,
        find_login=way_in.find_login,
        use_login=way_in.use_login,
        find_registration=way_in.find_registration,
        deployment_status=way_in.deployment_status,
        keys=tool.keys,
        browser_secret=request.cookies.get(security.cookie_name(cookie)),
        now=now,
    )
    opened = way_in.opened
    if opened is None:  # one page, and no session: who looks after data leaves none behind
        page = messages.data_privacy(verified, now)
        security.drop_cookie(page, cookie)
        return page
    if opened.sync_is_old and opened.rights:
        sync.sync_if_old(tool, opened.launch_id, now)
    for job_id in opened.jobs:
        tool.wake(job_id)
    response = messages.FIRST_PAGES[verified.message_type](opened, verified)
    security.drop_cookie(response, cookie)
    security.set_cookie(response, "browser", opened.secret, security.COOKIE_LASTS)
    log.info("launch registration=%s rights=%s", verified.registration_id, ",".join(sorted(opened.rights)))
    return response


@pages.post("/lti/notices")
@public
def take_notices() -> tuple[str, int]:
    """Take in what a platform tells by itself, and answer at once: a job acts on it.

    Each notice is signed, which is what stands in for a session here."""
    current_app.extensions["login_limit"].count(request.remote_addr or "")
    tool = security.tool()
    for job_id in notices.receive(tool, read_body(request.get_data(cache=False)), datetime.now(UTC)):
        tool.wake(job_id)
    return "", 200


@pages.get("/.well-known/jwks.json")
@public
def jwks() -> Response:
    response = jsonify(public_jwks(security.tool().keyring.published_lti(datetime.now(UTC))))
    response.headers["Cache-Control"] = "public, max-age=300"  # a new key signs at once, so this is kept short
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@pages.get("/lti/icon.<form>")
@public
def icon(form: str) -> Response:
    """Answer the tool's icon, as SVG or PNG."""
    if form not in ("svg", "png"):
        return Response(status=404)
    content = resources.files("lti_tool").joinpath("static", f"icon.{form}").read_bytes()
    response = Response(content, mimetype="image/svg+xml" if form == "svg" else "image/png")
    response.headers["Cache-Control"] = "public, max-age=86400"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response
