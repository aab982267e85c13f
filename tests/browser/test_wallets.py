"""A learner puts a badge into a wallet: by mouse alone without JavaScript, and with axe at every width."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.test_editor import bring_cookies
from tests.classroom import Classroom, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import Visitor
from tests.wallet import Wallet, claim

SHOTS = os.environ.get("SHOTS")  # a folder: keep a picture of every state at three widths
WIDTHS = (360, 768, 1100)


@pytest.fixture
def learner(room: Classroom) -> Visitor:  # noqa: F811
    """Somebody who has earned and claimed the room's badge."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    visitor = room.enter(room.students[0])
    claim(visitor, room.badge.slug)
    return visitor


def opened(browser: Browser, learner: Visitor, **options: bool) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1100, "height": 900}, **options)  # type: ignore[arg-type]
    bring_cookies(context, learner)
    return context


def test_the_whole_way_works_without_javascript(browser: Browser, room: Classroom, learner: Visitor) -> None:  # noqa: F811
    context = opened(browser, learner, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{learner.home}badges/{room.badge.slug}")
    page.get_by_role("link", name="Add to a wallet").click()
    page.get_by_role("button", name="Make a code").click()
    expect(page.get_by_role("img", name="QR code for a wallet app")).to_be_visible()
    digits = page.locator(".pin")
    expect(digits).to_be_hidden()
    page.get_by_text("My wallet asks for a transaction code").click()
    expect(digits).to_be_visible()
    Wallet(page.content()).get()
    page.get_by_role("link", name="Has it arrived?").click()
    expect(page.get_by_role("heading", name="It is in a wallet")).to_be_visible()
    page.get_by_role("button", name="Withdraw the copy").click()
    expect(page.get_by_role("heading", name="Copies in wallets")).to_have_count(0)
    context.close()


def test_axe_finds_nothing_and_nothing_scrolls_sideways(browser: Browser, room: Classroom, learner: Visitor) -> None:  # noqa: F811
    context = opened(browser, learner)
    page = context.new_page()

    def looked_at(name: str) -> None:
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            found = Axe().run(page)
            assert found.violations_count == 0, f"{scheme} {name}\n{found.generate_report()}"
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"wallet-{name}-{width}.png", full_page=True)

    page.goto(f"{learner.home}badges/{room.badge.slug}/claim")
    looked_at("claim")
    page.goto(f"{learner.home}badges/{room.badge.slug}/wallet")
    looked_at("none")
    page.get_by_role("button", name="Make a code").click()
    looked_at("open")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    looked_at("unfolded")
    wallet = Wallet(page.content())
    wallet.configuration("ldp_vc")
    token = wallet.token().json()["access_token"]
    page.reload()
    looked_at("opened")
    assert wallet.request(token).status_code == 200
    page.reload()
    looked_at("taken")
    context.close()
