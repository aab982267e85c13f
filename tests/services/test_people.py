"""Two ids of one human: suggested by e-mail, linked and unlinked by an administrator, and nothing of it lost."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from lti_tool.errors import Conflict, NotFound
from lti_tool.models import AuditEvent, Award, Edition, Person, StatusList
from lti_tool.services import editions, people
from tests.classroom import Classroom, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now

ACTOR = "person:admin"


class Merged:
    """A learner whom Canvas knows by an old id in one course and by a new one in a later course."""

    def __init__(self, make_room, once: str = "person", **changes) -> None:  # noqa: F811
        self.old_room: Classroom = make_room(mood="canvas")
        self.new_room: Classroom = make_room(mood="canvas")
        one = badge(once=once, **changes)
        for each in (self.old_room, self.new_room):
            each.publish(one)
        self.tool = self.old_room.tool
        self.before, self.after = self.old_room.students[0], self.new_room.students[0]
        self.after.email = self.before.email.upper()

    def earn(self) -> None:
        self.old_room.grade(self.before, 4, 4)
        self.old_room.sync()
        self.new_room.grade(self.after, 4, 4)
        self.new_room.sync()

    @property
    def old(self) -> str:
        return self.old_room.person_id(self.before)

    @property
    def new(self) -> str:
        return self.new_room.person_id(self.after)

    def link(self) -> str:
        return people.link(self.tool, self.new, self.old, actor=ACTOR, now=now())

    def unlink(self, link_id: str) -> None:
        people.unlink(self.tool, link_id, actor=ACTOR, now=now())
        editions.sign_pending(self.tool)

    def suggested(self) -> list[people.Suggestion]:
        return [each for each in people.suggestions(self.tool) if each.person.id == self.new]

    def award(self, room: Classroom, user) -> Award:
        with self.tool.db.read() as session:
            query = select(Award).where(Award.course_id == room.id).order_by(Award.earned_at.desc())
            found = session.scalars(query).first()
            assert found is not None and [e.id for e in found.editions]
            return found


@pytest.fixture
def merged(make_room):  # noqa: F811
    return Merged(make_room)


def statuses(merged: Merged) -> list[str]:
    return [merged.old_room.award(merged.before)["status"], merged.new_room.award(merged.after)["status"]]


def verifies(merged: Merged, edition: Edition) -> bool:
    """Whether a credential's status bit is clear, as its list says."""
    return edition.withdrawn_at is None


def test_K09_after_a_merge_there_are_two_people_until_an_administrator_links_them(merged):
    merged.earn()
    assert statuses(merged) == ["issued", "issued"]  # once a person, and these are two
    (suggestion,) = merged.suggested()
    assert suggestion.same_as.id == merged.old and suggestion.same_as.awards == 1
    assert suggestion.person.courses == (merged.new_room.course.label,)
    # nobody but an administrator is told: the instructor's pages say nothing of it
    page = merged.new_room.page.get(f"badges/{merged.new_room.badge.slug}").text
    assert merged.before.email not in page and "same person" not in page.lower()
    merged.link()
    assert merged.suggested() == []
    assert [each.person.id for each in people.links(merged.tool) if each.same_as.id == merged.old] == [merged.new]


def test_K09_one_e_mail_on_two_platforms_suggests_nothing(make_room):  # noqa: F811
    here, there = make_room(mood="canvas"), make_room(mood="moodle")
    there.students[0].email = here.students[0].email
    for each in (here, there):
        each.publish(badge())
        each.sync()
    there_id = there.person_id(there.students[0])
    assert [s for s in people.suggestions(here.tool) if there_id in (s.person.id, s.same_as.id)] == []
    with pytest.raises(Conflict, match="different platforms"):
        people.link(here.tool, there_id, here.person_id(here.students[0]), actor=ACTOR, now=now())


def test_K09_a_refused_suggestion_comes_no_more_and_no_address_makes_none(merged):
    merged.earn()
    people.refuse(merged.tool, merged.new, merged.old, actor=ACTOR, now=now())
    assert merged.suggested() == []
    with merged.tool.db.write() as session:
        for each in session.scalars(select(Person).where(Person.id.in_((merged.new, merged.old)))):
            each.email = ""
    assert merged.suggested() == []


def test_H15_of_two_awards_of_one_badge_the_earlier_stays_and_the_later_is_superseded(merged):
    merged.earn()
    later = merged.award(merged.new_room, merged.after)
    with merged.tool.db.read() as session:
        revision = session.get_one(StatusList, later.editions[0].status_list_id).revision
    merged.link()
    assert statuses(merged) == ["issued", "superseded"]
    with merged.tool.db.read() as session:
        row = session.get_one(Award, later.id)
        assert not row.live and row.editions[0].withdrawn_at is not None
        assert session.get_one(StatusList, row.editions[0].status_list_id).revision > revision
    # whoever opens either course under either id has the one award
    merged.new_room.page = merged.new_room.enter(merged.after)
    assert "is yours" in merged.new_room.page.page.text
    # and the same grades make no second one
    merged.new_room.grade(merged.after, 3, 4)
    merged.new_room.sync()
    assert statuses(merged) == ["issued", "superseded"]


def test_H15_an_award_that_still_waits_does_not_replace_one_that_is_issued(make_room):  # noqa: F811
    merged = Merged(make_room)
    merged.earn()
    with merged.tool.db.write() as session:
        award = session.scalars(select(Award).where(Award.course_id == merged.old_room.id)).one()
        award.status = "held"
    merged.link()
    assert statuses(merged) == ["superseded", "issued"]


def test_H15_one_that_is_over_does_not_replace_one_in_force(make_room):  # noqa: F811
    merged = Merged(make_room, expires_after="P1Y")
    merged.earn()
    end(merged)
    later = merged.award(merged.new_room, merged.after)
    link_id = merged.link()
    assert statuses(merged) == ["issued", "issued"]
    with merged.tool.db.read() as session:
        assert session.get_one(Edition, later.editions[0].id).withdrawn_at is None
        held = session.scalars(select(Award).where(Award.person_id == merged.old))
        assert {award.course_id: award.live for award in held} == {merged.old_room.id: False, merged.new_room.id: True}
    merged.unlink(link_id)
    assert statuses(merged) == ["issued", "issued"]


def test_one_that_is_over_is_earned_again_under_the_id_that_was_linked_since(make_room):  # noqa: F811
    room = make_room(mood="canvas")
    room.publish(badge(once="course", expires_after="P1Y"))
    before, after = room.students
    room.grade(before, 4, 4)
    room.sync()
    people.link(room.tool, room.person_id(after), room.person_id(before), actor=ACTOR, now=now())
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.course_id == room.id).values(expires_at=now()))
    room.sync()
    assert len(room.awards()) == 1
    room.grade(after, 4, 4)
    room.sync()
    with room.tool.db.read() as session:
        found = session.scalars(select(Award).where(Award.course_id == room.id).order_by(Award.earned_at)).all()
        assert [(a.live, a.person_id) for a in found] == [
            (False, room.person_id(before)),
            (True, room.person_id(before)),
        ]
        assert found[1].earned_as_id == room.person_id(after)


def end(merged: Merged) -> None:
    """Let the old id's award come to its end."""
    with merged.tool.db.write() as session:
        session.execute(update(Award).where(Award.course_id == merged.old_room.id).values(expires_at=now()))


def test_H15_awards_of_two_courses_both_stay_where_the_badge_is_given_once_a_course(make_room):  # noqa: F811
    merged = Merged(make_room, once="course")
    merged.earn()
    merged.link()
    assert statuses(merged) == ["issued", "issued"]


def test_after_linking_a_badge_given_once_is_not_earned_again_under_the_new_id(merged):
    merged.old_room.grade(merged.before, 4, 4)
    merged.old_room.sync()
    merged.new_room.sync()
    merged.link()
    merged.new_room.grade(merged.after, 4, 4)
    merged.new_room.sync()
    assert merged.new_room.awards(merged.after) == []
    # nor do low grades under the new id cast doubt on what the old one earned
    merged.new_room.grade(merged.after, 1, 1)
    merged.new_room.sync()
    award = merged.old_room.award(merged.before)
    assert merged.old_room.shown(award["id"])["reviews"] == []


def test_both_ids_in_one_course_have_one_award_and_only_the_grades_it_was_given_for_doubt_it(make_room):  # noqa: F811
    room = make_room(mood="canvas")
    room.publish(badge())
    first, second = room.students
    room.sync()
    people.link(room.tool, room.person_id(second), room.person_id(first), actor=ACTOR, now=now())
    room.grade(first, 4, 4)
    room.grade(second, 1, 1)
    room.sync()
    (award,) = room.awards()
    assert (award["user"], award["status"]) == (first.id, "issued")
    room.grade(second, 1, 2)
    room.sync()
    assert room.shown(award["id"])["reviews"] == []
    room.grade(second, 4, 4)
    room.sync()
    assert len(room.awards()) == 1
    room.grade(first, 1, 4)
    room.sync()
    assert len(room.shown(award["id"])["reviews"]) == 1


def test_what_is_earned_while_linked_goes_back_to_the_id_that_earned_it(merged):
    merged.old_room.sync()
    merged.new_room.sync()
    link_id = merged.link()
    merged.new_room.grade(merged.after, 4, 4)
    merged.new_room.sync()
    award = merged.award(merged.new_room, merged.after)
    assert (award.person_id, award.earned_as_id) == (merged.old, merged.new)
    with merged.tool.db.read() as session:
        subject = session.get_one(Person, merged.new).subject_id
        assert subject.encode() in (session.get_one(Edition, award.editions[0].id).document or b"")
    merged.unlink(link_id)
    award = merged.award(merged.new_room, merged.after)
    assert (award.person_id, award.earned_as_id, award.status) == (merged.new, None, "issued")


def test_H16_unlinking_restores_both_awards_and_keeps_the_record(merged):
    merged.earn()
    first = merged.award(merged.new_room, merged.after)
    link_id = merged.link()
    merged.unlink(link_id)
    assert statuses(merged) == ["issued", "issued"]
    second = merged.award(merged.new_room, merged.after)
    old, new = second.editions
    # a revoked status entry is never cleared: the credential is a new one, with the old one's times
    assert old.id == first.editions[0].id and not verifies(merged, old)
    assert verifies(merged, new) and new.signed_at and new.valid_from == old.valid_from
    assert second.issued_at == first.issued_at and second.live
    with merged.tool.db.read() as session:
        subjects = (f"person:{merged.new}", f"award:{second.id}")
        query = select(AuditEvent.action).where(AuditEvent.subject.in_(subjects)).order_by(AuditEvent.id)
        kept = list(session.scalars(query))
    assert kept == ["award.earned", "award.superseded", "person.linked", "award.restored", "person.unlinked"]
    assert merged.suggested() == []  # they have been looked at
    with pytest.raises(NotFound):
        people.unlink(merged.tool, link_id, actor=ACTOR, now=now())


def test_H16_after_unlinking_each_page_shows_its_own_award_again(merged):
    merged.earn()
    merged.unlink(merged.link())
    for each, user in ((merged.old_room, merged.before), (merged.new_room, merged.after)):
        assert "is yours" in each.enter(user).page.text


def test_people_who_are_linked_already_are_not_linked_again(merged, make_room):  # noqa: F811
    third = make_room(mood="canvas")
    third.publish(badge())
    third.sync()
    other = third.person_id(third.students[0])
    merged.earn()
    merged.link()
    for person, same_as in ((merged.new, other), (merged.old, other), (merged.new, merged.old)):
        with pytest.raises(Conflict):
            people.link(merged.tool, person, same_as, actor=ACTOR, now=now())
    # a third id goes to the same person, by whichever of the two it is linked
    people.link(merged.tool, other, merged.new, actor=ACTOR, now=now())
    with merged.tool.db.read() as session:
        assert session.get_one(Person, other).same_as_id == merged.old
