"""Status lists, signed anew where something was revoked since."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from lti_tool.credentials import status_list
from lti_tool.errors import NotFound
from lti_tool.models import Edition, Endorsement, StatusList
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.tool import Tool


def status_list_json(tool: Tool, number: int, now: datetime) -> bytes:
    """Return a signed status list, made anew where something was revoked since, and at least once a day."""
    with tool.db.read() as session:
        row = session.get(StatusList, number)
        if row is None:
            raise NotFound(f"no status list {number}")
        revision = row.revision
        key = ("status", number, revision, tool.keyring.ed25519.kid)
        made_at, content = tool.status_lists.get(key, (None, b""))
        if made_at is not None and now - made_at < timedelta(days=1):
            return content
        withdrawn = list(
            session.scalars(
                select(Edition.status_index).where(Edition.status_list_id == number, Edition.withdrawn_at.is_not(None))
            )
        )
        withdrawn += session.scalars(
            select(Endorsement.status_index).where(
                Endorsement.status_list_id == number, Endorsement.withdrawn_at.is_not(None)
            )
        )
        profile = issuer_profile(session, tool)
    content = status_list.status_list_credential(
        number,
        withdrawn,
        issuer=profile,
        base_url=tool.settings.base_url,
        valid_from=now.replace(microsecond=0),
        ed25519=tool.keyring.ed25519,
    )
    for old in [each for each in tool.status_lists if each[1] == number]:
        tool.status_lists.pop(old, None)
    tool.status_lists[key] = (now, content)
    return content
