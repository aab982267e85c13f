"""Every page in every state, in each language and contrast: axe finds nothing, and nothing is wider than a phone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Playwright
from werkzeug.serving import make_server

from tests.browser.conftest import CHROMIUM, QUIET

sys.path.append(str(Path(__file__).parents[1] / "web"))
from sample_pages import PAGES, create_samples

# One leads on to the LMS by itself and is looked at in test_placing.py; one is blank while it tries something.
STILL = sorted(name for name, (template, _) in PAGES.items() if template != "instructor/placed.html")
BLANK = "new-window-storage"

THEMES = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "more contrast": {"contrast": "more"},
    "forced colours": {"forced_colors": "active"},
}


@pytest.fixture(scope="module")
def samples() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_samples(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
    yield browser
    browser.close()


def look_through(chromium: Browser, samples: str, language: str, theme: str, **options: Any) -> dict[str, Any]:
    """Let axe look at each page; returns what it found, by the page's name."""
    context = chromium.new_context(locale=language, viewport={"width": 1100, "height": 900}, **THEMES[theme])  # type: ignore[arg-type]
    page, found = context.new_page(), {}
    for name in STILL:
        page.goto(f"{samples}/page/{name}", wait_until="domcontentloaded")
        assert page.locator("html").get_attribute("lang") == language
        result = Axe().run(page, options={"rules": {"page-has-heading-one": {"enabled": name != BLANK}}, **options})
        if result.violations_count:
            found[name] = [
                (each["id"], [n["html"][:200] for n in each["nodes"]]) for each in result.response["violations"]
            ]
    context.close()
    return found


@pytest.mark.parametrize("language", ["en", "es"])
def test_axe_finds_nothing_on_any_page(chromium: Browser, samples: str, language: str) -> None:
    assert look_through(chromium, samples, language, "light") == {}


@pytest.mark.parametrize("theme", ["dark", "more contrast", "forced colours"])
def test_each_page_has_contrast_enough_in_every_theme(chromium: Browser, samples: str, theme: str) -> None:
    only = {"type": "rule", "values": ["color-contrast"]}
    assert look_through(chromium, samples, "en", theme, runOnly=only, rules={}) == {}


@pytest.mark.parametrize("language", ["en", "es"])
def test_no_page_is_wider_than_a_phone(chromium: Browser, samples: str, language: str) -> None:
    context = chromium.new_context(locale=language, viewport={"width": 360, "height": 800})
    page, wide = context.new_page(), {}
    for name in STILL:
        page.goto(f"{samples}/page/{name}", wait_until="domcontentloaded")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[name] = (
                width,
                page.evaluate(
                    "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 361)"
                    ".slice(0, 5).map(e => e.outerHTML.slice(0, 120))"
                ),
            )
    context.close()
    assert wide == {}
