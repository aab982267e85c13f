"""What anybody may open and send: odd addresses, private credentials, checks that ask other servers, what is loaded."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
import requests
from lxml import html
from sqlalchemy import event, select, update
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from lti_tool import security, web
from lti_tool.errors import Conflict, NotFound
from lti_tool.models import Award, Deployment, Edition, Person, Registration
from lti_tool.services import award_acts, checking, choices, editions, forms, published
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now


@pytest.fixture
def earned(room):  # noqa: F811
    """A course with a badge that its first student has earned and not claimed; the credential's path at `path`."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.path = room.award()["credential_url"].removeprefix(room.scene.url)
    return room


@pytest.fixture
def claimed(earned):
    """The same, claimed and public."""
    choices.choose(earned.tool, earned.award()["id"], choices.Choices(public=True), actor="operator", now=now())
    return earned


def check(scene, text: str) -> requests.Response:
    return requests.post(f"{scene.url}/verify", data={"text": text}, timeout=30)


def test_a_badge_s_page_says_how_long_it_lasts_and_a_credential_s_what_it_is_worth(room):  # noqa: F811
    room.publish(badge(expires_after="P45D", credits=Decimal("2.5")))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award = room.award()
    choices.choose(room.tool, award["id"], choices.Choices(public=True), actor="operator", now=now())
    about = requests.get(f"{room.scene.url}/achievements/{room.badge.slug}/v1", timeout=10).text
    assert "<dt>Lasts</dt><dd>45 days</dd>" in about and "<dt>Credits</dt><dd>2.5</dd>" in about
    assert "<dt>Credits</dt><dd>2.5</dd>" in requests.get(award["credential_url"], timeout=10).text


def test_what_is_no_credential_is_told_with_each_kind_of_file_that_may_be_one(shared):  # noqa: F811
    assert "It is not a PNG, SVG, PDF, JSON or JWT file." in check(shared, "hello").text


# -- addresses that nothing of ours has -------------------------------------------------------------------------

HUGE = ("99999999999", "9" * 23, "9" * 5000)


@pytest.mark.parametrize(
    "path",
    [
        *(f"/status/{number}" for number in HUGE),
        *(f"/achievements/x/v{number}" for number in HUGE),
        *(f"/achievements/x/v{number}.json" for number in HUGE),
        "/credentials/%00",
        "/credentials/%00.json",
        "/achievements/%00/v1",
        "/issuers/%00",
        "/issuers/%00.json",
        "/keys/%00",
        "/course/%00/",
        "/me/x/badges/%0a",
    ],
)
def test_a_number_or_name_that_no_column_holds_is_an_address_like_any_other_unknown_one(shared, path):  # noqa: F811
    answer = requests.get(f"{shared.url}{path}", timeout=10)
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text


def test_a_job_number_of_any_length_is_an_unknown_address(earned):
    for number in HUGE:
        assert earned.page.get(f"jobs/{number}").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        *(f"{{ours}}/status/{number}" for number in HUGE),
        "{ours}/status/\u0661",
        "{ours}/status/\u00b2",
        "{ours}/credentials/\x00.json",
        "{ours}/keys/\x00",
        "https://[",
        "https://[::1/x",
        "https://a:b/",
    ],
)
def test_an_odd_address_that_is_sent_to_be_checked_is_answered_in_words(shared, address):  # noqa: F811
    answer = check(shared, address.format(ours=shared.url))
    assert answer.status_code == 200
    assert "There is no credential to check" in answer.text


@pytest.mark.parametrize("name", ["\x00", "a\nb", "\ud800"])
def test_the_services_themselves_ask_the_database_for_no_odd_name(shared, name):  # noqa: F811
    with statements(shared.tool) as seen:
        for ask in (
            lambda: forms.find_edition(shared.tool, name, "secret", now()),
            lambda: published.find_version(shared.tool, name, 1),
            lambda: published.find_issuer(shared.tool, name),
        ):
            with pytest.raises(NotFound):
                ask()
    assert seen == []


ODD_VALUES = [DataError("s", {}, Exception()), StatementError("m", "s", {}, ValueError()), OverflowError()]


@pytest.mark.parametrize("wrong", ODD_VALUES)
def test_a_value_the_database_refuses_is_an_unknown_address_and_a_form_with_one_an_error(shared, wrong):  # noqa: F811
    with shared.app.test_request_context("/x"):
        assert web.odd_value(wrong).status_code == 404
    with shared.app.test_request_context("/x", method="POST"):
        assert web.odd_value(wrong).status_code == 500
    for kind in (type(wrong), IntegrityError):
        assert shared.app._find_error_handler(kind.__new__(kind), []) is web.odd_value
    with shared.app.test_request_context("/x"):
        assert web.odd_value(IntegrityError("s", {}, Exception())).status_code == 500


def test_a_logged_detail_is_one_line_of_what_prints(shared, caplog):  # noqa: F811
    caplog.set_level(logging.INFO, "lti_tool")
    with shared.app.test_request_context("/x"):
        web.tool_error(NotFound("a\r\nb\x1b[31m\x00c\u2028d\u202ee\x85f"))
    assert "detail=a  b [31m c d e f" in caplog.records[-1].getMessage()


# -- who sees a private credential ------------------------------------------------------------------------------


def switch(room, **values) -> None:  # noqa: F811
    """Set a field of the learner, of her deployment or of her platform, by its name."""
    with room.tool.db.write() as session:
        course = session.get_one(Award, room.award()["id"]).course
        rows = {
            "person": session.get_one(Person, room.person_id(room.students[0])),
            "deployment": session.get_one(Deployment, course.deployment_pk),
            "platform": session.get_one(Registration, course.registration_id),
        }
        for name, (field, value) in values.items():
            setattr(rows[name], field, value)


@pytest.mark.parametrize(
    ("what", "off", "on"),
    [
        ("person", ("disabled", True), ("disabled", False)),
        ("deployment", ("status", "disabled"), ("status", "active")),
        ("platform", ("status", "disabled"), ("status", "active")),
    ],
)
def test_D13_what_is_switched_off_opens_no_private_credential(earned, what, off, on):
    learner = earned.enter(earned.students[0])
    assert learner.get(earned.path).status_code == 200
    switch(earned, **{what: off})
    try:
        for form in ("", ".json", ".jwt", ".png"):
            assert learner.get(f"{earned.path}{form}").status_code == 404, form
        teacher = earned.page.get(earned.path).status_code
        assert teacher == (200 if what == "person" else 404)
    finally:
        switch(earned, **{what: on})
    assert learner.get(earned.path).status_code == 200


@contextmanager
def statements(tool) -> Iterator[list[str]]:
    """Collect what a tool asks its database."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        seen.append(statement)

    event.listen(tool.db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(tool.db.engine, "before_cursor_execute", note)


def test_I24_a_private_credential_is_told_from_none_by_nothing_the_database_does(earned):
    other = earned.enter(earned.students[1])
    secret = next(cookie.value for cookie in other.http.adapters["http://"].jar if cookie.name.endswith("browser"))
    private = earned.path.rpartition("/")[2]
    for viewer in (None, "nobody's", secret):
        asked = []
        for credential_id in (private, "0" * 32):
            with statements(earned.tool) as seen, pytest.raises(NotFound):
                forms.find_edition(earned.tool, credential_id, viewer, now())
            asked.append(seen)
        assert asked[0] == asked[1]
        assert not any("document" in statement or "definition" in statement for statement in asked[0])


# -- what is loaded, and what is checked again ------------------------------------------------------------------

LARGE = re.compile(r"picture_png|picture_svg|draft_picture|edition\.document|edition\.jwt")


def test_pages_load_pictures_and_signed_files_only_where_they_show_them(claimed):
    student = claimed.enter(claimed.students[0])
    slug = claimed.award()["achievement"].removeprefix(claimed.scene.url)
    for get, paths in (
        (claimed.page.get, ("", f"badges/{claimed.badge.slug}", f"badges/{claimed.badge.slug}/awards")),
        (student.get, ("", f"badges/{claimed.badge.slug}", f"badges/{claimed.badge.slug}/claim")),
        (student.get, ("/issuers/hallwood", slug)),
    ):
        for path in paths:
            with statements(claimed.tool) as seen:
                assert get(path).status_code == 200
            assert [each for each in seen if LARGE.search(each)] == [], path
    assert student.get(f"{claimed.path}.jwt").status_code == 200  # made of the document, once
    for form, wanted in (
        (f"{claimed.path}.json", set()),  # straight from the table, see services.served
        (f"{claimed.path}.jwt", {"edition.jwt"}),
        (f"{claimed.path}.png", {"edition.document", "picture_png"}),
        (f"{slug}.png", {"picture_png"}),
        (f"{slug}.svg", {"picture_svg"}),
    ):
        with statements(claimed.tool) as seen:
            assert student.get(form).status_code == 200
        assert {found for each in seen for found in LARGE.findall(each)} == wanted, form


def touch(room) -> None:  # noqa: F811
    """Write something, so that a page is made anew."""
    for told in (True, False):
        with room.tool.db.write() as session:
            session.execute(update(Award).values(note_told=told))


def test_a_credential_page_checks_the_signature_once_and_the_status_each_time(claimed, monkeypatch):
    asked = []
    real = checking.verify
    monkeypatch.setattr(checking, "verify", lambda *a, **o: asked.append(set(o["known"])) or real(*a, **o))
    url = f"{claimed.scene.url}{claimed.path}"
    for _ in range(2):
        touch(claimed)
        assert "Unchanged since it was signed" in requests.get(url, timeout=10).text
    assert asked == [set()]
    award_acts.revoke(claimed.tool, claimed.award()["id"], "Given by mistake.", actor="operator", now=now())
    for _ in range(2):  # what is not well is looked at each time
        touch(claimed)
        assert "Withdrawn by the issuer" in requests.get(url, timeout=10).text
    assert asked[1:] == [{"complete", "links", "unchanged", "key"}] * 2


def test_a_credential_that_was_well_is_looked_at_again_when_its_time_is_over(claimed):
    ends = now().replace(microsecond=0) + timedelta(days=1)
    with claimed.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == claimed.award()["id"]).values(status="pending"))
        unsigned = {"valid_until": ends, "document": None, "signed_at": None}
        session.execute(update(Edition).where(Edition.award_id == claimed.award()["id"]).values(**unsigned))
    assert editions.sign_pending(claimed.tool, claimed.id) == 1
    with claimed.tool.db.read() as session:
        document = session.scalar(select(Edition.document).where(Edition.award_id == claimed.award()["id"]))
    for at, ok in ((now(), True), (now(), True), (ends, False), (ends, False)):
        assert checking.own_report(claimed.tool, document, at).ok is ok


def test_a_signed_file_that_was_changed_in_the_database_is_not_taken_for_the_one_checked_before(claimed):
    url = f"{claimed.scene.url}{claimed.path}"
    assert "Unchanged since it was signed" in requests.get(url, timeout=10).text
    with claimed.tool.db.write() as session:
        edition = session.scalars(select(Edition).where(Edition.award_id == claimed.award()["id"])).one()
        edition.document = edition.document.replace(b"Careful Work", b"Careless Work")
    assert "Unchanged since it was signed" not in requests.get(url, timeout=10).text


# -- checks that ask other servers ------------------------------------------------------------------------------


@contextmanager
def slow_server() -> Iterator[str]:
    """A server that answers one byte every tenth of a second, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/credential"
    finally:
        over.set()
        listener.close()


def test_all_that_one_check_asks_others_has_one_end(shared, monkeypatch):  # noqa: F811
    monkeypatch.setattr(checking, "LONGEST_CHECK", 1.0)
    with slow_server() as url:
        started = time.monotonic()
        answer = check(shared, url)
        assert time.monotonic() - started < 4
    assert "did not answer" in answer.text
    assert shared.tool.http.total_timeout == 60  # the LMS's services keep their own patience


def test_two_checks_at_a_time_ask_others_and_our_own_credentials_need_no_turn(claimed, monkeypatch):
    turns = threading.BoundedSemaphore(2)
    monkeypatch.setattr(checking, "ASKING_OUTSIDE", turns)
    monkeypatch.setattr(checking, "LONGEST_CHECK", 3.0)
    document = requests.get(f"{claimed.scene.url}{claimed.path}.json", timeout=10).json()
    with slow_server() as url:
        busy = [threading.Thread(target=check, args=(claimed.scene, url)) for _ in range(2)]
        for each in busy:
            each.start()
        for _ in range(100):
            if not turns.acquire(blocking=False):
                break
            turns.release()
            time.sleep(0.01)
        third = check(claimed.scene, url)
        assert third.status_code == 503 and third.headers["Retry-After"]
        assert "Other credentials are being checked" in third.text
        for ours in (json.dumps(document), f"{claimed.scene.url}{claimed.path}"):
            report = html.document_fromstring(check(claimed.scene, ours).text).text_content()
            assert "Genuine and in force" in report, " ".join(report.split())[-1500:]
        for each in busy:
            each.join()
    assert turns.acquire(blocking=False) and turns.acquire(blocking=False)  # given back


def test_too_many_checks_from_one_address_are_told_to_wait(shared, monkeypatch):  # noqa: F811
    monkeypatch.setitem(shared.app.extensions, "verify_limit", security.RateLimit(2))
    assert [check(shared, "x").status_code for _ in range(3)] == [200, 200, 429]
    assert requests.get(f"{shared.url}/verify", timeout=10).status_code == 200


def test_sixty_checks_a_minute_are_let_in(shared):  # noqa: F811
    limit = shared.app.extensions["verify_limit"]
    assert isinstance(limit, security.RateLimit) and limit._most == 60


# -- a badge that was taken back --------------------------------------------------------------------------------


def test_whoever_takes_a_badge_back_is_told_who_reads_the_reason_and_it_is_so(claimed):
    award = claimed.award()["id"]
    form = claimed.page.get(f"badges/{claimed.badge.slug}/awards/{award}/revoke").text
    assert "Everybody who opens the page reads this reason" in form
    claimed.page.post(f"badges/{claimed.badge.slug}/awards/{award}/revoke", {"reason": "The talk was not hers."})
    page = requests.get(f"{claimed.scene.url}{claimed.path}", timeout=10).text
    assert "The talk was not hers." in page
    assert "Withdrawn by the issuer" in page and "Yes, the issuer" not in page  # the question stands on Verify only


def test_a_learner_switches_the_page_of_a_badge_off_that_was_taken_back(claimed):
    award_acts.revoke(claimed.tool, claimed.award()["id"], "The talk was not hers.", actor="operator", now=now())
    student, slug = claimed.enter(claimed.students[0]), claimed.badge.slug
    assert f"/me/{student.launch}/badges/{slug}/claim" in student.get(f"badges/{slug}").text
    assert student.get(f"badges/{slug}/claim").status_code == 200
    assert student.post(f"badges/{slug}/claim").status_code == 200
    assert requests.get(f"{claimed.scene.url}{claimed.path}", timeout=10).status_code == 404
    assert student.post(f"badges/{slug}/claim", {"public": "yes"}).status_code == 200
    assert requests.get(f"{claimed.scene.url}{claimed.path}", timeout=10).status_code == 200
    assert claimed.award()["status"] == "revoked"


def test_a_badge_that_was_taken_back_before_it_was_claimed_cannot_be_claimed(earned):
    award_acts.revoke(earned.tool, earned.award()["id"], "The talk was not hers.", actor="operator", now=now())
    student = earned.enter(earned.students[0])
    assert student.get(f"badges/{earned.badge.slug}/claim").status_code == 404
    assert student.post(f"badges/{earned.badge.slug}/claim", {"public": "yes"}).status_code == 404
    with pytest.raises(Conflict):
        choices.choose(earned.tool, earned.award()["id"], choices.Choices(public=True), actor="operator", now=now())
    assert not earned.award()["public"]


def test_an_expired_session_opens_no_private_credential(earned):
    learner = earned.enter(earned.students[0])
    secret = next(cookie.value for cookie in learner.http.adapters["http://"].jar if cookie.name.endswith("browser"))
    credential_id = earned.path.rpartition("/")[2]
    assert forms.find_edition(earned.tool, credential_id, secret, now()).id == credential_id
    with pytest.raises(NotFound):
        forms.find_edition(earned.tool, credential_id, secret, now() + timedelta(hours=13))


# -- our own Open Badges 2.0 view, checked ----------------------------------------------------------------------


def test_our_hosted_view_is_checked_by_its_address_and_once_withdrawn_it_says_so(claimed):
    address = f"{claimed.scene.url}{claimed.path}".replace("/credentials/", "/ob2/assertions/")
    report = checking.check(claimed.tool, address, now())
    assert report.ok and report.kind == "ob2", [(c.name, c.sentence) for c in report.checks if c.outcome != "passed"]
    award_acts.revoke(claimed.tool, claimed.award()["id"], reason="By mistake.", actor="operator", now=now())
    assert not checking.check(claimed.tool, address, now()).ok
    text = json.dumps(requests.get(address, timeout=10).json())
    assert "revoked" in text


def test_I24_a_private_hosted_view_is_as_one_that_is_not_there(earned):
    address = f"{earned.scene.url}{earned.path}".replace("/credentials/", "/ob2/assertions/")
    there, nowhere = (checking.check(earned.tool, each, now()) for each in (address, f"{address[:-3]}abc"))
    assert [c.sentence for c in there.checks] == [c.sentence for c in nowhere.checks]
