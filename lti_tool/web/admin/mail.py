"""Mail: whether it is sent, how that stands, a test, and what each mail looks like."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.errors import ToolError
from lti_tool.security import administrator, tool
from lti_tool.services import mail
from lti_tool.services.issuer import issuer_told
from lti_tool.services.words import LANGUAGES
from lti_tool.web.language import of_page

pages = Blueprint("admin_mail", __name__, url_prefix="/admin/mail")


@pages.route("", methods=["GET", "POST"])
@administrator
def home() -> str | BaseResponse | tuple[str, int]:
    """Show how mail stands; send a test mail, or say beside the address why it did not go out."""
    if request.method == "GET":
        notice = _("The mail server has taken the test mail.") if request.args.get("done") else ""
        return _page(g.admin.email, notice=notice)
    to = request.form.get("to", "")[:300]
    try:
        mail.send_test(tool(), to, of_page()["lang"], actor=g.admin.actor, now=datetime.now(UTC))
    except ToolError as error:
        return _page(to, problem=error), error.status
    return redirect(url_for("admin_mail.home", done="test"), 303)


def _page(to: str, *, notice: str = "", problem: ToolError | None = None) -> str:
    asked = request.args.get("language", "")
    language = asked if asked in LANGUAGES else of_page()["lang"]
    return render_template(
        "admin/mail.html",
        page=mail.standing(tool(), datetime.now(UTC)),
        previews=mail.previews(language, issuer_told(tool()).name, tool().settings.base_url),
        language=language,
        languages=LANGUAGES,
        to=to,
        notice=notice,
        problem=problem,
    )
