"""Is it this person's? Asked only where whoever checks gives an e-mail address to compare with."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from lti_tool.credentials.untrusted import Json, Refused, Unknown, objects, text_of
from lti_tool.sentence import Sentence

ADDRESSES = frozenset({"emailAddress", "email"})


def in_badge(document: Json, address: str) -> str:
    """Compare with the identifiers of an Open Badges 3.0 subject (https://www.imsglobal.org/spec/ob/v3p0#identityhash)."""
    told = [
        (text_of(each.get("identityHash")), text_of(each.get("salt")))
        for each in objects(document["credentialSubject"].get("identifier"))
        if each.get("identityType") in ADDRESSES
    ]
    return _compared(told, address)


def in_assertion(said: Json, address: str) -> str:
    """Compare with the recipient of an Open Badges 2.0 assertion."""
    told = [
        (text_of(each.get("identity")), text_of(each.get("salt")))
        for each in objects(said.get("recipient"))
        if each.get("type") in ADDRESSES
    ]
    return _compared(told, address)


def _compared(told: list[tuple[str, str]], address: str) -> str:
    if not told:
        raise Unknown(Sentence("It names nobody by an e-mail address. Ask the holder to show that it is theirs."))
    for said, salt in told:
        if any(hmac.compare_digest(said.lower().encode(), form.encode()) for form in _forms(address, salt)):
            return Sentence("Yes. It was made out to this e-mail address.")
    raise Refused(Sentence("No. It was made out to another e-mail address."))


def _forms(address: str, salt: str) -> Iterator[str]:
    """Yield what an issuer may have written for an address: itself, or its hash; as given, or in small letters."""
    for each in {address.strip(), address.strip().lower()}:
        yield each.lower()
        yield "sha256$" + hashlib.sha256((each + salt).encode()).hexdigest()
        yield "md5$" + hashlib.md5((each + salt).encode(), usedforsecurity=False).hexdigest()
