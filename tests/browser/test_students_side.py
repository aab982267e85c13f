"""The student's side in a browser: see it coming, put evidence beside it, claim it, show it, take it down; and later
without the LMS. The LMS's own frame has its stories elsewhere; here the pages are opened by themselves."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, expect

from lti_tool.services import administrators, audit
from tests.browser.conftest import PATIENCE, status_of
from tests.classroom import Classroom, badge
from tests.mail_server import MailServer, mail_server
from tests.scene import Scene, make_database, now

SHOTS = os.environ.get("SHOTS")
HERS = "ana@home.example"


@pytest.fixture(scope="module")
def post() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, post: MailServer) -> Iterator[Classroom]:
    folder = tmp_path_factory.mktemp("students-side")
    told = {"LTI_TOOL_MAIL__URL": post.url, "LTI_TOOL_MAIL__SENDER": "badges@hallwood.example"}
    with make_database(os.environ.get("TEST_DATABASE", ""), folder) as url:
        scene = Scene(folder, url, **told)
        try:
            yield Classroom(scene)
        finally:
            scene.stop()


def enter(room: Classroom, context: BrowserContext, student: int = 0) -> Page:
    """Launch as a student and give the browser what the launch left: its cookie, and its first page."""
    visitor = room.enter(room.students[student])
    jar = visitor.http.get_adapter("http://").jar
    secret = next(each.value for each in jar if each.name == "browser")
    context.add_cookies([{"name": "browser", "value": str(secret), "url": room.scene.url}])
    page = context.new_page()
    page.goto(visitor.home)
    return page


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"students-side-{name}.png", full_page=True)


def verdict(room: Classroom, kept: bytes) -> str:
    sent = {"file": ("badge.json", io.BytesIO(kept))}
    page = requests.post(f"{room.scene.url}/verify", files=sent, timeout=20).text
    found = re.search(r'id="h-report"[^>]*>([^<]+)<', page)
    return found[1] if found else page


def test_a_student_sees_her_way_earns_it_owns_it_shows_it_and_takes_it_down(
    room: Classroom, stranger: BrowserContext, first_party: BrowserContext
) -> None:
    room.publish(badge())
    room.grade(room.students[0], 4, 2)
    room.sync()

    # She sees how far she is, and what is missing.
    page = enter(room, first_party)
    expect(page.get_by_text("You have 1 of 2.", exact=False).first).to_be_visible()
    shot(page, "way")
    page.get_by_role("link", name="Careful Work", exact=True).first.click()

    # She puts something beside the row that is short.
    shot(page, "badge")
    page.get_by_role("link", name=re.compile(r"^Add evidence or a reflection.*Row B$")).click()
    page.get_by_role("radio", name=re.compile("^Words")).check()
    page.get_by_label("Your words").fill("I measured it three times and wrote down each.")
    shot(page, "evidence")
    page.get_by_role("button", name="Hand in", exact=True).click()
    expect(page.get_by_text("Handed in.", exact=False).first).to_be_visible()

    # She is marked, and has it.
    room.grade(room.students[0], 4, 4)
    room.sync()
    page = enter(room, first_party)
    expect(page.get_by_role("heading", name=re.compile("Careful Work is yours"))).to_be_visible()
    shot(page, "earned")

    # She claims it with choices of her own, and the preview says what will be public.
    page.get_by_role("link", name=re.compile("^Claim it")).first.click()
    page.get_by_role("switch", name=re.compile("^A public page")).check()
    page.get_by_role("switch", name=re.compile("^My points")).check()
    page.get_by_role("checkbox", name=re.compile("I measured it three times")).check()
    shot(page, "claim")
    page.get_by_role("button", name="Claim the badge").click()
    expect(page.get_by_role("heading", name="Show it", level=1)).to_be_visible()
    shot(page, "show")
    url = str(page.get_by_role("link", name=re.compile("credentials")).first.get_attribute("href"))

    # Anybody opens it.
    visitor = stranger.new_page()
    visitor.goto(url)
    expect(visitor.get_by_role("heading", name="Careful Work", level=1)).to_be_visible()
    expect(visitor.get_by_text("I measured it three times", exact=False).first).to_be_visible()
    shot(visitor, "public")

    # LinkedIn is told what it asks for; nothing goes there from a test.
    linkedin = str(page.get_by_role("link", name=re.compile("Add it to my profile")).get_attribute("href"))
    answer = page.context.request.get(f"{room.scene.url}{linkedin}", max_redirects=0)
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith("https://www.linkedin.com/profile/add?")
    assert asked["startTask"] == ["CERTIFICATION_NAME"] and asked["name"] == ["Careful Work"]
    assert asked["certUrl"] == [url] and asked["certId"] == [url.rpartition("/")[2]]
    assert asked["organizationName"] == ["Hallwood University"] and {"issueYear", "issueMonth"} <= set(asked)

    # She takes it down: the page is gone, and the file in her hands is still genuine.
    kept = requests.get(f"{url}.json", timeout=10).content
    page.get_by_role("button", name="Take the page down").click()
    expect(page.get_by_role("button", name="Turn the page on")).to_be_visible()
    assert status_of(url) == status_of(f"{url}.json") == 404
    visitor.reload()
    expect(visitor.get_by_role("heading", name="There is nothing at this address.")).to_be_visible()
    assert verdict(room, kept) == "Genuine and in force"


def test_without_her_lms_she_comes_in_by_mail_and_takes_a_page_down(
    room: Classroom, stranger: BrowserContext, first_party: BrowserContext, post: MailServer
) -> None:
    # While she has her account she confirms an address.
    page = enter(room, first_party)
    page.get_by_role("link", name="Keep access after the course").click()
    page.get_by_label("E-mail address").fill(HERS)
    page.get_by_role("button", name="Send a mail to confirm it").click()
    expect(page.get_by_text("A mail is on its way.")).to_be_visible()
    shot(page, "keep")
    elsewhere = stranger.new_page()
    elsewhere.goto(link_in(post))
    elsewhere.get_by_role("button", name="Yes, that was me: confirm it").click()
    expect(elsewhere.get_by_role("heading", name="The address is confirmed")).to_be_visible()

    # Later, in a browser that knows nothing of the LMS.
    elsewhere.goto(f"{room.scene.url}/own")
    elsewhere.get_by_label("E-mail address").fill(HERS)
    elsewhere.get_by_role("button", name="Send me a link").click()
    expect(elsewhere.get_by_text("If this address is known here, a link is on its way.")).to_be_visible()
    elsewhere.goto(link_in(post))
    elsewhere.get_by_role("button", name="Open my badges").click()
    elsewhere.get_by_role("link", name="Careful Work", exact=True).click()
    shot(elsewhere, "own-claim")
    elsewhere.get_by_role("link", name="Ways to show it").click()
    elsewhere.get_by_role("button", name="Turn the page on").click()
    url = str(elsewhere.get_by_role("link", name=re.compile("credentials")).first.get_attribute("href"))
    assert status_of(url) == 200
    with elsewhere.expect_download() as saved:
        elsewhere.get_by_role("link", name=re.compile("^JSON")).click()
    kept = Path(saved.value.path()).read_bytes()
    elsewhere.get_by_role("button", name="Take the page down").click()
    expect(elsewhere.get_by_role("button", name="Turn the page on")).to_be_visible()
    shot(elsewhere, "own-show")
    assert status_of(url) == 404 and verdict(room, kept) == "Genuine and in force"
    elsewhere.get_by_role("link", name="My badges").click()
    elsewhere.get_by_role("button", name="Leave").click()
    expect(elsewhere.get_by_role("heading", name="You are out")).to_be_visible()
    elsewhere.go_back()
    elsewhere.reload()
    expect(elsewhere.get_by_role("link", name="Ask for a link")).to_be_visible()


def test_who_asks_is_erased_by_an_administrator_and_her_file_is_told_revoked(
    room: Classroom, stranger: BrowserContext, first_party: BrowserContext
) -> None:
    # A badge of hers is public, and she has its file.
    room.publish(badge(name="Plain Speaking"))
    room.grade(room.students[1], 3, 4)
    room.sync()
    page = enter(room, first_party, 1)
    page.get_by_role("link", name=re.compile("^Claim it")).first.click()
    page.get_by_role("switch", name=re.compile("^A public page")).check()
    page.get_by_role("switch", name=re.compile("^My name")).check()
    page.get_by_role("button", name="Claim the badge").click()
    url = str(page.get_by_role("link", name=re.compile("credentials")).first.get_attribute("href"))
    kept = requests.get(f"{url}.json", timeout=10).content
    name = room.students[1].name
    assert name.encode() in kept and verdict(room, kept) == "Genuine and in force"

    # She asks to be erased, once she has read what it does.
    page.get_by_role("link", name="My badges").click()
    page.get_by_role("link", name="My data").click()
    shot(page, "data")
    page.get_by_label("I have read what it does").check()
    page.get_by_role("button", name="Ask for it to be erased").click()
    expect(page.get_by_text("An administrator will look at it.", exact=False)).to_be_visible()
    shot(page, "data-asked")
    assert status_of(url) == 200, "nothing is erased before somebody has looked at it"

    # An administrator sees who asks and what it does, and confirms it with a word.
    admin = stranger.new_page()
    admin.goto(administrators.invite(room.tool, email="", actor=audit.OPERATOR, now=now()))
    admin.get_by_label("Your name").fill("Vera Lindqvist")
    admin.get_by_role("button", name="Sign in").click()
    admin.get_by_role("link", name="Requests", exact=True).click()
    expect(admin.get_by_text(name)).to_have_count(0)
    shot(admin, "requests")
    admin.get_by_role("link", name=re.compile("^Look at it")).click()
    expect(admin.get_by_text(name).first).to_be_visible()
    admin.get_by_label("Type “erase” to confirm").fill("erase")
    shot(admin, "request")
    admin.get_by_role("button", name="Erase for good").click()
    expect(admin.get_by_text("It is confirmed.", exact=False)).to_be_visible()
    admin.get_by_role("link", name="To be erased").click()
    expect(admin.get_by_text("Who it was is not kept any more.", exact=False)).to_be_visible()
    shot(admin, "request-done")

    # Her page is gone, her file is told revoked, her visit is over, and a launch knows nothing of her.
    visitor = stranger.new_page()
    visitor.goto(url)
    expect(visitor.get_by_role("heading", name="This credential was withdrawn")).to_be_visible()
    expect(visitor.get_by_text("Plain Speaking")).to_have_count(0)
    expect(visitor.get_by_text(name)).to_have_count(0)
    shot(visitor, "erased-page")
    assert status_of(url) == status_of(f"{url}.json") == 410 and verdict(room, kept) == "Do not rely on this one"
    page.reload()
    shot(page, "erased-visit")
    expect(page.get_by_text(name)).to_have_count(0)
    again = room.enter(room.students[1]).page.text
    assert "What was kept about you here was erased" in again and name not in again


def link_in(post: MailServer) -> str:
    return str(re.findall(r"http://localhost:\d+/own/\w+/[\w-]+", post.to(HERS)[-1].part("plain"))[0])


@pytest.fixture
def first_party(stranger: BrowserContext) -> Iterator[BrowserContext]:
    """Open a browser of hers beside the stranger's."""
    assert stranger.browser is not None
    context = stranger.browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()
