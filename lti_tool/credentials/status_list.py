"""Revocation: one bit per credential in a signed, compressed list that anyone may fetch.

https://www.w3.org/TR/vc-bitstring-status-list/
"""

from __future__ import annotations

import base64
import binascii
import gzip
import secrets
import zlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from lti_tool.credentials.contexts import VC
from lti_tool.credentials.ob3 import IssuerProfile, instant
from lti_tool.credentials.signing import sign_document
from lti_tool.keyring import Key

ENTRIES = 131_072  # the least the specification allows, so that a request does not tell which credential is looked at
LARGEST_LIST = 16 * 1024 * 1024  # bytes after decompression: 134 million entries, far above any list met
TIME_TO_LIVE = 60_000  # milliseconds

Json = dict[str, Any]


class StatusListUnreadable(ValueError):
    """A list that cannot be read, is too short, too large, or has no such index: the status is unknown, not good."""


def status_list_address(base_url: str, n: int) -> str:
    return f"{base_url}/status/{n}"


def status_list_credential(
    n: int,
    revoked_indexes: Iterable[int],
    *,
    issuer: IssuerProfile,
    base_url: str,
    valid_from: datetime,
    ed25519: Key,
    created: datetime | None = None,
) -> bytes:
    """Return status list `n`, signed, as compact JSON. `valid_from` is also the proof's time unless `created` is."""
    address = status_list_address(base_url, n)
    document: Json = {
        "@context": [VC],
        "id": address,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer.did,
        "validFrom": instant(valid_from),
        "credentialSubject": {
            "id": f"{address}#list",
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": encode_list(revoked_indexes),
            "ttl": TIME_TO_LIVE,
        },
    }
    return sign_document(document, ed25519=ed25519, created=created or valid_from)


def encode_list(revoked_indexes: Iterable[int], entries: int = ENTRIES) -> str:
    """Return the bits, index 0 in the most significant bit, as gzip in multibase base64url; ValueError off the list."""
    bits = bytearray(entries // 8)
    for index in revoked_indexes:
        if not 0 <= index < entries:
            raise ValueError(f"no index {index} in a list of {entries}")
        bits[index >> 3] |= 0x80 >> (index & 7)
    # mtime=0: the same bits are the same text
    packed = gzip.compress(bytes(bits), mtime=0)
    return "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_bit(encoded_list: str, index: int) -> bool:
    """Tell whether an index of somebody's list is set; raises StatusListUnreadable.

    At most 16 MiB are unpacked: a list from outside may be a gzip bomb."""
    bits = _unpack(encoded_list)
    if len(bits) * 8 < ENTRIES:
        raise StatusListUnreadable(f"a list of {len(bits) * 8} entries is shorter than {ENTRIES}")
    if not 0 <= index < len(bits) * 8:
        raise StatusListUnreadable(f"no index {index} in a list of {len(bits) * 8}")
    return bool(bits[index >> 3] & (0x80 >> (index & 7)))


def pick_indexes(used: Collection[int], count: int, size: int = ENTRIES) -> list[int]:
    """Return `count` free indexes at random, so that neighbours tell nothing; ValueError where too few are free."""
    taken = set(used)
    if count > size - len(taken):
        raise ValueError(f"a list of {size} has no room for {count} more")
    if (len(taken) + count) * 2 > size:  # nearly full: draw from what is left instead of trying again and again
        free = [index for index in range(size) if index not in taken]
        return secrets.SystemRandom().sample(free, count)
    picked: list[int] = []
    while len(picked) < count:
        index = secrets.randbelow(size)
        if index not in taken:
            taken.add(index)
            picked.append(index)
    return picked


def _unpack(encoded_list: str) -> bytes:
    if not isinstance(encoded_list, str) or not encoded_list.startswith("u"):
        raise StatusListUnreadable("not multibase base64url")
    body = encoded_list[1:]
    try:
        packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        reader = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        bits = reader.decompress(packed, LARGEST_LIST)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise StatusListUnreadable(f"not a compressed list: {error}") from error
    if reader.unconsumed_tail:
        raise StatusListUnreadable(f"a list of more than {LARGEST_LIST} bytes")
    if not reader.eof:
        raise StatusListUnreadable("a compressed list that breaks off")
    return bits
