"""The public page in Chromium: it asks nobody but us, breaks no policy, and is whole without a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lti_tool.services import choices, share_links
from tests.classroom import Classroom, badge
from tests.scene import Scene, now


@dataclass
class Shown:
    """A badge that is shown in public, by its page and by a link without the levels."""

    page: str
    link: str
    achievement: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("shown")
    scene = Scene(folder, f"sqlite:///{folder / 'tool.db'}")
    room = Classroom(scene)
    room.publish(badge(name="Careful </script> Work"))
    room.grade(room.students[0], 3, 4)
    room.sync()
    told = choices.Choices(public=True, name=True, narrative="I did it with care.")
    award_id = room.award()["id"]
    choices.choose(room.tool, award_id, told, actor="operator", now=now())
    share_links.make(room.tool, award_id, ["course"], 7, actor="operator", now=now())
    with room.tool.db.read() as session:
        (link,) = share_links.listed(room.tool, session, award_id, (), now())
    yield Shown(room.award()["credential_url"], link.url, room.award()["achievement"])
    scene.stop()


def watch(page: Page) -> tuple[set[str], list[str]]:
    """Return the origins a page asks and what the browser complains of, as they come."""
    asked: set[str] = set()
    said: list[str] = []
    page.on("request", lambda request: asked.add("{0.scheme}://{0.netloc}".format(urlsplit(request.url))))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return asked, said


def test_public_pages_ask_only_us_and_the_policy_has_nothing_to_complain_of(
    shown: Shown, stranger: BrowserContext
) -> None:
    for url in (shown.page, shown.link, shown.achievement):
        page = stranger.new_page()
        asked, said = watch(page)
        page.goto(url, wait_until="networkidle")
        assert asked == {"{0.scheme}://{0.netloc}".format(urlsplit(url))} and said == []
        assert page.locator("img").evaluate_all("all => all.every((one) => one.naturalWidth > 0)")
    assert stranger.cookies() == []


def test_the_public_page_is_whole_without_a_script_and_on_paper(shown: Shown, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shown.page)
    for heading in ("Checked just now", "What it took", "What the learner shows", "For machines and for your files"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text("Unchanged since it was signed")).to_be_visible()
    expect(page.get_by_role("link", name="JSON")).to_be_visible()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()  # a button that does nothing is not shown
    page.emulate_media(media="print")
    expect(page.get_by_role("img", name="QR code with the address of this page")).to_be_visible()
    page.goto(shown.link)
    expect(page.get_by_role("heading", name="About this link")).to_be_visible()
    expect(page.get_by_text("I did it with care.")).to_have_count(0)
    context.close()
