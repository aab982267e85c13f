"""Many rows and many values at once: what goes to the database as one value comes back as it was given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_tool.db import Database, among, insert_new, insert_rows, random_id
from lti_tool.models import Mail
from lti_tool.sentence import Sentence
from tests.scene import prepare_database

NOW = datetime(2026, 11, 27, 8, 30, 15, 123456, tzinfo=UTC)
ODD = ("O'Brien", 'say "x"', "50 % of :all %(a)s %s ?", "a\\b\nc\td", "Zoë 🎓 \u2028", "{}", "")


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    prepare_database(database_url)
    db = Database(database_url)
    yield db
    db.engine.dispose()


def mail(key: str, **told: Any) -> dict[str, Any]:
    row = {"id": random_id(), "key": key, "template": "earned", "language": "en", "values": {}, "not_before": NOW}
    return {**row, "not_after": NOW, "created_at": NOW, "problem": None, "recipient": "", **told}


def stored(db: Database) -> dict[str, Mail]:
    with db.read() as session:
        return {row.key: row for row in session.scalars(select(Mail))}


def test_rows_come_back_as_they_were_given(db):
    madrid = NOW.astimezone(timezone(timedelta(hours=1)))
    kept = {"deep": [{"text": text} for text in ODD], "number": 0.5, "none": None, "yes": True}
    rows = [mail(text, recipient=text, values=kept, not_before=madrid) for text in ODD]
    with db.write() as session:
        insert_rows(session, Mail, rows)
    found = stored(db)
    assert found.keys() == set(ODD)
    for text, row in found.items():
        assert (row.recipient, row.values, row.person_id) == (text, kept, None)
        assert (row.not_before, row.created_at) == (NOW, NOW)


def test_what_a_row_does_not_name_is_what_a_new_object_has_and_a_sentence_keeps_its_parts(db):
    said = Sentence("%(count)s left.", count=2)
    with db.write() as session:
        insert_rows(session, Mail, [mail("a"), mail("b", problem=said)])
    found = stored(db)
    assert [(row.state, row.attempts, row.unknown, row.lease_until) for row in found.values()] == [
        ("due", 0, 0, None)
    ] * 2
    assert found["a"].problem is None
    assert isinstance(found["b"].problem, Sentence) and found["b"].problem.values == {"count": 2}


def test_a_time_without_a_zone_is_refused(db):
    with pytest.raises(Exception, match="without a zone"), db.write() as session:
        insert_rows(session, Mail, [mail("a", not_before=datetime(2026, 11, 27))])


def test_what_a_unique_index_keeps_out_is_told_apart_and_nothing_of_it_is_stored(db):
    first, second = mail("a", recipient="before"), mail("b")
    with db.write() as session:
        assert insert_new(session, Mail, [first, second]) == {first["id"], second["id"]}
        again, third = mail("a", recipient="after"), mail("c")
        assert insert_new(session, Mail, [again, third]) == {third["id"]}
        assert insert_new(session, Mail, []) == set()
    found = stored(db)
    assert {key: row.id for key, row in found.items()} == {"a": first["id"], "b": second["id"], "c": third["id"]}
    assert found["a"].recipient == "before"


def test_other_rules_are_not_left_aside(db):
    with pytest.raises(IntegrityError), db.write() as session:
        insert_new(session, Mail, [mail("a", state="no state of a mail")])


def test_rows_are_found_among_many_values_whatever_stands_in_them(db):
    with db.write() as session:
        insert_rows(session, Mail, [mail(text) for text in ODD])
    with db.read() as session:

        def found(values: Any) -> set[str]:
            return set(session.scalars(select(Mail.key).where(among(Mail.key, values))))

        assert found(ODD) == set(ODD)
        assert found([ODD[0], ODD[2], "not there"]) == {ODD[0], ODD[2]}
        assert found(dict.fromkeys(ODD[:1])) == {ODD[0]}
        assert found([str(number) for number in range(70_000)]) == set()
        assert found([]) == set()
        assert set(session.scalars(select(Mail.key).where(~among(Mail.key, ODD[1:])))) == {ODD[0]}
