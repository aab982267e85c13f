"""The claims of a verified launch: which must be there, and what they become.

LTI Core 1.3: https://www.imsglobal.org/spec/lti/v1p3/"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from lti_tool.lti.platforms import is_unresolved, platform_of
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import Registration
from lti_tool.lti.roles import Role, course_roles, is_test_user
from lti_tool.sentence import Sentence

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
MESSAGE_TYPE = LTI + "message_type"
VERSION = LTI + "version"
DEPLOYMENT_ID = LTI + "deployment_id"
TARGET_LINK_URI = LTI + "target_link_uri"
ROLES = LTI + "roles"
CONTEXT = LTI + "context"
RESOURCE_LINK = LTI + "resource_link"
CUSTOM = LTI + "custom"
LAUNCH_PRESENTATION = LTI + "launch_presentation"
TOOL_PLATFORM = LTI + "tool_platform"
FOR_USER = LTI + "for_user"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
NOTICES = LTI + "platformnotificationservice"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"

RESOURCE_LINK_REQUEST = "LtiResourceLinkRequest"
DEEP_LINKING_REQUEST = "LtiDeepLinkingRequest"
SUBMISSION_REVIEW_REQUEST = "LtiSubmissionReviewRequest"
DATA_PRIVACY_REQUEST = "DataPrivacyLaunchRequest"

# The custom parameters under which the tool is registered for what a course and a link were copied from.
CONTEXT_HISTORY = "context_id_history"  # $Context.id.history
LINK_HISTORY = "resource_link_id_history"  # $ResourceLink.id.history

MOST_HISTORY = 50  # ids of a history that are looked at, newest first; Canvas sends up to 1,000
RESOURCE_LINK_TYPE = "ltiResourceLink"  # https://www.imsglobal.org/spec/lti-dl/v2p0/#lti-resource-link

LONGEST_ID = 255
LONGEST_NAME = 60  # of a message, as it is shown
LONGEST_TEXT = 2000
_NO_ADDRESS = re.compile(r"[\x00-\x20\\\x7f]")  # white space, control characters, a backslash


@dataclass(frozen=True)
class Context:
    id: str
    label: str | None
    title: str | None
    type: tuple[str, ...]


@dataclass(frozen=True)
class ResourceLink:
    """The link that was opened. On Canvas a course-navigation launch has the context's id here: no unique activity."""

    id: str
    title: str | None
    description: str | None


@dataclass(frozen=True)
class GradeServices:
    """The AGS claim. `scopes` is what the platform says the tool may ask for in this course."""

    line_items: str | None
    line_item: str | None
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class NoticeService:
    """Where a deployment says which notices it wants (https://www.imsglobal.org/spec/lti-pns/v1p0)."""

    url: str
    scopes: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class ForUser:
    """Whose submission is reviewed, or who asks about their data."""

    user_id: str
    name: str | None = field(repr=False)
    email: str | None = field(repr=False)


@dataclass(frozen=True)
class DeepLinking:
    """What the platform takes back (https://www.imsglobal.org/spec/lti-dl/v2p0/#deep-linking-settings).

    `accept_line_item` is None where the platform does not say: neither Canvas (source) nor Moodle (seen) does, and both
    make columns. `data` goes back as it came; None where there was none."""

    return_url: str
    accept_types: tuple[str, ...]
    accept_targets: tuple[str, ...]
    accept_multiple: bool
    accept_line_item: bool | None
    auto_create: bool
    title: str | None
    text: str | None
    data: str | None


@dataclass(frozen=True)
class Launch:
    """A launch that was verified. Everything optional is None or empty where the platform sent nothing usable.

    `roles` are the URIs as sent, `course_roles` what they mean in this course (empty for a visitor). `context` is None
    outside a course, on Canvas in account launches too. `custom` has no unresolved `$variables`. `raw` is every claim
    as sent, for messages of later; nobody's name is in the `repr`, which may end up in a log."""

    registration_id: int
    deployment_id: str
    message_type: str
    target_link_uri: str
    sub: str
    roles: tuple[str, ...]
    course_roles: tuple[Role, ...]
    test_user: bool
    name: str | None = field(repr=False)
    given_name: str | None = field(repr=False)
    family_name: str | None = field(repr=False)
    email: str | None = field(repr=False)
    locale: str | None
    context: Context | None
    resource_link: ResourceLink | None
    custom: Mapping[str, str] = field(repr=False)
    ags: GradeServices | None
    memberships_url: str | None
    notices: NoticeService | None
    context_history: tuple[str, ...]  # ids of the courses this one was copied from, newest first
    link_history: tuple[str, ...]  # the same of its resource link
    return_url: str | None
    product_family: str | None
    platform_name: str | None
    platform_guid: str | None
    for_user: ForUser | None
    deep_linking: DeepLinking | None
    raw: Mapping[str, Any] = field(repr=False)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _has_id(value: object) -> bool:
    return isinstance(value, Mapping) and _is_id(value.get("id"))


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_for_user(value: object) -> bool:
    return isinstance(value, Mapping) and _is_id(value.get("user_id"))


def _is_deep_linking(value: object) -> bool:
    return isinstance(value, Mapping) and web_address(value.get("deep_link_return_url")) is not None


def _takes_our_links(value: Any) -> bool:
    return RESOURCE_LINK_TYPE in _texts(value.get("accept_types"))


def _names_a_target(value: Any) -> bool:
    return bool(_texts(value.get("accept_presentation_document_targets")))


Check = tuple[str, str, Callable[[Any], bool]]  # claim, reason of the refusal, what must hold of its value

# https://www.imsglobal.org/spec/lti/v1p3/#required-message-claims; `sub` may be left out for anonymous launches, which
# this tool does not take. target_link_uri is compared with the login before this table is read.
REQUIRED: tuple[Check, ...] = (
    (VERSION, "version", lambda value: value == "1.3.0"),
    (MESSAGE_TYPE, "message_type", lambda value: _is_id(value)),
    (DEPLOYMENT_ID, "deployment_id", _is_id),
    (ROLES, "roles", _is_text_list),
    ("sub", "sub", _is_id),
)

REQUIRED_BY_MESSAGE: dict[str, tuple[Check, ...]] = {
    # https://www.imsglobal.org/spec/lti/v1p3/#resource-link-claim
    RESOURCE_LINK_REQUEST: ((RESOURCE_LINK, "resource_link", _has_id),),
    # https://www.imsglobal.org/spec/lti-dl/v2p0/#deep-linking-settings
    DEEP_LINKING_REQUEST: (
        (DEEP_LINKING, "deep_linking_settings", _is_deep_linking),
        (DEEP_LINKING, "deep_linking_type", _takes_our_links),
        (DEEP_LINKING, "deep_linking_settings", _names_a_target),
    ),
    # https://www.imsglobal.org/spec/lti-sr/v1p0
    SUBMISSION_REVIEW_REQUEST: (
        (RESOURCE_LINK, "resource_link", _has_id),
        (FOR_USER, "for_user", _is_for_user),
        (AGS, "claim_malformed", lambda value: isinstance(value, Mapping)),
    ),
    # https://www.imsglobal.org/spec/lti-dp/v1p0
    DATA_PRIVACY_REQUEST: ((FOR_USER, "for_user", _is_for_user),),
}

# https://www.imsglobal.org/spec/lti/v1p3/#context-claim: optional, but not without an id.
OPTIONAL: tuple[Check, ...] = (
    (CONTEXT, "context", _has_id),
    (RESOURCE_LINK, "resource_link", _has_id),
    (AGS, "claim_malformed", lambda value: isinstance(value, Mapping)),
    (NRPS, "claim_malformed", lambda value: isinstance(value, Mapping)),
    (CUSTOM, "claim_malformed", lambda value: isinstance(value, Mapping)),
)


def check_claims(claims: Mapping[str, Any]) -> None:
    """Refuse a message that lacks what its type needs (A03 to A12), or has an identifier that cannot be kept (B28)."""
    _check_message_type(claims.get(MESSAGE_TYPE))
    for claim, reason, holds in (*REQUIRED, *REQUIRED_BY_MESSAGE.get(str(claims.get(MESSAGE_TYPE)), ())):
        if not holds(claims.get(claim)):
            raise refusal(reason, f"the claim {claim} is missing or of another kind")
    for claim, reason, holds in OPTIONAL:
        if claims.get(claim) is not None and not holds(claims[claim]):
            raise refusal(reason, f"the claim {claim} is of another kind")
    for name, value in (
        ("sub", claims["sub"]),
        ("deployment_id", claims[DEPLOYMENT_ID]),
        ("context id", (claims.get(CONTEXT) or {}).get("id")),
        ("resource link id", (claims.get(RESOURCE_LINK) or {}).get("id")),
        ("for_user id", _member(claims.get(FOR_USER), "user_id")),
    ):
        if isinstance(value, str) and not can_be_kept(value):
            raise refusal("too_long", f"the {name} is longer than {LONGEST_ID} characters or no text")


def _check_message_type(value: object) -> None:
    """Refuse a message that is not ours to answer, by the name the platform gives it."""
    if not isinstance(value, str) or value in REQUIRED_BY_MESSAGE:
        return
    name = text(value)
    shown = name if name is None or len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    raise refusal(
        "message_type",
        "the platform sent a message this tool does not know",
        sentence=Sentence("Your LMS asked for “%(shown)s”, which this tool does not do.", shown=shown)
        if shown
        else None,
    )


def read_launch(claims: Mapping[str, Any], registration: Registration) -> Launch:
    """Turn the claims of a verified and checked message into a Launch."""
    presentation = _mapping(claims.get(LAUNCH_PRESENTATION))
    tool_platform = _mapping(claims.get(TOOL_PLATFORM))
    roles = tuple(claims[ROLES])
    family = text(tool_platform.get("product_family_code"))
    given_name, family_name = text(claims.get("given_name")), text(claims.get("family_name"))
    return Launch(
        registration_id=registration.id,
        deployment_id=claims[DEPLOYMENT_ID],
        message_type=claims[MESSAGE_TYPE],
        target_link_uri=claims[TARGET_LINK_URI],
        sub=claims["sub"],
        roles=roles,
        course_roles=course_roles(roles),
        test_user=is_test_user(roles),
        name=text(claims.get("name")) or " ".join(part for part in (given_name, family_name) if part) or None,
        given_name=given_name,
        family_name=family_name,
        email=text(claims.get("email")),
        locale=text(presentation.get("locale")) or text(claims.get("locale")),
        context=_context(claims.get(CONTEXT), registration.product if registration.product != "other" else family),
        resource_link=_resource_link(claims.get(RESOURCE_LINK)),
        custom=_custom(claims.get(CUSTOM)),
        ags=_grade_services(claims.get(AGS)),
        memberships_url=web_address(_mapping(claims.get(NRPS)).get("context_memberships_url")),
        notices=_notice_service(claims.get(NOTICES)),
        context_history=_history(claims, CONTEXT_HISTORY),
        link_history=_history(claims, LINK_HISTORY),
        return_url=web_address(presentation.get("return_url")),
        product_family=family.lower() if family else None,
        platform_name=text(tool_platform.get("name")),
        platform_guid=text(tool_platform.get("guid")),
        for_user=_for_user(claims.get(FOR_USER)),
        deep_linking=_deep_linking(claims.get(DEEP_LINKING)),
        raw=claims,
    )


def text(value: object) -> str | None:
    """Return a text that can be stored and shown: no NUL (PostgreSQL refuses it), no half characters, not endless."""
    if not isinstance(value, str):
        return None
    if value.isascii() and "\0" not in value:
        return value[:LONGEST_TEXT].strip() or None
    return value.replace("\0", "").encode("utf-8", "replace").decode()[:LONGEST_TEXT].strip() or None


def web_address(value: object) -> str | None:
    """Return an http(s) address, or None: `javascript:` in a return address would become a link on our page."""
    if not isinstance(value, str) or _NO_ADDRESS.search(value):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in ("http", "https") and parts.hostname else None


def can_be_kept(value: str) -> bool:
    """Tell whether an identifier can be stored as it is: LTI allows 255 characters, PostgreSQL no NUL."""
    return len(value) <= LONGEST_ID and is_storable(value)


def is_storable(value: str) -> bool:
    """Tell whether a text of any length can be stored as it is: no NUL, no half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _member(value: object, name: str) -> Any:
    return _mapping(value).get(name)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _true(value: object) -> bool:
    return value is True or value == "true"  # pylti1p3's own types allow for platforms that send the word


def _context(value: object, product: str | None) -> Context | None:
    claim = _mapping(value)
    types = _texts(claim.get("type"))
    if not claim or not platform_of(product).is_course(types):
        return None
    return Context(claim["id"], text(claim.get("label")), text(claim.get("title")), types)


def _resource_link(value: object) -> ResourceLink | None:
    claim = _mapping(value)
    return ResourceLink(claim["id"], text(claim.get("title")), text(claim.get("description"))) if claim else None


def _custom(value: object) -> dict[str, str]:
    """Keep what was filled in. Canvas sends numbers and booleans too."""
    kept: dict[str, str] = {}
    for name, item in _mapping(value).items():
        if isinstance(item, bool):
            kept[name] = "true" if item else "false"
        elif isinstance(item, int | float):
            kept[name] = str(item)
        elif isinstance(item, str) and not is_unresolved(item):
            kept[name] = text(item) or ""
    return kept


def _history(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Read a history of ids: URL-encoded, with commas between (https://www.imsglobal.org/spec/lti/v1p3/#lti-context-variable).

    Canvas ends a long one with the word "truncated" (source). Moodle fills in the course's and leaves the link's as it
    was written (seen), and there whoever sets up an activity can write one: it is a hint, never a right."""
    value = _mapping(claims.get(CUSTOM)).get(name)
    if not isinstance(value, str | int) or is_unresolved(str(value)):
        return ()
    parts = str(value)[: MOST_HISTORY * (LONGEST_ID + 1)].split(",")
    ids = [unquote(part.strip()) for part in parts]
    kept = [each for each in ids if each and each != "truncated" and can_be_kept(each)]
    return tuple(dict.fromkeys(kept))[:MOST_HISTORY]


def _notice_service(value: object) -> NoticeService | None:
    claim = _mapping(value)
    url = web_address(claim.get("platform_notification_service_url"))
    if url is None:
        return None
    return NoticeService(url, _texts(claim.get("scope")), _texts(claim.get("notice_types_supported")))


def _grade_services(value: object) -> GradeServices | None:
    """Moodle sends "" for a line item that was deleted, and none where a link has several."""
    if not isinstance(value, Mapping):
        return None
    return GradeServices(
        web_address(value.get("lineitems")), web_address(value.get("lineitem")), _texts(value.get("scope"))
    )


def _for_user(value: object) -> ForUser | None:
    claim = _mapping(value)
    user_id = claim.get("user_id")
    return ForUser(user_id, text(claim.get("name")), text(claim.get("email"))) if isinstance(user_id, str) else None


def _deep_linking(value: object) -> DeepLinking | None:
    claim = _mapping(value)
    return_url = web_address(claim.get("deep_link_return_url"))
    if return_url is None:
        return None
    data = claim.get("data")
    return DeepLinking(
        return_url=return_url,
        accept_types=_texts(claim.get("accept_types")),
        accept_targets=_texts(claim.get("accept_presentation_document_targets")),
        accept_multiple=_true(claim.get("accept_multiple")),  # left out: one item is right on every platform
        accept_line_item=None if claim.get("accept_lineitem") is None else _true(claim["accept_lineitem"]),
        auto_create=_true(claim.get("auto_create")),
        title=text(claim.get("title")),
        text=text(claim.get("text")),
        data=data if isinstance(data, str) else None,
    )
