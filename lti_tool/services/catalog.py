"""Badges of a course: put in from a definition, published, given out again as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, object_session

from lti_tool.credentials import ob3, picture
from lti_tool.credentials.canonical import EditionTemplate, check_template
from lti_tool.credentials.icons import ICONS
from lti_tool.credentials.picture import COLOUR
from lti_tool.db import repeat_collided
from lti_tool.domain.award import is_released
from lti_tool.domain.badge import SHAPES, Badge, Picture, badge_from_content, number_text
from lti_tool.errors import BadInput, CannotPublish, Conflict, CredentialHeldBack, DefinitionInvalid, JobLost, NotFound
from lti_tool.grades.columns import EARNED, WantedColumn, find_column, wanted_columns
from lti_tool.lti.ags import LINE_ITEM, create_line_item, list_line_items
from lti_tool.models import (
    Achievement,
    AchievementVersion,
    Column,
    Course,
    CourseBadge,
    Deployment,
    Issuer,
    Registration,
)
from lti_tool.sentence import Number, Sentence
from lti_tool.services import audit, draft_values, drift, prerequisites, sources, stacks, versions, work
from lti_tool.services.access import course_service
from lti_tool.services.definition import read_definition, write_definition
from lti_tool.services.issuer import is_complete, issuer_profile
from lti_tool.services.tool import Tool
from lti_tool.services.work import Say
from lti_tool.settings import badge_library

SIZE = 600  # pixels of a badge picture's side


# -- putting in -------------------------------------------------------------------------------------------------


def find_course(session: Session, registration_id: int, context_id: str, deployment: str | None = None) -> Course:
    """Return a course that has been launched; raises NotFound, or Conflict where two deployments have it."""
    if session.get(Registration, registration_id) is None:
        raise NotFound(
            sentence=Sentence("There is no platform %(registration_id)s.", registration_id=registration_id),
            what_to_do=Sentence("See lti-tool platforms list."),
        )
    query = select(Course).join(Deployment).where(Course.registration_id == registration_id)
    query = query.where(Course.context_id == context_id)
    if deployment is not None:
        query = query.where(Deployment.deployment_id == deployment)
        named = (Deployment.registration_id == registration_id, Deployment.deployment_id == deployment)
        if session.scalar(select(Deployment).where(*named)) is None:
            raise NotFound(
                sentence=Sentence(
                    "Platform %(registration_id)s has no deployment %(deployment)s.",
                    registration_id=registration_id,
                    deployment=f"{deployment!r}",
                ),
                what_to_do=Sentence("See lti-tool deployments list."),
            )
    courses = list(session.scalars(query))
    if not courses:
        raise NotFound(
            sentence=Sentence(
                "Platform %(registration_id)s has no course %(context_id)s here yet.",
                registration_id=registration_id,
                context_id=f"{context_id!r}",
            ),
            what_to_do=Sentence("Open the tool once inside that course: only a launch tells where its gradebook is."),
        )
    if len(courses) > 1:
        names = ", ".join(course.deployment.deployment_id for course in courses)
        raise Conflict(
            sentence=Sentence(
                "Course %(context_id)s is there in several deployments: %(names)s.",
                context_id=f"{context_id!r}",
                names=names,
            ),
            what_to_do=Sentence("Say which one is meant with --deployment."),
        )
    return courses[0]


def read_file(path: Path) -> tuple[Badge, bytes | None]:
    """Read a definition file and the picture file it names; raises DefinitionInvalid with lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DefinitionInvalid(
            str(path), [(0, Sentence("cannot be read: %(why)s", why=error.strerror or ""))]
        ) from None
    except UnicodeDecodeError:
        raise DefinitionInvalid(str(path), [(0, Sentence("is not UTF-8 text"))]) from None
    badge = read_definition(text, str(path))
    if not badge.picture.file:
        return badge, None
    try:
        return badge, picture.read_picture_file((path.parent / badge.picture.file).read_bytes())
    except OSError as error:
        problem = Sentence(
            "picture: %(file)s cannot be read: %(why)s", file=badge.picture.file, why=error.strerror or ""
        )
    except BadInput as error:
        problem = Sentence("picture: %(file)s: %(problem)s", file=badge.picture.file, problem=error.sentence)
    raise DefinitionInvalid(str(path), [(0, problem)])


def put_badge(
    tool: Tool, course_id: int, badge: Badge, *, picture_png: bytes | None, actor: str, now: datetime
) -> tuple[str, str]:
    """Put a definition into a course; returns the course badge's id and "new", "changed" or "unchanged".

    A draft is replaced. A published badge keeps its version; a different content waits beside it until published.
    Raises DefinitionInvalid for one that would have to be earned before itself."""
    return repeat_collided(lambda: _put_badge(tool, course_id, badge, picture_png, actor, now))


def _put_badge(
    tool: Tool, course_id: int, badge: Badge, picture_png: bytes | None, actor: str, now: datetime
) -> tuple[str, str]:
    if badge.picture.file and picture_png is None:
        raise DefinitionInvalid(
            badge.slug,
            [
                (
                    0,
                    Sentence(
                        "names the picture file %(file)s, which did not come with it. Use shape, icon, colours",
                        file=badge.picture.file,
                    ),
                )
            ],
        )
    with tool.db.write() as session:
        course = session.get_one(Course, course_id)
        if round_about := prerequisites.circular(session, course.id, badge):
            raise DefinitionInvalid(badge.slug, [(0, Sentence("prerequisites: %(problem)s", problem=round_about))])
        if too_few := stacks.too_few_credits(session, course.id, badge):
            raise DefinitionInvalid(badge.slug, [(0, Sentence("rule: %(problem)s", problem=too_few))])
        query = select(CourseBadge).where(CourseBadge.course_id == course.id, CourseBadge.slug == badge.slug)
        found = session.scalar(query.with_for_update(key_share=True))
        if found is not None:
            refuse_while_publishing(session, found)
        if found is None:
            found = CourseBadge(course_id=course.id, slug=badge.slug, created_at=now)
            session.add(found)
            what = "new"
        elif found.version is not None and found.version.digest == _digest(session, found, badge, picture_png):
            _forget_change(found)
            return found.id, "unchanged"
        else:
            same = found.draft == badge.content() and found.draft_picture == picture_png
            what = "unchanged" if same else "changed"
        _forget_change(found)
        found.draft = badge.content()
        found.draft_picture = picture_png
        session.flush()
        audit.record(session, now, actor, "badge.put", f"badge:{found.id}", slug=badge.slug, what=what)
        return found.id, what


def stands(tool: Tool, course_badge_id: str) -> tuple[str, list[str] | None]:
    """Return a badge's status, and the columns it misses in the gradebook where it is in force as it was put in: then
    there is nothing to publish, and a deleted column is made again by nobody who has not asked for that (F18)."""
    with tool.db.read() as session:
        badge = session.get_one(CourseBadge, course_badge_id)
        if badge.status != "active" or badge.draft is not None:
            return badge.status, None
        reads = {column.tag for column in wanted_columns(definition_of(badge))}
        missing = [column.label for column in badge.columns if column.state != "bound" and column.tag in reads]
        return badge.status, missing


def _forget_change(badge: CourseBadge) -> None:
    """Let go of what is being written: a page that still has it open is told with its next save."""
    badge.draft = badge.draft_picture = badge.draft_picture_svg = None
    if badge.working is not None:
        badge.working, badge.working_by = None, None
        badge.working_revision += 1


def refuse_while_publishing(session: Session, badge: CourseBadge) -> None:
    """Raise Conflict while a badge is being published: what changed now would neither be published nor kept."""
    if badge.status == "publishing" and work.open_job(session, "publish", badge.id) is not None:
        raise Conflict(
            sentence=Sentence("This badge is being published at the moment."),
            what_to_do=Sentence("Wait until that is done, then try again."),
        )


def content_digest(badge: Badge, png: bytes | None) -> str:
    """Return the digest a version is found by: of the definition and, where it names a picture file, of that too."""
    if not badge.picture.file or png is None:
        return badge.digest()
    return hashlib.sha256(badge.digest().encode() + png).hexdigest()


def _digest(session: Session, course_badge: CourseBadge, badge: Badge, png: bytes | None) -> str:
    """Return the digest a version of a course's badge is found by; of a stack: with what its parts mean there."""
    return stacks.digest(content_digest(badge, png), session, course_badge, badge)


def remove_draft(tool: Tool, course_id: int, slug: str, *, actor: str, now: datetime) -> None:
    """Throw a draft away, of a published badge only the change that waits: the badge itself is never removed (H12)."""
    with tool.db.write() as session:
        found = get_badge(session, course_id, slug, lock=True)
        refuse_while_publishing(session, found)
        if found.version_id is not None and (found.draft is not None or found.working is not None):
            _forget_change(found)
            audit.record(session, now, actor, "badge.change_discarded", f"badge:{found.id}", slug=slug)
            return
        came_along = all(column.found for column in found.columns)  # in a copied course; nothing was read from them
        if found.version_id is not None or not came_along:
            raise Conflict(
                sentence=Sentence("This badge has been published, so it stays."),
                what_to_do=Sentence("What was awarded with it must stay checkable."),
            )
        audit.record(session, now, actor, "badge.removed", f"badge:{found.id}", slug=slug)
        for column in found.columns:
            session.delete(column)
        session.flush()
        session.delete(found)


def get_badge(session: Session, course_id: int, slug: str, *, lock: bool = False) -> CourseBadge:
    """Return a course's badge by its slug; raises NotFound (also for another course's)."""
    query = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
    found = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise NotFound(f"no badge {slug} in course {course_id}")
    return found


def badge_id(tool: Tool, course_id: int, slug: str) -> str:
    with tool.db.read() as session:
        return get_badge(session, course_id, slug).id


def definition_of(badge: CourseBadge) -> Badge:
    """Return what counts now: the published version, else the draft."""
    if badge.version is not None:
        return badge.version.badge
    if badge.draft is None:
        raise NotFound(f"badge {badge.id} has neither a version nor a draft")
    return badge_from_content(badge.draft)


def released(badge: CourseBadge, now: datetime) -> bool:
    """Tell whether learners may see levels and awards: by the badge's policy, or because an instructor said so."""
    said = badge.released_at is not None and badge.released_at <= now
    return said or is_released(definition_of(badge), now)


def next_definition(badge: CourseBadge) -> Badge:
    """Return what publishing would publish: the draft, else the published version."""
    return badge_from_content(badge.draft) if badge.draft is not None else definition_of(badge)


def has_definition(badge: CourseBadge) -> bool:
    """Tell whether there is a whole definition: a draft that is still being written has none."""
    return badge.version is not None or badge.draft is not None


def export_badges(tool: Tool, course_id: int) -> dict[str, str]:
    """Return the course's definitions as files: slug → TOML."""
    with tool.db.read() as session:
        badges = session.scalars(select(CourseBadge).where(CourseBadge.course_id == course_id))
        return {badge.slug: write_definition(next_definition(badge)) for badge in badges if has_definition(badge)}


# -- library ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def library() -> Mapping[str, Badge]:
    """Return the example badges of config/badges, by slug."""
    files = {path: read_file(path)[0] for path in badge_library().glob("*.toml")}
    # The skills first, then the examples of other kinds; each by name.
    ordered = sorted(files, key=lambda path: (path.stem.endswith("-example"), files[path].name))
    return {files[path].slug: files[path] for path in ordered}


def called(session: Session, course_id: int, slug: str) -> str:
    """Return what people call a badge that may be a draft of the course, or in the library alone; else its slug."""
    here = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
    badge = session.scalar(here)
    if badge is not None and has_definition(badge):
        return next_definition(badge).name
    return library_name(slug)


def asked_of(session: Session, badge: CourseBadge, definition: Badge, base_url: str) -> dict[str, ob3.StackMember]:
    """Return what the badges that a course badge asks for are called and where they are described, by slug.

    One that is to be earned first and is a draft yet has a name and no address."""
    first = prerequisites.first(session, badge.course_id, definition, base_url)
    for slug in definition.prerequisites:
        if slug not in first:
            first[slug] = ob3.StackMember(slug, called(session, badge.course_id, slug), "")
    return first | stacks.parts_of(session, badge, definition, base_url)


def library_name(slug: str) -> str:
    """Return what the library calls a badge, its slug where it has none of that name."""
    return library()[slug].name if slug in library() else slug


@lru_cache(maxsize=256)
def drawing(badge: Badge) -> str:
    """Return the drawn picture of a badge as SVG."""
    return picture.draw(badge.picture, slug=badge.slug, ribbon=badge.level, pips=picture_pips(badge.level))


def picture_of(tool: Tool, course_id: int, slug: str) -> tuple[str | None, bytes]:
    """Return the picture of a course's badge: its drawing, or None and the PNG that came with it."""
    with tool.db.read() as session:
        badge = get_badge(session, course_id, slug)
        if badge.version is not None:
            return badge.version.picture_svg, badge.version.picture_png
        if badge.draft_picture:
            return None, badge.draft_picture
        if badge.draft is None:
            return sketched(draft_values.definition(badge.working or draft_values.blank("en"), badge.slug)[0]), b""
        return drawing(next_definition(badge)), b""


@lru_cache(maxsize=256)
def sketched(badge: Badge) -> str:
    """Draw a badge that is still being made, also in colours that cannot be published yet."""
    usual, asked = Picture(alt=""), badge.picture
    dark, light = (
        colour if COLOUR.fullmatch(colour) else instead
        for colour, instead in zip(asked.colours, usual.colours, strict=True)
    )
    drawn = replace(
        asked,
        shape=asked.shape if asked.shape in SHAPES else usual.shape,
        icon=asked.icon if asked.icon in ICONS else usual.icon,
        colours=(dark, light),
    )
    pips = picture_pips(badge.level)
    return picture.draw(drawn, slug=badge.slug, ribbon=badge.level, pips=pips, check=False)


def picture_pips(level: str) -> int:
    """Return how many of the four pips a level word fills; none for a word of another scheme."""
    known = ("foundational", "intermediate", "advanced", "mastery")
    return known.index(level.lower()) + 1 if level.lower() in known else 0


# -- publishing -------------------------------------------------------------------------------------------------


def obstacles(session: Session, badge: CourseBadge) -> list[str]:
    """Return why a badge cannot be published yet, each with what to do."""
    definition = next_definition(badge)
    found: list[str] = []
    issuer = session.scalars(select(Issuer)).first()
    if issuer is None or not is_complete(issuer):
        found.append(
            Sentence(
                "The institution that issues badges has no name or web address yet. "
                "An administrator of this tool writes them on the Issuer page, at /admin/issuer."
            )
        )
    if wanted_columns(definition):
        found += list(_gradebook_obstacles(badge.course))
    if badge.status == "retired":
        found.append(Sentence("This badge is retired. Bring it back under History first."))
    for ask in (stacks.obstacles, prerequisites.obstacles):
        found += ask(session, badge, definition, lambda slug: called(session, badge.course_id, slug))
    found += list(_other_maximums(badge, definition))
    found += list(sources.obstacles(session, badge, definition))
    return list(dict.fromkeys(found))  # rows and a condition may want the same connection


def _gradebook_obstacles(course: Course) -> Iterator[str]:
    """Say why no column can be made in a course. A badge that needs none is not asked."""
    if course.line_items_url is None:
        yield Sentence(
            "This course's gradebook is closed to the tool: the launch names no gradebook service. "
            "The LMS administrator has to allow “Assignment and Grade Services” for it."
        )
    elif LINE_ITEM not in course.scopes:
        yield Sentence(
            "The tool may not make gradebook columns here. "
            "The LMS administrator has to allow it to “create and manage line items”."
        )
    if course.state == "concluded":
        yield Sentence("This course has ended, and its gradebook takes no new columns.")


def _other_maximums(badge: CourseBadge, definition: Badge) -> Iterator[str]:
    """Name the rows whose own column has another maximum than they need now: it would count 2 of 4 as 4 of 8.

    A column's maximum is never changed (Moodle fills up with zeros). One that was found, a teacher's copy, may
    have any: its share of the maximum is what counts."""
    made = {column.tag: column for column in badge.columns if not column.found}
    for wanted in wanted_columns(definition):
        column = made.get(wanted.tag)
        if column is not None and Decimal(column.score_maximum) != Decimal(wanted.maximum):
            yield Sentence(
                "“%(code)s” has a gradebook column of %(have)s points, and now needs one of "
                "%(maximum)s. A column keeps its maximum: give the row a new code.",
                code=wanted.code,
                have=Number(column.score_maximum),
                maximum=Number(wanted.maximum),
            )


def freeze_version(session: Session, badge: CourseBadge, definition: Badge, png: bytes, now: datetime) -> None:
    """Give the badge the version with this content: one that is there, the owner's next, or a new achievement."""
    before = badge.version
    digest = _digest(session, badge, definition, png)
    version = session.scalar(select(AchievementVersion).where(AchievementVersion.digest == digest))
    if version is None:
        achievement = _achievement_for(session, badge, definition.slug, now)
        newest = session.scalar(
            select(func.max(AchievementVersion.number)).where(AchievementVersion.achievement_id == achievement.id)
        )
        version = AchievementVersion(
            achievement_id=achievement.id,
            number=(newest or 0) + 1,
            digest=digest,
            definition=definition.content(),
            members=stacks.frozen(session, badge, definition),
            picture_svg=badge.draft_picture_svg if definition.picture.file else drawing(definition),
            picture_png=png,
            published_at=now,
            form=ob3.FORM,
        )
        session.add(version)
        session.flush()
    if badge.version is not None and definition_of(badge).release != definition.release:
        badge.released_at = None  # what an instructor released was another policy's
    badge.version_id, badge.version = version.id, version
    if badge.draft == definition.content() and badge.draft_picture in (None, png):
        _forget_change(badge)
    badge.evaluated = None
    badge.status, badge.published_at = "active", now
    prerequisites.remember(session, badge, definition)
    versions.publish(session, badge, before, now)


def will_belong_to(session: Session, badge: CourseBadge) -> int | None:
    """Return the achievement that publishing the draft would make a version of; None where it makes a new one."""
    digest = draft_digest(badge)
    version = session.scalar(select(AchievementVersion).where(AchievementVersion.digest == digest))
    if version is not None:
        return version.achievement_id
    known = badge.version.achievement if badge.version is not None else None
    known = known or session.scalar(select(Achievement).where(Achievement.slug == badge.slug))
    return known.id if known is not None and known.owner_course_id == badge.course_id else None


def _achievement_for(session: Session, badge: CourseBadge, slug: str, now: datetime) -> Achievement:
    known = badge.version.achievement if badge.version is not None else None
    known = known or session.scalar(select(Achievement).where(Achievement.slug == slug))
    if known is not None and known.owner_course_id == badge.course_id:
        return known
    taken = set(session.scalars(select(Achievement.slug).where(Achievement.slug.startswith(slug))))
    public = next(s for s in (slug, *(f"{slug}-{n}" for n in range(2, 10_000))) if s not in taken)
    achievement = Achievement(slug=public, owner_course_id=badge.course_id, created_at=now)
    session.add(achievement)
    session.flush()
    return achievement


def run_publish(tool: Tool, course_badge_id: str, say: Say) -> dict[str, Any]:
    """Find or make each column, then freeze the version. Repeating it makes nothing twice.

    Each column is kept as soon as the LMS has named it; one whose answer was lost is found again by its tag."""
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id, with_for_update={"key_share": True})
        hindrances = obstacles(session, badge)
        if hindrances:
            badge.status = "active" if badge.version_id else "draft"
            session.commit()
            raise CannotPublish(sentence=hindrances[0])
        definition = next_definition(badge)
        changed = badge.draft is not None
        if changed and badge.asked_digest not in (None, draft_digest(badge)):
            badge.status = "active" if badge.version_id else "draft"
            session.commit()
            raise CannotPublish(sentence=CHANGED_MEANWHILE, what_to_do=LOOK_AGAIN)
        if changed:
            badge.status = "publishing"
        uploaded, course_id = badge.draft_picture, badge.course_id
        # One that is gone is not made again by the way, when a change is published: somebody asks for it. Who has asked
        # is served by a job of its own: two who make one column would both find none.
        asked = {c.tag for c in badge.columns if c.asked_again_at is not None}
        under_way = asked if work.open_job(session, "make_columns", badge.id) is not None else set()
        bound = {c.tag for c in badge.columns if c.state == "bound" or (changed and c.tag not in asked)} | under_way
    try:
        wanted = [column for column in wanted_columns(definition) if column.tag not in bound]
        made = bind_columns(tool, course_badge_id, course_id, definition.resource_id, wanted, say)
        if not changed:  # a column that had been deleted was asked for again, and nothing else
            return {"columns": len(wanted), "made": made, "version": "unchanged"}
        _check_credential(tool, course_badge_id, definition)
        png = uploaded or picture.render_png(drawing(definition), SIZE)
        # Another course may be freezing the same content, or other content under the same slug: it is looked at again.
        number = repeat_collided(lambda: _freeze(tool, course_badge_id, definition, png, made))
        writes_earned = _ask_for_earned(tool, course_badge_id)
    except JobLost:  # another worker publishes it now
        raise
    except Exception:
        _back_to_draft(tool, course_badge_id)
        raise
    with tool.db.write() as session:  # its grades are read with the next sweep
        session.execute(update(Course).where(Course.id == course_id).values(next_sync_at=None))
    say(Sentence("Published."))
    if definition.stack is not None:  # nothing of the LMS's is read for it
        work.start(tool, "evaluate", str(course_id), again=True)
    if writes_earned is not None:
        tool.wake(writes_earned)
    return {"columns": len(wanted), "made": made, "version": number}


def _freeze(tool: Tool, course_badge_id: str, definition: Badge, png: bytes, made: int) -> int:
    now = datetime.now(UTC)
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id, with_for_update={"key_share": True})
        freeze_version(session, badge, definition, png, now)
        number = badge.version.number if badge.version else 0
        audit.record(session, now, audit.TOOL, "badge.published", f"badge:{badge.id}", version=number, made=made)
        return number


def _ask_for_earned(tool: Tool, course_badge_id: str) -> int | None:
    """Make the column due that tells who has earned a badge, where the course wants one and has none yet."""

    def ask() -> int | None:
        with tool.db.write() as session:
            badge = session.get_one(CourseBadge, course_badge_id)
            if not badge.writes_earned or any(column.tag == EARNED for column in badge.columns):
                return None
            return work.request_in(session, "make_columns", badge.id, datetime.now(UTC))

    return repeat_collided(ask)


def _check_credential(tool: Tool, course_badge_id: str, definition: Badge) -> None:
    """Check what the badge's credentials will look like as strictly as any reader will, before anybody earns one.

    Raises CannotPublish; a version that no credential can be signed for would be found out by its first learner."""
    with tool.db.read() as session:
        profile = issuer_profile(session, tool)
        parts = stacks.frozen(session, session.get_one(CourseBadge, course_badge_id), definition)
    address = ob3.achievement_address(profile.base_url, definition.slug, 1)
    described = ob3.achievement(
        definition,
        base_url=profile.base_url,
        slug=definition.slug,
        version=1,
        issuer=profile,
        picture_url=f"{address}.png",
        members=stacks.as_described(parts, profile.base_url),
    )
    try:
        check_template(EditionTemplate(described, profile, needed=stacks.least_results(definition)), definition)
    except CredentialHeldBack as error:
        raise CannotPublish(
            error.detail,
            sentence=Sentence("No credential can be signed for this badge as it is."),
            what_to_do=Sentence("Look for unusual characters in its addresses and texts."),
        ) from error


def bind_columns(
    tool: Tool, course_badge_id: str, course_id: int, resource_id: str, wanted: Sequence[WantedColumn], say: Say
) -> int:
    """Find these columns in the gradebook by their marks, and make those that are not there; returns how many."""
    if not wanted:
        return 0
    service, line_items_url = course_service(tool, course_id)
    items = list_line_items(service, line_items_url, resource_id=resource_id)
    made = 0
    for column in wanted:
        item = find_column(items, resource_id, column.tag)
        found = item is not None
        if item is None:
            item = create_line_item(
                service,
                line_items_url,
                label=column.label,
                maximum=Decimal(column.maximum),
                resource_id=resource_id,
                tag=column.tag,
            )
            made += 1
        with tool.db.write() as session:
            known = session.scalar(
                select(Column).where(Column.course_badge_id == course_badge_id, Column.tag == column.tag)
            )
            if known is None:
                known = Column(course_badge_id=course_badge_id, tag=column.tag)
                session.add(known)
            elif known.url != item.url:
                drift.moved(session, known, datetime.now(UTC))
            else:
                drift.end(session, known, datetime.now(UTC))
            # Answers older than this came from another column: its being empty does not take them back.
            known.created_at, known.found, known.found_by = datetime.now(UTC), found, "marks"
            known.url, known.label, known.state = item.url, item.label, "bound"
            known.score_maximum = number_text(item.maximum)
        told = Sentence("“%(column)s” was there and is used", column=item.label)
        say(told if found else Sentence("“%(column)s” made", column=item.label))
    return made


def _back_to_draft(tool: Tool, course_badge_id: str) -> None:
    with tool.db.write() as session:
        badge = session.get_one(CourseBadge, course_badge_id)
        badge.status = "active" if badge.version_id else "draft"


CHANGED_MEANWHILE = Sentence("This badge has been changed since you looked at what publishing will do.")
LOOK_AGAIN = Sentence("Look at it again, then publish.")


def draft_digest(badge: CourseBadge) -> str:
    """Return what tells one draft from another, the picture that came with it included."""
    session = object_session(badge)
    assert session is not None  # nobody asks for that of a badge that was let go of
    return _digest(session, badge, next_definition(badge), badge.draft_picture)


def start_publishing(
    tool: Tool,
    course_id: int,
    slug: str,
    *,
    actor: str,
    now: datetime,
    counts_for: str = versions.EVERYBODY,
    seen: str | None = None,
) -> int:
    """Mark a badge as being published and make its job due; raises CannotPublish with the first obstacle.

    `counts_for`: for whom a change counts, "everybody" or "new". `seen`: the `draft_digest` of what was looked at;
    raises Conflict where it has been changed since. Returns the job's id; the caller wakes the queue. Both are one
    transaction: a badge never waits for no job."""
    if counts_for not in (versions.EVERYBODY, versions.NEW):
        raise BadInput(sentence=Sentence("Choose for whom the change counts: for everybody, or for new learners only."))
    return repeat_collided(lambda: _start_publishing(tool, course_id, slug, actor, now, counts_for, seen))


def _start_publishing(
    tool: Tool, course_id: int, slug: str, actor: str, now: datetime, counts_for: str, seen: str | None
) -> int:
    with tool.db.write() as session:
        badge = get_badge(session, course_id, slug, lock=True)
        hindrances = obstacles(session, badge)
        if hindrances:
            raise CannotPublish(sentence=hindrances[0])
        digest = draft_digest(badge)
        if seen is not None and seen != digest:
            raise Conflict(sentence=CHANGED_MEANWHILE, what_to_do=LOOK_AGAIN)
        under_way = badge.status == "publishing" and work.open_job(session, "publish", badge.id) is not None
        if not under_way:  # the second of two who press it changes nothing of what the first has asked for
            badge.asked_by, badge.asked_for, badge.asked_digest = actor, counts_for, digest
        if badge.draft is not None:
            badge.status = "publishing"
        audit.record(session, now, actor, "badge.publish", f"badge:{badge.id}", counts_for=badge.asked_for)
        return work.request_in(session, "publish", badge.id, now)
