"""Open Badges 2.0: every member the standard asks for, and a recipient that only she can recognise."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from openbadgeslib.ob2.models import Assertion

from lti_tool.credentials import ob2, ob3
from tests.credentials import examples

Json = dict[str, Any]
ADDRESS = f"{examples.BASE}/ob2/assertions/1"


def assertion(facts: ob3.EditionFacts, salt: str = "5" * 32) -> Json:
    credential = ob3.credential(examples.achievement(), examples.issuer(), facts)
    return ob2.assertion(credential, address=ADDRESS, badge=f"{examples.BASE}/ob2/badges/x/v3", salt=salt)


def test_I13_the_recipient_is_the_lower_cased_address_with_the_award_s_salt_where_she_chose_it() -> None:
    for written in ("Zoe@Example.EDU ", "zoe@example.edu"):
        email = ob3.HashedEmail(examples.SALT, ob3.identity_hash(written, examples.SALT))
        found = assertion(examples.facts(email=email))["recipient"]
        expected = hashlib.sha256(f"zoe@example.edu{examples.SALT}".encode()).hexdigest()
        assert found == {
            "type": "email",
            "hashed": True,
            "salt": examples.SALT,
            "identity": f"sha256${expected}",
        }


def test_I13_else_the_recipient_is_her_hashed_pseudonym_which_another_award_salts_otherwise() -> None:
    found = assertion(examples.facts())["recipient"]
    subject = examples.facts().subject_id
    assert found["type"] == "url" and found["hashed"] is True
    assert found["identity"] == "sha256$" + hashlib.sha256((subject + "5" * 32).encode()).hexdigest()
    assert assertion(examples.facts(), salt="6" * 32)["recipient"]["identity"] != found["identity"]
    assert subject not in json.dumps(assertion(examples.facts()))


def test_an_assertion_has_what_the_standard_asks_for_and_openbadgeslib_reads_it() -> None:
    found = assertion(examples.everything())
    assert found["@context"] == "https://w3id.org/openbadges/v2"
    assert (found["type"], found["id"]) == ("Assertion", ADDRESS)
    assert found["verification"] == {"type": "HostedBadge"}
    assert (found["issuedOn"], found["expires"]) == ("2026-11-20T16:04:05Z", "2029-11-20T16:04:05Z")
    assert found["evidence"][0]["id"] == "https://video.example.edu/1"
    read = Assertion.from_dict({**found, "evidence": found["evidence"][0]["id"]})
    assert (read.id, read.badge, read.image) == (ADDRESS, found["badge"], f"{ADDRESS}.png")


def test_a_badge_class_has_what_the_standard_asks_for() -> None:
    address = f"{examples.BASE}/ob2/badges/oral-communication/v3"
    found = ob2.badge_class(examples.achievement(), address=address, issuer=f"{examples.BASE}/ob2/issuers/x")
    for member in ("id", "type", "name", "description", "image", "criteria", "issuer"):
        assert found[member], member
    assert found["criteria"]["id"] == f"{examples.BASE}/achievements/oral-communication/v3"
    assert found["alignment"][0].keys() == {"targetName", "targetUrl", "targetFramework", "targetCode"}
    assert found["tags"] == ["21st-century-skills", "communication", "Foundational"]


def test_an_issuer_has_what_the_standard_asks_for() -> None:
    found = ob2.issuer_profile(ob3.issuer_profile(examples.issuer()), address=f"{examples.BASE}/ob2/issuers/x")
    assert found == {
        "@context": "https://w3id.org/openbadges/v2",
        "type": "Issuer",
        "id": f"{examples.BASE}/ob2/issuers/x",
        "name": "Example University",
        "url": "https://www.example.edu",
        "email": "badges@example.edu",
        "description": "Office of Micro-credentials",
        "image": f"{examples.BASE}/static/logo.png",
    }


def test_I12_what_was_taken_back_says_so_and_why() -> None:
    found = ob2.withdrawn(ADDRESS, "Given by mistake.")
    assert (found["revoked"], found["revocationReason"], found["id"]) == (True, "Given by mistake.", ADDRESS)
