"""A published course at a demo LMS of either mood, without any real waiting: pauses are noted and not slept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.classroom import Classroom, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene

SLUG = "careful-work"  # one badge for all courses: its credential is compiled once


@pytest.fixture(params=["canvas", "moodle"])
def mood(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def pauses(shared: Scene, monkeypatch: pytest.MonkeyPatch) -> list[float]:  # noqa: F811
    """The seconds the tool would have slept between two tries of one request."""
    slept: list[float] = []
    monkeypatch.setattr(shared.tool.http, "_sleep", slept.append)
    return slept


@pytest.fixture
def room(make_room: Callable[..., Classroom], mood: str) -> Iterator[Classroom]:  # noqa: F811
    """A course with a badge of two columns in force, its first student at the required level in both."""
    made = make_room(mood=mood)
    assert made.publish(badge(SLUG)).state == "done"
    made.grade(made.students[0], 3, 3)
    made.lms.requests.clear()
    yield made
    made.tool.tokens._tokens.clear()  # a token that was spoilt is no other test's
