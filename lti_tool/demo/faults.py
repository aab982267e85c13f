"""Fault switches: how a test, or a person on the faults page, makes the demo LMS misbehave."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from flask import Response, request
from jwt.algorithms import ECAlgorithm

from .keys import SigningKey

if TYPE_CHECKING:
    from .lms import Lms

SERVICES = (
    "token",
    "lineitems",
    "lineitem",
    "results",
    "scores",
    "memberships",
    "jwks",
    "auth",
    "openid",
    "registration",
    "notices",
    "assignments",  # Canvas' REST interface, as the two below
    "submissions",
    "enrollments",
    "webservice",  # Moodle's
)
HUGE = 5 * 1024 * 1024
NEXT_LINK = re.compile(r"<([^>]+)>(; rel=[^,>]*next)")
UPPER_PATHS = {"/api/lti/": "/API/LTI/", "/mod/lti/": "/MOD/LTI/"}
CURSOR = "AbCdEf"  # a lower-cased next link loses it
ERROR_PAGE = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass
class Fault:
    """One switch: after `skip` matching requests, for `count` requests (None: until cleared)."""

    service: str
    kind: str
    count: int | None = None
    skip: int = 0
    page: int | None = None
    method: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


class Faults:
    def __init__(self, lms: Lms) -> None:
        self.lms = lms
        self.active: list[Fault] = []

    def on(
        self,
        service: str,
        kind: str = "status",
        *,
        count: int | None = None,
        skip: int = 0,
        page: int | None = None,
        method: str | None = None,
        **options: Any,
    ) -> Fault:
        """Switch a fault on.

        `service` is one of SERVICES or "*"; `kind` one of KINDS. `page` limits it to that page of a list.
        """
        if service != "*" and service not in SERVICES:
            raise ValueError(f"unknown service {service!r}; known: {', '.join(SERVICES)}")
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(KINDS)}")
        fault = Fault(service, kind, count, skip, page, method, options)
        with self.lms.lock:
            self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        with self.lms.lock:
            self.active.clear()

    def expire_tokens(self) -> None:
        """Make every access token given so far an expired one."""
        for access in self.lms.access.values():
            access.expires = 0

    def listed(self) -> list[dict[str, Any]]:
        """Write the active faults for JSON; what JSON cannot say is named."""
        plain: list[dict[str, Any]] = json.loads(json.dumps([asdict(fault) for fault in self.active], default=str))
        return plain

    def take(self, service: str) -> list[Fault]:
        """Give the faults that hit this request, and count them down."""
        hit = []
        with self.lms.lock:
            for fault in list(self.active):
                if fault.service not in (service, "*") or fault.method not in (None, request.method):
                    continue
                if fault.page is not None and fault.page != page_asked():
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                hit.append(fault)
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self.active.remove(fault)
        return hit

    def auth_refusal(self) -> dict[str, str] | None:
        """Give the error an authentication request is to be answered with, if one is switched on."""
        with self.lms.lock:
            for fault in list(self.active):
                if fault.service == "auth" and fault.kind == "refuse":
                    if fault.count is not None:
                        fault.count -= 1
                        if fault.count <= 0:
                            self.active.remove(fault)
                    return {
                        "error": fault.options.get("error", "login_required"),
                        "error_description": fault.options.get("description", "Must have an active user session"),
                    }
        return None

    def before(self, hit: list[Fault]) -> Response | None:
        """Answer in place of the service, or wait, or say nothing."""
        for fault in hit:
            act = BEFORE.get(fault.kind)
            response = act(self.lms, fault) if act else None
            if response is not None:
                return response
        return None

    def after(self, hit: list[Fault], response: Response) -> Response:
        """Spoil the service's own answer."""
        for fault in hit:
            act = AFTER.get(fault.kind)
            if act:
                response = act(self.lms, fault, response)
        return response


def page_asked() -> int:
    """Tell which page a request asks for, in Canvas' way of counting or in Moodle's."""
    number, start, limit = (request.args.get(name, "") for name in ("page", "from", "limit"))
    if number.isdigit():
        return int(number)
    return int(start) // int(limit) + 1 if start.isdigit() and limit.isdigit() and int(limit) else 1


# Before the service: what it answers instead


def status(lms: Lms, fault: Fault) -> Response:
    options = fault.options
    code, body = int(options.get("status", 500)), options.get("body")
    if body is None:
        body = {"errors": [{"message": "An error occurred."}]}
    text = body if isinstance(body, str) else json.dumps(body)
    response = Response(text, code, content_type=options.get("content_type", "application/json"))
    if options.get("retry_after") is not None:
        response.headers["Retry-After"] = str(options["retry_after"])
    for name, value in (options.get("headers") or {}).items():
        response.headers[name] = value
    return response


def rate_limited(lms: Lms, fault: Fault) -> Response:
    """Answer as Canvas' throttle: 403 in the source, 429 in today's documentation."""
    response = Response(
        "403 Forbidden (Rate Limit Exceeded)",
        int(fault.options.get("status", 403)),
        content_type="text/plain; charset=utf-8",
    )
    response.headers["X-Rate-Limit-Remaining"] = "0.0"
    response.headers["X-Request-Cost"] = "1.0"
    if fault.options.get("retry_after") is not None:
        response.headers["Retry-After"] = str(fault.options["retry_after"])
    return response


def drop(lms: Lms, fault: Fault) -> Response:
    connection = request.environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    return Response(b"", 500)


def slow(lms: Lms, fault: Fault) -> None:
    time.sleep(float(fault.options.get("seconds", 5)))


def html(lms: Lms, fault: Fault) -> Response:
    return Response(ERROR_PAGE, int(fault.options.get("status", 200)), content_type="text/html; charset=utf-8")


def redirect_away(lms: Lms, fault: Fault) -> Response:
    return Response(
        b"",
        int(fault.options.get("status", 302)),
        headers={"Location": fault.options.get("to", "http://evil.example/")},
    )


def jwks_body(keys: Any) -> Response:
    return Response(json.dumps(keys), content_type="application/json")


def same_kid(lms: Lms, fault: Fault) -> Response:
    """Publish a stranger's key under the name of the real one, before it."""
    stranger = SigningKey(lms.signing_key.kid)
    return jwks_body({"keys": [stranger.jwk, *lms.jwks()["keys"]]})


def not_rsa(lms: Lms, fault: Fault) -> Response:
    jwk = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    return jwks_body({"keys": [{**jwk, "kid": lms.signing_key.kid, "use": "sig"}]})


def broken_rsa(lms: Lms, fault: Fault) -> Response:
    return jwks_body({"keys": [{**lms.signing_key.jwk, "n": "AA", "e": "AA"}]})


def no_keys(lms: Lms, fault: Fault) -> Response:
    return jwks_body({"message": "keys are elsewhere"})


def empty_keys(lms: Lms, fault: Fault) -> Response:
    return jwks_body({"keys": []})


def lowercased_page(lms: Lms, fault: Fault) -> Response | None:
    """Know later pages only under the address exactly as it was given."""
    if page_asked() == 1:
        return None
    exact = (
        request.environ.get("demo.upper_path")
        and request.args.get("cursor") == CURSOR
        and len(request.args.getlist("limit")) > 1
    )
    return None if exact else Response("[]", 404, content_type="application/json")


# After the service: how its answer is spoilt


def rewrite_next(response: Response, change: Callable[[str], str]) -> Response:
    link = response.headers.get("Link")
    if link:
        response.headers["Link"] = NEXT_LINK.sub(lambda found: f"<{change(found[1])}>{found[2]}", link)
    return response


def page_here(lms: Lms) -> str:
    """Give the address of the page that is asked for, as the tool knows it."""
    return request.url.replace(request.host_url.rstrip("/"), lms.server_root.removesuffix(f"/{lms.name}"), 1)


def lead_away(lms: Lms, response: Response, change: Callable[[str], str]) -> Response:
    """Change where `next` leads, and name a next page where there is none: Moodle sends most lists in one."""
    if not NEXT_LINK.search(response.headers.get("Link", "")):
        response.headers["Link"] = f'<{page_here(lms)}>; rel="next"'
    return rewrite_next(response, change)


def next_same(lms: Lms, fault: Fault, response: Response) -> Response:
    """Point `next` at the page it is on, and do so on the last page too."""
    response.headers["Link"] = f'<{page_here(lms)}>; rel="next"'
    return response


def next_host(lms: Lms, fault: Fault, response: Response) -> Response:
    host = fault.options.get("host", "evil.example")
    return lead_away(lms, response, lambda url: urlsplit(url)._replace(netloc=host).geturl())


def next_http(lms: Lms, fault: Fault, response: Response) -> Response:
    """Send `next` over another scheme; where the LMS itself is on http, to another port too."""

    def change(url: str) -> str:
        parts = urlsplit(url)
        netloc = parts.netloc if parts.scheme == "https" else f"{parts.hostname}:80"
        return parts._replace(scheme="http", netloc=netloc).geturl()

    return lead_away(lms, response, change)


def next_to(lms: Lms, fault: Fault, response: Response) -> Response:
    return lead_away(lms, response, lambda url: str(fault.options["url"]))


def next_uppercase(lms: Lms, fault: Fault, response: Response) -> Response:
    def change(url: str) -> str:
        for lower, upper in UPPER_PATHS.items():
            url = url.replace(lower, upper)
        return f"{url}&limit=10&limit=10" + ("" if "cursor=" in url else f"&cursor={CURSOR}")

    return rewrite_next(response, change)


def spoil_token(change: Callable[[Lms, Fault, dict[str, Any]], None]) -> Callable[[Lms, Fault, Response], Response]:
    def act(lms: Lms, fault: Fault, response: Response) -> Response:
        if response.status_code == 200:
            body = json.loads(response.get_data(as_text=True))
            change(lms, fault, body)
            response.set_data(json.dumps(body))
        return response

    return act


def no_expires_in(lms: Lms, fault: Fault, body: dict[str, Any]) -> None:
    body.pop("expires_in", None)


def scope_subset(lms: Lms, fault: Fault, body: dict[str, Any]) -> None:
    """Give fewer scopes than asked: those in `scopes`, else all but score."""
    asked = body["scope"].split()
    wanted = fault.options.get("scopes")
    kept = [scope for scope in asked if (scope in wanted if wanted is not None else not scope.endswith("/score"))]
    body["scope"] = " ".join(kept)
    lms.access[body["access_token"]].scopes = kept


def expires_after(lms: Lms, fault: Fault, body: dict[str, Any]) -> None:
    """Let the token end after `requests` calls, though it says 3600 seconds."""
    lms.access[body["access_token"]].uses_left = int(fault.options.get("requests", 1))


def change_rows(lms: Lms, fault: Fault, response: Response) -> Response:
    """Change the rows of a list, or a single object: `set` and `drop` members, for `user` only if given.

    From Python `change` may be a function from the whole body to another.
    """
    if response.status_code >= 300:
        return response
    options, body = fault.options, json.loads(response.get_data(as_text=True))
    if callable(options.get("change")):
        body = options["change"](body)
    rows = body.get("members", [body]) if isinstance(body, dict) else body
    for row in rows:
        if options.get("user") in (None, row.get("userId"), row.get("user_id")):
            row.update(options.get("set") or {})
            for name in options.get("drop") or ():
                row.pop(name, None)
    # Half a character is no UTF-8: it goes as JSON writes it, escaped.
    response.set_data(json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    return response


def huge(lms: Lms, fault: Fault, response: Response) -> Response:
    response.set_data(response.get_data() + b" " * HUGE)
    return response


def bucket(lms: Lms, fault: Fault, response: Response) -> Response:
    """Tell as Canvas does what is left of the throttle's bucket."""
    response.headers["X-Rate-Limit-Remaining"] = str(fault.options.get("remaining", 20.0))
    response.headers["X-Request-Cost"] = str(fault.options.get("cost", 5.0))
    return response


def cut_short(lms: Lms, fault: Fault, response: Response) -> Response:
    """Announce the whole answer, send the first half, and hang up."""
    whole = response.get_data()
    response.set_data(whole[: len(whole) // 2])
    response.headers["Content-Length"] = str(len(whole))
    return response


BEFORE: dict[str, Callable[[Lms, Fault], Response | None]] = {
    "status": status,
    "rate_limited": rate_limited,
    "drop": drop,
    "slow": slow,
    "html": html,
    "redirect": redirect_away,
    "same_kid": same_kid,
    "not_rsa": not_rsa,
    "broken_rsa": broken_rsa,
    "no_keys": no_keys,
    "empty_keys": empty_keys,
    "next_uppercase": lowercased_page,
}
AFTER: dict[str, Callable[[Lms, Fault, Response], Response]] = {
    "next_same": next_same,
    "next_host": next_host,
    "next_http": next_http,
    "next_to": next_to,
    "next_uppercase": next_uppercase,
    "no_expires_in": spoil_token(no_expires_in),
    "scope_subset": spoil_token(scope_subset),
    "expires_after": spoil_token(expires_after),
    "huge": huge,
    "bucket": bucket,
    "cut": cut_short,
    "rows": change_rows,
}
KINDS = {
    "status": "answer with a status (500, 503 with Retry-After, 401, 404, 422 …)",
    "rate_limited": "refuse with “Rate Limit Exceeded”",
    "bucket": "say that the throttle's bucket runs low",
    "drop": "drop the connection",
    "cut": "hang up in the middle of the answer",
    "slow": "wait before answering",
    "html": "answer with an HTML page",
    "huge": "answer with 5 MB",
    "redirect": "redirect to another host",
    "next_same": "lists: next page is this page",
    "next_host": "lists: next page on another host",
    "next_http": "lists: next page over plain http",
    "next_to": "lists: next page at a given address",
    "next_uppercase": "lists: next page with upper-case path and repeated limit",
    "rows": "lists: other members, as {“set”: {…}, “drop”: […], “user”: …}",
    "no_expires_in": "token: no expires_in",
    "scope_subset": "token: fewer scopes than asked",
    "expires_after": "token: ends after some requests",
    "same_kid": "jwks: two keys with one kid",
    "not_rsa": "jwks: not an RSA key",
    "broken_rsa": "jwks: broken RSA numbers",
    "no_keys": "jwks: no “keys”",
    "empty_keys": "jwks: an empty list",
    "refuse": "auth: answer the login with an error",
}
