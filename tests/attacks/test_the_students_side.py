"""Attacks on what learners own and show, over real HTTP: as a stranger, a robot, another learner, a teacher would."""

from __future__ import annotations

import html
import io
import json
import logging
import re
import socket
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from PIL import Image
from sqlalchemy import func, select, update

from lti_tool.demo import SUBMISSION_REVIEW
from lti_tool.jobs import RUNNERS
from lti_tool.models import Edition, Mail, OwnAddressRequest, Person, RightsRequest
from lti_tool.services import (
    choices,
    erasures,
    evidence,
    evidence_files,
    own_addresses,
    rights,
    share_links,
    typeset,
    work,
)
from tests.backpack import Backpack, connect
from tests.classroom import Classroom, at_once, badge, make_room, room  # noqa: F401 (fixtures)
from tests.evidence import address, photo, send
from tests.mail_server import MailServer
from tests.scene import Scene, now, token_in
from tests.services.test_rights import everything
from tests.web.test_evidence import desk, marks, problem_in, public_address, rows_of, show, shown  # noqa: F401 (fixtures)
from tests.web.test_own_access import (  # noqa: F401 (fixtures)
    Earned,
    _fresh,
    ask_for_link,
    last_link,
    let_in,
    post,
    shared,
)

PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture(autouse=True)
def _unlimited(shared: Scene) -> Iterator[None]:  # noqa: F811
    yield
    shared.forget_sign_ins()


def kept(tool: Any) -> dict[str, str]:
    """Return all that stands in the database, but for figures and views of pages, which are saved by the clock."""
    return {
        place: text
        for place, text in everything(tool).items()
        if not place.startswith(("figure.", "tally.", "award_tally."))
    }


def run_mail(scene: Scene) -> None:
    work.wait(scene.tool, work.request(scene.tool, "send_mail", "all", now(), again=True), RUNNERS)


def name_request(room: Classroom, state: str = "open") -> RightsRequest:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(RightsRequest).where(RightsRequest.person_id == room.person_id(room.students[0]))
        return session.scalars(query.where(RightsRequest.state == state)).one()


# -- what an administrator confirms -----------------------------------------------------------------------------


def test_a_name_that_is_swapped_while_an_administrator_reads_it_is_not_the_one_she_confirms(room: Classroom) -> None:  # noqa: F811
    learner, admin = room.enter(room.students[0]), room.scene.administrator()
    learner.post("data/name", {"do": "ask", "name": "Zoë Right"})
    asked = name_request(room)
    assert "Zoë Right" in html.unescape(admin.get(f"/admin/requests/{asked.id}").text)
    learner.post("data/name", {"do": "ask", "name": "The Rector"})
    answer = admin.post(f"/admin/requests/{asked.id}", {"do": "grant"})
    assert answer.status_code == 409 and "decided or withdrawn already" in answer.text
    with room.tool.db.read() as session:
        assert session.get_one(Person, room.person_id(room.students[0])).shown_name == ""
    assert "The Rector" in admin.get(f"/admin/requests/{name_request(room).id}").text
    assert "The Rector" in learner.get("data/").text and name_request(room, "withdrawn").wanted == ""


# -- mail -------------------------------------------------------------------------------------------------------


def test_a_stranger_s_mailbox_gets_few_confirmations_a_day_however_patiently_they_are_asked_for(
    shared: Scene,  # noqa: F811
    room: Classroom,  # noqa: F811
    post: MailServer,  # noqa: F811
) -> None:
    learner = Earned(room)
    codes = []
    for hour in range(4):
        with time_machine.travel(now() + timedelta(minutes=61 * hour)):
            codes += [learner.ask("victim@home.example").status_code for _ in range(5)]
    assert codes == [200] * own_addresses.MOST_CONFIRMATIONS_A_DAY + [429] * 10
    assert len(post.to("victim@home.example")) == own_addresses.MOST_CONFIRMATIONS_A_DAY


def test_who_asks_for_many_mails_at_once_gets_no_more_than_one_after_the_other(
    shared: Scene,  # noqa: F811
    room: Classroom,  # noqa: F811
    post: MailServer,  # noqa: F811
) -> None:
    learner = Earned(room)
    sent = {"csrf": re.findall(r'name="csrf" value="([^"]+)"', learner.browser.get("keep/").text)[0]}
    url = f"{learner.browser.home}keep/"

    def ask(n: int) -> int:
        form = {**sent, "address": f"stranger{n}@home.example"}
        return learner.browser.http.post(url, data=form, timeout=30, allow_redirects=False).status_code

    codes = at_once(*(lambda n=n: ask(n) for n in range(10)))
    assert sorted(codes) == [303] * own_addresses.MOST_CONFIRMATIONS + [429] * 5
    with shared.tool.db.read() as session:
        assert len(session.scalars(select(OwnAddressRequest)).all()) == own_addresses.MOST_CONFIRMATIONS


def test_looking_at_what_a_mail_links_to_changes_nothing_however_often_a_scanner_does(
    shared: Scene,  # noqa: F811
    room: Classroom,  # noqa: F811
    post: MailServer,  # noqa: F811
) -> None:
    room.students[0].email = "scan@home.example"
    learner = Earned(room)
    run_mail(shared)
    learner.ask()
    confirm = last_link(post, learner.address)
    requests.post(confirm, timeout=10)
    learner.ask("another@home.example")
    links = [last_link(post, "another@home.example")]
    ask_for_link(shared, learner.address)
    links.append(last_link(post, learner.address))
    stops = [re.search(r"<(http\S+/mail/stop/\w+)>", str(got.message["List-Unsubscribe"])) for got in post.got]
    links += [found[1] for found in stops if found]
    assert len(links) == 3
    before = kept(shared.tool)
    for link in links:
        for _ in range(3):
            assert requests.get(link, headers=PERSON, timeout=10).status_code == 200
            assert requests.head(link, headers=PERSON, timeout=10).status_code == 200
    assert kept(shared.tool) == before
    assert requests.post(links[0], timeout=10).status_code == 200


# -- erased -----------------------------------------------------------------------------------------------------


def erase(room: Classroom, person_id: str, *, finish: bool = True) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        erasures.begin(room.tool, session, person_id, actor="operator", now=now())
    if finish:
        work.wait(room.tool, work.request(room.tool, "erase", person_id, now()), RUNNERS)


def test_an_erasure_leaves_no_address_in_a_mail_that_was_refused_or_waits(
    shared: Scene,  # noqa: F811
    room: Classroom,  # noqa: F811
    post: MailServer,  # noqa: F811
) -> None:
    ours = {name: f"{name}@gone.example" for name in ("lms", "first", "second", "third")}
    learner = Earned(room, ours["first"])
    with shared.tool.db.write() as session:
        session.execute(update(Person).where(Person.id == learner.person_id).values(email=ours["lms"]))
    learner.confirmed(post)
    post.recipients = {ours["lms"]: "550 no", ours["first"]: "550 no"}
    try:
        inside = None
        for to in ("second", "third"):
            learner.ask(ours[to])
            requests.post(last_link(post, ours[to]), timeout=10)
        inside = let_in(shared, post, ours["third"])
        inside.post("address", {"address": "fourth@gone.example"})
        erase(room, learner.person_id)
        with shared.tool.db.read() as session:
            assert [each.recipient for each in session.scalars(select(Mail)) if "gone.example" in each.recipient] == []
        left = everything(shared.tool)
        assert [place for place, text in left.items() if "gone.example" in text] == []
    finally:
        post.recipients = {}


def test_what_is_gone_is_served_by_no_form_no_cache_and_no_link(shown: Any) -> None:  # noqa: F811
    tool, award = shown.tool, shown.award()
    share_links.make(tool, award["id"], ["evidence", "levels"], 7, actor="operator", now=now())
    with tool.db.read() as session:
        (link,) = share_links.listed(tool, session, award["id"], ("evidence", "levels"), now())
    url = award["credential_url"]
    id = url.rpartition("/")[2]
    ends = (".json", ".jwt", ".eddsa.jwt", ".png", ".svg", ".pdf", "/preview.png", "/refresh")
    forms = [f"{url}{end}" for end in ends]
    hosted = [f"{shown.scene.url}/ob2/assertions/{id}{end}" for end in ("", ".json", ".png")]
    linked = [link.url, f"{link.url}/preview.png", f"{link.url}/evidence/0"]
    public = [url, *forms, *hosted, public_address(shown)]
    tags = {}
    for each in (*public, *linked):
        answer = requests.get(each, headers=PERSON, timeout=20)
        assert answer.status_code == 200, each
        tags[each] = answer.headers.get("ETag", "")

    def again(each: str) -> int:
        known = {"If-None-Match": tags[each]} if tags[each] else {}
        return requests.get(each, headers={**PERSON, **known}, timeout=20).status_code

    show(shown, *(each.id for each in rows_of(shown)), public=False)
    assert {again(each) for each in public} == {404}
    assert {requests.get(each, timeout=20).status_code for each in linked} == {200}, "her link is another choice"
    show(shown, *(each.id for each in rows_of(shown)))
    file = public_address(shown)
    erase(shown, shown.person_id(shown.students[0]), finish=False)
    assert {again(each) for each in (url, *forms, *hosted)} == {410}
    assert {again(each) for each in (file, *linked)} == {404}


def test_who_is_erased_is_known_to_no_backpack_from_that_moment(shared: Scene, room: Classroom) -> None:  # noqa: F811
    room.publish(badge())
    for student in room.students:
        room.grade(student, 3, 4)
    room.sync()
    learner = room.enter(room.students[0])
    learner.post(f"badges/{room.badge.slug}/claim", {"inside": "1", "levels": "1", "name": "1", "public": "1"})
    backpack = Backpack(shared)
    connect(backpack, learner)
    assert len(backpack.get("credentials").json()["credential"]) == 1
    erase(room, room.person_id(room.students[0]), finish=False)
    assert backpack.get("credentials").status_code == backpack.get("profile").status_code == 401


# -- what she does not show any more ------------------------------------------------------------------------------


def test_I20_what_she_takes_out_of_her_credential_is_told_at_no_address_of_before(shown: Any) -> None:  # noqa: F811
    learner = shown.enter(shown.students[0])
    name, words = shown.students[0].name, "I would ask earlier."
    claim = f"badges/{shown.badge.slug}/claim"
    everything_of_hers = [each.id for each in rows_of(shown)]
    told = {"inside": "1", "public": "1", "name": "1", "levels": "1", "grades": "1", "narrative": "My own story."}
    learner.post(claim, {**told, "evidence": everything_of_hers})
    old = shown.award()["credential_url"]
    before = requests.get(f"{old}.json", headers=PERSON, timeout=20)
    for word in (name, words, "My own story.", "talk.pdf"):
        assert word in html.unescape(requests.get(old, timeout=20).text)
    learner.post(claim, {"inside": "1", "public": "1", "levels": "1"})
    assert shown.award()["credential_url"] != old
    page = requests.get(old, headers=PERSON, timeout=20)
    assert page.status_code == 200 and "Replaced." in page.text and shown.award()["credential_url"] in page.text
    for word in (name, words, "My own story.", "talk.pdf", "of 4 points", f"{old}.json", f"{old}.pdf"):
        assert word not in html.unescape(page.text), word
    ends = (".json", ".jwt", ".eddsa.jwt", ".png", ".svg", ".pdf")
    known = {"If-None-Match": before.headers["ETag"]}
    assert {requests.get(f"{old}{end}", headers=known, timeout=20).status_code for end in ends} == {404}
    taken = {"Accept": "application/vc+ld+json"}
    assert requests.get(old, headers=taken, timeout=20).status_code == 404
    assert requests.get(f"{old}/preview.png", timeout=20).status_code == 200
    # A wallet that holds the old one is led to the new one; her own browser still has the file, as it was.
    assert requests.get(f"{old}/refresh", timeout=20).json()["id"] == shown.award()["credential_url"]
    hers = {end: learner.get(f"{old.removeprefix(shown.scene.url)}{end}") for end in ends}
    assert hers[".json"].content == before.content
    assert {(each.status_code, each.headers["Cache-Control"]) for each in hers.values()} == {(200, "private, no-store")}
    report = requests.post(f"{shown.scene.url}/verify", data={"text": before.text}, timeout=20)
    assert report.status_code == 200 and "withdrawn" in report.text


def test_what_she_adds_to_her_credential_leaves_the_one_before_as_it_was(shown: Any) -> None:  # noqa: F811
    old = shown.award()["credential_url"]
    before = requests.get(f"{old}.json", timeout=20)
    learner = shown.enter(shown.students[0])
    told = {"inside": "1", "public": "1", "name": "1", "levels": "1"}
    learner.post(f"badges/{shown.badge.slug}/claim", {**told, "evidence": [each.id for each in rows_of(shown)]})
    assert shown.award()["credential_url"] != old
    assert requests.get(f"{old}.json", timeout=20).content == before.content
    assert "talk.pdf" in requests.get(old, timeout=20).text


# -- others' data -----------------------------------------------------------------------------------------------


def test_a_teacher_s_copy_of_her_data_tells_what_she_did_and_nothing_of_those_she_taught(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(award="review"))
    room.grade(room.students[0], 3, 4)
    room.sync()
    award, learner = room.award(), room.person_id(room.students[0])
    page = room.enter(room.teacher)
    told = {"award": award["id"], "reason": "Ana was seen copying."}
    done = page.post(f"badges/{room.badge.slug}/awards/{award['id']}/hold", told)
    assert done.status_code == 200 and room.award()["status"] == "held", done.text
    answer = page.get(f"/me/{page.launch}/data/copy.zip")
    copy = zipfile.ZipFile(io.BytesIO(answer.content))
    whole = b"".join(copy.read(name) for name in copy.namelist()).decode("utf-8", "replace")
    events = json.loads(copy.read("data/audit_event.json"))
    assert "award.held" in {each["action"] for each in events}
    assert "seen copying" not in whole and learner not in whole


def test_what_a_teacher_had_opened_of_who_is_erased_does_not_name_her_either(room: Classroom) -> None:  # noqa: F811
    room.publish(badge())
    room.enter(room.students[0])
    told = {"message_type": SUBMISSION_REVIEW, "for_user": room.students[0]}
    page = room.enter(room.teacher, **told)
    assert page.page is not None and page.page.status_code == 200 and page.page.url.endswith("/review")
    erase(room, room.person_id(room.students[0]))
    left = everything(room.tool)
    assert [place for place, text in left.items() if f'"{room.students[0].id}"' in text] == []


# -- hostile files ----------------------------------------------------------------------------------------------


def marked(desk: Any) -> None:  # noqa: F811
    """Let the teacher mark both rows, which earns the badge."""
    desk.enter(desk.teacher)
    person_id = desk.person_id(desk.students[0])
    desk.page.post(f"badges/{desk.badge.slug}/marking/{person_id}", marks(desk, desk.page, 3, 3))


def many_scans(scans: int) -> bytes:
    """Return a JPEG that shows itself in so many steps, all but the first few of which say nothing new."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + b"\xff\xd9"


def test_a_jpeg_of_endless_steps_is_refused_before_anybody_looks_at_it(desk: Any) -> None:  # noqa: F811
    learner = desk.enter(desk.students[0])
    answer = send(learner, desk, kind="file", file=("photo.jpg", many_scans(500)))
    assert answer.status_code == 400 and "damaged" in problem_in(answer)
    assert send(learner, desk, kind="file", file=("photo.jpg", many_scans(5))).status_code == 200


def test_pictures_that_take_much_to_read_are_read_one_at_a_time_and_the_largest_not_at_all(
    desk: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = desk.enter(desk.students[0])
    bomb = io.BytesIO()
    Image.new("1", (6000, 6000)).save(bomb, "PNG")  # 5 kB
    for name, content in (("photo.jpg", photo(size=(1600, 900))), ("bomb.png", bomb.getvalue())):
        assert send(learner, desk, kind="file", file=(name, content)).status_code == 200
    good, bad = (f"{address(desk)}{each.id}/picture.png" for each in rows_of(desk))
    monkeypatch.setattr(typeset, "PATIENCE", 0.05)
    with evidence_files.small_pictures.turns:
        assert learner.get(good).status_code == 503
    assert learner.get(good).status_code == 200 and learner.get(bad).status_code == 404
    with evidence_files.small_pictures.turns:
        assert learner.get(good).status_code == 200, "made once"


def test_the_tool_opens_no_address_that_a_learner_hands_in(desk: Any) -> None:  # noqa: F811
    learner = desk.enter(desk.students[0])
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.setblocking(False)
        link = f"https://localhost:{trap.getsockname()[1]}/essay"
        send(learner, desk, kind="link", link=link, content="Look at it.")
        send(learner, desk, "B", kind="text", content=f"See {link}")
        marked(desk)
        show(desk, *(each.id for each in rows_of(desk)))
        url = desk.award()["credential_url"]
        assert f'href="{link}"' in requests.get(url, timeout=20).text
        assert requests.post(f"{desk.scene.url}/verify", data={"text": url}, timeout=20).status_code == 200
        for end in (".pdf", "/preview.png"):
            assert requests.get(f"{url}{end}", timeout=20).status_code == 200
        with pytest.raises(BlockingIOError):
            trap.accept()


# -- without end ------------------------------------------------------------------------------------------------


def test_who_changes_her_mind_without_end_uses_up_no_status_list(
    shown: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choices, "MOST_A_DAY", 3)
    learner, claim = shown.enter(shown.students[0]), f"badges/{shown.badge.slug}/claim"
    withdrawn = select(func.count()).select_from(Edition).where(Edition.withdrawn_at.is_not(None))
    with shown.tool.db.read() as session:
        before = session.scalar(withdrawn) or 0
    told: dict[str, str] = {"inside": "1", "public": "1", "levels": "1"}
    answers = [learner.post(claim, {**told, "narrative": f"Number {n}."}) for n in range(5)]
    assert [answer.status_code for answer in answers][-2:] == [429, 429]
    assert "made anew 3 times" in answers[-1].text and "Number 4." in answers[-1].text
    with shown.tool.db.read() as session:
        assert (session.scalar(withdrawn) or 0) - before <= 3
    url = shown.award()["credential_url"]
    assert learner.post(f"badges/{shown.badge.slug}/show/page", {"public": "no"}).status_code == 200
    assert requests.get(url, timeout=20).status_code == 404, "taking it down is always possible"


def test_who_asks_for_a_name_without_end_fills_no_administrator_s_list(
    room: Classroom,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rights, "MOST_A_DAY", 3)
    learner = room.enter(room.students[0])
    answers = [learner.post("data/name", {"do": "ask", "name": f"Name {n}"}) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert name_request(room).wanted == "Name 2"
    learner.post("data/name", {"do": "withdraw"})
    answer = learner.post("data/name", {"do": "ask", "name": "Name 5"})
    assert answer.status_code == 429 and "3 times within a day" in answer.text and "Name 5" in answer.text
    # It holds up nobody who has a letter of hers.
    rights.erase(room.tool, room.person_id(room.students[0]), actor="operator", now=now())


def test_who_hands_in_and_takes_back_without_end_slows_no_teacher_s_page(
    desk: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evidence, "MOST_EVER", 2)
    learner = desk.enter(desk.students[0])
    for n in range(2):
        assert send(learner, desk, "B", kind="text", content=f"Try {n}").status_code == 200
        learner.post(f"{address(desk)}{rows_of(desk)[-1].id}/withdraw")
    answer = send(learner, desk, "B", kind="text", content="Try again")
    assert answer.status_code == 400 and "takes no more" in problem_in(answer) and "Try again" in answer.text
    assert len(rows_of(desk)) == 2


# -- forms that are no page's of ours -----------------------------------------------------------------------------


def test_D16_D17_every_form_of_a_learner_needs_the_token_of_her_own_launch(shown: Any) -> None:  # noqa: F811
    learner, other = (shown.enter(student) for student in shown.students)
    foreign = token_in(other.get("").text)
    names = {"launch": learner.launch, "slug": shown.badge.slug, "evidence_id": rows_of(shown)[0].id}
    before = kept(shown.tool)
    rules = [rule for rule in shown.scene.app.url_map.iter_rules() if rule.rule.startswith("/me/<launch>")]
    forms = [rule for rule in rules if "POST" in (rule.methods or ())]
    assert len(forms) > 15
    for rule in forms:
        path = rule.build({name: names.get(name, "x" * 32) for name in rule.arguments}, append_unknown=False)
        assert path is not None
        for sent in ({}, {"csrf": foreign}, {"csrf": "é" * 64}):
            answer = learner.http.post(f"{shown.scene.url}{path[1]}", data=sent, timeout=20, allow_redirects=False)
            assert answer.status_code == 400, f"{rule.rule} {sent}"
        answer = other.http.post(f"{shown.scene.url}{path[1]}", data={"csrf": foreign}, timeout=20)
        assert answer.status_code in (401, 403, 404), "another's cookie opens no launch of hers"
    assert kept(shown.tool) == before


def test_I24_a_notification_of_an_odd_name_is_none(room: Classroom) -> None:  # noqa: F811
    learner = room.enter(room.students[0])
    for odd in ("\0", "x" * 500, "nobody"):
        assert learner.post("notifications/away", {"id": odd}).status_code == 404


# -- strangers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/own/badges", "//evil.example/own", "/credentials/x/", "/verify", "/own", "/"])
def test_no_answer_leads_to_a_host_that_only_the_request_names(shared: Scene, path: str) -> None:  # noqa: F811
    for told in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}):
        answer = requests.get(f"{shared.url}{path}", headers=told, timeout=10, allow_redirects=False)
        assert "evil.example" not in answer.text.replace("//evil.example/own", ""), answer.text[:300]
        assert "evil.example" not in answer.headers.get("Location", "").removeprefix("/").split("?")[0], answer.headers


def test_L12_what_a_learner_does_outside_her_lms_leaves_no_name_address_or_secret_in_the_log(
    shared: Scene,  # noqa: F811
    room: Classroom,  # noqa: F811
    post: MailServer,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    learner = Earned(room, "ana.log@home.example")
    learner.browser.post(f"badges/{room.badge.slug}/claim", {"inside": "1", "levels": "1", "public": "1"})
    learner.browser.post("data/name", {"do": "ask", "name": "Quintessa"})
    learner.browser.post("keep/", {"address": "ana.log@@home.example"})
    learner.confirmed(post)
    inside = let_in(shared, post, learner.address)
    secret = post.to(learner.address)[-1].part("plain").split("/own/link/")[1].split()[0]
    made = inside.post(f"{learner.award_id}/show/links", {"days": "7", "shows": "levels", "label": "To Quintessa"})
    token = re.findall(r"/shared/([\w-]{20,})", made.text)[0]
    for path in (f"/shared/{token}", f"/shared/{token}x", f"/own/link/{secret}", "/own/badges/nobody"):
        inside.get(path)
    erase(room, learner.person_id)
    ours = [
        each.getMessage()
        for each in caplog.records
        if each.name.partition(".")[0] not in ("werkzeug", "urllib3", "mail")
    ]
    assert any("erased" in each for each in ours)
    for word in ("ana.log", "Quintessa", secret, token):
        assert [each for each in ours if word in each] == []
