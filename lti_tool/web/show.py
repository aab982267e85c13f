"""The learner's page for showing a badge that she has claimed, and the links she makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import NotFound, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import audit, share_links, show_page
from lti_tool.services.launches import OWN
from lti_tool.web.course import Page

pages = Blueprint("show", __name__, url_prefix="/me/<launch>/badges/<slug>/show")


def _actor() -> str:
    return audit.person(g.session.person_id)


@pages.get("")
@guarded(OWN)
def show(slug: str) -> str:
    made = request.args.get("made", "")[:40]
    page = show_page.page(tool(), g.session, slug, datetime.now(UTC))
    notice = _("The badge is yours now. Here are the ways to show it.") if "claimed" in request.args else ""
    return render_template("student/show.html", page=page, made=made, notice=notice)


@pages.post("/page")
@guarded(OWN)
def turn(slug: str) -> BaseResponse:
    """Turn the public page on or off."""
    on = request.form.get("public") == "yes"
    show_page.turn_page(tool(), g.session, slug, public=on, actor=_actor(), now=datetime.now(UTC))
    return redirect(url_for("show.show", launch=g.launch, slug=slug), 303)


@pages.get("/linkedin")
@guarded(OWN)
def linkedin(slug: str) -> BaseResponse:
    """Lead to LinkedIn with its form filled in."""
    return security.see(show_page.linkedin_address(tool(), g.session, slug, datetime.now(UTC)), 303)


@pages.get("/qr.svg")
@guarded(OWN)
def qr(slug: str) -> Response:
    """Give the QR code of the public page as a file."""
    return qr_of(show_page.page(tool(), g.session, slug, datetime.now(UTC)), slug)


def qr_of(page: show_page.ShowPage, name: str) -> Response:
    if not page.url:
        raise NotFound("no public page to make a code of")
    show_page.shared(tool(), page.award_id, "qr", datetime.now(UTC))
    response = Response(show_page.qr_file(page.url), content_type="image/svg+xml")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-qr.svg"'
    return response


@pages.post("/links")
@guarded(OWN)
def make_link(slug: str) -> Page:
    now = datetime.now(UTC)
    award_id = show_page.own_award_id(tool(), g.session, slug, now)
    try:
        link_id = made_link(award_id, _actor())
    except ToolError as error:
        page = show_page.page(tool(), g.session, slug, now)
        return render_template("student/show.html", page=page, problem=error, typed=typed()), error.status
    return redirect(url_for("show.show", launch=g.launch, slug=slug, made=link_id, _anchor="links"), 303)


def typed() -> dict[str, Any]:
    """Return what the form of a new link holds."""
    form = request.form
    return {"shows": form.getlist("shows"), "days": form.get("days", ""), "label": form.get("label", "")}


def made_link(award_id: str, actor: str) -> str:
    """Make the link that the form asks for."""
    asked, now = typed(), datetime.now(UTC)
    days = int(asked["days"]) if asked["days"].isdecimal() and len(asked["days"]) < 5 else 0
    return share_links.make(tool(), award_id, asked["shows"], days, label=asked["label"], actor=actor, now=now)


@pages.post("/links/<link_id>/end")
@guarded(OWN)
def end_link(slug: str, link_id: str) -> BaseResponse:
    now = datetime.now(UTC)
    award_id = show_page.own_award_id(tool(), g.session, slug, now)
    share_links.end(tool(), award_id, link_id, actor=_actor(), now=now)
    return redirect(url_for("show.show", launch=g.launch, slug=slug, _anchor="links"), 303)
