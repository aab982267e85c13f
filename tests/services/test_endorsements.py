"""Somebody outside is asked by a one-time link, and what she says is signed, shown, and can be taken back."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta

import lxml.html
import pytest
import requests
import time_machine
from sqlalchemy import select

from lti_tool.credentials.signing import verify_proof
from lti_tool.credentials.status_list import read_bit
from lti_tool.domain.badge import Stack
from lti_tool.errors import Conflict, NotFound
from lti_tool.models import AuditEvent, Award, Edition, Endorsement, EndorsementRequest
from lti_tool.services import award_acts, checking, choices, editions, endorsements
from lti_tool.services.choices import Choices
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now, token_in

SAID = {
    "name": "Mei Chen",
    "role": "Head of training",
    "organisation": "Acme & Sons",
    "comment": "We hire by it.\nGladly.",
    "confirmed": "yes",
}


@pytest.fixture
def earned(room):  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 3)
    room.sync()
    return room


@pytest.fixture(autouse=True)
def no_limit(shared):  # noqa: F811
    shared.app.extensions["endorse_limit"]._left.clear()


def ask(room, award: str = "", reviewer: str = "Dr Chen at Acme", words: str = "You know our course.") -> str:  # noqa: F811
    """Make a link as an instructor does; the page shows it this once."""
    data = {"reviewer": reviewer, "words": words, "award": award}
    page = room.page.post(f"badges/{room.badge.slug}/endorsements", data).text
    found = re.search(r"<code>(http[^<]*/endorse/[^<]+)</code>", page)
    assert found, page
    return found[1]


def open_link(address: str) -> tuple[requests.Session, requests.Response]:
    from tests.scene import browser_session

    browser = browser_session()
    return browser, browser.get(address, timeout=20)


def say(address: str, **told: str) -> requests.Response:
    browser, page = open_link(address)
    return browser.post(address, data={"csrf": token_in(page.text), **SAID, **told}, timeout=20)


def address_in(answer: requests.Response) -> str:
    found = re.search(r"<code>(http[^<]*/endorsements/[0-9a-f]+)</code>", answer.text)
    assert found, answer.text
    return found[1]


# -- asked and said ---------------------------------------------------------------------------------------------


def test_a_reviewer_of_a_badge_made_of_badges_reads_which_they_are(room):  # noqa: F811
    part = badge(rows=1, name="Finds Sources")
    room.publish(part)
    room.publish(badge(sub_competencies=(), stack=Stack((part.slug,)), name="The Whole"))
    _, answer = open_link(ask(room))
    page = lxml.html.document_fromstring(answer.text)
    assert page.get_element_by_id("h-rubric").text_content() == "Which badges it is made of"
    assert page.xpath("//*[@class='partlist']//a[contains(@href, '/achievements/')]/text()") == ["Finds Sources"]


def test_a_reviewer_without_an_account_endorses_a_badge_and_anybody_can_check_it(earned):
    link = ask(earned)
    _, page = open_link(link)
    assert page.status_code == 200 and "Careful Work" in page.text and "You know our course." in page.text
    address = address_in(say(link))
    shown = requests.get(address, timeout=20).text
    assert "We hire by it." in shown and "Acme &amp; Sons" in shown and "has no account and no key here" in shown
    document = requests.get(f"{address}.json", timeout=20).json()
    assert document["credentialSubject"]["id"] == earned.award()["achievement"]
    assert document["credentialSubject"]["endorsementComment"] == SAID["comment"]
    assert verify_proof(document, earned.tool.keyring.ed25519.public)
    for accept in ("text/html", "application/ld+json"):
        assert requests.get(address, headers={"Accept": accept}, timeout=20).headers["Vary"] == "Accept"
    assert requests.get(address, headers={"Accept": "application/ld+json"}, timeout=20).json() == document
    achievement = requests.get(earned.award()["achievement"], timeout=20).text
    assert "Mei Chen" in achievement and address in achievement


def test_it_is_in_the_credentials_signed_from_then_on_and_in_none_signed_before(earned):
    before = requests.get(f"{_public(earned)}.json", timeout=20).content
    address = address_in(say(ask(earned)))
    assert requests.get(f"{earned.award()['credential_url']}.json", timeout=20).content == before
    earned.grade(earned.students[1], 4)
    earned.sync()
    (award,) = earned.awards(earned.students[1])
    choices.choose(earned.tool, award["id"], Choices(public=True), actor="operator", now=now())
    later = requests.get(f"{award['credential_url']}.json", timeout=20).json()
    assert later["endorsement"] == [requests.get(f"{address}.json", timeout=20).json()]
    assert verify_proof(later, earned.tool.keyring.ed25519.public)
    report = checking.check(earned.tool, json.dumps(later), now())
    assert report.ok and report.outcome("endorsements") == "passed"
    assert "Mei Chen" in requests.get(award["credential_url"], timeout=20).text


def test_one_that_was_taken_back_is_told_and_the_page_says_the_same_each_time_as_verify(earned):
    address = address_in(say(ask(earned)))
    earned.grade(earned.students[1], 4)
    earned.sync()
    (award,) = earned.awards(earned.students[1])
    choices.choose(earned.tool, award["id"], Choices(public=True), actor="operator", now=now())
    with earned.tool.db.read() as session:
        badge_id = session.get_one(Award, award["id"]).course_badge_id
    document = requests.get(f"{award['credential_url']}.json", timeout=20).content
    for taken_back in (False, True):
        if taken_back:
            endorsements.withdraw(
                earned.tool, address.rpartition("/")[2], badge_id, "She asked.", actor="operator", now=now()
            )
        checking._last.cache_clear()  # as in a process that has just started
        asked = checking.check(earned.tool, document, now())
        shown = [checking.own_report(earned.tool, document, now()) for _ in range(3)]
        assert asked.ok and [each.checks for each in shown] == [asked.checks] * 3
        said = next(check.sentence for check in asked.checks if check.name == "endorsements")
        by = "Yes, one, by Mei Chen, Head of training, Acme & Sons."
        assert said == by + (" One has been taken back since." if taken_back else "")
        pages = [requests.get(award["credential_url"], timeout=20).text for _ in range(2)]
        told = [re.search(r">(\d+ of \d+ passed), ", page)[1] for page in pages]
        assert told == ["4 of 4 passed"] * 2
    assert not checking.check(earned.tool, f"{address}.json", now()).ok


def test_what_is_known_of_a_credential_is_not_worked_out_again_when_a_list_changes(earned, monkeypatch):
    say(ask(earned))
    earned.grade(earned.students[1], 4)
    earned.sync()
    (award,) = earned.awards(earned.students[1])
    choices.choose(earned.tool, award["id"], Choices(public=True), actor="operator", now=now())
    document = requests.get(f"{award['credential_url']}.json", timeout=20).content
    first = checking.own_report(earned.tool, document, now())
    award_acts.revoke(earned.tool, earned.award()["id"], "A mistake.", actor="operator", now=now())
    with monkeypatch.context() as patch:
        patch.setattr("lti_tool.credentials.verify.unchanged", None)  # the signatures
        again = checking.own_report(earned.tool, document, now())
    assert again is not first and again.checks == first.checks and first.ok


def _public(room) -> str:  # noqa: F811
    choices.choose(room.tool, room.award()["id"], Choices(public=True), actor="operator", now=now())
    return room.award()["credential_url"]


def test_an_award_is_endorsed_only_while_its_learner_shows_it(earned):
    award_id = earned.award()["id"]
    with pytest.raises(Conflict):
        endorsements.ask_for_badge(
            earned.tool, earned.id, earned.badge.slug, award_id, "Dr Chen", "", actor="operator", now=now()
        )
    _public(earned)
    link = ask(earned, award=award_id)
    choices.choose(earned.tool, award_id, Choices(public=False), actor="operator", now=now())
    assert open_link(link)[1].status_code == 404
    _public(earned)
    address = address_in(say(link))
    document = requests.get(f"{address}.json", timeout=20).json()
    assert document["credentialSubject"]["id"] == earned.award()["credential_url"]
    assert "Mei Chen" in requests.get(earned.award()["credential_url"], timeout=20).text
    choices.choose(earned.tool, award_id, Choices(public=False), actor="operator", now=now())
    assert (
        requests.get(address, timeout=20).status_code == requests.get(f"{address}.json", timeout=20).status_code == 404
    )


def test_an_administrator_has_the_institution_endorsed(earned, shared):  # noqa: F811
    shared.forget_sign_ins()
    admin = shared.administrator()
    page = admin.post("/admin/issuer/endorsements", {"reviewer": "The accreditors", "words": ""}).text
    link = re.search(r"<code>(http[^<]*/endorse/[^<]+)</code>", page)[1]
    address = address_in(say(link, comment="Accredited since 1921."))
    document = requests.get(f"{address}.json", timeout=20).json()
    assert document["credentialSubject"]["id"].startswith("did:web:")
    assert "Accredited since 1921." in requests.get(f"{shared.url}/issuers/hallwood", timeout=20).text
    done = admin.post(f"/admin/issuer/endorsements/{address.rpartition('/')[2]}", {"reason": "Over."})
    assert done.status_code == 200 and "Over." in done.text
    assert "Accredited" not in requests.get(f"{shared.url}/issuers/hallwood", timeout=20).text


# -- once, in time, by the right one ----------------------------------------------------------------------------


def test_a_link_works_once_and_looking_uses_nothing_up(earned):
    link = ask(earned)
    for _ in range(3):
        assert open_link(link)[1].status_code == 200
    say(link)
    assert open_link(link)[1].status_code == 404 and say(link).status_code in (400, 404)
    with earned.tool.db.read() as session:
        rows = session.scalars(
            select(Endorsement).join(EndorsementRequest).where(EndorsementRequest.course_badge_id == badge_id(earned))
        )
        assert len(list(rows)) == 1


def badge_id(room) -> str:  # noqa: F811
    with room.tool.db.read() as session:
        return room.course_badge(session).id


def test_two_answers_at_the_same_moment_make_one_endorsement(earned):
    secret = ask(earned).rpartition("/")[2]
    told = endorsements.Answer("Mei Chen", "", "", "We hire by it.")
    made: list[object] = []

    def send() -> None:
        try:
            made.append(endorsements.answer(earned.tool, secret, told, now()))
        except NotFound as error:
            made.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert sum(isinstance(each, str) for each in made) == 1


def test_a_link_ends_after_thirty_days_and_when_it_is_withdrawn(earned):
    late, taken = ask(earned), ask(earned, reviewer="Another")
    with time_machine.travel(now() + timedelta(days=31), tick=True):
        answer = open_link(late)[1]
        assert answer.status_code == 404 and "thirty days" in answer.text
    page = earned.page.get(f"badges/{earned.badge.slug}/endorsements").text
    action = re.findall(r'action="([^"]*/endorsements/links/[^"]+)"', page)[0]
    earned.page.http.post(f"{earned.scene.url}{action}", data={"csrf": token_in(page)}, timeout=20)
    assert open_link(taken)[1].status_code == 404
    assert "the link was withdrawn" in earned.page.get(f"badges/{earned.badge.slug}/endorsements").text


def test_only_the_hash_of_a_link_is_kept(earned):
    secret = ask(earned).rpartition("/")[2]
    with earned.tool.db.read() as session:
        rows = list(session.scalars(select(EndorsementRequest)))
        events = [json.dumps(each.detail) for each in session.scalars(select(AuditEvent))]
    assert all(secret not in str(vars(each)) for each in rows) and all(secret not in each for each in events)


def test_a_declined_link_says_nothing_and_is_used_up(earned):
    link = ask(earned)
    browser, page = open_link(link)
    done = browser.post(link, data={"csrf": token_in(page.text), "decline": "sure"}, timeout=20)
    assert done.status_code == 200 and "Declined." in done.text and open_link(link)[1].status_code == 404
    assert "has declined" in earned.page.get(f"badges/{earned.badge.slug}/endorsements").text


def test_declining_is_asked_about_first_and_going_back_keeps_what_was_typed(earned):
    link = ask(earned)
    browser, page = open_link(link)
    typed = {**SAID, "csrf": token_in(page.text)}
    asked = browser.post(link, data={**typed, "decline": "yes"}, timeout=20)
    assert asked.status_code == 200 and "This cannot be taken back" in asked.text
    assert "has declined" not in earned.page.get(f"badges/{earned.badge.slug}/endorsements").text
    along = dict(lxml.html.document_fromstring(asked.text).forms[-1].form_values())
    assert along == typed
    back = browser.post(link, data={**typed, "decline": "no"}, timeout=20)
    form = lxml.html.document_fromstring(back.text).forms[-1]
    assert {name: words.strip() for name, words in form.form_values()} == typed
    assert "It is signed." in browser.post(link, data=typed, timeout=20).text  # it can be given still


def test_a_form_without_the_browser_that_opened_it_is_refused(earned):
    link = ask(earned)
    assert requests.post(link, data=SAID, timeout=20).status_code == 400
    _, page = open_link(link)
    other, _ = open_link(link)
    assert other.post(link, data={**SAID, "csrf": token_in(page.text)}, timeout=20).status_code == 400


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"name": " "}, "Write your name"),
        ({"comment": ""}, "Say in a sentence or two"),
        ({"confirmed": ""}, ""),
        ({"comment": "x" * 2001}, "at most 2,000 fit"),
    ],
)
def test_what_is_missing_is_said_beside_the_field_and_nothing_typed_is_lost(earned, told, sentence):
    link = ask(earned)
    browser, page = open_link(link)
    sent = {"csrf": token_in(page.text), **SAID, **told}
    if told == {"confirmed": ""}:
        del sent["confirmed"]
        sentence = "Tick this"
    answer = browser.post(link, data=sent, timeout=20)
    assert answer.status_code == 400 and sentence in answer.text and "Head of training" in answer.text
    assert browser.post(link, data={**sent, **SAID}, timeout=20).status_code == 200


def test_D08_an_endorsement_of_another_course_is_not_touched(make_room):  # noqa: F811
    mine, other = make_room(), make_room()
    for each in (mine, other):
        each.publish(badge(rows=1))
    theirs = address_in(say(ask(other))).rpartition("/")[2]
    answer = mine.page.post(f"badges/{mine.badge.slug}/endorsements/{theirs}", {"reason": "Mine."})
    assert answer.status_code == 404
    assert requests.get(f"{other.scene.url}/endorsements/{theirs}", timeout=20).text.count("Withdrawn.") == 0


# -- taken back -------------------------------------------------------------------------------------------------


def test_one_taken_back_says_so_to_people_and_to_machines(earned):
    address = address_in(say(ask(earned)))
    document = requests.get(f"{address}.json", timeout=20).json()
    status = document["credentialStatus"]

    def bit() -> bool:
        listed = requests.get(status["statusListCredential"], timeout=20).json()
        return read_bit(listed["credentialSubject"]["encodedList"], int(status["statusListIndex"]))

    assert bit() is False
    ident = address.rpartition("/")[2]
    refused = earned.page.post(f"badges/{earned.badge.slug}/endorsements/{ident}", {"reason": " "})
    assert refused.status_code == 400
    earned.page.post(f"badges/{earned.badge.slug}/endorsements/{ident}", {"reason": "She asked us to."})
    assert bit() is True
    page = requests.get(address, timeout=20).text
    assert "Withdrawn." in page and "She asked us to." in page
    assert requests.get(f"{address}.json", timeout=20).json() == document
    assert "Mei Chen" not in requests.get(earned.award()["achievement"], timeout=20).text
    with earned.tool.db.write() as session:
        (row,) = session.scalars(select(Edition).where(Edition.award_id == earned.award()["id"]))
        assert editions.endorsed(session, row.award.version_id) == []


def test_no_endorsement_takes_a_place_in_a_list_that_a_credential_has(earned):
    _public(earned)
    say(ask(earned))
    with earned.tool.db.read() as session:
        taken = [tuple(each) for each in session.execute(select(Edition.status_list_id, Edition.status_index))]
        said = [tuple(each) for each in session.execute(select(Endorsement.status_list_id, Endorsement.status_index))]
    assert len(set(taken + said)) == len(taken + said)


# -- names that do harm -----------------------------------------------------------------------------------------


def test_I19_what_a_reviewer_writes_is_text_everywhere(earned):
    odd = "</script><img src=x onerror=alert(1)>{{7*7}}"
    _public(earned)
    address = address_in(say(ask(earned), name=odd, role=odd, organisation=odd[:100], comment=odd))
    for page in (address, earned.award()["achievement"]):
        text = requests.get(page, timeout=20).text
        assert "<img src=x" not in text and "{{7*7}}" in text
    managed = earned.page.get(f"badges/{earned.badge.slug}/endorsements").text
    assert "<img src=x" not in managed
    assert requests.get(f"{address}.json", timeout=20).json()["credentialSubject"]["endorsementComment"] == odd


def test_L13_guessing_links_is_slowed_down(shared):  # noqa: F811
    answers = [requests.get(f"{shared.url}/endorse/nothing-{n}", timeout=20).status_code for n in range(40)]
    assert answers[0] == 404 and answers[-1] == 429
    assert replace is not None
