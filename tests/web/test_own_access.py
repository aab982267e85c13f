"""Access after the course: her own address, one-time links by a real mail server, and her pages without an LMS."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import delete, event, func, select, update

from lti_tool.models import (
    AuditEvent,
    Award,
    Course,
    Deployment,
    Job,
    Mail,
    OwnAddress,
    OwnAddressRequest,
    OwnLink,
    OwnLinkRequest,
    OwnReminder,
    OwnSession,
    Person,
    Registration,
)
from lti_tool.services import own_access, own_addresses, people
from tests.classroom import Classroom, at_once, badge, make_room, room, tidy
from tests.mail_server import MailServer, mail_server
from tests.scene import Scene, Visitor, make_database, now, token_in

ANSWER = "If this address is known here, a link is on its way."
LINK = re.compile(r"http://localhost:\d+/own/(?:confirm|link)/[\w-]+")


@pytest.fixture(scope="module")
def post() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, post: MailServer) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("own")
    told = {"LTI_TOOL_MAIL__URL": post.url, "LTI_TOOL_MAIL__SENDER": "badges@hallwood.example"}
    with make_database(os.environ.get("TEST_DATABASE", ""), folder) as url:
        scene = Scene(folder, url, **told)
        try:
            yield scene
        finally:
            scene.stop()


@pytest.fixture(autouse=True)
def _fresh(shared: Scene, post: MailServer) -> None:
    """Let each test begin with an empty mailbox, and with nobody's address known."""
    post.got.clear()
    post.plan.clear()
    with shared.tool.db.write() as session:
        for table in (OwnSession, OwnLink, OwnLinkRequest, OwnAddressRequest, OwnAddress, OwnReminder, Mail):
            session.execute(delete(table))


class Earned:
    """A learner of a course of her own who has earned its badge, and her browser in the course."""

    def __init__(self, room: Classroom, address: str = "ana@home.example") -> None:
        self.room, self.address = room, address
        room.publish(badge())
        self.user = room.students[0]
        room.enter(self.user)
        room.grade(self.user, 4, 4)
        room.sync()
        self.browser = room.enter(self.user)
        self.award_id = str(room.award()["id"])

    @property
    def person_id(self) -> str:
        return self.room.person_id(self.user)

    def ask(self, address: str | None = None) -> requests.Response:
        return self.browser.post("keep/", {"address": address or self.address})

    def confirmed(self, post: MailServer) -> Earned:
        assert self.ask().status_code == 200
        assert requests.post(last_link(post, self.address), timeout=10).status_code == 200
        post.got.clear()
        return self


@pytest.fixture(scope="module")
def ana(shared: Scene) -> Earned:
    """A learner for tests that leave her award as it is."""
    return Earned(Classroom(shared))


@pytest.fixture(scope="module")
def ben(shared: Scene) -> Earned:
    return Earned(Classroom(shared), "ben@home.example")


def last_link(post: MailServer, address: str) -> str:
    (link,) = set(LINK.findall(post.to(address)[-1].part("plain")))
    return str(link)


def ask_for_link(scene: Scene, address: str) -> requests.Response:
    return requests.post(f"{scene.url}/own", data={"address": address}, timeout=10)


def come_in(scene: Scene, link: str) -> Visitor:
    """Open a link in a browser that knows nothing, and press its button; the answer is at `page`."""
    visitor = Visitor(scene)
    visitor.home = f"{scene.url}/own/badges/"
    asked = visitor.http.get(link, timeout=10)
    visitor.page = visitor.http.post(link, data={"csrf": token_in(asked.text)}, timeout=20)
    return visitor


def let_in(scene: Scene, post: MailServer, address: str) -> Visitor:
    ask_for_link(scene, address)
    visitor = come_in(scene, last_link(post, address))
    assert visitor.page is not None and visitor.page.status_code == 200, visitor.page.text
    return visitor


def cookie_of(browser: Visitor) -> str:
    return next((c.value or "" for c in browser.http.get_adapter("http://").jar if c.name == "own"), "")


def count(scene: Scene, table: Any, *where: Any) -> int:
    with scene.tool.db.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def actions(scene: Scene, person_id: str) -> list[str]:
    with scene.tool.db.read() as session:
        query = select(AuditEvent.action).where(
            AuditEvent.subject == f"person:{person_id}", AuditEvent.action.like("access.%")
        )
        return list(session.scalars(query.order_by(AuditEvent.id)))


# -- the whole way


def test_an_address_confirmed_from_a_launch_opens_her_badges_without_the_lms(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    ana = Earned(room)
    assert "Keep access after the course" in ana.browser.get("").text
    sent = ana.ask()
    assert "A mail is on its way." in sent.text and ana.address in sent.text
    (got,) = post.to(ana.address)
    assert got.subject == "Confirm this address for your badges"
    link = last_link(post, ana.address)
    for _ in range(3):  # what scans mail opens every address
        asked = requests.get(link, timeout=10)
        assert asked.status_code == 200 and ana.address in asked.text
    assert count(shared, OwnAddress) == 0
    done = requests.post(link, timeout=10)
    assert "The address is confirmed" in done.text and f"{shared.url}/own" in done.text

    # The platform is switched off, the account is gone: she gets in all the same.
    with shared.tool.db.write() as session:
        session.execute(update(Registration).values(status="disabled"))
        session.execute(update(Deployment).values(status="disabled"))
        session.execute(update(Course).where(Course.id == room.id).values(state="concluded"))
    try:
        assert ana.browser.get("").status_code == 401
        assert ANSWER in ask_for_link(shared, "  Ana@Home.example ").text
        inside = come_in(shared, last_link(post, ana.address))
        assert inside.page is not None and "Careful Work" in inside.page.text and "Not claimed yet" in inside.page.text

        page = inside.get(ana.award_id)
        assert page.status_code == 200 and "What may others see?" in page.text
        url = str(re.findall(r"http://localhost:\d+/credentials/[0-9a-f]+", page.text)[0])
        assert requests.get(url, timeout=10).status_code == 404
        choose(inside, ana, public="yes", name="yes")
        page = inside.get(ana.award_id)
        url = str(re.findall(r"http://localhost:\d+/credentials/[0-9a-f]+", page.text)[0])
        assert requests.get(url, timeout=10).status_code == 200
        kept = inside.get(f"{ana.award_id}/files/json")
        assert kept.headers["Content-Disposition"].startswith("attachment") and kept.json()["id"] == url

        choose(inside, ana, name="yes")  # the page off, all else as it is
        assert requests.get(url, timeout=10).status_code == 404
        assert inside.get(f"{ana.award_id}/files/json").content == kept.content
        sent = {"file": ("badge.json", io.BytesIO(kept.content))}
        assert "Genuine and in force" in requests.post(f"{shared.url}/verify", files=sent, timeout=20).text
    finally:
        with shared.tool.db.write() as session:
            session.execute(update(Registration).values(status="active"))
            session.execute(update(Deployment).values(status="active"))
    assert actions(shared, ana.person_id) == ["access.asked", "access.confirmed", "access.link_sent", "access.opened"]


def choose(inside: Visitor, ana: Earned, **told: str) -> None:
    page = inside.get(ana.award_id)
    seen = re.search(r'name="seen" value="([^"]*)"', page.text)
    sent = {"inside": "yes", "levels": "yes", "seen": seen[1] if seen else "", **told}
    done = inside.post(ana.award_id, sent)
    assert done.status_code == 200, done.text


def test_every_form_and_the_record_can_be_taken_along(shared: Scene, room: Classroom, post: MailServer) -> None:
    ana = Earned(room).confirmed(post)
    inside = let_in(shared, post, ana.address)
    choose(inside, ana)
    page = inside.get(f"{ana.award_id}/show")
    files = set(re.findall(rf"/own/badges/{ana.award_id}/files/([\w.]+)", page.text))
    assert files == {"json", "jwt", "eddsa.jwt", "png", "svg", "pdf"}
    for form in files:
        answer = inside.get(f"{ana.award_id}/files/{form}")
        assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Disposition"].startswith("attachment"), form
    record = inside.get(f"people/{ana.person_id}/clr.json")
    assert "ClrCredential" in json.loads(record.content)["type"]
    assert inside.get(f"{ana.award_id}/picture.svg").headers["Content-Type"].startswith("image/svg+xml")


def test_the_ways_to_show_a_badge_are_there_without_the_lms_too(
    shared: Scene,
    room: Classroom,
    post: MailServer,
) -> None:
    ana = Earned(room).confirmed(post)
    inside = let_in(shared, post, ana.address)
    assert inside.get(f"{ana.award_id}/show").status_code == 404  # not claimed yet
    choose(inside, ana, public="yes")
    page = inside.get(f"{ana.award_id}/show").text
    assert f"/own/badges/{ana.award_id}/show/linkedin" in page and "Connect a backpack" not in page
    to = inside.get(f"{ana.award_id}/show/linkedin", allow_redirects=False).headers["Location"]
    assert to.startswith("https://www.linkedin.com/profile/add?") and "credentials%2F" in to
    assert inside.get(f"{ana.award_id}/show/qr.svg").headers["Content-Type"].startswith("image/svg+xml")
    made = inside.post(f"{ana.award_id}/show/links", {"days": "30", "label": "For the library"})
    assert made.status_code == 200 and "For the library" in made.text
    (link,) = set(re.findall(r'href="(http://localhost:\d+/(?!credentials)[\w/-]+)"[^>]*><code>', made.text))
    assert requests.get(link, timeout=10).status_code == 200
    assert inside.post(f"{ana.award_id}/show/links", {"days": "9999"}).status_code == 400
    (ending,) = set(re.findall(r"show/links/\w+/end", made.text))
    assert "You ended it on" in inside.post(f"{ana.award_id}/{ending}").text
    assert requests.get(link, timeout=10).status_code in (404, 410)
    offered = inside.post(f"{ana.award_id}/wallet")
    assert offered.status_code == 200 and "openid-credential-offer" in offered.text
    assert "off: at its address" in inside.post(f"{ana.award_id}/show/page", {"public": "no"}).text


def test_one_address_confirmed_from_two_platforms_opens_both_and_tells_them_apart(
    shared: Scene, make_room: Any, post: MailServer
) -> None:
    first, second = Earned(make_room(mood="moodle")), Earned(make_room(mood="canvas"))
    for each in (first, second):
        each.confirmed(post)
    inside = let_in(shared, post, first.address)
    assert len(post.to(first.address)) == 1  # one mail, for both
    assert inside.page is not None and inside.page.text.count("Careful Work") >= 2
    assert "From moodle" in inside.page.text and "From canvas" in inside.page.text
    for each in (first, second):
        assert inside.get(each.award_id).status_code == 200
        assert inside.get(f"people/{each.person_id}/clr.json").status_code == 200
    shared.mood = "moodle"
    first.browser.post("keep/remove")  # from one course: the other's badges stay open
    assert inside.get(first.award_id).status_code == 404 and inside.get(second.award_id).status_code == 200


def test_nothing_that_was_not_issued_is_seen(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    inside = let_in(shared, post, ana.address)
    for status in ("held", "review", "pending", "superseded"):
        with shared.tool.db.write() as session:
            session.execute(
                update(Award).where(Award.id == ana.award_id).values(status=status, live=status != "superseded")
            )
        assert "Careful Work" not in inside.get("").text, status
        assert inside.get(ana.award_id).status_code == inside.get(f"{ana.award_id}/files/json").status_code == 404
    with shared.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == ana.award_id).values(status="issued", live=True))
    assert "Careful Work" in inside.get("").text


def test_D14_another_s_award_is_not_there(shared: Scene, ana: Earned, ben: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ben.confirmed(post)
    inside = let_in(shared, post, ana.address)
    absent = "0" * 32
    for path in ("{}", "{}/picture.svg", "{}/files/json", "{}/files/nothing", "{}/show", "{}/wallet"):
        answers = [inside.get(path.format(each)) for each in (ben.award_id, absent, "x\x00y", "é")]
        assert {each.status_code for each in answers} == {404}, path
        assert len({re.sub(r"[0-9A-Fa-f]{8,}|\d\d:\d\d", "", each.text) for each in answers[:2]}) == 1
    for path in ("{}", "{}/show/page", "{}/show/links", "{}/show/links/x/end", "{}/wallet"):
        assert inside.post(path.format(ben.award_id), {"public": "yes", "inside": "yes"}).status_code == 404, path
    assert inside.get(f"people/{ben.person_id}/clr.json").status_code == 404
    assert ana.browser.get(f"/own/badges/{ana.award_id}").status_code == 401  # a launch is no visit


def test_somebody_linked_to_another_account_opens_the_awards_of_both(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    ana = Earned(room).confirmed(post)
    other = room.students[1]
    room.enter(other)
    link = people.link(shared.tool, ana.person_id, room.person_id(other), actor="operator", now=now())
    inside = let_in(shared, post, ana.address)
    choose(inside, ana, public="yes")
    people.unlink(shared.tool, link, actor="operator", now=now())
    assert inside.get(ana.award_id).status_code == 200


def test_D13_somebody_who_was_switched_off_is_let_in_nowhere(shared: Scene, room: Classroom, post: MailServer) -> None:
    ana = Earned(room).confirmed(post)
    inside = let_in(shared, post, ana.address)
    post.got.clear()
    with shared.tool.db.write() as session:
        session.execute(update(Person).where(Person.id == ana.person_id).values(disabled=True))
    assert inside.get("").status_code == 401 and inside.get(ana.award_id).status_code == 401
    assert ANSWER in ask_for_link(shared, ana.address).text and post.got == []


# -- one-time links


def test_only_hashes_of_secrets_are_kept_also_while_the_mail_waits(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    post.plan[:] = ["451 later"]
    ana.ask()
    with shared.tool.db.read() as session:
        waiting = session.scalars(select(Mail).where(Mail.template == "own_confirm", Mail.state == "due")).all()
        assert waiting and not any(LINK.search(json.dumps(row.values)) for row in waiting)
    with shared.tool.db.write() as session:
        session.execute(delete(OwnAddressRequest))
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    inside = come_in(shared, link)
    secrets = [link.rpartition("/")[2], cookie_of(inside)]
    assert all(len(each) >= 43 for each in secrets)
    with shared.tool.db.read() as session:
        tables = (OwnLink, OwnSession, OwnAddressRequest, OwnLinkRequest, Mail, AuditEvent, Job)
        kept = str([vars(row) for table in tables for row in session.scalars(select(table))])
    assert not [each for each in secrets if each in kept]
    with shared.tool.db.read() as session:
        told = [row.detail for row in session.scalars(select(AuditEvent).where(AuditEvent.action.like("access.%")))]
    assert told and "example" not in str(told)


def test_a_link_works_once_and_says_why_it_does_not_again(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    for _ in range(3):
        assert requests.get(link, timeout=10).status_code == 200 and requests.head(link, timeout=10).status_code == 200
    early = Visitor(shared)  # opens the page before it is used, and presses after
    token = token_in(early.http.get(link, timeout=10).text)
    assert come_in(shared, link).page.status_code == 200  # type: ignore[union-attr]
    again = early.http.post(link, data={"csrf": token}, timeout=10)
    assert again.status_code == 410 and "used already" in again.text and not cookie_of(early)
    assert "used already" in requests.get(link, timeout=10).text
    assert actions(shared, ana.person_id)[-1] == "access.refused"


def test_a_link_of_sixteen_minutes_ago_opens_nothing(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    with time_machine.travel(now() + own_access.LINK_LASTS + timedelta(seconds=1), tick=True):
        answer = requests.get(link, timeout=10)
        assert answer.status_code == 410 and "15 minutes" in answer.text
        assert come_in(shared, link).page.status_code in (400, 410)  # type: ignore[union-attr]
    with time_machine.travel(now() + timedelta(days=2), tick=True):
        own_access.forget_expired(shared.tool, now())
        assert requests.get(link, timeout=10).status_code == 404


def test_of_two_who_press_the_button_at_once_one_gets_in(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    browsers = [Visitor(shared) for _ in range(4)]
    tokens = [token_in(each.http.get(link, timeout=10).text) for each in browsers]

    def press(visitor: Visitor, token: str) -> int:
        return visitor.http.post(link, data={"csrf": token}, allow_redirects=False, timeout=20).status_code

    done = at_once(*[lambda b=b, t=t: press(b, t) for b, t in zip(browsers, tokens, strict=True)])
    assert sorted(done) == [303, 410, 410, 410]
    assert count(shared, OwnSession) == 1 and [bool(cookie_of(each)) for each in browsers].count(True) == 1


def test_of_two_who_confirm_at_once_one_does(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.ask()
    link, before = last_link(post, ana.address), actions(shared, ana.person_id).count("access.confirmed")
    done = at_once(*[lambda: requests.post(link, timeout=20).status_code for _ in range(4)])
    assert sorted(done) == [200, 410, 410, 410]
    assert count(shared, OwnAddress, OwnAddress.address == ana.address) == 1
    assert actions(shared, ana.person_id).count("access.confirmed") == before + 1


@pytest.mark.parametrize("way", ["link", "confirm"])
def test_guessed_and_broken_secrets_open_nothing_and_are_not_told_apart(
    shared: Scene, ana: Earned, post: MailServer, way: str
) -> None:
    ana.ask()
    link = last_link(post, ana.address)
    if way == "link":
        requests.post(link, timeout=10)
        ask_for_link(shared, ana.address)
        link = last_link(post, ana.address)
    good = link.rpartition("/")[2]
    pages = set()
    for secret in (
        "x",
        "a" * 43,
        "a" * 5000,
        good[:-1],
        good.swapcase(),
        f"{good}%00",
        f"{good}=",
        "..%2f..",
        "é" * 43,
    ):
        for method in ("GET", "POST"):
            answer = requests.request(method, f"{shared.url}/own/{way}/{secret}", timeout=10)
            if method == "POST" and way == "link":
                assert answer.status_code in (400, 404), secret
                continue
            assert answer.status_code == 404, (method, secret)
            if "not one of ours" in answer.text:
                pages.add(re.sub(r"[0-9a-f]{8,}|\d\d:\d\d", "", answer.text))
    assert len(pages) == 1
    assert requests.get(link, timeout=10).status_code == 200  # the good one is still good


def test_a_confirmation_opens_no_session_and_a_link_confirms_nothing(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.ask()
    secret = last_link(post, ana.address).rpartition("/")[2]
    assert requests.get(f"{shared.url}/own/link/{secret}", timeout=10).status_code == 404
    done = requests.post(f"{shared.url}/own/confirm/{secret}", timeout=10)
    assert done.status_code == 200 and "Set-Cookie" not in done.headers
    ask_for_link(shared, ana.address)
    secret = last_link(post, ana.address).rpartition("/")[2]
    assert requests.post(f"{shared.url}/own/confirm/{secret}", timeout=10).status_code == 404


def test_a_form_of_another_browser_is_refused_so_nobody_is_led_into_another_s_badges(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    attacker, victim = Visitor(shared), Visitor(shared)
    token = token_in(attacker.http.get(link, timeout=10).text)
    for data in ({"csrf": token}, {}, {"csrf": ""}):
        assert victim.http.post(link, data=data, timeout=10).status_code == 400 and not cookie_of(victim)
    victim.http.get(link, timeout=10)
    assert victim.http.post(link, data={"csrf": token}, timeout=10).status_code == 400


# -- whether an address is known


def asked_as(scene: Scene, address: str) -> tuple[int, str, list[str], int]:
    """Ask for a link as long as no worker looks; status, page, headers' names and statements."""
    statements = 0

    def one_more(*_arguments: Any) -> None:
        nonlocal statements
        statements += 1

    wake, scene.tool.wake = scene.tool.wake, lambda _job: None
    event.listen(scene.tool.db.engine, "before_cursor_execute", one_more)
    try:
        answer = ask_for_link(scene, address)
    finally:
        event.remove(scene.tool.db.engine, "before_cursor_execute", one_more)
        scene.tool.wake = wake
    page = re.sub(r"[0-9a-f]{32}|\d\d:\d\d", "", answer.text).replace(address, "…")
    return answer.status_code, page, sorted(answer.headers), statements


def test_nobody_learns_whether_an_address_is_known(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    asked_as(shared, "warm@home.example")  # the job is due from now on, for both alike
    known, unknown = asked_as(shared, ana.address), asked_as(shared, "bea@home.example")
    assert known == unknown and known[0] == 200 and ANSWER in known[1]
    assert post.got == []  # nothing goes out before a worker has looked
    with shared.tool.db.read() as session:
        job_id = session.scalars(select(Job.id).where(Job.kind == own_access.KIND, Job.state == "due")).one()
    shared.tool.wake(job_id)
    assert {each.recipient for each in post.got} == {ana.address}
    assert count(shared, OwnLinkRequest) == 0  # what was entered is not kept


def test_a_mailbox_gets_three_links_in_a_quarter_of_an_hour_and_the_answer_stays_the_same(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.confirmed(post)
    answers = {re.sub(r"[0-9a-f]{32}|\d\d:\d\d", "", ask_for_link(shared, ana.address).text) for _ in range(6)}
    assert len(answers) == 1 and len(post.to(ana.address)) == own_access.MOST_LINKS
    with time_machine.travel(now() + own_access.LINK_LASTS + timedelta(seconds=5), tick=True):
        ask_for_link(shared, ana.address)
    assert len(post.to(ana.address)) == own_access.MOST_LINKS + 1


def test_one_client_asks_for_so_many_links_and_then_waits(shared: Scene) -> None:
    answers = [ask_for_link(shared, f"n{n}@home.example").status_code for n in range(25)]
    assert answers[:20] == [200] * 20 and answers[-1] == 429


def test_confirmations_are_not_mailed_without_end(shared: Scene, ana: Earned, ben: Earned, post: MailServer) -> None:
    for n in range(own_addresses.MOST_CONFIRMATIONS):
        assert (ana if n % 2 else ben).ask("victim@home.example").status_code == 200
    refused = ana.ask("victim@home.example")  # two who write to one mailbox
    assert refused.status_code == 429 and "Several mails were sent" in refused.text
    assert 'value="victim@home.example"' in refused.text
    assert len(post.to("victim@home.example")) == own_addresses.MOST_CONFIRMATIONS


# -- what is an address


ODD = [
    "",
    "ana",
    "@home.example",
    "ana@",
    "ana@home",
    "ana@localhost",
    "ana@[127.0.0.1]",
    "Ana <ana@home.example>",
    '"ana" <ana@home.example>',
    "ana@home.example, ben@home.example",
    "ana@home.example ben@home.example",
    "ana@home.example\r\nBcc: all@home.example",
    "ana@home.example\nSubject: x",
    "ana@home.example%0aBcc:all@home.example",
    "ana@home.example\x00",
    "ana\x1b@home.example",
    "аna@home.example",  # a Cyrillic letter
    "ana@hоme.example",
    "ana@home.example\u200b",
    "\u212aim@home.example",  # the Kelvin sign, which lower() makes a k
    "mıke@home.example",
    f"{'a' * 65}@home.example",
    f"ana@{'h' * 300}.example",
    f"{'a' * 300}",
    "ana@home..example",
    ".ana@home.example",
    "ana..b@home.example",
    "ana@-home.example",
    "ana@home.example.",
    "ana@home.123",
    '"a b"@home.example',
    "<ana@home.example>",
    "ana@home.example?bcc=all@home.example",
    "mailto:ana@home.example",
]


@pytest.mark.parametrize("typed", ODD)
def test_what_is_not_one_plain_mailbox_is_refused_and_stays_in_the_form(
    shared: Scene, post: MailServer, typed: str
) -> None:
    answer = ask_for_link(shared, typed)
    assert answer.status_code == 400 and 'aria-invalid="true"' in answer.text and ANSWER not in answer.text
    if typed.isascii() and typed.isprintable() and not set(typed) & set('<>&"'):
        assert f'value="{typed}"' in answer.text
    assert post.got == [] and count(shared, OwnLinkRequest) == 0


def test_an_odd_address_entered_in_the_course_is_refused_too(shared: Scene, room: Classroom, post: MailServer) -> None:
    visitor = room.enter(room.students[0])
    for typed in (
        "Ana <ana@home.example>",
        "a@b.example\r\nBcc: c@d.example",
        "аna@home.example",
        f"{'a' * 300}@b.example",
    ):
        answer = visitor.post("keep/", {"address": typed})
        assert answer.status_code == 400 and "alert" in answer.text
    assert post.got == [] and count(shared, OwnAddressRequest) == 0


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ana.Ruiz+badges@Home.Example", "ana.ruiz+badges@home.example"),
        (" o'neil_x-1@sub.home.example ", "o'neil_x-1@sub.home.example"),
        ("a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example"),
    ],
)
def test_plain_addresses_are_taken_as_they_are_in_lower_case(typed: str, kept: str) -> None:
    assert own_addresses.checked(typed) == kept


def test_a_plus_or_a_dot_makes_another_mailbox(shared: Scene, room: Classroom, post: MailServer) -> None:
    ana = Earned(room, "ana+badges@home.example").confirmed(post)
    for other in ("ana@home.example", "ana+x@home.example", "a.na+badges@home.example"):
        ask_for_link(shared, other)
    assert post.got == []
    ask_for_link(shared, ana.address)
    assert [each.recipient for each in post.got] == [ana.address]


# -- confirming


def test_a_stranger_who_gets_the_mail_by_a_typing_error_learns_nothing_of_her(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    ana = Earned(room)
    with shared.tool.db.write() as session:
        session.execute(update(Person).where(Person.id == ana.person_id).values(name="Ana Ruiz"))
    ana.ask("wrong@home.example")
    link = last_link(post, "wrong@home.example")
    (got,) = post.to("wrong@home.example")
    page = requests.get(link, timeout=10).text
    for text in (got.part("plain"), got.part("html"), page):
        assert "Ana" not in text and "Careful Work" not in text and "A course" not in text
    ana.ask()  # she sees her error, and enters another
    answer = requests.post(link, timeout=10)
    assert answer.status_code == 410 and "not wanted any more" in answer.text and count(shared, OwnAddress) == 0


def test_another_address_takes_the_place_of_the_first_once_it_is_confirmed_and_both_are_told(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    ana = Earned(room).confirmed(post)
    inside = let_in(shared, post, ana.address)
    with shared.tool.db.write() as session:
        session.execute(update(Person).where(Person.id == ana.person_id).values(email="ana@Hallwood.example"))
    ana.ask("new@home.example")
    assert inside.get("").status_code == 200
    post.got.clear()
    ask_for_link(shared, ana.address)  # a link that is on its way to the old mailbox opens nothing afterwards
    late = last_link(post, ana.address)
    ana.ask("new@home.example")
    requests.post(last_link(post, "new@home.example"), timeout=10)
    assert post.to(ana.address)[-1].subject == "This address no longer opens your badges"
    assert post.to("ana@hallwood.example")[-1].subject == "Your badges can be opened from another address"
    assert "new@home" not in "".join(each.part("plain") for each in post.got if each.recipient != "new@home.example")
    assert inside.get("").status_code == 401 and requests.get(late, timeout=10).status_code == 404
    assert let_in(shared, post, "new@home.example").page is not None


def test_without_an_lms_she_can_name_another_address_too(shared: Scene, make_room: Any, post: MailServer) -> None:
    first, second = Earned(make_room()).confirmed(post), Earned(make_room()).confirmed(post)
    inside = let_in(shared, post, first.address)
    assert inside.post("address", {"address": "no address"}).status_code == 400
    assert "already" in inside.post("address", {"address": first.address}).text
    assert "A mail is on its way." in inside.post("address", {"address": "new@home.example"}).text
    asked = requests.get(last_link(post, "new@home.example"), timeout=10)
    assert first.address not in asked.text
    assert requests.post(last_link(post, "new@home.example"), timeout=10).status_code == 200
    assert inside.get("").status_code == 401
    inside = let_in(shared, post, "new@home.example")
    assert inside.get(first.award_id).status_code == inside.get(second.award_id).status_code == 200


def test_a_confirmation_of_two_days_ago_is_too_late_and_the_address_is_forgotten(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.ask()
    link = last_link(post, ana.address)
    with time_machine.travel(now() + own_addresses.CONFIRM_LASTS + timedelta(seconds=1), tick=True):
        assert requests.get(link, timeout=10).status_code == requests.post(link, timeout=10).status_code == 410
        assert count(shared, OwnAddress) == 0
    own_access.forget_expired(shared.tool, now() + timedelta(days=2, seconds=1))
    assert count(shared, OwnAddressRequest) == 0


def test_a_test_user_and_the_preview_send_no_mail(shared: Scene, room: Classroom, post: MailServer) -> None:
    visitor = room.enter(room.students[0])
    with shared.tool.db.write() as session:
        session.execute(update(Person).where(Person.id == room.person_id(room.students[0])).values(test_user=True))
    assert "This is a preview." in visitor.get("keep/").text
    assert visitor.post("keep/", {"address": "ana@home.example"}).status_code == 403 and post.got == []


# -- the session


def test_the_session_s_cookie_is_its_own_and_not_for_frames(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    visitor = Visitor(shared)
    token = token_in(visitor.http.get(link, timeout=10).text)
    planted = "planted-by-somebody-else"
    adapter = visitor.http.get_adapter("http://")
    adapter.jar.set_cookie(requests.cookies.create_cookie("own", planted, domain="localhost.local", path="/"))
    answer = visitor.http.post(link, data={"csrf": token}, allow_redirects=False, timeout=10)
    (set_cookie,) = [
        each for each in answer.raw.headers.getlist("Set-Cookie") if each.startswith("own=") and planted not in each
    ]
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= {each.strip() for each in set_cookie.split(";")}
    assert "Domain" not in set_cookie and "Partitioned" not in set_cookie
    inside = let_in(shared, post, ana.address)
    for path in ("", ana.award_id, "address", f"{ana.award_id}/files/json"):
        page = inside.get(path)
        assert page.status_code == 200 and page.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store" and page.headers["Referrer-Policy"] == "no-referrer"
    for path in ("/own", link.removeprefix(shared.url)):
        assert requests.get(f"{shared.url}{path}", timeout=10).headers["X-Frame-Options"] == "DENY"


def test_a_new_visit_has_a_new_secret_and_ends_the_one_before_in_that_browser(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.confirmed(post)
    inside = let_in(shared, post, ana.address)
    before = cookie_of(inside)
    ask_for_link(shared, ana.address)
    link = last_link(post, ana.address)
    inside.http.post(link, data={"csrf": token_in(inside.http.get(link, timeout=10).text)}, timeout=10)
    assert cookie_of(inside) != before
    old = requests.get(f"{shared.url}/own/badges/", headers={"Cookie": f"own={before}"}, timeout=10)
    assert old.status_code == 401 and "This visit has ended." in old.text


def test_a_visit_ends_when_she_leaves_after_two_idle_hours_and_after_eight(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.confirmed(post)
    one, two = let_in(shared, post, ana.address), let_in(shared, post, ana.address)
    secret = cookie_of(one)
    assert "You are out" in one.post("sign-out").text
    assert requests.get(f"{shared.url}/own/badges/", headers={"Cookie": f"own={secret}"}, timeout=10).status_code == 401
    assert two.get("").status_code == 200
    start = now()
    with time_machine.travel(start + timedelta(hours=1, minutes=50), tick=True):
        assert two.get("").status_code == 200
    with time_machine.travel(start + timedelta(hours=3, minutes=40), tick=True):
        assert two.get("").status_code == 200
    with time_machine.travel(start + timedelta(hours=5, minutes=45), tick=True):
        assert two.get("").status_code == 401  # idle
    with shared.tool.db.write() as session:
        session.execute(update(OwnSession).values(used_at=start + timedelta(hours=7, minutes=59)))
    with time_machine.travel(start + timedelta(hours=8, seconds=30), tick=True):
        assert two.get("").status_code == 401  # eight hours


def test_all_visits_end_at_once_and_links_on_their_way_with_them(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    one, two = let_in(shared, post, ana.address), let_in(shared, post, ana.address)
    ask_for_link(shared, ana.address)
    waiting = last_link(post, ana.address)
    assert "All visits have ended" in one.post("sign-out", {"everywhere": "yes"}).text
    assert two.get("").status_code == 401 and requests.get(waiting, timeout=10).status_code == 404
    assert actions(shared, ana.person_id)[-1] == "access.ended"


def test_D16_D17_a_post_needs_this_visit_s_token(shared: Scene, ana: Earned, ben: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    ben.confirmed(post)
    inside, other = let_in(shared, post, ana.address), let_in(shared, post, ben.address)
    stolen = token_in(other.get("").text)
    for path in (ana.award_id, "sign-out", "address", "address/remove"):
        for data in ({}, {"csrf": ""}, {"csrf": stolen}, {"csrf": token_in(ana.browser.get("").text)}):
            answer = inside.http.post(f"{inside.home}{path}", data={"address": "x@y.example", **data}, timeout=10)
            assert answer.status_code == 400, path
    assert inside.get("").status_code == 200
    with shared.tool.db.read() as session:
        assert session.get_one(Award, ana.award_id).claimed_at is None


def test_nobody_s_pages_open_without_a_visit(shared: Scene) -> None:
    for value in ("", "x", "a" * 5000, "é"):
        headers = {"Cookie": f"own={value}".encode()}
        answer = requests.get(f"{shared.url}/own/badges/", headers=headers, timeout=10)
        assert answer.status_code == 401 and "Ask for a link" in answer.text


# -- taking it back


def test_she_removes_the_address_and_nothing_of_it_is_left(shared: Scene, ana: Earned, post: MailServer) -> None:
    ana.confirmed(post)
    inside = let_in(shared, post, ana.address)
    ask_for_link(shared, ana.address)
    waiting = last_link(post, ana.address)
    assert ana.address in ana.browser.get("keep/").text
    assert "The address is removed." in ana.browser.post("keep/remove").text
    assert inside.get("").status_code == 401 and requests.get(waiting, timeout=10).status_code == 404
    assert sum(count(shared, table) for table in (OwnAddress, OwnLink, OwnSession)) == 0
    post.got.clear()
    ask_for_link(shared, ana.address)
    assert post.got == []


def test_she_removes_it_without_her_lms_too_and_her_page_stays(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    ana = Earned(room).confirmed(post)
    inside = let_in(shared, post, ana.address)
    choose(inside, ana, public="yes")
    url = re.findall(r"http://localhost:\d+/credentials/[0-9a-f]+", inside.get(ana.award_id).text)[0]
    assert "Your address is removed" in inside.post("address/remove").text
    assert count(shared, OwnAddress) == 0 and requests.get(url, timeout=10).status_code == 200


def test_what_is_kept_of_her_is_told_and_forgotten_but_for_what_is_another_s(
    shared: Scene, make_room: Any, post: MailServer
) -> None:
    ana, ben = Earned(make_room()).confirmed(post), Earned(make_room()).confirmed(post)  # one mailbox
    inside = let_in(shared, post, ana.address)
    ana.browser.post("keep/reminder")
    with shared.tool.db.read() as session:
        kept = own_access.kept_of(session, ana.person_id)
    assert kept["address"] == ana.address and len(kept["visits"]) == 1 and kept["reminder_put_away_at"]
    json.dumps(kept)
    with shared.tool.db.write() as session:
        own_access.forget(session, ana.person_id)
    with shared.tool.db.read() as session:
        assert own_access.kept_of(session, ana.person_id)["address"] is None
    assert inside.get(ana.award_id).status_code == 404 and inside.get(ben.award_id).status_code == 200
    with shared.tool.db.write() as session:
        own_access.forget(session, ben.person_id)
    tables = (OwnAddress, OwnAddressRequest, OwnLink, OwnSession, OwnReminder)
    assert sum(count(shared, table) for table in tables) == 0
    assert count(shared, Mail, Mail.recipient == ana.address) == 0


# -- in the course


def test_towards_the_end_of_the_course_she_is_reminded_once(shared: Scene, room: Classroom, post: MailServer) -> None:
    ana = Earned(room)
    reminder = "This course ends, and some day your account here ends too."

    def ends(when: Any, state: str = "ok") -> str:
        with shared.tool.db.write() as session:
            session.execute(update(Course).where(Course.id == room.id).values(ends_at=when, state=state))
        return ana.browser.get("").text

    assert reminder not in ends(None) and reminder not in ends(now() + timedelta(days=90))
    assert reminder in ends(now() + timedelta(days=20)) and reminder in ends(None, "concluded")
    nobody = room.enter(room.students[1])  # has earned nothing
    assert reminder not in nobody.get("").text
    ana.confirmed(post)
    assert reminder not in ana.browser.get("").text
    ana.browser.post("keep/remove")
    assert reminder in ana.browser.get("").text
    assert reminder not in ana.browser.post("keep/reminder").text
    ana.browser.post("keep/reminder")
    assert reminder not in ana.browser.get("").text and "Keep access after the course" in ana.browser.get("").text


def test_what_the_lms_calls_her_address_is_offered_and_not_taken_by_itself(
    shared: Scene, room: Classroom, post: MailServer
) -> None:
    visitor = room.enter(room.students[0])
    with shared.tool.db.write() as session:
        person = session.get_one(Person, room.person_id(room.students[0]))
        person.email = "Ana@Hallwood.example"
    assert 'value="ana@hallwood.example"' in visitor.get("keep/").text
    assert count(shared, OwnAddressRequest) == 0 and post.got == []


def test_a_mail_server_that_fails_first_gets_the_same_mail_later_and_once(
    shared: Scene, ana: Earned, post: MailServer
) -> None:
    ana.confirmed(post)
    post.plan[:] = ["451 later"]
    assert ANSWER in ask_for_link(shared, ana.address).text
    assert post.to(ana.address) == []
    with time_machine.travel(now() + timedelta(minutes=3), tick=True):
        from lti_tool.services import mail

        mail.send_soon(shared.tool)
    (got,) = post.to(ana.address)
    assert come_in(shared, last_link(post, ana.address)).page.status_code == 200 and got.id  # type: ignore[union-attr]


def test_without_a_mail_server_it_says_so_and_is_not_offered(scene: Scene) -> None:
    scene.publish()
    visitor = scene.launch("student1")
    assert "Keep access" not in visitor.get("").text
    assert "This installation sends no mail" in visitor.get("keep/").text
    assert visitor.post("keep/", {"address": "ana@home.example"}).status_code == 409
    for answer in (requests.get(f"{scene.url}/own", timeout=10), ask_for_link(scene, "ana@home.example")):
        assert "This installation sends no mail" in answer.text and "<form" not in answer.text
    assert count(scene, OwnLinkRequest) == 0


__all__ = ["make_room", "room", "tidy"]
