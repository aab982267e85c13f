"""How the badges of a course are earned, claimed and shown, for its instructors."""

from __future__ import annotations

from flask import Blueprint, Response, g, render_template, request

from lti_tool.security import guarded, tool
from lti_tool.services import figure_pages
from lti_tool.services.launches import LOOK
from lti_tool.web.admin.figures import csv
from lti_tool.web.course import Page

pages = Blueprint("figures", __name__, url_prefix="/course/<launch>")


def _asked() -> figure_pages.Asked:
    return figure_pages.asked_of({"period": request.args.get("period", "")})


@pages.get("/figures")
@guarded(LOOK)
def course() -> Page:
    page = figure_pages.course_figures(tool(), g.session.course_id, _asked())
    return render_template("instructor/course_figures.html", page=page, slug="")


@pages.get("/figures.csv")
@guarded(LOOK)
def course_csv() -> Response:
    return csv(figure_pages.as_csv(figure_pages.course_figures(tool(), g.session.course_id, _asked())), "figures")


@pages.get("/badges/<slug>/figures")
@guarded(LOOK)
def badge(slug: str) -> Page:
    page = figure_pages.course_figures(tool(), g.session.course_id, _asked(), slug)
    return render_template("instructor/figures.html", page=page, slug=slug, badge=page.badge, status=page.status)


@pages.get("/badges/<slug>/figures.csv")
@guarded(LOOK)
def badge_csv(slug: str) -> Response:
    page = figure_pages.course_figures(tool(), g.session.course_id, _asked(), slug)
    return csv(figure_pages.as_csv(page), "figures")
