"""Work that failed, and the button that tries it again."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lti_tool.security import administrator, tool
from lti_tool.services import failed_jobs, work

pages = Blueprint("admin_jobs", __name__, url_prefix="/admin/jobs")


@pages.get("")
@administrator
def home() -> str:
    now = datetime.now(UTC)
    page = failed_jobs.page(tool(), now)
    asleep = any(failed_jobs.overdue(row, now) for row in (*page.again, *page.open))
    notice = _("It is tried again now.") if request.args.get("done") == "again" else ""
    return render_template("admin/jobs.html", page=page, asleep=asleep, notice=notice)


@pages.post("/<int:id>/retry")
@administrator
def retry(id: int) -> BaseResponse:
    job_id = work.retry(tool(), id, datetime.now(UTC), actor=g.admin.actor)
    tool().wake(job_id)
    return redirect(url_for("admin_jobs.home", done="again"), 303)
