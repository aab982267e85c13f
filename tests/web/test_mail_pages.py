"""The administrator's page about mail: how it stands, a test mail through a real server, and what mails look like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, select

from lti_tool.models import AuditEvent, MailServer
from lti_tool.services.letters import LETTERS, SAMPLES
from lti_tool.web.admin import mail as pages
from tests import mail_server as servers
from tests.classroom import shared  # noqa: F401 (a fixture)
from tests.scene import Administrator, Scene


@pytest.fixture(scope="module")
def vera(shared: Scene) -> Administrator:  # noqa: F811
    return shared.administrator("Vera Lindqvist", "vera@hallwood.example")


@pytest.fixture
def server(shared: Scene) -> Iterator[servers.MailServer]:  # noqa: F811
    there = shared.tool.settings
    with servers.mail_server() as started:
        sends = there.mail.model_copy(update={"url": started.url, "sender": "badges@hallwood.example"})
        shared.tool.settings = there.model_copy(update={"mail": sends})
        yield started
    shared.tool.settings = there
    with shared.tool.db.write() as session:
        session.execute(delete(MailServer))


def test_without_a_mail_server_the_page_says_so_and_offers_no_test(vera: Administrator) -> None:
    page = vera.get("/admin/mail").text
    assert "No mail is sent." in page and "Send a test mail" not in page
    refused = vera.post("/admin/mail", {"to": "vera@hallwood.example"})
    assert refused.status_code == 409 and "No mail server is set up" in refused.text


def test_an_administrator_sends_a_test_mail_and_reads_that_it_was_taken(
    vera: Administrator,
    server: servers.MailServer,
    shared: Scene,  # noqa: F811
) -> None:
    assert 'value="vera@hallwood.example"' in vera.get("/admin/mail").text
    page = vera.post("/admin/mail", {"to": "vera@hallwood.example"}).text
    assert "The mail server has taken the test mail." in page
    (got,) = server.got
    assert (got.recipient, got.subject) == ("vera@hallwood.example", "A test mail of the badge tool")
    assert got.message["List-Unsubscribe"] is None
    with shared.tool.db.read() as session:
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "mail.tested"))
    assert "vera" not in str(event.detail) + event.subject


def test_a_test_mail_that_does_not_go_out_says_why_and_keeps_what_was_typed(
    vera: Administrator, server: servers.MailServer
) -> None:
    server.recipients["nobody@hallwood.example"] = "550 no such user"
    for typed, sentence in (
        ("nobody@hallwood.example", "The mail server refused this mail."),
        ("nobody", "This is no e-mail address that mail can be sent to."),
    ):
        answer = vera.post("/admin/mail", {"to": typed})
        assert answer.status_code >= 400
        assert sentence in answer.text and f'value="{typed}"' in answer.text


def test_every_mail_is_shown_in_every_language(vera: Administrator, server: servers.MailServer) -> None:
    assert set(SAMPLES) == set(LETTERS)
    english, spanish = (vera.get(f"/admin/mail?language={each}").text for each in ("en", "es"))
    assert "You have earned Oral Communication" in english and "Has obtenido Oral Communication" in spanish
    assert english.count('class="mailtext') == len(LETTERS) == spanish.count('class="mailtext')
    assert pages.LANGUAGES == ("en", "es")


def test_nothing_of_a_password_stands_on_the_page(
    vera: Administrator,
    server: servers.MailServer,
    shared: Scene,  # noqa: F811
) -> None:
    url = server.url.replace("smtp://", "smtp://badges:secret-word@")
    told = shared.tool.settings.mail.model_copy(update={"url": url})
    shared.tool.settings = shared.tool.settings.model_copy(update={"mail": told})
    page = vera.get("/admin/mail").text
    assert f"127.0.0.1:{server.port}" in page and "secret-word" not in page
