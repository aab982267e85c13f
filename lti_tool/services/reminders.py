"""What people are told because of the time: a badge ends soon, or nobody has claimed it. Each is told once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.models import Award, Notification, WhyNot
from lti_tool.services import expiry, notifications
from lti_tool.services.tool import Tool

KINDS = ("expiring", "unclaimed")
STILL_NEW = timedelta(days=60)  # after its time, a reminder of a badge not claimed comes too late to be one


def look(tool: Tool, now: datetime) -> int:
    """Tell whoever has to be reminded today; returns how many are new. Safe to repeat."""
    with tool.db.read() as session:
        events = [*_ending(session, now), *_unclaimed(tool, session, now)]
        known = _told(session, [event.key for event in events])
    new = [event for event in events if event.key not in known]
    if not new:
        return 0
    with tool.db.write() as session:
        return notifications.tell_all(tool, session, new, now)


def _ending(session: Session, now: datetime) -> list[notifications.Event]:
    """Return the end of each award that ends soon, for the last step that has come: an end renewed is another end."""
    return [
        notifications.Event(
            each.award_id,
            "expiring",
            of=f"{each.ends_at:%Y-%m-%d}:{each.step}",
            detail={"until": each.ends_at.isoformat()},
        )
        for each in expiry.expiring(session, now)
    ]


def _unclaimed(tool: Tool, session: Session, now: datetime) -> list[notifications.Event]:
    """Return the awards that nobody has claimed for a while; none where nobody has to, or she has said "Not now"."""
    days = tool.settings.notifications.unclaimed_after
    if not days or tool.settings.privacy.claim == "automatic":
        return []
    since = now - timedelta(days=days)
    query = select(Award.id).where(
        Award.status == "issued",
        Award.claimed_at.is_(None),
        Award.issued_at <= since,
        Award.issued_at > since - STILL_NEW,
        Award.expires_at.is_(None) | (Award.expires_at > now),
    )
    declined = WhyNot.put_off_at.is_not(None) | WhyNot.answered_at.is_not(None)
    query = query.where(Award.id.not_in(select(WhyNot.award_id).where(declined)))
    return [notifications.Event(award_id, "unclaimed") for award_id in session.scalars(query.order_by(Award.id))]


def _told(session: Session, keys: list[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(keys), notifications.BATCH):
        query = select(Notification.key).where(Notification.key.in_(keys[start : start + notifications.BATCH]))
        known.update(session.scalars(query))
    return known
