"""What an instructor does about the gradebook once a badge is set up: mends what changed there, writes back who earned.

What these pages show stands on the badge's set-up page."""

from __future__ import annotations

from flask import Blueprint, g, redirect, request, url_for

from lti_tool.security import guarded, tool
from lti_tool.services import columns, drift, earned
from lti_tool.services.launches import MANAGE
from lti_tool.web.course import Page, acting, moment

pages = Blueprint("gradebook", __name__, url_prefix="/course/<launch>/badges/<slug>/gradebook")


def _back(slug: str, where: str) -> Page:
    return redirect(url_for("instructor.plan", launch=g.launch, slug=slug) + f"#{where}", 303)


@pages.post("/make-again")
@guarded(MANAGE)
def make_again(slug: str) -> Page:
    tag = request.form.get("tag", "")
    tool().wake(columns.ask_again(tool(), g.session.course_id, slug, tag, actor=acting(), now=moment()))
    return _back(slug, "h-columns")


@pages.post("/maximum")
@guarded(MANAGE)
def accept_maximum(slug: str) -> Page:
    tag = request.form.get("tag", "")
    seen = request.form.get("seen", "")
    drift.accept_maximum(tool(), g.session.course_id, slug, tag, seen=seen, actor=acting(), now=moment())
    return _back(slug, "h-columns")


@pages.post("/earned")
@guarded(MANAGE)
def write_earned(slug: str) -> Page:
    on = "on" in request.form
    job_id = earned.switch(tool(), g.session.course_id, slug, on=on, actor=acting(), now=moment())
    if job_id:
        tool().wake(job_id)
    return _back(slug, "h-earned")


@pages.post("/earned/cell")
@guarded(MANAGE)
def choose_cell(slug: str) -> Page:
    """Keep the grade that somebody has given in the column, or write ours over it."""
    person, choice, seen = (request.form.get(each, "") for each in ("person", "choice", "seen"))
    course_id = g.session.course_id
    job_id = earned.choose(tool(), course_id, slug, person, choice, seen_as=seen, actor=acting(), now=moment())
    if job_id:
        tool().wake(job_id)
    return _back(slug, "h-earned")


@pages.post("/earned/again")
@guarded(MANAGE)
def try_again(slug: str) -> Page:
    job_id = earned.try_again(tool(), g.session.course_id, slug, actor=acting(), now=moment())
    if job_id:
        tool().wake(job_id)
    return _back(slug, "h-earned")
