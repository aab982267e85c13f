"""In and out: the one-time address, the way to the first page, signing out."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import NotSignedIn
from lti_tool.security import administrator, public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import administrators, issuer

pages = Blueprint("admin", __name__)

SIGN_INS_PER_MINUTE = 30  # from one network address: whoever guesses needs more than the age of the universe
COOKIE = "sign-in"


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["sign_in_limit"] = security.RateLimit(SIGN_INS_PER_MINUTE)


def not_signed_in(error: NotSignedIn) -> tuple[Response, int]:
    """Say how an administrator gets in."""
    g.no_store = True
    return Response(render_template("admin/signed_out.html", error=error)), error.status


@pages.get("/sign-in/<secret>")
@public
def sign_in(secret: str) -> Response:
    """Show a button and use nothing up: whoever scans mail for dangerous links opens every address once."""
    _count()
    asked = administrators.look(tool(), secret, datetime.now(UTC))
    browser = secrets.token_urlsafe(32)
    response = Response(_page(asked, secret, browser))
    security.set_unframed_cookie(response, COOKIE, browser, security.LOGIN_COOKIE_LASTS)
    return response


@pages.post("/sign-in/<secret>")
@public
def use_address(secret: str) -> BaseResponse:
    """Use the address up and open a session with a new secret; an earlier session of this browser ends.

    The token binds the form to the browser that opened the page, so nobody is signed in as somebody else unawares."""
    _count()
    now, browser = datetime.now(UTC), request.cookies.get(security.cookie_name(COOKIE), "")
    security.same_token(
        _token(browser, secret) if browser else secrets.token_hex(16), Sentence("Open the address again.")
    )
    asked = administrators.look(tool(), secret, now, tried=True)
    told = {"name": request.form.get("name", ""), "email": request.form.get("email", "")}
    problems = administrators.problems_of(tool(), asked, **told)
    if problems:
        return Response(_page(asked, secret, browser, problems=problems, **told), 400)
    opened = administrators.sign_in(tool(), secret, before=security.admin_secret(), now=now, **told)
    response = redirect(url_for("admin.home"), 303)
    security.drop_unframed_cookie(response, COOKIE)
    security.set_unframed_cookie(response, "admin", opened.secret, administrators.SESSION_LASTS)
    return response


def _count() -> None:
    current_app.extensions["sign_in_limit"].count(request.remote_addr or "")


def _page(asked: administrators.Asked, secret: str, browser: str, **values: Any) -> str:
    g.no_store = True
    return render_template("admin/sign_in.html", asked=asked, csrf=_token(browser, secret), **values)


def _token(browser: str, secret: str) -> str:
    return hashlib.sha256(f"sign-in\0{browser}\0{secret}".encode()).hexdigest()


@pages.get("/admin/")
@administrator
def home() -> BaseResponse:
    """Lead to the first page: the issuer's, until it says who issues badges."""
    complete = issuer.is_complete(issuer.fields_of(tool()))
    return redirect(url_for("admin_platforms.home" if complete else "admin_issuer.home"))


@pages.post("/admin/sign-out")
@administrator
def sign_out() -> Response:
    administrators.sign_out(tool(), g.admin, datetime.now(UTC))
    g.no_store = True
    response = Response(render_template("admin/bye.html"))
    security.drop_unframed_cookie(response, "admin")
    return response
