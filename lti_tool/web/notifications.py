"""What people are told: put away on their pages, and whether mail comes, there and by a mail's own address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lti_tool import security
from lti_tool.security import guarded, public, tool
from lti_tool.services import digests, notifications
from lti_tool.services.launches import ANYBODY, LOOK

pages = Blueprint("notifications", __name__)

TOKENS_PER_MINUTE = 600  # from one address, which may be a mail provider's that presses for many readers


@pages.record_once
def _limit(state: Any) -> None:
    state.app.extensions["mail_tokens"] = security.RateLimit(TOKENS_PER_MINUTE)


@pages.app_context_processor
def _news() -> dict[str, Any]:
    """Give templates `own_news`, which asks only where it is used; outside a launch nothing is told."""
    return {"own_news": lambda: notifications.news(tool(), g.session) if "session" in g else notifications.News()}


@pages.post("/me/<launch>/notifications/away")
@guarded(ANYBODY)
def dismiss() -> BaseResponse:
    """Put one notification away, or all of them."""
    notifications.dismiss(tool(), g.session, request.form.get("id", "")[:40], datetime.now(UTC))
    return redirect(_own_home(), 303)


def _own_home() -> str:
    return url_for("student.everywhere" if g.session.course_id is None else "student.home", launch=g.launch)


@pages.route("/me/<launch>/mail", methods=["GET", "POST"])
@guarded(ANYBODY)
def own_mail() -> str | BaseResponse:
    return _choice(notifications.BADGES, _own_home(), "notifications.own_mail")


@pages.route("/course/<launch>/mail", methods=["GET", "POST"])
@guarded(LOOK)
def course_mail() -> str | BaseResponse:
    back = url_for("instructor.home", launch=g.launch)
    return _choice(digests.scope_of(g.session.course_id), back, "notifications.course_mail")


def _choice(scope: str, back: str, endpoint: str) -> str | BaseResponse:
    if request.method == "POST":
        on = request.form.get("on") == "yes"
        notifications.choose(tool(), g.session, scope, on, now=datetime.now(UTC))
        return redirect(url_for(endpoint, launch=g.launch), 303)
    return render_template("mail_choice.html", page=notifications.own_choice(tool(), g.session, scope), back=back)


@pages.route("/mail/stop/<token>", methods=["GET", "POST"])
@public
def stop(token: str) -> str:
    """Show a button; press it, and no more mails like the one it came with are sent.

    Whatever opens links in mails for their readers only looks. A mail program that stops them with one click sends
    `List-Unsubscribe=One-Click` by POST (RFC 8058), and no cookie."""
    current_app.extensions["mail_tokens"].count(request.remote_addr or "")
    g.no_store = True
    if request.method == "POST":
        on = request.form.get("on") == "yes"
        page = notifications.choose_by_token(tool(), token[:40], on, datetime.now(UTC))
    else:
        page = notifications.by_token(tool(), token[:40])
    return render_template("public/mail_stop.html", page=page)
