"""Badges and facts of any shape: names in any script, every optional field on and off, 1 to 40 sub-competencies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from lti_tool.credentials import ob3
from lti_tool.domain.badge import Alignment, Badge, Gate, Level, Picture, SubCompetency
from tests.credentials import examples

SCRIPTS = (
    "Zuhören und verstehen", "倾听与表达", "الاستماع", "הקשבה", "सुनना", "듣기", "Слушать", "聞く 👂🏽",
    "Ñandú — “quoted”", "a\tb\r\nc", "</script><img onerror=1>", "{{7*7}}", "=HYPERLINK(1)", "100 % \\ \" '",
    "é e\u0301", "\u202ertl", "𝔘𝔫𝔦",
)  # fmt: skip
LETTERS = tuple((letter, Decimal(least)) for letter, least in zip("FDCBA", (0, 60, 70, 80, 90), strict=True))

# Half from scripts that have gone wrong somewhere before, half anything that is a text.
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
texts = st.one_of(st.sampled_from(SCRIPTS), anything)
names = texts.filter(lambda text: ob3.signable(text).strip())
tags = st.sampled_from([text for text in SCRIPTS if max(text) < "\ue000"])
urls = st.sampled_from(["https://example.org/a", "https://example.org/%C3%A9?q=1#x", "http://localhost:8080/x"])
alignments = st.lists(st.builds(Alignment, texts, names, urls, texts), max_size=2).map(tuple)


@st.composite
def rows(draw: Any, number: int) -> SubCompetency:
    count = draw(st.integers(1, 6))
    points = sorted(draw(st.sets(st.integers(1, 400), min_size=count, max_size=count)))
    called = draw(st.lists(names, min_size=count, max_size=count, unique_by=lambda name: ob3.signable(name).strip()))
    levels = tuple(
        Level(name, Decimal(value) / 4, draw(texts), draw(alignments) if place == 0 else ())
        for place, (name, value) in enumerate(zip(called, points, strict=True))
    )
    required = draw(st.sampled_from(called))
    return SubCompetency(f"R-{number}", draw(names), levels, required, draw(texts), draw(alignments))


@st.composite
def gates(draw: Any) -> tuple[Gate, ...]:
    kinds = draw(st.sets(st.sampled_from(["letter", "percent", "points", "pass"])))
    required = {"letter": "B", "percent": "70", "points": "12.5", "pass": ""}
    return tuple(
        Gate(f"g-{kind}", draw(names), kind, required[kind], LETTERS if kind == "letter" else ())
        for kind in sorted(kinds)
    )


@st.composite
def badges(draw: Any) -> Badge:
    count = draw(st.one_of(st.integers(1, 5), st.just(40)))
    rule = draw(st.sampled_from(["all", f"any {max(1, count - 1)}"]))
    return examples.badge(
        name=draw(names),
        description=draw(names),
        criteria=draw(texts),
        sub_competencies=tuple(draw(rows(number)) for number in range(count)),
        gates=draw(gates()),
        rule=rule,
        level=draw(st.one_of(st.just(""), tags)),
        tags=tuple(draw(st.sets(tags, max_size=3))),
        language=draw(st.sampled_from(["en", "es", "zh-Hant", "ar"])),
        credits=draw(st.one_of(st.none(), st.sampled_from([Decimal("1"), Decimal("0.5"), Decimal("12.25")]))),
        picture=Picture(alt=draw(texts)),
        alignment=draw(alignments),
        stack=None,
    )


@st.composite
def told(draw: Any, badge: Badge) -> ob3.EditionFacts:
    """Draw facts that earn the badge: every row its rule asks for at its required level or above."""
    least = [sub.required_index for sub in badge.sub_competencies]
    reached = [
        draw(st.integers(low, len(sub.levels) - 1)) for low, sub in zip(least, badge.sub_competencies, strict=True)
    ]
    results = {"letter": "A", "percent": "88.5", "points": "12.5", "pass": None}
    begins = datetime(2026, 11, 20, 16, 4, 5, tzinfo=UTC)
    salt = draw(st.binary(min_size=16, max_size=16)).hex()
    email = ob3.HashedEmail(salt, ob3.identity_hash(draw(st.sampled_from(["Ana@Example.org ", "ø@x.org"])), salt))
    evidence = st.builds(ob3.Evidence, names, st.one_of(st.just(""), urls), texts, texts, texts, texts)
    return ob3.EditionFacts(
        credential_id=ob3.new_credential_id(),
        subject_id="urn:uuid:5e0c3f0e-8f59-4b7c-9d9e-4d6a0d1f2b3c",
        valid_from=begins,
        status_list=1,
        status_index=draw(st.integers(0, 131_071).filter(lambda index: index != 5)),
        reached=tuple(
            ob3.Reached(sub.code, level, sub.levels[level].points if draw(st.booleans()) else None)
            for sub, level in zip(badge.sub_competencies, reached, strict=True)
        ),
        gates=tuple(ob3.GateResult(gate.code, results[gate.kind]) for gate in badge.gates),
        valid_until=draw(st.one_of(st.none(), st.just(begins + timedelta(days=1000)))),
        include_results=draw(st.booleans()),
        name=draw(st.one_of(st.none(), names)),
        email=draw(st.one_of(st.none(), st.just(email))),
        course=draw(st.one_of(st.none(), names)),
        term=draw(st.one_of(st.none(), names)),
        evidence=tuple(draw(st.lists(evidence, max_size=2, unique_by=lambda item: item.url or item.name))),
    )


@st.composite
def editions(draw: Any) -> tuple[Badge, ob3.EditionFacts]:
    badge = draw(badges())
    return badge, draw(told(badge))
