"""The public keys of platforms, kept: fetched once, again when a key id is not known, never lost to a bad answer.

Security Framework 1.0, 6.4: https://www.imsglobal.org/spec/security/v1p0/"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from lti_tool.errors import ServiceError
from lti_tool.http import Http
from lti_tool.lti.registration import Registration

log = logging.getLogger(__name__)

# Anybody can send unknown key ids: one makes us ask the platform once in this time, and all together so often. Below
# that, a key that the platform has just begun to use is found at once.
REFETCH_AFTER = timedelta(minutes=1)
MOST_IN_VAIN = 5
# A key the platform withdrew is trusted no longer than this, as long as the platform answers.
KEYS_ARE_FRESH = timedelta(hours=12)
# Canvas publishes three keys, about 1.5 kB.
LARGEST_JWKS = 256 * 1024
SMALLEST_KEY, LARGEST_KEY = 2048, 8192


@dataclass(frozen=True)
class StoredJwks:
    """A platform's key set as text, as it was received, so that all processes and restarts share it."""

    text: str
    fetched_at: datetime


@dataclass(frozen=True)
class _Known:
    keys: Mapping[str, RSAPublicKey]
    fetched_at: datetime
    url: str


class KeyCache:
    """Key objects of every platform, by registration and key id; safe to share between threads.

    `load(registration_id)` and `save(registration_id, stored)` keep the text where other processes find it."""

    def __init__(
        self,
        http: Http,
        *,
        load: Callable[[int], StoredJwks | None],
        save: Callable[[int, StoredJwks], None],
    ) -> None:
        self._http = http
        self._load = load
        self._save = save
        self._known: dict[int, _Known] = {}
        # By registration and key id asked for; None: when the platform could not be asked at all.
        self._in_vain: dict[int, dict[str | None, datetime]] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, registration: Registration, kid: str, now: datetime) -> RSAPublicKey | None:
        """Return the key with this id, or None where the platform does not publish it or cannot be asked.

        The key set is fetched where there is none, where it has grown old, and for an unknown key id: then at most
        once, and for a minute not again for the same one, nor for any where the platform could not be asked."""
        known = self._known.get(registration.id)
        kept = known.keys.get(kid) if known and known.url == registration.jwks_url else None
        if kept and known and _fresh(known, now):
            return kept
        with self._lock:
            lock = self._locks.setdefault(registration.id, threading.Lock())
        if not lock.acquire(blocking=kept is None):
            return kept  # old but good, and another launch is asking already: a platform that hangs stops nobody
        try:
            return self._look_again(registration, kid, now)
        finally:
            lock.release()

    def _look_again(self, registration: Registration, kid: str, now: datetime) -> RSAPublicKey | None:
        known = self._known.get(registration.id)
        if known is None or known.url != registration.jwks_url or kid not in known.keys or not _fresh(known, now):
            # Another process may have asked in the meantime.
            known = self._from_store(registration, known) or known
        if known and kid in known.keys and _fresh(known, now):
            return known.keys[kid]
        earlier = self._in_vain.get(registration.id, {})
        in_vain = {asked: at for asked, at in earlier.items() if now - at < REFETCH_AFTER}
        if kid not in in_vain and None not in in_vain and len(in_vain) < MOST_IN_VAIN:
            fetched = self._fetch(registration, now)
            if fetched is None or kid not in fetched.keys:
                in_vain[kid if fetched is not None else None] = now
            known = fetched or known
        self._in_vain[registration.id] = in_vain
        return known.keys.get(kid) if known else None

    def _from_store(self, registration: Registration, known: _Known | None) -> _Known | None:
        stored = self._load(registration.id)
        if stored is None or (
            known is not None and known.url == registration.jwks_url and stored.fetched_at <= known.fetched_at
        ):
            return None
        keys = parse_jwks(stored.text)
        if not keys:
            return None
        return self._keep(registration, keys, stored.fetched_at)

    def _fetch(self, registration: Registration, now: datetime) -> _Known | None:
        try:
            response = self._http.get(
                registration.jwks_url,
                headers={"Accept": "application/json"},
                max_bytes=LARGEST_JWKS,
                same_host_redirects=True,
                attempts=2,
                platform=registration.id,
            )
            text = response.body.decode("utf-8")
        except (ServiceError, UnicodeDecodeError) as error:
            # Cached keys stay as they are: an LMS whose key address is down can still be launched from.
            log.warning("keys of registration %s not read: %s", registration.id, error)
            return None
        keys, ambiguous = _read_jwks(text)
        if not keys:
            log.warning("keys of registration %s not read: no usable RSA key in the answer", registration.id)
            return None
        self._save(registration.id, StoredJwks(text, now))
        known = self._known.get(registration.id)
        if known is not None and known.url == registration.jwks_url:
            # An answer that says two things about a key takes nothing away from what was known of it.
            keys.update({kid: known.keys[kid] for kid in ambiguous if kid in known.keys})
        return self._keep(registration, keys, now)

    def _keep(self, registration: Registration, keys: Mapping[str, RSAPublicKey], fetched_at: datetime) -> _Known:
        known = _Known(keys, fetched_at, registration.jwks_url)
        self._known[registration.id] = known
        return known


def parse_jwks(text: str) -> dict[str, RSAPublicKey]:
    """Return the usable keys of a JWKS by key id; none for anything that is not one.

    Left out: keys that are not RSA, not for signing, not for RS256, broken, too short or too long, and a key id with
    two different keys, since it names neither."""
    return _read_jwks(text)[0]


def _read_jwks(text: str) -> tuple[dict[str, RSAPublicKey], set[str]]:
    """Return the usable keys, and the key ids that name more than one."""
    try:
        entries = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}, set()
    keys: dict[str, RSAPublicKey] = {}
    ambiguous: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        kid = entry.get("kid") if isinstance(entry, dict) else None
        key = _rsa_key(entry) if isinstance(kid, str) else None
        if not isinstance(kid, str) or key is None:
            continue
        if kid in keys and keys[kid].public_numbers() != key.public_numbers():
            ambiguous.add(kid)
        keys[kid] = key
    return {kid: key for kid, key in keys.items() if kid not in ambiguous}, ambiguous


def _rsa_key(entry: Mapping[str, Any]) -> RSAPublicKey | None:
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        modulus, exponent = _number(entry["n"]), _number(entry["e"])
        if not SMALLEST_KEY <= modulus.bit_length() <= LARGEST_KEY:
            return None
        return RSAPublicNumbers(exponent, modulus).public_key()
    except Exception:  # PyJWT's CVE-2026-102274 was a ValueError nobody expected here: any failure is "no such key"
        return None


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _fresh(known: _Known, now: datetime) -> bool:
    return now - known.fetched_at < KEYS_ARE_FRESH
