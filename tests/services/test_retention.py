"""How long things are kept: what goes, what stays, and that it goes a little at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from lti_tool import jobs
from lti_tool.models import (
    AuditEvent,
    Award,
    Course,
    Edition,
    Enrolment,
    Evidence,
    Mail,
    MailChoice,
    Mark,
    Mastery,
    Notification,
    Person,
    Result,
    RetentionPeriod,
    RetentionRun,
)
from lti_tool.services import marking, retention, schedule, sync, work
from tests.classroom import badge, make_room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_awards import bit, edition_of

YEARS = timedelta(days=365 * 6)


@pytest.fixture
def ended(make_room):  # noqa: F811
    """A course that ended six years ago, in which one student has a badge and another has evidence."""
    made = make_room()
    made.publish(badge())
    made.grade(made.students[0], 3, 3)
    assert made.sync().state == "done"
    long_ago = now() - YEARS
    with made.tool.db.write() as session:
        session.execute(delete(RetentionRun))
        session.execute(delete(RetentionPeriod))
        session.execute(update(Course).where(Course.id == made.id).values(ends_at=long_ago, moved_at=long_ago))
        badge_id = made.course_badge(session).id
        for student in made.students:
            told = {"person_id": made.person_id(student), "tag": made.badge.sub_competencies[0].tag}
            told |= {"course_badge_id": badge_id, "kind": "text", "content": "Mine", "created_by": "x"}
            session.add(Evidence(**told, created_at=long_ago))
    return made


def run_whole(room: Any) -> dict[str, int]:
    for _ in range(50):
        retention.step(room.tool, now())
        with room.tool.db.read() as session:
            run = session.scalars(select(RetentionRun).order_by(RetentionRun.id.desc()).limit(1)).one()
        if run.finished_at is not None:
            return run.counts
    raise AssertionError("it does not end")


def count(room: Any, model: Any, *where: Any) -> int:
    with room.tool.db.read() as session:
        return session.scalar(select(func.count()).select_from(model).where(*where)) or 0


def of_course(room: Any) -> dict[str, int]:
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    return {
        "enrolments": count(room, Enrolment, Enrolment.course_id == room.id),
        "levels": count(room, Mastery, Mastery.course_badge_id == badge_id),
        "evidence": count(room, Evidence, Evidence.course_badge_id == badge_id),
    }


def test_what_an_ended_course_knew_of_its_learners_goes_and_its_awards_stay_good(ended: Any, make_room: Any) -> None:  # noqa: F811
    running = make_room()
    running.publish(badge())
    running.grade(running.students[0], 3, 3)
    running.sync()
    award, before = ended.award(ended.students[0]), of_course(running)
    edition = edition_of(ended, award["id"])
    counts = run_whole(ended)
    assert counts["course"] >= 6 and counts["evidence"] == 2
    assert of_course(ended) == {"enrolments": 0, "levels": 0, "evidence": 0}
    assert of_course(running) == before
    after = edition_of(ended, award["id"])
    assert after.document == edition.document and ended.award(ended.students[0])["status"] == "issued"
    assert bit(ended.scene, after) == 0


def test_a_course_that_is_opened_again_is_read_from_the_start_and_doubts_no_award(ended: Any) -> None:
    award = ended.award(ended.students[0])
    run_whole(ended)
    assert ended.sync().state == "done"
    assert of_course(ended)["enrolments"] > 0 and ended.award(ended.students[0])["id"] == award["id"]
    assert ended.shown(award["id"])["status"] == "issued"


def due(room: Any, after: timedelta = YEARS) -> bool:
    return room.id in schedule.courses_due(room.tool, now() + after)


def test_a_course_at_rest_is_not_read_by_itself_and_stays_as_empty_as_it_is(ended: Any) -> None:
    with ended.tool.db.write() as session:
        session.execute(update(Course).where(Course.id == ended.id).values(ends_at=None))
    assert due(ended) and ended.id in sync.courses_to_sync(ended.tool)
    run_whole(ended)
    assert not due(ended) and ended.id not in sync.courses_to_sync(ended.tool)
    jobs.sweep(ended.tool)
    assert of_course(ended) == {"enrolments": 0, "levels": 0, "evidence": 0}


def test_a_course_at_rest_is_awake_again_once_somebody_opens_it(ended: Any) -> None:
    run_whole(ended)
    ended.enter(ended.teacher)
    assert due(ended, timedelta(minutes=11)) and of_course(ended)["enrolments"] > 0
    with ended.tool.db.write() as session:
        session.execute(delete(RetentionRun))
    run_whole(ended)
    assert of_course(ended)["enrolments"] > 0, "it is in use"


def test_a_course_at_rest_is_awake_again_once_it_is_read_by_name(ended: Any) -> None:
    run_whole(ended)
    assert sync.courses_to_sync(ended.tool, context=ended.course.id) == [ended.id]
    ended.sync()
    assert due(ended, timedelta(days=1))


@pytest.mark.parametrize("given", ["by grades", "by hand"])
def test_reading_a_course_that_was_at_rest_gives_nobody_again_what_is_over(ended: Any, given: str) -> None:
    learner = ended.students[0]
    with ended.tool.db.write() as session:
        award = session.get_one(Award, ended.award(learner)["id"])
        award.earned_at, award.expires_at = now() - YEARS, now() - timedelta(days=1000)
        if given == "by hand":  # with levels that somebody chose, and no score
            award.given, award.note = "hand", "Seen in class."
            award.decision = {**award.decision, "rows": [{**row, "score": ""} for row in award.decision["rows"]]}
    run_whole(ended)
    ended.sync()
    assert of_course(ended)["levels"] > 0 and len(ended.awards(learner)) == 1
    ended.publish(replace(ended.badge, description="Works carefully!"))
    ended.sync()
    assert len(ended.awards(learner)) == 1
    ended.grade(learner, 4, 4)
    ended.sync()
    assert len(ended.awards(learner)) == 2


def test_marks_that_are_gone_do_not_come_back_and_doubt_nobody_s_award(make_room: Any) -> None:  # noqa: F811
    made = make_room()
    definition = badge(columns="none", sub_competencies=(row("A", source="rubric"), row("B", source="rubric")))
    made.publish(definition)
    made.sync()
    learner = made.students[0]
    mark(made, learner, 2, 2)
    award = made.award(learner)
    with made.tool.db.write() as session:
        session.execute(delete(RetentionRun))
        session.execute(update(Course).where(Course.id == made.id).values(moved_at=now() - YEARS))
    run_whole(made)
    made.enter(made.teacher)
    made.sync()
    assert of_course(made)["levels"] > 0 and count(made, Mark, Mark.person_id == made.person_id(learner)) == 0
    assert made.shown(award["id"])["reviews"] == []
    mark(made, learner, 1, 2)
    assert [each["resolution"] for each in made.shown(award["id"])["reviews"]] == [None]


def mark(room: Any, user: Any, *chosen: int) -> None:
    """Choose levels of the badge's rows, in their order."""
    rows = zip(room.badge.sub_competencies, chosen, strict=True)
    with room.tool.db.read() as session:
        known = {each.tag: each.revision for each in session.scalars(select(Mark))}
    wishes = [marking.Wish(each.tag, level, "", known.get(each.tag, 0)) for each, level in rows]
    slug, person_id = room.badge.slug, room.person_id(user)
    saved = marking.save(room.tool, room.id, slug, person_id, wishes, actor="operator", now=now())
    if saved.job_id:
        assert work.wait(room.tool, saved.job_id, jobs.RUNNERS).state == "done"


def test_evidence_that_a_credential_shows_stays(ended: Any) -> None:
    award = ended.award(ended.students[0])
    with ended.tool.db.write() as session:
        mine = Evidence.person_id == ended.person_id(ended.students[0])
        (ident,) = session.scalars(select(Evidence.id).where(mine))
        edition = session.scalars(select(Edition).where(Edition.award_id == award["id"])).one()
        edition.choices = {**edition.choices, "evidence": [{"id": ident, "name": "Row", "narrative": "Mine"}]}
    assert run_whole(ended)["evidence"] == 1
    assert of_course(ended)["evidence"] == 1 and count(ended, Evidence, Evidence.id == ident) == 1


def test_an_award_that_nobody_claimed_stays_for_good_unless_an_administrator_says_otherwise(ended: Any) -> None:
    award = ended.award(ended.students[0])
    edition = edition_of(ended, award["id"])
    with ended.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == award["id"]).values(issued_at=now() - YEARS))
    run_whole(ended)
    assert ended.award(ended.students[0])["status"] == "issued"
    with ended.tool.db.write() as session:
        session.execute(delete(RetentionRun))
    retention.save(ended.tool, {"unclaimed": 2000}, actor="operator", now=now())
    assert run_whole(ended)["unclaimed"] == 1
    after = ended.shown(award["id"])
    assert (after["status"], after["revocation_reason"]) == ("revoked", "It was not claimed in time.")
    assert edition_of(ended, award["id"]).document is None and bit(ended.scene, edition) == 1


def test_people_of_whom_nothing_is_kept_go_and_those_with_an_award_stay(ended: Any) -> None:
    with ended.tool.db.write() as session:
        ids = [ended.person_id(student) for student in ended.students]
        session.execute(update(Person).where(Person.id.in_(ids)).values(created_at=now() - YEARS))
    run_whole(ended)
    assert count(ended, Person, Person.id == ids[0]) == 1, "she has an award"
    assert count(ended, Person, Person.id == ids[1]) == 0


def test_a_run_takes_a_few_batches_at_a_time_goes_on_where_it_was_broken_off_and_comes_once_a_day(
    ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "A_BATCH", 1)
    assert retention.step(ended.tool, now(), batches=2) == 2
    left = of_course(ended)
    assert sum(left.values()) > 0
    run_whole(ended)
    assert sum(of_course(ended).values()) == 0 and count(ended, RetentionRun) == 1
    assert retention.step(ended.tool, now()) == 0 and count(ended, RetentionRun) == 1
    retention.step(ended.tool, now() + timedelta(days=1, minutes=1))
    assert count(ended, RetentionRun) == 2


def test_what_people_were_told_goes_after_its_period_and_a_reminder_that_could_still_be_due_later(ended: Any) -> None:
    award, learner = ended.award(ended.students[0]), ended.person_id(ended.students[0])
    teacher, other = ended.person_id(ended.teacher), ended.person_id(ended.students[1])
    old, younger = now() - timedelta(days=731), now() - timedelta(days=729)
    told = {"person_id": learner, "award_id": award["id"], "detail": {}}
    mail = {"template": "earned", "language": "en", "not_before": old, "not_after": old, "created_at": old}
    with ended.tool.db.write() as session:
        session.execute(delete(Notification).where(Notification.award_id == award["id"]))
        session.add(Notification(**told, key="a", kind="earned", created_at=old))
        session.add(Notification(**told, key="b", kind="earned", created_at=younger))
        session.add(Notification(**told, key="c", kind="unclaimed", created_at=old))
        session.add(Notification(**told, key="d", kind="unclaimed", created_at=old - retention.REMINDED))
        session.add(Mail(**mail, key="e", state="sent", ended_at=old))
        session.add(Mail(**mail, key="f", state="sent", ended_at=younger))
        session.add(Mail(**mail, key="g", state="due"))
        for person, scope in (
            (learner, "badges"),
            (other, "badges"),
            (teacher, f"digest:{ended.id}"),
            (teacher, "digest:0"),
        ):
            session.add(MailChoice(person_id=person, scope=scope, created_at=old))
    assert run_whole(ended)["told"] == 4
    with ended.tool.db.read() as session:
        kept = select(Notification.key).where(Notification.award_id == award["id"])
        assert set(session.scalars(kept)) == {"b", "c"}
        assert set(session.scalars(select(Mail.key).where(Mail.key.in_(["e", "f", "g"])))) == {"f", "g"}
        chosen = select(MailChoice.person_id, MailChoice.scope).where(MailChoice.created_at == old)
        assert {tuple(row) for row in session.execute(chosen)} == {(learner, "badges"), (teacher, "digest:0")}


def test_the_audit_log_goes_after_its_period(ended: Any) -> None:
    old = {"at": now() - timedelta(days=3651), "actor": "tool", "action": "x.y", "subject": "old:1"}
    with ended.tool.db.write() as session:
        session.add(AuditEvent(**old))
        session.add(AuditEvent(**{**old, "at": now() - timedelta(days=3649), "subject": "young:1"}))
    run_whole(ended)
    assert count(ended, AuditEvent, AuditEvent.subject == "old:1") == 0
    assert count(ended, AuditEvent, AuditEvent.subject == "young:1") == 1


def test_the_page_counts_what_would_go_without_deleting_and_keeps_what_was_typed_where_it_is_wrong(ended: Any) -> None:
    admin = ended.scene.administrator()
    assert "Nothing has been deleted yet" in admin.get("/admin/retention").text
    typed = {"course": "100", "evidence": "730", "refused": "365", "people": "", "requests": "1095", "audit": "3650"}
    before = of_course(ended)
    looked = admin.post("/admin/retention", {**typed, "do": "look"}).text
    assert "Nothing was saved or deleted" in looked and "2 rows would go now." in looked
    assert of_course(ended) == before and count(ended, RetentionPeriod) == 0
    wrong = admin.post("/admin/retention", {**typed, "course": "3", "do": "save"})
    assert wrong.status_code == 400 and 'value="3"' in wrong.text and count(ended, RetentionPeriod) == 0
    assert "Saved" in admin.post("/admin/retention", {**typed, "do": "save"}).text
    with ended.tool.db.read() as session:
        assert retention.periods(session)["course"] == 100 and retention.periods(session)["people"] is None
        told = select(AuditEvent.detail).where(AuditEvent.action == "retention.changed")
        assert {"kind": "course", "before": 1825, "after": 100} in list(session.scalars(told))
    run_whole(ended)
    page = admin.get("/admin/retention").text
    assert "The last run deleted 2 rows." in page and "The last run ended" in page


def test_results_of_an_ended_course_go_too(ended: Any) -> None:
    with ended.tool.db.read() as session:
        columns = [column.id for column in ended.course_badge(session).columns]
    assert count(ended, Result, Result.column_id.in_(columns)) > 0
    run_whole(ended)
    assert count(ended, Result, Result.column_id.in_(columns)) == 0
