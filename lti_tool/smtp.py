"""The one door for mail: a connection to the server of `mail.url`, and what its answers mean."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal
from urllib.parse import unquote, urlsplit

import certifi

from lti_tool.errors import MailNotTaken, MailRefused, MailServerFailed, MailUnanswered
from lti_tool.sentence import Sentence

TIMEOUT = 20.0  # seconds for each of its answers
PORTS = {"smtp": 587, "smtps": 465}
# Why a server cannot be used, by the reason of MailServerFailed
FAILED = {
    "mail_unreachable": MailServerFailed.sentence,
    "mail_certificate": Sentence("The mail server's certificate is not one that can be trusted, or not of its name."),
    "mail_no_starttls": Sentence("The mail server offers no TLS, so nothing is sent through it."),
    "mail_no_login": Sentence("The mail server offers no way to sign in that the tool knows."),
    "mail_login_refused": Sentence("The mail server does not accept the user and password of mail.url."),
    "mail_slow": Sentence("The mail server took too long to answer."),
    "mail_closing": Sentence("The mail server closes its connections now."),
    "mail_sender_refused": Sentence("The mail server does not accept the address of mail.sender."),
}


@dataclass(frozen=True)
class Server:
    """A mail server. `tls`: from the first byte, or after STARTTLS, or none at all (on the same machine only)."""

    host: str
    port: int
    tls: Literal["smtps", "starttls", "none"]
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = TIMEOUT


def server_of(url: str) -> Server:
    """Read `mail.url`, which the settings have checked.

    Without TLS goes only what does not leave the machine: no setting takes it away from any other server."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = host in ("localhost", "127.0.0.1", "::1")
    tls: Literal["smtps", "starttls", "none"] = "smtps" if parts.scheme == "smtps" else "none" if here else "starttls"
    return Server(
        host, parts.port or PORTS[parts.scheme], tls, unquote(parts.username or ""), unquote(parts.password or "")
    )


class Connection:
    """An open connection, for one mail after another."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp

    def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Hand over one mail.

        Raises MailRefused (never), MailNotTaken (not now), MailUnanswered where it may have been taken though the
        answer was lost, and MailServerFailed where it certainly was not, and the connection is of no more use."""
        smtp = self._smtp
        try:
            _expect(smtp.mail(sender), 250, whose="sender")
            _expect(smtp.rcpt(recipient), 250, 251, whose="recipient")
        except (OSError, smtplib.SMTPException) as error:
            raise _failed(error) from None
        except (MailRefused, MailNotTaken):
            self._reset()
            raise
        try:
            code, _answer = smtp.data(message.as_bytes())
        except smtplib.SMTPDataError as error:  # it would not even read it
            code = error.smtp_code
        except (OSError, smtplib.SMTPException) as error:
            raise MailUnanswered(type(error).__name__) from None
        try:
            _expect((code, b""), 250, whose="mail")
        except (MailRefused, MailNotTaken):
            self._reset()
            raise

    def _reset(self) -> None:
        """Forget a mail that was refused, so that the next one can follow; a dead connection shows with that one."""
        with suppress(OSError, smtplib.SMTPException):
            self._smtp.rset()


@contextmanager
def connect(server: Server, helo: str) -> Iterator[Connection]:
    """Open a connection, with TLS and signed in as the address says; raises MailServerFailed."""
    try:
        smtp = _open(server, helo)
    except (OSError, smtplib.SMTPException) as error:
        raise _failed(error) from None
    try:
        yield Connection(smtp)
    finally:
        with suppress(OSError, smtplib.SMTPException):
            smtp.quit()
        smtp.close()


def _open(server: Server, helo: str) -> smtplib.SMTP:
    if server.tls == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, local_hostname=helo, timeout=server.timeout, context=_tls()
        )
    else:
        smtp = smtplib.SMTP(server.host, server.port, local_hostname=helo, timeout=server.timeout)
    try:
        if server.tls == "starttls":
            smtp.starttls(context=_tls())
        if server.user:
            smtp.login(server.user, server.password)
        else:
            smtp.ehlo_or_helo_if_needed()
    except (OSError, smtplib.SMTPException):
        smtp.close()
        raise
    return smtp


def _tls() -> ssl.SSLContext:
    """Make the TLS settings: 1.2 or newer, host name and certificate checked, by the authorities http.py goes by."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    context = ssl.create_default_context(cafile=bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _expect(answer: tuple[int, bytes], *wanted: int, whose: str) -> None:
    """Raise what an answer means. Its text is left out: it repeats the address (RFC 5321, 4.2)."""
    code = answer[0]
    if code in wanted:
        return
    if code == 421:  # "closing transmission channel" (RFC 5321, 3.8)
        raise _server_failed(f"{code} at the {whose}", "mail_closing")
    if code >= 500 and whose == "sender":  # what it says of our own address it says of every mail
        raise _server_failed(f"{code} at the {whose}", "mail_sender_refused")
    if code >= 500:
        raise MailRefused(f"{code} at the {whose}")
    raise MailNotTaken(f"{code} at the {whose}")


def _failed(error: Exception) -> MailServerFailed:
    """Word why a server cannot be used. Its own text stays out: it may hold an address or a password."""
    reason = "mail_unreachable"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = "mail_certificate"
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        reason = "mail_no_starttls" if "STARTTLS" in str(error) else "mail_no_login"
    elif isinstance(error, smtplib.SMTPAuthenticationError):
        reason = "mail_login_refused"
    elif isinstance(error, TimeoutError):
        reason = "mail_slow"
    return _server_failed(type(error).__name__, reason)


def _server_failed(detail: str, reason: str) -> MailServerFailed:
    return MailServerFailed(detail, sentence=FAILED[reason], reason=reason)
