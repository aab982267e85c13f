"""The editor of a badge: begun blank or from another course, its three steps, saved as typed."""

from __future__ import annotations

import dataclasses
from typing import Any

from babel import Locale, UnknownLocaleError
from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for
from flask_babel import get_locale
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, NotFound
from lti_tool.security import guarded, tool
from lti_tool.sentence import Sentence
from lti_tool.services import drafts
from lti_tool.services.draft_values import PAIRS
from lti_tool.services.drafts import Change, DraftPage
from lti_tool.services.launches import MANAGE
from lti_tool.web.course import Page, acting, moment
from lti_tool.web.instructor import svg
from lti_tool.web.markdown import markdown

pages = Blueprint("editor", __name__, url_prefix="/course/<launch>")

LARGEST_SAVE = 1_000_000  # bytes of one save as typed
LARGEST_CRITERIA = 40_000  # characters to preview
LANGUAGES = (
    *("ar", "ca", "cs", "cy", "da", "de", "el", "en", "en-GB", "en-US", "es", "et", "eu", "fa", "fi", "fr", "ga"),
    *("gl", "he", "hi", "hr", "hu", "id", "is", "it", "ja", "ko", "lt", "lv", "mt", "nb", "nl", "nn", "pl", "pt"),
    *("pt-BR", "ro", "ru", "sk", "sl", "sr", "sv", "sw", "tr", "uk", "ur", "vi", "zh-Hans", "zh-Hant"),
)
# The eight competencies, as NACE names them: https://www.naceweb.org/career-readiness/competencies/
NACE = (
    "Career & Self-Development",
    "Communication",
    "Critical Thinking",
    "Equity & Inclusion",
    "Leadership",
    "Professionalism",
    "Teamwork",
    "Technology",
)


def _step(badge: str, step: str, **more: Any) -> BaseResponse:
    return redirect(url_for("editor.step", launch=g.launch, badge=badge, step=step, **more), 303)


# -- begun ------------------------------------------------------------------------------------------------------


@pages.post("/badges")
@guarded(MANAGE)
def blank() -> Page:
    language = (g.session.locale or "").replace("_", "-")
    of_badges = request.form.get("of") == "badges"
    badge = drafts.start_blank(
        tool(), g.session.course_id, language=language, of_badges=of_badges, actor=acting(), now=moment()
    )
    return _step(badge, "about")


@pages.get("/badges/<slug>/edit")
@guarded(MANAGE)
def edit(slug: str) -> Page:
    wanted = request.args.get("step", "")
    badge = drafts.badge_id_of(tool(), g.session.course_id, slug)
    if gone := request.args.get("out", ""):
        step, row, anchor = drafts.where_to_leave_out(drafts.editor_page(tool(), g.session, badge), gone)
        return _step(badge, step, row=row or None, out="yes", _anchor=anchor)
    return _step(badge, wanted if wanted in drafts.STEPS else "about")


# -- the three steps --------------------------------------------------------------------------------------------


@pages.get("/edit/<badge>/<step>")
@guarded(MANAGE)
def step(badge: str, step: str) -> Page:
    _check_step(step)
    return _render(drafts.editor_page(tool(), g.session, badge), step, check="check" in request.args)


@pages.post("/edit/<badge>/<step>")
@guarded(MANAGE)
def save_form(badge: str, step: str) -> Page:
    """Keep a step as its form sends it, do what its button says, and go where it leads."""
    _check_step(step)
    does, go = request.form.get("do", ""), request.form.get("go", "")
    changes = [Change(path, text) for path, text in _typed(request.form).items()]
    try:
        revision = int(request.form.get("revision", "0")[:9])
        saved = drafts.save(
            tool(), g.session, badge, changes, revision=revision, does=does, actor=acting(), now=moment()
        )
    except (BadInput, ValueError) as error:
        sentence = error.sentence if isinstance(error, BadInput) else BadInput.sentence
        page = drafts.editor_page(tool(), g.session, badge)
        page = dataclasses.replace(page, typed={change.path: change.text for change in changes})
        return _render(page, step, act_problem=sentence), 400
    if saved.clashes:
        page = drafts.editor_page(tool(), g.session, badge)
        typed = {clash.path: clash.mine for clash in saved.clashes}
        return _render(dataclasses.replace(page, clashes=saved.clashes, typed=typed), step), 409
    if does:
        return _step(badge, step, _anchor=saved.focus)
    if go == "preview":
        return redirect(url_for("editor.preview", launch=g.launch, badge=badge), 303)
    return _step(badge, go if go in drafts.STEPS and go != step else step, **({"check": "yes"} if go == step else {}))


def _check_step(step: str) -> None:
    if step not in drafts.STEPS:
        raise NotFound(f"no step {step[:40]}")


def _typed(form: MultiDict[str, str]) -> dict[str, str]:
    """Return the fields of a form; one that can be ticked several times is a text of its values."""
    typed = {path: form[path] for path in form if path not in ("csrf", "revision", "do", "go")}
    if "prerequisites" in typed:
        typed["prerequisites"] = " ".join(value for value in form.getlist("prerequisites") if value)
    return typed


@pages.post("/edit/<badge>/save.json")
@guarded(MANAGE)
def save(badge: str) -> Response:
    """Keep what was typed just now: {"revision": 3, "changes": {path: [before, after]}, "do": "row.add"}."""
    if (request.content_length or 0) > LARGEST_SAVE:
        raise BadInput("a save too large")
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict) or not isinstance(sent.get("changes", {}), dict):
        raise BadInput("no save")
    changes = []
    for path, texts in sent.get("changes", {}).items():
        if not isinstance(texts, list) or len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise BadInput("no change")
        changes.append(Change(path, texts[1], texts[0]))
    revision, does = sent.get("revision"), sent.get("do", "")
    if not isinstance(revision, int) or not isinstance(does, str):
        raise BadInput("no revision")
    saved = drafts.save(tool(), g.session, badge, changes, revision=revision, does=does, actor=acting(), now=moment())
    left = {step: sum(drafts.step_of(path) == step for path in saved.problems) for step in drafts.STEPS}
    return jsonify(
        revision=saved.revision,
        at=saved.at.isoformat(),
        slug=saved.slug,
        title=saved.title,
        sentence=saved.sentence,
        problems=saved.problems,
        left=left,
        clashes=[dataclasses.asdict(clash) for clash in saved.clashes],
        by=saved.by,
        focus=saved.focus,
    )


@pages.get("/edit/<badge>/preview")
@guarded(MANAGE)
def preview(badge: str) -> Page:
    """Go on to the page before publishing, or back to the first step in which something is missing."""
    page = drafts.editor_page(tool(), g.session, badge)
    if page.first_step:
        return _step(badge, page.first_step, check="yes")
    return redirect(url_for("instructor.plan", launch=g.launch, slug=page.slug), 303)


@pages.post("/edit/<badge>/criteria")
@guarded(MANAGE)
def criteria(badge: str) -> str:
    """Show criteria as they will be read."""
    return str(markdown(request.form.get("text", "")[:LARGEST_CRITERIA]))


@pages.get("/edit/<badge>/picture")
@guarded(MANAGE)
def picture(badge: str) -> Page:
    """Draw the picture with what the address says was chosen just now, or answer the file that was sent."""
    typed = {name: request.args[name] for name in ("shape", "icon", "dark", "light", "level") if name in request.args}
    drawn, png = drafts.draft_picture(tool(), g.session, badge, typed)
    return svg(drawn) if drawn is not None else Response(png, mimetype="image/png")


@pages.post("/edit/<badge>/picture")
@guarded(MANAGE)
def upload(badge: str) -> Page:
    sent = request.files.get("file")
    try:
        if sent is None or not sent.filename:
            raise BadInput(sentence=Sentence("Choose a file first."))
        data = sent.stream.read(drafts.LARGEST_PICTURE + 1)
        drafts.set_picture(tool(), g.session, badge, data, sent.filename, actor=acting(), now=moment())
    except BadInput as error:
        page = drafts.editor_page(tool(), g.session, badge)
        return _render(page, "about", upload_problem=error.sentence), error.status
    return _step(badge, "about", _anchor="h-picture")


def _render(page: DraftPage, step: str, *, check: bool = False, **more: Any) -> str:
    return render_template(
        f"instructor/edit_{step}.html",
        page=page,
        check=check,
        pairs=PAIRS,
        nace=NACE,
        languages=_languages(page.value("language")),
        opened=request.args.get("row", ""),
        out="out" in request.args,
        **more,
    )


def _languages(chosen: str) -> list[tuple[str, str]]:
    """Return the languages a badge may be written in, by their names for whoever reads the page."""
    shown_in = get_locale() or Locale("en")
    found = {}
    for code in {*LANGUAGES, chosen} - {""}:
        try:
            name = Locale.parse(code, sep="-").get_display_name(shown_in)
        except (UnknownLocaleError, ValueError):
            name = None
        found[code] = f"{name[:1].upper()}{name[1:]}" if name else code
    return sorted(found.items(), key=lambda each: each[1].casefold())
