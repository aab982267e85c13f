"""What an LMS bears: pauses it asks for, its circuit, its share of the workers; and which job goes first."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, event, select, text, update

from lti_tool.db import insert_rows
from lti_tool.errors import AccessRefused, ServiceBusy, ServiceError, ServiceUnreachable, TokenRefused
from lti_tool.http import Response
from lti_tool.jobs import RUNNERS
from lti_tool.lti.platforms import platform_of
from lti_tool.models import Course, Job, PlatformLoad, Presence, Registration
from lti_tool.services import doctor, failed_jobs, instructor_pages, platform_checks, platform_load, presence, work
from lti_tool.services.platform_load import Tally
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

ANSWERED = Tally(requests=2, seconds=0.1)


@pytest.fixture
def tool(shared):  # noqa: F811
    """An installation with two platforms, where nothing is due and nothing is known against either."""
    with shared.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
        session.execute(delete(PlatformLoad))
        session.execute(delete(Presence))
        session.execute(update(Course).values(next_sync_at=now() + timedelta(days=1)))
    yield shared.tool
    with shared.tool.db.write() as session:
        session.execute(update(Job).values(state="done"))
        session.execute(delete(PlatformLoad))
        session.execute(delete(Presence))


@pytest.fixture
def courses(tool, make_room):  # noqa: F811
    """One course on each platform; their ids."""
    return {mood: make_room(mood=mood).id for mood in ("canvas", "moodle")}


@pytest.fixture
def alone(tool):
    """Let a platform be the only one while the test runs."""
    yield lambda its: put(tool, Registration, Registration.id != its, status="disabled")
    put(tool, Registration, Registration.id > 0, status="active")


def platform(tool, course_id: int) -> int:
    with tool.db.read() as session:
        return session.get_one(Course, course_id).registration_id


def row(tool, platform_id: int) -> PlatformLoad | None:
    with tool.db.read() as session:
        return session.get(PlatformLoad, platform_id)


def note(tool, platform_id: int, error=None, tally: Tally = ANSWERED) -> None:
    with tool.db.write() as session:
        platform_load.note(session, platform_id, tally, error, now())


def ask(tool, kind: str, course_id: int, **options) -> int:
    return work.request(tool, kind, str(course_id), now(), **options)


def job_row(tool, job_id: int) -> Job:
    with tool.db.read() as session:
        return session.get_one(Job, job_id)


def put(tool, what, which, **values) -> None:
    with tool.db.write() as session:
        session.execute(update(what).where(which).values(**values))


def with_workers(tool, threads: int) -> None:
    with tool.db.write() as session:
        session.add(
            Presence(
                id=presence.new_worker(),
                kind="worker",
                host="",
                threads=threads,
                periodic=True,
                started_at=now(),
                seen_at=now(),
            )
        )


def make_running(tool, job_id: int) -> None:
    put(tool, Job, Job.id == job_id, state="running", lease_until=now() + timedelta(minutes=5), attempts=1)


# -- pauses that an LMS asks for


def test_F04_a_pause_that_an_lms_names_holds_for_every_course_of_it_and_for_no_other(tool, courses):
    first, other = ask(tool, "sync", courses["canvas"]), ask(tool, "sync", courses["moodle"])
    busy = ServiceBusy()
    busy.retry_after = 120

    def refuse(*_):
        raise busy

    later = ask(tool, "post", courses["canvas"])
    work.run(tool, first, {"sync": refuse})
    assert work.due(tool, now()) == [other]
    assert later in work.due(tool, now() + timedelta(seconds=121))
    new = job_row(tool, ask(tool, "columns", courses["canvas"]))
    assert new.not_before > now() + timedelta(seconds=115) and new.problem == ServiceBusy.sentence


def test_F05_a_pause_without_a_time_lasts_about_half_a_minute_for_every_course(tool, courses):
    its = platform(tool, courses["canvas"])
    note(tool, its, ServiceBusy())
    assert timedelta(seconds=15) < row(tool, its).paused_until - now() <= timedelta(seconds=40)
    assert row(tool, its).failures == 0


def test_F04_a_shorter_pause_does_not_end_a_longer_one_and_none_lasts_for_ever(tool, courses):
    its = platform(tool, courses["canvas"])
    long, short = ServiceBusy(), ServiceBusy()
    long.retry_after, short.retry_after = 999_999_999, 5
    note(tool, its, long)
    note(tool, its, short)
    assert timedelta(hours=23) < row(tool, its).paused_until - now() <= timedelta(days=1)


def test_F05_canvas_whose_bucket_runs_low_is_left_alone_by_all_before_it_refuses(make_room, tool, monkeypatch):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    room.publish(badge())
    rests: list[float] = []
    monkeypatch.setattr(tool.http, "_sleep", rests.append)
    room.lms.faults.on("results", "bucket", remaining=100.0)
    assert room.sync().state == "done"
    assert rests == [5.0, 5.0]  # both columns: (150 - 100) / 10 a second
    its = platform(tool, room.id)
    assert timedelta() < row(tool, its).paused_until - now() <= timedelta(seconds=5)
    room.lms.faults.clear()
    room.lms.faults.on("results", "bucket", remaining=500.0)
    rests.clear()
    assert work.run(tool, ask(tool, "sync", room.id), RUNNERS)
    assert rests == []


@pytest.mark.parametrize(
    ("remaining", "rest"), [("600.0", 0), ("150", 0), ("149", 0.1), ("0.0", 15), ("none", 0), ("nan", 0), (None, 0)]
)
def test_F05_how_long_a_bucket_is_let_fill(remaining, rest):
    headers = {} if remaining is None else {"X-Rate-Limit-Remaining": remaining}
    answer = Response(200, "OK", headers, b"", "https://canvas.example/")
    assert platform_of("canvas").rest(answer) == pytest.approx(rest)
    assert platform_of("moodle").rest(answer) == 0


@pytest.mark.parametrize("kind", ["sync", "columns", "copy", "post", "rows"])
def test_F04_whatever_asks_the_lms_of_a_course_keeps_its_pause(tool, courses, kind):
    note(tool, platform(tool, courses["canvas"]), ServiceBusy())
    waits, other = ask(tool, kind, courses["canvas"]), ask(tool, kind, courses["moodle"])
    assert waits not in work.due(tool, now()) and other in work.due(tool, now())


# -- the circuit


@pytest.mark.parametrize(
    "error", [ServiceUnreachable(), TokenRefused(), ServiceError(reason="status_503"), ServiceError(reason="not_json")]
)
def test_after_three_failures_in_a_row_a_platform_is_left_alone_for_a_growing_while(tool, courses, error):
    its = platform(tool, courses["canvas"])
    for _ in range(2):
        note(tool, its, error)
    assert row(tool, its).paused_until is None
    pauses = []
    for _ in range(8):
        note(tool, its, error)
        pauses.append((row(tool, its).paused_until - now()).total_seconds())
        put(tool, PlatformLoad, PlatformLoad.registration_id == its, paused_until=now())
    assert 20 < pauses[0] <= 37.5 and 40 < pauses[1] <= 75 and 80 < pauses[2] <= 150
    assert all(660 < pause <= 1125 for pause in pauses[6:])
    job_id, other = ask(tool, "sync", courses["canvas"]), ask(tool, "sync", courses["moodle"])
    note(tool, its, error)
    assert work.due(tool, now()) == [other]
    assert job_id in work.due(tool, now() + timedelta(hours=1))
    assert work.run(tool, job_id, {"sync": lambda *_: {}})  # what a person asks for at the command line is tried


def test_when_its_pause_is_over_one_job_at_a_time_tries_a_platform_and_success_ends_it(tool, courses, make_room, alone):  # noqa: F811
    with_workers(tool, 8)
    its, more = platform(tool, courses["canvas"]), make_room(mood="canvas").id
    alone(its)  # where it is the only one too
    for _ in range(4):
        note(tool, its, ServiceUnreachable())
    put(tool, PlatformLoad, PlatformLoad.registration_id == its, paused_until=now() - timedelta(seconds=1))
    ask(tool, "sync", courses["canvas"]), ask(tool, "sync", more)
    taken = [work._claim_best(tool), work._claim_best(tool)]
    assert taken[0] is not None and taken[1] is None
    with platform_load.counting() as tally:
        tally.requests = 1
        work._done(tool, taken[0][0], taken[0][3], {}, tally)
    assert (row(tool, its).failures, row(tool, its).paused_until) == (0, None)
    assert work._claim_best(tool) is not None


def test_a_refusal_of_one_course_says_nothing_against_its_platform(tool, courses):
    its = platform(tool, courses["canvas"])
    note(tool, its, ServiceUnreachable())
    for _ in range(5):
        note(tool, its, AccessRefused())
    assert row(tool, its).failures == 0


def test_a_job_that_asked_the_platform_nothing_closes_no_circuit(tool, courses):
    its = platform(tool, courses["canvas"])
    note(tool, its, ServiceUnreachable())
    note(tool, its, None, Tally())
    assert row(tool, its).failures == 1


def test_a_dead_lms_costs_its_courses_no_attempts_once_its_circuit_is_open(tool, courses):
    its = platform(tool, courses["canvas"])
    job_id = ask(tool, "sync", courses["canvas"])
    for _ in range(3):
        note(tool, its, ServiceUnreachable())
    assert not work.run_next(tool, {"sync": lambda *_: {}})
    assert (job_row(tool, job_id).state, job_row(tool, job_id).attempts) == ("due", 0)


def test_what_is_left_alone_and_until_when_stands_on_the_pages_and_in_doctor(tool, make_room):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    room.publish(badge())
    its = platform(tool, room.id)
    for _ in range(3):
        note(tool, its, ServiceUnreachable())
    until = row(tool, its).paused_until
    job_id = ask(tool, "sync", room.id)
    vera = room.scene.administrator()
    page = vera.get(f"/admin/platforms/{its}").text
    assert "failed 3 times in a row" in page and "Your LMS could not be reached." in page
    found = {each.what.rpartition(": ")[2]: each for each in doctor.examine(tool, its, now())}
    assert not found["load"].ok and "failed 3 times in a row" in found["load"].sentence
    assert found["worker"].ok
    assert "it is left alone for a while" in room.page.get("").text
    assert "data-line" not in room.page.get("").text  # nothing is being read
    open_jobs = {each.id: each for each in failed_jobs.page(tool, now()).open}
    assert open_jobs[job_id].next_at == until
    platform_checks.look_again(tool, its, now(), asked=True)
    assert row(tool, its).paused_until <= now()
    busy = ServiceBusy()
    busy.retry_after = 300
    note(tool, its, busy)
    assert "has asked to be left alone" in vera.get(f"/admin/platforms/{its}").text
    platform_checks.look_again(tool, its, now(), asked=True)
    assert row(tool, its).paused_until > now() + timedelta(seconds=200)  # its own word holds


# -- shares


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (4, 2), (8, 4)])
def test_one_platform_of_several_never_has_all_the_workers(tool, courses, make_room, threads, most):  # noqa: F811
    with_workers(tool, threads)
    ids = [ask(tool, kind, courses["canvas"]) for kind in ("sync", "post", "columns", "copy")]
    ids.append(ask(tool, "sync", make_room(mood="canvas").id))
    taken = [work._claim_best(tool) for _ in range(6)]
    assert len([each for each in taken if each is not None]) == most
    other = ask(tool, "sync", courses["moodle"])
    assert work._claim_best(tool)[0] == other
    assert len(ids) == 5


def test_a_platform_alone_may_have_all_the_workers(tool, courses, alone):
    with tool.db.read() as session:
        assert platform_load.limits(tool, session, now()) == platform_load.Limits(1, 1)
    with_workers(tool, 6)
    alone(platform(tool, courses["canvas"]))
    with tool.db.read() as session:
        assert platform_load.limits(tool, session, now()) == platform_load.Limits(6, 5)


@pytest.mark.parametrize("why", ["slow", "failed"])
def test_a_platform_that_is_slow_or_has_just_failed_has_one_worker(tool, courses, why):
    with_workers(tool, 8)
    its = platform(tool, courses["canvas"])
    if why == "slow":
        note(tool, its, None, Tally(requests=3, seconds=30))
    else:
        note(tool, its, ServiceUnreachable())
    for kind in ("sync", "post", "columns"):
        ask(tool, kind, courses["canvas"])
    taken = [work._claim_best(tool) for _ in range(3)]
    assert [each is not None for each in taken] == [True, False, False]
    for _ in range(12):
        note(tool, its, None, ANSWERED)
    assert work._claim_best(tool) is not None


def test_workers_that_choose_at_the_same_moment_keep_a_platforms_share(tool, courses, make_room):  # noqa: F811
    with_workers(tool, 4)
    for kind in ("sync", "post", "columns", "copy"):
        ask(tool, kind, courses["canvas"])
        ask(tool, kind, courses["moodle"])
    taken = at_once(*[lambda: work._claim_best(tool)] * 8)
    assert not [each for each in taken if isinstance(each, Exception)], taken
    ids = [each[0] for each in taken if each is not None]
    assert len(ids) == len(set(ids)) == 4
    with tool.db.read() as session:
        platforms = sorted(session.scalars(select(Job.registration_id).where(Job.id.in_(ids))))
    assert len(set(platforms)) == 2 and platforms[0] == platforms[1]


def test_a_look_at_a_platform_and_what_asks_none_wait_for_no_circuit(tool, courses):
    its = platform(tool, courses["canvas"])
    for _ in range(3):
        note(tool, its, ServiceUnreachable())
    wanted = {ask(tool, "check", its), ask(tool, "evaluate", courses["canvas"])}
    assert set(work.due(tool, now())) == wanted


# -- which goes first


def test_who_waits_goes_first_then_platforms_in_turn_then_the_oldest(tool, courses, make_room):  # noqa: F811
    with_workers(tool, 20)
    tool.turns = itertools.repeat(1)  # none of them is the one for what is late
    more = [make_room(mood="canvas").id for _ in range(3)]
    at = now() - timedelta(minutes=5)
    for number, course in enumerate([*more, courses["canvas"], courses["moodle"]]):
        work.request(tool, "sync", str(course), at + timedelta(seconds=number), priority=work.SCHEDULED)
    work.request(tool, "post", str(courses["canvas"]), at + timedelta(minutes=1), priority=work.AT_ITS_MOMENT)
    ask(tool, "columns", more[2])
    order = [work._claim_best(tool) for _ in range(7)]
    assert [(each[1], int(each[2])) for each in order] == [
        ("columns", more[2]),  # somebody waits for it
        ("post", courses["canvas"]),  # its moment is now
        ("sync", courses["moodle"]),  # the platform that has none yet
        ("sync", more[0]),  # then the oldest
        ("sync", more[1]),
        ("sync", more[2]),
        ("sync", courses["canvas"]),
    ]


def taken_beside_a_stream(tool, count: int) -> list[str]:
    """Let somebody ask for something before each turn of a worker; returns what each turn takes."""
    tool.turns = itertools.count(1)
    taken = []
    for number in range(1, count + 1):
        work.request(tool, "evaluate", f"{number}", now())
        taken.append(work._claim_best(tool).subject)
    return taken


@pytest.mark.parametrize(
    ("priority", "over"), [(work.AT_ITS_MOMENT, timedelta()), (work.SCHEDULED, timedelta(minutes=6))]
)
def test_what_is_late_gets_every_third_turn_however_many_wait_for_something(tool, priority, over):
    work.request(tool, "evaluate", "late", now() - over, priority=priority)
    assert taken_beside_a_stream(tool, 6) == ["1", "2", "late", "3", "4", "5"]


def test_a_reading_at_its_moment_goes_before_what_is_later_and_a_worker_s_first_turns_are_for_who_waits(tool):
    for name in ("late", "later"):
        work.request(tool, "evaluate", name, now() - timedelta(hours=5), priority=work.SCHEDULED)
    work.request(tool, "evaluate", "moment", now(), priority=work.AT_ITS_MOMENT)
    assert taken_beside_a_stream(tool, 9) == ["1", "2", "moment", "3", "4", "late", "5", "6", "later"]


def test_what_is_only_due_waits_for_who_waits(tool):
    work.request(tool, "evaluate", "due", now() - timedelta(minutes=4), priority=work.SCHEDULED)
    assert taken_beside_a_stream(tool, 6) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("late_first", [False, True])
def test_the_best_job_is_found_by_an_index_beside_all_that_are_done(tool, late_first):
    old = {"kind": "evaluate", "state": "done", "priority": 0, "attempts": 1, "not_before": now(), "created_at": now()}
    with tool.db.write() as session:
        insert_rows(session, Job, [{**old, "subject": f"old-{number}"} for number in range(4000)])
    asked: list[tuple[str, object]] = []

    def note_asked(_connection, _cursor, statement, parameters, _context, _many) -> None:
        asked.append((statement, parameters))

    with tool.db.write() as session:
        if not tool.db.is_sqlite:  # which goes by no statistics: nothing makes any
            session.execute(text("ANALYZE job"))
        connection = session.connection()
        best = work._best(tool, session, now(), late_first=late_first).limit(1)
        event.listen(connection, "before_cursor_execute", note_asked)
        session.execute(best).all()
        ((statement, parameters),) = asked
        explain = "EXPLAIN QUERY PLAN" if tool.db.is_sqlite else "EXPLAIN"
        plan = [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]
        session.execute(delete(Job).where(Job.subject.like("old-%")))
    assert any("ix_job_due" in line or "uq_job_open" in line for line in plan), plan
    assert not [line for line in plan if "Seq Scan on job" in line or line == "SCAN job"], plan


def test_platforms_take_turns_though_one_has_asked_for_much_more(tool, courses, make_room):  # noqa: F811
    with_workers(tool, 2)
    many = [courses["canvas"], *(make_room(mood="canvas").id for _ in range(3))]
    few = [courses["moodle"], make_room(mood="moodle").id]
    for course in (*many, *few):
        work.request(tool, "sync", str(course), now() - timedelta(seconds=60), priority=work.SCHEDULED)
    done: list[int] = []
    while work.run_next(tool, {"sync": lambda _tool, subject, _say: done.append(int(subject)) or {}}):
        pass
    assert len(done) == 6
    assert {done[0], done[1]} & set(few) and {done[2], done[3]} & set(few)


def test_a_job_that_somebody_comes_to_wait_for_moves_up(tool, courses):
    scheduled = ask(tool, "sync", courses["canvas"], priority=work.SCHEDULED)
    assert ask(tool, "sync", courses["canvas"]) == scheduled
    assert job_row(tool, scheduled).priority == work.WAITED_FOR
    ask(tool, "sync", courses["canvas"], priority=work.SCHEDULED)
    assert job_row(tool, scheduled).priority == work.WAITED_FOR


def test_J04_a_job_whose_worker_died_is_taken_over_as_any_other_and_frees_its_share(tool, courses):
    with_workers(tool, 2)
    lost = ask(tool, "sync", courses["canvas"])
    make_running(tool, lost)
    next_one = ask(tool, "post", courses["canvas"])
    assert work._claim_best(tool) is None  # the platform's only share is taken
    put(tool, Job, Job.id == lost, lease_until=now() - timedelta(seconds=1))
    assert {work._claim_best(tool)[0]} <= {lost, next_one}


def test_J06_one_course_is_read_by_one_worker_however_many_are_told(tool, courses):
    with_workers(tool, 8)
    going, most, lock = [0], [0], threading.Lock()

    def reading(*_):
        with lock:
            going[0] += 1
            most[0] = max(most[0], going[0])
        with lock:
            going[0] -= 1
        return {}

    ask(tool, "sync", courses["canvas"])
    ran = at_once(*[lambda: work.run_next(tool, {"sync": reading})] * 6)
    assert sorted(ran) == [False] * 5 + [True] and most == [1]


def test_how_much_there_is_to_do_can_be_told(tool, courses):
    before = work.depth(tool, now())["failed"]
    make_running(tool, ask(tool, "sync", courses["canvas"]))
    ask(tool, "sync", courses["moodle"])
    work.request(tool, "post", str(courses["moodle"]), now() + timedelta(hours=1))
    assert work.depth(tool, now()) == {"due": 1, "waiting": 1, "running": 1, "failed": before}


# -- workers that are alive


def test_a_worker_says_that_it_is_alive_and_a_killed_one_is_forgotten(tool):
    with presence.alive(tool, 3, periodic=True), presence.alive(tool, 5, periodic=False) as second:
        with tool.db.read() as session:
            assert presence.threads(session, now()) == 8
            assert presence.processes(session, now()) == (2, 1)
        put(tool, Presence, Presence.id == second, seen_at=now() - timedelta(minutes=2))
        with tool.db.read() as session:
            assert presence.threads(session, now()) == 3
    with tool.db.read() as session:
        assert presence.processes(session, now()) == (0, 0)


def test_the_sync_line_says_nothing_of_rest_where_all_is_well(make_room, tool):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    room.publish(badge())
    with tool.db.read() as session:
        state = instructor_pages.sync_state(session, session.get_one(Course, room.id))
    assert (state.running, state.failed) == (False, "")
