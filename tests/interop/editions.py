"""Every shape an edition can have, signed by the template: what the interop tests hand to others."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

from lti_tool.credentials import ob3
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.signing import Signed
from lti_tool.credentials.status_list import status_list_credential
from lti_tool.domain.badge import Gate, Picture, Stack
from tests.credentials import examples

REVOKED = 5

WORDS = 'Quote " backslash \\ line\nend tab\t percent % angle <b> & emoji 🎓 עברית \u202e U+2028 \u2028 NUL \x00 .'


def stack() -> tuple[Any, dict[str, Any]]:
    badge = examples.badge(sub_competencies=(), gates=(), stack=Stack(("find", "cite"), "any 1"), credits=None)
    members = tuple(ob3.StackMember(s, s.title(), f"{examples.BASE}/achievements/{s}/v1") for s in ("find", "cite"))
    return badge, examples.achievement(badge, members=members)


@functools.cache
def signed() -> dict[str, Signed]:
    """Return one signed edition of each shape, by name."""
    facts, everything = examples.facts(), examples.everything()
    rows = examples.badge().sub_competencies
    bare = examples.badge(
        sub_competencies=(replace(rows[0], alignment=(), description=""),),
        gates=(),
        level="",
        tags=(),
        alignment=(),
        credits=None,
        picture=Picture(alt=""),
    )
    letters = examples.badge().gates[0].scale
    twice = examples.badge(gates=(Gate("a", "A", "letter", "B", letters), Gate("b", "B", "letter", "B", letters)))
    odd = examples.badge(name=WORDS, description=WORDS, criteria=WORDS, tags=(WORDS, "50 %", "日本語"))
    any_three = examples.badge(rule="any 3")
    stack_badge, stack_achievement = stack()
    cases: dict[str, tuple[Any, dict[str, Any], ob3.EditionFacts]] = {
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
        "stack": (
            stack_badge,
            stack_achievement,
            replace(facts, reached=(), gates=(ob3.GateResult("cite"),), evidence=everything.evidence),
        ),
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
        template = EditionTemplate(achievement, issuer, needed=None if badge.stack else badge.needed)
        keys: dict[str, Any] = {"ed25519": examples.ed25519_key(), "rsa": examples.rsa_key()}
        template.sign(told, **keys, created=examples.CREATED)
        # The second of a shape is the one that comes from the template alone.
        editions[name] = template.sign(
            replace(told, credential_id=ob3.new_credential_id()), **keys, created=examples.CREATED
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
