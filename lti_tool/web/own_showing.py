"""Ways to show a badge, and its wallets, for a learner without her LMS: the course's pages, by the award."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.errors import ToolError
from lti_tool.security import by_own_link, tool
from lti_tool.services import audit, own_pages, share_links, show_page, wallet_offers
from lti_tool.services.own_access import Learner
from lti_tool.services.show_page import ShowPage
from lti_tool.web import show as in_course
from lti_tool.web.course import Page, moment

show = Blueprint("own_show", __name__, url_prefix="/own/badges/<award_id>/show")
wallet = Blueprint("own_wallet", __name__, url_prefix="/own/badges/<award_id>/wallet")


def _who(award_id: str) -> Learner:
    return own_pages.acting_on(tool(), g.own, award_id)


def _secret() -> str:
    return security.own_secret() or ""


# -- showing it -------------------------------------------------------------------------------------------------


def _page(award_id: str) -> ShowPage:
    page = show_page.page(tool(), _who(award_id), award_id, moment())
    files = own_pages.forms_offered(tool())
    here = [(word, small, url_for("own_access.file", award_id=award_id, form=form)) for word, small, form in files]
    return replace(page, downloads=tuple(here))


@show.get("", endpoint="show")
@by_own_link
def ways(award_id: str) -> str:
    return render_template("student/show.html", page=_page(award_id), made=request.args.get("made", "")[:40])


@show.post("/page")
@by_own_link
def turn(award_id: str) -> BaseResponse:
    """Turn the public page on or off."""
    who, on = _who(award_id), request.form.get("public") == "yes"
    show_page.turn_page(tool(), who, award_id, public=on, actor=audit.person(who.person_id), now=moment())
    return redirect(url_for("own_show.show", award_id=award_id), 303)


@show.get("/linkedin")
@by_own_link
def linkedin(award_id: str) -> BaseResponse:
    """Lead to LinkedIn with its form filled in."""
    return security.see(show_page.linkedin_address(tool(), _who(award_id), award_id, moment()), 303)


@show.get("/qr.svg")
@by_own_link
def qr(award_id: str) -> Response:
    """Give the QR code of the public page as a file."""
    return in_course.qr_of(_page(award_id), award_id)


@show.post("/links")
@by_own_link
def make_link(award_id: str) -> Page:
    who = _who(award_id)
    own_id = show_page.own_award_id(tool(), who, award_id, moment())
    try:
        link_id = in_course.made_link(own_id, audit.person(who.person_id))
    except ToolError as error:
        page = _page(award_id)
        return render_template("student/show.html", page=page, problem=error, typed=in_course.typed()), error.status
    return redirect(url_for("own_show.show", award_id=award_id, made=link_id, _anchor="links"), 303)


@show.post("/links/<link_id>/end")
@by_own_link
def end_link(award_id: str, link_id: str) -> BaseResponse:
    who = _who(award_id)
    own_id = show_page.own_award_id(tool(), who, award_id, moment())
    share_links.end(tool(), own_id, link_id, actor=audit.person(who.person_id), now=moment())
    return redirect(url_for("own_show.show", award_id=award_id, _anchor="links"), 303)


# -- wallets ----------------------------------------------------------------------------------------------------


@wallet.get("", endpoint="show")
@by_own_link
def wallets(award_id: str) -> str:
    offer_id = request.args.get("offer", "")[:40]
    page = wallet_offers.page(tool(), _who(award_id), award_id, offer_id, _secret(), moment())
    return render_template("student/wallet.html", page=page)


@wallet.post("")
@by_own_link
def offer(award_id: str) -> BaseResponse:
    """Make an offer, and lead to it, as in the course."""
    offer_id = wallet_offers.make(tool(), _who(award_id), award_id, _secret(), moment())
    return redirect(url_for("own_wallet.show", award_id=award_id, offer=offer_id, _anchor="offer"), 303)


@wallet.post("/copies/<edition_id>/withdraw")
@by_own_link
def withdraw(award_id: str, edition_id: str) -> BaseResponse:
    wallet_offers.withdraw_copy(tool(), _who(award_id), award_id, edition_id, moment())
    return redirect(url_for("own_wallet.show", award_id=award_id), 303)
