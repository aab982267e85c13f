"""What kill -9 does to a class in the middle of its sync: `python -m tests.bench.kills`.

A web server and two workers, each in a process of its own, serve one class after the other, whose learners are graded
a few at a time and so earn a badge. At random moments one of the three is killed and started again at once, while the
teacher goes on pressing "Sync now" and learners come in, until the kills are used up. Then everything is counted. The
seed of the random moments is told, and taken from KILLS_SEED where that is given."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from sqlalchemy import func, select

from lti_tool import jobs
from lti_tool.models import Award, Edition, Job
from lti_tool.services import checking
from tests import servers
from tests.bench.servers import environment, postgresql
from tests.bench.table import table
from tests.classroom import Classroom, badge
from tests.scene import Scene, make_database, now

KILLS, STUDENTS, A_CLASS = 100, 300, 25  # kills in all, learners of a class, kills a class has to bear at most
WAVES = 5  # a class is graded in so many parts, the next one when all before have their credential
LONGEST_GAP = 1.5  # seconds from when a worker is at it to a kill
LEASE = 3  # seconds; a worker that died is missed after five minutes otherwise
PATIENCE = 120  # seconds without a kill in which a class must be done
STARTS = 30  # seconds in which a process must be up

# A worker as the command starts it, but for the lease; it says when it has read its program.
WORKER = f"""
import sys
from datetime import timedelta
from pathlib import Path
from lti_tool import jobs
from lti_tool.cli import main
from lti_tool.services import work
work.LEASE = timedelta(seconds={LEASE})
Path(sys.argv.pop(1)).touch()
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = {
    "web": ["-m", "lti_tool.cli", "serve"],
    "worker 1": ["-c", WORKER, "{ready}", "worker"],
    "worker 2": ["-c", WORKER, "{ready}", "worker", "--no-periodic"],
}


class Crew:
    """The processes of one installation. Each is the leader of a group of its own, so nothing of it survives."""

    def __init__(self, scene: Scene, log: Path) -> None:
        self.scene, self.log = scene, log
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self._ready(name).unlink(missing_ok=True)
        options = ["--port", self.scene.url.rpartition(":")[2]] if name == "web" else []
        command = [part.format(ready=self._ready(name)) if part == "{ready}" else part for part in COMMANDS[name]]
        with self.log.open("ab") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command, *options],
                env=environment(told(self.scene)),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ready(self, name: str) -> Path:
        return self.log.with_name(f"{name} is ready")

    def up(self) -> list[str]:
        """Name those that have something to lose: what is still starting has not."""
        return [name for name in COMMANDS if (self.answers() if name == "web" else self._ready(name).exists())]

    def answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.scene.url}/healthz", timeout=5).ok
        return False

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for_web(self) -> None:
        until = time.monotonic() + STARTS
        while time.monotonic() < until:
            if self.running["web"].poll() is not None:  # the port was not free yet
                self.start("web")
            if self.answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the web server did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)


def told(scene: Scene) -> dict[str, str]:
    """Return the scene's settings as a process reads them."""
    settings = scene.settings
    return {
        "LTI_TOOL_SERVER__BASE_URL": settings.base_url,
        "LTI_TOOL_DATABASE__URL": settings.database.url,
        "LTI_TOOL_DATABASE__REVOCATIONS": settings.database.revocations,
        "LTI_TOOL_QUEUE__URL": settings.queue.url,
        "LTI_TOOL_KEYS__DIR": str(settings.keys.dir),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
    }


@dataclass
class Found:
    """What was killed, when, and what is there afterwards."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    classes: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    earned: int = 0
    awards: int = 0
    twice: int = 0  # learners with more or fewer than one award
    unsigned: int = 0
    invalid: int = 0
    index_twice: int = 0
    jobs_left: int = 0
    seconds: float = 0.0

    @property
    def wrong(self) -> dict[str, int]:
        """What must be nothing."""
        names = ("twice", "unsigned", "invalid", "index_twice", "jobs_left")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


@contextmanager
def traffic(room: Classroom, found: Found) -> Iterator[None]:
    """Let the teacher press "Sync now" and learners come in while the block runs; a dead web server harms nobody."""
    ended = threading.Event()

    def go_on() -> None:
        for student in itertools.cycle(room.students):
            try:
                room.page.post("sync")
                room.scene.launch(student.id, room.course.id)
                found.requests["answered"] += 1
                pause = 0.3
            except (requests.RequestException, OSError, KeyError):
                found.requests["lost"] += 1
                pause = 1.0
            if ended.wait(pause):
                return

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)


def run_kills(folder: Path, database_url: str, queue_url: str, *, kills: int, students: int, seed: int) -> Found:
    """Kill that often in one installation, and return what is left of it. Raises RuntimeError for a class not done."""
    found, chance = Found(seed), random.Random(seed)
    began = time.monotonic()
    scene = Scene(folder, database_url, LTI_TOOL_QUEUE__URL=queue_url)
    crew = Crew(scene, folder / "log")
    try:
        scene.server.shutdown()  # from here on the tool's address is that of a process that can be killed
        scene.server.server_close()
        jobs.connect(scene.tool).flush()
        for name in COMMANDS:
            crew.start(name)
        rooms: list[Classroom] = []
        while sum(found.kills.values()) < kills:
            crew.wait_for_web()
            mood = ("moodle", "canvas")[found.classes % 2]
            room = Classroom(scene, mood, students)
            room.publish(badge(rows=2))
            rooms.append(room)
            found.classes += 1
            waiting = list(room.students)
            with traffic(room, found):
                left = min(A_CLASS, kills - sum(found.kills.values()))
                while left > 0:
                    wait_for_work(room)
                    time.sleep(chance.uniform(0, LONGEST_GAP))
                    up, moment = crew.up(), what_goes_on(room)
                    if moment == "done":
                        if not waiting:
                            break
                        grade_some(room, waiting)
                        continue
                    if up:
                        name = chance.choice(up)
                        crew.kill(name)
                        crew.start(name)
                        found.kills[name.partition(" ")[0]] += 1
                        found.moments[moment] += 1
                        left -= 1
                crew.wait_for_web()
                while waiting:
                    grade_some(room, waiting)
                wait_until_done(room, crew)
        found.jobs_left = wait_for_jobs(scene)
        crew.stop()
        for room in rooms:
            count(room, found)
        found.index_twice = places_twice(scene)
    finally:
        crew.stop()
        scene.stop()
    found.seconds = time.monotonic() - began
    return found


def grade_some(room: Classroom, waiting: list[Any]) -> None:
    """Give the next part of a class what the badge asks for."""
    for student in [waiting.pop() for _ in range(min(len(waiting), -(-len(room.students) // WAVES)))]:
        room.grade(student, 3, 4)


def wait_for_work(room: Classroom) -> None:
    """Wait until a worker is at a sync, or as long as a dead one is missed: a kill in between breaks into nothing."""
    until = time.monotonic() + LEASE
    while time.monotonic() < until and what_goes_on(room) not in ("reading or deciding", "signing", "done"):
        time.sleep(0.02)


def what_goes_on(room: Classroom) -> str:
    """Tell what a kill at this moment breaks into."""
    with room.tool.db.read() as session:
        states = Counter(session.scalars(select(Award.status).where(Award.course_id == room.id)))
        held = (Job.state == "running") & (Job.lease_until > now())
        running = session.scalar(select(Job.id).where(Job.kind == "sync", held).limit(1))
    if states["issued"] == len(room.columns[0].grades):
        return "done"
    if states["pending"]:
        return "signing" if running else "awarded, not all signed, between two tries"
    return "reading or deciding" if running else "before or between two tries"


def wait_until_done(room: Classroom, crew: Crew) -> None:
    until = time.monotonic() + PATIENCE
    while what_goes_on(room) != "done":
        if time.monotonic() > until:
            raise RuntimeError(f"a class was not done:\n{crew.log.read_text(errors='replace')[-5000:]}")
        time.sleep(0.05)


def wait_for_jobs(scene: Scene) -> int:
    """Return how many jobs are still open when they should be done."""
    until = time.monotonic() + PATIENCE
    while True:
        with scene.tool.db.read() as session:
            left = list(session.scalars(select(Job.id).where(Job.state.in_(("due", "running")))))
        if not left or time.monotonic() > until:
            return len(left)
        for job_id in left:
            scene.tool.wake(job_id)
        time.sleep(0.3)


def count(room: Classroom, found: Found) -> None:
    """Count one class: an award for everybody, signed, and every credential checked as a stranger would."""
    found.earned += len(room.students)
    with room.tool.db.read() as session:
        rows = list(session.execute(select(Award.id, Award.person_id, Award.status).where(Award.course_id == room.id)))
        ids = [row.id for row in rows]
        editions = list(
            session.execute(
                select(Edition.award_id, Edition.document, Edition.signed_at).where(Edition.award_id.in_(ids))
            )
        )
    people = Counter(row.person_id for row in rows)
    found.awards += len(rows)
    found.twice += sum(times != 1 for times in people.values()) + len(room.students) - len(people)
    found.unsigned += sum(row.status != "issued" for row in rows) + sum(e.signed_at is None for e in editions)
    each = Counter(edition.award_id for edition in editions)
    found.twice += sum(each[award_id] != 1 for award_id in ids)
    for edition in editions:
        if edition.document is not None:
            report = checking.check(room.tool, edition.document, now() + timedelta(seconds=1), everyone_sees=True)
            found.invalid += not report.ok


def places_twice(scene: Scene) -> int:
    place = (Edition.status_list_id, Edition.status_index)
    with scene.tool.db.read() as session:
        return len(session.execute(select(*place).group_by(*place).having(func.count() > 1)).all())


def measure(*, kills: int = KILLS, students: int = STUDENTS) -> str:
    """Return the table. Raises RuntimeError where something is there twice, missing or not valid."""
    given = os.environ.get("KILLS_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(1_000_000)
    runs: list[tuple[str, Found]] = []
    with ExitStack() as stack:
        server, _ = stack.enter_context(postgresql())
        redis = stack.enter_context(servers.redis())
        for title, address, queue in (("SQLite", "", ""), ("PostgreSQL and Redis", server, redis)):
            with TemporaryDirectory(prefix="bench-") as place, make_database(address, Path(place)) as url:
                folder = Path(place)
                asked: dict[str, Any] = {"kills": kills, "students": students, "seed": seed}
                runs.append((title, run_kills(folder, url, queue or f"sqlite:///{folder / 'queue.db'}", **asked)))
    for title, found in runs:
        if found.wrong:
            raise RuntimeError(f"{title}, seed {seed}: {found.wrong}")
    said = f"Classes of {students}; a web server and two workers, one of them killed with SIGKILL at a random moment "
    said += f"and started again at once (seed {seed}), while the teacher presses “Sync now” and learners come in. A "
    said += (
        f"dead worker is missed after {LEASE} s here, after five minutes otherwise. Every credential was checked.\n\n"
    )
    head = ("", *(title for title, _ in runs))
    return said + table(head, [(name, *(f"{of(found):,}" for _, found in runs)) for name, of in LINES])


LINES = (
    ("kills of workers", lambda f: f.kills["worker"]),
    ("kills of the web server", lambda f: f.kills["web"]),
    ("… while reading or deciding", lambda f: f.moments["reading or deciding"]),
    ("… while signing", lambda f: f.moments["signing"]),
    ("… awarded, not all signed, between two tries", lambda f: f.moments["awarded, not all signed, between two tries"]),
    ("… before or between two tries", lambda f: f.moments["before or between two tries"]),
    ("clicks that lost their answer", lambda f: f.requests["lost"]),
    ("learners who earned the badge", lambda f: f.earned),
    ("awards", lambda f: f.awards),
    ("with none, or more than one", lambda f: f.twice),
    ("not signed", lambda f: f.unsigned),
    ("credentials that do not verify", lambda f: f.invalid),
    ("status indexes given twice", lambda f: f.index_twice),
    ("jobs left open", lambda f: f.jobs_left),
    ("seconds, checking included", lambda f: round(f.seconds)),
)


if __name__ == "__main__":
    print(measure())
