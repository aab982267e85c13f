"""Who issues the badges: name, address, logo, colour."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.security import administrator, tool
from lti_tool.services import issuer

pages = Blueprint("admin_issuer", __name__, url_prefix="/admin/issuer")


@pages.route("", methods=["GET", "POST"])
@administrator
def home() -> str | BaseResponse | tuple[str, int]:
    """Show the issuer; save what was typed, or say beside each field what is wrong with it and keep it there."""
    if request.method == "GET":
        notice = _("Saved. Credentials that are signed from now on say this.") if request.args.get("done") else ""
        return _page(asdict(issuer.fields_of(tool())), notice=notice)
    told = {name: request.form.get(name, "").strip() for name in issuer.LONGEST}
    sent = request.files.get("logo")
    logo = sent.stream.read() if sent is not None and sent.filename else None
    problems = issuer.save_issuer(
        tool(),
        issuer.IssuerFields(**told),
        logo_file=logo,
        remove_logo="remove_logo" in request.form,
        actor=g.admin.actor,
        now=datetime.now(UTC),
    )
    if problems:
        return _page(told, problems=problems, again=logo is not None and "logo" not in problems), 400
    return redirect(url_for("admin_issuer.home", done="saved"), 303)


def _page(told: dict[str, str], **values: Any) -> str:
    return render_template(
        "admin/issuer.html", told=told, longest=issuer.LONGEST, shades=issuer.accent_on_paper, **values
    )
