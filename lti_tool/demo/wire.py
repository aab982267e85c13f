"""What both moods do on the wire: the bearer token, the tool's JWKS, JSON bodies, times."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
import requests
from flask import request

from .records import Access

if TYPE_CHECKING:
    from .lms import Lms

SECONDS = 10  # how long the LMS waits for a tool's JWKS


def find_tool_key(jwks_url: str, kid: str | None) -> tuple[Any, str]:
    """Fetch the tool's JWKS and find a key in it; gives the key, or None and what is wrong."""
    try:
        listed = requests.get(jwks_url, timeout=SECONDS).json()["keys"]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return None, "could not fetch the tool's keys"
    for entry in listed:
        if entry.get("kid") == kid:
            try:
                return jwt.PyJWK(entry, algorithm="RS256").key, ""
            except jwt.PyJWTError:
                return None, "the tool's key cannot be read"
    return None, "kid not found"


def with_query(url: str, **values: str) -> str:
    """Add parameters to an address and keep those it has."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(values)}"


def access(lms: Lms) -> Access | str:
    """Read the request's bearer token: what it may do, or what is wrong with it."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        return "missing"
    found = lms.access.get(token.strip())
    if found is None:
        return "unknown"
    if found.expires <= lms.clock() or found.uses_left == 0:
        return "expired"
    if found.uses_left is not None:
        found.uses_left -= 1
    return found


def json_body() -> dict[str, Any] | None:
    """Read the request's JSON object whatever its media type says."""
    try:
        body = json.loads(request.get_data(as_text=True))
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def seconds(text: Any) -> float | None:
    """Read an ISO 8601 time; one without a zone counts as UTC. None where it cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def iso(moment: float) -> str:
    """Write a time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def digest(*parts: object) -> str:
    """Make 40 hex digits, the same each time so that a demo can be started again."""
    return hashlib.sha1(":".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def locked(lms: Lms, view: Callable[..., Any]) -> Callable[..., Any]:
    """Let one request at a time change the gradebook."""

    @functools.wraps(view)
    def one_at_a_time(**arguments: Any) -> Any:
        with lms.lock:
            return view(**arguments)

    return one_at_a_time
