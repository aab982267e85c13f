"""Badges made of badges in real courses: awarded by themselves, over tiers, courses and terms, each once."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from lti_tool.credentials.ob3 import gate_id
from lti_tool.domain.badge import Badge, Stack
from lti_tool.errors import CannotPublish, DefinitionInvalid
from lti_tool.jobs import RUNNERS
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Award,
    CourseBadge,
    Edition,
    Mastery,
    Notification,
    Person,
    Review,
)
from lti_tool.services import (
    award_acts,
    catalog,
    choices,
    editions,
    evaluation,
    expiry,
    launches,
    people,
    reissues,
    sync,
    work,
)
from lti_tool.services.definition import read_definition, write_definition
from tests.classroom import Classroom, at_once, badge, last_days, make_room, replace, room, shared  # noqa: F401 (fixtures)
from tests.scene import now


def part(**changes: Any) -> Badge:
    return badge(rows=1, **changes)


def stack(*members: Badge, rule: str = "all", ordered: bool = False, within: str = "", **changes: Any) -> Badge:
    told = Stack(tuple(each.slug for each in members), rule, ordered, within)
    return badge(sub_competencies=(), stack=told, **{"name": "The Whole", **changes})


def publish(room: Classroom, *definitions: Badge) -> None:  # noqa: F811
    for each in definitions:
        job = room.publish(each)
        assert job.state == "done", job.problem


def earn(room: Classroom, student: Any, *definitions: Badge) -> None:  # noqa: F811
    for each in definitions:
        room.badge = each
        room.grade(student, 4)
    assert room.sync().state == "done"


def slugs(room: Classroom, student: Any) -> list[str]:  # noqa: F811
    return sorted(each["badge"] for each in room.awards(student) if each["status"] == "issued")


def award_of(room: Classroom, student: Any, definition: Badge) -> dict[str, Any]:  # noqa: F811
    found = [each for each in room.awards(student) if each["badge"] == definition.slug]
    assert len(found) == 1, found
    return room.shown(found[0]["id"])


def reviews(room: Classroom, definition: Badge) -> list[str]:  # noqa: F811
    with room.tool.db.read() as session:
        badge_id = catalog.get_badge(session, room.id, definition.slug).id
        query = select(Review.reason).join(Award).where(Award.course_badge_id == badge_id, Review.resolved_at.is_(None))
        return list(session.scalars(query))


def issued_ago(room: Classroom, student: Any, definition: Badge, **time: int) -> None:  # noqa: F811
    """Let an award have been issued some time ago."""
    with room.tool.db.write() as session:
        session.get_one(Award, award_of(room, student, definition)["id"]).issued_at = now() - timedelta(**time)


# -- tiers, courses, terms


def test_G16_ten_build_three_and_three_build_one_each_by_itself_over_two_courses(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    student = here.students[0]
    there.lms.enrol(there.course, student)
    there.enter(student)
    ten = [part(name=f"Introduction {n}") for n in range(10)]
    publish(here, *ten[:6])
    publish(there, *ten[6:])
    three = [stack(*ten[:3], name="Find"), stack(*ten[3:6], name="Judge"), stack(*ten[6:], rule="any 3", name="Cite")]
    publish(here, *three[:2])
    publish(there, three[2])
    top = stack(*three, name="Library Scholar")
    publish(here, top)
    earn(here, student, *ten[:6])
    assert len(slugs(here, student)) == 8  # six, and two of the three
    earn(there, student, *ten[6:8])
    assert slugs(there, student) == sorted(each.slug for each in ten[6:8])
    before = len(here.awards())
    earn(there, student, ten[8])  # the last one that was missing, in the other course
    assert three[2].slug in slugs(there, student) and ten[9].slug not in slugs(there, student)
    assert len(here.awards()) == before + 1 and top.slug in slugs(here, student)  # without a sync of that course
    assert here.awards(here.students[1]) == []
    rows = award_of(here, student, top)["decision"]["rows"]
    assert [(each["tag"], each["state"]) for each in rows] == [(f"badge:{each.slug}", "met") for each in three]
    assert all(each["part"].startswith("award:") and each["issued_at"] for each in rows)


def test_nothing_is_given_twice_however_often_it_is_looked_at(room):  # noqa: F811
    a, b = part(), part()
    whole = stack(a, b)
    publish(room, a, b, whole)
    earn(room, room.students[0], a, b)
    kept = award_of(room, room.students[0], whole)["id"]
    for _ in range(2):
        room.sync()
        room.run("evaluate", str(room.id))
    assert award_of(room, room.students[0], whole)["id"] == kept


def test_H02_two_workers_at_the_same_moment_give_one(room):  # noqa: F811
    a = part()
    publish(room, a)
    earn(room, room.students[0], a)
    whole = stack(a)
    room.put(whole)
    real_start = work.start

    def not_yet(tool: Any, kind: str, *rest: Any, **more: Any) -> int:
        return 0 if kind == "evaluate" else real_start(tool, kind, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "start", not_yet)  # the worker that publishes dies before it looks
        assert room.publish_again().state == "done"
    assert slugs(room, room.students[0]) == [a.slug]

    def look() -> None:
        sync.evaluate_badges(room.tool, room.id, now(), {})
        editions.sign_pending(room.tool, room.id)

    assert at_once(look, look, look) == [None] * 3
    assert award_of(room, room.students[0], whole)["status"] == "issued"


def test_parts_of_an_earlier_term_count_in_the_course_of_a_later_one(make_room):  # noqa: F811
    autumn, spring = make_room(), make_room()
    student = autumn.students[0]
    spring.lms.enrol(spring.course, student)
    spring.enter(student)
    a, b = part(), part()
    publish(autumn, a)
    earn(autumn, student, a)
    publish(spring, a, b)  # the same badge, taken over: one achievement
    whole = stack(a, b)
    publish(spring, whole)
    assert slugs(spring, student) == []
    earn(spring, student, b)
    assert slugs(spring, student) == sorted([b.slug, whole.slug])
    kept = award_of(spring, student, whole)["decision"]["rows"][0]
    assert kept["part"] == f"award:{autumn.award(student)['id']}"


def test_a_stack_is_given_to_whoever_has_its_parts_on_the_day_it_is_published(room):  # noqa: F811
    a, b = part(), part()
    publish(room, a, b)
    earn(room, room.students[0], a, b)
    earn(room, room.students[1], a)
    whole = stack(a, b)
    room.put(whole)
    page = room.enter(room.teacher).get(f"badges/{whole.slug}/plan").text
    assert "+1" in page and "Counted on the badges that are issued today." in page
    assert "the badge “Careful Work”" in page  # what the other one is short of
    publish(room, whole)
    assert whole.slug in slugs(room, room.students[0]) and slugs(room, room.students[1]) == [a.slug]


# -- who counts


@pytest.mark.parametrize("once", ["course", "person"])
def test_whoever_is_not_in_its_course_gets_a_stack_only_where_it_is_earned_once_for_all(make_room, once):  # noqa: F811
    here, there = make_room(), make_room()
    student, colleague = there.students[0], there.students[1]
    a = part()
    publish(there, a)
    whole = stack(a, once=once)
    publish(here, whole)
    here.lms.enrol(here.course, colleague, "instructor")
    here.enter(colleague)
    earn(there, student, a)
    earn(there, colleague, a)
    assert slugs(here, colleague) == []  # who teaches here is never awarded here
    assert slugs(here, student) == ([whole.slug] if once == "person" else [])
    here.lms.enrol(here.course, student)
    here.enter(student)
    here.sync()
    assert slugs(here, student) == [whole.slug]


def test_a_test_student_and_one_who_is_switched_off_get_none(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    a = part()
    publish(there, a)
    whole = stack(a, once="person")
    publish(here, whole)
    student = there.students[0]
    earn(there, student, a)
    assert slugs(here, student) == [whole.slug]
    for change in ({"disabled": True}, {"test_user": True}):
        publish(there, other := part())
        publish(here, again := stack(other, once="person"))
        earn(there, student, other)
        with here.tool.db.write() as session:  # before anybody has looked at the stack again
            award_id = award_of(here, student, again)["id"]
            for row in (Edition, Notification):
                session.execute(delete(row).where(row.award_id == award_id))
            session.execute(delete(Award).where(Award.id == award_id))
            catalog.get_badge(session, here.id, again.slug).evaluated = None
            session.execute(update(Person).where(Person.sub == student.id).values(**change))
        here.run("evaluate", str(here.id))
        assert again.slug not in slugs(here, student)
        with here.tool.db.write() as session:
            session.execute(update(Person).where(Person.sub == student.id).values(disabled=False, test_user=False))


def test_its_own_release_holds_it_and_a_part_that_is_held_gives_nothing_away(room):  # noqa: F811
    a, b = part(release="held"), part()
    whole = stack(a, b, award="review")
    publish(room, a, b, whole)
    earn(room, room.students[0], a, b)
    assert {each["badge"]: each["status"] for each in room.awards()} == {a.slug: "held", b.slug: "issued"}
    room.badge = a
    with room.tool.db.read() as session:
        held = room.course_badge(session).id
    award_acts.release(room.tool, held, actor="operator", now=now())
    editions.sign_pending(room.tool)
    waiting = award_of(room, room.students[0], whole)
    assert waiting["status"] == "review"
    award_acts.confirm(room.tool, waiting["id"], actor="operator", now=now())
    editions.sign_pending(room.tool)
    assert award_of(room, room.students[0], whole)["status"] == "issued"


# -- order, window, credits


def test_parts_earned_out_of_order_do_not_count_until_one_is_earned_again(room):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    whole = stack(a, b, ordered=True)
    publish(room, a, b, whole)
    earn(room, room.students[0], b)
    issued_ago(room, room.students[0], b, days=3)
    earn(room, room.students[0], a)
    assert slugs(room, room.students[0]) == sorted([a.slug, b.slug])
    page = room.enter(room.students[0]).get(f"badges/{whole.slug}").text
    assert "earned too early" in page and "1 of 2" in page
    issued_ago(room, room.students[0], b, days=0)
    room.run("evaluate", str(room.id))
    assert whole.slug in slugs(room, room.students[0])


def test_parts_that_lie_too_far_apart_do_not_count(room):  # noqa: F811
    a, b = part(), part()
    whole = stack(a, b, within="P30D")
    publish(room, a, b, whole)
    earn(room, room.students[0], a)
    issued_ago(room, room.students[0], a, days=31)
    earn(room, room.students[0], b)
    assert whole.slug not in slugs(room, room.students[0])
    with room.tool.db.read() as session:
        query = select(Mastery.record).where(Mastery.tag.in_((f"badge:{a.slug}", f"badge:{b.slug}")))
        states = {
            each["state"]
            for each in session.scalars(query.where(Mastery.person_id == room.person_id(room.students[0])))
        }
    assert states == {"met", "apart"}
    issued_ago(room, room.students[0], a, days=29)
    room.run("evaluate", str(room.id))
    assert whole.slug in slugs(room, room.students[0])


def test_credits_are_those_of_the_versions_that_were_awarded(room):  # noqa: F811
    a, b, c = part(credits=Decimal("1.5")), part(credits=Decimal("1.5")), part()
    whole = stack(a, b, c, rule="credits 3", credits=Decimal("3"))
    publish(room, a, b, c, whole)
    earn(room, room.students[0], a, c)
    page = room.enter(room.students[0]).get(f"badges/{whole.slug}").text
    assert "You have 1.5 of 3 credits. Missing: the badge “Careful Work”." in page
    earn(room, room.students[0], b)
    award = award_of(room, room.students[0], whole)
    assert award["status"] == "issued" and document(room, award)["credentialSubject"]["creditsEarned"] == 3


# -- what becomes of it


def test_a_part_that_is_withdrawn_opens_a_review_and_changes_nothing_by_itself(room):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    whole = stack(a, b)
    publish(room, a, b, whole)
    earn(room, room.students[0], a, b)
    before = document(room, award_of(room, room.students[0], whole))
    award_acts.revoke(room.tool, award_of(room, room.students[0], a)["id"], "A mistake", actor="operator", now=now())
    assert reviews(room, whole) == ["1 of 2. Missing: the badge “First” (withdrawn)."]  # nobody asked for a sync
    after = award_of(room, room.students[0], whole)
    assert after["status"] == "issued" and document(room, after) == before
    other = part(name="Third")
    publish(room, other)
    room.sync()
    assert award_of(room, room.students[0], whole)["id"] == after["id"]


def test_the_parts_of_somebody_elsewhere_are_missed_when_all_of_them_are_withdrawn(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    student = there.students[0]
    a, b = part(name="First"), part(name="Second")
    publish(there, a, b)
    whole = stack(a, b, once="person")
    publish(here, whole)
    earn(there, student, a, b)
    kept = award_of(here, student, whole)
    for each in (a, b):
        award = award_of(there, student, each)["id"]
        award_acts.revoke(there.tool, award, "A mistake", actor="operator", now=now())
    assert reviews(here, whole) == ["0 of 2. Missing: the badge “First” (withdrawn), the badge “Second” (withdrawn)."]
    after = award_of(here, student, whole)
    assert (after["status"], after["credential_url"]) == ("issued", kept["credential_url"])


def test_of_any_two_of_three_one_may_be_withdrawn_without_a_review(room):  # noqa: F811
    parts = [part(), part(), part()]
    whole = stack(*parts, rule="any 2")
    publish(room, *parts, whole)
    earn(room, room.students[0], *parts)
    award_acts.revoke(
        room.tool, award_of(room, room.students[0], parts[0])["id"], "A mistake", actor="operator", now=now()
    )
    assert reviews(room, whole) == []
    award_acts.revoke(
        room.tool, award_of(room, room.students[0], parts[1])["id"], "A mistake", actor="operator", now=now()
    )
    assert len(reviews(room, whole)) == 1


def test_a_part_whose_time_is_over_opens_a_review_and_is_settled_when_it_is_earned_again(room):  # noqa: F811
    a = part(name="First", expires_after="P1D")
    whole = stack(a)
    publish(room, a, whole)
    earn(room, room.students[0], a)
    first = award_of(room, room.students[0], a)["id"]
    with room.tool.db.write() as session:
        session.get_one(Award, first).expires_at = now() - timedelta(seconds=1)
    room.sync()
    assert reviews(room, whole) == ["0 of 1. Missing: the badge “First” (no longer valid)."]
    room.badge = a
    room.grade(room.students[0], 3)
    room.sync()
    assert len([each for each in room.awards() if each["badge"] == a.slug]) == 2
    assert reviews(room, whole) == []


def test_a_reissued_part_keeps_the_stack_as_it_is(room):  # noqa: F811
    a = part()
    whole = stack(a)
    publish(room, a, whole)
    earn(room, room.students[0], a)
    kept = award_of(room, room.students[0], whole)
    who = _session_of(room, room.teacher)
    award_id = award_of(room, room.students[0], a)["id"]
    seal = reissues.page(room.tool, who, a.slug, award_id).seal
    reissues.reissue(room.tool, who, a.slug, award_id, "A name", seal, actor="operator", now=now())
    editions.sign_pending(room.tool)
    assert award_of(room, room.students[0], whole)["id"] == kept["id"] and reviews(room, whole) == []


def _session_of(room: Classroom, user: Any) -> Any:  # noqa: F811
    visitor = room.enter(user)
    jar = visitor.http.get_adapter("http://").jar
    secret = next(each.value for each in jar if each.name.endswith("browser"))
    return launches.find_session(room.tool, visitor.launch, secret, now())


def test_two_ids_of_one_person_are_one_when_they_are_linked(room):  # noqa: F811
    a, b = part(), part()
    whole = stack(a, b)
    publish(room, a, b, whole)
    one, other = room.students
    earn(room, one, a)
    earn(room, other, b)
    assert whole.slug not in slugs(room, one) + slugs(room, other)
    link = people.link(room.tool, room.person_id(other), room.person_id(one), actor="operator", now=now())
    assert whole.slug in slugs(room, one) + slugs(room, other)  # nobody asked for a sync
    with room.tool.db.read() as session:
        count = select(func.count()).select_from(Award).join(CourseBadge)
        assert session.scalar(count.where(CourseBadge.slug == whole.slug)) == 1
    people.unlink(room.tool, link, actor="operator", now=now())
    assert len(reviews(room, whole)) == 1


def test_G15_a_new_version_asks_for_more_of_new_learners_and_doubts_no_award(room):  # noqa: F811
    a, b = part(), part()
    whole = stack(a, name="The Whole")
    publish(room, a, b, whole)
    earn(room, room.students[0], a)
    more = replace(whole, stack=Stack((b.slug,)))
    room.put(more)
    page = room.enter(room.teacher).get(f"badges/{whole.slug}/plan").text
    assert "This badge is a new part of it." in page and "This badge is no part of it any more." in page
    publish(room, more)
    room.sync()
    assert award_of(room, room.students[0], whole)["badge_version"] == 1 and reviews(room, whole) == []
    earn(room, room.students[1], a)
    assert whole.slug not in slugs(room, room.students[1])
    earn(room, room.students[1], b)
    assert award_of(room, room.students[1], whole)["badge_version"] == 2


# -- what is refused


def test_a_circle_of_four_is_refused_with_the_way_round(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    base = part()
    publish(here, base)
    one = stack(base, name="One")
    publish(here, one)
    two = stack(one, name="Two")
    publish(there, two)
    three = stack(two, name="Three")
    publish(here, three)
    four = stack(three, name="Four")
    publish(there, four)
    with pytest.raises(DefinitionInvalid) as refused:
        here.put(replace(one, stack=Stack((base.slug, four.slug))))
    way = " asks for ".join(f"“{each.slug}”" for each in (one, four, three, two, one))
    assert way in refused.value.lines()[0]
    assert here.put(one) == "unchanged"


def test_a_circle_that_a_draft_closes_is_refused_when_it_is_published(room):  # noqa: F811
    a, b = part(), part()
    one, two = stack(a), stack(b)
    publish(room, a, b, one, two)
    room.put(replace(two, stack=Stack((b.slug, one.slug))))
    with pytest.raises(DefinitionInvalid, match="before itself"):
        room.put(replace(one, stack=Stack((a.slug, two.slug))))
    with room.tool.db.write() as session:  # whatever way it came there
        catalog.get_badge(session, room.id, one.slug).draft = replace(one, stack=Stack((a.slug, two.slug))).content()
    room.badge = one
    with pytest.raises(CannotPublish, match="before itself"):
        room.publish_again()


def test_the_same_slug_elsewhere_is_another_badge_and_no_circle(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    mine, theirs = part(slug="shared-name", description="Mine."), part(slug="shared-name", description="Theirs.")
    publish(there, theirs)  # takes the public slug
    whole = stack(theirs)
    publish(there, whole)
    publish(here, mine)
    over = stack(whole, slug="over-all")
    publish(here, over)
    again = replace(mine, prerequisites=("over-all",))  # theirs is in that stack, not mine
    assert here.put(again) == "changed"


def test_a_part_that_is_not_published_yet_is_named_as_what_stands_in_the_way(room):  # noqa: F811
    a = part()
    room.put(a)
    room.put(stack(a))
    with pytest.raises(CannotPublish) as refused:
        room.publish_again()
    assert f"“{a.name}” is a part of it, and has not been published yet" in refused.value.sentence


def test_more_credits_than_the_parts_give_are_refused_when_saved(room):  # noqa: F811
    a = part(credits=Decimal("2"))
    publish(room, a)
    with pytest.raises(DefinitionInvalid, match="asks for 3 credits, and all its badges together give 2"):
        room.put(stack(a, rule="credits 3"))
    assert room.put(stack(a, rule="credits 2")) == "new"


def test_a_stack_goes_through_its_file_unchanged(room):  # noqa: F811
    a = part()
    publish(room, a)
    whole = stack(a, rule="any 1", ordered=True, within="P1Y6M", once="person")
    text = write_definition(whole)
    assert "[stack]" in text and read_definition(text, "whole.toml") == whole
    page = room.enter(room.teacher)
    assert page.post("import", files={"file": ("whole.toml", text)}).status_code == 200
    room.badge = whole
    assert room.publish_again().state == "done"
    assert page.get(f"badges/{whole.slug}/badge.toml").text == text


# -- the credential


def document(room: Classroom, award: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Edition.document).where(Edition.award_id == award["id"]).order_by(Edition.number.desc())
        found: dict[str, Any] = json.loads(session.scalars(query).first() or b"{}")
    return found


def test_the_credential_names_its_parts_and_only_public_credentials_of_them(room):  # noqa: F811
    a, b, c = part(name="First"), part(name="Second"), part(name="Third")
    whole = stack(a, b, c, rule="any 2", credits=Decimal("2"))
    publish(room, a, b, c, whole)
    student = room.students[0]
    earn(room, student, a)
    choices.choose(
        room.tool, award_of(room, student, a)["id"], choices.Choices(public=True), actor="operator", now=now()
    )
    earn(room, student, c)
    award = award_of(room, student, whole)
    told = document(room, award)
    subject = told["credentialSubject"]
    parts = subject["achievement"]["resultDescription"]
    assert [each["name"] for each in parts] == ["First", "Second", "Third"]
    assert all(each["alignment"][0]["targetType"] == "ceterms:Credential" for each in parts)
    assert parts[0]["alignment"][0]["targetUrl"] == f"{room.scene.url}/achievements/{a.slug}/v1"
    told_of = {each["resultDescription"]: each["status"] for each in subject["result"]}
    address = subject["achievement"]["id"]
    assert told_of == {gate_id(address, a.slug): "Completed", gate_id(address, c.slug): "Completed"}
    public = award_of(room, student, a)["credential_url"]
    assert [each["id"] for each in told["evidence"]] == [public]  # the other one is hers alone
    rows = {each["tag"]: each for each in award["decision"]["rows"]}
    assert "credential" not in rows[f"badge:{c.slug}"]
    choices.choose(room.tool, award["id"], choices.Choices(public=True), actor="operator", now=now())
    stranger = room.scene.launch(room.teacher.id, room.course.id)
    page = stranger.get(award["credential_url"].removeprefix(room.scene.url)).text
    assert "First" in page and "Third" in page and "Second" not in page and public in page
    described = stranger.get(f"/achievements/{whole.slug}/v1").text
    assert f"/achievements/{b.slug}/v1" in described and "Any two of these three badges." in described


def test_a_renewed_stack_names_the_public_credentials_of_its_parts_as_they_are_now(room):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    whole = stack(a, b, expires_after="P30D")
    publish(room, a, b, whole)
    student = room.students[0]
    earn(room, student, a)
    choices.choose(
        room.tool, award_of(room, student, a)["id"], choices.Choices(public=True), actor="operator", now=now()
    )
    earn(room, student, b)
    award = award_of(room, student, whole)
    public = award_of(room, student, a)["credential_url"]
    assert [each["id"] for each in document(room, award)["evidence"]] == [public]
    with room.tool.db.read() as session:
        badge_id = session.get_one(Award, award["id"]).course_badge_id
    last_days(room, award["id"])
    expiry.renew(room.tool, badge_id, [award["id"]], actor="operator", now=now())
    editions.sign_pending(room.tool)
    renewed = award_of(room, student, whole)
    assert renewed["credential_url"] != award["credential_url"]
    assert [each["id"] for each in document(room, renewed)["evidence"]] == [public]


def test_I04_it_is_signed_again_to_the_same_bytes_when_its_parts_have_newer_versions(room):  # noqa: F811
    a = part(name="First")
    whole = stack(a)
    publish(room, a, whole)
    earn(room, room.students[0], a)
    award = award_of(room, room.students[0], whole)
    before = json.dumps(document(room, award))
    publish(room, replace(a, name="First, renamed"))
    room.tool.templates.clear()
    with room.tool.db.write() as session:
        edition = session.scalars(select(Edition).where(Edition.award_id == award["id"])).one()
        edition.signed_at = edition.document = edition.jwt = None
        session.get_one(Award, award["id"]).status = "pending"
    editions.sign_pending(room.tool)
    assert json.dumps(document(room, award)) == before
    with room.tool.db.read() as session:
        kept = session.scalars(select(AchievementVersion).join(Achievement).where(Achievement.slug == whole.slug)).one()
        assert [(each["name"], each["version"]) for each in kept.members] == [("First", 1)]


def test_a_stack_given_by_hand_tells_of_no_parts_that_were_not_earned(room):  # noqa: F811
    a = part()
    whole = stack(a)
    publish(room, a, whole)
    page = room.enter(room.teacher)
    sent = {"person": room.person_id(room.students[0]), "note": "A certificate of 2019.", "levels": "stand"}
    assert page.post(f"badges/{whole.slug}/awards/give", sent).status_code == 200
    editions.sign_pending(room.tool)
    given = award_of(room, room.students[0], whole)
    assert given["given"] == "hand" and "result" not in document(room, given)["credentialSubject"]


# -- the pages


def test_the_matrix_shows_learners_by_badge_and_a_cell_opens_where_it_came_from(room):  # noqa: F811
    a, b = part(name="First"), part(name="Second")
    whole = stack(a, b)
    publish(room, a, b, whole)
    earn(room, room.students[0], a)
    page = room.enter(room.teacher)
    matrix = page.get(f"badges/{whole.slug}").text
    assert "Learners by badge." in matrix and "1 of 2" in matrix and "First" in matrix and "Second" in matrix
    assert "Most often missing" in matrix
    cell = page.get(f"badges/{whole.slug}/record/{room.person_id(room.students[0])}/badge:{a.slug}").text
    assert "is in force and counts." in cell and "an award of this institution" in cell
    text = page.get(f"badges/{whole.slug}/progress.csv").text
    assert "Learner,First,Second,Badge" in text and ",earned,," in text


def test_a_learner_sees_the_tree_with_where_she_stands_in_each_badge(make_room):  # noqa: F811
    here, there = make_room(), make_room()
    student = here.students[0]
    a, b, elsewhere = part(name="First"), part(name="Second"), part(name="Far away")
    publish(here, a, b)
    publish(there, elsewhere)
    middle = stack(a, b, name="Middle")
    publish(here, middle)
    top = stack(middle, elsewhere, name="Top", once="person")
    publish(there, top)  # in another course altogether
    earn(here, student, a)
    home = here.enter(student).page.text
    tree = home.partition('class="tree"')[2].partition("</section>")[0]
    for words in (
        "Top",
        "Middle",
        "1 of 2 badges so far",
        "Far away",
        f"Offered in {there.course.label}",
        "Not started",
    ):
        assert words in tree, words
    assert 'class="node done"' in tree and 'class="node way"' in tree and 'class="node todo"' in tree
    with there.tool.db.read() as session:
        badge_id = catalog.get_badge(session, there.id, top.slug).id
    page = here.enter(student)
    shown = page.get(f"badges/{badge_id}")
    assert shown.status_code == 200 and f"This badge belongs to {there.course.label}." in shown.text
    earn(here, student, b)
    there.lms.enrol(there.course, student)
    there.enter(student)
    earn(there, student, elsewhere)
    home = here.enter(student).page.text
    assert "Top is yours" in home and f"badges/{badge_id}/claim" in home  # earned elsewhere, claimed from here
    claim = here.enter(student).get(f"badges/{badge_id}/claim")
    assert claim.status_code == 200 and "What may others see?" in claim.text
    assert here.enter(student).get(f"badges/{badge_id}/picture.svg").text.startswith("<svg")


def test_a_stack_of_another_platform_or_one_that_is_not_for_her_looks_as_if_it_were_not_there(make_room):  # noqa: F811
    here, there, canvas = make_room(), make_room(), make_room(mood="canvas")
    a = part()
    publish(there, a)
    publish(there, stack(a))
    with there.tool.db.read() as session:
        not_hers = there.course_badge(session).id
    publish(canvas, part())
    publish(canvas, stack(canvas.badge, once="person"))
    with there.tool.db.read() as session:
        other_platform = canvas.course_badge(session).id
    page = here.enter(here.students[0])
    for badge_id in (not_hers, other_platform, "0" * 32):
        for path in (f"badges/{badge_id}", f"badges/{badge_id}/claim", f"badges/{badge_id}/picture.svg"):
            assert page.get(path).status_code == 404


def test_J15_nothing_of_this_is_asked_of_the_network_inside_a_transaction(room):  # noqa: F811
    a = part()
    publish(room, a, stack(a))
    requests = len(room.lms.requests)
    work.wait(room.tool, work.request(room.tool, "evaluate", str(room.id), now()), RUNNERS)
    assert len(room.lms.requests) == requests


def test_a_whole_class_that_has_not_changed_is_not_judged_again(room):  # noqa: F811
    a = part()
    whole = stack(a)
    publish(room, a, whole)
    earn(room, room.students[0], a)
    room.badge = whole
    with room.tool.db.write() as session:
        assert evaluation.evaluate(session, room.course_badge(session), now()) == {"unchanged": 1}
