"""The verifiers of others, and ours: the columns of the table. Each reads whole batches, by name.

An answer is empty where all was well, else what was said against it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from openbadgeslib.errors import LibOpenBadgesException
from openbadgeslib.ob2.verifier import OB2Verifier
from openbadgeslib.ob3 import OB3LdpVerifier, OB3Verifier

from lti_tool.credentials import ob3
from lti_tool.credentials.verify import verify
from lti_tool.errors import ServiceUnreachable
from tests.interop import outside, schemas
from tests.interop.forms import DOCUMENT, ENDORSEMENT, HOSTED, LIST, RECORD, TOKEN, payload
from tests.interop.sites import Site, of_examples

Json = dict[str, Any]
Answers = dict[str, str]
Verifier = Callable[..., Answers]  # what is asked, by name; then the site whose it is, if not that of the examples

CREDENTIAL = "ob_v3p0_achievementcredential_schema.json"


def by_schema(given: dict[str, Any], site: Site | None = None) -> Answers:
    """The official JSON Schema; of a token, over its payload."""
    found = {}
    for name, content in given.items():
        document = payload(content) if isinstance(content, str) else content
        found[name] = "; ".join(schemas.errors(CREDENTIAL, document))
    return found


def by_digital_bazaar(given: dict[str, Any], site: Site | None = None) -> Answers:
    """Safe mode, with the list that each names checked by @digitalbazaar/vc-bitstring-status-list."""
    site = site or of_examples()
    answers = outside.run("data_integrity.mjs", {"now": site.now, "documents": site.documents, "credentials": given})
    return {
        name: "revoked" if answer["revoked"] else "" if answer["verified"] else _said(answer["reasons"])
        for name, answer in answers.items()
    }


def by_wallet(given: dict[str, Any], site: Site | None = None) -> Answers:
    """verifier-core, which the Learner Credential Wallet and VerifierPlus carry."""
    site = site or of_examples()
    served = {**site.documents, site.did_address: site.did}
    served[ob3.SCHEMA] = schemas.read_json(f"ob_schemas/{CREDENTIAL}")
    answers = outside.run("wallet.mjs", {"documents": served, "credentials": given})
    found = {}
    for name, answer in answers.items():
        steps = answer["steps"]
        asked = ["valid_signature", *(["revocation_status"] if "credentialStatus" in given[name] else [])]
        bad = [step for step in asked if steps.get(step) is not True]
        found[name] = _said([*answer["errors"], *bad]) if answer["errors"] or bad else ""
    return found


def by_jose(given: dict[str, Any], site: Site | None = None) -> Answers:
    site = site or of_examples()
    answers = outside.run("jwt.mjs", {"now": site.now, "keys": site.keys, "tokens": given})
    return {name: "" if answer["verified"] else _said([answer["reason"]]) for name, answer in answers.items()}


def by_openbadgeslib(given: dict[str, Any], site: Site | None = None) -> Answers:
    """A second opinion in Python. It finds our key by our DID in a document; of a token it is given the key.

    It reads our status list but not its proof: it takes lists signed as VC-JWT alone (4.6.3)."""
    site = site or of_examples()
    served = site.pages
    found = {}
    for name, content in given.items():
        if "@context" not in content and isinstance(content, dict):
            found[name] = _hosted_by_openbadgeslib(content)
            continue
        try:
            if isinstance(content, str):
                key: Any = jwt.PyJWK(site.keys[json.loads(_segment(content, 0))["kid"]]).key
                pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                checker: Any = OB3Verifier(pem)
            else:
                checker = OB3LdpVerifier.for_issuer_did(site.did["id"])
            checker.verify(content, check_status=True, verify_status_list=False, download=served.__getitem__)
            found[name] = ""
        except (LibOpenBadgesException, KeyError, ValueError) as error:
            found[name] = _said([f"{type(error).__name__}: {error}"])
    return found


def _hosted_by_openbadgeslib(pages: Json) -> str:
    def download(url: str) -> bytes:
        return json.dumps(pages[url]).encode()

    try:
        OB2Verifier(download=download).verify_hosted(next(iter(pages.values())))
    except (LibOpenBadgesException, KeyError) as error:
        return _said([f"{type(error).__name__}: {error}"])
    return ""


def by_validator(given: dict[str, Any], site: Site | None = None) -> Answers:
    """1EdTech's validator of Open Badges 2.0, which is given an address and asks for the rest."""
    badges = {}
    for name, pages in given.items():
        served = {url: ["application/ld+json", json.dumps(page)] for url, page in pages.items()}
        pictures = {url for page in pages.values() for url in _pictures(page)}
        badges[name] = {
            "badge": next(iter(pages)),
            "pages": {**served, **{url: ["image/png", ""] for url in pictures}},
        }
    answers = outside.validator(badges)
    return {name: "" if answer["valid"] else _said(answer["messages"]) for name, answer in answers.items()}


def _pictures(page: Json) -> list[str]:
    image = page.get("image")
    return [image["id"] if isinstance(image, dict) else image] if image else []


def by_us(given: dict[str, Any], site: Site | None = None) -> Answers:
    """Our own verifier as a stranger runs it, asking for everything over the wire.

    Of a site on plain http no stranger can tell whose a key is: there it is run as that installation itself does."""
    site = site or of_examples()
    published, found = site.pages, {}
    for name, content in given.items():
        served = published
        if isinstance(content, dict) and "@context" not in content:
            served = {url: json.dumps(page).encode() for url, page in content.items()}
            content = next(iter(content.values()))

        def fetch(url: str, served: dict[str, bytes] = served) -> Any:
            if url not in served:
                raise ServiceUnreachable(url)
            return SimpleNamespace(status=200, body=served[url])

        data = json.dumps(content, ensure_ascii=False) if isinstance(content, dict) else content
        report = verify(data, now=datetime.fromisoformat(site.now), fetch=fetch, own=site.own)
        found[name] = "" if report.ok else f"{report.verdict}. {report.explanation}"
    return found


# Name → what it reads, and how it is asked.
VERIFIERS: dict[str, tuple[frozenset[str], Verifier]] = {
    "Official JSON Schema": (frozenset({DOCUMENT, TOKEN}), by_schema),
    "Digital Bazaar vc, safe mode": (frozenset({DOCUMENT, LIST, RECORD, ENDORSEMENT}), by_digital_bazaar),
    "verifier-core (wallet)": (frozenset({DOCUMENT, RECORD, ENDORSEMENT}), by_wallet),
    "jose": (frozenset({TOKEN}), by_jose),
    "openbadgeslib": (frozenset({DOCUMENT, TOKEN, HOSTED}), by_openbadgeslib),
    "1EdTech openbadges 1.1.2": (frozenset({HOSTED}), by_validator),
    "lti-tool": (frozenset({DOCUMENT, TOKEN, RECORD, ENDORSEMENT, HOSTED}), by_us),
}
CHECKS_SIGNATURES = [name for name in VERIFIERS if name != "Official JSON Schema"]


def against(given: dict[str, Any], kind: str, site: Site) -> dict[str, Answers]:
    """Return what each verifier that reads a kind says against what it is given; one that accepts all of it is left
    out."""
    found = {}
    for name, (kinds, ask) in VERIFIERS.items():
        if kind in kinds and (said := {each: what for each, what in ask(given, site).items() if what}):
            found[name] = said
    return found


def _said(reasons: list[Any]) -> str:
    return "; ".join(str(reason) for reason in reasons)[:300] or "refused"


def _segment(token: str, place: int) -> bytes:
    part = token.split(".")[place]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
