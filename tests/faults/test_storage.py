"""Rows of table J that need a machine to be short of something. No LMS has a part in them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import event, func, select, text, update

from lti_tool.errors import DiskFull
from lti_tool.models import CourseBadge, Figure, Presence, StatusList
from lti_tool.services import audit, award_acts, checking, presence
from tests.classroom import Classroom, badge
from tests.faults.conftest import SLUG
from tests.faults.watching import text_of
from tests.scene import Scene, now
from tests.services.test_awards import environment

FULL = "The tool has no room left to store anything, so nothing was changed."


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A scene of one's own on SQLite: its disk can be filled without filling anybody else's."""
    made = Scene(tmp_path, f"sqlite:///{tmp_path / 'tool.db'}")
    try:
        yield made
    finally:
        made.stop()


def opened(scene: Scene, students: int = 2) -> Classroom:
    room = Classroom(scene, students=students)
    assert room.publish(badge(SLUG)).state == "done"
    for student in room.students:
        room.grade(student, 3, 3)
    return room


@contextmanager
def a_full_disk(scene: Scene) -> Iterator[None]:
    """Let SQLite have no page more than it has, as a disk without room does, and use up what is left in those."""

    def allow_no_more(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # it takes the number of pages there are

    engine = scene.tool.db.engine
    event.listen(engine, "connect", allow_no_more)
    engine.dispose()
    try:
        for size in (20_000, 500, 20):
            with pytest.raises(DiskFull):
                for _ in range(1000):
                    with scene.tool.db.write() as session:
                        audit.record(session, now(), "operator", "test.j13", "x" * size)
        yield
    finally:
        event.remove(engine, "connect", allow_no_more)
        engine.dispose()


def status_lists(room: Classroom) -> list[dict[str, Any]]:
    """Fetch every status list as a stranger does."""
    with room.tool.db.read() as session:
        numbers = list(session.scalars(select(StatusList.id)))
    lists = []
    for number in numbers:
        answer = requests.get(f"{room.scene.url}/status/{number}", timeout=10)
        assert answer.status_code == 200
        lists.append(json.loads(answer.content))
    return lists


def withdrawn(room: Classroom, award: dict[str, Any]) -> bool:
    """Tell whether a credential is revoked, by a whole check of it: list, signature and bit."""
    edition = award["credential_url"].rpartition("/")[2]
    report = checking.check(room.tool, f"{room.scene.url}/credentials/{edition}.json", now(), everyone_sees=True)
    assert report.ok or report.outcome("withdrawn") == "failed", report
    return not report.ok


def healthy(scene: Scene) -> bool:
    with scene.tool.db.read() as session:
        return session.scalar(text("PRAGMA integrity_check")) == "ok"


def test_J13_on_a_full_disk_a_page_says_so_and_nothing_is_half_done(scene: Scene) -> None:
    room = opened(scene)
    first, second = room.students
    room.grade(second, None, None)
    assert room.sync().state == "done"
    room.grade(second, 3, 3)
    award = room.award(first)
    with scene.tool.db.read() as session:
        before = len(session.scalars(select(CourseBadge)).all())
    lists = status_lists(room)
    with a_full_disk(scene):
        answer = room.page.post("library/empathy")
        assert answer.status_code == 503 and FULL in text_of(answer.text)
        answer = room.page.post("sync")  # the job may just fit; what it reads does not
        assert FULL in text_of(answer.text)
        with pytest.raises(DiskFull):
            award_acts.revoke(scene.tool, award["id"], "A mistake", actor="operator", now=now())
        scene.tool.status_lists.clear()
        assert [each["id"] for each in status_lists(room)] == [each["id"] for each in lists]
        assert not withdrawn(room, award)
        assert room.page.get("").status_code == 200  # what is there is shown
        launches = (room.enter(second).page for _ in range(200))  # some find room where logins have been removed
        refused = next(page for page in launches if page is not None and page.status_code != 200)
        assert refused.status_code == 503 and FULL in text_of(refused.text)
    assert healthy(scene)
    with scene.tool.db.read() as session:
        assert len(session.scalars(select(CourseBadge)).all()) == before
    assert room.awards(second) == []
    assert room.sync().state == "done" and room.award(second)["status"] == "issued"
    award_acts.revoke(scene.tool, award["id"], "A mistake", actor="operator", now=now())
    assert withdrawn(room, award) and not withdrawn(room, room.award(second))


def test_J13_a_worker_goes_on_saying_that_it_lives_once_there_is_room_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "EVERY", 0.02)
    tool = scene.tool

    def until(done: Callable[[], bool]) -> bool:
        return any(done() or time.sleep(0.02) for _ in range(500))

    def written() -> bool:
        with tool.db.read() as session:
            return session.scalar(select(func.sum(Figure.value)).where(Figure.name == "refusals")) == 400

    with presence.alive(tool, 2, periodic=True) as me:
        with a_full_disk(scene):
            for number in range(400):  # more than may find room in what is there
                tool.figures.count("refusals", reason=f"odd_{number}" + "x" * 50)
            tried: set[float] = set()
            until(lambda: tried.add(tool.figures._added_at) or len(tried) > 3 or not alive())
            assert alive()
        with tool.db.write() as session:
            session.execute(update(Presence).where(Presence.id == me).values(seen_at=now() - timedelta(hours=1)))
        assert until(lambda: presence.is_well(tool, now()))
        assert until(written)  # what could not be added was kept


def alive() -> bool:
    return "alive" in [thread.name for thread in threading.enumerate()]


def test_J13_a_command_on_a_full_disk_ends_with_one_clear_line_and_the_next_does_all(scene: Scene) -> None:
    """The limit is the system's own, on how large this process may make a file, and is met in the middle of a sync."""
    room = opened(scene, students=20)
    with scene.tool.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    command = [sys.executable, "-m", "lti_tool.cli", "sync", "--context", room.course.id]
    room_left = 24 * 4096

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_left, room_left))

    done = subprocess.run(command, env=environment(scene), capture_output=True, text=True, preexec_fn=no_large_files)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("lti-tool:")]
    assert len(told) == 1 and FULL in told[0] and "Traceback" not in done.stderr
    assert healthy(scene)
    assert room.awards() == [] or {each["status"] for each in room.awards()} <= {"pending", "issued"}
    done = subprocess.run(command, env=environment(scene), capture_output=True, text=True)
    assert done.returncode in (0, 1)
    scene.tool.status_lists.clear()
    if done.returncode:  # the job that died with its disk is still held for a while
        room.sync()
    assert len({each["user"] for each in room.awards()}) == len(room.awards()) == 20
    assert {each["status"] for each in room.awards()} == {"issued"}
    assert status_lists(room) and not any(withdrawn(room, each) for each in room.awards()[:3])
