"""The administrator's pages, a file for each tab: a blueprint below /admin/, opened by `security.administrator`."""

from __future__ import annotations

from lti_tool.web.admin import (
    administrators,
    approvals,
    audit_log,
    connections,
    endorsements,
    figures,
    issuer,
    jobs,
    keys,
    mail,
    people,
    platforms,
    requests,
    retention,
    sign_in,
    way_in,
)

BLUEPRINTS = (
    sign_in.pages,
    way_in.pages,
    platforms.pages,
    connections.pages,
    issuer.pages,
    endorsements.pages,
    approvals.pages,
    people.pages,
    requests.pages,
    retention.pages,
    administrators.pages,
    keys.pages,
    mail.pages,
    jobs.pages,
    audit_log.pages,
    figures.pages,
)
