"""The tool's keys as people look after them: what there is, and a new one in the place of the one that signs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from lti_tool.errors import Conflict, SecretLost
from lti_tool.keyring import RETIRED_LTI_KEYS_STAY, Key, Keyring, load_keyring, make_key, make_sealing_key, sealing_keys
from lti_tool.models import Connection, Issuer, ShareLink
from lti_tool.sentence import Sentence
from lti_tool.services import audit
from lti_tool.services.tool import Tool

# What is rotated together: credentials are signed twice, with an Ed25519 and an RSA key.
SETS: dict[str, tuple[str, ...]] = {"lti": ("lti",), "credentials": ("ed25519", "rsa")}
KIND_WORDS = {
    "lti": Sentence("RSA, for LTI"),
    "ed25519": Sentence("Ed25519, for Data Integrity proofs"),
    "rsa": Sentence("RSA, for VC-JWT"),
}

OLD = timedelta(days=2 * 365)  # of a key that signs credentials: it is said, and nothing fails by it


@dataclass(frozen=True)
class KeyRow:
    """A key. `state` is signs, published (retired, its public key is still shown) or hidden (shown no more)."""

    kid: str
    kind: str
    words: str
    state: str
    created: datetime
    retired: datetime | None
    shown_until: datetime | None  # None: for ever


def listing(keyring: Keyring, now: datetime) -> dict[str, tuple[KeyRow, ...]]:
    """Return all keys by the set they are rotated in, each kind newest first."""
    return {name: tuple(_row(key, now) for kind in kinds for key in keyring.of(kind)) for name, kinds in SETS.items()}


def _row(key: Key, now: datetime) -> KeyRow:
    shown_until = key.retired + RETIRED_LTI_KEYS_STAY if key.kind == "lti" and key.retired is not None else None
    state = "signs" if key.retired is None else "hidden" if shown_until and shown_until <= now else "published"
    return KeyRow(key.kid, key.kind, KIND_WORDS[key.kind], state, key.created, key.retired, shown_until)


def all_keys(folder: Path, now: datetime) -> list[dict[str, str | None]]:
    """Return every key of a folder as the command prints it, also those that seal secrets; none where there are none.

    `kid` of a sealing key is a part of its digest: it is named nowhere else."""
    if not any(folder.glob("*.pem")):
        return []
    keyring = load_keyring(folder, now)
    rows: list[dict[str, str | None]] = [
        {
            "kind": key.kind,
            "kid": key.kid,
            "state": "signs" if key.retired is None else "retired" if key.private is not None else "public half",
            "created": key.created.isoformat(),
            "retired": key.retired.isoformat() if key.retired else None,
        }
        for key in keyring.keys
    ]
    retired: datetime | None = None
    for kid, created in sealing_keys(folder):
        rows.append(
            {
                "kind": "secrets",
                "kid": kid,
                "state": "seals" if retired is None else "opens",
                "created": created.isoformat(),
                "retired": retired.isoformat() if retired else None,
            }
        )
        retired = created
    return rows


def age(keyring: Keyring, now: datetime) -> str:
    """Say since when the keys that sign credentials do, and what to do about old ones."""
    since = min(keyring.of(kind)[0].created for kind in SETS["credentials"])
    days = (now - since).days
    told = f"those for credentials sign since {since:%Y-%m-%d}"
    if now - since > OLD:
        return f"{told}, for {days} days: a good moment for lti-tool keys rotate credentials"
    return told


def signing(keyring: Keyring, name: str) -> str:
    """Return the ids of the keys of a set that sign now, as one word: what a page shows is what it rotates."""
    return ".".join(keyring.of(kind)[0].kid for kind in SETS[name])


def rotate(tool: Tool, name: str, *, actor: str, now: datetime, instead_of: str | None = None) -> list[Key]:
    """Make new keys of a set, which sign at once; the ones before are kept. Returns the new ones.

    `instead_of` is what `signing` gave to whoever decided: raises Conflict where somebody was quicker."""
    folder = Path(tool.settings.keys.dir)
    with tool.db.write() as session:
        session.execute(select(Issuer.id).with_for_update())  # one rotation at a time, on several machines too
        before = load_keyring(folder, now)
        if instead_of is not None and instead_of != signing(before, name):
            raise Conflict(
                sentence=Sentence("These keys were rotated in the meantime, so nothing was done."),
                what_to_do=Sentence("Look at how they stand now."),
            )
        made = [make_key(folder, kind, now) for kind in SETS[name]]
        for key in made:
            old = before.of(key.kind)[0].kid
            audit.record(session, now, actor, "key.rotated", f"key:{key.kid}", kind=key.kind, instead_of=old)
    return made


def rotate_sealing(tool: Tool, *, actor: str, now: datetime) -> int:
    """Make a new key that seals secrets, and seal all stored ones anew with it; returns how many.

    The key before is kept: a backup of the database may still need it. Raises SecretLost, and changes no secret, where
    one cannot be opened."""
    folder = Path(tool.settings.keys.dir)
    with tool.db.write() as session:
        session.execute(select(Issuer.id).with_for_update())  # one rotation at a time, on several machines too
        rows = list(session.scalars(select(Connection).order_by(Connection.id).with_for_update()))
        links = list(session.scalars(select(ShareLink).order_by(ShareLink.id).with_for_update()))
        before = load_keyring(folder, now)
        for row in rows:
            before.unseal(row.secrets)
        make_sealing_key(folder, now)
        keyring = load_keyring(folder, now)
        for row in rows:
            row.secrets = keyring.resealed(row.secrets)
        for link in links:
            with suppress(SecretLost):  # its learner cannot copy it again, and it opens all the same
                link.sealed = keyring.resealed(link.sealed)
        audit.record(session, now, actor, "key.rotated", "key:secrets", kind="secrets", sealed=len(rows))
    return len(rows)
