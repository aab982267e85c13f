"""What a wallet gets that asks whether there is something newer than what it holds: `refreshService` of a credential.

https://www.imsglobal.org/spec/ob/v3p0#credentialrefreshservice"""

from __future__ import annotations

from datetime import datetime

from lti_tool.errors import NotFound
from lti_tool.models import Edition
from lti_tool.sentence import Sentence
from lti_tool.services import expiry, forms
from lti_tool.services.tool import Tool


def refreshed(
    tool: Tool, credential_id: str, browser_secret: str | None, now: datetime, form: str, launch: str = ""
) -> Edition:
    """Return the newest edition of a credential's award: renewed, issued again, or the very same.

    Who may see the one may see the other. Raises NotFound, with status 410 for an award that was taken back."""
    held = forms.find_edition(tool, credential_id, browser_secret, now, "json", launch, as_page=True)
    if held.award.status == "revoked":
        raise NotFound(
            "revoked",
            status=410,
            reason="revoked",
            sentence=Sentence("This badge was withdrawn, so there is nothing newer."),
            what_to_do=Sentence("Its page says why."),
        )
    with tool.db.read() as session:
        newest = expiry.newest(session, held.award_id)
        if newest is None:
            raise NotFound("no edition in force at the moment")
        return forms.signed_edition(session, newest.id, form)
