"""The connection to Moodle's web services: a token of an account for all courses, or a teacher's own for hers.

A token is tried before it is kept, and lies sealed in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select

from lti_tool.db import repeat_collided
from lti_tool.errors import BadInput, NotConnected, NotFound
from lti_tool.grades import moodle
from lti_tool.grades.moodle import Moodle, Site
from lti_tool.grades.source import MOODLE_COURSE_GRADE, MOODLE_RUBRIC, AskedCourse, Connector
from lti_tool.models import Connection, Course, Person, Registration
from lti_tool.sentence import Sentence
from lti_tool.services import audit, platform_load
from lti_tool.services.access import checked_address, connection_of
from lti_tool.services.tool import Tool

KIND = "moodle"
NEEDED, FURTHER = moodle.NEEDED, moodle.FURTHER
LONGEST = 500  # characters of a token


def connect(tool: Tool, platform_id: int, *, address: str, token: str, actor: str, now: datetime) -> None:
    """Try a token for all courses of a platform, and keep it. An empty one leaves the one that is there.

    Raises BadInput, or NotConnected with what has to be clicked in Moodle."""
    with tool.db.read() as session:
        registration = session.get(Registration, platform_id)
        if registration is None or registration.product != KIND:
            raise NotFound(f"no Moodle {platform_id}")
        issuer = registration.issuer
        row = session.scalar(_of_platform(platform_id))
        known = tool.keyring.unseal(row.secrets)["token"] if row is not None and not token.strip() else ""
    checked = _checked_token(token) if token.strip() else known
    caller = Moodle(tool.http, _checked_address(tool, address), checked, platform=platform_id)
    if not caller.token:
        raise BadInput(sentence=NO_TOKEN)
    site = _tried(caller, issuer)
    repeat_collided(lambda: _keep(tool, platform_id, None, caller, site, actor, now))


def connect_course(tool: Tool, course_id: int, person_id: str, *, token: str, actor: str, now: datetime) -> None:
    """Try a teacher's own token in her course, and keep it for this course alone. Raises as `connect`."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        if course.registration.product != KIND:
            raise NotFound(f"course {course_id} is in no Moodle")
        platform_id, issuer = course.registration_id, course.registration.issuer
        sub = session.get_one(Person, person_id).sub
        shared = session.scalar(_of_platform(platform_id))
        address, context_id = shared.address if shared is not None else issuer, course.context_id
    if not token.strip():
        raise BadInput(sentence=NO_TOKEN)
    caller = Moodle(tool.http, _checked_address(tool, address), _checked_token(token), platform=platform_id)
    site = _tried(caller, issuer)
    if site.user_id != sub:
        # A colleague's token would go on reading with her rights, whoever teaches here; an account for many courses is
        # an administrator's to give.
        raise BadInput(
            "another account",
            reason="another_account",
            sentence=Sentence("This token belongs to another account than the one that opened this course."),
            what_to_do=Sentence("Sign in to Moodle as yourself and copy your own token."),
        )
    moodle.offered(caller, AskedCourse(context_id))  # it may know her, and not let her see this course's rubrics
    repeat_collided(lambda: _keep(tool, platform_id, course_id, caller, site, actor, now))


NO_TOKEN = Sentence("Paste the token that Moodle shows.")


def _of_platform(platform_id: int) -> Select[Connection]:
    query = select(Connection).where(Connection.kind == KIND, Connection.course_id.is_(None))
    return query.where(Connection.registration_id == platform_id)


def _checked_token(token: str) -> str:
    token = token.strip()
    if not token.isascii() or not token.isalnum() or len(token) > LONGEST:
        raise BadInput(
            sentence=Sentence("This does not look like a token: it is made of letters and digits alone."),
            what_to_do=Sentence("Copy it from Moodle once more, without anything around it."),
        )
    return token


def _checked_address(tool: Tool, address: str) -> str:
    """Return Moodle's address without what a browser shows behind it; raises BadInput for one we do not go to."""
    shown = address.strip().rstrip("/").removesuffix("/index.php").removesuffix("/my")
    return checked_address(tool, shown, Sentence("Write the address of your Moodle, as https://moodle.example.edu."))


def _tried(caller: Moodle, issuer: str) -> Site:
    """Return what the token opens; raises NotConnected where it is not this platform's Moodle, or not enough."""
    site = moodle.site(caller)
    if site.address != issuer.rstrip("/"):
        # Course 2 and person 5 are somebody else there.
        raise NotConnected(
            "another site",
            reason="another_site",
            sentence=Sentence(
                "This is the Moodle at %(address)s, and not the one of this platform.", address=site.address
            ),
            what_to_do=Sentence("The address has to be that of %(issuer)s.", issuer=issuer),
        )
    lacking = [name for name in site.missing if name in NEEDED]
    if lacking:
        raise NotConnected(
            "functions missing",
            reason="moodle_function",
            sentence=Sentence("The token's service lacks functions: %(names)s.", names=lacking),
            what_to_do=Sentence(
                "In Moodle: Site administration → Server → Web services → External services → Functions → "
                "Add functions."
            ),
        )
    return site


def _keep(
    tool: Tool, platform_id: int, course_id: int | None, caller: Moodle, site: Site, actor: str, now: datetime
) -> None:
    with tool.db.write() as session:
        if session.get(Registration, platform_id) is None:
            raise NotFound(f"no platform {platform_id}")
        query = _of_platform(platform_id)
        if course_id is not None:
            query = select(Connection).where(Connection.kind == KIND, Connection.course_id == course_id)
        row = session.scalar(query.with_for_update())
        if row is None:
            row = Connection(registration_id=platform_id, course_id=course_id, kind=KIND)
            session.add(row)
        row.address, row.account, row.problem = caller.address, site.user_name or site.user_id, None
        row.secrets = tool.keyring.seal({"token": caller.token})
        row.created_by, row.created_at, row.used_at = actor, now, now
        # What its service does not tell stands in the open: that functions are missing is no secret.
        row.client_id = " ".join(site.missing)
        session.flush()
        told = {"course": course_id} if course_id is not None else {}
        audit.record(session, now, actor, "connection.made", f"connection:{row.id}", kind=KIND, **told)


def lacking(row: Connection | None) -> tuple[str, ...]:
    """Return the further functions a connection's service lacks, as it was when it was tried."""
    return tuple(row.client_id.split()) if row is not None and row.kind == KIND else ()


def open_caller(tool: Tool, course_id: int) -> Moodle:
    """Return who calls Moodle for a course, see `connection_of`; raises NotConnected where there is nobody."""
    with tool.db.read() as session:
        course = session.get_one(Course, course_id)
        row = connection_of(session, course, KIND)
        if row is None:
            raise NotConnected("no access to Moodle")
        platform, address, token = course.registration_id, row.address, tool.keyring.unseal(row.secrets)["token"]
    return Moodle(tool.http, address, token, platform=platform, answered=platform_load.watcher(tool, platform))


CONNECTOR = Connector(
    kind=KIND,
    rows=MOODLE_RUBRIC,
    gates=MOODLE_COURSE_GRADE,
    open=open_caller,
    offered=moodle.offered,
    read=moodle.read,
)
