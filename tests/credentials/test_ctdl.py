"""A badge in CTDL: what a catalogue reads, and that all of it is CTDL."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

from pyld import jsonld

from lti_tool.credentials import ctdl
from lti_tool.credentials.ob3 import IssuerProfile
from lti_tool.domain.badge import Alignment, Identifier
from tests.classroom import badge, gate, row

ISSUER = IssuerProfile(
    did="did:web:badges.example.edu",
    slug="hallwood",
    base_url="https://badges.example.edu",
    name="Hallwood University",
    url="https://hallwood.example",
    email="badges@hallwood.example",
    description="A university.",
)
COM = Alignment("Framework", "Communication", "https://frameworks.example/uri/1", "COM")
# What a badge says in CTDL, by CTDL's own list of terms (credreg.net/ctdl/terms, read in November 2026).
NAMESPACES = {
    "ceterms": "https://purl.org/ctdl/terms/",
    "credentialStat": "https://purl.org/ctdl/vocabs/credentialStat/",
    "schema": "https://schema.org/",
}


def described(number: int = 2, newest: int = 2, **changes) -> dict:
    values = {
        "rows": 0,
        "sub_competencies": (row("A", alignment=(COM,), description="Row A, in words."), row("B")),
        "gates": (gate(),),
        "tags": ("speaking",),
        "credits": Decimal("1.5"),
        "expires_after": "P3Y",
        "language": "en-GB",
        **changes,
    }
    version = ctdl.Published("oral-communication", number, datetime(2026, 11, 22, tzinfo=UTC), newest)
    return ctdl.credential(badge(**values), version, base_url="https://badges.example.edu", issuer=ISSUER)


def nodes(document: dict) -> dict[str, dict]:
    return {node["@type"]: node for node in document["@graph"]}


def test_a_badge_is_a_micro_credential_with_its_owner_and_its_condition():
    document = described()
    credential = nodes(document)["ceterms:MicroCredential"]
    assert document["@context"] == "https://credreg.net/ctdl/schema/context/json"
    assert credential["@id"] == credential["ceterms:subjectWebpage"]
    assert credential["ceterms:name"] == {"en-GB": "Careful Work"}
    assert credential["ceterms:inLanguage"] == ["en-GB"]
    assert credential["ceterms:keyword"] == {"en-GB": ["speaking"]}
    assert credential["ceterms:renewalFrequency"] == "P3Y"
    organisation = nodes(document)["ceterms:CredentialOrganization"]
    assert credential["ceterms:ownedBy"] == [organisation["@id"]]
    assert organisation["ceterms:subjectWebpage"] == "https://hallwood.example"
    (condition,) = credential["ceterms:requires"]
    assert condition["ceterms:condition"] == {"en-GB": ["Row A: Proficient", "Row B: Proficient", "Gate g"]}
    assert condition["ceterms:creditValue"][0]["schema:value"] == 1.5
    first, aligned, second = condition["ceterms:targetCompetency"]
    assert (first["ceterms:targetNodeName"], first["ceterms:codedNotation"]) == ({"en-GB": "Row A"}, "A")
    assert aligned["ceterms:targetNode"] == COM.url and aligned["ceterms:frameworkName"] == {"en-GB": "Framework"}
    assert second["ceterms:targetNodeName"] == {"en-GB": "Row B"}
    assessment = nodes(document)["ceterms:AssessmentProfile"]
    assert condition["ceterms:targetAssessment"] == [assessment["@id"]]
    assert assessment["ceterms:assesses"] == condition["ceterms:targetCompetency"]


def test_a_ctid_follows_from_the_address_and_differs_from_version_to_version():
    first, again, other = described(), described(), described(number=1)
    ctids = [nodes(each)["ceterms:MicroCredential"]["ceterms:ctid"] for each in (first, again, other)]
    assert ctids[0] == ctids[1] != ctids[2]
    assert re.fullmatch(r"ce-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ctids[0])


def test_what_an_author_wrote_for_catalogues_stands_in_it():
    given = "ce-e8a41a52-6ff6-48f0-9872-889c87b093b7"
    written = described(type="Certificate", human_code="COM-210", identifiers=(Identifier("ext:CTID", given.upper()),))
    credential = nodes(written)["ceterms:Certificate"]
    assert (credential["ceterms:ctid"], credential["ceterms:codedNotation"]) == (given, "COM-210")
    other = described(type="ext:Nanodegree", identifiers=(Identifier("ext:ctid", "none"), Identifier("issn", given)))
    assert nodes(other)["ceterms:MicroCredential"]["ceterms:ctid"].startswith("ce-")
    assert nodes(other)["ceterms:MicroCredential"]["ceterms:ctid"] != given


def test_an_earlier_version_says_that_it_is_superseded_and_by_which():
    credential = nodes(described(number=1, newest=3))["ceterms:MicroCredential"]
    assert credential["ceterms:credentialStatusType"]["ceterms:targetNode"] == "credentialStat:Superseded"
    assert credential["ceterms:nextVersion"].endswith("/v2") and credential["ceterms:latestVersion"].endswith("/v3")
    assert "ceterms:previousVersion" not in credential
    newest = nodes(described(number=3, newest=3))["ceterms:MicroCredential"]
    assert newest["ceterms:credentialStatusType"]["ceterms:targetNode"] == "credentialStat:Active"
    assert "ceterms:nextVersion" not in newest


def test_everything_in_it_has_a_meaning_once_its_prefixes_are_known():
    """The real context, which is fetched from nowhere here, gives the same prefixes, and types beside them."""
    document = described()
    context = {**NAMESPACES, "@version": 1.1}
    for name in ("ceterms:name", "ceterms:description", "ceterms:keyword", "ceterms:condition"):
        context[name] = {"@id": name.replace("ceterms:", NAMESPACES["ceterms"]), "@container": "@language"}
    for each in ("targetNodeName", "targetNodeDescription", "frameworkName", "identifierTypeName"):
        context[f"ceterms:{each}"] = {"@id": f"{NAMESPACES['ceterms']}{each}", "@container": "@language"}
    context["ceterms:scoringMethodDescription"] = {
        "@id": f"{NAMESPACES['ceterms']}scoringMethodDescription",
        "@container": "@language",
    }
    context["schema:description"] = {"@id": f"{NAMESPACES['schema']}description", "@container": "@language"}
    expanded = json.dumps(jsonld.expand({**document, "@context": context}))
    terms = set(re.findall(r'"((?:ceterms|schema):\w+)":', json.dumps(document)))
    for term in terms:
        prefix, _colon, name = term.partition(":")
        assert f'"{NAMESPACES[prefix]}{name}"' in expanded, term
    assert "Careful Work" in expanded and '"en-gb"' in expanded.lower()
