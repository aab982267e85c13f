"""Photos without their hidden notes: place, camera, times, texts, and whatever stands behind the end of the picture.

The picture itself is not touched: no pixel is read, so nothing is lost and a picture of any size costs the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from PIL import Image

from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

# Of a JPEG that shows itself step by step; cameras and editors write about ten. Each costs whoever looks a whole pass
# over the picture, and a file of 1 MB has room for 17,000 that say nothing.
MOST_SCANS = 32
ORIENTATION = 0x0112  # Exif's tag of how a picture is to be turned, the one note that is kept
_EXIF = b"Exif\0\0"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Beside the critical chunks: those that say how a picture is to be shown.
_SHOWING = frozenset((b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"pHYs", b"cICP"))
_MOVING = frozenset((b"acTL", b"fcTL", b"fdAT"))
_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP"))
_WEBP_NOTES = 0x08 | 0x04  # the flags that say there is Exif, and XMP


def without_notes(kind: str, content: bytes) -> bytes:
    """Return a photo ("jpg", "png" or "webp") without its notes; raises BadInput for one that is not whole."""
    try:
        return _CLEANED[kind](content)
    except (ValueError, IndexError) as error:
        raise BadInput(
            f"a {kind} that is not whole",
            sentence=Sentence("This picture is damaged: it ends too early, or is none inside."),
            what_to_do=Sentence("Open it on your device, save it again, and choose that."),
        ) from error


# -- JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B ----------------------------------------------------


def _jpeg(content: bytes) -> bytes:
    if not content.startswith(b"\xff\xd8"):
        raise ValueError("no start")
    kept, place, turned, scans = [b"\xff\xd8"], 2, 1, 0
    while True:
        while content[place + 1] == 0xFF:  # filling
            place += 1
        marker = content[place + 1]
        if content[place] != 0xFF:
            raise ValueError("no marker")
        if marker == 0xD9:
            kept.append(b"\xff\xd9")
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            kept.append(content[place : place + 2])
            place += 2
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        segment = content[place:end]
        if end > len(content) or end < place + 4:
            raise ValueError("a segment that does not end")
        if marker == 0xDA:
            scans += 1
            if scans > MOST_SCANS:
                raise ValueError("too many scans")
            found = _NEXT_MARKER.search(content, end)
            if found is None:
                raise ValueError("no end")
            end = found.start()
            segment = content[place:end]
        if marker == 0xE1 and segment[4:].startswith(_EXIF):
            turned = _turned(segment[4:])
        if _is_kept(marker, segment):
            kept.append(segment)
        place = end
    if turned != 1:
        kept.insert(1, _orientation(turned))
    return b"".join(kept)


def _is_kept(marker: int, segment: bytes) -> bool:
    """Keep what decodes: of the application segments JFIF, the colour profile, and Adobe's colour transform."""
    if marker == 0xE0:
        return segment[4:].startswith(b"JFIF\0")
    if marker == 0xE2:
        return segment[4:].startswith(b"ICC_PROFILE\0")
    if marker == 0xEE:
        return segment[4:].startswith(b"Adobe")
    return not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _turned(exif: bytes) -> int:
    notes = Image.Exif()
    try:
        notes.load(exif)
        turned = notes.get(ORIENTATION, 1)
    except Exception:  # a stranger's bytes; what is no orientation turns nothing
        return 1
    return turned if isinstance(turned, int) and 1 <= turned <= 8 else 1


def _orientation(turned: int) -> bytes:
    notes = Image.Exif()
    notes[ORIENTATION] = turned
    content = notes.tobytes()
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content


# -- PNG: https://www.w3.org/TR/png-3/#5Chunk-layout ----------------------------------------------------------------


def _png(content: bytes) -> bytes:
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no start")
    kept, place = [content[:8]], 8
    while True:
        length = int.from_bytes(content[place : place + 4])
        kind, end = content[place + 4 : place + 8], place + 12 + length
        if end > len(content) or len(kind) < 4:
            raise ValueError("a chunk that does not end")
        if not kind[0] & 0x20 or kind in _SHOWING or kind in _MOVING:
            kept.append(content[place:end])
        if kind == b"IEND":
            return b"".join(kept)
        place = end


# -- WebP: https://developers.google.com/speed/webp/docs/riff_container ----------------------------------------------


def _webp(content: bytes) -> bytes:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        raise ValueError("no start")
    kept = b"".join(_chunks(content))
    return b"RIFF" + (len(kept) + 4).to_bytes(4, "little") + b"WEBP" + kept


def _chunks(content: bytes) -> Iterator[bytes]:
    place, whole = 12, 8 + int.from_bytes(content[4:8], "little")
    if whole > len(content) + 1 or whole <= place:
        raise ValueError("not as long as it says")
    while place < whole:
        kind, length = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        end = place + 8 + length
        if end > len(content):
            raise ValueError("a chunk that does not end")
        if kind == b"VP8X":
            yield content[place : place + 8] + bytes((content[place + 8] & ~_WEBP_NOTES,)) + content[place + 9 : end]
        elif kind in _WEBP_KEPT:
            yield content[place:end]
        if kind in _WEBP_KEPT and length % 2:
            yield b"\0"
        place = end + length % 2


_CLEANED: dict[str, Callable[[bytes], bytes]] = {"jpg": _jpeg, "png": _png, "webp": _webp}
