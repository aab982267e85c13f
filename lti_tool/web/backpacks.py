"""A learner's backpacks: the code she brings, what she allows, and the connections she can end."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, g, render_template, request

from lti_tool import security
from lti_tool.errors import BadInput, Conflict, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import backpacks, oauth
from lti_tool.services.launches import OWN
from lti_tool.web.course import Page, lead_to, moment

pages = Blueprint("backpacks", __name__, url_prefix="/me/<launch>/backpacks")

CODES_PER_MINUTE = 10  # of one person


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["backpack_codes"] = security.RateLimit(CODES_PER_MINUTE)


@pages.get("/")
@guarded(OWN)
def home() -> Page:
    return _home()


def _home(problem: ToolError | None = None) -> Page:
    html = render_template(
        "student/backpacks.html",
        connections=backpacks.connections(tool(), g.session.person_id, moment()),
        problem=problem,
        typed=request.form.get("code", "")[:20],
        done=request.args.get("done", ""),
        base_url=tool().settings.base_url,
    )
    return (html, problem.status) if problem is not None else html


@pages.post("/")
@guarded(OWN)
def code() -> Page:
    """Find what a backpack's window asks by the code that it shows."""
    current_app.extensions["backpack_codes"].count(g.session.person_id)
    try:
        request_id = oauth.enter_code(tool(), g.session.person_id, request.form.get("code", "")[:40], moment())
    except BadInput as error:
        return _home(error)
    return lead_to("backpacks.ask", request_id=request_id)


@pages.route("/requests/<request_id>", methods=["GET", "POST"])
@guarded(OWN)
def ask(request_id: str) -> Page:
    """Show what a backpack asks, and take the answer."""
    who = g.session.person_id
    problem: ToolError | None = None
    if request.method == "POST":
        try:
            if request.form.get("do") not in ("allow", "refuse"):
                raise BadInput("no answer")
            oauth.answer(
                tool(),
                request_id,
                who,
                allow=request.form["do"] == "allow",
                with_name="name" in request.form,
                with_email="email" in request.form,
                now=moment(),
            )
            return lead_to("backpacks.ask", request_id=request_id)
        except Conflict as error:
            problem = error
    asked = oauth.asked_of(tool(), request_id, who, moment())
    consent = backpacks.consent(tool(), asked, who, moment())
    html = render_template("student/backpack_ask.html", consent=consent, finished=asked.finished, problem=problem)
    return (html, problem.status) if problem is not None else html


@pages.post("/<grant_id>/end")
@guarded(OWN)
def end(grant_id: str) -> Page:
    backpacks.end(tool(), grant_id, g.session.person_id, moment())
    return lead_to("backpacks.home", done="ended")
