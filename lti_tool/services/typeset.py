"""What costs much to make, pages and pictures: once, kept while there is room, and never many at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from lti_tool.errors import Busy

AT_A_TIME = 2  # of a kind, by this process; the typesetter takes about a tenth of a second
PATIENCE = 5.0  # seconds that one waits for its turn
MOST_KEPT = 16 * 1024 * 1024  # bytes


class Typeset:
    """What was made, the one asked for longest ago forgotten first."""

    def __init__(self, most: int = MOST_KEPT, at_a_time: int = AT_A_TIME) -> None:
        self._most = most
        self._held = 0
        self._made: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.turns = threading.BoundedSemaphore(at_a_time)

    def get(self, key: tuple[str, ...]) -> bytes | None:
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
            return self._made.get(key)

    def put(self, key: tuple[str, ...], made: bytes) -> None:
        with self._lock:
            self._held += len(made) - len(self._made.pop(key, b""))
            self._made[key] = made
            while self._held > self._most:
                self._held -= len(self._made.popitem(last=False)[1])

    def forget(self) -> None:
        with self._lock:
            self._made.clear()
            self._held = 0

    def made(self, key: tuple[str, ...], make: Callable[[], bytes], busy: Busy) -> bytes:
        """Return what goes by this key, made in its turn; raises `busy` where others are waiting already."""
        if not self.turns.acquire(timeout=PATIENCE):
            raise busy
        try:
            made = self.get(key) or make()
        finally:
            self.turns.release()
        self.put(key, made)
        return made
