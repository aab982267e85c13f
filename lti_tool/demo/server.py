"""Starts the demo LMS: inside a test, or as `lti-tool demo`'s own process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from . import pages, people, platform
from .canvas import ACCOUNT_ID, Canvas
from .faults import UPPER_PATHS
from .lms import MOODS, Lms

CANVAS_CLIENT_ID, CANVAS_DEPLOYMENT = "10000000000001", f"1:{ACCOUNT_ID}"
CANVAS_API_CLIENT_ID = "10000000000900"
MOODLE_CLIENT_ID, MOODLE_DEPLOYMENT = "demo-moodle-client", "1"
FIXED = {"canvas": (CANVAS_CLIENT_ID, CANVAS_DEPLOYMENT), "moodle": (MOODLE_CLIENT_ID, MOODLE_DEPLOYMENT)}


class QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: `lms.requests` is the log."""


def handler_with(lmses: Sequence[Lms]) -> type[QuietHandler]:
    """Make a handler whose Date is the time the LMS believes it is."""

    class Handler(QuietHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(lmses[0].clock() if timestamp is None else timestamp)

    return Handler


class UpperPaths:
    """Answers `/API/LTI/` like `/api/lti/`, for next links with an upper-case path."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        for lower, upper in UPPER_PATHS.items():
            if upper in environ["PATH_INFO"]:
                environ["PATH_INFO"] = environ["PATH_INFO"].replace(upper, lower)
                environ["demo.upper_path"] = True
        return self.application(environ, start_response)


def create_app(lmses: Sequence[Lms]) -> Flask:
    """Make one site of several LMSs, each under the prefix of its mood."""
    app = Flask(__name__)
    for lms in lmses:
        app.register_blueprint(platform.blueprint(lms))
        app.register_blueprint(pages.blueprint(lms))
    app.register_blueprint(pages.site(list(lmses)))
    app.wsgi_app = UpperPaths(app.wsgi_app)  # type: ignore[method-assign]
    return app


@contextmanager
def serve(app: Flask, host: str = "127.0.0.1", port: int = 9000) -> Iterator[BaseWSGIServer]:
    """Serve in a thread while the block runs."""
    server = make_server(host, port, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


class Running:
    """A running site. Use it in a `with`, or call `stop()`."""

    def __init__(self, lmses: Sequence[Lms], host: str, port: int, listener: socket.socket | None = None) -> None:
        self.lmses = {lms.name: lms for lms in lmses}
        self.port = port
        self.url = f"http://localhost:{port}"
        self.app = create_app(lmses)
        self.server = make_server(
            host,
            port,
            self.app,
            threaded=True,
            request_handler=handler_with(lmses),
            fd=listener.fileno() if listener else None,
        )
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def canvas(self) -> Lms:
        return self.lmses["canvas"]

    @property
    def moodle(self) -> Lms:
        return self.lmses["moodle"]

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    moods: Sequence[str] = ("canvas", "moodle"),
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    clock: Callable[[], float] = time.time,
    filled: bool = True,
    data_dir: Path | str | None = None,
    server_base: str | None = None,
    browser_base: str | None = None,
    private_keys: Mapping[str, Iterable[RSAPrivateKey]] | None = None,
) -> Running:
    """Start a site in a thread; port 0 takes a free one. `filled` puts in the demo's two courses.

    `private_keys` are by mood, as for `Lms`."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    taken = listener.getsockname()[1]
    server_base = server_base or f"http://localhost:{taken}"
    browser_base = browser_base or f"http://lms.localhost:{taken}"
    keys = private_keys or {}
    lmses = [
        build(
            mood,
            server_base,
            browser_base,
            clock=clock,
            filled=filled,
            data_dir=data_dir,
            private_keys=keys.get(mood, ()),
        )
        for mood in moods
    ]
    running = Running(lmses, host, taken, listener)
    listener.close()  # the server has its own handle on the same socket
    return running


def build(
    mood: str,
    server_base: str,
    browser_base: str,
    *,
    clock: Callable[[], float] = time.time,
    filled: bool = True,
    data_dir: Path | str | None = None,
    private_keys: Iterable[RSAPrivateKey] = (),
) -> Lms:
    """Make an LMS, from its snapshot where there is one."""
    state_path = Path(data_dir) / f"{mood}.json" if data_dir else None
    lms = Lms(mood, server_base, browser_base, clock, state_path, private_keys)
    if filled and not lms.courses:
        lms.state_path = None  # one snapshot at the end instead of one for each person
        people.fill(lms)
        lms.state_path = state_path
        lms.changed()
    return lms


def demo_registrations(port: int = 9000) -> list[dict[str, str]]:
    """Give what `lti-tool platforms add` needs to know of the demo's two platforms."""
    rows = []
    for mood, (client_id, deployment_id) in FIXED.items():
        root, browser_root = f"http://localhost:{port}/{mood}", f"http://lms.localhost:{port}/{mood}"
        kind = MOODS[mood]
        rows.append(
            {
                "name": f"Demo {kind.title}",
                "issuer": root,
                "client_id": client_id,
                "auth_login_url": browser_root + kind.auth_path,
                "auth_token_url": root + kind.token_path,
                "jwks_url": root + kind.jwks_path,
                "deployment_id": deployment_id,
                "product": kind.product,
            }
        )
    return rows


def run(
    port: int = 9000,
    data_dir: Path | str | None = None,
    tool_base: str = "http://localhost:8000",
    ready: Callable[[], None] | None = None,
    host: str = "127.0.0.1",
    tool_jwks: str | None = None,
    server_base: str | None = None,
) -> None:
    """Serve both moods until interrupted, with the tool at `tool_base` registered in each.

    `ready` is called once the port is open. The browser's address is lms.localhost: for a browser that is another
    site than localhost, so the tool's iframe is a third party as in a real LMS. In containers of their own the two
    sides find each other by other names than the browser does: `server_base` is ours, `tool_jwks` the tool's.
    """
    lmses = []
    for mood, (client_id, deployment_id) in FIXED.items():
        lms = build(mood, server_base or f"http://localhost:{port}", f"http://lms.localhost:{port}", data_dir=data_dir)
        tool_base = tool_base.rstrip("/")
        addresses: dict[str, Any] = {
            "login_url": f"{tool_base}/lti/login",
            "launch_url": f"{tool_base}/lti/launch",
            "jwks_url": tool_jwks or f"{tool_base}/.well-known/jwks.json",
        }
        if client_id in lms.tools:
            tool = lms.tools[client_id]
            tool.login_url, tool.launch_url, tool.jwks_url = addresses.values()
            tool.redirect_uris = [tool.launch_url]
            lms.changed()
        else:
            lms.register_tool(**addresses, client_id=client_id, deployment_ids=[deployment_id])
        if isinstance(lms.mood, Canvas) and not lms.mood.rest.keys:
            lms.mood.rest.add_key(f"{tool_base}/connect/canvas", client_id=CANVAS_API_CLIENT_ID)
        lmses.append(lms)
    server = make_server(host, port, create_app(lmses), threaded=True, request_handler=QuietHandler)
    if ready:
        ready()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
