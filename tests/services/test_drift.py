"""What in the LMS is no longer as it was set up: noticed at the next reading, told, ended by itself once it is mended.

Against the demo LMS in both moods; the evidence of each is in the notes on Canvas and Moodle, and in lti/platforms."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from lti_tool.errors import Conflict, NotFound
from lti_tool.jobs import RUNNERS
from lti_tool.models import Column, Course, Drift, Job, Posting, Result
from lti_tool.services import catalog, columns, doctor, drift, marking, matching, work
from tests.classroom import *  # noqa: F403
from tests.classroom import badge, gate, row
from tests.scene import now

MOODS = ("canvas", "moodle")
A, B = "sub-competency:A", "sub-competency:B"


@pytest.fixture(params=MOODS)
def graded(request, make_room):
    """A course with a published badge of two rows; the first student has reached it."""
    room = make_room(mood=request.param)
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    return room


def open_drifts(room) -> list[tuple[str, str]]:
    with room.tool.db.read() as session:
        query = select(Drift.kind, Drift.tag).where(Drift.course_id == room.id, Drift.ended_at.is_(None))
        return [tuple(each) for each in session.execute(query.order_by(Drift.kind, Drift.tag))]


def past(room) -> list[str]:
    with room.tool.db.read() as session:
        query = select(Drift.kind).where(Drift.course_id == room.id, Drift.ended_at.is_not(None))
        return list(session.scalars(query.order_by(Drift.id)))


def column_row(room, tag: str) -> Column:
    with room.tool.db.read() as session:
        return next(each for each in room.course_badge(session).columns if each.tag == tag)


def page(room, which: str = "plan") -> str:
    answer = room.page.get(f"badges/{room.badge.slug}/{which}".rstrip("/") if which != "home" else "")
    assert answer.status_code == 200, answer.text
    return answer.text


def press(room, what: str, **fields: str):
    return room.page.post(f"badges/{room.badge.slug}/gradebook/{what}", fields)


# -- a column that was deleted


def test_F18_a_deleted_column_is_told_everywhere_and_each_choice_is_offered(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    assert open_drifts(graded) == [("column_missing", B)]
    plan = page(graded)
    assert "“B Row B” is no longer in the gradebook." in plan
    for choice in ("Make the column again", "Choose another column", "Leave it out"):
        assert choice in plan
    assert "no longer in the gradebook" in page(graded, "home")
    assert "“B Row B” is no longer in the gradebook." in page(graded, "") and "column deleted" in page(graded, "")
    assert [c.tag for c in graded.columns] == [A]  # and nothing was made


def leaving_out(room) -> Any:
    """Follow "Leave it out"; returns the answer, whose last redirect says where it leads."""
    (address,) = re.findall(r'href="([^"]*)">Leave it out', page(room))
    return room.page.get(html.unescape(address))


def test_F18_leaving_a_deleted_column_out_leads_to_its_row_which_one_click_takes_out(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    answer = leaving_out(graded)
    step, _, row = answer.history[-1].headers["Location"].partition("#row-")
    assert answer.status_code == 200 and "/rubric?" in step and row
    assert "Its column is no longer in the gradebook. Take it out here" in answer.text
    assert answer.text.count(f'value="row.remove:{row}"') == 2  # beside the sentence, and where it always is
    after = graded.page.post(step.partition("?")[0], {"do": f"row.remove:{row}", "revision": "99"})
    assert after.status_code == 200 and "Its column is no longer" not in after.text
    with graded.tool.db.read() as session:
        assert [each["code"] for each in graded.course_badge(session).working["rows"]] == ["A"]


def test_F18_a_condition_and_the_one_column_of_a_badge_are_left_out_where_they_are_chosen(make_room):
    gated = make_room(students=1)
    gated.publish(badge(rows=1, gates=(gate(),)))
    gated.lms.delete_column(gated.course, next(c for c in gated.columns if c.tag == "gate:g"))
    gated.sync()
    answer = leaving_out(gated)
    assert "#gate-" in answer.history[-1].headers["Location"] and "with “Remove this condition”" in answer.text
    gated.lms.delete_column(gated.course, gated.column("A"))
    gated.sync()
    (only,) = re.findall(r'href="([^"]*out=sub[^"]*)">Leave it out', page(gated))
    assert "It is the only sub-competency: add another one" in gated.page.get(html.unescape(only)).text
    total = make_room(students=1)
    total.publish(badge(columns="total"))
    total.lms.delete_column(total.course, total.columns[0])
    total.sync()
    assert "choose “None” under “Gradebook columns”" in leaving_out(total).text


def test_F18_several_deleted_columns_are_told_in_one_sentence_of_the_reader_s_language(graded):
    for code in "AB":
        graded.lms.delete_column(graded.course, graded.column(code))
    graded.sync()
    told = "“A Row A”, “B Row B” are no longer in the gradebook. What was counted is kept;"
    assert f"{told} nobody is awarded until they are back." in page(graded, "home")
    graded.teacher.locale = "es"
    spanish = graded.enter(graded.teacher).page.text
    assert (
        "«A Row A», «B Row B» ya no están en el libro de calificaciones." in spanish and "hasta que vuelvan." in spanish
    )


def test_F18_a_column_is_made_again_once_however_often_it_is_asked_for_and_grades_counted_are_kept(graded):
    other = graded.students[1]
    graded.grade(other, 3, 1)
    graded.sync()
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    first, second = press(graded, "make-again", tag=B), press(graded, "make-again", tag=B)
    assert (first.status_code, second.status_code) == (200, 409)  # it is there by then
    assert len([c for c in graded.columns if c.tag == B]) == 1
    assert open_drifts(graded) == [] and past(graded) == ["column_missing"]
    assert graded.award()["status"] == "issued"
    with graded.tool.db.read() as session:
        rows = select(Result).join(Column).where(Column.tag == B, Result.user_sub == other.id)
        assert '"resultScore"' in str(session.scalars(rows.order_by(Result.received_at.desc())).first().raw)
    graded.lms.grade(graded.course, graded.column("B"), other, 3)
    graded.sync()
    assert len(graded.awards()) == 2


def test_F18_two_workers_make_a_deleted_column_again_once(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    wake, graded.tool.wake = graded.tool.wake, lambda job_id: None
    try:
        ask = lambda: columns.ask_again(graded.tool, graded.id, graded.badge.slug, B, actor="operator", now=now())  # noqa: E731
        jobs = at_once(ask, ask)  # noqa: F405
        assert jobs[0] == jobs[1]
        at_once(*[lambda: wake(jobs[0])] * 2)  # noqa: F405
    finally:
        graded.tool.wake = wake
    assert len([c for c in graded.columns if c.tag == B]) == 1


def test_F18_a_column_that_was_asked_for_is_made_once_though_a_change_is_published_at_that_moment(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    making = columns.ask_again(graded.tool, graded.id, graded.badge.slug, B, actor="operator", now=now())
    graded.put(replace(graded.badge, description="Works with great care."))
    publishing = catalog.start_publishing(graded.tool, graded.id, graded.badge.slug, actor="operator", now=now())
    graded.lms.faults.on("lineitems", "slow", seconds=0.3)
    at_once(*[lambda job=job: work.run(graded.tool, job, RUNNERS) for job in (making, publishing)])  # noqa: F405
    assert [c.tag for c in graded.columns] == [A, B]
    with graded.tool.db.read() as session:
        assert {session.get_one(Job, job).state for job in (making, publishing)} == {"done"}
        assert graded.course_badge(session).version.number == 2
    assert column_row(graded, B).state == "bound"


def test_F18_a_column_is_asked_for_of_the_publishing_that_makes_what_is_missing(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    publishing = catalog.start_publishing(graded.tool, graded.id, graded.badge.slug, actor="operator", now=now())
    asked = columns.ask_again(graded.tool, graded.id, graded.badge.slug, B, actor="operator", now=now())
    assert asked == publishing
    assert work.wait(graded.tool, publishing, RUNNERS).state == "done"
    assert [c.tag for c in graded.columns] == [A, B] and column_row(graded, B).state == "bound"


@pytest.mark.parametrize("name", ["Row\\u0000 A", "Row A \\ud83d"])
def test_a_column_whose_name_cannot_be_stored_as_it_is_stops_no_sync(graded, name):
    there = [(c.url, c.tag) for c in (column_row(graded, A), column_row(graded, B))]
    items = [{"id": url, "label": "NAME", "scoreMaximum": 4, "tag": tag} for url, tag in there]
    body = json.dumps(items).replace("NAME", name)
    graded.lms.faults.on("lineitems", "status", status=200, body=body, content_type="application/json")
    assert graded.sync().state == "done"
    assert column_row(graded, A).label.startswith("Row")


def test_F18_publishing_a_change_does_not_make_a_deleted_column_again_by_the_way(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    graded.publish(replace(graded.badge, description="Works with great care."))
    assert [c.tag for c in graded.columns] == [A]
    assert "Make the column again" in page(graded)


def test_F18_leaving_the_row_out_as_a_new_version_ends_it(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    graded.publish(badge(graded.badge.slug, rows=1))
    graded.sync()
    assert open_drifts(graded) == [] and graded.award()["status"] == "issued"


def test_F18_choosing_another_column_ends_it_and_its_grades_count(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    tool = graded.scene.lti_tool[graded.mood].client_id
    spare = graded.lms.add_column(graded.course, "Spare", 8, client_id=tool)
    graded.lms.grade(graded.course, spare, graded.students[1], 8)
    graded.lms.grade(graded.course, graded.column("A"), graded.students[1], 4)
    graded.sync()
    graded.run("columns", str(graded.id))
    url = graded.lms.lineitem_url(spare)
    matching.choose(graded.tool, graded.id, graded.badge.slug, {B: url}, actor="operator", now=now())
    assert open_drifts(graded) == []
    graded.sync()
    assert len(graded.awards()) == 2 and open_drifts(graded) == []


def test_F18_a_column_that_comes_back_ends_it_and_history_keeps_when(graded):
    column = graded.column("B")
    graded.lms.delete_column(graded.course, column)
    graded.sync()
    assert "“B Row B” was not in the gradebook" in page(graded, "history")
    graded.lms.columns_by_number[column.number] = column
    graded.sync()
    assert open_drifts(graded) == [] and past(graded) == ["column_missing"]
    assert "“B Row B” was not in the gradebook" in page(graded, "history")
    assert "no longer in the gradebook" not in page(graded)


def test_a_mark_made_here_is_written_into_the_column_that_was_made_again(make_room):
    room = make_room()
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.sync()
    student = room.students[0]
    wish = marking.Wish(A, 2, "Good", 0)
    saved = marking.save(
        room.tool, room.id, room.badge.slug, room.person_id(student), [wish], actor="operator", now=now()
    )
    room.tool.wake(saved.job_id)
    assert room.lms.score_of(room.course, room.column("A"), student) == 3
    room.lms.delete_column(room.course, room.column("A"))
    room.sync()
    assert press(room, "make-again", tag=A).status_code == 200
    room.run("post", str(room.id))
    assert room.lms.score_of(room.course, room.column("A"), student) == 3
    with room.tool.db.read() as session:
        assert session.scalars(select(Posting.state).where(Posting.tag == A)).all()[-1] == "posted"


# -- renamed, another maximum


def test_a_renamed_column_is_called_by_its_new_name_and_nothing_is_alarming(graded):
    graded.lms.rename_column(graded.course, graded.column("A"), "Talking to people")
    graded.sync()
    assert open_drifts(graded) == []
    plan = page(graded)
    assert "Talking to people" in plan and "A Row A" not in plan and 'class="note warn' not in plan


def test_another_maximum_is_told_with_what_it_means_and_levels_keep_their_share(graded):
    other = graded.students[1]
    graded.lms.set_maximum(graded.course, graded.column("A"), 8)
    graded.lms.grade(graded.course, graded.column("A"), other, 6)  # 6 of 8 is 3 of 4
    graded.lms.grade(graded.course, graded.column("B"), other, 3)
    graded.sync()
    assert open_drifts(graded) == [("maximum_changed", A)]
    plan = page(graded)
    assert "now has 8 points in the gradebook, where it had 4" in plan
    assert "“Proficient” was reached with 3 of 4, and is now with 6 of 8" in plan
    assert (
        "Canvas shows them beside the new maximum" if graded.mood == "canvas" else "rescale existing grades"
    ) in plan
    assert "[[" not in plan and "[[" not in page(graded, "home")  # the LMS's own words stand as it shows them
    assert "now has 8 points" in page(graded, "home") and "now has 8 points" in page(graded, "")
    assert len(graded.awards()) == 2 and all(each["status"] == "issued" for each in graded.awards())


def test_another_maximum_goes_away_when_it_is_changed_back_or_called_right(graded):
    graded.lms.set_maximum(graded.course, graded.column("A"), 8)
    graded.sync()
    graded.lms.set_maximum(graded.course, graded.column("A"), 4)
    graded.sync()
    assert open_drifts(graded) == [] and past(graded) == ["maximum_changed"]
    graded.lms.set_maximum(graded.course, graded.column("A"), 8)
    graded.sync()
    assert press(graded, "maximum", tag=A, seen="10").status_code == 409  # not the one she looked at
    assert press(graded, "maximum", tag=A, seen="8").status_code == 200
    graded.sync()
    assert open_drifts(graded) == [] and "where it had" not in page(graded)
    graded.lms.set_maximum(graded.course, graded.column("A"), 10)
    graded.sync()
    assert open_drifts(graded) == [("maximum_changed", A)]
    # and the next version is not refused for it: what the column was made with has not changed
    assert graded.publish(replace(graded.badge, description="Works with care.")).state == "done"


def test_a_column_without_points_is_told_as_one_that_counts_for_nobody(graded):
    graded.lms.set_maximum(graded.course, graded.column("A"), 0)
    graded.sync()
    plan = page(graded)
    assert "now has 0 points" in plan and "Nothing can be counted from a column without points" in plan
    assert "This maximum is right" not in plan
    with pytest.raises(NotFound):
        drift.accept_maximum(graded.tool, graded.id, graded.badge.slug, B, seen="4", actor="operator", now=now())


def test_a_list_of_columns_that_fails_takes_nothing_from_the_reading(graded):
    graded.lms.set_maximum(graded.course, graded.column("A"), 8)
    graded.sync()
    graded.lms.faults.on("lineitems", "status", status=403)
    graded.grade(graded.students[1], 8, 4)
    job = graded.sync()
    assert (job.state, open_drifts(graded)) == ("done", [("maximum_changed", A)])
    assert len(graded.awards()) == 2


# -- the course and the tool


def test_a_permission_that_was_taken_away_is_told_with_the_administrators_clicks(graded):
    tool = graded.scene.lti_tool[graded.mood]
    try:
        graded.lms.permit(tool, "result.readonly", False)
        graded.tool.tokens._tokens.clear()
        assert graded.sync().outcome["reason"] == "scope_missing"
        assert open_drifts(graded) == [("scope_missing", "")]
        told = page(graded, "home")
        assert "Grades cannot be read at the moment." in told and "What an administrator of your LMS clicks" in told
        assert ("LTI Advantage Services" if graded.mood == "canvas" else "Manage tools") in told
        assert "Grades cannot be read at the moment." in page(graded) and "Grades cannot be read" in page(graded, "")
    finally:
        graded.lms.permit(tool, "result.readonly", True)
    graded.tool.tokens._tokens.clear()
    graded.sync()
    assert open_drifts(graded) == [] and past(graded) == ["scope_missing"]
    assert "Grades cannot be read" not in page(graded, "home")


def test_a_tool_taken_out_of_the_course_is_told_and_ends_by_itself(graded):
    tool = graded.scene.lti_tool[graded.mood]
    graded.lms.withdraw_tool(graded.course, tool)
    graded.sync()
    assert open_drifts(graded) == [("access_refused", "")]
    told = page(graded, "home")
    assert (
        "no longer there in this Canvas course" if graded.mood == "canvas" else "does not let the tool read"
    ) in told
    assert "What to click in your LMS" in told
    assert ("Put it back into the course" in told) == (graded.mood == "canvas")
    # The badge's card does not say that all is well beside it.
    assert "Last synced" in told.split('class="wide foot"')[1] and "> <span>Synced" not in told
    graded.lms.let_tool_in(graded.course, tool)
    graded.sync()
    assert open_drifts(graded) == []


def test_a_tool_that_is_switched_off_is_told_as_the_platforms_trouble(graded):
    tool = graded.scene.lti_tool[graded.mood]
    graded.tool.tokens._tokens.clear()
    if graded.mood == "canvas":
        graded.lms.switch_tool(tool, False)
    else:  # the type of the tool was deleted
        del graded.lms.tools[tool.client_id]
    try:
        assert graded.sync().outcome["reason"] == "token_refused"
        assert open_drifts(graded) == [("token_refused", "")]
        told = page(graded, "home")
        assert "does not let the tool in any more" not in told and "is the key still switched on?" in told
        assert "Your LMS does not let the tool in." in told and "What an administrator of your LMS clicks" in told
    finally:
        graded.lms.tools[tool.client_id] = tool
        graded.lms.switch_tool(tool, True)
    graded.sync()
    assert open_drifts(graded) == [] and "does not let the tool in" not in page(graded, "home")


def test_F08_a_canvas_key_that_goes_off_while_a_token_is_out_is_named_from_the_401(make_room):
    room = make_room(mood="canvas")
    room.publish(badge())
    room.sync()
    room.lms.faults.on("memberships", "status", status=401, body={"errors": {"message": "Invalid Developer Key"}})
    assert room.sync().outcome["reason"] == "key_switched_off"
    told = page(room, "home")
    assert "developer key is switched off" in told and "Developer Keys" in told


def test_K10_a_course_that_has_ended_is_told_with_the_clicks_that_open_it_again(make_room):
    room = make_room(mood="canvas")
    room.publish(badge())
    room.sync()
    room.lms.conclude_course(room.course)
    room.sync()
    assert open_drifts(room) == [("course_concluded", "")]
    told = page(room, "home")
    assert "This course has ended" in told and "Course Details" in told
    assert "This course has ended" in page(room, "")
    room.lms.conclude_course(room.course, False)
    assert room.page.post("sync").status_code == 200
    assert open_drifts(room) == [] and past(room) == ["course_concluded"]


def test_F24_an_unpublished_column_is_told_while_scores_wait_for_it(make_room):
    room = make_room(mood="canvas")
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.sync()
    room.lms.publish_column(room.course, room.column("A"), False)
    wish = marking.Wish(A, 2, "", 0)
    marking.save(
        room.tool, room.id, room.badge.slug, room.person_id(room.students[0]), [wish], actor="operator", now=now()
    )
    room.run("post", str(room.id))
    assert open_drifts(room) == [("unpublished", A)]
    assert "is not published in Canvas" in page(room) and "is not published in Canvas" in page(room, "home")
    room.lms.publish_column(room.course, room.column("A"))
    marking.try_again(room.tool, room.id, room.badge.slug, None, actor="operator", now=now())
    room.run("post", str(room.id))
    assert open_drifts(room) == [] and room.lms.score_of(room.course, room.column("A"), room.students[0]) == 3


def test_scores_that_are_not_allowed_are_told_while_grades_are_read_and_tried_again(make_room):
    room = make_room()
    room.publish(badge(sub_competencies=(row("A", source="rubric"),)))
    room.sync()
    tool = room.scene.lti_tool["moodle"]
    wish = marking.Wish(A, 2, "", 0)
    try:
        room.lms.permit(tool, "score", False)
        room.tool.tokens._tokens.clear()
        person = room.person_id(room.students[0])
        marking.save(room.tool, room.id, room.badge.slug, person, [wish], actor="operator", now=now())
        room.run("post", str(room.id))
        room.sync()  # which reads well, and does not hide it
        assert open_drifts(room) == [("scores_not_allowed", "")]
        assert "Scores cannot be written into the gradebook" in page(room, "home")
    finally:
        room.lms.permit(tool, "score", True)
    room.tool.tokens._tokens.clear()
    with room.tool.db.write() as session:
        posting = session.get_one(Posting, (room.course_badge(session).id, person, A))
        assert posting.retry_at is not None  # by itself
        posting.retry_at = now()
    room.run("post", str(room.id))
    assert open_drifts(room) == [] and room.lms.score_of(room.course, room.column("A"), room.students[0]) == 3


# -- the platform's check list


def test_the_platforms_check_list_and_doctor_tell_of_courses_and_columns(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    found = {each.what.rpartition(": ")[2]: each for each in doctor.examine(graded.tool, platform_id(graded), now())}
    kept = found["columns_kept"]
    assert (kept.ok, kept.state) == (True, "waiting") and graded.course.label in kept.sentence
    assert graded.course.label not in found["course"].sentence
    graded.lms.withdraw_tool(graded.course, graded.scene.lti_tool[graded.mood])
    graded.sync()
    found = {each.what.rpartition(": ")[2]: each for each in doctor.examine(graded.tool, platform_id(graded), now())}
    assert not found["course"].ok and graded.course.label in found["course"].sentence
    graded.lms.let_tool_in(graded.course, graded.scene.lti_tool[graded.mood])
    graded.sync()
    press(graded, "make-again", tag=B)


def platform_id(room) -> int:
    with room.tool.db.read() as session:
        return session.get_one(Course, room.id).registration_id


def test_who_may_only_look_sees_what_drifted_and_no_button(graded):
    graded.lms.delete_column(graded.course, graded.column("B"))
    graded.sync()
    assistant = graded.lms.add_user(graded.course, "ta")
    looks = graded.enter(assistant)
    plan = looks.get(f"badges/{graded.badge.slug}/plan").text
    if graded.mood == "canvas":  # Moodle's non-editing teacher launches as an instructor
        assert "is no longer in the gradebook" in plan and "Make the column again" not in plan
        refused = looks.post(f"badges/{graded.badge.slug}/gradebook/make-again", {"tag": B})
        assert refused.status_code == 403
    assert [c.tag for c in graded.columns] == [A]


def test_a_column_that_is_there_is_not_made_again(graded):
    with pytest.raises(Conflict):
        columns.ask_again(graded.tool, graded.id, graded.badge.slug, B, actor="operator", now=now())
    assert press(graded, "make-again", tag="sub-competency:nothing").status_code == 404
