"""Whether a platform works, line by line: what the platform's page shows and `lti-tool doctor` prints.

The network is asked outside any transaction, with short timeouts. The page never waits for it: it shows the last look,
and a job looks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, get_args

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import ScopeMissing, ServiceBusy, ServiceError
from lti_tool.http import Http
from lti_tool.lti.ags import LINE_ITEM, SCORE, list_line_items
from lti_tool.lti.dynamic_registration import NEEDED_SCOPES
from lti_tool.lti.nrps import MEMBERSHIPS_READ, peek
from lti_tool.lti.platform_keys import parse_jwks
from lti_tool.lti.platforms import Clicks, Trouble, platform_of
from lti_tool.lti.registration import Registration
from lti_tool.lti.service import Service
from lti_tool.lti.token import TokenCache
from lti_tool.models import Column, Course, CourseBadge, Deployment, Drift, Enrolment, Job
from lti_tool.models import Registration as RegistrationRow
from lti_tool.sentence import Moment, Sentence, counted, read
from lti_tool.sentence import kept as kept_sentence
from lti_tool.services import platform_load, work
from lti_tool.services.access import known_deployment, registration_value
from lti_tool.services.registration import scope_word
from lti_tool.services.tool import Tool, make_http

State = Literal["pass", "fail", "unknown", "waiting"]

MOST_SKEW = 60  # seconds a platform's clock may differ: Canvas refuses a token request 30 s ahead
MOST_NAMED = 5  # courses in one line
PATIENCE: dict[str, Any] = {"timeout": (4, 8), "total_timeout": 12}
# A token costs 200 of Canvas' 600 throttle units, which come back at 10 a second: hence not more often than this.
AGAIN_AFTER = timedelta(seconds=30)
AGAIN_AFTER_ALL_WELL = timedelta(minutes=5)


@dataclass(frozen=True)
class Check:
    """One line. `key` is a word of lti.platforms.Trouble where clicks in the LMS can mend it."""

    key: str
    question: str
    state: State
    sentence: str

    def clicks(self, product: str) -> Clicks:
        """Return what to click in the LMS where the line is red."""
        known = self.key in get_args(Trouble)
        return platform_of(product).mend(self.key) if known and self.state == "fail" else ()  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Facts:
    """What the database knows of a platform, read in one go before anything is asked."""

    first_launch: datetime | None
    first_course: str
    learner: bool
    deployments: dict[str, int]
    course: Course | None
    deployment_id: str | None
    shared: int
    drifts: dict[str, list[str]]  # by kind: in which courses it is so now
    columns_made: int
    column_made_at: datetime | None
    publish_problem: str | None


# -- looking ----------------------------------------------------------------------------------------------------


def look(tool: Tool, platform_id: int, now: datetime) -> list[Check]:
    """Ask a platform everything, and return each line. One that is switched off is not asked."""
    with tool.db.read() as session:
        row = session.get(RegistrationRow, platform_id)
        if row is None:
            return []
        if row.state != "active":
            return [_switched_off(row.state)]
        facts, registration = _facts(session, row), registration_value(row)
    return list(_checks(tool, registration, facts, now))


def _switched_off(state: str) -> Check:
    if state == "pending":
        return Check(
            "approval",
            Sentence("Approved here"),
            "fail",
            Sentence("It registered itself by an invite link and waits for approval."),
        )
    return Check(
        "state", Sentence("Switched on here"), "waiting", Sentence("It is switched off, so it was not asked anything.")
    )


def _facts(session: Session, row: RegistrationRow) -> _Facts:
    of_platform = Course.registration_id == row.id
    first = session.scalar(select(Course).where(of_platform).order_by(Course.created_at, Course.id).limit(1))
    course = session.scalar(
        select(Course)
        .join(Deployment)
        .options(joinedload(Course.deployment))
        .where(of_platform, Course.line_items_url.is_not(None), Course.state != "concluded")
        .order_by(Deployment.former, Course.id.desc())
        .limit(1)
    )
    learner = select(Enrolment.person_id).join(Course).where(of_platform, Enrolment.launch_role == "Learner").limit(1)
    statuses = select(Deployment.status, func.count()).where(Deployment.registration_id == row.id, ~Deployment.former)
    shared = (
        select(Course.line_items_url)
        .join(Deployment)
        .where(of_platform, Course.line_items_url.is_not(None), ~Deployment.former)
        .group_by(Course.line_items_url)
        .having(func.count(Course.deployment_pk.distinct()) > 1)
    )
    badges = select(CourseBadge.id).join(Course).where(of_platform)
    made = select(func.count(Column.id), func.max(Column.created_at)).where(
        Column.course_badge_id.in_(badges), ~Column.found, Column.state == "bound"
    )
    count, latest = session.execute(made).one()
    publish = session.scalar(
        select(Job).where(Job.kind == "publish", Job.subject.in_(badges)).order_by(Job.id.desc()).limit(1)
    )
    return _Facts(
        first_launch=first.created_at if first else None,
        first_course=_title(first) if first else "",
        learner=session.scalar(learner) is not None,
        deployments={row[0]: row[1] for row in session.execute(statuses.group_by(Deployment.status))},
        course=course,
        deployment_id=known_deployment(course.deployment) if course else None,
        shared=len(session.execute(shared).all()),
        drifts=_drifts(session, row.id),
        columns_made=count,
        column_made_at=latest,
        publish_problem=publish.problem if publish is not None else None,
    )


def _drifts(session: Session, registration_id: int) -> dict[str, list[str]]:
    query = select(Drift.kind, Course).join(Course, Course.id == Drift.course_id)
    query = query.where(Course.registration_id == registration_id, Drift.ended_at.is_(None)).order_by(Course.id)
    found: dict[str, list[str]] = {}
    for kind, course in session.execute(query):
        if _title(course) not in found.setdefault(kind, []):
            found[kind].append(_title(course))
    return found


def _title(course: Course) -> str:
    return course.label or course.title or Sentence("a course")


def _checks(tool: Tool, registration: Registration, facts: _Facts, now: datetime) -> Iterator[Check]:
    http = make_http(tool.settings, **PATIENCE)
    tokens = TokenCache(http, signing_key=lambda: tool.keyring.lti, clock=lambda: datetime.now(UTC))
    keys, clock = _keys_and_clock(http, registration, now)
    token, granted = _token(tokens, registration, facts.deployment_id)
    if keys.state == "pass":
        if token.state == "pass":
            theirs = Sentence("Ours have just been read.")
        else:
            theirs = Sentence("Whether ours can be read is not known.")
        both = Sentence("%(theirs)s %(ours)s", theirs=keys.sentence, ours=theirs)
        keys = Check(keys.key, keys.question, "pass" if token.state == "pass" else "unknown", both)
    yield keys
    yield token
    yield _first_launch(facts)
    yield _deployment(facts)
    # The scopes of the token that is there already: each further token costs throttle units on Canvas.
    usable = granted & set(NEEDED_SCOPES) if granted else None
    service = Service(registration, http, tokens, usable, facts.deployment_id)
    yield _roster(service, facts, granted)
    yield _columns_read(service, facts, granted)
    yield _columns_write(facts, granted)
    yield _scopes(granted)
    yield clock
    yield _courses(facts)
    yield _columns_kept(facts)
    yield _learner(facts)
    if facts.shared:
        yield Check(
            "shared",
            Sentence("Each gradebook belongs to one deployment"),
            "fail",
            Sentence(
                "Two deployments name the same gradebook: both would use the same columns. Switch one of "
                "them off below, or deploy the tool only once for those courses."
            ),
        )


def _keys_and_clock(http: Http, registration: Registration, now: datetime) -> tuple[Check, Check]:
    question, clock = Sentence("Keys reachable, both ways"), Sentence("Clock within a minute")
    started = time.monotonic()
    try:
        answer = http.get(registration.jwks_url, headers={"Accept": "application/json"}, same_host_redirects=True)
    except ServiceError as error:
        failed = Check(
            "keys",
            question,
            "fail",
            Sentence(
                "%(address)s: %(problem)s (%(reason)s)",
                address=registration.jwks_url,
                problem=error.sentence,
                reason=error.reason,
            ),
        )
        return failed, Check("clock", clock, "unknown", Sentence("No time was told, since the keys were not read."))
    count = len(parse_jwks(answer.body.decode("utf-8", "replace")))
    if count:
        keys = Check(
            "keys",
            question,
            "pass",
            counted("%(num)s usable key is published.", "%(num)s usable keys are published.", count),
        )
    else:
        keys = Check("keys", question, "fail", Sentence("%(address)s holds no RSA key.", address=registration.jwks_url))
    return keys, _clock(clock, answer.headers.get("Date", ""), now, time.monotonic() - started)


def _clock(question: str, date: str, now: datetime, elapsed: float) -> Check:
    try:
        skew = parsedate_to_datetime(date).timestamp() - (now.timestamp() + elapsed)
    except (TypeError, ValueError):
        return Check("clock", question, "unknown", Sentence("The LMS's answer told no time."))
    seconds = f"{abs(skew):.0f}"
    if abs(skew) <= MOST_SKEW:
        return Check("clock", question, "pass", Sentence("%(seconds)s s apart.", seconds=seconds))
    if skew > 0:
        apart = Sentence(
            "%(seconds)s s apart: this machine's clock is behind, or that of the LMS is wrong.", seconds=seconds
        )
    else:
        apart = Sentence(
            "%(seconds)s s apart: this machine's clock is ahead, or that of the LMS is wrong.", seconds=seconds
        )
    mend = Sentence(
        "%(apart)s Launches and token requests are refused when clocks differ. Set this machine's clock by NTP.",
        apart=apart,
    )
    return Check("clock", question, "fail", mend)


def _token(
    tokens: TokenCache, registration: Registration, deployment_id: str | None
) -> tuple[Check, frozenset[str] | None]:
    """Ask for a token with all scopes, and one by one where the platform refuses them together as Canvas does.

    Returns the scopes that were granted, None where nobody knows."""
    question = Sentence("Access token granted")
    try:
        granted = tokens.get(registration, NEEDED_SCOPES, deployment_id).scopes
    except ScopeMissing:
        granted = frozenset()
        for scope in NEEDED_SCOPES:
            try:
                granted |= tokens.get(registration, (scope,), deployment_id).scopes & {scope}
            except ScopeMissing:
                continue
            except ServiceError as error:
                return Check("token", question, "unknown", _with_reason(error.sentence, error)), None
    except ServiceBusy as error:
        return Check("token", question, "unknown", error.sentence), None
    except ServiceError as error:
        return Check("token", question, "fail", _with_reason(error.told, error)), None
    if not granted & set(NEEDED_SCOPES):
        return Check("token", question, "fail", Sentence("Nothing of what the tool needs is granted.")), granted
    return Check("token", question, "pass", Sentence("The tool is known there and was given a token.")), granted


def _first_launch(facts: _Facts) -> Check:
    if facts.first_launch is None:
        sentence = Sentence("None yet: open the tool once in a course, then its services can be checked.")
        return Check("launch", Sentence("First launch seen"), "waiting", sentence)
    return Check(
        "launch",
        Sentence("First launch seen"),
        "pass",
        Sentence("%(moment)s, from %(course)s.", moment=Moment(facts.first_launch), course=facts.first_course),
    )


def _deployment(facts: _Facts) -> Check:
    question = Sentence("Deployment approved")
    if pending := facts.deployments.get("pending", 0):
        waits = counted("%(num)s deployment waits for approval.", "%(num)s deployments wait for approval.", pending)
        return Check("deployment", question, "fail", waits)
    if active := facts.deployments.get("active", 0):
        may = counted("%(num)s deployment may launch.", "%(num)s deployments may launch.", active)
        return Check("deployment", question, "pass", may)
    if facts.deployments.get("disabled", 0):
        return Check("deployment", question, "fail", Sentence("Every deployment that is known is switched off."))
    return Check("deployment", question, "waiting", Sentence("Its deployment id is learned at the first launch."))


_LATER = Sentence("This can be checked after the first launch from a course.")
_NO_TOKEN = Sentence("Without a token this could not be checked.")


def _roster(service: Service, facts: _Facts, granted: frozenset[str] | None) -> Check:
    question = Sentence("Roster readable")
    if (early := _too_early(facts, granted)) is not None:
        return Check("roster", question, *early)
    assert facts.course is not None and granted is not None
    if facts.course.memberships_url is None or MEMBERSHIPS_READ not in granted:
        return Check("roster", question, "fail", Sentence("The LMS does not let the tool read who is in a course."))
    try:
        count, more = peek(service, facts.course.memberships_url)
    except ServiceError as error:
        return Check("roster", question, *_failed(error))
    where = _title(facts.course)
    if more:
        people = Sentence("More than %(count)s people in %(course)s.", count=count, course=where)
    else:
        people = counted("%(num)s person in %(course)s.", "%(num)s people in %(course)s.", count, course=where)
    return Check("roster", question, "pass", people)


def _columns_read(service: Service, facts: _Facts, granted: frozenset[str] | None) -> Check:
    question = Sentence("Gradebook columns readable")
    if (early := _too_early(facts, granted)) is not None:
        return Check("columns_read", question, *early)
    assert facts.course is not None and facts.course.line_items_url is not None and granted is not None
    if LINE_ITEM not in granted:
        return Check(
            "columns_read", question, "fail", Sentence("The LMS does not let the tool see its gradebook columns.")
        )
    try:
        count = len(list_line_items(service, facts.course.line_items_url))
    except ServiceError as error:
        return Check("columns_read", question, *_failed(error))
    return Check(
        "columns_read",
        question,
        "pass",
        Sentence("Readable in %(course)s: %(count)s of ours.", course=_title(facts.course), count=count),
    )


def _columns_write(facts: _Facts, granted: frozenset[str] | None) -> Check:
    """Judge by what the token allows and by the last publishing: a column made as a try would stay in a gradebook."""
    question = Sentence("Gradebook columns writable")
    if granted is None:
        return Check("columns_write", question, "unknown", _NO_TOKEN)
    missing = [scope_word(scope) for scope in (LINE_ITEM, SCORE) if scope not in granted]
    if missing:
        refused = Sentence(
            "The tool may not: %(permissions)s. Badges cannot be published until this is on.", permissions=missing
        )
        return Check("columns_write", question, "fail", refused)
    if facts.publish_problem:
        failed = Sentence("The last publishing failed: %(problem)s", problem=facts.publish_problem)
        return Check("columns_write", question, "fail", failed)
    if facts.columns_made and facts.column_made_at:
        made = counted(
            "%(num)s column made, the last one %(moment)s.",
            "%(num)s columns made, the last one %(moment)s.",
            facts.columns_made,
            moment=Moment(facts.column_made_at),
        )
        return Check("columns_write", question, "pass", made)
    return Check(
        "columns_write",
        question,
        "pass",
        Sentence("The token allows it. None was made as a try: it would stand in a teacher's gradebook."),
    )


def _scopes(granted: frozenset[str] | None) -> Check:
    question = Sentence("Every permission granted")
    if granted is None:
        return Check("scopes", question, "unknown", _NO_TOKEN)
    missing = [scope for scope in NEEDED_SCOPES if scope not in granted]
    if not missing:
        return Check("scopes", question, "pass", Sentence("All %(count)s that are needed.", count=len(NEEDED_SCOPES)))
    told = [
        Sentence("%(permission)s (%(scope)s)", permission=scope_word(scope), scope=scope.rpartition("/")[2])
        for scope in missing
    ]
    return Check("scopes", question, "fail", Sentence("Not granted: %(permissions)s.", permissions=told))


def _courses(facts: _Facts) -> Check:
    """Tell which courses were refused when they were last asked: one course may be, where the platform is well."""
    question = Sentence("Every course lets the tool in")
    shut_out = _named(facts, "access_refused", "scope_missing", "scores_not_allowed", "token_refused")
    if shut_out:
        return Check("course", question, "fail", Sentence("Refused at the last try: %(courses)s.", courses=shut_out))
    ended = facts.drifts.get("course_concluded", [])
    if ended:
        told = counted(
            "%(num)s course has ended, and is not asked any more.",
            "%(num)s courses have ended, and are not asked any more.",
            len(ended),
        )
        return Check("course", question, "pass", told)
    return Check("course", question, "pass", Sentence("None was refused at the last try."))


def _columns_kept(facts: _Facts) -> Check:
    """Tell where a teacher has changed columns: it is hers to mend, on her pages, so it is never red here."""
    question = Sentence("Gradebook columns as they were set up")
    told = [
        sentence
        for kind, sentence in (
            ("column_missing", Sentence("Deleted in %(courses)s.", courses=_named(facts, "column_missing"))),
            (
                "maximum_changed",
                Sentence("Given another maximum in %(courses)s.", courses=_named(facts, "maximum_changed")),
            ),
            ("unpublished", Sentence("Not published in %(courses)s.", courses=_named(facts, "unpublished"))),
        )
        if kind in facts.drifts
    ]
    if not told:
        return Check("columns_kept", question, "pass", Sentence("None was deleted or given another maximum."))
    waits = Sentence("Their instructors are told.")
    return Check("columns_kept", question, "waiting", Sentence("%(what)s %(waits)s", what=_together(told), waits=waits))


def _together(sentences: list[Sentence]) -> Sentence:
    first, *rest = sentences
    return Sentence("%(what)s %(waits)s", what=first, waits=_together(rest)) if rest else first


def _named(facts: _Facts, *kinds: str) -> list[str]:
    """Return the courses of these kinds, each once, and not more than a line can hold."""
    return list(dict.fromkeys(name for kind in kinds for name in facts.drifts.get(kind, ())))[:MOST_NAMED]


def _learner(facts: _Facts) -> Check:
    question = Sentence("Learner's first launch")
    if facts.learner:
        return Check("learner", question, "pass", Sentence("A learner has opened the tool."))
    return Check("learner", question, "waiting", Sentence("Not needed; shows that learners can get in too."))


def _too_early(facts: _Facts, granted: frozenset[str] | None) -> tuple[State, str] | None:
    if facts.course is None:
        return "waiting", _LATER
    return ("unknown", _NO_TOKEN) if granted is None else None


def _failed(error: ServiceError) -> tuple[State, str]:
    busy = isinstance(error, ServiceBusy)
    return ("unknown" if busy else "fail"), _with_reason(error.told, error)


def _with_reason(told: str, error: ServiceError) -> Sentence:
    return Sentence("%(problem)s (%(reason)s)", problem=told, reason=error.reason)


# -- keeping ----------------------------------------------------------------------------------------------------


def run_check(tool: Tool, subject: str, say: work.Say) -> dict[str, Any]:
    """Look at a platform and keep what was found; the work of a `check` job."""
    now = datetime.now(UTC)
    found = look(tool, int(subject), now)
    with tool.db.write() as session:
        row = session.get(RegistrationRow, int(subject))
        if row is not None:
            row.checks, row.checked_at = (
                [
                    {
                        **asdict(check),
                        "question": kept_sentence(check.question),
                        "sentence": kept_sentence(check.sentence),
                    }
                    for check in found
                ],
                now,
            )
        session.execute(
            delete(Job).where(Job.kind == "check", Job.subject == subject, Job.state.in_(("done", "failed")))
        )
    return {"fail": sum(check.state == "fail" for check in found), "checks": len(found)}


def kept(row: RegistrationRow) -> list[Check]:
    """Return the last look at a platform, or the lines as they stand before the first."""
    if row.state != "active":
        return [_switched_off(row.state)]
    lines = row.checks or ()
    known = all(isinstance(each, dict) and each.keys() == Check.__dataclass_fields__.keys() for each in lines)
    return (
        [Check(each["key"], read(each["question"]), each["state"], read(each["sentence"])) for each in lines]
        if known
        else []
    )  # another version wrote them: they come anew


def look_again(tool: Tool, platform_id: int, now: datetime, *, asked: bool = False) -> bool:
    """Make a look due where the last one is old, or at once where somebody asked; returns whether one is under way."""
    with tool.db.read() as session:
        row = session.get(RegistrationRow, platform_id)
        if row is None or row.state != "active":
            return False
        running = work.open_job(session, "check", str(platform_id)) is not None
        # A learner's first launch is not needed, and may be weeks away; and columns are mended by their instructors.
        well = row.checks and all(
            check.state == "pass" or check.key in ("learner", "columns_kept") for check in kept(row)
        )
        pause = AGAIN_AFTER_ALL_WELL if well else AGAIN_AFTER
        old = row.checked_at is None or now - row.checked_at >= pause
    if asked:
        platform_load.try_now(tool, platform_id, now)
    if running:
        return True
    if not old and not asked:
        return False
    work.start(tool, "check", str(platform_id))
    with tool.db.read() as session:
        return work.open_job(session, "check", str(platform_id)) is not None
