"""A real mail server in a thread, which does what a test tells it: take, put off, refuse, or lose its answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class Got:
    """A mail as it arrived."""

    sender: str
    recipient: str
    raw: bytes
    connection: int

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)  # type: ignore[return-value]

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    def part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        assert found is not None
        return str(found.get_content())


@dataclass
class MailServer:
    """`plan`: what comes next at DATA, one word a mail, then "take": "take", an answer as "451 later", "lost" (taken,
    and the answer never sent), "away" (neither). `recipients`: answers to RCPT by address."""

    plan: list[str] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    users: dict[str, str] = field(default_factory=dict)
    on_data: Callable[[], None] = lambda: None
    port: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, address: str) -> list[Got]:
        return [each for each in self.got if each.recipient == address]

    # -- what aiosmtpd asks

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if not getattr(session, "number", 0):
            self.connections += 1
            session.number = self.connections
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if answer := self.recipients.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        what = self.plan.pop(0) if self.plan else "take"
        if what in ("take", "lost"):
            self.got.append(Got(envelope.mail_from, envelope.rcpt_tos[0], envelope.content, session.number))
            self.arrived.set()
            self.on_data()
        if what in ("lost", "away"):
            server.transport.abort()
        return "250 OK" if what in ("take", "lost", "away") else what

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, told: Any) -> AuthResult:
        right = isinstance(told, LoginPassword) and self.users.get(told.login.decode()) == told.password.decode()
        return AuthResult(success=right, handled=right)  # one that is not handled is answered with 535


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[MailServer]:
    """Start a mail server on a port of its own; with `tls` it offers STARTTLS."""
    server = MailServer(**options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.port = free.getsockname()[1]
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        tls_context=tls,
        authenticator=server.authenticate,
        auth_require_tls=tls is not None,
        ready_timeout=20,
    )
    controller.start()
    server.got.clear()
    server.connections = 0
    try:
        yield server
    finally:
        controller.stop()
