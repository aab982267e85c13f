"""Why a badge is not claimed: asked once, answered or skipped, and told in counts only.

Not claiming is a learner's right, so nothing here holds anything back or asks twice. The question stands for a day on a
page of hers: after she chose "Not now", or two weeks after the badge was issued. Two weeks, because by then whoever
claims has done so (a term's break is shorter), and while a reason is still remembered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.models import REASONS, Award, WhyNot
from lti_tool.services import audit, counting
from lti_tool.services.awards import shown_status
from lti_tool.services.tool import Tool

LEFT_ALONE = timedelta(days=14)  # after which one that is not claimed is asked about
STANDS = timedelta(days=1)  # how long the question stands once she has seen it
LONGEST = 300  # characters of her own words
FEWEST = 10  # people of whom anything is told


def rows(session: Session, award_ids: Collection[str]) -> dict[str, WhyNot]:
    query = select(WhyNot).where(WhyNot.award_id.in_(award_ids))
    return {row.award_id: row for row in session.scalars(query)} if award_ids else {}


def is_new(award: Award, row: WhyNot | None, now: datetime) -> bool:
    """Tell whether a badge that is not claimed is to be made much of: for two weeks, unless she has put it off."""
    if award.claimed_at is not None or (row is not None and row.put_off_at is not None):
        return False
    return award.issued_at is not None and award.issued_at > now - LEFT_ALONE


def is_asked(tool: Tool, award: Award, row: WhyNot | None, now: datetime) -> bool:
    """Tell whether the question stands now. Where nobody has to claim, it is not asked."""
    if tool.settings.privacy.claim != "required" or award.claimed_at is not None:
        return False
    if shown_status(award, now) != "issued" or award.issued_at is None:
        return False
    if row is not None and row.answered_at is not None:
        return False
    if row is not None and row.asked_at is not None:
        return now < row.asked_at + STANDS
    return (row is not None and row.put_off_at is not None) or award.issued_at <= now - LEFT_ALONE


def put_off(tool: Tool, award_id: str, *, actor: str, now: datetime) -> None:
    """Note that a learner does not want to claim a badge now."""

    def put() -> None:
        with tool.db.write() as session:
            row = _row(session, award_id)
            if row.put_off_at is None:
                row.put_off_at = now
                audit.record(session, now, actor, "award.put_off", f"award:{award_id}")

    repeat_collided(put)


def note_asked(tool: Tool, award_id: str, now: datetime) -> None:
    """Note that the question was shown; it goes by itself a day later."""

    def put() -> None:
        with tool.db.write() as session:
            row = _row(session, award_id)
            row.asked_at = row.asked_at or now

    with tool.db.read() as session:
        known = session.get(WhyNot, award_id)
    if known is None or known.asked_at is None:
        repeat_collided(put)


def answer(tool: Tool, award_id: str, reason: str, words: str, *, actor: str, now: datetime) -> None:
    """Keep a learner's answer; none of the known reasons and no words: she has skipped it. The first answer stays."""
    reason = reason if reason in REASONS else ""
    words = " ".join(words.replace("\0", "").split())[:LONGEST]
    if words and not reason:
        reason = "other"

    def put() -> None:
        with tool.db.write() as session:
            row = _row(session, award_id)
            if row.answered_at is None:
                row.answered_at, row.reason, row.words = now, reason, words
                if reason:
                    counting.count(session, counting.WHY_NOT, session.get_one(Award, award_id), now, reason=reason)
                audit.record(session, now, actor, "award.why_not", f"award:{award_id}")

    repeat_collided(put)


def _row(session: Session, award_id: str) -> WhyNot:
    row = session.get(WhyNot, award_id, with_for_update=True)
    if row is None:
        row = WhyNot(award_id=award_id)
        session.add(row)
        session.flush()
    return row


# -- what others may know ---------------------------------------------------------------------------------------


def counts(session: Session, since: datetime, until: datetime, course_id: int | None = None) -> Mapping[str, int]:
    """Return how many people gave which reason, of one course or of all, answered from `since` to before `until`.

    A reason that fewer than ten people gave is not in it, and there is no total that would tell of it."""
    query = (
        select(WhyNot.reason, func.count(Award.person_id.distinct()))
        .join(Award, Award.id == WhyNot.award_id)
        .where(WhyNot.answered_at >= since, WhyNot.answered_at < until, WhyNot.reason != "")
        .group_by(WhyNot.reason)
    )
    if course_id is not None:
        query = query.where(Award.course_id == course_id)
    return {reason: people for reason, people in session.execute(query) if people >= FEWEST}


def kept_of(session: Session, person_id: str) -> list[dict[str, object]]:
    """Return what is kept here of a person's awards, for her own download."""
    query = select(WhyNot).join(Award, Award.id == WhyNot.award_id).where(Award.person_id == person_id)
    return [
        {
            "award": row.award_id,
            "put_off_at": row.put_off_at.isoformat() if row.put_off_at else None,
            "asked_at": row.asked_at.isoformat() if row.asked_at else None,
            "answered_at": row.answered_at.isoformat() if row.answered_at else None,
            "reason": row.reason,
            "words": row.words,
        }
        for row in session.scalars(query.order_by(WhyNot.award_id))
    ]


def forget(session: Session, award_ids: Collection[str]) -> None:
    """Erase what was said about these awards."""
    session.execute(delete(WhyNot).where(WhyNot.award_id.in_(award_ids)))
