"""Is it complete and well formed, and do its parts fit together? https://www.imsglobal.org/spec/ob/v3p0"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from lti_tool.credentials import contexts
from lti_tool.credentials.checking.form import check_form
from lti_tool.credentials.checking.found import BADGE, ENDORSEMENT, RECORD, Found
from lti_tool.credentials.untrusted import (
    Json,
    Refused,
    Unknown,
    as_list,
    as_object,
    begins,
    ends,
    moment,
    objects,
    strings,
    text_of,
)
from lti_tool.errors import ToolError
from lti_tool.sentence import Sentence

# Two: a credential may carry revocation beside suspension. One pasted text must not make this server ask hundreds.
MOST_STATUSES = 2

VC_CONTEXT = "https://www.w3.org/ns/credentials/v2"
VC_CONTEXT_1 = "https://www.w3.org/2018/credentials/v1"
CLR_CONTEXT = re.compile(r"https://purl\.imsglobal\.org/spec/clr/v2p0/context(-\d+\.\d+\.\d+)?\.json")
OB_CONTEXT = re.compile(r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(-\d+\.\d+\.\d+)?\.json")
TYPES = {
    BADGE: {"OpenBadgeCredential", "AchievementCredential"},
    RECORD: {"ClrCredential"},
    ENDORSEMENT: {"EndorsementCredential"},
}
ENDORSED = frozenset({"id", "type", "endorsementComment"})  # all that an endorsement says of what it is about

MOST_IN_A_ROW = 1_000  # values of one list in a learner record: expansion compares each with all before it

# VCDM 2.0 lets a name or description be an object of these:
# https://www.w3.org/TR/vc-data-model-2.0/#language-and-base-direction
TEXT_KEYWORDS = frozenset({"@value", "@language", "@direction"})


def complete(found: Found) -> str:
    """Check that all is there that its kind asks for, in the form the standard asks for, and every word defined."""
    document = found.document
    _check_contexts(found)
    types = strings(document.get("type"))
    if "VerifiableCredential" not in types or not TYPES[found.kind] & set(types):
        raise Refused(Sentence("No. It does not say that it is an Open Badges 3.0 credential."))
    _check_envelope(document)
    subject = document["credentialSubject"]
    if found.kind == BADGE:
        _check_badge(subject)
    elif found.kind == RECORD:
        _check_record(subject)
    elif not isinstance(subject.get("id"), str) or "EndorsementSubject" not in strings(subject.get("type")):
        raise Refused(Sentence("No. It does not say what it endorses."))
    if len(as_list(document.get("credentialStatus"))) > MOST_STATUSES:
        raise Refused(Sentence("No. It names more status lists than any credential needs."))
    if document["id"] in _inner_ids(list(document.values())):
        # What is signed is a graph: members of one id may stand in any object of that id. Everything said of the
        # credential itself (its dates, its status) must be where a reader looks for it.
        raise Refused(Sentence("No. A part of it goes by the name of the whole."))
    check_words(found)
    check_form(document)
    if found.header is not None:
        _check_registered_claims(found)
    return Sentence("All required parts are there, and every word in it is defined.")


def _check_envelope(document: Json) -> None:
    # VCDM 1.1 does not ask for an id; without one, nothing can point at it.
    parts = [
        (Sentence("envelope"), document, ("id",)),
        (Sentence("issuer"), document.get("issuer"), ("id",)),
        (Sentence("subject"), document.get("credentialSubject"), ()),
    ]
    for where, value, required in parts:
        check_part(where, value, required)
    if begins(document) is None:
        raise Refused(
            Sentence("No. “%(name)s” of its %(where)s is missing.", name="validFrom", where=Sentence("envelope"))
        )
    if "Profile" not in strings(document["issuer"].get("type")):
        raise Refused(Sentence("No. Its %(where)s does not say that it is one.", where=Sentence("issuer")))
    for name in ("validFrom", "validUntil", "issuanceDate", "expirationDate", "awardedDate"):
        if name in document and moment(document[name]) is None:
            raise Refused(Sentence("No. “%(name)s” is not a time with a zone.", name=name))


def _check_badge(subject: Json) -> None:
    achievement = subject.get("achievement")
    check_part(Sentence("achievement"), achievement, ("id", "name", "description"))
    for where, value, wanted in (
        (Sentence("subject"), subject, "AchievementSubject"),
        (Sentence("achievement"), as_object(achievement), "Achievement"),
    ):
        if wanted not in strings(value.get("type")):
            raise Refused(Sentence("No. Its %(where)s does not say that it is one.", where=where))
    if not isinstance(subject.get("id"), str) and not subject.get("identifier"):
        raise Refused(Sentence("No. It does not say, in any form, who earned it."))
    criteria = as_object(achievement).get("criteria")
    if not isinstance(criteria, dict) or not (criteria.get("id") or criteria.get("narrative")):
        raise Refused(Sentence("No. It does not say what the badge takes."))


def _check_record(subject: Json) -> None:
    if "ClrSubject" not in strings(subject.get("type")):
        raise Refused(Sentence("No. Its %(where)s does not say that it is one.", where=Sentence("subject")))
    if not isinstance(subject.get("verifiableCredential"), list) or not subject["verifiableCredential"]:
        raise Refused(Sentence("No. It is a learner record without a credential in it."))
    if _longest(subject) > MOST_IN_A_ROW:
        raise Refused(Sentence("No. It has more parts than any credential."))


def check_part(where: str, value: Any, required: tuple[str, ...]) -> None:
    """Raise Refused where a part is missing, or a text in it that is required."""
    if not isinstance(value, dict):
        raise Refused(Sentence("No. Its %(where)s is missing or not readable.", where=where))
    for name in required:
        if not text_of(value.get(name)).strip():
            raise Refused(Sentence("No. “%(name)s” of its %(where)s is missing.", name=name, where=where))
    if "id" in required and not isinstance(value["id"], str):
        raise Refused(Sentence("No. “%(name)s” of its %(where)s is missing.", name="id", where=where))


def _longest(value: Any) -> int:
    """Return the length of the longest list within a value."""
    if isinstance(value, dict):
        return max(map(_longest, value.values()), default=0)
    return max([len(value), *map(_longest, value)]) if isinstance(value, list) else 0


def _inner_ids(value: Any) -> Iterator[Any]:
    """Yield the id of every object within a value, but not where an endorsement only says what it is about."""
    if isinstance(value, dict):
        about = "EndorsementSubject" in strings(value.get("type")) and value.keys() <= ENDORSED
        if not about:
            yield value.get("id")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _inner_ids(inner)


def _check_contexts(found: Found) -> None:
    named = found.document.get("@context")
    if not isinstance(named, list) or not all(isinstance(context, str) for context in named):
        raise Refused(
            Sentence("No. It does not name the words it is written in, in the form Open Badges 3.0 asks for.")
        )
    if found.kind == RECORD:  # beside the words of Open Badges, before or behind them
        well = any(CLR_CONTEXT.fullmatch(context) for context in named[1:])
    else:
        well = len(named) > 1 and OB_CONTEXT.fullmatch(named[1]) is not None
    if named[:1] not in ([VC_CONTEXT], [VC_CONTEXT_1]) or not well:
        raise Refused(Sentence("No. It does not name the words of Open Badges 3.0 in their order."))


def check_words(found: Found) -> None:
    """See that every term is defined: what is not would be shown to people but not signed."""
    linked_data(contexts.expand, {name: value for name, value in found.document.items() if name != "proof"})


def linked_data(read: Callable[[Json], Any], document: Json) -> Any:
    """Read a document as JSON-LD, with the ways in which a stranger's can be wrong put in words."""
    _check_shape(document)
    try:
        return read(document)
    except contexts.ContextNotPinned as error:
        raise Unknown(
            Sentence(
                "It uses words of a vocabulary that is not known here (%(address)s), so it cannot be read safely.",
                address=error.address[:200],
            )
        ) from error
    except ToolError as error:
        raise Refused(
            Sentence("It holds parts that no vocabulary defines; the signature does not cover those.")
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(Sentence("It is JSON, but not the linked data that Open Badges 3.0 is written in.")) from error


def _check_shape(value: Any, *, top: bool = True) -> None:
    """Refuse what a credential never needs and what makes canonicalisation costly: labelled blank nodes, JSON-LD
    keywords, words defined within it. A credential in a credential may name its vocabularies again, by address."""
    if isinstance(value, list):
        for item in value:
            _check_shape(item, top=False)
    elif isinstance(value, dict):
        for name, inner in value.items():
            by_address = name == "@context" and "VerifiableCredential" in strings(value.get("type"))
            by_address = by_address and all(isinstance(context, str) for context in as_list(inner))
            if (
                name.startswith("@")
                and name not in TEXT_KEYWORDS
                and not (top and name == "@context")
                and not by_address
            ):
                raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))
            _check_shape(inner, top=False)
    elif isinstance(value, str) and value.startswith("_:"):
        raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))


def _check_registered_claims(found: Found) -> None:
    """Compare a token's claims with the credential's own words (Open Badges 3.0, section 8.2.4.1:
    https://www.imsglobal.org/spec/ob/v3p0#jwt-proof)."""
    document, claims = found.document, found.claims
    subject = document["credentialSubject"].get("id")
    pairs = [("iss", document["issuer"]["id"]), ("jti", document["id"]), ("sub", subject)]
    for claim, said in pairs:
        if claim in claims and claims[claim] != said:
            raise Refused(
                Sentence("No. The token and the credential in it say different things (“%(claim)s”).", claim=claim)
            )
    if claims.get("iss") is None:
        raise Refused(Sentence("No. The token does not name its issuer."))
    for claim, said in (("nbf", begins(document)), ("exp", ends(document))):
        if claim not in claims:
            continue
        said_at = moment(said)
        if type(claims[claim]) not in (int, float) or said_at is None or int(said_at.timestamp()) != int(claims[claim]):
            raise Refused(
                Sentence("No. The token and the credential in it say different times (“%(claim)s”).", claim=claim)
            )


# -- parts that point at each other -----------------------------------------------------------------------------


def links(found: Found) -> str:
    if found.kind != BADGE:
        return Sentence("Yes.")
    subject = found.document["credentialSubject"]
    achievement = subject["achievement"]
    levels: dict[str, list[Any]] = {}
    for description in objects(achievement.get("resultDescription")):
        own_levels = [level.get("id") for level in objects(description.get("rubricCriterionLevel"))]
        levels[str(description.get("id"))] = own_levels
        required = description.get("requiredLevel")
        if required is not None and required not in own_levels:
            raise Refused(
                Sentence(
                    "No. The level that “%(name)s” requires is not described in it.",
                    name=text_of(description.get("name")),
                )
            )
    for result in objects(subject.get("result")):
        about = result.get("resultDescription")
        if about is not None and str(about) not in levels:
            raise Refused(Sentence("No. It has a result of something it does not describe."))
        reached = result.get("achievedLevel")
        if reached is not None and reached not in levels.get(str(about), []):
            raise Refused(Sentence("No. It has a result at a level it does not describe."))
    return Sentence("Yes. Every result points at a level that is described in it.")
