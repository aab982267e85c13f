"""Names and Role Provisioning Services: who is in the course.

NRPS 2.0: https://www.imsglobal.org/spec/lti-nrps/v2p0"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lti_tool.errors import ServiceError
from lti_tool.http import parsed
from lti_tool.lti.claims import CUSTOM, can_be_kept, text
from lti_tool.lti.platforms import is_unresolved
from lti_tool.lti.roles import Role, course_roles, is_test_user
from lti_tool.lti.service import Service, with_query

log = logging.getLogger(__name__)

MEMBERSHIPS_READ = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEMBERSHIPS_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


@dataclass(frozen=True)
class Member:
    """One person in the roster; names and address are None where the LMS keeps them back (F22).

    `status` is Active, Inactive or Deleted. `custom` holds the tool's custom parameters filled in for this person,
    where they were asked for with a resource link (Canvas: `canvas_user_id`)."""

    user_id: str
    status: str
    roles: tuple[str, ...]
    course_roles: tuple[Role, ...]
    test_user: bool
    name: str | None = field(repr=False)
    given_name: str | None = field(repr=False)
    family_name: str | None = field(repr=False)
    email: str | None = field(repr=False)
    custom: Mapping[str, str] = field(repr=False)
    sis_id: str | None = field(default=None, repr=False)

    @property
    def is_active(self) -> bool:
        return self.status == "Active"


def memberships(
    service: Service, memberships_url: str, *, role: str | None = None, resource_link_id: str | None = None
) -> tuple[Member, ...]:
    """Read the whole roster, or nothing of it. Raises as `Service.call`."""
    pages = member_answers(service, memberships_url, role=role, resource_link_id=resource_link_id)
    return tuple(member for body in pages for member in members_in(body))


def member_answers(
    service: Service, memberships_url: str, *, role: str | None = None, resource_link_id: str | None = None
) -> Iterator[bytes]:
    """Yield the roster page by page as it came; only who has taken every page knows who is in the course.

    A person the LMS removed is just not there (Canvas and Moodle alike). Moodle 4.5.6 lists a non-editing teacher as
    Learner, whose launch says Instructor. Raises as `Service.call`."""
    url = with_query(
        memberships_url, role=role, rlid=resource_link_id, limit=service.platform.page_limit("memberships")
    )
    scopes = frozenset({MEMBERSHIPS_READ})
    for page in service.pages(url, scopes=scopes, accept=MEMBERSHIPS_TYPE, granted=scopes):
        yield page.body


def members_in(body: bytes) -> list[Member]:
    """Return who is on one page. Raises ServiceError, reason `not_json` or `malformed`.

    Who has an id that cannot be stored is set aside: a launch with it would be refused too (B28)."""
    members = [_member(entry) for entry in _entries(parsed(body))]
    kept = [member for member in members if can_be_kept(member.user_id)]
    if len(kept) < len(members):
        log.warning("members set aside, as their user ids cannot be stored: %s", len(members) - len(kept))
    return kept


def _entries(answer: Any) -> list[Any]:
    entries = answer.get("members") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise ServiceError("the roster has no list of members", reason="malformed")
    return entries


def peek(service: Service, memberships_url: str) -> tuple[int, bool]:
    """Read the first page of a roster: how many are on it, and whether there are more. Raises as `Service.call`."""
    url = with_query(memberships_url, limit=service.platform.page_limit("memberships"))
    scopes = frozenset({MEMBERSHIPS_READ})
    page = service.call("GET", url, scopes=scopes, accept=MEMBERSHIPS_TYPE)
    return len(_entries(page.json())), service.platform.next_page(page.headers.get("Link", "")) is not None


def _member(entry: Any) -> Member:
    user_id = entry.get("user_id") if isinstance(entry, dict) else None
    if not isinstance(user_id, str) or not user_id:
        raise ServiceError("a member has no user_id", reason="malformed")
    sent = entry.get("roles")
    roles = tuple([role for role in sent if isinstance(role, str)]) if isinstance(sent, list) else ()
    given_name, family_name = text(entry.get("given_name")), text(entry.get("family_name"))
    status = entry.get("status")
    return Member(
        user_id=user_id,
        # NRPS 2.0: without a status, a member is Active.
        status=status if isinstance(status, str) and status else "Active",
        roles=roles,
        course_roles=_course_roles(roles),
        test_user=is_test_user(roles),
        name=text(entry.get("name")) or " ".join(part for part in (given_name, family_name) if part) or None,
        given_name=given_name,
        family_name=family_name,
        email=text(entry.get("email")),
        sis_id=text(entry.get("lis_person_sourcedid")),
        custom=_custom(entry.get("message")),
    )


_course_roles = lru_cache(maxsize=256)(course_roles)  # most of a class have the same


def _custom(messages: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for message in messages if isinstance(messages, list) else ():
        custom = message.get(CUSTOM) if isinstance(message, dict) else None
        for name, value in custom.items() if isinstance(custom, dict) else ():
            if isinstance(value, str | int) and not is_unresolved(str(value)):
                found[name] = str(value)
    return found
