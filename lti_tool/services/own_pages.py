"""What a learner sees of her awards without her LMS: those that were issued to her, and nothing of a running course."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.badge import badge_from_content
from lti_tool.errors import NotFound
from lti_tool.models import Award, Edition
from lti_tool.services import expiry, student_pages
from lti_tool.services.awards import can_choose, shown_status
from lti_tool.services.certificates import drawing_of
from lti_tool.services.forms import FORMS, credential_url, downloads, file_name, form_of, signed_edition
from lti_tool.services.own_access import Learner, award_of, hers
from lti_tool.services.own_addresses import OwnPerson
from lti_tool.services.pages.student import ClaimView
from lti_tool.services.tool import Tool
from lti_tool.services.words import day


@dataclass(frozen=True)
class OwnAward:
    """An award of hers. `state`: "fresh" (waits to be claimed), "kept", "signing", "expired" or "revoked"."""

    id: str
    name: str
    level: str
    course: str
    issued_at: datetime | None
    state: str
    page_public: bool
    sentence: str = ""
    opens: bool = True  # there is something to choose or to take along


@dataclass(frozen=True)
class OwnGroup:
    """The awards of one of her accounts. `person_id`: whom a record of them is made for."""

    platform: str
    person_id: str
    awards: tuple[OwnAward, ...]

    @property
    def has_record(self) -> bool:
        return any(each.state in ("fresh", "kept") for each in self.awards)


def home(tool: Tool, learner: Learner, now: datetime) -> tuple[OwnGroup, ...]:
    """Return her awards, by the account each belongs to, the newest first."""
    query = (
        select(Award)
        .where(hers(learner))
        .options(joinedload(Award.version), joinedload(Award.course))
        .order_by(Award.issued_at.desc(), Award.id)
    )
    with tool.db.read() as session:
        awards = list(session.scalars(query))
        first: dict[str, OwnPerson] = {}
        for person in learner.people:
            first.setdefault(person.holder_id, person)
        return tuple(
            OwnGroup(
                person.platform,
                person.id,
                tuple(_award(each, now) for each in awards if each.person_id == holder_id),
            )
            for holder_id, person in first.items()
        )


def _award(award: Award, now: datetime) -> OwnAward:
    badge, status = badge_from_content(award.version.definition), shown_status(award, now)
    state = {"pending": "signing", "issued": "kept" if award.claimed_at is not None else "fresh"}.get(status, status)
    sentence = expiry.told(award, now) if status == "issued" else ""
    if state == "revoked":
        sentence = _("It was taken back: %(reason)s", reason=award.revocation_reason)
    elif state == "expired" and award.expires_at is not None:
        sentence = _("It was valid until %(day)s.", day=day(award.expires_at))
    return OwnAward(
        id=award.id,
        name=badge.name,
        level=badge.level,
        course=award.course.title or award.course.label,
        issued_at=award.issued_at,
        state=state,
        page_public=award.page_public,
        sentence=sentence,
        opens=can_choose(award, now),
    )


def _find(session: Session, learner: Learner, award_id: str) -> Award:
    award = award_of(session, learner, award_id)
    if award is None:
        raise NotFound("no such award of hers")
    return award


def acting_on(tool: Tool, learner: Learner, award_id: str) -> Learner:
    """Return her as the account whose award it is; raises NotFound for another's, as for one that is not there."""
    with tool.db.read() as session:
        holder_id = _find(session, learner, award_id).person_id
    return replace(learner, people=tuple(each for each in learner.people if each.holder_id == holder_id))


def claim_view(tool: Tool, learner: Learner, award_id: str, now: datetime) -> ClaimView:
    """Return what the page of an award shows: the same as in the course, but for what needs a launch."""
    with tool.db.read() as session:
        award = _find(session, learner, award_id)
        if not can_choose(award, now):
            raise NotFound("nothing to choose")
    return replace(student_pages.claim_of(tool, award_id, award_id, now), for_wallets=False)


def picture(tool: Tool, learner: Learner, award_id: str) -> str:
    with tool.db.read() as session:
        return drawing_of(session, _find(session, learner, award_id).version_id)


def forms_offered(tool: Tool) -> list[tuple[str, str, str]]:
    """Return the forms of a credential that can be taken along: word, small word, name."""
    address = credential_url(tool, "")
    offered = [(word, small, url.removeprefix(f"{address}.")) for word, small, url in downloads(tool, "")]
    return [each for each in offered if each[2] in FORMS]


@dataclass(frozen=True)
class OwnFile:
    content: bytes
    content_type: str
    name: str


def file(tool: Tool, learner: Learner, award_id: str, form: str) -> OwnFile:
    """Return an award's newest credential in one of its forms, whether it has a public page or not."""
    if form not in FORMS:
        raise NotFound(f"no form {form[:20]}")
    with tool.db.read() as session:
        award = _find(session, learner, award_id)
        newest = (
            select(Edition.id)
            .where(Edition.award_id == award.id, Edition.holder.is_(None), Edition.signed_at.is_not(None))
            .order_by(Edition.number.desc())
            .limit(1)
        )
        edition_id = session.scalar(newest)
        if edition_id is None:
            raise NotFound("not signed yet")
        edition = signed_edition(session, edition_id, form)
    return OwnFile(form_of(tool, edition, form), FORMS[form].content_type, file_name(edition, form))


@dataclass(frozen=True)
class RecordFor:
    """Whom a record is made for."""

    person_id: str


def record_for(learner: Learner, person_id: str) -> RecordFor:
    """Return one of the people behind a session; raises NotFound for anybody else."""
    if person_id not in {each.id for each in learner.people}:
        raise NotFound("nobody of hers")
    return RecordFor(person_id)
