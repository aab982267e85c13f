"""The keys, and their rotation."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import NotFound
from lti_tool.security import administrator, tool
from lti_tool.sentence import Sentence
from lti_tool.services import keys

pages = Blueprint("admin_keys", __name__, url_prefix="/admin/keys")

DONE = {
    "lti": Sentence("A new key signs for the LMSs from now on."),
    "credentials": Sentence("New keys sign credentials from now on. Those signed before keep verifying."),
}


@pages.get("")
@administrator
def home() -> str:
    rows = keys.listing(tool().keyring, datetime.now(UTC))
    return render_template("admin/keys.html", rows=rows, notice=DONE.get(request.args.get("done", ""), ""))


@pages.route("/rotate/<name>", methods=["GET", "POST"])
@administrator
def rotate(name: str) -> str | BaseResponse:
    """Say what a rotation does, then do it. The form names the keys it replaces, so a second click does nothing."""
    if name not in keys.SETS:
        raise NotFound(f"no keys {name}")
    if request.method == "POST":
        instead_of = request.form.get("instead_of", "")
        keys.rotate(tool(), name, actor=g.admin.actor, now=datetime.now(UTC), instead_of=instead_of)
        return redirect(url_for("admin_keys.home", done=name), 303)
    return render_template("admin/rotate.html", name=name, instead_of=keys.signing(tool().keyring, name))
