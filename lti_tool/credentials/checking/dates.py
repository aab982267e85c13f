"""Is it in force by date?"""

from __future__ import annotations

from datetime import datetime, timedelta

from lti_tool.credentials.checking.found import Found
from lti_tool.credentials.untrusted import Json, Refused, begins, day_of, ends, host_of, moment, objects
from lti_tool.sentence import Sentence

CLOCK_LEEWAY = timedelta(seconds=60)


def dates(found: Found, now: datetime) -> str:
    document = found.document
    starts, stops = moment(begins(document)), moment(ends(document))
    proofs = objects(document.get("proof"))
    if starts and starts > now + CLOCK_LEEWAY:
        raise Refused(Sentence("It begins only on %(begins)s.", begins=day_of(starts)))
    if stops and stops <= now:
        if renewed := _renewed_at(document):
            raise Refused(
                Sentence(
                    "It ended on %(ends)s. A renewed one is given out at %(host)s.", ends=day_of(stops), host=renewed
                )
            )
        raise Refused(
            Sentence("It ended on %(ends)s. The holder can ask the issuer for a renewed one.", ends=day_of(stops))
        )
    for proof in proofs:
        made, until = moment(proof.get("created")), moment(proof.get("expires"))
        if ("created" in proof and made is None) or ("expires" in proof and until is None):
            raise Refused(Sentence("The time of its signature cannot be read."))
        if made and made > now + CLOCK_LEEWAY:
            raise Refused(Sentence("It says that it was signed in the future."))
        if until and until <= now:
            raise Refused(Sentence("Its signature ended on %(until)s.", until=day_of(until)))
    if stops:
        return Sentence("Yes, until %(ends)s.", ends=day_of(stops))
    return Sentence("Yes. It has no end.")


def _renewed_at(document: Json) -> str:
    """Return the host that gives out renewed ones; it is named and not asked, since that may make a new credential."""
    for service in objects(document.get("refreshService")):
        if isinstance(service.get("id"), str) and host_of(service["id"]):
            return host_of(service["id"])
    return ""
