"""Who opens a public page is counted, and not known: people, not robots, and each visit once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from lti_tool.models import Tally
from lti_tool.services import choices, counting, page_views, public_pages
from lti_tool.services.page_views import PageViews, is_a_look
from tests.classroom import at_once, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
PEOPLE = (
    FIREFOX,
    SAFARI,
    CHROME,
    f"{CHROME} Edg/131.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [LinkedInApp]/9.29",
    "Mozilla/5.0 (Linux; Android 13; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile",
)
ROBOTS = (
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "Bluesky Cardyb/1.1",
    "Mastodon/4.2.0 (http.rb/5.1.1; +https://mastodon.social/)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; ms-office; MSOffice 16)",
    "Microsoft Office/16.0 (Microsoft Outlook 16.0.11001; Pro)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    "python-requests/2.32",
    "curl/8.5.0",
    "Prometheus/2.5",
    "",
)


@pytest.fixture
def claimed(room):  # noqa: F811
    """A course with an award that is public; its address at `url`, its number at `number`."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    choices.choose(room.tool, room.award()["id"], choices.Choices(public=True), actor="operator", now=now())
    room.url = room.award()["credential_url"]
    room.number = room.url.rpartition("/")[2]
    room.tool.views.add(now())
    room.tool.views._visitors.clear()  # all tests come from one address
    return room


def look(url: str, agent: str = FIREFOX, method: str = "GET", **headers: str) -> requests.Response:
    told = {"User-Agent": agent, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return requests.request(method, url, headers=told, timeout=10)


def views(room: Any) -> int:  # noqa: F811
    room.tool.views.add(now())
    with room.tool.db.read() as session:
        return counting.views_of(session, room.award()["id"])


def tally(room: Any, kind: str, detail: str) -> int:  # noqa: F811
    room.tool.views.add(now())
    with room.tool.db.read() as session:
        here = (Tally.kind == kind, Tally.detail == detail, Tally.course_id == room.id)
        return int(session.scalar(select(func.sum(Tally.number)).where(*here)) or 0)


# -- who counts -------------------------------------------------------------------------------------------------


def test_people_count_and_the_same_visit_counts_once(claimed):
    for agent in PEOPLE:
        assert look(claimed.url, agent).status_code == 200
        look(claimed.url, agent)
    assert views(claimed) == tally(claimed, "viewed", "page") == len(PEOPLE)


@pytest.mark.parametrize("agent", ROBOTS)
def test_robots_link_previews_and_nameless_ones_do_not_count(agent):
    assert not is_a_look({"User-Agent": agent})


def test_robots_are_answered_and_not_counted(claimed):
    for agent in ROBOTS:
        assert look(claimed.url, agent).status_code == 200
    assert views(claimed) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X_Purpose": "preview"},
        {"X_Moz": "prefetch"},
        {"Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Dest": "image"},
    ],
)
def test_what_is_fetched_before_anybody_asked_does_not_count(claimed, headers):
    assert look(claimed.url, **headers).status_code == 200
    assert views(claimed) == 0


def test_a_head_request_a_file_and_a_page_that_is_not_there_do_not_count(claimed):
    look(claimed.url, method="HEAD")
    look(f"{claimed.url}.json")
    look(f"{claimed.url}.pdf")
    look(claimed.url, Accept="application/json")
    look(f"{claimed.url[:-8]}{'0' * 8}")
    assert views(claimed) == 0 and not claimed.tool.views._new


def test_I24_a_private_page_is_not_counted(claimed):
    choices.choose(claimed.tool, claimed.award()["id"], choices.Choices(public=False), actor="operator", now=now())
    assert look(claimed.url).status_code == 404
    assert views(claimed) == 0


def test_the_learner_s_own_look_does_not_count(claimed):
    hers = claimed.enter(claimed.students[0])
    assert hers.get(f"/credentials/{claimed.number}", headers={"User-Agent": FIREFOX}).status_code == 200
    look(claimed.url, CHROME, Sec_Fetch_Site="same-origin", Sec_Fetch_Dest="document")  # a link on one of our pages
    assert views(claimed) == 0
    look(claimed.url, CHROME, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")
    assert views(claimed) == 1


def test_a_file_that_she_takes_is_passed_on_and_a_stranger_s_is_not(claimed):
    hers = claimed.enter(claimed.students[0])
    for _ in range(2):
        assert hers.get(f"/credentials/{claimed.number}.png", headers={"User-Agent": FIREFOX}).status_code == 200
    claimed.enter(claimed.teacher).get(f"/credentials/{claimed.number}.png", headers={"User-Agent": FIREFOX})
    look(f"{claimed.url}.png?launch=anything")
    assert tally(claimed, "shared", "download-png") == 1
    assert tally(claimed, "sharers", "") == 1


def test_a_picture_on_another_page_is_told_apart_from_her_own_number(claimed):
    look(f"{claimed.url}.png", Sec_Fetch_Dest="image", Sec_Fetch_Site="cross-site")
    assert tally(claimed, "viewed", "picture") == 1 and views(claimed) == 0


def test_the_page_of_what_a_badge_stands_for_is_counted_for_nobody(claimed):
    address = claimed.award()["achievement"]
    assert look(address).status_code == 200
    claimed.tool.views.add(now())
    with claimed.tool.db.read() as session:
        here = (Tally.detail == "badge", Tally.version_id == claimed.course_badge(session).version_id)
        assert session.scalar(select(Tally.number).where(*here)) == 1


# -- the same visitor -------------------------------------------------------------------------------------------


def test_after_half_an_hour_it_is_another_visit_and_nothing_is_left_of_the_first():
    seen, start = PageViews(None), now().replace(hour=12)  # type: ignore[arg-type]
    assert seen.seen("a", "page", "192.0.2.7", FIREFOX, start)
    assert not seen.seen("a", "page", "192.0.2.7", FIREFOX, start + timedelta(minutes=29))
    assert seen.seen("a", "page", "192.0.2.8", FIREFOX, start)
    assert seen.seen("b", "page", "192.0.2.7", FIREFOX, start)
    assert seen.seen("a", "page", "192.0.2.7", FIREFOX, start + timedelta(minutes=31))
    assert len(seen._visitors) == 1


def test_no_address_and_no_browser_is_kept_and_the_secret_is_another_one_each_day():
    seen, start = PageViews(None), now().replace(hour=12)  # type: ignore[arg-type]
    seen.seen("a", "page", "192.0.2.7", FIREFOX, start)
    kept = repr(vars(seen))
    assert "192.0.2.7" not in kept and "Firefox" not in kept
    secret = seen._secret
    seen.seen("b", "page", "192.0.2.7", FIREFOX, start + timedelta(days=1))
    assert seen._secret != secret and len(seen._visitors) == 1


def test_a_flood_of_visitors_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(page_views, "MOST_VISITORS", 100)
    seen, at = PageViews(None), now()  # type: ignore[arg-type]
    for number in range(1000):
        seen.seen("a", "page", f"192.0.2.{number}", FIREFOX, at)
    assert len(seen._visitors) <= 100


# -- adding -----------------------------------------------------------------------------------------------------


@pytest.fixture
def minute():
    """The beginning of a minute: nothing takes as long as one here."""
    start = now().replace(second=1)
    with time_machine.travel(start, tick=True) as clock:
        yield lambda: clock.move_to(start + timedelta(minutes=1))


@pytest.fixture
def made(monkeypatch):
    """The credentials whose page was made, one after the other."""
    pages = []
    real = public_pages.credential_page
    monkeypatch.setattr(
        public_pages, "credential_page", lambda tool, edition, at: pages.append(edition.id) or real(tool, edition, at)
    )
    return pages


def test_a_kept_page_stays_kept_however_often_it_is_looked_at(claimed, made, minute):
    """What is counted is added with the turn of the minute, when a page is made anew anyway: never twice a minute."""
    look(claimed.url, "curl/8.5.0")  # the first check of a page signs its status list, which is written
    claimed.tool.figures.add()
    made.clear()
    # On PostgreSQL the version is the server's, and other tests write on it too: there pages are made anew in between.
    alone = claimed.tool.db.is_sqlite
    for agent in PEOPLE:
        look(claimed.url, agent)
    assert len(made) == 1 or not alone
    minute()
    for agent in (*PEOPLE, *PEOPLE):
        look(claimed.url, agent)
    with claimed.tool.db.read() as session:
        assert counting.views_of(session, claimed.award()["id"]) == len(PEOPLE)  # those of the minute before
    assert len(made) == 2 or not alone


def test_a_view_writes_nothing_by_itself(claimed, minute):
    look(claimed.url, "curl/8.5.0")
    claimed.tool.figures.add()
    version = claimed.tool.db.version()
    for agent in PEOPLE:
        look(claimed.url, agent)
    assert claimed.scene.settings.database.url.startswith("postgresql") or claimed.tool.db.version() == version


def test_two_processes_add_their_views_at_once(claimed):
    others = [PageViews(claimed.tool.db) for _ in range(3)]
    for number, each in enumerate(others):
        for visitor in range(20):
            each.seen(claimed.number, "page", f"192.0.{number}.{visitor}", FIREFOX, now())
    assert at_once(*(lambda each=each: each.add(now()) for each in others)) == [None] * 3
    assert views(claimed) == tally(claimed, "viewed", "page") == 60


def test_a_process_that_is_killed_takes_along_what_it_had_not_added_and_no_more(claimed):
    killed = PageViews(claimed.tool.db)
    killed.seen(claimed.number, "page", "192.0.2.1", FIREFOX, now())
    killed.add(now())
    killed.seen(claimed.number, "page", "192.0.2.2", FIREFOX, now())
    del killed
    assert views(claimed) == 1


def test_J08_what_cannot_be_added_now_is_added_later_and_nobody_is_stopped(claimed, monkeypatch):
    look(claimed.url)
    with monkeypatch.context() as patch:
        patch.setattr(PageViews, "_write", lambda *_: (_ for _ in ()).throw(OperationalError("", {}, Exception("x"))))
        claimed.tool.views.add(now())
        assert look(claimed.url, SAFARI).status_code == 200
    assert views(claimed) == 2


def test_views_of_a_credential_that_is_gone_are_dropped_and_the_others_stay(claimed):
    seen = PageViews(claimed.tool.db)
    seen.seen("0" * 32, "page", "192.0.2.1", FIREFOX, now())
    seen.seen("no-such-badge/7", "badge", "192.0.2.1", FIREFOX, now())
    seen.seen(claimed.number, "share-link", "192.0.2.1", FIREFOX, now())
    seen.add(now())
    assert not seen._new and views(claimed) == 1 and tally(claimed, "viewed", "share-link") == 1
