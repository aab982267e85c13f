"""The learner's pages: her own badges and nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import NotFound, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import audit, bindings, choices, everywhere, marking_pages, records, why_not
from lti_tool.services import student_pages as shown
from lti_tool.services import sync as grades
from lti_tool.services.launches import LEARN, OWN
from lti_tool.services.pages.student import StudentCard
from lti_tool.web.course import Page
from lti_tool.web.instructor import badge_picture, not_named

pages = Blueprint("student", __name__, url_prefix="/me/<launch>")


@pages.get("/")
@guarded(LEARN)
def home() -> str:
    now = datetime.now(UTC)
    page = shown.home(tool(), g.session)
    way_in = bindings.way_in(tool(), g.session.person_id, now)
    html = render_template("student/home.html", page=page, way_in=way_in, **not_named())
    _asked([] if page.preview else [card for card in page.earned if card.asked][:1], now)  # one at a time
    return html


@pages.get("/all", endpoint="everywhere")
@guarded(OWN)
def all_badges() -> str:
    """Show her badges of all courses of this platform: what a launch without a course opens."""
    now = datetime.now(UTC)
    page = everywhere.page(tool(), g.session, now)
    way_in = bindings.way_in(tool(), g.session.person_id, now)
    return render_template("student/everywhere.html", page=page, way_in=way_in)


@pages.get("/badges/<slug>")
@guarded(OWN)
def badge(slug: str) -> str:
    page = shown.badge(tool(), g.session, slug)
    # Nothing is put beside the parts of a stack, nor beside the rows of another course's badge.
    none = page.tree or page.course
    beside = {} if none else marking_pages.own_rows(tool(), g.session, page.slug, datetime.now(UTC))
    html = render_template("student/badge.html", page=page, beside=beside, noted="noted" in request.args)
    _asked([page.card], datetime.now(UTC))
    return html


def _asked(cards: Sequence[StudentCard], now: datetime) -> None:
    """Note that a page which is going out asks why a badge is not claimed: it is asked once."""
    for card in cards:
        if card.asked:
            why_not.note_asked(tool(), card.award_id, now)


@pages.post("/badges/<slug>/not-now")
@guarded(OWN)
def put_off(slug: str) -> BaseResponse:
    """Respect that she does not want to claim it now."""
    award_id = shown.unclaimed(tool(), g.session, slug)
    why_not.put_off(tool(), award_id, actor=audit.person(g.session.person_id), now=datetime.now(UTC))
    return redirect(url_for("student.badge", launch=g.launch, slug=slug, _anchor="why-not"), 303)


@pages.post("/badges/<slug>/why-not")
@guarded(OWN)
def answer(slug: str) -> BaseResponse:
    """Take an answer to why it is not claimed, or that she skips it."""
    form = request.form
    reason, words = ("", "") if "skip" in form else (form.get("reason", ""), form.get("words", ""))
    award_id = shown.unclaimed(tool(), g.session, slug)
    actor = audit.person(g.session.person_id)
    why_not.answer(tool(), award_id, reason, words, actor=actor, now=datetime.now(UTC))
    return redirect(url_for("student.badge", launch=g.launch, slug=slug, noted=1), 303)


@pages.route("/badges/<slug>/claim", methods=["GET", "POST"])
@guarded(OWN)
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
        if page.claimed:
            return redirect(url_for("student.claim", launch=g.launch, slug=slug), 303)
        return redirect(url_for("show.show", launch=g.launch, slug=slug, claimed="yes"), 303)
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
@guarded(OWN)
def picture(slug: str) -> Response:
    return badge_picture(*shown.badge_is_open(tool(), g.session, slug))


@pages.get("/clr.json")
@guarded(OWN)
def record() -> Response:
    """Give all her badges as one signed file."""
    now = datetime.now(UTC)
    response = Response(records.record_of(tool(), g.session, now), content_type="application/vc+ld+json")
    response.headers["Content-Disposition"] = 'attachment; filename="badges.clr.json"'
    return response


@pages.post("/sync")
@guarded(OWN)
def sync() -> BaseResponse:
    """Look again: at the grades of her course, or with `all` at those of all her courses."""
    now = datetime.now(UTC)
    if "all" in request.form:
        everywhere.read_if_old(tool(), g.session.person_id, now)
        return redirect(url_for("student.everywhere", launch=g.launch), 303)
    slug = request.form.get("slug", "")
    course_id = shown.badge_is_open(tool(), g.session, slug)[0] if slug else g.session.course_id
    if course_id is None or not (slug or g.session.rights):
        raise NotFound("not launched from a course")
    grades.sync_course_if_old(tool(), course_id, now)
    if slug:
        return redirect(url_for("student.badge", launch=g.launch, slug=slug), 303)
    return redirect(url_for("student.home", launch=g.launch), 303)


@pages.get("/reading.json")
@guarded(OWN)
def reading() -> Response:
    """Tell whether what her page shows is being read now, and nothing of how that goes: pages wait for its end."""
    running = everywhere.is_read(tool(), g.session, datetime.now(UTC), of=request.args.get("of", "")[:40])
    return jsonify(state="running" if running else "done")
