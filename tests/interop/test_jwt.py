"""jose accepts each VC-JWT with the bare JWK that its kid names."""

from __future__ import annotations

import json
from typing import Any

from lti_tool.credentials import ob3
from tests.credentials import examples
from tests.interop import editions, outside


def verify(tokens: dict[str, str]) -> dict[str, Any]:
    key = examples.rsa_key()
    keys = {ob3.key_address(examples.BASE, key.kid): key.public_jwk()}
    return outside.run("jwt.mjs", {"now": outside.NOW, "keys": keys, "tokens": tokens})


def test_i02_every_shape_verifies_with_the_key_its_kid_names() -> None:
    answers = verify({name: edition.jwt for name, edition in editions.signed().items()})
    assert {name: answer.get("reason") for name, answer in answers.items() if not answer["verified"]} == {}
    kid = ob3.key_address(examples.BASE, examples.rsa_key().kid)
    for name, answer in answers.items():
        assert answer["header"] == {"alg": "RS256", "kid": kid, "typ": "JWT"}, name
        document = json.loads(editions.signed()[name].document)
        del document["proof"]
        assert {m: v for m, v in answer["payload"].items() if m in document} == document, name
        assert answer["payload"]["jti"] == document["id"]


def test_i05_a_changed_token_is_refused() -> None:
    token = editions.signed()["everything"].jwt
    header, payload, signature = token.split(".")
    cases = {
        str(place): token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
        for place in range(0, len(token) - 2, len(token) // 60)
        if token[place] != "."
    }
    cases["no signature"] = f"{header}.{payload}."
    cases["other payload"] = ".".join([header, editions.signed()["pseudonymous"].jwt.split(".")[1], signature])
    assert [name for name, answer in verify(cases).items() if answer["verified"]] == []
