"""A signed edition in each of its forms, for whoever may have it."""

from __future__ import annotations

import functools
from datetime import datetime

import segno
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials import baking, ob3
from lti_tool.errors import NotFound
from lti_tool.models import AchievementVersion, Award, Deployment, Edition, Launch
from lti_tool.services.launches import LOOK, opened_by, rights_of, switched_off
from lti_tool.services.tokens import jwt_of
from lti_tool.services.tool import Tool

FORMS = ("json", "jwt", "png")
CONTENT_TYPES = {"json": "application/vc+ld+json", "jwt": "text/plain; charset=utf-8", "png": "image/png"}


def find_edition(
    tool: Tool, credential_id: str, browser_secret: str | None, now: datetime, form: str = "json", launch: str = ""
) -> Edition:
    """Return a signed edition this viewer may see, loaded for one form.

    `launch` is that of an address which carries its launch's token, for a browser that sends no cookie.
    One that is private and one that is not there are the same NotFound after the same queries (I24)."""
    query = (
        select(Award.page_public, Award.person_id, Award.course_id)
        .join(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
    )
    check_text(credential_id)
    with tool.db.read() as session:
        found = session.execute(query).one_or_none()
        is_public, person_id, course_id = found if found is not None else (False, "", 0)
        if not is_public and not _may_look(tool, session, person_id, course_id, (launch, browser_secret), now):
            raise NotFound("no such credential, or not public")
        return signed_edition(session, credential_id, form)


def signed_edition(session: Session, credential_id: str, form: str) -> Edition:
    """Return a signed edition with what its page needs, and of its large columns those that a form is made of."""
    version = joinedload(Edition.award).joinedload(Award.version)
    large = {
        "json": (undefer(Edition.document),),
        "jwt": (),
        "png": (undefer(Edition.document), version.undefer(AchievementVersion.picture_png)),
    }
    query = (
        select(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
        .options(
            version.joinedload(AchievementVersion.achievement),
            joinedload(Edition.award).joinedload(Award.person),
            joinedload(Edition.award).joinedload(Award.course),
            *large[form],
        )
    )
    edition = session.scalar(query)
    if edition is None:
        raise NotFound("no such credential")
    return edition


def check_text(*texts: str) -> None:
    """Raise NotFound for what nothing of ours is called, before a database is asked that takes no NUL."""
    if not all(text.isprintable() for text in texts):
        raise NotFound("a name with control characters")


def _may_look(
    tool: Tool, session: Session, person_id: str, course_id: int, proof: tuple[str, str | None], now: datetime
) -> bool:
    """Tell whether this browser has a launch open of the learner herself or of a teacher of that course.

    What was switched off since opens nothing, as in `find_session` (D13)."""
    if not any(proof):
        return False
    launches = session.scalars(
        select(Launch)
        .where(opened_by(*proof), Launch.expires_at > now)
        .options(joinedload(Launch.person), joinedload(Launch.deployment).joinedload(Deployment.registration))
    )
    setting = tool.settings.lti.teaching_assistants
    return any(
        launch.person.holder_id == person_id
        or (launch.course_id == course_id and LOOK in rights_of(launch.role, setting))
        for launch in launches
        if not switched_off(launch)
    )


def credential_url(tool: Tool, edition_id: str) -> str:
    return ob3.credential_address(tool.settings.base_url, edition_id)


def downloads(tool: Tool, edition_id: str) -> tuple[tuple[str, str, str], ...]:
    """Return the machine forms of a credential: word, small word, address."""
    url = credential_url(tool, edition_id)
    return (
        ("JSON", _("signed"), f"{url}.json"),
        ("JWT", "", f"{url}.jwt"),
        ("PNG", _("with credential inside"), f"{url}.png"),
    )


def form_of(tool: Tool, edition: Edition, form: str) -> bytes:
    """Return a credential as signed JSON, as a compact JWT, or baked into its picture; the same bytes every time.

    The edition was loaded for this form."""
    if form == "jwt":
        return jwt_of(tool, edition.id)
    content = edition.document
    if content is None:
        raise NotFound("not signed yet")
    return baking.bake_png(edition.award.version.picture_png, content.decode()) if form == "png" else content


@functools.lru_cache(maxsize=512)
def qr_code(url: str) -> str:
    """Return the address as an inline SVG without style, as the content policy asks."""
    return str(segno.make(url, error="m").svg_inline(scale=4, border=0, omitsize=True, svgclass="qr", lineclass=None))
