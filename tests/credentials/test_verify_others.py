"""Checking what others issue: older and newer credentials, Open Badges 2.0, learner records, endorsements."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from lti_tool.credentials import contexts, signing, status_list
from lti_tool.credentials.baking import bake_png
from lti_tool.credentials.issuer_keys import Own
from lti_tool.credentials.picture import draw, render_png
from lti_tool.credentials.verify import FAILED, PASSED, UNKNOWN, verify
from lti_tool.domain.badge import Picture
from lti_tool.errors import ServiceUnreachable
from lti_tool.keyring import Keyring
from lti_tool.services.editions import MOST_ENDORSEMENTS
from tests.credentials.test_verify import (
    BASE,
    DID,
    ENTRY,
    INDEX,
    ISSUED,
    LIST,
    NOW,
    Answer,
    Web,
    data_integrity,
    did_document,
    keys,
    listing,
    others,
    outcomes,
    sentence,
    token,
    unsigned,
    web,
)

__all__ = ["keys", "others"]

Json = dict[str, Any]

P256 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
OB301 = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.1.json"
ED2020 = "https://w3id.org/security/suites/ed25519-2020/v1"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def p256_multikey() -> str:
    point = P256.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    return signing.base58_multibase(b"\x80\x24" + point)


def p256_jwk() -> Json:
    numbers = P256.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(numbers.x.to_bytes(32, "big")),
        "y": b64(numbers.y.to_bytes(32, "big")),
    }


def p256_signature(signed: bytes) -> bytes:
    r, s = decode_dss_signature(P256.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def of_issuer(did: str, document: Json | None = None) -> Json:
    document = json.loads(json.dumps(document or unsigned()))
    document["issuer"]["id"] = did
    document["credentialSubject"]["achievement"]["creator"]["id"] = did
    document.pop("credentialStatus", None)
    return document


def with_p256_did() -> tuple[str, Json]:
    """Return a did:web whose only key is on P-256, and its document."""
    did = "did:web:ecdsa.example"
    method = {"id": f"{did}#p", "type": "Multikey", "controller": did, "publicKeyMultibase": p256_multikey()}
    return did, {"id": did, "verificationMethod": [method], "assertionMethod": [f"{did}#p"]}


# -- suites and methods -----------------------------------------------------------------------------------------


def proven(document: Json, proof: Json, sign: Callable[[bytes], bytes], canonical: Callable[[Json], bytes]) -> Json:
    config = dict(proof) if canonical is rfc8785.dumps else {"@context": document["@context"], **proof}
    signed = hashlib.sha256(canonical(config)).digest() + hashlib.sha256(canonical(document)).digest()
    return {**document, "proof": {**proof, "proofValue": signing.base58_multibase(sign(signed))}}


def by_rdf(document: Json) -> bytes:
    return contexts.canonical_nquads(document).encode()


@pytest.mark.parametrize(("suite", "canonical"), [("ecdsa-rdfc-2019", by_rdf), ("ecdsa-jcs-2019", rfc8785.dumps)])
def test_a_proof_on_p256_is_checked(suite: str, canonical: Callable[[Json], bytes]) -> None:
    did, listed = with_p256_did()
    proof = {**signing.proof_options(f"{did}#p", ISSUED), "cryptosuite": suite}
    document = proven(of_issuer(did), proof, p256_signature, canonical)
    pages = Web({"https://ecdsa.example/.well-known/did.json": listed})
    assert verify(json.dumps(document), now=NOW, fetch=pages).ok
    document["name"] += "x"
    assert outcomes(verify(json.dumps(document), now=NOW, fetch=pages))["unchanged"] == FAILED


def test_a_proof_over_canonical_json_is_checked(keys: Keyring) -> None:
    proof = {**signing.proof_options(f"{DID}#{keys.ed25519.kid}", ISSUED), "cryptosuite": "eddsa-jcs-2022"}
    document = proven(unsigned(), proof, keys.ed25519.private.sign, rfc8785.dumps)
    assert verify(json.dumps(document), now=NOW, fetch=web(keys)).ok
    document["description"] += "x"
    assert not verify(json.dumps(document), now=NOW, fetch=web(keys)).ok


def test_a_suite_that_cannot_be_checked_is_named_and_is_neither_good_nor_bad(keys: Keyring) -> None:
    for changes in ({"cryptosuite": "bbs-2023"}, {"cryptosuite": "ecdsa-sd-2023"}, {"type": "RsaSignature2018"}):
        document = json.loads(json.dumps(data_integrity(keys, unsigned())))
        document["proof"] |= changes
        report = verify(json.dumps(document), now=NOW, fetch=web(keys))
        assert report.outcome("unchanged") == report.outcome("key") == UNKNOWN
        assert next(iter(changes.values())) in sentence(report, "unchanged")
        assert (report.ok, report.verdict) == (False, "Not everything could be checked")


@pytest.mark.parametrize("named", ["bare", "jwks", "did"])
def test_a_token_on_p256_is_checked_with_a_key_at_an_address(named: str) -> None:
    did, listed = with_p256_did()
    address = {"bare": "https://ecdsa.example/k", "jwks": "https://ecdsa.example/jwks#k1", "did": f"{did}#p"}[named]
    document = of_issuer(did)
    claims = {"iss": did, "jti": document["id"], "sub": document["credentialSubject"]["id"]}
    made = jwt.encode(document | claims, P256, "ES256", headers={"kid": address})
    pages = Web(
        {
            "https://ecdsa.example/.well-known/did.json": listed,
            "https://ecdsa.example/k": p256_jwk(),
            "https://ecdsa.example/jwks#k1": {"keys": [{"kid": "k0", "kty": "OKP"}, {**p256_jwk(), "kid": "k1"}]},
        }
    )
    assert outcomes(verify(made, now=NOW, fetch=pages)) == {}
    head, body, _ = made.split(".")
    assert verify(f"{head}.{body}.{b64(bytes(64))}", now=NOW, fetch=pages).outcome("unchanged") == FAILED


@pytest.mark.parametrize("alg", ["RS384", "PS256", "ES384", "ES256K"])
def test_a_token_of_another_good_method_could_not_be_checked(keys: Keyring, alg: str) -> None:
    _, body, signature = token(keys).split(".")
    head = b64(json.dumps({"alg": alg, "kid": f"{BASE}/keys/{keys.rsa.kid}"}).encode())
    report = verify(f"{head}.{body}.{signature}", now=NOW, fetch=web(keys))
    assert report.outcome("key") == UNKNOWN and alg in sentence(report, "key")


def test_addresses_of_keys_in_a_tokens_header_are_never_asked(keys: Keyring, others: Keyring) -> None:
    evil = {"jku": "https://evil.example/jwks", "x5u": "https://evil.example/x", "x5c": ["AAAA"]}
    fetch = web(keys, pages={"https://evil.example/jwks": {"keys": [others.rsa.public_jwk()]}})
    assert verify(token(keys, header=evil), now=NOW, fetch=fetch).ok
    assert not verify(token(others, header=evil), now=NOW, fetch=fetch).ok
    alone = verify(token(others, header={**evil, "kid": None}), now=NOW, fetch=fetch)
    assert alone.outcome("key") == FAILED
    assert not any("evil" in url for url in fetch.asked)


def test_a_key_set_must_name_the_key(keys: Keyring) -> None:
    issuer = f"{BASE}/issuers/x"
    both = {"keys": [{**keys.rsa.public_jwk(), "kid": "a"}, {**p256_jwk(), "kid": "b"}]}
    made = token(keys, of_issuer(issuer), {"kid": f"{BASE}/jwks"})
    listed = {issuer: listing(issuer, {"id": "#k", "type": "JsonWebKey", "publicKeyJwk": keys.rsa.public_jwk()})}
    listed[issuer]["assertionMethod"] = ["#k"]
    assert verify(made, now=NOW, fetch=web(keys, pages={f"{BASE}/jwks": both} | listed)).outcome("key") == FAILED
    only = {"keys": both["keys"][:1]}
    assert verify(made, now=NOW, fetch=web(keys, pages={f"{BASE}/jwks": only} | listed)).ok


# -- VCDM 1.1 ---------------------------------------------------------------------------------------------------


def older(did: str = DID) -> Json:
    document = of_issuer(did)
    document["@context"] = ["https://www.w3.org/2018/credentials/v1", OB301, ED2020]
    document["issuanceDate"] = document.pop("validFrom")
    document.pop("credentialSchema")
    document["credentialSubject"]["achievement"].pop("inLanguage")  # the context of that time does not know it
    return document


def test_a_credential_of_2023_is_checked_by_its_older_proof(keys: Keyring) -> None:
    proof = {**signing.proof_options(f"{DID}#{keys.ed25519.kid}", ISSUED), "type": "Ed25519Signature2020"}
    proof.pop("cryptosuite")
    document = proven({**older(), "expirationDate": "2026-07-01T00:00:00Z"}, proof, keys.ed25519.private.sign, by_rdf)
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert outcomes(report) == {}
    assert report.summary is not None and report.summary.valid_from == ISSUED
    assert sentence(report, "dates") == "Yes, until 1 July 2026."
    assert verify(json.dumps(document), now=NOW + timedelta(days=90), fetch=web(keys)).outcome("dates") == FAILED
    document["credentialSubject"]["achievement"]["name"] += "x"
    assert not verify(json.dumps(document), now=NOW, fetch=web(keys)).ok


def test_a_token_of_2023_carries_its_credential_in_a_claim(keys: Keyring) -> None:
    inner = older()
    for member in ("id", "issuer"):
        inner.pop(member)
    issuer = {"id": DID, "type": ["Profile"], "name": "Northbridge"}
    claims = {"jti": "urn:x:1", "nbf": int(ISSUED.timestamp()), "sub": inner["credentialSubject"]["id"], "iss": DID}
    header = {"kid": f"{BASE}/keys/{keys.rsa.kid}"}
    made = jwt.encode({"vc": {**inner, "issuer": issuer}, **claims}, keys.rsa.private, "RS256", headers=header)
    assert outcomes(verify(made, now=NOW, fetch=web(keys))) == {}
    wrong = {**claims, "nbf": 1}
    made = jwt.encode({"vc": {**inner, "issuer": issuer}, **wrong}, keys.rsa.private, "RS256", headers=header)
    assert verify(made, now=NOW, fetch=web(keys)).outcome("complete") == FAILED


def test_words_that_are_not_known_are_named(keys: Keyring) -> None:
    strange = "https://elsewhere.example/words.json"
    document = {**unsigned(), "@context": [*unsigned()["@context"], strange]}
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert report.outcome("complete") == UNKNOWN and strange in sentence(report, "complete")
    assert report.verdict == "Not everything could be checked"


# -- form, schema, renewal --------------------------------------------------------------------------------------


def put(document: Json, value: Any, *path: Any) -> Json:
    changed = json.loads(json.dumps(document))
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


ROW = ("credentialSubject", "achievement", "resultDescription", 0)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (3, (*ROW, "rubricCriterionLevel", 0, "points")),
        ("Grade", (*ROW, "resultType")),
        ("Passed", ("credentialSubject", "result", 0, "status")),
        ("a picture", ("credentialSubject", "achievement", "image")),
        ({"id": "urn:x", "type": "Image", "alt": "x"}, ("credentialSubject", "achievement", "image")),
        ("1.5", ("credentialSubject", "achievement", "creditsAvailable")),
        ("EN-us", ("credentialSubject", "achievement", "inLanguage")),
        ("Sticker", ("credentialSubject", "achievement", "achievementType")),
        (
            [{"type": "IdentityObject", "identityHash": "x", "identityType": "name"}],
            ("credentialSubject", "identifier"),
        ),
        ([{"name": "x"}], ("evidence",)),
    ],
)
def test_a_value_that_the_standard_does_not_allow_is_found(keys: Keyring, value: Any, path: tuple[Any, ...]) -> None:
    document = put(unsigned(), value, *path)
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert report.outcome("complete") == FAILED


def test_a_form_of_the_issuers_own_is_named_and_not_taken_for_kept(keys: Keyring) -> None:
    document = {**unsigned(), "credentialSchema": [{"id": "https://s.example/x.json", "type": "JsonSchema"}]}
    report = verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys))
    assert outcomes(report) == {"schema": UNKNOWN}
    assert "s.example" in sentence(report, "schema")


def test_an_ended_credential_says_who_gives_out_renewed_ones_and_nobody_is_asked(keys: Keyring) -> None:
    service = {"id": "https://renew.example/1", "type": "1EdTechCredentialRefresh"}
    document = {**unsigned(valid_until=NOW - timedelta(days=1)), "refreshService": service}
    fetch = web(keys)
    report = verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=fetch)
    assert outcomes(report) == {"dates": FAILED}
    assert "renew.example" in sentence(report, "dates")
    assert not any("renew" in url for url in fetch.asked)


# -- the older list ---------------------------------------------------------------------------------------------

REVOKED = "https://badges.northbridge.example/revoked"


def of_older_list(keys: Keyring, listed: Any) -> Any:
    document = {**unsigned(), "credentialStatus": {"id": REVOKED, "type": "1EdTechRevocationList"}}
    return verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys, pages={REVOKED: listed}))


def test_I09_the_older_list_of_revoked_ids_is_read(keys: Keyring) -> None:
    own = unsigned()["id"]
    for entries, outcome in (
        ([], PASSED),
        ([{"id": "urn:x:another"}], PASSED),
        ([{"id": own, "revoked": False}], PASSED),
        ([{"id": own}], FAILED),
        ([{"id": own, "revoked": True, "revocationReason": "Given by mistake"}], FAILED),
    ):
        report = of_older_list(keys, {"id": REVOKED, "issuer": DID, "revokedCredential": entries})
        assert report.outcome("withdrawn") == outcome, entries
    assert "Given by mistake" in sentence(report, "withdrawn")


@pytest.mark.parametrize(
    "listed",
    [
        ServiceUnreachable("down"),
        Answer(404, b""),
        b"<html>",
        {"issuer": DID},
        {"issuer": "did:web:evil.example", "revokedCredential": []},
        {"revokedCredential": []},
    ],
)
def test_I10_an_older_list_that_is_not_there_or_not_the_issuers_says_nothing(keys: Keyring, listed: Any) -> None:
    assert outcomes(of_older_list(keys, listed)) == {"withdrawn": UNKNOWN}


# -- endorsements -----------------------------------------------------------------------------------------------


def endorsement(keys: Keyring, about: str, did: str = DID, **changes: Any) -> Json:
    document = {
        "@context": unsigned()["@context"],
        "id": "https://badges.northbridge.example/endorsements/1",
        "type": ["VerifiableCredential", "EndorsementCredential"],
        "name": "Endorsement",
        "issuer": {"id": did, "type": ["Profile"], "name": "Employers' Association"},
        "validFrom": "2026-03-01T09:00:00Z",
        "credentialSubject": {"id": about, "type": ["EndorsementSubject"], "endorsementComment": "We know it."},
        **changes,
    }
    return data_integrity(keys, document, verificationMethod=f"{did}#{keys.ed25519.kid}")


def test_an_endorsement_alone_is_checked(keys: Keyring) -> None:
    report = verify(json.dumps(endorsement(keys, "urn:x:1")), now=NOW, fetch=web(keys))
    assert outcomes(report) == {} and report.kind == "endorsement"
    changed = put(endorsement(keys, "urn:x:1"), "We do not.", "credentialSubject", "endorsementComment")
    assert not verify(json.dumps(changed), now=NOW, fetch=web(keys)).ok


@pytest.mark.parametrize("where", ["award", "badge", "issuer"])
def test_endorsements_in_a_credential_are_each_checked(keys: Keyring, others: Keyring, where: str) -> None:
    did = "did:web:employers.example"
    pages = {"https://employers.example/.well-known/did.json": did_document(others, did, "https://employers.example")}

    def carrying(made: Callable[[str], Json]) -> Any:
        document = unsigned()
        achievement = document["credentialSubject"]["achievement"]
        node = {"award": document, "badge": achievement, "issuer": document["issuer"]}[where]
        node["endorsement"] = [made(node["id"])]
        return verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys, pages=pages))

    good = carrying(lambda about: endorsement(others, about, did))
    assert outcomes(good) == {} and "Employers' Association" in sentence(good, "endorsements")
    assert outcomes(carrying(lambda _: endorsement(others, "urn:x:else", did))) == {"endorsements": FAILED}
    forged = carrying(
        lambda about: put(endorsement(others, about, did), "x", "credentialSubject", "endorsementComment")
    )
    assert outcomes(forged) == {"endorsements": FAILED}
    pages.clear()
    assert outcomes(carrying(lambda about: endorsement(others, about, did))) == {"endorsements": UNKNOWN}


def test_an_endorsement_at_the_credential_may_be_about_its_badge_or_its_issuer_and_elsewhere_only_about_its_place(
    keys: Keyring,
) -> None:
    def carrying(where: str, about: str) -> Any:
        document = unsigned()
        nodes = {"award": document, "badge": document["credentialSubject"]["achievement"], "issuer": document["issuer"]}
        nodes[where]["endorsement"] = [endorsement(keys, nodes[about]["id"])]
        return outcomes(verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys)))

    assert carrying("award", "badge") == carrying("award", "issuer") == {}
    assert carrying("badge", "issuer") == carrying("issuer", "award") == {"endorsements": FAILED}


def entry(index: int, **changes: Any) -> Json:
    return {**ENTRY, "id": f"{LIST}#{index}", "statusListIndex": str(index), **changes}


def test_an_endorsement_that_was_taken_back_is_told_and_fails_nothing_and_a_forged_one_still_does(
    keys: Keyring, others: Keyring
) -> None:
    about = unsigned()["credentialSubject"]["achievement"]["id"]

    def carrying(*endorsements: Json, revoked: tuple[int, ...] = ()) -> Any:
        document = unsigned()
        document["credentialSubject"]["achievement"]["endorsement"] = list(endorsements)
        return verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys, revoked=revoked))

    mei, ben = (
        endorsement(keys, about, id=f"urn:x:{n}", name=f"Endorsement by {name}", credentialStatus=entry(n))
        for n, name in ((1, "Mei Chen"), (2, "Ben Ode"))
    )
    both = carrying(mei, ben)
    assert both.ok and sentence(both, "endorsements") == "Yes, all 2, by Ben Ode, Mei Chen."
    one = carrying(mei, ben, revoked=(2,))
    assert one.ok and sentence(one, "endorsements").endswith("by Ben Ode, Mei Chen. One has been taken back since.")
    alone = carrying(mei, revoked=(1,))
    assert alone.ok and sentence(alone, "endorsements") == "Yes, one, by Mei Chen. One has been taken back since."
    assert carrying(mei, ben, revoked=(1, 2)).ok
    forged = put(mei, "We do not.", "credentialSubject", "endorsementComment")
    assert outcomes(carrying(forged, ben, revoked=(1, 2))) == {"endorsements": FAILED}
    odd = endorsement(keys, about, id="urn:x:3", credentialStatus=entry(3, statusListIndex="x"))
    assert outcomes(carrying(odd)) == {"endorsements": FAILED}
    ended = endorsement(keys, about, credentialStatus=entry(1), validUntil="2026-05-01T00:00:00Z")
    assert outcomes(carrying(ended, revoked=(1,))) == {"endorsements": FAILED}
    # Whoever issues nothing of its own is named by its name, whatever the endorsement is called.
    did = "did:web:employers.example"
    document = unsigned()
    document["endorsement"] = [endorsement(others, about, did, name="Endorsement by Mei Chen")]
    pages = {"https://employers.example/.well-known/did.json": did_document(others, did, "https://employers.example")}
    theirs = verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys, pages=pages))
    assert sentence(theirs, "endorsements") == "Yes, one, by Employers' Association."


def test_as_many_endorsements_as_a_credential_of_ours_may_carry_are_checked(keys: Keyring) -> None:
    document = unsigned()
    node = document["credentialSubject"]["achievement"]
    node["endorsement"] = [
        endorsement(keys, node["id"], id=f"urn:x:{n}", credentialStatus=entry(n)) for n in range(MOST_ENDORSEMENTS)
    ]
    assert outcomes(verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys))) == {}


def test_an_endorsement_of_an_unsigned_credential_asks_nobody(keys: Keyring) -> None:
    document = unsigned()
    document["endorsement"] = [endorsement(keys, document["id"], "did:web:victim.example")]
    fetch = web(keys)
    report = verify(json.dumps(document), now=NOW, fetch=fetch)
    assert report.outcome("endorsements") == UNKNOWN and not any("victim" in url for url in fetch.asked)


# -- learner records --------------------------------------------------------------------------------------------

CLR = "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json"


def record(carried: list[Any]) -> Json:
    vc, ob, extensions = unsigned()["@context"]
    return {
        "@context": [vc, CLR, ob, extensions],
        "id": f"{BASE}/records/1",
        "type": ["VerifiableCredential", "ClrCredential"],
        "name": "Learner record",
        "issuer": unsigned()["issuer"],
        "validFrom": "2026-03-01T09:00:00Z",
        "credentialSubject": {
            "id": unsigned()["credentialSubject"]["id"],
            "type": ["ClrSubject"],
            "verifiableCredential": carried,
        },
    }


def badges(keys: Keyring, count: int, **facts: Any) -> list[Json]:
    made = [unsigned(credential_id=f"{n:032x}", **facts) for n in range(count)]
    return [data_integrity(keys, document) for document in made]


def test_a_learner_record_is_checked_with_each_credential_in_it(keys: Keyring) -> None:
    report = verify(json.dumps(data_integrity(keys, record(badges(keys, 3)))), now=NOW, fetch=web(keys))
    assert outcomes(report) == {} and report.kind == "record"
    assert sentence(report, "inside") == "Yes, all 3."
    assert [each.ok for each in report.inside] == [True] * 3
    assert all(each.summary is not None and each.summary.name == "Critical Thinking" for each in report.inside)


def test_one_bad_credential_in_a_record_makes_it_one_not_to_rely_on(keys: Keyring) -> None:
    carried = badges(keys, 2)
    document = data_integrity(keys, record(carried))
    revoked = verify(json.dumps(document), now=NOW, fetch=web(keys, revoked=[INDEX]))
    assert outcomes(revoked) == {"inside": FAILED}
    down = verify(json.dumps(document), now=NOW, fetch=web(keys, pages={LIST: ServiceUnreachable("down")}))
    assert outcomes(down) == {"inside": UNKNOWN}
    carried[1]["name"] = "Changed"
    signed_again = verify(json.dumps(data_integrity(keys, record(carried))), now=NOW, fetch=web(keys))
    assert outcomes(signed_again) == {"inside": FAILED}
    assert [each.ok for each in signed_again.inside] == [True, False]


def test_a_changed_record_asks_for_nothing_that_is_in_it(keys: Keyring) -> None:
    document = put(data_integrity(keys, record(badges(keys, 1))), "x", "name")
    report = verify(json.dumps(document), now=NOW, fetch=web(keys))
    assert report.outcome("unchanged") == FAILED and report.outcome("inside") == UNKNOWN and report.inside == ()


def test_a_record_of_more_than_is_checked_at_once_is_not_called_good(keys: Keyring) -> None:
    small = {"type": ["VerifiableCredential"], "id": "urn:x:1"}
    carried = [{**small, "id": f"urn:x:{n}"} for n in range(31)]
    report = verify(json.dumps(data_integrity(keys, record(carried))), now=NOW, fetch=web(keys))
    assert report.outcome("inside") == UNKNOWN and not report.ok


def test_a_record_with_tokens_in_it_is_checked(keys: Keyring) -> None:
    report = verify(json.dumps(data_integrity(keys, record([token(keys)]))), now=NOW, fetch=web(keys))
    assert outcomes(report) == {} and report.inside[0].form == "JWT"


# -- Open Badges 2.0 --------------------------------------------------------------------------------------------

OB2 = "https://w3id.org/openbadges/v2"
HOME = "https://college.example"


def assertion(**changes: Any) -> Json:
    salt = "0123456789abcdef"
    return {
        "@context": OB2,
        "id": f"{HOME}/assertions/1",
        "type": "Assertion",
        "recipient": {
            "type": "email",
            "hashed": True,
            "salt": salt,
            "identity": "sha256$" + hashlib.sha256(f"jonas@example.org{salt}".encode()).hexdigest(),
        },
        "badge": f"{HOME}/badges/1",
        "verification": {"type": "HostedBadge"},
        "issuedOn": "2026-03-01T09:00:00Z",
        **changes,
    }


def college(said: Json | None = None, **pages: Any) -> Web:
    said = said or assertion()
    issuer = {"@context": OB2, "id": f"{HOME}/issuer", "type": "Issuer", "name": "A College", "url": HOME}
    badge = {
        "@context": OB2,
        "id": f"{HOME}/badges/1",
        "type": "BadgeClass",
        "name": "Listening",
        "description": "Listens.",
        "image": f"{HOME}/badges/1.png",
        "criteria": {"narrative": "Listen."},
        "issuer": f"{HOME}/issuer",
    }
    default = {"issuer": issuer, "badges/1": badge, "assertions/1": said}
    return Web({f"{HOME}/{path}": page for path, page in {**default, **pages}.items()})


def ob2(said: Json | None = None, fetch: Web | None = None, now: datetime = NOW) -> Any:
    said = said or assertion()
    return verify(json.dumps(said), now=now, fetch=fetch or college(said))


def test_a_hosted_badge_is_asked_for_at_its_issuer() -> None:
    report = ob2()
    assert outcomes(report) == {} and report.kind == "ob2"
    assert (report.summary.name, report.summary.issuer_name) == ("Listening", "A College")
    assert [c.name for c in report.checks] == ["found", "complete", "hosted", "issuer", "dates", "withdrawn"]
    assert verify(f"{HOME}/assertions/1", now=NOW, fetch=college()).ok


def test_a_hosted_badge_in_a_picture_is_found_as_json_and_as_an_address() -> None:
    png = render_png(draw(Picture(alt="x"), slug="x", ribbon="", pips=0), 90)
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:openbadges="http://openbadges.org">'
    svg += "<openbadges:assertion {}</svg>"
    for baked in (
        bake_png(png, json.dumps(assertion()), "openbadges"),
        bake_png(png, f"{HOME}/assertions/1", "openbadges"),
        svg.format(f'verify="{HOME}/assertions/1"/>').encode(),
        svg.format(f"><![CDATA[{json.dumps(assertion())}]]></openbadges:assertion>").encode(),
    ):
        report = verify(baked, now=NOW, fetch=college())
        assert report.ok and report.form in ("PNG", "SVG")


def test_a_copy_that_its_issuers_server_does_not_confirm_is_not_relied_on() -> None:
    for member, value in {
        "issuedOn": "2025-03-01T09:00:00Z",
        "recipient": {"type": "email", "hashed": False, "identity": "eve@example.org"},
        "expires": "2030-01-01T00:00:00Z",
    }.items():
        report = ob2(assertion(**{member: value}), college(assertion()))
        assert report.outcome("hosted") == FAILED and report.outcome("issuer") == FAILED
        assert report.verdict == "Do not rely on this one"


@pytest.mark.parametrize(
    ("scope", "outcome"),
    [
        (None, FAILED),
        ({"allowedOrigins": "host.example"}, PASSED),
        ({"allowedOrigins": ["other.example", "host.example"]}, PASSED),
        ({"allowedOrigins": "other.example"}, FAILED),
        ({"startsWith": "https://host.example/a/"}, PASSED),
        ({"startsWith": ["https://host.example/b/"]}, FAILED),
        ({"startsWith": "https://host.example.evil/a/"}, FAILED),
        ({"startsWith": "https://host.exam"}, FAILED),
    ],
)
def test_the_address_of_a_hosted_badge_must_be_one_its_issuer_answers_for(scope: Json | None, outcome: str) -> None:
    said = assertion(id="https://host.example/a/1")
    issuer = {**college().pages[f"{HOME}/issuer"], **({"verification": scope} if scope else {})}
    fetch = college(issuer=issuer)
    fetch.pages["https://host.example/a/1"] = said
    assert ob2(said, fetch).outcome("hosted") == outcome


def test_the_rule_about_addresses_is_read_from_the_issuers_own_address_and_not_from_the_badge() -> None:
    said = assertion(id="https://evil.example/1")
    lying = {**college().pages[f"{HOME}/issuer"], "verification": {"allowedOrigins": "evil.example"}}
    said["badge"] = {**college().pages[f"{HOME}/badges/1"], "issuer": lying}
    fetch = college()
    fetch.pages["https://evil.example/1"] = said
    assert ob2(said, fetch).outcome("hosted") == FAILED


@pytest.mark.parametrize(
    "answer",
    [
        Answer(410, b'{"revoked": true, "revocationReason": "By mistake"}'),
        Answer(200, b'{"id": "x", "revoked": true, "revocationReason": "By mistake"}'),
    ],
)
def test_I09_a_hosted_badge_that_is_gone_is_withdrawn(answer: Answer) -> None:
    report = ob2(fetch=college(**{"assertions/1": answer}))
    assert outcomes(report) == {"withdrawn": FAILED}
    assert "By mistake" in sentence(report, "withdrawn")
    by_address = verify(f"{HOME}/assertions/1", now=NOW, fetch=college(**{"assertions/1": answer}))
    assert not by_address.ok


@pytest.mark.parametrize("page", ["assertions/1", "issuer", "badges/1"])
@pytest.mark.parametrize("answer", [ServiceUnreachable("down"), Answer(500, b""), Answer(404, b"")])
def test_I10_a_hosted_badge_whose_server_does_not_answer_is_never_good(page: str, answer: Any) -> None:
    report = ob2(fetch=college(**{page: answer}))
    assert UNKNOWN in outcomes(report).values() and FAILED not in outcomes(report).values()
    assert report.verdict == "Not everything could be checked"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Badge"},
        {"issuedOn": "2026-03-01"},
        {"expires": 5},
        {"verification": {"type": "Trust me"}},
        {"verification": {"type": "SignedBadge"}},
        {"recipient": "jonas@example.org"},
        {"recipient": {"type": "email", "hashed": True, "identity": "jonas@example.org"}},
        {"badge": 1},
        {"badge": "mailto:x"},
    ],
)
def test_an_assertion_that_is_not_whole_fails(change: Json) -> None:
    report = ob2(assertion(**change))
    assert not report.ok and report.outcome("complete") == FAILED


def test_a_badge_that_has_ended_or_not_begun_is_not_in_force() -> None:
    assert outcomes(ob2(assertion(expires="2026-04-01T00:00:00Z"))) == {"dates": FAILED}
    assert outcomes(ob2(assertion(issuedOn="2026-06-01T12:30:00Z"))) == {"dates": FAILED}
    assert ob2(assertion(issuedOn="2026-06-01T12:00:30Z")).ok, "a clock may be half a minute ahead"


def signed_assertion(keys: Keyring, **changes: Any) -> tuple[str, Web]:
    said = assertion(id="urn:uuid:0b2a9c3e-0000-4000-8000-000000000001")
    said["verification"] = {"type": "SignedBadge", "creator": f"{HOME}/key"}
    pem = keys.rsa.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = {"@context": OB2, "id": f"{HOME}/key", "type": "CryptographicKey", "owner": f"{HOME}/issuer"}
    fetch = college(key={**key, "publicKeyPem": pem.decode()})
    fetch.pages[f"{HOME}/issuer"] = {
        **fetch.pages[f"{HOME}/issuer"],
        "publicKey": f"{HOME}/key",
        "revocationList": f"{HOME}/revoked",
    }
    fetch.pages[f"{HOME}/revoked"] = {"@context": OB2, "id": f"{HOME}/revoked", "type": "RevocationList",
                                      "issuer": f"{HOME}/issuer", "revokedAssertions": ["urn:uuid:else"]}  # fmt: skip
    return jwt.encode({**said, **changes}, keys.rsa.private, "RS256"), fetch


def test_a_signed_badge_is_checked_with_the_key_its_issuer_lists(keys: Keyring, others: Keyring) -> None:
    made, fetch = signed_assertion(keys)
    assert outcomes(verify(made, now=NOW, fetch=fetch)) == {}
    head, body, signature = made.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = b64(json.dumps({**claims, "issuedOn": "2025-03-01T09:00:00Z"}).encode())
    assert outcomes(verify(f"{head}.{changed}.{signature}", now=NOW, fetch=fetch))["unchanged"] == FAILED
    forged, _ = signed_assertion(others)
    assert verify(forged, now=NOW, fetch=fetch).outcome("unchanged") == FAILED
    unlisted, _ = signed_assertion(keys, verification={"type": "SignedBadge", "creator": "https://evil.example/key"})
    report = verify(unlisted, now=NOW, fetch=fetch)
    assert report.outcome("key") == FAILED and not any("evil" in url for url in fetch.asked)


def test_I09_a_signed_badge_on_its_issuers_list_is_withdrawn(keys: Keyring) -> None:
    made, fetch = signed_assertion(keys)
    own = "urn:uuid:0b2a9c3e-0000-4000-8000-000000000001"
    for entries in ([own], [{"id": own, "revocationReason": "By mistake"}], [{"uid": own}, own]):
        fetch.pages[f"{HOME}/revoked"] |= {"revokedAssertions": entries}
        assert outcomes(verify(made, now=NOW, fetch=fetch)) == {"withdrawn": FAILED}
    fetch.pages[f"{HOME}/revoked"] |= {"issuer": "https://evil.example/"}
    assert outcomes(verify(made, now=NOW, fetch=fetch)) == {"withdrawn": UNKNOWN}
    del fetch.pages[f"{HOME}/revoked"]
    assert outcomes(verify(made, now=NOW, fetch=fetch)) == {"withdrawn": UNKNOWN}


def test_I08_an_assertion_in_our_name_that_we_do_not_keep_is_not_issued_by_us(keys: Keyring) -> None:
    said = assertion(id="https://evil.example/1", badge=f"{BASE}/ob2/badges/x/v1")
    issuer = {**college().pages[f"{HOME}/issuer"], "id": f"{BASE}/ob2/issuers/x"}
    badge = {**college().pages[f"{HOME}/badges/1"], "id": said["badge"], "issuer": issuer["id"]}
    fetch = Web({"https://evil.example/1": said, said["badge"]: badge, issuer["id"]: issuer})
    own = Own(frozenset({DID}), did_document(keys), BASE)
    report = verify(json.dumps(said), now=NOW, fetch=fetch, own=own)
    assert report.outcome("hosted") == FAILED and report.verdict == "Not issued by us"


def test_a_badge_from_before_2012_is_named_as_such() -> None:
    old = {"uid": "1", "type": "Assertion", "badge": f"{HOME}/b", "recipient": "x", "@context": f"{OB2}x"}
    report = verify(json.dumps(old), now=NOW, fetch=Web({}))
    assert report.outcome("found") == UNKNOWN and "before 2.0" in sentence(report, "found")


def test_the_list_that_a_token_signs_for_another_issuer_says_nothing(keys: Keyring) -> None:
    listed = json.loads(
        status_list.status_list_credential(
            1, [], issuer=_issuer(), base_url=BASE, valid_from=ISSUED, ed25519=keys.ed25519
        )
    )
    listed.pop("proof")
    made = jwt.encode(
        {**listed, "iss": "did:web:evil.example"},
        keys.rsa.private,
        "RS256",
        headers={"kid": f"{BASE}/keys/{keys.rsa.kid}"},
    )
    report = verify(data_integrity_text(keys), now=NOW, fetch=web(keys, pages={LIST: made.encode()}))
    assert outcomes(report) == {"withdrawn": UNKNOWN}
    good = jwt.encode({**listed, "iss": DID}, keys.rsa.private, "RS256", headers={"kid": f"{BASE}/keys/{keys.rsa.kid}"})
    assert verify(data_integrity_text(keys), now=NOW, fetch=web(keys, pages={LIST: good.encode()})).ok


def _issuer() -> Any:
    from tests.credentials.test_verify import ISSUER

    return ISSUER


def data_integrity_text(keys: Keyring) -> str:
    return json.dumps(data_integrity(keys, unsigned()))


def test_a_clock_that_is_a_minute_ahead_is_borne_and_two_are_not(keys: Keyring) -> None:
    for seconds, good in ((55, True), (120, False)):
        document = unsigned(valid_from=(NOW + timedelta(seconds=seconds)).astimezone(UTC))
        assert verify(json.dumps(data_integrity(keys, document)), now=NOW, fetch=web(keys)).ok is good


# -- whose it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "outcome"),
    [("jonas@example.org", PASSED), (" Jonas@Example.org ", PASSED), ("eve@example.org", FAILED)],
)
def test_I13_an_address_is_compared_with_what_the_credential_hides(keys: Keyring, address: str, outcome: str) -> None:
    document = json.dumps(data_integrity(keys, unsigned()))
    report = verify(document, now=NOW, fetch=web(keys), whose=address)
    assert report.outcome("recipient") == outcome and report.ok is (outcome == PASSED)
    hosted = verify(json.dumps(assertion()), now=NOW, fetch=college(), whose=address)
    assert hosted.outcome("recipient") == outcome and hosted.ok is (outcome == PASSED)


def test_a_credential_that_names_nobody_cannot_be_compared(keys: Keyring) -> None:
    document = json.dumps(data_integrity(keys, unsigned(name=None, email=None)))
    assert outcomes(verify(document, now=NOW, fetch=web(keys), whose="a@x.org")) == {"recipient": UNKNOWN}
