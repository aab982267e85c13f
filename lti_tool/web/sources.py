"""An instructor's page of sources beside the gradebook, and where an LMS sends the browser back to after consent."""

from __future__ import annotations

from flask import Blueprint, g, render_template, request

from lti_tool.errors import BadInput, NotSignedIn, ServiceError
from lti_tool.security import admin_secret, guarded, public, tool
from lti_tool.services import administrators, canvas_connection, moodle_connection, source_pages
from lti_tool.services.launches import MANAGE
from lti_tool.web.course import Page, acting, lead_to, moment

pages = Blueprint("sources", __name__, url_prefix="/course/<launch>")
back = Blueprint("connect", __name__)


@pages.get("/badges/<slug>/sources")
@guarded(MANAGE)
def show(slug: str) -> Page:
    return render_template("instructor/sources.html", page=source_pages.page(tool(), g.session, slug), chosen={})


@pages.post("/badges/<slug>/sources")
@guarded(MANAGE)
def match(slug: str) -> Page:
    """Take what was chosen; what cannot be is told beside the form, which keeps every choice."""
    chosen = {name.removeprefix("row-"): value for name, value in request.form.items() if name.startswith("row-")}
    try:
        source_pages.match(tool(), g.session.course_id, slug, chosen, actor=acting(), now=moment())
    except BadInput as error:
        page = source_pages.page(tool(), g.session, slug)
        return render_template("instructor/sources.html", page=page, chosen=chosen, form_problem=error), error.status
    return lead_to("sources.show", slug=slug, done="matched")


@pages.post("/badges/<slug>/sources/look")
@guarded(MANAGE)
def look(slug: str) -> Page:
    tool().wake(source_pages.look(tool(), g.session.course_id, moment()))
    return lead_to("sources.show", slug=slug)


@pages.post("/badges/<slug>/sources/connect")
@guarded(MANAGE)
def connect(slug: str) -> Page:
    """Show the way to Canvas, which opens in a window of its own: it lets no frame show its page of consent."""
    who = g.session
    address = canvas_connection.begin(
        tool(), who.registration_id, who.course_id, session_id=who.launch_id, actor=acting(), now=moment()
    )
    page = source_pages.page(tool(), g.session, slug)
    return render_template("instructor/sources.html", page=page, chosen={}, consent=address)


@pages.post("/badges/<slug>/sources/moodle")
@guarded(MANAGE)
def connect_moodle(slug: str) -> Page:
    """Try a teacher's own token, and look at the rubrics with it; what is wrong with it is told beside the form."""
    who, typed = g.session, request.form.get("token", "")
    try:
        moodle_connection.connect_course(
            tool(), who.course_id, who.person_id, token=typed, actor=acting(), now=moment()
        )
    except (BadInput, ServiceError) as error:
        page = source_pages.page(tool(), who, slug)
        return render_template("instructor/sources.html", page=page, chosen={}, form_problem=error), 422
    tool().wake(source_pages.look(tool(), who.course_id, moment()))
    return lead_to("sources.show", slug=slug, done="connected")


@pages.post("/badges/<slug>/sources/disconnect")
@guarded(MANAGE)
def disconnect(slug: str) -> Page:
    source_pages.disconnect(tool(), g.session.course_id, actor=acting(), now=moment())
    return lead_to("sources.show", slug=slug, done="disconnected")


@back.get("/connect/canvas")
@public
def canvas() -> Page:
    """Take Canvas' answer in the window of its own. The state says whose it is, and works once."""
    g.no_store = True
    now = moment()
    try:
        admin_session = administrators.find_session(tool(), admin_secret(), now).session_id
    except NotSignedIn:
        admin_session = None
    state, code = request.args.get("state", "")[:200], request.args.get("code", "")[:500]
    connected = canvas_connection.finish(tool(), state, code, admin_session=admin_session, now=now)
    if connected.course_id is not None:
        tool().wake(source_pages.look(tool(), connected.course_id, now))
    return render_template("connected.html", connected=connected)
