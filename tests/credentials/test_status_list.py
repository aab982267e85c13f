"""Revocation lists: the right bit, signed, and no list from outside that harms."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.credentials import signing
from lti_tool.credentials.status_list import (
    ENTRIES,
    LARGEST_LIST,
    StatusListUnreadable,
    encode_list,
    pick_indexes,
    read_bit,
    status_list_credential,
)
from tests.credentials import examples


def signed(revoked: set[int], **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "issuer": examples.issuer(),
        "base_url": examples.BASE,
        "valid_from": examples.CREATED,
        "ed25519": examples.ed25519_key(),
    }
    return status_list_credential(1, revoked, **{**values, **changes})


def packed(raw: bytes) -> str:
    return "u" + base64.urlsafe_b64encode(gzip.compress(raw)).rstrip(b"=").decode()


@given(st.sets(st.integers(0, ENTRIES - 1), max_size=20))
def test_i09_exactly_the_revoked_indexes_are_set(revoked: set[int]) -> None:
    encoded = encode_list(revoked)
    assert all(read_bit(encoded, index) for index in revoked)
    near = {index + 1 for index in revoked if index + 1 < ENTRIES} | {0, ENTRIES - 1}
    assert not any(read_bit(encoded, index) for index in near - revoked)


def test_index_0_is_the_most_significant_bit_of_the_first_byte() -> None:
    text = encode_list([0, 9])[1:]
    bits = gzip.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert (bits[0], bits[1]) == (0b1000_0000, 0b0100_0000)


def test_i11_the_list_has_131072_entries_and_lives_a_minute() -> None:
    subject = json.loads(signed(set()))["credentialSubject"]
    assert subject["ttl"] == 60_000
    assert subject["statusPurpose"] == "revocation"
    assert not read_bit(subject["encodedList"], 131_071)
    with pytest.raises(StatusListUnreadable):
        read_bit(subject["encodedList"], 131_072)


def test_the_list_is_signed_as_a_credential_is() -> None:
    document = json.loads(signed({5}))
    assert signing.verify_proof(document, examples.ed25519_key().public)
    document["credentialSubject"]["encodedList"] = encode_list([])
    assert not signing.verify_proof(document, examples.ed25519_key().public)


def test_i04_the_same_list_is_the_same_bytes_in_any_order_of_indexes() -> None:
    assert signed({5, 9_000}) == signed({9_000, 5})
    packed_list = base64.urlsafe_b64decode(encode_list({5})[1:] + "==")
    assert packed_list[4:8] == bytes(4)  # gzip's field for the time of packing
    assert signed({5}) != signed({5}, created=examples.CREATED + timedelta(minutes=1))


@pytest.mark.parametrize("index", [-1, ENTRIES])
def test_an_index_off_the_list_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="no index"):
        encode_list([index])
    with pytest.raises(StatusListUnreadable):
        read_bit(encode_list([]), index)


def test_a_list_shorter_than_the_specification_allows_is_not_read() -> None:
    with pytest.raises(StatusListUnreadable, match="shorter"):
        read_bit(packed(bytes(ENTRIES // 8 - 1)), 0)


def test_a_longer_list_is_read() -> None:
    assert read_bit(packed(bytes(ENTRIES // 8) + b"\x01"), ENTRIES + 7)


def test_a_gzip_bomb_is_refused() -> None:
    bomb = packed(bytes(LARGEST_LIST + 1))
    assert len(bomb) < 100_000
    with pytest.raises(StatusListUnreadable, match="more than"):
        read_bit(bomb, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "H4sIAAAA",
        "z123",
        "u",
        "u!!!!",
        "uAAAA",
        None,
        5,
        encode_list([])[:-8],
        "u" + base64.urlsafe_b64encode(b"\x1f\x8b\x08" + bytes(40)).decode(),
    ],
)
def test_i10_what_is_no_list_is_never_read_as_not_revoked(text: Any) -> None:
    with pytest.raises(StatusListUnreadable):
        read_bit(text, 0)


@given(st.binary(max_size=200))
def test_i10_noise_is_never_read_as_not_revoked(raw: bytes) -> None:
    with pytest.raises(StatusListUnreadable):
        read_bit("u" + base64.urlsafe_b64encode(raw).decode(), 0)


def test_i11_indexes_are_random_unique_and_never_one_in_use() -> None:
    used = set(range(0, ENTRIES, 2))
    picked = pick_indexes(used, 500)
    assert len(set(picked)) == 500
    assert not used & set(picked)
    assert picked != sorted(picked)
    assert picked != pick_indexes(used, 500)


def test_the_last_free_indexes_are_found_and_then_there_is_no_room() -> None:
    used = set(range(100)) - {7, 42}
    assert sorted(pick_indexes(used, 2, size=100)) == [7, 42]
    with pytest.raises(ValueError, match="no room"):
        pick_indexes(used, 3, size=100)
