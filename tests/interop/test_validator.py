"""1EdTech's validator of Open Badges 2.0 and our own check agree on what is good and on what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lti_tool.credentials.verify import verify
from tests.credentials.test_verify import NOW
from tests.credentials.test_verify_others import HOME, assertion, college
from tests.interop import outside

Json = dict[str, Any]


def pages(web: Any) -> dict[str, list[str]]:
    """Return what a test's web answers, as the validator is given it."""
    served = {
        url: ["application/ld+json", json.dumps(page)] for url, page in web.pages.items() if isinstance(page, dict)
    }
    return {**served, f"{HOME}/badges/1.png": ["image/png", ""]}


def issuer(**changes: Any) -> Json:
    found: Json = college().pages[f"{HOME}/issuer"]
    return {**found, "email": "badges@college.example", **changes}


ELSEWHERE = "https://host.example/a/1"
CASES: dict[str, tuple[Json, Json, bool]] = {
    "plain": (assertion(), {}, True),
    "plain recipient": (
        assertion(recipient={"type": "url", "hashed": False, "identity": "https://learner.example/"}),
        {},
        True,
    ),
    "of another host": (assertion(id=ELSEWHERE), {}, False),
    "of a host the issuer names": (
        assertion(id=ELSEWHERE),
        {"verification": {"type": "VerificationObject", "allowedOrigins": "host.example"}},
        True,
    ),
    "outside the prefix the issuer names": (
        assertion(),
        {"verification": {"type": "VerificationObject", "startsWith": f"{HOME}/other/"}},
        False,
    ),
    "no date": ({k: v for k, v in assertion().items() if k != "issuedOn"}, {}, False),
    "expired": (assertion(expires="2026-04-01T00:00:00Z"), {}, False),
    "no such badge": (assertion(badge=f"{HOME}/badges/2"), {}, False),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[bool, bool, list[str]]]:
    webs = {name: college(said, issuer=issuer(**changes)) for name, (said, changes, _) in CASES.items()}
    for name, (said, _, _) in CASES.items():
        webs[name].pages[said["id"]] = said
    theirs = outside.validator(
        {name: {"badge": said["id"], "pages": pages(webs[name])} for name, (said, _, _) in CASES.items()}
    )
    ours = {name: verify(json.dumps(said), now=NOW, fetch=webs[name]).ok for name, (said, _, _) in CASES.items()}
    return {name: (theirs[name]["valid"], ours[name], theirs[name]["messages"]) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_both_agree(name: str, answers: dict[str, tuple[bool, bool, list[str]]]) -> None:
    theirs, ours, messages = answers[name]
    assert (theirs, ours) == (CASES[name][2], CASES[name][2]), messages


def test_the_validator_asks_nobody_but_what_it_is_given() -> None:
    answer = outside.validator({"x": {"badge": f"{HOME}/assertions/1", "pages": {}}})["x"]
    assert not answer["valid"] and answer["asked"] == [f"{HOME}/assertions/1"]
