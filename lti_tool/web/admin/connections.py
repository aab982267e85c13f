"""An administrator's page of a platform's own interface: its key, a service account, and who has connected."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, ServiceError
from lti_tool.security import administrator, tool
from lti_tool.services import canvas_connection, moodle_connection, platform_pages, source_pages
from lti_tool.web.course import Page

pages = Blueprint("admin_connections", __name__, url_prefix="/admin/platforms/<int:id>/connections")


def _now() -> datetime:
    return datetime.now(UTC)


def _page(id: int, **more: object) -> str:
    return render_template(
        "admin/connections.html",
        page=source_pages.connections(tool(), id),
        items=platform_pages.items(tool()),
        redirect_uri=canvas_connection.redirect_uri(tool()),
        scopes=canvas_connection.SCOPES,
        functions=moodle_connection.NEEDED,
        further=moodle_connection.FURTHER,
        **more,
    )


def _back(id: int, done: str) -> BaseResponse:
    return redirect(url_for("admin_connections.show", id=id, done=done), 303)


@pages.get("/")
@administrator
def show(id: int) -> str:
    return _page(id)


@pages.post("/key")
@administrator
def key(id: int) -> Page:
    """Save the key; what cannot be used is told beside the form, which keeps what was typed, the secret aside."""
    typed = {name: request.form.get(name, "") for name in ("address", "client_id")}
    try:
        canvas_connection.save_key(
            tool(), id, **typed, secret=request.form.get("secret", ""), actor=g.admin.actor, now=_now()
        )
    except BadInput as error:
        return _page(id, typed=typed, form_problem=error), error.status
    return _back(id, "key")


@pages.post("/moodle")
@administrator
def token(id: int) -> Page:
    """Try a token and keep it; what is wrong with it is told beside the form, which keeps the address."""
    address, typed = request.form.get("address", ""), request.form.get("token", "")
    try:
        moodle_connection.connect(tool(), id, address=address, token=typed, actor=g.admin.actor, now=_now())
    except (BadInput, ServiceError) as error:
        return _page(id, typed={"address": address}, form_problem=error), 422
    return _back(id, "connected")


@pages.post("/connect")
@administrator
def connect(id: int) -> str:
    address = canvas_connection.begin(tool(), id, None, session_id=g.admin.session_id, actor=g.admin.actor, now=_now())
    return _page(id, consent=address)


@pages.post("/<int:connection>/remove")
@administrator
def remove(id: int, connection: int) -> BaseResponse:
    source_pages.remove_connection(tool(), id, connection, actor=g.admin.actor, now=_now())
    return _back(id, "removed")
