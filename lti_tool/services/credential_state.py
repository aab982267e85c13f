"""What has become of a credential: one word, since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lti_tool.models import Award, Edition
from lti_tool.sentence import Sentence

HOLDER_ASKED = Sentence("Its holder asked for it.")  # kept as it stands, and said in the language of a page


@dataclass(frozen=True)
class CredentialState:
    """`word` is in_force, expired, revoked (for `reason`), held (not in force at the moment) or replaced."""

    word: str
    at: datetime | None = None
    reason: str = ""

    @property
    def withdrawn(self) -> bool:
        """Its status bit is set: it never counts again."""
        return self.word in ("revoked", "held", "replaced")


def reason_of(award: Award) -> str:
    """Return why an award was taken back, as whoever did it wrote it; a reason that is ours can be said elsewhere."""
    return HOLDER_ASKED if award.revocation_reason == HOLDER_ASKED else award.revocation_reason or ""


def state_of(edition: Edition, now: datetime) -> CredentialState:
    """Return what has become of an edition; its award is loaded with it."""
    award = edition.award
    if award.status == "revoked":
        return CredentialState("revoked", award.revoked_at or edition.withdrawn_at, reason_of(award))
    if edition.withdrawn_at is not None:
        return CredentialState("held" if award.status == "held" else "replaced", edition.withdrawn_at)
    if edition.valid_until is not None and edition.valid_until <= now:
        return CredentialState("expired", edition.valid_until)
    return CredentialState("in_force", edition.valid_from)
