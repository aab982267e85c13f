"""What publishing would do to the learners of a course: the evaluation's own rules on what is stored, nothing written.

Three things are promised on that page and kept by `services.evaluation`: an award keeps the version it was given
under; nobody's award is doubted by a rule that is newer than it; and whoever goes on under an earlier version is judged
exactly as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.domain.award import Hold, Issue, decide, is_earned, missing, steps_to_go
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.domain.mastery import Standing
from lti_tool.domain.scores import Score
from lti_tool.errors import NotFound
from lti_tool.grades.columns import EARNED, wanted_columns
from lti_tool.lti.platforms import platform_of
from lti_tool.models import AchievementVersion, Award, CourseBadge, Job, Person
from lti_tool.services import awards, catalog, drift, earned, history, matching, versions
from lti_tool.services.evaluation import Inputs, Judge, Learner, elsewhere, gather
from lti_tool.services.instructor_pages import column_plans
from lti_tool.services.launches import LaunchSession
from lti_tool.services.pages.instructor import BadgePlan, ColumnPlan, Effect, Mover
from lti_tool.services.posting import PASSING
from lti_tool.services.rows import Parts
from lti_tool.services.tool import Tool
from lti_tool.services.words import collation, said

CLASSES = ("earned", "waits", "one", "further")  # the order of Effect.today and .then


@dataclass(frozen=True)
class _Place:
    """Where one learner stands by one definition."""

    group: str  # one of CLASSES
    steps: int
    missing: tuple[Standing, ...] = ()


def effect(
    session: Session,
    badge: CourseBadge,
    now: datetime,
    *,
    counts_for: str = versions.EVERYBODY,
    marks: Mapping[tuple[str, str], Score] | None = None,
) -> Effect:
    """Work out what publishing a course badge's draft would do. `marks`: those to use instead of the stored ones."""
    draft = catalog.next_definition(badge)
    present = badge_from_content(badge.version.definition) if badge.version is not None else None
    earlier = versions.definitions(session, badge)
    judged_by = [draft, *([present] if present else []), *{id(each): each for each in earlier.values()}.values()]
    inputs = gather(session, badge, judged_by, now, marks)
    judges = {id(each): Judge(each) for each in judged_by}
    begun = (versions.begun(session, badge) | set(earlier)) if present is not None else set()

    achievement = catalog.will_belong_to(session, badge)
    own = badge.version.achievement_id if badge.version is not None else achievement
    holding = _awards(session, own, present or draft, badge.course_id)
    then_holding = holding
    if achievement != own or (present is not None and present.once != draft.once):
        then_holding = _awards(session, achievement, draft, badge.course_id)

    released = catalog.released(badge, now) if badge.version is not None else True
    released_then = released if present is None or present.release == draft.release else False
    today: dict[str, _Place] = {}
    then: dict[str, _Place] = {}
    for learner in inputs.learners:
        person = learner.person_id
        if present is not None:
            mine = earlier.get(person, present)
            award = holding.get(learner.holder_id)
            today[person] = _place(mine, judges[id(mine)], learner, inputs, award, released, now)
            if counts_for == versions.NEW and person in begun:
                then[person] = today[person]
                continue
        award = then_holding.get(learner.holder_id)
        then[person] = _place(draft, judges[id(draft)], learner, inputs, award, released_then, now)
    found = _effect(session, badge, inputs.learners, today, then, holding, begun, achievement != own, now)
    outside = [each for each in elsewhere(session, badge, draft, inputs) if each.holder_id not in then_holding]
    reached = [is_earned(draft, judges[id(draft)].standings(each, inputs)) for each in outside]
    return replace(found, elsewhere=sum(reached))


def _place(
    definition: Badge,
    judge: Judge,
    learner: Learner,
    inputs: Inputs,
    award: Award | None,
    released: bool,
    now: datetime,
) -> _Place:
    if award is not None and _in_force(award, now):
        return _Place("waits" if award.status in ("review", "held") else "earned", 0)
    rows = judge.standings(learner, inputs)
    steps = steps_to_go(definition, rows)
    if award is not None:  # withdrawn, or its time is over: the same grades do not give it again
        return _Place("further", steps)
    decision = decide(definition, rows, awarded=None, released=released)
    if isinstance(decision, Issue):
        return _Place("earned", 0)
    if isinstance(decision, Hold):
        return _Place("waits", 0)
    return _Place("one" if steps == 1 else "further", steps, tuple(missing(definition, rows)))


def _in_force(award: Award, now: datetime) -> bool:
    return award.live and not (award.expires_at is not None and award.expires_at <= now)


def _awards(session: Session, achievement_id: int | None, definition: Badge, course_id: int) -> dict[str, Award]:
    """Return each person's newest award of an achievement that counts in a course, replaced ones left out."""
    if achievement_id is None:
        return {}
    against = awards.stand_against(definition, course_id)
    query = select(Award).where(Award.achievement_id == achievement_id, against)
    query = query.where(Award.status != "superseded").order_by(Award.live, Award.earned_at)
    return {award.person_id: award for award in session.scalars(query)}


def _effect(
    session: Session,
    badge: CourseBadge,
    learners: Sequence[Learner],
    today: Mapping[str, _Place],
    then: Mapping[str, _Place],
    holding: Mapping[str, Award],
    begun: set[str],
    again: bool,
    now: datetime,
) -> Effect:
    had = {person for person, place in today.items() if place.group in ("earned", "waits")}
    reach = [p for p, place in then.items() if place.group in ("earned", "waits") and p not in had]
    short = [p for p, place in then.items() if place.group == "one"]
    lose = [p for p, place in then.items() if p in today and place.steps > today[p].steps]
    names = _names(session, {*reach, *short, *lose})
    kept = [holding[each.holder_id] for each in learners if each.holder_id in holding]
    kept = [award for award in kept if _in_force(award, now)]

    def movers(people: Sequence[str], *, say: bool) -> tuple[Mover, ...]:
        found = [Mover(p, names[p], _missing(then[p]) if say else "") for p in people]
        return tuple(sorted(found, key=lambda mover: (collation(mover.name), mover.person_id)))

    return Effect(
        learners=len(learners),
        begun=len({each.person_id for each in learners} & begun),
        today=_counts(today) if today or badge.version is not None else None,
        then=_counts(then),
        reach=movers(reach, say=False),
        short=movers(short, say=True),
        lose=movers(lose, say=True),
        keep=len(kept),
        keep_under=tuple(sorted({award.version.number for award in kept})),
        again=again and badge.version is not None,
        read_at=badge.course.synced_at,
    )


def _counts(places: Mapping[str, _Place]) -> tuple[int, ...]:
    counted = Counter(place.group for place in places.values())
    return tuple(counted[each] for each in CLASSES)


def _missing(place: _Place) -> str:
    return ", ".join(said(standing.missing) for standing in place.missing)


def _names(session: Session, people: set[str]) -> dict[str, str]:
    wanted = sorted(people)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), 500):
        query = select(Person.id, Person.name).where(Person.id.in_(wanted[start : start + 500]))
        found |= {person: name or "Learner" for person, name in session.execute(query)}
    return found


# -- the page ---------------------------------------------------------------------------------------------------


def plan(tool: Tool, who: LaunchSession, slug: str, now: datetime, counts_for: str = versions.EVERYBODY) -> BadgePlan:
    """Return what publishing a badge's draft will do, or how the badge is set up where nothing waits."""
    if who.course_id is None:
        raise NotFound("not launched from a course")
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id, slug)
        definition = catalog.next_definition(badge)
        job = session.scalar(
            select(Job).where(Job.kind == "publish", Job.subject == badge.id).order_by(Job.id.desc()).limit(1)
        )
        open_job = job if job is not None and job.state in ("due", "running") else None
        failed = job.problem if job is not None and job.state in ("failed", "due") and job.problem else ""
        publishing = badge.status == "publishing"
        waits = badge.draft is not None and not publishing
        present = badge_from_content(badge.version.definition) if badge.version is not None else None
        choice = counts_for if present is not None and counts_for == versions.NEW else versions.EVERYBODY
        learns = effect(session, badge, now, counts_for=choice) if waits else None
        asked = catalog.asked_of(session, badge, definition, tool.settings.base_url)
        return BadgePlan(
            slug=slug,
            badge=definition,
            status="changed" if waits and present is not None else badge.status,
            columns=column_plans(badge, definition),
            obstacles=tuple(catalog.obstacles(session, badge)),
            course_total=platform_of(who.product).keep_out_of_total(),
            gate=platform_of(who.product).open_by_column(),
            learners=learns.learners if learns is not None else 0,
            job_id=open_job.id if open_job is not None else 0,
            looking=matching.looking(session, badge.course_id) if waits else 0,
            progress=tuple(job.progress) if job is not None and publishing else (),
            problem=failed,
            effect=learns,
            changes=(
                history.changes_in(session, badge, present, definition, tool.settings.base_url)
                if waits and present is not None
                else ()
            ),
            counts_for=choice,
            seen=catalog.draft_digest(badge) if waits else "",
            version=badge.version.number if badge.version is not None else 0,
            next_version=_next_number(session, badge) if waits else 0,
            orphans=_orphans(badge, definition, bool(versions.earlier(session, badge)) or choice == versions.NEW),
            notes=tuple(_notes(badge, asked)),
            drifts=drift.notes(session, badge.course, badge) if badge.version is not None else (),
            parts=tuple(asked.values()),
            earned=earned.view(session, badge, PASSING) if badge.status != "retired" or badge.writes_earned else None,
        )


def _next_number(session: Session, badge: CourseBadge) -> int:
    """Return the number the draft will have as a version."""
    same = select(AchievementVersion.number).where(AchievementVersion.digest == catalog.draft_digest(badge))
    number = session.scalar(same)
    if number is not None:
        return number
    achievement = catalog.will_belong_to(session, badge)
    newest = select(func.max(AchievementVersion.number)).where(AchievementVersion.achievement_id == achievement)
    return (session.scalar(newest) or 0) + 1 if achievement is not None else 1


def _orphans(badge: CourseBadge, definition: Badge, still_read: bool) -> tuple[ColumnPlan, ...]:
    """Return the columns that this badge has in the gradebook and its definition does not ask for."""
    wanted = {column.tag for column in wanted_columns(definition)}
    return tuple(
        ColumnPlan(
            tag=column.tag,
            code="",
            label=column.label,
            maximum=column.score_maximum,
            exists=True,
            what="earlier" if still_read else "orphaned",
        )
        for column in badge.columns
        if column.tag not in wanted and column.tag != EARNED and column.state == "bound"
    )


def _notes(badge: CourseBadge, asked: Parts) -> list[str]:
    """Name the badges asked for first that nobody can earn here at present."""
    retired = {each.slug for each in badge.course.badges if each.status == "retired"}
    return [each.name for slug, each in asked.items() if slug in retired]
