"""The whole story as people click it, in both moods of the demo LMS, with third-party cookies blocked."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.browser.conftest import Demo, at_rest, open_badge, save_grades, status_of

SHOTS = os.environ.get("SHOTS")  # a folder: keep a picture of every step

COURSES = {"canvas": 1, "moodle": 2}


class Story:
    def __init__(self, demo: Demo, context: BrowserContext, mood: str) -> None:
        self.demo, self.mood, self.page = demo, mood, context.new_page()
        self.root = f"{demo.lms}/{mood}"
        self.step = 0

    @property
    def tool(self) -> FrameLocator:
        return self.page.frame_locator("iframe[name=tool]")

    def shot(self, name: str, page: Page | None = None) -> None:
        if SHOTS:
            self.step += 1
            path = Path(SHOTS) / f"{self.mood}-{self.step:02}-{name}.png"
            pictured = page or self.page
            # A whole page is pictured in a larger window; until another site's frame is drawn anew after that, Chromium
            # gives a click in it to the page around it, and the click is lost (seen by the events of both).
            pictured.screenshot(path=path, full_page=len(pictured.frames) == 1)


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_the_whole_story_can_be_clicked_through(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, mood: str
) -> None:
    story = Story(demo, blocking, mood)
    page = story.page

    # An instructor takes a badge from the library and publishes it.
    page.goto(f"{demo.lms}/")
    story.shot("lms")
    enter_as(page, demo, mood, "instructor")
    expect(story.tool.get_by_role("heading", level=1)).to_be_visible()
    story.shot("course-home")
    story.tool.get_by_role("button", name="Use Oral Communication").click()
    expect(story.tool.get_by_role("heading", name="Before you publish")).to_be_visible()
    story.shot("plan")
    story.tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(story.tool.get_by_role("link", name="Progress")).to_be_visible()
    story.shot("published")

    # The columns are in the gradebook; she grades two learners.
    page.goto(f"{story.root}/course/{COURSES[mood]}/gradebook")
    expect(page.get_by_text("OC-1 Adapts the message to the audience").first).to_be_visible()
    story.shot("gradebook-empty")
    learners = grade(page, {0: ["4", "3", "3", "2"], 1: ["4", "3", "1", "3"]})
    story.shot("gradebook")

    # Sync, and see the award.
    enter_as(page, demo, mood, "instructor")
    story.tool.get_by_role("link", name="Oral Communication", exact=True).click()
    story.tool.get_by_role("button", name="Sync now").click()
    row = story.tool.get_by_role("row", name=re.compile(re.escape(learners[0])))
    expect(row.get_by_text("Earned").last).to_be_visible()
    settled(story)
    story.shot("matrix")
    story.tool.get_by_role("row", name=re.compile(re.escape(learners[1]))).get_by_role("button").nth(2).click()
    expect(story.tool.get_by_text("Proficient begins at 3 points, so 2 more are needed")).to_be_visible()
    story.shot("record")

    listed = json.loads(demo.command("awards", "list", "--json"))
    ours = [a for a in listed if a["badge"] == "oral-communication"]
    award = next(a for a in ours if a["platform"] == {"canvas": 1, "moodle": 2}[mood])
    assert award["status"] == "issued"
    url = award["credential_url"]
    assert status_of(url) == 404

    # The learner sees it and claims it.
    enter_as(page, demo, mood, "student", learners[0])
    expect(story.tool.get_by_role("heading", name=re.compile("Oral Communication is yours"))).to_be_visible()
    story.shot("my-badges")
    story.tool.get_by_role("link", name=re.compile("Claim")).first.click()
    expect(story.tool.get_by_label(re.compile("public page", re.I))).to_be_visible()
    story.shot("claim")
    story.tool.get_by_label(re.compile("public page", re.I)).check()
    story.tool.get_by_role("button", name=re.compile("Claim|Save")).click()
    expect(story.tool.get_by_role("button", name="Copy link", exact=True)).to_be_visible()
    story.shot("claimed")

    # Anybody opens the page, and checks it.
    visitor = stranger.new_page()
    visitor.goto(url)
    expect(visitor.get_by_role("heading", name="Oral Communication")).to_be_visible()
    story.shot("credential", visitor)
    check(visitor, demo, url)
    expect(visitor.get_by_role("heading", name="Genuine and in force")).to_be_visible()
    story.shot("verified", visitor)

    # It is taken back, and everybody sees that.
    enter_as(page, demo, mood, "instructor")
    open_badge(story.tool, "Oral Communication")
    story.tool.get_by_role("link", name="Awards").click()
    expect(story.tool.get_by_role("heading", name="Awards", level=1)).to_be_visible()
    story.shot("awards")
    story.tool.get_by_role("link", name=re.compile("Withdraw")).first.click()
    story.tool.get_by_label("Reason").fill("Entered for the wrong learner.")
    story.shot("revoke")
    story.tool.get_by_role("button", name=re.compile("Withdraw")).click()
    expect(story.tool.get_by_text("Entered for the wrong learner.")).to_be_visible()
    visitor.goto(url)
    expect(visitor.get_by_text("Entered for the wrong learner.").first).to_be_visible()
    story.shot("revoked", visitor)
    check(visitor, demo, url)
    expect(visitor.get_by_role("heading", name="Do not rely on this one")).to_be_visible()
    story.shot("verified-revoked", visitor)


def settled(story: Story) -> None:
    """Wait until the sync that a launch starts is over: the page is brought up to date once more when it is."""
    at_rest(story.tool)


def enter_as(page: Page, demo: Demo, mood: str, role: str, name: str = "") -> None:
    """Enter the demo LMS by its first page, as a person would."""
    page.goto(f"{demo.lms}/")
    doors = page.locator(f"section.{mood}")
    if role == "student":
        doors.get_by_label("Student").select_option(label=name)
        doors.get_by_role("button", name="Enter as student").click()
    else:
        doors.get_by_role("button", name=re.compile(role, re.I)).first.click()


def grade(page: Page, points: dict[int, list[str]]) -> list[str]:
    """Fill in the badge's columns in lines of the gradebook and save; returns the learners' names in order."""
    rows = page.locator("tbody tr")
    names = []
    for index, scores in points.items():
        row = rows.nth(index)
        names.append(row.get_by_role("rowheader").inner_text().strip())
        for field, score in enumerate(scores):
            row.get_by_role("textbox", name=re.compile(f"^OC-{field + 1} ")).fill(score)
    save_grades(page)
    return names


def check(visitor: Page, demo: Demo, url: str) -> None:
    visitor.goto(f"{demo.tool}/verify")
    visitor.get_by_label("or paste an address or the text").fill(url)
    visitor.get_by_role("button", name="Check it").click()
