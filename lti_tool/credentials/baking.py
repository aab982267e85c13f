"""Puts a credential into a picture and takes it out again (Open Badges 3.0, section 5.3:
https://www.imsglobal.org/spec/ob/v3p0#baking), and out of the PDF it is attached to.

Reading is for files of strangers: every length is capped, every checksum compared, and no XML entity is ever expanded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

KEYWORD = "openbadgecredential"
KEYWORD_OB2 = "openbadges"
NAMESPACE = "https://purl.imsglobal.org/ob/v3p0"
ELEMENT = f"{NAMESPACE} credential"  # as expat names it
ELEMENT_OB2 = "http://openbadges.org assertion"

LARGEST_PICTURE = 20 * 1024 * 1024
LARGEST_TEXT = 5 * 1024 * 1024  # of a credential, decompressed
MOST_CHUNKS = 10_000
MOST_ATTACHED = 50  # files of a PDF that are looked at
LONGEST_DICTIONARY = 2_000  # bytes, of what a PDF says about one

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = (b"iTXt", b"tEXt", b"zTXt")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A PNG chunk: its four-letter kind, its content, and the bytes of the file it is made of."""

    kind: bytes
    content: bytes
    raw: bytes


def bake_png(png: bytes, text: str, keyword: str = KEYWORD) -> bytes:
    """Put a credential into a PNG as its only chunk of that keyword; every other byte stays as it is.

    Use the keyword `openbadges` for an Open Badges 2.0 assertion. Raises BadInput where `png` is not a whole PNG."""
    content = keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    baked = _chunk(b"iTXt", content)
    out = [PNG_SIGNATURE]
    done = False
    for chunk in _chunks(png):
        if chunk.kind in TEXT_CHUNKS and _keyword(chunk) == keyword:
            continue
        if chunk.kind == b"IDAT" and not done:
            out.append(baked)
            done = True
        out.append(chunk.raw)
    if not done:
        raise _damaged("PNG without IDAT")
    return b"".join(out)


def unbake_png(data: bytes, keyword: str = KEYWORD) -> str | None:
    """Return the credential in a PNG, or None where it holds none.

    We write an uncompressed iTXt chunk; a compressed one, tEXt and zTXt are read too. Raises BadInput for a damaged
    file, for more than our limits, and for two credentials in one picture: readers would differ about which counts."""
    found = [chunk for chunk in _chunks(data) if chunk.kind in TEXT_CHUNKS and _keyword(chunk) == keyword]
    if len(found) > 1:
        raise BadInput(
            "two baked chunks",
            sentence=Sentence("The picture holds more than one credential, so none can be relied on."),
        )
    return _text(found[0]) if found else None


def bake_svg(svg: str, text: str) -> str:
    """Put a credential into an SVG, right after its first tag, in place of any that is there.

    A signed token goes into the attribute `verify`, JSON into a CDATA section. Raises BadInput for what is not
    well-formed SVG or has a document type."""
    seen = _read_svg(svg.encode())
    source = svg.encode()
    for start, end in reversed(seen.credentials):
        source = source[:start] + source[end:]
    # Positions behind the first tag have moved, the first tag has not: credentials stand inside it.
    tag = source[seen.root_start : seen.root_end].decode()
    tag = re.sub(r"""\s+xmlns:openbadges\s*=\s*("[^"]*"|'[^']*')""", "", tag)
    closed = tag.endswith("/>")
    opening = f'{tag[: -2 if closed else -1].rstrip()} xmlns:openbadges="{NAMESPACE}">'
    if text.lstrip().startswith("{"):
        inside = text.replace("]]>", "]]]]><![CDATA[>")
        element = f"<openbadges:credential><![CDATA[{inside}]]></openbadges:credential>"
    else:
        element = f"<openbadges:credential verify={quoteattr(text)}/>"
    before, after = source[: seen.root_start].decode(), source[seen.root_end :].decode()
    return before + opening + element + ("</svg>" if closed else "") + after


def unbake_svg(data: str | bytes, element: str = ELEMENT) -> str | None:
    """Return the credential in an SVG, or None where it holds none. Raises BadInput as `unbake_png` does."""
    seen = _read_svg(data.encode() if isinstance(data, str) else data, element)
    if len(seen.texts) > 1:
        raise BadInput(
            "two baked elements",
            sentence=Sentence("The picture holds more than one credential, so none can be relied on."),
        )
    if not seen.texts:
        return None
    return seen.texts[0].strip()


def unbake_pdf(data: bytes) -> str | None:
    """Return the credential attached to a PDF, or None where none can be found.

    Looks for attached files as our certificates hold them: streams of their own, plain or deflated. Raises BadInput for
    two of them, and for more than our limits."""
    found: list[str] = []
    at = 0
    for _ in range(MOST_ATTACHED):
        at = data.find(b"/EmbeddedFile", at + 1)
        if at < 0:
            break
        text = _attached(data, at)
        if text is not None and text.lstrip().startswith("{"):
            found.append(text)
    if len(found) > 1:
        raise BadInput(
            "two attached credentials",
            sentence=Sentence("The PDF holds more than one credential, so none can be relied on."),
        )
    return found[0] if found else None


# -- PNG --------------------------------------------------------------------------------------------------------


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Walk the chunks of a PNG up to IEND; what stands behind it is no part of the picture."""
    if len(data) > LARGEST_PICTURE:
        raise BadInput("picture too large", sentence=Sentence("The picture is larger than 20 MB."))
    if not data.startswith(PNG_SIGNATURE):
        raise _damaged("no PNG signature")
    at = len(PNG_SIGNATURE)
    for _ in range(MOST_CHUNKS):
        header = data[at : at + 8]
        if len(header) < 8:
            raise _damaged("PNG ends within a chunk")
        length = int.from_bytes(header[:4], "big")
        end = at + 12 + length
        if end > len(data):
            raise _damaged("PNG ends within a chunk")
        kind, content = header[4:], data[at + 8 : end - 4]
        if zlib.crc32(kind + content) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged(f"checksum of {kind!r} is wrong")
        yield Chunk(kind, content, data[at:end])
        if kind == b"IEND":
            return
        at = end
    raise _damaged(f"more than {MOST_CHUNKS} chunks")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _keyword(chunk: Chunk) -> str:
    return chunk.content.partition(b"\0")[0][:80].decode("latin-1")


def _text(chunk: Chunk) -> str:
    """Return a text chunk's text (PNG 3rd edition, section 11.3.3: https://www.w3.org/TR/png-3/#11textinfo)."""
    rest = chunk.content.partition(b"\0")[2]
    if chunk.kind == b"tEXt":
        raw = rest
    elif chunk.kind == b"zTXt":
        raw = _inflated(rest[1:]) if rest[:1] == b"\0" else b""
    else:
        compressed, method, tail = rest[:1], rest[1:2], rest[2:]
        _language, _, tail = tail.partition(b"\0")
        _translated, _, raw = tail.partition(b"\0")
        if compressed not in (b"\0", b"\1") or (compressed == b"\1" and method != b"\0"):
            raise _damaged("unknown compression in iTXt")
        if compressed == b"\1":
            raw = _inflated(raw)
    if len(raw) > LARGEST_TEXT:
        raise BadInput("baked text too large", sentence=Sentence("The credential in the picture is larger than 5 MB."))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _damaged("baked text is not UTF-8") from error


def _inflated(raw: bytes) -> bytes:
    """Decompress at most one byte more than may be; a megabyte of zlib can hold a gigabyte."""
    try:
        return zlib.decompressobj().decompress(raw, LARGEST_TEXT + 1)
    except zlib.error as error:
        raise _damaged("baked text does not decompress") from error


def _damaged(detail: str) -> BadInput:
    return BadInput(detail, sentence=Sentence("The picture is damaged or not complete, so it cannot be read."))


# -- PDF --------------------------------------------------------------------------------------------------------


def _attached(data: bytes, at: int) -> str | None:
    """Return the text of the stream whose dictionary holds the position `at` (ISO 32000-1, 7.3.8 and 7.11.4)."""
    begins = data.rfind(b"obj", max(0, at - LONGEST_DICTIONARY), at)
    stream = data.find(b"stream", at, at + LONGEST_DICTIONARY)
    if begins < 0 or stream < 0:
        return None
    dictionary = data[begins:stream]
    length = re.search(rb"/Length\s+(\d{1,9})(?!\s+\d+\s+R)", dictionary)
    start = stream + len(b"stream")
    start += 2 if data[start : start + 2] == b"\r\n" else 1
    if not re.search(rb"/Type\s*/EmbeddedFile\b", dictionary) or length is None:
        return None
    raw = data[start : start + int(length[1])]
    filters = re.findall(rb"/Filter\s*\[?\s*/(\w+)", dictionary)
    if filters == [b"FlateDecode"]:
        try:
            raw = zlib.decompressobj().decompress(raw, LARGEST_TEXT + 1)
        except zlib.error:
            return None
    elif filters:
        return None
    if len(raw) > LARGEST_TEXT:
        raise BadInput("attached text too large", sentence=Sentence("The credential in the PDF is larger than 5 MB."))
    try:
        return raw.decode()
    except UnicodeDecodeError:  # another kind of file
        return None


# -- SVG --------------------------------------------------------------------------------------------------------


@dataclass
class _Svg:
    """What one pass over an SVG saw: where its first tag stands, and each credential's text and place, in bytes."""

    root_start: int = -1
    root_end: int = -1
    credentials: list[tuple[int, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def _read_svg(source: bytes, wanted: str = ELEMENT) -> _Svg:
    if len(source) > LARGEST_PICTURE:
        raise BadInput("picture too large", sentence=Sentence("The picture is larger than 20 MB."))
    seen = _Svg()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    # Billions of letters, files of the server, other hosts: all need a document type. A badge needs none.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    depth = 0
    within = 0
    start = 0
    verify: str | None = None
    parts: list[str] = []

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, within, start, verify
        depth += 1
        if depth == 1:
            if name.rpartition(" ")[2] != "svg":
                raise _damaged("root element is not svg")
            seen.root_start = parser.CurrentByteIndex
            seen.root_end = _tag_end(source, seen.root_start)
        elif within:
            within += 1
        elif name == wanted:
            within, start, verify = 1, parser.CurrentByteIndex, attributes.get("verify")
            parts.clear()

    def closed(name: str) -> None:
        nonlocal depth, within
        depth -= 1
        if not within:
            return
        within -= 1
        if not within:
            end = _tag_end(source, start)
            if source[end - 2 : end] != b"/>":
                end = _tag_end(source, parser.CurrentByteIndex)  # where expat stands: on the closing tag
            seen.credentials.append((start, end))
            seen.texts.append(verify if verify else "".join(parts))

    def said(text: str) -> None:
        if within == 1:
            parts.append(text)

    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.CharacterDataHandler = said
    try:
        parser.Parse(source, True)
    except expat.ExpatError as error:
        raise BadInput(
            f"SVG is not well formed: {expat.ErrorString(error.code)}",
            sentence=Sentence("The picture is not a whole SVG file, so it cannot be read."),
        ) from error
    if any(len(text) > LARGEST_TEXT for text in seen.texts):
        raise BadInput("baked text too large", sentence=Sentence("The credential in the picture is larger than 5 MB."))
    return seen


def _refuse_doctype(*_: object) -> None:
    raise BadInput(
        "SVG has a document type or entities",
        sentence=Sentence(
            "The picture defines entities of its own. Such files are not read, because they can be made to harm."
        ),
    )


def _tag_end(source: bytes, start: int) -> int:
    """Return where the tag that begins at `start` ends: behind its first `>` outside quotes."""
    match = re.compile(rb"""<(?:[^<>"']|"[^"]*"|'[^']*')*>""").match(source, start)
    if not match:
        raise _damaged("tag does not end")
    return match.end()
