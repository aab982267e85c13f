"""Every shape an edition can have, signed by the template: what the interop tests hand to others."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from lti_tool.credentials import ob3
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.holder import did_jwk
from lti_tool.credentials.signing import Signed, multikey
from lti_tool.credentials.status_list import status_list_credential
from lti_tool.domain.badge import Badge, Gate, Picture, Stack
from tests.credentials import examples

REVOKED = 5
# Whom a wallet's copy names: a key, written as one of the two kinds of DID that are taken.
DID_KEY = f"did:key:{multikey(examples.ed25519_key().public)}"
DID_JWK = did_jwk(ec.derive_private_key(7, ec.SECP256R1()).public_key())
RENEWED = {"valid_from": datetime(2026, 11, 25, tzinfo=UTC), "valid_until": datetime(2029, 11, 25, tzinfo=UTC)}

WORDS = 'Quote " backslash \\ line\nend tab\t percent % angle <b> & emoji 🎓 עברית \u202e U+2028 \u2028 NUL \x00 .'


PARTS = ("find", "cite")


def part(slug: str = "find", **changes: Any) -> Badge:
    """A badge of one row without anything around it: a part of a stack."""
    row = examples.badge().sub_competencies[0]
    return examples.badge(
        slug=slug,
        sub_competencies=(replace(row, alignment=(), description=""),),
        gates=(),
        level="",
        tags=(),
        alignment=(),
        credits=None,
        picture=Picture(alt=""),
        **changes,
    )


def stack(slug: str = "sources", members: tuple[str, ...] = PARTS, rule: str = "any 1") -> tuple[Badge, dict[str, Any]]:
    badge = examples.badge(slug=slug, sub_competencies=(), gates=(), stack=Stack(members, rule), credits=None)
    parts = tuple(ob3.StackMember(s, s.title(), f"{examples.BASE}/achievements/{s}/v3") for s in members)
    return badge, examples.achievement(badge, members=parts)


def of_parts(*slugs: str) -> dict[str, Any]:
    """What an edition of a stack tells of the parts that counted: each as a result, and as evidence its credential."""
    return {
        "reached": (),
        "gates": tuple(ob3.GateResult(slug) for slug in slugs),
        "evidence": tuple(
            ob3.Evidence(
                slug.title(), ob3.credential_address(examples.BASE, ob3.new_credential_id()), genre="Credential"
            )
            for slug in slugs
        ),
    }


@functools.cache
def signed() -> dict[str, Signed]:
    """Return one signed edition of each shape, by name."""
    facts, everything = examples.facts(), examples.everything()
    bare = part()
    letters = examples.badge().gates[0].scale
    twice = examples.badge(gates=(Gate("a", "A", "letter", "B", letters), Gate("b", "B", "letter", "B", letters)))
    odd = examples.badge(name=WORDS, description=WORDS, criteria=WORDS, tags=(WORDS, "50 %", "日本語"))
    any_three = examples.badge(rule="any 3")
    below = stack()
    top = stack("scholar", ("sources", "judge"), "all")
    cases: dict[str, tuple[Badge, dict[str, Any], ob3.EditionFacts]] = {
        "pseudonymous": (examples.badge(), examples.achievement(), facts),
        "everything": (examples.badge(), examples.achievement(), everything),
        "no results": (examples.badge(), examples.achievement(), replace(everything, include_results=False)),
        "levels without points": (
            examples.badge(),
            examples.achievement(),
            replace(facts, reached=tuple(r._replace(points=None) for r in facts.reached)),
        ),
        "name only": (examples.badge(), examples.achievement(), replace(facts, name="Ana")),
        "hashed address only": (examples.badge(), examples.achievement(), replace(facts, email=everything.email)),
        "expires": (examples.badge(), examples.achievement(), replace(facts, valid_until=everything.valid_until)),
        "evidence": (examples.badge(), examples.achievement(), replace(facts, evidence=everything.evidence)),
        "any three of four": (any_three, examples.achievement(any_three), replace(facts, reached=facts.reached[:3])),
        "bare": (bare, examples.achievement(bare), replace(facts, reached=facts.reached[:1], gates=())),
        "two equal scales": (
            twice,
            examples.achievement(twice),
            replace(facts, gates=(ob3.GateResult("a", "B"), ob3.GateResult("b", "A"))),
        ),
        "odd words": (
            odd,
            examples.achievement(odd),
            replace(everything, name=WORDS, course=WORDS, term=WORDS, evidence=(ob3.Evidence(WORDS, narrative=WORDS),)),
        ),
        "stack": (*below, replace(everything, **of_parts("cite"))),
        "stack of stacks": (*top, replace(facts, **of_parts("sources", "judge"))),
        "in a wallet, did:key": (examples.badge(), examples.achievement(), replace(everything, subject_id=DID_KEY)),
        "in a wallet, did:jwk": (examples.badge(), examples.achievement(), replace(facts, subject_id=DID_JWK)),
        "stack in a wallet": (*top, replace(facts, subject_id=DID_JWK, **of_parts("sources", "judge"))),
        "renewed": (examples.badge(), examples.achievement(), replace(everything, **RENEWED)),
        "complete": (
            examples.full_badge(),
            ob3.achievement(
                examples.full_badge(),
                base_url=examples.BASE,
                slug="oral-communication",
                version=3,
                issuer=examples.full_issuer(),
                picture_url=f"{examples.BASE}/achievements/oral-communication/v3.png",
            ),
            everything,
        ),
        "endorsed": (
            examples.badge(),
            examples.achievement(),
            replace(everything, endorsements=(examples.endorsed(),)),
        ),
        "revoked": (examples.badge(), examples.achievement(), replace(facts, status_index=REVOKED)),
    }
    editions: dict[str, Signed] = {}
    for name, (badge, achievement, told) in cases.items():
        issuer = examples.full_issuer() if name == "complete" else examples.issuer()
        template = EditionTemplate(achievement, issuer, needed=badge.needed)
        keys: dict[str, Any] = {"ed25519": examples.ed25519_key(), "rsa": examples.rsa_key()}
        template.sign(told, **keys, created=told.valid_from)
        # The second of a shape is the one that comes from the template alone.
        editions[name] = template.sign(
            replace(told, credential_id=ob3.new_credential_id()), **keys, created=told.valid_from
        )
    return editions


def credentials() -> dict[str, dict[str, Any]]:
    return {name: json.loads(edition.document) for name, edition in signed().items()}


@functools.cache
def status_list() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        status_list_credential(
            1,
            [REVOKED],
            issuer=examples.issuer(),
            base_url=examples.BASE,
            valid_from=examples.CREATED,
            ed25519=examples.ed25519_key(),
        )
    )
    return document
