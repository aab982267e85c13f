"""What instructors do with awards: several at once, held, given by hand, issued again, reviewed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import requests
import time_machine
from sqlalchemy import select

from lti_tool.errors import BadInput, Conflict
from lti_tool.models import AuditEvent, Award, Edition, Person, Review
from lti_tool.services import award_acts, by_hand, editions
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

ACTOR = "operator"


@pytest.fixture
def earned(room):  # noqa: F811
    """A course whose first student has earned the badge and whose second has not."""
    room.publish(badge())
    room.grade(room.students[0], 4, 3)
    room.grade(room.students[1], 3, 2)
    room.sync()
    return room


def path(room, rest: str = "") -> str:  # noqa: F811
    return f"badges/{room.badge.slug}/awards{rest}"


def badge_id(room) -> str:  # noqa: F811
    with room.tool.db.read() as session:
        return room.course_badge(session).id


def stored(room, award_id: str) -> Award:  # noqa: F811
    with room.tool.db.read() as session:
        return session.get_one(Award, award_id)


def editions_of(room, award_id: str) -> list[Edition]:  # noqa: F811
    with room.tool.db.read() as session:
        return list(session.scalars(select(Edition).where(Edition.award_id == award_id).order_by(Edition.number)))


def told(room, action: str) -> list[dict]:  # noqa: F811
    """What the audit log keeps of an action in this course."""
    ids = {f"award:{each['id']}" for each in room.awards()} | {f"badge:{badge_id(room)}"}
    with room.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)
        return [event.detail for event in session.scalars(query) if event.subject in ids]


def claim(room, student) -> None:  # noqa: F811
    room.enter(student).post(f"badges/{room.badge.slug}/claim", {"public": "yes"})


# -- several at once


def test_those_ticked_are_confirmed_and_no_others(make_room):  # noqa: F811
    room = make_room(students=3)  # noqa: F811
    room.publish(badge(rows=1, award="review"))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    ids = [room.award(student)["id"] for student in room.students]
    done = room.page.post(path(room, "/confirm"), {"ticked": "yes", "award": ids[:2], "shown": ids})
    assert "2 awards are confirmed" in done.text
    assert [room.award(student)["status"] for student in room.students] == ["issued", "issued", "review"]
    again = room.page.post(path(room, "/confirm"), {"ticked": "yes", "award": ids[1:]})
    assert "1 award is confirmed" in again.text and "Decided by somebody else before" in again.text
    assert "Nothing was ticked" in room.page.post(path(room, "/confirm"), {"ticked": "yes"}).text
    assert [each["before"] for each in told(room, "award.confirmed")] == ["review"] * 3


def test_several_are_withdrawn_for_one_reason_and_the_later_of_two_instructors_is_told(make_room):  # noqa: F811
    room = make_room(students=3)  # noqa: F811
    room.publish(badge(rows=1))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    ids = [room.award(student)["id"] for student in room.students]
    asked = room.page.post(path(room, "/revoke"), {"ticked": "yes", "award": ids[:2]})
    assert "Withdraw 2 badges?" in asked.text and room.award(room.students[0])["status"] == "issued"
    empty = room.page.post(path(room, "/revoke"), {"award": ids[:2], "reason": " "})
    assert empty.status_code == 409 and "Say why" in empty.text
    first = room.page.post(path(room, "/revoke"), {"award": ids[:2], "reason": "The wrong list."})
    assert "2 awards are withdrawn" in first.text
    later = room.page.post(path(room, "/revoke"), {"award": ids, "reason": "Once more."})
    assert "1 award is withdrawn" in later.text and "Decided by somebody else before" in later.text
    assert [room.award(student)["revocation_reason"] for student in room.students] == [
        "The wrong list.",
        "The wrong list.",
        "Once more.",
    ]
    assert "The wrong list." in room.enter(room.students[0]).get(f"badges/{room.badge.slug}").text
    assert room.run("sync", str(room.id)).outcome.get("awards", 0) == 0  # H10


def test_D08_an_award_of_another_course_is_not_touched_by_a_form_that_names_it(make_room):  # noqa: F811
    mine, other = make_room(), make_room()
    for each in (mine, other):
        each.publish(badge(rows=1, award="review"))
        each.grade(each.students[0], 3)
        each.sync()
    theirs = other.award()["id"]
    assert mine.page.post(path(mine, "/confirm"), {"award": [mine.award()["id"], theirs]}).status_code == 404
    assert mine.page.post(path(mine, "/revoke"), {"award": theirs, "reason": "Mine."}).status_code == 404
    for act in ("hold", "reissue"):
        assert mine.page.get(path(mine, f"/{theirs}/{act}")).status_code == 404
    assert (mine.award()["status"], other.award()["status"]) == ("review", "review")


# -- held


def test_one_is_held_with_a_reason_and_let_go_by_hand(earned):
    award = earned.award()
    held = earned.page.post(path(earned, f"/{award['id']}/hold"), {"reason": "A second opinion.", "when": "hand"})
    assert "is held" in held.text and "A second opinion." in held.text
    first = editions_of(earned, award["id"])
    assert earned.award()["status"] == "held" and first[0].withdrawn_at is not None
    assert "waits for your teacher" in earned.enter(earned.students[0]).page.text
    assert award_acts.release_due(earned.tool, now() + timedelta(days=400)) == 0
    award_acts.release(earned.tool, badge_id(earned), actor=ACTOR, now=now())
    assert earned.award()["status"] == "held"  # what is released to all leaves alone what is held one by one
    done = earned.page.post(path(earned, f"/{award['id']}/confirm"))
    assert "is issued" in done.text and earned.award()["status"] == "issued"
    old, new = editions_of(earned, award["id"])
    assert (old.number, new.number) == (1, 2) and old.id != new.id and new.withdrawn_at is None
    assert old.status_index != new.status_index and new.signed_at is not None
    assert told(earned, "award.held") == [
        {"before": "issued", "after": "held", "reason": "A second opinion.", "until": None}
    ]


def test_one_held_until_a_moment_is_issued_when_it_has_come(earned):
    award = earned.award()["id"]
    soon = (now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%MZ")
    form = {"reason": "Until the ceremony.", "when": "at", "until": soon}
    earned.page.post(path(earned, f"/{award}/hold"), form)
    assert award_acts.release_due(earned.tool, now() + timedelta(hours=1)) == 0
    assert award_acts.release_due(earned.tool, now() + timedelta(hours=3)) == 1
    editions.sign_pending(earned.tool, earned.id)
    assert (earned.award()["status"], stored(earned, award).held_reason) == ("issued", None)


def test_one_held_before_anybody_confirmed_it_waits_for_that_again(make_room):  # noqa: F811
    room = make_room()  # noqa: F811
    room.publish(badge(rows=1, award="review"))
    for student in room.students:
        room.grade(student, 3)
    room.sync()
    first, second = (room.award(student)["id"] for student in room.students)
    assert "it waits for that again" in room.page.get(path(room, f"/{first}/hold")).text
    soon = (now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%MZ")
    for each in (first, second):
        room.page.post(path(room, f"/{each}/hold"), {"reason": "A second opinion.", "when": "at", "until": soon})
    room.page.post(path(room, f"/{second}/confirm"))  # let go by hand: somebody has confirmed it
    assert room.award(room.students[1])["status"] == "issued" and stored(room, second).confirmed_at is not None
    assert award_acts.release_due(room.tool, now() + timedelta(hours=3), room.id) == 0
    again = stored(room, first)
    assert (again.status, again.held_reason, again.confirmed_at) == ("review", None, None)
    award_acts.confirm(room.tool, first, actor=ACTOR, now=now())
    soon_again = now() + timedelta(hours=2)
    award_acts.hold(room.tool, badge_id(room), first, "Not yet.", soon_again, actor=ACTOR, now=now())
    assert award_acts.release_due(room.tool, now() + timedelta(hours=3), room.id) == 1  # and once is enough


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"reason": " ", "when": "hand"}, "Say why it is held"),
        ({"reason": "x", "when": "at", "until": "2020-01-01T00:00Z"}, "This moment has passed"),
        ({"reason": "Kept what I typed", "when": "at", "until": ""}, "Choose a day and a time"),
        ({"reason": "In no zone", "when": "at", "until": "2099-01-01T08:00"}, "Written with its zone"),
    ],
)
def test_a_hold_that_cannot_be_says_so_and_keeps_what_was_typed(earned, form, sentence):
    answer = earned.page.post(path(earned, f"/{earned.award()['id']}/hold"), form)
    assert answer.status_code == 400 and sentence in answer.text and form["reason"].strip() in answer.text
    assert earned.award()["status"] == "issued"


def test_a_badge_that_its_learner_has_claimed_cannot_be_held(earned):
    claim(earned, earned.students[0])
    answer = earned.page.post(path(earned, f"/{earned.award()['id']}/hold"), {"reason": "Late.", "when": "hand"})
    assert answer.status_code == 409 and earned.award()["status"] == "issued"
    award = earned.award()["id"]
    with earned.tool.db.write() as session:  # issued again, and not signed yet
        session.get_one(Award, award).status = "pending"
    with pytest.raises(Conflict, match="has this badge already"):
        award_acts.hold(earned.tool, badge_id(earned), award, "Late.", None, actor=ACTOR, now=now())
    assert "cannot be held any more" in earned.page.get(path(earned, f"/{award}/hold")).text


def test_a_release_can_be_set_for_a_moment_and_unset(room):  # noqa: F811
    room.publish(badge(rows=1, release="held"))
    room.grade(room.students[0], 3)
    room.sync()
    soon = (now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%MZ")
    release = f"badges/{room.badge.slug}/release"
    assert "The moment of the release is set" in room.page.post(release, {"when": "at", "at": soon}).text
    room.sync()
    assert room.award()["status"] == "held"
    assert "waits for your word" in room.page.post(release, {"when": "hand"}).text
    assert award_acts.release_due(room.tool, now() + timedelta(hours=3), room.id) == 0
    room.page.post(release, {"when": "at", "at": soon})
    with time_machine.travel(now() + timedelta(hours=3), tick=True):
        assert award_acts.release_due(room.tool, now(), room.id) == 1
    assert len(told(room, "badge.release_set")) == 3
    again = room.page.post(release, {"when": "at", "at": "soon <"})
    assert again.status_code == 400 and 'name="at" value="soon &lt;"' in again.text


# -- H18: given by hand


def give(room, student, note: str = "Gave the keynote.", **form: str) -> requests.Response:  # noqa: F811
    data = {"person": room.person_id(student), "note": note, "levels": "stand", **form}
    return room.page.post(path(room, "/give"), data)


def test_H18_a_badge_given_by_hand_needs_a_note_and_says_in_its_credential_that_a_person_gave_it(earned):
    student = earned.students[1]
    page = earned.page.get(path(earned, f"/give?person={earned.person_id(student)}")).text
    assert "They do not reach the badge" in page
    refused = give(earned, student, " ")
    assert refused.status_code == 400 and "Write what the award rests on" in refused.text
    assert earned.awards(student) == []
    assert "has the badge now" in give(earned, student, "Gave the keynote.\nJudged by two teachers.").text
    claim(earned, student)
    award = earned.award(student)
    document = requests.get(f"{award['credential_url']}.json", timeout=10).json()
    (evidence,) = document["evidence"]
    assert evidence["genre"] == editions.MANUAL and evidence["type"] == ["Evidence"]
    assert evidence["narrative"] == "Gave the keynote.\nJudged by two teachers."
    assert "result" not in document["credentialSubject"]  # her levels do not reach it: the credential claims none
    listed = earned.page.get(path(earned)).text
    assert "Given by hand" in listed and "Judged by two teachers." in listed
    assert told(earned, "award.given") == [
        {"before": "", "after": "pending", "how": "hand", "levels": {"sub-competency:A": "Proficient",
                                                                      "sub-competency:B": "Developing"}}
    ]  # fmt: skip
    # The grades never carried it, and do not doubt it either.
    earned.grade(student, 1, 1)
    assert earned.sync().outcome["reviews"] == 0 and earned.award(student)["status"] == "issued"


def test_H18_levels_that_an_instructor_chose_stand_in_the_credential(earned):
    student = earned.students[1]
    low = {"levels": "chosen", "level:sub-competency:A": "Advanced", "level:sub-competency:B": "Developing"}
    refused = give(earned, student, "Kept text", **low)
    assert refused.status_code == 400 and "do not reach the badge" in refused.text and "Kept text" in refused.text
    odd = give(earned, student, **{**low, "level:sub-competency:B": "Heroic"})
    assert odd.status_code == 400 and earned.awards(student) == []
    assert give(earned, student, **{**low, "level:sub-competency:B": "Proficient"}).status_code == 200
    claim(earned, student)
    document = requests.get(f"{earned.award(student)['credential_url']}.json", timeout=10).json()
    assert [result["value"] for result in document["credentialSubject"]["result"]] == ["4", "3"]
    (row, _) = earned.shown(earned.award(student)["id"])["decision"]["rows"]
    assert (row["source"], row["score"], row["reached"]) == ("hand", "", "Advanced")


def test_H18_nobody_gets_a_badge_twice_by_a_double_click_or_two_instructors(earned):
    student = earned.students[1]
    person = earned.person_id(student)
    done = at_once(
        *[
            lambda: by_hand.give(
                earned.tool, earned.id, earned.badge.slug, person, "Note.", levels=None, actor=ACTOR, now=now()
            )
        ]
        * 3
    )
    assert sum(isinstance(each, str) for each in done) == 1
    assert sum(isinstance(each, Conflict) for each in done) == 2
    assert len(earned.awards(student)) == 1
    late = give(earned, student)
    assert late.status_code == 409 and "has this badge already" in late.text


def test_H18_only_learners_of_the_course_can_be_given_a_badge(earned):
    test_student = earned.lms.add_user(earned.course, "student")
    earned.sync()
    with earned.tool.db.write() as session:
        session.get_one(Person, earned.person_id(test_student)).test_user = True
    assert give(earned, test_student).status_code == 409
    assert give(earned, earned.teacher).status_code == 409
    assert earned.page.post(path(earned, "/give"), {"person": "nobody", "note": "x"}).status_code == 404
    assert len(earned.awards()) == 1


def test_H18_a_badge_given_by_hand_keeps_to_the_release_and_comes_back_after_a_withdrawal(room):  # noqa: F811
    room.publish(badge(rows=1, release="held"))
    room.sync()
    student = room.students[0]
    assert "once it is released" in give(room, student).text
    assert room.award(student)["status"] == "held"
    award_acts.revoke(room.tool, room.award(student)["id"], "A slip.", actor=ACTOR, now=now())
    room.page.post(f"badges/{room.badge.slug}/release")
    give(room, student)
    assert [each["status"] for each in room.awards(student)] == ["revoked", "issued"]


def test_the_note_of_a_badge_given_by_hand_stays_out_where_pages_are_public_from_the_start(earned):
    kept = earned.tool.settings
    open_pages = kept.privacy.model_copy(update={"claim": "automatic"})
    earned.tool.settings = kept.model_copy(update={"privacy": open_pages})
    try:
        give(earned, earned.students[1], "She was ill, and showed it later.")
    finally:
        earned.tool.settings = kept
    claim(earned, earned.students[1])
    document = requests.get(f"{earned.award(earned.students[1])['credential_url']}.json", timeout=10).json()
    assert "narrative" not in document["evidence"][0] and document["evidence"][0]["genre"] == editions.MANUAL


# -- H11: issued again


def reissue(room, award_id: str, reason: str = "Entered wrong.", seal: str = "") -> requests.Response:  # noqa: F811
    page = room.page.get(path(room, f"/{award_id}/reissue")).text
    found = re.search(r'name="seal" value="([0-9a-f]+)"', page)
    form = {"reason": reason, "seal": seal or (found[1] if found else "")}
    return room.page.post(path(room, f"/{award_id}/reissue"), form)


def test_H11_a_corrected_grade_is_issued_again_under_a_new_id_and_the_old_says_replaced(earned):
    claim(earned, earned.students[0])
    award = earned.award()
    before = award["credential_url"]
    earned.grade(earned.students[0], 3, 3)
    assert earned.sync().outcome["reviews"] == 1  # Advanced became Proficient: still earned, and no longer true
    page = earned.page.get(path(earned, f"/{award['id']}/reissue")).text
    assert "Advanced (4 of 4)" in page and "Proficient (3 of 4)" in page
    assert "is replaced by a new one" in reissue(earned, award["id"]).text
    fresh = earned.award()
    assert fresh["credential_url"] != before and fresh["status"] == "issued" and fresh["claimed_at"]
    assert fresh["issued_at"] == award["issued_at"]
    old, new = editions_of(earned, award["id"])
    assert old.withdrawn_at is not None and new.withdrawn_at is None and old.salt != new.salt
    assert old.decision["rows"][0]["reached"] == "Advanced"
    results = requests.get(f"{fresh['credential_url']}.json", timeout=10).json()["credentialSubject"]["result"]
    assert [result["value"] for result in results] == ["3", "3"]
    told_old = requests.get(before, timeout=10)
    assert told_old.status_code == 200 and "replaced" in told_old.text and fresh["credential_url"] in told_old.text
    with earned.tool.db.read() as session:
        (review,) = session.scalars(select(Review).where(Review.award_id == award["id"]))
    assert review.resolution == "reissued"
    (entry,) = told(earned, "award.reissued")
    assert entry["before"]["levels"]["sub-competency:A"] == "Advanced"
    assert entry["after"]["levels"]["sub-competency:A"] == "Proficient"


def test_H11_a_corrected_name_stands_in_the_new_credential_where_the_old_one_had_a_name(earned):
    award = earned.award()["id"]
    with earned.tool.db.write() as session:
        edition = session.scalars(select(Edition).where(Edition.award_id == award)).one()
        edition.choices = {"name": "Anna Wrong"}
        session.get_one(Person, earned.person_id(earned.students[0])).name = "Ana Right"
    assert "Anna Wrong" in earned.page.get(path(earned, f"/{award}/reissue")).text
    reissue(earned, award)
    claim(earned, earned.students[0])
    document = requests.get(f"{earned.award()['credential_url']}.json", timeout=10).json()
    assert document["credentialSubject"]["identifier"][0]["identityHash"] == "Ana Right"


def test_H11_what_is_issued_again_is_what_was_shown_and_only_once(earned):
    award = earned.award()["id"]
    page = earned.page.get(path(earned, f"/{award}/reissue")).text
    seal = re.search(r'name="seal" value="([0-9a-f]+)"', page)[1]
    assert reissue(earned, award, " ", seal).status_code == 400
    reissue(earned, award, seal=seal)
    again = reissue(earned, award, seal=seal)
    assert again.status_code == 409 and "Something has changed" in again.text
    assert len(editions_of(earned, award)) == 2
    earned.grade(earned.students[0], 3, 1)
    earned.sync()
    gone = earned.page.get(path(earned, f"/{award}/reissue")).text
    assert "do not earn the badge any more" in gone and 'name="seal"' not in gone
    assert reissue(earned, award, seal=seal).status_code == 409


def test_H06_a_lowered_or_deleted_grade_can_be_kept_once_and_the_later_instructor_is_told(earned):
    earned.grade(earned.students[0], None, 3)
    assert earned.sync().outcome["reviews"] == 1
    award = earned.award()["id"]
    assert "Issue again" in earned.page.get(path(earned)).text
    assert "keeps the badge" in earned.page.post(path(earned, f"/{award}/review")).text
    late = earned.page.post(path(earned, f"/{award}/review"))
    assert late.status_code == 409 and "decided this one already" in late.text
    assert len(told(earned, "award.kept")) == 1
    earned.grade(earned.students[0], 4, 3)  # H07
    assert earned.sync().outcome.get("reviews", 0) == 0


def test_H13_somebody_who_has_left_keeps_the_badge_and_is_given_none(earned):
    for student in earned.students:
        earned.course.enrolments.pop(student.id, None)
        earned.lms.course(earned.course.id).enrolments.pop(student.id, None)
    earned.sync()
    assert earned.award()["status"] == "issued"
    assert give(earned, earned.students[1]).status_code == 409


def test_an_act_without_its_reason_is_refused_below_the_pages_too(earned):
    with pytest.raises(BadInput):
        award_acts.hold(earned.tool, badge_id(earned), earned.award()["id"], "", None, actor=ACTOR, now=now())
    with pytest.raises(BadInput):
        award_acts.revoke_many(earned.tool, badge_id(earned), [earned.award()["id"]], " ", actor=ACTOR, now=now())
