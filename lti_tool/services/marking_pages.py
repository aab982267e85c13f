"""What the pages of marking show. Each function is one read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, SubCompetency
from lti_tool.domain.mastery import stand, with_evidence
from lti_tool.errors import NotFound
from lti_tool.grades.columns import EARNED
from lti_tool.models import Column, CourseBadge, Job, Mark, Mastery, Person, Posting, Result
from lti_tool.services import audit, catalog, evidence, marking
from lti_tool.services.awards import newest_awards, records_of, shown_status
from lti_tool.services.evidence import EvidenceItem
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.marking import OPEN, TOTAL, Overtaken
from lti_tool.services.pages.rows import RowView
from lti_tool.services.posting import PASSING
from lti_tool.services.rows import gate_view, sub_competency_view
from lti_tool.services.tool import Tool

SHOWN = ("all", "unmarked", "marked", "trouble")


@dataclass(frozen=True)
class PostingView:
    """How far a mark's way into the gradebook has come, as a code the page words.

    `state`: "none" (not marked), "here" (no column of its own), "waits" (for the other rows), "way", "posted",
    "refused", "conflict", "changed" (there, until somebody changed it), "kept", "left"."""

    state: str
    at: datetime | None = None
    reason: str = ""
    again: bool = False  # tried again by itself
    points: str = ""  # ours
    maximum: str = ""
    found: str = ""  # the gradebook's points, empty where it holds none
    found_maximum: str = ""
    found_comment: str = ""
    seen: str = ""  # what a choice says it has seen


@dataclass(frozen=True)
class MarkedRow:
    """One row of the rubric on the marking page. `chosen` is the index of the level, None for none."""

    index: int
    view: RowView
    chosen: int | None
    comment: str
    revision: int
    was: str  # what the page showed, so that an untouched row is told from a changed one
    by: str
    at: datetime | None
    posting: PostingView
    evidence: tuple[EvidenceItem, ...]
    overtaken: Overtaken | None = None
    unproven: bool = False  # its evidence is required and not handed in

    @property
    def met(self) -> bool:
        return self.view.state == "met"


@dataclass(frozen=True)
class Neighbour:
    person_id: str
    name: str


@dataclass(frozen=True)
class MarkingPage:
    """One learner on the marking page. `met`, `of` and `missing` say where she stands with what is marked here."""

    slug: str
    badge: Badge
    status: str
    version: int
    person_id: str
    name: str
    place: int  # from 1
    learners: int
    done: int  # learners with every row marked
    rows: tuple[MarkedRow, ...]
    others: tuple[RowView, ...]  # rows and gates that are not marked here
    total: PostingView | None
    evidence: int
    met: int
    of: int
    missing: tuple[RowView, ...]
    award: str  # status of the award, empty where there is none
    previous: Neighbour | None
    next: Neighbour | None
    show: str
    may_mark: bool
    problem: str  # why the job has not come through
    keep: str  # under which name what was typed is kept in the browser
    beside: Mapping[str, tuple[EvidenceItem, ...]] = field(default_factory=dict)  # evidence of the other rows, by tag

    @property
    def postings(self) -> tuple[PostingView, ...]:
        return (self.total,) if self.total is not None else tuple(row.posting for row in self.rows)

    @property
    def nothing(self) -> bool:
        """Tell whether no row is marked, here or elsewhere."""
        return all(view.state == "ungraded" for view in (*(row.view for row in self.rows), *self.others))

    @property
    def open(self) -> bool:
        """Tell whether something is on its way, so that the page looks again."""
        return any(posting.state == "way" for posting in self.postings)

    @property
    def state(self) -> str:
        """Return how the whole stands: the worst of its rows."""
        states = {posting.state for posting in self.postings}
        for worst in ("conflict", "refused", "changed", "way", "waits", "left", "kept", "posted", "here"):
            if worst in states:
                return worst
        return "none"

    @property
    def posted_at(self) -> datetime | None:
        return max((p.at for p in self.postings if p.state == "posted" and p.at is not None), default=None)


@dataclass(frozen=True)
class LearnerLine:
    """One learner in the list. `state`: "none", "some" or "all" rows marked; `posting` as of MarkingPage."""

    person_id: str
    name: str
    marked: int
    of: int
    state: str
    posting: str  # "", "way", "posted", "trouble"


@dataclass(frozen=True)
class MarkingList:
    slug: str
    badge: Badge
    status: str
    lines: tuple[LearnerLine, ...]  # those shown
    counts: Mapping[str, int]
    next: Neighbour | None  # the first who is not marked yet
    show: str
    may_mark: bool
    problem: str


def digest(level: int | None, comment: str) -> str:
    """Return what a form says of a row as it was shown."""
    return hashlib.sha256(f"{level}\0{comment}".encode()).hexdigest()[:16]


# -- the list ---------------------------------------------------------------------------------------------------


def learner_list(tool: Tool, who: LaunchSession, slug: str, show: str) -> MarkingList:
    show = show if show in SHOWN else "all"
    with tool.db.read() as session:
        badge, definition = _badge(session, who, slug)
        lines = _lines(session, badge, definition)
        counts = Counter(name for line in lines for name in SHOWN if _fits(line, name))
        first = next((line for line in lines if line.state != "all"), None)
        return MarkingList(
            slug=slug,
            badge=definition,
            status=badge.status,
            lines=tuple(line for line in lines if _fits(line, show)),
            counts={name: counts[name] for name in SHOWN},
            next=Neighbour(first.person_id, first.name) if first is not None else None,
            show=show,
            may_mark=MANAGE in who.rights and badge.status != "retired",
            problem=_job_problem(session, badge.course_id),
        )


def _lines(session: Session, badge: CourseBadge, definition: Badge) -> list[LearnerLine]:
    tags = {row.tag for row in marking.marked_rows(definition)}
    marked: Counter[str] = Counter()
    query = select(Mark.person_id, Mark.tag).where(Mark.course_badge_id == badge.id, Mark.points.is_not(None))
    for person_id, tag in session.execute(query):
        marked[person_id] += tag in tags
    states: dict[str, set[str]] = {}
    query = select(Posting.person_id, Posting.state)
    query = query.where(Posting.course_badge_id == badge.id, Posting.tag != EARNED)
    for person_id, state in session.execute(query):
        states.setdefault(person_id, set()).add(state)
    return [
        LearnerLine(
            person_id=person.id,
            name=person.name,
            marked=marked[person.id],
            of=len(tags),
            state="all" if marked[person.id] >= len(tags) else "some" if marked[person.id] else "none",
            posting=_worst(states.get(person.id, set())),
        )
        for person in marking.learners(session, badge.course_id)
    ]


def _worst(states: set[str]) -> str:
    if states & {"refused", "conflict"}:
        return "trouble"
    if states & set(OPEN):
        return "way"
    return "posted" if "posted" in states else ""


def _fits(line: LearnerLine, show: str) -> bool:
    return {
        "all": True,
        "unmarked": line.state != "all",
        "marked": line.state == "all",
        "trouble": line.posting == "trouble",
    }[show]


def neighbour(tool: Tool, who: LaunchSession, slug: str, person_id: str, show: str, step: int) -> str | None:
    """Return whom to go on to from a learner, in the list as it is filtered now; None at its end."""
    with tool.db.read() as session:
        badge, definition = _badge(session, who, slug)
        found = _neighbour(_lines(session, badge, definition), person_id, show, step)
        return found.person_id if found is not None else None


def _neighbour(lines: Sequence[LearnerLine], person_id: str, show: str, step: int) -> Neighbour | None:
    place = next((place for place, line in enumerate(lines) if line.person_id == person_id), None)
    if place is None:
        return None
    ahead = lines[place + 1 :] if step > 0 else tuple(reversed(lines[:place]))
    found = next((line for line in ahead if _fits(line, show if show in SHOWN else "all")), None)
    return Neighbour(found.person_id, found.name) if found is not None else None


# -- one learner ------------------------------------------------------------------------------------------------


def learner_page(
    tool: Tool, who: LaunchSession, slug: str, person_id: str, show: str, overtaken: Sequence[Overtaken] = ()
) -> MarkingPage:
    """Return everything of one learner. `overtaken` are marks of somebody else's that hers could not be stored over."""
    show = show if show in SHOWN else "all"
    with tool.db.read() as session:
        badge, definition = _badge(session, who, slug)
        person = marking.learner(session, badge.course_id, person_id)
        lines = _lines(session, badge, definition)
        put = evidence.items(session, badge.id, person.id, audit.person(who.person_id))
        rows, others = _rows(session, badge, definition, person, {each.tag: each for each in overtaken}, put)
        views = [row.view for row in rows] + list(others)
        met = sum(view.state == "met" for view in views if view.steps)
        gates = [view for view in views if not view.steps and view.state != "met"]
        short = [view for view in views if view.steps and view.state != "met"] if met < definition.needed else []
        award = newest_awards(session, badge, person.holder_id).get(person.holder_id)
        return MarkingPage(
            slug=slug,
            badge=definition,
            status=badge.status,
            version=badge.version.number if badge.version else 0,
            person_id=person.id,
            name=person.name,
            place=next((place for place, line in enumerate(lines, 1) if line.person_id == person.id), 0),
            learners=len(lines),
            done=sum(line.state == "all" for line in lines),
            rows=rows,
            others=others,
            total=_total(session, badge, definition, person, rows),
            evidence=sum(len(items) for items in put.values()),
            beside=put,
            met=min(met, definition.needed),
            of=definition.needed,
            missing=(*short, *gates),
            award=shown_status(award, datetime.now(UTC)) if award is not None else "",
            previous=_neighbour(lines, person.id, show, -1),
            next=_neighbour(lines, person.id, show, 1),
            show=show,
            may_mark=MANAGE in who.rights and badge.status != "retired",
            problem=_job_problem(session, badge.course_id),
            keep=f"marking {badge.id} {who.person_id} {person.id}",
        )


def _badge(session: Session, who: LaunchSession, slug: str) -> tuple[CourseBadge, Badge]:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    badge = catalog.get_badge(session, who.course_id, slug)
    if badge.version is None:
        raise NotFound(f"badge {slug} is not published")
    definition = catalog.definition_of(badge)
    if not marking.marked_rows(definition):
        raise NotFound(f"nothing of {slug} is marked here")
    return badge, definition


def _rows(
    session: Session,
    badge: CourseBadge,
    definition: Badge,
    person: Person,
    overtaken: Mapping[str, Overtaken],
    put: Mapping[str, tuple[EvidenceItem, ...]],
) -> tuple[tuple[MarkedRow, ...], tuple[RowView, ...]]:
    of_hers = (Mark.course_badge_id == badge.id) & (Mark.person_id == person.id)
    marks = {mark.tag: mark for mark in session.scalars(select(Mark).where(of_hers))}
    records = records_of(session, badge.id, [person.id]).get(person.id, {})
    postings = _postings(session, badge, person)
    rows = []
    for index, row in enumerate(marking.marked_rows(definition)):
        mark = marks.get(row.tag)
        level = _level(row, mark)
        comment = mark.comment if mark is not None else ""
        posting = _row_posting(definition, mark, postings.get(row.tag))
        proven = row.evidence != "required" or any(not item.draft for item in put.get(row.tag, ()))
        rows.append(
            MarkedRow(
                index=index,
                view=_view(row, mark, posting, records.get(row.tag), proven=proven),
                chosen=level,
                comment=comment,
                revision=mark.revision if mark is not None else 0,
                was=digest(level, comment),
                by=marking.name_of(session, mark.marked_by) if mark is not None else "",
                at=mark.marked_at if mark is not None else None,
                posting=posting,
                evidence=put.get(row.tag, ()),
                overtaken=overtaken.get(row.tag),
                unproven=not proven,
            )
        )
    others = [
        sub_competency_view(row, records.get(row.tag)) for row in definition.sub_competencies if row.source != "rubric"
    ]
    return tuple(rows), tuple(others + [gate_view(gate, records.get(gate.tag)) for gate in definition.gates])


def _level(row: SubCompetency, mark: Mark | None) -> int | None:
    """Return the level a mark stands for in the rule as it is now: by its points, should the levels have changed."""
    if mark is None or mark.points is None or mark.maximum is None:
        return None
    return stand(row, marking.score_of(mark.points, mark.maximum)).level


def _view(
    row: SubCompetency, mark: Mark | None, posting: PostingView, record: dict[str, Any] | None, *, proven: bool
) -> RowView:
    """Return how a row stands by its mark; by what counts where the gradebook does not hold it and will not soon."""
    elsewhere = posting.state in ("kept", "changed", "conflict", "refused")
    if mark is None or mark.points is None or mark.maximum is None or elsewhere:
        return sub_competency_view(row, record)
    standing = with_evidence(stand(row, marking.score_of(mark.points, mark.maximum)), there=proven)
    return sub_competency_view(row, dataclasses.asdict(standing))


def _postings(session: Session, badge: CourseBadge, person: Person) -> dict[str, PostingView]:
    read = (
        select(Column.tag, Result.raw)
        .join(Column, Column.id == Result.column_id)
        .where(Column.course_badge_id == badge.id, Result.user_sub == person.sub)
    )
    raws = dict(session.execute(read).all())
    query = select(Posting).where(Posting.course_badge_id == badge.id, Posting.person_id == person.id)
    return {
        posting.tag: _posting_view(posting, posting.tag in raws, raws.get(posting.tag), person.sub)
        for posting in session.scalars(query)
    }


def _posting_view(posting: Posting, read: bool, raw: str | None, sub: str) -> PostingView:
    state, held = posting.state, posting.found
    if state in ("posted", "kept") and read:
        held = marking.held_by(posting, raw, sub)
        if held is None:
            state = "posted"
        elif state == "posted" or held != posting.found:
            state = "changed"
    return PostingView(
        state={"due": "way", "sent": "way"}.get(state, state),
        at=posting.posted_at,
        reason=posting.reason or "",
        again=posting.retry_at is not None and posting.reason in PASSING,
        points=posting.points,
        maximum=posting.maximum,
        found=(held or {}).get("points") or "",
        found_maximum=(held or {}).get("maximum") or "",
        found_comment=(held or {}).get("comment") or "",
        seen=marking.seen(held) if held is not None else "",
    )


def _row_posting(definition: Badge, mark: Mark | None, posting: PostingView | None) -> PostingView:
    if definition.columns != "each":
        return PostingView("here" if mark is not None and mark.points is not None else "none")
    if posting is not None and posting.state == "left" and mark is not None and mark.points is not None:
        return PostingView("way")
    return posting or PostingView("none")


def _total(
    session: Session, badge: CourseBadge, definition: Badge, person: Person, rows: Sequence[MarkedRow]
) -> PostingView | None:
    if definition.columns != TOTAL:
        return None
    posting = _postings(session, badge, person).get(TOTAL)
    if posting is not None:
        return posting
    return PostingView("waits" if any(row.chosen is not None for row in rows) else "none")


def _job_problem(session: Session, course_id: int) -> str:
    """Return why marks have not reached the gradebook, as the job that posts them was told; empty where it runs."""
    query = select(Job).where(Job.kind == "post", Job.subject == str(course_id)).order_by(Job.id.desc()).limit(1)
    job = session.scalar(query)
    if job is None or job.state not in ("due", "failed") or not job.problem:
        return ""
    return job.problem


# -- a learner's own page ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnRow:
    """What a learner sees beside one of her rows: what was said of it, and the evidence there is."""

    comment: str
    by: str
    evidence: tuple[EvidenceItem, ...]
    may_add: bool
    required: bool = False  # the row counts only once something is handed in

    @property
    def handed_in(self) -> bool:
        return any(not item.draft for item in self.evidence)


def own_rows(tool: Tool, who: LaunchSession, slug: str, now: datetime) -> dict[str, OwnRow]:
    """Return by tag what stands beside a learner's own rows. What others put there waits for the row's release."""
    with tool.db.read() as session:
        if who.course_id is None:
            return {}
        badge = catalog.get_badge(session, who.course_id, slug)
        if badge.version is None:
            return {}
        try:
            person = marking.learner(session, badge.course_id, who.person_id)
        except NotFound:
            return {}
        put = evidence.items(session, badge.id, person.id, audit.person(person.id))
        shown = _shown_tags(session, badge, person.id, now)
        put = {tag: tuple(each for each in items if each.own or tag in shown) for tag, items in put.items()}
        query = select(Mark).where(Mark.course_badge_id == badge.id, Mark.person_id == person.id)
        marks = {mark.tag: mark for mark in session.scalars(query) if mark.tag in shown}
        return {
            row.tag: OwnRow(
                comment=marks[row.tag].comment if row.tag in marks else "",
                by=marking.name_of(session, marks[row.tag].marked_by) if row.tag in marks else "",
                evidence=put.get(row.tag, ()),
                may_add=evidence.is_taken(row) and badge.status != "retired",
                required=row.evidence == "required",
            )
            for row in catalog.definition_of(badge).sub_competencies
        }


def _shown_tags(session: Session, badge: CourseBadge, person_id: str, now: datetime) -> frozenset[str]:
    """Return the rows of which a learner may learn that somebody has looked at them."""
    if not catalog.released(badge, now):
        return frozenset()
    tags = {row.tag for row in catalog.definition_of(badge).sub_competencies}
    standing = select(Mastery.tag, Mastery.record).where(
        Mastery.course_badge_id == badge.id, Mastery.person_id == person_id
    )
    return frozenset(tags - {tag for tag, record in session.execute(standing) if record.get("released") is False})
