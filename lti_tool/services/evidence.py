"""What a learner, or whoever marks her, puts beside a row of the rubric: words or a link. Files are not taken yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import SubCompetency
from lti_tool.errors import BadInput, NotFound, NotPermitted
from lti_tool.models import CourseBadge, Evidence
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, marking
from lti_tool.services.tool import Tool

LONGEST = 5_000  # characters
MOST = 30  # of one learner in one row


@dataclass(frozen=True)
class EvidenceItem:
    """`href` is empty for anything but a link over https; `own`: whoever looks has put it there, and may withdraw."""

    id: str
    tag: str
    kind: str
    content: str
    href: str
    by: str
    own: bool
    at: datetime


def items(session: Session, course_badge_id: str, person_id: str, viewer: str) -> dict[str, tuple[EvidenceItem, ...]]:
    """Return one learner's evidence by the tag of its row, oldest first, as an actor of the audit log sees it."""
    query = (
        select(Evidence)
        .where(Evidence.course_badge_id == course_badge_id, Evidence.person_id == person_id)
        .where(Evidence.withdrawn_at.is_(None))
        .order_by(Evidence.created_at, Evidence.id)
    )
    found: dict[str, list[EvidenceItem]] = {}
    for row in session.scalars(query):
        found.setdefault(row.tag, []).append(
            EvidenceItem(
                id=row.id,
                tag=row.tag,
                kind=row.kind,
                content=row.content,
                href=row.content if row.kind == "link" and is_link(row.content) else "",
                by=marking.name_of(session, row.created_by),
                own=row.created_by == viewer,
                at=row.created_at,
            )
        )
    return {tag: tuple(each) for tag, each in found.items()}


def handed_in(session: Session, course_badge_id: str) -> frozenset[tuple[str, str]]:
    """Return for which rows evidence has been handed in and not taken back: (person id, tag)."""
    query = select(Evidence.person_id, Evidence.tag).where(
        Evidence.course_badge_id == course_badge_id, Evidence.submitted_at.is_not(None), Evidence.withdrawn_at.is_(None)
    )
    return frozenset((person_id, tag) for person_id, tag in session.execute(query))


def is_link(text: str) -> bool:
    """Tell whether a text is one address over https: nothing else is ever made a link of."""
    if not text.startswith("https://") or any(character.isspace() or not character.isprintable() for character in text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def is_taken(row: SubCompetency) -> bool:
    """Tell whether a learner may put evidence beside a row: where somebody will see it, or the badge asks for it."""
    return row.evidence == "required" or (row.evidence != "none" and row.source == "rubric")


def add_own(tool: Tool, course_id: int, slug: str, person_id: str, tag: str, content: str, now: datetime) -> None:
    """Put something beside a learner's own row. Raises NotPermitted for somebody who is no learner of this course."""
    with tool.db.write() as session:
        try:
            marking.learner(session, course_id, person_id)
        except NotFound as error:
            raise NotPermitted(
                error.detail,
                sentence=Sentence("Evidence is added by learners of this course, each to her own badges."),
                what_to_do="",
            ) from error
        badge = _row_of(session, course_id, slug, tag, own=True)
        _add(session, badge, person_id, tag, "text", content, audit.person(person_id), now)


def attach(
    tool: Tool, course_id: int, slug: str, person_id: str, tag: str, content: str, *, actor: str, now: datetime
) -> None:
    """Put a note or a link beside a learner's row, as somebody who marks her; she sees it too."""
    with tool.db.write() as session:
        marking.learner(session, course_id, person_id)
        badge = _row_of(session, course_id, slug, tag)
        _add(session, badge, person_id, tag, "note", content, actor, now)


def _row_of(session: Session, course_id: int, slug: str, tag: str, *, own: bool = False) -> CourseBadge:
    badge = catalog.get_badge(session, course_id, slug)
    if badge.version is None:
        raise NotFound(f"badge {slug} is not published")
    rows: Iterable[str] = (r.tag for r in catalog.definition_of(badge).sub_competencies if is_taken(r) or not own)
    if badge.status == "retired" or tag not in set(rows):
        raise NotFound(f"no evidence for {tag}")
    return badge


def _add(
    session: Session, badge: CourseBadge, person_id: str, tag: str, words: str, content: str, actor: str, now: datetime
) -> None:
    content = content.replace("\r\n", "\n").replace("\0", "").strip()
    if not content:
        raise BadInput(
            sentence=Sentence("Nothing was written."),
            what_to_do=Sentence("Write a few words, or paste an https:// address."),
        )
    if len(content) > LONGEST:
        raise BadInput(
            f"evidence of {len(content)} characters",
            sentence=Sentence("That is longer than %(longest)s characters.", longest=LONGEST),
            what_to_do=Sentence("Shorten it, or put it elsewhere and add its https:// address."),
        )
    there = select(func.count()).where(
        Evidence.course_badge_id == badge.id,
        Evidence.person_id == person_id,
        Evidence.tag == tag,
        Evidence.withdrawn_at.is_(None),
    )
    if (session.scalar(there) or 0) >= MOST:
        raise BadInput(
            sentence=Sentence("This row has %(most)s pieces of evidence.", most=MOST),
            what_to_do=Sentence("Withdraw one of them first."),
        )
    row = Evidence(
        course_badge_id=badge.id,
        person_id=person_id,
        tag=tag,
        kind="link" if is_link(content) else words,
        content=content,
        created_by=actor,
        created_at=now,
        submitted_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(
        session, now, actor, "evidence.added", f"badge:{badge.id}", learner=person_id, row=tag, kind=row.kind, id=row.id
    )


def withdraw(
    tool: Tool, course_id: int, slug: str, person_id: str, evidence_id: str, *, actor: str, now: datetime
) -> None:
    """Take back what one has put there oneself; raises NotFound for anything else."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug)
        row = session.get(Evidence, evidence_id, with_for_update=True)
        if row is None or (row.course_badge_id, row.person_id, row.created_by) != (badge.id, person_id, actor):
            raise NotFound(f"no evidence {evidence_id} of {actor}")
        if row.withdrawn_at is not None:
            return
        row.withdrawn_at = now
        audit.record(
            session, now, actor, "evidence.withdrawn", f"badge:{badge.id}", learner=person_id, row=row.tag, id=row.id
        )
