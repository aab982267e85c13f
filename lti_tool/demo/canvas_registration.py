"""How Canvas registers a tool: by itself (notes on its source, 8.1), and as a developer key from an address (8.2)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import jwt
import requests
from flask import Blueprint, Response, jsonify, request

from . import wire
from .records import Tool

if TYPE_CHECKING:
    from .lms import Lms

CANVAS = "https://canvas.instructure.com/lti/"
CONFIG = "https://purl.imsglobal.org/spec/lti-tool-configuration"
SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
ADVERTISED = (
    "openid",
    "https://purl.imsglobal.org/spec/lti-reg/scope/registration.readonly",
    "https://purl.imsglobal.org/spec/lti-reg/scope/registration",
    SCOPE + "lineitem",
    SCOPE + "lineitem.readonly",
    SCOPE + "result.readonly",
    SCOPE + "score",
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
    "https://purl.imsglobal.org/spec/lti/scope/noticehandlers",
    CANVAS + "public_jwk/scope/update",
    CANVAS + "account_lookup/scope/show",
    "https://canvas.instructure.com/lti-ags/progress/scope/show",
    CANVAS + "page_content/show",
)
PLACEMENTS = {
    "LtiResourceLinkRequest": ("account_navigation", "course_navigation", "global_navigation", "user_navigation"),
    "LtiDeepLinkingRequest": ("assignment_selection", "link_selection", "editor_button", "module_menu_modal"),
}
VARIABLES = (
    "ResourceLink.id",
    "ResourceLink.title",
    "Context.id",
    "Context.id.history",
    "Activity.id.history",
    "Canvas.api.domain",
    "Canvas.api.baseUrl",
    "Canvas.course.id",
    "Canvas.course.startAt",
    "Canvas.course.endAt",
    "Canvas.term.startAt",
    "Canvas.term.endAt",
    "Canvas.term.name",
    "Canvas.user.id",
    "Canvas.assignment.id",
    "Canvas.enrollment.enrollmentState",
    "com.instructure.User.student_view",
    "Message.locale",
    "Person.name.full",
)
SECONDS = 3600
REQUIRED = {
    "application_type": "web",
    "response_types": ["id_token"],
    "token_endpoint_auth_method": "private_key_jwt",
}


def start_address(lms: Lms, url: str) -> str:
    """Return what the registration frame opens; the configuration's address carries the token too."""
    now = int(lms.clock())
    claims = {
        "uuid": secrets.token_hex(8),
        "initiated_at": now,
        "root_account_domain": lms.mood.host,  # type: ignore[union-attr]
        "registration_url": url,
        "exp": now + SECONDS,
    }
    token = jwt.encode(claims, lms.token_secret, algorithm="HS256")
    lms.registering[token] = ""
    at = wire.with_query(f"{lms.server_root}/api/lti/security/openid-configuration", registration_token=token)
    return wire.with_query(url, openid_configuration=at, registration_token=token)


def add_routes(blueprint: Blueprint, lms: Lms) -> None:
    blueprint.add_url_rule("/api/lti/security/openid-configuration", "openid", lambda: configuration(lms))
    blueprint.add_url_rule("/api/lti/registrations", "registration", lambda: register(lms), methods=["POST"])


def token_trouble(lms: Lms) -> Response | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if kind != "Bearer" or token not in lms.registering:
            raise jwt.InvalidTokenError("unknown")
        jwt.decode(token, lms.token_secret, algorithms=["HS256"], options={"verify_exp": False})
    except jwt.PyJWTError:
        return error({"errorMessage": "JWT did not include expected contents"}, 401)
    return None


def configuration(lms: Lms) -> Response:
    refused = token_trouble(lms)
    if refused is not None:
        return refused
    return jsonify(
        {
            "issuer": lms.issuer,
            "authorization_endpoint": lms.auth_url,
            "registration_endpoint": f"{lms.server_root}/api/lti/registrations",
            "jwks_uri": lms.jwks_url,
            "token_endpoint": lms.token_url,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            "scopes_supported": list(ADVERTISED),
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "picture", "email", "name", "given_name", "family_name", "locale"],
            "subject_types_supported": ["public"],
            "authorization_server": lms.server_root.split("/")[2],
            "https://purl.imsglobal.org/spec/lti-platform-configuration": {
                "product_family_code": "canvas",
                "version": "OpenSource",
                "messages_supported": [
                    {"type": kind, "placements": [CANVAS + one for one in placements]}
                    for kind, placements in PLACEMENTS.items()
                ],
                "notice_types_supported": ["LtiHelloWorldNotice", "LtiContextCopyNotice"],
                "variables": VARIABLES,
                CANVAS + "account_name": "Demo University",
                CANVAS + "account_lti_guid": "zOUAdemo:canvas-lms",
                CANVAS + "account_domain": lms.browser_root.split("/")[2].partition(":")[0],
            },
        }
    )


def register(lms: Lms) -> Response:
    """Make a tool of what was sent; it is off until the administrator has looked at it."""
    refused = token_trouble(lms)
    if refused is not None:
        return refused
    asked = wire.json_body()
    if asked is None:
        return error({"errors": [{"message": "no JSON object"}]}, 422)
    config = asked.get(CONFIG) or {}
    wrong = [name for name, value in REQUIRED.items() if asked.get(name) != value]
    if not {"client_credentials", "implicit"} <= set(asked.get("grant_types") or ()):
        wrong.append("grant_types")
    wrong += [name for name in ("domain", "messages", "claims", "target_link_uri") if not config.get(name)]
    scopes = asked.get("scope", "").split()
    wrong += [f"Invalid scopes: {one}" for one in scopes if one not in ADVERTISED]
    known = {one for names in PLACEMENTS.values() for one in names} | {"ContentArea", "RichTextEditor"}
    placements = [
        one.removeprefix(CANVAS) for each in config.get("messages") or () for one in each.get("placements", ())
    ]
    wrong += [f"unknown placement {one}" for one in placements if one not in known]
    if wrong:
        return error({"errors": [{"message": one} for one in wrong]}, 422)
    with lms.lock:
        lms.registering.pop(request.headers["Authorization"].partition(" ")[2], None)
        tool = lms.register_tool(
            asked["initiate_login_uri"],
            config["target_link_uri"],
            asked["jwks_uri"],
            deployments=0,
            redirect_uris=asked["redirect_uris"],
            scopes=scopes,
            custom=dict(config.get("custom_parameters") or {}),
            privacy=config.get(CANVAS + "privacy_level") or privacy_of(config["claims"]),
            name=asked.get("client_name", "Tool"),
            active=False,
            shown=True,
        )
        tool.placements = placements or ["link_selection"]
        tool.description = config.get("description", "")
        lms.changed()
    return jsonify(
        {
            **asked,
            "client_id": tool.client_id,
            "registration_client_uri": f"{lms.server_root}/api/lti/registrations/{tool.number}",
            CONFIG: {**config, CANVAS + "registration_config_url": f"{lms.server_root}/registrations/{tool.number}"},
        }
    )


def privacy_of(claims: list[str]) -> str:
    if "picture" in claims or {"name", "email"} <= set(claims):
        return "public"
    return "name_only" if "name" in claims else "email_only" if "email" in claims else "anonymous"


def key_from_address(lms: Lms, json_url: str, redirect_uris: list[str]) -> Tool:
    """Make a developer key of a configuration address ("Enter URL"). Raises ValueError with what is wrong."""
    try:
        told = requests.get(json_url, timeout=10).json()
    except (requests.RequestException, ValueError):
        raise ValueError("The JSON address did not answer with JSON.") from None
    if not isinstance(told, dict):
        raise ValueError("The JSON is not an object.")
    missing = [
        name
        for name in ("title", "description", "oidc_initiation_url", "target_link_uri", "public_jwk_url", "extensions")
        if not told.get(name)
    ]
    if missing:
        raise ValueError(f"The JSON has no {', '.join(missing)}.")
    extension = told["extensions"][0]
    wrong = [one for one in told.get("scopes") or () if one not in ADVERTISED]
    if wrong or "privacy_level" not in extension:
        raise ValueError(f"The JSON names what Canvas does not know: {', '.join(wrong) or 'no privacy_level'}.")
    if not redirect_uris:
        raise ValueError("A redirect address is needed.")
    tool = lms.register_tool(
        told["oidc_initiation_url"],
        told["target_link_uri"],
        told["public_jwk_url"],
        deployments=0,
        redirect_uris=redirect_uris,
        scopes=told.get("scopes") or [],
        custom=dict(told.get("custom_fields") or {}),
        privacy=extension["privacy_level"],
        name=told["title"],
        active=False,
        shown=True,
    )
    tool.placements = [one["placement"] for one in extension.get("settings", {}).get("placements", ())]
    tool.description = told["description"]
    lms.changed()
    return tool


def error(body: dict[str, Any], status: int) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response
