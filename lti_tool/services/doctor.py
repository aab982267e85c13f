"""A look at everything that has to hold: configuration, keys, database, clock, each platform's token and services."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from lti_tool.errors import ConfigurationError, MailServerFailed, ToolError
from lti_tool.lti.platforms import platform_of
from lti_tool.migrations import schema
from lti_tool.models import Deployment, Job, Registration
from lti_tool.services import (
    backup,
    evidence_files,
    keys,
    mail,
    platform_checks,
    platform_load,
    presence,
    revocations,
    schedule,
    words,
    work,
)
from lti_tool.services.issuer import is_complete, issuer_address, issuer_row
from lti_tool.services.tool import Tool

LATE = timedelta(minutes=5)  # a job that nobody has begun
BEHIND = timedelta(minutes=15)  # the course that waits longest to be read, over its time
LEAST_FREE = 500_000_000  # bytes


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    sentence: str
    state: str = ""  # of a platform's line: pass, fail, unknown or waiting


def examine(
    tool: Tool, platform_id: int | None, now: datetime, queue: Callable[[], None] = lambda: None
) -> list[Finding]:
    """Return every finding; one that fails says what to do. Looks at each platform as its page does.

    `queue` raises ConfigurationError where the queue does not answer."""
    findings = list(_installation(tool, now))
    if any(not finding.ok and finding.what == "database" for finding in findings):
        return findings
    findings += [_queue(queue), *_work(tool, now), *_disk(tool), _backup(tool, now), _mail(tool, now)]
    findings.append(Finding("revocations", *revocations.standing(tool)))
    findings.append(Finding("evidence", *evidence_files.check_folder(tool)))
    with tool.db.read() as session:
        query = select(Registration).order_by(Registration.id)
        if platform_id is not None:
            query = query.where(Registration.id == platform_id)
        rows = list(session.scalars(query))
    if platform_id is not None and not rows:
        raise ConfigurationError(f"There is no platform {platform_id}.")
    for row in rows:
        findings += _platform(tool, row, now)
    return findings


def _installation(tool: Tool, now: datetime) -> Iterator[Finding]:
    settings = tool.settings
    mode = "production" if settings.production else "not production: no https address"
    yield Finding("configuration", True, f"{settings.base_url}, {mode}")
    keyring = tool.keyring
    there = f"{len(keyring.keys)} keys in {settings.keys.dir}, all readable by the tool alone"
    yield Finding("keys", True, f"{there}; {keys.age(keyring, now)}")
    try:
        schema.check(tool.db)
        kind = "SQLite" if tool.db.is_sqlite else "PostgreSQL"
        yield Finding("database", True, f"{kind}, schema {schema.current(tool.db)}")
    except ToolError as error:
        yield Finding("database", False, error.sentence)
        return
    except DBAPIError as error:
        if not is_unreachable(error):
            raise
        yield Finding("database", False, unreachable(settings.database.url, error))
        return
    with tool.db.read() as session:
        try:
            issuer = issuer_row(session)
            told = is_complete(issuer)
            sentence = issuer.name if told else f"has no name or address yet: write them at {issuer_address(tool)}"
            yield Finding("issuer", told, sentence)
        except ConfigurationError as error:
            yield Finding("issuer", False, error.sentence)
        failed = session.scalar(select(func.count()).select_from(Job).where(work.lost())) or 0
        pending = (
            session.scalar(select(func.count()).select_from(Deployment).where(Deployment.status == "pending")) or 0
        )
    yield Finding("jobs", not failed, "none failed" if not failed else f"{failed} failed: see lti-tool jobs list")
    yield Finding(
        "deployments", not pending, "none waits" if not pending else f"{pending} wait: see lti-tool deployments list"
    )


def _queue(check: Callable[[], None]) -> Finding:
    try:
        check()
    except ConfigurationError as error:
        return Finding("queue", False, error.sentence)
    return Finding("queue", True, "answers")


def _work(tool: Tool, now: datetime) -> Iterator[Finding]:
    """Tell whether somebody does the work, and looks what is due, and how far behind they are."""
    late = (Job.state == "due") & (Job.attempts == 0) & (Job.not_before < now - LATE) & ~platform_load.rests(now)
    with tool.db.read() as session:
        waiting = session.scalar(select(func.count()).select_from(Job).where(late)) or 0
        _, periodic = presence.processes(session, now)
    watch = presence.watch(tool, now)
    if watch.worker is not None and watch.lost(now):
        told = f"no worker has looked since {words.moment(watch.worker)}: start lti-tool worker"
    elif waiting:
        told = f"{waiting} jobs wait for 5 minutes: "
        told += "it has more to do than it can" if watch.workers else "is lti-tool worker running?"
    elif watch.worker is None:
        told = "none has run yet, and nothing waits: start lti-tool worker"
    else:
        told = f"{watch.workers} alive, last seen {words.moment(watch.worker)}; nothing waits"
    yield Finding("worker", not (watch.lost(now) or waiting), told)
    told = f"last looked {words.moment(watch.schedule)}" if watch.schedule else "has not looked yet"
    failing = [f"{name} since {words.moment(since)}" for name, since in presence.failing(tool, now)]
    if none_runs := watch.workers > 0 and not periodic:
        told += ": one lti-tool worker has to run without --no-periodic"
    elif watch.unscheduled(now):
        told += ": it does not get to its end, see the log of the worker that runs it"
    if failing:
        told += f"; fails at {', '.join(failing)}: see the log of the worker that runs it"
    yield Finding("schedule", not (none_runs or watch.unscheduled(now) or failing), told)
    over = schedule.oldest_due(tool, now)
    overdue = f"one waits for {int(over.total_seconds() // 60)} minutes: more workers, or a look at the LMSs below"
    yield Finding("courses", over < BEHIND, "all are read in time" if over < BEHIND else overdue)


def _disk(tool: Tool) -> Iterator[Finding]:
    """Tell how much room is left where SQLite writes; a server's disk is the server's."""
    for name, url in (("database", tool.settings.database.url), ("queue", tool.settings.queue.url)):
        if not url.startswith("sqlite:///"):
            continue
        file = Path(url.removeprefix("sqlite:///"))
        free = shutil.disk_usage(file.parent).free
        size = file.stat().st_size if file.exists() else 0
        enough = free > max(LEAST_FREE, size)
        told = f"{free / 1e9:.1f} GB free beside a file of {size / 1e6:.0f} MB"
        yield Finding(f"disk of the {name}", enough, told if enough else f"{told}: make room before it is full")


def _backup(tool: Tool, now: datetime) -> Finding:
    last = backup.last_backup(tool)
    told = f"last {words.moment(last)}" if last else "none by lti-tool db backup; yours may be made otherwise"
    return Finding("backup", True, told)


def _mail(tool: Tool, now: datetime) -> Finding:
    """Tell whether the mail server lets the tool in, and what waits for it."""
    told = mail.standing(tool, now)
    if not told.on:
        return Finding("mail", True, "none is sent: mail.url is empty. People are told inside the tool only")
    waits = f"{told.waiting} wait" if told.waiting else "none waits"
    if told.refused:
        waits += f", {told.refused} refused: see lti-tool jobs list"
    try:
        mail.reach(tool)
    except MailServerFailed as error:
        since = f" Since {words.moment(told.failing_since)}." if told.failing_since else ""
        return Finding("mail", False, f"{told.server}: {error.sentence}{since} {waits}")
    return Finding("mail", True, f"{told.server} lets the tool in; {waits}")


def is_unreachable(error: DBAPIError) -> bool:
    """Tell whether it is the database that fails, not what was asked of it. A file of another kind is as good as none.

    DatabaseError is also the base of what a wrong statement raises, so only the bare class counts."""
    return isinstance(error, (OperationalError, InterfaceError)) or type(error) is DatabaseError


def unreachable(url: str, error: DBAPIError) -> str:
    """Return one line on a database that does not answer, without user, password and options of its address."""
    shown = make_url(url).set(username=None, password=None, query={}).render_as_string()
    why = str(error.orig).partition("\n")[0]
    return f"The database {shown} cannot be reached: is it running, and is database.url right? ({why})"


def _platform(tool: Tool, row: Registration, now: datetime) -> Iterator[Finding]:
    """Tell the lines of the platform's page; one that waits or could not be checked is not wrong by that."""
    name = f"platform {row.id} {row.name}"
    if row.state == "disabled":
        yield Finding(name, True, "switched off")
        return
    with tool.db.read() as session:
        standing = platform_load.standing(session, row.id, now)
    yield Finding(f"{name}: load", standing.state not in ("open", "asked"), platform_load.told(standing) or "well")
    for check in platform_checks.look(tool, row.id, now):
        told = check.sentence
        if clicks := check.clicks(row.product):
            told = f"{told} In {platform_of(row.product).name}: {' '.join(words.plain_clicks(clicks))}"
        yield Finding(f"{name}: {check.key}", check.state != "fail", told, check.state)
