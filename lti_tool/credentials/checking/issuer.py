"""Is the issuer who it says it is? What can be told of that from outside."""

from __future__ import annotations

from lti_tool.credentials.checking.report import FAILED, PASSED, UNKNOWN
from lti_tool.credentials.issuer_keys import Own, did_web_address, own_issuer
from lti_tool.credentials.untrusted import Json, Refused, Unknown, as_object, host_of
from lti_tool.sentence import Sentence


def who(issuer: Json, unchanged: str, key: str, own: Own | None) -> str:
    identifier = issuer["id"]
    name = issuer.get("name") if isinstance(issuer.get("name"), str) else ""
    called = f"“{name}”" if name else Sentence("The issuer")
    if key == FAILED:
        raise Refused(Sentence("%(called)s cannot be shown to have issued it.", called=called))
    if key == UNKNOWN:
        raise Unknown(Sentence("Without its key this cannot be told."))
    if unchanged != PASSED:
        raise Unknown(
            Sentence("Not asked: the signature does not fit, so anybody may have written the issuer's name in it.")
        )
    if own_issuer(identifier, own):
        return Sentence("Yes. It was issued here.")
    if identifier.startswith(("did:key:", "did:jwk:")):
        raise Unknown(
            Sentence(
                "%(called)s is known by a key alone. Anybody can make one, under any name; ask the issuer.",
                called=called,
            )
        )
    host = host_of(identifier if identifier.startswith("https://") else did_web_address(identifier))
    return Sentence(
        "%(called)s is what the people behind %(host)s call themselves. Make sure that you know this address.",
        called=called,
        host=host,
    )


def is_own(document: Json, own: Own | None) -> bool:
    """Tell whether a credential says that it is from this installation."""
    return own_issuer(as_object(document.get("issuer")).get("id"), own)
