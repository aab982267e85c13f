"""What else an LMS may send: links that name a badge, data privacy launches, and messages nobody here knows."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from lti_tool.demo.launches import INSTITUTION, MEMBERSHIP, SYSTEM
from lti_tool.models import AuditEvent, Launch, Person
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)

PRIVACY = "DataPrivacyLaunchRequest"


# -- links that name a badge


def named(room, who, **custom):  # noqa: F811
    link = room.lms.add_link(room.course, room.scene.lti_tool[room.mood], "A link", custom=custom)
    return room.enter(who, link=link).page


def test_a_link_that_names_a_badge_opens_its_page_for_either_side(room):  # noqa: F811
    room.publish(badge())
    assert named(room, room.teacher, badge=room.badge.slug).url.endswith(f"/badges/{room.badge.slug}")
    learners = named(room, room.students[0], badge=room.badge.slug)
    assert "/me/" in learners.url and learners.url.endswith(f"/badges/{room.badge.slug}")


@pytest.mark.parametrize("slug", ["nothing", "../../admin", "<b>x</b>", "a" * 3000, "مرحبا", "a\nb", "%00"])
def test_a_link_that_names_no_badge_of_the_course_leads_to_its_home_with_a_sentence(room, slug):  # noqa: F811
    room.publish(badge())
    for who in (room.teacher, room.students[0]):
        page = named(room, who, badge=slug)
        assert page.status_code == 200 and "names a badge that is not open in this course" in page.text
        assert "<b>x" not in page.text


def test_a_link_to_another_courses_badge_leads_to_the_home(make_room):  # noqa: F811
    mine, other = make_room(), make_room()
    other.publish(badge())
    assert "not open in this course" in named(mine, mine.teacher, badge=other.badge.slug).text


def test_a_link_to_a_draft_leads_a_learner_to_her_home(room):  # noqa: F811
    room.put(badge())
    assert named(room, room.teacher, badge=room.badge.slug).url.endswith("/plan")
    page = named(room, room.students[0], badge=room.badge.slug)
    assert "not open in this course" in page.text and "Careful Work" not in page.text


def test_a_link_to_a_row_that_is_gone_leads_to_the_badge(room):  # noqa: F811
    room.publish(badge())
    page = named(room, room.students[0], badge=room.badge.slug, sub_competency="GONE")
    assert page.url.endswith(f"/badges/{room.badge.slug}")


def test_an_ordinary_link_says_nothing_of_badges(room):  # noqa: F811
    page = named(room, room.teacher, colour="blue")
    assert "not open in this course" not in page.text


# -- data privacy


def privacy(room, who, of, roles=None):  # noqa: F811
    claims = {} if roles is None else {"roles": roles}
    return room.enter(
        who,
        message_type=PRIVACY,
        for_user=of,
        auth={"claims": claims, "drop": ["context", "resource_link", "ags", "nrps"]},
    )


@pytest.fixture
def awarded(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 4)
    room.sync()
    return room


def count(room, table):  # noqa: F811
    with room.tool.db.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_person_sees_what_is_kept_about_herself(awarded):
    student = awarded.students[0]
    awarded.enter(student)
    page = privacy(awarded, student, student).page
    assert page.status_code == 200
    assert "What is kept about you" in page.text
    for part in (
        "name, e-mail address",
        "Grades, as the gradebook sent them",
        "<b>2</b>",
        "none with a public page",
        "for five years after the course ended",
    ):
        assert part in page.text
    assert "Hallwood University keeps this data" in page.text and "https://hallwood.example" in page.text


def test_a_data_privacy_launch_opens_no_session_and_makes_nobody_known(awarded):
    fresh = awarded.lms.add_user(None, "student")
    people, sessions = count(awarded, Person), count(awarded, Launch)
    page = privacy(awarded, fresh, fresh).page
    assert "Nothing. You have not opened this tool" in page.text
    assert (count(awarded, Person), count(awarded, Launch)) == (people, sessions)
    assert "browser=" not in page.headers.get("Set-Cookie", "").replace("__Host-", "")


@pytest.mark.parametrize("uri", [f"{INSTITUTION}#Administrator", f"{SYSTEM}#Administrator", f"{SYSTEM}#SysAdmin"])
def test_an_administrator_of_the_lms_sees_kinds_and_counts_and_no_grade_badge_or_course(awarded, uri):
    student = awarded.students[0]
    page = privacy(awarded, awarded.teacher, student, [uri]).page
    assert page.status_code == 200 and "What is kept about this person" in page.text
    assert "<b>2</b>" in page.text
    for hidden in (student.family_name, student.email, "Careful Work", awarded.course.label, "Proficient", "/course/"):
        assert hidden not in page.text
    with awarded.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.action == "privacy.looked").order_by(AuditEvent.id.desc())
        event = session.scalars(query).first()
    assert event.subject == f"person:{awarded.person_id(student)}"


@pytest.mark.parametrize(
    "uri", [f"{MEMBERSHIP}#Instructor", f"{MEMBERSHIP}#Administrator", f"{INSTITUTION}#Instructor"]
)
def test_nobody_else_sees_what_is_kept_about_another(awarded, uri):
    page = privacy(awarded, awarded.teacher, awarded.students[0], [uri]).page
    assert page.status_code == 403 and "about the data of somebody else" in page.text
    learner = privacy(awarded, awarded.students[1], awarded.students[0]).page
    assert learner.status_code == 403


def test_another_platforms_person_of_the_same_id_is_not_looked_at(make_room):  # noqa: F811
    moodle = make_room(mood="moodle", students=1)
    canvas = make_room(mood="canvas", students=0)
    twin = canvas.lms.add_user(None, "student", user_id=moodle.students[0].id)
    moodle.enter(moodle.students[0])
    assert "Nothing. You have not opened this tool" in privacy(canvas, twin, twin).page.text


def test_a_person_who_was_shut_out_opens_no_data_privacy_page(awarded):
    student = awarded.students[0]
    with awarded.tool.db.write() as session:
        session.get_one(Person, awarded.person_id(student)).disabled = True
    assert privacy(awarded, student, student).page.status_code == 403


# -- messages nobody here knows


@pytest.mark.parametrize(
    "name", ["LtiStartProctoring", "LtiEulaRequest", "<script>alert(1)</script>", "🏅\u202eRTL", "x" * 500]
)
def test_any_other_message_gets_a_page_with_the_name_the_lms_gives_it(room, name):  # noqa: F811
    page = room.enter(room.teacher, auth={"claims": {"message_type": name}}).page
    assert page.status_code == 400
    assert "Your LMS asked for “" in page.text and "which this tool does not do" in page.text
    assert "<script>alert" not in page.text
    assert "x" * 61 not in page.text
    if "script" in name:
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize("value", [None, "", 7, ["LtiResourceLinkRequest"], {"a": 1}, "\0"])
def test_a_message_without_a_usable_type_gets_a_page_too(room, value):  # noqa: F811
    page = room.enter(room.teacher, auth={"claims": {"message_type": value}}).page
    assert page.status_code == 400 and "which this tool does not do" not in page.text
