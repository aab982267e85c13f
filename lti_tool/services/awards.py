"""Awards: given once, and looked at. An award's row holds all that its signature needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials import ob3
from lti_tool.db import insert_new, random_id
from lti_tool.domain.badge import PREREQUISITE, Badge
from lti_tool.errors import NotFound
from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, Edition, Mastery, Review
from lti_tool.sentence import Sentence
from lti_tool.services import audit, editions
from lti_tool.services.tool import Tool

# In a record that was written anew while its grade stayed: since when that stands. Without it, since it was written.
STANDS_SINCE = "stands_since"
PASSES = ("released", STANDS_SINCE)


def scope_of(badge: Badge, course_id: int) -> str:
    return "installation" if badge.once == "person" else f"course:{course_id}"


def stand_against(badge: Badge, course_id: int) -> ColumnElement[bool]:
    """Return which awards of an achievement count as the one that a learner can have, by this definition of it.

    Also those that were given while another one said how often that is: nobody is given a badge again by a change of
    it."""
    if badge.once == "person":
        return true()
    return (Award.scope == scope_of(badge, course_id)) | (Award.course_id == course_id)


def once_for_all(badge: CourseBadge) -> bool:
    """Tell whether a learner can have it once over all courses, wherever it was given."""
    return badge.version is not None and badge.version.definition.get("once") == "person"


def is_over(now: datetime) -> ColumnElement[bool]:
    """Return which awards have come to their end, whatever their rows say: `live` stays until somebody looks."""
    return Award.expires_at.is_not(None) & (Award.expires_at <= now)


def decision_record(badge: Badge, version: int, rows: dict[str, dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Return what an award freezes: each row's source, score, maximum, level and when, and the rule's version."""
    tags = [row.tag for row in badge.sub_competencies] + list(badge.stack.tags if badge.stack is not None else ())
    tags += [gate.tag for gate in badge.gates]
    tags += [PREREQUISITE + slug for slug in badge.prerequisites]
    return {
        "version": version,
        "rule": badge.stack.rule if badge.stack is not None else badge.rule,
        "decided_at": now.isoformat(),
        # Without what passes: a grade is shown to its learner by the time that anybody reads this.
        "rows": [{k: v for k, v in rows[tag].items() if k not in PASSES} for tag in tags if tag in rows],
    }


# -- giving -----------------------------------------------------------------------------------------------------


def give(session: Session, wanted: Sequence[dict[str, Any]], now: datetime) -> int:
    """Write awards that grades carry, and an edition for each that is to be signed now; returns how many are new."""
    new = write(session, wanted, now)
    told = ((f"award:{row['id']}", {"status": row["status"]}) for row in new)
    audit.record_all(session, now, audit.TOOL, "award.earned", told)
    return len(new)


def write(session: Session, wanted: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Write awards, and an edition for each that is to be signed now; returns those that are new.

    Another worker may be writing the same at this moment: the partial UNIQUE index decides, and the loser sees the
    award that is there (H02)."""
    if not wanted:
        return []
    ends = editions.ends_at(session, [row["version_id"] for row in wanted], now)
    # In one order everywhere: two workers who each wait for the other's row would be a deadlock on PostgreSQL.
    rows = [
        {"id": random_id(), **row, "expires_at": ends[row["version_id"]] if row["status"] == "pending" else None}
        for row in sorted(wanted, key=lambda row: str(row["person_id"]))
    ]
    written = insert_new(session, Award, rows)
    new = [row for row in rows if row["id"] in written]
    pending = [(row["id"], row["version_id"]) for row in new if row["status"] == "pending"]
    editions.new_editions(session, pending, now, ends_told=True)
    return new


def kept_back(session: Session, award: Award) -> bool:
    """Tell whether the LMS does not show a grade behind an award to its learner yet: no release here goes before it."""
    if award.given != "grades":
        return False
    query = select(Mastery.record).where(
        Mastery.course_badge_id == award.course_badge_id, Mastery.person_id == (award.earned_as_id or award.person_id)
    )
    return any(record.get("released") is False for record in session.scalars(query))


# -- looking ----------------------------------------------------------------------------------------------------


def get_award(session: Session, award_id: str, course_badge_id: str | None = None) -> Award:
    """Return an award, of one course badge where that is given, locked until the transaction ends; raises NotFound.

    Without the lock, one confirmed and one revoked at the same moment on PostgreSQL would both have been right."""
    award = session.get(Award, award_id, with_for_update={"key_share": True})
    if award is None or (course_badge_id is not None and award.course_badge_id != course_badge_id):
        raise NotFound(
            f"no award {award_id}", sentence=Sentence("There is no award %(award_id)s.", award_id=award_id[:40])
        )
    return award


def can_choose(award: Award, now: datetime) -> bool:
    """Tell whether its learner may claim an award or switch its page: off, too, of one that is over or taken back."""
    status = shown_status(award, now)
    if status in ("expired", "revoked"):
        return award.claimed_at is not None or award.page_public
    return status == "issued"


class Held(Protocol):
    """An award as far as its status goes: the row itself, or the few columns of it that a whole class needs."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def expires_at(self) -> datetime | None: ...


class AwardState(NamedTuple):
    id: str
    person_id: str
    course_badge_id: str
    status: str
    expires_at: datetime | None


def shown_status(award: Held, now: datetime) -> str:
    """Return an award's status as pages show it: its own, or "expired" for one whose time is over."""
    ended = award.status == "issued" and award.expires_at is not None and award.expires_at <= now
    return "expired" if ended else award.status


def fits_a_wallet(tool: Tool, award: Award, now: datetime) -> bool:
    """Tell whether an award may go into a wallet: in force, and taken by its learner where that is asked of her."""
    taken = award.claimed_at is not None or tool.settings.privacy.claim == "automatic"
    return taken and shown_status(award, now) == "issued"


def newest_awards(
    session: Session, badge: CourseBadge, person_id: str | None = None, *, issued_here: bool = False
) -> dict[str, Award]:
    """Return the newest award of each person, or of one, that a course badge's pages show, by `Person.holder_id`.

    Those given here, and those given elsewhere that count everywhere; `issued_here`: of the former, those issued."""
    if issued_here:
        query = select(Award).where(Award.course_badge_id == badge.id, Award.issued_at.is_not(None))
    else:
        query = select(Award).where(_shown_here(badge))
    if person_id is not None:
        query = query.where(Award.person_id == person_id)
    awards = list(session.scalars(query.order_by(Award.earned_at, Award.id)))
    awards.sort(key=lambda award: award.status != "superseded")  # one that stands goes before a later one it replaces
    return {award.person_id: award for award in awards}


def newest_states(session: Session, badge: CourseBadge) -> dict[str, AwardState]:
    """Return the same of everybody, without the decision records: objects of a whole class cost more than the page."""
    query = select(Award.id, Award.person_id, Award.course_badge_id, Award.status, Award.expires_at)
    rows = session.execute(query.where(_shown_here(badge)).order_by(Award.earned_at, Award.id))
    states = sorted((AwardState(*row) for row in rows), key=lambda award: award.status != "superseded")
    return {award.person_id: award for award in states}


def _shown_here(badge: CourseBadge) -> ColumnElement[bool]:
    here = Award.course_badge_id == badge.id
    if badge.version is None:
        return here
    of_it = Award.achievement_id == badge.version.achievement_id
    return here | of_it if once_for_all(badge) else here | (of_it & (Award.scope == "installation"))


def under_review(session: Session, badge: CourseBadge) -> dict[str, str]:
    """Return why awards of a badge are under review, by award."""
    query = select(Review.award_id, Review.reason).join(Award)
    query = query.where(Award.course_badge_id == badge.id, Review.resolved_at.is_(None))
    return dict(session.execute(query).all())


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
            raise NotFound(
                sentence=Sentence("There is no award %(award_id)s.", award_id=award_id[:40]),
                what_to_do=Sentence("See lti-tool awards list."),
            )
        signed = select(Edition.award_id, Edition.id).where(Edition.signed_at.is_not(None)).order_by(Edition.number)
        newest = dict(session.execute(signed).all())
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
        "given": award.given,
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


def records_of(
    session: Session, course_badge_id: str, people: Collection[str] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the decision records of a badge's learners, or of some of them: by person id, then by tag."""
    query = select(Mastery.person_id, Mastery.tag, Mastery.record).where(Mastery.course_badge_id == course_badge_id)
    if people is not None:
        query = query.where(Mastery.person_id.in_(people))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for person_id, tag, record in session.execute(query):
        found.setdefault(person_id, {})[tag] = record
    return found
