"""What the pages of those who teach show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from lti_tool.credentials.ob3 import StackMember
from lti_tool.domain.badge import Badge
from lti_tool.domain.changes import Change
from lti_tool.lti.platforms import Clicks, CourseTotal
from lti_tool.services.drift import DriftNote
from lti_tool.services.earned import EarnedView
from lti_tool.services.pages.rows import RowView, SyncState

if TYPE_CHECKING:
    from lti_tool.services.evidence import EvidenceItem
    from lti_tool.services.evidence_pages import LearnersEvidence


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
    unconfirmed: bool = False  # held or not, an instructor has not confirmed it yet
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
    not_shown: bool = False  # the LMS does not show one of them to the learner yet, so it stays out
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
    kept_back: bool = False  # the LMS does not show one of these grades to the learner yet

    @property
    def changes(self) -> bool:
        return self.old_name != self.new_name or any(row.before != row.after for row in self.rows)


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
