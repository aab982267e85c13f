"""Fixtures of the lti room, for every folder of tests that needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from lti_tool import demo
from lti_tool.demo.server import serve
from lti_tool.keyring import Key
from lti_tool.lti.jwks import public_jwks
from tests.lti.room import Clock, Room, make_key


@pytest.fixture(scope="session")
def tool_key() -> Key:
    return make_key()


@pytest.fixture(scope="session")
def tool_jwks_url(tool_key: Key) -> Iterator[str]:
    app = Flask("tool_jwks")
    app.add_url_rule("/jwks", view_func=lambda: public_jwks([tool_key]))
    with serve(app, port=0) as server:
        yield f"http://localhost:{server.server_port}/jwks"


@pytest.fixture(scope="session")
def lms_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def site(lms_clock: Clock) -> Iterator[Any]:
    with demo.start(clock=lms_clock.seconds) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def canvas(site: Any, tmp_path: Path, tool_key: Key, tool_jwks_url: str, clock: Clock, lms_clock: Clock) -> Room:
    lms_clock.ahead = 0
    return Room(site.canvas, tmp_path, tool_key, tool_jwks_url, clock)


@pytest.fixture
def moodle(site: Any, tmp_path: Path, tool_key: Key, tool_jwks_url: str, clock: Clock, lms_clock: Clock) -> Room:
    lms_clock.ahead = 0
    return Room(site.moodle, tmp_path, tool_key, tool_jwks_url, clock)


@pytest.fixture(params=["canvas", "moodle"])
def room(
    request: Any, site: Any, tmp_path: Path, tool_key: Key, tool_jwks_url: str, clock: Clock, lms_clock: Clock
) -> Room:
    lms_clock.ahead = 0
    return Room(site.lmses[request.param], tmp_path, tool_key, tool_jwks_url, clock)
