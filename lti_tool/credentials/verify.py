"""Checks a credential of any issuer and says in people's words what held, what did not and what could not be checked.

Written apart from the signing code on purpose: it takes a credential as any stranger gets it, so that it finds our own
mistakes too. Nothing is believed because of where it came from, nothing counts as good because it could not be looked
at, and the only way out is the `fetch` a caller passes in. The questions themselves are in `checking/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from lti_tool.credentials.checking import ob2, recipient
from lti_tool.credentials.checking.dates import dates
from lti_tool.credentials.checking.found import BADGE, KINDS, OB2, RECORD, Found, find, in_value
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
    summary_of,
)
from lti_tool.credentials.checking.schema import named_schemas
from lti_tool.credentials.checking.status import NO_PLACE, withdrawn
from lti_tool.credentials.checking.structure import complete, links
from lti_tool.credentials.endorsement import WRITTEN_DOWN
from lti_tool.credentials.issuer_keys import Method, Own, own_issuer
from lti_tool.credentials.untrusted import (
    Fetch,
    Fetched,
    Json,
    Refused,
    Unknown,
    as_list,
    as_object,
    strings,
)
from lti_tool.errors import Busy, ToolError
from lti_tool.sentence import Sentence, counted

__all__ = ["FAILED", "LASTING", "PASSED", "UNKNOWN", "Check", "Report", "verify"]

# One pasted text must not make this server ask hundreds of addresses. Seven: itself, its issuer's
# list of keys, two keys, two lists, the lists' key.
MOST_FETCHES = 7
MORE_FOR_EACH = 4  # credential or endorsement in it: its issuer's list of keys, a key, a list, the list's key
MOST_FETCHES_EVER = 24
MOST_INSIDE = 30
MOST_ENDORSEMENTS = 10  # as many as a credential of ours may carry
MOST_KEPT = 256 * 1024  # bytes of an answer kept for when the same address is named again


def verify(
    data: bytes | str,
    *,
    now: datetime,
    fetch: Fetch,
    own: Own | None = None,
    known: Mapping[str, Check] = MappingProxyType({}),
    known_endorsements: Sequence[Mapping[str, Check]] = (),
    whose: str = "",
) -> Report:
    """Check one credential: JSON, a compact JWT, a baked PNG or SVG, a PDF that it is attached to, or an address.

    Open Badges 3.0 and 2.0, endorsements, and learner records with all that is in them.
    `fetch` must refuse private hosts; a ToolError it raises becomes “could not check”, but Busy ends the check.
    `known` may hold the LASTING answers of an earlier report on the same bytes and keys, `known_endorsements` those of
    that report's endorsements in their order; they are not asked again.
    `whose`: the e-mail address of the person it should be of, where somebody wants to know.
    Raises nothing itself."""
    asking = _Asking(fetch, now, own, whose)
    try:
        found = find(data, asking.fetch)
    except Refused as refused:
        return nothing_found(FAILED, refused.sentence)
    except Unknown as unknown:
        return nothing_found(UNKNOWN, unknown.sentence)
    return _report(found, asking, known, known_endorsements)


@dataclass
class _Asking:
    """One check: its clock, what this installation knows of itself, and a way out that counts and remembers."""

    outside: Fetch
    now: datetime
    own: Own | None
    whose: str = ""
    most: int = MOST_FETCHES
    asked: int = 0
    kept: dict[str, Fetched | ToolError] = field(default_factory=dict)

    def fetch(self, url: str) -> Fetched:
        if url in self.kept:
            answer = self.kept[url]
        elif self.asked >= self.most:
            raise Unknown(Sentence("It leads to more addresses than are asked for one check."))
        else:
            self.asked += 1
            answer = _asked(url, self.outside)
            if isinstance(answer, ToolError) or len(answer.body) <= MOST_KEPT:
                self.kept[url] = answer
        if isinstance(answer, ToolError):
            raise answer
        return answer

    def more(self, count: int) -> None:
        """Allow for `count` credentials within this one."""
        self.most = min(self.most + MORE_FOR_EACH * count, MOST_FETCHES_EVER)


def _asked(url: str, fetch: Fetch) -> Fetched | ToolError:
    try:
        return fetch(url)
    except Busy:
        raise
    except ToolError as error:
        return error
    except (ValueError, OverflowError) as error:  # an address so odd that even taking it apart fails
        return ToolError(type(error).__name__)


def _report(
    found: Found,
    asking: _Asking,
    known: Mapping[str, Check] = MappingProxyType({}),
    known_endorsements: Sequence[Mapping[str, Check]] = (),
) -> Report:
    first = ask("found", lambda: Sentence("Yes, %(kind)s (%(form)s).", kind=KINDS[found.kind], form=found.form))
    if found.kind == OB2:
        made = ob2.Assertion(found.document, {}, {})
        answers = [first, *ob2.checks(found, asking.now, asking.fetch, asking.own, made)]
        if asking.whose and made.issuer:
            answers.append(ask("recipient", lambda: recipient.in_assertion(made.said, asking.whose)))
        ours = own_issuer(made.issuer.get("id"), asking.own)
        return report_of(found, iter(answers), ob2.summary(made), ours=ours)
    carried = _Carried(known_endorsements)
    answers = [first, *_all_checks(found, asking, known, carried)]
    ours = is_own(found.document, asking.own)
    report = report_of(found, iter(answers), summary_of(found.document), tuple(carried.inside), ours=ours)
    return replace(report, endorsements=tuple(carried.endorsements))


@dataclass
class _Carried:
    """The reports on what a credential carries, and what is known of its endorsements from an earlier one."""

    known_endorsements: Sequence[Mapping[str, Check]]
    inside: list[Report] = field(default_factory=list)
    endorsements: list[Report] = field(default_factory=list)


def _all_checks(found: Found, asking: _Asking, known: Mapping[str, Check], carried: _Carried) -> Iterator[Check]:
    document, now, own = found.document, asking.now, asking.own
    lasting = known if known.keys() >= LASTING else _lasting(found, asking)
    yield from (lasting[name] for name in QUESTIONS if name in lasting)
    if lasting["complete"].outcome != PASSED:
        # Asking further would be asking about something that need not be there.
        for name in ("links", "unchanged", "key", "issuer", "dates", "withdrawn"):
            yield Check(name, UNKNOWN, QUESTIONS[name], NOT_READ)
        return
    signed = all(lasting[name].outcome == PASSED for name in ("unchanged", "key"))
    yield ask("issuer", lambda: who(document["issuer"], lasting["unchanged"].outcome, lasting["key"].outcome, own))
    yield ask("dates", lambda: dates(found, now))
    yield ask("withdrawn", lambda: withdrawn(document, signed, now, asking.fetch, own))
    if asking.whose and found.kind == BADGE:
        yield ask("recipient", lambda: recipient.in_badge(document, asking.whose))
    if (other := named_schemas(document)) is not None:
        yield ask("schema", other)
    endorsements = list(_endorsements(document))
    if endorsements:
        asking.more(min(len(endorsements), MOST_ENDORSEMENTS))
        yield ask("endorsements", lambda: _endorsed(document, endorsements, asking, carried, signed=signed))
    if found.kind == RECORD:
        asking.more(min(len(document["credentialSubject"]["verifiableCredential"]), MOST_INSIDE))
        yield ask("inside", lambda: _inside(document, asking, carried.inside, signed=signed))


def _lasting(found: Found, asking: _Asking) -> dict[str, Check]:
    """Ask the LASTING questions; only the first of them where its answer is no."""
    whole = ask("complete", lambda: complete(found))
    if whole.outcome != PASSED:
        return {"complete": whole}
    methods: list[Method] = []
    key = ask("key", lambda: key_of_issuer(found, asking.fetch, asking.own, asking.now, methods))
    return {
        "complete": whole,
        "links": ask("links", lambda: links(found)),
        "key": key,
        "unchanged": ask("unchanged", lambda: unchanged(found, methods, asking.own)),
    }


# -- what a credential carries ----------------------------------------------------------------------------------


def _endorsements(document: Json) -> Iterator[tuple[Any, list[str]]]:
    """Yield each endorsement in a credential with the ids of what it may be about.

    One that stands at an achievement or a profile is about that. One that stands at the credential may be about its
    achievement and the profiles in it as well: see what the official JSON Schema says of its `endorsement`."""
    subject = document["credentialSubject"]
    achievement = as_object(subject.get("achievement"))
    profiles = [as_object(each) for each in (document.get("issuer"), achievement.get("creator"), subject.get("source"))]
    for node in (document, achievement, *profiles):
        may = (document, achievement, *profiles) if node is document else (node,)
        about = strings([each.get("id") for each in may])
        for member in ("endorsement", "endorsementJwt"):
            for each in as_list(node.get(member, [])):
                yield each, about


def _endorsed(
    document: Json, endorsements: list[tuple[Any, list[str]]], asking: _Asking, carried: _Carried, *, signed: bool
) -> str:
    """Check endorsements as credentials of their own, each with what it is about.

    One that was taken back was genuine when it was signed in, and what it endorsed does not rest on it: that is told,
    and nothing more follows from it."""
    if not signed:
        raise Unknown(Sentence("Not asked: the credential that carries them is not shown to be the issuer's."))
    if len(endorsements) > MOST_ENDORSEMENTS:
        raise Unknown(Sentence("It carries more endorsements than are checked at once."))
    reports = carried.endorsements
    for (each, about), known in zip_longest(endorsements, carried.known_endorsements[: len(endorsements)]):
        found = in_value(each)
        subject = as_object(found.document.get("credentialSubject"))
        if "EndorsementCredential" not in strings(found.document.get("type")) or subject.get("id") not in about:
            raise Refused(Sentence("No. One of them is about something else."))
        reports.append(_report(found, asking, known or {}))
    taken_back = [report for report in reports if _taken_back(report)]
    names = sorted({_who_says(report, document) for report in reports} - {""})
    good: Sentence = counted("Yes, one, by %(names)s.", "Yes, all %(num)s, by %(names)s.", len(reports), names=names)
    if taken_back:
        then = counted("One has been taken back since.", "%(num)s have been taken back since.", len(taken_back))
        good = Sentence("%(first)s %(then)s", first=good, then=then)
    rest = [report for report in reports if report not in taken_back]
    return _told(
        rest,
        good,
        Sentence("No. One by %(name)s is not.", name=_first(rest, FAILED)),
        Sentence("One by %(name)s could not be checked in full.", name=_first(rest, UNKNOWN)),
    )


def _taken_back(report: Report) -> bool:
    """Tell whether all is well with an endorsement but that its issuer has withdrawn it."""
    said = {check.name: check for check in report.checks if check.outcome != PASSED}
    return (
        said.keys() == {"withdrawn"} and said["withdrawn"].outcome == FAILED and said["withdrawn"].sentence != NO_PLACE
    )


def _who_says(report: Report, document: Json) -> str:
    """Return whose words an endorsement holds: its issuer's, or where the credential's issuer wrote down what somebody
    said who has no key, hers."""
    if report.summary is None:
        return ""
    own = report.summary.issuer_id == as_object(document.get("issuer")).get("id")
    if own and report.summary.name.startswith(WRITTEN_DOWN):
        return report.summary.name.removeprefix(WRITTEN_DOWN)[:120]
    return report.summary.issuer_name


def _inside(document: Json, asking: _Asking, inside: list[Report], *, signed: bool) -> str:
    """Check each credential that a learner record carries, as if it had come alone."""
    if not signed:
        raise Unknown(Sentence("Not asked: the record that carries them is not shown to be the issuer's."))
    carried = document["credentialSubject"]["verifiableCredential"]
    if len(carried) > MOST_INSIDE:
        raise Unknown(Sentence("It carries more credentials than are checked at once (%(most)s).", most=MOST_INSIDE))
    for each in carried:
        try:
            found = in_value(each)
        except Refused as refused:
            inside.append(nothing_found(FAILED, refused.sentence))
            continue
        except Unknown as unknown:
            inside.append(nothing_found(UNKNOWN, unknown.sentence))
            continue
        if found.kind == RECORD:
            inside.append(
                nothing_found(UNKNOWN, Sentence("A learner record within a learner record is not looked at."))
            )
            continue
        inside.append(_report(found, asking))
    return _told(
        inside,
        counted("Yes, the one in it.", "Yes, all %(num)s.", len(inside)),
        Sentence("No. “%(name)s” is not.", name=_first(inside, FAILED)),
        Sentence("“%(name)s” could not be checked in full.", name=_first(inside, UNKNOWN)),
    )


def _told(reports: list[Report], good: Sentence, bad: Sentence, open_: Sentence) -> Sentence:
    """Return what several reports come to: one that failed weighs more than one that could not be checked."""
    if any(_has(report, FAILED) for report in reports):
        raise Refused(bad)
    if not all(report.ok for report in reports):
        raise Unknown(open_)
    return good


def _has(report: Report, outcome: str) -> bool:
    return any(check.outcome == outcome for check in report.checks)


def _first(reports: list[Report], outcome: str) -> str:
    for report in reports:
        if _has(report, outcome) and report.summary:
            named = report.summary.issuer_name if report.kind != BADGE else report.summary.name
            return named[:120] or "?"
    return "?"
