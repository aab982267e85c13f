"""Editions: what is signed. Each is a pure function of its row and of its award's frozen decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import String, bindparam, cast, func, select, update
from sqlalchemy.orm import Session, contains_eager

from lti_tool.credentials import ob3
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.db import among, insert_rows
from lti_tool.domain.award import is_earned
from lti_tool.domain.badge import Badge, Gate, number_text
from lti_tool.domain.badge import after as after  # the end of what is issued now
from lti_tool.domain.mastery import Standing
from lti_tool.errors import CredentialHeldBack
from lti_tool.models import AchievementVersion, Award, Course, Edition, Endorsement, Issuer, Person
from lti_tool.services import counting, held_back, notifications, prerequisites, stacks
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.places import status_places
from lti_tool.services.tool import Tool, log

MANUAL = "ManualAward"  # the genre of the evidence that marks an award as given by hand
BATCH = 250  # editions signed between two transactions
_AWARD, _EDITION = Award.metadata.tables["award"], Edition.metadata.tables["edition"]
MOST_ENDORSEMENTS = 10  # in one credential, the newest
# What a learner has chosen of what an edition says, by the names it is kept under. The rest is told_at's.
CHOSEN = ("name", "email", "results", "grades", "evidence", "narrative")
# What it tells of the course in which the award was earned: as it was then.
OF_THE_COURSE = ("course", "term", "started", "ended")
# What of an award's row its signature looks at.
SIGNED_OF_AWARD = ("version_id", "course_badge_id", "given", "note", "note_told", "decision", "earned_at")
NO_DOCUMENTS: Mapping[str, dict[str, Any]] = MappingProxyType({})


def ends_at(session: Session, version_ids: Collection[int], now: datetime) -> dict[int, datetime | None]:
    """Return, by version, when what is issued of it now ends; None for never."""
    now = now.replace(microsecond=0)  # credentials tell whole seconds
    ends: dict[int, datetime | None] = {}
    for version_id in set(version_ids):
        lasts = session.get_one(AchievementVersion, version_id).definition.get("expires_after", "")
        ends[version_id] = after(now, lasts) if lasts else None
    return ends


def new_editions(
    session: Session,
    awards: Sequence[tuple[str, int]],
    now: datetime,
    *,
    ends_told: bool = False,
    renewed: bool = False,
) -> None:
    """Freeze what will be signed: the credential's id, its times, its salt, and a random place in a status list.

    `ends_told`: the awards' rows say already what `ends_at` does. `renewed`: they are earned anew, in the course as it
    is now."""
    if not awards:
        return
    ends = ends_at(session, [version_id for _, version_id in awards], now)
    now = now.replace(microsecond=0)
    given = status_places(session, len(awards), now)
    earlier = _earlier(session, [award_id for award_id, _ in awards])
    told = told_at(session, [award_id for award_id, _ in awards])
    editions = []
    for (award_id, version_id), (list_id, index) in zip(awards, given, strict=True):
        salt, before = ob3.new_salt(), earlier.get(award_id)
        says = told[award_id]
        if before is not None:
            says = says if renewed else told_again(says, before.choices)
            says |= with_salt(before.choices, before.email, salt)
        editions.append(
            {
                "id": ob3.new_credential_id(),
                "award_id": award_id,
                "number": before.number + 1 if before is not None else 1,
                "choices": says,
                "salt": salt,
                "status_list_id": list_id,
                "status_index": index,
                "valid_from": now,
                "valid_until": ends[version_id],
            }
        )
    insert_rows(session, Edition, editions)
    told_ends = [
        {"id": e["award_id"], "expires_at": e["valid_until"]} for e in editions if e["valid_until"] is not None
    ]
    if told_ends and not ends_told:
        session.execute(update(Award), told_ends)


def _earlier(session: Session, award_ids: Sequence[str]) -> dict[str, Any]:
    """Return number and choices of each award's newest edition: one that was held after it was issued has some.

    Beside them the e-mail address of whoever earned it, which the next edition scrambles anew."""
    found: dict[str, Any] = {}
    query = select(Edition.award_id, Edition.number, Edition.choices, Person.email).select_from(Edition).join(Award)
    query = query.join(Person, Person.id == func.coalesce(Award.earned_as_id, Award.person_id))
    for row in session.execute(query.where(among(Edition.award_id, award_ids)).order_by(Edition.number)):
        found[row.award_id] = row
    return found


def told_at(session: Session, award_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what an edition of each award that is made now tells beside its learner's choices.

    The course and its term, when she worked for it, where the terms of use stand, whether it can be renewed, and the
    endorsements there are. It is frozen in the edition: the next launch may call the course something else."""
    terms_url = session.scalar(select(Issuer.terms_url)) or ""
    query = select(Award.id, Award.version_id, Award.earned_at, Course.title, Course.term, Course.starts_at)
    query = query.select_from(Award).join(Course, Course.id == Award.course_id)
    rows = session.execute(query.where(among(Award.id, award_ids))).all()
    of_version = {version_id: _of_version(session, version_id) for version_id in {row.version_id for row in rows}}
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        told: dict[str, Any] = dict(of_version[row.version_id])
        for name, text in (("course", row.title), ("term", row.term), ("terms", terms_url)):
            if text:
                told[name] = text
        if row.starts_at is not None and row.starts_at < row.earned_at:
            told["started"], told["ended"] = row.starts_at.isoformat(), row.earned_at.isoformat()
        found[row.id] = told
    return found


def told_again(told: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an award's further edition tells beside its learner's choices: `told`, and of the course what the
    edition before told. One that was made before editions kept that tells nothing, and the course is as it is now."""
    kept = {name: before[name] for name in OF_THE_COURSE if name in before}
    return {name: value for name, value in told.items() if name not in OF_THE_COURSE} | kept if kept else dict(told)


def _of_version(session: Session, version_id: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if session.get_one(AchievementVersion, version_id).definition.get("expires_after"):
        told["renewable"] = True
    if endorsements := endorsed(session, version_id):
        told["endorsements"] = endorsements
    return told


def endorsed(session: Session, version_id: int) -> list[str]:
    """Return the endorsements in force of a version and of the institution, by id, the newest first."""
    of_it = (Endorsement.kind == "issuer") | ((Endorsement.kind == "badge") & (Endorsement.version_id == version_id))
    query = select(Endorsement.id).where(of_it, Endorsement.withdrawn_at.is_(None))
    return list(session.scalars(query.order_by(Endorsement.said_at.desc(), Endorsement.id).limit(MOST_ENDORSEMENTS)))


def with_salt(choices: Mapping[str, Any], email: str, salt: str) -> dict[str, Any]:
    """Return a learner's choices as an edition with this salt keeps them: an e-mail address as a hash of its own.

    Where the LMS does not tell the address any more, the hash is left out."""
    kept = {name: choices[name] for name in CHOSEN if name in choices}
    if kept.pop("email", None) and email.strip():
        kept["email"] = {"salt": salt, "hash": ob3.identity_hash(email, salt)}
    return kept


def another(session: Session, award: Award, choices: Mapping[str, Any], now: datetime) -> Edition:
    """Add an award's next edition: an id, a salt and a status entry of its own; course and times are the last one's.

    The award is being signed from then on. What it replaces is for the caller to withdraw."""
    old = award.editions[-1]
    salt = ob3.new_salt()
    told = told_again(told_at(session, [award.id])[award.id], old.choices)
    ((list_id, index),) = status_places(session, 1, now)
    edition = Edition(
        id=ob3.new_credential_id(),
        award=award,
        number=old.number + 1,
        choices=told | with_salt(choices, award.earner.email, salt),
        salt=salt,
        status_list_id=list_id,
        status_index=index,
        valid_from=old.valid_from,
        valid_until=old.valid_until,
    )
    session.add(edition)
    award.status = "pending"
    return edition


# -- signing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ToSign:
    edition_id: str
    award_id: str
    version_id: int
    facts: ob3.EditionFacts
    template: EditionTemplate
    graded_at: datetime | None  # when the last of the grades came that it rests on; None where that says nothing
    issuing: counting.Counted


def sign_pending(tool: Tool, course_id: int | None = None, award_id: str | None = None) -> int:
    """Sign every edition that waits, of one award, of one course or of all; returns how many.

    Safe to repeat and to interrupt.

    Signing is a pure function of the row: a crash between two steps leads to the same bytes (J01, I04)."""
    signed = 0
    refused: dict[str, _HeldBack] = {}
    made: set[int] = set()
    keyring = tool.keyring
    while True:
        batch = _unsigned(tool, course_id, award_id, set(refused))
        if not batch:
            _tell(tool, refused.values())
            if made:  # others may ask for what has just been awarded
                prerequisites.look_again(tool, made)
            return signed
        done: list[tuple[_ToSign, bytes]] = []
        for each in batch:
            try:
                # The proof's time is the edition's, not the clock's: signed again, it is the same bytes.
                signed_document = each.template.sign_document(
                    each.facts, ed25519=keyring.ed25519, created=each.facts.valid_from
                )
                done.append((each, signed_document))
                made.add(each.version_id)
            except CredentialHeldBack as error:
                refused[each.edition_id] = _HeldBack(each.award_id, error)
                log.error("award=%s credential held back: %s", each.award_id, error.detail)
            except Exception as error:  # one that breaks the signing must not keep the others waiting (J06)
                unforeseen = CredentialHeldBack(f"{type(error).__name__} while it was being signed")
                refused[each.edition_id] = _HeldBack(each.award_id, unforeseen)
                log.exception("award=%s credential held back", each.award_id)
        signed += _store_signatures(tool, done)


class _HeldBack(NamedTuple):
    award_id: str
    why: CredentialHeldBack


def _tell(tool: Tool, found: Collection[_HeldBack]) -> None:
    now = datetime.now(UTC)
    held_back.note(tool, {each.award_id: each.why for each in found}, now)
    held_back.settle(tool, now)


def run_sign(tool: Tool, award_id: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Job step: try again to sign a credential that was held back. Raises CredentialHeldBack where it still is."""
    with tool.db.read() as session:
        award = session.get(Award, award_id)
        course = award.course_id if award is not None and award.status == "pending" else None
    if course is None:
        return {}
    signed = sign_pending(tool, course, award_id)
    with tool.db.read() as session:
        if session.get_one(Award, award_id).status == "pending":
            raise held_back.still(session, award_id)
    return {"signed": signed}


def sign_now(tool: Tool, session: Session, edition: Edition, now: datetime) -> None:
    """Sign one edition in the caller's transaction; raises CredentialHeldBack."""
    facts = edition_facts(edition, tool.settings.base_url, endorsement_documents(session, [edition]))
    template = template_for(tool, session, edition.award.version)
    made = template.sign(facts, ed25519=tool.keyring.ed25519, rsa=tool.keyring.rsa, created=facts.valid_from)
    edition.document, edition.jwt, edition.signed_at = made.document, made.jwt.encode(), now


def _unsigned(tool: Tool, course_id: int | None, award_id: str | None, left_out: set[str]) -> list[_ToSign]:
    # As text, so that PostgreSQL does not read the index of all that waits anew for each award that does: so it plans
    # for a class that has just been awarded, of which it has no statistics yet (seen, 15.18).
    signed_at = Edition.signed_at if tool.db.is_sqlite else cast(Edition.signed_at, String)
    waiting = select(Edition.id).join(Edition.award).order_by(Edition.id).limit(BATCH)
    waiting = waiting.where(signed_at.is_(None), Award.status == "pending", Edition.withdrawn_at.is_(None))
    if course_id is not None:
        waiting = waiting.where(Award.course_id == course_id)
    if award_id is not None:
        waiting = waiting.where(Award.id == award_id)
    if left_out:
        waiting = waiting.where(Edition.id.not_in(left_out))
    award = contains_eager(Edition.award)
    query = select(Edition).join(Edition.award).order_by(Edition.id)
    query = query.options(
        award.load_only(*(getattr(Award, name) for name in SIGNED_OF_AWARD)),
        award.selectinload(Award.version).joinedload(AchievementVersion.achievement),
        award.joinedload(Award.person).load_only(Person.subject_id),
        award.joinedload(Award.earned_as).load_only(Person.subject_id),
    )
    with tool.db.read() as session:
        ids = session.scalars(waiting).all()
        editions = list(session.scalars(query.where(among(Edition.id, ids)))) if ids else []
        templates = {v: template_for(tool, session, v) for v in {edition.award.version for edition in editions}}
        base, said = tool.settings.base_url, endorsement_documents(session, editions)
        facts = {e.id: edition_facts(e, base, said) for e in editions}
        return [
            _ToSign(e.id, e.award_id, e.award.version_id, facts[e.id], templates[e.award.version], *_times(e))
            for e in editions
        ]


def endorsement_documents(session: Session, editions: Sequence[Edition]) -> dict[str, dict[str, Any]]:
    """Return the signed endorsements that these editions hold, by id. Their bytes never change."""
    ids = {ident for edition in editions for ident in edition.choices.get("endorsements", ())}
    if not ids:
        return {}
    rows = session.execute(select(Endorsement.id, Endorsement.document).where(Endorsement.id.in_(ids)))
    return {ident: json.loads(document) for ident, document in rows}


def _times(edition: Edition) -> tuple[datetime | None, counting.Counted]:
    """Return when the last grade came that an award rests on, and what is counted of its being issued.

    Not of an award that waited for a person or a release, nor of a later edition: that wait is no delay of ours."""
    award, counted = edition.award, counting.issuing(edition.award, edition.valid_from)
    waited = edition.number > 1 or edition.valid_from - award.earned_at > timedelta(seconds=1)
    graded_at = edition.valid_from - counted.lasted if counted.lasted is not None and not waited else None
    return graded_at, counted


def template_for(tool: Tool, session: Session, version: AchievementVersion) -> EditionTemplate:
    """Return the compiled credential of a version, made once a process; each new shape of edition is checked whole."""
    profile = issuer_profile(session, tool)
    key = (version.id, profile)
    if key not in tool.templates:
        needed = stacks.least_results(version.badge)
        tool.templates[key] = EditionTemplate(achievement_of(tool, version, profile), profile, needed=needed)
    template: EditionTemplate = tool.templates[key]
    return template


def achievement_of(tool: Tool, version: AchievementVersion, profile: ob3.IssuerProfile) -> dict[str, Any]:
    """Return a version as an OB 3.0 Achievement."""
    slug, base = version.achievement.slug, tool.settings.base_url
    return ob3.achievement(
        version.badge,
        base_url=base,
        slug=slug,
        version=version.number,
        issuer=profile,
        picture_url=f"{ob3.achievement_address(base, slug, version.number)}.png",
        members=stacks.as_described(version.members, base),
        form=version.form,
    )


def decided(edition: Edition, badge: Badge) -> dict[str, dict[str, Any]]:
    """Return the decision record's rows that an edition rests on and may tell of, by tag."""
    award = edition.award
    rows = {row["tag"]: row for row in (edition.decision or award.decision)["rows"]}
    if award.given != "grades" and not carries(badge, rows):
        return {}  # given by hand to somebody whose levels do not reach it: then it tells of no levels at all
    return rows


def edition_facts(
    edition: Edition, base_url: str, endorsements: Mapping[str, dict[str, Any]] = NO_DOCUMENTS
) -> ob3.EditionFacts:
    """Return what an edition says, from its own row, its award's frozen decision, and the endorsements it names."""
    award, choices = edition.award, edition.choices
    badge = award.version.badge
    rows = decided(edition, badge)
    grades = choices.get("grades", False)
    reached = tuple(
        ob3.Reached(
            row.code,
            found["level"],
            Decimal(found["points"] if grades and found.get("points") else row.levels[found["level"]].points),
        )
        for row in badge.sub_competencies
        if (found := rows.get(row.tag)) is not None and found["level"] is not None
    )
    gates = stacks.results_of(badge, rows) + tuple(
        ob3.GateResult(gate.code, gate_value(gate, found) if grades else None, passed=True)
        for gate in badge.gates
        if (found := rows.get(gate.tag)) is not None and found["state"] == "met"
    )
    email = choices.get("email")
    shown = tuple(
        ob3.Evidence(**{name: each.get(name, "") for name in ("name", "url", "description", "narrative", "genre")})
        for each in choices.get("evidence", ())
    )
    facts = ob3.EditionFacts(
        credential_id=edition.id,
        subject_id=edition.holder or award.earner.subject_id,
        valid_from=edition.valid_from,
        valid_until=edition.valid_until,
        status_list=edition.status_list_id,
        status_index=edition.status_index,
        reached=reached,
        gates=gates,
        include_results=edition.choices.get("results", True),
        name=edition.choices.get("name"),
        email=ob3.HashedEmail(email["salt"], email["hash"]) if email else None,
        course=choices.get("course"),
        term=choices.get("term"),
        evidence=(*((_by_hand(award),) if award.given != "grades" else ()), *shown),
        started=_moment(choices, "started"),
        ended=_moment(choices, "ended"),
        narrative=choices.get("narrative", ""),
        renewable=choices.get("renewable", False),
        terms_url=choices.get("terms", ""),
        endorsements=tuple(endorsements[ident] for ident in choices.get("endorsements", ())),
    )
    return stacks.with_evidence(facts, edition, base_url)


def _moment(choices: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(choices[name]) if name in choices else None


def gate_value(gate: Gate, row: Mapping[str, Any]) -> str | None:
    """Return what a condition's row of a decision record came to, as a result writes it: a letter, a per cent, points.

    None for passed or not, which its status says, and for one that nobody has graded. What goes beyond what the badge
    names as the most is told as the most: the schema has no other place for it."""
    if gate.kind == "letter":
        return row["reached"] if row["reached"] in dict(gate.scale) else None
    if gate.kind == "pass" or not row.get("score") or not row.get("maximum"):
        return None
    if gate.kind == "percent":
        return number_text(min(Fraction(row["score"]) / Fraction(row["maximum"]) * 100, Fraction(100)))
    return number_text(min(Fraction(row["points"]), Fraction(gate.maximum)))


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


def _store_signatures(tool: Tool, done: Sequence[tuple[_ToSign, bytes]]) -> int:
    if not done:
        return 0
    now = datetime.now(UTC)
    with tool.db.write() as session:
        # Awards before their editions, each by id, as everywhere: revoke() holds the award when it asks for these.
        of_these = among(Award.id, [each.award_id for each, _ in done])
        awards = select(Award.id, Award.status, Award.issued_at).where(of_these)
        locked = session.execute(awards.order_by(Award.id).with_for_update(key_share=True)).all()
        of_erased = select(Award.id).join(Person, Person.id == Award.person_id).where(Person.erased_at.is_not(None))
        gone = set(session.scalars(of_erased.where(of_these)))
        if gone:  # what was read of them before names them
            done = [each for each in done if each[0].award_id not in gone]
        # Into the table: through the class, SQLAlchemy looks at each row three times.
        signed = update(_EDITION).where(_EDITION.c.id == bindparam("edition"))
        session.connection().execute(
            signed.values(document=bindparam("document"), signed_at=now),
            [
                {"edition": each.edition_id, "document": document}
                for each, document in sorted(done, key=lambda one: one[0].edition_id)
            ],
        )
        # One whose credential was replaced while it was being signed waits for the new one's signature.
        newer = (Edition.number > 0, Edition.withdrawn_at.is_(None), Edition.signed_at.is_(None))
        waiting = set(session.scalars(select(Edition.award_id).join(Award).where(of_these, *newer)))
        for moment in {each.facts.valid_from for each, _ in done}:
            ids = {each.award_id for each, _ in done if each.facts.valid_from == moment}
            values: dict[str, Any] = {"status": "issued", "issued_at": moment}
            # Only those still pending: one revoked while it was being signed stays revoked.
            pending = update(_AWARD).where(among(_AWARD.c.id, ids - waiting), _AWARD.c.status == "pending")
            if tool.settings.privacy.claim == "automatic":
                # Not of one whose learner has chosen: a later edition does not open a page that she took down.
                session.execute(pending.where(_AWARD.c.claimed_at.is_(None)).values(page_public=True))
            session.execute(pending.values(values))
        issued = {row.id for row in locked if row.status == "pending"} - waiting
        counting.count_awards(
            session, counting.ISSUED, [each.issuing for each, _ in done if each.award_id in issued], now
        )
        first = [row.id for row in locked if row.id in issued and row.issued_at is None]
        notifications.tell_earned(tool, session, first, now)
    tool.figures.count("signatures", by=len(done))
    for each, _ in done:
        if each.graded_at is not None:
            tool.figures.observe("lag_seconds", max(0.0, (now - each.graded_at).total_seconds()))
    return len(done)
