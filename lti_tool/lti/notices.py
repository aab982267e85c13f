"""Platform Notification Service: notices a platform sends by itself, and asking for them.

https://www.imsglobal.org/spec/lti-pns/v1p0. Canvas sends each once and never again: nothing rests on one arriving."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from lti_tool.errors import ServiceError
from lti_tool.lti import claims as c
from lti_tool.lti.platform_keys import KeyCache
from lti_tool.lti.platform_token import key_id, verified_claims
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import Registration
from lti_tool.lti.service import Service

NOTICE_HANDLERS = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
NOTICE = c.LTI + "notice"
ORIGIN_CONTEXTS = c.LTI + "origin_contexts"
CONTEXT_COPY = "LtiContextCopyNotice"
HELLO_WORLD = "LtiHelloWorldNotice"  # Canvas' way of trying a handler

# A notice answers nothing of ours, and a platform may send it late. Its id is kept for far longer than this.
OLDEST_NOTICE = timedelta(days=1)
MOST_NOTICES = 100  # in one request


@dataclass(frozen=True)
class Notice:
    """A verified notice. `context_id` and `origins` are a context copy's: the new course, and what it was made from."""

    id: str
    type: str
    registration_id: int
    deployment_id: str
    context_id: str
    origins: tuple[str, ...]


def read_body(body: bytes) -> list[str]:
    """Return the tokens of a request's body, `{"notices": [{"jwt": "…"}]}`; raises LaunchMalformed (400)."""
    try:
        entries = json.loads(body)["notices"]
        tokens = [entry["jwt"] for entry in entries]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise refusal("notice_malformed", "no list of notices") from None
    if not tokens or len(tokens) > MOST_NOTICES or not all(isinstance(token, str) for token in tokens):
        raise refusal("notice_malformed", f"{len(tokens)} notices")
    return tokens


def verify_notice(
    token: str,
    *,
    find_registrations: Callable[[str, str], list[Registration]],
    deployment_status: Callable[[Registration, str], str],
    keys: KeyCache,
    now: datetime,
) -> Notice:
    """Check a notice as a launch is checked: key, signature, issuer, audience, times, version, deployment.

    `find_registrations(issuer, client_id)` returns those switched on; only then a platform's keys may be fetched.
    `deployment_status` returns "approved" or a word for the log. Raises LaunchRefused (401), LaunchMalformed (400)."""
    kid = key_id(token)
    registration = _registration(token, find_registrations)
    claims = verified_claims(token, kid, registration, keys, now, OLDEST_NOTICE)
    if claims.get(c.VERSION) != "1.3.0":
        raise refusal("version")
    deployment_id = claims.get(c.DEPLOYMENT_ID)
    if not isinstance(deployment_id, str) or not deployment_id:
        raise refusal("deployment_id")
    status = deployment_status(registration, deployment_id)
    if status != "approved":
        raise refusal("deployment", f"the deployment is {status}")
    return _read(claims, registration.id, deployment_id)


def _registration(token: str, find_registrations: Callable[[str, str], list[Registration]]) -> Registration:
    """Find who says to have sent it. Only whose key it is checked with depends on this, and what it may say follows."""
    try:
        told = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
        raise refusal("token_malformed", type(error).__name__) from error
    issuer, audience = told.get("iss"), told.get("aud")
    for client_id in audience[:5] if isinstance(audience, list) else [audience]:
        if isinstance(issuer, str) and isinstance(client_id, str):
            found = find_registrations(issuer, client_id)
            if found:
                return found[0]
    raise refusal("registration_unknown", "no registration of this issuer and audience")


def _read(claims: Mapping[str, Any], registration_id: int, deployment_id: str) -> Notice:
    told = claims.get(NOTICE)
    notice_id, kind = (told.get("id"), told.get("type")) if isinstance(told, Mapping) else (None, None)
    if not isinstance(notice_id, str) or not notice_id or not c.can_be_kept(notice_id):
        raise refusal("claim_malformed", "the notice has no id")
    if kind == HELLO_WORLD:
        return Notice(notice_id, kind, registration_id, deployment_id, "", ())
    if kind != CONTEXT_COPY:
        raise refusal("notice_type", f"type is {str(kind)[:60]!r}")
    context, origins = claims.get(c.CONTEXT), claims.get(ORIGIN_CONTEXTS)
    context_id = context.get("id") if isinstance(context, Mapping) else None
    ids = [context_id, *origins] if isinstance(origins, list) else []
    if len(ids) < 2 or not all(isinstance(each, str) and each and c.can_be_kept(each) for each in ids):
        raise refusal("context", "a context copy without its contexts")
    return Notice(notice_id, kind, registration_id, deployment_id, ids[0], tuple(ids[1 : c.MOST_HISTORY + 1]))


def ask_for_copies(service: Service, url: str, handler: str) -> None:
    """Tell a deployment's platform where its notices of copied courses go. Raises as `Service.call`.

    Canvas keeps one handler for each type, so asking again changes nothing (source, notice_types.rb)."""
    scopes = frozenset({NOTICE_HANDLERS})
    response = service.call(
        "PUT",
        url,
        scopes=scopes,
        granted=scopes,
        accept="application/json",
        content_type="application/json",
        body=json.dumps({"notice_type": CONTEXT_COPY, "handler": handler}),
    )
    answer = response.json()
    if not isinstance(answer, dict) or answer.get("handler") != handler:
        raise ServiceError("the platform did not keep the handler", reason="not_subscribed")
