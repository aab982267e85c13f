"""Finds a credential in what was given: JSON, a compact JWT, a baked PNG or SVG, or an address to get one from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lti_tool.credentials.baking import KEYWORD_OB2, unbake_png, unbake_svg
from lti_tool.credentials.untrusted import LARGEST, Fetch, Json, Refused, Unknown, base64url_bytes, got, parsed
from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

COMPACT_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Found:
    """A credential and what is needed to check its signature. For JSON the proofs are within the document."""

    form: str
    document: Json
    token: str = ""
    header: Json | None = None


def find(data: bytes | str, fetch: Fetch, *, follow: bool = True) -> Found:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return _in_picture("PNG", raw)
    if len(raw) > LARGEST:
        raise Refused(Sentence("No. It is larger than 5 MB."))
    if raw.startswith(b"%PDF"):
        raise Refused(Sentence("No. A PDF shows a credential but does not hold one. Use the address printed on it."))
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Refused(Sentence("No. It is not a PNG, SVG, JSON or JWT file.")) from None
    if re.match(r"https?://\S+$", text):
        if not follow:
            raise Refused(Sentence("No. The address only leads to another address."))
        return find(got(text, fetch), fetch, follow=False)
    if re.match(r"<(\?xml|!--|svg\b|!DOCTYPE svg)", text):
        return _in_picture("SVG", raw)
    if text.startswith("<"):
        raise Refused(Sentence("No. This is a web page. Look on it for a file to download, and check that."))
    return in_text(text, "")


def _in_picture(form: str, raw: bytes) -> Found:
    try:
        text = unbake_png(raw) if form == "PNG" else unbake_svg(raw)
        if text is None and form == "PNG" and unbake_png(raw, KEYWORD_OB2) is not None:
            raise Unknown(
                Sentence("The picture holds a badge of the older Open Badges 2.0, which is not checked here.")
            )
    except BadInput as error:
        raise Refused(Sentence("No. %(sentence)s", sentence=error.sentence)) from error
    if text is None:
        raise Refused(Sentence("No. The picture holds no credential. A screenshot or a copy from a web page loses it."))
    return in_text(text.strip(), form)


def in_text(text: str, form: str) -> Found:
    if COMPACT_JWT.fullmatch(text):
        header, document = _decoded_token(text)
        return Found(f"{form}, signed token" if form else "JWT", document, text, header)
    if not text.startswith("{"):
        raise Refused(Sentence("No. It is not a PNG, SVG, JSON or JWT file."))
    document = parsed(text)
    if "type" not in document and "@context" not in document:
        raise Refused(Sentence("No. It is JSON, but not a credential."))
    return Found(form or "JSON", document)


def _decoded_token(token: str) -> tuple[Json, Json]:
    """Split a token without believing it."""
    head, body, _ = token.split(".")
    try:
        return parsed(base64url_bytes(head).decode()), parsed(base64url_bytes(body).decode())
    except (ValueError, UnicodeDecodeError):
        raise Refused(Sentence("No. It looks like a signed token, but it cannot be read.")) from None
