"""A day and a time are entered in one's own zone, and sent with it; without JavaScript they are written so."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.test_languages import samples  # noqa: F401 (a fixture)

FIELDS = [
    ("awards-held", "#release-at", "at"),
    ("hold", "#until", "until"),
    ("edit-grades", "#f-release_at", "release_at"),
]


@pytest.mark.parametrize(("page_name", "field", "sent"), FIELDS)
def test_a_moment_is_entered_in_the_browsers_own_time(
    browser: Browser,
    samples: str,  # noqa: F811
    page_name: str,
    field: str,
    sent: str,
) -> None:
    context = browser.new_context(timezone_id="America/Chicago", locale="en")
    page = context.new_page()
    page.goto(f"{samples}/page/{page_name}")
    if sent == "release_at":
        page.check("#f-release-at")
    assert page.get_attribute(field, "type") == "datetime-local" and page.get_attribute(field, "name") is None
    page.fill(field, "2027-01-31T08:00")
    assert page.input_value(f"[name={sent}]") == "2027-01-31T14:00:00Z"
    assert "America/Chicago" in page.inner_text(f"{field}-hint") and "UTC" not in page.inner_text(f"{field}-hint")
    page.fill(field, "")
    assert page.input_value(f"[name={sent}]") == ""
    context.close()


@pytest.mark.parametrize(("page_name", "field", "sent"), FIELDS)
def test_without_javascript_the_zone_is_asked_for(
    browser: Browser,
    samples: str,  # noqa: F811
    page_name: str,
    field: str,
    sent: str,
) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    page.goto(f"{samples}/page/{page_name}")
    if sent == "release_at":
        page.check("#f-release-at")
    page.fill(field, "2027-01-31T08:00:00-06:00")
    assert page.get_attribute(field, "name") == sent
    assert "Written with its zone" in page.inner_text(f"{field}-hint")
    context.close()


def test_a_moment_that_is_kept_shows_in_the_browsers_own_time(browser: Browser, samples: str) -> None:  # noqa: F811
    context = browser.new_context(timezone_id="America/Chicago", locale="en")
    page = context.new_page()
    page.goto(f"{samples}/page/hold-again")
    assert page.input_value("[name=until]").endswith("Z")
    ours, theirs = page.input_value("#until"), page.input_value("[name=until]")
    assert ours and page.evaluate("([ours, theirs]) => +new Date(ours) === +new Date(theirs)", [ours, theirs])
    context.close()
