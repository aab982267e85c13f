"""What strangers send and what their servers answer, read carefully: capped, counted, and in words where it is refused.

Nothing in this file says whether something is true; only that it can be looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

from lti_tool.errors import Busy, NotFound, ServiceError, ToolError
from lti_tool.sentence import Day, Sentence

LARGEST = 5 * 1024 * 1024
DEEPEST = 50
# Expansion compares each value of a property with all before it (pyld 3.3.0), and canonicalisation is factorial in
# the worst case; both run before a signature is known to be good. A badge of four rows of four levels has 300 values.
MOST_VALUES = 4_000
MOST_OF_A_SET = 10_000  # values of a learner record, which carries whole credentials

DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

Json = dict[str, Any]


class Refused(Exception):
    """A check failed; `sentence` says how."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Unknown(Exception):
    """A check could not be made; `sentence` says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotPublic(Refused):
    """An address of ours answers nobody: what was there is private, or nothing ever was."""


class Fetched(Protocol):
    """What an address answered, after any redirects the caller allows."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


Fetch = Callable[[str], Fetched]


def parsed(text: str, most: int = MOST_VALUES) -> Json:
    """Parse JSON of a stranger: an object, not too deep or large, no name twice, no number outside JSON.

    `most` is how many values it may hold."""
    if len(text) > LARGEST:
        raise Refused(Sentence("No. It is larger than 5 MB."))

    def members(pairs: list[tuple[str, Any]]) -> Json:
        found = dict(pairs)
        if len(found) < len(pairs):
            # Readers differ about which of the two counts: one could be signed and the other shown.
            raise Refused(Sentence("No. It names the same part twice."))
        return found

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise Refused(Sentence("No. It is nested deeper than any credential.")) from None
    except ValueError:
        raise Refused(Sentence("No. It begins like JSON but is not well formed.")) from None
    if not isinstance(value, dict):
        raise Refused(Sentence("No. It is JSON, but not a credential."))
    if count(value) > most:
        raise Refused(Sentence("No. It has more parts than any credential."))
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # "\ud800" alone: half a character, which no page can show
        raise Refused(Sentence("No. It holds characters that are none.")) from None
    return value


def count(value: Any, depth: int = 0) -> int:
    """Count the values within a value; refuses deep nesting."""
    if not isinstance(value, dict | list):
        return 1
    if depth > DEEPEST:
        raise Refused(Sentence("No. It is nested deeper than any credential."))
    return 1 + sum(count(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"not a JSON number: {text}")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"number too large: {text}")
    return value


# -- reading a stranger's values --------------------------------------------------------------------------------


def as_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def objects(value: Any) -> list[Json]:
    """Return the objects of a JSON value that may be one or a list."""
    return [item for item in as_list(value) if isinstance(item, dict)]


def strings(value: Any) -> list[str]:
    return [item for item in as_list(value) if isinstance(item, str)]


def text_of(value: Any) -> str:
    """Return a text for people: of a language map the first, of anything else nothing."""
    if isinstance(value, dict):
        value = next(iter(value.values()), "")
    return value if isinstance(value, str) else ""


def moment(value: Any) -> datetime | None:
    """Read an XML Schema dateTime with a zone, or return None."""
    if not isinstance(value, str) or not DATE_TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def begins(document: Json) -> Any:
    """Return when a credential begins, in the words of VCDM 2.0 or 1.1."""
    return document.get("validFrom", document.get("issuanceDate"))


def ends(document: Json) -> Any:
    """Return when a credential ends, in the words of VCDM 2.0 or 1.1; None where it has no end."""
    return document.get("validUntil", document.get("expirationDate"))


def day_of(when: datetime) -> Day:
    return Day(when.date())


def base64url_bytes(text: str) -> bytes:
    """Decode base64url without padding, strictly: other alphabets and stray bits would be a second spelling."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError("not canonical base64url")
    return raw


def base58_bytes(text: str) -> bytes | None:
    """Decode base58 (bitcoin's alphabet) of at most 400 characters, or return None."""
    if len(text) > 400 or any(character not in BASE58 for character in text):
        return None
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


# -- going out --------------------------------------------------------------------------------------------------


def got(url: str, fetch: Fetch) -> bytes:
    """Return what an address answers; raises Unknown, naming the host, for anything but a whole 200. Busy passes."""
    status, body = answered(url, fetch)
    if status != 200:
        raise Unknown(
            Sentence(
                "%(host)s answered with an error (%(status)s). Try again later before you decide.",
                host=host_of(url),
                status=status,
            )
        )
    return body


def answered(url: str, fetch: Fetch) -> tuple[int, bytes]:
    """Return the HTTP status and the body of an address; raises Unknown where it does not answer. Busy passes."""
    host = host_of(url)
    try:
        answer = fetch(url)
    except Busy:  # nothing about this address: the whole check is to be made later
        raise
    except ServiceError as error:
        if error.reason == "address_refused":
            raise Unknown(Sentence("It names an address that is not asked from here.")) from error
        raise Unknown(Sentence("%(host)s did not answer. Try again later before you decide.", host=host)) from error
    except NotFound as error:  # an address of ours, answered from here
        raise NotPublic(Sentence("There is nothing public at this address. Ask whoever sent it to you.")) from error
    except ToolError as error:
        raise Unknown(Sentence("%(host)s could not be asked. Try again later before you decide.", host=host)) from error
    if len(answer.body) > LARGEST:
        raise Unknown(Sentence("%(host)s answered with more than 5 MB.", host=host))
    return answer.status, answer.body


def json_at(url: str, fetch: Fetch) -> Json:
    """Return the JSON object at an address; raises Unknown."""
    try:
        return parsed(got(url, fetch).decode())
    except (Refused, UnicodeDecodeError):
        raise Unknown(Sentence("%(host)s answered with something that is no key list.", host=host_of(url))) from None


def host_of(url: str) -> str:
    """Return host and port as they are compared and shown; empty for what is no address.

    One host has one spelling here: small letters, no port where it is the scheme's own, no dot at the end."""
    try:
        parts = urlsplit(url)
        usual = 80 if parts.scheme == "http" else 443
        port = f":{parts.port}" if parts.port not in (None, usual) else ""
    except ValueError:
        return ""
    return f"{(parts.hostname or '').rstrip('.')}{port}"
