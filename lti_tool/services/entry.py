"""The way in: a login and its launch, in as few statements as can be. A term begins with hundreds of both at once.

What a launch finds as it was takes the short way here; what is new or has changed goes through services.launches."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType

from sqlalchemy import and_, bindparam, exists, insert, select, update

from lti_tool.db import random_id
from lti_tool.errors import ToolError
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.login import StartedLogin, start_login
from lti_tool.lti.registration import LoginRow, Registration, digest
from lti_tool.models import Browser, Course, CourseBadge, Deployment, Enrolment, Launch, Login, Person
from lti_tool.models import Registration as RegistrationRow
from lti_tool.prepared import Prepared, Row, Statements, statements
from lti_tool.services import launches
from lti_tool.services.access import registration_value
from lti_tool.services.launches import Opened
from lti_tool.services.tool import Tool

_R, _D, _L = RegistrationRow.__table__.c, Deployment.__table__.c, Login.__table__.c
_P, _C, _E, _B = Person.__table__.c, Course.__table__.c, Enrolment.__table__.c, Browser.__table__.c

_REGISTRATION = (
    _R.id,
    _R.issuer,
    _R.client_id,
    _R.auth_login_url,
    _R.auth_token_url,
    _R.jwks_url,
    _R.auth_audience,
    _R.product,
    _R.status,
)
_of_issuer = select(*_REGISTRATION).where(_R.issuer == bindparam("issuer"), _R.status == "active")
_OF_ISSUER = Prepared(_of_issuer)
_OF_CLIENT = Prepared(_of_issuer.where(_R.client_id == bindparam("client_id")))
_LOGIN = Prepared(
    select(*(_L[name] for name in LoginRow.__dataclass_fields__), *_REGISTRATION)
    .join_from(Login.__table__, RegistrationRow.__table__, _L.registration_id == _R.id)
    .where(_L.state_hash == bindparam("state_hash"))
)
_STORE_LOGIN = Prepared(insert(Login), *LoginRow.__dataclass_fields__)
_CONSUME = Prepared(
    update(Login).where(_L.state_hash == bindparam("of"), _L.consumed_at.is_(None)).values(consumed_at=bindparam("at"))
)
_DEPLOYMENT = Prepared(
    select(_D.id, _D.status, _R.origins)
    .join_from(Deployment.__table__, RegistrationRow.__table__, _D.registration_id == _R.id)
    .where(_D.registration_id == bindparam("registration"), _D.deployment_id == bindparam("deployment"))
)
_HAS_BADGE = exists().where(CourseBadge.__table__.c.course_id == _C.id, CourseBadge.__table__.c.status == "active")
# All that a launch may find or change, in one row; a member is None where its part is not there yet.
_KNOWN = Prepared(
    select(
        _P.id.label("person"),
        _P.name,
        _P.email,
        _P.test_user,
        _P.disabled,
        _C.id.label("course"),
        _C.title,
        _C.label,
        _C.line_items_url,
        _C.memberships_url,
        _C.scopes,
        _C.synced_at,
        _E.launch_role,
        _HAS_BADGE.label("has_badge"),
    )
    .select_from(
        Person.__table__.outerjoin(
            Course.__table__, and_(_C.deployment_pk == bindparam("deployment"), _C.context_id == bindparam("context"))
        ).outerjoin(Enrolment.__table__, and_(_E.course_id == _C.id, _E.person_id == _P.id))
    )
    .where(_P.registration_id == bindparam("registration"), _P.sub == bindparam("sub"))
)
_BROWSER = Prepared(select(_B.id, _B.person_id).where(_B.secret_hash == bindparam("secret_hash")))
_ADD_BROWSER = Prepared(insert(Browser), "id", "secret_hash", "person_id", "created_at")
_ADD_LAUNCH = Prepared(
    insert(Launch),
    *("id", "browser_id", "deployment_pk", "person_id", "course_id", "role", "locale", "created_at", "expires_at"),
)


def start(tool: Tool, params: Mapping[str, str], now: datetime) -> StartedLogin:
    """Answer a login request, and store what binds it to its launch. Raises as `start_login`, with nothing stored."""
    with statements(tool.db) as connection:

        def find(issuer: str, client_id: str | None) -> list[Registration]:
            if client_id is None:
                return [registration_value(row) for row in connection.rows(_OF_ISSUER, {"issuer": issuer})]
            told = {"issuer": issuer, "client_id": client_id}
            return [registration_value(row) for row in connection.rows(_OF_CLIENT, told)]

        started = start_login(
            params, find_registrations=find, our_redirect_uri=f"{tool.settings.base_url}/lti/launch", now=now
        )
        with tool.db.turn():
            connection.run(_STORE_LOGIN, vars(started.row))
        return started


class Entry:
    """One launch on its way in. Its methods are what `verify_launch` asks for, then `open`.

    The one use of the login and the session it opens stand in one transaction. A refusal after the use keeps the use;
    an unforeseen failure takes it back. Nothing goes out to the network once the transaction is open."""

    def __init__(self, tool: Tool, now: datetime) -> None:
        self._tool = tool
        self._now = now
        self._registration: Registration | None = None
        self._writing: AbstractContextManager[Statements] | None = None
        self._connection: Statements | None = None
        self._deployment: Row | None = None

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writing is None:
            return
        writing, self._writing, self._connection = self._writing, None, None
        if isinstance(error, ToolError):
            writing.__exit__(None, None, None)
        else:
            writing.__exit__(kind, error, trace)

    def find_login(self, state_hash: str) -> LoginRow | None:
        with statements(self._tool.db) as connection:
            row = connection.one(_LOGIN, {"state_hash": state_hash})
        if row is None:
            return None
        self._registration = registration_value(row) if row.status == "active" else None
        return LoginRow(**{name: getattr(row, name) for name in LoginRow.__dataclass_fields__})

    def find_registration(self, registration_id: int) -> Registration | None:
        """Return the registration that came with the login, None where it is switched off."""
        found = self._registration
        return found if found is not None and found.id == registration_id else None

    def consume_login(self, state_hash: str) -> bool:
        """Mark the login as used, as the first statement of the launch's transaction; only one launch is told True."""
        self._writing = statements(self._tool.db, write=True)
        self._connection = self._writing.__enter__()
        return self._connection.run(_CONSUME, {"of": state_hash, "at": self._now}) == 1

    def deployment_status(self, registration: Registration, deployment_id: str) -> str:
        told = {"registration": registration.id, "deployment": deployment_id}
        if self._connection is not None:
            self._deployment = self._connection.one(_DEPLOYMENT, told)
        if self._deployment is not None:
            return "approved" if self._deployment.status == "active" else str(self._deployment.status)
        self._commit()
        return launches.deployment_status(self._tool, registration.id, deployment_id, self._now)

    def open(self, launch: VerifiedLaunch, browser_secret: str | None, *, carried: bool = False) -> Opened:
        """Open a session for a verified launch: here where all is known, through `launches.open_launch` where not."""
        if carried:
            self._commit()
            return launches.open_launch(self._tool, launch, None, self._now, carried=True)
        known = self._known(launch)
        if known is None or self._connection is None or self._deployment is None:
            self._commit()
            return launches.open_launch(self._tool, launch, browser_secret, self._now)
        browser = self._browser(known.person, browser_secret)
        if browser is None:
            self._commit()
            return launches.open_launch(self._tool, launch, browser_secret, self._now)
        browser_id, secret = browser
        launch_id, roles = random_id(), launches.role_words(launch)
        self._connection.run(
            _ADD_LAUNCH,
            {
                "id": launch_id,
                "browser_id": browser_id,
                "deployment_pk": self._deployment.id,
                "person_id": known.person,
                "course_id": known.course,
                "role": roles,
                "locale": (launch.locale or "")[:20],
                "created_at": self._now,
                "expires_at": self._now + launches.SESSION_LASTS,
            },
        )
        self._commit()
        oldest = self._now - timedelta(seconds=self._tool.settings.queue.sync_on_launch_after)
        return Opened(
            launch_id=launch_id,
            secret=secret,
            rights=launches.rights_of(roles, self._tool.settings.lti.teaching_assistants),
            course_id=known.course,
            sync_is_old=bool(known.has_badge) and (known.synced_at is None or known.synced_at < oldest),
        )

    def _known(self, launch: VerifiedLaunch) -> Row | None:
        """Return what is known of this launch's person and course, None where anything is new or has changed."""
        if self._connection is None or self._deployment is None or self._registration is None:
            return None
        product = self._registration.product
        context = launches.course_context(product, launch)
        told = {
            "registration": launch.registration_id,
            "sub": launch.sub,
            "deployment": self._deployment.id,
            "context": context.id if context is not None else None,
        }
        row = self._connection.one(_KNOWN, told)
        if row is None or row.disabled:
            return None
        name, email = launches.told_name(launch), (launch.email or "")[:255]
        same_person = (
            (not name or row.name == name)
            and (not email or row.email == email)
            and (row.test_user or not launch.test_user)
        )
        if not same_person or any(o not in self._deployment.origins for o in launches.told_origins(launch, product)):
            return None
        if context is None:
            return row
        same_course = (
            row.course is not None
            and row.launch_role == launches.main_role(launch)
            and row.title == (context.title or row.title)[:255]
            and row.label == (context.label or row.label)[:255]
            and row.memberships_url == (launch.memberships_url or row.memberships_url)
        )
        if same_course and launch.ags is not None and launch.ags.line_items:
            same_course = row.line_items_url == launch.ags.line_items and row.scopes == list(launch.ags.scopes)
        return row if same_course else None

    def _browser(self, person_id: str, secret: str | None) -> tuple[str, str] | None:
        """Return the browser's id and the secret for its cookie; None where another person's pages have to end first.

        The same secret is sent again, so that the cookie lives as long as the newest launch."""
        if self._connection is None:
            return None
        if secret:
            row = self._connection.one(_BROWSER, {"secret_hash": digest(secret)})
            if row is not None:
                return (row.id, secret) if row.person_id == person_id else None
        fresh, browser_id = secrets.token_urlsafe(32), random_id()
        told = {"id": browser_id, "secret_hash": digest(fresh), "person_id": person_id, "created_at": self._now}
        self._connection.run(_ADD_BROWSER, told)
        return browser_id, fresh

    def _commit(self) -> None:
        self.__exit__(None, None, None)
