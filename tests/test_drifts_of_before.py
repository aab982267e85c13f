"""What a database from before knew as states alone is told after the upgrade, too."""

from __future__ import annotations

from sqlalchemy import MetaData, Table, select

from lti_tool.db import Database
from lti_tool.migrations import schema
from tests.test_launch_proofs import add

REVISION = "0012"


def test_J11_a_course_that_had_ended_and_a_column_that_was_gone_are_still_told(database_url: str) -> None:
    db = Database(database_url)
    schema.upgrade(db, str(schema._scripts().get_revision(REVISION).down_revision))
    with db.engine.execution_options(write=True).begin() as connection:
        for name in ("registration", "deployment"):
            add(connection, name)
        states = {1: ("concluded", "course_concluded"), 2: ("attention", "scope_missing"), 3: ("ok", None)}
        for number, (state, problem) in states.items():
            add(connection, "course", id=number, context_id=str(number), state=state, problem=problem)
        add(connection, "course_badge", id="b", course_id=3, slug="b", status="active")
        for tag, state in (("gone", "missing"), ("there", "bound")):
            values = {"course_badge_id": "b", "tag": tag, "label": f"The {tag}", "url": tag, "score_maximum": "4"}
            add(connection, "gradebook_column", id=len(tag), state=state, found=False, **values)
    schema.upgrade(db)
    with db.engine.connect() as connection:
        drift = Table("drift", MetaData(), autoload_with=connection)
        rows = connection.execute(select(drift.c.course_id, drift.c.kind, drift.c.tag, drift.c.ended_at)).all()
        assert sorted(map(tuple, rows)) == [
            (1, "course_concluded", "", None),
            (2, "scope_missing", "", None),
            (3, "column_missing", "gone", None),
        ]
        column = Table("gradebook_column", MetaData(), autoload_with=connection)
        assert connection.scalar(select(column.c.maximum_now).limit(1)) is None
    db.engine.dispose()
