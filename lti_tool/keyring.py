"""The tool's private keys: RSA for LTI, Ed25519 and RSA for credentials. A key id is its RFC 7638 thumbprint.

A key is a file `<kind>-<made>.pem` in `keys.dir`, mode 0600. The newest of a kind signs. Older ones are retired, and
stay: LTI keys are published for seven more days, credential keys for ever (a credential of ten years ago must verify).
A credential key whose private half stayed elsewhere, as after an import, is a file `<kind>-<made>.pub`.

Beside them, `secrets-<made>.key` seals what the tool must keep and nobody may read: tokens of other systems.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from lti_tool.errors import ConfigurationError, SecretLost

KINDS = {"lti": "lti", "ed25519": "credentials-ed25519", "rsa": "credentials-rsa"}
SEALING = "secrets"
RETIRED_LTI_KEYS_STAY = timedelta(days=7)
MADE = "%Y%m%dT%H%M%S%fZ"

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class Key:
    """One key pair, or its public half alone (`private` is None). `retired` is when another key took over."""

    kid: str
    kind: str
    private: Any  # PrivateKey; Any, so that a caller who knows the kind needs no cast
    created: datetime
    retired: datetime | None = None
    public_half: Any = None  # of a key whose private half is not here

    @property
    def public(self) -> Any:
        return self.private.public_key() if self.private is not None else self.public_half

    def public_jwk(self) -> dict[str, str]:
        """Return the bare public JWK (RFC 7517) with kid, use and alg."""
        alg = "EdDSA" if self.kind == "ed25519" else "RS256"
        return {**_jwk_members(self.public), "kid": self.kid, "use": "sig", "alg": alg}


@dataclass(frozen=True)
class Keyring:
    """All keys of an installation, each kind newest first; those that cannot sign come last."""

    keys: tuple[Key, ...]
    sealing: tuple[bytes, ...] = field(default=(), repr=False)  # newest first; the newest seals, all open

    def seal(self, secrets: Mapping[str, str]) -> str:
        """Return secrets as they may lie in the database: encrypted and signed (Fernet, AES-128-CBC with HMAC)."""
        return self._box().encrypt(json.dumps(dict(secrets)).encode()).decode()

    def unseal(self, sealed: str) -> dict[str, str]:
        """Return what `seal` was given; raises SecretLost where no key of today opens it."""
        try:
            opened: dict[str, str] = json.loads(self._box().decrypt(sealed.encode()))
        except InvalidToken:
            raise SecretLost("no key opens it: was keys.dir restored without its secrets-*.key?") from None
        return opened

    def resealed(self, sealed: str) -> str:
        """Return the same secrets under the newest key; raises SecretLost."""
        return self.seal(self.unseal(sealed))

    def known_by(self, told: str) -> tuple[str, ...]:
        """Return keyed hashes (HMAC-SHA-256) of a text, by the newest sealing key and by each older one.

        Kept instead of the text they let it be recognised, and only by whoever has the key."""
        return tuple(hmac.new(key, told.encode(), hashlib.sha256).hexdigest() for key in self.sealing)

    def _box(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self.sealing])

    def of(self, kind: str) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if key.kind == kind)

    @property
    def lti(self) -> Key:
        return self.of("lti")[0]

    @property
    def ed25519(self) -> Key:
        return self.of("ed25519")[0]

    @property
    def rsa(self) -> Key:
        return self.of("rsa")[0]

    def published_lti(self, now: datetime) -> tuple[Key, ...]:
        """Return the keys an LMS may still meet in a token of ours."""
        return tuple(k for k in self.of("lti") if k.retired is None or now - k.retired < RETIRED_LTI_KEYS_STAY)

    def credential_key(self, kid: str) -> Key | None:
        return next((k for k in self.keys if k.kid == kid and k.kind != "lti"), None)


def load_keyring(folder: Path, now: datetime) -> Keyring:
    """Read the keys of a folder, making the first of each kind where there is none.

    Raises ConfigurationError, with the command that mends it, for a file others can read, an empty file, or a key of
    another kind than its name says."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind in KINDS:
        if not _files(folder, kind):
            make_key(folder, kind, now)
    if not _sealing_files(folder):
        make_sealing_key(folder, now)
    keys = tuple(key for kind in KINDS for key in _load_kind(folder, kind))
    return Keyring(keys, tuple(_read_sealing(path) for path in _sealing_files(folder)))


def make_key(folder: Path, kind: str, now: datetime) -> Key:
    """Make a key of a kind and write its file, readable by us alone. It takes over from the one before."""
    private: PrivateKey = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / f"{KINDS[kind]}-{now.strftime(MADE)}.pem", pem)
    return Key(thumbprint(private.public_key()), kind, private, now)


def make_sealing_key(folder: Path, now: datetime) -> None:
    """Make a key that seals secrets from now on. What older ones sealed can still be opened."""
    _write(folder / f"{SEALING}-{now.strftime(MADE)}.key", Fernet.generate_key() + b"\n")


def _write(path: Path, content: bytes) -> None:
    # Written under another name first, so that a process starting meanwhile never reads half a key.
    part = path.with_suffix(f".{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def thumbprint(public: PublicKey) -> str:
    """Return the RFC 7638 thumbprint: SHA-256 of the required members in order, base64url without padding."""
    text = json.dumps(_jwk_members(public), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def keep_public(folder: Path, kind: str, public_pem: bytes, created: datetime) -> None:
    """Keep the public half of a credential key that signed elsewhere, so that what it signed goes on verifying."""
    if kind not in ("ed25519", "rsa"):
        raise ValueError(f"no public half of {kind} is kept")
    path = folder / f"{KINDS[kind]}-{created.strftime(MADE)}.pub"
    if not path.exists():
        _write(path, public_pem)


def public_pem(key: Key) -> bytes:
    pem: bytes = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def sealing_keys(folder: Path) -> list[tuple[str, datetime]]:
    """Return what the sealing keys can be told apart by, and when each was made, newest first."""
    found = []
    for path in _sealing_files(folder):
        name = hashlib.sha256(_read_sealing(path)).hexdigest()[:16]
        found.append((name, _made(path, SEALING)))
    return found


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{KINDS[kind]}-*.pem"), reverse=True)


def _load_kind(folder: Path, kind: str) -> list[Key]:
    keys: list[Key] = []
    for path in _files(folder, kind):
        private = _read(path, kind)
        created = _made(path, KINDS[kind])
        retired = keys[-1].created if keys else None
        keys.append(Key(thumbprint(private.public_key()), kind, private, created, retired))
    known = {key.kid for key in keys}
    later = [key.created for key in keys]
    for path in sorted(folder.glob(f"{KINDS[kind]}-*.pub"), reverse=True):
        public = _read_public(path, kind)
        created = _made(path, KINDS[kind])
        retired = min((each for each in later if each > created), default=created)
        if (kid := thumbprint(public)) not in known:
            keys.append(Key(kid, kind, None, created, retired, public))
        later.append(created)
    return keys


def _made(path: Path, name: str) -> datetime:
    try:
        return datetime.strptime(path.stem.removeprefix(f"{name}-"), MADE).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(
            f"{path.name} does not say when it was made. Name it {name}-20261122T090000000000Z{path.suffix}"
        ) from None


def _read_public(path: Path, kind: str) -> PublicKey:
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, TypeError):
        raise ConfigurationError(f"The key {path} is not a public key in PEM form. Put its backup back") from None
    if not isinstance(public, ed25519.Ed25519PublicKey if kind == "ed25519" else rsa.RSAPublicKey):
        raise ConfigurationError(f"The key {path} is not of the kind its name says. Move it away: mv {path} {path}.bak")
    return public


def _sealing_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{SEALING}-*.key"), reverse=True)


def _read_sealing(path: Path) -> bytes:
    key = _content(path).strip()
    try:
        Fernet(key)
    except ValueError:
        raise ConfigurationError(
            f"The key {path} is not one that seals secrets. Put its backup back, or run: rm {path}"
        ) from None
    return key


def _content(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigurationError(f"The key {path} can be read by others (mode {mode:04o}). Run: chmod 600 {path}")
    content = path.read_bytes()
    if not content.strip():
        raise ConfigurationError(f"The key {path} is empty. Put its backup back, or if there is none run: rm {path}")
    return content


def _read(path: Path, kind: str) -> PrivateKey:
    pem = _content(path)
    try:
        private = _opened(pem)
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"The key {path} is not a private key in PEM form. Put its backup back, or run: rm {path}"
        ) from None
    wanted = ed25519.Ed25519PrivateKey if kind == "ed25519" else rsa.RSAPrivateKey
    if not isinstance(private, wanted):
        raise ConfigurationError(f"The key {path} is not of the kind its name says. Move it away: mv {path} {path}.bak")
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < 2048:
        raise ConfigurationError(f"The key {path} is shorter than 2048 bits. Move it away: mv {path} {path}.bak")
    return private


@lru_cache(maxsize=64)
def _opened(pem: bytes) -> PrivateKeyTypes:
    """Take a key out of its PEM, once in a process: each time OpenSSL tries whether its factors are primes (40 ms)."""
    return serialization.load_pem_private_key(pem, password=None)


def _jwk_members(public: PublicKey) -> dict[str, str]:
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    numbers = public.public_numbers()
    return {"e": _base64url(_big_endian(numbers.e)), "kty": "RSA", "n": _base64url(_big_endian(numbers.n))}


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
