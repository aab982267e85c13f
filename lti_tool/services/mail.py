"""Mail: written down in the transaction of what it tells of, sent after it, and never twice for one event.

The key of a row names the event. Whoever sends takes one row after another over one connection and writes down what
became of each before the next. Where the answer, or the worker, is lost after a mail was handed over, it goes out once
more under the same Message-ID, and then never again (H17, J03)."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from lti_tool import smtp
from lti_tool.db import forbid_in_transaction, random_id
from lti_tool.errors import BadInput, Conflict, MailNotTaken, MailRefused, MailServerFailed, MailUnanswered, ToolError
from lti_tool.models import Award, Issuer, Job, Mail, MailChoice, MailServer, Person
from lti_tool.sentence import Sentence, kept
from lti_tool.services import audit, work
from lti_tool.services.letters import LETTERS, SAMPLES, Letter, Values
from lti_tool.services.mail_text import as_html, as_text
from lti_tool.services.tool import Tool, log
from lti_tool.services.words import LANGUAGES, said, told_in
from lti_tool.settings import TOLD

KIND = "send_mail"  # the job that sends whatever waits
REFUSED_KIND = "mail"  # a job for each mail that was refused, so that an administrator sees it
ALL = "all"
WORTH = timedelta(days=3)  # after which nobody needs a mail any more, unless its sender says otherwise
LEASE = timedelta(minutes=5)
PAUSES = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60, 180, 360, 720))
MOST_UNKNOWN = 2  # copies of one mail that may have arrived
PER_RUN = 500  # mails, before another job has its turn
UNANSWERED_IN_A_ROW = 3
KEPT_REFUSED = timedelta(days=30)
LONGEST_ADDRESS, LONGEST_SUBJECT = 254, 150
# What smtplib can send without SMTPUTF8, which not every server on the way has.
MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
GONE: dict[str, Any] = {"recipient": "", "values": {}, "lease_until": None}


def is_on(tool: Tool) -> bool:
    """Tell whether there is a mail server to send through."""
    return bool(tool.settings.mail.url)


def usable(address: str) -> bool:
    """Tell whether an address is one that a mail can be sent to."""
    return len(address) <= LONGEST_ADDRESS and MAILBOX.fullmatch(address.strip()) is not None


@dataclass(frozen=True)
class Wanted:
    """A mail to be written down. `stop`: the token of the choice that stops mails like it; "" for one she asked for."""

    key: str
    to: str
    template: str
    values: Mapping[str, Any]
    language: str
    person_id: str | None = None
    stop: str = ""


def enqueue(
    session: Session,
    *,
    key: str,
    to: str,
    template: str,
    values: Mapping[str, Any],
    language: str,
    now: datetime,
    person_id: str | None = None,
    worth: timedelta = WORTH,
) -> bool:
    """Write down a mail in the caller's transaction; returns False where the key was used before, or for no address.

    `values` as the letter of `template` takes them (services.letters). `worth`: how long it is worth sending.
    The sweep sends it within a minute; `send_soon`, after the transaction, at once."""
    wanted = Wanted(key, to, template, values, language, person_id)
    return bool(enqueue_all(session, [wanted], now, worth=worth))


def enqueue_all(session: Session, wanted: Sequence[Wanted], now: datetime, *, worth: timedelta = WORTH) -> int:
    """Do the same for many mails in one statement; returns how many are new."""
    rows = [
        {
            "id": random_id(),
            "key": each.key,
            "person_id": each.person_id,
            "recipient": each.to.strip(),
            "template": each.template,
            "language": each.language if each.language in LANGUAGES else "en",
            "values": {**each.values, "stop": each.stop} if each.stop else dict(each.values),
            "state": "due",
            "attempts": 0,
            "unknown": 0,
            "not_before": now,
            "not_after": now + worth,
            "created_at": now,
        }
        for each in sorted(wanted, key=lambda one: one.key)  # in one order everywhere, as no two then wait in a ring
        if usable(each.to) and each.template in LETTERS
    ]
    if not rows:
        return 0
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    written = session.scalars(insert(Mail).on_conflict_do_nothing().returning(Mail.id), rows)
    return len(written.all())


def send_soon(tool: Tool) -> None:
    """Let a worker send what waits, now: for a mail that somebody waits for. Call it after the transaction."""
    if is_on(tool):
        work.start(tool, KIND, ALL, again=True)


def make_due(tool: Tool, now: datetime) -> None:
    """Ask for a worker where mails wait, and let go of those whose time is over."""
    _let_go(tool, now)
    if not is_on(tool):
        return
    with tool.db.read() as session:
        some = session.scalar(select(exists().where(_takeable(now))))
    if some:
        work.request(tool, KIND, ALL, now, priority=work.AT_ITS_MOMENT)


def _let_go(tool: Tool, now: datetime) -> None:
    over = (Mail.state == "due") & ((Mail.not_after < now) if is_on(tool) else (Mail.state == "due"))
    old = (Mail.state == "refused") & (Mail.ended_at < now - KEPT_REFUSED) & (Mail.recipient != "")
    with tool.db.read() as session:
        if not session.scalar(select(exists().where(over | old))):
            return
    with tool.db.write() as session:
        session.execute(update(Mail).where(over).values(state="late", ended_at=now, **GONE))
        session.execute(update(Mail).where(old).values(**GONE))


# -- sending ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Taken:
    """A mail that is ours to send."""

    id: str
    recipient: str
    template: str
    language: str
    values: Values
    created_at: datetime
    attempts: int
    unknown: int
    issuer: str


@dataclass(frozen=True)
class _Ended:
    """What became of a mail: a state, and for one that is due again, why and after which pause."""

    mail: _Taken
    state: str
    problem: ToolError | None = None


def run_send(tool: Tool, _subject: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Job step: send the mails that are due, over one connection as long as it lasts.

    A server that takes nothing fails no job: the mails wait with growing pauses, and the administrator's page and
    `doctor` say since when."""
    if not is_on(tool):
        return {}
    forbid_in_transaction()
    server = smtp.server_of(tool.settings.mail.url)
    counts: Counter[str] = Counter()
    taken = _next(tool, None)
    unanswered = 0
    while taken is not None:
        before = counts.total()
        try:
            with smtp.connect(server, tool.settings.host) as connection:
                while taken is not None:
                    ended = _hand_over(tool, connection, taken)
                    lost = isinstance(ended.problem, MailUnanswered)
                    unanswered = unanswered + 1 if lost else 0
                    counts[ended.state] += 1
                    taken = _next(tool, ended, take=counts.total() < PER_RUN)
                    say("")
                    if lost:
                        break
        except MailServerFailed as error:
            # One that closes after some mails (421, or without a word) takes more over another connection.
            if taken is None or counts.total() > before:
                continue
            _server_failed(tool, taken, error)
            return {**counts, "problem": error.reason}
        if taken is not None and unanswered >= UNANSWERED_IN_A_ROW:
            _server_failed(tool, taken, MailServerFailed("answers are lost"))
            return {**counts, "problem": "mail_unanswered"}
    if counts.total() >= PER_RUN:
        work.request(tool, KIND, ALL, datetime.now(UTC), again=True, priority=work.AT_ITS_MOMENT)
    return dict(counts)


def _hand_over(tool: Tool, connection: smtp.Connection, mail: _Taken) -> _Ended:
    """Send one mail; raises MailServerFailed where the server takes none."""
    try:
        message = compose(tool, mail)
    except Exception as error:  # one that cannot be worded must not keep the others waiting (J06)
        log.error("mail=%s template=%s cannot be written: %s", mail.id, mail.template, type(error).__name__)
        return _Ended(mail, "refused", MailRefused(sentence=Sentence("This mail could not be written.")))
    try:
        connection.send(message, tool.settings.mail.sender, mail.recipient)
    except MailRefused as error:
        log.warning("mail=%s refused: %s", mail.id, error.detail)
        return _Ended(mail, "refused", error)
    except (MailNotTaken, MailUnanswered) as error:
        log.warning("mail=%s attempt=%s %s: %s", mail.id, mail.attempts, error.reason, error.detail)
        return _Ended(mail, "due", error)
    return _Ended(mail, "sent")


def _takeable(now: datetime) -> ColumnElement[bool]:
    waits = (Mail.state == "due") & (Mail.not_before <= now) & (Mail.not_after >= now)
    return waits | ((Mail.state == "sending") & (Mail.lease_until < now))


def _next(tool: Tool, ended: _Ended | None, *, take: bool = True) -> _Taken | None:
    """Write down what became of a mail and take the next, in one transaction."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        if ended is not None:
            _note(session, ended, now)
        if not take:
            return None
        issuer = session.scalar(select(Issuer.name)) or ""
        query = select(Mail).where(_takeable(now)).order_by(Mail.not_before, Mail.id).limit(1)
        while (mail := session.scalar(query.with_for_update(skip_locked=True))) is not None:
            if mail.state == "sending":  # its worker is gone, perhaps after handing it over
                mail.unknown += 1
            if mail.unknown >= MOST_UNKNOWN:
                _end(mail, "unsure", now)
            elif _must_wait(session, mail):
                mail.state, mail.not_before, mail.lease_until = "due", now + PAUSES[0], None
            elif not _wanted(session, mail):
                _end(mail, "stopped", now)
            else:
                mail.state, mail.attempts, mail.lease_until = "sending", mail.attempts + 1, now + LEASE
                return _Taken(
                    id=mail.id,
                    recipient=mail.recipient,
                    template=mail.template,
                    language=mail.language,
                    values=mail.values,
                    created_at=mail.created_at,
                    attempts=mail.attempts,
                    unknown=mail.unknown,
                    issuer=issuer,
                )
            session.flush()
    return None


def _wanted(session: Session, mail: Mail) -> bool:
    """Tell whether a mail is still wanted and still true: its reader may have stopped them since, or its award gone."""
    choice = session.get(MailChoice, mail.values["stop"]) if mail.values.get("stop") else None
    if choice is not None and choice.stopped_at is not None:
        return False
    person = session.get(Person, mail.person_id) if mail.person_id is not None else None
    if person is not None and person.disabled:
        return False
    condition = mail.values.get("only_if")
    if not condition:
        return True
    award = session.get(Award, condition["award"])
    if award is None:
        return False
    return award.status == condition["status"] and not (condition["unclaimed"] and award.claimed_at is not None)


def _must_wait(session: Session, mail: Mail) -> bool:
    """Tell whether the award a mail tells of is still being signed."""
    condition = mail.values.get("only_if")
    if not condition or condition["status"] != "issued":
        return False
    award = session.get(Award, condition["award"])
    return award is not None and award.status == "pending"


def _end(mail: Mail, state: str, now: datetime) -> None:
    mail.state, mail.ended_at, mail.lease_until = state, now, None
    mail.recipient, mail.values = "", {}


def _note(session: Session, ended: _Ended, now: datetime) -> None:
    mail = session.get_one(Mail, ended.mail.id, with_for_update=True)
    if mail.state != "sending" or mail.attempts != ended.mail.attempts:
        return  # another worker has taken it over: what we say of it counts no more
    problem = ended.problem
    mail.lease_until, mail.problem = None, problem.sentence if problem is not None else None
    if ended.state == "sent":
        _end(mail, "sent", now)
        _server_works(session, now)
    elif ended.state == "refused":
        mail.state, mail.ended_at = "refused", now
        _show(session, mail, problem or MailRefused(), now)
    else:
        mail.unknown += isinstance(problem, MailUnanswered)
        if mail.unknown >= MOST_UNKNOWN:
            _end(mail, "unsure", now)
        else:
            mail.state, mail.not_before = "due", now + _pause(mail.attempts)


def _pause(attempts: int) -> timedelta:
    return PAUSES[min(attempts, len(PAUSES)) - 1] * random.SystemRandom().uniform(0.9, 1.1)


def _show(session: Session, mail: Mail, error: ToolError, now: datetime) -> None:
    """Keep a mail that was refused as a failed job, which an administrator sees and can try again."""
    session.add(
        Job(
            kind=REFUSED_KIND,
            subject=mail.id,
            state="failed",
            attempts=mail.attempts,
            not_before=now,
            created_at=now,
            finished_at=now,
            problem=error.sentence,
            outcome={"reason": error.reason, "what_to_do": kept(error.what_to_do), "error_id": random_id()[:8]},
        )
    )


def run_refused(tool: Tool, mail_id: str, _say: Callable[[str], None]) -> dict[str, Any]:
    """Job step: let a mail that was refused go out again."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        mail = session.get(Mail, mail_id, with_for_update=True)
        if mail is None or mail.state != "refused" or not mail.recipient:
            return {}
        mail.state, mail.attempts, mail.problem, mail.ended_at = "due", 0, None, None
        mail.not_before, mail.not_after = now, now + WORTH
    send_soon(tool)
    return {"again": 1}


def _server_works(session: Session, now: datetime) -> None:
    row = session.get(MailServer, 1)
    if row is None:
        row = MailServer(id=1)
        session.add(row)
    row.problem, row.failing_since, row.worked_at = None, None, now


def _server_failed(tool: Tool, taken: _Taken, error: MailServerFailed) -> None:
    """Let every mail that is due wait: the one that was tried, and those that would find the same."""
    log.warning("mail server: %s %s", error.reason, error.detail)
    now = datetime.now(UTC)
    with tool.db.write() as session:
        row = session.get(MailServer, 1, with_for_update=True)
        if row is None:
            row = MailServer(id=1)
            session.add(row)
        row.problem, row.failing_since = error.sentence, row.failing_since or now
        ours = (Mail.id == taken.id) & (Mail.state == "sending") & (Mail.attempts == taken.attempts)
        session.execute(
            update(Mail)
            .where(ours)
            .values(state="due", lease_until=None, attempts=Mail.attempts - 1, not_before=now, problem=error.sentence)
        )
        waiting = (Mail.state == "due") & (Mail.not_before <= now)
        for tried in range(len(PAUSES) - 1, -1, -1):
            which = (Mail.attempts == tried) if tried < len(PAUSES) - 1 else (Mail.attempts >= tried)
            later = {"attempts": Mail.attempts + 1, "not_before": now + _pause(tried + 1), "problem": error.sentence}
            session.execute(update(Mail).where(waiting, which).values(later))


# -- looking ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """How mail stands. `server` and `sender` are "" where none is set up; `refused` counts those that wait for a look.

    `failing_since` with `problem`: the server takes nothing, and mails wait."""

    server: str = ""
    tls: str = ""
    sender: str = ""
    by_mail: tuple[str, ...] = ()
    problem: str = ""
    failing_since: datetime | None = None
    worked_at: datetime | None = None
    waiting: int = 0
    refused: int = 0
    sent: int = 0

    @property
    def on(self) -> bool:
        return bool(self.server)


def standing(tool: Tool, now: datetime) -> Standing:
    """Return how mail stands; `sent` counts the last thirty days."""
    with tool.db.read() as session:
        row = session.get(MailServer, 1)
        month = Mail.ended_at > now - timedelta(days=30)
        counts = select(
            func.count().filter(Mail.state.in_(("due", "sending"))),
            func.count().filter((Mail.state == "refused") & (Mail.recipient != "")),
            func.count().filter(Mail.state.in_(("sent", "unsure")) & month),
        )
        waiting, refused, sent = session.execute(counts.select_from(Mail)).one()
    if not is_on(tool):
        return Standing(waiting=waiting, refused=refused, sent=sent)
    server = smtp.server_of(tool.settings.mail.url)
    return Standing(
        server=f"{server.host}:{server.port}",
        tls=server.tls,
        sender=tool.settings.mail.sender,
        by_mail=tuple(tool.settings.notifications.by_mail.split()),
        problem=said(row.problem or "") if row is not None else "",
        failing_since=row.failing_since if row is not None else None,
        worked_at=row.worked_at if row is not None else None,
        waiting=waiting,
        refused=refused,
        sent=sent,
    )


def reach(tool: Tool) -> None:
    """Connect to the mail server and sign in, as for a mail; raises MailServerFailed."""
    forbid_in_transaction()
    with smtp.connect(smtp.server_of(tool.settings.mail.url), tool.settings.host):
        pass


def send_test(tool: Tool, to: str, language: str, *, actor: str, now: datetime) -> None:
    """Send a test mail at once. Raises BadInput for no address, MailServerFailed, MailRefused, MailNotTaken or
    MailUnanswered."""
    if not is_on(tool):
        raise Conflict(sentence=Sentence("No mail server is set up, so nothing can be sent."))
    if not usable(to):
        raise BadInput(sentence=Sentence("This is no e-mail address that mail can be sent to."))
    with tool.db.write() as session:
        issuer = session.scalar(select(Issuer.name)) or ""
        audit.record(session, now, actor, "mail.tested", "mail:test")
    mail = _Taken(random_id(), to.strip(), "test", language, {}, now, 1, 0, issuer)
    message = compose(tool, mail)
    forbid_in_transaction()
    with smtp.connect(smtp.server_of(tool.settings.mail.url), tool.settings.host) as connection:
        connection.send(message, tool.settings.mail.sender, mail.recipient)
    with tool.db.write() as session:
        _server_works(session, now)


@dataclass(frozen=True)
class Preview:
    """A mail with an invented badge, as its reader gets it in plain text."""

    template: str
    subject: str
    text: str


def previews(language: str, issuer: str, base_url: str) -> list[Preview]:
    """Return what each mail looks like in a language."""
    shown = []
    for template, values in SAMPLES.items():
        letter = LETTERS[template](values)
        stop = f"{base_url}/mail/stop/…" if template in TOLD else ""
        text = as_text(letter, language, issuer, stop)
        shown.append(Preview(template, one_line(told_in(language, letter.subject)), text))
    return shown


# -- writing ----------------------------------------------------------------------------------------------------


def compose(tool: Tool, mail: _Taken) -> EmailMessage:
    """Make the message of a mail, the same each time."""
    letter: Letter = LETTERS[mail.template](_opened(tool, mail.values))
    base = tool.settings.base_url
    stop = f"{base}/mail/stop/{mail.values['stop']}" if mail.values.get("stop") else ""
    message = EmailMessage(policy=SMTP)
    message["From"] = _from(mail.issuer, tool.settings.mail.sender)
    message["To"] = Address(addr_spec=mail.recipient)
    if tool.settings.mail.reply_to:
        message["Reply-To"] = Address(addr_spec=tool.settings.mail.reply_to)
    message["Subject"] = one_line(told_in(mail.language, letter.subject))
    message["Date"] = format_datetime(mail.created_at.replace(microsecond=0))
    message["Message-ID"] = f"<{mail.id}@{tool.settings.host}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of a machine comes back
    if stop:
        message["List-Unsubscribe"] = f"<{stop}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    message.set_content(as_text(letter, mail.language, mail.issuer, stop), cte="quoted-printable")
    message.add_alternative(as_html(letter, mail.language, mail.issuer, stop), subtype="html", cte="quoted-printable")
    message.set_boundary(f"part-{mail.id}")
    message["Content-Language"] = mail.language
    return message


def _opened(tool: Tool, values: Values) -> Values:
    """Return values with what is `sealed` among them: a link that lets somebody in lies in no database."""
    return {**values, **tool.keyring.unseal(values["sealed"])} if "sealed" in values else values


def _from(name: str, address: str) -> Address:
    return Address(display_name=one_line(name), addr_spec=address)


def one_line(text: str) -> str:
    """Return a text for a header: on one line, without control characters, not too long."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= LONGEST_SUBJECT else f"{shown[: LONGEST_SUBJECT - 1]}…"
