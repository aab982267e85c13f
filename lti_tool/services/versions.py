"""Which version a learner is judged by: the badge's present one, or an earlier one that she began under."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import PREREQUISITE, Badge, badge_from_content
from lti_tool.models import AchievementVersion, CourseBadge, EarlierVersion, Mastery, Publication

EVERYBODY, NEW = "everybody", "new"


def earlier(session: Session, badge: CourseBadge) -> dict[str, AchievementVersion]:
    """Return who is judged by an earlier version of a course badge, and by which, by person id."""
    query = select(EarlierVersion).where(EarlierVersion.course_badge_id == badge.id)
    return {row.person_id: row.version for row in session.scalars(query.options(joinedload(EarlierVersion.version)))}


def definitions(session: Session, badge: CourseBadge) -> dict[str, Badge]:
    """Return the definitions by which those are judged who are not judged by the present version, by person id."""
    known: dict[int, Badge] = {}
    found: dict[str, Badge] = {}
    for person_id, version in earlier(session, badge).items():
        if version.id not in known:
            known[version.id] = badge_from_content(version.definition)
        found[person_id] = known[version.id]
    return found


def begun(session: Session, badge: CourseBadge) -> set[str]:
    """Return who has begun a badge: whoever has a result in one of its rows or conditions, counted or not."""
    rows = session.execute(select(Mastery.person_id, Mastery.record).where(Mastery.course_badge_id == badge.id))
    return {person_id for person_id, record in rows if _is_result(record)}


def _is_result(record: dict[str, object]) -> bool:
    # A badge earned before says nothing about whether somebody has begun this one.
    return record["state"] != "ungraded" and not str(record["tag"]).startswith(PREREQUISITE)


def publish(session: Session, badge: CourseBadge, before: AchievementVersion | None, now: datetime) -> None:
    """Write down that the badge's version is in force from now on, and who goes on to be judged by the one before.

    "everybody": nobody does. "new": whoever has begun by then and holds to no earlier version yet."""
    if badge.version is None:
        raise ValueError("only a published badge has a version")
    counts_for = badge.asked_for or EVERYBODY
    session.add(
        Publication(
            course_badge_id=badge.id,
            version_id=badge.version.id,
            published_at=now,
            actor=badge.asked_by or "tool",
            counts_for=counts_for if before is not None else EVERYBODY,
        )
    )
    here = EarlierVersion.course_badge_id == badge.id
    if before is None or counts_for == EVERYBODY:
        session.execute(delete(EarlierVersion).where(here))
        return
    settled = set(session.scalars(select(EarlierVersion.person_id).where(here)))
    rows = [
        {"course_badge_id": badge.id, "person_id": person_id, "version_id": before.id}
        for person_id in sorted(begun(session, badge) - settled)
    ]
    if rows:
        session.execute(insert(EarlierVersion), rows)
