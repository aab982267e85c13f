"""What a check comes to, in people's words: each question with its answer, a verdict, what the credential says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from lti_tool.credentials.checking.found import Found
from lti_tool.credentials.untrusted import Json, Refused, Unknown, as_object, begins, ends, moment, objects, text_of
from lti_tool.sentence import Sentence, counted

PASSED, FAILED, UNKNOWN = "passed", "failed", "could not check"

QUESTIONS = {
    "found": Sentence("Is there a credential in it?"),
    "complete": Sentence("Is it complete and well formed?"),
    "links": Sentence("Do its parts fit together?"),
    "unchanged": Sentence("Was it changed after signing?"),
    "key": Sentence("Does the key belong to the issuer?"),
    "hosted": Sentence("Does its issuer keep it where it says?"),
    "issuer": Sentence("Is the issuer who it says it is?"),
    "dates": Sentence("Is it in force by date?"),
    "withdrawn": Sentence("Has the issuer withdrawn it?"),
    "recipient": Sentence("Is it this person's?"),
    "schema": Sentence("Does it keep to the form its issuer names?"),
    "endorsements": Sentence("Are the endorsements in it genuine?"),
    "inside": Sentence("Are the credentials in it genuine and in force?"),
}

# Questions whose answers stay the same for the same document and the same keys.
LASTING = frozenset({"complete", "links", "unchanged", "key"})

GENUINE = Sentence("Genuine and in force")
NOT_TO_RELY_ON = Sentence("Do not rely on this one")
NOT_ALL_CHECKED = Sentence("Not everything could be checked")
NOT_OURS = Sentence("Not issued by us")
NOTHING_FOUND = Sentence("There is no credential to check")
NOT_READ = Sentence("Not looked at, because it could not be read as a whole.")


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its answer. `outcome` is passed, failed or could not check; both texts are for people."""

    name: str
    outcome: str
    question: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LevelReached:
    """A sub-competency as the credential shows it; empty where it says nothing."""

    name: str
    reached: str
    required: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a credential says of itself. It is only worth what the checks say."""

    id: str
    name: str
    description: str
    issuer_name: str
    issuer_id: str
    valid_from: datetime | None
    valid_until: datetime | None
    levels: tuple[LevelReached, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in the order they are asked. `ok` only where every one passed.

    `form` is where it was found (JSON, JWT, PNG, SVG, PDF), `kind` which of the standards' credentials it is;
    `document` is the credential itself, or None; `inside` are the reports of those that a learner record carries,
    `endorsements` those of what others say in it."""

    checks: tuple[Check, ...]
    verdict: str
    explanation: str
    ok: bool
    form: str
    summary: Summary | None
    document: Json | None
    kind: str = ""
    inside: tuple[Report, ...] = ()
    endorsements: tuple[Report, ...] = ()

    def outcome(self, name: str) -> str:
        return next(check.outcome for check in self.checks if check.name == name)


def ask(name: str, question: Callable[[], str]) -> Check:
    """Ask one question. The sentence for a pass is returned, the others are raised."""
    try:
        return Check(name, PASSED, QUESTIONS[name], question())
    except Refused as refused:
        return Check(name, FAILED, QUESTIONS[name], refused.sentence)
    except Unknown as unknown:
        return Check(name, UNKNOWN, QUESTIONS[name], unknown.sentence)


def nothing_found(outcome: str, sentence: str) -> Report:
    checks = (Check("found", outcome, QUESTIONS["found"], sentence),)
    return Report(checks, NOTHING_FOUND, sentence, False, "", None, None)


def report_of(
    found: Found, checks: Iterator[Check], summary: Summary, inside: tuple[Report, ...] = (), *, ours: bool
) -> Report:
    """Put the answers in order and sum them up. `ours`: it says that it is from this installation."""
    order = list(QUESTIONS)
    done = tuple(sorted(checks, key=lambda check: order.index(check.name)))
    outcome = {check.name: check.outcome for check in done}
    ok = all(result == PASSED for result in outcome.values())
    if ok:
        verdict = GENUINE
    elif ours and outcome["complete"] != FAILED and FAILED in (outcome.get("key"), outcome.get("hosted")):
        verdict = NOT_OURS
    else:
        verdict = NOT_TO_RELY_ON if FAILED in outcome.values() else NOT_ALL_CHECKED
    return Report(done, verdict, _explained(outcome), ok, found.form, summary, found.document, found.kind, inside)


PROVING = frozenset({"unchanged", "key", "hosted"})
WHY = {
    "complete": Sentence("It is not well formed."),
    "links": Sentence("Its parts do not fit together."),
    "unchanged": Sentence("It was changed after signing, or never signed."),
    "key": Sentence("The key is not the issuer's."),
    "hosted": Sentence("Its issuer's server does not say the same."),
    "issuer": Sentence("Nothing ties it to the issuer it names."),
    "dates": Sentence("It is outside its dates."),
    "withdrawn": Sentence("The issuer has withdrawn it."),
    "recipient": Sentence("It is another person's."),
    "endorsements": Sentence("An endorsement in it is not genuine."),
    "inside": Sentence("A credential in it is not to be relied on."),
}


def _explained(outcome: Mapping[str, str]) -> Sentence:
    """Say in a few sentences what the checks come to."""
    failed = [name for name in WHY if outcome.get(name) == FAILED]
    if "issuer" in failed and PROVING & set(failed):
        failed.remove("issuer")  # it only follows
    unknown = sum(result == UNKNOWN for result in outcome.values())
    if not failed and not unknown:
        return Sentence("Every check passed.")
    told: list[Sentence] = []
    if all(outcome[name] == PASSED for name in PROVING & outcome.keys()):
        told.append(
            Sentence("It is genuine and unchanged.") if failed else Sentence("What could be checked is in order.")
        )
    told += [WHY[name] for name in failed]
    if unknown:
        told.append(counted("One check could not be made.", "%(num)s checks could not be made.", unknown))
    whole = told[0]
    for each in told[1:]:
        whole = Sentence("%(first)s %(then)s", first=whole, then=each)
    return whole


def summary_of(document: Json) -> Summary:
    subject = as_object(document.get("credentialSubject"))
    achievement = as_object(subject.get("achievement"))
    issuer = document.get("issuer")
    issuer = {"id": issuer} if isinstance(issuer, str) else as_object(issuer)
    return Summary(
        id=text_of(document.get("id")),
        name=text_of(achievement.get("name")) or text_of(document.get("name")),
        description=text_of(achievement.get("description")),
        issuer_name=text_of(issuer.get("name")),
        issuer_id=text_of(issuer.get("id")),
        valid_from=moment(begins(document)),
        valid_until=moment(ends(document)),
        levels=tuple(_levels(subject, achievement)),
    )


def _levels(subject: Json, achievement: Json) -> Iterator[LevelReached]:
    results = {text_of(result.get("resultDescription")): result for result in objects(subject.get("result"))}
    for description in objects(achievement.get("resultDescription")):
        names = {text_of(v.get("id")): text_of(v.get("name")) for v in objects(description.get("rubricCriterionLevel"))}
        result = results.get(text_of(description.get("id")), {})
        reached = (
            names.get(text_of(result.get("achievedLevel")))
            or text_of(result.get("value"))
            or text_of(result.get("status"))
        )
        required = names.get(text_of(description.get("requiredLevel"))) or text_of(description.get("requiredValue"))
        yield LevelReached(text_of(description.get("name")), reached, required)
