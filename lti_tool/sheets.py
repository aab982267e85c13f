"""Tables as spreadsheets write them: any of their encodings and separators in, nothing that runs as a formula out."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from lti_tool.errors import BadInput
from lti_tool.sentence import Sentence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
SEPARATORS = ",;\t"
LONGEST_CELL = 20_000


@dataclass(frozen=True)
class Line:
    """One row of a table; `number` is the line it begins at in the file, as an editor counts."""

    number: int
    cells: tuple[str, ...]


def safe_cell(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula (I19): such a cell begins with an apostrophe.

    https://owasp.org/www-community/attacks/CSV_Injection"""
    return f"'{text}" if text.startswith(FORMULA) else text


def plain_cell(text: str) -> str:
    """Return what a cell says: without the blanks around it, and without the apostrophe that made it text."""
    text = "".join(each for each in text if each == "\n" or each.isprintable() or each.isspace()).strip()
    return text[1:].strip() if text.startswith("'") and text[1:].startswith(FORMULA) else text


def is_formula(text: str) -> bool:
    """Tell whether a cell was meant to be worked out; one led by an apostrophe is text."""
    return text.strip().startswith(("=", "+", "-", "@"))


def write_csv(rows: Iterable[Iterable[str]]) -> str:
    """Return rows as CSV that a spreadsheet opens as text."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def decode(content: bytes) -> str:
    """Return the text of a file as a spreadsheet saved it; raises BadInput for what is none.

    Excel saves "Unicode text" as UTF-16 with a mark at its start, "CSV UTF-8" with one, and "CSV" in the encoding of
    the computer, for western languages Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:4]:  # no mark: the zero bytes of the first letters tell which half comes first
        encodings = ["utf-16-be" if content[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if any(unicodedata.category(each) == "Cc" and each not in "\t\r\n\x0b" for each in text[:2000]):
            break
        return text.removeprefix("\ufeff")
    raise BadInput(
        sentence=Sentence("This is not a table of text."),
        what_to_do=Sentence("In your spreadsheet, save the sheet as CSV and send that file."),
    )


def read(content: bytes) -> list[Line]:
    """Return the rows of a table, empty ones left out; raises BadInput for a file that is none."""
    text = decode(content)
    skipped = 0
    separator = ""
    first, _rest, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip("\r")) == 5:  # how Excel is told the separator
        separator, text, skipped = first.strip("\r")[4], rest, 1
    separator = separator or _separator(text)
    rows: list[Line] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    begins = 1 + skipped
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Line(begins, tuple(cell[:LONGEST_CELL] for cell in cells)))
            begins = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise BadInput(
            f"csv: {error}",
            sentence=Sentence("Line %(line)s of this file cannot be read as a line of a table.", line=begins),
            what_to_do=Sentence("Save the sheet as CSV once more and send it again."),
        ) from None
    return rows


def _separator(text: str) -> str:
    """Return what separates the cells: what stands most often in the first line, outside quotes."""
    line = next((each for each in text.splitlines() if each.strip()), "")
    outside = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=lambda each: (outside.count(each), -SEPARATORS.index(each)))


def key(text: str) -> str:
    """Return a text as people compare it: whatever its case, its composition and the blanks in it."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def unmarked(text: str) -> str:
    """Return a text as `key` does, without accents: "Correo electrónico" and "correo electronico" are one."""
    parts = unicodedata.normalize("NFD", key(text))
    return "".join(each for each in parts if not unicodedata.combining(each))
