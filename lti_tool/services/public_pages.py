"""What anybody may see: credentials whose learner made them public, what badges stand for, who issues them."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import segno
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials import baking, ob3, status_list
from lti_tool.credentials.issuer_keys import Own
from lti_tool.credentials.verify import LASTING, Check, Report, verify
from lti_tool.domain.badge import badge_from_content
from lti_tool.errors import Busy, NotFound, ServiceUnreachable
from lti_tool.http import Response
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Award,
    Deployment,
    Edition,
    Issuer,
    Launch,
    StatusList,
)
from lti_tool.sentence import Sentence
from lti_tool.services.editions import achievement_of
from lti_tool.services.issuer import issuer_profile, issuer_row, logo_address
from lti_tool.services.launches import LOOK, opened_by, rights_of, switched_off
from lti_tool.services.pages import AchievementPage, CheckView, CredentialPage, IssuedBadge, IssuerPage, ReportPage
from lti_tool.services.rows import row_views
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, said

FORMS = ("json", "jwt", "png")
LARGEST_FETCH = 5 * 1024 * 1024
LONGEST_CHECK = 15.0  # seconds for all that one check asks other servers
# Checks that ask other servers at the same time, in this process: they hold a thread each, and the rest is for others.
ASKING_OUTSIDE = threading.BoundedSemaphore(2)
CHECKS_BUSY = Sentence("Other credentials are being checked at this moment.")
PAGE_CHECKS = (
    (Sentence("Signature"), "unchanged"),
    (Sentence("Status"), "withdrawn"),
    (Sentence("Expiry"), "dates"),
    (Sentence("Issuer"), "key"),
)
PASSED = {"unchanged": Sentence("Unchanged since it was signed"), "withdrawn": Sentence("In force, not withdrawn")}


# -- one credential ---------------------------------------------------------------------------------------------


def find_edition(
    tool: Tool, credential_id: str, browser_secret: str | None, now: datetime, form: str = "json", launch: str = ""
) -> Edition:
    """Return a signed edition this viewer may see, loaded for one form.

    `launch` is that of an address which carries its launch's token, for a browser that sends no cookie.
    One that is private and one that is not there are the same NotFound after the same queries (I24)."""
    query = (
        select(Award.page_public, Award.person_id, Award.course_id)
        .join(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
    )
    _check_text(credential_id)
    with tool.db.read() as session:
        found = session.execute(query).one_or_none()
        is_public, person_id, course_id = found if found is not None else (False, "", 0)
        if not is_public and not _may_look(tool, session, person_id, course_id, (launch, browser_secret), now):
            raise NotFound("no such credential, or not public")
        return _edition(session, credential_id, form)


def _edition(session: Session, credential_id: str, form: str) -> Edition:
    """Return a signed edition with what its page needs, and of its large columns those that a form is made of."""
    version = joinedload(Edition.award).joinedload(Award.version)
    large = {
        "json": (undefer(Edition.document),),
        "jwt": (undefer(Edition.jwt),),
        "png": (undefer(Edition.document), version.undefer(AchievementVersion.picture_png)),
    }
    query = (
        select(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
        .options(
            version.joinedload(AchievementVersion.achievement),
            joinedload(Edition.award).joinedload(Award.person),
            joinedload(Edition.award).joinedload(Award.course),
            *large[form],
        )
    )
    edition = session.scalar(query)
    if edition is None:
        raise NotFound("no such credential")
    return edition


def _check_text(*texts: str) -> None:
    """Raise NotFound for what nothing of ours is called, before a database is asked that takes no NUL."""
    if not all(text.isprintable() for text in texts):
        raise NotFound("a name with control characters")


def _may_look(
    tool: Tool, session: Session, person_id: str, course_id: int, proof: tuple[str, str | None], now: datetime
) -> bool:
    """Tell whether this browser has a launch open of the learner herself or of a teacher of that course.

    What was switched off since opens nothing, as in `find_session` (D13)."""
    if not any(proof):
        return False
    launches = session.scalars(
        select(Launch)
        .where(opened_by(*proof), Launch.expires_at > now)
        .options(joinedload(Launch.person), joinedload(Launch.deployment).joinedload(Deployment.registration))
    )
    setting = tool.settings.lti.teaching_assistants
    return any(
        launch.person.holder_id == person_id
        or (launch.course_id == course_id and LOOK in rights_of(launch.role, setting))
        for launch in launches
        if not switched_off(launch)
    )


def credential_page(tool: Tool, edition: Edition, now: datetime) -> CredentialPage:
    """Return the page of a credential, checked as a stranger would check it."""
    award, version = edition.award, edition.award.version
    badge = badge_from_content(version.definition)
    base = tool.settings.base_url
    report = _own_report(tool, edition.document or b"", now)
    state, sentence = _state(edition, now)
    achievement_url = ob3.achievement_address(base, version.achievement.slug, version.number)
    records = {row["tag"]: row for row in award.decision["rows"]}
    with tool.db.read() as session:
        issuer = issuer_row(session)
    url = credential_url(tool, edition.id)
    return CredentialPage(
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
        recipient="",
        course=award.course.title,
        rows=row_views(badge, records),
        needed=badge.needed,
        state=state,
        state_sentence=sentence,
        checks=_page_checks(report, edition, urlsplit(base).netloc),
        checked_at=now,
        downloads=downloads(tool, edition.id),
        qr_svg=qr_code(url),
        newer_url=_newer_url(tool, edition) if state == "superseded" else "",
    )


def _newer_url(tool: Tool, edition: Edition) -> str:
    """Return the address of the edition that replaced this one, empty where there is none in force."""
    query = select(Edition.id).where(Edition.award_id == edition.award_id, Edition.withdrawn_at.is_(None))
    with tool.db.read() as session:
        newer = session.scalar(query.where(Edition.signed_at.is_not(None)).order_by(Edition.number.desc()))
    return credential_url(tool, newer) if newer is not None else ""


def _own_report(tool: Tool, document: bytes, now: datetime) -> Report:
    """Check a credential of our own, asking once a process what stays the same for these bytes and keys."""
    keys = json.dumps(did_document(tool)).encode()
    known = _known(hashlib.sha256(document).digest(), hashlib.sha256(keys).digest())
    report = check(tool, document, now, known=known)
    lasting = {each.name: each for each in report.checks if each.name in LASTING}
    if all(each.outcome == "passed" for each in lasting.values()):
        known.update(lasting)
    return report


@functools.lru_cache(maxsize=2000)
def _known(_document: bytes, _keys: bytes) -> dict[str, Check]:
    """Return the place where the lasting answers about a document are kept, by its digest and the keys'."""
    return {}


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
            said(passed[name] if by_name[name].outcome == "passed" else by_name[name].sentence),
        )
        for name in [*titles, *others]
        if name in by_name
    )


def _state(edition: Edition, now: datetime) -> tuple[str, str]:
    award = edition.award
    if award.status == "revoked":
        when = award.revoked_at or now
        return "revoked", _(
            "The issuer took it back on %(day)s: %(reason)s",
            day=day(when),
            reason=award.revocation_reason,
        )
    if edition.withdrawn_at is not None:
        if award.status == "held":
            return "superseded", _("It is not in force at the moment.")
        return "superseded", _("It was replaced by a newer edition.")
    if edition.valid_until is not None and edition.valid_until <= now:
        return "expired", _("It ended on %(day)s.", day=day(edition.valid_until))
    return "in force", _("Until %(day)s", day=day(edition.valid_until)) if edition.valid_until else _(
        "Without an end date"
    )


def credential_url(tool: Tool, edition_id: str) -> str:
    return ob3.credential_address(tool.settings.base_url, edition_id)


def downloads(tool: Tool, edition_id: str) -> tuple[tuple[str, str, str], ...]:
    """Return the machine forms of a credential: word, small word, address."""
    url = credential_url(tool, edition_id)
    return (
        ("JSON", _("signed"), f"{url}.json"),
        ("JWT", "", f"{url}.jwt"),
        ("PNG", _("with credential inside"), f"{url}.png"),
    )


def form_of(edition: Edition, form: str) -> bytes:
    """Return a credential as signed JSON, as a compact JWT, or baked into its picture; the same bytes every time.

    The edition was loaded for this form."""
    content = edition.jwt if form == "jwt" else edition.document
    if content is None:
        raise NotFound("not signed yet")
    return baking.bake_png(edition.award.version.picture_png, content.decode()) if form == "png" else content


@functools.lru_cache(maxsize=512)
def qr_code(url: str) -> str:
    """Return the address as an inline SVG without style, as the content policy asks."""
    return str(segno.make(url, error="m").svg_inline(scale=4, border=0, omitsize=True, svgclass="qr", lineclass=None))


# -- what it stands for, who issues it --------------------------------------------------------------------------


def find_version(tool: Tool, slug: str, number: int, form: str = "") -> AchievementVersion:
    """Return a version of an achievement, with its picture where a form is one."""
    _check_text(slug)
    pictures = {"png": AchievementVersion.picture_png, "svg": AchievementVersion.picture_svg}
    query = (
        select(AchievementVersion)
        .join(Achievement)
        .where(Achievement.slug == slug, AchievementVersion.number == number)
        .options(joinedload(AchievementVersion.achievement))
    )
    if form in pictures:
        query = query.options(undefer(pictures[form]))
    with tool.db.read() as session:
        version = session.scalar(query)
    if version is None:
        raise NotFound(f"no achievement {slug} v{number}")
    return version


def achievement_json(tool: Tool, version: AchievementVersion) -> dict[str, Any]:
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
    return ob3.stand_alone(achievement_of(tool, version, profile))


def achievement_page(tool: Tool, version: AchievementVersion) -> AchievementPage:
    base, slug = tool.settings.base_url, version.achievement.slug
    with tool.db.read() as session:
        issuer = issuer_row(session)
        newest = session.scalar(
            select(func.max(AchievementVersion.number)).where(
                AchievementVersion.achievement_id == version.achievement_id
            )
        )
    address = ob3.achievement_address(base, slug, version.number)
    newer = newest is not None and newest > version.number
    return AchievementPage(
        badge=badge_from_content(version.definition),
        version=version.number,
        url=address,
        picture_url=f"{address}.png",
        issuer=issuer.name,
        issuer_url=f"{base}/issuers/{issuer.slug}",
        newest_url=ob3.achievement_address(base, slug, newest) if newer and newest else "",
        downloads=(("JSON", "", f"{address}.json"), ("PNG", "", f"{address}.png")),
    )


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
        downloads=(("JSON", _("Profile"), f"{address}.json"), ("DID", _("document"), f"{base}/.well-known/did.json")),
    )


def _issued_badge(base: str, version: AchievementVersion) -> IssuedBadge:
    address = ob3.achievement_address(base, version.achievement.slug, version.number)
    told = version.definition
    return IssuedBadge(told["name"], told.get("level", ""), told["description"], address, f"{address}.png")


def find_issuer(tool: Tool, slug: str) -> Issuer:
    _check_text(slug)
    with tool.db.read() as session:
        row = session.scalar(select(Issuer).where(Issuer.slug == slug))
    if row is None:
        raise NotFound(f"no issuer {slug}")
    return row


def issuer_logo(tool: Tool, slug: str) -> bytes:
    """Return the issuer's logo as PNG; raises NotFound where there is none."""
    _check_text(slug)
    with tool.db.read() as session:
        logo = session.scalar(select(Issuer.logo).where(Issuer.slug == slug, Issuer.logo_at.is_not(None)))
    if logo is None:
        raise NotFound(f"no logo of {slug}")
    return logo


def issuer_json(tool: Tool) -> dict[str, Any]:
    with tool.db.read() as session:
        return ob3.issuer_profile(issuer_profile(session, tool))


def did_document(tool: Tool) -> dict[str, Any]:
    """Return the issuer's DID document with every credential key there ever was."""
    keyring = tool.keyring
    with tool.db.read() as session:
        did = issuer_row(session).did
    return ob3.did_document(did, keyring.of("ed25519"), keyring.of("rsa"), tool.settings.base_url)


def status_list_json(tool: Tool, number: int, now: datetime) -> bytes:
    """Return a signed status list, made anew where something was revoked since, and at least once a day."""
    with tool.db.read() as session:
        row = session.get(StatusList, number)
        if row is None:
            raise NotFound(f"no status list {number}")
        revision = row.revision
        key = ("status", number, revision, tool.keyring.ed25519.kid)
        made_at, content = tool.status_lists.get(key, (None, b""))
        if made_at is not None and now - made_at < timedelta(days=1):
            return content
        withdrawn = list(
            session.scalars(
                select(Edition.status_index).where(Edition.status_list_id == number, Edition.withdrawn_at.is_not(None))
            )
        )
        profile = issuer_profile(session, tool)
    content = status_list.status_list_credential(
        number,
        withdrawn,
        issuer=profile,
        base_url=tool.settings.base_url,
        valid_from=now.replace(microsecond=0),
        ed25519=tool.keyring.ed25519,
    )
    for old in [each for each in tool.status_lists if each[1] == number]:
        tool.status_lists.pop(old, None)
    tool.status_lists[key] = (now, content)
    return content


# -- checking ---------------------------------------------------------------------------------------------------


def check(
    tool: Tool,
    data: bytes | str,
    now: datetime,
    *,
    everyone_sees: bool = False,
    known: Mapping[str, Check] = MappingProxyType({}),
) -> Report:
    """Check a credential of anybody's. Our own addresses are answered from here, others through the one door.

    `everyone_sees` lets an operator check an award whose page is private, by its address; `known`: see `verify`.
    Raises Busy where as many checks as may are asking other servers at this moment."""
    document = did_document(tool)
    own = Own(frozenset({document["id"]}), document, tool.settings.base_url)
    with ExitStack() as stack:
        outside = _Outside(tool, stack)

        def fetch(url: str) -> Response:
            return _fetch_here(tool, url, now, everyone_sees) if _is_ours(tool, url) else outside.get(url)

        return verify(data, now=now, fetch=fetch, own=own, known=known)


class _Outside:
    """The way to other servers for one check: it waits for nobody, and all its requests together have one deadline."""

    def __init__(self, tool: Tool, stack: ExitStack) -> None:
        self._http = copy.copy(tool.http)  # the same connections; the time that a request may take is this check's own
        self._stack = stack
        self._ends: float | None = None

    def get(self, url: str) -> Response:
        if self._ends is None:
            if not ASKING_OUTSIDE.acquire(blocking=False):
                raise Busy("checks are asking other servers", reason="checks_busy", sentence=CHECKS_BUSY)
            self._stack.callback(ASKING_OUTSIDE.release)
            self._ends = time.monotonic() + LONGEST_CHECK
        self._http.total_timeout = self._ends - time.monotonic()
        if self._http.total_timeout <= 0:
            raise ServiceUnreachable("no time is left for this check", reason="deadline")
        headers = {"Accept": "application/json, */*;q=0.5"}
        return self._http.get(url, headers=headers, max_bytes=LARGEST_FETCH, allow=range(400, 600), attempts=2)


def _is_ours(tool: Tool, url: str) -> bool:
    ours, theirs = urlsplit(tool.settings.base_url), urlsplit(url)
    # did:web of a base address with a port is https by its definition, whatever the port serves.
    return theirs.netloc == ours.netloc and theirs.scheme in (ours.scheme, "https")


def _fetch_here(tool: Tool, url: str, now: datetime, everyone_sees: bool) -> Response:
    path = urlsplit(url).path
    if path == "/.well-known/did.json":
        return _answer(url, json.dumps(did_document(tool)).encode())
    head, _, rest = path.strip("/").partition("/")
    if head == "status" and re.fullmatch("[0-9]{1,9}", rest):
        return _answer(url, status_list_json(tool, int(rest), now))
    if head == "keys" and (key := tool.keyring.credential_key(rest)) is not None:
        return _answer(url, json.dumps(key.public_jwk()).encode())
    if head == "credentials" and rest:
        credential_id, _, form = rest.partition(".")
        form = form or "json"
        if form in FORMS:
            if everyone_sees:
                _check_text(credential_id)
                with tool.db.read() as session:
                    edition = _edition(session, credential_id, form)
            else:
                edition = find_edition(tool, credential_id, None, now, form)
            return _answer(url, form_of(edition, form))
    raise NotFound("not an address of ours that holds a credential")


def _answer(url: str, body: bytes) -> Response:
    return Response(200, "OK", {}, body, url)


CONTENT_TYPES = {"json": "application/vc+ld+json", "jwt": "text/plain; charset=utf-8", "png": "image/png"}


def report_page(report: Report, source: str, now: datetime) -> ReportPage:
    summary = report.summary
    return ReportPage(
        verdict=said(report.verdict),
        ok=report.ok,
        checks=tuple(CheckView(c.name, c.outcome, said(c.question), said(c.sentence)) for c in report.checks),
        badge_name=summary.name if summary else "",
        issuer_name=summary.issuer_name if summary else "",
        source=source,
        checked_at=now,
        levels=tuple((level.name, level.reached) for level in summary.levels) if summary else (),
    )


def report_json(report: Report) -> dict[str, Any]:
    """Return a report as the command prints it."""
    summary = report.summary
    return {
        "ok": report.ok,
        "verdict": report.verdict,
        "explanation": report.explanation,
        "form": report.form,
        "credential": summary.id if summary else None,
        "badge": summary.name if summary else None,
        "issuer": summary.issuer_id if summary else None,
        "checks": [{"name": c.name, "outcome": c.outcome, "sentence": c.sentence} for c in report.checks],
    }
