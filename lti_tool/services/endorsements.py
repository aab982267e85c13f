"""Endorsements: somebody outside is asked by a one-time link, and says for a badge, an award or the institution why.

She needs no account. What she says is signed at once, and is in the credentials that are signed from then on; those
signed before never change. An award's own stands beside its credential: it names that credential by its address, so it
cannot be inside."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials import ob3
from lti_tool.credentials.endorsement import Said, endorsement_address, signed_endorsement
from lti_tool.credentials.ob3 import signable
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import BadInput, Conflict, CredentialHeldBack, NotFound
from lti_tool.lti.registration import digest
from lti_tool.models import AchievementVersion, Award, Edition, Endorsement, EndorsementRequest
from lti_tool.sentence import Sentence
from lti_tool.services import audit, catalog, editions, journal, places, stacks
from lti_tool.services.award_acts import one_line
from lti_tool.services.awards import get_award, shown_status
from lti_tool.services.forms import check_text
from lti_tool.services.issuer import issuer_profile, issuer_row
from lti_tool.services.launches import LaunchSession
from lti_tool.services.tool import Tool

LINK_LASTS = timedelta(days=30)
MOST_OPEN = 50  # links of one badge, or of the institution, that nobody has answered yet
LONGEST = {"name": 120, "role": 120, "organisation": 160, "comment": 2000, "reviewer": 160, "words": 1000}

NOT_OPEN = Sentence("This link does not ask for an endorsement any more.")


@dataclass(frozen=True)
class EndorsementView:
    """An endorsement as pages show it; `about` says what is endorsed, `withdrawn` why it was taken back."""

    id: str
    url: str
    kind: str
    name: str
    role: str
    organisation: str
    comment: str
    said_at: datetime
    withdrawn_at: datetime | None
    withdrawn: str

    @property
    def who(self) -> str:
        return ", ".join(part for part in (self.role, self.organisation) if part)


@dataclass(frozen=True)
class AskedView:
    """A link that is open, or how it ended: "open", "declined", "expired", "withdrawn" or "answered"."""

    id: str
    kind: str
    reviewer: str
    asked_at: datetime
    expires_at: datetime
    state: str
    of: str = ""  # whose award


@dataclass(frozen=True)
class EndorsementsPage:
    """What was said and asked for of one badge and its awards, or of the institution."""

    said: tuple[EndorsementView, ...]
    asked: tuple[AskedView, ...]
    awards: tuple[tuple[str, str], ...] = ()  # (id, whose) of awards with a public page
    slug: str = ""
    badge: Badge | None = None
    address: str = ""  # of a link that was made just now, shown once


@dataclass(frozen=True)
class ToEndorse:
    """What a reviewer is asked about. `url` is a page anybody may open."""

    kind: str
    issuer: str
    title: str
    description: str
    url: str
    picture_url: str
    expires_at: datetime
    words: str  # of whoever asked
    badge: Badge | None = None
    parts: tuple[ob3.StackMember, ...] = ()  # the badges that it asks for
    holder: str = ""  # of an award, where she shows her name


@dataclass(frozen=True)
class Answer:
    """What a reviewer writes. Nobody's words are in the `repr`, which may end up in a log."""

    name: str = field(repr=False, default="")
    role: str = field(repr=False, default="")
    organisation: str = field(repr=False, default="")
    comment: str = field(repr=False, default="")


# -- asking -----------------------------------------------------------------------------------------------------


def ask_for_badge(
    tool: Tool, course_id: int, slug: str, award_id: str, reviewer: str, words: str, *, actor: str, now: datetime
) -> str:
    """Ask somebody to endorse a published badge, or one of its awards whose page is public; returns the link.

    It is shown once, for whoever asks to send; only its hash is kept."""
    with tool.db.write() as session:
        badge = catalog.get_badge(session, course_id, slug, lock=True)
        if badge.version_id is None:
            raise Conflict(sentence=_("This badge is not published yet, so there is nothing to endorse."))
        request = EndorsementRequest(kind="badge", version_id=badge.version_id, course_badge_id=badge.id)
        if award_id:
            award = get_award(session, award_id, badge.id)
            if not _may_be_endorsed(award, now):
                raise Conflict(
                    sentence=_("Only an award in force whose page its learner has made public can be endorsed."),
                    what_to_do=_("Ask the learner first."),
                )
            request.kind, request.version_id, request.award_id = "award", award.version_id, award.id
        subject = f"award:{award_id}" if award_id else f"badge:{badge.id}"
        return _ask(tool, session, request, reviewer, words, subject, actor, now)


def ask_for_issuer(tool: Tool, reviewer: str, words: str, *, actor: str, now: datetime) -> str:
    """Ask somebody to endorse the institution; returns the link."""
    with tool.db.write() as session:
        return _ask(tool, session, EndorsementRequest(kind="issuer"), reviewer, words, "issuer", actor, now)


def _may_be_endorsed(award: Award, now: datetime) -> bool:
    return award.page_public and shown_status(award, now) == "issued"


def _ask(
    tool: Tool,
    session: Session,
    request: EndorsementRequest,
    reviewer: str,
    words: str,
    subject: str,
    actor: str,
    now: datetime,
) -> str:
    reviewer = one_line(reviewer)[: LONGEST["reviewer"]]
    if not reviewer:
        raise BadInput(
            sentence=_("Write whom you ask, so that you know the link again. Only you and your colleagues see it.")
        )
    same = EndorsementRequest.course_badge_id == request.course_badge_id
    if request.course_badge_id is None:
        same = EndorsementRequest.course_badge_id.is_(None)
    if len(list(session.scalars(select(EndorsementRequest.id).where(same, *_open(now))))) >= MOST_OPEN:
        raise Conflict(
            sentence=_("There are %(most)s links that nobody has answered yet.", most=MOST_OPEN),
            what_to_do=_("Withdraw one of them first."),
        )
    secret = secrets.token_urlsafe(32)
    request.token_hash, request.reviewer = digest(secret), reviewer
    request.words = signable(words).strip()[: LONGEST["words"]]
    request.asked_by, request.asked_at, request.expires_at = actor, now, now + LINK_LASTS
    session.add(request)
    session.flush()
    audit.record(session, now, actor, "endorsement.asked", subject, link=request.id, what=request.kind)
    return f"{tool.settings.base_url}/endorse/{secret}"


def _open(now: datetime) -> tuple[ColumnElement[bool], ...]:
    table = EndorsementRequest
    return table.answered_at.is_(None), table.withdrawn_at.is_(None), table.expires_at > now


def withdraw_link(tool: Tool, request_id: str, course_badge_id: str | None, *, actor: str, now: datetime) -> None:
    """Take back a link that nobody has answered; raises NotFound for another badge's."""
    with tool.db.write() as session:
        request = session.get(EndorsementRequest, request_id, with_for_update=True)
        if request is None or request.course_badge_id != course_badge_id:
            raise NotFound("no such link")
        if request.answered_at is not None or request.withdrawn_at is not None:
            raise Conflict(sentence=_("This link was answered or withdrawn in the meantime."))
        request.withdrawn_at = now
        audit.record(session, now, actor, "endorsement.link_withdrawn", _subject(request), link=request.id)


def _subject(request: EndorsementRequest) -> str:
    if request.award_id:
        return f"award:{request.award_id}"
    return f"badge:{request.course_badge_id}" if request.course_badge_id else "issuer"


# -- answering --------------------------------------------------------------------------------------------------


def look(tool: Tool, secret: str, now: datetime) -> ToEndorse:
    """Say what a link asks about, and use nothing up. Raises NotFound for one that is not open."""
    with tool.db.read() as session:
        request = _find(session, secret, now)
        issuer = issuer_row(session)
        base = tool.settings.base_url
        badge, title, description = None, issuer.name, issuer.description
        url, picture, holder = f"{base}/issuers/{issuer.slug}", "", ""
        parts: tuple[ob3.StackMember, ...] = ()
        if request.version is not None:
            version = request.version
            badge = badge_from_content(version.definition)
            title, description = badge.name, badge.description
            url = ob3.achievement_address(base, version.achievement.slug, version.number)
            picture = f"{url}.png"
            parts = tuple(stacks.described(session, version, base).values())
        if request.award is not None:
            edition = _edition_of(session, request.award, now)
            url, holder = ob3.credential_address(base, edition.id), edition.choices.get("name", "")
        return ToEndorse(
            kind=request.kind,
            issuer=issuer.name,
            title=title,
            description=description,
            url=url,
            picture_url=picture,
            expires_at=request.expires_at,
            words=request.words,
            badge=badge,
            parts=parts,
            holder=holder,
        )


def _find(session: Session, secret: str, now: datetime, *, lock: bool = False) -> EndorsementRequest:
    """Return an open request by its link's secret; raises NotFound for one that is answered, over or unknown."""
    query = select(EndorsementRequest).where(EndorsementRequest.token_hash == digest(secret))
    request = session.scalar(query.with_for_update() if lock else query)
    if request is None or request.withdrawn_at is not None or request.answered_at is not None:
        raise NotFound(
            "no open request",
            sentence=NOT_OPEN,
            what_to_do=Sentence("Each link works once. Ask whoever sent it to you."),
        )
    if request.expires_at <= now:
        raise NotFound(
            "a request that is over",
            sentence=NOT_OPEN,
            what_to_do=Sentence("Its thirty days are over. Ask whoever sent it to you for a new one."),
        )
    return request


def _edition_of(session: Session, award: Award, now: datetime) -> Edition:
    """Return the credential that an award's endorsement names; NotFound while the learner does not show it."""
    query = select(Edition).where(
        Edition.award_id == award.id, Edition.signed_at.is_not(None), Edition.withdrawn_at.is_(None)
    )
    edition = session.scalar(query.order_by(Edition.number.desc()))
    if edition is None or not _may_be_endorsed(award, now):
        raise NotFound(
            "an award that is not public",
            sentence=Sentence("The award this link asks about is not public at the moment."),
            what_to_do=Sentence("Ask whoever sent it to you."),
        )
    return edition


def problems_of(told: Answer) -> dict[str, str]:
    """Return what is wrong with a reviewer's answer, by field."""
    problems: dict[str, str] = {}
    if not told.name.strip():
        problems["name"] = Sentence("Write your name: an endorsement is worth as much as whoever gives it.")
    if not told.comment.strip():
        problems["comment"] = Sentence("Say in a sentence or two why you endorse it.")
    for name in ("name", "role", "organisation", "comment"):
        if (length := len(getattr(told, name))) > LONGEST[name]:
            problems[name] = Sentence(
                "This has %(length)s characters; at most %(most)s fit.", length=f"{length:,}", most=f"{LONGEST[name]:,}"
            )
    return problems


def answer(tool: Tool, secret: str, told: Answer, now: datetime) -> str:
    """Take what a reviewer says, sign it, and use the link up; returns the endorsement's address.

    Raises BadInput where `problems_of` finds something, NotFound for a link that is not open any more."""
    if problems := problems_of(told):
        raise BadInput(sentence=next(iter(problems.values())))
    now = now.replace(microsecond=0)
    with tool.db.write() as session:
        request = _find(session, secret, now, lock=True)
        profile = issuer_profile(session, tool)
        edition = _edition_of(session, request.award, now) if request.award is not None else None
        about = profile.did
        if request.version is not None:
            version = request.version
            about = ob3.achievement_address(tool.settings.base_url, version.achievement.slug, version.number)
        if edition is not None:
            about = ob3.credential_address(tool.settings.base_url, edition.id)
        ((list_id, index),) = places.status_places(session, 1, now)
        said = Said(
            endorsement_id=ob3.new_credential_id(),
            about=about,
            name=_line(told.name),
            role=_line(told.role),
            organisation=_line(told.organisation),
            comment=signable(told.comment).strip(),
            said_at=now,
            status_list=list_id,
            status_index=index,
        )
        try:
            document = signed_endorsement(said, profile, tool.keyring.ed25519)
        except CredentialHeldBack as error:
            raise BadInput(
                error.detail,
                sentence=Sentence("This cannot be signed as it is."),
                what_to_do=Sentence("Look for unusual characters in what you wrote."),
            ) from error
        session.add(
            Endorsement(
                id=said.endorsement_id,
                request_id=request.id,
                kind=request.kind,
                version_id=request.version_id,
                award_id=request.award_id,
                edition_id=edition.id if edition is not None else None,
                name=said.name,
                role=said.role,
                organisation=said.organisation,
                comment=said.comment,
                said_at=now,
                document=document,
                status_list_id=list_id,
                status_index=index,
            )
        )
        request.answered_at = now
        audit.record(
            session, now, audit.NOBODY, "endorsement.said", _subject(request), link=request.id, id=said.endorsement_id
        )
        return endorsement_address(tool.settings.base_url, said.endorsement_id)


def _line(text: str) -> str:
    return " ".join(signable(text).split())


def decline(tool: Tool, secret: str, now: datetime) -> None:
    """Use a link up without saying anything."""
    with tool.db.write() as session:
        request = _find(session, secret, now, lock=True)
        request.answered_at, request.declined = now, True
        audit.record(session, now, audit.NOBODY, "endorsement.declined", _subject(request), link=request.id)


# -- taking back ------------------------------------------------------------------------------------------------


def withdraw(
    tool: Tool, endorsement_id: str, course_badge_id: str | None, reason: str, *, actor: str, now: datetime
) -> None:
    """Take an endorsement back: its status bit is set, and no credential is signed with it from now on.

    Raises NotFound for another badge's. What was signed with it keeps it; whoever checks finds the bit."""
    reason = one_line(reason)
    if not reason:
        raise BadInput(sentence=_("Say why it is taken back: whoever opens it will read it."))
    with tool.db.write() as session:
        found = session.get(Endorsement, endorsement_id, with_for_update=True)
        request = session.get(EndorsementRequest, found.request_id) if found is not None else None
        if found is None or request is None or request.course_badge_id != course_badge_id:
            raise NotFound("no such endorsement")
        if found.withdrawn_at is not None:
            raise Conflict(sentence=_("This endorsement has been taken back already."))
        found.withdrawn_at, found.withdrawn_reason = now, reason
        journal.note(session, journal.other_withdrawal(found, reason))
        places.list_changed(session, [found.status_list_id])
        audit.record(session, now, actor, "endorsement.withdrawn", _subject(request), id=found.id, reason=reason)


# -- looking ----------------------------------------------------------------------------------------------------


def of_badge(tool: Tool, who: LaunchSession, slug: str, now: datetime) -> EndorsementsPage:
    """Return what was said of a course's badge and its awards, and what is asked for."""
    with tool.db.read() as session:
        badge = catalog.get_badge(session, who.course_id or 0, slug)
        here = EndorsementRequest.course_badge_id == badge.id
        public = select(Award).where(Award.course_badge_id == badge.id, Award.page_public, Award.status == "issued")
        awards = session.scalars(public.options(joinedload(Award.person)).order_by(Award.issued_at.desc()).limit(200))
        return EndorsementsPage(
            said=_said(tool, session, here),
            asked=_asked(session, here, now),
            awards=tuple((each.id, each.person.name or _("Learner")) for each in awards if _may_be_endorsed(each, now)),
            slug=slug,
            badge=catalog.definition_of(badge),
        )


def of_issuer(tool: Tool, now: datetime) -> EndorsementsPage:
    """Return what was said of the institution, and what is asked for."""
    with tool.db.read() as session:
        here = EndorsementRequest.kind == "issuer"
        return EndorsementsPage(said=_said(tool, session, here), asked=_asked(session, here, now))


def _said(tool: Tool, session: Session, here: ColumnElement[bool]) -> tuple[EndorsementView, ...]:
    query = select(Endorsement).join(EndorsementRequest, Endorsement.request_id == EndorsementRequest.id).where(here)
    return tuple(_view(tool, each) for each in session.scalars(query.order_by(Endorsement.said_at.desc())))


def _asked(session: Session, here: ColumnElement[bool], now: datetime) -> tuple[AskedView, ...]:
    query = (
        select(EndorsementRequest)
        .where(here, EndorsementRequest.answered_at.is_(None) | EndorsementRequest.declined)
        .options(joinedload(EndorsementRequest.award).joinedload(Award.person))
        .order_by(EndorsementRequest.asked_at.desc())
        .limit(MOST_OPEN * 2)
    )
    return tuple(
        AskedView(
            id=each.id,
            kind=each.kind,
            reviewer=each.reviewer,
            asked_at=each.asked_at,
            expires_at=each.expires_at,
            state=_state(each, now),
            of=each.award.person.name if each.award is not None else "",
        )
        for each in session.scalars(query)
    )


def _state(request: EndorsementRequest, now: datetime) -> str:
    if request.declined:
        return "declined"
    if request.withdrawn_at is not None:
        return "withdrawn"
    return "expired" if request.expires_at <= now else "open"


def _view(tool: Tool, row: Endorsement) -> EndorsementView:
    return EndorsementView(
        id=row.id,
        url=endorsement_address(tool.settings.base_url, row.id),
        kind=row.kind,
        name=row.name,
        role=row.role,
        organisation=row.organisation,
        comment=row.comment,
        said_at=row.said_at,
        withdrawn_at=row.withdrawn_at,
        withdrawn=row.withdrawn_reason,
    )


def in_force(
    tool: Tool, session: Session, *, version_id: int | None = None, award_id: str | None = None, issuer: bool = False
) -> tuple[EndorsementView, ...]:
    """Return what is said, and not taken back, of a version, of an award, or of the institution; the newest first."""
    of: list[ColumnElement[bool]] = []
    if version_id is not None:
        of.append((Endorsement.kind == "badge") & (Endorsement.version_id == version_id))
    if award_id is not None:
        of.append(Endorsement.award_id == award_id)
    if issuer:
        of.append(Endorsement.kind == "issuer")
    found: list[Endorsement] = []
    for one in of:
        query = select(Endorsement).where(one, Endorsement.withdrawn_at.is_(None))
        found += session.scalars(query.order_by(Endorsement.said_at.desc()).limit(editions.MOST_ENDORSEMENTS))
    return tuple(_view(tool, each) for each in found)


def find(tool: Tool, endorsement_id: str) -> Endorsement:
    """Return an endorsement anybody may read; raises NotFound, for an award's also while its page is not public."""
    check_text(endorsement_id)
    with tool.db.read() as session:
        query = select(Endorsement).where(Endorsement.id == endorsement_id).options(undefer(Endorsement.document))
        found = session.scalar(query)
        award = session.get(Award, found.award_id) if found is not None and found.award_id else None
        if found is None or (award is not None and not award.page_public):
            raise NotFound("no such endorsement, or not public")
        return found


@dataclass(frozen=True)
class EndorsementPage:
    said: EndorsementView
    title: str  # of what is endorsed
    about_url: str
    issuer: str
    issuer_url: str
    did: str


def page(tool: Tool, found: Endorsement) -> EndorsementPage:
    """Return the page of an endorsement: who said it, of what, and who signed."""
    base = tool.settings.base_url
    with tool.db.read() as session:
        issuer = issuer_row(session)
        issuer_url = f"{base}/issuers/{issuer.slug}"
        title, about = issuer.name, issuer_url
        if found.version_id is not None:
            version = session.get_one(
                AchievementVersion, found.version_id, options=[joinedload(AchievementVersion.achievement)]
            )
            title = version.definition["name"]
            about = ob3.achievement_address(base, version.achievement.slug, version.number)
        if found.edition_id is not None:
            about = ob3.credential_address(base, found.edition_id)
    return EndorsementPage(_view(tool, found), title, about, issuer.name, issuer_url, issuer.did)
