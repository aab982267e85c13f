"""Canvas' own rubrics and course grades, read over its REST interface with somebody's OAuth token.

AGS tells no rubric row in either direction, so this takes a second key, an API developer key, and a person who
consents: https://developerdocs.instructure.com/services/canvas/oauth2/file.oauth. Where a statement about Canvas has
`file.rb` behind it, that is where it was read in Canvas' source."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode, urljoin

from lti_tool.errors import AddressRefused, NotConnected, PagingLoop, ServiceError, SourceMissing
from lti_tool.grades.source import Answer, AskedCourse, OfferedRow, Place, raw_answer
from lti_tool.http import Http, Response, same_origin
from lti_tool.lti.ags import exact, whole
from lti_tool.lti.platforms import platform_of
from lti_tool.sentence import Sentence

PER_PAGE = 100
MOST_PAGES = 1_000
# What the key must allow where it enforces scopes: all read, nothing writes.
SCOPES = (
    "url:GET|/api/v1/courses/:course_id/assignments",
    "url:GET|/api/v1/courses/:course_id/assignments/:assignment_id/submissions",
    "url:GET|/api/v1/courses/:course_id/enrollments",
)
# The course grade as its learner sees it: `current` leaves out what is not graded, `final` counts that as 0
# (enrollment grades in api/v1/user.rb; both leave out what is not posted, `unposted_*` are others).
COURSE_GRADES = {
    "final_score": Sentence("Course grade, with everything not graded yet counted as 0 (final score)"),
    "current_score": Sentence("Course grade of what is graded so far (current score)"),
}


# -- consent and tokens -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """What the token endpoint gave. `user_id` is Canvas' number of whoever consented, "" after a refresh."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    seconds: int
    user_id: str = ""
    user_name: str = field(default="", repr=False)


def consent_address(address: str, client_id: str, redirect_uri: str, state: str) -> str:
    """Return the page of Canvas where a person lets the tool read. Canvas refuses to show it in a frame."""
    query = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "state": state,
        "scope": " ".join(SCOPES),
    }
    return f"{address}/login/oauth2/auth?{urlencode(query, quote_via=quote)}"


def redeem(
    http: Http,
    address: str,
    client_id: str,
    secret: str,
    code: str,
    redirect_uri: str,
    *,
    platform: int | None = None,
) -> Token:
    """Turn the code that came back into tokens; `platform` as in `Http.request`.

    `replace_tokens` is not asked for: it would take away the token of the same teacher's other courses."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return _token(http, address, {**form, "client_id": client_id, "client_secret": secret}, platform)


def renew(http: Http, address: str, client_id: str, secret: str, refresh: str, *, platform: int | None = None) -> Token:
    """Get a new access token. Canvas names no new refresh token then: the old one stays."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    token = _token(http, address, {**form, "client_id": client_id, "client_secret": secret}, platform)
    return Token(token.access, token.refresh or refresh, token.seconds)


def _token(http: Http, address: str, form: Mapping[str, str], platform: int | None) -> Token:
    url = f"{address}/login/oauth2/token"
    response = http.request("POST", url, form=form, allow=(400, 401, 403), platform=platform)
    if response.status in (400, 401, 403):
        raise _token_refused(response)
    answer = response.json()
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise ServiceError("the token endpoint named no token", reason="malformed")
    seconds, user = answer.get("expires_in"), answer.get("user")
    user = user if isinstance(user, dict) else {}
    return Token(
        access=answer["access_token"],
        refresh=str(answer.get("refresh_token") or ""),
        seconds=seconds if isinstance(seconds, int) and seconds > 0 else 3600,
        user_id=str(user.get("id") or ""),
        user_name=str(user.get("name") or ""),
    )


def _token_refused(response: Response) -> NotConnected:
    try:
        answer = response.json()
    except ServiceError:
        answer = {}
    error = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    if error == "invalid_client":
        return NotConnected(
            f"the token endpoint answered {response.status} {error}",
            reason="key_refused",
            sentence=Sentence("Canvas does not accept the tool's API key."),
            what_to_do=Sentence(
                "An administrator compares client id and secret with the API key in Canvas, under Developer Keys, and "
                "looks whether its state is On."
            ),
        )
    return NotConnected(
        f"the token endpoint answered {response.status} {error[:40]}", reason="consent_ended", **CONNECT_AGAIN
    )


CONNECT_AGAIN: dict[str, Any] = {
    "sentence": Sentence("Canvas no longer accepts the access that was given to the tool."),
    "what_to_do": Sentence(
        "Whoever gave it may have left the course, or taken it back in Canvas. Connect again under “Sources”."
    ),
}


# -- calling ----------------------------------------------------------------------------------------------------


@dataclass
class Caller:
    """Calls Canvas as whoever consented. `token` gives an access token; told of one that was refused, another one.

    `platform` is the registration on whose account it calls; `answered` as in `lti.service.Service`."""

    http: Http
    address: str
    token: Callable[[str | None], str]
    after_page: Callable[[], None] = lambda: None
    platform: int | None = None
    answered: Callable[[float, float], None] = lambda took, rest: None
    _read: dict[str, Any] = field(default_factory=dict, repr=False)  # what one sync has read already

    def call(self, url: str) -> Response:
        """GET an address with a token that is renewed once where Canvas calls it expired.

        Raises NotConnected for what a person has to put right, SourceMissing for 404."""
        refused: str | None = None
        for _ in range(2):
            token = self.token(refused)
            started = time.monotonic()
            sent = {"Authorization": f"Bearer {token}"}
            response = self.http.get(url, headers=sent, allow=(401, 403, 404), platform=self.platform)
            rest = platform_of("canvas").rest(response)
            self.answered(time.monotonic() - started, rest)
            self.http.rest(rest)
            # 401 with this header: the token itself. Without: its person may not, or the key lacks a scope
            # (authentication_methods.rb, render_json_unauthorized).
            if response.status != 401 or "WWW-Authenticate" not in response.headers:
                break
            refused = token
        if response.status == 200:
            return response
        raise _refusal(response)

    def pages(self, url: str) -> Iterator[Any]:
        """Yield the JSON of every page; an error on any is raised, since part of a class is no class."""
        seen: set[str] = set()
        next_url: str | None = url
        while next_url is not None:
            if next_url in seen or len(seen) >= MOST_PAGES:
                raise PagingLoop(f"page {len(seen) + 1} was there before, or is one too many")
            seen.add(next_url)
            response = self.call(next_url)
            self.after_page()
            yield _json(response)
            target = platform_of("canvas").next_page(response.headers.get("Link", ""))
            next_url = urljoin(next_url, target) if target else None
            if next_url is not None and not same_origin(url, next_url):
                raise AddressRefused("the next page is on another host or scheme", reason="next_page_elsewhere")

    def rows(self, course: AskedCourse, path: str, **query: Any) -> list[dict[str, Any]]:
        """Read a whole list below a course; read once, it is not asked for again."""
        # Canvas finds a course by the context id of launches (api.rb, SIS_MAPPINGS): no number has to be known.
        url = f"{self.address}/api/v1/courses/lti_context_id:{quote(course.context_id, safe='')}/{path}"
        url += "?" + urlencode({**query, "per_page": PER_PAGE}, doseq=True)
        if url not in self._read:
            rows: list[dict[str, Any]] = []
            for page in self.pages(url):
                if not isinstance(page, list):
                    raise ServiceError(f"{path} is not a list", reason="malformed")
                rows += [row for row in page if isinstance(row, dict)]
            self._read[url] = rows
        found: list[dict[str, Any]] = self._read[url]
        return found


def _json(response: Response) -> Any:
    """Read JSON with its numbers as they were written: 2.7 is 27/10, and no float."""
    try:
        return json.loads(response.body, parse_float=exact, parse_int=whole)
    except (ValueError, RecursionError):
        raise ServiceError(f"answered {response.status} without JSON", reason="not_json") from None


def _refusal(response: Response) -> ServiceError:
    text = response.body[:2000].decode("utf-8", "replace").casefold()
    if response.status == 404:
        return SourceMissing(
            "Canvas answered 404",
            sentence=Sentence("An assignment that a row is read from is no longer in Canvas."),
            what_to_do=Sentence("Match the row again under “Sources”."),
        )
    if response.status == 401 and "scope" in text:
        return NotConnected(
            "the token lacks a scope",
            reason="scope_missing",
            sentence=Sentence("The tool's API key in Canvas does not allow all that has to be read."),
            what_to_do=Sentence(
                "An administrator adds the scopes listed on the platform's page of this tool to the API key in Canvas, "
                "under Developer Keys. Then connect again under “Sources”."
            ),
        )
    if "WWW-Authenticate" in response.headers:
        return NotConnected("a new token was refused too", reason="consent_ended", **CONNECT_AGAIN)
    return NotConnected(
        f"Canvas answered {response.status}",
        reason="not_permitted_there",
        sentence=Sentence("The person whose access the tool uses may not see the grades of this course in Canvas."),
        what_to_do=Sentence("A teacher of this course connects it under “Sources”."),
    )


# -- what there is ----------------------------------------------------------------------------------------------


def offered(caller: Caller, course: AskedCourse) -> Sequence[OfferedRow]:
    """Return every rubric row of the course's assignments, and its course grade, to be matched.

    `vendor_guid` is there where a row was made from an outcome: the code an institution gave it (assignment.rb)."""
    found: list[OfferedRow] = []
    for assignment in caller.rows(course, "assignments"):
        for criterion in _criteria(assignment):
            maximum = _points(criterion.get("points"))
            if maximum is None or maximum <= 0:
                continue  # nothing can be reached in it
            found.append(
                OfferedRow(
                    place={"assignment": str(assignment.get("id")), "criterion": str(criterion.get("id"))},
                    code=str(criterion.get("vendor_guid") or ""),
                    title=_words(criterion.get("description")),
                    maximum=str(maximum),
                    where=_words(assignment.get("name")),
                )
            )
    found += [
        OfferedRow(place={"course_grade": name}, code="", title=title, maximum="100", where="", gate=True)
        for name, title in COURSE_GRADES.items()
    ]
    return found


def read(caller: Caller, course: AskedCourse, places: Mapping[str, Place]) -> Mapping[str, Sequence[Answer]]:
    """Read the answers for these places, by tag. Raises NotConnected, SourceMissing, or as `Http.request`."""
    people = subs_by_number(course)
    return {
        tag: _course_grades(caller, course, people, place["course_grade"])
        if "course_grade" in place
        else _criterion(caller, course, people, place["assignment"], place["criterion"])
        for tag, place in places.items()
    }


def subs_by_number(course: AskedCourse) -> dict[str, str]:
    """Return who is who: Canvas' number of each person in the roster → her `sub`.

    REST lists name people by number and never by `sub`; the roster, read for a resource link, fills in the tool's
    custom parameters for each member, `$Canvas.user.id` among them (Canvas.roster_link). Raises NotConnected."""
    found = dict(course.numbers)
    if not any(number.isdigit() for number in found):
        raise NotConnected(
            "the roster tells no numbers",
            reason="numbers_missing",
            sentence=Sentence("Canvas does not tell the tool which account belongs to which learner."),
            what_to_do=Sentence(
                "An administrator adds the custom field canvas_user_id=$Canvas.user.id to the tool's LTI key in "
                "Canvas, under Developer Keys, and sees that the tool may read the course's list of people."
            ),
        )
    return found


def _criterion(
    caller: Caller, course: AskedCourse, people: Mapping[str, str], assignment_id: str, criterion_id: str
) -> Sequence[Answer]:
    assignment = next((a for a in caller.rows(course, "assignments") if str(a.get("id")) == assignment_id), None)
    criteria = _criteria(assignment or {})
    criterion = next((c for c in criteria if str(c.get("id")) == criterion_id), None)
    if assignment is None or criterion is None:
        raise SourceMissing(
            f"assignment {assignment_id} has no criterion {criterion_id}",
            sentence=Sentence("A rubric row that grades are read from is no longer in Canvas."),
            what_to_do=Sentence("Match the row again under “Sources”."),
        )
    # `visibility` is asked for only to see that anything asked for arrives, see below.
    submissions = caller.rows(
        course,
        f"assignments/{quote(assignment_id, safe='')}/submissions",
        **{"include[]": ["rubric_assessment", "visibility"]},
    )
    if _includes_are_dropped(submissions):
        raise NotConnected(
            "include[] is dropped",
            reason="include_dropped",
            sentence=Sentence("Canvas leaves out the rubric: its API key for the tool does not allow it."),
            what_to_do=Sentence(
                "An administrator opens the API key in Canvas, under Developer Keys, and switches on “Allow Include "
                "Parameters”. Nobody has to connect again."
            ),
        )
    answers = []
    for submission in submissions:
        sub = people.get(str(submission.get("user_id")))
        if sub is None:
            continue  # not in the roster (any more); what she had stays as it was, with her awards
        raw = _answer(submission, criterion, people)
        if raw is not None:
            answers.append(Answer(sub, raw))
    return answers


def _answer(submission: Mapping[str, Any], criterion: Mapping[str, Any], people: Mapping[str, str]) -> str | None:
    """Return one learner's answer for one row; None where nobody has marked it.

    Excused is not graded. A rubric that hides its points may tell the rating alone; one with free comments, neither."""
    marked = submission.get("rubric_assessment")
    marked = marked.get(str(criterion.get("id"))) if isinstance(marked, dict) else None
    if not isinstance(marked, dict) or submission.get("excused") is True:
        return None
    ratings = [rating for rating in criterion.get("ratings") or [] if isinstance(rating, dict)]
    chosen = next((r for r in ratings if marked.get("rating_id") and r.get("id") == marked["rating_id"]), {})
    points = _points(marked.get("points"))
    if points is None:
        points = _points(chosen.get("points"))
    if points is None:
        return None
    return raw_answer(
        points,
        _points(criterion.get("points")),
        comment=_words(marked.get("comments")),
        level=_words(chosen.get("description")),
        graded_by=people.get(str(submission.get("grader_id")), ""),
        graded_at=str(submission.get("graded_at") or ""),
        released=submission.get("posted_at", "") is not None,  # before post policies (2019) it was not told at all
    )


def _includes_are_dropped(submissions: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether Canvas ignores what was asked to be included, as it does for a key with scopes and without "Allow
    Include Parameters" (authentication_methods.rb): silently, so that every rubric looks as if nobody had marked it.

    Told from a class that was graded without the rubric by `visibility`, which every submission answers."""
    graded = any(s.get("score") is not None for s in submissions)
    return graded and not any("rubric_assessment" in s or "assignment_visible" in s for s in submissions)


def _course_grades(caller: Caller, course: AskedCourse, people: Mapping[str, str], which: str) -> Sequence[Answer]:
    if which not in COURSE_GRADES:
        raise SourceMissing(f"no course grade {which[:40]}")
    rows = caller.rows(course, "enrollments", **{"type[]": "StudentEnrollment", "state[]": "active"})
    answers: dict[str, Answer] = {}
    for row in rows:
        sub = people.get(str(row.get("user_id")))
        grades = row.get("grades")
        if sub is None or not isinstance(grades, dict):
            continue
        if which not in grades:
            raise NotConnected(
                "enrolments without grades",
                reason="not_permitted_there",
                sentence=Sentence("The person whose access the tool uses may not see the course grades in Canvas."),
                what_to_do=Sentence("A teacher of this course who may see them connects it under “Sources”."),
            )
        score = _points(grades[which])
        # One enrolment a section, and all with the same course grade; the first that has one counts.
        if score is not None and sub not in answers:
            answers[sub] = Answer(sub, raw_answer(score, 100))
    return list(answers.values())


def _criteria(assignment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rubric = assignment.get("rubric")
    return [row for row in rubric if isinstance(row, dict)] if isinstance(rubric, list) else []


def _points(value: Any) -> Decimal | int | None:
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _words(value: Any) -> str:
    return " ".join(str(value or "").split())[:500]
