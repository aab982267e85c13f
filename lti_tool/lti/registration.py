"""What the tool knows of one platform, and of one login that is under way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pylti1p3.registration import Registration as PyltiRegistration
from pylti1p3.request import Request
from pylti1p3.tool_config.abstract import ToolConfAbstract


@dataclass(frozen=True)
class Registration:
    """One (issuer, client_id) and its addresses. All customers of Canvas' cloud have one issuer: both are the key."""

    id: int
    issuer: str
    client_id: str
    auth_login_url: str
    auth_token_url: str
    jwks_url: str
    auth_audience: str | None = None
    product: str = "other"

    @property
    def token_audience(self) -> str:
        """The `aud` of a token request: the token address, unless the platform names another.

        Canvas compares it with the address of the host that was called; Moodle 4.5 does not look at it."""
        return self.auth_audience or self.auth_token_url

    @property
    def storage_origin(self) -> str:
        """The only origin `lti.put_data` and `lti.get_data` may be sent to: that of the login address, never `*`."""
        return origin_of(self.auth_login_url)


@dataclass(frozen=True)
class LoginRow:
    """What is stored between login and launch: whoever comes back must fit all of it.

    `state_hash` and `browser_hash` are `digest` of secrets that are kept nowhere on the server. `storage_target` is
    the frame for platform storage (lti-cs-pm 0.1) where the platform named one."""

    state_hash: str
    nonce: str = field(repr=False)
    registration_id: int
    target_link_uri: str
    browser_hash: str
    storage_target: str | None
    created_at: datetime
    expires_at: datetime
    consumed_at: datetime | None = None


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address as browsers write an origin."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else (parts.hostname or "")
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port and parts.port != default else "")


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret in hex: what is stored and compared in place of the secret itself."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class ToolConf(ToolConfAbstract[Request]):
    """The one registration that was found for this request, in the shape pylti1p3 asks for.

    Both `check_iss_has_…` are answered here: pylti1p3's own answers come from a dict that all instances share."""

    def __init__(self, registration: Registration) -> None:
        self._found = (
            PyltiRegistration()
            .set_issuer(registration.issuer)
            .set_client_id(registration.client_id)
            .set_auth_login_url(registration.auth_login_url)
            .set_auth_token_url(registration.auth_token_url)
            .set_key_set_url(registration.jwks_url)
        )

    def check_iss_has_one_client(self, iss: str) -> bool:
        return False

    def check_iss_has_many_clients(self, iss: str) -> bool:
        return True

    def find_registration_by_issuer(self, iss: str, *args: Any, **kwargs: Any) -> PyltiRegistration:
        return self._found

    def find_registration_by_params(self, iss: str, client_id: str, *args: Any, **kwargs: Any) -> PyltiRegistration:
        return self._found

    def find_deployment(self, iss: str, deployment_id: str) -> None:
        return None

    def find_deployment_by_params(
        self, iss: str, deployment_id: str, client_id: str, *args: Any, **kwargs: Any
    ) -> None:
        return None
