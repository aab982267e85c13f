"""The demo LMS with a large class, in a process of its own; what a test does with it goes over a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import Any

from lti_tool import demo

COURSE, TEACHER = "BIG101", "teacher"


class Classroom:
    """One LMS of the demo site with one course: a teacher and `students`, each with a name and an address."""

    def __init__(self, mood: str, students: int) -> None:
        self._site = demo.start((mood,), filled=False)
        self._lms = self._site.lmses[mood]
        self._lms.add_course(COURSE, "A large class")
        self._lms.add_user(COURSE, "instructor", username=TEACHER)
        self._students = [
            self._lms.add_user(COURSE, "student", given_name="Student", family_name=f"Number {number}")
            for number in range(students)
        ]

    def register(self, base_url: str) -> dict[str, str]:
        """Register the tool; returns what `platforms add` needs."""
        lms = self._lms
        tool = lms.register_tool(f"{base_url}/lti/login", f"{base_url}/lti/launch", f"{base_url}/.well-known/jwks.json")
        self._tool = tool
        return {
            "issuer": lms.issuer,
            "client_id": tool.client_id,
            "auth_login_url": lms.auth_url,
            "auth_token_url": lms.token_url,
            "jwks_url": lms.jwks_url,
        }

    def trust(self, jwks: dict[str, Any]) -> None:
        """Serve the tool's keys from here, where the LMS asks for them: no web server of the tool is running."""
        self._site.app.add_url_rule("/tool-keys", "tool_keys", lambda: jwks)
        self._tool.jwks_url = f"{self._site.url}/tool-keys"

    def login_request(self) -> dict[str, str]:
        return self._lms.login_request(self._tool, TEACHER, COURSE)

    def answer(self, location: str) -> dict[str, str]:
        """Answer the tool's authentication request with the fields of the form."""
        fields: dict[str, str] = self._lms.finish_auth(location)["fields"]
        return fields

    def grade_all(self, points: float) -> int:
        """Give everybody these points in every column of the tool; returns the number of grades."""
        columns = [column for column in self._lms.columns(COURSE) if column.client_id == self._tool.client_id]
        for column in columns:
            for student in self._students:
                self._lms.grade(COURSE, column, student, points)
        return len(columns) * len(self._students)

    def grade_mixed(self, most: int = 4) -> int:
        """Give everybody other points in each column, up to `most`, every seventh none; returns the number of grades.

        With fewer than the highest level's points nobody stands at it in every column."""
        columns = [column for column in self._lms.columns(COURSE) if column.client_id == self._tool.client_id]
        count = 0
        for place, column in enumerate(columns):
            for number, student in enumerate(self._students):
                if (number + place) % 7:
                    self._lms.grade(COURSE, column, student, (number * 3 + place) % (most + 1))
                    count += 1
        return count

    def requests(self) -> int:
        """Return how many requests came since the last call."""
        count = len(self._lms.requests)
        self._lms.requests.clear()
        return count


class _Process(BaseManager):
    """Starts the process and carries calls to it."""


_Process.register("Classroom", Classroom)


@contextmanager
def classroom(mood: str, students: int) -> Iterator[Classroom]:
    """Run the LMS while the block runs."""
    with _Process(ctx=get_context("spawn")) as process:
        yield process.Classroom(mood, students)  # type: ignore[attr-defined]
