"""Samples of the pages for access after the course."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lti_tool.errors import BadInput, OwnLinkRefused, OwnSessionEnded
from lti_tool.services.own_access import Learner
from lti_tool.services.own_addresses import NOT_AN_ADDRESS, Confirmation, KeepPage, OwnPerson
from lti_tool.services.own_pages import OwnAward, OwnGroup

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ADDRESS = "ana.ruiz+badges@a-rather-long-name-of-a-mailbox-provider.example"
OWN_URL = "https://badges.hallwood.example/own"
LEARNER = Learner("s1", ADDRESS, (OwnPerson("p1", "p1", "Canvas", "Ana"),), NOW + timedelta(hours=8))
WRONG = BadInput(sentence=NOT_AN_ADDRESS)
LATE = OwnLinkRefused(sentence="This link was used already. Each works once.", what_to_do="Ask for a new one.")

KEEP = KeepPage(offered=True, suggested="ana@hallwood.example")
KEPT = KeepPage(offered=True, address=ADDRESS, confirmed_at=NOW)
AWARD = OwnAward("a1", "Oral Communication", "Level 2", "Employability, spring", NOW, "kept", page_public=True)
AWARDS = (
    replace(AWARD, id="a2", name="Working Together Across Many Rather Different Disciplines", state="fresh",
            page_public=False),
    AWARD,
    replace(AWARD, id="a3", name="Empathy", state="signing", opens=False),
    replace(AWARD, id="a4", name="Initiative", state="expired", level="", sentence="It was valid until 3 May 2026."),
    replace(AWARD, id="a5", name="Resilience", state="revoked", opens=False, course="",
            sentence="It was taken back: Given by mistake."),
)  # fmt: skip


def keep(page: KeepPage, **values: Any) -> tuple[str, dict[str, Any]]:
    return "student/keep.html", {"page": page, "own_url": OWN_URL, "typed": "", "problem": None, "done": "", **values}


def ask(**values: Any) -> tuple[str, dict[str, Any]]:
    return "own/ask.html", {"offered": True, "typed": "", **values}


def own(template: str, **values: Any) -> tuple[str, dict[str, Any]]:
    return f"own/{template}.html", {"own": LEARNER, "shown_to": lambda address: address, **values}


PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "keep": keep(KEEP),
    "keep-problem": keep(KEEP, typed="Ana <ana@home.example>", problem=WRONG),
    "keep-sent": keep(replace(KEEP, waiting=ADDRESS, waiting_until=NOW + timedelta(days=1)), done="sent"),
    "keep-kept": keep(KEPT),
    "keep-changing": keep(replace(KEPT, waiting="ana@home.example", waiting_until=NOW)),
    "keep-removed": keep(KEEP, done="removed"),
    "keep-no-mail": keep(KeepPage(offered=False)),
    "keep-preview": keep(KeepPage(offered=True, preview=True)),
    "own-ask": ask(),
    "own-ask-sent": ask(typed=ADDRESS, sent=True),
    "own-ask-problem": ask(typed="ana", problem=WRONG),
    "own-ask-no-mail": ask(offered=False),
    "own-confirm": ("own/confirm.html", {"asked": Confirmation(ADDRESS, "Canvas", NOW), "secret": "x"}),
    "own-confirm-other": ("own/confirm.html", {"asked": Confirmation("ana@home.example", "", NOW), "secret": "x"}),
    "own-confirmed": ("own/confirmed.html", {"address": ADDRESS, "own_url": OWN_URL}),
    "own-open": ("own/open.html", {}),
    "own-refused": ("own/refused.html", {"error": LATE, "offered": True}),
    "own-refused-confirming": ("own/refused.html", {"error": LATE, "offered": False}),
    "own-ended": ("own/refused.html", {"error": OwnSessionEnded(), "offered": True}),
    "own-badges": own("badges", groups=(OwnGroup("Canvas", "p1", AWARDS),)),
    "own-badges-two": own("badges", groups=(OwnGroup("Canvas", "p1", AWARDS[1:3]), OwnGroup("Moodle", "p2", ()))),
    "own-address": own("address", typed="", problem=None, sent=False),
    "own-address-sent": own("address", typed="ana@home.example", problem=None, sent=True),
    "own-address-problem": own("address", typed="ana", problem=WRONG, sent=False),
    "own-bye": ("own/bye.html", {"how": "here"}),
    "own-bye-everywhere": ("own/bye.html", {"how": "everywhere"}),
    "own-bye-removed": ("own/bye.html", {"how": "removed"}),
}

ADDRESSES = {
    "keep.home": "/me/<launch>/keep/",
    "keep.enter": "/me/<launch>/keep/enter",
    "keep.remove": "/me/<launch>/keep/remove",
    "keep.put_away": "/me/<launch>/keep/reminder",
    "own_access.ask": "/own",
    "own_access.send": "/own/send",
    "own_access.confirm": "/own/confirm/<secret>",
    "own_access.badges": "/own/badges/",
    "own_access.claim": "/own/badges/<award_id>",
    "own_access.picture": "/own/badges/<award_id>/picture.svg",
    "own_access.record": "/own/badges/people/<person_id>/clr.json",
    "own_access.sign_out": "/own/badges/sign-out",
    "own_access.address": "/own/badges/address",
    "own_show.show": "/own/badges/<award_id>/show",
    "own_show.turn": "/own/badges/<award_id>/show/page",
    "own_show.linkedin": "/own/badges/<award_id>/show/linkedin",
    "own_show.qr": "/own/badges/<award_id>/show/qr.svg",
    "own_show.make_link": "/own/badges/<award_id>/show/links",
    "own_show.end_link": "/own/badges/<award_id>/show/links/<link_id>/end",
    "own_wallet.show": "/own/badges/<award_id>/wallet",
    "own_wallet.offer": "/own/badges/<award_id>/wallet/offer",
    "own_wallet.withdraw": "/own/badges/<award_id>/wallet/copies/<edition_id>/withdraw",
    "own_access.leave": "/own/badges/address/remove",
}
