"""The cookie situations of table C in Chromium: partitioned cookies, none inside a frame, none at all.

tests/browser/test_cookies.py shows that these browsers block what their names say."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect
from werkzeug.serving import make_server

from tests.browser.conftest import Demo, at_rest
from tests.browser.test_story import COURSES, enter_as

SHOTS = os.environ.get("SHOTS")  # a folder: keep pictures of the pages before a launch, in three widths

NEW_WINDOW = "Open Badges in a new window"
CODES = ("EM-1", "EM-2", "EM-3", "EM-4")


def enter(page: Page, demo: Demo, mood: str, role: str, name: str = "") -> FrameLocator:
    """Open the course as somebody by an address that says who: the LMS may get no cookie either."""
    page.goto(f"{demo.lms}/")
    doors = page.locator(f"section.{mood}")
    if role == "student":
        user = doors.locator("select option", has_text=name).first.get_attribute("value")
    else:
        user = (
            doors.locator("form", has_text=re.compile(role, re.I)).locator("[name=user]").first.get_attribute("value")
        )
    page.goto(f"{demo.lms}/{mood}/course/{COURSES[mood]}?as={user}")
    return page.frame_locator("iframe[name=tool]")


def address_of_frame(page: Page) -> str:
    frame = page.frame(name="tool")
    assert frame is not None
    return frame.url


def shot(page: Page, name: str) -> None:
    if SHOTS:
        for width in (360, 768, 1100):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)


# -- platform storage ---------------------------------------------------------------------------------------------


def test_C14_the_whole_story_works_in_canvas_without_any_cookie(demo: Demo, without_cookies: BrowserContext) -> None:
    page = without_cookies.new_page()
    loud: list[str] = []
    page.on("pageerror", lambda error: loud.append(str(error)))

    # An instructor publishes a badge, grades a learner and syncs.
    tool = enter(page, demo, "canvas", "instructor")
    tool.get_by_role("button", name="Use Empathy").click()
    expect(tool.get_by_role("heading", name="Before you publish")).to_be_visible()
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()
    page.get_by_role("link", name="Gradebook").click()
    for code in CODES:
        page.get_by_label(re.compile(f"^{code} .*, Amina Okafor,")).fill("4")
    page.get_by_role("button", name="Save grades").first.click()
    expect(page.get_by_text("Grades saved")).to_be_visible()
    tool = enter(page, demo, "canvas", "instructor")
    tool.get_by_role("link", name="Empathy", exact=True).click()
    tool.get_by_role("button", name="Sync now").click()
    row = tool.get_by_role("row", name=re.compile("Amina Okafor"))
    expect(row.get_by_text("Earned").last).to_be_visible()
    at_rest(tool)
    row.get_by_role("button").first.click()  # fetched by the page's script
    expect(tool.locator("#board #record")).to_be_visible()
    assert tool.locator("img").first.evaluate("picture => picture.naturalWidth > 0")
    tool.get_by_role("radio", name=re.compile("Earned")).click()
    expect(tool.get_by_role("radio", name=re.compile("Earned"))).to_be_checked()
    tool.get_by_role("link", name="Awards").click()
    expect(tool.get_by_role("heading", name="Awards", level=1)).to_be_visible()
    assert re.search(r"/course/[0-9a-f]{32}\.[\w-]{43}/", address_of_frame(page))

    # The learner claims it, and takes a file.
    claim = tool.get_by_role("link", name=re.compile("Claim"))
    for _ in range(
        8
    ):  # the signature may be tried once more, see PATIENCE; a page that was opened before stays as it is
        tool = enter(page, demo, "canvas", "student", "Amina Okafor")
        expect(tool.get_by_role("heading", level=1).first).to_be_visible()
        claim = tool.get_by_role("link", name=re.compile("Claim"))
        if claim.count():
            break
        page.wait_for_timeout(10_000)
    claim.first.click()
    tool.get_by_label(re.compile("public page", re.I)).check()
    tool.get_by_role("button", name=re.compile("Claim")).click()
    expect(tool.get_by_role("heading", name="Files to keep and to send")).to_be_visible()
    with page.expect_download() as download:
        tool.get_by_role("link", name="JSON").click()
    assert "credentialSubject" in json.loads(Path(download.value.path()).read_text())
    assert loud == [] and without_cookies.cookies() == []


def test_C14_a_browser_that_takes_partitioned_cookies_carries_nothing_in_addresses(
    demo: Demo, blocking: BrowserContext
) -> None:
    page = blocking.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tool = enter(page, demo, "canvas", "instructor")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    assert re.search(r"/course/[0-9a-f]{32}/$", address_of_frame(page))
    assert sum("/lti/login" in url for url in asked) == 2  # it was asked once whether it takes a cookie
    asked.clear()
    expect(enter(page, demo, "canvas", "instructor").get_by_role("heading", level=1)).to_be_visible()
    assert sum("/lti/login" in url for url in asked) == 1


@pytest.fixture
def impostor(demo: Demo) -> Iterator[str]:
    """A page that is not the platform, with the tool in a frame and, beside it, a frame of the platform's frame's name.

    It writes down all it hears, and answers whatever it is asked."""
    app = Flask(__name__)
    platform = next(p for p in json.loads(demo.command("platforms", "list", "--json")) if p["product"] == "canvas")
    asked = {
        "iss": platform["issuer"],
        "client_id": platform["client_id"],
        "login_hint": "1",
        "target_link_uri": f"{demo.tool}/lti/launch",
        "lti_message_hint": "x",
        "lti_storage_target": "post_message_forwarding",
    }

    @app.get("/")
    def outer() -> str:
        fields = "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in asked.items())
        return f"""<iframe name="post_message_forwarding" src="/listens"></iframe>
            <iframe name="tool" width="700" height="600"></iframe>
            <form method="post" action="{demo.tool}/lti/login" target="tool">{fields}</form>
            <script>const heard = []; setTimeout(() => document.forms[0].submit(), 300);
            addEventListener("message", (event) => heard.push(event.data));
            setInterval(() => frames.tool.postMessage({{subject: "lti.put_data.response", message_id: "1"}}, "*"), 200);
            </script>"""

    @app.get("/listens")
    def listens() -> str:
        return """<script>window.heard = []; addEventListener("message", (event) => { heard.push(event.data);
            event.source.postMessage({...event.data, subject: event.data.subject + ".response"}, "*"); });</script>"""

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://impostor.localhost:{server.server_port}/"
    server.shutdown()


def test_C17_a_frame_that_is_not_the_platforms_hears_nothing_and_its_answers_count_for_nothing(
    impostor: str, without_cookies: BrowserContext
) -> None:
    page = without_cookies.new_page()
    page.goto(impostor)
    tool = page.frame_locator("iframe[name=tool]")
    expect(tool.get_by_text("Opening Badges")).to_be_visible()
    expect(tool.get_by_role("link", name=NEW_WINDOW)).to_be_visible()  # it waited, and gave up
    listener = page.frame(name="post_message_forwarding")
    assert listener is not None and listener.evaluate("heard") == []
    subjects = page.evaluate("heard.map((message) => message.subject)")
    assert set(subjects) <= {"lti.frameResize"}


# -- a new window -------------------------------------------------------------------------------------------------


def test_C15_where_neither_works_a_new_window_is_offered_and_works(
    demo: Demo, first_party_only: BrowserContext
) -> None:
    page = first_party_only.new_page()
    tool = enter(page, demo, "moodle", "instructor")
    link = tool.get_by_role("link", name=NEW_WINDOW)
    expect(link).to_be_visible()
    shot(page, "new-window")
    with page.expect_popup() as opened:
        link.click()
    window = opened.value
    expect(window.get_by_role("heading", name="Badges in this course")).to_be_visible()
    assert re.search(r"/course/[0-9a-f]{32}/$", window.url)
    window.reload()
    expect(window.get_by_role("heading", name="Badges in this course")).to_be_visible()
    expect(link).to_be_hidden()  # a second click would only meet the LMS's error page
    expect(tool.get_by_text("Badges is in its own window now")).to_be_visible()
    shot(page, "new-window-opened")


def test_C15_a_browser_that_keeps_no_cookie_even_in_a_window_is_told_what_to_do(
    demo: Demo, without_cookies: BrowserContext
) -> None:
    page = without_cookies.new_page()
    tool = enter(page, demo, "moodle", "instructor")
    with page.expect_popup() as opened:
        tool.get_by_role("link", name=NEW_WINDOW).click()
    expect(opened.value.get_by_text("allow cookies for it")).to_be_visible()
    shot(opened.value, "no-cookies-at-all")


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_C15_without_a_script_the_page_is_clear_and_offers_the_new_window(
    demo: Demo, without_script: BrowserContext, mood: str
) -> None:
    page = without_script.new_page()
    tool = enter(page, demo, mood, "instructor")
    tool.get_by_role("button", name="Continue").click()
    expect(tool.get_by_role("link", name=NEW_WINDOW)).to_be_visible()
    expect(tool.get_by_text("Opening Badges")).to_be_hidden()
    expect(tool.get_by_text("in its own window now")).to_be_hidden()


# -- tabs and people ----------------------------------------------------------------------------------------------


def test_C10_C18_tabs_of_one_person_live_side_by_side_until_somebody_else_launches(
    demo: Demo, blocking: BrowserContext
) -> None:
    first, second = blocking.new_page(), blocking.new_page()
    for page in (first, second):
        enter_as(page, demo, "moodle", "instructor")
    tools = [page.frame_locator("iframe[name=tool]") for page in (first, second)]
    for _ in range(2):
        for page, tool in zip((first, second), tools, strict=True):
            expect(tool.get_by_role("heading", name="Badges in this course")).to_be_visible()
            page.frame(name="tool").evaluate("location.reload()")  # type: ignore[union-attr]
    third = blocking.new_page()
    learner = enter(third, demo, "moodle", "student", "Amina Okafor")
    expect(learner.get_by_role("heading", name="My badges")).to_be_visible()
    for page, tool in zip((first, second), tools, strict=True):
        page.frame(name="tool").evaluate("location.reload()")  # type: ignore[union-attr]
        expect(tool.get_by_text("This page has ended")).to_be_visible()
    shot(second, "ended")
    third.frame(name="tool").evaluate("location.reload()")  # type: ignore[union-attr]
    expect(learner.get_by_role("heading", name="My badges")).to_be_visible()


# -- the frame's height -------------------------------------------------------------------------------------------

HEIGHT = "() => Math.ceil(document.body.getBoundingClientRect().height)"


def heights(page: Page) -> tuple[int, int]:
    """Return how tall the frame is, and how tall its page is."""
    frame = page.frame(name="tool")
    assert frame is not None
    shown: Any = page.locator("iframe[name=tool]").evaluate("frame => frame.clientHeight")
    return int(shown), int(frame.evaluate(HEIGHT))


def test_the_frame_is_as_tall_as_its_page_where_the_platform_listens(demo: Demo, blocking: BrowserContext) -> None:
    page = blocking.new_page()
    tool = enter(page, demo, "canvas", "instructor")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()

    def fits() -> bool:
        shown, wanted = heights(page)
        return 0 <= shown - wanted <= 8 and shown != 900

    def becomes(done: Any) -> None:
        for _ in range(100):
            if done():
                return
            page.wait_for_timeout(100)
        raise AssertionError(heights(page))

    becomes(fits)
    before = heights(page)[0]
    page.set_viewport_size({"width": 360, "height": 800})  # the same page is taller on a phone
    becomes(lambda: fits() and heights(page)[0] > before)


def test_the_frame_stays_as_it_is_where_the_platform_does_not_listen(demo: Demo, blocking: BrowserContext) -> None:
    page = blocking.new_page()
    tool = enter(page, demo, "moodle", "instructor")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_timeout(500)
    assert heights(page)[0] == 900
