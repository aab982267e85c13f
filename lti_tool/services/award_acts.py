"""What people decide about awards: confirm, hold, release, revoke, keep. What learners choose: services.choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import Award, CourseBadge, Review
from lti_tool.sentence import Sentence
from lti_tool.services import (
    audit,
    catalog,
    counting,
    editions,
    journal,
    notifications,
    places,
    prerequisites,
    schedule,
)
from lti_tool.services.awards import get_award, kept_back
from lti_tool.services.tool import Tool

REASON = 500  # characters


@dataclass(frozen=True)
class Outcome:
    """What an act on several awards did: `done` are those it changed, `late` those somebody had decided before."""

    done: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


def confirm(tool: Tool, award_id: str, *, actor: str, now: datetime) -> str:
    """Confirm an award that waits for it, or release one that is held; returns its new status."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if not _confirm(session, award, actor, now):
            raise Conflict(sentence=_("This award does not wait for anything any more."))
        return award.status


def confirm_many(tool: Tool, course_badge_id: str, award_ids: Sequence[str], *, actor: str, now: datetime) -> Outcome:
    """Confirm those of these awards that wait for it, all or none in one transaction.

    One that somebody else has decided meanwhile stays as it is, and the later of the two is told."""
    with tool.db.write() as session:
        awards = _locked(session, course_badge_id, award_ids)
        done = [a.id for a in awards if a.status == "review" and _confirm(session, a, actor, now)]
        return Outcome(tuple(done), tuple(a.id for a in awards if a.id not in done))


KEPT_BACK = Sentence("Your LMS does not show this grade to the learner yet, so the badge waits for it.")
POST_IT = Sentence("Post the grade in your LMS. The badge follows with the next sync.")


def not_shown(rows: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return those of a decision record's rows, by tag, whose grade the LMS does not show to its learner yet."""
    return frozenset(tag for tag, row in rows.items() if row.get("released") is False)


def _confirm(session: Session, award: Award, actor: str, now: datetime) -> bool:
    before = award.status
    if before not in ("review", "held"):
        return False
    waits = kept_back(session, award)
    if before == "held" and waits:
        raise Conflict(sentence=KEPT_BACK, what_to_do=POST_IT)
    if before == "review" and (waits or not catalog.released(award.course_badge, now)):
        award.status = "held"
    else:
        _issue(session, award, now)
    if before == "review" or unconfirmed(award):
        award.confirmed_at = now
    audit.record(session, now, actor, "award.confirmed", f"award:{award.id}", before=before, after=award.status)
    return True


def unconfirmed(award: Award) -> bool:
    """Tell whether an award still needs an instructor's word: one that is held may not have had it yet."""
    return award.confirmed_at is None and award.given == "grades" and award.version.badge.award == "review"


def _locked(session: Session, course_badge_id: str, award_ids: Sequence[str]) -> list[Award]:
    """Return these awards of a badge, locked in one order; raises NotFound where one is another badge's (D08)."""
    query = select(Award).where(Award.id.in_(award_ids), Award.course_badge_id == course_badge_id).order_by(Award.id)
    found = list(session.scalars(query.with_for_update(of=Award, key_share=True)))
    if len(found) < len(set(award_ids)):
        raise NotFound("an award that is not of this badge", sentence=_("One of these awards is not of this badge."))
    return found


def hold(
    tool: Tool, course_badge_id: str, award_id: str, reason: str, until: datetime | None, *, actor: str, now: datetime
) -> None:
    """Hold one award back, whatever the badge's release says: until a moment, or until somebody lets it go.

    One that waits to be confirmed does so again when its moment has come.

    One that is issued can be held while nobody has its credential: neither claimed nor public. That credential's
    status bit is set, and letting the award go makes another (a status entry is never cleared)."""
    reason = one_line(reason)
    if not reason:
        raise BadInput(sentence=_("Say why it is held: whoever looks at this page next will ask."))
    if until is not None and until <= now:
        raise BadInput(sentence=_("This moment has passed. Choose a later one, or none."))
    with tool.db.write() as session:
        award = get_award(session, award_id, course_badge_id)
        before = award.status
        if before in ("revoked", "superseded"):
            raise Conflict(sentence=_("This award has been taken back already."))
        # Issued again or renewed, it is `pending` for a moment and still hers.
        if before in ("issued", "pending") and (award.claimed_at is not None or award.page_public):
            raise Conflict(
                sentence=_("The learner has this badge already, so it cannot be held any more."),
                what_to_do=_("It can be withdrawn, with a reason."),
            )
        award.status, award.issued_at, award.expires_at = "held", None, None
        notifications.take_back(session, award)
        award.held_reason, award.held_until = reason, until
        withdraw_editions(session, award, now)
        told = until.isoformat() if until else None
        audit.record(
            session,
            now,
            actor,
            "award.held",
            f"award:{award.id}",
            before=before,
            after="held",
            reason=reason,
            until=told,
        )
        course_id, version_id = award.course_id, award.version_id
    if before == "issued":
        prerequisites.look_again(tool, [version_id])
    if until is not None:
        schedule.moment_was_set(tool, course_id, now)


def release(tool: Tool, course_badge_id: str, *, actor: str, now: datetime, at: datetime | None = None) -> int:
    """Let every learner of a course badge see levels and awards that its policy holds back; returns what is issued.

    `at`: not now but then. Awards that are held one by one stay so, and so do those that the grades do not carry any
    more, until somebody keeps them."""
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id, with_for_update={"key_share": True})
        if badge.version_id is None:
            raise Conflict(sentence=_("This badge is not published yet, so there is nothing to release."))
        if at is not None and at <= now:
            raise BadInput(sentence=_("This moment has passed. Choose a later one, or release it now."))
        before = badge.released_at
        if before is None or before > now:
            badge.released_at = at or now
            audit.record(
                session,
                now,
                actor,
                "badge.released" if at is None else "badge.release_set",
                f"badge:{badge.id}",
                before=before.isoformat() if before else None,
                after=badge.released_at.isoformat(),
            )
        course_id = badge.course_id
        if at is None:
            return _release_held(session, badge, now)
    schedule.moment_was_set(tool, course_id, now)
    return 0


def _release_held(session: Session, badge: CourseBadge, now: datetime) -> int:
    query = select(Award).where(Award.course_badge_id == badge.id, *_held_by_policy())
    held = list(session.scalars(query.order_by(Award.id).with_for_update(key_share=True)))
    shown = [award for award in held if not kept_back(session, award)]
    for award in shown:
        _issue(session, award, now)
    return len(shown)


def release_by_hand(tool: Tool, course_badge_id: str, *, actor: str, now: datetime) -> None:
    """Take back the moment that was set for a badge's release: it waits for somebody's word again."""
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id, with_for_update={"key_share": True})
        if badge.released_at is None or badge.released_at <= now:
            raise Conflict(sentence=_("No moment is set any more."))
        before, badge.released_at = badge.released_at, None
        audit.record(
            session, now, actor, "badge.release_set", f"badge:{badge.id}", before=before.isoformat(), after=None
        )


def _held_by_policy() -> tuple[Any, ...]:
    return Award.status == "held", Award.held_reason.is_(None), ~_doubted()


def _doubted() -> ColumnElement[bool]:
    return exists().where(Review.award_id == Award.id, Review.resolved_at.is_(None))


def release_due(tool: Tool, now: datetime, course_id: int | None = None) -> int:
    """Issue held awards whose time has come; returns how many.

    What counts is the badge's present policy: its time has come, or a new version holds nothing back. One that an
    instructor holds waits for its own moment besides, and is then to be confirmed where nobody has done so. One whose
    grades do not carry it any more waits for whoever reviews it."""
    released = 0
    with tool.db.write() as session:
        due = Award.held_reason.is_(None) | (Award.held_until <= now)
        query = select(Award).where(Award.status == "held", due, ~_doubted())
        if course_id is not None:
            query = query.where(Award.course_id == course_id)
        query = query.order_by(Award.id).with_for_update(of=Award, key_share=True)
        for award in session.scalars(query.options(joinedload(Award.course_badge).joinedload(CourseBadge.version))):
            if award.held_reason is not None and unconfirmed(award):
                award.status, award.held_reason, award.held_until = "review", None, None
            elif catalog.released(award.course_badge, now) and not kept_back(session, award):
                _issue(session, award, now)
                released += 1
    return released


def _issue(session: Session, award: Award, now: datetime) -> None:
    award.status, award.held_reason, award.held_until = "pending", None, None
    session.flush()
    editions.new_editions(session, [(award.id, award.version_id)], now)


def revoke(tool: Tool, award_id: str, reason: str, *, actor: str, now: datetime) -> None:
    """Take an award back for good. Its credential's status bit is set in the same transaction.

    Only a person's act gives it again: the same grades will not (H10)."""
    reason = _reason_to_revoke(reason)
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if not revoke_in(tool, session, award, reason, actor, now):
            raise Conflict(sentence=_("This award has been taken back already."))
        version_id = award.version_id
    prerequisites.look_again(tool, [version_id])


def revoke_many(
    tool: Tool, course_badge_id: str, award_ids: Sequence[str], reason: str, *, actor: str, now: datetime
) -> Outcome:
    """Take awards back for one reason, all or none in one transaction; those already taken back are told apart."""
    reason = _reason_to_revoke(reason)
    with tool.db.write() as session:
        awards = _locked(session, course_badge_id, award_ids)
        done = [award for award in awards if revoke_in(tool, session, award, reason, actor, now, tell=False)]
        _tell_revoked(tool, session, done, reason, now)
        version_ids = {award.version_id for award in awards}
        revoked = {award.id for award in done}
        outcome = Outcome(
            tuple(award.id for award in done), tuple(award.id for award in awards if award.id not in revoked)
        )
    prerequisites.look_again(tool, version_ids)
    return outcome


def _reason_to_revoke(reason: str) -> str:
    reason = one_line(reason)
    if not reason:
        raise BadInput(sentence=_("Say why the award is taken back: the learner and whoever checks it will read it."))
    return reason


def revoke_in(
    tool: Tool, session: Session, award: Award, reason: str, actor: str, now: datetime, *, tell: bool = True
) -> bool:
    """Do as `revoke` in a transaction of the caller's, who holds the award; tells whether it was not taken back yet."""
    before = award.status
    if before in ("revoked", "superseded"):
        return False
    award.status, award.live = "revoked", False
    award.revoked_at, award.revocation_reason = now, reason
    award.held_reason = award.held_until = None
    withdraw_editions(session, award, now)
    resolve(session, award, "revoked", now)
    counting.count(session, counting.REVOKED, award, now)
    audit.record(
        session, now, actor, "award.revoked", f"award:{award.id}", before=before, after="revoked", reason=reason
    )
    if tell:
        _tell_revoked(tool, session, [award], reason, now)
    return True


def _tell_revoked(tool: Tool, session: Session, revoked: Sequence[Award], reason: str, now: datetime) -> None:
    """Tell learners what was taken back; of one that she never saw she is not told now either."""
    session.flush()
    events = [notifications.Event(award.id, "revoked", "", {"reason": reason}) for award in revoked if award.issued_at]
    notifications.tell_all(tool, session, events, now)


def one_line(text: str) -> str:
    """Return a reason as it is kept: on one line, without control characters, of a length that can be read."""
    return " ".join(text.split())[:REASON]


def withdraw_editions(session: Session, award: Award, now: datetime, *, only: str | None = None) -> list[str]:
    """Set the status bit of every edition still in force, copies in wallets too, or of one; returns their ids.

    What the award has come to stands in the journal as the reason, so set its status first."""
    in_force = [edition for edition in award.editions if edition.withdrawn_at is None]
    withdrawn = [edition for edition in in_force if only in (None, edition.id)]
    for edition in withdrawn:
        edition.withdrawn_at = now
        journal.note(session, journal.withdrawal(award, edition))
    places.list_changed(session, [edition.status_list_id for edition in withdrawn])
    return [edition.id for edition in withdrawn]


def supersede(session: Session, award: Award, now: datetime) -> list[str]:
    """Let another award of the same person stand in for this one; returns the editions whose status bit this sets."""
    award.status, award.live = "superseded", False
    withdrawn = withdraw_editions(session, award, now)
    resolve(session, award, "superseded", now)
    return withdrawn


def restore(session: Session, award: Award, status: str, now: datetime) -> None:
    """Give a superseded award back the status it had.

    A revoked status entry is never cleared (Bitstring Status List 1.0, 3.1: not reversible), so one that was issued
    gets a new edition: another credential id, with the times and choices of the old one."""
    was_issued = status in ("issued", "pending")
    award.live, award.status = True, "pending" if was_issued else status
    if was_issued:
        editions.another(session, award, award.editions[-1].choices, now)


def resolve(session: Session, award: Award, resolution: str, now: datetime) -> str:
    """Close an award's open review; returns its reason, empty where none was open."""
    closed = session.scalars(
        update(Review)
        .where(Review.award_id == award.id, Review.resolved_at.is_(None))
        .values(resolved_at=now, resolution=resolution)
        .returning(Review.reason)
    )
    return next(iter(closed), "")


def keep(tool: Tool, award_id: str, *, actor: str, now: datetime) -> None:
    """Close an award's open review: somebody has looked, and it stands. One that is held goes with the next release."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        reason = resolve(session, award, "kept", now)
        if not reason:
            raise Conflict(sentence=_("Somebody has decided this one already, or the grades carry it again."))
        audit.record(session, now, actor, "award.kept", f"award:{award.id}", status=award.status, reason=reason)
