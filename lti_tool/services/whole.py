"""What is read of a class page by page, kept until all of it is there: only then is any of it stored."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

PART = 5000  # rows; a class below this never leaves the memory
SMALL = 8_000_000  # bytes of answers, likewise


class Answers:
    """The pages of one list as an LMS sent them, byte for byte; `digest` tells whether they are those of before."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._sizes: list[int] = []
        self._file = tempfile.SpooledTemporaryFile(SMALL)  # noqa: SIM115 (read later: it goes with us)

    def add(self, body: bytes) -> None:
        self._digest.update(b"%d " % len(body) + body)
        self._sizes.append(len(body))
        self._file.write(body)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        """Yield each page, as often as wanted."""
        self._file.seek(0)
        for size in self._sizes:
            yield self._file.read(size)


class Rows:
    """Rows of plain values, in the order they came, given back in parts.

    Beyond one part they wait in a file that has no name: 400,000 answers are 200 MB as objects."""

    def __init__(self) -> None:
        self.count = 0
        self._last: list[Any] = []
        self._file: IO[str] | None = None

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        self._last += rows
        self.count += len(rows)
        if len(self._last) >= PART:
            if self._file is None:
                self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 (likewise)
            self._file.write(json.dumps(self._last) + "\n")
            self._last = []

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the rows in parts, as often as wanted."""
        if self._file is not None:
            self._file.seek(0)
            for line in self._file:
                yield json.loads(line)
        if self._last:
            yield self._last
