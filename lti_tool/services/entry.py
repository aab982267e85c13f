"""The way in: a login and its launch, in as few statements as can be. A term begins with hundreds of both at once.

A login is one statement. A launch that finds all as it was is two: one reads whatever it may need, one uses the login
up and opens the session. What is new or has changed goes through services.launches."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, exists, insert, literal_column, select, update
from sqlalchemy.sql.expression import ColumnElement

from lti_tool.db import random_id
from lti_tool.errors import Busy, LaunchRefused
from lti_tool.lti.claims import DATA_PRIVACY_REQUEST
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.launch import Told
from lti_tool.lti.login import StartedLogin, start_login
from lti_tool.lti.refusals import refusal
from lti_tool.lti.registration import LoginRow, Registration, digest
from lti_tool.models import Browser, Course, CourseBadge, Deployment, Enrolment, Launch, Login, Person, ResourceLink
from lti_tool.models import Registration as RegistrationRow
from lti_tool.prepared import DriverError, Prepared, Row
from lti_tool.services import launches, notices, origins, schedule
from lti_tool.services.access import registration_value
from lti_tool.services.launches import Opened
from lti_tool.services.tool import Tool

_REGISTRATION, _DEPLOYMENT = RegistrationRow.__table__, Deployment.__table__
_R, _D, _L = _REGISTRATION.c, _DEPLOYMENT.c, Login.__table__.c
_P, _C, _E, _B = Person.__table__.c, Course.__table__.c, Enrolment.__table__.c, Browser.__table__.c
_K = ResourceLink.__table__.c

_LOGIN = tuple(LoginRow.__dataclass_fields__)
_KNOWN = tuple(Registration.__dataclass_fields__)
_of_issuer = select(*(_R[name] for name in _KNOWN)).where(_R.issuer == bindparam("issuer"), _R.status == "active")
_OF_ISSUER = Prepared(_of_issuer)
_OF_CLIENT = Prepared(_of_issuer.where(_R.client_id == bindparam("client_id")))
_SHUT_OUT = Prepared(select(_R.client_id, _R.approved).where(_R.issuer == bindparam("issuer"), _R.status == "disabled"))


def _bound(of: ColumnElement[object], name: str) -> ColumnElement[object]:
    """Return a value to be given at each run, in the column's type."""
    return bindparam(name, type_=of.type)


# The row is stored only where the registration still is as it is remembered; no row stored: look again.
_STORE_LOGIN = Prepared(
    insert(Login).from_select(
        _LOGIN,
        select(*(_R.id if name == "registration_id" else _bound(_L[name], name) for name in _LOGIN)).where(
            _R.status == "active", *(_R[name].is_not_distinct_from(_bound(_R[name], f"is_{name}")) for name in _KNOWN)
        ),
    )
)
_HAS_BADGE = exists().where(CourseBadge.__table__.c.course_id == _C.id, CourseBadge.__table__.c.status == "active")
# All that a launch may ask for, in one row; a member is None where its part is not there yet.
_ALL = Prepared(
    select(
        *(_L[name] for name in _LOGIN),
        *(_R[name].label(f"platform_{name}") for name in _KNOWN),
        _R.status.label("platform_status"),
        _R.origins,
        _D.id.label("deployment"),
        _D.status.label("deployment_status"),
        _D.former,
        _D.notices_url,
        _P.id.label("person"),
        _P.name.label("person_name"),
        _P.email,
        _P.language.label("person_language"),
        _P.test_user,
        _P.disabled,
        _C.id.label("course"),
        _C.title,
        _C.label,
        _C.line_items_url,
        _C.memberships_url,
        _C.scopes,
        _C.synced_at,
        _C.next_sync_at,
        _C.ends_at,
        _C.starts_at,
        _C.term,
        _C.history,
        _K.id.label("link"),
        _K.history.label("link_history"),
        _E.launch_role,
        _HAS_BADGE.label("has_badge"),
        _B.id.label("browser"),
        _B.person_id.label("browser_person"),
    )
    .select_from(
        Login.__table__.join(_REGISTRATION, _L.registration_id == _R.id)
        .outerjoin(_DEPLOYMENT, and_(_D.registration_id == _R.id, _D.deployment_id == bindparam("deployment_told")))
        .outerjoin(Person.__table__, and_(_P.registration_id == _R.id, _P.sub == bindparam("sub_told")))
        .outerjoin(Course.__table__, and_(_C.deployment_pk == _D.id, _C.context_id == bindparam("context_told")))
        .outerjoin(Enrolment.__table__, and_(_E.course_id == _C.id, _E.person_id == _P.id))
        .outerjoin(
            ResourceLink.__table__, and_(_K.deployment_pk == _D.id, _K.resource_link_id == bindparam("link_told"))
        )
        .outerjoin(Browser.__table__, _B.secret_hash == bindparam("secret_hash"))
    )
    .where(_L.state_hash == bindparam("of"))
)

_use = update(Login).where(_L.state_hash == bindparam("of"), _L.consumed_at.is_(None))
_use = _use.values(consumed_at=_bound(_L.consumed_at, "at"))
_USE = Prepared(_use)
_BROWSER = ("id", "secret_hash", "person_id", "created_at")
_LAUNCH = ("id", "browser_id", "deployment_pk", "person_id", "course_id", "role", "locale", "created_at", "expires_at")
_ADD_BROWSER = Prepared(insert(Browser), *_BROWSER)
_ADD_LAUNCH = Prepared(insert(Launch), *_LAUNCH)


def _at_once(*, browser: bool) -> Prepared:
    """Return the use of a login and the session it opens as one statement: PostgreSQL can put one into the other."""
    used = _use.returning(literal_column("1")).cte("used")
    _V = Launch.__table__.c
    add = insert(Launch).from_select(_LAUNCH, select(*(_bound(_V[name], name) for name in _LAUNCH)).select_from(used))
    add = add.add_cte(used)
    if browser:
        values = (_bound(_B[name], f"new_{name}") for name in _BROWSER)
        add = add.add_cte(insert(Browser).from_select(_BROWSER, select(*values).select_from(used)).cte("browser"))
    return Prepared(add)


_OPEN, _OPEN_WITH_BROWSER = _at_once(browser=False), _at_once(browser=True)


def start(tool: Tool, params: Mapping[str, str], now: datetime) -> StartedLogin:
    """Answer a login request, and store what binds it to its launch. Raises as `start_login`, with nothing stored.

    The registration is remembered from login to login; the statement that stores the row says whether it still holds,
    so that one that was switched off or changed is so at the next request."""
    asked = (params.get("iss", ""), params.get("client_id") or "")
    if (remembered := tool.registrations.pop(asked, None)) is not None:
        started = _start(tool, params, [remembered], now)
        if _store(tool, started):
            tool.registrations[asked] = remembered
            return started
    try:
        started = _start(tool, params, _find(tool, *asked), now)
    except LaunchRefused as refused:
        if refused.reason == "registration_unknown":
            _tell_why_not(tool, *asked)
        raise
    if not _store(tool, started):  # it was changed in the moment since it was read
        started = _start(tool, params, _find(tool, *asked), now)
        if not _store(tool, started):
            raise Busy("the registration changes faster than it can be read")
    if asked[1]:  # without a client id, one registration more makes the request ambiguous
        tool.registrations[asked] = started.registration
    return started


def _start(tool: Tool, params: Mapping[str, str], found: list[Registration], now: datetime) -> StartedLogin:
    ours = f"{tool.settings.base_url}/lti/launch"
    return start_login(params, find_registrations=lambda *_: found, our_redirect_uri=ours, now=now)


def _find(tool: Tool, issuer: str, client_id: str) -> list[Registration]:
    wanted = _OF_CLIENT if client_id else _OF_ISSUER
    rows = tool.statements.rows(wanted, {"issuer": issuer, "client_id": client_id})
    return [registration_value(row) for row in rows]


def _tell_why_not(tool: Tool, issuer: str, client_id: str) -> None:
    """Raise a clearer refusal where the LMS is known and not let in: it waits for approval, or is switched off."""
    rows = tool.statements.rows(_SHUT_OUT, {"issuer": issuer})
    rows = [row for row in rows if client_id in ("", row.client_id)]
    if any(not row.approved for row in rows):
        raise refusal("registration_pending", "the registration waits for approval")
    if rows:
        raise refusal("registration_disabled", "the registration is switched off")


def _store(tool: Tool, started: StartedLogin) -> bool:
    known = {f"is_{name}": value for name, value in vars(started.registration).items()}
    return tool.statements.run((_STORE_LOGIN, {**vars(started.row), **known})) == 1


class Entry:
    """One launch on its way in. Its methods are what `verify_launch` asks for; then `opened` is the session,
    or None for a message that opens none.

    `told` is what the token says before anything is checked: it only chooses the rows that are read along. The login's
    one use and the session it opens are one transaction, and nothing goes out to the network in it."""

    def __init__(self, tool: Tool, told: Told, browser_secret: str | None, now: datetime, *, carried: bool) -> None:
        """`carried`: no cookie comes, so the session gets a token that its addresses carry."""
        self._tool = tool
        self._told = told
        self._secret = browser_secret
        self._carried = carried
        self._now = now
        self._found: Row = None
        self._registration: Registration | None = None
        self.opened: Opened | None = None

    def find_login(self, state_hash: str) -> LoginRow | None:
        asked = {
            "of": state_hash,
            "deployment_told": self._told.deployment_id,
            "sub_told": self._told.sub,
            "context_told": self._told.context_id,
            "link_told": self._told.link_id,
            "secret_hash": digest(self._secret) if self._secret else None,
        }
        row = self._found = self._tool.statements.one(_ALL, asked)
        if row is None:
            return None
        if row.platform_status == "active":
            self._registration = Registration(*(getattr(row, f"platform_{name}") for name in _KNOWN))
        return LoginRow(*(getattr(row, name) for name in _LOGIN))

    def find_registration(self, registration_id: int) -> Registration | None:
        """Return the registration that came with the login, None where it is switched off."""
        found = self._registration
        return found if found is not None and found.id == registration_id else None

    def deployment_status(self, registration: Registration, deployment_id: str) -> str:
        if self._found.deployment is None or self._told.deployment_id != deployment_id:
            return launches.deployment_status(self._tool, registration.id, deployment_id, self._now)
        return "approved" if self._found.deployment_status == "active" else str(self._found.deployment_status)

    def use_login(self, state_hash: str, launch: VerifiedLaunch) -> bool:
        """Use the login up and open the session; only one launch is told True.

        Where all is as it was, here; else the login is used up alone, and `launches.open_launch` does the rest."""
        sessionless = launch.message_type == DATA_PRIVACY_REQUEST
        if not sessionless and not self._carried and self._all_as_it_was(launch):
            try:
                return self._open(state_hash, launch)
            except DriverError:  # what was read has changed since, as where another launch ended this browser's pages
                pass
        if not self._tool.statements.run((_USE, {"of": state_hash, "at": self._now})):
            return False
        if not sessionless:
            self.opened = launches.open_launch(self._tool, launch, self._secret, self._now, carried=self._carried)
        return True

    def _open(self, state_hash: str, launch: VerifiedLaunch) -> bool:
        found, run = self._found, self._tool.statements.run
        secret, browser_id, new = self._secret or "", found.browser, None
        if browser_id is None:
            secret, browser_id = secrets.token_urlsafe(32), random_id()
            told = {"secret_hash": digest(secret), "person_id": found.person, "created_at": self._now}
            new = {"id": browser_id, **told}
        use = {"of": state_hash, "at": self._now}
        row = {
            "id": random_id(),
            "browser_id": browser_id,
            "deployment_pk": found.deployment,
            "person_id": found.person,
            "course_id": found.course,
            "role": launches.role_words(launch),
            "locale": (launch.locale or "")[:20],
            "created_at": self._now,
            "expires_at": self._now + launches.SESSION_LASTS,
        }
        if self._tool.db.is_sqlite:
            used = run((_USE, use), *([(_ADD_BROWSER, new)] if new else []), (_ADD_LAUNCH, row))
        elif new:
            told = {f"new_{name}": value for name, value in new.items()}
            used = run((_OPEN_WITH_BROWSER, {**use, **row, **told}))
        else:
            used = run((_OPEN, {**use, **row}))
        if not used:
            return False
        queue = self._tool.settings.queue
        oldest = self._now - timedelta(seconds=queue.sync_on_launch_after)
        is_old = found.synced_at is None or found.synced_at < oldest
        self.opened = Opened(
            launch_id=row["id"],
            secret=secret,  # a known one is sent again, so that the cookie lives as long as the newest launch
            rights=launches.rights_of(row["role"], self._tool.settings.lti.teaching_assistants),
            course_id=found.course,
            sync_is_old=bool(found.has_badge) and (is_old or schedule.is_slow(queue, found.next_sync_at, self._now)),
        )
        return True

    def _all_as_it_was(self, launch: VerifiedLaunch) -> bool:
        """Tell whether this launch's person, course and browser are known, and as the launch tells them."""
        found, registration = self._found, self._registration
        if registration is None or found.person is None or found.disabled or found.deployment_status != "active":
            return False
        if found.former:
            return False  # it is the platform's under its client id of today
        if (self._told.sub, self._told.deployment_id) != (launch.sub, launch.deployment_id):
            return False
        if found.browser is not None and found.browser_person != found.person:
            return False  # another person's pages have to end first
        context = launches.course_context(registration.product, launch)
        name, email = launches.told_name(launch), (launch.email or "")[:255]
        same_person = (
            (not name or found.person_name == name)
            and (not email or found.email == email)
            and (found.test_user or not launch.test_user)
            and launches.told_language(launch) in ("", found.person_language)
        )
        if not same_person or any(o not in found.origins for o in launches.told_origins(launch, registration.product)):
            return False
        if notices.service_url(launch) not in (None, found.notices_url):
            return False
        if context is None:
            return found.course is None
        if (link := origins.link_id(launch)) is not None:
            known_link = found.link is not None and link == self._told.link_id
            if not known_link or not set(launch.link_history) <= set(found.link_history):
                return False
        same_course = (
            found.course is not None
            and self._told.context_id == context.id
            and set(launch.context_history) <= set(found.history)
            and found.launch_role == launches.main_role(launch)
            and found.title == (context.title or found.title)[:255]
            and found.label == (context.label or found.label)[:255]
            and found.memberships_url == (launch.memberships_url or found.memberships_url)
            and launches.told_end(launch, registration.product, self._now) in (None, found.ends_at)
            and launches.told_begin(launch, registration.product, (found.starts_at, found.term))
            == (found.starts_at, found.term)
        )
        if same_course and launch.ags is not None and launch.ags.line_items:
            same_course = found.line_items_url == launch.ags.line_items and found.scopes == list(launch.ags.scopes)
        return same_course
