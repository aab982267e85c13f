"""What anybody may open: credentials, what they stand for, who issues them, and the check."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import NotAcceptable, NotFound
from lti_tool.security import public, tool
from lti_tool.services import checking, counting, forms, published, served, status_lists
from lti_tool.services import public_pages as shown
from lti_tool.services import refresh as refreshing
from lti_tool.services.issuer import accent_css, issuer_row
from lti_tool.services.issuer import did_document as issuers_did
from lti_tool.web.content import PAGE, answer, answer_json, answer_page, chosen
from lti_tool.web.kept import KeptPages, kept
from lti_tool.web.viewed import picture_viewed, taken, viewed

pages = Blueprint("public", __name__)

CHECKS_PER_MINUTE = 60  # from one address: a check costs far more than a page


# What costs something to answer and is asked for by strangers. Status lists, keys and the DID document are not among
# it: whoever checks many credentials asks for them each time.
HERS = ("/credentials/", "/shared/", "/evidence/")
COUNTED = (*HERS, "/achievements/", "/issuers/", "/endorsements/", "/endorse/", "/ob2/")


@pages.record_once
def _limit(state: Any) -> None:
    settings = state.app.extensions["lti_tool"].settings
    state.app.extensions["verify_limit"] = security.RateLimit(CHECKS_PER_MINUTE)
    state.app.extensions["page_limit"] = security.RateLimit(settings.server.pages_per_minute)
    state.app.extensions["kept_pages"] = KeptPages()


@pages.before_app_request
def _count_page() -> None:
    """Count what a stranger opens, before anything is looked up: found or not costs the same share."""
    if request.path.startswith(COUNTED):
        current_app.extensions["page_limit"].count(request.remote_addr or "")


pages.after_request(security.alone)


def _now() -> datetime:
    return datetime.now(UTC)


def _launch() -> str:
    """Return the launch that a link inside the course carries where the browser sends no cookie."""
    return request.args.get("launch", "")[:200]


def _asked_for(offers: Sequence[tuple[str, str]]) -> str | None:
    """Return which form a client asks for: empty for the page, None where it takes nothing that there is."""
    return chosen(request.accept_mimetypes, [(PAGE, ""), *offers])


def _not_acceptable() -> NotAcceptable:
    return NotAcceptable(f"Accept: {request.headers.get('Accept', '')[:80]}")


# -- credentials ------------------------------------------------------------------------------------------------


OF_A_CREDENTIAL = tuple((kind, form.name) for form in forms.FORMS.values() for kind in form.kinds)


@pages.get("/credentials/<id>")
@public
def credential(id: str) -> Response | str:
    """Show a credential, or answer the form of it that a client asks for."""
    form = _asked_for(OF_A_CREDENTIAL)
    if form == "json" and (stored := _stored_document(id)) is not None:
        return stored
    if form == "" and (found := served.open_page(tool(), id, _now())) is not None:
        viewed(id)
        return _credential_page(kept(f"credential {id}", lambda: _made_page(id)), searchable=found.searchable)
    edition = forms.find_edition(
        tool(), id, security.browser_secret(), _now(), form or "json", _launch(), as_page=not form
    )
    if form is None:  # only now: what is not there, or private, is 404 whatever is asked for
        raise _not_acceptable()
    if form:
        return _credential(edition, form)
    page = shown.credential_page(tool(), edition, _now())
    return _credential_page(render_template("public/credential.html", page=page))


def _made_page(id: str) -> str:
    edition = forms.find_edition(tool(), id, None, _now(), as_page=True)
    return render_template("public/credential.html", page=shown.credential_page(tool(), edition, _now()))


def _credential_page(page: str | bytes, *, searchable: bool = False) -> Response:
    response = answer_page(page)
    if not searchable:
        response.headers["X-Robots-Tag"] = "noindex"
    return response


def _stored_document(id: str) -> Response | None:
    """Answer a public credential's signed JSON with one statement; None for what only some may see, or nobody."""
    document = served.public_document(tool(), id)
    if document is None:
        return None
    taken(id, "json")
    name = f"{document.slug}.json"
    response = answer(document.content, forms.FORMS["json"].content_type, seconds=60, name=name)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/credentials/<id>.<form>")
@public
def credential_form(id: str, form: str) -> Response:
    id, _, form = f"{id}.{form}".partition(".")  # the form may have a dot of its own, the credential's number has none
    if form not in forms.FORMS:
        raise NotFound(f"no form {form}")
    if form == "json" and (stored := _stored_document(id)) is not None:
        return stored
    return _credential(forms.find_edition(tool(), id, security.browser_secret(), _now(), form, _launch()), form)


@pages.get("/credentials/<id>/refresh")
@public
def refresh(id: str) -> Response:
    """Answer the newest edition of a credential to a wallet: as JSON, or in a form it asks for."""
    form = chosen(request.accept_mimetypes, [each for each in OF_A_CREDENTIAL if each[1] in ("json", "jwt")])
    edition = refreshing.refreshed(tool(), id, security.browser_secret(), _now(), form or "json", _launch())
    if form is None:
        raise _not_acceptable()
    response = _credential(edition, form)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _credential(edition: Any, form: str) -> Response:
    taken(edition.id, form)
    everyone = forms.for_everybody(tool(), edition)
    if form in ("png", "svg") and everyone:
        picture_viewed(edition.id)
    response = answer(
        forms.form_of(tool(), edition, form),
        forms.FORMS[form].content_type,
        seconds=60,
        name=forms.file_name(edition, form),
        everyone=everyone,
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.get("/status/<int:n>")
@public
def status_list(n: int) -> Response:
    """Answer a signed status list; 304 to whoever has it already."""
    return answer(status_lists.signed(tool(), n, _now()).content, "application/vc+ld+json", seconds=60)


# -- what they stand for, and who issues them -------------------------------------------------------------------


OF_JSON = tuple((kind, "json") for kind in forms.FORMS["json"].kinds)
OF_AN_ACHIEVEMENT = (*OF_JSON, ("image/png", "png"), ("image/svg+xml", "svg"))


@pages.get("/achievements/<slug>/v<int:version>")
@public
def achievement(slug: str, version: int) -> Response:
    form = _asked_for(OF_AN_ACHIEVEMENT)
    found = published.find_version(tool(), slug, version, form or "")
    if form is None:
        raise _not_acceptable()
    if form:
        return _achievement(found, form)
    viewed(f"{slug}/{version}", counting.BADGE_PAGE)
    return answer_page(render_template("public/achievement.html", page=shown.achievement_page(tool(), found)))


@pages.get("/achievements/<slug>/v<int:version>.<form>")
@public
def achievement_form(slug: str, version: int, form: str) -> Response:
    if form not in ("json", "ctdl.json", "png", "svg"):
        raise NotFound(f"no form {form}")
    return _achievement(published.find_version(tool(), slug, version, form), form)


def _achievement(found: Any, form: str) -> Response:
    if form == "json":
        return answer_json(shown.achievement_json(tool(), found))
    if form == "ctdl.json":
        return answer_json(shown.achievement_ctdl(tool(), found))
    name = f"{found.achievement.slug}.{form}"
    if form == "png":
        return answer(found.picture_png, "image/png", seconds=86400, name=name)
    return answer(shown.drawing(tool(), found).encode(), "image/svg+xml", seconds=86400, name=name)


@pages.get("/issuers/<slug>")
@public
def issuer(slug: str) -> Response:
    page, form = shown.issuer_page(tool(), slug), _asked_for(OF_JSON)
    if form is None:
        raise _not_acceptable()
    if form:
        return answer_json(shown.issuer_json(tool()))
    return answer_page(render_template("public/issuer.html", page=page))


@pages.get("/issuers/<slug>.json")
@public
def issuer_form(slug: str) -> Response:
    published.find_issuer(tool(), slug)
    return answer_json(shown.issuer_json(tool()))


@pages.get("/issuers/<slug>/logo.png")
@public
def issuer_logo(slug: str) -> Response:
    return answer(shown.issuer_logo(tool(), slug), "image/png", seconds=300)


@pages.get("/.well-known/did.json")
@public
def did_document() -> Response:
    response = answer_json(issuers_did(tool()), "application/did+ld+json")
    # From the moment of a rotation status lists are signed with a key that an older copy does not list.
    response.headers["Cache-Control"] = "no-cache"
    return response


@pages.get("/keys/<kid>")
@public
def key(kid: str) -> Response:
    """Answer one public credential key as a bare JWK, retired ones too: a VC-JWT names it by this address."""
    found = tool().keyring.credential_key(kid)
    if found is None:
        raise NotFound(f"no key {kid[:60]}")
    return answer_json(found.public_jwk(), "application/jwk+json", seconds=86400)


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
            "public/verify.html",
            problem=_("Choose a file, or paste an address or the text."),
            text="",
            whose=request.form.get("whose", "")[:320],
        )
        return page, 400
    whose = request.form.get("whose", "").strip()[:320]
    report = checking.check(tool(), data, _now(), whose=whose)
    kept = text if len(text) < 10_000 else ""
    address = text if isinstance(data, str) and text.startswith(("https://", "http://")) else ""
    shown_report = checking.report_page(report, source, _now(), address)
    return render_template("public/verify.html", report=shown_report, text=kept, whose=whose)


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
    return answer(css.encode(), "text/css", seconds=300)


@pages.get("/pictures/icon.svg", endpoint="static_icon")
@public
def static_icon() -> BaseResponse:
    return redirect(url_for("lti.icon", form="svg"))
