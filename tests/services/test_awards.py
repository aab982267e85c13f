"""The life of an award: given once, signed once, shown as its learner chose, taken back for good."""

from __future__ import annotations

import base64
import gzip
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
import time_machine
from sqlalchemy import func, select, update
from sqlalchemy.orm import undefer

from lti_tool.errors import Conflict
from lti_tool.models import AuditEvent, Award, Course, CourseBadge, Edition, Mastery, Person, Review
from lti_tool.services import award_acts, awards, editions, sync, words
from tests.classroom import at_once, badge, levels, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now


@pytest.fixture
def earned(room):  # noqa: F811
    """A course with a published badge that its first student has earned and the second has not."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.grade(room.students[1], 3, 2)
    room.sync()
    return room


def edition_of(room, award_id: str) -> Edition:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == award_id)
        return session.scalars(query.options(undefer(Edition.document), undefer(Edition.jwt))).one()


def reviews(room, award_id: str) -> list[Review]:  # noqa: F811
    with room.tool.db.read() as session:
        return list(session.scalars(select(Review).where(Review.award_id == award_id).order_by(Review.id)))


def bit(scene: Scene, edition: Edition) -> int:
    """Read an edition's bit as a stranger does: fetch the list, unpack it, count from the left."""
    document = requests.get(f"{scene.url}/status/{edition.status_list_id}", timeout=10).json()
    encoded = document["credentialSubject"]["encodedList"].removeprefix("u")
    packed = gzip.decompress(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return packed[edition.status_index // 8] >> (7 - edition.status_index % 8) & 1


def revoke(room, award: dict, reason: str = "Given by mistake.") -> requests.Response:  # noqa: F811
    return room.page.post(f"badges/{room.badge.slug}/awards/{award['id']}/revoke", {"reason": reason})


def evaluate_again(room) -> None:  # noqa: F811
    """Sync with the short cut for an unchanged class switched off, as after a change of somebody else's grade."""
    with room.tool.db.write() as session:
        session.execute(update(CourseBadge).where(CourseBadge.course_id == room.id).values(evaluated=None))
    assert room.sync().state == "done"


# -- given once


def test_H01_the_same_sync_twice_gives_one_award(earned):
    evaluate_again(earned)
    evaluate_again(earned)
    assert len(earned.awards()) == 1


def test_H02_two_workers_at_the_same_moment_give_one_award(room):  # noqa: F811
    room.publish(badge())
    for student in room.students:
        room.grade(student, 3, 3)
    outcomes = at_once(*[lambda: sync.run_sync(room.tool, str(room.id), lambda line: None)] * 4)
    assert [o for o in outcomes if isinstance(o, Exception)] == []
    assert len(room.awards()) == 2
    assert sum(outcome.get("awards", 0) for outcome in outcomes) == 2
    with room.tool.db.read() as session:
        ids = [each["id"] for each in room.awards()]
        assert session.scalar(select(func.count()).select_from(Edition).where(Edition.award_id.in_(ids))) == 2


def test_H02_awards_written_at_once_and_in_any_order_are_written_once(make_room):  # noqa: F811
    """Straight at the table: the partial UNIQUE index decides, nobody waits for somebody who waits for her."""
    room, count = make_room(), 400  # noqa: F811
    room.publish(badge())
    with room.tool.db.write() as session:
        registration = session.get_one(Course, room.id).registration_id
        made = [
            Person(registration_id=registration, sub=f"h02-{n}", subject_id=f"urn:h02:{room.id}:{n}", created_at=now())
            for n in range(count)
        ]
        session.add_all(made)
        session.flush()
        people = [person.id for person in made]
        version = room.course_badge(session).version
        row = {
            "achievement_id": version.achievement_id,
            "version_id": version.id,
            "course_badge_id": room.course_badge(session).id,
            "course_id": room.id,
            "scope": f"course:{room.id}",
            "status": "pending",
            "decision": {"version": 1, "rule": "all", "rows": []},
            "earned_at": now(),
        }

    def give(order):
        def work():
            with room.tool.db.write() as session:
                return awards.give(session, [{**row, "person_id": p} for p in order], now())

        return work

    given = at_once(*(give(order) for order in (people, people[::-1], people[200:] + people[:200])))
    assert [g for g in given if isinstance(g, Exception)] == []
    assert sum(given) == count
    with room.tool.db.read() as session:
        found = list(session.scalars(select(Award).where(Award.course_id == room.id)))
        editions = list(session.scalars(select(Edition).join(Award).where(Award.course_id == room.id)))
        assert len(found) == len(editions) == count
        assert len({(e.status_list_id, e.status_index) for e in editions}) == count


def test_the_database_itself_refuses_a_second_live_award(earned):
    from sqlalchemy.exc import IntegrityError

    award = earned.award()
    with earned.tool.db.read() as session:
        row = session.get_one(Award, award["id"])
    second = {c.name: getattr(row, c.name) for c in Award.__table__.columns if c.name != "id"}
    with pytest.raises(IntegrityError), earned.tool.db.write() as session:
        session.add(Award(**second))


def test_H03_a_learner_whom_the_roster_names_twice_has_one_award(room):  # noqa: F811
    """Two sections of one course: NRPS may list her once for each."""
    room.publish(badge())
    student = room.students[0]
    room.grade(student, 3, 3)
    one = {"user_id": student.id, "roles": ["Learner"], "status": "Active"}
    room.lms.faults.on(
        "memberships",
        "status",
        status=200,
        content_type="application/vnd.ims.lti-nrps.v2.membershipcontainer+json",
        body={"id": "x", "context": {"id": room.course.id}, "members": [one, one]},
    )
    assert room.sync().state == "done"
    assert len(room.awards()) == 1


@pytest.mark.parametrize(("once", "count"), [("course", 2), ("person", 1)])
def test_H04_the_same_badge_in_two_courses_is_given_as_it_says(make_room, once, count):  # noqa: F811
    first, second = make_room(), make_room()
    student = first.students[0]
    second.lms.enrol(second.course, student)
    definition = badge(once=once)
    for each in (first, second):
        each.publish(definition)
        each.grade(student, 3, 3)
        each.sync()
    assert len(first.awards(student) + second.awards(student)) == count
    home = second.enter(student)
    assert "Careful Work is yours" in home.page.text  # in the other course she sees that she has it


@pytest.mark.parametrize(("before", "after"), [("course", "person"), ("person", "course")])
@pytest.mark.parametrize("revoked", [False, True])
def test_H04_saying_otherwise_how_often_it_can_be_had_gives_nobody_the_badge_again(room, before, after, revoked):  # noqa: F811
    room.publish(badge(once=before))
    room.grade(room.students[0], 3, 3)
    room.sync()
    if revoked:
        revoke(room, room.award())
    room.put(replace(room.badge, once=after))
    plan = room.page.get(f"badges/{room.badge.slug}/setup").text
    room.publish_again()
    evaluate_again(room)
    assert [each["status"] for each in room.awards()] == ["revoked" if revoked else "issued"], plan
    # and one who had it nowhere gets it
    room.grade(room.students[1], 3, 3)
    room.sync()
    assert room.award(room.students[1])["status"] == "issued"


def test_H04_once_said_to_be_had_once_for_all_courses_what_another_course_gave_counts(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    student = first.students[0]
    second.lms.enrol(second.course, student)
    definition = badge()
    for each in (first, second):
        each.publish(definition)
    first.grade(student, 3, 3)
    first.sync()
    for each in (first, second):
        each.publish(replace(definition, once="person"))
    second.grade(student, 4, 4)
    second.sync()
    assert second.awards(student) == [] and len(first.awards(student)) == 1
    assert "Careful Work is yours" in second.enter(student).page.text


def test_a_manual_grade_of_somebody_elses_course_changes_nothing_here(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    second.lms.enrol(second.course, first.students[0])
    for each in (first, second):
        each.publish(badge())
    second.grade(first.students[0], 4, 4)
    first.sync()
    second.sync()
    assert first.awards() == [] and len(second.awards()) == 1


# -- a grade changes afterwards


def test_H06_a_lowered_grade_opens_a_review_and_changes_nothing(earned):
    award = earned.award()
    earned.grade(earned.students[0], 3, 1)
    assert earned.sync().outcome["reviews"] == 1
    assert earned.award()["status"] == "issued"
    assert bit(earned.scene, edition_of(earned, award["id"])) == 0
    assert "1 of 2. Missing: Row B" in reviews(earned, award["id"])[0].reason
    assert "Needs review" in earned.page.get(f"badges/{earned.badge.slug}/awards").text
    evaluate_again(earned)
    assert len(reviews(earned, award["id"])) == 1


def test_H06_a_deleted_grade_opens_a_review(earned):
    earned.grade(earned.students[0], None, None)
    assert earned.sync().outcome["reviews"] == 1
    assert earned.award()["status"] == "issued"


def test_H07_a_grade_that_goes_up_again_settles_the_review_and_gives_nothing_new(earned):
    award = earned.award()
    earned.grade(earned.students[0], 3, 1)
    earned.sync()
    earned.grade(earned.students[0], 3, 4)
    assert earned.sync().outcome["restored"] == 1
    assert [r.resolution for r in reviews(earned, award["id"])] == ["restored"]
    assert earned.award()["id"] == award["id"]


def test_a_review_that_a_person_closed_is_not_opened_again_for_the_same_reason_but_for_another(earned):
    award = earned.award()
    earned.grade(earned.students[0], 3, 1)
    earned.sync()
    kept = earned.page.post(f"badges/{earned.badge.slug}/awards/{award['id']}/review")
    assert kept.status_code == 200 and "Needs review" not in kept.text
    evaluate_again(earned)
    assert [r.resolution for r in reviews(earned, award["id"])] == ["kept"]
    earned.grade(earned.students[0], 1, 1)
    earned.sync()
    assert [r.resolution for r in reviews(earned, award["id"])] == ["kept", None]


# -- taken back


def test_H08_revoking_sets_the_status_bit_within_the_same_request_and_says_so_everywhere(earned):
    award = earned.award()
    edition = edition_of(earned, award["id"])
    student = earned.enter(earned.students[0])
    student.post(f"badges/{earned.badge.slug}/claim", {"public": "yes"})
    assert bit(earned.scene, edition) == 0
    done = revoke(earned, award, "Wrong <b>person</b>.")
    assert done.status_code == 200 and "Withdrawn" in done.text
    assert bit(earned.scene, edition) == 1
    page = requests.get(award["credential_url"], timeout=10)
    assert page.status_code == 200 and "Wrong &lt;b&gt;person&lt;/b&gt;." in page.text
    checked = requests.post(f"{earned.scene.url}/verify", data={"text": award["credential_url"]}, timeout=20)
    assert "Do not rely on this one" in checked.text
    assert "was taken back" in student.get("").text
    row = earned.shown(award["id"])
    assert (row["status"], row["revocation_reason"]) == ("revoked", "Wrong <b>person</b>.")
    with earned.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.subject == f"award:{award['id']}").order_by(AuditEvent.id)
        acts = list(session.scalars(query))
    assert acts[-1].action == "award.revoked" and acts[-1].actor.startswith("person:")


def test_H08_only_the_bit_of_the_one_that_was_revoked_is_set(earned):
    earned.grade(earned.students[1], 3, 3)
    earned.sync()
    first, second = earned.awards()
    revoke(earned, first)
    assert (
        bit(earned.scene, edition_of(earned, first["id"])),
        bit(earned.scene, edition_of(earned, second["id"])),
    ) == (1, 0)


@pytest.mark.parametrize("reason", ["", "   \n"])
def test_H08_without_a_reason_nothing_is_revoked(earned, reason):
    done = revoke(earned, earned.award(), reason)
    assert done.status_code == 409 and "Say why" in done.text
    assert earned.award()["status"] == "issued"


def test_H08_what_was_revoked_cannot_be_revoked_claimed_or_confirmed(earned):
    award = earned.award()
    revoke(earned, award)
    assert revoke(earned, award, "Again").status_code == 409
    assert earned.shown(award["id"])["revocation_reason"] == "Given by mistake."
    student = earned.enter(earned.students[0])
    assert student.get(f"badges/{earned.badge.slug}/claim").status_code == 404
    confirmed = earned.page.post(f"badges/{earned.badge.slug}/awards/{award['id']}/confirm")
    assert confirmed.status_code == 409


def test_H10_the_same_grades_do_not_give_back_what_a_person_revoked(earned):
    revoke(earned, earned.award())
    evaluate_again(earned)
    earned.grade(earned.students[0], 4, 4)
    earned.sync()
    assert earned.award()["status"] == "revoked"


def test_H11_a_second_signing_of_the_same_award_is_no_second_credential(earned):
    """Not yet: an edition with a corrected name comes with the student's issue."""
    award = earned.award()
    assert editions.sign_pending(earned.tool, earned.id) == 0
    assert edition_of(earned, award["id"]).number == 1


def test_H13_a_learner_who_left_keeps_an_award_that_verifies(earned):
    award = earned.award()
    student = earned.enter(earned.students[0])
    student.post(f"badges/{earned.badge.slug}/claim", {"public": "yes"})
    earned.lms.unenrol(earned.course, earned.students[0])
    earned.sync()
    assert earned.award()["status"] == "issued"
    checked = requests.post(f"{earned.scene.url}/verify", data={"text": award["credential_url"]}, timeout=20)
    assert "Genuine and in force" in checked.text


# -- confirmed and released


def test_an_award_that_a_person_confirms_waits_without_a_credential_and_is_then_issued(room):  # noqa: F811
    room.publish(badge(award="review"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award = room.award()
    assert (award["status"], award["credential_url"], award["issued_at"]) == ("review", None, None)
    assert "waits for you" in room.page.get("").text
    student = room.enter(room.students[0])
    assert "Your teacher looks at it" in student.page.text
    room.page.post(f"badges/{room.badge.slug}/awards/{award['id']}/confirm")
    assert room.award()["status"] == "issued" and room.award()["credential_url"]
    assert "Careful Work is yours" in student.get("").text
    again = room.page.post(f"badges/{room.badge.slug}/awards/{award['id']}/confirm")
    assert again.status_code == 409


def test_an_award_confirmed_many_times_at_once_is_issued_once(room):  # noqa: F811
    room.publish(badge(award="review"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award = room.award()
    done = at_once(*[lambda: award_acts.confirm(room.tool, award["id"], actor="operator", now=now())] * 6)
    assert sorted(map(str, done), key=len)[0] == "pending"
    assert sum(isinstance(d, Conflict) for d in done) == 5, done
    assert edition_of(room, award["id"]).number == 1


def test_an_award_confirmed_and_revoked_at_once_ends_revoked_or_refused_and_never_both(room):  # noqa: F811
    room.publish(badge(award="review"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award = room.award()
    at_once(
        lambda: award_acts.confirm(room.tool, award["id"], actor="operator", now=now()),
        lambda: award_acts.revoke(room.tool, award["id"], "No.", actor="operator", now=now()),
    )
    editions.sign_pending(room.tool)
    assert room.award()["status"] == "revoked"
    with room.tool.db.read() as session:
        for edition in session.scalars(select(Edition).where(Edition.award_id == award["id"])):
            assert edition.withdrawn_at is not None


SECRETS = (
    "You have",
    "3 of 4",
    "Your level:",
    "1 of 2 reached",
    "2 of 2 reached",
    "looks at it",
    "Next step",
    "is yours",
    "taken back",
)


def without_news(page) -> str:
    """Return a page's text but for what its learner is told of awards that have been issued to her, anywhere."""
    return re.sub(r'<section class="news.*?</section>', "", page.text, flags=re.S)


def assert_nothing_shows(student, slug: str) -> None:
    for page in (student.get(""), student.get(f"badges/{slug}")):
        assert page.status_code == 200
        assert [secret for secret in SECRETS if secret in without_news(page)] == []
    assert student.get(f"badges/{slug}/claim").status_code == 404


@pytest.mark.parametrize("mode", ["automatic", "review"])
def test_held_levels_and_awards_are_hidden_from_the_learner_until_they_are_released(room, mode):  # noqa: F811
    room.publish(badge(release="held", award=mode))
    room.grade(room.students[0], 3, 3)
    room.grade(room.students[1], 3, 1)
    room.sync()
    assert room.award()["status"] == {"automatic": "held", "review": "review"}[mode]
    earner, other = room.enter(room.students[0]), room.enter(room.students[1])
    assert_nothing_shows(earner, room.badge.slug)
    assert_nothing_shows(other, room.badge.slug)
    assert "Proficient" in room.page.get(f"badges/{room.badge.slug}").text  # the instructor sees what is held back
    if mode == "review":
        room.page.post(f"badges/{room.badge.slug}/awards/{room.award()['id']}/confirm")
        assert room.award()["status"] == "held"
        assert_nothing_shows(earner, room.badge.slug)
    room.page.post(f"badges/{room.badge.slug}/release")
    assert room.award()["status"] == "issued"
    assert "Careful Work is yours" in earner.get("").text
    assert "You have 1 of 2" in other.get("").text


def test_a_timed_release_shows_levels_and_issues_awards_at_its_time_and_not_before(room):  # noqa: F811
    moment = now() + timedelta(minutes=30)
    room.publish(badge(release=moment.isoformat()))
    room.grade(room.students[0], 3, 3)
    room.sync()
    told = room.page.get(f"badges/{room.badge.slug}/awards").text
    assert f" until {words.moment(moment)}. You can release it sooner." in told
    student = room.enter(room.students[0])
    assert_nothing_shows(student, room.badge.slug)
    assert award_acts.release_due(room.tool, now()) == 0
    with time_machine.travel(moment + timedelta(minutes=1), tick=True):
        assert award_acts.release_due(room.tool, now(), room.id) == 1
        editions.sign_pending(room.tool)
        award = room.award()
        assert award["status"] == "issued" and datetime.fromisoformat(award["issued_at"]) >= moment
        assert "Careful Work is yours" in student.get("").text


@pytest.fixture
def lowered(room):  # noqa: F811
    """A course with an award that waits for its release, and whose grade was mended to a lower one meanwhile."""
    room.publish(badge(release="held"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.grade(room.students[0], 1, 1)
    room.sync()
    assert room.award()["status"] == "held" and [each.resolution for each in reviews(room, room.award()["id"])] == [
        None
    ]
    return room


def press_release(room, when: str) -> None:  # noqa: F811
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    at = now() + timedelta(minutes=1) if when == "at a moment" else None
    award_acts.release(room.tool, badge_id, actor="operator", now=now(), at=at)
    if at is not None:
        with room.tool.db.write() as session:
            session.get_one(CourseBadge, badge_id).released_at = now()


@pytest.mark.parametrize("when", ["now", "at a moment"])
def test_a_release_issues_nothing_that_the_grades_do_not_carry_any_more(lowered, when):
    award = lowered.award()
    press_release(lowered, when)
    award_acts.release_due(lowered.tool, now())
    assert lowered.award()["status"] == "held"
    assert lowered.sync().state == "done" and lowered.award()["status"] == "held"
    page = lowered.page.get(f"badges/{lowered.badge.slug}/awards").text
    assert "One waits for you." in page and "Keep the badge" in page
    lowered.page.post(f"badges/{lowered.badge.slug}/awards/{award['id']}/review")
    assert award_acts.release_due(lowered.tool, now()) == 1
    editions.sign_pending(lowered.tool)
    assert lowered.award()["status"] == "issued"


def test_a_held_award_whose_grade_goes_up_again_is_released_as_any(lowered):
    lowered.grade(lowered.students[0], 3, 3)
    lowered.sync()
    press_release(lowered, "now")
    editions.sign_pending(lowered.tool)
    assert lowered.award()["status"] == "issued"
    assert [each.resolution for each in reviews(lowered, lowered.award()["id"])] == ["restored"]


def test_a_held_award_that_is_revoked_before_its_release_tells_the_learner_nothing(room):  # noqa: F811
    room.publish(badge(release="held"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    revoke(room, room.award())
    assert_nothing_shows(room.enter(room.students[0]), room.badge.slug)


# -- ends


def test_an_award_ends_as_its_badge_says_and_is_earned_again_only_by_a_new_grade(room):  # noqa: F811
    room.publish(badge(expires_after="P1D"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award = room.award()
    ends = datetime.fromisoformat(award["expires_at"])
    assert ends - datetime.fromisoformat(award["issued_at"]) == timedelta(days=1)
    with room.tool.db.write() as session:
        past = now() - timedelta(hours=1)
        session.get_one(Award, award["id"]).expires_at = past
        for mastery in session.scalars(select(Mastery).where(Mastery.person_id == room.person_id(room.students[0]))):
            mastery.decided_at = past - timedelta(days=1)
    evaluate_again(room)
    assert len(room.awards()) == 1
    evaluate_again(room)
    assert len(room.awards()) == 1
    room.grade(room.students[0], 4, 3)
    room.sync()
    assert [each["status"] for each in room.awards()] == ["issued", "issued"]
    with room.tool.db.read() as session:
        assert sorted(a.live for a in session.scalars(select(Award).where(Award.course_id == room.id))) == [False, True]


@pytest.fixture
def over(make_room):  # noqa: F811
    """A course whose first student had a badge that ended an hour ago; nothing about her grades has changed since."""
    room = make_room()  # noqa: F811
    room.publish(badge(rows=3, expires_after="P1D", rule="any 2"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    with room.tool.db.write() as session:
        past = now() - timedelta(hours=1)
        session.get_one(Award, room.award()["id"]).expires_at = past
        hers = Mastery.person_id == room.person_id(room.students[0])
        session.execute(update(Mastery).where(hers).values(decided_at=past - timedelta(days=1)))
    evaluate_again(room)
    return room


def another_text(definition):
    return replace(definition, description="Works carefully!")


def another_row(definition):
    return replace(definition, sub_competencies=(*definition.sub_competencies, row("X")))


def other_levels(definition):
    first, *rest = definition.sub_competencies
    easier = replace(first, levels=levels(0.5, 1, 1.5, 4))
    return replace(definition, sub_competencies=(easier, *rest))


@pytest.mark.parametrize("change", [another_text, another_row, other_levels])
def test_a_change_of_the_badge_gives_nobody_again_what_is_over(over, change):
    before = over.badge
    for definition in (change(before), before):
        over.publish(definition)
        over.sync()
        assert len(over.awards(over.students[0])) == 1
    over.grade(over.students[0], 4)
    over.sync()
    assert len(over.awards(over.students[0])) == 2


def test_a_grade_that_was_taken_away_and_given_once_more_earns_again_what_is_over(over):
    for points in (None, None), (3, 3):
        over.grade(over.students[0], *points)
        over.sync()
    assert len(over.awards(over.students[0])) == 2


def test_a_grade_raised_while_a_badge_was_in_force_does_not_give_it_again_once_it_is_over(earned):
    earned.publish(replace(earned.badge, expires_after="P1D"))
    earned.grade(earned.students[0], 4, 4)
    earned.sync()
    with earned.tool.db.write() as session:
        session.get_one(Award, earned.award()["id"]).expires_at = now()
    earned.publish(another_text(earned.badge))
    evaluate_again(earned)
    assert len(earned.awards(earned.students[0])) == 1


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2026-12-31", "P2M", "2027-02-28"),
        ("2026-03-31", "P1M1D", "2026-05-01"),
        ("2026-11-22", "P3Y", "2029-11-22"),
        ("2026-11-22", "P90D", "2027-02-20"),
    ],
)
def test_a_duration_ends_on_the_day_people_expect(start, duration, end):
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert editions.after(begin, duration).date().isoformat() == end


# -- signed


KILLED = """
import os, signal, sys
from lti_tool.services import editions, sync
from lti_tool.services.tool import open_tool
from lti_tool.settings import load_settings
tool = open_tool(load_settings())
editions.sign_pending = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sync.run_sync(tool, sys.argv[1], print)
"""


def environment(scene: Scene) -> dict[str, str]:
    """The scene's settings as a process of its own reads them."""
    told = {}
    for section in (
        "server.base_url",
        "database.url",
        "database.revocations",
        "queue.url",
        "keys.dir",
        "network.allow_private",
    ):
        group, key = section.split(".")
        told[f"LTI_TOOL_{group}__{key}".upper()] = str(getattr(getattr(scene.settings, group), key))
    return {**os.environ, **told}


def test_J01_a_worker_killed_between_award_and_signature_loses_nothing(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(room.id)], env=environment(room.scene), capture_output=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    award = room.award()
    assert award["status"] == "pending"
    before = edition_of(room, award["id"])
    assert before.document is None
    assert editions.sign_pending(room.tool, room.id) == 1
    after = edition_of(room, award["id"])
    assert (after.id, after.status_index, after.salt, after.valid_from) == (
        before.id,
        before.status_index,
        before.salt,
        before.valid_from,
    )
    assert room.award()["status"] == "issued"
    assert editions.sign_pending(room.tool, room.id) == 0


def test_I04_signed_a_second_time_it_is_the_same_bytes(earned):
    award = earned.award()
    first = edition_of(earned, award["id"])
    with earned.tool.db.write() as session:
        session.execute(update(Edition).where(Edition.id == first.id).values(document=None, jwt=None, signed_at=None))
        session.execute(update(Award).where(Award.id == award["id"]).values(status="pending", issued_at=None))
    earned.tool.templates.clear()
    with time_machine.travel(now() + timedelta(days=1)):
        assert editions.sign_pending(earned.tool, earned.id) == 1
    second = edition_of(earned, award["id"])
    assert second.document == first.document and second.jwt == first.jwt
    assert earned.award()["issued_at"] == award["issued_at"]


def test_H08_what_is_revoked_while_it_waits_for_its_signature_stays_revoked(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    subprocess.run([sys.executable, "-c", KILLED, str(room.id)], env=environment(room.scene), capture_output=True)
    award = room.award()
    award_acts.revoke(room.tool, award["id"], "No.", actor="operator", now=now())
    assert editions.sign_pending(room.tool, room.id) == 0
    assert room.award()["status"] == "revoked"
    assert bit(room.scene, edition_of(room, award["id"])) == 1


def test_I11_status_indexes_are_unique_and_not_in_the_order_of_the_awards(make_room):  # noqa: F811
    room = make_room(students=8)  # noqa: F811
    room.publish(badge(rows=1))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    indexes = [edition_of(room, award["id"]).status_index for award in room.awards()]
    assert len(set(indexes)) == 8 and indexes != sorted(indexes)
    assert all(0 <= index < 131_072 for index in indexes) and max(indexes) > 5000


# -- who sees it


def test_I24_a_private_credential_and_one_that_is_none_answer_the_same(earned):
    url = earned.award()["credential_url"]
    for form in ("", ".json", ".jwt", ".png"):
        private, none = (requests.get(f"{u}{form}", timeout=10) for u in (url, url[:-8] + "0" * 8))
        assert (private.status_code, none.status_code) == (404, 404)
        assert stripped(private) == stripped(none)


def stripped(response: requests.Response) -> tuple[dict[str, str], str]:
    """What an answer tells, but for the error's number and the time."""
    import re

    headers = {k: v for k, v in response.headers.items() if k not in ("Date", "Content-Length", "X-Request-ID")}
    return headers, re.sub(r"[0-9A-F]{8}|\d+ \w+ \d{4}, \d\d:\d\d UTC", "", response.text)


def test_a_private_credential_opens_for_its_learner_and_her_instructor_and_nobody_else(earned, make_room):  # noqa: F811
    url = earned.award()["credential_url"].removeprefix(earned.scene.url)
    assert earned.enter(earned.students[0]).get(url).status_code == 200
    assert earned.enter(earned.teacher).get(url).status_code == 200
    assert earned.enter(earned.students[1]).get(url).status_code == 404
    other = make_room()
    assert other.enter(other.teacher).get(url).status_code == 404


def test_a_claimed_page_can_be_taken_down_and_put_up_again_and_stays_the_same_credential(earned):
    url, student = earned.award()["credential_url"], earned.enter(earned.students[0])
    claim = f"badges/{earned.badge.slug}/claim"
    student.post(claim, {"public": "yes"})
    first = requests.get(f"{url}.json", timeout=10)
    assert first.status_code == 200
    claimed_at = earned.award()["claimed_at"]
    student.post(claim, {})
    assert requests.get(f"{url}.json", timeout=10).status_code == 404
    student.post(claim, {"public": "yes"})
    assert requests.get(f"{url}.json", timeout=10).content == first.content
    assert earned.award()["claimed_at"] == claimed_at
