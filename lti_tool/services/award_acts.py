"""What people decide about awards: confirm, hold, release, revoke, keep, claim."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ob3
from lti_tool.errors import BadInput, Conflict
from lti_tool.models import Award, CourseBadge, Edition, Review, StatusList
from lti_tool.services import audit, catalog, editions
from lti_tool.services.awards import can_choose, get_award, shown_status
from lti_tool.services.tool import Tool


def confirm(tool: Tool, award_id: str, *, actor: str, now: datetime) -> str:
    """Confirm an award that waits for it, or release one that is held; returns its new status."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if award.status not in ("review", "held"):
            raise Conflict(sentence="This award does not wait for anything any more.")
        if award.status == "review" and not catalog.released(award.course_badge, now):
            award.status = "held"
        else:
            _issue(session, award, now)
        audit.record(session, now, actor, "award.confirmed", f"award:{award.id}", status=award.status)
        return award.status


def release(tool: Tool, course_badge_id: str, *, actor: str, now: datetime) -> int:
    """Let every learner of a course badge see levels and awards that its policy holds back; returns what is issued."""
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id)
        if badge.version_id is None:
            raise Conflict(sentence="This badge is not published yet, so there is nothing to release.")
        badge.released_at = badge.released_at or now
        audit.record(session, now, actor, "badge.released", f"badge:{badge.id}")
        query = select(Award).where(Award.course_badge_id == badge.id, Award.status == "held")
        held = list(session.scalars(query.order_by(Award.id).with_for_update(key_share=True)))
        for award in held:
            _issue(session, award, now)
        return len(held)


def release_due(tool: Tool, now: datetime, course_id: int | None = None) -> int:
    """Issue held awards whose badge lets them be seen by now; returns how many.

    What counts is the badge's present policy: its time has come, or a new version holds nothing back."""
    released = 0
    with tool.db.write() as session:
        query = select(Award).where(Award.status == "held")
        if course_id is not None:
            query = query.where(Award.course_id == course_id)
        query = query.order_by(Award.id).with_for_update(of=Award, key_share=True)
        for award in session.scalars(query.options(joinedload(Award.course_badge).joinedload(CourseBadge.version))):
            if catalog.released(award.course_badge, now):
                _issue(session, award, now)
                released += 1
    return released


def _issue(session: Session, award: Award, now: datetime) -> None:
    award.status = "pending"
    session.flush()
    editions.new_editions(session, [(award.id, award.version_id)], now)


def revoke(tool: Tool, award_id: str, reason: str, *, actor: str, now: datetime) -> None:
    """Take an award back for good. Its credential's status bit is set in the same transaction.

    Only a person's act gives it again: the same grades will not (H10)."""
    reason = " ".join(reason.split())[:500]
    if not reason:
        raise BadInput(sentence="Say why the award is taken back: the learner and whoever checks it will read it.")
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if award.status in ("revoked", "superseded"):
            raise Conflict(sentence="This award has been taken back already.")
        award.status, award.live = "revoked", False
        award.revoked_at, award.revocation_reason = now, reason
        lists = {edition.status_list_id for edition in award.editions if edition.withdrawn_at is None}
        for edition in award.editions:
            edition.withdrawn_at = edition.withdrawn_at or now
        for list_id in sorted(lists):
            session.execute(update(StatusList).where(StatusList.id == list_id).values(revision=StatusList.revision + 1))
        _resolve(session, award, "revoked", now)
        audit.record(session, now, actor, "award.revoked", f"award:{award.id}", reason=reason)


def supersede(session: Session, award: Award, now: datetime) -> list[str]:
    """Let another award of the same person stand in for this one; returns the editions whose status bit this sets."""
    award.status, award.live = "superseded", False
    withdrawn = [edition for edition in award.editions if edition.withdrawn_at is None]
    for edition in withdrawn:
        edition.withdrawn_at = now
    for list_id in sorted({edition.status_list_id for edition in withdrawn}):
        session.execute(update(StatusList).where(StatusList.id == list_id).values(revision=StatusList.revision + 1))
    _resolve(session, award, "superseded", now)
    return [edition.id for edition in withdrawn]


def restore(session: Session, award: Award, status: str, now: datetime) -> None:
    """Give a superseded award back the status it had.

    A revoked status entry is never cleared (Bitstring Status List 1.0, 3.1: not reversible), so one that was issued
    gets a new edition: another credential id, with the times and choices of the old one."""
    award.live = True
    if status not in ("issued", "pending"):
        award.status = status
        return
    award.status = "pending"
    old = award.editions[-1]
    ((list_id, index),) = editions.status_places(session, 1, now)
    session.add(
        Edition(
            id=ob3.new_credential_id(),
            award_id=award.id,
            number=old.number + 1,
            choices=old.choices,
            salt=ob3.new_salt(),
            status_list_id=list_id,
            status_index=index,
            valid_from=old.valid_from,
            valid_until=old.valid_until,
        )
    )


def _resolve(session: Session, award: Award, resolution: str, now: datetime) -> None:
    session.execute(
        update(Review)
        .where(Review.award_id == award.id, Review.resolved_at.is_(None))
        .values(resolved_at=now, resolution=resolution)
    )


def keep(tool: Tool, award_id: str, *, actor: str, now: datetime) -> None:
    """Close an award's open review: somebody has looked, and the award stands."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        _resolve(session, award, "kept", now)
        audit.record(session, now, actor, "award.kept", f"award:{award.id}")


def claim(tool: Tool, award_id: str, *, public: bool, actor: str, now: datetime) -> None:
    """Claim an award, or change later whether its page is public. It changes no credential."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if not can_choose(award):
            raise Conflict(sentence="This badge cannot be claimed at the moment.")
        if shown_status(award, now) == "expired" and award.claimed_at is None:
            raise Conflict(sentence="This badge is not valid any more, so it cannot be claimed.")
        award.claimed_at = award.claimed_at or now
        award.page_public = public
        audit.record(session, now, actor, "award.claimed", f"award:{award.id}", public=public)
