"""An installation as a verifier meets it: who signs, with which keys, what its addresses answer, and when."""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import requests

from lti_tool.credentials import contexts, ob3
from lti_tool.credentials.issuer_keys import Own
from tests.credentials import examples
from tests.interop import editions, outside
from tests.scene import now

Json = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """`keys` are the bare JWKs and `lists` the status lists, each by its address. `now` is the moment of the check."""

    did: Json
    keys: dict[str, Json]
    lists: dict[str, Json]
    now: str

    @property
    def documents(self) -> Json:
        """What a verifier of documents may load: the contexts, the DID document by its DID, and the lists."""
        pinned = {url: contexts.load_context(url) for url in contexts.PINNED}
        return {**pinned, self.did["id"]: self.did, **self.lists}

    @property
    def own(self) -> Own | None:
        """What an installation on plain http knows of itself."""
        (base,) = self.did["alsoKnownAs"]
        return Own(frozenset({self.did["id"]}), self.did, base) if base.startswith("http://") else None

    @property
    def did_address(self) -> str:
        """Where the DID document is looked for: by its definition did:web is https, with a port too."""
        return f"https://{unquote(self.did['id'].removeprefix('did:web:'))}/.well-known/did.json"

    @property
    def pages(self) -> dict[str, bytes]:
        """What is answered to anybody, by address."""
        served = {self.did_address: self.did, **self.keys, **self.lists}
        return {url: json.dumps(page).encode() for url, page in served.items()}


@functools.cache
def of_examples() -> Site:
    """The site of the examples, which nobody serves."""
    keys = examples.ed25519_key(), examples.rsa_key()
    listed = editions.status_list()
    return Site(
        did=ob3.did_document(examples.issuer().did, keys[:1], keys[1:], examples.BASE),
        keys={ob3.key_address(examples.BASE, key.kid): key.public_jwk() for key in keys},
        lists={listed["id"]: listed},
        now=outside.NOW,
    )


def served_at(base: str) -> Site:
    """The site of a running tool: every page is asked for as a stranger asks."""

    def answered(url: str) -> Json:
        page: Json = requests.get(url, timeout=20).json()
        return page

    did = answered(f"{base}/.well-known/did.json")
    kids = [method["id"].rpartition("#")[2] for method in did["verificationMethod"]]
    addresses = (f"{base}/status/{number}" for number in itertools.count(1))
    lists = itertools.takewhile(lambda url: requests.get(url, timeout=20).status_code == 200, addresses)
    return Site(
        did=did,
        keys={url: answered(url) for url in (ob3.key_address(base, kid) for kid in kids)},
        lists={url: answered(url) for url in lists},
        now=now().isoformat(),
    )
