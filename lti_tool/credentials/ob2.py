"""Open Badges 2.0: the hosted view of what was signed as Open Badges 3.0, for those that read nothing newer.

Everything here is made of the signed document, the Achievement or the Profile, so the two can never tell differently.
https://www.imsglobal.org/sites/default/files/Badges/OBv2p0Final/index.html
"""

from __future__ import annotations

import hashlib
from typing import Any

from lti_tool.credentials.untrusted import objects, text_of

CONTEXT = "https://w3id.org/openbadges/v2"

Json = dict[str, Any]


def assertion_address(base_url: str, credential_id: str) -> str:
    return f"{base_url}/ob2/assertions/{credential_id}"


def badge_address(base_url: str, slug: str, version: int) -> str:
    return f"{base_url}/ob2/badges/{slug}/v{version}"


def issuer_address(base_url: str, slug: str) -> str:
    return f"{base_url}/ob2/issuers/{slug}"


def assertion(credential: Json, *, address: str, badge: str, salt: str) -> Json:
    """Return a signed credential as a hosted Assertion. `salt` is its edition's."""
    subject = credential["credentialSubject"]
    found: Json = {
        "@context": CONTEXT,
        "type": "Assertion",
        "id": address,
        "recipient": recipient(subject, salt),
        "badge": badge,
        "image": f"{address}.png",
        "verification": {"type": "HostedBadge"},
        "issuedOn": credential.get("awardedDate") or credential["validFrom"],
    }
    if "validUntil" in credential:
        found["expires"] = credential["validUntil"]
    if narrative := text_of(subject.get("narrative")):
        found["narrative"] = narrative
    if evidence := [_evidence(each) for each in objects(credential.get("evidence", []))]:
        found["evidence"] = evidence
    return found


def recipient(subject: Json, salt: str) -> Json:
    """Return whom an assertion is about: by her e-mail address where she chose its hash, else by the hashed subject id.

    The hash of an address is the one in the credential, with its salt: lower-cased before it was hashed."""
    for identity in objects(subject.get("identifier", [])):
        if identity.get("identityType") == "emailAddress" and identity.get("hashed"):
            return _hashed("email", identity["identityHash"], identity.get("salt", ""))
    digest = hashlib.sha256((subject["id"] + salt).encode()).hexdigest()
    return _hashed("url", f"sha256${digest}", salt)


def _hashed(kind: str, identity: str, salt: str) -> Json:
    return {"type": kind, "hashed": True, "salt": salt, "identity": identity}


def _evidence(evidence: Json) -> Json:
    found: Json = {"type": "Evidence"}
    if address := text_of(evidence.get("id")):
        found["id"] = address
    for member in ("name", "description", "narrative", "genre", "audience"):
        if text := text_of(evidence.get(member)):
            found[member] = text
    return found


def withdrawn(address: str, reason: str) -> Json:
    """Return what the address of an Assertion answers, with status 410, once it counts no more."""
    return {"@context": CONTEXT, "type": "Assertion", "id": address, "revoked": True, "revocationReason": reason}


def badge_class(achievement: Json, *, address: str, issuer: str) -> Json:
    """Return an Achievement as a BadgeClass."""
    image = achievement["image"]
    found: Json = {
        "@context": CONTEXT,
        "type": "BadgeClass",
        "id": address,
        "@language": achievement["inLanguage"],
        "version": achievement["version"],
        "name": achievement["name"],
        "description": achievement["description"],
        "image": {"id": image["id"], "caption": image["caption"]} if image.get("caption") else image["id"],
        "criteria": {"id": achievement["id"], "narrative": achievement["criteria"]["narrative"]},
        "issuer": issuer,
    }
    if alignment := [_alignment(each) for each in objects(achievement.get("alignment", []))]:
        found["alignment"] = alignment
    if tags := achievement.get("tag"):
        found["tags"] = tags
    return found


def _alignment(alignment: Json) -> Json:
    members = ("targetName", "targetUrl", "targetDescription", "targetFramework", "targetCode")
    return {member: alignment[member] for member in members if alignment.get(member)}


def issuer_profile(profile: Json, *, address: str) -> Json:
    """Return a Profile of Open Badges 3.0 as an Issuer.

    Open Badges 2.0 asks for an e-mail address too; where the issuer has written down none, there is none here."""
    found: Json = {"@context": CONTEXT, "type": "Issuer", "id": address}
    for member in ("name", "url", "email", "description"):
        if text := text_of(profile.get(member)):
            found[member] = text
    if isinstance(image := profile.get("image"), dict):
        found["image"] = image["id"]
    return found
