"""What every service needs: settings, database, keys, and the one door to the outside."""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from lti_tool import __version__
from lti_tool.credentials.ob3 import did_web
from lti_tool.db import Database, forbid_in_transaction
from lti_tool.http import Http
from lti_tool.keyring import Keyring, load_keyring
from lti_tool.lti.platform_keys import KeyCache, StoredJwks
from lti_tool.lti.registration import Registration as RegistrationValue
from lti_tool.lti.token import TokenCache
from lti_tool.models import Registration
from lti_tool.prepared import Connections
from lti_tool.services.figures import Figures
from lti_tool.services.journal import Journal, noted
from lti_tool.services.page_views import PageViews
from lti_tool.settings import Settings

log = logging.getLogger("lti_tool")

# For PostgreSQL's connections at the door. A launch does not wait for the disk, as it does not on SQLite (db.py): what
# a power cut in that half second takes away is a click, or the mark on a login that only the browser which began it
# could use again.
AT_THE_DOOR = ("SET synchronous_commit TO off",)


def _do_not_wake(_job_id: int) -> None:
    return None


@dataclass
class Tool:
    """One process's view of the installation. `wake` tells the queue that a job is due; the job row says what."""

    settings: Settings
    db: Database
    http: Http
    tokens: TokenCache
    keys: KeyCache
    statements: Connections
    figures: Figures
    views: PageViews
    journal: Journal
    wake: Callable[[int], None] = _do_not_wake
    turns: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # of this process's workers, see work
    registrations: dict[tuple[str, str], RegistrationValue] = field(default_factory=dict)  # see services.entry
    templates: dict[Any, Any] = field(default_factory=dict)  # compiled credential templates, see services.awards
    did_documents: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)  # see services.issuer
    status_lists: dict[int, Any] = field(default_factory=dict)  # signed lists by number, see services.status_lists
    status_lag: float = 0.7  # seconds that a signed list may be behind, so that a burst of revocations is one signature
    journal_seen: tuple[int, int] = (-1, 0)  # its size when it was last counted, and its withdrawals
    erasures_seen: tuple[int, int] = (-1, 0)  # likewise, with the people who were erased
    caught_up: datetime | None = None  # when this process last looked for what nobody counted, see services.counting
    evidence_swept: datetime | None = None  # when this process last looked for files that nothing names
    wallet_metadata: dict[Any, bytes] = field(default_factory=dict)  # see services.wallets
    _keyring: Keyring | None = None
    _keyring_seen: float = 0.0

    @property
    def keyring(self) -> Keyring:
        """The keys as the folder holds them now: a rotation by command reaches running processes."""
        folder = Path(self.settings.keys.dir)
        seen = folder.stat().st_mtime if folder.exists() else 0.0
        if self._keyring is None or seen != self._keyring_seen:
            self._keyring = load_keyring(folder, datetime.now(UTC))
            self._keyring_seen = seen  # as it was before reading: a key made meanwhile is found the next time
            self.templates.clear()
        return self._keyring


def settle() -> None:
    """Leave what this process has loaded so far out of the rounds of Python's garbage collector, for good.

    Code and tables are half a million objects that never go: a round through them took an eighth of a second, and one
    came up in the middle of every large class (seen with Python 3.11). For a process that only serves or works."""
    gc.collect()
    gc.freeze()


def make_http(settings: Settings, **limits: Any) -> Http:
    """Return the door to the outside as the settings have it; `limits` as `Http` takes them."""
    return Http(
        allow_private=settings.network.allow_private,
        user_agent=f"lti-tool/{__version__} (+{settings.base_url})",
        before_request=forbid_in_transaction,
        **limits,
    )


def open_tool(settings: Settings) -> Tool:
    """Open the installation that the settings describe. Raises ConfigurationError for keys that cannot be used."""
    db = Database(settings.database.url)

    def with_journal(session: Session) -> AbstractContextManager[None]:
        lines = noted(session)
        return tool.journal.around(did_web(settings.base_url), lines) if lines else nullcontext()

    db.around_commit = with_journal
    figures = Figures(db)
    http = make_http(settings, after_attempt=figures.call)

    def load(registration_id: int) -> StoredJwks | None:
        with db.read() as session:
            row = session.get(Registration, registration_id)
            return StoredJwks(row.jwks, row.jwks_fetched_at) if row and row.jwks and row.jwks_fetched_at else None

    def save(registration_id: int, stored: StoredJwks) -> None:
        with db.write() as session:
            if (row := session.get(Registration, registration_id)) is not None:
                row.jwks, row.jwks_fetched_at = stored.text, stored.fetched_at

    tokens = TokenCache(http, signing_key=lambda: tool.keyring.lti, clock=lambda: datetime.now(UTC))
    tool = Tool(
        settings,
        db,
        http,
        tokens,
        KeyCache(http, load=load, save=save),
        Connections(db, *AT_THE_DOOR),
        figures,
        PageViews(db),
        Journal(settings.database.journal),
    )
    _ = tool.keyring  # a key that cannot be used stops the start, not the first launch
    return tool
