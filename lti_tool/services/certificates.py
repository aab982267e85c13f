"""Certificates: made when somebody asks, kept while there is room, and never so many at once that others wait."""

from __future__ import annotations

import hashlib
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.credentials import ob3
from lti_tool.credentials.certificate import Sheet, certificate
from lti_tool.credentials.picture import COLOUR, LEAST_CONTRAST, contrast, svg_of_png
from lti_tool.domain.badge import Badge, Picture, badge_from_content
from lti_tool.errors import Busy, NotFound
from lti_tool.models import AchievementVersion, Edition, Issuer
from lti_tool.sentence import Sentence
from lti_tool.services.tool import Tool
from lti_tool.services.typeset import Typeset
from lti_tool.services.words import ENGLISH, LANGUAGES, said_in

kept = Typeset()


def certificate_of(tool: Tool, edition: Edition) -> bytes:
    """Return an edition's certificate. Its document is loaded; it is the same for every reader.

    Raises Busy where others are waiting already, CertificateFailed where it cannot be made."""
    if edition.document is None:
        raise NotFound("not signed yet")
    with tool.db.read() as session:
        logo_at = session.scalar(select(Issuer.logo_at))
        key = (edition.id, hashlib.sha256(edition.document).hexdigest(), str(logo_at))
        if (made := kept.get(key)) is not None:
            return made
        sheet = _sheet(tool, session, edition)
    busy = Busy(
        "certificates are being made",
        reason="certificates_busy",
        sentence=Sentence("Other certificates are being made at this moment."),
    )
    return kept.made(key, partial(certificate, sheet), busy)


def _sheet(tool: Tool, session: Session, edition: Edition) -> Sheet:
    version = edition.award.version
    badge = badge_from_content(version.definition)
    logo = session.scalar(select(Issuer.logo).where(Issuer.logo_at.is_not(None)))
    language = spoken(badge)
    return Sheet(
        document=edition.document or b"",
        url=ob3.credential_address(tool.settings.base_url, edition.id),
        picture=drawing_of(session, version.id),
        logo=svg_of_png(logo) if logo else "",
        accent=accent_of(badge.picture),
        slug=version.achievement.slug,
        level=badge.level,
        language=language,
        say=partial(said_in, language),
    )


def spoken(badge: Badge) -> str:
    """Return the badge's language where we speak it, else English."""
    language = badge.language.split("-")[0].lower()
    return language if language in LANGUAGES else ENGLISH.language


def accent_of(picture: Picture) -> str:
    """Return the badge's dark colour, or ours where it could not be read on paper: nobody checks it for a file."""
    dark = picture.colours[0]
    return dark if COLOUR.fullmatch(dark) and contrast("#FFFFFF", dark) >= LEAST_CONTRAST else Picture("").colours[0]


def drawing_of(session: Session, version_id: int) -> str:
    """Return a version's picture as SVG: its drawing, or around the pixels where its author sent none."""
    found = session.scalar(select(AchievementVersion.picture_svg).where(AchievementVersion.id == version_id))
    if found is None:
        png = session.scalars(select(AchievementVersion.picture_png).where(AchievementVersion.id == version_id)).one()
        found = svg_of_png(png)
    return found
