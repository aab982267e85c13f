"""Bring a database to this version's schema, or say that it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from lti_tool.db import Database
from lti_tool.errors import ConfigurationError


def upgrade(db: Database, to: str = "head") -> str:
    """Apply what is missing, in one transaction; returns the revision the schema then has.

    Raises ConfigurationError for a database that a newer version has written (J12)."""
    _refuse_newer(db)
    config = _config()
    with db.engine.execution_options(write=True).connect() as connection, _tables_made_anew(connection):
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()
    return current(db) or ""


@contextmanager
def _tables_made_anew(connection: Connection) -> Iterator[None]:
    """Let a table that others point to be dropped and made anew, as SQLite changes one.

    https://www.sqlite.org/lang_altertable.html#otheralter: the keys are off meanwhile; env.py looks at them before
    it commits."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")  # it counts from the next transaction on
    try:
        yield
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys = ON")


def check(db: Database) -> None:
    """Raise ConfigurationError, with the command that mends it, unless the schema is this version's."""
    _refuse_newer(db)
    if current(db) != _scripts().get_current_head():
        raise ConfigurationError("The database is not prepared for this version yet. Run: lti-tool db upgrade")


def serves(db: Database) -> None:
    """Raise ConfigurationError unless a process that has started can go on: its schema, or one that came later.

    During a rolling upgrade the old version goes on under the new schema, which leaves it able to (README)."""
    revision = current(db)
    if revision is None or (knows(revision) and revision != _scripts().get_current_head()):
        check(db)


def current(db: Database) -> str | None:
    """Return the revision of the database, None for an empty one."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Tell whether a schema is this version's or an earlier one's."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


def _refuse_newer(db: Database) -> None:
    revision = current(db)
    if revision is not None and not knows(revision):
        raise ConfigurationError(
            f"The database was written by a newer version (schema {revision}). Install that version, "
            "or restore the backup made before the upgrade"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "lti_tool:migrations")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
