"""Every page in every state, in each language: nothing is wider than a phone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from werkzeug.serving import make_server

sys.path.append(str(Path(__file__).parents[1] / "web"))
from sample_pages import PAGES, create_samples

# One leads on to the LMS by itself and is looked at in test_placing.py.
STILL = sorted(name for name, (template, _) in PAGES.items() if template != "instructor/placed.html")


@pytest.fixture(scope="module")
def samples() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_samples(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("language", ["en", "es"])
def test_no_page_is_wider_than_a_phone(browser: Browser, samples: str, language: str) -> None:
    context = browser.new_context(locale=language, viewport={"width": 360, "height": 800})
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
