"""What an operator runs into by mistake is one line on stderr, never a traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lti_tool.services import sync, work
from tests.cli.conftest import Run, Said
from tests.cli.test_course import FILE, course, put  # noqa: F401 (a fixture)
from tests.cli.test_operator import options
from tests.scene import LIBRARY, Scene, now

DATABASE = "LTI_TOOL_DATABASE__URL"
NOBODY_THERE = "postgresql+psycopg://tool:sesame@127.0.0.1:1/badges?application_name=opensesame"


def is_one_line(said: Said, *parts: str) -> bool:
    return said.out == "" and len(said.err.splitlines()) == 1 and all(part in said.err for part in parts)


@pytest.fixture
def taken() -> Iterator[str]:
    """A port somebody listens on, as granian does: ready to share it."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield str(listening.getsockname()[1])


# -- database and files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("platforms", "list"), ("db", "upgrade"), ("serve",), ("worker",), ("sync",)])
def test_a_database_that_does_not_answer_is_one_line_without_its_password(
    empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(DATABASE, NOBODY_THERE)
    said = run(*words)
    assert said.status == 1 and is_one_line(said, "127.0.0.1:1/badges", "cannot be reached", "database.url")
    assert "sesame" not in said.err


@pytest.mark.parametrize("what", ["folder", "text"])
def test_a_path_that_is_no_database_is_one_line(
    empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (empty / "folder").mkdir()
    (empty / "text").write_text("no database at all\n" * 100)
    monkeypatch.setenv(DATABASE, f"sqlite:///{empty / what}")
    said = run("platforms", "list")
    assert said.status == 1 and is_one_line(said, str(empty / what), "cannot be reached")


def test_a_queue_that_does_not_answer_is_one_line_without_its_password(
    installed: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTI_TOOL_QUEUE__URL", "redis://:sesame@127.0.0.1:1/0")
    said = run("worker")
    assert said.status == 1 and is_one_line(said, "redis://127.0.0.1:1/0", "cannot be reached", "queue.url")


def test_doctor_finds_a_database_that_does_not_answer(empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, NOBODY_THERE)
    said = run("doctor", "--json")
    (wrong,) = [row for row in said.json if not row["ok"]]
    assert said.status == 1 and wrong["check"] == "database" and "cannot be reached" in wrong["sentence"]
    assert "sesame" not in said.out + said.err


def test_a_file_where_a_folder_is_wanted_is_one_line(course: Scene, run: Run, tmp_path: Path) -> None:  # noqa: F811
    put(run, course, FILE, publish=False)
    (tmp_path / "file").touch()
    where = ["--platform", str(course.platform[course.mood]), "--context", course.context]
    said = run("badges", "export", *where, "--to", str(tmp_path / "file"))
    assert said.status == 1 and is_one_line(said, str(tmp_path / "file"), "File exists")


def test_keys_are_listed_without_making_any(empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, f"sqlite:///{empty / 'data' / 'tool.db'}")
    said = run("keys", "list")
    assert said.status == 0 and "no keys" in said.out
    assert json.loads(run("keys", "list", "--json").out) == []
    assert not (empty / "keys").exists() and not (empty / "data").exists()


# -- ports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["demo", "serve"])
@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "http"])
def test_what_is_no_port_is_wrong_usage(run: Run, command: str, port: str) -> None:
    said = run(command, f"--port={port}")
    assert said.status == 2 and "1 to 65535" in said.err


def test_serve_does_not_share_a_port(installed: Path, run: Run, taken: str) -> None:
    said = run("serve", "--port", taken)
    assert said.status == 1 and is_one_line(said, f"port {taken} is taken", "--port")


def test_the_demo_wants_two_ports_that_are_free(run: Run, taken: str) -> None:
    assert is_one_line(run("demo", "--port", "8123", "--lms-port", "8123"), "both 8123")
    said = run("demo", "--port", taken)
    assert said.status == 1 and is_one_line(said, f"port {taken} is taken")


def test_the_demo_wants_a_folder_for_its_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(str(probe.getsockname()[1]))
    said = run("demo", "--port", ports[0], "--lms-port", ports[1], "--data", str(tmp_path / "file"))
    assert said.status == 1 and is_one_line(said, str(tmp_path / "file"))


# -- ids --------------------------------------------------------------------------------------------------------


def test_an_award_that_is_not_there_is_told_alike_by_show_and_revoke(installed: Path, run: Run) -> None:
    shown = run("awards", "show", "0" * 32)
    revoked = run("awards", "revoke", "0" * 32, "--reason", "by mistake")
    assert revoked.status == 1 and revoked.err == shown.err and "awards list" in revoked.err


def test_revoking_without_a_reason_only_asks_for_one(course: Scene, run: Run) -> None:  # noqa: F811
    put(run, course, FILE)
    course.grade("student1", 4, 4, 4, 4)
    run("sync")
    (award,) = run("awards", "list", "--json").json
    said = run("awards", "revoke", award["id"], "--reason", " ")
    assert said.status == 1 and is_one_line(said, "Say why") and "Look at" not in said.err


def test_an_import_names_the_platform_or_deployment_that_is_not_there(installed: Path, run: Run) -> None:
    file, where = str(LIBRARY / "empathy.toml"), ["--context", "EMP101"]
    said = run("badges", "import", file, "--platform", "9", *where)
    assert said.err == "lti-tool: There is no platform 9. See lti-tool platforms list.\n"
    run("platforms", "add", *options(), "--deployment-id", "1:a")
    said = run("badges", "import", file, "--platform", "1", *where, "--deployment", "1:b")
    assert said.err == "lti-tool: Platform 1 has no deployment '1:b'. See lti-tool deployments list.\n"
    said = run("badges", "import", file, "--platform", "1", *where, "--deployment", "1:a")
    assert said.status == 1 and "no course 'EMP101'" in said.err


def test_a_sync_that_fails_is_one_line_and_its_log_is_the_worker_s(course: Scene, run: Run) -> None:  # noqa: F811
    put(run, course, FILE)
    course.lms.faults.on("results", "html")
    command = [sys.executable, "-m", "lti_tool.cli", "sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # with a log of its own
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("lti-tool: ")


def test_a_platform_that_is_switched_off_is_not_synced_in_silence(installed: Path, run: Run) -> None:
    run("platforms", "add", *options())
    run("platforms", "disable", "1")
    said = run("sync", "--platform", "1")
    assert said.status == 1 and is_one_line(said, "switched off", "platforms enable 1")


def test_a_job_that_was_done_is_not_said_to_be_tried_again(course: Scene, run: Run) -> None:  # noqa: F811
    put(run, course, FILE)
    (course_id,) = sync.courses_to_sync(course.tool)
    job_id = work.request(course.tool, "sync", str(course_id), now())
    work.wait(course.tool, job_id, {"sync": lambda *_: {}})
    said = run("jobs", "retry", str(job_id))
    assert said.status == 0 and said.out == f"Job {job_id} was done already; nothing was tried again.\n"
