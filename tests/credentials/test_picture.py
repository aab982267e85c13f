"""Badge pictures: the drawing itself, its limits, and an author's own file."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, PngImagePlugin

from lti_tool.credentials.icons import ICONS, can_letter
from lti_tool.credentials.picture import (
    OUTLINES,
    checked_colours,
    contrast,
    draw,
    read_picture_file,
    render_png,
    rosette,
)
from lti_tool.domain.badge import SHAPES, Picture
from lti_tool.errors import BadInput

SVG = "{http://www.w3.org/2000/svg}"


def picture(**changes) -> Picture:
    return Picture(**{"alt": "A speech bubble", "shape": "hexagon", "icon": "speech", **changes})


def drawing(ribbon="Foundational", pips=1, slug="oral-communication", **changes) -> str:
    return draw(picture(**changes), slug=slug, ribbon=ribbon, pips=pips)


def png(size=(120, 120), mode="RGBA", **saving) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG", **saving)
    return out.getvalue()


# -- drawing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("icon", ICONS)
def test_every_shape_with_every_icon_is_well_formed_and_uses_no_font_script_or_address(shape, icon):
    svg = drawing(shape=shape, icon=icon)
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {
        "svg",
        "title",
        "defs",
        "radialGradient",
        "stop",
        "clipPath",
        "path",
        "g",
        "circle",
        "ellipse",
        "rect",
    }
    assert "{" not in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]


def test_every_shape_a_badge_may_have_can_be_drawn():
    assert tuple(OUTLINES) == SHAPES
    assert Picture(alt="").icon in ICONS


def test_the_same_badge_is_drawn_in_the_same_bytes_and_another_slug_differently():
    assert drawing() == drawing()
    assert render_png(drawing()) == render_png(drawing())
    assert rosette("empathy", 88) != rosette("resilience", 88)


def test_two_pictures_in_one_page_share_no_id():
    ids = [set(re.findall(r' id="([^"]+)"', drawing(colours=colours))) for colours in
           (("#0F4B5C", "#F2B366"), ("#6E2B2B", "#F1C7B5"))]  # fmt: skip
    assert ids[0] and not ids[0] & ids[1]


@pytest.mark.parametrize(("pips", "filled"), [(0, 0), (1, 1), (4, 4)])
def test_as_many_pips_are_filled_as_the_level_has(pips, filled):
    last = ElementTree.fromstring(drawing(pips=pips)).findall(f"{SVG}g")[-1]
    assert [path.get("fill") == "none" for path in last] == [False] * filled + [True] * (4 - filled)


def test_without_a_level_the_picture_has_no_ribbon_and_no_pips():
    svg = drawing(ribbon="", pips=0)
    assert "<rect" not in svg
    assert "168.5l5" not in svg
    assert "<title>A speech bubble</title>" in svg


@pytest.mark.parametrize("word", ["Foundational", "Très avancé", "ØŁĐ & Çø 10", "Größe", "a-b", "Nível 3: já"])
def test_latin_words_are_drawn_as_lines(word):
    assert can_letter(word)
    assert "<rect" in drawing(ribbon=word)


@pytest.mark.parametrize("word", ["基礎", "Основной", "🏅", "\u0301x"])
def test_a_word_we_have_no_letters_for_stays_in_the_title_only(word):
    svg = drawing(ribbon=word)
    assert "<rect" not in svg
    assert word in svg.partition("</title>")[0]


def test_a_very_long_word_stays_on_the_ribbon():
    svg = drawing(ribbon="Professionally accomplished practitioner of everything")
    lettering = next(d for d in re.findall(r'<path d="([^"]+)"', svg) if re.match(r"M\d+\.\d\d \d+\.\d\d", d))
    xs = [float(x) for x in re.findall(r"(-?\d+\.\d\d) -?\d+\.\d\d", lettering)]
    assert min(xs) >= 34 and max(xs) <= 166


def test_I19_a_hostile_alt_text_stays_text():
    svg = drawing(alt='</title><script>alert(1)</script> "&\x00\x0b')
    assert ElementTree.fromstring(svg).find(f"{SVG}title").text == '</title><script>alert(1)</script> "&, Foundational'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": "circle"}, "no shape “circle”"),
        ({"icon": "skull"}, "no icon “skull”"),
        ({"colours": ("red", "#FFFFFF")}, "not “red”"),
        ({"colours": ("#0F4B5C", '#FFF"/>x')}, "written like"),
        ({"colours": ("#7FA8B5", "#FFFFFF")}, "too light for a white icon"),
        ({"colours": ("#0F4B5C", "#5C7F88")}, "ribbon's word could not be read"),
    ],
)
def test_what_could_not_be_read_or_drawn_is_refused_in_a_sentence(changes, words):
    with pytest.raises(ValueError, match=words):
        drawing(**changes)


@pytest.mark.parametrize("pips", [-1, 5])
def test_there_are_never_more_than_four_pips(pips):
    with pytest.raises(ValueError, match="0 to 4"):
        drawing(pips=pips)


def test_contrast_is_counted_as_WCAG_does():
    assert contrast("#000000", "#FFFFFF") == 21
    assert round(contrast("#777777", "#FFFFFF"), 2) == 4.48


def test_the_colours_a_badge_has_by_default_can_be_read():
    assert checked_colours(Picture(alt="").colours)


def test_the_png_has_the_asked_size_and_a_clear_corner():
    image = Image.open(io.BytesIO(render_png(drawing(), size=200)))
    assert image.size == (200, 200)
    assert image.getpixel((1, 1))[3] == 0
    assert image.getpixel((80, 70)) == (255, 255, 255, 255)


def test_at_34_pixels_the_icon_is_still_told_from_its_ground():
    for icon in ICONS:
        image = Image.open(io.BytesIO(render_png(drawing(icon=icon), size=34))).convert("L").crop((10, 8, 24, 22))
        dark, bright = image.getextrema()
        assert bright > 225 and dark < 110, icon


# -- an author's own file ---------------------------------------------------------------------------------------


def test_an_own_picture_is_rewritten_without_its_metadata():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "SECRET-PLACE")
    info.add_itxt("openbadgecredential", "SECRET-PLACE")
    clean = read_picture_file(png(pnginfo=info, exif=b"Exif\0\0SECRET-PLACE") + b"SECRET-PLACE")
    assert b"SECRET-PLACE" not in clean
    assert Image.open(io.BytesIO(clean)).size == (120, 120)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(mode):
    assert read_picture_file(png(mode=mode)).startswith(b"\x89PNG")


def test_sixteen_bit_grey_keeps_its_middle():
    out = io.BytesIO()
    Image.new("I;16", (100, 100), 32768).save(out, "PNG")
    image = Image.open(io.BytesIO(read_picture_file(out.getvalue())))
    assert image.getpixel((50, 50)) == (128, 128, 128, 255)


HUGE_HEADER = png()[:16] + (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big") + png()[24:]

I17_SVGS = [
    '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><iframe src="https://x.example"/></foreignObject></svg>',
    '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>',
]


@pytest.mark.parametrize("svg", I17_SVGS)
def test_I17_an_uploaded_svg_is_refused_and_never_rasterised(svg):
    with pytest.raises(BadInput, match="not a PNG"):
        read_picture_file(svg.encode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a PNG"),
        (b"GIF89a" + bytes(200), "not a PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 3_000_000, "larger than 2 MB"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 300, "damaged"),
        (png()[:-30], "damaged"),
        (png().replace(b"IDAT", b"IDAX"), "damaged"),
        (png((89, 89)), "90 or more"),
        (png((5000, 5000), "1"), "4,096 a side"),
        (png((200, 179)), "Cut it to a square"),
        (HUGE_HEADER, "damaged|4,096 a side"),
    ],
)
def test_any_other_file_is_refused_in_words(data, words):
    with pytest.raises(BadInput) as refused:
        read_picture_file(data)
    assert re.search(words, refused.value.sentence)


def test_a_picture_within_ten_per_cent_of_a_square_is_taken():
    assert read_picture_file(png((200, 182)))


EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "badges").glob("*.toml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_picture_of_every_example_badge_is_drawn_with_its_ribbon(file):
    head = tomllib.loads(file.read_text())["badge"]
    wanted = Picture(**{**head["picture"], "colours": tuple(head["picture"]["colours"])})
    svg = draw(wanted, slug=head["slug"], ribbon=head["level"], pips=1)
    assert "<rect" in svg
    assert wanted.alt
