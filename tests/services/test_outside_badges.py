"""Badges of another issuer as parts of a stack: handed in over HTTP, checked for real, accepted or refused."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from lti_tool.models import AuditEvent, CourseBadge, OutsideBadge, Person
from lti_tool.services import outside_badges
from tests.classroom import Classroom, at_once, make_room, room  # noqa: F401 (fixtures)
from tests.outside_issuer import ISSUED, OutsideIssuer
from tests.scene import Scene, Visitor, make_database, now, token_in
from tests.services.test_stacks import award_of, earn, part, publish, reviews, slugs, stack


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideIssuer]:
    made = OutsideIssuer(tmp_path_factory.mktemp("issuer"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, issuer: OutsideIssuer) -> Iterator[Scene]:
    """A scene whose tool trusts the authority of the other issuer's certificate."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch, make_database(os.environ.get("TEST_DATABASE", ""), folder) as url:
        patch.setenv("REQUESTS_CA_BUNDLE", str(issuer.ca))
        scene = Scene(folder, url)
        try:
            yield scene
        finally:
            scene.stop()


@pytest.fixture
def whole(room, issuer):  # noqa: F811
    """A stack of two of which the first student has one."""
    issuer.silent = False
    a, b = part(name="First"), part(name="Second")
    made = stack(a, b)
    publish(room, a, b, made)
    earn(room, room.students[0], a)
    return made, b


def email(room: Classroom, student: Any) -> str:  # noqa: F811
    with room.tool.db.read() as session:
        return session.scalars(select(Person.email).where(Person.sub == student.id)).one()


def hand_in(page: Visitor, made: Any, for_part: Any, sent: bytes | str, name: str = "badge.json") -> Any:
    path = f"badges/{made.slug}/outside/"
    if isinstance(sent, str):
        return page.post(path, {"part": for_part.slug, "address": sent})
    return page.post(path, {"part": for_part.slug}, files={"file": (name, sent)})


def kept(room: Classroom, made: Any) -> list[OutsideBadge]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(OutsideBadge).join(CourseBadge).where(CourseBadge.slug == made.slug)
        return list(session.scalars(query.order_by(OutsideBadge.handed_at)))


def decide(page: Visitor, made: Any, one: OutsideBadge, what: str, reason: str = "The same examination.", **more: str):
    return page.post(f"badges/{made.slug}/outside/{one.id}", {what: "yes", "reason": reason, **more})


def test_an_outside_badge_counts_once_it_is_accepted_and_the_stack_follows_by_itself(room, whole, issuer):  # noqa: F811
    made, b = whole
    student = room.students[0]
    learner = room.enter(student)
    done = hand_in(learner, made, b, issuer.issue(email(room, student).upper()))
    assert done.status_code == 200 and "waits for your teacher" in done.text
    assert slugs(room, student) == [award_of_part(room, made)]  # nothing counts before somebody has looked
    (one,) = kept(room, made)
    assert (one.names, one.status, one.issued_at) == ("email", "waiting", ISSUED)
    teacher = room.enter(room.teacher)
    assert "One badge from elsewhere waits for you" in teacher.page.text
    page = html.unescape(teacher.get(f"badges/{made.slug}/outside/").text)
    assert "Formal Logic" in page and "Northbridge College" in page
    assert "names the e-mail address that your LMS has of this learner" in page
    assert "I have looked at it" not in page  # there is nothing that no check could tell
    assert "It counts now." in decide(teacher, made, one, "accept").text
    award = award_of(room, student, made)
    row = award["decision"]["rows"][1]
    assert award["status"] == "issued" and (row["part"], row["issued_at"]) == (f"outside:{one.id}", ISSUED.isoformat())
    cell = teacher.get(f"badges/{made.slug}/record/{room.person_id(student)}/badge:{b.slug}").text
    assert "a badge of another issuer, accepted here" in cell
    assert "Accepted from elsewhere" in room.enter(student).get(f"badges/{made.slug}").text
    with room.tool.db.read() as session:
        actions = session.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("outside."))).all()
    assert actions[-2:] == ["outside.handed_in", "outside.accepted"]


def award_of_part(room: Classroom, made: Any) -> str:  # noqa: F811
    return str(made.stack.members[0])


def test_a_refused_one_counts_for_nothing_and_its_learner_reads_why(room, whole, issuer):  # noqa: F811
    made, b = whole
    learner = room.enter(room.students[0])
    hand_in(learner, made, b, issuer.issue())
    (one,) = kept(room, made)
    teacher = room.enter(room.teacher)
    assert decide(teacher, made, one, "refuse", "").status_code == 400  # a reason is asked for
    assert decide(teacher, made, one, "refuse", "Another subject.").status_code == 200
    assert made.slug not in slugs(room, room.students[0])
    page = learner.get(f"badges/{made.slug}").text
    assert "Another subject." in page and "refused" in page
    assert hand_in(learner, made, b, issuer.issue()).status_code == 200  # another one may follow
    assert [each.status for each in kept(room, made)] == ["refused", "waiting"]


def test_one_that_names_nobody_or_somebody_else_is_accepted_only_by_who_is_sure(room, whole, issuer):  # noqa: F811
    made, b = whole
    learner = room.enter(room.students[0])
    hand_in(learner, made, b, issuer.issue("somebody.else@example.org"))
    (one,) = kept(room, made)
    assert one.names == "other"
    teacher = room.enter(room.teacher)
    page = html.unescape(teacher.get(f"badges/{made.slug}/outside/").text)
    assert "names another e-mail address than your LMS has of this learner" in page
    refused = decide(teacher, made, one, "accept", "I know her.")
    assert refused.status_code == 400 and "then tick that you are sure" in refused.text
    assert "I know her." in refused.text  # nothing of what was typed is lost
    assert made.slug not in slugs(room, room.students[0])
    assert decide(teacher, made, one, "accept", sure="yes").status_code == 200
    assert made.slug in slugs(room, room.students[0])


@pytest.mark.parametrize("where", [b"Formal Logic", b'"sha256$', b"2026-10-01T08:00:00Z"])
def test_I05_a_tampered_one_is_not_taken_at_all(room, whole, issuer, where):  # noqa: F811
    made, b = whole
    sent = issuer.issue(email(room, room.students[0]))
    place = sent.index(where) + len(where)
    changed = sent[: place - 2] + bytes([sent[place - 2] ^ 1]) + sent[place - 1 :]
    done = hand_in(room.enter(room.students[0]), made, b, changed)
    assert done.status_code == 400 and "This badge was not taken" in done.text
    assert kept(room, made) == []


def test_what_is_withdrawn_over_too_large_or_no_badge_is_not_taken(room, whole, issuer):  # noqa: F811
    made, b = whole
    learner = room.enter(room.students[0])
    gone = issuer.issue()
    issuer.revoked.add(issuer.next - 1)
    over = issuer.issue(valid_until=ISSUED + timedelta(days=1))
    for sent in (gone, over, b"{}", b"no badge", b"", b"x" * 1_000_001):
        assert hand_in(learner, made, b, sent).status_code == 400
    assert hand_in(learner, made, b, "https://localhost:1/nothing").status_code == 400
    assert learner.post(f"badges/{made.slug}/outside/", {"part": "nonsense", "address": "x"}).status_code == 400
    assert kept(room, made) == []


def test_one_of_ours_counts_by_itself_and_is_not_handed_in(room, whole):  # noqa: F811
    made, b = whole
    (award,) = room.awards(room.students[0])
    learner = room.enter(room.students[0])
    sent = learner.get(award["credential_url"].removeprefix(room.scene.url) + ".json").content
    done = hand_in(learner, made, b, sent)
    assert done.status_code == 400 and "was issued here" in done.text


def test_an_address_is_followed_and_kept(room, whole, issuer):  # noqa: F811
    made, b = whole
    issuer.issue(email(room, room.students[0]))
    address = f"{issuer.base}/credentials/{issuer.next - 1}"
    assert hand_in(room.enter(room.students[0]), made, b, address).status_code == 200
    (one,) = kept(room, made)
    assert (one.source, one.name, one.names) == (address, "Formal Logic", "email")


def test_the_very_same_badge_counts_for_one_learner_and_one_part_only(room, issuer):  # noqa: F811
    a, b = part(), part()
    made = stack(a, b)
    publish(room, a, b, made)
    sent = issuer.issue()
    first, second = room.enter(room.students[0]), room.enter(room.students[1])
    hand_in(first, made, a, sent)
    hand_in(second, made, a, sent)
    assert hand_in(second, made, a, issuer.issue()).status_code == 409  # one is open already
    hand_in(first, made, b, sent)
    teacher = room.enter(room.teacher)
    answers = [decide(teacher, made, one, "accept", sure="yes").status_code for one in kept(room, made)]
    assert answers == [200, 409, 409]


def test_H02_two_who_accept_at_the_same_moment_accept_once(room, issuer):  # noqa: F811
    a, b = part(), part()
    made = stack(a, b)
    publish(room, a, b, made)
    sent = issuer.issue()
    for student in room.students:
        hand_in(room.enter(student), made, a, sent)

    def accept(one: OutsideBadge) -> None:
        outside_badges.accept(room.tool, room.id, made.slug, one.id, "It is.", sure=True, actor="operator", now=now())

    done = at_once(*[lambda one=one: accept(one) for one in kept(room, made)])
    assert sorted(type(each).__name__ for each in done) == ["Conflict", "NoneType"]
    assert sorted(each.status for each in kept(room, made)) == ["accepted", "waiting"]


def test_an_accepted_one_that_is_withdrawn_later_opens_a_review_when_it_is_looked_at_again(room, whole, issuer):  # noqa: F811
    made, b = whole
    hand_in(room.enter(room.students[0]), made, b, issuer.issue(email(room, room.students[0])))
    place = issuer.next - 1
    (one,) = kept(room, made)
    decide(room.enter(room.teacher), made, one, "accept")
    issuer.revoked.add(place)
    room.sync()
    assert reviews(room, made) == []  # once a day at most
    with room.tool.db.write() as session:
        session.execute(update(OutsideBadge).values(tried_at=now() - timedelta(days=2)))
    issuer.silent = True
    room.sync()
    assert reviews(room, made) == [] and kept(room, made)[0].problem is None  # it could not be looked at
    page = room.enter(room.teacher).get(f"badges/{made.slug}/outside/").text
    assert "and it could not be looked at" in page
    issuer.silent = False
    with room.tool.db.write() as session:
        session.execute(update(OutsideBadge).values(tried_at=now() - timedelta(days=2)))
    room.sync()
    assert reviews(room, made) == ["1 of 2. Missing: the badge “Second” (withdrawn)."]
    assert award_of(room, room.students[0], made)["status"] == "issued"
    assert "no longer counts" in room.enter(room.students[0]).get(f"badges/{made.slug}").text


def test_an_acceptance_can_be_taken_back_and_opens_a_review(room, whole, issuer):  # noqa: F811
    made, b = whole
    hand_in(room.enter(room.students[0]), made, b, issuer.issue(email(room, room.students[0])))
    (one,) = kept(room, made)
    teacher = room.enter(room.teacher)
    decide(teacher, made, one, "accept")
    assert decide(teacher, made, one, "refuse", "A mistake.").status_code == 200
    assert len(reviews(room, made)) == 1
    assert decide(teacher, made, one, "accept").status_code == 409


def test_an_instructor_hands_one_in_for_a_learner(room, whole, issuer):  # noqa: F811
    made, b = whole
    teacher = room.enter(room.teacher)
    path = f"badges/{made.slug}/outside/"
    file = {"file": ("badge.json", issuer.issue(email(room, room.students[1])))}
    assert teacher.post(path, {"part": b.slug, "person": ""}, files=file).status_code == 400
    sent = {"part": b.slug, "person": room.person_id(room.students[1])}
    assert teacher.post(path, sent, files=file).status_code == 200
    (one,) = kept(room, made)
    assert one.person_id == room.person_id(room.students[1]) and one.handed_by.startswith("person:")


def test_D08_nobody_else_hands_in_looks_or_decides(make_room, issuer):  # noqa: F811
    here, there = make_room(), make_room()
    a = part()
    made = stack(a)
    publish(here, a, made)
    hand_in(here.enter(here.students[0]), made, a, issuer.issue())
    (one,) = kept(here, made)
    stranger = there.enter(there.teacher)
    assert decide(stranger, made, one, "accept", sure="yes").status_code == 404
    publish(there, b := part(), other := stack(b))
    assert decide(stranger, other, one, "accept", sure="yes").status_code == 404
    learner = here.enter(here.students[0])
    for path in ("outside/", f"outside/{one.id}"):
        url = f"{here.scene.url}/course/{learner.launch}/badges/{made.slug}/{path}"
        assert learner.http.post(url, data={"csrf": "x"}, timeout=20).status_code in (400, 403)
    assert hand_in(here.enter(here.teacher), made, a, issuer.issue()).status_code in (400, 403)  # no learner
    teacher = here.enter(here.teacher)
    own = f"{here.scene.url}/me/{teacher.launch}/badges/{made.slug}/outside/"
    token = {"csrf": _token(teacher, made), "part": a.slug, "address": "x"}
    assert teacher.http.post(own, data=token, timeout=20).status_code == 403
    assert kept(here, made)[0].status == "waiting" and len(kept(here, made)) == 1


def _token(visitor: Visitor, made: Any) -> str:
    return token_in(visitor.get(f"badges/{made.slug}/outside/").text)
