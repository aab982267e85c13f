"""What each kind of launch opens, and the pages of those that ask for more: placing links, reviewing a submission."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import BadInput, NotFound, NotPermitted
from lti_tool.lti import claims
from lti_tool.lti.claims import Launch
from lti_tool.lti.deep_linking import check_return_url
from lti_tool.security import guarded, see, tool
from lti_tool.sentence import Sentence
from lti_tool.services import audit, bindings, catalog, launches, placing
from lti_tool.services import data_privacy as privacy
from lti_tool.services import messages as told
from lti_tool.services import submission_review as submissions
from lti_tool.services.launches import LEARN, LOOK, MANAGE, Opened
from lti_tool.services.pages.instructor import Placed

pages = Blueprint("messages", __name__, url_prefix="/course/<launch>")
Page = str | BaseResponse | tuple[str, int]


def _now() -> datetime:
    return datetime.now(UTC)


# -- what a launch opens ----------------------------------------------------------------------------------------


def resource_link(opened: Opened, launch: Launch) -> BaseResponse:
    """Open the badge that the link names, else the course's badges: as an instructor, or as a learner."""
    if opened.course_id is None:  # Canvas' account menu: nobody's course, and her own badges
        return redirect(url_for("student.everywhere", launch=opened.address), 303)
    if (nowhere := _nowhere(opened)) is not None:
        return nowhere
    named = told.named_badge(tool(), opened, launch.custom)
    if named is None:  # what most launches do: without looking the address up
        return see(f"/{'course' if LOOK in opened.rights else 'me'}/{opened.address}/", 303)
    side = "instructor" if LOOK in opened.rights else "student"
    if named.slug is None:
        return redirect(url_for(f"{side}.home", launch=opened.address, unknown=1), 303)
    if opened.course_id is not None:
        told.look_for_columns(tool(), opened.course_id, named.slug)
    row = f"row-{named.code}" if named.code and side == "student" else None
    return redirect(url_for(f"{side}.badge", launch=opened.address, slug=named.slug, _anchor=row), 303)


def deep_linking(opened: Opened, launch: Launch) -> BaseResponse:
    """Open the picker for whoever may manage the course's badges; learners place nothing (A31)."""
    if opened.course_id is None:
        return Response(render_template("no_course.html", **_administration(opened)))
    if MANAGE not in opened.rights:
        raise NotPermitted(
            "places links", sentence=Sentence("Only those who teach this course can place badges in it.")
        )
    assert launch.deep_linking is not None
    origins = launches.platform_origins(tool(), launch.registration_id)
    check_return_url(launch.deep_linking, origins, allow_http=tool().settings.network.allow_private)
    told.keep(tool(), opened.launch_id, launch, launches.product_of(tool(), launch.registration_id))
    return redirect(url_for("messages.picker", launch=opened.address), 303)


def submission_review(opened: Opened, launch: Launch) -> BaseResponse:
    """Open a learner's standing for whoever may look at the class; a learner gets her own and nobody else's.

    Moodle 4.5.6 signs a review of anybody for anybody who asks (seen): the roles decide, not the message."""
    if (nowhere := _nowhere(opened)) is not None:
        return nowhere
    assert launch.for_user is not None and opened.course_id is not None
    own = launch.for_user.user_id == launch.sub
    if LOOK not in opened.rights and not own:
        raise NotPermitted(
            "somebody else's submission",
            reason="for_user_other",
            sentence=Sentence("This is the work of somebody else."),
            what_to_do=Sentence("Only those who teach the course can open it."),
        )
    told.keep(tool(), opened.launch_id, launch, "")
    if LOOK in opened.rights:
        return redirect(url_for("messages.review", launch=opened.address), 303)
    slug = submissions.own_badge(tool(), opened.launch_id, opened.course_id)
    if slug:
        return redirect(url_for("student.badge", launch=opened.address, slug=slug), 303)
    return redirect(url_for("student.home", launch=opened.address), 303)


def data_privacy(launch: Launch, now: datetime) -> Response:
    """Show what is kept about a person: to herself, or in counts to an administrator of her LMS."""
    return Response(render_template("data_privacy.html", page=privacy.page(tool(), launch, now)))


FIRST_PAGES: dict[str, Callable[[Opened, Launch], BaseResponse]] = {
    claims.RESOURCE_LINK_REQUEST: resource_link,
    claims.DEEP_LINKING_REQUEST: deep_linking,
    claims.SUBMISSION_REVIEW_REQUEST: submission_review,
}


def _nowhere(opened: Opened) -> BaseResponse | None:
    if opened.course_id is None:
        return Response(render_template("no_course.html", **_administration(opened)))
    if not opened.rights & {LOOK, LEARN}:
        return Response(render_template("no_role.html", **_administration(opened)))
    return None


def _administration(opened: Opened) -> dict[str, str]:
    """Return what the line that leads to administration needs: most administrators of an LMS have no course role."""
    return {"launch": opened.address, "way_in": bindings.way_in_of_launch(tool(), opened.launch_id, _now())}


# -- placing links ----------------------------------------------------------------------------------------------


@pages.get("/place")
@guarded(MANAGE)
def picker() -> Page:
    return render_template("instructor/place.html", page=placing.picker(tool(), g.session, fresh=_fresh()))


def _fresh() -> str:
    return request.args.get("fresh", "")[:255]


@pages.post("/place")
@guarded(MANAGE)
def place() -> Page:
    """Answer with what was chosen; what cannot be placed is said on the page, with the choice kept."""
    chosen = request.form.getlist("item")
    with_columns = "columns" in request.form
    try:
        placed = placing.place(tool(), g.session, chosen, with_columns=with_columns, now=_now())
    except BadInput as error:
        page = placing.picker(tool(), g.session, chosen=chosen, with_columns=with_columns)
        problem = f"{error.sentence} {error.what_to_do}".strip()
        return render_template("instructor/place.html", page=page, problem=problem), error.status
    return _back_to_the_lms(placed)


@pages.post("/place/cancel")
@guarded(MANAGE)
def cancel() -> Page:
    return _back_to_the_lms(placing.cancel(tool(), g.session, _now()))


def _back_to_the_lms(placed: Placed) -> Page:
    g.posts_to = " ".join(placed.origins)
    return render_template("instructor/placed.html", page=placed)


@pages.post("/place/library/<slug>")
@guarded(MANAGE)
def take_from_library(slug: str) -> Page:
    """Make a draft of a library badge and go on choosing, with it at the top."""
    placing.picker(tool(), g.session)  # raises NotFound where no links are being placed
    badge = catalog.library().get(slug)
    if badge is None:
        raise NotFound(f"no {slug} in the library")
    actor = audit.person(g.session.person_id)
    catalog.put_badge(tool(), g.session.course_id, badge, picture_png=None, actor=actor, now=_now())
    return redirect(url_for("messages.picker", launch=g.launch, fresh=slug), 303)


# -- submission review ------------------------------------------------------------------------------------------


@pages.get("/review")
@guarded(LOOK)
def review() -> Page:
    return render_template("instructor/review.html", page=submissions.review(tool(), g.session))
