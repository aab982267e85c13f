"""The pictures that other sites show beside a link: made when somebody asks, kept, and made anew with what they say.

They say no more than the page does: her name only where it stands there, and what has become of the award."""

from __future__ import annotations

import hashlib
from dataclasses import astuple
from functools import partial

from lti_tool.credentials.link_preview import Preview, link_preview
from lti_tool.domain.badge import MICRO_CREDENTIAL, Badge, badge_from_content
from lti_tool.errors import Busy
from lti_tool.models import AchievementVersion, Edition
from lti_tool.sentence import Day, Sentence
from lti_tool.services import still_shown
from lti_tool.services.certificates import accent_of, drawing_of, spoken
from lti_tool.services.credential_state import CredentialState
from lti_tool.services.issuer import issuer_told
from lti_tool.services.tool import Tool
from lti_tool.services.typeset import Typeset
from lti_tool.services.words import said_in

STATES = {
    "revoked": Sentence("Withdrawn"),
    "held": Sentence("Not in force"),
    "replaced": Sentence("Replaced"),
    "expired": Sentence("Expired"),
}

kept = Typeset()


def of_credential(tool: Tool, edition: Edition, state: CredentialState, *, named: bool = True) -> bytes:
    """Return the picture of a credential; `named`: with her name, where it is in the credential."""
    version = edition.award.version
    badge = badge_from_content(version.definition)
    language = spoken(badge)
    holder = still_shown.of_edition(tool, edition).choices.get("name", "") if named else ""
    return _made(
        Preview(
            **_of_badge(tool, version, badge),
            day=said_in(language, Day(edition.valid_from.date())),
            to=said_in(language, Sentence("awarded to")) if holder else "",
            holder=holder,
            state=said_in(language, STATES[state.word]) if state.word in STATES else "",
        )
    )


def of_achievement(tool: Tool, version: AchievementVersion) -> bytes:
    """Return the picture of what a badge stands for."""
    badge = badge_from_content(version.definition)
    return _made(Preview(**_of_badge(tool, version, badge), day="", to="", holder="", state=""))


def _of_badge(tool: Tool, version: AchievementVersion, badge: Badge) -> dict[str, str]:
    language = spoken(badge)
    kind = said_in(language, Sentence("Micro-credential")) if badge.type in ("", MICRO_CREDENTIAL) else ""
    with tool.db.read() as session:
        drawing = drawing_of(session, version.id)
    return {
        "name": badge.name,
        "kind": " · ".join(part for part in (kind, badge.level) if part),
        "issuer": issuer_told(tool).name,
        "picture": drawing,
        "slug": version.achievement.slug,
        "accent": accent_of(badge.picture),
        "language": language,
        "badge_language": badge.language,
    }


def _made(preview: Preview) -> bytes:
    """Return a picture, made unless one that says the same is at hand. Raises Busy where others wait already."""
    key = (hashlib.sha256("\0".join(astuple(preview)).encode()).hexdigest(),)
    busy = Busy(
        "previews are being made",
        reason="previews_busy",
        sentence=Sentence("Other pictures are being made at this moment."),
    )
    return kept.get(key) or kept.made(key, partial(link_preview, preview), busy)
