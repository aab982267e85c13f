"""Files to hand in as evidence, good and bad, and a learner's browser that hands them in."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import requests
from PIL import Image

from tests.classroom import Classroom
from tests.scene import Visitor, token_in

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def photo(kind: str = "JPEG", size: tuple[int, int] = (60, 40), turned: int = 6) -> bytes:
    """Return a picture whose notes say where it was taken, and how it is to be turned."""
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = turned, "the house of Ana"
    notes.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, kind, exif=notes.tobytes())
    return out.getvalue()


def office(*parts: str, compression: int = zipfile.ZIP_DEFLATED, content: bytes = b"<x/>") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for part in ("[Content_Types].xml", *parts):
            made.writestr(part, content)
    return out.getvalue()


def open_document(kind: str = "text") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        made.writestr("content.xml", "<x/>")
    return out.getvalue()


def address(room: Classroom) -> str:
    return f"badges/{room.badge.slug}/evidence/"


def send(
    visitor: Visitor, room: Classroom, code: str = "A", *, file: tuple[str, bytes] | None = None, **form: str
) -> requests.Response:
    """Send the form of a piece the way a browser does, with its file as a part of it."""
    sent = {"csrf": token_in(visitor.get("").text), "tag": f"sub-competency:{code}", "act": "submit", **form}
    parts: dict[str, Any] = {"file": file if file is not None else ("", b"")}
    return visitor.http.post(f"{visitor.home}{address(room)}", data=sent, files=parts, timeout=20)
