"""The journal of revocations: a file beside the database, to which a withdrawal is written before it counts.

A database can be put back to an earlier day, and a withdrawal must not: so it stands here too. One JSON object a line,
only ever added to (a line whose transaction was refused is cut off again before anybody else can add one):

    {"journal": 1, "issuer": "did:web:…"}                                             the first line
    {"at": …, "edition": …, "award": …, "person": …, "badge": …, "version": …, "scope": …, "list": 3, "index": 74105,
     "why": "revoked", "reason": …}                                                    a status bit that was set
    {"at": …, "list": 3, "used": 1200}                                                 places given in a list so far
    {"at": …, "erased": …, "platform": 1, "known": …}                                  a person, by her id here
    {"at": …, "returned": …}                                                           she has come back since

`why` is revoked (the award was taken back), held (its award is held back), superseded (by another award of the same
person) or replaced (by a newer edition). The lock that a writer holds lasts until its transaction has ended, so whoever
reads meets no line of one that is still open."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from lti_tool.errors import ConfigurationError, DiskFull
from lti_tool.models import Award, Edition

FORMAT = 1
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
WITHDRAWAL = ("at", "edition", "award", "list", "index", "why", "reason")

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """What a journal holds: withdrawals in their order, each edition's once, and how far each list is used."""

    issuer: str = ""
    withdrawals: tuple[dict[str, Any], ...] = ()
    used: Mapping[int, int] = field(default_factory=dict)  # by list: the most places known to have been given
    erased: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # by person: as the line has it
    returned: Mapping[str, str] = field(default_factory=dict)  # by person: when she came back
    unreadable: int = 0  # lines that a crash broke off: their transactions never ended

    @property
    def lists(self) -> set[int]:
        return {*self.used, *(line["list"] for line in self.withdrawals)}


@dataclass(frozen=True)
class Journal:
    """The file at `path`. Every function opens it anew: nothing of it is kept between two."""

    path: Path

    def check(self) -> None:
        """Raise ConfigurationError where the file cannot be written; one that is not there yet is made."""
        with self._opened(fcntl.LOCK_SH):
            pass

    @contextmanager
    def around(self, issuer: str, lines: Sequence[Line]) -> Iterator[None]:
        """Add lines, wait until the disk has the withdrawals among them, then let the block end its transaction.

        Raises DiskFull, and leaves the file as it was, where there is no room. An exception of the block takes the
        lines out again: its transaction was refused. One that leaves open whether it was committed keeps them, for a
        withdrawal too many can be seen and mended, and one too few cannot."""
        with self._opened(fcntl.LOCK_EX) as file:
            before = os.fstat(file).st_size
            try:
                self._add(file, before, issuer, lines)
            except OSError as error:
                os.ftruncate(file, before)
                raise self._trouble(error) from error
            try:
                yield
            except Exception as error:
                if not getattr(error, "connection_invalidated", False):
                    os.ftruncate(file, before)
                raise

    def add(self, issuer: str, lines: Sequence[Line]) -> None:
        """Add lines about what has been committed before."""
        with self.around(issuer, lines):
            pass

    def read(self) -> Written:
        """Return what stands in the file; nothing where it is not there. Raises ConfigurationError."""
        try:
            with self.path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                content = file.read()
        except FileNotFoundError:
            return Written()
        except OSError as error:
            raise self._trouble(error) from error
        return parse(content)

    def blank(self, awards: AbstractSet[str], editions: AbstractSet[str]) -> int:
        """Take what people wrote as reasons out of the lines of these awards and editions; returns of how many lines.

        In place, each line as long as it was: readers and writers keep the file they have open."""
        if not self.path.exists():
            return 0
        done = 0
        with self._opened(fcntl.LOCK_EX) as file:
            content, start = os.pread(file, os.fstat(file).st_size, 0), 0
            for raw in content.split(b"\n"):
                if (new := _blanked(raw, awards, editions)) is not None:
                    # Not through `file`: it only ever adds.
                    with self.path.open("r+b", buffering=0) as other:
                        os.pwrite(other.fileno(), new, start)
                    done += 1
                start += len(raw) + 1
            if done:
                os.fsync(file)
        return done

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @contextmanager
    def _opened(self, lock: int) -> Iterator[int]:
        try:
            is_new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._trouble(error) from error
        try:
            if is_new:
                _sync_folder(self.path.parent)
            fcntl.flock(file, lock)
            yield file
        finally:
            os.close(file)  # and with it the lock

    def _add(self, file: int, before: int, issuer: str, lines: Sequence[Line]) -> None:
        text = "".join(_text(line) for line in lines)
        if not before:
            text = _text({"journal": FORMAT, "issuer": issuer}) + text
        elif os.pread(file, 1, before - 1) != b"\n":  # a crash broke a line off
            text = "\n" + text
        content = text.encode()
        if os.write(file, content) < len(content):  # one call: lines of others never stand within
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if any(("why" in line or "erased" in line or "returned" in line) for line in lines):
            os.fsync(file)

    def _trouble(self, error: OSError) -> Exception:
        if error.errno in NO_ROOM:
            return DiskFull(f"the journal of revocations: {error.strerror}")
        return ConfigurationError(
            f"The journal of revocations {self.path} cannot be used: {error.strerror}. Let the tool write there, or "
            "name another file in database.revocations"
        )


def parse(content: bytes) -> Written:
    """Read a journal's content."""
    issuer, unreadable = "", 0
    withdrawals: dict[str, dict[str, Any]] = {}
    used: dict[int, int] = {}
    erased: dict[str, dict[str, Any]] = {}
    returned: dict[str, str] = {}
    for raw in content.split(b"\n"):
        if not raw:
            continue
        try:
            line = json.loads(raw)
            if "journal" in line:
                issuer = str(line["issuer"])
            elif "used" in line:
                number = int(line["list"])
                used[number] = max(int(line["used"]), used.get(number, 0))
            elif "erased" in line:
                erased[str(line["erased"])] = {**line, "platform": int(line["platform"]), "known": str(line["known"])}
            elif "returned" in line:
                returned[str(line["returned"])] = str(line["at"])
            else:
                whole = {**line, "list": int(line["list"]), "index": int(line["index"])}
                withdrawals.setdefault(str(line["edition"]), {name: whole[name] for name in WITHDRAWAL} | whole)
        except (ValueError, TypeError, KeyError):
            unreadable += 1
    return Written(issuer, tuple(withdrawals.values()), used, erased, returned, unreadable)


# -- what a transaction will have written ------------------------------------------------------------------------

WHY = {"revoked": "revoked", "held": "held", "superseded": "superseded"}  # by the award's status; else it was replaced


def withdrawal(award: Award, edition: Edition) -> Line:
    """Return the line of an edition that is withdrawn; why is what its award has come to."""
    why = WHY.get(award.status, "replaced")
    reasons = {"revoked": award.revocation_reason, "held": award.held_reason}
    return {
        "at": edition.withdrawn_at.isoformat() if edition.withdrawn_at else None,
        "edition": edition.id,
        "award": award.id,
        "person": award.person_id,
        "badge": award.course_badge_id,
        "version": award.version_id,
        "scope": award.scope,
        "list": edition.status_list_id,
        "index": edition.status_index,
        "why": why,
        "reason": reasons.get(why) or "",
    }


def other_withdrawal(row: Any, reason: str) -> Line:
    """Return the line of something else that holds a place in a status list, see services.places."""
    return {
        "at": row.withdrawn_at.isoformat() if row.withdrawn_at else None,
        "edition": row.id,
        "award": "",
        "list": row.status_list_id,
        "index": row.status_index,
        "why": "revoked",
        "reason": reason,
    }


def given(number: int, used: int, now: datetime) -> Line:
    """Return the line that says how many places of a list are used."""
    return {"at": now.isoformat(), "list": number, "used": used}


def erasure(person_id: str, registration_id: int, known: str, now: datetime) -> Line:
    """Return the line of somebody who is erased: a database that is put back erases her again."""
    return {"at": now.isoformat(), "erased": person_id, "platform": registration_id, "known": known}


def return_of(person_id: str, now: datetime) -> Line:
    """Return the line of somebody who was erased and comes back by herself: a sync may bring her again."""
    return {"at": now.isoformat(), "returned": person_id}


def note(session: Session, line: Line) -> None:
    """Let a line be written just before this transaction is committed."""
    session.info.setdefault("journal", []).append(line)


def noted(session: Session) -> Sequence[Line]:
    """Return the lines that are to be written with this transaction."""
    known = session.info.get("journaled", ())
    return [line for line in session.info.get("journal", ()) if line.get("edition") not in known]


def already_written(session: Session, edition_ids: Sequence[str]) -> None:
    """Say which withdrawals stand in the journal already: this transaction only repeats them."""
    session.info["journaled"] = frozenset(edition_ids)


def _blanked(raw: bytes, awards: AbstractSet[str], editions: AbstractSet[str]) -> bytes | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    if not line.get("reason") or (line.get("award") not in awards and line.get("edition") not in editions):
        return None
    new = _text({**line, "reason": ""}).rstrip("\n").encode()
    return new[:-1].ljust(len(raw) - 1) + new[-1:] if len(new) <= len(raw) else None


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
