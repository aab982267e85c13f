"""A learner's pages as an instructor looks at them: with nobody's data, and nothing can be done in them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, render_template

from lti_tool.security import guarded, tool
from lti_tool.services import student_pages
from lti_tool.services.launches import LOOK

pages = Blueprint("as_student", __name__, url_prefix="/course/<launch>/badges/<slug>/as-student")


def _page(slug: str, template: str, which: str) -> str:
    seen = student_pages.as_nobody(tool(), g.session, slug)
    page: Any = getattr(seen, which)
    return render_template(f"student/{template}.html", page=page, looking=slug, drafted=seen.drafted, way_in="")


@pages.get("/")
@guarded(LOOK)
def home(slug: str) -> str:
    return _page(slug, "home", "home")


@pages.get("/badge")
@guarded(LOOK)
def badge(slug: str) -> str:
    return _page(slug, "badge", "badge")


@pages.get("/claim")
@guarded(LOOK)
def claim(slug: str) -> str:
    return _page(slug, "claim", "claim")
