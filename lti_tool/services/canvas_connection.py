"""The connection to Canvas' own interface: an administrator's API key, and who consents with it.

The key belongs to the platform. A teacher consents for one course, or an administrator once, with a service account,
for all of them. Tokens lie sealed in the database and are renewed when they are needed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, NotConnected, NotFound
from lti_tool.grades import canvas
from lti_tool.grades.source import (
    CANVAS_COURSE_GRADE,
    CANVAS_RUBRIC,
    AskedCourse,
    Connector,
)
from lti_tool.models import Connection, ConnectionRequest, Course, Launch, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import audit, platform_load
from lti_tool.services.access import checked_address, connection_of, own_numbers
from lti_tool.services.tool import Tool

KIND = "canvas"
SCOPES = canvas.SCOPES
BACK = "/connect/canvas"  # where Canvas sends the browser back to
REQUEST_LASTS = timedelta(minutes=10)
EARLY = timedelta(seconds=60)  # a token is renewed before it ends under way
LONGEST = 500  # characters of an id or secret


@dataclass(frozen=True)
class Connected:
    """What was connected: a course, or the whole platform (`course_id` None)."""

    course_id: int | None
    title: str = ""


def redirect_uri(tool: Tool) -> str:
    return tool.settings.base_url + BACK


# -- the key ----------------------------------------------------------------------------------------------------


def platform_key(session: Session, registration_id: int) -> Connection | None:
    """Return the platform's API key, which teachers connect with."""
    query = select(Connection).where(Connection.kind == KIND, Connection.course_id.is_(None))
    return session.scalar(query.where(Connection.registration_id == registration_id))


def save_key(
    tool: Tool, registration_id: int, *, address: str, client_id: str, secret: str, actor: str, now: datetime
) -> None:
    """Keep the API key of a platform. An empty secret leaves the one that is there; raises BadInput.

    Another client id ends the service account's access: it was given to the key before."""
    address = _checked_address(tool, address)
    client_id, secret = client_id.strip()[:LONGEST], secret.strip()[:LONGEST]
    if not client_id or not client_id.isprintable():
        raise BadInput(sentence=Sentence("Write the client id that Canvas shows under “Details” of the API key."))
    repeat_collided(lambda: _save_key(tool, registration_id, address, client_id, secret, actor, now))


def _save_key(
    tool: Tool, registration_id: int, address: str, client_id: str, secret: str, actor: str, now: datetime
) -> None:
    with tool.db.write() as session:
        registration = session.get(Registration, registration_id)
        if registration is None or registration.product != "canvas":
            raise NotFound(f"no Canvas {registration_id}")
        row = platform_key(session, registration_id)
        kept = tool.keyring.unseal(row.secrets) if row is not None else {}
        if not secret and not kept.get("client_secret"):
            raise BadInput(sentence=Sentence("Write the key's secret: Canvas shows it under “Show Key”."))
        if row is None:
            row = Connection(registration_id=registration_id, kind=KIND, created_by=actor, created_at=now)
            session.add(row)
        before = row.client_id
        if (row.client_id, row.address) != (client_id, address):
            kept, row.account, row.expires_at = {"client_secret": kept.get("client_secret", "")}, "", None
        row.address, row.client_id, row.problem = address, client_id, None
        row.secrets = tool.keyring.seal({**kept, **({"client_secret": secret} if secret else {})})
        session.flush()
        subject = f"connection:{row.id}"
        audit.record(session, now, actor, "connection.key_saved", subject, before=before, after=client_id, kind=KIND)


def _checked_address(tool: Tool, address: str) -> str:
    """Return Canvas' address; raises BadInput for one we do not go to."""
    return checked_address(tool, address, Sentence("Write the address of your Canvas, as https://canvas.example.edu."))


# -- consent ----------------------------------------------------------------------------------------------------


def begin(
    tool: Tool, registration_id: int, course_id: int | None, *, session_id: str, actor: str, now: datetime
) -> str:
    """Return Canvas' page of consent for whoever asks; raises NotConnected where no key is there yet.

    The state is kept by its hash, belongs to this session, and comes back once."""
    state = secrets.token_urlsafe(32)
    with tool.db.write() as session:
        key = platform_key(session, registration_id)
        if key is None:
            raise NotConnected("no key", sentence=NO_KEY, what_to_do=ASK_FOR_KEY)
        session.execute(delete(ConnectionRequest).where(ConnectionRequest.expires_at < now))
        session.add(
            ConnectionRequest(
                state_hash=_digest(state),
                registration_id=registration_id,
                course_id=course_id,
                session=session_id,
                actor=actor,
                expires_at=now + REQUEST_LASTS,
            )
        )
        return canvas.consent_address(key.address, key.client_id, redirect_uri(tool), state)


NO_KEY = Sentence("Canvas' own interface is not set up for this platform yet.")
ASK_FOR_KEY = Sentence("An administrator of this tool enters Canvas' API key on the platform's page.")


def finish(tool: Tool, state: str, code: str, *, admin_session: str | None, now: datetime) -> Connected:
    """Take what Canvas sent back, and keep the access.

    Raises BadInput for a state that is unknown, used, old or another session's, and NotConnected where Canvas gives
    no token, or where somebody else has consented than the person who opened the course."""
    asked = _take_request(tool, state, admin_session, now)
    if not code:
        raise BadInput(
            "no consent",
            reason="not_consented",
            sentence=Sentence("Nothing was connected: you did not agree in Canvas."),
            what_to_do=Sentence("You can close this window, or start again in Badges."),
        )
    with tool.db.read() as session:
        key = platform_key(session, asked.registration_id)
        if key is None:
            raise NotConnected("no key", sentence=NO_KEY, what_to_do=ASK_FOR_KEY)
        secret = tool.keyring.unseal(key.secrets)["client_secret"]
        launch = session.get(Launch, asked.session) if asked.course_id is not None else None
        sub = launch.person.sub if launch is not None else ""
    back, platform = redirect_uri(tool), asked.registration_id
    token = canvas.redeem(tool.http, key.address, key.client_id, secret, code, back, platform=platform)
    if asked.course_id is not None:
        _same_person(tool, asked.course_id, sub, token.user_id)
    return repeat_collided(lambda: _keep(tool, asked, token, now))


def _take_request(tool: Tool, state: str, admin_session: str | None, now: datetime) -> ConnectionRequest:
    """Use up the request a state belongs to; raises BadInput unless it is open and its session still is."""
    with tool.db.write() as session:
        asked = session.get(ConnectionRequest, _digest(state), with_for_update=True)
        if asked is None or asked.expires_at <= now:
            raise _stale("unknown or old state")
        if asked.course_id is None and asked.session != admin_session:
            raise _stale("another administrator's session")
        session.delete(asked)
        if asked.course_id is not None:
            launch = session.get(Launch, asked.session)
            if launch is None or launch.expires_at <= now or launch.switched_off:
                raise _stale("the launch has ended")
        return asked


def _stale(detail: str) -> BadInput:
    return BadInput(
        detail,
        reason="state",
        sentence=Sentence("This connection was begun too long ago, or somewhere else, so nothing was connected."),
        what_to_do=Sentence("Start again on the page “Sources” in Badges."),
    )


def _same_person(tool: Tool, course_id: int, sub: str, number: str) -> None:
    """Refuse consent of somebody else than who opened the course: a link sent to a colleague must not take hers.

    The browser's cookie cannot tell: in the new window it is not the one of the LMS's frame (partitioned)."""
    with tool.db.read() as session:
        context_id = session.get_one(Course, course_id).context_id
    numbers = canvas.subs_by_number(AskedCourse(context_id, own_numbers(tool, course_id)))
    if numbers.get(number) != sub:
        raise NotConnected(
            "another account",
            reason="another_account",
            sentence=Sentence("The Canvas account that agreed is not the one that opened this course."),
            what_to_do=Sentence("Sign in to Canvas as yourself, open Badges from your course, and connect again."),
        )


def _keep(tool: Tool, asked: ConnectionRequest, token: canvas.Token, now: datetime) -> Connected:
    with tool.db.write() as session:
        if asked.course_id is None:
            row = platform_key(session, asked.registration_id)
            if row is None:
                raise NotConnected("no key", sentence=NO_KEY, what_to_do=ASK_FOR_KEY)
            kept = {"client_secret": tool.keyring.unseal(row.secrets)["client_secret"]}
        else:
            query = select(Connection).where(Connection.course_id == asked.course_id, Connection.kind == KIND)
            row, kept = session.scalar(query), {}
            if row is None:
                row = Connection(registration_id=asked.registration_id, course_id=asked.course_id, kind=KIND)
                row.created_by, row.created_at = asked.actor, now
                session.add(row)
        row.secrets = tool.keyring.seal({**kept, "access": token.access, "refresh": token.refresh})
        row.account, row.expires_at = token.user_name or token.user_id, now + timedelta(seconds=token.seconds)
        row.created_by, row.created_at, row.problem = asked.actor, now, None
        session.flush()
        told = {"course": asked.course_id} if asked.course_id is not None else {}
        audit.record(session, now, asked.actor, "connection.made", f"connection:{row.id}", kind=KIND, **told)
        if asked.course_id is None:
            return Connected(None)
        return Connected(asked.course_id, session.get_one(Course, asked.course_id).title)


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


# -- calling ----------------------------------------------------------------------------------------------------


def open_caller(tool: Tool, course_id: int) -> canvas.Caller:
    """Return who calls Canvas for a course, see `connection_of`; raises NotConnected where there is nobody."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        key = platform_key(session, course.registration_id)
        found = connection_of(session, course, KIND)
        if key is None or found is None:
            raise NotConnected("no access to Canvas")
        platform, token = course.registration_id, _access(tool, found.id, key.id)
    watch = platform_load.watcher(tool, platform)
    return canvas.Caller(tool.http, key.address, token, platform=platform, answered=watch)


def _access(tool: Tool, connection_id: int, key_id: int) -> Callable[[str | None], str]:
    def token(refused: str | None) -> str:
        """Return an access token; a refused one is renewed, unless another worker has done it already."""
        now = datetime.now(UTC)
        with tool.db.read() as session:
            row, key = session.get(Connection, connection_id), session.get(Connection, key_id)
            if row is None or key is None:
                raise NotConnected("removed meanwhile")
            kept, secret = tool.keyring.unseal(row.secrets), tool.keyring.unseal(key.secrets)["client_secret"]
        fresh = row.expires_at is not None and row.expires_at - EARLY > now
        if (refused is None and fresh) or (refused is not None and kept["access"] != refused):
            return kept["access"]
        platform = key.registration_id
        renewed = canvas.renew(tool.http, key.address, key.client_id, secret, kept["refresh"], platform=platform)
        with tool.db.write() as session:
            kept_row = session.get(Connection, connection_id, with_for_update=True)
            if kept_row is not None and kept_row.secrets == row.secrets:  # not connected anew meanwhile
                kept_row.secrets = tool.keyring.seal({**kept, "access": renewed.access, "refresh": renewed.refresh})
                kept_row.expires_at, kept_row.used_at = now + timedelta(seconds=renewed.seconds), now
        return renewed.access

    return token


CONNECTOR: Connector = Connector(
    kind=KIND,
    rows=CANVAS_RUBRIC,
    gates=CANVAS_COURSE_GRADE,
    open=open_caller,
    offered=canvas.offered,
    read=canvas.read,
)
