"""Administration as a launch meets it: the way in of a bound LMS account, and the page that takes the code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, g, render_template, request

from lti_tool import security
from lti_tool.errors import BadInput, Conflict
from lti_tool.security import guarded, tool
from lti_tool.services import bindings
from lti_tool.services.launches import ANYBODY

pages = Blueprint("way_in", __name__, url_prefix="/me/<launch>/administration")

CODES_PER_MINUTE = 10  # that one person may try


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["code_limit"] = security.RateLimit(CODES_PER_MINUTE)


def _page(status: int = 200, **values: Any) -> tuple[str, int]:
    way = bindings.way_in(tool(), g.session.person_id, datetime.now(UTC))
    return render_template("admin/way_in.html", way=way, **values), status


@pages.get("/")
@guarded(ANYBODY)
def home() -> tuple[str, int]:
    return _page()


@pages.post("/code")
@guarded(ANYBODY)
def code() -> tuple[str, int]:
    current_app.extensions["code_limit"].count(g.session.person_id)
    try:
        bindings.enter_code(tool(), g.session, request.form.get("code", ""), datetime.now(UTC))
    except (BadInput, Conflict) as error:
        return _page(error.status, problem=f"{error.sentence} {error.what_to_do}".strip())
    return _page(asked=True)


@pages.post("/sign-in")
@guarded(ANYBODY)
def sign_in() -> tuple[str, int]:
    """Show a one-time address, to be opened in a window of its own: the administrator's pages are never framed."""
    return _page(address=bindings.sign_in_address(tool(), g.session, datetime.now(UTC)))
