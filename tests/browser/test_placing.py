"""Placing badges inside the LMS's frame, in both moods, third-party cookies blocked: by hand, by keyboard, by axe."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Frame, expect

from tests.browser.conftest import Demo, press_below, steadily
from tests.browser.test_story import COURSES, Story, enter_as, settled


def start_placing(story: Story, demo: Demo) -> None:
    """Go from the LMS's first page to its course page and choose to add something with the tool, as a teacher does."""
    enter_as(story.page, demo, story.mood, "instructor")
    word = "Add to a module with the tool" if story.mood == "canvas" else "Add activities with the tool"
    press_below(story.page.get_by_role("link", name=word))
    expect(story.tool.get_by_role("heading", name="Place badges in the course")).to_be_visible()


def frame_of(story: Story) -> Frame:
    return next(frame for frame in story.page.frames if frame.name == "tool")


def no_barriers(story: Story, heading: str) -> None:
    """Run axe in the tool's frame; the LMS's page around it is not ours."""
    expect(story.tool.get_by_role("heading", name=heading, level=1)).to_be_visible()
    settled(story)
    found = steadily(lambda: Axe().run(frame_of(story)))  # type: ignore[arg-type]  # a frame evaluates as a page does
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_an_instructor_places_badges_from_within_the_frame(demo: Demo, blocking: BrowserContext, mood: str) -> None:
    story = Story(demo, blocking, mood)
    tool = story.tool
    start_placing(story, demo)
    story.shot("picker-empty")

    # The course has no badge of this name: one of the library becomes a draft, chosen row by row.
    tool.get_by_role("button", name="Use Empathy").click()
    group = tool.get_by_role("group", name="Empathy")
    expect(group.get_by_role("checkbox", checked=True)).to_have_count(4)
    expect(tool.get_by_text("4 chosen.")).to_be_visible()

    # With the keyboard alone: space chooses, tab goes on, the count follows.
    group.get_by_role("checkbox").nth(4).focus()
    story.page.keyboard.press("Space")
    expect(tool.get_by_text("3 chosen.")).to_be_visible()
    tool.get_by_label(re.compile("All badges of this course")).focus()
    story.page.keyboard.press("Space")
    expect(tool.get_by_text("4 chosen.")).to_be_visible()
    for width in (360, 768, 1100):
        story.page.set_viewport_size({"width": width, "height": 900})
        assert steadily(lambda: frame_of(story).evaluate("document.documentElement.scrollWidth <= innerWidth")), width
        story.shot(f"picker-{width}")

    # One press: the answer goes back by itself, and the LMS takes it.
    tool.get_by_role("button", name="Place in course").click()
    expect(tool.get_by_role("heading", name="Added to the course")).to_be_visible()
    story.shot("added")
    tool.get_by_role("link", name="Back to the course").click()
    placed = story.page.get_by_role("region", name="Placed in this course")
    expect(placed.get_by_role("listitem")).to_have_count(4)
    story.shot("course")

    # What was placed opens its badge.
    press_below(placed.get_by_role("link", name=re.compile("EM-1")))
    expect(tool.get_by_role("heading", name="Before you publish")).to_be_visible()
    expect(tool.get_by_text("Empathy").first).to_be_visible()

    # Once more: Cancel brings nothing.
    start_placing(story, demo)
    tool.get_by_role("button", name="Cancel").click()
    expect(tool.get_by_role("heading", name="Nothing was added")).to_be_visible()


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_axe_finds_nothing_in_the_picker_and_in_a_review(demo: Demo, stranger: BrowserContext, mood: str) -> None:
    story = Story(demo, stranger, mood)
    start_placing(story, demo)
    no_barriers(story, "Place badges in the course")
    tool = story.tool
    if tool.get_by_role("button", name="Use Initiative").count():
        tool.get_by_role("button", name="Use Initiative").click()
        expect(tool.get_by_role("group", name="Initiative")).to_be_visible()
    no_barriers(story, "Place badges in the course")
    tool.get_by_role("group", name="Initiative").get_by_role("checkbox").first.check()
    tool.get_by_role("button", name="Place in course").click()
    expect(tool.get_by_role("heading", name="Added to the course")).to_be_visible()
    story.page.goto(f"{story.root}/course/{COURSES[mood]}?message=LtiSubmissionReviewRequest&for={learner_of(story)}")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    no_barriers(story, tool.get_by_role("heading", level=1).inner_text())


def learner_of(story: Story) -> str:
    """Return the id of the first learner the LMS's own page offers."""
    page = story.page.context.new_page()
    page.goto(f"{story.demo.lms}/")
    value = page.locator(f"section.{story.mood}").get_by_label("Student").locator("option").first.get_attribute("value")
    page.close()
    assert value
    return value
