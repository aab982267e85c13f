"""The platforms this tool is registered with."""

from __future__ import annotations

from flask import Blueprint, render_template

from lti_tool.security import administrator

pages = Blueprint("admin_platforms", __name__, url_prefix="/admin/platforms")


@pages.get("/")
@administrator
def home() -> str:
    return render_template("admin/platforms.html")
