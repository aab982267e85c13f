"""How many logins with their launches a second one worker answers: `python -m tests.bench.launches`.

Ours with SQLite and with PostgreSQL, beside a plain pylti1p3 application: the same server with the same options on
the same core, the same platform and learners, in turn, round after round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis import Redis
from sqlalchemy import select

from lti_tool.db import Database
from lti_tool.migrations import schema
from lti_tool.models import Course, CourseBadge, Registration
from lti_tool.services import platforms
from lti_tool.services.issuer import ensure_issuer
from lti_tool.services.tool import Tool, open_tool
from lti_tool.settings import load_settings
from tests import servers
from tests.bench.generator import CLIENT_ID, CONNECTIONS, DEPLOYMENT_ID, ISSUER, LEARNERS
from tests.bench.servers import ROOT, environment, free_port, postgresql, processor_seconds, web_server
from tests.bench.table import Figure, table
from tests.scene import make_database

ROUNDS, SECONDS, WARM_UP = 5, 4.0, 2.0
STOCK = "stock pylti1p3, cache in memory"
STOCK_FILES = "stock pylti1p3, cache in files"
STOCK_REDIS = "stock pylti1p3, cache in Redis"  # the only one of the three that a second worker or host can share


@dataclass
class Contestant:
    name: str
    port: int
    answer: int
    processes: tuple[int, ...]
    tool: Tool | None = None


class Generator:
    """The process that is the platform and its browsers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment({}),
        )
        self.jwks: dict[str, Any] = self._read()

    def measure(self, contestant: Contestant, seconds: float, *, least: int = 0) -> dict[str, float]:
        assert self._process.stdin is not None
        asked = {"port": contestant.port, "answer": contestant.answer, "seconds": seconds, "least": least}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        before = processor_seconds(*contestant.processes)
        found: dict[str, float] = self._read()
        spent = processor_seconds(*contestant.processes) - before
        return {**found, "cpu": spent / found["done"]}

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended, see above")
        return json.loads(line)

    def stop(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(30)


@contextmanager
def ours(name: str, folder: Path, database_url: str, generator: Generator, *more: int) -> Iterator[Contestant]:
    """Run `lti-tool serve` with one worker, on a database of its own that knows the platform and its keys.

    `more` are the database's processes, whose time counts as the tool's."""
    folder.mkdir()
    port = free_port()
    told = {
        "LTI_TOOL_SERVER__BASE_URL": f"http://localhost:{port}",
        "LTI_TOOL_SERVER__LOGINS_PER_MINUTE": "1000000",
        "LTI_TOOL_DATABASE__URL": database_url,
        "LTI_TOOL_DATABASE__REVOCATIONS": str(folder / "revocations.jsonl"),
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_QUEUE__SYNC_ON_LAUNCH_AFTER": "86400",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
    }
    settings = load_settings(told)
    schema.upgrade(Database(settings.database.url))
    tool = open_tool(settings)
    ensure_issuer(tool)
    now = datetime.now(UTC)
    added = platforms.add_platform(
        tool,
        name="Bench",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        auth_login_url=f"{ISSUER}/authorize",
        auth_token_url=f"{ISSUER}/token",
        jwks_url=f"{ISSUER}/jwks",
        auth_audience=None,
        deployment_ids=[DEPLOYMENT_ID],
        product="canvas",
        now=now,
    )
    with tool.db.write() as session:
        row = session.get_one(Registration, added)
        row.jwks, row.jwks_fetched_at = json.dumps(generator.jwks), now
    command = ["-m", "lti_tool.cli", "serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with web_server(command, port, told=told, log=folder / "log") as pid:
        yield Contestant(name, port, 303, (pid, *more), tool)
    tool.db.engine.dispose()


@contextmanager
def stock(name: str, folder: Path, generator: Generator, cache: str, *more: int) -> Iterator[Contestant]:
    """Run the stock application with the options `lti-tool serve` gives to the same server.

    `more` are the processes that keep its cache, whose time counts as its own."""
    folder.mkdir()
    port = free_port()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    platform = {
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
        "configuration": {
            "default": True,
            "client_id": CLIENT_ID,
            "auth_login_url": f"{ISSUER}/authorize",
            "auth_token_url": f"{ISSUER}/token",
            "auth_audience": None,
            "key_set_url": f"{ISSUER}/jwks",
            "key_set": generator.jwks,
            "deployment_ids": [DEPLOYMENT_ID],
        },
    }
    command = ["-m", "granian", "--interface", "wsgi", "--factory", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--blocking-threads", str(2 * (os.cpu_count() or 1)), "--log-level", "warning"]
    told = {"BENCH_PLATFORM": json.dumps(platform), "BENCH_CACHE": cache}
    with web_server([*command, "tests.bench.stock:create_app"], port, told=told, log=folder / "log") as pid:
        yield Contestant(name, port, 200, (pid, *more))


def put_badge(tool: Tool) -> None:
    """Give the course a published badge that has just been synced: the launch of a working course."""
    now = datetime.now(UTC)
    with tool.db.write() as session:
        course = session.scalars(select(Course)).one()
        course.synced_at = now
        session.add(CourseBadge(course_id=course.id, slug="bench", status="active", created_at=now))


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> str:
    """Return the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-launches-")))
        generator = Generator()
        stack.callback(generator.stop)
        server, postmaster = stack.enter_context(postgresql())
        redis = stack.enter_context(servers.redis())
        redis_server = Redis.from_url(redis).info("server")["process_id"]
        contestants = [
            stack.enter_context(stock(STOCK, folder / "memory", generator, "")),
            stack.enter_context(stock(STOCK_FILES, folder / "files", generator, str(folder / "files" / "cache"))),
            stack.enter_context(stock(STOCK_REDIS, folder / "redis", generator, redis, redis_server)),
        ]
        for name, database, more in (("SQLite", "", ()), ("PostgreSQL", server, (postmaster,))):
            url = stack.enter_context(make_database(database, folder))
            mine = ours(f"ours, state in {name}", folder / name, url, generator, *more)
            contestants.append(stack.enter_context(mine))
        for contestant in contestants:
            generator.measure(contestant, 0.2)
            if contestant.tool is not None:
                put_badge(contestant.tool)
            # Everybody has been here before: whoever comes for the first time is written down, which stock never does.
            generator.measure(contestant, WARM_UP, least=LEARNERS)
        found: dict[str, list[dict[str, float]]] = {each.name: [] for each in contestants}
        for turn in range(rounds):
            first = turn % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                found[contestant.name].append(generator.measure(contestant, seconds))
    return _table(found, rounds, seconds)


def _table(found: dict[str, list[dict[str, float]]], rounds: int, seconds: float) -> str:
    def figure(name: str, what: str) -> Figure:
        return Figure([run[what] for run in found[name]])

    rows = [
        (
            name,
            f"{figure(name, 'rate'):.0f}",
            f"{figure(name, 'rate').ratio(figure(STOCK, 'rate')):.2f}",
            f"{Figure([1000 * each for each in figure(name, 'cpu').runs]):.2f}",
            f"{figure(STOCK, 'cpu').ratio(figure(name, 'cpu')):.2f}",
            f"{figure(name, 'median').median * 1000:.1f}",
            f"{figure(name, 'slow').median * 1000:.1f}",
            f"{figure(name, 'busy').median:.0%}",
        )
        for name in found
    ]
    head = ("", "pairs/s", "× stock", "processor ms a pair", "stock's ×", "median ms", "99 % ms", "generator busy")
    said = f"{CONNECTIONS} connections, {rounds} rounds of {seconds:g} s in turn; ratios round by round. "
    said += "Processor time is the server's with its database's: it does not run while others use the machine.\n\n"
    return said + table(head, rows)


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    print(measure(rounds=int(given[0]) if given else ROUNDS, seconds=given[1] if len(given) > 1 else SECONDS))
