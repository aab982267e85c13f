"""The editor as people use it: by keyboard alone, without a connection, after the session has ended, without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select

from lti_tool.domain.badge import badge_from_content
from lti_tool.models import CourseBadge, Launch
from lti_tool.services import drafts
from tests.scene import Scene, Visitor, now
from tests.services.test_drafts import session_of_page


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1100, "height": 900}, timezone_id="Europe/Vienna")
    yield made
    made.close()


def bring_cookies(context: BrowserContext, visitor: Visitor) -> None:
    jar = visitor.http.get_adapter("http://").jar  # type: ignore[attr-defined]
    context.add_cookies([{"name": each.name, "value": each.value, "url": visitor.scene.url} for each in jar])


@pytest.fixture
def teacher(scene: Scene, context: BrowserContext) -> Visitor:
    visitor = scene.launch("teacher1")
    bring_cookies(context, visitor)
    return visitor


def blank(teacher: Visitor) -> str:
    """Begin a blank badge; returns its address in the editor, without the step."""
    return teacher.post("badges").url.rpartition("/")[0]


def stored(scene: Scene) -> CourseBadge:
    with scene.tool.db.read() as session:
        return session.scalars(select(CourseBadge)).one()


def tab_to(page: Page, target: str) -> None:
    """Press Tab until the focus is on an element with this id or these words."""
    here = "(({ id, textContent }) => [id, textContent.trim().replace(/\\s+/g, ' ')])(document.activeElement)"
    for _ in range(250):
        page.keyboard.press("Tab")
        if target in page.evaluate(here):
            return
    raise AssertionError(f"Tab never reaches {target}")


def type_into(page: Page, field: str, text: str) -> None:
    tab_to(page, field)
    page.keyboard.type(text)


def saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_text(re.compile("^Saved "))


def test_a_badge_is_made_from_blank_by_keyboard_alone(scene: Scene, teacher: Visitor, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(teacher.home)
    tab_to(page, "start-blank")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What it stands for", level=1)).to_be_visible()
    type_into(page, "f-name", "Careful Reading")
    type_into(page, "f-description", "Reads what is there.")
    type_into(page, "f-criteria", "Reads **closely**, twice.")
    expect(page.locator("#criteria-view strong")).to_have_text("closely")
    type_into(page, "f-level", "Advanced")
    type_into(page, "f-picture-alt", "A book")
    tab_to(page, "f-picture-shape-hexagon")
    page.keyboard.press("ArrowRight")
    tab_to(page, "What must be shown")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="What must be shown", level=1)).to_be_visible()
    tab_to(page, "f-rows-r1-required-l3")
    page.keyboard.press("ArrowLeft")
    type_into(page, "f-rows-r1-name", "Finds the claim")
    type_into(page, "f-rows-r1-levels-l1-description", "Finds a sentence.")
    tab_to(page, "add-row")
    page.keyboard.press("Enter")
    expect(page.locator("[data-row]")).to_have_count(2)
    page.wait_for_function("document.activeElement.name && document.activeElement.name.endsWith('.name')")
    page.keyboard.type("Weighs the reasons")
    saved(page)
    second = page.locator("[data-row]").nth(1).get_attribute("data-row")
    page.keyboard.press("Shift+Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement.id") == f"row-{second}-up":
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[data-row] h2").first).to_have_text("Weighs the reasons")
    page.wait_for_function(f"document.activeElement.id === 'row-{second}-down'")
    expect(page.locator("[data-sentence]")).to_contain_text("Developing in “Weighs the reasons” and “Finds the claim”")
    tab_to(page, "Where grades come from")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Where grades come from", level=1)).to_be_visible()
    tab_to(page, "all-column")
    page.keyboard.press("Enter")
    expect(page.locator("#f-rows-r1-source")).to_have_value("column")
    page.wait_for_function("document.activeElement.id === 'all-column'")
    tab_to(page, "f-release-immediate")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    type_into(page, "f-release_at", "01312027")
    page.keyboard.press("Tab")
    page.keyboard.type("1200PM")
    saved(page)
    tab_to(page, "Preview before publishing")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/plan|check"))
    assert page.locator(".fproblem:visible").all_text_contents() == []
    expect(page.get_by_role("heading", name="Before you publish", level=1)).to_be_visible()

    found = stored(scene)
    assert found.draft is not None and found.slug == "careful-reading"
    made = badge_from_content(found.draft)
    assert [(row.name, row.required_level, row.source) for row in made.sub_competencies] == [
        ("Weighs the reasons", "Developing", "column"),
        ("Finds the claim", "Developing", "column"),
    ]
    assert (made.level, made.picture.shape, made.release) == ("Advanced", "cushion", "2027-01-31T11:00:00Z")


def test_what_is_typed_without_a_connection_is_kept_and_sent_when_it_is_back(
    scene: Scene, teacher: Visitor, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(f"{blank(teacher)}/about")
    page.locator("#f-name").fill("Before")
    saved(page)
    context.set_offline(True)
    page.locator("#f-description").fill("Typed in a tunnel.")
    expect(page.locator("#saved")).to_have_text("No connection. What you type is kept here and sent again.")
    page.locator("#add-alignment").dispatch_event("click")
    expect(page.locator("#saved")).to_have_text(re.compile("^No connection"))
    assert stored(scene).working["description"] == ""  # type: ignore[index]
    context.set_offline(False)
    saved(page)
    assert stored(scene).working["description"] == "Typed in a tunnel."  # type: ignore[index]
    expect(page.locator("#f-description")).to_have_value("Typed in a tunnel.")


def test_what_is_typed_after_the_session_has_ended_is_put_in_again_after_the_next_launch(
    scene: Scene, teacher: Visitor, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(f"{blank(teacher)}/about")
    page.locator("#f-name").fill("Kept")
    saved(page)
    with scene.tool.db.write() as session:
        session.get_one(Launch, teacher.launch).expires_at = now() - timedelta(minutes=1)
    page.locator("#f-description").fill("Typed too late.")
    expect(page.get_by_role("alert").filter(has_text="This page has ended")).to_be_visible()
    expect(page.locator("#f-description")).to_have_value("Typed too late.")
    assert stored(scene).working["description"] == ""  # type: ignore[index]

    again = scene.launch_again(teacher, "teacher1")
    page.goto(f"{again.home}badges/{stored(scene).slug}/edit")
    expect(page.locator("#put-back")).to_be_visible()
    expect(page.locator("#f-description")).to_have_value("Typed too late.")
    saved(page)
    assert stored(scene).working["description"] == "Typed too late."  # type: ignore[index]
    page.reload()
    expect(page.locator("#put-back")).to_be_hidden()


def test_the_later_of_two_people_is_told_in_the_page_and_chooses(
    scene: Scene, teacher: Visitor, context: BrowserContext
) -> None:
    page = context.new_page()
    address = blank(teacher)
    page.goto(f"{address}/about")
    other = session_of_page(scene.tool, scene.launch("teacher1"))
    badge = address.rpartition("/")[2]
    told = [drafts.Change("name", "Hers", ""), drafts.Change("description", "Hers too", "")]
    drafts.save(scene.tool, other, badge, told, revision=0, actor="person:somebody", now=now())
    page.locator("#f-name").fill("Mine")
    note = page.locator("#clashes")
    expect(note).to_contain_text("“Hers” stands there now; you wrote “Mine”.")
    assert stored(scene).working["name"] == "Hers"  # type: ignore[index]
    page.get_by_role("button", name="Keep what I wrote").click()
    saved(page)
    assert stored(scene).working["name"] == "Mine"  # type: ignore[index]
    page.locator("#f-description").fill("Mine too")
    expect(note).to_contain_text("“Hers too” stands there now")
    page.get_by_role("button", name="Take what stands there now").click()
    expect(page.locator("#f-description")).to_have_value("Hers too")
    expect(note).to_be_hidden()


def test_rows_are_moved_by_dragging_and_levels_chosen_by_a_click(
    scene: Scene, teacher: Visitor, context: BrowserContext
) -> None:
    teacher.post("library/empathy")
    page = context.new_page()
    page.goto(f"{teacher.home}badges/empathy/edit")
    page.get_by_role("link", name="What must be shown").click()
    names = page.locator("[data-row] h2").all_text_contents()
    grip = page.locator("[data-grip]").first
    box, third = grip.bounding_box(), page.locator("[data-row]").nth(2).bounding_box()
    assert box and third
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, third["y"] + third["height"] - 4, steps=6)
    page.mouse.up()
    expect(page.locator("[data-row] h2").nth(2)).to_have_text(names[0])
    page.locator("[data-row]").nth(2).locator(".lvpick").nth(3).click()
    saved(page)
    made = badge_from_content(stored(scene).draft)  # type: ignore[arg-type]
    assert [row.name for row in made.sub_competencies] == [names[1], names[2], names[0], names[3]]
    assert made.sub_competencies[2].required_level == "Advanced"


def test_without_script_a_step_is_saved_by_its_button_and_says_what_is_missing(
    scene: Scene, teacher: Visitor, browser: Browser
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    bring_cookies(context, teacher)
    page = context.new_page()
    page.goto(f"{blank(teacher)}/about")
    page.locator("#f-name").fill("No script")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#f-description-problem")).to_contain_text("Say in a sentence or two")
    expect(page.locator("#f-name")).to_have_value("No script")
    page.get_by_role("button", name="What must be shown").click()
    page.locator("#f-rows-r1-name").fill("A row")
    page.get_by_role("button", name="Add a sub-competency").click()
    expect(page.locator("[data-row]")).to_have_count(2)
    assert stored(scene).working["rows"][0]["name"] == "A row"  # type: ignore[index]
    context.close()


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><script>1</script><circle cx="4" cy="4" r="4"/></svg>'


def test_a_picture_is_designed_in_sight_or_sent_as_a_file(
    scene: Scene, teacher: Visitor, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(f"{blank(teacher)}/about")
    with page.expect_response(lambda answer: "icon=heart" in answer.url) as drawn:
        page.locator("#f-picture-icon-heart").check(force=True)
    assert drawn.value.ok
    page.locator("#f-picture-dark").fill("#ffeecc")
    expect(page.locator("#f-picture-problem")).to_contain_text("too light")
    page.get_by_role("button", name=re.compile("Colours #1E4F3B")).click()
    expect(page.locator("#f-picture-problem")).to_be_hidden()
    page.locator("#picture-file").set_input_files({"name": "x.gif", "mimeType": "image/gif", "buffer": b"GIF89a"})
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("alert")).to_contain_text("neither a PNG nor an SVG")
    own = {"name": "own.svg", "mimeType": "image/svg+xml", "buffer": SVG.encode()}
    page.locator("#picture-file").set_input_files(own)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("Your own file: own.svg")).to_be_visible()
    page.locator("#picture").evaluate("image => image.decode()")
    page.get_by_role("button", name="Have it drawn instead").click()
    expect(page.locator("#f-picture-icon-heart")).to_be_checked()


def test_axe_finds_nothing_on_any_page_of_the_editor(scene: Scene, teacher: Visitor, context: BrowserContext) -> None:
    address = blank(teacher)
    teacher.post("library/spreadsheet-analysis")
    page = context.new_page()
    page.goto(f"{teacher.home}badges/spreadsheet-analysis/edit")
    full = page.url.rpartition("/")[0]
    steps = ("about", "rubric", "grades")
    pages = [f"{at}/{step}{query}" for at, query in ((address, "?check=yes"), (full, "")) for step in steps]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for each in (*pages, teacher.home, f"{teacher.home}other-courses"):
            page.goto(each)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            found = Axe().run(page)
            assert found.violations_count == 0, f"{scheme} {each}\n{found.generate_report()}"
            if scheme == "light":
                for width in (360, 768, 1100):
                    page.set_viewport_size({"width": width, "height": 900})
                    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (each, width)
