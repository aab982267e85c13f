"""An erasure: what names a person goes, her credentials are revoked for good, and the figures stay without her.

`begin` is one transaction, and after it nobody can find her by her name or open anything of hers. A job does the rest,
table by table: it can be killed at any point and run again. The journal of revocations knows of it too, so that a
database which was put back to an earlier day erases her once more."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Text as TextType
from sqlalchemy import and_, delete, false, func, literal, or_, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import random_id, repeat_collided
from lti_tool.models import (
    AuditEvent,
    Award,
    AwardFile,
    Browser,
    Course,
    Deployment,
    Edition,
    Endorsement,
    Enrolment,
    Erasure,
    Evidence,
    EvidenceFile,
    Launch,
    Message,
    OAuthGrant,
    Person,
    RightsRequest,
    ShareLink,
    SourceFile,
    WithdrawnElsewhere,
)
from lti_tool.sentence import Sentence
from lti_tool.services import (
    audit,
    award_acts,
    evidence_files,
    journal,
    notifications,
    own_access,
    places,
    status_lists,
    work,
)
from lti_tool.services.credential_state import HOLDER_ASKED
from lti_tool.services.erased import known_by
from lti_tool.services.her_data import DELETED, TABLES, Kept, Who, who_is
from lti_tool.services.tool import Tool, log
from lti_tool.services.work import Say

NAMING = ("sub", "name", "email", "sis_id", "shown_name")


# -- at once ----------------------------------------------------------------------------------------------------


def begin(
    tool: Tool, session: Session, person_id: str, *, actor: str, now: datetime, journaled: bool = False
) -> list[int]:
    """Let somebody be unknown from this transaction on; returns the jobs that erase the rest, for the caller to wake.

    Everybody linked as the same human goes along. Her awards are revoked, and their credentials' status bits set.
    `journaled`: the journal knows of it already."""
    who = who_is(session, person_id)
    _await_rosters(session, who)
    query = select(Person).where(Person.id.in_(who.ids)).order_by(Person.id).with_for_update()
    # As she is now: a roster that was waited for may have told her name.
    people = list(session.scalars(query.execution_options(populate_existing=True)))
    for award in _awards(session, who):
        empty_award(tool, session, award, actor=actor, now=now)
    for each in who.ids:  # while the address is known by which she got in without her LMS
        own_access.forget(session, each)
        notifications.forget(session, each)
    session.execute(delete(ShareLink).where(ShareLink.award_id.in_(who.awards)))
    session.execute(delete(Launch).where(Launch.person_id.in_(who.ids)))
    session.execute(delete(Browser).where(Browser.person_id.in_(who.ids)))
    session.execute(delete(Enrolment).where(Enrolment.person_id.in_(who.ids)))
    session.execute(delete(Message).where(_looks_at(who)))
    allowed = OAuthGrant.person_id.in_(who.ids), OAuthGrant.ended_at.is_(None)
    session.execute(update(OAuthGrant).where(*allowed).values(ended_at=now))
    of_hers = RightsRequest.person_id.in_(who.ids), RightsRequest.state == "open"
    session.execute(update(RightsRequest).where(*of_hers, RightsRequest.kind == "erasure").values(state="doing"))
    others = update(RightsRequest).where(*of_hers, RightsRequest.kind != "erasure")
    session.execute(others.values(state="withdrawn", wanted=""))
    jobs = []
    for person in people:
        known = known_by(tool, person.registration_id, person.sub)[0]
        before = {name: getattr(person, name) for name in NAMING}
        told = {"person_id": person.id, "registration_id": person.registration_id, "known": known}
        session.add(Erasure(**told, before=before, began_at=now))
        if not journaled:
            journal.note(session, journal.erasure(person.id, person.registration_id, known, now))
        person.name = person.email = person.sis_id = person.shown_name = ""
        person.sub, person.subject_id = f"erased:{random_id()}", f"urn:uuid:{uuid.uuid4()}"
        person.same_as_id, person.erased_at = None, now
        audit.record(session, now, actor, "privacy.erasure_begun", audit.person(person.id))
        session.flush()
        jobs.append(work.request_in(session, "erase", person.id, now))
    return jobs


def _await_rosters(session: Session, who: Who) -> None:
    """Let what is being stored of her LMSs' courses end first, and nothing more be stored until she is unknown.

    A sync asks once who is not to come back, and then stores list after list. On PostgreSQL one that had asked before
    would find nobody of her `sub` afterwards, and write her down anew. Of every course, for a list may name her today
    for the first time; in one order, and before her own rows, as a sync does it."""
    of_platforms = Course.registration_id.in_({of for of, _ in who.subs})
    session.execute(select(Course.id).where(of_platforms).order_by(Course.id).with_for_update(key_share=True))


def _looks_at(who: Who) -> Any:
    """What the visits of her teachers keep of whose work they have opened from the LMS."""

    def visits(registration_id: int) -> Any:
        return select(Launch.id).join(Deployment).where(Deployment.registration_id == registration_id)

    named = Message.told["user_id"].as_string()
    return or_(false(), *(and_(named == sub, Message.launch_id.in_(visits(of))) for of, sub in who.subs))


def _awards(session: Session, who: Who) -> Iterable[Award]:
    query = select(Award).where(Award.id.in_(who.awards)).order_by(Award.id).options(joinedload(Award.version))
    return list(session.scalars(query.with_for_update(of=Award, key_share=True)))


def empty_award(
    tool: Tool, session: Session, award: Award, *, actor: str, now: datetime, reason: str = HOLDER_ASKED
) -> None:
    """Revoke an award, and leave of it and its credentials only that they were: what of, when, and their status entry.

    A credential that everybody could see says at its address that it is gone."""
    award_acts.revoke_in(tool, session, award, reason, actor, now, tell=reason != HOLDER_ASKED)
    if award.revocation_reason != reason:
        award.revocation_reason = ""  # what somebody wrote about her
    version = award.version.number
    award.decision = {"version": version, "rule": "", "decided_at": award.earned_at.isoformat(), "rows": []}
    award.note = None if award.given == "grades" else "-"
    award.note_told = False
    award.held_reason = award.held_until = None
    for edition in award.editions:
        was_public = award.page_public or edition.choices.get("gone", False)
        edition.choices = {"gone": True} if was_public else {}
        edition.document = edition.jwt = edition.decision = edition.holder = None
        edition.salt = ""
    award.page_public = False


# -- the rest ---------------------------------------------------------------------------------------------------


def run_erase(tool: Tool, person_id: str, say: Say) -> dict[str, Any]:
    """Job step: erase whatever else stands of somebody. Safe to repeat and to interrupt."""
    with tool.db.read() as session:
        row = session.get(Erasure, person_id)
        if row is None or row.finished_at is not None:
            return {}
        before: dict[str, str] = row.before or {}
        registration_id = row.registration_id
    who = Who((person_id,), ((registration_id, before["sub"]),) if "sub" in before else ())
    counts: dict[str, Any] = {}
    say(Sentence("Signing the status lists …"))
    _sign_lists(tool, who, datetime.now(UTC))
    say(Sentence("Looking for files that name the person …"))
    counts["file"] = repeat_collided(lambda: _forget_files(tool, person_id, before))
    for kept in TABLES:
        say(Sentence("Erasing the rest …"))
        counts[kept.model.__tablename__] = repeat_collided(partial(_erase, tool, kept, who))
    say(Sentence("Blanking the journal …"))
    _blank_journal(tool, who)
    repeat_collided(lambda: _finish(tool, person_id, datetime.now(UTC)))
    log.info("person=%s erased", person_id)
    return {name: count for name, count in counts.items() if count}


def _sign_lists(tool: Tool, who: Who, now: datetime) -> None:
    """Sign anew the lists that her withdrawn credentials stand in, so that nobody waits for it."""
    with tool.db.read() as session:
        numbers = set(session.scalars(select(Edition.status_list_id).where(Edition.award_id.in_(who.awards))))
    for number in sorted(numbers):
        status_lists.signed(tool, number, now, lag=0.0)


def _forget_files(tool: Tool, person_id: str, before: dict[str, str]) -> int:
    """Delete files of learners and of grades that name her: they are kept for a day only, and can be sent again."""
    names = [value for name in ("sub", "email", "sis_id", "name") if (value := before.get(name, ""))]
    with tool.db.write() as session:
        found: list[tuple[Any, str]] = []
        models: tuple[Any, ...] = (AwardFile, SourceFile)
        for model in models:
            for file in session.scalars(select(model)):
                told = json.dumps([file.lines, file.problems], ensure_ascii=False)
                if person_id in told or any(json.dumps(name, ensure_ascii=False)[1:-1] in told for name in names):
                    found.append((model, file.id))
        for model, ident in found:
            session.execute(delete(model).where(model.id == ident))
        return len(found)


def _erase(tool: Tool, kept: Kept, who: Who) -> int:
    """Delete or empty the rows of one table that are hers; returns how many."""
    model = kept.model
    if model is EvidenceFile:
        return _delete_evidence(tool, who, datetime.now(UTC))
    with tool.db.write() as session:
        if kept.erased == DELETED:
            return _count(session.execute(delete(model).where(kept.find(who))))
        if model is Endorsement:
            _withdraw_endorsements(session, who, datetime.now(UTC))
        if model is AuditEvent:
            return _count(session.execute(update(model).where(_about(who)).values(detail={})))
        if kept.empty:
            return _count(session.execute(update(model).where(kept.find(who)).values(**kept.empty)))
    return 0


def _delete_evidence(tool: Tool, who: Who, now: datetime) -> int:
    """Delete her evidence, the files before their rows: where this is broken off, the rows name them still."""
    with tool.db.read() as session:
        files = [file for each in who.ids for file in evidence_files.kept_of(tool, session, each)]
        ids = list(session.scalars(select(Evidence.id).where(Evidence.person_id.in_(who.ids))))
    for file in files:
        if file.path is not None:
            file.path.unlink(missing_ok=True)
    return evidence_files.delete(tool, ids, now)


def _count(result: Any) -> int:
    return max(0, int(result.rowcount))


def _about(who: Who) -> Any:
    """Entries about her. What she did as a teacher of others stays told, by an id that is nobody's any more."""
    awards = select(literal("award:") + Award.id).where(Award.id.in_(who.awards))
    named = [sql_cast(AuditEvent.detail, TextType).contains(each, autoescape=True) for each in who.ids]
    detail = func.length(sql_cast(AuditEvent.detail, TextType)) > 2
    return detail & or_(AuditEvent.subject.in_(who.actors), AuditEvent.subject.in_(awards), *named)


def _withdraw_endorsements(session: Session, who: Who, now: datetime) -> None:
    """Take back what outsiders said of her awards: their words are about her."""
    query = select(Endorsement).where(Endorsement.award_id.in_(who.awards), Endorsement.withdrawn_at.is_(None))
    for said in session.scalars(query.with_for_update()):
        said.withdrawn_at = now
        journal.note(session, journal.other_withdrawal(said, ""))
        places.list_changed(session, [said.status_list_id])


def _blank_journal(tool: Tool, who: Who) -> None:
    with tool.db.write() as session:
        awards = set(session.scalars(who.awards))
        said = set(session.scalars(select(Endorsement.id).where(Endorsement.award_id.in_(awards))))
        elsewhere = WithdrawnElsewhere.award_id.in_(awards)
        session.execute(update(WithdrawnElsewhere).where(elsewhere).values(reason=""))
    tool.journal.blank(awards, said)


def _finish(tool: Tool, person_id: str, now: datetime) -> None:
    with tool.db.write() as session:
        row = session.get_one(Erasure, person_id, with_for_update=True)
        # Once more: whoever was signing at that moment had read them before.
        hers = Edition.award_id.in_(Who((person_id,)).awards)
        session.execute(update(Edition).where(hers).values(document=None, jwt=None))
        row.before, row.finished_at = None, now
        done = RightsRequest.person_id == person_id, RightsRequest.state == "doing"
        session.execute(update(RightsRequest).where(*done).values(state="done", finished_at=now))
        audit.record(session, now, audit.TOOL, "privacy.erased", audit.person(person_id))


# -- a database that was put back -------------------------------------------------------------------------------


def replay(tool: Tool, now: datetime) -> int:
    """Erase once more whom the journal knows to be erased and the database still names; returns how many.

    Safe to repeat, and at the same time in several processes."""
    written = tool.journal.read()
    if not written.erased:
        return 0
    with tool.db.read() as session:
        rows = session.execute(select(Erasure.person_id, Erasure.returned_at))
        back = written.returned
        settled = {row.person_id for row in rows if row.returned_at is not None or row.person_id not in back}
    done = 0
    for person_id, line in written.erased.items():
        if person_id in settled:
            continue
        done += repeat_collided(partial(_again, tool, person_id, line, written.returned, now))
        with tool.db.read() as session:
            row = session.get(Erasure, person_id)
            unfinished = row is not None and row.finished_at is None and row.began_at == now
        if unfinished:  # a crash before left the others to their job
            run_erase(tool, person_id, lambda _: None)
    return done


def _again(tool: Tool, person_id: str, line: dict[str, Any], returned: Any, now: datetime) -> int:
    came_back = datetime.fromisoformat(returned[person_id]) if person_id in returned else None
    with tool.db.read() as session:
        row = session.get(Erasure, person_id)
        if row is not None and (row.returned_at is not None or came_back is None):
            return 0
    with tool.db.write() as session:
        row = session.get(Erasure, person_id)
        if row is None:
            person = session.get(Person, person_id)
            if person is not None:
                begin(tool, session, person_id, actor=audit.TOOL, now=now, journaled=True)
            else:
                told = {"registration_id": line["platform"], "known": line["known"]}
                session.add(Erasure(person_id=person_id, **told, began_at=now, finished_at=now))
            session.flush()
            row = session.get_one(Erasure, person_id)
        row.returned_at = row.returned_at or came_back
        return 1


def look(tool: Tool, now: datetime) -> None:
    """Replay where the journal knows of more than the database: one was put back under a running worker."""
    size = tool.journal.size()
    if size != tool.erasures_seen[0]:
        tool.erasures_seen = (size, len(tool.journal.read().erased))
    with tool.db.read() as session:
        known = session.scalar(select(func.count()).select_from(Erasure)) or 0
    if known < tool.erasures_seen[1]:
        replay(tool, now)
