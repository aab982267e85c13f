"""The learner's pages: her own badges and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import NotFound, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import audit, bindings, choices, marking_pages, records
from lti_tool.services import student_pages as shown
from lti_tool.services import sync as grades
from lti_tool.services.launches import LEARN
from lti_tool.web.course import Page
from lti_tool.web.instructor import badge_picture, not_named

pages = Blueprint("student", __name__, url_prefix="/me/<launch>")


@pages.get("/")
@guarded(LEARN)
def home() -> str:
    way_in = bindings.way_in(tool(), g.session.person_id, datetime.now(UTC))
    return render_template("student/home.html", page=shown.home(tool(), g.session), way_in=way_in, **not_named())


@pages.get("/badges/<slug>")
@guarded(LEARN)
def badge(slug: str) -> str:
    page = shown.badge(tool(), g.session, slug)
    # Nothing is put beside the parts of a stack, which may be another course's besides.
    beside = {} if page.tree else marking_pages.own_rows(tool(), g.session, slug, datetime.now(UTC))
    return render_template("student/badge.html", page=page, beside=beside)


@pages.route("/badges/<slug>/claim", methods=["GET", "POST"])
@guarded(LEARN)
def claim(slug: str) -> Page:
    """Show what becomes public, and take the choice; it can be changed here later."""
    page = shown.claim_view(tool(), g.session, slug)
    if request.method == "POST":
        told = told_choices(request.form, page.choices)
        try:
            choices.choose(
                tool(),
                page.award_id,
                told,
                seen=request.form.get("seen", ""),
                actor=audit.person(g.session.person_id),
                now=datetime.now(UTC),
            )
        except ToolError as error:
            page = replace(shown.claim_view(tool(), g.session, slug), choices=told)
            return render_template("student/claim.html", page=page, problem=error), error.status
        # What it can be used for comes after what others may see; whoever changes that later stays where she is.
        next_page = "student.claim" if page.claimed else "show.show"
        return redirect(url_for(next_page, launch=g.launch, slug=slug), 303)
    return render_template("student/claim.html", page=page)


def told_choices(form: MultiDict[str, str], now: choices.Choices) -> choices.Choices:
    """Return what a form chooses; a switch that is off is not in it. One without `inside` chooses the page alone."""
    if "inside" not in form:
        return replace(now, public="public" in form, search="search" in form)
    return choices.Choices(
        public="public" in form,
        search="search" in form,
        name="name" in form,
        levels="levels" in form,
        grades="grades" in form,
        email="email" in form,
        evidence=tuple(form.getlist("evidence")),
        narrative=form.get("narrative", ""),
    )


@pages.get("/badges/<slug>/picture.svg")
@guarded(LEARN)
def picture(slug: str) -> Response:
    return badge_picture(*shown.badge_is_open(tool(), g.session, slug))


@pages.get("/clr.json")
@guarded(LEARN)
def record() -> Response:
    """Give all her badges as one signed file."""
    now = datetime.now(UTC)
    response = Response(records.record_of(tool(), g.session, now), content_type="application/vc+ld+json")
    response.headers["Content-Disposition"] = 'attachment; filename="badges.clr.json"'
    return response


@pages.post("/sync")
@guarded(LEARN)
def sync() -> BaseResponse:
    if g.session.course_id is None:
        raise NotFound("not launched from a course")
    grades.sync_course_if_old(tool(), g.session.course_id, datetime.now(UTC))
    if slug := request.form.get("slug", ""):
        return redirect(url_for("student.badge", launch=g.launch, slug=slug), 303)
    return redirect(url_for("student.home", launch=g.launch), 303)
