"""What a learner's pages show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from lti_tool.domain.badge import Badge
from lti_tool.services.pages.public import CheckView
from lti_tool.services.pages.rows import RowView, SyncState

if TYPE_CHECKING:
    from lti_tool.services.choices import Choices, Offered


@dataclass(frozen=True)
class StudentCard:
    """A badge as its learner sees it in the list."""

    slug: str
    name: str
    level: str
    state: str  # "earned", "way", "none", "waiting", "expired", "revoked"
    met: int | Decimal  # as LearnerRow.met
    of: int
    sentence: str
    rows: tuple[RowView, ...]
    award_id: str
    earned_at: datetime | None
    claimed: bool
    page_public: bool
    next_step: str
    retired: bool = False  # nobody is awarded any more
    ends: str = ""  # said of one that ends soon
    new: bool = False  # issued lately, and she has neither claimed it nor put it off
    put_off: bool = False  # she does not want to claim it now
    asked: bool = False  # the page asks why, once


@dataclass(frozen=True)
class Comment:
    """What was said to a learner about a row of hers. `by` is empty where the gradebook does not tell."""

    words: str
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class TreeNode:
    """A badge in the tree of a stack, as one learner has it. `slug` leads to her page of it, empty where she has none.

    `state` is "done" (in force), "way" (begun), "over" (withdrawn or expired) or "todo"; `word` says it."""

    name: str
    state: str
    word: str
    slug: str
    picture: str  # its address; empty: that of `slug`
    rule: str = ""  # what it takes, of a stack
    parts: tuple[TreeNode, ...] = ()
    described: str = ""  # the public page of what it stands for


@dataclass(frozen=True)
class OutsideView:
    """A badge of another issuer that is to count as a part. `status` is "waiting", "accepted" or "refused"."""

    id: str
    part: str  # the name of the part
    status: str
    name: str
    issuer: str
    issued_at: datetime
    source: str
    reason: str
    checked_at: datetime
    problem: str  # why it counts no more
    person_id: str = ""
    learner: str = ""
    names: str = ""  # how it names its recipient: "email" (hers), "other", "none"
    checks: tuple[CheckView, ...] = ()
    ok: bool = True  # every check passed
    tried_at: datetime | None = None  # a later look that could not be made


@dataclass(frozen=True)
class StudentHome:
    title: str
    label: str
    first_name: str
    sync: SyncState
    fresh: tuple[StudentCard, ...]  # earned, not claimed yet
    on_the_way: tuple[StudentCard, ...]
    earned: tuple[StudentCard, ...]
    over: tuple[StudentCard, ...]  # withdrawn or expired
    available: tuple[StudentCard, ...]
    preview: bool  # a test student or an instructor looking
    trees: tuple[TreeNode, ...] = ()  # the badges that others build up to
    kept: bool = False  # there is a credential in force, of this course or another


@dataclass(frozen=True)
class CourseOfHers:
    """A course on the page of all her badges. `over` are those that were withdrawn or have expired."""

    title: str
    label: str
    term: str
    synced_at: datetime | None
    failing: bool  # the last attempt to read it failed
    current: bool  # she is a learner there, and it has not ended
    fresh: tuple[StudentCard, ...]
    earned: tuple[StudentCard, ...]
    on_the_way: tuple[StudentCard, ...]
    over: tuple[StudentCard, ...]
    available: tuple[StudentCard, ...]


@dataclass(frozen=True)
class EverywherePage:
    """All her badges of one platform, course by course."""

    first_name: str
    platform: str
    courses: tuple[CourseOfHers, ...]
    sync: SyncState  # of all of them: the oldest reading, and whether one is being read now
    earned: int  # in force
    kept: bool


@dataclass(frozen=True)
class EarlierAward:
    """An award of before, of which others may still see something. `links` is how many links to it work.

    `state` is "expired", "revoked" or, of one that is in force beside the one that is shown, "issued"."""

    id: str
    issued_at: datetime | None
    state: str
    claimed: bool
    page_public: bool
    links: int


@dataclass(frozen=True)
class StudentBadge:
    slug: str
    badge: Badge
    card: StudentCard
    rows: tuple[RowView, ...]
    history: tuple[str, ...]
    sync: SyncState
    issuer: str
    credential_url: str
    revoked: str  # the reason, empty where it was not
    lasts: str  # "lasts three years", or empty
    retired: bool = False  # nobody is awarded any more
    given_for: int = 0  # the version her award was given under, where the page shows another; else 0
    shown_version: int = 0
    given_url: str = ""  # of that version's public page
    tree: TreeNode | None = None  # of a badge made of badges
    outside: tuple[OutsideView, ...] = ()  # hers, that are to count as its parts
    elsewhere: str = ""  # the course it belongs to, where that is another one
    key: str = ""  # what its addresses say: its slug, or its id where it belongs to another course
    said: Mapping[str, Comment] = field(default_factory=dict)  # by tag
    course: str = ""  # the course it belongs to, where that is another one than the page is opened from
    term: str = ""
    earlier: tuple[EarlierAward, ...] = ()


@dataclass(frozen=True)
class ClaimView:
    slug: str
    badge: Badge
    award_id: str
    claimed: bool
    page_public: bool
    credential_url: str
    rows: tuple[RowView, ...]
    issuer: str
    issued_at: datetime | None
    downloads: tuple[tuple[str, str], ...]  # (word, address)
    choices: Choices  # as they are now, or as usual where nothing was chosen yet
    note: str = ""  # the evidence in it, where a person gave the badge by hand
    name: str = ""  # hers, as the LMS tells it; empty: it cannot be shown
    email: str = ""
    offered: tuple[Offered, ...] = ()  # evidence that she can show
    seen: str = ""  # the credential this page was made from
    closed: bool = False  # it is over or was taken back: what is inside stays
    course: str = ""
    for_wallets: bool = False  # it may go into a wallet now


@dataclass(frozen=True)
class KeptData:
    """One kind of data that is kept about a person: how much, and from when to when."""

    what: str
    why: str
    count: int
    since: datetime | None
    until: datetime | None
    ends: str  # how long it stays


@dataclass(frozen=True)
class DataPrivacy:
    own: bool  # she looks at her own
    kept: tuple[KeptData, ...]
    issuer: str
    issuer_url: str
    issuer_email: str
