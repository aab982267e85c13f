"""What an LMS calls: login, launch, the tool's keys, its icon."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, g, jsonify, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import Erased
from lti_tool.lti.jwks import public_jwks
from lti_tool.lti.launch import StorageNeeded, told_by, verify_launch
from lti_tool.lti.login import StartedLogin, login_cookie, storage_key
from lti_tool.lti.notices import read_body
from lti_tool.security import public
from lti_tool.services import entry, erased, everywhere, notices, sync
from lti_tool.web import messages

pages = Blueprint("lti", __name__)
log = logging.getLogger("lti_tool")

TRIED = "lti_tool_cookie"  # marks the second look at a login: the browser was asked to take a cookie
LONGEST_ADDRESS = 6000  # proxies take about 8,000 characters


@pages.record_once
def _limit(state: Any) -> None:
    limit = security.RateLimit(state.app.extensions["lti_tool"].settings.server.logins_per_minute)
    state.app.extensions["login_limit"] = limit


@pages.route("/lti/login", methods=["GET", "POST"])
@public
def login() -> BaseResponse:
    """Answer a third-party login, by GET and by POST, with the redirect to the platform.

    A frame whose browser sends no cookie of ours is asked once whether it takes one, before the platform is asked:
    what the platform sent along (its hint) is good for one question only."""
    g.frame_anywhere = True
    asked = (request.form if request.method == "POST" else request.args).to_dict()
    tried = asked.pop(TRIED, "")
    no_cookie = security.in_frame() and not security.cookies_come()
    if no_cookie and not tried and (address := _login_address({**asked, TRIED: "1"})):
        again = security.see(address, 303)
        security.set_cookie(again, security.PROBE, "1", security.LOGIN_COOKIE_LASTS)
        return again
    current_app.extensions["login_limit"].count(request.remote_addr or "")
    started = entry.start(security.tool(), asked, datetime.now(UTC))
    if no_cookie and tried:
        return _without_cookies(started, _login_address(asked))
    response = security.see(started.redirect_url, 302)
    security.set_cookie(response, login_cookie(started.state), started.browser_secret, security.LOGIN_COOKIE_LASTS)
    if security.cookie_name(security.PROBE) in request.cookies:
        security.drop_cookie(response, security.PROBE)
    return response


def _login_address(asked: dict[str, str]) -> str:
    """Return the address that begins this login again, empty where it would be longer than servers take."""
    address = f"{url_for('lti.login')}?{urlencode(asked)}"
    return address if len(address) <= LONGEST_ADDRESS else ""


def _without_cookies(started: StartedLogin, new_window: str) -> Response:
    """Go on through the platform's storage where it has one; otherwise, and without a script, offer a new window."""
    put: dict[str, str] = {}
    if started.row.storage_target is not None:
        put = {
            "act": "put",
            "frame": started.row.storage_target,
            "origin": started.registration.storage_origin,
            "key": storage_key(started.state),
            "value": started.browser_secret,
            "next": started.redirect_url,
        }
    return Response(render_template("new_window.html", storage=put, new_window=new_window))


@pages.route("/lti/launch", methods=["POST"])
@public
def launch() -> BaseResponse:
    """Verify a launch and open the page that fits its role; the session is made here and nowhere else."""
    g.frame_anywhere = True
    began = time.monotonic()
    tool, now = security.tool(), datetime.now(UTC)
    form = request.form.to_dict()
    cookie = login_cookie(form.get("state", ""))
    secret = request.cookies.get(security.cookie_name(cookie))
    # What platform storage gave back counts from our own page alone: another site could post a login of its own.
    carried = secret is None and bool(form.get("browser_secret")) and security.from_own_page()

    way_in = entry.Entry(tool, told_by(form), security.browser_secret(), now, carried=carried)
    try:
        verified = verify_launch(
            form,
            find_login=way_in.find_login,
            use_login=way_in.use_login,
            find_registration=way_in.find_registration,
            deployment_status=way_in.deployment_status,
            keys=tool.keys,
            browser_secret=form["browser_secret"] if carried else secret,
            now=now,
        )
    except Erased as error:
        page = Response(render_template("erased.html", proof=erased.proof(tool, error, now), back=False))
        security.drop_cookie(page, cookie)
        return page
    except StorageNeeded as needed:
        if not security.in_frame():
            raise
        return _from_storage(needed, form)
    opened = way_in.opened
    if opened is None:  # one page, and no session: who looks after data leaves none behind
        page = messages.data_privacy(verified, now)
        security.drop_cookie(page, cookie)
        return page
    if opened.sync_is_old and opened.rights:
        sync.sync_if_old(tool, opened.launch_id, now)
    elif opened.course_id is None:
        everywhere.read_if_old_at_launch(tool, opened.launch_id, now)
    for job_id in opened.jobs:
        tool.wake(job_id)
    response = messages.FIRST_PAGES[verified.message_type](opened, verified)
    if not opened.carried:
        security.drop_cookie(response, cookie)
        security.set_cookie(response, "browser", opened.secret, security.COOKIE_LASTS)
    tool.figures.count("launches", platform=verified.registration_id, message=verified.message_type)
    tool.figures.observe("launch_seconds", time.monotonic() - began)
    log.debug(
        "launch registration=%s rights=%s carried=%s", verified.registration_id, sorted(opened.rights), opened.carried
    )
    return response


def _from_storage(needed: StorageNeeded, form: dict[str, str]) -> Response:
    """Ask the platform's storage for the browser's secret, and post the launch again with it.

    The token of this form is a good one: it was verified, and not yet used."""
    get = {"act": "get", "frame": needed.target, "origin": needed.origin, "key": storage_key(form["state"])}
    return Response(render_template("from_storage.html", storage=get, form=form, refused=needed))


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
