"""What an instructor's pages show. Each function is one read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.award import met_rows, steps_to_go
from lti_tool.domain.badge import PREREQUISITE, Badge
from lti_tool.domain.mastery import Standing
from lti_tool.errors import NotFound
from lti_tool.grades.columns import EARNED, wanted_columns
from lti_tool.lti.platforms import platform_of
from lti_tool.models import (
    Column,
    Course,
    CourseBadge,
    Enrolment,
    Job,
    Mastery,
    Person,
)
from lti_tool.sentence import Sentence
from lti_tool.services import (
    catalog,
    copies,
    draft_values,
    drift,
    evidence,
    library_cards,
    matching,
    outside_badges,
    platform_load,
    versions,
)
from lti_tool.services.awards import Held, newest_awards, newest_states, records_of, shown_status, under_review
from lti_tool.services.issuer import is_complete, issuer_row
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.marking import name_of
from lti_tool.services.pages.instructor import (
    BadgeCard,
    BadgeStanding,
    ColumnPlan,
    CourseHome,
    LearnerRow,
    Need,
    RecordView,
)
from lti_tool.services.pages.rows import RowView, SyncState
from lti_tool.services.rows import NO_PARTS, Parts, amount, met_of, missing_of, row_views, rows_beside
from lti_tool.services.stacks import AWARD
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation, day, decimal, moment, name, said, status_word, words

HOLDS = ("pending", "issued", "held")  # has the badge, looked at again or not


def course_home(tool: Tool, who: LaunchSession) -> CourseHome:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        learners = _learners(session, course.id)
        cards = [_card(session, badge, learners, now) for badge in course.badges]
        used = {badge.slug for badge in course.badges}
        may_manage = MANAGE in who.rights
        return CourseHome(
            title=course.title,
            label=course.label,
            summary=_home_summary(cards, learners),
            sync=sync_state(session, course),
            badges=tuple(cards),
            library=library_cards.cards(session, course.id, used),
            needs=tuple(_needs(session, course, cards, may_manage)),
            may_manage=may_manage,
            can_publish=is_complete(issuer_row(session)),
            learners=len(learners),
            copies=tuple(copies.offers(tool, session, who)),
            copy_job=matching.looking(session, course.id) if may_manage else 0,
        )


def _home_summary(cards: Sequence[BadgeCard], learners: Sequence[Person]) -> str:
    active = [card for card in cards if card.status in ("active", "attention")]
    if not cards:
        return ""
    if not active:
        return _("Learners see a badge once it is published.")
    earned = sum(card.earned for card in active)
    badges = ngettext("One badge", "%(some)s badges", len(active), some=words(len(active), capital=True))
    if not learners:
        return _("%(badges)s; no learner is known here yet.", badges=badges)
    people = ngettext("one learner", "%(some)s learners", len(learners), some=words(len(learners)))
    if not earned:
        return _("%(badges)s for %(people)s; none has been earned yet.", badges=badges, people=people)
    return ngettext(
        "%(badges)s for %(people)s; one has been earned.",
        "%(badges)s for %(people)s; %(some)s have been earned.",
        earned,
        some=words(earned),
        badges=badges,
        people=people,
    )


def _needs(session: Session, course: Course, cards: Sequence[BadgeCard], may_manage: bool) -> Iterable[Need]:
    told = drift.notes(session, course)
    known = {note.kind for note in told}
    for note in told:
        if not note.slug:
            yield Need("warn", note.title, note.text, "", "", note.clicks, note.administrator)
    if course.registration.problem and "token_refused" not in known:  # another course has found it out
        clicks = platform_of(course.registration.product).mend("token")
        problem = drift.shut_out(course.registration.problem)
        yield Need("warn", _("Your LMS does not let the tool in."), problem, "", "", clicks, administrator=True)
    for note in told:
        # A column that is gone stands with its badge, unless nothing is read from it.
        if note.slug and (note.kind != "column_missing" or note.tag == EARNED):
            yield Need("warn", note.title, note.text, _("Look"), f"badges/{note.slug}/plan")
    for card in cards:
        if card.problem:
            yield Need(
                "warn",
                _("%(badge)s needs attention.", badge=name(card.name)),
                card.problem,
                _("Look"),
                f"badges/{card.slug}/plan",
            )
        if handed_in := _handed_in(session, course, card.slug):
            waits = ngettext(
                "One badge from elsewhere waits for an instructor",
                "%(num)s badges from elsewhere wait for an instructor",
                handed_in,
            )
            if may_manage:
                waits = ngettext(
                    "One badge from elsewhere waits for you", "%(num)s badges from elsewhere wait for you", handed_in
                )
            where, look = _("in %(badge)s.", badge=name(card.name)), _("Look and decide") if may_manage else _("Look")
            yield Need("acc", waits, where, look, f"badges/{card.slug}/outside/")
        if card.waiting:
            waits = ngettext("One award waits for an instructor", "%(num)s awards wait for an instructor", card.waiting)
            if may_manage:
                waits = ngettext("One award waits for you", "%(num)s awards wait for you", card.waiting)
            where, look = _("in %(badge)s.", badge=name(card.name)), _("Look and confirm") if may_manage else _("Look")
            yield Need("acc", waits, where, look, f"badges/{card.slug}/awards")


def _handed_in(session: Session, course: Course, slug: str) -> int:
    badge = next(each for each in course.badges if each.slug == slug)
    return outside_badges.waiting(session, badge) if badge.version is not None and badge.version.members else 0


def _card(session: Session, badge: CourseBadge, learners: Sequence[Person], now: datetime) -> BadgeCard:
    if not catalog.has_definition(badge):
        return _unfinished_card(badge)
    definition = catalog.next_definition(badge) if badge.version is None else catalog.definition_of(badge)
    holders = {person.id: person.holder_id for person in learners}
    people = set(holders.values())
    newest = newest_states(session, badge)
    # One given elsewhere counts for whoever is a learner here; one given here counts also when she has left.
    counted = {p: award for p, award in newest.items() if p in people or award.course_badge_id == badge.id}
    states = {person_id: shown_status(award, now) for person_id, award in counted.items()}
    doubted = under_review(session, badge)
    earned = sum(status in ("pending", "issued", "held") for status in states.values())
    waiting = sum(states[p] == "review" or award.id in doubted for p, award in counted.items())
    started = set(
        session.scalars(
            select(Mastery.person_id).where(Mastery.course_badge_id == badge.id, _begun(definition)).distinct()
        )
    )
    with_award = {person_id for person_id, status in states.items() if status not in ("revoked", "expired")}
    on_the_way = len({holders[p] for p in started if p in holders} - with_award)
    in_use = [definition, *{id(each): each for each in versions.definitions(session, badge).values()}.values()]
    read = {wanted.tag for each in in_use for wanted in wanted_columns(each)}
    missing = [column.label for column in badge.columns if column.state != "bound" and column.tag in read]
    problem = ""
    if missing:
        names = ", ".join(_("“%(name)s”", name=name(label)) for label in missing)
        problem = ngettext(
            "%(names)s is no longer in the gradebook. What was counted is kept; nobody is awarded until it is back.",
            "%(names)s are no longer in the gradebook. "
            "What was counted is kept; nobody is awarded until they are back.",
            len(missing),
            names=names,
        )
    status = "attention" if missing and badge.status == "active" else badge.status
    return BadgeCard(
        slug=badge.slug,
        name=definition.name,
        level=definition.level,
        status=status,
        rows=len(definition.stack.members if definition.stack is not None else definition.sub_competencies),
        earned=earned,
        on_the_way=on_the_way,
        not_started=max(0, len(people - with_award) - on_the_way),
        to_confirm=sum(status == "review" for status in states.values()),
        waiting=waiting,
        columns_bound=sum(column.state == "bound" for column in badge.columns if column.tag in read),
        columns_wanted=len(read),
        changed=badge.version is not None and badge.draft is not None and badge.status != "publishing",
        problem=problem,
        left=_left(badge),
        of_badges=definition.stack is not None,
    )


def _begun(definition: Badge) -> ColumnElement[bool]:
    """Tell standings apart that somebody has worked for: a level reached; of a stack, a part that counts."""
    if definition.stack is None:
        return Mastery.level.is_not(None)
    return Mastery.tag.in_(definition.stack.tags) & Mastery.met


def _left(badge: CourseBadge) -> int:
    """Return how much is missing in what is being written, 0 where it is whole or nothing is."""
    if badge.working is None or badge.draft is not None:
        return 0
    return len(draft_values.definition(badge.working, badge.slug)[1])


def _unfinished_card(badge: CourseBadge) -> BadgeCard:
    sketch, left = draft_values.definition(badge.working or draft_values.blank("en"), badge.slug)
    name = sketch.name or _("Untitled badge")
    rows = len(sketch.stack.members if sketch.stack is not None else sketch.sub_competencies)
    of_badges = sketch.stack is not None
    return BadgeCard(
        badge.slug, name, sketch.level, "draft", rows, 0, 0, 0, 0, 0, 0, 0, "", left=len(left), of_badges=of_badges
    )


_RESTS = Sentence("Your LMS does not answer as it should at the moment, so it is left alone for a while.")


def sync_state(session: Session, course: Course) -> SyncState:
    """Return when grades were last read, whether it is being done, and why the last try failed."""
    query = select(Job).where(Job.kind == "sync", Job.subject == str(course.id)).order_by(Job.id.desc()).limit(1)
    job = session.scalar(query)
    if job is None:
        return SyncState(course.synced_at, running=False, failed="")
    rests = platform_load.standing(session, course.registration_id, datetime.now(UTC))
    if job.state == "due" and rests.until is not None:
        why = said(job.problem or _RESTS)
        return SyncState(course.synced_at, False, why, "", job.id, max(rests.until, job.not_before))
    running = job.state == "running" or (job.state == "due" and job.attempts == 0 and not job.problem)
    failed = job.problem or "" if job.state in ("failed", "due") and not running else ""
    what_to_do = said(job.what_to_do) if failed else ""
    next_at = job.not_before if failed and job.state == "due" else None
    return SyncState(course.synced_at, running, said(failed), what_to_do, job.id, next_at)


def _learners(session: Session, course_id: int) -> list[Person]:
    query = (
        select(Enrolment)
        .where(Enrolment.course_id == course_id, Enrolment.active)
        .options(joinedload(Enrolment.person))
    )
    people = [enrolment.person for enrolment in session.scalars(query) if enrolment.is_learner]
    return sorted(people, key=lambda person: (collation(person.name), person.sub))


# -- gradebook columns ------------------------------------------------------------------------------------------


def column_plans(badge: CourseBadge, definition: Badge) -> tuple[ColumnPlan, ...]:
    bound = {column.tag: column for column in badge.columns}
    return tuple(
        ColumnPlan(
            tag=wanted.tag,
            code=wanted.code,
            label=bound[wanted.tag].label if wanted.tag in bound else wanted.label,
            maximum=bound[wanted.tag].maximum if wanted.tag in bound else wanted.maximum,
            exists=wanted.tag in bound,
            what=_column_word(bound.get(wanted.tag)),
            found_by=bound[wanted.tag].found_by if wanted.tag in bound and bound[wanted.tag].found else "",
        )
        for wanted in wanted_columns(definition)
    )


def _column_word(column: Column | None) -> str:
    if column is None:
        return "will be made"
    if column.state != "bound":
        return "missing"
    return "is there and is used" if column.found else "made"


# -- a learner -------------------------------------------------------------------------------------------------


def learner_row(
    badge: Badge,
    person_id: str,
    known_as: str,
    records: dict[str, dict[str, Any]],
    award: Held | None,
    reviews: Collection[str],
    now: datetime,
    heads: Badge | None = None,
    parts: Parts = NO_PARTS,
) -> LearnerRow:
    """`badge` is what she is judged by; `heads` the version whose rows head the matrix, where that is another one."""
    cells = row_views(badge, records, parts)
    met, of = met_of(badge, cells), badge.needed
    missing = missing_of(badge, cells)
    status = shown_status(award, now) if award is not None else ""
    standings = [Standing(cell.tag, "", cell.state, "", points=cell.points) for cell in cells]
    state, word = standing_word(badge, standings, status, doubted=award is not None and award.id in reviews)
    return LearnerRow(
        person_id=person_id,
        name=known_as or _("Learner"),
        cells=cells if heads in (None, badge) else rows_beside(heads, badge, records, parts),
        met=met,
        of=of,
        state=state,
        word=word,
        award_id=award.id if award else "",
        sentence=_learner_sentence(known_as or _("This learner"), badge, met, missing),
        holds=status in HOLDS,
    )


def standing_word(badge: Badge, standings: Sequence[Standing], status: str, *, doubted: bool) -> tuple[str, str]:
    """Return in which of the matrix's groups a learner is, and the word for it. `status`: of her award, if any."""
    met = min(met_rows(badge, standings), badge.needed)
    if doubted:
        return "review", _("Needs review")
    if status == "review":
        return "ready", _("Ready")
    if status in HOLDS:
        return "earned", _("Earned") if status != "held" else _("Held")
    if status in ("revoked", "expired"):
        return status, status_word(status)
    if all(s.state == "ungraded" for s in standings):
        return "none", _("Not started")
    told = _("%(met)s of %(all)s", met=amount(met), all=badge.needed)
    if badge.counts_credits:
        told = _("%(met)s of %(all)s credits", met=amount(met), all=badge.needed)
    return ("one" if steps_to_go(badge, standings) == 1 else "way"), told


def _learner_sentence(who: str, badge: Badge, met: int | Decimal, missing: Sequence[RowView]) -> str:
    values = {"name": name(who), "met": amount(min(met, badge.needed)), "all": badge.needed}
    parts = ", ".join(cell.lacking for cell in missing)
    if badge.counts_credits:
        if not missing:
            return _("%(name)s has %(met)s of %(all)s credits.", **values)
        return _("%(name)s has %(met)s of %(all)s credits. Missing: %(parts)s.", **values, parts=parts)
    if not missing:
        return _("%(name)s has %(met)s of %(all)s.", **values)
    return _("%(name)s has %(met)s of %(all)s. Missing: %(parts)s.", **values, parts=parts)


# -- one cell ---------------------------------------------------------------------------------------------------


def record(tool: Tool, who: LaunchSession, slug: str, person_id: str, tag: str) -> RecordView:
    """Return the decision record behind one cell; raises NotFound for another course's learner."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = versions.definitions(session, badge).get(person_id) or catalog.definition_of(badge)
        enrolment = session.get(Enrolment, (badge.course_id, person_id))
        if enrolment is None:
            raise NotFound(f"person {person_id} is not in course {badge.course_id}")
        base = tool.settings.base_url
        standing = _standing(session, badge, definition, enrolment.person, datetime.now(UTC), base)
        found = next((each for each in standing.records if each.row.tag == tag), None)
        if found is None:
            raise NotFound(f"no row {tag}")
        return found


def standings(session: Session, course: Course, person: Person, slug: str, base_url: str) -> tuple[BadgeStanding, ...]:
    """Return where somebody stands in each published badge of a course, or in the one of this slug."""
    published = [b for b in course.badges if b.version is not None and slug in ("", b.slug)]
    now = datetime.now(UTC)
    found = []
    for badge in published:
        definition = versions.definitions(session, badge).get(person.id) or catalog.definition_of(badge)
        found.append(_standing(session, badge, definition, person, now, base_url))
    return tuple(found)


def _standing(
    session: Session, badge: CourseBadge, definition: Badge, person: Person, now: datetime, base_url: str
) -> BadgeStanding:
    records = records_of(session, badge.id, [person.id]).get(person.id, {})
    award = newest_awards(session, badge, person.holder_id).get(person.holder_id)
    doubted, parts = under_review(session, badge), catalog.asked_of(session, badge, definition, base_url)
    row = learner_row(definition, person.id, person.name, records, award, doubted, now, parts=parts)
    query = select(Mastery).where(Mastery.course_badge_id == badge.id, Mastery.person_id == person.id)
    masteries = {mastery.tag: mastery for mastery in session.scalars(query)}
    columns = {column.tag: column for column in badge.columns}
    put = evidence.items(session, badge.id, person.id, "")
    return BadgeStanding(
        slug=badge.slug,
        badge=definition,
        row=row,
        records=tuple(
            RecordView(
                person_id=person.id,
                name=person.name or _("Learner"),
                row=cell,
                facts=tuple(_facts(session, masteries.get(cell.tag), columns.get(cell.tag), badge)),
                before=tuple(_before(masteries.get(cell.tag))),
                verdict=_verdict(cell),
                award=row.sentence,
                slug=badge.slug,
                evidence=put.get(cell.tag, ()),
            )
            for cell in row.cells
        ),
    )


def _verdict(row: RowView) -> str:
    if row.part:
        return row.sentence
    if row.state == "met":
        return _("Met: %(reached)s, needs %(required)s.", reached=row.reached, required=row.required)
    if row.state == "ungraded":
        return _("No result yet. Needs %(required)s.", required=row.required)
    if row.state == "unproven":
        return _("Not yet: %(level)s is reached, and its evidence is missing.", level=row.reached)
    if row.state == "malformed" or row.tag.startswith(PREREQUISITE):
        return row.sentence
    return _("Not yet: %(have)s, needs %(required)s.", have=row.have, required=row.required)


def _facts(
    session: Session, mastery: Mastery | None, column: Column | None, badge: CourseBadge
) -> Iterable[tuple[str, str]]:
    if column is not None and not (mastery is not None and mastery.record.get("source")):
        gone, label = column.state != "bound", name(column.label)
        yield _("Column"), _("%(column)s (no longer in the gradebook)", column=label) if gone else label
    if mastery is None:
        return
    kept = mastery.record
    if kept.get("source") in SOURCES:
        yield from _origin(session, kept, badge)
    if kept.get("part"):
        yield from _part(kept)
    if kept["score"]:
        yield _("Score"), _("%(score)s of %(maximum)s", score=kept["score"], maximum=kept["maximum"])
    if kept.get("marked"):
        by = name_of(session, kept["marked"]["by"]) or _("somebody who has left")
        yield _("Marked"), _("here by %(name)s, %(when)s", name=name(by), when=_when(kept["marked"]["at"]))
    if kept.get("graded_at"):
        yield _("Graded"), _when(kept["graded_at"])
    if kept.get("received_at"):
        yield _("Received"), _("%(when)s, by sync", when=_when(kept["received_at"]))
    since = day(badge.published_at) if badge.published_at else ""
    yield (
        _("Rule"),
        _("version %(version)s, in force since %(since)s", version=kept["version"], since=since)
        if since
        else _("version %(version)s", version=kept["version"]),
    )


def _part(kept: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    own = kept["part"].startswith(AWARD)
    yield _("Source"), _("an award of this institution") if own else _("a badge of another issuer, accepted here")
    yield _("Issued"), _when(kept["issued_at"])
    if kept["points"]:
        yield _("Credits"), decimal(kept["points"])


def _origin(session: Session, kept: Mapping[str, Any], badge: CourseBadge) -> Iterable[tuple[str, str]]:
    source = said(SOURCES[kept["source"]])
    place = kept.get("from") or ""
    yield _("Source"), _("%(source)s, %(place)s", source=source, place=name(place)) if place else source
    if by := kept.get("by"):
        grader = select(Person.name).where(
            Person.registration_id == badge.course.registration_id, Person.sub == by, Person.name != ""
        )
        yield _("Marked"), _("by %(name)s", name=name(session.scalar(grader) or by))
    if kept.get("their_level"):
        yield _("Level there"), name(kept["their_level"])
    if kept.get("comment"):
        yield _("Comment"), name(kept["comment"])
    if kept.get("released") is False:
        yield _("Shown"), _("Not to the learner yet: the grade has not been posted in the LMS.")


SOURCES = {
    "canvas-rubric": Sentence("Canvas rubric"),
    "moodle-rubric": Sentence("Moodle rubric"),
    "csv": Sentence("A file"),
    "canvas-course-grade": Sentence("Canvas course grade"),
    "moodle-course-grade": Sentence("Moodle course grade"),
}


def _when(text: str) -> str:
    """Write a time an LMS or we have kept; one that cannot be read stays as it came."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment(when) if when.tzinfo else text


def _before(mastery: Mastery | None) -> Iterable[str]:
    if mastery is None:
        return
    for each in mastery.before:
        level = each["reached"] or (_("no result") if each["state"] == "ungraded" else _("no level"))
        yield _(
            "From %(day)s on: %(level)s, under version %(version)s",
            day=day(datetime.fromisoformat(each["until"])),  # when it was decided
            level=level,
            version=each["version"],
        )


# -- work ---------------------------------------------------------------------------------------------------------


def job_view(tool: Tool, who: LaunchSession, job_id: int) -> dict[str, Any]:
    """Return a job of this course for the page that watches it; raises NotFound for another course's."""
    with tool.db.read() as session:
        job = session.get(Job, job_id)
        if job is None or not _of_course(session, job, _course_id(who)):
            raise NotFound(f"no job {job_id}")
        waits = job.state == "due" and job.attempts > 0
        return {
            "state": "waiting" if waits else job.state,
            "progress": [said(line) for line in job.told],
            "problem": said(job.problem or ""),
            "what_to_do": said(job.what_to_do),
            "reload": job.state in ("done", "failed") or waits,
        }


def _of_course(session: Session, job: Job, course_id: int) -> bool:
    if job.kind in ("sync", "evaluate", "columns", "copy", "post", "rows"):
        return job.subject == str(course_id)
    if job.kind not in ("publish", "make_columns"):
        return False
    badge = session.get(CourseBadge, job.subject)
    return badge is not None and badge.course_id == course_id


def _course_id(who: LaunchSession) -> int:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    return who.course_id
