"""What a learner's pages show: her own standing only, and nothing her teacher has not released."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

import nh3
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import achievement_address
from lti_tool.domain.badge import badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import (
    AchievementVersion,
    Award,
    Column,
    Course,
    CourseBadge,
    Edition,
    Enrolment,
    Mark,
    Person,
    Result,
)
from lti_tool.services import (
    catalog,
    choices,
    editions,
    evaluation,
    history,
    marking,
    outside_badges,
    own_badges,
    share_links,
    stack_trees,
    stacks,
    why_not,
)
from lti_tool.services.awards import can_choose, fits_a_wallet, shown_status
from lti_tool.services.forms import credential_url, downloads
from lti_tool.services.instructor_pages import sync_state
from lti_tool.services.issuer import issuer_row
from lti_tool.services.launches import LEARN, LaunchSession
from lti_tool.services.own_access import Learner, Viewer, award_of
from lti_tool.services.own_badges import Standing
from lti_tool.services.pages.rows import SyncState
from lti_tool.services.pages.student import ClaimView, Comment, EarlierAward, StudentBadge, StudentCard, StudentHome
from lti_tool.services.rows import row_views
from lti_tool.services.student_cards import blank_card, card_of
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, lasts

LONGEST_COMMENT = 2_000  # characters


def home(tool: Tool, who: LaunchSession) -> StudentHome:
    """Return a learner's badges of the course she was launched from, in as many queries however many there are."""
    now, base = datetime.now(UTC), tool.settings.base_url
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        published = own_badges.in_order(session.scalars(published_in([course.id])))
        me = own_badges.own(session, who.person_id)
        look = stack_trees.look(session, who, published, now)
        elsewhere = stack_trees.earned_elsewhere(look)
        # Who is launched here is judged here as the one she is, whomever she is linked to.
        judged = {badge.course_id: who.person_id for badge in (*published, *elsewhere)}
        seen = own_badges.standings(session, [*published, *elsewhere], judged, me, now, base, history=False)
        said = why_not.rows(session, [each.award.id for each in seen.values() if each.award is not None])

        def card(badge: CourseBadge, key: str = "") -> StudentCard:
            standing = seen[badge.id]
            row = said.get(standing.award.id) if standing.award is not None else None
            return card_of(tool, badge, standing, row, now, key)

        cards = [card(badge) for badge in published]
        cards = [each for each in cards if each.award_id or not each.retired]
        trees = stack_trees.trees(look, {each.slug: each for each in cards})
        cards += [each for badge in elsewhere if (each := card(badge, badge.id)).award_id]
        live = [each for each in cards if each.state == "earned"]
        return StudentHome(
            title=course.title,
            label=course.label,
            first_name=first_name(who),
            sync=sync_state(session, course),
            fresh=tuple(
                sorted((each for each in live if each.new), key=lambda each: str(each.earned_at), reverse=True)
            ),
            earned=tuple(each for each in live if not each.new),
            over=tuple(each for each in cards if each.state in ("expired", "revoked")),
            on_the_way=tuple(each for each in cards if each.state in ("way", "waiting")),
            available=tuple(each for each in cards if each.state == "none"),
            preview=_only_looks(session, who),
            trees=trees,
            kept=bool(live),
        )


def published_in(course_ids: list[int]) -> Any:
    """Return the query for the published badges of these courses, with all that their cards need."""
    return (
        select(CourseBadge)
        .where(CourseBadge.course_id.in_(course_ids), CourseBadge.version_id.is_not(None))
        .options(
            joinedload(CourseBadge.version).joinedload(AchievementVersion.achievement), joinedload(CourseBadge.course)
        )
    )


def first_name(who: LaunchSession) -> str:
    return who.person_name.split(" ")[0] if who.person_name else ""


def _only_looks(session: Session, who: LaunchSession) -> bool:
    if LEARN not in who.rights or who.test_user:
        return True
    enrolment = session.get(Enrolment, (who.course_id, who.person_id))
    return enrolment is None or not enrolment.is_learner


def badge(tool: Tool, who: LaunchSession, key: str) -> StudentBadge:
    now, base = datetime.now(UTC), tool.settings.base_url
    with tool.db.read() as session:
        found = own_badges.find(session, who, key)
        seen = own_badges.standing(session, found, who.person_id, now, base)
        definition, award = seen.definition, seen.award
        given_for, shown_version = history.note_of_version(session, found, award, who.person_id)
        said = why_not.rows(session, [award.id]).get(award.id) if award is not None else None
        here = found.course_id == who.course_id and bool(who.rights)
        key = found.slug if here else found.id
        tree = stack_trees.tree(session, who, found, now)
        return StudentBadge(
            slug=key,
            badge=definition,
            card=card_of(tool, found, seen, said, now, key),
            rows=seen.rows,
            history=tuple(
                words
                for _when, words in sorted(
                    [*seen.history, *_moments(award, now)], key=lambda each: each[0], reverse=True
                )
            ),
            sync=sync_state(session, found.course),
            issuer=issuer_row(session).name,
            credential_url=_own_url(tool, session, award),
            revoked=(award.revocation_reason or "") if award is not None and award.status == "revoked" else "",
            lasts=lasts(definition.expires_after),
            retired=found.status == "retired",
            given_for=given_for if seen.present else 0,
            shown_version=shown_version,
            tree=tree,
            outside=outside_badges.own(session, found, who.person_id),
            elsewhere=own_badges.label(found.course) if tree is not None and not here and who.course_id else "",
            key=key,
            given_url=achievement_address(tool.settings.base_url, award.version.achievement.slug, award.version.number)
            if award is not None and given_for
            else "",
            said=_said(session, found, who, seen),
            course="" if here else own_badges.label(found.course),
            term="" if here else found.course.term,
            earlier=_earlier(session, seen, now),
        )


def _moments(award: Award | None, now: datetime) -> list[tuple[datetime, str]]:
    """Return what became of an award that was issued once, with when."""
    if award is None or award.issued_at is None:
        return []
    told = [(award.issued_at, _("%(day)s: the badge was issued", day=day(award.issued_at)))]
    if award.claimed_at is not None:
        told.append((award.claimed_at, _("%(day)s: you claimed it", day=day(award.claimed_at))))
    if award.revoked_at is not None:
        told.append((award.revoked_at, _("%(day)s: it was withdrawn", day=day(award.revoked_at))))
    elif award.expires_at is not None and award.expires_at <= now:
        told.append((award.expires_at, _("%(day)s: it expired", day=day(award.expires_at))))
    return told


def _earlier(session: Session, seen: Standing, now: datetime) -> tuple[EarlierAward, ...]:
    """Return the awards before the one that is shown of which others may still see something, the newest first."""
    found = [each for each in seen.earlier if each.claimed_at is not None or each.page_public]
    found = [each for each in found if can_choose(each, now)]
    links = share_links.open_of(session, [each.id for each in found], now)
    return tuple(
        EarlierAward(
            each.id,
            each.issued_at,
            shown_status(each, now),
            each.claimed_at is not None,
            each.page_public,
            links.get(each.id, 0),
        )
        for each in reversed(found)
    )


def _said(session: Session, badge: CourseBadge, who: LaunchSession, seen: Standing) -> dict[str, Comment]:
    """Return what was said of those rows that she may see: by whoever marked here, else in the gradebook."""
    if not seen.shown:
        return {}
    me = own_badges.own(session, who.person_id)
    person = own_badges.learns_in(session, me).get(badge.course_id, who.person_id) if me.ids[1:] else who.person_id
    found: dict[str, Comment] = {}
    results = (
        select(Column.tag, Result.raw)
        .join(Result, Result.column_id == Column.id)
        .join(Person, Person.sub == Result.user_sub)
        .where(Column.course_badge_id == badge.id, Column.tag.in_(seen.shown))
        .where(Person.id == person, Person.registration_id == badge.course.registration_id)
    )
    for tag, raw in session.execute(results):
        if words := _comment_in(raw):
            found[tag] = Comment(words)
    marks = select(Mark).where(Mark.course_badge_id == badge.id, Mark.person_id == person, Mark.tag.in_(seen.shown))
    for mark in session.scalars(marks):
        if mark.comment:
            found[mark.tag] = Comment(mark.comment, marking.name_of(session, mark.marked_by), mark.marked_at)
    return found


def _comment_in(raw: str | None) -> str:
    """Return the comment of a result as it was received, in plain words; empty where there is none."""
    try:
        values = json.loads(raw or "{}")
    except ValueError:
        return ""
    comment = values.get("comment") if isinstance(values, dict) else None
    # Moodle's is HTML, as its editor wrote it.
    return unescape(nh3.clean(comment, tags=set())).strip()[:LONGEST_COMMENT] if isinstance(comment, str) else ""


def claim_view(tool: Tool, who: LaunchSession, key: str) -> ClaimView:
    """Return what the claim page shows; raises NotFound where there is nothing of hers to claim."""
    now = datetime.now(UTC)
    with tool.db.read() as session:
        award = own_award(session, who, key, now)
        if award is None or not can_choose(award, now):
            raise NotFound(f"nothing to claim in {key}")
        award_id = award.id
    return claim_of(tool, award_id, key, now)


def claim_of(tool: Tool, award_id: str, key: str, now: datetime) -> ClaimView:
    """Return what the claim page of an award shows to whoever's it is; `key` is what its addresses are made of."""
    with tool.db.read() as session:
        award = session.get_one(Award, award_id)
        definition = badge_from_content(award.version.definition)
        edition = _edition(session, award)
        records = editions.decided(edition, definition) if edition is not None else {}
        return ClaimView(
            slug=key,
            badge=definition,
            award_id=award.id,
            claimed=award.claimed_at is not None,
            page_public=award.page_public,
            credential_url=_own_url(tool, session, award),
            rows=row_views(definition, records, stacks.described(session, award.version, tool.settings.base_url)),
            issuer=issuer_row(session).name,
            issued_at=award.issued_at,
            downloads=tuple((word, url) for word, _, url in downloads(tool, edition.id))
            if edition and award.page_public
            else (),
            choices=choices.chosen(award),
            note=(award.note or "") if award.note_told else "",
            name=award.earner.called.strip(),
            email=award.earner.email.strip(),
            offered=choices.offered(session, award, definition, tool.settings.base_url),
            seen=award.editions[-1].id if award.editions else "",
            closed=choices.is_closed(award, now),
            course=award.course.title,
            for_wallets=fits_a_wallet(tool, award, now),
        )


def own_award(session: Session, who: Viewer, key: str, now: datetime) -> Award | None:
    """Return the award that a learner's page of a badge shows, or the one of hers that `key` names; else None.

    Without a launch all pages go by the award itself; in a launch, those of an earlier award do."""
    if isinstance(who, Learner):
        return award_of(session, who, key)
    if (named := own_badges.issued_to(session, who.person_id, key)) is not None:
        return named
    return own_badges.standing(session, own_badges.find(session, who, key), who.person_id, now, "").award


def unclaimed(tool: Tool, who: LaunchSession, key: str) -> str:
    """Return the award of hers that waits to be claimed; raises NotFound where there is none."""
    now = datetime.now(UTC)
    with tool.db.read() as session:
        award = own_award(session, who, key, now)
        if award is None or award.claimed_at is not None or shown_status(award, now) != "issued":
            raise NotFound(f"nothing to claim in {key}")
        return award.id


def _edition(session: Session, award: Award) -> Edition | None:
    return session.scalar(
        select(Edition)
        .where(Edition.award_id == award.id, Edition.signed_at.is_not(None))
        .order_by(Edition.number.desc())
    )


def _own_url(tool: Tool, session: Session, award: Award | None) -> str:
    edition = _edition(session, award) if award is not None else None
    return credential_url(tool, edition.id) if edition is not None else ""


def badge_is_open(tool: Tool, who: LaunchSession, key: str) -> tuple[int, str]:
    """Return course and slug of a badge; raises NotFound unless it is hers to see: a draft does not exist."""
    with tool.db.read() as session:
        found = own_badges.find(session, who, key)
        return found.course_id, found.slug


# -- as nobody --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """The pages of a badge as somebody would see them who has just come into the course. Nothing of anybody is read."""

    home: StudentHome
    badge: StudentBadge
    claim: ClaimView
    drafted: bool  # it is not published: no learner sees it yet


def as_nobody(tool: Tool, who: LaunchSession, slug: str) -> Preview:
    """Return a learner's pages of a badge with nobody's data. It leaves no trace."""
    base = tool.settings.base_url
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        asked = catalog.get_badge(session, course.id, slug)
        definition = catalog.definition_of(asked)
        cards = [
            _blank(session, each, base) for each in course.badges if each.version is not None or each.id == asked.id
        ]
        sync = SyncState(None, running=False, failed="")
        issuer = issuer_row(session).name
        parts = catalog.asked_of(session, asked, definition, base)
        return Preview(
            home=StudentHome(
                title=course.title,
                label=course.label,
                first_name="",
                sync=sync,
                fresh=(),
                on_the_way=(),
                earned=(),
                over=(),
                available=tuple(cards),
                preview=True,
            ),
            badge=StudentBadge(
                slug=slug,
                badge=definition,
                card=_blank(session, asked, base),
                rows=row_views(definition, {}, parts),
                history=(),
                sync=sync,
                issuer=issuer,
                credential_url="",
                revoked="",
                lasts=lasts(definition.expires_after),
            ),
            claim=ClaimView(
                slug=slug,
                badge=definition,
                award_id="",
                claimed=False,
                page_public=False,
                credential_url="",
                rows=row_views(
                    definition,
                    evaluation.records_at_required(definition),
                    parts,
                ),
                issuer=issuer,
                issued_at=None,
                downloads=(),
                choices=choices.Choices(),
                course=course.title,
            ),
            drafted=asked.version is None,
        )


def _blank(session: Session, badge: CourseBadge, base: str) -> StudentCard:
    definition = catalog.definition_of(badge)
    return blank_card(badge, definition, catalog.asked_of(session, badge, definition, base))
