"""The Canvas mood's own pages: rubrics a teacher fills in, as in SpeedGrader, and the API keys of an administrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

if TYPE_CHECKING:
    from .canvas_rest import Rest
    from .canvas_rubrics import Assignment, Rubrics
    from .lms import Lms
    from .records import Course


def add_pages(routes: Blueprint, lms: Lms, rubrics: Rubrics, rest: Rest, address: Callable[..., str]) -> None:
    def of_teacher(number: str) -> Course:
        try:
            found = lms.course(number)
        except KeyError:
            abort(404)
        if not g.user.admin and lms.role(found, g.user) not in ("instructor", "ta"):
            abort(403)
        return found

    def assignment_of(course: Course, number: int) -> Assignment:
        found = rubrics.assignments.get(number)
        if found is None or found.course_id != course.id:
            abort(404)
        return found

    @routes.get("/course/<number>/rubrics", endpoint="rubrics")
    def listed(number: str) -> str:
        course = of_teacher(number)
        return render_template("rubrics.html", course=course, assignments=rubrics.of(course), page="rubrics")

    @routes.get("/course/<number>/rubrics/<int:assignment>", endpoint="rubric")
    def shown(number: str, assignment: int) -> str:
        course = of_teacher(number)
        return render_template(
            "rubric.html",
            course=course,
            assignment=assignment_of(course, assignment),
            learners=lms.learners(course),
            page="rubrics",
            saved="saved" in request.args,
        )

    @routes.post("/course/<number>/rubrics/<int:assignment>", endpoint="fill_rubric")
    def filled(number: str, assignment: int) -> AnyResponse:
        """Save what was chosen, or post or hide the grades of the whole class."""
        course = of_teacher(number)
        found = assignment_of(course, assignment)
        if request.form.get("do") == "post":
            rubrics.post(found)
        elif request.form.get("do") == "policy":
            found.post_manually = not found.post_manually
            lms.changed()
        else:
            for user in lms.learners(course):
                rows = {}
                before = found.submissions.get(user.id)
                for row in found.criteria:
                    chosen = request.form.get(f"mark-{row.id}-{user.id}", "")
                    had = before.marked[row.id].points if before and row.id in before.marked else None
                    points = float(chosen) if chosen in {f"{one.points:g}" for one in row.ratings} else None
                    if points != had:
                        rows[row.id] = points
                if rows:
                    rubrics.assess(found, user, rows, grader=g.user)
        return redirect(address("rubric", number=number, assignment=assignment, saved=1), 303)

    @routes.get("/api_keys", endpoint="api_keys")
    def keys() -> str:
        if not g.user.admin:
            abort(403)
        return render_template("api_keys.html", keys=list(rest.keys.values()), page="api_keys")

    @routes.post("/api_keys/<client_id>", endpoint="switch_api_key")
    def switch(client_id: str) -> AnyResponse:
        """Switch the key, its scopes or “Allow Include Parameters”."""
        key = rest.keys.get(client_id)
        if key is None or not g.user.admin:
            abort(404)
        switched = request.form.get("do", "")
        if switched in ("active", "enforce_scopes", "allow_include"):
            setattr(key, switched, not getattr(key, switched))
        if request.form.get("redirect_uris"):
            key.redirect_uris = request.form["redirect_uris"].split()
        lms.changed()
        return redirect(address("api_keys"), 303)
