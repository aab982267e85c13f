"""Platforms and deployments, as an operator registers and watches them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import Award, Course, Deployment, Login, Person, Registration
from lti_tool.services import audit
from lti_tool.services.tool import Tool

PRODUCTS = ("canvas", "moodle", "other")


def add_platform(
    tool: Tool,
    *,
    name: str,
    issuer: str,
    client_id: str,
    auth_login_url: str,
    auth_token_url: str,
    jwks_url: str,
    auth_audience: str | None,
    deployment_ids: Sequence[str],
    product: str,
    now: datetime,
) -> int:
    """Register a platform by hand and return its id. Raises BadInput for an address that cannot be used, Conflict
    where issuer and client id are registered already."""
    for what, address in (
        ("--auth-login-url", auth_login_url),
        ("--auth-token-url", auth_token_url),
        ("--jwks-url", jwks_url),
    ):
        _check_address(what, address, tool.settings.network.allow_private)
    for what, value in (("--name", name), ("--issuer", issuer), ("--client-id", client_id)):
        if not value.strip() or len(value) > 255 or value != value.strip() or "\0" in value:
            raise BadInput(sentence=f"{what} is empty, too long, or has blanks around it.")
    try:
        with tool.db.write() as session:
            row = Registration(
                name=name,
                product=product,
                issuer=issuer,
                client_id=client_id,
                auth_login_url=auth_login_url,
                auth_token_url=auth_token_url,
                auth_audience=auth_audience,
                jwks_url=jwks_url,
                deployments_named=bool(deployment_ids),
                origins=[],
                created_at=now,
            )
            row.deployments = [
                Deployment(deployment_id=each, status="active", created_at=now)
                for each in dict.fromkeys(deployment_ids)
            ]
            session.add(row)
            session.flush()
            audit.record(session, now, audit.OPERATOR, "platform.added", f"platform:{row.id}", name=name)
            return row.id
    except IntegrityError:
        raise Conflict(
            sentence=f"A platform with the issuer {issuer} and the client id {client_id} is registered already.",
            what_to_do="See lti-tool platforms list.",
        ) from None


def _check_address(what: str, address: str, allow_private: bool) -> None:
    try:
        parts = urlsplit(address)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        port_is_one = False
    schemes = ("https", "http") if allow_private else ("https",)
    if not port_is_one or parts.scheme not in schemes or not parts.hostname or parts.username or parts.fragment:
        raise BadInput(sentence=f"{what} must be an address that begins with https://, not {address!r}.")


def listing(tool: Tool, platform_id: int | None = None) -> list[dict[str, Any]]:
    """Return platforms with their deployments and how much hangs on them; raises NotFound for an unknown id."""
    query = select(Registration).order_by(Registration.id)
    if platform_id is not None:
        query = query.where(Registration.id == platform_id)
    with tool.db.read() as session:
        rows = [_platform(session, row) for row in session.scalars(query)]
    if platform_id is not None and not rows:
        raise NotFound(sentence=f"There is no platform {platform_id}.", what_to_do="See lti-tool platforms list.")
    return rows


def _platform(session: Session, row: Registration) -> dict[str, Any]:
    courses = session.scalar(select(func.count()).select_from(Course).where(Course.registration_id == row.id))
    people = session.scalar(select(func.count()).select_from(Person).where(Person.registration_id == row.id))
    return {
        "id": row.id,
        "name": row.name,
        "product": row.product,
        "status": row.status,
        "issuer": row.issuer,
        "client_id": row.client_id,
        "auth_login_url": row.auth_login_url,
        "auth_token_url": row.auth_token_url,
        "auth_audience": row.auth_audience,
        "jwks_url": row.jwks_url,
        "problem": row.problem,
        "deployments": [{"id": d.id, "deployment_id": d.deployment_id, "status": d.status} for d in row.deployments],
        "courses": courses,
        "people": people,
    }


def set_status(tool: Tool, platform_id: int, status: str, now: datetime) -> None:
    """Switch a platform on or off; it takes effect on the next request."""
    with tool.db.write() as session:
        row = _get(session, platform_id)
        row.status = status
        audit.record(session, now, audit.OPERATOR, f"platform.{status}", f"platform:{row.id}")


def remove(tool: Tool, platform_id: int, now: datetime) -> None:
    """Remove a platform nobody has used. One with awards is only ever disabled: they must stay checkable."""
    with tool.db.write() as session:
        row = _get(session, platform_id)
        awards = select(func.count()).select_from(Award).join(Course).where(Course.registration_id == row.id)
        if session.scalar(awards):
            raise Conflict(
                sentence=f"Platform {platform_id} has awards, which must stay checkable, so it cannot be removed.",
                what_to_do=f"Switch it off instead: lti-tool platforms disable {platform_id}",
            )
        people = select(func.count()).select_from(Person).where(Person.registration_id == row.id)
        if session.scalar(people):
            raise Conflict(
                sentence=f"Platform {platform_id} has been launched from, so its courses and people hang on it.",
                what_to_do=f"Switch it off instead: lti-tool platforms disable {platform_id}",
            )
        session.execute(delete(Login).where(Login.registration_id == row.id))
        for deployment in row.deployments:
            session.delete(deployment)
        session.flush()
        session.delete(row)
        audit.record(session, now, audit.OPERATOR, "platform.removed", f"platform:{platform_id}", name=row.name)


def _get(session: Session, platform_id: int) -> Registration:
    row = session.get(Registration, platform_id)
    if row is None:
        raise NotFound(sentence=f"There is no platform {platform_id}.", what_to_do="See lti-tool platforms list.")
    return row


def deployments(tool: Tool) -> list[dict[str, Any]]:
    with tool.db.read() as session:
        return [
            {
                "id": row.id,
                "platform": row.registration_id,
                "platform_name": row.registration.name,
                "deployment_id": row.deployment_id,
                "status": row.status,
                "created_at": row.created_at.isoformat(),
            }
            for row in session.scalars(select(Deployment).order_by(Deployment.id))
        ]


def approve(tool: Tool, deployment_pk: int, now: datetime) -> None:
    with tool.db.write() as session:
        row = session.get(Deployment, deployment_pk)
        if row is None:
            raise NotFound(
                sentence=f"There is no deployment {deployment_pk}.", what_to_do="See lti-tool deployments list."
            )
        row.status = "active"
        audit.record(session, now, audit.OPERATOR, "deployment.approved", f"deployment:{row.id}")
