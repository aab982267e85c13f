"""authlib's authorization server over this installation's tables: what it asks, answered by `services.oauth_tokens`.

Made anew for each request, so that the time is an argument. It knows no web framework: what came in is a `Request`,
what goes out an `Answer`."""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidGrantError,
    InvalidRequestError,
    JsonPayload,
    JsonRequest,
    OAuth2Error,
    OAuth2Payload,
    OAuth2Request,
    ResourceProtector,
)
from authlib.oauth2.rfc6749 import grants as base
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from lti_tool.services import oauth_clients, oauth_tokens
from lti_tool.services.oauth_clients import AUTH_METHOD, Client
from lti_tool.services.oauth_tokens import CodeFound, TokenFound
from lti_tool.services.tool import Tool

REGISTRATION, REVOCATION = ClientRegistrationEndpoint.ENDPOINT_NAME, RevocationEndpoint.ENDPOINT_NAME
LONGEST_STATE = 2000
# What an error may quote (RFC 6749, 5.2). authlib quotes what was sent, and raises a bare ValueError for anything else.
QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*")
QUOTED = ("response_type", "grant_type", "redirect_uri", "client_id", "scope", "code_challenge_method")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class _Payload(OAuth2Payload):
    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    @property
    def data(self) -> dict[str, str]:
        return {name: texts[0] for name, texts in self._values.items()}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, self._values)


class Request(OAuth2Request):
    """A request to one of the endpoints: at the authorization endpoint its query, elsewhere its form."""

    def __init__(self, method: str, address: str, headers: Mapping[str, str], values: Mapping[str, list[str]]) -> None:
        super().__init__(method, address, headers=headers)
        self.payload = _Payload(values)

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data


class _Json(JsonPayload):
    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = dict(data)

    @property
    def data(self) -> dict[str, Any]:
        return self._data


class RegistrationRequest(JsonRequest):
    def __init__(self, address: str, data: Mapping[str, Any]) -> None:
        super().__init__("POST", address)
        self.payload = _Json(data)


# -- grants -----------------------------------------------------------------------------------------------------


class _CodeGrant(base.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = [AUTH_METHOD]

    def query_authorization_code(self, code: str, client: Client) -> CodeFound | None:
        return oauth_tokens.find_code(self.server.tool, code, client, self.server.now)

    def authenticate_user(self, authorization_code: CodeFound) -> str:
        return authorization_code.person_id

    def delete_authorization_code(self, authorization_code: CodeFound) -> None:
        """Nothing: `save_token` has used it up, in the same transaction."""


class _RefreshGrant(base.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = [AUTH_METHOD]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> TokenFound | None:
        return oauth_tokens.find_refresh_token(self.server.tool, refresh_token, self.request.client, self.server.now)

    def authenticate_user(self, refresh_token: TokenFound) -> str:
        return refresh_token.person_id

    def revoke_old_credential(self, refresh_token: TokenFound) -> None:
        """Nothing: `save_token` has used it up, in the same transaction."""


class _Challenge(CodeChallenge):
    """PKCE with S256, always: authlib asks it of public clients only, and takes "plain" too."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("A 'code_challenge' with 'code_challenge_method=S256' is needed.")
        super().validate_code_challenge(grant, redirect_uri)


# -- endpoints beside them --------------------------------------------------------------------------------------


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS: ClassVar[list[str]] = [AUTH_METHOD]

    def authenticate_token(self, request: Request, client: Client) -> str:
        if "token" not in request.form:
            raise InvalidRequestError("The 'token' is missing.")
        if request.form.get("token_type_hint", "access_token") not in self.SUPPORTED_TOKEN_TYPES:
            raise OAuth2Error(error="unsupported_token_type", status_code=400)  # authlib's own is a 401
        return str(request.form["token"])

    def revoke_token(self, token: str, request: Request) -> None:
        """Revoke a token of this client; one that is unknown or another's changes nothing, and is answered alike."""
        oauth_tokens.revoke(self.server.tool, token, request.client, self.server.now)


class _Registration(ClientRegistrationEndpoint):
    def authenticate_token(self, request: RegistrationRequest) -> bool:
        return True  # the specification: a registration must not need an initial access token

    def extract_client_metadata(self, request: RegistrationRequest) -> dict[str, Any]:
        tool: Tool = self.server.tool
        return oauth_clients.read_metadata(request.payload.data, allow_loopback=tool.settings.network.allow_private)

    def generate_client_info(self, request: RegistrationRequest) -> dict[str, Any]:
        return {}  # made where it is stored

    def save_client(self, info: dict[str, Any], told: dict[str, Any], request: RegistrationRequest) -> tuple[str, str]:
        return oauth_clients.register(self.server.tool, told, self.server.now)

    def generate_client_registration_info(self, client: tuple[str, str], request: RegistrationRequest) -> Any:
        return {
            "client_id": client[0],
            "client_secret": client[1],
            "client_id_issued_at": int(self.server.now.timestamp()),
            "client_secret_expires_at": 0,  # never
        }


# -- the server -------------------------------------------------------------------------------------------------


class Server(AuthorizationServer):
    def __init__(self, tool: Tool, now: datetime) -> None:
        super().__init__()
        self.tool, self.now = tool, now
        self.register_token_generator("default", _new_token)
        self.register_grant(_CodeGrant, [_Challenge(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Registration)

    def query_client(self, client_id: str) -> Client | None:
        return oauth_clients.find(self.tool, client_id)

    def save_token(self, token: dict[str, Any], request: Request) -> None:
        kept = oauth_tokens.keep_token(
            self.tool, token, code=request.authorization_code, spent=request.refresh_token, now=self.now
        )
        if not kept:
            raise InvalidGrantError()

    def create_oauth2_request(self, request: Request) -> Request:
        return request

    def create_json_request(self, request: RegistrationRequest) -> RegistrationRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        content = json.dumps(body).encode() if isinstance(body, dict) else str(body or "").encode()
        return Answer(status, content, dict(headers))

    def send_signal(self, name: str, *args: Any, **values: Any) -> None:
        """Nothing listens."""

    # -- what the pages call

    def asked(self, request: Request) -> dict[str, Any]:
        """Return what a good authorization request asks; raises OAuth2Error, with `redirect_uri` where that is known.

        Nothing is answered by a redirect of itself: anybody can register an address, and would have one of ours lead
        to it (RFC 9700, 4.11.2)."""
        _refuse_unquotable(request)
        state = request.payload.state or ""
        if len(state) > LONGEST_STATE or not state.isprintable() or not state.isascii():
            raise InvalidRequestError("The 'state' cannot be used.")
        client = self.query_client(request.payload.client_id or "")
        if client is not None and not client.check_redirect_uri(request.payload.redirect_uri or ""):
            raise InvalidRequestError("The 'redirect_uri' is none of those that were registered.")
        grant = self.get_consent_grant(request)
        return {
            "client": request.client,
            "redirect_uri": grant.redirect_uri,
            "scope": request.scope,
            "state": state,
            "challenge": request.payload.data["code_challenge"],
        }

    def token(self, request: Request) -> Answer:
        """Answer the token endpoint."""
        try:
            _refuse_unquotable(request)
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        answer: Answer = self.create_token_response(request)
        return answer


def _refuse_unquotable(request: Request) -> None:
    for name, texts in request.payload.datalist.items():
        if len(texts) > 1:
            raise InvalidRequestError("A parameter is there twice.")
        if name in QUOTED and not QUOTABLE.fullmatch(texts[0]):
            raise InvalidRequestError("A parameter holds characters that it cannot have.")


def _new_token(
    grant_type: str, client: Client, user: Any = None, scope: str = "", expires_in: Any = None, **_values: Any
) -> dict[str, Any]:
    token: dict[str, Any] = {
        "token_type": "Bearer",
        "access_token": secrets.token_urlsafe(32),
        "expires_in": int(oauth_tokens.ACCESS_LASTS.total_seconds()),
        "scope": scope,
    }
    # One that was refreshed once goes on, also where a refresh asks for less.
    if grant_type == "refresh_token" or oauth_tokens.refreshes(client, scope):
        token["refresh_token"] = secrets.token_urlsafe(32)
    return token


class _Validator(BearerTokenValidator):
    def __init__(self, tool: Tool, now: datetime) -> None:
        super().__init__()
        self.tool, self.now = tool, now

    def authenticate_token(self, token_string: str) -> TokenFound | None:
        return oauth_tokens.find_token(self.tool, token_string, self.now)


def bearer(tool: Tool, headers: Mapping[str, str], address: str, scope: str, now: datetime) -> TokenFound:
    """Return what the request's access token allows (RFC 6750); raises OAuth2Error with its own headers."""
    protector = ResourceProtector()
    protector.register_token_validator(_Validator(tool, now))
    found: TokenFound = protector.validate_request([scope], JsonRequest("GET", address, headers))
    return found
