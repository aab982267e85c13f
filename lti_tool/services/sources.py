"""Which rows of a course's badges read from elsewhere than the gradebook, and what was read there.

One connector serves all rows of its LMS. Each badge is read whole or not at all: where a connection is refused, what
was known of its rows stays, and its problem is told; a failure that passes by itself fails the sync, as any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge
from lti_tool.errors import NotConnected, ServiceError
from lti_tool.grades.source import CSV, Answer, AskedCourse, Connector, Place, Wanted, wanted_sources
from lti_tool.models import Connection, Course, CourseBadge, SourceAnswer, SourceLink
from lti_tool.sentence import Sentence
from lti_tool.services import canvas_connection, moodle_connection
from lti_tool.services.access import connection_of
from lti_tool.services.erased import ShutOut, nobody
from lti_tool.services.tool import Tool
from lti_tool.services.work import Say

CONNECTORS: tuple[Connector, ...] = (canvas_connection.CONNECTOR, moodle_connection.CONNECTOR)

Row = tuple[str, str]  # course badge, tag


@dataclass
class Reading:
    """What the sources told. A badge whose source is refused is not in it: what was known of its rows stays."""

    answers: dict[Row, Sequence[Answer]] = field(default_factory=dict)
    problem: ServiceError | None = None


def connector_of(source: str) -> Connector | None:
    return next((each for each in CONNECTORS if source in (each.rows, each.gates)), None)


def offered_to(session: Session, course: Course) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sources beside the gradebook that a course's rows, and its gates, can be given."""
    here = select(Connection.kind).where(Connection.registration_id == course.registration_id)
    kinds = set(session.scalars(here)) & {course.registration.product}
    connectors = [each for each in CONNECTORS if each.kind in kinds]
    return (*(each.rows for each in connectors), CSV), (*(each.gates for each in connectors), CSV)


def links_of(session: Session, badge: CourseBadge) -> dict[str, SourceLink]:
    """Return what the rows and gates of a course badge are matched with, by tag."""
    query = select(SourceLink).where(SourceLink.course_badge_id == badge.id)
    return {link.tag: link for link in session.scalars(query)}


# -- publishing -------------------------------------------------------------------------------------------------


def obstacles(session: Session, badge: CourseBadge, definition: Badge) -> Iterator[Sentence]:
    """Say why rows cannot be read yet: nothing connected, or nothing matched. A file needs neither."""
    wanted = [each for each in wanted_sources(definition) if each.source != CSV]
    links = links_of(session, badge)
    for source in sorted({each.source for each in wanted}):
        connector = connector_of(source)
        if connector is None or connector.kind != badge.course.registration.product:
            yield _NOT_HERE.get(source) or Sentence(
                "Its grades come from “%(source)s”, which is not connected here.", source=source
            )
            continue
        if connection_of(session, badge.course, connector.kind) is None:
            yield _NOT_CONNECTED[connector.kind]
            continue
        rows = [each for each in wanted if each.source == source and not is_matched(each, links)]
        if rows:
            yield Sentence(
                "Not matched with anything in your LMS yet: %(rows)s. Match them on the badge's page “Sources”.",
                rows=[f"“{each.code} {each.name}”" for each in rows],
            )


def is_matched(wanted: Wanted, links: Mapping[str, SourceLink]) -> bool:
    link = links.get(wanted.tag)
    return link is not None and link.source == wanted.source


_NOT_HERE = {
    "canvas-rubric": Sentence(
        "Its grades come from Canvas' own rubric (“canvas-rubric”), and this course is not in Canvas. "
        "Choose a gradebook column, or mark the rubric here."
    ),
    "moodle-rubric": Sentence(
        "Its grades come from Moodle's own rubric (“moodle-rubric”), and this course is not in Moodle. "
        "Choose a gradebook column, or mark the rubric here."
    ),
    "canvas-course-grade": Sentence(
        "A condition reads the course grade from Canvas (“canvas-course-grade”), and this course is not in Canvas. "
        "Choose a gradebook column, and enter the grade there."
    ),
    "moodle-course-grade": Sentence(
        "A condition reads the course grade from Moodle (“moodle-course-grade”), and this course is not in Moodle. "
        "Choose a gradebook column, and enter the grade there."
    ),
}

_NOT_CONNECTED = {
    "canvas": Sentence(
        "Its grades come from Canvas' own rubrics or course grades, and this course is not connected to Canvas' "
        "own interface yet. Connect it on the badge's page “Sources”."
    ),
    "moodle": Sentence(
        "Its grades come from Moodle's own rubrics or course grades, and Moodle's web services are not connected "
        "yet. The badge's page “Sources” says how."
    ),
}


# -- reading within a sync --------------------------------------------------------------------------------------


def are_read(session: Session, course_id: int) -> bool:
    """Tell whether anything of a course is read from elsewhere than its gradebook."""
    query = select(SourceLink.tag).join(CourseBadge, CourseBadge.id == SourceLink.course_badge_id)
    query = query.where(CourseBadge.course_id == course_id, CourseBadge.status == "active", SourceLink.source != CSV)
    return session.scalar(query.limit(1)) is not None


def read(tool: Tool, course_id: int, numbers: Callable[[], Mapping[str, str]], say: Say) -> Reading:
    """Read every matched row of a course's published badges; raises ServiceError for what passes by itself.

    `numbers` gives the roster as `AskedCourse` wants it."""
    with tool.db.read() as session:
        context_id = session.get_one(Course, course_id).context_id
        query = select(SourceLink).join(CourseBadge, CourseBadge.id == SourceLink.course_badge_id)
        query = query.where(CourseBadge.course_id == course_id, CourseBadge.status == "active")
        links = list(session.scalars(query.order_by(SourceLink.course_badge_id, SourceLink.tag)))
    reading = Reading()
    if not links:
        return reading
    asked = AskedCourse(context_id, numbers())
    for connector in CONNECTORS:
        places: dict[str, dict[str, Place]] = {}
        for link in links:
            if link.source in (connector.rows, connector.gates):
                places.setdefault(link.course_badge_id, {})[link.tag] = link.place
        if places:
            _read(tool, course_id, connector, asked, places, reading, say)
    return reading


def _read(
    tool: Tool,
    course_id: int,
    connector: Connector,
    asked: AskedCourse,
    places: Mapping[str, Mapping[str, Place]],
    reading: Reading,
    say: Say,
) -> None:
    problem: ServiceError | None = None
    try:
        caller = connector.open(tool, course_id)
    except ServiceError as error:
        if not error.lasting:
            raise
        reading.problem = error
        return
    if hasattr(caller, "after_page"):
        caller.after_page = lambda: say("")  # renews the job's lease while a long list is read
    for badge_id, of_badge in places.items():
        say(Sentence("Reading rubrics and course grades …"))
        try:
            answers = connector.read(caller, asked, of_badge)
        except ServiceError as error:
            if not error.lasting:
                raise
            problem = problem or error
            continue
        reading.answers.update({(badge_id, tag): answers[tag] for tag in of_badge})
    reading.problem = reading.problem or problem
    with tool.db.write() as session:
        connection = connection_of(session, session.get_one(Course, course_id), connector.kind)
        if connection is not None:
            connection.problem = problem.told if isinstance(problem, NotConnected) else None
            connection.used_at = datetime.now(UTC) if problem is None else connection.used_at


def store(session: Session, reading: Reading, now: datetime, shut_out: ShutOut = nobody) -> int:
    """Keep each answer exactly as it came; one that is gone stays as an empty row, so that its going is seen.

    Answers from before a row was matched anew came from elsewhere: what is now empty does not take them back."""
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for (badge_id, tag), found in reading.answers.items():
        link = session.get(SourceLink, (badge_id, tag))
        if link is None or link.confirmed_at > now:
            continue  # matched anew while this reading was under way
        query = select(SourceAnswer.user_sub, SourceAnswer.raw, SourceAnswer.received_at)
        rows = session.execute(query.where(SourceAnswer.course_badge_id == badge_id, SourceAnswer.tag == tag)).all()
        known = {sub: raw for sub, raw, _ in rows}
        from_before = {sub for sub, _, received_at in rows if received_at < link.confirmed_at}
        answers = {answer.user_id: answer.raw for answer in found if not shut_out(answer.user_id)}
        for sub, raw in answers.items():
            row = {"course_badge_id": badge_id, "tag": tag, "user_sub": sub, "raw": raw, "received_at": now}
            if sub not in known:
                fresh.append(row)
            elif known[sub] != raw:
                changed.append(row)
        changed += [
            {"course_badge_id": badge_id, "tag": tag, "user_sub": sub, "raw": None, "received_at": now}
            for sub, raw in known.items()
            if sub not in answers and raw is not None and sub not in from_before
        ]
    if fresh:
        session.execute(insert(SourceAnswer), fresh)
    if changed:
        session.execute(update(SourceAnswer), changed)
    return len(fresh) + len(changed)
