"""Grades from a file: the table to fill in, what a file would do, and taking it."""

from __future__ import annotations

from flask import Blueprint, Response, g, render_template, request

from lti_tool.errors import BadInput, ToolError
from lti_tool.security import guarded, tool
from lti_tool.sentence import Sentence
from lti_tool.services import score_files
from lti_tool.services.launches import MANAGE
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("score_files", __name__, url_prefix="/course/<launch>/badges/<slug>/grades")


@pages.route("/file", methods=["GET", "POST"])
@guarded(MANAGE)
def new(slug: str) -> Page:
    """Take a file and show what it would do. Nothing is taken yet."""
    problem: ToolError | None = None
    if request.method == "POST":
        sent = request.files.get("file")
        try:
            if sent is None or not sent.filename:
                raise BadInput(sentence=Sentence("Choose a file first."))
            content = sent.stream.read(score_files.LARGEST + 1)
            file_id = score_files.put(tool(), g.session, slug, content, name=sent.filename, now=moment())
            return lead_to("score_files.show", slug=slug, file_id=file_id)
        except ToolError as error:
            problem = error
    page = score_files.page(tool(), g.session, slug, moment())
    html = render_template(
        "instructor/score_file.html", page=page, slug=slug, badge=page.badge, status=page.status, problem=problem
    )
    return (html, problem.status) if problem else html


@pages.get("/file.csv")
@guarded(MANAGE)
def template(slug: str) -> Page:
    """The class as a table to fill in; with a mark at its start, so that a spreadsheet reads its letters."""
    text = score_files.template(tool(), g.session, slug, moment())
    response = Response("\ufeff" + text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{slug}-grades.csv"'
    return response


@pages.route("/file/<file_id>", methods=["GET", "POST"])
@guarded(MANAGE)
def show(slug: str, file_id: str) -> Page:
    """Show what a file would do, and do exactly that once it is confirmed."""
    problem: ToolError | None = None
    if request.method == "POST":
        only = request.form.get("only") == "yes"
        try:
            score_files.confirm(tool(), g.session, slug, file_id, only=only, actor=acting(), now=moment())
            return lead_to("score_files.show", slug=slug, file_id=file_id)
        except ToolError as error:
            problem = error
    page = score_files.file_page(tool(), g.session, slug, file_id)
    html = render_template(
        "instructor/score_file_lines.html",
        page=page,
        slug=slug,
        badge=page.badge,
        done=score_files.taken_words(page.counts) if page.confirmed else "",
        problem=problem,
    )
    return (html, problem.status) if problem else html
