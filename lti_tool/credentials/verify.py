"""Checks a credential of any issuer and says in people's words what held, what did not and what could not be checked.

Written apart from the signing code on purpose: it takes a credential as any stranger gets it, so that it finds our own
mistakes too. Nothing is believed because of where it came from, nothing counts as good because it could not be looked
at, and the only way out is the `fetch` a caller passes in.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from lti_tool.credentials import contexts, status_list
from lti_tool.credentials.baking import KEYWORD_OB2, unbake_pdf, unbake_png, unbake_svg
from lti_tool.credentials.issuer_keys import Method, Own, PublicKey, did_web_address, issuers_key
from lti_tool.credentials.untrusted import (
    LARGEST,
    Fetch,
    Fetched,
    Json,
    Refused,
    Unknown,
    as_list,
    as_object,
    base58_bytes,
    base64url_bytes,
    day_of,
    got,
    host_of,
    moment,
    objects,
    parsed,
    strings,
    text_of,
)
from lti_tool.errors import BadInput, Busy, ToolError
from lti_tool.sentence import Sentence

PASSED, FAILED, UNKNOWN = "passed", "failed", "could not check"

MOST_LOOKALIKES = 10
# One pasted text must not make this server ask hundreds of addresses. Two of each: a credential may carry revocation
# beside suspension, and an old proof beside a new one. Six: itself, two keys, two lists, the lists' key.
MOST_STATUSES = MOST_PROOFS = 2
MOST_FETCHES = 6
MOST_KEPT = 256 * 1024  # bytes of an answer kept for when the same address is named again

ALGORITHMS = ("RS256", "EdDSA")
CRYPTOSUITE = "eddsa-rdfc-2022"
CLOCK_LEEWAY = timedelta(seconds=60)

VC_CONTEXT = "https://www.w3.org/ns/credentials/v2"
VC_CONTEXT_1 = "https://www.w3.org/2018/credentials/v1"
OB_CONTEXT = re.compile(r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(-\d+\.\d+\.\d+)?\.json")
CREDENTIAL_TYPES = {"OpenBadgeCredential", "AchievementCredential"}

# Members of a token's payload that are the token's and not the credential's (RFC 7519, section 4.1).
CLAIMS = frozenset({"iss", "jti", "sub", "nbf", "exp", "iat", "aud"})

# VCDM 2.0 lets a name or description be an object of these:
# https://www.w3.org/TR/vc-data-model-2.0/#language-and-base-direction
TEXT_KEYWORDS = frozenset({"@value", "@language", "@direction"})

COMPACT_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
BLANK_NODE = re.compile(r"(?:^|(?<= ))_:\S+")


QUESTIONS = {
    "found": Sentence("Is there a credential in it?"),
    "complete": Sentence("Is it complete and well formed?"),
    "links": Sentence("Do its parts fit together?"),
    "unchanged": Sentence("Was it changed after signing?"),
    "key": Sentence("Does the key belong to the issuer?"),
    "issuer": Sentence("Is the issuer who it says it is?"),
    "dates": Sentence("Is it in force by date?"),
    "withdrawn": Sentence("Has the issuer withdrawn it?"),
}

# Questions whose answers stay the same for the same document and the same keys.
LASTING = frozenset({"complete", "links", "unchanged", "key"})

GENUINE = Sentence("Genuine and in force")
NOT_TO_RELY_ON = Sentence("Do not rely on this one")
NOT_OURS = Sentence("Not issued by us")
NOTHING_FOUND = Sentence("There is no credential to check")
NOT_READ = Sentence("Not looked at, because it could not be read as a whole.")


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its answer. `outcome` is passed, failed or could not check; both texts are for people."""

    name: str
    outcome: str
    question: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LevelReached:
    """A sub-competency as the credential shows it; empty where it says nothing."""

    name: str
    reached: str
    required: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a credential says of itself. It is only worth what the checks say."""

    id: str
    name: str
    description: str
    issuer_name: str
    issuer_id: str
    valid_from: datetime | None
    valid_until: datetime | None
    levels: tuple[LevelReached, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in the order they are asked. `ok` only where every one passed.

    `form` is where it was found (JSON, JWT, PNG, SVG, PDF); `document` is the credential itself, or None."""

    checks: tuple[Check, ...]
    verdict: str
    explanation: str
    ok: bool
    form: str
    summary: Summary | None
    document: Json | None

    def outcome(self, name: str) -> str:
        return next(check.outcome for check in self.checks if check.name == name)


@dataclass(frozen=True, slots=True)
class _Found:
    """A credential and what is needed to check its signature. For JSON the proofs are within the document."""

    form: str
    document: Json
    token: str = ""
    header: Json | None = None


def verify(
    data: bytes | str,
    *,
    now: datetime,
    fetch: Fetch,
    own: Own | None = None,
    known: Mapping[str, Check] = MappingProxyType({}),
) -> Report:
    """Check one credential: JSON, a compact JWT, a baked PNG or SVG, a PDF that it is attached to, or an address.

    `fetch` must refuse private hosts; a ToolError it raises becomes “could not check”, but Busy ends the check.
    `known` may hold the LASTING answers of an earlier report on the same bytes and keys; they are not asked again.
    Raises nothing itself."""
    kept: dict[str, Fetched | ToolError] = {}
    fetches = 0

    def fetch_once(url: str) -> Fetched:
        nonlocal fetches
        if url in kept:
            answer = kept[url]
        elif fetches == MOST_FETCHES:
            raise Unknown(Sentence("It leads to more addresses than are asked for one check."))
        else:
            fetches += 1
            answer = _asked(url, fetch)
            if isinstance(answer, ToolError) or len(answer.body) <= MOST_KEPT:
                kept[url] = answer
        if isinstance(answer, ToolError):
            raise answer
        return answer

    try:
        found = _find(data, fetch_once)
    except Refused as refused:
        return _nothing_found(FAILED, refused.sentence)
    except Unknown as unknown:
        return _nothing_found(UNKNOWN, unknown.sentence)
    return _report(found, _all_checks(found, now, fetch_once, own, known), own)


def _asked(url: str, fetch: Fetch) -> Fetched | ToolError:
    try:
        return fetch(url)
    except Busy:
        raise
    except ToolError as error:
        return error
    except (ValueError, OverflowError) as error:  # an address so odd that even taking it apart fails
        return ToolError(type(error).__name__)


def _all_checks(
    found: _Found, now: datetime, fetch: Fetch, own: Own | None, known: Mapping[str, Check]
) -> Iterator[Check]:
    document = found.document
    yield _check("found", lambda: Sentence("Yes, an Open Badges 3.0 credential (%(form)s).", form=found.form))
    lasting = known if known.keys() >= LASTING else _lasting(found, now, fetch, own)
    yield from (lasting[name] for name in QUESTIONS if name in lasting)
    if lasting["complete"].outcome != PASSED:
        # Asking further would be asking about something that need not be there.
        for name in list(QUESTIONS)[2:]:
            yield Check(name, UNKNOWN, QUESTIONS[name], NOT_READ)
        return
    signed = all(lasting[name].outcome == PASSED for name in ("unchanged", "key"))
    yield _check(
        "issuer", lambda: _issuer(document["issuer"], lasting["unchanged"].outcome, lasting["key"].outcome, own)
    )
    yield _check("dates", lambda: _dates(found, now))
    yield _check("withdrawn", lambda: _withdrawn(document, signed, now, fetch, own))


def _lasting(found: _Found, now: datetime, fetch: Fetch, own: Own | None) -> dict[str, Check]:
    """Ask the LASTING questions; only the first of them where its answer is no."""
    complete = _check("complete", lambda: _complete(found))
    if complete.outcome != PASSED:
        return {"complete": complete}
    methods: list[Method] = []
    key = _check("key", lambda: _key_of_issuer(found, fetch, own, now, methods))
    return {
        "complete": complete,
        "links": _check("links", lambda: _links(found.document)),
        "key": key,
        "unchanged": _check("unchanged", lambda: _unchanged(found, methods, own)),
    }


def _check(name: str, ask: Callable[[], str]) -> Check:
    """Ask one question. The sentence for a pass is returned, the others are raised."""
    try:
        return Check(name, PASSED, QUESTIONS[name], ask())
    except Refused as refused:
        return Check(name, FAILED, QUESTIONS[name], refused.sentence)
    except Unknown as unknown:
        return Check(name, UNKNOWN, QUESTIONS[name], unknown.sentence)


# -- finding it -------------------------------------------------------------------------------------------------


def _find(data: bytes | str, fetch: Fetch, *, follow: bool = True) -> _Found:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return _in_picture("PNG", raw)
    if len(raw) > LARGEST:
        raise Refused(Sentence("No. It is larger than 5 MB."))
    if raw.startswith(b"%PDF"):
        return _in_pdf(raw)
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Refused(Sentence("No. It is not a PNG, SVG, JSON or JWT file.")) from None
    if re.match(r"https?://\S+$", text):
        if not follow:
            raise Refused(Sentence("No. The address only leads to another address."))
        return _find(got(text, fetch), fetch, follow=False)
    if re.match(r"<(\?xml|!--|svg\b|!DOCTYPE svg)", text):
        return _in_picture("SVG", raw)
    if text.startswith("<"):
        raise Refused(Sentence("No. This is a web page. Look on it for a file to download, and check that."))
    return _in_text(text, "")


def _in_picture(form: str, raw: bytes) -> _Found:
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
    return _in_text(text.strip(), form)


def _in_pdf(raw: bytes) -> _Found:
    """Find the credential attached to a PDF. What the sheet shows is not compared with it: the report tells its own."""
    try:
        text = unbake_pdf(raw)
    except BadInput as error:
        raise Refused(Sentence("No. %(sentence)s", sentence=error.sentence)) from error
    if text is None:
        raise Refused(Sentence("No. This PDF shows a credential but does not hold one. Use the address printed on it."))
    return _in_text(text.strip(), "PDF")


def _in_text(text: str, form: str) -> _Found:
    if COMPACT_JWT.fullmatch(text):
        header, document = _decoded_token(text)
        return _Found(f"{form}, signed token" if form else "JWT", document, text, header)
    if not text.startswith("{"):
        raise Refused(Sentence("No. It is not a PNG, SVG, JSON or JWT file."))
    document = parsed(text)
    if "type" not in document and "@context" not in document:
        raise Refused(Sentence("No. It is JSON, but not a credential."))
    return _Found(form or "JSON", document)


def _decoded_token(token: str) -> tuple[Json, Json]:
    """Split a token without believing it."""
    head, body, _ = token.split(".")
    try:
        return parsed(base64url_bytes(head).decode()), parsed(base64url_bytes(body).decode())
    except (ValueError, UnicodeDecodeError):
        raise Refused(Sentence("No. It looks like a signed token, but it cannot be read.")) from None


# -- complete and well formed -----------------------------------------------------------------------------------


def _complete(found: _Found) -> str:
    document = found.document
    _check_contexts(document)
    types = strings(document.get("type"))
    if "VerifiableCredential" not in types or not CREDENTIAL_TYPES & set(types):
        raise Refused(Sentence("No. It does not say that it is an Open Badges 3.0 credential."))
    for where, value, required in _required_parts(document):
        if not isinstance(value, dict):
            raise Refused(Sentence("No. Its %(where)s is missing or not readable.", where=where))
        for name in required:
            if not isinstance(value.get(name), str) or not value[name].strip():
                raise Refused(Sentence("No. “%(name)s” of its %(where)s is missing.", name=name, where=where))
    subject = document["credentialSubject"]
    for where, value, wanted in (
        (Sentence("subject"), subject, "AchievementSubject"),
        (Sentence("achievement"), subject["achievement"], "Achievement"),
        (Sentence("issuer"), document["issuer"], "Profile"),
    ):
        if wanted not in strings(value.get("type")):
            raise Refused(Sentence("No. Its %(where)s does not say that it is one.", where=where))
    if not isinstance(subject.get("id"), str) and not subject.get("identifier"):
        raise Refused(Sentence("No. It does not say, in any form, who earned it."))
    criteria = subject["achievement"].get("criteria")
    if not isinstance(criteria, dict) or not (criteria.get("id") or criteria.get("narrative")):
        raise Refused(Sentence("No. It does not say what the badge takes."))
    for name in ("validFrom", "validUntil"):
        if name in document and moment(document[name]) is None:
            raise Refused(Sentence("No. “%(name)s” is not a time with a zone.", name=name))
    if len(as_list(document.get("credentialStatus"))) > MOST_STATUSES:
        raise Refused(Sentence("No. It names more status lists than any credential needs."))
    if document["id"] in _inner_ids(list(document.values())):
        # What is signed is a graph: members of one id may stand in any object of that id. Everything said of the
        # credential itself (its dates, its status) must be where a reader looks for it.
        raise Refused(Sentence("No. A part of it goes by the name of the whole."))
    _check_words(found)
    if found.header is not None:
        _check_registered_claims(document)
    return Sentence("All required parts are there, and every word in it is defined.")


def _inner_ids(value: Any) -> Iterator[Any]:
    """Yield the id of every object within a value."""
    if isinstance(value, dict):
        yield value.get("id")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _inner_ids(inner)


def _check_contexts(document: Json) -> None:
    named = document.get("@context")
    if not isinstance(named, list) or not all(isinstance(context, str) for context in named):
        raise Refused(
            Sentence("No. It does not name the words it is written in, in the form Open Badges 3.0 asks for.")
        )
    if named[:1] == [VC_CONTEXT_1]:
        raise Unknown(
            Sentence("It is written in the earlier form of Open Badges 3.0 (2023), which is not checked here.")
        )
    if named[:1] != [VC_CONTEXT] or len(named) < 2 or not OB_CONTEXT.fullmatch(named[1]):
        raise Refused(Sentence("No. It does not name the words of Open Badges 3.0 in their order."))


def _required_parts(document: Json) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    yield Sentence("envelope"), document, ("id", "validFrom")
    yield Sentence("issuer"), document.get("issuer"), ("id",)
    yield Sentence("subject"), document.get("credentialSubject"), ()
    yield Sentence("achievement"), document["credentialSubject"].get("achievement"), ("id", "name", "description")


def _check_words(found: _Found) -> None:
    """See that every term is defined: what is not would be shown to people but not signed."""
    apart = {"proof"} | (CLAIMS if found.header is not None else frozenset())
    _linked_data(contexts.expand, {name: value for name, value in found.document.items() if name not in apart})


def _linked_data(read: Callable[[Json], Any], document: Json) -> Any:
    """Read a document as JSON-LD, with the ways in which a stranger's can be wrong put in words."""
    _check_shape(document)
    try:
        return read(document)
    except contexts.ContextNotPinned as error:
        raise Unknown(
            Sentence("It uses words of a vocabulary that is not known here, so it cannot be read safely.")
        ) from error
    except ToolError as error:
        raise Refused(
            Sentence("It holds parts that no vocabulary defines; the signature does not cover those.")
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(Sentence("It is JSON, but not the linked data that Open Badges 3.0 is written in.")) from error


def _check_shape(value: Any, *, top: bool = True) -> None:
    """Refuse what a credential never needs and what makes canonicalisation costly: labelled blank nodes, JSON-LD
    keywords, contexts of its own further in. An endorsement is a whole credential inside, with known contexts."""
    if isinstance(value, list):
        for item in value:
            _check_shape(item, top=False)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.startswith("@") and name not in TEXT_KEYWORDS and not (top and name == "@context"):
                raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))
            if name == "endorsement" and top:
                inner = [_without_contexts(each) for each in as_list(inner)]
            _check_shape(inner, top=False)
    elif isinstance(value, str) and value.startswith("_:"):
        raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))


def _without_contexts(endorsement: Any) -> Any:
    """Return an endorsement without its contexts, where these are addresses of contexts that are known here."""
    if not isinstance(endorsement, dict):
        return endorsement
    known = all(isinstance(each, str) and each in contexts.PINNED for each in as_list(endorsement.get("@context")))
    return {name: inner for name, inner in endorsement.items() if name != "@context" or not known}


def _check_registered_claims(document: Json) -> None:
    """Compare a token's claims with the credential's own words (Open Badges 3.0, section 8.2.4.1:
    https://www.imsglobal.org/spec/ob/v3p0#jwt-proof)."""
    subject = document["credentialSubject"].get("id")
    pairs = [("iss", document["issuer"]["id"]), ("jti", document["id"]), ("sub", subject)]
    for claim, said in pairs:
        if claim in document and document[claim] != said:
            raise Refused(
                Sentence("No. The token and the credential in it say different things (“%(claim)s”).", claim=claim)
            )
    if document.get("iss") is None:
        raise Refused(Sentence("No. The token does not name its issuer."))
    for claim, name in (("nbf", "validFrom"), ("exp", "validUntil")):
        if claim not in document:
            continue
        said_at = moment(document.get(name))
        if (
            type(document[claim]) not in (int, float)
            or said_at is None
            or int(said_at.timestamp()) != int(document[claim])
        ):
            raise Refused(
                Sentence("No. The token and the credential in it say different times (“%(claim)s”).", claim=claim)
            )


# -- parts that point at each other -----------------------------------------------------------------------------


def _links(document: Json) -> str:
    subject = document["credentialSubject"]
    achievement = subject["achievement"]
    levels: dict[str, list[Any]] = {}
    for description in objects(achievement.get("resultDescription")):
        own_levels = [level.get("id") for level in objects(description.get("rubricCriterionLevel"))]
        levels[str(description.get("id"))] = own_levels
        required = description.get("requiredLevel")
        if required is not None and required not in own_levels:
            raise Refused(
                Sentence(
                    "No. The level that “%(name)s” requires is not described in it.",
                    name=text_of(description.get("name")),
                )
            )
    for result in objects(subject.get("result")):
        about = result.get("resultDescription")
        if about is not None and str(about) not in levels:
            raise Refused(Sentence("No. It has a result of something it does not describe."))
        reached = result.get("achievedLevel")
        if reached is not None and reached not in levels.get(str(about), []):
            raise Refused(Sentence("No. It has a result at a level it does not describe."))
    return Sentence("Yes. Every result points at a level that is described in it.")


# -- changed after signing --------------------------------------------------------------------------------------


def _unchanged(found: _Found, methods: list[Method], own: Own | None) -> str:
    if found.header is None:
        _check_proof_form(found.document)
    if not methods:
        raise Unknown(Sentence("Without a key of the issuer this cannot be told."))
    good = _token_fits(found, methods[0].key) if found.header is not None else _proofs_fit(found.document, methods)
    if not good:
        if _is_own(found.document, own):
            raise Refused(Sentence("Yes, or it was not issued by us: our key does not fit what it says."))
        raise Refused(Sentence("Yes. The signature does not fit what it says now."))
    return Sentence("No. The signature fits every word.")


def _check_proof_form(document: Json) -> None:
    proofs = objects(document.get("proof"))
    if not proofs:
        raise Refused(Sentence("It is not signed, so nobody can tell."))
    if len(as_list(document["proof"])) > MOST_PROOFS:
        raise Refused(Sentence("It carries more signatures than any credential needs."))
    for proof in proofs:
        if proof.get("type") != "DataIntegrityProof" or proof.get("cryptosuite") != CRYPTOSUITE:
            raise Unknown(Sentence("It is signed in a way that is not known here."))
        if not isinstance(proof.get("proofValue"), str) or not isinstance(proof.get("verificationMethod"), str):
            raise Refused(Sentence("Its signature is not complete."))
        if {"previousProof", "domain", "challenge"} & set(proof):
            raise Unknown(Sentence("Its signature depends on something that is not in it."))


def _proofs_fit(document: Json, methods: list[Method]) -> bool:
    """Verify every proof (https://www.w3.org/TR/vc-di-eddsa/#verify-proof-eddsa-rdfc-2022)."""
    unsecured = {name: value for name, value in document.items() if name != "proof"}
    hashed = hashlib.sha256(_canonical(unsecured)).digest()
    for proof, method in zip(objects(document["proof"]), methods, strict=True):
        options = {name: value for name, value in proof.items() if name != "proofValue"}
        if "@context" in options and options["@context"] != document["@context"]:
            return False
        options["@context"] = document["@context"]
        signed = hashlib.sha256(_canonical(options)).digest() + hashed
        value = proof["proofValue"]
        signature = base58_bytes(value[1:]) if value[:1] == "z" else None
        if signature is None or not isinstance(method.key, ed25519.Ed25519PublicKey):
            return False
        try:
            method.key.verify(signature, signed)
        except InvalidSignature:
            return False
    return True


def _canonical(document: Json) -> bytes:
    """Canonicalise a stranger's document (https://www.w3.org/TR/rdf-canon/), refusing what would take for ever."""
    nquads = _linked_data(contexts.nquads, document)
    if _lookalikes(nquads) > MOST_LOOKALIKES:
        raise Unknown(
            Sentence("It repeats the same parts so often that the signature cannot be checked in reasonable time.")
        )
    try:
        return contexts.canonical_of_nquads(nquads).encode()
    except (ValueError, SyntaxError) as error:
        raise Refused(Sentence("It is JSON, but not the linked data that Open Badges 3.0 is written in.")) from error


def _lookalikes(nquads: str) -> int:
    """Count the blank nodes whose own statements equal another's (their first-degree hash).

    Only these take the canonicalisation's costly path, which tries their orders. With `_check_shape` every blank node
    hangs on one parent, so ten of them stay cheap."""
    about: dict[str, list[str]] = {}
    for line in nquads.split("\n"):
        for label in set(BLANK_NODE.findall(line)):
            about.setdefault(label, []).append(
                BLANK_NODE.sub(lambda found, own=label: "_:a" if found[0] == own else "_:z", line)  # type: ignore[misc]
            )
    shapes = Counter("\n".join(sorted(lines)) for lines in about.values())
    return sum(count for count in shapes.values() if count > 1)


def _token_fits(found: _Found, key: PublicKey) -> bool:
    """Verify a compact JWS with the method its header names, which `_key_name` has found to be one of two."""
    algorithm = (found.header or {}).get("alg")
    signed, _, signature_text = found.token.rpartition(".")
    try:
        signature = base64url_bytes(signature_text)
        if algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed.encode())
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


# -- the issuer's key -------------------------------------------------------------------------------------------


def _key_of_issuer(found: _Found, fetch: Fetch, own: Own | None, now: datetime, methods: list[Method]) -> str:
    """Find the key that each signature names among the issuer's, and add it to `methods`."""
    issuer = found.document["issuer"]["id"]
    if found.header is not None:
        named = [(_key_name(found.header), moment(found.document.get("validFrom")))]
    else:
        _check_proof_form(found.document)
        proofs = objects(found.document["proof"])
        if any(proof.get("proofPurpose") != "assertionMethod" for proof in proofs):
            raise Refused(Sentence("No. The signature was made for another purpose than issuing."))
        named = [(proof["verificationMethod"], moment(proof.get("created"))) for proof in proofs]
    resolved = [issuers_key(name, issuer, fetch, own) for name, _ in named]
    for method, (_, signed_at) in zip(resolved, named, strict=True):
        if method.revoked and method.revoked <= now:
            raise Refused(Sentence("No. The issuer has withdrawn this key."))
        if method.expires and (signed_at or now) > method.expires:
            raise Refused(Sentence("No. The key's time had run out when it was used."))
    methods.extend(resolved)
    return Sentence("Yes. %(where)s", where=resolved[0].where)


def _key_name(header: Json) -> str | Json:
    """Return the key that a token names: an address, or a key of its own to be looked for among the issuer's."""
    if header.get("alg") not in ALGORITHMS:
        raise Refused(Sentence("No. The token is not signed with a method that can be trusted."))
    if "crit" in header or "b64" in header:
        raise Unknown(Sentence("The token asks for something that is not known here."))
    if isinstance(header.get("kid"), str):
        return str(header["kid"])
    if isinstance(header.get("jwk"), dict):
        return dict(header["jwk"])
    raise Refused(Sentence("No. The token does not say which key signed it."))


# -- the issuer -------------------------------------------------------------------------------------------------


def _issuer(issuer: Json, unchanged: str, key: str, own: Own | None) -> str:
    identifier = issuer["id"]
    name = issuer.get("name") if isinstance(issuer.get("name"), str) else ""
    called = f"“{name}”" if name else Sentence("The issuer")
    if key == FAILED:
        raise Refused(Sentence("%(called)s cannot be shown to have issued it.", called=called))
    if key == UNKNOWN:
        raise Unknown(Sentence("Without its key this cannot be told."))
    if unchanged != PASSED:
        raise Unknown(
            Sentence("Not asked: the signature does not fit, so anybody may have written the issuer's name in it.")
        )
    if own is not None and identifier in own.issuer_ids:
        return Sentence("Yes. It was issued here.")
    if identifier.startswith(("did:key:", "did:jwk:")):
        raise Unknown(
            Sentence(
                "%(called)s is known by a key alone. Anybody can make one, under any name; ask the issuer.",
                called=called,
            )
        )
    host = host_of(identifier if identifier.startswith("https://") else did_web_address(identifier))
    return Sentence(
        "%(called)s is what the people behind %(host)s call themselves. Make sure that you know this address.",
        called=called,
        host=host,
    )


def _is_own(document: Json, own: Own | None) -> bool:
    return own is not None and document["issuer"]["id"] in own.issuer_ids


# -- dates ------------------------------------------------------------------------------------------------------


def _dates(found: _Found, now: datetime) -> str:
    document = found.document
    begins, ends = moment(document["validFrom"]), moment(document.get("validUntil"))
    proofs = objects(document.get("proof"))
    if begins and begins > now + CLOCK_LEEWAY:
        raise Refused(Sentence("It begins only on %(begins)s.", begins=day_of(begins)))
    if ends and ends <= now:
        raise Refused(
            Sentence("It ended on %(ends)s. The holder can ask the issuer for a renewed one.", ends=day_of(ends))
        )
    for proof in proofs:
        made, until = moment(proof.get("created")), moment(proof.get("expires"))
        if ("created" in proof and made is None) or ("expires" in proof and until is None):
            raise Refused(Sentence("The time of its signature cannot be read."))
        if made and made > now + CLOCK_LEEWAY:
            raise Refused(Sentence("It says that it was signed in the future."))
        if until and until <= now:
            raise Refused(Sentence("Its signature ended on %(until)s.", until=day_of(until)))
    if ends:
        return Sentence("Yes, until %(ends)s.", ends=day_of(ends))
    return Sentence("Yes. It has no end.")


# -- withdrawn --------------------------------------------------------------------------------------------------


def _withdrawn(document: Json, signed: bool, now: datetime, fetch: Fetch, own: Own | None) -> str:
    if document.get("credentialStatus") in (None, []):
        return Sentence("No. The issuer has not kept a way to withdraw it.")
    if not signed:
        # Anybody could have written the address there.
        raise Unknown(Sentence("Not asked: it is not shown to be the issuer's, so neither is the list it names."))
    statuses = objects(document["credentialStatus"])
    if not statuses:
        raise Refused(Sentence("Where to look for it cannot be read."))
    unknown: Unknown | None = None
    for status in statuses:
        try:
            _read_status(status, document["issuer"]["id"], now, fetch, own)
        except Unknown as later:  # another entry may still say that it is withdrawn
            unknown = later
    if unknown:
        raise unknown
    return Sentence("No. The issuer's list was read just now.")


def _read_status(status: Json, issuer: str, now: datetime, fetch: Fetch, own: Own | None) -> None:
    """Read one entry of a Bitstring status list (https://www.w3.org/TR/vc-bitstring-status-list/#validate-algorithm).

    Raises Refused where the bit is set, Unknown where that cannot be told."""
    if "BitstringStatusListEntry" not in strings(status.get("type")):
        raise Unknown(Sentence("The issuer keeps its list in a form that is not known here. Ask the issuer."))
    purpose, url, index_text = (status.get(n) for n in ("statusPurpose", "statusListCredential", "statusListIndex"))
    if purpose not in ("revocation", "suspension"):
        raise Unknown(Sentence("The issuer keeps a list about something else than withdrawing."))
    if not isinstance(url, str) or not re.fullmatch(r"\d{1,12}", str(index_text)):
        raise Refused(Sentence("Where to look for it cannot be read."))
    if status.get("statusSize", 1) != 1:
        raise Unknown(Sentence("The issuer keeps its list in a form that is not known here. Ask the issuer."))
    listed = _status_list(url, str(purpose), issuer, now, fetch, own)
    try:
        bit = status_list.read_bit(listed, int(str(index_text)))
    except (ToolError, ValueError, IndexError) as error:
        raise Unknown(
            Sentence("The list of %(host)s does not hold this credential's place.", host=host_of(url))
        ) from error
    if bit:
        if purpose == "suspension":
            raise Refused(Sentence("The issuer has suspended it."))
        raise Refused(Sentence("Yes, the issuer has withdrawn it."))


def _status_list(url: str, purpose: str, issuer: str, now: datetime, fetch: Fetch, own: Own | None) -> str:
    """Return the encoded list at an address, once its own signature by the same issuer has been checked."""
    host = host_of(url)
    try:
        found = _in_text(got(url, fetch).decode().strip(), "")
        credential = found.document
        subject = as_object(credential.get("credentialSubject"))
        fits = (
            "BitstringStatusListCredential" in strings(credential.get("type"))
            and "BitstringStatusList" in strings(subject.get("type"))
            and purpose in strings(subject.get("statusPurpose"))
            and isinstance(subject.get("encodedList"), str)
            and strings(credential.get("@context"))[:1] == [VC_CONTEXT]
            and all(isinstance(context, str) for context in as_list(credential.get("@context")))
            and credential.get("id") in (url, None)
        )
        if not fits:
            raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host))
        signer = credential.get("issuer")
        signer = signer.get("id") if isinstance(signer, dict) else signer
        if signer != issuer:
            raise Unknown(Sentence("The list at %(host)s is not the issuer's.", host=host))
        credential = {**credential, "issuer": {"id": issuer}}
        methods: list[Method] = []
        _check_words(found)
        _key_of_issuer(_Found(found.form, credential, found.token, found.header), fetch, own, now, methods)
        _unchanged(found, methods, None)
        begins, ends = moment(credential.get("validFrom")), moment(credential.get("validUntil"))
        if (begins and begins > now + CLOCK_LEEWAY) or (ends and ends <= now):
            raise Unknown(Sentence("The list at %(host)s is out of date.", host=host))
    except (Refused, UnicodeDecodeError) as error:
        raise Unknown(
            Sentence("The list at %(host)s is not signed as it should be, so it says nothing.", host=host)
        ) from error
    return str(subject["encodedList"])


# -- the report -------------------------------------------------------------------------------------------------


def _nothing_found(outcome: str, sentence: str) -> Report:
    checks = (Check("found", outcome, QUESTIONS["found"], sentence),)
    return Report(checks, NOTHING_FOUND, sentence.removeprefix("No. "), False, "", None, None)


def _report(found: _Found, checks: Iterator[Check], own: Own | None) -> Report:
    order = list(QUESTIONS)
    done = tuple(sorted(checks, key=lambda check: order.index(check.name)))
    outcome = {check.name: check.outcome for check in done}
    ok = all(result == PASSED for result in outcome.values())
    foreign = outcome["key"] == FAILED and outcome["complete"] != FAILED and _is_own(found.document, own)
    verdict = GENUINE if ok else NOT_OURS if foreign else NOT_TO_RELY_ON
    return Report(done, verdict, _explained(outcome), ok, found.form, _summary(found.document), found.document)


def _explained(outcome: Mapping[str, str]) -> str:
    """Say in one or two sentences what the checks come to."""
    words = {
        "complete": "it is not well formed",
        "links": "its parts do not fit together",
        "unchanged": "it was changed after signing, or never signed",
        "key": "the key is not the issuer's",
        "issuer": "nothing ties it to the issuer it names",
        "dates": "it is outside its dates",
        "withdrawn": "the issuer has withdrawn it",
    }
    failed = [text for name, text in words.items() if outcome[name] == FAILED]
    if outcome["key"] == FAILED and len(failed) > 1:
        failed = [text for text in failed if text != words["issuer"]]
    unknown = sum(result == UNKNOWN for result in outcome.values())
    genuine = all(outcome[name] == PASSED for name in ("unchanged", "key"))
    parts = []
    if failed:
        reasons = " and ".join(failed)
        parts.append(
            f"It is genuine and unchanged, but {reasons}." if genuine else f"{reasons[0].upper()}{reasons[1:]}."
        )
    elif not unknown:
        return "Every check passed."
    elif genuine:
        parts.append("What could be checked is in order.")
    if unknown:
        parts.append("One check could not be made." if unknown == 1 else f"{unknown} checks could not be made.")
    return " ".join(parts)


def _summary(document: Json) -> Summary:
    subject = as_object(document.get("credentialSubject"))
    achievement = as_object(subject.get("achievement"))
    issuer = document.get("issuer")
    issuer = {"id": issuer} if isinstance(issuer, str) else as_object(issuer)
    return Summary(
        id=text_of(document.get("id")),
        name=text_of(achievement.get("name")) or text_of(document.get("name")),
        description=text_of(achievement.get("description")),
        issuer_name=text_of(issuer.get("name")),
        issuer_id=text_of(issuer.get("id")),
        valid_from=moment(document.get("validFrom")),
        valid_until=moment(document.get("validUntil")),
        levels=tuple(_levels(subject, achievement)),
    )


def _levels(subject: Json, achievement: Json) -> Iterator[LevelReached]:
    results = {text_of(result.get("resultDescription")): result for result in objects(subject.get("result"))}
    for description in objects(achievement.get("resultDescription")):
        names = {text_of(v.get("id")): text_of(v.get("name")) for v in objects(description.get("rubricCriterionLevel"))}
        result = results.get(text_of(description.get("id")), {})
        reached = (
            names.get(text_of(result.get("achievedLevel")))
            or text_of(result.get("value"))
            or text_of(result.get("status"))
        )
        required = names.get(text_of(description.get("requiredLevel"))) or text_of(description.get("requiredValue"))
        yield LevelReached(text_of(description.get("name")), reached, required)
