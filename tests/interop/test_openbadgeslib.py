"""openbadgeslib and this tool, both ways: each issues, bakes and unbakes what the other reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from openbadgeslib import baking as theirs
from openbadgeslib.ob3 import (
    Achievement,
    Evidence,
    IdentityObject,
    Issuer,
    OB3LdpSigner,
    OB3LdpVerifier,
    OB3Signer,
    OpenBadgeCredential,
    Result,
    ResultDescription,
    build_clr_credential,
    build_status_list_credential,
    sign_clr_credential,
    sign_status_list_credential,
    status_entry,
)

from lti_tool.credentials import baking, ob3
from lti_tool.credentials.verify import verify
from lti_tool.errors import ServiceUnreachable
from tests.credentials import examples
from tests.interop.forms import payload, png, small, svg, with_payload

Json = dict[str, Any]

HOST = "https://issuer.example"
DID = "did:web:issuer.example"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def credential(**changes: Any) -> OpenBadgeCredential:
    """Return one with everything that the library knows how to say."""
    row = ResultDescription("urn:uuid:00000000-0000-4000-8000-00000000000a", "Grade", "LetterGrade", ["C", "B"], "B")
    values: dict[str, Any] = {
        "issuer": Issuer(DID, "Другой university", f"{HOST}/", "badges@issuer.example", f"{HOST}/logo.png"),
        "recipient_id": "did:example:learner",
        "achievement": Achievement(
            f"{HOST}/achievements/1",
            "Listening ✓",
            "Listens.",
            "Listen **well**.",
            f"{HOST}/a.png",
            ["listening"],
            achievement_type="Badge",
            credits_available=1.5,
            result_descriptions=[row],
        ),
        "id": f"{HOST}/credentials/1",
        "issuance_date": datetime(2026, 11, 1, tzinfo=UTC),
        "expiration_date": datetime(2029, 11, 1, tzinfo=UTC),
        "evidence": [Evidence("https://video.example/1", "Seen in class.", "A speech")],
        "credits_earned": 1.5,
        "identifiers": [IdentityObject.hash_email("ana@example.org", salt="ab" * 16)]
        if hasattr(IdentityObject, "hash_email")
        else [],
        "results": [Result("B", result_description=row.id)],
    }
    return OpenBadgeCredential(**{**values, **changes})


def stranger(**pages: Any) -> Any:
    """Return a fetch of what the library's issuer publishes: a DID document with our example keys in it."""
    ours = ob3.did_document(DID, [examples.ed25519_key()], [examples.rsa_key()], HOST)
    served = {f"{HOST}/.well-known/did.json": ours, **pages}

    def fetch(url: str) -> Any:
        if url not in served:
            raise ServiceUnreachable(url)
        page = served[url]
        return SimpleNamespace(status=200, body=page if isinstance(page, bytes) else json.dumps(page).encode())

    return fetch


def signed_document(of: OpenBadgeCredential | None = None) -> Json:
    key = examples.ed25519_key()
    signer = OB3LdpSigner(pem(key.private), f"{DID}#{key.kid}")
    document: Json = signer.sign(of or credential(), created=datetime(2026, 11, 1, tzinfo=UTC))
    return document


def failures(report: Any) -> dict[str, str]:
    return {check.name: check.sentence for check in report.checks if check.outcome != "passed"}


def test_what_they_sign_in_json_we_find_genuine_and_any_change_we_find() -> None:
    document = signed_document()
    assert failures(verify(json.dumps(document), now=NOW, fetch=stranger())) == {}
    for path in examples.leaves(document):
        report = verify(json.dumps(examples.changed(document, path)), now=NOW, fetch=stranger())
        assert not report.ok, path


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA", "ES256"])
def test_what_they_sign_as_a_token_we_read(algorithm: str) -> None:
    """Their token carries its key. Of a DID that is the key itself only the issuer's name stays open; of a did:web that
    does not list the key, it is nobody's."""
    keys = {
        "RS256": examples.rsa_key().private,
        "EdDSA": examples.ed25519_key().private,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    token = OB3Signer(pem(keys[algorithm]), algorithm).sign(credential())
    report = verify(token, now=NOW, fetch=stranger())
    assert report.ok is (algorithm != "ES256"), failures(report)
    for path in examples.leaves(payload(token)):
        forged = with_payload(token, examples.changed(payload(token), path))
        assert not verify(forged, now=NOW, fetch=stranger()).ok, path


def test_a_credential_of_theirs_that_is_revoked_on_their_list_is_withdrawn() -> None:
    """Their lists are signed as tokens, ours as JSON: each reads the other's."""
    url = f"{HOST}/status/1"
    document = signed_document(credential(credential_status=[status_entry(url, "revocation", 7)]))
    for revoked in ([], [7]):
        listed = build_status_list_credential(DID, url, "revocation", revoked)
        token = sign_status_list_credential(listed, pem(examples.rsa_key().private), "RS256")
        report = verify(json.dumps(document), now=NOW, fetch=stranger(**{url: token.encode()}))
        assert ("withdrawn" in failures(report)) is bool(revoked), failures(report)


def test_a_learner_record_of_theirs_is_read_with_what_is_in_it() -> None:
    member = signed_document()
    profile = {"id": DID, "type": ["Profile"], "name": "Another university"}
    record = build_clr_credential(
        profile, [], [member], credential_id=f"{HOST}/records/1", valid_from=datetime(2026, 11, 1, tzinfo=UTC)
    )
    key = examples.ed25519_key()
    made = sign_clr_credential(record, pem(key.private), f"{DID}#{key.kid}")
    document = made if isinstance(made, dict) else json.loads(made)
    report = verify(json.dumps(document), now=NOW, fetch=stranger())
    assert failures(report) == {} and [each.ok for each in report.inside] == [True]


# -- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["document", "token"])
def test_what_we_bake_they_unbake_to_the_same_bytes(text: str) -> None:
    said = small().document.decode() if text == "document" else small().jwt
    baked = baking.bake_png(png(), said)
    assert theirs.extract_png(baked, keyword=theirs.ITXT_KEYWORD_OB3) == said
    drawn = baking.bake_svg(svg(), said).encode()
    assert theirs.extract_svg(drawn, element=theirs.SVG_ELEMENT_OB3, text_fallback=True) == said


@pytest.mark.parametrize("text", ["document", "token"])
def test_what_they_bake_we_unbake_to_the_same_bytes(text: str) -> None:
    said = small().document.decode() if text == "document" else small().jwt
    baked = theirs.bake_png(png(), said, keyword=theirs.ITXT_KEYWORD_OB3)
    assert baking.unbake_png(baked) == said
    drawn = theirs.bake_svg(
        svg().encode(), said, element=theirs.SVG_ELEMENT_OB3, namespace=theirs.SVG_NS_OB3, as_text=text == "document"
    )
    assert baking.unbake_svg(drawn) == said


def test_a_picture_of_theirs_is_checked_whole() -> None:
    key = examples.ed25519_key()
    signer = OB3LdpSigner(pem(key.private), f"{DID}#{key.kid}")
    for baked in (signer.sign_into_png(credential(), png()), signer.sign_into_svg(credential(), svg().encode())):
        report = verify(baked, now=NOW, fetch=stranger())
        assert failures(report) == {} and report.form in ("PNG", "SVG")


def test_they_refuse_a_document_of_ours_whose_key_is_not_in_our_did_document() -> None:
    other = ob3.did_document(examples.issuer().did, [], [examples.rsa_key()], examples.BASE)
    checker = OB3LdpVerifier.for_issuer_did(examples.issuer().did)
    with pytest.raises(Exception, match=r"(?i)verification|key|method"):
        checker.verify(small().document.decode(), download=lambda url: json.dumps(other).encode())
