"""The template gives what the slow way gives, for any words and any choice of members."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lti_tool.credentials import canonical, ob3, signing
from lti_tool.credentials.canonical import EditionTemplate, canonical_by_pyld, check_template
from lti_tool.credentials.contexts import canonical_nquads, is_iri
from lti_tool.domain.badge import Gate, Level, Stack
from lti_tool.errors import CredentialHeldBack
from tests.credentials import examples

LETTERS = tuple((letter, Decimal(least)) for letter, least in zip("FDCBA", (0, 60, 70, 80, 90), strict=True))

# Two rows keep the slow way bearable; `needed` is none of them, so that any subset may be told.
SMALL = examples.badge(sub_competencies=examples.badge().sub_competencies[:2])
TEMPLATE = EditionTemplate(examples.achievement(SMALL), examples.issuer(), needed=0)

any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
words = any_text.filter(lambda text: not text.startswith("_:")) | st.sampled_from(
    [
        '"',
        "\\",
        "\\n",
        "a\nb",
        "50 %",
        "%s %d",
        "😀🎓",
        "שלום",
        "\u202eevil",
        "a\u2028b",
        "a _:b0",
        "<x> .",
        "urn:place:",
        '"^^<x>',
    ]
)
given_words = words.filter(lambda text: bool(text))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))
paths = st.text("abcXYZ019-._~/?&=%#é😀", max_size=20)
addresses = paths.map(lambda path: f"https://example.org/{path}").filter(is_iri)
evidence = st.builds(
    ob3.Evidence,
    name=given_words,
    url=st.just("") | addresses,
    description=words,
    narrative=words,
    genre=words,
    audience=words,
)
email_hashes = st.text("0123456789abcdef", min_size=32, max_size=32).map(
    lambda salt: ob3.HashedEmail(salt, ob3.identity_hash("zoe@example.edu", salt))
)
reached = st.lists(
    st.builds(
        ob3.Reached,
        code=st.sampled_from(["OC-1", "OC-2"]),
        level=st.integers(0, 3),
        points=st.none() | st.fractions(0, 4) | st.decimals(0, 4, places=3),
    ),
    max_size=2,
    unique_by=lambda item: item.code,
)
gates = st.lists(
    st.sampled_from(
        [
            ob3.GateResult("course-grade", "B"),
            ob3.GateResult("course-grade"),
            ob3.GateResult("speech", "70.000"),
            ob3.GateResult("quiz", "13"),
            ob3.GateResult("attendance"),
        ]
    ),
    max_size=4,
    unique_by=lambda item: item.code,
)
any_facts = st.builds(
    ob3.EditionFacts,
    credential_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    subject_id=st.uuids().map(lambda u: f"urn:uuid:{u}") | paths.map(lambda path: f"did:example:{path}").filter(is_iri),
    valid_from=moments,
    valid_until=st.none() | moments,
    status_list=st.integers(1, 99),
    status_index=st.integers(0, 131_071),
    reached=reached.map(tuple),
    gates=gates.map(tuple),
    include_results=st.booleans(),
    name=st.none() | given_words,
    email=st.none() | email_hashes,
    course=st.none() | given_words,
    term=st.none() | given_words,
    evidence=st.lists(evidence, max_size=2).map(tuple),
    started=st.none() | moments,
    ended=st.none() | moments,
    narrative=st.just("") | words,
    licence_number=st.just("") | words,
    renewable=st.booleans(),
    terms_url=st.just("") | addresses,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts)
def test_i04_the_template_gives_the_bytes_of_the_slow_way(facts: ob3.EditionFacts) -> None:
    keys: dict[str, Any] = {"ed25519": examples.ed25519_key(), "rsa": examples.rsa_key(), "created": examples.CREATED}
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    assert TEMPLATE.sign(facts, **keys) == signing.sign(credential, **keys)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts, any_facts)
def test_a_shape_learnt_from_one_edition_fits_another(first: ob3.EditionFacts, second: ob3.EditionFacts) -> None:
    """Put the second's strings into the shape learnt from the first: what PyLD makes of the second must come out."""
    same = ob3.EditionFacts(
        credential_id=second.credential_id,
        subject_id=second.subject_id,
        valid_from=second.valid_from,
        valid_until=second.valid_from + timedelta(days=1),
        status_list=second.status_list,
        status_index=second.status_index,
        name=(second.name or "x") + (first.name or ""),
        term=second.term or 'a "term"\n',
    )
    fresh = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    fresh.prepare(examples.facts(valid_until=examples.CREATED, name="x", term="y", reached=(), gates=()))
    assert len(fresh._shapes) == 1
    credential, text, digest = fresh.prepare(same)
    assert len(fresh._shapes) == 1
    assert json.loads(text) == credential
    assert digest == canonical.sha256_of(canonical_by_pyld(credential))


def test_a_version_is_checked_as_a_strict_verifier_would() -> None:
    check_template(EditionTemplate(examples.achievement(), examples.issuer(), needed=4), examples.badge())


def test_a_stack_is_checked_too() -> None:
    stack = examples.badge(sub_competencies=(), gates=(), stack=Stack(("find", "cite")))
    members = tuple(ob3.StackMember(s, s.title(), f"{examples.BASE}/achievements/{s}/v1") for s in ("find", "cite"))
    template = EditionTemplate(examples.achievement(stack, members=members), examples.issuer())
    check_template(template, stack)
    plain, _ = canonical.sample_facts(template.achievement, stack)
    assert [gate.code for gate in plain.gates] == ["find", "cite"]


def test_i01_an_achievement_with_an_undefined_term_is_held_back() -> None:
    achievement = {**examples.achievement(), "gradeBook": "x"}
    with pytest.raises(CredentialHeldBack, match="gradeBook"):
        check_template(EditionTemplate(achievement, examples.issuer()), examples.badge())


def test_a_picture_with_a_relative_address_is_held_back() -> None:
    achievement = examples.achievement() | {"image": {"id": "v3.png", "type": "Image"}}
    with pytest.raises(CredentialHeldBack, match=r"v3\.png"):
        check_template(EditionTemplate(achievement, examples.issuer()), examples.badge())


def test_levels_that_do_not_rise_are_held_back() -> None:
    row = examples.badge().sub_competencies[0]
    flat = examples.badge(
        sub_competencies=(
            type(row)(row.code, row.name, (Level("Low", Decimal(2)), Level("Proficient", Decimal(1))), "Proficient"),
        )
    )
    with pytest.raises(CredentialHeldBack, match="rise"):
        check_template(EditionTemplate(examples.achievement(flat), examples.issuer()), flat)


def test_two_gates_of_the_same_letters_have_equal_hashes_and_still_the_standards_labels() -> None:
    twice = examples.badge(
        gates=(Gate("one", "One", "letter", "B", LETTERS), Gate("two", "Two", "letter", "C", LETTERS))
    )
    template = EditionTemplate(examples.achievement(twice), examples.issuer())
    check_template(template, twice)
    facts = examples.facts(gates=(ob3.GateResult("one", "B"), ob3.GateResult("two", "A")), name="Zoë")
    template.prepare(facts)
    credential, _, digest = template.prepare(examples.facts(gates=facts.gates, name='Ana "A"'))
    assert digest == canonical.sha256_of(canonical_by_pyld(credential))


def test_tags_that_verifiers_would_sort_differently_are_held_back() -> None:
    """U+FF21 stands before an emoji by code point and after it by UTF-16 unit."""
    tags = examples.badge(tags=("\uff21", "😀"))
    with pytest.raises(CredentialHeldBack, match="tags"):
        check_template(EditionTemplate(examples.achievement(tags), examples.issuer()), tags)


def test_the_same_statement_twice_is_one() -> None:
    """Two pieces of evidence at one address: RDF has sets, not lists."""
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    video = ob3.Evidence("Video", "https://example.org/1")
    for other in (ob3.Evidence("Notes", "https://example.org/2"), video):
        facts = examples.facts(reached=(), gates=(), evidence=(video, other))
        credential, _, digest = template.prepare(facts)
        assert digest == canonical.sha256_of(canonical_by_pyld(credential))
    assert len(template._shapes) == 1


def test_facts_that_do_not_earn_the_badge_are_held_back_told_or_not() -> None:
    template = EditionTemplate(examples.achievement(), examples.issuer())
    low = (ob3.Reached("OC-1", 1, 2), *examples.facts().reached[1:])
    for include_results in (True, False):
        with pytest.raises(CredentialHeldBack):
            template.prepare(examples.facts(reached=low, include_results=include_results))


@pytest.mark.parametrize("subject", ["not an iri", "urn:x y", "urn:x>", "name"])
def test_a_subject_that_is_no_address_is_held_back_by_a_shape_already_known(subject: str) -> None:
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    template.prepare(examples.facts(reached=(), gates=()))
    with pytest.raises(CredentialHeldBack):
        template.prepare(examples.facts(reached=(), gates=(), subject_id=subject))


def test_a_credential_id_that_spoils_the_address_is_held_back_by_a_shape_already_known() -> None:
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    template.prepare(examples.facts(reached=(), gates=()))
    for credential_id in ("a b", "a>", "50%", "a\nb"):
        with pytest.raises(CredentialHeldBack):
            template.prepare(examples.facts(reached=(), gates=(), credential_id=credential_id))


def test_another_type_is_another_shape() -> None:
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    facts = examples.facts(reached=(), gates=(), evidence=(ob3.Evidence("Video"),))
    credential = ob3.credential(template.achievement, template.issuer, facts)
    template.encode(credential)
    other = {**credential, "evidence": [{**credential["evidence"][0], "type": ["Profile"]}]}
    assert template.encode(other)[2] == canonical.sha256_of(canonical_by_pyld(other))


def test_a_template_keeps_a_bounded_number_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "MOST_SHAPES", 2)
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    for changes in ({}, {"name": "x"}, {"term": "y"}, {"course": "z"}):
        template.prepare(examples.facts(reached=(), gates=(), **changes))
        assert len(template._shapes) <= 2


def test_a_text_like_a_blank_node_is_held_back_by_the_first_of_a_shape_and_by_any_other() -> None:
    """Strict verifiers refuse it wherever it stands, ours too."""
    template = EditionTemplate(TEMPLATE.achievement, TEMPLATE.issuer, needed=0)
    for _ in range(2):
        with pytest.raises(CredentialHeldBack):
            template.prepare(examples.facts(reached=(), gates=(), name="_:b0"))
        template.prepare(examples.facts(reached=(), gates=(), name="Ana"))


def test_controls_are_escaped_as_rdfc_10_says() -> None:
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, examples.facts(reached=(), gates=()))
    TEMPLATE.encode(credential)
    odd = {**credential, "name": "".join(map(chr, range(0x20))) + '"\\\x7f'}
    assert TEMPLATE.encode(odd)[2] == canonical.sha256_of(canonical_nquads(odd))
