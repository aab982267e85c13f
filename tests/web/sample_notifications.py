"""Samples of what people are told, for `sample_pages`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lti_tool.services.letters import told
from lti_tool.services.notifications import ChoicePage, News, Told

WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LONG = "Argumentation, Evidence and the Responsible Use of <b>Sources</b> in Academic Writing"


def _told(kind: str, key: str, badge: str, course: str = "", **more: str) -> Told:
    sentence, line = told(kind, {"badge": badge, **more})
    return Told(f"n-{kind}", kind, sentence, line, WHEN, key, course)


NEWS = News(
    (
        _told("revoked", "oral-communication", "Oral Communication", reason="Awarded to the <i>wrong</i> person."),
        _told("expiring", "collaboration", "Collaboration", until="2027-01-15T00:00:00+00:00"),
        _told("reissued", "initiative", "Initiative"),
        _told("earned", "sources", LONG, course="WRIT 201"),
        _told("unclaimed", "logic", "Formal Logic", course="PHIL 110"),
    ),
    7,
)
NONE = News()
TEACHER = ChoicePage(True, "EMP101", True, "vera@hallwood.example", digest=True)
LEARNER = ChoicePage(True, "EMP101", True, "ana.with.a.very.long.name@students.hallwood.example")
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "mail-own": ("mail_choice.html", {"page": LEARNER, "back": "/"}),
    "mail-own-off": ("mail_choice.html", {"page": ChoicePage(False, "", True, ""), "back": "/"}),
    "mail-own-none": ("mail_choice.html", {"page": ChoicePage(True, "", False, ""), "back": "/"}),
    "mail-course": ("mail_choice.html", {"page": TEACHER, "back": "/"}),
    "mail-stop": ("public/mail_stop.html", {"page": ChoicePage(True)}),
    "mail-stopped": ("public/mail_stop.html", {"page": ChoicePage(False, "Writing <b>101</b>", digest=True)}),
}
ADDRESSES = {
    "notifications.dismiss": "/me/<launch>/notifications/away",
    "notifications.own_mail": "/me/<launch>/mail",
    "notifications.course_mail": "/course/<launch>/mail",
}
