"""Jobs: due once, run by one, tried again, parked, taken over from the dead; and what the database withstands."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import requests
from alembic import command
from sqlalchemy import func, inspect, select, text, update

from lti_tool import db as database
from lti_tool.cli import main
from lti_tool.db import Database
from lti_tool.errors import Busy, ConfigurationError, DiskFull, NotFound, ServiceBusy, ServiceError, TokenRefused
from lti_tool.migrations import schema
from lti_tool.models import AuditEvent, Award, Base, Course, CourseBadge, Deployment, Issuer, Job, Publication
from lti_tool.services import audit, doctor, failed_jobs, work
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now
from tests.services.test_awards import environment

RAN: list[tuple[str, str]] = []


@pytest.fixture
def tool(shared):  # noqa: F811
    RAN.clear()
    with shared.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
    return shared.tool


def good(tool, subject, say):
    RAN.append(("good", subject))
    say("Doing it …")
    return {"count": 1}


def failing(error):
    def runner(tool, subject, say):
        RAN.append(("failing", subject))
        raise error

    return {"sync": runner}


def job_row(tool, job_id: int) -> Job:
    with tool.db.read() as session:
        return session.get_one(Job, job_id)


def make_ready(tool, job_id: int) -> None:
    """Let a pause be over."""
    with tool.db.write() as session:
        session.get_one(Job, job_id).not_before = now()


def test_asking_twice_for_the_same_work_makes_one_job(tool):
    first = work.request(tool, "sync", "7", now())
    assert work.request(tool, "sync", "7", now()) == first
    assert work.request(tool, "sync", "8", now()) != first
    assert work.request(tool, "publish", "7", now()) != first
    work.run(tool, first, {"sync": good})
    assert work.request(tool, "sync", "7", now()) != first


def test_asked_for_by_many_at_once_it_is_one_job(tool):
    ids = at_once(*[lambda: work.request(tool, "sync", "7", now())] * 8)
    assert len(set(ids)) == 1 and isinstance(ids[0], int), ids


def test_of_many_workers_one_runs_a_job(tool):
    job_id = work.request(tool, "sync", "7", now())
    ran = at_once(*[lambda: work.run(tool, job_id, {"sync": good})] * 8)
    assert sorted(ran) == [False] * 7 + [True]
    assert RAN == [("good", "7")]
    row = job_row(tool, job_id)
    assert (row.state, row.attempts, row.outcome, row.progress) == ("done", 1, {"count": 1}, ["Doing it …"])


def test_J04_a_job_whose_worker_died_is_taken_over_after_its_lease_and_the_attempt_counts(tool):
    job_id = work.request(tool, "sync", "7", now())
    assert work._claim(tool, job_id) is not None  # a worker takes it, and is never heard of again
    assert not work.run(tool, job_id, {"sync": good}) and job_id not in work.due(tool, now())
    with tool.db.write() as session:
        session.get_one(Job, job_id).lease_until = now() - timedelta(seconds=1)
    assert job_id in work.due(tool, now())
    assert work.run(tool, job_id, {"sync": good})
    assert (job_row(tool, job_id).state, job_row(tool, job_id).attempts) == ("done", 2)


def test_J04_a_worker_that_was_given_up_and_comes_back_changes_nothing_any_more(tool):
    job_id = work.request(tool, "sync", "7", now())

    def slow(_tool, subject, say):
        """While it sleeps its lease ends and another worker claims the job."""
        with tool.db.write() as session:
            session.get_one(Job, job_id).lease_until = now() - timedelta(seconds=1)
        assert work._claim(tool, job_id) is not None
        say("Still here")
        raise ServiceError("too late")

    work.run(tool, job_id, {"sync": slow})
    row = job_row(tool, job_id)
    assert (row.state, row.attempts, row.problem, row.progress) == ("running", 2, None, [])


def test_a_failed_job_is_listed_until_a_later_one_for_the_same_thing_has_succeeded(tool):
    def fails(kind, subject):
        job_id = work.request(tool, kind, subject, now())
        work.run(tool, job_id, {kind: failing(NotFound("gone"))["sync"]})
        return job_id

    def told():
        return (
            {each["id"] for each in work.listing(tool)},
            {row.id for row in failed_jobs.page(tool, now()).failed},
            next(each.sentence for each in doctor._installation(tool, now()) if each.what == "jobs"),
            work.depth(tool, now())["failed"],
        )

    before = told()[3]
    first, again, other = fails("sync", "7"), fails("sync", "7"), fails("sync", "8")
    listed, shown, _, failed = told()
    assert {first, again, other} <= listed and {first, again, other} <= shown and failed == before + 3
    assert work.run(
        tool, work.request(tool, "post", "7", now()), {"post": good}
    )  # of the same course, and another thing
    assert told()[3] == before + 3
    assert work.run(tool, work.request(tool, "sync", "7", now()), {"sync": good})
    listed, shown, sentence, failed = told()
    assert other in listed & shown and not {first, again} & (listed | shown)
    assert failed == before + 1 and sentence.startswith(f"{failed} failed")
    assert fails("sync", "7") in told()[0]  # it fails anew


def test_J05_a_job_that_fails_five_times_is_parked_listed_and_can_be_tried_again(tool):
    job_id = work.request(tool, "sync", "7", now())
    pauses = []
    for attempt in range(1, 6):
        before = now()
        assert work.run(tool, job_id, failing(ServiceError("no")))
        row = job_row(tool, job_id)
        assert row.attempts == attempt
        if attempt < 5:
            assert row.state == "due"
            pauses.append((row.not_before - before).total_seconds())
            assert not work.run(tool, job_id, {"sync": good})  # not before its time
            make_ready(tool, job_id)
    assert row.state == "failed"
    assert pauses == sorted(pauses) and 7 < pauses[0] < 13 and 60 < pauses[-1] < 101
    listed = next(each for each in work.listing(tool) if each["id"] == job_id)
    assert (listed["state"], listed["attempts"], listed["reason"]) == ("failed", 5, "service_failed")
    assert work.retry(tool, job_id, now()) == job_id
    assert work.run(tool, job_id, {"sync": good})
    assert job_row(tool, job_id).state == "done"
    assert job_id not in [each["id"] for each in work.listing(tool)]


def test_J05_a_job_that_kills_its_workers_is_parked_too(tool):
    job_id = work.request(tool, "sync", "7", now())
    for _ in range(5):
        assert work._claim(tool, job_id) is not None
        with tool.db.write() as session:
            session.get_one(Job, job_id).lease_until = now() - timedelta(seconds=1)
    assert not work.run(tool, job_id, {"sync": good}) and RAN == []
    assert (job_row(tool, job_id).state, job_row(tool, job_id).outcome["reason"]) == ("failed", "workers_lost")


def test_J05_jobs_by_command(tool, room, monkeypatch, capsys):  # noqa: F811
    room.publish(badge())
    job_id = work.request(tool, "sync", str(room.id), now())
    work.run(tool, job_id, failing(TokenRefused()))
    for name, value in environment(room.scene).items():
        monkeypatch.setenv(name, value)
    assert main(["jobs", "list"]) == 0
    assert "does not let the tool in" in capsys.readouterr().out
    assert main(["jobs", "retry", str(job_id)]) == 0
    assert (job_row(tool, job_id).state, job_row(tool, job_id).attempts) == ("done", 1)
    assert main(["jobs", "retry", "123456"]) == 1
    assert "lti-tool: There is no job 123456. See lti-tool jobs list --all." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ServiceError("x"), "due"),
        (Busy("locked"), "due"),
        (DiskFull("full"), "due"),
        (ValueError("a bug"), "due"),
        (TokenRefused(), "failed"),
        (NotFound("gone"), "failed"),
    ],
    ids=str,
)
def test_only_what_may_help_is_tried_again(tool, error, state):
    job_id = work.request(tool, "sync", "7", now())
    work.run(tool, job_id, failing(error))
    assert job_row(tool, job_id).state == state


def test_F04_a_pause_the_lms_named_is_kept_whoever_asks_and_one_of_ours_gives_way(tool):
    busy = ServiceBusy("wait")
    busy.retry_after = 120.0
    job_id = work.request(tool, "sync", "7", now())
    work.run(tool, job_id, failing(busy))
    assert work.request(tool, "sync", "7", now()) == job_id
    assert (job_row(tool, job_id).not_before - now()).total_seconds() > 110
    assert not work.run(tool, job_id, {"sync": good})
    other = work.request(tool, "sync", "8", now())
    work.run(tool, other, failing(ServiceError("x")))
    work.request(tool, "sync", "8", now())
    assert work.run(tool, other, {"sync": good})


@pytest.mark.parametrize("named", [86_400_000.0, 999_999_999.0, 8_000 * 365 * 86_400.0])
def test_F04_a_pause_of_years_is_no_pause_of_years(tool, named):
    """Milliseconds where seconds are meant, or a maintenance page that names a far date."""
    busy = ServiceBusy("wait")
    busy.retry_after = named
    job_id = work.request(tool, "sync", "7", now())
    work.run(tool, job_id, failing(busy))
    assert job_row(tool, job_id).state == "due"
    assert job_row(tool, job_id).not_before <= now() + timedelta(days=1)


def test_J06_a_poison_job_holds_up_no_other(tool):
    poison = work.request(tool, "sync", "7", now())
    work.run(tool, poison, failing(RuntimeError("poison")))
    fine = work.request(tool, "sync", "8", now())
    assert work.due(tool, now()) == [fine]
    assert work.run(tool, fine, {"sync": good})
    assert job_row(tool, poison).problem == "Something went wrong here. Try again in a minute."


def test_a_job_of_another_kind_than_known_is_a_failure_and_no_crash(tool):
    job_id = work.request(tool, "dance", "7", now())
    assert work.run(tool, job_id, {"sync": good})
    assert job_row(tool, job_id).state == "due"


# -- the database


def test_J07_twenty_writers_at_once_all_get_their_turn(tool):
    def write(number: int):
        def work_():
            for turn in range(5):
                with tool.db.write() as session:
                    audit.record(session, now(), "operator", "test.j07", f"{number}/{turn}")

        return work_

    done = at_once(*(write(number) for number in range(20)))
    assert [each for each in done if each is not None] == []
    with tool.db.read() as session:
        count = select(func.count()).select_from(AuditEvent).where(AuditEvent.action == "test.j07")
        assert session.scalar(count) == 100


def test_J08_a_writer_that_holds_the_lock_too_long_is_a_503_with_nothing_half_done(tmp_path, monkeypatch):
    """Of SQLite only: it has one writer. The wait is shortened from 5 s, so that the test need not wait as long."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.3)
    scene = Scene(tmp_path, f"sqlite:///{tmp_path / 'tool.db'}")
    try:
        teacher = scene.launch("teacher1")
        holding, done = threading.Event(), threading.Event()

        def hold() -> None:
            with scene.tool.db.write() as session:
                session.execute(update(Course).values(title="Half done"))
                holding.set()
                done.wait(10)
                session.rollback()

        thread = threading.Thread(target=hold)
        thread.start()
        holding.wait(5)
        try:
            began = time.monotonic()
            answer = teacher.post("library/empathy")
            assert time.monotonic() - began < 4
            assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
            assert "nothing was changed" in answer.text
            assert teacher.get("").status_code == 200  # who only reads is not held up
            assert requests.get(f"{scene.url}/healthz", timeout=5).status_code == 200
        finally:
            done.set()
            thread.join()
        with scene.tool.db.read() as session:
            assert session.scalars(select(CourseBadge)).all() == []
            assert session.scalars(select(Course)).one().title != "Half done"
        assert teacher.post("library/empathy").status_code == 200
    finally:
        scene.stop()


def test_J09_an_exception_in_a_transaction_takes_all_of_it_back(room):  # noqa: F811
    with pytest.raises(ZeroDivisionError), room.tool.db.write() as session:
        session.get_one(Course, room.id).title = "Half done"
        audit.record(session, now(), "operator", "test.j09", "x")
        session.flush()
        1 / 0  # noqa: B018
    with room.tool.db.read() as session:
        assert session.get_one(Course, room.id).title == "A course"
        assert session.scalar(select(AuditEvent).where(AuditEvent.action == "test.j09")) is None


def test_J09_a_read_that_ends_keeps_nothing(room):  # noqa: F811
    with room.tool.db.read() as session:
        session.get_one(Course, room.id).title = "Only read"
    with room.tool.db.read() as session:
        assert session.get_one(Course, room.id).title == "A course"


def test_an_invalid_state_is_refused_by_the_database(room):  # noqa: F811
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), room.tool.db.write() as session:
        session.get_one(Course, room.id).state = "odd"


# -- the schema


def test_J11_an_empty_database_is_brought_to_exactly_the_models_schema_and_again_changes_nothing(database_url):
    db = Database(database_url)
    assert schema.current(db) is None
    with pytest.raises(ConfigurationError, match="lti-tool db upgrade"):
        schema.check(db)
    head = schema.upgrade(db)
    schema.check(db)
    found = inspect(db.engine)
    assert set(found.get_table_names()) == set(Base.metadata.tables) | {"alembic_version"}
    for name, table in Base.metadata.tables.items():
        assert {c["name"] for c in found.get_columns(name)} == set(table.columns.keys()), name
    with db.write() as session:
        audit.record(session, now(), "operator", "test.j11", "kept")
    assert schema.upgrade(db) == head
    with db.read() as session:
        assert session.scalars(select(AuditEvent)).one().subject == "kept"
    db.engine.dispose()


def test_J11_a_database_of_the_first_version_keeps_its_data_through_the_upgrade(database_url):
    db = Database(database_url)
    config = schema._config()
    with db.engine.execution_options(write=True).connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO issuer (id, slug, did, name, url, email, description, accent) VALUES "
                "(1, 'hallwood', 'did:web:h', 'Hallwood', 'https://h.example', '', '', '#0E5468')"
            )
        )
        connection.commit()
    schema.upgrade(db)
    schema.check(db)
    with db.read() as session:
        row = session.scalars(select(Issuer)).one()
        assert (row.name, row.linkedin, row.logo_at, row.saved_at) == ("Hallwood", "", None, None)
    with db.engine.execution_options(write=True).connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.commit()
        assert connection.execute(text("SELECT name FROM issuer")).scalar() == "Hallwood"
    db.engine.dispose()


def test_J11_the_models_and_the_migrations_say_the_same(database_url):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    db = Database(database_url)
    schema.upgrade(db)
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    db.engine.dispose()


def test_J11_a_database_with_courses_people_and_awards_is_upgraded_with_all_of_it(database_url):
    """Rows of the first schema, in every table that later ones add columns to, are there afterwards."""
    db = Database(database_url)
    with db.engine.execution_options(write=True).connect() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    moment = "2026-11-22 10:00:00"
    rows = (
        "INSERT INTO registration (id, name, product, issuer, client_id, auth_login_url, auth_token_url, jwks_url,"
        " status, deployments_named, origins, created_at) VALUES (1, 'n', 'canvas', 'i', 'c', 'a', 't', 'j', 'active',"
        " false, '[]', :at)",
        "INSERT INTO deployment (id, registration_id, deployment_id, status, created_at)"
        " VALUES (1, 1, '1:x', 'active', :at)",
        "INSERT INTO person (id, registration_id, sub, name, email, subject_id, test_user, disabled, created_at)"
        " VALUES ('p', 1, 's', '', '', 'urn:p', false, false, :at)",
        "INSERT INTO course (id, registration_id, deployment_pk, context_id, title, label, scopes, state, created_at)"
        " VALUES (1, 1, 1, 'x', '', '', '[]', 'ok', :at)",
        "INSERT INTO enrolment (course_id, person_id, active) VALUES (1, 'p', true)",
        "INSERT INTO achievement (id, slug, owner_course_id, created_at) VALUES (1, 'b', 1, :at)",
        "INSERT INTO achievement_version (id, achievement_id, number, digest, definition, picture_png, published_at)"
        " VALUES (1, 1, 1, 'd', '{}', :png, :at)",
        "INSERT INTO course_badge (id, course_id, slug, status, version_id, created_at)"
        " VALUES ('cb', 1, 'b', 'active', 1, :at)",
        "INSERT INTO award (id, achievement_id, version_id, course_badge_id, course_id, person_id, scope, status, live,"
        " decision, earned_at, page_public) VALUES ('a', 1, 1, 'cb', 1, 'p', 'course:1', 'issued', true, '{}', :at,"
        " false)",
        "INSERT INTO audit_event (id, at, actor, action, subject, detail)"
        " VALUES (1, :at, 'person:p', 'badge.publish', 'badge:cb', '{}')",
        "INSERT INTO audit_event (id, at, actor, action, subject, detail)"
        " VALUES (2, :at, 'tool', 'badge.published', 'badge:cb', '{\"version\": 1}')",
    )
    with db.engine.execution_options(write=True).connect() as connection:
        for row in rows:
            connection.execute(text(row), {"at": moment, "png": b"x"} if ":png" in row else {"at": moment})
        connection.commit()
    schema.upgrade(db)
    with db.read() as session:
        award = session.scalars(select(Award)).one()
        assert (award.person_id, award.earned_as_id, award.earner.holder_id) == ("p", None, "p")
        assert session.scalars(select(Course)).one().history == []
        assert session.scalars(select(Deployment)).one().notices_url is None
        (published,) = session.scalars(select(Publication))
        assert (published.version_id, published.actor, published.counts_for) == (1, "person:p", "everybody")
        if db.is_sqlite:
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
    db.engine.dispose()


def test_J12_a_database_of_a_newer_version_is_neither_started_on_nor_upgraded(database_url):
    db = Database(database_url)
    schema.upgrade(db)
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (schema.check, schema.upgrade):
        with pytest.raises(ConfigurationError, match="newer version"):
            act(db)
    with db.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    db.engine.dispose()


def test_J12_readyz_says_so_while_healthz_lives(shared):  # noqa: F811
    with shared.tool.db.write() as session:
        kept = session.scalar(text("SELECT version_num FROM alembic_version"))
        # An older one: under a newer schema a process that has started goes on (tests/test_upgrades.py).
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        assert requests.get(f"{shared.url}/readyz", timeout=5).status_code >= 500
        assert requests.get(f"{shared.url}/healthz", timeout=5).status_code == 200
    finally:
        with shared.tool.db.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :kept"), {"kept": kept})
    assert requests.get(f"{shared.url}/readyz", timeout=5).status_code == 200


def test_a_published_badge_is_kept_by_a_restart(room):  # noqa: F811
    """A second process opens the same database and sees what the first has done."""
    room.publish(badge())
    env = environment(room.scene)
    out = subprocess.run(
        [sys.executable, "-m", "lti_tool.cli", "sync", "--context", room.course.id, "--json"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
