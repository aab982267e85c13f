"""What a learner's pages show: her own standing only, and nothing her teacher has not released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.credentials.ob3 import achievement_address
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import Award, Course, CourseBadge, Edition, Enrolment, Mastery, Person
from lti_tool.services import (
    catalog,
    choices,
    editions,
    evaluation,
    expiry,
    history,
    outside_badges,
    stack_trees,
    stacks,
    versions,
)
from lti_tool.services.awards import can_choose, fits_a_wallet, newest_awards, shown_status, standing_rows
from lti_tool.services.forms import credential_url, downloads
from lti_tool.services.instructor_pages import sync_state
from lti_tool.services.issuer import issuer_row
from lti_tool.services.launches import LEARN, LaunchSession
from lti_tool.services.pages import ClaimView, RowView, StudentBadge, StudentCard, StudentHome, SyncState
from lti_tool.services.rows import amount, hide, met_of, missing_of, row_views
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, lasts


def home(tool: Tool, who: LaunchSession) -> StudentHome:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        published = [badge for badge in course.badges if badge.version is not None]
        base = tool.settings.base_url
        cards = [card_of(session, badge, who.person_id, now, base) for badge in published]
        cards = [card for card in cards if card.award_id or not card.retired]
        elsewhere = [(badge, badge.id) for badge in stack_trees.earned_elsewhere(session, who, now)]
        others = [replace(card_of(session, badge, who.person_id, now, base), slug=key) for badge, key in elsewhere]
        trees = stack_trees.trees(session, who, {card.slug: card for card in cards}, now)
        cards += [card for card in others if card.award_id]
        live = [card for card in cards if card.state == "earned"]
        return StudentHome(
            title=course.title,
            label=course.label,
            first_name=who.person_name.split(" ")[0] if who.person_name else "",
            sync=sync_state(session, course),
            fresh=tuple(card for card in live if not card.claimed),
            earned=tuple(card for card in live if card.claimed),
            over=tuple(card for card in cards if card.state in ("expired", "revoked")),
            on_the_way=tuple(card for card in cards if card.state in ("way", "waiting")),
            available=tuple(card for card in cards if card.state == "none"),
            preview=_only_looks(session, who),
            trees=trees,
        )


def _only_looks(session: Session, who: LaunchSession) -> bool:
    if LEARN not in who.rights or who.test_user:
        return True
    enrolment = session.get(Enrolment, (who.course_id, who.person_id))
    return enrolment is None or not enrolment.is_learner


def badge(tool: Tool, who: LaunchSession, slug: str) -> StudentBadge:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        found = _published(session, who, slug)
        base = tool.settings.base_url
        seen = _seen(session, found, who.person_id, now, base)
        definition, award = seen.definition, seen.award
        given_for, shown_version = history.note_of_version(session, found, award, who.person_id)
        return StudentBadge(
            slug=slug,
            badge=definition,
            card=card_of(session, found, who.person_id, now, base),
            rows=seen.rows,
            history=seen.history,
            sync=sync_state(session, found.course),
            issuer=issuer_row(session).name,
            credential_url=_own_url(tool, session, award),
            revoked=(award.revocation_reason or "") if award is not None and award.status == "revoked" else "",
            lasts=lasts(definition.expires_after),
            retired=found.status == "retired",
            given_for=given_for if seen.present else 0,
            shown_version=shown_version,
            tree=stack_trees.tree(session, who, found, now),
            outside=outside_badges.own(session, found, who.person_id),
            elsewhere=_label(found.course) if found.course_id != who.course_id else "",
            key=slug,
            given_url=achievement_address(tool.settings.base_url, award.version.achievement.slug, award.version.number)
            if award is not None and given_for
            else "",
        )


def claim_view(tool: Tool, who: LaunchSession, slug: str) -> ClaimView:
    """Return what the claim page shows; raises NotFound where there is nothing of hers to claim."""
    now = datetime.now(UTC)
    with tool.db.read() as session:
        found = _published(session, who, slug)
        award = _seen(session, found, who.person_id, now, tool.settings.base_url).award
        status = shown_status(award, now) if award is not None else ""
        # Of one that is over or was taken back, a page that was once opened may still be taken down.
        if award is None or not can_choose(award) or (status == "expired" and award.claimed_at is None):
            raise NotFound(f"nothing to claim in {slug}")
        award_id = award.id
    return claim_of(tool, award_id, slug, now)


def claim_of(tool: Tool, award_id: str, slug: str, now: datetime) -> ClaimView:
    """Return what the claim page of an award shows to whoever's it is; `slug` is what its addresses are made of."""
    with tool.db.read() as session:
        award = session.get_one(Award, award_id)
        definition = badge_from_content(award.version.definition)
        edition = _edition(session, award)
        records = editions.decided(edition, definition) if edition is not None else {}
        return ClaimView(
            slug=slug,
            badge=definition,
            award_id=award.id,
            claimed=award.claimed_at is not None,
            page_public=award.page_public,
            credential_url=_own_url(tool, session, award),
            rows=row_views(definition, records),
            issuer=issuer_row(session).name,
            issued_at=award.issued_at,
            downloads=tuple((word, url) for word, _, url in downloads(tool, edition.id))
            if edition and award.page_public
            else (),
            choices=choices.chosen(award),
            note=(award.note or "") if award.note_told else "",
            name=award.earner.name.strip(),
            email=award.earner.email.strip(),
            offered=choices.offered(session, award, definition),
            seen=award.editions[-1].id if award.editions else "",
            closed=choices.is_closed(award, now),
            course=award.course.title,
            for_wallets=fits_a_wallet(tool, award, now),
        )


def own_award(session: Session, who: LaunchSession, slug: str, now: datetime) -> Award | None:
    """Return the award that a learner's page of a badge shows, None where there is none."""
    return _seen(session, _published(session, who, slug), who.person_id, now, "").award


def _published(session: Session, who: LaunchSession, slug: str) -> CourseBadge:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    query = select(CourseBadge).where(CourseBadge.course_id == who.course_id, CourseBadge.slug == slug)
    # A stack of another course, made of badges of this one, goes by its id: its slug may be another badge's here.
    found = session.scalar(query) or stack_trees.of_another_course(session, who, slug)
    if found is None or found.version is None:
        raise NotFound(f"badge {slug} is not published")
    return found


def _label(course: Course) -> str:
    return course.label or course.title or _("another course")


def _edition(session: Session, award: Award) -> Edition | None:
    return session.scalar(
        select(Edition)
        .where(Edition.award_id == award.id, Edition.signed_at.is_not(None))
        .order_by(Edition.number.desc())
    )


def _own_url(tool: Tool, session: Session, award: Award | None) -> str:
    edition = _edition(session, award) if award is not None else None
    return credential_url(tool, edition.id) if edition is not None else ""


@dataclass(frozen=True)
class _Seen:
    """What a learner may see of a badge now; `definition` is what the rows are of."""

    definition: Badge
    award: Award | None
    rows: tuple[RowView, ...]
    history: tuple[str, ...] = ()
    present: bool = True  # the rows are those she is judged by now; False: those an award was given for


def _seen(session: Session, badge: CourseBadge, person_id: str, now: datetime, base: str) -> _Seen:
    """Return a learner's award and levels, as far as the badge's release lets her see them.

    Held back, present levels are not even hinted at; an award issued here before shows what it was given for."""
    definition = versions.definitions(session, badge).get(person_id) or catalog.definition_of(badge)
    holder_id = session.get_one(Person, person_id).holder_id
    parts = stacks.parts_of(session, badge, definition, base)
    if catalog.released(badge, now):
        award = newest_awards(session, badge, holder_id).get(holder_id)
        stored = standing_rows(session, badge.id, person_id)
        # What the LMS does not show her yet, she does not learn here: neither a level nor that an award waits for it.
        hidden = {tag for tag, row in stored.items() if row.record.get("released") is False}
        rows = row_views(definition, {tag: row.record for tag, row in stored.items()}, parts)
        if award is not None and hidden and award.status in ("pending", "review", "held"):
            award = None
        history = _history(tuple(row for row in rows if row.tag not in hidden), stored)
        return _Seen(definition, award, tuple(hide(row) if row.tag in hidden else row for row in rows), history)
    award = newest_awards(session, badge, holder_id, issued_here=True).get(holder_id)
    if award is None:
        return _Seen(definition, None, tuple(hide(row) for row in row_views(definition, {}, parts)))
    given_for = badge_from_content(award.version.definition)
    rows = row_views(given_for, {row["tag"]: row for row in award.decision["rows"]}, parts)
    return _Seen(given_for, award, rows, present=False)


def _history(rows: tuple[RowView, ...], stored: Mapping[str, Mastery]) -> tuple[str, ...]:
    history = []
    for row in rows:
        mastery = stored.get(row.tag)
        for each in mastery.before if mastery else []:
            if each.get("released") is False:
                continue  # the LMS had not shown it to her then
            level = each["reached"] or (_("no result") if each["state"] == "ungraded" else _("no level"))
            history.append((each["until"], f"{row.name}: {level}"))
    return tuple(
        _("Until %(until)s: %(what)s", until=day(datetime.fromisoformat(until)), what=what)
        for until, what in sorted(history, reverse=True)
    )


def card_of(session: Session, badge: CourseBadge, person_id: str, now: datetime, base: str) -> StudentCard:
    """Return a badge as its learner sees it in the list."""
    seen = _seen(session, badge, person_id, now, base)
    definition = seen.definition
    rows, award, of = seen.rows, seen.award, seen.definition.needed
    met = met_of(definition, rows)
    state = _state(rows, award, now)
    return StudentCard(
        slug=badge.slug,
        name=definition.name,
        level=definition.level,
        state=state,
        met=min(met, of),
        of=of,
        sentence=_sentence(state, definition, rows, award),
        rows=rows,
        award_id=award.id if award else "",
        earned_at=award.earned_at if award else None,
        claimed=award is not None and award.claimed_at is not None,
        page_public=award is not None and award.page_public,
        next_step=_next_step(rows) if state == "way" and badge.status != "retired" else "",
        retired=badge.status == "retired",
        ends=expiry.told(award.expires_at, now) if award is not None and state == "earned" else "",
    )


def _state(rows: tuple[RowView, ...], award: Award | None, now: datetime) -> str:
    if award is not None:
        words = {"issued": "earned", "expired": "expired", "revoked": "revoked"}
        return words.get(shown_status(award, now), "waiting")
    return "way" if any(row.state not in ("ungraded", "hidden") for row in rows) else "none"


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
    parts = ", ".join(row.lacking for row in missing_of(badge, rows))
    if all(row.state == "ungraded" for row in rows):
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
            "Nothing is marked yet. It takes one sub-competency.",
            "Nothing is marked yet. It takes %(num)s sub-competencies.",
            of,
        )
    if badge.counts_credits:
        return _("You have %(met)s of %(all)s credits. Missing: %(rows)s.", met=met, all=of, rows=parts)
    return _("You have %(met)s of %(all)s. Missing: %(rows)s.", met=met, all=of, rows=parts)


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


def badge_is_open(tool: Tool, who: LaunchSession, slug: str) -> tuple[int, str]:
    """Return course and slug of a badge; raises NotFound unless learners may know of it: a draft does not exist."""
    with tool.db.read() as session:
        found = _published(session, who, slug)
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
            _blank_card(session, each, base)
            for each in course.badges
            if each.version is not None or each.id == asked.id
        ]
        sync = SyncState(None, running=False, failed="")
        issuer = issuer_row(session).name
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
                card=_blank_card(session, asked, base),
                rows=row_views(definition, {}, stacks.parts_of(session, asked, definition, base)),
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
                    stacks.parts_of(session, asked, definition, base),
                ),
                issuer=issuer,
                issued_at=None,
                downloads=(),
                choices=choices.Choices(),
                course=course.title,
            ),
            drafted=asked.version is None,
        )


def _blank_card(session: Session, badge: CourseBadge, base: str) -> StudentCard:
    definition = catalog.definition_of(badge)
    rows = row_views(definition, {}, stacks.parts_of(session, badge, definition, base))
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
