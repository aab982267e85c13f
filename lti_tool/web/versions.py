"""An instructor's pages around a badge's versions: its history, its retirement, its columns, badges for a new term."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for

from lti_tool.errors import BadInput
from lti_tool.security import guarded, tool
from lti_tool.services import copies, history, matching
from lti_tool.services.launches import LOOK, MANAGE
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("versions", __name__, url_prefix="/course/<launch>")


# -- history ----------------------------------------------------------------------------------------------------


@pages.get("/badges/<slug>/history", endpoint="history")
@guarded(LOOK)
def version_list(slug: str) -> Page:
    return render_template("instructor/history.html", page=history.page(tool(), g.session, slug))


@pages.post("/badges/<slug>/retire")
@guarded(MANAGE)
def retire(slug: str) -> Page:
    history.retire(tool(), g.session.course_id, slug, actor=acting(), now=moment())
    return lead_to("versions.history", slug=slug)


@pages.post("/badges/<slug>/bring-back")
@guarded(MANAGE)
def bring_back(slug: str) -> Page:
    job_id = history.bring_back(tool(), g.session.course_id, slug, actor=acting(), now=moment())
    if job_id is not None:
        tool().wake(job_id)
    return lead_to("versions.history", slug=slug)


# -- gradebook columns by hand ----------------------------------------------------------------------------------


@pages.get("/badges/<slug>/columns")
@guarded(MANAGE)
def columns(slug: str) -> Page:
    return render_template("instructor/columns.html", page=matching.page(tool(), g.session, slug), chosen={})


@pages.post("/badges/<slug>/columns")
@guarded(MANAGE)
def choose_columns(slug: str) -> Page:
    """Take what was chosen; what cannot be is told beside the form, which keeps every choice."""
    chosen = {name.removeprefix("column-"): value for name, value in request.form.items() if name.startswith("column-")}
    try:
        matching.choose(tool(), g.session.course_id, slug, chosen, actor=acting(), now=moment())
    except BadInput as error:
        page = matching.page(tool(), g.session, slug)
        sentence = f"{error.sentence} {error.what_to_do}".strip()
        return render_template("instructor/columns.html", page=page, chosen=chosen, form_problem=sentence), error.status
    return lead_to("instructor.plan", slug=slug)


@pages.post("/badges/<slug>/columns/look")
@guarded(MANAGE)
def look_at_columns(slug: str) -> Page:
    tool().wake(matching.look(tool(), g.session, moment()))
    return lead_to("versions.columns", slug=slug)


# -- a new term -------------------------------------------------------------------------------------------------


@pages.get("/other-courses")
@guarded(MANAGE)
def other_courses() -> Page:
    return render_template("instructor/other_courses.html", page=copies.other_courses(tool(), g.session))


@pages.post("/other-courses/<int:source>")
@guarded(MANAGE)
def use_course(source: int) -> Page:
    tool().wake(copies.name_source(tool(), g.session, source, actor=acting(), now=moment()))
    return redirect(url_for("instructor.home", launch=g.launch) + f"#h-copy-{source}", 303)
