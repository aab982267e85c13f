"""What people ask about their own data: decided here, and by letter too."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, ToolError
from lti_tool.security import administrator, tool
from lti_tool.sentence import Sentence
from lti_tool.services import audit_log, people, rights
from lti_tool.services.words import said

pages = Blueprint("admin_requests", __name__, url_prefix="/admin/requests")

WORD = Sentence("erase")  # typed before an erasure, in the language of the page
DONE = {
    "erased": Sentence("It is confirmed. A job erases the rest within minutes."),
    "named": Sentence("The name is changed, and credentials that showed the old one are issued again."),
    "refused": Sentence("It is refused. Whoever asked reads your reason."),
}
Page = str | BaseResponse | tuple[str, int]


def _now() -> datetime:
    return datetime.now(UTC)


@pages.get("")
@administrator
def home() -> str:
    return _home()


def _home(problem: ToolError | None = None) -> str:
    waits, decided = rights.listing(tool())
    return render_template(
        "admin/requests.html",
        waits=waits,
        decided=decided,
        platforms=people.platforms(tool()),
        done=DONE.get(request.args.get("done", ""), ""),
        problem=problem,
        typed=request.args,
    )


@pages.get(".csv")
@administrator
def as_csv() -> Response:
    """Give the list as CSV, without anybody's name: how many asked for what, and how long it took."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(("request", "kind", "state", "asked_by", "asked_at", "decided_at", "finished_at"))
    for row in (each for some in rights.listing(tool()) for each in some):
        moments = (row.asked_at, row.decided_at, row.finished_at)
        told = [each.isoformat(timespec="seconds") if each else "" for each in moments]
        lines.writerow((row.id, row.kind, row.state, row.by, *told))
    response = Response(out.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="requests.csv"'
    return response


@pages.get("/<id>")
@administrator
def one(id: str) -> Page:
    return _one(id)


def _one(id: str, problem: ToolError | None = None) -> Page:
    page = rights.page(tool(), id)
    by = audit_log.actor_words(tool(), [page.decided_by]).get(page.decided_by, "") if page.decided_by else ""
    html = render_template("admin/request.html", page=page, by=by, word=said(WORD), problem=problem, typed=request.form)
    return (html, problem.status) if problem is not None else html


@pages.post("/<id>")
@administrator
def decide(id: str) -> Page:
    """Grant a request or refuse it; an erasure only with the word typed."""
    page = rights.page(tool(), id)
    try:
        if request.form.get("do") == "refuse":
            rights.refuse(tool(), id, request.form.get("reason", ""), actor=g.admin.actor, now=_now())
            return redirect(url_for("admin_requests.home", done="refused"), 303)
        if page.request.kind == "erasure":
            _check_word()
        _wake(rights.grant(tool(), id, actor=g.admin.actor, now=_now()))
    except ToolError as error:
        return _one(id, error)
    done = "erased" if page.request.kind == "erasure" else "named"
    return redirect(url_for("admin_requests.home", done=done), 303)


def _check_word() -> None:
    if request.form.get("word", "").strip().casefold() != said(WORD).casefold():
        raise BadInput(
            sentence=Sentence("Nothing was erased: the word does not match."),
            what_to_do=Sentence("Type it exactly as it stands."),
        )


def _wake(jobs: list[int]) -> None:
    for job_id in jobs:
        tool().wake(job_id)


# -- without a request ------------------------------------------------------------------------------------------


@pages.get("/person")
@administrator
def find() -> Page:
    """Find a person by platform and user id, who has asked outside the tool."""
    told = request.args.get("platform", "")
    platform = int(told) if told.isdecimal() and len(told) < 10 else 0
    try:
        person_id = people.find_person(tool(), platform, request.args.get("user", ""))
    except ToolError as error:
        return _home(error), error.status
    return redirect(url_for("admin_requests.person", id=person_id), 303)


@pages.get("/person/<id>")
@administrator
def person(id: str) -> Page:
    return _person(id)


def _person(id: str, problem: ToolError | None = None) -> Page:
    html = render_template(
        "admin/erase.html", person=rights.person(tool(), id), word=said(WORD), problem=problem, typed=request.form
    )
    return (html, problem.status) if problem is not None else html


@pages.post("/person/<id>")
@administrator
def erase(id: str) -> Page:
    """Erase somebody without a request of hers in the tool."""
    rights.person(tool(), id)
    try:
        _check_word()
        _wake(rights.erase(tool(), id, actor=g.admin.actor, now=_now()))
    except ToolError as error:
        return _person(id, error)
    return redirect(url_for("admin_requests.home", done="erased"), 303)
