"""How Moodle registers a tool that registers itself: seen on a Moodle 4.5.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
from flask import Blueprint, Response, jsonify, request

from . import wire
from .records import Tool

if TYPE_CHECKING:
    from .lms import Lms

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
CONFIG = "https://purl.imsglobal.org/spec/lti-tool-configuration"
ADVERTISED = (
    "https://purl.imsglobal.org/spec/lti-bo/scope/basicoutcome",
    SCOPE + "lineitem.readonly",
    SCOPE + "result.readonly",
    SCOPE + "score",
    SCOPE + "lineitem",
    NRPS_SCOPE,
    "https://purl.imsglobal.org/spec/lti-ts/scope/toolsetting",
    "openid",
)
VARIABLES = (
    "Context.id",
    "Context.title",
    "Context.label",
    "Context.id.history",
    "Context.sourcedId",
    "ResourceLink.id",
    "ResourceLink.title",
    "User.id",
    "User.username",
    "Person.name.full",
    "Person.email.primary",
    "Person.sourcedId",
    "Membership.role",
    "CourseSection.sourcedId",
)
CLAIMS = ["sub", "iss", "name", "given_name", "family_name", "email"]
SECONDS = 3600


def start_address(lms: Lms, url: str) -> str:
    """Return what the registration frame opens: the tool's address with its own query kept."""
    now = int(lms.clock())
    client_id = lms.mood.new_client_id(lms.serial("registration") + 5000)
    claims = {"sub": client_id, "scope": "reg", "iat": now, "exp": now + SECONDS}
    token = lms.sign(claims)
    lms.registering[token] = client_id
    return wire.with_query(
        url,
        openid_configuration=f"{lms.server_root}/mod/lti/openid-configuration.php",
        registration_token=token,
    )


def add_routes(blueprint: Blueprint, lms: Lms) -> None:
    blueprint.add_url_rule("/mod/lti/openid-configuration.php", "openid", lambda: configuration(lms))
    blueprint.add_url_rule(
        "/mod/lti/openid-registration.php", "registration", lambda: register(lms), methods=["GET", "POST"]
    )


def configuration(lms: Lms) -> Response:
    return jsonify(
        {
            "issuer": lms.issuer,
            "token_endpoint": lms.token_url,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            "jwks_uri": lms.jwks_url,
            "authorization_endpoint": lms.auth_url,
            "registration_endpoint": f"{lms.server_root}/mod/lti/openid-registration.php",
            "scopes_supported": list(ADVERTISED),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public", "pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": CLAIMS,
            "https://purl.imsglobal.org/spec/lti-platform-configuration": {
                "product_family_code": "moodle",
                "version": "4.5.6 (Build: 20250811)",
                "messages_supported": [
                    {"type": "LtiResourceLinkRequest"},
                    {"type": "LtiDeepLinkingRequest", "placements": ["ContentArea"]},
                ],
                "variables": VARIABLES,
            },
        }
    )


def register(lms: Lms) -> Response:
    """Make a tool of one POST. Errors are plain text; a token is good once."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return plain("invalid_token", 401)
    if kind != "Bearer" or claims.get("scope") != "reg" or claims.get("exp", 0) <= lms.clock():
        return plain("invalid_token", 401)
    asked = wire.json_body()
    if request.method != "POST" or asked is None:
        return plain("invalid_request", 400)
    if (trouble := what_is_missing(asked)) is not None:
        return plain(trouble, 400)
    with lms.lock:
        client_id = lms.registering.pop(token, None)
        if client_id is None:
            return plain("token_already_used", 401)
        tool = add_tool(lms, client_id, asked)
    return jsonify(answer(tool, asked))


def what_is_missing(asked: dict[str, Any]) -> str | None:
    config = asked.get(CONFIG) or {}
    if "id_token" not in asked.get("response_types", ()):
        return "invalid_response_types"
    for name in ("initiate_login_uri", "redirect_uris", "client_name", "jwks_uri"):
        if not asked.get(name):
            return f"missing_{name}"
    if asked.get("token_endpoint_auth_method") != "private_key_jwt":
        return "invalid_token_endpoint_auth_method"
    if not config.get("domain"):
        return "missing_domain"
    if urlsplit(config.get("target_link_uri", "")).netloc != config["domain"]:
        return "domain_target_link_uri_mismatch"
    return None


def add_tool(lms: Lms, client_id: str, asked: dict[str, Any]) -> Tool:
    """Keep what Moodle keeps: no placement, no label, no message but deep linking. Pending, and shown to no teacher."""
    config = asked[CONFIG]
    wanted = asked.get("scope", "").split()
    claims = config.get("claims") or []
    tool = lms.register_tool(
        asked["initiate_login_uri"],
        config["target_link_uri"],
        asked["jwks_uri"],
        client_id=client_id,
        redirect_uris=asked["redirect_uris"],
        scopes=stored_scopes(wanted),
        custom=dict(config.get("custom_parameters") or {}),
        privacy={(True, True): "public", (True, False): "name_only", (False, True): "email_only"}.get(
            ("name" in claims, "email" in claims), "anonymous"
        ),
        name=asked["client_name"],
        active=False,
        shown=False,
    )
    tool.description = config.get("description", "")
    lms.changed()
    return tool


def stored_scopes(wanted: list[str]) -> list[str]:
    """Grade synchronisation is off, read and score, or with columns; the roster is on or off."""
    kept = []
    if SCOPE + "lineitem" in wanted:
        kept = [SCOPE + name for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")]
    elif any(one.startswith(SCOPE) for one in wanted):
        kept = [SCOPE + name for name in ("lineitem.readonly", "result.readonly", "score")]
    return kept + ([NRPS_SCOPE] if NRPS_SCOPE in wanted else [])


def answer(tool: Tool, asked: dict[str, Any]) -> dict[str, Any]:
    """Answer as seen: whoever asked for any grade scope reads that it has them all, which need not be so."""
    wanted = asked.get("scope", "").split()
    told = [SCOPE + name for name in ("score", "result.readonly", "lineitem.readonly", "lineitem")]
    scopes = (told if any(one.startswith(SCOPE) for one in wanted) else []) + (
        [NRPS_SCOPE] if NRPS_SCOPE in wanted else []
    )
    config = asked[CONFIG]
    return {
        "client_id": tool.client_id,
        "response_types": ["id_token"],
        "jwks_uri": tool.jwks_url,
        "initiate_login_uri": tool.login_url,
        "grant_types": ["client_credentials", "implicit"],
        "redirect_uris": tool.redirect_uris,
        "application_type": "web",
        "token_endpoint_auth_method": "private_key_jwt",
        "client_name": tool.name,
        "logo_uri": asked.get("logo_uri", ""),
        "scope": " ".join(scopes),
        CONFIG: {
            "version": "1.3.0",
            "deployment_id": tool.deployment_id,
            "target_link_uri": tool.launch_url,
            "domain": config["domain"],
            "description": tool.description,
            "messages": [
                {"type": one["type"], "target_link_uri": one.get("target_link_uri", tool.launch_url)}
                for one in config.get("messages") or []
                if one.get("type") == "LtiDeepLinkingRequest"
            ][:1],
            "custom_parameters": tool.custom,
            "claims": [one for one in CLAIMS if one in (config.get("claims") or [])],
        },
    }


def plain(text: str, status: int) -> Response:
    return Response(text, status, content_type="text/html; charset=utf-8")
