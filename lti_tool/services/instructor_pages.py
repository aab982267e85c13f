"""What an instructor's pages show. Each function is one read."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.ob3 import credential_address
from lti_tool.domain.badge import Badge
from lti_tool.errors import NotFound
from lti_tool.grades.columns import wanted_columns
from lti_tool.models import (
    Award,
    Column,
    Course,
    CourseBadge,
    Edition,
    Enrolment,
    Job,
    Mastery,
    Person,
    Review,
)
from lti_tool.services import catalog, copies, draft_values
from lti_tool.services.awards import get_award, newest_awards, shown_status
from lti_tool.services.issuer import is_complete, issuer_row
from lti_tool.services.launches import MANAGE, LaunchSession
from lti_tool.services.pages import (
    AwardRow,
    BadgeCard,
    BadgePlan,
    BadgeStanding,
    ColumnPlan,
    CourseHome,
    LearnerRow,
    LibraryCard,
    Matrix,
    Need,
    RecordView,
    RowView,
    SyncState,
)
from lti_tool.services.rows import row_views
from lti_tool.services.sync import count_aside
from lti_tool.services.tool import Tool
from lti_tool.services.words import day, moment, words

Records = dict[str, dict[str, dict[str, Any]]]  # person id → tag → record

STATUS_WORDS = {
    "pending": "Being signed",
    "review": "Waits for you",
    "held": "Earned, not released",
    "issued": "Issued",
    "expired": "Expired",
    "revoked": "Withdrawn",
    "superseded": "Replaced",
}


def course_home(tool: Tool, who: LaunchSession) -> CourseHome:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        course = session.get_one(Course, who.course_id)
        learners = _learners(session, course.id)
        cards = [_card(session, badge, learners, now) for badge in course.badges]
        used = {badge.slug for badge in course.badges}
        issuer = issuer_row(session)
        can_publish = is_complete(issuer)
        looking = copies.is_looking(session, course.id) if MANAGE in who.rights else None
        return CourseHome(
            title=course.title,
            label=course.label,
            summary=_home_summary(cards, learners),
            sync=sync_state(session, course),
            badges=tuple(cards),
            library=tuple(
                LibraryCard(
                    slug=badge.slug,
                    name=badge.name,
                    summary=" · ".join(row.name for row in badge.sub_competencies),
                    in_use=badge.slug in used,
                )
                for badge in catalog.library().values()
            ),
            needs=tuple(_needs(course, cards, can_publish)),
            may_manage=MANAGE in who.rights,
            can_publish=can_publish,
            learners=len(learners),
            copies=tuple(copies.offers(tool, session, who)),
            copy_job=looking.id if looking is not None and looking.attempts < 2 else 0,
        )


def _home_summary(cards: Sequence[BadgeCard], learners: Sequence[Person]) -> str:
    active = [card for card in cards if card.status in ("active", "attention")]
    if not cards:
        return ""
    if not active:
        return "Learners see a badge once it is published."
    earned = sum(card.earned for card in active)
    badges = "one badge" if len(active) == 1 else f"{len(active)} badges"
    people = "one learner" if len(learners) == 1 else f"{len(learners)} learners"
    given = {0: "none has been earned yet", 1: "one has been earned"}.get(earned, f"{earned} have been earned")
    return f"{badges[0].upper()}{badges[1:]} for {people}; {given}."


def _needs(course: Course, cards: Sequence[BadgeCard], can_publish: bool) -> Iterable[Need]:
    if not can_publish:
        yield Need(
            "warn",
            "The institution has no name or web address here yet.",
            "Until an administrator has written them on the Issuer page, badges can be prepared but not published.",
            "",
            "",
        )
    if course.state == "concluded":
        yield Need(
            "warn",
            "This course has ended in your LMS, so its grades are not read any more.",
            "Badges that were awarded stay, and can be checked for ever. Should the course be opened again, press Sync "
            "now: reading starts anew.",
            "",
            "",
        )
    elif course.problem_sentence:
        yield Need("warn", "Grades cannot be read at the moment.", course.problem_sentence, "", "")
    if course.registration.problem:
        yield Need("warn", "Your LMS does not let the tool in.", course.registration.problem, "", "")
    for card in cards:
        if card.problem:
            yield Need("warn", f"{card.name} needs attention.", card.problem, "Look", f"badges/{card.slug}")
        if card.waiting:
            count = "One award waits" if card.waiting == 1 else f"{card.waiting} awards wait"
            yield Need("acc", f"{count} for you", f"in {card.name}.", "Look and confirm", f"badges/{card.slug}/awards")


def _card(session: Session, badge: CourseBadge, learners: Sequence[Person], now: datetime) -> BadgeCard:
    if not catalog.has_definition(badge):
        return _unfinished_card(badge)
    definition = catalog.next_definition(badge) if badge.version is None else catalog.definition_of(badge)
    holders = {person.id: person.holder_id for person in learners}
    people = set(holders.values())
    newest = newest_awards(session, badge)
    # One given elsewhere counts for whoever is a learner here; one given here counts also when she has left.
    counted = {p: award for p, award in newest.items() if p in people or award.course_badge_id == badge.id}
    states = {person_id: shown_status(award, now) for person_id, award in counted.items()}
    under_review = _under_review(session, badge)
    earned = sum(status in ("pending", "issued", "held") for status in states.values())
    waiting = sum(states[p] == "review" or award.id in under_review for p, award in counted.items())
    started = set(
        session.scalars(
            select(Mastery.person_id).where(Mastery.course_badge_id == badge.id, Mastery.level.is_not(None)).distinct()
        )
    )
    with_award = {person_id for person_id, status in states.items() if status not in ("revoked", "expired")}
    on_the_way = len({holders[p] for p in started if p in holders} - with_award)
    read = {wanted.tag for wanted in wanted_columns(definition)}
    missing = [column.label for column in badge.columns if column.state != "bound" and column.tag in read]
    problem = ""
    if missing:
        names = ", ".join(f"“{label}”" for label in missing)
        are = "are" if len(missing) > 1 else "is"
        problem = (
            f"{names} {are} no longer in the gradebook. What was counted is kept; nobody is awarded until it is back."
        )
    status = "attention" if missing and badge.status == "active" else badge.status
    return BadgeCard(
        slug=badge.slug,
        name=definition.name,
        level=definition.level,
        status=status,
        rows=len(definition.sub_competencies),
        earned=earned,
        on_the_way=on_the_way,
        not_started=max(0, len(people - with_award) - on_the_way),
        to_confirm=sum(status == "review" for status in states.values()),
        waiting=waiting,
        columns_bound=sum(column.state == "bound" for column in badge.columns if column.tag in read),
        columns_wanted=len(wanted_columns(definition)),
        problem=problem,
        left=_left(badge),
    )


def _left(badge: CourseBadge) -> int:
    """Return how much is missing in what is being written, 0 where it is whole or nothing is."""
    if badge.working is None or badge.draft is not None:
        return 0
    return len(draft_values.definition(badge.working, badge.slug)[1])


def _unfinished_card(badge: CourseBadge) -> BadgeCard:
    sketch, left = draft_values.definition(badge.working or draft_values.blank("en"), badge.slug)
    name = sketch.name or _("Untitled badge")
    rows = len(sketch.sub_competencies)
    return BadgeCard(badge.slug, name, sketch.level, "draft", rows, 0, 0, 0, 0, 0, 0, 0, "", left=len(left))


def sync_state(session: Session, course: Course) -> SyncState:
    """Return when grades were last read, whether it is being done, and why the last try failed."""
    query = select(Job).where(Job.kind == "sync", Job.subject == str(course.id)).order_by(Job.id.desc()).limit(1)
    job = session.scalar(query)
    if job is None:
        return SyncState(course.synced_at, running=False, failed="")
    running = job.state == "running" or (job.state == "due" and job.attempts == 0)
    failed = job.problem or "" if job.state in ("failed", "due") and not running else ""
    what_to_do = job.outcome.get("what_to_do", "") if failed else ""
    return SyncState(course.synced_at, running, failed, what_to_do, job.id)


def _learners(session: Session, course_id: int) -> list[Person]:
    query = (
        select(Enrolment)
        .where(Enrolment.course_id == course_id, Enrolment.active)
        .options(joinedload(Enrolment.person))
    )
    people = [enrolment.person for enrolment in session.scalars(query) if enrolment.is_learner]
    return sorted(people, key=lambda person: (person.name.casefold() or "\uffff", person.sub))


# -- before publishing ------------------------------------------------------------------------------------------


def plan(tool: Tool, who: LaunchSession, slug: str) -> BadgePlan:
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.next_definition(badge)
        job = session.scalar(
            select(Job).where(Job.kind == "publish", Job.subject == badge.id).order_by(Job.id.desc()).limit(1)
        )
        open_job = job if job is not None and job.state in ("due", "running") else None
        failed = job.problem if job is not None and job.state in ("failed", "due") and job.problem else ""
        return BadgePlan(
            slug=slug,
            badge=definition,
            status=_plan_status(badge),
            columns=column_plans(badge, definition),
            obstacles=tuple(catalog.obstacles(session, badge)),
            product=who.product,
            learners=len(_learners(session, badge.course_id)),
            job_id=open_job.id if open_job is not None else 0,
            progress=tuple(job.progress) if job is not None and badge.status == "publishing" else (),
            problem=failed,
        )


def _plan_status(badge: CourseBadge) -> str:
    """Return a badge's status as its set-up shows it: "changed" where a change waits beside what is published."""
    waits = badge.version is not None and badge.draft is not None and badge.status != "publishing"
    return "changed" if waits else badge.status


def column_plans(badge: CourseBadge, definition: Badge) -> tuple[ColumnPlan, ...]:
    bound = {column.tag: column for column in badge.columns}
    return tuple(
        ColumnPlan(
            tag=wanted.tag,
            code=wanted.code,
            label=bound[wanted.tag].label if wanted.tag in bound else wanted.label,
            maximum=bound[wanted.tag].score_maximum if wanted.tag in bound else wanted.maximum,
            exists=wanted.tag in bound,
            what=_column_word(bound.get(wanted.tag)),
        )
        for wanted in wanted_columns(definition)
    )


def _column_word(column: Column | None) -> str:
    if column is None:
        return "will be made"
    if column.state != "bound":
        return "missing"
    return "is there and is used" if column.found else "made"


# -- the matrix -------------------------------------------------------------------------------------------------


def matrix(tool: Tool, who: LaunchSession, slug: str) -> Matrix:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        learners = _learners(session, badge.course_id)
        records = _records(session, badge)
        newest = newest_awards(session, badge)
        under_review = _under_review(session, badge)
        rows = tuple(
            _learner_row(
                definition, person, records.get(person.id, {}), newest.get(person.holder_id), under_review, now
            )
            for person in learners
        )
        counts = Counter(row.state for row in rows)
        return Matrix(
            slug=slug,
            badge=definition,
            status=badge.status,
            version=badge.version.number if badge.version else 0,
            product=who.product,
            summary=_summary(rows, counts),
            most_missing=_most_missing(rows),
            rows=rows,
            heads=row_views(definition, {}),
            counts={"all": len(rows), **{k: counts[k] for k in ("ready", "one", "review", "earned", "way", "none")}},
            sync=sync_state(session, badge.course),
            columns=column_plans(badge, definition),
            aside=count_aside(session, badge.course, badge),
            may_manage=MANAGE in who.rights,
        )


def _records(session: Session, badge: CourseBadge, person_id: str | None = None) -> Records:
    query = select(Mastery.person_id, Mastery.tag, Mastery.record).where(Mastery.course_badge_id == badge.id)
    if person_id is not None:
        query = query.where(Mastery.person_id == person_id)
    found: Records = {}
    for person, tag, record in session.execute(query):
        found.setdefault(person, {})[tag] = record
    return found


def _under_review(session: Session, badge: CourseBadge) -> dict[str, str]:
    query = select(Review.award_id, Review.reason).join(Award)
    query = query.where(Award.course_badge_id == badge.id, Review.resolved_at.is_(None))
    return {award_id: reason for award_id, reason in session.execute(query)}  # noqa: C416 (rows)


def _learner_row(
    badge: Badge,
    person: Person,
    records: dict[str, dict[str, Any]],
    award: Award | None,
    reviews: dict[str, str],
    now: datetime,
) -> LearnerRow:
    cells = row_views(badge, records)
    rows = [cell for cell in cells if cell.steps]
    met, of = sum(cell.state == "met" for cell in rows), badge.needed
    missing = (
        [cell for cell in cells if cell.state != "met"]
        if met < of
        else [c for c in cells if not c.steps and c.state != "met"]
    )
    graded = any(cell.state != "ungraded" for cell in cells)
    word = f"{min(met, of)} of {of}"
    status = shown_status(award, now) if award is not None else ""
    if award is not None and award.id in reviews:
        state, word = "review", "Needs review"
    elif status == "review":
        state, word = "ready", "Ready"
    elif status in ("pending", "issued", "held"):
        state, word = "earned", "Earned" if status != "held" else "Held"
    elif status in ("revoked", "expired"):
        state, word = status, STATUS_WORDS[status]
    elif not graded:
        state, word = "none", "Not started"
    else:
        short = of - met + sum(1 for c in cells if not c.steps and c.state != "met")
        state = "one" if short == 1 else "way"
    return LearnerRow(
        person_id=person.id,
        name=person.name or "Learner",
        cells=cells,
        met=met,
        of=of,
        state=state,
        word=word,
        award_id=award.id if award else "",
        sentence=_learner_sentence(person.name or "This learner", met, of, missing),
        holds=status in ("pending", "issued", "held"),
    )


def _learner_sentence(name: str, met: int, of: int, missing: Sequence[RowView]) -> str:
    if not missing:
        return f"{name} has {min(met, of)} of {of}."
    parts = [f"{cell.name} ({cell.have}, needs {cell.required})" for cell in missing]
    return f"{name} has {min(met, of)} of {of}. Missing: {', '.join(parts)}."


def _summary(rows: Sequence[LearnerRow], counts: Counter[str]) -> str:
    if not rows:
        return "No learner is known here yet. They come with the first sync."
    earned = sum(row.holds for row in rows)
    has = "has" if earned == 1 else "have"
    parts = [f"{words(earned, capital=True)} of {len(rows)} {has} earned it" if earned else "Nobody has earned it yet"]
    waiting = counts["ready"] + counts["review"]
    if waiting:
        parts.append("one waits for you" if waiting == 1 else f"{words(waiting)} wait for you")
    if counts["one"]:
        parts.append("one is one short" if counts["one"] == 1 else f"{words(counts['one'])} are one short")
    return ", ".join(parts) + "."


def _most_missing(rows: Sequence[LearnerRow]) -> str:
    """Return the row that most learners on the way still miss, empty where none stands out."""
    short = Counter(
        cell.name for row in rows if row.state in ("way", "one") for cell in row.cells if cell.state != "met"
    )
    top = short.most_common(2)
    if not top or (len(top) > 1 and top[0][1] == top[1][1]):
        return ""
    return top[0][0]


def matrix_csv(shown: Matrix) -> str:
    """Return the matrix as CSV; a cell that a spreadsheet would run as a formula is led by an apostrophe (I19)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["Learner", *(_plain(f"{head.code} {head.name}") for head in shown.heads), "Badge"])
    for row in shown.rows:
        cells = [f"{cell.have} ({cell.points} of {cell.highest})" if cell.points else "" for cell in row.cells]
        writer.writerow([_plain(row.name), *(_plain(cell) for cell in cells), row.word])
    return out.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


# -- one cell ---------------------------------------------------------------------------------------------------


def record(tool: Tool, who: LaunchSession, slug: str, person_id: str, tag: str) -> RecordView:
    """Return the decision record behind one cell; raises NotFound for another course's learner."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        definition = catalog.definition_of(badge)
        enrolment = session.get(Enrolment, (badge.course_id, person_id))
        if enrolment is None:
            raise NotFound(f"person {person_id} is not in course {badge.course_id}")
        standing = _standing(session, badge, definition, enrolment.person, datetime.now(UTC))
        found = next((each for each in standing.records if each.row.tag == tag), None)
        if found is None:
            raise NotFound(f"no row {tag}")
        return found


def standings(session: Session, course: Course, person: Person, slug: str = "") -> tuple[BadgeStanding, ...]:
    """Return where somebody stands in each published badge of a course, or in the one of this slug."""
    published = [b for b in course.badges if b.version is not None and slug in ("", b.slug)]
    now = datetime.now(UTC)
    return tuple(_standing(session, badge, catalog.definition_of(badge), person, now) for badge in published)


def _standing(session: Session, badge: CourseBadge, definition: Badge, person: Person, now: datetime) -> BadgeStanding:
    records = _records(session, badge, person.id).get(person.id, {})
    award = newest_awards(session, badge, person.holder_id).get(person.holder_id)
    row = _learner_row(definition, person, records, award, _under_review(session, badge), now)
    query = select(Mastery).where(Mastery.course_badge_id == badge.id, Mastery.person_id == person.id)
    masteries = {mastery.tag: mastery for mastery in session.scalars(query)}
    columns = {column.tag: column for column in badge.columns}
    return BadgeStanding(
        slug=badge.slug,
        badge=definition,
        row=row,
        records=tuple(
            RecordView(
                person_id=person.id,
                name=person.name or "Learner",
                row=cell,
                facts=tuple(_facts(masteries.get(cell.tag), columns.get(cell.tag), badge)),
                before=tuple(_before(masteries.get(cell.tag))),
                verdict=_verdict(cell),
                award=row.sentence,
            )
            for cell in row.cells
        ),
    )


def _verdict(row: RowView) -> str:
    if row.state == "met":
        return f"Met: {row.reached}, needs {row.required}."
    if row.state == "ungraded":
        return f"No result yet. Needs {row.required}."
    if row.state == "malformed":
        return row.sentence
    return f"Not yet: {row.reached or 'below the lowest level'}, needs {row.required}."


def _facts(mastery: Mastery | None, column: Column | None, badge: CourseBadge) -> Iterable[tuple[str, str]]:
    if column is not None:
        gone = " (no longer in the gradebook)" if column.state != "bound" else ""
        yield "Column", column.label + gone
    if mastery is None:
        return
    kept = mastery.record
    if kept["score"]:
        yield "Score", f"{kept['score']} of {kept['maximum']}"
    if kept.get("graded_at"):
        yield "Graded", _when(kept["graded_at"])
    if kept.get("received_at"):
        yield "Received", f"{_when(kept['received_at'])}, by sync"
    since = day(badge.published_at) if badge.published_at else ""
    yield "Rule", f"version {kept['version']}, in force since {since}" if since else f"version {kept['version']}"


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
        level = each["reached"] or ("no result" if each["state"] == "ungraded" else "no level")
        yield f"Until {day(datetime.fromisoformat(each['until']))}: {level}, under version {each['version']}"


# -- awards -----------------------------------------------------------------------------------------------------


def award_rows(tool: Tool, who: LaunchSession, slug: str) -> tuple[Badge, list[AwardRow]]:
    now = datetime.now(UTC)
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        reviews = _under_review(session, badge)
        query = (
            select(Award)
            .where(Award.course_badge_id == badge.id)
            .options(joinedload(Award.person))
            .order_by(Award.earned_at.desc(), Award.id)
        )
        awards = list(session.scalars(query))
        editions = _newest_editions(session, [award.id for award in awards])
        rows = [_award_row(tool, award, reviews, editions, now) for award in awards]
        return catalog.definition_of(badge), rows


def _award_row(tool: Tool, award: Award, reviews: dict[str, str], editions: dict[str, str], now: datetime) -> AwardRow:
    status = shown_status(award, now)
    return AwardRow(
        id=award.id,
        name=award.person.name or "Learner",
        person_id=award.person_id,
        status=status,
        word="Needs review" if award.id in reviews else STATUS_WORDS[status],
        earned_at=award.earned_at,
        issued_at=award.issued_at,
        credential_url=_credential_url(tool, editions.get(award.id)) if award.page_public else "",
        review=reviews.get(award.id, ""),
        revocation_reason=award.revocation_reason or "",
    )


def award_in_course(tool: Tool, who: LaunchSession, slug: str, award_id: str) -> AwardRow:
    """Return an award of this course's badge; raises NotFound for another's (D08)."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, _course_id(who), slug)
        award = get_award(session, award_id, badge.id)
        editions = _newest_editions(session, [award.id])
        return _award_row(tool, award, _under_review(session, badge), editions, datetime.now(UTC))


def _newest_editions(session: Session, award_ids: Sequence[str]) -> dict[str, str]:
    query = select(Edition.award_id, Edition.id).where(Edition.signed_at.is_not(None)).order_by(Edition.number)
    if len(award_ids) < 500:
        query = query.where(Edition.award_id.in_(award_ids))
    return {award_id: edition_id for award_id, edition_id in session.execute(query)}  # noqa: C416 (rows)


def _credential_url(tool: Tool, edition_id: str | None) -> str:
    return credential_address(tool.settings.base_url, edition_id) if edition_id else ""


def job_view(tool: Tool, who: LaunchSession, job_id: int) -> dict[str, Any]:
    """Return a job of this course for the page that watches it; raises NotFound for another course's."""
    with tool.db.read() as session:
        job = session.get(Job, job_id)
        if job is None or not _of_course(session, job, _course_id(who)):
            raise NotFound(f"no job {job_id}")
        waits = job.state == "due" and job.attempts > 0
        return {
            "state": "waiting" if waits else job.state,
            "progress": job.progress,
            "problem": job.problem or "",
            "what_to_do": job.outcome.get("what_to_do", ""),
            "reload": job.state in ("done", "failed") or waits,
        }


def _of_course(session: Session, job: Job, course_id: int) -> bool:
    if job.kind in ("sync", "copy"):
        return job.subject == str(course_id)
    if job.kind != "publish":
        return False
    badge = session.get(CourseBadge, job.subject)
    return badge is not None and badge.course_id == course_id


def _course_id(who: LaunchSession) -> int:
    if who.course_id is None:
        raise NotFound("not launched from a course")
    return who.course_id
