"""A deep linking round trip as a browser makes it: the picker, the answer, and what the LMS makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import requests
from jwt.algorithms import RSAAlgorithm
from lxml import html

from lti_tool.demo import DEEP_LINKING
from lti_tool.demo.launches import DL, LTI
from tests.classroom import Classroom
from tests.scene import Visitor

SETTINGS = DL + "deep_linking_settings"


@dataclass
class Answer:
    """What the tool sends back: the form, and the message in it, read with the key the tool publishes."""

    page: requests.Response
    action: str
    token: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.claims[DL + "content_items"]  # type: ignore[no-any-return]

    def bring(self) -> requests.Response:
        """Take it to the LMS, as the browser does; its host is one that only browsers know."""
        address = self.action.replace("lms.localhost", "localhost")
        return requests.post(address, data={"JWT": self.token}, timeout=10)


def choose(room: Classroom, user: Any = None, *, settings: dict[str, Any] | None = None, **options: Any) -> Visitor:
    """Open the picker; `settings` change what the platform says it takes (None: it does not say)."""
    auth = {"auth": {"claims": {SETTINGS: settings}}} if settings is not None else {}
    visitor = room.enter(user or room.teacher, message_type=DEEP_LINKING, **options, **auth)
    visitor.home = visitor.home.removesuffix("place")
    return visitor


def send(visitor: Visitor, *items: str, columns: bool = True, path: str = "place") -> requests.Response:
    """Send the picker's form with these choices."""
    token = html.fromstring(visitor.get("place").text).xpath("//input[@name='csrf']/@value")[0]
    data: list[tuple[str, str]] = [("csrf", token), *(("item", each) for each in items)]
    if columns:
        data.append(("columns", "on"))
    return visitor.http.post(f"{visitor.home}{path}", data=data, timeout=20)


def answer(visitor: Visitor, *items: str, columns: bool = True, path: str = "place") -> Answer:
    """Send choices and read the answer; its signature is checked with the published keys."""
    page = send(visitor, *items, columns=columns, path=path)
    assert page.status_code == 200, page.text
    (form,) = html.fromstring(page.text).xpath("//form[@data-send]")
    token = form.xpath("./input[@name='JWT']/@value")[0]
    header = jwt.get_unverified_header(token)
    keys = {key["kid"]: key for key in visitor.get("/.well-known/jwks.json").json()["keys"]}
    claims = jwt.decode(
        token, RSAAlgorithm.from_jwk(keys[header["kid"]]), algorithms=["RS256"], options={"verify_aud": False}
    )
    return Answer(page, form.get("action"), token, header, claims)


def values(visitor: Visitor) -> Sequence[str]:
    """Return what the picker offers."""
    found: Sequence[str] = html.fromstring(visitor.get("place").text).xpath("//input[@name='item']/@value")
    return found


__all__ = ["DEEP_LINKING", "DL", "LTI", "SETTINGS", "Answer", "answer", "choose", "send", "values"]
