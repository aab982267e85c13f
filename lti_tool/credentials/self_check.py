"""The check before release: a new shape of credential is looked at as a stranger's verifier looks at it.

It runs the verifier's own questions, which are written apart from what builds and signs: the form that the official
JSON Schema asks for, each word defined, each link within resolved. What only its signature and its status can tell is
checked when it is signed."""

from __future__ import annotations

from typing import Any

from lti_tool.credentials.checking.found import Found
from lti_tool.credentials.checking.structure import complete, links
from lti_tool.credentials.untrusted import MOST_VALUES, Refused, Unknown, count
from lti_tool.errors import CredentialHeldBack


def check_whole(credential: dict[str, Any]) -> None:
    """Raise CredentialHeldBack for an unsigned credential that strangers would not take."""
    found = Found("JSON", credential)
    try:
        if count(credential) > MOST_VALUES:
            raise CredentialHeldBack("more parts than verifiers take")
        complete(found)
        links(found)
    except (Refused, Unknown) as error:
        raise CredentialHeldBack(f"a verifier would say: {error.sentence}") from error
