"""What is public without anybody's choice: the versions of badges, and who issues them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import joinedload, undefer

from lti_tool.errors import NotFound
from lti_tool.models import Achievement, AchievementVersion, Issuer
from lti_tool.services.forms import check_text
from lti_tool.services.tool import Tool


def find_version(tool: Tool, slug: str, number: int, form: str = "") -> AchievementVersion:
    """Return a version of an achievement, with its picture in pixels where that is the form."""
    check_text(slug)
    query = (
        select(AchievementVersion)
        .join(Achievement)
        .where(Achievement.slug == slug, AchievementVersion.number == number)
        .options(joinedload(AchievementVersion.achievement))
    )
    if form == "png":
        query = query.options(undefer(AchievementVersion.picture_png))
    with tool.db.read() as session:
        version = session.scalar(query)
    if version is None:
        raise NotFound(f"no achievement {slug} v{number}")
    return version


def find_issuer(tool: Tool, slug: str) -> Issuer:
    check_text(slug)
    with tool.db.read() as session:
        row = session.scalar(select(Issuer).where(Issuer.slug == slug))
    if row is None:
        raise NotFound(f"no issuer {slug}")
    return row
