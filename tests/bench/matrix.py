"""How long an instructor's server works on the progress matrix of 1,000 × 8: `python -m tests.bench.matrix`.

Every answer is made by the whole program in this process, from the request to the last byte, without a network. What is
counted is the processor's time, so that other work on the machine is not; PostgreSQL's own comes on top. The
first answers of each kind are not counted: a server has been running for a minute."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from statistics import median, quantiles

from lti_tool.services import catalog
from tests.bench.classroom import classroom
from tests.bench.servers import postgresql
from tests.bench.syncs import BASE_URL, DATABASES, enter, installation, one_sync, publish
from tests.bench.table import table
from tests.scene import LIBRARY

STUDENTS, PARTS, ROUNDS = 1000, 8, 100
BADGE = "oral-communication"
VIEWS = (
    ("first view", "", ROUNDS),
    ("one missing", "?show=one", ROUNDS),
    ("nearest first, page 10", "?sort=near&page=10", ROUNDS),
    ("found by a name", "?q=number+777", ROUNDS),
    ("the whole class as CSV", "/progress.csv", ROUNDS // 5),
)


def one_database(server: str) -> list[tuple[str, list[float], int]]:
    """Time each view; returns its name, the milliseconds of its answers, and how many bytes it has."""
    with ExitStack() as stack:
        app, tool = stack.enter_context(installation(server))
        lms = stack.enter_context(classroom("canvas", STUDENTS))
        home, cookies = enter(app, tool, lms, "canvas")
        badge, png = catalog.read_file(LIBRARY / f"{BADGE}.toml")
        parts = badge.sub_competencies
        twice = (*parts, *(replace(each, code=f"{each.code}-B", name=f"{each.name} again") for each in parts))
        course = publish(tool, replace(badge, sub_competencies=twice[:PARTS]), png)
        lms.grade_mixed()
        one_sync(tool, course)
        browser = app.test_client(use_cookies=False)
        found = []
        for name, path, rounds in VIEWS:
            spent = []
            for number in range(rounds + 3):
                started = time.process_time()
                address = f"{home}badges/{BADGE}{path}"
                answer = browser.get(address, base_url=BASE_URL, headers={"Cookie": cookies})
                content = answer.data
                if number > 2:
                    spent.append((time.process_time() - started) * 1000)
                if answer.status_code != 200:
                    raise RuntimeError(f"{address} answered {answer.status_code}")
            found.append((name, spent, len(content)))
        return found


def measure() -> str:
    """Return the table."""
    rows = []
    with postgresql() as (server, _):
        for database, address in zip(DATABASES, ("", server), strict=True):
            for name, spent, size in one_database(address):
                last = quantiles(spent, n=100)[98]
                rows.append((f"{name}, {database}", f"{median(spent):.0f}", f"{last:.0f}", f"{size / 1000:.0f}"))
    said = f"The progress matrix of {STUDENTS:,} learners × {PARTS} sub-competencies, {ROUNDS} answers of each kind. "
    said += "Milliseconds of the server's processor; a page shows 50 learners, and what is looked for is looked for in "
    said += "the whole class. To be under 300 for the first view.\n\n"
    return said + table(("", "median ms", "p99 ms", "kB"), rows)


if __name__ == "__main__":
    print(measure())
