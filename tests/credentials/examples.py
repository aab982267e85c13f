"""A badge with everything in it, an issuer, keys and facts: what the tests of credentials build on."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lti_tool.credentials import ob3
from lti_tool.credentials.endorsement import Said, signed_endorsement
from lti_tool.domain.badge import (
    Alignment,
    Badge,
    Creator,
    Gate,
    Identifier,
    Level,
    Picture,
    Related,
    SubCompetency,
)
from lti_tool.keyring import Key, thumbprint

BASE = "https://badges.example.edu"
CREATED = datetime(2026, 11, 20, 16, 4, 5, tzinfo=UTC)
SALT = "000102030405060708090a0b0c0d0e0f"
ROWS = ("Listens actively", "Structures a message", "Adapts to the audience", "Delivers with presence")
LEVELS = ("Beginning", "Developing", "Proficient", "Exemplary")


def alignment(name: str) -> Alignment:
    code = name.upper().replace(" ", "-")
    return Alignment("Example framework", name, f"https://case.example.edu/uri/{code}", code)


def badge(**changes: Any) -> Badge:
    """Four sub-competencies of four levels, descriptions and alignments throughout, four kinds of gate."""
    rows = tuple(
        SubCompetency(
            code=f"OC-{number}",
            name=name,
            levels=tuple(
                Level(level, Decimal(points), f"{name}: {level}, said in a sentence.", (alignment(f"{name} {level}"),))
                for points, level in enumerate(LEVELS, 1)
            ),
            required_level="Proficient",
            description=f"What it means that somebody {name.lower()}.",
            alignment=(alignment(name),),
        )
        for number, name in enumerate(ROWS, 1)
    )
    letters = tuple((letter, Decimal(least)) for letter, least in zip("FDCBA", (0, 60, 70, 80, 90), strict=True))
    values: dict[str, Any] = {
        "slug": "oral-communication",
        "name": "Oral Communication",
        "description": "Speaks to be understood, and listens to understand.",
        "criteria": "Every row at **Proficient** or above.",
        "sub_competencies": rows,
        "gates": (
            Gate("course-grade", "Course grade B or better", "letter", "B", letters),
            Gate("speech", "Final speech 70 % or better", "percent", "70"),
            Gate("quiz", "12 points in the quiz", "points", "12"),
            Gate("attendance", "Was there", "pass"),
        ),
        "level": "Foundational",
        "tags": ("21st-century-skills", "communication"),
        "credits": Decimal("1.5"),
        "picture": Picture(alt="Blue hexagon reading Oral Communication"),
        "alignment": (alignment("Communication"),),
    }
    return Badge(**{**values, **changes})


def issuer(**changes: Any) -> ob3.IssuerProfile:
    values: dict[str, Any] = {
        "did": ob3.did_web(BASE),
        "slug": "example-university",
        "base_url": BASE,
        "name": "Example University",
        "url": "https://www.example.edu",
        "email": "badges@example.edu",
        "description": "Office of Micro-credentials",
        "image": f"{BASE}/static/logo.png",
        "linkedin": "206815",
    }
    return ob3.IssuerProfile(**{**values, **changes})


def achievement(of: Badge | None = None, *, members: tuple[ob3.StackMember, ...] = ()) -> dict[str, Any]:
    of = of or badge()
    return ob3.achievement(
        of,
        base_url=BASE,
        slug=of.slug,
        version=3,
        issuer=issuer(),
        picture_url=f"{BASE}/achievements/{of.slug}/v3.png",
        members=members,
    )


def facts(**changes: Any) -> ob3.EditionFacts:
    values: dict[str, Any] = {
        "credential_id": "0b9f0a4e6a524f1f8f6c1f2c7f0c9a11",
        "subject_id": "urn:uuid:5e0c3f0e-8f59-4b7c-9d9e-4d6a0d1f2b3c",
        "valid_from": CREATED,
        "status_list": 1,
        "status_index": 94567,
        "reached": tuple(ob3.Reached(f"OC-{n}", 2 + n % 2, Decimal(3 + n % 2)) for n in range(1, 5)),
        "gates": (
            ob3.GateResult("course-grade", "A"),
            ob3.GateResult("speech", "88.5"),
            ob3.GateResult("quiz", "12"),
            ob3.GateResult("attendance"),
        ),
    }
    return ob3.EditionFacts(**{**values, **changes})


def everything() -> ob3.EditionFacts:
    """Facts of a learner who chose to show all there is."""
    return facts(
        valid_until=datetime(2029, 11, 20, 16, 4, 5, tzinfo=UTC),
        name="Zoë O’Hara 🎓",
        email=ob3.HashedEmail(SALT, ob3.identity_hash("zoe@example.edu", SALT)),
        course="COM 210",
        term="Fall 2026",
        evidence=(
            ob3.Evidence("Final speech", "https://video.example.edu/1", "A video", "In *class*", "Video", "Employers"),
            ob3.Evidence("Notes"),
        ),
        started=datetime(2026, 8, 24, tzinfo=UTC),
        ended=datetime(2026, 11, 19, 9, tzinfo=UTC),
        narrative="I spoke in *public* for the first time.",
        licence_number="COM-17",
        renewable=True,
        terms_url="https://www.example.edu/badges/terms",
    )


def full_badge(**changes: Any) -> Badge:
    """The badge with all that a catalogue asks for."""
    values: dict[str, Any] = {
        "type": "Competency",
        "field_of_study": "Communication",
        "specialization": "Career readiness",
        "human_code": "COM-210",
        "identifiers": (
            Identifier("ext:ctid", "ce-98cb027b-95ef-4494-908d-6f7790ec6b6b"),
            Identifier("identifier", "210"),
        ),
        "creator": Creator(
            "Department of Communication", "https://comm.example.edu", "comm@example.edu", "Since 1921."
        ),
        "related": (Related("https://badges.example.edu/achievements/comunicacion/v1", "es", "1"),),
        "alignment": (
            replace(alignment("Communication"), type="ceterms:Credential", description="What the framework says."),
        ),
    }
    return badge(**{**values, **changes})


def full_issuer(**changes: Any) -> ob3.IssuerProfile:
    """The issuer with all that a profile can say."""
    values: dict[str, Any] = {
        "phone": "+1 555 0100",
        "address": ob3.Address("1 Main Street", "Springfield", "Illinois", "62701", "US"),
        "identifiers": (Identifier("ext:ror", "05abc12"),),
        "parent_name": "State University System",
        "parent_url": "https://www.system.example.edu",
    }
    return issuer(**{**values, **changes})


def said(**changes: Any) -> Said:
    values: dict[str, Any] = {
        "endorsement_id": "e0e1e2e3e4e5e6e7e8e9eaebecedeeef",
        "about": f"{BASE}/achievements/oral-communication/v3",
        "name": "Mei Chen",
        "role": "Head of training",
        "organisation": "Acme & Sons",
        "comment": "We hire by it.",
        "said_at": CREATED,
        "status_list": 1,
        "status_index": 77,
    }
    return Said(**{**values, **changes})


@functools.cache
def endorsed() -> dict[str, Any]:
    """Return a signed endorsement of the badge."""
    document: dict[str, Any] = json.loads(signed_endorsement(said(), full_issuer(), ed25519_key()))
    return document


@functools.cache
def ed25519_key() -> Key:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return Key(thumbprint(private.public_key()), "ed25519", private, datetime(2026, 1, 1, tzinfo=UTC))


@functools.cache
def rsa_key() -> Key:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Key(thumbprint(private.public_key()), "rsa", private, datetime(2026, 1, 1, tzinfo=UTC))


# -- tampering --------------------------------------------------------------------------------------------------


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every text, number and truth in a document."""
    if isinstance(node, dict):
        for member, value in node.items():
            yield from leaves(value, (*path, member))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from leaves(value, (*path, place))
    else:
        yield path


def changed(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """Return a copy in which one value differs by as little as can be."""
    document = copy.deepcopy(document)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    value = node[path[-1]]
    if isinstance(value, str):
        node[path[-1]] = value[:-1] + ("b" if value.endswith("a") else "a")
    else:
        node[path[-1]] = not value if isinstance(value, bool) else value + 1
    return document
