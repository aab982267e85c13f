"""From the LMS's frame to the administrator's pages: a window of its own, with third-party cookies blocked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Demo
from tests.browser.test_story import enter_as


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_an_administrator_binds_her_account_and_comes_in_through_the_lms(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, mood: str
) -> None:
    # She signs in with an operator's address, in a browser of her own, and asks for a code.
    name = f"Vera {mood}"
    admin = stranger.new_page()
    admin.goto(demo.command("admin", "invite").strip())
    admin.get_by_label("Your name").fill(name)
    admin.get_by_role("button", name="Sign in").click()
    admin.get_by_role("link", name="Administrators").click()
    admin.get_by_role("button", name="Bind my LMS account").click()
    code = admin.locator(".bigcode").inner_text().strip()

    # She types it inside the LMS, where she is an instructor.
    lms = blocking.new_page()
    enter_as(lms, demo, mood, "instructor")
    tool = lms.frame_locator("iframe[name=tool]")
    tool.get_by_role("link", name="Administration").click()
    tool.get_by_label("Code").fill(code.lower())
    tool.get_by_role("button", name="Bind this account").click()
    expect(tool.get_by_text("The code was right.")).to_be_visible()
    admin.get_by_role("link", name="Look again").click()
    admin.get_by_role("button", name="Yes, bind it").click()
    expect(admin.get_by_role("status").get_by_text("Your LMS account is bound")).to_be_visible()

    # From now on the LMS lets her in, in a window of its own.
    enter_as(lms, demo, mood, "instructor")
    tool.get_by_role("link", name="Administration").click()
    tool.get_by_role("button", name="Make a sign-in address").click()
    with lms.expect_popup() as opened:
        tool.get_by_role("link", name="Open the administrator’s pages").click()
    window = opened.value
    expect(window.get_by_text(f"signs in {name}, once")).to_be_visible()
    window.get_by_role("button", name="Sign in").click()
    expect(window).to_have_url(re.compile(f"^{demo.tool}/admin/"))
    window.get_by_role("button", name=re.compile("Sign out")).click()
    expect(window.get_by_role("heading", name="You are signed out")).to_be_visible()
    window.goto(f"{demo.tool}/admin/keys")
    expect(window.get_by_role("heading", name="You are not signed in")).to_be_visible()
