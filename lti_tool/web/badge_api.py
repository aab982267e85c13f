"""The Open Badges 3.0 API for reading, and its errors in the specification's own form."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from flask import Blueprint, Response, current_app, g, request

from lti_tool import security
from lti_tool.errors import BadInput, ToolError
from lti_tool.security import public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import badge_api, oauth_server
from lti_tool.services.oauth_clients import READ_CREDENTIALS, READ_PROFILE
from lti_tool.services.oauth_tokens import TokenFound

pages = Blueprint("badge_api", __name__, url_prefix=badge_api.PATH)

READS_PER_MINUTE = 600  # from one address: a backpack fetches for all its people from one
TOKEN_ERRORS = ("invalid_token", "insufficient_scope")
HIGHEST = 10**9  # of an offset: what no database column holds is no number here


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["badge_api_limit"] = security.RateLimit(READS_PER_MINUTE)


def _now() -> datetime:
    return datetime.now(UTC)


class _NotAllowed(ToolError):
    """A request without a token that allows it."""

    status = 401
    reason = "no_access_token"
    sentence = Sentence("This needs an access token of a learner who allowed it.")

    def __init__(self, error: OAuth2Error, scope: str) -> None:
        super().__init__(str(error.error), status=error.status_code)
        # RFC 6750, 3: whoever sent no token is told the scheme and no error.
        told = f' error="{error.error}", scope="{scope}"' if error.error in TOKEN_ERRORS else ""
        self.headers = {"WWW-Authenticate": f"Bearer{told}"}


def _allowed(scope: str) -> TokenFound:
    current_app.extensions["badge_api_limit"].count(request.remote_addr or "")
    address = f"{tool().settings.base_url}{request.path}"
    try:
        return oauth_server.bearer(tool(), dict(request.headers), address, scope, _now())
    except OAuth2Error as error:
        raise _NotAllowed(error, scope) from None


@pages.get("/discovery")
@public
def discovery() -> Response:
    """Describe the service: open to everybody, and to every web page."""
    current_app.extensions["badge_api_limit"].count(request.remote_addr or "")
    response = _json(badge_api.discovery(tool()))
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.add_etag()
    response.make_conditional(request)
    return response


@pages.get("/credentials")
@public
def credentials() -> Response:
    """Answer a page of the learner's credentials, with links to the others (RFC 8288)."""
    token = _allowed(READ_CREDENTIALS)
    limit = min(_number("limit", badge_api.USUAL_LIMIT, least=1), badge_api.MOST)
    offset = _number("offset", 0, least=0)
    page = badge_api.credentials(tool(), token, limit=limit, offset=offset, since=_since(), now=_now())
    response = Response(page.body, content_type="application/json")
    response.headers["X-Total-Count"] = str(page.total)
    response.headers["Link"] = _links(limit, offset, page.total)
    return _private(response)


@pages.get("/profile")
@public
def profile() -> Response:
    return _private(_json(badge_api.profile(tool(), _allowed(READ_PROFILE), _now())))


def _json(value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), content_type="application/json")


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _number(name: str, usual: int, *, least: int) -> int:
    text = request.args.get(name)
    if text is None:
        return usual
    if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) < HIGHEST:
        raise BadInput(
            f"{name} is no number",
            sentence=Sentence("%(name)s has to be a whole number from %(least)s.", name=name, least=least),
            what_to_do="",
        )
    return int(text)


def _since() -> datetime | None:
    text = request.args.get("since")
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text.replace(" ", "+"))  # a "+" that nobody has written as %2B
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise BadInput(
            "since is no moment",
            sentence=Sentence("%(name)s has to be a moment with its zone, as 2026-11-22T09:00:00Z.", name="since"),
            what_to_do="",
        )
    return when


def _links(limit: int, offset: int, total: int) -> str:
    """Return the pages that there are; "last" begins where pages of this size, counted from 0, begin."""
    last = max(0, (total - 1) // limit * limit)
    places = {"next": offset + limit, "last": last, "first": 0, "prev": max(0, min(offset - limit, last))}
    if offset + limit >= total:
        del places["next"]
    if offset == 0:
        del places["prev"]
    kept = {"since": request.args["since"]} if "since" in request.args else {}
    base = f"{tool().settings.base_url}{request.path}"
    return ", ".join(
        f'<{base}?{urlencode({"limit": limit, "offset": place, **kept})}>; rel="{rel}"' for rel, place in places.items()
    )


def error_answer(error: ToolError, status: int) -> Response | None:
    """Return an error as the API words it, None where it is not the API's."""
    if not request.path.startswith(f"{badge_api.PATH}/"):
        return None
    g.failed = True
    told = error.sentence if status < 500 else "The service could not answer."
    response = _private(_json(badge_api.status_info(status, str(told))))
    response.status_code = status
    response.headers.extend(getattr(error, "headers", {}))
    return response
