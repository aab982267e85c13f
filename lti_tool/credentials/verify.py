"""Checks a credential of any issuer and says in people's words what held, what did not and what could not be checked.

Written apart from the signing code on purpose: it takes a credential as any stranger gets it, so that it finds our own
mistakes too. Nothing is believed because of where it came from, nothing counts as good because it could not be looked
at, and the only way out is the `fetch` a caller passes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from lti_tool.credentials.checking.dates import dates
from lti_tool.credentials.checking.found import Found, find
from lti_tool.credentials.checking.issuer import is_own, who
from lti_tool.credentials.checking.proof import key_of_issuer, unchanged
from lti_tool.credentials.checking.report import (
    FAILED,
    LASTING,
    NOT_READ,
    PASSED,
    QUESTIONS,
    UNKNOWN,
    Check,
    Report,
    ask,
    nothing_found,
    report_of,
)
from lti_tool.credentials.checking.status import withdrawn
from lti_tool.credentials.checking.structure import complete, links
from lti_tool.credentials.issuer_keys import Method, Own
from lti_tool.credentials.untrusted import Fetch, Fetched, Refused, Unknown
from lti_tool.errors import Busy, ToolError
from lti_tool.sentence import Sentence

__all__ = ["FAILED", "LASTING", "PASSED", "UNKNOWN", "Check", "Report", "verify"]

# One pasted text must not make this server ask hundreds of addresses. Six: itself, two keys, two lists, the lists' key.
MOST_FETCHES = 6
MOST_KEPT = 256 * 1024  # bytes of an answer kept for when the same address is named again


def verify(
    data: bytes | str,
    *,
    now: datetime,
    fetch: Fetch,
    own: Own | None = None,
    known: Mapping[str, Check] = MappingProxyType({}),
) -> Report:
    """Check one credential: JSON, a compact JWT, a baked PNG or SVG, or an address to get one from.

    `fetch` must refuse private hosts; a ToolError it raises becomes “could not check”, but Busy ends the check.
    `known` may hold the LASTING answers of an earlier report on the same bytes and keys; they are not asked again.
    Raises nothing itself."""
    kept: dict[str, Fetched | ToolError] = {}
    fetches = 0

    def fetch_once(url: str) -> Fetched:
        nonlocal fetches
        if url in kept:
            answer = kept[url]
        elif fetches == MOST_FETCHES:
            raise Unknown(Sentence("It leads to more addresses than are asked for one check."))
        else:
            fetches += 1
            answer = _asked(url, fetch)
            if isinstance(answer, ToolError) or len(answer.body) <= MOST_KEPT:
                kept[url] = answer
        if isinstance(answer, ToolError):
            raise answer
        return answer

    try:
        found = find(data, fetch_once)
    except Refused as refused:
        return nothing_found(FAILED, refused.sentence)
    except Unknown as unknown:
        return nothing_found(UNKNOWN, unknown.sentence)
    checks = _all_checks(found, now, fetch_once, own, known)
    return report_of(found.form, found.document, checks, ours=is_own(found.document, own))


def _asked(url: str, fetch: Fetch) -> Fetched | ToolError:
    try:
        return fetch(url)
    except Busy:
        raise
    except ToolError as error:
        return error
    except (ValueError, OverflowError) as error:  # an address so odd that even taking it apart fails
        return ToolError(type(error).__name__)


def _all_checks(
    found: Found, now: datetime, fetch: Fetch, own: Own | None, known: Mapping[str, Check]
) -> Iterator[Check]:
    document = found.document
    yield ask("found", lambda: Sentence("Yes, an Open Badges 3.0 credential (%(form)s).", form=found.form))
    lasting = known if known.keys() >= LASTING else _lasting(found, now, fetch, own)
    yield from (lasting[name] for name in QUESTIONS if name in lasting)
    if lasting["complete"].outcome != PASSED:
        # Asking further would be asking about something that need not be there.
        for name in list(QUESTIONS)[2:]:
            yield Check(name, UNKNOWN, QUESTIONS[name], NOT_READ)
        return
    signed = all(lasting[name].outcome == PASSED for name in ("unchanged", "key"))
    yield ask("issuer", lambda: who(document["issuer"], lasting["unchanged"].outcome, lasting["key"].outcome, own))
    yield ask("dates", lambda: dates(found, now))
    yield ask("withdrawn", lambda: withdrawn(document, signed, now, fetch, own))


def _lasting(found: Found, now: datetime, fetch: Fetch, own: Own | None) -> dict[str, Check]:
    """Ask the LASTING questions; only the first of them where its answer is no."""
    whole = ask("complete", lambda: complete(found))
    if whole.outcome != PASSED:
        return {"complete": whole}
    methods: list[Method] = []
    key = ask("key", lambda: key_of_issuer(found, fetch, own, now, methods))
    return {
        "complete": whole,
        "links": ask("links", lambda: links(found.document)),
        "key": key,
        "unchanged": ask("unchanged", lambda: unchanged(found, methods, own)),
    }
