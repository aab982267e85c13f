"""The administrator's page of tools: register one by its address, by a configuration or by hand, and switch it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from . import canvas_registration, moodle_registration
from .records import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lms import Lms


def start_address(lms: Lms, url: str) -> str:
    """Return the address the LMS opens to let a tool register itself."""
    start: Callable[[Lms, str], str] = {
        "canvas": canvas_registration.start_address,
        "moodle": moodle_registration.start_address,
    }[lms.name]
    return start(lms, url)


def add_pages(routes: Blueprint, lms: Lms, address: Callable[..., str]) -> None:
    @routes.get("/tools")
    def tools() -> str:
        only_administrators()
        return page()

    @routes.get("/tools/register")
    def register() -> AnyResponse | str | tuple[str, int]:
        """Open the tool's registration address in a frame, as the real ones do."""
        only_administrators()
        url = request.args.get("url", "").strip()
        if urlsplit(url).scheme not in ("http", "https"):
            return page(trouble="Paste the whole address, as the tool gave it."), 400
        return render_template("tool_register.html", frame=start_address(lms, url), page="tools")

    @routes.post("/tools/key")
    def key() -> AnyResponse | tuple[str, int]:
        only_administrators()
        try:
            canvas_registration.key_from_address(lms, request.form.get("json_url", "").strip(), uris())
        except ValueError as wrong:
            return page(trouble=str(wrong)), 400
        return redirect(address("tools"), 303)

    @routes.post("/tools/by-hand")
    def by_hand() -> AnyResponse | tuple[str, int]:
        only_administrators()
        told = {name: request.form.get(name, "").strip() for name in ("name", "tool_url", "jwks_url", "login_url")}
        if not all(told.values()) or not uris():
            return page(trouble="Fill in every field."), 400
        services = request.form.getlist("scope")
        tool = lms.register_tool(
            told["login_url"], told["tool_url"], told["jwks_url"], redirect_uris=uris(), name=told["name"], shown=False
        )
        if services:
            tool.scopes = [one for one in lms.mood.scopes if any(word in one for word in services)]
        lms.changed()
        return redirect(address("tools"), 303)

    @routes.post("/tools/<client_id>/<act>")
    def switch(client_id: str, act: str) -> AnyResponse:
        only_administrators()
        tool = lms.tools.get(client_id)
        if tool is None:
            abort(404)
        with lms.lock:
            act_on(tool, act)
            lms.changed()
        return redirect(address("tools"), 303)

    def act_on(tool: Tool, act: str) -> None:
        if act == "on":
            tool.active = True
        elif act == "off":
            tool.active = False
        elif act == "show":
            tool.shown = True
        elif act == "hide":
            tool.shown = False
        elif act == "deploy":
            lms.add_deployment(tool)
        elif act == "scopes":
            tool.scopes = request.form.getlist("scope")
        elif act == "delete":
            lms.remove_tool(tool)
        else:
            abort(404)

    def uris() -> list[str]:
        return request.form.get("redirect_uris", "").split()

    def only_administrators() -> None:
        if not g.user.admin:
            abort(403)

    def page(**values: Any) -> str:
        return render_template(
            "tools.html",
            tools=list(lms.tools.values()),
            page="tools",
            scopes=canvas_registration.ADVERTISED[3:9],
            **{"trouble": None, **values},
        )
