"""`lti-tool demo`: database, tool, worker and demo LMS, each a process of its own, ended together.

The tool is set up by its own commands, as any operator would: nothing here knows its inside."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lti_tool.demo import demo_registrations

PATIENCE = 60  # seconds until the pages must answer


def run_group(*, port: int, lms_port: int, data: Path | None, environ: Mapping[str, str]) -> int:
    """Start everything, print the address to open, and wait for Ctrl-C. Returns 1 where something did not start."""
    if port == lms_port:
        print(f"lti-tool: --port and --lms-port are both {port}. Give two different ones.", file=sys.stderr)
        return 1
    for name, wanted in (("--port", port), ("--lms-port", lms_port)):
        if not is_free(wanted):
            print(f"lti-tool: port {wanted} is taken. Choose another with {name}.", file=sys.stderr)
            return 1
    with _folder(data) as folder:
        settings = _settings(environ, port, folder)
        processes: list[subprocess.Popen[bytes]] = []
        try:
            lms = ["-m", "lti_tool.demo", "--port", str(lms_port), "--data", str(folder / "lms"), "--tool", _base(port)]
            processes.append(_start(lms, settings))
            _command(settings, "db", "upgrade")
            _register(settings, lms_port)
            processes.append(_start(["-m", "lti_tool.cli", "serve", "--port", str(port)], settings))
            processes.append(_start(["-m", "lti_tool.cli", "worker"], settings))
            keys = demo_registrations(lms_port)[0]["jwks_url"]
            if not _wait_for((keys, f"{_base(port)}/readyz"), processes):
                return 1
            administrator = _command(settings, "admin", "invite").strip()
            _greet(port, lms_port, administrator, folder if data is not None else None)
            return _watch(processes)
        except KeyboardInterrupt:
            return 0
        finally:
            _end(processes)


def _base(port: int) -> str:
    return f"http://localhost:{port}"


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether nobody listens on a port; raises OSError where we may not listen there at all."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return True


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lti-tool-demo-")) if data is None else data.absolute()
    (folder / "lms").mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _settings(environ: Mapping[str, str], port: int, folder: Path) -> dict[str, str]:
    """Return the environment of the demo's processes: what the caller has set wins, so that a setting can be tried."""
    told = {
        "LTI_TOOL_SERVER__BASE_URL": _base(port),
        "LTI_TOOL_DATABASE__URL": f"sqlite:///{folder / 'tool.db'}",
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
        "LTI_TOOL_ISSUER__NAME": "Hallwood University",
        "LTI_TOOL_ISSUER__URL": "https://hallwood.example",
        "LTI_TOOL_ISSUER__SLUG": "hallwood",
        "LTI_TOOL_ISSUER__EMAIL": "badges@hallwood.example",
        "LTI_TOOL_ISSUER__DESCRIPTION": "The university of this demonstration.",
    }
    return {**told, **environ}


def _start(arguments: Sequence[str], settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *arguments], env=dict(settings), start_new_session=True)


def _command(settings: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lti_tool.cli", *arguments], env=dict(settings), capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr, end="", file=sys.stderr)
        raise SystemExit(done.returncode)
    return done.stdout


def _register(settings: Mapping[str, str], lms_port: int) -> None:
    known = {(row["issuer"], row["client_id"]) for row in json.loads(_command(settings, "platforms", "list", "--json"))}
    for told in demo_registrations(lms_port):
        if (told["issuer"], told["client_id"]) not in known:
            options = [part for name, value in told.items() for part in (f"--{name.replace('_', '-')}", value)]
            _command(settings, "platforms", "add", *options)


def _wait_for(addresses: Sequence[str], processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    until = time.monotonic() + PATIENCE
    for address in addresses:
        while not _answers(address):
            if any(process.poll() is not None for process in processes):
                print("lti-tool: a part of the demo ended before it was ready.", file=sys.stderr)
                return False
            if time.monotonic() > until:
                print(f"lti-tool: {address} did not answer within {PATIENCE} s.", file=sys.stderr)
                return False
            time.sleep(0.2)
    return True


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _greet(port: int, lms_port: int, administrator: str, kept: Path | None) -> None:
    where = f"Everything is kept in {kept}." if kept else "Nothing is kept: the data goes when this ends."
    print(
        f"\nOpen this address in a browser:\n\n    http://lms.localhost:{lms_port}/\n\n"
        f"It is a small LMS. Enter as an instructor, open Badges, and go on from there.\n"
        f"To look after the tool as its administrator, open this one, once:\n\n    {administrator}\n\n"
        f"The tool itself answers at {_base(port)}. {where}\nCtrl-C ends it.\n",
        flush=True,
    )


def _watch(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until a part ends: the rest is of no use without it."""
    while all(process.poll() is None for process in processes):
        time.sleep(0.3)
    print("lti-tool: a part of the demo has ended, so the rest is ended too.", file=sys.stderr)
    return 1


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 5
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
