"""Who was erased and is not to come back by itself: known by a keyed hash of platform and `sub`, and by nothing else.

A roster goes on naming whoever was erased, for the LMS knows nothing of it. So a sync asks here before it stores
anybody new, and a launch is told that she decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput, Erased, SecretLost
from lti_tool.models import Column, Course, CourseBadge, Erasure
from lti_tool.sentence import Sentence
from lti_tool.services import audit, journal
from lti_tool.services.tool import Tool

PROOF_LASTS = timedelta(minutes=30)

ShutOut = Callable[[str], bool]


def nobody(_sub: str) -> bool:
    return False


def known_by(tool: Tool, registration_id: int, sub: str) -> tuple[str, ...]:
    """Return the keyed hashes somebody is known by, that of the newest key first."""
    return tool.keyring.known_by(f"person\0{registration_id}\0{sub}")


def shut_out(tool: Tool, session: Session, registration_id: int) -> ShutOut:
    """Return what tells of a platform's `sub` whether nothing is to be stored about her."""
    away = Erasure.registration_id == registration_id, Erasure.returned_at.is_(None)
    known = set(session.scalars(select(Erasure.known).where(*away)))
    if not known:
        return nobody

    @cache
    def holds(sub: str) -> bool:
        return not known.isdisjoint(known_by(tool, registration_id, sub))

    return holds


def refuse(tool: Tool, session: Session, registration_id: int, sub: str) -> None:
    """Raise Erased for somebody who is not known any more because she asked for it."""
    if _away(tool, session, registration_id, sub):
        raise Erased(registration_id, sub)


def _away(tool: Tool, session: Session, registration_id: int, sub: str) -> list[Erasure]:
    hashes = known_by(tool, registration_id, sub)
    query = select(Erasure).where(Erasure.known.in_(hashes), Erasure.registration_id == registration_id)
    return list(session.scalars(query.where(Erasure.returned_at.is_(None))))


def proof(tool: Tool, error: Erased, now: datetime) -> str:
    """Return what her page sends back: that she has just launched. It is sealed, and nothing of it is kept here."""
    told = {"registration": str(error.registration_id), "sub": error.sub, "at": now.isoformat()}
    return tool.keyring.seal(told)


def come_back(tool: Tool, sealed: str, now: datetime) -> None:
    """Let somebody who was erased be known again, as she wants herself. Safe to repeat.

    What was erased stays so: she begins anew. Raises BadInput for a proof that is none, or too old."""
    try:
        told = tool.keyring.unseal(sealed)
        at, registration_id, sub = datetime.fromisoformat(told["at"]), int(told["registration"]), told["sub"]
    except (SecretLost, KeyError, ValueError):
        at, registration_id, sub = datetime.min.replace(tzinfo=UTC), 0, ""
    if not now - PROOF_LASTS <= at <= now + PROOF_LASTS:
        raise BadInput(
            sentence=Sentence("This page was open for too long."),
            what_to_do=Sentence("Open Badges in your LMS again, then choose once more."),
        )
    with tool.db.write() as session:
        away = _away(tool, session, registration_id, sub)
        ids = [row.person_id for row in away]
        session.execute(update(Erasure).where(Erasure.person_id.in_(ids)).values(returned_at=now))
        if ids:  # the LMS's lists name her, and may be the same since: they are stored anew
            of_platform = Course.registration_id == registration_id
            session.execute(update(Course).where(of_platform).values(roster_digest=None))
            badges = select(CourseBadge.id).join(Course).where(of_platform)
            session.execute(update(Column).where(Column.course_badge_id.in_(badges)).values(read_digest=None))
        for person_id in ids:
            journal.note(session, journal.return_of(person_id, now))
            audit.record(session, now, audit.person(person_id), "privacy.returned", audit.person(person_id))
