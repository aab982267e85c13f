"""Editions: what is signed. Each is a pure function of its row and of its award's frozen decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ob3, status_list
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.signing import Signed
from lti_tool.domain.award import is_earned
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.badge import after as after  # the end of what is issued now
from lti_tool.domain.mastery import Standing
from lti_tool.errors import CredentialHeldBack
from lti_tool.models import AchievementVersion, Award, Edition, StatusList
from lti_tool.services import prerequisites, stacks
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.tool import Tool, log

MANUAL = "ManualAward"  # the genre of the evidence that marks an award as given by hand
BATCH = 250  # editions signed between two transactions
FULLEST = status_list.ENTRIES // 2  # entries used before a list is closed: a fuller one makes random indexes rare


def new_editions(session: Session, awards: Sequence[tuple[str, int]], now: datetime) -> None:
    """Freeze what will be signed: the credential's id, its times, its salt, and a random place in a status list."""
    if not awards:
        return
    now = now.replace(microsecond=0)  # credentials tell whole seconds
    lasts: dict[int, str] = {}
    for version_id in {version_id for _, version_id in awards}:
        definition = session.get_one(AchievementVersion, version_id).definition
        lasts[version_id] = definition.get("expires_after", "")
    places = status_places(session, len(awards), now)
    earlier = _earlier(session, [award_id for award_id, _ in awards])
    editions = [
        {
            "id": ob3.new_credential_id(),
            "award_id": award_id,
            "number": earlier[award_id].number + 1 if award_id in earlier else 1,
            "choices": earlier[award_id].choices if award_id in earlier else {},
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


def _earlier(session: Session, award_ids: Sequence[str]) -> dict[str, Any]:
    """Return number and choices of each award's newest edition: one that was held after it was issued has some."""
    found: dict[str, Any] = {}
    for start in range(0, len(award_ids), BATCH):
        query = select(Edition.award_id, Edition.number, Edition.choices).order_by(Edition.number)
        for row in session.execute(query.where(Edition.award_id.in_(award_ids[start : start + BATCH]))):
            found[row.award_id] = row
    return found


def status_places(session: Session, count: int, now: datetime) -> list[tuple[int, int]]:
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


# -- signing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ToSign:
    edition_id: str
    award_id: str
    version_id: int
    facts: ob3.EditionFacts
    template: EditionTemplate
    graded_at: datetime | None  # when the last of the grades came that it rests on; None where that says nothing


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
        base = tool.settings.base_url
        facts = {e.id: stacks.with_evidence(edition_facts(e), e, base) for e in editions}
        return [
            _ToSign(e.id, e.award_id, e.award.version_id, facts[e.id], templates[e.award.version], _graded_at(e))
            for e in editions
        ]


def _graded_at(edition: Edition) -> datetime | None:
    """Return when the last grade came that an award rests on, as the LMS tells it, or else when it was read first.

    Not of an award that waited for a person or a release, nor of a later edition: that wait is no delay of ours."""
    award = edition.award
    if award.given != "grades" or edition.number > 1 or edition.valid_from - award.earned_at > timedelta(seconds=1):
        return None
    moments = []
    for row in award.decision.get("rows", ()):
        for told in (row.get("graded_at"), row.get("received_at")):
            try:
                moments.append(datetime.fromisoformat(told).astimezone(UTC))
            except (TypeError, ValueError):  # Canvas tells none
                continue
            break
    return max(moments, default=None)


def template_for(tool: Tool, session: Session, version: AchievementVersion) -> EditionTemplate:
    """Return the compiled credential of a version, made once a process; each new shape of edition is checked whole."""
    profile = issuer_profile(session, tool)
    key = (version.id, profile)
    if key not in tool.templates:
        needed = stacks.least_results(badge_from_content(version.definition))
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
        members=stacks.as_described(version.members, base),
    )


def edition_facts(edition: Edition) -> ob3.EditionFacts:
    """Return what an edition says, from its own row and its award's frozen decision alone."""
    award = edition.award
    badge = badge_from_content(award.version.definition)
    rows = {row["tag"]: row for row in (edition.decision or award.decision)["rows"]}
    if award.given != "grades" and not carries(badge, rows):
        rows = {}  # given by hand to somebody whose levels do not reach it: then it tells of no levels at all
    reached = tuple(
        ob3.Reached(row.code, found["level"], Decimal(row.levels[found["level"]].points))
        for row in badge.sub_competencies
        if (found := rows.get(row.tag)) is not None and found["level"] is not None
    )
    gates = stacks.results_of(badge, rows) + tuple(
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
        name=edition.choices.get("name"),
        evidence=(_by_hand(award),) if award.given != "grades" else (),
    )


def carries(badge: Badge, rows: Mapping[str, dict[str, Any]]) -> bool:
    """Tell whether the rows of a decision record, by tag, earn a badge."""
    tags = [row.tag for row in badge.sub_competencies] + [gate.tag for gate in badge.gates]
    tags += badge.stack.tags if badge.stack is not None else ()
    found = [rows[tag] for tag in tags if tag in rows]
    return is_earned(badge, [Standing(r["tag"], "", r["state"], "", points=r.get("points", "")) for r in found])


def _by_hand(award: Award) -> ob3.Evidence:
    """Return the evidence that marks an award as given by a person.

    In English whatever the page's language: signed again it is the same bytes. Whoever reads it by machine goes by the
    genre."""
    return ob3.Evidence(
        name="Awarded by an instructor",
        description="A person gave this badge on this evidence. It was not worked out from recorded grades.",
        narrative=(award.note or "") if award.note_told else "",
        genre=MANUAL,
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
    tool.figures.count("signatures", by=len(done))
    for each, _ in done:
        if each.graded_at is not None:
            tool.figures.observe("lag_seconds", max(0.0, (now - each.graded_at).total_seconds()))
    return len(done)
