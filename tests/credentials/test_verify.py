"""Checking credentials: our own as a stranger would, a stranger's, and those made to deceive or to harm."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from lti_tool.credentials import contexts, ob3, signing, status_list
from lti_tool.credentials.baking import bake_png, bake_svg
from lti_tool.credentials.issuer_keys import Own, did_web_address
from lti_tool.credentials.picture import draw, render_png
from lti_tool.credentials.untrusted import DEEPEST, Refused, host_of
from lti_tool.credentials.verify import FAILED, LASTING, PASSED, UNKNOWN, verify
from lti_tool.domain.badge import Badge, Gate, Level, Picture, SubCompetency
from lti_tool.errors import AddressRefused, Busy, ServiceUnreachable
from lti_tool.keyring import Keyring, load_keyring, make_key
from tests.credentials import examples

ISSUED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BASE = "https://badges.northbridge.example"
DID = "did:web:badges.northbridge.example"
LIST = f"{BASE}/status/1"
INDEX = 4711

ISSUER = ob3.IssuerProfile(
    did=DID, slug="northbridge", base_url=BASE, name="Northbridge", url="https://northbridge.example"
)


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Keyring:
    return load_keyring(tmp_path_factory.mktemp("keys"), ISSUED)


@pytest.fixture(scope="session")
def others(tmp_path_factory) -> Keyring:
    return load_keyring(tmp_path_factory.mktemp("others"), ISSUED)


@dataclass
class Answer:
    status: int
    body: bytes


class Web:
    """All that can be fetched in a test. Any other address is an error, and every request is remembered."""

    def __init__(self, pages: dict) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def __call__(self, url: str) -> Answer:
        self.asked.append(url)
        page = self.pages.get(url, ServiceUnreachable(url))
        if isinstance(page, Exception):
            raise page
        if isinstance(page, Answer):
            return page
        return Answer(200, page if isinstance(page, bytes) else json.dumps(page).encode())


def badge() -> Badge:
    levels = tuple(Level(name, Decimal(points), f"What {name} looks like.") for points, name in
                   enumerate(("Beginning", "Developing", "Proficient", "Advanced"), 1))  # fmt: skip
    rows = tuple(SubCompetency(f"CT-{n}", f"Row {n}", levels, "Proficient", f"What row {n} is.") for n in range(1, 3))
    return Badge(
        "critical-thinking", "Critical Thinking", "Judges what can be believed.", "Show **all four**.", rows,
        gates=(Gate("grade", "Course grade B or better", "letter", "B", (("C", Decimal(70)), ("B", Decimal(80)))),),
        credits=Decimal("1.5"), tags=("thinking",), picture=Picture(alt="A magnifying glass"),
    )  # fmt: skip


def unsigned(**facts) -> dict:
    achievement = ob3.achievement(
        badge(), base_url=BASE, slug="critical-thinking", version=1, issuer=ISSUER, picture_url=f"{BASE}/p.png"
    )
    chosen = {
        "credential_id": "0123456789abcdef0123456789abcdef",
        "subject_id": "urn:uuid:5e0c3f0e-8f59-4b7c-9d9e-4d6a0d1f2b3c",
        "valid_from": ISSUED,
        "status_list": 1,
        "status_index": INDEX,
        "reached": tuple(ob3.Reached(f"CT-{n}", 2, 3) for n in range(1, 3)),
        "gates": (ob3.GateResult("grade", "B"),),
        "name": "Jonas Ek",
        "email": ob3.HashedEmail("ab" * 16, ob3.identity_hash("jonas@example.org", "ab" * 16)),
        **facts,
    }
    return ob3.credential(achievement, ISSUER, ob3.EditionFacts(**chosen))


def signed(keys: Keyring, document: dict | None = None) -> signing.Signed:
    return signing.sign(document or unsigned(), ed25519=keys.ed25519, rsa=keys.rsa, created=ISSUED)


def data_integrity(keys: Keyring, document: dict, **changes) -> dict:
    """Sign a document whatever it says, with any proof options."""
    proof = {**signing.proof_options(f"{DID}#{keys.ed25519.kid}", ISSUED), **changes}
    digest = signing.hashlib.sha256(signing.canonical_nquads(document).encode()).digest()
    config = {"@context": document["@context"], **proof}
    options = signing.hashlib.sha256(signing.canonical_nquads(config).encode()).digest()
    value = signing.base58_multibase(keys.ed25519.private.sign(options + digest))
    return {**document, "proof": {**proof, "proofValue": value}}


def token(keys: Keyring, document: dict | None = None, header: dict | None = None, algorithm="RS256", **claims) -> str:
    document = document or unsigned()
    payload = {
        **document,
        "iss": document["issuer"]["id"],
        "jti": document["id"],
        "sub": document["credentialSubject"]["id"],
        "nbf": int(ISSUED.timestamp()),
        **claims,
    }
    key = keys.rsa if algorithm == "RS256" else keys.ed25519
    headers = {"kid": f"{BASE}/keys/{key.kid}", **(header or {})}
    return jwt.encode(payload, key.private, algorithm, headers={k: v for k, v in headers.items() if v is not None})


def did_document(keys: Keyring, did=DID, base=BASE) -> dict:
    return ob3.did_document(did, keys.of("ed25519"), keys.of("rsa"), base)


def web(keys: Keyring, revoked=(), **changes) -> Web:
    listed = status_list.status_list_credential(
        1, revoked, issuer=ISSUER, base_url=BASE, valid_from=ISSUED, ed25519=keys.ed25519
    )
    pages = {
        f"{BASE}/.well-known/did.json": did_document(keys),
        f"{BASE}/keys/{keys.rsa.kid}": keys.rsa.public_jwk(),
        LIST: listed,
    }
    return Web({**pages, **changes.get("pages", {})})


def own(keys: Keyring) -> Own:
    return Own(frozenset({DID}), did_document(keys), BASE)


def outcomes(report) -> dict[str, str]:
    return {check.name: check.outcome for check in report.checks if check.outcome != PASSED}


def sentence(report, name: str) -> str:
    return next(check.sentence for check in report.checks if check.name == name)


# -- what is genuine --------------------------------------------------------------------------------------------


def test_our_credential_passes_every_check_of_a_stranger_in_every_form(keys):
    both = signed(keys)
    svg = draw(Picture(alt="x"), slug="x", ribbon="", pips=0)
    png = render_png(svg, 90)
    for form, data in {
        "JSON": both.document,
        "JWT": both.jwt,
        "PNG": bake_png(png, both.document.decode()),
        "PNG, signed token": bake_png(png, both.jwt),
        "SVG": bake_svg(svg, both.document.decode()),
        "SVG, signed token": bake_svg(svg, both.jwt).encode(),
    }.items():
        report = verify(data, now=NOW, fetch=web(keys))
        assert outcomes(report) == {}, form
        assert (report.ok, report.verdict, report.form) == (True, "Genuine and in force", form)


def test_the_summary_says_what_was_earned_from_whom_and_until_when(keys):
    ends = datetime(2029, 3, 1, tzinfo=UTC)
    report = verify(signed(keys, unsigned(valid_until=ends)).document, now=NOW, fetch=web(keys))
    summary = report.summary
    assert (summary.name, summary.issuer_name, summary.issuer_id) == ("Critical Thinking", "Northbridge", DID)
    assert (summary.valid_from, summary.valid_until) == (ISSUED, ends)
    assert [(row.name, row.reached, row.required) for row in summary.levels] == [
        *((f"Row {n}", "Proficient", "Proficient") for n in range(1, 3)),
        ("Course grade B or better", "B", "B"),
    ]
    assert sentence(report, "dates") == "Yes, until 1 March 2029."


def test_the_questions_are_asked_in_one_order(keys):
    names = [check.name for check in verify(signed(keys).document, now=NOW, fetch=web(keys)).checks]
    assert names == ["found", "complete", "links", "unchanged", "key", "issuer", "dates", "withdrawn"]


def test_of_our_own_credentials_only_the_status_list_is_fetched(keys):
    for data in (signed(keys).document, signed(keys).jwt):
        fetch = web(keys)
        assert verify(data, now=NOW, fetch=fetch, own=own(keys)).ok
        assert fetch.asked == [LIST]


def test_I07_a_credential_signed_with_a_retired_key_is_genuine(tmp_path):
    before = load_keyring(tmp_path, ISSUED)
    old = signed(before)
    for kind in ("ed25519", "rsa"):
        make_key(tmp_path, kind, ISSUED + timedelta(days=1))
    after = load_keyring(tmp_path, NOW)
    assert after.ed25519.kid != before.ed25519.kid
    pages = {f"{BASE}/keys/{before.rsa.kid}": before.rsa.public_jwk()}
    for data in (old.document, old.jwt):
        assert verify(data, now=NOW, fetch=web(after, pages=pages)).ok
        assert verify(data, now=NOW, fetch=web(after), own=own(after)).ok


def test_an_address_is_followed_once_to_the_credential(keys):
    pages = {"https://x.example/c": signed(keys).document, "https://x.example/twice": b"https://x.example/c"}
    assert verify("https://x.example/c", now=NOW, fetch=web(keys, pages=pages)).ok
    assert verify("https://x.example/twice", now=NOW, fetch=web(keys, pages=pages)).outcome("found") == FAILED


def test_a_token_signed_with_EdDSA_and_named_by_its_DID_URL_is_read(keys):
    kid = f"{DID}#{keys.ed25519.kid}"
    assert verify(token(keys, algorithm="EdDSA", header={"kid": kid}), now=NOW, fetch=web(keys)).ok


def test_a_key_inside_a_token_counts_only_where_the_issuer_lists_it(keys, others):
    good = token(keys, header={"kid": None, "jwk": keys.rsa.public_jwk()})
    forged = token(others, header={"kid": None, "jwk": others.rsa.public_jwk()})
    assert verify(good, now=NOW, fetch=web(keys)).ok
    assert verify(forged, now=NOW, fetch=web(keys)).outcome("key") == FAILED
    assert verify(forged, now=NOW, fetch=web(keys), own=own(keys)).verdict == "Not issued by us"


def rewritten(document: dict, issuer_id: str) -> dict:
    changed = {**document, "issuer": {**document["issuer"], "id": issuer_id}}
    changed.pop("credentialStatus")
    return changed


def test_an_issuer_known_by_a_key_alone_is_not_taken_for_the_name_it_gives_itself(others):
    multikey = signing.multikey(others.ed25519.public)
    did = f"did:key:{multikey}"
    document = data_integrity(others, rewritten(unsigned(), did), verificationMethod=f"{did}#{multikey}")
    fetch = Web({})
    report = verify(json.dumps(document), now=NOW, fetch=fetch)
    assert outcomes(report) == {"issuer": UNKNOWN}
    assert not report.ok and report.verdict == "Not everything could be checked"
    assert fetch.asked == []


def test_a_did_jwk_is_read_without_fetching(others):
    jwk = base64.urlsafe_b64encode(json.dumps(others.rsa.public_jwk()).encode()).rstrip(b"=").decode()
    did = f"did:jwk:{jwk}"
    report = verify(token(others, rewritten(unsigned(), did), {"kid": f"{did}#0"}), now=NOW, fetch=Web({}))
    assert outcomes(report) == {"issuer": UNKNOWN}


def listing(issuer: str, *methods: dict, may_issue=True) -> dict:
    """Return what an issuer's own address answers: its profile with its keys."""
    listed = {"id": issuer, "type": "Profile", "name": "Northbridge", "verificationMethod": list(methods)}
    return {**listed, "assertionMethod": [method["id"] for method in methods] if may_issue else []}


def test_an_issuer_known_by_an_address_signs_with_a_key_that_its_own_page_lists(keys, others):
    issuer, key = f"{BASE}/issuers/1", f"{BASE}/keys/{keys.rsa.kid}"
    made = token(keys, rewritten(unsigned(), issuer))
    jwk = {"type": "JsonWebKey", "controller": issuer, "publicKeyJwk": keys.rsa.public_jwk()}
    by_address, by_fragment = {**jwk, "id": key}, {**jwk, "id": f"{issuer}#k"}
    another = {**jwk, "id": f"{issuer}#k", "publicKeyJwk": others.rsa.public_jwk()}
    pages = {
        "listed by its address": (listing(issuer, by_address), PASSED),
        "listed by another name": (listing(issuer, by_fragment), PASSED),
        "another listed": (listing(issuer, another), FAILED),
        "for other things": (listing(issuer, by_address, may_issue=False), FAILED),
        "of another": (listing(f"{BASE}/issuers/2", by_address), UNKNOWN),
        "none listed": ({"id": issuer, "type": "Profile"}, UNKNOWN),
        "a web page": (b"<html>", UNKNOWN),
        "out of reach": (ServiceUnreachable("down"), UNKNOWN),
    }
    for name, (page, outcome) in pages.items():
        report = verify(made, now=NOW, fetch=web(keys, pages={issuer: page}))
        assert report.outcome("key") == outcome, name
        assert report.ok == (outcome == PASSED), name
    proof = data_integrity(keys, rewritten(unsigned(), issuer), verificationMethod=f"{issuer}#e")
    method = {"id": "#e", "type": "Multikey", "publicKeyMultibase": signing.multikey(keys.ed25519.public)}
    pages = {issuer: {**listing(issuer, method), "assertionMethod": ["#e"]}}
    assert verify(json.dumps(proof), now=NOW, fetch=web(keys, pages=pages)).ok


def test_a_key_on_another_host_is_not_asked_for_in_the_name_of_an_address(keys, others):
    address = f"https://elsewhere.example/{others.rsa.kid}"
    fetch = web(keys, pages={address: others.rsa.public_jwk()})
    made = token(others, rewritten(unsigned(), f"{BASE}/issuers/1"), {"kid": address})
    assert verify(made, now=NOW, fetch=fetch).outcome("key") == FAILED
    assert fetch.asked == []


def test_the_key_set_of_a_host_is_its_own_where_nobody_else_can_put_one(keys):
    issuer = "https://college.example/about"
    jwks = {"keys": [{**keys.rsa.public_jwk(), "kid": "k1"}]}
    for place, outcome in (
        ("/.well-known/jwks.json#k1", PASSED),
        ("/.well-known/jwks.json", PASSED),
        ("/.well-known/../files/jwks.json", UNKNOWN),
        ("/.well-known/jwks.json?file=7", UNKNOWN),
        ("/files/.well-known/jwks.json", UNKNOWN),
    ):
        made = token(keys, rewritten(unsigned(), issuer), {"kid": f"https://college.example{place}"})
        fetch = Web({f"https://college.example{place}": jwks, issuer: {"id": issuer, "type": "Profile"}})
        assert verify(made, now=NOW, fetch=fetch).outcome("key") == outcome, place


@pytest.mark.parametrize(
    ("did", "address"),
    [
        ("did:web:a.example", "https://a.example/.well-known/did.json"),
        ("did:web:a.example%3A8443", "https://a.example:8443/.well-known/did.json"),
        ("did:web:a.example:b:c", "https://a.example/b/c/did.json"),
    ],
)
def test_a_did_web_has_its_document_where_its_method_says(did, address):
    assert did_web_address(did) == address


@pytest.mark.parametrize(
    "did",
    ["did:web:", "did:web:a.example%2Fx", "did:web:u%40a.example", "did:web:a.example:..", "did:web:a.example:%2e%2e"],
)
def test_I22_a_did_web_cannot_smuggle_a_path_or_a_user(did):
    with pytest.raises(Refused):
        did_web_address(did)


# -- what was changed -------------------------------------------------------------------------------------------


def tampered(document: dict, path) -> dict:
    changed = json.loads(json.dumps(document))
    at = changed
    for step in path[:-1]:
        at = at[step]
    value = at[path[-1]]
    if isinstance(value, bool):
        at[path[-1]] = not value
    elif isinstance(value, str):
        # The last character, so that an address stays one and the change is the smallest there is.
        at[path[-1]] = value[:-1] + ("1" if value[-1:] != "1" else "2")
    else:
        at[path[-1]] = value + 1
    return changed


def test_I05_a_credential_with_any_one_field_changed_never_passes(keys):
    both = signed(keys)
    document = json.loads(both.document)
    head, _, signature = both.jwt.split(".")
    claims = jwt.decode(both.jwt, options={"verify_signature": False})
    paths = list(examples.leaves(document))
    assert len(paths) > 100
    for path in paths:
        report = verify(json.dumps(tampered(document, path)), now=NOW, fetch=web(keys), own=own(keys))
        assert not report.ok, path
        assert FAILED in outcomes(report).values() or path[0] in ("@context", "proof"), path
    for path in examples.leaves(claims):
        body = base64.urlsafe_b64encode(json.dumps(tampered(claims, path)).encode()).rstrip(b"=").decode()
        assert not verify(f"{head}.{body}.{signature}", now=NOW, fetch=web(keys), own=own(keys)).ok, path


def test_I05_a_changed_word_is_told_as_such(keys):
    document = json.loads(signed(keys).document)
    document["credentialSubject"]["achievement"]["name"] = "Advanced Critical Thinking"
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert outcomes(report) == {"unchanged": FAILED, "issuer": UNKNOWN, "withdrawn": UNKNOWN}
    assert report.verdict == "Do not rely on this one"
    assert sentence(report, "unchanged") == "Yes. The signature does not fit what it says now."


def test_an_added_member_without_meaning_is_not_shown_as_signed(keys):
    document = json.loads(signed(keys).document)
    document["credentialSubject"]["honours"] = "summa cum laude"
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert report.outcome("complete") == FAILED
    assert "no vocabulary defines" in sentence(report, "complete")


def test_what_is_said_of_the_credential_cannot_be_moved_into_a_part_of_it(keys):
    """The graph stays the same and so does the signature, but a reader would no longer see the end and the status."""
    document = {**unsigned(valid_until=NOW - timedelta(days=1))}
    document["evidence"] = [{"id": document["id"], "type": ["Evidence"]}]
    whole = data_integrity(keys, document)
    assert verify(json.dumps(whole), now=NOW, fetch=web(keys)).outcome("complete") == FAILED
    moved = {name: whole.pop(name) for name in ("validUntil", "credentialStatus")}
    whole["evidence"][0] |= moved
    assert not verify(json.dumps(whole), now=NOW, fetch=web(keys)).ok


def test_a_claim_beside_an_embedded_proof_is_not_taken_for_a_tokens(keys):
    document = {**json.loads(signed(keys).document), "sub": "urn:uuid:00000000-0000-0000-0000-000000000000"}
    assert not verify(json.dumps(document), now=NOW, fetch=web(keys)).ok


@pytest.mark.parametrize("claim", ["iss", "jti", "sub", "nbf", "exp"])
def test_a_token_that_contradicts_its_credential_fails(keys, claim):
    other = 1 if claim in ("nbf", "exp") else "https://elsewhere.example/"
    assert verify(token(keys, **{claim: other}), now=NOW, fetch=web(keys)).outcome("complete") == FAILED


def test_a_credential_without_a_signature_is_not_relied_on(keys):
    report = verify(json.dumps(unsigned()), now=NOW, fetch=web(keys))
    assert outcomes(report) == {"unchanged": FAILED, "key": FAILED, "issuer": FAILED, "withdrawn": UNKNOWN}


# -- whose key --------------------------------------------------------------------------------------------------


def test_I08_our_issuer_id_with_somebody_elses_key_is_not_issued_by_us(keys, others):
    multikey = signing.multikey(others.ed25519.public)
    attacks = {
        "did:key": data_integrity(others, unsigned(), verificationMethod=f"did:key:{multikey}#{multikey}"),
        "their did:web": data_integrity(
            others, unsigned(), verificationMethod=f"did:web:evil.example#{others.ed25519.kid}"
        ),
        "our did, their key": data_integrity(others, unsigned(), verificationMethod=f"{DID}#{others.ed25519.kid}"),
        "kid at their host": token(others, header={"kid": f"https://evil.example/keys/{others.rsa.kid}"}),
        "kid at our host": token(others),
        "embedded": token(others, header={"kid": None, "jwk": others.rsa.public_jwk()}),
    }
    pages = {
        "https://evil.example/.well-known/did.json": did_document(
            others, "did:web:evil.example", "https://evil.example"
        ),
        f"https://evil.example/keys/{others.rsa.kid}": others.rsa.public_jwk(),
    }
    for name, forged in attacks.items():
        data = forged if isinstance(forged, str) else json.dumps(forged)
        report = verify(data, now=NOW, fetch=web(keys, pages=pages), own=own(keys))
        assert report.verdict == "Not issued by us", name
        assert report.outcome("key") == FAILED, name
        assert "not issued by us" in sentence(report, "key")
        assert verify(data, now=NOW, fetch=web(keys, pages=pages)).ok is False, name


FILE = "/evidence/0f3a"  # an address at which a server keeps what somebody handed in

UPLOADED = {
    "our address, its port written out": (f"{BASE}/issuers/northbridge", f"{BASE}:443{FILE}"),
    "our address in capitals": ("https://BADGES.northbridge.example/issuers/x", f"https://BADGES.northbridge.example{FILE}"),
    "our address with a dot": (f"{BASE}./issuers/x", f"{BASE}.{FILE}"),
    "our DID in capitals": ("did:web:BADGES.northbridge.example", f"https://BADGES.northbridge.example{FILE}"),
    "our DID with a port": ("did:web:badges.northbridge.example%3A443", f"{BASE}:443{FILE}"),
    "a DID below ours": ("did:web:badges.northbridge.example:evidence", f"{BASE}:443{FILE}"),
    "our address as it is": (f"{BASE}/issuers/northbridge", f"{BASE}{FILE}"),
    "another's DID": ("did:web:other.example", f"https://other.example{FILE}"),
    "another's neighbour": ("did:web:host.example:school-a", "https://host.example/school-b/key.json"),
    "another's address": ("https://other.example/issuers/1", f"https://other.example{FILE}"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["JWK", "JWK Set", "Multikey", "DID document"])
@pytest.mark.parametrize("name", UPLOADED)
def test_I08_a_file_that_somebody_put_on_the_issuers_host_is_no_key_of_it(keys, others, name, form):
    issuer, address = UPLOADED[name]
    multikey = {"type": "Multikey", "publicKeyMultibase": signing.multikey(others.ed25519.public)}
    by_token = token(others, rewritten(unsigned(), issuer), {"kid": address})
    made = {
        "JWK": (others.rsa.public_jwk(), by_token),
        "JWK Set": ({"keys": [others.rsa.public_jwk()]}, by_token),
        "Multikey": (
            {"id": address, "controller": issuer, **multikey},
            json.dumps(data_integrity(others, rewritten(unsigned(), issuer), verificationMethod=address)),
        ),
        "DID document": (
            {**listing(issuer, {"id": f"{address}#k", "controller": issuer, **multikey})},
            json.dumps(data_integrity(others, rewritten(unsigned(), issuer), verificationMethod=f"{address}#k")),
        ),
    }  # fmt: skip
    file, forged = made[form]
    listed = did_document(keys)
    pages = {
        f"{BASE}:443/.well-known/did.json": listed,
        "https://BADGES.northbridge.example/.well-known/did.json": listed,
        "https://other.example/.well-known/did.json": did_document(keys, "did:web:other.example"),
        "https://host.example/school-a/did.json": did_document(keys, "did:web:host.example:school-a"),
        "https://other.example/issuers/1": {"id": "https://other.example/issuers/1", "type": "Profile"},
        address: file,
        f"{address}#k": file,
    }
    report = verify(forged, now=NOW, fetch=web(keys, pages=pages), own=own(keys))
    assert not report.ok
    # What is no key leaves open which key it was; of an issuer that lists none nobody can say more.
    open_ = name == "another's address" or (form == "DID document" and not name.startswith(("our", "a DID")))
    assert report.outcome("key") == (UNKNOWN if open_ else FAILED)
    if name.startswith(("our", "a DID below")):
        assert report.verdict == "Not issued by us"
        assert report.outcome("issuer") == FAILED
    assert not verify(forged, now=NOW, fetch=web(keys, pages=pages)).ok  # as a stranger sees it


def test_a_host_has_one_spelling():
    for url in ("https://a.example", "https://A.example:443/x", "https://a.example./", "http://a.example:80/"):
        assert host_of(url) == "a.example", url
    assert host_of("http://a.example:443/") == "a.example:443"
    assert host_of("https://a.example:80/") == "a.example:80"


def test_I08_our_key_named_but_not_used_fails_as_changed_or_not_ours(keys, others):
    forged = data_integrity(others, unsigned(), verificationMethod=f"{DID}#{keys.ed25519.kid}")
    report = verify(json.dumps(forged), now=NOW, fetch=web(keys), own=own(keys))
    assert outcomes(report) == {"unchanged": FAILED, "issuer": UNKNOWN, "withdrawn": UNKNOWN}
    assert "not issued by us" in sentence(report, "unchanged")


def test_a_document_of_another_DID_at_the_issuers_address_is_no_key_list(keys, others):
    for document in (
        did_document(others, "did:web:evil.example"),
        {**did_document(keys), "id": "did:web:evil.example"},
    ):
        pages = {f"{BASE}/.well-known/did.json": document}
        assert verify(signed(keys).document, now=NOW, fetch=web(keys, pages=pages)).outcome("key") == FAILED


def without_assertion(document: dict) -> dict:
    return {**document, "assertionMethod": [], "authentication": document["assertionMethod"]}


def with_method(document: dict, **changes) -> dict:
    return {**document, "verificationMethod": [{**m, **changes} for m in document["verificationMethod"]]}


@pytest.mark.parametrize(
    "change",
    [
        without_assertion,
        lambda document: with_method(document, controller="did:web:evil.example"),
        lambda document: with_method(document, revoked="2026-05-01T00:00:00Z"),
        lambda document: with_method(document, expires="2026-02-01T00:00:00Z"),
        lambda document: with_method(document, revoked="last year"),
    ],
)
def test_a_key_the_issuer_lists_for_other_things_or_has_ended_does_not_count(keys, change):
    pages = {f"{BASE}/.well-known/did.json": change(did_document(keys))}
    report = verify(signed(keys).document, now=NOW, fetch=web(keys, pages=pages))
    assert report.outcome("key") == FAILED
    assert report.outcome("unchanged") == UNKNOWN


def test_a_key_that_ended_after_it_was_used_still_counts(keys):
    pages = {f"{BASE}/.well-known/did.json": with_method(did_document(keys), expires="2026-05-01T00:00:00Z")}
    assert verify(signed(keys).document, now=NOW, fetch=web(keys, pages=pages)).ok


@pytest.mark.parametrize(
    "answer",
    [
        ServiceUnreachable("down"),
        AddressRefused("private"),
        Answer(500, b""),
        Answer(200, b"<html>"),
        Answer(200, b"[]"),
        Answer(200, b"\xff"),
        Answer(200, b" " * (6 * 1024 * 1024)),
    ],
)
def test_I22_a_key_list_that_cannot_be_had_leaves_key_and_signature_unchecked(keys, answer):
    pages = {f"{BASE}/.well-known/did.json": answer, LIST: ServiceUnreachable("down")}
    report = verify(signed(keys).document, now=NOW, fetch=web(keys, pages=pages))
    assert outcomes(report) == dict.fromkeys(("unchanged", "key", "issuer", "withdrawn"), UNKNOWN)
    assert report.verdict == "Not everything could be checked"
    assert report.explanation == "4 checks could not be made."


def none_token() -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    claims = {**unsigned(), "iss": DID}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}."


def hs256_token(keys: Keyring) -> str:
    """Sign with the text of our public key, as an attacker does who hopes for a verifier that mixes up methods."""
    pem = keys.rsa.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    parts = token(keys).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": f"{BASE}/keys/{keys.rsa.kid}"}).encode())
    signing_input = f"{head.rstrip(b'=').decode()}.{parts[1]}"
    key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    mac = key.sign(signing_input.encode(), pem)
    return f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_a_token_of_no_method_or_a_shared_secret_never_passes(keys, alg):
    forged = none_token() if alg == "none" else hs256_token(keys)
    report = verify(forged, now=NOW, fetch=web(keys))
    assert report.outcome("key") == FAILED
    assert "not signed with a method that can be trusted" in sentence(report, "key")


@pytest.mark.parametrize("alg", ["hs256", "rs256", "RS1", "", None, ["RS256"], {}, 1])
def test_only_methods_that_are_known_are_taken_exactly_as_written(keys, alg):
    _, body, signature = token(keys).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": f"{BASE}/keys/{keys.rsa.kid}"}).encode())
    assert verify(f"{head.rstrip(b'=').decode()}.{body}.{signature}", now=NOW, fetch=web(keys)).outcome("key") == FAILED


def test_a_token_that_demands_an_extension_is_not_believed(keys):
    report = verify(token(keys, header={"crit": ["exp"]}), now=NOW, fetch=web(keys))
    assert report.outcome("key") == UNKNOWN


def test_a_weak_rsa_key_proves_nothing(keys):
    weak = {"kty": "RSA", "n": base64.urlsafe_b64encode(b"\xff" * 128).rstrip(b"=").decode(), "e": "AQAB"}
    pages = {f"{BASE}/keys/{keys.rsa.kid}": weak}
    assert verify(signed(keys).jwt, now=NOW, fetch=web(keys, pages=pages)).outcome("key") == FAILED


@pytest.mark.parametrize(
    ("changes", "name", "outcome"),
    [
        ({"proofPurpose": "authentication"}, "key", FAILED),
        ({"cryptosuite": "bbs-2023"}, "unchanged", UNKNOWN),
        ({"challenge": "x"}, "unchanged", UNKNOWN),
        ({"expires": "2026-05-01T00:00:00Z"}, "dates", FAILED),
        ({"created": "2027-05-01T00:00:00Z"}, "dates", FAILED),
    ],
)
def test_a_proof_made_for_something_else_is_not_taken(keys, changes, name, outcome):
    report = verify(json.dumps(data_integrity(keys, unsigned(), **changes)), now=NOW, fetch=web(keys))
    assert report.outcome(name) == outcome
    assert not report.ok


def test_every_one_of_several_proofs_must_fit(keys):
    document = json.loads(signed(keys).document)
    good = document["proof"]
    bad = {**good, "created": "2026-03-02T09:00:00Z"}
    assert verify(json.dumps({**document, "proof": [good, good]}), now=NOW, fetch=web(keys)).ok
    assert not verify(json.dumps({**document, "proof": [good, bad]}), now=NOW, fetch=web(keys)).ok


# -- dates ------------------------------------------------------------------------------------------------------


def test_an_expired_credential_is_genuine_but_not_to_be_relied_on(keys):
    document = signed(keys, unsigned(valid_until=datetime(2026, 5, 31, tzinfo=UTC))).document
    report = verify(document, now=NOW, fetch=web(keys))
    assert outcomes(report) == {"dates": FAILED}
    assert sentence(report, "dates").startswith("It ended on 31 May 2026.")
    assert report.verdict == "Do not rely on this one"
    assert report.explanation == "It is genuine and unchanged. It is outside its dates."


def test_a_credential_that_has_not_begun_is_not_in_force(keys):
    document = signed(keys, unsigned(valid_from=NOW + timedelta(days=1))).document
    assert outcomes(verify(document, now=NOW, fetch=web(keys))) == {"dates": FAILED}


def test_the_very_end_is_no_longer_in_force_and_the_very_beginning_is(keys):
    document = signed(keys, unsigned(valid_until=NOW)).document
    assert verify(document, now=NOW - timedelta(seconds=1), fetch=web(keys)).ok
    assert not verify(document, now=NOW, fetch=web(keys)).ok
    assert verify(signed(keys).document, now=ISSUED, fetch=web(keys)).ok


# -- withdrawn --------------------------------------------------------------------------------------------------


def test_I09_a_revoked_credential_is_said_to_be_withdrawn(keys):
    for data in (signed(keys).document, signed(keys).jwt):
        report = verify(data, now=NOW, fetch=web(keys, revoked=[INDEX]))
        assert outcomes(report) == {"withdrawn": FAILED}
        assert report.explanation == "It is genuine and unchanged. The issuer has withdrawn it."
    assert verify(signed(keys).document, now=NOW, fetch=web(keys, revoked=[INDEX - 1, INDEX + 1])).ok


def test_I10_a_status_list_out_of_reach_is_never_valid(keys):
    report = verify(signed(keys).document, now=NOW, fetch=web(keys, pages={LIST: ServiceUnreachable("down")}))
    assert outcomes(report) == {"withdrawn": UNKNOWN}
    assert not report.ok and report.verdict == "Not everything could be checked"
    assert sentence(report, "withdrawn").startswith("badges.northbridge.example did not answer.")
    assert report.explanation == "What could be checked is in order. One check could not be made."


def altered_list(keys: Keyring, signer: Keyring | None = None, **changes) -> bytes:
    listed = json.loads(web(keys).pages[LIST])
    listed.pop("proof")
    subject = {**listed["credentialSubject"], **changes.pop("subject", {})}
    document = {**listed, "credentialSubject": subject, **changes}
    return signing.sign_document(document, ed25519=(signer or keys).ed25519, created=ISSUED)


def test_I10_a_list_that_is_not_the_issuers_own_and_whole_says_nothing(keys, others):
    whole = json.loads(web(keys).pages[LIST])
    bare = {name: value for name, value in whole.items() if name != "proof"}
    short = status_list.encode_list([], 131_072 // 2)
    lists = {
        "unsigned": json.dumps(bare).encode(),
        "changed": json.dumps({**whole, "validFrom": "2026-03-02T09:00:00Z"}).encode(),
        "signed by another": altered_list(keys, others),
        "of another issuer": altered_list(keys, issuer="did:web:evil.example"),
        "ours, in another's name": json.dumps(
            data_integrity(keys, {**bare, "issuer": "did:web:evil.example"})
        ).encode(),
        "of another purpose": altered_list(keys, subject={"statusPurpose": "suspension"}),
        "of another address": altered_list(keys, id=f"{BASE}/status/2"),
        "too short": altered_list(keys, subject={"encodedList": short}),
        "no bits": altered_list(keys, subject={"encodedList": "uAAAA"}),
        "ended": altered_list(keys, validUntil="2026-05-01T00:00:00Z"),
        "not begun": altered_list(keys, validFrom="2027-05-01T00:00:00Z"),
        "a web page": b"<html>",
        "an error": Answer(404, b""),
        "another credential": signed(keys).document,
    }
    for name, listed in lists.items():
        report = verify(signed(keys).document, now=NOW, fetch=web(keys, pages={LIST: listed}))
        assert outcomes(report) == {"withdrawn": UNKNOWN}, name


def with_status(keys: Keyring, status) -> str:
    return json.dumps(data_integrity(keys, {**unsigned(), "credentialStatus": status}))


ENTRY = {
    "id": f"{LIST}#{INDEX}",
    "type": "BitstringStatusListEntry",
    "statusPurpose": "revocation",
    "statusListIndex": str(INDEX),
    "statusListCredential": LIST,
}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (ENTRY, PASSED),
        ([ENTRY, ENTRY], PASSED),
        ({**ENTRY, "statusListIndex": "131072"}, UNKNOWN),
        ({**ENTRY, "statusListIndex": "-1"}, FAILED),
        ({**ENTRY, "statusListIndex": "x"}, FAILED),
        ({**ENTRY, "statusPurpose": "message"}, UNKNOWN),
        ({**ENTRY, "statusPurpose": "suspension"}, UNKNOWN),
        ({"id": f"{BASE}/revocations", "type": "1EdTechRevocationList"}, UNKNOWN),
    ],
)
def test_what_the_status_entry_says_decides_what_can_be_told(keys, status, outcome):
    assert verify(with_status(keys, status), now=NOW, fetch=web(keys)).outcome("withdrawn") == outcome


def test_an_unreadable_entry_does_not_hide_a_set_bit(keys):
    statuses = [{"id": f"{BASE}/revocations", "type": "1EdTechRevocationList"}, ENTRY]
    report = verify(with_status(keys, statuses), now=NOW, fetch=web(keys, revoked=[INDEX]))
    assert report.outcome("withdrawn") == FAILED


def test_a_credential_that_cannot_be_withdrawn_passes_and_says_so(keys):
    document = unsigned()
    document.pop("credentialStatus")
    report = verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys))
    assert report.ok
    assert "not kept a way to withdraw it" in sentence(report, "withdrawn")


# -- not whole --------------------------------------------------------------------------------------------------


def drop(*path):
    def change(document):
        at = document
        for step in path[:-1]:
            at = at[step]
        at.pop(path[-1])

    return change


def put(value, *path):
    def change(document):
        at = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


ACHIEVEMENT = ("credentialSubject", "achievement")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        *((drop(member), "complete") for member in ("id", "type", "issuer", "validFrom", "credentialSubject")),
        (drop("@context"), "complete"),
        *((drop(*ACHIEVEMENT, member), "complete") for member in ("id", "type", "name", "description", "criteria")),
        (drop(*ACHIEVEMENT), "complete"),
        (drop("issuer", "type"), "complete"),
        (drop("issuer", "id"), "complete"),
        (put(DID, "issuer"), "complete"),
        (put([], "credentialSubject"), "complete"),
        (put("2026-03-01", "validFrom"), "complete"),
        (put("2026-03-01T09:00:00", "validFrom"), "complete"),
        (put("2026-13-01T09:00:00Z", "validFrom"), "complete"),
        (put(["VerifiableCredential"], "type"), "complete"),
        (lambda d: d["@context"].reverse(), "complete"),
        (put({"@vocab": "https://x.example/"}, "@context", 2), "complete"),
        (put("_:b0", *ACHIEVEMENT, "creator", "id"), "complete"),
        (put([{"id": "urn:x", "@reverse": {}}], "evidence"), "complete"),
        (put("urn:uuid:nowhere", "credentialSubject", "result", 0, "achievedLevel"), "links"),
        (put("urn:uuid:nowhere", "credentialSubject", "result", 0, "resultDescription"), "links"),
        (put({"a": []}, "credentialSubject", "result", 0, "resultDescription"), "complete"),
        (put("urn:uuid:nowhere", *ACHIEVEMENT, "resultDescription", 0, "requiredLevel"), "links"),
    ],
)  # fmt: skip
def test_a_credential_that_is_not_whole_fails_and_says_what_is_missing(keys, change, name):
    document = json.loads(json.dumps(unsigned()))
    change(document)
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert report.outcome(name) == FAILED
    assert not report.ok


@pytest.mark.parametrize(
    "named",
    [
        [*unsigned()["@context"][:1], "https://purl.imsglobal.org/spec/ob/v3p0/context.json"],
        [*unsigned()["@context"], "https://elsewhere.example/words.json"],
    ],
)
def test_words_that_are_not_known_here_are_not_fetched_and_not_judged(keys, named):
    fetch = web(keys)
    report = verify(json.dumps({**unsigned(), "@context": named}), now=NOW, fetch=fetch)
    assert report.outcome("complete") == UNKNOWN
    assert fetch.asked == []


# -- files and texts that hold none, or harm --------------------------------------------------------------------


def deep(levels: int) -> str:
    return '{"@context":' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "not a PNG, SVG, PDF, JSON or JWT"),
        ("hello", "not a PNG, SVG, PDF, JSON or JWT"),
        (b"\xff\xfe\x00", "not a PNG, SVG, PDF, JSON or JWT"),
        ("{}", "not a credential"),
        ('{"a": 1}', "not a credential"),
        ("[]", "not a PNG, SVG, PDF, JSON or JWT"),
        ('{"type": }', "not well formed"),
        ('{"type": NaN}', "not well formed"),
        ('{"type": 1e999}', "not well formed"),
        ('{"type": ' + "9" * 5000 + "}", "not well formed"),
        ('{"type": 1, "type": 2}', "the same part twice"),
        ('{"type": "\ud800"}', "not a PNG, SVG, PDF, JSON or JWT"),
        (deep(DEEPEST + 1), "nested deeper"),
        (deep(200_000), "nested deeper"),
        ('{"type": [' + "1," * 5_000 + "1]}", "more parts"),
        ('{"type": "' + "x" * (5 * 1024 * 1024) + '"}', "larger than 5 MB"),
        ('{"type": ' + '"\\"' * 1_500_000, "not well formed"),
        ("a.b.c", "cannot be read"),
        ("e30.e30.", "does not name the words"),
        ("e30=.e30.", "not a PNG, SVG, PDF, JSON or JWT"),
        ("%PDF-1.7 …", "This PDF shows a credential but does not hold one"),
        ("<!doctype html><html>", "This is a web page"),
        ("<svg/>", "holds no credential"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>', "entities of its own"),
        (render_png(draw(Picture(alt="x"), slug="x", ribbon="", pips=0), 90), "holds no credential"),
        (render_png(draw(Picture(alt="x"), slug="x", ribbon="", pips=0), 90)[:-9], "damaged"),
        (bake_png(render_png(draw(Picture(alt="x"), slug="x", ribbon="", pips=0), 90), "hi"), "not a PNG, SVG"),
    ],
)
def test_what_holds_no_credential_or_would_harm_is_answered_in_words(data, words):
    report = verify(data, now=NOW, fetch=Web({}))
    assert not report.ok
    assert any(words in check.sentence for check in report.checks), [c.sentence for c in report.checks]


def test_an_older_badge_in_a_picture_is_named_as_such():
    png = render_png(draw(Picture(alt="x"), slug="x", ribbon="", pips=0), 90)
    first = json.dumps(
        {"@context": "https://w3id.org/openbadges/v1", "type": "Assertion", "badge": "https://x.example"}
    )
    report = verify(bake_png(png, first, "openbadges"), now=NOW, fetch=Web({}))
    assert report.outcome("found") == UNKNOWN
    assert "before 2.0" in report.explanation


def test_I22_an_address_that_is_refused_is_not_asked_again_and_leaves_nothing_to_check():
    fetch = Web({"http://127.0.0.1/x": AddressRefused("private")})
    report = verify("http://127.0.0.1/x", now=NOW, fetch=fetch)
    assert (report.outcome("found"), report.ok, report.summary) == (UNKNOWN, False, None)
    assert sentence(report, "found") == "It names an address that is not asked from here."


def test_a_document_made_to_keep_the_canonicalisation_busy_is_given_up_in_a_second(keys):
    document = unsigned()
    poison = [{"type": ["Evidence"]} for _ in range(200)]
    document["evidence"] = [{"type": ["Evidence"], "name": "x"}, *poison]
    proof = signing.proof_options(f"{DID}#{keys.ed25519.kid}", ISSUED)
    report = verify(
        json.dumps({**document, "proof": {**proof, "proofValue": "z" + "2" * 87}}), now=NOW, fetch=web(keys)
    )
    assert report.outcome("unchanged") == UNKNOWN
    assert "reasonable time" in sentence(report, "unchanged")


# -- what a stranger's text may make this server do -------------------------------------------------------------


def test_an_unsigned_credential_makes_nobody_ask_the_addresses_it_names(keys):
    entries = [{**ENTRY, "statusListCredential": f"https://victim.example/{n}"} for n in range(2)]
    fetch = web(keys)
    for document in ({**unsigned(), "credentialStatus": entries}, tampered(json.loads(signed(keys).document), ("id",))):
        report = verify(json.dumps(document), now=NOW, fetch=fetch, own=own(keys))
        assert report.outcome("withdrawn") == UNKNOWN and not report.ok
    assert fetch.asked == []


def test_a_signed_credential_names_two_status_lists_at_most(keys):
    entries = [{**ENTRY, "id": f"urn:x:{n}", "statusListCredential": f"{LIST}{n}"} for n in range(400)]
    for status in (entries, [ENTRY] * 3):
        fetch = web(keys)
        report = verify(with_status(keys, status), now=NOW, fetch=fetch)
        assert report.outcome("complete") == FAILED and fetch.asked == []


def test_a_credential_or_a_status_list_carries_two_signatures_at_most(keys):
    def signed_often(document, times):
        proofs = [{**document["proof"], "verificationMethod": f"{BASE}/keys/{n}"} for n in range(times)]
        return {**document, "proof": proofs}

    fetch = web(keys)
    report = verify(json.dumps(signed_often(json.loads(signed(keys).document), 3)), now=NOW, fetch=fetch)
    assert (report.outcome("unchanged"), report.outcome("key"), fetch.asked) == (FAILED, FAILED, [])
    fetch = web(keys, pages={LIST: signed_often(json.loads(web(keys).pages[LIST]), 300)})
    assert verify(signed(keys).document, now=NOW, fetch=fetch).outcome("withdrawn") == UNKNOWN
    assert fetch.asked == [f"{BASE}/.well-known/did.json", LIST]
    both = json.loads(signed(keys).document)
    assert verify(json.dumps({**both, "proof": [both["proof"]] * 2}), now=NOW, fetch=web(keys)).ok


def test_one_check_asks_seven_addresses_and_no_more(keys, monkeypatch):
    # More than a credential can name within the other limits; this one holds if a way around them is found.
    monkeypatch.setattr("lti_tool.credentials.checking.structure.MOST_STATUSES", 50)
    entries = [{**ENTRY, "id": f"urn:x:{n}", "statusListCredential": f"{LIST}{n}"} for n in range(50)]
    fetch = web(keys)
    report = verify(with_status(keys, entries), now=NOW, fetch=fetch)
    assert report.outcome("withdrawn") == UNKNOWN
    assert len(fetch.asked) == 7


def test_a_large_answer_is_not_kept_for_later(keys):
    entries = [{**ENTRY, "id": f"urn:x:{n}"} for n in range(2)]
    small, large = web(keys), web(keys)
    large.pages[LIST] = b" " * 300_000 + large.pages[LIST]
    for fetch, times in ((small, 1), (large, 2)):
        assert verify(with_status(keys, entries), now=NOW, fetch=fetch).ok
        assert fetch.asked.count(LIST) == times


def test_an_address_that_nothing_can_read_is_no_error_of_ours(keys):
    for odd in (ValueError("Invalid IPv6 URL"), OverflowError("too large")):
        report = verify("https://x.example/", now=NOW, fetch=Web({"https://x.example/": odd}))
        assert report.outcome("found") == UNKNOWN


def test_half_a_character_is_refused_before_it_reaches_a_page(keys):
    report = verify('{"type": ["VerifiableCredential"], "name": "\\ud800"}', now=NOW, fetch=Web({}))
    assert report.outcome("found") == FAILED and report.summary is None


def test_a_busy_server_is_told_as_such_and_not_as_a_check_that_failed(keys):
    with pytest.raises(Busy):
        verify("https://x.example/", now=NOW, fetch=Web({"https://x.example/": Busy()}))


def test_what_cannot_change_is_asked_once_and_status_and_dates_each_time(keys, monkeypatch):
    both = signed(keys, unsigned(valid_until=NOW + timedelta(days=1)))
    first = verify(both.document, now=NOW, fetch=web(keys), own=own(keys))
    known = {check.name: check for check in first.checks if check.name in LASTING}
    assert set(known) == {"complete", "links", "unchanged", "key"}
    monkeypatch.setattr("lti_tool.credentials.verify.complete", None)
    again = {"own": own(keys), "known": known}
    assert verify(both.document, now=NOW, fetch=web(keys), **again) == first
    assert outcomes(verify(both.document, now=NOW, fetch=web(keys, revoked=[INDEX]), **again)) == {"withdrawn": FAILED}
    later = verify(both.document, now=NOW + timedelta(days=2), fetch=web(keys), **again)
    assert later.outcome("dates") == FAILED


# -- hostile values where a text is expected --------------------------------------------------------------------

ODD = [None, True, -1.5, "", "_:x", "\x00", [[]], {}, {"id": {}}, ["x", 1]]


def graph(document: dict) -> str:
    return contexts.canonical_nquads({name: value for name, value in document.items() if name != "proof"})


def test_no_value_anywhere_makes_the_verifier_fall_over(keys):
    document = json.loads(signed(keys).document)
    fetch = web(keys)
    places = [path for path in examples.leaves(document) if "rubricCriterionLevel" not in path]
    branches = {path[:n] for path in places for n in range(1, len(path) + 1)}
    for path in sorted(branches, key=str):
        for value in ODD:
            changed = json.loads(json.dumps(document))
            at = changed
            for step in path[:-1]:
                at = at[step]
            if at[path[-1]] == value:
                continue
            at[path[-1]] = value
            report = verify(json.dumps(changed), now=NOW, fetch=fetch)
            # What is signed is a graph: the issuer's name, said of two objects of one id, may be said once less.
            assert not report.ok or graph(changed) == graph(document), (path, value)


def test_the_verifier_has_no_way_out_but_the_fetch_it_is_given():
    room = Path(__file__).parents[2] / "lti_tool" / "credentials"
    checking = [f"checking/{path.name}" for path in (room / "checking").glob("*.py")]
    for name in ("verify.py", "issuer_keys.py", "untrusted.py", "baking.py", *checking):
        text = (room / name).read_text()
        assert not any(f"import {module}" in text for module in ("requests", "urllib.request", "socket", "urllib3"))
