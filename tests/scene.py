"""Both sides of the wire in one process: the demo LMS in a thread, the tool in another, real HTTP between them."""

from __future__ import annotations

import atexit
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from weakref import WeakSet

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar, get_cookie_header
from sqlalchemy import Connection, Dialect, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule
from werkzeug.serving import BaseWSGIServer, make_server

from lti_tool import create_app, demo
from lti_tool.db import Database
from lti_tool.jobs import RUNNERS
from lti_tool.keyring import load_keyring
from lti_tool.migrations import schema
from lti_tool.services import administrators, audit, catalog, platforms, work
from lti_tool.services.tool import Tool
from lti_tool.settings import Settings, load_settings

LIBRARY = Path(__file__).parent.parent / "config" / "badges"
ORAL = "oral-communication"
COURSE = "EMP101"
RUNNING: WeakSet[Scene] = WeakSet()
catalog.SIZE = 150  # at 600 packing a badge's picture takes as long as all else of publishing it
PREPARED: set[str] = set()  # databases that have the schema already


@contextmanager
def make_database(server: str, folder: Path, *, prepared: bool = False) -> Iterator[str]:
    """Give the address of an empty database: a SQLite file, or a database of its own on a PostgreSQL server.

    `prepared`: with the schema already, where that is quicker than to put it there later."""
    if not server:
        yield f"sqlite:///{folder / 'tool.db'}"
        return
    name = f"test_{secrets.token_hex(6)}"
    template = _migrated(server) if prepared else "template0"
    with _administration(server) as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    if prepared:
        PREPARED.add(url)
    try:
        yield url
    finally:
        with _administration(server) as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def prepare_database(url: str) -> None:
    """Give an empty database the schema: a copy of one that the migrations made once in this process."""
    address = make_url(url)
    if url in PREPARED:
        return
    if address.get_backend_name() == "sqlite":
        shutil.copyfile(_migrated(""), str(address.database))
        return
    server = address.set(database="postgres").render_as_string(hide_password=False)
    with _administration(server) as connection:
        connection.execute(text(f'DROP DATABASE "{address.database}"'))
        connection.execute(
            text(f'CREATE DATABASE "{address.database}" TEMPLATE "{_migrated(server)}" STRATEGY file_copy')
        )


@contextmanager
def _administration(server: str) -> Iterator[Connection]:
    engine = create_engine(make_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@cache
def _migrated(server: str) -> str:
    """Return the migrated database that others are copied from: a SQLite file, or a name on a PostgreSQL server."""
    stack = ExitStack()
    atexit.register(stack.close)
    stack.enter_context(suppress(DBAPIError))  # a server that has ended before us has taken its databases along
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="lti-tool-tests-")))
    url = stack.enter_context(make_database(server, folder))
    db = Database(url)
    schema.upgrade(db)
    if not server:
        with db.engine.connect() as connection:  # all of it in the one file that is copied
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    db.engine.dispose()
    return str(make_url(url).database)


@cache
def _tool_keys() -> Path:
    """Return a folder of keys for the tool, made once: three RSA keys take longer than most tests."""
    folder = TemporaryDirectory(prefix="lti-tool-tests-")
    atexit.register(folder.cleanup)
    load_keyring(Path(folder.name) / "keys", now())
    return Path(folder.name) / "keys"


@cache
def _platform_keys() -> dict[str, list[RSAPrivateKey]]:
    return {mood: [generate_private_key(65537, 2048) for _ in range(4)] for mood in ("canvas", "moodle")}


class _Compiled(BytecodeCache):
    """Each template as it was compiled first in this process: a page's take as long as the rest of a scene."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self._kept.get((bucket.key, bucket.checksum))) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


COMPILED = _Compiled()


class _Written(Rule):
    """An address whose writer was made once in this process: werkzeug compiles two for each of an app's 300."""

    _writers: ClassVar[dict[tuple[Any, ...], Callable[..., tuple[str, str]]]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        # What it makes looks up the rule's converters only when it is called.
        key = self.rule, tuple(self._trace), repr(self.defaults), append_unknown
        if key not in self._writers:
            self._writers[key] = super()._compile_builder(append_unknown)
        return self._writers[key]


Flask.url_rule_class = _Written


def keep_statements(db: Database) -> None:
    """Let a database use the statements that SQLAlchemy has compiled for others on the same server in this process.

    Those of a scene take longer than a launch, a publishing and a sync with them. A dialect knows its server and
    nothing of a database, and is part of a statement's key."""
    url = db.engine.url
    server = url.drivername, url.host, url.port
    dialect, statements = STATEMENTS.setdefault(server, (db.engine.dialect, LRUCache(5000)))
    for engine in (db.engine, db._writing):
        engine.dialect, engine._compiled_cache = dialect, statements


STATEMENTS: dict[tuple[Any, ...], tuple[Dialect, LRUCache[Any, Any]]] = {}


def settings_for(folder: Path, database_url: str, base_url: str, **more: str) -> Settings:
    told = {
        "LTI_TOOL_SERVER__BASE_URL": base_url,
        "LTI_TOOL_DATABASE__URL": database_url,
        "LTI_TOOL_DATABASE__REVOCATIONS": str(folder / "revocations.jsonl"),
        "LTI_TOOL_EVIDENCE__DIR": str(folder / "evidence"),
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
        "LTI_TOOL_ISSUER__NAME": "Hallwood University",
        "LTI_TOOL_ISSUER__URL": "https://hallwood.example",
        "LTI_TOOL_ISSUER__SLUG": "hallwood",
        **more,
    }
    return load_settings(told)


@dataclass
class Visitor:
    """A browser as far as HTTP goes: cookies, the launch it is in, and the form tokens of its pages."""

    scene: Scene
    http: requests.Session = field(default_factory=lambda: browser_session())
    home: str = ""
    page: requests.Response | None = None

    @property
    def launch(self) -> str:
        return self.home.rstrip("/").rpartition("/")[2]

    def get(self, path: str, **options: Any) -> requests.Response:
        """Open a page below the launch's home, or any address of the tool that begins with a slash."""
        url = f"{self.scene.url}{path}" if path.startswith("/") else f"{self.home}{path}"
        return self.http.get(url, timeout=20, **options)

    def post(self, path: str, data: dict[str, str] | None = None, **options: Any) -> requests.Response:
        """Send a form with the CSRF token of the home page."""
        url = f"{self.scene.url}{path}" if path.startswith("/") else f"{self.home}{path}"
        sent = {"csrf": token_in(self.get("").text), **(data or {})}
        return self.http.post(url, data=sent, timeout=20, **options)


@dataclass
class Administrator(Visitor):
    """An administrator's browser: every address begins with a slash, and a form's token is that of any of her pages."""

    def sign_in(self, address: str, name: str = "") -> Administrator:
        """Open a one-time address and press its button; the answer is at `page`."""
        asked = self.http.get(address, timeout=20)
        email = re.search(r'id="email"[^>]* value="([^"]*)"', asked.text)
        sent = {"csrf": token_in(asked.text), "name": name, "email": email[1] if email else ""}
        self.page = self.http.post(address, data=sent, timeout=20)
        return self

    def post(self, path: str, data: dict[str, str] | None = None, **options: Any) -> requests.Response:
        sent = {"csrf": token_in(self.get("/admin/keys").text), **(data or {})}
        return self.http.post(f"{self.scene.url}{path}", data=sent, timeout=20, **options)


def token_in(page: str) -> str:
    """Return the CSRF token of a page, empty where it has no form."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    return found[1] if found else ""


class Scene:
    """`lms` is the demo LMS in one mood, `tool` the installation behind the pages at `url`."""

    def __init__(self, folder: Path, database_url: str, *, mood: str = "moodle", **settings: str) -> None:
        self.folder = folder
        self.site = demo.start(port=0, private_keys=_platform_keys())
        self.server, self.url = _listen()
        self.settings = settings_for(folder, database_url, self.url, **settings)
        prepare_database(database_url)
        shutil.copytree(_tool_keys(), self.settings.keys.dir, dirs_exist_ok=True)
        self.app: Flask = create_app(self.settings)
        self.app.jinja_env.bytecode_cache = COMPILED
        self.tool: Tool = self.app.extensions["lti_tool"]
        keep_statements(self.tool.db)
        self.tool.wake = self._wake
        self.tool.status_lag = 0  # whoever withdraws here looks at the list in the same moment
        self.server.app = self.app
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.platform: dict[str, int] = {}
        self.lti_tool: dict[str, demo.Tool] = {}
        for name in ("canvas", "moodle"):
            self.register(name)
        self.mood = mood
        RUNNING.add(self)

    def forget_sign_ins(self) -> None:
        """Let the next test sign in as often as it likes: those before it came from the same address, seconds ago."""
        for limit in (
            "sign_in_limit",
            "oauth_registrations",
            "oauth_requests",
            "backpack_codes",
            "own_links",
            "own_opened",
        ):
            self.app.extensions[limit]._left.clear()

    def stop(self) -> None:
        self.server.shutdown()
        self.site.stop()
        self.tool.db.engine.dispose()

    def _wake(self, job_id: int) -> None:
        """Look at once: the queue itself has tests of its own."""
        work.run(self.tool, job_id, RUNNERS)

    @property
    def lms(self) -> demo.Lms:
        return getattr(self.site, self.mood)

    @property
    def context(self) -> str:
        return str(self.lms.course(COURSE).id)

    def register(self, mood: str, *, deployments: int = 1, named: Sequence[str] = ()) -> int:
        """Register the tool with a mood of the LMS and the LMS with the tool; returns the platform's id."""
        lms = getattr(self.site, mood)
        tool = lms.register_tool(
            f"{self.url}/lti/login",
            f"{self.url}/lti/launch",
            f"{self.url}/.well-known/jwks.json",
            deployments=deployments,
        )
        self.lti_tool[mood] = tool
        self.platform[mood] = platforms.add_platform(
            self.tool,
            name=f"{mood} {tool.client_id}",
            issuer=lms.issuer,
            client_id=tool.client_id,
            auth_login_url=lms.auth_url,
            auth_token_url=lms.token_url,
            jwks_url=lms.jwks_url,
            auth_audience=None,
            deployment_ids=named,
            product=mood,
            now=now(),
        )
        return self.platform[mood]

    def launch(
        self, user: str, course: str | None = COURSE, *, tool: demo.Tool | None = None, **options: Any
    ) -> Visitor:
        """Launch as somebody, the way a browser does it; the answer is at `page`."""
        visitor = Visitor(self)
        return self.launch_again(visitor, user, course, tool=tool, **options)

    def launch_again(
        self,
        visitor: Visitor,
        user: str,
        course: str | None = COURSE,
        *,
        tool: demo.Tool | None = None,
        auth: dict[str, Any] | None = None,
        **options: Any,
    ) -> Visitor:
        asked = self.lms.login_request(tool or self.lti_tool[self.mood], user, course, **options)
        started = visitor.http.post(f"{self.url}/lti/login", data=asked, allow_redirects=False, timeout=20)
        if started.status_code != 302:
            visitor.page = started
            return visitor
        form = self.lms.finish_auth(started.headers["Location"], **(auth or {}))
        visitor.page = visitor.http.post(form["target"], data=form["fields"], timeout=20)
        visitor.home = visitor.page.url if "/course/" in visitor.page.url or "/me/" in visitor.page.url else ""
        return visitor

    def administrator(self, name: str = "Vera Lindqvist", email: str = "") -> Administrator:
        """Sign somebody in as administrator with an address of the operator's; returns her browser."""
        return Administrator(self).sign_in(
            administrators.invite(self.tool, email=email, actor=audit.OPERATOR, now=now()), name
        )

    def publish(self, slug: str = ORAL, *, user: str = "teacher1") -> Visitor:
        """Launch as an instructor and publish a badge of the library; returns her browser."""
        teacher = self.launch(user)
        done = teacher.post(f"library/{slug}")
        assert done.status_code == 200, done.text
        done = teacher.post(f"badges/{slug}/publish")
        assert done.status_code == 200, done.text
        return teacher

    def grade(self, user: str, *points: float | None, slug: str = ORAL, course: str = COURSE) -> None:
        """Enter points in the badge's columns, in their order, as a teacher does in the gradebook."""
        columns = [c for c in self.lms.columns(course) if c.resource_id == f"badge:{slug}"]
        for column, score in zip(columns, points, strict=False):
            self.lms.grade(course, column.tag, user, score)

    def sync(self) -> dict[str, Any]:
        """Sync every course now; returns the counts of the last one."""
        from lti_tool.services import sync

        outcome: dict[str, Any] = {}
        for course_id in sync.courses_to_sync(self.tool):
            job = work.wait(self.tool, work.request(self.tool, "sync", str(course_id), now()), RUNNERS)
            outcome = {"state": job.state, "problem": job.problem, **job.outcome}
        return outcome

    def awards(self) -> list[dict[str, Any]]:
        from lti_tool.services import awards

        return awards.listing(self.tool)

    def award_of(self, user: str) -> dict[str, Any]:
        """Return the newest award of somebody, by the demo LMS's user name."""
        sub = self.lms.user(user).id
        return [row for row in self.awards() if row["user"] == sub][-1]


class Cookies(HTTPAdapter):
    """Keeps cookies as browsers do: Secure ones go to http://localhost too, which requests' own jar refuses."""

    def __init__(self) -> None:
        self.jar = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
        super().__init__()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.headers.pop("Cookie", None)
        if header := get_cookie_header(self.jar, request):
            request.headers["Cookie"] = header
        response = super().send(request, **options)
        extract_cookies_to_jar(self.jar, request, response.raw)
        return response


def browser_session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", Cookies())
    return session


def _listen() -> tuple[BaseWSGIServer, str]:
    server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
    return server, f"http://localhost:{server.server_port}"


def now() -> datetime:
    return datetime.now(UTC)
