"""How often public pages are opened: counted in this process's memory, added to the tallies with the turn of a minute.

With the minute, because a public page is kept until something is written or its minute is over (`web.kept`): what is
added then makes nothing anew that would have stayed. So a view costs no write, and a process that is killed takes along
at most a minute of its views.

Who looks is never stored. That a reload is not a second view is known from a hash of address, browser and page, made
with a secret of the day, in memory only: half an hour later it is forgotten, and after the day nobody could make it
again. (Several web processes each know their own visitors.) Robots, link previews and what a browser fetches in advance
are no views: see `is_a_look`."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from crawlerdetect import CrawlerDetect
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lti_tool.db import Database, repeat_collided
from lti_tool.errors import ToolError
from lti_tool.models import Achievement, AchievementVersion, Award, Edition
from lti_tool.services import counting

SAME_VISIT = timedelta(minutes=30)  # the same visitor at the same page within it is one view
MOST_VISITORS = 50_000  # remembered by a process, of about 150 bytes
MOST = 20_000  # different pages with views that wait to be added
LONGEST_NAME = 400  # characters of a browser's name that are looked at
HERS = frozenset({counting.PAGE, counting.SHARED_PAGE})  # what a learner's own number is made of
_robots = CrawlerDetect()


class Seen(NamedTuple):
    """What was seen, or taken: of a credential by its id, or of a badge's page as slug and version."""

    kind: str  # counting.VIEWED or counting.SHARED
    subject: str
    where: str
    day: str


def is_a_look(headers: Mapping[str, str], *destinations: str) -> bool:
    """Tell whether a request is a person's who looks at a page, or at a picture, as far as its headers say.

    No: robots and fetchers of link previews by their names; what has no name, or none that a browser has; what is
    fetched before anybody asked for it; what a script fetches. A mail filter that names itself as a browser passes."""
    name = headers.get("User-Agent", "")[:LONGEST_NAME]
    if not name.startswith(("Mozilla/", "Opera/")) or "ms-office" in name or _robots.is_crawler(name):
        return False
    for header in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"):
        if any(word in headers.get(header, "").lower() for word in ("prefetch", "prerender", "preview")):
            return False
    told = headers.get("Sec-Fetch-Dest", "")  # https://www.w3.org/TR/fetch-metadata/; older browsers tell none
    return told in (destinations or ("document",)) or (not told and "image" not in destinations)


class PageViews:
    """What this process has seen and not yet added."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._new: Counter[Seen] = Counter()
        self._visitors: OrderedDict[bytes, datetime] = OrderedDict()
        self._secret, self._secret_of = b"", ""
        self._minute: datetime | None = None  # in which what there was has been added

    def seen(self, subject: str, where: str, address: str, browser: str, now: datetime) -> bool:
        """Note that somebody looks at a page; tells whether that is a view and not the same visit still."""
        return self._note(counting.VIEWED, subject, where, address, browser, now)

    def taken(self, credential_id: str, where: str, address: str, browser: str, now: datetime) -> bool:
        """Note that a learner takes her credential as a file: it is passed on."""
        return self._note(counting.SHARED, credential_id, where, address, browser, now)

    def _note(self, kind: str, subject: str, where: str, address: str, browser: str, now: datetime) -> bool:
        day = now.astimezone(UTC).date().isoformat()
        what = Seen(kind, subject, where, day)
        with self._lock:
            if self._secret_of != day:
                self._secret, self._secret_of = secrets.token_bytes(32), day
                self._visitors.clear()
            told = "\0".join((kind, subject, where, address, browser[:LONGEST_NAME])).encode()
            visitor = hashlib.blake2b(told, key=self._secret, digest_size=16).digest()
            while self._visitors and now - next(iter(self._visitors.values())) > SAME_VISIT:
                self._visitors.popitem(last=False)
            if visitor in self._visitors:
                return False
            self._visitors[visitor] = now
            if len(self._visitors) > MOST_VISITORS:
                self._visitors.popitem(last=False)
            if what in self._new or len(self._new) < MOST:
                self._new[what] += 1
        return True

    def add_if_due(self, now: datetime) -> None:
        """Add what was seen in earlier minutes, with the first request of one. Never fails: counting stops nobody."""
        minute = now.replace(second=0, microsecond=0)
        if self._minute != minute:
            self._minute = minute  # also where nothing waits: what comes later in this minute waits for the next
            if self._new:
                self.add(now)

    def add(self, now: datetime) -> None:
        """Add what was seen to the tallies now. What cannot be added is kept for the next time."""
        with self._lock:
            new, self._new = self._new, Counter()
        if not new:
            return
        try:
            repeat_collided(lambda: self._write(new, now))
        except (SQLAlchemyError, ToolError):
            with self._lock:
                self._new.update(new)

    def _write(self, new: Mapping[Seen, int], now: datetime) -> None:
        with self._db.write() as session:
            credentials = _credentials(session, {each.subject for each in new if "/" not in each.subject})
            versions = _versions(session, {each.subject for each in new if "/" in each.subject})
            views: Counter[str] = Counter()
            numbers: Counter[counting.Key] = Counter()
            for each, number in sorted(new.items()):
                award = credentials.get(each.subject)
                if award is not None and each.kind == counting.SHARED:
                    for _ in range(number):
                        counting.count(session, counting.SHARED, award, now, where=each.where)
                    continue
                if award is not None:
                    of = (award.course_badge_id, award.version_id)
                    if each.where in HERS:
                        views[award.id] += number
                elif each.subject in versions:
                    of = ("", versions[each.subject])
                else:
                    continue  # gone since
                numbers[counting.Key(each.day, each.kind, *of, each.where, counting.UNTOLD)] += number
            counting.add_views(session, views)
            counting.note(session, numbers)


def _credentials(session: Session, ids: set[str]) -> dict[str, Award]:
    found: dict[str, Award] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), counting.BATCH):
        query = select(Edition.id, Award).join(Award, Award.id == Edition.award_id)
        found |= dict(session.execute(query.where(Edition.id.in_(wanted[start : start + counting.BATCH]))).all())
    return found


def _versions(session: Session, pages: set[str]) -> dict[str, int]:
    query = select(Achievement.slug, AchievementVersion.number, AchievementVersion.id).join(
        AchievementVersion.achievement
    )
    slugs = {page.partition("/")[0] for page in pages}
    if not slugs:
        return {}
    return {f"{slug}/{number}": id for slug, number, id in session.execute(query.where(Achievement.slug.in_(slugs)))}
