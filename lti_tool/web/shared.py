"""What a learner's link opens for whoever she gave it to, and the pictures that other sites show beside a link."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from flask import Blueprint, Response, g, render_template, request
from sqlalchemy.exc import OperationalError

from lti_tool import security
from lti_tool.errors import NotFound
from lti_tool.security import public, tool
from lti_tool.services import counting, evidence_files, forms, link_previews, published, share_links
from lti_tool.services import public_pages as shown
from lti_tool.services.credential_state import state_of
from lti_tool.web.content import answer
from lti_tool.web.evidence import download
from lti_tool.web.viewed import viewed

log = logging.getLogger("lti_tool")

pages = Blueprint("shared", __name__)

A_WHILE = 300  # seconds that a picture may be kept by whoever fetched it


@pages.get("/shared/<token>")
@public
def shared(token: str) -> Response:
    """Show what a link shows. Nobody keeps it: the link may be ended the next moment."""
    now = datetime.now(UTC)
    found = share_links.find(tool(), token, now)
    page = shown.credential_page(tool(), found.edition, now, shown.shared_as(tool(), token, found))
    if viewed(found.edition.id, counting.SHARED_PAGE):
        _count(found.link_id, now)
    response = Response(render_template("public/credential.html", page=page))
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _count(link_id: str, now: datetime) -> None:
    """Count that somebody opened a link. The page is shown either way."""
    try:
        share_links.opened(tool(), link_id, now)
    except OperationalError as error:
        log.warning("a link's opening was not counted: %s", type(error.orig).__name__)


@pages.get("/shared/<token>/preview.png")
@public
def shared_preview(token: str) -> Response:
    now = datetime.now(UTC)
    found = share_links.find(tool(), token, now)
    made = link_previews.of_credential(tool(), found.edition, state_of(found.edition, now), named="name" in found.shows)
    return _picture(made, everyone=False)


@pages.get("/shared/<token>/evidence/<int:number>")
@public
def shared_file(token: str, number: int) -> Response:
    """Answer the file of a piece of evidence that a link shows, for as long as the link works."""
    found = share_links.find(tool(), token, datetime.now(UTC))
    pieces = found.edition.choices.get("evidence", ()) if "evidence" in found.shows else ()
    if number >= len(pieces):
        raise NotFound("no such piece of evidence, or the link leaves it out")
    g.no_store = True
    given = evidence_files.of_shared(tool(), found.edition.award_id, pieces[number]["id"])
    response = download(given)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/credentials/<id>/preview.png")
@public
def credential_preview(id: str) -> Response:
    now = datetime.now(UTC)
    launch = request.args.get("launch", "")[:200]
    edition = forms.find_edition(tool(), id, security.browser_secret(), now, launch=launch, as_page=True)
    made = link_previews.of_credential(tool(), edition, state_of(edition, now))
    return _picture(made, everyone=edition.award.page_public)


@pages.get("/achievements/<slug>/v<int:version>/preview.png")
@public
def achievement_preview(slug: str, version: int) -> Response:
    return _picture(link_previews.of_achievement(tool(), published.find_version(tool(), slug, version)))


def _picture(png: bytes, *, everyone: bool = True) -> Response:
    response = answer(png, "image/png", seconds=A_WHILE, everyone=everyone)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


pages.after_request(security.alone)
