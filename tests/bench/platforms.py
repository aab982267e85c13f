"""What one bad LMS costs the others, and what a second worker brings: `python -m tests.bench.platforms`.

The workers are processes of their own, on PostgreSQL, and so are the LMSs. For the first figure every time is a tenth
of the real one, the tool's timeouts and pauses and the schedule's minute too; the table says what it would be."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import func, select, update

from lti_tool import jobs
from lti_tool.db import Database
from lti_tool.migrations import schema
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Column,
    Course,
    CourseBadge,
    Deployment,
    Job,
    Registration,
)
from lti_tool.services import catalog, platform_load, presence, schedule, work
from lti_tool.services.issuer import ensure_issuer
from lti_tool.services.tool import Tool, open_tool
from lti_tool.settings import load_settings
from tests.bench.servers import environment, free_port, postgresql
from tests.bench.table import Figure, table
from tests.scene import LIBRARY, make_database, now, settings_for

PLATFORMS, COURSES = 20, 500
TENTH = 0.1
SLOW, DOWN = 30.0, 503  # seconds, and a status
WINDOW = 400.0  # seconds in which every course is due once
PROCESSES, THREADS = 2, 2
ANSWERS_IN = 0.02  # seconds, as measured: an LMS across a network
SHARED, ROUNDS = 100, 3  # courses that workers share out, and how often
PATIENCE = 120.0
BASE_URL = "http://localhost:8000"  # nobody calls it here
AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"


# -- the installation -------------------------------------------------------------------------------------------


@contextmanager
def installation(server: str, lms: str, courses: int, platforms: int) -> Iterator[tuple[Tool, dict[str, str]]]:
    """Set up a tool with courses spread over platforms, none due; gives it and what a worker's environment tells."""
    with TemporaryDirectory(prefix="bench-") as place, make_database(server, Path(place)) as url:
        settings = settings_for(Path(place), url, BASE_URL)
        schema.upgrade(Database(url))
        tool = open_tool(settings)
        ensure_issuer(tool)
        _fill(tool, lms, courses, platforms)
        yield (
            tool,
            {
                "LTI_TOOL_SERVER__BASE_URL": BASE_URL,
                "LTI_TOOL_SERVER__LOG_LEVEL": "ERROR",
                "LTI_TOOL_DATABASE__URL": url,
                "LTI_TOOL_DATABASE__REVOCATIONS": settings.database.revocations,
                "LTI_TOOL_QUEUE__URL": settings.queue.url,
                "LTI_TOOL_KEYS__DIR": str(settings.keys.dir),
                "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
            },
        )
        tool.db.engine.dispose()


def _fill(tool: Tool, lms: str, courses: int, platforms: int) -> None:
    at, far = now(), now() + timedelta(days=1)
    badge, _ = catalog.read_file(LIBRARY / "oral-communication.toml")
    first = badge.sub_competencies[0]
    with tool.db.write() as session:
        made = []
        for number in range(platforms):
            home = f"{lms}/p{number}"
            row = Registration(
                name=f"LMS {number}", product="other", issuer=home, client_id="c", auth_login_url=f"{home}/auth",
                auth_token_url=f"{home}/token", jwks_url=f"{home}/jwks", created_at=at,
            )  # fmt: skip
            deployment = Deployment(registration=row, deployment_id="1", status="active", created_at=at)
            session.add(deployment)
            made.append((row, deployment))
        session.flush()
        version: AchievementVersion | None = None
        for number in range(courses):
            row, deployment = made[number % platforms]
            home = f"{row.issuer}/c{number}"
            course = Course(
                registration_id=row.id, deployment_pk=deployment.id, context_id=f"c{number}", label=f"C{number}",
                line_items_url=f"{home}/lineitems", memberships_url=f"{home}/memberships",
                scopes=[AGS + "lineitem", AGS + "result.readonly", NRPS], next_sync_at=far, created_at=at,
            )  # fmt: skip
            session.add(course)
            session.flush()
            if version is None:
                achievement = Achievement(slug=badge.slug, owner_course_id=course.id, created_at=at)
                version = AchievementVersion(
                    achievement=achievement, number=1, digest="d", definition=badge.content(), picture_png=b"",
                    published_at=at,
                )  # fmt: skip
                session.add(version)
                session.flush()
            used = CourseBadge(
                course_id=course.id, slug=badge.slug, status="active", version_id=version.id, created_at=at
            )
            session.add(used)
            session.flush()
            session.add(
                Column(
                    course_badge_id=used.id, tag=f"sub-competency:{first.code}", label="A", url=f"{home}/column",
                    score_maximum="4", found=False, created_at=at,
                )
            )  # fmt: skip


@contextmanager
def campus(**told: Any) -> Iterator[str]:
    """Run the LMSs while the block runs; gives their address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.campus", str(port), json.dumps(told)]
    with _process(command, {}):
        time.sleep(1)
        yield f"http://localhost:{port}"


@contextmanager
def _process(command: Sequence[str], told: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment(told), start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def worker_processes(tool: Tool, told: dict[str, str], processes: int, threads: int, pace: float) -> Iterator[None]:
    """Run workers without a schedule while the block runs; `pace` is what becomes of their timeouts and pauses."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.bench.platforms", "worker", str(threads), str(pace)]
        for _ in range(processes):
            stack.enter_context(_process(command, told))
        until = time.monotonic() + 60
        while True:
            with tool.db.read() as session:
                alive = presence.processes(session, now())[0]
            if alive >= processes:
                break
            if time.monotonic() > until:
                raise RuntimeError(f"{alive} of {processes} workers have started")
            time.sleep(0.1)
        yield


def run_worker(threads: int, pace: float) -> None:
    """Be a worker whose clock runs faster."""
    tool = open_tool(load_settings())
    tool.http.timeout = (5 * pace, 20 * pace)
    tool.http.total_timeout *= pace
    platform_load.FIRST_PAUSE, platform_load.LONGEST_PAUSE = 30 * pace, 900 * pace
    platform_load.SLOW *= pace
    work.FIRST_PAUSE *= pace
    queue = jobs.connect(tool)
    with presence.alive(tool, threads, periodic=False):
        queue.create_consumer(workers=threads, periodic=False, initial_delay=0.02, max_delay=0.1).run()


# -- one bad LMS and the others ---------------------------------------------------------------------------------


def lags(server: str, *, bad: bool) -> tuple[list[float], float]:
    """Let every course be due once; returns the lags of the good platforms' courses in (real) seconds, and the share
    of them that was read. Without `bad` the courses of the two are not due at all."""
    seconds = {"else": ANSWERS_IN, "0": SLOW * TENTH}
    with ExitStack() as stack:
        lms = stack.enter_context(campus(seconds=seconds, statuses={"1": DOWN}))
        tool, told = stack.enter_context(installation(server, lms, COURSES, PLATFORMS))
        queue = jobs.connect(tool)
        stack.enter_context(worker_processes(tool, told, PROCESSES, THREADS, TENTH))
        due = _stagger(tool, bad)
        ended = threading.Event()

        def minutes() -> None:
            while not ended.wait(60 * TENTH):
                _sweep(tool)

        _sweep(tool)
        clock = threading.Thread(target=minutes, daemon=True)
        clock.start()
        until = time.monotonic() + WINDOW * TENTH + PATIENCE
        good = {course for course, (platform, _) in due.items() if platform > 2}
        while (read := _read(tool, good)).keys() != good and time.monotonic() < until:
            time.sleep(0.5)
        ended.set()
        clock.join(30)
        queue.flush()
        found = [max((read[course] - due[course][1]).total_seconds(), 0.0) / TENTH for course in read]
        return found, len(read) / len(good)


def _stagger(tool: Tool, bad: bool) -> dict[int, tuple[int, datetime]]:
    """Spread the courses' times over the window, the platforms mixed; returns each one's platform and time."""
    start = now() + timedelta(seconds=1)
    found: dict[int, tuple[int, datetime]] = {}
    with tool.db.write() as session:
        for course in session.scalars(select(Course).order_by(Course.id)):
            if not bad and course.registration_id <= 2:
                continue
            at = start + timedelta(seconds=WINDOW * TENTH * len(found) / COURSES)
            course.next_sync_at = at
            found[course.id] = (course.registration_id, at)
    return found


def _sweep(tool: Tool) -> None:
    """Do what the schedule does each minute for the courses."""
    schedule.make_due(tool, now())
    for job_id in work.due(tool, now()):
        tool.wake(job_id)


def _read(tool: Tool, good: set[int]) -> dict[int, datetime]:
    with tool.db.read() as session:
        rows = session.execute(
            select(Job.subject, func.min(Job.finished_at)).where(Job.kind == "sync", Job.state == "done")
            .group_by(Job.subject)
        )  # fmt: skip
        return {int(subject): at for subject, at in rows if int(subject) in good}


# -- two workers ------------------------------------------------------------------------------------------------


def throughput(server: str, processes: Sequence[int]) -> list[float]:
    """Let so many worker processes of one thread share out the same courses, in turn; returns courses a second."""
    found = []
    with ExitStack() as stack:
        lms = stack.enter_context(campus(seconds={"else": ANSWERS_IN}, statuses={}))
        tool, told = stack.enter_context(installation(server, lms, SHARED, 4))
        jobs.connect(tool)
        for count in (1, *processes):  # the first is not counted: everything is new to it
            with tool.db.write() as session:
                session.execute(update(Job).values(state="done", finished_at=now()))
            with worker_processes(tool, told, count, 1, 1.0):
                with tool.db.read() as session:
                    courses = list(session.scalars(select(Course.id)))
                ids = [work.request(tool, "sync", str(course), now()) for course in courses]
                started = now()
                for job_id in ids[: 4 * count]:
                    tool.wake(job_id)
                found.append(len(ids) / (_all_done(tool, ids) - started).total_seconds())
    return found[1:]


def _all_done(tool: Tool, ids: Sequence[int]) -> datetime:
    until = time.monotonic() + PATIENCE
    while True:
        with tool.db.read() as session:
            done = select(func.count(), func.max(Job.finished_at)).where(Job.id.in_(ids), Job.state == "done")
            count, last = session.execute(done).one()
        if count == len(ids):
            return last  # type: ignore[no-any-return]
        if time.monotonic() > until:
            raise RuntimeError(f"{count} of {len(ids)} courses were read")
        time.sleep(0.05)


def measure(*, rounds: int = ROUNDS) -> str:
    """Return the tables."""
    with postgresql() as (server, _):
        without, with_bad = lags(server, bad=False), lags(server, bad=True)
        speeds = throughput(server, [1, 2] * rounds)
    rows = []
    for name, (found, share) in (("without those two", without), ("with them", with_bad)):
        percent = quantiles(found, n=20)[-1]
        rows.append(
            (
                name,
                f"{share:.0%}",
                f"{median(found):.0f}",
                f"{median(found) / median(without[0]):.2f}",
                f"{percent:.0f}",
                f"{max(found):.0f}",
            )
        )
    said = f"{COURSES} courses on {PLATFORMS} platforms, each due once within {WINDOW:.0f} s; one platform "
    said += f"answers after {SLOW:.0f} s, one with {DOWN}; {PROCESSES} worker processes of {THREADS} threads. Lag is "
    said += "from a course's time to the end of its reading, on the other platforms; the schedule looks each minute. "
    said += "Run ten times as fast, with every timeout and pause a tenth; seconds as they would be.\n\n"
    head = ("the others", "read", "median lag s", "× without", "95 % s", "most s")
    one, two = Figure(speeds[0::2]), Figure(speeds[1::2])
    more = f"\n{SHARED} courses of 30 students on 4 platforms that answer after {ANSWERS_IN * 1000:.0f} ms, read again "
    more += f"unchanged; worker processes of one thread, {rounds} rounds in turn, on one PostgreSQL.\n\n"
    shared = [
        (name, f"{figure:.1f}", f"{figure.ratio(one):.2f}")
        for name, figure in (("one worker", one), ("two workers", two))
    ]
    return said + table(head, rows) + more + table(("", "courses/s", "× one"), shared)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        run_worker(int(sys.argv[2]), float(sys.argv[3]))
    else:
        print(measure())
