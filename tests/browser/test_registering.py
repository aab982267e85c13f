"""An administrator registers the tool by an invite link and launches it, in both moods, by nothing but clicks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Demo
from tests.browser.test_story import enter_as


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_an_administrator_registers_by_invite_and_an_instructor_launches(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, mood: str
) -> None:
    # In Badges: the invite link.
    badges = sign_in(demo, stranger)
    badges.get_by_role("link", name="Add a platform").click()
    badges.get_by_role("button", name="Make an invite link").click()
    address = badges.locator("#invite-address").inner_text()

    # In the LMS: paste it, read what is next, and let the window close itself.
    lms = blocking.new_page()
    enter_as(lms, demo, mood, "administrator")
    lms.get_by_role("link", name="Tools").click()
    before = lms.get_by_role("article").count()
    lms.get_by_label({"canvas": "Dynamic Registration URL", "moodle": "Tool URL"}[mood]).first.fill(address)
    lms.get_by_role("button", name={"canvas": "Continue", "moodle": "Add LTI Advantage"}[mood]).click()
    window = lms.frame_locator("iframe[name=registration]")
    expect(window.get_by_role("heading", name=re.compile("Badges is registered with"))).to_be_visible()
    client_id = window.locator("code").inner_text()
    window.get_by_role("button", name="Done, close this window").click()
    expect(lms.get_by_role("article")).to_have_count(before + 1)

    # What that page said to click in the LMS.
    def press(name: str) -> None:
        lms.get_by_role("article").filter(has_text=client_id).get_by_role("button", name=name).click()

    if mood == "canvas":
        press("Switch State to On")
        press("+ App By Client ID")
    else:
        press("Activate")
        press("Show in activity chooser")

    # Not before it is approved in Badges.
    enter_as(lms, demo, mood, "instructor")
    lms.get_by_role("link", name=re.compile(client_id)).click()
    tool = lms.frame_locator("iframe[name=tool]")
    expect(tool.get_by_text("still waiting to be approved")).to_be_visible()
    badges.get_by_role("link", name="Platforms", exact=True).click()
    badges.get_by_role("link", name=re.compile("waits for approval")).last.click()
    badges.get_by_role("button", name="Approve this platform").click()
    expect(badges.get_by_text("may launch from now on")).to_be_visible()
    row = badges.get_by_role("listitem").filter(has_text="First launch seen").last
    expect(row).to_contain_text("waiting")

    # The launch, and the line that turns green by itself.
    lms.reload()
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    expect(tool.get_by_text("EMP101").first).to_be_visible()
    badges.get_by_role("button", name="Check now").click()
    expect(row).to_contain_text("works")
    expect(badges.get_by_role("listitem").filter(has_text="Roster readable").last).to_contain_text("works")


def sign_in(demo: Demo, browser: BrowserContext) -> Page:
    """Open a one-time address of an administrator, as the operator's command prints it."""
    page = browser.new_page()
    page.goto(one_time_address(demo))
    page.get_by_label("Your name").fill("Vera Lindqvist")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Administration")).to_be_visible()
    return page


def one_time_address(demo: Demo) -> str:
    from datetime import UTC, datetime

    from lti_tool.services import administrators, audit
    from lti_tool.services.tool import open_tool
    from lti_tool.settings import load_settings

    tool = open_tool(load_settings(demo.environ))
    try:
        return administrators.invite(tool, actor=audit.OPERATOR, now=datetime.now(UTC))
    finally:
        tool.db.engine.dispose()
