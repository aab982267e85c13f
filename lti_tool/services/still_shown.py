"""What a learner still shows of an edition that was replaced: nothing that her newest one does not say.

She took her name out of her credential, or had it corrected: then no page of before goes on telling it. The files of
such an edition are hers, and those of whoever has them; here nobody else gets them any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.models import Edition
from lti_tool.services.tool import Tool

Choices = Mapping[str, Any]


@dataclass(frozen=True)
class StillShown:
    """`choices` as a page shows them. `whole`: they are all that the edition says, so its files go out too."""

    choices: Choices
    whole: bool = True


def of_edition(tool: Tool, edition: Edition) -> StillShown:
    """Return what is still shown of an edition."""
    if edition.withdrawn_at is None:
        return StillShown(edition.choices)
    with tool.db.read() as session:
        return of_choices(session, edition.award_id, edition.choices, edition.withdrawn_at)


def of_choices(session: Session, award_id: str, choices: Choices, withdrawn_at: datetime | None) -> StillShown:
    """Return the same for an edition of which this much is loaded."""
    if withdrawn_at is None:
        return StillShown(choices)
    newest = select(Edition.choices).where(Edition.award_id == award_id, Edition.number > 0)
    now = session.scalar(newest.order_by(Edition.number.desc()).limit(1)) or {}
    both = common(choices, now)
    return StillShown(both, whole=both == choices)


def common(old: Choices, now: Choices) -> Choices:
    """Return those of an edition's choices that a later one makes too."""
    kept = {name: value for name, value in old.items() if name not in ("name", "narrative", "email", "grades")}
    kept |= {name: old[name] for name in ("name", "narrative", "grades") if name in old and old[name] == now.get(name)}
    if old.get("email") and now.get("email"):  # each edition has a hash of its own
        kept["email"] = old["email"]
    if old.get("results", True) and not now.get("results", True):
        kept["results"] = False
    if "evidence" in old:
        there = {each["id"] for each in now.get("evidence", ())}
        kept["evidence"] = [each for each in old["evidence"] if each["id"] in there]
    return kept
