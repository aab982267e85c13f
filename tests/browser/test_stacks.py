"""Badges made of badges in Chromium: put together by keyboard, seen as a tree, at every width, by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_editor import bring_cookies, saved, tab_to
from tests.classroom import Classroom
from tests.scene import Scene
from tests.services.test_stacks import earn, part, publish, stack

WIDTHS = (360, 768, 1100)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1100, "height": 900})
    yield made
    made.close()


def is_fit(page: Page) -> None:
    """Look at a page at each width: nothing scrolls it sideways, and axe finds nothing."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(over) <= 0, (page.url, width)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_stack_is_made_by_keyboard_and_seen_as_a_tree_by_its_learner(scene: Scene, context: BrowserContext) -> None:
    room: Any = Classroom(scene)
    a, b = part(name="Finds sources"), part(name="Judges sources")
    publish(room, a, b)
    middle = stack(a, b, name="Sources")
    publish(room, middle)
    earn(room, room.students[0], a)
    teacher = room.enter(room.teacher)
    bring_cookies(context, teacher)
    page = context.new_page()
    page.goto(teacher.home)
    tab_to(page, "start-stack")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What it stands for", level=1)).to_be_visible()
    tab_to(page, "f-name")
    page.keyboard.type("Scholar")
    saved(page)
    page.goto(re.sub("about.*", "rubric", page.url))
    for each in (middle, b):
        page.locator("#f-stack-chosen").select_option(each.slug)
        tab_to(page, "add-member")
        page.keyboard.press("Enter")
        expect(page.locator(f"#member-{each.slug}")).to_be_visible()
    page.wait_for_function("document.activeElement.id === 'add-member'")
    page.locator(f"#member-{b.slug}-up").press("Enter")
    expect(page.locator("#rows li").first).to_contain_text("Judges sources")
    expect(page.locator("[data-sentence]")).to_contain_text("All two of these badges")
    saved(page)
    is_fit(page)

    learner = room.enter(room.students[0])
    bring_cookies(context, learner)
    page.goto(learner.home)
    tree = page.locator(".tree")
    expect(tree).to_contain_text("1 of 2 badges so far")
    expect(tree.locator(".node.done")).to_contain_text("Finds sources")
    is_fit(page)
    page.goto(f"{learner.home}badges/{middle.slug}")
    page.get_by_text("Hand in a badge of another issuer").click()
    is_fit(page)
    again = room.enter(room.teacher)
    bring_cookies(context, again)
    for path in (f"badges/{middle.slug}", f"badges/{middle.slug}/outside/", f"badges/{middle.slug}/plan"):
        page.goto(f"{again.home}{path}")
        is_fit(page)
