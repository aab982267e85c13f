"""What a learner can do with a badge that she has claimed: where it can be shown, by what, and who then sees what."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import segno
from flask_babel import gettext as _
from markupsafe import escape
from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import Award, Edition, Endorsement
from lti_tool.services import choices, counting, share_links, student_pages
from lti_tool.services.awards import can_choose, fits_a_wallet, shown_status
from lti_tool.services.forms import credential_url, downloads, qr_code
from lti_tool.services.issuer import issuer_row
from lti_tool.services.own_access import Viewer
from lti_tool.services.tool import Tool
from lti_tool.services.words import month

LINKEDIN = "https://www.linkedin.com/profile/add"


@dataclass(frozen=True)
class ShowPage:
    """A claimed badge and the ways to show it. What needs the public page is empty while there is none."""

    slug: str
    badge: Badge
    award_id: str
    page_public: bool
    searchable: bool
    in_force: bool
    state: str  # of the award, as pages show it
    url: str
    qr_svg: str
    issuer: str
    named: bool  # her name is in the credential
    parts: tuple[str, ...]  # what a link can show or leave out
    part_words: dict[str, Any]
    links: tuple[share_links.ShareLinkView, ...]
    lasts: tuple[int, ...]
    most_open: int
    views: int
    downloads: tuple[tuple[str, str, str], ...]
    linkedin: tuple[tuple[str, str], ...]  # what LinkedIn is told, in the words of its form
    resume: str
    embed_badge: str
    embed_card: str
    for_wallets: bool


def own_claimed(session: Session, who: Viewer, slug: str, now: datetime) -> Award:
    """Return a learner's award that she has claimed; raises NotFound for any other."""
    award = student_pages.own_award(session, who, slug, now)
    if award is None or award.claimed_at is None or not can_choose(award, now):
        raise NotFound(f"nothing to show of {slug}")
    return award


def own_award_id(tool: Tool, who: Viewer, slug: str, now: datetime) -> str:
    with tool.db.read() as session:
        return own_claimed(session, who, slug, now).id


def page(tool: Tool, who: Viewer, slug: str, now: datetime) -> ShowPage:
    """Return how a learner can show a badge of hers; raises NotFound for one that she has not claimed."""
    with tool.db.read() as session:
        award = own_claimed(session, who, slug, now)
        edition = _newest(session, award)
        badge = badge_from_content(award.version.definition)
        issuer = issuer_row(session)
        url = credential_url(tool, edition.id)
        public = award.page_public
        status = shown_status(award, now)
        endorsed = session.scalar(
            select(Endorsement.id).where(Endorsement.award_id == award.id, Endorsement.withdrawn_at.is_(None)).limit(1)
        )
        parts = share_links.parts_in(edition, endorsed=endorsed is not None)
        links = share_links.listed(tool, session, award.id, parts, now)
        named = bool(edition.choices.get("name"))
        alt = embed_words(badge, issuer.name, edition.choices.get("name", ""))
        return ShowPage(
            slug=slug,
            badge=badge,
            award_id=award.id,
            page_public=public,
            searchable=award.searchable,
            in_force=status == "issued",
            state=status,
            url=url if public else "",
            qr_svg=qr_code(url) if public else "",
            issuer=issuer.name,
            named=named,
            parts=parts,
            part_words=dict(share_links.PART_WORDS),
            links=tuple(links),
            lasts=share_links.LASTS,
            most_open=share_links.MOST_OPEN,
            views=counting.views_of(session, award.id),
            downloads=downloads(tool, edition.id),
            linkedin=linkedin_words(linkedin_told(badge, edition, issuer.name, issuer.linkedin, url if public else "")),
            resume=resume_line(badge, edition, issuer.name, url if public else ""),
            embed_badge=embed(url, f"{url}.png", alt, 150, 150) if public else "",
            embed_card=embed(url, f"{url}/preview.png", alt, 600, 315) if public else "",
            for_wallets=fits_a_wallet(tool, award, now),
        )


def _newest(session: Session, award: Award) -> Edition:
    query = select(Edition).where(Edition.award_id == award.id, Edition.signed_at.is_not(None), Edition.number > 0)
    edition = session.scalar(query.order_by(Edition.number.desc()).limit(1))
    if edition is None:
        raise NotFound("its credential is not signed yet")
    return edition


def turn_page(tool: Tool, who: Viewer, slug: str, *, public: bool, actor: str, now: datetime) -> None:
    """Turn the public page of a learner's badge on or off, and change nothing else."""
    with tool.db.read() as session:
        award = own_claimed(session, who, slug, now)
        award_id, told = award.id, choices.chosen(award)
    choices.choose(tool, award_id, choices.with_page(told, public=public), actor=actor, now=now)


def shared(tool: Tool, award_id: str, where: str, now: datetime) -> None:
    """Count that a learner passes an award on."""
    with tool.db.write() as session:
        counting.count(session, counting.SHARED, session.get_one(Award, award_id), now, where=where)


def qr_file(url: str) -> bytes:
    """Return an address as a QR code in a drawing of its own, with the quiet margin that readers need."""
    file = io.BytesIO()
    segno.make(url, error="m").save(file, kind="svg", scale=8, border=4, light="#fff", svgclass=None, lineclass=None)
    return file.getvalue()


# -- LinkedIn ---------------------------------------------------------------------------------------------------


def linkedin_address(tool: Tool, who: Viewer, slug: str, now: datetime) -> str:
    """Return the address at which LinkedIn adds a badge to its reader's profile, and count that it is passed on.

    It names a public page: raises NotFound while there is none."""
    with tool.db.read() as session:
        award = own_claimed(session, who, slug, now)
        if not award.page_public or shown_status(award, now) != "issued":
            raise NotFound("no public page for LinkedIn to name")
        edition, issuer = _newest(session, award), issuer_row(session)
        badge = badge_from_content(award.version.definition)
        told = linkedin_told(badge, edition, issuer.name, issuer.linkedin, credential_url(tool, edition.id))
        award_id = award.id
    shared(tool, award_id, "linkedin", now)
    return f"{LINKEDIN}?{urlencode(told, quote_via=quote, safe='')}"


def linkedin_told(badge: Badge, edition: Edition, issuer: str, number: str, url: str) -> dict[str, str]:
    """Return what LinkedIn's form of a certification is filled with.

    The organisation by its number where the issuer has one, so that LinkedIn shows its page; else by name. Months
    count from 1. https://addtoprofile.linkedin.com; LinkedIn may leave a field for its reader to fill in herself
    (https://www.linkedin.com/help/linkedin/answer/a528030), so the page shows them too."""
    begins = edition.valid_from.astimezone(UTC)
    told = {"startTask": "CERTIFICATION_NAME", "name": badge.name}
    told |= {"organizationId": number} if number else {"organizationName": issuer}
    told |= {"issueYear": str(begins.year), "issueMonth": str(begins.month)}
    if edition.valid_until is not None:
        ends = edition.valid_until.astimezone(UTC)
        told |= {"expirationYear": str(ends.year), "expirationMonth": str(ends.month)}
    if url:
        told |= {"certUrl": url}
    return {**told, "certId": edition.id}


def linkedin_words(told: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the same for who fills the form in by hand."""
    words = {
        "name": _("Name"),
        "organizationName": _("Issuing organisation"),
        "certId": _("Credential ID"),
        "certUrl": _("Credential URL"),
    }
    return tuple((word, told[key]) for key, word in words.items() if key in told)


# -- for other places -------------------------------------------------------------------------------------------


def embed_words(badge: Badge, issuer: str, holder: str) -> str:
    if holder:
        return _("Badge “%(badge)s”, awarded to %(name)s by %(issuer)s", badge=badge.name, name=holder, issuer=issuer)
    return _("Badge “%(badge)s”, awarded by %(issuer)s", badge=badge.name, issuer=issuer)


def embed(url: str, picture: str, alt: str, width: int, height: int) -> str:
    """Return HTML for another site: a picture that is a link, with no script and from nowhere but here."""
    return (
        f'<a href="{escape(url)}"><img src="{escape(picture)}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}"></a>'
    )


def resume_line(badge: Badge, edition: Edition, issuer: str, url: str) -> str:
    """Return a line for a résumé, in plain text."""
    name = f"{badge.name} ({badge.level})" if badge.level else badge.name
    line = ", ".join(part for part in (name, issuer, month(edition.valid_from)) if part)
    return f"{line}. {url}" if url else f"{line}."
