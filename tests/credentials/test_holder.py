"""Who a wallet is, and that it holds its key. What wallets really send is in tests/interop/test_openid4vci.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from lti_tool.credentials import holder
from lti_tool.errors import ProofRefused
from tests.wallet import Key, base58, base64url

ISSUER = "https://badges.example.edu"
NOW = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)

# Signed once by @digitalcredentials/vc 10.0.2 and ed25519-signature-2020 7.0.0, with a key made for it and thrown away.
MULTIKEY = "z6MkegsJ6ZyaX5fMuXmSgKwBp3UauN4yxNptYFiXhMnDZUoj"
SIGNED: dict[str, Any] = {
    "@context": ["https://www.w3.org/ns/credentials/v2", "https://w3id.org/security/suites/ed25519-2020/v1"],
    "type": ["VerifiablePresentation"],
    "holder": f"did:key:{MULTIKEY}",
    "proof": {
        "type": "Ed25519Signature2020",
        "created": "2026-11-26T22:02:50Z",
        "verificationMethod": f"did:key:{MULTIKEY}#{MULTIKEY}",
        "proofPurpose": "authentication",
        "challenge": 'chal"lenge',
        "proofValue": "z2PutqZkJQaacMPPXyCayKYeo21aC6Dn67G73n6pF4TWuaVKkXGqcZjPVzQzAGeVo5bfhNH2Ry4y5hMih6xMxT3Lr",
    },
}


# -- DIDs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["EdDSA", "ES256"])
def test_a_key_is_the_same_key_by_did_key_did_jwk_and_jwk(kind: str) -> None:
    key = Key(kind)
    by_jwk = holder.key_of_jwk(key.jwk)
    assert holder.key_of_did(key.did) == by_jwk == key.private.public_key()
    assert holder.key_of_did(holder.did_jwk(by_jwk)) == by_jwk


def test_one_key_has_one_did_jwk_however_its_jwk_is_written() -> None:
    jwk = Key("ES256").jwk
    dressed = {**dict(reversed(jwk.items())), "use": "sig", "kid": "x", "alg": "ES256"}
    assert holder.did_jwk(holder.key_of_jwk(dressed)) == holder.did_jwk(holder.key_of_jwk(jwk))


def test_the_examples_of_the_did_methods_are_read() -> None:
    """https://w3c-ccg.github.io/did-key-spec/#ed25519-x25519 and #p-256"""
    assert isinstance(
        holder.key_of_did("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"), ed25519.Ed25519PublicKey
    )
    holder.key_of_did("did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169")


RAW = b"\xed\x01" + b"\x05" * 32
NO_KEYS = [
    "",
    "did:key:",
    "did:key:z",
    "did:key:z0",
    "did:key:m" + base64url(RAW),
    f"did:key:z1{base58(RAW)}",
    f"did:key:z{base58(RAW)}x",
    f"did:key:z{base58(RAW[:-1])}",
    f"did:key:z{base58(bytes([0xEC, 1]) + RAW[2:])}",
    f"did:key:z{base58(bytes([0x80, 0x24, 4]) + RAW[2:])}",
    "did:key:z" + "1" * 2000,
    "did:web:example.org",
    "did:jwk:",
    "did:jwk:e30",
    "did:jwk:" + base64url(b"[]"),
    "did:jwk:" + base64url(json.dumps({**Key().jwk, "crv": "X25519"}).encode()),
    "did:jwk:" + base64url(json.dumps({**Key("ES256").jwk, "x": base64url(b"1" * 32)}).encode()),
    "did:jwk:" + base64url(json.dumps({**Key("ES256").jwk, "y": "AA"}).encode()),
    "did:jwk:" + base64url(json.dumps({"kty": "RSA", "n": "AQAB", "e": "AQAB"}).encode()),
    "did:jwk:" + base64url(json.dumps({"kty": "oct", "k": "AQAB"}).encode()),
]


@pytest.mark.parametrize("did", NO_KEYS)
def test_what_is_no_key_is_refused(did: str) -> None:
    with pytest.raises(ProofRefused):
        holder.key_of_did(did)


# -- JWT proofs -------------------------------------------------------------------------------------------------


def test_a_proof_tells_holder_and_nonce() -> None:
    key, at = Key(), int(NOW.timestamp())
    proof = holder.check_jwt(key.proof(ISSUER, "n", iat=at), audience=ISSUER, now=NOW)
    assert proof == holder.KeyProof(key.did, "n")
    bare = holder.check_jwt(key.proof(ISSUER, "n", iat=at, header={"kid": key.did}), audience=ISSUER, now=NOW)
    assert bare == proof


@pytest.mark.parametrize(("minutes", "taken"), [(-16, False), (-14, True), (4, True), (6, False)])
def test_a_proof_is_taken_minutes_from_our_clock_and_no_more(minutes: int, taken: bool) -> None:
    proof = Key().proof(ISSUER, "n", iat=int(NOW.timestamp()) + 60 * minutes)
    if taken:
        holder.check_jwt(proof, audience=ISSUER, now=NOW)
    else:
        with pytest.raises(ProofRefused, match="clock"):
            holder.check_jwt(proof, audience=ISSUER, now=NOW)


def test_one_changed_character_of_a_proof_is_refused() -> None:
    proof = Key().proof(ISSUER, "n", iat=int(NOW.timestamp()))
    holder.check_jwt(proof, audience=ISSUER, now=NOW)
    for place in range(0, len(proof), 7):
        other = "A" if proof[place] != "A" else "B"
        with pytest.raises(ProofRefused):
            holder.check_jwt(proof[:place] + other + proof[place + 1 :], audience=ISSUER, now=NOW)


# -- presentations ----------------------------------------------------------------------------------------------


def check(presentation: Any, **changes: Any) -> str:
    made = datetime.fromisoformat(SIGNED["proof"]["created"])
    told = {"challenge": SIGNED["proof"]["challenge"], "domain": ISSUER, "now": made, **changes}
    return holder.check_presentation(presentation, **told)


def test_a_presentation_that_others_signed_tells_its_holder() -> None:
    assert check(SIGNED) == SIGNED["holder"]


def test_each_changed_member_of_a_presentation_is_refused() -> None:
    other = Key()
    changes: list[dict[str, Any]] = [
        {"holder": other.did},
        {"id": "urn:uuid:1"},
        {"id": "x> <urn:a> <urn:b"},
        {"id": 7},
        {"type": ["VerifiablePresentation", "More"]},
        {"@context": SIGNED["@context"][:1]},
        {"@context": [*SIGNED["@context"], "https://example.org/context"]},
        {"@context": [*SIGNED["@context"][:1], {"holder": "https://example.org/x"}]},
        {"verifiableCredential": []},
        {"proof": [SIGNED["proof"]]},
        {"proof": None},
    ]
    for change in changes:
        with pytest.raises(ProofRefused):
            check({**SIGNED, **change})


def test_each_changed_member_of_a_presentations_proof_is_refused() -> None:
    other = Key()
    changes: list[dict[str, Any]] = [
        {"type": "Ed25519Signature2018"},
        {"type": "DataIntegrityProof"},
        {"type": "DataIntegrityProof", "cryptosuite": "eddsa-rdfc-2022"},
        {"created": SIGNED["proof"]["created"].replace("Z", ".5Z")},
        {"created": "now"},
        {"created": "2026-11-26T22:02:50"},
        {"verificationMethod": other.kid},
        {"verificationMethod": SIGNED["holder"]},
        {"verificationMethod": None},
        {"proofPurpose": "assertionMethod"},
        {"challenge": "another"},
        {"domain": ISSUER},
        {"nonce": "x"},
        {"@context": "https://example.org/context"},
        {"proofValue": "z" + base58(b"1" * 64)},
        {"proofValue": "uAAAA"},
        {"proofValue": 7},
        {"proofValue": "z" + "1" * 5000},
    ]
    for change in changes:
        with pytest.raises(ProofRefused):
            check({**SIGNED, "proof": {**SIGNED["proof"], **change}})


def test_a_presentation_of_another_hour_or_for_another_host_is_refused() -> None:
    made = datetime.fromisoformat(SIGNED["proof"]["created"])
    for hours in (-1, 1):
        with pytest.raises(ProofRefused, match="another time"):
            check(SIGNED, now=made + timedelta(hours=hours))
    with pytest.raises(ProofRefused, match="domain"):
        check({**SIGNED, "proof": {**SIGNED["proof"], "domain": "https://another.example"}})
