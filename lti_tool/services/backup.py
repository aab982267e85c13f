"""A copy of the database while it is in use, and the way back: never from a newer version, never onto used entries."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from lti_tool.db import Database
from lti_tool.errors import BadInput, ConfigurationError, Conflict, ToolError
from lti_tool.migrations import schema
from lti_tool.models import AuditEvent, Presence
from lti_tool.sentence import Sentence
from lti_tool.services import audit, presence, revocations
from lti_tool.services.revocations import Replayed
from lti_tool.services.tool import Tool

SQLITE, POSTGRESQL = b"SQLite format 3\x00", b"PGDMP"


@dataclass(frozen=True)
class Restored:
    schema: str
    replayed: Replayed  # what was withdrawn after the backup was made, and is again
    kept: Path | None  # what the database held before


def back_up(tool: Tool, file: Path, now: datetime) -> int:
    """Write a copy of the database as it is at one moment, while it is in use; returns its size in bytes.

    The file is readable by its owner alone, and appears under its name when it is whole. Raises BadInput for one that
    is there already, ConfigurationError where PostgreSQL's own program is not installed or fails."""
    if file.exists():
        raise BadInput(
            sentence=Sentence("%(file)s is there already.", file=str(file)),
            what_to_do=Sentence("Choose another name: a backup is never written over."),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with _beside(file) as part:
        _copy(tool.db, tool.settings.database.url, part)
        part.replace(file)
    size = file.stat().st_size
    with tool.db.write() as session:
        audit.record(session, now, audit.OPERATOR, "database.backed_up", "database:1", size=size)
    return size


@contextlib.contextmanager
def _beside(file: Path) -> Any:
    """Give the name of a new file of its owner's alone, in the same folder; it is removed unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _copy(db: Database, url: str, file: Path) -> None:
    if not db.is_sqlite:
        _run(url, ["pg_dump", "--format=custom", "--no-owner", f"--file={file}"])
        return
    with contextlib.closing(sqlite3.connect(_path(url))) as source, contextlib.closing(sqlite3.connect(file)) as copy:
        # In one step: SQLite begins anew with whatever another process writes between two, and a reader of a WAL holds
        # up no writer (https://www.sqlite.org/c3ref/backup_finish.html).
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file by itself, which a read-only folder may hold


def _path(url: str) -> str:
    return str(make_url(url).database)


def _run(url: str, command: Sequence[str]) -> str:
    """Run one of PostgreSQL's programs on our database; returns what it prints. The password stays off its command."""
    if shutil.which(command[0]) is None:
        raise ConfigurationError(
            f"{command[0]} is not installed here. Install PostgreSQL's client programs, of the server's version "
            "or newer (Debian: postgresql-client), or run it where they are"
        )
    address = make_url(url)
    told = {
        "PGHOST": address.host,
        "PGPORT": str(address.port) if address.port else None,
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
        **{f"PG{name.upper()}": str(value) for name, value in address.query.items() if name.startswith("ssl")},
    }
    environment = {**os.environ, **{name: str(value) for name, value in told.items() if value}}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ConfigurationError(f"{command[0]} failed: {said[:300]}")
    return done.stdout


# -- the way back -----------------------------------------------------------------------------------------------


def restore(tool: Tool, file: Path, now: datetime) -> Restored:
    """Put a backup in the place of the database, and bring it to this version's schema.

    What is there before is kept beside the backup. New credentials go to new status lists: entries of the backup's
    were given out after it was made. What was withdrawn since is withdrawn again, by the journal of revocations.
    Refuses, and changes nothing: a file of another kind, one that is not whole, one of a newer version, and while a
    worker runs. What fails later says where the copy of before is."""
    _check_file(tool, file)
    revision = _revision(tool, file)
    if revision is None:
        raise BadInput(sentence=Sentence("%(file)s holds no database of this tool.", file=str(file)))
    if not schema.knows(revision):
        raise ConfigurationError(
            f"{file} was written by a newer version (schema {revision}). Install that version, then restore it"
        )
    _check_whole(tool, file)
    kept = _keep(tool, file.parent, now) if _before(tool, now) else None
    try:
        _put_back(tool, file)
        return Restored(schema.upgrade(tool.db), _go_on(tool, now), kept)
    except (ToolError, SQLAlchemyError, sqlite3.Error) as error:
        if kept is None:
            raise
        cause = error.told if isinstance(error, ToolError) else str(error).partition("\n")[0]
        raise ToolError(
            sentence=f"The backup was not put back whole. {cause.rstrip('.')}.",
            what_to_do=f"What the database held before is in {kept}: lti-tool db restore puts that back, too.",
        ) from error


def _put_back(tool: Tool, file: Path) -> None:
    url = tool.settings.database.url
    if tool.db.is_sqlite:
        tool.db.engine.dispose()
        Path(_path(url)).parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.closing(sqlite3.connect(file)) as source,
            contextlib.closing(sqlite3.connect(_path(url), timeout=10)) as target,
        ):
            source.backup(target)
        return
    with tool.db.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    tool.db.engine.dispose()
    restored = ["pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={_name(url)}"]
    _run(url, [*restored, str(file)])


def _name(url: str) -> str:
    return str(make_url(url).database)


def _check_file(tool: Tool, file: Path) -> None:
    with file.open("rb") as opened:
        begins = opened.read(16)
    wanted, kind = (SQLITE, "SQLite") if tool.db.is_sqlite else (POSTGRESQL, "PostgreSQL")
    if not begins.startswith(wanted):
        raise BadInput(
            sentence=Sentence("%(file)s is no backup of a %(kind)s database.", file=str(file), kind=kind),
            what_to_do=Sentence("It goes back to the kind of database it was made from: see database.url."),
        )


def _revision(tool: Tool, file: Path) -> str | None:
    """Return the schema that a backup has, None for a database of something else."""
    if tool.db.is_sqlite:
        with contextlib.closing(sqlite3.connect(file)) as opened:
            try:
                row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
            except sqlite3.DatabaseError:
                return None
        return str(row[0]) if row else None
    listed = _run(
        tool.settings.database.url, ["pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file)]
    )
    found = re.search(r"^COPY \S*alembic_version .*\n(\S+)$", listed, re.MULTILINE)
    return found[1] if found else None


def _check_whole(tool: Tool, file: Path) -> None:
    """Read all of a backup: of a disk that filled up, or a copy that was broken off, there is half of one."""
    if not tool.db.is_sqlite:
        _run(tool.settings.database.url, ["pg_restore", f"--file={os.devnull}", str(file)])
        return
    with contextlib.closing(sqlite3.connect(file)) as opened:
        try:
            found = str(opened.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise ConfigurationError(f"{file} is damaged, so nothing was changed. Take another backup ({found[:200]})")


def _before(tool: Tool, now: datetime) -> bool:
    """Tell whether there is a database already. What it knows to be withdrawn is in the journal afterwards."""
    try:
        if schema.current(tool.db) is None:
            return False
        schema.check(tool.db)
        if presence.watch(tool, now).workers:
            raise Conflict(
                sentence=Sentence("A worker is running, or was two minutes ago."),
                what_to_do=Sentence("Stop every worker and every web application, wait two minutes, then restore."),
            )
        revocations.keep(tool, now)
    except (SQLAlchemyError, ConfigurationError):  # damaged, or of another version: that is why somebody restores
        return True
    return True


def _keep(tool: Tool, folder: Path, now: datetime) -> Path | None:
    """Copy what the database holds now, beside the backup: somebody may have named the wrong file."""
    kept = folder / f"before-restore-{now:%Y%m%dT%H%M%S%f}.{'db' if tool.db.is_sqlite else 'dump'}"
    try:
        with _beside(kept) as part:
            _copy(tool.db, tool.settings.database.url, part)
            part.replace(kept)
    except (sqlite3.DatabaseError, ConfigurationError):
        if not tool.db.is_sqlite:
            raise
        return None  # a damaged file cannot be copied, and is what is to be replaced
    return kept


def _go_on(tool: Tool, now: datetime) -> Replayed:
    """Start fresh status lists, and do again what the journal knows to have been withdrawn since."""
    with tool.db.write() as session:
        session.execute(delete(Presence))  # the workers of then
    done = revocations.keep(tool, now, went_back=True)
    with tool.db.write() as session:
        audit.record(
            session, now, audit.OPERATOR, "database.restored", "database:1", revoked=done.revoked, again=done.again
        )
    return done


def last_backup(tool: Tool) -> datetime | None:
    """Return when this database was last backed up by the command; None for never, or by other means."""
    query = select(AuditEvent.at).where(AuditEvent.action == "database.backed_up").order_by(AuditEvent.id.desc())
    with tool.db.read() as session:
        return session.scalar(query.limit(1))
