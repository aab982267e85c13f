"""The services of one course's LMS, as the tool may use them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.errors import AddressRefused, BadInput, ScopeMissing, ServiceError
from lti_tool.lti.nrps import member_answers, members_in
from lti_tool.lti.registration import Registration
from lti_tool.lti.service import Service
from lti_tool.models import Connection, Course, Deployment
from lti_tool.models import Registration as RegistrationRow
from lti_tool.sentence import Sentence
from lti_tool.services import platform_load
from lti_tool.services.tool import Tool

LONGEST_ADDRESS = 500


def registration_value(row: RegistrationRow) -> Registration:
    """Return the row as the value the protocol room works with."""
    return Registration(
        id=row.id,
        issuer=row.issuer,
        client_id=row.client_id,
        auth_login_url=row.auth_login_url,
        auth_token_url=row.auth_token_url,
        jwks_url=row.jwks_url,
        auth_audience=row.auth_audience,
        product=row.product,
    )


def known_deployment(deployment: Deployment) -> str | None:
    """Return the deployment id for a token request; None for one that the platform's client id of today never had."""
    return None if deployment.former else deployment.deployment_id


def course_service(tool: Tool, course_id: int) -> tuple[Service, str]:
    """Return the authorised caller for a course and the address of its line items.

    Raises ScopeMissing where no launch has named a gradebook."""
    service, line_items_url = _caller(tool, course_id)
    if line_items_url is None:
        raise ScopeMissing("the launch named no line items")
    return service, line_items_url


def course_roster(tool: Tool, course_id: int) -> Service:
    """Return the authorised caller for what of a course needs no gradebook."""
    return _caller(tool, course_id)[0]


def connection_of(session: Session, course: Course, kind: str) -> Connection | None:
    """Return the connection a course is read with: its own, given by a teacher, else its whole platform's.

    Hers that the LMS refuses gives way to one of the platform's that it does not: a consent ends with an account, and
    nobody may be there to give another. A row without an account is no access: the key that teachers connect with."""
    query = select(Connection).where(
        Connection.registration_id == course.registration_id,
        Connection.kind == kind,
        Connection.account != "",
        (Connection.course_id == course.id) | Connection.course_id.is_(None),
    )
    return min(session.scalars(query), key=lambda each: (bool(each.problem), each.course_id is None), default=None)


def _caller(tool: Tool, course_id: int) -> tuple[Service, str | None]:
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        registration = registration_value(course.registration)
        deployment_id, line_items_url = known_deployment(course.deployment), course.line_items_url
        granted = frozenset(course.scopes)
    watch = platform_load.watcher(tool, registration.id)
    return (
        Service(registration, tool.http, tool.tokens, granted or None, deployment_id, answered=watch),
        line_items_url,
    )


def roster_answers(service: Service, memberships_url: str, context_id: str) -> Iterator[bytes]:
    """Yield a roster page by page as it came, with everybody's sections and own numbers where the LMS tells them."""
    link = service.platform.roster_link(context_id)
    if link is not None:
        pages = member_answers(service, memberships_url, resource_link_id=link)
        try:
            first = next(pages, None)
        except ServiceError as error:
            if error.reason not in ("status_400", "status_404"):
                raise
        else:
            if first is not None:
                yield first
            yield from pages
            return
    yield from member_answers(service, memberships_url)


def own_numbers(tool: Tool, course_id: int) -> dict[str, str]:
    """Read who is who in a course: the LMS's own number → LTI `sub`; empty where it gives no roster or no numbers."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        url, context_id = course.memberships_url, course.context_id
    service = course_roster(tool, course_id)
    pages = roster_answers(service, url, context_id) if url is not None else ()
    members = (member for body in pages for member in members_in(body))
    told = {service.platform.own_number(member.custom): member.user_id for member in members}
    return {number: sub for number, sub in told.items() if number}


def checked_address(tool: Tool, address: str, wanted: Sentence) -> str:
    """Return the address of an LMS as somebody typed it; raises BadInput, with `wanted` where it is no address.

    Nothing is sent: it is looked up, and one that the tool does not go to is refused."""
    address = address.strip()[:LONGEST_ADDRESS]
    if "://" not in address:
        address = f"https://{address}"
    address = address.rstrip("/")
    parts = urlsplit(address)
    if not parts.hostname or parts.query or parts.fragment:
        raise BadInput(sentence=wanted)
    try:
        tool.http.check(address)
    except AddressRefused:
        raise BadInput(
            sentence=Sentence("This address cannot be used: the tool goes to public https addresses only.")
        ) from None
    except ServiceError:
        raise BadInput(sentence=Sentence("The host of this address is not known. Look for a typing mistake.")) from None
    return address
