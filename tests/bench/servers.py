"""Processes the figures need: web servers on a core of their own, and a PostgreSQL of one's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def cores() -> tuple[set[int], set[int]]:
    """Return the core of the server that is measured, and the cores of whoever asks it; the same where there is one."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, set(available[1:]) or {available[0]}


def environment(told: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with settings of the tool in place of any that are there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LTI_TOOL_")}
    return {**kept, "PYTHONPATH": str(ROOT), **told}


@contextmanager
def web_server(command: Sequence[str], port: int, *, told: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a web server on the measured core while the block runs; gives its process id.

    Raises RuntimeError with its log where it does not start."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment(told),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, cores()[0]),
            start_new_session=True,
        )
        try:
            until = time.monotonic() + 30
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{' '.join(command[:3])} did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def processor_seconds(*roots: int) -> float:
    """Return the processor time these processes and their living descendants have used.

    Unlike the clock it does not run while others use the machine."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        pid = int(path.parent.name)
        parents[pid], spent[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(spent.get(pid, 0) for pid in wanted) / os.sysconf("SC_CLK_TCK")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """Run an empty PostgreSQL with its own defaults, each commit on disk (the tests' one is told not to).

    Gives its address and process id. Raises RuntimeError with what to install where it is not there: a figure is not
    skipped."""
    binaries = _postgresql_binaries()
    # PostgreSQL refuses to run as root; Debian's package makes the user `postgres`.
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-postgresql-") as folder:
        data = Path(folder) / "data"
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
            user=user, group=group, cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr[-2000:]}")
        log = Path(folder) / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"],
                user=user, group=group, cwd=folder, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            until = time.monotonic() + 30
            while subprocess.run(ready, check=False).returncode:
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield f"postgresql+psycopg://bench@127.0.0.1:{port}/postgres", server.pid
        finally:
            server.send_signal(signal.SIGINT)  # "fast": open connections are closed
            server.wait(20)


def postgresql_version() -> str:
    told = subprocess.run(
        [_postgresql_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return "PostgreSQL " + told.stdout.split()[2]


def _postgresql_binaries() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [*installed[::-1], *(Path(path).parent for path in [shutil.which("postgres")] if path)]
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError("The figures need PostgreSQL. Install it: apt-get install postgresql")
