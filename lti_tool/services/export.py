"""An export: everything an institution needs to leave, as files that are good without this program.

    manifest.json     what it is, how much of it, and every public key; written last, so that none is half of one
    SHA256SUMS        the digest of every other file, as `sha256sum --check` reads it
    public/           what anybody may see, at its own addresses: behind any web server credentials go on verifying
    private/          credentials that their learners have not made public or have taken back, and what others say
                      for those that have no public page, by id
    definitions/      every version of every badge as a definition file, with its picture
    tables/           the rows, one JSON object a line, without what is named next
    personal/         names, e-mail addresses and student numbers, and a learner's own words in her credential, by the
                      ids of the rows; files handed in as evidence
    audit.jsonl       who did what
    keys/             the private keys, where they were asked for

Rows and files are written as they are read: memory does not grow with the number of awards."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Column, LargeBinary, Table, Text, func, select, type_coerce
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool import __version__
from lti_tool.credentials import ob3
from lti_tool.db import Compressed, Said, UtcDateTime
from lti_tool.domain.badge import badge_from_content
from lti_tool.errors import BadInput
from lti_tool.keyring import Key, public_pem
from lti_tool.migrations import schema
from lti_tool.models import AchievementVersion, Award, Base, Edition, Endorsement, EvidenceFile, Issuer, StatusList
from lti_tool.sentence import Sentence
from lti_tool.services import audit, hosted, status_lists, still_shown
from lti_tool.services.definition import write_definition
from lti_tool.services.editions import achievement_of
from lti_tool.services.issuer import did_document, issuer_profile, issuer_row
from lti_tool.services.tokens import jwt_made
from lti_tool.services.tool import Tool

FORMAT = 1
AT_A_TIME = 200
CHUNK = 1 << 20
MANIFEST, SUMS, AUDIT = "manifest.json", "SHA256SUMS", "audit.jsonl"
# What passes: sign-ins, open launches, work that is due, files that are kept for a day, counts, and what is made again.
LEFT_OUT = frozenset(
    {
        *("admin_session", "binding_code", "browser", "connection_request", "invite", "launch", "login", "message"),
        *("sign_in_address", "award_file", "source_file", "framework_file", "source_seen", "signed_status_list"),
        *("figure", "job", "platform_load", "presence", "mail", "mail_server"),
        *("oauth_client", "oauth_code", "oauth_grant", "oauth_request", "oauth_token", "used_nonce", "wallet_offer"),
        *("own_address_request", "own_link", "own_link_request", "own_reminder", "own_session"),
    }
)
WITH_KEYS = frozenset({"connection", "share_link"})  # sealed: good for nothing without its key
PERSONAL = {
    "person": ("name", "email", "sis_id", "shown_name"),
    "administrator": ("name", "email"),
    "rights_request": ("wanted", "reason"),
    "erasure": ("before",),
    "own_address": ("address",),
}
PERSONAL_PARTS = {"edition": {"choices": ("name", "narrative")}}  # members of what else is one value
BESIDE = {"edition": ("document", "jwt")}  # in files of their own, byte for byte


@dataclass(frozen=True)
class Summary:
    """What was written, or taken over."""

    directory: str
    awards: int
    credentials: int
    achievements: int
    people: int
    audit_entries: int
    files: int
    size: int  # bytes
    keys: bool  # the private ones are in it


def tables(*, with_keys: bool) -> list[Table]:
    """Return the tables whose rows go along, those first that others point to."""
    left_out = LEFT_OUT if with_keys else LEFT_OUT | WITH_KEYS
    return [table for table in Base.metadata.sorted_tables if table.name not in left_out]


def write(tool: Tool, folder: Path, now: datetime, *, with_keys: bool = False) -> Summary:
    """Write an export into a new or empty folder, as everything stood at one moment; the tool may run meanwhile.

    Folder and files are their owner's alone."""
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(
            sentence=Sentence("%(folder)s is not empty.", folder=str(folder)),
            what_to_do=Sentence("Name a new folder: an export never mixes with what is there."),
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _Writer(folder).open() as out, tool.db.read() as session:
        if not tool.db.is_sqlite:  # SQLite's transactions see one moment anyway
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        counts = {table.name: _rows(out, session, table) for table in tables(with_keys=with_keys)}
        credentials = _credentials(out, session, tool)
        achievements = _achievements(out, session, tool)
        _issuer(out, session, tool)
        _status_lists(out, session, tool, now)
        _evidence(out, session, tool)
        if with_keys:
            _keys(out, tool)
        out.text("README.txt", README)
        summary = Summary(
            directory=str(folder),
            awards=counts["award"],
            credentials=credentials,
            achievements=achievements,
            people=counts["person"],
            audit_entries=counts["audit_event"],
            files=out.files + 2,
            size=out.size,
            keys=with_keys,
        )
        issuer = issuer_row(session).did
    manifest = {
        "format": FORMAT,
        "made_at": now.isoformat(),
        "version": __version__,
        "schema": schema.current(tool.db),
        "issuer": issuer,
        "base_url": tool.settings.base_url,
        "counts": {name: value for name, value in asdict(summary).items() if name not in ("directory", "keys")},
        "rows": counts,
        "with_keys": with_keys,
        "public_keys": [_public(key) for kind in ("ed25519", "rsa") for key in tool.keyring.of(kind)],
        "sums": hashlib.sha256((folder / SUMS).read_bytes()).hexdigest(),
    }
    _new_file(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    with tool.db.write() as session:
        told = {"awards": summary.awards, "credentials": summary.credentials, "keys": with_keys}
        audit.record(session, now, audit.OPERATOR, "database.exported", "database:1", **told)
    return summary


def _public(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "kid": key.kid, "created": key.created.isoformat(), "pem": public_pem(key).decode()}


# -- files ------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes files into a folder, and the digest of each into SHA256SUMS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = self.size = 0
        self._made: set[Path] = set()

    @contextmanager
    def open(self) -> Iterator[_Writer]:
        with _new(self.folder / SUMS) as self._sums:
            yield self

    def bytes(self, name: str, content: bytes) -> None:
        _new_file(self._place(name), content)
        self._count(name, hashlib.sha256(content).hexdigest(), len(content))

    def copy(self, name: str, source: Path) -> None:
        """Write what a file holds, a part at a time; nothing where it is not there."""
        digest, size = hashlib.sha256(), 0
        with suppress(FileNotFoundError), source.open("rb") as opened, _new(self._place(name)) as file:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            self._count(name, digest.hexdigest(), size)

    def text(self, name: str, content: str) -> None:
        self.bytes(name, content.encode())

    def json(self, name: str, value: Any) -> None:
        self.text(name, json.dumps(value, ensure_ascii=False, indent=1))

    @contextmanager
    def lines(self, name: str) -> Iterator[Callable[[Any], None]]:
        """Give a function that adds one JSON value as a line."""
        digest, size = hashlib.sha256(), 0
        with _new(self._place(name)) as file:

            def add(value: Any) -> None:
                nonlocal size
                line = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
                digest.update(line)
                size += len(line)
                file.write(line)

            yield add
        self._count(name, digest.hexdigest(), size)

    def _place(self, name: str) -> Path:
        path = self.folder / name
        if path.parent not in self._made:
            for each in reversed([path.parent, *path.parent.parents]):
                if each.is_relative_to(self.folder):
                    each.mkdir(mode=0o700, exist_ok=True)
            self._made.add(path.parent)
        return path

    def _count(self, name: str, digest: str, size: int) -> None:
        self._sums.write(f"{digest}  {name}\n".encode())
        self.files += 1
        self.size += size


def _new(path: Path) -> BinaryIO:
    """Open a new file that its owner alone can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _new_file(path: Path, content: bytes) -> None:
    with _new(path) as file:
        file.write(content)


# -- rows -------------------------------------------------------------------------------------------------------


def _rows(out: _Writer, session: Session, table: Table) -> int:
    beside, personal = BESIDE.get(table.name, ()), PERSONAL.get(table.name, ())
    parts = PERSONAL_PARTS.get(table.name, {})
    columns = [column for column in table.columns if column.name not in beside]
    keys = [column.name for column in table.primary_key]
    query = select(*[_as_kept(column) for column in columns]).order_by(*table.primary_key)
    count = 0
    with out.lines(AUDIT if table.name == "audit_event" else f"tables/{table.name}.jsonl") as add:
        if not personal and not parts:
            for row in _stream(session, query):
                add({c.name: to_json(c, value) for c, value in zip(columns, row, strict=True)})
                count += 1
            return count
        with out.lines(f"personal/{table.name}.jsonl") as add_personal:
            for row in _stream(session, query):
                values = {c.name: to_json(c, value) for c, value in zip(columns, row, strict=True)}
                told = {name: values[name] for name in (*keys, *personal)}
                for column, names in parts.items():
                    told[column] = {name: values[column][name] for name in names if name in values[column]}
                    values[column] = {name: each for name, each in values[column].items() if name not in names}
                add_personal(told)
                add({name: value for name, value in values.items() if name not in personal})
                count += 1
    return count


def _stream(session: Session, query: Any) -> Iterator[Any]:
    return iter(session.execute(query.execution_options(yield_per=AT_A_TIME)))


def _as_kept(column: Column[Any]) -> Any:
    """Return a column as its text stands in the table: what the tool has said keeps its parts."""
    return type_coerce(column, Text()).label(column.name) if isinstance(column.type, Said) else column


def to_json(column: Column[Any], value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def from_json(column: Column[Any], value: Any) -> Any:
    """Return what `to_json` was given."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    if isinstance(column.type, LargeBinary | Compressed):
        return base64.b64decode(value)
    return value


# -- what is good without this program --------------------------------------------------------------------------


def credential_file(edition_id: str, form: str, *, public: bool) -> str:
    return f"{'public' if public else 'private'}/credentials/{edition_id}.{form}"


def _credentials(out: _Writer, session: Session, tool: Tool) -> int:
    """Write each signed credential in both forms, the token too where nobody has asked for it yet.

    Public are those that the tool itself gives to everybody: not what a learner has taken out of hers since. Beside
    them the Open Badges 2.0 view of those that have a page."""
    version = joinedload(Edition.award).joinedload(Award.version).joinedload(AchievementVersion.achievement)
    query = select(Edition).where(Edition.signed_at.is_not(None)).order_by(Edition.id)
    count = 0
    for (edition,) in _stream(session, query.options(undefer(Edition.document), undefer(Edition.jwt), version)):
        page = edition.award.page_public
        told = (edition.award_id, edition.choices, edition.withdrawn_at)
        public = page and still_shown.of_choices(session, *told).whole
        if edition.document is not None and edition.signed_at is not None:
            token = edition.jwt or jwt_made(tool.keyring, edition.document, edition.signed_at)
            for form, content in (("json", edition.document), ("jwt", token)):
                out.bytes(credential_file(edition.id, form, public=public), content)
        if page:
            out.json(f"public/ob2/assertions/{edition.id}", hosted.assertion(tool, edition).document)
        session.expunge(edition)
        count += 1
    return count


def _achievements(out: _Writer, session: Session, tool: Tool) -> int:
    profile = issuer_profile(session, tool)
    pictures = undefer(AchievementVersion.picture_png), undefer(AchievementVersion.picture_svg)
    query = select(AchievementVersion).options(joinedload(AchievementVersion.achievement), *pictures)
    count = 0
    for (version,) in _stream(session, query.order_by(AchievementVersion.id)):
        place = f"{version.achievement.slug}/v{version.number}"
        out.text(f"definitions/{place}.toml", write_definition(badge_from_content(version.definition)))
        out.json(f"public/achievements/{place}.json", ob3.stand_alone(achievement_of(tool, version, profile)))
        out.json(f"public/ob2/badges/{place}", hosted.badge_class(tool, version))
        for folder in ("definitions", "public/achievements"):
            out.bytes(f"{folder}/{place}.png", version.picture_png)
            if version.picture_svg is not None:
                out.text(f"{folder}/{place}.svg", version.picture_svg)
        session.expunge(version)
        count += 1
    return count


def _issuer(out: _Writer, session: Session, tool: Tool) -> None:
    row = issuer_row(session)
    out.json("public/.well-known/did.json", did_document(tool))
    out.json(f"public/issuers/{row.slug}.json", ob3.issuer_profile(issuer_profile(session, tool)))
    out.json(f"public/ob2/issuers/{row.slug}", hosted.issuer(tool, row.slug))
    said = select(Endorsement.id, Endorsement.document, Award.page_public).outerjoin(
        Award, Award.id == Endorsement.award_id
    )
    for endorsement_id, document, page in _stream(session, said):
        if document:  # nothing is left of one about somebody who was erased
            folder = "private" if page is False else "public"
            out.bytes(f"{folder}/endorsements/{endorsement_id}.json", document)
    logo = session.scalar(select(Issuer.logo).where(Issuer.logo_at.is_not(None)))
    if logo is not None:
        out.bytes(f"public/issuers/{row.slug}/logo.png", logo)
    for key in (*tool.keyring.of("ed25519"), *tool.keyring.of("rsa")):
        out.json(f"public/keys/{key.kid}", key.public_jwk())


def _status_lists(out: _Writer, session: Session, tool: Tool, now: datetime) -> None:
    for number in session.scalars(select(StatusList.id).order_by(StatusList.id)):
        out.bytes(f"public/status/{number}", status_lists.status_list_json(tool, number, now))


def evidence_file(place: str) -> str:
    return f"personal/evidence/{place}"


def _evidence(out: _Writer, session: Session, tool: Tool) -> None:
    """Write the files of evidence. None is public here: another server would show them as pages, and run them."""
    for (place,) in _stream(session, select(EvidenceFile.place).where(EvidenceFile.place.is_not(None))):
        out.copy(evidence_file(place), tool.settings.evidence_folder / place)


def _keys(out: _Writer, tool: Tool) -> None:
    for path in sorted(Path(tool.settings.keys.dir).iterdir()):
        if path.suffix in (".pem", ".key", ".pub"):
            out.bytes(f"keys/{path.name}", path.read_bytes())


def nothing_in(session: Session) -> str:
    """Return the name of a table that has rows although nothing was ever done here; empty where there is none."""
    filled_by_itself = ("issuer", "audit_event")
    for table in tables(with_keys=True):
        if table.name not in filled_by_itself and session.scalar(select(func.count()).select_from(table)):
            return table.name
    return ""


README = """Open Badges of one institution, exported from lti-tool.

public/       Put this folder at the root of the web address that stands in the credentials, and they go on verifying:
              the DID document, the keys, the status lists, what each badge stands for, and the credentials that their
              learners have made public. The files have no ending where the address has none: keys/, status/ are JSON.
private/      Credentials that are nobody's business but their learner's, with what others say for them. Do not publish
              them.
personal/     Names, e-mail addresses and student numbers, what learners say in their own words, and the files that they
              handed in as evidence. Leave this folder out where they are not wanted: a credential goes on saying what
              it was signed with.
definitions/  Every version of every badge, with its picture.
tables/       The rest as rows, for `lti-tool import`.

`sha256sum --check SHA256SUMS` tells whether every file is as it was written.
`lti-tool import` takes all of it into an empty installation that has the same web address.
"""
