"""What a backpack asks of a learner, and what she answers.

There are no accounts here, and an LMS's frame shares no cookie with a window of its own. So the backpack's window shows
a short code, and the learner types it into her pages in the course: her launch says who she is. What she answers is
offered to that one window only, which knows it by its cookie; nobody else's window gets her code back.
Where a launch of hers is open in the same browser, outside any frame, she may answer in that window itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, Conflict, NotFound, NotPermitted
from lti_tool.lti.registration import digest
from lti_tool.models import (
    Award,
    Deployment,
    Launch,
    OAuthClient,
    OAuthCode,
    OAuthGrant,
    OAuthRequest,
    Person,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, counting, oauth_clients
from lti_tool.services.bindings import CODE_LENGTH, LETTERS
from lti_tool.services.launches import opened_by
from lti_tool.services.oauth_clients import OFFLINE, READ_CREDENTIALS, READ_PROFILE, Client
from lti_tool.services.tool import Tool

ASKED_LASTS = timedelta(minutes=15)
CODE_LASTS = timedelta(minutes=5)
ALLOWED, REFUSED = "allowed", "refused"


@dataclass(frozen=True)
class Asked:
    """A request as the pages show it. `answered_by` is a person's id, "" where nobody has."""

    id: str
    client: Client
    redirect_uri: str
    scope: str
    state: str
    created_at: datetime
    expires_at: datetime
    decision: str
    answered_by: str
    finished: bool

    @property
    def reads_badges(self) -> bool:
        return READ_CREDENTIALS in self.scope.split()

    @property
    def reads_profile(self) -> bool:
        return READ_PROFILE in self.scope.split()

    @property
    def lasts(self) -> bool:
        """Whether the backpack may come again after an hour."""
        return OFFLINE in self.scope.split() and self.client.refreshes

    @property
    def origin(self) -> str:
        """Where the answer goes, as a content policy names it."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"


# -- asked ------------------------------------------------------------------------------------------------------


def new_browser() -> str:
    """Return the secret of a window's cookie."""
    return secrets.token_urlsafe(32)


def ask(
    tool: Tool,
    client: Client,
    browser: str,
    *,
    redirect_uri: str,
    scope: str,
    state: str,
    challenge: str,
    now: datetime,
) -> str:
    """Keep what a backpack asks in a browser, for a while; returns the request's id."""

    def put() -> str:
        request_id = secrets.token_hex(16)
        with tool.db.write() as session:
            session.execute(update(OAuthClient).where(OAuthClient.id == client.id).values(seen_at=now))
            session.add(
                OAuthRequest(
                    id=request_id,
                    client_id=client.id,
                    browser_hash=digest(browser),
                    code_hash=_code_hash(shown_code(browser, request_id)),
                    redirect_uri=redirect_uri,
                    scope=scope,
                    state=state,
                    code_challenge=challenge,
                    created_at=now,
                    expires_at=now + ASKED_LASTS,
                )
            )
        return request_id

    return repeat_collided(put)


def shown_code(browser: str, request_id: str) -> str:
    """Return the code of a request, which only the browser's own secret makes: no copy of it is kept."""
    made = hmac.new(browser.encode(), f"code\0{request_id}".encode(), hashlib.sha256).digest()
    number = int.from_bytes(made)
    letters = []
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


def _code_hash(code: str) -> str:
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return digest(f"backpack\0{plain}")


def csrf_token(browser: str, request_id: str, person_id: str = "") -> str:
    """Return the token of a request's own form, which only its browser has; and of what a person answers there."""
    return hmac.new(browser.encode(), f"csrf\0{request_id}\0{person_id}".encode(), hashlib.sha256).hexdigest()


def asked_in(tool: Tool, request_id: str, browser: str | None, now: datetime) -> Asked:
    """Return a request to the browser it came in; raises NotFound for another browser, or one whose time is over."""
    with tool.db.read() as session:
        row = session.scalar(_request(request_id).where(OAuthRequest.browser_hash == digest(browser or "")))
        if row is None or row.expires_at <= now or row.finished_at is not None:
            raise _over()
        return _asked(row)


def _request(request_id: str) -> Any:
    return select(OAuthRequest).where(OAuthRequest.id == request_id).options(joinedload(OAuthRequest.client))


def _over() -> NotFound:
    return NotFound(
        "no such request in this browser",
        reason="request_over",
        sentence=Sentence("This request of a backpack is over."),
        what_to_do=Sentence("Begin again in your backpack, in the same browser."),
    )


def _asked(row: OAuthRequest) -> Asked:
    return Asked(
        id=row.id,
        client=oauth_clients.client_of(row.client),
        redirect_uri=row.redirect_uri,
        scope=row.scope,
        state=row.state,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decision=row.decision or "",
        answered_by=row.person_id or "",
        finished=row.finished_at is not None,
    )


def person_here(tool: Tool, browser_secret: str | None, now: datetime) -> tuple[str, str] | None:
    """Return id and name of whoever has a launch open in this browser, outside any frame; None for nobody.

    A cookie of an LMS's frame is kept apart for that frame and does not come here (CHIPS)."""
    if not browser_secret:
        return None
    query = (
        select(Launch)
        .where(opened_by("", browser_secret), Launch.expires_at > now, Launch.role != "")
        .options(joinedload(Launch.person), joinedload(Launch.deployment).joinedload(Deployment.registration))
        .order_by(Launch.created_at.desc())
    )
    with tool.db.read() as session:
        for launch in session.scalars(query):
            if not launch.switched_off and not launch.person.test_user:
                return launch.person_id, launch.person.called
    return None


# -- answered ---------------------------------------------------------------------------------------------------


def enter_code(tool: Tool, person_id: str, code: str, now: datetime) -> str:
    """Return the id of the request whose code a launched person has typed; it is hers to answer from now on."""
    with tool.db.write() as session:
        if session.get_one(Person, person_id).test_user:
            raise NotPermitted(
                "a test user", sentence=Sentence("The LMS's test student has no badges that a backpack could fetch.")
            )
        found = session.scalars(
            update(OAuthRequest)
            .where(
                OAuthRequest.code_hash == _code_hash(code),
                OAuthRequest.expires_at > now,
                OAuthRequest.decision.is_(None),
                OAuthRequest.person_id.is_(None) | (OAuthRequest.person_id == person_id),
            )
            .values(person_id=person_id)
            .returning(OAuthRequest.id)
        ).one_or_none()
    if found is None:
        raise BadInput(
            sentence=Sentence("This code is not right, or its fifteen minutes are over."),
            what_to_do=Sentence("Begin again in your backpack: it shows a new one."),
        )
    return found


def asked_of(tool: Tool, request_id: str, person_id: str, now: datetime) -> Asked:
    """Return a request to the person who has typed its code; raises NotFound."""
    with tool.db.read() as session:
        row = session.scalar(_request(request_id).where(OAuthRequest.person_id == person_id))
        if row is None or row.expires_at <= now:
            raise _over()
        return _asked(row)


def answer(
    tool: Tool,
    request_id: str,
    person_id: str,
    *,
    allow: bool,
    with_name: bool = False,
    with_email: bool = False,
    browser: str | None = None,
    now: datetime,
) -> None:
    """Keep what a learner answers, once: of a request whose code she typed, or of one in her own `browser`.

    Allowing makes the connection, in place of an earlier one with the same backpack."""
    repeat_collided(lambda: _answer(tool, request_id, person_id, allow, with_name, with_email, browser, now))


def _answer(
    tool: Tool,
    request_id: str,
    person_id: str,
    allow: bool,
    with_name: bool,
    with_email: bool,
    browser: str | None,
    now: datetime,
) -> None:
    with tool.db.write() as session:
        hers = OAuthRequest.person_id == person_id
        if browser is not None:
            here = OAuthRequest.browser_hash == digest(browser)
            hers = here & (hers | OAuthRequest.person_id.is_(None))
        row = session.scalar(
            _request(request_id)
            .where(hers, OAuthRequest.expires_at > now)
            .with_for_update(of=OAuthRequest, key_share=True)
        )
        if row is None:
            raise _over()
        if row.decision is not None:
            raise Conflict(sentence=Sentence("You have answered this backpack already."), what_to_do="")
        row.decision, row.person_id = ALLOWED if allow else REFUSED, person_id
        told = {"backpack": f"{row.client.name}, {row.client.host}"}
        actor, subject = audit.person(person_id), audit.person(person_id)
        if not allow:
            audit.record(session, now, actor, "backpack.refused", subject, **told)
            return
        profile = oauth_clients.READ_PROFILE in row.scope.split()
        session.execute(
            update(OAuthGrant)
            .where(
                OAuthGrant.client_id == row.client_id, OAuthGrant.person_id == person_id, OAuthGrant.ended_at.is_(None)
            )
            .values(ended_at=now)
        )
        grant = OAuthGrant(
            id=secrets.token_hex(16),
            client_id=row.client_id,
            person_id=person_id,
            scope=row.scope,
            with_name=with_name and profile,
            with_email=with_email and profile,
            created_at=now,
            expires_at=row.expires_at + CODE_LASTS,
        )
        session.add(grant)
        session.flush()
        row.grant_id = grant.id
        if READ_CREDENTIALS in row.scope.split():
            holder_id = session.get_one(Person, person_id).holder_id
            hers_now = select(Award).where(Award.person_id == holder_id, Award.status == "issued")
            for award in session.scalars(hers_now.where(Award.claimed_at.is_not(None)).order_by(Award.id)):
                counting.count(session, counting.SHARED, award, now, where="backpack")
        audit.record(
            session,
            now,
            actor,
            "backpack.allowed",
            subject,
            **told,
            scope=[each.rpartition("/")[2] for each in row.scope.split()],
            name=grant.with_name,
            email=grant.with_email,
        )


def finish(tool: Tool, request_id: str, browser: str, *, cancel: bool = False, now: datetime) -> str:
    """Return where the browser goes back to, once: with a code, or with the refusal.

    `cancel`: whoever sits before it gives up; what nobody has answered is refused then."""
    with tool.db.write() as session:
        row = session.scalar(
            _request(request_id)
            .where(
                OAuthRequest.browser_hash == digest(browser),
                OAuthRequest.expires_at > now,
                OAuthRequest.finished_at.is_(None),
            )
            .with_for_update(of=OAuthRequest, key_share=True)
        )
        if row is None:
            raise _over()
        if row.decision is None:
            if not cancel:
                raise Conflict(
                    sentence=Sentence("This backpack is not allowed yet."),
                    what_to_do=Sentence("Type the code into “My badges” in your course first."),
                )
            row.decision = REFUSED
        row.finished_at = now
        if row.decision == REFUSED or row.grant_id is None:
            return back_to(tool, row.redirect_uri, row.state, error="access_denied")
        code = secrets.token_urlsafe(32)
        session.add(
            OAuthCode(
                code_hash=digest(code),
                grant_id=row.grant_id,
                redirect_uri=row.redirect_uri,
                code_challenge=row.code_challenge,
                expires_at=now + CODE_LASTS,
            )
        )
        return back_to(tool, row.redirect_uri, row.state, code=code, scope=row.scope)


def back_to(tool: Tool, redirect_uri: str, state: str, **values: str) -> str:
    """Return a backpack's address with an answer in it, and who gives it (RFC 9207)."""
    told = {**values, **({"state": state} if state else {}), "iss": tool.settings.base_url}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(told)}"
