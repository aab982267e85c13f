"""What a learner lets her credential say: each on or off, changeable later, and never what she did not choose."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select

from lti_tool.credentials.verify import PASSED
from lti_tool.errors import BadInput, Conflict
from lti_tool.models import AuditEvent, Award, Course, Edition
from lti_tool.services import award_acts, checking, choices, editions, evidence, expiry
from lti_tool.services.choices import Choices
from lti_tool.services.evidence import Typed
from tests.classroom import LETTERS, badge, gate, last_days, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now

ACTOR = "operator"
DEFAULT = Choices(public=True)


@pytest.fixture
def earned(room):  # noqa: F811
    """A badge of two rows and a letter condition, earned by the first student with 3.4, 4 and an A."""
    rows = (row("A", source="rubric"), row("B"))
    room.publish(badge(sub_competencies=(replace(rows[0], source="column", evidence="required"), rows[1]),
                       gates=(gate("g", "letter", "B", scale=LETTERS),)))  # fmt: skip
    _enter(room)
    put(room, Typed("text", "What I did."))
    put(room, Typed("link", "", "https://video.example.edu/17?a=1&b=2"))
    room.grade(room.students[0], 3.4, 4, 95)
    room.sync()
    assert room.award()["status"] == "issued"
    return room


def put(room, typed: Typed, code: str = "A", **more: Any) -> str:  # noqa: F811
    """Hand in a piece of the first student's evidence."""
    person_id, tag = room.person_id(room.students[0]), f"sub-competency:{code}"
    told = {"submit": True, **more}
    return evidence.save(room.tool, room.id, room.badge.slug, person_id, tag, typed, now=now(), **told)


def _enter(room) -> str:  # noqa: F811
    room.enter(room.students[0])
    return room.person_id(room.students[0])


def choose(room, told: Choices, **more: Any) -> bool:  # noqa: F811
    return choices.choose(room.tool, room.award()["id"], told, actor=ACTOR, now=now(), **more)


def all_editions(room) -> list[Edition]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == room.award()["id"]).order_by(Edition.number)
        found = list(session.scalars(query))
        for each in found:
            _ = each.document, each.jwt
        return found


def credential(room) -> dict[str, Any]:  # noqa: F811
    document: dict[str, Any] = json.loads(all_editions(room)[-1].document)
    return document


def evidence_ids(room) -> tuple[str, ...]:  # noqa: F811
    with room.tool.db.read() as session:
        award = session.get_one(Award, room.award()["id"])
        return tuple(each.id for each in choices.offered(session, award, room.badge))


# -- as usual ---------------------------------------------------------------------------------------------------


def test_I21_nothing_of_her_is_in_a_credential_until_she_chooses(earned):
    student = earned.students[0]
    text = all_editions(earned)[-1].document.decode()
    for secret in (student.name, student.email, student.email.lower(), "What I did", "video.example.edu", "3.4"):
        assert secret not in text, secret
    subject = json.loads(text)["credentialSubject"]
    assert subject["id"].startswith("urn:uuid:") and "identifier" not in subject
    assert [each.get("value") for each in subject["result"]] == ["3", "4", None]


def test_claiming_as_it_stands_makes_no_other_credential(earned):
    before = all_editions(earned)
    assert choose(earned, DEFAULT) is False
    assert choose(earned, Choices(public=False)) is False
    assert [each.document for each in all_editions(earned)] == [each.document for each in before]
    assert earned.award()["claimed_at"] is not None


# -- each choice ------------------------------------------------------------------------------------------------


def test_her_name_goes_in_and_out_again_and_each_time_it_is_another_credential(earned):
    student = earned.students[0]
    assert choose(earned, replace(DEFAULT, name=True)) is True
    assert credential(earned)["credentialSubject"]["identifier"] == [
        {"type": "IdentityObject", "hashed": False, "identityHash": student.name, "identityType": "name"}
    ]
    assert choose(earned, DEFAULT) is True
    assert "identifier" not in credential(earned)["credentialSubject"]
    first, second, third = all_editions(earned)
    assert len({first.id, second.id, third.id}) == len({first.salt, second.salt, third.salt}) == 3
    assert len({first.status_index, second.status_index, third.status_index}) == 3
    assert first.valid_from == second.valid_from == third.valid_from
    assert first.withdrawn_at and second.withdrawn_at and third.withdrawn_at is None


def test_I13_an_e_mail_address_goes_in_as_a_hash_with_a_salt_of_this_edition_alone(earned):
    assert choose(earned, replace(DEFAULT, email=True)) is True
    (entry,) = credential(earned)["credentialSubject"]["identifier"]
    address = earned.students[0].email.strip().lower()
    assert (entry["hashed"], entry["identityType"]) == (True, "emailAddress")
    assert entry["identityHash"] == "sha256$" + hashlib.sha256((address + entry["salt"]).encode()).hexdigest()
    assert len(entry["salt"]) >= 32 and address not in json.dumps(credential(earned))
    assert choose(earned, replace(DEFAULT, email=True, name=True)) is True
    again = credential(earned)["credentialSubject"]["identifier"][-1]
    assert again["salt"] != entry["salt"] and again["identityHash"] != entry["identityHash"]


def test_an_address_the_lms_never_told_cannot_be_chosen(earned):
    with earned.tool.db.write() as session:
        session.get_one(Award, earned.award()["id"]).earner.email = ""
    assert choose(earned, replace(DEFAULT, email=True)) is False


def test_without_levels_the_credential_says_only_that_she_passed(earned):
    assert choose(earned, replace(DEFAULT, levels=False, grades=True)) is True
    subject = credential(earned)["credentialSubject"]
    assert "result" not in subject and len(subject["achievement"]["resultDescription"]) == 3
    earned_page = requests.get(earned.award()["credential_url"], timeout=20).text
    assert "Advanced</span>" not in earned_page.split('id="took"')[1].split("</section>")[0].replace("asks for", "")
    assert "has chosen not to show the levels" in earned_page


def test_with_grades_it_tells_the_points_and_the_letter(earned):
    assert choose(earned, replace(DEFAULT, grades=True)) is True
    results = credential(earned)["credentialSubject"]["result"]
    assert [each.get("value") for each in results] == ["3.4", "4", "A"]
    assert [each.get("status") for each in results] == [None, None, "Completed"]


@pytest.mark.parametrize(
    ("kind", "required", "score", "value"),
    [("percent", "60", 88.5, "88.5"), ("points", "12", 14, "14"), ("pass", "", 1, None), ("percent", "60", 130, "100")],
)
def test_each_kind_of_condition_tells_its_own_value(room, kind, required, score, value):  # noqa: F811
    room.publish(badge(rows=1, gates=(gate("g", kind, required),)))
    room.grade(room.students[0], 3, score)
    room.sync()
    choose(room, replace(DEFAULT, grades=True))
    assert credential(room)["credentialSubject"]["result"][1].get("value") == value


def test_evidence_is_shown_piece_by_piece(earned):
    words, link = evidence_ids(earned)
    assert choose(earned, replace(DEFAULT, evidence=(link,))) is True
    (shown,) = credential(earned)["evidence"]
    assert (shown["id"], shown["name"], shown["genre"]) == ("https://video.example.edu/17?a=1&b=2", "Row A", "Link")
    assert choose(earned, replace(DEFAULT, evidence=(link, words))) is True
    assert [each["genre"] for each in credential(earned)["evidence"]] == ["Text", "Link"]
    assert credential(earned)["evidence"][0]["narrative"] == "What I did."
    page = requests.get(earned.award()["credential_url"], timeout=20).text
    assert "What I did." in page and 'href="https://video.example.edu/17?a=1&amp;b=2"' in page


def test_evidence_of_somebody_else_or_taken_back_is_not_shown(earned):
    words, link = evidence_ids(earned)
    other, hers = earned.person_id(earned.teacher), earned.person_id(earned.students[0])
    evidence.attach(
        earned.tool, earned.id, earned.badge.slug, hers, "sub-competency:A", "A teacher's note.",
        actor=f"person:{other}", now=now(),
    )  # fmt: skip
    late = put(earned, Typed("text", "Too late to count."), "B")
    evidence.withdraw(earned.tool, earned.id, earned.badge.slug, hers, late, actor=f"person:{hers}", now=now())
    draft = put(earned, Typed("text", "Not handed in."), "B", submit=False)
    assert evidence_ids(earned) == (words, link)
    choose(earned, replace(DEFAULT, evidence=(words, late, draft, "somebody-elses")))
    assert [each["narrative"] for each in credential(earned)["evidence"]] == ["What I did."]


def test_I19_her_own_words_are_text_on_the_page_and_in_the_file(earned):
    odd = "</script><img src=x onerror=alert(1)> {{7*7}} \x00 =HYPERLINK()"
    assert choose(earned, replace(DEFAULT, narrative=odd)) is True
    assert credential(earned)["credentialSubject"]["narrative"] == odd.replace("\x00", "")
    page = requests.get(earned.award()["credential_url"], timeout=20).text
    assert "<img src=x" not in page and "49" not in page.split("&lt;/script&gt;")[1][:80]
    with pytest.raises(BadInput):
        choose(earned, replace(DEFAULT, narrative="x" * 2001))


def test_everything_at_once_is_genuine_to_a_stranger(earned):
    told = Choices(True, True, True, True, True, evidence_ids(earned), "Mine.")
    assert choose(earned, told) is True
    report = checking.check(earned.tool, all_editions(earned)[-1].document, now())
    assert [each.outcome for each in report.checks] == [PASSED] * len(report.checks), report.checks
    with earned.tool.db.read() as session:
        assert choices.chosen(session.get_one(Award, earned.award()["id"])) == told


# -- again, at once, too late -----------------------------------------------------------------------------------


def test_H01_the_same_choices_again_do_nothing(earned):
    told = Choices(True, True, True, True, True, evidence_ids(earned), "Mine.")
    assert [choose(earned, told) for _ in range(3)] == [True, False, False]
    assert len(all_editions(earned)) == 2


def test_a_form_sent_twice_at_once_makes_one_edition(earned):
    made: list[Any] = []

    def send() -> None:
        try:
            made.append(choose(earned, replace(DEFAULT, name=True)))
        except Conflict as error:
            made.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert made.count(True) == 1 and len(all_editions(earned)) == 2
    assert earned.award()["status"] == "issued"


def test_a_stale_form_changes_nothing_it_did_not_show(earned):
    seen = all_editions(earned)[-1].id
    choose(earned, replace(DEFAULT, name=True), seen=seen)
    with pytest.raises(Conflict):
        choose(earned, replace(DEFAULT, levels=False), seen=seen)
    assert choose(earned, replace(DEFAULT, name=True), seen=seen) is False  # the same as it stands
    assert len(all_editions(earned)) == 2


def test_I04_an_edition_signed_before_keeps_its_bytes_through_every_choice(earned):
    first = all_editions(earned)[0]
    for told in (replace(DEFAULT, name=True), replace(DEFAULT, levels=False), DEFAULT, Choices(public=False)):
        choose(earned, told)
    again = all_editions(earned)[0]
    assert (again.document, again.jwt, again.id) == (first.document, first.jwt, first.id)


def test_what_is_signed_is_a_function_of_the_edition_s_row(earned):
    choose(earned, replace(DEFAULT, name=True, email=True, grades=True, evidence=evidence_ids(earned)))
    before = all_editions(earned)[-1]
    with earned.tool.db.write() as session:
        award = session.get_one(Award, earned.award()["id"])
        award.earner.name, award.earner.email = "Somebody Else", "else@example.edu"
        session.get_one(Course, earned.id).title = "Another title"
        edition = session.get_one(Edition, before.id)
        edition.document = edition.jwt = edition.signed_at = None
        award.status = "pending"
    earned.tool.templates.clear()
    assert editions.sign_pending(earned.tool, award_id=earned.award()["id"]) == 1
    assert all_editions(earned)[-1].document == before.document


def test_the_old_credential_says_replaced_and_leads_on(earned):
    choose(earned, DEFAULT)
    old = earned.award()["credential_url"]
    choose(earned, replace(DEFAULT, name=True))
    new = earned.award()["credential_url"]
    page = requests.get(old, timeout=20)
    assert page.status_code == 200 and "Replaced." in page.text and new in page.text
    assert checking.check(earned.tool, old, now()).outcome("withdrawn") == "failed"
    assert checking.check(earned.tool, new, now()).ok


def test_a_page_taken_down_stays_down_when_the_credential_is_made_anew(make_room):  # noqa: F811
    here = make_room()
    kept = here.tool.settings
    open_pages = kept.privacy.model_copy(update={"claim": "automatic"})
    here.tool.settings = kept.model_copy(update={"privacy": open_pages})
    try:
        here.publish(badge(rows=1))
        here.grade(here.students[0], 3)
        here.sync()
        assert here.award()["public"]
        choices.choose(here.tool, here.award()["id"], Choices(public=False), actor=ACTOR, now=now())
        choices.choose(here.tool, here.award()["id"], Choices(public=False, levels=False), actor=ACTOR, now=now())
        assert not here.award()["public"] and here.award()["status"] == "issued"
    finally:
        here.tool.settings = kept


def test_of_one_that_was_taken_back_only_the_page_can_change(earned):
    choose(earned, replace(DEFAULT, name=True))
    award_acts.revoke(earned.tool, earned.award()["id"], "Copied.", actor=ACTOR, now=now())
    assert choose(earned, Choices(public=False, levels=False)) is False
    assert len(all_editions(earned)) == 2 and not earned.award()["public"]


def test_H11_a_reissue_keeps_her_choices_and_scrambles_the_address_anew(earned):
    choose(earned, replace(DEFAULT, name=True, email=True, evidence=evidence_ids(earned)))
    before = credential(earned)
    who = earned.page
    shown = who.get(f"badges/{earned.badge.slug}/awards/{earned.award()['id']}/reissue").text
    seal = re.search(r'name="seal" value="([0-9a-f]+)"', shown)[1]
    who.post(f"badges/{earned.badge.slug}/awards/{earned.award()['id']}/reissue", {"reason": "Name.", "seal": seal})
    after = credential(earned)
    assert after["id"] != before["id"]
    assert [each["name"] for each in after["evidence"]] == [each["name"] for each in before["evidence"]]
    old, new = (each["credentialSubject"]["identifier"] for each in (before, after))
    assert old[0] == new[0] and old[1]["salt"] != new[1]["salt"] and old[1]["identityHash"] != new[1]["identityHash"]


def test_what_no_credential_can_hold_is_refused_and_the_one_there_is_stays(room):  # noqa: F811
    """One address shown for two rows has two names, which verifiers sort differently where one is an emoji."""
    names = ("🎓 Speaks", "\uff21 Listens")
    rows = [row(code, name=name, evidence="required") for code, name in zip("AB", names, strict=True)]
    room.publish(badge(sub_competencies=tuple(rows)))
    _enter(room)
    for code in "AB":
        put(room, Typed("link", "", "https://video.example.edu/17"), code)
    room.grade(room.students[0], 3, 3)
    room.sync()
    before = all_editions(room)
    with pytest.raises(BadInput):
        choose(room, replace(DEFAULT, evidence=evidence_ids(room)))
    assert [each.withdrawn_at for each in all_editions(room)] == [each.withdrawn_at for each in before] == [None]
    assert room.award()["status"] == "issued" and choose(room, replace(DEFAULT, evidence=evidence_ids(room)[:1]))


# -- what is told beside her choices ----------------------------------------------------------------------------


def test_course_term_and_time_are_told_as_they_were_when_it_was_made(make_room):  # noqa: F811
    here = make_room(mood="canvas")
    here.course.starts_at, here.course.term = "2026-01-05 08:00:00 UTC", "Spring 2026"
    here.enter(here.teacher)
    here.publish(badge(rows=1, expires_after="P3Y"))
    here.grade(here.students[0], 3)
    here.sync()
    told = credential(here)
    subject = told["credentialSubject"]
    assert (subject["source"]["name"], subject["term"]) == ("A course", "Spring 2026")
    assert subject["activityStartDate"] == "2026-01-05T08:00:00Z" < subject["activityEndDate"]
    assert told["refreshService"] == {"id": f"{told['id']}/refresh", "type": "1EdTechCredentialRefresh"}
    # The course goes on: another name, another term. What she chooses later changes nothing of when she earned it.
    here.course.title, here.course.term = "A course, again", "Spring 2028"
    here.course.starts_at = "2028-01-10 08:00:00 UTC"
    here.enter(here.teacher)
    assert choose(here, replace(DEFAULT, name=True))
    assert of_the_course(credential(here)) == of_the_course(told)
    with here.tool.db.write() as session:
        award = session.get_one(Award, here.award()["id"])
        award_acts.supersede(session, award, now())
        award_acts.restore(session, award, "issued", now())
    editions.sign_pending(here.tool, here.id)
    assert of_the_course(credential(here)) == of_the_course(told)
    assert len(all_editions(here)) == 3


def test_one_that_was_held_after_it_was_issued_tells_the_course_of_then_and_a_renewed_one_that_of_now(make_room):  # noqa: F811
    here = make_room(mood="canvas")
    here.course.starts_at, here.course.term = "2026-01-05 08:00:00 UTC", "Spring 2026"
    here.enter(here.teacher)
    here.publish(badge(rows=1, expires_after="P30D"))
    here.grade(here.students[0], 3)
    here.sync()
    told, award_id = credential(here), here.award()["id"]
    with here.tool.db.read() as session:
        badge_id = session.get_one(Award, award_id).course_badge_id
    here.course.term = "Spring 2028"
    here.enter(here.teacher)
    award_acts.hold(here.tool, badge_id, award_id, "A question first.", None, actor=ACTOR, now=now())
    award_acts.confirm(here.tool, award_id, actor=ACTOR, now=now())
    editions.sign_pending(here.tool, here.id)
    let_go = credential(here)
    assert let_go["id"] != told["id"] and of_the_course(let_go) == of_the_course(told)
    last_days(here, award_id)
    expiry.renew(here.tool, badge_id, [award_id], actor=ACTOR, now=now())
    editions.sign_pending(here.tool, here.id)
    assert credential(here)["credentialSubject"]["term"] == "Spring 2028"


def test_one_from_before_the_course_was_kept_takes_it_as_it_is_now(earned):
    with earned.tool.db.write() as session:
        for edition in session.scalars(select(Edition).where(Edition.award_id == earned.award()["id"])):
            edition.choices = {}
    assert choose(earned, replace(DEFAULT, name=True))
    assert credential(earned)["credentialSubject"]["source"]["name"] == "A course"


def of_the_course(told: dict[str, Any]) -> list[Any]:
    subject = told["credentialSubject"]
    told = [subject.get(name) for name in ("term", "activityStartDate", "activityEndDate")]
    return [subject["source"]["name"], *told]


def test_moodle_tells_no_term_and_none_is_told(room):  # noqa: F811
    room.publish(badge(rows=1))
    room.grade(room.students[0], 3)
    room.sync()
    subject = credential(room)["credentialSubject"]
    assert "term" not in subject and "activityStartDate" not in subject
    assert "refreshService" not in credential(room)


# -- the page ---------------------------------------------------------------------------------------------------


def form(**told: Any) -> dict[str, Any]:
    return {"inside": "yes", "public": "yes", "levels": "yes", **told}


def test_the_claim_page_shows_what_would_be_public_and_keeps_what_is_chosen(earned):
    her = earned.enter(earned.students[0])
    address = f"badges/{earned.badge.slug}/claim"
    page = her.get(address).text
    assert earned.students[0].name in page and "What I did." in page and "asks for" in page
    seen = re.search(r'name="seen" value="([0-9a-f]*)"', page)[1]
    done = her.post(address, form(name="yes", evidence=list(evidence_ids(earned)), narrative="Mine.", seen=seen))
    assert done.status_code == 200 and done.url.endswith("/show?claimed=yes")
    assert 'id="c-name" name="name" value="yes" checked' in her.get(address).text
    public = requests.get(earned.award()["credential_url"], timeout=20).text
    assert f"<b>{earned.students[0].name}</b>" in public and "What I did." in public and "Mine." in public
    assert "95" not in public.split('id="took"')[1].split("</section>")[0]


def test_a_form_that_cannot_be_kept_loses_nothing_of_what_was_typed(earned):
    her = earned.enter(earned.students[0])
    long = "so " * 900
    answer = her.post(f"badges/{earned.badge.slug}/claim", form(name="yes", narrative=long))
    assert answer.status_code == 400 and long.strip() in answer.text and "too long" in answer.text
    assert 'id="c-name" name="name" value="yes" checked' in answer.text and len(all_editions(earned)) == 1


def test_a_form_of_the_page_alone_leaves_what_is_inside(earned):
    choose(earned, replace(DEFAULT, name=True))
    her = earned.enter(earned.students[0])
    her.post(f"badges/{earned.badge.slug}/claim", {})
    assert len(all_editions(earned)) == 2 and not earned.award()["public"]


def test_turning_the_page_on_or_off_changes_no_credential_even_if_the_lms_calls_her_otherwise_now(earned):
    choose(earned, replace(DEFAULT, name=True))
    with earned.tool.db.write() as session:
        session.get_one(Award, earned.award()["id"]).earner.name = "Another Name"
    assert choose(earned, Choices(public=False, name=True)) is False
    assert choose(earned, replace(DEFAULT, name=True, grades=True)) is True
    assert credential(earned)["credentialSubject"]["identifier"][0]["identityHash"] == "Another Name"


def test_the_log_names_what_is_shown_and_nothing_of_it(earned):
    choose(earned, Choices(True, True, True, True, True, evidence_ids(earned), "Mine."))
    with earned.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.action == "award.chosen")
        (event,) = session.scalars(query.where(AuditEvent.subject == f"award:{earned.award()['id']}"))
    assert event.detail["after"]["shown"] == ["levels", "email", "evidence", "grades", "name", "narrative"]
    kept = json.dumps(event.detail)
    assert earned.students[0].name not in kept and "Mine" not in kept and "sha256" not in kept


def test_an_expired_one_keeps_what_it_says(room):  # noqa: F811
    room.publish(badge(rows=1, expires_after="P1D"))
    room.grade(room.students[0], 3)
    room.sync()
    choose(room, DEFAULT)
    with time_machine.travel(now().replace(year=now().year + 1), tick=True):
        assert choose(room, Choices(public=False, levels=False)) is False
    assert len(all_editions(room)) == 1
