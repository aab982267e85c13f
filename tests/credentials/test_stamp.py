"""What is printed straight from facts is what the long way writes, for any words and members."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lti_tool.credentials import ob3, signing, stamp
from lti_tool.credentials.canonical import EditionTemplate, canonical_by_pyld, sha256_of
from lti_tool.credentials.endorsement import Said, signed_endorsement
from lti_tool.domain.badge import Level
from lti_tool.errors import CredentialHeldBack
from tests.credentials import examples
from tests.credentials.test_canonical import TEMPLATE, addresses, any_facts, evidence, given_words

FULL = EditionTemplate(examples.achievement(), examples.issuer(), needed=4)
KEYS: dict[str, Any] = {"ed25519": examples.ed25519_key(), "created": examples.CREATED}


def no_long_way(monkeypatch: pytest.MonkeyPatch, template: EditionTemplate) -> None:
    def stop(_facts: ob3.EditionFacts) -> None:
        raise AssertionError("it went the long way")

    monkeypatch.setattr(template, "_the_long_way", stop)


def same(template: EditionTemplate, facts: ob3.EditionFacts) -> None:
    """See that the quick way gives what the long way gives, or that both refuse."""
    try:
        _, text, digest = template._the_long_way(facts)
    except (CredentialHeldBack, ValueError) as refused:
        with pytest.raises(type(refused)):
            template.written(facts)
        return
    head, quick_text, quick_digest = template.written(facts)
    assert (quick_text, quick_digest) == (text, digest)
    credential = ob3.credential(template.achievement, template.issuer, facts)
    assert signing.data_integrity(head, text, digest, examples.ed25519_key(), examples.CREATED) == (
        signing.data_integrity(credential, text, digest, examples.ed25519_key(), examples.CREATED)
    )


@st.composite
def reworded(draw: st.DrawFn) -> tuple[ob3.EditionFacts, ob3.EditionFacts]:
    """Return any facts, and others with the same members and other words in them."""
    one, two = draw(any_facts), draw(any_facts)
    pieces = []
    for piece in one.evidence:
        other = draw(evidence)
        told = {name: draw(given_words) for name in stamp.EVIDENCE if getattr(piece, name)}
        pieces.append(ob3.Evidence(other.name, other.url or "https://example.org/2" if piece.url else "", **told))
    return one, dataclasses.replace(
        two,
        valid_until=two.valid_from + timedelta(days=1) if one.valid_until else None,
        include_results=one.include_results,
        reached=tuple(each._replace(level=draw(st.integers(0, 3))) for each in one.reached),
        gates=one.gates,
        name=one.name and draw(given_words),
        email=one.email and ob3.HashedEmail(ob3.new_salt(), "sha256$00"),
        course=one.course and draw(given_words),
        term=one.term and draw(given_words),
        started=one.started and two.valid_from,
        ended=one.ended and two.valid_from,
        narrative=one.narrative and draw(given_words),
        licence_number=one.licence_number and draw(given_words),
        renewable=one.renewable,
        terms_url=one.terms_url and draw(addresses),
        evidence=tuple(pieces),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reworded())
def test_a_stamp_learnt_from_one_edition_prints_any_other_with_its_members(
    both: tuple[ob3.EditionFacts, ob3.EditionFacts],
) -> None:
    TEMPLATE.written(both[0])
    same(TEMPLATE, both[1])


def test_the_second_of_its_kind_is_printed_and_is_what_pyld_says(monkeypatch: pytest.MonkeyPatch) -> None:
    template = EditionTemplate(examples.achievement(), examples.issuer(), needed=4)
    facts = (examples.facts(), examples.everything(), examples.facts(include_results=False))
    for first in facts:
        template.written(first)
    assert len(template._stamps) == 3 and all(template._stamps.values())
    no_long_way(monkeypatch, template)
    for number, first in enumerate(facts):
        again = dataclasses.replace(
            first,
            credential_id=f"{number:032x}",
            name=first.name and 'Ana "A" \\ B\nC 🎓',
            reached=tuple(each._replace(level=3, points=Decimal(number)) for each in first.reached),
            gates=(ob3.GateResult("course-grade", "B"), *first.gates[1:]),
        )
        _, text, digest = template.written(again)
        credential = ob3.credential(template.achievement, template.issuer, again)
        assert text.decode() == signing.compact(credential)
        assert digest == sha256_of(canonical_by_pyld(credential))
        assert template.sign_document(again, **KEYS) == signing.sign_document(credential, **KEYS)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_id": ob3.level_id(FULL.achievement["id"], "OC-1", "Proficient")},  # what the badge says of a level
        {"subject_id": f"{examples.BASE}/credentials/{'1' * 32}"},  # the credential itself
        {"subject_id": f"{examples.BASE}/credentials/{'1' * 32}#result-3"},
        {"subject_id": f"{examples.BASE}/status/1#7"},
        {"subject_id": FULL.achievement["id"]},
        {"subject_id": "urn:uuid:00000000-0000-4000-8000-000000000000"},
        {"subject_id": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"},
        {"evidence": (ob3.Evidence("A", f"{examples.BASE}/credentials/{'1' * 32}#result-0"), ob3.Evidence("B"))},
        {"evidence": (ob3.Evidence("A", "http://a.example/"), ob3.Evidence("B", "http://a.example/"))},
        {"evidence": (ob3.Evidence("A", "http://b.example/"), ob3.Evidence("B", "http://a.example/"))},
        {"terms_url": "https://video.example.edu/1"},
        {"terms_url": f"{examples.BASE}/credentials/{'1' * 32}"},
        {"started": None},
        {"narrative": "\x01", "licence_number": '"'},
        {"evidence": (ob3.Evidence("A", examples.BASE), ob3.Evidence("B", f"{examples.BASE}/zzz"))},
        {"name": examples.everything().email.hash if examples.everything().email else ""},
        {"name": "\t tab and \x07 bell", "course": "a\u2028b", "term": '"'},
        {"reached": examples.facts().reached[::-1], "gates": examples.facts().gates[::-1]},
        {"gates": (*examples.facts().gates[:2], ob3.GateResult("quiz", "12.000"), examples.facts().gates[3])},
    ],
)
def test_values_that_meet_what_is_there_already_are_written_as_the_standard_says(changes: dict[str, Any]) -> None:
    both = (ob3.Evidence("Talk", "https://video.example.edu/1"), ob3.Evidence("Notes", "https://video.example.edu/2"))
    for pieces in (both, (both[0], ob3.Evidence("Notes"))):
        FULL.written(dataclasses.replace(examples.everything(), evidence=pieces))
    facts = dataclasses.replace(examples.everything(), credential_id="1" * 32, evidence=both)
    same(FULL, dataclasses.replace(facts, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_id": "not an iri"},
        {"credential_id": "a b"},
        {"valid_from": examples.CREATED.replace(tzinfo=None)},
        {"email": ob3.HashedEmail("short", "sha256$00")},
        {"terms_url": "/terms"},
        {"started": examples.CREATED.replace(tzinfo=None)},
        {"evidence": (ob3.Evidence("A", "javascript:alert(1)"), ob3.Evidence("B"))},
        {"reached": examples.facts().reached[:3]},
        {"reached": (*examples.facts().reached[:3], ob3.Reached("OC-4", 9, None))},
        {"reached": (*examples.facts().reached, ob3.Reached("OC-9", 2, None))},
        {"reached": tuple(each._replace(level=0) for each in examples.facts().reached)},
        {"gates": (ob3.GateResult("course-grade", "C"), *examples.facts().gates[1:])},
        {"gates": (ob3.GateResult("course-grade", "Ä"), *examples.facts().gates[1:])},
        {"gates": (ob3.GateResult("course-grade", "A", passed=False), *examples.facts().gates[1:])},
        {"gates": (*examples.facts().gates[:1], ob3.GateResult("speech", "many"), *examples.facts().gates[2:])},
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_what_is_held_back_is_held_back_by_a_stamp_already_known(changes: dict[str, Any], told: bool) -> None:
    FULL.written(dataclasses.replace(examples.everything(), include_results=told))
    with pytest.raises((CredentialHeldBack, ValueError)):
        FULL.written(dataclasses.replace(examples.everything(), include_results=told, **changes))


def test_a_member_that_a_stamp_has_never_heard_of_goes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamp, "_OTHER_FACTS", (("term", None),))
    monkeypatch.setattr(stamp, "_OTHER_EVIDENCE", ("genre",))
    for facts in (examples.facts(term="Fall"), examples.facts(evidence=(ob3.Evidence("A", genre="B"),))):
        assert FULL._taking.take(facts) is None
    assert FULL._taking.take(examples.facts()) is not None


def test_a_badge_whose_levels_were_taken_for_words_prints_them_all() -> None:
    """Two rows that share a level's name, and one whose level has a mark of N-Quads in it."""
    rows = examples.badge().sub_competencies
    odd = dataclasses.replace(rows[0], levels=(Level('A "low" \\ one', Decimal(1)), *rows[0].levels[1:]))
    badge = examples.badge(sub_competencies=(odd, *rows[1:]), rule="any 1")
    template = EditionTemplate(examples.achievement(badge), examples.issuer(), needed=1)
    template.written(examples.facts())
    assert all(template._stamps.values())
    for level in range(4):
        reached = (ob3.Reached("OC-1", level, None), ob3.Reached("OC-2", 3, 4))
        same(template, examples.facts(reached=reached))
        same(template, examples.facts(reached=reached, subject_id="urn:x:ÿ"))


def test_an_edition_with_endorsements_is_printed_with_the_very_same_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their proofs are graphs of their own with blank nodes: statements of four terms."""

    def said(number: int) -> dict[str, Any]:
        told = Said(
            *(f"{number:032x}", FULL.achievement["id"], "Zoë", "Head", "Clinic", 'Does "well".\n', examples.CREATED),
            *(1, number),
        )
        signed: dict[str, Any] = json.loads(signed_endorsement(told, examples.issuer(), examples.ed25519_key()))
        return signed

    template = EditionTemplate(examples.achievement(), examples.issuer(), needed=4)
    one, both = (said(1),), (said(1), said(2))
    for endorsements in (one, both):
        template.written(dataclasses.replace(examples.everything(), endorsements=endorsements))
    assert len(template._stamps) == 2 and all(template._stamps.values())
    for endorsements in (one, both):
        facts = dataclasses.replace(
            examples.everything(), endorsements=endorsements, credential_id="7" * 32, name="Ana"
        )
        same(template, facts)
        credential = ob3.credential(template.achievement, template.issuer, facts)
        assert template.written(facts)[2] == sha256_of(canonical_by_pyld(credential))
    no_long_way(monkeypatch, template)
    template.written(facts)
    with pytest.raises(AssertionError):
        template.written(dataclasses.replace(facts, endorsements=(said(3),)))
