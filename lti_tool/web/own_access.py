"""Access after the course: the address entered in a launch, the one-time links, a learner's pages without an LMS."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import BadInput, Conflict, OwnLinkRefused, OwnSessionEnded, ToolError
from lti_tool.security import by_own_link, guarded, public, tool
from lti_tool.sentence import Sentence
from lti_tool.services import audit, choices, own_access, own_addresses, own_pages, records
from lti_tool.services.launches import OWN
from lti_tool.web import language, student
from lti_tool.web.course import Page, lead_to, moment
from lti_tool.web.instructor import svg

keep = Blueprint("keep", __name__, url_prefix="/me/<launch>/keep")
pages = Blueprint("own_access", __name__, url_prefix="/own")

COOKIE = "own-link"
LINKS_PER_MINUTE = 20  # asked for from one network address: a class may be one
OPENED_PER_MINUTE = 60  # whoever guesses needs more than the age of the universe
LONGEST_TYPED = 400  # characters that are shown again
OPEN_AGAIN = Sentence("Open the link in your mail again, in a browser that keeps cookies.")


@pages.record_once
def _limits(state: Any) -> None:
    state.app.extensions["own_links"] = security.RateLimit(LINKS_PER_MINUTE)
    state.app.extensions["own_opened"] = security.RateLimit(OPENED_PER_MINUTE)


def _count(what: str) -> None:
    current_app.extensions[what].count(request.remote_addr or "")


def _typed() -> str:
    return request.form.get("address", "")[:LONGEST_TYPED]


def _language() -> str:
    return language.of_page()["lang"]


# -- in the course ----------------------------------------------------------------------------------------------


@keep.get("/")
@guarded(OWN)
def home() -> Page:
    return _keep_page()


def _keep_page(problem: ToolError | None = None) -> Page:
    html = render_template(
        "student/keep.html",
        page=own_addresses.page(tool(), g.session, moment()),
        own_url=f"{tool().settings.base_url}/own",
        typed=_typed() if problem is not None else "",
        problem=problem,
        done=request.args.get("done", ""),
    )
    return (html, problem.status) if problem is not None else html


@keep.post("/")
@guarded(OWN)
def enter() -> Page:
    """Send a link to the address that was entered; it counts once somebody who reads that mailbox presses a button."""
    try:
        own_addresses.ask(tool(), g.session, request.form.get("address", ""), _language(), moment())
    except (BadInput, Conflict) as error:
        return _keep_page(error)
    return lead_to("keep.home", done="sent")


@keep.post("/remove")
@guarded(OWN)
def remove() -> Page:
    own_addresses.remove(tool(), [g.session.person_id], moment())
    return lead_to("keep.home", done="removed")


@keep.post("/reminder")
@guarded(OWN)
def put_away() -> Page:
    own_addresses.put_away(tool(), g.session.person_id, moment())
    return lead_to("student.home")


# -- for anybody: asking for a link, confirming an address, opening a link ---------------------------------------


@pages.get("")
@public
def ask() -> Page:
    g.no_store = True
    return render_template("own/ask.html", offered=own_addresses.offered(tool()), typed="")


@pages.post("")
@public
def send() -> Page:
    """Answer the same to everybody: a worker looks later whether the address is known."""
    _count("own_links")
    g.no_store = True
    if not own_addresses.offered(tool()):
        return render_template("own/ask.html", offered=False, typed="")
    try:
        own_access.request_link(tool(), request.form.get("address", ""), _language(), moment())
    except BadInput as error:
        return render_template("own/ask.html", offered=True, typed=_typed(), problem=error), error.status
    return render_template("own/ask.html", offered=True, typed=_typed().strip(), sent=True)


@pages.get("/confirm/<secret>")
@public
def look_at_confirmation(secret: str) -> Page:
    """Show a button and confirm nothing: whoever scans mail for dangerous links opens every address once."""
    _count("own_opened")
    g.no_store = True
    asked = own_addresses.look_at_confirmation(tool(), secret, moment())
    return render_template("own/confirm.html", asked=asked, secret=secret)


@pages.post("/confirm/<secret>")
@public
def confirm(secret: str) -> Page:
    """Confirm. The secret alone shows that it is whoever reads the mailbox; this browser is given nothing."""
    _count("own_opened")
    g.no_store = True
    address = own_addresses.confirm(tool(), secret, moment())
    return render_template("own/confirmed.html", address=address, own_url=f"{tool().settings.base_url}/own")


@pages.get("/link/<secret>")
@public
def look_at_link(secret: str) -> Response:
    """Show a button and use nothing up, as above."""
    _count("own_opened")
    g.no_store = True
    own_access.look_at_link(tool(), secret, moment())
    browser = secrets.token_urlsafe(32)
    response = Response(render_template("own/open.html", csrf=_token(browser, secret)))
    security.set_unframed_cookie(response, COOKIE, browser, security.LOGIN_COOKIE_LASTS)
    return response


@pages.post("/link/<secret>")
@public
def open_link(secret: str) -> BaseResponse:
    """Use the link up and open a session with a new secret; an earlier one of this browser ends.

    The token binds the form to the browser that opened the page, so nobody is led into another's badges unawares."""
    _count("own_opened")
    g.no_store = True
    browser = request.cookies.get(security.cookie_name(COOKIE), "")
    security.same_token(_token(browser, secret) if browser else secrets.token_hex(16), OPEN_AGAIN)
    fresh = own_access.open_session(tool(), secret, security.own_secret(), moment())
    response = redirect(url_for("own_access.badges"), 303)
    security.drop_unframed_cookie(response, COOKIE)
    security.set_unframed_cookie(response, "own", fresh, own_access.SESSION_LASTS)
    return response


def _token(browser: str, secret: str) -> str:
    return hashlib.sha256(f"own-link\0{browser}\0{secret}".encode()).hexdigest()


def refused(error: OwnLinkRefused | OwnSessionEnded) -> tuple[Response, int]:
    """Say why a link or a page does not open, and how to get in."""
    g.no_store = True
    confirming = request.endpoint in ("own_access.look_at_confirmation", "own_access.confirm")
    html = render_template(
        "own/refused.html",
        error=error,
        offered=own_addresses.offered(tool()) and not confirming,
        address="",
    )
    response = Response(html)
    if isinstance(error, OwnSessionEnded) and security.own_secret() is not None:
        security.drop_unframed_cookie(response, "own")
    return response, error.status


# -- her pages --------------------------------------------------------------------------------------------------


@pages.get("/badges/")
@by_own_link
def badges() -> Page:
    return render_template(
        "own/badges.html", groups=own_pages.home(tool(), g.own, moment()), done=request.args.get("done", "")
    )


@pages.route("/badges/<award_id>", methods=["GET", "POST"])
@by_own_link
def claim(award_id: str) -> Page:
    """Show what is public of an award, and take another choice."""
    page = own_pages.claim_view(tool(), g.own, award_id, moment())
    problem: ToolError | None = None
    if request.method == "POST":
        told = student.told_choices(request.form, page.choices)
        actor = audit.person(own_pages.acting_on(tool(), g.own, award_id).person_id)
        try:
            seen = request.form.get("seen", "")
            choices.choose(tool(), award_id, told, seen=seen, actor=actor, now=moment())
            next_page = "own_access.claim" if page.claimed else "own_show.show"  # as in the course
            return redirect(url_for(next_page, award_id=award_id), 303)
        except ToolError as error:
            problem, page = error, replace(own_pages.claim_view(tool(), g.own, award_id, moment()), choices=told)
    html = render_template("student/claim.html", page=page, problem=problem)
    return (html, problem.status) if problem is not None else html


@pages.get("/badges/<award_id>/picture.svg")
@by_own_link
def picture(award_id: str) -> Response:
    return svg(own_pages.picture(tool(), g.own, award_id))


@pages.get("/badges/<award_id>/files/<form>")
@by_own_link
def file(award_id: str, form: str) -> Response:
    found = own_pages.file(tool(), g.own, award_id, form)
    response = Response(found.content, content_type=found.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    return response


@pages.get("/badges/people/<person_id>/clr.json")
@by_own_link
def record(person_id: str) -> Response:
    """Give all the badges of one of her accounts as one signed file."""
    found = own_pages.record_for(g.own, person_id)
    response = Response(records.record_of(tool(), found, moment()), content_type="application/vc+ld+json")
    response.headers["Content-Disposition"] = 'attachment; filename="badges.clr.json"'
    return response


@pages.post("/badges/sign-out")
@by_own_link
def sign_out() -> Response:
    """End this visit, or with `everywhere` all that the address has opened."""
    everywhere = "everywhere" in request.form
    own_access.sign_out(tool(), g.own, moment(), everywhere=everywhere)
    return _gone("everywhere" if everywhere else "here")


@pages.route("/badges/address", methods=["GET", "POST"])
@by_own_link
def address() -> Page:
    """Show the address that lets her in; take another in its place."""
    problem: ToolError | None = None
    sent = False
    if request.method == "POST":
        try:
            own_addresses.ask_instead(tool(), g.own.address, request.form.get("address", ""), _language(), moment())
            sent = True
        except (BadInput, Conflict) as error:
            problem = error
    html = render_template("own/address.html", typed=_typed(), problem=problem, sent=sent)
    return (html, problem.status) if problem is not None else html


@pages.post("/badges/address/remove")
@by_own_link
def leave() -> Response:
    """Take the address away. Nobody is let in by it any more, this browser neither."""
    own_addresses.remove(tool(), [each.id for each in g.own.people], moment())
    return _gone("removed")


def _gone(how: str) -> Response:
    g.own = None
    response = Response(render_template("own/bye.html", how=how))
    security.drop_unframed_cookie(response, "own")
    return response
