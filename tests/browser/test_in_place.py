"""Forms with words in them are sent from where they stand: nothing that was typed is lost with a session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lti_tool.models import Launch
from tests.browser.test_editor import bring_cookies
from tests.classroom import Classroom, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import Visitor, now

WORDS = "What I tried, and what I would do differently."


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 360, "height": 740})
    yield made
    made.close()


def end(room: Classroom, visitor: Visitor) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.get_one(Launch, visitor.launch).expires_at = now() - timedelta(minutes=1)


@pytest.fixture
def earned(room: Classroom) -> Classroom:  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 3)
    room.sync()
    return room


def refused_in_place(page: Page, field: str, button: str) -> None:
    """Hand in words from a page that has ended; they stay, and why they were not taken is said beside them."""
    here = page.url
    page.get_by_label(field, exact=True).fill(WORDS)
    page.get_by_role("button", name=button).click()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("This page has ended. Go back to your course and open Badges again.")
    expect(told).to_contain_text("What you typed is kept in this tab")
    expect(page.get_by_label(field, exact=True)).to_have_value(WORDS)
    assert page.url == here
    expect(page.get_by_role("button", name=button)).to_be_enabled()


def test_words_that_a_session_does_not_outlive_stay_in_the_field_and_are_put_in_again(
    earned: Classroom, context: BrowserContext
) -> None:
    student, slug = earned.enter(earned.students[0]), earned.badge.slug
    bring_cookies(context, student)
    page = context.new_page()
    evidence = f"badges/{slug}/evidence/?row={earned.badge.sub_competencies[0].tag}"
    page.goto(f"{student.home}{evidence}")
    page.get_by_role("radio", name=re.compile("^A reflection")).check()
    end(earned, student)
    refused_in_place(page, "Your words", "Hand in")
    assert Axe().run(page).violations_count == 0

    again = earned.scene.launch_again(student, earned.students[0].id, earned.course.id)
    page.goto(f"{again.home}{evidence}")
    expect(page.get_by_text("had not been saved was put in again")).to_be_visible()
    expect(page.get_by_label("Your words", exact=True)).to_have_value(WORDS)
    expect(page.get_by_role("radio", name=re.compile("^A reflection"))).to_be_checked()
    page.get_by_role("button", name="Hand in").click()
    expect(page.get_by_text("Handed in. Your teachers see it now")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Your words", exact=True)).to_have_value("")  # put in once, and no more

    page.goto(f"{again.home}badges/{slug}/claim")
    end(earned, again)
    refused_in_place(page, "In your own words", "Claim the badge")


def test_what_was_typed_to_give_a_badge_by_hand_stays_and_a_form_that_comes_back_is_taken_in(
    earned: Classroom, context: BrowserContext
) -> None:
    teacher = earned.enter(earned.teacher)
    bring_cookies(context, teacher)
    page = context.new_page()
    earned.enter(earned.students[1])
    other = earned.person_id(earned.students[1])
    page.goto(f"{teacher.home}badges/{earned.badge.slug}/awards/give?person={other}")
    page.get_by_label("Evidence note").fill(" ")
    page.get_by_role("button", name=re.compile("^Give the badge")).click()
    expect(page.get_by_role("alert")).to_be_focused()  # the form that came back, with what is wrong with it
    end(earned, teacher)
    refused_in_place(page, "Evidence note", "Give the badge")
