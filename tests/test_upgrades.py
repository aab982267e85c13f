"""Rolling upgrades: while one process has the new version, others still write with the one before."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from lti_tool.db import Database
from lti_tool.migrations import schema

FROM_HERE = "0010"  # earlier ones were never run beside the version before them


def steps() -> list[tuple[str, str]]:
    """Return the migrations since then, each with the one before it, oldest first."""
    scripts: ScriptDirectory = schema._scripts()
    found = []
    for script in scripts.walk_revisions():
        if script.revision == FROM_HERE:
            break
        found.append((str(script.down_revision), script.revision))
    return found[::-1]


def tables(db: Database) -> dict[str, dict[str, Any]]:
    found = inspect(db.engine)
    return {
        name: {column["name"]: column for column in found.get_columns(name)}
        for name in found.get_table_names()
        if name != "alembic_version"
    }


@pytest.mark.parametrize(("before", "after"), steps())
def test_the_version_before_goes_on_writing_after_a_migration(database_url: str, before: str, after: str) -> None:
    """Its INSERTs name the columns it knows: they must still be there, and no new one may ask to be filled in."""
    db = Database(database_url)
    schema.upgrade(db, before)
    known = tables(db)
    schema.upgrade(db, after)
    now = tables(db)
    db.engine.dispose()
    for table, columns in known.items():
        assert table in now, f"{after} removes {table}, which the version before still uses"
        gone = columns.keys() - now[table].keys()
        assert not gone, f"{after} removes {table}.{gone}, which the version before still uses"
        for name in now[table].keys() - columns.keys():
            column = now[table][name]
            filled = column["nullable"] or column["default"] is not None
            assert filled, f"{after} adds {table}.{name}, which the version before does not fill in: give it a default"
        for name in columns:
            tightened = columns[name]["nullable"] and not now[table][name]["nullable"]
            assert not tightened, f"{after} asks for {table}.{name}, which the version before may leave empty"
