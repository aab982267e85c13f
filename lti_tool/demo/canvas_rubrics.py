"""The Canvas mood's own assignments with rubrics: what a teacher fills in, which no LTI service tells of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from . import wire

if TYPE_CHECKING:
    from .lms import Lms
    from .records import Course, User

RATINGS = (("Beginning", 1), ("Developing", 2), ("Proficient", 3), ("Advanced", 4))
NAMES = ("Adapts the message", "Builds a clear line of thought", "Listens actively", "Answers questions on the spot")


@dataclass
class Rating:
    id: str
    description: str
    points: float


@dataclass
class Criterion:
    id: str
    description: str
    points: float
    ratings: list[Rating]
    outcome_id: int | None = None
    vendor_guid: str | None = None  # the code an outcome has been given


@dataclass
class Marked:
    """What a teacher put into one row; `points` is None where she has written a comment only."""

    points: float | None = None
    rating_id: str | None = None
    comments: str = ""


@dataclass
class Submission:
    score: float | None = None
    excused: bool = False
    graded_at: str | None = None
    posted_at: str | None = None
    grader: int | None = None
    marked: dict[str, Marked] = field(default_factory=dict)  # by criterion
    assessed: bool = False  # with the rubric


@dataclass
class Assignment:
    number: int
    course_id: str
    name: str
    criteria: list[Criterion]
    hide_points: bool = False
    free_form: bool = False
    post_manually: bool = False  # grades are hidden until the teacher posts them
    submissions: dict[str, Submission] = field(default_factory=dict)  # by `sub`

    @property
    def points(self) -> float:
        return sum(one.points for one in self.criteria)

    def criterion(self, key: str) -> Criterion:
        """Find a row by id, outcome code or description."""
        return next(one for one in self.criteria if key in (one.id, one.vendor_guid, one.description))


class Rubrics:
    """All assignments with a rubric of one Canvas."""

    def __init__(self, lms: Lms) -> None:
        self.lms = lms
        self.assignments: dict[int, Assignment] = {}

    def of(self, course: Course | str) -> list[Assignment]:
        return [one for one in self.assignments.values() if one.course_id == self.lms.course(course).id]

    def add(self, course: Course | str, name: str, *rows: tuple[str, str | None], **options: Any) -> Assignment:
        """Make an assignment with a rubric of four ratings a row; `rows` are (description, an outcome's code)."""
        with self.lms.lock:
            number = self.lms.serial("assignment")
            criteria = [
                Criterion(
                    id=f"_{number}{place}",
                    description=description,
                    points=4.0,
                    ratings=[Rating(f"r{number}{place}{points}", word, float(points)) for word, points in RATINGS],
                    outcome_id=number * 100 + place if code else None,
                    vendor_guid=code,
                )
                for place, (description, code) in enumerate(rows, 1)
            ]
            made = Assignment(number, self.lms.course(course).id, name, criteria, **options)
            self.assignments[number] = made
            self.lms.changed()
            return made

    def mark(
        self,
        assignment: Assignment,
        user: User | str,
        *points: float | None,
        grader: User | str | None = None,
        comments: str = "",
    ) -> None:
        """Fill in the rubric in its order, as a teacher does in SpeedGrader; None leaves a row unmarked."""
        rows = dict(zip([one.id for one in assignment.criteria], points, strict=False))
        self.assess(assignment, user, rows, grader=grader, comments={key: comments for key in rows if comments})

    def assess(
        self,
        assignment: Assignment,
        user: User | str,
        rows: dict[str, float | None],
        *,
        grader: User | str | None = None,
        comments: dict[str, str] | None = None,
    ) -> None:
        """Put points into rows by their id. The total becomes the grade, shown at once unless grades are hidden."""
        with self.lms.lock:
            found = assignment.submissions.setdefault(self.lms.user(user).id, Submission())
            for key, value in rows.items():
                ratings = assignment.criterion(key).ratings
                fitting = [] if assignment.free_form or value is None else [r for r in ratings if r.points <= value]
                found.marked[key] = Marked(value, fitting[-1].id if fitting else None, (comments or {}).get(key, ""))
            given = [one.points for one in found.marked.values() if one.points is not None]
            found.assessed, found.excused = True, False
            found.score = float(sum(given)) if given else None
            self._graded(assignment, found, grader)

    def grade_total(self, assignment: Assignment, user: User | str, score: float) -> None:
        """Enter a grade without touching the rubric, as in the gradebook."""
        with self.lms.lock:
            found = assignment.submissions.setdefault(self.lms.user(user).id, Submission())
            found.score = score
            self._graded(assignment, found, None)

    def excuse(self, assignment: Assignment, user: User | str) -> None:
        with self.lms.lock:
            found = assignment.submissions.setdefault(self.lms.user(user).id, Submission())
            found.excused, found.score = True, None
            self.lms.changed()

    def post(self, assignment: Assignment) -> None:
        """Show all grades to their learners."""
        with self.lms.lock:
            for found in assignment.submissions.values():
                if found.score is not None or found.excused:
                    found.posted_at = found.posted_at or wire.iso(self.lms.clock())
            self.lms.changed()

    def remove(self, assignment: Assignment) -> None:
        with self.lms.lock:
            del self.assignments[assignment.number]
            self.lms.changed()

    def _graded(self, assignment: Assignment, found: Submission, grader: User | str | None) -> None:
        found.graded_at = wire.iso(self.lms.clock())
        found.grader = self.lms.user(grader).number if grader is not None else None
        if not assignment.post_manually and found.posted_at is None:
            found.posted_at = found.graded_at
        self.lms.changed()

    # Course grades

    def course_grades(self, course: Course, user: User) -> dict[str, float | None]:
        """Work out what Canvas shows of a course grade: of posted grades, and with the rest counted as 0."""
        given = possible = everything = 0.0
        for assignment in self.of(course):
            found = assignment.submissions.get(user.id)
            if found is not None and found.excused:
                continue
            everything += assignment.points
            if found is not None and found.score is not None and found.posted_at is not None:
                given += found.score
                possible += assignment.points
        return {
            "current_score": round(given / possible * 100, 2) if possible else None,
            "final_score": round(given / everything * 100, 2) if everything else None,
        }

    # Snapshot

    def kept(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.assignments.values()]

    def take_back(self, plain: list[dict[str, Any]]) -> None:
        for one in plain:
            criteria = [
                Criterion(**{**row, "ratings": [Rating(**rating) for rating in row["ratings"]]})
                for row in one["criteria"]
            ]
            submissions = {
                user: Submission(**{**found, "marked": {k: Marked(**v) for k, v in found["marked"].items()}})
                for user, found in one["submissions"].items()
            }
            made = Assignment(**{**one, "criteria": criteria, "submissions": submissions})
            self.assignments[made.number] = made


def fill(rubrics: Rubrics, course: Course) -> None:
    """Put an assignment into the demo's course whose rubric fits the library's badge “Oral Communication”."""
    codes = [f"OC-{number}" for number in range(1, len(NAMES) + 1)]
    rubrics.add(course, "Presentation", *zip(NAMES, codes, strict=True))
