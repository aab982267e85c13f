"""A learner lets a backpack fetch her badges, in Chromium: its code, typed in her course, what she allows, its end."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.backpack import Backpack, answer_in
from tests.browser.test_editor import bring_cookies
from tests.browser.test_stacks import is_fit
from tests.classroom import NUMBERS, Classroom, room, shared  # noqa: F401 (fixtures)
from tests.wallet import earned_in


class Welcome(BaseHTTPRequestHandler):
    """The backpack's own page, to which a browser comes back."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A backpack</title><h1>Welcome back</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Welcome)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def backpack(shared: Any, site: str) -> Backpack:  # noqa: F811
    """A registered backpack, told from those of other tests by its name."""
    return Backpack(shared, site=site, client_name=f"Backpack {next(NUMBERS)}")


def windows(browser: Browser, room: Any, **options: bool) -> tuple[Page, Page]:  # noqa: F811
    """Open the window that a backpack has opened, which knows nobody, and her course in a browser of her own."""
    opened = []
    for _ in range(2):
        context = browser.new_context(viewport={"width": 1100, "height": 900}, **options)  # type: ignore[arg-type]
        opened.append(context.new_page())
    bring_cookies(opened[1].context, earned_in(room).learner)
    opened[1].goto(room.learner.home)
    return opened[0], opened[1]


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def shown_code(window: Page) -> str:
    heading(window, "Say yes in your course")
    return window.locator(".bigcode code").inner_text()


def test_a_learner_types_a_backpack_s_code_in_her_course_allows_it_and_ends_it(
    browser: Browser,
    room: Classroom,  # noqa: F811
    backpack: Backpack,
    site: str,
) -> None:
    window, course = windows(browser, room)
    window.goto(backpack.address())
    code = shown_code(window)
    is_fit(window)

    course.get_by_role("link", name="Collect my badges on another site (a backpack)").click()
    course.get_by_label("Code", exact=True).fill("ABCD-EFGH")
    course.keyboard.press("Enter")
    expect(course.get_by_label("Code", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(course.get_by_label("Code", exact=True)).to_have_value("ABCD-EFGH")
    is_fit(course)
    course.get_by_label("Code", exact=True).fill(code.lower())
    course.keyboard.press("Enter")
    heading(course, "May this backpack fetch your badges?")
    expect(course.get_by_text(backpack.name)).to_be_visible()
    expect(course.get_by_text(site.removeprefix("http://").partition(":")[0], exact=False).first).to_be_visible()
    expect(course.get_by_text("It gets 1 badge now.")).to_be_visible()
    is_fit(course)
    course.get_by_label(re.compile("my name: ")).check()
    course.get_by_role("button", name="Allow it", exact=True).click()
    heading(course, "You have allowed it")

    heading(window, "You have allowed it")  # by itself: the window has waited for it
    is_fit(window)
    window.get_by_role("button", name="Back to localhost").click()
    heading(window, "Welcome back")
    backpack.fetch_tokens(window.url)
    (credential,) = backpack.get("credentials").json()["credential"]
    assert credential["id"] == room.award()["credential_url"]
    profile = backpack.get("profile").json()
    assert profile["name"] and "email" not in profile

    course.get_by_role("link", name="See what is connected").click()
    expect(course.get_by_text("your profile, with your name")).to_be_visible()
    is_fit(course)
    course.get_by_role("button", name=re.compile(f"End it.*{backpack.name}")).click()
    expect(course.get_by_text("It may not fetch your badges any more.")).to_be_visible()
    expect(course.get_by_text("No backpack may fetch your badges.")).to_be_visible()
    assert backpack.get("credentials").status_code == 401
    for page in (window, course):
        page.context.close()


def test_without_javascript_a_learner_says_no_and_the_backpack_gets_nothing(
    browser: Browser,
    room: Classroom,  # noqa: F811
    backpack: Backpack,
) -> None:
    window, course = windows(browser, room, java_script_enabled=False)
    window.goto(backpack.address())
    code = shown_code(window)
    window.get_by_role("button", name="I have answered: go on").click()
    expect(window.get_by_role("alert")).to_be_visible()  # nobody has answered yet
    assert shown_code(window) == code

    course.get_by_role("link", name="Collect my badges on another site (a backpack)").click()
    course.get_by_label("Code", exact=True).fill(code)
    course.get_by_role("button", name="See what it asks").click()
    course.get_by_role("button", name="Do not allow it").click()
    heading(course, "You have not allowed it")
    window.get_by_role("button", name="I have answered: go on").click()
    heading(window, "Welcome back")
    told = answer_in(window.url)
    assert (told["error"], told["state"]) == ("access_denied", backpack.state) and "code" not in told
    for page in (window, course):
        page.context.close()
