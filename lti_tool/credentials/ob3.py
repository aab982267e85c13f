"""Open Badges 3.0: a definition as an Achievement, an award's edition as an unsigned credential.

Every node gets an `id` where the official JSON Schema allows one, so that its canonical form needs few blank nodes.
Data model: https://www.imsglobal.org/spec/ob/v3p0
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lti_tool.credentials.contexts import CREDENTIAL_CONTEXTS, is_iri
from lti_tool.credentials.signing import multikey
from lti_tool.domain.badge import (
    MICRO_CREDENTIAL,
    Alignment,
    Badge,
    Creator,
    Gate,
    Identifier,
    SubCompetency,
    number_text,
)
from lti_tool.errors import ConfigurationError, CredentialHeldBack
from lti_tool.keyring import Key

SCHEMA = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json"
CREDENTIAL_SCHEMA = {"id": SCHEMA, "type": "1EdTechJsonSchemaValidator2019"}
DID_CONTEXTS = [
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/multikey/v1",
    "https://w3id.org/security/jwk/v1",
]

LINKEDIN = "ext:LinkedIn:organizationId"
REFRESH = "1EdTechCredentialRefresh"  # https://www.imsglobal.org/spec/vccr/v1p0
# Of terms of use no context names a type, and a strict verifier refuses one that is not an absolute IRI.
TERMS_OF_USE = "https://www.w3.org/2018/credentials#TermsOfUse"

# How a version's Achievement is written. A version keeps the form it was published in, since credentials hold it: 2
# names the earlier versions, and the most that points can come to.
FORM = 2
MOST_EARLIER = 20  # versions that are named, the newest

SALT_BYTES = 16
SHORTEST_SALT = 22  # characters: 16 bytes in base64url without padding; ours are 32 hexadecimal digits

# Left out of every text. Canonical N-Quads escape controls and U+FFFE differently from one implementation to the next
# (U+0001: rdf-canonize 3.4.0 and PyLD 3.3.0 write it as it is, pyoxigraph 0.5 as \u0001), and then the same credential
# has two signatures.
UNSIGNABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an institution is, in the parts of Open Badges; all may be empty."""

    street: str = ""
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country_code: str = ""  # two letters, ISO 3166-1


@dataclass(frozen=True, slots=True)
class IssuerProfile:
    """The institution. `url` is its own website, `image` the address of its logo; all after the name may be empty."""

    did: str
    slug: str
    base_url: str
    name: str
    url: str = ""
    email: str = ""
    description: str = ""
    image: str | None = None
    linkedin: str = ""  # LinkedIn's number of the organisation
    phone: str = ""
    address: Address = Address()
    identifiers: tuple[Identifier, ...] = ()  # what registries call it
    parent_name: str = ""  # the organisation it belongs to
    parent_url: str = ""

    @property
    def page(self) -> str:
        return f"{self.base_url}/issuers/{self.slug}"


@dataclass(frozen=True, slots=True)
class StackMember:
    """A badge that a stack asks for: its slug in the stack's definition, its name, its achievement's address."""

    slug: str
    name: str
    address: str


class Reached(NamedTuple):
    """What was reached in one sub-competency; `level` counts from the lowest, 0. No points: they are not told."""

    code: str
    level: int
    points: Decimal | Fraction | int | None


class GateResult(NamedTuple):
    """How one gate (or one member of a stack, by its slug) was met; `value` is a letter, a number, or not told."""

    code: str
    value: str | None = None
    passed: bool = True


class HashedEmail(NamedTuple):
    """An e-mail address as `identity_hash` gives it, and its salt."""

    salt: str
    hash: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A piece of evidence the learner chose to show. `url` is absolute http(s); all but the name may be empty."""

    name: str
    url: str = ""
    description: str = ""
    narrative: str = ""
    genre: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class EditionFacts:
    """All that makes one edition differ from the next. Frozen before signing: signing is a function of it.

    `credential_id` is 128 random bits as text, `subject_id` a urn:uuid (or a wallet's DID), `status_list` and
    `status_index` the place in `<base>/status/<n>`. `name` is the learner's, only where chosen. `include_results`
    false leaves out what was reached, not what the badge asks for. `started` and `ended` are when she worked for it,
    `narrative` is her own words. `terms_url` is where the terms of use stand. `endorsements` are signed
    EndorsementCredentials, as they are served."""

    credential_id: str
    subject_id: str
    valid_from: datetime
    status_list: int
    status_index: int
    reached: tuple[Reached, ...] = ()
    gates: tuple[GateResult, ...] = ()
    valid_until: datetime | None = None
    include_results: bool = True
    name: str | None = None
    email: HashedEmail | None = None
    course: str | None = None
    term: str | None = None
    evidence: tuple[Evidence, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    narrative: str = ""
    licence_number: str = ""
    renewable: bool = False
    terms_url: str = ""
    endorsements: tuple[Json, ...] = ()


# -- identifiers ------------------------------------------------------------------------------------------------


def did_web(base_url: str) -> str:
    """Return the did:web of a base URL; raises ConfigurationError for one with a path.

    https://w3c-ccg.github.io/did-method-web/#method-specific-identifier"""
    parts = urlsplit(base_url)
    if not parts.netloc or parts.path.strip("/") or parts.query or parts.username:
        raise ConfigurationError(f"server.base_url must be a host and nothing more, not {base_url!r}")
    host = parts.hostname or ""
    return f"did:web:{host}" + (f"%3A{parts.port}" if parts.port else "")


def new_credential_id() -> str:
    """Return an opaque, unguessable id: 128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def new_salt() -> str:
    """Return a salt of 16 random bytes as 32 hexadecimal digits."""
    return secrets.token_hex(SALT_BYTES)


def achievement_address(base_url: str, slug: str, version: int) -> str:
    return f"{base_url}/achievements/{slug}/v{version}"


def credential_address(base_url: str, credential_id: str) -> str:
    return f"{base_url}/credentials/{credential_id}"


def description_id(achievement_id: str, code: str) -> str:
    """Return the id of a sub-competency's ResultDescription."""
    return _urn(f"{achievement_id}#sub-competency:{code}")


def level_id(achievement_id: str, code: str, level: str) -> str:
    """Return the id of one RubricCriterionLevel."""
    return _urn(f"{achievement_id}#sub-competency:{code}#level:{level}")


def gate_id(achievement_id: str, code: str) -> str:
    """Return the id of a gate's (or a stack member's) ResultDescription."""
    return _urn(f"{achievement_id}#gate:{code}")


def identity_hash(email: str, salt: str) -> str:
    """Return the IdentityHash of an e-mail address, trimmed and lower-cased; ValueError for a short salt.

    https://www.imsglobal.org/spec/ob/v3p0#identityhash"""
    if len(salt) < SHORTEST_SALT:
        raise ValueError(f"a salt has {SALT_BYTES} random bytes or more")
    return "sha256$" + hashlib.sha256((email.strip().lower() + salt).encode()).hexdigest()


def instant(when: datetime) -> str:
    """Write a moment as XML Schema's dateTimeStamp in whole seconds, UTC; ValueError where it has no time zone."""
    if when.tzinfo is None:
        raise ValueError("a moment without a time zone")
    # isoformat, not strftime: glibc's %Y writes the year 999 with three digits
    return when.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def signable(text: str) -> str:
    """Return a text as it can be signed: line ends as \\n, tabs as spaces, no other control characters.

    Tabs go because rdf-canonize 3.4.0, which wallets still carry, does not escape them."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return UNSIGNABLE.sub("", plain)


# -- what a badge stands for ------------------------------------------------------------------------------------


def achievement(
    badge: Badge,
    *,
    base_url: str,
    slug: str,
    version: int,
    issuer: IssuerProfile,
    picture_url: str,
    members: Sequence[StackMember] = (),
    form: int = FORM,
) -> Json:
    """Return a version of a definition as an OB 3.0 Achievement, without `@context`.

    `slug` is the public one, which may differ from the definition's. `members` are those of a stack. `form` is the
    one the version was published in, see FORM."""
    address = achievement_address(base_url, slug, version)
    image: Json = {"id": picture_url, "type": "Image"}
    if badge.picture.alt:
        image["caption"] = signable(badge.picture.alt)
    # `keywords` is a set: a tag given twice is one statement.
    tags = list(dict.fromkeys(signable(tag) for tag in (*badge.tags, badge.level) if tag))
    descriptions = [
        *(_sub_competency(address, sub) for sub in badge.sub_competencies),
        *(_gate(address, gate, form) for gate in badge.gates),
        *(_member(address, member) for member in members),
    ]
    node: Json = {
        "id": address,
        "type": ["Achievement"],
        "achievementType": badge.type or MICRO_CREDENTIAL,
        "version": str(version),
        "inLanguage": badge.language,
        "name": signable(badge.name),
        "description": signable(badge.description),
        "criteria": {"id": f"{address}#criteria", "narrative": signable(_criteria(badge, members))},
        "image": image,
        "creator": _creator(address, badge.creator, issuer),
    }
    for member, text in (
        ("humanCode", badge.human_code),
        ("fieldOfStudy", badge.field_of_study),
        ("specialization", badge.specialization),
    ):
        if text:
            node[member] = signable(text)
    if badge.identifiers:
        node["otherIdentifier"] = [_identifier(each) for each in badge.identifiers]
    if related := _related(badge, base_url, slug, version, form):
        node["related"] = related
    if badge.credits is not None:
        node["creditsAvailable"] = _json_number(badge.credits)
    if tags:
        node["tag"] = tags
    if badge.alignment:
        node["alignment"] = _alignments(f"{address}#", badge.alignment, "ceasn:Competency")
    if descriptions:
        node["resultDescription"] = descriptions
    return node


def _creator(address: str, creator: Creator | None, issuer: IssuerProfile) -> Json:
    """Return who made the badge: the institution itself, or a department or partner of it."""
    if creator is None:
        return {"id": issuer.did, "type": ["Profile"], "name": signable(issuer.name)}
    node: Json = {"id": creator.url or _urn(f"{address}#creator"), "type": ["Profile"], "name": signable(creator.name)}
    for member in ("url", "email", "description"):
        if text := getattr(creator, member):
            node[member] = signable(text)
    return node


def _identifier(identifier: Identifier) -> Json:
    return {
        "type": "IdentifierEntry",
        "identifier": signable(identifier.value),
        "identifierType": signable(identifier.type),
    }


def _related(badge: Badge, base_url: str, slug: str, version: int, form: int) -> list[Json]:
    """Return the same achievement elsewhere and in its earlier versions.

    A later one is never named: a version's JSON stays as it is once the version is there."""
    nodes: list[Json] = []
    for each in badge.related:
        node: Json = {"id": each.url, "type": ["Related"]}
        if each.language:
            node["inLanguage"] = each.language
        if each.version:
            node["version"] = signable(each.version)
        nodes.append(node)
    if form >= 2:
        for number in range(version - 1, max(0, version - 1 - MOST_EARLIER), -1):
            earlier = achievement_address(base_url, slug, number)
            nodes.append({"id": earlier, "type": ["Related"], "version": str(number)})
    return nodes


def _criteria(badge: Badge, members: Sequence[StackMember]) -> str:
    """Return the author's words, then the rule that is really applied, so that a reader need not trust the words."""
    asked = [f"- {sub.name}: {sub.required_level}" for sub in badge.sub_competencies]
    asked += [f"- {member.name}" for member in members]
    gates = [f"- {gate.name}" for gate in badge.gates]
    parts = [badge.criteria]
    # Our own sentences are English; under criteria in another language the list alone is understood.
    english = badge.language.split("-")[0] == "en"
    if asked:
        parts += [_rule(badge)] if english else []
        parts.append("\n".join(asked))
    if gates:
        parts += ["All of these must hold:"] if english else []
        parts.append("\n".join(gates))
    if badge.prerequisites:
        parts += ["These badges must be earned first:"] if english else []
        parts.append("\n".join(f"- {slug}" for slug in badge.prerequisites))
    return "\n\n".join(part for part in parts if part)


def _rule(badge: Badge) -> str:
    rule = badge.stack.rule if badge.stack else badge.rule
    if rule.startswith("credits "):
        return f"Earned with {rule.removeprefix('credits ')} credits from these:"
    return f"Earned when {rule} of these are reached:"


def _sub_competency(address: str, sub: SubCompetency) -> Json:
    levels: list[Json] = []
    for level in sub.levels:
        name = signable(level.name)
        node: Json = {
            "id": level_id(address, sub.code, level.name),
            "type": ["RubricCriterionLevel"],
            "name": name,
            "level": name,
            "points": number_text(level.points),
        }
        if level.description:
            node["description"] = signable(level.description)
        if level.alignment:
            node["alignment"] = _alignments(f"{node['id']}#", level.alignment, "CFRubricCriterionLevel")
        levels.append(node)
    description: Json = {
        "id": description_id(address, sub.code),
        "type": ["ResultDescription"],
        "name": signable(sub.name),
        "resultType": "RubricCriterionLevel",
        "requiredLevel": level_id(address, sub.code, sub.required_level),
        "rubricCriterionLevel": levels,
    }
    if sub.description:
        description["description"] = signable(sub.description)
    if sub.alignment:
        description["alignment"] = _alignments(f"{description['id']}#", sub.alignment, "ceasn:Competency")
    return description


def _gate(address: str, gate: Gate, form: int) -> Json:
    node: Json = {"id": gate_id(address, gate.code), "type": ["ResultDescription"], "name": signable(gate.name)}
    if gate.kind == "letter":
        node |= {"resultType": "LetterGrade", "allowedValue": [signable(letter) for letter, _ in gate.scale]}
    elif gate.kind == "percent":
        node |= {"resultType": "Percent", "valueMin": "0", "valueMax": "100"}
    elif gate.kind == "points":
        node |= {"resultType": "RawScore", "valueMin": "0"}
        if form >= 2:
            node["valueMax"] = number_text(gate.maximum)
    else:
        node |= {"resultType": "Status"}
    if gate.required and gate.kind != "pass":
        node["requiredValue"] = signable(gate.required)
    return node


def _member(address: str, member: StackMember) -> Json:
    """OB 3.0 has no stacks: a member is a result to complete, aligned to the member's achievement."""
    identifier = gate_id(address, member.slug)
    return {
        "id": identifier,
        "type": ["ResultDescription"],
        "name": signable(member.name),
        "resultType": "Status",
        "alignment": [
            {
                "id": _urn(f"{identifier}#alignment:0"),
                "type": ["Alignment"],
                "targetName": signable(member.name),
                "targetUrl": member.address,
                "targetType": "ceterms:Credential",
            }
        ],
    }


def _alignments(owner: str, alignments: Sequence[Alignment], target_type: str) -> list[Json]:
    nodes: list[Json] = []
    for place, alignment in enumerate(alignments):
        node: Json = {
            "id": _urn(f"{owner}alignment:{place}"),
            "type": ["Alignment"],
            "targetName": signable(alignment.name),
            "targetUrl": alignment.url,
            "targetType": alignment.type or target_type,
        }
        if alignment.description:
            node["targetDescription"] = signable(alignment.description)
        if alignment.framework:
            node["targetFramework"] = signable(alignment.framework)
        if alignment.code:
            node["targetCode"] = signable(alignment.code)
        nodes.append(node)
    return nodes


# -- an award's edition -----------------------------------------------------------------------------------------


def credential(achievement: Json, issuer: IssuerProfile, facts: EditionFacts) -> Json:
    """Return an edition as an unsigned OpenBadgeCredential. Raises CredentialHeldBack where facts and badge differ."""
    address = credential_address(issuer.base_url, facts.credential_id)
    status = f"{issuer.base_url}/status/{facts.status_list}"
    document: Json = {
        "@context": list(CREDENTIAL_CONTEXTS),
        "id": address,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": achievement["name"],
        "description": achievement["description"],
        "issuer": issuer_node(issuer),
        "validFrom": instant(facts.valid_from),
    }
    if facts.valid_until is not None:
        document["validUntil"] = instant(facts.valid_until)
    document["credentialSubject"] = _subject(achievement, address, facts)
    if facts.evidence:
        document["evidence"] = [_evidence(address, place, item) for place, item in enumerate(facts.evidence)]
    document["credentialSchema"] = [CREDENTIAL_SCHEMA]
    document["credentialStatus"] = {
        "id": f"{status}#{facts.status_index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": str(facts.status_index),
        "statusListCredential": status,
    }
    if facts.renewable:
        document["refreshService"] = {"id": f"{address}/refresh", "type": REFRESH}
    if facts.terms_url:
        document["termsOfUse"] = [{"id": facts.terms_url, "type": TERMS_OF_USE}]
    if facts.endorsements:
        document["endorsement"] = list(facts.endorsements)
    return document


def issuer_node(issuer: IssuerProfile) -> Json:
    """Return the issuer as a credential carries it: an object of type Profile, which the 1EdTech validator demands."""
    url = issuer.url or issuer.page
    node: Json = {"id": issuer.did, "type": ["Profile"], "name": signable(issuer.name), "url": url}
    if issuer.email:
        node["email"] = signable(issuer.email)
    if issuer.description:
        node["description"] = signable(issuer.description)
    if issuer.image:
        node["image"] = {"id": issuer.image, "type": "Image"}
    # How LinkedIn finds the organisation's page: https://www.imsglobal.org/spec/ob/v3p0#identifierentry
    linkedin = (Identifier(LINKEDIN, issuer.linkedin),) if issuer.linkedin else ()
    if entries := [_identifier(each) for each in (*linkedin, *issuer.identifiers)]:
        node["otherIdentifier"] = entries
    if issuer.phone:
        node["phone"] = signable(issuer.phone)
    if issuer.address != Address():
        node["address"] = _address(issuer)
    if issuer.parent_name:
        parent: Json = {"id": issuer.parent_url or _urn(f"{issuer.did}#parent"), "type": ["Profile"]}
        parent["name"] = signable(issuer.parent_name)
        if issuer.parent_url:
            parent["url"] = issuer.parent_url
        node["parentOrg"] = parent
    return node


def _address(issuer: IssuerProfile) -> Json:
    node: Json = {"id": _urn(f"{issuer.did}#address"), "type": ["Address"]}
    for member, text in (
        ("streetAddress", issuer.address.street),
        ("addressLocality", issuer.address.locality),
        ("addressRegion", issuer.address.region),
        ("postalCode", issuer.address.postal_code),
        ("addressCountryCode", issuer.address.country_code),
    ):
        if text:
            node[member] = signable(text)
    return node


def issuer_profile(issuer: IssuerProfile) -> Json:
    """Return the JSON of `/issuers/<slug>`."""
    return stand_alone(issuer_node(issuer))


def stand_alone(node: Json) -> Json:
    """Return an Achievement or a Profile as a document of its own."""
    return {"@context": list(CREDENTIAL_CONTEXTS), **node}


def _subject(achievement: Json, address: str, facts: EditionFacts) -> Json:
    subject: Json = {"id": facts.subject_id, "type": ["AchievementSubject"]}
    identifiers: list[Json] = []
    if facts.name:
        # Where verifiers of the Digital Credentials Consortium look for the recipient's name in an OB 3.0 credential.
        identifiers.append(
            {
                "type": "IdentityObject",
                "hashed": False,
                "identityHash": signable(facts.name),
                "identityType": "name",
            }
        )
    if facts.email:
        identifiers.append(
            {
                "type": "IdentityObject",
                "hashed": True,
                "identityHash": facts.email.hash,
                "identityType": "emailAddress",
                "salt": facts.email.salt,
            }
        )
    if identifiers:
        subject["identifier"] = identifiers
    if facts.course:
        # A Profile needs an id; one of this credential's own tells nobody who else was in the course.
        subject["source"] = {"id": f"{address}#course", "type": ["Profile"], "name": signable(facts.course)}
    if facts.term:
        subject["term"] = signable(facts.term)
    if "creditsAvailable" in achievement:
        subject["creditsEarned"] = achievement["creditsAvailable"]
    if facts.started is not None:
        subject["activityStartDate"] = instant(facts.started)
    if facts.ended is not None:
        subject["activityEndDate"] = instant(facts.ended)
    if facts.licence_number:
        subject["licenseNumber"] = signable(facts.licence_number)
    if facts.narrative:
        subject["narrative"] = signable(facts.narrative)
    subject["achievement"] = achievement
    if facts.include_results and (facts.reached or facts.gates):
        subject["result"] = _results(achievement, address, facts)
    return subject


def _results(achievement: Json, address: str, facts: EditionFacts) -> list[Json]:
    """Return the results in the order of the badge, whatever the order of the facts."""
    reached = {description_id(achievement["id"], item.code): item for item in facts.reached}
    gates = {gate_id(achievement["id"], item.code): item for item in facts.gates}
    results: list[Json] = []
    for place, description in enumerate(achievement.get("resultDescription", [])):
        node: Json = {
            "id": f"{address}#result-{place}",
            "type": ["Result"],
            "resultDescription": description["id"],
        }
        if item := reached.pop(description["id"], None):
            levels = description.get("rubricCriterionLevel", [])
            if not 0 <= item.level < len(levels):
                raise CredentialHeldBack(f"no level {item.level} in {item.code}")
            node["achievedLevel"] = levels[item.level]["id"]
            if item.points is not None:
                node["value"] = number_text(Decimal(item.points) if isinstance(item.points, int) else item.points)
        elif gate := gates.pop(description["id"], None):
            if gate.value is not None:
                node["value"] = signable(gate.value)
            node["status"] = "Completed" if gate.passed else "Failed"
        else:
            continue
        results.append(node)
    if reached or gates:
        names = [item.code for item in reached.values()] + [item.code for item in gates.values()]
        raise CredentialHeldBack(f"results the badge does not describe: {', '.join(names)}")
    return results


def _evidence(address: str, place: int, evidence: Evidence) -> Json:
    if evidence.url and not (evidence.url.startswith(("https://", "http://")) and is_iri(evidence.url)):
        raise CredentialHeldBack("evidence with an address that is not one")
    node: Json = {
        "id": evidence.url or f"{address}#evidence-{place}",
        "type": ["Evidence"],
        "name": signable(evidence.name),
    }
    for member in ("description", "narrative", "genre", "audience"):
        if text := getattr(evidence, member):
            node[member] = signable(text)
    return node


# -- checks the JSON Schema does not make -----------------------------------------------------------------------


def check_links(credential: Json, *, needed: int | None = None) -> None:
    """Check what the official schema does not: links resolve, levels suffice, the subject is somebody.

    `needed` is how many sub-competencies must stand at their required level, or parts of a stack be earned (none given:
    every sub-competency that the badge describes). A credential without results passes: then there is nothing to
    compare. Raises CredentialHeldBack."""
    subject = credential["credentialSubject"]
    _check_subject(subject)
    descriptions = {d["id"]: d for d in subject["achievement"].get("resultDescription", [])}
    rubric_rows = 0
    for description in descriptions.values():
        if description["resultType"] == "RubricCriterionLevel":
            rubric_rows += 1
            _check_levels(description)
    results = subject.get("result")
    if results is None:
        return
    enough = 0
    for result in results:
        met = check_result(result, descriptions)
        if "achievedLevel" in result:
            enough += met
            met = met or needed is not None
        elif _is_member(descriptions[result["resultDescription"]]):
            enough += met
        if not met:
            raise CredentialHeldBack(f"a result below what the badge requires: {result['resultDescription']}")
    if enough < (rubric_rows if needed is None else needed):
        raise CredentialHeldBack(f"{enough} sub-competencies or parts reached, too few")


def _is_member(description: Json) -> bool:
    """Tell whether a result is that of a stack's part, see `_member`."""
    return any(each["targetType"] == "ceterms:Credential" for each in description.get("alignment", ()))


def _check_subject(subject: Json) -> None:
    if not is_iri(subject.get("id", "")):
        raise CredentialHeldBack("a subject without an id")
    for identifier in subject.get("identifier", []):
        if identifier["hashed"] and len(identifier.get("salt", "")) < SHORTEST_SALT:
            raise CredentialHeldBack("a salt shorter than 16 bytes")


def _check_levels(description: Json) -> None:
    levels = description["rubricCriterionLevel"]
    points = [Decimal(level["points"]) for level in levels]
    if any(low >= high for low, high in itertools.pairwise(points)):
        raise CredentialHeldBack(f"levels whose points do not rise: {description['id']}")
    if description["requiredLevel"] not in [level["id"] for level in levels]:
        raise CredentialHeldBack(f"a required level that is not there: {description['id']}")


def check_result(result: Json, descriptions: dict[str, Json]) -> bool:
    """Tell whether a result meets what its description requires; raises CredentialHeldBack for a dangling link."""
    description = descriptions.get(result["resultDescription"])
    if description is None:
        raise CredentialHeldBack(f"a result of nothing: {result['resultDescription']}")
    if description["resultType"] == "RubricCriterionLevel":
        order = [level["id"] for level in description["rubricCriterionLevel"]]
        if result.get("achievedLevel") not in order:
            raise CredentialHeldBack(f"an achieved level that is not there: {result['resultDescription']}")
        return order.index(result["achievedLevel"]) >= order.index(description["requiredLevel"])
    if result.get("status") != "Completed":
        return False
    required, value = description.get("requiredValue"), result.get("value")
    if required is None or value is None:
        return True
    if allowed := description.get("allowedValue"):
        if value not in allowed or required not in allowed:
            raise CredentialHeldBack(f"a value that is not allowed: {result['resultDescription']}")
        return bool(allowed.index(value) >= allowed.index(required))
    try:
        return Decimal(value) >= Decimal(required)
    except InvalidOperation:
        raise CredentialHeldBack(f"a value that is not a number: {result['resultDescription']}") from None


# -- who signs --------------------------------------------------------------------------------------------------


def key_address(base_url: str, kid: str) -> str:
    """Return the address that answers the bare JWK: the `kid` of a VC-JWT."""
    return f"{base_url}/keys/{kid}"


def did_document(issuer_did: str, ed_keys: Sequence[Key], rsa_keys: Sequence[Key], base_url: str) -> Json:
    """Return the did:web document with all credential keys ever used: a credential of ten years ago must verify.

    `assertionMethod` holds full DID URLs as strings, the form the 1EdTech validator resolves."""
    methods: list[Json] = [
        {
            "id": f"{issuer_did}#{key.kid}",
            "type": "Multikey",
            "controller": issuer_did,
            "publicKeyMultibase": multikey(key.public),
        }
        for key in ed_keys
    ]
    methods += [
        {
            "id": f"{issuer_did}#{key.kid}",
            "type": "JsonWebKey",
            "controller": issuer_did,
            "publicKeyJwk": key.public_jwk(),
        }
        for key in rsa_keys
    ]
    return {
        "@context": DID_CONTEXTS,
        "id": issuer_did,
        "alsoKnownAs": [base_url],
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
    }


def _urn(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"


def _json_number(value: Decimal) -> int | float:
    """Return a JSON number whose RDF literal is the same everywhere: 1 as 1, not as 1.0."""
    return int(value) if value == value.to_integral_value() else float(value)
