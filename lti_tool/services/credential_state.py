"""What has become of a credential: one word, since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lti_tool.models import Edition


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


def state_of(edition: Edition, now: datetime) -> CredentialState:
    """Return what has become of an edition; its award is loaded with it."""
    award = edition.award
    if award.status == "revoked":
        return CredentialState("revoked", award.revoked_at or edition.withdrawn_at, award.revocation_reason or "")
    if edition.withdrawn_at is not None:
        return CredentialState("held" if award.status == "held" else "replaced", edition.withdrawn_at)
    if edition.valid_until is not None and edition.valid_until <= now:
        return CredentialState("expired", edition.valid_until)
    return CredentialState("in_force", edition.valid_from)
