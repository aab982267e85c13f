"""verifier-core, which the Learner Credential Wallet and VerifierPlus carry, accepts each shape of edition.

It looks at the machine's clock and at no other, so shapes that expire do so in years."""

from __future__ import annotations

from typing import Any

from lti_tool.credentials import contexts, ob3
from tests.credentials import examples
from tests.interop import editions, outside, schemas


def verify(credentials: dict[str, Any]) -> dict[str, Any]:
    documents = outside.documents(editions.status_list())
    documents[f"{examples.BASE}/.well-known/did.json"] = documents[examples.issuer().did]
    documents[ob3.SCHEMA] = schemas.read_json("ob_schemas/ob_v3p0_achievementcredential_schema.json")
    return outside.run("wallet.mjs", {"documents": documents, "credentials": credentials})


def test_every_shape_passes_in_a_wallet_signature_status_and_schema() -> None:
    answers = verify(editions.credentials())
    for name, answer in answers.items():
        assert answer["errors"] == [], name
        assert answer["steps"]["valid_signature"] is True, name
        assert answer["steps"]["revocation_status"] is (name != "revoked"), name
        assert answer["schema"][0]["results"][0]["result"] == {"valid": True}, name
    assert answers["everything"]["steps"]["expiration"] is True


def test_a_wallet_asks_only_for_what_the_tool_serves_or_the_standards_publish() -> None:
    asked = {url for answer in verify(editions.credentials()).values() for url in answer["fetched"]}
    served = {f"{examples.BASE}/.well-known/did.json", f"{examples.BASE}/status/1"}
    assert asked <= served | {ob3.SCHEMA} | set(contexts.PINNED)


def test_i05_a_wallet_refuses_a_changed_copy() -> None:
    document = editions.credentials()["pseudonymous"]
    answers = verify({"changed": {**document, "name": document["name"] + "x"}, "untouched": document})
    assert answers["changed"]["errors"] == ["invalid_signature: The signature is not valid."]
    assert answers["untouched"]["errors"] == []
