"""What strangers fetch most, straight from the database: a public credential's signed bytes.

A reader who may see no more than everybody is answered from here with one statement; whoever may see more goes
through services.forms. One that is private and one that is not there are the same: no row (I24)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from lti_tool.models import Achievement, AchievementVersion, Award, Edition
from lti_tool.prepared import Prepared
from lti_tool.services.forms import check_text
from lti_tool.services.tool import Tool

_E, _A = Edition.__table__, Award.__table__
_V, _S = AchievementVersion.__table__, Achievement.__table__
_public = (_E.c.id == bindparam("id"), _E.c.signed_at.is_not(None), _A.c.page_public)
_IS_PUBLIC = Prepared(select(_E.c.id).join(_A, _A.c.id == _E.c.award_id).where(*_public))
_DOCUMENT = Prepared(
    select(_E.c.document, _S.c.slug)
    .join(_A, _A.c.id == _E.c.award_id)
    .join(_V, _V.c.id == _A.c.version_id)
    .join(_S, _S.c.id == _V.c.achievement_id)
    .where(*_public)
)


@dataclass(frozen=True, slots=True)
class PublicDocument:
    """A signed credential as JSON, and the slug of what it stands for."""

    content: bytes
    slug: str


def is_public(tool: Tool, credential_id: str) -> bool:
    """Tell whether everybody may see a credential at this moment."""
    check_text(credential_id)
    return tool.statements.one(_IS_PUBLIC, {"id": credential_id}) is not None


def public_document(tool: Tool, credential_id: str) -> PublicDocument | None:
    """Return the signed bytes of a credential that everybody may see; None for one that is private or not there."""
    check_text(credential_id)
    row = tool.statements.one(_DOCUMENT, {"id": credential_id})
    return PublicDocument(row.document, row.slug) if row is not None else None
