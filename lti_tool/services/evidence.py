"""What a learner, or whoever marks her, puts beside a row of the rubric: words, a reflection, a link, a file.

A learner's own begins as a draft that she alone sees. Handed in, it is seen by those who mark, and stays as it is: a
newer version stands in for it and keeps it, withdrawing takes it back. Only what was handed in counts for a rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.domain.badge import SubCompetency
from lti_tool.errors import BadInput, Conflict, NotFound, NotPermitted
from lti_tool.models import Award, CourseBadge, Evidence, EvidenceFile
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, counting, evidence_files, file_types, marking, work
from lti_tool.services.evidence_files import Incoming, Stored
from lti_tool.services.tool import Tool

LONGEST = 5_000  # characters
LONGEST_ADDRESS = 2_000
MOST = 30  # of one learner in one row, drafts too
MOST_EVER = 300  # with those that were replaced or withdrawn, whose words are kept
OWN_KINDS = ("text", "reflection", "link", "file")


@dataclass(frozen=True)
class FileView:
    """What a page says of a file. `picture`: it can be shown small."""

    words: str
    size: str
    picture: bool
    there: bool
    cleaned: bool


@dataclass(frozen=True)
class EvidenceItem:
    """`href` is empty for anything but a link over https; `own`: whoever looks has put it there, and may withdraw.

    `at` is when it was handed in, or, of a draft, last saved. `kept_for` is why it cannot be withdrawn: "" for it
    can, "decision" where an award rests on it, "shown" where a credential shows it. `earlier` are the versions it
    replaced, the newest first; `replaces` is the id of the one it replaced, or, as a draft, is to replace."""

    id: str
    tag: str
    kind: str
    content: str
    href: str
    by: str
    own: bool
    at: datetime
    about: str = ""
    draft: bool = False
    file: FileView | None = None
    replaces: str = ""
    earlier: tuple[EvidenceItem, ...] = ()
    kept_for: str = ""


@dataclass(frozen=True)
class Typed:
    """A piece as a form sends it. `words` are the evidence itself, or what is said of a link or a file.

    `file` is what came in, None where nothing did; it was called `file_name`."""

    kind: str
    words: str
    link: str = ""
    file: Incoming | None = field(default=None, compare=False)
    file_name: str = ""


# -- reading ----------------------------------------------------------------------------------------------------


def items(session: Session, course_badge_id: str, person_id: str, viewer: str) -> dict[str, tuple[EvidenceItem, ...]]:
    """Return one learner's evidence by the tag of its row, oldest first, as an actor of the audit log sees it.

    Drafts are in it for whoever wrote them, and for nobody else."""
    query = (
        select(Evidence)
        .where(Evidence.course_badge_id == course_badge_id, Evidence.person_id == person_id)
        .where(or_(Evidence.submitted_at.is_not(None), Evidence.created_by == viewer))
        .order_by(Evidence.created_at, Evidence.id)
    )
    rows = {row.id: row for row in session.scalars(query)}
    names = {actor: marking.name_of(session, actor) for actor in {row.created_by for row in rows.values()}}
    own = any(row.created_by == viewer == audit.person(person_id) for row in rows.values())
    awards = _awards(session, course_badge_id, person_id) if own else ()
    found: dict[str, list[EvidenceItem]] = {}
    for row in rows.values():
        if row.withdrawn_at is not None:
            continue
        chain = _chain(rows, row)
        kept_for = _kept_for(awards, chain) if row.submitted_at and row.created_by == viewer else ""
        earlier = tuple(_item(each, names[each.created_by], viewer) for each in chain[1:])
        found.setdefault(row.tag, []).append(_item(row, names[row.created_by], viewer, earlier, kept_for))
    return {tag: tuple(each) for tag, each in found.items()}


def _chain(rows: dict[str, Evidence], row: Evidence) -> list[Evidence]:
    """Return a piece and the versions it replaced, the newest first. A draft has replaced none yet."""
    chain = [row]
    while row.submitted_at is not None and row.replaces_id in rows:
        row = rows[row.replaces_id]
        chain.append(row)
    return chain


def _item(
    row: Evidence, by: str, viewer: str, earlier: tuple[EvidenceItem, ...] = (), kept_for: str = ""
) -> EvidenceItem:
    return EvidenceItem(
        id=row.id,
        tag=row.tag,
        kind=row.kind,
        content=row.content,
        href=row.content if row.kind == "link" and is_link(row.content) else "",
        by=by,
        own=row.created_by == viewer,
        at=row.submitted_at or row.saved_at or row.created_at,
        about=row.about,
        draft=row.submitted_at is None,
        file=_file_view(row.file) if row.file is not None else None,
        replaces=row.replaces_id or "",
        earlier=earlier,
        kept_for=kept_for,
    )


def _file_view(file: EvidenceFile) -> FileView:
    kind = file_types.TYPES.get(file.type)
    return FileView(
        words=kind.words if kind else file.type,
        size=evidence_files.size_words(file.size),
        picture=file.type in file_types.PICTURES and file.place is not None,
        there=file.place is not None,
        cleaned=file.cleaned,
    )


def counts(session: Session, course_badge_id: str) -> dict[tuple[str, str], int]:
    """Return how many pieces are handed in and in force, by (person id, tag)."""
    query = select(Evidence.person_id, Evidence.tag, func.count()).where(*_in_force(course_badge_id))
    rows = session.execute(query.group_by(Evidence.person_id, Evidence.tag))
    return {(person_id, tag): count for person_id, tag, count in rows}


def handed_in(session: Session, course_badge_id: str) -> frozenset[tuple[str, str]]:
    """Return for which rows evidence has been handed in and not taken back: (person id, tag)."""
    query = select(Evidence.person_id, Evidence.tag).where(*_in_force(course_badge_id))
    return frozenset((person_id, tag) for person_id, tag in session.execute(query))


def _in_force(course_badge_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Evidence.course_badge_id == course_badge_id,
        Evidence.submitted_at.is_not(None),
        Evidence.withdrawn_at.is_(None),
    )


def is_link(text: str) -> bool:
    """Tell whether a text is one address over https: nothing else is ever made a link of."""
    if not text.startswith("https://") or any(character.isspace() or not character.isprintable() for character in text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def is_taken(row: SubCompetency) -> bool:
    """Tell whether a learner may put evidence beside a row."""
    return row.evidence != "none"


# -- what an award rests on -------------------------------------------------------------------------------------


_Awards = Sequence[tuple[Award, frozenset[str]]]  # each with the ids of the evidence that its credential shows


def _awards(session: Session, course_badge_id: str, person_id: str) -> _Awards:
    """Return the awards in force that a learner's evidence in a badge may be part of."""
    hers = (Award.person_id == person_id) | (Award.earned_as_id == person_id)
    query = select(Award).where(Award.course_badge_id == course_badge_id, hers, Award.live)
    return [(award, evidence_files.shown_by(session, award)) for award in session.scalars(query)]


def _kept_for(awards: _Awards, chain: Collection[Evidence]) -> str:
    """Say why a piece, with the versions it replaced, cannot be withdrawn: see EvidenceItem."""
    if any(each.id in shown for _, shown in awards for each in chain):
        return "shown"
    for award, _ in awards:
        rows = {row.tag: row for row in award.version.badge.sub_competencies}
        for each in chain:
            asked = each.tag in rows and rows[each.tag].evidence == "required"
            if asked and each.submitted_at is not None and each.submitted_at <= award.earned_at:
                return "decision"
    return ""


WHY_KEPT = {
    "shown": (
        Sentence("Your credential shows this, so it stays as long as it does."),
        Sentence("Open “Share and files”, take it out of your credential, and come back."),
    ),
    "decision": (
        Sentence("Your badge was decided with this, so it stays as its evidence."),
        Sentence("You can hand in a newer version; this one is kept with it."),
    ),
}


# -- a learner's own --------------------------------------------------------------------------------------------


def save(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    tag: str,
    typed: Typed,
    *,
    submit: bool,
    now: datetime,
    draft_id: str = "",
    replaces: str = "",
) -> str:
    """Keep a piece as a draft, or hand it in; returns its id.

    `draft_id` names the draft that it was so far, `replaces` what was handed in and is to be replaced. Raises BadInput
    for what cannot be taken, DiskFull where a file finds no room, and NotPermitted for somebody who is no learner of
    this course."""
    kind, content, about = _read(typed)
    sends = typed.file is not None and (typed.file.size > 0 or bool(typed.file_name))
    coming: AbstractContextManager[Stored | None] = nullcontext(None)
    if kind == "file" and sends:
        assert typed.file is not None
        _check_place(tool, course_id, slug, person_id, tag)
        coming = evidence_files.storing(tool, typed.file, typed.file_name)
    with coming as stored:
        wanted = _Wanted(kind, stored.name if stored else content, about, stored)
        ident, gone, job_id = repeat_collided(
            lambda: _save(tool, course_id, slug, person_id, tag, wanted, submit, now, draft_id, replaces)
        )
    evidence_files.remove(tool, gone)
    if job_id:
        tool.wake(job_id)
    return ident


@dataclass(frozen=True)
class _Wanted:
    kind: str
    content: str
    about: str
    stored: Stored | None


def _read(typed: Typed) -> tuple[str, str, str]:
    """Return kind, content and what is said about it; raises BadInput for what cannot be used."""
    words = _text(typed.words)
    if typed.kind not in OWN_KINDS:
        raise BadInput(sentence=Sentence("Choose what it is: words, a reflection, a link or a file."))
    if typed.kind == "link":
        link = typed.link.strip()
        if not link:
            raise BadInput(
                sentence=Sentence("No link was written."),
                what_to_do=Sentence("Paste the https:// address of what others can open."),
            )
        if not is_link(link) or len(link) > LONGEST_ADDRESS:
            raise BadInput(
                "a link that is none",
                sentence=Sentence("This is no address that can be opened: %(link)s", link=link[:80]),
                what_to_do=Sentence("It has to begin with https:// and have no spaces."),
            )
        return "link", link, words
    if typed.kind == "file":
        return "file", "", words
    if not words:
        raise BadInput(
            sentence=Sentence("Nothing was written."),
            what_to_do=Sentence("Write a few words, or choose a link or a file."),
        )
    return typed.kind, words, ""


def _text(words: str) -> str:
    words = words.replace("\r\n", "\n").replace("\0", "").strip()
    if len(words) > LONGEST:
        raise BadInput(
            f"evidence of {len(words)} characters",
            sentence=Sentence("That is longer than %(longest)s characters.", longest=LONGEST),
            what_to_do=Sentence("Shorten it, or put it elsewhere and add its https:// address."),
        )
    return words


def _check_place(tool: Tool, course_id: int, slug: str, person_id: str, tag: str) -> None:
    with tool.db.read() as session:
        _learner(session, course_id, person_id)
        row_of(session, course_id, slug, tag, own=True)


def _learner(session: Session, course_id: int, person_id: str) -> None:
    try:
        marking.learner(session, course_id, person_id)
    except NotFound as error:
        raise NotPermitted(
            error.detail,
            sentence=Sentence("Evidence is added by learners of this course, each to her own badges."),
            what_to_do="",
        ) from error


def _save(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    tag: str,
    wanted: _Wanted,
    submit: bool,
    now: datetime,
    draft_id: str,
    replaces: str,
) -> tuple[str, list[str], int]:
    """Do it in one transaction; returns the id, the places of files that are not needed any more, and a job to wake."""
    actor = audit.person(person_id)
    with tool.db.write() as session:
        _learner(session, course_id, person_id)
        badge, asked = row_of(session, course_id, slug, tag, own=True)
        if draft_id:
            row = _own_draft(session, badge, person_id, draft_id)
            if row.tag != tag:
                raise NotFound(f"{draft_id[:40]} is of another row")
        else:
            row = _new(session, badge, person_id, tag, actor, now)
            row.replaces_id = _to_replace(session, badge, row, replaces)
        gone = _change(tool, session, row, wanted, now)
        if not draft_id:
            session.add(row)
            session.flush()
            if not submit:
                _record(session, now, actor, "evidence.drafted", row)
        if wanted.stored is not None:
            stored = wanted.stored
            session.add(
                EvidenceFile(
                    evidence_id=row.id,
                    type=stored.type.name,
                    size=stored.size,
                    digest=stored.digest,
                    cleaned=stored.cleaned,
                    place=stored.place,
                    stored_at=now,
                )
            )
        job_id = _hand_in(session, badge, asked, row, actor, now) if submit else 0
        return row.id, gone, job_id


def _new(session: Session, badge: CourseBadge, person_id: str, tag: str, actor: str, now: datetime) -> Evidence:
    in_force = func.count().filter(Evidence.withdrawn_at.is_(None))
    there = select(func.count(), in_force).where(
        Evidence.course_badge_id == badge.id, Evidence.person_id == person_id, Evidence.tag == tag
    )
    ever, now_there = session.execute(there).one()
    if ever >= MOST_EVER:
        raise BadInput(
            sentence=Sentence("This row has had %(most)s pieces of evidence, so it takes no more.", most=MOST_EVER),
            what_to_do=Sentence("Ask those who teach how to hand it in to them."),
        )
    if now_there >= MOST:
        raise BadInput(
            sentence=Sentence("This row has %(most)s pieces of evidence.", most=MOST),
            what_to_do=Sentence("Withdraw one of them first."),
        )
    return Evidence(course_badge_id=badge.id, person_id=person_id, tag=tag, created_by=actor, created_at=now)


def _to_replace(session: Session, badge: CourseBadge, row: Evidence, replaces: str) -> str | None:
    """Return the piece in force that a new one is to replace; raises Conflict where it is not in force any more."""
    if not replaces:
        return None
    old = session.get(Evidence, replaces, with_for_update=True)
    mine = (badge.id, row.person_id, row.tag, row.created_by)
    if old is None or (old.course_badge_id, old.person_id, old.tag, old.created_by) != mine:
        raise NotFound(f"no evidence {replaces[:40]} to replace")
    if old.submitted_at is None or old.withdrawn_at is not None:
        raise Conflict(
            "replaces what is not in force",
            sentence=Sentence("What this was to replace has been replaced or withdrawn meanwhile."),
            what_to_do=Sentence("Look at how it stands now, then hand this in as a piece of its own."),
        )
    return old.id


def _change(tool: Tool, session: Session, row: Evidence, wanted: _Wanted, now: datetime) -> list[str]:
    """Put what is wanted into a draft; returns the places of files that it does not have any more."""
    had = row.file if row.id else None
    if wanted.kind == "file" and wanted.stored is None and had is None:
        raise BadInput(
            sentence=Sentence("No file was chosen."),
            what_to_do=Sentence("Choose the file that shows what you did."),
        )
    if wanted.stored is not None:
        instead = had.size if had is not None and had.place else 0
        evidence_files.check_total(tool, session, row.person_id, wanted.stored.size, instead)
    gone = []
    if had is not None and (wanted.kind != "file" or wanted.stored is not None):
        gone = [had.place] if had.place else []
        row.file = None
        session.flush()
    row.kind, row.about, row.saved_at = wanted.kind, wanted.about, now
    if wanted.kind != "file" or wanted.stored is not None:
        row.content = wanted.content
    return gone


def _own_draft(session: Session, badge: CourseBadge, person_id: str, evidence_id: str) -> Evidence:
    row = session.get(Evidence, evidence_id, with_for_update=True)
    mine = (badge.id, person_id, audit.person(person_id))
    if row is None or (row.course_badge_id, row.person_id, row.created_by) != mine:
        raise NotFound(f"no evidence {evidence_id[:40]} of {person_id}")
    if row.submitted_at is not None:
        raise Conflict(
            "not a draft any more",
            sentence=Sentence("This was handed in already, so nothing was changed."),
            what_to_do=Sentence("Hand in a new version of it."),
        )
    return row


def _hand_in(
    session: Session, badge: CourseBadge, asked: SubCompetency, row: Evidence, actor: str, now: datetime
) -> int:
    """Hand in a draft; returns the job that works out levels, where the row asks for evidence."""
    if row.replaces_id is not None:
        old = session.get(Evidence, row.replaces_id, with_for_update=True)
        if old is not None and old.withdrawn_at is None:
            old.withdrawn_at = now
        else:  # it was withdrawn meanwhile, or another one stands in for it
            row.replaces_id = None
    row.submitted_at = now
    counting.count(session, counting.EVIDENCE, badge, now)
    _record(session, now, actor, "evidence.replaced" if row.replaces_id else "evidence.added", row)
    return _judge(session, badge, asked, now)


def _judge(session: Session, badge: CourseBadge, asked: SubCompetency | None, now: datetime) -> int:
    if asked is None or asked.evidence != "required":
        return 0
    return work.request_in(session, "evaluate", str(badge.course_id), now, again=True)


def hand_in(tool: Tool, course_id: int, slug: str, person_id: str, evidence_id: str, now: datetime) -> None:
    """Hand in a draft as it stands. Handing in what was handed in already does nothing."""

    def do() -> int:
        with tool.db.write() as session:
            _learner(session, course_id, person_id)
            badge = catalog.get_badge(session, course_id, slug)
            row = _of_actor(session, badge, person_id, evidence_id, audit.person(person_id))
            if row.submitted_at is not None:
                return 0
            _, asked = row_of(session, course_id, slug, row.tag, own=True)
            return _hand_in(session, badge, asked, row, audit.person(person_id), now)

    if job_id := repeat_collided(do):
        tool.wake(job_id)


def discard(tool: Tool, course_id: int, slug: str, person_id: str, evidence_id: str, now: datetime) -> None:
    """Throw a draft away, its file too; nobody but she ever saw it."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug)
        row = _own_draft(session, badge, person_id, evidence_id)
        gone = [row.file.place] if row.file is not None and row.file.place else []
        _record(session, now, audit.person(person_id), "evidence.discarded", row)
        session.delete(row)
    evidence_files.remove(tool, gone)


def withdraw(
    tool: Tool, course_id: int, slug: str, person_id: str, evidence_id: str, *, actor: str, now: datetime
) -> None:
    """Take back what one has put there oneself, with the versions it replaced; their files are deleted.

    Raises NotFound for anything else, and Conflict for what an award rests on or a credential shows."""

    def do() -> tuple[list[str], int]:
        with tool.db.write() as session:
            badge = catalog.get_badge(session, course_id, slug)
            row = _of_actor(session, badge, person_id, evidence_id, actor)
            if row.withdrawn_at is not None:
                return [], 0
            query = select(Evidence).where(Evidence.course_badge_id == badge.id, Evidence.person_id == person_id)
            chain = _chain({each.id: each for each in session.scalars(query)}, row)
            if actor == audit.person(person_id):
                why = _kept_for(_awards(session, badge.id, person_id), chain)
                if why:
                    raise Conflict(f"kept for: {why}", sentence=WHY_KEPT[why][0], what_to_do=WHY_KEPT[why][1])
            row.withdrawn_at = now
            gone = evidence_files.forget(session, [each.id for each in chain])
            _record(session, now, actor, "evidence.withdrawn", row)
            return gone, _judge(session, badge, _asked(badge, row.tag), now)

    gone, job_id = repeat_collided(do)
    evidence_files.remove(tool, gone)
    if job_id:
        tool.wake(job_id)


def _of_actor(session: Session, badge: CourseBadge, person_id: str, evidence_id: str, actor: str) -> Evidence:
    row = session.get(Evidence, evidence_id, with_for_update=True)
    if row is None or (row.course_badge_id, row.person_id, row.created_by) != (badge.id, person_id, actor):
        raise NotFound(f"no evidence {evidence_id[:40]} of {actor}")
    return row


def _asked(badge: CourseBadge, tag: str) -> SubCompetency | None:
    return next((row for row in catalog.definition_of(badge).sub_competencies if row.tag == tag), None)


def row_of(
    session: Session, course_id: int, slug: str, tag: str, *, own: bool = False
) -> tuple[CourseBadge, SubCompetency]:
    """Return a published badge and its row of a tag; raises NotFound where none takes evidence (`own`: of hers)."""
    badge = catalog.get_badge(session, course_id, slug)
    if badge.version is None:
        raise NotFound(f"badge {slug} is not published")
    rows: Iterable[SubCompetency] = catalog.definition_of(badge).sub_competencies
    found = next((row for row in rows if row.tag == tag and (is_taken(row) or not own)), None)
    if badge.status == "retired" or found is None:
        raise NotFound(f"no evidence for {tag[:80]}")
    return badge, found


def _record(session: Session, now: datetime, actor: str, action: str, row: Evidence) -> None:
    told = {"learner": row.person_id, "row": row.tag, "kind": row.kind, "id": row.id}
    audit.record(session, now, actor, action, f"badge:{row.course_badge_id}", **told)


# -- of whoever marks -------------------------------------------------------------------------------------------


def attach(
    tool: Tool, course_id: int, slug: str, person_id: str, tag: str, content: str, *, actor: str, now: datetime
) -> None:
    """Put a note or a link beside a learner's row, as somebody who marks her; she sees it too."""
    words = _text(content)
    if not words:
        raise BadInput(
            sentence=Sentence("Nothing was written."),
            what_to_do=Sentence("Write a few words, or paste an https:// address."),
        )

    def do() -> int:
        with tool.db.write() as session:
            marking.learner(session, course_id, person_id)
            badge, asked = row_of(session, course_id, slug, tag)
            row = _new(session, badge, person_id, tag, actor, now)
            row.kind, row.content, row.submitted_at = "link" if is_link(words) else "note", words, now
            session.add(row)
            session.flush()
            _record(session, now, actor, "evidence.added", row)
            return _judge(session, badge, asked, now)

    if job_id := repeat_collided(do):
        tool.wake(job_id)
