"""Places in status lists, and what holds them: each is a signed thing that can be withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from lti_tool.credentials import status_list
from lti_tool.models import Edition, Endorsement, StatusList, WithdrawnElsewhere
from lti_tool.services import journal

# Tables whose rows hold a place: `id`, `status_list_id`, `status_index`, `withdrawn_at`.
HOLDERS: tuple[Any, ...] = (Edition, Endorsement)
FULLEST = status_list.ENTRIES // 2  # entries used before a list is closed: a fuller one makes random indexes rare
AT_A_TIME = 250  # indexes that are asked for at once


def status_places(session: Session, count: int, now: datetime) -> list[tuple[int, int]]:
    """Return free places, list and index, at random, for rows that this transaction will add.

    A list that is half full is closed, and another begun."""
    places: list[tuple[int, int]] = []
    while len(places) < count:
        query = select(StatusList).where(~StatusList.closed).order_by(StatusList.id).limit(1).with_for_update()
        current = session.scalar(query)
        if current is None:
            current = StatusList(created_at=now)
            session.add(current)
            session.flush()
        used = sum(_count(session, holder, current.id) for holder in HOLDERS)
        share = max(0, min(FULLEST - used, count - len(places)))
        places += [(current.id, index) for index in _free_indexes(session, current.id, share)]
        if share:
            journal.note(session, journal.given(current.id, used + share, now))
        if used + share >= FULLEST:
            current.closed = True
            session.flush()
    return places


def list_changed(session: Session, list_ids: Collection[int]) -> None:
    """Say that bits of these status lists were set, so that they are signed anew."""
    for list_id in sorted(set(list_ids)):
        session.execute(update(StatusList).where(StatusList.id == list_id).values(revision=StatusList.revision + 1))


def _count(session: Session, holder: Any, list_id: int) -> int:
    return session.scalar(select(func.count()).where(holder.status_list_id == list_id)) or 0


def _free_indexes(session: Session, list_id: int, count: int) -> list[int]:
    """Draw free indexes of a list that is at most half full: what is drawn is asked for, not all that is used."""
    found: list[int] = []
    while len(found) < count:
        drawn = status_list.pick_indexes(found, min(count - len(found), AT_A_TIME))
        taken: set[int] = set()
        for holder in HOLDERS:
            here = (holder.status_list_id == list_id) & holder.status_index.in_(drawn)
            taken.update(session.scalars(select(holder.status_index).where(here)))
        found += [index for index in drawn if index not in taken]
    return found


def used(session: Session) -> dict[int, int]:
    """Return how many places of each list are held."""
    counts: dict[int, int] = {}
    for holder in HOLDERS:
        for list_id, count in session.execute(
            select(holder.status_list_id, func.count()).group_by(holder.status_list_id)
        ):
            counts[list_id] = counts.get(list_id, 0) + count
    return counts


def withdrawn_indexes(session: Session, list_id: int) -> list[int]:
    """Return the indexes of a list whose bit is set."""
    found: list[int] = []
    for holder in HOLDERS:
        here = (holder.status_list_id == list_id) & holder.withdrawn_at.is_not(None)
        found += session.scalars(select(holder.status_index).where(here))
    found += session.scalars(
        select(WithdrawnElsewhere.status_index).where(WithdrawnElsewhere.status_list_id == list_id)
    )
    return found


def withdrawn_ids(session: Session) -> set[str]:
    """Return the ids of everything that is withdrawn, here or elsewhere."""
    found = set(session.scalars(select(WithdrawnElsewhere.edition_id)))
    for holder in HOLDERS:
        found.update(session.scalars(select(holder.id).where(holder.withdrawn_at.is_not(None))))
    return found


def count_withdrawn(session: Session) -> int:
    """Count the same: the partial indexes answer it."""
    counts: Iterable[int] = (
        session.scalar(select(func.count(holder.status_index)).where(holder.withdrawn_at.is_not(None))) or 0
        for holder in HOLDERS
    )
    return sum(counts) + (session.scalar(select(func.count()).select_from(WithdrawnElsewhere)) or 0)
