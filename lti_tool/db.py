"""Engine and transactions. A write on SQLite takes its lock at the start, so no transaction fails half way."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    LargeBinary,
    String,
    Text,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from lti_tool.errors import Busy, DiskFull, ToolError
from lti_tool.sentence import kept_text, read_text

BUSY_TIMEOUT = 5  # seconds a writer waits for another one
MOST_COLLISIONS = 5
DEADLOCK_OR_SERIALIZATION = ("40P01", "40001")  # PostgreSQL's codes
DISK_FULL = "53100"
Value = TypeVar("Value")

_open_transactions: ContextVar[int] = ContextVar("open_transactions", default=0)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no zone, so it is stored without and read back with."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Compressed(TypeDecorator[bytes]):
    """Bytes kept with zlib: a signed credential is 17 KB of repeating text, 3 KB when packed."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Any) -> bytes | None:
        return None if value is None else zlib.compress(value, 1)

    def process_result_value(self, value: bytes | None, dialect: Any) -> bytes | None:
        return None if value is None else zlib.decompress(value)


class Said(TypeDecorator[str]):
    """What the tool has said: a sentence with its parts, so that a page says it again in its reader's language."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else kept_text(value)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else read_text(value)


class SaidText(Said):
    """The same in a column that was made as text."""

    impl = Text
    cache_ok = True


def insert_rows(session: Session, model: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert plain rows that all name the same columns, in one statement."""
    if rows:
        _insert(session, model.__table__, rows, "")


def insert_new(session: Session, model: type[Any], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert rows, each with an id made for it; returns the ids of those that no UNIQUE index has kept out."""
    if not rows:
        return set()
    table = model.__table__
    done = _insert(session, table, rows, " ON CONFLICT DO NOTHING")
    ids = [row["id"] for row in rows]
    if done.rowcount == len(rows):
        return set(ids)
    return set(session.scalars(select(table.c.id).where(among(table.c.id, ids))))


def _insert(session: Session, table: Any, rows: Sequence[Mapping[str, Any]], ending: str) -> Any:
    """Insert rows bound column by column: row by row, SQLAlchemy takes longer for it than SQLite to store them.

    To PostgreSQL they go as one value, for its driver sends a statement for each of many rows; so none holds bytes."""
    session.flush()
    connection = session.connection()
    dialect = connection.dialect
    columns = [table.c[name] for name in rows[0]]
    values = [[row[name] for row in rows] for name in rows[0]]
    for column in table.columns:
        if column.default is not None and column.name not in rows[0]:
            columns.append(column)
            made = column.default.arg
            values.append([made(None) for _ in rows] if column.default.is_callable else [made] * len(rows))
    bound = [_bound(each, column.type, dialect) for each, column in zip(values, columns, strict=True)]
    quote = dialect.identifier_preparer
    into, names = quote.format_table(table), ", ".join(quote.format_column(column) for column in columns)
    if dialect.name == "sqlite":
        places = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {into} ({names}) VALUES ({places}){ending}"  # noqa: S608 (names of our own)
        return connection.exec_driver_sql(sql, list(zip(*bound, strict=True)))
    keys = [column.name for column in columns]
    told = json.dumps([dict(zip(keys, row, strict=True)) for row in zip(*bound, strict=True)])
    given = f"SELECT {names} FROM json_populate_recordset(NULL::{into}, %s::json)"  # noqa: S608 (likewise)
    return connection.exec_driver_sql(f"INSERT INTO {into} ({names}) {given}{ending}", (told,))


def _bound(values: list[Any], kind: Any, dialect: Dialect) -> list[Any]:
    """Return values as `_insert` sends them. One that stands there again and again, a time, is worked out once."""
    turn = kind.dialect_impl(dialect).bind_processor(dialect)
    if turn is None or (isinstance(kind, JSON) and dialect.name != "sqlite"):
        return values
    sent: dict[int, Any] = {}  # by the object, which `values` keeps
    for value in values:
        if id(value) not in sent:
            told = turn(value)
            sent[id(value)] = told.isoformat() if isinstance(told, datetime) else told
    return [sent[id(value)] for value in values]


def among(column: Any, values: Iterable[str]) -> ColumnElement[bool]:
    """Return that a column of text holds one of many values, which go to the database as one.

    A place for each costs SQLAlchemy and psycopg more than the database takes to answer; and it has no more than
    65,535 of them."""
    found: ColumnElement[bool] = column.bool_op("IN")(_Each(json.dumps(list(values))))
    return found


class _Each(FunctionElement[str]):
    """The texts in a JSON list, a row each."""

    inherit_cache = True


@compiles(_Each, "sqlite")
def _each_on_sqlite(element: _Each, compiler: Any, **options: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(element.clauses, **options)}))"  # noqa: S608 (a place)


@compiles(_Each, "postgresql")
def _each_on_postgresql(element: _Each, compiler: Any, **options: Any) -> str:
    return f"(SELECT json_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS json)))"


def random_id() -> str:
    """Return 128 random bits as hex, for everything that stands in an address."""
    return secrets.token_hex(16)


class Database:
    """An engine and its two kinds of transaction."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {} if self.is_sqlite else {"pool_size": 10, "max_overflow": 20, "pool_pre_ping": True}
        # hide_parameters: an error's text goes to the log, and its values are people's names.
        self.engine: Engine = create_engine(parsed, hide_parameters=True, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _sqlite_connect)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            event.listen(self.engine, "handle_error", _tell_no_values)
        self._writing = self.engine.execution_options(write=True)
        # What has to be written elsewhere before a transaction counts, see services.journal: the block commits.
        self.around_commit: Callable[[Session], AbstractContextManager[None]] = lambda _session: nullcontext()
        self._turn = threading.Lock()
        self._watching: Any = None  # a connection of its own, see `version`
        self._watched = 0  # how many there have been: each counts for itself
        self._watch = threading.Lock()
        event.listen(self.engine, "engine_disposed", lambda _engine: self._stop_watching())

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that writes nothing."""
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that is committed at the end, or rolled back whole on any exception.

        Raises Busy where another writer holds SQLite's lock for longer than BUSY_TIMEOUT (J08)."""
        with self.turn(), self._session(self._writing) as session:
            yield session
            session.flush()
            with self.around_commit(session):
                session.commit()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one writer of this process at a time go to SQLite, in the order they came.

        SQLite has one writer anyway, but lets the others sleep for milliseconds and take their chance (its busy
        handler), which still stands between processes. Elsewhere nobody waits here."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT):
            raise Busy("no turn to write")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with transaction(), Session(engine, expire_on_commit=False) as session:
                yield session
        except OperationalError as error:
            if (trouble := trouble_of(error.orig)) is not None:
                raise trouble from error
            raise

    def version(self) -> object:
        """Return what is another as soon as anybody has committed anything, in this process or in another.

        So what was read after the same version is still so. Costs one short statement, and no look at any table."""
        with self._watch:
            try:
                if self._watching is None:
                    pooled = self.engine.raw_connection()
                    self._watching = pooled.driver_connection
                    pooled.detach()
                    self._watched += 1
                    if not self.is_sqlite:
                        self._watching.autocommit = True
                # SQLite counts the commits of other connections, and this one makes none
                # (https://www.sqlite.org/pragma.html#pragma_data_version). PostgreSQL tells which transactions are
                # over: two that see the same ones see the same rows.
                asked = "PRAGMA data_version" if self.is_sqlite else "SELECT pg_current_snapshot()::text"
                return self._watched, self._watching.execute(asked).fetchone()[0]
            except self.driver_error:
                self._watching = None
                return object()  # is the same as nothing else: whoever asked reads again

    def _stop_watching(self) -> None:
        with self._watch:
            if self._watching is not None:
                self._watching.close()
                self._watching = None

    @property
    def driver_error(self) -> type[Exception]:
        """The driver's own error, for the few paths that leave SQLAlchemy out."""
        found: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return found


@contextmanager
def transaction() -> Iterator[None]:
    """Count a transaction as open, so that nothing goes out to the network meanwhile."""
    token = _open_transactions.set(_open_transactions.get() + 1)
    try:
        yield
    finally:
        _open_transactions.reset(token)


def forbid_in_transaction() -> None:
    """Raise where a transaction is open: a slow LMS must never hold a database lock (J15)."""
    if _open_transactions.get():
        raise RuntimeError("a network call inside a database transaction")


def trouble_of(error: BaseException | None) -> ToolError | None:
    """Return what a driver's error says of the database itself: that it is busy, or cannot be written (J08, J13)."""
    said = str(error) if isinstance(error, sqlite3.Error) else ""
    if "locked" in said or "busy" in said:
        return Busy(said)
    if "disk is full" in said or "disk I/O error" in said or getattr(error, "sqlstate", None) == DISK_FULL:
        return DiskFull(type(error).__name__)
    return None


def collided(error: DBAPIError) -> bool:
    """Tell whether another transaction was in the way, so that doing the whole again may succeed."""
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", "") in DEADLOCK_OR_SERIALIZATION


def repeat_collided(work: Callable[[], Value]) -> Value:
    """Run a whole transaction, and do it again while another one is in its way.

    More than once: somebody's row may be in the way at the first attempt, and another one at the second."""
    for _ in range(MOST_COLLISIONS):
        try:
            return work()
        except DBAPIError as error:
            if not collided(error):
                raise
    return work()


def _tell_no_values(context: Any) -> None:
    """Keep the first line of PostgreSQL's errors: `DETAIL: Key (sub)=(…) …` would put people in the log."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].partition("\n")[0], *error.args[1:])


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins by itself, see _sqlite_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    # Pages of 4 kB that may lie in the log before they are moved, with two waits for the disk, to the file.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    # A deferred transaction that turns into a write may fail at once with "database is locked", whatever the timeout.
    writing = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
