"""Open Badges 2.0: an assertion that its issuer's server vouches for (hosted), or one that is signed as a JWS.

https://www.imsglobal.org/sites/default/files/Badges/OBv2p0Final/index.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lti_tool.credentials.checking.dates import CLOCK_LEEWAY
from lti_tool.credentials.checking.found import OB2_CONTEXT, Found
from lti_tool.credentials.checking.proof import token_fits
from lti_tool.credentials.checking.report import FAILED, NOT_READ, PASSED, QUESTIONS, UNKNOWN, Check, Summary, ask
from lti_tool.credentials.checking.structure import check_part
from lti_tool.credentials.issuer_keys import LEAST_RSA_BITS, Own, PublicKey
from lti_tool.credentials.ob2 import assertion_address
from lti_tool.credentials.untrusted import (
    Fetch,
    Json,
    NotPublic,
    Refused,
    Unknown,
    answered,
    as_list,
    as_object,
    day_of,
    got,
    host_of,
    json_at,
    moment,
    objects,
    parsed,
    strings,
    text_of,
)
from lti_tool.sentence import Sentence

MOST_REVOKED = 200_000  # values of a list of revoked ids, which names each

HOSTED = frozenset({"HostedBadge", "hosted"})  # `hosted` and `signed`: as the validator of 1EdTech reads them too
SIGNED = frozenset({"SignedBadge", "signed"})
HASH = re.compile(r"(sha256\$[0-9a-fA-F]{64}|md5\$[0-9a-fA-F]{32})")
# What an assertion on the issuer's server must say as the one in hand does. The rest is read from the server's.
SAME = ("badge", "recipient", "issuedOn", "expires")


@dataclass
class Assertion:
    """An assertion with its badge and issuer, as far as they were found. `revoked`: what its server says of that."""

    said: Json
    badge: Json
    issuer: Json
    revoked: str | None = None


def checks(found: Found, now: datetime, fetch: Fetch, own: Own | None, made: Assertion) -> Iterator[Check]:
    """Ask the questions of Open Badges 2.0 in their order; `made` is filled with what is found on the way."""
    signed = _verification(found.document) in SIGNED
    names = ["complete", *(["unchanged", "key"] if signed else ["hosted"]), "issuer", "dates", "withdrawn"]
    whole = ask("complete", lambda: _complete(found, fetch, made))
    yield whole
    if whole.outcome != PASSED:
        for name in names[1:]:
            yield Check(name, UNKNOWN, QUESTIONS[name], NOT_READ)
        return
    if signed:
        keys: list[PublicKey] = []
        key = ask("key", lambda: _key(found, made, fetch, keys))
        fits = ask("unchanged", lambda: _unchanged(found, keys))
        yield from (fits, key)
        proven = key.outcome == fits.outcome == PASSED
        failed = FAILED in (key.outcome, fits.outcome)
    else:
        place = ask("hosted", lambda: _hosted(found, made, fetch, own))
        yield place
        proven, failed = place.outcome == PASSED, place.outcome == FAILED
    yield ask("issuer", lambda: _issuer(made, own, proven=proven, failed=failed))
    yield ask("dates", lambda: _dates(made.said, now))
    yield ask("withdrawn", lambda: _withdrawn(made, fetch, signed=signed, proven=proven))


def _verification(document: Json) -> str:
    return text_of(as_object(document.get("verification") or document.get("verify")).get("type"))


# -- complete ---------------------------------------------------------------------------------------------------


def _complete(found: Found, fetch: Fetch, made: Assertion) -> str:
    said = found.document
    check_part(Sentence("assertion"), said, ("id", "issuedOn"))
    if "Assertion" not in strings(said.get("type")):
        raise Refused(Sentence("No. It does not say that it is an Open Badges 2.0 assertion."))
    if _verification(said) not in HOSTED | SIGNED:
        raise Refused(Sentence("No. It does not say how it can be checked."))
    if (found.header is None) != (_verification(said) in HOSTED):
        raise Refused(Sentence("No. It is not in the form in which it says that it can be checked."))
    for name in ("issuedOn", "expires"):
        if name in said and moment(said[name]) is None:
            raise Refused(Sentence("No. “%(name)s” is not a time with a zone.", name=name))
    _check_recipient(said.get("recipient"))
    made.badge = _linked(said.get("badge"), Sentence("badge"), fetch)
    check_part(Sentence("badge"), made.badge, ("name", "description"))
    if not made.badge.get("criteria"):
        raise Refused(Sentence("No. It does not say what the badge takes."))
    made.issuer = _linked(made.badge.get("issuer"), Sentence("issuer"), fetch)
    check_part(Sentence("issuer"), made.issuer, ("id", "name"))
    return Sentence("Yes. The assertion, its badge and its issuer are all there.")


def _check_recipient(recipient: object) -> None:
    if not isinstance(recipient, dict) or not text_of(recipient.get("type")) or not text_of(recipient.get("identity")):
        raise Refused(Sentence("No. It does not say, in any form, who earned it."))
    if not isinstance(recipient.get("hashed"), bool):
        raise Refused(Sentence("No. It does not say whether the recipient's name is hidden."))
    if recipient["hashed"] and not HASH.fullmatch(text_of(recipient["identity"])):
        raise Refused(Sentence("No. Who earned it is hidden in a form that nobody can compare."))


def _linked(value: object, where: str, fetch: Fetch) -> Json:
    """Return a part that stands in the assertion, or at the address given there."""
    if isinstance(value, str):
        if not value.startswith(("https://", "http://")):
            raise Refused(Sentence("No. Its %(where)s is missing or not readable.", where=where))
        part = json_at(value, fetch)
        if part.get("id") != value:
            raise Refused(Sentence("No. At the address of its %(where)s stands something else.", where=where))
        return part
    if not isinstance(value, dict):
        raise Refused(Sentence("No. Its %(where)s is missing or not readable.", where=where))
    return value


# -- hosted -----------------------------------------------------------------------------------------------------


def _hosted(found: Found, made: Assertion, fetch: Fetch, own: Own | None) -> str:
    """See that the issuer's own server says the same (section “Verification”): its copy is what counts."""
    address = text_of(found.document["id"])
    if not address.startswith(("https://", "http://")):
        raise Refused(Sentence("No. It has no address at which its issuer could say so."))
    host = host_of(address)
    # The profile as it stands within somebody's badge proves nothing: whoever writes it can write any address.
    issuer = _issuers_own(made, fetch)
    _check_scope(address, issuer)
    try:
        status, body = answered(address, fetch)
    except NotPublic:
        if own is None or not address.startswith(assertion_address(own.base_url, "")):
            raise
        # Ours or made up: whoever asks must not learn which of the two.
        raise Unknown(Sentence("Its page is not public now. Ask its holder.")) from None
    if status == 410:
        made.revoked = _reason(body)
        return Sentence("Yes. %(host)s keeps it, as withdrawn.", host=host)
    if status != 200:
        raise Unknown(
            Sentence(
                "%(host)s answered with an error (%(status)s). Try again later before you decide.",
                host=host,
                status=status,
            )
        )
    try:
        kept = parsed(body.decode())
    except (Refused, UnicodeDecodeError):
        raise Refused(Sentence("No. At its address stands something else.")) from None
    if kept.get("revoked") is True:
        made.revoked = text_of(kept.get("revocationReason"))
        return Sentence("Yes. %(host)s keeps it, as withdrawn.", host=host)
    if kept.get("id") != address or OB2_CONTEXT not in strings(kept.get("@context")):
        raise Refused(Sentence("No. At its address stands something else."))
    for name in SAME:
        if kept.get(name) != found.document.get(name):
            raise Refused(Sentence("No. %(host)s says something else of it (“%(name)s”).", host=host, name=name))
    made.said = kept
    return Sentence("Yes. %(host)s was asked just now and says the same.", host=host)


def _issuers_own(made: Assertion, fetch: Fetch) -> Json:
    """Return the issuer's profile from its own address."""
    address = text_of(made.issuer.get("id"))
    if not address.startswith(("https://", "http://")):
        raise Refused(Sentence("No. The issuer has no address of its own."))
    issuer = json_at(address, fetch)
    if issuer.get("id") != address:
        raise Refused(Sentence("No. At the address of its %(where)s stands something else.", where=Sentence("issuer")))
    made.issuer = issuer
    return issuer


def _check_scope(address: str, issuer: Json) -> None:
    """See that an assertion's address is one that its issuer answers for: what it names, or else its own host."""
    told = as_object(issuer.get("verification"))
    starts = strings(told.get("startsWith"))
    origins = strings(told.get("allowedOrigins"))
    if starts and not any(_begins_with(address, start) for start in starts):
        raise Refused(Sentence("No. Its address is not among those that its issuer answers for."))
    if not starts and not origins:
        origins = [host_of(text_of(issuer["id"]))]
    # An origin is a host; some write the whole address.
    allowed = {host_of(origin) if "//" in origin else origin for origin in origins}
    if origins and host_of(address) not in allowed:
        raise Refused(Sentence("No. Its address is not among those that its issuer answers for."))


def _begins_with(address: str, start: str) -> bool:
    """Compare with a prefix of the same host: https://a.example must not let https://a.example.evil in."""
    try:
        ours, theirs = urlsplit(address), urlsplit(start)
    except ValueError:
        return False
    same = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
    return same and address.startswith(start) and "/../" not in ours.path


# -- signed -----------------------------------------------------------------------------------------------------


def _key(found: Found, made: Assertion, fetch: Fetch, keys: list[PublicKey]) -> str:
    """Find the key in the profile at the issuer's own address, which must list it."""
    issuer = _issuers_own(made, fetch)
    creator = as_object(found.document.get("verification") or found.document.get("verify")).get("creator")
    listed = [
        key if isinstance(key, str) else text_of(as_object(key).get("id")) for key in as_list(issuer.get("publicKey"))
    ]
    name = creator if isinstance(creator, str) else listed[0] if len(listed) == 1 else ""
    if not name or name not in listed:
        raise Refused(Sentence("No. The issuer does not list this key."))
    embedded = [key for key in objects(issuer.get("publicKey")) if key.get("id") == name]
    key = embedded[0] if embedded else json_at(name, fetch)
    if key.get("id") != name or key.get("owner") != issuer["id"]:
        raise Refused(Sentence("No. The key is somebody else's."))
    keys.append(_public_key(text_of(key.get("publicKeyPem"))))
    return Sentence("Yes. %(where)s", where=Sentence("%(host)s lists it.", host=host_of(text_of(issuer["id"]))))


def _public_key(pem: str) -> PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Unknown(Sentence("The issuer's key cannot be read.")) from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise Refused(Sentence("No. The key is too weak to prove anything."))
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise Unknown(Sentence("The issuer's key is of a kind that is not known here."))


def _unchanged(found: Found, keys: list[PublicKey]) -> str:
    if not keys:
        raise Unknown(Sentence("Without a key of the issuer this cannot be told."))
    if not token_fits(found, keys[0]):
        raise Refused(Sentence("Yes. The signature does not fit what it says now."))
    return Sentence("No. The signature fits every word.")


# -- issuer, dates, withdrawn -----------------------------------------------------------------------------------


def _issuer(made: Assertion, own: Own | None, *, proven: bool, failed: bool) -> str:
    name = text_of(made.issuer.get("name"))
    called = f"“{name}”" if name else Sentence("The issuer")
    if failed:
        raise Refused(Sentence("%(called)s cannot be shown to have issued it.", called=called))
    if not proven:
        raise Unknown(Sentence("Without its answer this cannot be told."))
    host = host_of(text_of(made.issuer.get("id")))
    if own is not None and host == host_of(own.base_url):
        return Sentence("Yes. It was issued here.")
    return Sentence(
        "%(called)s is what the people behind %(host)s call themselves. Make sure that you know this address.",
        called=called,
        host=host,
    )


def _dates(said: Json, now: datetime) -> str:
    begins, ends = moment(said.get("issuedOn")), moment(said.get("expires"))
    if begins and begins > now + CLOCK_LEEWAY:
        raise Refused(Sentence("It begins only on %(begins)s.", begins=day_of(begins)))
    if ends and ends <= now:
        raise Refused(
            Sentence("It ended on %(ends)s. The holder can ask the issuer for a renewed one.", ends=day_of(ends))
        )
    if ends:
        return Sentence("Yes, until %(ends)s.", ends=day_of(ends))
    return Sentence("Yes. It has no end.")


def _withdrawn(made: Assertion, fetch: Fetch, *, signed: bool, proven: bool) -> str:
    if not proven:
        raise Unknown(Sentence("Not asked: it is not shown to be the issuer's, so neither is the list it names."))
    if not signed:
        if made.revoked is None:
            return Sentence("No. The issuer's server still keeps it.")
        _refuse(made.revoked)
    url = made.issuer.get("revocationList")
    if url is None:
        return Sentence("No. The issuer has not kept a way to withdraw it.")
    if not isinstance(url, str):
        raise Refused(Sentence("Where to look for it cannot be read."))
    host = host_of(url)
    try:
        listed = parsed(got(url, fetch).decode(), MOST_REVOKED)
    except (Refused, UnicodeDecodeError):
        raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host)) from None
    if listed.get("issuer", made.issuer["id"]) != made.issuer["id"]:
        raise Unknown(Sentence("The list at %(host)s is not the issuer's.", host=host))
    if not isinstance(listed.get("revokedAssertions"), list):
        raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host))
    names = {text_of(made.said.get("id")), text_of(made.said.get("uid"))} - {""}
    for entry in listed["revokedAssertions"]:
        entry = {"id": entry} if isinstance(entry, str) else as_object(entry)
        if {text_of(entry.get("id")), text_of(entry.get("uid"))} & names:
            _refuse(text_of(entry.get("revocationReason")))
    return Sentence("No. The issuer's list was read just now.")


def _refuse(reason: str) -> None:
    if reason.strip():
        raise Refused(Sentence("Yes, the issuer has withdrawn it: %(reason)s", reason=reason[:300].strip()))
    raise Refused(Sentence("Yes, the issuer has withdrawn it."))


def _reason(body: bytes) -> str:
    try:
        return text_of(parsed(body.decode()).get("revocationReason"))
    except (Refused, UnicodeDecodeError):
        return ""


def summary(made: Assertion) -> Summary:
    return Summary(
        id=text_of(made.said.get("id")),
        name=text_of(made.badge.get("name")),
        description=text_of(made.badge.get("description")),
        issuer_name=text_of(made.issuer.get("name")),
        issuer_id=text_of(made.issuer.get("id")),
        valid_from=moment(made.said.get("issuedOn")),
        valid_until=moment(made.said.get("expires")),
        levels=(),
    )
