"""What the demo LMS remembers: people, courses, gradebook columns, links and tools."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class User:
    id: str  # the `sub` of a launch and the `userId` of a score
    number: int  # the LMS's own numeric id
    given_name: str
    family_name: str
    email: str
    username: str
    sourcedid: str
    admin: bool = False
    suspended: bool = False
    locale: str = "en"  # the language they have chosen in the LMS

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


@dataclass
class Enrolment:
    user_id: str
    role: str  # instructor, ta, student, test, observer, designer
    active: bool = True
    sections: list[tuple[int, str]] = field(default_factory=list)  # Canvas: sections; Moodle: groups


@dataclass
class Grade:
    """One cell of the gradebook. `changed` is in seconds since 1970, UTC."""

    number: int
    score: float | None
    changed: float
    by: str  # teacher or tool
    comment: str | None = None
    result_score: float | None = None  # Canvas keeps the result on the scale of its first writer
    result_maximum: float | None = None
    extension: dict[str, Any] | None = None
    overridden: bool = False


@dataclass
class Column:
    """A gradebook column; for its tool, a line item."""

    number: int
    course_id: str
    label: str
    maximum: float
    tag: str | None = None
    resource_id: str | None = None
    client_id: str | None = None  # the tool that sees it; None: the teacher's own column
    link_id: str | None = None
    coupled: bool = False
    extra: bool = False  # Canvas: a second line item of one link has results but no column
    published: bool = True
    submission_type: str | None = None
    start: str | None = None
    end: str | None = None
    grades: dict[str, Grade] = field(default_factory=dict)


@dataclass
class Link:
    """A place in a course that opens a tool: a Canvas assignment, a Moodle activity."""

    id: str
    number: int
    course_id: str
    client_id: str
    deployment_id: str
    title: str
    url: str
    text: str = ""
    custom: dict[str, str] = field(default_factory=dict)
    column: int | None = None
    navigation: bool = False


@dataclass
class Course:
    id: str  # the context id
    number: int
    label: str
    title: str
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    concluded: bool = False
    ends_at: str = ""  # as the LMS writes a moment; empty: it has no end
    starts_at: str = ""
    term: str = "Default Term"  # as Canvas calls that of a course nobody gave one
    history: list[str] = field(default_factory=list)  # context ids it was copied from, newest first
    withdrawn: list[str] = field(default_factory=list)  # client ids not deployed here (any more)
    total_hidden: bool = False  # Moodle: the course total


@dataclass
class Tool:
    client_id: str
    number: int
    deployment_ids: list[str]
    login_url: str
    launch_url: str
    jwks_url: str
    name: str = "Badges"
    redirect_uris: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    custom: dict[str, Any] = field(default_factory=dict)
    privacy: str = "public"  # public, name_only, email_only, anonymous
    active: bool = True  # Canvas: the key's state is On; Moodle: not pending
    shown: bool = True  # Moodle: in the activity chooser
    placements: list[str] = field(default_factory=list)
    description: str = ""
    # Canvas: where each deployment wants its notices, by their type
    notice_handlers: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def deployment_id(self) -> str:
        return self.deployment_ids[0]


@dataclass
class Launch:
    """A launch somebody has asked for; its hint can be used once."""

    tool: Tool
    user: User
    course: Course | None
    link: Link | None
    deployment_id: str
    message_type: str
    target_link_uri: str
    placement: str | None = None
    for_user: User | None = None
    window: bool = False  # opened outside the course page's iframe
    expires: float = 0.0
    used: bool = False


@dataclass
class Access:
    """What one access token may do."""

    client_id: str
    scopes: list[str]
    expires: float
    uses_left: int | None = None


@dataclass
class WebToken:
    """A token of Moodle's web services: whose it is, and which functions its service has."""

    user_id: str
    functions: list[str]
    expires: float | None = None
    elsewhere: bool = False  # restricted to addresses that the tool's is not one of


@dataclass(frozen=True)
class Request:
    """One request the LMS answered."""

    method: str
    path: str
    query: str
    status: int
    accept: str | None
    content_type: str | None
    authorization: str | None
    user_agent: str | None
    body: str
    service: str
    at: float


def course_from(plain: dict[str, Any]) -> Course:
    """Rebuild a course from its snapshot."""
    enrolments = {key: Enrolment(**value) for key, value in plain["enrolments"].items()}
    return Course(**{**plain, "enrolments": enrolments})


def column_from(plain: dict[str, Any]) -> Column:
    """Rebuild a column from its snapshot."""
    grades = {key: Grade(**value) for key, value in plain["grades"].items()}
    return Column(**{**plain, "grades": grades})
