"""A copied course: what it was made from, which badges may come along, and which gradebook columns already have.

A launch's history is a hint and no right. On Moodle whoever sets up an activity may write it, and course ids are small
numbers. So published badges, whose definitions are public anyway, come from a course of the same deployment; drafts,
and badges of another deployment, only to somebody who manages that course as well; and a course is named only to her
or where the platform itself has signed a notice of the copy. Awards never come along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from lti_tool.db import repeat_collided
from lti_tool.domain.badge import number_text
from lti_tool.errors import Conflict, NotFound, ServiceError
from lti_tool.grades.columns import WantedColumn, match_column, wanted_columns
from lti_tool.lti.ags import LineItem, list_line_items
from lti_tool.models import (
    Column,
    Course,
    CourseBadge,
    CourseCopy,
    Enrolment,
    Person,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, matching, work
from lti_tool.services.access import course_service
from lti_tool.services.launches import MANAGE, LaunchSession, rights_of
from lti_tool.services.origins import sources
from lti_tool.services.pages.instructor import CopiedBadge, CopyOffer, OtherCourse
from lti_tool.services.tool import Tool
from lti_tool.services.words import said
from lti_tool.services.work import Say

# -- the job ----------------------------------------------------------------------------------------------------


def run_copy(tool: Tool, course_id: str, say: Say) -> dict[str, Any]:
    """Look at what a course was copied from and which columns came along; bind those of badges that were taken.

    Makes nothing in the LMS. Safe to repeat."""
    number = int(course_id)
    with tool.db.read() as session:
        course = session.get_one(Course, number)
        if not sources(session, course) and not _copies(session, number):
            return {"sources": 0}
    items: Sequence[LineItem] | None = None
    problem = None
    say(Sentence("Looking at the gradebook columns that came along …"))
    try:
        service, url = course_service(tool, number)
        items = list_line_items(service, url)
    except ServiceError as error:
        if not error.lasting:
            raise
        # The badges can be taken all the same: publishing looks at the gradebook again.
        problem = error.told
    return repeat_collided(lambda: _note(tool, number, items, problem, datetime.now(UTC)))


def _copies(session: Session, course_id: int) -> list[CourseCopy]:
    return list(session.scalars(select(CourseCopy).where(CourseCopy.course_id == course_id).order_by(CourseCopy.id)))


def _note(
    tool: Tool, course_id: int, items: Sequence[LineItem] | None, problem: str | None, now: datetime
) -> dict[str, Any]:
    with tool.db.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        known = {copy.source_id: copy for copy in _copies(session, course_id)}
        for source_id, told_by in sources(session, course).items():
            copy = known.get(source_id)
            if copy is None:
                copy = known[source_id] = CourseCopy(course_id=course_id, source_id=source_id, created_at=now)
                copy.told_by = told_by
                session.add(copy)
            elif told_by == "notice":
                copy.told_by = told_by
        bound = 0
        for copy in known.values():
            copy.problem = problem
            if items is not None:
                copy.columns = [[i.resource_id or "", i.tag or "", i.label] for i in items]
                if copy.state == "taken":
                    bound += _bind(session, copy, items, now)
        if items is not None:
            matching.keep_seen(course, items, now)
        return {"sources": len(known), "columns": len(items or ()), "bound": bound}


def _bind(session: Session, copy: CourseCopy, items: Sequence[LineItem], now: datetime) -> int:
    """Bind what is there to the drafts that were taken: publishing then makes only what is missing (K05).

    A column without marks that fits rows of two badges, or that another row reads, is left to a person."""
    query = select(CourseBadge).where(CourseBadge.course_id == copy.course_id, CourseBadge.slug.in_(copy.badges))
    found: list[tuple[CourseBadge, WantedColumn, LineItem, str]] = []
    for badge in session.scalars(query.where(CourseBadge.status == "draft").with_for_update(key_share=True)):
        definition = catalog.next_definition(badge)
        known = {column.tag for column in badge.columns}
        for wanted in wanted_columns(definition):
            matched = match_column(items, definition.resource_id, wanted)
            if matched is not None and wanted.tag not in known:
                found.append((badge, wanted, *matched))
    of_course = select(Column.url).join(CourseBadge).where(CourseBadge.course_id == copy.course_id)
    read_by = Counter([*session.scalars(of_course), *(item.url for _, _, item, _ in found)])
    bound = 0
    for badge, wanted, item, how in found:
        if item.url in {column.url for column in badge.columns} or (how != "marks" and read_by[item.url] > 1):
            continue
        session.add(
            Column(
                course_badge_id=badge.id,
                tag=wanted.tag,
                label=item.label,
                url=item.url,
                score_maximum=number_text(item.maximum),
                found=True,
                found_by=how,
                created_at=now,
            )
        )
        bound += 1
    return bound


# -- what an instructor is offered ------------------------------------------------------------------------------


def offers(tool: Tool, session: Session, who: LaunchSession) -> list[CopyOffer]:
    """Return what an instructor may take over into the course she is in; nothing for whoever does not manage it."""
    if who.course_id is None or MANAGE not in who.rights:
        return []
    found = []
    for copy in _copies(session, who.course_id):
        offer = _offer(tool, session, who, copy) if copy.state == "offered" else None
        if offer is not None:
            found.append(offer)
    return found


def _offer(tool: Tool, session: Session, who: LaunchSession, copy: CourseCopy) -> CopyOffer | None:
    hers = _manages(tool, session, who, copy.source_id)
    here = set(session.scalars(select(CourseBadge.slug).where(CourseBadge.course_id == copy.course_id)))
    badges = [badge for badge in _open_badges(session, copy, hers) if badge.slug not in here]
    if not badges:
        return None
    if copy.told_by == "hand" and not hers:
        return None
    named = hers or copy.told_by == "notice"
    return CopyOffer(
        source_id=copy.source_id,
        label=(copy.source.label or copy.source.title) if named else "",
        badges=tuple(_copied_badge(badge, copy) for badge in badges),
        problem=said(copy.problem or ""),
        by_hand=copy.told_by == "hand",
    )


def _open_badges(session: Session, copy: CourseCopy, hers: bool) -> Iterable[CourseBadge]:
    """Return the badges of a source that may come along: see the top of this file for who may have which."""
    if not hers and (copy.told_by == "hand" or not _same_deployment(copy)):
        return []
    query = select(CourseBadge).where(CourseBadge.course_id == copy.source_id, CourseBadge.status != "retired")
    if not hers:
        query = query.where(CourseBadge.version_id.is_not(None))
    ordered = session.scalars(query.order_by(CourseBadge.created_at, CourseBadge.slug))
    return [badge for badge in ordered if catalog.has_definition(badge)]


def _same_deployment(copy: CourseCopy) -> bool:
    """Tell whether both courses lie under one deployment.

    One that belongs to a client id the platform had before counts as today's: a course goes over to its new deployment
    when it is launched, and a source that nobody opens any more never does."""
    source, course = copy.source, copy.course
    moved = source.deployment.former and source.registration_id == course.registration_id
    return source.deployment_pk == course.deployment_pk or moved


def _manages(tool: Tool, session: Session, who: LaunchSession, course_id: int) -> bool:
    """Tell whether she manages that course too: by her own launches into it, or a linked person's."""
    me = session.get_one(Person, who.person_id)
    also_me = select(Person.id).where((Person.id == me.holder_id) | (Person.same_as_id == me.holder_id))
    there = (Enrolment.course_id == course_id, Enrolment.person_id.in_(also_me), Enrolment.active)
    query = select(Enrolment.launch_role).where(*there)
    setting = tool.settings.lti.teaching_assistants
    return any(MANAGE in rights_of(role or "", setting) for role in session.scalars(query))


def _as_item(resource_id: str, tag: str, label: str = "") -> LineItem:
    """Return what is kept of a column as the value it is matched by; rows of before kept no label."""
    return LineItem("", label, Decimal(1), resource_id or None, tag or None, None)


def _copied_badge(badge: CourseBadge, copy: CourseCopy) -> CopiedBadge:
    definition = catalog.definition_of(badge)
    wanted = wanted_columns(definition)
    came = [_as_item(*each) for each in copy.columns or ()]
    missing = [column.label for column in wanted if match_column(came, definition.resource_id, column) is None]
    return CopiedBadge(
        slug=badge.slug,
        name=definition.name,
        draft=badge.version_id is None,
        wanted=len(wanted),
        missing=tuple(missing) if copy.columns is not None else (),
        looked=copy.columns is not None,
    )


# -- a course of hers, named by hand ----------------------------------------------------------------------------


def other_courses(tool: Tool, who: LaunchSession) -> list[OtherCourse]:
    """Return the courses with badges that she manages too, newest first, and how many badges could come along."""
    if who.course_id is None or MANAGE not in who.rights:
        return []
    with tool.db.read() as session:
        here = set(session.scalars(select(CourseBadge.slug).where(CourseBadge.course_id == who.course_id)))
        found = []
        for course in _courses_of(tool, session, who):
            badges = [b for b in course.badges if b.status != "retired" and catalog.has_definition(b)]
            fresh = [badge for badge in badges if badge.slug not in here]
            if badges:
                names = tuple(catalog.definition_of(badge).name for badge in fresh)
                label = course.label or course.title or course.context_id
                title = course.title if course.title != label else ""
                found.append(OtherCourse(course.id, label, title, course.registration.name, names, len(badges)))
        return found


def _courses_of(tool: Tool, session: Session, who: LaunchSession) -> list[Course]:
    me = session.get_one(Person, who.person_id)
    also_me = select(Person.id).where((Person.id == me.holder_id) | (Person.same_as_id == me.holder_id))
    query = select(Enrolment.course_id, Enrolment.launch_role).where(
        Enrolment.person_id.in_(also_me), Enrolment.active, Enrolment.course_id != who.course_id
    )
    setting = tool.settings.lti.teaching_assistants
    managed = {course_id for course_id, role in session.execute(query) if MANAGE in rights_of(role or "", setting)}
    return list(session.scalars(select(Course).where(Course.id.in_(managed)).order_by(Course.created_at.desc())))


def name_source(tool: Tool, who: LaunchSession, source_id: int, *, actor: str, now: datetime) -> int:
    """Offer the badges of another course of hers; returns the job that looks which columns are there for them.

    Raises NotFound for a course that she does not manage."""
    return repeat_collided(lambda: _name_source(tool, who, source_id, actor, now))


def _name_source(tool: Tool, who: LaunchSession, source_id: int, actor: str, now: datetime) -> int:
    if who.course_id is None or MANAGE not in who.rights:
        raise NotFound("not one who manages this course")
    with tool.db.write() as session:
        if source_id == who.course_id or not _manages(tool, session, who, source_id):
            raise NotFound(f"course {source_id} is not managed by who names it")
        where = (CourseCopy.course_id == who.course_id, CourseCopy.source_id == source_id)
        copy = session.scalar(select(CourseCopy).where(*where).with_for_update(key_share=True))
        if copy is None:
            copy = CourseCopy(course_id=who.course_id, source_id=source_id, told_by="hand", created_at=now, badges=[])
            session.add(copy)
        copy.state, copy.decided_at = "offered", None
        audit.record(session, now, actor, "course.source_named", f"course:{who.course_id}", source=source_id)
        session.flush()
        return work.request_in(session, "copy", str(who.course_id), now, again=True)


# -- what she decides -------------------------------------------------------------------------------------------


def take(tool: Tool, who: LaunchSession, source_id: int, slugs: Sequence[str], *, actor: str, now: datetime) -> int:
    """Make drafts here of badges of a source; returns the job that binds the columns that came along.

    A draft holds exactly what was published there, so publishing it uses the same version of the badge. Raises
    NotFound for what is not offered to her, Conflict where nothing was chosen."""
    return repeat_collided(lambda: _take(tool, who, source_id, set(slugs), actor, now))


def _take(tool: Tool, who: LaunchSession, source_id: int, slugs: set[str], actor: str, now: datetime) -> int:
    with tool.db.write() as session:
        copy = _offered(tool, session, who, source_id)
        here = set(session.scalars(select(CourseBadge.slug).where(CourseBadge.course_id == copy.course_id)))
        open_badges = _open_badges(session, copy, _manages(tool, session, who, source_id))
        chosen = [badge for badge in open_badges if badge.slug in slugs - here]
        if not chosen:
            raise Conflict(
                sentence=Sentence("No badge was chosen, so nothing was taken over."),
                what_to_do=Sentence("Tick at least one badge, or say that none of them is needed here."),
            )
        for place, badge in enumerate(chosen):  # a course's badges stand in the order they came to it
            session.add(_draft_of(session, badge, copy.course_id, now + timedelta(microseconds=place)))
        copy.state, copy.decided_at = "taken", now
        copy.badges = [*copy.badges, *(badge.slug for badge in chosen)]
        session.flush()
        audit.record(
            session, now, actor, "course.copied", f"course:{copy.course_id}", source=source_id, badges=copy.badges
        )
        return work.request_in(session, "copy", str(copy.course_id), now, again=True)


def _draft_of(session: Session, badge: CourseBadge, course_id: int, now: datetime) -> CourseBadge:
    """Return a draft for a course of what counts in another one: the published version, else the draft."""
    definition = catalog.definition_of(badge)
    picture, drawing = None, None
    if definition.picture.file:
        query = select(CourseBadge).where(CourseBadge.id == badge.id).options(undefer(CourseBadge.draft_picture))
        loaded = session.scalars(query).one()
        picture = loaded.version.picture_png if loaded.version is not None else loaded.draft_picture
        drawing = loaded.version.picture_svg if loaded.version is not None else loaded.draft_picture_svg
    return CourseBadge(
        course_id=course_id,
        slug=badge.slug,
        draft=definition.content(),
        draft_picture=picture,
        draft_picture_svg=drawing,
        writes_earned=badge.writes_earned,
        created_at=now,
    )


def decline(tool: Tool, who: LaunchSession, source_id: int, *, actor: str, now: datetime) -> None:
    """Offer a source no more. Raises NotFound for one that is not offered to her."""
    with tool.db.write() as session:
        copy = _offered(tool, session, who, source_id)
        copy.state, copy.decided_at = "declined", now
        audit.record(session, now, actor, "course.copy_declined", f"course:{copy.course_id}", source=source_id)


def _offered(tool: Tool, session: Session, who: LaunchSession, source_id: int) -> CourseCopy:
    where = (CourseCopy.course_id == who.course_id, CourseCopy.source_id == source_id, CourseCopy.state == "offered")
    copy = session.scalar(select(CourseCopy).where(*where).with_for_update(key_share=True))
    if copy is None or MANAGE not in who.rights or _offer(tool, session, who, copy) is None:
        raise NotFound(f"course {source_id} is not offered in course {who.course_id}")
    return copy
