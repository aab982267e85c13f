"""Links by which a learner shows an award for a while, and only as much of its page as she likes.

A link leaves out parts of the page, never of a file: so its page offers no file, and nothing on it leads to one. It
opens whether or not the award has a public page, because its learner made it for whoever she gives it to."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput, Conflict, NotFound, SecretLost
from lti_tool.lti.registration import digest
from lti_tool.models import PARTS, Award, Edition, ShareLink
from lti_tool.sentence import Sentence
from lti_tool.services import audit, counting
from lti_tool.services.awards import get_award, shown_status
from lti_tool.services.forms import check_text, signed_edition
from lti_tool.services.tool import Tool

LASTS = (7, 30, 90, 365)  # days that a link may last
MOST_OPEN = 20  # of one award at a time
LONGEST_LABEL = 80
KEPT = timedelta(days=30)  # after its end, so that its learner still sees how often it was opened

PART_WORDS = {
    "name": Sentence("your name"),
    "levels": Sentence("your levels"),
    "grades": Sentence("your points and grades"),
    "narrative": Sentence("your own words"),
    "evidence": Sentence("your evidence"),
    "course": Sentence("the course"),
    "endorsements": Sentence("what others say for it"),
}


@dataclass(frozen=True)
class ShareLinkView:
    """A link as its learner sees it. `url` is empty where the key that opens it is lost, and of one that is over."""

    id: str
    url: str
    label: str
    shows: tuple[str, ...]
    hides: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    opened: int
    opened_at: datetime | None
    over: bool


@dataclass(frozen=True)
class Shared:
    """What a link opens: the newest credential of its award, and the parts of it that its page shows."""

    link_id: str
    edition: Edition
    shows: frozenset[str]
    expires_at: datetime


def address(tool: Tool, token: str) -> str:
    return f"{tool.settings.base_url}/shared/{token}"


def parts_in(edition: Edition, *, endorsed: bool) -> tuple[str, ...]:
    """Return the parts that a credential's page has to show, in the order of PARTS."""
    choices = edition.choices
    has = {
        "name": bool(choices.get("name")),
        "levels": choices.get("results", True),
        "grades": bool(choices.get("grades")) and choices.get("results", True),
        "narrative": bool(choices.get("narrative")),
        "evidence": bool(choices.get("evidence") or (edition.award.note and edition.award.note_told)),
        "course": bool(choices.get("course") or edition.award.course.title),
        "endorsements": endorsed,
    }
    return tuple(part for part in PARTS if has[part])


# -- the learner's side -----------------------------------------------------------------------------------------


def make(
    tool: Tool,
    award_id: str,
    shows: Sequence[str],
    days: int,
    *,
    label: str = "",
    actor: str,
    now: datetime,
) -> str:
    """Make a link of a claimed award in force; returns its id. Which learner's it is, the caller has asked.

    Raises BadInput for a length nobody is offered or a label that is too long, Conflict where it cannot be made."""
    if days not in LASTS:
        raise BadInput(f"a link for {days} days", sentence=Sentence("Choose until when the link works."))
    label = " ".join(label.split())
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise BadInput(
            sentence=Sentence("What you call the link may have %(num)s characters.", num=LONGEST_LABEL),
            what_to_do=Sentence("Shorten it, then make the link again."),
        )
    token = secrets.token_urlsafe(16)
    shown = [part for part in PARTS if part in shows and (part != "grades" or "levels" in shows)]
    with tool.db.write() as session:
        award = get_award(session, award_id)  # locked: two at a time are counted one after the other
        if award.claimed_at is None or shown_status(award, now) != "issued":
            raise Conflict(sentence=Sentence("This badge cannot be shared at the moment."))
        still_open = select(func.count()).select_from(ShareLink).where(ShareLink.award_id == award_id, _open(now))
        if (session.scalar(still_open) or 0) >= MOST_OPEN:
            raise Conflict(
                sentence=Sentence("There are %(num)s links to this badge already.", num=MOST_OPEN),
                what_to_do=Sentence("End one that you need no more, then make another."),
            )
        link = ShareLink(
            award_id=award_id,
            token_hash=digest(token),
            sealed=tool.keyring.seal({"token": token}),
            shows=shown,
            label=label,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        session.add(link)
        session.flush()
        counting.count(session, counting.SHARED, award, now, where="share-link")
        audit.record(session, now, actor, "award.link_made", f"award:{award_id}", shows=shown, days=days)
        return link.id


def end(tool: Tool, award_id: str, link_id: str, *, actor: str, now: datetime) -> None:
    """End a link of an award at once; one that is over already stays as it is. Raises NotFound for another award's."""
    check_text(link_id)
    with tool.db.write() as session:
        link = session.scalar(select(ShareLink).where(ShareLink.id == link_id, ShareLink.award_id == award_id))
        if link is None:
            raise NotFound("no such link of this award")
        if link.ended_at is None and link.expires_at > now:
            link.ended_at = now
            audit.record(session, now, actor, "award.link_ended", f"award:{award_id}")


def listed(tool: Tool, session: Session, award_id: str, has: Sequence[str], now: datetime) -> list[ShareLinkView]:
    """Return an award's links, those that work first, the newest first. `has` are the parts there are to show."""
    query = select(ShareLink).where(ShareLink.award_id == award_id).order_by(ShareLink.created_at.desc())
    views = [_view(tool, link, has, now) for link in session.scalars(query)]
    return sorted(views, key=lambda link: link.over)


def open_of(session: Session, award_ids: Sequence[str], now: datetime) -> dict[str, int]:
    """Return how many links of these awards work, by award."""
    if not award_ids:
        return {}
    query = select(ShareLink.award_id, func.count()).where(ShareLink.award_id.in_(award_ids), _open(now))
    return {row[0]: row[1] for row in session.execute(query.group_by(ShareLink.award_id))}


def _view(tool: Tool, link: ShareLink, has: Sequence[str], now: datetime) -> ShareLinkView:
    over = link.ended_at is not None or link.expires_at <= now
    return ShareLinkView(
        id=link.id,
        url="" if over else _url(tool, link),
        label=link.label,
        shows=tuple(part for part in has if part in link.shows),
        hides=tuple(part for part in has if part not in link.shows),
        created_at=link.created_at,
        expires_at=link.expires_at,
        ended_at=link.ended_at,
        opened=link.opened,
        opened_at=link.opened_at,
        over=over,
    )


def _url(tool: Tool, link: ShareLink) -> str:
    try:
        return address(tool, tool.keyring.unseal(link.sealed)["token"])
    except SecretLost:
        return ""


def _open(now: datetime) -> ColumnElement[bool]:
    return ShareLink.ended_at.is_(None) & (ShareLink.expires_at > now)


def end_all(session: Session, award_id: str, now: datetime) -> list[str]:
    """End every link of an award that works, in the caller's transaction; returns their ids for `open_again`."""
    ended = update(ShareLink).where(ShareLink.award_id == award_id, _open(now)).values(ended_at=now)
    return list(session.scalars(ended.returning(ShareLink.id)))


def open_again(session: Session, link_ids: Sequence[str]) -> None:
    """Let links work again that `end_all` has ended, each until its day."""
    session.execute(update(ShareLink).where(ShareLink.id.in_(link_ids)).values(ended_at=None))


# -- everybody's side -------------------------------------------------------------------------------------------


def find(tool: Tool, token: str, now: datetime) -> Shared:
    """Return what a link opens.

    One that was never there, has ended, was ended, or is of an award that was never issued or claimed, is the same
    NotFound after the same query (I24)."""
    check_text(token)
    query = (
        select(ShareLink.id, ShareLink.award_id, ShareLink.shows, ShareLink.expires_at)
        .join(Award)
        .where(ShareLink.token_hash == digest(token), _open(now), Award.claimed_at.is_not(None))
    )
    with tool.db.read() as session:
        found = session.execute(query).one_or_none()
        edition = _newest(session, found.award_id) if found is not None else None
        if found is None or edition is None:
            raise NotFound("no such link, or it is over")
        return Shared(found.id, edition, frozenset(found.shows), found.expires_at)


def _newest(session: Session, award_id: str) -> Edition | None:
    """Return an award's newest own credential, withdrawn or not: the page says what has become of it."""
    newest = (
        select(Edition.id)
        .where(Edition.award_id == award_id, Edition.number > 0, Edition.signed_at.is_not(None))
        .order_by(Edition.number.desc())
        .limit(1)
    )
    found = session.scalar(newest)
    return signed_edition(session, found, "json") if found is not None else None


def opened(tool: Tool, link_id: str, now: datetime) -> None:
    """Count that somebody opened a link."""
    with tool.db.write() as session:
        session.execute(
            update(ShareLink)
            .where(ShareLink.id == link_id)
            .values(opened=ShareLink.opened + 1, opened_at=now)
            .execution_options(synchronize_session=False)
        )


# -- the end ----------------------------------------------------------------------------------------------------


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove links that have been over for KEPT."""
    with tool.db.write() as session:
        over = (ShareLink.expires_at < now - KEPT) | (ShareLink.ended_at < now - KEPT)
        session.execute(delete(ShareLink).where(over))


def forget(session: Session, award_ids: Sequence[str]) -> int:
    """Remove all links of some awards, in the caller's transaction; returns how many there were."""
    gone = delete(ShareLink).where(ShareLink.award_id.in_(award_ids)).returning(ShareLink.id)
    return len(session.scalars(gone).all())
