"""Placing badges from the LMS: there and back in both moods, and columns that are made once."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from lxml import html
from sqlalchemy import select

from lti_tool.domain.badge import Picture
from lti_tool.models import AuditEvent, Column, CourseBadge, Launch, Message
from lti_tool.services.sync import forget_expired
from tests.classroom import badge, gate, make_room, replace, room, row, shared  # noqa: F401 (fixtures)
from tests.placing import DEEP_LINKING, answer, choose, send, values
from tests.scene import now

MODULE = {"placement": "module_index_menu_modal"}  # of Canvas: takes several


@pytest.fixture(params=["canvas", "moodle"])
def course(request, make_room):  # noqa: F811
    made = make_room(mood=request.param, students=1)
    made.put(badge())
    made.several = MODULE if request.param == "canvas" else {}
    return made


def columns(course):
    with course.tool.db.read() as session:
        query = select(Column.tag, Column.url, Column.found, Column.state).join(CourseBadge)
        return session.execute(query.where(CourseBadge.course_id == course.id).order_by(Column.tag)).all()


# -- there and back


def test_what_was_chosen_appears_in_the_course_with_columns_and_opens_the_badge(course):
    slug = course.badge.slug
    assert "Added to the course" in answer(choose(course, **course.several), "badges", slug, f"{slug} A").bring().text
    links = [link for link in course.lms.links_of(course.course) if not link.navigation]
    assert [link.title for link in links] == ["Badges", "Careful Work", "A Row A"]
    made = course.lms.columns(course.course)
    assert [(c.tag, c.resource_id, c.maximum, c.coupled) for c in made] == [
        ("sub-competency:A", f"badge:{slug}", 4, True)
    ]
    general, whole, part = links
    assert course.enter(course.teacher, link=general).page.url.endswith("/")
    assert course.enter(course.teacher, link=whole).page.url.endswith(f"/badges/{slug}/plan")  # a draft still
    course.publish_again()
    assert course.enter(course.teacher, link=part).page.url.endswith(f"/badges/{slug}")
    learner = course.enter(course.students[0], link=part)
    assert learner.page.url.endswith(f"/badges/{slug}#row-A")
    assert 'id="row-A"' in learner.page.text


def test_cancelling_adds_nothing_and_makes_nothing(course):
    before = len(course.lms.links_of(course.course))
    page = answer(choose(course), path="place/cancel").bring()
    assert "Nothing was added" in page.text
    assert len(course.lms.links_of(course.course)) == before and course.lms.columns(course.course) == []


def test_the_picker_survives_a_reload_and_a_second_answer(course):
    picker = choose(course)
    assert picker.get("place").status_code == picker.get("place").status_code == 200
    first, second = answer(picker, "badges"), answer(picker, f"{course.badge.slug} B")
    assert first.items[0]["title"] == "Badges" and second.items[0]["title"] == "B Row B"
    assert second.bring().status_code == 200


def test_an_answer_is_in_the_audit_log_and_a_cancelled_one_is_not(course):
    picker = choose(course, **course.several)
    answer(picker, path="place/cancel")
    answer(picker, "badges", f"{course.badge.slug} A")
    with course.tool.db.read() as session:
        query = select(AuditEvent).where(
            AuditEvent.action == "links.placed", AuditEvent.subject == f"course:{course.id}"
        )
        (event,) = session.scalars(query)
    assert event.detail == {"links": 2, "columns": 1}


# -- columns are bound, never made twice


def test_a_column_that_came_with_a_link_is_bound_when_publishing_and_its_grades_count(course):
    answer(choose(course), f"{course.badge.slug} A").bring()
    placed = course.column("A")
    course.lms.publish_column(course.course, placed)
    outcome = course.publish_again().outcome
    assert (outcome["columns"], outcome["made"]) == (2, 1)
    assert [c.tag for c in course.columns] == ["sub-competency:A", "sub-competency:B"]
    assert [(c.tag, c.found) for c in columns(course)] == [("sub-competency:A", True), ("sub-competency:B", False)]
    course.lms.grade(course.course, placed, course.students[0], 4)
    course.lms.grade(course.course, course.column("B"), course.students[0], 3)
    course.sync()
    assert course.award()["status"] == "issued"


def test_all_columns_from_links_leave_none_to_make(course):
    slug = course.badge.slug
    answer(choose(course, **course.several), f"{slug} A", f"{slug} B").bring()
    assert course.publish_again().outcome["made"] == 0
    assert len(course.lms.columns(course.course)) == 2


def test_a_column_that_is_there_is_placed_as_a_link_without_a_second_one(course):
    course.publish_again()
    picker = choose(course, **course.several)
    assert "its gradebook column is there already" in picker.page.text
    sent = answer(picker, f"{course.badge.slug} A", f"{course.badge.slug} B")
    assert ["lineItem" in item for item in sent.items] == [False, False]
    sent.bring()
    assert len(course.lms.columns(course.course)) == 2


def test_a_column_placed_by_somebody_else_meanwhile_is_seen_in_the_gradebook(course):
    slug = course.badge.slug
    mine = choose(course, **course.several)
    answer(choose(course, **course.several), f"{slug} A").bring()
    sent = answer(mine, f"{slug} A", f"{slug} B")
    assert ["lineItem" in item for item in sent.items] == [False, True]
    sent.bring()
    assert sorted(c.tag for c in course.columns) == ["sub-competency:A", "sub-competency:B"]


def test_an_assignment_of_canvas_is_not_made_for_what_is_in_the_gradebook_already(make_room):  # noqa: F811
    canvas = make_room(mood="canvas", students=0)
    canvas.put(badge())
    slug = canvas.badge.slug
    open_before = choose(canvas)
    answer(choose(canvas), f"{slug} A").bring()
    refused = send(open_before, f"{slug} A")
    assert refused.status_code == 400 and "would make a second column" in refused.text
    canvas.publish_again()
    picker = choose(canvas)
    assert values(picker)
    tree = html.fromstring(picker.page.text)
    assert tree.xpath(f"//input[@value='{slug} A']/@disabled") and not tree.xpath(f"//input[@value='{slug}']/@disabled")
    assert send(picker, f"{slug} B").status_code == 400
    assert "lineItem" not in answer(choose(canvas, **MODULE), f"{slug} B").items[0]


def test_a_deleted_column_comes_back_with_a_placed_link_and_is_bound_when_that_is_opened(course):
    course.publish_again()
    student = course.students[0]
    course.grade(student, 3, 3)
    course.sync()
    course.lms.delete_column(course.course, course.column("A"))
    course.sync()
    assert [c.state for c in columns(course)] == ["missing", "bound"]
    sent = answer(choose(course), f"{course.badge.slug} A")
    assert sent.items[0]["lineItem"]["tag"] == "sub-competency:A"
    sent.bring()
    course.lms.publish_column(course.course, course.column("A"))
    link = next(link for link in course.lms.links_of(course.course) if link.title == "A Row A")
    course.enter(course.teacher, link=link)
    found = columns(course)
    assert [(c.state, c.found) for c in found] == [("bound", True), ("bound", False)]
    assert found[0].url == course.lms.lineitem_url(course.column("A"))
    assert len(course.columns) == 2
    assert course.award(student)["status"] == "issued"  # the new column is empty, which takes nothing back
    assert course.sync().outcome.get("reviews", 0) == 0


def test_a_copied_link_leads_to_the_badge_of_the_copied_course_by_its_parameters(course):
    answer(choose(course), course.badge.slug).bring()
    copy = course.lms.copy_course(course.course)
    (link,) = [link for link in course.lms.links_of(copy) if link.title == "Careful Work"]
    page = course.scene.launch(course.teacher.id, copy.id, link=link).page
    assert "names a badge that is not open in this course" in page.text


def test_links_without_columns_where_the_instructor_wants_none(course):
    (item,) = answer(choose(course, **course.several), f"{course.badge.slug} A", columns=False).items
    assert "lineItem" not in item


def test_a_gradebook_that_does_not_answer_stops_columns_and_not_links(course):
    slug = course.badge.slug
    picker = choose(course, **course.several)
    course.lms.faults.on("lineitems", "status", count=50, status=503)
    refused = send(picker, f"{slug} A")
    assert refused.status_code == 503
    assert "not known which gradebook columns are there already" in refused.text
    assert html.fromstring(refused.text).xpath(f"//input[@value='{slug} A'][@checked]")  # the choice is kept
    assert "lineItem" not in answer(picker, f"{slug} A", columns=False).items[0]


def test_no_column_is_asked_for_where_the_course_has_no_gradebook_for_the_tool(make_room):  # noqa: F811
    closed = make_room(students=0)
    closed.put(badge())
    with closed.tool.db.write() as session:
        course_badge = closed.course_badge(session)
        course_badge.course.line_items_url = None
    drop = {"auth": {"drop": ["ags"]}}
    picker = closed.enter(closed.teacher, message_type=DEEP_LINKING, **drop)
    picker.home = picker.home.removesuffix("place")
    assert "Its gradebook column would have" not in picker.page.text
    assert "lineItem" not in answer(picker, f"{closed.badge.slug} A").items[0]


def test_rows_that_read_no_column_of_their_own_get_none(room):  # noqa: F811
    room.put(badge(sub_competencies=(row("A"), row("B", source="csv")), gates=(gate(),)))
    slug = room.badge.slug
    first, second = answer(choose(room), f"{slug} A", f"{slug} B").items
    assert "lineItem" in first and "lineItem" not in second


def test_a_column_of_half_points_asks_for_its_highest_level(room):  # noqa: F811
    room.put(badge(sub_competencies=(row("A", points=(0.5, 1, 1.5, 2.5)),)))
    (item,) = answer(choose(room), f"{room.badge.slug} A").items
    assert item["lineItem"]["scoreMaximum"] == 2.5


# -- what is chosen


def test_nothing_chosen_is_said_on_the_page(course):
    refused = send(choose(course))
    assert refused.status_code == 400 and "Choose what to place first." in refused.text


@pytest.mark.parametrize("value", ["other-badge", "other-badge A", "{slug} Z", "", " ", "badges A", "<script>", "a\0b"])
def test_what_is_not_offered_cannot_be_placed(course, value):
    refused = send(choose(course), value.format(slug=course.badge.slug))
    assert refused.status_code == 400
    assert "no longer in this course" in refused.text and "<script>" not in refused.text.replace("<script src", "")


def test_another_courses_badge_cannot_be_placed(make_room):  # noqa: F811
    mine, other = make_room(students=0), make_room(students=0)
    other.put(badge())
    assert send(choose(mine), other.badge.slug).status_code == 400


def test_a_choice_that_comes_twice_is_placed_once(room):  # noqa: F811
    room.put(badge())
    assert len(answer(choose(room), "badges", "badges").items) == 1


def test_a_course_without_a_badge_offers_the_library_and_the_general_link(course):
    empty = course.lms.add_course("EMPTY", "Nothing yet")
    course.lms.enrol(empty, course.teacher, "instructor")
    picker = course.scene.launch(course.teacher.id, empty.id, message_type=DEEP_LINKING)
    picker.home = picker.home.removesuffix("place")
    assert "This course has no badge yet" in picker.page.text
    taken = send(picker, path="place/library/empathy")
    assert taken.url.endswith("place?fresh=empathy")
    tree = html.fromstring(taken.text)
    chosen = tree.xpath("//input[@name='item'][@checked]/@value")
    if course.mood == "moodle":  # takes several: its sub-competencies are chosen already
        assert len(chosen) == 4 and all(value.startswith("empathy ") for value in chosen)
    assert tree.xpath("//fieldset//h3")[0].text_content() == "Empathy"
    assert answer(picker, "empathy").items[0]["custom"] == {"badge": "empathy"}


def test_the_picker_holds_three_hundred_badges(make_room):  # noqa: F811
    many = make_room(students=0)
    for number in range(300):
        many.put(badge(f"badge-of-many-{number}", name=f"Badge {number:03}"))
    began = time.monotonic()
    picker = choose(many)
    assert time.monotonic() - began < 10
    assert len(values(picker)) == 1 + 300 * 3
    assert "Find a badge" in picker.page.text
    chosen = [f"badge-of-many-{number} A" for number in range(0, 300, 3)]
    sent = answer(picker, *chosen)
    assert [item["custom"]["badge"] for item in sent.items] == [value.split()[0] for value in chosen]
    assert "Added to the course" in sent.bring().text
    assert len(many.lms.columns(many.course)) == 100


HOSTILE = '<img src=x onerror=alert(1)> "quoted" \u202eRTL\u202c مرحبا 🏅 ' + "long" * 90


def test_names_with_markup_right_to_left_and_emoji_are_shown_and_sent_as_they_are(course):
    course.put(
        badge(
            name=HOSTILE,
            description=HOSTILE,
            picture=Picture(alt=HOSTILE),
            sub_competencies=(replace(row("A"), name=HOSTILE, description=HOSTILE),),
        )
    )
    picker = choose(course, **course.several)
    assert "<img src=x" not in picker.page.text and "🏅" in picker.page.text
    whole, part = answer(picker, course.badge.slug, f"{course.badge.slug} A").items
    assert whole["title"] == HOSTILE[:255] and part["title"] == f"A {HOSTILE}"[:255]
    assert whole["text"] == HOSTILE
    page = answer(picker, course.badge.slug).bring()
    assert "Added to the course" in page.text and "<img src=x" not in page.text


# -- who, and where to


@pytest.mark.parametrize("role", ["ta", "student", "observer"])
def test_whoever_does_not_manage_badges_gets_no_picker(make_room, role):  # noqa: F811
    canvas = make_room(mood="canvas", students=0)
    person = canvas.lms.add_user(canvas.course, role)
    assert choose(canvas, person).page.status_code == 403


def test_the_picker_belongs_to_its_own_launch(course):
    picker = choose(course)
    plain = course.enter(course.teacher)
    assert plain.get("place").status_code == 404
    token = html.fromstring(plain.get("").text).xpath("//input[@name='csrf']/@value")[0]
    for path in ("place", "place/cancel", "place/library/empathy"):
        sent = plain.http.post(f"{plain.home}{path}", data={"csrf": token, "item": "badges"}, timeout=10)
        assert sent.status_code == 404, path
        assert (
            picker.http.post(f"{picker.home}{path}", data={"item": "badges"}, timeout=10).status_code == 400
        )  # no token
    student = course.enter(course.students[0])
    assert student.http.get(f"{course.scene.url}/course/{student.launch}/place", timeout=10).status_code == 403


def test_what_a_launch_asked_for_goes_with_its_session(course):
    picker = choose(course)
    with course.tool.db.write() as session:
        assert session.get(Message, picker.launch) is not None
        session.get_one(Launch, picker.launch).expires_at = now() - timedelta(hours=1)
    assert picker.get("place").status_code == 401
    forget_expired(course.tool, now())
    with course.tool.db.read() as session:
        assert session.get(Message, picker.launch) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/collect",
        "http://evil.example/mod/lti/contentitem_return.php",
        "http://localhost:1/canvas/courses/1/deep_linking_response",
        "http://lms.localhost.evil.example/",
        "{origin}.evil.example/",
        "http://someone:secret@{host}/mod/lti/contentitem_return.php",
        "http://lms.localhost:99999999/",
    ],
)
def test_a_return_address_that_is_not_of_the_lms_is_refused(course, address):
    origin = course.lms.browser_root.rsplit("/", 1)[0]
    address = address.format(origin=origin, host=origin.partition("://")[2])
    refused = choose(course, settings={"deep_link_return_url": address})
    assert refused.page.status_code == 400
    assert "does not belong to your LMS" in refused.page.text
    assert "evil.example" not in refused.page.text and "Set-Cookie" not in refused.page.headers


def test_a_return_address_over_plain_http_is_refused_in_production():
    from lti_tool.errors import LaunchMalformed
    from lti_tool.lti.claims import DeepLinking
    from lti_tool.lti.deep_linking import check_return_url

    settings = DeepLinking("http://lms.example/back", (), (), True, None, False, None, None, None)
    check_return_url(settings, ["http://lms.example"], allow_http=True)
    with pytest.raises(LaunchMalformed):
        check_return_url(settings, ["http://lms.example"], allow_http=False)


def test_the_institutions_own_host_of_canvas_cloud_is_known_from_its_token_address(make_room):  # noqa: F811
    from lti_tool.models import Registration

    canvas = make_room(mood="canvas", students=0)
    with canvas.tool.db.write() as session:
        row_ = session.get_one(Registration, canvas.scene.platform["canvas"])
        kept, row_.auth_token_url = row_.auth_token_url, "https://uni.instructure.example/login/oauth2/token"
    try:
        picker = choose(canvas, settings={"deep_link_return_url": "https://uni.instructure.example/courses/3/back"})
        assert picker.page.status_code == 200
        assert answer(picker, "badges").action == "https://uni.instructure.example/courses/3/back"
    finally:
        with canvas.tool.db.write() as session:
            session.get_one(Registration, canvas.scene.platform["canvas"]).auth_token_url = kept


def test_a_deep_linking_launch_outside_a_course_says_where_to_go(course):
    outside = course.enter(course.teacher, message_type=DEEP_LINKING, auth={"drop": ["context"]})
    assert outside.page.status_code == 200
    assert "Open Badges from a course" in outside.page.text and "/course/" not in outside.page.url
