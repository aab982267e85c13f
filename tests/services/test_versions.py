"""A change of a published badge: shown before it is made, counted for whom it was meant, kept in the history."""

from __future__ import annotations

import html
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from lti_tool.domain.scores import Score
from lti_tool.errors import BadInput, CannotPublish, Conflict, NotFound
from lti_tool.models import (
    AuditEvent,
    Award,
    Column,
    CourseBadge,
    EarlierVersion,
    Enrolment,
    Job,
    Mastery,
    Person,
    Publication,
    Result,
)
from lti_tool.services import award_acts, catalog, columns, history, preview, versions, work
from tests.classroom import badge, gate, make_room, replace, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_conditions import read_column


def effect(room, counts_for: str = "everybody", **more: Any):  # noqa: F811
    with room.tool.db.read() as session:
        return preview.effect(session, room.course_badge(session), now(), counts_for=counts_for, **more)


def publish(room, definition, counts_for: str = "everybody") -> Job:  # noqa: F811
    from lti_tool.jobs import RUNNERS

    room.put(definition)
    job = catalog.start_publishing(
        room.tool, room.id, room.badge.slug, actor="operator", now=now(), counts_for=counts_for
    )
    return work.wait(room.tool, job, RUNNERS)


def text(room, path: str = "history") -> str:  # noqa: F811
    return html.unescape(" ".join(room.page.get(f"badges/{room.badge.slug}/{path}").text.split()))


def lowered(definition):
    first, *rest = definition.sub_competencies
    return replace(definition, sub_competencies=(replace(first, required_level="Developing"), *rest))


def raised(definition):
    return replace(definition, sub_competencies=(*definition.sub_competencies, row("Z")))


def everything(room) -> dict[str, int]:  # noqa: F811
    tables = (Award, AuditEvent, Column, EarlierVersion, Job, Mastery, Publication, Result)
    with room.tool.db.read() as session:
        return {table.__name__: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


# -- the preview


def test_before_the_first_publishing_nobody_has_anything_and_all_is_still_to_be_made(room):  # noqa: F811
    room.put(badge())
    seen = effect(room)
    assert (seen.learners, seen.today, seen.then, seen.keep) == (0, None, (0, 0, 0, 0), 0)
    page = text(room, "plan")
    assert "What it does to your learners" not in page and "Publish and make 2 columns" in page


def test_before_publishing_it_is_said_how_long_an_award_lasts_how_often_it_is_given_and_what_it_is_worth(room):  # noqa: F811
    room.put(badge(expires_after="P1Y6M", once="person", credits=Decimal("2.5"), gates=(gate(),)))
    plan = text(room, "plan")
    assert "The two sub-competencies" not in plan and "All two sub-competencies stand at their required level" in plan
    assert "The conditions below hold besides." in plan
    assert "Each award lasts one year and six months. Each learner gets it once, in whatever course." in plan
    assert "It is worth 2.5 credits." in plan
    room.put(badge())
    plan = text(room, "plan")
    assert "Awards do not expire." in plan
    for other in ("conditions below", "in whatever course", "It is worth"):
        assert other not in plan, other


@pytest.fixture
def four(make_room):  # noqa: F811
    """Four learners under a badge of two rows: one has it, one is a row short, one a level, one has nothing."""
    room = make_room(students=4)  # noqa: F811
    room.publish(badge())
    for student, points in zip(room.students, ((3, 3), (2, 3), (2, 2), (None, None)), strict=True):
        room.grade(student, *points)
    room.sync()
    return room


def test_a_lowered_level_is_shown_with_who_reaches_it_and_who_is_one_short(four):
    four.put(lowered(four.badge))
    seen = effect(four)
    assert (seen.today, seen.then) == ((1, 0, 1, 2), (2, 0, 1, 1))
    assert [each.person_id for each in seen.reach] == [four.person_id(four.students[1])]
    (short,) = seen.short
    assert (short.person_id, short.what) == (
        four.person_id(four.students[2]),
        "Row B (Developing, needs Proficient)",
    )
    assert (seen.keep, seen.keep_under, seen.lose, seen.again) == (1, (1,), (), False)


def test_a_new_row_takes_nothing_from_who_has_it_and_names_who_moves_further_away(four):
    four.put(raised(four.badge))
    seen = effect(four)
    assert (seen.today, seen.then) == ((1, 0, 1, 2), (1, 0, 0, 3))
    assert len(seen.lose) == 3 and "Row Z (no result yet, needs Proficient)" in seen.lose[0].what
    assert [each.person_id for each in effect(four, "new").lose] == [four.person_id(four.students[3])]
    assert effect(four, "new").begun == 3


def test_what_the_preview_says_is_what_publishing_then_does(four):
    four.put(lowered(four.badge))
    reach = {each.person_id for each in effect(four).reach}
    four.publish_again()
    four.sync()
    with four.tool.db.read() as session:
        under_two = {award.person_id for award in session.scalars(select(Award)) if award.version.number == 2}
        here = set(session.scalars(select(Enrolment.person_id).where(Enrolment.course_id == four.id)))
    assert under_two & here == reach


def test_looking_at_a_preview_writes_nothing(four):
    four.put(lowered(four.badge))
    before = everything(four)
    four.page.get(f"badges/{four.badge.slug}/plan")
    four.page.get(f"badges/{four.badge.slug}/plan?for=new")
    assert everything(four) == before


def test_awards_that_somebody_confirms_or_releases_wait_in_the_preview_too(four):
    four.put(replace(lowered(four.badge), award="review"))
    assert effect(four).then == (1, 1, 1, 1)
    four.put(replace(lowered(four.badge), release="held"))
    assert effect(four).then == (1, 1, 1, 1)


def test_an_award_that_was_withdrawn_is_not_shown_as_coming_back(four):
    award_acts.revoke(four.tool, four.award()["id"], "A mistake", actor="operator", now=now())
    four.put(lowered(four.badge))
    assert effect(four).then == (1, 0, 1, 2) and effect(four).keep == 0


def test_a_course_that_does_not_own_the_badge_is_told_that_a_change_makes_one_of_its_own(make_room):  # noqa: F811
    owner, other = make_room(), make_room()
    owner.publish(badge(rows=1))
    other.publish(owner.badge)
    other.grade(other.students[0], 4)
    other.sync()
    other.put(replace(other.badge, name="Changed here"))
    seen = effect(other)
    assert (seen.again, seen.keep, [each.person_id for each in seen.reach]) == (True, 1, [])
    assert "one of its own" in text(other, "plan")


def test_marks_given_here_are_counted_in_the_preview(room):  # noqa: F811
    from fractions import Fraction

    room.publish(badge(rows=1))
    room.sync()
    room.put(replace(room.badge, columns="none", sub_competencies=(row("A", source="rubric"),)))
    marks = {(room.person_id(room.students[0]), "sub-competency:A"): Score(Fraction(3), Fraction(4))}
    assert effect(room, marks=marks).then == (1, 0, 1, 0)
    assert effect(room).then == (0, 0, 2, 0)


def test_columns_that_are_made_found_missing_and_no_longer_asked_for_are_told_apart(room):  # noqa: F811
    room.publish(badge(rows=3))
    room.lms.delete_column(room.course, room.column("B"))
    room.sync()
    room.put(replace(room.badge, sub_competencies=(row("A"), row("B"), row("Z"))))
    page = text(room, "plan")
    assert "will be made" in page and "deleted from the gradebook" in page
    assert "C Row C" in page and "stays in the gradebook with its grades" in page
    assert room.publish_again().state == "done"
    # the deleted one is not made again by the way: somebody asks for it
    assert {column.tag.partition(":")[2] for column in room.columns} == {"A", "C", "Z"}
    columns.ask_again(room.tool, room.id, room.badge.slug, "sub-competency:B", actor="operator", now=now())
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    assert room.run("make_columns", badge_id).outcome["made"] == 1
    assert {column.tag.partition(":")[2] for column in room.columns} == {"A", "B", "C", "Z"}


@pytest.mark.parametrize(
    ("mood", "clicks"), [("canvas", "Do not count this assignment"), ("moodle", "Gradebook setup")]
)
def test_the_clicks_that_keep_columns_out_of_the_total_and_the_one_column_are_told(make_room, mood, clicks):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    room.put(badge())
    page = text(room, "plan")
    assert clicks in page and "one column instead of 2" in page
    room.put(badge(columns="total", sub_competencies=(row("A", source="rubric"),)))
    assert clicks in text(room, "plan") and "one column for the whole badge" in text(room, "plan")


def test_a_thousand_learners_are_looked_at_quickly_enough_for_a_page(room):  # noqa: F811
    room.publish(badge(rows=8))
    at = now()
    with room.tool.db.write() as session:
        course = room.course_badge(session).course
        people = [
            {
                "id": uuid.uuid4().hex,
                "registration_id": course.registration_id,
                "sub": f"{course.id}-{n}",
                "name": f"Learner {n}",
                "subject_id": f"urn:uuid:{uuid.uuid4()}",
                "created_at": at,
            }
            for n in range(1000)
        ]
        session.execute(insert(Person), people)
        session.execute(
            insert(Enrolment),
            [{"course_id": course.id, "person_id": p["id"], "roster_role": "Learner", "active": True} for p in people],
        )
        columns = [column.id for column in room.course_badge(session).columns]
        raw = '{"userId": "%s", "resultScore": %d, "resultMaximum": 4}'
        session.execute(
            insert(Result),
            [
                {"column_id": c, "user_sub": p["sub"], "raw": raw % (p["sub"], 1 + (c + n) % 4), "received_at": at}
                for n, p in enumerate(people)
                for c in columns
            ],
        )
    room.put(lowered(room.badge))
    begun = time.process_time()
    seen = effect(room)
    spent = time.process_time() - begun
    print(f"preview of 1,000 x 8: {spent:.2f} s of processor time")
    assert seen.learners == 1000 and sum(seen.then) == 1000


# -- for whom it counts


def test_G15_new_learners_only_leaves_who_has_begun_under_the_version_they_began_with(four):
    job = publish(four, raised(four.badge), "new")
    assert job.state == "done"
    begun, fresh = four.students[1], four.students[3]
    four.grade(begun, 3, 3)  # what version 1 asks for
    four.grade(fresh, 3, 3)
    four.sync()
    assert four.award(begun)["badge_version"] == 1 and four.award(begun)["status"] == "issued"
    assert four.awards(fresh) == []
    four.grade(fresh, 3, 3, 3)
    four.sync()
    assert four.award(fresh)["badge_version"] == 2
    assert four.shown(four.award(begun)["id"])["decision"]["version"] == 1
    with four.tool.db.read() as session:
        rows = session.execute(select(Mastery.tag, Mastery.record).where(Mastery.person_id == four.person_id(begun)))
        assert {(tag, kept["version"]) for tag, kept in rows} == {("sub-competency:A", 1), ("sub-competency:B", 1)}


def test_who_goes_on_under_an_earlier_version_sees_and_is_shown_by_that_one(four):
    publish(four, raised(four.badge), "new")
    four.sync()
    begun, fresh = (four.enter(four.students[n]).get(f"badges/{four.badge.slug}").text for n in (1, 3))
    assert "Row Z" not in begun and "Row Z" in fresh
    matrix = four.enter(four.teacher).get(f"badges/{four.badge.slug}").text
    assert matrix.count("not asked for in the version this learner is judged by") == 3
    assert "1 of 2" in matrix


def test_a_later_change_for_everybody_ends_every_earlier_version(four):
    publish(four, raised(four.badge), "new")
    publish(four, replace(four.badge, name="Third"), "everybody")
    with four.tool.db.read() as session:
        assert versions.earlier(session, four.course_badge(session)) == {}
    four.grade(four.students[1], 3, 3)
    four.sync()
    assert four.awards(four.students[1]) == []


def test_two_changes_for_new_learners_leave_each_under_the_one_they_began_with(four):
    first = four.badge
    publish(four, raised(first), "new")
    four.grade(four.students[3], 2, 2, 2)
    four.sync()
    publish(four, replace(first, sub_competencies=(*first.sub_competencies, row("Y"))), "new")
    with four.tool.db.read() as session:
        numbers = {p: v.number for p, v in versions.earlier(session, four.course_badge(session)).items()}
    assert numbers == {four.person_id(s): n for s, n in zip(four.students, (1, 1, 1, 2), strict=True)}


def test_the_columns_of_an_earlier_version_are_read_on_for_those_who_began_under_it(four):
    first = four.badge
    publish(four, replace(first, sub_competencies=(row("A"), row("Z"))), "new")
    four.lms.grade(four.course, four.column("B"), four.students[1], 4)
    four.lms.grade(four.course, four.column("A"), four.students[1], 4)
    four.sync()
    assert four.award(four.students[1])["badge_version"] == 1


def test_a_choice_that_there_is_not_is_refused(four):
    four.put(lowered(four.badge))
    answer = four.page.post(f"badges/{four.badge.slug}/publish", {"for": "some"})
    assert answer.status_code == 400 and "for everybody, or for new learners only" in answer.text
    with pytest.raises(BadInput):
        catalog.start_publishing(four.tool, four.id, four.badge.slug, actor="x", now=now(), counts_for="")


# -- publishing what was looked at


def seen_in(page: str) -> str:
    return page.partition('name="seen" value="')[2].partition('"')[0]


def test_nothing_is_published_that_was_not_looked_at(four):
    four.put(lowered(four.badge))
    seen = seen_in(four.page.get(f"badges/{four.badge.slug}/plan").text)
    four.put(raised(four.badge))
    answer = four.page.post(f"badges/{four.badge.slug}/publish", {"for": "everybody", "seen": seen})
    assert answer.status_code == 409 and "has been changed since you looked" in answer.text
    seen = seen_in(four.page.get(f"badges/{four.badge.slug}/plan").text)
    assert four.page.post(f"badges/{four.badge.slug}/publish", {"for": "new", "seen": seen}).status_code == 200
    with four.tool.db.read() as session:
        assert four.course_badge(session).version.number == 2


def test_an_attempt_that_is_repeated_publishes_what_was_asked_for_and_nothing_newer(room):  # noqa: F811
    room.lms.faults.on("lineitems", "drop", method="POST", count=1)
    job = room.publish(badge())
    assert job.state == "due"
    room.put(replace(room.badge, name="Changed between two attempts"))
    with room.tool.db.write() as session:
        session.get_one(Job, job.id).not_before = now()
    from lti_tool.jobs import RUNNERS

    again = work.wait(room.tool, job.id, RUNNERS)
    assert again.state == "failed" and "changed since you looked" in again.problem
    with room.tool.db.read() as session:
        assert room.course_badge(session).status == "draft"
    assert room.publish_again().state == "done"


@pytest.mark.parametrize("at", range(5))
def test_publishing_that_breaks_off_anywhere_is_repeated_and_makes_nothing_twice(room, at):  # noqa: F811
    """A worker dies after each of its steps in turn; the one that takes over finds what is there."""
    room.put(badge(rows=3))
    said: list[str] = []

    class Died(Exception):
        pass

    def say(line: str) -> None:
        said.append(line)
        if len(said) == at + 1:
            raise Died

    with room.tool.db.write() as session:
        badge_id = room.course_badge(session).id
    try:
        catalog.run_publish(room.tool, badge_id, say)
    except Died:
        catalog.run_publish(room.tool, badge_id, lambda line: None)
    assert [c.tag for c in room.columns] == [f"sub-competency:{code}" for code in "ABC"]
    with room.tool.db.read() as session:
        found = room.course_badge(session)
        assert (found.status, found.version.number, len(found.columns)) == ("active", 1, 3)
        query = select(func.count()).select_from(Publication).where(Publication.course_badge_id == found.id)
        assert session.scalar(query) == 1


# -- history and retirement


def test_G15_the_history_says_what_changed_when_by_whom_and_how_many_have_it(four):
    four.put(lowered(four.badge))
    seen = seen_in(four.page.get(f"badges/{four.badge.slug}/plan").text)
    four.page.post(f"badges/{four.badge.slug}/publish", {"for": "new", "seen": seen})
    four.sync()
    page = text(four)
    assert page.index("Version 2") < page.index("Version 1")
    assert "Developing is required instead of Proficient." in page and "by Tess Teacher · for new learners only" in page
    assert "First published." in page and "by the operator, by command" in page
    assert "1 award · 3 learners are judged by it" in page and "0 awards" in page
    four.put(replace(four.badge, name="Better Work"))
    assert "A change waits" in text(four) and "The badge is now called “Better Work”" in text(four)
    home = four.page.get("").text
    assert "A change waits" in home


def test_a_version_that_comes_back_has_its_place_in_the_history(four):
    first = four.badge
    publish(four, lowered(first))
    publish(four, first)
    page = text(four)
    assert page.count("Version 1") >= 2 and "Proficient is required instead of Developing." in page


def test_H12_a_published_badge_is_retired_and_never_removed_and_what_was_awarded_stays(four):
    issued = four.award()
    assert four.page.post(f"badges/{four.badge.slug}/remove").status_code == 409
    four.grade(four.students[1], 4, 4)
    read_column(four)  # the grade is known here before the badge is retired
    assert four.page.post(f"badges/{four.badge.slug}/retire").status_code == 200
    four.sync()
    assert four.awards() == [issued]
    page = text(four)
    assert "This badge is retired since" in page and "verifies" in page
    assert "Retired" in four.page.get("").text and "Nobody is awarded any more" in four.page.get("").text
    assert four.page.post(f"badges/{four.badge.slug}/remove").status_code == 409
    # learners: who has it sees it, who has not does not
    assert "Careful Work" in four.enter(four.students[0]).page.text
    assert "Careful Work" not in four.enter(four.students[1]).page.text
    alone = four.enter(four.students[1]).get(f"badges/{four.badge.slug}").text
    assert "not awarded in this course any more" in alone
    with four.tool.db.read() as session:
        actions = list(session.scalars(select(AuditEvent.action).where(AuditEvent.action == "badge.retired")))
    assert actions


def test_a_retired_badge_that_is_brought_back_awards_what_was_reached_meanwhile(four):
    history.retire(four.tool, four.id, four.badge.slug, actor="operator", now=now())
    four.grade(four.students[1], 4, 4)
    four.put(replace(four.badge, name="Other"))
    with pytest.raises(CannotPublish) as refused:
        four.publish_again()
    assert "Bring it back under History first" in refused.value.sentence
    assert four.page.post(f"badges/{four.badge.slug}/bring-back").status_code == 200
    assert {each["user"] for each in four.awards()} == {four.students[0].id, four.students[1].id}
    assert history.bring_back(four.tool, four.id, four.badge.slug, actor="operator", now=now()) is None


def test_a_draft_has_no_history_and_is_not_retired(room):  # noqa: F811
    room.put(badge())
    assert room.page.get(f"badges/{room.badge.slug}/history").status_code == 404
    with pytest.raises(Conflict):
        history.retire(room.tool, room.id, room.badge.slug, actor="operator", now=now())
    with pytest.raises(NotFound):
        history.retire(room.tool, room.id, "nothing", actor="operator", now=now())


def test_a_learner_neither_retires_nor_sees_the_history(four):
    learner = four.enter(four.students[0])
    path = f"/course/{learner.launch}/badges/{four.badge.slug}"
    assert learner.get(f"{path}/history").status_code in (401, 403, 404)
    assert learner.post(f"{path}/retire").status_code in (400, 401, 403, 404)
    with four.tool.db.read() as session:
        assert session.get_one(CourseBadge, four.course_badge(session).id).status == "active"


def test_an_awarded_learner_is_told_that_her_page_shows_a_later_version(four):
    publish(four, raised(four.badge))
    four.sync()
    page = html.unescape(four.enter(four.students[0]).get(f"badges/{four.badge.slug}").text)
    assert "Your badge was awarded under version 1, and stays as it is. Below is version 2" in page
    assert f"/achievements/{four.badge.slug}/v1" in page
    assert "was awarded under" not in four.enter(four.students[1]).get(f"badges/{four.badge.slug}").text


def test_H04_once_per_person_holds_over_versions_and_courses(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    one = badge(rows=1, once="person")
    here.publish(one)
    student = here.students[0]
    here.grade(student, 4)
    here.sync()
    there.lms.enrol(there.course, student)
    there.publish(one)
    there.grade(student, 4)
    there.sync()
    publish(here, replace(one, name="Renamed"))
    here.sync()
    assert len(here.awards(student)) == 1 and there.awards(student) == []
    by_course = badge(rows=1)
    for each in (here, there):
        each.publish(by_course)
        each.grade(student, 4)
        each.sync()
    assert [each["badge"] for each in there.awards(student)] == [by_course.slug]
