"""Files that learners hand in: how they come in, where they lie, who is given them, and when they go.

The bytes lie below `evidence.dir`, under random names, each readable by the tool alone. A file is there before its row
is committed; one whose row does not come, or is gone, is swept up."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import tempfile
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import random_id
from lti_tool.errors import BadInput, Busy, DiskFull, NotFound
from lti_tool.models import Award, CourseBadge, Edition, Evidence, EvidenceFile, Person
from lti_tool.sentence import Number, Sentence
from lti_tool.services import audit, file_types, photo_metadata
from lti_tool.services.file_types import FileType
from lti_tool.services.journal import NO_ROOM
from lti_tool.services.tool import Tool, log
from lti_tool.services.typeset import Typeset

CHUNK = 1 << 20
LONGEST_NAME = 120  # characters, the ending included
LONGEST_ENDING = 12
PART, UNCLAIMED = ".part-", ".unclaimed"
PART_LASTS = timedelta(days=1)
UNCLAIMED_LASTS = timedelta(days=7)  # long enough to notice that the wrong backup was put back
SWEPT_EVERY = timedelta(hours=1)
NOT_IN_A_NAME = re.compile(r'[\\/:*?"<>|]+')
SMALL = (640, 640)  # pixels a small picture fits into
# Pixels of a picture that is made small. A JPEG is read at a fraction of its size; a WebP of 60 million is 2 kB as a
# file and takes 1.2 GB to read (seen), so one is read at a time.
MOST_PIXELS = {"jpg": 60_000_000}
MOST_PIXELS_ELSE = 25_000_000
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
small_pictures = Typeset(at_a_time=1)


# -- coming in --------------------------------------------------------------------------------------------------


class Incoming(io.RawIOBase):
    """A file as it comes in, written beside where it will lie.

    What goes beyond `most` bytes, and what finds no room, is let go and remembered: the rest of the form is read
    whole, so that nothing that was typed is lost."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__()
        self.folder, self.most = folder, most
        self.size = 0
        self.trouble: OSError | None = None
        self.file: io.BufferedRandom | None = None
        self.path: Path | None = None

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.size += len(data)
        if self.trouble is None and self.size <= self.most and data:
            try:
                self._opened().write(data)
            except OSError as error:
                self.trouble = error
                self.let_go()
        elif self.size > self.most:
            self.let_go()
        return len(data)

    def _opened(self) -> io.BufferedRandom:
        if self.file is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=PART, dir=self.folder)  # 0600
            self.path, self.file = Path(name), os.fdopen(handle, "w+b")
        return self.file

    def read(self, size: int = -1) -> bytes:
        return b"" if self.file is None else self.file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return 0 if self.file is None else self.file.seek(place, whence)

    def tell(self) -> int:
        return 0 if self.file is None else self.file.tell()

    def let_go(self) -> None:
        """Remove what was written; once it lies where it belongs, nothing is left to remove."""
        if self.file is not None:
            with suppress(OSError):  # a full disk takes not even the rest of the buffer
                self.file.close()
            self.file = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None

    def close(self) -> None:
        self.let_go()
        super().close()


@dataclass(frozen=True)
class Stored:
    """A file that lies where it belongs; a row is still to say so."""

    name: str
    type: FileType
    size: int
    digest: str
    cleaned: bool
    place: str


def clean_name(name: str) -> str:
    """Return what a file was called, as one name that any system can keep: no folders, no control characters."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(each for each in unicodedata.normalize("NFC", name) if unicodedata.category(each)[0] != "C")
    name = " ".join(NOT_IN_A_NAME.sub(" ", name).split()).rstrip(". ")
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > LONGEST_ENDING:
        return name[:LONGEST_NAME] or "file"
    return f"{stem[: LONGEST_NAME - len(ending) - 1].strip('. ') or 'file'}.{ending}"


@contextmanager
def storing(tool: Tool, incoming: Incoming, name: str) -> Iterator[Stored]:
    """Put a file where it belongs, let the block write its row, and take it away again if that does not come about.

    Raises BadInput for a file that is not taken, with the reason, and DiskFull where there is no room."""
    settings = tool.settings.evidence
    called = clean_name(name)
    _check_size(incoming, settings.largest_file)
    taken = file_types.allowed(settings.types)
    try:
        file = incoming._opened()
        file.flush()
        kind = file_types.type_of(file, called, taken)
        if kind.name in file_types.PHOTOS:
            file.seek(0)
            content = photo_metadata.without_notes(kind.name, file.read())
            file.seek(0)
            file.truncate()
            file.write(content)
        stored = _put(tool.settings.evidence_folder, incoming, called, kind)
    except OSError as error:
        raise no_room(error) from error
    finally:
        incoming.let_go()
    try:
        yield stored
    except BaseException:
        remove(tool, [stored.place])
        raise


def _check_size(incoming: Incoming, most: int) -> None:
    if incoming.size > most:
        raise BadInput(
            "a file that is too large",
            status=413,
            sentence=Sentence(
                "This file has %(size)s, and one file may have %(most)s.",
                size=size_words(incoming.size),
                most=size_words(most),
            ),
            what_to_do=Sentence("Make it smaller, or put it where others can open it and hand in its link."),
        )
    if incoming.trouble is not None:
        raise no_room(incoming.trouble)
    if not incoming.size:
        raise BadInput(
            sentence=Sentence("This file is empty."),
            what_to_do=Sentence("Look whether it was saved, then choose it again."),
        )


def _put(folder: Path, incoming: Incoming, name: str, kind: FileType) -> Stored:
    file = incoming._opened()
    assert incoming.path is not None
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.seek(0, os.SEEK_END)
    ident = random_id()
    place = f"{ident[:2]}/{ident}"
    (folder / place).parent.mkdir(mode=0o700, exist_ok=True)
    incoming.path.replace(folder / place)
    incoming.path = None
    return Stored(name, kind, size, digest, kind.name in file_types.PHOTOS, place)


def no_room(error: OSError) -> Exception:
    """Return what a page says of a file that could not be written."""
    log.error("a file of evidence could not be written: %s", errno.errorcode.get(error.errno or 0, "unknown"))
    full = error.errno in NO_ROOM
    return DiskFull(
        f"a file of evidence: {error.strerror}",
        sentence=Sentence("There is no room here for this file at the moment, so it was not kept.")
        if full
        else Sentence("Files cannot be kept here at the moment, so it was not kept."),
        what_to_do=Sentence("Your words are still below. Save them without it, and add the file later."),
    )


def size_words(size: int) -> str:
    """Write a size as people say it: 340 kB, 2.5 MB."""
    if size < 1000:
        return Sentence("%(number)s bytes", number=str(size))
    if size < 1_000_000:
        return Sentence("%(number)s kB", number=str(round(size / 1000)))
    number = f"{size / 1_000_000:.1f}".removesuffix(".0")
    return Sentence("%(number)s MB", number=Number(number))


def used_by(session: Session, person_id: str) -> int:
    """Return how many bytes a learner's own files take."""
    query = select(func.sum(EvidenceFile.size)).join(Evidence)
    mine = Evidence.person_id == person_id, Evidence.created_by == audit.person(person_id)
    return int(session.scalar(query.where(*mine, EvidenceFile.place.is_not(None))) or 0)


def check_total(tool: Tool, session: Session, person_id: str, size: int, instead: int = 0) -> None:
    """Raise BadInput where a learner's files would come to more than the setting allows.

    `instead` is the size of one that goes. Two at once wait for each other."""
    session.get(Person, person_id, with_for_update={"key_share": True})
    most, used = tool.settings.evidence.largest_total, used_by(session, person_id) - instead
    if used + size > most:
        raise BadInput(
            "more than a learner's files may be",
            status=413,
            sentence=Sentence(
                "All your files together may have %(most)s, and with this one they would have %(size)s.",
                most=size_words(most),
                size=size_words(used + size),
            ),
            what_to_do=Sentence("Withdraw one that you no longer need, or hand in a link instead."),
        )


# -- going out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """A file for whoever may have it."""

    path: Path
    name: str
    media: str
    digest: str
    kind: str


def of_person(tool: Tool, course_id: int, slug: str, person_id: str, evidence_id: str, *, draft: bool) -> Given:
    """Return the file of a piece of a learner's evidence in a badge; raises NotFound.

    `draft`: one that was not handed in too, which is her own to see. One that was withdrawn is nobody's."""
    query = (
        select(Evidence)
        .join(CourseBadge, CourseBadge.id == Evidence.course_badge_id)
        .where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
        .where(Evidence.id == evidence_id, Evidence.person_id == person_id)
    )
    with tool.db.read() as session:
        row = session.scalar(query)
        if row is None or row.file is None or (row.submitted_at is None and not draft):
            raise NotFound(f"no file of {evidence_id[:40]}")
        if not is_kept(session, row):
            raise NotFound(f"{row.id} was withdrawn")
        return _given(tool, row, row.file)


def is_kept(session: Session, row: Evidence) -> bool:
    """Tell whether a piece is in force, or is an earlier version of one that is."""
    if row.withdrawn_at is None:
        return True
    query = select(Evidence).where(Evidence.replaces_id == row.id, Evidence.submitted_at.is_not(None))
    newer = session.scalar(query)
    return newer is not None and is_kept(session, newer)


def of_everybody(tool: Tool, public_id: str) -> Given:
    """Return a file that its learner shows in a public credential; raises NotFound for any other, all alike (I24)."""
    query = select(EvidenceFile).where(EvidenceFile.public_id == public_id).options(joinedload(EvidenceFile.evidence))
    with tool.db.read() as session:
        file = session.scalar(query)
        ident = file.evidence_id if file is not None else ""
        badge_id, person_id = (file.evidence.course_badge_id, file.evidence.person_id) if file is not None else ("", "")
        earner = (Award.person_id == person_id) | (Award.earned_as_id == person_id)
        public = select(Award).where(Award.course_badge_id == badge_id, earner, Award.page_public)
        for award in session.scalars(public):
            if file is not None and ident in shown_by(session, award) and is_kept(session, file.evidence):
                return _given(tool, file.evidence, file)
    raise NotFound("no public file")


def of_shared(tool: Tool, award_id: str, evidence_id: str) -> Given:
    """Return the file of a piece that an award's newest credential shows, public or not; raises NotFound.

    For whoever has a link of its learner's that shows her evidence: that is for the caller to ask."""
    query = select(EvidenceFile).where(EvidenceFile.evidence_id == evidence_id)
    with tool.db.read() as session:
        file = session.scalar(query.options(joinedload(EvidenceFile.evidence)))
        award = session.get(Award, award_id)
        chosen = shown_by(session, award) if award is not None else frozenset()
        if file is not None and evidence_id in chosen and is_kept(session, file.evidence):
            return _given(tool, file.evidence, file)
    raise NotFound("no file of a piece that is shared")


def shown_by(session: Session, award: Award) -> frozenset[str]:
    """Return the ids of the evidence that an award's newest edition shows."""
    newest = select(Edition.choices).where(Edition.award_id == award.id).order_by(Edition.number.desc()).limit(1)
    chosen = session.scalar(newest) or {}
    return frozenset(each.get("id", "") for each in chosen.get("evidence", ()))


def there(session: Session, evidence_ids: Collection[str]) -> frozenset[str]:
    """Return those of some pieces whose files are kept."""
    if not evidence_ids:
        return frozenset()
    query = select(EvidenceFile.evidence_id).where(EvidenceFile.evidence_id.in_(evidence_ids))
    return frozenset(session.scalars(query.where(EvidenceFile.place.is_not(None))))


def _given(tool: Tool, row: Evidence, file: EvidenceFile) -> Given:
    path = tool.settings.evidence_folder / file.place if file.place else None
    if path is None or not path.is_file():
        raise NotFound(
            f"the file of {row.id} is gone",
            sentence=Sentence("This file is not here any more."),
            what_to_do=Sentence("Whoever handed it in may still have it."),
        )
    kind = file_types.TYPES.get(file.type)
    return Given(path, row.content, kind.media if kind else "application/octet-stream", file.digest, file.type)


def small_picture(given: Given) -> bytes:
    """Return a picture made small, as a PNG of our own making; raises NotFound for what is none, or too large to try.

    What whoever sent it put beside the pixels does not come along. Raises Busy where others are waiting already."""
    if given.kind not in file_types.PICTURES:
        raise NotFound("no picture")
    key = (given.kind, given.digest)
    busy = Busy(
        "pictures are being made small",
        reason="pictures_busy",
        sentence=Sentence("Other pictures are being made at this moment."),
    )
    return small_pictures.get(key) or small_pictures.made(key, partial(_small_picture, given), busy)


def _small_picture(given: Given) -> bytes:
    try:
        with Image.open(given.path, formats=PICTURE_FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS.get(given.kind, MOST_PIXELS_ELSE):
                raise NotFound("a picture of too many pixels")
            opened.draft("RGB", SMALL)  # a JPEG is read at a fraction of its size
            turned = opened.getexif().get(photo_metadata.ORIENTATION, 1)
            picture = opened.convert("RGBA" if "A" in opened.getbands() or "transparency" in opened.info else "RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError, SyntaxError) as error:
        raise NotFound(f"a picture that cannot be read: {type(error).__name__}") from error
    if (move := _TURNS.get(turned)) is not None:
        picture = picture.transpose(move)
    picture.thumbnail(SMALL)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# -- what others ask for ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeptFile:
    """A file as it is kept of a person: `path` is None where its bytes are gone."""

    evidence_id: str
    name: str
    type: str
    size: int
    digest: str
    path: Path | None


def kept_of(tool: Tool, session: Session, person_id: str) -> tuple[KeptFile, ...]:
    """Return every file that a person handed in or keeps as a draft, oldest first."""
    query = select(EvidenceFile).join(Evidence).where(Evidence.person_id == person_id)
    rows = session.scalars(query.options(joinedload(EvidenceFile.evidence)).order_by(EvidenceFile.stored_at))
    found = []
    for row in rows:
        path = tool.settings.evidence_folder / row.place if row.place else None
        there = path if path is not None and path.is_file() else None
        found.append(KeptFile(row.evidence_id, row.evidence.content, row.type, row.size, row.digest, there))
    return tuple(found)


def delete(tool: Tool, evidence_ids: Collection[str], now: datetime) -> int:
    """Delete pieces of evidence for good, rows and files, whoever's they are; returns how many there were.

    Whoever asks says so in the audit log, which has no names: here it is what was done, not why."""
    ids = list(evidence_ids)
    with tool.db.write() as session:
        places = _places(session, ids)
        session.execute(delete_rows(EvidenceFile).where(EvidenceFile.evidence_id.in_(ids)))
        session.execute(update(Evidence).where(Evidence.replaces_id.in_(ids)).values(replaces_id=None))
        found = session.scalars(delete_rows(Evidence).where(Evidence.id.in_(ids)).returning(Evidence.id)).all()
    remove(tool, places)
    log.info("evidence deleted pieces=%s files=%s", len(found), len(places))
    return len(found)


def _places(session: Session, evidence_ids: Collection[str]) -> list[str]:
    query = select(EvidenceFile.place).where(EvidenceFile.evidence_id.in_(evidence_ids))
    return [place for place in session.scalars(query) if place]


def forget(session: Session, evidence_ids: Collection[str]) -> list[str]:
    """Note that the bytes of files go; returns their places, for `remove` once that is committed."""
    places = _places(session, evidence_ids)
    gone = update(EvidenceFile).where(EvidenceFile.evidence_id.in_(evidence_ids)).values(place=None)
    session.execute(gone.execution_options(synchronize_session="fetch"))
    return places


def remove(tool: Tool, places: Collection[str]) -> None:
    """Remove files. One that cannot be removed now has no row any more, and is swept up later."""
    for place in places:
        try:
            (tool.settings.evidence_folder / place).unlink(missing_ok=True)
        except OSError as error:
            log.warning("a file of evidence could not be removed: %s", error.strerror)


# -- sweeping ---------------------------------------------------------------------------------------------------


def sweep(tool: Tool, now: datetime, *, at_once: bool = False) -> int:
    """Remove files that no row names, and pieces of uploads that broke off; returns how many went.

    A file without a row is first put aside for a week, and taken back should its row turn up again: a backup may have
    been put back that was the wrong one. At most once an hour, as it looks at every file there is."""
    if not at_once and tool.evidence_swept is not None and now - tool.evidence_swept < SWEPT_EVERY:
        return 0
    tool.evidence_swept = now
    folder = tool.settings.evidence_folder
    if not folder.is_dir():
        return 0
    there = [path for path in (*folder.glob(f"{PART}*"), *folder.glob("??/*")) if path.is_file()]
    with tool.db.read() as session:  # after the look: a file whose row came meanwhile has it now
        named = {place for place in session.scalars(select(EvidenceFile.place)) if place}
    gone = 0
    for path in there:
        with suppress(OSError):  # another worker was here first
            gone += _sweep_one(path, path.relative_to(folder).as_posix(), named, now)
    return gone


def _sweep_one(path: Path, place: str, named: Collection[str], now: datetime) -> int:
    since = now.timestamp() - path.stat().st_mtime
    if place.startswith(PART):
        if since < PART_LASTS.total_seconds():
            return 0
    elif place.endswith(UNCLAIMED):
        own = place.removesuffix(UNCLAIMED)
        if own in named:
            path.rename(path.with_name(path.name.removesuffix(UNCLAIMED)))
            return 0
        if since < UNCLAIMED_LASTS.total_seconds():
            return 0
    else:
        if place not in named and since > PART_LASTS.total_seconds():  # a row may still be on its way
            aside = path.rename(path.with_name(path.name + UNCLAIMED))
            os.utime(aside, (now.timestamp(), now.timestamp()))
        return 0
    path.unlink()
    return 1


def check_folder(tool: Tool) -> tuple[bool, str]:
    """Tell whether files can be kept, for doctor."""
    folder = tool.settings.evidence_folder
    if not tool.settings.evidence.types.split():
        return True, "no files are taken: evidence.types is empty"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=PART, dir=folder) as file:
            file.write(b"?")
            file.flush()
        mode = folder.stat().st_mode & 0o077
    except OSError as error:
        return False, f"{folder} cannot be written: {error.strerror}. Let the tool write there, or set evidence.dir"
    if mode:
        return False, f"others can look into {folder}: chmod 0700 it"
    return True, f"{folder} can be written; copy it with every backup of the database"
