"""Mail through a real server: taken, put off, refused, unanswered, and never twice without need."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select, update

from lti_tool import smtp
from lti_tool.errors import ConfigurationError, MailServerFailed
from lti_tool.jobs import RUNNERS
from lti_tool.models import Job, Mail, MailServer
from lti_tool.services import doctor, mail, work
from lti_tool.services.letters import LETTERS, SAMPLES
from lti_tool.services.tool import Tool, open_tool
from lti_tool.services.words import LANGUAGES
from lti_tool.settings import load_settings
from tests import mail_server as servers
from tests.classroom import at_once
from tests.scene import make_database, prepare_database, settings_for

ANA, EVA = "ana@hallwood.example", "eva@hallwood.example"


@pytest.fixture(scope="module")
def server() -> Iterator[servers.MailServer]:
    with servers.mail_server() as started:
        yield started


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory, server: servers.MailServer) -> Iterator[Tool]:
    folder = tmp_path_factory.mktemp("mail")
    with make_database("", folder) as url:
        prepare_database(url)
        told = {"LTI_TOOL_MAIL__URL": server.url, "LTI_TOOL_MAIL__SENDER": "badges@hallwood.example"}
        made = open_tool(settings_for(folder, url, "http://badges.localhost:8000", **told))
        yield made
        made.db.engine.dispose()


@pytest.fixture(autouse=True)
def nothing_waits(tool: Tool, server: servers.MailServer) -> None:
    server.plan.clear()
    server.recipients.clear()
    server.got.clear()
    server.connections = 0
    with tool.db.write() as session:
        for table in (Mail, Job, MailServer):
            session.query(table).delete()


def now() -> datetime:
    return datetime.now(UTC)


def ask(tool: Tool, key: str = "one", to: str = ANA, template: str = "earned", **more: Any) -> bool:
    values = {**SAMPLES[template], **more.pop("values", {})}
    with tool.db.write() as session:
        return mail.enqueue(session, key=key, to=to, template=template, values=values, language="en", now=now(), **more)


def send(tool: Tool) -> dict[str, Any]:
    """Let a worker send what is due, as the sweep has it done."""
    mail.make_due(tool, now())
    for job_id in work.due(tool, now()):
        assert work.wait(tool, job_id, RUNNERS).state == "done"
    with tool.db.read() as session:
        return {row.key: row for row in session.scalars(select(Mail))}


def time_passes(tool: Tool) -> None:
    """Let every pause and lease be over."""
    past = now() - timedelta(seconds=1)
    with tool.db.write() as session:
        session.execute(update(Mail).where(Mail.state == "due").values(not_before=past))
        session.execute(update(Mail).where(Mail.state == "sending").values(lease_until=past))


def test_a_mail_goes_out_and_its_address_and_values_are_forgotten(tool: Tool, server: servers.MailServer) -> None:
    assert ask(tool)
    row = send(tool)["one"]
    (got,) = server.got
    assert (got.sender, got.recipient, got.subject) == (
        "badges@hallwood.example",
        ANA,
        "You have earned Oral Communication",
    )
    assert got.id == f"<{row.id}@badges.localhost>"
    assert got.message["Auto-Submitted"] == "auto-generated"
    assert got.message["From"].addresses[0].addr_spec == "badges@hallwood.example"
    assert "Date" in got.message
    assert (row.state, row.recipient, row.values) == ("sent", "", {})


def test_a_second_mail_for_one_event_is_never_written_down(tool: Tool, server: servers.MailServer) -> None:
    assert ask(tool) and not ask(tool)
    send(tool)
    assert not ask(tool)
    send(tool)
    assert len(server.got) == 1


def test_two_who_write_down_one_event_at_once_write_one_mail(tool: Tool, server: servers.MailServer) -> None:
    assert sorted(at_once(lambda: ask(tool), lambda: ask(tool))) == [False, True]
    send(tool)
    assert len(server.got) == 1


def test_nothing_is_sent_for_a_transaction_that_was_rolled_back(tool: Tool, server: servers.MailServer) -> None:
    with pytest.raises(RuntimeError), tool.db.write() as session:
        mail.enqueue(session, key="one", to=ANA, template="test", values={}, language="en", now=now())
        raise RuntimeError
    send(tool)
    assert server.got == []


def test_many_go_over_one_connection(tool: Tool, server: servers.MailServer) -> None:
    for number in range(20):
        ask(tool, str(number))
    send(tool)
    assert (len(server.got), server.connections) == (20, 1)


def test_H17_one_that_is_put_off_is_tried_again_with_growing_pauses(tool: Tool, server: servers.MailServer) -> None:
    server.plan[:] = ["451 later", "451 later"]
    ask(tool)
    pauses = []
    for _ in range(2):
        row = send(tool)["one"]
        assert (row.state, row.problem) == ("due", "The mail server put this mail off.")
        pauses.append((row.not_before - now()).total_seconds())
        send(tool)  # it is not due: nothing happens
        time_passes(tool)
    assert 50 < pauses[0] < 70 and 260 < pauses[1] < 340
    assert server.got == []
    assert send(tool)["one"].state == "sent"
    assert len(server.got) == 1


def test_H17_a_server_that_is_away_lets_all_wait_and_says_so(tool: Tool, server: servers.MailServer) -> None:
    gone = tool.settings
    try:
        tool.settings = gone.model_copy(update={"mail": gone.mail.model_copy(update={"url": "smtp://127.0.0.1:9"})})
        ask(tool, "one")
        ask(tool, "two", EVA)
        rows = send(tool)
        assert {row.state for row in rows.values()} == {"due"}
        assert {row.attempts for row in rows.values()} == {1}
        assert all(row.not_before > now() for row in rows.values())
        standing = mail.standing(tool, now())
        assert (standing.problem, standing.waiting) == ("The mail server could not be reached.", 2)
        assert standing.failing_since is not None
        found = next(each for each in doctor.examine(tool, None, now()) if each.what == "mail")
        assert not found.ok and "could not be reached" in found.sentence
    finally:
        tool.settings = gone
    time_passes(tool)
    send(tool)
    assert {each.recipient for each in server.got} == {ANA, EVA}
    assert mail.standing(tool, now()).failing_since is None


def test_H17_an_answer_that_is_lost_leads_to_one_more_copy_under_the_same_message_id(
    tool: Tool, server: servers.MailServer
) -> None:
    server.plan[:] = ["lost"]
    ask(tool)
    assert send(tool)["one"].state == "due"
    time_passes(tool)
    assert send(tool)["one"].state == "sent"
    first, second = server.got
    assert first.id == second.id
    assert first.raw == second.raw


def test_H17_answers_that_are_lost_for_good_lead_to_no_third_copy(tool: Tool, server: servers.MailServer) -> None:
    server.plan[:] = ["lost"] * 5
    ask(tool)
    for _ in range(4):
        send(tool)
        time_passes(tool)
    assert send(tool)["one"].state == "unsure"
    assert len(server.got) == 2


def test_after_a_lost_answer_the_others_go_over_another_connection(tool: Tool, server: servers.MailServer) -> None:
    server.plan[:] = ["take", "lost"]
    for number in range(4):
        ask(tool, str(number))
    send(tool)
    assert (len(server.got), server.connections) == (4, 2)


def test_a_server_that_takes_few_over_one_connection_is_asked_again(tool: Tool, server: servers.MailServer) -> None:
    server.plan[:] = ["take", "421 too many", "take"]
    for number in range(3):
        ask(tool, str(number))
    rows = send(tool)
    assert {row.state for row in rows.values()} == {"sent"}
    assert (len(server.got), server.connections) == (3, 2)


def test_one_that_is_refused_is_seen_by_an_administrator_and_keeps_nobody_waiting(
    tool: Tool, server: servers.MailServer
) -> None:
    server.recipients[ANA] = "550 no such user"
    ask(tool, "one", ANA)
    ask(tool, "two", EVA)
    rows = send(tool)
    assert (rows["one"].state, rows["two"].state) == ("refused", "sent")
    (failed,) = [job for job in work.listing(tool) if job["state"] == "failed"]
    assert (failed["kind"], failed["reason"]) == ("mail", "mail_refused")
    send(tool)
    assert server.to(ANA) == []  # it is not tried again by itself
    server.recipients.clear()
    work.retry(tool, failed["id"], now())
    send(tool)
    assert send(tool)["one"].state == "sent"
    assert len(server.to(ANA)) == 1


def test_no_address_stands_in_the_log(tool: Tool, server: servers.MailServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.recipients[ANA] = f"550 <{ANA}> no such user"
    server.plan[:] = [f"451 {EVA} later"]
    ask(tool, "one", ANA)
    ask(tool, "two", EVA)
    send(tool)
    ours = "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("lti_tool"))
    assert "refused" in ours
    assert "hallwood.example" not in ours


def test_J06_one_that_cannot_be_worded_keeps_nobody_waiting(
    tool: Tool, server: servers.MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_values: Any) -> Any:
        raise KeyError("badge")

    monkeypatch.setitem(LETTERS, "revoked", broken)
    ask(tool, "one", template="revoked")
    ask(tool, "two", EVA)
    rows = send(tool)
    assert (rows["one"].state, rows["two"].state) == ("refused", "sent")


def test_one_whose_time_is_over_is_let_go(tool: Tool, server: servers.MailServer) -> None:
    ask(tool, worth=timedelta(minutes=10))
    mail.make_due(tool, now() + timedelta(minutes=11))
    row = send(tool)["one"]
    assert (row.state, row.recipient, server.got) == ("late", "", [])


def test_without_a_server_nothing_waits_for_one(tool: Tool) -> None:
    there = tool.settings
    tool.settings = there.model_copy(update={"mail": there.mail.model_copy(update={"url": ""})})
    try:
        ask(tool)
        assert send(tool)["one"].state == "late"
        found = next(each for each in doctor.examine(tool, None, now()) if each.what == "mail")
        assert found.ok and "inside the tool only" in found.sentence
    finally:
        tool.settings = there


@pytest.mark.parametrize("address", ["", "ana", "ana@", "a b@x.example", "ana@x.example\nBcc: eva@x.example", "ä@x.de"])
def test_what_is_no_address_gets_no_mail(tool: Tool, address: str) -> None:
    assert not ask(tool, to=address)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", list(LETTERS))
def test_I19_a_badge_name_does_no_harm_in_a_mail(
    tool: Tool, server: servers.MailServer, template: str, language: str
) -> None:
    evil = "</title></script><img src=x onerror=alert(1)>{{7*7}}%(x)s\r\nBcc: eve@evil.example"
    values = dict(SAMPLES[template])
    values.update({name: evil for name in ("badge", "course", "reason") if name in values})
    if template == "digest":
        values["earned"] = [[evil, 2]]
    with tool.db.write() as session:
        mail.enqueue(session, key="one", to=ANA, template=template, values=values, language=language, now=now())
    send(tool)
    (got,) = server.got
    assert got.message["Bcc"] is None and got.message.keys().count("Subject") == 1
    assert "\n" not in got.subject and "\r" not in got.subject
    page, text = got.part("html"), got.part("plain")
    assert "<img" not in page and "<script" not in page and "49" not in page + text
    addresses = {"http://badges.localhost:8000", str(values.get("link") or "-")}
    assert all(any(each.startswith(address) for address in addresses) for each in re.findall(r"https?:[^\s\"<]*", page))
    if "badge" in values:
        assert "&lt;img" in page and "{{7*7}}" in text


def test_a_mail_speaks_its_reader_s_language(tool: Tool, server: servers.MailServer) -> None:
    with tool.db.write() as session:
        values = SAMPLES["expiring"]
        mail.enqueue(session, key="one", to=ANA, template="expiring", values=values, language="es", now=now())
    send(tool)
    (got,) = server.got
    assert "30 de junio de 2029" in got.subject
    assert 'lang="es"' in got.part("html")


# -- TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, by nobody's authority but its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def secured(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def server_at(port: int, host: str = "127.0.0.1", user: str = "", password: str = "") -> smtp.Server:
    return smtp.Server(host, port, "starttls", user, password, timeout=5)


def why(server: smtp.Server) -> str:
    with pytest.raises(MailServerFailed) as refused, smtp.connect(server, "badges.localhost"):
        pass
    return f"{refused.value.reason}"


def test_nothing_goes_through_a_server_that_offers_no_tls(server: servers.MailServer) -> None:
    assert why(server_at(server.port)) == "mail_no_starttls"


def test_a_certificate_is_checked(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.mail_server(secured(certificate)) as with_tls:
        assert why(server_at(with_tls.port)) == "mail_certificate"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with smtp.connect(server_at(with_tls.port), "badges.localhost"):
            pass
        assert why(server_at(with_tls.port, host="localhost")) == "mail_certificate"  # another name than its own


def test_user_and_password_are_used_and_stand_in_no_error(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with servers.mail_server(secured(certificate), users={"badges": "right"}) as with_tls:
        with smtp.connect(server_at(with_tls.port, user="badges", password="right"), "badges.localhost"):
            pass
        wrong = server_at(with_tls.port, user="badges", password="secret-word")
        assert why(wrong) == "mail_login_refused"
        assert "secret-word" not in repr(wrong)


def test_a_server_that_never_answers_is_given_up(server: servers.MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = smtp.Server("127.0.0.1", silent.getsockname()[1], "none", timeout=0.2)
        assert why(slow) in ("mail_slow", "mail_unreachable")


@pytest.mark.parametrize(
    ("url", "tls", "port"),
    [
        ("smtp://mail.example.edu", "starttls", 587),
        ("smtps://u:p%40ss@mail.example.edu", "smtps", 465),
        ("smtp://localhost:25", "none", 25),
        ("smtp://10.0.0.1:25", "starttls", 25),
    ],
)
def test_only_what_stays_on_the_machine_goes_without_tls(url: str, tls: str, port: int) -> None:
    found = smtp.server_of(url)
    assert (found.tls, found.port) == (tls, port)
    assert found.password in ("", "p@ss")


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"LTI_TOOL_MAIL__URL": "mail.example.edu"}, "smtp://user:password@host:587"),
        ({"LTI_TOOL_MAIL__URL": "smtp://mail.example.edu"}, "mail.sender"),
        ({"LTI_TOOL_MAIL__URL": "smtp://user@mail.example.edu"}, "without a password"),
        ({"LTI_TOOL_MAIL__SENDER": "Badges <badges@example.edu>"}, "an e-mail address and nothing else"),
        ({"LTI_TOOL_NOTIFICATIONS__BY_MAIL": "earned news"}, "'news' is nothing that people are told of"),
        ({"LTI_TOOL_NOTIFICATIONS__TIME_ZONE": "Chicago"}, "America/Chicago"),
    ],
)
def test_a_setting_that_cannot_be_used_says_what_to_write(told: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(told)
    assert sentence in str(refused.value)
