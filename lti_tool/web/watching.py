"""Whether the tool lives, whether it can serve, and its figures: for those who run it."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DBAPIError

from lti_tool import jobs
from lti_tool.errors import NotWatching, ToolError
from lti_tool.migrations import schema
from lti_tool.security import public, tool
from lti_tool.services import doctor, figures, presence, schedule
from lti_tool.settings import networks_of

pages = Blueprint("watching", __name__)


@pages.get("/healthz")
@public
def healthz() -> Response:
    """Tell that this process lives, and nothing else: a restart mends no database that is down."""
    return Response("ok\n", mimetype="text/plain")


@pages.get("/readyz")
@public
def readyz() -> Response:
    """Tell whether requests can be served: a line for each thing that has to be there, 503 where one fails.

    What fails in the schedule is told besides: no web process serves less for it, nor mends it."""
    g.failed = True  # the page of an error needs no database
    lines = [f"{name}: {_state(check)}" for name, check in CHECKS]
    status = 200 if all(line.endswith(": ok") for line in lines) else 503
    if status == 200:
        failing = [name for name, _since in presence.failing(tool(), datetime.now(UTC))]
        lines.append(f"schedule: fails at {', '.join(failing)}" if failing else "schedule: ok")
    response = Response("\n".join([*lines, ""]), status, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except DBAPIError as error:
        return "cannot be reached" if doctor.is_unreachable(error) else "does not answer as it should"
    except ToolError as error:
        return {"configuration": "not as it should be: run lti-tool doctor"}.get(error.reason, error.reason)
    except OSError:
        return "cannot be read"
    return "ok"


CHECKS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("database", lambda: schema.current(tool().db)),
    ("schema", lambda: schema.serves(tool().db)),
    ("keys", lambda: tool().keyring.lti),
    ("queue", lambda: jobs.check_queue(tool(), current_app.extensions["queue"])),
)


@pages.get("/metrics")
@public
def metrics() -> Response:
    """Answer the figures of the whole installation to those who may read them."""
    if not _may_read():
        raise NotWatching(f"/metrics asked from {'elsewhere' if _elsewhere() else 'another network'}")
    own, now = tool(), datetime.now(UTC)
    own.figures.add()
    response = Response(
        figures.exposition(own.db, now, schedule.oldest_due(own, now)), content_type=CONTENT_TYPE_LATEST
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _may_read() -> bool:
    told = tool().settings.metrics
    sent = request.headers.get("Authorization", "")
    if told.token and hmac.compare_digest(sent.encode(), f"Bearer {told.token}".encode()):
        return True
    if _elsewhere() or not request.remote_addr:
        return False
    address = ipaddress.ip_address(request.remote_addr)
    return any(address in network for network in networks_of(told.networks))


def _elsewhere() -> bool:
    """Tell whether a proxy has passed this on that `server.trusted_proxies` does not count: its address is not the
    asker's, and a proxy on this machine would open the figures to everybody."""
    return not tool().settings.server.trusted_proxies and any(
        name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP")
    )
