"""What is read of a class page by page, kept until all of it is there: only then is any of it stored."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

PART = 5000  # rows; a class below this never leaves the memory


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
                # It goes when this is dropped. noqa: a block cannot close what is read later.
                self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115
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
