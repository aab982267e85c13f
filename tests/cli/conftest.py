"""The commands as an operator types them, on an installation of their own or beside a running scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lti_tool import cli
from tests.scene import Scene, prepare_database


@dataclass
class Said:
    """What a command answered: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process. Wrong usage is argparse's exit, status 2."""

    def command(*arguments: str) -> Said:
        capsys.readouterr()
        try:
            status = cli.main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        told = capsys.readouterr()
        return Said(status, told.out, told.err)

    return command


@pytest.fixture
def empty(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Describe an installation in the environment, with nothing in its database yet; returns its folder."""
    told = {
        "LTI_TOOL_SERVER__BASE_URL": "https://badges.example.edu",
        "LTI_TOOL_DATABASE__URL": database_url,
        "LTI_TOOL_DATABASE__REVOCATIONS": str(tmp_path / "revocations.jsonl"),
        "LTI_TOOL_EVIDENCE__DIR": str(tmp_path / "evidence"),
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{tmp_path / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(tmp_path / "keys"),
        "LTI_TOOL_ISSUER__NAME": "Hallwood University",
        "LTI_TOOL_ISSUER__URL": "https://hallwood.example",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def installed(empty: Path, database_url: str, run: Run) -> Path:
    """An installation whose database has its schema."""
    prepare_database(database_url)
    assert run("db", "upgrade").status == 0
    return empty


@pytest.fixture
def beside(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Point the commands at the installation of a running scene."""
    settings = scene.settings
    told = {
        "LTI_TOOL_SERVER__BASE_URL": settings.base_url,
        "LTI_TOOL_DATABASE__URL": settings.database.url,
        "LTI_TOOL_DATABASE__REVOCATIONS": settings.database.revocations,
        "LTI_TOOL_EVIDENCE__DIR": settings.evidence.dir,
        "LTI_TOOL_QUEUE__URL": settings.queue.url,
        "LTI_TOOL_KEYS__DIR": str(settings.keys.dir),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
        "LTI_TOOL_ISSUER__SLUG": settings.issuer.slug,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return scene
