"""How long things are kept, what the last run deleted, and what would go now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput
from lti_tool.security import administrator, tool
from lti_tool.services import retention

pages = Blueprint("admin_retention", __name__, url_prefix="/admin/retention")

Page = str | BaseResponse | tuple[str, int]


@pages.get("")
@administrator
def home() -> str:
    return _page(retention.page(tool(), datetime.now(UTC)), saved=request.args.get("done") == "saved")


@pages.post("")
@administrator
def save() -> Page:
    """Save the periods, or count what would go with them."""
    now = datetime.now(UTC)
    try:
        wanted = retention.read_periods(request.form)
    except BadInput as error:
        page, wrong = retention.page(tool(), now), error.detail.split()
        lines = (replace(line, typed=request.form.get(line.key, "")) for line in page.lines)
        lines_told = tuple(replace(line, wrong="wrong" if line.key in wrong else "") for line in lines)
        return _page(replace(page, lines=lines_told), problem=error), error.status
    if request.form.get("do") == "look":
        return _page(retention.page(tool(), now, wanted=wanted, look=True), looked=True)
    retention.save(tool(), wanted, actor=g.admin.actor, now=now)
    return redirect(url_for("admin_retention.home", done="saved"), 303)


def _page(page: retention.RetentionPage, *, saved: bool = False, looked: bool = False, problem: object = None) -> str:
    return render_template(
        "admin/retention.html",
        page=page,
        fixed=retention.FIXED,
        for_good=retention.FOR_GOOD,
        saved=saved,
        looked=looked,
        problem=problem,
    )
