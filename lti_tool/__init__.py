"""Awards Open Badges inside a course, from rubric grades that come back over LTI 1.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from lti_tool.settings import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """Make the web application, for any WSGI server. Raises ConfigurationError where it cannot start as it is."""
    from datetime import UTC, datetime

    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from lti_tool import jobs, logs, web
    from lti_tool.migrations import schema
    from lti_tool.security import add_headers
    from lti_tool.services import revocations
    from lti_tool.services.issuer import ensure_issuer
    from lti_tool.services.tool import open_tool
    from lti_tool.settings import load_settings

    settings = settings or load_settings()
    logs.start(settings.log.format, settings.server.log_level)
    tool = open_tool(settings)
    schema.check(tool.db)
    ensure_issuer(tool)
    revocations.keep(tool, datetime.now(UTC))
    queue = jobs.connect(tool)

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.server.max_upload
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.server.max_upload
    app.extensions["lti_tool"] = tool
    app.extensions["queue"] = queue
    if proxies := settings.server.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    web.add_to(app)
    app.after_request(add_headers)
    return app
