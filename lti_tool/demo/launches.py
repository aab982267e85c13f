"""Launches: the third-party login, the authentication request and the id token, for both moods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .records import Course, Launch, Link, Tool, User

if TYPE_CHECKING:
    from .lms import Lms

RESOURCE_LINK = "LtiResourceLinkRequest"
DEEP_LINKING = "LtiDeepLinkingRequest"
SUBMISSION_REVIEW = "LtiSubmissionReviewRequest"

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person"
SYSTEM = "http://purl.imsglobal.org/vocab/lis/v2/system/person"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

SHORT = {
    name: LTI + name
    for name in (
        "message_type",
        "version",
        "deployment_id",
        "target_link_uri",
        "resource_link",
        "roles",
        "context",
        "custom",
        "lis",
        "tool_platform",
        "launch_presentation",
        "for_user",
        "ext",
        "role_scope_mentor",
    )
}
SHORT |= {"ags": AGS, "nrps": NRPS, "deep_linking_settings": DL + "deep_linking_settings"}

HINT_SECONDS = 300  # Canvas: the hint is a JWT that lives five minutes
OPTIONS = {"message_type", "target_link_uri", "link", "deployment_id", "placement", "for_user", "window"}


class AuthPage(Exception):
    """The LMS shows a page of its own and sends nothing to the tool."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status} {sentence}")
        self.status, self.sentence = status, sentence


def make(
    lms: Lms,
    tool: Tool,
    user: User | str,
    course: Course | str | None = None,
    *,
    message_type: str = RESOURCE_LINK,
    target_link_uri: str | None = None,
    link: Link | str | None = None,
    deployment_id: str | None = None,
    placement: str | None = None,
    for_user: User | str | None = None,
    window: bool = False,
) -> Launch:
    """Make a launch.

    Without `link` it comes from the course menu (Canvas: course navigation; Moodle: the course's activity).
    `for_user` belongs to a submission review. `window` means opened outside the course page's iframe.
    """
    found = lms.course(course) if course is not None else None
    place = lms.links[link] if isinstance(link, str) else link
    if place is None and found is not None:
        place = lms.mood.course_link(found, tool, deployment_id)
    return Launch(
        tool=tool,
        user=lms.user(user),
        course=found,
        link=place,
        deployment_id=deployment_id or (place.deployment_id if place else tool.deployment_id),
        message_type=message_type,
        target_link_uri=target_link_uri or (place.url if place else tool.launch_url),
        placement=placement or lms.mood.placement(place, message_type),
        window=window,
        for_user=lms.user(for_user) if for_user is not None else None,
    )


def login_parameters(lms: Lms, launch: Launch) -> dict[str, Any]:
    """Open a launch: its hint is kept for five minutes and is good once."""
    launch.expires = lms.clock() + HINT_SECONDS
    with lms.lock:
        for old in [hint for hint, one in lms.launches.items() if one.expires < lms.clock() - HINT_SECONDS]:
            del lms.launches[old]
        hint = lms.mood.new_hint(launch)
        lms.launches[hint] = launch
    return {
        "iss": lms.issuer,
        "login_hint": lms.mood.login_hint(launch.user),
        "client_id": launch.tool.client_id,
        "lti_deployment_id": launch.deployment_id,
        "target_link_uri": launch.target_link_uri,
        "lti_message_hint": hint,
        **lms.mood.login_extras(launch),
    }


def take(lms: Lms, hint: str) -> Launch | None:
    """Use up a hint: of two requests with the same one, only the first gets the launch."""
    with lms.lock:
        launch = lms.launches.get(hint)
        if launch is None or launch.used or launch.expires < lms.clock():
            return None
        launch.used = True
        return launch


def answer(lms: Lms, query: dict[str, str], overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Answer an authentication request: the form that goes back to the tool, and where."""
    overrides = dict(overrides or {})
    fields = dict(overrides.pop("fields", {}))
    outcome = lms.mood.check_auth(query)
    refusal = lms.faults.auth_refusal()
    if refusal is not None:
        outcome = {**refusal, "state": query.get("state")}
    if isinstance(outcome, Launch):
        nonce = overrides.pop("nonce", query.get("nonce"))
        token = token_for(lms, outcome, nonce, **overrides)
        form = lms.mood.launch_form(outcome, token, query)
    else:
        form = outcome
    form = {name: value for name, value in {**form, **fields}.items() if value is not None}
    return {"target": query["redirect_uri"], "fields": form}


def finish(lms: Lms, auth_redirect_url: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Take the address a tool redirects to, and answer it."""
    parts = urlsplit(auth_redirect_url)
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if address != lms.auth_url:
        raise AuthPage(404, f"the tool redirects to {address}, not to {lms.auth_url}")
    return answer(lms, dict(parse_qsl(parts.query, keep_blank_values=True)), overrides)


def token_for(
    lms: Lms,
    launch: Launch,
    nonce: str | None,
    *,
    claims: dict[str, Any] | None = None,
    drop: Iterable[str] = (),
    headers: dict[str, Any] | None = None,
    key: Any = None,
    alg: str = "RS256",
    now: float | None = None,
) -> str:
    payload = write_claims(lms, launch, nonce, lms.clock() if now is None else now, claims, drop)
    return lms.sign(payload, headers=headers, key=key, alg=alg)


def write_claims(
    lms: Lms,
    launch: Launch,
    nonce: str | None,
    now: float,
    changes: dict[str, Any] | None = None,
    drop: Iterable[str] = (),
) -> dict[str, Any]:
    """Write the claims of a launch, changed as asked."""
    made = lms.mood.claims(launch, nonce, now)
    if launch.for_user is not None:
        made[LTI + "for_user"] = lms.mood.for_user(launch.for_user)
    changed = merge(made, {SHORT.get(name, name): value for name, value in (changes or {}).items()})
    for name in drop:
        changed.pop(SHORT.get(name, name), None)
    return changed


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes into a copy, going down where both sides are objects."""
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def person_claims(user: User, privacy: str) -> dict[str, str]:
    """Give the names and the address that the tool's privacy setting lets through."""
    given: dict[str, str] = {}
    if privacy in ("public", "name_only"):
        given |= {"name": user.name, "given_name": user.given_name, "family_name": user.family_name}
    if privacy in ("public", "email_only"):
        given["email"] = user.email
    return given


def substitute(custom: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Put values in for `$Variables`; what is not known stays as it is written, in Canvas and in Moodle."""
    return {name: variables.get(value, value) if isinstance(value, str) else value for name, value in custom.items()}
