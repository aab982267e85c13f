"""The demo as its command starts it, and a Chromium that blocks third-party cookies."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Error, FrameLocator, Locator, Page, Playwright, expect

from lti_tool.demo import group
from tests.commands import Origin

CHROMIUM = "/usr/bin/chromium"
START = 300  # seconds the demo may take on a loaded machine
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
    """A running demo: its two addresses, and the environment its commands need."""

    tool: str
    lms: str
    port: int
    folder: Path
    environ: dict[str, str]
    origin: Origin

    def command(self, *arguments: str) -> str:
        """Run a command of the tool against the running installation."""
        done = self.origin.run("lti_tool.cli", *arguments, environ=self.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    started = Origin()
    yield started
    started.stop()


@dataclass
class Installed:
    """What `lti-tool demo` has set up in its folder, for the two ports it was started with."""

    folder: Path
    port: int
    lms_port: int


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Run the demo as its command starts it until it says what to open, and end it: it starts again from its folder."""
    made = Installed(tmp_path_factory.mktemp("installed"), _free_port(), _free_port())
    ports = ["--port", str(made.port), "--lms-port", str(made.lms_port)]
    log = made.folder.with_suffix(".log")
    with log.open("wb") as out:
        command = [sys.executable, "-m", "lti_tool.cli", "demo", *ports, "--data", str(made.folder)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait_until(lambda: "Open this address" in log.read_text(), lambda: process.poll() is None, log)
        finally:
            process.terminate()
            process.wait(15)
    return made


@pytest.fixture(scope="module")  # not longer: each file tells a story of its own, with the same badges and people
def demo(tmp_path_factory: pytest.TempPathFactory, origin: Origin, installed: Installed) -> Iterator[Demo]:
    """Start the demo's three processes in a copy of what its command has set up."""
    folder = tmp_path_factory.mktemp("demo") / "installed"
    shutil.copytree(installed.folder, folder)
    port, lms_port = installed.port, installed.lms_port
    tool, lms = f"http://localhost:{port}", f"http://localhost:{lms_port}"
    environ = group._settings(os.environ, port, folder)
    log = folder / "log"
    told = ["--port", str(lms_port), "--data", str(folder / "lms"), "--tool", tool]
    running = []
    try:
        running.append(origin.start("lti_tool.demo", *told, environ=environ, out=log))
        running.append(origin.start("lti_tool.cli", "serve", "--port", str(port), environ=environ, out=log))
        running.append(origin.start("lti_tool.cli", "worker", environ=environ, out=log))
        for address in (group.demo_registrations(lms_port)[0]["jwks_url"], f"{tool}/readyz"):
            _wait_until(
                lambda address=address: group._answers(address),  # type: ignore[misc]
                lambda: all(origin.code_of(each) is None for each in running),
                log,
            )
        yield Demo(tool, lms.replace("localhost", "lms.localhost"), lms_port, folder, environ, origin)
    finally:
        for each in reversed(running):
            origin.end(each)


def _wait_until(done: Callable[[], bool], runs: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + START
    while not done():
        assert runs(), log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def _free_port() -> int:
    """Return a port that nobody listens on, below those that outgoing connections are given: it is taken again."""
    while True:
        port = random.randrange(15_000, 32_000)
        if group.is_free(port):
            return port


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


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Open a Chromium as it is delivered: each of its contexts knows nothing of the others."""
    opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
    yield opened
    opened.close()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    """Open a browser that knows nothing: no cookie, no launch."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


# Resolves once a page has loaded and has been drawn: a click into one that only just came is given to nobody.
DRAWN = """() => new Promise((done) => {
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
  if (document.readyState === "complete") drawn(); else window.addEventListener("load", drawn);
})"""


def at_rest(tool: FrameLocator) -> None:
    """Wait until nothing runs that the page follows: until then it is brought up to date under whoever clicks."""
    expect(tool.locator("[data-job], [data-again]")).to_have_count(0)
    steadily(lambda: tool.locator("body").evaluate(DRAWN))


def open_badge(tool: FrameLocator, name: str) -> None:
    """Open a badge from its course's page, and wait until its own page stands there."""
    tool.get_by_role("link", name=name, exact=True).click()
    expect(tool.get_by_role("link", name="Progress", exact=True)).to_have_attribute("aria-current", "page")
    at_rest(tool)


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
