"""A learner's own evidence, beside the rows of her badge's page."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, NotFound
from lti_tool.security import guarded, tool
from lti_tool.services import audit, evidence, marking_pages, student_pages
from lti_tool.services.launches import LEARN

pages = Blueprint("evidence", __name__, url_prefix="/me/<launch>/badges/<slug>/evidence")


def _course_id() -> int:
    if g.session.course_id is None:
        raise NotFound("not launched from a course")
    return int(g.session.course_id)


@pages.post("/")
@guarded(LEARN)
def add(slug: str) -> str | BaseResponse | tuple[str, int]:
    """Take words or an address; where they cannot be used, the page comes back with them and says why."""
    now = datetime.now(UTC)
    tag, content = request.form.get("tag", ""), request.form.get("content", "")
    try:
        evidence.add_own(tool(), _course_id(), slug, g.session.person_id, tag, content, now)
    except BadInput as error:
        page = student_pages.badge(tool(), g.session, slug)
        beside = marking_pages.own_rows(tool(), g.session, slug, now)
        text = render_template("student/badge.html", page=page, beside=beside, typed={tag: (content, error)})
        return text, error.status
    return _back(slug)


@pages.post("/<evidence_id>/withdraw")
@guarded(LEARN)
def withdraw(slug: str, evidence_id: str) -> BaseResponse:
    person_id = g.session.person_id
    actor = audit.person(person_id)
    evidence.withdraw(tool(), _course_id(), slug, person_id, evidence_id, actor=actor, now=datetime.now(UTC))
    return _back(slug)


def _back(slug: str) -> BaseResponse:
    return redirect(url_for("student.badge", launch=g.launch, slug=slug, _anchor=request.form.get("at") or None), 303)
