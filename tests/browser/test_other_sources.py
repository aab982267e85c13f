"""Grades that do not come from the gradebook: a row of Moodle's own rubric, and a file, as an instructor uses them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Demo
from tests.browser.test_awards import looked_at
from tests.browser.test_story import enter_as

LEVELS = "".join(
    f'\n[[sub_competency.level]]\nname = "{name}"\npoints = {points}\ndescription = "{name} work."\n'
    for points, name in enumerate(("Beginning", "Developing", "Proficient", "Advanced"), start=1)
)
BADGE = f"""
[badge]
slug = "talking"
name = "Talking to People"
description = "Speaks to be understood."
criteria = "Speaks, and is understood."
picture = {{ shape = "hexagon", icon = "speech", colours = ["#0E5468", "#F2B35E"], alt = "A speech bubble" }}

[[sub_competency]]
code = "OC-1"
name = "Adapts the message to the audience"
required_level = "Proficient"
source = "moodle-rubric"
{LEVELS}
[[sub_competency]]
code = "OC-9"
name = "Speaks outside the course"
required_level = "Proficient"
source = "csv"
{LEVELS}"""


@pytest.fixture
def desk(demo: Demo, blocking: BrowserContext) -> Page:
    return blocking.new_page()


def test_an_instructor_reads_a_row_from_moodle_and_another_from_a_file(demo: Demo, desk: Page, tmp_path: Path) -> None:
    page = desk
    tool = page.frame_locator("iframe[name=tool]")
    enter_as(page, demo, "moodle", "instructor")
    expect(tool.get_by_role("heading", level=1)).to_be_visible()
    course = page.url.split("/course/")[1].split("?")[0]
    platforms = json.loads(demo.command("platforms", "list", "--json"))
    moodle = next(str(each["id"]) for each in platforms if "moodle" in each["issuer"])
    (tmp_path / "talking.toml").write_text(BADGE)
    demo.command("badges", "import", str(tmp_path / "talking.toml"), "--platform", moodle, "--context", course)

    # Her own token, made in Moodle and tried at once; a wrong one says what to click.
    person = page.url.split("as=")[1]
    page.goto(f"{demo.lms}/moodle/web-services?as={person}")
    page.get_by_role("button", name="Create token").click()
    token = page.locator("code").last.inner_text()
    page.goto(f"{demo.lms}/moodle/course/{course}?as={person}")
    tool.get_by_role("link", name="Talking to People").first.click()
    tool.get_by_role("link", name="Sources").first.click()
    looked_at(page, "moodle-not-connected", "Sources")
    tool.get_by_label("Your token").fill("0123456789abcdef")
    tool.get_by_role("button", name="Try it and connect").click()
    expect(tool.get_by_role("alert")).to_contain_text("Moodle does not know this token")
    looked_at(page, "moodle-refused")
    tool.get_by_label("Your token").fill(token)
    tool.get_by_role("button", name="Try it and connect").click()
    expect(tool.get_by_text("The token works")).to_be_visible()
    expect(tool.locator("select")).to_have_count(1)
    looked_at(page, "moodle-matching")
    tool.get_by_role("button", name="Confirm these").click()
    expect(tool.get_by_text("Saved. The next sync reads from there.")).to_be_visible()
    tool.get_by_role("link", name="Set-up").first.click()
    looked_at(page, "plan-with-file", "Grades from a file")
    tool.get_by_role("button", name="Publish").first.click()
    expect(tool.get_by_role("link", name="File", exact=True)).to_be_visible()

    # The rubric is filled in in Moodle.
    page.goto(f"{demo.lms}/moodle/course/{course}/assignments?as={person}")
    page.get_by_role("link", name="Talk to the class").click()
    page.get_by_label("OC-1 Adapts the message to the audience, Amina Okafor", exact=True).select_option("3")
    page.get_by_role("button", name="Save rubrics").first.click()
    expect(page.get_by_text("Rubrics saved.")).to_be_visible()

    # The table of the class is downloaded, filled in with one slip, and sent.
    page.goto(f"{demo.lms}/moodle/course/{course}?as={person}")
    tool.get_by_role("link", name="Talking to People").first.click()
    tool.get_by_role("button", name="Sync now").click()
    expect(tool.locator("[data-job]")).to_have_count(0)
    tool.get_by_role("link", name="File", exact=True).click()
    looked_at(page, "file", "Grades from a file")
    with page.expect_download() as download:
        tool.get_by_role("link", name="Download the table").click()
    rows = list(csv.reader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert rows[0][-1] == "OC-9 Speaks outside the course" and len(rows) > 30
    for line in rows[1:]:
        line[-1] = {"Amina Okafor": "Advanced", "Liam Brennan": "2,5", "Zoë Krüger": "Excellent"}.get(line[2], "")
    with (tmp_path / "filled.csv").open("w", encoding="cp1252", errors="replace", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    tool.get_by_label("File", exact=True).set_input_files(tmp_path / "filled.csv")
    tool.get_by_role("button", name="Look at what it would do").click()
    looked_at(page, "file-shown", "What this file would do")
    expect(tool.get_by_text("“Excellent” is none of its levels")).to_be_visible()
    tool.get_by_role("button", name="Take 2 grades").click()
    looked_at(page, "file-taken", "Taken from a file")
    expect(tool.get_by_text("2 grades were taken from it.")).to_be_visible()
    tool.get_by_role("link", name="Awards").first.click()
    expect(tool.get_by_text("Amina Okafor").first).to_be_visible()
