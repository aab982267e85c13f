"""Our own key set (L04)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lti_tool.keyring import Keyring
from lti_tool.lti.jwks import public_jwks
from tests.lti.room import make_key


def test_l04_a_rotated_key_stays_published_for_seven_days_and_the_new_one_stands_first():
    now = datetime.now(UTC)
    new = replace(make_key(), created=now)
    old = replace(make_key(), created=now - timedelta(days=90), retired=now)
    keyring = Keyring((new, old))

    def published(moment):
        return [jwk["kid"] for jwk in public_jwks(keyring.published_lti(moment))["keys"]]

    assert published(now) == [new.kid, old.kid]
    assert published(now + timedelta(days=6, hours=23)) == [new.kid, old.kid]
    assert published(now + timedelta(days=7)) == [new.kid]


def test_l08_the_key_set_holds_nothing_private():
    (jwk,) = public_jwks([make_key()])["keys"]
    assert set(jwk) == {"kty", "n", "e", "kid", "use", "alg"}
