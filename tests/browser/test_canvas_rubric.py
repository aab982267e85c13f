"""Canvas' own rubric, from the administrator's key to the award, by clicks alone, third-party cookies blocked."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Demo, open_badge
from tests.browser.test_marking import LIBRARY, contexts
from tests.browser.test_placing import no_barriers
from tests.browser.test_registering import sign_in
from tests.browser.test_story import SHOTS, Story, enter_as

WIDTHS = (360, 768, 1100)


def shots(story: Story, name: str, page: Page | None = None) -> None:
    """Take a picture at each width that matters, where pictures are asked for."""
    for width in WIDTHS if SHOTS else ():
        (page or story.page).set_viewport_size({"width": width, "height": 900})
        story.shot(f"{name}-{width}", page)


def put_badge(demo: Demo, tmp_path: Path) -> None:
    """Bring the library's badge into the course, its rows graded in Canvas' own rubric."""
    file = tmp_path / "badge.toml"
    file.write_text(LIBRARY.read_text().replace('source = "column"', 'source = "canvas-rubric"'))
    platforms = json.loads(demo.command("platforms", "list", "--json"))
    platform = next(each["id"] for each in platforms if each["product"] == "canvas")
    context = next(c["context"] for c in contexts(demo) if c["platform"] == platform and c["label"] == "EMP101")
    demo.command("badges", "import", str(file), "--platform", str(platform), "--context", context)


def enter_key(story: Story, demo: Demo, browser: BrowserContext) -> None:
    """Copy the API key from the demo's Canvas into the platform's page."""
    canvas = story.page
    enter_as(canvas, demo, "canvas", "administrator")
    canvas.get_by_role("link", name="API keys").click()
    address, client_id, secret = canvas.locator("dl code").all_inner_texts()[:3]
    shots(story, "canvas-api-keys")
    admin = sign_in(demo, browser)
    admin.get_by_role("link", name="Platforms", exact=True).click()
    admin.get_by_role("link", name=re.compile("Demo Canvas")).click()
    admin.get_by_role("link", name="Rubrics and course grades").click()
    admin.get_by_label("Address of your Canvas").fill(address)
    admin.get_by_label("Client ID").fill(client_id)
    admin.get_by_label("Key (secret)").fill(secret)
    admin.get_by_role("button", name="Save the key").click()
    expect(admin.get_by_text("The key is saved.")).to_be_visible()
    expect(admin.get_by_text(secret)).to_have_count(0)
    shots(story, "admin-connections", admin)


def test_a_rubric_marked_in_Canvas_becomes_a_badge(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, tmp_path: Path
) -> None:
    story = Story(demo, blocking, "canvas")
    page, tool = story.page, story.tool
    enter_key(story, demo, stranger)
    enter_as(page, demo, "canvas", "instructor")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    put_badge(demo, tmp_path)
    page.reload()
    tool.get_by_role("link", name="Oral Communication", exact=True).click()
    tool.get_by_role("link", name="Set-up", exact=True).click()
    expect(tool.get_by_text("not connected to Canvas")).to_be_visible()
    tool.get_by_role("link", name="Sources").click()
    shots(story, "sources-not-connected")
    no_barriers(story, "Sources")

    # Connect, in a window of Canvas' own.
    tool.get_by_role("button", name="Connect this course").click()
    shots(story, "sources-consent")
    with page.expect_popup() as opened:
        tool.get_by_role("link", name="Open Canvas in a new window").click()
    window = opened.value
    shots(story, "canvas-consent", window)
    window.get_by_role("button", name="Authorize").click()
    expect(window.get_by_role("heading", name="Connected")).to_be_visible()
    shots(story, "connected", window)
    window.close()

    # Match: what Canvas has was looked at meanwhile; it is proposed, and confirmed.
    tool.get_by_role("link", name="I have agreed there").click()
    expect(tool.get_by_text("proposed; it counts once you confirm")).to_have_count(4)
    shots(story, "sources-proposed")
    no_barriers(story, "Sources")
    tool.get_by_role("button", name="Confirm these").click()
    expect(tool.get_by_role("heading", name="4 rows, 4 matched")).to_be_visible()
    tool.get_by_role("link", name="Set-up", exact=True).click()
    shots(story, "plan")
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()

    # Grade the rubric in Canvas.
    page.get_by_role("link", name="Rubrics").click()
    page.get_by_role("link", name="Presentation").click()
    first = page.locator("tbody tr").first
    learner = first.get_by_role("rowheader").inner_text().strip()
    for row in first.get_by_role("combobox").all():
        row.select_option("4")
    page.get_by_role("button", name="Save rubric").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    shots(story, "canvas-rubric")

    # Sync, and see the award and where it came from.
    enter_as(page, demo, "canvas", "instructor")
    open_badge(tool, "Oral Communication")
    tool.get_by_role("button", name="Sync now").click()
    earned = tool.get_by_role("row").filter(has_text="Earned")
    expect(earned).to_have_count(1)
    expect(earned).to_contain_text(learner)
    earned.get_by_role("button", name=re.compile("Advanced")).first.click()
    expect(tool.get_by_text("Canvas rubric, Presentation: Adapts the message")).to_be_visible()
    shots(story, "record")
