"""Endorsements of the institution: asked for by an administrator."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import ToolError
from lti_tool.security import administrator, tool
from lti_tool.services import endorsements

pages = Blueprint("admin_endorsements", __name__, url_prefix="/admin/issuer/endorsements")


@pages.get("")
@administrator
def home() -> str:
    return _page()[0]


def _page(address: str = "", problem: ToolError | None = None) -> tuple[str, int]:
    page = replace(endorsements.of_issuer(tool(), datetime.now(UTC)), address=address)
    html = render_template(
        "admin/endorsements.html", page=page, problem=problem, typed=request.form if problem else {}, may_manage=True
    )
    return html, problem.status if problem else 200


@pages.post("")
@administrator
def ask() -> tuple[str, int]:
    """Make a link and show it, this once."""
    form, now = request.form, datetime.now(UTC)
    try:
        address = endorsements.ask_for_issuer(
            tool(), form.get("reviewer", ""), form.get("words", ""), actor=g.admin.actor, now=now
        )
    except ToolError as error:
        return _page(problem=error)
    return _page(address)


@pages.post("/links/<request_id>")
@administrator
def withdraw_link(request_id: str) -> BaseResponse | tuple[str, int]:
    try:
        endorsements.withdraw_link(tool(), request_id, None, actor=g.admin.actor, now=datetime.now(UTC))
    except ToolError as error:
        return _page(problem=error)
    return redirect(url_for("admin_endorsements.home"), 303)


@pages.post("/<endorsement_id>")
@administrator
def withdraw(endorsement_id: str) -> BaseResponse | tuple[str, int]:
    reason, now = request.form.get("reason", ""), datetime.now(UTC)
    try:
        endorsements.withdraw(tool(), endorsement_id, None, reason, actor=g.admin.actor, now=now)
    except ToolError as error:
        return _page(problem=error)
    return redirect(url_for("admin_endorsements.home"), 303)
