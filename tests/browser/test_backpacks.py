"""A learner lets a backpack fetch her badges, and an instructor begins a badge from a framework file, in Chromium.

The course is in a frame, whose cookies no other window gets: the code is what joins the two."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.backpack import EVERYTHING, metadata
from tests.browser.conftest import PATIENCE, Demo
from tests.browser.test_awards import WIDTHS, looked_at
from tests.browser.test_story import enter_as
from tests.case_files import as_bytes, package

SHOTS = os.environ.get("SHOTS")
VERIFIER = "a" * 64
SITE = "http://localhost:4567"
expect.set_options(timeout=PATIENCE)


def seen(page: Page, name: str) -> None:
    """Find nothing with axe in a page of its own window, and no sideways scrolling at any width."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} scrolls sideways by {wide} at {width}"
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)
    found = Axe().run(page).response["violations"]
    assert found == [], json.dumps(found, indent=1)[:3000]


def registered(demo: Demo) -> OAuth2Session:
    told = requests.post(f"{demo.tool}/oauth/register", json=metadata(SITE), timeout=20).json()
    return OAuth2Session(
        told["client_id"],
        told["client_secret"],
        token_endpoint_auth_method="client_secret_basic",
        scope=EVERYTHING,
        redirect_uri=told["redirect_uris"][0],
        code_challenge_method="S256",
    )


def enter_as_a_student(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.lms}/")
    name = page.locator("section.moodle").get_by_label("Student").locator("option").nth(1).inner_text()
    enter_as(page, demo, "moodle", "student", name)


def test_a_learner_types_the_backpack_s_code_in_her_course_and_its_window_goes_on(
    demo: Demo, blocking: BrowserContext
) -> None:
    blocking.route(f"{SITE}/**", lambda route: route.fulfill(body="<h1>The backpack</h1>", content_type="text/html"))
    course, window = blocking.new_page(), blocking.new_page()
    backpack = registered(demo)
    address, state = backpack.create_authorization_url(f"{demo.tool}/oauth/authorize", code_verifier=VERIFIER)
    window.goto(address)
    expect(window.get_by_role("heading", name="Say yes in your course")).to_be_visible()
    seen(window, "backpack-asks")
    code = window.locator(".bigcode code").inner_text()

    enter_as_a_student(course, demo)
    tool = course.frame_locator("iframe[name=tool]")
    tool.get_by_role("link", name="Let a backpack fetch my badges").click()
    looked_at(course, "backpacks-none", "Let a backpack fetch my badges")
    tool.get_by_label("Code").fill("ABCD-EFGH")
    tool.get_by_role("button", name="See what it asks").click()
    expect(tool.get_by_role("alert")).to_contain_text("This code is not right")
    looked_at(course, "backpacks-wrong-code")
    tool.get_by_label("Code").fill(code)
    tool.get_by_role("button", name="See what it asks").click()
    looked_at(course, "backpack-consent", "May this backpack fetch your badges?")
    tool.get_by_role("button", name="Allow it", exact=True).click()
    looked_at(course, "backpack-allowed", "You have allowed it")

    expect(window.get_by_role("heading", name="You have allowed it")).to_be_visible()  # by itself
    seen(window, "backpack-goes-on")
    window.get_by_role("button", name="Back to localhost").click()
    expect(window.get_by_role("heading", name="The backpack")).to_be_visible()
    told = parse_qs(urlsplit(window.url).query)
    assert told["state"] == [state]
    tokens = backpack.fetch_token(
        f"{demo.tool}/oauth/token", authorization_response=window.url, code_verifier=VERIFIER, state=state
    )
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    fetched = requests.get(f"{demo.tool}/ims/ob/v3p0/credentials", headers=headers, timeout=20)
    assert fetched.json() == {"credential": [], "compactJwsString": []}

    tool.get_by_role("link", name="See what is connected").click()
    expect(tool.get_by_text("A Backpack")).to_be_visible()
    looked_at(course, "backpacks-connected", "Connected")
    tool.get_by_role("button", name="End it: A Backpack").click()
    expect(tool.get_by_text("No backpack may fetch your badges.")).to_be_visible()
    assert requests.get(fetched.url, headers=headers, timeout=20).status_code == 401

    window.goto(f"{demo.tool}/oauth/about")
    seen(window, "backpack-about")
    window.goto(f"{address}&scope=x")
    seen(window, "backpack-refused")


def test_where_badges_is_open_in_a_window_of_its_own_she_answers_in_the_backpack_s(
    demo: Demo, first_party_only: BrowserContext
) -> None:
    course = first_party_only.new_page()
    enter_as_a_student(course, demo)
    tool = course.frame_locator("iframe[name=tool]")
    with course.expect_popup() as opened:
        tool.get_by_role("link", name="Open Badges in a new window").click()
    expect(opened.value.get_by_role("link", name="Let a backpack fetch my badges")).to_be_visible()
    window = first_party_only.new_page()
    address, _state = registered(demo).create_authorization_url(f"{demo.tool}/oauth/authorize", code_verifier=VERIFIER)
    window.goto(address)
    expect(window.get_by_role("heading", name="May it?")).to_be_visible()
    seen(window, "backpack-asks-here")


def test_an_instructor_begins_a_badge_with_a_rubric_of_a_framework(demo: Demo, blocking: BrowserContext) -> None:
    page = blocking.new_page()
    tool = page.frame_locator("iframe[name=tool]")
    enter_as(page, demo, "canvas", "instructor")
    tool.get_by_label("From a framework file").set_input_files(
        {"name": "speaking.json", "mimeType": "application/json", "buffer": b"{}"}
    )
    tool.get_by_role("button", name="Look into it").click()
    expect(tool.get_by_role("alert")).to_contain_text("This is not a CASE package")
    looked_at(page, "framework-refused")
    tool.get_by_label("From a framework file").set_input_files(
        {"name": "speaking.json", "mimeType": "application/json", "buffer": as_bytes(package())}
    )
    tool.get_by_role("button", name="Look into it").click()
    looked_at(page, "framework", "Speaking and Listening")
    tool.get_by_role("button", name="Begin with this rubric").click()
    expect(tool.get_by_label("Name", exact=True)).to_have_value("Oral communication")
    looked_at(page, "framework-draft")
