"""What anybody may see: credentials whose learner made them public, what badges stand for, who issues them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ctdl, ob2, ob3
from lti_tool.credentials.verify import Report
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import AchievementVersion, Edition, Issuer
from lti_tool.sentence import Sentence
from lti_tool.services import (
    endorsements,
    evidence_files,
    expiry,
    file_types,
    schema_org,
    share_links,
    stacks,
    still_shown,
)
from lti_tool.services.certificates import drawing_of
from lti_tool.services.checking import own_report
from lti_tool.services.credential_state import state_of
from lti_tool.services.editions import achievement_of, decided
from lti_tool.services.evidence_files import size_words
from lti_tool.services.forms import alternates, check_text, credential_url, downloads, qr_code
from lti_tool.services.issuer import ADDRESS, issuer_profile, issuer_row, issuer_told, logo_address
from lti_tool.services.pages.public import (
    AchievementPage,
    CheckView,
    CredentialPage,
    IssuedBadge,
    IssuerPage,
    ShownEvidence,
)
from lti_tool.services.pages.rows import RowView
from lti_tool.services.published import find_issuer
from lti_tool.services.rows import row_views
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, said

MARKED = frozenset({"rubric", "canvas-rubric", "moodle-rubric"})  # rows that are judged with a rubric
PAGE_CHECKS = (
    (Sentence("Signature"), "unchanged"),
    (Sentence("Status"), "withdrawn"),
    (Sentence("Expiry"), "dates"),
    (Sentence("Issuer"), "key"),
)
FAILED = {"withdrawn": Sentence("Withdrawn by the issuer")}  # other answers do without their question
PASSED = {"unchanged": Sentence("Unchanged since it was signed"), "withdrawn": Sentence("In force, not withdrawn")}


# -- one credential ---------------------------------------------------------------------------------------------


def credential_page(tool: Tool, edition: Edition, now: datetime, shared: SharedAs | None = None) -> CredentialPage:
    """Return the page of a credential, checked as a stranger would check it.

    `shared`: as a link of its learner's shows it, with nothing on it that leads to the whole of it."""
    if shared is None:
        return _whole_page(tool, edition, now, levels=True)
    page = _whole_page(tool, edition, now, levels="levels" in shared.shows)
    return _shared_page(page, shared, share_links.parts_in(edition, endorsed=_endorsed(page)))


def _endorsed(page: CredentialPage) -> bool:
    return any(each.kind == "award" for each in page.endorsements)


def _whole_page(tool: Tool, edition: Edition, now: datetime, *, levels: bool) -> CredentialPage:
    award, version = edition.award, edition.award.version
    badge = badge_from_content(version.definition)
    base = tool.settings.base_url
    report = own_report(tool, edition.document or b"", now)
    state, sentence = _state(edition, now)
    achievement_url = ob3.achievement_address(base, version.achievement.slug, version.number)
    still = still_shown.of_edition(tool, edition)
    choices = still.choices
    shows_levels = choices.get("results", True) and levels
    issuer = issuer_told(tool)
    with tool.db.read() as session:
        parts = stacks.described(session, version, base)
        endorsed = endorsements.in_force(tool, session, award_id=award.id, version_id=version.id)
    rows = row_views(badge, decided(edition, badge) if shows_levels else {}, parts)
    if shows_levels:
        rows = _parts_that_counted(rows, decided(edition, badge), base)
    shows_grades = bool(choices.get("grades")) and shows_levels
    if not shows_grades:
        rows = _without_grades(rows)
    url = credential_url(tool, edition.id)
    page = CredentialPage(
        credential_id=edition.id,
        url=url,
        badge=badge,
        version=version.number,
        achievement_url=achievement_url,
        picture_url=f"{achievement_url}.png",
        issuer=issuer.name,
        issuer_url=f"{base}/issuers/{issuer.slug}",
        issued_at=edition.valid_from,
        expires_at=edition.valid_until,
        recipient=choices.get("name", ""),
        shows_levels=shows_levels,
        evidence=shown_evidence(tool, choices),
        narrative=choices.get("narrative", ""),
        course=choices.get("course") or award.course.title,
        term=choices.get("term", ""),
        endorsements=endorsed,
        rows=rows,
        needed=badge.needed,
        state=state,
        state_sentence=sentence,
        checks=_page_checks(report, edition, urlsplit(base).netloc),
        checked_at=now,
        downloads=downloads(tool, edition.id) if still.whole else (),
        qr_svg=qr_code(url),
        newer_url=_newer_url(tool, edition),
        shows_grades=shows_grades,
        judged=judged_by(badge, award.given),
        note=(award.note or "") if award.note_told else "",
        preview_url=f"{url}/preview.png",
        alternates=alternates(tool, edition.id) if still.whole else (),
        searchable=award.searchable and award.page_public and state == "in force",
    )
    return replace(page, structured=schema_org.of_credential(page))


def _without_grades(rows: Sequence[RowView]) -> tuple[RowView, ...]:
    """Return the rows without what was graded: a condition's grade is hers to show, and so are a level's points."""
    return tuple(replace(row, points="") if row.counts else replace(row, points="", reached="") for row in rows)


def judged_by(badge: Badge, given: str = "grades") -> tuple[str, ...]:
    """Say who judges a badge, and how; `given` as of an award that is at hand."""
    if given != "grades":
        return (_("It was given by a teacher of the course, by hand, who vouches for what it stands for."),)
    confirmed = (_("A teacher confirms each award before it is issued."),) if badge.award == "review" else ()
    if badge.stack is not None:
        return (_("Each of its badges is judged in a course of its own; this one follows from them."), *confirmed)
    sources = {row.source for row in badge.sub_competencies}
    if not sources:
        how = _("The teachers of the course, by the grades they gave.")
    elif sources & MARKED and sources - MARKED:
        how = _("The teachers of the course: some rows with the rubric, others by grades that count as a level.")
    elif sources & MARKED:
        how = _("The teachers of the course, row by row, with the rubric.")
    else:
        how = _("The teachers of the course. They grade each row, and the grade counts as the level it reaches.")
    return (how, *confirmed)


# -- as one of its learner's links shows it -------------------------------------------------------------------------


@dataclass(frozen=True)
class SharedAs:
    """How a link shows a credential: at which address, which parts of it, until when."""

    url: str
    shows: frozenset[str]
    until: datetime


def shared_as(tool: Tool, token: str, found: share_links.Shared) -> SharedAs:
    return SharedAs(share_links.address(tool, token), found.shows, found.expires_at)


def _shared_page(page: CredentialPage, shared: SharedAs, has: Sequence[str]) -> CredentialPage:
    """Return a credential's page with parts left out, and with no address of the credential or of another of hers."""
    shows = shared.shows
    grades = page.shows_grades and "grades" in shows
    rows = tuple(replace(row, proof="") for row in page.rows)
    if not grades:
        rows = _without_grades(rows)
    endorsed = tuple(
        replace(each, url="") if each.kind == "award" else each
        for each in page.endorsements
        if each.kind != "award" or "endorsements" in shows
    )
    return replace(
        page,
        credential_id="",
        url=shared.url,
        recipient=page.recipient if "name" in shows else "",
        rows=rows,
        shows_grades=grades,
        narrative=page.narrative if "narrative" in shows else "",
        evidence=tuple(_by_link(each, shared, n) for n, each in enumerate(page.evidence))
        if "evidence" in shows
        else (),
        note=page.note if "evidence" in shows else "",
        course=page.course if "course" in shows else "",
        term=page.term if "course" in shows else "",
        endorsements=endorsed,
        downloads=(),
        alternates=(),
        qr_svg=qr_code(shared.url),
        newer_url="",
        preview_url=f"{shared.url}/preview.png",
        structured=None,
        searchable=False,
        shared_until=shared.until,
        left_out=tuple(part for part in has if part not in shows),
    )


def _by_link(shown: ShownEvidence, shared: SharedAs, number: int) -> ShownEvidence:
    """Return a piece of evidence whose file, where it has one, is fetched by the same link and ends with it."""
    return replace(shown, url=f"{shared.url}/evidence/{number}") if shown.file else shown


def shown_evidence(tool: Tool, choices: Mapping[str, Any]) -> tuple[ShownEvidence, ...]:
    """Return the evidence that choices show. A file that is not kept any more is named, and leads nowhere."""
    chosen = choices.get("evidence", ())
    with tool.db.read() as session:
        there = evidence_files.there(session, [each["id"] for each in chosen if "file" in each])
    found = []
    for each in chosen:
        told = ShownEvidence(each["name"], each.get("url", ""), each.get("narrative", ""), each.get("genre", ""))
        if (file := each.get("file")) is not None:
            kind = file_types.TYPES.get(file["type"])
            about = ", ".join(said(part) for part in (kind.words if kind else "", size_words(file["size"])) if part)
            told = replace(told, file=file["name"], about=about, gone=each["id"] not in there)
        found.append(told)
    return tuple(found)


def _parts_that_counted(
    rows: Sequence[RowView], records: Mapping[str, Mapping[str, Any]], base: str
) -> tuple[RowView, ...]:
    """Return the rows without the parts of a stack that did not count, and the others with their public credentials.

    Which other badges somebody has earned, and lost, is nobody else's business."""
    named = {
        tag: ob3.credential_address(base, row["credential"]) for tag, row in records.items() if "credential" in row
    }
    shown = [row for row in rows if not row.part or row.state == "met"]
    return tuple(replace(row, proof=named.get(row.tag, "")) for row in shown)


def _newer_url(tool: Tool, edition: Edition) -> str:
    """Return the address of the edition that replaced or renewed this one, empty where there is none in force."""
    if edition.award.status == "revoked":
        return ""
    with tool.db.read() as session:
        newest = expiry.newest(session, edition.award_id)
    return credential_url(tool, newest.id) if newest is not None and newest.number > max(0, edition.number) else ""


def _page_checks(report: Report, edition: Edition, host: str) -> tuple[CheckView, ...]:
    """Return the four checks a reader asks for first, and any other that did not pass."""
    until = _("Until %(day)s", day=day(edition.valid_until)) if edition.valid_until else _("Without an end date")
    passed = {**PASSED, "dates": until, "key": _("%(host)s holds this key", host=host)}
    titles = {name: title for title, name in PAGE_CHECKS}
    by_name = {each.name: each for each in report.checks}
    others = [each.name for each in report.checks if each.name not in titles and each.outcome != "passed"]
    return tuple(
        CheckView(
            said(titles.get(name, by_name[name].question)),
            by_name[name].outcome,
            said(by_name[name].question),
            said({"passed": passed, "failed": FAILED}.get(by_name[name].outcome, {}).get(name, by_name[name].sentence)),
        )
        for name in [*titles, *others]
        if name in by_name
    )


def _state(edition: Edition, now: datetime) -> tuple[str, str]:
    """Return what has become of a credential as its page says it: a word that the page knows, and a sentence."""
    state = state_of(edition, now)
    until = day(edition.valid_until) if edition.valid_until else ""
    if state.word == "revoked":
        when = day(state.at or now)
        return "revoked", _("The issuer took it back on %(day)s: %(reason)s", day=when, reason=state.reason)
    if state.word == "held":
        return "superseded", _("It is not in force at the moment.")
    if state.word == "replaced":
        return "superseded", _("It was replaced by a newer edition.")
    if state.word == "expired":
        return "expired", _("It ended on %(day)s.", day=until)
    return "in force", _("Until %(day)s", day=until) if until else _("Without an end date")


# -- what it stands for, who issues it --------------------------------------------------------------------------


def drawing(tool: Tool, version: AchievementVersion) -> str:
    """Return a version's picture as SVG."""
    with tool.db.read() as session:
        return drawing_of(session, version.id)


def achievement_json(tool: Tool, version: AchievementVersion) -> dict[str, Any]:
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
    return ob3.stand_alone(achievement_of(tool, version, profile))


def achievement_ctdl(tool: Tool, version: AchievementVersion) -> dict[str, Any]:
    """Return a version in CTDL, for catalogues of credentials."""
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
        newest = _newest(session, version)
    which = ctdl.Published(version.achievement.slug, version.number, version.published_at, newest)
    badge = badge_from_content(version.definition)
    return ctdl.credential(badge, which, base_url=tool.settings.base_url, issuer=profile)


def _newest(session: Session, version: AchievementVersion) -> int:
    query = select(func.max(AchievementVersion.number)).where(
        AchievementVersion.achievement_id == version.achievement_id
    )
    return session.scalar(query) or version.number


def achievement_page(tool: Tool, version: AchievementVersion) -> AchievementPage:
    base, slug = tool.settings.base_url, version.achievement.slug
    with tool.db.read() as session:
        issuer = issuer_row(session)
        newest = _newest(session, version)
        endorsed = endorsements.in_force(tool, session, version_id=version.id)
        parts = stacks.described(session, version, base)
    address = ob3.achievement_address(base, slug, version.number)
    before = range(version.number - 1, max(0, version.number - 1 - ob3.MOST_EARLIER), -1)
    newer = newest > version.number
    badge = badge_from_content(version.definition)
    page = AchievementPage(
        badge=badge,
        version=version.number,
        url=address,
        picture_url=f"{address}.png",
        issuer=issuer.name,
        issuer_url=f"{base}/issuers/{issuer.slug}",
        newest_url=ob3.achievement_address(base, slug, newest) if newer else "",
        parts=tuple(parts.values()),
        downloads=(
            ("JSON", "", f"{address}.json"),
            ("CTDL", _("for catalogues"), f"{address}.ctdl.json"),
            ("PNG", "", f"{address}.png"),
            ("SVG", "", f"{address}.svg"),
            ("Open Badges 2.0", "", ob2.badge_address(base, slug, version.number)),
        ),
        endorsements=endorsed,
        earlier=tuple((number, ob3.achievement_address(base, slug, number)) for number in before),
        preview_url=f"{address}/preview.png",
        alternates=(
            ("application/vc+ld+json", f"{address}.json"),
            ("application/ld+json", f"{address}.ctdl.json"),
            ("image/png", f"{address}.png"),
            ("image/svg+xml", f"{address}.svg"),
        ),
        judged=judged_by(badge),
    )
    return replace(page, structured=schema_org.of_achievement(page))


def issuer_page(tool: Tool, slug: str) -> IssuerPage:
    row = find_issuer(tool, slug)
    base = tool.settings.base_url
    newest = select(func.max(AchievementVersion.id)).group_by(AchievementVersion.achievement_id)
    query = (
        select(AchievementVersion)
        .where(AchievementVersion.id.in_(newest))
        .options(joinedload(AchievementVersion.achievement))
        .order_by(AchievementVersion.id)
    )
    with tool.db.read() as session:
        versions = list(session.scalars(query))
        endorsed = endorsements.in_force(tool, session, issuer=True)
    address = f"{base}/issuers/{row.slug}"
    return IssuerPage(
        name=row.name or _("Issuer"),
        address=address,
        url=row.url,
        description=row.description,
        email=row.email,
        did=row.did,
        badges=tuple(_issued_badge(base, version) for version in versions),
        logo_url=logo_address(tool, row) or "",
        parent_name=row.parent_name,
        parent_url=row.parent_url,
        phone=row.phone,
        address_lines=tuple(text for name in ADDRESS if (text := row.address.get(name, ""))),
        terms_url=row.terms_url,
        endorsements=endorsed,
        downloads=(
            ("JSON", _("Profile"), f"{address}.json"),
            ("DID", _("document"), f"{base}/.well-known/did.json"),
            ("Open Badges 2.0", "", ob2.issuer_address(base, row.slug)),
        ),
    )


def _issued_badge(base: str, version: AchievementVersion) -> IssuedBadge:
    address = ob3.achievement_address(base, version.achievement.slug, version.number)
    told = version.definition
    return IssuedBadge(told["name"], told.get("level", ""), told["description"], address, f"{address}.png")


def issuer_logo(tool: Tool, slug: str) -> bytes:
    """Return the issuer's logo as PNG; raises NotFound where there is none."""
    check_text(slug)
    with tool.db.read() as session:
        logo = session.scalar(select(Issuer.logo).where(Issuer.slug == slug, Issuer.logo_at.is_not(None)))
    if logo is None:
        raise NotFound(f"no logo of {slug}")
    return logo


def issuer_json(tool: Tool) -> dict[str, Any]:
    with tool.db.read() as session:
        return ob3.issuer_profile(issuer_profile(session, tool))


# -- checking ---------------------------------------------------------------------------------------------------
