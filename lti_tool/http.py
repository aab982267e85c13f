"""The only way out: every request to another server is made here, and no other module opens a connection.

An address that somebody gave us (a registration form, a launch, a line item, a pasted credential) is never trusted to
be where it says: the name is looked up once, every answer is checked, and the connection goes to the address that was
checked. So a second look-up cannot lead elsewhere (DNS rebinding), and spellings such as 0x7f000001 or
::ffff:10.0.0.1 are judged by where they lead."""

from __future__ import annotations

import email.utils
import ipaddress
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

import certifi
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from lti_tool.errors import AddressRefused, ServiceBusy, ServiceError, ServiceUnreachable
from lti_tool.logs import request_id

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

ATTEMPTS = 3
# A pause the other side asks for is waited out here only when it is short; a longer one goes to the job that called.
LONGEST_SLEEP = 5.0
FIRST_PAUSE = 0.3
MAX_REDIRECTS = 3
CHUNK = 65536
TRANSIENT = (500, 502, 503, 504)
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Response:
    """An answer that was received whole. `headers` finds names in any case; `url` is where it came from."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """Read the body as JSON, whatever its content type (Moodle sends tokens as text/html).

        Raises ServiceError, reason `not_json`."""
        return parsed(self.body, f"{_place(self.url)} answered {self.status}")


def parsed(body: bytes, whose: str = "an answer came") -> Any:
    """Read a body as JSON; raises ServiceError, reason `not_json`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ServiceError(f"{whose} without JSON", reason="not_json") from None


class Http:
    """The outbound client: pooled, safe to share between threads, and careful where it goes.

    `allow_private` also lets it go to loopback and private networks, and there by plain http; the demo and tests need
    it. `before_request` is called first of all, so that the app can forbid requests inside a database transaction.
    `after_attempt` is told of each attempt: whose it was (see `request`), its status or what failed, its seconds."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        user_agent: str = "lti-tool",
        timeout: tuple[float, float] = (5, 20),
        total_timeout: float = 60,
        max_bytes: int = 8 * 1024 * 1024,
        before_request: Callable[[], None] | None = None,
        after_attempt: Callable[[int | None, str, float], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.allow_private = allow_private
        self.timeout = timeout
        self.total_timeout = total_timeout
        self.max_bytes = max_bytes
        self.before_request = before_request
        self.after_attempt = after_attempt
        # There are Moodle sites that answer 403 to a request without a User-Agent (hypothesis/lms, services/jwt.py).
        # identity: a few kilobytes more, and no answer that unpacks to a thousand times its size.
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._sleep = sleep
        self._pools = _pool_manager(allow_private)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        """GET an address; see `request`."""
        return self.request("GET", url, headers=headers, **options)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        allow: Container[int] = (),
        retry: bool | None = None,
        same_host_redirects: bool = False,
        max_bytes: int | None = None,
        attempts: int = ATTEMPTS,
        platform: int | None = None,
    ) -> Response:
        """Send a request and return the answer if its status is 2xx or in `allow`.

        `retry` says that sending it twice does no harm: connection failures and 500, 502, 503, 504 are then tried
        again (default: for GET). Without it only a connection that was never made is tried again.
        Redirects are never followed, except within the same host over the same scheme where `same_host_redirects`
        is set and the method is GET.
        `platform` is the registration on whose account the request goes; it alone is told the id of our request.

        Raises AddressRefused (nothing was sent), ServiceUnreachable, ServiceBusy (with `retry_after` in seconds where
        the other side named a time) or ServiceError, whose reason is `service_failed`, `redirect`, `too_large` or
        `status_<n>`."""
        content, sent = _content(body, form, json)
        sent = {**self._headers, **sent, **(headers or {})}
        if platform is not None and (ours := request_id()):
            sent.setdefault("X-Request-ID", ours)
        harmless = method == "GET" if retry is None else retry
        deadline = time.monotonic() + self.total_timeout
        limit = self.max_bytes if max_bytes is None else max_bytes
        for _ in range(MAX_REDIRECTS + 1):
            response = self._persist(method, url, sent, content, harmless, attempts, deadline, limit, platform)
            if response.status not in REDIRECTS:
                break
            if not (same_host_redirects and method == "GET"):
                raise ServiceError(f"{_place(url)} answered with a redirect", reason="redirect")
            target = urljoin(url, response.headers.get("Location", ""))
            if not same_origin(url, target):
                raise AddressRefused(f"{_place(url)} redirects to another host or scheme", reason="redirect")
            url = target
        else:
            raise ServiceError(f"{_place(url)} redirects without end", reason="redirect")
        if 200 <= response.status < 300 or response.status in allow:
            return response
        raise ServiceError(f"{method} {_place(url)} answered {response.status}", reason=f"status_{response.status}")

    def rest(self, seconds: float) -> None:
        """Let a server come to breath before the next request, for as long as is waited here at most."""
        if seconds > 0:
            self._sleep(min(seconds, LONGEST_SLEEP))

    def check(self, url: str) -> None:
        """Look an address up and refuse it if a request would be refused, without sending one.

        For addresses that are stored now and used later. Raises AddressRefused, or ServiceUnreachable where the name
        is not known."""
        parts = _parse(url, self.allow_private)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            _checked_addresses(parts.host or "", port, parts.scheme == "http", self.allow_private)
        except OSError:
            raise ServiceUnreachable(f"the host of {_place(url)} is not known", reason="dns") from None

    def _persist(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        harmless: bool,
        attempts: int,
        deadline: float,
        max_bytes: int,
        platform: int | None,
    ) -> Response:
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            pause = _pause(attempt)
            try:
                response = self._attempt(platform, method, url, headers, content, deadline, max_bytes)
            except ServiceUnreachable as failure:
                never_sent = failure.reason in ("dns", "connect")
                hopeless = failure.reason == "tls"
                if last or hopeless or not (harmless or never_sent) or time.monotonic() + pause >= deadline:
                    raise
                self._sleep(pause)
                continue
            retry_after = _retry_after(response.headers)
            if throttled(response) or (response.status == 503 and retry_after is not None):
                # A throttled request was not carried out, so repeating it does no harm; of a 503 that is not sure.
                wait = LONGEST_SLEEP + 1 if retry_after is None else retry_after
                repeatable = harmless or throttled(response)
                if last or not repeatable or wait > LONGEST_SLEEP or time.monotonic() + wait >= deadline:
                    busy = ServiceBusy(f"{method} {_place(url)} answered {response.status}")
                    busy.retry_after = retry_after
                    raise busy
                self._sleep(wait)
                continue
            if response.status not in TRANSIENT or not harmless or last or time.monotonic() + pause >= deadline:
                return response
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, platform: int | None, *sent: Any) -> Response:
        started = time.monotonic()
        outcome = "refused_here"
        try:
            response = self._send(*sent)
            outcome = str(response.status)
            return response
        except ServiceError as failure:
            outcome = failure.reason
            raise
        finally:
            if self.after_attempt is not None:
                self.after_attempt(platform, outcome, time.monotonic() - started)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        deadline: float,
        max_bytes: int,
    ) -> Response:
        _parse(url, self.allow_private)
        if self.before_request is not None:
            self.before_request()
        _thread.deadline = deadline
        connect, read = self.timeout
        try:
            answer = self._pools.urlopen(
                method,
                url,
                body=content,
                headers=headers,
                timeout=Timeout(connect=connect, read=read),
                redirect=False,
                retries=False,
                preload_content=False,
            )
            return Response(answer.status, answer.reason or "", answer.headers, _read(answer, max_bytes, url), url)
        except (NewConnectionError, NameResolutionError, ConnectTimeoutError) as failure:
            reason = "dns" if isinstance(failure, NameResolutionError) else "connect"
            raise ServiceUnreachable(f"{_place(url)}: {type(failure).__name__}", reason=reason) from None
        except (SSLError, LocationParseError) as failure:
            raise ServiceUnreachable(f"{_place(url)}: {failure}"[:300], reason="tls") from None
        except (HTTPError, OSError) as failure:
            raise ServiceUnreachable(f"{_place(url)}: {type(failure).__name__}", reason="broken_off") from None
        finally:
            _thread.deadline = float("inf")


def same_origin(one: str, other: str) -> bool:
    """Say whether two addresses have the same scheme, host and port."""
    try:
        a, b = parse_url(one), parse_url(other)
    except LocationParseError:
        return False
    return _origin(a) == _origin(b) and a.auth is None and b.auth is None


def throttled(response: Response) -> bool:
    """Say whether the answer means "slower".

    Canvas says so with 403 and the text "403 Forbidden (Rate Limit Exceeded)" in every version of its source that was
    seen, its current documentation says 429. The text tells it from a 403 that refuses a permission."""
    return response.status == 429 or (response.status == 403 and b"Rate Limit Exceeded" in response.body[:2000])


def _origin(url: Url) -> tuple[str | None, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme or "")
    return url.scheme, (url.host or "").lower(), port


def _parse(url: str, allow_private: bool) -> Url:
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise AddressRefused("an address holds a space, a backslash or a control character")
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise AddressRefused("an address cannot be read") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_private):
        raise AddressRefused(f"{_place(url)} is not an https address")
    if not parts.host or parts.auth is not None:
        raise AddressRefused(f"{_place(url)} has no plain host name")
    return parts


def _place(url: str) -> str:
    """Name an address in a log line: no query, which may name a person or hold a token."""
    return url.partition("?")[0].partition("#")[0].rpartition("@")[2][:200]


def _content(
    body: bytes | str | None, form: Mapping[str, str] | None, document: Any
) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if document is not None:
        return json.dumps(document).encode(), {"Content-Type": "application/json"}
    return (body.encode() if isinstance(body, str) else body), {}


def _pause(attempt: int) -> float:
    """Exponential with full jitter, so that many jobs that failed together do not come back together."""
    longest = FIRST_PAUSE * 2.0**attempt
    return min(LONGEST_SLEEP, random.SystemRandom().uniform(longest / 2, longest))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3) in seconds: a number, or a date counted from the answer's own Date."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until = _http_date(value)
    if until is None:
        return None
    asked_at = _http_date(headers.get("Date", ""))
    return max(0.0, until - (time.time() if asked_at is None else asked_at))


def _http_date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _read(answer: BaseHTTPResponse, max_bytes: int, url: str) -> bytes:
    """Read a body to its end, or drop the connection as soon as it is larger than allowed."""
    announced = answer.headers.get("Content-Length", "")
    size = int(announced[:18]) if announced.isascii() and announced.isdigit() else 0
    parts: list[bytes] = []
    received = 0
    while size <= max_bytes:
        part = answer.read(CHUNK, decode_content=True)
        if not part:
            answer.release_conn()
            return b"".join(parts)
        received += len(part)
        parts.append(part)
        size = max(size, received)
    answer.close()
    raise ServiceError(f"{_place(url)} sent more than {max_bytes} bytes", reason="too_large")


# -- where a connection may go ----------------------------------------------------------------------------------

# Networks that hold an IPv4 address inside an IPv6 one, with the bit at which it starts. A gateway would carry the
# packet to the IPv4 address, so that is what is judged.
_IPV4_INSIDE = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, deprecated
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
_CGNAT = ipaddress.IPv4Network("100.64.0.0/10")
# Never, also where private networks are allowed. A cloud's metadata service answers at fd00:ec2::254 (and at
# 169.254.169.254, which is link-local); where 64:ff9b:1::/48 keeps its IPv4 address depends on the network (RFC 8215).
_NEVER = (ipaddress.IPv6Network("fd00:ec2::/32"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def address_kind(address: IpAddress) -> str:
    """Judge an address: `public`, `private` (loopback and private networks) or `never`."""
    if isinstance(address, ipaddress.IPv6Address) and address not in (
        ipaddress.IPv6Address("::1"),
        ipaddress.IPv6Address("::"),
    ):
        for network, shift in _IPV4_INSIDE:
            if address in network:
                return address_kind(ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
        if address.teredo is not None or address.is_site_local or any(address in network for network in _NEVER):
            return "never"
    if address.is_unspecified or address.is_link_local or address.is_multicast:
        return "never"
    if address.is_loopback or (isinstance(address, ipaddress.IPv4Address) and address in _CGNAT):
        return "private"
    if address.is_reserved:
        return "never"
    if address.is_private or not address.is_global:
        return "private"
    return "public"


def _checked_addresses(host: str, port: int, plain: bool, allow_private: bool) -> list[tuple[int, Any]]:
    """Look a host up and return (family, socket address) pairs, or raise AddressRefused if any of them is not allowed.

    Any: a name with one public and one private answer is an attempt, not a mistake. Plain http goes to private
    addresses only. Raises OSError where the name is not known."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise AddressRefused("a host name cannot be read") from None
    addresses: list[tuple[int, Any]] = []
    for family, _, _, _, target in found:
        kind = address_kind(ipaddress.ip_address(str(target[0]).partition("%")[0]))
        if kind == "never" or (kind == "private" and not allow_private) or (kind == "public" and plain):
            raise AddressRefused(f"{host[:200]} leads to a {kind} address")
        addresses.append((family, target))
    if not addresses:
        raise OSError("no address")
    return addresses


class _Thread(threading.local):
    deadline = float("inf")


# When the request of this thread must be over, on the monotonic clock. A server that sends one byte every nineteen
# seconds never runs into a read timeout; it runs into this.
_thread = _Thread()


def _time_left(timeout: float | None) -> float | None:
    left = _thread.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole request took too long")
    return min(timeout, left) if timeout is not None else (None if left == float("inf") else left)


class _PlainSocket(socket.socket):
    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(_time_left(self.gettimeout()))
        return super().recv_into(buffer, nbytes, flags)


class _TlsSocket(ssl.SSLSocket):
    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(_time_left(self.gettimeout()))
        return super().recv_into(buffer, nbytes, flags)


def _connect(connection: HTTPConnection, plain: bool, allow_private: bool) -> socket.socket:
    """Open the socket of a connection to an address that was checked. Takes the place of urllib3's own `_new_conn`."""
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        addresses = _checked_addresses(connection._dns_host, connection.port, plain, allow_private)
    except socket.gaierror as failure:
        raise NameResolutionError(connection.host, connection, failure) from failure
    failure_seen: OSError | None = None
    for family, target in addresses:
        sock = _PlainSocket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_time_left(timeout))
            sock.connect(target)
            return sock
        except OSError as failure:
            sock.close()
            failure_seen = failure
    if isinstance(failure_seen, TimeoutError):
        raise ConnectTimeoutError(connection, "connect timeout") from failure_seen
    raise NewConnectionError(connection, "no connection") from failure_seen


def _pool_manager(allow_private: bool) -> PoolManager:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, True, allow_private)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, False, allow_private)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    manager = PoolManager(num_pools=50, maxsize=20, ssl_context=_tls())
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager


def _tls() -> ssl.SSLContext:
    """Make the TLS settings: 1.2 or newer, host name and certificate checked.

    The two variables are the ones an institution with a certificate authority of its own already sets; no other
    variable of the environment (proxies, netrc) changes where a request goes."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    context = ssl.create_default_context(cafile=bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslsocket_class = _TlsSocket
    return context
