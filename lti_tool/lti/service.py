"""One authorised caller for every LTI service: token, one retry with a new one, pages to the end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from lti_tool.errors import AccessRefused, AddressRefused, CourseConcluded, PagingLoop, ScopeMissing, ServiceError
from lti_tool.http import Http, Response, same_origin
from lti_tool.lti.platforms import Platform, platform_of
from lti_tool.lti.registration import Registration
from lti_tool.lti.token import TokenCache
from lti_tool.sentence import Sentence

# 50 members a page is what Canvas gives at most: a course of 100,000 has 2,000. 10 results are the least that was seen.
MOST_PAGES = 20_000

# The scopes the tool has a use for begin so; a launch may grant others too (Canvas: its progress service).
USED_SCOPES = (
    "https://purl.imsglobal.org/spec/lti-ags/scope/",
    "https://purl.imsglobal.org/spec/lti-nrps/scope/",
    "https://purl.imsglobal.org/spec/lti/scope/noticehandlers",
)

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Service:
    """What is needed to call the services of one registration.

    `granted` are the AGS scopes of the launch claim (`launch.ags.scopes`), None where they are not known. They are all
    asked for in one token, because a token costs 200 of Canvas' 600 throttle units; and no others, because Canvas
    refuses a whole request for one scope the administrator has taken away."""

    registration: Registration
    http: Http
    tokens: TokenCache
    granted: frozenset[str] | None = None
    deployment_id: str | None = None
    after_page: Callable[[], None] = lambda: None  # told of every page: whoever reads a large class is still alive
    # told of every answer: the seconds it took, and those the platform should be left alone, which are waited out here
    answered: Callable[[float, float], None] = lambda took, rest: None

    @property
    def platform(self) -> Platform:
        return platform_of(self.registration.product)

    def call(
        self,
        method: str,
        url: str,
        *,
        scopes: Collection[str],
        accept: str | None = None,
        content_type: str | None = None,
        body: str | None = None,
        allow: Collection[int] = (),
        granted: frozenset[str] | None = None,
    ) -> Response:
        """Send one request with a token that has any one of `scopes`; a 401 drops the token, and one new one is tried.

        Statuses in `allow` come back, others that are not 2xx are raised. Raises ScopeMissing before anything is sent,
        TokenRefused (a state of the registration), AccessRefused for a second 401 (a state of the course),
        CourseConcluded, or another ServiceError (reason `status_404` and the like)."""
        asked = self._asked_scopes(scopes, granted)
        headers = {"Accept": accept} if accept else {}
        if content_type:
            headers["Content-Type"] = content_type
        for attempt in range(2):
            token = self.tokens.get(self.registration, asked, self.deployment_id)
            if not token.scopes & set(scopes):
                # Not kept: an administrator's grant is to count at the next call, not in an hour.
                self.tokens.drop(self.registration, asked, token, self.deployment_id)
                if attempt == 0 and not self.tokens.is_new(token):
                    continue
                raise _missing("the token has", scopes)
            started = time.monotonic()
            response = self.http.request(
                method,
                url,
                headers={**headers, "Authorization": f"Bearer {token.value}"},
                body=body,
                allow=(401, 422, *allow),
                platform=self.registration.id,
            )
            rest = self.platform.rest(response)
            self.answered(time.monotonic() - started, rest)
            self.http.rest(rest)
            if self.platform.concluded(response):
                raise CourseConcluded(f"{method} answered {response.status}: the course has ended")
            if response.status == 422 and 422 not in allow:
                raise ServiceError(f"{method} answered 422", reason="status_422")
            if response.status != 401:
                return response
            self.tokens.drop(self.registration, asked, token, self.deployment_id)
        refused = self.platform.access_refusal(response)
        if isinstance(refused, ScopeMissing):
            refused.scope = _first(scopes)
        raise refused or AccessRefused(f"{method} answered 401 to a new token", reason="access_refused")

    def pages(self, url: str, *, scopes: Collection[str], accept: str, **options: Any) -> Iterator[Response]:
        """Yield every page, each address as it was sent. An error on any page is raised: part of a class is no class.

        Raises PagingLoop for an address or a page that came before, AddressRefused for another host or scheme."""
        seen: set[str] = set()
        last_page: bytes | None = None
        next_url: str | None = url
        while next_url is not None:
            if next_url in seen or len(seen) >= MOST_PAGES:
                raise PagingLoop(f"page {len(seen) + 1} was there before, or is one too many")
            seen.add(next_url)
            response = self.call("GET", next_url, scopes=scopes, accept=accept, **options)
            if response.body == last_page:
                # Schoology mirrors `limit` and never advances (code-dot-org #69926): the address changes, the page not.
                raise PagingLoop(f"page {len(seen)} is the page before")
            last_page = response.body
            self.after_page()
            yield response
            target = self.platform.next_page(response.headers.get("Link", ""))
            next_url = _joined(next_url, target) if target else None
            if next_url is not None and not same_origin(url, next_url):
                raise AddressRefused(
                    "the next page is on another host or scheme",
                    reason="next_page_elsewhere",
                    sentence=Sentence("Your LMS pointed to another server for the next page, so nothing was read."),
                    what_to_do=Sentence(
                        "What was known before still counts. Tell the LMS administrator: the address the LMS gives "
                        "itself is not the one the tool reaches it by."
                    ),
                )

    def _asked_scopes(self, scopes: Collection[str], granted: frozenset[str] | None) -> Collection[str]:
        known = self.granted if granted is None else granted
        if known is None:
            return scopes
        if not known & set(scopes):
            raise _missing("the launch grants", scopes)
        return [scope for scope in known if scope.startswith(USED_SCOPES)]


def with_query(url: str, **parameters: str | int | None) -> str:
    """Add parameters to an address, leaving what is there as it stands. None adds nothing."""
    added = urlencode({name: value for name, value in parameters.items() if value is not None})
    if not added:
        return url
    return f"{url}{'&' if '?' in url else '?'}{added}"


def with_path(url: str, ending: str) -> str:
    """Put `/results` or `/scores` behind the path and before the query (F17).

    Moodle's line items all carry one: `…/lineitem?type_id=1`."""
    path, mark, query = url.partition("?")
    return f"{path.rstrip('/')}/{ending}{mark}{query}"


def _joined(current: str, target: str) -> str:
    return target if _ABSOLUTE.match(target) else urljoin(current, target)


def _missing(who: str, scopes: Collection[str]) -> ScopeMissing:
    missing = ScopeMissing(f"{who} none of {_short(scopes)}")
    missing.scope = _first(scopes)
    return missing


def _first(scopes: Collection[str]) -> str:
    return next(iter(scopes), "")


def _short(scopes: Collection[str]) -> str:
    return ", ".join(scope.rpartition("/")[2] for scope in scopes)
