"""Cookies, CSRF, response headers, client addresses: what every request passes."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, wraps
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from flask import Response, current_app, g, redirect, request
from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import FormExpired, NotPermitted, TooMany
from lti_tool.sentence import Sentence
from lti_tool.services import administrators, launches, own_access
from lti_tool.services.tool import Tool

PROBE = "probe"
COOKIE_LASTS = launches.SESSION_LASTS
LOGIN_COOKIE_LASTS = timedelta(minutes=10)

# Everything the pages use comes from here; no inline script or style anywhere, so injected markup does nothing.
CONTENT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"


def tool() -> Tool:
    found: Tool = current_app.extensions["lti_tool"]
    return found


HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
HTTPS_HEADERS = (*HEADERS, ("Strict-Transport-Security", "max-age=31536000"))


# -- cookies ----------------------------------------------------------------------------------------------------


def cookie_name(name: str) -> str:
    """Prefix a cookie's name over https: a `__Host-` cookie cannot be planted by a neighbouring host.

    Chromium takes the prefix on http://localhost too, but only https makes every browser do so."""
    return f"__Host-{name}" if tool().settings.https else name


def set_cookie(response: BaseResponse, name: str, value: str, lasts: timedelta) -> None:
    """Set a cookie that a browser sends back inside another site's frame, and only there (CHIPS).

    `value` is a secret of ours, so it needs no quoting."""
    response.headers.add("Set-Cookie", f"{cookie_name(name)}={value}{_attributes(int(lasts.total_seconds()))}")


def drop_cookie(response: BaseResponse, name: str) -> None:
    response.headers.add("Set-Cookie", f"{cookie_name(name)}={_attributes(0)}")


@lru_cache(maxsize=8)
def _attributes(seconds: int) -> str:
    """Return what stands behind the value of each cookie; with 0 seconds the browser drops it."""
    return dump_cookie(
        "name",
        max_age=seconds,
        expires=None if seconds else 0,
        path="/",
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    ).removeprefix("name=")


def browser_secret() -> str | None:
    return request.cookies.get(cookie_name("browser"))


def set_unframed_cookie(response: BaseResponse, name: str, value: str, lasts: timedelta) -> None:
    """Set a cookie of pages that are never framed (the administrator's, a backpack's): other sites' requests do not
    carry it, but for a link that leads here."""
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="Lax",
    )


def drop_unframed_cookie(response: BaseResponse, name: str) -> None:
    response.delete_cookie(cookie_name(name), path="/", secure=True, httponly=True, samesite="Lax")


def admin_secret() -> str | None:
    return request.cookies.get(cookie_name("admin"))


def own_secret() -> str | None:
    return request.cookies.get(cookie_name("own"))


def in_frame() -> bool:
    """Tell whether the browser says that this page is for a frame. It says so over https and to localhost only."""
    return request.headers.get("Sec-Fetch-Dest") == "iframe"


def from_own_page() -> bool:
    """Tell whether the browser says that a page of ours sent this request.

    `Origin` cannot tell: under Referrer-Policy no-referrer a form's is "null"."""
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def cookies_come() -> bool:
    """Tell whether this browser sends cookies of ours here: the session's, or the one set to find out."""
    return browser_secret() is not None or cookie_name(PROBE) in request.cookies


# -- who may do what --------------------------------------------------------------------------------------------


def guarded(right: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Open a view only to the browser and launch its address names, and only with a right in that course.

    A POST also needs the CSRF token of this launch. The session is at `g.session`; `g.launch` is what stands for it
    in the addresses of its pages, with the launch's token where the browser sends no cookie."""

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded_view(launch: str, **values: Any) -> Any:
            g.session = launches.find_session(tool(), launch, browser_secret(), datetime.now(UTC))
            g.launch, g.secret = launch, launches.split_address(launch)[1] or browser_secret() or ""
            if request.method == "POST":
                same_token(csrf())
            if right in (launches.ANYBODY, launches.OWN):
                return view(**values)
            if right == launches.LEARN:
                allowed = g.session.rights  # whoever has any right may look at the learner's pages
            else:
                allowed = g.session.rights & {right}
            if not allowed or g.session.course_id is None:
                raise NotPermitted(f"needs {right}")
            return view(**values)

        guarded_view.guard = right  # type: ignore[attr-defined]
        return guarded_view

    return wrap


def administrator(view: Callable[..., Any]) -> Callable[..., Any]:
    """Open a view to signed-in administrators only; a POST also needs the CSRF token of her session.

    Who she is stands at `g.admin`."""

    @wraps(view)
    def guarded_view(**values: Any) -> Any:
        secret = admin_secret()
        g.admin = administrators.find_session(tool(), secret, datetime.now(UTC))
        if request.method == "POST":
            same_token(admin_csrf(), Sentence("Load the page again, then try once more."))
        return view(**values)

    guarded_view.guard = "administrator"  # type: ignore[attr-defined]
    return guarded_view


def by_own_link(view: Callable[..., Any]) -> Callable[..., Any]:
    """Open a view to a learner whom a link to her own address has let in; a POST also needs her session's CSRF token.

    Who she is stands at `g.own`. These pages are framed by nobody and kept by no cache."""

    @wraps(view)
    def guarded_view(**values: Any) -> Any:
        g.no_store = True
        g.own = own_access.find_session(tool(), own_secret(), datetime.now(UTC))
        if request.method == "POST":
            same_token(own_csrf(), Sentence("Load the page again, then try once more."))
        return view(**values)

    guarded_view.guard = "own"  # type: ignore[attr-defined]
    return guarded_view


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a view open to everybody: a test walks all addresses and finds each guarded or public (L14)."""
    view.guard = "public"  # type: ignore[attr-defined]
    return view


def csrf() -> str:
    return launches.csrf_token(g.secret, g.session.launch_id)


def admin_csrf() -> str:
    return administrators.csrf_token(admin_secret() or "", g.admin.session_id)


def own_csrf() -> str:
    return own_access.csrf_token(own_secret() or "", g.own.session_id)


def same_token(wanted: str, what_to_do: str | None = None) -> None:
    """Refuse a form whose token is not the one wanted."""
    sent = request.form.get("csrf") or request.headers.get("X-Csrf", "")
    if not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise FormExpired("no or another session's token", what_to_do=what_to_do)


class _Redirect(Response):
    """A redirect to an address that is ASCII as it stands, with nothing in it but the address.

    Flask's own writes a page too, and takes the address apart and together twice: a twentieth of a launch."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        return self.headers


def see(address: str, status: int) -> Response:
    """Redirect to an address."""
    if not address.isascii():
        return cast(Response, redirect(address, status))
    return _Redirect(status=status, headers={"Location": address, "Content-Length": "0"})


def at_home(response: Response) -> Response:
    """Let the router's own redirect, to an address with or without its last slash, name no host.

    It names the one the request does, which may be anybody's, and may be kept by a cache."""
    if response.status_code == 308 and (parts := urlsplit(response.location or "")).netloc:
        response.location = urlunsplit(("", "", f"/{parts.path.lstrip('/')}", parts.query, ""))
        response.set_data(b"")
    return response


def shown_to(address: str) -> str:
    """Return an address outside the launch's pages as this session may open it: with its launch where no cookie comes.

    Only for what may be private to the session (a learner's own files); such a link is not one to pass on."""
    if not launches.split_address(g.launch)[1]:
        return address
    return f"{address}{'&' if '?' in address else '?'}launch={g.launch}"


def parents() -> list[str]:
    """Return the origins that may frame the pages of this session, read once for a request."""
    if "parents" not in g:
        g.parents = launches.frame_origins(tool(), g.session.registration_id)
    origins: list[str] = g.parents
    return origins


# -- headers ----------------------------------------------------------------------------------------------------


def add_headers(response: Response) -> Response:
    """Say on every answer what it may do. Pages of a session are framed by its platform's origins only.

    Refusals and login pages hold no session and no action, and may be shown inside any LMS."""
    wanted = dict(HTTPS_HEADERS if tool().settings.https else HEADERS)
    if g.get("session") is not None:
        ancestors = " ".join(["'self'", *parents()])
        wanted["Cache-Control"] = "no-store"
    elif g.get("frame_anywhere"):
        ancestors = "*"
        wanted["Cache-Control"] = "no-store"
    else:
        if g.get("admin") is not None or g.get("no_store"):
            wanted["Cache-Control"] = "no-store"
        ancestors = "'none'"
        wanted["X-Frame-Options"] = "DENY"
    form_action = "'self'" if not g.get("posts_to") else f"'self' {g.posts_to}"
    wanted["Content-Security-Policy"] = f"{CONTENT}; form-action {form_action}; frame-ancestors {ancestors}"
    present = {name.lower() for name, _ in response.headers}
    for name, value in wanted.items():
        if name.lower() not in present:
            response.headers.add(name, value)
    return response


def alone(response: Response) -> Response:
    """Keep a public page's window apart from those of other sites: whoever opened it holds no handle to it."""
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    return response


# -- rate limit -------------------------------------------------------------------------------------------------


class RateLimit:
    """At most so many a minute from one network address, counted in this process (a campus is one address)."""

    def __init__(self, per_minute: int, remembered: int = 50_000) -> None:
        self._per_second = per_minute / 60
        self._most = float(per_minute)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._remembered = remembered
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        """Count one; raises TooMany when the address has used its share."""
        now = time.monotonic()
        with self._lock:
            left, at = self._left.pop(address, (self._most, now))
            left = min(self._most, left + (now - at) * self._per_second)
            self._left[address] = (max(0.0, left - 1), now)
            if len(self._left) > self._remembered:
                self._left.popitem(last=False)
        if left < 1:
            raise TooMany(f"more than {self._most:.0f} a minute")
