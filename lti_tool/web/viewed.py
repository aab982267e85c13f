"""Views of public pages: what of a request tells whether it is one. Counted in memory, see services.page_views."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import request

from lti_tool.security import browser_secret, cookie_name, from_own_page, tool
from lti_tool.services import counting, forms, page_views

OURS = ("browser", "admin")  # cookies that only those have who work with the tool
TO_A_FILE = ("document", "iframe", "empty")


def viewed(subject: str, where: str = counting.PAGE) -> bool:
    """Count the view of a page that is being answered, and tell whether it is one.

    `subject` is a credential by its id, or a badge as slug/version.

    Tells whether it is a view, and not the same visit still.

    Not what its learner sees: where one of our pages led here, and in a browser that has a session with us. Her browser
    may have none to show (in an LMS's frame it is kept for that frame), so her own look by a copied address counts."""
    looked = request.method == "GET" and not _from_inside() and page_views.is_a_look(dict(request.headers))
    return looked and tool().views.seen(subject, where, *_visitor())


def picture_viewed(credential_id: str) -> None:
    """Count a baked picture that another site's page shows: it is no view of hers, and told apart."""
    if request.method == "GET" and not from_own_page() and page_views.is_a_look(dict(request.headers), "image"):
        tool().views.seen(credential_id, counting.PICTURE, *_visitor())


def taken(credential_id: str, form: str) -> None:
    """Count a file that the learner herself takes: she passes it on, or keeps it."""
    if not (request.method == "GET" and _is_signed_in() and page_views.is_a_look(dict(request.headers), *TO_A_FILE)):
        return
    launch = request.args.get("launch", "")[:200]
    if forms.is_hers(tool(), credential_id, browser_secret(), datetime.now(UTC), launch):
        tool().views.taken(credential_id, counting.DOWNLOAD + form, *_visitor())


def _from_inside() -> bool:
    return from_own_page() or _is_signed_in()


def _is_signed_in() -> bool:
    return bool(request.args.get("launch")) or any(cookie_name(name) in request.cookies for name in OURS)


def _visitor() -> tuple[str, str, datetime]:
    return request.remote_addr or "", request.headers.get("User-Agent", ""), datetime.now(UTC)
