"""Samples of the administrator's pages for what people ask about their data, and for how long things are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from lti_tool.errors import BadInput
from lti_tool.services import retention
from lti_tool.services.retention import KINDS, Line, RetentionPage
from lti_tool.services.rights import RequestPage, RequestRow, Subject

NOW = datetime(2026, 11, 21, 9, 14, tzinfo=UTC)
ADMIN = SimpleNamespace(name="Vera Lindqvist")
PLATFORM = "Moodle of the Faculty of Humanities and Social Sciences"
WRONG = BadInput(sentence="Nothing was erased: the word does not match.", what_to_do="Type it exactly as it stands.")

ERASURE = RequestRow("r1", "erasure", "open", PLATFORM, NOW - timedelta(days=3), None, None, "herself")
DONE = replace(ERASURE, id="r4", state="done", decided_at=NOW, finished_at=NOW, by="operator")
NAME = replace(ERASURE, id="r2", kind="name", asked_at=NOW - timedelta(hours=5))
REFUSED = replace(NAME, id="r5", state="refused", decided_at=NOW - timedelta(days=9))
WAITS = (ERASURE, NAME, replace(ERASURE, id="r3", state="doing", decided_at=NOW, by="administrator"))
DECIDED = (DONE, REFUSED, replace(NAME, id="r6", state="withdrawn"))

ZOE = Subject("p1", PLATFORM, NOW - timedelta(days=400), None, 3, 2, 5, 2, "4f7c1a3e-93b0-4c86-9d5e-0123456789ab",
              "Zoë Quintbrand-Ølsen", "Zoë Q.", "zoe.quintbrand.oelsen@students.hallwood.example")  # fmt: skip
GONE = replace(ZOE, erased_at=NOW, sub="", name="", shown_name="", email="")


def requests(**values: Any) -> tuple[str, dict[str, Any]]:
    usual = {"waits": WAITS, "decided": DECIDED, "platforms": [(1, "Canvas"), (2, PLATFORM)]}
    return "admin/requests.html", {**usual, "done": "", "problem": None, "typed": {}, "admin": ADMIN, **values}


def one(row: RequestRow, person: Subject = ZOE, **values: Any) -> tuple[str, dict[str, Any]]:
    wanted, reason = values.pop("wanted", ""), values.pop("reason", "")
    page = RequestPage(row, person, wanted, reason, "")
    usual = {"page": page, "by": "", "word": "erase", "problem": None, "typed": {}, "admin": ADMIN}
    return "admin/request.html", {**usual, **values}


def erase(person: Subject = ZOE, **values: Any) -> tuple[str, dict[str, Any]]:
    usual = {"person": person, "word": "erase", "problem": None, "typed": {}, "admin": ADMIN}
    return "admin/erase.html", {**usual, **values}


LINES = tuple(
    Line(kind.key, kind.what, kind.since, kind.why, kind.days, str(kind.days or ""), None, number % 3 * 120)
    for number, kind in enumerate(KINDS)
)
LOOKED = tuple(replace(line, due=number % 4 * 37) for number, line in enumerate(LINES))
MISTYPED = (replace(LINES[0], typed="ten years", wrong="wrong"), *LINES[1:])


def periods(page: RetentionPage, **values: Any) -> tuple[str, dict[str, Any]]:
    usual = {"fixed": retention.FIXED, "for_good": retention.FOR_GOOD, "saved": False, "looked": False}
    return "admin/retention.html", {"page": page, **usual, "problem": None, "admin": ADMIN, **values}


PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "admin-requests": requests(done="It is refused. Whoever asked reads your reason."),
    "admin-requests-none": requests(waits=(), decided=(), typed={"platform": "2", "user": "no<body>"},
                                    problem=BadInput(sentence="Nobody with this user id is known here.")),
    "admin-request": one(ERASURE),
    "admin-request-wrong": one(ERASURE, problem=WRONG, typed={"do": "grant", "word": "erasse"}),
    "admin-request-no-reason": one(ERASURE, problem=BadInput(sentence="Say why it is refused."),
                                   typed={"do": "refuse", "reason": ""}),
    "admin-request-done": one(DONE, GONE, by="Vera Lindqvist"),
    "admin-request-name": one(NAME, wanted="Zoë María Quintbrand-Ølsen de la Fuente"),
    "admin-request-refused": one(REFUSED, wanted="", reason="That is not you.", by="Vera Lindqvist",
                                 problem=BadInput(sentence="It has been decided meanwhile.")),
    "admin-erase": erase(),
    "admin-erase-wrong": erase(replace(ZOE, name="", shown_name="", email="", ids=1), problem=WRONG,
                               typed={"word": "x"}),
    "admin-erase-gone": erase(GONE),
    "admin-retention": periods(RetentionPage(LINES, NOW - timedelta(hours=7), False), saved=True),
    "admin-retention-looked": periods(RetentionPage(LOOKED, None, True), looked=True),
    "admin-retention-wrong": periods(RetentionPage(MISTYPED, None, False), problem=BadInput(
        sentence="A period is a whole number of days from 30 to 36500.", what_to_do="Correct it.")),
}  # fmt: skip

ADDRESSES = {
    "admin_requests.home": "/admin/requests",
    "admin_requests.as_csv": "/admin/requests.csv",
    "admin_requests.find": "/admin/requests/person",
    "admin_requests.one": "/admin/requests/<id>",
    "admin_retention.save": "/admin/retention",
}
