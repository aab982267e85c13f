"""The drawings of the badge pictures: icons and ribbon letters, as SVG paths.

Everything here was drawn for this tool. Nothing depends on a font: a server may have none, and the same badge would
look different on the next machine.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lti_tool.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Icon:
    """One icon within the 72 units around (100, 88). `{light}` and `{dark}` stand for the badge's colours.

    `word` is what an author chooses it by."""

    word: str
    drawing: str


ICONS: dict[str, Icon] = {
    "speech": Icon(
        Sentence("Speech bubble"),
        '<path d="M70 56h60a12 12 0 0 1 12 12v32a12 12 0 0 1-12 12h-32l-17 15v-15h-11a12 12 0 0 1-12-12V68a12 12 0 0 1 '
        '12-12Z" fill="#fff"/><path d="M76 79v10M88 71v26M100 76v16M112 66v36M124 79v10" stroke="{dark}" '
        'stroke-width="5.5" stroke-linecap="round" fill="none"/>',
    ),
    "compass": Icon(
        Sentence("Compass"),
        '<circle cx="100" cy="88" r="34" fill="none" stroke="#fff" stroke-width="6.5"/>'
        '<path d="M117 71l-10 24-24 10 10-24Z" fill="{light}"/><circle cx="100" cy="88" r="4.5" fill="{dark}"/>'
        '<path d="M100 44v6M100 126v6M56 88h6M138 88h6" stroke="#fff" stroke-width="5" stroke-linecap="round"/>',
    ),
    "overlap": Icon(
        Sentence("Two circles that overlap"),
        '<circle cx="84" cy="86" r="29" fill="#fff"/>'
        '<circle cx="116" cy="86" r="26" fill="none" stroke="#fff" stroke-width="6"/>'
        '<path d="M100 61.8A29 29 0 0 1 100 110.2A29 29 0 0 1 100 61.8Z" fill="{light}" stroke="{dark}" '
        'stroke-width="3.5"/>',
    ),
    "magnifier": Icon(
        Sentence("Magnifying glass"),
        '<circle cx="95" cy="80" r="30" fill="none" stroke="#fff" stroke-width="7"/>'
        '<path d="M95 58a22 22 0 0 1 0 44Z" fill="{light}"/>'
        '<path d="M117 103l17 18" stroke="#fff" stroke-width="10" stroke-linecap="round"/>'
        '<path d="M81 72h10M78 81h13M81 90h10" stroke="#fff" stroke-width="3.6" stroke-linecap="round"/>',
    ),
    "plant": Icon(
        Sentence("Young plant"),
        '<path d="M100 122V74" stroke="#fff" stroke-width="6.5" stroke-linecap="round"/>'
        '<path d="M100 90c-4-22-20-30-38-29 1 20 14 33 38 29Z" fill="#fff"/>'
        '<path d="M100 78c3-21 17-31 36-31 1 20-12 34-36 31Z" fill="{light}"/>'
        '<path d="M66 124h20l6-6 8 9 8-9 6 6h20" stroke="#fff" stroke-width="5" stroke-linecap="round" '
        'stroke-linejoin="round" fill="none"/>',
    ),
    "globe": Icon(
        Sentence("Globe"),
        '<circle cx="100" cy="88" r="35" fill="none" stroke="#fff" stroke-width="6"/>'
        '<ellipse cx="100" cy="88" rx="15" ry="35" fill="none" stroke="#fff" stroke-width="4.5"/>'
        '<path d="M66 88h68" stroke="#fff" stroke-width="4.5"/>'
        '<path d="M71 68c18 9 40 9 58 0M71 108c18-9 40-9 58 0" stroke="{light}" stroke-width="4.5" fill="none" '
        'stroke-linecap="round"/>',
    ),
    "rings": Icon(
        Sentence("Three linked rings"),
        '<g fill="none" stroke-width="8"><circle cx="100" cy="71" r="21" stroke="#fff"/>'
        '<circle cx="84" cy="99" r="21" stroke="#fff"/><circle cx="116" cy="99" r="21" stroke="{light}"/>'
        '<path d="M118.9 79.6A21 21 0 0 1 106.3 91" stroke="#fff"/></g>',
    ),
    "bulb": Icon(
        Sentence("Light bulb"),
        '<path d="M100 50a27 27 0 0 0-15 49.5c3 2 4 5 4 8.5h22c0-3.5 1-6.5 4-8.5A27 27 0 0 0 100 50Z" fill="#fff"/>'
        '<path d="M91 114h18M93 122h14" stroke="#fff" stroke-width="5" stroke-linecap="round"/>'
        '<path d="M100 61l4.2 10.3 11.1.8-8.5 7.2 2.7 10.8-9.5-5.9-9.5 5.9 2.7-10.8-8.5-7.2 11.1-.8Z" fill="{dark}"/>',
    ),
    "flag": Icon(
        Sentence("Flag above steps"),
        '<path d="M80 124V52" stroke="#fff" stroke-width="6.5" stroke-linecap="round"/>'
        '<path d="M83 54h44l-11 15 11 15H83Z" fill="{light}"/>'
        '<path d="M60 124h18v-10h22v-10h22V94h18" stroke="#fff" stroke-width="5" fill="none" stroke-linecap="round" '
        'stroke-linejoin="round"/>',
    ),
    "layers": Icon(
        Sentence("Layers"),
        '<path d="M100 46l38 20-38 20-38-20Z" fill="#fff"/>'
        '<path d="M62 84l38 20 38-20" fill="none" stroke="{light}" stroke-width="7" stroke-linejoin="round" '
        'stroke-linecap="round"/><path d="M62 103l38 20 38-20" fill="none" stroke="#fff" stroke-width="7" '
        'stroke-linejoin="round" stroke-linecap="round"/>',
    ),
    "star": Icon(
        Sentence("Star"),
        '<path d="M100 48L110.6 73.4 138 75.6 117.1 93.6 123.5 120.4 100 106 76.5 120.4 82.9 93.6 62 75.6 89.4 73.4Z" '
        'fill="#fff" stroke="#fff" stroke-width="5" stroke-linejoin="round"/>'
        '<path d="M100 48L110.6 73.4 138 75.6 117.1 93.6 123.5 120.4 100 106Z" fill="{light}" stroke="{light}" '
        'stroke-width="5" stroke-linejoin="round"/>',
    ),
    "book": Icon(
        Sentence("Open book"),
        '<path d="M97 64c-9-8-21-11-35-10v58c14-1 26 2 35 9Z" fill="#fff"/>'
        '<path d="M103 64c9-8 21-11 35-10v58c-14-1-26 2-35 9Z" fill="{light}"/>'
        '<path d="M72 70c6 0 11 1 15 3M72 83c6 0 11 1 15 3M72 96c6 0 11 1 15 3" stroke="{dark}" stroke-width="4.5" '
        'stroke-linecap="round" fill="none"/>',
    ),
    "pen": Icon(
        Sentence("Pen"),
        '<path d="M122 48l18 18-46 46-25 7 7-25Z" fill="#fff" stroke="#fff" stroke-width="3" stroke-linejoin="round"/>'
        '<path d="M109 61l18 18" stroke="{dark}" stroke-width="5"/>'
        '<path d="M64 126h46" stroke="{light}" stroke-width="6.5" stroke-linecap="round"/>',
    ),
    "chart": Icon(
        Sentence("Rising bars"),
        '<path d="M66 96h15v24H66ZM92 78h15v42H92Z" fill="#fff" stroke="#fff" stroke-width="3" '
        'stroke-linejoin="round"/><path d="M118 56h15v64h-15Z" fill="{light}" stroke="{light}" stroke-width="3" '
        'stroke-linejoin="round"/><path d="M65 78l27-25" stroke="#fff" stroke-width="5.5" stroke-linecap="round"/>'
        '<path d="M81 51h13v13" stroke="#fff" stroke-width="5.5" stroke-linecap="round" stroke-linejoin="round" '
        'fill="none"/>',
    ),
    "people": Icon(
        Sentence("People"),
        '<circle cx="78" cy="70" r="14" fill="#fff"/><path d="M54 120c0-18 9-30 24-30s24 12 24 30Z" fill="#fff"/>'
        '<circle cx="121" cy="74" r="12" fill="{light}"/>'
        '<path d="M109 120c0-9-2-17-6-23 4-4 10-6 18-6 14 0 22 11 22 29Z" fill="{light}"/>',
    ),
    "heart": Icon(
        Sentence("Heart"),
        '<path d="M100 122C62 96 60 78 64 67c6-15 27-18 36-1 9-17 30-14 36 1 4 11 2 29-36 55Z" fill="#fff"/>'
        '<path d="M100 66c9-17 30-14 36 1 4 11 2 29-36 55Z" fill="{light}"/>',
    ),
    "target": Icon(
        Sentence("Target"),
        '<circle cx="96" cy="92" r="34" fill="none" stroke="#fff" stroke-width="6.5"/>'
        '<circle cx="96" cy="92" r="18" fill="none" stroke="#fff" stroke-width="6"/>'
        '<path d="M96 92l30-30" stroke="{dark}" stroke-width="12"/>'
        '<path d="M96 92l32-32" stroke="{light}" stroke-width="6" stroke-linecap="round"/>'
        '<path d="M121 67V54l10-10v13h13l-10 10Z" fill="{light}" stroke="{dark}" stroke-width="2.5" '
        'stroke-linejoin="round"/>',
    ),
    "code": Icon(
        Sentence("Code"),
        '<path d="M82 66L60 88l22 22M118 66l22 22-22 22" stroke="#fff" stroke-width="8" stroke-linecap="round" '
        'stroke-linejoin="round" fill="none"/>'
        '<path d="M108 56L92 120" stroke="{light}" stroke-width="8" stroke-linecap="round"/>',
    ),
    "mountain": Icon(
        Sentence("Mountain"),
        '<path d="M56 122l36-66 18 33 9-14 27 47Z" fill="#fff" stroke="#fff" stroke-width="4" stroke-linejoin="round"/>'
        '<path d="M92 56l13.5 25-8 7-6-6-7 7-6-6.5Z" fill="{light}" stroke="{light}" stroke-width="4" '
        'stroke-linejoin="round"/>',
    ),
}

# -- letters ----------------------------------------------------------------------------------------------------
# A capital is 10 high, from y 0 (top) to 10 (foot), drawn as centre lines of a stroke 2 wide with round ends, so that
# the lines run from 1 to 9. First the width that the letter takes, then its lines: M, L, Q and C only, absolute, so
# that a letter can be scaled number by number while its stroke stays even.

STROKE = 2.0
GAP = 1.5

_LETTERS: dict[str, tuple[float, str]] = {
    "A": (9.4, "M1 9L4.7 1L8.4 9M2.4 6.4L7 6.4"),
    "B": (8.4, "M1 1L1 9L4.6 9Q7.4 9 7.4 6.9Q7.4 4.9 4.6 4.9L1 4.9M4.6 4.9Q6.9 4.9 6.9 2.95Q6.9 1 4.4 1L1 1"),
    "C": (8.8, "M7.8 2.7Q6.7 1 4.8 1Q1 1 1 5Q1 9 4.8 9Q6.7 9 7.8 7.3"),
    "D": (8.9, "M1 1L1 9L3.8 9Q7.9 9 7.9 5Q7.9 1 3.8 1L1 1"),
    "E": (7.4, "M6.4 1L1 1L1 9L6.4 9M1 5L5.7 5"),
    "F": (7.1, "M6.1 1L1 1L1 9M1 5.1L5.5 5.1"),
    "G": (9.2, "M7.9 2.6Q6.7 1 4.9 1Q1 1 1 5Q1 9 4.9 9Q7 9 8.2 7.8L8.2 5.4L5.4 5.4"),
    "H": (8.7, "M1 1L1 9M7.7 1L7.7 9M1 5L7.7 5"),
    "I": (2.0, "M1 1L1 9"),
    "J": (6.9, "M5.9 1L5.9 6.4Q5.9 9 3.4 9Q1 9 1 6.7"),
    "K": (8.4, "M1 1L1 9M7.2 1L1 6.3M3.3 4.4L7.4 9"),
    "L": (7.0, "M1 1L1 9L6 9"),
    "M": (10.2, "M1 9L1 1L5.1 6.9L9.2 1L9.2 9"),
    "N": (8.8, "M1 9L1 1L7.8 9L7.8 1"),
    "O": (9.8, "M4.9 1Q8.8 1 8.8 5Q8.8 9 4.9 9Q1 9 1 5Q1 1 4.9 1Z"),
    "P": (8.0, "M1 9L1 1L4.5 1Q7 1 7 3.4Q7 5.8 4.5 5.8L1 5.8"),
    "Q": (9.8, "M4.9 1Q8.8 1 8.8 5Q8.8 9 4.9 9Q1 9 1 5Q1 1 4.9 1ZM5.8 6.7L8.7 9.6"),
    "R": (8.4, "M1 9L1 1L4.6 1Q7.1 1 7.1 3.3Q7.1 5.6 4.6 5.6L1 5.6M4.7 5.6L7.4 9"),
    "S": (8.1, "M6.9 2.4Q6.1 1 4.1 1Q1.3 1 1.3 3Q1.3 4.6 4 5Q7.1 5.4 7.1 7Q7.1 9 4.1 9Q1.8 9 1 7.4"),
    "T": (8.2, "M1 1L7.2 1M4.1 1L4.1 9"),
    "U": (8.6, "M1 1L1 5.8Q1 9 4.3 9Q7.6 9 7.6 5.8L7.6 1"),
    "V": (9.2, "M1 1L4.6 9L8.2 1"),
    "W": (12.4, "M1 1L3.4 9L6.2 2L9 9L11.4 1"),
    "X": (8.6, "M1 1L7.6 9M7.6 1L1 9"),
    "Y": (8.6, "M1 1L4.3 5.2L7.6 1M4.3 5.2L4.3 9"),
    "Z": (8.0, "M1 1L7 1L1 9L7 9"),
    "Æ": (12.6, "M1 9L5.6 1L11.6 1M6.7 1L6.7 9L11.6 9M6.7 5L10.9 5M2.7 6.4L6.7 6.4"),
    "Œ": (13.2, "M12.2 1L4.9 1Q1 1 1 5Q1 9 4.9 9L12.2 9M7.2 1L7.2 9M7.2 5L11.5 5"),
    "Ø": (9.8, "M4.9 1Q8.8 1 8.8 5Q8.8 9 4.9 9Q1 9 1 5Q1 1 4.9 1ZM1.6 9.2L8.2 .8"),
    "Ł": (7.4, "M1.4 1L1.4 9L6.4 9M.6 5.9L4.6 3.7"),
    "Đ": (9.3, "M1.4 1L1.4 9L4.2 9Q8.3 9 8.3 5Q8.3 1 4.2 1L1.4 1M.4 5L4.2 5"),
    "0": (8.6, "M4.3 1Q7.6 1 7.6 5Q7.6 9 4.3 9Q1 9 1 5Q1 1 4.3 1Z"),
    "1": (5.0, "M1 2.7L3.4 1L3.4 9"),
    "2": (7.8, "M1.2 3.2Q1.4 1 4 1Q6.6 1 6.6 3.2Q6.6 4.6 4.6 6.2L1 9L6.8 9"),
    "3": (7.8, "M1.2 1L6.6 1L3.7 4.2Q6.8 4.2 6.8 6.6Q6.8 9 3.8 9Q1.7 9 1 7.4"),
    "4": (8.4, "M5.7 9L5.7 1L1 6.7L7.4 6.7"),
    "5": (7.8, "M6.4 1L1.7 1L1.3 4.7Q2.3 4 3.8 4Q6.8 4 6.8 6.5Q6.8 9 3.8 9Q1.8 9 1 7.6"),
    "6": (8.2, "M6.4 1.4Q1 2 1 6.3Q1 9 4.1 9Q7.2 9 7.2 6.4Q7.2 4 4.3 4Q2 4 1.1 6"),
    "7": (7.4, "M1 1L6.4 1L3 9"),
    "8": (8.0, "M4 4.8Q1.4 4.8 1.4 2.9Q1.4 1 4 1Q6.6 1 6.6 2.9Q6.6 4.8 4 4.8Q1 4.8 1 6.9Q1 9 4 9Q7 9 7 6.9Q7 "
               "4.8 4 4.8Z"),
    "9": (8.2, "M1.8 8.6Q7.2 8 7.2 3.7Q7.2 1 4.1 1Q1 1 1 3.6Q1 6 3.9 6Q6.2 6 7.1 4"),
    "-": (4.6, "M1 5.4L3.6 5.4"),
    "–": (6.6, "M1 5.4L5.6 5.4"),
    "+": (7.4, "M1 5.4L6.4 5.4M3.7 2.7L3.7 8.1"),
    "/": (5.6, "M1 9.6L4.6 .4"),
    ".": (2.0, "M1 9L1 9"),
    ":": (2.0, "M1 3.6L1 3.6M1 9L1 9"),
    "'": (2.0, "M1 .8L1 2.4"),
    "’": (2.0, "M1 .8L1 2.4"),
    "&": (9.4, "M8.3 9L2.9 3.6Q2.1 2.8 2.1 2.3Q2.1 1 3.7 1Q5.4 1 5.4 2.4Q5.4 3.5 3.5 4.5Q1 "
               "5.7 1 7Q1 9 3.5 9Q6.6 9 7.9 5.4"),
    " ": (2.6, ""),
}  # fmt: skip

# Accents stand over (or hang under) the middle of the letter: x from that middle, y as above.
_ACCENTS: dict[str, str] = {
    "\u0300": "M-1.2 -3.1L.6 -1.7",  # grave
    "\u0301": "M1.2 -3.1L-.6 -1.7",  # acute
    "\u0302": "M-1.9 -1.6L0 -3.1L1.9 -1.6",  # circumflex
    "\u0303": "M-2.2 -1.8Q-1.1 -3.6 0 -2.4Q1.1 -1.2 2.2 -3",  # tilde
    "\u0304": "M-1.8 -2.3L1.8 -2.3",  # macron
    "\u0306": "M-1.9 -3.2Q0 -.6 1.9 -3.2",  # breve
    "\u0307": "M0 -2.3L0 -2.3",  # dot
    "\u0308": "M-1.7 -2.3L-1.7 -2.3M1.7 -2.3L1.7 -2.3",  # diaeresis
    "\u030a": "M0 -3.9Q1.3 -3.9 1.3 -2.6Q1.3 -1.3 0 -1.3Q-1.3 -1.3 -1.3 -2.6Q-1.3 -3.9 0 -3.9Z",
    "\u030b": "M-.6 -3.1L-1.7 -1.7M2 -3.1L.9 -1.7",  # double acute
    "\u030c": "M-1.9 -3.1L0 -1.6L1.9 -3.1",  # caron
    "\u0327": "M.2 10L.2 11Q1.3 11.2 1.1 12Q.7 13 -1 12.6",  # cedilla
    "\u0328": "M2 9.4Q.5 11 1.2 12.2Q1.8 12.9 3 12.4",  # ogonek
    "\u0323": "M0 12.2L0 12.2",  # dot below
    "\u0326": "M.4 11.2L-.4 12.8",  # comma below
}

_NUMBERS = re.compile(r"(-?\d*\.?\d+)[ ,]+(-?\d*\.?\d+)")


def can_letter(text: str) -> bool:
    """Tell whether every character of a text can be drawn."""
    return all(base in _LETTERS and all(mark in _ACCENTS for mark in marks) for base, marks in _characters(text))


def letter_width(text: str) -> float:
    """Return how wide a text stands in letter units (a capital is 10 high)."""
    return sum(_LETTERS[base][0] + GAP for base, _ in _characters(text)) - GAP


def letter_path(text: str, *, x: float, y: float, width: float, height: float) -> str:
    """Draw a text into a box: its left edge at x, the top of its capitals at y. Only for texts of `can_letter`.

    The stroke to draw it with is `STROKE * height / 10`."""
    across, up = width / letter_width(text), height / 10
    at = 0.0
    parts: list[str] = []
    for base, marks in _characters(text):
        advance, lines = _LETTERS[base]
        parts.append(_placed(lines, x + at * across, y, across, up))
        parts.extend(_placed(_ACCENTS[mark], x + (at + advance / 2) * across, y, across, up) for mark in marks)
        at += advance + GAP
    return "".join(parts)


def number(value: float) -> str:
    """Write a coordinate in the fewest characters, to a tenth of a unit; never `-0`."""
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _characters(text: str) -> list[tuple[str, str]]:
    """Split a text into capitals, each with its accents."""
    found: list[tuple[str, str]] = []
    for character in unicodedata.normalize("NFD", " ".join(text.upper().split())):
        if unicodedata.combining(character) and found:
            found[-1] = (found[-1][0], found[-1][1] + character)
        else:
            found.append((character, ""))
    return found


def _placed(lines: str, x: float, y: float, across: float, up: float) -> str:
    def moved(match: re.Match[str]) -> str:
        # Two decimals: a letter is 9 units high on a picture drawn at 600 px, and a tenth would be seen.
        return f"{x + float(match[1]) * across:.2f} {y + float(match[2]) * up:.2f}"

    return _NUMBERS.sub(moved, lines)
