"""Deep linking: the answer that carries chosen links back to the platform, in which it makes them.

LTI Deep Linking 2.0: https://www.imsglobal.org/spec/lti-dl/v2p0"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import jwt

from lti_tool.keyring import Key
from lti_tool.lti import claims as c
from lti_tool.lti.ags import json_number
from lti_tool.lti.claims import DeepLinking
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import Registration, origin_of

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RESPONSE = "LtiDeepLinkingResponse"

# The browser brings it back at once; certification allows five minutes.
RESPONSE_LASTS = timedelta(minutes=4)
# Moodle's activity and Canvas' assignment both hold 255 characters of a name (seen; source).
LONGEST_TITLE = 255
# https://www.imsglobal.org/spec/lti-dl/v2p0/#iframe-properties: a size in pixels, for those that ask for none better.
FRAME = {"width": 900, "height": 700}
# https://www.imsglobal.org/spec/lti-sr/v1p0: at which activityProgress the platform may offer the review.
REVIEWABLE = ["Submitted", "Completed"]


@dataclass(frozen=True)
class NewLineItem:
    """The gradebook column that the platform makes with a link."""

    label: str
    maximum: Decimal
    resource_id: str
    tag: str


@dataclass(frozen=True)
class ResourceLinkItem:
    """One link to place. `custom` comes back in each of its launches, also after the course was copied."""

    title: str
    text: str
    url: str
    custom: Mapping[str, str] = field(default_factory=dict)
    icon: str | None = None
    line_item: NewLineItem | None = None


def response_jwt(
    registration: Registration,
    deployment_id: str,
    settings: DeepLinking,
    items: Sequence[ResourceLinkItem],
    *,
    key: Key,
    now: datetime,
) -> str:
    """Sign the answer to a deep linking request; no items at all is how one is cancelled.

    pylti1p3's lasts ten minutes, sends `data: null` where there was none, and knows no text, window or frame. Raises
    ValueError for more items than the platform takes: that is the caller's to tell people."""
    if len(items) > 1 and not settings.accept_multiple:
        raise ValueError("the platform takes one item")
    issued_at = int(now.timestamp())
    message: dict[str, Any] = {
        "iss": registration.client_id,
        "aud": [registration.issuer],
        "iat": issued_at,
        "exp": issued_at + int(RESPONSE_LASTS.total_seconds()),
        "nonce": secrets.token_urlsafe(32),
        c.DEPLOYMENT_ID: deployment_id,
        c.MESSAGE_TYPE: RESPONSE,
        c.VERSION: "1.3.0",
        f"{DL}content_items": [content_item(item, settings) for item in items],
        **({f"{DL}data": settings.data} if settings.data is not None else {}),
    }
    return jwt.encode(message, key.private, algorithm="RS256", headers={"kid": key.kid})


def content_item(item: ResourceLinkItem, settings: DeepLinking) -> dict[str, Any]:
    """Return an item as the platform of these settings takes it (https://www.imsglobal.org/spec/lti-dl/v2p0/#lti-resource-link)."""
    with_column = item.line_item is not None and settings.accept_line_item is not False
    return {
        "type": c.RESOURCE_LINK_TYPE,
        "title": item.title[:LONGEST_TITLE],
        **({"text": item.text} if item.text else {}),
        "url": item.url,
        **({"custom": dict(item.custom)} if item.custom else {}),
        **({"icon": {"url": item.icon}} if item.icon else {}),
        **_presentation(settings.accept_targets),
        **({"lineItem": _line_item(item.line_item)} if item.line_item is not None and with_column else {}),
    }


def _line_item(column: NewLineItem) -> dict[str, Any]:
    return {
        "label": column.label[:LONGEST_TITLE],
        "scoreMaximum": json_number(column.maximum),
        "resourceId": column.resource_id,
        "tag": column.tag,
        # Moodle 4.5.6 takes it (seen) and offers the review at the link's own address.
        "submissionReview": {"reviewableStatus": REVIEWABLE},
    }


def _presentation(targets: Collection[str]) -> dict[str, Any]:
    """Say how the link is best opened, of what the platform offers: in a frame where it can."""
    if "iframe" in targets:
        return {"iframe": FRAME}
    if "window" in targets:
        return {"window": {"targetName": "_blank"}}
    return {}


def check_return_url(settings: DeepLinking, known_origins: Collection[str], *, allow_http: bool) -> None:
    """Refuse an answer's address that is not of this platform: what we sign for it goes nowhere else."""
    parts = urlsplit(settings.return_url)
    if parts.scheme == "http" and not allow_http:
        raise refusal("deep_linking_elsewhere", "the return address is plain http")
    if parts.username is not None or parts.password is not None:
        raise refusal("deep_linking_elsewhere", "the return address holds a user name")
    try:
        origin = origin_of(settings.return_url)
    except ValueError:  # a port that is none
        origin = ""
    if origin not in known_origins:
        raise refusal("deep_linking_elsewhere", f"the return address is at {origin[:100] or 'no origin'}")
