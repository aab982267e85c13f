"""A signed edition in each of its forms, for whoever may have it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import segno
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials import baking, ob2, ob3, signing
from lti_tool.errors import Gone, NotFound
from lti_tool.models import AchievementVersion, Award, Deployment, Edition, Launch
from lti_tool.services import still_shown
from lti_tool.services.certificates import certificate_of, drawing_of
from lti_tool.services.launches import LOOK, opened_by, rights_of
from lti_tool.services.tokens import jwt_of
from lti_tool.services.tool import Tool

Make = Callable[[Tool, Edition], bytes]


@dataclass(frozen=True)
class Form:
    """One form of a credential: its name in the address, how it is served, and how it is made of a signed edition.

    `kinds` are the content types that a client may ask for it by; it is served as the first of them, or as
    `served_as`. `of` are the large columns that it is made of."""

    name: str
    kinds: tuple[str, ...]
    make: Make
    of: tuple[Any, ...] = (Edition.document,)
    served_as: str = ""

    @property
    def content_type(self) -> str:
        return self.served_as or self.kinds[0]


def _document(_tool: Tool, edition: Edition) -> bytes:
    if edition.document is None:
        raise NotFound("not signed yet")
    return edition.document


def _jwt(tool: Tool, edition: Edition) -> bytes:
    return jwt_of(tool, edition.id)


def _eddsa_jwt(tool: Tool, edition: Edition) -> bytes:
    """Sign with the key that made the proof, retired or not: so it is the same bytes after any rotation."""
    document = _document(tool, edition)
    kid = signing.signed_with(document)
    key = tool.keyring.credential_key(kid)
    if key is None or key.private is None:
        raise NotFound(f"the private key {kid} that signed it is not in keys.dir")
    return signing.jwt_of_document(document, key).encode()


def _png(tool: Tool, edition: Edition) -> bytes:
    return baking.bake_png(edition.award.version.picture_png, _document(tool, edition).decode())


def _svg(tool: Tool, edition: Edition) -> bytes:
    with tool.db.read() as session:
        drawing = drawing_of(session, edition.award.version.id)
    return baking.bake_svg(drawing, _document(tool, edition).decode()).encode()


# In the order in which one is chosen for a client that takes several equally.
FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form(
            "json",
            ("application/vc+ld+json", "application/vc", "application/ld+json", "application/json"),
            _document,
        ),
        Form(
            "jwt",
            ("application/vc+jwt", "application/jwt", "text/plain"),
            _jwt,
            of=(),
            served_as="text/plain; charset=utf-8",  # https://www.imsglobal.org/spec/ob/v3p0#jwt-proof
        ),
        Form("eddsa.jwt", (), _eddsa_jwt, served_as="text/plain; charset=utf-8"),
        Form("png", ("image/png",), _png, of=(Edition.document, AchievementVersion.picture_png)),
        Form("svg", ("image/svg+xml",), _svg),
        Form("pdf", ("application/pdf",), certificate_of),
    )
}


def find_edition(
    tool: Tool,
    credential_id: str,
    browser_secret: str | None,
    now: datetime,
    form: str = "json",
    launch: str = "",
    *,
    as_page: bool = False,
) -> Edition:
    """Return a signed edition this viewer may see, loaded for one form.

    `as_page`: to say what has become of it, and no more than is still shown of it (services.still_shown).
    `launch` is that of an address which carries its launch's token, for a browser that sends no cookie.
    One that is private and one that is not there are the same NotFound after the same queries (I24)."""
    query = (
        select(Award.id, Award.page_public, Award.person_id, Award.course_id, Edition.choices, Edition.withdrawn_at)
        .join(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
    )
    check_text(credential_id)
    with tool.db.read() as session:
        found = session.execute(query).one_or_none()
        nothing: tuple[Any, ...] = ("", False, "", 0, {}, None)
        award_id, is_public, person_id, course_id, choices, withdrawn_at = found if found is not None else nothing
        if choices.get("gone"):
            raise Gone("its holder was erased")
        if is_public and not as_page:
            is_public = still_shown.of_choices(session, award_id, choices, withdrawn_at).whole
        if not is_public and not _may_look(tool, session, person_id, course_id, (launch, browser_secret), now):
            raise NotFound("no such credential, or not public")
        return signed_edition(session, credential_id, form)


def for_everybody(tool: Tool, edition: Edition) -> bool:
    """Tell whether anybody may have the files of an edition, and not only its learner and her teachers."""
    return edition.award.page_public and still_shown.of_edition(tool, edition).whole


def signed_edition(session: Session, credential_id: str, form: str) -> Edition:
    """Return a signed edition with what its page needs, and of its large columns those that a form is made of."""
    version = joinedload(Edition.award).joinedload(Award.version)
    query = (
        select(Edition)
        .where(Edition.id == credential_id, Edition.signed_at.is_not(None))
        .options(
            version.joinedload(AchievementVersion.achievement),
            joinedload(Edition.award).joinedload(Award.person),
            joinedload(Edition.award).joinedload(Award.course),
            *(undefer(of) if of.class_ is Edition else version.undefer(of) for of in FORMS[form].of),
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
        if not launch.switched_off
    )


def is_hers(tool: Tool, credential_id: str, browser_secret: str | None, now: datetime, launch: str = "") -> bool:
    """Tell whether this browser has a launch open of the learner whose credential it is."""
    query = select(Award.person_id).join(Edition).where(Edition.id == credential_id)
    with tool.db.read() as session:
        person_id = session.scalar(query)
        return person_id is not None and _may_look(tool, session, person_id, 0, (launch, browser_secret), now)


def credential_url(tool: Tool, edition_id: str) -> str:
    return ob3.credential_address(tool.settings.base_url, edition_id)


def downloads(tool: Tool, edition_id: str) -> tuple[tuple[str, str, str], ...]:
    """Return the files of a credential: word, small word, address."""
    url = credential_url(tool, edition_id)
    return (
        ("PDF", _("certificate"), f"{url}.pdf"),
        ("JSON", _("signed"), f"{url}.json"),
        ("PNG", _("with credential inside"), f"{url}.png"),
        ("SVG", "", f"{url}.svg"),
        ("JWT RS256", "", f"{url}.jwt"),
        ("JWT EdDSA", "", f"{url}.eddsa.jwt"),
        ("Open Badges 2.0", _("hosted here"), ob2.assertion_address(tool.settings.base_url, edition_id)),
    )


def alternates(tool: Tool, edition_id: str) -> tuple[tuple[str, str], ...]:
    """Return the content type and the address of each form for machines, as a page's links name them."""
    url = credential_url(tool, edition_id)
    return tuple((form.kinds[0], f"{url}.{form.name}") for form in FORMS.values() if form.kinds)


def form_of(tool: Tool, edition: Edition, form: str) -> bytes:
    """Return a credential in one of its forms, the same bytes every time. The edition was loaded for this form."""
    return FORMS[form].make(tool, edition)


def file_name(edition: Edition, form: str) -> str:
    """Return what a file of a credential is called where it is saved."""
    return f"{edition.award.version.achievement.slug}.{form}"


@functools.lru_cache(maxsize=512)
def qr_code(url: str) -> str:
    """Return the address as an inline SVG without style, as the content policy asks."""
    return str(segno.make(url, error="m").svg_inline(scale=4, border=0, omitsize=True, svgclass="qr", lineclass=None))
