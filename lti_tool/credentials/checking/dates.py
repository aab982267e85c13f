"""Is it in force by date?"""

from __future__ import annotations

from datetime import datetime, timedelta

from lti_tool.credentials.checking.found import Found
from lti_tool.credentials.untrusted import Refused, day_of, moment, objects
from lti_tool.sentence import Sentence

CLOCK_LEEWAY = timedelta(seconds=60)


def dates(found: Found, now: datetime) -> str:
    document = found.document
    begins, ends = moment(document["validFrom"]), moment(document.get("validUntil"))
    proofs = objects(document.get("proof"))
    if begins and begins > now + CLOCK_LEEWAY:
        raise Refused(Sentence("It begins only on %(begins)s.", begins=day_of(begins)))
    if ends and ends <= now:
        raise Refused(
            Sentence("It ended on %(ends)s. The holder can ask the issuer for a renewed one.", ends=day_of(ends))
        )
    for proof in proofs:
        made, until = moment(proof.get("created")), moment(proof.get("expires"))
        if ("created" in proof and made is None) or ("expires" in proof and until is None):
            raise Refused(Sentence("The time of its signature cannot be read."))
        if made and made > now + CLOCK_LEEWAY:
            raise Refused(Sentence("It says that it was signed in the future."))
        if until and until <= now:
            raise Refused(Sentence("Its signature ended on %(until)s.", until=day_of(until)))
    if ends:
        return Sentence("Yes, until %(ends)s.", ends=day_of(ends))
    return Sentence("Yes. It has no end.")
