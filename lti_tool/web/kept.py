"""Public pages as they were made last, answered again for as long as nothing at all has been written since.

Not for some seconds: a page says that it was checked just now, so it is made anew with the next minute, and with any
write of any process to the database, whatever it was."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from flask import current_app
from flask_babel import get_locale

from lti_tool.security import tool

MOST = 500  # pages kept by a process, of about 15 kB


class KeptPages:
    """The pages of one process, by what each depends on."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[object, ...]) -> bytes | None:
        return self._pages.get(key)

    def keep(self, key: tuple[object, ...], page: bytes) -> None:
        with self._lock:
            self._pages[key] = page
            if len(self._pages) > MOST:
                self._pages.popitem(last=False)


def kept(name: str, make: Callable[[], str]) -> bytes:
    """Return a page that is the same for everybody who reads its language, made where it is not known to be current.

    `name` tells it from others. What it shows may come from the database, the settings, the keys and the minute; and
    it must be one that everybody may see, which is for the caller to ask anew each time."""
    pages: KeptPages = current_app.extensions["kept_pages"]
    # The database's version is read first: what is written while the page is being made is written after it.
    version = tool().db.version()
    keys = tuple(key.kid for key in tool().keyring.keys)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    key = (name, str(get_locale()), minute, version, keys)
    page = pages.find(key)
    if page is None:
        page = make().encode()
        pages.keep(key, page)
    return page
