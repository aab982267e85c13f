"""The instructor's pages."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from flask import Blueprint, Response, g, jsonify, render_template, request
from flask_babel import gettext as _

from lti_tool.errors import BadInput, DefinitionInvalid, NotFound
from lti_tool.security import guarded, tool
from lti_tool.sentence import Sentence
from lti_tool.services import bindings, catalog, copies, drafts, matrix, preview, versions, work
from lti_tool.services import instructor_pages as shown
from lti_tool.services.definition import LARGEST, read_definition
from lti_tool.services.launches import LOOK, MANAGE
from lti_tool.services.pages.instructor import MatrixView
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("instructor", __name__, url_prefix="/course/<launch>")

SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


# -- course home ------------------------------------------------------------------------------------------------


@pages.get("/")
@guarded(LOOK)
def home() -> Page:
    return render_template("instructor/home.html", page=shown.course_home(tool(), g.session), **_notice(), **_way_in())


def _way_in() -> dict[str, str]:
    return {"way_in": bindings.way_in(tool(), g.session.person_id, moment())}


def _notice() -> dict[str, str]:
    notice = request.args.get("done", "")
    sentences = {
        "put": _("It is a draft now. Look at what publishing will do, then publish it."),
        "removed": _("The draft is gone."),
        "copied": _("They are drafts here now. Publish each: columns that came along are used, none is made twice."),
        "declined": _("Nothing was taken over."),
    }
    return {"notice": sentences[notice]} if notice in sentences else not_named()


def not_named() -> dict[str, str]:
    """Say on a home page that the link which led here names a badge that is not to be seen in this course."""
    if "unknown" not in request.args:
        return {}
    sentence = _("The link you opened names a badge that is not open in this course. These are the badges there are.")
    return {"notice": sentence, "notice_sign": "info"}


@pages.post("/library/<slug>")
@guarded(MANAGE)
def use_library(slug: str) -> Page:
    drafts.use_library(tool(), g.session.course_id, slug, actor=acting(), now=moment())
    return lead_to("instructor.plan", slug=slug)


@pages.post("/import")
@guarded(MANAGE)
def import_file() -> Page:
    """Take a definition file; what is wrong with it is told line by line, on the page it came from."""
    sent = request.files.get("file")
    name = (sent.filename if sent else "") or _("the file")
    try:
        if sent is None or not sent.filename:
            raise BadInput(sentence=Sentence("Choose a file first."))
        content = sent.stream.read(LARGEST + 1)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DefinitionInvalid(
                name, [(0, Sentence("is not UTF-8 text, so it is not a badge definition"))]
            ) from None
        badge = read_definition(text, name)
        if request.form.get("replace") != badge.slug and drafts.is_written(tool(), g.session.course_id, badge.slug):
            page = shown.course_home(tool(), g.session)
            return render_template("instructor/home.html", page=page, import_over=badge), 409
        catalog.put_badge(tool(), g.session.course_id, badge, picture_png=None, actor=acting(), now=moment())
    except (DefinitionInvalid, BadInput) as error:
        lines: Sequence[str] = error.lines() if isinstance(error, DefinitionInvalid) else [error.sentence]
        page = shown.course_home(tool(), g.session)
        return render_template("instructor/home.html", page=page, import_problem=tuple(lines)), error.status
    return lead_to("instructor.plan", slug=badge.slug)


@pages.post("/copies/<int:source>")
@guarded(MANAGE)
def take_copy(source: int) -> Page:
    """Take badges over from the course this one was copied from, or say that none are needed."""
    if "decline" in request.form:
        copies.decline(tool(), g.session, source, actor=acting(), now=moment())
        return lead_to("instructor.home", done="declined")
    slugs = request.form.getlist("badge")
    tool().wake(copies.take(tool(), g.session, source, slugs, actor=acting(), now=moment()))
    return lead_to("instructor.home", done="copied")


@pages.get("/library/<slug>/picture.svg")
@guarded(LOOK)
def library_picture(slug: str) -> Page:
    badge = catalog.library().get(slug)
    if badge is None:
        raise NotFound(f"no {slug} in the library")
    return svg(catalog.drawing(badge))


def svg(text: str) -> Response:
    """Answer a drawn picture; it is not a page, and nothing in it runs."""
    response = Response(text, mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = SVG_POLICY
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


# -- one badge --------------------------------------------------------------------------------------------------


@pages.get("/badges/<slug>")
@guarded(LOOK)
def badge(slug: str) -> Page:
    if drafts.unfinished(tool(), g.session.course_id, slug):
        return lead_to("instructor.plan", slug=slug)
    page = matrix.matrix(tool(), g.session, slug, _view())
    if page.version == 0:
        return lead_to("instructor.plan", slug=slug)
    waiting = page.counts["ready"] + page.counts["review"]
    return render_template("instructor/badge.html", page=page, waiting=waiting)


def _view() -> MatrixView:
    """Read which learners are asked for. The page's script sends what is searched in a header: a learner's name does
    not belong in an address."""
    asked = request.args
    sent = request.headers.get("X-Find")
    show, sort = asked.get("show", ""), asked.get("sort", "")
    return MatrixView(
        show=show if show in matrix.GROUPS else "all",
        q=(unquote(sent) if sent is not None else asked.get("q", ""))[:200].strip(),
        sort=sort if sort in matrix.SORTS else "name",
        section=asked.get("section", "")[:100],
        page=asked.get("page", 1, int),
    )


@pages.get("/badges/<slug>/plan")
@guarded(LOOK)
def plan(slug: str) -> Page:
    if unfinished := drafts.unfinished(tool(), g.session.course_id, slug):
        return lead_to("editor.preview", badge=unfinished) if MANAGE in g.session.rights else lead_to("instructor.home")
    page = preview.plan(tool(), g.session, slug, moment(), counts_for=request.args.get("for", versions.EVERYBODY))
    return render_template("instructor/plan.html", page=page, may_manage=MANAGE in g.session.rights)


@pages.post("/badges/<slug>/publish")
@guarded(MANAGE)
def publish(slug: str) -> Page:
    job_id = catalog.start_publishing(
        tool(),
        g.session.course_id,
        slug,
        actor=acting(),
        now=moment(),
        counts_for=request.form.get("for", versions.EVERYBODY),
        seen=request.form.get("seen") or None,
    )
    tool().wake(job_id)
    return lead_to("instructor.plan", slug=slug)


@pages.post("/badges/<slug>/remove")
@guarded(MANAGE)
def remove_draft(slug: str) -> Page:
    catalog.remove_draft(tool(), g.session.course_id, slug, actor=acting(), now=moment())
    return lead_to("instructor.home", done="removed")


@pages.get("/badges/<slug>/badge.toml")
@guarded(LOOK)
def export(slug: str) -> Page:
    files = catalog.export_badges(tool(), g.session.course_id)
    if slug not in files:
        raise NotFound(f"no badge {slug}")
    response = Response(files[slug], mimetype="application/toml")
    response.headers["Content-Disposition"] = f'attachment; filename="{slug}.toml"'
    return response


@pages.get("/badges/<slug>/picture.svg")
@guarded(LOOK)
def picture(slug: str) -> Page:
    return badge_picture(g.session.course_id, slug)


def badge_picture(course_id: int, slug: str) -> Response:
    """Answer the picture of a course's badge: drawn as SVG, or the file that came with it as PNG."""
    drawn, png = catalog.picture_of(tool(), course_id, slug)
    if drawn is not None:
        return svg(drawn)
    response = Response(png, mimetype="image/png")
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


@pages.get("/badges/<slug>/record/<person_id>/<tag>")
@guarded(LOOK)
def record(slug: str, person_id: str, tag: str) -> Page:
    """Show the decision record behind a cell: alone for the page's script, as a page of its own without it."""
    found = shown.record(tool(), g.session, slug, person_id, tag)
    template = "record_aside" if request.headers.get("X-Fragment") == "record" else "record"
    with tool().db.read() as session:
        definition = catalog.definition_of(catalog.get_badge(session, g.session.course_id, slug))
    return render_template(f"instructor/{template}.html", page=found, slug=slug, badge=definition)


@pages.get("/badges/<slug>/progress.csv")
@guarded(LOOK)
def csv(slug: str) -> Page:
    text = matrix.matrix_csv(tool(), g.session, slug)
    # The mark at the start makes spreadsheets read the names as UTF-8.
    response = Response("\ufeff" + text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{slug}.csv"'
    return response


# -- sync -------------------------------------------------------------------------------------------------------


@pages.post("/sync")
@guarded(LOOK)
def sync() -> Page:
    work.start(tool(), "sync", str(g.session.course_id))
    if "review" in request.form:
        return lead_to("messages.review")
    slug = request.form.get("slug", "")
    return lead_to("instructor.badge", slug=slug) if slug else lead_to("instructor.home")


@pages.get("/jobs/<int:job_id>")
@guarded(LOOK)
def job(job_id: int) -> Response:
    return jsonify(shown.job_view(tool(), g.session, job_id))
