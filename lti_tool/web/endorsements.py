"""Endorsements: asked for by an instructor, given by somebody outside at a one-time address, read by anybody."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import NotAcceptable, NotFound, ToolError
from lti_tool.security import guarded, public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import catalog, endorsements, forms
from lti_tool.services.launches import LOOK, MANAGE
from lti_tool.web.content import JSON_LD, PAGE, answer, answer_page, chosen
from lti_tool.web.course import Page, acting, moment

course_pages = Blueprint("endorsements", __name__, url_prefix="/course/<launch>/badges/<slug>/endorsements")
pages = Blueprint("endorsing", __name__)

A_MINUTE = 30  # from one network address, as at the door of administrators
COOKIE = "endorse"


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["endorse_limit"] = security.RateLimit(A_MINUTE)


# -- asked for --------------------------------------------------------------------------------------------------


@course_pages.get("")
@guarded(LOOK)
def show(slug: str) -> Page:
    return _list(slug)


def _list(slug: str, address: str = "", problem: ToolError | None = None) -> Page:
    page = endorsements.of_badge(tool(), g.session, slug, moment())
    html = render_template(
        "instructor/endorsements.html",
        page=replace(page, address=address),
        slug=slug,
        badge=page.badge,
        typed=request.form if problem else {},
        may_manage=MANAGE in g.session.rights,
        problem=problem,
    )
    return (html, problem.status) if problem else html


@course_pages.post("")
@guarded(MANAGE)
def ask(slug: str) -> Page:
    """Make a link and show it, this once."""
    form = request.form
    try:
        address = endorsements.ask_for_badge(
            tool(),
            g.session.course_id,
            slug,
            form.get("award", ""),
            form.get("reviewer", ""),
            form.get("words", ""),
            actor=acting(),
            now=moment(),
        )
    except ToolError as error:
        return _list(slug, problem=error)
    return _list(slug, address)


@course_pages.post("/links/<request_id>")
@guarded(MANAGE)
def withdraw_link(slug: str, request_id: str) -> Page:
    badge_id = catalog.badge_id(tool(), g.session.course_id, slug)
    try:
        endorsements.withdraw_link(tool(), request_id, badge_id, actor=acting(), now=moment())
    except ToolError as error:
        return _list(slug, problem=error)
    return redirect(url_for("endorsements.show", launch=g.launch, slug=slug), 303)


@course_pages.post("/<endorsement_id>")
@guarded(MANAGE)
def withdraw(slug: str, endorsement_id: str) -> Page:
    badge_id = catalog.badge_id(tool(), g.session.course_id, slug)
    reason = request.form.get("reason", "")
    try:
        endorsements.withdraw(tool(), endorsement_id, badge_id, reason, actor=acting(), now=moment())
    except ToolError as error:
        return _list(slug, problem=error)
    return redirect(url_for("endorsements.show", launch=g.launch, slug=slug), 303)


# -- given ------------------------------------------------------------------------------------------------------


@pages.get("/endorse/<secret>")
@public
def endorse(secret: str) -> BaseResponse:
    """Show what is asked about and use nothing up: whoever scans mail for dangerous links opens every address once."""
    _count()
    asked = endorsements.look(tool(), secret, datetime.now(UTC))
    # One secret for all links of a browser: a second one opened beside does not spoil the first one's form.
    browser = request.cookies.get(security.cookie_name(COOKIE)) or secrets.token_urlsafe(32)
    response = Response(_page(asked, secret, browser))
    security.set_unframed_cookie(response, COOKIE, browser, security.LOGIN_COOKIE_LASTS * 12)
    return response


@pages.post("/endorse/<secret>")
@public
def say(secret: str) -> BaseResponse:
    """Take what the reviewer says, or that she declines. The token binds the form to the browser that opened it."""
    _count()
    now, browser = datetime.now(UTC), request.cookies.get(security.cookie_name(COOKIE), "")
    security.same_token(_token(browser, secret) if browser else secrets.token_hex(16), Sentence("Open the link again."))
    g.no_store = True
    fields = ("name", "role", "organisation", "comment")
    told = endorsements.Answer(**{name: request.form.get(name, "") for name in fields})
    if "decline" in request.form:
        return Response(_decline(secret, browser, told, now))
    problems = endorsements.problems_of(told)
    try:
        asked = endorsements.look(tool(), secret, now)
        if "confirmed" not in request.form:
            problems["confirmed"] = Sentence("Tick this, so that nobody is named by mistake.")
        if problems:
            return Response(_page(asked, secret, browser, problems=problems, told=told), 400)
        address = endorsements.answer(tool(), secret, told, now)
    except ToolError as error:
        if isinstance(error, NotFound):
            raise
        return Response(_page(asked, secret, browser, problems={"comment": error.told}, told=told), error.status)
    return Response(render_template("public/endorsed.html", address=address))


def _decline(secret: str, browser: str, told: endorsements.Answer, now: datetime) -> str:
    """Decline once that is sure; ask before, and go back to what was typed where it is not."""
    answer = request.form["decline"]
    if answer == "sure":
        endorsements.decline(tool(), secret, now)
        return render_template("public/endorsed.html", address="")
    asked = endorsements.look(tool(), secret, now)
    if answer == "no":
        return _page(asked, secret, browser, told=told)
    typed = asdict(told) | ({"confirmed": "yes"} if "confirmed" in request.form else {})
    return render_template("public/decline.html", page=asked, csrf=_token(browser, secret), told=typed)


def _count() -> None:
    current_app.extensions["endorse_limit"].count(request.remote_addr or "")


def _page(asked: endorsements.ToEndorse, secret: str, browser: str, **values: Any) -> str:
    g.no_store = True
    values.setdefault("told", endorsements.Answer())
    values.setdefault("ticked", "confirmed" in request.form)
    return render_template(
        "public/endorse.html", page=asked, csrf=_token(browser, secret), longest=endorsements.LONGEST, **values
    )


def _token(browser: str, secret: str) -> str:
    return hashlib.sha256(f"endorse\0{browser}\0{secret}".encode()).hexdigest()


# -- read -------------------------------------------------------------------------------------------------------


@pages.get("/endorsements/<id>")
@public
def endorsement(id: str) -> Response:
    """Show an endorsement, or answer its signed JSON to a client that asks for it."""
    found = endorsements.find(tool(), id)
    form = chosen(request.accept_mimetypes, [(PAGE, ""), *((kind, "json") for kind in forms.FORMS["json"].kinds)])
    if form is None:
        raise NotAcceptable(f"Accept: {request.headers.get('Accept', '')[:80]}")
    if form:
        return _signed(found.document)
    return answer_page(render_template("public/endorsement.html", page=endorsements.page(tool(), found)))


@pages.get("/endorsements/<id>.json")
@public
def endorsement_json(id: str) -> Response:
    return _signed(endorsements.find(tool(), id).document)


def _signed(document: bytes) -> Response:
    response = answer(document, JSON_LD, seconds=60)
    response.headers["X-Robots-Tag"] = "noindex"
    return response
