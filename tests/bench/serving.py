"""How many credentials a second one worker answers to strangers: `python -m tests.bench.serving [rounds [seconds]]`.

`lti-tool serve --workers 1` on one core, and readers on another who ask for the public credentials of a class, one
after the other. A page is made when it is first asked for, and kept while nothing is written: the first round through
all of them is a row of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select, update

from lti_tool import create_app
from lti_tool.db import Database
from lti_tool.migrations import schema
from lti_tool.models import Award, Edition
from lti_tool.settings import load_settings
from tests.bench import syncs
from tests.bench.classroom import classroom
from tests.bench.generator import CONNECTIONS, over_connections
from tests.bench.servers import ROOT, cores, environment, free_port, postgresql, processor_seconds, web_server
from tests.bench.table import Figure, table
from tests.scene import make_database, now

ROUNDS, SECONDS = 5, 3.0
CREDENTIALS = 200


class Readers:
    """The process that asks; see `main`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.serving", "readers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment({}),
        )

    def ask(self, pids: tuple[int, ...], **asked: Any) -> dict[str, float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        before = processor_seconds(*pids)
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the readers ended, see above")
        found: dict[str, float] = json.loads(line)
        return {**found, "cpu": (processor_seconds(*pids) - before) / found["done"]}

    def stop(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(30)


@contextmanager
def credentials(folder: Path, database_url: str) -> Iterator[tuple[int, int, list[str]]]:
    """Serve a class's public credentials; gives port, process id and the paths of their pages."""
    folder.mkdir()
    port = free_port()
    told = {
        "LTI_TOOL_SERVER__BASE_URL": f"http://localhost:{port}",
        "LTI_TOOL_SERVER__PAGES_PER_MINUTE": "1000000000",
        "LTI_TOOL_DATABASE__URL": database_url,
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
        "LTI_TOOL_ISSUER__NAME": "Hallwood University",
        "LTI_TOOL_ISSUER__URL": "https://hallwood.example",
        "LTI_TOOL_ISSUER__SLUG": "hallwood",
    }
    schema.upgrade(Database(database_url))
    app = create_app(load_settings(told))
    tool = app.extensions["lti_tool"]
    with classroom("moodle", CREDENTIALS) as lms:
        course = syncs.open_course(app, tool, lms, "moodle", told["LTI_TOOL_SERVER__BASE_URL"])
        lms.grade_all(syncs.POINTS)
        syncs.one_sync(tool, course)
    with tool.db.write() as session:
        session.execute(update(Award).values(page_public=True, claimed_at=now()))
        paths = [f"/credentials/{each}" for each in session.scalars(select(Edition.id))]
    tool.db.engine.dispose()
    command = ["-m", "lti_tool.cli", "serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with web_server(command, port, told=told, log=folder / "log") as pid:
        yield port, pid, paths


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> str:
    """Return the table."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-serving-")))
        readers = Readers()
        stack.callback(readers.stop)
        server, postmaster = stack.enter_context(postgresql())
        servers = []
        for name, database, more in (("SQLite", "", ()), ("PostgreSQL", server, (postmaster,))):
            url = stack.enter_context(make_database(database, folder))
            port, pid, paths = stack.enter_context(credentials(folder / name, url))
            servers.append((name, port, (pid, *more), paths))
            asked = {"port": port, "paths": paths, "headers": {}, "status": 200}
            first = readers.ask((pid, *more), **asked, seconds=0, least=len(paths))
            found["the page, made for the first time", name] = [first]
        for _ in range(rounds):
            for name, port, pids, paths in servers:
                files = [f"{path}.json" for path in paths]
                for what, asked in (
                    ("the page, kept", {"paths": paths, "headers": {}, "status": 200}),
                    ("the signed JSON", {"paths": files, "headers": {}, "status": 200}),
                    ("the signed JSON, unchanged since", {"paths": files, "headers": {}, "status": 304}),
                ):
                    if what == "the page, kept":  # made again first: the minute it was made in may be over
                        again = readers.ask(pids, port=port, **asked, seconds=0, least=len(paths))
                        found.setdefault(("the page, some made again", name), []).append(again)
                    answer = readers.ask(pids, port=port, **asked, seconds=seconds, least=0)
                    found.setdefault((what, name), []).append(answer)
    return _table(found, rounds, seconds)


def _table(found: dict[tuple[str, str], list[dict[str, float]]], rounds: int, seconds: float) -> str:
    def figure(runs: list[dict[str, float]], what: str, times: float = 1) -> Figure:
        return Figure([times * run[what] for run in runs])

    rows = [
        (
            f"{what}, {name}",
            f"{figure(runs, 'rate'):.0f}",
            f"{figure(runs, 'cpu', 1000):.2f}",
            f"{1 / figure(runs, 'cpu').median:.0f}",
            f"{figure(runs, 'median').median * 1000:.1f}",
            f"{figure(runs, 'slow').median * 1000:.1f}",
            f"{figure(runs, 'busy').median:.0%}",
        )
        for (what, name), runs in sorted(found.items(), key=lambda each: (each[0][1] != "SQLite", each[0][0]))
    ]
    head = ("", "answers/s", "processor ms", "answers a processor second", "median ms", "99 % ms", "readers busy")
    said = f"{CREDENTIALS} credentials in turn over {CONNECTIONS} connections that stay open, {rounds} rounds of "
    said += f"{seconds:g} s. Processor time is the server's with its database's.\n\n"
    return said + table(head, rows)


# -- the readers' process ---------------------------------------------------------------------------------------


def ask(asked: dict[str, Any]) -> dict[str, float]:
    """Ask for the paths in turn for some seconds, each at least once a `least`; returns rate and times.

    A status of 304 is asked for with the tag that the same path was answered with before."""
    paths, status = asked["paths"], asked["status"]
    tags: dict[str, str] = {}
    if status == 304:
        connection = HTTPConnection("127.0.0.1", asked["port"], timeout=20)
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            tags[path] = answer.headers["ETag"]
        connection.close()

    def one(connection: HTTPConnection, number: int, turn: int) -> None:
        path = paths[(number + CONNECTIONS * turn) % len(paths)]
        headers = {**asked["headers"], **({"If-None-Match": tags[path]} if tags else {})}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != status:
            raise RuntimeError(f"{path} answered {answer.status}")

    return over_connections(asked["port"], asked["seconds"], asked["least"], one)


def main() -> None:
    os.sched_setaffinity(0, cores()[1])
    for line in sys.stdin:
        print(json.dumps(ask(json.loads(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["readers"]:
        main()
    else:
        given = [float(word) for word in sys.argv[1:]]
        print(measure(rounds=int(given[0]) if given else ROUNDS, seconds=given[1] if len(given) > 1 else SECONDS))
