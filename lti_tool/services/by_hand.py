"""Awards that an instructor gives: to somebody of the roster, on evidence that she writes down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge
from lti_tool.domain.mastery import choose
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import Award, CourseBadge, Enrolment, Person, may_be_awarded
from lti_tool.services import audit, award_acts, awards, catalog, evaluation
from lti_tool.services.editions import carries
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation

LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True)
class Candidate:
    """Somebody in the course, and why she cannot be given the badge: `why` is empty where she can.

    It is "has" (she has it), "test" (a test student), "role" (no learner), "gone" (no longer in the course) or
    "disabled". Nobody's name or address is in the `repr`, which may end up in a log."""

    person_id: str
    holder_id: str
    why: str
    sub: str = field(repr=False)
    name: str = field(repr=False)
    email: str = field(repr=False)
    sis_id: str = field(default="", repr=False)


def open_badge(session: Session, course_id: int, slug: str, *, lock: bool = False) -> CourseBadge:
    """Return a badge that can be given; raises Conflict for one that is not published, or retired."""
    badge = catalog.get_badge(session, course_id, slug, lock=lock)
    if badge.version is None or badge.status != "active":
        raise Conflict(
            f"badge {badge.id} is {badge.status}",
            sentence=_("This badge is not open, so it cannot be given at the moment."),
            what_to_do=_("A draft has to be published first; a retired badge is not given any more."),
        )
    return badge


def candidates(session: Session, badge: CourseBadge, now: datetime) -> list[Candidate]:
    """Return everybody the tool knows in a badge's course, by name, and who of them may be given the badge."""
    holders = _holders(session, badge, now)
    rows = session.execute(
        select(
            Person.id,
            Person.same_as_id,
            Person.sub,
            Person.name,
            Person.email,
            Person.sis_id,
            Person.test_user,
            Person.disabled,
            Enrolment.roster_role,
            Enrolment.launch_role,
            Enrolment.active,
        )
        .join(Enrolment, Enrolment.person_id == Person.id)
        .where(Enrolment.course_id == badge.course_id)
    )
    found = []
    for row in rows:
        holder = row.same_as_id or row.id
        why = ""
        if row.test_user:
            why = "test"
        elif not may_be_awarded(row.roster_role, row.launch_role, row.test_user):
            why = "role"
        elif not row.active:
            why = "gone"
        elif row.disabled:
            why = "disabled"
        elif holder in holders:
            why = "has"
        found.append(Candidate(row.id, holder, why, row.sub, row.name, row.email, row.sis_id))
    return sorted(found, key=lambda each: (collation(each.name), each.sub))


def _holders(session: Session, badge: CourseBadge, now: datetime) -> set[str]:
    """Return who has the badge in force, by `Person.holder_id`; one that has expired makes room."""
    return set(session.scalars(select(Award.person_id).where(*_in_scope(badge), ~awards.is_over(now))))


def holders_of(award_ids: Sequence[str]) -> Any:
    """Return the query for whose these awards are."""
    return select(Award.person_id).where(Award.id.in_(award_ids))


def _in_scope(badge: CourseBadge) -> tuple[Any, ...]:
    if badge.version is None:
        raise ValueError("only a published badge is given")
    against = awards.stand_against(catalog.definition_of(badge), badge.course_id)
    return Award.achievement_id == badge.version.achievement_id, against, Award.live


def note_of(text: str) -> str:
    """Return an evidence note as it is kept: line breaks stay, other control characters go; raises BadInput."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    note = "\n".join(lines).strip()
    if not note:
        raise BadInput(
            sentence=_("Write what the award rests on: no recorded grades carry it, so its evidence is this note.")
        )
    if len(note) > LONGEST_NOTE:
        raise BadInput(
            sentence=_("This note is too long by %(num)s characters.", num=len(note) - LONGEST_NOTE),
            what_to_do=_("Shorten it, or put the evidence where others can open it and write its address here."),
        )
    return "".join(each for each in note if each == "\n" or each.isprintable())


def levels_now(session: Session, badge: CourseBadge, person_id: str) -> dict[str, dict[str, Any]]:
    """Return where a learner stands, by tag: the rows of a decision record."""
    return awards.records_of(session, badge.id, [person_id]).get(person_id, {})


def told_of(rows: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return those of a learner's rows that an award given now may tell of: not what the LMS hides from her."""
    hidden = award_acts.not_shown(rows)
    return {tag: row for tag, row in rows.items() if tag not in hidden}


def give(
    tool: Tool,
    course_id: int,
    slug: str,
    person_id: str,
    note: str,
    *,
    levels: Mapping[str, str] | None,
    actor: str,
    now: datetime,
) -> str:
    """Give a badge to one learner; returns the award's id. `levels`: by tag, as chosen; None: as they stand.

    Levels that do not reach the badge are refused where they were chosen; as they stand, the credential leaves them
    out, and those that the LMS hides from the learner as well. What the badge's release holds back is held here too.
    Raises Conflict where she has it already."""
    note = note_of(note)
    with tool.db.write() as session:
        badge = open_badge(session, course_id, slug, lock=True)
        found = next((each for each in candidates(session, badge, now) if each.person_id == person_id), None)
        if found is None:
            raise NotFound(f"person {person_id} is not in course {course_id}")
        if found.why:
            raise Conflict(f"person {person_id}: {found.why}", sentence=why_not(found.why, found.name))
        rows = told_of(levels_now(session, badge, person_id))
        if levels is not None:
            rows = _chosen(catalog.definition_of(badge), badge, rows, levels)
        (given,) = give_all(tool, session, badge, [(found, note, rows)], "hand", actor=actor, now=now) or [""]
        if not given:
            raise Conflict(sentence=why_not("has", found.name))
        return given


def why_not(why: str, name: str) -> str:
    """Say why somebody cannot be given a badge."""
    who = name or _("This learner")
    if why == "has":
        return _("%(name)s has this badge already, or waits for it.", name=who)
    if why == "test":
        return _("%(name)s is a test student, who is never awarded.", name=who)
    if why == "role":
        return _("%(name)s is not a learner in this course.", name=who)
    if why == "gone":
        return _("%(name)s is no longer in this course.", name=who)
    return _("%(name)s has been switched off by an administrator.", name=who)


def _chosen(
    definition: Badge, badge: CourseBadge, rows: dict[str, dict[str, Any]], levels: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the rows of a decision record with the levels an instructor chose; gates and parts stay as they are."""
    number = badge.version.number if badge.version else 0
    parts = definition.stack.tags if definition.stack is not None else ()
    chosen = {tag: row for tag, row in rows.items() if tag.startswith("gate:") or tag in parts}
    for row in definition.sub_competencies:
        names = [level.name for level in row.levels]
        name = levels.get(row.tag, "")
        if name and name not in names:
            raise BadInput(sentence=_("“%(name)s” has no level of this name.", name=row.name))
        if name:
            chosen[row.tag] = evaluation.chosen_record(choose(row, names.index(name)), number)
    if not carries(definition, chosen):
        raise BadInput(
            sentence=_("These levels do not reach the badge."),
            what_to_do=_(
                "Choose at least what it requires, or take the levels as they stand: its credential then tells of no "
                "levels, only of your note."
            ),
        )
    return chosen


def give_all(
    tool: Tool,
    session: Session,
    badge: CourseBadge,
    wanted: Sequence[tuple[Candidate, str, dict[str, dict[str, Any]]]],
    given: str,
    *,
    actor: str,
    now: datetime,
) -> list[str]:
    """Write awards for these learners, each with its note and its levels; returns the ids of those that are new.

    Somebody may have been awarded at this moment: the partial UNIQUE index decides (H02)."""
    if badge.version is None:
        raise ValueError("only a published badge is given")
    definition = catalog.definition_of(badge)
    session.execute(update(Award).where(*_in_scope(badge), awards.is_over(now)).values(live=False))
    status = "pending" if catalog.released(badge, now) else "held"
    new = awards.write(
        session,
        [
            {
                "achievement_id": badge.version.achievement_id,
                "version_id": badge.version_id,
                "course_badge_id": badge.id,
                "course_id": badge.course_id,
                "person_id": each.holder_id,
                "earned_as_id": each.person_id if each.person_id != each.holder_id else None,
                "scope": awards.scope_of(definition, badge.course_id),
                "status": status,
                "decision": awards.decision_record(definition, badge.version.number, rows, now),
                "earned_at": now,
                "given": given,
                "note": note,
                # Where pages are public from the start, nobody has chosen yet to show what was written about her.
                "note_told": tool.settings.privacy.claim != "automatic",
            }
            for each, note, rows in wanted
        ],
        now,
    )
    for row in new:
        audit.record(
            session,
            now,
            actor,
            "award.given",
            f"award:{row['id']}",
            before="",
            after=row["status"],
            how=given,
            levels={each["tag"]: each["reached"] for each in row["decision"]["rows"]},
        )
    return [row["id"] for row in new]
