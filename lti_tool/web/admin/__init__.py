"""The administrator's pages, a file for each tab: a blueprint below /admin/, opened by `security.administrator`."""

from __future__ import annotations

from lti_tool.web.admin import approvals, people, platforms, sign_in

BLUEPRINTS = (sign_in.pages, platforms.pages, approvals.pages, people.pages)
