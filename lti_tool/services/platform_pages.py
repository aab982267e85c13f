"""What the administrator's pages about platforms show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.errors import NotFound
from lti_tool.lti.platforms import platform_of
from lti_tool.models import Course, Deployment, Job, Person, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import platform_checks, platform_load, platforms, words
from lti_tool.services.platform_checks import Check
from lti_tool.services.registration import missing_scopes, scope_word
from lti_tool.services.tool import Tool

CANVAS_CLOUD = {"production": "", "beta": ".beta", "test": ".test"}
A_WORKER_LOOKS_WITHIN = timedelta(seconds=15)
RESULTS = {
    "pass": Sentence("works"),
    "fail": Sentence("to fix"),
    "unknown": Sentence("could not check"),
    "waiting": Sentence("waiting"),
}


@dataclass(frozen=True)
class Item:
    """A platform in the list at the side. `tone` is a state of a check: what sign and colour stand beside the word."""

    id: int
    name: str
    word: str
    tone: str


@dataclass(frozen=True)
class CheckView:
    key: str
    question: str
    state: str
    result: str
    sentence: str
    clicks: tuple[str, ...]
    plain: str  # the same as text, to be sent to whoever looks after the LMS


@dataclass(frozen=True)
class DeploymentView:
    id: int
    deployment_id: str
    status: str
    former: bool
    courses: int
    created_at: datetime


@dataclass(frozen=True)
class PlatformPage:
    id: int
    name: str
    product_name: str
    product: str
    state: str
    lead: str
    checks: tuple[CheckView, ...]
    load: str  # why it is asked less than it could be, empty where it is not
    rests: bool  # because of its failures, which a person may cut short
    checked_at: datetime | None
    looking: bool
    no_worker: bool
    after_registration: tuple[str, ...]
    missing: tuple[str, ...]
    deployments: tuple[DeploymentView, ...]
    facts: tuple[tuple[str, str], ...]
    removable: bool
    same_client: tuple[tuple[str, str], ...]  # platforms that wait: name and issuer of others with their client id
    replaces: tuple[tuple[int, str, int], ...]  # others of the same issuer whose place it can take: id, name, courses


def items(tool: Tool) -> list[Item]:
    """Return every platform for the list at the side."""
    with tool.db.read() as session:
        return [_item(row) for row in session.scalars(select(Registration).order_by(Registration.id))]


def _item(row: Registration) -> Item:
    word, tone = _word(row)
    return Item(row.id, row.name, word, tone)


def _word(row: Registration) -> tuple[str, str]:
    if row.state == "pending":
        return _("waits for approval"), "unknown"
    if row.state == "disabled":
        return _("switched off"), "waiting"
    checks = platform_checks.kept(row)
    if not checks:
        return _("not looked at yet"), "waiting"
    if failed := sum(check.state == "fail" for check in checks):
        return ngettext("one thing to fix", "%(some)s things to fix", failed, some=words.words(failed)), "fail"
    if unknown := sum(check.state == "unknown" for check in checks):
        return ngettext(
            "one thing could not be checked", "%(some)s things could not be checked", unknown, some=words.words(unknown)
        ), "unknown"
    if any(check.key == "launch" and check.state == "waiting" for check in checks):
        return _("waits for first launch"), "waiting"
    return _("all checks pass"), "pass"


def page(tool: Tool, platform_id: int, now: datetime) -> PlatformPage:
    """Return a platform's page from what is kept. Raises NotFound."""
    with tool.db.read() as session:
        row = session.get(Registration, platform_id)
        if row is None:
            raise NotFound("no such platform")
        courses = _count(session, Course, row.id)
        people = _count(session, Person, row.id)
        job = session.scalar(
            select(Job).where(Job.kind == "check", Job.subject == str(row.id), Job.state.in_(("due", "running")))
        )
        late = job is not None and job.state == "due" and now - job.created_at > A_WORKER_LOOKS_WITHIN
        platform = platform_of(row.product)
        kind, when = platform.name if row.product != "other" else _("Another LMS"), words.day(row.created_at)
        many = ngettext("one course", "%(some)s courses", courses, some=words.words(courses))
        if row.registered_by == "invite":
            lead = _("%(lms)s · registered %(day)s by invite link · %(courses)s", lms=kind, day=when, courses=many)
        else:
            lead = _("%(lms)s · registered %(day)s by hand · %(courses)s", lms=kind, day=when, courses=many)
        missing = missing_scopes(row.granted_scopes)
        load = platform_load.standing(session, row.id, now)
        return PlatformPage(
            id=row.id,
            name=row.name,
            product_name=platform.name if row.product != "other" else _("the LMS"),
            product=row.product,
            state=row.state,
            lead=lead,
            checks=tuple(_check_view(check, row.product) for check in platform_checks.kept(row)),
            load=words.said(platform_load.told(load)),
            rests=load.state == "open" and load.until is not None,
            checked_at=row.checked_at if row.state == "active" else None,
            looking=job is not None and not late,
            no_worker=late,
            after_registration=tuple(words.said(each) for each in platform.after_registration()),
            missing=tuple(words.said(scope_word(scope)) for scope in missing),
            deployments=_deployments(session, row),
            facts=_facts(tool, row),
            removable=not courses and not people,
            same_client=_same_client(session, row) if row.state == "pending" else (),
            replaces=_replaces(session, row) if not courses and not people else (),
        )


def _count(session: Session, table: Any, registration_id: int) -> int:
    return session.scalar(select(func.count()).select_from(table).where(table.registration_id == registration_id)) or 0


def _check_view(check: Check, product: str) -> CheckView:
    clicks = tuple(check.clicks(product))
    question, sentence = words.said(check.question), words.said(check.sentence)
    lines = [question, sentence, *(f"{n}. {line}" for n, line in enumerate(words.plain_clicks(clicks), 1))]
    return CheckView(
        key=check.key,
        question=question,
        state=check.state,
        result=words.said(RESULTS[check.state]),
        sentence=sentence,
        clicks=tuple(words.said(each) for each in clicks),
        plain="\n".join(lines) if clicks else "",
    )


def _deployments(session: Session, row: Registration) -> tuple[DeploymentView, ...]:
    counted = (
        select(Course.deployment_pk, func.count())
        .where(Course.registration_id == row.id)
        .group_by(Course.deployment_pk)
    )
    courses: dict[int, int] = {row[0]: row[1] for row in session.execute(counted)}
    return tuple(
        DeploymentView(each.id, each.deployment_id, each.status, each.former, courses.get(each.id, 0), each.created_at)
        for each in sorted(row.deployments, key=lambda each: each.id)
    )


def _facts(tool: Tool, row: Registration) -> tuple[tuple[str, str], ...]:
    base = tool.settings.base_url
    told = (
        (_("Issuer"), row.issuer),
        (_("Client ID"), row.client_id),
        (_("Its login address"), row.auth_login_url),
        (_("Its token address"), row.auth_token_url),
        (_("Its keys"), row.jwks_url),
        (_("Audience of token requests"), row.auth_audience or ""),
        *our_addresses(base),
    )
    return tuple((word, value) for word, value in told if value)


def our_addresses(base_url: str) -> tuple[tuple[str, str], ...]:
    """Return what an LMS asks for where the tool is registered by hand."""
    return (
        (_("Our keys"), f"{base_url}/.well-known/jwks.json"),
        (_("Our login address"), f"{base_url}/lti/login"),
        (_("Our launch address"), f"{base_url}/lti/launch"),
    )


def _same_client(session: Session, row: Registration) -> tuple[tuple[str, str], ...]:
    return tuple((each.name, each.issuer) for each in platforms.same_client(session, row.issuer, row.client_id))


def _replaces(session: Session, row: Registration) -> tuple[tuple[int, str, int], ...]:
    others = session.scalars(
        select(Registration)
        .where(Registration.issuer == row.issuer, Registration.id != row.id)
        .order_by(Registration.id)
    )
    found = [(each.id, each.name, _count(session, Course, each.id)) for each in others]
    return tuple(each for each in found if each[2])


@dataclass(frozen=True)
class Waiting:
    """What waits for an administrator."""

    platforms: tuple[tuple[int, str, str, datetime], ...]
    deployments: tuple[tuple[int, int, str, str, datetime], ...]


def waiting(tool: Tool) -> Waiting:
    """Return the platforms and deployments that wait for approval."""
    with tool.db.read() as session:
        pending = session.scalars(select(Registration).where(~Registration.approved).order_by(Registration.id))
        platforms = tuple((row.id, row.name, row.issuer, row.created_at) for row in pending)
        rows = session.scalars(
            select(Deployment).join(Registration).where(Deployment.status == "pending").order_by(Deployment.id)
        )
        deployments = tuple(
            (row.id, row.registration_id, row.registration.name, row.deployment_id, row.created_at) for row in rows
        )
    return Waiting(platforms, deployments)


def canvas_addresses(where: str, host: str) -> dict[str, str]:
    """Return what the form for Canvas begins with: its cloud (production, beta, test), or a host of one's own.

    Canvas' documentation: https://canvas.instructure.com/doc/api/file.lti_launch_overview.html"""
    if where in CANVAS_CLOUD:
        environment = CANVAS_CLOUD[where]
        issuer, sso = f"https://canvas{environment}.instructure.com", f"https://sso{environment}.canvaslms.com"
        own = f"https://{host}" if host else issuer
    else:
        issuer = sso = own = f"https://{host}"
    return {
        "product": "canvas",
        "issuer": issuer,
        "auth_login_url": f"{sso}/api/lti/authorize_redirect",
        "auth_token_url": f"{own}/login/oauth2/token",
        "jwks_url": f"{sso}/api/lti/security/jwks",
    }
