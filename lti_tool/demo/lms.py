"""One LMS: its people, courses, gradebook and tools, and what a test can do with them."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from . import launches, moodle_rubrics, registration
from .canvas import Canvas
from .faults import Faults
from .keys import SigningKey, sign
from .moodle import Moodle
from .records import (
    Access,
    Column,
    Course,
    Enrolment,
    Grade,
    Launch,
    Link,
    Request,
    Tool,
    User,
    WebToken,
    column_from,
    course_from,
)

MOODS: dict[str, type[Canvas] | type[Moodle]] = {"canvas": Canvas, "moodle": Moodle}
REQUESTS_KEPT = 5000
CLASS_LIST = {"student", "test"}


class Lms:
    """A small but honest LTI 1.3 platform.

    `mood` is "canvas" or "moodle". `server_base` is where other servers call it, `browser_base` where a browser
    does ("http://localhost:9000", "http://lms.localhost:9000"); both without the mood's prefix.
    `clock` gives seconds since 1970. With `state_path` the LMS loads itself from that file and saves after changes.
    `private_keys` are what a new one signs with first; without them it makes its own, 0.1 s each.
    """

    def __init__(
        self,
        mood: str,
        server_base: str,
        browser_base: str,
        clock: Callable[[], float] = time.time,
        state_path: Path | str | None = None,
        private_keys: Iterable[RSAPrivateKey] = (),
    ) -> None:
        self.name = mood
        self.server_root = f"{server_base.rstrip('/')}/{mood}"
        self.browser_root = f"{browser_base.rstrip('/')}/{mood}"
        self.clock = clock
        self.state_path = Path(state_path) if state_path else None
        self.lock = threading.RLock()
        self.tools: dict[str, Tool] = {}
        self.users: dict[str, User] = {}
        self.courses: dict[str, Course] = {}
        self.columns_by_number: dict[int, Column] = {}
        self.links: dict[str, Link] = {}
        self.assignments: dict[int, moodle_rubrics.Assignment] = {}  # Moodle: its own, with a rubric
        self.serials: dict[str, int] = {}
        self.keys: list[SigningKey] = []
        self.web_tokens: dict[str, WebToken] = {}  # Moodle: of its web services
        self.web_services = True  # Moodle: switched on by its administrator
        self.launches: dict[str, Launch] = {}
        self.registering: dict[str, str] = {}  # registration tokens that are good, with Moodle's client id to be
        self.access: dict[str, Access] = {}
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self.faults = Faults(self)
        self.token_secret = secrets.token_hex(32)
        self.max_page_size: int | None = None  # smaller pages than the LMS's own, for tests of paging
        self.storage_target: str | None = "post_message_forwarding"  # Canvas: "_parent", None too
        self.mood: Canvas | Moodle = MOODS[mood](self)
        self.serials.update(self.mood.first_serials)
        if self.state_path and self.state_path.exists():
            self.load(self.state_path)
        else:
            given = iter(private_keys)
            self.keys = [SigningKey(self.mood.new_kid(), next(given, None)) for _ in range(self.mood.keys_published)]

    def __repr__(self) -> str:
        return f"<Lms {self.issuer}>"

    # Addresses

    @property
    def issuer(self) -> str:
        return self.server_root

    @property
    def auth_url(self) -> str:
        return self.browser_root + self.mood.auth_path

    @property
    def token_url(self) -> str:
        return self.server_root + self.mood.token_path

    @property
    def jwks_url(self) -> str:
        return self.server_root + self.mood.jwks_path

    def lineitems_url(self, course: Course | str, tool: Tool) -> str:
        """Give the address of the course's line items as this tool sees it."""
        return self.mood.lineitems_url(self.course(course), tool)

    def lineitem_url(self, column: Column) -> str:
        """Give the line item's id."""
        return self.mood.lineitem_url(column)

    def memberships_url(self, course: Course | str, tool: Tool) -> str:
        """Give the address of the course's roster as this tool sees it."""
        return self.mood.memberships_url(self.course(course), tool)

    # Tools

    def register_tool(
        self,
        login_url: str,
        launch_url: str,
        jwks_url: str,
        *,
        deployments: int = 1,
        client_id: str | None = None,
        deployment_ids: Iterable[str] | None = None,
        redirect_uris: Iterable[str] | None = None,
        scopes: Iterable[str] | None = None,
        custom: dict[str, Any] | None = None,
        privacy: str = "public",
        name: str = "Badges",
        active: bool = True,
        shown: bool = True,
    ) -> Tool:
        """Register a tool; call it twice for two client ids under one issuer."""
        with self.lock:
            number = self.serial("tool")
            tool = Tool(
                client_id=client_id or self.mood.new_client_id(number),
                number=number,
                deployment_ids=[],
                login_url=login_url,
                launch_url=launch_url,
                jwks_url=jwks_url,
                name=name,
                redirect_uris=list(redirect_uris or [launch_url]),
                scopes=list(self.mood.scopes if scopes is None else scopes),
                custom=dict(self.mood.custom if custom is None else custom),
                privacy=privacy,
                active=active,
                shown=shown,
            )
            tool.deployment_ids = list(deployment_ids or ())
            self.tools[tool.client_id] = tool
            while len(tool.deployment_ids) < deployments:
                self.add_deployment(tool)
            self.changed()
            return tool

    def remove_tool(self, tool: Tool) -> None:
        """Delete a tool with its links; its columns stay in the gradebook, and no tool sees them."""
        with self.lock:
            self.tools.pop(tool.client_id, None)
            self.links = {name: link for name, link in self.links.items() if link.client_id != tool.client_id}
            self.changed()

    def registration_address(self, url: str) -> str:
        """Give the address the LMS opens where an administrator pastes a tool's registration address."""
        return registration.start_address(self, url)

    def add_deployment(self, tool: Tool) -> str:
        """Deploy the tool once more under its client id."""
        deployment_id = self.mood.new_deployment_id(tool, self.serial("deployment"))
        tool.deployment_ids.append(deployment_id)
        self.changed()
        return deployment_id

    def withdraw_tool(self, course: Course | str, tool: Tool) -> None:
        """Take the tool out of one course: its calls there answer 401."""
        self.course(course).withdrawn.append(tool.client_id)
        self.changed()

    def let_tool_in(self, course: Course | str, tool: Tool) -> None:
        """Put a tool back that was taken out of a course."""
        found = self.course(course)
        found.withdrawn = [client_id for client_id in found.withdrawn if client_id != tool.client_id]
        self.changed()

    def switch_tool(self, tool: Tool, active: bool) -> None:
        """Switch a tool on or off for the whole LMS, as the State of a Canvas developer key does."""
        tool.active = active
        self.changed()

    def permit(self, tool: Tool, scope: str, allowed: bool) -> None:
        """Give a tool a permission, or take it away; tokens that are out keep in Canvas what they were given for.

        `scope` is its end: "lineitem", "result.readonly", "score" …; Moodle asks with each call what is allowed now."""
        found = next(one for one in self.mood.scopes if one.rpartition("/")[2] == scope)
        tool.scopes = [one for one in tool.scopes if one != found] + ([found] if allowed else [])
        self.changed()

    def grant(self, token: str, access: Access) -> None:
        """Remember what a new access token may do; forget those long expired."""
        with self.lock:
            self.access = {old: one for old, one in self.access.items() if one.expires > self.clock() - 86400}
            self.access[token] = access
            self.changed()

    # People and courses

    def course(self, course: Course | str) -> Course:
        """Find a course by itself, context id, number or label."""
        if isinstance(course, Course):
            return course
        for found in self.courses.values():
            if course in (found.id, found.label, str(found.number)):
                return found
        raise KeyError(f"no course {course!r}")

    def user(self, user: User | str) -> User:
        """Find a person by themself, id, username or number."""
        if isinstance(user, User):
            return user
        for found in self.users.values():
            if user in (found.id, found.username, str(found.number)):
                return found
        raise KeyError(f"no user {user!r}")

    def add_course(self, label: str, title: str = "", *, course_id: str | None = None) -> Course:
        with self.lock:
            number = self.serial("course")
            course = Course(
                id=course_id or self.mood.new_course_id(number), number=number, label=label, title=title or label
            )
            self.courses[course.id] = course
            self.changed()
            return course

    def add_user(
        self,
        course: Course | str | None,
        role: str,
        *,
        given_name: str | None = None,
        family_name: str | None = None,
        email: str | None = None,
        username: str | None = None,
        user_id: str | None = None,
    ) -> User:
        """Add a person; with a course, enrol them there as `role`; role "admin" needs no course."""
        with self.lock:
            number = self.serial("user")
            username = username or f"{role}{number}"
            user = User(
                id=user_id or self.mood.new_user_id(number),
                number=number,
                given_name=role.title() if given_name is None else given_name,
                family_name=f"Number {number}" if family_name is None else family_name,
                email=f"{username}@example.edu" if email is None else email,
                username=username,
                sourcedid=f"SIS-{username}",
                admin=role == "admin",
            )
            self.users[user.id] = user
            if course is not None and not user.admin:
                self.course(course).enrolments[user.id] = Enrolment(user.id, role)
            self.changed()
            return user

    def enrol(self, course: Course | str, user: User | str, role: str = "student") -> None:
        self.course(course).enrolments[self.user(user).id] = Enrolment(self.user(user).id, role)
        self.changed()

    def unenrol(self, course: Course | str, user: User | str) -> None:
        """Take a person out of the course; their grades stay, as in the real ones."""
        self.course(course).enrolments.pop(self.user(user).id, None)
        self.changed()

    def suspend(self, course: Course | str | None, user: User | str) -> None:
        """Suspend an enrolment; without a course, the account."""
        if course is None:
            self.user(user).suspended = True
        else:
            self.course(course).enrolments[self.user(user).id].active = False
        self.changed()

    def role(self, course: Course | str | None, user: User | str) -> str | None:
        """Tell the person's role in the course, None where they are not (actively) enrolled."""
        enrolment = self.course(course).enrolments.get(self.user(user).id) if course is not None else None
        return enrolment.role if enrolment and enrolment.active else None

    def people(self, course: Course | str, *roles: str) -> list[User]:
        """List the active people of a course, by role if given."""
        enrolments = self.course(course).enrolments.values()
        return [self.users[one.user_id] for one in enrolments if one.active and (not roles or one.role in roles)]

    def learners(self, course: Course | str) -> list[User]:
        """List who has a row in the gradebook, the test student too."""
        return self.people(course, *CLASS_LIST)

    def copy_course(
        self, course: Course | str, label: str | None = None, title: str | None = None, *, learners: bool = False
    ) -> Course:
        """Copy a course: new ids everywhere, same labels, tags, resource ids and custom parameters, no grades.

        Its instructors come along, its learners only where asked for. Canvas then tells the tools that want to know."""
        old = self.course(course)
        new = self._copy(old, label, title, {"instructor", *(CLASS_LIST if learners else ())})
        self.mood.course_copied(new, old)  # outside the lock: the tool fetches our keys to check the notice
        return new

    def _copy(self, old: Course, label: str | None, title: str | None, roles: set[str]) -> Course:
        with self.lock:
            new = self.add_course(label or f"{old.label} copy", title or old.title)
            new.history = [old.id, *old.history]
            for enrolment in old.enrolments.values():
                if enrolment.role in roles:
                    new.enrolments[enrolment.user_id] = Enrolment(enrolment.user_id, enrolment.role)
            new_links = {}
            for link in [one for one in self.links.values() if one.course_id == old.id and not one.navigation]:
                copy = self.add_link(
                    new,
                    self.tools[link.client_id],
                    link.title,
                    url=link.url,
                    text=link.text,
                    custom=dict(link.custom),
                    deployment_id=link.deployment_id,
                )
                new_links[link.id] = copy
            moodle_rubrics.copy(self, old, new)
            of_rubrics = {one.column for one in self.assignments.values()}
            for column in self.columns(old):
                if column.number in of_rubrics:
                    continue
                linked = new_links.get(column.link_id or "")
                made = self.add_column(
                    new,
                    column.label,
                    column.maximum,
                    tag=column.tag,
                    resource_id=column.resource_id,
                    client_id=column.client_id,
                    link_id=linked.id if linked else None,
                    coupled=column.coupled,
                    submission_type=column.submission_type,
                    published=column.published,
                )
                if linked and column.coupled:
                    linked.column = made.number
            self.changed()
            return new

    def conclude_course(self, course: Course | str, concluded: bool = True) -> None:
        self.course(course).concluded = concluded
        self.changed()

    # Links

    def add_link(
        self,
        course: Course | str,
        tool: Tool,
        title: str = "Badges",
        *,
        url: str | None = None,
        text: str = "",
        custom: dict[str, str] | None = None,
        deployment_id: str | None = None,
        maximum: float | None = None,
        tag: str | None = None,
        resource_id: str | None = None,
    ) -> Link:
        """Put a link to the tool into the course; with `maximum` it has a gradebook column coupled to it."""
        course = self.course(course)
        with self.lock:
            number = self.serial("link")
            link = Link(
                id=self.mood.new_link_id(number),
                number=number,
                course_id=course.id,
                client_id=tool.client_id,
                deployment_id=deployment_id or tool.deployment_id,
                title=title,
                url=url or tool.launch_url,
                text=text,
                custom=custom or {},
            )
            self.links[link.id] = link
            if maximum is not None:
                link.column = self.add_column(
                    course,
                    title,
                    maximum,
                    tag=tag,
                    resource_id=resource_id,
                    client_id=tool.client_id,
                    link_id=link.id,
                    coupled=True,
                    submission_type="external_tool",
                ).number
            self.changed()
            return link

    def links_of(self, course: Course | str, tool: Tool | None = None) -> list[Link]:
        course = self.course(course)
        return [
            link
            for link in self.links.values()
            if link.course_id == course.id and (tool is None or link.client_id == tool.client_id)
        ]

    # Gradebook

    def add_column(
        self,
        course: Course | str,
        label: str,
        maximum: float,
        *,
        tag: str | None = None,
        resource_id: str | None = None,
        client_id: str | None = None,
        link_id: str | None = None,
        coupled: bool = False,
        extra: bool = False,
        submission_type: str | None = None,
        published: bool = True,
        start: str | None = None,
        end: str | None = None,
    ) -> Column:
        """Add a gradebook column; without `client_id` it is a teacher's own and no tool sees it."""
        with self.lock:
            column = Column(
                number=self.serial("column"),
                course_id=self.course(course).id,
                label=label,
                maximum=float(maximum),
                tag=tag,
                resource_id=resource_id,
                client_id=client_id,
                link_id=link_id,
                coupled=coupled,
                extra=extra,
                submission_type=submission_type,
                published=published,
                start=start,
                end=end,
            )
            self.columns_by_number[column.number] = column
            self.changed()
            return column

    def columns(self, course: Course | str) -> list[Column]:
        """List the course's columns in the order they were made."""
        course = self.course(course)
        return [column for column in list(self.columns_by_number.values()) if column.course_id == course.id]

    def column(self, course: Course | str, name: Column | str) -> Column:
        """Find a column by itself, tag, resource id, label or number."""
        if isinstance(name, Column):
            return name
        for attribute in ("tag", "resource_id", "label"):
            for column in self.columns(course):
                if getattr(column, attribute) == name:
                    return column
        for column in self.columns(course):
            if str(column.number) == str(name):
                return column
        raise KeyError(f"no column {name!r}")

    def grade(
        self,
        course: Course | str,
        column: Column | str,
        user: User | str,
        score: float | None,
        comment: str | None = None,
    ) -> None:
        """Grade as a teacher does in the gradebook; None takes the grade away (Canvas: or excuses)."""
        with self.lock:
            self.mood.teacher_grades(self.column(course, column), self.user(user), score, comment)
            self.changed()

    def grade_of(self, course: Course | str, column: Column | str, user: User | str) -> Grade | None:
        return self.column(course, column).grades.get(self.user(user).id)

    def score_of(self, course: Course | str, column: Column | str, user: User | str) -> float | None:
        """Tell the points the gradebook shows."""
        grade = self.grade_of(course, column, user)
        return grade.score if grade else None

    def set_maximum(self, course: Course | str, column: Column | str, maximum: float) -> None:
        """Change a column's points as a teacher does."""
        with self.lock:
            self.mood.change_maximum(self.column(course, column), float(maximum))
            self.changed()

    def rename_column(self, course: Course | str, column: Column | str, label: str) -> None:
        self.column(course, column).label = label
        self.changed()

    def publish_column(self, course: Course | str, column: Column | str, published: bool = True) -> None:
        """Publish or unpublish a Canvas assignment."""
        self.column(course, column).published = published
        self.changed()

    def delete_column(self, course: Course | str, column: Column | str) -> None:
        with self.lock:
            found = self.column(course, column)
            del self.columns_by_number[found.number]
            for link in self.links.values():
                if link.column == found.number:
                    link.column = None
            self.changed()

    # Keys

    def rotate_keys(self, times: int = 1) -> None:
        """Change the signing key.

        Canvas publishes past, present and future keys, so after one rotation the signing key was already in a
        cached JWKS; after two or more it was not.
        """
        with self.lock:
            for _ in range(times):
                self.keys = [*self.keys[1:], SigningKey(self.mood.new_kid())]
            self.changed()

    @property
    def signing_key(self) -> SigningKey:
        return self.keys[self.mood.keys_published // 2]

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk for key in self.keys]}

    def sign(self, payload: Any, *, headers: dict[str, Any] | None = None, key: Any = None, alg: str = "RS256") -> str:
        """Sign anything as this LMS, or as somebody who would like to be it."""
        return sign(payload, self.signing_key, alg=alg, headers=headers, secret=key)

    # Launches

    def launch(self, tool: Tool, user: User | str, course: Course | str | None = None, **options: Any) -> Launch:
        """Make a launch; options as in `launches.make`."""
        return launches.make(self, tool, user, course, **options)

    def id_token(
        self,
        tool: Tool,
        user: User | str,
        course: Course | str | None = None,
        *,
        nonce: str,
        message_type: str = launches.RESOURCE_LINK,
        target_link_uri: str | None = None,
        claims: dict[str, Any] | None = None,
        drop: Iterable[str] = (),
        headers: dict[str, Any] | None = None,
        key: Any = None,
        alg: str = "RS256",
        now: float | None = None,
        **options: Any,
    ) -> str:
        """Write any id token, honest or forged.

        `claims` goes deep into the honest claims, `drop` removes claims; both know short names ("roles", "ags").
        A None in `headers` removes that header. `options` as in `launches.make`.
        """
        launch = launches.make(
            self, tool, user, course, message_type=message_type, target_link_uri=target_link_uri, **options
        )
        payload = launches.write_claims(self, launch, nonce, self.clock() if now is None else now, claims, drop)
        return self.sign(payload, headers=headers, key=key, alg=alg)

    def login_request(
        self, tool: Tool, user: User | str, course: Course | str | None = None, **extra: Any
    ) -> dict[str, str]:
        """Give the parameters of a third-party login.

        `extra` are launch options as in `launches.make`, or parameters to change (None: leave out).
        """
        options = {name: extra.pop(name) for name in launches.OPTIONS & extra.keys()}
        launch = launches.make(self, tool, user, course, **options)
        changed = {**launches.login_parameters(self, launch), **extra}
        return {name: str(value) for name, value in changed.items() if value is not None}

    def finish_auth(self, auth_redirect_url: str, **token_overrides: Any) -> dict[str, Any]:
        """Answer the tool's authentication request as the LMS would, without a browser.

        Gives {"target": where to POST, "fields": the form}. Raises `launches.AuthPage` where the LMS would show
        a page of its own. `token_overrides`: claims, drop, headers, key, alg, now, nonce; also `fields` to change
        the form.
        """
        return launches.finish(self, auth_redirect_url, token_overrides)

    # Snapshot

    def serial(self, kind: str) -> int:
        self.serials[kind] = self.serials.get(kind, 0) + 1
        return self.serials[kind]

    def changed(self) -> None:
        if self.state_path:
            self.save(self.state_path)

    def save(self, path: Path | str) -> None:
        """Write everything, keys included, so that a kill at any moment leaves the old file or the new one."""
        path = Path(path)
        with self.lock:
            plain = {
                "version": 1,
                "serials": self.serials,
                "token_secret": self.token_secret,
                "keys": [{"kid": key.kid, "pem": key.private_pem} for key in self.keys],
                "users": [asdict(user) for user in self.users.values()],
                "courses": [asdict(course) for course in self.courses.values()],
                "columns": [asdict(column) for column in self.columns_by_number.values()],
                "links": [asdict(link) for link in self.links.values()],
                "tools": [asdict(tool) for tool in self.tools.values()],
                "access": {token: asdict(access) for token, access in self.access.items()},
                "mood": self.mood.kept(),
            }
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(plain, stream, ensure_ascii=False)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(path)

    def load(self, path: Path | str) -> None:
        """Read a snapshot in place of what is there."""
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
        with self.lock:
            self.serials, self.token_secret = plain["serials"], plain["token_secret"]
            self.keys = [SigningKey.from_pem(key["kid"], key["pem"]) for key in plain["keys"]]
            self.users = {one["id"]: User(**one) for one in plain["users"]}
            self.courses = {one["id"]: course_from(one) for one in plain["courses"]}
            self.columns_by_number = {one["number"]: column_from(one) for one in plain["columns"]}
            self.links = {one["id"]: Link(**one) for one in plain["links"]}
            self.tools = {one["client_id"]: Tool(**one) for one in plain["tools"]}
            self.access = {token: Access(**one) for token, one in plain["access"].items()}
            self.mood.take_back(plain.get("mood", {}))
