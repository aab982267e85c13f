"""A copy of all that is kept about somebody, for herself alone: a zip of JSON and files, with a page that explains it.

What her teachers have not released yet is left out, and the page says so whether there is anything or not: it must not
be a way around them, nor a hint."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from flask_babel import gettext as _
from sqlalchemy import Text, select, type_coerce
from sqlalchemy.orm import Session, undefer

from lti_tool.db import Said
from lti_tool.models import AuditEvent, Edition, Endorsement, Mastery, OutsideBadge, Person
from lti_tool.services import audit, data_privacy, evidence_files
from lti_tool.services.evidence_files import clean_name
from lti_tool.services.export import AT_A_TIME, to_json
from lti_tool.services.her_data import TABLES, Hidden, Kept, Who, hidden_from, shown, who_is
from lti_tool.services.issuer import issuer_row
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, moment


def write(tool: Tool, person_id: str, file: IO[bytes], now: datetime) -> None:
    """Write her copy into an open file, row by row."""
    with tool.db.read() as session, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        if not tool.db.is_sqlite:  # SQLite's transactions see one moment anyway
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        who = who_is(session, person_id)
        hidden = hidden_from(session, who, now)
        counts: dict[str, int] = {}
        for kept in TABLES:
            if kept.told:
                name = f"data/{kept.model.__tablename__}.json"
                if count := _table(out, session, kept, who, hidden, name):
                    counts[name] = count
        files = _credentials(out, session, who, hidden) + _endorsements(out, session, who, hidden)
        files += _handed_in(out, session, who) + _evidence(out, session, tool, who)
        for each in who.ids:
            person = session.get_one(Person, each)
            lines = data_privacy.kept(session, person, hidden)
        institution = issuer_row(session)
        readme = _readme(institution.name, institution.email or institution.url, counts, files, lines, now)
        out.writestr("README.txt", readme)
    with tool.db.write() as session:
        audit.record(session, now, audit.person(person_id), "privacy.got", audit.person(person_id))


def _table(out: zipfile.ZipFile, session: Session, kept: Kept, who: Who, hidden: Hidden, name: str) -> int:
    """Write the rows of one table as a JSON array; returns how many."""
    table = kept.model.__table__
    left_out = {*kept.left_out, *(("content",) if kept.model is OutsideBadge else ())}
    columns = [column for column in table.columns if column.name not in left_out]
    asked = [type_coerce(c, Text()).label(c.name) if isinstance(c.type, Said) else c for c in columns]
    query = select(*asked).where(kept.find(who), *shown(kept.model, hidden)).order_by(*table.primary_key)
    of_log = kept.model is AuditEvent
    about = {*who.actors, *(f"award:{award}" for award in session.scalars(who.awards))} if of_log else set()
    count = 0
    rows = iter(session.execute(query.execution_options(yield_per=AT_A_TIME)))
    first = next(rows, None)
    if first is None:
        return 0
    with _member(out, name) as file:
        row: Any = first
        while row is not None:
            told = {c.name: to_json(c, value) for c, value in zip(columns, row, strict=True)}
            if kept.model is Mastery:  # of what was before, too, only what her LMS had shown her
                told["before"] = [each for each in told["before"] if each.get("released") is not False]
            if of_log and not _is_about(told, who, about):
                told["detail"] = {}
            file.write((",\n" if count else "[\n").encode() + json.dumps(told, ensure_ascii=False, indent=1).encode())
            count += 1
            row = next(rows, None)
        file.write(b"\n]\n")
    return count


def _is_about(entry: Mapping[str, Any], who: Who, about: Collection[str]) -> bool:
    """Tell whether an entry of the log is about her. Of what she did to others, as a teacher, it is their own data."""
    if entry["subject"] in about:
        return True
    detail = json.dumps(entry["detail"])
    return any(each in detail for each in who.ids)


@contextmanager
def _member(out: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    with out.open(name, "w", force_zip64=True) as file:
        yield file


def _credentials(out: zipfile.ZipFile, session: Session, who: Who, hidden: Hidden) -> int:
    query = select(Edition).where(Edition.award_id.in_(who.awards), Edition.award_id.not_in(hidden.awards))
    query = query.where(Edition.signed_at.is_not(None)).order_by(Edition.id)
    query = query.options(undefer(Edition.document), undefer(Edition.jwt))
    count = 0
    for edition in session.scalars(query.execution_options(yield_per=AT_A_TIME)):
        for form, content in (("json", edition.document), ("jwt", edition.jwt)):
            if content is not None:
                out.writestr(f"credentials/{edition.id}.{form}", content)
                count += 1
        session.expunge(edition)
    return count


def _endorsements(out: zipfile.ZipFile, session: Session, who: Who, hidden: Hidden) -> int:
    query = select(Endorsement.id, Endorsement.document).where(
        Endorsement.award_id.in_(who.awards), Endorsement.award_id.not_in(hidden.awards)
    )
    count = 0
    for ident, document in session.execute(query):
        out.writestr(f"endorsements/{ident}.json", document)
        count += 1
    return count


def _handed_in(out: zipfile.ZipFile, session: Session, who: Who) -> int:
    """Write the badges of other issuers as she sent them: a file of some kind, or an address."""
    query = select(OutsideBadge.id, OutsideBadge.content).where(OutsideBadge.person_id.in_(who.ids))
    count = 0
    for ident, content in session.execute(query.execution_options(yield_per=1)):
        out.writestr(f"handed-in/{ident}", content)
        count += 1
    return count


def _evidence(out: zipfile.ZipFile, session: Session, tool: Tool, who: Who) -> int:
    """Write the files of her evidence, each below its piece's id: two may have one name."""
    count = 0
    for file in (each for ident in who.ids for each in evidence_files.kept_of(tool, session, ident)):
        if file.path is not None:
            # Most of it is packed already, and there may be much: to pack it again would keep a processor busy.
            out.write(file.path, f"evidence/{file.evidence_id}/{clean_name(file.name)}", zipfile.ZIP_STORED)
            count += 1
    return count


def _readme(institution: str, ask: str, counts: dict[str, int], files: int, kept: Any, now: datetime) -> str:
    """Return the page that explains the rest, in her language."""
    lines = [
        _("What is kept about you"),
        "",
        _("Made on %(when)s for you alone.", when=moment(now.astimezone(UTC))),
        _("Kept by %(institution)s, %(ask)s", institution=institution, ask=ask) if institution else "",
        "",
        _("Results, levels, marks and awards that your teachers have not released yet are left out."),
        _("Ask for a new copy once they are. Of secrets nothing is kept but a hash, which is left out too."),
        _("People who did something are named by an id: who they are is their own data."),
        "",
        _("Each file in data/ holds the rows of one kind as JSON:"),
        *(f"  {name}: {count}" for name, count in counts.items()),
        "",
        _(
            "The folders beside it hold %(num)s files: credentials, endorsements, evidence, what was handed in.",
            num=files,
        ),
        "",
        _("What for, and how long:"),
    ]
    for line in kept:
        since = f", {day(line.since)}" if line.since else ""
        lines += ["", f"- {line.what}: {line.count}{since}", f"  {line.why} {_('Kept %(ends)s.', ends=line.ends)}"]
    return "\n".join(lines) + "\n"
