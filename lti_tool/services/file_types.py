"""What a file is, told by its content. Its name is only asked whether it says the same."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

import puremagic

from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

DOCUMENT, TEXT, PICTURE, SOUND, VIDEO = (
    Sentence("documents"),
    Sentence("plain text"),
    Sentence("pictures"),
    Sentence("sound"),
    Sentence("video"),
)
MARKUP = re.compile(r"\s*<\s*(!doctype|html|head|body|script|svg|\?xml|iframe|xsl)", re.IGNORECASE)
OBJECT = re.compile(r"\s*\{\s*[\"}]")  # how a JSON object begins; reading all of one could take any amount of memory
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
LARGEST_LIST = 2_000_000  # bytes of the list of contents at the end of an Office file; a large deck has 60,000
OPEN_DOCUMENT = b"application/vnd.oasis.opendocument."


@dataclass(frozen=True)
class FileType:
    """A kind of file that can be taken. `endings` are those of its names, the usual one first.

    `signs` are endings that puremagic gives its content, `marks` what begins it besides, at which place. `within` is
    the part that makes an Office file one of this kind."""

    name: str
    group: Sentence
    words: Sentence
    media: str
    endings: tuple[str, ...]
    signs: frozenset[str] = frozenset()
    marks: tuple[tuple[int, bytes], ...] = ()
    within: str = ""


def _type(
    name: str, group: Sentence, words: Sentence, media: str, signs: str = "", more: str = "", **others: Any
) -> FileType:
    return FileType(name, group, words, media, (name, *more.split()), frozenset((signs or name).split()), **others)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_TYPES = (
    _type("pdf", DOCUMENT, Sentence("PDF document"), "application/pdf"),
    _type(
        "docx",
        DOCUMENT,
        Sentence("Word document"),
        f"{_OFFICE}wordprocessingml.document",
        within="word/document.xml",
    ),
    _type(
        "xlsx",
        DOCUMENT,
        Sentence("Excel workbook"),
        f"{_OFFICE}spreadsheetml.sheet",
        within="xl/workbook.xml",
    ),
    _type(
        "pptx",
        DOCUMENT,
        Sentence("PowerPoint slides"),
        f"{_OFFICE}presentationml.presentation",
        within="ppt/presentation.xml",
    ),
    _type("odt", DOCUMENT, Sentence("OpenDocument text"), f"{OPEN_DOCUMENT.decode()}text"),
    _type("ods", DOCUMENT, Sentence("OpenDocument spreadsheet"), f"{OPEN_DOCUMENT.decode()}spreadsheet"),
    _type("odp", DOCUMENT, Sentence("OpenDocument slides"), f"{OPEN_DOCUMENT.decode()}presentation"),
    _type("doc", DOCUMENT, Sentence("old Word document"), "application/msword"),
    _type("xls", DOCUMENT, Sentence("old Excel workbook"), "application/vnd.ms-excel", "xls doc"),
    _type("ppt", DOCUMENT, Sentence("old PowerPoint slides"), "application/vnd.ms-powerpoint", "ppt doc"),
    _type("txt", TEXT, Sentence("plain text"), "text/plain"),
    _type("md", TEXT, Sentence("plain text"), "text/plain", more="markdown"),
    _type("csv", TEXT, Sentence("CSV table"), "text/csv"),
    _type("jpg", PICTURE, Sentence("JPEG picture"), "image/jpeg", "jpg jpeg jpe jfif", "jpeg jpe jfif"),
    _type("png", PICTURE, Sentence("PNG picture"), "image/png"),
    _type("webp", PICTURE, Sentence("WebP picture"), "image/webp"),
    _type("gif", PICTURE, Sentence("GIF picture"), "image/gif"),
    _type(
        "mp3",
        SOUND,
        Sentence("MP3 recording"),
        "audio/mpeg",
        "mp3 mpga",
        marks=tuple((0, bytes((0xFF, second))) for second in (0xFA, 0xFB, 0xF2, 0xF3, 0xE2, 0xE3)),
    ),
    _type("m4a", SOUND, Sentence("MPEG-4 recording"), "audio/mp4", "m4a f4a"),
    _type("wav", SOUND, Sentence("WAV recording"), "audio/wav"),
    _type("ogg", SOUND, Sentence("Ogg recording"), "audio/ogg", "ogg oga opus", "oga opus"),
    _type("flac", SOUND, Sentence("FLAC recording"), "audio/flac"),
    # The brand after `ftyp` has many spellings, of which puremagic knows the usual ones.
    _type("mp4", VIDEO, Sentence("MP4 video"), "video/mp4", "mp4 m4v", "m4v", marks=((4, b"ftyp"),)),
    _type("mov", VIDEO, Sentence("QuickTime video"), "video/quicktime", marks=((4, b"ftypqt"),)),
    _type("webm", VIDEO, Sentence("WebM video"), "video/webm"),
)
TYPES = {each.name: each for each in _TYPES}
_BY_ENDING = {ending: each for each in _TYPES for ending in each.endings}
PHOTOS = ("jpg", "png", "webp")  # whose hidden notes are taken out
PICTURES = (*PHOTOS, "gif")  # that can be looked at as a small picture
OLE = frozenset(("doc", "xls", "ppt"))


def allowed(setting: str) -> tuple[FileType, ...]:
    """Return the kinds of `evidence.types`, in the order of the table."""
    wanted = set(setting.split())
    return tuple(each for each in _TYPES if each.name in wanted)


def groups(types: Iterable[FileType]) -> list[tuple[Sentence, str]]:
    """Return what is taken, in words for people: "documents", and the endings of their names."""
    found: dict[Sentence, list[str]] = {}
    for each in types:
        found.setdefault(each.group, []).append(each.endings[0])
    return [(group, ", ".join(endings)) for group, endings in found.items()]


def accept(types: Iterable[FileType]) -> str:
    """Return what a file field says it takes. Phones turn their photos into JPEG where that is in it."""
    return ",".join(f".{ending}" for each in types for ending in each.endings)


def type_of(file: IO[bytes], name: str, taken: tuple[FileType, ...]) -> FileType:
    """Return what a file is; raises BadInput where it is nothing that is taken, or not what its name says."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    called = _BY_ENDING.get(ending)
    if called is None or called not in taken:
        raise BadInput(
            f"a file of another ending: {ending[:12]}",
            sentence=Sentence("Files that end in .%(ending)s are not taken.", ending=ending[:20])
            if ending
            else Sentence("The file's name has no ending that says what it is."),
            what_to_do=Sentence(
                "Taken are files that end in: %(endings)s.", endings=", ".join(each.endings[0] for each in taken)
            ),
        )
    if called.group == TEXT:
        _check_text(file, name)
        return called
    signs = _signs(file)
    if not _is(file, called, signs):
        other = next((each for each in _TYPES if each.group != TEXT and _is(file, each, signs)), None)
        raise _contradicts(name, called, other, signs)
    return called


def _signs(file: IO[bytes]) -> frozenset[str]:
    file.seek(0)
    try:
        found = puremagic.magic_stream(file)
    except puremagic.PureError:
        return frozenset()
    return frozenset(each.extension.lstrip(".") for each in found)


def _is(file: IO[bytes], one: FileType, signs: frozenset[str]) -> bool:
    if one.within:
        return one.name in signs and one.within in _contents(file)
    if one.media.encode().startswith(OPEN_DOCUMENT):
        # Its first part is this text, as it is: OpenDocument 1.3, part 2, 3.3
        first = b"mimetype" + one.media.encode() + b"PK"
        return _at(file, 30, len(first)) == first
    if one.signs & signs:
        return True
    return any(_at(file, place, len(mark)) == mark for place, mark in one.marks)


def _at(file: IO[bytes], place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


class _Short:
    """A file of which no long piece is read at once: a list of contents is as long as whoever wrote it liked."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, length: int = -1) -> bytes:
        found = self._file.read(length if 0 <= length <= LARGEST_LIST else LARGEST_LIST + 1)
        if len(found) > LARGEST_LIST:
            raise zipfile.BadZipFile("a list of contents that is too long")
        return found

    def seekable(self) -> bool:
        return True


def _contents(file: IO[bytes]) -> frozenset[str]:
    """Return the names of a ZIP file's parts, from the list at its end. Nothing is ever unpacked.

    One with macros is none of the kinds we take: what they are called in an Office file of each kind ends so."""
    file.seek(0)
    try:
        with zipfile.ZipFile(_Short(file)) as opened:
            names = frozenset(opened.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        return frozenset()
    return frozenset() if any(each.lower().endswith("vbaproject.bin") for each in names) else names


def _check_text(file: IO[bytes], name: str) -> None:
    """Raise BadInput for what is no text, or what is a page to a browser or a word of this server to a program.

    Whoever checks a credential reads keys, lists of keys and hosted badges (Open Badges 2.0) as JSON from the issuer's
    host, and a file that a learner shows is on that host."""
    file.seek(0)
    content = file.read()
    text = None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = _decoded(content, "utf-16")
    elif (text := _decoded(content, "utf-8-sig")) is None:
        text = _decoded(content, "cp1252")
    if text is None or NO_TEXT.search(text):
        raise BadInput(
            "a text that is none",
            sentence=Sentence("“%(file)s” is called plain text, but there is something else in it.", file=name),
            what_to_do=Sentence("Choose another file, or give it the name it had."),
        )
    if MARKUP.match(text):
        raise BadInput(
            "a text that is markup",
            sentence=Sentence("“%(file)s” is called plain text, but it is a web page or a drawing.", file=name),
            what_to_do=Sentence("Save it as PDF, and choose that."),
        )
    if OBJECT.match(text) and text.rstrip().endswith("}"):
        raise BadInput(
            "a text that is a JSON object",
            sentence=Sentence("“%(file)s” is called plain text, but it is data for programs (JSON).", file=name),
            what_to_do=Sentence("Save it as PDF, and choose that."),
        )


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _contradicts(name: str, called: FileType, other: FileType | None, signs: frozenset[str]) -> BadInput:
    what_to_do = Sentence("Give it the name it had, or choose another file.")
    if called.within and signs & OLE:
        sentence = Sentence("“%(file)s” is locked with a password, so nobody could look at it.", file=name)
        what_to_do = Sentence("Save it without a password, and choose that.")
    elif other is not None:
        sentence = Sentence(
            "The name of “%(file)s” says %(called)s, but its content says %(other)s.",
            file=name,
            called=called.words,
            other=other.words,
        )
    elif called.within and called.name in signs:
        sentence = Sentence("“%(file)s” holds macros, or nothing that its name says.", file=name)
        what_to_do = Sentence("Save it again without macros, or as PDF, and choose that.")
    else:
        sentence = Sentence(
            "The name of “%(file)s” says %(called)s, but its content was not recognised as that.",
            file=name,
            called=called.words,
        )
        what_to_do = Sentence("It may be damaged or renamed. Open and save it again, then choose that.")
    detail = f"called {called.name}, and is {other.name if other else 'unknown'}"
    return BadInput(detail, sentence=sentence, what_to_do=what_to_do)
