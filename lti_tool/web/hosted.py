"""The Open Badges 2.0 view: assertions, badges and the issuer at addresses of their own."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, request

from lti_tool import security
from lti_tool.errors import Gone, NotFound
from lti_tool.security import public, tool
from lti_tool.services import forms, hosted, published
from lti_tool.web.content import answer, answer_json

pages = Blueprint("hosted", __name__, url_prefix="/ob2")


@pages.get("/assertions/<id>")
@public
def assertion(id: str) -> Response:
    """Answer an assertion; 410 with the reason once it was taken back or replaced."""
    return _assertion(id, "json")


@pages.get("/assertions/<id>.<form>")
@public
def assertion_form(id: str, form: str) -> Response:
    """Answer the picture with the assertion inside (`png`), or the assertion by name (`json`)."""
    if form not in ("json", "png"):
        raise NotFound(f"no form {form}")
    return _assertion(id, form)


def _assertion(id: str, form: str) -> Response:
    launch = request.args.get("launch", "")[:200]
    try:
        edition = forms.find_edition(
            tool(), id, security.browser_secret(), datetime.now(UTC), form, launch, as_page=True
        )
    except Gone:
        return answer_json(hosted.of_erased(tool(), id).document, seconds=60, status=410)
    found, everyone = hosted.assertion(tool(), edition), edition.award.page_public
    if form == "png" and not found.gone:
        name = forms.file_name(edition, "ob2.png")
        response = answer(hosted.baked(edition, found), "image/png", seconds=60, name=name, everyone=everyone)
    else:
        status = 410 if found.gone else 200
        response = answer_json(found.document, seconds=60, status=status, everyone=everyone)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/badges/<slug>/v<int:version>")
@public
def badge(slug: str, version: int) -> Response:
    return answer_json(hosted.badge_class(tool(), published.find_version(tool(), slug, version)))


@pages.get("/issuers/<slug>")
@public
def issuer(slug: str) -> Response:
    return answer_json(hosted.issuer(tool(), slug))
