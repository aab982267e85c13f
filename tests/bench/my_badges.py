"""How long a learner's page of 50 badges of eight rows takes: `python -m tests.bench.my_badges`.

Every answer is made by the whole program in this process, from the request to the last byte, without a network. Half of
the badges are earned, half are on the way. The first answers of each kind are not counted. Of PostgreSQL, whose own
work is done in other processes, the processor's time says less than the clock's."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from statistics import median, quantiles

from flask import Flask
from sqlalchemy import select

from lti_tool.lti.registration import digest
from lti_tool.models import Browser, Course, Deployment, Enrolment, Launch, Mark, Person
from lti_tool.services import catalog, work
from lti_tool.services.sync import run_evaluate
from lti_tool.services.tool import Tool
from tests.bench.classroom import classroom
from tests.bench.servers import postgresql
from tests.bench.syncs import BASE_URL, DATABASES, enter, installation
from tests.bench.table import table
from tests.scene import LIBRARY, now

BADGES, PARTS, ROUNDS = 50, 8, 100
BADGE = "oral-communication"
SECRET = "x" * 43


def fill(app: Flask, tool: Tool, person_of: str) -> tuple[str, str]:
    """Publish the badges, mark one learner in each, and launch her; returns a badge's address and her launch."""
    badge, png = catalog.read_file(LIBRARY / f"{BADGE}.toml")
    parts = [replace(each, source="rubric") for each in badge.sub_competencies]
    twice = [*parts, *(replace(each, code=f"{each.code}-B", name=f"{each.name} again") for each in parts)][:PARTS]
    with tool.db.read() as session:
        course_id = session.scalars(select(Course.id)).one()
    for number in range(BADGES):
        one = replace(
            badge,
            slug=f"badge-{number}",
            name=f"{badge.name} {number}",
            columns="none",
            sub_competencies=tuple(replace(each, description=f"{each.description} {number}") for each in twice),
        )
        catalog.put_badge(tool, course_id, one, picture_png=png, actor="operator", now=now())
        job = catalog.start_publishing(tool, course_id, one.slug, actor="operator", now=now())
        done = work.wait(tool, job, {"publish": catalog.run_publish})
        if done.state != "done":
            raise RuntimeError(f"publishing failed: {done.problem}")
    with tool.db.write() as session:
        course = session.get_one(Course, course_id)
        course.synced_at = now()
        person = Person(
            registration_id=course.registration_id,
            sub=person_of,
            name="Ana Ruiz",
            subject_id="urn:uuid:6f0c1a52-5ba5-4b62-8d64-1f4f2f3c9c11",
            created_at=now(),
        )
        session.add(person)
        session.flush()
        session.add(Enrolment(course_id=course_id, person_id=person.id, launch_role="Learner", active=True))
        for number, each in enumerate(course.badges):
            for place, row in enumerate(catalog.definition_of(each).sub_competencies):
                if number % 2 and place == PARTS - 1:
                    continue  # one row short
                level = row.levels[-1]
                highest = str(level.points)
                session.add(
                    Mark(
                        course_badge_id=each.id,
                        person_id=person.id,
                        tag=row.tag,
                        level=len(row.levels) - 1,
                        points=highest,
                        maximum=highest,
                        marked_by="operator",
                        marked_at=now(),
                    )
                )
        browser = Browser(secret_hash=digest(SECRET), person_id=person.id, created_at=now())
        session.add(browser)
        session.flush()
        deployment = session.scalars(select(Deployment)).one()
        launch = Launch(
            browser_id=browser.id,
            deployment_pk=deployment.id,
            person_id=person.id,
            course_id=course_id,
            role="Learner",
            locale="en",
            created_at=now(),
            expires_at=now().replace(year=now().year + 1),
        )
        session.add(launch)
        session.flush()
        launch_id, badge_id = launch.id, course.badges[1].id
    run_evaluate(tool, str(course_id), lambda _line: None)
    return launch_id, badge_id


def one_database(server: str) -> list[tuple[str, list[float], list[float], int]]:
    """Time each page; returns its name, milliseconds of the processor and of the clock, and how many bytes it has."""
    with ExitStack() as stack:
        app, tool = stack.enter_context(installation(server))
        lms = stack.enter_context(classroom("moodle", 1))
        enter(app, tool, lms, "moodle")
        launch_id, badge_id = fill(app, tool, "ana")
        browser = app.test_client(use_cookies=False)
        found = []
        for name, path in (("my badges", ""), ("of all courses", "all"), ("one badge", f"badges/{badge_id}")):
            spent, clock = [], []
            for number in range(ROUNDS + 3):
                began, started = time.perf_counter(), time.process_time()
                answer = browser.get(
                    f"/me/{launch_id}/{path}", base_url=BASE_URL, headers={"Cookie": f"browser={SECRET}"}
                )
                content = answer.data
                if number > 2:
                    spent.append((time.process_time() - started) * 1000)
                    clock.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
            found.append((name, spent, clock, len(content)))
        return found


def measure() -> str:
    """Return the table."""
    rows = []
    with postgresql() as (server, _):
        for database, address in zip(DATABASES, ("", server), strict=True):
            for name, spent, clock, size in one_database(address):
                figures = [median(spent), quantiles(spent, n=100)[98], median(clock), quantiles(clock, n=100)[98]]
                rows.append((f"{name}, {database}", *(f"{each:.0f}" for each in figures), f"{size / 1000:.0f}"))
    said = f"A learner's pages with {BADGES} badges × {PARTS} rows in one course, {ROUNDS} answers of each kind. "
    said += "Milliseconds of the server's processor and of the clock. To be under 200 for my badges.\n\n"
    heads = ("", "processor median", "processor p99", "clock median", "clock p99", "kB")
    return said + table(heads, rows)


if __name__ == "__main__":
    print(measure())
