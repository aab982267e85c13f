"""What this installation says of itself as an OAuth 2.0 authorization server (RFC 8414).

There is one document and one token endpoint. Each room that grants tokens adds its part to `PARTS`; the token endpoint
finds its grant by `grant_type` (web/oid4vci.py: `GRANTS`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lti_tool.services import badge_api
from lti_tool.services.tool import Tool

PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code"

Part = Callable[[Tool], dict[str, Any]]


def of_wallets(tool: Tool) -> dict[str, Any]:
    """Return OpenID4VCI's part: a wallet needs no client id, the pre-authorised code says who may have what.

    Section 12.3 of https://openid.net/specs/openid-4-verifiable-credential-issuance-1_0.html"""
    return {
        "token_endpoint": f"{tool.settings.base_url}/oid4vci/token",
        "grant_types_supported": [PRE_AUTHORIZED],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_details_types_supported": ["openid_credential"],
        "pre-authorized_grant_anonymous_access_supported": True,
    }


def of_backpacks(tool: Tool) -> dict[str, Any]:
    return badge_api.oauth_parts(tool.settings.base_url)


PARTS: list[Part] = [of_wallets, of_backpacks]


def document(tool: Tool, parts: Sequence[Part] | None = None) -> dict[str, Any]:
    """Return the metadata of all parts together: lists are joined; ValueError where two say different things."""
    found: dict[str, Any] = {"issuer": tool.settings.base_url}
    for part in PARTS if parts is None else parts:
        for name, value in part(tool).items():
            if isinstance(value, list):
                found[name] = list(dict.fromkeys([*found.get(name, []), *value]))
            elif found.setdefault(name, value) != value:
                raise ValueError(f"two parts say different things of {name}")
    return found
