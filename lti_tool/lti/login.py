"""Third-party login initiation: the LMS says "somebody wants in", the tool sends the browser to ask for a launch.

Security Framework 1.0, 5.1: https://www.imsglobal.org/spec/security/v1p0/#step-1-third-party-initiated-login"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pylti1p3.exception import LtiException, OIDCException
from pylti1p3.oidc_login import OIDCLogin
from pylti1p3.redirect import Redirect
from pylti1p3.registration import Registration as PyltiRegistration

from lti_tool.http import same_origin
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import LoginRow, Registration, ToolConf, digest
from lti_tool.lti.request import FormRequest, NoCookies, OneLogin

LOGIN_LASTS = timedelta(minutes=10)

# https://www.imsglobal.org/spec/security/v1p0/#step-1-third-party-initiated-login
# https://www.imsglobal.org/spec/lti/v1p3/#additional-login-parameters
REQUIRED_PARAMETERS = ("iss", "login_hint", "target_link_uri")

# A Canvas lti_message_hint is a JWT of about 1 kB; what is longer than this is no hint.
LONGEST_PARAMETER = 8192


@dataclass(frozen=True)
class StartedLogin:
    """Where to send the browser, what to store, and the two secrets only that browser may hold.

    `browser_secret` goes into the cookie named `login_cookie(state)` and, where `row.storage_target` is set, also into
    platform storage under `storage_key(state)`: either one proves at launch that it is the same browser. Each login
    has a cookie of its own, so that two tabs opened at once do not take each other's."""

    redirect_url: str = field(repr=False)
    row: LoginRow
    registration: Registration
    state: str = field(repr=False)
    browser_secret: str = field(repr=False)


def start_login(
    params: Mapping[str, str],
    *,
    find_registrations: Callable[[str, str | None], Sequence[Registration]],
    our_redirect_uri: str,
    now: datetime,
) -> StartedLogin:
    """Answer a login request, by GET or POST alike, with the address to send the browser to.

    `find_registrations(issuer, client_id)` returns those in use; client_id is None where the LMS sent none.
    The caller stores `row` before it answers. Raises LaunchRefused or LaunchMalformed."""
    for name in REQUIRED_PARAMETERS:
        if not params.get(name):
            raise refusal("login_parameter", f"the login request has no {name}")
    for name, value in params.items():
        if len(value) > LONGEST_PARAMETER or "\0" in value:
            raise refusal("login_parameter", f"the login parameter {name[:40]!r} cannot be used")
    _check_target(params["target_link_uri"], our_redirect_uri)
    registration = _find(params, find_registrations)

    state, browser_secret = f"state-{secrets.token_urlsafe(32)}", secrets.token_urlsafe(32)
    request = FormRequest(params)
    session = OneLogin(request)
    try:
        redirect_url = _Login(request, ToolConf(registration), session, NoCookies()).address(
            state, registration.auth_login_url, our_redirect_uri
        )
    except (LtiException, OIDCException, ValueError, TypeError) as error:
        raise refusal("login_parameter", f"pylti1p3: {error}"[:200]) from error
    row = LoginRow(
        state_hash=digest(state),
        nonce=session.nonce,
        registration_id=registration.id,
        target_link_uri=params["target_link_uri"],
        browser_hash=digest(browser_secret),
        storage_target=_storage_target(params),
        created_at=now,
        expires_at=now + LOGIN_LASTS,
    )
    return StartedLogin(redirect_url, row, registration, state, browser_secret)


def login_cookie(state: str) -> str:
    """Return the name of the cookie that holds a login's browser secret, without a `__Host-` prefix.

    Made of the state's hash, so that a state with strange characters names no strange cookie."""
    return f"login-{digest(state)[:16]}"


def storage_key(state: str) -> str:
    """Return the key in platform storage; it includes the state, as lti-cs-oidc 0.1 asks."""
    return f"lti-tool-login-{state}"


def same_secret(secret: str | None, stored_hash: str) -> bool:
    """Say, in constant time, whether a secret is the one whose hash was stored."""
    return bool(secret) and hmac.compare_digest(digest(secret or ""), stored_hash)


class _Login(OIDCLogin[Any, Any, Any, Any, Any]):
    """pylti1p3's login with our random values; the registration is found before, so that each refusal has its word."""

    _state = ""

    def address(self, state: str, auth_login_url: str, our_redirect_uri: str) -> str:
        self._state = state
        address: str = self._prepare_redirect_url(our_redirect_uri)
        # pylti1p3 always adds "?"; an authorization address may have a query of its own.
        if "?" in auth_login_url:
            return auth_login_url + "&" + address[len(auth_login_url) + 1 :]
        return address

    def validate_oidc_login(self) -> PyltiRegistration:
        return self._tool_config.find_registration_by_params(
            self._get_request_param("iss"), self._get_request_param("client_id")
        )

    def get_redirect(self, url: str) -> Redirect[Any]:
        raise NotImplementedError("the web layer redirects")

    def _get_uuid(self) -> str:
        return self._state.removeprefix("state-")  # pylti1p3 puts it in front again

    def _generate_nonce(self) -> str:
        # pylti1p3's is built from uuid1 and uuid4: CVE-2022-31157 in a sister library was a guessable nonce.
        return secrets.token_urlsafe(32)


def _find(
    params: Mapping[str, str], find_registrations: Callable[[str, str | None], Sequence[Registration]]
) -> Registration:
    client_id = params.get("client_id") or None
    found = [
        registration
        for registration in find_registrations(params["iss"], client_id)
        if registration.issuer == params["iss"] and client_id in (None, registration.client_id)
    ]
    if not found:
        raise refusal("registration_unknown", "no registration has this issuer and client_id")
    if len(found) > 1:
        raise refusal("client_id_needed", f"{len(found)} registrations have this issuer and no client_id was sent")
    return found[0]


def _check_target(target: str, our_redirect_uri: str) -> None:
    """Refuse a target on any host but ours; `//evil`, `\\evil` and `javascript:` are such targets too."""
    if target == our_redirect_uri:
        return
    if any(character <= " " or character in "\\\x7f" for character in target) or not same_origin(
        target, our_redirect_uri
    ):
        raise refusal("target_link_uri_elsewhere", "target_link_uri is not an address of this tool")


def _storage_target(params: Mapping[str, str]) -> str | None:
    """The frame name goes into a page of ours, so only what can be a frame name is kept."""
    target = params.get("lti_storage_target", "")
    return target if 0 < len(target) <= 255 and target.isascii() and target.isprintable() else None
