"""Drafts: begun, written by one person or several, each save kept as typed.

A save names the fields it changes, what stood in them when the page was opened, and the revision it was opened at. What
somebody else has written into the same field meanwhile is never overwritten unseen; other fields do not get in each
other's way. `CourseBadge.draft` is set exactly while the draft is complete, so everything else reads whole
definitions only."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from babel.lists import format_list
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from lti_tool.credentials import picture
from lti_tool.credentials.icons import ICONS
from lti_tool.db import random_id, repeat_collided
from lti_tool.domain.badge import (
    ACHIEVEMENT_TYPES,
    GATE,
    ROW,
    SHAPES,
    SLUG,
    TOTAL,
    Badge,
    badge_from_content,
    number_text,
)
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import AchievementVersion, AuditEvent, CourseBadge, Person
from lti_tool.services import audit, catalog, draft_stack, prerequisites, sources, stacks
from lti_tool.services.draft_acts import act
from lti_tool.services.draft_values import (
    Problems,
    Values,
    blank,
    blank_stack,
    clean,
    complete,
    definition,
    read,
    slug_of,
    usual,
    values_of,
    write,
)
from lti_tool.services.launches import LaunchSession
from lti_tool.services.stack_words import rule_words
from lti_tool.services.tool import Tool
from lti_tool.services.words import said

STEPS = ("about", "rubric", "grades")
ONE_SITTING = timedelta(minutes=15)  # what one person writes within it is one entry of the audit log
MOST_CHANGES = 500
MOST_TOLD = 60  # fields an entry of the audit log names
TOLD = 300  # characters of each
UNNAMED = "new-badge"
LARGEST_PICTURE = picture.LARGEST_FILE


@dataclass(frozen=True)
class Change:
    """A field and its new text. `before` is what the page was opened with, None where it does not say."""

    path: str
    text: str
    before: str | None = None


@dataclass(frozen=True)
class Clash:
    """A field that somebody else has changed meanwhile, or that is gone (`theirs` is None)."""

    path: str
    mine: str
    theirs: str | None


@dataclass(frozen=True)
class Saved:
    revision: int
    at: datetime
    slug: str
    problems: Problems
    sentence: str
    title: str
    clashes: tuple[Clash, ...] = ()
    by: str = ""  # who else has written since the page was opened
    focus: str = ""


@dataclass(frozen=True)
class Choice:
    value: str
    name: str


@dataclass(frozen=True)
class PartChoice:
    """A badge that is, or may be, a part of a stack. `here`: this course has it; `open`: it is published."""

    slug: str
    name: str
    credits: str
    here: bool
    open: bool


@dataclass(frozen=True)
class DraftPage:
    """A draft as its three steps show it."""

    id: str
    slug: str
    values: Values
    problems: Problems
    revision: int
    saved_at: datetime | None
    saved_by: str  # the other person who wrote last, empty where it was oneself or nobody
    version: int  # of what is published, 0 for a draft
    title: str
    sentence: str
    may_rename: bool
    badges: tuple[Choice, ...]  # of this course, for prerequisites
    shapes: tuple[tuple[str, str], ...]  # word, path of its outline
    icons: tuple[tuple[str, str, str], ...]  # name, word, drawing
    row_sources: tuple[str, ...] = ()  # beside rubric and column, where the LMS's own interface is connected
    gate_sources: tuple[str, ...] = ()  # beside column
    clashes: tuple[Clash, ...] = ()  # of the save just made
    typed: Mapping[str, str] = field(default_factory=dict)  # what was sent and not kept
    parts: tuple[PartChoice, ...] = ()  # of a stack, as chosen
    offers: tuple[PartChoice, ...] = ()  # what else may be a part of it
    types: tuple[str, ...] = ACHIEVEMENT_TYPES

    def value(self, path: str) -> str:
        """Return what stands in a field: what was typed just now, else what is kept."""
        return self.typed[path] if path in self.typed else read(self.values, path) or ""

    def left(self, step: str) -> int:
        """Return how much is still missing or wrong in a step."""
        return sum(step_of(path) == step for path in self.problems)

    @property
    def first_step(self) -> str:
        """Return the first step in which something is missing, empty where nothing is."""
        return next((step for step in STEPS if self.left(step)), "about" if self.problems else "")


def where_to_leave_out(page: DraftPage, tag: str) -> tuple[str, str | None, str | None]:
    """Return where a draft asks for a column: the step, the row's or condition's key, and its place on the page."""
    if tag == TOTAL:
        return "grades", None, None
    for kind, what, items in ((ROW, "row", page.values["rows"]), (GATE, "gate", page.values["gates"])):
        for item in items:
            if tag == f"{kind}{item['code']}":
                return "rubric", item["k"], f"{what}-{item['k']}"
    return "rubric", None, None


def step_of(path: str) -> str:
    """Return the step a field stands in."""
    root, _dot, rest = path.partition(".")
    if root in ("columns", "award", "release", "release_at") or (root == "rows" and rest.endswith(".source")):
        return "grades"
    return "rubric" if root in ("rows", "levels", "gates", "rule", "any", "own_levels", "stack") else "about"


# -- what a badge is being written as ---------------------------------------------------------------------------


def written(badge: CourseBadge) -> Values:
    """Return what stands in the form: what was typed last, else the draft, else what is published."""
    if badge.working is not None:
        values: Values = complete(copy.deepcopy(badge.working))
        values["stack"] = draft_stack.usual(values.get("stack"))
        return values
    return values_of(catalog.next_definition(badge))


def find(session: Session, course_id: int | None, badge_id: str, *, lock: bool = False) -> CourseBadge:
    """Return a course's badge by its id; raises NotFound (also for another course's)."""
    query = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.id == badge_id)
    found = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise NotFound("no such badge in this course")
    return found


def editor_page(tool: Tool, who: LaunchSession, badge_id: str) -> DraftPage:
    with tool.db.read() as session:
        badge = find(session, who.course_id, badge_id)
        values = written(badge)
        sketch, found = _checked(session, badge, values)
        by = badge.working_by if badge.working_by != audit.person(who.person_id) else None
        others = session.scalars(
            select(CourseBadge).where(CourseBadge.course_id == badge.course_id, CourseBadge.id != badge.id)
        )
        row_sources, gate_sources = sources.offered_to(session, badge.course)
        return DraftPage(
            row_sources=row_sources,
            gate_sources=gate_sources,
            id=badge.id,
            slug=badge.slug,
            values=values,
            problems=found,
            revision=badge.working_revision,
            saved_at=badge.working_at,
            saved_by=_name_of(session, by),
            version=badge.version.number if badge.version is not None else 0,
            title=_title(values),
            sentence=in_one_sentence(sketch),
            may_rename=_may_rename(badge),
            badges=tuple(Choice(each.slug, _title(written(each))) for each in others if each.status != "retired"),
            parts=tuple(_part(session, badge, slug) for slug in values["stack"]["members"]) if values["stack"] else (),
            offers=tuple(_offers(session, badge, values["stack"]["members"])) if values["stack"] else (),
            shapes=tuple((shape, picture.OUTLINES[shape].ground) for shape in SHAPES),
            icons=tuple(
                (name, said(icon.word), icon.drawing.format(light="currentColor", dark="#0E5468"))
                for name, icon in ICONS.items()
            ),
        )


def _part(session: Session, badge: CourseBadge, slug: str) -> PartChoice:
    """Return what a chosen part is called, or its slug where nobody has made it yet and the library has none."""
    query = select(CourseBadge).where(CourseBadge.course_id == badge.course_id, CourseBadge.slug == slug)
    if (here := session.scalar(query)) is not None:
        return _choice_here(here)
    found = stacks.member(session, badge, slug)
    if found is None:
        return PartChoice(slug, catalog.called(session, badge.course_id, slug), "", here=False, open=False)
    return PartChoice(slug, found.name, number_text(found.credits) if found.credits else "", here=False, open=True)


def _choice_here(badge: CourseBadge) -> PartChoice:
    content = badge.version.definition if badge.version is not None else badge.draft or {}
    name = str(content.get("name") or _title(written(badge)))
    return PartChoice(badge.slug, name, str(content.get("credits", "")), here=True, open=badge.version is not None)


def _offers(session: Session, badge: CourseBadge, chosen: Sequence[str]) -> list[PartChoice]:
    """Return what may be added: badges of this course, then the institution's published ones, each by name."""
    query = select(CourseBadge).where(CourseBadge.course_id == badge.course_id, CourseBadge.status != "retired")
    here = [each for each in session.scalars(query) if each.id != badge.id]
    known = {each.version.achievement_id for each in here if each.version is not None}
    newest = select(func.max(AchievementVersion.id)).group_by(AchievementVersion.achievement_id)
    versions = session.scalars(select(AchievementVersion).where(AchievementVersion.id.in_(newest)))
    own = badge.version.achievement_id if badge.version is not None else None
    slugs = {each.slug for each in here} | {badge.slug}
    elsewhere = [
        PartChoice(
            v.achievement.slug, v.definition["name"], str(v.definition.get("credits", "")), here=False, open=True
        )
        for v in versions
        if v.achievement_id not in known and v.achievement_id != own and v.achievement.slug not in slugs
    ]
    found = [_choice_here(each) for each in here] + elsewhere
    return sorted(
        (each for each in found if each.slug not in chosen), key=lambda each: (not each.here, each.name.casefold())
    )


def _title(values: Values) -> str:
    return values["name"].strip() or _("Untitled badge")


def _name_of(session: Session, actor: str | None) -> str:
    kind, _colon, ident = (actor or "").partition(":")
    person = session.get(Person, ident) if kind == "person" else None
    return person.name if person is not None and person.name else _("Somebody else") if actor else ""


def _may_rename(badge: CourseBadge) -> bool:
    """Tell whether its slug may change: columns are found by it, and a published badge is known by it."""
    return badge.version_id is None and not badge.columns


def in_one_sentence(badge: Badge) -> str:
    """Say what earns the badge."""
    rows = [row for row in badge.sub_competencies if row.name]
    if badge.stack is not None and badge.stack.members:
        title = badge.name or _("this badge")
        return rule_words(badge) + " " + _("“%(badge)s” comes by itself with the last of them.", badge=title)
    if badge.stack is not None or not rows:
        return ""
    levels: dict[str, list[str]] = {}
    for row in rows:
        levels.setdefault(row.required_level, []).append(_("“%(name)s”", name=row.name))
    parts = [
        _("%(level)s in %(rows)s", level=level, rows=_listed(names)) if len(levels) > 1 or len(names) < 6 else level
        for level, names in levels.items()
    ]
    title = badge.name or _("this badge")
    whole = _("A learner earns %(badge)s with %(levels)s.", badge=title, levels=_listed(parts))
    if badge.needed < len(badge.sub_competencies):
        some = ngettext("Any one of them is enough.", "Any %(num)s of them are enough.", badge.needed)
        whole = f"{whole} {some}"
    gates = [_("“%(name)s”", name=gate.name) for gate in badge.gates if gate.name]
    if gates:
        whole = f"{whole} " + _("Besides, this has to hold: %(conditions)s.", conditions=_listed(gates))
    return whole


def _listed(parts: Sequence[str]) -> str:
    return format_list(parts, locale=get_locale() or "en")


# -- begun ------------------------------------------------------------------------------------------------------


def start_blank(
    tool: Tool, course_id: int, *, language: str, of_badges: bool = False, actor: str, now: datetime
) -> str:
    """Begin a badge that nobody has written yet, or one made of badges; returns its id."""
    return repeat_collided(lambda: _start_blank(tool, course_id, language, of_badges, actor, now))


def _start_blank(tool: Tool, course_id: int, language: str, of_badges: bool, actor: str, now: datetime) -> str:
    with tool.db.write() as session:
        slug = free_slug(session, course_id, UNNAMED)
        values = {**(blank_stack if of_badges else blank)(language), "slug": slug}
        badge = CourseBadge(id=random_id(), course_id=course_id, slug=slug, created_at=now, working=values)
        badge.working_at, badge.working_by = now, actor
        session.add(badge)
        session.flush()
        audit.record(session, now, actor, "badge.started", f"badge:{badge.id}")
        return badge.id


def free_slug(session: Session, course_id: int, wanted: str, but: str = "") -> str:
    """Return the slug that is wanted, or that with a number where a badge of the course has it."""
    query = select(CourseBadge.slug).where(CourseBadge.course_id == course_id, CourseBadge.id != but)
    taken = set(session.scalars(query))
    tries = (wanted, *(f"{wanted[:74]}-{number}" for number in range(2, 10_000)))
    return next(slug for slug in tries if slug not in taken)


def unfinished(tool: Tool, course_id: int | None, slug: str) -> str:
    """Return the id of a badge that nobody can look at before it is written whole, empty for any other."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, course_id or 0, slug)
        return "" if catalog.has_definition(badge) else badge.id


def is_written(tool: Tool, course_id: int | None, slug: str) -> bool:
    """Tell whether somebody has written into a course's badge what is not published yet."""
    with tool.db.read() as session:
        query = select(CourseBadge).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
        found = session.scalar(query)
        return found is not None and found.working is not None


def badge_id_of(tool: Tool, course_id: int | None, slug: str) -> str:
    """Return the id of a course's badge, which stays when its slug changes."""
    with tool.db.read() as session:
        return catalog.get_badge(session, course_id or 0, slug).id


def use_library(tool: Tool, course_id: int, slug: str, *, actor: str, now: datetime) -> None:
    """Make a draft of a library badge; one that is here already is left as it is, whatever was made of it."""
    badge = catalog.library().get(slug)
    if badge is None:
        raise NotFound(f"no {slug} in the library")
    with tool.db.read() as session:
        here = session.scalar(
            select(CourseBadge.id).where(CourseBadge.course_id == course_id, CourseBadge.slug == slug)
        )
    if here is None:
        catalog.put_badge(tool, course_id, badge, picture_png=None, actor=actor, now=now)


# -- saved ------------------------------------------------------------------------------------------------------


def save(
    tool: Tool,
    who: LaunchSession,
    badge_id: str,
    changes: Sequence[Change],
    *,
    revision: int,
    does: str = "",
    actor: str,
    now: datetime,
) -> Saved:
    """Keep what was typed, then do one act of `draft_acts`; what clashes is told and not kept.

    Raises Conflict while the badge is being published or once it is retired."""
    if len(changes) > MOST_CHANGES:
        raise BadInput("too many changes at once")
    return repeat_collided(lambda: _save(tool, who, badge_id, changes, revision, does, actor, now))


def _save(
    tool: Tool,
    who: LaunchSession,
    badge_id: str,
    changes: Sequence[Change],
    revision: int,
    does: str,
    actor: str,
    now: datetime,
) -> Saved:
    with tool.db.write() as session:
        badge = find(session, who.course_id, badge_id, lock=True)
        _refuse_closed(session, badge)
        values = written(badge)
        stale = badge.working_revision != revision
        by = _name_of(session, badge.working_by) if stale and badge.working_by != actor else ""
        clashes: list[Clash] = []
        done: dict[str, list[str]] = {}
        for change in changes:
            clash = _apply(values, change, stale, done)
            if clash is not None:
                clashes.append(clash)
        focus = ""
        if does and not clashes:
            focus = act(values, does)
            done[does.partition(":")[0]] = ["", does.partition(":")[2]]
        if done:
            _keep(session, badge, values, actor, now)
            _note(session, badge, done, actor, now)
            if does.startswith("picture.drawn"):
                badge.draft_picture = badge.draft_picture_svg = None
        sketch, found = _checked(session, badge, values)
        return Saved(
            revision=badge.working_revision,
            at=badge.working_at or now,
            slug=badge.slug,
            problems=found,
            sentence=in_one_sentence(sketch),
            title=_title(values),
            clashes=tuple(clashes),
            by=by,
            focus=focus,
        )


def _refuse_closed(session: Session, badge: CourseBadge) -> None:
    catalog.refuse_while_publishing(session, badge)
    if badge.status == "retired":
        raise Conflict(
            sentence=_("This badge is retired, so it is not changed any more."),
            what_to_do=_("What was awarded with it stays checkable for ever."),
        )


def _apply(values: Values, change: Change, stale: bool, done: dict[str, list[str]]) -> Clash | None:
    path, current = change.path, read(values, change.path)
    text = usual(path, change.text)
    if current is None:
        return Clash(path, text, None)
    now, before = usual(path, current), None if change.before is None else usual(path, change.before)
    if now == text:
        return None
    if stale if before is None else now != before:
        return Clash(path, text, current)
    write(values, change.path, change.text)
    done[change.path] = [current, text]
    return None


def _checked(session: Session, badge: CourseBadge, values: Values) -> tuple[Badge, Problems]:
    """Return the definition as far as it goes and what is missing, also what only the course can tell."""
    sketch, found = definition(values, badge.slug)
    wanted = values["slug"].strip()
    if wanted != badge.slug and not values["auto_slug"]:
        if not SLUG.fullmatch(wanted) or len(wanted) > 80:
            found["slug"] = _("Write it in small letters, digits and hyphens, as oral-communication.")
        else:
            found["slug"] = _("Another badge of this course has this short name.")
    whole = "prerequisites" not in found and sketch.prerequisites and sketch.stack is None
    if whole and (round_about := prerequisites.circular(session, badge.course_id, sketch)):
        found["prerequisites"] = round_about
    if sketch.stack is not None and not found.keys() & {"stack.members", "stack.rule", "stack.credits"}:
        if round_about := prerequisites.circular(session, badge.course_id, sketch):
            found["stack.members"] = said(round_about)
        if too_few := stacks.too_few_credits(session, badge.course_id, sketch, badge):
            found["stack.credits"] = said(too_few)
    return sketch, found


def _keep(session: Session, badge: CourseBadge, values: Values, actor: str, now: datetime) -> None:
    _rename(session, badge, values)
    sketch, found = _checked(session, badge, values)
    badge.draft = sketch.content() if not found else None
    if sketch.picture.file and badge.draft_picture is None and badge.version is not None:
        # The published file goes on with the change: publishing would draw one otherwise.
        badge.draft_picture, badge.draft_picture_svg = badge.version.picture_png, badge.version.picture_svg
    badge.working = values
    badge.working_revision += 1
    badge.working_at, badge.working_by = now, actor
    version = badge.version
    if version is not None and values == values_of(badge_from_content(version.definition)):
        same = badge.draft_picture in (None, version.picture_png)
        if same:  # all is as it is published: there is no change any more
            badge.working = badge.draft = badge.draft_picture = badge.draft_picture_svg = None


def _rename(session: Session, badge: CourseBadge, values: Values) -> None:
    """Let the slug follow the name, or what was written, as long as nothing is found by it yet."""
    if not _may_rename(badge):
        values["slug"], values["auto_slug"] = badge.slug, ""
        return
    if values["auto_slug"]:
        wanted = slug_of(values["name"]) or UNNAMED
        if wanted != badge.slug and not _numbered(badge.slug, wanted):
            badge.slug = free_slug(session, badge.course_id, wanted, badge.id)
        values["slug"] = badge.slug
        return
    wanted = values["slug"].strip()
    usable = wanted != badge.slug and SLUG.fullmatch(wanted) and len(wanted) <= 80
    if usable and free_slug(session, badge.course_id, wanted, badge.id) == wanted:
        badge.slug = values["slug"] = wanted


def _numbered(slug: str, wanted: str) -> bool:
    head, _hyphen, number = slug.rpartition("-")
    return head == wanted[:74] and number.isdecimal()


def _note(session: Session, badge: CourseBadge, done: dict[str, list[str]], actor: str, now: datetime) -> None:
    """Write what changed into the audit log: one entry for what one person writes in one sitting."""
    told = {path: [before[:TOLD], after[:TOLD]] for path, (before, after) in done.items()}
    subject = f"badge:{badge.id}"
    query = select(AuditEvent).where(AuditEvent.subject == subject).order_by(AuditEvent.id.desc()).limit(1)
    last = session.scalar(query)
    if (
        last is not None
        and (last.action, last.actor) == ("badge.edited", actor)
        and now - last.at < ONE_SITTING
        and len(last.detail["changed"]) < MOST_TOLD
    ):
        changed = dict(last.detail["changed"])
        for path, (before, after) in told.items():
            changed[path] = [changed[path][0] if path in changed else before, after]
        last.detail = {**last.detail, "changed": changed, "until": now.isoformat(timespec="seconds")}
        return
    audit.record(session, now, actor, "badge.edited", subject, changed=told)


# -- picture ----------------------------------------------------------------------------------------------------


def set_picture(
    tool: Tool, who: LaunchSession, badge_id: str, data: bytes, name: str, *, actor: str, now: datetime
) -> None:
    """Take an author's own picture file in place of the drawn one; raises BadInput with a sentence."""
    png, svg = picture.read_own_picture(data)
    with tool.db.write() as session:
        badge = find(session, who.course_id, badge_id, lock=True)
        _refuse_closed(session, badge)
        values = written(badge)
        file = clean(name).replace("\\", "/").rpartition("/")[2][-80:] or "picture"
        values["picture"].update(kind="file", file=file)
        badge.draft_picture, badge.draft_picture_svg = png, svg
        _keep(session, badge, values, actor, now)
        audit.record(session, now, actor, "badge.picture_changed", f"badge:{badge.id}", file=file, bytes=len(data))


def draft_picture(tool: Tool, who: LaunchSession, badge_id: str, typed: Mapping[str, str]) -> tuple[str | None, bytes]:
    """Return the picture as it is being made: a drawing with what was typed just now, or the PNG that was sent."""
    with tool.db.read() as session:
        query = select(CourseBadge).where(CourseBadge.id == badge_id).options(undefer(CourseBadge.draft_picture))
        session.scalar(query)
        badge = find(session, who.course_id, badge_id)
        values = written(badge)
        if values["picture"]["kind"] == "file" and not typed:
            stored = badge.draft_picture or (badge.version.picture_png if badge.version is not None else None)
            if stored:
                return None, stored
        for name in ("shape", "icon", "dark", "light"):
            if name in typed:
                values["picture"][name] = typed[name][:40]
        level = typed.get("level", values["level"])[:200]
        sketch, _problems = definition(values, badge.slug)
        drawn = replace(sketch, level=level.strip(), picture=replace(sketch.picture, file=""))
        return catalog.sketched(drawn), b""
