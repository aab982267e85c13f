"""Platforms and deployments, as an operator registers and watches them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput, Conflict, NotFound, RegistrationRefused
from lti_tool.http import same_origin
from lti_tool.lti.dynamic_registration import Configuration, read_configuration
from lti_tool.lti.platforms import may_name_audience, platform_of
from lti_tool.models import (
    AdminSession,
    Award,
    Binding,
    Course,
    Deployment,
    Invite,
    Login,
    Person,
    Registration,
    SignInAddress,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit
from lti_tool.services.tool import Tool

PRODUCTS = ("canvas", "moodle", "other")


@dataclass(frozen=True)
class Told:
    """What an administrator says of a platform. `deployment_ids`: only these are let in, where any are named."""

    name: str
    issuer: str
    client_id: str
    auth_login_url: str
    auth_token_url: str
    jwks_url: str
    auth_audience: str | None = None
    product: str = "other"
    deployment_ids: tuple[str, ...] = ()


ADDRESSES = ("auth_login_url", "auth_token_url", "jwks_url")
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in ("name", "issuer", "client_id", "auth_audience", *ADDRESSES)}

# What the fields are called on the administrator's pages.
FIELDS = {
    "name": Sentence("The name"),
    "issuer": Sentence("The issuer"),
    "client_id": Sentence("The client id"),
    "auth_login_url": Sentence("The login address"),
    "auth_token_url": Sentence("The token address"),
    "jwks_url": Sentence("The key address"),
    "auth_audience": Sentence("The audience"),
}


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
    actor: str = audit.OPERATOR,
) -> int:
    """Register a platform by hand and return its id. Raises BadInput for an address that cannot be used, Conflict
    where issuer and client id are registered already."""
    told = Told(
        name=name,
        issuer=issuer,
        client_id=client_id,
        auth_login_url=auth_login_url,
        auth_token_url=auth_token_url,
        jwks_url=jwks_url,
        auth_audience=auth_audience,
        product=product,
        deployment_ids=tuple(dict.fromkeys(deployment_ids)),
    )
    for problem in problems_of(tool, told, OPTIONS).values():
        raise BadInput(sentence=problem)
    return add(tool, told, actor=actor, now=now)


def add(tool: Tool, told: Told, *, actor: str, now: datetime) -> int:
    """Store a platform that was checked with `problems_of`; returns its id. Raises Conflict."""
    try:
        with tool.db.write() as session:
            check_client_id(session, told)
            row = Registration(
                name=told.name,
                product=told.product,
                issuer=told.issuer,
                client_id=told.client_id,
                auth_login_url=told.auth_login_url,
                auth_token_url=told.auth_token_url,
                auth_audience=told.auth_audience,
                jwks_url=told.jwks_url,
                deployments_named=bool(told.deployment_ids),
                created_at=now,
            )
            row.deployments = [
                Deployment(deployment_id=each, status="active", created_at=now) for each in told.deployment_ids
            ]
            session.add(row)
            session.flush()
            audit.record(session, now, actor, "platform.added", f"platform:{row.id}", name=told.name)
            return row.id
    except IntegrityError:
        raise _taken(told.issuer, told.client_id) from None


def _taken(issuer: str, client_id: str) -> Conflict:
    return Conflict(
        sentence=Sentence(
            "A platform with the issuer %(issuer)s and the client id %(client_id)s is registered already.",
            issuer=issuer,
            client_id=client_id,
        ),
        what_to_do=Sentence("See lti-tool platforms list."),
    )


# What decides whether two platforms may have one client id.
OF_CLIENT = ("issuer", "client_id", "auth_token_url", "auth_audience", "product")


def same_client(session: Session, issuer: str, client_id: str, besides: int | None = None) -> list[Registration]:
    """Return the platforms of other issuers that have a client id too.

    All platforms trust one key: an assertion that one of them is sent under this id is one of the other's as well."""
    query = select(Registration).where(Registration.client_id == client_id, Registration.issuer != issuer)
    return [row for row in session.scalars(query.order_by(Registration.id)) if row.id != besides]


def check_client_id(session: Session, told: Told, besides: int | None = None) -> None:
    """Raise Conflict where a client id is another LMS's, and cannot be this one's by chance.

    By chance it can be where both number them: each Canvas of one's own begins with 10000000000001. Then still not at
    one token address, which would give this one the access tokens of the other, nor with an audience of another host
    than its own, which may be the other's."""
    for other in same_client(session, told.issuer, told.client_id, besides):
        numbered = all(platform_of(each.product).numbers_clients for each in (told, other))
        alone = all(may_name_audience(each.auth_token_url, each.auth_audience) for each in (told, other))
        if not numbered or not alone or same_origin(told.auth_token_url, other.auth_token_url):
            raise Conflict(
                f"the client id is that of platform {other.id}",
                reason="client_id_elsewhere",
                sentence=Sentence("The client id belongs to another LMS that is registered here."),
                what_to_do=Sentence(
                    "Delete Badges in the LMS's list of tools and register it anew: it then has a client id of its "
                    "own. If it is the same LMS at another address, change the address of the platform that is there."
                ),
            )


def problems_of(tool: Tool, told: Told, called: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with which field, in a sentence that calls it by its name in `called`."""
    problems: dict[str, str] = {}
    for field in ("name", "issuer", "client_id"):
        value, word = getattr(told, field), called[field]
        if not value.strip():
            problems[field] = Sentence("%(field)s is empty.", field=word)
        elif len(value) > 255 or value != value.strip() or not value.isprintable():
            problems[field] = Sentence("%(field)s is too long, or has blanks around it.", field=word)
    for field in ADDRESSES:
        given, word = getattr(told, field), called[field]
        if not given:
            problems[field] = Sentence("%(field)s is empty.", field=word)
        elif not _is_address(given, tool.settings.network.allow_private):
            problems[field] = Sentence(
                "%(field)s must be an address that begins with https://, not %(given)s.", field=word, given=repr(given)
            )
    if told.auth_audience is not None and not (
        0 < len(told.auth_audience) <= 2048 and told.auth_audience.isprintable()
    ):
        problems["auth_audience"] = Sentence(
            "%(field)s is too long or holds control characters.", field=called["auth_audience"]
        )
    if any(not 0 < len(each) <= 255 or not each.isprintable() for each in told.deployment_ids):
        problems["deployment_ids"] = Sentence("The list holds one that is too long or has control characters.")
    return problems


def _is_address(address: str, allow_private: bool) -> bool:
    try:
        parts = urlsplit(address)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    schemes = ("https", "http") if allow_private else ("https",)
    plain = len(address) <= 2048 and not any(character <= " " or character in "\\\x7f" for character in address)
    usable = parts.scheme in schemes and bool(parts.hostname) and not parts.username and not parts.fragment
    return port_is_one and plain and usable


def read_from_platform(tool: Tool, url: str) -> Told:
    """Read a platform's own openid-configuration, to fill the form for registering it by hand.

    Raises RegistrationRefused. The client id is what the platform's administrator knows: it is left empty."""
    try:
        found = read_configuration(tool.http, url)
    except RegistrationRefused as refused:
        raise RegistrationRefused(
            refused.detail,
            reason=refused.reason,
            sentence=refused.sentence,
            what_to_do=Sentence(
                "Check the address, which this tool's server has to reach, or fill in the fields by yourself."
            ),
        ) from None
    return told_by(found, client_id="")


def told_by(found: Configuration, client_id: str) -> Told:
    """Return a platform as its own configuration tells of it."""
    return Told(
        name=found.name,
        issuer=found.issuer,
        client_id=client_id,
        auth_login_url=found.authorization_endpoint,
        auth_token_url=found.token_endpoint,
        jwks_url=found.jwks_uri,
        auth_audience=found.token_audience,
        product=found.product,
    )


def told_of(tool: Tool, platform_id: int) -> Told:
    """Return what is stored of a platform, as the form shows it."""
    with tool.db.read() as session:
        row = _get(session, platform_id)
        return Told(
            name=row.name,
            issuer=row.issuer,
            client_id=row.client_id,
            auth_login_url=row.auth_login_url,
            auth_token_url=row.auth_token_url,
            jwks_url=row.jwks_url,
            auth_audience=row.auth_audience,
            product=row.product,
        )


def change(tool: Tool, platform_id: int, told: Told, *, actor: str, now: datetime) -> bool:
    """Change what is known of a platform, checked with `problems_of`; returns whether its client id is another one.

    Courses, people and awards hang on the row and stay. With another issuer or client id, logins that are under way end
    and the old ones are refused from the next request; the deployments become former ones, whose courses go over to the
    deployment they are next launched from (`services.launches`). The platform's record in use before, and nothing else,
    may hold the new client id: one that registered itself for this and was never used is taken over, deployments and
    all. Raises NotFound or Conflict."""
    try:
        with tool.db.write() as session:
            row = _get(session, platform_id)
            renamed = row.client_id != told.client_id
            moved = (row.issuer, row.client_id) != (told.issuer, told.client_id)
            if any(getattr(row, field) != getattr(told, field) for field in OF_CLIENT):
                check_client_id(session, told, besides=row.id)
            before: dict[str, str] = {"issuer": row.issuer, "client_id": row.client_id} if moved else {}
            if moved:
                session.execute(delete(Login).where(Login.registration_id == row.id))
                for deployment in row.deployments:
                    deployment.former = True
                row.granted_scopes = None
                _take_over(session, row, told)
            if row.issuer != told.issuer:  # another LMS may give the same user id to somebody else
                here = select(Person.id).where(Person.registration_id == row.id)
                for of_account in (AdminSession, SignInAddress, Binding):
                    session.execute(delete(of_account).where(of_account.person_id.in_(here)))
            row.deployments_named = row.deployments_named or bool(told.deployment_ids)
            if row.jwks_url != told.jwks_url:
                row.jwks = row.jwks_fetched_at = None
            for field in ("name", "issuer", "client_id", *ADDRESSES, "auth_audience", "product"):
                setattr(row, field, getattr(told, field))
            row.checks = row.checked_at = row.problem = None
            known = {each.deployment_id: each for each in row.deployments}
            for each in told.deployment_ids:
                if each in known:
                    known[each].status, known[each].former = "active", False
                else:
                    session.add(Deployment(registration_id=row.id, deployment_id=each, status="active", created_at=now))
            session.flush()
            action = "platform.moved" if moved else "platform.changed"
            audit.record(session, now, actor, action, f"platform:{row.id}", **before)
            return renamed
    except IntegrityError:
        raise _taken(told.issuer, told.client_id) from None


def take_place(tool: Tool, platform_id: int, of_id: int, *, actor: str, now: datetime) -> None:
    """Let platform `of_id` go on under the client id of a registration of the same issuer that nobody has used.

    Raises NotFound, or Conflict where they are not two registrations of one LMS."""
    newer, older = told_of(tool, platform_id), told_of(tool, of_id)
    if newer.issuer != older.issuer or platform_id == of_id:
        raise Conflict(sentence=Sentence("These are not two registrations of the same LMS."))
    change(tool, of_id, dataclasses.replace(newer, name=older.name), actor=actor, now=now)


def _take_over(session: Session, row: Registration, told: Told) -> None:
    """Make room for the new client id: a registration of it that nobody has launched from gives up its place."""
    other = session.scalar(
        select(Registration).where(
            Registration.issuer == told.issuer, Registration.client_id == told.client_id, Registration.id != row.id
        )
    )
    if other is None:
        return
    used = session.scalar(select(Person.id).where(Person.registration_id == other.id).limit(1))
    opened = session.scalar(select(Course.id).where(Course.registration_id == other.id).limit(1))
    if used is not None or opened is not None:
        raise Conflict(
            sentence=Sentence(
                "Platform %(id)s has this client id and has been launched from: two cannot become one.", id=other.id
            ),
            what_to_do=Sentence("Choose which of the two goes on, and switch the other off."),
        )
    session.execute(delete(Login).where(Login.registration_id == other.id))
    taken = {each.deployment_id: each for each in row.deployments}
    for deployment in list(other.deployments):
        if deployment.deployment_id in taken:
            taken[deployment.deployment_id].former = False
            session.delete(deployment)
        else:
            deployment.registration = row
    session.execute(update(Invite).where(Invite.registration_id == other.id).values(registration_id=row.id))
    row.granted_scopes = other.granted_scopes
    row.deployments_named = row.deployments_named or other.deployments_named
    session.flush()
    session.expire(other, ["deployments"])
    session.delete(other)
    session.flush()


def listing(tool: Tool, platform_id: int | None = None) -> list[dict[str, Any]]:
    """Return platforms with their deployments and how much hangs on them; raises NotFound for an unknown id."""
    query = select(Registration).order_by(Registration.id)
    if platform_id is not None:
        query = query.where(Registration.id == platform_id)
    with tool.db.read() as session:
        rows = [_platform(session, row) for row in session.scalars(query)]
    if platform_id is not None and not rows:
        raise NotFound(
            sentence=Sentence("There is no platform %(platform_id)s.", platform_id=platform_id),
            what_to_do=Sentence("See lti-tool platforms list."),
        )
    return rows


def _platform(session: Session, row: Registration) -> dict[str, Any]:
    courses = session.scalar(select(func.count()).select_from(Course).where(Course.registration_id == row.id))
    people = session.scalar(select(func.count()).select_from(Person).where(Person.registration_id == row.id))
    return {
        "id": row.id,
        "name": row.name,
        "product": row.product,
        "status": row.state,
        "issuer": row.issuer,
        "client_id": row.client_id,
        "auth_login_url": row.auth_login_url,
        "auth_token_url": row.auth_token_url,
        "auth_audience": row.auth_audience,
        "jwks_url": row.jwks_url,
        "problem": row.problem,
        "registered_by": row.registered_by,
        "granted_scopes": row.granted_scopes,
        "deployments": [{"id": d.id, "deployment_id": d.deployment_id, "status": d.status} for d in row.deployments],
        "courses": courses,
        "people": people,
    }


def set_status(tool: Tool, platform_id: int, status: str, now: datetime, actor: str = audit.OPERATOR) -> None:
    """Switch a platform on or off; it takes effect on the next request. Switching on approves one that waits."""
    with tool.db.write() as session:
        row = _get(session, platform_id)
        action = f"platform.{status}"
        if status == "active" and not row.approved:
            row.approved, action = True, "platform.approved"
        row.status, row.checks = status, None
        audit.record(session, now, actor, action, f"platform:{row.id}")


def remove(tool: Tool, platform_id: int, now: datetime, actor: str = audit.OPERATOR) -> None:
    """Remove a platform nobody has used. One with awards is only ever disabled: they must stay checkable."""
    with tool.db.write() as session:
        row = _get(session, platform_id)
        awards = select(func.count()).select_from(Award).join(Course).where(Course.registration_id == row.id)
        if session.scalar(awards):
            raise Conflict(
                sentence=Sentence(
                    "Platform %(platform_id)s has awards, which must stay checkable, so it cannot be removed.",
                    platform_id=platform_id,
                ),
                what_to_do=Sentence(
                    "Switch it off instead: lti-tool platforms disable %(platform_id)s", platform_id=platform_id
                ),
            )
        people = select(func.count()).select_from(Person).where(Person.registration_id == row.id)
        if session.scalar(people):
            raise Conflict(
                sentence=Sentence(
                    "Platform %(platform_id)s has been launched from, so its courses and people hang on it.",
                    platform_id=platform_id,
                ),
                what_to_do=Sentence(
                    "Switch it off instead: lti-tool platforms disable %(platform_id)s", platform_id=platform_id
                ),
            )
        session.execute(delete(Login).where(Login.registration_id == row.id))
        session.execute(update(Invite).where(Invite.registration_id == row.id).values(registration_id=None))
        for deployment in row.deployments:
            session.delete(deployment)
        session.flush()
        session.delete(row)
        audit.record(session, now, actor, "platform.removed", f"platform:{platform_id}", name=row.name)


def _get(session: Session, platform_id: int) -> Registration:
    row = session.get(Registration, platform_id)
    if row is None:
        raise NotFound(
            sentence=Sentence("There is no platform %(platform_id)s.", platform_id=platform_id),
            what_to_do=Sentence("See lti-tool platforms list."),
        )
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


def approve(tool: Tool, deployment_pk: int, now: datetime, actor: str = audit.OPERATOR) -> None:
    set_deployment(tool, deployment_pk, "active", actor=actor, now=now)


def set_deployment(
    tool: Tool, deployment_pk: int, status: str, *, actor: str, now: datetime, platform_id: int | None = None
) -> None:
    """Let a deployment launch, or no longer; it takes effect on the next request. Raises NotFound."""
    with tool.db.write() as session:
        row = session.get(Deployment, deployment_pk)
        if row is None or platform_id not in (None, row.registration_id):
            raise NotFound(
                sentence=Sentence("There is no deployment %(deployment_pk)s.", deployment_pk=deployment_pk),
                what_to_do=Sentence("See lti-tool deployments list."),
            )
        row.status = status
        word = {"active": "approved"}.get(status, status)
        audit.record(session, now, actor, f"deployment.{word}", f"deployment:{row.id}")
