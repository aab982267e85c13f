"""The certificate: what it says, that it carries the credential, and that nobody's words are read as code."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
import zlib
from decimal import Decimal
from typing import Any

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

from lti_tool.credentials import certificate, ob3, picture, signing
from lti_tool.credentials.baking import LARGEST_TEXT, unbake_pdf
from lti_tool.credentials.certificate import Sheet, breakable, contents
from lti_tool.domain.badge import Badge, Level, SubCompetency
from lti_tool.errors import BadInput
from tests.credentials import examples

Json = dict[str, Any]

HOSTILE = (
    '#read("/etc/passwd")',
    '#panic("no")',
    "$x^2$ *b* _i_ `c` ] } #[ \\",
    '"); #import "@preview/x:1.0.0": *',
    "<label> @cite // comment /* … */",
)


def sheet(of: Badge | None = None, facts: ob3.EditionFacts | None = None, **changes: Any) -> Sheet:
    of, facts = of or examples.badge(), facts or examples.everything()
    credential = ob3.credential(examples.achievement(of), examples.issuer(), facts)
    document = signing.sign_document(credential, ed25519=examples.ed25519_key(), created=examples.CREATED)
    values: Json = {
        "document": document,
        "url": credential["id"],
        "picture": picture.draw(of.picture, slug=of.slug, ribbon=of.level, pips=1),
        "logo": "",
        "accent": of.picture.colours[0],
        "slug": of.slug,
        "level": of.level,
        "language": "en",
        "say": str,
    }
    return Sheet(**{**values, **changes})


def heading(data: Json) -> str:
    """Return what stands in the first heading, as the typesetter understood it: one text, and nothing else."""
    with tempfile.TemporaryDirectory() as nowhere:
        compiler = typst.Compiler(certificate._template(), root=nowhere, sys_inputs={"data": json.dumps(data)})
        (found,) = json.loads(compiler.query("heading.where(level: 1)", field="body"))
    return found["child"]["text"].replace("\u200b", "")


# -- what it says -----------------------------------------------------------------------------------------------


def test_a_certificate_says_what_the_credential_says() -> None:
    data = contents(sheet())
    assert data["name"] == "Oral Communication"
    assert data["holder"] == "Zoë O’Hara 🎓"
    assert data["facts"] == [
        ("Issued", "20 November 2026"),
        ("Valid until", "20 November 2029"),
        ("Course", "COM 210"),
        ("Term", "Fall 2026"),
        ("Licence number", "COM-17"),
        ("Credits", "1.5"),
    ]
    first, *_, grade, speech, quiz, attendance = data["rows"]
    assert (first["name"], first["reached"], first["needs"]) == ("Listens actively", "Exemplary", "needed: Proficient")
    assert (first["reached_step"], first["required_step"], first["tone"]) == (4, 3, 4)
    assert first["levels"] == list(examples.LEVELS)
    assert (grade["reached"], grade["needs"]) == ("A", "needed: B")
    assert (speech["reached"], quiz["reached"], attendance["reached"]) == ("88.5", "12", "holds")
    assert [(each["name"], each["url"]) for each in data["evidence"]] == [
        ("Final speech", "https://video.example.edu/1"),
        ("Notes", ""),
    ]


def test_a_long_narrative_is_shortened_for_it_is_whole_in_what_is_attached() -> None:
    one = sheet(facts=examples.facts(evidence=(ob3.Evidence("Essay", narrative="A word. " * 500),)))
    (essay,) = contents(one)["evidence"]
    assert essay["text"].endswith(" …") and len(essay["text"]) < 720
    assert "A word. " * 400 in json.loads(unbake_pdf(certificate.certificate(one)) or "")["evidence"][0]["narrative"]


def test_a_name_that_was_not_chosen_and_results_that_were_left_out_are_not_on_it() -> None:
    data = contents(sheet(facts=examples.facts(include_results=False)))
    assert data["holder"] == ""
    assert {row["reached"] for row in data["rows"]} == {""} and {row["tone"] for row in data["rows"]} == {0}
    assert data["rows"][0]["needs"] == "needed: Proficient"


def test_it_carries_the_signed_document_byte_for_byte() -> None:
    one = sheet()
    assert unbake_pdf(certificate.certificate(one)) == one.document.decode()


def test_I04_the_same_certificate_twice_is_the_same_bytes() -> None:
    assert certificate.certificate(sheet()) == certificate.certificate(sheet())


def test_it_is_tagged_and_meets_the_standards_for_archives_and_accessibility() -> None:
    made = certificate.certificate(sheet(facts=examples.facts()))
    for mark in (b"<pdfaid:part>3<", b"<pdfaid:conformance>A<", b"<pdfuaid:part>1<", b"/Marked true", b"/Lang(en)"):
        assert mark in made, mark
    assert set(re.findall(rb"D:(\d{8})|Date>(\d{4}-\d\d-\d\d)", made)) == {(b"20261120", b""), (b"", b"2026-11-20")}


# -- nobody's words are code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", HOSTILE)
def test_words_that_look_like_code_are_set_as_they_are(words: str) -> None:
    rows = tuple(
        SubCompetency(
            code="A", name=words, required_level=words, levels=(Level("x", Decimal(1)), Level(words, Decimal(2)))
        )
        for _ in range(1)
    )
    of = examples.badge(name=words, description=words, sub_competencies=rows, gates=(), level="")
    facts = examples.facts(
        name=words,
        course=words,
        reached=(ob3.Reached("A", 1, None),),
        gates=(),
        evidence=(ob3.Evidence(words, narrative=words),),
    )
    one = sheet(of, facts)
    assert unbake_pdf(certificate.certificate(one)) == one.document.decode()
    assert heading(contents(one)) == words


@settings(max_examples=12, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_certificate_is_made_of_a_name_in_any_script(name: str) -> None:
    name = ob3.signable(name).strip() or "x"
    one = sheet(facts=examples.facts(name=name))
    assert unbake_pdf(certificate.certificate(one)) == one.document.decode()


@pytest.mark.parametrize("name", ["سارة بنت محمد", "王小明", "Zoë 🎓", "नमस्ते", "\u2068x\u2069", "x" * 300])
def test_a_letter_that_no_font_has_never_stops_a_certificate(name: str) -> None:
    one = sheet(facts=examples.facts(name=name))
    assert unbake_pdf(certificate.certificate(one)) == one.document.decode()


def test_forty_sub_competencies_go_on_to_further_sheets() -> None:
    rows = tuple(dataclasses.replace(examples.badge().sub_competencies[0], code=f"X-{n}") for n in range(40))
    of = examples.badge(sub_competencies=rows, gates=(), name="Long " * 30, description="Words of it. " * 60)
    facts = examples.facts(reached=tuple(ob3.Reached(f"X-{n}", 2, None) for n in range(40)), gates=())
    made = certificate.certificate(sheet(of, facts))
    assert re.findall(rb"/Type/Pages/Count (\d+)", made) == [b"4"]


def test_a_long_word_is_given_places_to_break_at() -> None:
    assert breakable("a short text stays") == "a short text stays"
    assert breakable("x" * 60).replace("\u200b", "") == "x" * 60
    assert max(map(len, breakable("x" * 60).split("\u200b"))) <= 14


# -- taken out of a PDF again -----------------------------------------------------------------------------------


def attached(content: bytes, more: bytes = b"") -> bytes:
    return b"1 0 obj\n<</Type/EmbeddedFile%s/Length %d>>\nstream\n%s\nendstream\nendobj\n" % (
        more,
        len(content),
        content,
    )


def test_a_credential_is_found_in_a_pdf_plain_or_deflated_among_other_files() -> None:
    for pdf in (
        attached(b'{"a": 1}'),
        attached(zlib.compress(b'{"a": 1}'), b"/Filter/FlateDecode"),
        attached(zlib.compress(b'{"a": 1}'), b"/Filter[/FlateDecode]"),
        attached(b"\xff\xd8") + attached(b'{"a": 1}') + attached(b"a text"),
    ):
        assert unbake_pdf(b"%PDF-1.7\n" + pdf) == '{"a": 1}'


def test_two_credentials_in_a_pdf_are_none_that_can_be_relied_on() -> None:
    with pytest.raises(BadInput, match="two attached"):
        unbake_pdf(attached(b'{"a": 1}') + attached(b'{"a": 2}'))


@pytest.mark.parametrize(
    "pdf",
    [
        b"%PDF-1.7",
        b"/EmbeddedFile" * 5000,
        b"obj /Type/EmbeddedFile /Length 99999999 stream",
        attached(b"x", b"/Filter/FlateDecode"),
        attached(b'{"a": 1}', b"/Filter/LZWDecode"),
    ],
)
def test_a_pdf_that_holds_none_holds_none(pdf: bytes) -> None:
    assert unbake_pdf(pdf) is None


def test_an_attachment_that_inflates_without_end_is_refused() -> None:
    with pytest.raises(BadInput, match="too large"):
        unbake_pdf(attached(zlib.compress(bytes(LARGEST_TEXT * 3)), b"/Filter/FlateDecode"))
