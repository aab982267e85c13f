"""What wallets call: OpenID4VCI's addresses, and the one of the Learner Credential Wallet. No session, no page.

A wallet shows the secret it was given; that is all the permission there is. Answers are never kept, and may be read by
a wallet that runs in a browser."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from lti_tool import security
from lti_tool.errors import NotFound, ToolError, WalletRefused
from lti_tool.security import public, tool
from lti_tool.services import authorization_server, wallet_offers, wallets
from lti_tool.services.authorization_server import PRE_AUTHORIZED
from lti_tool.web import oauth

log = logging.getLogger("lti_tool")

pages = Blueprint("oid4vci", __name__)

# From one address. A wallet needs six for a badge, and a campus may be one address.
REQUESTS_PER_MINUTE = 1200


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["wallet_limit"] = security.RateLimit(REQUESTS_PER_MINUTE)


@pages.before_request
def _count() -> None:
    request.max_content_length = wallets.LARGEST
    current_app.extensions["wallet_limit"].count(request.remote_addr or "")


@pages.after_request
def _headers(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "3600"
    return response


def _json(content: Any, kind: str = "application/json", status: int = 200) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    return Response(body, status=status, content_type=kind)


def _now() -> datetime:
    return datetime.now(UTC)


# -- what can be had --------------------------------------------------------------------------------------------


@pages.get("/.well-known/openid-credential-issuer")
@public
def issuer_metadata() -> Response:
    # Not to be kept: a badge that is published and earned now is offered now.
    return _json(wallets.issuer_metadata(tool()))


@pages.get("/.well-known/oauth-authorization-server")
@public
def server_metadata() -> Response:
    return _json(authorization_server.document(tool()))


@pages.get("/oid4vci/offers/<address>")
@public
def offer(address: str) -> Response:
    return _json(wallet_offers.credential_offer(tool(), address, _now()))


# -- getting it -------------------------------------------------------------------------------------------------


def _pre_authorized() -> Response:
    code = request.form.get("pre-authorized_code")
    if not code:
        raise WalletRefused("there is no pre-authorized_code")
    form = request.form
    return _json(wallet_offers.redeem(tool(), code, form.get("tx_code"), form.get("authorization_details"), _now()))


# What answers a token request, by its grant type: the metadata names one token endpoint. That of the Open Badges API
# stands in its discovery document, too.
GRANTS: dict[str, Callable[[], Response]] = {
    PRE_AUTHORIZED: _pre_authorized,
    "authorization_code": oauth.token,
    "refresh_token": oauth.token,
}


@pages.post("/oid4vci/token")
@public
def token() -> Response:
    if any(len(values) > 1 for values in request.form.listvalues()):
        raise WalletRefused("a parameter is sent twice")
    grant = request.form.get("grant_type", "")
    if not grant:
        raise WalletRefused("there is no grant_type")
    if grant not in GRANTS:
        raise WalletRefused("the grant type is not known here", reason="unsupported_grant_type")
    return GRANTS[grant]()


@pages.post("/oid4vci/nonce")
@public
def nonce() -> Response:
    return _json({"c_nonce": wallets.new_nonce(tool(), _now())})


@pages.post("/oid4vci/credential")
@public
def credential() -> Response:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    sent = given.strip() if scheme.lower() == "bearer" else ""
    return _json(wallets.credential_response(tool(), sent, request.get_data(), _now()))


@pages.post("/exchanges/<address>")
@public
def exchange(address: str) -> Response:
    return _json(wallets.exchange(tool(), address, request.get_data(), _now()), "application/vc+ld+json")


# -- refusals ---------------------------------------------------------------------------------------------------


@pages.errorhandler(ToolError)
def refused(error: ToolError) -> Response:
    """Answer a refusal in the standard's words; the log gets the reason, and nothing that was sent."""
    if isinstance(error, WalletRefused):
        answer = {"error": error.reason, "error_description": error.detail}
    else:
        answer = {"error": "invalid_request" if isinstance(error, NotFound) else error.reason}
    tool().figures.count("refusals", reason=error.reason)
    log.info(
        "refused error_id=%s status=%s reason=%s endpoint=%s", g.number, error.status, error.reason, request.endpoint
    )
    response = _json(answer, status=error.status)
    if error.status == 401:
        # Without a token there is nothing to be wrong with it (RFC 6750, section 3.1).
        told = ' error="invalid_token"' if "Authorization" in request.headers else ""
        response.headers["WWW-Authenticate"] = f"Bearer{told}"
    if error.status == 503:
        response.headers["Retry-After"] = "5"
    return response


@pages.errorhandler(HTTPException)
def malformed(error: HTTPException) -> Response:
    """Answer what was refused before it was read: too large, or a form that is none."""
    return refused(WalletRefused("the request is too large" if error.code == 413 else "", status=error.code or 400))
