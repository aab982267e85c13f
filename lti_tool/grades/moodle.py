"""Moodle's own rubrics and course grades, read by its web services with a token.

What four calls say is joined: which assignments a course has, what their rubrics ask, what was chosen in them, and
whose grade each filled rubric belongs to. Ids are those of a launch: a course's is its context id, a person's her `sub`
(seen on Moodle 4.5.6). Every error comes as HTTP 200 with `exception`, `errorcode` and `message`; what each one means
for an administrator is said in Moodle's own words (lang/en/webservice.php of moodle/moodle)."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from lti_tool.domain.badge import number_text
from lti_tool.errors import NotConnected, ServiceBusy, ServiceError, SourceMissing
from lti_tool.grades.source import Answer, AskedCourse, OfferedRow, Place, raw_answer
from lti_tool.http import Http
from lti_tool.lti.ags import exact, whole
from lti_tool.sentence import Sentence

SERVER = "/webservice/rest/server.php"
SITE_INFO = "core_webservice_get_site_info"
ASSIGNMENTS = "mod_assign_get_assignments"
DEFINITIONS = "core_grading_get_definitions"
INSTANCES = "core_grading_get_gradingform_instances"
GRADES = "mod_assign_get_grades"
FLAGS = "mod_assign_get_user_flags"
GRADE_ITEMS = "gradereport_user_get_grade_items"
# What the service of the token must have; the other two are asked only where something depends on them.
NEEDED = (SITE_INFO, ASSIGNMENTS, DEFINITIONS, INSTANCES, GRADES)
FURTHER = (FLAGS, GRADE_ITEMS)
FUNCTIONS = NEEDED + FURTHER

TOTAL: Place = {"course_grade": "total"}
# A report on a class of some thousands with all its items; one entry is about 700 bytes.
LARGEST_REPORT = 64 * 1024 * 1024
SENTENCES = {
    "token": Sentence("Moodle does not know this token."),
    "expired": Sentence("The token for Moodle's web services has expired."),
    "address": Sentence("Moodle does not take this token from this tool's address."),
    "off": Sentence("Moodle's web services are switched off."),
    "rights": Sentence("The account behind the token may not see this course's grades in Moodle."),
    "elsewhere": Sentence("There is no Moodle at this address."),
}
NEW_TOKEN = Sentence(
    "Copy it whole. In Moodle an administrator makes another under Site administration → Server → Web services → "
    "Manage tokens → Create token; a teacher's own are under Preferences → Security keys."
)
CLICKS = {
    "token": NEW_TOKEN,
    "expired": NEW_TOKEN,
    "address": Sentence(
        "In Moodle: Site administration → Server → Web services → Manage tokens. Its “IP restriction” has to be empty, "
        "or to name this tool's address."
    ),
    "off": Sentence(
        "In Moodle: Site administration → Advanced features → Enable web services. Then Site administration → Server → "
        "Web services → Manage protocols: enable REST."
    ),
    "rights": Sentence(
        "In Moodle: enrol this account in the course as Teacher, under Participants → Enrol users; or give it a role "
        "in the whole site that may view and grade assignments (mod/assign:view, mod/assign:grade, "
        "moodle/grade:managegradingforms, moodle/grade:viewall)."
    ),
    "elsewhere": Sentence("It is the address of your Moodle's front page, for example https://moodle.example.edu."),
}
CODES = {
    "invalidtoken": "token",
    "invalidtimedtoken": "expired",
    "invalidiptoken": "address",
    "enablewsdescription": "off",
    "servicenotavailable": "off",
    "nopermissions": "rights",
    "errorcoursecontextnotvalid": "rights",
    "requireloginerror": "rights",
    "nopermissiontoviewgrades": "rights",
    "notingroup": "rights",
    "usernotfullysetup": "rights",
}
PASSING = ("sitemaintenance", "upgraderunning", "cannotobtainlock", "dmlreadexception", "dmlconnectionexception")
CODE = re.compile(r"([A-Za-z]{1,10}[-. ]?\d+(?:[-.]\d+)*)(?:\s*[:–—]\s*|\s+)(\S.*)", re.DOTALL)
TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Moodle:
    """A Moodle site as one token sees it. `address` is its front page's, without a slash at the end.

    `platform` is the registration on whose account it is called; `answered` as in `lti.service.Service`."""

    http: Http = field(repr=False)
    address: str
    token: str = field(repr=False)
    platform: int | None = None
    answered: Callable[[float, float], None] = field(default=lambda took, rest: None, repr=False)

    def call(self, function: str, *, max_bytes: int | None = None, **asked: Any) -> Any:
        """Call a function that only reads; lists are written as PHP reads them. Numbers come as int or Decimal.

        The token goes in the body: an address is in the logs of every server on the way. Raises NotConnected with
        what an administrator must click, or ServiceError."""
        form = {"wstoken": self.token, "wsfunction": function, "moodlewsrestformat": "json", **_flat(asked)}
        started = time.monotonic()
        try:
            response = self.http.request(
                "POST",
                self.address + SERVER,
                form=form,
                retry=True,
                allow=(403,),
                max_bytes=max_bytes,
                platform=self.platform,
            )
        except ServiceError as error:
            if error.reason == "redirect":
                raise _moved() from None
            raise
        self.answered(time.monotonic() - started, 0.0)
        if response.status == 403 and not response.body.strip():  # a proxy's own refusal has a page in it
            raise _refused("off", f"{function}: 403")
        if response.status == 403:
            raise ServiceError(f"{function}: 403", reason="status_403")
        try:
            answer = json.loads(response.body, parse_float=exact, parse_int=whole)
        except (ValueError, RecursionError):
            raise ServiceError(f"{function}: no JSON", reason="not_json") from None
        if isinstance(answer, dict) and "errorcode" in answer and "exception" in answer:
            raise _error(function, str(answer["errorcode"])[:80])
        return answer


@dataclass(frozen=True)
class Site:
    """What a token opens: whose it is, at which site, and which functions its service lacks."""

    name: str
    address: str
    release: str
    user_id: str
    user_name: str = field(repr=False)
    missing: tuple[str, ...]


def site(moodle: Moodle) -> Site:
    """Ask whose token it is and what it may call; raises as `Moodle.call`."""
    try:
        told = _mapping(moodle.call(SITE_INFO))
    except ServiceError as error:
        if error.reason in ("status_404", "not_json", "malformed"):
            raise _refused("elsewhere", error.detail) from None
        raise
    have = {str(each.get("name")) for each in _list(told.get("functions"))}
    return Site(
        name=str(told.get("sitename") or "Moodle")[:200],
        address=str(told.get("siteurl") or "").rstrip("/"),
        release=str(told.get("release") or "")[:60],
        user_id=str(told.get("userid") or ""),
        user_name=str(told.get("fullname") or told.get("username") or "")[:200],
        missing=tuple(name for name in FUNCTIONS if name not in have),
    )


# -- what can be matched ----------------------------------------------------------------------------------------


def offered(moodle: Moodle, course: AskedCourse) -> Sequence[OfferedRow]:
    """Return every row of every rubric of the course's assignments, and the course total."""
    assignments = _assignments(moodle, course)
    rows = []
    for assignment, rubric in _rubrics(moodle, assignments):
        for criterion in rubric.criteria:
            code, title = _code_and_title(criterion.text)
            rows.append(
                OfferedRow(
                    place={"assignment": assignment.id, "criterion": criterion.id},
                    code=code,
                    title=title,
                    maximum=number_text(criterion.maximum) if criterion.maximum is not None else "",
                    where=assignment.name,
                )
            )
    total = OfferedRow(place=TOTAL, code="", title=Sentence("Course total"), maximum="", where="", gate=True)
    return (*rows, total)


@dataclass(frozen=True)
class _Assignment:
    id: str
    module: str
    name: str
    workflow: bool
    anonymous: bool  # identities are still hidden, so nobody's grade has gone to the gradebook


@dataclass(frozen=True)
class _Criterion:
    id: str
    text: str
    levels: Mapping[str, tuple[Decimal, str]]  # points and words, by id

    @property
    def maximum(self) -> Decimal | None:
        return max((points for points, _ in self.levels.values()), default=None)


@dataclass(frozen=True)
class _Rubric:
    id: str
    criteria: tuple[_Criterion, ...]

    def criterion(self, id: str) -> _Criterion | None:
        return next((each for each in self.criteria if each.id == id), None)


def _assignments(moodle: Moodle, course: AskedCourse) -> list[_Assignment]:
    # A service account is often enrolled nowhere, and may see every course by a role in the whole site.
    told = _mapping(moodle.call(ASSIGNMENTS, courseids=[course.context_id], includenotenrolledcourses=1))
    found = [each for each in _list(told.get("courses")) if _id(each.get("id")) == course.context_id]
    if not found:
        raise _refused("rights", f"{ASSIGNMENTS}: no course")
    return [
        _Assignment(
            id=_id(each.get("id")),
            module=_id(each.get("cmid")),
            name=_plain(each.get("name")),
            workflow=_yes(each.get("markingworkflow")),
            anonymous=_yes(each.get("blindmarking")) and not _yes(each.get("revealidentities")),
        )
        for each in _list(found[0].get("assignments"))
    ]


def _rubrics(moodle: Moodle, assignments: Sequence[_Assignment]) -> list[tuple[_Assignment, _Rubric]]:
    """Return the rubrics of those assignments that have one. Raises NotConnected where one may not be seen."""
    if not assignments:
        return []
    by_module = {each.module: each for each in assignments}
    told = _mapping(moodle.call(DEFINITIONS, cmids=list(by_module), areaname="submissions", activeonly=1))
    if _warned(told):
        raise _refused("rights", f"{DEFINITIONS}: warned")
    found = []
    for area in _list(told.get("areas")):
        assignment = by_module.get(_id(area.get("cmid")))
        for definition in _list(area.get("definitions")):
            if assignment is not None and definition.get("method") == "rubric" and definition.get("rubric"):
                found.append((assignment, _rubric(definition)))
    return found


def _rubric(definition: Mapping[str, Any]) -> _Rubric:
    criteria = _list(_mapping(definition["rubric"]).get("rubric_criteria"))
    return _Rubric(
        id=_id(definition.get("id")),
        criteria=tuple(
            _Criterion(
                id=_id(each.get("id")),
                text=_plain(each.get("description")),
                levels={
                    _id(level.get("id")): (points, _plain(level.get("definition")))
                    for level in _list(each.get("levels"))
                    if (points := _number(level.get("score"))) is not None
                },
            )
            for each in criteria
        ),
    )


# -- what was answered ------------------------------------------------------------------------------------------


def read(moodle: Moodle, course: AskedCourse, places: Mapping[str, Place]) -> Mapping[str, Sequence[Answer]]:
    """Return the answers for matched rows and gates, by tag: all of them, or an error.

    Raises SourceMissing where a row's assignment or criterion is gone: its answers are then not known, which is not
    the same as none."""
    rows = {tag: place for tag, place in places.items() if "criterion" in place}
    gates = [tag for tag in places if tag not in rows]
    report = _report(moodle, course) if gates else None
    answers: dict[str, Sequence[Answer]] = {tag: _totals(report or ()) for tag in gates}
    if rows:
        answers.update(_read_rows(moodle, course, rows, report))
    return answers


def _read_rows(
    moodle: Moodle, course: AskedCourse, rows: Mapping[str, Place], report: Sequence[Mapping[str, Any]] | None
) -> dict[str, Sequence[Answer]]:
    wanted = {place["assignment"] for place in rows.values()}
    assignments = [each for each in _assignments(moodle, course) if each.id in wanted]
    rubrics = {assignment.id: (assignment, rubric) for assignment, rubric in _rubrics(moodle, assignments)}
    for tag, place in rows.items():
        assignment = rubrics.get(place["assignment"])
        if assignment is None or assignment[1].criterion(place["criterion"]) is None:
            raise SourceMissing(f"{tag} in assignment {place['assignment']}")
    owners = _owners(moodle, [each for each, _ in rubrics.values()])
    filled = {id: _filled(moodle, rubric, owners[id]) for id, (_, rubric) in rubrics.items()}
    marked = any(filled.values())
    states = _states(moodle, [each for each, _ in rubrics.values() if each.workflow]) if marked else {}
    # A teacher can hide one grade of one learner, so the report is asked for all of them; without that function in the
    # service what is hidden in the gradebook cannot be told.
    if marked and report is None:
        report = _report_if_allowed(moodle, course)
    hidden = _hidden(report or ())
    answers: dict[str, Sequence[Answer]] = {}
    for tag, place in rows.items():
        each, rubric = rubrics[place["assignment"]]
        criterion = rubric.criterion(place["criterion"])
        if criterion is None:
            raise SourceMissing(tag)
        answers[tag] = [
            Answer(user, _raw(criterion, instance, chosen, released=_released(each, user, states, hidden)))
            for user, instance in filled[each.id].items()
            if (chosen := _chosen(instance, criterion.id)) is not None
        ]
    return answers


def _owners(moodle: Moodle, assignments: Sequence[_Assignment]) -> dict[str, dict[str, str]]:
    """Return whose each grade is, by assignment and grade id; of several attempts only the latest has a say."""
    told = _mapping(moodle.call(GRADES, assignmentids=[each.id for each in assignments], since=0))
    if _warned(told):
        raise _refused("rights", f"{GRADES}: warned")
    owners: dict[str, dict[str, str]] = {each.id: {} for each in assignments}
    for each in _list(told.get("assignments")):
        latest: dict[str, tuple[int, str]] = {}
        for grade in _list(each.get("grades")):
            user, attempt = _id(grade.get("userid")), int(_number(grade.get("attemptnumber")) or 0)
            if user not in latest or attempt >= latest[user][0]:
                latest[user] = attempt, _id(grade.get("id"))
        owners.setdefault(_id(each.get("assignmentid")), {}).update({id: user for user, (_, id) in latest.items()})
    return owners


def _filled(moodle: Moodle, rubric: _Rubric, owners: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Return each learner's filled rubric: `instances.itemid` is the id of her grade.

    Moodle gives only those in force, and none that waits to be marked again after the rubric was changed."""
    if not owners:
        return {}
    told = _mapping(moodle.call(INSTANCES, definitionid=rubric.id, since=0))
    found: dict[str, Mapping[str, Any]] = {}
    for instance in sorted(_list(told.get("instances")), key=lambda each: _age(each)):
        user = owners.get(_id(instance.get("itemid")))
        if user is not None and _number(instance.get("status")) == 1:
            found[user] = instance
    return found


def _age(instance: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    return _number(instance.get("timemodified")) or Decimal(0), _number(instance.get("id")) or Decimal(0)


def _chosen(instance: Mapping[str, Any], criterion: str) -> Mapping[str, Any] | None:
    """Return what was filled in in a row; None where nothing was: not marked, which is not zero."""
    rows = _list(_mapping(instance.get("rubric") or {}).get("criteria"))
    return next((each for each in rows if _id(each.get("criterionid")) == criterion), None)


def _raw(criterion: _Criterion, instance: Mapping[str, Any], chosen: Mapping[str, Any], *, released: bool) -> str:
    points, level = criterion.levels.get(_id(chosen.get("levelid")), (None, ""))
    return raw_answer(
        points,
        criterion.maximum if points is not None else None,
        comment=_plain(chosen.get("remark")),
        level=level,
        graded_by=_id(instance.get("raterid")),
        graded_at=_moment(instance.get("timemodified")),
        released=released,
    )


# -- whether a learner may see it -------------------------------------------------------------------------------


def _released(
    assignment: _Assignment, user: str, states: Mapping[tuple[str, str], str], hidden: frozenset[tuple[str, str]]
) -> bool:
    """Tell whether nothing says that the learner cannot see her grade yet."""
    if assignment.anonymous:
        return False
    if assignment.workflow and states.get((assignment.id, user)) != "released":
        return False
    return (assignment.module, user) not in hidden


def _states(moodle: Moodle, assignments: Sequence[_Assignment]) -> dict[tuple[str, str], str]:
    """Return how far each learner's grade is in the marking workflow; whom Moodle does not name has not been marked."""
    if not assignments:
        return {}
    told = _mapping(moodle.call(FLAGS, assignmentids=[each.id for each in assignments]))
    if _warned(told):
        raise _refused("rights", f"{FLAGS}: warned")
    return {
        (_id(each.get("assignmentid")), _id(flags.get("userid"))): str(flags.get("workflowstate") or "")
        for each in _list(told.get("assignments"))
        for flags in _list(each.get("userflags"))
    }


def _report_if_allowed(moodle: Moodle, course: AskedCourse) -> Sequence[Mapping[str, Any]]:
    try:
        return _report(moodle, course)
    except NotConnected as error:
        if error.reason in ("moodle_function", "moodle_rights"):
            return ()
        raise


def _hidden(report: Iterable[Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    """Return which learners cannot see the grade of which activity, as (module, user)."""
    return frozenset(
        (_id(item.get("cmid")), _id(learner.get("userid")))
        for learner in report
        for item in _list(learner.get("gradeitems"))
        if item.get("cmid") is not None and _out_of_sight(item)
    )


def _out_of_sight(item: Mapping[str, Any]) -> bool:
    return _yes(item.get("gradeishidden")) or _yes(item.get("gradehiddenbydate"))


# -- the course grade -------------------------------------------------------------------------------------------


def _report(moodle: Moodle, course: AskedCourse) -> Sequence[Mapping[str, Any]]:
    """Return the user report of the whole class, one request for all."""
    told = _mapping(moodle.call(GRADE_ITEMS, courseid=course.context_id, max_bytes=LARGEST_REPORT))
    return _list(told.get("usergrades"))


def _totals(report: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Return everybody's course total, counted from the least that is possible, as Moodle's per cent are."""
    answers = []
    for learner in report:
        items = _list(learner.get("gradeitems"))
        item = next((each for each in items if each.get("itemtype") == "course"), None)
        if item is None:
            continue
        score, least, most = (_number(item.get(name)) for name in ("graderaw", "grademin", "grademax"))
        if score is None or most is None:
            continue  # nothing of hers is graded
        least = least or Decimal(0)
        raw = raw_answer(
            score - least if least else score,
            most - least if least else most,
            graded_at=_moment(item.get("gradedategraded")),
            released=not _out_of_sight(item),
        )
        answers.append(Answer(_id(learner.get("userid")), raw))
    return answers


# -- what Moodle writes -----------------------------------------------------------------------------------------


def _flat(asked: Mapping[str, Any]) -> dict[str, str]:
    """Write lists as PHP reads them from a form: courseids[0]=2."""
    form = {}
    for name, value in asked.items():
        if isinstance(value, list):
            form.update({f"{name}[{place}]": str(each) for place, each in enumerate(value)})
        else:
            form[name] = str(value)
    return form


def _number(value: Any) -> Decimal | None:
    """Read a number: Moodle writes some as JSON numbers, others as text ("75.00000")."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _id(value: Any) -> str:
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def _yes(value: Any) -> bool:
    return value in (True, 1, "1")


def _moment(value: Any) -> str:
    seconds = _number(value)
    if not seconds or not 0 < seconds < Decimal("1e11"):
        return ""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _plain(value: Any) -> str:
    """Return a text of Moodle's without its markup: descriptions and remarks are HTML."""
    text = str(value) if isinstance(value, str) else ""
    return " ".join(html.unescape(TAG.sub(" ", text)).split())


def _code_and_title(text: str) -> tuple[str, str]:
    """Take a code off the front of a description, which is all the name a Moodle criterion has: "OC-1 Adapts …"."""
    match = CODE.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ServiceError("Moodle's answer is no object", reason="malformed")
    return value


def _list(value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ServiceError("Moodle's answer has no list where one belongs", reason="malformed")
    return value


def _warned(told: Mapping[str, Any]) -> bool:
    """Tell whether Moodle left something out for lack of rights (3 only says that there is nothing yet)."""
    return any(_id(each.get("warningcode")) == "1" for each in _list(told.get("warnings")))


# -- what is wrong ----------------------------------------------------------------------------------------------


def _refused(what: str, detail: str) -> NotConnected:
    return NotConnected(detail, reason=f"moodle_{what}", sentence=SENTENCES[what], what_to_do=CLICKS[what])


def _moved() -> NotConnected:
    return NotConnected(
        "redirect",
        reason="moodle_moved",
        sentence=Sentence("This address leads on to another one."),
        what_to_do=Sentence(
            "Enter the address that your browser shows once Moodle's front page is open: with https, and with or "
            "without www as it stands there."
        ),
    )


def _error(function: str, code: str) -> ServiceError:
    """Return what an errorcode means. Moodle says `accessexception` for many things, so all of them are named."""
    if code in PASSING:
        return ServiceBusy(f"{function}: {code}")
    if code in CODES:
        return _refused(CODES[code], f"{function}: {code}")
    if code == "accessexception":
        return NotConnected(
            f"{function}: {code}",
            reason="moodle_function",
            sentence=Sentence("Moodle does not let this token call “%(function)s”.", function=function),
            what_to_do=Sentence(
                "In Moodle: Site administration → Server → Web services → External services → Functions of the token's "
                "service → Add functions. The service has to be enabled; where it is for “Authorised users only”, the "
                "token's user has to be one of them, and needs the capability “webservice/rest:use”."
            ),
        )
    return NotConnected(
        f"{function}: {code}",
        reason="moodle_error",
        sentence=Sentence("Moodle refused “%(function)s” with “%(code)s”.", function=function, code=code),
        what_to_do=Sentence("Moodle's own error log says more."),
    )
