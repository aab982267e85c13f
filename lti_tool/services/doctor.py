"""A look at everything that has to hold: configuration, keys, database, clock, each platform's token and services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from lti_tool.errors import ConfigurationError, ToolError
from lti_tool.lti.platforms import platform_of
from lti_tool.migrations import schema
from lti_tool.models import Deployment, Job, Registration
from lti_tool.services import platform_checks, platform_load, schedule, words, workers
from lti_tool.services.issuer import is_complete, issuer_address, issuer_row
from lti_tool.services.tool import Tool

LATE = timedelta(minutes=15)


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    sentence: str
    state: str = ""  # of a platform's line: pass, fail, unknown or waiting


def examine(tool: Tool, platform_id: int | None, now: datetime) -> list[Finding]:
    """Return every finding; one that fails says what to do. Looks at each platform as its page does."""
    findings = list(_installation(tool, now))
    if any(not finding.ok and finding.what == "database" for finding in findings):
        return findings
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
    yield Finding("keys", True, f"{len(keyring.keys)} keys in {settings.keys.dir}, all readable by the tool alone")
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
        failed = session.scalar(select(func.count()).select_from(Job).where(Job.state == "failed")) or 0
        late = (
            (Job.state == "due")
            & (Job.attempts == 0)
            & (Job.not_before < datetime.fromtimestamp(now.timestamp() - 300, now.tzinfo))
            & ~platform_load.rests(now)
        )
        waiting = session.scalar(select(func.count()).select_from(Job).where(late)) or 0
        pending = (
            session.scalar(select(func.count()).select_from(Deployment).where(Deployment.status == "pending")) or 0
        )
        alive, periodic = workers.processes(session, now)
    yield Finding("jobs", not failed, "none failed" if not failed else f"{failed} failed: see lti-tool jobs list")
    yield Finding(
        "worker",
        not waiting,
        "nothing waits"
        if not waiting
        else f"{waiting} jobs wait for 5 minutes: "
        + ("it has more to do than it can" if alive else "is lti-tool worker running?"),
    )
    if alive:
        schedules = "none runs the schedule" if not periodic else f"{periodic} with the schedule"
        yield Finding("workers", bool(periodic), f"{alive} alive, {schedules}")
    over = schedule.oldest_due(tool, now)
    overdue = f"one waits for {int(over.total_seconds() // 60)} minutes: more workers, or a look at the LMSs below"
    yield Finding("courses", over < LATE, "all are read in time" if over < LATE else overdue)
    yield Finding(
        "deployments", not pending, "none waits" if not pending else f"{pending} wait: see lti-tool deployments list"
    )


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
