"""Credentials in pictures: put in, taken out, and files made to harm."""

from __future__ import annotations

import contextlib
import functools
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lti_tool.credentials.baking import bake_png, bake_svg, unbake_png, unbake_svg
from lti_tool.credentials.picture import draw, render_png, svg_of_png
from lti_tool.domain.badge import Picture
from lti_tool.errors import BadInput
from tests.credentials.test_verify_fuzz import deflated

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"
JSON = '{"name": "Empathie – « ça » ]]> <b>&amp;</b>"}'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><title>é</title><g/></svg>'


@functools.cache
def png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((120, 120), 90).save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def with_chunk(kind: bytes, content: bytes) -> bytes:
    plain = png()
    return plain[:33] + chunk(kind, content) + plain[33:]


# -- PNG --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["openbadgecredential", "openbadges"])
def test_I14_a_baked_png_has_one_uncompressed_itxt_before_the_pixels_and_is_otherwise_unchanged(keyword):
    plain = png()
    baked = bake_png(plain, JSON, keyword)
    mine = [c for c in chunks(baked) if c[0] == b"iTXt"]
    assert mine == [(b"iTXt", keyword.encode() + b"\0" + b"\0\0" + b"\0" + b"\0" + JSON.encode())]
    kinds = [kind for kind, _ in chunks(baked)]
    assert kinds.index(b"iTXt") < kinds.index(b"IDAT")
    assert baked.replace(chunk(*mine[0]), b"") == plain
    assert Image.open(io.BytesIO(baked)).tobytes() == Image.open(io.BytesIO(plain)).tobytes()


def test_I14_what_comes_out_is_what_went_in():
    assert unbake_png(bake_png(png(), JWT)) == JWT
    assert unbake_png(bake_png(png(), JSON)) == JSON


def test_I15_baking_again_replaces_the_old_credential_and_leaves_the_older_standard_alone():
    twice = bake_png(bake_png(bake_png(png(), "old 2.0", "openbadges"), JWT), JSON)
    assert unbake_png(twice) == JSON
    assert unbake_png(twice, "openbadges") == "old 2.0"
    assert sum(kind == b"iTXt" for kind, _ in chunks(twice)) == 2


def test_I15_an_old_compressed_chunk_of_the_keyword_is_replaced_too():
    old = with_chunk(b"zTXt", b"openbadgecredential\0\0" + zlib.compress(b"old"))
    assert bake_png(old, JWT) == bake_png(with_chunk(b"tEXt", b"openbadgecredential\0old"), JWT)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"iTXt", b"openbadgecredential\0\1\0en\0Credential\0" + zlib.compress(JSON.encode())),
        (b"zTXt", b"openbadgecredential\0\0" + zlib.compress(JSON.encode())),
        (b"tEXt", b"openbadgecredential\0" + JSON.encode()),
    ],
)
def test_pictures_others_baked_in_other_text_chunks_are_read(kind, content):
    assert unbake_png(with_chunk(kind, content)) == JSON


def test_a_png_without_a_credential_holds_none():
    assert unbake_png(png()) is None
    assert unbake_png(with_chunk(b"tEXt", b"Comment\0openbadgecredential")) is None


BOMB = deflated(200)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png()[:-1], "damaged"),
        (png()[:-20], "damaged"),
        (png().replace(b"IHDR", b"IHDS"), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffiTXt", "damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"abcd", b"") * 10_001, "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(21 * 1024 * 1024), "larger than 20 MB"),
        (with_chunk(b"iTXt", b"openbadgecredential\0\1\0\0\0" + BOMB), "larger than 5 MB"),
        (with_chunk(b"zTXt", b"openbadgecredential\0\0" + BOMB), "larger than 5 MB"),
        (with_chunk(b"iTXt", b"openbadgecredential\0\1\0\0\0not zlib"), "damaged"),
        (with_chunk(b"iTXt", b"openbadgecredential\0\7\0\0\0x"), "damaged"),
        (with_chunk(b"tEXt", b"openbadgecredential\0\xff\xfe"), "damaged"),
        (bake_png(png(), JWT).replace(b"IDAT", b"IDAT", 1)[:33] + chunk(b"tEXt", b"openbadgecredential\0x")
         + bake_png(png(), JWT)[33:], "more than one"),
    ],
)  # fmt: skip
def test_a_png_made_to_harm_or_damaged_is_refused_in_words(data, words):
    with pytest.raises(BadInput) as refused:
        unbake_png(data)
    assert words in refused.value.sentence


def test_a_changed_bit_is_seen_by_the_checksum():
    baked = bytearray(bake_png(png(), JWT))
    baked[baked.index(JWT.encode())] ^= 1
    with pytest.raises(BadInput, match="checksum"):
        unbake_png(bytes(baked))


def test_a_picture_without_pixels_cannot_be_baked():
    with pytest.raises(BadInput):
        bake_png(b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), JWT)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_whatever_raise_anything_but_a_refusal(tail):
    for data in (
        tail,
        b"\x89PNG\r\n\x1a\n" + tail,
        b"\x89PNG\r\n\x1a\n" + chunk(b"iTXt", b"openbadgecredential\0" + tail),
    ):
        with contextlib.suppress(BadInput):
            unbake_png(data)


# -- SVG --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [JWT, JSON])
def test_what_is_baked_into_an_svg_comes_out(text):
    drawn = draw(Picture(alt="x"), slug="x", ribbon="Foundational", pips=1)
    for svg in (SVG, drawn, '<svg xmlns="http://www.w3.org/2000/svg" a=">"/>', f'<?xml version="1.0"?><!-- > -->{SVG}'):
        assert unbake_svg(bake_svg(svg, text)) == text


def test_a_token_stands_in_verify_right_after_the_first_tag():
    assert bake_svg(SVG, JWT) == SVG.replace(
        ' viewBox="0 0 2 2">',
        ' viewBox="0 0 2 2" xmlns:openbadges="https://purl.imsglobal.org/ob/v3p0">'
        f'<openbadges:credential verify="{JWT}"/>',
    )


def test_json_stands_in_cdata():
    assert '<openbadges:credential><![CDATA[{"a": 1}]]></openbadges:credential><title>' in bake_svg(SVG, '{"a": 1}')


@pytest.mark.parametrize("first", [JWT, JSON])
def test_I15_baking_an_svg_again_replaces_the_old_credential(first):
    assert bake_svg(bake_svg(SVG, first), JSON) == bake_svg(SVG, JSON)


def test_an_svg_of_another_prefix_is_read_and_one_of_another_namespace_is_not():
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="{0}"><x:credential verify="{1}"/></svg>'
    assert unbake_svg(svg.format("https://purl.imsglobal.org/ob/v3p0", JWT)) == JWT
    assert unbake_svg(svg.format("https://elsewhere.example/", JWT)) is None


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    ("svg", "words"),
    [
        (f'<!DOCTYPE svg [<!ENTITY a0 "ha">{LAUGHS}]><svg xmlns="http://www.w3.org/2000/svg">&a9;</svg>', "entities"),
        ('<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>', "entities"),
        ('<!DOCTYPE svg SYSTEM "https://elsewhere.example/x.dtd"><svg/>', "entities"),
        ("<svg>&x;</svg>", "not a whole SVG"),
        ("<svg>", "not a whole SVG"),
        ("", "not a whole SVG"),
        ("<html></html>", "damaged"),
        (bake_svg(SVG, JWT).replace("<g/>", f'<openbadges:credential verify="{JWT}"/>'), "more than one"),
        ("<svg>" + " " * 21 * 1024 * 1024 + "</svg>", "larger than 20 MB"),
    ],
)
def test_I17_an_svg_with_entities_or_damage_is_refused_and_nothing_is_expanded(svg, words):
    with pytest.raises(BadInput) as refused:
        unbake_svg(svg)
    assert words in refused.value.sentence


def test_a_script_in_a_strangers_svg_is_only_text_when_unbaking():
    assert unbake_svg('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script></svg>') is None


# -- pixels in a drawing ----------------------------------------------------------------------------------------


def test_pixels_get_a_drawing_that_shows_them_alone_and_takes_a_credential():
    drawing = svg_of_png(png())
    assert 'viewBox="0 0 120 120"' in drawing
    shown = Image.open(io.BytesIO(render_png(drawing, 120))).convert("RGB")
    assert shown.tobytes() == Image.open(io.BytesIO(png())).convert("RGB").tobytes()
    baked = bake_svg(drawing, JSON)
    assert unbake_svg(baked) == JSON
    assert baked.startswith("<svg ") and baked.index("<openbadges:credential>") == baked.index(">") + 1


def test_a_baked_drawing_still_draws_what_it_drew():
    drawn = draw(Picture(alt="A star"), slug="x", ribbon="Level", pips=1)
    assert render_png(bake_svg(drawn, JSON), 90) == render_png(drawn, 90)
