"""What waits for an administrator."""

from __future__ import annotations

from flask import Blueprint, render_template

from lti_tool.security import administrator

pages = Blueprint("admin_approvals", __name__, url_prefix="/admin/approvals")


@pages.get("/")
@administrator
def home() -> str:
    return render_template("admin/approvals.html")
