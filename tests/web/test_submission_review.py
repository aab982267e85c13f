"""Submission review: an instructor sees one learner's levels and how they came; a learner her own and nobody else's."""

from __future__ import annotations

import pytest
import requests
from lxml import html

from lti_tool.demo import SUBMISSION_REVIEW
from lti_tool.demo.launches import INSTITUTION, MEMBERSHIP
from tests.classroom import badge, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.evidence import PDF, send
from tests.placing import answer, choose

MODULE = {"placement": "module_index_menu_modal"}


@pytest.fixture(params=["canvas", "moodle"])
def course(request, make_room):  # noqa: F811
    """A published badge whose two sub-competencies were placed as links, graded for the first of two learners."""
    made = make_room(mood=request.param)
    made.put(badge())
    several = MODULE if request.param == "canvas" else {}
    answer(choose(made, **several), f"{made.badge.slug} A", f"{made.badge.slug} B").bring()
    for column in made.columns:
        made.lms.publish_column(made.course, column)
    made.publish_again()
    made.grade(made.students[0], 4, 2)
    made.sync()
    return made


def link_of(course, code: str):
    return next(link for link in course.lms.links_of(course.course) if link.title.startswith(f"{code} "))


def review(course, who, of, code: str = "A", **options):
    return course.enter(who, message_type=SUBMISSION_REVIEW, link=link_of(course, code), for_user=of, **options)


def words(page) -> str:
    return " ".join(html.fromstring(page.text).text_content().split())


def test_an_instructor_sees_the_levels_and_marks_behind_the_column(course):
    page = review(course, course.teacher, course.students[0]).page
    assert page.status_code == 200 and page.url.endswith("/review")
    shown = words(page)
    student = course.students[0]
    assert f"{student.given_name} {student.family_name}" in shown
    assert "Met: Advanced, needs Proficient." in shown and "4 of 4" in shown
    assert "The rest of this badge" in shown and "Not yet: Developing, needs Proficient." in shown
    first = html.fromstring(page.text).xpath("//ul[@class='rows']/li//h3")[0].text_content()
    assert first.endswith("A") and first.startswith("Row A")


def test_an_instructor_sees_what_was_handed_in_beside_the_row_and_no_draft(course):
    learner = course.enter(course.students[0])
    send(learner, course, kind="reflection", content="Next time I begin with the end.")
    send(learner, course, kind="file", file=("talk.pdf", PDF))
    send(learner, course, kind="text", content="Not yet.", act="draft")
    visitor = review(course, course.teacher, course.students[0])
    assert "Next time I begin with the end." in words(visitor.page) and "Not yet." not in words(visitor.page)
    links = html.fromstring(visitor.page.text).xpath("//ul[@class='rows']//a/@href")
    (file,) = [each for each in links if each.endswith("/file")]
    assert visitor.http.get(f"{course.scene.url}{file}", timeout=20).content == PDF


def test_the_column_says_what_is_reviewed_and_the_links_parameters_do_where_there_is_none(course):
    for auth in ({}, {"auth": {"claims": {"ags": {"lineitem": None}}}}):
        page = review(course, course.teacher, course.students[0], "B", **auth).page
        first = html.fromstring(page.text).xpath("//ul[@class='rows']/li//h3")[0].text_content()
        assert first.startswith("Row B")


def test_where_the_lms_names_neither_column_nor_badge_all_badges_are_shown(course):
    course.publish(badge(name="Second Badge"))
    auth = {"claims": {"ags": {"lineitem": None}}, "drop": ["custom"]}
    shown = words(review(course, course.teacher, course.students[0], auth=auth).page)
    assert "Careful Work" in shown and "Second Badge" in shown


def test_a_line_item_is_recognised_under_another_host(course):
    url = course.lms.lineitem_url(course.column("B")).replace("localhost", "vanity.example")
    auth = {"claims": {"ags": {"lineitem": url}}, "drop": ["custom"]}
    page = review(course, course.teacher, course.students[0], auth=auth).page
    assert html.fromstring(page.text).xpath("//ul[@class='rows']/li//h3")[0].text_content().startswith("Row B")


def test_a_learner_is_led_to_her_own_badge(course):
    student = course.students[0]
    page = review(course, student, student).page
    assert page.status_code == 200 and page.url.endswith(f"/badges/{course.badge.slug}") and "/me/" in page.url


def test_a_learner_who_forges_for_user_sees_nothing_of_the_other(course):
    """Moodle 4.5.6 signs launch.php?action=gradeReport&user=OTHER for a student (seen)."""
    forger, other = course.students[1], course.students[0]
    refused = review(course, forger, other)
    assert refused.page.status_code == 403
    assert "This is the work of somebody else." in refused.page.text
    assert other.family_name not in refused.page.text and "Set-Cookie" not in refused.page.headers
    mine = review(course, forger, forger)
    launch = mine.page.url.split("/me/")[1].split("/")[0]
    assert mine.http.get(f"{course.scene.url}/course/{launch}/review", timeout=10).status_code == 403


@pytest.mark.parametrize(
    "roles",
    [
        [f"{INSTITUTION}#Instructor"],
        [f"{INSTITUTION}#Administrator"],
        [f"{INSTITUTION}#Instructor", f"{MEMBERSHIP}#Learner"],
        [f"{MEMBERSHIP}#Mentor"],
        ["http://purl.imsglobal.org/vocab/lis/v2/membership/Learner#Instructor"],
        [],
    ],
)
def test_no_role_but_one_in_this_course_opens_the_work_of_another(course, roles):
    refused = review(course, course.students[1], course.students[0], auth={"claims": {"roles": roles}})
    assert refused.page.status_code == 403
    assert course.students[0].family_name not in refused.page.text


ASSISTANT = ["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"]


def test_a_teaching_assistant_may_review_as_the_setting_says(course):
    look = review(course, course.teacher, course.students[0], auth={"claims": {"roles": ASSISTANT}})
    assert look.page.status_code == 200 and "Met: Advanced" in words(look.page)
    before = course.tool.settings.lti.teaching_assistants
    course.tool.settings.lti.__dict__["teaching_assistants"] = "none"
    try:
        refused = review(course, course.teacher, course.students[0], auth={"claims": {"roles": ASSISTANT}})
        assert refused.page.status_code in (200, 403) and "Met: Advanced" not in words(refused.page)
        assert course.students[0].family_name not in refused.page.text
    finally:
        course.tool.settings.lti.__dict__["teaching_assistants"] = before


def test_somebody_the_roster_does_not_name_gets_a_sentence(course):
    stranger = course.lms.add_user(None, "student", given_name="Stranger")
    shown = words(review(course, course.teacher, stranger).page)
    assert "This learner is not known here yet" in shown and "Stranger" not in shown


def test_a_learner_known_from_another_course_is_not_shown_in_this_one(make_room, course):  # noqa: F811
    elsewhere = make_room(mood=course.mood, students=1)
    elsewhere.enter(elsewhere.students[0])
    shown = words(review(course, course.teacher, elsewhere.students[0]).page)
    assert "This learner is not known here yet" in shown
    assert elsewhere.students[0].family_name not in shown


def test_whoever_left_the_course_is_shown_with_a_word(course):
    course.lms.unenrol(course.course, course.students[0])
    course.sync()
    shown = words(review(course, course.teacher, course.students[0]).page)
    assert "not a learner of this course now" in shown and "Met: Advanced" in shown


def test_the_review_belongs_to_its_own_launch(course):
    plain = course.enter(course.teacher)
    assert plain.get("review").status_code == 404


def test_a_sync_from_the_review_comes_back_to_it(course):
    visitor = review(course, course.teacher, course.students[0])
    token = html.fromstring(visitor.page.text).xpath("//input[@name='csrf']/@value")[0]
    home = visitor.page.url.removesuffix("review")
    done = visitor.http.post(f"{home}sync", data={"csrf": token, "review": "yes"}, timeout=20)
    assert done.status_code == 200 and done.url.endswith("/review")


def test_a_review_of_a_badge_that_is_a_draft_says_that_nothing_is_published(room):  # noqa: F811
    room.put(badge())
    answer(choose(room), f"{room.badge.slug} A").bring()
    room.sync()
    page = review(room, room.teacher, room.students[0]).page
    assert "No badge of this course has been published yet" in words(page)


def test_moodles_gradebook_offers_a_review_of_each_graded_activity_and_canvas_does_not(course):
    address = f"{course.lms.server_root}/course/{course.course.number}/gradebook"
    host = {"Host": course.lms.browser_root.split("/")[2]}  # a name that only browsers know
    book = requests.get(address, params={"as": course.teacher.id}, headers=host, timeout=10)
    offered = html.fromstring(book.text).xpath("//td//a[contains(@href, 'LtiSubmissionReviewRequest')]/@href")
    assert len(offered) == (2 if course.mood == "moodle" else 0)
    assert all(f"for={course.students[0].id}" in each for each in offered)
