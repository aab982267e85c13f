"""Notices of platforms: taken in at once, acted on by a job; and telling each deployment where they go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import LaunchRefused
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.notices import CONTEXT_COPY, NOTICE_HANDLERS, Notice, ask_for_copies, verify_notice
from lti_tool.lti.registration import Registration
from lti_tool.lti.service import Service
from lti_tool.models import ContextNotice, Course, Deployment
from lti_tool.models import Registration as RegistrationRow
from lti_tool.sentence import Sentence
from lti_tool.services import audit, work
from lti_tool.services.access import registration_value
from lti_tool.services.tool import Tool, log
from lti_tool.services.work import Say


def receive(tool: Tool, tokens: Sequence[str], now: datetime) -> list[int]:
    """Keep each notice that holds; returns the jobs it made due, for the caller to wake.

    One that was kept before changes nothing: a platform may send it twice. Raises the first refusal once the others
    are kept, and each refusal is one line in the log."""
    jobs: list[int] = []
    refused: LaunchRefused | None = None
    for token in tokens:
        try:
            notice = verify_notice(
                token,
                find_registrations=lambda issuer, client_id: _registrations(tool, issuer, client_id),
                deployment_status=lambda registration, deployment: _deployment_status(tool, registration, deployment),
                keys=tool.keys,
                now=now,
            )
        except LaunchRefused as error:
            log.warning("notice refused reason=%s detail=%s", error.reason, error.detail)
            refused = refused or error
            continue
        if notice.type == CONTEXT_COPY:
            jobs += repeat_collided(lambda notice=notice: _keep(tool, notice, now))  # type: ignore[misc]
        log.info("notice registration=%s type=%s", notice.registration_id, notice.type)
    if refused is not None:
        raise refused
    return jobs


def _registrations(tool: Tool, issuer: str, client_id: str) -> list[Registration]:
    query = select(RegistrationRow).where(RegistrationRow.issuer == issuer, RegistrationRow.client_id == client_id)
    with tool.db.read() as session:
        return [registration_value(row) for row in session.scalars(query.where(RegistrationRow.status == "active"))]


def _deployment_status(tool: Tool, registration: Registration, deployment_id: str) -> str:
    """Say "approved" of a deployment that has launched. A notice lets none in: it opens nothing for anybody to see."""
    with tool.db.read() as session:
        row = _deployment(session, registration.id, deployment_id)
    if row is None:
        return "unknown"
    return "approved" if row.status == "active" else row.status


def _deployment(session: Session, registration_id: int, deployment_id: str) -> Deployment | None:
    where = (Deployment.registration_id == registration_id, Deployment.deployment_id == deployment_id)
    return session.scalar(select(Deployment).where(*where))


def _keep(tool: Tool, notice: Notice, now: datetime) -> list[int]:
    with tool.db.write() as session:
        known = select(ContextNotice.id).where(
            ContextNotice.registration_id == notice.registration_id, ContextNotice.notice_id == notice.id
        )
        if session.scalar(known) is not None:
            return []
        deployment = _deployment(session, notice.registration_id, notice.deployment_id)
        if deployment is None:
            return []
        row = ContextNotice(
            registration_id=notice.registration_id,
            notice_id=notice.id,
            deployment_pk=deployment.id,
            context_id=notice.context_id,
            origins=list(notice.origins),
            received_at=now,
        )
        session.add(row)
        session.flush()
        audit.record(session, now, audit.TOOL, "notice.received", f"notice:{row.id}", type=notice.type)
        where = (Course.deployment_pk == deployment.id, Course.context_id == notice.context_id)
        course_id = session.scalar(select(Course.id).where(*where))
        # A course that was never launched has no services yet; its first launch finds the notice.
        return [] if course_id is None else [work.request_in(session, "copy", str(course_id), now, again=True)]


# -- asking for them --------------------------------------------------------------------------------------------


def service_url(launch: VerifiedLaunch) -> str | None:
    """Return where this launch's deployment can be asked for notices of copied courses, None where it cannot."""
    service = launch.notices
    offered = service is not None and CONTEXT_COPY in service.types and NOTICE_HANDLERS in service.scopes
    return service.url if service is not None and offered else None


def news(deployment: Deployment, launch: VerifiedLaunch) -> bool:
    """Note where this deployment can be asked for notices; tell whether that is new, so that it has to be asked."""
    url = service_url(launch)
    if url is None or url == deployment.notices_url:
        return False
    deployment.notices_url = url
    return True


def run_subscribe(tool: Tool, deployment_pk: str, say: Say) -> dict[str, Any]:
    """Tell a deployment's platform where its notices of copied courses go. Safe to repeat."""
    with tool.db.read() as session:
        deployment = session.get_one(Deployment, int(deployment_pk))
        registration, url = registration_value(deployment.registration), deployment.notices_url
        name = deployment.deployment_id
    if url is None:
        return {"subscribed": 0}
    service = Service(registration, tool.http, tool.tokens, frozenset({NOTICE_HANDLERS}), name)
    ask_for_copies(service, url, f"{tool.settings.base_url}/lti/notices")
    say(Sentence("The platform sends notices of copied courses."))
    with tool.db.write() as session:
        session.get_one(Deployment, int(deployment_pk)).notices_asked_at = datetime.now(UTC)
    return {"subscribed": 1}
