"""A learner's badges as one file: a Comprehensive Learner Record, made and signed when she asks for it."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Protocol

from sqlalchemy import func, or_, select

from lti_tool.credentials import clr
from lti_tool.errors import Busy, NotFound
from lti_tool.models import Award, Edition, Person
from lti_tool.sentence import Sentence
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.tool import Tool

PATIENCE = 10.0  # seconds that one record waits for the one before
_room = threading.BoundedSemaphore(1)


class Learner(Protocol):
    """Whoever asks: from a launch, or through a link to her own address."""

    @property
    def person_id(self) -> str: ...


def record_of(tool: Tool, who: Learner, now: datetime) -> bytes:
    """Return every credential that a learner has in force, in whatever course, as one signed ClrCredential.

    Of more than clr.MOST the newest, and it says that it is not all. Raises NotFound where there is none."""
    with tool.db.read() as session:
        holder = session.get_one(Person, session.get_one(Person, who.person_id).holder_id)
        mine = (
            Award.person_id == holder.id,
            Award.status == "issued",
            Edition.holder.is_(None),  # a wallet's copy says the same again
            Edition.signed_at.is_not(None),
            Edition.withdrawn_at.is_(None),
            or_(Edition.valid_until.is_(None), Edition.valid_until > now),
        )
        of = session.scalar(select(func.count()).select_from(Edition).join(Award).where(*mine)) or 0
        newest = select(Edition.document).join(Award).where(*mine).order_by(Edition.valid_from.desc(), Edition.id)
        documents = [document for document in session.scalars(newest.limit(clr.MOST)) if document is not None]
        profile = issuer_profile(session, tool)
    if not documents:
        raise NotFound("no credential in force")
    record = clr.clr_credential(
        [json.loads(document) for document in reversed(documents)],
        issuer=profile,
        subject_id=holder.subject_id,
        name=f"Badges from {profile.name}",
        partial=of > len(documents),
        now=now,
    )
    # It costs some hundredths of a second for each credential in it, and keeps a processor busy meanwhile.
    if not _room.acquire(timeout=PATIENCE):
        raise Busy(
            "a record is being signed",
            reason="records_busy",
            sentence=Sentence("Another learner’s file is being made at this moment."),
        )
    try:
        return clr.signed(record, tool.keyring.ed25519, now)
    finally:
        _room.release()
