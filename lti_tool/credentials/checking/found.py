"""Finds a credential in what was given: JSON, a compact JWT, a baked PNG or SVG, a PDF, or an address."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from lti_tool.credentials.baking import ELEMENT, ELEMENT_OB2, KEYWORD, KEYWORD_OB2, unbake_pdf, unbake_png, unbake_svg
from lti_tool.credentials.untrusted import (
    LARGEST,
    MOST_OF_A_SET,
    MOST_VALUES,
    Fetch,
    Json,
    Refused,
    Unknown,
    answered,
    as_object,
    base64url_bytes,
    count,
    got,
    host_of,
    parsed,
    strings,
)
from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

COMPACT_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
ADDRESS = re.compile(r"https?://\S+$")
KEYWORD_CLR = "clrcredential"

# Members of a token's payload that are the token's and not the credential's (RFC 7519, section 4.1).
CLAIMS = frozenset({"iss", "jti", "sub", "nbf", "exp", "iat", "aud"})

BADGE, RECORD, ENDORSEMENT, OB2 = "badge", "record", "endorsement", "ob2"
KINDS = {
    BADGE: Sentence("an Open Badges 3.0 credential"),
    RECORD: Sentence("a Comprehensive Learner Record (CLR 2.0)"),
    ENDORSEMENT: Sentence("an endorsement (Open Badges 3.0)"),
    OB2: Sentence("an Open Badges 2.0 assertion"),
}
OB2_CONTEXT = "https://w3id.org/openbadges/v2"


@dataclass(frozen=True, slots=True)
class Found:
    """A credential and what is needed to check its signature. For JSON the proofs are within the document.

    `kind` is one of KINDS. Of a token, `claims` are what it says beside the credential, `header` is None for JSON."""

    form: str
    document: Json
    token: str = ""
    header: Json | None = None
    claims: Json = field(default_factory=dict)
    kind: str = BADGE


def find(data: bytes | str, fetch: Fetch, *, follow: bool = True) -> Found:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return _in_picture("PNG", raw, fetch, follow=follow)
    if len(raw) > LARGEST:
        raise Refused(Sentence("No. It is larger than 5 MB."))
    if raw.startswith(b"%PDF"):
        return _in_pdf(raw)
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Refused(Sentence("No. It is not a PNG, SVG, PDF, JSON or JWT file.")) from None
    if ADDRESS.match(text):
        if not follow:
            raise Refused(Sentence("No. The address only leads to another address."))
        return find(_at(text, fetch), fetch, follow=False)
    if re.match(r"<(\?xml|!--|svg\b|!DOCTYPE svg)", text):
        return _in_picture("SVG", raw, fetch, follow=follow)
    if text.startswith("<"):
        raise Refused(Sentence("No. This is a web page. Look on it for a file to download, and check that."))
    return in_text(text, "")


def _at(url: str, fetch: Fetch) -> bytes:
    if answered(url, fetch)[0] == 410:
        raise Refused(Sentence("No. %(host)s says that what was there has been withdrawn.", host=host_of(url)))
    return got(url, fetch)


def _in_picture(form: str, raw: bytes, fetch: Fetch, *, follow: bool) -> Found:
    try:
        if form == "PNG":
            texts = [
                text for name in (KEYWORD, KEYWORD_CLR, KEYWORD_OB2) if (text := unbake_png(raw, name)) is not None
            ]
        else:
            texts = [text for name in (ELEMENT, ELEMENT_OB2) if (text := unbake_svg(raw, name)) is not None]
    except BadInput as error:
        raise Refused(Sentence("No. %(sentence)s", sentence=error.sentence)) from error
    if not texts:
        raise Refused(Sentence("No. The picture holds no credential. A screenshot or a copy from a web page loses it."))
    text = texts[0].strip()
    if follow and ADDRESS.match(text):  # how Open Badges 2.0 bakes a hosted assertion
        return replace(find(_at(text, fetch), fetch, follow=False), form=form)
    return in_text(text, form)


def _in_pdf(raw: bytes) -> Found:
    """Find the credential attached to a PDF. What the sheet shows is not compared with it: the report tells its own."""
    try:
        text = unbake_pdf(raw)
    except BadInput as error:
        raise Refused(Sentence("No. %(sentence)s", sentence=error.sentence)) from error
    if text is None:
        raise Refused(Sentence("No. This PDF shows a credential but does not hold one. Use the address printed on it."))
    return in_text(text.strip(), "PDF")


def in_text(text: str, form: str) -> Found:
    """Read JSON or a compact JWT. `form` is the picture it was in, empty for none."""
    if COMPACT_JWT.fullmatch(text):
        return _in_token(text, f"{form}, signed token" if form else "JWT")
    if not text.startswith("{"):
        raise Refused(Sentence("No. It is not a PNG, SVG, PDF, JSON or JWT file."))
    document = parsed(text, MOST_OF_A_SET)
    if "type" not in document and "@context" not in document:
        raise Refused(Sentence("No. It is JSON, but not a credential."))
    return Found(form or "JSON", document, kind=_kind(document))


def in_value(value: object) -> Found:
    """Read a credential that stands in another one: an object, or a compact JWT."""
    if isinstance(value, str) and COMPACT_JWT.fullmatch(value):
        return _in_token(value, "JWT")
    if not isinstance(value, dict):
        raise Refused(Sentence("No. It is JSON, but not a credential."))
    return Found("JSON", value, kind=_kind(value))


def _in_token(token: str, form: str) -> Found:
    """Split a token without believing it."""
    head, body, _ = token.split(".")
    try:
        header = parsed(base64url_bytes(head).decode())
        payload = parsed(base64url_bytes(body).decode(), MOST_OF_A_SET)
    except (ValueError, UnicodeDecodeError):
        raise Refused(Sentence("No. It looks like a signed token, but it cannot be read.")) from None
    claims = {name: payload.pop(name) for name in CLAIMS & payload.keys()}
    document = payload
    if "@context" not in payload and isinstance(payload.get("vc"), dict):
        document = _of_claims(payload["vc"], claims)
    return Found(form, document, token, header, claims, _kind(document))


def _of_claims(credential: Json, claims: Json) -> Json:
    """Return a credential of VCDM 1.1 with what only its token says (https://www.w3.org/TR/vc-data-model-1.1/#jwt-decoding).

    What both say stays the credential's own, and is compared later."""
    subject = as_object(credential.get("credentialSubject"))
    told: Json = {}
    for member, claim in (("id", "jti"), ("issuer", "iss")):
        if member not in credential and claim in claims:
            told[member] = claims[claim]
    if subject and "id" not in subject and "sub" in claims:
        told["credentialSubject"] = {**subject, "id": claims["sub"]}
    return {**credential, **told}


def _kind(document: Json) -> str:
    if count(document) > MOST_VALUES and "ClrCredential" not in strings(document.get("type")):
        raise Refused(Sentence("No. It has more parts than any credential."))
    types, named = set(strings(document.get("type"))), strings(document.get("@context"))
    if "VerifiableCredential" not in types and ("Assertion" in types or "badge" in document):
        if OB2_CONTEXT in named:
            return OB2
        raise Unknown(Sentence("It is a badge of the first Open Badges (before 2.0), which is not checked here."))
    if "ClrCredential" in types:
        return RECORD
    return ENDORSEMENT if "EndorsementCredential" in types else BADGE
