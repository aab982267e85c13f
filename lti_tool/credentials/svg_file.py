"""An author's own SVG, made harmless: read as a stream, and only shapes and paints written out again.

SVG can hold programs, addresses and other documents. Nothing is taken over that is not on the lists here. What is
dropped without a word can never be seen in the picture (scripts, handlers, an editor's notes); what would be missed
(text, pixels, style sheets, filters) is refused with a sentence instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat

from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
SEPARATOR = " "  # between namespace and name, as expat hands them over

LARGEST = 500_000  # bytes
MOST_ELEMENTS = 5_000
MOST_LAYERS = 100  # groups with an opacity, a clip path or a mask: each is painted on a sheet of its own
DEEPEST = 40

SHAPES = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon")
GRADIENTS = ("linearGradient", "radialGradient")
LAYERED = {"clipPath", "mask"}
ELEMENTS = {"svg", "g", "defs", "clipPath", "mask", "stop", *SHAPES, *GRADIENTS}
# Seen in browsers or by the renderer: leaving it out would change the picture.
MISSED = {
    "text": Sentence("text"),
    "image": Sentence("a picture of pixels"),
    "style": Sentence("a style sheet"),
    "use": Sentence("clones or symbols"),
    "symbol": Sentence("clones or symbols"),
    "filter": Sentence("a filter effect"),
    "pattern": Sentence("a pattern"),
    "marker": Sentence("markers"),
    "textPath": Sentence("text"),
    "foreignObject": Sentence("another document"),
    "switch": Sentence("a choice of versions"),
}
PAINT = {"fill", "stroke", "stop-color", "color"}
NUMBERS = {
    "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "fx", "fy", "fr", "width", "height", "offset",
    "opacity", "fill-opacity", "stroke-opacity", "stop-opacity", "stroke-width", "stroke-miterlimit",
}  # fmt: skip
WORDS = {
    "fill-rule", "clip-rule", "stroke-linecap", "stroke-linejoin", "gradientUnits", "spreadMethod", "clipPathUnits",
    "maskUnits", "maskContentUnits", "display", "visibility", "paint-order", "mask-type",
}  # fmt: skip
LINKS = {"clip-path", "mask"}
STYLED = {
    *PAINT, *WORDS, *LINKS, "opacity", "fill-opacity", "stroke-opacity", "stop-opacity", "stroke-width",
    "stroke-miterlimit",
}  # fmt: skip

IDENT = r"[A-Za-z_][\w.:-]{0,99}"
NUMBER = r"[+-]?(?:\d{1,6}(?:\.\d{0,12})?|\.\d{1,12})(?:[eE][+-]?\d)?"
FORMS = {
    "id": re.compile(IDENT),
    "d": re.compile(r"[MmZzLlHhVvCcSsQqTtAaeE0-9\s,.+-]*"),
    "points": re.compile(r"[eE0-9\s,.+-]*"),
    "transform": re.compile(r"(?:\s*(?:matrix|translate|scale|rotate|skewX|skewY)\s*\([eE0-9\s,.+-]*\)\s*,?)*\s*"),
}
FORMS["gradientTransform"] = FORMS["transform"]
A_NUMBER = re.compile(rf"\s*{NUMBER}\s*(?:px|pt|mm|cm|in|%)?\s*")
A_WORD = re.compile(r"[A-Za-z ]{1,40}")
A_PAINT = re.compile(
    rf"#[0-9A-Fa-f]{{3,8}}|[A-Za-z]{{1,30}}|(?:rgb|rgba|hsl|hsla)\([0-9\s,.%/]{{1,60}}\)"
    rf"|url\(\s*['\"]?#{IDENT}['\"]?\s*\)(?:\s+(?:none|#[0-9A-Fa-f]{{3,8}}))?"
)
A_LINK = re.compile(rf"none|url\(\s*['\"]?#{IDENT}['\"]?\s*\)")
VIEW_BOX = re.compile(rf"\s*({NUMBER})[\s,]+({NUMBER})[\s,]+({NUMBER})[\s,]+({NUMBER})\s*")


def looks_like_svg(data: bytes) -> bool:
    head = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith((b"<?xml", b"<svg", b"<!--", b"<!DOCTYPE")) and b"<svg" in data[:20_000]


def clean_svg(data: bytes) -> str:
    """Return a drawing with nothing in it but shapes and paints; raises BadInput with a sentence.

    Equal input gives equal text. The root has a `viewBox` and no size of its own."""
    if len(data) > LARGEST:
        raise BadInput("drawing too large", sentence=Sentence("The drawing is larger than 500 KB. Make it simpler."))
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=SEPARATOR)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.EntityDeclHandler = reader.entity
    parser.ExternalEntityRefHandler = reader.entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadInput(
            f"drawing is no XML: {expat.errors.messages.get(error.code, error.code)}",
            sentence=Sentence("The drawing is damaged and cannot be opened. Save it once more."),
        ) from error
    return reader.result()


class _Reader:
    """Writes while it reads; `hidden` is how deep it is inside something that is left out."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.depth = self.hidden = self.elements = self.layers = 0
        self.within: list[str] = []
        self.has_shape = False

    def entity(self, *_told: object) -> int:
        raise BadInput("entities", sentence=Sentence("The drawing uses entities of XML. Save it as plain SVG."))

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _space, local = name.rpartition(SEPARATOR)
        self.depth += 1
        self.elements += 1
        if self.depth > DEEPEST or self.elements > MOST_ELEMENTS:
            raise BadInput(
                "drawing too deep or long", sentence=Sentence("The drawing has too many parts. Make it simpler.")
            )
        if self.depth == 1:
            self._root(namespace, local, attributes)
            return
        if self.hidden or namespace != SVG or local not in ELEMENTS or local == "svg":
            if not self.hidden and namespace == SVG and (local in MISSED or local == "svg"):
                raise _missed(local, MISSED.get(local, Sentence("a drawing within the drawing")))
            self.hidden += 1
            return
        self.has_shape = self.has_shape or local in SHAPES
        self.out.append(f"<{local}{''.join(self._attributes(local, attributes))}>")
        self.within.append(local)

    def end(self, name: str) -> None:
        self.depth -= 1
        if self.hidden:
            self.hidden -= 1
        else:
            if self.within:
                self.within.pop()
            self.out.append(f"</{name.rpartition(SEPARATOR)[2]}>")

    def result(self) -> str:
        if not self.has_shape:
            raise BadInput(
                "no shape", sentence=Sentence("The drawing holds no shape that can be kept. Save it as PNG.")
            )
        return "".join(self.out) + "\n"

    def _root(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if (namespace, local) != (SVG, "svg"):
            raise BadInput("no svg", sentence=Sentence("The file is not an SVG drawing. Save the picture as PNG."))
        box = VIEW_BOX.fullmatch(attributes.get("viewBox", ""))
        if box:
            x, y, width, height = (float(each) for each in box.groups())
        else:
            x = y = 0.0
            width, height = (_size(attributes.get(side, "")) for side in ("width", "height"))
        if not (0.001 < width < 1e6 and 0.001 < height < 1e6 and abs(x) < 1e6 and abs(y) < 1e6):
            raise BadInput(
                "no size", sentence=Sentence("The drawing does not say how large it is. Save it with a view box.")
            )
        if max(width, height) > 1.1 * min(width, height):
            raise BadInput(
                "drawing not square",
                sentence=Sentence(
                    "The drawing is %(width)s × %(height)s. Make its page a square first.",
                    width=f"{width:g}",
                    height=f"{height:g}",
                ),
            )
        box_text = " ".join(f"{each:g}" for each in (x, y, width, height))
        painted = "".join(self._attributes("g", attributes))
        self.out.append(f'<svg xmlns="{SVG}" viewBox="{box_text}"{painted}>')

    def _attributes(self, element: str, attributes: dict[str, str]) -> Iterator[str]:
        kept: dict[str, str] = {}
        for name, value in attributes.items():
            if name == "stroke-dasharray" or (name == "style" and "stroke-dasharray" in value):
                # Four thousand paths of tiny dashes kept the renderer busy for over ten minutes.
                if re.search(r"[1-9]", value if name != "style" else value.partition("stroke-dasharray")[2][:40]):
                    raise _missed("stroke-dasharray", Sentence("a dashed line"))
            elif name == "style":
                kept.update(_declarations(value))
            elif name in ("href", f"{XLINK}{SEPARATOR}href"):
                # A gradient may go on from another one; anything else would be somebody else's document.
                if element in GRADIENTS and re.fullmatch(rf"#{IDENT}", value.strip()):
                    kept["href"] = value.strip()
            elif _is_allowed(name, value):
                kept.setdefault(name, value)
        kept.pop("class", None)
        if element == "g" and not kept.keys() <= (STYLED | {"id", "transform"}):
            kept = {name: value for name, value in kept.items() if name in STYLED | {"id", "transform"}}
        if LINKS & kept.keys() and (element in LAYERED or LAYERED & set(self.within)):
            # Twenty masks that each use the next one twice are a million.
            raise _missed("nested masks", Sentence("masks within masks"))
        if LINKS & kept.keys() or "opacity" in kept:
            self.layers += 1
            if self.layers > MOST_LAYERS:
                raise BadInput("too many layers", sentence=Sentence("The drawing has too many see-through parts."))
        for name, value in kept.items():
            text = value.strip().replace("&", "&amp;").replace("<", "&lt;").replace('"', "'")
            yield f' {name}="{text}"'


def _declarations(style: str) -> dict[str, str]:
    """Return what a style attribute says that is on the list, as attributes."""
    found = {}
    for declaration in style.split(";"):
        name, _colon, value = declaration.partition(":")
        name, value = name.strip(), value.replace("!important", "").strip()
        if name in STYLED and _is_allowed(name, value):
            found[name] = value
    return found


def _is_allowed(name: str, value: str) -> bool:
    text = value.strip()
    if name in FORMS:
        return bool(FORMS[name].fullmatch(text))
    if name in PAINT:
        return bool(A_PAINT.fullmatch(text))
    if name in NUMBERS:
        return bool(A_NUMBER.fullmatch(text))
    if name in LINKS:
        return bool(A_LINK.fullmatch(text))
    return name in WORDS and bool(A_WORD.fullmatch(text))


def _missed(name: str, word: str) -> BadInput:
    return BadInput(
        f"drawing with {name}",
        sentence=Sentence(
            "The drawing holds %(word)s, which cannot be kept. Turn it into paths, or save the picture as PNG.",
            word=word,
        ),
    )


def _size(text: str) -> float:
    match = re.fullmatch(rf"\s*({NUMBER})\s*(?:px|pt|mm|cm|in)?\s*", text)
    return float(match[1]) if match else 0.0
