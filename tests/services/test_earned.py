"""Who has earned a badge, written back as a column of its own: 1 of 1, and nothing for anybody else."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from lti_tool import jobs
from lti_tool.errors import Conflict
from lti_tool.models import AuditEvent, Column, Course, CourseBadge, Drift, Mastery, Posting, Result
from lti_tool.services import award_acts, earned, marking_pages, posting, work
from lti_tool.services.posting import PASSING
from tests.classroom import *  # noqa: F403
from tests.classroom import badge, row
from tests.scene import now

MOODS = ("canvas", "moodle")


@pytest.fixture(params=MOODS)
def wrote(request, make_room):
    """A course whose badge is written back; the first student has earned it, the second has not."""
    room = make_room(mood=request.param)
    room.publish(badge())
    press(room, on="yes")
    room.grade(room.students[0], 3, 3)
    room.grade(room.students[1], 3, 1)
    room.sync()
    return room


def press(room, what: str = "earned", **fields: str):
    return room.page.post(f"badges/{room.badge.slug}/gradebook/{what}", fields)


def the_column(room, course=None):
    found = [c for c in room.lms.columns(course or room.course) if c.tag == "earned"]
    assert len(found) == 1, found
    return found[0]


def held(room, user) -> float | None:
    return room.lms.score_of(room.course, the_column(room), user)


def postings(room) -> list[tuple[str, str]]:
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        query = select(Posting.points, Posting.state).where(Posting.course_badge_id == badge_id)
        return [tuple(each) for each in session.execute(query.where(Posting.tag == "earned"))]


def view(room):
    with room.tool.db.read() as session:
        return earned.view(session, room.course_badge(session), PASSING)


def plan(room) -> str:
    answer = room.page.get(f"badges/{room.badge.slug}/plan")
    assert answer.status_code == 200
    return answer.text


def test_nothing_is_written_unless_the_course_asks_for_it(make_room):
    room = make_room()
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    jobs.sweep(room.tool)
    assert room.award()["status"] == "issued"
    assert {c.tag for c in room.columns} == {"sub-competency:A", "sub-competency:B"}
    told = plan(room)
    assert "Write it back" in told and "course total" in told
    assert ("Gradebook setup" in told) and ("Restrict access" in told)


def test_who_has_earned_it_has_one_of_one_and_nobody_else_has_anything(wrote):
    column = the_column(wrote)
    assert (column.maximum, column.label, column.resource_id) == (1, "Careful Work: earned", wrote.badge.resource_id)
    assert held(wrote, wrote.students[0]) == 1
    assert wrote.lms.grade_of(wrote.course, column, wrote.students[1]) is None
    assert postings(wrote) == [("1", "posted")]
    assert "1 learner has 1 of 1" in plan(wrote)
    with wrote.tool.db.read() as session:
        actions = set(session.scalars(select(AuditEvent.action)))
    assert "badge.earned_written" in actions


def test_no_other_grade_is_touched_and_nothing_is_read_from_the_column(wrote):
    for column in wrote.columns:
        if column.tag != "earned":
            assert all(grade.by == "teacher" for grade in column.grades.values())
    # Somebody gives herself 1 there: that is no result, no level, no award
    wrote.lms.grade(wrote.course, the_column(wrote), wrote.students[1], 1)
    asked = len(wrote.lms.requests)
    wrote.sync()
    assert wrote.awards(wrote.students[1]) == []
    paths = {r.path for r in list(wrote.lms.requests)[asked:] if r.service == "results"}
    assert len(paths) == 2
    with wrote.tool.db.read() as session:
        assert session.scalars(select(Result).join(Column).where(Column.tag == "earned")).all() == []
        assert session.scalars(select(Mastery).where(Mastery.tag == "earned")).all() == []


def test_H01_a_second_sync_and_sweep_post_nothing_and_make_no_second_column(wrote):
    before = len([r for r in wrote.lms.requests if r.service == "scores"])
    wrote.sync()
    wrote.run("post", str(wrote.id))
    jobs.sweep(wrote.tool)
    press(wrote, on="yes")
    the_column(wrote)
    assert len([r for r in wrote.lms.requests if r.service == "scores"]) == before


def test_H01_two_workers_write_it_down_and_post_it_once(make_room):
    room = make_room()
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    wake, room.tool.wake = room.tool.wake, lambda job_id: None
    try:
        switch = lambda: earned.switch(room.tool, room.id, room.badge.slug, on=True, actor="operator", now=now())  # noqa: E731
        found = [job for job in at_once(switch, switch) if job]  # noqa: F405
        at_once(*[lambda: wake(found[0])] * 2)  # noqa: F405
        at_once(*[lambda: earned.wish(room.tool, now(), room.id)] * 3)  # noqa: F405
        job = work.request(room.tool, "post", str(room.id), now())
        at_once(*[lambda: wake(job)] * 2)  # noqa: F405
    finally:
        room.tool.wake = wake
    assert held(room, room.students[0]) == 1 and postings(room) == [("1", "posted")]
    assert len([r for r in room.lms.requests if r.service == "scores" and f'"{room.students[0].id}"' in r.body]) == 1
    assert len(room.lms.columns(room.course)) == 3


# -- never before it may be seen


@pytest.mark.parametrize("how", ["release = held", "to be confirmed"])
def test_nothing_is_written_before_the_award_is_issued(make_room, how):
    room = make_room()
    changes = {"release = held": {"release": "held"}, "to be confirmed": {"award": "review"}}.get(
        how, {"award": "review"}
    )
    room.publish(badge(**changes))
    press(room, on="yes")
    student = room.students[0]
    room.grade(student, 3, 3)
    room.sync()
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    award = room.award()
    jobs.sweep(room.tool)
    assert held(room, student) is None and postings(room) == []
    if how == "release = held":
        award_acts.release(room.tool, badge_id, actor="operator", now=now())
    else:
        award_acts.confirm(room.tool, award["id"], actor="operator", now=now())
    jobs.sweep(room.tool)  # signs
    jobs.sweep(room.tool)  # writes
    assert room.award()["status"] == "issued" and held(room, student) == 1


def test_an_issued_award_that_is_held_back_is_zero_until_it_is_let_go(wrote):
    with wrote.tool.db.read() as session:
        badge_id = wrote.course_badge(session).id
    award_id = wrote.award()["id"]
    award_acts.hold(wrote.tool, badge_id, award_id, "Wait", None, actor="operator", now=now())
    jobs.sweep(wrote.tool)
    assert wrote.award()["status"] == "held" and held(wrote, wrote.students[0]) == 0
    award_acts.hold(wrote.tool, badge_id, award_id, "Soon", now() + timedelta(seconds=30), actor="operator", now=now())
    award_acts.release_due(wrote.tool, now() + timedelta(minutes=1))
    jobs.sweep(wrote.tool)
    jobs.sweep(wrote.tool)
    assert wrote.award()["status"] == "issued" and held(wrote, wrote.students[0]) == 1


def test_a_test_student_and_who_has_left_get_nothing(make_room):
    room = make_room(mood="canvas")
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.lms.unenrol(room.course, room.students[0])
    room.sync()
    press(room, on="yes")
    assert room.award()["status"] == "issued" and postings(room) == []


# -- taken back


def test_a_withdrawn_award_becomes_zero_of_one_and_is_never_erased(wrote):
    award_acts.revoke(wrote.tool, wrote.award()["id"], "A mistake", actor="operator", now=now())
    jobs.sweep(wrote.tool)
    wrote.run("post", str(wrote.id))
    assert held(wrote, wrote.students[0]) == 0 and postings(wrote) == [("0", "posted")]
    assert "1 learner has 0 of 1" in plan(wrote)
    assert all("scoreGiven" in json.loads(r.body) for r in wrote.lms.requests if r.service == "scores")


def test_an_award_withdrawn_before_it_got_there_leaves_no_trace(make_room):
    room = make_room()
    room.publish(badge())
    press(room, on="yes")
    room.grade(room.students[0], 3, 3)
    room.lms.faults.on("scores", "status", status=403)
    room.sync()
    room.lms.faults.clear()
    assert [state for _, state in postings(room)] == ["refused"]
    award_acts.revoke(room.tool, room.award()["id"], "A mistake", actor="operator", now=now())
    jobs.sweep(room.tool)
    assert postings(room) == [] and held(room, room.students[0]) is None


def test_a_grade_that_somebody_has_entered_is_not_written_over_without_asking(wrote):
    student = wrote.students[0]
    wrote.lms.grade(wrote.course, the_column(wrote), student, 0.5)
    award_acts.revoke(wrote.tool, wrote.award()["id"], "A mistake", actor="operator", now=now())
    jobs.sweep(wrote.tool)
    wrote.run("post", str(wrote.id))
    assert held(wrote, student) == 0.5
    assert "Somebody has entered something else in this column" in plan(wrote)
    assert "Not everybody who has earned" in wrote.page.get(f"badges/{wrote.badge.slug}").text
    cell = view(wrote).differs[0]
    assert press(wrote, "earned/cell", person=cell.person_id, choice="replace", seen="another").status_code == 409
    assert held(wrote, student) == 0.5
    press(wrote, "earned/cell", person=cell.person_id, choice="replace", seen=cell.seen)
    assert held(wrote, student) == 0


def test_a_grade_of_a_teachers_is_kept_where_she_says_so(make_room):
    room = make_room()
    room.publish(badge())
    press(room, on="yes")
    student = room.students[0]
    room.lms.grade(room.course, the_column(room), student, 0)
    room.grade(student, 3, 3)
    room.sync()
    assert postings(room) == [("1", "conflict")] and held(room, student) == 0
    cell = view(room).differs[0]
    press(room, "earned/cell", person=cell.person_id, choice="keep", seen=cell.seen)
    room.sync()
    jobs.sweep(room.tool)
    assert postings(room) == [("1", "kept")] and held(room, student) == 0
    assert "Somebody has entered" not in plan(room)


# -- failing, and tried again


def test_F24_a_refusal_is_shown_and_tried_again(make_room):
    room = make_room(mood="canvas")
    room.publish(badge())
    press(room, on="yes")
    room.lms.publish_column(room.course, the_column(room), False)
    room.grade(room.students[0], 3, 3)
    room.sync()
    assert postings(room) == [("1", "refused")]
    told = plan(room)
    assert "1 score did not get there" in told and "is not published" in told and "tried again by itself" in told
    room.lms.publish_column(room.course, the_column(room))
    with room.tool.db.write() as session:
        waits = session.scalars(select(Posting).where(Posting.tag == "earned", Posting.state == "refused")).all()
        for each in waits:
            each.retry_at = now() - timedelta(seconds=1)
    assert room.id in posting.courses_due(room.tool, now())
    jobs.sweep(room.tool)
    assert held(room, room.students[0]) == 1


def test_try_again_posts_it_at_once(make_room):
    room = make_room()
    room.publish(badge())
    press(room, on="yes")
    room.lms.faults.on("scores", "status", status=403)
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.lms.faults.clear()
    assert held(room, room.students[0]) is None
    press(room, "earned/again")
    assert held(room, room.students[0]) == 1


# -- deleted, switched off, copied


def test_F18_a_deleted_column_is_told_and_made_again_only_when_asked(wrote):
    wrote.lms.delete_column(wrote.course, the_column(wrote))
    wrote.sync()
    jobs.sweep(wrote.tool)
    assert [c for c in wrote.columns if c.tag == "earned"] == []
    assert "“Careful Work: earned” is no longer in the gradebook." in plan(wrote)
    assert "Stop writing it back" in plan(wrote)
    assert "“Careful Work: earned” is no longer" in wrote.page.get("").text
    press(wrote, "make-again", tag="earned")
    wrote.run("post", str(wrote.id))
    assert held(wrote, wrote.students[0]) == 1
    assert wrote.lms.grade_of(wrote.course, the_column(wrote), wrote.students[1]) is None
    with wrote.tool.db.read() as session:
        query = select(Drift).where(Drift.course_id == wrote.id, Drift.ended_at.is_(None))
        assert session.scalars(query).all() == []


def test_switched_off_the_column_stays_and_on_again_it_is_used(wrote):
    press(wrote)
    other = wrote.students[1]
    wrote.grade(other, 3, 3)
    wrote.sync()
    jobs.sweep(wrote.tool)
    assert len(wrote.awards(other)) == 1 and held(wrote, other) is None and held(wrote, wrote.students[0]) == 1
    assert "Write it back" in plan(wrote)
    press(wrote, on="yes")
    wrote.run("post", str(wrote.id))
    assert held(wrote, other) == 1
    the_column(wrote)


def test_the_column_is_not_offered_as_one_to_read_from_and_no_orphan(wrote):
    wrote.run("columns", str(wrote.id))
    with wrote.tool.db.read() as session:
        seen = session.get_one(Course, wrote.id).seen_columns
    assert "earned" not in {each["tag"] for each in seen}
    assert "No longer asked for" not in plan(wrote)


@pytest.mark.parametrize("mood", MOODS)
def test_a_copied_course_recognises_the_column_by_its_marks(make_room, mood):
    room = make_room(mood=mood)
    room.publish(badge())
    press(room, on="yes")
    copied = room.lms.copy_course(room.course, learners=True)
    teacher = room.scene.launch(room.teacher.id, copied.id)
    with room.tool.db.read() as session:
        source, target = room.id, session.scalars(select(Course.id).where(Course.context_id == copied.id)).one()
    room.run("copy", str(target))
    teacher.post(f"copies/{source}", {"badge": room.badge.slug})
    with room.tool.db.read() as session:
        assert session.scalars(select(CourseBadge.writes_earned).where(CourseBadge.course_id == target)).one()
    assert "Publishing makes one column more" in teacher.get(f"badges/{room.badge.slug}/plan").text
    assert teacher.post(f"badges/{room.badge.slug}/publish").status_code == 200
    column = the_column(room, copied)  # one: none was made beside the one that came along
    with room.tool.db.read() as session:
        query = select(Column).join(CourseBadge).where(CourseBadge.course_id == target, Column.tag == "earned")
        kept = session.scalars(query).one()
    assert (kept.url, kept.found) == (room.lms.lineitem_url(column), True)
    for each in room.lms.columns(copied):
        if each.tag != "earned":
            room.lms.grade(copied, each, room.students[0], 4)
    room.run("sync", str(target))
    assert room.lms.score_of(copied, column, room.students[0]) == 1


def test_a_gradebook_that_takes_nothing_is_said_to_before_it_is_asked(make_room):
    room = make_room()
    room.publish(badge())
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        course.scopes = [scope for scope in course.scopes if not scope.endswith("/score")]
    assert "may not write into this course" in plan(room) and "Write it back" not in plan(room)
    with pytest.raises(Conflict):
        earned.switch(room.tool, room.id, room.badge.slug, on=True, actor="operator", now=now())


def test_marking_shows_nothing_of_it(make_room):
    room = make_room(mood="canvas")
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    press(room, on="yes")
    room.lms.publish_column(room.course, the_column(room), False)
    room.lms.grade(room.course, room.column("A"), room.students[0], 4)
    room.sync()
    assert postings(room) == [("1", "refused")]
    with room.tool.db.read() as session:
        lines = marking_pages._lines(session, room.course_badge(session), room.badge)
    assert lines and all(line.posting == "" for line in lines)


def test_who_may_only_look_cannot_switch_it_on(make_room):
    room = make_room(mood="canvas")
    room.publish(badge())
    looks = room.enter(room.lms.add_user(room.course, "ta"))
    assert "Write it back" not in looks.get(f"badges/{room.badge.slug}/plan").text
    assert looks.post(f"badges/{room.badge.slug}/gradebook/earned", {"on": "yes"}).status_code == 403


def test_a_badge_of_every_course_counts_where_its_learner_is_too(make_room):
    """Earned once for all courses: the LMS of the second course is told as well."""
    first = make_room()
    first.publish(badge(once="person"))
    student = first.students[0]
    first.grade(student, 3, 3)
    first.sync()
    second = make_room()
    second.lms.enrol(second.course, student, "student")
    second.put(first.badge)
    second.publish_again()
    second.page.post(f"badges/{second.badge.slug}/gradebook/earned", {"on": "yes"})
    second.sync()
    assert second.lms.score_of(second.course, the_column(second), student) == 1
