"""What people are told: written down in the transaction of what it tells of, in the tool and, where allowed, by mail.

The word is notification; a notice is what a platform sends (services.notices). The key of a row names the event, so
that two workers, or one that was killed and its successor, never tell twice. What the tool shows follows the award: a
row tells nothing that its award's state does not show any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, aliased

from lti_tool.db import among, insert_new, random_id
from lti_tool.errors import NotFound
from lti_tool.models import AchievementVersion, Award, Course, CourseBadge, Mail, MailChoice, Notification, Person
from lti_tool.services import audit, mail
from lti_tool.services.launches import LaunchSession
from lti_tool.services.letters import told
from lti_tool.services.tool import Tool

BADGES = "badges"  # the scope of MailChoice: mail to a learner about her badges
BATCH = 250
SHOWN = 5  # on a page at once, the newest
FIRST = ("earned", "confirmed")


@dataclass(frozen=True)
class Event:
    """Something that happened to an award. `of` tells two of one kind apart: which renewal, which step."""

    award_id: str
    kind: str
    of: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        kind = "earned" if self.kind == "confirmed" else self.kind
        return ":".join(part for part in (kind, self.award_id, self.of) if part)


# -- telling ----------------------------------------------------------------------------------------------------


def tell(
    tool: Tool,
    session: Session,
    award: Award,
    kind: str,
    now: datetime,
    *,
    of: str = "",
    reason: str = "",
    until: datetime | None = None,
) -> None:
    """Tell an award's learner of one event, in the caller's transaction."""
    detail = {"reason": reason, "until": until.isoformat() if until else ""}
    event = Event(award.id, kind, of, {name: value for name, value in detail.items() if value})
    session.flush()
    tell_all(tool, session, [event], now)


def tell_earned(tool: Tool, session: Session, award_ids: Sequence[str], now: datetime) -> None:
    """Tell learners that these awards are theirs now: those of them that are issued."""
    issued: list[Any] = []
    for batch in _batches(award_ids):
        query = select(Award.id, Award.confirmed_at).where(among(Award.id, batch), Award.status == "issued")
        issued += session.execute(query).all()
    tell_all(tool, session, [Event(row.id, "confirmed" if row.confirmed_at else "earned") for row in issued], now)


def tell_all(tool: Tool, session: Session, events: Sequence[Event], now: datetime) -> int:
    """Tell of many events in a few statements, in the caller's transaction; returns how many are new."""
    new = 0
    for batch in _batches(sorted(events, key=lambda event: event.key)):  # in one order everywhere
        new += _tell(tool, session, batch, now)
    return new


def _batches(things: Sequence[Any]) -> Iterable[Any]:
    return (things[start : start + BATCH] for start in range(0, len(things), BATCH))


def _tell(tool: Tool, session: Session, events: Sequence[Event], now: datetime) -> int:
    facts = _facts(session, [event.award_id for event in events])
    rows = []
    for event in events:
        about = facts[event.award_id]
        detail = {"badge": about.badge, "course": about.course, **event.detail}
        row: dict[str, Any] = {"id": random_id(), "key": event.key, "kind": event.kind, "detail": detail}
        rows.append({**row, "person_id": about.person_id, "award_id": event.award_id, "created_at": now})
    new = insert_new(session, Notification, rows)
    allowed = tool.settings.notifications.by_mail.split() if mail.is_on(tool) else []
    by_mail = [
        (row, facts[row["award_id"]])
        for row in rows
        if row["id"] in new and row["kind"] in allowed and facts[row["award_id"]].address
    ]
    tokens = tokens_of(session, [(about.person_id, BADGES) for _, about in by_mail], now)
    wanted = [
        mail.Wanted(
            key=row["key"],
            to=about.address,
            template=row["kind"],
            values=row["detail"] | _only_if(row),
            language=about.language,
            person_id=about.person_id,
            stop=tokens[about.person_id, BADGES],
        )
        for row, about in by_mail
        if (about.person_id, BADGES) in tokens
    ]
    mail.enqueue_all(session, wanted, now)
    return len(new)


def _only_if(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be so when a mail goes out: until then somebody may have decided otherwise."""
    status = "revoked" if row["kind"] == "revoked" else "issued"
    return {"only_if": {"award": row["award_id"], "status": status, "unclaimed": row["kind"] == "unclaimed"}}


@dataclass(frozen=True)
class _About:
    """Whom an award's events are told to, and in which words. `address`: "" where none is known, or none may be used.

    Told to the person whose award it is; her address and language are those of the user id that earned it, which is the
    one in use in that course, else those of the person it is linked to."""

    person_id: str
    badge: str
    course: str
    address: str
    language: str


def _facts(session: Session, award_ids: Sequence[str]) -> dict[str, _About]:
    holder, earner = aliased(Person), aliased(Person)
    query = (
        select(
            *(Award.id, Award.person_id, Award.version_id, Course.title, Course.label),
            *(holder.email, holder.language, holder.disabled),
            *(earner.email.label("own_email"), earner.language.label("own_language")),
            *(earner.disabled.label("own_disabled"), earner.test_user),
        )
        .select_from(Award)
        .join(Course, Course.id == Award.course_id)
        .join(holder, holder.id == Award.person_id)
        .join(earner, earner.id == func.coalesce(Award.earned_as_id, Award.person_id))
        .where(among(Award.id, award_ids))
    )
    found = {}
    versions: dict[int, Mapping[str, Any]] = {}
    for row in session.execute(query):
        if row.version_id not in versions:
            versions[row.version_id] = session.get_one(AchievementVersion, row.version_id).definition
        definition = versions[row.version_id]
        silent = row.disabled or row.own_disabled or row.test_user
        found[row.id] = _About(
            person_id=row.person_id,
            badge=str(definition.get("name") or ""),
            course=row.title or row.label,
            address="" if silent else row.own_email or row.email,
            language=row.own_language or row.language or str(definition.get("language") or ""),
        )
    return found


def take_back(session: Session, award: Award) -> None:
    """Forget that an award was told of that is held again, unless she has had the mail or put it away.

    When it is released she is told then; who knows already is not told twice."""
    had = select(Mail.id).where(Mail.key == Notification.key, Mail.state.in_(("sending", "sent", "unsure")))
    which = (Notification.award_id == award.id) & Notification.kind.in_(FIRST) & Notification.dismissed_at.is_(None)
    keys = session.scalars(delete(Notification).where(which, ~had.exists()).returning(Notification.key)).all()
    session.execute(delete(Mail).where(Mail.key.in_(keys)))


def forget(session: Session, person_id: str) -> None:
    """Delete everything that is kept here about a person, and what was on its way to her (for her erasure)."""
    for table in (Notification, MailChoice, Mail):
        session.execute(delete(table).where(table.person_id == person_id))


def _insert(session: Session, table: type[Any]) -> Any:
    return (sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert)(table)


# -- inside the tool --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A notification as a page shows it. `key` opens its badge's page; `course`: its name, where that is another."""

    id: str
    kind: str
    sentence: str
    more: str
    at: datetime
    key: str
    course: str


@dataclass(frozen=True)
class News:
    """What a learner has not put away yet: the newest of `count`."""

    shown: tuple[Told, ...] = ()
    count: int = 0


def news(tool: Tool, who: LaunchSession) -> News:
    """Return what a learner is told and has not put away: nothing that its award's state does not show any more.

    An award that waits to be claimed stands large on the page of its course itself, and on that of all courses."""
    with tool.db.read() as session:
        query = (
            select(Notification, Award.status, Award.claimed_at, Award.course_id, CourseBadge.slug, CourseBadge.id)
            .join(Award, Award.id == Notification.award_id)
            .join(CourseBadge, CourseBadge.id == Award.course_badge_id)
            .where(Notification.person_id == _holder(session, who), Notification.dismissed_at.is_(None))
            .order_by(Notification.created_at.desc(), Notification.key)
            .limit(200)
        )
        rows = [row for row in session.execute(query) if _shows(row, who.course_id)]
    return News(tuple(_told(row, who.course_id) for row in rows[:SHOWN]), len(rows))


def _holder(session: Session, who: LaunchSession) -> str:
    return session.get_one(Person, who.person_id).holder_id


def _shows(row: Any, course_id: int | None) -> bool:
    kind, here = row.Notification.kind, course_id in (None, row.course_id)
    if kind == "revoked":
        return bool(row.status == "revoked")
    if row.status != "issued":
        return False
    if kind == "unclaimed" or kind in FIRST:
        return row.claimed_at is None and not here
    return True


def _told(row: Any, course_id: int | None) -> Told:
    found: Notification = row.Notification
    here = row.course_id == course_id
    sentence, more = told(found.kind, found.detail)
    return Told(
        id=found.id,
        kind=found.kind,
        sentence=sentence,
        more=more,
        at=found.created_at,
        key=row.slug if here else row.id,
        course="" if here else str(found.detail.get("course") or ""),
    )


def dismiss(tool: Tool, who: LaunchSession, notification_id: str, now: datetime) -> None:
    """Put one notification away, or all of them (""); the rows stay. Raises NotFound for one that is not hers."""
    if not notification_id.isprintable():  # PostgreSQL takes no NUL
        raise NotFound("no such notification")
    with tool.db.write() as session:
        hers = Notification.person_id == _holder(session, who)
        if (
            notification_id
            and session.scalar(select(Notification.id).where(hers, Notification.id == notification_id)) is None
        ):
            raise NotFound("no such notification")
        which = hers & Notification.dismissed_at.is_(None)
        if notification_id:
            which &= Notification.id == notification_id
        session.execute(update(Notification).where(which).values(dismissed_at=now))


# -- who wants mail ---------------------------------------------------------------------------------------------


def tokens_of(session: Session, wanted: Sequence[tuple[str, str]], now: datetime) -> dict[tuple[str, str], str]:
    """Return the tokens that stop mail, by person and scope, for those who have not stopped it; they are made once."""
    pairs = sorted(set(wanted))
    if not pairs:
        return {}
    people = sorted({person for person, _ in pairs})
    query = select(MailChoice).where(among(MailChoice.person_id, people), MailChoice.scope.in_({s for _, s in pairs}))
    found = {(row.person_id, row.scope): row for row in session.scalars(query)}
    if missing := [pair for pair in pairs if pair not in found]:
        rows = [{"token": random_id(), "person_id": p, "scope": scope, "created_at": now} for p, scope in missing]
        session.execute(_insert(session, MailChoice).on_conflict_do_nothing(), rows)
        found = {(row.person_id, row.scope): row for row in session.scalars(query)}
    return {pair: found[pair].token for pair in pairs if found[pair].stopped_at is None}


@dataclass(frozen=True)
class ChoicePage:
    """What a page about mail shows. `address` as the LMS tells it; `sends`: there is a mail server.

    `about` is the course of a digest, "" for a learner's badges."""

    on: bool
    about: str = ""
    sends: bool = True
    address: str = ""
    digest: bool = False


def own_choice(tool: Tool, who: LaunchSession, scope: str) -> ChoicePage:
    """Return what somebody has chosen for one sort of mail; without a choice she gets it."""
    with tool.db.read() as session:
        person = session.get_one(Person, who.person_id)
        query = select(MailChoice).where(MailChoice.person_id == person.holder_id, MailChoice.scope == scope)
        row = session.scalar(query)
        kinds = tool.settings.notifications.by_mail.split()
        digest = scope != BADGES
        sends = mail.is_on(tool) and ("digest" in kinds if digest else bool({*kinds} - {"digest"}))
        address = person.email if mail.usable(person.email) else ""
        return ChoicePage(row is None or row.stopped_at is None, who.course_title, sends, address, digest)


def choose(tool: Tool, who: LaunchSession, scope: str, on: bool, *, now: datetime) -> None:
    """Let somebody turn one sort of mail on or off."""
    with tool.db.write() as session:
        person_id = _holder(session, who)
        tokens_of(session, [(person_id, scope)], now)
        query = select(MailChoice).where(MailChoice.person_id == person_id, MailChoice.scope == scope)
        _switch(session, session.scalars(query.with_for_update()).one(), on, now)


def by_token(tool: Tool, token: str) -> ChoicePage:
    """Return the choice that a mail's address stands for; raises NotFound."""
    with tool.db.read() as session:
        row = session.get(MailChoice, token)
        if row is None:
            raise NotFound("no such token")
        return _choice_page(session, row)


def choose_by_token(tool: Tool, token: str, on: bool, now: datetime) -> ChoicePage:
    """Turn off the mail that a token came with, or on again; raises NotFound. The token proves that it reached her."""
    with tool.db.write() as session:
        row = session.get(MailChoice, token, with_for_update=True)
        if row is None:
            raise NotFound("no such token")
        _switch(session, row, on, now)
        return _choice_page(session, row)


def _choice_page(session: Session, row: MailChoice) -> ChoicePage:
    kind, _, course_id = row.scope.partition(":")
    course = session.get(Course, int(course_id)) if course_id else None
    about = (course.title or course.label) if course is not None else ""
    return ChoicePage(row.stopped_at is None, about, digest=kind == "digest")


def _switch(session: Session, row: MailChoice, on: bool, now: datetime) -> None:
    if on == (row.stopped_at is None):
        return
    row.stopped_at = None if on else now
    action = "mail.started" if on else "mail.stopped"
    audit.record(session, now, audit.person(row.person_id), action, f"person:{row.person_id}", about=row.scope)
