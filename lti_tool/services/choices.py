"""A learner's choices: what her credential says of her, and whether it has a public page.

What is inside is signed, so another choice is another edition: it has an id, a salt and a status entry of its own, and
the old one is replaced. Turning the page on or off changes no credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.credentials.contexts import is_iri
from lti_tool.credentials.ob3 import signable
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import BadInput, Conflict, CredentialHeldBack
from lti_tool.models import Award, Edition, Evidence
from lti_tool.sentence import Sentence
from lti_tool.services import audit, award_acts, counting, editions, evidence_files
from lti_tool.services.awards import can_choose, get_award, shown_status
from lti_tool.services.evidence import is_link
from lti_tool.services.tool import Tool

LONGEST_NARRATIVE = 2000  # characters
MOST_EVIDENCE = 20  # that can be chosen from, the newest
MOST_A_DAY = 20  # credentials that one award is made anew as: each takes an entry of a status list for good

CHANGED = Sentence("Something has changed since this page was shown, so nothing was done.")
LOOK_AGAIN = Sentence("Look at what would be public now, then choose again.")


@dataclass(frozen=True)
class Choices:
    """What a learner lets others see. `levels` are those she reached, `grades` the points and grades behind them.

    `public` and `search` are about the page alone and change no credential: whether there is one, and whether search
    engines may list it.
    `evidence` are ids of what she has put beside the badge's rows, `narrative` is what she says herself."""

    public: bool = False
    name: bool = False
    levels: bool = True
    grades: bool = False
    email: bool = False
    evidence: tuple[str, ...] = ()
    narrative: str = ""
    search: bool = False


@dataclass(frozen=True)
class Offered:
    """A piece of evidence that she can show; `words` is the text, the address or the file's name.

    `about` is what she says of a link or a file. `address` is where everybody finds a file that is shown, `told` what
    the credential says of it besides, in no language. `since` is when an earlier version was handed in that her
    credential shows, None for the newest."""

    id: str
    row: str
    kind: str  # "text", "reflection", "link" or "file"
    words: str
    about: str = ""
    address: str = ""
    told: str = ""
    type: str = ""
    size: int = 0
    since: datetime | None = None
    photo: bool = False  # its hidden notes were taken out


def chosen(award: Award) -> Choices:
    """Return what an award's newest edition says of its learner."""
    told = award.editions[-1].choices if award.editions else {}
    return Choices(
        public=award.page_public,
        search=award.searchable,
        name=bool(told.get("name")),
        levels=told.get("results", True),
        grades=told.get("grades", False),
        email=bool(told.get("email")),
        evidence=tuple(each["id"] for each in told.get("evidence", ())),
        narrative=told.get("narrative", ""),
    )


def with_page(told: Choices, *, public: bool) -> Choices:
    """Return choices with the page on or off; one that is off is in no search engine."""
    return replace(told, public=public, search=told.search and public)


def offered(session: Session, award: Award, badge: Badge, base: str = "") -> tuple[Offered, ...]:
    """Return the evidence that a learner can show with an award: her own, handed in, in the order of the rows.

    An earlier version of a piece is among it where her credential shows that one. `base` is the tool's address."""
    names = {row.tag: row.name for row in badge.sub_competencies}
    shown = evidence_files.shown_by(session, award)
    query = (
        select(Evidence)
        .where(
            Evidence.course_badge_id == award.course_badge_id,
            Evidence.person_id == award.earner.id,
            Evidence.created_by == audit.person(award.earner.id),
            Evidence.submitted_at.is_not(None),
            Evidence.withdrawn_at.is_(None) | Evidence.id.in_(shown),
        )
        .order_by(Evidence.created_at, Evidence.id)
    )
    rows = [row for row in session.scalars(query) if row.tag in names and _can_be_shown(session, row)]
    places = list(names)
    rows = sorted(rows[-MOST_EVIDENCE:], key=lambda each: places.index(each.tag))
    return tuple(_offer(row, names[row.tag], base) for row in rows)


def _can_be_shown(session: Session, row: Evidence) -> bool:
    return evidence_files.is_kept(session, row) and (row.file is None or row.file.place is not None)


def _offer(row: Evidence, name: str, base: str) -> Offered:
    offer = Offered(row.id, name, row.kind, row.content, row.about)
    if row.file is not None:
        offer = replace(
            offer,
            address=f"{base}/evidence/{row.file.public_id}",
            told=f"{row.content} ({row.file.size} bytes, SHA-256 {row.file.digest})",
            type=row.file.type,
            size=row.file.size,
            photo=row.file.cleaned,
        )
    return replace(offer, since=row.submitted_at) if row.withdrawn_at is not None else offer


def is_closed(award: Award, now: datetime) -> bool:
    """Tell whether what is inside stays as it is: of one that is over or was taken back, only the page can change."""
    return shown_status(award, now) != "issued"


def choose(tool: Tool, award_id: str, told: Choices, *, seen: str = "", actor: str, now: datetime) -> bool:
    """Claim an award with these choices, or change them later; tells whether a new edition was made, signed at once.

    `seen` is the credential the page was made from: raises Conflict where another is there now and says something
    else. The same choices again do nothing, so a form that is sent twice is harmless. Raises BadInput for a text that
    no credential can hold."""
    told = replace(told, narrative=_narrative(told.narrative), search=told.search and told.public)
    with tool.db.write() as session:
        award = get_award(session, award_id)
        inside = _inside(tool, session, award, told)
        old = award.editions[-1] if award.editions else None
        # The same choices keep what they were made with: a name the LMS tells otherwise now is another choice to make.
        same = replace(told, public=award.page_public, search=award.searchable) == chosen(award)
        new = old is not None and not same and inside != _kept(old)
        page, wanted = (award.page_public, award.searchable), (told.public, told.search)
        if award.status == "pending" and award.claimed_at is not None and not new and page == wanted:
            return False  # the same form a second time, while the first one's edition is being signed
        if not can_choose(award, now):
            if shown_status(award, now) == "expired":
                raise Conflict(sentence=Sentence("This badge is not valid any more, so it cannot be claimed."))
            raise Conflict(sentence=Sentence("This badge cannot be claimed at the moment."))
        if is_closed(award, now):
            new = False
        if new and old is not None:
            if seen and seen != old.id:
                raise Conflict(sentence=CHANGED, what_to_do=LOOK_AGAIN)
            _not_too_often(award, now)
            _replace(tool, session, award, inside, actor, now)
        if award.claimed_at is None or page != wanted:
            subject, listed = f"award:{award.id}", {"search": True} if told.search else {}
            audit.record(session, now, actor, "award.claimed", subject, public=told.public, **listed)
        if award.claimed_at is None:
            since = now - award.issued_at if award.issued_at is not None else None
            counting.count(session, counting.CLAIMED, award, now, lasted=since)
        if award.page_public and not told.public:
            counting.count(session, counting.WITHDRAWN, award, now)
        award.claimed_at = award.claimed_at or now
        award.page_public, award.searchable = wanted
    if new:
        editions.sign_pending(tool, award_id=award_id)
    return new


def _not_too_often(award: Award, now: datetime) -> None:
    replaced = [each.withdrawn_at for each in award.editions if each.number > 0 and each.withdrawn_at is not None]
    if sum(each > now - timedelta(days=1) for each in replaced) >= MOST_A_DAY:
        raise Conflict(
            reason="rate_limited",
            status=429,
            sentence=Sentence("This credential was made anew %(num)s times within a day.", num=MOST_A_DAY),
            what_to_do=Sentence("You can turn its page off at any time, and choose again tomorrow what is in it."),
        )


def _narrative(text: str) -> str:
    text = signable(text).strip()
    if len(text) > LONGEST_NARRATIVE:
        raise BadInput(
            sentence=Sentence("Your own words are too long by %(num)s characters.", num=len(text) - LONGEST_NARRATIVE),
            what_to_do=Sentence("Shorten them, then choose again."),
        )
    return text


def _inside(tool: Tool, session: Session, award: Award, told: Choices) -> dict[str, Any]:
    """Return what an edition keeps of choices. Only what is not as usual is kept, so equal choices are equal."""
    earner = award.earner
    inside: dict[str, Any] = {}
    if told.name and earner.called.strip():
        inside["name"] = earner.called.strip()
    if told.email and earner.email.strip():
        inside["email"] = True
    if not told.levels:
        inside["results"] = False
    elif told.grades:
        inside["grades"] = True
    if told.narrative:
        inside["narrative"] = told.narrative
    if told.evidence:
        badge = badge_from_content(award.version.definition)
        can = offered(session, award, badge, tool.settings.base_url)
        shown = [_evidence(each) for each in can if each.id in told.evidence]
        if shown:
            inside["evidence"] = shown
    return inside


def _kept(edition: Edition) -> dict[str, Any]:
    """Return an edition's choices in the same form."""
    kept = {name: edition.choices[name] for name in editions.CHOSEN if edition.choices.get(name) is not None}
    if kept.get("results", True):
        kept.pop("results", None)
    if "email" in kept:
        kept["email"] = True
    return kept


def _evidence(offer: Offered) -> dict[str, Any]:
    """Return a piece of evidence as an edition keeps it: named by its row, in words that no language page changes."""
    frozen = {"id": offer.id, "name": offer.row, **({"narrative": offer.about} if offer.about else {})}
    if offer.kind == "file":
        about = {"name": offer.words, "type": offer.type, "size": offer.size}
        return {**frozen, "url": offer.address, "genre": "File", "description": offer.told, "file": about}
    if offer.kind == "link" and is_link(offer.words) and is_iri(offer.words):
        return {**frozen, "url": offer.words, "genre": "Link"}
    genre = "Reflection" if offer.kind == "reflection" else "Text"
    return {**frozen, "narrative": offer.words, "genre": genre}


def _replace(tool: Tool, session: Session, award: Award, inside: Mapping[str, Any], actor: str, now: datetime) -> None:
    old = award.editions[-1]
    old.decision = old.decision or award.decision
    award_acts.withdraw_editions(session, award, now)
    edition = editions.another(session, award, inside, now)
    session.flush()
    try:
        # Whether it can be signed is known before the one there is goes.
        said = editions.endorsement_documents(session, [edition])
        facts = editions.edition_facts(edition, tool.settings.base_url, said)
        editions.template_for(tool, session, award.version).prepare(facts)
    except CredentialHeldBack as error:
        raise BadInput(
            error.detail,
            sentence=Sentence("No credential can be signed with this in it, so nothing was changed."),
            what_to_do=Sentence("Look for unusual characters in your own words and in your evidence."),
        ) from error
    audit.record(
        session,
        now,
        actor,
        "award.chosen",
        f"award:{award.id}",
        before={"credential": old.id, "shown": _shown(_kept(old))},
        after={"credential": edition.id, "shown": _shown(inside)},
    )


def _shown(inside: Mapping[str, Any]) -> list[str]:
    """Name what is shown, and nothing of it: the log holds no name, address or text of hers."""
    shown = [] if inside.get("results") is False else ["levels"]
    return shown + sorted(name for name in inside if name != "results")
