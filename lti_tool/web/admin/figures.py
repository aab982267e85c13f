"""How badges are earned, claimed and shown in the whole installation, or in a part of it."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, render_template, request

from lti_tool.security import administrator, tool
from lti_tool.services import figure_pages

pages = Blueprint("admin_figures", __name__, url_prefix="/admin/figures")

ASKED = ("platform", "course", "badge", "term", "period", "by")


def _told() -> dict[str, str]:
    return {name: request.args[name] for name in ASKED if request.args.get(name)}


@pages.get("")
@administrator
def home() -> str:
    told = _told()
    return render_template(
        "admin/figures.html", page=figure_pages.figures(tool(), figure_pages.asked_of(told)), told=told
    )


@pages.get("/figures.csv")
@administrator
def download() -> Response:
    """Answer the table of the page, with what it does not tell left out as there."""
    page = figure_pages.figures(tool(), figure_pages.asked_of(_told()))
    return csv(figure_pages.as_csv(page), "figures")


def csv(text: str, name: str) -> Response:
    """Answer a table as a file for a spreadsheet."""
    response = Response(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{datetime.now(UTC):%Y%m%d}.csv"'
    return response
