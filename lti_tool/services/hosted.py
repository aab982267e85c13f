"""The Open Badges 2.0 view: hosted documents for those that read nothing newer, made of what was signed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lti_tool.credentials import baking, ob2, ob3
from lti_tool.errors import Gone, NotFound
from lti_tool.models import AchievementVersion, Edition
from lti_tool.services.credential_state import HOLDER_ASKED
from lti_tool.services.editions import achievement_of
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.published import find_issuer, find_version
from lti_tool.services.tool import Tool

Json = dict[str, Any]


@dataclass(frozen=True)
class Hosted:
    """An assertion; `gone` where it counts no more, and the document says why."""

    document: Json
    gone: bool


ADDRESS = re.compile(
    r"assertions/(?P<id>[^/.]+)(?P<form>\.json|\.png)?"
    r"|badges/(?P<slug>[^/]+)/v(?P<number>[0-9]{1,9})"
    r"|issuers/(?P<of>[^/]+)"
)


def content_at(tool: Tool, path: str, find: Callable[[str, str], Edition]) -> tuple[int, bytes]:
    """Return what an address below /ob2/ answers, as the pages do: status and content; raises NotFound.

    `find` returns the edition of an id, loaded for a form, if whoever asks may see it."""
    named = ADDRESS.fullmatch(path)
    if named is None:
        raise NotFound("no address of the Open Badges 2.0 view")
    if named["id"]:
        form = (named["form"] or ".json")[1:]
        try:
            edition = find(named["id"], form)
        except Gone:
            return 410, json.dumps(of_erased(tool, named["id"]).document).encode()
        found = assertion(tool, edition)
        if form == "png" and not found.gone:
            return 200, baked(edition, found)
        return (410 if found.gone else 200), json.dumps(found.document).encode()
    if named["slug"]:
        return 200, json.dumps(badge_class(tool, find_version(tool, named["slug"], int(named["number"])))).encode()
    return 200, json.dumps(issuer(tool, named["of"])).encode()


def assertion(tool: Tool, edition: Edition) -> Hosted:
    """Return the assertion of a signed edition, whose document is loaded."""
    base, version = tool.settings.base_url, edition.award.version
    address = ob2.assertion_address(base, edition.id)
    if edition.withdrawn_at is not None:
        return Hosted(ob2.withdrawn(address, _reason(edition)), gone=True)
    document = ob2.assertion(
        json.loads(edition.document or b""),
        address=address,
        badge=ob2.badge_address(base, version.achievement.slug, version.number),
        salt=edition.salt,
    )
    return Hosted(document, gone=False)


def of_erased(tool: Tool, credential_id: str) -> Hosted:
    """Return what is left of the assertion of somebody who was erased."""
    return Hosted(ob2.withdrawn(ob2.assertion_address(tool.settings.base_url, credential_id), HOLDER_ASKED), gone=True)


def _reason(edition: Edition) -> str:
    """Say why an edition counts no more: in English whatever the reader's language, for it is read by machines."""
    award = edition.award
    if award.status == "revoked":
        return award.revocation_reason or "It was taken back."
    return "It is not in force at the moment." if award.status == "held" else "It was replaced by a newer edition."


def baked(edition: Edition, hosted: Hosted) -> bytes:
    """Return the picture with an assertion inside; its document and picture are loaded."""
    text = json.dumps(hosted.document, ensure_ascii=False, separators=(",", ":"))
    return baking.bake_png(edition.award.version.picture_png, text, baking.KEYWORD_OB2)


def badge_class(tool: Tool, version: AchievementVersion) -> Json:
    base, slug = tool.settings.base_url, version.achievement.slug
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
        achievement = achievement_of(tool, version, profile)
    return ob2.badge_class(
        achievement,
        address=ob2.badge_address(base, slug, version.number),
        issuer=ob2.issuer_address(base, profile.slug),
    )


def issuer(tool: Tool, slug: str) -> Json:
    """Return the issuer of a slug; raises NotFound for another."""
    find_issuer(tool, slug)
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
    return ob2.issuer_profile(ob3.issuer_profile(profile), address=ob2.issuer_address(tool.settings.base_url, slug))
