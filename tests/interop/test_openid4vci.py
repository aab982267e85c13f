"""Wallets that are not ours fetch a badge from a served tool: `@openid4vc/openid4vci`, and the libraries of the
Learner Credential Wallet. What they got is then checked by others' verifiers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from lti_tool.credentials import contexts
from lti_tool.services import checking
from tests.classroom import Classroom, badge, row
from tests.interop import outside
from tests.scene import Scene, make_database, now
from tests.wallet import claim, link_in, make_offer, pin_in

Json = dict[str, Any]

KEYS = (("did:key", "EdDSA"), ("jwk", "ES256"), ("did:key", "ES256"), ("jwk", "EdDSA"))
WORDS = "Reads & writes &amp; <b>counts</b> &lt;carefully&gt;"  # what is easily taken for markup on the way


@pytest.fixture(scope="module", params=["true", "false"], ids=["with a transaction code", "without"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A served tool with a badge that its first student has claimed; her browser is at `learner`."""
    folder = tmp_path_factory.mktemp("wallets")
    with make_database("", folder) as url:
        scene = Scene(folder, url, LTI_TOOL_WALLETS__TRANSACTION_CODE=request.param)
        try:
            room: Any = Classroom(scene)
            room.publish(badge(description=WORDS, sub_competencies=(row("A"), row("B", description=WORDS))))
            room.grade(room.students[0], 3, 4)
            room.sync()
            room.learner = room.enter(room.students[0])
            claim(room.learner, room.badge.slug)
            room.asks = request.param == "true"
            yield room
        finally:
            scene.stop()


def documents(room: Any, *credentials: Json) -> Json:
    """Return what a verifier may load: the pinned contexts, the issuer's DID document, and the status lists."""
    did = requests.get(f"{room.scene.url}/.well-known/did.json", timeout=20).json()
    lists = {each["credentialStatus"]["statusListCredential"] for each in credentials}
    return (
        {url: contexts.load_context(url) for url in contexts.PINNED}
        | {did["id"]: did}
        | {url: requests.get(url, timeout=20).json() for url in lists}
    )


def verified_by_others(room: Any, credentials: dict[str, Json]) -> Json:
    given = {"now": now().isoformat(), "documents": documents(room, *credentials.values())}
    return outside.run("data_integrity.mjs", {**given, "credentials": credentials})


def fetched(room: Any, script: str, **asked: Json) -> Json:
    return outside.run(script, {"offers": asked})


def test_an_openid4vci_client_fetches_both_formats(served: Any) -> None:
    # One offer after the other: a new one ends the one before. They are made, and used, one at a time.
    got: dict[str, Json] = {}
    for form, (key, alg) in zip(("ldp_vc", "ldp_vc", "jwt_vc_json", "jwt_vc_json"), KEYS, strict=True):
        page = make_offer(served.learner, served.badge.slug).text
        assert (pin_in(page) is not None) == served.asks
        asked = {"link": link_in(page), "pin": pin_in(page), "format": form, "key": key, "alg": alg}
        got |= fetched(served, "openid4vci.mjs", **{f"{form} {key} {alg}": asked})
    assert [answer.get("error") for answer in got.values()] == [None] * 4, got
    linked = {name: answer["credential"] for name, answer in got.items() if name.startswith("ldp_vc")}
    for name, answer in got.items():
        credential = answer["credential"]
        text = credential if isinstance(credential, str) else json.dumps(credential)
        report = checking.check(served.tool, text, now())
        assert [each.name for each in report.checks if each.outcome != "passed"] == [], name
        document = credential if isinstance(credential, dict) else payload(credential)
        holder = document["credentialSubject"]["id"]
        assert holder == answer["holder"] if answer["holder"] else holder.startswith("did:jwk:"), name
        assert answer["configuration"]["credential_metadata"]["display"][0]["name"] == "Careful Work"
    answers = verified_by_others(served, linked)
    assert {name: answer["reasons"] for name, answer in answers.items() if not answer["verified"]} == {}
    changed = {name: {**each, "name": "Another"} for name, each in linked.items()}
    assert not any(answer["verified"] for answer in verified_by_others(served, changed).values())


def payload(token: str) -> Json:
    found: Json = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def test_an_openid4vci_client_is_told_what_is_wrong(served: Any) -> None:
    page = make_offer(served.learner, served.badge.slug).text
    asked = {"link": link_in(page), "pin": pin_in(page), "format": "ldp_vc", "key": "did:key", "alg": "EdDSA"}
    if served.asks:
        wrong = {**asked, "pin": "x" * 6}
        assert fetched(served, "openid4vci.mjs", wrong=wrong)["wrong"]["said"]["error"] == "invalid_grant"
    answers = fetched(served, "openid4vci.mjs", first=asked, second=asked)
    assert "error" not in answers["first"]
    assert "error" in answers["second"]


def test_the_learner_credential_wallet_fetches_it_by_its_own_link(served: Any) -> None:
    got: dict[str, Json] = {}
    shapes = {"today": {"holder": True, "version": 2.0}, "before": {"holder": True, "version": 1.0}}
    for name, shape in {**shapes, "without a holder": {"holder": False, "version": 2.0}}.items():
        page = make_offer(served.learner, served.badge.slug).text
        got |= fetched(served, "learner_wallet.mjs", **{name: {"link": link_in(page, "dccrequest"), **shape}})
    credentials = {name: answer["credential"] for name, answer in got.items()}
    for name, answer in got.items():
        assert answer["status"] == 200, answer
        assert credentials[name]["credentialSubject"]["id"] == answer["holder"], name
        assert credentials[name]["credentialSubject"]["achievement"]["description"] == WORDS
    answers = verified_by_others(served, credentials)
    assert {name: answer["reasons"] for name, answer in answers.items() if not answer["verified"]} == {}


def test_the_learner_credential_wallets_link_works_once(served: Any) -> None:
    page = make_offer(served.learner, served.badge.slug).text
    asked = {"link": link_in(page, "dccrequest"), "holder": True, "version": 2.0}
    answers = fetched(served, "learner_wallet.mjs", first=asked, second=asked)
    assert [answer["status"] for answer in answers.values()] == [200, 404]
