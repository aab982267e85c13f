"""A change of a published badge as an instructor clicks it, and a course's badges taken along by hand."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.browser.conftest import Demo, press_below, save_grades, steadily
from tests.browser.test_story import COURSES, Story, enter_as, settled

BADGE = "Empathy"
WIDTHS = (1100, 768, 360)


def shots(story: Story, name: str) -> None:
    """Take a picture at each width; nothing may scroll sideways at any."""
    for width in WIDTHS:
        story.page.set_viewport_size({"width": width, "height": 900})
        frame = story.page.frame(name="tool")
        assert frame is not None
        assert steadily(partial(frame.evaluate, "document.documentElement.scrollWidth <= innerWidth")), (name, width)
        story.shot(f"{name}-{width}")
    story.page.set_viewport_size({"width": 1100, "height": 900})


def no_barrier(story: Story) -> None:
    """Let axe look at the tool's page for what WCAG 2.2 AA asks."""
    frame = story.page.frame(name="tool")
    assert frame is not None
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = steadily(lambda: Axe().run(frame, options={"runOnly": rules}))
    assert found.violations_count == 0, found.generate_report()


def grades(page: Page, story: Story, mood: str, rows: list[list[str]]) -> None:
    page.goto(f"{story.root}/course/{COURSES[mood]}/gradebook")
    for number, points in enumerate(rows):
        boxes = page.locator("tbody tr").nth(number).get_by_role("textbox")
        for place, value in enumerate(points):
            boxes.nth(boxes.count() - len(points) + place).fill(value)
    save_grades(page)


def open_badge(page: Page, demo: Demo, mood: str, tool: FrameLocator) -> None:
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("link", name=BADGE, exact=True).click()


def test_G15_a_change_of_a_published_badge_is_looked_at_before_it_is_made(
    demo: Demo, blocking: BrowserContext, tmp_path: Path
) -> None:
    mood = "canvas"
    story = Story(demo, blocking, mood)
    page, tool = story.page, story.tool
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("button", name=f"Use {BADGE}").click()
    expect(tool.get_by_role("heading", name="Before you publish")).to_be_visible()
    expect(
        tool.get_by_text("Do not count this assignment towards the final grade").locator("visible=true").first
    ).to_be_visible()
    expect(tool.get_by_text("one column instead of 4")).to_be_visible()
    shots(story, "first")
    no_barrier(story)
    tool.get_by_role("button", name=re.compile("^Publish and make 4 columns")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()
    grades(page, story, mood, [["4", "4", "4", "4"], ["4", "4", "4", "2"], ["4", "4", "2", "2"]])
    open_badge(page, demo, mood, tool)
    tool.get_by_role("button", name="Sync now").click()
    settled(story)
    expect(tool.get_by_text("Earned").first).to_be_visible()

    # A changed definition comes as a file: the last row asks for less, a new one is there.
    definition = demo.command("badges", "export", "--platform", "1", "--context", _context(demo), "--to", str(tmp_path))
    assert definition is not None
    changed = (tmp_path / "empathy.toml").read_text()
    head, last = changed.rsplit('required_level = "', 1)
    lowered = head + 'required_level = "Developing' + last[last.index('"') :]
    (tmp_path / "changed.toml").write_text(lowered)
    enter_as(page, demo, mood, "instructor")
    tool.get_by_label("From a file").set_input_files(str(tmp_path / "changed.toml"))
    tool.get_by_role("button", name="Make a draft").click()
    expect(tool.get_by_text("Nothing has changed yet: version 1 stays in force")).to_be_visible()
    expect(tool.get_by_text("Developing is required instead of Proficient.")).to_be_visible()
    expect(tool.get_by_text("+1")).to_be_visible()
    expect(tool.get_by_text("Nobody loses anything.")).to_be_visible()
    shots(story, "change")
    no_barrier(story)
    tool.get_by_role("link", name="For new learners only").click()
    expect(tool.get_by_text("3 learners have begun and stay under the version in force")).to_be_visible()
    expect(tool.get_by_text("Nobody earns it by this.")).to_be_visible()
    shots(story, "change-new")
    tool.get_by_role("link", name="For everybody from now on").click()
    expect(tool.get_by_text("Nobody earns it by this.")).to_have_count(0)  # the page before has the button, too
    settled(story)
    tool.get_by_role("button", name="Publish version 2").click()
    expect(tool.get_by_role("heading", name="Set-up")).to_be_visible()
    tool.get_by_role("link", name="History").click()
    expect(tool.get_by_role("heading", name="Version 2")).to_be_visible()
    expect(tool.get_by_text("Developing is required instead of Proficient.")).to_be_visible()
    shots(story, "history")
    no_barrier(story)

    # Who reaches it is awarded at the next sync, under the new version; the other keeps hers.
    tool.get_by_role("link", name="Progress").click()
    tool.get_by_role("button", name="Sync now").click()
    settled(story)
    expect(tool.get_by_text(re.compile("^Two of "))).to_be_visible()
    tool.get_by_role("link", name="History").click()
    expect(tool.get_by_text("1 award", exact=True)).to_have_count(2)
    tool.get_by_role("button", name="Retire this badge").click()
    expect(tool.get_by_text("This badge is retired since")).to_be_visible()
    shots(story, "retired")
    tool.get_by_role("button", name="Bring this badge back").click()
    expect(tool.get_by_text("In force", exact=True)).to_be_visible()


def test_K01_badges_are_taken_along_by_hand_and_a_column_is_chosen(demo: Demo, blocking: BrowserContext) -> None:
    mood = "moodle"
    story = Story(demo, blocking, mood)
    page, tool = story.page, story.tool
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("button", name=f"Use {BADGE}").click()
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()

    enter_as(page, demo, mood, "instructor")
    press_below(page.get_by_role("button", name="Copy this course"))
    expect(tool.get_by_text("4 of 4 columns recognised.")).to_be_visible()
    tool.get_by_role("button", name="None of them").click()
    expect(tool.get_by_text("Nothing was taken over.")).to_be_visible()
    tool.get_by_role("link", name="From another course of mine").click()
    expect(tool.get_by_role("heading", name="From another course of mine")).to_be_visible()
    shots(story, "other-courses")
    no_barrier(story)
    tool.get_by_role("button", name=re.compile("^Choose EMP101")).click()
    expect(tool.get_by_text("4 of 4 columns recognised.")).to_be_visible()
    tool.get_by_role("button", name="Use them here").click()
    tool.get_by_role("link", name=BADGE, exact=True).click()
    tool.get_by_role("link", name="Choose columns by hand").click()
    expect(tool.get_by_text("4 columns, 4 recognised.")).to_be_visible()
    tool.get_by_role("combobox").last.select_option("")
    tool.get_by_role("button", name="Use these columns").click()
    expect(tool.get_by_role("button", name="Publish and make 1 column")).to_be_visible()
    tool.get_by_role("link", name="Choose columns by hand").click()
    expect(tool.get_by_text("4 columns, 3 recognised.")).to_be_visible()
    shots(story, "columns")
    no_barrier(story)
    tool.get_by_role("combobox").last.select_option(label="EM-4 Acts on it (of 4)")
    tool.get_by_role("button", name="Use these columns").click()
    expect(tool.get_by_text("chosen by hand")).to_be_visible()
    shots(story, "copied-plan")
    tool.get_by_role("button", name="Publish", exact=True).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()


def _context(demo: Demo) -> str:
    courses = {row["context"] for row in json.loads(demo.command("awards", "list", "--json"))}
    assert len(courses) == 1
    return str(courses.pop())
