"""What the pages of evidence show: a learner's own, row by row, and a learner's to those who mark her."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge, SubCompetency
from lti_tool.errors import NotFound
from lti_tool.models import Enrolment, Person
from lti_tool.services import audit, catalog, evidence, evidence_files, file_types, marking
from lti_tool.services.evidence import EvidenceItem
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool


@dataclass(frozen=True)
class Limits:
    """What files are taken, in words and for the file field. `taken` is empty where no files are."""

    taken: tuple[tuple[str, str], ...]  # a group and its endings
    accept: str
    most: str
    most_bytes: int
    left: str  # of all her files together


@dataclass(frozen=True)
class OwnEvidencePage:
    """A learner's evidence beside one row of a badge, and the form for one piece.

    `editing` is the draft that is gone on with, or, with `anew`, what was handed in and is to be replaced."""

    slug: str
    badge: Badge
    row: SubCompetency
    asks: str  # what the required level asks
    items: tuple[EvidenceItem, ...]
    limits: Limits
    may_add: bool
    editing: EvidenceItem | None = None
    anew: bool = False

    @property
    def required(self) -> bool:
        return self.row.evidence == "required"

    @property
    def handed_in(self) -> bool:
        return any(not item.draft for item in self.items)


def own_row(tool: Tool, who: LaunchSession, slug: str, tag: str, evidence_id: str = "") -> OwnEvidencePage:
    """Return the page of a learner's own row; raises NotFound for one that takes no evidence and has none of hers."""
    with tool.db.read() as session:
        if who.course_id is None:
            raise NotFound("not launched from a course")
        badge = catalog.get_badge(session, who.course_id, slug)
        if badge.version is None:
            raise NotFound(f"badge {slug} is not published")
        definition = catalog.definition_of(badge)
        row = next((each for each in definition.sub_competencies if each.tag == tag), None)
        put = evidence.items(session, badge.id, who.person_id, audit.person(who.person_id)).get(tag, ())
        if row is None or not (evidence.is_taken(row) or put):
            raise NotFound(f"no evidence for {tag[:80]}")
        editing = next((item for item in put if item.id == evidence_id and item.own), None)
        if evidence_id and editing is None:
            raise NotFound(f"no evidence {evidence_id[:40]} of {who.person_id}")
        waiting = next((item for item in put if editing and item.draft and item.replaces == editing.id), None)
        editing = waiting or editing  # a newer version of it that was begun already
        required = next(level for level in row.levels if level.name == row.required_level)
        return OwnEvidencePage(
            slug=slug,
            badge=definition,
            row=row,
            asks=required.description,
            items=put,
            limits=limits(tool, session, who.person_id),
            may_add=evidence.is_taken(row) and badge.status != "retired" and _learns(session, who),
            editing=editing,
            anew=editing is not None and not editing.draft,
        )


def _learns(session: Session, who: LaunchSession) -> bool:
    try:
        marking.learner(session, who.course_id or 0, who.person_id)
    except NotFound:
        return False
    return True


def limits(tool: Tool, session: Session, person_id: str) -> Limits:
    """Return what files a learner may hand in."""
    settings = tool.settings.evidence
    taken = file_types.allowed(settings.types)
    left = max(0, settings.largest_total - evidence_files.used_by(session, person_id))
    return Limits(
        taken=tuple(file_types.groups(taken)),
        accept=file_types.accept(taken),
        most=evidence_files.size_words(settings.largest_file),
        most_bytes=settings.largest_file,
        left=evidence_files.size_words(left),
    )


# -- for those who mark -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearnersEvidence:
    """A learner's evidence in one badge, by row, as those who mark see it."""

    slug: str
    badge: Badge
    person_id: str
    name: str
    by_row: tuple[tuple[SubCompetency, tuple[EvidenceItem, ...]], ...]  # of rows that take some, or have some

    @property
    def pieces(self) -> int:
        return sum(len(items) for _, items in self.by_row)


def of_learner(tool: Tool, who: LaunchSession, slug: str, person_id: str) -> LearnersEvidence:
    """Return what somebody of this course has handed in for a badge; raises NotFound for anybody else."""
    with tool.db.read() as session:
        if who.course_id is None or session.get(Enrolment, (who.course_id, person_id)) is None:
            raise NotFound(f"person {person_id[:40]} is not of this course")
        return seen(session, who, slug, session.get_one(Person, person_id))


def seen(session: Session, who: LaunchSession, slug: str, person: Person) -> LearnersEvidence:
    """Return a learner's evidence in a badge, in the caller's transaction."""
    badge = catalog.get_badge(session, who.course_id or 0, slug)
    definition = catalog.definition_of(badge)
    put = evidence.items(session, badge.id, person.id, audit.person(who.person_id))
    rows = [row for row in definition.sub_competencies if row.tag in put or evidence.is_taken(row)]
    return LearnersEvidence(
        slug=slug,
        badge=definition,
        person_id=person.id,
        name=person.name,
        by_row=tuple((row, looked_at(put.get(row.tag, ()))) for row in rows),
    )


def looked_at(items: tuple[EvidenceItem, ...]) -> tuple[EvidenceItem, ...]:
    """Return pieces for a page that is only looked at."""
    return tuple(replace(item, own=False) for item in items)
