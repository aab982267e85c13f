"""The scene of most tests: a demo LMS and the tool, both real, both over HTTP, on a database of its own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Playwright, sync_playwright

from tests.scene import RUNNING, Scene, make_database

# How long an example takes says how busy the machine is, and nothing about the program.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Modules and tests stay until the end: looking through them again and again for what can go costs a tenth of all.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def sign_ins_of_earlier_tests_do_not_count() -> None:
    for scene in RUNNING:
        scene.forget_sign_ins()


@pytest.fixture
def database_url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a test an empty database: SQLite, or PostgreSQL where TEST_DATABASE names a server."""
    prepared = not {"scene", "installed"}.isdisjoint(request.fixturenames)  # which would put the schema there
    with make_database(os.environ.get("TEST_DATABASE", ""), tmp_path, prepared=prepared) as url:
        yield url


@pytest.fixture
def scene(tmp_path: Path, database_url: str) -> Iterator[Scene]:
    """Start both sides, registered with each other, with nobody launched yet."""
    made = Scene(tmp_path, database_url)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Start Playwright, once for a process: it refuses to start a second time beside the first."""
    with sync_playwright() as running:
        yield running
