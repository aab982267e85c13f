"""Dynamic registration: read what a platform is, ask it to register the tool, read what it really granted.

LTI Dynamic Registration 1.0: https://www.imsglobal.org/spec/lti-dr/v1p0"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from lti_tool.errors import AddressRefused, RegistrationRefused, ServiceError, ServiceUnreachable
from lti_tool.http import Http
from lti_tool.lti.ags import LINE_ITEM, RESULT_READ, SCORE
from lti_tool.lti.claims import web_address
from lti_tool.lti.nrps import MEMBERSHIPS_READ
from lti_tool.lti.platforms import Platform, may_name_audience, platform_of, product_of
from lti_tool.lti.registration import origin_of
from lti_tool.sentence import Sentence

PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
CANVAS_ACCOUNT = "https://canvas.instructure.com/lti/account_"

# What the tool cannot do its work without, in the order an administrator reads them.
NEEDED_SCOPES = (LINE_ITEM, RESULT_READ, SCORE, MEMBERSHIPS_READ)
CLAIMS = ("iss", "sub", "name", "given_name", "family_name", "email", "locale")

# Canvas' configuration with its list of variables is about 15 kB.
LARGEST_ANSWER = 256 * 1024
LONGEST_ADDRESS, LONGEST_TOKEN, LONGEST_ID = 2048, 8192, 255

_NO_PUBLIC_ADDRESS = Sentence("It must be a public https address.")


@dataclass(frozen=True)
class Configuration:
    """What a platform says of itself. An empty tuple or mapping: it named none."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    registration_endpoint: str | None
    authorization_server: str | None
    product: str
    name: str
    messages: Mapping[str, tuple[str, ...]]
    scopes: tuple[str, ...]
    variables: tuple[str, ...]
    claims: tuple[str, ...]
    notices: tuple[str, ...]
    origins: tuple[str, ...]  # where the administrator's own page may lie: the window is closed by a message to it

    @property
    def platform(self) -> Platform:
        return platform_of(self.product)

    @property
    def token_audience(self) -> str | None:
        return self.platform.token_audience(self.authorization_server)


@dataclass(frozen=True)
class Granted:
    """What a platform made of a registration. `scopes` is None where its answer cannot be believed or says nothing."""

    client_id: str
    deployment_id: str | None
    scopes: tuple[str, ...] | None


def read_configuration(http: Http, url: str, token: str | None = None) -> Configuration:
    """Fetch and check a platform's openid-configuration, with the registration token where one was given.

    Raises RegistrationRefused with one of the reasons `config_address`, `config_redirect`, `config_unreachable`,
    `config_unreadable`, `issuer`, `issuer_host`, `endpoint`, `audience`, `unsupported`."""
    if not url or len(url) > LONGEST_ADDRESS:
        raise _refused(
            "config_address", Sentence("The LMS did not say where its configuration is."), "no address, or too long"
        )
    try:
        answer = http.get(
            url,
            headers={"Accept": "application/json", **_bearer(token)},
            same_host_redirects=True,
            max_bytes=LARGEST_ANSWER,
            attempts=2,
        )
    except AddressRefused as error:
        if error.reason == "redirect":
            raise _refused(
                "config_redirect", Sentence("The LMS's configuration leads to another address."), error.detail
            ) from None
        sentence = Sentence("The address of the LMS's configuration cannot be used. %(rule)s", rule=_NO_PUBLIC_ADDRESS)
        raise _refused("config_address", sentence, error.detail) from None
    except ServiceError as error:
        sentence = Sentence("The LMS's configuration could not be read.")
        raise _refused("config_unreachable", sentence, f"{error.reason}: {error.detail}") from None
    try:
        document = answer.json()
    except ServiceError:
        document = None
    if not isinstance(document, dict):
        raise _refused(
            "config_unreadable", Sentence("What the LMS sent as its configuration cannot be read."), "not an object"
        )
    found = _configuration(document)
    _check_issuer(found, url, http.allow_private)
    for name in ("token_endpoint", "jwks_uri", "registration_endpoint", "authorization_endpoint"):
        if (address := getattr(found, name)) is not None:
            _check_endpoint(http, name, address)
    if not may_name_audience(found.token_endpoint, found.token_audience):
        raise _refused(
            "audience",
            Sentence("The LMS asks for tokens that are meant for another server than its own."),
            "authorization_server and token_endpoint lie on different hosts",
        )
    return found


def _configuration(document: Mapping[str, Any]) -> Configuration:
    described = document.get(PLATFORM)
    extension: Mapping[str, Any] = described if isinstance(described, dict) else {}
    product = product_of(extension.get("product_family_code"))
    issuer = _address(document, "issuer")
    for name, needed in (
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("id_token_signing_alg_values_supported", "RS256"),
    ):
        if document.get(name) and needed not in _texts(document.get(name)):
            raise _refused(
                "unsupported", Sentence("This LMS cannot do what LTI 1.3 asks for."), f"{name} has no {needed}"
            )
    registration_endpoint = document.get("registration_endpoint")
    if registration_endpoint is not None:
        registration_endpoint = _address(document, "registration_endpoint")
    messages: dict[str, tuple[str, ...]] = {}
    listed = extension.get("messages_supported")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("type"), str):
            messages[entry["type"]] = messages.get(entry["type"], ()) + _texts(entry.get("placements"))
    authorization_endpoint = _address(document, "authorization_endpoint")
    addresses = [registration_endpoint, authorization_endpoint, issuer]
    domain = extension.get(f"{CANVAS_ACCOUNT}domain")
    if isinstance(domain, str) and domain.isascii() and domain.replace(".", "").replace("-", "").isalnum():
        addresses.insert(0, f"https://{domain}")
    server = document.get("authorization_server")
    return Configuration(
        issuer=issuer,
        authorization_endpoint=authorization_endpoint,
        token_endpoint=_address(document, "token_endpoint"),
        jwks_uri=_address(document, "jwks_uri"),
        registration_endpoint=registration_endpoint,
        authorization_server=server if isinstance(server, str) and 0 < len(server) <= LONGEST_ADDRESS else None,
        product=product,
        name=_name(extension, product, issuer),
        messages=messages,
        scopes=_texts(document.get("scopes_supported")),
        variables=_texts(extension.get("variables")),
        claims=_texts(document.get("claims_supported")),
        notices=_texts(extension.get("notice_types_supported")),
        origins=tuple(dict.fromkeys(origin_of(address) for address in addresses if address)),
    )


def _name(extension: Mapping[str, Any], product: str, issuer: str) -> str:
    told = extension.get(f"{CANVAS_ACCOUNT}name")
    family = extension.get("product_family_code")
    kind = (
        platform_of(product).name if product != "other" else str(family or "LMS") if isinstance(family, str) else "LMS"
    )
    name = told if isinstance(told, str) and told.strip() else f"{kind}, {urlsplit(issuer).hostname}"
    return " ".join("".join(c if c.isprintable() else " " for c in name[:LONGEST_ID]).split()) or "LMS"


def _address(document: Mapping[str, Any], name: str) -> str:
    value = web_address(document.get(name))
    if value is not None and len(value) <= LONGEST_ADDRESS:
        try:
            parts = urlsplit(value)
            plain = not (parts.username or parts.password or parts.fragment)
            if plain and (parts.port is None or parts.port > 0):
                return value
        except ValueError:  # a port that is none, half an IPv6 address
            pass
    reason = "issuer" if name == "issuer" else "endpoint"
    raise _refused(
        reason,
        Sentence("The LMS's configuration has no usable %(what)s.", what=name.replace("_", " ")),
        f"{name} is missing",
    )


def _check_issuer(found: Configuration, url: str, allow_private: bool) -> None:
    issuer, at = urlsplit(found.issuer), urlsplit(url)
    schemes = ("https", "http") if allow_private else ("https",)
    # OpenID Connect Discovery 1.0, 4.3: an https address without query or fragment. A bare "?" is a query too.
    if "?" in found.issuer or "#" in found.issuer or issuer.scheme not in schemes or len(found.issuer) > LONGEST_ID:
        raise _refused(
            "issuer",
            Sentence("The LMS names itself by an address that cannot be used."),
            "issuer is not a plain address",
        )
    if not platform_of(found.product).describes(_host(issuer), _host(at)):
        raise _refused(
            "issuer_host",
            Sentence("The LMS calls itself by another host than the one its configuration came from."),
            "issuer and configuration lie on different hosts",
            what_to_do=Sentence("If that is meant, an administrator of Badges can register this LMS by hand."),
        )


def _host(parts: Any) -> str:
    port = parts.port if parts.port not in (None, 443 if parts.scheme == "https" else 80) else None
    return (parts.hostname or "").lower() + (f":{port}" if port else "")


def _check_endpoint(http: Http, name: str, address: str) -> None:
    try:
        http.check(address)
    except ServiceUnreachable:
        if name == "authorization_endpoint":
            return  # browsers go there, and may know names that this machine does not
        sentence = Sentence("The LMS's %(what)s has a host name that is not known.", what=name.replace("_", " "))
        raise _refused("endpoint", sentence, f"{name}: unknown host") from None
    except AddressRefused as error:
        sentence = Sentence(
            "The LMS's %(what)s cannot be used. %(rule)s", what=name.replace("_", " "), rule=_NO_PUBLIC_ADDRESS
        )
        raise _refused("endpoint", sentence, f"{name}: {error.detail}") from None


def registration_request(
    found: Configuration, *, base_url: str, description: str, contact: str | None = None
) -> dict[str, Any]:
    """Return what to ask of a platform: messages, placements, scopes, claims and parameters that it understands."""
    platform = found.platform
    launch_url, icon_url = f"{base_url}/lti/launch", f"{base_url}/lti/icon.png"
    scopes = [*NEEDED_SCOPES, *platform.further_scopes(found.notices)]
    custom = platform.custom_parameters()
    request: dict[str, Any] = {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["client_credentials", "implicit"],
        "initiate_login_uri": f"{base_url}/lti/login",
        "redirect_uris": [launch_url],
        "client_name": "Badges",
        "client_uri": base_url,
        "logo_uri": icon_url,
        "jwks_uri": f"{base_url}/.well-known/jwks.json",
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": " ".join(scope for scope in scopes if not found.scopes or scope in found.scopes),
        TOOL: {
            "domain": urlsplit(base_url).netloc,  # Moodle compares it with target_link_uri, port included (seen)
            "description": description,
            "target_link_uri": launch_url,
            "custom_parameters": {
                name: value for name, value in custom.items() if not found.variables or value[1:] in found.variables
            },
            "claims": [claim for claim in CLAIMS if not found.claims or claim in (*found.claims, "iss", "sub")],
            "messages": platform.messages(launch_url, icon_url, found.messages),
            **platform.tool_members(),
        },
    }
    if contact:
        request["contacts"] = [contact]
    return request


def ask_registration(http: Http, found: Configuration, request: Mapping[str, Any], token: str | None) -> Granted:
    """Ask a platform to register the tool, once: a second time could make a second client.

    Raises RegistrationRefused with the reason `not_offered`, `not_sent`, `platform_refused` or `no_answer` (it may or
    may not have made a client), or `answer_unreadable`, then with `made` set: there is a client now."""
    if found.registration_endpoint is None:
        raise _refused(
            "not_offered",
            Sentence("This LMS does not offer registration by an invite link."),
            "no registration_endpoint",
        )
    try:
        answer = http.request(
            "POST",
            found.registration_endpoint,
            headers={"Accept": "application/json", **_bearer(token)},
            json=request,
            max_bytes=LARGEST_ANSWER,
            attempts=1,
        )
    except ServiceUnreachable as error:
        if error.reason in ("dns", "connect", "tls"):
            raise _refused(
                "not_sent", Sentence("The LMS could not be reached to register the tool."), error.detail
            ) from None
        _no_answer(error)
    except ServiceError as error:
        if error.reason == "too_large":
            raise _made(error.detail) from None
        if error.reason.startswith("status_5"):
            _no_answer(error)
        sentence = Sentence(
            "The LMS did not accept the registration. Begin it again in the LMS: its own link works only once."
        )
        raise _refused("platform_refused", sentence, error.detail) from None
    try:
        document = answer.json()
    except ServiceError:
        document = None
    client_id = document.get("client_id") if isinstance(document, dict) else None
    if isinstance(client_id, int) and not isinstance(client_id, bool):
        client_id = str(client_id)
    if not isinstance(client_id, str) or not _is_id(client_id):
        raise _made("no client_id in the answer")
    return _granted(found, document, client_id)


def _granted(found: Configuration, document: Mapping[str, Any], client_id: str) -> Granted:
    inner = document.get(TOOL)
    inner = inner if isinstance(inner, dict) else {}
    # Moodle has it inside (seen), Canvas' source outside or not at all.
    deployment = inner.get("deployment_id") or document.get("deployment_id")
    deployment = str(deployment) if isinstance(deployment, int | str) and not isinstance(deployment, bool) else None
    scope = document.get("scope")
    answered = scope.split() if isinstance(scope, str) else None
    believed = found.platform.believed_scopes(answered)
    return Granted(
        client_id=client_id,
        deployment_id=deployment if deployment and _is_id(deployment) else None,
        scopes=tuple(sorted({each for each in believed if len(each) <= LONGEST_ID})) if believed is not None else None,
    )


def _is_id(value: str) -> bool:
    return 0 < len(value) <= LONGEST_ID and value.isprintable() and value == value.strip()


def _no_answer(error: ServiceError) -> NoReturn:
    raise _refused(
        "no_answer",
        Sentence("The LMS broke off before it said whether it registered the tool."),
        f"{error.reason}: {error.detail}",
        what_to_do=Sentence(
            "Look into its list of tools. If Badges is there, delete it, and use the same invite link again."
        ),
    ) from None


def _made(detail: str) -> RegistrationRefused:
    error = _refused(
        "answer_unreadable",
        Sentence("The LMS registered the tool, but did not say under which client id."),
        detail,
        what_to_do=Sentence(
            "Look up the client id of Badges in its list of tools, and have it registered here by hand."
        ),
    )
    error.made = True
    return error


def _refused(reason: str, sentence: str, detail: str, what_to_do: str | None = None) -> RegistrationRefused:
    return RegistrationRefused(detail, reason=reason, sentence=sentence, what_to_do=what_to_do)


def _bearer(token: str | None) -> dict[str, str]:
    if not token:
        return {}
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise _refused(
            "token", Sentence("What the LMS sent along for the registration cannot be used."), "registration_token"
        )
    return {"Authorization": f"Bearer {token}"}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
