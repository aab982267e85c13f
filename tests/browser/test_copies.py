"""A new term as people click it: the course is copied in the LMS, and its badges go on there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Demo, press_below, save_grades
from tests.browser.test_story import COURSES, Story, enter_as, settled

BADGE = "Collaboration"


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_K01_K05_K06_a_copied_course_goes_on_with_its_badges_and_nothing_is_doubled(
    demo: Demo, blocking: BrowserContext, mood: str
) -> None:
    story = Story(demo, blocking, mood)
    page, tool = story.page, story.tool

    # A badge is published, and a learner earns it.
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("button", name=f"Use {BADGE}").click()
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()
    page.goto(f"{story.root}/course/{COURSES[mood]}/gradebook")
    columns = page.locator("thead th").count()
    first = page.locator("tbody tr").first
    learner = first.get_by_role("rowheader").inner_text().strip()
    for box in first.get_by_role("textbox").all():
        box.fill("4")
    save_grades(page)
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("link", name=BADGE, exact=True).click()
    tool.get_by_role("button", name="Sync now").click()
    expect(tool.get_by_role("row", name=re.compile(re.escape(learner))).get_by_text("Earned").last).to_be_visible()

    # The course is copied, and the copy offers what came along.
    enter_as(page, demo, mood, "instructor")
    page.get_by_label("Enrol the same students").press("Space")
    expect(page.get_by_label("Enrol the same students")).to_be_checked()
    story.shot("lms-course")
    press_below(page.get_by_role("button", name="Copy this course"))
    expect(tool.get_by_role("heading", name="This course was copied from EMP101.")).to_be_visible()
    all_recognised = re.compile(r"badges? found; (\d+) of \1 columns recognised\.")
    expect(tool.get_by_text(all_recognised)).to_be_visible()
    story.shot("offer")
    for width in (768, 360):
        page.set_viewport_size({"width": width, "height": 900})
        story.shot(f"offer-{width}")
    page.set_viewport_size({"width": 1100, "height": 900})
    copy = page.url
    tool.get_by_role("button", name="Use them here").click()
    expect(tool.get_by_text("They are drafts here now.")).to_be_visible()
    settled(story)
    expect(tool.get_by_text("4 of 4 columns came along")).to_be_visible()
    story.shot("taken")

    # Publishing uses the columns that are there.
    tool.get_by_role("link", name=BADGE, exact=True).click()
    expect(tool.get_by_text("found, will be used")).to_have_count(4)
    expect(tool.get_by_text("will be made")).to_have_count(0)
    story.shot("plan")
    tool.get_by_role("button", name=re.compile("^Publish")).click()
    expect(tool.get_by_role("link", name="Progress")).to_be_visible()
    page.get_by_role("link", name="Gradebook").click()
    expect(page.locator("thead th")).to_have_count(columns)
    story.shot("gradebook")

    # The learner's award stayed where she earned it.
    page.goto(copy)
    page.get_by_role("navigation", name="Course").get_by_role("link", name="People").click()
    page.get_by_role("link", name=f"Enter as {learner}", exact=True).click()
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    expect(tool.get_by_text(BADGE).first).to_be_visible()
    expect(tool.get_by_role("heading", name=re.compile("is yours"))).to_have_count(0)
    story.shot("learner")
