"""The pages of marking without script, who may open them, and the evidence beside a row."""

from __future__ import annotations

import re

import pytest
from lxml import html
from sqlalchemy import select

from lti_tool.models import AuditEvent, Evidence, Mark
from lti_tool.services import audit, marking
from lti_tool.services.marking import Wish
from tests.classroom import Classroom, badge, make_room, replace, row, shared  # noqa: F401 (fixtures)
from tests.scene import Visitor, now

NASTY = "</textarea><script>alert(1)</script> {{7*7}} عربي 👩‍🏫"


def rubric_badge(**changes):
    return badge(sub_competencies=(row("A", source="rubric"), row("B", source="rubric")), **changes)


@pytest.fixture
def room(make_room) -> Classroom:  # noqa: F811
    made = make_room(students=3)
    assert made.publish(rubric_badge()).state == "done"
    made.sync()
    return made


def address(room, student=None, ending=""):
    base = f"badges/{room.badge.slug}/marking/"
    return f"{base}{room.person_id(student)}{ending}" if student else f"{base}{ending}"


def form_of(visitor: Visitor, path: str) -> dict[str, str]:
    """Return the fields of the marking form as a browser without script would send them."""
    return fields(visitor.get(path).text)


def fields(text: str) -> dict[str, str]:
    form = html.document_fromstring(text).get_element_by_id("marking")
    return dict(form.form_values())


def mark(room, student, code, level, comment="", revision=0, actor="operator"):
    wish = Wish(f"sub-competency:{code}", level, comment, revision)
    return marking.save(room.tool, room.id, room.badge.slug, room.person_id(student), [wish], actor=actor, now=now())


def marks(room, student):
    with room.tool.db.read() as session:
        found = session.scalars(select(Mark).where(Mark.person_id == room.person_id(student)).order_by(Mark.tag))
        return [(each.level, each.comment) for each in found]


# -- one learner after the other


def test_a_row_whose_required_evidence_is_missing_does_not_count_here_either(make_room):  # noqa: F811
    rows = row("A", source="rubric", evidence="required"), row("B", source="rubric")
    room = make_room(students=1)
    assert room.publish(badge(sub_competencies=rows)).state == "done"
    (ana,) = room.students
    room.enter(ana)
    room.sync()
    for code in "AB":
        mark(room, ana, code, 3)
    room.sync()

    def looks() -> tuple[str, str, str]:
        page = html.document_fromstring(room.page.get(address(room, ana)).text)
        whole = " ".join(page.text_content().split())
        reach, total = (
            " ".join(page.get_element_by_id(each).text_content().split()) for each in ("reach-0", "marking-sum")
        )
        return whole, reach, total

    whole, reach, total = looks()
    assert "Evidence is required and not handed in." in whole and reach == "reaches Proficient"
    assert "has 1 of 2. Missing: Row A (Advanced, evidence is missing)." in total
    assert add(room.enter(ana), room, "What I did.").status_code == 200
    room.page = room.enter(room.teacher)
    whole, _reach, total = looks()
    assert "Evidence is required" not in whole and "has 2 of 2." in total and "Missing" not in total


def test_save_and_next_stores_the_rows_and_leads_to_the_next_learner(room):
    ana, ben, _ = room.students
    sent = form_of(room.page, address(room, ana)) | {"level-0": "2", "level-1": "3", "comment-1": "Well\r\nseen."}
    page = room.page.post(address(room, ana), {**sent, "act": "next"})
    assert page.url.endswith(f"{address(room, ben)}#rubric") or page.url.endswith(address(room, ben))
    assert marks(room, ana) == [(2, ""), (3, "Well\nseen.")]
    assert room.lms.score_of(room.course, room.column("B"), ana) == 4
    shown = room.page.get(address(room, ana)).text
    assert "In the gradebook" in shown and "The badge is earned." in shown and "Learner 1 of 3" in shown


def test_the_list_counts_filters_and_ends_where_the_learners_end(room):
    ana, ben, cem = room.students
    for code in "AB":
        mark(room, ana, code, 2)
    mark(room, ben, "A", 0)
    room.lms.grade(room.course, room.column("A"), ben, 3)
    room.run("post", str(room.id))
    text = room.page.get(address(room)).text
    assert "1 of 3 learners are marked in every row." in text
    counts = dict(re.findall(r"show=(\w+)\"[^>]*>[^<]*<b>(\d+)", text))
    assert counts == {"all": "3", "unmarked": "2", "marked": "1", "trouble": "1"}
    shown = room.page.get(address(room, ending="?show=trouble")).text
    assert room.person_id(ben) in shown and room.person_id(ana) not in shown
    sent = form_of(room.page, address(room, cem) + "?show=unmarked") | {"act": "next"}
    page = room.page.post(address(room, cem), sent)
    assert "That was the last learner of this list." in page.text
    sent = form_of(room.page, address(room, ben) + "?show=marked") | {"act": "previous"}
    assert room.page.post(address(room, ben), sent).url.partition("?")[0].endswith(address(room, ana))


def test_what_two_markers_typed_is_both_on_the_page_and_the_later_chooses(room):
    ana = room.students[0]
    sent = form_of(room.page, address(room, ana)) | {"level-0": "1", "comment-0": NASTY, "level-1": "2"}
    mark(room, ana, "A", 3, "Theirs.", actor=audit.person(room.person_id(room.students[1])))
    page = room.page.post(address(room, ana), {**sent, "act": "next"})
    assert page.status_code == 409
    document = html.document_fromstring(page.text)
    (told,) = document.xpath("//*[@id='over-0']")
    assert "has marked this row meanwhile" in told.text_content() and "Advanced" in told.text_content()
    assert "“Theirs.”" in told.text_content()
    typed = fields(page.text)
    assert (typed["level-0"], typed["comment-0"]) == ("1", NASTY)  # nothing of it is lost, and it runs nowhere
    assert "<script>alert(1)" not in page.text
    assert marks(room, ana) == [(3, "Theirs."), (2, "")]  # the row nobody else touched is stored
    page = room.page.post(address(room, ana), {**typed, "act": "stay"})  # told, she saves again
    assert marks(room, ana)[0] == (1, NASTY)


def test_leaving_the_other_s_mark_stores_nothing(room):
    ana = room.students[0]
    sent = form_of(room.page, address(room, ana)) | {"level-0": "1"}
    mark(room, ana, "A", 3)
    typed = fields(room.page.post(address(room, ana), {**sent, "act": "stay"}).text)
    page = room.page.post(address(room, ana), {**typed, "act": "theirs:0"})
    assert page.status_code == 200 and marks(room, ana) == [(3, "")]


def test_a_row_that_was_not_touched_is_in_nobody_s_way(room):
    ana = room.students[0]
    sent = form_of(room.page, address(room, ana)) | {"level-1": "2"}
    mark(room, ana, "A", 3)
    assert room.page.post(address(room, ana), {**sent, "act": "stay"}).status_code == 200
    assert marks(room, ana) == [(3, ""), (2, "")]


def test_a_comment_that_is_too_long_stays_in_the_form(room):
    ana = room.students[0]
    words = "x" * (marking.LONGEST_COMMENT + 1)
    sent = form_of(room.page, address(room, ana)) | {"level-0": "1", "comment-0": words}
    page = room.page.post(address(room, ana), {**sent, "act": "stay"})
    assert page.status_code == 400 and fields(page.text)["comment-0"] == words
    assert "longer than 2000 characters" in page.text and marks(room, ana) == []


def test_conflict_keep_replace_and_take_back_work_without_script(room):
    ana = room.students[0]
    room.lms.grade(room.course, room.column("A"), ana, 2)
    sent = form_of(room.page, address(room, ana)) | {"level-0": "3"}
    text = room.page.post(address(room, ana), {**sent, "act": "stay"}).text
    assert "The gradebook holds 2 of 4, entered there." in text and "Marked here: 4 of 4." in text
    text = room.page.post(address(room, ana), {**fields(text), "act": "keep:0"}).text
    assert "The gradebook’s grade was kept: 2 of 4." in text
    text = room.page.post(address(room, ana), {**fields(text), "act": "replace:0"}).text
    assert room.lms.score_of(room.course, room.column("A"), ana) == 4 and "In the gradebook" in text
    room.lms.grade(room.course, room.column("A"), ana, 1)
    room.sync()
    text = room.page.get(address(room, ana)).text
    assert "The gradebook now holds 1 of 4, entered there." in text  # told although nothing was marked anew
    text = room.page.post(address(room, ana), {**fields(text), "act": "clear:0"}).text
    assert marks(room, ana) == [(None, "")] and "Taken back here." in text


def test_a_refused_mark_says_why_and_one_press_tries_again(room):
    ana = room.students[0]
    room.lms.faults.on("scores", "status", status=500, body="[]")
    sent = form_of(room.page, address(room, ana)) | {"level-0": "3"}
    text = room.page.post(address(room, ana), {**sent, "act": "stay"}).text
    assert "This grade is locked in the gradebook." in text and "Try again now" in text
    assert "not all in the gradebook" in room.page.get(address(room)).text
    room.lms.faults.clear()
    text = room.page.post(address(room, ana), {**fields(text), "act": "again"}).text
    assert "In the gradebook" in text and room.lms.score_of(room.course, room.column("A"), ana) == 4
    room.page.post(address(room, ending="again"))  # nothing is left: nothing happens


def test_the_script_gets_the_states_alone_and_is_told_of_a_conflict(room):
    ana = room.students[0]
    sent = form_of(room.page, address(room, ana))
    one = {name: value for name, value in sent.items() if name.endswith("-0") or name in ("csrf", "version")}
    url = f"{room.page.home}{address(room, ana)}"
    answer = room.page.http.post(url, data=one | {"level-0": "2"}, headers={"X-Fragment": "marking"}, timeout=20)
    assert answer.status_code == 200 and "data-fragment" in answer.text and "<html" not in answer.text
    answer = room.page.http.post(url, data=one | {"level-0": "1"}, headers={"X-Fragment": "marking"}, timeout=20)
    assert answer.status_code == 409 and "data-overtaken" in answer.text
    answer = room.page.http.post(url, data={**one, "csrf": "0"}, headers={"X-Fragment": "marking"}, timeout=20)
    assert answer.status_code == 400 and "data-fragment" not in answer.text
    state = room.page.get(address(room, ana, "/state"))
    assert state.status_code == 200 and "In the gradebook" in state.text


# -- who may


def test_an_assistant_who_reviews_looks_and_marks_nothing(make_room):  # noqa: F811
    room = make_room(mood="canvas")  # Moodle's launch calls her an instructor
    room.publish(rubric_badge())
    room.sync()
    assistant = room.lms.add_user(room.course, "ta")
    visitor = room.enter(assistant)
    page = visitor.get(address(room, room.students[0]))
    assert page.status_code == 200 and "You can look at the marks here." in page.text
    assert html.document_fromstring(page.text).xpath("//fieldset[@data-row and @disabled]")
    assert visitor.post(address(room, room.students[0]), {"act": "stay"}).status_code == 403
    assert visitor.post(address(room, room.students[0], "/evidence"), {"content": "x"}).status_code == 403


def test_D08_learners_and_other_courses_open_no_marking_page(room, make_room):  # noqa: F811
    ana = room.students[0]
    assert room.enter(ana).get(f"/course/{room.enter(ana).launch}/{address(room, ana)}").status_code in (401, 403)
    other = make_room()
    other.publish(rubric_badge())
    assert other.page.get(f"badges/{room.badge.slug}/marking/").status_code == 404
    assert other.page.get(f"badges/{other.badge.slug}/marking/{room.person_id(ana)}").status_code == 404


def test_a_badge_that_is_graded_in_the_gradebook_has_no_marking_tab(make_room):  # noqa: F811
    room = make_room()
    room.publish(badge())
    assert "/marking/" not in room.page.get(f"badges/{room.badge.slug}").text
    assert room.page.get(f"badges/{room.badge.slug}/marking/").status_code == 404


def test_a_retired_badge_is_shown_and_not_marked(room):
    with room.tool.db.write() as session:
        room.course_badge(session).status = "retired"
    page = room.page.get(address(room, room.students[0]))
    assert page.status_code == 200 and "This badge is retired" in page.text
    assert room.page.post(address(room, room.students[0]), {"act": "stay"}).status_code == 409


def test_names_with_markup_and_other_scripts_are_shown_as_text(make_room):  # noqa: F811
    room = make_room(students=0)
    room.students = [room.lms.add_user(room.course, "student", given_name=NASTY, family_name="=HYPERLINK(1)")]
    room.publish(rubric_badge())
    room.sync()
    for path in (address(room), address(room, room.students[0])):
        page = room.page.get(path)
        assert page.status_code == 200 and "<script>alert(1)" not in page.text and "=HYPERLINK(1)" in page.text


# -- evidence


def add(visitor, room, content, code="A"):
    data = {"tag": f"sub-competency:{code}", "content": content, "at": f"row-{code}"}
    return visitor.post(f"badges/{room.badge.slug}/evidence/", data)


def evidence_of(room, student):
    with room.tool.db.read() as session:
        query = select(Evidence).where(Evidence.person_id == room.person_id(student)).order_by(Evidence.created_at)
        return list(session.scalars(query))


def test_a_learner_adds_words_and_a_link_which_whoever_marks_her_sees_as_such(room):
    ana = room.students[0]
    learner = room.enter(ana)
    assert add(learner, room, NASTY).status_code == 200
    assert add(learner, room, "https://video.example.org/talk?a=1&b=2").status_code == 200
    assert [each.kind for each in evidence_of(room, ana)] == ["text", "link"]
    assert all(each.submitted_at and each.created_by == audit.person(each.person_id) for each in evidence_of(room, ana))
    page = room.enter(room.teacher).get(address(room, ana)).text
    assert "<script>alert(1)" not in page
    (link,) = html.document_fromstring(page).xpath("//aside//a[starts-with(@href, 'https://')]")
    assert link.get("href") == "https://video.example.org/talk?a=1&b=2"
    assert set(link.get("rel").split()) >= {"noopener", "noreferrer", "nofollow", "ugc"}


@pytest.mark.parametrize(
    "content",
    ["http://plain.example.org/x", "javascript:alert(1)", "https://", "https://a.example/ two words",
     "data:text/html,<script>alert(1)</script>"],
)  # fmt: skip
def test_nothing_but_one_https_address_becomes_a_link(room, content):
    ana = room.students[0]
    assert add(room.enter(ana), room, content).status_code == 200
    (found,) = evidence_of(room, ana)
    assert found.kind == "text"
    page = html.document_fromstring(room.enter(room.teacher).get(address(room, ana)).text)
    assert not page.xpath(
        "//aside//a[starts-with(@href, 'http') or starts-with(@href, 'j') or starts-with(@href, 'd')]"
    )


def test_evidence_that_cannot_be_used_comes_back_with_what_was_typed(room):
    learner = room.enter(room.students[0])
    page = add(learner, room, "x" * 5001)
    assert page.status_code == 400 and "longer than 5000 characters" in page.text and "x" * 5001 in page.text
    assert add(learner, room, "  ").status_code == 400
    assert add(learner, room, "x", code="Z").status_code == 404


def test_a_learner_withdraws_her_own_and_nobody_else_s(room):
    ana, ben, _ = room.students
    learner = room.enter(ana)
    add(learner, room, "Mine.")
    (item,) = evidence_of(room, ana)
    path = f"badges/{room.badge.slug}/evidence/{item.id}/withdraw"
    assert room.enter(ben).post(path).status_code == 404
    teacher = room.enter(room.teacher)
    assert teacher.post(address(room, ana, f"/evidence/{item.id}/withdraw")).status_code == 404
    learner = room.enter(ana)
    assert learner.post(path).status_code == 200
    assert evidence_of(room, ana)[0].withdrawn_at is not None
    assert "Mine." not in room.enter(room.teacher).get(address(room, ana)).text


def test_whoever_marks_attaches_a_note_the_learner_sees_and_takes_it_back(room):
    ana = room.students[0]
    room.page.post(address(room, ana, "/evidence"), {"tag": "sub-competency:B", "content": "Seen live."})
    (item,) = evidence_of(room, ana)
    assert (item.kind, item.created_by) == ("note", audit.person(room.person_id(room.teacher)))
    assert "Seen live." in room.enter(ana).get(f"badges/{room.badge.slug}").text
    teacher = room.enter(room.teacher)
    assert "Seen live." in teacher.get(address(room, ana)).text
    teacher.post(address(room, ana, f"/evidence/{item.id}/withdraw"))
    assert evidence_of(room, ana)[0].withdrawn_at is not None
    with room.tool.db.read() as session:
        actions = session.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("evidence."))).all()
    assert actions[-2:] == ["evidence.added", "evidence.withdrawn"]


def test_an_instructor_adds_no_evidence_as_a_learner(room):
    launch = room.page.launch
    data = {"tag": "sub-competency:A", "content": "x"}
    assert room.page.post(f"/me/{launch}/badges/{room.badge.slug}/evidence/", data).status_code == 403


def test_a_row_without_evidence_takes_none_from_learners(make_room):  # noqa: F811
    room = make_room()
    room.publish(badge(sub_competencies=(row("A", source="rubric", evidence="none"), row("B", source="rubric"))))
    learner = room.enter(room.students[0])
    assert add(learner, room, "x", code="A").status_code == 404
    assert learner.get(f"badges/{room.badge.slug}").text.count("Add evidence") == 1


def test_a_comment_is_shown_to_its_learner_once_the_badge_is_released(make_room):  # noqa: F811
    room = make_room()
    room.publish(rubric_badge(release="held"))
    room.sync()
    ana = room.students[0]
    mark(room, ana, "A", 2, "Only for later.")
    room.run("post", str(room.id))
    path = f"badges/{room.badge.slug}"
    assert "Only for later." not in room.enter(ana).get(path).text
    room.enter(room.teacher).post(f"{path}/release")
    assert "Only for later." in room.enter(ana).get(path).text
    assert "Only for later." not in room.enter(room.students[1]).get(path).text
