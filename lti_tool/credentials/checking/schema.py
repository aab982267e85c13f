"""Does it keep to the form its issuer names? The standard's own schemas are covered by `form.py`; others are named."""

from __future__ import annotations

import re
from collections.abc import Callable

from lti_tool.credentials.untrusted import Json, Unknown, host_of, objects
from lti_tool.sentence import Sentence

STANDARDS_OWN = re.compile(r"https://purl\.imsglobal\.org/spec/(ob/v3p0|clr/v2p0)/schema/json/[a-z0-9_.-]+\.json")


def named_schemas(document: Json) -> Callable[[], str] | None:
    """Return what answers for the schemas that a credential names; None where there are only the standard's own."""
    others = [
        schema
        for schema in objects(document.get("credentialSchema"))
        if not isinstance(schema.get("id"), str) or not STANDARDS_OWN.fullmatch(schema["id"])
    ]
    if not others:
        return None

    def answer() -> str:
        address = others[0].get("id")
        host = host_of(address) if isinstance(address, str) else ""
        raise Unknown(Sentence("It names a form of %(host)s, which is not compared here.", host=host or "?"))

    return answer
