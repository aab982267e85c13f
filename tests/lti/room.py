"""The lti room beside a running demo LMS: real HTTP, real keys, a real SQLite login store."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from lti_tool.http import Http
from lti_tool.keyring import Key, thumbprint
from lti_tool.lti.claims import Launch
from lti_tool.lti.launch import verify_launch
from lti_tool.lti.login import StartedLogin, start_login
from lti_tool.lti.platform_keys import KeyCache, StoredJwks
from lti_tool.lti.registration import LoginRow, Registration
from lti_tool.lti.service import Service
from lti_tool.lti.token import TokenCache

OUR_LAUNCH = "http://tool.localhost:8000/lti/launch"
OUR_LOGIN = "http://tool.localhost:8000/lti/login"
NUMBERS = itertools.count(1)


class Clock:
    """The real time, moved by hand; the demo LMS and the tool each have one."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def seconds(self) -> float:
        return self().timestamp()


class LoginStore:
    """The login table as the app keeps it: one row per login, used up by one conditional UPDATE."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.connect() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                "CREATE TABLE login (state_hash TEXT PRIMARY KEY, nonce TEXT, registration_id INTEGER, target TEXT,"
                " browser_hash TEXT, storage_target TEXT, created_at TEXT, expires_at TEXT, consumed_at TEXT)"
            )

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=10, isolation_level=None)

    def add(self, row: LoginRow) -> None:
        values = [value.isoformat() if isinstance(value, datetime) else value for value in astuple(row)]
        with self.connect() as database:
            database.execute("INSERT INTO login VALUES (?,?,?,?,?,?,?,?,?)", values)

    def find(self, state_hash: str) -> LoginRow | None:
        found = self.connect().execute("SELECT * FROM login WHERE state_hash = ?", (state_hash,)).fetchone()
        if found is None:
            return None
        times = [datetime.fromisoformat(value) if value else None for value in found[6:]]
        return LoginRow(*found[:6], *times)

    def use(self, state_hash: str, _launch: Launch) -> bool:
        with self.connect() as database:
            done = database.execute(
                "UPDATE login SET consumed_at = ? WHERE state_hash = ? AND consumed_at IS NULL",
                (datetime.now(UTC).isoformat(), state_hash),
            )
            return done.rowcount == 1

    def reset(self) -> None:
        """Make every login unused again."""
        with self.connect() as database:
            database.execute("UPDATE login SET consumed_at = NULL")

    def used(self) -> int:
        return self.connect().execute("SELECT count(*) FROM login WHERE consumed_at IS NOT NULL").fetchone()[0]


def make_key() -> Key:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Key(thumbprint(private.public_key()), "lti", private, datetime.now(UTC))


class Room:
    """One registration at one demo LMS, with a course of an instructor and students."""

    def __init__(self, lms: Any, folder: Path, key: Key, jwks_url: str, clock: Clock) -> None:
        lms.faults.clear()
        lms.requests.clear()
        lms.max_page_size = None
        self.lms = lms
        self.clock = clock
        self.key = key
        self.http = Http(allow_private=True, sleep=self._slept, timeout=(2, 3), total_timeout=20)
        self.pauses: list[float] = []
        self.tool = lms.register_tool(OUR_LOGIN, OUR_LAUNCH, jwks_url)
        self.course = lms.add_course(f"C{next(NUMBERS)}")
        self.teacher = lms.add_user(self.course, "instructor")
        self.students = [lms.add_user(self.course, "student") for _ in range(3)]
        self.registration = Registration(
            id=next(NUMBERS),
            issuer=lms.issuer,
            client_id=self.tool.client_id,
            auth_login_url=lms.auth_url,
            auth_token_url=lms.token_url,
            jwks_url=lms.jwks_url,
            product=lms.name,
        )
        self.registrations = [self.registration]
        self.deployments = {self.tool.deployment_id: "approved"}
        self.logins = LoginStore(folder / f"logins-{next(NUMBERS)}.sqlite")
        self.jwks: dict[int, StoredJwks] = {}
        self.keys = self.new_key_cache()
        self.tokens = self.new_token_cache()

    def _slept(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def new_key_cache(self) -> KeyCache:
        """A cache as a freshly started process has it."""
        return KeyCache(self.http, load=self.jwks.get, save=self.jwks.__setitem__)

    def new_token_cache(self) -> TokenCache:
        return TokenCache(self.http, signing_key=lambda: self.key, clock=self.clock)

    # -- launches

    def login(self, user: Any = None, **params: Any) -> StartedLogin:
        """Begin at the LMS; `params` are parameters of the login request to change (None: leave out)."""
        params = {"course": self.course, **params}
        asked = self.lms.login_request(self.tool, user or self.teacher, **params)
        return self.start(asked)

    def start(self, asked: dict[str, str]) -> StartedLogin:
        started = start_login(
            asked, find_registrations=self.find_registrations, our_redirect_uri=OUR_LAUNCH, now=self.clock()
        )
        self.logins.add(started.row)
        return started

    def find_registrations(self, issuer: str, client_id: str | None) -> list[Registration]:
        return [r for r in self.registrations if r.issuer == issuer and client_id in (None, r.client_id)]

    def form(self, started: StartedLogin, **overrides: Any) -> dict[str, str]:
        """The form the LMS has the browser post; overrides as in `Lms.finish_auth`."""
        return self.lms.finish_auth(started.redirect_url, **overrides)["fields"]

    def verify(self, form: dict[str, str], secret: str | None, **changes: Any) -> Launch:
        arguments = {
            "find_login": self.logins.find,
            "use_login": self.logins.use,
            "find_registration": lambda wanted: next((r for r in self.registrations if r.id == wanted), None),
            "deployment_status": lambda registration, deployment: self.deployments.get(deployment, "unknown"),
            "keys": self.keys,
            "browser_secret": secret,
            "now": self.clock(),
            **changes,
        }
        return verify_launch(form, **arguments)

    def launch(self, user: Any = None, *, login: dict[str, Any] | None = None, **overrides: Any) -> Launch:
        """From click to Launch; `overrides` bend the id token as in `Lms.finish_auth`."""
        started = self.login(user, **(login or {}))
        return self.verify(self.form(started, **overrides), started.browser_secret)

    def asked(self, service: str) -> list[Any]:
        """The requests the LMS answered for one of its services."""
        return [request for request in self.lms.requests if request.service == service]

    # -- services

    def service(self, **changes: Any) -> Service:
        arguments = {
            "registration": self.registration,
            "http": self.http,
            "tokens": self.tokens,
            "granted": frozenset(scope for scope in self.tool.scopes if "/lti-ags/" in scope),
            "deployment_id": self.tool.deployment_id,
            **changes,
        }
        return Service(**arguments)

    @property
    def line_items_url(self) -> str:
        return self.lms.lineitems_url(self.course, self.tool)

    @property
    def memberships_url(self) -> str:
        return self.lms.memberships_url(self.course, self.tool)
