"""Backpacks that register themselves (RFC 7591), as Open Badges 3.0 asks them to.

https://www.imsglobal.org/spec/ob/v3p0#dynamic-client-registration"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc7591 import InvalidClientMetadataError, InvalidRedirectURIError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.db import random_id
from lti_tool.lti.registration import digest
from lti_tool.models import OAuthClient, OAuthGrant, OAuthRequest
from lti_tool.services.tool import Tool

_SCOPE = "https://purl.imsglobal.org/spec/ob/v3p0/scope/"
READ_CREDENTIALS = f"{_SCOPE}credential.readonly"
READ_PROFILE = f"{_SCOPE}profile.readonly"
OFFLINE = "offline_access"  # go on after an hour: only with it is there a refresh token
SCOPES = (READ_CREDENTIALS, READ_PROFILE, OFFLINE)
GRANT_TYPES = ("authorization_code", "refresh_token")
AUTH_METHOD = "client_secret_basic"  # the only one the specification allows

UNSEEN_KEPT = timedelta(days=1)  # a backpack registers when somebody wants to connect it, and comes within minutes
UNUSED_KEPT = timedelta(days=400)
MOST_REDIRECTS = 10
MOST_CONTACTS = 10
LONGEST = 2000  # characters of an address
LONGEST_NAME = 100
PAGES = ("client_uri", "logo_uri", "tos_uri", "policy_uri")


@dataclass(frozen=True)
class Client(ClientMixin):
    """A registered backpack as the protocol asks for it."""

    id: str
    name: str
    host: str
    scope: str
    redirect_uris: tuple[str, ...]
    refreshes: bool
    secret_hash: str
    told: Mapping[str, Any]

    def get_client_id(self) -> str:
        return self.id

    def get_default_redirect_uri(self) -> str:
        return ""  # the specification has each request name one

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return those of the scopes asked for that this backpack may have, None where there is none (RFC 6749, 3.3).

        One that is not offered here is left out, and the answer says what was given."""
        wanted = (scope or "").split()
        given = [each for each in self.scope.split() if each in wanted]
        return " ".join(given) if set(given) - {OFFLINE} else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare with those registered, letter by letter (RFC 9700, 2.1)."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(digest(client_secret), self.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == AUTH_METHOD

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code" or (grant_type == "refresh_token" and self.refreshes)


def find(tool: Tool, client_id: str) -> Client | None:
    if not client_id.isascii() or not client_id.isprintable():
        return None
    with tool.db.read() as session:
        row = session.get(OAuthClient, client_id)
        return client_of(row) if row is not None else None


def client_of(row: OAuthClient) -> Client:
    return Client(
        id=row.id,
        name=row.name,
        host=row.host,
        scope=row.scope,
        redirect_uris=tuple(row.redirect_uris),
        refreshes="refresh_token" in row.told["grant_types"],
        secret_hash=row.secret_hash,
        told=row.told,
    )


def register(tool: Tool, told: Mapping[str, Any], now: datetime) -> tuple[str, str]:
    """Store what `read_metadata` returned; returns client_id and client_secret, of which only the hash is kept."""
    client_id, secret = random_id(), secrets.token_urlsafe(32)
    with tool.db.write() as session:
        session.add(
            OAuthClient(
                id=client_id,
                secret_hash=digest(secret),
                name=told["client_name"],
                host=urlsplit(told["client_uri"]).hostname or "",
                scope=told["scope"],
                redirect_uris=told["redirect_uris"],
                told=dict(told),
                created_at=now,
            )
        )
    return client_id, secret


def forget_unused(session: Session, now: datetime) -> None:
    """Remove backpacks that never sent anybody here, and those that nobody has been connected with for long."""
    unseen = OAuthClient.seen_at.is_(None) & (OAuthClient.created_at < now - UNSEEN_KEPT)
    unused = OAuthClient.seen_at < now - UNUSED_KEPT
    needed = (
        select(OAuthGrant.id).where(OAuthGrant.client_id == OAuthClient.id).exists()
        | select(OAuthRequest.id).where(OAuthRequest.client_id == OAuthClient.id).exists()
    )
    session.execute(delete(OAuthClient).where(unseen | unused, ~needed))


# -- what a backpack says of itself -----------------------------------------------------------------------------


def read_metadata(data: Mapping[str, Any], *, allow_loopback: bool) -> dict[str, Any]:
    """Return a registration's metadata as it is kept and answered.

    All addresses are https and on one host, as the specification asks: so the host that a learner is shown is the one
    that gets her badges. `allow_loopback` lets http addresses of this machine pass too, for the demo and the tests.
    Raises what authlib answers as `invalid_client_metadata` or `invalid_redirect_uri`."""
    told: dict[str, Any] = {"client_name": _name(data.get("client_name"))}
    hosts = set()
    for field in PAGES:
        address = data.get(field)
        problem, host = _address(address, allow_loopback)
        if problem:
            raise InvalidClientMetadataError(f"{field}: {problem}")
        told[field] = address
        hosts.add(host)
    for field in ("software_id", "software_version"):
        told[field] = _word(field, data.get(field))
    told["redirect_uris"] = _redirect_uris(data.get("redirect_uris"), allow_loopback, hosts)
    if len(hosts) > 1:
        raise InvalidClientMetadataError("All addresses have to be on one host.")
    told["token_endpoint_auth_method"] = data.get("token_endpoint_auth_method") or AUTH_METHOD
    if told["token_endpoint_auth_method"] != AUTH_METHOD:
        raise InvalidClientMetadataError(f"token_endpoint_auth_method: only {AUTH_METHOD} is offered.")
    told["grant_types"] = _words("grant_types", data.get("grant_types"), GRANT_TYPES)
    told["response_types"] = _words("response_types", data.get("response_types"), ("code",))
    told["scope"] = _scope(data.get("scope"))
    if (contacts := data.get("contacts")) is not None:
        if not isinstance(contacts, list) or len(contacts) > MOST_CONTACTS:
            raise InvalidClientMetadataError(f"contacts: a list of at most {MOST_CONTACTS}.")
        told["contacts"] = [_word("contacts", each) for each in contacts]
    return told


def _name(value: Any) -> str:
    """Return a name that can be shown: without signs that are not seen, or turn the writing around."""
    plain = "".join(each for each in value if each.isprintable()) if isinstance(value, str) else ""
    plain = " ".join(plain.split())
    if not plain or len(plain) > LONGEST_NAME:
        raise InvalidClientMetadataError(f"client_name: a name of at most {LONGEST_NAME} characters.")
    return plain


def _word(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 255 or not value.isprintable():
        raise InvalidClientMetadataError(f"{field}: a text of at most 255 characters.")
    return value


def _words(field: str, value: Any, known: tuple[str, ...]) -> list[str]:
    """Return a list of known words; the first of them where nothing is said, and it has to be among them."""
    if value is None:
        return [known[0]]
    if not isinstance(value, list) or not value or not all(each in known for each in value if isinstance(each, str)):
        raise InvalidClientMetadataError(f"{field}: only {', '.join(known)}.")
    if known[0] not in value or not all(isinstance(each, str) for each in value):
        raise InvalidClientMetadataError(f"{field}: {known[0]} is needed.")
    return list(dict.fromkeys(value))


def _scope(value: Any) -> str:
    if value is None or value == "":
        return " ".join(SCOPES)
    if not isinstance(value, str):
        raise InvalidClientMetadataError("scope: words with blanks between.")
    wanted = value.split()
    given = [scope for scope in SCOPES if scope in wanted]
    if not set(given) - {OFFLINE}:
        raise InvalidClientMetadataError(f"scope: only {', '.join(SCOPES)} are offered.")
    return " ".join(given)


def _redirect_uris(value: Any, allow_loopback: bool, hosts: set[str]) -> list[str]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_REDIRECTS:
        raise InvalidRedirectURIError(f"redirect_uris: a list of 1 to {MOST_REDIRECTS} addresses.")
    for each in value:
        problem, host = _address(each, allow_loopback)
        if problem:
            raise InvalidRedirectURIError(f"redirect_uris: {problem}")
        hosts.add(host)
    return list(dict.fromkeys(value))


def _address(value: Any, allow_loopback: bool) -> tuple[str, str]:
    """Return what is wrong with an address, empty where nothing is, and its host."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        return "a whole https address is needed.", ""
    if len(value) > LONGEST:
        return "the address is too long.", ""
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for one that is none
    except ValueError:
        return "a whole https address is needed.", ""
    if not parts.hostname or "@" in parts.netloc or "#" in value or "\\" in value:
        return "an address with a host, and without user or fragment.", ""
    if parts.scheme != "https" and not (allow_loopback and parts.scheme == "http" and _is_loopback(parts)):
        return "it has to begin with https.", ""
    return "", parts.hostname


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
