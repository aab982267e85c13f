"""The platforms this tool is registered with: adding one, its check list, its deployments, its addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, NotFound, ToolError
from lti_tool.security import administrator, tool
from lti_tool.sentence import Sentence
from lti_tool.services import platform_checks, platform_pages, platforms, presence, registration
from lti_tool.services.words import said

pages = Blueprint("admin_platforms", __name__, url_prefix="/admin/platforms")

HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")
EXPIRES = {"1": timedelta(hours=1), "24": timedelta(hours=24), "168": timedelta(days=7)}
ACTS = {"approve": "active", "enable": "active", "disable": "disabled"}
FIELDS = ("name", "product", "issuer", "client_id", "auth_login_url", "auth_token_url", "jwks_url", "auth_audience")


def _now() -> datetime:
    return datetime.now(UTC)


def _status(act: str) -> str:
    if act not in ACTS:
        raise NotFound(f"no act {act}")
    return ACTS[act]


def _back(id: int, **values: Any) -> BaseResponse:
    return redirect(url_for("admin_platforms.show", id=id, **values), 303)


@pages.get("/")
@administrator
def home() -> str:
    """Show the first platform as it was at the last look, or how to add one."""
    listed = platform_pages.items(tool())
    return _page(listed[0].id) if listed else _adding()


# -- one platform -----------------------------------------------------------------------------------------------

DONE = {
    "added": Sentence("The platform is registered. Open Badges once in a course, then every line can be checked."),
    "changed": Sentence("The changes are saved. They count from the next request."),
    "moved": Sentence(
        "The platform has moved to its new client id. Courses, people and awards are kept; the old "
        "client id is refused from now on."
    ),
    "approved": Sentence("The platform is approved: it may launch from now on."),
}


@pages.get("/<int:id>")
@administrator
def show(id: int) -> str:
    """Show a platform as it was at the last look, and have it looked at again where that is old."""
    platform_checks.look_again(tool(), id, _now())
    return _page(id)


def _silent() -> dict[str, Any]:
    """Return since when nobody does the work, or nobody looks what is due; empty where both are as they should be."""
    watch, now = presence.watch(tool(), _now()), _now()
    if watch.lost(now):
        return {"what": "worker", "since": watch.worker}
    return {"what": "schedule", "since": watch.schedule} if watch.unscheduled(now) else {}


def _page(id: int) -> str:
    page = platform_pages.page(tool(), id, _now())
    notice = DONE.get(request.args.get("done", ""), "")
    return render_template(
        "admin/platform.html", page=page, items=platform_pages.items(tool()), notice=notice, silent=_silent()
    )


@pages.get("/<int:id>/checks")
@administrator
def checks(id: int) -> str:
    """Answer the check list and the list at the side, for the page that is open to bring itself up to date."""
    platform_checks.look_again(tool(), id, _now())
    page = platform_pages.page(tool(), id, _now())
    return render_template("admin/checks_again.html", page=page, items=platform_pages.items(tool()))


@pages.post("/<int:id>/check")
@administrator
def check(id: int) -> BaseResponse:
    platform_checks.look_again(tool(), id, _now(), asked=True)
    return _back(id)


@pages.post("/<int:id>/<act>")
@administrator
def switch(id: int, act: str) -> BaseResponse:
    status = _status(act)
    platforms.set_status(tool(), id, status, _now(), actor=g.admin.actor)
    return _back(id, **({"done": "approved"} if act == "approve" else {}))


@pages.post("/<int:id>/remove")
@administrator
def remove(id: int) -> BaseResponse:
    platforms.remove(tool(), id, _now(), actor=g.admin.actor)
    return redirect(url_for("admin_platforms.home"), 303)


@pages.post("/<int:id>/deployments/<int:pk>/<act>")
@administrator
def deployment(id: int, pk: int, act: str) -> BaseResponse:
    platforms.set_deployment(tool(), pk, _status(act), actor=g.admin.actor, now=_now(), platform_id=id)
    platform_checks.look_again(tool(), id, _now(), asked=True)
    return _back(id)


@pages.post("/<int:id>/take-place-of/<int:other>")
@administrator
def take_place(id: int, other: int) -> BaseResponse:
    """Let an older registration of the same LMS go on under this one's client id."""
    platforms.take_place(tool(), id, other, actor=g.admin.actor, now=_now())
    return _back(other, done="moved")


# -- its addresses ----------------------------------------------------------------------------------------------


@pages.route("/<int:id>/edit", methods=["GET", "POST"])
@administrator
def edit(id: int) -> BaseResponse | Response | str:
    before = platforms.told_of(tool(), id)
    if request.method == "GET":
        return _form(_shown(before), id=id, name=before.name)
    told, problems = _told(request.form)
    if request.form.get("do") == "read":
        return _read(request.form, id=id, name=before.name)
    if problems:
        return Response(_form(request.form, problems=problems, id=id, name=before.name), 422)
    try:
        moved = platforms.change(tool(), id, told, actor=g.admin.actor, now=_now())
    except ToolError as error:
        return Response(_form(request.form, refused=error, id=id, name=before.name), error.status)
    return _back(id, done="moved" if moved else "changed")


@pages.route("/by-hand", methods=["GET", "POST"])
@administrator
def by_hand() -> BaseResponse | Response | str:
    """Register any platform by hand; its own configuration can fill the form."""
    if request.method == "GET":
        return _form(request.args)
    if request.form.get("do") == "read":
        return _read(request.form)
    told, problems = _told(request.form)
    if problems:
        return Response(_form(request.form, problems=problems), 422)
    try:
        added = platforms.add(tool(), told, actor=g.admin.actor, now=_now())
    except ToolError as error:
        return Response(_form(request.form, refused=error), error.status)
    return _back(added, done="added")


def _read(form: Mapping[str, str], **values: Any) -> Response | str:
    """Fill the form with what the platform says of itself; what was typed and cannot be read there stays."""
    try:
        found = platforms.read_from_platform(tool(), form.get("configuration", "").strip())
    except ToolError as error:
        return Response(_form(form, refused=error, **values), error.status)
    told = {name: value for name, value in _shown(found).items() if value and (name != "name" or not form.get("name"))}
    return _form({**form, **told}, read=True, **values)


def _told(form: Mapping[str, str]) -> tuple[platforms.Told, dict[str, str]]:
    told = platforms.Told(
        **{name: form.get(name, "").strip() for name in FIELDS if name not in ("auth_audience", "product")},
        auth_audience=form.get("auth_audience", "").strip() or None,
        product=form.get("product", "") if form.get("product") in platforms.PRODUCTS else "other",
        deployment_ids=tuple(dict.fromkeys(form.get("deployment_ids", "").split())),
    )
    return told, platforms.problems_of(tool(), told, platforms.FIELDS)


def _shown(told: platforms.Told) -> dict[str, str]:
    return {name: getattr(told, name) or "" for name in FIELDS}


def _form(values: Mapping[str, str], **more: Any) -> str:
    ours = platform_pages.our_addresses(tool().settings.base_url)
    shown = {
        "id": None,
        "name": "",
        "problems": {},
        "refused": None,
        "read": False,
        "values": values,
        "ours": ours,
        "items": platform_pages.items(tool()),
        **more,
    }
    return render_template("admin/platform_form.html", **shown)


# -- adding one -------------------------------------------------------------------------------------------------


@pages.get("/add")
@administrator
def add() -> str:
    return _adding()


@pages.post("/invites")
@administrator
def invite() -> str:
    """Make an invite link, and show it: this page is the only place it ever stands."""
    lasts = EXPIRES.get(request.form.get("expires", ""))
    if lasts is None:
        raise BadInput("expires", sentence=Sentence("Choose how long the link may be used."))
    return _adding(made=registration.invite(tool(), lasts=lasts, actor=g.admin.actor, now=_now()))


@pages.post("/invites/<int:id>/withdraw")
@administrator
def withdraw(id: int) -> BaseResponse:
    registration.withdraw(tool(), id, actor=g.admin.actor, now=_now())
    return redirect(url_for("admin_platforms.add"), 303)


def _adding(**values: Any) -> str:
    listed = registration.invites(tool(), _now())
    return render_template(
        "admin/platform_add.html",
        items=platform_pages.items(tool()),
        silent=_silent(),
        invites=listed,
        **{"made": None, **values},
    )


@pages.get("/canvas")
@administrator
def canvas() -> str:
    """Walk through a developer key, ending in the form for the client id."""
    return _canvas_steps()


def _canvas_steps(host_problem: str = "") -> str:
    base = tool().settings.base_url
    return render_template(
        "admin/platform_canvas.html",
        items=platform_pages.items(tool()),
        config=f"{base}/lti/config.json",
        redirect_uri=f"{base}/lti/launch",
        typed={name: request.args.get(name, "")[:255] for name in ("where", "host", "client_id")},
        host_problem=host_problem,
    )


@pages.get("/canvas/form")
@administrator
def canvas_form() -> BaseResponse | tuple[str, int]:
    """Lead to the form by hand, filled with the addresses of the Canvas that was named."""
    where, host = request.args.get("where", "production"), request.args.get("host", "").strip().lower()
    host = host.removeprefix("https://").removesuffix("/")
    if where == "own" and not HOST.fullmatch(host):
        return _canvas_steps(said(Sentence("Write the host of your Canvas, as canvas.example.edu."))), 400
    told: dict[str, Any] = {**platform_pages.canvas_addresses(where, host)}
    told |= {"client_id": request.args.get("client_id", "").strip(), "name": host or "Canvas"}
    return redirect(url_for("admin_platforms.by_hand", **told), 303)
