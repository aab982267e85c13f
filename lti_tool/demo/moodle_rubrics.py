"""The Moodle mood's own assignments with a rubric: what they hold, and the page where a teacher fills one in.

The tool sees nothing of them through LTI; web services tell them to who has a token (moodle_web.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Blueprint, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from .records import Course, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lms import Lms

# The marking workflow, in its order and its words; "" is an assignment without one.
STATES = {
    "notmarked": "Not marked",
    "inmarking": "In marking",
    "readyforreview": "Marking completed",
    "inreview": "In review",
    "readyforrelease": "Ready for release",
    "released": "Released",
}


@dataclass
class RubricLevel:
    number: int
    name: str
    points: float


@dataclass
class Criterion:
    number: int
    title: str
    levels: list[RubricLevel]

    def level(self, name: str | int | None) -> RubricLevel | None:
        """Find a level by its number or its name."""
        return next((one for one in self.levels if name is not None and name in (one.number, one.name)), None)


@dataclass
class Filled:
    """What a teacher chose in one criterion: a level, or nothing yet; `points` where they are not the level's."""

    level: int | None = None
    comment: str = ""
    points: float | None = None


@dataclass
class Marking:
    """A rubric as it was filled in for one learner. `number` is that of her grade, `form` that of the filled form."""

    number: int
    form: int
    by: str
    changed: float
    attempt: int = 0
    state: str = ""  # of STATES; "" without a marking workflow
    hidden: bool = False  # this learner's grade alone
    rows: dict[str, Filled] = field(default_factory=dict)  # by criterion number
    earlier: list[dict[str, Any]] = field(default_factory=list)  # attempts before this one


@dataclass
class Assignment:
    """An assignment of the LMS's own with its rubric, and its gradebook column, which no tool sees."""

    number: int
    module: int  # the number in its address
    form: int  # the number of the rubric's definition
    course_id: str
    title: str
    column: int
    criteria: list[Criterion]
    workflow: bool = False  # marking workflow
    anonymous: bool = False  # blind marking
    revealed: bool = False
    team: bool = False
    hidden: bool = False  # its grade item
    markings: dict[str, Marking] = field(default_factory=dict)  # by user id

    def criterion(self, name: str | int) -> Criterion:
        """Find a criterion by its number or its title; raises KeyError."""
        for one in self.criteria:
            if name in (one.number, str(one.number), one.title):
                return one
        raise KeyError(f"no criterion {name!r}")


def marking_from(plain: dict[str, Any]) -> Marking:
    """Rebuild a filled rubric from its snapshot."""
    return Marking(**{**plain, "rows": {key: Filled(**row) for key, row in plain["rows"].items()}})


def assignment_from(plain: dict[str, Any]) -> Assignment:
    """Rebuild an assignment from its snapshot."""
    criteria = [
        Criterion(**{**one, "levels": [RubricLevel(**level) for level in one["levels"]]}) for one in plain["criteria"]
    ]
    markings = {user: marking_from(one) for user, one in plain["markings"].items()}
    return Assignment(**{**plain, "criteria": criteria, "markings": markings})


LEVELS = [("Beginning", 1), ("Developing", 2), ("Proficient", 3), ("Advanced", 4)]
# The rows of a badge in the tool's library, as a teacher would write them: a Moodle criterion has no code of its own.
ROWS = [
    "OC-1 Adapts the message to the audience",
    "OC-2 Builds a clear line of thought",
    "OC-3 Listens actively",
    "OC-4 Answers questions on the spot",
]


def fill(lms: Lms, course: Course) -> None:
    """Put an assignment of its own into the demo's course."""
    add(lms, course, "Talk to the class", [(title, LEVELS) for title in ROWS])


# -- what a test, or the page, does -----------------------------------------------------------------------------


def add(
    lms: Lms,
    course: Course | str,
    title: str,
    rows: Iterable[tuple[str, Sequence[tuple[str, float]]]],
    **settings: bool,
) -> Assignment:
    """Add an assignment with a rubric; `rows` are titles with their levels, low → high, as (name, points)."""
    with lms.lock:
        criteria = [
            Criterion(
                lms.serial("criterion"),
                name,
                [RubricLevel(lms.serial("level"), level, float(points)) for level, points in levels],
            )
            for name, levels in rows
        ]
        highest = sum(max((level.points for level in one.levels), default=0.0) for one in criteria)
        column = lms.add_column(course, title, highest)
        made = Assignment(
            lms.serial("assignment"),
            lms.serial("module") + 100,
            lms.serial("form"),
            lms.course(course).id,
            title,
            column.number,
            criteria,
        )
        for name, value in settings.items():
            setattr(made, name, value)
        lms.assignments[made.number] = made
        lms.changed()
        return made


def of(lms: Lms, course: Course | str) -> list[Assignment]:
    """List a course's assignments with a rubric, in the order they were made."""
    course = lms.course(course)
    return [one for one in list(lms.assignments.values()) if one.course_id == course.id]


def mark(
    lms: Lms,
    assignment: Assignment,
    user: User | str,
    levels: Mapping[str, str | None],
    *,
    comments: Mapping[str, str] | None = None,
    by: User | str | None = None,
    state: str | None = None,
    again: bool = False,
) -> Marking:
    """Fill in a rubric as a teacher does: criterion (title) → level (name), None to take one away.

    What is not named stays. `again` begins another attempt of the learner's, with an empty rubric."""
    with lms.lock:
        user = lms.user(user)
        course = lms.course(assignment.course_id)
        teacher = lms.user(by) if by is not None else next(iter(lms.people(course, "instructor")))
        marking = assignment.markings.get(user.id)
        if marking is None or again:
            before = [*marking.earlier, asdict(marking)] if marking else []
            marking = Marking(
                lms.serial("assign_grade"),
                lms.serial("filled_form"),
                teacher.id,
                lms.clock(),
                attempt=len(before),
                state="notmarked" if assignment.workflow else "",
                earlier=before,
            )
            assignment.markings[user.id] = marking
        for title, chosen in levels.items():
            criterion = assignment.criterion(title)
            level = criterion.level(chosen)
            if chosen is not None and level is None:
                raise KeyError(f"no level {chosen!r} in {title!r}")
            filled = marking.rows.setdefault(str(criterion.number), Filled())
            filled.level, filled.points = (level.number if level else None), None
        for title, comment in (comments or {}).items():
            marking.rows.setdefault(str(assignment.criterion(title).number), Filled()).comment = comment
        if state is not None:
            marking.state = state
        marking.by, marking.changed = teacher.id, lms.clock()
        lms.mood.teacher_grades(lms.columns_by_number[assignment.column], user, total(assignment, marking), None)
        lms.changed()
        return marking


def take_away(lms: Lms, assignment: Assignment, user: User | str) -> None:
    """Take a learner's rubric away, as if she had never been marked."""
    with lms.lock:
        user = lms.user(user)
        assignment.markings.pop(user.id, None)
        lms.mood.teacher_grades(lms.columns_by_number[assignment.column], user, None, None)
        lms.changed()


def total(assignment: Assignment, marking: Marking) -> float | None:
    """Add a filled rubric up; None while nothing in it is chosen."""
    found = []
    for criterion in assignment.criteria:
        filled = marking.rows.get(str(criterion.number))
        level = criterion.level(filled.level) if filled else None
        if filled and (filled.points is not None or level):
            found.append(filled.points if filled.points is not None else level.points if level else 0.0)
    return sum(found) if found else None


def copy(lms: Lms, old: Course, new: Course) -> None:
    """Copy a course's assignments with their columns: new numbers everywhere, nobody's marks."""
    for one in of(lms, old):
        rows = [(row.title, [(level.name, level.points) for level in row.levels]) for row in one.criteria]
        settings = {name: getattr(one, name) for name in ("workflow", "anonymous", "team", "hidden")}
        add(lms, new, one.title, rows, **settings)


# -- the page ---------------------------------------------------------------------------------------------------


def add_pages(routes: Blueprint, lms: Lms, address: Callable[..., str]) -> None:
    """Add the pages of assignments: the list, and one rubric for the whole class."""

    def find(number: str, assignment: str) -> tuple[Course, Assignment]:
        try:
            course = lms.course(number)
            found = lms.assignments[int(assignment)]
        except (KeyError, ValueError):
            abort(404)
        if found.course_id != course.id:
            abort(404)
        if not g.user.admin and lms.role(course, g.user) not in ("instructor", "ta"):
            abort(403)
        return course, found

    @routes.get("/course/<number>/assignments")
    def assignments(number: str) -> str:
        try:
            course = lms.course(number)
        except KeyError:
            abort(404)
        if not g.user.admin and lms.role(course, g.user) not in ("instructor", "ta"):
            abort(403)
        return render_template("assignments.html", course=course, assignments=of(lms, course), page="assignments")

    @routes.route("/course/<number>/assignments/<assignment>", methods=["GET", "POST"])
    def assignment(number: str, assignment: str) -> AnyResponse | str:
        course, found = find(number, assignment)
        learners = lms.learners(course)
        if request.method == "POST":
            for user in learners:
                save(found, user)
            return redirect(address("assignment", number=number, assignment=assignment, saved=1), 303)
        return render_template(
            "assignment.html",
            course=course,
            assignment=found,
            learners=learners,
            states=STATES,
            total=total,
            saved="saved" in request.args,
            page="assignments",
        )

    def save(found: Assignment, user: User) -> None:
        """Store what was changed for one learner; a rubric nobody touched stays as it was."""
        levels: dict[str, str | None] = {}
        comments: dict[str, str] = {}
        marking = found.markings.get(user.id)
        for criterion in found.criteria:
            was = marking.rows.get(str(criterion.number), Filled()) if marking else Filled()
            chosen = request.form.get(f"level-{criterion.number}-{user.id}")
            if chosen is not None and chosen != str(was.level or ""):
                level = criterion.level(int(chosen)) if chosen.isdigit() else None
                levels[criterion.title] = level.name if level else None
            comment = request.form.get(f"comment-{criterion.number}-{user.id}", was.comment).strip()
            if comment != was.comment:
                comments[criterion.title] = comment
        state = request.form.get(f"state-{user.id}")
        state = state if state in STATES and state != (marking.state if marking else "notmarked") else None
        if levels or comments or state:
            mark(lms, found, user, levels, comments=comments, by=g.user, state=state)
