"""The picture of a badge: a shape, a rosette by formula, an icon, two colours and a ribbon; drawn, never fetched.

The grammar and its limits are those of the design: one family of pictures, each its own, readable at 34 px. Equal
input gives equal bytes, so that a credential signed again carries the same picture.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import resvg_py
from PIL import Image, UnidentifiedImageError

from lti_tool.credentials.icons import ICONS, STROKE, can_letter, letter_path, letter_width, number
from lti_tool.credentials.svg_file import clean_svg, looks_like_svg
from lti_tool.domain.badge import Picture
from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

LEAST_CONTRAST = 5.5
PIPS = 4
CENTRE_Y = 88  # of icon and rosette above a ribbon
CENTRE_Y_ALONE = 100  # without one
RIBBON_WORD_WIDEST = 128.0
RIBBON_WORD_HEIGHT = 9.4

LARGEST_FILE = 2 * 1024 * 1024
SMALLEST_SIDE, LARGEST_SIDE = 90, 4096  # 90 px is the least an Open Badges displayer is asked to show
SMALLEST_LOGO_SIDE, LOGO_SIDE = 48, 800
SMALLEST_OWN_SIDE, OWN_SIDE = 256, 600
LONGEST_RENDERING = 8  # seconds; a drawing of 500 KB takes two
APART = """
import sys, resvg_py
svg = sys.stdin.buffer.read().decode()
size = int(sys.argv[1])
sys.stdout.buffer.write(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)))
"""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

NOT_XML = re.compile("[\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")

Point = tuple[float, float]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """The three nested paths of a shape (rim, dark edge, ground); how far apart its pips stand, how large, how low."""

    rim: str
    edge: str
    ground: str
    pip_step: float = 14.0
    pip_size: float = 5.0
    pip_y: float = 173.5


def draw(picture: Picture, *, slug: str, ribbon: str, pips: int, check: bool = True) -> str:
    """Draw a badge as SVG, 200 units square.

    `ribbon` is the level's word, and `pips` how many of four are filled; with neither the picture has no ribbon, and
    the icon stands in the middle. A word with a character we have no letter for is left off the ribbon but kept in
    the title. Raises ValueError, with a sentence for the author, for an unknown shape or icon or for colours that
    cannot be told apart; without `check` such colours are drawn all the same, for their author to see."""
    if picture.shape not in OUTLINES:
        raise ValueError(
            Sentence(
                "There is no shape “%(shape)s”. Choose one of: %(shapes)s.",
                shape=picture.shape,
                shapes=", ".join(OUTLINES),
            )
        )
    if picture.icon not in ICONS:
        raise ValueError(
            Sentence(
                "There is no icon “%(icon)s”. Choose one of: %(icons)s.", icon=picture.icon, icons=", ".join(ICONS)
            )
        )
    if not 0 <= pips <= PIPS:
        raise ValueError(Sentence("A badge picture shows 0 to %(most)s pips, not %(pips)s.", most=PIPS, pips=pips))
    dark, light = checked_colours(picture.colours) if check else picture.colours
    word = " ".join(ribbon.split())
    has_ribbon = bool(word) and can_letter(word)
    has_pips = bool(word) or pips > 0
    outline = OUTLINES[picture.shape]
    # Ids are made of everything drawn: two pictures in one page must not share a gradient.
    key = "\n".join((slug, picture.shape, picture.icon, dark, light, word, str(pips)))
    mark = "b" + hashlib.sha256(key.encode()).hexdigest()[:8]
    centre_y = CENTRE_Y if has_ribbon else CENTRE_Y_ALONE
    icon = ICONS[picture.icon].drawing.format(light=light, dark=dark)
    if not has_ribbon:
        icon = f'<g transform="translate(0 {CENTRE_Y_ALONE - CENTRE_Y})">{icon}</g>'
    title = escaped(", ".join(part for part in (picture.alt, word) if part))
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" role="img">',
        f"<title>{title}</title>",
        f'<defs><radialGradient id="{mark}g" cx="50%" cy="38%" r="65%">'
        f'<stop offset="0" stop-color="{_lightest(dark)}"/><stop offset="1" stop-color="{dark}"/></radialGradient>'
        f'<clipPath id="{mark}c"><path d="{outline.ground}"/></clipPath></defs>',
        f'<path d="{outline.rim}" fill="{light}"/>',
        f'<path d="{outline.edge}" fill="{_mixed(dark, "#000000", 0.28)}"/>',
        f'<path d="{outline.ground}" fill="url(#{mark}g)" stroke="{light}" stroke-opacity=".75"/>',
        f'<g clip-path="url(#{mark}c)"><path d="{rosette(slug, centre_y)}" fill="none" stroke="{light}" '
        'stroke-opacity=".2" stroke-width=".8"/></g>',
        f"<g>{icon}</g>",
        *([_ribbon(word, dark, light)] if has_ribbon else []),
        *([_pips(pips, light, outline)] if has_pips else []),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def render_png(svg: str, size: int = 600) -> bytes:
    """Turn a picture of `draw` into a PNG of `size` pixels square. Only ever give it our own drawings.

    The machine's fonts are not loaded: the drawing has no text, and loading them takes longer than drawing."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True))


def svg_of_png(png: bytes) -> str:
    """Return an SVG that shows a PNG and nothing else: the drawing of a badge whose author sent pixels."""
    width, height = struct.unpack(">II", png[16:24])
    data = base64.b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{data}"/></svg>\n'
    )


def read_picture_file(data: bytes) -> bytes:
    """Return an author's own picture as a clean PNG: pixels only, no metadata, no second frame.

    Raises BadInput with a sentence for anything else. SVG is refused: it can hold programs and addresses, and a
    rasteriser would follow them."""
    if len(data) > LARGEST_FILE:
        raise BadInput("picture too large", sentence=Sentence("The picture is larger than 2 MB. Save it smaller."))
    if not data.startswith(PNG_SIGNATURE):
        raise BadInput(
            "not a PNG", sentence=Sentence("The picture is not a PNG file. Save it as PNG; other kinds are not taken.")
        )
    return _png_of(_read(data, ["PNG"], _check_size))


def read_own_picture(data: bytes) -> tuple[bytes, str | None]:
    """Return the picture an author sent for a badge: a clean PNG, and where it was a drawing that as clean SVG too.

    A PNG of at least SMALLEST_OWN_SIDE pixels, or an SVG of shapes, square but for a tenth. Raises BadInput with a
    sentence for anything else."""
    if len(data) > LARGEST_FILE:
        raise BadInput("picture too large", sentence=Sentence("The picture is larger than 2 MB. Save it smaller."))
    if data.startswith(PNG_SIGNATURE):
        clean = _read(data, ["PNG"], _check_own_size)
        return _png_of(clean), None
    if not looks_like_svg(data):
        raise BadInput(
            "no PNG, no SVG", sentence=Sentence("The picture is neither a PNG nor an SVG file. Save it as PNG.")
        )
    svg = clean_svg(data)
    png = _render_apart(svg, OWN_SIDE)
    if Image.open(io.BytesIO(png)).convert("RGBA").getchannel("A").getextrema()[1] == 0:
        raise BadInput(
            "empty drawing", sentence=Sentence("Nothing of the drawing can be seen. Save it as PNG, and send that.")
        )
    return png, svg


def _render_apart(svg: str, size: int) -> bytes:
    """Render somebody else's drawing in a process of its own, which is ended when it takes too long.

    A thousand circles of a radius of 1e9 keep the renderer busy for minutes, and nothing ends a thread."""
    command = [sys.executable, "-I", "-c", APART, str(size)]
    try:
        done = subprocess.run(command, input=svg.encode(), capture_output=True, timeout=LONGEST_RENDERING, check=True)
    except subprocess.SubprocessError as error:
        raise BadInput(
            f"drawing does not render: {type(error).__name__}",
            sentence=Sentence("The drawing cannot be rendered. Make it simpler, or save it as PNG and send that."),
        ) from error
    return done.stdout


def read_logo_file(data: bytes) -> bytes:
    """Return an institution's logo as a clean PNG of at most LOGO_SIDE pixels a side; it need not be square.

    PNG, JPEG and WebP are taken, by their content and not by their name. Raises BadInput with a sentence."""
    if len(data) > LARGEST_FILE:
        raise BadInput("logo too large", sentence=Sentence("The logo is larger than 2 MB. Save it smaller."))
    if not (data.startswith((PNG_SIGNATURE, b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")):
        raise BadInput(
            "no raster picture", sentence=Sentence("The logo is not a PNG, JPEG or WebP file. Save it as PNG.")
        )
    clean = _read(data, ["PNG", "JPEG", "WEBP"], _check_logo_size)
    clean.thumbnail((LOGO_SIDE, LOGO_SIDE))
    return _png_of(clean)


def _read(data: bytes, formats: list[str], check_size: Callable[[int, int], None]) -> Image.Image:
    """Decode a picture whose size is checked before a pixel is, and keep its pixels alone."""
    try:
        with warnings.catch_warnings():
            # Pillow warns about very large pictures; the size is checked here before a pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=formats) as image:
                check_size(*image.size)
                image.load()
                return _pixels(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(
            f"picture does not decode: {type(error).__name__}",
            sentence=Sentence("The picture is damaged and cannot be opened. Save it as PNG once more."),
        ) from error


def _png_of(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def checked_colours(colours: tuple[str, str]) -> tuple[str, str]:
    """Return (dark, light) in capitals; raises ValueError with a sentence where they cannot be told apart.

    Two contrasts must be 5.5:1: white on the dark colour at its lightest, and the ribbon's word on the light one."""
    for colour in colours:
        if not COLOUR.fullmatch(colour):
            raise ValueError(Sentence("A colour is written like #0E5468, not “%(colour)s”.", colour=colour))
    dark, light = (colour.upper() for colour in colours)
    white = contrast("#FFFFFF", _lightest(dark))
    if white < LEAST_CONTRAST:
        raise ValueError(
            Sentence(
                "The first colour, %(dark)s, is too light for a white icon (%(white)s:1; it takes "
                "%(least)s:1). Choose a darker one.",
                dark=dark,
                white=f"{white:.1f}",
                least=f"{LEAST_CONTRAST:g}",
            )
        )
    word = contrast(_word_colour(dark), light)
    if word < LEAST_CONTRAST:
        raise ValueError(
            Sentence(
                "The ribbon's word could not be read: %(dark)s on %(light)s is %(word)s:1; it takes "
                "%(least)s:1. Choose a lighter second colour or a darker first one.",
                dark=dark,
                light=light,
                word=f"{word:.1f}",
                least=f"{LEAST_CONTRAST:g}",
            )
        )
    return dark, light


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 counts it, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def rosette(slug: str, centre_y: float) -> str:
    """Draw the guilloche of a slug: waves around a circle, one turned against the next. Equal slug, equal lines."""
    digest = hashlib.sha256(slug.encode()).digest()
    petals = 7 + digest[0] % 6
    strands = 4 + digest[1] % 3
    depth = 12 + digest[2] % 4
    steps = 144
    parts: list[str] = []
    for strand in range(strands):
        turn = 2 * math.pi * strand / strands
        radii = [56 + depth * math.sin(2 * math.pi * petals * step / steps + turn) for step in range(steps)]
        parts.append(_closed(_polar(radii, centre_y)))
    return "".join(parts)


# -- parts of the drawing ---------------------------------------------------------------------------------------


def _ribbon(word: str, dark: str, light: str) -> str:
    word_dark = _word_colour(dark)
    fold = _mixed(light, "#000000", 0.2)
    width, height = letter_width(word) * RIBBON_WORD_HEIGHT / 10 * 1.06, RIBBON_WORD_HEIGHT
    if width > RIBBON_WORD_WIDEST:
        # A long word is made narrower by up to a quarter, then smaller.
        height *= max(0.55, min(1.0, RIBBON_WORD_WIDEST / (0.75 * width)))
        width = RIBBON_WORD_WIDEST
    path = letter_path(word, x=100 - width / 2, y=149 - height / 2, width=width, height=height)
    stroke = STROKE * height / 10
    return (
        f'<path d="M12 144h23v27H12l8-13.5ZM188 144h-23v27h23l-8-13.5Z" fill="{fold}"/>'
        f'<path d="M24 163h11v8ZM176 163h-11v8Z" fill="{_mixed(dark, "#000000", 0.28)}"/>'
        f'<rect x="24" y="135" width="152" height="28" rx="2" fill="{light}"/>'
        f'<path d="M28 138.5h144M28 159.5h144" stroke="{dark}" stroke-opacity=".4" stroke-width=".8"/>'
        f'<path d="{path}" fill="none" stroke="{word_dark}" stroke-width="{stroke:.2f}" stroke-linecap="round" '
        'stroke-linejoin="round"/>'
    )


def _pips(filled: int, light: str, outline: Outline) -> str:
    first, size = 100 - outline.pip_step * (PIPS - 1) / 2, number(outline.pip_size)
    top = number(outline.pip_y - outline.pip_size)
    diamonds = []
    for index in range(PIPS):
        path = f"M{number(first + outline.pip_step * index)} {top}l{size} {size}-{size} {size}-{size}-{size}Z"
        paint = f'fill="{light}"' if index < filled else f'fill="none" stroke="{light}" stroke-opacity=".7"'
        diamonds.append(f'<path d="{path}" {paint}/>')
    return "<g>" + "".join(diamonds) + "</g>"


def _closed(points: list[Point]) -> str:
    first, *rest = (f"{number(x)} {number(y)}" for x, y in points)
    return f"M{first}" + "".join(f"L{point}" for point in rest) + "Z"


def _polar(radii: list[float], centre_y: float, start: float = 0.0) -> list[Point]:
    """Place radii evenly around (100, centre_y), the first at the angle `start`."""
    angles = [start + 2 * math.pi * index / len(radii) for index in range(len(radii))]
    return [(100 + r * math.cos(a), centre_y + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)]


def _cushion(half: float) -> str:
    """Draw a superellipse of exponent 3.4: rounder than a square, squarer than a circle."""
    points = []
    for step in range(96):
        angle = 2 * math.pi * step / 96
        cos, sin = math.cos(angle), math.sin(angle)
        x = math.copysign(abs(cos) ** (2 / 3.4), cos)
        y = math.copysign(abs(sin) ** (2 / 3.4), sin)
        points.append((100 + half * x, 100 + half * y))
    return _closed(points)


def _scallop(outer: float) -> str:
    """Draw eighteen lobes; `outer` is the radius at their tips."""
    lobes, steps = 18, 180
    depth = outer * 0.058
    radii = [outer - depth * (1 - abs(math.cos(math.pi * lobes * step / steps))) for step in range(steps)]
    return _closed(_polar(radii, 100, start=-math.pi / 2))


OUTLINES: dict[str, Outline] = {
    "hexagon": Outline(
        "M77.5 17Q100 4 122.5 17L160.6 39Q183.1 52 183.1 78L183.1 122Q183.1 148 160.6 161L122.5 183Q100 196 77.5 183"
        "L39.4 161Q16.9 148 16.9 122L16.9 78Q16.9 52 39.4 39Z",
        "M78.5 20.7Q100 8.3 121.5 20.7L157.9 41.7Q179.4 54.2 179.4 79L179.4 121Q179.4 145.8 157.9 158.3L121.5 179.3"
        "Q100 191.7 78.5 179.3L42.1 158.3Q20.6 145.8 20.6 121L20.6 79Q20.6 54.2 42.1 41.7Z",
        "M79.8 25.7Q100 14.1 120.2 25.7L154.3 45.4Q174.4 57 174.4 80.3L174.4 119.7Q174.4 143 154.3 154.6L120.2 174.3"
        "Q100 185.9 79.8 174.3L45.7 154.6Q25.6 143 25.6 119.7L25.6 80.3Q25.6 57 45.7 45.4Z",
        pip_step=10.6,
        pip_size=4.3,
        pip_y=171.5,
    ),
    "cushion": Outline(_cushion(88), _cushion(84), _cushion(78.8)),
    "shield": Outline(
        "M100 8Q140 25 176 30L176 98C176 144 138 177 100 194C62 177 24 144 24 98L24 30Q60 25 100 8Z",
        "M100 12.2Q138.2 28.4 172.6 33.2L172.6 98.1C172.6 142.1 136.3 173.6 100 189.8C63.7 173.6 27.4 142.1 27.4 98.1"
        "L27.4 33.2Q61.8 28.4 100 12.2Z",
        "M100 17.8Q135.8 33 168 37.5L168 98.3C168 139.5 134 169 100 184.2C66 169 32 139.5 32 98.3L32 37.5"
        "Q64.2 33 100 17.8Z",
        pip_step=9.6,  # the shield is narrow where the pips are: any wider and the outer two lie across its rim
        pip_size=4.0,
        pip_y=170.0,
    ),
    "scallop": Outline(_scallop(95), _scallop(90.7), _scallop(85)),
}


# -- colours ----------------------------------------------------------------------------------------------------


def _lightest(dark: str) -> str:
    """Return the dark ground where its gradient is lightest, behind the icon."""
    return _mixed(dark, "#FFFFFF", 0.13)


def _word_colour(dark: str) -> str:
    return _mixed(dark, "#000000", 0.25)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_rgb(colour), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in _rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- files and text ---------------------------------------------------------------------------------------------


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise BadInput(
            "picture too small",
            sentence=Sentence(
                "The picture is %(width)s × %(height)s pixels; it takes 90 or more.", width=width, height=height
            ),
        )
    if max(width, height) > LARGEST_SIDE:
        raise BadInput(
            "picture too many pixels",
            sentence=Sentence(
                "The picture is %(width)s × %(height)s pixels; 4,096 a side is the most.", width=width, height=height
            ),
        )
    if max(width, height) > 1.1 * min(width, height):
        raise BadInput(
            "picture not square",
            sentence=Sentence(
                "The picture is %(width)s × %(height)s pixels. Cut it to a square first.", width=width, height=height
            ),
        )


def _check_own_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_OWN_SIDE:
        raise BadInput(
            "picture too small",
            sentence=Sentence(
                "The picture is %(width)s × %(height)s pixels; it takes %(smallest)s or more a side.",
                width=width,
                height=height,
                smallest=SMALLEST_OWN_SIDE,
            ),
        )
    _check_size(width, height)


def _check_logo_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_LOGO_SIDE or max(width, height) > LARGEST_SIDE:
        raise BadInput(
            "logo size",
            sentence=Sentence(
                "The logo is %(width)s × %(height)s pixels; each side takes %(smallest_logo_side)s to 4,096.",
                width=width,
                height=height,
                smallest_logo_side=SMALLEST_LOGO_SIDE,
            ),
        )


def _pixels(image: Image.Image) -> Image.Image:
    """Copy the pixels alone, 8 bits a channel, so that nothing else of the file is kept."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at white instead of scaling
        image = image.point(lambda value: value / 256).convert("L")
    image = image.convert("RGBA")
    return Image.frombytes("RGBA", image.size, image.tobytes())


def escaped(text: str) -> str:
    """Escape a text for SVG, and drop the control characters that XML cannot hold."""
    kept = NOT_XML.sub("", text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
