"""A learner's file, from the draft to a stranger who opens it, and to the moment she takes it back.

Inside the LMS's frame it goes by keyboard: until another site's frame is drawn anew, which takes long on a busy
machine, Chromium gives a click in it to the page around it, and the click is lost (seen by both pages' events)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Demo
from tests.browser.test_marking import opened
from tests.browser.test_story import Story, enter_as, settled
from tests.evidence import PDF, photo


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_file_goes_from_draft_to_credential_and_back(
    demo: Demo, blocking: BrowserContext, stranger: BrowserContext, tmp_path: Path, script: bool
) -> None:
    mood = "moodle" if script else "canvas"
    story = Story(demo, blocking, mood)
    page, tool = story.page, story.tool
    opened(story, demo, tmp_path, "proof")
    page.get_by_role("heading").first.wait_for()
    name = tool.locator("tbody tr, ul.lines li, ol li").first.inner_text().split("\n")[0].strip()
    if not script:
        page.route(f"{demo.tool}/static/*.js", lambda route: route.abort())  # the tool's alone: the LMS's start it

    # A draft that only she sees; a file that is too large costs her no word, and is not even sent.
    enter_as(page, demo, mood, "student", name)
    tool.get_by_role("link", name="proof Oral Communication", exact=True).press("Enter")
    tool.get_by_role("link", name=re.compile("^Add evidence or a reflection ?: Adapts")).press("Enter")
    tool.get_by_role("radio", name=re.compile("^A file")).press("Space")
    expect(tool.get_by_text("Up to 25 MB.")).to_be_visible()
    story.shot("evidence-form")
    tool.get_by_label("Your words").fill("The whole talk, page 2 above all.")
    file = tool.get_by_label("File", exact=True)
    file.set_input_files({"name": "huge.pdf", "mimeType": "application/pdf", "buffer": b"x" * 25_100_000})
    if script:
        tool.get_by_role("button", name="Save as a draft").press("Enter")
        expect(tool.get_by_text("larger than the 25 MB one file may have")).to_be_visible()
        story.shot("evidence-too-large")
    file.set_input_files({"name": "talk.png", "mimeType": "image/png", "buffer": PDF})
    tool.get_by_role("button", name="Save as a draft").press("Enter")
    expect(tool.get_by_text("says PNG picture, but its content says PDF document")).to_be_visible()
    story.shot("evidence-refused")
    expect(tool.get_by_label("Your words")).to_have_value("The whole talk, page 2 above all.")
    tool.get_by_label("File", exact=True).set_input_files(
        {"name": "talk.jpg", "mimeType": "image/jpeg", "buffer": photo(size=(900, 600))}
    )
    tool.get_by_role("button", name="Save as a draft").press("Enter")
    expect(tool.get_by_text("Saved as a draft. Only you see it")).to_be_visible()
    story.shot("evidence-draft")

    # She hands it in; whoever marks her sees it beside the rubric, and downloads it.
    tool.get_by_role("button", name=re.compile("^Hand in ?: ")).press("Enter")
    expect(tool.get_by_text("Handed in. Your teachers see it now")).to_be_visible()
    story.shot("evidence-handed-in")
    enter_as(page, demo, mood, "instructor")
    tool.get_by_role("link", name="proof Oral Communication", exact=True).press("Enter")
    settled(story) if script else None
    tool.get_by_role("link", name="Marking").press("Enter")
    tool.get_by_role("link", name=re.compile(f"{re.escape(name)}")).first.press("Enter")
    expect(tool.get_by_text("The whole talk, page 2 above all.")).to_be_visible()
    story.shot("evidence-marking")
    with page.expect_download() as coming:
        tool.get_by_role("link", name=re.compile("^Download")).press("Enter")
    assert coming.value.suggested_filename == "talk.jpg"
    for row in tool.locator("fieldset.onerow").all():
        row.get_by_role("radio").nth(2).press("Space")
        if script:
            expect(row.get_by_text("In the gradebook")).to_be_visible()
    if not script:
        tool.get_by_role("button", name="Save", exact=True).press("Enter")
        expect(tool.get_by_text("Saved.")).to_be_visible()

    # She shows it: a stranger downloads it from the public page.
    claim = tool.get_by_role("link", name=re.compile("Claim"))
    for _ in range(30):  # until her marks have been judged and the award is signed
        enter_as(page, demo, mood, "student", name)
        tool.get_by_role("heading").first.wait_for()
        if claim.count():
            break
        page.wait_for_timeout(1000)
    claim.first.press("Enter")
    for choice in ("public page", "talk.jpg"):
        tool.get_by_label(re.compile(choice, re.I)).press("Space")
        expect(tool.get_by_label(re.compile(choice, re.I))).to_be_checked()
    story.shot("evidence-claim")
    tool.get_by_role("button", name=re.compile("Claim|Save")).press("Enter")
    address = tool.locator("a[href*='/credentials/']").first.get_attribute("href")
    visitor = stranger.new_page()
    visitor.goto(address or "")
    link = visitor.get_by_role("link", name="talk.jpg")
    story.shot("evidence-public", visitor)
    with visitor.expect_download() as coming:
        link.click()
    assert coming.value.suggested_filename == "talk.jpg"
    shown = link.get_attribute("href") or ""
    assert requests.get(shown, timeout=20).status_code == 200

    # She takes the page down, and the address is nobody's any more.
    tool.get_by_role("button", name="Take the page down").press("Enter")
    expect(tool.get_by_role("button", name="Turn the page on")).to_be_visible()
    assert requests.get(shown, timeout=20).status_code == 404
