"""A learner's page about her data: a copy of all of it, the name in her credentials, erasure."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from flask import Blueprint, Response, current_app, g, render_template, request

from lti_tool import security
from lti_tool.errors import BadInput, ToolError
from lti_tool.security import guarded, public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import data_privacy, erased, own_copy, rights
from lti_tool.services.launches import OWN
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("own_data", __name__, url_prefix="/me/<launch>/data")
again = Blueprint("erased", __name__)

COPIES_PER_MINUTE = 6  # of one person: a copy reads every table
A_PART = 256 * 1024  # bytes

DONE = {
    "name_asked": Sentence("An administrator will look at it. Until then the name your LMS tells is shown."),
    "name_withdrawn": Sentence("Your request is taken back."),
    "name_lms": Sentence("The name your LMS tells is shown again."),
    "erasure_asked": Sentence("An administrator will look at it. Until then you can take it back here."),
    "erasure_withdrawn": Sentence("Your request is taken back. Nothing was erased."),
}


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["own_copies"] = security.RateLimit(COPIES_PER_MINUTE)


@pages.get("/")
@guarded(OWN)
def home() -> Page:
    return _home()


def _home(problem: ToolError | None = None, of: str = "") -> Page:
    html = render_template(
        "student/own_data.html",
        page=rights.own(tool(), g.session.person_id),
        kept=data_privacy.own(tool(), g.session.person_id, moment()),
        problem=problem,
        problem_of=of,
        typed=request.form.get("name", ""),
        done=DONE.get(request.args.get("done", ""), ""),
    )
    return (html, problem.status) if problem is not None else html


@pages.get("/copy.zip")
@guarded(OWN)
def copy() -> Response:
    """Give her a copy of all that is kept about her."""
    return copy_of(g.session.person_id)


def copy_of(person_id: str) -> Response:
    current_app.extensions["own_copies"].count(person_id)
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the answer is sent)
    try:
        own_copy.write(tool(), person_id, file, moment())
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    response = Response(_parts(file), content_type="application/zip")
    response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = 'attachment; filename="my-data.zip"'
    response.call_on_close(file.close)
    return response


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(A_PART):
        yield part


@pages.post("/name")
@guarded(OWN)
def name() -> Page:
    """Ask for another name, take that back, or go back to the LMS's."""
    who, what = g.session.person_id, request.form.get("do", "ask")
    if what == "withdraw":
        rights.withdraw(tool(), who, "name", actor=acting(), now=moment())
        return lead_to("own_data.home", done="name_withdrawn")
    if what == "lms":
        rights.use_lms_name(tool(), who, actor=acting(), now=moment())
        return lead_to("own_data.home", done="name_lms")
    try:
        rights.ask_name(tool(), who, request.form.get("name", ""), actor=acting(), now=moment())
    except BadInput as error:
        return _home(error, "name")
    return lead_to("own_data.home", done="name_asked")


@pages.post("/erasure")
@guarded(OWN)
def erasure() -> Page:
    """Ask to be erased, or take that back."""
    who = g.session.person_id
    if request.form.get("do") == "withdraw":
        rights.withdraw(tool(), who, "erasure", actor=acting(), now=moment())
        return lead_to("own_data.home", done="erasure_withdrawn")
    if "understood" not in request.form:
        error = BadInput(sentence=Sentence("Say that you have read what an erasure does, then ask for it."))
        return _home(error, "erasure")
    rights.ask_erasure(tool(), who, actor=acting(), now=moment())
    return lead_to("own_data.home", done="erasure_asked")


# -- after an erasure -------------------------------------------------------------------------------------------


@again.post("/lti/again")
@public
def begin_anew() -> str:
    """Let somebody who was erased be known again: the proof is that of a launch a moment ago."""
    g.frame_anywhere = True
    erased.come_back(tool(), request.form.get("proof", ""), moment())
    return render_template("erased.html", proof="", back=True)
