"""What the browser of these tests really blocks: without this, "third-party cookies blocked" would be only a word."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask, Response, request
from playwright.sync_api import BrowserContext, expect
from werkzeug.serving import make_server

from tests.browser.conftest import Demo
from tests.browser.test_story import enter_as


@pytest.fixture
def port() -> Iterator[int]:
    app = Flask(__name__)

    @app.get("/outer")
    def outer() -> str:
        here = request.host.rpartition(":")[2]
        return f'<iframe name="inner" src="http://localhost:{here}/set"></iframe>'

    @app.get("/set")
    def set_both() -> Response:
        response = Response('<a href="/seen">go on</a>')
        response.set_cookie("plain", "1", secure=True, samesite="None")
        response.set_cookie("parted", "1", secure=True, samesite="None", partitioned=True)
        return response

    @app.get("/seen")
    def seen() -> str:
        return f"<p>{' '.join(sorted(request.cookies))}</p>"

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_a_frame_of_another_site_gets_back_its_partitioned_cookie_and_no_other(
    blocking: BrowserContext, port: int
) -> None:
    page = blocking.new_page()
    page.goto(f"http://lms.localhost:{port}/outer")
    frame = page.frame_locator("iframe[name=inner]")
    frame.get_by_role("link").click()
    expect(frame.get_by_role("paragraph")).to_have_text("parted")


def test_a_frame_of_another_site_gets_back_no_cookie_where_the_browser_keeps_none(
    without_cookies: BrowserContext, port: int
) -> None:
    page = without_cookies.new_page()
    page.goto(f"http://lms.localhost:{port}/outer")
    frame = page.frame_locator("iframe[name=inner]")
    frame.get_by_role("link").click()
    expect(frame.get_by_role("paragraph")).to_have_text("")


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_C19_the_tool_s_cookies_are_partitioned_and_out_of_a_script_s_reach(
    demo: Demo, blocking: BrowserContext, mood: str
) -> None:
    page = blocking.new_page()
    enter_as(page, demo, mood, "instructor")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_role("heading", level=1)).to_be_visible()
    assert page.frame(name="tool").evaluate("document.cookie") == ""
    cookies = [c for c in blocking.cookies(demo.tool) if c["domain"] == "localhost"]
    assert [c["name"] for c in cookies] == ["browser"]
    assert all(c["httpOnly"] and c["secure"] and c["sameSite"] == "None" for c in cookies)
