"""A wallet to test with: keys of its own, and the requests of OpenID4VCI one by one, so that each can be done wrong."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.classroom import badge
from tests.scene import Visitor

PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

Json = dict[str, Any]


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


class Key:
    """A wallet's key, Ed25519 or P-256."""

    def __init__(self, kind: str = "EdDSA") -> None:
        self.alg = kind
        self.private: Any = (
            ed25519.Ed25519PrivateKey.generate() if kind == "EdDSA" else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def did(self) -> str:
        """The key as did:key."""
        public = self.private.public_key()
        if self.alg == "EdDSA":
            raw = b"\xed\x01" + public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            form = serialization.PublicFormat.CompressedPoint
            raw = b"\x80\x24" + public.public_bytes(serialization.Encoding.X962, form)
        return f"did:key:z{base58(raw)}"

    @property
    def kid(self) -> str:
        return f"{self.did}#{self.did.removeprefix('did:key:')}"

    @property
    def jwk(self) -> Json:
        public = self.private.public_key()
        if self.alg == "EdDSA":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return {"kty": "EC", "crv": "P-256", "x": base64url(point[1:33]), "y": base64url(point[33:])}

    def proof(self, audience: str, nonce: str | None, *, header: Json | None = None, **claims: Any) -> str:
        """Sign a key proof; a header member or claim that is None is left out."""
        head = {"typ": "openid4vci-proof+jwt", "kid": self.kid, **(header or {})}
        body = {"aud": audience, "iat": int(time.time()), "nonce": nonce, **claims}
        head, body = ({k: v for k, v in part.items() if v is not None} for part in (head, body))
        return jwt.encode(body, self.private, algorithm=head.pop("alg", self.alg), headers=head)


def earned_in(place):
    """Let a course's first student earn and claim a badge; her browser is then at `learner`, its slug at `slug`."""
    place.publish(badge())
    place.grade(place.students[0], 3, 3)
    place.sync()
    place.learner = place.enter(place.students[0])
    place.slug = place.badge.slug
    claim(place.learner, place.slug)
    return place


def claim(learner: Visitor, slug: str, *, public: bool = True) -> None:
    """Claim a badge as its learner."""
    done = learner.post(f"badges/{slug}/claim", {"public": "yes"} if public else {})
    assert done.status_code == 200, done.text


def make_offer(learner: Visitor, slug: str) -> requests.Response:
    """Press the button that makes a code; returns the page with it."""
    page = learner.post(f"badges/{slug}/wallet")
    assert page.status_code == 200, page.text
    return page


def link_in(page: str, scheme: str = "openid-credential-offer") -> str:
    """Return the link of a learner's page that opens a wallet."""
    found = re.search(rf'href="({scheme}://[^"]+)"', page)
    assert found, f"no {scheme} link"
    return html.unescape(found[1])


def pin_in(page: str) -> str | None:
    found = re.search(r'class="pin num">(\d+)<', page)
    return found[1] if found else None


class Wallet:
    """A wallet with one key that has scanned a page's code."""

    def __init__(self, page: str, key: Key | None = None) -> None:
        self.key = key or Key()
        self.pin = pin_in(page)
        query = parse_qs(urlsplit(link_in(page)).query)
        self.address = query["credential_offer_uri"][0]
        self.base = "{0.scheme}://{0.netloc}".format(urlsplit(self.address))

    def offer(self) -> requests.Response:
        return requests.get(self.address, timeout=20)

    def code(self) -> str:
        code: str = self.offer().json()["grants"][PRE_AUTHORIZED]["pre-authorized_code"]
        return code

    def token(self, code: str | None = None, **changes: Any) -> requests.Response:
        sent = {
            "grant_type": PRE_AUTHORIZED,
            "pre-authorized_code": code or self.code(),
            "tx_code": self.pin,
            **changes,
        }
        sent = {name: value for name, value in sent.items() if value is not None}
        return requests.post(f"{self.base}/oid4vci/token", data=sent, timeout=20)

    def nonce(self) -> str:
        answer = requests.post(f"{self.base}/oid4vci/nonce", timeout=20)
        assert answer.status_code == 200, answer.text
        nonce: str = answer.json()["c_nonce"]
        return nonce

    def proof(self, **changes: Any) -> str:
        nonce = changes.pop("nonce") if "nonce" in changes else self.nonce()
        return self.key.proof(changes.pop("audience", self.base), nonce, **changes)

    def request(self, token: str, **changes: Any) -> requests.Response:
        """Ask for the credential; a member that is None is left out."""
        asked = {"credential_configuration_id": self.configuration("ldp_vc"), **changes}
        if "proofs" not in asked:
            asked["proofs"] = {"jwt": [self.proof()]}
        body = json.dumps({name: value for name, value in asked.items() if value is not None})
        return self.send(token, body.encode())

    def send(self, token: str, body: bytes) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return requests.post(f"{self.base}/oid4vci/credential", data=body, headers=headers, timeout=20)

    def configuration(self, form: str) -> str:
        if not hasattr(self, "_configurations"):
            self._configurations = self.offer().json().get("credential_configuration_ids", [])
        return next((each for each in self._configurations if each.endswith(f".{form}")), f"unknown.{form}")

    def get(self, form: str = "ldp_vc") -> Any:
        """Do it all, and return the credential."""
        configuration = self.configuration(form)
        token = self.token()
        assert token.status_code == 200, token.text
        answer = self.request(token.json()["access_token"], credential_configuration_id=configuration)
        assert answer.status_code == 200, answer.text
        (given,) = answer.json()["credentials"]
        return given["credential"]
