"""Has the issuer withdrawn it? Status lists, each checked as a credential of its own before it is believed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from lti_tool.credentials import status_list
from lti_tool.credentials.checking.dates import CLOCK_LEEWAY
from lti_tool.credentials.checking.found import in_text
from lti_tool.credentials.checking.proof import key_of_issuer, unchanged
from lti_tool.credentials.checking.structure import VC_CONTEXT, check_words
from lti_tool.credentials.issuer_keys import Method, Own
from lti_tool.credentials.untrusted import (
    Fetch,
    Json,
    Refused,
    Unknown,
    as_list,
    as_object,
    got,
    host_of,
    moment,
    objects,
    parsed,
    strings,
    text_of,
)
from lti_tool.errors import ToolError
from lti_tool.sentence import Sentence

NO_PLACE = Sentence("Where to look for it cannot be read.")
MOST_REVOKED = 200_000  # values of a list of revoked ids, which names each


def withdrawn(document: Json, signed: bool, now: datetime, fetch: Fetch, own: Own | None) -> str:
    if document.get("credentialStatus") in (None, []):
        return Sentence("No. The issuer has not kept a way to withdraw it.")
    if not signed:
        # Anybody could have written the address there.
        raise Unknown(Sentence("Not asked: it is not shown to be the issuer's, so neither is the list it names."))
    statuses = objects(document["credentialStatus"])
    if not statuses:
        raise Refused(NO_PLACE)
    unknown: Unknown | None = None
    for status in statuses:
        try:
            if "1EdTechRevocationList" in strings(status.get("type")):
                _read_revocations(status, document, fetch)
            else:
                _read_status(status, document["issuer"]["id"], now, fetch, own)
        except Unknown as later:  # another entry may still say that it is withdrawn
            unknown = later
    if unknown:
        raise unknown
    return Sentence("No. The issuer's list was read just now.")


def _read_revocations(status: Json, document: Json, fetch: Fetch) -> None:
    """Read a list of revoked ids (https://purl.imsglobal.org/spec/vcrl/v1p0/). It is not signed: its address is.

    Raises Refused where this credential is on it, Unknown where that cannot be told."""
    url = status.get("id")
    if not isinstance(url, str) or not url.startswith("https://"):
        raise Refused(NO_PLACE)
    try:
        listed = parsed(got(url, fetch).decode(), MOST_REVOKED)
    except (Refused, UnicodeDecodeError) as error:
        raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host_of(url))) from error
    issuer = listed.get("issuer")
    issuer = issuer.get("id") if isinstance(issuer, dict) else issuer
    if not isinstance(listed.get("revokedCredential"), list):
        raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host_of(url)))
    if issuer != document["issuer"]["id"]:
        raise Unknown(Sentence("The list at %(host)s is not the issuer's.", host=host_of(url)))
    for entry in objects(listed["revokedCredential"]):
        if entry.get("id") == document["id"] and entry.get("revoked", True) is not False:
            if reason := text_of(entry.get("revocationReason"))[:300].strip():
                raise Refused(Sentence("Yes, the issuer has withdrawn it: %(reason)s", reason=reason))
            raise Refused(Sentence("Yes, the issuer has withdrawn it."))


def _read_status(status: Json, issuer: str, now: datetime, fetch: Fetch, own: Own | None) -> None:
    """Read one entry of a Bitstring status list (https://www.w3.org/TR/vc-bitstring-status-list/#validate-algorithm).

    Raises Refused where the bit is set, Unknown where that cannot be told."""
    if "BitstringStatusListEntry" not in strings(status.get("type")):
        raise Unknown(Sentence("The issuer keeps its list in a form that is not known here. Ask the issuer."))
    purpose, url, index_text = (status.get(n) for n in ("statusPurpose", "statusListCredential", "statusListIndex"))
    if purpose not in ("revocation", "suspension"):
        raise Unknown(Sentence("The issuer keeps a list about something else than withdrawing."))
    if not isinstance(url, str) or not re.fullmatch(r"\d{1,12}", str(index_text)):
        raise Refused(NO_PLACE)
    if status.get("statusSize", 1) != 1:
        raise Unknown(Sentence("The issuer keeps its list in a form that is not known here. Ask the issuer."))
    listed = _status_list(url, str(purpose), issuer, now, fetch, own)
    try:
        bit = status_list.read_bit(listed, int(str(index_text)))
    except (ToolError, ValueError, IndexError) as error:
        raise Unknown(
            Sentence("The list of %(host)s does not hold this credential's place.", host=host_of(url))
        ) from error
    if bit:
        if purpose == "suspension":
            raise Refused(Sentence("The issuer has suspended it."))
        raise Refused(Sentence("Yes, the issuer has withdrawn it."))


def _status_list(url: str, purpose: str, issuer: str, now: datetime, fetch: Fetch, own: Own | None) -> str:
    """Return the encoded list at an address, once its own signature by the same issuer has been checked."""
    host = host_of(url)
    try:
        found = in_text(got(url, fetch).decode().strip(), "")
        if found.header is not None and found.claims.get("iss") not in (issuer, None):
            raise Unknown(Sentence("The list at %(host)s is not the issuer's.", host=host))
        credential = found.document
        subject = as_object(credential.get("credentialSubject"))
        fits = (
            "BitstringStatusListCredential" in strings(credential.get("type"))
            and "BitstringStatusList" in strings(subject.get("type"))
            and purpose in strings(subject.get("statusPurpose"))
            and isinstance(subject.get("encodedList"), str)
            and strings(credential.get("@context"))[:1] == [VC_CONTEXT]
            and all(isinstance(context, str) for context in as_list(credential.get("@context")))
            and credential.get("id") in (url, None)
        )
        if not fits:
            raise Unknown(Sentence("What %(host)s answered is not the list it should be.", host=host))
        signer = credential.get("issuer")
        signer = signer.get("id") if isinstance(signer, dict) else signer
        if signer != issuer:
            raise Unknown(Sentence("The list at %(host)s is not the issuer's.", host=host))
        credential = {**credential, "issuer": {"id": issuer}}
        methods: list[Method] = []
        check_words(found)
        key_of_issuer(replace(found, document=credential), fetch, own, now, methods)
        unchanged(found, methods, None)
        begins, ends = moment(credential.get("validFrom")), moment(credential.get("validUntil"))
        if (begins and begins > now + CLOCK_LEEWAY) or (ends and ends <= now):
            raise Unknown(Sentence("The list at %(host)s is out of date.", host=host))
    except (Refused, UnicodeDecodeError) as error:
        raise Unknown(
            Sentence("The list at %(host)s is not signed as it should be, so it says nothing.", host=host)
        ) from error
    return str(subject["encodedList"])
