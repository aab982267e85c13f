"""Showing a badge: the learner's page, what LinkedIn is told, links that end, previews, and what a stranger's gets."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from lxml import html
from PIL import Image
from sqlalchemy import select, update

from lti_tool.credentials.verify import PASSED
from lti_tool.models import Award, Issuer, ShareLink
from lti_tool.services import award_acts, checking, choices, link_previews, share_links, typeset
from lti_tool.services.choices import Choices
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.evidence import PDF
from tests.scene import Scene, now
from tests.web.test_evidence import desk, public_address, rows_of, show, shown  # noqa: F401 (fixtures)

PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def make_claimed(room, told: Choices, definition=None):  # noqa: F811
    """A badge that the first student has earned and claimed with these choices; her browser is `room.student`."""
    room.publish(definition or badge())
    room.grade(room.students[0], 3, 4)
    room.sync()
    room.student = room.enter(room.students[0])
    choose(room, told)
    room.show = f"badges/{room.badge.slug}/show"
    return room


def choose(room, told: Choices) -> None:  # noqa: F811
    choices.choose(room.tool, room.award()["id"], told, actor="operator", now=now())
    room.url = room.award()["credential_url"]


@pytest.fixture
def claimed(room):  # noqa: F811
    return make_claimed(room, Choices(public=True))


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=20)


def tree(answer: requests.Response) -> html.HtmlElement:
    return html.document_fromstring(answer.text)


def told(room) -> dict[str, list[str]]:  # noqa: F811
    """Return what LinkedIn is told, by the redirect that leads there."""
    answer = room.student.get(f"{room.show}/linkedin", allow_redirects=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["Location"])
    assert (where.scheme, where.netloc, where.path) == ("https", "www.linkedin.com", "/profile/add")
    assert answer.headers["Location"].isascii() and "+" not in where.query
    return parse_qs(where.query, strict_parsing=True)


# -- LinkedIn ---------------------------------------------------------------------------------------------------


def test_linkedin_is_told_the_badge_the_issuer_the_dates_the_address_and_the_number(room):  # noqa: F811
    name = "Réseaux & “Übung” + 100 % 话语"
    make_claimed(room, Choices(public=True), badge(name=name, expires_after="P3Y"))
    issued = now()
    found = told(room)
    with room.tool.db.read() as session:
        issuer = session.scalars(select(Issuer)).one().name
    assert found == {
        "startTask": ["CERTIFICATION_NAME"],
        "name": [name],
        "organizationName": [issuer],
        "issueYear": [str(issued.year)],
        "issueMonth": [str(issued.month)],
        "expirationYear": [str(issued.year + 3)],
        "expirationMonth": [str(issued.month)],
        "certUrl": [room.url],
        "certId": [room.url.rpartition("/")[2]],
    }


def test_linkedin_is_told_the_organisation_by_its_number_where_the_issuer_has_one(claimed):
    with claimed.tool.db.write() as session:
        session.execute(update(Issuer).values(linkedin="206815"))
    try:
        found = told(claimed)
    finally:
        with claimed.tool.db.write() as session:
            session.execute(update(Issuer).values(linkedin=""))
    assert found["organizationId"] == ["206815"] and "organizationName" not in found and "expirationYear" not in found


def test_what_needs_the_public_page_is_not_there_while_it_is_off_and_says_so(room):  # noqa: F811
    make_claimed(room, Choices())
    page = room.student.get(room.show)
    assert page.status_code == 200 and page.text.count("It needs the public page, which is off.") == 2
    assert room.url not in " ".join(tree(page).xpath("//textarea/text() | //code/text()"))
    for path in ("linkedin", "qr.svg"):
        assert room.student.get(f"{room.show}/{path}", allow_redirects=False).status_code == 404
    assert room.student.post(f"{room.show}/page", {"public": "yes"}).status_code == 200
    assert get(room.url).status_code == 200 and told(room)["certUrl"] == [room.url]
    room.student.post(f"{room.show}/page", {"public": "no"})
    assert get(room.url).status_code == 404


def test_the_ways_that_are_offered_hold_the_address_and_no_script(room):  # noqa: F811
    make_claimed(room, Choices(public=True, name=True), badge(name='A "quoted" <b>'))
    page = tree(room.student.get(room.show))
    line, embedded, card = (page.xpath(f"//textarea[@id='{each}']/text()")[0] for each in
                            ("t-resume", "t-badge", "t-card"))  # fmt: skip
    assert line.rstrip().endswith(room.url) and 'A "quoted" <b>' in line
    for snippet, picture in ((embedded, f"{room.url}.png"), (card, f"{room.url}/preview.png")):
        (link,) = html.fragments_fromstring(snippet)
        (image,) = link
        assert (link.tag, link.attrib, image.tag) == ("a", {"href": room.url}, "img")
        assert image.get("src") == picture and get(picture).status_code == 200
        assert 'A "quoted" <b>' in image.get("alt") and room.students[0].name in image.get("alt")
        assert set(image.attrib) == {"src", "alt", "width", "height"}
    code = room.student.get(f"{room.show}/qr.svg")
    assert code.headers["Content-Type"].startswith("image/svg+xml") and b"<script" not in code.content


def test_D14_nobody_opens_the_page_of_a_badge_that_is_not_hers_or_not_claimed(room):  # noqa: F811
    make_claimed(room, Choices(public=True))
    other = room.enter(room.students[1])
    for path in ("", "/linkedin", "/qr.svg"):
        assert other.get(f"{room.show}{path}", allow_redirects=False).status_code == 404
        assert room.page.get(f"/me/{room.page.launch}/{room.show}{path}", allow_redirects=False).status_code == 404
    for path in ("/links", "/page", "/links/x/end"):
        assert other.post(f"{room.show}{path}", {"days": "30", "public": "no"}).status_code == 404
    assert get(room.url).status_code == 200
    with room.tool.db.read() as session:
        assert session.scalar(select(ShareLink).where(ShareLink.award_id == room.award()["id"])) is None


# -- links that end ---------------------------------------------------------------------------------------------


def make_link(room, *shows: str, days: str = "30", label: str = "") -> str:  # noqa: F811
    answer = room.student.post(f"{room.show}/links", {"shows": list(shows), "days": days, "label": label})
    assert answer.status_code == 200, answer.text[:300]
    (url,) = tree(answer).xpath("//li[contains(@class, 'fresh-link')]//code/text()")
    return str(url)


def test_a_link_is_made_copied_again_opened_counted_and_ended(room):  # noqa: F811
    make_claimed(room, Choices(name=True))  # no public page
    url = make_link(room, "levels", "course", label="For the council")
    assert re.fullmatch(rf"{room.scene.url}/shared/[A-Za-z0-9_-]{{22}}", url)
    opened = get(url, **PERSON)
    assert opened.status_code == 200 and room.students[0].name not in opened.text and "Proficient" in opened.text
    assert opened.headers["X-Robots-Tag"] == "noindex" and opened.headers["Cache-Control"] == "private, no-store"
    assert "For the council" not in opened.text
    get(url, **{"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"})
    room.student.get(url.removeprefix(room.scene.url))  # her own look
    page = tree(room.student.get(room.show))
    assert page.xpath("//code/text()").count(url) == 1 and "Opened once." in page.text_content()
    (form,) = page.xpath("//form[contains(@action, '/end')]/@action")
    room.student.post(form)
    assert get(url, **PERSON).status_code == 404
    after = room.student.get(room.show)
    assert url not in after.text and "You ended it on" in after.text and "Opened once." in after.text


def test_I24_an_ended_an_expired_and_an_unknown_link_answer_alike(claimed):
    ended, expired = make_link(claimed), make_link(claimed, days="7")
    with claimed.tool.db.write() as session:
        for link in session.scalars(select(ShareLink).where(ShareLink.award_id == claimed.award()["id"])):
            link.ended_at = now() if link.expires_at > now() + timedelta(days=20) else None
            link.expires_at = link.expires_at if link.ended_at else now()
    answers = [get(f"{url}{path}") for path in ("", "/preview.png")
               for url in (ended, expired, f"{claimed.scene.url}/shared/{'A' * 22}")]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    bodies = [re.sub("[0-9A-Fa-f]{8,}", "", answer.text) for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2] and bodies[3] == bodies[4] == bodies[5]


def test_a_shared_page_offers_no_file_and_no_way_to_the_credential(room):  # noqa: F811
    make_claimed(room, Choices(public=True, name=True))
    url = make_link(room, "levels")
    answer = get(url, **PERSON)
    number = room.url.rpartition("/")[2]
    assert (
        number not in answer.text and "application/ld+json" not in answer.text and 'rel="alternate"' not in answer.text
    )
    assert not tree(answer).xpath("//link[@rel='canonical']")
    assert get(url, Accept="application/json").headers["Content-Type"].startswith("text/html")
    for path in (".json", ".png", ".pdf", "/refresh"):
        assert get(f"{url}{path}").status_code == 404
    (picture,) = tree(answer).xpath("//meta[@property='og:image']/@content")
    assert picture == f"{url}/preview.png" and get(picture).headers["Cache-Control"] == "private, no-store"


def test_a_form_that_is_wrong_loses_nothing_that_was_typed(claimed):
    answer = claimed.student.post(f"{claimed.show}/links", {"shows": ["course"], "days": "4", "label": "For Acme"})
    page = tree(answer)
    assert answer.status_code == 400 and page.xpath("//input[@id='l-label']/@value") == ["For Acme"]
    assert page.xpath("//input[@name='shows'][@checked]/@value") == ["course"]


# -- the page that an employer reads ----------------------------------------------------------------------------


def structured(answer: requests.Response) -> dict:
    (text,) = tree(answer).xpath("//script[@type='application/ld+json']/text()")
    assert "<" not in text and "&" not in text
    return json.loads(text)


def test_I19_a_page_tells_machines_what_it_shows_and_text_in_it_ends_no_element(room):  # noqa: F811
    hostile = "</script><img src=x onerror=alert(1)>{{7*7}}"
    make_claimed(room, Choices(public=True), badge(name=hostile, description="<!--" + hostile))
    answer = get(room.url)
    assert "<img src=x" not in answer.text and "49" not in tree(answer).xpath("//h1")[0].text_content()
    found = structured(answer)
    assert (found["@type"], found["name"], found["url"]) == ("EducationalOccupationalCredential", hostile, room.url)
    assert {each["contentUrl"] for each in found["encoding"]} >= {f"{room.url}.json", f"{room.url}.pdf"}
    alternates = tree(answer).xpath("//link[@rel='alternate']/@href")
    assert [get(each).status_code for each in alternates] == [200] * len(alternates) and len(alternates) == 5
    achievement = get(room.award()["achievement"])
    assert structured(achievement)["name"] == hostile and "<img src=x" not in achievement.text


def test_I20_a_page_names_nobody_and_is_not_listed_until_its_learner_says_so(claimed):
    student = claimed.students[0]
    plain = get(claimed.url)
    for secret in (student.name, student.email):
        assert secret not in plain.text
    assert "@graph" not in structured(plain) and plain.headers["X-Robots-Tag"] == "noindex"
    assert tree(plain).xpath("//meta[@name='robots']/@content") == ["noindex, nofollow"]
    before = json.loads(get(f"{claimed.url}.json").text)
    choose(claimed, Choices(public=True, search=True))
    listed = get(claimed.url)
    assert "X-Robots-Tag" not in listed.headers and not tree(listed).xpath("//meta[@name='robots']")
    assert json.loads(get(f"{claimed.url}.json").text) == before  # it changes no credential
    assert get(f"{claimed.url}.json").headers["X-Robots-Tag"] == "noindex"
    choose(claimed, Choices(public=True, search=True, name=True))
    named = structured(get(claimed.url))
    assert named["@graph"][1]["name"] == student.name
    choose(claimed, Choices(public=False, search=True, name=True))
    with claimed.tool.db.read() as session:
        assert session.get_one(Award, claimed.award()["id"]).searchable is False
    choose(claimed, Choices(public=True, search=True, name=True))
    award_acts.revoke(claimed.tool, claimed.award()["id"], "Given by mistake.", actor="operator", now=now())
    assert get(claimed.url).headers["X-Robots-Tag"] == "noindex"


def test_a_page_that_is_taken_down_answers_404_and_its_file_still_verifies(claimed):
    file = get(f"{claimed.url}.json").content
    claimed.student.post(f"{claimed.show}/page", {"public": "no"})
    for path in ("", ".json", ".png", ".pdf", "/preview.png", "/refresh"):
        assert get(f"{claimed.url}{path}").status_code == 404, path
    report = checking.check(claimed.tool, file, now())
    assert [each.outcome for each in report.checks] == [PASSED] * len(report.checks)


def test_a_page_says_who_judged_and_shows_points_only_where_they_were_chosen(claimed):
    assert "They grade each row, and the grade counts as the level it reaches." in get(claimed.url).text
    assert "4 of 4 points" not in get(claimed.url).text
    choose(claimed, Choices(public=True, grades=True))
    assert "4 of 4 points" in get(claimed.url).text


def test_a_public_page_keeps_to_itself(claimed):
    for url in (claimed.url, claimed.award()["achievement"], make_link(claimed), f"{claimed.scene.url}/credentials/x"):
        answer = get(url)
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["X-Frame-Options"] == "DENY"
        assert "camera=()" in answer.headers["Permissions-Policy"] and "Set-Cookie" not in answer.headers
        loaded = tree(answer).xpath("//img/@src | //script/@src | //link[@rel='stylesheet']/@href")
        assert all(each.startswith(("/", claimed.scene.url)) for each in loaded)


def test_L13_who_opens_too_many_pages_waits_and_others_do_not(tmp_path, database_url):
    scene = Scene(tmp_path, database_url, LTI_TOOL_SERVER__PAGES_PER_MINUTE="20", LTI_TOOL_SERVER__TRUSTED_PROXIES="1")
    try:
        one, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
        paths = ("/credentials/x", "/shared/x", "/achievements/x/v1", "/ob2/assertions/x", "/endorsements/x")
        codes = [get(f"{scene.url}{path}", **one).status_code for _ in range(4) for path in (*paths, "/evidence/x")]
        assert set(codes[:20]) == {404} and set(codes[21:]) == {429}
        assert get(f"{scene.url}/credentials/x", **other).status_code == 404
        assert get(f"{scene.url}/status/1", **one).status_code != 429  # a verifier asks for it each time
    finally:
        scene.stop()


# -- the picture beside a link ----------------------------------------------------------------------------------


def test_I18_a_preview_is_a_png_of_its_size_with_the_headers_of_a_picture(claimed):
    for url in (claimed.url, claimed.award()["achievement"]):
        answer = get(f"{url}/preview.png")
        image = Image.open(io.BytesIO(answer.content))
        assert (image.format, image.size) == ("PNG", (1200, 630))
        assert answer.headers["Content-Type"] == "image/png" and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"  # other sites show it
        again = get(f"{url}/preview.png", **{"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
        page = tree(get(url))
        assert page.xpath("//meta[@property='og:image']/@content") == [f"{url}/preview.png"]
        assert page.xpath("//meta[@name='twitter:card']/@content") == ["summary_large_image"]


def test_I20_a_preview_says_her_name_only_where_the_page_does_and_what_became_of_the_award(claimed, monkeypatch):
    said = []
    real = link_previews.link_preview
    monkeypatch.setattr(link_previews, "link_preview", lambda preview: said.append(preview) or real(preview))
    monkeypatch.setattr(link_previews, "kept", typeset.Typeset())
    for _ in range(2):
        get(f"{claimed.url}/preview.png")
    choose(claimed, Choices(public=True, name=True))
    get(f"{claimed.url}/preview.png")
    get(f"{make_link(claimed, 'levels')}/preview.png")
    get(f"{make_link(claimed, 'name')}/preview.png")
    award_acts.revoke(claimed.tool, claimed.award()["id"], "Given by mistake.", actor="operator", now=now())
    get(f"{claimed.url}/preview.png")
    name = claimed.students[0].name
    # Those that say the same were made once.
    assert [(each.holder, each.state) for each in said] == [("", ""), (name, ""), (name, "Withdrawn")]


def test_nothing_of_a_private_award_has_a_preview(room):  # noqa: F811
    make_claimed(room, Choices())
    assert get(f"{room.url}/preview.png").status_code == 404
    own = room.student.get(f"{room.url.removeprefix(room.scene.url)}/preview.png")
    assert own.status_code == 200 and own.headers["Cache-Control"] == "private, no-store"


# -- the claim page ---------------------------------------------------------------------------------------------


def test_a_first_claim_leads_to_the_ways_to_show_it_and_search_engines_are_asked_for_by_name(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 4)
    room.sync()
    student = room.enter(room.students[0])
    claim = f"badges/{room.badge.slug}/claim"
    assert not tree(student.get(claim)).xpath("//input[@name='search'][@checked]")
    done = student.post(claim, {"inside": "yes", "public": "yes", "search": "yes", "levels": "yes"})
    assert (
        done.url.endswith("/show?claimed=yes")
        and "The badge is yours now." in done.text
        and "Search engines may list it." in done.text
    )
    assert tree(student.get(claim)).xpath("//input[@name='search'][@checked]")
    again = student.post(claim, {"inside": "yes", "public": "yes", "levels": "yes"})
    assert again.url.endswith("/claim")
    with room.tool.db.read() as session:
        assert session.get_one(Award, room.award()["id"]).searchable is False


# -- a file among her evidence ----------------------------------------------------------------------------------


def test_a_link_carries_a_file_of_her_evidence_for_as_long_as_it_works_and_no_longer(shown):  # noqa: F811
    show(shown, *(each.id for each in rows_of(shown)), public=False)
    award_id = shown.award()["id"]
    for parts in (["evidence"], ["levels"]):
        share_links.make(shown.tool, award_id, parts, 7, actor="operator", now=now())
    with shown.tool.db.read() as session:
        links = share_links.listed(shown.tool, session, award_id, ("evidence", "levels"), now())
    with_it, without = (next(link for link in links if part in link.shows) for part in ("evidence", "levels"))
    page = get(with_it.url)
    assert f'href="{with_it.url}/evidence/0"' in page.text and public_address(shown) not in page.text
    file = get(f"{with_it.url}/evidence/0")
    assert file.content == PDF and file.headers["Content-Disposition"].startswith("attachment")
    assert file.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    # The second piece is words alone, a third there is not; the other link leaves evidence out.
    for url in (f"{with_it.url}/evidence/1", f"{with_it.url}/evidence/2", f"{without.url}/evidence/0"):
        assert get(url).status_code == 404
    assert "talk.pdf" not in get(without.url).text and "I would ask earlier." not in get(without.url).text
    share_links.end(shown.tool, award_id, with_it.id, actor="operator", now=now())
    assert get(f"{with_it.url}/evidence/0").status_code == 404
