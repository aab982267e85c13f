"""All of somebody's badges on one platform, course by course: what a launch without a course opens.

It shows no more of a course than the course's own page would: badges of courses where she is a learner now, and of any
other what was issued to her there. However many courses and badges there are, it takes as many queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, Job, Launch, Registration
from lti_tool.services import own_badges, sync, why_not
from lti_tool.services.launches import LaunchSession
from lti_tool.services.own_badges import Own, Standing
from lti_tool.services.pages.rows import SyncState
from lti_tool.services.pages.student import CourseOfHers, EverywherePage, StudentCard
from lti_tool.services.student_cards import card_of
from lti_tool.services.student_pages import first_name
from lti_tool.services.tool import Tool

MOST_READ = 8  # courses that one visit reads: each is a whole class
LONGEST_READ = timedelta(minutes=10)  # after which a page no longer waits for a reading


def page(tool: Tool, who: LaunchSession, now: datetime) -> EverywherePage:
    """Return all badges of the one who was launched, and of whomever she is linked to."""
    with tool.db.read() as session:
        me = own_badges.own(session, who.person_id)
        learns = own_badges.learns_in(session, me)
        badges = own_badges.in_order(_badges(session, me, learns))
        judged = {badge.course_id: learns.get(badge.course_id, me.ids[0]) for badge in badges}
        seen = own_badges.standings(session, badges, judged, me, now, tool.settings.base_url, history=False)
        said = why_not.rows(session, [each.award.id for each in seen.values() if each.award is not None])
        by_course: dict[int, list[tuple[CourseBadge, StudentCard, Standing]]] = {}
        for badge in badges:
            standing = seen[badge.id]
            award = standing.award
            # One award shows once, where it was given, though it counts in other courses too.
            if award is not None and (award.course_badge_id != badge.id or award.status == "superseded"):
                continue
            if award is None and (badge.course_id not in learns or badge.status != "active"):
                continue
            row = said.get(award.id) if award is not None else None
            card = card_of(tool, badge, standing, row, now, badge.id)
            if card.award_id or badge.course_id in learns:
                by_course.setdefault(badge.course_id, []).append((badge, card, standing))
        courses = [_course(each, course_id in learns) for course_id, each in by_course.items()]
        read = [row[0][0].course for course_id, row in by_course.items() if course_id in learns]
        in_force = sum(len(each.fresh) + len(each.earned) for each in courses)
        return EverywherePage(
            first_name=first_name(who),
            platform=session.get_one(Registration, who.registration_id).name,
            courses=tuple(sorted(courses, key=_place)),
            sync=SyncState(
                min((course.synced_at for course in read if course.synced_at is not None), default=None),
                running=_is_read(session, [course.id for course in read], now),
                failed="",
            ),
            earned=in_force,
            kept=in_force > 0,
        )


def _badges(session: Session, me: Own, learns: Iterable[int]) -> Sequence[CourseBadge]:
    """Return the badges of the courses where she learns, and those of others that were issued to her."""
    given = select(Award.course_badge_id).where(Award.person_id == me.holder_id, Award.issued_at.is_not(None))
    query = (
        select(CourseBadge)
        .join(Course, Course.id == CourseBadge.course_id)
        .where(CourseBadge.version_id.is_not(None), Course.registration_id == me.registration_id)
        .where(or_(CourseBadge.course_id.in_(list(learns)), CourseBadge.id.in_(given)))
        .options(
            joinedload(CourseBadge.version).joinedload(AchievementVersion.achievement), joinedload(CourseBadge.course)
        )
    )
    return session.scalars(query).all()


def _course(found: Sequence[tuple[CourseBadge, StudentCard, Standing]], learns: bool) -> CourseOfHers:
    course = found[0][0].course
    # The latest first: of what was issued she looks for the newest.
    issued = [(standing.award.issued_at, card) for _badge, card, standing in found if standing.award and card.state]
    newest = [card for at, card in sorted(issued, key=lambda each: str(each[0]), reverse=True)]
    live = [card for card in newest if card.state == "earned"]
    cards = [card for _badge, card, _standing in found]
    current = learns and course.state != "concluded"
    return CourseOfHers(
        title=course.title,
        label=course.label,
        term=course.term,
        synced_at=course.synced_at,
        failing=current and course.sync_failures > 0,
        current=current,
        fresh=tuple(card for card in live if card.new),
        earned=tuple(card for card in live if not card.new),
        on_the_way=tuple(card for card in cards if card.state in ("way", "waiting")),
        over=tuple(card for card in newest if card.state in ("expired", "revoked")),
        available=tuple(card for card in cards if card.state == "none" and current),
    )


def _place(course: CourseOfHers) -> tuple[bool, bool, bool, str]:
    """Return a course's place: where something is new, then where she learns now, then by name."""
    return (not course.fresh, not course.current, not course.earned, (course.label or course.title).casefold())


# -- fresh ------------------------------------------------------------------------------------------------------


def _is_read(session: Session, course_ids: Sequence[int], now: datetime) -> bool:
    """Tell whether one of these courses is being read now; a job that has waited for long is not waited for."""
    query = (
        select(func.count())
        .select_from(Job)
        .where(Job.kind == "sync", Job.subject.in_([str(each) for each in course_ids]))
        .where(or_(Job.state == "running", (Job.state == "due") & (Job.attempts == 0) & Job.problem.is_(None)))
        .where(Job.created_at > now - LONGEST_READ)
    )
    return bool(session.scalar(query))


def is_read(tool: Tool, who: LaunchSession, now: datetime, of: str = "") -> bool:
    """Tell whether what a page of hers shows is being read at this moment.

    `of` is a badge of hers, by id or slug; "all": her courses; empty: the course she was launched from."""
    with tool.db.read() as session:
        if of == "all":
            return _is_read(session, list(own_badges.learns_in(session, own_badges.own(session, who.person_id))), now)
        course_id = own_badges.find(session, who, of).course_id if of else who.course_id
        return course_id is not None and _is_read(session, [course_id], now)


def read_if_old(tool: Tool, person_id: str, now: datetime) -> None:
    """Start a reading of those of her courses whose last one is old, the longest ago first."""
    with tool.db.read() as session:
        learns = own_badges.learns_in(session, own_badges.own(session, person_id))
        active = select(CourseBadge.course_id).where(CourseBadge.status == "active")
        query = select(Course.id).where(Course.id.in_(list(learns)), Course.id.in_(active), Course.state != "concluded")
        due = list(session.scalars(query.order_by(Course.synced_at.asc().nulls_first(), Course.id).limit(MOST_READ)))
    for course_id in due:
        sync.sync_course_if_old(tool, course_id, now)


def read_if_old_at_launch(tool: Tool, launch_id: str, now: datetime) -> None:
    """Do as `read_if_old` for whoever has just been launched without a course."""
    with tool.db.read() as session:
        person_id = session.get_one(Launch, launch_id).person_id
    read_if_old(tool, person_id, now)
