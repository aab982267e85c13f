"""The awards of a badge: looked at, confirmed, held, given, taken back, issued again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, Conflict, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import award_acts, award_files, award_pages, by_hand, catalog, editions, expiry, reissues
from lti_tool.services.award_acts import Outcome
from lti_tool.services.launches import LOOK, MANAGE
from lti_tool.services.pages.instructor import AwardsPage
from lti_tool.web.course import Page, acting, moment

pages = Blueprint("awards", __name__, url_prefix="/course/<launch>/badges/<slug>")

A_PAGE = 100  # awards that nothing waits for, on one page
MOST_NAMED = 10  # names in a notice


def _badge_id(slug: str) -> str:
    return catalog.badge_id(tool(), g.session.course_id, slug)


def _back(slug: str, done: str, outcome: Outcome | None = None, **more: Any) -> BaseResponse:
    """Return to the list, which says what was done, and what somebody else had done before."""
    if outcome is not None:
        more |= {"n": len(outcome.done), "late": ",".join(outcome.late[:MOST_NAMED]), "late_n": len(outcome.late)}
    told = {name: value for name, value in more.items() if value not in ("", 0)}
    return redirect(url_for("awards.show", launch=g.launch, slug=slug, done=done, **told), 303)


def _sign() -> None:
    editions.sign_pending(tool(), g.session.course_id)


# -- looking ----------------------------------------------------------------------------------------------------


@pages.get("/awards")
@guarded(LOOK)
def show(slug: str) -> Page:
    return _list(slug)


def _list(slug: str, problem: ToolError | None = None, release_at: str = "") -> Page:
    """Show the list; `problem` is why an act was not done, `release_at` the moment that was typed for it."""
    page = award_pages.award_list(tool(), g.session, slug, moment())
    wanted = request.args.get("q", "").strip()[:200]
    which = request.args.get("show", "")
    rest = [row for row in page.shown(which) if wanted.casefold() in row.name.casefold()]
    last = max(1, -(-len(rest) // A_PAGE))
    number = min(max(request.args.get("page", 1, int), 1), last)
    html = render_template(
        "instructor/awards.html",
        page=page,
        slug=slug,
        badge=page.badge,
        waiting=page.waiting,
        rest=rest[(number - 1) * A_PAGE : number * A_PAGE],
        found=len(rest),
        number=number,
        last=last,
        q=wanted,
        which=which if which in ("soon", "expired") else "",
        notice="" if problem else _notice(page),
        late=_late(page),
        problem=problem,
        release_at=release_at[:40],
    )
    return (html, problem.status) if problem is not None else html


def _number(name: str) -> int:
    return request.args.get(name, 0, int)


def _notice(page: AwardsPage) -> str:
    n = _number("n")
    done = request.args.get("done", "")
    if done == "confirmed" and n:
        return str(ngettext("%(num)s award is confirmed.", "%(num)s awards are confirmed.", n))
    if done == "revoked" and n:
        return str(ngettext("%(num)s award is withdrawn.", "%(num)s awards are withdrawn.", n))
    if done == "renewed" and n:
        return str(ngettext("%(num)s award is valid anew.", "%(num)s awards are valid anew.", n))
    if done == "released":
        return str(
            ngettext(
                "Learners see their levels now; %(num)s award is issued.",
                "Learners see their levels now; %(num)s awards are issued.",
                n,
            )
        )
    one = next((row.name for row in page.all if row.id == request.args.get("award")), _("The learner"))
    sentences = {
        "none": _("Nothing was ticked, so nothing was done."),
        "held": _("The award of %(name)s is held.", name=one),
        "let_go": _("The award of %(name)s is issued.", name=one),
        "kept": _("%(name)s keeps the badge.", name=one),
        "given": _("%(name)s has the badge now.", name=one),
        "given_held": _("%(name)s has the badge once it is released.", name=one),
        "reissued": _("The credential of %(name)s is replaced by a new one.", name=one),
        "release_set": _("The moment of the release is set."),
        "release_unset": _("It waits for your word again."),
    }
    return str(sentences.get(done, ""))


def _late(page: AwardsPage) -> str:
    """Name the awards that somebody else had decided before."""
    ids = request.args.get("late", "").split(",")
    names = [f"{row.name} ({row.word})" for row in page.all if row.id in ids]
    if not names:
        return ""
    more = _number("late_n") - len(names)
    if more > 0:
        names.append(_("%(num)s more", num=more))
    return str(_("Decided by somebody else before, and left as they are: %(names)s.", names=", ".join(names)))


# -- confirming -------------------------------------------------------------------------------------------------


@pages.post("/awards/confirm")
@guarded(MANAGE)
def confirm(slug: str) -> Page:
    """Confirm one award, those that are ticked, or all that the page has shown."""
    ids = _named()
    if not ids:
        return _back(slug, "none")
    outcome = award_acts.confirm_many(tool(), _badge_id(slug), ids, actor=acting(), now=moment())
    _sign()
    return _back(slug, "confirmed", outcome)


def _named() -> list[str]:
    if only := request.form.get("only"):
        return [only]
    return list(dict.fromkeys(request.form.getlist("shown" if "all" in request.form else "award")))


# -- holding and letting go -------------------------------------------------------------------------------------


@pages.route("/awards/<award_id>/hold", methods=["GET", "POST"])
@guarded(MANAGE)
def hold(slug: str, award_id: str) -> Page:
    """Hold one award back, with a reason: until a moment, or until somebody lets it go."""
    award = award_pages.one(tool(), g.session, slug, award_id, moment())
    problem: ToolError | None = None
    if request.method == "POST":
        try:
            until = _moment(request.form.get("until", "")) if request.form.get("when") == "at" else None
            reason = request.form.get("reason", "")
            award_acts.hold(tool(), _badge_id(slug), award_id, reason, until, actor=acting(), now=moment())
            return _back(slug, "held", award=award_id)
        except ToolError as error:
            problem = error
    html = render_template(
        "instructor/hold.html", page=award, slug=slug, badge=_definition(slug), problem=problem, typed=request.form
    )
    return (html, problem.status) if problem else html


def _definition(slug: str) -> Any:
    with tool().db.read() as session:
        return catalog.definition_of(catalog.get_badge(session, g.session.course_id, slug))


def _moment(text: str) -> datetime:
    """Read a moment as the form sends it, with its zone; raises BadInput."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise BadInput(
            sentence=_("Choose a day and a time."), what_to_do=_("Written with its zone, as 2027-01-31T12:00:00Z.")
        )
    return when.astimezone(UTC)


@pages.post("/awards/<award_id>/confirm")
@guarded(MANAGE)
def confirm_one(slug: str, award_id: str) -> Page:
    """Confirm one award that waits for it, or issue one that is held, whatever holds it."""
    award_pages.one(tool(), g.session, slug, award_id, moment())
    try:
        status = award_acts.confirm(tool(), award_id, actor=acting(), now=moment())
    except ToolError as error:
        return _list(slug, error)
    _sign()
    return _back(slug, "let_go" if status != "held" else "given_held", award=award_id)


@pages.post("/release")
@guarded(MANAGE)
def release(slug: str) -> Page:
    """Let learners see what the badge's release policy holds back: now, at a moment, or not at a moment after all."""
    when = request.form.get("when", "now")
    try:
        if when == "hand":
            award_acts.release_by_hand(tool(), _badge_id(slug), actor=acting(), now=moment())
            return _back(slug, "release_unset")
        at = _moment(request.form.get("at", "")) if when == "at" else None
        issued = award_acts.release(tool(), _badge_id(slug), actor=acting(), now=moment(), at=at)
    except ToolError as error:
        return _list(slug, error, request.form.get("at", ""))
    _sign()
    return _back(slug, "release_set" if at else "released", n=issued)


# -- taking back ------------------------------------------------------------------------------------------------


@pages.post("/awards/<award_id>/review")
@guarded(MANAGE)
def keep(slug: str, award_id: str) -> Page:
    """Close an award's review: it stands."""
    award_pages.one(tool(), g.session, slug, award_id, moment())
    try:
        award_acts.keep(tool(), award_id, actor=acting(), now=moment())
    except ToolError as error:
        return _list(slug, error)
    return _back(slug, "kept", award=award_id)


@pages.post("/awards/revoke")
@guarded(MANAGE)
def revoke(slug: str) -> Page:
    """Name the awards that would go and ask for the reason; with it, take them back."""
    ids = _named()
    if not ids:
        return _back(slug, "none")
    reason = request.form.get("reason")
    problem: ToolError | None = None
    if reason is not None:
        try:
            outcome = award_acts.revoke_many(tool(), _badge_id(slug), ids, reason, actor=acting(), now=moment())
            return _back(slug, "revoked", outcome)
        except BadInput as error:
            problem = error
    return _revoke_page(slug, ids, reason or "", problem)


@pages.route("/awards/<award_id>/revoke", methods=["GET", "POST"])
@guarded(MANAGE)
def revoke_one(slug: str, award_id: str) -> Page:
    """The same for one award, at an address of its own."""
    award_pages.one(tool(), g.session, slug, award_id, moment())
    problem: ToolError | None = None
    reason = request.form.get("reason", "")
    if request.method == "POST":
        try:
            award_acts.revoke(tool(), award_id, reason, actor=acting(), now=moment())
            return _back(slug, "revoked", n=1)
        except ToolError as error:
            problem = error
    return _revoke_page(slug, [award_id], reason, problem)


def _revoke_page(slug: str, ids: list[str], reason: str, problem: ToolError | None) -> Page:
    html = render_template(
        "instructor/revoke.html",
        page=award_pages.some(tool(), g.session, slug, ids, moment()),
        slug=slug,
        badge=_definition(slug),
        reason=reason,
        problem=problem,
    )
    return (html, max(problem.status, 409)) if problem else html


# -- making valid anew ------------------------------------------------------------------------------------------


@pages.post("/awards/renew")
@guarded(MANAGE)
def renew(slug: str) -> Page:
    """Say until when these awards would be valid, and which cannot be; confirmed, renew them."""
    ids = _named()
    if not ids:
        return _back(slug, "none")
    problem: ToolError | None = None
    if request.form.get("confirmed"):
        try:
            done = expiry.renew(tool(), _badge_id(slug), ids, actor=acting(), now=moment())
            _sign()
            return _back(slug, "renewed", n=len(done))
        except Conflict as error:
            problem = error
    html = render_template(
        "instructor/renew.html",
        page=expiry.plans(tool(), _badge_id(slug), ids, moment()),
        slug=slug,
        badge=_definition(slug),
        problem=problem,
    )
    return (html, problem.status) if problem else html


# -- giving by hand and from a file -----------------------------------------------------------------------------


@pages.route("/awards/give", methods=["GET", "POST"])
@guarded(MANAGE)
def give(slug: str) -> Page:
    """Choose a learner; then her levels, and the evidence."""
    person = request.values.get("person", "")[:100]
    problem: ToolError | None = None
    if request.method == "POST":
        chosen = request.form.get("levels") == "chosen"
        levels = {name.removeprefix("level:"): value for name, value in request.form.items() if name[:6] == "level:"}
        try:
            award_id = by_hand.give(
                tool(),
                g.session.course_id,
                slug,
                person,
                request.form.get("note", ""),
                levels=levels if chosen else None,
                actor=acting(),
                now=moment(),
            )
            _sign()
            held = award_pages.one(tool(), g.session, slug, award_id, moment()).status == "held"
            return _back(slug, "given_held" if held else "given", award=award_id)
        except ToolError as error:
            problem = error
    page = award_pages.giving(tool(), g.session, slug, person, moment())
    html = render_template(
        "instructor/give.html", page=page, slug=slug, badge=page.badge, problem=problem, typed=request.form
    )
    return (html, problem.status) if problem else html


@pages.route("/awards/file", methods=["GET", "POST"])
@guarded(MANAGE)
def file(slug: str) -> Page:
    """Take a file and show what it would do. Nothing is given yet."""
    problem: ToolError | None = None
    if request.method == "POST":
        sent = request.files.get("file")
        try:
            if sent is None or not sent.filename:
                raise BadInput(sentence=_("Choose a file first."))
            content = sent.stream.read(award_files.LARGEST + 1)
            note = request.form.get("note", "")
            file_id = award_files.put(tool(), g.session, slug, content, name=sent.filename, note=note, now=moment())
            return redirect(url_for("awards.file_page", launch=g.launch, slug=slug, file_id=file_id), 303)
        except ToolError as error:
            problem = error
    page = award_pages.giving(tool(), g.session, slug, "", moment())
    html = render_template(
        "instructor/award_file.html", page=page, slug=slug, badge=page.badge, problem=problem, typed=request.form
    )
    return (html, problem.status) if problem else html


@pages.route("/awards/file/<file_id>", methods=["GET", "POST"])
@guarded(MANAGE)
def file_page(slug: str, file_id: str) -> Page:
    """Show what a file would do, and do exactly that once it is confirmed."""
    problem: ToolError | None = None
    if request.method == "POST":
        try:
            award_files.confirm(tool(), g.session, slug, file_id, actor=acting(), now=moment())
            _sign()
            return redirect(url_for("awards.file_page", launch=g.launch, slug=slug, file_id=file_id), 303)
        except ToolError as error:
            problem = error
    page = award_files.page(tool(), g.session, slug, file_id)
    html = render_template(
        "instructor/award_file_lines.html", page=page, slug=slug, badge=_definition(slug), problem=problem
    )
    return (html, problem.status) if problem else html


# -- issuing again ----------------------------------------------------------------------------------------------


@pages.route("/awards/<award_id>/reissue", methods=["GET", "POST"])
@guarded(MANAGE)
def reissue(slug: str, award_id: str) -> Page:
    """Show what counts now beside what the credential says, and replace it."""
    problem: ToolError | None = None
    if request.method == "POST":
        try:
            reason, seal = request.form.get("reason", ""), request.form.get("seal", "")
            reissues.reissue(tool(), g.session, slug, award_id, reason, seal, actor=acting(), now=moment())
            _sign()
            return _back(slug, "reissued", award=award_id)
        except ToolError as error:
            problem = error
    page = reissues.page(tool(), g.session, slug, award_id)
    html = render_template(
        "instructor/reissue.html", page=page, slug=slug, badge=page.badge, problem=problem, typed=request.form
    )
    return (html, problem.status) if problem else html
