"""Every sample of every template in a real browser: by axe in both colour schemes, and at three widths."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext
from werkzeug.serving import make_server

from tests.web.sample_pages import PAGES, create_samples

WIDTHS = (360, 768, 1100)
SHOTS = os.environ.get("SHOTS", "")  # a folder for pictures of all of them
VIOLATIONS = {"resultTypes": ["violations"]}  # the rest is not looked at, and takes longer to send than to find
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], **VIOLATIONS}
# In the other colours it is the same document: what can be otherwise is what these look at, all that axe files under
# cat.color up to AA.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}, **VIOLATIONS}
SENT = ("placed", "placed-nothing")  # their script would send them off to an LMS that is not there
FEW = 12  # samples a test: two workers share them


@pytest.fixture(scope="module")
def samples() -> Iterator[str]:
    server = make_server("localhost", 0, create_samples(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/page"
    server.shutdown()
    thread.join()


NAMES = sorted(PAGES)


@pytest.mark.parametrize("names", [NAMES[at : at + FEW] for at in range(0, len(NAMES), FEW)], ids=lambda few: few[0])
def test_axe_finds_nothing_on_a_page_and_nothing_scrolls_sideways(
    samples: str, stranger: BrowserContext, names: list[str]
) -> None:
    page = stranger.new_page()
    wrong = []
    for name in names:
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        if name in SENT:
            page.route("**/app.js", lambda route: route.abort())
        page.goto(f"{samples}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                wrong.append(f"{name} scrolls sideways at {width}")
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)
        found = {"light": Axe().run(page, options=WCAG).response["violations"]}
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found["dark"] = page.evaluate("(options) => axe.run(options)", COLOURS)["violations"]
        for scheme, violations in found.items():
            wrong += [f"{name} {scheme} {each['id']}: {json.dumps(each['nodes'][0]['target'])}" for each in violations]
        page.unroute_all()
    assert not wrong, "\n".join(wrong)


def test_the_administrator_s_way_out_stands_beside_the_name_and_the_open_tab_is_seen(
    samples: str, stranger: BrowserContext
) -> None:
    page = stranger.new_page()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{samples}/admin-figures")  # the last of the tabs
        name, out = page.locator(".bar .where").bounding_box(), page.locator(".bar .out").bounding_box()
        tab = page.locator(".tabs [aria-current]").bounding_box()
        assert name and out and tab
        assert name["y"] <= out["y"] < name["y"] + name["height"] <= tab["y"], width
        assert tab["x"] >= 0 and tab["x"] + tab["width"] <= width, width
