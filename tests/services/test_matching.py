"""A new term by hand: badges of another course of one's own, columns recognised by title, and chosen by hand."""

from __future__ import annotations

import html

import pytest
from sqlalchemy import select

from lti_tool.models import AuditEvent, Column, CourseBadge, CourseCopy, Deployment, Result
from lti_tool.services import matching, sync
from tests.classroom import badge, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_copies import columns_made, copy_of, entered, offer, published, slugs, take, text

MOODS = ["moodle", "canvas"]


def bound(room) -> dict[str, tuple[str, str]]:  # noqa: F811
    with room.tool.db.read() as session:
        return {c.tag.partition(":")[2]: (c.label, c.found_by) for c in room.course_badge(session).columns}


def own_column(room, label: str, maximum: float = 4, **marks: str):  # noqa: F811
    """A column that the tool made some other way, without the marks of this badge."""
    tool = room.scene.lti_tool[room.mood].client_id
    return room.lms.add_column(room.course, label, maximum, client_id=tool, **marks)


def both(make_room, mood: str = "moodle"):  # noqa: F811
    """A course with a badge, and an empty one of the same teacher."""
    source = published(make_room, mood)
    target = make_room(mood=mood)
    target.lms.enrol(target.course, source.teacher, "instructor")
    target.teacher, target.badge = source.teacher, source.badge
    target.page = target.enter(target.teacher)
    return source, target


# -- any other course of mine


@pytest.mark.parametrize("mood", MOODS)
def test_K01_badges_of_any_other_course_of_mine_are_offered_once_i_name_it(make_room, mood):  # noqa: F811
    source, target = both(make_room, mood)
    assert "was copied from" not in text(target) and offer(target) is None
    page = html.unescape(target.page.get("other-courses").text)
    assert source.course.label in page and source.badge.name in page
    named = target.page.post(f"other-courses/{source.id}")
    told = html.unescape(" ".join(named.text.split()))
    assert f"Badges of {source.course.label}." in told and "0 of 4 columns recognised" in told
    before = columns_made(target)
    assert take(target, source).status_code == 200 and slugs(target) == [source.badge.slug]
    assert target.publish_again().state == "done" and columns_made(target) == before + 4
    with target.tool.db.read() as session:
        assert target.course_badge(session).version_id == source.course_badge(session).version_id
        assert session.scalar(select(AuditEvent).where(AuditEvent.action == "course.source_named"))
    assert target.awards() == []


def test_a_course_that_i_do_not_manage_is_neither_listed_nor_given(make_room):  # noqa: F811
    victim, mine = published(make_room), make_room()
    assert victim.course.label not in mine.page.get("other-courses").text
    assert mine.page.post(f"other-courses/{victim.id}").status_code == 404
    assert mine.page.post(f"other-courses/{mine.id}").status_code == 404
    assert offer(mine) is None


def test_an_offer_by_hand_ends_with_the_right_to_that_course(make_room):  # noqa: F811
    source, target = both(make_room)
    target.page.post(f"other-courses/{source.id}")
    assert "Badges of" in text(target)
    other = target.lms.add_user(target.course, "instructor")
    page = target.enter(other)
    assert "Badges of" not in html.unescape(page.page.text)
    assert page.post(f"copies/{source.id}", {"badge": [source.badge.slug]}).status_code == 404


def test_what_was_declined_or_taken_can_be_asked_for_again(make_room):  # noqa: F811
    source = published(make_room, badges=2)
    copied = entered(source, make_room)
    copied.page.post(f"copies/{source.id}", {"decline": "yes"})
    copied.page.post(f"other-courses/{source.id}")
    assert "was copied from" in text(copied)
    take(copied, source)
    copied.page.post(f"other-courses/{source.id}")
    assert "1 badge found" in text(copied)
    with copied.tool.db.read() as session:
        copy = session.scalars(select(CourseCopy).where(CourseCopy.course_id == copied.id)).one()
        assert copy.badges == [source.badge.slug] and copy.told_by == "launch"


# -- recognised


@pytest.mark.parametrize("mood", MOODS)
def test_K01_a_column_whose_marks_are_gone_is_recognised_by_its_title(make_room, mood):  # noqa: F811
    source = published(make_room, mood)
    copied = copy_of(source, make_room)
    for column in copied.lms.columns(copied.course):
        if column.tag == "sub-competency:B":
            column.tag, column.resource_id = None, None
        if column.tag == "sub-competency:C":
            column.resource_id = None
    copied.page = copied.enter(copied.teacher)
    assert "4 of 4 columns recognised" in text(copied)
    take(copied, source)
    found = bound(copied)
    assert {code: how for code, (_, how) in found.items()} == {"A": "marks", "B": "title", "C": "tag", "D": "marks"}
    plan = html.unescape(copied.page.get(f"badges/{copied.badge.slug}/plan").text)
    assert "recognised by its title" in plan and "recognised by its mark" in plan
    before = columns_made(copied)
    assert copied.publish_again().state == "done" and columns_made(copied) == before


def test_two_columns_of_one_title_are_left_to_a_person(make_room):  # noqa: F811
    source = published(make_room)
    copied = copy_of(source, make_room)
    for column in copied.lms.columns(copied.course):
        if column.tag == "sub-competency:B":
            column.tag, column.resource_id = None, None
            label = column.label
    own_column(copied, label)
    copied.page = copied.enter(copied.teacher)
    assert "3 of 4 columns recognised" in text(copied)
    take(copied, source)
    assert set(bound(copied)) == {"A", "C", "D"}


def test_a_column_that_fits_rows_of_two_badges_is_left_to_a_person(make_room):  # noqa: F811
    source = published(make_room, badges=2)
    first, second = sorted(slugs(source))
    copied = copy_of(source, make_room)
    of_second = [each for each in copied.lms.columns(copied.course) if each.resource_id == f"badge:{second}"]
    for column in copied.lms.columns(copied.course):
        if column in of_second and column.tag == "sub-competency:A":
            copied.lms.delete_column(copied.course, column)
        elif column.tag in ("sub-competency:A", "sub-competency:B"):
            column.resource_id = None  # of "B" there are two, of "A" one for both badges
    copied.page = copied.enter(copied.teacher)
    take(copied, source, first, second)
    with copied.tool.db.read() as session:
        found = session.scalars(select(Column).join(CourseBadge).where(CourseBadge.course_id == copied.id)).all()
        assert sorted((each.course_badge.slug, each.tag[-1]) for each in found) == [
            *((first, code) for code in "CD"),
            *((second, code) for code in "CD"),
        ]


def test_a_column_that_is_marked_as_another_badge_s_is_not_taken_for_its_title(make_room):  # noqa: F811
    source, target = both(make_room)
    own_column(target, "A Row A", tag="sub-competency:A", resource_id="badge:other")
    target.page.post(f"other-courses/{source.id}")
    assert "0 of 4 columns recognised" in text(target)


# -- chosen by hand


@pytest.mark.parametrize("mood", MOODS)
def test_K01_what_was_not_recognised_is_shown_and_chosen_by_hand_among_columns_of_the_tool(make_room, mood):  # noqa: F811
    source = published(make_room, mood)
    copied = copy_of(source, make_room)
    copied.lms.delete_column(copied.course, copied.lms.columns(copied.course)[-1])
    renamed = own_column(copied, "Speaks freely", 10)
    copied.lms.add_column(copied.course, "Of somebody else", 4)
    copied.page = copied.enter(copied.teacher)
    assert "3 of 4 columns recognised" in text(copied)
    take(copied, source)
    form = f"badges/{copied.badge.slug}/columns"
    page = html.unescape(copied.page.get(form).text)
    assert "4 columns, 3 recognised." in page and "Speaks freely (of 10)" in page and "Of somebody else" not in page
    with copied.tool.db.read() as session:
        (seen,) = [
            each for each in copied.course_badge(session).course.seen_columns or () if each["label"] == "Speaks freely"
        ]
    assert copied.page.post(form, {"column-sub-competency:D": seen["url"]}).status_code == 200
    assert bound(copied)["D"] == ("Speaks freely", "hand")
    before = columns_made(copied)
    assert copied.publish_again().state == "done" and columns_made(copied) == before
    student = copied.lms.add_user(copied.course, "student")
    for column in copied.columns:
        copied.lms.grade(copied.course, column, student, 4)
    copied.lms.grade(copied.course, renamed, student, 7.5)  # three quarters of 10: Proficient
    copied.sync()
    assert [each["user"] for each in copied.awards()] == [student.id]


def chosen(room, **columns: str):  # noqa: F811
    return matching.choose(
        room.tool,
        room.id,
        room.badge.slug,
        {f"sub-competency:{code}": url for code, url in columns.items()},
        actor="operator",
        now=now(),
    )


def seen_urls(room) -> dict[str, str]:  # noqa: F811
    room.run("columns", str(room.id))
    with room.tool.db.read() as session:
        return {each["label"]: each["url"] for each in room.course_badge(session).course.seen_columns or ()}


def test_a_choice_can_be_taken_back_until_the_badge_is_published(room):  # noqa: F811
    room.put(badge())
    own_column(room, "Mine")
    url = seen_urls(room)["Mine"]
    assert chosen(room, A=url) == {"sub-competency:A": "Mine"}
    assert chosen(room, A=url) == {}
    assert chosen(room, A="") == {"sub-competency:A": ""} and bound(room) == {}
    chosen(room, B=url)
    room.publish_again()
    assert {column.label for column in room.columns} == {"A Row A"}
    assert chosen(room, B="", A=url) == {}  # in force, so both stay
    assert "in force, so it stays" in room.page.get(f"badges/{room.badge.slug}/columns").text


def test_a_column_is_neither_chosen_twice_nor_from_outside_and_the_form_keeps_what_was_chosen(room):  # noqa: F811
    room.put(badge())
    own_column(room, "Mine")
    url = seen_urls(room)["Mine"]
    form = f"badges/{room.badge.slug}/columns"
    twice = room.page.post(form, {"column-sub-competency:A": url, "column-sub-competency:B": url})
    assert twice.status_code == 400 and "a column of its own" in twice.text and twice.text.count(" selected") == 2
    outside = room.page.post(form, {"column-sub-competency:A": "https://elsewhere.example/1"})
    assert outside.status_code == 400 and "not among those the tool sees" in outside.text
    assert bound(room) == {}


def test_a_column_that_was_deleted_is_replaced_by_hand_and_old_scores_are_kept(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 4, 2)
    room.sync()
    room.lms.delete_column(room.course, room.column("B"))
    room.sync()
    own_column(room, "Its successor")
    url = seen_urls(room)["Its successor"]
    chosen(room, B=url)
    room.sync()
    with room.tool.db.read() as session:
        column = session.scalars(select(Column).where(Column.url == url)).one()
        assert (column.state, column.found_by) == ("bound", "hand")
    room.lms.grade(
        room.course, next(c for c in room.lms.columns(room.course) if c.label == "Its successor"), room.students[0], 3
    )
    room.sync()
    assert room.award()["status"] == "issued"


def test_a_column_that_is_chosen_while_the_course_is_read_keeps_its_place_and_takes_no_answers_of_another(room):  # noqa: F811
    room.publish(badge())
    ana = room.students[0]
    room.grade(ana, 4, 4)
    room.lms.delete_column(room.course, room.column("B"))
    room.sync()
    own_column(room, "Its successor")
    url = seen_urls(room)["Its successor"]
    placed = own_column(room, "B Row B", tag="sub-competency:B", resource_id=room.badge.resource_id)
    room.lms.grade(room.course, placed, ana, 4)
    read = sync._read_lms(room.tool, room.id, lambda line: None)
    assert read.back
    chosen(room, B=url)
    assert sync._store(room.tool, room.id, read)["missing_columns"] == 0
    with room.tool.db.read() as session:
        column = session.scalars(select(Column).where(Column.url == url)).one()
        assert (column.state, column.found_by, column.read_at) == ("bound", "hand", None)
        raw = session.get(Result, (column.id, ana.id))
        assert raw is None or raw.raw is None
    room.sync()
    assert room.awards() == []


def test_a_gradebook_that_cannot_be_read_is_told_on_the_page(room):  # noqa: F811
    room.put(badge())
    room.lms.faults.on("lineitems", "status", status=403)
    room.page.post(f"badges/{room.badge.slug}/columns/look")
    assert "The gradebook could not be read." in room.page.get(f"badges/{room.badge.slug}/columns").text


def test_a_gate_may_read_a_column_of_another_badge(room):  # noqa: F811
    from tests.classroom import gate

    first = badge(rows=1)
    room.publish(first)
    room.put(badge(rows=1, sub_competencies=(row("A"),), gates=(gate("exam", "percent", "75"),)))
    url = seen_urls(room)["A Row A"]
    matching.choose(room.tool, room.id, room.badge.slug, {"gate:exam": url}, actor="operator", now=now())
    room.publish_again()
    room.grade(room.students[0], 4)
    room.sync()
    assert room.awards() == []
    second, room.badge = room.badge, first
    room.grade(room.students[0], 3)
    room.sync()
    assert {each["badge"] for each in room.awards()} == {first.slug, second.slug}


# -- a platform that moved to another client id


def test_after_a_move_to_another_client_id_badges_of_a_course_not_opened_since_are_still_offered(make_room):  # noqa: F811
    source = published(make_room)
    copied = copy_of(source, make_room)
    teacher = copied.lms.add_user(copied.course, "instructor")
    tool = copied.scene.lti_tool["moodle"]
    link = copied.lms.add_link(copied.course, tool, "Badges", deployment_id=copied.lms.add_deployment(tool))
    with source.tool.db.write() as session:
        session.get_one(Deployment, _deployment(source)).former = True
    try:
        copied.page = copied.enter(teacher, link=link)
        assert "copied from another one" in text(copied) and source.badge.name in text(copied)
    finally:
        with source.tool.db.write() as session:
            session.get_one(Deployment, _deployment(source)).former = False


def _deployment(room) -> int:  # noqa: F811
    with room.tool.db.read() as session:
        return room.course_badge(session).course.deployment_pk
