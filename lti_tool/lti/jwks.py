"""The tool's own public keys, where platforms find them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lti_tool.keyring import Key


def public_jwks(keys: Iterable[Key]) -> dict[str, list[dict[str, Any]]]:
    """Return the JWKS (RFC 7517, 5) of these keys, newest first: `Keyring.published_lti(now)` holds those to publish.

    A key that was retired less than seven days ago is among them (L04): Canvas asks for the set at every token request,
    but Moodle keeps it until a signature fails."""
    return {"keys": [key.public_jwk() for key in sorted(keys, key=lambda key: key.created, reverse=True)]}
