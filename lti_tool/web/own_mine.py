"""A learner's page about her data without her LMS: the course's page, for one of the accounts of her address."""

from __future__ import annotations

from flask import Blueprint, Response, g, redirect, render_template, request, url_for

from lti_tool.errors import BadInput, ToolError
from lti_tool.security import by_own_link, tool
from lti_tool.sentence import Sentence
from lti_tool.services import audit, data_privacy, own_pages, rights
from lti_tool.web.course import Page, moment
from lti_tool.web.own_data import DONE, copy_of

pages = Blueprint("own_mine", __name__, url_prefix="/own/badges/people/<person_id>/data")


def _whose(person_id: str) -> str:
    return own_pages.record_for(g.own, person_id).person_id


def _home(person_id: str, problem: ToolError | None = None, of: str = "") -> Page:
    html = render_template(
        "student/own_data.html",
        person_id=person_id,
        page=rights.own(tool(), person_id),
        kept=data_privacy.own(tool(), person_id, moment()),
        problem=problem,
        problem_of=of,
        typed=request.form.get("name", ""),
        done=DONE.get(request.args.get("done", ""), ""),
    )
    return (html, problem.status) if problem is not None else html


def _lead_home(person_id: str, done: str) -> Page:
    return redirect(url_for("own_mine.home", person_id=person_id, done=done), 303)


@pages.get("")
@by_own_link
def home(person_id: str) -> Page:
    return _home(_whose(person_id))


@pages.get("/copy.zip")
@by_own_link
def copy(person_id: str) -> Response:
    return copy_of(_whose(person_id))


@pages.post("/name")
@by_own_link
def name(person_id: str) -> Page:
    """Ask for another name, take that back, or go back to the LMS's."""
    who, what = _whose(person_id), request.form.get("do", "ask")
    actor = audit.person(who)
    if what == "withdraw":
        rights.withdraw(tool(), who, "name", actor=actor, now=moment())
        return _lead_home(who, "name_withdrawn")
    if what == "lms":
        rights.use_lms_name(tool(), who, actor=actor, now=moment())
        return _lead_home(who, "name_lms")
    try:
        rights.ask_name(tool(), who, request.form.get("name", ""), actor=actor, now=moment())
    except BadInput as error:
        return _home(who, error, "name")
    return _lead_home(who, "name_asked")


@pages.post("/erasure")
@by_own_link
def erasure(person_id: str) -> Page:
    """Ask to be erased, or take that back."""
    who = _whose(person_id)
    if request.form.get("do") == "withdraw":
        rights.withdraw(tool(), who, "erasure", actor=audit.person(who), now=moment())
        return _lead_home(who, "erasure_withdrawn")
    if "understood" not in request.form:
        error = BadInput(sentence=Sentence("Say that you have read what an erasure does, then ask for it."))
        return _home(who, error, "erasure")
    rights.ask_erasure(tool(), who, actor=audit.person(who), now=moment())
    return _lead_home(who, "erasure_asked")
