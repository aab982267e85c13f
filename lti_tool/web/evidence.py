"""A learner's own evidence, row by row; what those who mark see of it; and the files, each a download and no page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Any, cast

from flask import Blueprint, Request, Response, current_app, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, Conflict, DiskFull, NotFound, ToolError
from lti_tool.security import guarded, public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import audit, evidence, evidence_files, evidence_pages
from lti_tool.services.evidence import Typed
from lti_tool.services.evidence_files import Given, Incoming
from lti_tool.services.launches import LEARN, LOOK
from lti_tool.web.course import Page

own = Blueprint("evidence", __name__, url_prefix="/me/<launch>/badges/<slug>/evidence")
pages = Blueprint("learners_evidence", __name__, url_prefix="/course/<launch>/badges/<slug>/evidence/<person_id>")
shown = Blueprint("shown_evidence", __name__, url_prefix="/evidence")

# A form is read to its end up to so many times the largest file, so that a file that is too large costs no words.
READ_ON = 4
A_FILE = "default-src 'none'; sandbox"
DONE = ("drafted", "handed", "replaced", "withdrawn", "discarded")


# -- files as they come in --------------------------------------------------------------------------------------


class EvidenceRequest(Request):
    """A request whose files go to the folder of evidence where it is evidence that is sent, and nowhere else."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.blueprint != own.name:
            return super()._get_file_stream(total_content_length, content_type, filename, content_length)
        settings = tool().settings
        incoming = Incoming(settings.evidence_folder, settings.evidence.largest_file)
        g.setdefault("incoming", []).append(incoming)
        return cast(IO[bytes], incoming)


@own.before_request
def _read_on() -> None:
    settings = tool().settings
    request.max_content_length = max(READ_ON * settings.evidence.largest_file, settings.server.max_upload)


@own.teardown_request
def _let_go(_error: BaseException | None) -> None:
    for incoming in g.get("incoming", ()):
        incoming.close()


@own.errorhandler(RequestEntityTooLarge)
def _far_too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    most = evidence_files.size_words(tool().settings.evidence.largest_file)
    error = BadInput(
        "far more than a file may have",
        reason="http_413",
        status=413,
        sentence=Sentence("This file is far larger than one file may be: %(most)s.", most=most),
        what_to_do=Sentence("Go back, choose a smaller one, or hand in a link to it instead."),
    )
    return current_app.handle_user_exception(error)


# -- a learner's own --------------------------------------------------------------------------------------------


def _course_id() -> int:
    if g.session.course_id is None:
        raise NotFound("not launched from a course")
    return int(g.session.course_id)


@own.get("/")
@guarded(LEARN)
def row(slug: str) -> Page:
    """Show what she has put beside one row, and the form for a piece: a new one, or the one that is named."""
    tag, named = request.args.get("row", ""), request.args.get("piece", "")
    if not tag:  # the form's own address: her badge has its rows
        return redirect(url_for("student.badge", launch=g.launch, slug=slug), 303)
    done = request.args.get("done", "")
    page = evidence_pages.own_row(tool(), g.session, slug, tag, named)
    return render_template("student/evidence.html", page=page, done=done if done in DONE else "")


@own.post("/")
@guarded(LEARN)
def add(slug: str) -> Page:
    """Keep a piece as a draft, or hand it in; where it cannot be taken, the form comes back and says why."""
    form = request.form
    tag, draft, replaces = form.get("tag", ""), form.get("draft", ""), form.get("replaces", "")
    submit = form.get("act", "submit") != "draft"
    try:
        evidence.save(
            tool(),
            _course_id(),
            slug,
            g.session.person_id,
            tag,
            _typed(),
            submit=submit,
            now=datetime.now(UTC),
            draft_id=draft,
            replaces=replaces,
        )
    except (BadInput, Conflict, DiskFull) as error:
        return _again(slug, tag, draft or replaces, error)
    return _to(slug, tag, "replaced" if submit and replaces else "handed" if submit else "drafted")


def _typed() -> Typed:
    """Return what a form sends. One without a kind has words alone, which may be an address."""
    form, file = request.form, request.files.get("file")
    words = form.get("content", "")
    if (kind := form.get("kind", "")) == "":
        alone = words.strip()
        return Typed("link", "", alone) if evidence.is_link(alone) else Typed("text", words)
    if file is None or not isinstance(file.stream, Incoming):
        return Typed(kind, words, form.get("link", ""))
    return Typed(kind, words, form.get("link", ""), file.stream, file.filename or "")


def _again(slug: str, tag: str, named: str, error: ToolError) -> tuple[str, int]:
    try:
        page = evidence_pages.own_row(tool(), g.session, slug, tag, named)
    except NotFound:  # what was gone on with is not hers to go on with: the row alone says so
        page = evidence_pages.own_row(tool(), g.session, slug, tag)
    return render_template("student/evidence.html", page=page, done="", typed=request.form, problem=error), error.status


@own.post("/<evidence_id>/hand-in")
@guarded(LEARN)
def hand_in(slug: str, evidence_id: str) -> BaseResponse:
    evidence.hand_in(tool(), _course_id(), slug, g.session.person_id, evidence_id, datetime.now(UTC))
    return _to(slug, request.form.get("tag", ""), "handed")


@own.post("/<evidence_id>/discard")
@guarded(LEARN)
def discard(slug: str, evidence_id: str) -> BaseResponse:
    evidence.discard(tool(), _course_id(), slug, g.session.person_id, evidence_id, datetime.now(UTC))
    return _to(slug, request.form.get("tag", ""), "discarded")


@own.post("/<evidence_id>/withdraw")
@guarded(LEARN)
def withdraw(slug: str, evidence_id: str) -> Page:
    person_id, tag = g.session.person_id, request.form.get("tag", "")
    actor = audit.person(person_id)
    try:
        evidence.withdraw(tool(), _course_id(), slug, person_id, evidence_id, actor=actor, now=datetime.now(UTC))
    except Conflict as error:
        if not tag:
            raise
        return _again(slug, tag, "", error)
    return _to(slug, tag, "withdrawn")


def _to(slug: str, tag: str, done: str) -> BaseResponse:
    if not tag:
        return redirect(url_for("student.badge", launch=g.launch, slug=slug), 303)
    return redirect(url_for("evidence.row", launch=g.launch, slug=slug, row=tag, done=done), 303)


@own.get("/<evidence_id>/file")
@guarded(LEARN)
def file(slug: str, evidence_id: str) -> Response:
    return download(_mine(slug, evidence_id))


@own.get("/<evidence_id>/picture.png")
@guarded(LEARN)
def picture(slug: str, evidence_id: str) -> Response:
    return _small(_mine(slug, evidence_id))


def _mine(slug: str, evidence_id: str) -> Given:
    return evidence_files.of_person(tool(), _course_id(), slug, g.session.person_id, evidence_id, draft=True)


# -- for those who mark -----------------------------------------------------------------------------------------


@pages.get("/")
@guarded(LOOK)
def learner(slug: str, person_id: str) -> str:
    page = evidence_pages.of_learner(tool(), g.session, slug, person_id)
    return render_template("instructor/evidence.html", page=page)


@pages.get("/<evidence_id>/file")
@guarded(LOOK)
def learners_file(slug: str, person_id: str, evidence_id: str) -> Response:
    return download(_hers(slug, person_id, evidence_id))


@pages.get("/<evidence_id>/picture.png")
@guarded(LOOK)
def learners_picture(slug: str, person_id: str, evidence_id: str) -> Response:
    return _small(_hers(slug, person_id, evidence_id))


def _hers(slug: str, person_id: str, evidence_id: str) -> Given:
    return evidence_files.of_person(tool(), _course_id(), slug, person_id, evidence_id, draft=False)


# -- for everybody, where she shows it ---------------------------------------------------------------------------


@shown.get("/<public_id>")
@public
def public_file(public_id: str) -> Response:
    """Answer a file that a public credential shows, for as long as it does."""
    g.no_store = True
    response = download(evidence_files.of_everybody(tool(), public_id))
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response


def download(given: Given) -> Response:
    """Answer a file as a download. Nothing in it is ever a page of ours, whatever it holds and whoever asks."""
    response = send_file(
        given.path,
        mimetype=given.media,
        as_attachment=True,
        download_name=given.name,
        etag=given.digest,
        conditional=True,
    )
    _do_no_harm(response)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _small(given: Given) -> Response:
    response = Response(evidence_files.small_picture(given), content_type="image/png")
    _do_no_harm(response)
    response.headers["Cache-Control"] = "private, max-age=600"
    return response


def _do_no_harm(response: Any) -> None:
    response.headers["Content-Security-Policy"] = A_FILE
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
