"""Is it complete and well formed, and do its parts fit together? https://www.imsglobal.org/spec/ob/v3p0"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from lti_tool.credentials import contexts
from lti_tool.credentials.checking.found import Found
from lti_tool.credentials.untrusted import Json, Refused, Unknown, as_list, moment, objects, strings, text_of
from lti_tool.errors import ToolError
from lti_tool.sentence import Sentence

# Two: a credential may carry revocation beside suspension. One pasted text must not make this server ask hundreds.
MOST_STATUSES = 2

VC_CONTEXT = "https://www.w3.org/ns/credentials/v2"
VC_CONTEXT_1 = "https://www.w3.org/2018/credentials/v1"
OB_CONTEXT = re.compile(r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(-\d+\.\d+\.\d+)?\.json")
CREDENTIAL_TYPES = {"OpenBadgeCredential", "AchievementCredential"}

# Members of a token's payload that are the token's and not the credential's (RFC 7519, section 4.1).
CLAIMS = frozenset({"iss", "jti", "sub", "nbf", "exp", "iat", "aud"})

# VCDM 2.0 lets a name or description be an object of these:
# https://www.w3.org/TR/vc-data-model-2.0/#language-and-base-direction
TEXT_KEYWORDS = frozenset({"@value", "@language", "@direction"})


def complete(found: Found) -> str:
    document = found.document
    _check_contexts(document)
    types = strings(document.get("type"))
    if "VerifiableCredential" not in types or not CREDENTIAL_TYPES & set(types):
        raise Refused(Sentence("No. It does not say that it is an Open Badges 3.0 credential."))
    for where, value, required in _required_parts(document):
        if not isinstance(value, dict):
            raise Refused(Sentence("No. Its %(where)s is missing or not readable.", where=where))
        for name in required:
            if not isinstance(value.get(name), str) or not value[name].strip():
                raise Refused(Sentence("No. “%(name)s” of its %(where)s is missing.", name=name, where=where))
    subject = document["credentialSubject"]
    for where, value, wanted in (
        (Sentence("subject"), subject, "AchievementSubject"),
        (Sentence("achievement"), subject["achievement"], "Achievement"),
        (Sentence("issuer"), document["issuer"], "Profile"),
    ):
        if wanted not in strings(value.get("type")):
            raise Refused(Sentence("No. Its %(where)s does not say that it is one.", where=where))
    if not isinstance(subject.get("id"), str) and not subject.get("identifier"):
        raise Refused(Sentence("No. It does not say, in any form, who earned it."))
    criteria = subject["achievement"].get("criteria")
    if not isinstance(criteria, dict) or not (criteria.get("id") or criteria.get("narrative")):
        raise Refused(Sentence("No. It does not say what the badge takes."))
    for name in ("validFrom", "validUntil"):
        if name in document and moment(document[name]) is None:
            raise Refused(Sentence("No. “%(name)s” is not a time with a zone.", name=name))
    if len(as_list(document.get("credentialStatus"))) > MOST_STATUSES:
        raise Refused(Sentence("No. It names more status lists than any credential needs."))
    if document["id"] in _inner_ids(list(document.values())):
        # What is signed is a graph: members of one id may stand in any object of that id. Everything said of the
        # credential itself (its dates, its status) must be where a reader looks for it.
        raise Refused(Sentence("No. A part of it goes by the name of the whole."))
    check_words(found)
    if found.header is not None:
        _check_registered_claims(document)
    return Sentence("All required parts are there, and every word in it is defined.")


def _inner_ids(value: Any) -> Iterator[Any]:
    """Yield the id of every object within a value."""
    if isinstance(value, dict):
        yield value.get("id")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _inner_ids(inner)


def _check_contexts(document: Json) -> None:
    named = document.get("@context")
    if not isinstance(named, list) or not all(isinstance(context, str) for context in named):
        raise Refused(
            Sentence("No. It does not name the words it is written in, in the form Open Badges 3.0 asks for.")
        )
    if named[:1] == [VC_CONTEXT_1]:
        raise Unknown(
            Sentence("It is written in the earlier form of Open Badges 3.0 (2023), which is not checked here.")
        )
    if named[:1] != [VC_CONTEXT] or len(named) < 2 or not OB_CONTEXT.fullmatch(named[1]):
        raise Refused(Sentence("No. It does not name the words of Open Badges 3.0 in their order."))


def _required_parts(document: Json) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    yield Sentence("envelope"), document, ("id", "validFrom")
    yield Sentence("issuer"), document.get("issuer"), ("id",)
    yield Sentence("subject"), document.get("credentialSubject"), ()
    yield Sentence("achievement"), document["credentialSubject"].get("achievement"), ("id", "name", "description")


def check_words(found: Found) -> None:
    """See that every term is defined: what is not would be shown to people but not signed."""
    apart = {"proof"} | (CLAIMS if found.header is not None else frozenset())
    linked_data(contexts.expand, {name: value for name, value in found.document.items() if name not in apart})


def linked_data(read: Callable[[Json], Any], document: Json) -> Any:
    """Read a document as JSON-LD, with the ways in which a stranger's can be wrong put in words."""
    _check_shape(document)
    try:
        return read(document)
    except contexts.ContextNotPinned as error:
        raise Unknown(
            Sentence("It uses words of a vocabulary that is not known here, so it cannot be read safely.")
        ) from error
    except ToolError as error:
        raise Refused(
            Sentence("It holds parts that no vocabulary defines; the signature does not cover those.")
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(Sentence("It is JSON, but not the linked data that Open Badges 3.0 is written in.")) from error


def _check_shape(value: Any, *, top: bool = True) -> None:
    """Refuse what a credential never needs and what makes canonicalisation costly: labelled blank nodes, JSON-LD
    keywords, contexts of its own further in."""
    if isinstance(value, list):
        for item in value:
            _check_shape(item, top=False)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.startswith("@") and name not in TEXT_KEYWORDS and not (top and name == "@context"):
                raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))
            _check_shape(inner, top=False)
    elif isinstance(value, str) and value.startswith("_:"):
        raise Refused(Sentence("It uses JSON-LD in a way no credential needs."))


def _check_registered_claims(document: Json) -> None:
    """Compare a token's claims with the credential's own words (Open Badges 3.0, section 8.2.4.1:
    https://www.imsglobal.org/spec/ob/v3p0#jwt-proof)."""
    subject = document["credentialSubject"].get("id")
    pairs = [("iss", document["issuer"]["id"]), ("jti", document["id"]), ("sub", subject)]
    for claim, said in pairs:
        if claim in document and document[claim] != said:
            raise Refused(
                Sentence("No. The token and the credential in it say different things (“%(claim)s”).", claim=claim)
            )
    if document.get("iss") is None:
        raise Refused(Sentence("No. The token does not name its issuer."))
    for claim, name in (("nbf", "validFrom"), ("exp", "validUntil")):
        if claim not in document:
            continue
        said_at = moment(document.get(name))
        if (
            type(document[claim]) not in (int, float)
            or said_at is None
            or int(said_at.timestamp()) != int(document[claim])
        ):
            raise Refused(
                Sentence("No. The token and the credential in it say different times (“%(claim)s”).", claim=claim)
            )


# -- parts that point at each other -----------------------------------------------------------------------------


def links(document: Json) -> str:
    subject = document["credentialSubject"]
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
