"""PostgreSQL and Redis for the tests: started by hand on a free port, in a folder that goes when they end.

    python -m tests.servers COMMAND …     runs a command beside both, their addresses in TEST_DATABASE and TEST_REDIS

As a plugin (`pytest -p tests.servers`) it leaves only the tests that have a database, so that exactly those run once
more on PostgreSQL and none of them has to be named anywhere. Those in a browser bring a database of their own, or look
at pages that are the same on any: they are collected, so that a module that cannot be imported ends the run, and left
out."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 30  # seconds until a server must answer
# What protects data in a power cut is left out: nothing here outlives the tests. So is what tidies up in the background
# and what pays for itself in long queries: hundreds of databases with a few rows each come and go.
POSTGRES = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "jit": "off",
    "max_connections": "300",
    "listen_addresses": "127.0.0.1",
}

ROOM = 4 * 2**30  # bytes a run may need

BROWSER = Path(__file__).parent / "browser"
ON_A_DATABASE = {"database_url", "shared"}  # the fixtures that make one, in conftest.py and classroom.py


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server and give its address. It refuses to run as root, so root hands it to `postgres`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL is not installed: apt-get install postgresql"
    programs = found[-1]
    port, owner = free_port(), "postgres" if os.geteuid() == 0 else None
    with _folder(owner) as folder:
        data = folder / "data"
        made = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*made, "--locale=C.UTF-8"], user=owner, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        options = {**POSTGRES, "port": str(port), "unix_socket_directories": str(folder)}
        command = [
            str(programs / "postgres"),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with _running(command, folder, owner):
            _wait_for(port, folder)
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", str(PATIENCE)]
            _repeat(lambda: subprocess.run(ready, check=False).returncode == 0, folder)
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def redis() -> Iterator[str]:
    """Start a Redis server that keeps nothing, and give its address."""
    port = free_port()
    assert shutil.which("redis-server"), "Redis is not installed: apt-get install redis-server"
    with _folder(None) as folder:
        options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
        command = ["redis-server", *(part for name, value in options.items() for part in (f"--{name}", value))]
        with _running(command, folder, None):
            _wait_for(port, folder)
            yield f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def in_memory() -> Path | None:
    """Return a file system in memory with room for a run, if there is one: on disk a database's thousand files take as
    long as its tests."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > ROOM
    return shared if roomy else None


@contextmanager
def _folder(owner: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lti-tool-tests-", dir=in_memory()))
    try:
        if owner is not None:
            entry = pwd.getpwnam(owner)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: Sequence[str], folder: Path, owner: str | None) -> Iterator[None]:
    """Run a server while the block runs. SIGINT is PostgreSQL's fast shutdown, and Redis' orderly one."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, user=owner, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield
        finally:
            process.send_signal(2)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, folder: Path) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    _repeat(answers, folder)


def _repeat(done: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, f"the server did not start:\n{(folder / 'log').read_text(errors='replace')}"
        time.sleep(0.05)


# -- as a plugin of pytest, and as a command --------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if BROWSER in item.path.parents or not _has_a_database(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _has_a_database(item: pytest.Item) -> bool:
    return bool(ON_A_DATABASE & set(getattr(item, "fixturenames", ())))


def main(command: Sequence[str]) -> int:
    with postgresql() as database, redis() as queue:
        environment = {**os.environ, "TEST_DATABASE": database, "TEST_REDIS": queue}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
