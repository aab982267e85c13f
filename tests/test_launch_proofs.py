"""A launch is opened by a cookie or by a token of its own; a database from before knows cookies alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import JSON, Boolean, DateTime, Integer

from lti_tool.db import Database
from lti_tool.migrations import schema

REVISION = "0005"


def add(connection: Connection, name: str, **values: Any) -> None:
    """Add a row to a table as the database has it now; whatever must be there and is not given is made up."""
    table = Table(name, MetaData(), autoload_with=connection)
    made_up = {Boolean: False, Integer: 1, DateTime: datetime(2026, 11, 26, tzinfo=UTC), JSON: []}
    for column in table.columns:
        if column.nullable or column.name in values or column.server_default is not None:
            continue
        found = [made for kind, made in made_up.items() if isinstance(column.type, kind)]
        values[column.name] = found[0] if found else "active" if column.name == "status" else "x"
    connection.execute(insert(table).values(values))


def test_J11_launches_of_a_database_from_before_stay_and_later_ones_have_one_proof_each(database_url: str) -> None:
    db = Database(database_url)
    script = schema._scripts().get_revision(REVISION)
    schema.upgrade(db, str(script.down_revision))
    with db.engine.execution_options(write=True).begin() as connection:
        for name in ("registration", "deployment", "person", "browser"):
            add(connection, name)
        add(connection, "launch", id="of-before", browser_id="x")
    schema.upgrade(db)
    with db.engine.execution_options(write=True).begin() as connection:
        add(connection, "launch", id="of-a-cookie", browser_id="x")
        add(connection, "launch", id="of-a-token", token_hash="h")
    for proofs in ({}, {"browser_id": "x", "token_hash": "h"}):
        with pytest.raises(IntegrityError), db.engine.execution_options(write=True).begin() as connection:
            add(connection, "launch", id="refused", **proofs)
    with db.engine.connect() as connection:
        launch = Table("launch", MetaData(), autoload_with=connection)
        assert connection.scalar(select(func.count()).select_from(launch)) == 3
    db.engine.dispose()
