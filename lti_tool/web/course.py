"""What the pages of a course have in common: who acts, when, and how one leads on to another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import g, redirect, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.services import audit

Page = str | BaseResponse | tuple[str, int]


def acting() -> str:
    """Return who has launched, as the audit log names an actor."""
    return audit.person(g.session.person_id)


def moment() -> datetime:
    return datetime.now(UTC)


def lead_to(endpoint: str, **values: Any) -> BaseResponse:
    """Lead the browser on to another page of the same launch, after a form."""
    return redirect(url_for(endpoint, launch=g.launch, **values), 303)
