"""What other sources than the gradebook told: judged, held back where the LMS holds it back, named in the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from lti_tool.domain.badge import SubCompetency
from lti_tool.errors import Conflict
from lti_tool.grades.source import Answer, OfferedRow, Wanted, propose, raw_answer
from lti_tool.models import Award, Mastery, Review, SourceAnswer, SourceLink
from lti_tool.services import award_acts, reissues, sources
from tests.classroom import Classroom, badge, gate, last_days, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now

TAG = "sub-competency:A"


def from_file(code: str = "A", **changes: Any) -> SubCompetency:
    return row(code, source="csv", **changes)


def put_link(room: Classroom, tag: str = TAG, title: str = "Essay: Row A", source: str = "csv") -> None:  # noqa: F811
    with room.tool.db.write() as session:
        badge_id = room.course_badge(session).id
        session.merge(
            SourceLink(
                course_badge_id=badge_id,
                tag=tag,
                source=source,
                place={"row": tag},
                title=title,
                confirmed_at=now(),
                confirmed_by="operator",
            )
        )


def store(room: Classroom, *answers: tuple[Any, str], tag: str = TAG) -> int:  # noqa: F811
    """Keep what a source told of a class, as a sync does."""
    with room.tool.db.write() as session:
        reading = sources.Reading()
        found = [Answer(user.id, raw) for user, raw in answers]
        reading.answers[room.course_badge(session).id, tag] = found
        return sources.store(session, reading, now())


def kept(room: Classroom) -> dict[str, str | None]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(SourceAnswer).where(SourceAnswer.course_badge_id == room.course_badge(session).id)
        return {each.user_sub: each.raw for each in session.scalars(query)}


def record(room: Classroom, tag: str = TAG) -> dict[str, Any]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Mastery.record).where(
            Mastery.course_badge_id == room.course_badge(session).id,
            Mastery.tag == tag,
            Mastery.person_id == room.person_id(room.students[0]),
        )
        found: dict[str, Any] = session.scalars(query).one()
        return found


@pytest.fixture
def filled(room: Classroom) -> Classroom:  # noqa: F811
    """A course with a badge whose one row comes from a file."""
    room.publish(badge(sub_competencies=(from_file(),)))
    put_link(room)
    return room


def test_a_level_comes_from_what_a_source_told(filled: Classroom) -> None:
    store(filled, (filled.students[0], raw_answer(3, 4)), (filled.students[1], raw_answer(Decimal("1.5"), 4)))
    filled.sync()
    assert [each["user"] for each in filled.awards()] == [filled.students[0].id]


def test_numbers_are_kept_exactly_as_the_source_wrote_them(filled: Classroom) -> None:
    raw = raw_answer(Decimal("2.70"), Decimal("4.0"), comment="Écrit «bien»", graded_at="2026-11-01T10:00:00Z")
    store(filled, (filled.students[0], raw))
    assert '"resultScore": 2.70, "resultMaximum": 4.0' in raw
    assert kept(filled)[filled.students[0].id] == raw


def test_an_answer_that_is_gone_opens_a_review_and_takes_nothing_back(filled: Classroom) -> None:
    ana = filled.students[0]
    store(filled, (ana, raw_answer(4, 4)))
    filled.sync()
    assert store(filled) == 1
    assert kept(filled)[ana.id] is None
    filled.sync()
    assert filled.award()["status"] == "issued"
    with filled.tool.db.read() as session:
        (reason,) = session.scalars(select(Review.reason).where(Review.award_id == filled.award()["id"]))
    assert "no result yet" in reason


def test_what_came_before_a_row_was_matched_anew_is_not_taken_back_by_emptiness(filled: Classroom) -> None:
    store(filled, (filled.students[0], raw_answer(4, 4)))
    put_link(filled)
    assert store(filled) == 0
    assert kept(filled)[filled.students[0].id] is not None


def test_what_was_read_while_a_row_was_matched_anew_is_dropped(filled: Classroom) -> None:
    with filled.tool.db.write() as session:
        reading = sources.Reading()
        reading.answers[filled.course_badge(session).id, TAG] = [Answer(filled.students[0].id, raw_answer(4, 4))]
        assert sources.store(session, reading, now() - timedelta(minutes=1)) == 0
    assert kept(filled) == {}


def test_what_another_source_told_of_a_row_is_not_taken_for_a_file_s(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(sub_competencies=(from_file(),)))
    put_link(room, source="moodle-rubric")  # as the row was read until its definition changed
    store(room, (room.students[0], raw_answer(4, 4)))
    room.sync()
    assert room.awards() == [] and record(room)["state"] == "ungraded"
    put_link(room)
    store(room, (room.students[0], raw_answer(4, 4)))
    room.sync()
    assert room.award()["status"] == "issued"


def test_a_gate_reads_its_source_too(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(sub_competencies=(from_file(),), gates=(gate(required="80", source="csv"),)))
    put_link(room)
    put_link(room, "gate:g")
    store(room, (room.students[0], raw_answer(4, 4)), (room.students[1], raw_answer(4, 4)))
    store(
        room, (room.students[0], raw_answer(Decimal("80"), 100)), (room.students[1], raw_answer(79, 100)), tag="gate:g"
    )
    room.sync()
    assert [each["user"] for each in room.awards()] == [room.students[0].id]


def test_the_gradebook_and_a_source_stand_side_by_side_in_one_badge(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(sub_competencies=(from_file(), row("B"))))
    put_link(room)
    room.grade(room.students[0], 4)
    room.sync()
    assert room.awards() == []
    store(room, (room.students[0], raw_answer(4, 4)))
    room.sync()
    assert len(room.awards()) == 1


def test_the_record_names_the_source_the_place_and_who_marked_it(filled: Classroom) -> None:
    store(
        filled, (filled.students[0], raw_answer(3, 4, graded_by=filled.teacher.id, level="Gut", comment="Mehr davon"))
    )
    filled.sync()
    kept_record = record(filled)
    assert (kept_record["source"], kept_record["from"], kept_record["by"]) == ("csv", "Essay: Row A", filled.teacher.id)
    page = filled.page.get(f"badges/{filled.badge.slug}/record/{filled.person_id(filled.students[0])}/{TAG}")
    for words in ("Essay: Row A", "by Tess Teacher", "Gut", "Mehr davon"):
        assert words in page.text


# -- what the LMS does not show the learner yet -----------------------------------------------------------------


def test_a_grade_the_LMS_holds_back_holds_the_award_and_nothing_is_told_to_the_learner(filled: Classroom) -> None:
    ana = filled.students[0]
    store(filled, (ana, raw_answer(4, 4, released=False)))
    filled.sync()
    assert filled.award()["status"] == "held"
    learner = filled.enter(ana)
    page = learner.get(f"badges/{filled.badge.slug}").text
    assert "Advanced" not in page.partition("Beginning")[0]
    assert "no result to show yet" in page and "has not released" not in page  # which would say that there is one
    assert "looks at it" not in page + learner.get("").text
    store(filled, (ana, raw_answer(4, 4)))
    filled.sync()
    assert filled.award()["status"] == "issued"
    assert "no result to show yet" not in learner.get(f"badges/{filled.badge.slug}").text


def test_no_act_of_an_instructor_goes_before_the_LMS_shows_the_grade(filled: Classroom) -> None:
    store(filled, (filled.students[0], raw_answer(4, 4, released=False)))
    filled.sync()
    award = filled.award()
    with filled.tool.db.read() as session:
        badge_id = filled.course_badge(session).id
    with pytest.raises(Conflict, match="does not show this grade"):
        award_acts.confirm(filled.tool, award["id"], actor="operator", now=now())
    assert award_acts.release(filled.tool, badge_id, actor="operator", now=now()) == 0
    assert award_acts.release_due(filled.tool, now()) == 0
    assert filled.award()["status"] == "held"


def test_confirming_a_reviewed_award_leaves_it_held_until_the_LMS_shows_the_grade(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(sub_competencies=(from_file(),), award="review"))
    put_link(room)
    store(room, (room.students[0], raw_answer(4, 4, released=False)))
    room.sync()
    assert award_acts.confirm(room.tool, room.award()["id"], actor="operator", now=now()) == "held"
    store(room, (room.students[0], raw_answer(4, 4)))
    room.sync()
    assert room.award()["status"] == "issued"


def test_an_award_freezes_nothing_of_the_grade_having_been_held_back(filled: Classroom) -> None:
    store(filled, (filled.students[0], raw_answer(4, 4, released=False)))
    filled.sync()
    with filled.tool.db.read() as session:
        decision = session.get_one(Award, filled.award()["id"]).decision
    assert "released" not in decision["rows"][0]


def test_reissuing_tells_no_level_that_the_LMS_hides_again(filled: Classroom) -> None:
    ana = filled.students[0]
    store(filled, (ana, raw_answer(3, 4)))
    filled.sync()
    award = filled.award()
    store(filled, (ana, raw_answer(4, 4, released=False)))  # marked anew, and not posted yet
    filled.sync()
    path = f"badges/{filled.badge.slug}/awards/{award['id']}/reissue"
    page = filled.page.get(path).text
    assert "does not show one of these grades" in page and 'name="seal"' not in page
    with filled.tool.db.read() as session:
        who_sees = session.get_one(Award, award["id"])
        seal = reissues._now_for(session, who_sees, now()).seal
    sent = {"reason": "A better mark.", "seal": seal}
    refused = filled.page.post(path, sent)
    assert refused.status_code == 409 and "Post the grade in your LMS." in refused.text
    assert filled.award() == award
    store(filled, (ana, raw_answer(4, 4)))
    filled.sync()
    assert filled.page.post(path, sent).status_code == 200
    assert filled.award()["credential_url"] != award["credential_url"]
    assert filled.shown(award["id"])["decision"]["rows"][0]["reached"] == "Advanced"


def test_nothing_is_renewed_with_a_level_that_the_LMS_hides_again(room: Classroom) -> None:  # noqa: F811
    room.publish(badge(sub_competencies=(from_file(),), expires_after="P30D"))
    put_link(room)
    store(room, (room.students[0], raw_answer(3, 4)))
    room.sync()
    last_days(room, room.award()["id"])
    award = room.award()
    store(room, (room.students[0], raw_answer(4, 4, released=False)))
    room.sync()
    path = f"badges/{room.badge.slug}/awards/renew"
    asked = room.page.post(path, {"award": award["id"], "ticked": "yes"}).text
    assert "does not show one of its grades to the learner yet" in asked
    told = {"award": award["id"], "confirmed": "yes", "ticked": "yes"}
    assert room.page.post(path, told).status_code == 409
    assert room.award() == award
    store(room, (room.students[0], raw_answer(4, 4)))
    room.sync()
    assert room.page.post(path, told).status_code == 200
    assert room.shown(award["id"])["decision"]["rows"][0]["reached"] == "Advanced"


@pytest.mark.parametrize("levels", ["stand", "chosen"])
def test_H18_a_badge_given_by_hand_tells_no_level_that_the_LMS_hides(room: Classroom, levels: str) -> None:  # noqa: F811
    rows = (from_file("A"), from_file("B"))
    room.publish(badge(sub_competencies=rows, rule="any 1", gates=(gate(required="80", source="csv"),), award="review"))
    tags = ("sub-competency:A", "sub-competency:B", "gate:g")
    ana = room.students[0]
    for tag in tags:
        put_link(room, tag)
        store(room, (ana, raw_answer(90, 100, released=tag == "sub-competency:B")), tag=tag)
    room.sync()
    (earned,) = room.awards(ana)
    award_acts.revoke(room.tool, earned["id"], "Not yet.", actor="operator", now=now())
    path = f"badges/{room.badge.slug}/awards/give"
    page = room.page.get(path, params={"person": room.person_id(ana)}).text
    assert "A grade that your LMS does not show to the learner yet stays out." in page
    chosen = {"level:sub-competency:B": "Advanced"} if levels == "chosen" else {}
    sent = {"person": room.person_id(ana), "note": "Gave the keynote.", "levels": levels, **chosen}
    assert room.page.post(path, sent).status_code == 200
    given = next(each for each in room.awards(ana) if each["given"] == "hand")
    told = room.shown(given["id"])["decision"]["rows"]
    assert [row["tag"] for row in told] == ["sub-competency:B"]


# -- proposing --------------------------------------------------------------------------------------------------


def offered(code: str, title: str, **changes: Any) -> OfferedRow:
    return replace(OfferedRow({"row": code + title}, code, title, "4", "Essay"), **changes)


def wanted(code: str, name: str, *, gate: bool = False) -> Wanted:
    return Wanted(f"sub-competency:{code}", "canvas-rubric", code, name, gate=gate)


def test_a_row_is_proposed_by_its_code_before_its_title() -> None:
    rows = [offered("OC-1", "Something else"), offered("", "Adapts")]
    assert propose([wanted("OC-1", "Adapts")], rows) == {"sub-competency:OC-1": rows[0]}


def test_a_row_is_proposed_by_its_title_in_whatever_case_and_spacing() -> None:
    rows = [offered("", "  adapts   the Message ")]
    assert propose([wanted("OC-1", "Adapts the message")], rows) == {"sub-competency:OC-1": rows[0]}


def test_nothing_is_proposed_where_two_fit() -> None:
    assert propose([wanted("OC-1", "Adapts")], [offered("", "Adapts"), offered("", "adapts")]) == {}


def test_a_gate_is_proposed_a_course_grade_and_a_row_never() -> None:
    grade = offered("", "Adapts", gate=True)
    assert propose([wanted("OC-1", "Adapts"), wanted("g", "Course grade", gate=True)], [grade]) == {
        "sub-competency:g": grade
    }
