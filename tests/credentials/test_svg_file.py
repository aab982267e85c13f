"""An author's own SVG: what is kept, what is dropped, what is refused."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from lti_tool.credentials.picture import read_own_picture
from lti_tool.credentials.svg_file import clean_svg
from lti_tool.errors import BadInput

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100"'
SQUARE = '<rect width="50" height="50" fill="#0E5468"/>'

DROPPED = {
    "a script": f"{HEAD}><script>alert(1)</script>{SQUARE}</svg>",
    "a script in CDATA": f"{HEAD}><script><![CDATA[alert(1)]]></script>{SQUARE}</svg>",
    "a script of another namespace": f'{HEAD}><x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>{SQUARE}</svg>',
    "a prefix for the same namespace": f'{HEAD} xmlns:s="http://www.w3.org/2000/svg"><s:script>alert(1)</s:script>{SQUARE}</svg>',
    "a handler at the root": f'{HEAD} onload="alert(1)">{SQUARE}</svg>',
    "a handler at a shape": f'{HEAD}><rect width="50" height="50" onclick="alert(1)"/></svg>',
    "a link around a shape": f'{HEAD}><a xlink:href="javascript:alert(1)">{SQUARE}</a>{SQUARE}</svg>',
    "an address as paint": f'{HEAD}><rect width="50" height="50" fill="url(https://evil.example/x)"/></svg>',
    "an address in a style": f'{HEAD}><rect width="50" height="50" style="fill:url(https://evil.example/x);fill:red"/></svg>',
    "an import in a style": f'{HEAD}><rect width="50" height="50" style="@import url(//evil.example);fill:red"/></svg>',
    "an address in a gradient": f'{HEAD}><linearGradient id="a" xlink:href="https://evil.example/x#a"/>{SQUARE}</svg>',
    "an animation of an address": f'{HEAD}><set attributeName="href" to="javascript:alert(1)"/>{SQUARE}</svg>',
    "an animation in a shape": f'{HEAD}><rect width="50" height="50"><animate onbegin="alert(1)"/></rect></svg>',
    "an iframe in the notes of an editor": f'{HEAD}><metadata><iframe src="//evil.example"/></metadata>{SQUARE}</svg>',
    "a processing instruction": f'<?xml-stylesheet href="https://evil.example/x.css"?>{HEAD}>{SQUARE}</svg>',
    "a comment that closes early": f"{HEAD}><!-- --><script>alert(1)</script><!-- -->{SQUARE}</svg>",
    "a base address": f'{HEAD} xml:base="https://evil.example/">{SQUARE}</svg>',
    "an id that breaks out": f'{HEAD}><rect id=\'a"&gt;&lt;script\' width="50" height="50"/></svg>',
    "a class and data": f'{HEAD}><rect class="x" data-x="javascript:alert(1)" width="50" height="50"/></svg>',
    "a use of another file, out of sight": f'{HEAD}><title><b onclick="x"/></title>{SQUARE}</svg>',
}

REFUSED = {
    "a document within": f"{HEAD}><foreignObject><b/></foreignObject>{SQUARE}</svg>",
    "a picture of pixels": f'{HEAD}><image href="https://evil.example/x.png" width="9" height="9"/>{SQUARE}</svg>',
    "a style sheet": f"{HEAD}><style>@import url(//evil.example);</style>{SQUARE}</svg>",
    "text": f"{HEAD}><text>Hello</text>{SQUARE}</svg>",
    "a use of another file": f'{HEAD}><use href="https://evil.example/x.svg#a"/>{SQUARE}</svg>',
    "a filter": f'{HEAD}><filter id="f"><feImage href="https://evil.example/x"/></filter>{SQUARE}</svg>',
    "a pattern": f'{HEAD}><pattern id="p"/>{SQUARE}</svg>',
    "entities that grow": f'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>{HEAD}>{SQUARE}</svg>',
    "an entity from a file": f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>{HEAD}>{SQUARE}</svg>',
    "tiny dashes": f'{HEAD}><path d="M0 0L100 100" stroke="red" stroke-dasharray="0.0001"/></svg>',
    "tiny dashes in a style": f'{HEAD}><path d="M0 0L9 9" style="stroke:red;stroke-dasharray:0.0001 1"/></svg>',
    "masks in masks": f'{HEAD}><mask id="m"><g mask="url(#m)">{SQUARE}</g></mask>{SQUARE}</svg>',
    "too many layers": f"{HEAD}>"
    + '<g opacity=".5">' * 30
    + SQUARE
    + "</g>" * 30
    + '<g opacity=".5"/>' * 90
    + "</svg>",
    "too deep": f"{HEAD}>{'<g>' * 60}{SQUARE}{'</g>' * 60}</svg>",
    "too many parts": f"{HEAD}>{SQUARE * 6000}</svg>",
    "half a file": f"{HEAD}><rect",
    "no shape": f"{HEAD}></svg>",
    "not square": HEAD.replace("0 0 100 100", "0 0 100 50") + f">{SQUARE}</svg>",
    "no size": '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
    "a size beyond all measure": HEAD.replace("100 100", "1e9 1e9") + f">{SQUARE}</svg>",
    "another namespace": '<svg xmlns="http://evil.example" viewBox="0 0 9 9"><rect/></svg>',
    "nothing to be seen": f'{HEAD}><rect width="50" height="50" opacity="0"/></svg>',
    "HTML": "<!DOCTYPE html><svg><script>alert(1)</script></svg>",
}


@pytest.mark.parametrize("what", DROPPED)
def test_what_can_never_be_seen_is_dropped(what):
    png, svg = read_own_picture(DROPPED[what].encode())
    assert svg is not None and png.startswith(b"\x89PNG")
    for word in ("script", "alert", "evil", "javascript", " on", "style", "href", "iframe", "base", "data-", "class"):
        assert f"{word}" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', ""), svg
    assert clean_svg(svg.encode()) == svg


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_be_missed_or_harm_is_refused_in_words(what):
    with pytest.raises(BadInput) as refused:
        read_own_picture(REFUSED[what].encode())
    assert refused.value.sentence.endswith(".") and refused.value.sentence != BadInput.sentence


def test_shapes_paints_gradients_and_clips_are_kept():
    drawing = (
        f'{HEAD}><defs><linearGradient id="a"><stop offset="0" style="stop-color:#123456"/></linearGradient>'
        '<radialGradient id="b" xlink:href="#a" gradientTransform="rotate(45)"/>'
        '<clipPath id="c"><circle cx="50" cy="50" r="40"/></clipPath></defs>'
        '<g transform="translate(1 2)" clip-path="url(#c)"><path d="M0 0L10 10Z" fill="url(#a)" stroke="red"/></g>'
        "</svg>"
    )
    svg = clean_svg(drawing.encode())
    for kept in ('stop-color="#123456"', 'href="#a"', 'clip-path="url(#c)"', 'd="M0 0L10 10Z"', 'fill="url(#a)"'):
        assert kept in svg


def test_a_drawing_is_rendered_and_one_that_takes_too_long_is_given_up(monkeypatch):
    png, _ = read_own_picture(f"{HEAD}>{SQUARE}</svg>".encode())
    assert Image.open(io.BytesIO(png)).size == (600, 600)
    monkeypatch.setattr("lti_tool.credentials.picture.LONGEST_RENDERING", 0.001)
    with pytest.raises(BadInput, match="TimeoutExpired"):
        read_own_picture(f"{HEAD}>{SQUARE}</svg>".encode())


def png_of(width, height):
    out = io.BytesIO()
    Image.new("RGBA", (width, height), "red").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(("width", "height"), [(255, 255), (600, 400), (5000, 5000)])
def test_a_png_of_another_size_or_shape_is_refused(width, height):
    with pytest.raises(BadInput):
        read_own_picture(png_of(width, height))


def test_a_png_is_kept_as_pixels_and_a_bomb_is_not_opened():
    png, svg = read_own_picture(png_of(256, 270))
    assert svg is None and Image.open(io.BytesIO(png)).size == (256, 270)
    whole = bytearray(png_of(300, 300))
    whole[16:24] = (60_000).to_bytes(4, "big") * 2
    for bad in (bytes(whole), png_of(300, 300)[:200], b"GIF89a", b"", b"x" * 3_000_000):
        with pytest.raises(BadInput):
            read_own_picture(bad)
