"""Checks of credentials, ours and anybody's: what is asked of whom, and the report as pages and commands show it."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from flask_babel import gettext as _

from lti_tool.credentials.issuer_keys import Own
from lti_tool.credentials.untrusted import host_of
from lti_tool.credentials.verify import LASTING, Check, Report, verify
from lti_tool.errors import Busy, NotFound, ServiceUnreachable
from lti_tool.http import Response
from lti_tool.models import Edition
from lti_tool.sentence import Sentence
from lti_tool.services import hosted
from lti_tool.services.forms import FORMS, check_text, find_edition, form_of, signed_edition
from lti_tool.services.issuer import did_document
from lti_tool.services.pages.public import CheckView, ReportPage
from lti_tool.services.status_lists import status_list_json
from lti_tool.services.tool import Tool
from lti_tool.services.words import said

LISTS = re.compile(rb'"statusListCredential":"([^"\\]*)"')
METHODS = re.compile(rb'"verificationMethod":"([^"\\]*)"')

LARGEST_FETCH = 5 * 1024 * 1024
LONGEST_CHECK = 15.0  # seconds for all that one check asks other servers
# Checks that ask other servers at the same time, in this process: they hold a thread each, and the rest is for others.
ASKING_OUTSIDE = threading.BoundedSemaphore(2)
CHECKS_BUSY = Sentence("Other credentials are being checked at this moment.")


def check(
    tool: Tool,
    data: bytes | str,
    now: datetime,
    *,
    everyone_sees: bool = False,
    whose: str = "",
    known: Mapping[str, Check] = MappingProxyType({}),
    known_endorsements: Sequence[Mapping[str, Check]] = (),
) -> Report:
    """Check a credential of anybody's. Our own addresses are answered from here, others through the one door.

    `everyone_sees` lets an operator check an award whose page is private, by its address; `whose` (compared and
    forgotten), `known` and `known_endorsements`: see `verify`.
    Raises Busy where as many checks as may are asking other servers at this moment."""
    document = did_document(tool)
    own = Own(frozenset({document["id"]}), document, tool.settings.base_url)
    with ExitStack() as stack:
        outside = _Outside(tool, stack)

        def fetch(url: str) -> Response:
            return _fetch_here(tool, url, now, everyone_sees) if _is_ours(tool, url) else outside.get(url)

        return verify(
            data, now=now, fetch=fetch, own=own, known=known, known_endorsements=known_endorsements, whose=whose
        )


class _Outside:
    """The way to other servers for one check: it waits for nobody, and all its requests together have one deadline."""

    def __init__(self, tool: Tool, stack: ExitStack) -> None:
        self._http = copy.copy(tool.http)  # the same connections; the time that a request may take is this check's own
        self._stack = stack
        self._ends: float | None = None

    def get(self, url: str) -> Response:
        if self._ends is None:
            if not ASKING_OUTSIDE.acquire(blocking=False):
                raise Busy("checks are asking other servers", reason="checks_busy", sentence=CHECKS_BUSY)
            self._stack.callback(ASKING_OUTSIDE.release)
            self._ends = time.monotonic() + LONGEST_CHECK
        self._http.total_timeout = self._ends - time.monotonic()
        if self._http.total_timeout <= 0:
            raise ServiceUnreachable("no time is left for this check", reason="deadline")
        headers = {"Accept": "application/json, */*;q=0.5"}
        return self._http.get(url, headers=headers, max_bytes=LARGEST_FETCH, allow=range(400, 600), attempts=2)


def _is_ours(tool: Tool, url: str) -> bool:
    base = tool.settings.base_url
    # did:web of a base address with a port is https by its definition, whatever the port serves.
    return host_of(url) == host_of(base) and url.partition(":")[0].lower() in (base.partition(":")[0], "https")


def _fetch_here(tool: Tool, url: str, now: datetime, everyone_sees: bool) -> Response:
    path = urlsplit(url).path
    if path == "/.well-known/did.json":
        return _answer(url, json.dumps(did_document(tool)).encode())
    head, _, rest = path.strip("/").partition("/")
    if head == "status" and re.fullmatch("[0-9]{1,9}", rest):
        return _answer(url, status_list_json(tool, int(rest), now))
    if head == "keys" and (key := tool.keyring.credential_key(rest)) is not None:
        return _answer(url, json.dumps(key.public_jwk()).encode())
    if head == "credentials" and rest:
        credential_id, _, form = rest.partition(".")
        form = form or "json"
        if form in FORMS:
            return _answer(url, form_of(tool, _edition_here(tool, credential_id, form, now, everyone_sees), form))
    if head == "ob2":  # as its pages: of one that was replaced they say so, whatever is still shown of it
        status, content = hosted.content_at(
            tool, rest, lambda id, form: _edition_here(tool, id, form, now, everyone_sees, as_page=True)
        )
        return _answer(url, content, status)
    raise NotFound("not an address of ours that holds a credential")


def _edition_here(
    tool: Tool, credential_id: str, form: str, now: datetime, everyone_sees: bool, *, as_page: bool = False
) -> Edition:
    if not everyone_sees:
        return find_edition(tool, credential_id, None, now, form, as_page=as_page)
    check_text(credential_id)
    with tool.db.read() as session:
        return signed_edition(session, credential_id, form)


def _answer(url: str, body: bytes, status: int = 200) -> Response:
    return Response(status, "OK" if status == 200 else "Gone", {}, body, url)


def own_report(tool: Tool, document: bytes, now: datetime) -> Report:
    """Check a credential of our own; asked again only where something it rests on is another than the last time.

    That is its bytes and the keys, which its signature rests on, and the status lists as they stand at this moment."""
    did = did_document(tool)
    last = _last(hashlib.sha256(document).digest(), hashlib.sha256(json.dumps(did).encode()).digest())
    status = _status_of(tool, document, did["id"], now)
    if last.report is not None and last.status == status and _in_time(last.report, now):
        return last.report
    report = check(tool, document, now, known=last.known, known_endorsements=last.known_endorsements)
    last.known, last.known_endorsements = _known_of(report), [_known_of(each) for each in report.endorsements]
    last.status, last.report = status, report if report.ok and status else None
    return report


def _known_of(report: Report) -> dict[str, Check]:
    """Return a report's answers that last; none where one of them is not good."""
    lasting = {each.name: each for each in report.checks if each.name in LASTING}
    return lasting if all(each.outcome == "passed" for each in lasting.values()) else {}


@dataclass
class _Last:
    """What came out the last time for a document and the keys: the answers that last, and all of it if all was well.

    `status` is what the status lists were then."""

    known: dict[str, Check] = field(default_factory=dict)
    known_endorsements: list[dict[str, Check]] = field(default_factory=list)
    status: bytes = b""
    report: Report | None = None


@functools.lru_cache(maxsize=2000)
def _last(_document: bytes, _keys: bytes) -> _Last:
    """Return the place where it is kept, by the document's digest and the keys'."""
    return _Last()


def _in_time(report: Report, now: datetime) -> bool:
    until = report.summary.valid_until if report.summary is not None else None
    return until is None or now < until


def _status_of(tool: Tool, document: bytes, did: str, now: datetime) -> bytes:
    """Return a digest of the status lists that a document of ours names; empty where more than these can change.

    That is where anything in it was signed by somebody else, names another's list, or ends at a time of its own."""
    lists, methods = set(LISTS.findall(document)), METHODS.findall(document)
    begin = f"{tool.settings.base_url}/status/".encode()
    ours = all(url.startswith(begin) and re.fullmatch(b"[0-9]{1,9}", url[len(begin) :]) for url in lists)
    if not (lists and ours and all(each.startswith(f"{did}#".encode()) for each in methods)):
        return b""
    if document.count(b'"validUntil":') > 1:
        return b""
    digest = hashlib.sha256()
    for url in sorted(lists):
        digest.update(status_list_json(tool, int(url[len(begin) :]), now))
    return digest.digest()


def report_page(report: Report, source: str, now: datetime, address: str = "") -> ReportPage:
    """Return a report as its page shows it. `address`: what was given, where that was an address."""
    summary = report.summary
    return ReportPage(
        verdict=said(report.verdict),
        ok=report.ok,
        checks=tuple(CheckView(c.name, c.outcome, said(c.question), said(c.sentence)) for c in report.checks),
        badge_name=summary.name if summary else "",
        issuer_name=summary.issuer_name if summary else "",
        source=source,
        checked_at=now,
        levels=tuple((row.name, row.reached, row.required) for row in summary.levels) if summary else (),
        explanation=said(report.explanation) if summary else "",
        details=tuple(_details(report)),
        address=address,
        inside=tuple(report_page(each, "", now) for each in report.inside),
    )


def _details(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what technical people ask for: word, value."""
    document, summary = report.document or {}, report.summary
    if summary is None:
        return
    yield _("Found as"), report.form
    yield _("Credential"), summary.id
    yield _("Issuer"), summary.issuer_id
    proofs = document.get("proof")
    for proof in proofs if isinstance(proofs, list) else [proofs]:
        if isinstance(proof, dict):
            suite = proof.get("cryptosuite") or proof.get("type")
            yield _("Signature"), f"{suite}, {proof.get('verificationMethod')}"[:400]
    for status in (document.get("credentialStatus"),):
        if isinstance(status, dict) and isinstance(status.get("statusListCredential"), str):
            yield _("Status list"), f"{status['statusListCredential']}#{status.get('statusListIndex')}"[:400]


def report_json(report: Report) -> dict[str, Any]:
    """Return a report as the command prints it."""
    summary = report.summary
    return {
        "ok": report.ok,
        "verdict": report.verdict,
        "explanation": report.explanation,
        "form": report.form,
        "kind": report.kind,
        "credential": summary.id if summary else None,
        "badge": summary.name if summary else None,
        "issuer": summary.issuer_id if summary else None,
        "checks": [{"name": c.name, "outcome": c.outcome, "sentence": c.sentence} for c in report.checks],
        "inside": [report_json(each) for each in report.inside],
    }
