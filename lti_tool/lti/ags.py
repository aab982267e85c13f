"""Assignment and Grade Services: gradebook columns, the results in them, and scores into them.

AGS 2.0: https://www.imsglobal.org/spec/lti-ags/v2p0"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from lti_tool.errors import ColumnMissing, ServiceError
from lti_tool.lti.claims import can_be_kept, is_storable, text
from lti_tool.lti.service import Service, with_path, with_query

log = logging.getLogger(__name__)

# https://www.imsglobal.org/spec/lti-ags/v2p0#scope-and-allowed-http-methods
LINE_ITEM = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
LINE_ITEM_READ = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
RESULT_READ = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"

# Moodle 4.5.6 answers 400 to application/json in their place (seen).
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"

# Of a number, written out. A float has 17 digits, and Python takes no whole number of more than 4,300.
MOST_DIGITS = 300

# Moodle 4.5.6 breaks off with a 502 for a longer one (seen): its column holds 255.
LONGEST_LABEL = 255

_SPACE = re.compile(r"[ \t\r\n]*")
_NO_SPACE = ("{", ",", "]")

Points = Fraction | Decimal | int


@dataclass(frozen=True)
class LineItem:
    """A gradebook column. `url` is its id, with any query it came with."""

    url: str
    label: str
    maximum: Decimal
    resource_id: str | None
    tag: str | None
    resource_link_id: str | None


@dataclass(frozen=True)
class RawResult:
    """One result: `raw` is its text exactly as received, `values` the same parsed, every number a Decimal."""

    user_id: str
    raw: str
    values: Mapping[str, Any]


def list_line_items(
    service: Service,
    line_items_url: str,
    *,
    tag: str | None = None,
    resource_id: str | None = None,
    resource_link_id: str | None = None,
) -> tuple[LineItem, ...]:
    """Return the columns the tool can see: on Canvas and Moodle alike, only those it made or that belong to its links.

    The filters are sent and applied again here, since a platform may not know them. Raises as `Service.call`."""
    url = with_query(
        line_items_url,
        tag=tag,
        resource_id=resource_id,
        resource_link_id=resource_link_id,
        limit=service.platform.page_limit("line_items"),
    )
    items = [
        _line_item(values)
        for page in service.pages(url, scopes=(LINE_ITEM, LINE_ITEM_READ), accept=LINE_ITEMS_TYPE)
        for _, values in _elements(page.body)
    ]
    return tuple(
        item
        for item in items
        if tag in (None, item.tag)
        and resource_id in (None, item.resource_id)
        and resource_link_id in (None, item.resource_link_id)
    )


def create_line_item(
    service: Service,
    line_items_url: str,
    *,
    label: str,
    maximum: Points,
    resource_id: str,
    tag: str,
    resource_link_id: str | None = None,
) -> LineItem:
    """Make a gradebook column. Not idempotent on any LMS: look with `list_line_items` first (AGS 2.0, 3.2.15)."""
    document: dict[str, Any] = {
        "label": label[:LONGEST_LABEL],
        "scoreMaximum": json_number(maximum),
        "resourceId": resource_id,
        "tag": tag,
        **({"resourceLinkId": resource_link_id} if resource_link_id is not None else {}),
        **service.platform.line_item_members(),
    }
    response = service.call(
        "POST",
        line_items_url,
        scopes=(LINE_ITEM,),
        accept=LINE_ITEM_TYPE,
        content_type=LINE_ITEM_TYPE,
        body=json.dumps(document),
    )
    return _line_item(_decoded(response.body.decode("utf-8", "replace"), 0)[0])


def results(service: Service, line_item_url: str, *, user_id: str | None = None) -> tuple[RawResult, ...]:
    """Read all results of a column, or one person's: every page or none (F16).

    Somebody who is not in the answer was never graded. Raises ColumnMissing for a deleted column, CourseConcluded, and
    as `Service.call`; ServiceError, reason `malformed`, for an answer that is not a list of results."""
    url = with_query(with_path(line_item_url, "results"), user_id=user_id, limit=service.platform.page_limit("results"))
    with _column_may_be_gone():
        pages = list(service.pages(url, scopes=(RESULT_READ,), accept=RESULTS_TYPE))
    return tuple(RawResult(_user(values), raw, values) for page in pages for raw, values in _elements(page.body))


def result_answers(service: Service, line_item_url: str) -> Iterator[bytes]:
    """Yield a column's results page by page as they came: of a large class not all at once.

    Only who has taken every page may use any, see `results_in`. Raises as `results`."""
    url = with_query(with_path(line_item_url, "results"), limit=service.platform.page_limit("results"))
    pages = service.pages(url, scopes=(RESULT_READ,), accept=RESULTS_TYPE)
    while True:
        with _column_may_be_gone():
            page = next(pages, None)
        if page is None:
            return
        yield page.body


def results_in(body: bytes) -> list[tuple[str, str]]:
    """Return (user id, text as received) of each result on one page. Raises ServiceError, reason `malformed`.

    One of a user id that cannot be stored is set aside: nobody can have launched with it (B28)."""
    results = [(_user(values), raw) for raw, values in _elements(body, _NAMES_ONLY)]
    kept = [(user, raw) for user, raw in results if can_be_kept(user)]
    if len(kept) < len(results):
        log.warning("results set aside, as their user ids cannot be stored: %s", len(results) - len(kept))
    return kept


def _user(values: Mapping[str, Any]) -> str:
    user = values.get("userId")
    if isinstance(user, Decimal):
        return str(user)
    if not isinstance(user, str) or not user:
        _malformed("a result names no userId")
    return user


def post_score(
    service: Service,
    line_item_url: str,
    *,
    user_id: str,
    points: Points,
    maximum: Points,
    timestamp: datetime,
    comment: str | None = None,
    replace: bool = True,
) -> None:
    """Put a score into a column: Completed and FullyGraded, since anything else erases a grade on Canvas and Moodle.

    Without `replace` a teacher's own grade stays, on a platform that can be told so: read back what stands there.
    `timestamp` comes from `service.platform.score_time(now, last)`. Never sent twice by itself. Raises ScoreRefused for
    good (its `reason`: `not_a_student`, `unpublished`, `earlier_timestamp`, `no_attempts_left`, `grade_locked` or
    `score_refused_<status>`), ColumnMissing, CourseConcluded, and as `Service.call`."""
    document: dict[str, Any] = {
        "userId": user_id,
        "timestamp": zoned(timestamp),
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "scoreGiven": json_number(points),
        "scoreMaximum": json_number(maximum),
        **({"comment": comment} if comment else {}),
        **service.platform.score_members(replace=replace),
    }
    with _column_may_be_gone():
        response = service.call(
            "POST",
            with_path(line_item_url, "scores"),
            scopes=(SCORE,),
            accept="*/*",
            content_type=SCORE_TYPE,
            body=json.dumps(document),
            allow=(400, 403, 409, 412, 422, 500),
        )
    if response.status >= 400:
        raise service.platform.score_refusal(response) or ServiceError(
            f"a score was answered with {response.status}", reason=f"status_{response.status}"
        )


@contextlib.contextmanager
def _column_may_be_gone() -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        if error.reason != "status_404":
            raise
        raise ColumnMissing(error.detail) from error


def zoned(moment: datetime) -> str:
    """Write a time as AGS 2.0 asks of a score's: with a zone and parts of a second."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line_item(values: Any) -> LineItem:
    url = values.get("id") if isinstance(values, dict) else None
    if not isinstance(url, str) or not url or not is_storable(url):
        _malformed("a line item has no id")
    maximum = values.get("scoreMaximum")
    return LineItem(
        url=url,
        label=text(str(values.get("label") or "")) or "",
        maximum=maximum if isinstance(maximum, Decimal) and maximum.is_finite() else Decimal(0),
        resource_id=_text(values.get("resourceId")),
        tag=_text(values.get("tag")),
        resource_link_id=_text(values.get("resourceLinkId")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None  # Moodle: "" where there is none


def _elements(body: bytes, decoder: json.JSONDecoder | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Split a JSON list into (text as received, parsed) pairs.

    Parsing and writing again would keep neither 0.70 nor the order of members, and an appeal may ask for both."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        _malformed("the answer is not UTF-8")
    elements: list[tuple[str, dict[str, Any]]] = []
    position = _after_space(text, 0)
    if text[position : position + 1] != "[":
        _malformed("the answer is not a list")
    position = _after_space(text, position + 1)
    while text[position : position + 1] != "]":
        value, end = _decoded(text, position, decoder)
        if not isinstance(value, dict):
            _malformed("an entry is not an object")
        elements.append((text[position:end], value))
        position = _after_space(text, end)
        if text[position : position + 1] == ",":
            position = position + 1 if text[position + 1 : position + 2] == "{" else _after_space(text, position + 1)
            if text[position : position + 1] == "]":
                _malformed("the list ends with a comma")
        elif text[position : position + 1] != "]":
            _malformed("the list breaks off")
    if _after_space(text, position + 1) != len(text):
        _malformed("something follows the list")
    return elements


def _decoded(text: str, position: int, decoder: json.JSONDecoder | None = None) -> tuple[Any, int]:
    try:
        return (decoder or _DECODER).raw_decode(text, position)
    except (ValueError, RecursionError, ArithmeticError):
        _malformed("the answer is not JSON")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def exact(text: str) -> Decimal:
    """Read a number of an answer as it is written; one beyond all measure as infinite, which is nobody's score.

    For `json`'s parse_int and parse_float: one learner's number keeps nobody else's answer from being read."""
    try:
        number = Decimal(text)
    except ArithmeticError:  # 1e99999999999999999999
        return Decimal("Infinity")
    return number if len(text) <= MOST_DIGITS and abs(number.adjusted()) <= MOST_DIGITS else Decimal("Infinity")


def whole(text: str) -> int | Decimal:
    """Do as `exact` for a whole number, which may be an id, and stays an int."""
    return int(text) if len(text) <= MOST_DIGITS else Decimal("Infinity")


_DECODER = json.JSONDecoder(parse_float=exact, parse_int=exact, parse_constant=_no_constant)
# Where the text is kept and only the user is read: whole numbers stay as they are written, fractions are not looked at.
_NAMES_ONLY = json.JSONDecoder(parse_int=str, parse_constant=_no_constant)


def _after_space(text: str, position: int) -> int:
    if text[position : position + 1] in _NO_SPACE:
        return position
    match = _SPACE.match(text, position)
    return match.end() if match else position


def json_number(value: Points) -> int | float:
    """The shortest decimal that is this number to fifteen places; both LMSs keep at most five."""
    return int(value) if value == int(value) else float(value)


def _malformed(what: str) -> NoReturn:
    raise ServiceError(what, reason="malformed")
