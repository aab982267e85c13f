"""People whom an LMS names by two ids: suggested, linked, unlinked."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import ToolError
from lti_tool.security import administrator, tool
from lti_tool.sentence import Sentence
from lti_tool.services import editions, people

pages = Blueprint("admin_people", __name__, url_prefix="/admin/people")

DONE = {
    "linked": Sentence("They count as one person from now on. Unlinking puts everything back."),
    "unlinked": Sentence("They are two people again, each with her own awards."),
    "refused": Sentence("These two are not suggested any more."),
}


@pages.get("/")
@administrator
def home() -> str:
    return _page()


def _page(problem: ToolError | None = None) -> str:
    return render_template(
        "admin/people.html",
        suggestions=people.suggestions(tool()),
        links=people.links(tool()),
        platforms=people.platforms(tool()),
        notice=DONE.get(request.args.get("done", ""), ""),
        wrong=problem,
        typed=request.form,
    )


@pages.post("/link")
@administrator
def link() -> Response | tuple[str, int]:
    """Link two people: the pair of a suggestion, or two user ids of one platform."""
    try:
        if "platform" in request.form:
            told = request.form["platform"]
            platform = int(told) if told.isdecimal() and len(told) < 10 else 0
            person, same_as = (people.find_person(tool(), platform, request.form.get(f, "")) for f in ("new", "old"))
        else:
            person, same_as = request.form.get("person", ""), request.form.get("same_as", "")
        people.link(tool(), person, same_as, actor=g.admin.actor, now=_now())
    except ToolError as error:
        return _page(error), error.status
    return _done("linked")


@pages.post("/refuse")
@administrator
def refuse() -> Response:
    """Say that two people are not one."""
    person, same_as = request.form.get("person", ""), request.form.get("same_as", "")
    people.refuse(tool(), person, same_as, actor=g.admin.actor, now=_now())
    return _done("refused")


@pages.post("/unlink")
@administrator
def unlink() -> Response:
    people.unlink(tool(), request.form.get("link", ""), actor=g.admin.actor, now=_now())
    editions.sign_pending(tool())
    return _done("unlinked")


def _done(what: str) -> Response:
    return redirect(url_for("admin_people.home", done=what), 303)


def _now() -> datetime:
    return datetime.now(UTC)
