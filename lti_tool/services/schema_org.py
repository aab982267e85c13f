"""What public pages say in the terms of schema.org, for search engines and for whoever reads pages by machine.

https://schema.org/EducationalOccupationalCredential. It says nothing that the page does not show."""

from __future__ import annotations

from typing import Any

from lti_tool.domain.badge import MICRO_CREDENTIAL, Badge
from lti_tool.services.pages.public import AchievementPage, CredentialPage

CONTEXT = "https://schema.org"
CREDENTIAL = "EducationalOccupationalCredential"
VOCABULARY = "https://purl.imsglobal.org/spec/vc/ob/vocab.html#AchievementType"


def of_achievement(page: AchievementPage) -> dict[str, Any]:
    """Return what a badge stands for."""
    return {"@context": CONTEXT, **_badge(page.badge, page), "@id": page.url, "url": page.url, "version": page.version}


def of_credential(page: CredentialPage) -> dict[str, Any]:
    """Return a credential, held by a person where the page names her."""
    badge = _badge(page.badge, page)
    credential = {
        **badge,
        "@id": page.url,
        "url": page.url,
        "identifier": page.credential_id,
        "isBasedOn": page.achievement_url,
        "datePublished": page.issued_at.date().isoformat(),
        "creativeWorkStatus": page.state,
        **({"expires": page.expires_at.date().isoformat()} if page.expires_at else {}),
        "encoding": [
            {"@type": "MediaObject", "encodingFormat": kind, "contentUrl": address} for kind, address in page.alternates
        ],
    }
    if not page.recipient:
        return {"@context": CONTEXT, **credential}
    person = {"@type": "Person", "name": page.recipient, "hasCredential": {"@id": page.url}}
    return {"@context": CONTEXT, "@graph": [credential, person]}


def _badge(badge: Badge, page: AchievementPage | CredentialPage) -> dict[str, Any]:
    kind = (badge.type or MICRO_CREDENTIAL).removeprefix("ext:")
    told = {
        "@type": CREDENTIAL,
        "name": badge.name,
        "description": badge.description,
        "inLanguage": badge.language,
        "image": page.picture_url,
        "credentialCategory": {"@type": "DefinedTerm", "name": kind, "inDefinedTermSet": VOCABULARY},
        "educationalLevel": badge.level,
        "keywords": list(badge.tags),
        "validFor": badge.expires_after or "",
        "competencyRequired": [
            {"@type": "DefinedTerm", "termCode": row.code, "name": row.name, "description": row.description}
            for row in badge.sub_competencies
        ],
        "recognizedBy": {"@type": "Organization", "@id": page.issuer_url, "name": page.issuer, "url": page.issuer_url},
    }
    return {name: value for name, value in told.items() if value not in ("", [])}
