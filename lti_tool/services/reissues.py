"""Reissuing: an award's credential made anew with what counts now. The old one is replaced, and says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import BadInput, Conflict
from lti_tool.models import Award, CourseBadge
from lti_tool.services import audit, award_acts, awards, catalog, editions, evaluation, notifications, stacks
from lti_tool.services.award_acts import one_line
from lti_tool.services.launches import LaunchSession
from lti_tool.services.pages.instructor import ReissuePage, ReissueRow
from lti_tool.services.tool import Tool


@dataclass(frozen=True)
class _Now:
    """What an edition made now would say."""

    rows: dict[str, dict[str, Any]]
    name: str
    carries: bool
    kept_back: bool  # the LMS does not show one of these grades to the learner yet
    seal: str  # a digest of it: what is confirmed is what was shown


def _now_for(session: Session, award: Award, at: datetime) -> _Now:
    """Return what counts now for an award; one given by hand keeps the levels it was given with."""
    if award.given == "grades":
        rows = evaluation.counted_now(session, award, at)
        carried = editions.carries(badge_from_content(award.version.definition), rows)
    else:
        rows, carried = {row["tag"]: row for row in award.decision["rows"]}, True
    last = award.editions[-1] if award.editions else None
    told = [last.id if last else "", award.earner.called, [_substance(row) for row in rows.values()]]
    seal = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
    return _Now(rows, award.earner.called, carried, bool(award_acts.not_shown(rows)), seal)


def _substance(row: Mapping[str, Any]) -> dict[str, Any]:
    return {member: row.get(member) for member in ("tag", "level", "state", "score", "maximum", "points")}


def page(tool: Tool, who: LaunchSession, slug: str, award_id: str) -> ReissuePage:
    """Return what reissuing an award would change; raises NotFound for another badge's (D08)."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id or 0, slug)
        award = awards.get_award(session, award_id, badge.id)
        definition = badge_from_content(award.version.definition)
        now = _now_for(session, award, datetime.now(UTC))
        before = {row["tag"]: row for row in award.decision["rows"]}
        names = {row.tag: (row.code, row.name) for row in definition.sub_competencies}
        names |= {tag: ("", now.rows[tag]["name"]) for tag in _parts(definition) if tag in now.rows}
        names |= {gate.tag: (gate.code, gate.name) for gate in definition.gates}
        old_name = award.editions[-1].choices.get("name", "") if award.editions else ""
        return ReissuePage(
            award_id=award.id,
            name=award.person.name or _("Learner"),
            badge=definition,
            rows=tuple(
                ReissueRow(code, name, _level(before.get(tag)), _level(now.rows.get(tag)))
                for tag, (code, name) in names.items()
            ),
            old_name=old_name,
            new_name=now.name if old_name else "",
            carries=now.carries,
            open=award.status == "issued",
            by_hand=award.given != "grades",
            seal=now.seal,
            kept_back=now.kept_back,
        )


def _parts(definition: Badge) -> tuple[str, ...]:
    return definition.stack.tags if definition.stack is not None else ()


def _level(row: Mapping[str, Any] | None) -> str:
    """Return what a row of a decision record came to, in words; empty for no result."""
    if row is None or row["state"] == "ungraded":
        return ""
    points = _("%(score)s of %(maximum)s", score=row["score"], maximum=row["maximum"]) if row["score"] else ""
    reached = row["reached"] or _("below the lowest level")
    return f"{reached} ({points})" if points else str(reached)


def reissue(
    tool: Tool, who: LaunchSession, slug: str, award_id: str, reason: str, seal: str, *, actor: str, now: datetime
) -> str:
    """Replace an award's credential by one with what counts now; returns the new one's id (H11).

    It has an id, a salt and a status entry of its own, and the times and choices of the old one, whose status bit is
    set. `seal` is that of the page: raises Conflict where something has changed since it was shown."""
    reason = one_line(reason)
    if not reason:
        raise BadInput(sentence=_("Say what was corrected: the audit log keeps it."))
    with tool.db.write() as session:
        badge = catalog.get_badge(session, who.course_id or 0, slug)
        award = awards.get_award(session, award_id, badge.id)
        if award.status != "issued" or awards.shown_status(award, now) == "expired":
            raise Conflict(sentence=_("Only an award that is in force can be issued again."))
        fresh = _now_for(session, award, now)
        if fresh.seal != seal:
            raise Conflict(
                sentence=_("Something has changed since this page was shown, so nothing was done."),
                what_to_do=_("Look at what counts now, then decide once more."),
            )
        if fresh.kept_back:
            raise Conflict(
                sentence=_(
                    "Your LMS does not show one of these grades to the learner yet, so it stays out of the badge."
                ),
                what_to_do=_("Post the grade in your LMS. Issue the badge again after the next sync."),
            )
        if not fresh.carries:
            raise Conflict(
                sentence=_("The grades do not carry this badge any more, so it cannot be issued again with them."),
                what_to_do=_("Keep it as it is, or withdraw it."),
            )
        return _replace(tool, session, award, badge, fresh, reason, actor, now)


def _replace(
    tool: Tool, session: Session, award: Award, badge: CourseBadge, fresh: _Now, reason: str, actor: str, now: datetime
) -> str:
    old = award.editions[-1]
    before = award.decision
    old.decision = old.decision or before
    award_acts.withdraw_editions(session, award, now)
    if award.given == "grades":
        definition = badge_from_content(award.version.definition)
        decision = awards.decision_record(definition, award.version.number, fresh.rows, now)
        award.decision = stacks.freeze(session, decision)
    choices = {**old.choices, "name": fresh.name} if old.choices.get("name") else old.choices
    edition = editions.another(session, award, choices, now)
    award_acts.resolve(session, award, "reissued", now)
    was = {row["tag"]: row["reached"] for row in before["rows"]}
    audit.record(
        session,
        now,
        actor,
        "award.reissued",
        f"award:{award.id}",
        before={"credential": old.id, "levels": was},
        after={"credential": edition.id, "levels": {row["tag"]: row["reached"] for row in award.decision["rows"]}},
        reason=reason,
    )
    notifications.tell(tool, session, award, "reissued", now, of=edition.id)
    return edition.id
