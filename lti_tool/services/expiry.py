"""Awards whose time ends: who has to be reminded of it, and making them valid anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import Conflict, NotFound
from lti_tool.models import Award, Edition
from lti_tool.services import audit, award_acts, awards, counting, editions, evaluation, notifications, stacks
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation, day

STEPS = (60, 30, 7)  # days before the end at which somebody is reminded
SHARE = 3  # of an award's life that must be left at most: one that lasts 45 days ends soon in its last 15


@dataclass(frozen=True)
class Ending:
    """An award in force that ends soon. `step` is the last that has come: see `step`."""

    award_id: str
    person_id: str
    course_id: int
    course_badge_id: str
    ends_at: datetime
    step: int


def expiring(session: Session, now: datetime, course_badge_id: str | None = None) -> list[Ending]:
    """Return the awards that end soon, the next first: of one course badge, or all."""
    query = select(Award.id, Award.person_id, Award.course_id, Award.course_badge_id, Award.issued_at, Award.expires_at)
    query = query.where(
        Award.status == "issued", Award.expires_at > now, Award.expires_at <= now + timedelta(days=STEPS[0])
    )
    if course_badge_id is not None:
        query = query.where(Award.course_badge_id == course_badge_id)
    found = session.execute(query.order_by(Award.expires_at, Award.id))
    return [
        Ending(award_id, person_id, course_id, course_badge_id, ends_at, reached)
        for award_id, person_id, course_id, course_badge_id, issued_at, ends_at in found
        if ends_at is not None and (reached := step(issued_at, ends_at, now))
    ]


def step(issued_at: datetime | None, ends_at: datetime | None, now: datetime) -> int:
    """Return how many days before an award's end somebody is reminded, the last of such steps that has come.

    0 where none has, or it is over. Those are STEPS; of one that does not live as long, its last third comes first."""
    if issued_at is None or ends_at is None or ends_at <= now:
        return 0
    first = lead(issued_at, ends_at)
    steps = (first, *(days for days in STEPS if days < first))
    return min((days for days in steps if ends_at - now <= timedelta(days=days)), default=0)


def lead(issued_at: datetime, ends_at: datetime) -> int:
    """Return in how many of its last days an award is said to end soon."""
    return min(STEPS[0], (ends_at - issued_at).days // SHARE)


def told(award: Award, now: datetime) -> str:
    """Say that an award ends soon; empty where it does not."""
    ends_at = award.expires_at
    if ends_at is None or not step(award.issued_at, ends_at, now):
        return ""
    days = max(1, -(-(ends_at - now) // timedelta(days=1)))
    return ngettext(
        "Valid until %(day)s, for one more day.", "Valid until %(day)s, for %(num)s more days.", days, day=day(ends_at)
    )


# -- renewal ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Renewal:
    """What renewing an award would come to: until when, or why it cannot be renewed."""

    award_id: str
    name: str
    ends_at: datetime | None  # as it stands
    until: datetime | None  # renewed now
    why_not: str = ""


def can_renew(award: Award, now: datetime) -> bool:
    """Tell whether an award is one that its instructor may renew: it ends soon, or has ended."""
    return (
        award.status == "issued"
        and award.expires_at is not None
        and (award.expires_at <= now or step(award.issued_at, award.expires_at, now) > 0)
    )


def planned(session: Session, award: Award, now: datetime) -> Renewal:
    """Return what renewing an award would come to, by the rules it was given under and what counts now."""
    definition = badge_from_content(award.version.definition)
    name = award.person.name or _("Learner")
    why = ""
    until = editions.after(now, definition.expires_after) if definition.expires_after else None
    if award.status != "issued":
        why = _("It is not in force.")
    elif until is None:
        why = _("It has no end, so there is nothing to renew.")
    elif not can_renew(award, now):
        why = _not_yet(award)
    elif award.given == "grades" and (doubt := _doubt(definition, evaluation.counted_now(session, award, now))):
        why = doubt
    elif _another(session, award):
        why = _("It has been earned again since.")
    return Renewal(award.id, name, award.expires_at, None if why else until, why)


def _doubt(definition: Badge, rows: dict[str, dict[str, Any]]) -> str:
    """Say why what counts now renews nothing; empty where it does."""
    if award_acts.not_shown(rows):
        return _("Your LMS does not show one of its grades to the learner yet.")
    return "" if editions.carries(definition, rows) else _("The grades do not carry it any more.")


def _not_yet(award: Award) -> str:
    assert award.issued_at is not None and award.expires_at is not None
    days = lead(award.issued_at, award.expires_at)
    if not days:
        return _("It is valid until %(day)s. Renew it once it has ended.", day=day(award.expires_at))
    return ngettext(
        "It is valid until %(day)s. Renew it on its last day.",
        "It is valid until %(day)s. Renew it in its last %(num)s days.",
        days,
        day=day(award.expires_at),
    )


def _another(session: Session, award: Award) -> bool:
    """Tell whether its learner has another live award of the badge, so that this one cannot be live again."""
    query = select(Award.id).where(
        Award.achievement_id == award.achievement_id,
        Award.person_id == award.person_id,
        awards.stand_against(badge_from_content(award.version.definition), award.course_id),
        Award.id != award.id,
        Award.live,
    )
    return session.scalar(query.limit(1)) is not None


def plans(tool: Tool, course_badge_id: str, award_ids: Sequence[str], now: datetime) -> tuple[Renewal, ...]:
    """Return what renewing these awards of a course badge would come to, by name; raises NotFound (D08)."""
    with tool.db.read() as session:
        found = [awards.get_award(session, award_id, course_badge_id) for award_id in dict.fromkeys(award_ids)]
        if not found:
            raise NotFound("no award named")
        renewals = [planned(session, award, now) for award in found]
    return tuple(sorted(renewals, key=lambda each: (collation(each.name), each.award_id)))


def renew(tool: Tool, course_badge_id: str, award_ids: Sequence[str], *, actor: str, now: datetime) -> list[str]:
    """Make awards valid anew, all or none in one transaction; returns those that were, the others cannot be.

    Each gets a new credential with the levels that count now, valid from now on. The one before stays what it is: good
    until the day it names. Its page points on, and a wallet that asks finds the new one. Raises Conflict where none can
    be renewed."""
    now = now.replace(microsecond=0)
    with tool.db.write() as session:
        done = []
        for award_id in sorted(set(award_ids)):
            award = awards.get_award(session, award_id, course_badge_id)
            if planned(session, award, now).until is not None:
                _renew(tool, session, award, actor, now)
                done.append(award.id)
        if not done:
            raise Conflict(
                sentence=_("None of these can be renewed any more."), what_to_do=_("Look at how they stand now.")
            )
    return done


def _renew(tool: Tool, session: Session, award: Award, actor: str, now: datetime) -> None:
    old = award.editions[-1]
    before: dict[str, Any] = award.decision
    old.decision = old.decision or before
    ended = award.expires_at
    if award.given == "grades":
        definition = badge_from_content(award.version.definition)
        rows = evaluation.counted_now(session, award, now)
        decision = awards.decision_record(definition, award.version.number, rows, now)
        award.decision = stacks.freeze(session, decision)
    award.status, award.live = "pending", True
    session.flush()
    editions.new_editions(session, [(award.id, award.version_id)], now, renewed=True)
    session.refresh(award)
    award_acts.resolve(session, award, "renewed", now)  # its new credential tells what counts now
    counting.count(session, counting.RENEWED, award, now)
    audit.record(
        session,
        now,
        actor,
        "award.renewed",
        f"award:{award.id}",
        before=ended.isoformat() if ended else None,
        after=award.expires_at.isoformat() if award.expires_at else None,
    )
    notifications.tell(tool, session, award, "renewed", now, of=now.isoformat(), until=award.expires_at)


def newest(session: Session, award_id: str) -> Edition | None:
    """Return an award's newest signed edition in force, not a copy that is bound to somebody's wallet.

    It is what a wallet that refreshes an older one gets."""
    query = select(Edition).where(Edition.award_id == award_id, Edition.number > 0, Edition.withdrawn_at.is_(None))
    return session.scalar(query.where(Edition.signed_at.is_not(None)).order_by(Edition.number.desc()).limit(1))
