"""A credential as VC-JWT RS256: made when it is asked for, once, and the same whenever that is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from lti_tool import db
from lti_tool.credentials import signing
from lti_tool.errors import NotFound
from lti_tool.keyring import make_key
from lti_tool.models import Edition
from lti_tool.services.tokens import jwt_of
from tests.classroom import badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import now


@pytest.fixture
def signed(room):  # noqa: F811
    """A course with one award, signed; its edition's id at `edition_id`."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.edition_id = room.award()["credential_url"].rpartition("/")[2]
    return room


def stored(room) -> Edition:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.id == room.edition_id)
        return session.scalars(query.options(undefer(Edition.document), undefer(Edition.jwt))).one()


def forget(room) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.execute(update(Edition).where(Edition.id == room.edition_id).values(jwt=None))


def test_I02_a_token_is_made_of_the_stored_document_when_it_is_asked_for_and_kept(signed):
    assert stored(signed).jwt is None
    token = jwt_of(signed.tool, signed.edition_id)
    assert stored(signed).jwt == token
    key = signed.tool.keyring.rsa
    claims = jwt.decode(token, key.public, algorithms=["RS256"])
    assert jwt.get_unverified_header(token)["kid"].endswith(f"/keys/{key.kid}")
    assert claims["credentialSubject"]["id"] == claims["sub"] and claims["jti"] == claims["id"]
    text = signing.compact({name: value for name, value in claims.items() if name not in ("iss", "jti", "nbf", "sub")})
    assert stored(signed).document.decode().startswith(text[:-1] + ',"proof":')


def test_I04_a_token_made_again_is_the_same_bytes(signed):
    first = jwt_of(signed.tool, signed.edition_id)
    forget(signed)
    assert jwt_of(signed.tool, signed.edition_id) == first


def test_I07_a_token_made_after_a_rotation_is_signed_with_the_key_of_its_time(signed):
    before = jwt_of(signed.tool, signed.edition_id)
    forget(signed)
    folder = Path(signed.tool.settings.keys.dir)
    made = make_key(folder, "rsa", now() + timedelta(days=1))
    try:
        assert signed.tool.keyring.rsa.kid == made.kid
        assert jwt_of(signed.tool, signed.edition_id) == before
    finally:
        next(folder.glob(f"credentials-rsa-{now() + timedelta(days=1):%Y%m%d}*.pem")).unlink()


def test_J08_a_token_is_answered_while_the_database_takes_no_write(signed, monkeypatch):
    monkeypatch.setattr(db, "BUSY_TIMEOUT", 0.05)
    with signed.tool.db.turn():
        token = jwt_of(signed.tool, signed.edition_id)
    assert jwt_of(signed.tool, signed.edition_id) == token


def test_what_is_not_signed_has_no_token(signed):
    with pytest.raises(NotFound):
        jwt_of(signed.tool, "0" * 32)
    with signed.tool.db.write() as session:
        unsigned = {"signed_at": None, "document": None}
        session.execute(update(Edition).where(Edition.id == signed.edition_id).values(**unsigned))
    with pytest.raises(NotFound):
        jwt_of(signed.tool, signed.edition_id)
