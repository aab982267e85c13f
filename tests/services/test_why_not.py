"""Why badges are not claimed: counted by people, and never fewer than ten of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from lti_tool.models import Award, WhyNot
from lti_tool.services import why_not
from tests.classroom import Classroom, at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now


def answered(room: Classroom, count: int, reason: str) -> None:  # noqa: F811
    """Let so many people have a badge and have answered."""
    with room.tool.db.read() as session:
        known = set(session.scalars(select(WhyNot.award_id)))
        ids = [
            each for each in session.scalars(select(Award.id).where(Award.course_id == room.id)) if each not in known
        ]
    for award_id in ids[:count]:
        why_not.answer(room.tool, award_id, reason, "", actor="operator", now=now())


def counts(room: Classroom) -> Any:  # noqa: F811
    with room.tool.db.read() as session:
        return dict(why_not.counts(session, now() - timedelta(hours=1), now() + timedelta(hours=1), room.id))


def test_a_reason_is_told_from_ten_people_on_and_fewer_are_not_told_at_all(make_room):  # noqa: F811
    large = make_room(students=20)
    large.publish(badge(rows=1))
    for student in large.students:
        large.grade(student, 4)
    large.sync()
    answered(large, 9, "private")
    answered(large, 2, "")  # skipped
    assert counts(large) == {}
    answered(large, 1, "private")
    answered(large, 3, "effort")
    assert counts(large) == {"private": 10}


def test_two_answers_at_once_keep_one_and_what_is_kept_can_be_shown_and_erased(room):  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 4)
    room.sync()
    award_id = room.award()["id"]
    at_once(
        *(
            lambda words=words: why_not.answer(room.tool, award_id, "later", words, actor="operator", now=now())
            for words in ("one", "two")
        )
    )
    with room.tool.db.read() as session:
        (kept,) = why_not.kept_of(session, room.person_id(room.students[0]))
    assert kept["reason"] == "later" and kept["words"] in ("one", "two")
    with room.tool.db.write() as session:
        why_not.forget(session, [award_id])
    with room.tool.db.read() as session:
        assert session.get(WhyNot, award_id) is None and session.get(Award, award_id) is not None
