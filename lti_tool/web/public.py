"""What anybody may open: credentials, what they stand for, who issues them, and the check."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import NotFound
from lti_tool.security import public, tool
from lti_tool.services import checking, forms, status_lists
from lti_tool.services import public_pages as shown
from lti_tool.services.issuer import accent_css, issuer_row
from lti_tool.services.issuer import did_document as issuers_did

pages = Blueprint("public", __name__)

JSON_LD = "application/ld+json"
IMAGE_POLICY = "default-src 'none'"
CHECKS_PER_MINUTE = 60  # from one address: a check costs far more than a page


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["verify_limit"] = security.RateLimit(CHECKS_PER_MINUTE)


def _now() -> datetime:
    return datetime.now(UTC)


def _launch() -> str:
    """Return the launch that a link inside the course carries where the browser sends no cookie."""
    return request.args.get("launch", "")[:200]


def _wants_json() -> bool:
    """Tell whether a client asks for the machine form; a browser, and whoever names nothing, gets the page."""
    kinds = ["text/html", JSON_LD, "application/json", "application/vc+ld+json", "application/vc"]
    best = request.accept_mimetypes.best_match(kinds, default="text/html")
    return best != "text/html"


def _json(value: Any, kind: str = JSON_LD, seconds: int = 300) -> Response:
    return _content(json.dumps(value, ensure_ascii=False).encode(), kind, seconds)


def _content(content: bytes, kind: str, seconds: int = 300) -> Response:
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    response.headers["Access-Control-Allow-Origin"] = "*"  # wallets and validators in a browser read these
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    response.headers["Vary"] = "Accept"
    return response


# -- credentials ------------------------------------------------------------------------------------------------


@pages.get("/credentials/<id>")
@public
def credential(id: str) -> Response | str:
    """Show a credential, or answer its signed JSON to a client that asks for it."""
    edition = forms.find_edition(tool(), id, security.browser_secret(), _now(), launch=_launch())
    if _wants_json():
        return _private_or_public(edition.award.page_public, forms.form_of(edition, "json"), "json")
    response = Response(render_template("public/credential.html", page=shown.credential_page(tool(), edition, _now())))
    response.headers["Vary"] = "Accept"
    response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/credentials/<id>.<form>")
@public
def credential_form(id: str, form: str) -> Response:
    if form not in forms.FORMS:
        raise NotFound(f"no form {form}")
    edition = forms.find_edition(tool(), id, security.browser_secret(), _now(), form, _launch())
    return _private_or_public(edition.award.page_public, forms.form_of(edition, form), form)


def _private_or_public(is_public: bool, content: bytes, form: str) -> Response:
    response = _content(content, forms.CONTENT_TYPES[form], seconds=60)
    if not is_public:
        response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/status/<int:n>")
@public
def status_list(n: int) -> Response:
    return _content(status_lists.status_list_json(tool(), n, _now()), "application/vc+ld+json", seconds=60)


# -- what they stand for, and who issues them -------------------------------------------------------------------


@pages.get("/achievements/<slug>/v<int:version>")
@public
def achievement(slug: str, version: int) -> Response | str:
    found = shown.find_version(tool(), slug, version)
    if _wants_json():
        return _json(shown.achievement_json(tool(), found))
    return render_template("public/achievement.html", page=shown.achievement_page(tool(), found))


@pages.get("/achievements/<slug>/v<int:version>.<form>")
@public
def achievement_form(slug: str, version: int, form: str) -> Response:
    found = shown.find_version(tool(), slug, version, form)
    if form == "json":
        return _json(shown.achievement_json(tool(), found))
    if form == "ctdl.json":
        return _json(shown.achievement_ctdl(tool(), found))
    if form == "png":
        return _content(found.picture_png, "image/png", seconds=86400)
    if form == "svg" and found.picture_svg is not None:
        return _content(found.picture_svg.encode(), "image/svg+xml", seconds=86400)
    raise NotFound(f"no form {form}")


@pages.get("/issuers/<slug>")
@public
def issuer(slug: str) -> Response | str:
    page = shown.issuer_page(tool(), slug)
    return _json(shown.issuer_json(tool())) if _wants_json() else render_template("public/issuer.html", page=page)


@pages.get("/issuers/<slug>.json")
@public
def issuer_form(slug: str) -> Response:
    shown.find_issuer(tool(), slug)
    return _json(shown.issuer_json(tool()))


@pages.get("/issuers/<slug>/logo.png")
@public
def issuer_logo(slug: str) -> Response:
    return _content(shown.issuer_logo(tool(), slug), "image/png", seconds=300)


@pages.get("/.well-known/did.json")
@public
def did_document() -> Response:
    return _json(issuers_did(tool()), "application/did+ld+json")


@pages.get("/keys/<kid>")
@public
def key(kid: str) -> Response:
    """Answer one public credential key as a bare JWK, retired ones too: a VC-JWT names it by this address."""
    found = tool().keyring.credential_key(kid)
    if found is None:
        raise NotFound(f"no key {kid[:60]}")
    return _json(found.public_jwk(), "application/jwk+json", seconds=86400)


# -- checking ---------------------------------------------------------------------------------------------------


@pages.route("/verify", methods=["GET", "POST"])
@public
def verify() -> str | tuple[str, int]:
    """Check a pasted address, pasted text or a file; nothing of it is kept."""
    if request.method == "GET":
        return render_template("public/verify.html")
    current_app.extensions["verify_limit"].count(request.remote_addr or "")
    sent, text = request.files.get("file"), request.form.get("text", "").strip()
    if sent is not None and sent.filename:
        data: bytes | str = sent.stream.read(checking.LARGEST_FETCH + 1)
        source = sent.filename[:80]
    elif text:
        data, source = text, _("address") if text.startswith(("https://", "http://")) else _("pasted text")
    else:
        page = render_template(
            "public/verify.html", problem=_("Choose a file, or paste an address or the text."), text=""
        )
        return page, 400
    report = checking.check(tool(), data, _now())
    kept = text if len(text) < 10_000 else ""
    return render_template("public/verify.html", report=checking.report_page(report, source, _now()), text=kept)


# -- the rest ---------------------------------------------------------------------------------------------------


@pages.get("/")
@public
def index() -> BaseResponse:
    return redirect(url_for("public.verify"))


@pages.get("/theme.css")
@public
def theme() -> Response:
    with tool().db.read() as session:
        css = accent_css(issuer_row(session).accent)
    return _content(css.encode(), "text/css", seconds=300)


@pages.get("/pictures/icon.svg", endpoint="static_icon")
@public
def static_icon() -> BaseResponse:
    return redirect(url_for("lti.icon", form="svg"))
