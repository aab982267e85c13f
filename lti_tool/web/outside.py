"""Badges from elsewhere that are to count as parts of a stack: handed in by learners, decided about by instructors."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, Busy, Conflict, NotFound, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import outside_badges, stack_pages, student_pages
from lti_tool.services.launches import LOOK, MANAGE, OWN
from lti_tool.web.course import Page, acting, lead_to, moment

own = Blueprint("own_outside", __name__, url_prefix="/me/<launch>/badges/<slug>/outside")
pages = Blueprint("outside", __name__, url_prefix="/course/<launch>/badges/<slug>/outside")


def _sent() -> tuple[bytes | str, str]:
    """Return what a form sends, a file or an address, and what it is called."""
    file, address = request.files.get("file"), request.form.get("address", "").strip()
    if file is not None and file.filename:
        return file.stream.read(outside_badges.LARGEST + 1), file.filename
    return address, address


@own.post("/")
@guarded(OWN)
def hand_in(slug: str) -> str | BaseResponse | tuple[str, int]:
    """Take a learner's badge for a part; where it is not taken, the page comes back and says why."""
    part = request.form.get("part", "")
    try:
        sent, source = _sent()
        outside_badges.hand_in_own(tool(), g.session, slug, part, sent, source, datetime.now(UTC))
    except (BadInput, Busy, Conflict) as error:
        page = student_pages.badge(tool(), g.session, slug)
        typed = {"part": part, "address": request.form.get("address", "")}
        text = render_template("student/badge.html", page=page, beside={}, handing=typed, hand_problem=error)
        return text, error.status
    return redirect(url_for("student.badge", launch=g.launch, slug=slug, _anchor="outside"), 303)


def _course() -> int:
    if g.session.course_id is None:
        raise NotFound("not launched from a course")
    return int(g.session.course_id)


@pages.get("/")
@guarded(LOOK)
def show(slug: str) -> Page:
    return _render(slug)


@pages.post("/")
@guarded(MANAGE)
def hand_in_for(slug: str) -> Page:
    form = request.form
    try:
        sent, source = _sent()
        outside_badges.hand_in_for(
            tool(),
            _course(),
            slug,
            form.get("person", ""),
            form.get("part", ""),
            sent,
            source,
            actor=acting(),
            now=moment(),
        )
    except (BadInput, Busy, Conflict) as error:
        return _render(slug, problem=error, at="hand-in"), error.status
    return lead_to("outside.show", slug=slug, done="handed")


@pages.post("/<outside_id>")
@guarded(MANAGE)
def decide(slug: str, outside_id: str) -> Page:
    form = request.form
    reason = form.get("reason", "")
    try:
        if "accept" in form:
            sure = "sure" in form
            outside_badges.accept(tool(), _course(), slug, outside_id, reason, sure=sure, actor=acting(), now=moment())
        else:
            outside_badges.refuse(tool(), _course(), slug, outside_id, reason, actor=acting(), now=moment())
    except (BadInput, Busy, Conflict) as error:
        return _render(slug, problem=error, at=outside_id), error.status
    return lead_to("outside.show", slug=slug, done="accepted" if "accept" in form else "refused")


def _render(slug: str, *, problem: ToolError | None = None, at: str = "") -> str:
    page = stack_pages.outside_page(tool(), g.session, slug)
    return render_template(
        "instructor/outside.html", page=page, problem=problem, at=at, typed=request.form if problem else {}
    )
