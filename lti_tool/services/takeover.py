"""Taking an export over into an empty installation: the same ids, the same bytes, the same addresses."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, MetaData, Table, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from lti_tool.credentials.ob3 import did_web
from lti_tool.errors import BadInput, ConfigurationError
from lti_tool.keyring import keep_public, load_keyring
from lti_tool.migrations import schema
from lti_tool.models import Issuer
from lti_tool.sentence import Sentence
from lti_tool.services import audit, export, revocations
from lti_tool.services.export import AUDIT, BESIDE, FORMAT, MANIFEST, PERSONAL, SUMS, Summary
from lti_tool.services.tool import Tool

AT_A_TIME = 500
CHUNK = 1 << 20
LONGEST_LINE = 64 * 1024 * 1024  # bytes: a row with a picture in it is far shorter
NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*")

Row = dict[str, Any]


@dataclass(frozen=True)
class _Export:
    """An export as its manifest describes it."""

    folder: Path
    manifest: dict[str, Any]

    def lines(self, name: str) -> Iterator[Row]:
        with (self.folder / name).open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                yield json.loads(line)


def take_over(tool: Tool, folder: Path, now: datetime) -> Summary:
    """Put an export into this installation, all or nothing.

    Every digest is looked at first. Raises BadInput for what is no whole export, or was changed, and ConfigurationError
    where this installation is not empty or has another address. Without `personal/` people have no names until they
    come back; without `keys/` the tool signs with its own new keys, and publishes the public half of the old ones."""
    found = _Export(folder, _manifest(folder))
    _refuse_other(tool, found)
    with tool.db.read() as session:
        table = export.nothing_in(session)
    if table:
        raise ConfigurationError(
            f"This installation is not empty: there are rows in {table}. An import needs a new database (see "
            "database.url), prepared by lti-tool db upgrade"
        )
    _check_sums(found)
    _keep_keys(tool, found, now)
    _keep_evidence(tool, found)
    with tool.db.write() as session:
        if export.nothing_in(session):
            raise ConfigurationError("Somebody else filled this installation at the same time")
        session.execute(delete(Issuer))
        for each in export.tables(with_keys=found.manifest["with_keys"]):
            _fill(session, found, each)
        counts = found.manifest["counts"]
        told = {"awards": counts["awards"], "credentials": counts["credentials"], "made_at": found.manifest["made_at"]}
        audit.record(session, now, audit.OPERATOR, "database.imported", "database:1", **told)
    # Places in the lists may have been given by the old installation since: this one begins others.
    revocations.keep(tool, now, went_back=True)
    return Summary(directory=str(folder), keys=bool(found.manifest["with_keys"]), **counts)


# -- what it is -------------------------------------------------------------------------------------------------


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        whole = {"format", "issuer", "base_url", "schema", "counts", "with_keys", "public_keys", "sums"}
        if isinstance(manifest, dict) and whole <= manifest.keys() and manifest["format"] == FORMAT:
            return manifest
    except (OSError, ValueError):
        pass
    raise BadInput(
        sentence=Sentence("%(folder)s is no whole export.", folder=str(folder)),
        what_to_do=Sentence("A folder that lti-tool export has finished holds a file manifest.json."),
    )


def _refuse_other(tool: Tool, found: _Export) -> None:
    if found.manifest["issuer"] != did_web(tool.settings.base_url):
        raise ConfigurationError(
            f"The export is of {found.manifest['base_url']}, and server.base_url is {tool.settings.base_url}. "
            "Credentials verify at their own address alone: set server.base_url to it"
        )
    if not schema.knows(str(found.manifest["schema"])):
        raise ConfigurationError(
            f"The export was written by a newer version (schema {found.manifest['schema']}). Install that version"
        )


def _check_sums(found: _Export) -> None:
    """Read every file once; raises BadInput for the first that is not as it was written."""
    sums = found.folder / SUMS
    if _digest(sums) != found.manifest["sums"]:
        raise _changed(SUMS)
    with sums.open(encoding="utf-8") as lines:
        for line in lines:
            digest, _, name = line.rstrip("\n").partition("  ")
            if not NAME.fullmatch(name) or ".." in name.split("/"):
                raise _changed(name)
            path = found.folder / name
            if name.startswith("personal/") and not path.exists():
                continue
            if _digest(path) != digest:
                raise _changed(name)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def _changed(name: str) -> BadInput:
    return BadInput(
        sentence=Sentence("%(name)s is missing, or is not as it was written.", name=name[:200]),
        what_to_do=Sentence("Nothing was imported. Copy the export again, whole."),
    )


# -- keys -------------------------------------------------------------------------------------------------------


def _keep_keys(tool: Tool, found: _Export, now: datetime) -> None:
    """Put the keys beside ours: private ones where the export holds them, the public half of the others."""
    folder = Path(tool.settings.keys.dir)
    if found.manifest["with_keys"]:
        for path in sorted((found.folder / "keys").iterdir()):
            if not (folder / path.name).exists():
                descriptor = os.open(folder / path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(path.read_bytes())
    known = {key.kid for key in load_keyring(folder, now).keys}
    for told in found.manifest["public_keys"]:
        if told["kid"] not in known:
            keep_public(folder, told["kind"], told["pem"].encode(), datetime.fromisoformat(told["created"]))


def _keep_evidence(tool: Tool, found: _Export) -> None:
    """Put the files of evidence where ours lie; one that the export leaves out is named by its row, and not there."""
    there = found.folder / export.evidence_file("")
    for source in sorted(there.glob("??/*")):
        path = tool.settings.evidence_folder / source.relative_to(there)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of an import that broke off
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with source.open("rb") as opened, os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(opened, file, CHUNK)


# -- rows -------------------------------------------------------------------------------------------------------


def _fill(session: Session, found: _Export, table: Table) -> None:
    name = AUDIT if table.name == "audit_event" else f"tables/{table.name}.jsonl"
    if not (found.folder / name).exists():
        return  # a table that came with a later version
    # Rows that point into their own table are pointed once all are there.
    own = [c for c in table.columns if any(key.column.table is table for key in c.foreign_keys)]
    into = _plain(table)
    later: list[Row] = []
    batch: list[Row] = []
    for row in _complete(found, table, found.lines(name)):
        unknown = row.keys() - table.columns.keys()
        if unknown:
            raise BadInput(sentence=Sentence("%(name)s is missing, or is not as it was written.", name=name))
        values = {column: export.from_json(table.columns[column], value) for column, value in row.items()}
        if table.name == "audit_event":
            values.pop("id")  # numbers of ours may be taken: preparing the database leaves entries
        if any(values.get(c.name) is not None for c in own):
            later.append({f"of_{c.name}": values[c.name] for c in (*table.primary_key, *own)})
            values |= {c.name: None for c in own}
        batch.append(values)
        if len(batch) >= AT_A_TIME:
            session.execute(insert(into), batch)
            batch = []
    if batch:
        session.execute(insert(into), batch)
    for row in later:
        here = [c == row[f"of_{c.name}"] for c in table.primary_key]
        session.execute(update(table).where(*here).values({c.name: row[f"of_{c.name}"] for c in own}))
    _count_on(session, table)


def _plain(table: Table) -> Table:
    """Return the table for inserting: nothing there is nothing there, also in a column of JSON."""
    columns = [Column(c.name, JSON(none_as_null=True) if isinstance(c.type, JSON) else c.type) for c in table.columns]
    return Table(table.name, MetaData(), *columns)


def _complete(found: _Export, table: Table, rows: Iterator[Row]) -> Iterator[Row]:
    """Give each row what stands elsewhere: names, and the signed files byte for byte."""
    name = f"personal/{table.name}.jsonl"
    there = (found.folder / name).exists()
    if table.name == "edition":
        signed = (_with_files(found, row) for row in rows)
        if there:
            return (_with_choices(row, told["choices"]) for row, told in zip(signed, found.lines(name), strict=True))
        return (_with_choices(row, _said_in(row["document"])) for row in signed)
    if table.name not in PERSONAL:
        return rows
    if not there:
        empty = dict.fromkeys(PERSONAL[table.name], "")
        return ({**row, **empty} for row in rows)
    return ({**row, **told} for row, told in zip(rows, found.lines(name), strict=True))


def _with_files(found: _Export, row: Row) -> Row:
    files = {}
    for column, form in zip(BESIDE["edition"], ("json", "jwt"), strict=True):
        places = [found.folder / export.credential_file(row["id"], form, public=public) for public in (True, False)]
        path = next((each for each in places if each.exists()), None)
        files[column] = None if path is None else path.read_bytes()
    return {**row, **files}


def _with_choices(row: Row, told: Row) -> Row:
    return {**row, "choices": {**told, **row["choices"]}}


def _said_in(document: bytes | None) -> Row:
    """Return what of `export.PERSONAL_PARTS` a credential says: it goes on saying so where the folder was left out.

    Else its learner would read that her name is not in it, and an older one that names her would be as the newest."""
    if document is None:
        return {}
    subject = json.loads(document)["credentialSubject"]
    named = (each["identityHash"] for each in subject.get("identifier", ()) if each["identityType"] == "name")
    told = {"name": next(named, None), "narrative": subject.get("narrative")}
    return {name: value for name, value in told.items() if value is not None}


def _count_on(session: Session, table: Table) -> None:
    """Let PostgreSQL number the next row after these."""
    keys = list(table.primary_key)
    if session.get_bind().dialect.name != "postgresql" or len(keys) != 1 or keys[0].autoincrement is False:
        return
    sequence = session.scalar(select(func.pg_get_serial_sequence(table.name, keys[0].name)))
    highest = session.scalar(select(func.max(keys[0])))
    if sequence is not None and highest is not None:
        session.execute(
            text("SELECT setval(CAST(:name AS regclass), :highest)"), {"name": sequence, "highest": highest}
        )
