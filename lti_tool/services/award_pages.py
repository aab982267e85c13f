"""What the pages about a badge's awards show. Each function is one read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import credential_address
from lti_tool.errors import NotFound
from lti_tool.models import Award, Edition, Enrolment, Person
from lti_tool.services import award_acts, by_hand, catalog, evidence_pages, expiry, held_back
from lti_tool.services.awards import get_award, kept_back, shown_status, under_review
from lti_tool.services.credential_state import reason_of
from lti_tool.services.editions import carries
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.pages.instructor import AwardRow, AwardsPage, GivePage
from lti_tool.services.rows import row_views
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation, said, status_word

MANY = 500  # awards whose editions are asked for by their ids


def award_list(tool: Tool, who: LaunchSession, slug: str, now: datetime) -> AwardsPage:
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        reviews = under_review(session, badge)
        waiting = held_back.of_awards(session, badge.id)
        query = (
            select(Award)
            .where(Award.course_badge_id == badge.id)
            .options(joinedload(Award.person))
            .order_by(Award.earned_at.desc(), Award.id)
        )
        # As far as the page tells of when: several that were earned on one day stand by name.
        awards = sorted(session.scalars(query), key=lambda award: collation(award.person.name))
        awards.sort(key=lambda award: award.earned_at.date(), reverse=True)
        editions = _newest_editions(session, [award.id for award in awards])
        rows = [
            replace(row, waits=said(held_back.WAITS) if row.id in waiting else "")
            for row in (_award_row(tool, award, reviews, editions, now) for award in awards)
        ]
        ahead = badge.released_at if badge.released_at is not None and badge.released_at > now else None
        return AwardsPage(
            slug=slug,
            badge=catalog.definition_of(badge),
            status=badge.status,
            to_confirm=tuple(row for row in rows if row.status == "review"),
            doubted=tuple(row for row in rows if row.review and row.status != "review"),
            held=tuple(
                replace(row, kept_back=kept_back(session, award))
                for award, row in zip(awards, rows, strict=True)
                if row.status == "held" and not row.review
            ),
            rest=tuple(row for row in rows if row.status not in ("review", "held") and not row.review),
            held_back=badge.version is not None and not catalog.released(badge, now),
            released_at=ahead,
            may_manage=MANAGE in who.rights,
            soon=tuple(each.award_id for each in expiry.expiring(session, now, badge.id)),
        )


def _award_row(tool: Tool, award: Award, reviews: dict[str, str], editions: dict[str, str], now: datetime) -> AwardRow:
    status = shown_status(award, now)
    in_hands = award.claimed_at is not None or award.page_public
    return AwardRow(
        id=award.id,
        name=award.person.name or _("Learner"),
        person_id=award.person_id,
        status=status,
        word=_("Needs review") if award.id in reviews else status_word(status),
        earned_at=award.earned_at,
        issued_at=award.issued_at,
        credential_url=_credential_url(tool, editions.get(award.id)) if award.page_public else "",
        review=reviews.get(award.id, ""),
        revocation_reason=said(reason_of(award)),
        given=award.given,
        note=award.note or "",
        held_reason=award.held_reason or "",
        held_until=award.held_until,
        can_hold=status in ("review", "held") or (status in ("pending", "issued") and not in_hands),
        unconfirmed=status == "review" or (status == "held" and award_acts.unconfirmed(award)),
        can_reissue=status == "issued",
        can_renew=expiry.can_renew(award, now),
        ends=expiry.told(award, now) if status == "issued" else "",
    )


def some(tool: Tool, who: LaunchSession, slug: str, award_ids: Sequence[str], now: datetime) -> tuple[AwardRow, ...]:
    """Return these awards of this course's badge, by name; raises NotFound where one is another's (D08)."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        query = select(Award).where(Award.id.in_(award_ids), Award.course_badge_id == badge.id)
        awards = list(session.scalars(query.options(joinedload(Award.person))))
        if not awards or len(awards) < len(set(award_ids)):
            raise NotFound(f"an award that is not of badge {badge.id}")
        editions = _newest_editions(session, [award.id for award in awards])
        reviews = under_review(session, badge)
        rows = [_award_row(tool, award, reviews, editions, now) for award in awards]
        return tuple(sorted(rows, key=lambda row: (collation(row.name), row.id)))


def one(tool: Tool, who: LaunchSession, slug: str, award_id: str, now: datetime) -> AwardRow:
    """Return an award of this course's badge; raises NotFound for another's (D08)."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        award = get_award(session, award_id, badge.id)
        editions = _newest_editions(session, [award.id])
        return _award_row(tool, award, under_review(session, badge), editions, now)


def giving(tool: Tool, who: LaunchSession, slug: str, person_id: str, now: datetime) -> GivePage:
    """Return the page on which a badge is given by hand; raises NotFound for somebody of another course."""
    with tool.db.read() as session:
        badge = by_hand.open_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        able = [each for each in by_hand.candidates(session, badge, now) if not each.why]
        people = tuple((each.person_id, each.name or _("Learner")) for each in able)
        held_back = not catalog.released(badge, now)
        if not person_id:
            return GivePage(slug, definition, people, held_back=held_back)
        chosen = next((each for each in able if each.person_id == person_id), None)
        if chosen is None:
            if session.get(Enrolment, (badge.course_id, person_id)) is None:
                raise NotFound(f"person {person_id} is not in course {badge.course_id}")
            return GivePage(slug, definition, people, held_back=held_back)
        records = by_hand.levels_now(session, badge, person_id)
        return GivePage(
            slug,
            definition,
            people,
            person_id=person_id,
            name=chosen.name or _("Learner"),
            rows=row_views(definition, records, catalog.asked_of(session, badge, definition, tool.settings.base_url)),
            carried=carries(definition, by_hand.told_of(records)),
            not_shown=bool(award_acts.not_shown(records)),
            held_back=held_back,
            evidence=evidence_pages.seen(session, who, slug, session.get_one(Person, person_id)),
        )


def _newest_editions(session: Session, award_ids: Sequence[str]) -> dict[str, str]:
    query = select(Edition.award_id, Edition.id).where(Edition.signed_at.is_not(None)).order_by(Edition.number)
    if len(award_ids) < MANY:
        query = query.where(Edition.award_id.in_(award_ids))
    return dict(session.execute(query).all())


def _credential_url(tool: Tool, edition_id: str | None) -> str:
    return credential_address(tool.settings.base_url, edition_id) if edition_id else ""


def _course_id(who: LaunchSession) -> int:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    return who.course_id
