"""A badge as its learner meets it in a list: its state, what is missing in words, what the next step asks."""

from __future__ import annotations

from datetime import datetime

from flask_babel import gettext as _
from flask_babel import ngettext

from lti_tool.domain.badge import Badge
from lti_tool.models import Award, CourseBadge, WhyNot
from lti_tool.services import expiry, why_not
from lti_tool.services.awards import shown_status
from lti_tool.services.own_badges import Standing
from lti_tool.services.pages.rows import RowView
from lti_tool.services.pages.student import StudentCard
from lti_tool.services.rows import Parts, amount, met_of, missing_of, row_views
from lti_tool.services.tool import Tool
from lti_tool.services.words import day


def card_of(
    tool: Tool, badge: CourseBadge, seen: Standing, row: WhyNot | None, now: datetime, key: str = ""
) -> StudentCard:
    """Return a badge as its learner sees it in a list. `row`: what she has said about not claiming it."""
    definition, award, of = seen.definition, seen.award, seen.definition.needed
    met = met_of(definition, seen.rows)
    state = _state(seen.rows, award, now)
    has = award is not None and state == "earned"
    return StudentCard(
        slug=key or badge.slug,
        name=definition.name,
        level=definition.level,
        state=state,
        met=min(met, of),
        of=of,
        sentence=_sentence(state, definition, seen.rows, award),
        rows=seen.rows,
        award_id=award.id if award else "",
        earned_at=award.earned_at if award else None,
        claimed=award is not None and award.claimed_at is not None,
        page_public=award is not None and award.page_public,
        next_step=_next_step(seen.rows) if state == "way" and badge.status != "retired" else "",
        retired=badge.status == "retired",
        ends=expiry.told(award, now) if award is not None and has else "",
        new=award is not None and has and why_not.is_new(award, row, now),
        put_off=row is not None and row.put_off_at is not None,
        asked=award is not None and has and why_not.is_asked(tool, award, row, now),
    )


def blank_card(badge: CourseBadge, definition: Badge, parts: Parts) -> StudentCard:
    """Return the card of a badge of which nothing is known of nobody."""
    rows = row_views(definition, {}, parts)
    return StudentCard(
        slug=badge.slug,
        name=definition.name,
        level=definition.level,
        state="none",
        met=0,
        of=definition.needed,
        sentence=_sentence("none", definition, rows, None),
        rows=rows,
        award_id="",
        earned_at=None,
        claimed=False,
        page_public=False,
        next_step="",
    )


def _state(rows: tuple[RowView, ...], award: Award | None, now: datetime) -> str:
    if award is not None:
        words = {"issued": "earned", "expired": "expired", "revoked": "revoked"}
        return words.get(shown_status(award, now), "waiting")
    return "way" if _begun(rows) else "none"


def _begun(rows: tuple[RowView, ...]) -> bool:
    """Tell whether there is anything of it yet: a badge that comes first, there or not, is nothing of this one."""
    return any(row.state not in ("ungraded", "hidden") for row in rows if not row.comes_first)


def _sentence(state: str, badge: Badge, rows: tuple[RowView, ...], award: Award | None) -> str:
    of, met = badge.needed, amount(min(met_of(badge, rows), badge.needed))
    if state == "earned":
        return _("You have it.")
    if state == "revoked" and award is not None:
        return _("It was taken back: %(reason)s", reason=award.revocation_reason)
    if state == "expired" and award is not None and award.expires_at is not None:
        return _(
            "It was valid until %(day)s. A new grade that carries it earns it again.",
            day=day(award.expires_at),
        )
    if state == "waiting":
        return _("You have %(all)s of %(all)s. Your teacher looks at it before it is issued.", all=of)
    if any(row.state == "hidden" for row in rows):
        return _("Your teacher has not released the results yet.")
    if not _begun(rows):
        if badge.counts_credits:
            return ngettext(
                "Nothing of it is earned yet. It takes one credit.",
                "Nothing of it is earned yet. It takes %(num)s credits.",
                of,
            )
        if badge.stack is not None:
            return ngettext(
                "None of its badges is earned yet. It takes one.",
                "None of its badges is earned yet. It takes %(num)s.",
                of,
            )
        return ngettext(
            "There is no result to show yet. It takes one sub-competency.",
            "There is no result to show yet. It takes %(num)s sub-competencies.",
            of,
        )
    return _so_far(badge, rows, met)


def _so_far(badge: Badge, rows: tuple[RowView, ...], met: str) -> str:
    """Say how much there is and what is missing; where only some of the rows are asked for, how many of them."""
    of = badge.needed
    short = [row for row in missing_of(badge, rows) if row.counts]
    besides = ", ".join(row.lacking for row in missing_of(badge, rows) if not row.counts)
    parts = ", ".join(row.lacking for row in short)
    if not short:
        if not besides:
            return _("You have %(all)s of %(all)s.", all=of)
        return _("You have %(all)s of %(all)s, as many as it takes. Still missing: %(rows)s.", all=of, rows=besides)
    if badge.counts_credits or len(short) == of - met_of(badge, rows):
        if badge.counts_credits:
            told = _("You have %(met)s of %(all)s credits. Missing: %(rows)s.", met=met, all=of, rows=parts)
        else:
            told = _("You have %(met)s of %(all)s. Missing: %(rows)s.", met=met, all=of, rows=parts)
    else:
        more = of - met_of(badge, rows)
        told = _(
            "You have %(met)s of %(all)s. Missing: %(num)s of these %(among)s: %(rows)s.",
            met=met,
            all=of,
            num=more,
            among=len(short),
            rows=parts,
        )
    return told + " " + _("Missing besides: %(rows)s.", rows=besides) if besides else told


def _next_step(rows: tuple[RowView, ...]) -> str:
    """Say what the nearest missing row asks: the one with the fewest levels to go."""
    short = [row for row in rows if row.state == "short" and row.next_asks]
    if not short:
        return ""
    nearest = min(short, key=lambda row: row.short_by)
    return _(
        "%(level)s in “%(row)s” asks: %(words)s",
        level=nearest.required,
        row=nearest.name,
        words=nearest.next_asks,
    )
