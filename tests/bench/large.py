"""What a sync costs beside bare reading, and what it costs a student as the class grows: `python -m tests.bench.large`.

The first table: the demo LMS, where a loop of GETs and `json.loads` over the same addresses is the comparison. The
second: services that only count (paper_lms.py), each size in a process of its own, whose memory is looked at."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import func, select, update

from lti_tool.http import Response
from lti_tool.models import Column, Course, Enrolment, Mastery, Registration, Result
from lti_tool.services.tool import Tool
from tests.bench.classroom import classroom
from tests.bench.paper_lms import paper_lms
from tests.bench.servers import ROOT, postgresql
from tests.bench.syncs import BADGE, DATABASES, MOODS, PARTS, installation, one_sync, open_course
from tests.bench.table import Figure, table

STUDENTS, ROUNDS = 2000, 3
SIZES = (1000, 10_000, 100_000)
SMALL_ROUNDS = 5  # of the first size, whose time is short: one run of it says little


class Listening:
    """Notes what the tool's own client GETs, so that the bare loop can ask for exactly that."""

    def __init__(self, tool: Tool) -> None:
        self._http, self._request = tool.http, tool.http.request
        self.headers: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Listening:
        def noting(method: str, url: str, **options: Any) -> Response:
            if method == "GET":
                self.headers[url] = dict(options.get("headers") or {})
            return self._request(method, url, **options)

        self._http.request = noting  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._http.request = self._request  # type: ignore[method-assign]


def bare_loop(asked: dict[str, dict[str, str]]) -> float:
    """GET each page and parse it, as short as it can be written; returns seconds."""
    started = time.perf_counter()
    with requests.Session() as session:
        for url, headers in asked.items():
            answer = session.get(url, headers=headers, timeout=60)
            answer.raise_for_status()
            json.loads(answer.content)
    return time.perf_counter() - started


def one_ratio(mood: str, server: str) -> dict[str, float]:
    """Sync a new class twice beside the bare loop. Raises RuntimeError where a sync did not do what it is for."""
    with ExitStack() as stack:
        app, tool = stack.enter_context(installation(server))
        lms = stack.enter_context(classroom(mood, STUDENTS))
        course = open_course(app, tool, lms, mood)
        graded = lms.grade_mixed(most=3)
        with Listening(tool) as listening:
            counts, cold = one_sync(tool, course)
        if counts.get("results") != graded or counts.get("awards"):
            raise RuntimeError(f"of {graded} grades the first sync gave {counts}")
        before = bare_loop(listening.headers)
        counts, unchanged = one_sync(tool, course)
        if counts.get("results") or counts.get("unchanged") != 1:
            raise RuntimeError(f"the second sync gave {counts}")
        bare = (before + bare_loop(listening.headers)) / 2
        return {"bare": bare, "cold": cold["all"], "unchanged": unchanged["all"], "pages": len(listening.headers)}


def one_size(students: int) -> dict[str, float]:
    """Sync a class of any size twice, with a badge nobody reaches; returns times and this process's peak memory."""
    with ExitStack() as stack:
        app, tool = stack.enter_context(installation(""))
        base = stack.enter_context(paper_lms(students))
        with classroom("canvas", 0) as lms:
            course = open_course(app, tool, lms, "canvas")
        with tool.db.write() as session:
            session.execute(update(Registration).values(auth_token_url=f"{base}/token"))
            session.execute(update(Course).values(memberships_url=f"{base}/members"))
            for place, column in enumerate(session.scalars(select(Column).order_by(Column.id))):
                column.url = f"{base}/columns/{place}"
        tool.registrations.clear()
        gc.collect()
        idle = _memory("VmRSS")
        counts, cold = one_sync(tool, course)
        if counts["results"] != students * PARTS or counts["standings"] != students * PARTS:
            raise RuntimeError(f"the first sync gave {counts}")
        counts, unchanged = one_sync(tool, course)
        if counts["results"] or counts.get("unchanged") != 1:
            raise RuntimeError(f"the second sync gave {counts}")
        with tool.db.read() as session:
            for what, wanted in ((Enrolment.person_id, 1), (Result.user_sub, PARTS), (Mastery.tag, PARTS)):
                found = session.scalar(select(func.count(what)).where(what.is_not(None))) or 0
                if found - (what is Enrolment.person_id) not in (students * wanted, students * wanted - 1):
                    raise RuntimeError(f"{found} rows of {what}")
        return {
            "cold": cold["all"],
            "cold cpu": cold["cpu"],
            "unchanged": unchanged["all"],
            "unchanged cpu": unchanged["cpu"],
            "idle": idle,
            "peak": _memory("VmHWM"),
        }


def _memory(what: str) -> float:
    """Return this process's resident memory in MB, as the kernel counts it."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


def _in_its_own_process(students: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, str(students)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{students} students were not measured:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def ratios(rounds: int = ROUNDS) -> str:
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with postgresql() as (server, _):
        for _ in range(rounds):
            for database, address in zip(DATABASES, ("", server), strict=True):
                for mood in MOODS:
                    found.setdefault((mood, database), []).append(one_ratio(mood, address))
    rows = []
    for (mood, database), runs in found.items():
        bare, cold, unchanged = (Figure([run[what] for run in runs]) for what in ("bare", "cold", "unchanged"))
        rows.append(
            (
                f"{mood}, {database}",
                f"{runs[0]['pages']:.0f}",
                f"{bare:.2f}",
                f"{cold.median:.2f}",
                f"{cold.ratio(bare):.2f}",
                f"{unchanged.median:.2f}",
                f"{unchanged.ratio(bare):.2f}",
            )
        )
    head = ("", "pages", "bare loop, s", "cold sync, s", "× bare", "unchanged, s", "× bare")
    said = f"{STUDENTS:,} students × {PARTS} columns, {rounds} rounds in turn; nobody reaches the badge, since signing "
    said += "has its own table. The bare loop GETs the pages that the sync asked for and parses the JSON.\n\n"
    return said + table(head, rows)


def sizes(wanted: tuple[int, ...] = SIZES) -> str:
    found = {
        size: [_in_its_own_process(size) for _ in range(SMALL_ROUNDS if size == SIZES[0] else 1)] for size in wanted
    }
    rows = []
    for size, runs in found.items():

        def each(what: str, size: int = size, runs: list[dict[str, float]] = runs) -> Figure:
            return Figure([run[what] * 1000 / size for run in runs])

        rows.append(
            (
                f"{size:,} students",
                f"{each('cold').median * size / 1000:.1f}",
                f"{each('cold').median:.3f}",
                f"{each('cold cpu').median:.3f}",
                f"{each('unchanged').median:.3f}",
                f"{each('unchanged cpu').median:.3f}",
                f"{max(run['idle'] for run in runs):.0f}",
                f"{max(run['peak'] for run in runs):.0f}",
            )
        )
    head = ("", "cold sync, s", "ms a student", "processor ms a student", "unchanged, ms a student")
    head += ("processor ms a student", "MB before", "MB at most")
    said = f"One course, `{BADGE}` with {PARTS} columns, SQLite, pages of 50 members and 100 results; nobody reaches "
    said += "the badge. Memory is the whole process's, libraries and all.\n\n"
    return said + table(head, rows)


def measure() -> str:
    """Return both tables."""
    return f"{ratios()}\n{sizes()}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one_size(int(sys.argv[1]))))
    else:
        print(measure())
