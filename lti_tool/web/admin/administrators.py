"""Who looks after this installation: the list, invitations, LMS accounts, removal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.security import administrator, tool
from lti_tool.sentence import Sentence
from lti_tool.services import administrators as people
from lti_tool.services import audit_log, bindings

pages = Blueprint("admin_administrators", __name__, url_prefix="/admin/administrators")

Page = str | BaseResponse | tuple[str, int]
DONE = {
    "withdrawn": Sentence("The sign-in address is withdrawn."),
    "removed": Sentence("The administrator is removed. Whatever she had open has ended."),
    "bound": Sentence("Your LMS account is bound: it signs you in from now on."),
    "unbound": Sentence("The LMS account signs nobody in any more."),
}


def _now() -> datetime:
    return datetime.now(UTC)


def _to_list(done: str) -> BaseResponse:
    return redirect(url_for("admin_administrators.home", done=done), 303)


def _list(status: int = 200, **values: Any) -> tuple[str, int]:
    page = people.page(tool(), _now())
    makers = audit_log.actor_words(tool(), [each.made_by for each in page.open_addresses])
    values.setdefault("notice", DONE.get(request.args.get("done", ""), ""))
    return render_template("admin/administrators.html", page=page, makers=makers, **values), status


@pages.get("")
@administrator
def home() -> Page:
    return _list()


@pages.post("/invite")
@administrator
def invite() -> Page:
    """Make a sign-in address and show it, this once: for somebody new, or for an administrator named by id."""
    email, known = request.form.get("email", ""), request.form.get("administrator", "") or None
    try:
        address = people.invite(tool(), email=email, administrator_id=known, actor=g.admin.actor, now=_now())
    except BadInput as error:
        return _list(400, problem=error.sentence, email=email)
    return _list(address=address, lasts=people.ADDRESS_LASTS)


@pages.post("/addresses/<id>/withdraw")
@administrator
def withdraw(id: str) -> Page:
    people.withdraw(tool(), id, actor=g.admin.actor, now=_now())
    return _to_list("withdrawn")


@pages.route("/<id>/remove", methods=["GET", "POST"])
@administrator
def remove(id: str) -> Page:
    """Say what removing somebody does, then do it."""
    page = people.page(tool(), _now())
    who = next((row for row in page.rows if row.id == id), None)
    if who is None:
        raise NotFound(
            "no such administrator", sentence=Sentence("This administrator is not there any more."), what_to_do=""
        )
    if request.method == "POST":
        try:
            people.remove(tool(), id, actor=g.admin.actor, now=_now())
        except Conflict as error:
            return render_template("admin/remove.html", who=who, last=True, problem=error), error.status
        return _to_list("removed") if id != g.admin.id else redirect(url_for("admin_administrators.home"), 303)
    return render_template("admin/remove.html", who=who, last=len(page.rows) == 1)


# -- her own LMS account ----------------------------------------------------------------------------------------


@pages.post("/code")
@administrator
def code() -> Page:
    """Show a code, this once: typed into the tool's page in an LMS it asks for that account to be bound."""
    return _list(code=bindings.new_code(tool(), g.admin, _now()))


@pages.post("/accounts/<person_id>/confirm")
@administrator
def confirm(person_id: str) -> Page:
    bindings.confirm(tool(), g.admin, person_id, _now())
    return _to_list("bound")


@pages.post("/accounts/<person_id>/undo")
@administrator
def undo(person_id: str) -> Page:
    bindings.undo(tool(), g.admin, person_id, _now())
    return _to_list("unbound")
