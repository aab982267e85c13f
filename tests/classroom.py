"""Badges to test with, and a course of one's own on a scene that the tests of a module share."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, Gate, Level, Picture, SubCompetency
from lti_tool.jobs import RUNNERS
from lti_tool.models import Award, Course, CourseBadge, Job, Person, PlatformLoad
from lti_tool.services import awards, catalog, work
from tests.scene import Scene, Visitor, make_database, now

NUMBERS = itertools.count(1)


def levels(*points: float | str) -> tuple[Level, ...]:
    names = ("Beginning", "Developing", "Proficient", "Advanced")
    return tuple(Level(name, Decimal(str(each))) for name, each in zip(names, points, strict=False))


def row(code: str = "A", points: Sequence[float | str] = (1, 2, 3, 4), **changes: Any) -> SubCompetency:
    """A sub-competency of four levels, 1 to 4 points, that needs Proficient."""
    values = {"name": f"Row {code}", "required_level": "Proficient", "source": "column", **changes}
    return SubCompetency(code=code, levels=levels(*points), **values)


def badge(slug: str = "", rows: int = 2, **changes: Any) -> Badge:
    """A badge of `rows` sub-competencies, A, B, C …, each with a gradebook column."""
    values: dict[str, Any] = {
        "slug": slug or f"badge-{next(NUMBERS)}",
        "name": "Careful Work",
        "description": "Works carefully.",
        "criteria": "Careful *each* time.",
        "sub_competencies": tuple(row(code) for code in "ABCDEFGH"[:rows]),
        "picture": Picture(alt="A star on a hexagon"),
        **changes,
    }
    return Badge(**values)


def gate(code: str = "g", kind: str = "percent", required: str = "60", **changes: Any) -> Gate:
    return Gate(code, f"Gate {code}", kind, required, **changes)


LETTERS = tuple((letter, Decimal(least)) for letter, least in (("F", 0), ("C", 70), ("B", 80), ("A", 90)))


class Classroom:
    """A fresh course of the demo LMS with an instructor and students, known to the tool by the instructor's launch."""

    def __init__(self, scene: Scene, mood: str = "moodle", students: int = 2) -> None:
        self.scene, self.mood = scene, mood
        self.lms = getattr(scene.site, mood)
        self.course = self.lms.add_course(f"C{next(NUMBERS)}", "A course")
        self.teacher = self.lms.add_user(self.course, "instructor", given_name="Tess", family_name="Teacher")
        self.students = [self.lms.add_user(self.course, "student") for _ in range(students)]
        self.badge: Badge = badge()
        self.page: Visitor = self.enter(self.teacher)

    # -- people

    def enter(self, user: Any, **options: Any) -> Visitor:
        self.scene.mood = self.mood
        return self.scene.launch(user.id, self.course.id, **options)

    @property
    def tool(self) -> Any:
        return self.scene.tool

    @property
    def id(self) -> int:
        """The course's id in the tool."""
        with self.tool.db.read() as session:
            return session.scalars(select(Course.id).where(Course.context_id == self.course.id)).one()

    def person_id(self, user: Any) -> str:
        with self.tool.db.read() as session:
            return session.scalars(select(Person.id).where(Person.sub == user.id)).one()

    # -- badge

    def put(self, definition: Badge, picture_png: bytes | None = None) -> str:
        self.badge = definition
        _, what = catalog.put_badge(
            self.tool, self.id, definition, picture_png=picture_png, actor="operator", now=now()
        )
        return what

    def publish(self, definition: Badge | None = None, picture_png: bytes | None = None) -> Job:
        """Put and publish, as `badges import --publish` does; the job as it ended."""
        self.put(definition or self.badge, picture_png)
        return self.publish_again()

    def publish_again(self) -> Job:
        job_id = catalog.start_publishing(self.tool, self.id, self.badge.slug, actor="operator", now=now())
        return work.wait(self.tool, job_id, RUNNERS)

    def run(self, kind: str, subject: str) -> Job:
        return work.wait(self.tool, work.request(self.tool, kind, subject, now()), RUNNERS)

    def course_badge(self, session: Session) -> CourseBadge:
        return catalog.get_badge(session, self.id, self.badge.slug)

    @property
    def columns(self) -> list[Any]:
        return [c for c in self.lms.columns(self.course) if c.resource_id == self.badge.resource_id]

    def column(self, code: str) -> Any:
        return next(c for c in self.columns if c.tag.endswith(f":{code}"))

    # -- grades and awards

    def grade(self, user: Any, *points: float | None) -> None:
        """Enter points in the badge's columns, in their order, as a teacher does."""
        for column, score in zip(self.columns, points, strict=False):
            self.lms.grade(self.course, column, user, score)

    def sync(self) -> Job:
        return self.run("sync", str(self.id))

    def awards(self, user: Any | None = None) -> list[dict[str, Any]]:
        found = awards.listing(self.tool, context=self.course.id)
        return [each for each in found if user is None or each["user"] == user.id]

    def award(self, user: Any | None = None) -> dict[str, Any]:
        """The one award there is; more or fewer is a failure."""
        found = self.awards(user or self.students[0])
        assert len(found) == 1, found
        return found[0]

    def shown(self, award_id: str) -> dict[str, Any]:
        return awards.listing(self.tool, award_id=award_id)[0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Start both sides once for a module: its tests each make a course of their own."""
    folder = tmp_path_factory.mktemp("shared")
    with make_database(os.environ.get("TEST_DATABASE", ""), folder, prepared=True) as url:
        scene = Scene(folder, url)
        try:
            yield scene
        finally:
            scene.stop()


@pytest.fixture
def room(shared: Scene) -> Iterator[Classroom]:
    yield Classroom(shared)
    tidy(shared)


@pytest.fixture
def make_room(shared: Scene) -> Iterator[Callable[..., Classroom]]:
    """Make more courses, of either mood, as a test needs them."""
    yield lambda **options: Classroom(shared, **options)
    tidy(shared)


def tidy(scene: Scene) -> None:
    scene.mood = "moodle"
    for lms in (scene.site.canvas, scene.site.moodle):
        lms.faults.clear()
        lms.max_page_size = None
    with scene.tool.db.write() as session:  # no platform is left alone because of what the test before did
        session.execute(delete(PlatformLoad))


def last_days(room: Classroom, award_id: str) -> None:
    """Let an award of 30 days be in its last five, in which it can be renewed."""
    moved = timedelta(days=25)
    with room.tool.db.write() as session:
        award = session.get_one(Award, award_id)
        assert award.issued_at is not None and award.expires_at is not None
        award.issued_at, award.expires_at = award.issued_at - moved, award.expires_at - moved


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do several things in threads that start together; their results, or the exceptions they ended with."""
    gate = threading.Barrier(len(works))
    done: list[Any] = [None] * len(works)

    def one(index: int, do: Callable[[], Any]) -> None:
        gate.wait()
        try:
            done[index] = do()
        except Exception as error:
            done[index] = error

    threads = [threading.Thread(target=one, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return done


__all__ = [
    "LETTERS",
    "Classroom",
    "at_once",
    "badge",
    "gate",
    "levels",
    "make_room",
    "replace",
    "room",
    "row",
    "shared",
    "tidy",
]
