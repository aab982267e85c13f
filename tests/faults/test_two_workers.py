"""Work and crashes with two workers, each a process of its own, on a Redis queue: what one machine of several meets.

The database is a SQLite file, or PostgreSQL where TEST_DATABASE names a server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from lti_tool import jobs
from lti_tool.credentials import status_list
from lti_tool.jobs import RUNNERS
from lti_tool.models import Award, Edition, Job
from lti_tool.services import work
from tests import servers
from tests.classroom import Classroom, badge, make_room  # noqa: F401 (a fixture)
from tests.faults.conftest import SLUG
from tests.faults.watching import home, results_of
from tests.scene import Scene, make_database, now
from tests.services.test_awards import environment

PATIENCE = 60  # seconds until the workers must have done what they were told

# A worker as the command starts it, but its pauses are short, and where the trap lies it dies as `kill -9` would have
# it: between the award and its signature.
WORKER = """
import os, signal, sys
from pathlib import Path
from lti_tool.cli import main
from lti_tool.services import editions, work
work.FIRST_PAUSE = 0.05
trap, sign = Path(sys.argv.pop(1)), editions.sign_pending
def sign_or_die(*told):
    try:
        _, _ = told  # of one course: the sweep of a worker that starts signs those of all
        trap.unlink()
    except (ValueError, FileNotFoundError):
        return sign(*told)
    os.kill(os.getpid(), signal.SIGKILL)
editions.sign_pending = sign_or_die
sys.exit(main(sys.argv[1:]))
"""


class Workers:
    """Two workers; either may die, and is started again."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.trap = scene.folder / "the next to sign dies"
        self.running = [self._start(), self._start("--no-periodic")]

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WORKER, str(self.trap), "worker", *options]
        with (self.scene.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                command, env=environment(self.scene), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def alive(self) -> int:
        return sum(process.poll() is None for process in self.running)

    def kill(self, which: int) -> None:
        self.running[which].kill()
        self.running[which].wait()

    def mend(self) -> None:
        """Start again whoever died."""
        self.running = [each if each.poll() is None else self._start("--no-periodic") for each in self.running]

    def stop(self) -> None:
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A scene whose jobs go through Redis and are run by nobody here."""
    folder = tmp_path_factory.mktemp("two-workers")
    with servers.redis() as queue, make_database(os.environ.get("TEST_DATABASE", ""), folder) as url:
        scene = Scene(folder, url, LTI_TOOL_QUEUE__URL=queue)
        jobs.connect(scene.tool)
        try:
            yield scene
        finally:
            scene.stop()


@pytest.fixture(scope="module")
def started(shared: Scene) -> Iterator[Workers]:
    made = Workers(shared)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def workers(started: Workers) -> Workers:
    started.mend()
    return started


@pytest.fixture(params=["canvas", "moodle"])
def room(request: pytest.FixtureRequest, make_room: Callable[..., Classroom], workers: Workers) -> Classroom:  # noqa: F811
    """A course of eight who have all earned its badge, and no worker has been told of it."""
    made = make_room(mood=request.param, students=8)
    assert made.publish(badge(SLUG)).state == "done"
    for student in made.students:
        made.grade(student, 3, 3)
    return made


def until(what: Callable[[], object], room: Classroom) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            log = (room.scene.folder / "workers.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"not within {PATIENCE} s; the workers said:\n{log}")
        time.sleep(0.02)


def sync_job(room: Classroom) -> Job:
    """Return the course's newest sync."""
    with room.tool.db.read() as session:
        query = select(Job).where(Job.kind == "sync", Job.subject == str(room.id)).order_by(Job.id.desc())
        return session.scalars(query.limit(1)).one()


def missed(room: Classroom) -> None:
    """Let the lease of whoever has the course's sync be over."""
    with room.tool.db.write() as session:
        job = session.get_one(Job, sync_job(room).id, with_for_update=True)
        assert job.state == "running"
        job.lease_until = now() - timedelta(seconds=1)


def look_again(room: Classroom) -> bool:
    """Do what the schedule does each minute, and say whether the course's sync has ended."""
    for job_id in work.due(room.tool, now()):
        room.tool.wake(job_id)
    return sync_job(room).state in ("done", "failed")


def everybody_has_one(room: Classroom) -> None:
    """Check that each learner has one award with one signed edition, and that no place in a list was given twice."""
    found = room.awards()
    assert sorted(each["user"] for each in found) == sorted(student.id for student in room.students)
    assert {each["status"] for each in found} == {"issued"}
    with room.tool.db.read() as session:
        editions = list(session.scalars(select(Edition).join(Award).where(Award.course_id == room.id)))
        place = (Edition.status_list_id, Edition.status_index)
        assert session.execute(select(*place).group_by(*place).having(func.count() > 1)).all() == []
    assert len(editions) == len(found) and all(edition.signed_at is not None for edition in editions)
    assert all(0 <= edition.status_index < status_list.ENTRIES for edition in editions)


def test_J01_a_worker_killed_between_award_and_signature_leaves_it_to_the_other(
    room: Classroom, workers: Workers
) -> None:
    workers.trap.touch()
    room.page.post("sync")
    until(lambda: workers.alive() == 1, room)
    with room.tool.db.read() as session:
        made = {e.award_id: (e.id, e.salt, e.status_index) for e in session.scalars(_editions(room))}
        assert len(made) == len(room.students)  # awarded
        assert all(edition.document is None for edition in session.scalars(_editions(room)))  # and not signed
    missed(room)
    until(lambda: look_again(room), room)
    everybody_has_one(room)
    with room.tool.db.read() as session:
        assert {e.award_id: (e.id, e.salt, e.status_index) for e in session.scalars(_editions(room))} == made
    job = sync_job(room)
    assert (job.state, job.attempts) == ("done", 2)
    assert "Synced" in home(room)


def _editions(room: Classroom):
    return select(Edition).join(Award).where(Award.course_id == room.id)


def test_J04_a_worker_that_dies_while_it_reads_is_replaced_and_the_attempt_counts(
    room: Classroom, workers: Workers
) -> None:
    """Whichever of the two it was: the one that hangs at the LMS has lost its job when it comes back."""
    room.lms.faults.on("results", "slow", count=1, seconds=8)
    room.page.post("sync")
    until(lambda: room.lms.faults.active == [], room)  # one of them reads, and waits
    assert sync_job(room).state == "running"
    workers.kill(0)
    workers.mend()
    missed(room)
    until(lambda: look_again(room), room)
    assert (sync_job(room).state, sync_job(room).attempts) == ("done", 2)
    everybody_has_one(room)


def test_H02_two_workers_at_the_same_course_give_one_award_each(room: Classroom) -> None:
    """Two kinds of job may be at one course at once; a third worker is here in this process."""
    ids = [work.request(room.tool, kind, str(room.id), now()) for kind in ("sync", "evaluate", "post")]
    for _ in range(3):
        for job_id in ids:
            room.tool.wake(job_id)
    work.run(room.tool, ids[1], RUNNERS)
    until(lambda: look_again(room), room)
    until(lambda: not work.due(room.tool, now()), room)
    everybody_has_one(room)
    assert sync_job(room).state == "done"


def test_F16_half_a_class_is_no_class_whichever_worker_reads_it(room: Classroom) -> None:
    room.lms.max_page_size = 1
    where = {"page": 3} if room.mood == "canvas" else {"skip": 1}
    room.lms.faults.on("results", "html", **where)
    room.page.post("sync")
    until(lambda: "Your LMS did not answer as it should." in home(room), room)
    assert room.awards() == [] and results_of(room) == {}
    room.lms.faults.clear()

    def done() -> bool:
        """The two may have tried five times before anybody looked: then somebody asks once more."""
        if look_again(room) and sync_job(room).state == "failed":
            room.page.post("sync")
        return sync_job(room).state == "done"

    until(done, room)
    everybody_has_one(room)


def test_J05_a_job_that_fails_five_times_is_parked_shown_and_done_when_somebody_says_so(room: Classroom) -> None:
    room.lms.faults.on("results", "html")
    room.page.post("sync")
    until(lambda: look_again(room), room)
    job = sync_job(room)
    assert (job.state, job.attempts) == ("failed", 5)
    admin = room.scene.administrator()
    assert f"/admin/jobs/{job.id}/retry" in admin.get("/admin/jobs").text
    room.lms.faults.clear()
    assert admin.post(f"/admin/jobs/{job.id}/retry").status_code == 200
    until(lambda: look_again(room), room)
    assert (sync_job(room).id, sync_job(room).state) == (job.id, "done")
    everybody_has_one(room)


def test_J06_a_poison_job_holds_up_no_other(room: Classroom) -> None:
    """A job no worker can do, more of them than there are hands to take them."""
    poison = [work.request(room.tool, "dance", f"{room.id}/{number}", now()) for number in range(8)]
    for job_id in poison:
        room.tool.wake(job_id)
    room.page.post("sync")
    until(lambda: look_again(room), room)
    everybody_has_one(room)
    until(lambda: look_again(room) and parked(room, poison), room)
    with room.tool.db.read() as session:
        assert {session.get_one(Job, job_id).attempts for job_id in poison} == {work.MOST_ATTEMPTS}


def parked(room: Classroom, ids: list[int]) -> bool:
    with room.tool.db.read() as session:
        return all(session.get_one(Job, job_id).state == "failed" for job_id in ids)
