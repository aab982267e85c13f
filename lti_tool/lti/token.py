"""Access tokens for a platform's services: asked for with a signed assertion, kept until shortly before they end.

Security Framework 1.0: https://www.imsglobal.org/spec/security/v1p0/#using-json-web-tokens-with-oauth-2-0-client-credentials-grant"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt

from lti_tool.errors import ScopeMissing, ServiceError, TokenRefused
from lti_tool.http import Http, Response
from lti_tool.keyring import Key
from lti_tool.lti.claims import DEPLOYMENT_ID
from lti_tool.lti.registration import Registration

# Canvas refuses an assertion older than five minutes.
ASSERTION_LASTS = timedelta(minutes=5)
# A token that ends while a request is under way is of no use.
RENEW_BEFORE_END = timedelta(seconds=60)
# RFC 6749, 5.1: expires_in is recommended only. Canvas and Moodle both give an hour.
ASSUMED_LIFE = timedelta(hours=1)
# An older one that lacks a scope may be from before an administrator's click.
NEW = timedelta(minutes=1)


@dataclass(frozen=True)
class AccessToken:
    """`scopes` are those that were granted, which may be fewer than were asked for."""

    value: str = field(repr=False)
    scopes: frozenset[str]
    asked_at: datetime
    ends_at: datetime


_Key = tuple[int, str, str | None, tuple[str, ...]]


class TokenCache:
    """Tokens by registration, deployment and scopes, safe to share between threads.

    A token is never another registration's: pylti1p3next keys its cache without client_id, and so hands one Canvas
    customer's token to another.

    `signing_key` returns the LTI key that signs now (`keyring.lti`), `clock` the time in UTC: an assertion must be
    fresh also in a job that runs for an hour."""

    def __init__(self, http: Http, *, signing_key: Callable[[], Key], clock: Callable[[], datetime]) -> None:
        self._http = http
        self._signing_key = signing_key
        self._clock = clock
        self._tokens: dict[_Key, AccessToken] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, registration: Registration, scopes: Collection[str], deployment_id: str | None = None) -> AccessToken:
        """Return a token for these scopes, from the cache or new; only one thread asks the platform.

        Raises TokenRefused (a state of the registration), ScopeMissing, or another ServiceError."""
        key = _key(registration, scopes, deployment_id)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            token = self._tokens.get(key)
            if token is None or self._clock() >= token.ends_at - RENEW_BEFORE_END:
                token = self._tokens[key] = self._ask(registration, tuple(sorted(set(scopes))), deployment_id)
            return token

    def is_new(self, token: AccessToken) -> bool:
        """Tell whether a token was asked for just now, so that another one would say the same."""
        return self._clock() - token.asked_at < NEW

    def drop(
        self, registration: Registration, scopes: Collection[str], token: AccessToken, deployment_id: str | None = None
    ) -> None:
        """Forget a token that a service refused, unless another thread has replaced it already."""
        key = _key(registration, scopes, deployment_id)
        with self._lock:
            if self._tokens.get(key) is token:
                del self._tokens[key]

    def _ask(self, registration: Registration, scopes: tuple[str, ...], deployment_id: str | None) -> AccessToken:
        now = self._clock()
        response = self._http.request(
            "POST",
            registration.auth_token_url,
            headers={"Accept": "application/json"},
            form={
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": client_assertion(registration, self._signing_key(), deployment_id, now),
                "scope": " ".join(scopes),
            },
            allow=(400, 401, 403),
            retry=True,  # a second token does no harm, and a jti that was answered with 503 was not used up
        )
        if response.status >= 400:
            raise _refused(response, registration)
        return _read_token(response, scopes, now)


def client_assertion(registration: Registration, key: Key, deployment_id: str | None, now: datetime) -> str:
    """Sign the assertion a token is asked for with (RFC 7523, 3). The key is an object: reading PEM takes 65 ms."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": registration.client_id,
        "sub": registration.client_id,
        "aud": registration.token_audience,
        "iat": issued_at,
        "exp": issued_at + int(ASSERTION_LASTS.total_seconds()),
        "jti": secrets.token_urlsafe(24),
    }
    if deployment_id is not None:
        claims[DEPLOYMENT_ID] = deployment_id  # LTI Core 1.3: token requests should carry it
    return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})


def _key(registration: Registration, scopes: Collection[str], deployment_id: str | None) -> _Key:
    return registration.id, registration.client_id, deployment_id, tuple(sorted(set(scopes)))


def _read_token(response: Response, scopes: tuple[str, ...], now: datetime) -> AccessToken:
    answer = response.json()
    value = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise ServiceError("the token endpoint's answer holds no access_token", reason="no_token")
    granted = answer.get("scope")
    # RFC 6749, 5.1: no scope in the answer means those that were asked for.
    kept = frozenset(granted.split()) if isinstance(granted, str) and granted.strip() else frozenset(scopes)
    return AccessToken(value, kept, now, now + _life(answer.get("expires_in")))


def _life(expires_in: object) -> timedelta:
    try:
        seconds = float(expires_in)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ASSUMED_LIFE
    return timedelta(seconds=seconds) if 0 < seconds <= 86400 * 31 else ASSUMED_LIFE


def _refused(response: Response, registration: Registration) -> ServiceError:
    """Tell a missing scope from a refusal of the registration. Moodle 4.5.6 writes some as broken JSON (seen)."""
    text = response.body[:1000].decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    description = answer.get("error_description") if isinstance(answer, dict) else None
    words = " ".join(str(part) for part in (error, description) if part) or text
    detail = f"registration {registration.id}: {response.status} {words}"[:300]
    return ScopeMissing(detail) if error == "invalid_scope" else TokenRefused(detail)
