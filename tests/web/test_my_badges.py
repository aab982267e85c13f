"""A learner's badges: of a course, of all her courses, and one; in few queries, with no hint at what is held back."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update

from lti_tool.models import Award, Course, CourseBadge, Enrolment, Job, Mastery, Person, WhyNot
from lti_tool.services import audit, evidence, marking, people, work
from lti_tool.services.marking import Wish
from tests.classroom import Classroom, badge, gate, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import Visitor, now
from tests.services.test_stacks import stack


def everywhere(room: Classroom, user: Any) -> Visitor:  # noqa: F811
    """Launch from the account's menu, without a course."""
    room.scene.mood = room.mood
    visitor = room.scene.launch(user.id, None)
    if visitor.home:
        visitor.home = visitor.home.removesuffix("all")
    return visitor


def words_of(page: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def key_of(room: Classroom) -> str:  # noqa: F811
    with room.tool.db.read() as session:
        return room.course_badge(session).id


def person_ids(room: Classroom, user: Any) -> list[str]:  # noqa: F811
    with room.tool.db.read() as session:
        return list(session.scalars(select(Person.id).where(Person.sub == user.id)))


@contextmanager
def counted(tool: Any) -> Iterator[list[str]]:
    """Write down every statement that a page sends to the database; figures are saved beside it, by the clock."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INTO figure " not in statement:
            sent.append(statement)

    event.listen(tool.db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(tool.db.engine, "before_cursor_execute", note)


# -- without a course ---------------------------------------------------------------------------------------------


@pytest.fixture
def two(make_room: Any) -> tuple[Classroom, Classroom, Any]:  # noqa: F811
    """Two courses of one Canvas with a learner in both: she has a badge of the first, and half of one of the second."""
    first, second = make_room(mood="canvas"), make_room(mood="canvas")
    ana = first.students[0]
    second.lms.enrol(second.course, ana)
    for each in (first, second):
        each.course.term = "Autumn 2026"
        each.enter(ana)
        each.publish(badge(name=f"Careful Work {each.course.label}"))
    first.grade(ana, 3, 3)
    second.grade(ana, 3, 1)
    assert (first.sync().state, second.sync().state) == ("done", "done")
    return first, second, ana


def test_a_launch_without_a_course_opens_her_badges_of_all_courses(two):
    first, second, ana = two
    page = everywhere(first, ana)
    assert page.page.status_code == 200 and page.page.url.endswith("/all")
    words = words_of(page.page)
    assert f"Careful Work {first.course.label} is yours" in words and "Claim it" in words
    assert f"Careful Work {second.course.label} You have 1 of 2. Missing: Row B (Beginning, needs Proficient)." in words
    assert words.index(first.course.label) < words.index(second.course.label)  # what is new goes first
    assert "Autumn 2026" in words


def test_from_there_every_page_of_a_badge_opens_and_it_can_be_claimed(two):
    first, second, ana = two
    page = everywhere(first, ana)
    for key in (key_of(first), key_of(second)):
        assert page.get(f"badges/{key}").status_code == 200
        assert page.get(f"badges/{key}/picture.svg").status_code == 200
    claimed = page.http.post(
        f"{page.home}badges/{key_of(first)}/claim",
        data={"csrf": csrf(page), "inside": "1", "public": "on", "levels": "on", "seen": seen(page, key_of(first))},
        timeout=20,
    )
    assert claimed.status_code == 200 and first.award(ana)["claimed_at"]
    assert page.get(f"badges/{key_of(first)}/wallet").status_code == 200
    assert page.get(f"badges/{key_of(first)}/show").status_code == 200
    assert page.get("backpacks/").status_code == 200
    assert page.get("clr.json").status_code == 200
    assert page.get(f"badges/{key_of(second)}/claim").status_code == 404  # not earned


def csrf(page: Visitor) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.get("all").text)
    return found[1] if found else ""


def seen(page: Visitor, key: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', page.get(f"badges/{key}/claim").text)
    return found[1] if found else ""


def test_D14_without_a_course_nothing_opens_that_is_not_hers(two, make_room):  # noqa: F811
    first, _second, ana = two
    other = make_room(mood="canvas")
    other.publish(badge())
    other.grade(other.students[0], 3, 3)
    other.sync()
    draft = key_of(other)
    page = everywhere(first, ana)
    ways = ("", "/claim", "/picture.svg", "/wallet")
    for key in (draft, "0" * 32, first.badge.slug, other.badge.slug):
        assert {page.get(f"badges/{key}{way}").status_code for way in ways} == {404}, key
    for way in ("claim", "wallet", "not-now", "why-not"):
        sent = {"csrf": csrf(page), "reason": "later", "inside": "1", "public": "on"}
        answer = page.http.post(f"{page.home}badges/{draft}/{way}", data=sent, timeout=20)
        assert answer.status_code == 404
    assert other.award()["claimed_at"] is None
    assert other.course.label not in page.page.text
    for address in ("", "badges/x/evidence/"):  # what belongs to a course needs one
        assert page.get(address).status_code in (403, 404, 405)
    assert page.get(f"/course/{page.launch}/").status_code == 403


def test_D14_another_platform_s_badge_of_the_same_user_name_stays_closed(two, make_room):  # noqa: F811
    first, _, ana = two
    moodle = make_room(mood="moodle")
    moodle.publish(badge())
    with moodle.tool.db.write() as session:  # even where an enrolment stood there by mistake
        session.add(Enrolment(course_id=moodle.id, person_id=person_ids(first, ana)[0], launch_role="Learner"))
    page = everywhere(first, ana)
    assert page.get(f"badges/{key_of(moodle)}").status_code == 404
    assert moodle.course.label not in page.page.text


def test_a_learner_whose_enrolment_ended_still_has_what_she_earned_and_no_more(two):
    first, second, ana = two
    with first.tool.db.write() as session:
        for enrolment in session.scalars(select(Enrolment).where(Enrolment.person_id == person_ids(first, ana)[0])):
            enrolment.active = False
    page = everywhere(first, ana)
    words = words_of(page.page)
    assert first.course.label in words and "over for you; what you earned stays yours" in words
    assert page.get(f"badges/{key_of(first)}/claim").status_code == 200
    assert second.course.label not in words
    assert page.get(f"badges/{key_of(second)}").status_code == 404


def test_H15_people_who_are_linked_as_one_see_what_all_of_them_have(two):
    first, second, ana = two
    twin = first.lms.add_user(second.course, "student")
    second.enter(twin)
    assert first.course.label not in words_of(everywhere(second, twin).page)
    one, other = person_ids(first, twin)[0], person_ids(first, ana)[0]
    people.link(first.tool, one, other, actor="operator", now=now())
    page = everywhere(second, twin)
    assert f"Careful Work {first.course.label} is yours" in words_of(page.page)
    assert page.get(f"badges/{key_of(first)}/claim").status_code == 200


def test_a_launch_without_a_course_reads_the_courses_whose_results_are_old(two):
    first, second, ana = two
    second.grade(ana, 3, 3)
    with first.tool.db.write() as session:
        for course in session.scalars(select(Course)):
            course.synced_at = now() - timedelta(hours=1) if course.id == second.id else course.synced_at
    page = everywhere(second, ana)
    assert f"Careful Work {second.course.label} is yours" in words_of(page.get("all"))


def test_on_moodle_a_link_in_the_course_leads_to_all_courses(room, make_room):  # noqa: F811
    student, other = room.students[0], make_room()
    other.lms.enrol(other.course, student)
    other.enter(student)
    other.publish(badge())
    room.publish(badge())
    page = room.enter(student)
    link = re.search(r'href="(/me/[^"]+/all)"[^>]*>All my courses', page.page.text)
    assert link
    there = page.get(link[1])
    assert room.course.label in there.text and other.course.label in there.text
    for key in (key_of(other), key_of(room)):
        assert page.get(f"badges/{key}").status_code == 200


def test_whoever_has_nothing_is_told_where_badges_come_from(make_room):  # noqa: F811
    course = make_room(mood="canvas")
    page = everywhere(course, course.lms.add_user(course.course, "student"))
    assert "Badges come from your courses" in page.page.text


# -- few queries --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "all"])
def test_the_number_of_queries_does_not_grow_with_the_number_of_badges(room, path):  # noqa: F811
    student = room.students[0]
    parts = [badge(rows=1) for _ in range(2)]
    for each in (*parts, stack(*parts), badge(rows=8)):
        room.publish(each)
    room.badge = parts[0]
    room.grade(student, 4)
    room.sync()
    page = room.enter(student)
    page.get(path)
    with counted(room.tool) as few:
        assert page.get(path).status_code == 200
    more = [badge(rows=1) for _ in range(4)]
    for each in (*more, stack(*more), stack(*more[:2]), badge(rows=8), badge(rows=8)):
        room.publish(each)
    for each in more[:3]:
        room.badge = each
        room.grade(student, 4)
    room.sync()
    page.get(path)
    with counted(room.tool) as many:
        assert page.get(path).status_code == 200
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few))[:5])


# -- fresh --------------------------------------------------------------------------------------------------------


def test_while_the_course_is_read_the_page_waits_for_something_small_and_takes_the_end_in(room, monkeypatch):  # noqa: F811
    room.publish(badge())
    page = room.enter(room.students[0])
    monkeypatch.setattr(room.scene.tool, "wake", lambda _job: None)  # the worker is busy elsewhere
    job_id = work.request(room.tool, "sync", str(room.id), now())
    text = page.get("").text
    address = re.search(r'data-job="([^"]+)"', text)
    assert address and "Reading the gradebook" in text
    assert page.get(address[1]).json() == {"state": "running"}
    with room.tool.db.write() as session:
        session.get_one(Job, job_id).state = "done"
    assert page.get(address[1]).json() == {"state": "done"}
    assert "data-job" not in page.get("").text


def test_when_the_lms_is_down_the_page_says_how_old_it_is(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 1)
    room.sync()
    with room.tool.db.write() as session:
        session.get_one(Course, room.id).synced_at = now() - timedelta(hours=3)
    room.lms.faults.on("results", "status", status=500)
    assert room.sync().state != "done"
    page = room.enter(room.students[0])
    words = words_of(page.get(""))
    assert "The gradebook cannot be read at the moment." in words and "3 h ago" in words
    assert "You have 1 of 2" in words and "Results from 3 h ago" in words
    assert "cannot be read at the moment" in words_of(page.get("all"))


# -- one badge ----------------------------------------------------------------------------------------------------


def test_one_badge_shows_each_level_what_the_next_asks_and_what_was_said(room):  # noqa: F811
    room.publish(badge(sub_competencies=(row("A", source="rubric"), row("B"))))
    student = room.students[0]
    room.enter(student)
    mark(room, student, "A", 1, "Count to two.")
    room.lms.grade(room.course, room.column("B"), student, 2, comment="<p>Check <b>first</b> &amp; then answer.</p>")
    room.sync()
    page = room.enter(student).get(f"badges/{room.badge.slug}")
    words = words_of(page)
    assert "“Count to two.” Tess Teacher" in words and words.count("Count to two.") == 1
    assert "“Check first & then answer.” in the gradebook" in words
    assert words.count("Beginning") >= 2 and "Missing: Row A (Developing, needs Proficient)" in words


def mark(room: Classroom, student: Any, code: str, level: int, comment: str, revision: int = 0) -> None:  # noqa: F811
    wish = Wish(f"sub-competency:{code}", level, comment, revision)
    person, actor = room.person_id(student), audit.person(room.person_id(room.teacher))
    saved = marking.save(room.tool, room.id, room.badge.slug, person, [wish], actor=actor, now=now())
    assert not saved.overtaken
    room.run("post", str(room.id))


def test_badges_stand_in_the_order_they_were_made_in_and_those_made_at_once_by_name(room):  # noqa: F811
    for number in (10, 9, 2):
        room.publish(badge(rows=1, name=f"Skill {number}"))
    room.publish(badge(rows=1, name="A last one"))
    with room.tool.db.write() as session:
        numbered = select(CourseBadge.id).where(CourseBadge.course_id == room.id, CourseBadge.slug != room.badge.slug)
        session.execute(
            update(CourseBadge).where(CourseBadge.id.in_(numbered)).values(created_at=now() - timedelta(hours=1))
        )
    page = room.enter(room.students[0])
    room.sync()
    for path in ("", "all"):
        assert re.findall(r"Skill \d+|A last one", words_of(page.get(path))) == [
            "Skill 2",
            "Skill 9",
            "Skill 10",
            "A last one",
        ]


def test_a_sentence_says_how_many_of_the_rows_are_missing_and_what_is_besides(room):  # noqa: F811
    ana, ben = room.students
    room.publish(badge(rows=4, rule="any 2", gates=(gate(),)))
    gated = [each for each in room.columns if ":g" in each.tag]
    for points, student in (((3, None, None, None), ana), ((3, 3, None, None), ben)):
        for column, score in zip([c for c in room.columns if c not in gated], points, strict=True):
            room.lms.grade(room.course, column, student, score)
    room.sync()
    one, two = (words_of(room.enter(each).get("")) for each in (ana, ben))
    assert "You have 1 of 2. Missing: 1 of these 3: Row B (no result yet, needs Proficient), Row C" in one
    assert "Missing besides: Gate g (no result yet, needs 60 %)." in one
    assert "You have 2 of 2, as many as it takes. Still missing: Gate g (no result yet, needs 60 %)." in two


def test_what_happened_says_what_was_reached_when_and_not_that_there_was_no_result(room):  # noqa: F811
    ana, ben = room.students
    room.publish(badge(gates=(gate(),)))
    room.enter(ben)
    room.sync()
    for points in ((2, 3, 40), (4, None, 80)):
        room.grade(ana, *points)
        room.sync()

    def told(student: Any) -> list[str]:
        page = html.unescape(room.enter(student).get(f"badges/{room.badge.slug}").text)
        return re.findall(r"<li>\d+ \w+ \d+: ([^<]*)</li>", page)

    assert told(ben) == []
    assert sorted(told(ana)) == [
        *("Advanced in “Row A”", "Developing in “Row A”", "Proficient in “Row B”"),
        *("“Gate g” is fulfilled", "“Row B” has no result any more"),
    ]
    assert told(ana).index("Advanced in “Row A”") < told(ana).index("Developing in “Row A”")


def test_a_withdrawn_and_an_expired_badge_say_so_and_when(room):  # noqa: F811
    room.publish(badge())
    ana, ben = room.students
    for each in (ana, ben):
        room.grade(each, 3, 3)
    room.sync()
    room.page.post(
        f"badges/{room.badge.slug}/awards/{room.award(ana)['id']}/revoke", {"reason": "Given by mistake.", "sure": "on"}
    )
    with room.tool.db.write() as session:
        session.get_one(Award, room.award(ben)["id"]).expires_at = now() - timedelta(days=1)
    for each, chip, told in ((ana, "Withdrawn", "Given by mistake."), (ben, "Expired", "It was valid until")):
        page = room.enter(each)
        assert chip in words_of(page.get("")) and told in words_of(page.get(""))
        assert chip in words_of(page.get("all"))
        assert "is yours" not in words_of(page.get(""))


# -- nothing is hinted at -----------------------------------------------------------------------------------------


def same_for_both(room: Classroom, graded: Any, other: Any, *paths: str) -> None:  # noqa: F811
    """Whoever was graded and whoever was not meet the same pages, to the letter, but for their names."""

    def plain(user: Any, visitor: Visitor, path: str) -> str:
        answer = visitor.get(path)
        text = re.sub(r"\b[0-9A-F]{16}\b", "NUMBER", answer.text)  # of the request, on a refusal
        text = text.replace(visitor.launch, "LAUNCH").replace(csrf_in(answer.text), "CSRF")
        for word, stands in ((user.name, "NAME"), (user.given_name, "NAME")):
            text = text.replace(html.escape(word), stands)
        return f"{answer.status_code} {text}"

    one, two = room.enter(graded), room.enter(other)
    for path in paths:
        assert plain(graded, one, path) == plain(other, two, path), path


def csrf_in(text: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', text)
    return found[1] if found else "-"


def all_paths(*definitions: Any) -> list[str]:
    """Return every page of hers on which a hint could stand."""
    paths = ["", "all", "data/", "backpacks/", "clr.json", "reading.json"]
    for each in definitions:
        paths += [f"badges/{each.slug}", f"badges/{each.slug}/claim", f"badges/{each.slug}/wallet"]
    return paths


def test_I24_a_grade_that_is_held_back_is_not_hinted_at_anywhere(room):  # noqa: F811
    """Levels, comments, evidence notes, history, ring, counts, an award that waits, a stack or a badge it opens."""
    held = badge(release="held", sub_competencies=(row("A", source="rubric"), row("B", source="rubric")))
    after = badge(rows=1, prerequisites=(held.slug,), name="What comes after")
    whole = stack(held, name="The whole of it")
    ana, ben = room.students
    room.enter(ana), room.enter(ben)
    for each in (held, after, whole):
        assert room.publish(each).state == "done"
    room.badge = held
    same_for_both(room, ana, ben, *all_paths(held, after, whole))
    for revision, level in enumerate((0, 2)):  # marked twice: there is a history
        for code in "AB":
            mark(room, ana, code, level, "Secret words of praise.", revision)
        room.sync()
    note(room, ana, "A", "A note of whoever marks.")
    room.sync()
    assert room.award(ana)["status"] == "held"
    same_for_both(room, ana, ben, *all_paths(held, after, whole))
    page = room.enter(ana)
    for way in ("claim", "not-now", "why-not", "wallet"):
        assert page.post(f"badges/{held.slug}/{way}").status_code == 404
    room.page.post(f"badges/{held.slug}/release")
    shown = words_of(room.enter(ana).get(f"badges/{held.slug}"))
    assert "Secret words of praise." in shown and "A note of whoever marks." in shown  # the test can fail


def note(room: Classroom, student: Any, code: str, words: str) -> None:  # noqa: F811
    evidence.attach(
        room.tool,
        room.id,
        room.badge.slug,
        room.person_id(student),
        f"sub-competency:{code}",
        words,
        actor=audit.person(room.person_id(room.teacher)),
        now=now(),
    )


def test_I24_a_grade_that_the_lms_does_not_show_is_not_hinted_at_either(room):  # noqa: F811
    """As a connector tells it: one row is not posted, and an award waits for it."""
    room.publish(badge())
    ana, ben = room.students
    room.enter(ana), room.enter(ben)
    room.sync()
    hide_grades(room, ana)
    same_for_both(room, ana, ben, *all_paths(room.badge))
    hide_grades(room, ana, released=True)
    assert "You have 2 of 2" in words_of(room.enter(ana).get(""))  # the test can fail


def hide_grades(room: Classroom, student: Any, *, released: bool = False) -> None:  # noqa: F811
    """Let both rows be reached with grades that the LMS keeps from the learner, or does not any more."""
    badge_id, person = key_of(room), room.person_id(student)
    with room.tool.db.write() as session:
        for standing in session.scalars(
            select(Mastery).where(Mastery.course_badge_id == badge_id, Mastery.person_id == person)
        ):
            record = {**standing.record, "state": "met", "score": "3", "maximum": "4", "points": "3", "level": 2}
            record |= {"reached": "Proficient", "required": "Proficient"}
            record.pop("released", None)
            where = (
                Mastery.course_badge_id == badge_id, Mastery.person_id == person, Mastery.tag == standing.tag
            )  # fmt: skip
            values = {"record": record if released else {**record, "released": False}, "met": True, "level": 2}
            session.execute(update(Mastery).where(*where).values(values))


# -- not claiming, and why not ------------------------------------------------------------------------------------


@pytest.fixture
def earned(room: Classroom) -> Classroom:  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    return room


def why_row(room: Classroom) -> WhyNot | None:  # noqa: F811
    with room.tool.db.read() as session:
        return session.get(WhyNot, room.award()["id"])


ASKS = "Why not?"


def test_not_now_is_respected_and_why_is_asked_once_and_may_be_skipped(earned):
    page = earned.enter(earned.students[0])
    assert "is yours" in page.page.text and ASKS not in page.page.text
    answer = page.post(f"badges/{earned.badge.slug}/not-now")
    assert answer.status_code == 200 and ASKS in answer.text
    home = page.get("").text
    assert "is yours" not in home and "Claim it" in home  # no banner any more, and it can be claimed still
    done = page.post(f"badges/{earned.badge.slug}/why-not", {"skip": "1", "reason": "private", "words": "mine"})
    assert ASKS not in done.text and "You are not asked again." in done.text
    kept = why_row(earned)
    assert (kept.reason, kept.words) == ("", "") and kept.answered_at
    page.post(f"badges/{earned.badge.slug}/why-not", {"reason": "private"})
    assert why_row(earned).reason == ""  # the first answer stays
    page.post(f"badges/{earned.badge.slug}/not-now")
    assert ASKS not in page.get(f"badges/{earned.badge.slug}").text + page.get("").text


def test_two_weeks_later_it_is_asked_on_one_day_only(earned):
    page = earned.enter(earned.students[0])
    with earned.tool.db.write() as session:
        session.get_one(Award, earned.award()["id"]).issued_at = now() - timedelta(days=15)
    assert ASKS in page.get("").text
    assert ASKS in page.get("").text  # the page may be loaded again that day
    with earned.tool.db.write() as session:
        session.get_one(WhyNot, earned.award()["id"]).asked_at = now() - timedelta(days=1, minutes=1)
    assert ASKS not in page.get("").text + page.get(f"badges/{earned.badge.slug}").text


def test_whoever_has_claimed_is_never_asked(earned):
    page = earned.enter(earned.students[0])
    page.post(f"badges/{earned.badge.slug}/not-now")
    path = f"badges/{earned.badge.slug}/claim"
    page.post(path, {"inside": "1", "levels": "on", "seen": seen(page, earned.badge.slug)})
    assert earned.award()["claimed_at"]
    assert ASKS not in page.get(f"badges/{earned.badge.slug}").text
    assert page.post(f"badges/{earned.badge.slug}/why-not", {"reason": "later"}).status_code == 404


def test_an_instructor_reads_nowhere_what_one_learner_answered(earned):
    page = earned.enter(earned.students[0])
    page.post(f"badges/{earned.badge.slug}/why-not", {"reason": "private", "words": "My very own words"})
    assert why_row(earned).words == "My very own words"
    person = earned.person_id(earned.students[0])
    for path in ("", f"badges/{earned.badge.slug}", f"badges/{earned.badge.slug}/awards",
                 f"badges/{earned.badge.slug}/progress.csv",
                 f"badges/{earned.badge.slug}/record/{person}/sub-competency:A"):  # fmt: skip
        text = earned.page.get(path).text
        assert "very own words" not in text and "nobody’s business" not in html.unescape(text)
