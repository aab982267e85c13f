"""A platform that says and does whatever a test wants: real HTTP, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.serving import make_server

PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
TAKEN: set[int] = set()


class PlatformServer:
    """`changes` are put over its configuration (None: left out); `answer` makes the answer to a registration.

    `seen` are the requests it got, `tokens` what they carried as Authorization."""

    def __init__(self, host: str = "localhost") -> None:
        app = Flask("platform_server")
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        while self.server.server_port in TAKEN:  # given again by the system, and known here as another platform's
            earlier, self.server = self.server, make_server("127.0.0.1", 0, app, threaded=True)
            earlier.server_close()
        TAKEN.add(self.server.server_port)
        self.url = f"http://{host}:{self.server.server_port}"
        self.changes: dict[str, Any] = {}
        self.described: dict[str, Any] = {"product_family_code": "other-lms"}
        self.moved_to: str | None = None
        self.before_configuration: Callable[[], None] = lambda: None
        self.answer: Callable[[], Response] = lambda: jsonify(client_id=f"client-{len(self.asked)}")
        self.seen: list[str] = []
        self.tokens: list[str | None] = []
        self.asked: list[dict[str, Any]] = []

        @app.before_request
        def note() -> None:
            self.seen.append(request.path)
            self.tokens.append(request.headers.get("Authorization"))

        @app.get("/configuration")
        def configuration() -> Any:
            self.before_configuration()
            return redirect(self.moved_to) if self.moved_to else jsonify(self.configuration())

        @app.get("/elsewhere")
        def elsewhere() -> Any:
            return jsonify(self.configuration())

        @app.post("/register")
        def register() -> Response:
            self.asked.append(request.get_json())
            return self.answer()

        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def config_url(self) -> str:
        return f"{self.url}/configuration"

    def configuration(self) -> dict[str, Any]:
        told = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "registration_endpoint": f"{self.url}/register",
            PLATFORM: self.described,
            **self.changes,
        }
        return {name: value for name, value in told.items() if value is not None}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
