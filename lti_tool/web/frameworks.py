"""A badge begun from a framework file: what is in it, and the draft that becomes of what is chosen."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for

from lti_tool.errors import BadInput, ToolError
from lti_tool.security import guarded, tool
from lti_tool.sentence import Sentence
from lti_tool.services import framework_files
from lti_tool.services import instructor_pages as shown
from lti_tool.services.launches import MANAGE
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("frameworks", __name__, url_prefix="/course/<launch>/framework")


@pages.post("/")
@guarded(MANAGE)
def put() -> Page:
    """Take a file and show what is in it; what is wrong with it is told on the page it came from."""
    sent = request.files.get("file")
    try:
        if sent is None or not sent.filename:
            raise BadInput(sentence=Sentence("Choose a file first."))
        content = sent.stream.read(framework_files.LARGEST + 1)
        file_id = framework_files.put(tool(), g.session, content, name=sent.filename, now=moment())
    except BadInput as error:
        page = shown.course_home(tool(), g.session)
        return render_template("instructor/home.html", page=page, framework_problem=error), error.status
    return lead_to("frameworks.show", file_id=file_id)


@pages.get("/<file_id>")
@guarded(MANAGE)
def show(file_id: str) -> Page:
    return _page(file_id)


def _page(file_id: str, problem: ToolError | None = None) -> Page:
    html = render_template(
        "instructor/framework.html",
        page=framework_files.page(tool(), g.session, file_id),
        problem=problem,
        ticked=request.form.getlist("item"),
    )
    return (html, problem.status) if problem is not None else html


@pages.post("/<file_id>")
@guarded(MANAGE)
def begin(file_id: str) -> Page:
    """Make a draft of a rubric, or of the ticked items, and go on in the editor."""
    try:
        badge = framework_files.begin(
            tool(),
            g.session,
            file_id,
            rubric=request.form.get("rubric", ""),
            items=request.form.getlist("item"),
            language=(g.session.locale or "").replace("_", "-"),
            actor=acting(),
            now=moment(),
        )
    except BadInput as error:
        return _page(file_id, error)
    return redirect(url_for("editor.step", launch=g.launch, badge=badge, step="about"), 303)
