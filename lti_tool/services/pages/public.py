"""What anybody's pages show: a credential, a badge, an issuer, a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lti_tool.credentials.ob3 import StackMember
from lti_tool.domain.badge import Badge
from lti_tool.services.pages.rows import RowView

if TYPE_CHECKING:
    from lti_tool.services.endorsements import EndorsementView


@dataclass(frozen=True)
class CheckView:
    name: str
    outcome: str  # "passed", "failed", "could not check"
    question: str
    sentence: str


@dataclass(frozen=True)
class ShownEvidence:
    """A piece of evidence as everybody sees it; `url` is empty for one that is words alone.

    `file` is a file's name and `about` what it is, both empty for what is none. `gone`: it is not kept any more."""

    name: str
    url: str
    words: str
    genre: str = ""  # as the credential has it: "Text", "Reflection", "Link", "File"
    file: str = ""
    about: str = ""
    gone: bool = False


@dataclass(frozen=True)
class CredentialPage:
    credential_id: str
    url: str
    badge: Badge
    version: int
    achievement_url: str
    picture_url: str
    issuer: str
    issuer_url: str
    issued_at: datetime
    expires_at: datetime | None
    recipient: str  # empty: not shown
    course: str
    rows: tuple[RowView, ...]
    needed: int
    state: str  # "in force", "revoked", "expired", "superseded", "pending"
    state_sentence: str
    checks: tuple[CheckView, ...]
    checked_at: datetime
    downloads: tuple[tuple[str, str, str], ...] = field(default=())  # (word, small word, address)
    qr_svg: str = ""
    newer_url: str = ""  # of the edition that replaced this one
    shows_levels: bool = True
    evidence: tuple[ShownEvidence, ...] = ()
    narrative: str = ""  # what the learner says herself
    term: str = ""
    endorsements: tuple[EndorsementView, ...] = ()
    shows_grades: bool = False
    judged: tuple[str, ...] = ()  # by whom, and how: sentences
    note: str = ""  # what one given by hand rests on, in its teacher's words
    preview_url: str = ""  # of the picture that other sites show beside a link to it
    alternates: tuple[tuple[str, str], ...] = ()  # content type and address of each form for machines
    structured: dict[str, Any] | None = None  # the same in the terms of schema.org
    searchable: bool = False  # search engines may list it
    shared_until: datetime | None = None  # opened by a link of its learner's that ends then, with parts left out
    left_out: tuple[str, ...] = ()  # which: of services.share_links.PART_WORDS


@dataclass(frozen=True)
class AchievementPage:
    badge: Badge
    version: int
    url: str
    picture_url: str
    issuer: str
    issuer_url: str
    newest_url: str = ""  # of a newer version, where there is one
    parts: tuple[StackMember, ...] = ()  # the badges that it asks for
    downloads: tuple[tuple[str, str, str], ...] = ()
    endorsements: tuple[EndorsementView, ...] = ()
    earlier: tuple[tuple[int, str], ...] = ()  # (number, address) of the versions before, the newest first
    preview_url: str = ""  # as of a credential's page
    alternates: tuple[tuple[str, str], ...] = ()
    structured: dict[str, Any] | None = None
    judged: tuple[str, ...] = ()


@dataclass(frozen=True)
class IssuedBadge:
    name: str
    level: str
    description: str
    url: str
    picture_url: str


@dataclass(frozen=True)
class IssuerPage:
    name: str
    address: str  # of this page
    url: str  # the institution's own
    description: str
    email: str
    did: str
    badges: tuple[IssuedBadge, ...]
    downloads: tuple[tuple[str, str, str], ...] = ()
    logo_url: str = ""  # empty where there is none
    parent_name: str = ""
    parent_url: str = ""
    phone: str = ""
    address_lines: tuple[str, ...] = ()
    terms_url: str = ""
    endorsements: tuple[EndorsementView, ...] = ()


@dataclass(frozen=True)
class ReportPage:
    """The answer of a check: verdict, every question, and what the credential says of levels (name, reached, required).

    `explanation` says in a few sentences what the answers come to, `details` are for technical people, `address` is
    what a second look asks again, `inside` are the answers about what a learner record carries."""

    verdict: str
    ok: bool
    checks: tuple[CheckView, ...]
    badge_name: str
    issuer_name: str
    source: str  # what was checked, in a word: "JSON", a file's name, an address
    checked_at: datetime
    levels: tuple[tuple[str, str, str], ...] = ()
    explanation: str = ""
    details: tuple[tuple[str, str], ...] = ()
    address: str = ""
    inside: tuple[ReportPage, ...] = ()
