"""Pages and addresses: parse, ask for permission, call one service, render. No rules here."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, jsonify, render_template, request, url_for
from markupsafe import Markup, escape
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, StatementError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, UnicodeConverter

from lti_tool import logs, security
from lti_tool.db import trouble_of
from lti_tool.errors import NotFound, NotSignedIn, OwnLinkRefused, OwnSessionEnded, ToolError
from lti_tool.sentence import Sentence
from lti_tool.services import own_addresses, stack_words, words
from lti_tool.services.issuer import issuer_told
from lti_tool.services.launches import LOOK
from lti_tool.services.rows import gate_words
from lti_tool.web import (
    admin,
    as_student,
    awards,
    backpacks,
    badge_api,
    editor,
    endorsements,
    evidence,
    figures,
    frameworks,
    gradebook,
    hosted,
    instructor,
    language,
    lti,
    marking,
    messages,
    notifications,
    oauth,
    oid4vci,
    outside,
    own_access,
    own_data,
    own_mine,
    own_showing,
    public,
    registration,
    score_files,
    shared,
    show,
    sources,
    student,
    versions,
    wallet,
    watching,
)
from lti_tool.web.markdown import markdown

log = logging.getLogger("lti_tool")

LABEL = re.compile(r"\[\[(.+?)\]\]")
FOR_MACHINES = ("/status/", "/keys/", "/ob2/", "/.well-known/")
MACHINE_FORMS = (".json", ".jwt", ".png", ".svg", ".pdf", ".toml", ".csv")

INSTRUCTORS = (
    instructor.pages,
    editor.pages,
    versions.pages,
    gradebook.pages,
    marking.pages,
    awards.pages,
    endorsements.course_pages,
    as_student.pages,
    sources.pages,
    outside.pages,
    score_files.pages,
    frameworks.pages,
    figures.pages,
)

IN_AN_LMS = ("/lti/", "/course/", "/me/")

HTTP_SENTENCES = {
    404: (
        Sentence("There is nothing at this address."),
        Sentence("The address may be incomplete. Ask whoever gave it to you."),
    ),
    405: (Sentence("This address is not opened this way."), Sentence("Go back to the page you came from.")),
    413: (
        Sentence("That is larger than this tool takes."),
        Sentence("Go back and choose something smaller: any badge fits into 5 MB."),
    ),
    415: (Sentence("This kind of content cannot be used here."), Sentence("Go back and choose another file.")),
}


class Number(BaseConverter):
    """A whole number in an address, of at most nine digits: more than any database column of ours holds is no address.

    Werkzeug's own takes any length, and Python then refuses to read 5,000 digits."""

    regex = "[0-9]{1,9}"

    def to_python(self, value: str) -> int:
        return int(value)


class Text(UnicodeConverter):
    """A part of an address without control characters: PostgreSQL takes no NUL, and nothing of ours has the others."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, **options)
        self.regex = self.regex.replace("[^/]", r"[^/\x00-\x1f\x7f]")


def add_to(app: Flask) -> None:
    """Put every page, filter and error page into the application."""
    app.request_class = evidence.EvidenceRequest
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(lambda _error: logs.end_request())
    language.OfThePage(app, locale_selector=language.choose_locale)
    app.url_map.converters.update({"int": Number, "default": Text, "string": Text})
    own = [lti.pages, registration.pages, messages.pages, student.pages, evidence.own, public.pages]
    own += [endorsements.pages, hosted.pages, sources.back, watching.pages, oid4vci.pages, wallet.pages, outside.own]
    own += [badge_api.pages, oauth.pages, backpacks.pages, notifications.pages, own_access.keep, own_access.pages]
    own += [own_showing.show, own_showing.wallet, own_mine.pages]
    own += [shared.pages, show.pages, evidence.pages, evidence.shown, own_data.pages, own_data.again]
    for blueprint in (*own, *INSTRUCTORS, *admin.BLUEPRINTS):
        app.register_blueprint(blueprint)
    app.jinja_env.filters.update(
        ago=lambda when: words.ago(when, datetime.now(UTC)),
        day=words.day,
        days_words=words.days_words,
        decimal=words.decimal,
        moment=words.moment,
        words=lambda number, capital=False: words.words(number, capital=capital),
        markdown=markdown,
        labels=labels,
        language=words.language,
        told=words.said,
        lasts=words.lasts,
        duration=stack_words.duration,
        told_error=lambda error: f"{words.said(error.sentence)} {words.said(error.what_to_do)}".strip(),
        stack_rule=stack_words.rule_words,
        gate_words=gate_words,
        moment_of=lambda text: words.moment(datetime.fromisoformat(text)),
    )
    app.context_processor(common_values)
    app.register_error_handler(ToolError, tool_error)
    app.register_error_handler(NotSignedIn, admin.sign_in.not_signed_in)
    for ended in (OwnLinkRefused, OwnSessionEnded):
        app.register_error_handler(ended, own_access.refused)
    app.register_error_handler(OperationalError, database_error)
    for odd in (StatementError, OverflowError):
        app.register_error_handler(odd, odd_value)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unforeseen)


def _begin() -> None:
    """Give the request its number: the proxy's where one stands in front that we trust, else our own."""
    trusted = security.tool().settings.server.trusted_proxies > 0
    g.number = logs.begin_request(request.headers.get("X-Request-ID") if trusted else None)
    security.tool().views.add_if_due(datetime.now(UTC))  # before a page of this minute is made, see web.kept


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("number") or logs.request_id()
    security.tool().figures.add_if_due()
    return security.at_home(response)


def labels(text: str) -> Markup:
    """Show the labels of an LMS, written [[Save]], as it shows them itself."""
    return Markup(LABEL.sub(r'<span class="ui">\1</span>', str(escape(words.said(text)))))  # noqa: S704 (escaped before)


def common_values() -> dict[str, Any]:
    """Give each template what every page shows. Error pages get no more than the time: a database may be down."""
    values: dict[str, Any] = {"now": datetime.now(UTC), **language.of_page()}
    if g.get("failed"):
        return values
    values["issuer"] = issuer_told(security.tool())
    if (who := g.get("session")) is not None:
        values.update(
            launch=g.launch,
            course_label=who.course_label or who.course_title,
            course_title=who.course_title,
            in_course=who.course_id is not None and bool(who.rights),
            csrf=security.csrf(),
            me=who.person_id,
            parents=security.parents(),
            shown_to=security.shown_to,
            keep_access=lambda: own_addresses.standing(security.tool(), who, datetime.now(UTC)),
        )
    if (signed_in := g.get("admin")) is not None:
        values.update(admin=signed_in, csrf=security.admin_csrf())
    if (learner := g.get("own")) is not None:
        values.update(own=learner, csrf=security.own_csrf(), me=learner.person_id, shown_to=lambda address: address)
    return values


# -- what went wrong --------------------------------------------------------------------------------------------


def tool_error(error: ToolError) -> tuple[Response, int] | Response:
    return _error_page(error, error.status)


def database_error(error: OperationalError) -> tuple[Response, int] | Response:
    trouble = trouble_of(error.orig)
    return unforeseen(error) if trouble is None else tool_error(trouble)


def odd_value(error: StatementError | OverflowError) -> tuple[Response, int] | Response:
    """Answer an address with a value in it that no column can hold: nothing is there."""
    of_value = isinstance(error, DataError) or not isinstance(error, DBAPIError)
    if of_value and request.method in ("GET", "HEAD"):
        return tool_error(NotFound(f"a value that does not fit: {type(error).__name__}", reason="odd_value"))
    return unforeseen(error)


def http_error(error: HTTPException) -> tuple[Response, int] | Response | HTTPException:
    code = error.code or 500
    if code < 400:
        return error
    sentence, what_to_do = HTTP_SENTENCES.get(
        code, (Sentence("Your browser sent something that cannot be used here."), "")
    )
    page = _error_page(ToolError(reason=f"http_{code}", sentence=sentence, what_to_do=what_to_do), code)
    response = page[0] if isinstance(page, tuple) else page
    if code == 405:
        response.headers.extend({"Allow": ", ".join(getattr(error, "valid_methods", None) or ())})
    return page


def unforeseen(error: Exception) -> tuple[Response, int] | Response:
    log.exception("unforeseen error at %s", request.endpoint)
    return _error_page(ToolError(reason=type(error).__name__), 500)


def _error_page(error: ToolError, status: int) -> tuple[Response, int] | Response:
    """Answer with one sentence and what to do; the log gets one line with the reason, and never what was sent."""
    error_id = g.get("number") or logs.request_id()
    security.tool().figures.count("refusals", reason=error.reason)
    level = logging.ERROR if status >= 500 else logging.INFO
    log.log(
        level,
        "refused error_id=%s status=%s reason=%s endpoint=%s detail=%s",
        *(error_id, status, error.reason, request.endpoint, _one_line(error.detail)[:300]),
    )
    if (answer := badge_api.error_answer(error, status) or oauth.error_answer(error, status)) is not None:
        return answer
    g.failed = True
    if g.get("session") is None and request.path.startswith(IN_AN_LMS):
        g.frame_anywhere = True
    if request.path.endswith(MACHINE_FORMS) or request.path.startswith(FOR_MACHINES):
        return jsonify(error=error.sentence, reason=error.reason, error_id=error_id), status
    page = render_template(
        "error.html",
        sentence=words.said(error.sentence),
        what_to_do=words.said(_what_to_do(error)),
        error_id=error_id,
        status=status,
        lines=_lines(error),
        home=_home(),
        outside=not request.path.startswith(IN_AN_LMS),
        administration=request.path.startswith("/admin/"),
    )
    response = Response(page, status=status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _what_to_do(error: ToolError) -> str:
    """Say what helps. Whoever has a session was led to an address by a page of ours, and by nobody who sent it."""
    led = g.get("session") is not None or g.get("own") is not None
    if not led or not isinstance(error, NotFound) or error.what_to_do is not NotFound.what_to_do:
        return error.what_to_do
    return Sentence("It may have been removed meanwhile.") if error.sentence is NotFound.sentence else ""


def _home() -> tuple[str, str] | None:
    """Return where an error page leads back to, and for whom: by the session alone, whatever was asked for."""
    if g.get("own") is not None:
        return url_for("own_access.badges"), "learner"
    who = g.get("session")
    if who is None:
        return None
    if who.course_id is None or not who.rights:
        return url_for("student.everywhere", launch=g.launch), "learner"
    if LOOK in who.rights:
        return url_for("instructor.home", launch=g.launch), "instructor"
    return url_for("student.home", launch=g.launch), "learner"


def _one_line(text: str) -> str:
    """Leave only what prints: a line break would forge a log line, an escape sequence would act in a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _lines(error: ToolError) -> list[str]:
    lines = getattr(error, "lines", None)
    return [words.said(line) for line in lines()] if callable(lines) else []
