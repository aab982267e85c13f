"""What strangers fetch most, straight from the database: a public credential's signed bytes.

A reader who may see no more than everybody is answered from here with one statement; whoever may see more goes
through services.forms. One that is private and one that is not there are the same: no row (I24)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select

from lti_tool.models import Achievement, AchievementVersion, Award, Edition
from lti_tool.prepared import Prepared
from lti_tool.services.forms import check_text
from lti_tool.services.tool import Tool

_E, _A = Edition.__table__, Award.__table__
_V, _S = AchievementVersion.__table__, Achievement.__table__
_public = (_E.c.id == bindparam("id"), _E.c.signed_at.is_not(None), _A.c.page_public)
_OPEN = Prepared(
    select(_A.c.id, _A.c.searchable, _E.c.withdrawn_at, _E.c.valid_until)
    .join(_A, _A.c.id == _E.c.award_id)
    .where(*_public)
)
_DOCUMENT = Prepared(
    select(_E.c.document, _S.c.slug)
    .join(_A, _A.c.id == _E.c.award_id)
    .join(_V, _V.c.id == _A.c.version_id)
    .join(_S, _S.c.id == _V.c.achievement_id)
    .where(*_public, _E.c.withdrawn_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class PublicDocument:
    """A signed credential as JSON, and the slug of what it stands for."""

    content: bytes
    slug: str


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page that everybody may see; `searchable`: search engines may list it, as long as it is in force."""

    award_id: str
    searchable: bool


def open_page(tool: Tool, credential_id: str, now: datetime) -> OpenPage | None:
    """Return what is known of a credential's page if everybody may see it at this moment; else None."""
    check_text(credential_id)
    row = tool.statements.one(_OPEN, {"id": credential_id})
    if row is None:
        return None
    in_force = row.withdrawn_at is None and (row.valid_until is None or row.valid_until > now)
    return OpenPage(row.id, row.searchable and in_force)


def public_document(tool: Tool, credential_id: str) -> PublicDocument | None:
    """Return the signed bytes of a credential that everybody may see; None for one that is private or not there.

    None too for one that was withdrawn: what is still shown of it takes a closer look (services.still_shown)."""
    check_text(credential_id)
    row = tool.statements.one(_DOCUMENT, {"id": credential_id})
    return PublicDocument(row.document, row.slug) if row is not None else None
