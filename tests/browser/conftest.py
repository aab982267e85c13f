"""The demo as its command starts it, and a Chromium that blocks third-party cookies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import BrowserContext, Error, FrameLocator, Locator, Page, Playwright, expect

CHROMIUM = "/usr/bin/chromium"
START = 90  # seconds the demo may take on a loaded machine
# Milliseconds: a job that had to be tried again on a busy machine is taken up by the next sweep, a minute later.
PATIENCE = 100_000
expect.set_options(timeout=PATIENCE)
# What Chromium writes when a person chooses "Block third-party cookies" in its settings.
BLOCKED = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}
# What it writes for "Block all cookies"; partitioned ones are blocked with them.
NONE = {"default_content_setting_values": {"cookies": 2}}
# One process for a page and the frames of other sites in it: with two, a click goes to the page around while a frame of
# a busy machine has not been drawn anew (seen in Chromium 156). Cookies and their partitions know nothing of processes.
TOGETHER = "--disable-site-isolation-trials"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", TOGETHER]


@dataclass
class Demo:
    """A running `lti-tool demo`: its two addresses, and the environment its commands need."""

    tool: str
    lms: str
    port: int
    folder: Path
    environ: dict[str, str]

    def command(self, *arguments: str) -> str:
        """Run a command of the tool against the running installation."""
        done = subprocess.run(
            [sys.executable, "-m", "lti_tool.cli", *arguments], env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")  # not longer: each file tells a story of its own, with the same badges and people
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    port, lms_port = _free_port(), _free_port()
    log = (folder / "log").open("wb")
    command = ["-m", "lti_tool.cli", "demo", "--port", str(port), "--lms-port", str(lms_port), "--data", str(folder)]
    process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT)
    told = {
        "LTI_TOOL_SERVER__BASE_URL": f"http://localhost:{port}",
        "LTI_TOOL_DATABASE__URL": f"sqlite:///{folder / 'tool.db'}",
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
    }
    try:
        _wait_for_address(process, folder / "log")
        yield Demo(
            f"http://localhost:{port}", f"http://lms.localhost:{lms_port}", lms_port, folder, {**os.environ, **told}
        )
    finally:
        process.terminate()
        process.wait(15)
        log.close()


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START
    while "Open this address" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def blocking(playwright: Playwright, tmp_path: Path) -> Iterator[BrowserContext]:
    """Open a browser in which a frame of another site gets no cookie but a partitioned one."""
    yield from _with_preferences(playwright, tmp_path, BLOCKED)


@pytest.fixture
def first_party_only(playwright: Playwright, tmp_path: Path, demo: Demo) -> Iterator[BrowserContext]:
    """Open a browser in which a frame of another site gets no cookie at all, and a window of its own keeps them."""
    own = {f"{address},{address}": {"setting": 1} for address in (demo.tool, demo.lms)}
    yield from _with_preferences(playwright, tmp_path, {"profile": {**NONE, "content_settings": _exceptions(own)}})


@pytest.fixture
def without_cookies(playwright: Playwright, tmp_path: Path) -> Iterator[BrowserContext]:
    """Open a browser that keeps no cookie of anybody, anywhere."""
    yield from _with_preferences(playwright, tmp_path, {"profile": NONE})


@pytest.fixture
def without_script(playwright: Playwright, tmp_path: Path) -> Iterator[BrowserContext]:
    """Open a browser that keeps no cookie and runs no script."""
    yield from _with_preferences(playwright, tmp_path, {"profile": NONE}, java_script_enabled=False)


def _exceptions(cookies: dict[str, Any]) -> dict[str, Any]:
    return {"exceptions": {"cookies": cookies}}


def _with_preferences(
    playwright: Playwright, folder: Path, preferences: dict[str, Any], **options: Any
) -> Iterator[BrowserContext]:
    profile = folder / "profile" / "Default"
    profile.mkdir(parents=True)
    (profile / "Preferences").write_text(json.dumps(preferences))
    context = playwright.chromium.launch_persistent_context(
        str(profile.parent), executable_path=CHROMIUM, args=QUIET, viewport={"width": 1100, "height": 900}, **options
    )
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def stranger(playwright: Playwright) -> Iterator[BrowserContext]:
    """Open a browser that knows nothing: no cookie, no launch."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    browser.close()


def at_rest(tool: FrameLocator) -> None:
    """Wait until nothing runs that the page follows: until then it is brought up to date under whoever clicks."""
    expect(tool.locator("[data-job], [data-again]")).to_have_count(0)


def press_below(control: Locator) -> None:
    """Press one of the LMS's controls beneath the tool's frame, by keyboard.

    The frame grows with the tool's page; where that happens between a mouse's going down and up, the control has moved
    away meanwhile and no click is made of it (seen on a machine under load)."""
    control.press("Enter")


def steadily(look: Callable[[], Any]) -> Any:
    """Look at a page, again where it was replaced meanwhile: by where a click leads, or by what a job has changed."""
    for _ in range(2):
        try:
            return look()
        except Error as gone:
            if "Execution context was destroyed" not in str(gone):
                raise
    return look()


def save_grades(page: Page) -> None:
    """Save the demo LMS's gradebook and wait until it is: who goes elsewhere at once takes the request along."""
    page.get_by_role("button", name="Save grades").first.click()
    expect(page.get_by_text("Grades saved.")).to_be_visible()


def status_of(url: str) -> int:
    return requests.get(url, timeout=10).status_code
