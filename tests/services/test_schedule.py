"""When a course is read: the pauses, the moments, and two schedules at the same time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from lti_tool import jobs
from lti_tool.lti.platforms import platform_of
from lti_tool.models import Course, Job, PlatformLoad
from lti_tool.services import award_acts, schedule, sync, work
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

QUICK, DAY = timedelta(seconds=600), timedelta(days=1)


@pytest.fixture
def graded(room):  # noqa: F811
    """A course with a published badge that was read a moment ago."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    assert room.sync().state == "done"
    return room


def course_row(room) -> Course:  # noqa: F811
    with room.tool.db.read() as session:
        return session.get_one(Course, room.id)


def put(room, **values) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.execute(update(Course).where(Course.id == room.id).values(**values))


def pause_of(room) -> timedelta:  # noqa: F811
    row = course_row(room)
    return row.next_sync_at - row.synced_at


def about(pause: timedelta) -> object:
    """A pause with its jitter, and the moments a test takes."""
    return pytest.approx(pause.total_seconds() * 0.95, rel=0.06)


def give_up(room) -> None:  # noqa: F811
    """Let the course's job try as often as it may, without its pauses."""
    while (job := room.sync()).state == "due":
        with room.tool.db.write() as session:
            session.execute(update(Job).where(Job.id == job.id).values(not_before=now()))
            session.execute(delete(PlatformLoad))
    assert (job.state, job.attempts) == ("failed", work.MOST_ATTEMPTS)


def jobs_of(room) -> list[Job]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Job).where(Job.kind == "sync", Job.subject == str(room.id)).order_by(Job.id)
        return list(session.scalars(query))


# -- pauses


@pytest.mark.parametrize(
    ("quiet", "pause"),
    [
        (timedelta(0), QUICK),
        (timedelta(hours=4), QUICK),
        (timedelta(days=1), timedelta(days=1) / 28),
        (timedelta(hours=64), timedelta(hours=64) / 28),
        (timedelta(days=14), DAY / 2),
        (timedelta(days=28), DAY),
        (timedelta(days=400), DAY),
    ],
)
def test_the_longer_nothing_moves_the_longer_the_pause_and_a_day_at_most(graded, quiet, pause):
    put(graded, moved_at=now() - quiet)
    assert graded.sync().outcome["results"] == 0
    assert pause_of(graded).total_seconds() == about(pause)


def test_a_changed_grade_makes_a_sleeping_course_quick_again(graded):
    put(graded, moved_at=now() - timedelta(days=60))
    graded.sync()
    assert pause_of(graded) > timedelta(hours=20)
    graded.grade(graded.students[1], 2, 2)
    graded.sync()
    assert pause_of(graded) <= QUICK


def test_a_launch_makes_a_sleeping_course_quick_again_though_it_was_read_a_moment_ago(graded):
    graded.enter(graded.students[0])  # known already: the next time she takes the short way in
    put(graded, moved_at=now() - timedelta(days=60))
    graded.sync()
    before = len(jobs_of(graded))
    graded.enter(graded.students[0])
    assert len(jobs_of(graded)) == before
    assert course_row(graded).next_sync_at <= now() + QUICK


def test_a_launch_does_not_hasten_the_schedule_of_a_course_that_refuses(graded):
    put(graded, sync_failures=8, next_sync_at=now() + DAY)
    schedule.opened(graded.tool, graded.id, now())
    assert course_row(graded).next_sync_at > now() + DAY / 2


def test_a_course_is_due_at_its_time_and_not_before(graded):
    at = course_row(graded).next_sync_at
    assert graded.id not in schedule.courses_due(graded.tool, at - timedelta(seconds=1))
    assert graded.id in schedule.courses_due(graded.tool, at)


def test_a_newly_published_badge_makes_its_course_due_at_once(graded):
    assert graded.id not in schedule.courses_due(graded.tool, now())
    graded.publish(badge())
    assert graded.id in schedule.courses_due(graded.tool, now())


def test_K10_a_concluded_course_is_never_due(graded):
    put(graded, next_sync_at=None)
    assert graded.id in schedule.courses_due(graded.tool, now())
    put(graded, state="concluded")
    assert graded.id not in schedule.courses_due(graded.tool, now() + timedelta(days=500))


def test_a_course_whose_job_waits_after_a_failure_is_not_made_due_beside_it(graded):
    graded.lms.faults.on("memberships", "status", status=500)
    put(graded, next_sync_at=None)
    job = graded.sync()
    assert (job.state, job.attempts) == ("due", 1)
    put(graded, next_sync_at=now())
    schedule.make_due(graded.tool, now())
    with graded.tool.db.read() as session:
        assert session.get_one(Job, job.id).not_before == job.not_before
    assert len(jobs_of(graded)) == 2


def test_J05_a_job_that_dies_without_a_word_is_not_made_anew_with_every_sweep(graded):
    put(graded, next_sync_at=None)
    assert schedule.make_due(graded.tool, now()) >= 1
    with graded.tool.db.write() as session:
        session.execute(
            update(Job).where(Job.subject == str(graded.id), Job.state == "due").values(state="failed", attempts=6)
        )
    assert graded.id not in schedule.courses_due(graded.tool, now() + timedelta(minutes=9))
    assert graded.id in schedule.courses_due(graded.tool, now() + timedelta(minutes=11))


def test_the_five_attempts_of_a_job_are_one_failure_of_the_schedule(graded):
    planned = course_row(graded).next_sync_at
    graded.lms.faults.on("results", "status", status=422)
    assert (graded.sync().state, course_row(graded).next_sync_at) == ("due", planned)
    pauses = []
    for failures in (1, 2, 3):
        give_up(graded)
        assert course_row(graded).sync_failures == failures
        pauses.append((course_row(graded).next_sync_at - now()).total_seconds())
    assert all(600 * 0.89 * 2**n < pauses[n] <= 600 * 2**n for n in range(3)), pauses


# -- moments


@pytest.mark.parametrize("after", ["failures", "a job that died"])
def test_the_last_reading_before_the_end_is_kept_though_the_pause_is_longer(graded, after):
    ends_at = now() + timedelta(hours=10)
    put(graded, ends_at=ends_at, sync_failures=11, next_sync_at=now() - timedelta(seconds=1))
    if after == "failures":
        graded.lms.faults.on("results", "status", status=422)
        give_up(graded)
        assert course_row(graded).sync_failures == 12
    else:
        schedule.make_due(graded.tool, now())
    assert course_row(graded).next_sync_at == ends_at - timedelta(minutes=30)


def test_the_reading_before_a_release_is_kept_after_failures(room):  # noqa: F811
    at = now() + timedelta(hours=3)
    room.publish(badge(release=at.isoformat()))
    room.sync()
    put(room, sync_failures=11)
    room.lms.faults.on("results", "status", status=422)
    give_up(room)
    assert course_row(room).next_sync_at == at - timedelta(minutes=2)


def test_a_course_is_read_just_before_a_badge_is_released(room):  # noqa: F811
    at = now() + timedelta(minutes=5)
    room.publish(badge(release=at.isoformat()))
    room.sync()
    assert course_row(room).next_sync_at == at - timedelta(minutes=2)
    schedule.make_due(room.tool, at - timedelta(minutes=1))
    job = jobs_of(room)[-1]
    assert (job.state, job.priority) == ("due", work.AT_ITS_MOMENT)


def test_what_is_released_is_what_holds_then(room):  # noqa: F811
    at = now() + timedelta(minutes=8)
    room.publish(badge(release=at.isoformat()))
    room.grade(room.students[0], 3, 3)
    room.sync()
    assert room.award()["status"] == "held"
    room.grade(room.students[1], 4, 4)
    assert room.id in schedule.courses_due(room.tool, at - timedelta(minutes=1))
    put(room, next_sync_at=now() - timedelta(seconds=1))  # the moment has come
    jobs.sweep(room.tool)
    award_acts.release_due(room.tool, at)
    assert {each["status"] for each in room.awards()} == {"pending"} and len(room.awards()) == 2


def test_a_release_set_by_an_instructor_brings_the_reading_forward(room):  # noqa: F811
    room.publish(badge(release="held"))
    room.sync()
    put(room, next_sync_at=now() + DAY)
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    at = now() + timedelta(hours=3)
    award_acts.release(room.tool, badge_id, actor="operator", now=now(), at=at)
    assert course_row(room).next_sync_at == at - timedelta(minutes=2)


def test_an_award_held_until_a_moment_brings_the_reading_forward(graded):
    put(graded, next_sync_at=now() + DAY)
    with graded.tool.db.read() as session:
        badge_id = graded.course_badge(session).id
    at = now() + timedelta(hours=5)
    award_acts.hold(graded.tool, badge_id, graded.award()["id"], "Not yet", at, actor="operator", now=now())
    assert course_row(graded).next_sync_at == at - timedelta(minutes=2)


def test_a_course_is_read_once_more_before_the_end_that_its_launch_told(make_room):  # noqa: F811
    room = make_room(mood="canvas")  # noqa: F811
    room.publish(badge())
    put(room, next_sync_at=now() + DAY)
    ends_at = (now() + timedelta(hours=6)).replace(microsecond=0)
    room.course.ends_at = ends_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    room.enter(room.teacher)  # known already: the short way in sees it too
    row = course_row(room)
    assert row.ends_at == ends_at
    room.sync()
    put(room, moved_at=now() - timedelta(days=60))
    room.sync()
    assert course_row(room).next_sync_at == ends_at - timedelta(minutes=30)
    put(room, synced_at=ends_at - timedelta(minutes=20))
    with room.tool.db.read() as session:
        course = session.get_one(Course, room.id)
        assert not schedule.at_a_moment(session, course, ends_at)
        schedule.reckon(session, course, ends_at - timedelta(minutes=20), room.tool.settings.queue)
        assert course.next_sync_at > ends_at


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2027-05-01T06:00:00Z", datetime(2027, 5, 1, 6, tzinfo=UTC)),
        ("2027-04-30 23:00:00 -0700", datetime(2027, 5, 1, 6, tzinfo=UTC)),
        ("2027-05-01 06:00:00 UTC", datetime(2027, 5, 1, 6, tzinfo=UTC)),
        ("2027-05-01 06:00:00", datetime(2027, 5, 1, 6, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("0001-01-01 00:00:00 +1400", None),
    ],
)
def test_the_end_of_a_course_is_read_as_canvas_may_write_it(written, read):
    told = platform_of("canvas").course_ends({"canvas_course_ends": written})
    assert told == (() if read is None else (read,))


# -- two schedules


def test_two_schedules_by_mistake_make_one_job_of_each_course(graded, make_room):  # noqa: F811
    rooms = [graded, *(make_room() for _ in range(4))]
    for each in rooms[1:]:
        each.publish(badge())
    for each in rooms:
        put(each, next_sync_at=None)
    before = {each.id: len(jobs_of(each)) for each in rooms}
    done = at_once(*[lambda: schedule.make_due(graded.tool, now())] * 4)
    assert not [each for each in done if isinstance(each, Exception)], done
    assert all(len(jobs_of(each)) == before[each.id] + 1 for each in rooms)
    assert not set(schedule.courses_due(graded.tool, now())) & set(before)


def nothing_else_due(classroom):
    with classroom.tool.db.write() as session:
        session.execute(update(Course).values(next_sync_at=now() + DAY))
        session.execute(update(Job).where(Job.state == "due").values(state="done"))


def test_two_sweeps_at_once_read_a_course_once(graded):
    nothing_else_due(graded)  # or other rooms' readings use up what the platform may be asked at once
    put(graded, next_sync_at=None)
    before = len(jobs_of(graded))
    done = at_once(*[lambda: jobs.sweep(graded.tool)] * 3)
    assert done == [[], [], []]
    new = jobs_of(graded)[before:]
    assert [(job.state, job.attempts) for job in new] == [("done", 1)]


def test_how_long_the_oldest_due_course_has_waited_can_be_told(graded):
    nothing_else_due(graded)
    assert schedule.oldest_due(graded.tool, now()) == timedelta()
    put(graded, next_sync_at=now() - timedelta(minutes=7))
    assert timedelta(minutes=7) <= schedule.oldest_due(graded.tool, now()) < timedelta(minutes=8)


def test_a_launch_still_starts_no_sync_where_the_last_one_is_fresh(graded):
    before = len(jobs_of(graded))
    sync.sync_if_old(graded.tool, graded.page.launch, now())
    assert len(jobs_of(graded)) == before
