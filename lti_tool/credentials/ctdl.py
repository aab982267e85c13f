"""A badge in CTDL, the Credential Transparency Description Language: JSON-LD for catalogues and registries.

https://credreg.net/ctdl/terms — a credential requires a condition profile, whose assessment assesses competencies."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lti_tool.credentials.ob3 import IssuerProfile, achievement_address, signable
from lti_tool.domain.badge import Alignment, Badge, SubCompetency, number_text

CONTEXT = "https://credreg.net/ctdl/schema/context/json"

# What CTDL has a class of the same name for, of Open Badges' achievement types; any other is a MicroCredential there.
CLASSES = {
    *("ApprenticeshipCertificate", "AssociateDegree", "BachelorDegree", "Badge", "Certificate"),
    *("CertificateOfCompletion", "Certification", "Degree", "Diploma", "DoctoralDegree", "GeneralEducationDevelopment"),
    *("JourneymanCertificate", "License", "MasterCertificate", "MasterDegree", "ProfessionalDoctorate"),
    *("QualityAssuranceCredential", "ResearchDoctorate", "SecondarySchoolDiploma"),
}
CTID = re.compile(r"ce-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """Which version of an achievement is described: its number and day, and the numbers beside it that there are."""

    slug: str
    number: int
    since: datetime
    newest: int


def ctid(address: str) -> str:
    """Return the CTID of a thing by its address: always the same one.

    In the form of a UUID v4, as https://credreg.net/ctdl/ctid asks: one of version 5 would be made from a name too, and
    be no CTID."""
    return f"ce-{uuid.UUID(bytes=hashlib.sha256(address.encode()).digest()[:16], version=4)}"


def credential(badge: Badge, version: Published, *, base_url: str, issuer: IssuerProfile) -> Json:
    """Return a badge as a graph: the credential, whose it is, and the assessment it requires."""
    address = achievement_address(base_url, version.slug, version.number)
    says = _Says(badge.language)
    assessment, organisation = _blank(address, "assessment"), _blank(address, "organisation")
    node: Json = {
        "@id": address,
        "@type": f"ceterms:{badge.type if badge.type in CLASSES else 'MicroCredential'}",
        "ceterms:ctid": _registered(badge) or ctid(address),
        "ceterms:name": says(badge.name),
        "ceterms:description": says(badge.description),
        "ceterms:subjectWebpage": address,
        "ceterms:image": f"{address}.png",
        "ceterms:inLanguage": [badge.language],
        "ceterms:ownedBy": [organisation],
        "ceterms:offeredBy": [organisation],
        "ceterms:dateEffective": f"{version.since:%Y-%m-%d}",
        "ceterms:versionIdentifier": [
            {
                "@type": "ceterms:IdentifierValue",
                "ceterms:identifierTypeName": says("Version"),
                "ceterms:identifierValueCode": str(version.number),
            }
        ],
        "ceterms:credentialStatusType": _status(newest=version.number == version.newest),
        "ceterms:requires": [_condition(badge, says, assessment)],
    }
    if badge.human_code:
        node["ceterms:codedNotation"] = badge.human_code
    if badge.tags:
        node["ceterms:keyword"] = {badge.language: [signable(tag) for tag in badge.tags]}
    if badge.expires_after:
        node["ceterms:renewalFrequency"] = badge.expires_after
    for name, number in (
        ("ceterms:previousVersion", version.number - 1),
        ("ceterms:nextVersion", version.number + 1),
        ("ceterms:latestVersion", version.newest),
    ):
        if 0 < number <= version.newest:
            node[name] = achievement_address(base_url, version.slug, number)
    graph = [node, _organisation(organisation, issuer, says), _assessment(assessment, badge, says)]
    return {"@context": CONTEXT, "@id": f"{address}.ctdl.json", "@graph": graph}


def _registered(badge: Badge) -> str:
    """Return the CTID that somebody has given the badge, as a registry has it; empty where nobody has."""
    given = (each.value.lower() for each in badge.identifiers if each.type.lower() == "ext:ctid")
    return next((value for value in given if CTID.fullmatch(value)), "")


class _Says:
    """A text in the badge's language, as CTDL writes it."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, text: str) -> Json:
        return {self.language: signable(text)}


def _blank(address: str, what: str) -> str:
    return f"_:{uuid.uuid5(uuid.NAMESPACE_URL, f'{address}#{what}')}"


def _organisation(node_id: str, issuer: IssuerProfile, says: _Says) -> Json:
    node: Json = {
        "@id": node_id,
        "@type": "ceterms:CredentialOrganization",
        "ceterms:name": says(issuer.name),
        "ceterms:subjectWebpage": issuer.url or f"{issuer.base_url}/issuers/{issuer.slug}",
    }
    if issuer.description:
        node["ceterms:description"] = says(issuer.description)
    if issuer.email:
        node["ceterms:email"] = [issuer.email]
    return node


def _status(*, newest: bool) -> Json:
    """Return whether it is given as it stands here: an earlier version is superseded by the newest."""
    word = "Active" if newest else "Superseded"
    return {
        "@type": "ceterms:CredentialAlignmentObject",
        "ceterms:framework": "https://credreg.net/ctdl/terms/CredentialStatus",
        "ceterms:frameworkName": {"en": "Credential Status Category"},
        "ceterms:targetNode": f"credentialStat:{word}",
        "ceterms:targetNodeName": {"en": word},
    }


def _condition(badge: Badge, says: _Says, assessment: str) -> Json:
    """Return what is required: the criteria in words, each sub-competency with its level, and the assessment."""
    rows = [f"{row.name}: {row.required_level}" for row in badge.sub_competencies]
    node: Json = {
        "@type": "ceterms:ConditionProfile",
        "ceterms:name": says(badge.name),
        "ceterms:description": says(badge.criteria),
        "ceterms:condition": {badge.language: [signable(each) for each in (*rows, *(g.name for g in badge.gates))]},
        "ceterms:targetCompetency": [*_competencies(badge, says)],
    }
    if badge.sub_competencies:
        node["ceterms:targetAssessment"] = [assessment]
    if badge.credits is not None:
        value = int(badge.credits) if badge.credits == int(badge.credits) else float(badge.credits)
        told = {"@type": "ceterms:ValueProfile", "schema:value": value, "schema:description": says("credits")}
        node["ceterms:creditValue"] = [told]
    return node


def _assessment(node_id: str, badge: Badge, says: _Says) -> Json:
    return {
        "@id": node_id,
        "@type": "ceterms:AssessmentProfile",
        "ceterms:name": says(badge.name),
        "ceterms:description": says(badge.description),
        "ceterms:scoringMethodDescription": says(" ".join(_scoring(row) for row in badge.sub_competencies)),
        "ceterms:assesses": [*_competencies(badge, says)],
    }


def _scoring(row: SubCompetency) -> str:
    """Return a rubric row in words: its levels with their points, low to high."""
    levels = ", ".join(f"{level.name} ({number_text(level.points)})" for level in row.levels)
    return f"{row.name}: {levels}; {row.required_level}."


def _competencies(badge: Badge, says: _Says) -> Iterator[Json]:
    """Return the sub-competencies, each with what it is aligned to, then what the whole badge is aligned to."""
    for row in badge.sub_competencies:
        own: Json = {
            "@type": "ceterms:CredentialAlignmentObject",
            "ceterms:targetNodeName": says(row.name),
            "ceterms:codedNotation": row.code,
        }
        if row.description:
            own["ceterms:targetNodeDescription"] = says(row.description)
        yield own
        yield from _aligned(row.alignment, says)
    yield from _aligned(badge.alignment, says)


def _aligned(alignments: Sequence[Alignment], says: _Says) -> Iterator[Json]:
    for each in alignments:
        node: Json = {
            "@type": "ceterms:CredentialAlignmentObject",
            "ceterms:targetNode": each.url,
            "ceterms:targetNodeName": says(each.name),
        }
        if each.description:
            node["ceterms:targetNodeDescription"] = says(each.description)
        if each.framework:
            node["ceterms:frameworkName"] = says(each.framework)
        if each.code:
            node["ceterms:codedNotation"] = each.code
        yield node
