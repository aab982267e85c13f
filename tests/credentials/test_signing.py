"""Signatures: the same bytes twice, the right header, and nothing changed goes unseen."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.credentials import ob3, signing
from lti_tool.credentials.canonical import canonical_by_pyld
from lti_tool.credentials.contexts import canonical_nquads
from lti_tool.errors import CredentialHeldBack
from lti_tool.keyring import Key, thumbprint
from tests.credentials import examples

Json = dict[str, Any]


def unsigned(facts: ob3.EditionFacts | None = None) -> Json:
    return ob3.credential(examples.achievement(), examples.issuer(), facts or examples.everything())


def sign(credential: Json) -> signing.Signed:
    return signing.sign(credential, ed25519=examples.ed25519_key(), rsa=examples.rsa_key(), created=examples.CREATED)


def header(token: str) -> Json:
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_i04_the_same_award_signed_twice_gives_the_same_bytes() -> None:
    assert sign(unsigned()) == sign(unsigned())


def test_the_document_is_the_credential_and_its_proof_in_order() -> None:
    credential = unsigned()
    document = json.loads(sign(credential).document)
    proof = document.pop("proof")
    assert list(document.items()) == list(credential.items())
    assert proof.pop("proofValue").startswith("z")
    assert proof == {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-rdfc-2022",
        "created": "2026-11-20T16:04:05Z",
        "verificationMethod": f"did:web:badges.example.edu#{examples.ed25519_key().kid}",
        "proofPurpose": "assertionMethod",
    }


def test_the_proof_verifies_with_the_published_key_and_no_other() -> None:
    document = json.loads(sign(unsigned()).document)
    assert signing.verify_proof(document, examples.ed25519_key().public)
    assert not signing.verify_proof(document, Ed25519PrivateKey.generate().public_key())


def test_the_proof_configuration_kept_as_text_is_the_one_pyld_makes() -> None:
    options = signing.proof_options("did:web:x.example#k", examples.CREATED + timedelta(days=1))
    contexts = unsigned()["@context"]
    expected = hashlib.sha256(canonical_by_pyld({"@context": contexts, **options}).encode()).digest()
    assert signing.proof_digest(contexts, options) == expected


def test_I02_a_token_says_how_and_with_which_key_it_is_signed_and_nothing_more() -> None:
    for key, algorithm in ((examples.rsa_key(), "RS256"), (examples.ed25519_key(), "EdDSA")):
        token = signing.vc_jwt(unsigned(), signing.compact(unsigned()), key)
        assert header(token) == {"alg": algorithm, "kid": f"{examples.BASE}/keys/{key.kid}", "typ": "JWT"}
        claims = jwt.decode(token, key.public, algorithms=[algorithm], options={"verify_nbf": False})
        credential = unsigned()
        assert claims["iss"] == credential["issuer"]["id"]
        assert (claims["jti"], claims["sub"]) == (credential["id"], credential["credentialSubject"]["id"])
        assert claims["nbf"] == int(examples.CREATED.timestamp()) < claims["exp"]


def test_I04_an_eddsa_token_made_of_the_signed_document_has_the_payload_of_the_other_token() -> None:
    signed = sign(unsigned())
    assert signing.signed_with(signed.document) == examples.ed25519_key().kid
    token = signing.jwt_of_document(signed.document, examples.ed25519_key())
    assert token.split(".")[1] == signed.jwt.split(".")[1]
    assert token == signing.jwt_of_document(signed.document, examples.ed25519_key())


def test_i05_one_changed_character_anywhere_breaks_the_proof() -> None:
    small = examples.badge(sub_competencies=examples.badge().sub_competencies[:1])
    facts = replace(examples.everything(), reached=examples.facts().reached[:1])
    document = json.loads(sign(ob3.credential(examples.achievement(small), examples.issuer(), facts)).document)
    paths = list(examples.leaves(document))
    assert len(paths) > 120
    unseen = [
        path for path in paths if signing.verify_proof(examples.changed(document, path), examples.ed25519_key().public)
    ]
    assert unseen == []


def test_i05_a_member_added_or_taken_away_breaks_the_proof() -> None:
    document = json.loads(sign(unsigned()).document)
    key = examples.ed25519_key().public
    assert not signing.verify_proof({**document, "awardedDate": "2026-11-20T16:04:05Z"}, key)
    assert not signing.verify_proof({**document, "unknownTerm": "x"}, key)
    for member in document:
        assert not signing.verify_proof({m: v for m, v in document.items() if m != member}, key), member


@pytest.mark.parametrize(
    "change",
    [
        {"proofPurpose": "authentication"},
        {"cryptosuite": "eddsa-jcs-2022"},
        {"type": "Ed25519Signature2020"},
        {"proofValue": "z"},
        {"proofValue": "u" + "A" * 86},
        {"proofValue": "z0OIl"},
        {"proofValue": 5},
        {"created": "2027-01-01T00:00:00Z"},
        {"domain": "example.org"},
    ],
)
def test_i05_a_proof_of_another_sort_is_not_a_proof(change: Json) -> None:
    document = json.loads(sign(unsigned()).document)
    document["proof"] |= change
    assert not signing.verify_proof(document, examples.ed25519_key().public)


def test_a_good_signature_for_another_purpose_is_not_an_assertion() -> None:
    credential = unsigned()
    options = signing.proof_options(f"{examples.issuer().did}#k", examples.CREATED) | {"proofPurpose": "authentication"}
    config = canonical_nquads({"@context": credential["@context"], **options}).encode()
    document = canonical_nquads(credential).encode()
    signature = examples.ed25519_key().private.sign(hashlib.sha256(config).digest() + hashlib.sha256(document).digest())
    proof = {**options, "proofValue": signing.base58_multibase(signature)}
    assert not signing.verify_proof({**credential, "proof": proof}, examples.ed25519_key().public)


def test_two_proofs_or_none_are_not_one() -> None:
    document = json.loads(sign(unsigned()).document)
    key = examples.ed25519_key().public
    assert signing.verify_proof({**document, "proof": [document["proof"]]}, key)
    assert not signing.verify_proof({**document, "proof": [document["proof"]] * 2}, key)
    assert not signing.verify_proof(unsigned(), key)


def test_i02_the_jwt_has_exactly_the_profiles_header_and_claims() -> None:
    credential = unsigned()
    token = sign(credential).jwt
    key = examples.rsa_key()
    assert header(token) == {"alg": "RS256", "kid": f"{examples.BASE}/keys/{key.kid}", "typ": "JWT"}
    claims = jwt.decode(token, key.public, algorithms=["RS256"], options={"verify_nbf": False, "verify_exp": False})
    registered = {name: claims.pop(name) for name in ("iss", "jti", "nbf", "sub", "exp")}
    assert claims == credential
    assert registered == {
        "iss": "did:web:badges.example.edu",
        "jti": credential["id"],
        "nbf": int(examples.CREATED.timestamp()),
        "sub": credential["credentialSubject"]["id"],
        "exp": int(datetime(2029, 11, 20, 16, 4, 5, tzinfo=UTC).timestamp()),
    }


def test_i02_the_jwt_of_an_ed25519_key_says_eddsa_and_is_that_of_the_document_without_its_proof() -> None:
    key, credential = examples.ed25519_key(), unsigned()
    token = signing.vc_jwt(credential, signing.compact(credential), key)
    assert header(token) == {"alg": "EdDSA", "kid": f"{examples.BASE}/keys/{key.kid}", "typ": "JWT"}
    jwt.decode(token, key.public, algorithms=["EdDSA"], options={"verify_nbf": False, "verify_exp": False})
    both = sign(credential)
    assert signing.jwt_of_document(both.document, key) == token
    assert signing.jwt_of_document(both.document, examples.rsa_key()) == both.jwt


def test_i02_a_credential_that_does_not_expire_has_no_exp() -> None:
    token = sign(unsigned(examples.facts())).jwt
    claims = jwt.decode(token, examples.rsa_key().public, algorithms=["RS256"], options={"verify_nbf": False})
    assert "exp" not in claims


def test_i05_a_changed_jwt_is_refused() -> None:
    token = sign(unsigned()).jwt
    for place in range(10, len(token) - 2, len(token) // 40):
        if token[place] != ".":
            other = token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
            with pytest.raises(jwt.InvalidTokenError):
                jwt.decode(other, examples.rsa_key().public, algorithms=["RS256"], options={"verify_nbf": False})


def test_i07_a_credential_signed_with_a_key_since_retired_verifies() -> None:
    document = json.loads(sign(unsigned()).document)
    retired = replace(examples.ed25519_key(), retired=datetime(2027, 1, 1, tzinfo=UTC))
    published = ob3.did_document(examples.issuer().did, [retired], [], examples.BASE)
    method = next(m for m in published["verificationMethod"] if m["id"] == document["proof"]["verificationMethod"])
    assert signing.verify_proof(document, signing.key_of_multikey(method["publicKeyMultibase"]))


def test_i08_our_issuer_id_with_anothers_key_does_not_verify() -> None:
    private = Ed25519PrivateKey.generate()
    attacker = Key(thumbprint(private.public_key()), "ed25519", private, examples.CREATED)
    forged = json.loads(
        signing.sign(unsigned(), ed25519=attacker, rsa=examples.rsa_key(), created=examples.CREATED).document
    )
    assert not signing.verify_proof(forged, examples.ed25519_key().public)


def test_a_document_with_an_undefined_term_is_not_signed() -> None:
    with pytest.raises(CredentialHeldBack, match="extra"):
        sign({**unsigned(), "extra": "x"})


def test_a_signature_damaged_while_signing_does_not_leave_the_house() -> None:
    class Faulty:
        """A private key whose processor flips a bit."""

        def sign(self, data: bytes) -> bytes:
            good: bytes = examples.ed25519_key().private.sign(data)
            return good[:-1] + bytes([good[-1] ^ 1])

        def public_key(self) -> Any:
            return examples.ed25519_key().public

    with pytest.raises(CredentialHeldBack):
        signing.sign_document(
            unsigned(), ed25519=replace(examples.ed25519_key(), private=Faulty()), created=examples.CREATED
        )


@given(st.binary(max_size=80))
def test_base58_reads_back_what_it_wrote(raw: bytes) -> None:
    assert signing.base58_bytes(signing.base58_multibase(raw)) == raw


@pytest.mark.parametrize("text", ["", "m00", "z0", "zO", "z" * 200, None, "zé"])
def test_what_is_no_base58_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="base58"):
        signing.base58_bytes(text)


def test_a_multikey_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        signing.key_of_multikey(signing.base58_multibase(b"\x80\x24" + b"x" * 33))
