"""Every template in every state: nothing undefined, nothing the pages' policy forbids, every field labelled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from lxml import html
from sample_pages import PAGES, ROOT, create_samples, render


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_samples()


@pytest.fixture(params=sorted(PAGES))
def page(app: Flask, request: pytest.FixtureRequest) -> Iterator[html.HtmlElement]:
    with app.test_request_context(f"/page/{request.param}"):
        yield html.document_fromstring(render(request.param))


def text_of(element: html.HtmlElement) -> str:
    return " ".join(element.text_content().split())


def test_every_page_of_a_person_has_a_sample() -> None:
    shells = {"instructor/badge_base.html", "instructor/record_aside.html", "instructor/changes.html"}
    shells |= {"instructor/marking_parts.html", "instructor/marking_states.html", "instructor/gradebook_parts.html"}
    shells |= {"instructor/edit_base.html", "instructor/edit_parts.html", "instructor/edit_stack.html"}
    shells |= {"student/notifications.html", "student/evidence_parts.html", "student/keep_link.html"}
    for folder in ("instructor", "student", "public", "own"):
        there = {f"{folder}/{path.name}" for path in (ROOT / "templates" / folder).glob("*.html")} - shells
        assert there == {template for template, _ in PAGES.values() if template.startswith(f"{folder}/")}
    # Of the administrator's, those about people's data; the others have their tests over HTTP.
    about_people = {f"admin/{name}.html" for name in ("requests", "request", "erase", "retention", "figures")}
    assert about_people <= {template for template, _ in PAGES.values()}


def test_a_page_has_no_inline_style_script_or_handler(page: html.HtmlElement) -> None:
    assert not page.xpath("//*[@style]")
    assert not page.xpath("//style")
    assert not page.xpath("//script[not(@src) and not(@type='application/ld+json')]")  # that is data, and runs nothing
    assert not [name for element in page.iter() for name in element.attrib if name.startswith("on")]
    assert not page.xpath("//*[starts-with(@href, 'javascript:')]")


def test_a_page_loads_nothing_from_elsewhere(page: html.HtmlElement) -> None:
    loaded = page.xpath("//script/@src | //img/@src | //link[@rel='stylesheet' or @rel='icon']/@href")
    assert loaded and all(address.startswith("/") for address in loaded)


def test_every_field_has_a_label(page: html.HtmlElement) -> None:
    for control in page.xpath("//input[not(@type='hidden')] | //select | //textarea"):
        labels = control.xpath("ancestor::label")
        if control.get("id"):
            labels += page.xpath(f"//label[@for='{control.get('id')}']")
        assert any(text_of(label) for label in labels), html.tostring(control)


def test_every_button_link_and_picture_has_words(page: html.HtmlElement) -> None:
    for control in page.xpath("//button | //a"):
        assert text_of(control) or control.get("aria-label"), html.tostring(control)
    assert not page.xpath("//img[not(@alt)]")
    for drawing in page.xpath("//svg[not(ancestor::svg)]"):
        hidden = drawing.get("aria-hidden") == "true"
        assert hidden or drawing.xpath("ancestor::*[@role='img'][@aria-label]"), html.tostring(drawing)


def test_every_post_form_carries_the_token(page: html.HtmlElement) -> None:
    for form in page.xpath("//form[@method='post']"):
        # What anybody may do, or whoever holds a mail's secret; and one form goes to the LMS.
        open_to_all = (form.get("action") or "").startswith(("/verify", "/lti/again", "/own/send", "/own/confirm/"))
        by_a_mail = bool(form.xpath(".//button[@name='on']"))
        if not (open_to_all or by_a_mail) and form.get("data-send") is None:
            assert form.xpath(".//input[@name='csrf']/@value") == ["c5rf"], html.tostring(form)


def test_a_page_has_one_main_one_title_one_first_heading_and_no_id_twice(page: html.HtmlElement) -> None:
    assert len(page.xpath("//main")) == 1
    assert len(page.xpath("//h1")) == 1
    assert text_of(page.find(".//title"))
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "aria-describedby", "form", "for"):
        for value in page.xpath(f"//@{attribute}"):
            assert set(value.split()) <= set(ids), value
    for address in page.xpath("//*[local-name()='use']/@href"):
        assert address.removeprefix("#") in ids, address


def test_no_tabindex_changes_the_order(page: html.HtmlElement) -> None:
    assert set(page.xpath("//@tabindex")) <= {"0", "-1"}


def test_the_record_comes_alone_when_asked_for(app: Flask) -> None:
    answer = app.test_client().get(
        "/course/L/oral-communication/record/p1/sub-competency:OC-3", headers={"X-Fragment": "record"}
    )
    assert answer.text.strip().startswith('<aside class="record"')
    assert "<html" not in answer.text


def test_the_matrix_s_pages_are_turned_by_its_own_form(app: Flask) -> None:
    with app.test_request_context("/"):
        page = html.document_fromstring(render("badge-filtered"))
    assert text_of(page.get_element_by_id("shown")) == "Learners 51 to 52 of 230"
    turning = page.xpath("//button[@name='page'][@form='filters']/@value")
    assert turning == ["1", "3"]
    assert page.xpath("//select[@name='section']/option[@selected]/@value") == ["7"]


def test_a_page_names_the_clicks_that_keep_columns_out_of_the_total(app: Flask) -> None:
    with app.test_request_context("/"):
        assert "Do not count this assignment towards the final grade" in render("plan")
        assert "Gradebook setup" in render("plan-moodle")


def test_a_credential_page_is_not_for_search_engines_and_names_nobody_unasked(app: Flask) -> None:
    with app.test_request_context("/"):
        page = html.document_fromstring(render("credential"))
    assert page.xpath("//meta[@name='robots']/@content") == ["noindex, nofollow"]
    assert "whose name is not shown" in text_of(page)


@pytest.mark.parametrize("state", ["revoked", "expired", "superseded", "pending"])
def test_a_credential_that_is_not_in_force_says_so_first(app: Flask, state: str) -> None:
    with app.test_request_context("/"):
        page = html.document_fromstring(render(f"credential-{state}"))
    assert page.xpath("//section[contains(@class, 'hero')]//*[contains(@class, 'note')]//strong")


def test_the_style_sheet_and_script_name_nothing_outside() -> None:
    for name in ("app.css", "app.js", "editor.js"):
        text = (ROOT / "static" / name).read_text()
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), name
    for address in re.findall(r'url\("([^"]+)"\)', (ROOT / "static" / "app.css").read_text()):
        assert (ROOT / "static" / Path(address)).is_file()
