"""Awards: given once, signed, confirmed, claimed, revoked. An award's row holds all that its signature needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ob3, status_list
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.signing import Signed
from lti_tool.db import random_id
from lti_tool.domain.badge import PREREQUISITE, Badge, badge_from_content, months_and_days
from lti_tool.errors import BadInput, Conflict, CredentialHeldBack, NotFound
from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, Edition, Mastery, Review, StatusList
from lti_tool.services import audit, catalog, prerequisites
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.tool import Tool, log

BATCH = 250  # editions signed between two transactions
FULLEST = status_list.ENTRIES // 2  # entries used before a list is closed: a fuller one makes random indexes rare


def scope_of(badge: Badge, course_id: int) -> str:
    return "installation" if badge.once == "person" else f"course:{course_id}"


def decision_record(badge: Badge, version: int, rows: dict[str, dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Return what an award freezes: each row's source, score, maximum, level and when, and the rule's version."""
    tags = [row.tag for row in badge.sub_competencies] + [gate.tag for gate in badge.gates]
    tags += [PREREQUISITE + slug for slug in badge.prerequisites]
    return {
        "version": version,
        "rule": badge.rule,
        "decided_at": now.isoformat(),
        "rows": [rows[tag] for tag in tags if tag in rows],
    }


# -- giving -----------------------------------------------------------------------------------------------------


def give(session: Session, wanted: Sequence[dict[str, Any]], now: datetime) -> int:
    """Write awards, and an edition for each that is to be signed now; returns how many are new.

    Another worker may be writing the same at this moment: the partial UNIQUE index decides, and the loser sees the
    award that is there (H02)."""
    if not wanted:
        return 0
    dialect_insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    # In one order everywhere: two workers who each wait for the other's row would be a deadlock on PostgreSQL.
    rows = [{"id": random_id(), **row} for row in sorted(wanted, key=lambda row: str(row["person_id"]))]
    statement = dialect_insert(Award).on_conflict_do_nothing().returning(Award.id)
    written = set(session.scalars(statement, rows))
    new = [row for row in rows if row["id"] in written]
    _new_editions(session, [(row["id"], row["version_id"]) for row in new if row["status"] == "pending"], now)
    for row in new:
        audit.record(session, now, audit.TOOL, "award.earned", f"award:{row['id']}", status=row["status"])
    return len(new)


def _new_editions(session: Session, awards: Sequence[tuple[str, int]], now: datetime) -> None:
    """Freeze what will be signed: the credential's id, its times, its salt, and a random place in a status list."""
    if not awards:
        return
    now = now.replace(microsecond=0)  # credentials tell whole seconds
    lasts: dict[int, str] = {}
    for version_id in {version_id for _, version_id in awards}:
        definition = session.get_one(AchievementVersion, version_id).definition
        lasts[version_id] = definition.get("expires_after", "")
    places = _status_places(session, len(awards), now)
    editions = [
        {
            "id": ob3.new_credential_id(),
            "award_id": award_id,
            "salt": ob3.new_salt(),
            "status_list_id": list_id,
            "status_index": index,
            "valid_from": now,
            "valid_until": after(now, lasts[version_id]) if lasts[version_id] else None,
        }
        for (award_id, version_id), (list_id, index) in zip(awards, places, strict=True)
    ]
    session.execute(insert(Edition), editions)
    ends = [{"id": e["award_id"], "expires_at": e["valid_until"]} for e in editions if e["valid_until"] is not None]
    if ends:
        session.execute(update(Award), ends)


def _status_places(session: Session, count: int, now: datetime) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    while len(places) < count:
        query = select(StatusList).where(~StatusList.closed).order_by(StatusList.id).limit(1).with_for_update()
        current = session.scalar(query)
        if current is None:
            current = StatusList(created_at=now)
            session.add(current)
            session.flush()
        taken = set(session.scalars(select(Edition.status_index).where(Edition.status_list_id == current.id)))
        room = FULLEST - len(taken)
        if room <= 0:
            current.closed = True
            session.flush()
            continue
        share = min(room, count - len(places))
        places += [(current.id, index) for index in status_list.pick_indexes(taken, share)]
        if share == room:
            current.closed = True
            session.flush()
    return places


def after(start: datetime, duration: str) -> datetime:
    """Return the moment a duration of years, months, weeks, days ends; 31 January + P1M is the last of February."""
    months, days = months_and_days(duration)
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    for day in range(start.day, 27, -1):
        try:
            return start.replace(year=year, month=month, day=day) + timedelta(days=days)
        except ValueError:
            continue
    return start.replace(year=year, month=month) + timedelta(days=days)


# -- signing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ToSign:
    edition_id: str
    award_id: str
    version_id: int
    facts: ob3.EditionFacts
    template: EditionTemplate


def sign_pending(tool: Tool, course_id: int | None = None) -> int:
    """Sign every edition that waits, of one course or of all; returns how many. Safe to repeat and to interrupt.

    Signing is a pure function of the row: a crash between two steps leads to the same bytes (J01, I04)."""
    signed = 0
    held_back: set[str] = set()
    made: set[int] = set()
    keyring = tool.keyring
    while True:
        batch = _unsigned(tool, course_id, held_back)
        if not batch:
            if made:  # others may ask for what has just been awarded
                prerequisites.look_again(tool, made)
            return signed
        done: list[tuple[_ToSign, Signed]] = []
        for each in batch:
            try:
                # The proof's time is the edition's, not the clock's: signed again, it is the same bytes.
                copy = each.template.sign(
                    each.facts, ed25519=keyring.ed25519, rsa=keyring.rsa, created=each.facts.valid_from
                )
                done.append((each, copy))
                made.add(each.version_id)
            except CredentialHeldBack as error:
                held_back.add(each.edition_id)
                log.error("award=%s credential held back: %s", each.award_id, error.detail)
        signed += _store_signatures(tool, done)


def _unsigned(tool: Tool, course_id: int | None, held_back: set[str]) -> list[_ToSign]:
    query = (
        select(Edition)
        .join(Award)
        .where(Edition.signed_at.is_(None), Award.status == "pending", Edition.withdrawn_at.is_(None))
        .options(
            joinedload(Edition.award).joinedload(Award.version).joinedload(AchievementVersion.achievement),
            joinedload(Edition.award).joinedload(Award.person),
            joinedload(Edition.award).joinedload(Award.earned_as),
            joinedload(Edition.award).joinedload(Award.course),
        )
        .order_by(Edition.id)
        .limit(BATCH)
    )
    if course_id is not None:
        query = query.where(Award.course_id == course_id)
    if held_back:
        query = query.where(Edition.id.not_in(held_back))
    with tool.db.read() as session:
        editions = list(session.scalars(query))
        templates = {v: template_for(tool, session, v) for v in {edition.award.version for edition in editions}}
        return [
            _ToSign(e.id, e.award_id, e.award.version_id, edition_facts(e), templates[e.award.version])
            for e in editions
        ]


def template_for(tool: Tool, session: Session, version: AchievementVersion) -> EditionTemplate:
    """Return the compiled credential of a version, made once a process; each new shape of edition is checked whole."""
    profile = issuer_profile(session, tool)
    key = (version.id, profile)
    if key not in tool.templates:
        needed = badge_from_content(version.definition).needed
        tool.templates[key] = EditionTemplate(achievement_of(tool, version, profile), profile, needed=needed)
    template: EditionTemplate = tool.templates[key]
    return template


def achievement_of(tool: Tool, version: AchievementVersion, profile: ob3.IssuerProfile) -> dict[str, Any]:
    """Return a version as an OB 3.0 Achievement."""
    slug, base = version.achievement.slug, tool.settings.base_url
    return ob3.achievement(
        badge_from_content(version.definition),
        base_url=base,
        slug=slug,
        version=version.number,
        issuer=profile,
        picture_url=f"{ob3.achievement_address(base, slug, version.number)}.png",
    )


def edition_facts(edition: Edition) -> ob3.EditionFacts:
    """Return what an edition says, from its own row and its award's frozen decision alone."""
    award = edition.award
    badge = badge_from_content(award.version.definition)
    rows = {row["tag"]: row for row in award.decision["rows"]}
    reached = tuple(
        ob3.Reached(row.code, found["level"], Decimal(row.levels[found["level"]].points))
        for row in badge.sub_competencies
        if (found := rows.get(row.tag)) is not None and found["level"] is not None
    )
    gates = tuple(
        ob3.GateResult(gate.code, None, passed=True)
        for gate in badge.gates
        if (found := rows.get(gate.tag)) is not None and found["state"] == "met"
    )
    return ob3.EditionFacts(
        credential_id=edition.id,
        subject_id=award.earner.subject_id,
        valid_from=edition.valid_from,
        valid_until=edition.valid_until,
        status_list=edition.status_list_id,
        status_index=edition.status_index,
        reached=reached,
        gates=gates,
        include_results=edition.choices.get("results", True),
    )


def _store_signatures(tool: Tool, done: Sequence[tuple[_ToSign, Signed]]) -> int:
    if not done:
        return 0
    now = datetime.now(UTC)
    with tool.db.write() as session:
        # Awards before their editions, each by id, as everywhere: revoke() holds the award when it asks for these.
        awards = select(Award.id).where(Award.id.in_([each.award_id for each, _ in done])).order_by(Award.id)
        session.execute(awards.with_for_update(key_share=True)).all()
        session.execute(
            update(Edition),
            [
                {"id": each.edition_id, "document": s.document, "jwt": s.jwt.encode(), "signed_at": now}
                for each, s in sorted(done, key=lambda one: one[0].edition_id)
            ],
        )
        for moment in {each.facts.valid_from for each, _ in done}:
            ids = [each.award_id for each, _ in done if each.facts.valid_from == moment]
            values: dict[str, Any] = {"status": "issued", "issued_at": moment}
            if tool.settings.privacy.claim == "automatic":
                values["page_public"] = True
            # Only those still pending: one revoked while it was being signed stays revoked.
            session.execute(update(Award).where(Award.id.in_(ids), Award.status == "pending").values(values))
    return len(done)


# -- what people decide -----------------------------------------------------------------------------------------


def get_award(session: Session, award_id: str, course_badge_id: str | None = None) -> Award:
    """Return an award, of one course badge where that is given, locked until the transaction ends; raises NotFound.

    Without the lock, one confirmed and one revoked at the same moment on PostgreSQL would both have been right."""
    award = session.get(Award, award_id, with_for_update={"key_share": True})
    if award is None or (course_badge_id is not None and award.course_badge_id != course_badge_id):
        raise NotFound(f"no award {award_id}", sentence=f"There is no award {award_id[:40]}.")
    return award


def confirm(tool: Tool, award_id: str, *, actor: str, now: datetime) -> str:
    """Confirm an award that waits for it, or release one that is held; returns its new status."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if award.status not in ("review", "held"):
            raise Conflict(sentence="This award does not wait for anything any more.")
        if award.status == "review" and not catalog.released(award.course_badge, now):
            award.status = "held"
        else:
            _issue(session, award, now)
        audit.record(session, now, actor, "award.confirmed", f"award:{award.id}", status=award.status)
        return award.status


def release(tool: Tool, course_badge_id: str, *, actor: str, now: datetime) -> int:
    """Let every learner of a course badge see levels and awards that its policy holds back; returns what is issued."""
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id)
        if badge.version_id is None:
            raise Conflict(sentence="This badge is not published yet, so there is nothing to release.")
        badge.released_at = badge.released_at or now
        audit.record(session, now, actor, "badge.released", f"badge:{badge.id}")
        query = select(Award).where(Award.course_badge_id == badge.id, Award.status == "held")
        held = list(session.scalars(query.order_by(Award.id).with_for_update(key_share=True)))
        for award in held:
            _issue(session, award, now)
        return len(held)


def release_due(tool: Tool, now: datetime, course_id: int | None = None) -> int:
    """Issue held awards whose badge lets them be seen by now; returns how many.

    What counts is the badge's present policy: its time has come, or a new version holds nothing back."""
    released = 0
    with tool.db.write() as session:
        query = select(Award).where(Award.status == "held")
        if course_id is not None:
            query = query.where(Award.course_id == course_id)
        query = query.order_by(Award.id).with_for_update(of=Award, key_share=True)
        for award in session.scalars(query.options(joinedload(Award.course_badge).joinedload(CourseBadge.version))):
            if catalog.released(award.course_badge, now):
                _issue(session, award, now)
                released += 1
    return released


def _issue(session: Session, award: Award, now: datetime) -> None:
    award.status = "pending"
    session.flush()
    _new_editions(session, [(award.id, award.version_id)], now)


def revoke(tool: Tool, award_id: str, reason: str, *, actor: str, now: datetime) -> None:
    """Take an award back for good. Its credential's status bit is set in the same transaction.

    Only a person's act gives it again: the same grades will not (H10)."""
    reason = " ".join(reason.split())[:500]
    if not reason:
        raise BadInput(sentence="Say why the award is taken back: the learner and whoever checks it will read it.")
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if award.status in ("revoked", "superseded"):
            raise Conflict(sentence="This award has been taken back already.")
        award.status, award.live = "revoked", False
        award.revoked_at, award.revocation_reason = now, reason
        lists = {edition.status_list_id for edition in award.editions if edition.withdrawn_at is None}
        for edition in award.editions:
            edition.withdrawn_at = edition.withdrawn_at or now
        for list_id in sorted(lists):
            session.execute(update(StatusList).where(StatusList.id == list_id).values(revision=StatusList.revision + 1))
        _resolve(session, award, "revoked", now)
        audit.record(session, now, actor, "award.revoked", f"award:{award.id}", reason=reason)


def supersede(session: Session, award: Award, now: datetime) -> list[str]:
    """Let another award of the same person stand in for this one; returns the editions whose status bit this sets."""
    award.status, award.live = "superseded", False
    withdrawn = [edition for edition in award.editions if edition.withdrawn_at is None]
    for edition in withdrawn:
        edition.withdrawn_at = now
    for list_id in sorted({edition.status_list_id for edition in withdrawn}):
        session.execute(update(StatusList).where(StatusList.id == list_id).values(revision=StatusList.revision + 1))
    _resolve(session, award, "superseded", now)
    return [edition.id for edition in withdrawn]


def restore(session: Session, award: Award, status: str, now: datetime) -> None:
    """Give a superseded award back the status it had.

    A revoked status entry is never cleared (Bitstring Status List 1.0, 3.1: not reversible), so one that was issued
    gets a new edition: another credential id, with the times and choices of the old one."""
    award.live = True
    if status not in ("issued", "pending"):
        award.status = status
        return
    award.status = "pending"
    old = award.editions[-1]
    ((list_id, index),) = _status_places(session, 1, now)
    session.add(
        Edition(
            id=ob3.new_credential_id(),
            award_id=award.id,
            number=old.number + 1,
            choices=old.choices,
            salt=ob3.new_salt(),
            status_list_id=list_id,
            status_index=index,
            valid_from=old.valid_from,
            valid_until=old.valid_until,
        )
    )


def _resolve(session: Session, award: Award, resolution: str, now: datetime) -> None:
    session.execute(
        update(Review)
        .where(Review.award_id == award.id, Review.resolved_at.is_(None))
        .values(resolved_at=now, resolution=resolution)
    )


def keep(tool: Tool, award_id: str, *, actor: str, now: datetime) -> None:
    """Close an award's open review: somebody has looked, and the award stands."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        _resolve(session, award, "kept", now)
        audit.record(session, now, actor, "award.kept", f"award:{award.id}")


def claim(tool: Tool, award_id: str, *, public: bool, actor: str, now: datetime) -> None:
    """Claim an award, or change later whether its page is public. It changes no credential."""
    with tool.db.write() as session:
        award = get_award(session, award_id)
        if not can_choose(award):
            raise Conflict(sentence="This badge cannot be claimed at the moment.")
        if shown_status(award, now) == "expired" and award.claimed_at is None:
            raise Conflict(sentence="This badge is not valid any more, so it cannot be claimed.")
        award.claimed_at = award.claimed_at or now
        award.page_public = public
        audit.record(session, now, actor, "award.claimed", f"award:{award.id}", public=public)


# -- looking ----------------------------------------------------------------------------------------------------


def can_choose(award: Award) -> bool:
    """Tell whether its learner may claim an award or switch its page: off, too, of one that was taken back."""
    return award.status == "issued" or (
        award.status == "revoked" and (award.claimed_at is not None or award.page_public)
    )


def shown_status(award: Award, now: datetime) -> str:
    """Return an award's status as pages show it: its own, or "expired" for one whose time is over."""
    ended = award.status == "issued" and award.expires_at is not None and award.expires_at <= now
    return "expired" if ended else award.status


def newest_awards(
    session: Session, badge: CourseBadge, person_id: str | None = None, *, issued_here: bool = False
) -> dict[str, Award]:
    """Return the newest award of each person, or of one, that a course badge's pages show, by `Person.holder_id`.

    Those given here, and those given elsewhere that count everywhere; `issued_here`: of the former, those issued."""
    here = Award.course_badge_id == badge.id
    if issued_here:
        query = select(Award).where(here, Award.issued_at.is_not(None))
    elif badge.version is None:
        query = select(Award).where(here)
    else:
        anywhere = (Award.achievement_id == badge.version.achievement_id) & (Award.scope == "installation")
        query = select(Award).where(here | anywhere)
    if person_id is not None:
        query = query.where(Award.person_id == person_id)
    awards = list(session.scalars(query.order_by(Award.earned_at, Award.id)))
    awards.sort(key=lambda award: award.status != "superseded")  # one that stands goes before a later one it replaces
    return {award.person_id: award for award in awards}


def listing(tool: Tool, *, context: str | None = None, award_id: str | None = None) -> list[dict[str, Any]]:
    """Return awards as the commands print them, oldest first; one award comes with its decision record."""
    query = (
        select(Award)
        .join(Course)
        .options(
            joinedload(Award.version).joinedload(AchievementVersion.achievement),
            joinedload(Award.course_badge),
            joinedload(Award.course),
            joinedload(Award.person),
            joinedload(Award.earned_as),
        )
        .order_by(Award.earned_at, Award.id)
    )
    if context is not None:
        query = query.where(Course.context_id == context)
    if award_id is not None:
        query = query.where(Award.id == award_id)
    with tool.db.read() as session:
        awards = list(session.scalars(query))
        if award_id is not None and not awards:
            raise NotFound(sentence=f"There is no award {award_id[:40]}.", what_to_do="See lti-tool awards list.")
        signed = select(Edition.award_id, Edition.id).where(Edition.signed_at.is_not(None)).order_by(Edition.number)
        newest: dict[str, str] = {award: edition for award, edition in session.execute(signed)}  # noqa: C416 (rows)
        rows = [_listed(tool, award, newest.get(award.id)) for award in awards]
        if award_id is not None:
            rows[0]["decision"] = awards[0].decision
            rows[0]["reviews"] = [
                {"reason": r.reason, "opened_at": _iso(r.opened_at), "resolution": r.resolution}
                for r in session.scalars(select(Review).where(Review.award_id == award_id).order_by(Review.id))
            ]
    return rows


def _listed(tool: Tool, award: Award, edition_id: str | None) -> dict[str, Any]:
    base = tool.settings.base_url
    version = award.version
    return {
        "id": award.id,
        "badge": award.course_badge.slug,
        "badge_version": version.number,
        "platform": award.course.registration_id,
        "context": award.course.context_id,
        "user": award.earner.sub,
        "status": award.status,
        "earned_at": _iso(award.earned_at),
        "issued_at": _iso(award.issued_at),
        "claimed_at": _iso(award.claimed_at),
        "expires_at": _iso(award.expires_at),
        "revoked_at": _iso(award.revoked_at),
        "revocation_reason": award.revocation_reason,
        "public": award.page_public,
        "credential_url": ob3.credential_address(base, edition_id) if edition_id else None,
        "achievement": ob3.achievement_address(base, version.achievement.slug, version.number),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def standing_rows(session: Session, course_badge_id: str, person_id: str) -> dict[str, Mastery]:
    """Return a learner's standings in a badge, by tag."""
    query = select(Mastery).where(Mastery.course_badge_id == course_badge_id, Mastery.person_id == person_id)
    return {row.tag: row for row in session.scalars(query)}
