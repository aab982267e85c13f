"""Copied courses: what is offered to whom, what comes along, and that nothing is made twice."""

from __future__ import annotations

import html
import logging

import pytest
from sqlalchemy import select

from lti_tool.domain.badge import Picture
from lti_tool.jobs import RUNNERS
from lti_tool.models import Column, Course, CourseBadge, CourseCopy, Deployment
from lti_tool.services import work
from tests.classroom import Classroom, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.credentials.test_picture import png
from tests.scene import now

MOODS = ["moodle", "canvas"]


def copy_of(source: Classroom, make_room, **options) -> Classroom:  # noqa: F811
    """The copy of a room's course as its teacher finds it, before she has opened the tool there."""
    copied = make_room(mood=source.mood)
    copied.course = source.lms.copy_course(source.course, **options)
    copied.teacher, copied.badge = source.teacher, source.badge
    return copied


def entered(source: Classroom, make_room, **options) -> Classroom:  # noqa: F811
    copied = copy_of(source, make_room, **options)
    copied.page = copied.enter(copied.teacher)
    return copied


def published(make_room, mood: str = "moodle", badges: int = 1) -> Classroom:  # noqa: F811
    source = make_room(mood=mood)
    for _ in range(badges):
        source.publish(badge(rows=4))
    return source


def text(each: Classroom) -> str:
    return html.unescape(" ".join(each.page.get("").text.split()))


def offer(each: Classroom) -> CourseCopy | None:
    with each.tool.db.read() as session:
        return session.scalar(select(CourseCopy).where(CourseCopy.course_id == each.id))


def take(each: Classroom, source: Classroom, *slugs: str):
    return each.page.post(f"copies/{source.id}", {"badge": list(slugs) or [source.badge.slug]})


def columns_made(each: Classroom) -> int:
    made = [r for r in each.lms.requests if r.service == "lineitems" and r.method == "POST" and r.status == 201]
    return len(made)


# -- K01, K05, K06


@pytest.mark.parametrize("mood", MOODS)
def test_K01_a_copied_course_offers_the_badges_of_the_one_it_came_from(make_room, mood):  # noqa: F811
    source = published(make_room, mood, badges=3)
    copied = copy_of(source, make_room)
    twelfth = copied.lms.columns(copied.course)[-1]
    copied.lms.delete_column(copied.course, twelfth)
    copied.page = copied.enter(copied.teacher)
    page = text(copied)
    assert f"This course was copied from {source.course.label}." in page
    assert "3 badges found; 11 of 12 columns recognised." in page
    assert f"Not in this gradebook: {twelfth.label}" in page
    with copied.tool.db.read() as session:  # nothing has happened yet
        assert session.scalars(select(CourseBadge).where(CourseBadge.course_id == copied.id)).all() == []


def test_copied_badges_stand_in_the_order_of_the_course_they_come_from(make_room):  # noqa: F811
    source = make_room()
    slugs = [f"order-{letter}" for letter in "gbfaced"]
    for slug in slugs:
        source.publish(badge(slug, rows=1, columns="none"))
    copied = entered(source, make_room)
    page = text(copied)
    assert "7 badges found." in page and "columns recognised" not in page  # none of them has a column
    take(copied, source, *sorted(slugs))
    with copied.tool.db.read() as session:
        assert [each.slug for each in session.get_one(Course, copied.id).badges] == slugs


@pytest.mark.parametrize("mood", MOODS)
def test_K01_K05_K06_what_is_taken_over_are_drafts_bound_to_what_came_along_and_no_awards(make_room, mood):  # noqa: F811
    source = published(make_room, mood)
    source.grade(source.students[0], 4, 4, 4, 4)
    source.sync()
    copied = copy_of(source, make_room, learners=True)
    copied.lms.delete_column(copied.course, copied.lms.columns(copied.course)[-1])
    copied.page = copied.enter(copied.teacher)
    before = columns_made(copied)
    done = take(copied, source)
    assert "They are drafts here now." in done.text and "was copied from" not in done.text
    with copied.tool.db.read() as session:
        one = copied.course_badge(session)
        assert (one.status, one.version_id, len(one.columns)) == ("draft", None, 3)
        assert all(column.found for column in one.columns)
        urls = {column.url for column in source.course_badge(session).columns}
        assert not urls & {column.url for column in one.columns}
    assert columns_made(copied) == before
    # publishing makes the one that is missing, uses the same version, and counts anew
    assert copied.publish_again().state == "done"
    assert columns_made(copied) == before + 1 and len(copied.columns) == 4
    with copied.tool.db.read() as session:
        assert copied.course_badge(session).version_id == source.course_badge(session).version_id
    copied.sync()
    assert copied.awards() == [] and len(source.awards()) == 1
    student = copied.enter(source.students[0])
    assert "is yours" not in student.page.text


def test_K05_what_is_taken_over_while_the_gradebook_is_being_looked_at_is_bound_all_the_same(make_room):  # noqa: F811
    source = published(make_room)
    copied = entered(source, make_room)
    looked = RUNNERS["copy"]

    def looks_and_is_late(tool, subject, say):
        outcome = looked(tool, subject, say)
        take(copied, source)
        assert "Looking at the gradebook" in copied.page.get(f"{address}/columns").text
        assert "Looking at the gradebook" in copied.page.get(f"{address}/plan").text
        return outcome

    address = f"badges/{source.badge.slug}"
    job_id = work.request(copied.tool, "copy", str(copied.id), now())
    work.run(copied.tool, job_id, {"copy": looks_and_is_late})
    shown = copied.page.get(f"{address}/columns").text
    assert "4 columns, 4 recognised." in shown and "Looking at the gradebook" not in shown


def test_K05_a_badge_that_is_taken_over_and_thrown_away_leaves_the_gradebook_as_it_was(make_room):  # noqa: F811
    source = published(make_room)
    copied = entered(source, make_room)
    take(copied, source)
    columns = [column.number for column in copied.columns]
    assert copied.page.post(f"badges/{source.badge.slug}/remove").status_code == 200
    with copied.tool.db.read() as session:
        assert session.scalars(select(CourseBadge).where(CourseBadge.course_id == copied.id)).all() == []
        ours = select(Column).join(CourseBadge).where(CourseBadge.course_id == source.id)
        assert len(session.scalars(ours).all()) == 4
    assert [column.number for column in copied.columns] == columns


def test_K01_some_are_chosen_and_the_others_are_not_asked_for_again(make_room):  # noqa: F811
    source = published(make_room, badges=2)
    copied = entered(source, make_room)
    assert copied.page.post(f"copies/{source.id}", {"badge": []}).status_code == 409
    take(copied, source, source.badge.slug)
    with copied.tool.db.read() as session:
        slugs = session.scalars(select(CourseBadge.slug).where(CourseBadge.course_id == copied.id)).all()
    assert slugs == [source.badge.slug]
    copied.page = copied.enter(copied.teacher)
    assert "was copied from" not in text(copied)


def test_K01_an_offer_that_is_declined_comes_no_more(make_room):  # noqa: F811
    source = published(make_room)
    copied = entered(source, make_room)
    done = copied.page.post(f"copies/{source.id}", {"decline": "yes"})
    assert "Nothing was taken over." in done.text
    copied.page = copied.enter(copied.teacher)
    assert "was copied from" not in text(copied)
    assert take(copied, source).status_code == 404


def test_K01_the_first_known_course_of_the_history_with_a_badge_counts(make_room):  # noqa: F811
    first = published(make_room)
    second = entered(first, make_room)  # opened, and nothing set up there
    third = entered(second, make_room)
    assert third.lms.course(third.course).history == [second.course.id, first.course.id]
    assert f"copied from {first.course.label}." in text(third)
    take(second, first)
    fourth = entered(second, make_room)
    assert f"copied from {second.course.label}." in text(fourth)


def test_K01_a_course_known_before_its_history_is_sent_is_offered_it_too(make_room):  # noqa: F811
    source = published(make_room)
    copied = copy_of(source, make_room)
    copied.page = copied.enter(copied.teacher, auth={"claims": {"custom": {"context_id_history": ""}}})
    assert "was copied from" not in text(copied)
    copied.page = copied.enter(copied.teacher)
    assert "was copied from" in text(copied)
    # and a launch that finds all as it was, or that tells less, changes nothing
    for told in (None, {"claims": {"custom": {"context_id_history": "$Context.id.history"}}}):
        copied.page = copied.enter(copied.teacher, auth=told)
        assert "was copied from" in text(copied)


def test_K01_where_the_gradebook_is_closed_badges_are_offered_and_the_reason_is_told(make_room):  # noqa: F811
    source = published(make_room, "canvas")
    copied = copy_of(source, make_room)
    copied.lms.conclude_course(copied.course)
    copied.page = copied.enter(copied.teacher)
    page = text(copied)
    assert "1 badge found." in page and "Which columns came along is not known yet." in page
    assert take(copied, source).status_code == 200


def test_K01_a_picture_that_was_uploaded_comes_along(make_room):  # noqa: F811
    source = make_room()
    source.publish(badge(picture=Picture(file="badge.png", alt="A square")), png())
    copied = entered(source, make_room)
    take(copied, source)
    assert copied.publish_again().state == "done"
    with copied.tool.db.read() as session:
        assert copied.course_badge(session).version_id == source.course_badge(session).version_id


# -- a history is a hint, not a right


def forge(victim: Classroom, spy: Classroom, **auth) -> None:
    """Open the spy's course through an activity whose custom parameter names the victim's course."""
    history = {"context_id_history": victim.course.id}
    spy.page = spy.enter(spy.teacher, auth={"claims": {"custom": history}, **auth})


def test_a_forged_history_shows_no_draft_and_no_name_of_another_s_course(make_room):  # noqa: F811
    victim, spy = make_room(), make_room()
    victim.put(badge(name="Secret Plan"))
    forge(victim, spy)
    page = text(spy)
    assert "Secret Plan" not in page and victim.course.label not in page and "copied from" not in page
    assert take(spy, victim).status_code == 404
    # what is published is public anyway, and comes along; its course is not named, its drafts stay where they are
    victim.publish(badge(name="Open Skill"))
    page = text(spy)
    assert "Open Skill" in page and "Secret Plan" not in page
    assert victim.course.label not in page and "copied from another one" in page
    secret = next(b for b in slugs(victim) if b != victim.badge.slug)
    assert take(spy, victim, secret).status_code == 409
    assert take(spy, victim, secret, victim.badge.slug).status_code == 200
    assert slugs(spy) == [victim.badge.slug]


def slugs(each: Classroom) -> list[str]:
    with each.tool.db.read() as session:
        return list(session.scalars(select(CourseBadge.slug).where(CourseBadge.course_id == each.id)))


def test_whoever_manages_both_courses_takes_drafts_along_too(make_room):  # noqa: F811
    source = make_room()
    source.put(badge(name="Half Done"))
    copied = entered(source, make_room)
    assert "Half Done" in text(copied) and "Draft" in text(copied)
    assert take(copied, source).status_code == 200 and slugs(copied) == [source.badge.slug]


def test_a_change_that_is_not_published_yet_stays_where_it_is(make_room):  # noqa: F811
    source = published(make_room)
    changed = badge(source.badge.slug, rows=4, name="Not Yet Said")
    source.put(changed)
    copied = entered(source, make_room)
    assert "Not Yet Said" not in text(copied)
    take(copied, source)
    assert copied.publish_again().state == "done"
    with copied.tool.db.read() as session:
        assert copied.course_badge(session).version_id == source.course_badge(session).version_id


def test_a_learner_and_an_assistant_are_offered_nothing(make_room):  # noqa: F811
    source = published(make_room, "canvas")
    copied = copy_of(source, make_room, learners=True)
    assistant = copied.lms.add_user(copied.course, "ta")
    pages = [copied.enter(each).page.text for each in (source.students[0], assistant)]
    assert not any("copied from" in page for page in pages)


def test_a_history_of_another_platform_means_nothing_here(make_room):  # noqa: F811
    elsewhere, here = published(make_room, "canvas"), make_room(mood="moodle")
    forge(elsewhere, here)
    assert offer(here) is None and "copied from" not in text(here)


def test_K07_the_history_of_another_deployment_counts_only_for_who_manages_that_course(shared, make_room):  # noqa: F811
    source = published(make_room)
    tool = shared.lti_tool["moodle"]
    other = source.lms.add_deployment(tool)
    for teacher, sees in ((source.teacher, True), (None, False)):
        copied = copy_of(source, make_room)
        who = teacher or copied.lms.add_user(copied.course, "instructor")
        link = copied.lms.add_link(copied.course, tool, "Badges", deployment_id=other)
        copied.page = copied.enter(who, link=link)
        assert ("was copied from" in text(copied)) is sees


ENDLESS = ",".join(str(number) for number in range(100_000, 105_000))
ODD = ["", ",,,", "%00", "x" * 300, "truncated", ENDLESS, "%2C%zz", "$x", 100_017, None]


@pytest.mark.parametrize("history", ODD, ids=[str(each)[:12] for each in ODD])
def test_a_history_that_is_odd_breaks_nothing(make_room, history):  # noqa: F811
    odd = make_room()
    odd.page = odd.enter(odd.teacher, auth={"claims": {"custom": {"context_id_history": history}}})
    assert odd.page.page.status_code == 200 and "copied from" not in text(odd)
    with odd.tool.db.read() as session:
        assert len(session.get_one(Course, odd.id).history) <= 100


# -- K02


def test_K02_a_link_whose_history_names_a_known_link_finds_what_it_was_copied_from(make_room):  # noqa: F811
    """A platform that fills in ResourceLink.id.history and not the course's: Canvas and Moodle fill in neither."""
    source = published(make_room)
    tool = source.scene.lti_tool["moodle"]
    link = source.lms.add_link(source.course, tool, "Oral Communication")
    source.page = source.enter(source.teacher, link=link)
    copied = copy_of(source, make_room)
    its = next(each for each in copied.lms.links_of(copied.course) if each.title == "Oral Communication")
    told = {"context_id_history": "$Context.id.history", "resource_link_id_history": f"unknown,{link.id}"}
    copied.page = copied.enter(copied.teacher, link=its, auth={"claims": {"custom": told}})
    assert f"copied from {source.course.label}." in text(copied)
    take(copied, source)
    with copied.tool.db.read() as session:
        assert len(copied.course_badge(session).columns) == 4


@pytest.mark.parametrize("mood", MOODS)
def test_K02_a_variable_that_comes_back_as_it_was_written_is_no_history(make_room, mood):  # noqa: F811
    source = published(make_room, mood)
    source.page = source.enter(
        source.teacher, auth={"claims": {"custom": {"context_id_history": "$Context.id.history"}}}
    )
    assert offer(source) is None


# -- K07, K10


def test_K07_two_deployments_that_name_the_same_gradebook_are_told_to_the_administrator(shared, make_room, caplog):  # noqa: F811
    from lti_tool.services import doctor

    here = published(make_room)
    tool = shared.lti_tool["moodle"]
    link = here.lms.add_link(here.course, tool, "Badges", deployment_id=here.lms.add_deployment(tool))
    with caplog.at_level(logging.WARNING, logger="lti_tool"):
        here.enter(here.teacher, link=link)
    assert "name the same gradebook" in caplog.text
    findings = doctor.examine(shared.tool, shared.platform["moodle"], now())
    told = [each for each in findings if "name the same gradebook" in each.sentence]
    assert [each.ok for each in told] == [False]
    with here.tool.db.read() as session:  # and they stay two courses, each with badges of its own
        courses = list(session.scalars(select(Course).where(Course.context_id == here.course.id)))
        assert len({course.deployment_pk for course in courses}) == 2
        assert session.get_one(Deployment, courses[1].deployment_pk).status == "active"


@pytest.mark.parametrize("mood", MOODS)
def test_K10_a_course_that_has_ended_is_said_to_have_ended_and_an_instructor_starts_it_anew(make_room, mood):  # noqa: F811
    """Canvas answers 422 once a course is concluded; Moodle's services know no end, so there is nothing to stop."""
    here = published(make_room, mood)
    here.grade(here.students[0], 4, 4, 4, 4)
    here.sync()
    here.lms.conclude_course(here.course)
    here.page.post("sync")
    page = text(here)
    assert here.award()["status"] == "issued"
    if mood == "moodle":
        assert "This course has ended" not in page
        return
    assert "This course has ended in your LMS, so its grades are not read any more." in page
    here.page = here.enter(here.teacher)
    asked = len([r for r in here.lms.requests if r.service == "results"])
    here.page = here.enter(here.teacher)  # a launch alone asks nothing more
    assert len([r for r in here.lms.requests if r.service == "results"]) == asked
    here.lms.conclude_course(here.course, False)
    here.page.post("sync")
    assert "This course has ended" not in text(here)
