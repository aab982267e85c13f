"""The audit log as people read it: who in words, what in words, found again by text, kind and time, and as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Select, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from lti_tool.errors import BadInput
from lti_tool.models import (
    Achievement,
    Administrator,
    AuditEvent,
    Award,
    Course,
    CourseBadge,
    Deployment,
    Job,
    Person,
    Registration,
)
from lti_tool.sentence import Sentence
from lti_tool.services.failed_jobs import KINDS as JOB_KINDS
from lti_tool.services.tool import Tool
from lti_tool.services.words import STATUS_WORDS, moment, said
from lti_tool.sheets import safe_cell

A_PAGE = 50
A_CHUNK = 500  # rows of a file read at once
LONGEST_TEXT = 200
MOST_NAMED = 500  # people whose name a searched text may match

KINDS = {
    "access": Sentence("Access after the course"),
    "administrator": Sentence("Administrators"),
    "award": Sentence("Awards"),
    "backpack": Sentence("Backpacks"),
    "endorsement": Sentence("Endorsements"),
    "badge": Sentence("Badges"),
    "connection": Sentence("Connections"),
    "course": Sentence("Courses"),
    "database": Sentence("Database"),
    "deployment": Sentence("Deployments"),
    "evidence": Sentence("Evidence"),
    "invite": Sentence("Invite links"),
    "issuer": Sentence("Issuer"),
    "job": Sentence("Jobs"),
    "key": Sentence("Keys"),
    "links": Sentence("Placed links"),
    "mail": Sentence("Mail"),
    "mark": Sentence("Marks"),
    "notice": Sentence("Notices of an LMS"),
    "outside": Sentence("Badges from elsewhere"),
    "person": Sentence("People"),
    "platform": Sentence("Platforms"),
    "privacy": Sentence("Data privacy"),
    "retention": Sentence("Retention"),
}

# What an action is called. One that is not here is shown as it is written.
ACTIONS = {
    "access.asked": Sentence("A learner entered an address to keep access"),
    "access.confirmed": Sentence("An address that opens a learner's badges was confirmed"),
    "access.ended": Sentence("A learner ended all visits without her LMS"),
    "access.left": Sentence("A learner ended her visit without her LMS"),
    "access.link_sent": Sentence("A one-time link to a learner's badges was sent"),
    "access.opened": Sentence("A learner opened her badges without her LMS"),
    "access.refused": Sentence("A link to a learner's badges was tried after its time, or twice"),
    "access.removed": Sentence("An address that opens a learner's badges was removed"),
    "administrator.account_asked": Sentence("An LMS account asked to sign an administrator in"),
    "administrator.account_bound": Sentence("An LMS account was bound to an administrator"),
    "administrator.account_unbound": Sentence("An LMS account was unbound"),
    "administrator.added": Sentence("Became administrator"),
    "administrator.address_made": Sentence("A sign-in address was made"),
    "administrator.address_withdrawn": Sentence("A sign-in address was withdrawn"),
    "administrator.refused": Sentence("A sign-in was refused"),
    "administrator.removed": Sentence("An administrator was removed"),
    "administrator.signed_in": Sentence("Signed in"),
    "administrator.signed_out": Sentence("Signed out"),
    "award.added_to_wallet": Sentence("A badge was added to a wallet"),
    "award.chosen": Sentence("A learner chose what her credential says"),
    "award.claimed": Sentence("A learner decided what is public"),
    "award.confirmed": Sentence("An award was confirmed"),
    "award.copy_withdrawn": Sentence("A copy of a badge in a wallet was withdrawn"),
    "award.earned": Sentence("A badge was earned"),
    "award.file_given": Sentence("Awards were given from a file"),
    "award.given": Sentence("An award was given by hand"),
    "award.held": Sentence("An award was held back"),
    "award.link_ended": Sentence("A learner ended a link to her badge"),
    "award.link_made": Sentence("A learner made a link to her badge"),
    "award.kept": Sentence("An award was looked at and kept"),
    "award.offer_ended": Sentence("An offer to a wallet ended after wrong transaction codes"),
    "award.offered": Sentence("A badge was offered to a wallet"),
    "award.put_off": Sentence("A learner chose “Not now” instead of claiming a badge"),
    "award.renamed": Sentence("A credential was issued again with another name"),
    "award.reissued": Sentence("An award was issued again with what counts now"),
    "award.renewed": Sentence("An award was made valid anew"),
    "award.restored": Sentence("A replaced award was restored"),
    "award.revoked": Sentence("An award was withdrawn"),
    "award.superseded": Sentence("An award was replaced by an earlier one of the same person"),
    "award.why_not": Sentence("A learner was asked why a badge is not claimed, and answered or skipped it"),
    "backpack.allowed": Sentence("A learner let a backpack fetch her badges"),
    "backpack.ended": Sentence("A backpack may not fetch a learner's badges any more"),
    "backpack.refused": Sentence("A learner refused a backpack"),
    "badge.brought_back": Sentence("A retired badge was brought back"),
    "badge.change_discarded": Sentence("A badge's change was thrown away"),
    "badge.column_asked_again": Sentence("A deleted gradebook column is made again"),
    "badge.columns_chosen": Sentence("Gradebook columns were chosen by hand"),
    "badge.earned_not_written": Sentence("Who has earned a badge is no longer written into the gradebook"),
    "badge.earned_written": Sentence("Who has earned a badge is written into the gradebook"),
    "badge.edited": Sentence("A badge was edited"),
    "badge.file_taken": Sentence("Grades were taken from a file"),
    "badge.maximum_accepted": Sentence("Another maximum of a gradebook column was called right"),
    "badge.picture_changed": Sentence("A badge was given a picture of its own"),
    "badge.publish": Sentence("Publishing was started"),
    "badge.published": Sentence("A badge was published"),
    "badge.put": Sentence("A badge was put into a course"),
    "badge.release_set": Sentence("A moment was set at which levels and awards are released"),
    "badge.released": Sentence("Levels and awards were released to learners"),
    "badge.removed": Sentence("A draft was removed"),
    "badge.retired": Sentence("A badge was retired"),
    "badge.started": Sentence("A blank badge was started"),
    "badge.sources_matched": Sentence("Rows were matched with the LMS's own rubrics"),
    "connection.key_saved": Sentence("The key of an LMS's own interface was saved"),
    "connection.made": Sentence("An LMS's own interface was connected"),
    "connection.removed": Sentence("A connection to an LMS's own interface was removed"),
    "course.copied": Sentence("Badges were taken over from a copied course"),
    "course.copy_declined": Sentence("Badges of a copied course were declined"),
    "course.source_named": Sentence("Badges of another course were asked for"),
    "database.backed_up": Sentence("The database was backed up"),
    "database.exported": Sentence("Everything was exported"),
    "database.imported": Sentence("An export was taken over"),
    "database.restored": Sentence("A backup of the database was put back"),
    "database.went_back": Sentence("Withdrawals that the database had lost were done again"),
    "deployment.approved": Sentence("A deployment was approved"),
    "deployment.disabled": Sentence("A deployment was switched off"),
    "deployment.seen": Sentence("A deployment launched for the first time"),
    "endorsement.asked": Sentence("Somebody outside was asked for an endorsement"),
    "endorsement.declined": Sentence("An endorsement was declined"),
    "endorsement.link_withdrawn": Sentence("A link to endorse was withdrawn"),
    "endorsement.said": Sentence("Somebody outside endorsed"),
    "endorsement.withdrawn": Sentence("An endorsement was withdrawn"),
    "evidence.added": Sentence("Evidence was added"),
    "evidence.discarded": Sentence("A draft of evidence was thrown away"),
    "evidence.drafted": Sentence("A draft of evidence was saved"),
    "evidence.replaced": Sentence("Evidence was replaced by a newer version"),
    "evidence.withdrawn": Sentence("Evidence was withdrawn"),
    "invite.made": Sentence("An invite link was made"),
    "invite.used": Sentence("An invite link was used"),
    "invite.withdrawn": Sentence("An invite link was withdrawn"),
    "issuer.saved": Sentence("The issuer was changed"),
    "job.retried": Sentence("A job was started again"),
    "key.rotated": Sentence("A key was rotated"),
    "links.placed": Sentence("Badges were placed in a course"),
    "mail.started": Sentence("Somebody wants mail again"),
    "mail.stopped": Sentence("Somebody stopped mail"),
    "mail.tested": Sentence("A test mail was sent"),
    "mark.gradebook_kept": Sentence("The gradebook's grade was kept against a mark"),
    "mark.gradebook_replaced": Sentence("A grade in the gradebook is replaced by a mark"),
    "mark.posted_again": Sentence("Marks that the gradebook refused were posted again"),
    "mark.set": Sentence("A learner was marked"),
    "mark.taken_back": Sentence("A mark was taken back"),
    "notice.received": Sentence("An LMS told that a course was copied"),
    "outside.accepted": Sentence("A badge from elsewhere was accepted as a part"),
    "outside.handed_in": Sentence("A badge from elsewhere was handed in"),
    "outside.refused": Sentence("A badge from elsewhere was refused as a part"),
    "person.link_refused": Sentence("Two people were said not to be one"),
    "person.linked": Sentence("Two user ids were linked as one person"),
    "person.unlinked": Sentence("Two linked user ids were parted"),
    "platform.active": Sentence("A platform was switched on"),
    "platform.added": Sentence("A platform was registered by hand"),
    "platform.approved": Sentence("A platform was approved"),
    "platform.changed": Sentence("A platform was changed"),
    "platform.disabled": Sentence("A platform was switched off"),
    "platform.moved": Sentence("A platform went over to another client id"),
    "platform.registered": Sentence("A platform registered itself"),
    "platform.registered_again": Sentence("A platform registered itself once more"),
    "platform.removed": Sentence("A platform was removed"),
    "privacy.erased": Sentence("Everything about somebody was erased"),
    "privacy.erasure_asked": Sentence("Somebody asked to be erased"),
    "privacy.erasure_begun": Sentence("An erasure was confirmed"),
    "privacy.erasure_refused": Sentence("A request to be erased was refused"),
    "privacy.erasure_withdrawn": Sentence("A request to be erased was taken back"),
    "privacy.got": Sentence("Somebody downloaded what is kept about them"),
    "privacy.looked": Sentence("An LMS administrator looked at what is kept about somebody"),
    "privacy.name_asked": Sentence("Somebody asked for another name in their credentials"),
    "privacy.name_changed": Sentence("The name shown in somebody’s credentials was changed"),
    "privacy.name_refused": Sentence("Another name in somebody’s credentials was refused"),
    "privacy.name_withdrawn": Sentence("A request for another name was taken back"),
    "privacy.returned": Sentence("Somebody who was erased began anew"),
    "retention.changed": Sentence("How long something is kept was changed"),
    "retention.ran": Sentence("What had been kept long enough was deleted"),
}


# What stands beside an entry; a key without a word here stands as it is kept.
DETAILS = {
    "backpack": Sentence("backpack"),
    "email": Sentence("e-mail address"),
    "framework": Sentence("framework"),
    "scope": Sentence("may read"),
    "why": Sentence("why"),
    "changed": Sentence("changed"),
    "name": Sentence("name"),
    "issuer": Sentence("issuer"),
    "invite": Sentence("invite"),
    "of": Sentence("of"),
    "stored": Sentence("stored"),
    "before": Sentence("before"),
    "after": Sentence("after"),
    "reason": Sentence("reason"),
    "until": Sentence("until"),
    "status": Sentence("status"),
    "public": Sentence("public"),
    "type": Sentence("type"),
    "slug": Sentence("slug"),
    "links": Sentence("links"),
    "column": Sentence("column"),
    "columns": Sentence("columns"),
    "learner": Sentence("learner"),
    "row": Sentence("row"),
    "kind": Sentence("kind"),
    "id": Sentence("id"),
    "comment_changed": Sentence("comment changed"),
    "cells": Sentence("cells"),
    "source": Sentence("source"),
    "badges": Sentence("badges"),
    "given": Sentence("given"),
    "left_out": Sentence("left out"),
    "how": Sentence("how"),
    "levels": Sentence("levels"),
    "same_as": Sentence("same as"),
    "link": Sentence("link"),
    "by": Sentence("by"),
    "what": Sentence("what"),
    "version": Sentence("version"),
    "made": Sentence("made"),
    "counts_for": Sentence("counts for"),
    "file": Sentence("file"),
    "bytes": Sentence("bytes"),
    "instead_of": Sentence("instead of"),
    "administrator": Sentence("administrator"),
    "rows": Sentence("rows"),
    "sealed": Sentence("sealed anew"),
    "course": Sentence("course"),
}


# What a value kept as a code says, by the kind of entry and the key, or by the key alone; others stand as they are.
VALUES: dict[str, Mapping[str, str]] = {
    "award.status": STATUS_WORDS,
    "award.before": STATUS_WORDS,
    "award.after": STATUS_WORDS,
    "deployment.status": {
        "active": Sentence("let in"),
        "pending": Sentence("waits to be approved"),
        "disabled": Sentence("switched off"),
    },
    "backpack.why": {
        "learner": Sentence("the learner ended it"),
        "backpack": Sentence("the backpack gave it back"),
        "code": Sentence("its code came twice"),
        "refresh": Sentence("its refresh token came twice"),
    },
    "job.kind": JOB_KINDS,
    "counts_for": {"everybody": Sentence("everybody"), "new": Sentence("new learners only")},
    "what": {"new": Sentence("new"), "changed": Sentence("changed"), "unchanged": Sentence("unchanged")},
    "how": {"hand": Sentence("by hand"), "file": Sentence("from a file")},
    "type": {"LtiContextCopyNotice": Sentence("A course was copied")},
}


NAMED = {"administrator": "administrator", "learner": "person", "same_as": "person", "source": "course"}

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Entry:
    id: int
    at: datetime
    who: str
    action: str
    code: str  # the action as it is kept
    subject: str  # what it was done to, in words
    subject_code: str
    detail: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Search:
    """What is looked for. Days are whole days, UTC, both included; `before` is the id an older page begins below."""

    text: str = ""
    kind: str = ""
    since: date | None = None
    until: date | None = None
    before: int | None = None


@dataclass(frozen=True)
class LogPage:
    entries: tuple[Entry, ...]
    older: int | None  # the id to go on below, None where there is nothing older


def kinds() -> dict[str, str]:
    """Return the kinds of entry one may look for, in words."""
    return {kind: said(words) for kind, words in KINDS.items()}


def search_of(text: str, kind: str, since: str, until: str, before: str = "") -> Search:
    """Read a search as a form sends it; raises BadInput naming what cannot be used."""
    if kind not in ("", *KINDS):
        raise BadInput(
            sentence=Sentence("There is no such kind of entry."), what_to_do=Sentence("Choose one of the list.")
        )
    if before and not (before.isdecimal() and len(before) < 19):
        raise BadInput(
            sentence=Sentence("There is no such page of the log."),
            what_to_do=Sentence("Begin again at the newest entries."),
        )
    text = "".join(character for character in text if character.isprintable()).strip()[:LONGEST_TEXT]
    return Search(text, kind, _day(since), _day(until), int(before) if before else None)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadInput(
            sentence=Sentence("A day is written like 2026-11-22."), what_to_do=Sentence("Correct it and search again.")
        ) from None


def page(tool: Tool, search: Search) -> LogPage:
    """Return a page of the log, newest first."""
    with tool.db.read() as session:
        rows = list(session.scalars(_query(session, search).limit(A_PAGE + 1)))
        shown = rows[:A_PAGE]
        entries = _in_words(session, shown)
    return LogPage(tuple(entries), shown[-1].id if len(rows) > A_PAGE else None)


def csv_lines(tool: Tool, search: Search) -> Iterator[str]:
    """Yield the log as CSV, newest first, a transaction for each part: a long file holds nobody up."""
    yield _csv_line(("time", "who", "action", "on", "actor_id", "action_id", "subject_id", "detail"))
    before = search.before
    while True:
        part = Search(search.text, search.kind, search.since, search.until, before)
        with tool.db.read() as session:
            rows = list(session.scalars(_query(session, part).limit(A_CHUNK)))
            entries = _in_words(session, rows)
        for row, entry in zip(rows, entries, strict=True):
            detail = json.dumps(row.detail, ensure_ascii=False, sort_keys=True) if row.detail else ""
            when = row.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            yield _csv_line((when, entry.who, entry.action, entry.subject, row.actor, row.action, row.subject, detail))
        if len(rows) < A_CHUNK:
            return
        before = rows[-1].id


def _csv_line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([safe_cell(cell) for cell in cells])
    return out.getvalue()


# -- finding ----------------------------------------------------------------------------------------------------


def _query(session: Session, search: Search) -> Select[AuditEvent]:
    query = select(AuditEvent).order_by(AuditEvent.id.desc())
    if search.before is not None:
        query = query.where(AuditEvent.id < search.before)
    if search.kind:
        query = query.where(AuditEvent.action.startswith(f"{search.kind}.", autoescape=True))
    if search.since is not None:
        query = query.where(AuditEvent.at >= _midnight(search.since))
    if search.until is not None and search.until < date.max:
        query = query.where(AuditEvent.at < _midnight(search.until + timedelta(days=1)))
    if search.text:
        query = query.where(or_(*_matches(session, search.text)))
    return query


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _matches(session: Session, text: str) -> list[Any]:
    """Return where a text may stand: in what is kept, in the words it is shown with, in the names of who acted."""
    found: list[Any] = [
        column.icontains(text, autoescape=True) for column in (AuditEvent.action, AuditEvent.subject, AuditEvent.actor)
    ]
    found.append(cast(AuditEvent.detail, Text).icontains(text, autoescape=True))
    if actions := [
        action
        for action, words in ACTIONS.items()
        if any(text.lower() in each.lower() for each in (words, said(words)))
    ]:
        found.append(AuditEvent.action.in_(actions))
    for model, prefix in ((Administrator, "administrator"), (Person, "person")):
        named = select(model.id).where(model.name.icontains(text, autoescape=True)).limit(MOST_NAMED)
        if ids := [f"{prefix}:{each}" for each in session.scalars(named)]:
            found += [AuditEvent.actor.in_(ids), AuditEvent.subject.in_(ids)]
    return found


# -- in words ---------------------------------------------------------------------------------------------------


def actor_words(tool: Tool, actors: Iterable[str]) -> dict[str, str]:
    """Return who each actor of the log is, in words."""
    with tool.db.read() as session:
        return _actor_words(session, set(actors))


def _actor_words(session: Session, actors: set[str]) -> dict[str, str]:
    known = {"operator": _("The operator"), "tool": _("The tool"), "nobody": _("Somebody unknown")}
    named = _names(session, actors)
    return {actor: known.get(actor) or named.get(actor) or actor for actor in actors}


def _ids(codes: Iterable[str], prefix: str) -> list[str]:
    return [code.partition(":")[2] for code in codes if code.startswith(f"{prefix}:")]


def _names(session: Session, codes: set[str]) -> dict[str, str]:
    """Return what `kind:id` codes stand for, those that are still there."""
    found: dict[str, str] = {}

    def add(prefix: str, query: Any) -> None:
        for key, name in session.execute(query):
            if name:
                found[f"{prefix}:{key}"] = name

    if ids := _ids(codes, "administrator"):
        add("administrator", select(Administrator.id, Administrator.name).where(Administrator.id.in_(ids)))
    if ids := _ids(codes, "person"):
        add("person", select(Person.id, Person.name).where(Person.id.in_(ids)))
    if numbers := [int(each) for each in _ids(codes, "platform") if each.isdecimal()]:
        add("platform", select(Registration.id, Registration.name).where(Registration.id.in_(numbers)))
    if numbers := [int(each) for each in _ids(codes, "deployment") if each.isdecimal()]:
        query = (
            select(Deployment.id, Deployment.deployment_id, Registration.name)
            .join(Registration, Registration.id == Deployment.registration_id)
            .where(Deployment.id.in_(numbers))
        )
        for key, deployment_id, platform in session.execute(query):
            found[f"deployment:{key}"] = _(
                "%(deployment)s on %(platform)s", deployment=deployment_id, platform=platform
            )
    if ids := _ids(codes, "badge"):
        badges = (
            select(CourseBadge.id, CourseBadge.slug, func.coalesce(func.nullif(Course.label, ""), Course.title))
            .join(Course, Course.id == CourseBadge.course_id)
            .where(CourseBadge.id.in_(ids))
        )
        for badge_id, slug, course in session.execute(badges):
            found[f"badge:{badge_id}"] = _("%(badge)s in %(course)s", badge=slug, course=course) if course else slug
    if ids := _ids(codes, "award"):
        awards = (
            select(Award.id, Achievement.slug, Person.name)
            .join(Achievement, Achievement.id == Award.achievement_id)
            .join(Person, Person.id == Award.person_id)
            .where(Award.id.in_(ids))
        )
        for award_id, slug, name in session.execute(awards):
            found[f"award:{award_id}"] = f"{slug}, {name}" if name else slug
    if numbers := [int(each) for each in _ids(codes, "course") if each.isdecimal()]:
        called = func.coalesce(func.nullif(Course.label, ""), func.nullif(Course.title, ""), Course.context_id)
        add("course", select(Course.id, called).where(Course.id.in_(numbers)))
    if numbers := [int(each) for each in _ids(codes, "job") if each.isdecimal()]:
        for key, job_kind in session.execute(select(Job.id, Job.kind).where(Job.id.in_(numbers))):
            found[f"job:{key}"] = said(JOB_KINDS.get(job_kind, job_kind))
    return found


def _in_words(session: Session, rows: list[AuditEvent]) -> list[Entry]:
    actors = _actor_words(session, {row.actor for row in rows})
    told = {f"{prefix}:{row.detail[key]}" for row in rows for key, prefix in NAMED.items() if row.detail.get(key)}
    names = _names(session, {row.subject for row in rows} | told)
    entries = []
    for row in rows:
        kind = row.action.partition(".")[0]
        detail = []
        for key, value in row.detail.items():
            codes = VALUES.get(f"{kind}.{key}") or VALUES.get(key) or {}
            if key in NAMED:
                text = names.get(f"{NAMED[key]}:{value}") or _as_words(value)
            elif isinstance(value, str) and value in codes:
                text = said(codes[value])
            else:
                text = _as_words(value)
            detail.append((said(DETAILS.get(key) or key.replace("_", " ")), text))
        subject = names.get(row.subject, "")
        if not subject and row.subject.partition(":")[0] not in ("sign-in", "issuer", "key"):
            subject = row.subject
        entries.append(
            Entry(
                id=row.id,
                at=row.at,
                who=actors[row.actor],
                action=said(ACTIONS.get(row.action, row.action)),
                code=row.action,
                subject=subject,
                subject_code=row.subject,
                detail=tuple(detail),
            )
        )
    return entries


def _as_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_as_words(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_as_words(each)}" for key, each in value.items())
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or value == "":
        return "–"
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return moment(datetime.fromisoformat(value))
    return str(value)
