"""What happened how often: issued, claimed, shared, viewed and so on, as numbers by day and badge, without people.

A number is added in the transaction that made the thing so, all of a transaction together at its end: a thousand awards
are one line. What is counted once an award is marked beside the award (`AwardTally`), so that no way to the same state
counts it again: a second claim after a page was taken down, a credential replaced by another, a sync that is repeated.
`catch_up` counts what stands in the database uncounted: awards of before, of an import, of the version before.

Nothing here says who: no person, no address, no browser, no moment. The marks are the award's own and go with it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import event, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from lti_tool.db import Database, among
from lti_tool.models import Award, AwardTally, Course, CourseBadge, Tally

ISSUED, CLAIMED, WITHDRAWN, SHARED, VIEWED = "issued", "claimed", "withdrawn", "shared", "viewed"
REVOKED, EXPIRED, RENEWED, EVIDENCE, WHY_NOT = "revoked", "expired", "renewed", "evidence", "why_not"
SHARERS = "sharers"  # awards that were passed on for the first time: what a share rate is made of
KINDS = frozenset({ISSUED, CLAIMED, WITHDRAWN, SHARED, SHARERS, VIEWED, REVOKED, EXPIRED, RENEWED, EVIDENCE, WHY_NOT})
# Where an award was passed on to; a file that was taken is "download-" and its form.
PLACES = ("link", "linkedin", "embed", "share-link", "wallet", "backpack", "pdf", "qr")
DOWNLOAD = "download-"
PAGE, SHARED_PAGE, PICTURE, BADGE_PAGE = "page", "share-link", "picture", "badge"  # what was viewed

_HOUR, _DAY = 3600, 86400
# Upper bounds in seconds of what is told of a duration: enough for "half of them within three days", and no moment.
BOUNDS = (
    *(60, 300, 900, 1800, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 12 * _HOUR),
    *(days * _DAY for days in (1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365)),
)
LONGER = 10**9  # longer than all of them
UNTOLD = -1
NOTED = "counted"  # in a session: what is added when it commits
BATCH = 500
CATCH_UP_EVERY = timedelta(hours=1)  # and when a worker starts


class Key(NamedTuple):
    day: str
    kind: str
    course_badge_id: str
    version_id: int
    detail: str
    lasted: int


# -- counting ---------------------------------------------------------------------------------------------------


def count(
    session: Session,
    kind: str,
    what: Award | CourseBadge,
    now: datetime,
    *,
    where: str = "",
    reason: str = "",
    lasted: timedelta | None = None,
) -> None:
    """Count something that an award, or a course badge, has come to. It counts when the caller's transaction does.

    `where`: to what an award was passed on, one of PLACES or DOWNLOAD and a form. `reason`: of WHY_NOT, a word, never
    what somebody wrote. `lasted`: of CLAIMED, since it was issued. What is counted once an award (ISSUED, CLAIMED,
    REVOKED, EXPIRED) may be told again; SHARED counts each time, and beside it the awards that were shared at all."""
    if isinstance(what, CourseBadge):
        of, award_id = (what.id, what.version_id or 0), None
    else:
        of, award_id = (what.course_badge_id, what.version_id), what.id
    if kind in _MARKED:
        if award_id is not None:
            count_awards(session, kind, [Counted(award_id, *of, lasted=lasted, detail=where)], now)
        return
    if kind == SHARED and award_id is not None and _share(session, award_id, _day(now)):
        _note(session, Key(_day(now), SHARERS, *of, "", UNTOLD))
    if kind == RENEWED and award_id is not None:  # its end is another one now
        session.execute(update(AwardTally).where(AwardTally.award_id == award_id).values(expired=False))
    _note(session, Key(_day(now), kind, *of, (where or reason)[:40], _bound(lasted)))


class Counted(NamedTuple):
    """An award for `count_awards`; `at` is the moment where that is not now."""

    award_id: str
    course_badge_id: str
    version_id: int
    lasted: timedelta | None = None
    detail: str = ""
    at: datetime | None = None


_MARKED: Mapping[str, Any] = {
    ISSUED: AwardTally.issued,
    CLAIMED: AwardTally.claimed,
    REVOKED: AwardTally.revoked,
    EXPIRED: AwardTally.expired,
}


def count_awards(session: Session, kind: str, awards: Sequence[Counted], now: datetime) -> int:
    """Count many awards that have come to the same, each once for good; returns how many were not counted before."""
    if not awards:
        return 0
    session.flush()
    mark = _MARKED[kind]
    # The ids go as one value, in one order everywhere: a line for each takes five times as long on PostgreSQL.
    these = select(Award.id, true()).where(among(Award.id, {each.award_id for each in awards})).order_by(Award.id)
    statement = _insert(session, AwardTally).from_select(["award_id", mark.key], these)
    statement = statement.on_conflict_do_update(
        index_elements=["award_id"], set_={mark.key: True}, where=mark.is_(False)
    )
    first = set(session.scalars(statement.returning(AwardTally.award_id)))
    for each in awards:
        if each.award_id in first:
            day = _day(each.at or now)
            _note(session, Key(day, kind, each.course_badge_id, each.version_id, each.detail, _bound(each.lasted)))
    return len(first)


def _share(session: Session, award_id: str, day: str) -> bool:
    """Mark an award as passed on; tells whether it was the first time."""
    statement = _insert(session, AwardTally).values(award_id=award_id, shared_on=day)
    statement = statement.on_conflict_do_update(
        index_elements=["award_id"], set_={"shared_on": day}, where=AwardTally.shared_on.is_(None)
    )
    return session.scalar(statement.returning(AwardTally.award_id)) is not None


def _insert(session: Session, model: Any) -> Any:
    return (sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert)(model)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()


def _bound(lasted: timedelta | None) -> int:
    """Return the bound under which a duration is kept; one that ends before it begins is none (clocks differ)."""
    if lasted is None:
        return UNTOLD
    place = bisect_left(BOUNDS, max(0.0, lasted.total_seconds()))
    return LONGER if place == len(BOUNDS) else BOUNDS[place]


def _note(session: Session, key: Key, by: int = 1) -> None:
    if key.kind not in KINDS:
        raise ValueError(f"nothing is counted as {key.kind}")
    noted: Counter[Key] | None = session.info.get(NOTED)
    if noted is None:
        noted = session.info[NOTED] = Counter()
        event.listen(session, "before_commit", _write_noted)
    noted[key] += by


def note(session: Session, numbers: Mapping[Key, int]) -> None:
    """Count what was added up elsewhere, when the session commits."""
    for key, number in numbers.items():
        _note(session, key, number)


def _write_noted(session: Session) -> None:
    """Add what a transaction has counted, as its last statements: what many count at once is locked shortest so."""
    noted: Counter[Key] = session.info[NOTED]
    if noted:
        told, session.info[NOTED] = noted, Counter()
        add(session, told)


def add(session: Session, numbers: Mapping[Key, int]) -> None:
    """Add numbers to the tallies, in one order everywhere: two that wait for each other's row would be a deadlock."""
    ids = sorted({key.course_badge_id for key in numbers if key.course_badge_id})
    courses: dict[str, tuple[int, int]] = {}
    for start in range(0, len(ids), BATCH):
        query = select(CourseBadge.id, CourseBadge.course_id, Course.registration_id).join(Course)
        for badge_id, course_id, registration_id in session.execute(
            query.where(CourseBadge.id.in_(ids[start : start + BATCH]))
        ):
            courses[badge_id] = (course_id, registration_id)
    rows = [
        {**key._asdict(), "number": number, **dict(zip(("course_id", "registration_id"), place, strict=True))}
        for key, number in sorted(numbers.items())
        if (place := courses.get(key.course_badge_id, (0, 0)))
    ]
    statement = _insert(session, Tally)
    more = {"number": Tally.number + statement.excluded.number}
    keys = [column.name for column in Tally.__table__.primary_key]
    session.connection().execute(statement.on_conflict_do_update(index_elements=keys, set_=more), rows)


# -- what was not counted ---------------------------------------------------------------------------------------


def last_grade(decision: Mapping[str, Any]) -> datetime | None:
    """Return when the last grade came that a decision rests on, as the LMS tells it, or else when it was read first."""
    moments = []
    for row in decision.get("rows", ()):
        for told in (row.get("graded_at"), row.get("received_at")):
            try:
                moments.append(datetime.fromisoformat(told).astimezone(UTC))
            except (TypeError, ValueError):  # Canvas tells none
                continue
            break
    return max(moments, default=None)


def issuing(award: Award, at: datetime) -> Counted:
    """Return an award as what is issued at a moment: by what it was given, and how long after its last grade."""
    graded = last_grade(award.decision) if award.given == "grades" else None
    lasted = at - graded if graded is not None else None
    return Counted(award.id, award.course_badge_id, award.version_id, lasted, award.given, at)


def _claiming(award: Award, at: datetime) -> Counted:
    lasted = at - award.issued_at if award.issued_at is not None else None
    return Counted(award.id, award.course_badge_id, award.version_id, lasted, at=at)


def _ending(award: Award, at: datetime) -> Counted:
    return Counted(award.id, award.course_badge_id, award.version_id, at=at)


_STATES: tuple[tuple[str, Any, Callable[[Award, datetime], Counted]], ...] = (
    (ISSUED, Award.issued_at, issuing),
    (CLAIMED, Award.claimed_at, _claiming),
    (REVOKED, Award.revoked_at, _ending),
    (EXPIRED, Award.expires_at, _ending),
)


def catch_up(db: Database, now: datetime) -> int:
    """Count what the awards have come to and nobody has counted; returns how much that was.

    A few hundred in a transaction, each at the day it happened. Awards whose time is over come up here and nowhere
    else: nothing is done on the day they end."""
    found = 0
    for kind, moment, told in _STATES:
        last = ""
        while True:
            with db.write() as session:
                query = select(Award).outerjoin(AwardTally, AwardTally.award_id == Award.id)
                query = query.where(moment <= now, Award.id > last, _MARKED[kind].is_not(True))
                if kind == EXPIRED:
                    query = query.where(Award.status == "issued")
                awards = list(session.scalars(query.order_by(Award.id).limit(BATCH)))
                count_awards(session, kind, [told(award, getattr(award, moment.key)) for award in awards], now)
            if not awards:
                break
            found, last = found + len(awards), awards[-1].id
    return found


# -- one award --------------------------------------------------------------------------------------------------


def views_of(session: Session, award_id: str) -> int:
    """Return how often an award's page was opened, by people as far as can be told, and not by its learner."""
    return session.scalar(select(AwardTally.views).where(AwardTally.award_id == award_id)) or 0


def add_views(session: Session, views: Mapping[str, int]) -> None:
    """Add to how often awards' pages were opened; of an award that is there."""
    if not views:
        return
    statement = _insert(session, AwardTally)
    more = {"views": AwardTally.views + statement.excluded.views}
    rows = [{"award_id": award_id, "views": number} for award_id, number in sorted(views.items())]
    session.execute(statement.on_conflict_do_update(index_elements=["award_id"], set_=more), rows)


def forget(session: Session, award_ids: Collection[str]) -> None:
    """Empty what stands beside awards whose learner is erased. The tallies stay: they do not know her.

    The rows stay too, so that nothing of them is counted again."""
    told = AwardTally.award_id.in_(award_ids)
    session.execute(update(AwardTally).where(told).values(views=0, shared_on=None))
