"""The awards page as an instructor uses it: a file with bad lines, several at once, held, and found in a large list."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Frame, Page, expect

from tests.browser.conftest import Demo, at_rest, steadily
from tests.browser.test_story import enter_as

SHOTS = os.environ.get("SHOTS")  # a folder: keep a picture of every page at three widths
WIDTHS = (360, 768, 1100)


def frame_of(page: Page) -> Frame:
    found = page.frame(name="tool")
    assert found is not None
    return found


def looked_at(page: Page, name: str, heading: str = "") -> None:
    """Find nothing with axe in the tool's page, and no sideways scrolling at any width; keep pictures if asked.

    `heading` is the one of a page that a click has just led to."""
    steadily(lambda: _look(page, name, heading))


def _look(page: Page, name: str, heading: str) -> None:
    if heading:
        expect(page.frame_locator("iframe[name=tool]").get_by_role("heading", name=heading)).to_be_visible()
    frame = frame_of(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        frame.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # laid out
        wide = frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} scrolls sideways by {wide} at {width}"
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)
    found = Axe().run(frame).response["violations"]  # type: ignore[arg-type]  # a frame evaluates as a page does
    assert found == [], json.dumps(found, indent=1)[:3000]


@pytest.fixture
def desk(demo: Demo, blocking: BrowserContext) -> Page:
    return blocking.new_page()


def test_an_instructor_gives_from_a_file_holds_and_withdraws(demo: Demo, desk: Page) -> None:
    page = desk
    tool = page.frame_locator("iframe[name=tool]")
    enter_as(page, demo, "canvas", "instructor")
    tool.get_by_role("button", name="Use Empathy").click()
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    tool.get_by_role("link", name="Progress").click()
    tool.get_by_role("button", name="Sync now").click()
    expect(tool.get_by_role("row").nth(3)).to_be_visible()
    at_rest(tool)
    names = tool.locator("tbody .who").all_inner_texts()
    looked_at(page, "matrix")

    # The filter finds a learner of the whole class, and a section; nobody's name is in the address.
    tool.get_by_label("Find a learner").fill(names[2][:6].lower())
    expect(tool.locator("tbody tr")).to_have_count(1)
    assert names[2][:6].lower() not in frame_of(page).url.lower()
    tool.get_by_label("Find a learner").fill("")
    expect(tool.locator("tbody tr")).to_have_count(len(names))
    tool.get_by_label("Section or group").select_option(label="Monday seminar")
    expect(tool.locator("tbody tr")).not_to_have_count(len(names))
    tool.locator("tbody .cell").first.click()
    expect(tool.get_by_role("heading", name="Where it came from")).to_be_visible()
    looked_at(page, "record")

    # As a student.
    tool.get_by_role("link", name="See it as a student").click()
    expect(tool.get_by_text("as a student would")).to_be_visible()
    looked_at(page, "as-student-badge")
    tool.get_by_role("link", name="My badges", exact=True).last.click()
    looked_at(page, "as-student-home", "Badges in this course")
    tool.get_by_role("link", name="Claiming").click()
    expect(tool.get_by_role("button", name="Claim the badge")).to_be_disabled()
    looked_at(page, "as-student-claim")
    tool.get_by_role("link", name="Back to your pages").click()

    # A file with bad lines.
    tool.get_by_role("link", name="Awards").click()
    looked_at(page, "awards-empty", "Nobody has earned it yet")
    tool.get_by_role("link", name="Give from a file").click()
    looked_at(page, "award-file", "Give the badge from a file")
    lines = ["name;note", f"{names[0]};Gave the keynote", f"{names[0]};again", "Nobody Here;x", f"{names[1]};=1+1",
             f"{names[2]};", f"{names[3]};Moderated"]  # fmt: skip
    content = "\r\n".join(lines).encode("utf-16")
    chosen = {"name": "lïst.csv", "mimeType": "text/csv", "buffer": content}
    tool.get_by_label("File", exact=True).set_input_files(files=[chosen])
    tool.get_by_role("button", name="Look at what it would do").click()
    expect(tool.get_by_text("2 learners get the badge. 4 lines are left out.")).to_be_visible()
    expect(tool.get_by_role("row", name=re.compile("Line 3.*stands in line 2 already"))).to_be_visible()
    expect(tool.get_by_role("row", name=re.compile("Line 4.*Nobody in this course"))).to_be_visible()
    expect(tool.get_by_role("row", name=re.compile("Line 5.*begins like a formula"))).to_be_visible()
    expect(tool.get_by_role("row", name=re.compile("Line 6.*no note"))).to_be_visible()
    looked_at(page, "award-file-lines")
    tool.get_by_role("button", name="Give it to 2 learners").click()
    expect(tool.get_by_text("2 learners have the badge now.")).to_be_visible()
    looked_at(page, "award-file-given")
    tool.get_by_role("link", name="See the awards").click()

    # By hand, with levels.
    tool.get_by_role("link", name="Give by hand").click()
    tool.get_by_label("Learner", exact=True).select_option(label=names[4])
    tool.get_by_role("button", name="Next").click()
    expect(tool.get_by_role("heading", name="What the badge says about")).to_be_visible()
    tool.get_by_label("As I choose them here").check()
    tool.get_by_label("Evidence note").fill("Mediated a dispute, seen by two teachers.")
    looked_at(page, "give")
    tool.get_by_role("button", name=re.compile("^Give the badge to")).click()
    expect(tool.get_by_text("has the badge now.")).to_be_visible()
    looked_at(page, "awards")

    # Held, let go, issued again.
    tool.get_by_role("link", name=f"Hold … {names[4]}").click()
    tool.get_by_label("Reason").fill("Until the ceremony.")
    tool.get_by_label("Until a day and time").check()
    looked_at(page, "hold", "Hold the award of")
    tool.get_by_label("Until I let it go").check()
    tool.get_by_role("button", name="Hold it").click()
    expect(tool.get_by_text("Held until you let it go: Until the ceremony.")).to_be_visible()
    looked_at(page, "awards-held")
    tool.get_by_role("button", name=re.compile(f"^Issue it now.*{names[4]}")).click()
    tool.get_by_role("link", name=f"Issue again … {names[4]}").click()
    looked_at(page, "reissue", "Issue the badge of")
    tool.get_by_label("What was corrected").fill("The name.")
    tool.get_by_role("button", name="Issue it again").click()
    expect(tool.get_by_text("is replaced by a new one")).to_be_visible()

    # Several are withdrawn for one reason, by keyboard.
    for name in (names[0], names[3]):
        box = tool.get_by_label(f"Tick {name}")
        box.focus()
        page.keyboard.press("Space")
    tool.get_by_role("button", name="Withdraw those ticked …").press("Enter")
    looked_at(page, "revoke-many", "Withdraw 2 badges?")
    tool.get_by_label("Reason").fill("The wrong list.")
    tool.get_by_role("button", name="Withdraw the badges").press("Enter")
    expect(tool.get_by_text("2 awards are withdrawn.")).to_be_visible()
    listed = json.loads(demo.command("awards", "list", "--json"))
    assert sorted(each["status"] for each in listed) == ["issued", "revoked", "revoked"]
