"""Rules beyond "all", with a real course: what each condition reads, what it waits for, and who is looked at again."""

from __future__ import annotations

import html
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import lxml.html
import pytest
import requests
from sqlalchemy import select

from lti_tool.domain.scores import Score
from lti_tool.errors import CannotPublish, DefinitionInvalid
from lti_tool.models import Award, Course, Evidence, Mastery, Review
from lti_tool.services import award_acts, catalog, choices, editions, evaluation, sync
from tests.classroom import LETTERS, badge, gate, make_room, replace, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now


def record(room, tag: str, student: Any = None) -> dict[str, Any]:  # noqa: F811
    with room.tool.db.read() as session:
        person = room.person_id(student or room.students[0])
        return session.get_one(Mastery, (room.course_badge(session).id, person, tag)).record


def judge(room, *marks: tuple[str, float]) -> dict[str, int]:  # noqa: F811
    """Judge the course by these marks of the first student, and sign what they carry."""
    person = room.person_id(room.students[0])
    given = {(person, f"sub-competency:{code}"): Score(Fraction(str(points)), Fraction(4)) for code, points in marks}
    with room.tool.db.write() as session:
        done = evaluation.evaluate(session, room.course_badge(session), now(), given)
    editions.sign_pending(room.tool, room.id)
    return done


def text_of(page: str) -> str:
    return " ".join(" ".join(lxml.html.document_fromstring(page).itertext()).split())


def public_page(room) -> requests.Response:  # noqa: F811
    with room.tool.db.read() as session:
        slug = room.course_badge(session).version.achievement.slug
    return requests.get(f"{room.scene.url}/achievements/{slug}/v1", headers={"Accept": "text/html"}, timeout=20)


def reviews(room) -> list[str]:  # noqa: F811
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
        query = select(Review.reason).join(Award).where(Award.course_badge_id == badge_id, Review.resolved_at.is_(None))
        return list(session.scalars(query))


# -- gates


@pytest.mark.parametrize(
    ("condition", "maximum", "short", "enough", "reached"),
    [
        (gate("g", "letter", "B", scale=LETTERS), 100, 79.99, 80, "B"),
        (gate("g", "percent", "60"), 100, 59.9, 60, "60 %"),
        (gate("g", "points", "40", out_of=Decimal(50)), 50, 39.5, 40, "40 points"),
        (gate("g", "pass", ""), 1, 0, 1, "passed"),
    ],
    ids=["letter", "percent", "points", "pass"],
)
@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_G12_a_gate_on_a_column_holds_back_the_badge_until_it_is_met(
    make_room,  # noqa: F811
    mood,
    condition,
    maximum,
    short,
    enough,
    reached,
):
    room = make_room(mood=mood)  # noqa: F811
    assert room.publish(badge(rows=1, gates=(condition,))).state == "done"
    assert room.column("g").maximum == maximum
    room.grade(room.students[0], 4, short)
    room.sync()
    assert room.awards() == [] and record(room, "gate:g")["state"] == "short"
    room.grade(room.students[0], 4, enough)
    room.sync()
    assert room.award()["status"] == "issued"
    assert (record(room, "gate:g")["reached"], record(room, "gate:g")["state"]) == (reached, "met")
    shown = room.shown(room.award()["id"])
    assert [each["tag"] for each in shown["decision"]["rows"]] == ["sub-competency:A", "gate:g"]


def test_G13_any_two_of_three_are_enough_and_no_third_is_asked_for(room):  # noqa: F811
    room.publish(badge(rows=3, rule="any 2"))
    room.grade(room.students[0], 3, None, 3)
    room.grade(room.students[1], 3, 1, None)
    room.sync()
    assert [each["user"] for each in room.awards()] == [room.students[0].id]


def test_what_a_further_condition_asks_for_is_read_by_whoever_reads_about_the_badge(room):  # noqa: F811
    room.publish(badge(rows=1, gates=(gate("exam", "percent", "80"), gate("lab", "pass", ""))))
    room.grade(room.students[0], 4, 90, 1)
    room.sync()
    award = room.award()
    assert award["status"] == "issued"
    plan = text_of(room.page.get(f"badges/{room.badge.slug}/plan").text)
    achievement = text_of(public_page(room).text)
    for page in (plan, achievement):
        assert "Gate exam exam · needs 80 %" in page and "Gate lab lab · needs a pass" in page
    for levels, told in ((True, "Gate exam holds asks for 80 %"), (False, "Gate exam asks for 80 %")):
        chosen = choices.Choices(public=True, levels=levels)
        choices.choose(room.tool, award["id"], chosen, actor="operator", now=now())
        editions.sign_pending(room.tool, room.id)
        address = room.award()["credential_url"].replace(room.tool.settings.base_url, room.scene.url)
        page = text_of(requests.get(address, headers={"Accept": "text/html"}, timeout=20).text)
        assert told in page and "asks for a pass" in page


# -- evidence


def hand_in(room, code: str, *, submitted: bool = True) -> str:  # noqa: F811
    with room.tool.db.write() as session:
        row = Evidence(
            course_badge_id=room.course_badge(session).id,
            person_id=room.person_id(room.students[0]),
            tag=f"sub-competency:{code}",
            kind="text",
            content="What I did.",
            created_by="person:x",
            created_at=now(),
            submitted_at=now() if submitted else None,
        )
        session.add(row)
        session.flush()
        return row.id


def test_a_row_that_requires_evidence_waits_for_it_and_a_withdrawn_one_opens_a_review(room):  # noqa: F811
    room.publish(badge(sub_competencies=(row("A", evidence="required"), row("B"))))
    room.grade(room.students[0], 4, 4)
    room.sync()
    assert room.awards() == [] and record(room, "sub-competency:A")["state"] == "unproven"
    page = room.enter(room.teacher).get(f"badges/{room.badge.slug}").text
    assert "reached, but its evidence is missing" in page
    learner = room.enter(room.students[0])
    assert "Row A (Advanced, evidence is missing)" in learner.get(f"badges/{room.badge.slug}").text
    hand_in(room, "A", submitted=False)
    hand_in(room, "B")
    room.sync()
    assert room.awards() == []
    handed_in = hand_in(room, "A")
    room.sync()
    assert room.award()["status"] == "issued"
    with room.tool.db.write() as session:
        session.get_one(Evidence, handed_in).withdrawn_at = now()
    room.sync()
    assert room.award()["status"] == "issued" and "evidence is missing" in reviews(room)[0]


# -- badges asked for first


def test_a_badge_that_comes_first_is_shown_as_earned_before_the_release_of_what_it_leads_to(room):  # noqa: F811
    first = badge(rows=1)
    room.publish(first)
    room.grade(room.students[0], 4)
    held = badge(rows=1, prerequisites=(first.slug,), release="held")
    room.publish(held)
    room.sync()

    def says(student: Any) -> str:
        return text_of(room.enter(student).get(f"badges/{held.slug}").text)

    has, has_not = says(room.students[0]), says(room.students[1])
    assert "The badge “Careful Work” is in force. earned" in has and "not earned yet" not in has
    assert has.count("Your result has not been released yet.") == has_not.count(
        "Your result has not been released yet."
    )
    assert "is not earned yet, or not in force any more. not earned yet" in has_not


def test_a_badge_that_asks_for_another_first_is_earned_as_soon_as_that_is(room):  # noqa: F811
    first = badge(rows=1)
    room.publish(first)
    room.publish(badge(rows=1, prerequisites=(first.slug,)))
    second = room.badge
    room.grade(room.students[0], 4)
    room.sync()
    assert room.awards() == [] and record(room, f"badge:{first.slug}")["state"] == "short"
    page = room.enter(room.students[0]).get(f"badges/{second.slug}").text
    assert "Still missing: the badge “Careful Work”" in page and "not earned yet" in page
    other = text_of(room.enter(room.students[1]).get("").text)  # who has nothing of it is not on the way
    assert "On the way" not in other and "Missing" not in other and other.count("There is no result to show yet.") == 2
    room.badge = first
    room.grade(room.students[0], 4)
    room.sync()  # one sync gives both: what is asked for first comes first
    assert {each["badge"] for each in room.awards(room.students[0])} == {first.slug, second.slug}


def test_a_badge_that_is_asked_for_first_goes_by_its_name_on_every_page(room):  # noqa: F811
    first = badge(rows=1, name="Finds Sources")
    room.put(first)
    room.put(badge(rows=1, name="Cites Sources", prerequisites=(first.slug,)))
    plan = text_of(room.page.get(f"badges/{room.badge.slug}/plan").text)
    assert "It asks for the badge “Finds Sources” first, which has not been published here yet." in plan
    assert "The badge “Finds Sources” has been earned before" in plan
    second, room.badge = room.badge, first
    room.publish_again()
    room.badge = second
    room.publish_again()
    room.enter(room.students[0])
    known = room.enter(room.teacher)
    matrix = lxml.html.document_fromstring(known.get(f"badges/{second.slug}").text)
    heads = [" ".join(each.text_content().split()) for each in matrix.xpath("//thead//th")]
    assert heads[2] == "Finds Sources needs the badge"
    table = known.get(f"badges/{second.slug}/progress.csv").content.decode("utf-8-sig")
    assert table.splitlines()[0] == "Learner,A Row A,Finds Sources,Badge,User id"
    record = known.get(f"badges/{second.slug}/record/{room.person_id(room.students[0])}/badge:{first.slug}")
    assert "The badge “Finds Sources” is not earned yet" in text_of(record.text)
    told = [text_of(public_page(room).text), text_of(known.get(f"badges/{second.slug}/plan").text)]
    assert all("The badge “Finds Sources” has been earned before" in each for each in told)
    learner = room.enter(room.students[0])
    assert "“Finds Sources” is not earned yet" in text_of(learner.get(f"badges/{second.slug}").text)


def test_what_changes_names_the_badge_that_is_asked_for_first(room):  # noqa: F811
    first = badge(rows=1, name="Finds Sources")
    room.publish(first)
    plain = badge(rows=1, name="Cites Sources")
    room.publish(plain)
    room.put(replace(plain, prerequisites=(first.slug,)))

    def heads(page: str) -> list[str]:
        document = lxml.html.document_fromstring(room.page.get(f"badges/{plain.slug}/{page}").text)
        return [each.text_content().strip() for each in document.xpath("//ul[@class='diffs']//h3")]

    assert heads("plan") == heads("history") == ["Finds Sources"]
    room.publish_again()
    room.put(plain)
    room.publish_again()
    assert heads("history") == ["Finds Sources", "Finds Sources"]  # asked for in version 2, not any more in version 3


def test_one_who_lacks_only_the_badge_asked_for_first_is_told_so_in_the_narrow_table_too(room):  # noqa: F811
    first = badge(rows=1, name="Finds Sources")
    room.publish(first)
    room.publish(badge(rows=1, prerequisites=(first.slug,)))
    room.grade(room.students[0], 4)
    room.sync()
    page = text_of(room.enter(room.teacher).get(f"badges/{room.badge.slug}").text)
    assert "1 of 1, not Finds Sources" in page and "Most often missing: Finds Sources" in page


def test_a_prerequisite_earned_in_another_course_counts_and_makes_this_one_due(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    there.publish(badge(rows=1, award="review"))
    student = there.students[0]
    here.lms.enrol(here.course, student)
    here.students = [student]
    here.publish(badge(rows=1, prerequisites=(there.badge.slug,)))
    here.enter(student)
    here.grade(student, 4)
    here.sync()
    assert here.awards() == []
    there.grade(student, 4)
    there.sync()
    waiting = there.award(student)
    assert waiting["status"] == "review"
    here.sync()
    assert here.awards() == []  # not in force before somebody has confirmed it
    page = there.enter(there.teacher)
    assert page.post(f"badges/{there.badge.slug}/awards/{waiting['id']}/confirm").status_code == 200
    assert here.award(student)["status"] == "issued"  # nobody had to ask for a sync


def test_a_prerequisite_that_is_withdrawn_or_over_opens_a_review_and_awards_nobody_new(room):  # noqa: F811
    first = badge(rows=1, expires_after="P1D")
    room.publish(first)
    room.grade(room.students[0], 4)
    room.grade(room.students[1], 4)
    room.sync()
    kept = {each["user"]: each["id"] for each in room.awards()}
    room.publish(badge(rows=1, prerequisites=(first.slug,)))
    room.grade(room.students[0], 4)
    room.sync()
    assert len(room.awards(room.students[0])) == 2
    award_acts.revoke(room.tool, kept[room.students[0].id], "A mistake", actor="operator", now=now())
    with room.tool.db.write() as session:
        session.get_one(Award, kept[room.students[1].id]).expires_at = now() - timedelta(seconds=1)
    room.grade(room.students[1], 4)
    room.sync()
    assert [each["badge"] for each in room.awards(room.students[1])] == [first.slug]
    assert reviews(room) == ["1 of 1. Missing: the badge “Careful Work”."]
    assert {each["status"] for each in room.awards(room.students[0])} == {"revoked", "issued"}


def test_prerequisites_that_go_in_a_circle_are_refused_when_saved_also_through_a_draft(room):  # noqa: F811
    a, b, c = (badge(f"{room.course.id}-{name}".lower(), rows=1) for name in "abc")
    room.put(replace(b, prerequisites=(c.slug,)))  # a draft
    room.publish(c)
    room.put(replace(a, prerequisites=(b.slug,)))
    with pytest.raises(DefinitionInvalid) as refused:
        room.put(replace(c, prerequisites=(a.slug,)))
    way = " asks for ".join(f"“{slug}”" for slug in (c.slug, a.slug, b.slug, c.slug))
    assert way in refused.value.lines()[0]
    assert room.put(c) == "unchanged"


def test_a_circle_over_two_courses_cannot_be_published(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    one, other = badge(rows=1), badge(rows=1)
    here.publish(one)
    there.publish(replace(other, prerequisites=(one.slug,)))
    with pytest.raises(DefinitionInvalid, match="before itself"):
        here.put(replace(one, prerequisites=(other.slug,)))


def test_a_badge_that_is_not_published_here_yet_is_named_as_what_stands_in_the_way(room):  # noqa: F811
    first = badge(rows=1)
    room.put(first)
    room.put(badge(rows=1, prerequisites=(first.slug,)))
    with pytest.raises(CannotPublish) as refused:
        room.publish_again()
    assert f"“{first.name}” first" in refused.value.sentence


# -- one column for all, and none


def marked(columns: str, **changes: Any) -> Any:
    return badge(columns=columns, sub_competencies=(row("A", source="rubric"), row("B", source="rubric")), **changes)


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_one_column_for_the_whole_badge_is_made_and_levels_come_from_marks_alone(make_room, mood):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    assert room.publish(marked("total")).state == "done"
    assert [(c.tag, c.label, c.maximum) for c in room.columns] == [("total", "Careful Work", 8)]
    room.grade(room.students[0], 8)
    room.sync()
    assert room.awards() == []  # a total says nothing of the rows
    judge(room, ("A", 3), ("B", 2))
    assert room.awards() == [] and record(room, "sub-competency:B")["reached"] == "Developing"
    room.grade(room.students[0], 7)
    read_column(room)
    judge(room, ("A", 3), ("B", 4))
    assert room.award()["status"] == "issued" and reviews(room) == []
    assert record(room, "sub-competency:A")["score"] == "3"  # of the mark: the column holds nothing of a row


def test_a_total_that_is_changed_in_the_gradebook_opens_a_review_and_changes_no_level(room):  # noqa: F811
    room.publish(marked("total"))
    room.grade(room.students[0], 7)
    read_column(room)
    judge(room, ("A", 3), ("B", 4))
    before = record(room, "sub-competency:A")
    room.grade(room.students[0], 2)
    read_column(room)
    judge(room, ("A", 3), ("B", 4))
    assert room.award()["status"] == "issued"
    assert reviews(room) == ["The gradebook's total is 2 of 8; the rubric marked here comes to 7 of 8."]
    assert record(room, "sub-competency:A") == before
    room.grade(room.students[0], 7)
    read_column(room)
    judge(room, ("A", 3), ("B", 4))
    assert reviews(room) == []


def read_column(room) -> None:  # noqa: F811
    """Read the gradebook without judging by it: a sync of this installation knows no marks."""
    sync._store(room.tool, room.id, sync._read_lms(room.tool, room.id, lambda line: None))


def test_a_badge_without_columns_needs_no_gradebook_at_all(room):  # noqa: F811
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        course.line_items_url, course.scopes = None, [s for s in course.scopes if "lineitem" not in s]
    room.put(marked("none"))
    page = room.page.get(f"badges/{room.badge.slug}/plan").text
    assert "strictly, this is not a badge of the LTI grade service (AGS)" in page
    assert room.publish_again().state == "done" and room.columns == []
    assert room.sync().state == "done"  # the list of learners is read all the same
    judge(room, ("A", 3), ("B", 4))
    assert room.award()["status"] == "issued"


def test_a_badge_with_columns_still_needs_one(room):  # noqa: F811
    with room.tool.db.write() as session:
        session.get_one(Course, room.id).line_items_url = None
    room.put(marked("total"))
    with pytest.raises(CannotPublish, match=r"."):
        room.publish_again()


def test_a_mark_that_is_read_back_from_its_own_column_keeps_its_level_and_a_correction_counts(room):  # noqa: F811
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.grade(room.students[0], 2.99999)
    read_column(room)
    judge(room, ("A", 3))
    assert room.award()["status"] == "issued" and record(room, "sub-competency:A")["score"] == "3"
    room.grade(room.students[0], 2.9)
    read_column(room)
    judge(room, ("A", 3))
    assert record(room, "sub-competency:A")["reached"] == "Developing" and len(reviews(room)) == 1


def test_a_mark_alone_is_no_grade_where_its_column_is_the_record(room):  # noqa: F811
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.sync()
    judge(room, ("A", 4))
    assert room.awards() == [] and record(room, "sub-competency:A")["state"] == "ungraded"


def test_the_plan_of_a_source_that_is_not_connected_says_what_to_choose_instead(room):  # noqa: F811
    room.put(badge(sub_competencies=(row("A", source="moodle-rubric"), row("B"))))
    page = html.unescape(room.page.get(f"badges/{room.badge.slug}/plan").text)
    assert "web services are not connected yet. The badge's page “Sources” says how." in page
    room.put(badge(sub_competencies=(row("A", source="canvas-rubric"), row("B"))))
    page = html.unescape(room.page.get(f"badges/{room.badge.slug}/plan").text)
    assert "this course is not in Canvas. Choose a gradebook column, or mark the rubric here." in page
    assert catalog.library()  # the library itself is publishable everywhere
