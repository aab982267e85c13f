"""Content that is no page: which kind a client asks for, and the headers it is answered with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from flask import Response, request
from werkzeug.datastructures import MIMEAccept

Offer = TypeVar("Offer")

PAGE = "text/html"
JSON_LD = "application/ld+json"
NOTHING_ELSE = "default-src 'none'"
# A drawing that is opened by itself is a page: it may show the pixels within it, and do nothing.
DRAWING = "default-src 'none'; img-src data:; sandbox"


def chosen(accept: MIMEAccept, offers: Sequence[tuple[str, Offer]]) -> Offer | None:
    """Return the offer that a client likes best, the first of several equals; None where it takes none of them.

    Whoever says nothing gets the first. Of a client's ranges the most specific counts, its parameters aside: who asks
    for JSON-LD of some profile takes JSON-LD. https://httpwg.org/specs/rfc9110.html#field.accept"""
    if not accept:
        return offers[0][1]
    best, liked = None, 0.0
    for kind, offer in offers:
        if (quality := _quality(accept, kind)) > liked:
            best, liked = offer, quality
    return best


def _quality(accept: MIMEAccept, kind: str) -> float:
    told: dict[str, float] = {}
    for text, quality in accept:
        told.setdefault(text.partition(";")[0].strip().lower(), quality)
    return next((told[each] for each in (kind, f"{kind.partition('/')[0]}/*", "*/*") if each in told), 0.0)


def answer_page(html: str | bytes) -> Response:
    """Answer the page of an address that has other forms too, so that no cache gives one client another's form."""
    response = Response(html)
    response.headers["Vary"] = "Accept"
    response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    return response


def answer(
    content: bytes, kind: str, seconds: int = 300, *, status: int = 200, name: str = "", everyone: bool = True
) -> Response:
    """Answer content that anybody may keep for some seconds, or, where not `everyone` may see it, nobody.

    A client that has it already, by its digest, gets 304. `name` is what it is called where it is saved."""
    response = Response(content, status=status, content_type=kind)
    response.headers["Cache-Control"] = f"public, max-age={seconds}" if everyone else "private, no-store"
    response.headers["Access-Control-Allow-Origin"] = "*"  # wallets and validators in a browser read these
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Content-Security-Policy"] = DRAWING if kind == "image/svg+xml" else NOTHING_ELSE
    response.headers["Vary"] = "Accept"
    if name:
        # A link inside an LMS's frame asks by its address for a file to be saved: for one with `download`, Chromium
        # sends no partitioned cookie (seen), and a learner's own file would not be there.
        how = "attachment" if request.args.get("save") else "inline"
        response.headers["Content-Disposition"] = f'{how}; filename="{name}"'
    if status == 200:
        response.set_etag(hashlib.sha256(content).hexdigest())
        response.make_conditional(request)
    return response


def answer_json(value: Any, kind: str = JSON_LD, seconds: int = 300, **options: Any) -> Response:
    return answer(json.dumps(value, ensure_ascii=False).encode(), kind, seconds, **options)
