"""Badges of other issuers as parts of a stack: handed in, checked, then accepted or refused by an instructor.

A badge that fails any check is not taken at all. One that passes still counts only once somebody who teaches has
accepted it for a part, with a reason: no check can tell whether it stands for the same thing. Whose it is can be told
where it names the e-mail address that the LMS knows; else she says that she has made sure herself.

Accepted ones are checked again at most once a day, when the course is judged. The page says when that was last
possible; one that has been withdrawn since counts no more, and the award that rests on it is looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials.verify import FAILED, PASSED, Report
from lti_tool.db import repeat_collided
from lti_tool.domain.badge import badge_from_content
from lti_tool.errors import BadInput, Busy, Conflict, NotFound, NotPermitted
from lti_tool.models import CourseBadge, Enrolment, OutsideBadge, Person
from lti_tool.sentence import Sentence, kept, read
from lti_tool.services import audit, catalog, checking, own_badges, stacks, work
from lti_tool.services.award_acts import one_line
from lti_tool.services.issuer import issuer_row
from lti_tool.services.launches import LEARN, LaunchSession
from lti_tool.services.pages.public import CheckView
from lti_tool.services.pages.student import OutsideView
from lti_tool.services.tool import Tool, log
from lti_tool.services.words import said

LARGEST = 1_000_000  # bytes of a file
LONGEST = 200  # characters of what a badge says of itself
FRESH = timedelta(days=1)
MOST_AT_ONCE = 20  # checked again in one job


# -- handing in -------------------------------------------------------------------------------------------------


def hand_in_own(
    tool: Tool, who: LaunchSession, slug: str, part: str, sent: bytes | str, source: str, now: datetime
) -> None:
    """Take a badge that a learner hands in for a part of a stack; raises BadInput with the reason it is not taken."""
    with tool.db.read() as session:
        badge = _stack_of(session, who, slug)
        enrolment = session.get(Enrolment, (who.course_id, who.person_id))
        if LEARN not in who.rights or who.test_user or enrolment is None or not enrolment.is_learner:
            raise NotPermitted(
                "not a learner",
                sentence=Sentence("Badges are handed in by learners of this course, each for herself."),
                what_to_do="",
            )
        badge_id = badge.id
    _hand_in(tool, badge_id, part, sent, source, who.person_id, audit.person(who.person_id), now)


def hand_in_for(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    part: str,
    sent: bytes | str,
    source: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Take a badge that an instructor hands in for a learner of the course."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, course_id, slug)
        enrolment = session.get(Enrolment, (course_id, person_id))
        if enrolment is None or not enrolment.is_learner:
            raise BadInput(sentence=Sentence("Choose the learner whose badge it is."))
        badge_id = badge.id
    _hand_in(tool, badge_id, part, sent, source, person_id, actor, now)


def _stack_of(session: Session, who: LaunchSession, slug: str) -> CourseBadge:
    badge = own_badges.find(session, who, slug)
    if badge.version is None or not badge.version.members:
        raise NotFound(f"no stack {slug}")
    return badge


def _hand_in(
    tool: Tool, badge_id: str, part: str, sent: bytes | str, source: str, person_id: str, actor: str, now: datetime
) -> None:
    if not sent:
        raise BadInput(
            sentence=Sentence("Choose a file, or write the badge's address."),
            what_to_do=Sentence("The badge's own page offers the file: PNG, SVG, JSON or JWT."),
        )
    if len(sent) > LARGEST:
        raise BadInput(sentence=Sentence("This file is larger than 1 MB, so it is not taken as a badge."))
    with tool.db.read() as session:
        badge = session.get_one(CourseBadge, badge_id)
        stack = badge_from_content(badge.version.definition).stack if badge.version is not None else None
        if badge.status != "active" or stack is None or part not in stack.members:
            raise BadInput(sentence=Sentence("Choose the part of the badge that yours is to count for."))
        email, did = session.get_one(Person, person_id).email, issuer_row(session).did
    report = checking.check(tool, sent, now)  # asks other servers, so no transaction is open
    told = _told(report, did)
    row = {
        **told,
        "course_badge_id": badge_id,
        "person_id": person_id,
        "slug": part,
        "content": sent.encode() if isinstance(sent, str) else sent,
        "source": source[:LONGEST],
        "names": _names(report.document or {}, email),
        "checked_at": now,
        "tried_at": now,
        "handed_by": actor,
        "handed_at": now,
    }
    repeat_collided(lambda: _store(tool, row, actor, now))


def _store(tool: Tool, row: Mapping[str, Any], actor: str, now: datetime) -> None:
    with tool.db.write() as session:
        where = (OutsideBadge.course_badge_id == row["course_badge_id"], OutsideBadge.person_id == row["person_id"])
        open_ = (OutsideBadge.slug == row["slug"], OutsideBadge.status != "refused")
        if session.scalar(select(OutsideBadge.id).where(*where, *open_)) is not None:
            raise Conflict(
                sentence=Sentence("A badge has been handed in for this part already."),
                what_to_do=Sentence("Another one can be handed in once that has been refused."),
            )
        outside = OutsideBadge(**row)
        session.add(outside)
        session.flush()
        audit.record(
            session,
            now,
            actor,
            "outside.handed_in",
            f"badge:{outside.course_badge_id}",
            learner=outside.person_id,
            row=outside.slug,
            bytes=len(outside.content),
        )


def _told(report: Report, own_did: str) -> dict[str, Any]:
    """Return what a report says that is kept; raises BadInput where the badge is not one to be counted."""
    summary = report.summary
    failed = next((check for check in report.checks if check.outcome == FAILED), None)
    if failed is not None or summary is None or report.document is None:
        why = failed.sentence if failed is not None else report.explanation
        raise BadInput(
            "an outside badge that is none",
            sentence=Sentence("This badge was not taken: %(why)s", why=why),
            what_to_do=Sentence("Ask its issuer for a copy that checks, then hand that in."),
        )
    if summary.issuer_id == own_did:
        raise BadInput(
            "a badge of ours",
            sentence=Sentence("This badge was issued here, so it counts by itself for whoever has earned it."),
            what_to_do="",
        )
    if summary.valid_from is None:
        raise BadInput(sentence=Sentence("This badge does not say when it was issued, so it cannot be counted."))
    known_as = summary.id or json.dumps(report.document, sort_keys=True)
    return {
        "digest": hashlib.sha256(f"{summary.issuer_id} {known_as}".encode()).hexdigest(),
        "name": summary.name[:LONGEST],
        "issuer_id": summary.issuer_id[:LONGEST],
        "issuer_name": (summary.issuer_name or summary.issuer_id)[:LONGEST],
        "credential_id": summary.id[:LONGEST],
        "issued_at": summary.valid_from,
        "ends_at": summary.valid_until,
        "report": _kept(report),
    }


def _kept(report: Report) -> list[Any]:
    return [[kept(check.question), check.outcome, kept(check.sentence)] for check in report.checks]


def _names(document: Mapping[str, Any], email: str) -> str:
    """Say whether a badge names its recipient by an address that is hers: "email", "other", or "none"."""
    addresses = list(_addresses(document))
    if not addresses:
        return "none"
    spellings = {email.strip(), email.strip().lower()} - {""}
    return "email" if any(_is(value, salt, each) for value, salt in addresses for each in spellings) else "other"


def _addresses(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the e-mail addresses that a badge names its recipient by, hashed or not, each with its salt.

    Open Badges 3.0 has IdentityObjects in the subject, 2.0 one in `recipient`."""
    subject = document.get("credentialSubject")
    found = subject.get("identifier") if isinstance(subject, dict) else None
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict) and each.get("identityType") == "emailAddress":
            yield str(each.get("identityHash", "")), str(each.get("salt") or "")
    recipient = document.get("recipient")
    if isinstance(recipient, dict) and recipient.get("type") in ("email", ["email"]):
        yield str(recipient.get("identity", "")), str(recipient.get("salt") or "")


def _is(value: str, salt: str, email: str) -> bool:
    kind, dollar, told = value.partition("$")
    if not dollar:
        return value.strip().lower() == email.lower()
    if kind not in ("sha256", "md5"):
        return False
    return hashlib.new(kind, (email + salt).encode(), usedforsecurity=False).hexdigest() == told.lower()


# -- deciding ---------------------------------------------------------------------------------------------------


def accept(
    tool: Tool, course_id: int, slug: str, outside_id: str, reason: str, *, sure: bool, actor: str, now: datetime
) -> None:
    """Let an outside badge count for its part. `sure`: somebody has made sure herself of what no check has told.

    Raises BadInput without a reason, Conflict where it cannot be accepted."""
    reason = _reason(reason, Sentence("Say why it stands for this part: whoever looks at it later will ask."))
    with tool.db.read() as session:
        outside = _get(session, course_id, slug, outside_id)
        too_old = now - outside.checked_at > FRESH
    if too_old:  # asks other servers, so no transaction is open
        _check_again(tool, outside_id, now)
    repeat_collided(lambda: _accept(tool, course_id, slug, outside_id, reason, sure, actor, now))
    work.start(tool, "evaluate", str(course_id), again=True)


def _accept(
    tool: Tool, course_id: int, slug: str, outside_id: str, reason: str, sure: bool, actor: str, now: datetime
) -> None:
    with tool.db.write() as session:
        outside = _get(session, course_id, slug, outside_id, lock=True)
        if outside.status != "waiting":
            raise Conflict(sentence=Sentence("Somebody has decided about this badge already."))
        if outside.problem is not None:
            raise Conflict(sentence=outside.problem, what_to_do=Sentence("Refuse it."))
        if not sure and (outside.names != "email" or not all(outcome == PASSED for _, outcome, _ in outside.report)):
            raise BadInput(
                sentence=Sentence(
                    "Not everything could be told from the badge itself. Look at it, then tick that you are sure."
                )
            )
        used = (OutsideBadge.course_badge_id == outside.course_badge_id, OutsideBadge.digest == outside.digest)
        if session.scalar(select(OutsideBadge.id).where(*used, OutsideBadge.status == "accepted")) is not None:
            raise Conflict(
                sentence=Sentence("The very same badge has been accepted before, and counts once only."),
                what_to_do=Sentence("Refuse this one, or take the other acceptance back first."),
            )
        _decide(session, outside, "accepted", reason, actor, now)


def refuse(tool: Tool, course_id: int, slug: str, outside_id: str, reason: str, *, actor: str, now: datetime) -> None:
    """Refuse an outside badge, or take its acceptance back; the learner reads the reason."""
    reason = _reason(reason, Sentence("Say why it does not count: the learner will read it."))
    with tool.db.write() as session:
        outside = _get(session, course_id, slug, outside_id, lock=True)
        if outside.status == "refused":
            raise Conflict(sentence=Sentence("Somebody has decided about this badge already."))
        _decide(session, outside, "refused", reason, actor, now)
    work.start(tool, "evaluate", str(course_id), again=True)


def _reason(text: str, asked: Sentence) -> str:
    reason = one_line(text)
    if not reason:
        raise BadInput(sentence=asked)
    return reason


def _decide(session: Session, outside: OutsideBadge, status: str, reason: str, actor: str, now: datetime) -> None:
    before, outside.status = outside.status, status
    outside.reason, outside.decided_by, outside.decided_at = reason, actor, now
    session.flush()
    audit.record(
        session,
        now,
        actor,
        f"outside.{status}",
        f"badge:{outside.course_badge_id}",
        learner=outside.person_id,
        row=outside.slug,
        before=before,
        after=status,
        reason=reason,
    )


def _get(session: Session, course_id: int, slug: str, outside_id: str, *, lock: bool = False) -> OutsideBadge:
    """Return an outside badge of a course's stack; raises NotFound (also for another course's, D08)."""
    badge = catalog.get_badge(session, course_id, slug)
    query = select(OutsideBadge).where(OutsideBadge.id == outside_id, OutsideBadge.course_badge_id == badge.id)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(f"no outside badge {outside_id}")
    return found


# -- looking again ----------------------------------------------------------------------------------------------


def check_again(tool: Tool, course_id: int, now: datetime) -> None:
    """Check the accepted badges of a course whose last look is older than a day. Asks other servers."""
    query = (
        select(OutsideBadge.id)
        .join(CourseBadge, CourseBadge.id == OutsideBadge.course_badge_id)
        .where(CourseBadge.course_id == course_id, OutsideBadge.status == "accepted", OutsideBadge.problem.is_(None))
        .where(OutsideBadge.tried_at < now - FRESH)
        .order_by(OutsideBadge.tried_at)
        .limit(MOST_AT_ONCE)
    )
    with tool.db.read() as session:
        due = list(session.scalars(query))
    for outside_id in due:
        try:
            _check_again(tool, outside_id, now)
        except Busy:  # as many checks as may are asking other servers: the next look finds the rest
            return


def _check_again(tool: Tool, outside_id: str, now: datetime) -> None:
    with tool.db.read() as session:
        query = select(OutsideBadge).where(OutsideBadge.id == outside_id).options(undefer(OutsideBadge.content))
        outside = session.scalars(query).one()
        content = outside.content
    report = checking.check(tool, content, now)
    failed = next((check for check in report.checks if check.outcome == FAILED), None)
    with tool.db.write() as session:
        outside = session.get_one(OutsideBadge, outside_id, with_for_update=True)
        outside.tried_at = now
        if failed is not None:
            outside.problem, outside.checked_at, outside.report = failed.sentence, now, _kept(report)
            log.info("outside badge=%s does not check any more: %s", outside_id, failed.name)
        elif report.ok:
            outside.checked_at, outside.report = now, _kept(report)


# -- looking ----------------------------------------------------------------------------------------------------


def own(session: Session, badge: CourseBadge, person_id: str) -> tuple[OutsideView, ...]:
    """Return what a learner has handed in for a stack, newest first."""
    if badge.version is None or not badge.version.members:
        return ()
    query = _of(badge).where(OutsideBadge.person_id == person_id)
    return tuple(_view(session, badge, outside) for outside in session.scalars(query))


def of_badge(tool: Tool, course_id: int, slug: str) -> tuple[OutsideView, ...]:
    """Return everything that was handed in for a course's stack: what waits first, then the newest."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, course_id, slug)
        found = session.scalars(_of(badge).options(joinedload(OutsideBadge.person)))
        return tuple(sorted((_view(session, badge, each) for each in found), key=lambda each: each.status != "waiting"))


def waiting(session: Session, badge: CourseBadge) -> int:
    query = select(OutsideBadge.id).where(OutsideBadge.course_badge_id == badge.id, OutsideBadge.status == "waiting")
    return len(session.scalars(query).all())


def _of(badge: CourseBadge) -> Any:
    query = select(OutsideBadge).where(OutsideBadge.course_badge_id == badge.id)
    return query.order_by(OutsideBadge.handed_at.desc(), OutsideBadge.id)


def _view(session: Session, badge: CourseBadge, outside: OutsideBadge) -> OutsideView:
    part = stacks.member(session, badge, outside.slug)
    checks = tuple(CheckView("", outcome, said(read(q)), said(read(s))) for q, outcome, s in outside.report)
    return OutsideView(
        id=outside.id,
        part=part.name if part is not None else outside.slug,
        status=outside.status,
        name=outside.name or _("A badge without a name"),
        issuer=outside.issuer_name,
        issued_at=outside.issued_at,
        source=outside.source,
        reason=outside.reason or "",
        checked_at=outside.checked_at,
        problem=said(outside.problem or ""),
        person_id=outside.person_id,
        learner=outside.person.name or _("Learner"),
        names=outside.names,
        checks=checks,
        ok=all(check.outcome == PASSED for check in checks),
        tried_at=outside.tried_at if outside.tried_at > outside.checked_at else None,
    )
