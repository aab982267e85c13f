"""More than one machine, as README.md has it: two web applications and two workers on PostgreSQL and Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from sqlalchemy import create_engine, text

from tests import servers
from tests.test_compose import ROOT, started

COMMAND = [sys.executable, "-m", "lti_tool.cli"]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, str]]:
    with servers.postgresql() as database, servers.redis() as queue:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LTI_TOOL_")}
        yield {
            **inherited,
            "LTI_TOOL_SERVER__BASE_URL": "https://badges.example.edu",
            "LTI_TOOL_DATABASE__URL": database,
            "LTI_TOOL_DATABASE__REVOCATIONS": str(tmp_path / "revocations.jsonl"),
            "LTI_TOOL_QUEUE__URL": queue,
            "LTI_TOOL_KEYS__DIR": str(tmp_path / "keys"),
            "LTI_TOOL_ISSUER__NAME": "Example University",
            "LTI_TOOL_ISSUER__URL": "https://www.example.edu",
            "LTI_TOOL_LOG__FORMAT": "json",
        }


def run(told: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=told, cwd=ROOT, capture_output=True, text=True, check=False)


def until_ready(port: int) -> requests.Response:
    end = time.monotonic() + 60
    while True:
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
            if answer.status_code == 200:
                return answer
        except requests.ConnectionError:
            pass
        assert time.monotonic() < end, f"port {port} is not ready"
        time.sleep(0.3)


def until_seen(told: dict[str, str], workers: int) -> None:
    engine = create_engine(told["LTI_TOOL_DATABASE__URL"])
    end = time.monotonic() + 60
    while True:
        with engine.connect() as connection:
            seen = connection.execute(text("SELECT count(*) FROM presence WHERE kind = 'worker'")).scalar_one()
        if seen == workers:
            engine.dispose()
            return
        assert time.monotonic() < end, f"{seen} workers are alive"
        time.sleep(0.3)


def test_two_web_applications_and_two_workers_backup_and_restore(told: dict[str, str], tmp_path: Path) -> None:
    assert run(told, "db", "upgrade").returncode == 0
    ports = [servers.free_port(), servers.free_port()]
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(started([*COMMAND, "serve", "--port", str(port), "--workers", "2"], told))
        stack.enter_context(started([*COMMAND, "worker"], told))
        stack.enter_context(started([*COMMAND, "worker", "--no-periodic"], told))
        for port in ports:
            assert until_ready(port).text.count(": ok") == 5
        until_seen(told, 2)
        assert run(told, "worker", "--check").returncode == 0
        # whichever answers tells the figures of all
        for port in ports:
            figures = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            assert 'lti_tool_seen_seconds_ago{kind="worker"}' in figures
            assert 'lti_tool_seen_seconds_ago{kind="schedule"}' in figures
        examined = run(told, "doctor")
        assert examined.returncode == 0, examined.stdout
        assert "2 alive" in examined.stdout and "queue" in examined.stdout
        backed_up = run(told, "db", "backup", str(tmp_path / "tool.dump"))
        assert backed_up.returncode == 0, backed_up.stderr
        refused = run(told, "db", "restore", str(tmp_path / "tool.dump"))
        assert refused.returncode == 1 and "A worker is running" in refused.stderr
    restored = run(told, "db", "restore", str(tmp_path / "tool.dump"))
    assert restored.returncode == 0, restored.stderr
    assert list(tmp_path.glob("before-restore-*.dump"))
    assert run(told, "worker", "--check").returncode == 1
