"""Marking inside the LMS's frame, with third-party cookies blocked: by keyboard alone, over a lost line, by axe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import Demo, open_badge, steadily
from tests.browser.test_placing import frame_of, no_barriers
from tests.browser.test_story import Story, enter_as, settled

LIBRARY = Path(__file__).parents[2] / "config" / "badges" / "oral-communication.toml"
CODES = ("OC-1", "OC-2", "OC-3", "OC-4")


def opened(story: Story, demo: Demo, tmp_path: Path, slug: str) -> None:
    """Bring a badge whose rubric is marked here into the course, publish it, and open its progress."""
    text = LIBRARY.read_text().replace('slug = "oral-communication"', f'slug = "{slug}"')
    text = text.replace('source = "column"', 'source = "rubric"').replace('name = "Oral', f'name = "{slug} Oral', 1)
    file = tmp_path / f"{slug}.toml"
    file.write_text(text)
    enter_as(story.page, demo, story.mood, "instructor")
    expect(story.tool.get_by_role("heading", level=1)).to_be_visible()
    platforms = json.loads(demo.command("platforms", "list", "--json"))
    platform = next(each["id"] for each in platforms if each["product"] == story.mood)
    context = next(
        each["context"] for each in contexts(demo) if each["platform"] == platform and each["label"] == "EMP101"
    )
    where = ("--platform", str(platform), "--context", context)
    demo.command("badges", "import", str(file), *where, "--publish")
    demo.command("sync", "--context", context)
    enter_as(story.page, demo, story.mood, "instructor")
    open_badge(story.tool, f"{slug} Oral Communication")
    story.tool.get_by_role("link", name="Marking").click()
    expect(story.tool.get_by_role("heading", name="Marking", level=1)).to_be_visible()


def contexts(demo: Demo) -> list[dict[str, str]]:
    """Return the courses the tool knows, by what its database says."""
    import sqlite3

    with sqlite3.connect(demo.folder / "tool.db") as database:
        rows = database.execute("SELECT registration_id, context_id, label FROM course").fetchall()
    return [{"platform": platform, "context": context, "label": label} for platform, context, label in rows]


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_five_learners_are_marked_by_keyboard_alone_and_four_have_the_badge(
    demo: Demo, blocking: BrowserContext, tmp_path: Path, mood: str
) -> None:
    story = Story(demo, blocking, mood)
    opened(story, demo, tmp_path, f"keys-{mood}")
    tool, keys = story.tool, story.page.keyboard
    story.shot("marking-list")
    tool.get_by_role("link", name=re.compile("^Mark ")).focus()
    keys.press("Enter")
    for number, levels in enumerate(("3434", "4444", "3331", "3333", "4343")):
        expect(tool.get_by_text(f"{number} marked")).to_be_visible()
        expect(tool.get_by_role("group", name="Adapts the message").get_by_role("radio").first).to_be_focused()
        for place, level in enumerate(levels):
            keys.press(level)
            if place < 3:
                keys.press("ArrowDown")
        if number == 2:  # a word on the row that is short, then on from within it
            keys.press("Tab")
            keys.type("Answers before the question ends.")
            story.shot("marking-typed")
            keys.press("Control+Enter")
        else:
            keys.press("Enter")
    expect(tool.get_by_text("5 marked")).to_be_visible()
    story.shot("marking-sixth")

    # It is in the gradebook, and who reached every level has the badge, without a sync.
    tool.get_by_role("link", name="All learners").click()
    expect(tool.get_by_text("in the gradebook", exact=True)).to_have_count(5)
    story.shot("marking-list-after")
    tool.get_by_role("link", name="Progress").click()
    expect(tool.get_by_role("row").filter(has_text="Earned")).to_have_count(4)
    settled(story)
    tool.get_by_role("radio", name=re.compile("Earned")).click()
    expect(tool.get_by_role("radio", name=re.compile("Earned"))).to_be_checked()
    tool.get_by_role("button", name=re.compile("Proficient")).first.click()
    expect(tool.get_by_text(re.compile("here by Helen Marsh"))).to_be_visible()
    story.shot("progress")


def test_what_was_marked_while_the_line_was_down_is_sent_when_it_is_back(
    demo: Demo, blocking: BrowserContext, tmp_path: Path
) -> None:
    story = Story(demo, blocking, "moodle")
    opened(story, demo, tmp_path, "lost")
    tool, keys = story.tool, story.page.keyboard
    tool.get_by_role("link", name=re.compile("^Mark ")).click()
    first = tool.get_by_role("group", name="Adapts the message")
    expect(first.get_by_role("radio").first).to_be_focused()

    def cut(route: Route) -> None:
        if route.request.method == "POST":
            route.abort()
        else:
            route.continue_()

    story.page.route("**/marking/**", cut)
    keys.press("3")
    expect(tool.get_by_text("The connection was lost.")).to_be_visible()
    first.get_by_role("textbox").fill("Said in the dark.")
    story.shot("lost")
    story.page.unroute("**/marking/**")
    expect(first.get_by_text("In the gradebook")).to_be_visible()
    expect(tool.get_by_text("The connection was lost.")).to_be_hidden()
    expect(first.get_by_role("radio").nth(2)).to_be_checked()
    expect(first.get_by_role("textbox")).to_have_value("Said in the dark.")


def test_what_was_typed_when_the_session_ended_is_put_in_again_by_the_next(
    demo: Demo, stranger: BrowserContext, tmp_path: Path
) -> None:
    """In a window of its own: inside the LMS's frame a browser that blocks other sites' storage keeps nothing."""
    story = Story(demo, stranger, "moodle")
    opened(story, demo, tmp_path, "ended")
    window = story.page.get_by_role("link", name="Open in a new window").get_attribute("href")
    tool = story.page
    tool.goto(f"{demo.lms}{window}")
    open_badge(tool, "ended Oral Communication")
    tool.get_by_role("link", name="Marking").click()
    tool.get_by_role("link", name=re.compile("^Mark ")).click()
    first = tool.get_by_role("group", name="Adapts the message")
    expect(first.get_by_role("radio").first).to_be_focused()
    name = tool.get_by_role("heading", level=1).inner_text()
    story.page.route("**/marking/**", lambda route: route.fulfill(status=401, body="over"))
    first.get_by_role("textbox").fill("Said at the end.")
    first.get_by_role("radio").nth(3).check()
    expect(tool.get_by_text("This page has ended.")).to_be_visible()
    story.shot("ended")
    story.page.unroute("**/marking/**")
    tool.goto(f"{demo.lms}{window}")
    open_badge(tool, "ended Oral Communication")
    tool.get_by_role("link", name="Marking").click()
    tool.get_by_role("link", name=re.compile(f"^{re.escape(name)}")).click()
    again = tool.get_by_role("group", name="Adapts the message")
    expect(again.get_by_text("In the gradebook")).to_be_visible()
    expect(again.get_by_role("radio").nth(3)).to_be_checked()
    expect(again.get_by_role("textbox")).to_have_value("Said at the end.")


def test_of_two_who_mark_one_row_the_later_sees_the_other_s_and_puts_hers(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, tmp_path: Path
) -> None:
    story = Story(demo, blocking, "canvas")
    opened(story, demo, tmp_path, "two")
    other = Story(demo, stranger, "canvas")
    enter_as(other.page, demo, "canvas", "instructor")
    open_badge(other.tool, "two Oral Communication")
    other.tool.get_by_role("link", name="Marking").click()
    for each in (story, other):
        each.tool.get_by_role("link", name=re.compile("^Mark ")).click()
        expect(each.tool.get_by_role("group", name="Listens actively")).to_be_visible()
    listens = other.tool.get_by_role("group", name="Listens actively")
    listens.get_by_role("radio").nth(1).check()
    expect(listens.get_by_text("In the gradebook")).to_be_visible()
    mine = story.tool.get_by_role("group", name="Listens actively")
    mine.get_by_role("radio").nth(2).check()
    expect(mine.get_by_text("has marked this row meanwhile.")).to_be_visible()
    story.shot("overtaken")
    mine.get_by_role("button", name="Put mine in its place").click()
    expect(mine.get_by_text("In the gradebook")).to_be_visible()
    expect(mine.get_by_role("radio").nth(2)).to_be_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_marking_pages_and_nothing_scrolls_sideways(
    demo: Demo, stranger: BrowserContext, tmp_path: Path, scheme: str
) -> None:
    story = Story(demo, stranger, "moodle")
    story.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    slug = f"axe-{scheme}"
    opened(story, demo, tmp_path, slug)
    no_barriers(story, "Marking")
    story.shot(f"list-{scheme}")
    tool = story.tool
    tool.get_by_role("link", name=re.compile("^Mark ")).click()
    first = tool.get_by_role("group", name="Adapts the message")
    first.get_by_role("radio").nth(3).check()
    expect(first.get_by_text("In the gradebook")).to_be_visible()
    tool.get_by_text("Attach a note or a link").click()
    tool.get_by_label("A note, or an https:// address").fill("https://video.example.org/a-very-long-" + "address-" * 12)
    tool.get_by_role("button", name="Attach").click()
    expect(tool.get_by_text("1 piece")).to_be_visible()
    no_barriers(story, tool.get_by_role("heading", level=1).inner_text())
    for width in (360, 768, 1100):
        story.page.set_viewport_size({"width": width, "height": 900})
        assert steadily(lambda: frame_of(story).evaluate("document.documentElement.scrollWidth <= innerWidth")), width
        story.shot(f"marking-{scheme}-{width}")
    name = tool.get_by_role("heading", level=1).inner_text()
    enter_as(story.page, demo, "moodle", "student", name)
    tool.get_by_role("link", name=f"{slug} Oral Communication").first.click()
    tool.get_by_role("link", name=re.compile("Add evidence or a reflection|Your evidence")).first.click()
    expect(tool.get_by_label("Your words")).to_be_visible()
    found = steadily(lambda: Axe().run(frame_of(story)))  # type: ignore[arg-type]
    assert found.violations_count == 0, found.generate_report()
    story.shot(f"student-{scheme}")
