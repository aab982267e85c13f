"""The pages on which a rubric is marked: the list of learners, and one learner after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, ToolError
from lti_tool.security import guarded, tool
from lti_tool.services import evidence, marking, posting
from lti_tool.services import marking_pages as shown
from lti_tool.services.launches import LOOK, MANAGE
from lti_tool.services.marking import Overtaken, Wish
from lti_tool.web.course import Page, acting, moment

pages = Blueprint("marking", __name__, url_prefix="/course/<launch>/badges/<slug>/marking")

MOST_ROWS = 40  # of a rubric in one form


def _show() -> str:
    wanted = request.values.get("show", "all")
    return wanted if wanted in shown.SHOWN else "all"


def _of_script() -> bool:
    """Tell whether the page's script asks: it takes the states alone and keeps the page."""
    return request.headers.get("X-Fragment") == "marking"


@pages.get("/")
@guarded(LOOK)
def learners(slug: str) -> Page:
    page = shown.learner_list(tool(), g.session, slug, _show())
    return render_template("instructor/marking_list.html", page=page, ended="end" in request.args)


@pages.get("/<person_id>")
@guarded(LOOK)
def learner(slug: str, person_id: str) -> Page:
    return _render(slug, person_id, saved="saved" in request.args)


@pages.get("/<person_id>/state")
@guarded(LOOK)
def state(slug: str, person_id: str) -> Page:
    """Answer how the marks stand now, for the page that waits for the gradebook."""
    page = shown.learner_page(tool(), g.session, slug, person_id, _show())
    if page.open:
        posting.nudge(tool(), g.session.course_id, moment())
    return render_template("instructor/marking_states.html", page=page)


@pages.post("/<person_id>")
@guarded(MANAGE)
def mark(slug: str, person_id: str) -> Page:
    """Store what was marked, then do what the button says: stay, go on, choose, try again, take a mark back.

    A row that somebody else has changed meanwhile is not stored; what was typed stays in the form, beside hers."""
    act, _, which = request.form.get("act", "stay").partition(":")
    sent = _wishes(act, which)
    try:
        saved = marking.save(
            tool(),
            g.session.course_id,
            slug,
            person_id,
            [wish for wish, touched in sent if touched],
            actor=acting(),
            now=moment(),
            version=_number(request.form.get("version", "")),
        )
        if saved.job_id:
            tool().wake(saved.job_id)
        if not saved.overtaken:
            _do(slug, person_id, act, which)
    except ToolError as error:
        if error.status not in (400, 409):
            raise
        return _render(slug, person_id, typed=[wish for wish, _ in sent], problem=error)
    if saved.overtaken:
        return _render(slug, person_id, typed=[wish for wish, _ in sent], overtaken=saved.overtaken)
    if _of_script():
        return _render(slug, person_id)
    return _on(slug, person_id, act)


def _do(slug: str, person_id: str, act: str, which: str) -> None:
    course_id, job_id = g.session.course_id, 0
    if act in ("keep", "replace"):
        seen = request.form.get(f"seen-{which}", "")
        tag = request.form.get(f"cell-{which}", "")
        job_id = marking.choose(
            tool(), course_id, slug, person_id, tag, act, seen_as=seen, actor=acting(), now=moment()
        )
    elif act == "again":
        job_id = marking.try_again(tool(), course_id, slug, person_id, actor=acting(), now=moment())
    if job_id:
        tool().wake(job_id)


def _on(slug: str, person_id: str, act: str) -> BaseResponse:
    """Go where a button leads: to a neighbour in the list as it is filtered, to the list at its end, or stay."""
    if act not in ("next", "previous"):
        return _to("marking.learner", slug, person_id=person_id, saved="yes", show=_show())
    step = 1 if act == "next" else -1
    other = shown.neighbour(tool(), g.session, slug, person_id, _show(), step)
    if other is None:
        return _to("marking.learners", slug, end="yes", show=_show())
    return _to("marking.learner", slug, person_id=other, show=_show(), _anchor="rubric")


def _to(endpoint: str, slug: str, **values: Any) -> BaseResponse:
    if values.get("show") == "all":
        values.pop("show")
    return redirect(url_for(endpoint, launch=g.launch, slug=slug, **values), 303)


@pages.post("/again")
@guarded(MANAGE)
def again(slug: str) -> Page:
    """Post everything again that the gradebook refused."""
    job_id = marking.try_again(tool(), g.session.course_id, slug, None, actor=acting(), now=moment())
    if job_id:
        tool().wake(job_id)
    return _to("marking.learners", slug, show=_show())


# -- what was sent ----------------------------------------------------------------------------------------------


def _wishes(act: str, which: str) -> list[tuple[Wish, bool]]:
    """Read the rows of the form, each with whether it was touched at all: `was` says how it was shown.

    The script sends one row, without script all of them come."""
    found = []
    for index in range(MOST_ROWS):
        tag = request.form.get(f"tag-{index}")
        if tag is None:
            continue
        level = _number(request.form.get(f"level-{index}", ""))
        comment = request.form.get(f"comment-{index}", "").replace("\r\n", "\n").replace("\0", "").strip()
        if act == "clear" and which == str(index):
            level = None
        wish = Wish(tag, level, comment, _number(request.form.get(f"revision-{index}", "")) or 0)
        theirs = act == "theirs" and which == str(index)
        touched = not theirs and shown.digest(level, comment) != request.form.get(f"was-{index}", "")
        if not theirs:
            found.append((wish, touched))
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _render(
    slug: str,
    person_id: str,
    *,
    typed: Sequence[Wish] = (),
    overtaken: Sequence[Overtaken] = (),
    problem: ToolError | None = None,
    saved: bool = False,
    note: str = "",
    note_row: str = "",
    note_problem: ToolError | None = None,
) -> Page:
    page = shown.learner_page(tool(), g.session, slug, person_id, _show(), overtaken)
    template = "marking_states" if _of_script() else "marking"
    text = render_template(
        f"instructor/{template}.html",
        page=page,
        typed={wish.tag: wish for wish in typed},
        problem=problem,
        saved=saved,
        note=note,
        note_row=note_row,
        note_problem=note_problem,
    )
    failed = problem or note_problem
    if failed is not None:
        return text, failed.status
    return (text, 409) if overtaken else text


# -- evidence ---------------------------------------------------------------------------------------------------


@pages.post("/<person_id>/evidence")
@guarded(MANAGE)
def attach(slug: str, person_id: str) -> Page:
    tag, content = request.form.get("tag", ""), request.form.get("content", "")
    try:
        evidence.attach(tool(), g.session.course_id, slug, person_id, tag, content, actor=acting(), now=moment())
    except BadInput as error:
        return _render(slug, person_id, note=content, note_row=tag, note_problem=error)
    return _to("marking.learner", slug, person_id=person_id, show=_show(), _anchor="evidence")


@pages.post("/<person_id>/evidence/<evidence_id>/withdraw")
@guarded(MANAGE)
def withdraw(slug: str, person_id: str, evidence_id: str) -> Page:
    evidence.withdraw(tool(), g.session.course_id, slug, person_id, evidence_id, actor=acting(), now=moment())
    return _to("marking.learner", slug, person_id=person_id, show=_show(), _anchor="evidence")
