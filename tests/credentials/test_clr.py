"""A learner's record: her credentials within one that is signed, and nothing in it that could be changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lti_tool.credentials import clr, contexts, ob3, signing
from tests.credentials import examples

Json = dict[str, Any]
SUBJECT = examples.facts().subject_id


def member(achievement: Json | None = None, **changes: Any) -> Json:
    credential = ob3.credential(achievement or examples.achievement(), examples.issuer(), examples.facts(**changes))
    return json.loads(
        signing.sign_document(credential, ed25519=examples.ed25519_key(), created=examples.CREATED).decode()
    )


def record(members: list[Json], **options: Any) -> Json:
    unsigned = clr.clr_credential(
        members, issuer=examples.issuer(), subject_id=SUBJECT, name="All", now=examples.CREATED, **options
    )
    return json.loads(clr.signed(unsigned, examples.ed25519_key(), examples.CREATED))


@pytest.fixture(scope="module")
def whole() -> Json:
    one = examples.achievement()
    stack = examples.achievement(
        examples.badge(slug="whole", name="Whole"), members=(ob3.StackMember("oral", "Oral", one["id"]),)
    )
    gates = (*examples.facts().gates, ob3.GateResult("oral"))
    return record([member(one), member(stack, credential_id="1" * 32, gates=gates)])


def test_a_record_is_a_signed_clr_with_each_credential_as_it_was_signed(whole: Json) -> None:
    assert whole["@context"] == [
        "https://www.w3.org/ns/credentials/v2",
        "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json",
        "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
        "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json",
    ]
    assert whole["type"] == ["VerifiableCredential", "ClrCredential"]
    assert whole["id"].startswith("urn:uuid:") and whole["validFrom"] == "2026-11-20T16:04:05Z"
    assert whole["credentialSubject"]["id"] == SUBJECT
    assert "partial" not in whole
    assert signing.verify_proof(whole, examples.ed25519_key().public)
    for inside in whole["credentialSubject"]["verifiableCredential"]:
        assert signing.verify_proof(inside, examples.ed25519_key().public)


def test_a_badge_made_of_badges_is_said_to_be_the_parent_of_its_parts(whole: Json) -> None:
    assert whole["credentialSubject"]["association"] == [
        {
            "type": "Association",
            "associationType": "isParentOf",
            "sourceId": f"{examples.BASE}/achievements/whole/v3",
            "targetId": f"{examples.BASE}/achievements/oral-communication/v3",
        }
    ]


def test_I05_a_change_anywhere_in_a_record_is_noticed(whole: Json) -> None:
    def changed(*path: Any, value: Any = "x") -> Json:
        copy = json.loads(json.dumps(whole))
        node = copy
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value
        return copy

    subject = "credentialSubject"
    for forged in (
        changed("name"),
        changed("issuer", "name"),
        changed("validFrom", value="2026-11-21T16:04:05Z"),
        changed(subject, "id", value="urn:uuid:00000000-0000-4000-8000-000000000000"),
        changed(subject, "association", 0, "targetId"),
        changed(subject, "verifiableCredential", 0, "name"),
        changed(subject, "verifiableCredential", 1, subject, "achievement", "name"),
        changed(subject, "verifiableCredential", value=whole[subject]["verifiableCredential"][:1]),
    ):
        assert not signing.verify_proof(forged, examples.ed25519_key().public)


def test_put_together_from_its_parts_a_record_is_what_a_processor_reads_in_it(whole: Json) -> None:
    odd = member(
        credential_id="2" * 32,
        name='_:b0 "Zoë" \\ <x> _:c14n1',
        email=ob3.HashedEmail(examples.SALT, ob3.identity_hash("a@b.example", examples.SALT)),
    )
    for members in ([odd], [odd, *whole["credentialSubject"]["verifiableCredential"]]):
        unsigned = {member: value for member, value in record(members).items() if member != "proof"}
        assert contexts.canonical_of_nquads(clr.nquads(unsigned)) == contexts.canonical_nquads(unsigned)


def test_a_record_of_less_than_everything_says_so() -> None:
    assert record([member()], partial=True)["partial"] is True


def test_two_records_of_the_same_badges_are_two_documents() -> None:
    one = member()
    assert record([one])["id"] != record([one])["id"]
