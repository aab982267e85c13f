"""The audit log: read, searched, taken along as a file."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, render_template, request, stream_with_context

from lti_tool.errors import BadInput
from lti_tool.security import administrator, tool
from lti_tool.services import audit_log

pages = Blueprint("admin_audit", __name__, url_prefix="/admin/audit")


def _asked() -> dict[str, str]:
    return {name: request.args.get(name, "") for name in ("text", "kind", "since", "until")}


@pages.get("")
@administrator
def home() -> str | tuple[str, int]:
    asked = _asked()
    told = {"asked": asked, "kinds": audit_log.kinds(), "before": request.args.get("before", "")}
    try:
        search = audit_log.search_of(**asked, before=str(told["before"]))
    except BadInput as error:
        nothing = audit_log.LogPage((), None)
        return render_template("admin/audit.html", page=nothing, problem=error, **told), error.status
    return render_template("admin/audit.html", page=audit_log.page(tool(), search), **told)


@pages.get("/log.csv")
@administrator
def download() -> Response:
    """Answer what the search finds, all of it, as a file for a spreadsheet."""
    lines = audit_log.csv_lines(tool(), audit_log.search_of(**_asked()))
    response = Response(stream_with_context(line.encode() for line in lines), content_type="text/csv; charset=utf-8")
    name = f"audit-log-{datetime.now(UTC):%Y%m%d-%H%M}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
