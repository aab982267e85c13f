"""How long a class of 1,000 waits for its badges: `python -m tests.bench.syncs`.

Each run has a database of its own. The first sync reads roster and results, decides, awards and signs, from nothing;
the second finds everything as it was. The LMS is the demo's, in a process of its own, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from lti_tool import create_app
from lti_tool.db import Database
from lti_tool.domain.badge import Badge
from lti_tool.lti.jwks import public_jwks
from lti_tool.migrations import schema
from lti_tool.models import Course, Edition
from lti_tool.services import catalog, platforms, sync, work
from lti_tool.services.tool import Tool, settle
from tests.bench.classroom import Classroom, classroom
from tests.bench.servers import postgresql
from tests.bench.table import Figure, table
from tests.scene import LIBRARY, make_database, now, settings_for

STUDENTS, ROUNDS = 1000, 3
BADGE, PARTS, POINTS = "oral-communication", 4, 4
BASE_URL = "http://localhost:8000"  # nobody calls it here
MOODS = ("moodle", "canvas")
DATABASES = ("SQLite", "PostgreSQL")


def enter(tool_app: Any, tool: Tool, lms: Classroom, mood: str, base_url: str = BASE_URL) -> tuple[str, str]:
    """Register both with each other and launch as the teacher; returns the address of her pages and her cookies."""
    platforms.add_platform(
        tool, name=mood, auth_audience=None, deployment_ids=[], product=mood, now=now(), **lms.register(base_url)
    )
    lms.trust(public_jwks(tool.keyring.published_lti(now())))
    browser = tool_app.test_client()
    login = browser.post("/lti/login", data=lms.login_request(), base_url=base_url)
    cookies = {each.partition("=")[0]: each.partition(";")[0] for each in login.headers.getlist("Set-Cookie")}
    form = lms.answer(login.headers["Location"])
    done = browser.post("/lti/launch", data=form, base_url=base_url, headers={"Cookie": "; ".join(cookies.values())})
    if done.status_code != 303:
        raise RuntimeError(f"the teacher's launch answered {done.status_code}: {done.text[:500]}")
    cookies |= {each.partition("=")[0]: each.partition(";")[0] for each in done.headers.getlist("Set-Cookie")}
    return done.headers["Location"], "; ".join(cookies.values())


def publish(tool: Tool, badge: Badge, png: bytes | None) -> int:
    """Put a badge into the one course there is and publish it; returns the course's id."""
    with tool.db.read() as session:
        course = session.scalars(select(Course)).one().id
    catalog.put_badge(tool, course, badge, picture_png=png, actor="operator", now=now())
    job_id = catalog.start_publishing(tool, course, badge.slug, actor="operator", now=now())
    published = work.wait(tool, job_id, {"publish": catalog.run_publish})
    if published.state != "done":
        raise RuntimeError(f"publishing failed: {published.problem}")
    return course


def open_course(tool_app: Any, tool: Tool, lms: Classroom, mood: str, base_url: str = BASE_URL) -> int:
    """Launch as the teacher and publish the badge; returns the course's id."""
    enter(tool_app, tool, lms, mood, base_url)
    badge, png = catalog.read_file(LIBRARY / f"{BADGE}.toml")
    if len(badge.sub_competencies) != PARTS or badge.gates:
        raise RuntimeError(f"{BADGE} is no longer a badge of {PARTS} parts")
    return publish(tool, badge, png)


def one_sync(tool: Tool, course: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Sync as the command does, through a job; returns its counts and what took how many seconds."""
    read_until = 0.0

    def timed(tool: Tool, subject: str, say: work.Say) -> dict[str, Any]:
        def say_timed(line: str) -> None:
            nonlocal read_until
            read_until = time.perf_counter()  # the last line is said when everything has been read
            say(line)

        return sync.run_sync(tool, subject, say_timed)

    started, cpu = time.perf_counter(), time.process_time()
    job = work.wait(tool, work.request(tool, "sync", str(course), now()), {"sync": timed})
    ended = time.perf_counter()
    if job.state != "done":
        raise RuntimeError(f"the sync failed: {job.problem}")
    spent = {"all": ended - started, "reading": read_until - started, "own": ended - read_until}
    return job.outcome, {**spent, "cpu": time.process_time() - cpu}


@contextmanager
def installation(server: str) -> Iterator[tuple[Flask, Tool]]:
    """Set up the tool on a database of its own: a SQLite file, or one on a PostgreSQL server."""
    with TemporaryDirectory(prefix="bench-") as place, make_database(server, Path(place)) as url:
        settings = settings_for(Path(place), url, BASE_URL)
        schema.upgrade(Database(url))
        app = create_app(settings)
        tool: Tool = app.extensions["lti_tool"]
        yield app, tool
        tool.db.engine.dispose()


def one_run(mood: str, server: str) -> dict[str, float]:
    """Sync a new class twice. Raises RuntimeError where not everybody has a signed credential afterwards."""
    with ExitStack() as stack:
        app, tool = stack.enter_context(installation(server))
        lms = stack.enter_context(classroom(mood, STUDENTS))
        course = open_course(app, tool, lms, mood)
        lms.grade_all(POINTS)
        lms.requests()
        settle()  # as the worker does when it starts
        found: dict[str, float] = {}
        for name in ("first", "second"):
            counts, spent = one_sync(tool, course)
            wanted = STUDENTS if name == "first" else 0
            if (counts.get("awards", 0), counts["signed"]) != (wanted, wanted):
                raise RuntimeError(f"the {name} sync gave {counts}")
            found |= {f"{name} {what}": seconds for what, seconds in spent.items()}
            found[f"{name} requests"] = lms.requests()
        with tool.db.read() as session:
            signed = session.scalar(select(func.count()).where(Edition.document.is_not(None)))
        if signed != STUDENTS:
            raise RuntimeError(f"{signed} of {STUDENTS} are signed")
        return found


def measure(*, rounds: int = ROUNDS) -> str:
    """Return the table."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with postgresql() as (server, _):
        for _ in range(rounds):
            for database, address in zip(DATABASES, ("", server), strict=True):
                for mood in MOODS:
                    found.setdefault((mood, database), []).append(one_run(mood, address))
    rows = []
    for (mood, database), runs in found.items():

        def of(what: str, runs: list[dict[str, float]] = runs) -> Figure:
            return Figure([run[what] for run in runs])

        for name in ("first", "second"):
            rows.append(
                (
                    f"{mood}, {database}, {name} sync",
                    f"{of(f'{name} all'):.2f}",
                    f"{of(f'{name} reading').median:.2f}",
                    f"{of(f'{name} own').median:.2f}",
                    f"{of(f'{name} cpu').median:.2f}",
                    f"{of(f'{name} requests').median:.0f}",
                )
            )
    head = ("", "seconds", "reading the LMS", "deciding, awarding, signing", "tool's processor time", "requests")
    said = f"{STUDENTS:,} students who all newly earn a badge of {PARTS} parts, then the same once more; "
    said += f"{rounds} rounds in turn. For comparison, measured elsewhere: Moodle's own badge job took 27 s for 1,000 "
    said += "on two cores.\n\n"
    return said + table(head, rows)


if __name__ == "__main__":
    print(measure())
