"""A look at everything that has to hold: configuration, keys, database, clock, each platform's token and services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import joinedload

from lti_tool.errors import ConfigurationError, ServiceError, ToolError
from lti_tool.lti.ags import LINE_ITEM, RESULT_READ, SCORE, list_line_items
from lti_tool.lti.nrps import MEMBERSHIPS_READ
from lti_tool.lti.platform_keys import parse_jwks
from lti_tool.migrations import schema
from lti_tool.models import Course, Deployment, Job, Registration
from lti_tool.services.access import course_service, registration_value
from lti_tool.services.issuer import is_complete, issuer_address, issuer_row
from lti_tool.services.tool import Tool

MOST_SKEW = 60  # seconds a platform's clock may differ: Canvas refuses a token request 30 s ahead


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    sentence: str


def examine(tool: Tool, platform_id: int | None, now: datetime) -> list[Finding]:
    """Return every finding; one that fails says what to do. Asks each platform for keys, a token and columns."""
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
        findings += _platform(tool, row)
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
        )
        waiting = session.scalar(select(func.count()).select_from(Job).where(late)) or 0
        pending = (
            session.scalar(select(func.count()).select_from(Deployment).where(Deployment.status == "pending")) or 0
        )
    yield Finding("jobs", not failed, "none failed" if not failed else f"{failed} failed: see lti-tool jobs list")
    yield Finding(
        "worker",
        not waiting,
        "nothing waits" if not waiting else f"{waiting} jobs wait for 5 minutes: is lti-tool worker running?",
    )
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


def _platform(tool: Tool, row: Registration) -> Iterator[Finding]:
    name = f"platform {row.id} {row.name}"
    if row.status != "active":
        yield Finding(name, True, "switched off")
        return
    yield from _keys_and_clock(tool, row, name)
    registration = registration_value(row)
    with tool.db.read() as session:
        course = session.scalar(
            select(Course)
            .options(joinedload(Course.deployment))
            .where(Course.registration_id == row.id, Course.line_items_url.is_not(None))
            .order_by(Course.id.desc())
        )
        shared = session.execute(
            select(Course.line_items_url)
            .where(Course.registration_id == row.id, Course.line_items_url.is_not(None))
            .group_by(Course.line_items_url)
            .having(func.count() > 1)
        ).all()
    try:
        granted = course.scopes if course is not None and course.scopes else [RESULT_READ]
        tool.tokens.get(registration, granted, course.deployment.deployment_id if course is not None else None)
        yield Finding(f"{name}: token", True, "granted")
    except ServiceError as error:
        yield Finding(f"{name}: token", False, f"{error.sentence} {error.what_to_do} ({error.reason})")
        return
    if course is None:
        yield Finding(
            f"{name}: launch", True, "none yet: open the tool once in a course, then its services can be checked"
        )
        return
    missing = [each.rpartition("/")[2] for each in (LINE_ITEM, RESULT_READ, SCORE) if each not in course.scopes]
    yield Finding(
        f"{name}: scopes", not missing, "all granted" if not missing else f"not granted: {', '.join(missing)}"
    )
    yield from _services(tool, course, name)
    if shared:
        yield Finding(
            f"{name}: deployments", False, "two deployments name the same gradebook: both would use the same columns"
        )


def _services(tool: Tool, course: Course, name: str) -> Iterator[Finding]:
    try:
        service, url = course_service(tool, course.id)
        count = len(list_line_items(service, url))
        yield Finding(f"{name}: columns", True, f"readable in {course.label or course.title}: {count} of ours")
    except ServiceError as error:
        yield Finding(f"{name}: columns", False, f"{error.sentence} {error.what_to_do} ({error.reason})")
    if course.memberships_url is None:
        yield Finding(f"{name}: roster", False, f"the launch names no list of members: grant {MEMBERSHIPS_READ}")


def _keys_and_clock(tool: Tool, row: Registration, name: str) -> Iterator[Finding]:
    try:
        answer = tool.http.get(row.jwks_url, headers={"Accept": "application/json"})
    except ServiceError as error:
        yield Finding(f"{name}: keys", False, f"{row.jwks_url}: {error.sentence} ({error.reason})")
        return
    keys = parse_jwks(answer.body.decode("utf-8", "replace"))
    yield Finding(f"{name}: keys", bool(keys), f"{len(keys)} readable" if keys else f"{row.jwks_url} holds no RSA key")
    date = answer.headers.get("Date")
    if not date:
        return
    try:
        skew = abs(parsedate_to_datetime(date).timestamp() - time.time())
    except (TypeError, ValueError):
        return
    good = skew <= MOST_SKEW
    yield Finding(f"{name}: clock", good, f"{skew:.0f} s apart" + ("" if good else ": set this machine's clock by NTP"))
