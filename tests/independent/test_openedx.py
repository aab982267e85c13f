"""The main job on a platform none of us wrote: Open edX's LTI consumer, a process of its own behind real HTTP.

Its launches, keys, tokens, columns, scores and roster are the package's (openedx_platform.py)."""

from __future__ import annotations

import html
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from lti_tool.lti.ags import post_score, results
from lti_tool.models import Column, Course, Enrolment, Person
from lti_tool.services import doctor, platforms
from lti_tool.services.access import course_service
from tests.scene import ORAL, Scene, Visitor, make_database, now

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
START = 60  # seconds the platform may take on a loaded machine
FIELD = re.compile(r'<input name="([^"]+)" value="([^"]*)"')


class Platform:
    """The running platform, and what its people do there."""

    def __init__(self, url: str, scene: Scene, number: int) -> None:
        self.url, self.scene, self.number = url, scene, number

    def open(self, user: str, **changes: Any) -> Visitor:
        """Click on the activity as a browser does: login, authentication request, id token, launch."""
        visitor = Visitor(self.scene)
        started = visitor.http.get(f"{self.url}/start?user={user}", timeout=20)
        assert started.url.startswith(self.url), started.url  # by way of the tool's login, back at the platform
        action = re.search(r'action="([^"]+)"', started.text)
        assert started.status_code == 200 and action is not None, started.text
        form = {html.unescape(name): html.unescape(value) for name, value in FIELD.findall(started.text)}
        visitor.page = visitor.http.post(html.unescape(action[1]), data={**form, **changes}, timeout=20)
        visitor.home = visitor.page.url if "/course/" in visitor.page.url or "/me/" in visitor.page.url else ""
        return visitor

    def grade(self, user: str, tag: str, score: float) -> None:
        answer = requests.post(f"{self.url}/grade", json={"user": user, "tag": tag, "score": score}, timeout=20)
        assert answer.status_code == 200, answer.text

    def columns(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.url}/gradebook", timeout=20).json()["columns"])


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    assert PYTHON.exists(), "make tests/independent/.venv/.installed makes the platform's environment"
    folder = tmp_path_factory.mktemp("openedx")
    with make_database(os.environ.get("TEST_DATABASE", ""), folder) as database:
        scene = Scene(folder, database)
        port = _free_port()
        command = [PYTHON, HERE / "openedx_platform.py", str(port), folder, scene.url]
        log = (folder / "platform.log").open("wb")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            told = _registration(process, folder / "platform.log")
            number = platforms.add_platform(
                scene.tool,
                name="Open edX",
                product="other",
                auth_audience=None,
                deployment_ids=(),
                now=now(),
                **told,
            )
            yield Platform(told["issuer"], scene, number)
        finally:
            process.terminate()
            process.wait(15)
            log.close()
            scene.stop()


def _registration(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    until = time.monotonic() + START
    line = process.stdout.readline()
    assert line and time.monotonic() < until, log.read_text()
    found: dict[str, str] = json.loads(line)
    while True:
        try:
            requests.get(f"{found['issuer']}/gradebook", timeout=5)
            return found
        except requests.ConnectionError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def teacher(platform: Platform) -> Visitor:
    """The instructor's browser, after she has published a badge of four columns there."""
    opened = platform.open("tess")
    assert opened.page is not None and opened.page.status_code == 200, opened.page
    opened.post(f"library/{ORAL}")
    done = opened.post(f"badges/{ORAL}/publish")
    assert done.status_code == 200, done.text
    return opened


def course(platform: Platform) -> Course:
    with platform.scene.tool.db.read() as session:
        return session.scalars(select(Course).where(Course.registration_id == platform.number)).one()


def test_it_launches_an_instructor_and_a_learner_into_their_pages(platform: Platform) -> None:
    for user, begins in (("tess", "/course/"), ("ana", "/me/")):
        opened = platform.open(user)
        assert opened.page is not None and opened.page.status_code == 200
        assert opened.home.startswith(f"{platform.scene.url}{begins}")
    found = course(platform)
    assert (found.label, found.title) == ("EMP101", "Empathy 101")
    assert found.line_items_url and found.memberships_url


def test_a_launch_of_it_that_was_altered_or_comes_twice_is_refused(platform: Platform) -> None:
    assert platform.open("tess", state="another").page.status_code in (400, 401)  # type: ignore[union-attr]
    first = Visitor(platform.scene)
    started = first.http.get(f"{platform.url}/start?user=ana", timeout=20)
    form = {html.unescape(name): html.unescape(value) for name, value in FIELD.findall(started.text)}
    head, payload, signature = form["id_token"].split(".")
    forged = {**form, "id_token": f"{head}.{payload}.{signature[::-1]}"}
    address = f"{platform.scene.url}/lti/launch"
    statuses = [first.http.post(address, data=each, timeout=20).status_code for each in (forged, form, form)]
    assert statuses == [401, 200, 401]


def test_publishing_makes_the_columns_in_its_gradebook_and_again_makes_none(
    platform: Platform, teacher: Visitor
) -> None:
    made = [column["tag"] for column in platform.columns()]
    assert made == [f"sub-competency:OC-{n}" for n in range(1, 5)]
    assert {column["resource_id"] for column in platform.columns()} == {f"badge:{ORAL}"}
    teacher.post(f"badges/{ORAL}/publish")
    assert [column["tag"] for column in platform.columns()] == made


def test_grades_given_there_become_a_badge_that_verifies(platform: Platform, teacher: Visitor) -> None:
    for user, points in (("ana", (4, 3, 3, 2)), ("ben", (4, 3, 1, 3))):
        for number, score in enumerate(points, start=1):
            platform.grade(user, f"sub-competency:OC-{number}", score)
    assert teacher.post("sync").status_code == 200
    awards = {row["user"]: row for row in platform.scene.awards() if row["platform"] == platform.number}
    assert set(awards) == {"external-ana"} and awards["external-ana"]["status"] == "issued"
    learner = platform.open("ana")
    assert learner.page is not None and "is yours" in learner.page.text
    credential = learner.http.get(awards["external-ana"]["credential_url"] + ".json", timeout=20).json()
    assert credential["credentialSubject"]["achievement"]["name"] == "Oral Communication"


def test_its_roster_says_who_is_a_learner_and_who_is_not(platform: Platform, teacher: Visitor) -> None:
    teacher.post("sync")
    with platform.scene.tool.db.read() as session:
        rows = session.execute(
            select(Person.sub, Person.name, Enrolment.roster_role)
            .join(Enrolment, Enrolment.person_id == Person.id)
            .where(Enrolment.course_id == course(platform).id)
        ).all()
    assert {(row.sub, row.roster_role) for row in rows} >= {
        ("external-ana", "Learner"),
        ("external-ben", "Learner"),
        ("external-tess", "Instructor"),
    }
    assert all(row.name for row in rows)


def test_a_score_the_tool_sends_is_taken_and_read_back(platform: Platform, teacher: Visitor) -> None:
    tool = platform.scene.tool
    service, _ = course_service(tool, course(platform).id)
    with tool.db.read() as session:
        tagged = select(Column).where(Column.tag == "sub-competency:OC-1", Column.url.startswith(platform.url))
        column = session.scalars(tagged).one()
    moment = service.platform.score_time(now(), None)
    post_score(service, column.url, user_id="external-ben", points=2, maximum=4, timestamp=moment)
    (row,) = [each for each in results(service, column.url) if each.user_id == "external-ben"]
    assert row.values["resultScore"] == 2 and row.values["resultMaximum"] == 4


def test_doctor_finds_everything_of_it_in_order(platform: Platform, teacher: Visitor) -> None:
    findings = [f for f in doctor.examine(platform.scene.tool, platform.number, now()) if f.what.startswith("platform")]
    assert len(findings) >= 4 and [f for f in findings if not f.ok] == []
