"""The starter library as a course sees it: what can be taken, what is here, and what has to come first."""

from __future__ import annotations

from collections.abc import Collection

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.badge import Badge
from lti_tool.models import Achievement, CourseBadge
from lti_tool.services import catalog
from lti_tool.services.pages.instructor import LibraryCard


def cards(session: Session, course_id: int, used: Collection[str]) -> tuple[LibraryCard, ...]:
    """Return a card for each badge of the library; `used` are the slugs that are in the course."""
    shelf = catalog.library().values()
    parts = {slug for badge in shelf if badge.slug not in used for slug in _parts(badge)}
    missing = parts - _published(session, course_id, parts)
    return tuple(
        LibraryCard(
            slug=badge.slug,
            name=badge.name,
            summary=_summary(badge),
            in_use=badge.slug in used,
            first=_first([slug for slug in _parts(badge) if slug in missing]),
        )
        for badge in shelf
    )


def _parts(badge: Badge) -> tuple[str, ...]:
    return badge.stack.members if badge.stack is not None else ()


def _published(session: Session, course_id: int, slugs: Collection[str]) -> set[str]:
    """Return which slugs mean a published badge in a course, as `prerequisites.achievement_of` says of each."""
    if not slugs:
        return set()
    here = select(CourseBadge.slug, CourseBadge.version_id).where(CourseBadge.course_id == course_id)
    found = {row.slug: row.version_id for row in session.execute(here.where(CourseBadge.slug.in_(slugs)))}
    elsewhere = set(session.scalars(select(Achievement.slug).where(Achievement.slug.in_(slugs))))
    return {slug for slug in slugs if (found[slug] is not None if slug in found else slug in elsewhere)}


def _summary(badge: Badge) -> str:
    if badge.stack is None:
        return " · ".join(row.name for row in badge.sub_competencies)
    return _("Made of badges: %(names)s", names=", ".join(catalog.library_name(slug) for slug in _parts(badge)))


def _first(missing: Collection[str]) -> str:
    """Say which parts of a stack have to be published before it; it can be taken all the same."""
    if not missing:
        return ""
    names = ", ".join(catalog.library_name(slug) for slug in missing)
    return ngettext("Publish this one first: %(names)s.", "Publish these first: %(names)s.", len(missing), names=names)
