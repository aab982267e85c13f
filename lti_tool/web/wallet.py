"""The learner's page of a badge and her wallets."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.security import guarded, tool
from lti_tool.services import wallet_offers
from lti_tool.services.launches import OWN

pages = Blueprint("wallet", __name__, url_prefix="/me/<launch>/badges/<slug>/wallet")


@pages.get("")
@guarded(OWN)
def show(slug: str) -> str:
    offer_id = request.args.get("offer", "")[:40]
    page = wallet_offers.page(tool(), g.session, slug, offer_id, g.secret, datetime.now(UTC))
    return render_template("student/wallet.html", page=page)


@pages.post("")
@guarded(OWN)
def offer(slug: str) -> BaseResponse:
    """Make an offer, and lead to it: the page can be loaded again, and shows the same code."""
    offer_id = wallet_offers.make(tool(), g.session, slug, g.secret, datetime.now(UTC))
    return redirect(url_for("wallet.show", launch=g.launch, slug=slug, offer=offer_id, _anchor="offer"), 303)


@pages.post("/copies/<edition_id>/withdraw")
@guarded(OWN)
def withdraw(slug: str, edition_id: str) -> BaseResponse:
    wallet_offers.withdraw_copy(tool(), g.session, slug, edition_id, datetime.now(UTC))
    return redirect(url_for("wallet.show", launch=g.launch, slug=slug), 303)
