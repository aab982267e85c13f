"""What the figures pages tell, and what they do not tell because it would be of few people."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from lti_tool.errors import NotFound
from lti_tool.models import Award, AwardTally, Course, CourseBadge, Mastery, Person, Registration, Tally
from lti_tool.services import counting, figure_pages
from lti_tool.services.figure_pages import Asked, as_csv, asked_of, course_figures, figures
from tests.classroom import Classroom, badge, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now

NUMBERS = itertools.count(1)


class Campus:
    """One badge, used in several courses by as many people as a test says."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.tool = scene, scene.tool
        self.room = Classroom(scene)
        self.room.publish(badge())
        with self.tool.db.read() as session:
            self.version_id = self.room.course_badge(session).version_id
            self.achievement_id = self.room.course_badge(session).version.achievement_id
        self.platform = scene.platform["moodle"]

    def people(self, number: int, platform: int | None = None) -> list[str]:
        ids = [f"p{next(NUMBERS):05}" for _ in range(number)]
        with self.tool.db.write() as session:
            rows = [
                {"id": id, "registration_id": platform or self.platform, "sub": id, "subject_id": id, "name": "",
                 "email": "", "test_user": False, "disabled": False, "created_at": now()}
                for id in ids
            ]  # fmt: skip
            if rows:
                session.execute(insert(Person), rows)
        return ids

    def course(
        self,
        label: str,
        issued: int = 0,
        claimed: int = 0,
        *,
        on: datetime | None = None,
        people: list[str] | None = None,
        platform: int | None = None,
        term: str = "",
        slug: str = "",
    ) -> str:
        """Make a course in which some have the badge and some of those have claimed it; returns its badge's id."""
        at = on or datetime(2026, 10, 5, 12, tzinfo=UTC)
        with self.tool.db.write() as session:
            origin = session.get_one(Course, self.room.id)
            course = Course(registration_id=platform or self.platform, deployment_pk=origin.deployment_pk,
                            context_id=f"x{next(NUMBERS)}", label=label, term=term, created_at=now())  # fmt: skip
            session.add(course)
            session.flush()
            here = CourseBadge(course_id=course.id, slug=slug or self.room.badge.slug, status="active",
                               version_id=self.version_id, created_at=now())  # fmt: skip
            session.add(here)
            session.flush()
            course_id, badge_id = course.id, here.id
        people = people if people is not None else self.people(issued, platform)
        self.award(badge_id, course_id, people[:issued], claimed, at)
        return badge_id

    def award(self, badge_id: str, course_id: int, people: list[str], claimed: int, at: datetime) -> None:
        graded = {"rows": [{"received_at": at.replace(hour=10).isoformat()}]}
        rows = [
            {"id": f"a{next(NUMBERS):06}", "achievement_id": self.achievement_id, "version_id": self.version_id,
             "course_badge_id": badge_id, "course_id": course_id, "person_id": person_id, "scope": f"course:{badge_id}",
             "status": "issued", "live": True, "decision": graded, "earned_at": at, "issued_at": at,
             "claimed_at": at if place < claimed else None, "page_public": False, "given": "grades"}
            for place, person_id in enumerate(people)
        ]  # fmt: skip
        with self.tool.db.write() as session:
            if rows:
                session.execute(insert(Award), rows)
        counting.catch_up(self.tool.db, now())

    def courses(self, **asked: Any) -> dict[str, Any]:
        page = figures(self.tool, Asked(by="course", **asked))
        return {line.label: line for line in page.lines}


@pytest.fixture(scope="module")
def used(shared: Scene) -> Campus:  # noqa: F811
    return Campus(shared)


@pytest.fixture
def campus(used: Campus) -> Iterator[Campus]:
    """The installation without what the test before put into it: its figures are the whole installation's."""
    yield used
    made = select(Course.id).where(Course.context_id.startswith("x"))
    with used.tool.db.write() as session:
        for table in (Tally, AwardTally, Mastery, Award):
            session.execute(delete(table))
        session.execute(delete(CourseBadge).where(CourseBadge.course_id.in_(made)))
        session.execute(delete(Course).where(Course.context_id.startswith("x")))
        session.execute(delete(Person).where(Person.subject_id.startswith("p0")))


# -- what is told -----------------------------------------------------------------------------------------------


def test_a_page_without_anything_says_so(campus: Campus) -> None:
    page = figures(campus.tool, Asked())
    assert not page.anything and not page.too_small
    assert not course_figures(campus.tool, campus.room.id, Asked()).anything


def test_numbers_rates_and_times_are_told_to_the_nearest_five(campus: Campus) -> None:
    campus.course("A", 122, 83)
    page = figures(campus.tool, Asked())
    assert (page.total.issued, page.total.claimed, page.total.claim_rate) == (120, 85, 71)
    assert page.total.to_award == "within 2 hours" and page.total.to_claim == "within a minute"
    assert [(line.label, line.issued, line.claimed) for line in page.months] == [("Oct 2026", 120, 85)]
    assert [line.label for line in page.lines] == [campus.room.badge.name]
    assert page.highest == 120


def test_a_course_s_instructor_reads_her_numbers_as_they_are(campus: Campus) -> None:
    badge_id = campus.course("A", 7, 3)
    with campus.tool.db.read() as session:
        here = session.get_one(CourseBadge, badge_id)
        course_id, slug = here.course_id, here.slug
    for page in (
        course_figures(campus.tool, course_id, Asked(), slug),
        course_figures(campus.tool, course_id, Asked()),
    ):
        assert (page.total.issued, page.total.claimed, page.total.claim_rate) == (7, 3, None)
        assert page.total.to_award == "within 2 hours" and not page.guarded
    assert course_figures(campus.tool, campus.room.id, Asked()).total.issued == 0  # another course's are not hers
    with pytest.raises(NotFound):
        course_figures(campus.tool, course_id, Asked(), "no-such-badge")


def test_a_course_s_page_cannot_be_made_another_s_by_what_is_asked(campus: Campus) -> None:
    campus.course("A", 30, 3)
    page = course_figures(campus.tool, campus.room.id, asked_of({"course": "1", "platform": "1", "badge": "1"}))
    assert page.total.issued == 0


# -- what is not told -------------------------------------------------------------------------------------------


def test_a_group_of_fewer_than_ten_people_is_not_told(campus: Campus) -> None:
    campus.course("Small", 9, 5)
    page = figures(campus.tool, Asked())
    assert page.too_small and page.total.issued == 0 and not page.lines and not page.months


def test_many_badges_of_few_people_are_few_people(campus: Campus) -> None:
    people = campus.people(8)
    for number in range(3):
        campus.course(f"C{number}", 8, 8, people=people)
    assert figures(campus.tool, Asked()).too_small


def test_a_number_below_ten_is_not_told_in_a_group_that_is(campus: Campus) -> None:
    campus.course("A", 40, 6)
    total = figures(campus.tool, Asked()).total
    assert (total.issued, total.claimed, total.claim_rate, total.to_claim, total.shared) == (40, None, None, "", 0)


def test_the_total_minus_the_rows_beside_it_tells_nothing_of_a_small_row(campus: Campus) -> None:
    """The small one is hidden, and the smallest beside it with it: together they are ten or more."""
    campus.course("Large", 60, 30)
    campus.course("Middle", 25, 12)
    campus.course("Small", 3, 3)
    found = campus.courses()
    assert found["Small"].hidden and found["Middle"].hidden and not found["Large"].hidden
    assert found["Middle"].issued == 0 and found["Large"].issued == 60


def test_two_hidden_rows_of_the_same_few_people_are_not_enough(campus: Campus) -> None:
    people = campus.people(6)
    campus.course("Large", 60, 30)
    campus.course("Middle", 25, 12)
    campus.course("Small 1", 6, 3, people=people)
    campus.course("Small 2", 6, 3, people=people)
    found = campus.courses()
    assert {label for label, line in found.items() if line.hidden} == {"Small 1", "Small 2", "Middle"}


def test_enough_small_rows_hide_each_other(campus: Campus) -> None:
    campus.course("Large", 60, 30)
    campus.course("Middle", 25, 12)
    campus.course("Small 1", 6, 3)
    campus.course("Small 2", 6, 3)
    assert not campus.courses()["Middle"].hidden


def test_a_filter_opens_no_row_that_the_table_hides(campus: Campus) -> None:
    campus.course("Large", 60, 30, term="Fall")
    campus.course("Middle", 25, 12, term="Spring")
    campus.course("Small", 3, 3, term="Summer")
    with campus.tool.db.read() as session:
        ids = {course.label: course.id for course in session.query(Course)}
    told = {label: figures(campus.tool, Asked(course=ids[label])) for label in ("Large", "Middle", "Small")}
    assert {label: page.too_small for label, page in told.items()} == {"Large": False, "Middle": True, "Small": True}
    by_term = {term: figures(campus.tool, Asked(term=term)).too_small for term in ("Fall", "Spring", "Summer")}
    assert by_term == {"Fall": False, "Spring": True, "Summer": True}


def test_a_month_and_a_year_open_nothing_that_would_be_left_over(campus: Campus) -> None:
    campus.course("A", 60, 30, on=datetime(2026, 8, 5, 12, tzinfo=UTC))
    campus.course("B", 20, 12, on=datetime(2026, 9, 5, 12, tzinfo=UTC))
    campus.course("C", 4, 4, on=datetime(2026, 10, 5, 12, tzinfo=UTC))
    told = {period: figures(campus.tool, Asked(period=period)).too_small for period in
            ("2026", "2026-08", "2026-09", "2026-10")}  # fmt: skip
    assert told == {"2026": False, "2026-08": False, "2026-09": True, "2026-10": True}
    months = {line.label: line.hidden for line in figures(campus.tool, Asked()).months}
    assert months == {"Aug 2026": False, "Sep 2026": True, "Oct 2026": True}


def test_no_difference_of_two_pages_is_exact(campus: Campus) -> None:
    """Two filters at once leave a corner of a table that no single table shows: rounding is what covers it."""
    other = campus.scene.platform["canvas"]
    campus.course("M fall", 40, 20, term="Fall")
    campus.course("M spring", 40, 20, term="Spring")
    campus.course("C fall", 40, 20, term="Fall", platform=other)
    for number in (1, 2, 3, 4):
        campus.course("C spring", number, 0, term="Spring", platform=other)
        whole = figures(campus.tool, Asked(term="Spring"))
        part = figures(campus.tool, Asked(term="Spring", platform=campus.platform))
        seen = [page.total.issued for page in (whole, part) if not page.too_small]
        assert all(number % 5 == 0 for number in seen)
    with campus.tool.db.read() as session:
        assert session.get_one(Registration, other)


def test_every_number_on_every_page_is_round_or_not_told(campus: Campus) -> None:
    for number in range(6):
        campus.course(f"C{number}", 11 + 7 * number, 3 * number, term=("Fall", "Spring")[number % 2],
                      on=datetime(2026, 9 + number % 3, 5, 12, tzinfo=UTC))  # fmt: skip
    asked = itertools.product(figure_pages.DIMENSIONS, ("", "Fall"), ("", "2026", "2026-09"))
    pages = [figures(campus.tool, Asked(by=by, term=term, period=period)) for by, term, period in asked]
    lines = [line for page in pages for line in (page.total, *page.months, *page.lines)]
    numbers = [n for line in lines for n in (line.issued, line.claimed, line.shared, line.views) if n is not None]
    assert len(numbers) > 100 and all(n == 0 or (n >= 10 and n % 5 == 0) for n in numbers)


# -- what holds people back -------------------------------------------------------------------------------------


def stand(campus: Campus, badge_id: str, people: list[str], below: int, tag: str = "sub-competency:A") -> None:
    rows = [
        {"course_badge_id": badge_id, "person_id": person, "tag": tag, "level": 0 if place < below else 2,
         "met": place >= below, "record": {"tag": tag, "state": "short" if place < below else "met"}, "before": [],
         "decided_at": now()}
        for place, person in enumerate(people)
    ]  # fmt: skip
    with campus.tool.db.write() as session:
        session.execute(insert(Mastery), rows)


def test_the_row_in_which_most_are_below_the_required_level_comes_first(campus: Campus) -> None:
    people = campus.people(40)
    badge_id = campus.course("A", 40, 20, people=people)
    tags = [row.tag for row in campus.room.badge.sub_competencies]
    stand(campus, badge_id, people, 12, tags[0])
    stand(campus, badge_id, people, 31, tags[1])
    rows = figures(campus.tool, Asked()).held_back
    assert [(row.number, row.of, row.percent) for row in rows] == [(30, 40, 75), (10, 40, 25)]
    assert rows[0].label == campus.room.badge.sub_competencies[1].name and rows[0].beside == campus.room.badge.name


def test_a_row_that_holds_back_fewer_than_ten_is_told_to_the_instructor_alone(campus: Campus) -> None:
    people = campus.people(40)
    badge_id = campus.course("A", 40, 20, people=people)
    stand(campus, badge_id, people, 4, campus.room.badge.sub_competencies[0].tag)
    assert figures(campus.tool, Asked()).held_back == ()
    with campus.tool.db.read() as session:
        course_id = session.get_one(CourseBadge, badge_id).course_id
    (row,) = course_figures(campus.tool, course_id, Asked()).held_back
    assert (row.number, row.of, row.percent) == (4, 40, 10)


def test_who_has_no_grade_yet_is_not_held_back(campus: Campus) -> None:
    people = campus.people(30)
    badge_id = campus.course("A", 30, 20, people=people)
    tag = campus.room.badge.sub_competencies[0].tag
    stand(campus, badge_id, people, 30, tag)
    with campus.tool.db.write() as session:
        waiting = {"level": None, "met": False, "record": {"tag": tag, "state": "ungraded"}}
        session.execute(update(Mastery).where(Mastery.person_id.in_(people[:15])).values(**waiting))
    (row,) = figures(campus.tool, Asked()).held_back
    assert (row.number, row.of) == (15, 15)


# -- taken along, looked at -------------------------------------------------------------------------------------


def test_I19_a_file_holds_no_formula_and_no_more_than_the_page(campus: Campus) -> None:
    campus.course("=HYPERLINK(1)", 60, 30)
    campus.course("Small", 3, 3)
    campus.course("Other", 7, 3)
    rows = list(csv.reader(io.StringIO(as_csv(figures(campus.tool, Asked(by="course"))))))
    assert rows[1][:4] == ["'=HYPERLINK(1)", "60", "30", "50"]
    assert [row[1] for row in rows[2:4]] == ["fewer than ten people"] * 2
    assert rows[4][:2] == ["All", "70"]


def test_the_administrator_s_page_and_file_are_hers_alone(campus: Campus) -> None:
    campus.course("A", 60, 30)
    stranger = campus.scene.launch("teacher1")
    for path in ("/admin/figures", "/admin/figures/figures.csv"):
        assert "Issued" not in stranger.get(path).text
    hers = campus.scene.administrator()
    page = hers.get("/admin/figures?by=course&period=2026&platform=x&badge=99999999999&term=%00&unknown=1")
    assert page.status_code == 200
    assert "50 of 100" in hers.get("/admin/figures?by=course").text
    answer = hers.get("/admin/figures/figures.csv?by=course")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8" and "\r\nA,60,30,50" in answer.text


def test_D08_an_instructor_s_pages_are_of_her_course(campus: Campus) -> None:
    campus.course("A", 60, 30)
    page = campus.room.page
    for path in ("figures", f"badges/{campus.room.badge.slug}/figures", "figures.csv",
                 f"badges/{campus.room.badge.slug}/figures.csv"):  # fmt: skip
        answer = page.get(path)
        assert answer.status_code == 200 and ">60<" not in answer.text and ",60," not in answer.text
    assert page.get("badges/no-such/figures").status_code == 404
    learner = campus.room.enter(campus.room.students[0])
    assert learner.get(f"/course/{learner.launch}/figures").status_code == 403
