"""What a verified launch opens: person, course, enrolment, and the session its pages live in."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import repeat_collided
from lti_tool.errors import NotPermitted, SessionEnded
from lti_tool.lti.claims import Context
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.nrps import Member
from lti_tool.lti.platforms import platform_of
from lti_tool.lti.registration import digest, origin_of
from lti_tool.lti.roles import Role
from lti_tool.models import Browser, Course, Deployment, Enrolment, Launch, Person, Registration
from lti_tool.services import audit, erased, notices, origins, schedule, work
from lti_tool.services.tool import Tool, log
from lti_tool.services.words import LANGUAGES

SESSION_LASTS = timedelta(hours=12)
CARRIED_LASTS = timedelta(hours=2)  # an address is easier to lose than a cookie
MOST_ORIGINS = 50
HOST = re.compile(r"[a-z0-9._:-]+")
MANAGE, LOOK, LEARN = "manage", "look", "learn"
ANYBODY = "anybody"  # no right: whoever has launched, from a course or not
OWN = "own"  # likewise, for pages of her own badges: which those are, services.own_badges says


@dataclass(frozen=True)
class Opened:
    """A session that was opened. `secret` goes into the cookie, also where it is the one the browser has: it lives on.

    Where no cookie comes, `secret` is the launch's own token, and `carried`: `address` brings it along.
    `sync_is_old`: the course has a badge, and its grades were read longer ago than the settings allow at a launch, or
    are read more rarely than where somebody is there.
    `jobs` are those this launch made due, for the caller to wake."""

    launch_id: str
    secret: str
    rights: frozenset[str]
    course_id: int | None
    sync_is_old: bool
    jobs: tuple[int, ...] = ()
    carried: bool = False

    @property
    def address(self) -> str:
        """What stands for the launch in the addresses of its pages; `split_address` takes it apart."""
        return f"{self.launch_id}.{self.secret}" if self.carried else self.launch_id


@dataclass(frozen=True)
class LaunchSession:
    """The session behind a request: who, where, and what she may do there."""

    launch_id: str
    person_id: str
    person_name: str
    course_id: int | None
    course_title: str
    course_label: str
    product: str
    rights: frozenset[str]
    test_user: bool
    locale: str
    registration_id: int


# -- what the protocol room asks for ----------------------------------------------------------------------------


def deployment_status(tool: Tool, registration_id: int, deployment_id: str, now: datetime) -> str:
    """Return "approved" for a deployment that may launch; an unknown one is approved or noted as the settings say."""
    with tool.db.read() as session:
        row = _deployment(session, registration_id, deployment_id)
        named = session.get_one(Registration, registration_id).deployments_named
    if row is None:
        first_launch = not named and tool.settings.lti.approve_deployments == "first-launch"
        row = _add_deployment(tool, registration_id, deployment_id, "active" if first_launch else "pending", now)
    return "approved" if row.status == "active" else row.status


def _deployment(session: Session, registration_id: int, deployment_id: str) -> Deployment | None:
    return session.scalar(
        select(Deployment).where(
            Deployment.registration_id == registration_id, Deployment.deployment_id == deployment_id
        )
    )


def _add_deployment(tool: Tool, registration_id: int, deployment_id: str, status: str, now: datetime) -> Deployment:
    try:
        with tool.db.write() as session:
            row = Deployment(
                registration_id=registration_id, deployment_id=deployment_id, status=status, created_at=now
            )
            session.add(row)
            session.flush()
            audit.record(session, now, audit.TOOL, "deployment.seen", f"deployment:{row.id}", status=status)
            return row
    except IntegrityError:  # another first launch was quicker (J10)
        with tool.db.read() as session:
            found = _deployment(session, registration_id, deployment_id)
        if found is None:
            raise
        return found


# -- opening ----------------------------------------------------------------------------------------------------


def open_launch(
    tool: Tool, launch: VerifiedLaunch, browser_secret: str | None, now: datetime, *, carried: bool = False
) -> Opened:
    """Write down who launched where, and open a session. First launches that collide are tried again (J10).

    `carried`: the browser sends no cookie, so the session gets a token that its addresses carry."""
    return repeat_collided(lambda: _open(tool, launch, browser_secret, now, carried))


def _open(tool: Tool, launch: VerifiedLaunch, browser_secret: str | None, now: datetime, carried: bool) -> Opened:
    with tool.db.write() as session:
        deployment = _deployment(session, launch.registration_id, launch.deployment_id)
        if deployment is None:
            raise NotPermitted("the deployment is gone")
        deployment.former = False  # the client id of today launches from it
        registration = deployment.registration
        _learn_origins(registration, launch)
        person = _person(tool, session, launch, now)
        if person.disabled:
            raise NotPermitted("the person is disabled")
        course, is_new = _course(session, registration, deployment, launch, now)
        roles = role_words(launch)
        jobs = []
        if course is not None:
            _enrol(session, course, person, launch)
            if origins.news(session, course, launch, first=is_new, now=now):
                jobs.append(work.request_in(session, "copy", str(course.id), now, again=True))
        if notices.news(deployment, launch):
            jobs.append(work.request_in(session, "subscribe", str(deployment.id), now))
        if carried:
            secret, browser_id = secrets.token_urlsafe(32), None
        else:
            secret, browser_id = _browser(session, person, browser_secret, now)
        row = Launch(
            browser_id=browser_id,
            token_hash=digest(secret) if carried else None,
            deployment_pk=deployment.id,
            person_id=person.id,
            course_id=course.id if course else None,
            role=roles,
            locale=(launch.locale or "")[:20],
            created_at=now,
            expires_at=now + (CARRIED_LASTS if carried else SESSION_LASTS),
        )
        session.add(row)
        session.flush()
        return Opened(
            launch_id=row.id,
            secret=secret,
            rights=rights_of(roles, tool.settings.lti.teaching_assistants),
            course_id=course.id if course is not None else None,
            sync_is_old=course is not None,
            jobs=tuple(jobs),
            carried=carried,
        )


def _learn_origins(registration: Registration, launch: VerifiedLaunch) -> None:
    """Remember where this LMS's pages come from: only those may frame ours (frame-ancestors)."""
    new = [origin for origin in told_origins(launch, registration.product) if origin not in registration.origins]
    if new:
        registration.origins = [*registration.origins, *new][:MOST_ORIGINS]


def told_origins(launch: VerifiedLaunch, product: str) -> list[str]:
    """Return the origins that a verified launch names as the LMS's own.

    `$Canvas.api.domain` counts on Canvas alone, and there only from the course's own menu: whoever sets up a link or an
    activity writes its custom parameters, and in both those of the link come last."""
    seen = [launch.return_url]
    from_menu = product == "canvas" and origins.link_id(launch) is None
    if from_menu and (domain := launch.custom.get("canvas_api_domain")):
        seen.append(f"https://{domain}")
    return [origin for address in seen if address and (origin := safe_origin(address))]


def safe_origin(address: str) -> str:
    """Return the origin of an address, empty where it is none that may stand in a policy."""
    try:
        parts, origin = urlsplit(address), origin_of(address)
    except ValueError:  # a port that is none, half an IPv6 address
        return ""
    # A name or number as DNS knows it, so that neither "*" nor a further directive gets into the policy.
    return origin if parts.scheme in ("https", "http") and HOST.fullmatch(parts.hostname or "") else ""


def _person(tool: Tool, session: Session, launch: VerifiedLaunch, now: datetime) -> Person:
    person = session.scalar(
        select(Person).where(Person.registration_id == launch.registration_id, Person.sub == launch.sub)
    )
    if person is None:
        erased.refuse(tool, session, launch.registration_id, launch.sub)
        person = Person(
            registration_id=launch.registration_id,
            sub=launch.sub,
            subject_id=f"urn:uuid:{uuid.uuid4()}",
            created_at=now,
        )
        session.add(person)
    person.name = told_name(launch) or person.name or ""
    if launch.email:
        person.email = launch.email[:255]
    person.test_user = person.test_user or launch.test_user
    person.language = told_language(launch) or person.language or ""
    session.flush()
    return person


def told_language(launch: VerifiedLaunch) -> str:
    """Return the language a launch tells, of those there are words for; else empty."""
    language = (launch.locale or "").strip().replace("_", "-").partition("-")[0].lower()
    return language if language in LANGUAGES else ""


def told_name(launch: VerifiedLaunch) -> str:
    """Return the name a launch tells, empty where the LMS keeps it back."""
    names = " ".join(part for part in (launch.given_name, launch.family_name) if part)
    return (launch.name or names)[:255]


def course_context(product: str, launch: VerifiedLaunch) -> Context | None:
    """Return the launch's context where it is a course: Canvas launches from an account's menu too."""
    if launch.context is None or not platform_of(product).is_course(launch.context.type):
        return None
    return launch.context


def _course(
    session: Session, registration: Registration, deployment: Deployment, launch: VerifiedLaunch, now: datetime
) -> tuple[Course | None, bool]:
    """Return the launch's course brought up to it, and whether it was not known before."""
    context = course_context(registration.product, launch)
    if context is None:
        return None, False
    course = session.scalar(
        select(Course).where(Course.deployment_pk == deployment.id, Course.context_id == context.id)
    )
    is_new = course is None
    if course is None:
        course = _moved_course(session, registration, deployment, context.id)
    if course is None:
        course = Course(
            registration_id=registration.id,
            deployment_pk=deployment.id,
            context_id=context.id,
            scopes=[],
            history=[],
            created_at=now,
        )
        session.add(course)
    course.title = (context.title or course.title or "")[:255]
    course.label = (context.label or course.label or "")[:255]
    if launch.ags is not None and launch.ags.line_items:
        if course.line_items_url != launch.ags.line_items:
            _warn_of_shared_gradebook(session, course, launch.ags.line_items)
        course.line_items_url = launch.ags.line_items
        course.scopes = list(launch.ags.scopes)
    if launch.memberships_url:
        course.memberships_url = launch.memberships_url
    ends_at = told_end(launch, registration.product, now)
    if ends_at is not None and ends_at != course.ends_at:
        course.ends_at = ends_at
        schedule.moment_set(session, course, now)
    course.starts_at, course.term = told_begin(launch, registration.product, (course.starts_at, course.term))
    session.flush()
    return course, is_new


def told_end(launch: VerifiedLaunch, product: str, now: datetime) -> datetime | None:
    """Return when the course ends as a launch tells it: the next of several ends that lies ahead, else the last."""
    told = platform_of(product).course_ends(launch.custom)
    return min((moment for moment in told if moment > now), default=max(told, default=None))


def told_begin(
    launch: VerifiedLaunch, product: str, known: tuple[datetime | None, str | None]
) -> tuple[datetime | None, str]:
    """Return when the course begins and what its term is called, as a launch tells, or else as it is known."""
    platform = platform_of(product)
    return platform.course_begins(launch.custom) or known[0], platform.term(launch.custom) or known[1] or ""


def _moved_course(
    session: Session, registration: Registration, deployment: Deployment, context_id: str
) -> Course | None:
    """Return the course that was launched under the platform's former client id, taken over by this deployment.

    An LMS gives a new client id new deployment ids, and its courses keep theirs. Two former deployments with the same
    context id are two courses: nobody can say which of them this is."""
    known = session.scalars(
        select(Course)
        .join(Deployment, Course.deployment_pk == Deployment.id)
        .where(
            Course.registration_id == registration.id,
            Course.context_id == context_id,
            Deployment.former,
            Deployment.id != deployment.id,
        )
    ).all()
    if len(known) != 1:
        return None
    known[0].deployment_pk = deployment.id
    return known[0]


def _warn_of_shared_gradebook(session: Session, course: Course, line_items_url: str) -> None:
    others = session.scalars(
        select(Course.id).where(
            Course.registration_id == course.registration_id,
            Course.line_items_url == line_items_url,
            Course.deployment_pk != course.deployment_pk,
            Course.id != course.id,
        )
    )
    for other in others:
        log.warning("courses %s and %s of two deployments name the same gradebook", course.id, other)


def main_role(who: Member | VerifiedLaunch) -> str:
    """Return the course role with most rights as a word, "" for somebody who has none here."""
    return who.course_roles[0].value if who.course_roles else ""


def most_rights(*roles: str) -> str:
    """Return of such words the one with most rights, "" where all are."""
    return next((role.value for role in Role if role.value in roles), "")


def _enrol(session: Session, course: Course, person: Person, launch: VerifiedLaunch) -> None:
    role = main_role(launch)
    enrolment = session.get(Enrolment, (course.id, person.id))
    if enrolment is None:
        enrolment = Enrolment(course_id=course.id, person_id=person.id, active=True)
        session.add(enrolment)
        course.roster_digest = None  # the roster may not name her, and then says so again at the next reading
    enrolment.launch_role = role
    told = platform_of(course.registration.product).sections(launch.custom)
    if told is not None and enrolment.sections != (sections := [list(each) for each in told]):
        enrolment.sections = sections
    session.flush()


def _browser(session: Session, person: Person, secret: str | None, now: datetime) -> tuple[str, str]:
    """Return the secret for the browser's cookie and the id of its row: new ones where it needs them.

    Another person in the same browser gets a new secret, and the earlier person's pages end with the old one."""
    if secret:
        known = session.scalar(select(Browser).where(Browser.secret_hash == digest(secret)))
        if known is not None and known.person_id == person.id:
            return secret, known.id
        if known is not None:
            session.execute(delete(Launch).where(Launch.browser_id == known.id))
            session.delete(known)
            session.flush()
    fresh = secrets.token_urlsafe(32)
    browser = Browser(secret_hash=digest(fresh), person_id=person.id, created_at=now)
    session.add(browser)
    session.flush()
    return fresh, browser.id


def role_words(launch: VerifiedLaunch) -> str:
    """Return every course role of a launch as words with blanks between, "" for somebody who has none here."""
    return " ".join(role.value for role in launch.course_roles)


def rights_of(roles: str, teaching_assistants: str) -> frozenset[str]:
    """Return what course roles, as words with blanks between, may do here together: manage badges, look, learn.

    Only context roles count; a role of the institution or the system gives nothing (D01, D02)."""
    assistant = {"none": frozenset[str](), "review": frozenset({LOOK}), "manage": frozenset({MANAGE, LOOK})}
    rights = {
        "Instructor": frozenset({MANAGE, LOOK}),
        "Administrator": frozenset({MANAGE, LOOK}),
        "TeachingAssistant": assistant[teaching_assistants],
        "Learner": frozenset({LEARN}),
    }
    return frozenset[str]().union(*(rights.get(role, frozenset()) for role in roles.split()))


# -- the session behind a request -------------------------------------------------------------------------------


def split_address(address: str) -> tuple[str, str]:
    """Return the launch id and the token that an address of a launch's page carries, "" where a cookie proves it."""
    launch_id, _, token = address.partition(".")
    return launch_id, token


def opened_by(address: str, browser_secret: str | None) -> ColumnElement[bool]:
    """Return the condition on launches that a request proves: one by its token, or all of the browser by its cookie.

    A launch is opened in the one way or the other: no cookie opens one that has a token, and no token any other."""
    launch_id, token = split_address(address)
    if token:
        return (Launch.id == launch_id) & (Launch.token_hash == digest(token))
    browser = select(Browser.id).where(Browser.secret_hash == digest(browser_secret or ""))
    return Launch.browser_id == browser.scalar_subquery()


def find_session(tool: Tool, address: str, browser_secret: str | None, now: datetime) -> LaunchSession:
    """Return the session of a request: the address names the launch, cookie or token prove it, both are needed.

    Registration, deployment and person are looked at again each time: what was switched off ends here (D13)."""
    launch_id, token = split_address(address)
    if not browser_secret and not token:
        raise SessionEnded("no cookie")
    query = (
        select(Launch)
        .where(Launch.id == launch_id, opened_by(address, browser_secret))
        .options(
            joinedload(Launch.person),
            joinedload(Launch.course),
            joinedload(Launch.deployment).joinedload(Deployment.registration),
        )
    )
    with tool.db.read() as session:
        row = session.scalar(query)
    if row is None or row.expires_at <= now:
        raise SessionEnded("no such launch in this browser")
    registration = row.deployment.registration
    if row.switched_off:
        raise SessionEnded("switched off", reason="disabled")
    return LaunchSession(
        launch_id=row.id,
        person_id=row.person_id,
        person_name=row.person.called,
        course_id=row.course_id,
        course_title=row.course.title if row.course else "",
        course_label=row.course.label if row.course else "",
        product=registration.product,
        rights=rights_of(row.role, tool.settings.lti.teaching_assistants),
        test_user=row.person.test_user,
        locale=row.locale,
        registration_id=registration.id,
    )


def csrf_token(secret: str, launch_id: str) -> str:
    """Return the token every form of a launch's pages carries.

    Nothing but this launch and its secret makes it: the browser's, or the launch's own token where no cookie comes."""
    return hashlib.sha256(f"csrf\0{secret}\0{launch_id}".encode()).hexdigest()


def product_of(tool: Tool, registration_id: int) -> str:
    with tool.db.read() as session:
        return session.get_one(Registration, registration_id).product


def frame_origins(tool: Tool, registration_id: int) -> list[str]:
    """Return the origins that may frame this registration's pages: the one of its login address, and those learned."""
    with tool.db.read() as session:
        row = session.get(Registration, registration_id)
        if row is None:
            return []
        return _origins(row.auth_login_url, row.issuer, *row.origins)


def platform_origins(tool: Tool, registration_id: int) -> list[str]:
    """Return every origin that is known to be the platform's own, those that only servers call too.

    Canvas' cloud signs everybody in at one host and returns to the institution's: that of the token address."""
    with tool.db.read() as session:
        row = session.get_one(Registration, registration_id)
        return _origins(row.auth_login_url, row.issuer, row.auth_token_url, row.jwks_url, *row.origins)


def _origins(*addresses: str) -> list[str]:
    return sorted({origin for address in addresses if (origin := safe_origin(address))})
