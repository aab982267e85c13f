"""The day's news of a course for those who teach it: by mail, at most once a day, and only where something happened.

Counts and badges, no learner's name: a mailbox is not where grades are kept. Who they are stands in the course."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.models import (
    AchievementVersion,
    Award,
    Course,
    CourseBadge,
    Drift,
    Enrolment,
    MailChoice,
    Person,
    Posting,
    Review,
)
from lti_tool.services import mail, notifications
from lti_tool.services.tool import Tool
from lti_tool.settings import zone_of

FARTHEST = timedelta(days=7)  # back, where none could go out for a while
FIRST = timedelta(days=1)  # back, in somebody's first
SCOPE = "digest:"  # of MailChoice, before the course's id
TEACH = ("Instructor", "Administrator")  # roles of launches: whoever never opened the tool here gets nothing


def scope_of(course_id: int) -> str:
    return f"{SCOPE}{course_id}"


def last_moment(tool: Tool, now: datetime) -> datetime:
    """Return when digests were last due: today at their hour, or yesterday."""
    told = tool.settings.notifications
    local = now.astimezone(zone_of(told.time_zone))
    moment = local.replace(hour=told.digest_hour, minute=0, second=0, microsecond=0)
    return (moment if moment <= local else moment - timedelta(days=1)).astimezone(now.tzinfo)


def look(tool: Tool, now: datetime) -> int:
    """Write down the digests that are due; returns how many. What happens after the day's hour is tomorrow's news."""
    if not mail.is_on(tool) or "digest" not in tool.settings.notifications.by_mail.split():
        return 0
    until = last_moment(tool, now)
    with tool.db.read() as session:
        courses = _with_news(session, until - FARTHEST, until)
    return sum(_course(tool, course_id, until, now) for course_id in courses)


def _with_news(session: Session, since: datetime, until: datetime) -> list[int]:
    def between(column: Any) -> Any:
        return (column > since) & (column <= until)

    found: set[int] = set()
    found.update(session.scalars(select(Award.course_id).where(between(Award.issued_at)).distinct()))
    waits = (Award.status == "review") & between(Award.earned_at)
    found.update(session.scalars(select(Award.course_id).where(waits).distinct()))
    doubted = select(Award.course_id).join(Review, Review.award_id == Award.id)
    found.update(session.scalars(doubted.where(Review.resolved_at.is_(None), between(Review.opened_at)).distinct()))
    found.update(session.scalars(select(Drift.course_id).where(Drift.ended_at.is_(None), between(Drift.began_at))))
    stuck = select(CourseBadge.course_id).join(Posting, Posting.course_badge_id == CourseBadge.id)
    found.update(session.scalars(stuck.where(_stuck(), between(Posting.sent_at)).distinct()))
    return sorted(found)


def _stuck() -> Any:
    return Posting.state.in_(("refused", "conflict"))


def _course(tool: Tool, course_id: int, until: datetime, now: datetime) -> int:
    with tool.db.write() as session:
        readers = _readers(session, course_id)
        if not readers:
            return 0
        scope = scope_of(course_id)
        tokens = notifications.tokens_of(session, [(person.id, scope) for person in readers], now)
        query = select(MailChoice).where(MailChoice.scope == scope, MailChoice.person_id.in_([p.id for p in readers]))
        told_at = {row.person_id: row.told_at for row in session.scalars(query.with_for_update())}
        news: dict[datetime, _News] = {}
        wanted = []
        for person in readers:
            since = max(told_at[person.id] or until - FIRST, until - FARTHEST)
            if (person.id, scope) not in tokens or since >= until:
                continue
            if since not in news:
                news[since] = _News.of(session, course_id, since, until)
            if news[since].is_new:
                token = tokens[person.id, scope]
                key = f"digest:{course_id}:{person.id}:{until:%Y-%m-%dT%H}"
                values = news[since].values(session.get_one(Course, course_id))
                wanted.append(mail.Wanted(key, person.email, "digest", values, person.language, person.id, token))
        session.execute(
            update(MailChoice)
            .where(MailChoice.scope == scope, MailChoice.person_id.in_([each.person_id for each in wanted]))
            .values(told_at=until)
        )
        return mail.enqueue_all(session, wanted, now)


def _readers(session: Session, course_id: int) -> list[Person]:
    """Return who opened the tool in a course as somebody who teaches it, and has an address."""
    query = (
        select(Person)
        .join(Enrolment, Enrolment.person_id == Person.id)
        .where(Enrolment.course_id == course_id, Enrolment.active, Enrolment.launch_role.in_(TEACH))
        .where(Person.email != "", ~Person.disabled, ~Person.test_user)
        .order_by(Person.id)
    )
    return [person for person in session.scalars(query) if mail.usable(person.email)]


@dataclass
class _News:
    """What is new in a course since somebody was last told, and what waits by now. `is_new`: something is."""

    is_new: bool = False
    earned: Counter[str] = field(default_factory=Counter)  # by the badge's name
    waiting: Counter[str] = field(default_factory=Counter)
    doubted: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    not_posted: int = 0

    @classmethod
    def of(cls, session: Session, course_id: int, since: datetime, until: datetime) -> _News:
        def is_new(moments: Iterable[datetime | None]) -> bool:
            return any(each is not None and since < each <= until for each in moments)

        news = cls()
        awards = select(Award.version_id, Award.issued_at, Award.earned_at).where(Award.course_id == course_id)
        issued = session.execute(awards.where(Award.issued_at > since, Award.issued_at <= until)).all()
        waiting = session.execute(awards.where(Award.status == "review")).all()
        reviews = select(Award.version_id, Review.opened_at).join(Review, Review.award_id == Award.id)
        reviews = reviews.where(Award.course_id == course_id, Review.resolved_at.is_(None))
        doubted = session.execute(reviews.where(Award.status.in_(("issued", "pending", "held")))).all()
        drifts = select(Drift.began_at).where(Drift.course_id == course_id, Drift.ended_at.is_(None))
        broken = session.scalars(drifts).all()
        stuck = select(Posting.sent_at).join(CourseBadge, CourseBadge.id == Posting.course_badge_id)
        not_posted = session.scalars(stuck.where(CourseBadge.course_id == course_id, _stuck())).all()
        names = {
            version_id: str(session.get_one(AchievementVersion, version_id).definition.get("name") or "")
            for version_id in {row.version_id for row in (*issued, *waiting, *doubted)}
        }
        news.earned.update(names[row.version_id] for row in issued)
        news.waiting.update(names[row.version_id] for row in waiting)
        news.doubted.update(names[row.version_id] for row in doubted)
        news.broken, news.not_posted = len(broken), len(not_posted)
        news.is_new = bool(issued) or any(
            is_new(moments)
            for moments in (
                [row.earned_at for row in waiting],
                [row.opened_at for row in doubted],
                broken,
                not_posted,
            )
        )
        return news

    def values(self, course: Course) -> dict[str, Any]:
        """Return it as the letter takes it."""
        counts = {"earned": self.earned, "waiting": self.waiting, "doubted": self.doubted}
        by_badge = {word: sorted([name, num] for name, num in counter.items()) for word, counter in counts.items()}
        told = {"course": course.title or course.label, "broken": self.broken, "not_posted": self.not_posted}
        return by_badge | told
