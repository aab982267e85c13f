"""The queue with a worker in a process of its own, as a SQLite file and on a Redis server; on PostgreSQL there too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from lti_tool import jobs
from lti_tool.models import Course, Job
from lti_tool.services import presence, sync, work
from tests import servers
from tests.scene import Scene, now

PATIENCE = 30  # seconds until a worker must have done what it was told


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if given := os.environ.get("TEST_REDIS"):
        yield given
        return
    with servers.redis() as url:
        yield url


QUEUES = ["sqlite", "redis", *(["postgresql"] if os.environ.get("TEST_DATABASE") else [])]


@pytest.fixture(params=QUEUES)
def queued(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Scene]:
    """A scene with a published badge, whose jobs go through the queue and are run by nobody yet."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    else:  # on PostgreSQL it may be the tool's own database
        url = f"sqlite:///{tmp_path / 'q.db'}" if request.param == "sqlite" else database_url
    scene = Scene(tmp_path, database_url, LTI_TOOL_QUEUE__URL=url)
    try:
        scene.publish()
        jobs.connect(scene.tool).flush()
        yield scene
    finally:
        scene.stop()


@contextmanager
def worker(scene: Scene, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    told = {
        "LTI_TOOL_SERVER__BASE_URL": scene.settings.base_url,
        "LTI_TOOL_DATABASE__URL": scene.settings.database.url,
        "LTI_TOOL_DATABASE__REVOCATIONS": scene.settings.database.revocations,
        "LTI_TOOL_QUEUE__URL": scene.settings.queue.url,
        "LTI_TOOL_KEYS__DIR": str(scene.settings.keys.dir),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
    }
    command = [sys.executable, "-m", "lti_tool.cli", "worker", *options]
    process = subprocess.Popen(command, env={**os.environ, **told}, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_done(scene: Scene, job_id: int) -> Job:
    """Wait for a job without running it here."""
    until = time.monotonic() + PATIENCE
    while True:
        with scene.tool.db.read() as session:
            job = session.get_one(Job, job_id)
        if job.state not in ("due", "running") or time.monotonic() > until:
            return job
        time.sleep(0.1)


def ask(scene: Scene) -> int:
    (course_id,) = sync.courses_to_sync(scene.tool)
    return work.start(scene.tool, "sync", str(course_id))


def test_a_worker_does_what_the_queue_tells_it(queued: Scene) -> None:
    queued.grade("student1", 4, 4, 4, 4)
    with worker(queued, "--no-periodic"):
        job = until_done(queued, ask(queued))
    assert (job.state, job.problem) == ("done", None)
    assert queued.award_of("student1")["status"] == "issued"


def test_without_a_queue_the_work_waits_in_the_database_and_nobody_gets_an_error(queued: Scene) -> None:
    queued.grade("student1", 4, 4, 4, 4)
    queue = queued.settings.queue.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    nowhere = replace(queued.tool, settings=queued.settings.model_copy(update={"queue": queue}))
    jobs.connect(nowhere)
    (course_id,) = sync.courses_to_sync(queued.tool)
    job_id = work.start(nowhere, "sync", str(course_id))
    with worker(queued):
        assert until_done(queued, job_id).state == "done"


def test_work_whose_message_was_lost_is_found_when_a_worker_starts(queued: Scene) -> None:
    queued.grade("student1", 4, 4, 4, 4)
    job_id = ask(queued)
    jobs.make_queue(queued.settings.queue.url).flush()
    with worker(queued):
        assert until_done(queued, job_id).state == "done"
    assert queued.award_of("student1")["status"] == "issued"


def test_a_message_that_comes_twice_is_done_once(queued: Scene) -> None:
    job_id = ask(queued)
    queued.tool.wake(job_id)
    queued.tool.wake(job_id)
    with worker(queued, "--no-periodic"):
        assert until_done(queued, job_id).attempts == 1
        later = until_done(queued, ask(queued))
    assert (later.state, later.attempts) == ("done", 1)
    assert later.created_at <= now()


def test_two_workers_share_the_work(queued: Scene) -> None:
    with worker(queued, "--no-periodic"), worker(queued, "--no-periodic"):
        for _ in range(5):
            assert until_done(queued, ask(queued)).state == "done"
    with queued.tool.db.read() as session:
        assert {job.attempts for job in session.query(Job)} == {1}


def test_two_workers_with_the_schedule_by_mistake_read_a_course_once(queued: Scene) -> None:
    with queued.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
        session.execute(update(Course).values(next_sync_at=None))
        last = session.scalar(select(func.max(Job.id)))
    with worker(queued), worker(queued):
        until = time.monotonic() + PATIENCE
        while True:
            with queued.tool.db.read() as session:
                alive = presence.processes(session, now())
                new = list(session.scalars(select(Job).where(Job.kind == "sync", Job.id > last)))
            if (alive == (2, 2) and [job.state for job in new] == ["done"]) or time.monotonic() > until:
                break
            time.sleep(0.1)
    assert alive == (2, 2)
    assert [(job.state, job.attempts) for job in new] == [("done", 1)]


def test_a_short_pause_needs_no_sweep_to_end(queued: Scene) -> None:
    with queued.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
    (course_id,) = sync.courses_to_sync(queued.tool)
    waits = work.request(queued.tool, "evaluate", str(course_id), now() + timedelta(seconds=2))
    with worker(queued, "--no-periodic"):
        until_done(queued, ask(queued))
        assert until_done(queued, waits).state == "done"


def test_a_worker_that_is_told_of_one_job_takes_the_best_and_then_the_others(queued: Scene) -> None:
    with queued.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
    (course_id,) = sync.courses_to_sync(queued.tool)
    scheduled = work.request(queued.tool, "evaluate", str(course_id), now(), priority=work.SCHEDULED)
    waited_for = work.request(queued.tool, "sync", str(course_id), now())
    queued.tool.wake(scheduled)  # one message, two jobs
    with worker(queued, "--no-periodic", "--workers", "1"):
        first, second = until_done(queued, waited_for), until_done(queued, scheduled)
    assert (first.state, second.state) == ("done", "done")
    assert first.finished_at <= second.finished_at
