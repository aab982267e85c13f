"""The page where an instructor matches rows with her LMS's own rubrics, and connects her course to them.

What the LMS offers is read by a job and kept with the course, so that no page waits for the LMS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import BadInput, Conflict, NotConnected, NotFound, ServiceError, SourceMissing
from lti_tool.grades.source import AskedCourse, Connector, OfferedRow, Wanted, propose, wanted_sources
from lti_tool.models import Connection, Course, CourseBadge, Job, Registration, SourceAnswer, SourceLink, SourceSeen
from lti_tool.sentence import Sentence, kept, read
from lti_tool.services import audit, canvas_connection, catalog, moodle_connection, sources, work
from lti_tool.services.access import connection_of
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool
from lti_tool.services.words import said
from lti_tool.services.work import Say


def connector_for(product: str) -> Connector | None:
    """Return the connector of an LMS, None for one that has no interface of its own here."""
    return next((each for each in sources.CONNECTORS if each.kind == product), None)


# -- looking ----------------------------------------------------------------------------------------------------


def look(tool: Tool, course_id: int, now: datetime) -> int:
    """Make the look at the LMS's rubrics due; returns the job. The caller wakes the queue."""
    return work.request(tool, "rows", str(course_id), now)


def run_rows(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Look what a course's LMS offers for matching. Changes nothing there; safe to repeat."""
    say(Sentence("Looking at the rubrics …"))
    course = int(course_id)
    with tool.db.read() as session:
        row = session.get_one(Course, course)
        connector, context_id = connector_for(row.registration.product), row.context_id
    if connector is None:
        return {"rows": 0}
    try:
        offered = connector.offered(connector.open(tool, course), AskedCourse(context_id))
    except ServiceError as error:
        if isinstance(error, NotConnected):
            _note(tool, course, connector.kind, error.told)
        raise
    now = datetime.now(UTC)
    with tool.db.write() as session:
        session.merge(
            SourceSeen(
                course_id=course,
                kind=connector.kind,
                rows=[{**asdict(each), "place": dict(each.place), "title": kept(each.title)} for each in offered],
                seen_at=now,
            )
        )
    _note(tool, course, connector.kind, None)
    return {"rows": len(offered)}


def _note(tool: Tool, course_id: int, kind: str, problem: str | None) -> None:
    with tool.db.write() as session:
        connection = connection_of(session, session.get_one(Course, course_id), kind)
        if connection is not None:
            connection.problem = problem


# -- the page ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """Something that can be chosen. `label` names what it lies in, too."""

    key: str
    label: str
    gate: bool


@dataclass(frozen=True)
class SourceRow:
    """A row or gate that reads from the LMS's own rubrics. `chosen` is the key of what it has or is proposed.

    `state`: matched, gone (matched with what is no longer seen), proposed, open, or elsewhere (another LMS's)."""

    tag: str
    code: str
    name: str
    gate: bool
    state: str
    chosen: str
    title: str


@dataclass(frozen=True)
class SourcePage:
    slug: str
    badge: Badge
    status: str
    lms: str  # "Canvas", "" for an LMS without an interface of its own here
    kind: str
    rows: tuple[SourceRow, ...]
    choices: tuple[Choice, ...]
    connected: str  # whose access it is, "" for nobody's
    own: bool  # the connection is this course's own, and can be removed here
    can_connect: bool
    problem: str
    seen_at: datetime | None
    job_id: int  # that is looking
    job_problem: str
    lacking: tuple[str, ...] = ()  # Moodle: further functions that the token's service has not

    @property
    def matched(self) -> int:
        return sum(row.state == "matched" for row in self.rows)


def page(tool: Tool, who: LaunchSession, slug: str) -> SourcePage:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id, slug)
        definition = catalog.next_definition(badge)
        connector = connector_for(badge.course.registration.product)
        kind = connector.kind if connector else ""
        connection = connection_of(session, badge.course, kind) if kind else None
        seen = session.get(SourceSeen, (badge.course_id, kind))
        offered = _offered(seen)
        query = select(Job).where(Job.kind == "rows", Job.subject == str(badge.course_id)).order_by(Job.id.desc())
        job = session.scalar(query.limit(1))
        running = job is not None and (job.state == "running" or (job.state == "due" and job.attempts == 0))
        failed = job is not None and not running and job.state != "done"
        return SourcePage(
            slug=slug,
            badge=definition,
            status=badge.status,
            lms=badge.course.registration.product.title() if connector else "",
            kind=kind,
            rows=_rows(session, badge, definition, connector, offered),
            choices=tuple(_choice(row) for row in offered),
            connected=connection.account if connection else "",
            own=connection is not None and connection.course_id is not None,
            can_connect=kind == "canvas"
            and canvas_connection.platform_key(session, badge.course.registration_id) is not None,
            problem=said(connection.problem or _row_missing(badge.course)) if connection else "",
            seen_at=seen.seen_at if seen else None,
            job_id=job.id if job is not None and running else 0,
            job_problem=said(job.problem or "") if job is not None and failed and connection else "",
            lacking=moodle_connection.lacking(connection),
        )


def _row_missing(course: Course) -> str:
    return (course.problem_sentence or "") if course.problem == SourceMissing.reason else ""


def _offered(seen: SourceSeen | None) -> list[OfferedRow]:
    return [OfferedRow(**{**row, "title": read(row["title"])}) for row in (seen.rows if seen else ())]


def key_of(place: Mapping[str, str]) -> str:
    """Return what a form names a place by."""
    return hashlib.sha256(json.dumps(dict(place), sort_keys=True).encode()).hexdigest()[:20]


def _choice(row: OfferedRow) -> Choice:
    where, code = (f"{row.where}: " if row.where else ""), (f"{row.code} " if row.code else "")
    return Choice(key_of(row.place), said(row.title) if row.gate else f"{where}{code}{row.title}", row.gate)


def _mine(definition: Badge, connector: Connector | None) -> list[Wanted]:
    served = (connector.rows, connector.gates) if connector else ()
    return [each for each in wanted_sources(definition) if each.source in served]


def _rows(
    session: Session, badge: CourseBadge, definition: Badge, connector: Connector | None, offered: Sequence[OfferedRow]
) -> tuple[SourceRow, ...]:
    mine = _mine(definition, connector)
    links = sources.links_of(session, badge)
    keys = {key_of(row.place) for row in offered}
    used = {key_of(links[each.tag].place) for each in mine if sources.is_matched(each, links)}
    free = [row for row in offered if row.gate or key_of(row.place) not in used]
    proposed = propose([each for each in mine if not sources.is_matched(each, links)], free)
    found = []
    for each in mine:
        state, chosen, title = "open", "", ""
        if sources.is_matched(each, links):
            link = links[each.tag]
            chosen, title = key_of(link.place), said(link.title)
            state = "matched" if chosen in keys or not offered else "gone"
        elif each.tag in proposed:
            state, chosen = "proposed", key_of(proposed[each.tag].place)
        found.append(SourceRow(each.tag, each.code, each.name, each.gate, state, chosen, title))
    return tuple(found)


# -- acting -----------------------------------------------------------------------------------------------------


def match(
    tool: Tool, course_id: int, slug: str, chosen: Mapping[str, str], *, actor: str, now: datetime
) -> dict[str, str]:
    """Match rows as an instructor confirms: tag → key of what was seen, empty for none; returns what was changed.

    Only what the LMS offered for this course can be chosen. Raises BadInput for anything else, and for one thing that
    was chosen for two rows: its grade would count twice."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        catalog.refuse_while_publishing(session, badge)
        if badge.status == "retired":
            raise Conflict(sentence=Sentence("This badge is retired, so nothing is read for it."))
        connector = connector_for(badge.course.registration.product)
        seen = session.get(SourceSeen, (badge.course_id, connector.kind)) if connector else None
        offered = {key_of(row.place): row for row in _offered(seen)}
        links = sources.links_of(session, badge)
        mine = _mine(catalog.next_definition(badge), connector)
        after: dict[str, Mapping[str, str]] = {
            each.tag: links[each.tag].place for each in mine if sources.is_matched(each, links)
        }
        changed: dict[str, str] = {}
        for each in mine:
            key = chosen.get(each.tag)
            had = after.get(each.tag)
            if key is None or (had is not None and key == key_of(had)):
                continue
            if key and (key not in offered or offered[key].gate != each.gate):
                raise BadInput(
                    sentence=Sentence("What was chosen for “%(row)s” is not among what was seen.", row=each.name),
                    what_to_do=Sentence("Look at the rubrics again, then choose."),
                )
            if not key and had is None:
                continue
            if not key and badge.version is not None and each.tag in _in_force(badge):
                raise BadInput(
                    sentence=Sentence("“%(row)s” is in force, so it needs something to be read from.", row=each.name)
                )
            changed[each.tag] = key
            after[each.tag] = offered[key].place if key else {}
        places = [key_of(place) for tag, place in after.items() if place and tag.startswith("sub-competency:")]
        if len(set(places)) != len(places):
            raise BadInput(
                sentence=Sentence("One row of a rubric was chosen twice. Each sub-competency needs one of its own.")
            )
        told = {}
        for each in mine:
            if each.tag in changed:
                told[each.code] = _link(session, badge, each, offered.get(changed[each.tag]), actor, now)
        if told:
            audit.record(session, now, actor, "badge.sources_matched", f"badge:{badge.id}", slug=slug, rows=told)
        return told


def _in_force(badge: CourseBadge) -> set[str]:
    if badge.version is None:
        return set()
    return {each.tag for each in wanted_sources(badge_from_content(badge.version.definition))}


def _link(
    session: Session, badge: CourseBadge, wanted: Wanted, row: OfferedRow | None, actor: str, now: datetime
) -> str:
    if row is None:
        session.execute(delete(SourceLink).where(SourceLink.course_badge_id == badge.id, SourceLink.tag == wanted.tag))
        return ""
    title = row.title if row.gate or not row.where else f"{row.where}: {row.title}"
    known = session.get(SourceLink, (badge.id, wanted.tag))
    if known is not None and known.source != wanted.source:
        # What another source answered says nothing of this one.
        here = (SourceAnswer.course_badge_id == badge.id, SourceAnswer.tag == wanted.tag)
        session.execute(delete(SourceAnswer).where(*here))
    link = known or SourceLink(course_badge_id=badge.id, tag=wanted.tag)
    link.source, link.place, link.title = wanted.source, dict(row.place), title
    link.confirmed_at, link.confirmed_by = now, actor
    session.add(link)
    return str(title)


def disconnect(tool: Tool, course_id: int, *, actor: str, now: datetime) -> None:
    """Remove a course's own connection. What was read stays, and so do awards."""
    with tool.db.write() as session:
        connections = select(Connection).where(Connection.course_id == course_id).with_for_update()
        for connection in session.scalars(connections):
            remove_row(session, connection, actor=actor, now=now)


def remove_row(session: Session, connection: Connection, *, actor: str, now: datetime) -> None:
    told = {"course": connection.course_id} if connection.course_id is not None else {}
    audit.record(session, now, actor, "connection.removed", f"connection:{connection.id}", kind=connection.kind, **told)
    session.delete(connection)


# -- an administrator's view ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConnectionRow:
    id: int
    course: str  # "" for the whole platform
    account: str
    created_at: datetime
    problem: str
    key: bool  # it holds the platform's key


@dataclass(frozen=True)
class ConnectionPage:
    """What an administrator sees of a platform's connections; a secret is never among it."""

    id: int
    name: str
    product: str
    address: str
    client_id: str
    has_key: bool
    service_account: str
    rows: tuple[ConnectionRow, ...]
    lacking: tuple[str, ...] = ()  # Moodle: further functions that the token's service has not


def connections(tool: Tool, platform_id: int) -> ConnectionPage:
    with tool.db.read() as session:
        platform = session.get(Registration, platform_id)
        if platform is None or connector_for(platform.product) is None:
            raise NotFound(f"platform {platform_id} has no interface of its own here")
        query = select(Connection).where(Connection.registration_id == platform_id).order_by(Connection.id)
        rows = list(session.scalars(query))
        own = next((row for row in rows if row.course_id is None), None)
        return ConnectionPage(
            id=platform.id,
            name=platform.name,
            product=platform.product,
            address=own.address if own else platform.issuer if platform.product == "moodle" else "",
            lacking=moodle_connection.lacking(own),
            client_id=own.client_id if own else "",
            has_key=own is not None,
            service_account=own.account if own else "",
            rows=tuple(
                ConnectionRow(
                    id=row.id,
                    course=(row.course.label or row.course.title) if row.course is not None else "",
                    account=row.account,
                    created_at=row.created_at,
                    problem=said(row.problem or ""),
                    key=row.course_id is None,
                )
                for row in rows
            ),
        )


def remove_connection(tool: Tool, platform_id: int, connection_id: int, *, actor: str, now: datetime) -> None:
    """Remove a connection of a platform; its key takes the service account along. Raises NotFound."""
    with tool.db.write() as session:
        row = session.get(Connection, connection_id, with_for_update=True)
        if row is None or row.registration_id != platform_id:
            raise NotFound(f"no connection {connection_id}")
        remove_row(session, row, actor=actor, now=now)
