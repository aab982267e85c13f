"""Withdrawals outlive the database: what the journal knows and the database does not is done again, and told.

A database that was put back to an earlier day, by the command or by a file that somebody copied, is recognised by that,
and by lists that were used further than it knows. It then begins fresh lists: places given since are in the wild."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import did_web
from lti_tool.db import insert_rows, repeat_collided
from lti_tool.errors import ConfigurationError
from lti_tool.models import Award, CourseBadge, Edition, Person, StatusList, WithdrawnElsewhere
from lti_tool.services import audit, award_acts, erasures, journal, places
from lti_tool.services.journal import Line, Written
from lti_tool.services.tool import Tool, log

AT_A_TIME = 500  # rows that are asked for by their ids
FURTHER = 100  # lists that may have been begun since, and changes of one, on a host whose journal is not this one


@dataclass(frozen=True)
class Compared:
    """How journal and database stand to each other."""

    written: Written
    missing: tuple[Line, ...]  # withdrawals that the database does not know
    behind: frozenset[int]  # lists that were used further than the database knows, and that it would go on using
    unwritten: int  # what the database knows and the journal does not

    @property
    def went_back(self) -> bool:
        return bool(self.missing or self.behind)


@dataclass(frozen=True)
class Replayed:
    """What was done again: awards taken back, credentials that this database does not hold, awards issued anew."""

    revoked: int = 0
    elsewhere: int = 0
    again: int = 0
    written: int = 0  # withdrawals that were added to the journal
    erased: int = 0  # people whom the database still named


def keep(tool: Tool, now: datetime, *, went_back: bool = False) -> Replayed:
    """Make journal and database agree: do again what only the journal knows, write down what only the database knows.

    `went_back`: the database was put back or brought here, whatever the two say. Safe to repeat, and at the same time
    in several processes. Raises ConfigurationError for a journal of another installation, or one that is not usable."""
    tool.journal.check()
    compared = compare(tool)
    done = Replayed()
    if compared.went_back or went_back:
        done = repeat_collided(lambda: _replay(tool, compared.written, went_back, now))
        log.warning(
            "the database is older than the journal of revocations: revoked=%d elsewhere=%d again=%d",
            done.revoked,
            done.elsewhere,
            done.again,
        )
    added = _write_down(tool, now)
    erased = erasures.replay(tool, now)
    return Replayed(done.revoked, done.elsewhere, done.again, added, erased)


def look(tool: Tool, now: datetime) -> None:
    """Make them agree where their numbers differ: a database was put back under a running worker. Two counts else."""
    size = tool.journal.size()
    if size != tool.journal_seen[0]:
        tool.journal_seen = (size, len(tool.journal.read().withdrawals))
    with tool.db.read() as session:
        known = places.count_withdrawn(session)
    if known != tool.journal_seen[1]:
        keep(tool, now)


def compare(tool: Tool) -> Compared:
    """Compare journal and database. The journal is read first: whatever stands in it has been committed since."""
    written = tool.journal.read()
    did = did_web(tool.settings.base_url)
    if written.issuer and written.issuer != did:
        raise ConfigurationError(
            f"The journal of revocations {tool.journal.path} belongs to {written.issuer}, and this is {did}. Move it "
            "away, or name another file in database.revocations"
        )
    with tool.db.read() as session:
        known = places.withdrawn_ids(session)
        return _compared(session, written, known)


def _compared(session: Session, written: Written, known: set[str]) -> Compared:
    used, is_open = places.used(session), _open(session)
    missing = tuple(line for line in written.withdrawals if line["edition"] not in known)
    behind = {n for n, count in written.used.items() if is_open.get(n, True) and used.get(n, 0) < count}
    return Compared(written, missing, frozenset(behind), len(known) - (len(written.withdrawals) - len(missing)))


def _open(session: Session) -> dict[int, bool]:
    """Tell of each list whether it is open."""
    return {row.id: not row.closed for row in session.execute(select(StatusList.id, StatusList.closed))}


# -- what only the database knows -------------------------------------------------------------------------------


def _write_down(tool: Tool, now: datetime) -> int:
    """Add to the journal what the database knows; returns how many withdrawals that were.

    A version before this one may have withdrawn them, another host, or the journal was lost."""
    with tool.db.read() as session:
        known = places.withdrawn_ids(session)
        used = places.used(session)
        written = tool.journal.read()
        unwritten = sorted(known - {line["edition"] for line in written.withdrawals})
        lines = list(_lines(session, unwritten))
    lines += [journal.given(n, count, now) for n, count in used.items() if written.used.get(n, 0) < count]
    if lines:
        tool.journal.add(did_web(tool.settings.base_url), lines)
    return len(unwritten)


def _lines(session: Session, edition_ids: Sequence[str]) -> Iterable[Line]:
    for some in _parts(edition_ids):
        query = select(Edition).where(Edition.id.in_(some)).options(joinedload(Edition.award))
        for edition in session.scalars(query):
            yield journal.withdrawal(edition.award, edition)
        for holder in places.HOLDERS:
            if holder is not Edition:
                others = session.scalars(select(holder).where(holder.id.in_(some)))
                yield from (journal.other_withdrawal(row, "") for row in others)
        for row in session.scalars(select(WithdrawnElsewhere).where(WithdrawnElsewhere.edition_id.in_(some))):
            yield {
                "at": row.withdrawn_at.isoformat(),
                "edition": row.edition_id,
                "award": row.award_id,
                "list": row.status_list_id,
                "index": row.status_index,
                "why": row.why,
                "reason": row.reason,
            }


def _parts(ids: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (ids[start : start + AT_A_TIME] for start in range(0, len(ids), AT_A_TIME))


# -- what only the journal knows --------------------------------------------------------------------------------


def _replay(tool: Tool, written: Written, went_back: bool, now: datetime) -> Replayed:
    with tool.db.write() as session:
        compared = _compared(session, written, places.withdrawn_ids(session))
        if not compared.went_back and not went_back:
            return Replayed()  # another process was quicker
        missing = compared.missing
        journal.already_written(session, [line["edition"] for line in written.withdrawals])
        _fresh_lists(session, written.lists, now)
        elsewhere, touched = _set_bits(session, missing, now)
        verdicts = {line["award"]: line for line in missing}
        verdicts |= {line["award"]: line for line in missing if line["why"] == "revoked"}
        revoked = again = 0
        for award_id in sorted({*verdicts, *touched}):
            line = verdicts.get(award_id, {"award": award_id, "why": "replaced", "at": now.isoformat(), "reason": ""})
            award = session.get(Award, award_id, with_for_update={"key_share": True})
            if award is None:
                revoked += _taken_back_unseen(session, line)
            elif line["why"] == "revoked":
                revoked += _take_back(session, award, line, now)
            else:
                again += _go_on(session, award, line, now)
        done = Replayed(revoked, elsewhere, again)
        audit.record(
            session,
            now,
            audit.TOOL,
            "database.went_back",
            "database:1",
            revoked=revoked,
            elsewhere=elsewhere,
            again=again,
        )
    return done


def _fresh_lists(session: Session, lists: set[int], now: datetime) -> None:
    """Close every list there is or was, and begin one whose number no credential can carry yet."""
    known = set(session.scalars(select(StatusList.id)))
    for number in sorted(lists - known):
        session.add(StatusList(id=number, created_at=now, closed=True))
    session.flush()
    session.execute(update(StatusList).values(closed=True, revision=StatusList.revision + FURTHER))
    session.add(StatusList(id=max(known | lists, default=0) + FURTHER, created_at=now))
    session.flush()
    if session.get_bind().dialect.name == "postgresql":  # rows with numbers of ours do not move its counter
        session.execute(
            text("SELECT setval(pg_get_serial_sequence('status_list', 'id'), (SELECT max(id) FROM status_list))")
        )


def _set_bits(session: Session, missing: Sequence[Line], now: datetime) -> tuple[int, set[str]]:
    """Withdraw the editions, here or as one of elsewhere; returns how many of those, and awards that lost one so.

    A place may have been given again meanwhile: whoever has it now is withdrawn with it, and issued anew."""
    elsewhere: list[dict[str, Any]] = []
    touched: set[str] = set()
    for some in _parts(missing):
        ids = [line["edition"] for line in some]
        here: dict[str, Any] = {}
        for holder in places.HOLDERS:
            here |= {row.id: row for row in session.scalars(select(holder).where(holder.id.in_(ids)))}
        for line in some:
            if (row := here.get(line["edition"])) is not None:
                row.withdrawn_at = row.withdrawn_at or datetime.fromisoformat(line["at"])
                continue
            place = (Edition.status_list_id == line["list"]) & (Edition.status_index == line["index"])
            other = session.scalar(select(Edition).where(place, Edition.withdrawn_at.is_(None)))
            if other is not None:
                other.withdrawn_at = now
                touched.add(other.award_id)
                journal.note(session, journal.withdrawal(other.award, other))
            elsewhere.append(
                {
                    "status_list_id": line["list"],
                    "status_index": line["index"],
                    "edition_id": line["edition"],
                    "award_id": line["award"],
                    "why": line["why"],
                    "reason": line["reason"],
                    "withdrawn_at": datetime.fromisoformat(line["at"]),
                }
            )
        session.flush()
    there = session.execute(select(WithdrawnElsewhere.status_list_id, WithdrawnElsewhere.status_index))
    taken = {(list_id, index) for list_id, index in there}
    rows = {(row["status_list_id"], row["status_index"]): row for row in elsewhere}
    insert_rows(session, WithdrawnElsewhere, [row for place, row in rows.items() if place not in taken])
    return len(rows), touched


def _take_back(session: Session, award: Award, line: Line, now: datetime) -> bool:
    was = award.status
    if was != "revoked":
        award.status, award.live = "revoked", False
        award.revoked_at, award.revocation_reason = datetime.fromisoformat(line["at"]), line["reason"]
        award.held_reason = award.held_until = None
        award_acts.resolve(session, award, "revoked", now)
    award_acts.withdraw_editions(session, award, now)
    return was != "revoked"


def _go_on(session: Session, award: Award, line: Line, now: datetime) -> bool:
    """Let an award stand without the edition that was withdrawn: held as it was, or with a new one."""
    in_force = award.status in ("issued", "pending")
    if not in_force or any(edition.withdrawn_at is None for edition in award.editions if edition.number > 0):
        return False
    if line["why"] == "held" and award.claimed_at is None and not award.page_public:
        award.status, award.issued_at, award.expires_at = "held", None, None
        award.held_reason = line["reason"]
        return False
    if award.expires_at is not None and award.expires_at <= now:
        return False
    award_acts.restore(session, award, "issued", now)
    return True


def _taken_back_unseen(session: Session, line: Line) -> bool:
    """Remember an award that this database never saw and that was taken back: the same grades do not give it again.

    Where its course badge or its learner is not here either, nothing can give it."""
    if line["why"] != "revoked" or "person" not in line:
        return False
    badge = session.get(CourseBadge, line["badge"])
    if badge is None or badge.version is None or session.get(Person, line["person"]) is None:
        return False
    at = datetime.fromisoformat(line["at"])
    session.add(
        Award(
            id=line["award"],
            achievement_id=badge.version.achievement_id,
            version_id=badge.version_id,
            course_badge_id=badge.id,
            course_id=badge.course_id,
            person_id=line["person"],
            scope=line["scope"],
            status="revoked",
            live=False,
            decision={"version": badge.version.number, "rule": "", "decided_at": line["at"], "rows": []},
            earned_at=at,
            revoked_at=at,
            revocation_reason=line["reason"],
        )
    )
    session.flush()
    return True


# -- what is said of it -----------------------------------------------------------------------------------------


def standing(tool: Tool) -> tuple[bool, str]:
    """Tell whether journal and database agree, and a sentence for whoever runs the tool."""
    try:
        compared = compare(tool)
    except ConfigurationError as error:
        return False, error.sentence
    if compared.went_back:
        return False, (
            f"{len(compared.missing)} withdrawals in {tool.journal.path} are unknown to the database, which was put "
            "back to an earlier day: start the web application or a worker, or run lti-tool db replay"
        )
    if compared.unwritten > 0:
        return False, (
            f"{compared.unwritten} withdrawals do not stand in {tool.journal.path} yet: run lti-tool db replay"
        )
    return True, f"{len(compared.written.withdrawals)} in {tool.journal.path}, as in the database"


def read_file(tool: Tool, content: bytes, now: datetime) -> Replayed:
    """Take over the journal of another host, or of a database that is lost, and do again what it knows."""
    other = journal.parse(content)
    did = did_web(tool.settings.base_url)
    if not other.issuer:
        raise ConfigurationError("This file is no journal of revocations: its first line names no issuer")
    if other.issuer != did:
        raise ConfigurationError(f"This journal belongs to {other.issuer}, and this is {did}")
    known = {line["edition"] for line in tool.journal.read().withdrawals}
    lines: list[Line] = [line for line in other.withdrawals if line["edition"] not in known]
    lines += [journal.given(number, used, now.astimezone(UTC)) for number, used in other.used.items()]
    if lines:
        tool.journal.add(did, lines)
    return keep(tool, now)
