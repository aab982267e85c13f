"""What a review found and was mended: each test was red before."""

from __future__ import annotations

import time
from dataclasses import replace as changed
from datetime import timedelta

import pytest
from sqlalchemy import event, func, inspect, select, update

from lti_tool import jobs
from lti_tool.domain.badge import Badge
from lti_tool.errors import CannotPublish, Conflict, DefinitionInvalid, JobLost
from lti_tool.jobs import RUNNERS
from lti_tool.models import AchievementVersion, Award, Browser, Course, CourseBadge, Job, Launch, Result, Review
from lti_tool.services import award_acts, catalog, choices, editions, sync, work
from lti_tool.services.definition import read_definition, write_definition
from tests.classroom import at_once, badge, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import LIBRARY, ORAL, Scene, now
from tests.services.test_awards import assert_nothing_shows, revoke, without_news


def earn(room, definition: Badge) -> None:  # noqa: F811
    """Publish a badge whose first student has earned it, and sync."""
    room.publish(definition)
    room.grade(room.students[0], 3, 3)
    room.sync()


def badge_row(room) -> CourseBadge:  # noqa: F811
    with room.tool.db.read() as session:
        return room.course_badge(session)


def reviews(room) -> list[Review]:  # noqa: F811
    with room.tool.db.read() as session:
        return list(session.scalars(select(Review).join(Award).where(Award.course_id == room.id)))


# -- definitions


@pytest.mark.parametrize("gap", [" ", "\t", "a ", "[ "])
def test_a_line_made_to_cost_hours_is_read_at_once(gap):
    text = f'[badge]\ntags = [\n[{gap * 20_000}\n"a"]]\n'
    started = time.monotonic()
    with pytest.raises(DefinitionInvalid):
        read_definition(text, "x.toml")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "header", ["[[sub_competency]]", "  [[ sub_competency ]]  # the first", '[["sub_competency"]]']
)
def test_a_mistake_keeps_its_line_however_its_table_is_written(header):
    text = write_definition(badge("a", rows=1)).replace("[[sub_competency]]", header)
    text = text.replace('required_level = "Proficient"', 'required_level = "None"')
    with pytest.raises(DefinitionInvalid) as error:
        read_definition(text, "x.toml")
    line = next(n for n, each in enumerate(text.splitlines(), start=1) if each.startswith("required_level"))
    assert [at for at, _ in error.value.problems] == [line]


# -- columns


def test_other_highest_points_under_the_same_code_are_refused_and_under_a_new_code_are_not(room):  # noqa: F811
    """The old column goes to 4: 2 of 4 would count as 4 of 8."""
    one = badge(rows=1)
    room.publish(one)
    wider = changed(one, sub_competencies=(row("A", points=(2, 4, 6, 8)),))
    room.put(wider)
    with pytest.raises(CannotPublish) as error:
        room.publish_again()
    assert "“A” has a gradebook column of 4 points" in error.value.sentence and "new code" in error.value.sentence
    assert "new code" in room.page.get(f"badges/{one.slug}/plan").text
    assert room.publish(changed(wider, sub_competencies=(row("A2", points=(2, 4, 6, 8)),))).state == "done"
    assert [c.maximum for c in room.columns] == [4, 8]


def test_a_code_that_comes_back_with_other_highest_points_is_refused_too(room):  # noqa: F811
    one = badge(rows=2)
    room.publish(one)
    room.publish(changed(one, sub_competencies=one.sub_competencies[:1]))
    with pytest.raises(CannotPublish, match="new code"):
        room.publish(changed(one, sub_competencies=(one.sub_competencies[0], row("B", points=(1, 2, 3, 5)))))


# -- what a learner sees before the release


def test_an_award_of_another_course_opens_no_levels_that_are_held_back_here(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    student = first.students[0]
    second.lms.enrol(second.course, student)
    definition = badge(once="person", release="held")
    earn(first, definition)
    first.page.post(f"badges/{definition.slug}/release")
    second.publish(definition)
    second.grade(student, 4, 1)
    second.sync()
    assert first.award(student)["status"] == "issued"
    assert_nothing_shows(second.enter(student), definition.slug)
    revoke(first, first.award(student), "Copied from a neighbour.")
    page = second.enter(student)
    assert_nothing_shows(page, definition.slug)
    for shown in (page.get(f"badges/{definition.slug}"), page.get("")):
        assert "Copied from" not in without_news(shown)


def test_an_award_of_an_earlier_version_shows_its_own_levels_and_not_the_present_ones(room):  # noqa: F811
    one = badge()
    earn(room, one)
    room.publish(changed(one, release="held"))
    room.grade(room.students[0], 4, 1)
    room.sync()
    student = room.enter(room.students[0])
    page = student.get(f"badges/{one.slug}").text
    assert "It is yours" in page and page.count("3 of 4 points") == 2
    assert "4 of 4 points" not in page and "1 of 4 points" not in page and "Until" not in page
    room.page.post(f"badges/{one.slug}/release")
    assert "4 of 4 points" in student.get(f"badges/{one.slug}").text


# -- one badge of several


def test_a_badge_that_cannot_be_evaluated_takes_nobodys_other_award_back(make_room):  # noqa: F811
    room = make_room()  # noqa: F811
    first, last = badge(expires_after="P1Y"), badge()
    for each in (first, badge("in-between"), last):
        room.publish(each)
        room.grade(room.students[0], 3, 3)
    with room.tool.db.write() as session:
        version = catalog.get_badge(session, room.id, first.slug).version
        session.execute(
            update(AchievementVersion)
            .where(AchievementVersion.id == version.id)
            .values(definition={**version.definition, "expires_after": "P9000Y"})
        )
    job = room.sync()
    assert (job.state, job.outcome["reason"]) == ("due", "evaluation_failed") and first.slug in job.problem
    assert sorted(each["badge"] for each in room.awards()) == sorted(["in-between", last.slug])
    assert {each["status"] for each in room.awards()} == {"issued"}


def test_a_definition_that_lasts_nine_thousand_years_is_refused():
    with pytest.raises(DefinitionInvalid, match="a hundred years at most"):
        read_definition(write_definition(badge("b", expires_after="P9000Y")), "b.toml")


# -- publishing


def test_while_a_badge_is_being_published_nothing_is_put_in_or_thrown_away(room):  # noqa: F811
    one = badge()
    room.put(one)
    job_id = catalog.start_publishing(room.tool, room.id, one.slug, actor="operator", now=now())
    with pytest.raises(Conflict, match="being published"):
        room.put(changed(one, name="Other"))
    with pytest.raises(Conflict, match="being published"):
        catalog.remove_draft(room.tool, room.id, one.slug, actor="operator", now=now())
    assert work.wait(room.tool, job_id, RUNNERS).state == "done"
    assert room.put(changed(one, name="Other")) == "changed"


def test_publishing_clears_the_draft_it_published_and_no_later_one(room):  # noqa: F811
    one = badge()
    room.put(one)
    with room.tool.db.write() as session:
        found = room.course_badge(session)
        later = changed(one, name="Later")
        found.draft = later.content()
        catalog.freeze_version(session, found, one, b"png", now())
    assert badge_row(room).draft == later.content()
    with room.tool.db.write() as session:
        catalog.freeze_version(session, room.course_badge(session), later, b"png", now())
    assert badge_row(room).draft is None


def test_a_process_that_dies_after_publishing_was_asked_for_leaves_a_job_that_is_found(room):  # noqa: F811
    one = badge()
    room.put(one)
    catalog.start_publishing(room.tool, room.id, one.slug, actor="operator", now=now())
    assert badge_row(room).status == "publishing"
    jobs.sweep(room.tool)
    assert badge_row(room).status == "active"


# -- released


def test_held_awards_are_issued_when_a_new_version_holds_nothing_back(room):  # noqa: F811
    one = badge(release="held")
    earn(room, one)
    assert room.award()["status"] == "held"
    room.publish(changed(one, release="immediate"))
    room.sync()
    assert room.award()["status"] == "issued"


def test_a_confirmed_award_goes_by_the_release_of_the_present_version(room):  # noqa: F811
    one = badge(award="review")
    earn(room, one)
    room.publish(changed(one, release="held"))
    assert award_acts.confirm(room.tool, room.award()["id"], actor="operator", now=now()) == "held"


def is_released(room) -> bool:  # noqa: F811
    with room.tool.db.read() as session:
        return catalog.released(room.course_badge(session), now())


def test_a_release_counts_for_its_policy_only(room):  # noqa: F811
    one = badge(release="held")
    earn(room, one)
    room.page.post(f"badges/{one.slug}/release")
    room.publish(changed(one, name="Another name"))
    assert is_released(room)
    room.publish(changed(one, release=(now() + timedelta(days=1)).isoformat()))
    assert not is_released(room)


def test_a_draft_cannot_be_released(room):  # noqa: F811
    one = badge(release="held")
    room.put(one)
    assert room.page.post(f"badges/{one.slug}/release").status_code == 409
    earn(room, one)
    assert room.award()["status"] == "held"


# -- workers


def test_a_reading_that_is_older_than_the_last_one_changes_nothing(room):  # noqa: F811
    earn(room, badge())
    with room.tool.db.read() as session:
        columns = [column.id for column in room.course_badge(session).columns]
        before = session.get_one(Course, room.id).synced_at
    old = sync._Read(before - timedelta(seconds=5), [], dict.fromkeys(columns, ()))
    assert sync._store(room.tool, room.id, old) == {"stale": 1}
    with room.tool.db.read() as session:
        raws = list(session.scalars(select(Result.raw).where(Result.column_id.in_(columns))))
        assert None not in raws and session.get_one(Course, room.id).synced_at == before


def test_a_worker_that_has_lost_its_job_stops_where_it_next_says_something(shared):  # noqa: F811
    tool, went_on = shared.tool, []
    job_id = work.request(tool, "sync", "lost", now())

    def slow(tool, subject, say):
        with tool.db.write() as session:
            session.get_one(Job, job_id).lease_until = now() - timedelta(seconds=1)
        work.run(tool, job_id, {"sync": lambda *_: {"by": "the other"}})
        say("Storing …")
        went_on.append(subject)

    work.run(tool, job_id, {"sync": slow})
    with tool.db.read() as session:
        job = session.get_one(Job, job_id)
    assert went_on == [] and (job.state, job.outcome, job.progress) == ("done", {"by": "the other"}, [])


def test_a_lost_publishing_does_not_take_the_badge_from_the_worker_that_has_it(room):  # noqa: F811
    one = badge()
    room.put(one)
    catalog.start_publishing(room.tool, room.id, one.slug, actor="operator", now=now())

    def lost(line):
        raise JobLost

    with pytest.raises(JobLost):
        catalog.run_publish(room.tool, badge_row(room).id, lost)
    assert badge_row(room).status == "publishing"


def test_every_page_of_a_long_reading_shows_that_the_worker_is_alive(make_room, monkeypatch):  # noqa: F811
    room = make_room(mood="canvas", students=4)  # noqa: F811
    room.publish(badge(rows=1))
    for student in room.students:
        room.grade(student, 3)
    room.lms.max_page_size = 1
    told = []
    sync.run_sync(room.tool, str(room.id), told.append)
    assert told.count("") >= 8  # four members, four results
    monkeypatch.setattr(work, "ALIVE_EVERY", 0)
    job_id = work.request(room.tool, "sync", "alive", now())

    def reading(tool, subject, say):
        with tool.db.write() as session:
            session.get_one(Job, job_id).lease_until = now()
        say("")
        with tool.db.read() as session:
            return {"left": (session.get_one(Job, job_id).lease_until - now()).total_seconds()}

    work.run(room.tool, job_id, {"sync": reading})
    with room.tool.db.read() as session:
        job = session.get_one(Job, job_id)
    assert job.outcome["left"] > 200 and job.progress == []


# -- expired


def test_an_expired_award_is_shown_as_expired_and_cannot_be_claimed(room):  # noqa: F811
    one = badge(expires_after="P1D")
    earn(room, one)
    student = room.enter(room.students[0])
    assert "is yours" in student.get("").text
    with room.tool.db.write() as session:
        session.get_one(Award, room.award()["id"]).expires_at = now() - timedelta(hours=1)
    home, page = student.get("").text, student.get(f"badges/{one.slug}").text
    assert "Expired" in home and "is yours" not in home and "You have it" not in home + page
    assert "This badge has expired" in page and "It was valid until" in page
    assert student.get(f"badges/{one.slug}/claim").status_code == 404
    with pytest.raises(Conflict):
        choices.choose(room.tool, room.award()["id"], choices.Choices(public=True), actor="operator", now=now())
    for path in ("", "/awards"):
        text = room.page.get(f"badges/{one.slug}{path}").text
        assert "Expired" in text
    assert "Nobody has earned it yet" in room.page.get(f"badges/{one.slug}").text
    listed = room.award()
    assert listed["status"] == "issued" and listed["expires_at"]
    assert revoke(room, listed).status_code == 200 and room.award()["status"] == "revoked"


def test_an_expired_award_that_was_claimed_may_be_taken_down(room):  # noqa: F811
    one = badge(expires_after="P1D")
    earn(room, one)
    student = room.enter(room.students[0])
    student.post(f"badges/{one.slug}/claim", {"public": "yes"})
    with room.tool.db.write() as session:
        session.get_one(Award, room.award()["id"]).expires_at = now() - timedelta(hours=1)
    assert room.award()["public"]
    student.post(f"badges/{one.slug}/claim")
    assert not room.award()["public"]


# -- deciding


def test_confirm_all_leaves_out_an_award_whose_grade_has_fallen(room):  # noqa: F811
    room.publish(badge(award="review"))
    for student in room.students:
        room.grade(student, 3, 3)
    room.sync()
    room.grade(room.students[1], 3, 1)
    room.sync()
    assert "Confirm all" not in room.page.get(f"badges/{room.badge.slug}/awards").text  # one is left to confirm
    form = {"all": "yes", "shown": room.award()["id"]}  # what the page of a moment ago had in it
    room.page.post(f"badges/{room.badge.slug}/awards/confirm", form)
    assert [room.award(student)["status"] for student in room.students] == ["issued", "review"]


def test_all_confirmed_by_several_at_once_are_all_issued_and_nobody_is_refused(make_room):  # noqa: F811
    room = make_room(students=6)  # noqa: F811
    room.publish(badge(rows=1, award="review"))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    pages = [room.enter(room.teacher) for _ in range(4)]
    path = f"badges/{room.badge.slug}/awards/confirm"
    form = {"all": "yes", "shown": [each["id"] for each in room.awards()]}
    done = at_once(*[lambda page=page: page.post(path, form) for page in pages])
    assert [answer.status_code for answer in done] == [200] * 4
    assert sum("6 awards are confirmed" in answer.text for answer in done) == 1
    assert sum("Decided by somebody else before" in answer.text for answer in done) == 3
    assert [each["status"] for each in room.awards()] == ["issued"] * 6


def test_an_award_is_doubted_for_a_row_that_a_later_version_dropped(room):  # noqa: F811
    one = badge(rows=2)
    earn(room, one)
    room.publish(changed(one, sub_competencies=one.sub_competencies[:1]))
    room.grade(room.students[0], 3, 1)
    assert room.sync().outcome["reviews"] == 1
    assert "Missing: Row B (Beginning" in reviews(room)[0].reason
    room.grade(room.students[0], 3, 3)
    assert room.sync().outcome["restored"] == 1


def test_signing_asks_for_the_awards_before_their_editions_and_in_their_order(make_room):  # noqa: F811
    """As revoke() does: two that ask in two orders wait for each other on PostgreSQL."""
    room = make_room(students=3)  # noqa: F811
    room.publish(badge(rows=1, award="review"))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    for each in room.awards():
        award_acts.confirm(room.tool, each["id"], actor="operator", now=now())
    asked = []

    def note(_connection, _cursor, statement, parameters, *_):
        asked.append(" ".join(statement.split()))

    event.listen(room.tool.db.engine, "before_cursor_execute", note)
    try:
        assert editions.sign_pending(room.tool, room.id) == 3
    finally:
        event.remove(room.tool.db.engine, "before_cursor_execute", note)
    update_edition = next(n for n, each in enumerate(asked) if each.startswith("UPDATE edition"))
    assert any(each.startswith("SELECT award.id") and "ORDER BY award.id" in each for each in asked[:update_edition])
    assert any("FROM edition JOIN award" in each and "ORDER BY edition.id" in each for each in asked)


# -- growth


def test_browsers_without_launches_and_jobs_that_ended_long_ago_are_forgotten(room):  # noqa: F811
    visitor = room.enter(room.students[0])
    with room.tool.db.write() as session:
        launch = session.get_one(Launch, visitor.launch)
        browser_id, launch.expires_at = launch.browser_id, now() - timedelta(seconds=1)
        ended = {"kind": "sync", "attempts": 1, "created_at": now(), "not_before": now()}
        for subject, state, days in (("old", "done", 31), ("bad", "failed", 31), ("new", "done", 29)):
            session.add(Job(subject=subject, state=state, finished_at=now() - timedelta(days=days), **ended))
        session.add(Job(subject="due", state="due", **ended))
        kept = session.scalar(select(func.count()).select_from(Browser).where(Browser.id != browser_id))
    sync.forget_expired(room.tool, now())
    with room.tool.db.read() as session:
        assert session.get(Browser, browser_id) is None
        assert 0 < session.scalar(select(func.count()).select_from(Browser)) <= kept
        left = set(session.scalars(select(Job.subject)))
    assert left & {"old", "bad", "new", "due"} == {"new", "due"}
    with room.tool.db.write() as session:
        session.execute(update(Job).where(Job.subject == "due").values(state="done"))
    indexes = {tuple(index["column_names"]) for index in inspect(room.tool.db.engine).get_indexes("job")}
    assert ("kind", "subject") in indexes


# -- who may start a sync


def syncs(room) -> list[Job]:  # noqa: F811
    with room.tool.db.read() as session:
        return list(session.scalars(select(Job).where(Job.kind == "sync", Job.subject == str(room.id))))


def age(room, **values) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.execute(
            update(Course).where(Course.id == room.id).values(synced_at=now() - timedelta(hours=1), **values)
        )


def test_K10_a_launch_into_a_course_that_has_ended_starts_no_sync(room):  # noqa: F811
    earn(room, badge())
    before = len(syncs(room))
    age(room, state="concluded")
    sync.sync_if_old(room.tool, room.page.launch, now())
    assert len(syncs(room)) == before
    age(room, state="ok")
    sync.sync_if_old(room.tool, room.page.launch, now())
    assert len(syncs(room)) == before + 1


def test_a_learner_starts_no_more_syncs_than_launches_do(room):  # noqa: F811
    earn(room, badge())
    student = room.enter(room.students[0])
    before = len(syncs(room))
    for _ in range(3):
        assert student.post("sync").status_code == 200
    assert len(syncs(room)) == before
    age(room)
    student.post("sync")
    assert len(syncs(room)) == before + 1
    age(room)
    room.lms.faults.on("results", "html")
    for _ in range(3):
        student.post("sync")
    assert syncs(room)[-1].attempts == 1  # it waits its time after the failure


def test_a_graded_zero_is_told_as_below_the_lowest_level_and_not_as_no_result(scene: Scene) -> None:
    scene.publish()
    scene.grade("student1", 4, 3, 3, 0)
    scene.sync()
    page = scene.launch("student1").page
    assert page is not None and "Answers questions on the spot (below the lowest level, needs Developing)" in page.text


def test_a_doubted_award_still_counts_as_earned_in_the_summary(scene: Scene) -> None:
    teacher = scene.publish()
    scene.grade("student1", 4, 3, 3, 2)
    scene.sync()
    scene.grade("student1", 1)
    scene.sync()
    page = teacher.get(f"badges/{ORAL}").text
    assert "One of 31 has earned it" in page and "Needs review" in page


def test_the_set_up_of_a_changed_badge_says_so_until_it_is_being_published(scene: Scene) -> None:
    teacher = scene.publish()
    text = (LIBRARY / f"{ORAL}.toml").read_bytes().replace(b"Builds a clear line of thought", b"Builds one line")
    done = teacher.post("import", files={"file": ("changed.toml", text)})
    assert "Nothing has changed yet: version 1 stays in force" in done.text
    scene.tool.wake = lambda _job: None
    done = teacher.post(f"badges/{ORAL}/publish")
    assert "Being published" in done.text and "data-job" in done.text
