"""Status lists: signed anew where something was withdrawn since, by one process, for all of them.

A list that is asked for all the time is signed at most once in `Tool.status_lag` seconds, so that a thousand
withdrawals one after the other are not a thousand signatures; and no answer is further behind than that and the time
it takes to sign."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, undefer

from lti_tool.credentials import status_list
from lti_tool.errors import Busy, DiskFull, NotFound
from lti_tool.models import SignedStatusList, StatusList
from lti_tool.services import places
from lti_tool.services.issuer import issuer_profile
from lti_tool.services.tool import Tool, log

AHEAD = timedelta(seconds=30)  # of another host's clock: a list that begins later than that is refused by verifiers
A_DAY = timedelta(days=1)  # a list that does not change is signed anew once a day
OF_OTHERS = 5.0  # seconds to wait for somebody else's signature before making one: an answer may be late, not behind
LOOK_AGAIN = 0.01
LOCKS = 0x6C746973  # "ltis": where PostgreSQL's advisory locks of ours begin; the list's number follows


@dataclass(frozen=True)
class Kept:
    """A signed list as this process last had it; `current_at` is when it was last known to hold all there was."""

    revision: int
    kid: str
    signed_at: datetime
    current_at: datetime
    content: bytes
    etag: str


def status_list_json(tool: Tool, number: int, now: datetime) -> bytes:
    """Return a signed status list with everything that was withdrawn up to this moment."""
    return signed(tool, number, now, lag=0.0).content


def signed(tool: Tool, number: int, now: datetime, *, lag: float | None = None) -> Kept:
    """Return a signed status list, at most `lag` seconds behind (the tool's own measure where none is given).

    Raises NotFound for a number that no credential carries."""
    allowed = timedelta(seconds=tool.status_lag if lag is None else lag)
    kid = tool.keyring.ed25519.kid
    kept: Kept | None = tool.status_lists.get(number)
    with tool.db.read() as session:
        revision = _revision(session, number)
    if kept is not None and _serves(kept, revision, kid, now, allowed, tool, number):
        return tool.status_lists.get(number, kept)
    with _one_signs(tool, number) as alone:
        kept = _newest(tool, number, now)
        with tool.db.read() as session:
            revision = _revision(session, number)
        if kept is not None and _serves(kept, revision, kid, now, allowed, tool, number):
            return tool.status_lists.get(number, kept)
        return _sign(tool, number, now, store=alone)


def _serves(kept: Kept, revision: int, kid: str, now: datetime, allowed: timedelta, tool: Tool, number: int) -> bool:
    """Tell whether a copy may be answered; one that holds everything is known to be current now."""
    if kept.kid != kid or now - kept.signed_at >= A_DAY or kept.signed_at - now > AHEAD:
        return False
    if kept.revision == revision:
        tool.status_lists[number] = replace(kept, current_at=max(now, kept.current_at))
        return True
    # Another host's clock may be ahead: a copy from the future is none to rely on.
    return timedelta(0) <= now - kept.current_at < allowed


def _revision(session: Session, number: int) -> int:
    revision = session.scalar(select(StatusList.revision).where(StatusList.id == number))
    if revision is None:
        raise NotFound(f"no status list {number}")
    return revision


def _newest(tool: Tool, number: int, now: datetime) -> Kept | None:
    """Return the newest signed copy there is: this process's, or one that another has stored since."""
    kept: Kept | None = tool.status_lists.get(number)
    query = select(SignedStatusList.revision, SignedStatusList.signed_at, SignedStatusList.kid)
    with tool.db.read() as session:
        stored = session.execute(query.where(SignedStatusList.status_list_id == number)).one_or_none()
        if stored is None or (kept is not None and (kept.kid, kept.signed_at) == (stored.kid, stored.signed_at)):
            return kept
        if kept is not None and kept.signed_at > stored.signed_at:
            return kept
        row = session.get_one(SignedStatusList, number, options=[undefer(SignedStatusList.document)])
    found = Kept(row.revision, row.kid, row.signed_at, row.signed_at, row.document, _etag(row.document))
    tool.status_lists[number] = found
    return found


def _sign(tool: Tool, number: int, now: datetime, *, store: bool) -> Kept:
    key = tool.keyring.ed25519
    with tool.db.read() as session:
        revision = _revision(session, number)  # before the bits: what is set in between is in the next one too
        indexes = places.withdrawn_indexes(session, number)
        profile = issuer_profile(session, tool)
    content = status_list.status_list_credential(
        number,
        indexes,
        issuer=profile,
        base_url=tool.settings.base_url,
        valid_from=now.replace(microsecond=0),
        ed25519=key,
    )
    tool.figures.count("status_lists_signed")
    kept = Kept(revision, key.kid, now, now, content, _etag(content))
    tool.status_lists[number] = kept
    if store:
        _store(tool, number, kept)
    return kept


def _store(tool: Tool, number: int, kept: Kept) -> None:
    """Let other processes have it. Where that fails each signs for itself: the answer does not wait for a disk."""
    try:
        with tool.db.write() as session:
            row = session.get(SignedStatusList, number, with_for_update=True)
            if row is None:
                row = SignedStatusList(status_list_id=number)
                session.add(row)
            elif row.kid == kept.kid and row.revision > kept.revision:
                return
            row.revision, row.kid, row.signed_at, row.document = kept.revision, kept.kid, kept.signed_at, kept.content
    except (Busy, DiskFull, SQLAlchemyError) as error:
        log.warning("status list %d is signed and not stored: %s", number, type(error).__name__)


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


# -- one at a time ----------------------------------------------------------------------------------------------


@contextmanager
def _one_signs(tool: Tool, number: int) -> Iterator[bool]:
    """Wait for whoever is signing a list; gives whether nobody else is.

    The lock ends with its process or connection. After OF_OTHERS seconds nobody is waited for: a second signature does
    no harm."""
    with _file_lock(tool) if tool.db.is_sqlite else _server_lock(tool, number) as alone:
        yield alone


@contextmanager
def _file_lock(tool: Tool) -> Iterator[bool]:
    path = tool.journal.path.with_suffix(".lock")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a folder without room: then nobody is waited for
        yield True
        return
    try:
        ends, alone = time.monotonic() + OF_OTHERS, False
        while not alone:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
            except BlockingIOError:
                if time.monotonic() > ends:
                    break
                time.sleep(LOOK_AGAIN)
        yield alone
    finally:
        os.close(file)


@contextmanager
def _server_lock(tool: Tool, number: int) -> Iterator[bool]:
    with tool.db.engine.connect() as connection:  # the lock ends with this transaction
        ends, alone = time.monotonic() + OF_OTHERS, False
        lock = select(func.pg_try_advisory_xact_lock(LOCKS, number))
        while not alone:
            alone = bool(connection.scalar(lock))
            if not alone:
                if time.monotonic() > ends:
                    break
                time.sleep(LOOK_AGAIN)
        yield alone
