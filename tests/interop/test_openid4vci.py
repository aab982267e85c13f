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
from tests.interop.forms import DOCUMENT, TOKEN, each_changed
from tests.interop.sites import served_at
from tests.interop.verifiers import CHECKS_SIGNATURES, VERIFIERS, against
from tests.scene import Scene, make_database, now
from tests.wallet import claim, link_in, make_offer, pin_in

Json = dict[str, Any]

KEYS = (("did:key", "EdDSA"), ("jwk", "ES256"), ("did:key", "ES256"), ("jwk", "EdDSA"))
WORDS = "Reads & writes &amp; <b>counts</b> &lt;carefully&gt;"  # what is easily taken for markup on the way


@pytest.fixture(scope="module", params=["true", "false"], ids=["with a transaction code", "without"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A served tool with a badge that four students have claimed; their browsers are at `learners`."""
    folder = tmp_path_factory.mktemp("wallets")
    with make_database("", folder) as url:
        scene = Scene(folder, url, LTI_TOOL_WALLETS__TRANSACTION_CODE=request.param)
        try:
            room: Any = Classroom(scene, students=4)
            room.publish(badge(description=WORDS, sub_competencies=(row("A"), row("B", description=WORDS))))
            for student in room.students:
                room.grade(student, 3, 4)
            room.sync()
            room.learners = [room.enter(student) for student in room.students]
            for learner in room.learners:
                claim(learner, room.badge.slug)
            room.asks = request.param == "true"
            yield room
        finally:
            scene.stop()


def pages(room: Any) -> list[str]:
    """Let each learner make a code; a new one ends her earlier one."""
    return [make_offer(learner, room.badge.slug).text for learner in room.learners]


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
    """Have Digital Bazaar's libraries check credentials; a copy of the first with another name must be refused."""
    first, document = next(iter(credentials.items()))
    credentials = {**credentials, "changed": {**document, "name": "Another"}}
    given = {"now": now().isoformat(), "documents": documents(room, *credentials.values())}
    answers = outside.run("data_integrity.mjs", {**given, "credentials": credentials})
    assert not answers.pop("changed")["verified"], first
    return answers


def fetched(room: Any, script: str, **asked: Json) -> Json:
    return outside.run(script, {"offers": asked})


def test_an_openid4vci_client_fetches_both_formats(served: Any) -> None:
    asked = {}
    for page, form, (key, alg) in zip(
        pages(served), ("ldp_vc", "ldp_vc", "jwt_vc_json", "jwt_vc_json"), KEYS, strict=True
    ):
        assert (pin_in(page) is not None) == served.asks
        told = {"link": link_in(page), "pin": pin_in(page), "format": form, "key": key, "alg": alg}
        asked[f"{form} {key} {alg}"] = told
    got = fetched(served, "openid4vci.mjs", **asked)
    assert [answer.get("error") for answer in got.values()] == [None] * 4, got
    for name, answer in got.items():
        credential = answer["credential"]
        text = credential if isinstance(credential, str) else json.dumps(credential)
        report = checking.check(served.tool, text, now())
        assert [each.name for each in report.checks if each.outcome != "passed"] == [], name
        document = credential if isinstance(credential, dict) else payload(credential)
        holder = document["credentialSubject"]["id"]
        assert holder == answer["holder"] if answer["holder"] else holder.startswith("did:jwk:"), name
        assert answer["configuration"]["credential_metadata"]["display"][0]["name"] == "Careful Work"
    site = served_at(served.scene.url)
    for form, kind in (("ldp_vc", DOCUMENT), ("jwt_vc_json", TOKEN)):
        copies = {name: answer["credential"] for name, answer in got.items() if name.startswith(form)}
        assert len(copies) == 2 and against(copies, kind, site) == {}
        if served.asks:  # once is enough: what a wallet was asked for makes no other credential
            continue
        changed = each_changed(copies.popitem()[1])
        readers = {name for name in CHECKS_SIGNATURES if kind in VERIFIERS[name][0]}
        refused = against(changed, kind, site)
        assert {name for name, said in refused.items() if said.keys() == changed.keys()} >= readers and len(readers) > 2


def payload(token: str) -> Json:
    found: Json = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def test_an_openid4vci_client_is_told_what_is_wrong(served: Any) -> None:
    used, mistyped, *_ = pages(served)
    told = {"format": "ldp_vc", "key": "did:key", "alg": "EdDSA"}
    asked = {"first": {**told, "link": link_in(used), "pin": pin_in(used)}}
    asked["second"] = asked["first"]
    if served.asks:
        asked["mistyped"] = {**told, "link": link_in(mistyped), "pin": "x" * 6}
    answers = fetched(served, "openid4vci.mjs", **asked)
    assert "error" not in answers["first"]
    assert "error" in answers["second"]
    if served.asks:
        assert answers["mistyped"]["said"]["error"] == "invalid_grant"


def test_the_learner_credential_wallet_fetches_it_by_its_own_link(served: Any) -> None:
    shapes = {
        "today": (True, 2.0),
        "before": (True, 1.0),
        "without a holder": (False, 2.0),
        "today, once more": (True, 2.0),
    }
    asked = {
        name: {"link": link_in(page, "dccrequest"), "holder": holder, "version": version}
        for page, (name, (holder, version)) in zip(pages(served), shapes.items(), strict=True)
    }
    asked["today, once more"] = asked["today"]
    got = fetched(served, "learner_wallet.mjs", **asked)
    assert got.pop("today, once more")["status"] == 404
    credentials = {name: answer["credential"] for name, answer in got.items()}
    for name, answer in got.items():
        assert answer["status"] == 200, answer
        assert credentials[name]["credentialSubject"]["id"] == answer["holder"], name
        assert credentials[name]["credentialSubject"]["achievement"]["description"] == WORDS
    answers = verified_by_others(served, credentials)
    assert {name: answer["reasons"] for name, answer in answers.items() if not answer["verified"]} == {}
