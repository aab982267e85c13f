"""What the pages show: plain values, ready to be rendered. Read only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _

from lti_tool.credentials.ob3 import StackMember
from lti_tool.domain.badge import PREREQUISITE, Badge
from lti_tool.domain.changes import Change
from lti_tool.domain.mastery import BELOW, NO_RESULT, PART_WORDS
from lti_tool.lti.platforms import Clicks, CourseTotal
from lti_tool.services.drift import DriftNote
from lti_tool.services.earned import EarnedView
from lti_tool.services.words import said

if TYPE_CHECKING:
    from lti_tool.services.choices import Choices, Offered
    from lti_tool.services.endorsements import EndorsementView
    from lti_tool.services.evidence import EvidenceItem
    from lti_tool.services.evidence_pages import LearnersEvidence


@dataclass(frozen=True)
class LevelMark:
    """One level on a scale of a row. `tone` is 1–4, the colour class lv1–lv4."""

    name: str
    points: str
    description: str
    tone: int
    reached: bool
    passed: bool  # below the reached one
    required: bool


@dataclass(frozen=True)
class RowView:
    """One sub-competency or gate as it stands for one learner."""

    tag: str
    code: str
    name: str
    description: str
    state: str  # as a Standing's; "hidden": not released to the learner; "other": not in her version of the badge
    told: Callable[[], str]  # why, made only where it is shown: a class has thousands of these
    reached: str
    required: str
    tone: int  # 0 for no level, else 1–4
    steps: int  # how many levels there are; 0 for a gate
    level: int  # how many steps are filled
    required_step: int  # 1-based; 0 for a gate
    short_by: int  # levels still to go, 0 where met
    points: str
    highest: str
    share: float  # of the way to the required level, 0 to 1, for the ring only
    levels: tuple[LevelMark, ...] = ()
    alignment: tuple[Any, ...] = ()
    next_asks: str = ""  # what the required level asks, where it is not reached
    beyond: str = ""  # what the next level above the reached one asks, where it is
    part: bool = False  # it is a badge that a stack is made of
    link: str = ""  # of a part: the address of what it stands for
    proof: str = ""  # of a part that counted: the address of its credential, where that is public

    @property
    def counts(self) -> bool:
        """Tell whether the badge's rule counts it: a sub-competency or a part, and no further condition."""
        return bool(self.steps) or self.part

    @property
    def have(self) -> str:
        """What the learner has, in words: a graded 0 is below the lowest level, not "no result yet"."""
        return self.reached or said(NO_RESULT if self.state == "ungraded" else BELOW)

    @property
    def sentence(self) -> str:
        """Why it stands so."""
        return said(self.told())

    @property
    def lacking(self) -> str:
        """The row as one that is missing: "Listens actively (Beginning, needs Proficient)"."""
        if self.state == "unproven":
            return _("%(row)s (%(level)s, evidence is missing)", row=self.name, level=self.reached)
        if self.tag.startswith(PREREQUISITE):
            if self.state in PART_WORDS:
                return _("the badge “%(badge)s” (%(why)s)", badge=self.name, why=said(PART_WORDS[self.state]))
            return _("the badge “%(badge)s”", badge=self.name)
        return _("%(row)s (%(have)s, needs %(required)s)", row=self.name, have=self.have, required=self.required)


@dataclass(frozen=True)
class LearnerRow:
    """One line of the matrix."""

    person_id: str
    name: str
    cells: tuple[RowView, ...]
    met: int | Decimal  # sub-competencies; of a stack: badges, or their credits
    of: int
    state: str  # "earned", "ready", "review", "one", "way", "none", "revoked"
    word: str  # "Earned", "Ready", "Review", "3 of 4", "Not started", "Withdrawn", "Expired"
    award_id: str
    sentence: str
    holds: bool = False  # has an award in force, looked at again or not


@dataclass(frozen=True)
class SyncState:
    """When grades were last read, and whether it is being done now."""

    at: datetime | None
    running: bool
    failed: str  # the sentence of the last failure, empty where the last one went well
    what_to_do: str = ""
    job_id: int = 0
    next_at: datetime | None = None  # when it is tried again by itself after a failure, where it is


@dataclass(frozen=True)
class BadgeCard:
    slug: str
    name: str
    level: str
    status: str  # "draft", "publishing", "active", "attention", "retired"
    rows: int
    earned: int
    on_the_way: int
    not_started: int
    to_confirm: int
    waiting: int  # those to confirm, and those whose grades no longer carry them
    columns_bound: int
    columns_wanted: int
    problem: str
    changed: bool = False  # a change waits beside the version in force
    left: int = 0  # what is still missing in a draft that is being written, or in the change of a published badge
    of_badges: bool = False  # `rows` are the badges it is made of


@dataclass(frozen=True)
class LibraryCard:
    slug: str
    name: str
    summary: str  # the sub-competencies, joined by " · ", or the badges it is made of
    in_use: bool
    first: str = ""  # what has to be published before it


@dataclass(frozen=True)
class CopiedBadge:
    """A badge that may come along into a copied course."""

    slug: str
    name: str
    draft: bool  # it was not published there
    wanted: int  # gradebook columns it reads
    missing: tuple[str, ...]  # labels of those that did not come along
    looked: bool  # the gradebook was read: without that, nothing is known to be missing


@dataclass(frozen=True)
class CopyOffer:
    """That this course was copied, and what may come along. `label` is empty where its source is not to be named."""

    source_id: int
    label: str
    badges: tuple[CopiedBadge, ...]
    problem: str  # why the gradebook could not be read
    by_hand: bool = False  # an instructor named it: it is no copy

    @property
    def wanted(self) -> int:
        return sum(badge.wanted for badge in self.badges)

    @property
    def recognised(self) -> int:
        return self.wanted - sum(len(badge.missing) for badge in self.badges)

    @property
    def looked(self) -> bool:
        return all(badge.looked for badge in self.badges)


@dataclass(frozen=True)
class OtherCourse:
    """Another course that an instructor manages. `fresh` names the badges that this one has not."""

    id: int
    label: str
    title: str
    platform: str
    fresh: tuple[str, ...]
    badges: int


@dataclass(frozen=True)
class Need:
    """Something that waits for the instructor. `href` is relative to the course home."""

    kind: str  # "warn" or "acc"
    title: str
    text: str
    action: str
    href: str
    clicks: Clicks = ()  # in the LMS
    administrator: bool = False  # an administrator of the LMS makes them


@dataclass(frozen=True)
class CourseHome:
    title: str
    label: str
    summary: str
    sync: SyncState
    badges: tuple[BadgeCard, ...]
    library: tuple[LibraryCard, ...]
    needs: tuple[Need, ...]
    may_manage: bool
    can_publish: bool  # False: the issuer has no name or address yet
    learners: int
    copies: tuple[CopyOffer, ...] = ()
    copy_job: int = 0  # the job that looks at what came along, while it does


@dataclass(frozen=True)
class ColumnPlan:
    """One gradebook column that publishing makes or uses."""

    tag: str
    code: str
    label: str
    maximum: str
    exists: bool
    what: str  # "will be made", "is there and is used", "made", "missing", "orphaned", "earlier"
    found_by: str = ""  # as models.Column.found_by


@dataclass(frozen=True)
class Mover:
    """A learner for whom something changes, or who is one step short. `what` names what is missing then."""

    person_id: str
    name: str
    what: str = ""


@dataclass(frozen=True)
class Effect:
    """What a change does. `today` and `then` count learners by class, as (earned, waits, one
    step short, further away); `waits` are earned and
    confirmed or released by a person. `today` is None where nothing is in force yet."""

    learners: int
    begun: int  # who has a result, or goes on under an earlier version already
    today: tuple[int, ...] | None
    then: tuple[int, ...]
    reach: tuple[Mover, ...]
    short: tuple[Mover, ...]
    lose: tuple[Mover, ...]
    keep: int  # learners of the course who hold an award in force
    keep_under: tuple[int, ...]  # the numbers of the versions they were awarded under
    again: bool  # it becomes a badge of its own: whoever has the present one may earn this one beside it
    read_at: datetime | None  # when the results it is counted on were read
    elsewhere: int = 0  # people who are not in this course and would have it

    @property
    def reached(self) -> int:
        return self.then[0] + self.then[1] - (self.today[0] + self.today[1] if self.today else 0)


@dataclass(frozen=True)
class BadgePlan:
    """What publishing will do."""

    slug: str
    badge: Badge
    status: str
    columns: tuple[ColumnPlan, ...]
    obstacles: tuple[str, ...]  # why it cannot be published yet, in words
    course_total: CourseTotal
    learners: int
    job_id: int
    progress: tuple[str, ...]
    problem: str
    looking: int = 0  # the job that looks which columns are there, while it does
    effect: Effect | None = None  # on the learners, where a draft waits
    changes: tuple[Change, ...] = ()  # against the version in force
    counts_for: str = "everybody"  # or "new": for whom the change would count
    seen: str = ""  # what the form sends back, so that nothing is published that was not looked at
    version: int = 0  # in force, 0 for none
    next_version: int = 0
    orphans: tuple[ColumnPlan, ...] = ()
    notes: tuple[str, ...] = ()  # badges asked for first that are retired here
    drifts: tuple[DriftNote, ...] = ()  # what in the LMS is no longer as it was set up
    earned: EarnedView | None = None  # whether who has earned it is written back, and how that stands
    gate: Clicks = ()  # in the LMS, to open something by that
    parts: tuple[StackMember, ...] = ()  # what a stack is made of


@dataclass(frozen=True)
class MatrixView:
    """Which learners the matrix shows, and in which order."""

    show: str = "all"
    q: str = ""
    sort: str = "name"
    section: str = ""
    page: int = 1


@dataclass(frozen=True)
class Matrix:
    slug: str
    badge: Badge
    status: str
    version: int
    summary: str
    most_missing: str
    rows: tuple[LearnerRow, ...]
    heads: tuple[RowView, ...]  # one empty view a column: code, name, required
    counts: dict[str, int]  # "all", "ready", "one", "review", "earned", "way", "none"
    sync: SyncState
    columns: tuple[ColumnPlan, ...]
    aside: int  # results of users the roster does not name
    may_manage: bool
    view: MatrixView
    found: int  # learners that fit the view; `rows` is one page of them
    first: int = 1  # the number of the first of `rows` among them
    last_page: int = 1
    sections: tuple[tuple[str, str], ...] = ()  # id and name, where the LMS tells them
    partly: bool = False  # it tells them only of learners who have opened the tool
    drifts: tuple[DriftNote, ...] = ()  # what in the LMS is no longer as it was set up
    earned: EarnedView | None = None  # where who has earned it is written back


@dataclass(frozen=True)
class RecordView:
    """The decision record behind one cell."""

    person_id: str
    name: str
    row: RowView
    facts: tuple[tuple[str, str], ...]  # "Column", "Score", "Graded", "Received", "Rule" … in order
    before: tuple[str, ...]
    verdict: str
    award: str  # what is said of the badge as a whole
    slug: str = ""
    evidence: tuple[EvidenceItem, ...] = ()  # what was handed in beside this row


@dataclass(frozen=True)
class AwardRow:
    id: str
    name: str
    person_id: str
    status: str
    word: str
    earned_at: datetime
    issued_at: datetime | None
    credential_url: str
    review: str  # why it is under review, empty otherwise
    revocation_reason: str
    given: str = "grades"  # or by "hand", or from a "file"
    note: str = ""  # the evidence of one given by hand
    held_reason: str = ""
    held_until: datetime | None = None
    can_hold: bool = False
    can_reissue: bool = False
    can_renew: bool = False
    ends: str = ""  # said of one that ends soon
    kept_back: bool = False  # held, and the LMS does not show a grade behind it to the learner yet
    waits: str = ""  # its credential is held back: in words


@dataclass(frozen=True)
class AwardsPage:
    """All awards of a badge, in the groups an instructor decides about."""

    slug: str
    badge: Badge
    status: str  # of the course badge
    to_confirm: tuple[AwardRow, ...]
    doubted: tuple[AwardRow, ...]
    held: tuple[AwardRow, ...]
    rest: tuple[AwardRow, ...]
    held_back: bool  # the badge's release lets learners see nothing yet
    released_at: datetime | None  # the moment an instructor set for that, where it lies ahead
    may_manage: bool
    soon: tuple[str, ...] = ()  # the ids of those that end soon, the next first

    @property
    def waiting(self) -> int:
        return len(self.to_confirm) + len(self.doubted)

    def shown(self, which: str) -> tuple[AwardRow, ...]:
        """Return those of the rest that end soon ("soon"), whose time is over ("expired"), or all."""
        if which == "soon":
            by_id = {row.id: row for row in self.rest}
            return tuple(by_id[award_id] for award_id in self.soon if award_id in by_id)
        return tuple(row for row in self.rest if which != "expired" or row.status == "expired")

    @property
    def all(self) -> tuple[AwardRow, ...]:
        return self.to_confirm + self.doubted + self.held + self.rest


@dataclass(frozen=True)
class GivePage:
    """Giving a badge by hand: to whom, and with which levels. `person_id` is "" before somebody is chosen."""

    slug: str
    badge: Badge
    people: tuple[tuple[str, str], ...]  # id and name of those who may be awarded
    person_id: str = ""
    name: str = ""
    rows: tuple[RowView, ...] = ()  # as they stand
    carried: bool = False  # as they stand, they reach the badge
    held_back: bool = False
    evidence: LearnersEvidence | None = None


@dataclass(frozen=True)
class ReissueRow:
    code: str
    name: str
    before: str  # in words; empty for no result
    after: str


@dataclass(frozen=True)
class ReissuePage:
    """What issuing an award again would change."""

    award_id: str
    name: str
    badge: Badge
    rows: tuple[ReissueRow, ...]
    old_name: str  # in the credential; empty where it names nobody
    new_name: str
    carries: bool
    open: bool  # it is in force
    by_hand: bool
    seal: str

    @property
    def changes(self) -> bool:
        return self.old_name != self.new_name or any(row.before != row.after for row in self.rows)


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
class PlaceRow:
    """One sub-competency in the picker."""

    value: str  # what the form sends
    code: str
    name: str
    points: str  # of the column that is made with it
    column: str  # "new", "there": is used and not made again, "second": the LMS would make another, "none"
    chosen: bool


@dataclass(frozen=True)
class PlaceCard:
    """One badge in the picker."""

    value: str
    slug: str
    name: str
    level: str
    status: str
    rows: tuple[PlaceRow, ...]
    chosen: bool


@dataclass(frozen=True)
class PlacePage:
    """What can be placed in a course by a deep linking request."""

    cards: tuple[PlaceCard, ...]
    library: tuple[LibraryCard, ...]
    multiple: bool
    columns: bool  # the LMS makes gradebook columns with links
    with_columns: bool
    general: str  # the value of the link to the course's badges
    general_chosen: bool
    where: str  # the LMS's name
    afterwards: str  # what is left to do there


@dataclass(frozen=True)
class Placed:
    """The answer to a deep linking request, for the browser to bring to the LMS."""

    return_url: str
    jwt: str
    titles: tuple[str, ...]
    origins: tuple[str, ...]  # where that form may go


@dataclass(frozen=True)
class BadgeStanding:
    """One learner in one badge: her line of the matrix, and the decision record of each row."""

    slug: str
    badge: Badge
    row: LearnerRow
    records: tuple[RecordView, ...]


@dataclass(frozen=True)
class SubmissionReview:
    """What an instructor sees of one learner's submission. `name` is empty where the course does not know her."""

    name: str
    learns: bool  # she is a learner of this course now
    standings: tuple[BadgeStanding, ...]
    only: str  # the tag of the one row that is reviewed, empty for all
    sync: SyncState


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
    parts: tuple[StackMember, ...] = ()  # what a stack is made of
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
