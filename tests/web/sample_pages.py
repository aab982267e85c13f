"""Every page in every state, filled with invented people. `python -m tests.web.sample_pages PORT` shows them.

SAMPLE_ART names a folder of <slug>.svg badge pictures; without it a disc stands in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import segno
from flask import Flask, Response, abort, redirect, render_template, request, url_for
from jinja2 import StrictUndefined

from lti_tool.credentials.ob3 import StackMember
from lti_tool.domain.badge import (
    Alignment,
    Badge,
    Creator,
    Gate,
    Identifier,
    Level,
    Picture,
    Related,
    Stack,
    SubCompetency,
)
from lti_tool.domain.changes import Change
from lti_tool.errors import BadInput
from lti_tool.lti.platforms import platform_of
from lti_tool.sentence import Sentence
from lti_tool.services import schema_org, stack_words, words
from lti_tool.services.award_files import BadLine, FilePage, GoodLine
from lti_tool.services.backpacks import Backpack, Connection, Consent
from lti_tool.services.case_package import Framework, Item
from lti_tool.services.choices import Choices, Offered
from lti_tool.services.draft_values import PAIRS, blank, blank_stack, definition, values_of
from lti_tool.services.drafts import Choice as DraftChoice
from lti_tool.services.drafts import Clash, DraftPage, PartChoice
from lti_tool.services.drift import DriftNote, PastDrift
from lti_tool.services.earned import Differs, EarnedView
from lti_tool.services.endorsements import (
    LONGEST,
    Answer,
    AskedView,
    EndorsementPage,
    EndorsementsPage,
    EndorsementView,
    ToEndorse,
)
from lti_tool.services.evidence import EvidenceItem, FileView
from lti_tool.services.evidence_pages import LearnersEvidence, Limits, OwnEvidencePage
from lti_tool.services.expiry import Renewal
from lti_tool.services.figure_pages import Asked, FiguresPage, Line, Share
from lti_tool.services.framework_files import FrameworkPage, RubricOffer
from lti_tool.services.history import HistoryPage, VersionRow
from lti_tool.services.marking import Overtaken
from lti_tool.services.marking_pages import (
    LearnerLine,
    MarkedRow,
    MarkingList,
    MarkingPage,
    Neighbour,
    OwnRow,
    PostingView,
)
from lti_tool.services.matching import Choice, MatchPage, MatchRow
from lti_tool.services.pages.instructor import (
    AwardRow,
    AwardsPage,
    BadgeCard,
    BadgePlan,
    BadgeStanding,
    ColumnPlan,
    CourseHome,
    Effect,
    GivePage,
    LearnerRow,
    LibraryCard,
    Matrix,
    MatrixView,
    Mover,
    Need,
    OtherCourse,
    PlaceCard,
    Placed,
    PlacePage,
    PlaceRow,
    RecordView,
    ReissuePage,
    ReissueRow,
    SubmissionReview,
)
from lti_tool.services.pages.public import (
    AchievementPage,
    CheckView,
    CredentialPage,
    IssuedBadge,
    IssuerPage,
    ReportPage,
    ShownEvidence,
)
from lti_tool.services.pages.rows import LevelMark, RowView, SyncState
from lti_tool.services.pages.student import (
    ClaimView,
    Comment,
    CourseOfHers,
    DataPrivacy,
    EarlierAward,
    EverywherePage,
    KeptData,
    OutsideView,
    StudentBadge,
    StudentCard,
    StudentHome,
    TreeNode,
)
from lti_tool.services.rights import OwnRequest, OwnRights
from lti_tool.services.rows import gate_words, row_views
from lti_tool.services.score_files import BadLine as BadScore
from lti_tool.services.score_files import FilePage as ScoreFile
from lti_tool.services.score_files import FileRow, ScoresPage
from lti_tool.services.score_files import GoodLine as GoodScore
from lti_tool.services.share_links import LASTS, PART_WORDS, ShareLinkView
from lti_tool.services.show_page import ShowPage
from lti_tool.services.source_pages import Choice as SourceChoice
from lti_tool.services.source_pages import SourcePage, SourceRow
from lti_tool.services.stack_pages import OutsidePage
from lti_tool.services.wallet_offers import CopyView, OfferView, WalletPage
from lti_tool.web import labels, language
from lti_tool.web.markdown import markdown
from tests.web import sample_notifications, sample_own_access, sample_rights

NOW = datetime(2026, 11, 21, 9, 14, tzinfo=UTC)
ROOT = Path(__file__).parents[2] / "lti_tool"
LAUNCH = "L7fq2"
BASE = "https://badges.hallwood.example"

# -- a badge -----------------------------------------------------------------------------------------------------

LEVELS = ("Beginning", "Developing", "Proficient", "Advanced")


def _sub(code: str, name: str, required: str, *words: str) -> SubCompetency:
    levels = tuple(Level(n, Decimal(i), w) for i, (n, w) in enumerate(zip(LEVELS, words, strict=True), 1))
    framework = Alignment("NACE Career Readiness", "Communication", "https://www.naceweb.org/", "COM")
    return SubCompetency(code, name, levels, required, alignment=(framework,))


SUBS = (
    _sub("OC-1", "Adapts the message to the audience", "Proficient", "Says the same to everyone.",
         "Changes single words for the listeners.", "Chooses examples and length for these listeners.",
         "Changes course while speaking when listeners need it."),
    _sub("OC-2", "Builds a clear line of thought", "Proficient", "Points stand side by side.",
         "The order can be followed with effort.", "A line that listeners can repeat.",
         "A line that survives interruption."),
    _sub("OC-3", "Listens actively", "Proficient", "Waits for a turn to speak.", "Answers what was asked.",
         "Checks the meaning before answering: says back what was asked, and waits for a yes.",
         "Brings out what was left unsaid."),
    _sub("OC-4", "Answers questions on the spot", "Developing", "Goes silent or around the question.",
         "Answers when the question is expected.", "Answers plainly, or says what is not known.",
         "Uses the question to take the talk further."),
)  # fmt: skip
BADGE = Badge(
    slug="oral-communication",
    name="Oral Communication",
    description="Speaks to be understood, and listens to understand.",
    criteria="A learner gives a **five-minute talk** and answers questions.\n\n- judged by a teacher\n- with a rubric",
    sub_competencies=SUBS,
    level="Foundational",
    tags=("21st-century skills",),
    award="review",
    picture=Picture(alt="Oral Communication badge: a speech bubble with a sound wave, ribbon Foundational"),
    alignment=(Alignment("ESCO", "communicate verbally", "https://data.europa.eu/esco/", "S1.4"),),
)
GATED = replace(
    BADGE,
    slug="critical-thinking",
    name="Critical Thinking",
    rule="any 3",
    gates=(Gate("course-grade", "Course grade B or better", "letter", "B", (("C", Decimal(70)), ("B", Decimal(80)))),),
)
LONG = replace(BADGE, name="Donaudampfschifffahrtsgesellschaftskapitänsprüfungsvorbereitung")


def row(sub: SubCompetency, level: int | None, *, state: str = "", points: str = "") -> RowView:
    """A row at `level` (1-based); None: no result."""
    need = sub.required_index + 1
    reached = sub.levels[level - 1].name if level else ""
    state = state or ("ungraded" if level is None else "met" if level >= need else "short")
    seen = level if state in ("met", "short") else None
    marks = tuple(
        LevelMark(each.name, str(each.points), each.description, i, i == seen, bool(seen and i < seen), i == need)
        for i, each in enumerate(sub.levels, 1)
    )
    sentence = f"No result yet; needs {sub.required_level}."
    if state == "short":
        sentence = (f"Score {level} of 4: {reached}. {sub.required_level} begins at {need} points, "
                    f"so {need - (level or 0)} more are needed.")  # fmt: skip
    elif state == "met":
        sentence = f"Score {level} of 4: {reached}, needs {sub.required_level}."
    elif state == "malformed":
        sentence = "Not counted: the score is above the maximum of its column."
    return RowView(
        tag=sub.tag, code=sub.code, name=sub.name, description=sub.description, state=state, told=lambda: sentence,
        reached=reached if seen else "", required=sub.required_level, tone=seen or 0, steps=len(sub.levels),
        level=seen or 0, required_step=need, short_by=max(0, need - (seen or 0)), points=points or str(level or ""),
        highest="4", share=min(1.0, (seen or 0) / need), levels=marks, alignment=sub.alignment,
        next_asks=sub.levels[need - 1].description if state != "met" else "",
        beyond=sub.levels[seen].description if seen and seen < len(sub.levels) else "", language=BADGE.language,
    )  # fmt: skip


def gate_row(state: str = "short") -> RowView:
    reached = {"met": "A", "short": "C"}.get(state, "")
    return RowView(
        tag="gate:course-grade", code="course-grade", name="Course grade B or better", description="", state=state,
        told=lambda: (
            f"Score 72 of 100: {reached}, needs B or better." if reached else "No result yet; needs B or better."
        ),
        reached=reached, required="B or better", tone=0, steps=0, level=0, required_step=0, short_by=0,
        points="72" if reached else "", highest="100", share=0.0,
    )  # fmt: skip


def rows(*levels: int | None) -> tuple[RowView, ...]:
    return tuple(row(sub, level) for sub, level in zip(SUBS, levels, strict=True))


# -- the instructor's pages --------------------------------------------------------------------------------------

SYNCED = SyncState(NOW - timedelta(minutes=3), False, "")
RUNNING = SyncState(NOW - timedelta(minutes=3), True, "", job_id=4)
FAILED = SyncState(NOW - timedelta(hours=5), False, "Your LMS could not be reached.",
                   "Nothing was lost. Try again in a few minutes.", 3)  # fmt: skip
TRIED_AGAIN = replace(FAILED, next_at=NOW + timedelta(minutes=1))
NEVER = SyncState(None, False, "")

LIBRARY = (
    ("self-directed-learning", "Self-Directed Learning", "Sets a goal · plans the time · finds help · looks back"),
    ("empathy", "Empathy", "Notices · asks before judging · takes another view · acts on it"),
    ("oral-communication", "Oral Communication", "Adapts to the audience · clear line of thought · listens · answers"),
    ("critical-thinking", "Critical Thinking", "Frames the question · weighs evidence · spots assumptions · concludes"),
    ("resilience", "Resilience", "Names the setback · steadies · tries another way · learns from it"),
    ("intercultural-fluency", "Intercultural Fluency", "Knows own habits · asks with respect · adapts · bridges"),
    ("collaboration", "Collaboration", "Shares the work · keeps word · gives feedback · settles conflict"),
    ("creative-problem-solving", "Creative Problem-Solving", "Reframes · makes many ideas · tests small · improves"),
    ("initiative", "Initiative", "Sees what is needed · starts · takes others along · finishes"),
)
USED = ("oral-communication", "critical-thinking", "resilience")
HOME = CourseHome(
    title="Employability Skills",
    label="EMP101",
    summary="Five of 14 learners hold at least one. Four are one short of Oral Communication.",
    sync=SYNCED,
    badges=(
        BadgeCard("oral-communication", "Oral Communication", "Foundational", "active", 4, 4, 9, 1, 2, 2, 4, 4, ""),
        BadgeCard("critical-thinking", "Critical Thinking", "Intermediate", "attention", 4, 2, 9, 3, 0, 0, 3, 4, ""),
        BadgeCard("resilience", "Resilience", "Foundational", "draft", 4, 0, 0, 0, 0, 0, 0, 4, ""),
    ),
    library=(*(LibraryCard(*each, in_use=each[0] in USED) for each in LIBRARY),
             LibraryCard("working-with-others", "Working with Others",
                         "Made of badges: Oral Communication, Collaboration, Intercultural Fluency", in_use=False,
                         first="Publish these first: Collaboration, Intercultural Fluency.")),
    needs=(
        Need("warn", "Critical Thinking cannot read one column.",
             "“CT-3 Spots assumptions” was deleted from the gradebook on 12 November. Scores already counted are kept.",
             "Look at the column", "critical-thinking/plan"),
        Need("acc", "Two awards wait for you in Oral Communication.",
             "Grace L. and Marta V. stand at the required level in all four.", "Look and confirm",
             "oral-communication/awards"),
    ),
    may_manage=True,
    can_publish=True,
    learners=14,
)  # fmt: skip
NAMES = ("Ana R.", "Ben O.", "Chloe T.", "Daniel K.", "Elif S.", "Farid M.", "Grace L.", "Hugo B.", "Imani W.",
         "Jonas P.", "Keiko H.", "Liam D.", "Marta V.", "Noor A.")  # fmt: skip
GRADES: tuple[tuple[int | None, ...], ...] = (
    (4, 3, 1, 3), (3, 3, 3, 2), (4, 4, 3, 3), (3, 2, 3, 2), (3, 3, 4, 4), (2, 2, 1, None), (3, 4, 3, 2), (3, 3, 2, 3),
    (4, 3, 3, 4), (None,) * 4, (3, 3, 2, 2), (1, 2, None, None), (3, 3, 3, 3), (4, 2, 3, 1),
)  # fmt: skip
STATES = {"Ben O.": "earned", "Chloe T.": "earned", "Elif S.": "earned", "Grace L.": "ready", "Marta V.": "ready",
          "Imani W.": "review", "Noor A.": "revoked"}  # fmt: skip
WORDS = {"earned": "Earned", "ready": "Ready", "review": "Review", "none": "Not started", "revoked": "Withdrawn"}


def learners(badge: Badge = BADGE) -> Iterator[LearnerRow]:
    for number, (name, grades) in enumerate(zip(NAMES, GRADES, strict=True), 1):
        cells = rows(*grades)
        if name == "Liam D.":
            cells = (replace(row(SUBS[0], 4, state="malformed")), *cells[1:])
        if badge.gates:
            cells = (*cells, gate_row(("met", "short", "ungraded")[number % 3]))
        met = sum(each.state == "met" and bool(each.steps) for each in cells)
        state = STATES.get(name) or ("none" if not any(grades) else "one" if met == 3 else "way")
        yield LearnerRow(f"p{number}", name, cells, met, 4, state, WORDS.get(state, f"{met} of 4"), "", "")


def columns(what: str, *, last: str = "") -> tuple[ColumnPlan, ...]:
    return tuple(
        ColumnPlan(s.tag, s.code, f"{s.code} {s.name}", "4", (w := (last or what) if s is SUBS[-1] else what) in
                   ("made", "is there and will be used"), w)
        for s in SUBS
    )  # fmt: skip


LEARNERS = tuple(learners())
COUNTS = {key: sum(one.state == key for one in LEARNERS) for key in ("ready", "one", "review", "earned", "way", "none")}
MATRIX = Matrix(
    slug=BADGE.slug, badge=BADGE, status="active", version=3,
    summary="Four of 14 have earned it, two wait for you, four are one short.", most_missing="Listens actively",
    rows=LEARNERS, heads=rows(None, None, None, None), counts={"all": 14, **COUNTS},
    sync=SYNCED, columns=columns("made"), aside=2, may_manage=True, view=MatrixView(), found=14,
)  # fmt: skip
WIDE = replace(
    MATRIX,
    badge=GATED,
    rows=tuple(replace(one, cells=one.cells * 2) for one in learners(GATED)),
    heads=(*rows(None, None, None, None), gate_row("ungraded")) * 2,
)
GATE_MATRIX = replace(MATRIX, badge=GATED, rows=tuple(learners(GATED)),
                      heads=(*MATRIX.heads, gate_row("ungraded")), sync=FAILED,
                      columns=columns("made", last="missing"))  # fmt: skip
TOTAL = {product: platform_of(product).keep_out_of_total() for product in ("canvas", "moodle", "other")}
PLAN = BadgePlan(BADGE.slug, BADGE, "draft", columns("will be made"), (), TOTAL["canvas"], 14, 0, (), "")
CANVAS = platform_of("canvas")
DRIFTS = (
    DriftNote("scope_missing", "", "", "Grades cannot be read at the moment.", "The tool lacks a permission.", NOW,
              CANVAS.mend("columns_read"), True),
    DriftNote("column_missing", BADGE.slug, SUBS[-1].tag, "“OC-4” is no longer in the gradebook.", "It was deleted.",
              NOW, choices=("make", "choose", "leave_out")),
    DriftNote("column_missing", BADGE.slug, "earned", "“Oral Communication: earned” is no longer in the gradebook.",
              "It was deleted there.", NOW, choices=("make", "switch_off")),
    DriftNote("column_missing", BADGE.slug, SUBS[0].tag, "“OC-1” is no longer in the gradebook.", "It was deleted.",
              NOW, choices=("make", "choose", "leave_out"), asked_again=True),
    DriftNote("maximum_changed", BADGE.slug, SUBS[1].tag, "“OC-2” now has 8 points.", "Levels mean the same.", NOW,
              choices=("accept",), maximum="8"),
    DriftNote("unpublished", BADGE.slug, SUBS[2].tag, "“OC-3” is not published.", "What waits is written.", NOW,
              CANVAS.mend("unpublished")),
)  # fmt: skip
EARNED_LABEL = "Oral Communication: earned"
EARNED = EarnedView(
    "on", EARNED_LABEL, written=4, taken=1, waiting=2, refused=(("not_a_student", 1), ("unpublished", 3)), again=True,
    differs=(Differs("p1", "Ana R.", "1", "0.5", "1", "a1"), Differs("p2", "Ben <b> O.", "0", "", "", "b2")),
)  # fmt: skip
EARNED_STATES = {
    "off": EarnedView("off", EARNED_LABEL),
    "shut": EarnedView("off", EARNED_LABEL, obstacle="The tool may not write into this course's gradebook."),
    "draft": EarnedView("draft", EARNED_LABEL),
    "making": EarnedView("making", EARNED_LABEL, job_id=4),
    "failed": EarnedView("making", EARNED_LABEL, problem="Your LMS did not answer."),
    "missing": EarnedView("missing", EARNED_LABEL),
}
FIRST = Effect(14, 0, None, (0, 5, 2, 7), tuple(Mover(f"p{i}", n) for i, n in enumerate(("Hugo B.", "Keiko H."))),
               (Mover("p1", "Ana R.", "Listens actively (Beginning, needs Proficient)"),), (), 0, (), False,
               NOW - timedelta(minutes=3))  # fmt: skip
CHANGES = tuple(
    Change(what, "Listens actively" if what.startswith(("row", "level", "evid", "gate", "first")) else "", "OC-3",
           "all" if what == "rule" else "each" if what == "columns" else "required" if "evid" in what else "Proficient",
           {"rule": "any 3", "columns": "total", "expires_after": "P3Y", "release": "2027-01-31T12:00:00Z",
            "credits": "2.5"}.get(what, "optional" if "evid" in what else "Developing"))
    for what in ("row_added", "row_removed", "row_name", "row_required", "row_levels", "row_points", "row_source",
                 "row_evidence", "row_words", "evidence_offer", "level_name", "order", "gate_added", "gate_changed",
                 "gate_removed", "first_added", "first_removed", "rule", "columns", "award", "release", "once",
                 "expires_after", "name", "level", "credits", "description", "criteria", "picture", "tags", "language",
                 "alignment")
)  # fmt: skip
CHANGED_PLAN = replace(
    PLAN, status="changed", columns=columns("made"), version=3, next_version=4, changes=CHANGES, seen="d1",
    effect=replace(FIRST, today=(4, 2, 4, 4), then=(4, 5, 2, 3), keep=4, keep_under=(2, 3), begun=9,
                   reach=tuple(Mover(f"p{i}", f"Learner {i}") for i in range(9)),
                   lose=(Mover("p9", "Noor A.", "Answers questions on the spot (no result yet, needs Developing)"),)),
    orphans=(ColumnPlan("sub-competency:OC-9", "", "OC-9 Speaks up", "4", True, "orphaned"),
             ColumnPlan("sub-competency:OC-8", "", "OC-8 Sums up", "4", True, "earlier")),
)  # fmt: skip
HISTORY = HistoryPage(
    BADGE.slug, BADGE, "active",
    (VersionRow(2, f"{BASE}/achievements/x/v2", NOW, "Tess Teacher", "new", CHANGES[:4], False, True, 3, 1, 0),
     VersionRow(1, f"{BASE}/achievements/x/v1", NOW, "", "everybody", (), True, False, 1, 0, 5)),
    CHANGES[:2], True, None, 2, True,
)  # fmt: skip
MATCHES = MatchPage(
    BADGE.slug, BADGE, "draft",
    (MatchRow("sub-competency:OC-1", "OC-1", "OC-1 Adapts", "4", f"{BASE}/1", "OC-1 Adapts", "marks", True),
     MatchRow("sub-competency:OC-2", "OC-2", "OC-2 Builds", "4", f"{BASE}/2", "Builds", "title", False),
     MatchRow("sub-competency:OC-3", "OC-3", "OC-3 Listens", "4", "", "", "", False)),
    (Choice(f"{BASE}/2", "Builds", "4", ""), Choice(f"{BASE}/3", "Listening", "10", ""),
     Choice(f"{BASE}/4", "E-1 Notices", "4", "empathy")),
    NOW, 0, "",
)  # fmt: skip
SOURCES = SourcePage(
    slug=BADGE.slug, badge=BADGE, status="draft", lms="Canvas", kind="canvas",
    rows=(SourceRow("sub-competency:OC-1", "OC-1", "Adapts", False, "matched", "a1", "Essay: Adapts"),
          SourceRow("sub-competency:OC-2", "OC-2", "Builds", False, "gone", "a9", "Old essay: Builds"),
          SourceRow("sub-competency:OC-3", "OC-3", "Listens", False, "proposed", "a2", ""),
          SourceRow("gate:grade", "grade", "Course grade", True, "open", "", "")),
    choices=(SourceChoice("a1", "Essay: Adapts", False), SourceChoice("a2", "Essay: <Listens>", False),
             SourceChoice("g1", "Course grade", True)),
    connected="Tess Teacher", own=True, can_connect=True, problem="", seen_at=NOW, job_id=0, job_problem="",
)  # fmt: skip
RECORD = RecordView(
    "p1", "Ana R.", row(SUBS[2], 1),
    (("Column", "OC-3 Listens actively"), ("Score", "1 of 4"), ("Graded", "16 Nov 2026, 10:18"),
     ("Received", "16 Nov 2026, 10:21, by sync"), ("Rule", "version 3, in force since 2 Nov")),
    ("9 Nov: no result", "2 Nov: rule 3 asked for Proficient (was Developing)"),
    "Not yet: Beginning, needs Proficient.", "3 of 4. Missing: Listens actively (Beginning, needs Proficient).",
)  # fmt: skip
RECORD_MET = replace(RECORD, row=row(SUBS[0], 4), verdict="Reached: Advanced, needs Proficient.", before=())
RECORD_GATE = replace(RECORD, row=gate_row(), verdict="Not yet: C, needs B or better.", award="")


def award(number: int, name: str, status: str, word: str, **more: Any) -> AwardRow:
    earned = NOW - timedelta(days=30 - number)
    values: dict[str, Any] = {
        "issued_at": earned if status in ("issued", "revoked", "superseded") else None,
        "credential_url": f"{BASE}/credentials/c{number}" if status in ("issued", "revoked") else "",
        "review": "", "revocation_reason": "",
    }  # fmt: skip
    return AwardRow(f"a{number}", name, f"p{number}", status, word, earned, **{**values, **more})


AWARDS = (
    award(1, "Grace L.", "review", "Waits for you"),
    award(2, "Marta V.", "review", "Waits for you"),
    award(3, "Imani W.", "issued", "Issued", review="Listens actively was lowered from 3 to 2 on 19 November."),
    award(4, "Ben O.", "issued", "Issued"),
    award(5, "Chloe T.", "held", "Held until its release"),
    award(6, "Elif S.", "pending", "Being signed"),
    award(7, "Noor A.", "revoked", "Withdrawn", revocation_reason="The talk was given by somebody else."),
    award(8, "Hugo B.", "superseded", "Replaced"),
)
ENDS = (
    award(11, "Aya N.", "issued", "Issued", ends="Valid until 3 Dec 2026, for 6 more days.", can_renew=True),
    award(12, "Bo E.", "expired", "Expired", can_renew=True),
)
RENEWALS = (
    Renewal("a11", "Aya N.", NOW, NOW),
    Renewal("a12", "Bo E.", None, NOW),
    Renewal("a13", "Cy T.", NOW, None, "The grades do not carry it any more."),
)
HELD = award(9, "Keiko H.", "held", "Held", held_reason="Asked for the second opinion.", can_hold=True)
BY_HAND = award(10, "Liam D.", "issued", "Issued", given="hand", note="Gave the keynote\nat the open day.",
                can_hold=True, can_reissue=True)  # fmt: skip
AWARDS_PAGE = AwardsPage(BADGE.slug, BADGE, "active", AWARDS[:2], AWARDS[2:3], (AWARDS[4], HELD),
                         (AWARDS[3], *AWARDS[5:], BY_HAND), False, None, True)  # fmt: skip
ENDING = replace(AWARDS_PAGE, to_confirm=(), doubted=(), held=(), rest=ENDS, soon=("a11",))
NO_AWARDS = replace(AWARDS_PAGE, to_confirm=(), doubted=(), held=(), rest=())
UNCONFIRMED = replace(AWARDS[0], can_hold=True, unconfirmed=True)
GIVE = GivePage(BADGE.slug, BADGE, (("p1", "Ana R."), ("p2", "Ben O.")))
REISSUE = ReissuePage("a4", "Ben O.", BADGE, (ReissueRow("OC-1", "Adapts the message", "Advanced (4 of 4)",
                      "Proficient (3 of 4)"), ReissueRow("OC-2", "Builds a line", "", "")), "Ben O", "Ben O.",
                      True, True, False, "5ea1")  # fmt: skip
FILE = FilePage("f1", "list <b>.csv", (GoodLine(2, "Ana R.", "email", "Gave the keynote"),),
                (BadLine(3, "Nobody in this course is known as “=HYPERLINK”."),), False)  # fmt: skip

SCORES = ScoresPage(
    BADGE, BADGE.slug, "active",
    (FileRow("OC-1", "Adapts", "Beginning, Proficient, or points up to 4", 12, NOW, "grades <b>.csv: OC-1"),
     FileRow("OC-2", "Builds", "Points up to 4", 0, None, "")), 30,
)  # fmt: skip
SCORE_FILE = ScoreFile(
    "f2", "grades <b>.csv", BADGE, (("OC-1", "Adapts", "OC-1 <Adapts>"),), ("OC-2 Builds",), ("Section", "Total"),
    (GoodScore(2, "Ana R.", "sis", ("Proficient",)), GoodScore(3, "", "sub", ("",)),
     GoodScore(4, "Ben", "name", ("?",))),
    7, 12, (BadScore(4, "Ben", "OC-1: “=1+1” is no number."), BadScore(5, "", "It does not say who.")), 2, 1, 3, False,
    {},
)  # fmt: skip

# -- the learner's pages -----------------------------------------------------------------------------------------


def card(slug: str, name: str, state: str, *levels: int | None, **more: Any) -> StudentCard:
    views = rows(*levels)
    met = sum(each.state == "met" for each in views)
    missing = [f"{r.name} ({r.reached or 'no result yet'}, needs {r.required})" for r in views if r.state != "met"]
    sentence = f"You have {met} of 4." + (f" Missing: {', '.join(missing[:2])}." if missing else "")
    values: dict[str, Any] = {
        "sentence": sentence, "award_id": "", "earned_at": None, "claimed": False, "page_public": False,
        "next_step": "", "level": "Foundational",
    }  # fmt: skip
    return StudentCard(slug=slug, name=name, state=state, met=met, of=4, rows=views, **{**values, **more})


FRESH = card("collaboration", "Collaboration", "earned", 3, 4, 3, 2, award_id="a1", earned_at=NOW, new=True,
             sentence="All four sub-competencies stand at the required level or above.")  # fmt: skip
WAY = card("oral-communication", "Oral Communication", "way", 4, 3, 1, 3,
           next_step=f"Proficient in “{SUBS[2].name}” asks: {SUBS[2].levels[2].description}")  # fmt: skip
WAITING = card("empathy", "Empathy", "waiting", 3, 3, 3, 2,
               sentence="You have 4 of 4.", next_step="A teacher confirms the badge.")  # fmt: skip
KEPT = card("self-directed-learning", "Self-Directed Learning", "earned", 3, 3, 3, 3, claimed=True, page_public=True,
            earned_at=NOW - timedelta(days=170), sentence="All four are reached.",
            ends="Valid until 3 Dec 2026, for 12 more days.")  # fmt: skip
PRIVATE = replace(KEPT, slug="empathy", name="Empathy", page_public=False)
REVOKED = replace(KEPT, slug="initiative", name="Initiative", state="revoked",
                  sentence="Withdrawn: the work was somebody else's.")  # fmt: skip
AVAILABLE = card("resilience", "Resilience", "none", None, None, None, None,
                 sentence="Four sub-competencies, no result yet.")  # fmt: skip
ME = StudentHome("Employability Skills", "EMP101", "Ana", SYNCED, (FRESH,),
                 (WAY, card("critical-thinking", "Critical Thinking", "way", 3, 2, None, None), WAITING),
                 (KEPT, PRIVATE), (REVOKED,), (AVAILABLE,), False)  # fmt: skip
MINE = StudentBadge(BADGE.slug, BADGE, WAY, WAY.rows, ("9 Nov: Listens actively, Beginning",
                    "2 Nov: Adapts the message, Advanced"), SYNCED, "Hallwood University", "", "",
                    "lasts three years")  # fmt: skip
UNCLAIMED = replace(FRESH, new=False, put_off=True)
ASKED_WHY = replace(UNCLAIMED, asked=True)
SAID_OF_ROWS = {SUBS[2].tag: Comment("Answered before the question ended, three times. Count to two.", "Dr Priya N.",
                                     NOW),
        SUBS[0].tag: Comment("Changes course when listeners need it.")}  # fmt: skip
HERS = CourseOfHers("Employability Skills", "EMP101", "Autumn 2026", NOW - timedelta(minutes=3), False, True, (FRESH,),
                    (KEPT, PRIVATE), (WAY, WAITING), (REVOKED,),
                    (AVAILABLE, replace(AVAILABLE, name="Initiative")))  # fmt: skip
ALL = EverywherePage("Ana", "Hallwood Canvas", (
    HERS, replace(HERS, label="EMP102", title="Employability Skills, part two, with a name that takes all the room",
                  term="", failing=True, synced_at=NOW - timedelta(hours=7), fresh=(), earned=(UNCLAIMED,), over=(),
                  on_the_way=(), available=()),
    replace(HERS, label="", title="First steps", term="Spring 2025", current=False, fresh=(), earned=(KEPT,), over=(),
            on_the_way=(), available=())), SYNCED, 4, True)  # fmt: skip
URL = f"{BASE}/credentials/7fq2c81km4xw09vd3hb6ptz5ra"
FILES = (("PNG", f"{URL}.png"), ("SVG", f"{URL}.svg"), ("JSON", f"{URL}.json"), ("JWT", f"{URL}.jwt"))
CLAIM = ClaimView("collaboration", replace(BADGE, slug="collaboration", name="Collaboration"), "a1", False, True, "",
                  FRESH.rows, "Hallwood University", None, (), Choices(public=True), name="Ana Ruiz",
                  email="ana@hallwood.example", course="EMP101 Employability Skills",
                  offered=(Offered("e1", "Shares the work", "text", "We split the tasks on the first evening."),
                           Offered("e2", "Keeps word", "link", "https://video.hallwood.example/17", "The talk."),
                           Offered("e3", "Keeps word", "reflection", "I would ask earlier next time.", since=NOW),
                           Offered("e4", "Keeps word", "file", "minutes.pdf", "Of the second evening.")))  # fmt: skip

# -- the public pages --------------------------------------------------------------------------------------------

CHECKS = (
    CheckView("Signature", "passed", "Was it changed after signing?", "Unchanged since it was signed"),
    CheckView("Status", "passed", "Has the issuer withdrawn it?", "In force, not withdrawn"),
    CheckView("Expiry", "passed", "Is it still in force by date?", "Until 14 October 2029"),
    CheckView("Issuer", "passed", "Does the key belong to the issuer?", "hallwood.example holds this key"),
)
MACHINE = (("JSON", "signed", f"{URL}.json"), ("JWT", "", f"{URL}.jwt"),
           ("PNG", "with credential inside", f"{URL}.png"), ("SVG", "", f"{URL}.svg"),
           ("Open Badges 2.0", "", f"{BASE}/ob2/assertions/7fq2"))  # fmt: skip
CREDENTIAL = CredentialPage(
    credential_id="7fq2c81km4xw09vd3hb6ptz5ra", url=URL, badge=BADGE, version=3,
    achievement_url=f"{BASE}/achievements/oral-communication/v3", picture_url="/sample/oral-communication.svg",
    issuer="Hallwood University", issuer_url=f"{BASE}/issuers/hallwood", issued_at=NOW - timedelta(days=38),
    expires_at=NOW + timedelta(days=1057), recipient="", course="EMP101 Employability Skills, Autumn 2026",
    rows=rows(3, 3, 4, 2), needed=4, state="in force", state_sentence="In force.", checks=CHECKS, checked_at=NOW,
    downloads=MACHINE, qr_svg=segno.make(URL).svg_inline(omitsize=True),
)  # fmt: skip
UNSURE = (*CHECKS[:1], replace(CHECKS[1], outcome="could not check", sentence="The list of withdrawn ones was silent"),
          replace(CHECKS[2], outcome="failed", sentence="It ended on 30 September 2026"), CHECKS[3])  # fmt: skip
ACHIEVEMENT = AchievementPage(BADGE, 3, CREDENTIAL.achievement_url, CREDENTIAL.picture_url, "Hallwood University",
                              CREDENTIAL.issuer_url, downloads=(("JSON", "Open Badges 3.0", "#"),))  # fmt: skip
ISSUER = IssuerPage(
    "Hallwood University", CREDENTIAL.issuer_url, "https://hallwood.example/", "A university by the sea.",
    "badges@hallwood.example", "did:web:badges.hallwood.example",
    (IssuedBadge(BADGE.name, BADGE.level, BADGE.description, CREDENTIAL.achievement_url, CREDENTIAL.picture_url),),
    (("JSON", "profile", "#"),),
)  # fmt: skip
SAID = (
    EndorsementView("e1", f"{BASE}/endorsements/e1", "badge", "Mei Chen", "Head of training", "Acme & Sons",
                    "We hire by it. Whoever has this badge can be put before a customer on the first day.",
                    NOW - timedelta(days=20), None, ""),
    EndorsementView("e2", f"{BASE}/endorsements/e2", "award", "Jonas Weber", "", "Northbridge College",
                    "The talk was the best of the day.", NOW - timedelta(days=2), None, ""),
)  # fmt: skip
ENDORSED = EndorsementPage(SAID[0], BADGE.name, CREDENTIAL.achievement_url, "Hallwood University",
                           CREDENTIAL.issuer_url, "did:web:badges.hallwood.example")  # fmt: skip
TO_ENDORSE = ToEndorse("badge", "Hallwood University", BADGE.name, BADGE.description, CREDENTIAL.achievement_url,
                       "/sample/oral-communication.svg", NOW + timedelta(days=30),
                       "You have taken on three of our students this year.", BADGE)  # fmt: skip
FULL = replace(BADGE, field_of_study="Communication", specialization="Career readiness", human_code="COM-210",
               identifiers=(Identifier("ext:ctid", "ce-98cb027b-95ef-4494-908d-6f7790ec6b6b"),),
               creator=Creator("Department of Communication", "https://comm.example.edu", "", "Since 1921."),
               related=(Related("https://badges.example.edu/achievements/comunicacion/v1", "es"),))  # fmt: skip
ASKED = EndorsementsPage(
    (*SAID, replace(SAID[1], id="e3", withdrawn_at=NOW, withdrawn="She asked us to.")),
    (AskedView("r1", "badge", "Dr Lin at the museum", NOW - timedelta(days=3), NOW + timedelta(days=27), "open"),
     AskedView("r2", "award", "Tom", NOW - timedelta(days=9), NOW + timedelta(days=21), "declined", "Ana Ruiz"),
     AskedView("r3", "badge", "Eva", NOW - timedelta(days=40), NOW - timedelta(days=10), "expired")),
    (("a1", "Ana Ruiz"), ("a2", "Ben Ode")), BADGE.slug, BADGE,
)  # fmt: skip
REPORT = ReportPage(
    "Do not rely on this one", False, UNSURE, "Critical Thinking",
    "Northbridge College", "critical-thinking-jonas.png", NOW,
    (("Weighs evidence", "Proficient", "Proficient"), ("Course grade B or better", "", "B")),
    "It is genuine and unchanged. It is outside its dates. One check could not be made.",
    (("Found as", "PNG"), ("Credential", "https://badges.northbridge.example/credentials/0123456789abcdef0123456789abcdef"),
     ("Signature", "eddsa-rdfc-2022, did:web:badges.northbridge.example#VAWY2vHNMzHJ8O_lpKIWuSmzuXPCtG6fSN0QSq7dDhU")),
)  # fmt: skip
GOOD = replace(REPORT, verdict="Genuine and in force", ok=True, checks=CHECKS, explanation="Every check passed.",
               source="address", address="https://badges.northbridge.example/credentials/1")  # fmt: skip
RECORD_REPORT = replace(REPORT, badge_name="Learner record", levels=(), inside=(GOOD, REPORT))


def place_card(slug: str, name: str, status: str, column: str, chosen: bool = False) -> PlaceCard:
    made = tuple(PlaceRow(f"{slug} {s.code}", s.code, s.name, "4", column, chosen and s is SUBS[1]) for s in SUBS)
    return PlaceCard(slug, slug, name, "Foundational", status, made, chosen=False)


PLACE = PlacePage(
    cards=(place_card(BADGE.slug, BADGE.name, "active", "there"),
           place_card("resilience", "Resilience", "draft", "new", True),
           place_card("long", "Straßenverkehrssicherheitsbewusstsein und mehr", "active", "none")),
    library=HOME.library[:3], multiple=True, columns=True, with_columns=True, general="badges", general_chosen=False,
    where="Canvas",
    afterwards="Canvas makes an unpublished assignment of whatever has a gradebook column: publish it there.",
)  # fmt: skip
STANDING = BadgeStanding(BADGE.slug, BADGE, LEARNERS[0], tuple(replace(RECORD, row=r) for r in LEARNERS[0].cells))
REVIEWED = SubmissionReview("Ana R.", True, (STANDING,), "", SYNCED)
KEPT_DATA = DataPrivacy(True, (
    KeptData("The person in the LMS: its identifier, name, e-mail address", "To know the person again.", 1,
             NOW - timedelta(days=80), None, "until the institution erases it"),
    KeptData("Grades, as the gradebook sent them", "To work out levels.", 14, NOW - timedelta(days=40), NOW,
             "until the institution erases it"),
    KeptData("Signed credentials", "The files themselves.", 0, None, None, "until the institution erases it")),
    "Hallwood University", "https://hallwood.example", "badges@hallwood.example")  # fmt: skip
MY_DATA: dict[str, Any] = {"page": OwnRights("Ana Ruiz", "", None, None, 2), "kept": KEPT_DATA.kept, "problem": None,
                           "problem_of": "", "typed": "", "done": ""}  # fmt: skip
PUBLISHING = replace(PLAN, status="publishing", job_id=7, columns=columns("made", last="will be made"),
                     progress=("Making OC-1 … done", "Making OC-2 … done", "Making OC-3 …"))  # fmt: skip
of_badge = {"slug": BADGE.slug, "badge": BADGE}


def shown(page: AwardsPage) -> dict[str, Any]:
    return {"rest": page.rest, "found": len(page.rest), "number": 1, "last": 1, "q": "", **of_badge}


# name → (template, what it is given)


def written(values: dict[str, Any], slug: str, **more: Any) -> dict[str, Any]:
    """What a step of the editor shows of a draft."""
    _, problems = definition(values, slug)
    page = DraftPage(
        id="b1", slug=slug, values=values, problems=problems, revision=3, saved_at=NOW, saved_by="", version=0,
        title=values["name"] or "Untitled badge", sentence="A learner earns it with Proficient in “A”.",
        may_rename=True, badges=(DraftChoice("empathy", "Empathy"),), shapes=(("hexagon", "M0 0h9v9Z"),),
        icons=(("star", "Star", '<path d="M0 0h9v9Z"/>'),),
    )  # fmt: skip
    return {"page": replace(page, **more), "check": False, "me": "p1", "pairs": PAIRS, "nace": ("Communication",),
            "languages": [("en", "English"), ("es", "Spanish")], "opened": "", "out": False}  # fmt: skip


EMPTY = blank("en")
OWN = {**values_of(GATED), "own_levels": "on"}
CLASHES = (Clash("name", "Mine", "Theirs"), Clash("rows.r9.name", "Lost", None))
OWN_FILE = {**EMPTY, "picture": {**EMPTY["picture"], "kind": "file", "file": "own.png"}}

OFFER_LINK = "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fbadges.example.edu%2Foid4vci%2Foffers%2Fs3"
LCW_LINK = "dccrequest://request?issuer=https%3A%2F%2Fbadges.example.edu&auth_type=bearer&challenge=c4&vc_request_url=u"


def code(link: str) -> str:
    return str(segno.make(link, error="m").svg_inline(scale=4, border=0, omitsize=True, svgclass="qr", lineclass=None))


WALLET = WalletPage(BADGE.slug, BADGE, None, ())
OFFER = OfferView("f1", "open", NOW, OFFER_LINK, code(OFFER_LINK), "402917", LCW_LINK, code(LCW_LINK))
COPIES = (CopyView("e1", NOW, f"{URL}x"), CopyView("e2", NOW - timedelta(days=3), ""))

BACKPACK = Backpack("A Backpack", "backpack.example", f"{BASE}/", f"{BASE}/terms", f"{BASE}/privacy")
CONNECTIONS = (
    Connection("c1", BACKPACK, True, True, ("name", "email"), True, NOW, NOW),
    Connection("c2", BACKPACK, True, True, ("email",), False, NOW, None),
    Connection("c3", BACKPACK, False, True, (), True, NOW, None),
)
CONSENT = Consent("r1", BACKPACK, True, True, True, NOW, "Ana Ruiz", "ana@example.edu", 2, 0, None, "")
ITEMS = tuple(
    Item(f"i{n}", f"{BASE}/i{n}", f"Statement {n}", "", f"S.{n}", "Standard" if n % 2 else "", min(n % 4, 2))
    for n in range(90)
)
FRAMEWORK = FrameworkPage(
    "f1",
    "speaking.json",
    Framework("Speaking", f"{BASE}/d", "Hallwood University", "", "en", ITEMS[:8], ()),
    (
        RubricOffer("r1", "Oral communication", "In rows.", SUBS, ("Its levels get 1, 2, 3.",), ""),
        RubricOffer("r2", "Too tall", "", (), (), "One of its rows has more than 10 levels."),
    ),
)
LARGE_FRAMEWORK = replace(FRAMEWORK, framework=replace(FRAMEWORK.framework, items=ITEMS, language=""), rubrics=())

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "edit-blank": ("instructor/edit_about.html", {**written(EMPTY, "new-badge"), "check": True}),
    "edit-about": ("instructor/edit_about.html", written(values_of(BADGE), BADGE.slug, version=2, may_rename=False)),
    "edit-file": ("instructor/edit_about.html", {**written(OWN_FILE, "x"),
                  "upload_problem": "The picture is too small."}),
    "edit-clash": ("instructor/edit_about.html", written(EMPTY, "x", clashes=CLASHES, typed={"name": "Mine"})),
    "edit-rubric": ("instructor/edit_rubric.html", written(values_of(GATED), GATED.slug)),
    "edit-rubric-out": ("instructor/edit_rubric.html",
                        {**written(values_of(GATED), GATED.slug), "opened": "r2", "out": True}),
    "edit-rubric-own": ("instructor/edit_rubric.html", {**written(OWN, GATED.slug), "act_problem": "Not possible."}),
    "edit-grades-out": ("instructor/edit_grades.html", {**written(values_of(GATED), GATED.slug), "out": True}),
    "edit-grades": ("instructor/edit_grades.html", written(values_of(GATED), GATED.slug)),
    "home": ("instructor/home.html", {"page": HOME}),
    "home-empty": ("instructor/home.html", {"page": replace(HOME, badges=(), needs=(), sync=NEVER, can_publish=False,
                   library=tuple(replace(c, in_use=False) for c in HOME.library),
                   summary="No badge has been set up here yet.")}),
    "home-no-issuer": ("instructor/home.html", {"page": replace(HOME, can_publish=False), "way_in": "bound"}),
    "home-assistant": ("instructor/home.html", {"page": replace(HOME, may_manage=False, needs=(HOME.needs[0], Need(
        "acc", "Two awards wait for an instructor", "in Oral Communication.", "Look", "oral-communication/awards")))}),
    "home-watcher": ("instructor/home.html", {"page": replace(HOME, badges=(), needs=(), may_manage=False)}),
    "home-running": ("instructor/home.html", {"page": replace(HOME, sync=RUNNING), "notice": "Resilience is a draft."}),
    "home-failed": ("instructor/home.html", {"page": replace(HOME, sync=FAILED),
                    "import_problem": ("badge.toml:4: level has no name", "badge.toml:9: points do not rise")}),
    "home-waiting": ("instructor/home.html", {"page": replace(HOME, sync=TRIED_AGAIN)}),
    "plan": ("instructor/plan.html", {"page": replace(PLAN, effect=FIRST)}),
    "plan-long": ("instructor/plan.html", {"page": replace(
        PLAN, columns=(replace(PLAN.columns[0], label="LO-4 Verantwortungsbewusstseinsentwicklung"),))}),
    "plan-nobody": ("instructor/plan.html", {"page": replace(PLAN, effect=replace(FIRST, learners=0))}),
    "plan-change": ("instructor/plan.html", {"page": CHANGED_PLAN}),
    "plan-change-new": ("instructor/plan.html", {"page": replace(CHANGED_PLAN, counts_for="new")}),
    "plan-total": ("instructor/plan.html", {"page": replace(PLAN, effect=FIRST, badge=replace(BADGE, columns="total"),
                   columns=(ColumnPlan("total", "", BADGE.name, "16", False, "will be made"),))}),
    "plan-none": ("instructor/plan.html", {"page": replace(PLAN, effect=FIRST, badge=replace(BADGE, columns="none"),
                  columns=(), notes=("find-sources",))}),
    "plan-retired": ("instructor/plan.html", {"page": replace(PLAN, status="retired", columns=columns("made"))}),
    "history": ("instructor/history.html", {"page": HISTORY}),
    "history-retired": ("instructor/history.html", {"page": replace(HISTORY, status="retired", retired_at=NOW,
                        draft=False, waiting=())}),
    "columns": ("instructor/columns.html", {"page": MATCHES, "chosen": {}}),
    "columns-looking": ("instructor/columns.html", {"page": replace(MATCHES, job_id=4, looked_at=None, choices=()),
                        "chosen": {}}),
    "columns-problem": ("instructor/columns.html", {"page": replace(MATCHES, problem="Your LMS did not answer."),
                        "chosen": {}, "form_problem": "One column was chosen for two rows."}),
    "sources": ("instructor/sources.html", {"page": SOURCES, "chosen": {}}),
    "sources-looking": ("instructor/sources.html", {"page": replace(SOURCES, job_id=4, seen_at=None, own=False),
                        "chosen": {}}),
    "sources-unconnected": ("instructor/sources.html", {"page": replace(SOURCES, connected="", seen_at=None),
                            "chosen": {}}),
    "sources-consent": ("instructor/sources.html", {"page": replace(SOURCES, connected="", seen_at=None),
                        "chosen": {}, "consent": "https://canvas.example/login/oauth2/auth?state=s"}),
    "sources-no-key": ("instructor/sources.html", {"page": replace(SOURCES, connected="", can_connect=False),
                       "chosen": {}}),
    "sources-refused": ("instructor/sources.html", {"page": replace(SOURCES, problem="Canvas leaves out the rubric."),
                        "chosen": {"sub-competency:OC-1": "a2"}, "form_problem": BadInput()}),
    "sources-moodle": ("instructor/sources.html", {"page": replace(SOURCES, lms="Moodle", kind="moodle",
                       lacking=("gradereport_user_get_grade_items",)), "chosen": {}}),
    "sources-moodle-unconnected": ("instructor/sources.html", {"page": replace(SOURCES, lms="Moodle", kind="moodle",
                                   connected="", own=False, seen_at=None), "chosen": {}, "form_problem": BadInput()}),
    "score-file": ("instructor/score_file.html", {"page": SCORES, **of_badge}),
    "score-file-problem": ("instructor/score_file.html", {"page": SCORES, "problem": BadInput(sentence="Empty."),
                           **of_badge}),
    "score-file-none": ("instructor/score_file.html", {"page": replace(SCORES, rows=()), **of_badge}),
    "score-file-draft": ("instructor/score_file.html", {"page": replace(SCORES, status="draft"), **of_badge}),
    "score-file-lines": ("instructor/score_file_lines.html", {"page": SCORE_FILE, "done": "", **of_badge}),
    "score-file-taken": ("instructor/score_file_lines.html", {"page": replace(SCORE_FILE, confirmed=True),
                         "done": "2 grades were taken from it.", **of_badge}),
    "sources-none": ("instructor/sources.html", {"page": replace(SOURCES, rows=(), lms="", kind=""), "chosen": {}}),
    "other-courses": ("instructor/other_courses.html", {"page": (
        OtherCourse(3, "EMP100", "Employability, spring", "Canvas", ("Oral Communication", "Empathy"), 3),
        OtherCourse(4, "EMP099", "", "Canvas", (), 2))}),
    "other-courses-none": ("instructor/other_courses.html", {"page": ()}),
    "plan-changed": ("instructor/plan.html", {"page": replace(PLAN, status="changed", columns=columns("made"))}),
    "plan-drift": ("instructor/plan.html", {"page": replace(PLAN, status="active", version=3, drifts=DRIFTS,
                   columns=columns("made", last="missing"), earned=EARNED, gate=CANVAS.open_by_column())}),
    "plan-drift-looking": ("instructor/plan.html", {"page": replace(PLAN, status="active", version=3, drifts=DRIFTS,
                           columns=columns("made", last="missing"), earned=EARNED), "may_manage": False}),
    **{f"plan-earned-{state}": ("instructor/plan.html", {"page": replace(PLAN, status="active", version=3, earned=view,
       columns=columns("made"), course_total=TOTAL["moodle"], gate=platform_of("moodle").open_by_column())})
       for state, view in EARNED_STATES.items()},
    "history-drift": ("instructor/history.html", {"page": replace(HISTORY, drifts=(
        PastDrift("“OC-4” was not in the gradebook", NOW, None), PastDrift("The course had ended", NOW, NOW)))}),
    "badge-drift": ("instructor/badge.html", {"page": replace(MATRIX, columns=columns("made", last="missing"),
                    drifts=DRIFTS, earned=EARNED)}),
    "home-shut-out": ("instructor/home.html", {"page": replace(HOME, sync=FAILED, needs=(Need(
        "warn", DRIFTS[0].title, DRIFTS[0].text, "", "", DRIFTS[0].clicks, administrator=True), *HOME.needs))}),
    "plan-moodle": ("instructor/plan.html", {"page": replace(PLAN, course_total=TOTAL["moodle"],
                    columns=columns("is there and will be used", last="will be made"))}),
    "plan-obstacles": ("instructor/plan.html", {"page": replace(
                       PLAN, course_total=TOTAL["other"], badge=GATED, obstacles=(
                       "The issuer has no address yet.", "Your LMS does not let the tool make columns."))}),
    "plan-publishing": ("instructor/plan.html", {"page": PUBLISHING}),
    "plan-stopped": ("instructor/plan.html", {"page": replace(PUBLISHING, problem="Your LMS could not be reached.")}),
    "plan-published": ("instructor/plan.html", {"page": replace(PLAN, status="active", columns=columns("made")),
                       "waiting": 2}),
    "plan-missing": ("instructor/plan.html", {"page": replace(PLAN, status="attention",
                     columns=columns("made", last="missing"))}),
    "plan-no-columns": ("instructor/plan.html", {"page": replace(PLAN, columns=(), learners=0)}),
    "badge": ("instructor/badge.html", {"page": MATRIX, "waiting": 2}),
    "badge-filtered": ("instructor/badge.html", {"page": replace(MATRIX, rows=LEARNERS[:2], found=230,
                       view=MatrixView("one", "a", "near", "7", 2), first=51, last_page=5, partly=True,
                       sections=(("7", "Group 7"), ("8", "Monday <b>")))}),
    "badge-gate": ("instructor/badge.html", {"page": GATE_MATRIX}),
    "badge-wide": ("instructor/badge.html", {"page": WIDE}),
    "badge-running": ("instructor/badge.html", {"page": replace(MATRIX, sync=RUNNING)}),
    "badge-empty": ("instructor/badge.html", {"page": replace(MATRIX, rows=(), counts={"all": 0}, sync=NEVER,
                    most_missing="", badge=LONG)}),
    "record": ("instructor/record.html", {"page": RECORD, **of_badge}),
    "record-met": ("instructor/record.html", {"page": RECORD_MET, **of_badge}),
    "record-gate": ("instructor/record.html", {"page": RECORD_GATE, **of_badge}),
    "record-ungraded": ("instructor/record.html", {"page": replace(RECORD, row=row(SUBS[1], None)), **of_badge}),
    "awards": ("instructor/awards.html", {"page": AWARDS_PAGE, "waiting": 3, **shown(AWARDS_PAGE)}),
    "awards-held": ("instructor/awards.html", {"page": replace(AWARDS_PAGE, held_back=True, released_at=NOW),
                    **shown(AWARDS_PAGE), "notice": "Two awards are confirmed.", "late": "Ana R. (Issued)"}),
    "awards-empty": ("instructor/awards.html", {"page": NO_AWARDS, **shown(NO_AWARDS)}),
    "awards-watcher": ("instructor/awards.html", {"page": replace(AWARDS_PAGE, may_manage=False),
                       **shown(AWARDS_PAGE)}),
    "awards-many": ("instructor/awards.html", {"page": AWARDS_PAGE, **shown(AWARDS_PAGE), "number": 2, "last": 3,
                    "q": "a", "problem": BadInput(sentence="Choose a day.", what_to_do="Like 2026-11-22.")}),
    "awards-ending": ("instructor/awards.html", {"page": ENDING, "waiting": 0, **shown(ENDING), "which": "soon"}),
    "renew": ("instructor/renew.html", {"page": RENEWALS, **of_badge}),
    "renew-one": ("instructor/renew.html", {"page": RENEWALS[:1], **of_badge}),
    "renew-none": ("instructor/renew.html", {"page": RENEWALS[2:], "problem": BadInput(sentence="Too late."),
                   **of_badge}),
    "revoke": ("instructor/revoke.html", {"page": AWARDS[3:4], **of_badge}),
    "revoke-held": ("instructor/revoke.html", {"page": AWARDS[4:5], "problem": BadInput(sentence="Write a reason."),
                    **of_badge}),
    "revoke-many": ("instructor/revoke.html", {"page": AWARDS[3:8], **of_badge}),
    "hold": ("instructor/hold.html", {"page": replace(AWARDS[3], can_hold=True), **of_badge}),
    "hold-again": ("instructor/hold.html", {"page": replace(HELD, held_until=NOW), **of_badge,
                                            "problem": BadInput(sentence="Say why.")}),
    "hold-unconfirmed": ("instructor/hold.html", {"page": UNCONFIRMED, **of_badge}),
    "hold-late": ("instructor/hold.html", {"page": AWARDS[3], **of_badge}),
    "give": ("instructor/give.html", {"page": GIVE, **of_badge}),
    "give-one": ("instructor/give.html", {"page": replace(GIVE, person_id="p1", name="Ana R.", held_back=True,
                 not_shown=True, rows=rows(4, 3, 1, 3)), "problem": BadInput(sentence="Write a note."), **of_badge}),
    "give-nobody": ("instructor/give.html", {"page": replace(GIVE, people=()), **of_badge}),
    "award-file": ("instructor/award_file.html", {"page": GIVE, "problem": BadInput(sentence="Empty."), **of_badge}),
    "award-file-lines": ("instructor/award_file_lines.html", {"page": FILE, **of_badge}),
    "award-file-given": ("instructor/award_file_lines.html", {"page": replace(FILE, confirmed=True,
                         given=("Ana R.",), late=("Ben O.",)), **of_badge}),
    "reissue": ("instructor/reissue.html", {"page": REISSUE, **of_badge}),
    "reissue-not": ("instructor/reissue.html", {"page": replace(REISSUE, carries=False), **of_badge}),
    "reissue-kept-back": ("instructor/reissue.html", {"page": replace(REISSUE, kept_back=True), **of_badge}),
    "reissue-by-hand": ("instructor/reissue.html", {"page": replace(REISSUE, by_hand=True, old_name=""),
                        **of_badge}),
    "place": ("instructor/place.html", {"page": PLACE}),
    "place-one": ("instructor/place.html", {"page": replace(PLACE, multiple=False, library=(), afterwards="",
                  cards=(place_card(BADGE.slug, BADGE.name, "active", "second"),)), "problem": "Choose one."}),
    "place-empty": ("instructor/place.html", {"page": replace(PLACE, cards=(), columns=False)}),
    "place-many": ("instructor/place.html", {"page": replace(PLACE, library=(), cards=tuple(
                   place_card(f"b-{n}", f"Badge {n}", "active", "new") for n in range(9)))}),
    "placed": ("instructor/placed.html", {"page": Placed("https://lms.example/back", "a.b.c", ("OC-1 <A>", "B"), ())}),
    "placed-nothing": ("instructor/placed.html", {"page": Placed("https://lms.example/back", "a.b.c", (), ())}),
    "review": ("instructor/review.html", {"page": REVIEWED}),
    "review-row": ("instructor/review.html", {"page": replace(REVIEWED, only=SUBS[2].tag)}),
    "review-all": ("instructor/review.html", {"page": replace(REVIEWED, learns=False, sync=FAILED,
                   standings=(STANDING, replace(STANDING, slug="empathy", badge=GATED)))}),
    "review-unknown": ("instructor/review.html", {"page": SubmissionReview("", False, (), "", NEVER)}),
    "review-none": ("instructor/review.html", {"page": replace(REVIEWED, standings=(), sync=RUNNING)}),
    "home-unknown": ("instructor/home.html", {"page": HOME, "notice": "The link names a badge that is not open.",
                     "notice_sign": "info"}),
    "data-privacy": ("data_privacy.html", {"page": KEPT_DATA}),
    "data-privacy-other": ("data_privacy.html", {"page": replace(KEPT_DATA, own=False, issuer_email="",
                           issuer_url="")}),
    "data-privacy-nothing": ("data_privacy.html", {"page": replace(KEPT_DATA, kept=(), issuer="")}),
    "my-data": ("student/own_data.html", {**MY_DATA, "done": "Your request is taken back."}),
    "my-data-waits": ("student/own_data.html", {**MY_DATA, "page": OwnRights("Ana Ruiz", "", OwnRequest("r1", "name",
                      "open", NOW, None, "", "Ana María Ruiz Fernández"), OwnRequest("r2", "erasure", "open", NOW, None,
                      "", ""), 3)}),
    "my-data-refused": ("student/own_data.html", {**MY_DATA, "page": OwnRights("", "Ana R.", OwnRequest("r1", "name",
                        "refused", NOW, NOW, "That is not you.", ""), OwnRequest("r2", "erasure", "refused", NOW, NOW,
                        "Your degree depends on it.", ""), 0), "problem": BadInput(sentence="Write the name."),
                        "problem_of": "name", "typed": "<Ana>"}),
    "erased": ("erased.html", {"proof": "gAAAA", "back": False}),
    "erased-back": ("erased.html", {"proof": "", "back": True}),
    "me": ("student/home.html", {"page": ME}),
    "as-student": ("student/home.html", {"page": replace(ME, fresh=(), on_the_way=(), earned=(), over=(),
                   preview=True, sync=NEVER), "looking": BADGE.slug}),
    "as-student-badge": ("student/badge.html", {"page": replace(MINE, history=(), sync=NEVER,
                         rows=rows(None, None, None, None)), "looking": BADGE.slug, "drafted": True}),
    "as-student-claim": ("student/claim.html", {"page": CLAIM, "looking": BADGE.slug}),
    "me-many": ("student/home.html", {"page": replace(ME, fresh=(FRESH, replace(FRESH, slug="two", name="Empathy"),
                replace(FRESH, slug="three", name="Initiative")), earned=(KEPT, ASKED_WHY), sync=replace(FAILED))}),
    "me-all": ("student/everywhere.html", {"page": ALL}),
    "me-all-running": ("student/everywhere.html", {"page": replace(ALL, sync=RUNNING, earned=0, kept=False,
                       courses=(replace(HERS, fresh=(), earned=(), over=()),)), "in_course": True}),
    "me-all-empty": ("student/everywhere.html", {"page": replace(ALL, courses=(), earned=0, kept=False),
                     "way_in": "bound"}),
    "my-badge-said": ("student/badge.html", {"page": replace(MINE, said=SAID_OF_ROWS)}),
    "my-badge-elsewhere": ("student/badge.html", {"page": replace(MINE, said=SAID_OF_ROWS, course="EMP102", term="2026",
                           sync=FAILED)}),
    "my-badge-asked": ("student/badge.html", {"page": replace(MINE, card=ASKED_WHY, rows=FRESH.rows, history=())}),
    "my-badge-noted": ("student/badge.html", {"page": replace(MINE, card=UNCLAIMED, rows=FRESH.rows), "noted": True}),
    "me-empty": ("student/home.html", {"page": replace(ME, fresh=(), on_the_way=(), earned=(), over=(), available=(),
                 sync=NEVER, preview=True, first_name="")}),
    "me-running": ("student/home.html", {"page": replace(ME, sync=RUNNING, fresh=(FRESH,
                   replace(FRESH, slug="empathy", name="Empathy")))}),
    "my-badge": ("student/badge.html", {"page": MINE}),
    "my-badge-earned": ("student/badge.html", {"page": replace(MINE, card=KEPT, rows=rows(4, 3, 3, 2),
                        credential_url=URL)}),
    "my-badge-earlier": ("student/badge.html", {"page": replace(MINE, card=KEPT, rows=rows(4, 3, 3, 2),
                         credential_url=URL, earlier=(EarlierAward("a2", NOW, "expired", True, True, 2),
                         EarlierAward("a1", NOW, "revoked", True, False, 1),
                         EarlierAward("a0", NOW, "expired", False, True, 0)))}),
    "my-badge-fresh": ("student/badge.html", {"page": replace(MINE, card=FRESH, rows=FRESH.rows, history=())}),
    "my-badge-waiting": ("student/badge.html", {"page": replace(MINE, card=WAITING, rows=WAITING.rows, sync=RUNNING)}),
    "my-badge-revoked": ("student/badge.html", {"page": replace(MINE, card=REVOKED, revoked="Given by mistake.")}),
    "my-badge-hidden": ("student/badge.html", {"page": replace(MINE, badge=GATED, sync=FAILED, rows=(
                        row(SUBS[0], 3, state="hidden"), row(SUBS[1], None), row(SUBS[2], 4, state="malformed"),
                        row(SUBS[3], 4), gate_row(), gate_row("met")))}),
    "claim": ("student/claim.html", {"page": CLAIM}),
    "claim-done": ("student/claim.html", {"page": replace(CLAIM, claimed=True, credential_url=URL, issued_at=NOW,
                   downloads=FILES, for_wallets=True)}),
    "claim-private": ("student/claim.html", {"page": replace(CLAIM, claimed=True, page_public=False, issued_at=NOW,
                      credential_url=URL, downloads=FILES, rows=(*FRESH.rows, gate_row("met")))}),
    "wallet": ("student/wallet.html", {"page": WALLET}),
    "wallet-open": ("student/wallet.html", {"page": replace(WALLET, offer=OFFER, copies=COPIES[:1])}),
    "wallet-open-no-pin": ("student/wallet.html", {"page": replace(WALLET, offer=replace(OFFER, pin=""))}),
    "wallet-opened": ("student/wallet.html", {"page": replace(WALLET, offer=OfferView("f1", "opened", NOW))}),
    "wallet-taken": ("student/wallet.html", {"page": replace(WALLET, offer=OfferView("f1", "taken", NOW),
                     copies=COPIES)}),
    "wallet-over": ("student/wallet.html", {"page": replace(WALLET, offer=OfferView("f1", "over", NOW))}),
    "credential": ("public/credential.html", {"page": CREDENTIAL}),
    "credential-named": ("public/credential.html", {"page": replace(CREDENTIAL, recipient="Ben O.", expires_at=None,
                         badge=GATED, rows=(*CREDENTIAL.rows, gate_row("met")))}),
    "credential-revoked": ("public/credential.html", {"page": replace(CREDENTIAL, state="revoked", checks=UNSURE,
                           state_sentence="The issuer took it back on 20 November 2026.")}),
    "credential-expired": ("public/credential.html", {"page": replace(CREDENTIAL, state="expired", checks=UNSURE,
                           state_sentence="It ended on 30 September 2026.")}),
    "credential-superseded": ("public/credential.html", {"page": replace(CREDENTIAL, state="superseded",
                              state_sentence="A newer edition stands in its place.")}),
    "credential-pending": ("public/credential.html", {"page": replace(CREDENTIAL, state="pending", checks=(),
                           downloads=(), qr_svg="", state_sentence="Look again in a minute.")}),
    "achievement": ("public/achievement.html", {"page": ACHIEVEMENT}),
    "achievement-old": ("public/achievement.html", {"page": replace(ACHIEVEMENT, badge=GATED, newest_url="#")}),
    "issuer": ("public/issuer.html", {"page": ISSUER}),
    "issuer-empty": ("public/issuer.html", {"page": replace(ISSUER, badges=(), description="", email="",
                     downloads=())}),
    "credential-shown": ("public/credential.html", {"page": replace(CREDENTIAL, recipient="Ana Ruiz", endorsements=SAID,
                         narrative="I spoke in public for the first time.", evidence=(
                         ShownEvidence("Listens actively", "https://video.hallwood.example/17", ""),
                         ShownEvidence("Adapts the message", "", "I rewrote the talk for twelve-year-olds."),
                         ShownEvidence("Builds a line", "", "Next time I begin with the end.", "Reflection"),
                         ShownEvidence("Listens actively", f"{BASE}/evidence/7fq2", "Us.", "File", "talk <1>.pdf",
                                       "PDF document, 340 kB"),
                         ShownEvidence("Listens actively", f"{BASE}/evidence/7fq3", "", "File", "photo.jpg",
                                       "JPEG picture, 2.5 MB", gone=True)))}),
    "credential-no-levels": ("public/credential.html", {"page": replace(CREDENTIAL, shows_levels=False,
                             badge=GATED, rows=(*rows(None, None, None, None), gate_row("ungraded")))}),
    "achievement-full": ("public/achievement.html", {"page": replace(ACHIEVEMENT, endorsements=SAID, badge=FULL,
                         earlier=((2, "#"), (1, "#")))}),
    "issuer-full": ("public/issuer.html", {"page": replace(ISSUER, endorsements=SAID[:1], phone="+1 555 0100",
                    parent_name="State University System", parent_url="https://system.example/",
                    address_lines=("1 Main Street", "Springfield", "US"), terms_url="https://hallwood.example/terms")}),
    "endorse": ("public/endorse.html", {"page": TO_ENDORSE, "told": Answer(), "longest": LONGEST, "csrf": "c5rf"}),
    "endorse-wrong": ("public/endorse.html", {"page": replace(TO_ENDORSE, kind="award", holder="Ana Ruiz", words=""),
                      "told": Answer("Mei Chen", "Head of training", "Acme", ""), "longest": LONGEST, "csrf": "c5rf",
                      "problems": {
                      "comment": "Say in a sentence or two why you endorse it.", "confirmed": "Tick this."}}),
    "endorse-issuer": ("public/endorse.html", {"page": replace(TO_ENDORSE, kind="issuer", badge=None, picture_url="",
                       title="Hallwood University"), "told": Answer(), "longest": LONGEST, "csrf": "c5rf"}),
    "endorse-decline": ("public/decline.html", {"page": TO_ENDORSE, "told": {"name": "Mei Chen"}, "csrf": "c5rf"}),
    "endorsed": ("public/endorsed.html", {"address": SAID[0].url}),
    "endorsed-not": ("public/endorsed.html", {"address": ""}),
    "endorsement": ("public/endorsement.html", {"page": ENDORSED}),
    "endorsement-withdrawn": ("public/endorsement.html", {"page": replace(ENDORSED, said=replace(SAID[1],
                              withdrawn_at=NOW, withdrawn="She asked us to."))}),
    "endorsements": ("instructor/endorsements.html", {"page": ASKED, "slug": BADGE.slug, "badge": BADGE, "typed": {},
                     "may_manage": True}),
    "endorsements-made": ("instructor/endorsements.html", {"page": replace(ASKED, address=f"{BASE}/endorse/Xk3v9"),
                          "slug": BADGE.slug, "badge": BADGE, "typed": {}, "may_manage": True}),
    "endorsements-none": ("instructor/endorsements.html", {"page": replace(ASKED, said=(), asked=(), awards=()),
                          "slug": BADGE.slug, "badge": BADGE, "typed": {"reviewer": ""}, "may_manage": True,
                          "problem": BadInput(sentence="Write whom you ask, so that you know the link again.")}),
    "claim-closed": ("student/claim.html", {"page": replace(CLAIM, claimed=True, credential_url=URL, issued_at=NOW,
                     downloads=FILES, closed=True, choices=Choices(True, True, True, False, True, ("e1",), "Mine."))}),
    "claim-problem": ("student/claim.html", {"page": replace(CLAIM, name="", email="", offered=()),
                      "problem": BadInput(sentence="Your own words are too long by 12 characters.")}),
    "backpacks": ("student/backpacks.html", {"connections": CONNECTIONS, "problem": None, "typed": "", "done": "ended",
                  "base_url": BASE}),
    "backpacks-none": ("student/backpacks.html", {"connections": (), "problem": BadInput(sentence="Not right.",
                       what_to_do="Begin again."), "typed": "ABCD", "done": "", "base_url": BASE}),
    "backpack-ask": ("student/backpack_ask.html", {"consent": CONSENT, "finished": False, "problem": None}),
    "backpack-ask-little": ("student/backpack_ask.html", {"consent": replace(CONSENT, badges=0, unclaimed=2,
                            lasts=False, name="", email="", replaces=NOW), "finished": False, "problem": None}),
    "backpack-allowed": ("student/backpack_ask.html", {"consent": replace(CONSENT, decision="allowed"),
                         "finished": False, "problem": BadInput(sentence="Answered already.")}),
    "backpack-refused": ("student/backpack_ask.html", {"consent": replace(CONSENT, decision="refused"),
                         "finished": True, "problem": None}),
    "framework": ("instructor/framework.html", {"page": FRAMEWORK}),
    "framework-large": ("instructor/framework.html", {"page": LARGE_FRAMEWORK, "ticked": ["i3"],
                        "problem": BadInput(sentence="Choose a rubric, or tick items.")}),
    "home-framework": ("instructor/home.html", {"page": HOME,
                       "framework_problem": BadInput(sentence="Not a package.")}),
    "verify": ("public/verify.html", {}),
    "verify-bad": ("public/verify.html", {"report": REPORT}),
    "verify-good": ("public/verify.html", {"report": GOOD}),
    "verify-record": ("public/verify.html", {"report": RECORD_REPORT}),
    "verify-problem": ("public/verify.html", {"problem": "There is no credential in this text.", "text": "hello"}),
    "error": ("error.html", {"sentence": "The link was already used.", "status": 401, "error_id": "R7K2-M9",
              "what_to_do": "Go back to your course and open Badges again."}),
    "error-withdrawn": ("error.html", {"sentence": "This credential was withdrawn, because its holder asked for it.",
                        "status": 410, "error_id": "R7K2-M9", "what_to_do": "It does not count any more.",
                        "outside": True}),
    "error-bare": ("error.html", {"sentence": "There is nothing at this address.", "status": 404, "error_id": "",
                   "what_to_do": ""}),
    "error-in-course": ("error.html", {"sentence": "There is nothing at this address.", "status": 404,
                        "error_id": "R7K2-M9", "what_to_do": "It may have been removed meanwhile.",
                        "home": ("/course/L7fq2/", "instructor")}),
    "error-of-a-learner": ("error.html", {"sentence": "There is nothing at this address.", "status": 404,
                           "error_id": "R7K2-M9", "what_to_do": "", "home": ("/me/L7fq2/", "learner")}),
    "no-role": ("no_role.html", {}),
    "new-window": ("new_window.html", {"storage": {}, "new_window": "/lti/login?iss=x"}),
    "new-window-none": ("new_window.html", {"storage": {}, "new_window": ""}),
    "new-window-storage": ("new_window.html", {"storage": {"act": "put", "frame": "_parent"}, "new_window": "/lti"}),
}  # fmt: skip
# -- marking -----------------------------------------------------------------------------------------------------


def posted(state: str, **more: Any) -> PostingView:
    values = {"at": NOW, "points": "3", "maximum": "4", "found": "2", "found_maximum": "4", "seen": "5ee0"}
    return PostingView(state, **{**values, **more})


def marked(index: int, level: int | None, posting: PostingView, **more: Any) -> MarkedRow:
    values: dict[str, Any] = {"comment": "", "revision": 1, "was": "a" * 16, "by": "Tess T.", "at": NOW, "evidence": ()}
    view = row(SUBS[index], level, state="" if level else "ungraded")
    return MarkedRow(index, view, level - 1 if level else None, posting=posting, **{**values, **more})


PUT = (
    EvidenceItem(
        "e1", SUBS[0].tag, "link", "https://video.example/talk", "https://video.example/talk", "Ana", False, NOW
    ),
    EvidenceItem("e2", SUBS[0].tag, "note", "Seen <live>.", "", "Tess T.", True, NOW),
)
PHOTO = FileView("JPEG picture", "2.5 MB", picture=True, there=True, cleaned=True)
OWN_PIECES = (
    EvidenceItem("e3", SUBS[3].tag, "text", "Not done yet.", "", "Ana", True, NOW, draft=True),
    EvidenceItem("e4", SUBS[3].tag, "reflection", "I answered before the question had ended.", "", "Ana", True, NOW),
    EvidenceItem(
        "e5", SUBS[3].tag, "link", "https://video.example/17", "https://video.example/17", "Ana", True, NOW,
        about="The second answer.", kept_for="shown",
    ),
    EvidenceItem(
        "e6", SUBS[3].tag, "file", "A photo with a very long name of the whole class in the hall.jpg", "", "Ana", True,
        NOW, about="Us, after the talk.", file=PHOTO, kept_for="", earlier=(
            EvidenceItem("e7", SUBS[3].tag, "file", "photo.jpg", "", "Ana", True, NOW - timedelta(days=3), file=PHOTO),
        ),
    ),
    EvidenceItem(
        "e8", SUBS[3].tag, "file", "talk.pdf", "", "Ana", True, NOW, kept_for="decision",
        file=FileView("PDF document", "340 kB", picture=False, there=False, cleaned=False),
    ),
)  # fmt: skip
NO_FILES = Limits((), "", "25 MB", 25_000_000, "250 MB")
OWN_EVIDENCE = OwnEvidencePage(
    BADGE.slug, BADGE, replace(SUBS[3], evidence="required"), "Answers plainly, or says what is not known.",
    (*OWN_PIECES, replace(PUT[1], own=False)), Limits((("documents", "pdf, docx, odt"), ("plain text", "txt, md"),
                                   ("pictures", "jpg, png, webp, gif")), ".pdf,.docx", "25 MB", 25_000_000, "212 MB"),
    True,
)  # fmt: skip
MARKING = MarkingPage(
    slug=BADGE.slug, badge=BADGE, status="active", version=1, person_id="p1", name="Ana R.", place=1, learners=14,
    done=5, rows=(marked(0, 4, posted("posted"), comment="Well seen.", evidence=PUT), marked(1, 3, posted("way")),
          marked(2, 1, posted("conflict", found_comment="Good voice.")), marked(3, None, PostingView("none"))),
    others=(gate_row(),), total=None, evidence=2, met=2, of=4, missing=(row(SUBS[2], 1),), award="", previous=None,
    next=Neighbour("p2", "Ben O."), show="all", may_mark=True, problem="", keep="k", beside={SUBS[0].tag: PUT},
)  # fmt: skip
MARKING_LIST = MarkingList(
    slug=BADGE.slug, badge=BADGE, status="active", counts={"all": 3, "unmarked": 2, "marked": 1, "trouble": 1},
    lines=(LearnerLine("p1", "Ana R.", 4, 4, "all", "posted"), LearnerLine("p2", "Ben O.", 2, 4, "some", "trouble"),
           LearnerLine("p3", "", 0, 4, "none", "way")),
    next=Neighbour("p2", "Ben O."), show="all", may_mark=True, problem="",
)  # fmt: skip
REFUSALS = ("not_a_student", "unpublished", "earlier_timestamp", "grade_locked", "no_attempts_left", "column_missing",
            "course_concluded", "scope_missing", "token_refused", "overridden", "not_shown", "unreadable",
            "score_refused_412")  # fmt: skip
PAGES |= {
    "marking-list": ("instructor/marking_list.html", {"page": MARKING_LIST}),
    "marking-list-empty": ("instructor/marking_list.html", {"ended": True, "page": replace(MARKING_LIST, lines=(),
                           next=None, problem="Your LMS could not be reached.", show="trouble")}),
    "marking-list-nobody": ("instructor/marking_list.html", {"page": replace(MARKING_LIST, may_mark=False,
                            counts={"all": 0, "unmarked": 0, "marked": 0, "trouble": 0}, lines=(), next=None)}),
    "marking": ("instructor/marking.html", {"page": MARKING}),
    "marking-watcher": ("instructor/marking.html", {"page": replace(MARKING, may_mark=False, award="review")}),
    "marking-retired": ("instructor/marking.html", {"page": replace(MARKING, status="retired", may_mark=False)}),
    "marking-unproven": ("instructor/marking.html", {"page": replace(MARKING, met=3, rows=(
        replace(lacks := marked(0, 3, posted("posted"), unproven=True), view=replace(lacks.view, state="unproven")),
        *(marked(i, 3, posted("posted")) for i in range(1, 4))))}),
    "marking-last": ("instructor/marking.html", {"saved": True, "page": replace(MARKING, next=None, award="issued",
                     previous=Neighbour("p0", ""), rows=tuple(marked(i, 3, posted("posted")) for i in range(4)))}),
    "marking-total": ("instructor/marking.html", {"page": replace(MARKING, total=posted("waits"), award="held",
                      rows=tuple(marked(i, 3, posted("here", seen="")) for i in range(4)))}),
    "marking-odd": ("instructor/marking.html", {"problem": SimpleNamespace(sentence="No.", what_to_do="Look."),
                    "note": "x", "note_row": SUBS[1].tag,
                    "note_problem": SimpleNamespace(sentence="No.", what_to_do=""),
                    "typed": {SUBS[0].tag: SimpleNamespace(level=0, comment="</textarea>")},
                    "page": replace(MARKING, problem="Not reached.", award="revoked", rows=(
                        marked(0, 3, posted("changed"), overtaken=Overtaken(SUBS[0].tag, "", NOW, None, "", 2)),
                        marked(1, 3, posted("changed", found="")), marked(2, 3, posted("kept")),
                        marked(3, None, posted("left"), overtaken=Overtaken(SUBS[3].tag, "Bo", NOW, 1, "Hm.", 2))))}),
    **{f"marking-{reason}": ("instructor/marking.html", {"page": replace(MARKING, rows=(
        marked(0, 3, posted("refused", reason=reason, again=True)),))}) for reason in REFUSALS},
    "my-badge-evidence": ("student/badge.html", {"page": MINE, "beside": {
                              SUBS[0].tag: OwnRow("Well seen.", "Tess T.", PUT, True),
                              SUBS[1].tag: OwnRow("", "", (), True, required=True),
                              SUBS[2].tag: OwnRow("", "", (), False),
                              SUBS[3].tag: OwnRow("", "", OWN_PIECES, True, required=True)}}),
    "evidence": ("student/evidence.html", {"page": OWN_EVIDENCE, "done": "handed"}),
    "evidence-new": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, items=()), "done": ""}),
    "evidence-draft": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, editing=OWN_PIECES[0]),
                       "done": "drafted"}),
    "evidence-anew": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, editing=OWN_PIECES[3], anew=True),
                      "done": "replaced"}),
    "evidence-withdrawn": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, limits=NO_FILES, items=(),
                           row=replace(SUBS[0], evidence="optional")), "done": "withdrawn"}),
    "evidence-closed": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, may_add=False), "done": "discarded"}),
    "evidence-refused": ("student/evidence.html", {"page": replace(OWN_EVIDENCE, items=()), "done": "", "typed": {
                         "kind": "file", "content": "</textarea>What I did.", "link": "javascript:alert(1)"},
                         "problem": BadInput(sentence="This file has 30 MB, and one file may have 25 MB.",
                                             what_to_do="Make it smaller.")}),
    "learners-evidence": ("instructor/evidence.html", {"page": LearnersEvidence(BADGE.slug, BADGE, "p1", "Ana R.", (
                          (SUBS[0], tuple(replace(each, own=False) for each in OWN_PIECES[1:])), (SUBS[1], PUT),
                          (SUBS[2], ())))}),
    "learners-evidence-none": ("instructor/evidence.html", {"page": LearnersEvidence(BADGE.slug, BADGE, "p1", "",
                               ((SUBS[0], ()),))}),
}  # fmt: skip
IN_COURSE = {
    "may_manage": True,
    "launch": LAUNCH, "issuer": SimpleNamespace(name="Hallwood University", slug="hallwood"), "course_label": "EMP101",
    "course_title": "Employability Skills", "csrf": "c5rf", "me": "p7", "shown_to": lambda address: address, "now": NOW,
    "own_news": lambda: sample_notifications.NONE,
}  # fmt: skip
OUTSIDE = {"issuer": IN_COURSE["issuer"], "now": NOW}
STANDALONE = {"error.html", "no_role.html", "no_course.html", "data_privacy.html", "erased.html", "new_window.html"}

# -- a program to render them ------------------------------------------------------------------------------------

# -- badges made of badges ---------------------------------------------------------------------------------------

PARTS = tuple(StackMember(slug, name, f"{BASE}/achievements/{slug}/v1") for slug, name in (
    ("collaboration", "Collaboration"), ("oral-communication", "Oral Communication"),
    ("critical-thinking", "Critical Thinking"), ("initiative", "Initiative and <b>Responsibility</b>")))  # fmt: skip
STACK = replace(BADGE, slug="career-readiness", name="Career Readiness", sub_competencies=(), award="automatic",
                stack=Stack(tuple(part.slug for part in PARTS), "any 3", True, "P18M"))  # fmt: skip
CREDITS = replace(STACK, stack=replace(STACK.stack, rule="credits 12", ordered=False, within=""))


def parts_of(*states: str) -> tuple[RowView, ...]:
    views = row_views(STACK, {}, {part.slug: part for part in PARTS})
    reached = {"met": "earned", "ungraded": "not earned", "early": "earned too early"}
    return tuple(replace(view, state=state, reached=reached.get(state, state), share=float(state == "met"))
                 for view, state in zip(views, states, strict=True))  # fmt: skip


SOME = parts_of("met", "early", "ungraded", "withdrawn")
STACK_CARD = replace(WAY, slug=STACK.slug, name=STACK.name, rows=SOME, met=1, of=3, next_step="",
                     sentence="You have 1 of 3. Missing: the badge “Critical Thinking”.")  # fmt: skip
LEAVES = tuple(TreeNode(f"Introduction {n}", ("done", "way", "todo", "over")[n % 4], ("Earned", "3 of 4",
               "Offered in EMP102", "Withdrawn")[n % 4], "", "/sample/x.svg", described="/achievements/x/v1")
               for n in range(10))  # fmt: skip
TIERS = TreeNode("Library Scholar", "way", "1 of 3 badges so far", "library-scholar", "", "All of these.", (
    TreeNode("Find", "done", "Earned", "find", "", "", LEAVES[:3]), TreeNode("Judge", "way", "2 of 3", "j", "", "",
    LEAVES[3:6]), TreeNode("Cite", "todo", "0 of 3", "c", "", "", LEAVES[6:])))  # fmt: skip
FLAT = TreeNode("Career Readiness", "way", "1 of 3 badges so far", STACK.slug, "", "Any three of these.", LEAVES[:4])
OUTSIDE_BADGE = OutsideView("o1", "Initiative", "waiting", "Formal <b>Logic</b>", "Northbridge College", NOW,
                            "logic.png", "", NOW, "", "p1", "Ana R.", "email", UNSURE, True)  # fmt: skip
HANDED_IN = (OUTSIDE_BADGE, replace(OUTSIDE_BADGE, id="o2", names="other", ok=False, tried_at=NOW),
             replace(OUTSIDE_BADGE, id="o3", names="none", status="accepted", reason="The same examination."),
             replace(OUTSIDE_BADGE, id="o4", status="refused", reason="Another subject."),
             replace(OUTSIDE_BADGE, id="o5", status="accepted", reason="x", problem="It was withdrawn."))  # fmt: skip
OUTSIDE_PAGE = OutsidePage(STACK.slug, STACK, "active", 1, HANDED_IN, tuple((p.slug, p.name) for p in PARTS),
                           (("p1", "Ana R."), ("p2", "")), True)  # fmt: skip
MY_STACK = replace(MINE, badge=STACK, card=STACK_CARD, rows=(*SOME, gate_row()), tree=FLAT, outside=HANDED_IN,
                   history=(), key=STACK.slug)  # fmt: skip
STACK_ROWS = tuple(replace(each, cells=SOME, word="1 of 3", state="way", met=1, of=3) for each in LEARNERS[:4])
CHOICES = (PartChoice("a", "First", "1.5", True, True), PartChoice("b", "Second <b>", "", True, False),
           PartChoice("c", "Third", "3", False, True))  # fmt: skip
STACKED = {"parts": CHOICES, "offers": CHOICES[1:]}
CHANGES_OF_PARTS = tuple(Change(what, "some-badge", "", "all", "any 2") for what in ("part_added", "part_removed"))
CHANGES_OF_PARTS += (Change("parts_order"), Change("parts_rule", old="all", new="any 2"),
                     Change("parts_rule", old="any 2", new="credits 12"), Change("parts_ordered", new="yes"),
                     Change("parts_ordered"), Change("parts_within", new="P1Y6M"), Change("parts_within"))  # fmt: skip
PAGES |= {
    "achievement-first": ("public/achievement.html", {"page": replace(ACHIEVEMENT, parts=PARTS, badge=replace(
        GATED, gates=(*GATED.gates, Gate("lab", "Safety test", "pass", "")), prerequisites=("initiative",)))}),
    "endorse-stack": ("public/endorse.html", {"page": replace(TO_ENDORSE, title=STACK.name, badge=STACK, parts=PARTS),
                      "told": Answer(), "longest": LONGEST, "csrf": "c5rf"}),
    "edit-stack": ("instructor/edit_rubric.html", written(values_of(STACK), STACK.slug, **STACKED)),
    "edit-stack-blank": ("instructor/edit_rubric.html", {**written(blank_stack("en"), "new-badge"), "check": True}),
    "edit-stack-about": ("instructor/edit_about.html", written(values_of(STACK), STACK.slug, **STACKED)),
    "edit-stack-grades": ("instructor/edit_grades.html", written(values_of(CREDITS), STACK.slug, **STACKED)),
    "plan-stack": ("instructor/plan.html", {"page": replace(PLAN, badge=STACK, parts=PARTS, columns=(),
                   effect=replace(FIRST, elsewhere=2))}),
    "plan-stack-change": ("instructor/plan.html", {"page": replace(CHANGED_PLAN, badge=replace(STACK, once="person"),
                          parts=PARTS, columns=(), changes=CHANGES_OF_PARTS)}),
    "badge-stack": ("instructor/badge.html", {"page": replace(MATRIX, badge=STACK, heads=parts_of(*["ungraded"] * 4),
                    rows=STACK_ROWS, columns=())}),
    "record-part": ("instructor/record.html", {"page": replace(RECORD, row=SOME[1]), "slug": STACK.slug,
                    "badge": STACK}),
    "outside": ("instructor/outside.html", {"page": OUTSIDE_PAGE, "problem": None, "at": "", "typed": {}}),
    "outside-problem": ("instructor/outside.html", {"page": OUTSIDE_PAGE, "problem": BadInput(sentence="Say why."),
                        "at": "o2", "typed": {"reason": "It is.", "sure": "yes"}}),
    "outside-hand-in": ("instructor/outside.html", {"page": replace(OUTSIDE_PAGE, handed_in=HANDED_IN[2:]),
                        "problem": BadInput(sentence="Choose."), "at": "hand-in", "typed": {"person": "p2"}}),
    "outside-watcher": ("instructor/outside.html", {"page": replace(OUTSIDE_PAGE, may_manage=False), "problem": None,
                        "at": "", "typed": {}}),
    "me-stacks": ("student/home.html", {"page": replace(ME, on_the_way=(STACK_CARD,), trees=(TIERS, FLAT))}),
    "my-stack": ("student/badge.html", {"page": replace(MY_STACK, elsewhere="EMP102")}),
    "my-stack-problem": ("student/badge.html", {"page": replace(MY_STACK, outside=()), "handing": {"part": "initiative",
                         "address": "https://x"}, "hand_problem": BadInput(sentence="It was changed.")}),
    "my-stack-tiers": ("student/badge.html", {"page": replace(MY_STACK, tree=TIERS, card=FRESH)}),
    "as-student-stack": ("student/badge.html", {"page": replace(MY_STACK, tree=None, outside=(), sync=NEVER),
                         "looking": STACK.slug}),
    "credential-stack": ("public/credential.html", {"page": replace(CREDENTIAL, badge=STACK, rows=tuple(
                         replace(each, proof=URL) for each in parts_of(*["met"] * 4)))}),
    "achievement-stack": ("public/achievement.html", {"page": replace(ACHIEVEMENT, badge=STACK, parts=PARTS)}),
    "achievement-credits": ("public/achievement.html", {"page": replace(ACHIEVEMENT, badge=CREDITS)}),
}  # fmt: skip

LINES = (
    Line("Oral communication", 122, 84, 31, 412, 69, 37, "within 2 days", "within 5 days"),
    Line(
        "Finds and judges sources of information for a purpose",
        88,
        41,
        12,
        97,
        47,
        29,
        "within 8 hours",
        "within a day",
    ),
    Line("Empathy", hidden=True),
    Line("Initiative", 40, None, 0, None, None, None, "within an hour", ""),
)
MONTHS = (Line("Aug 2026", hidden=True), Line("Sep 2026", 60, 30), Line("Oct 2026", 120, 85),
          Line("Nov 2026", 30, None))  # fmt: skip
FIGURES = FiguresPage(
    Asked(term="Fall 2026", by="badge"),
    Line("", 250, 130, 45, 510, 52, 35, "within 2 days", "within 5 days", more={"revoked": None, "expired": 15}),
    months=MONTHS, lines=LINES, highest=120,
    held_back=(Share("Listens actively and asks when something is not clear", 75, 120, 62, "Oral communication"),
               Share("Cites sources", 30, 90, 33, "Finds and judges sources of information for a purpose")),
    places=(Share("LinkedIn", 30, percent=100), Share("Copied link", 15, percent=50), Share("Wallet", None)),
    why_not=(Share("I did not know about it", 20, percent=100),),
    choices={"platform": (("1", "Canvas of Hallwood"), ("2", "Moodle")), "course": (("1", "EMP101"), ("2", "EMP102")),
             "badge": (("1", "Oral communication"), ("2", "Empathy")), "term": (("Fall 2026", "Fall 2026"),),
             "period": (("2026", "2026"), ("2026-11", "Nov 2026"))},
)  # fmt: skip
OF_A_BADGE = replace(FIGURES, lines=(), asked=Asked(period="2026"), guarded=False, badge=BADGE, status="active")
NO_FIGURES = FiguresPage(Asked(), Line(""), anything=False, guarded=False, badge=BADGE, status="active")
PAGES |= {
    "figures": ("instructor/figures.html", {"page": OF_A_BADGE, "slug": BADGE.slug, "badge": BADGE,
                "status": "active"}),
    "figures-none": ("instructor/figures.html", {"page": NO_FIGURES, "slug": BADGE.slug, "badge": BADGE,
                     "status": "active"}),
    "figures-course": ("instructor/course_figures.html", {"page": replace(FIGURES, guarded=False), "slug": ""}),
    "admin-figures": ("admin/figures.html", {"page": FIGURES, "told": {"term": "Fall 2026"},
                      "admin": SimpleNamespace(name="Vera Lindqvist")}),
    "admin-figures-few": ("admin/figures.html", {"page": replace(FIGURES, too_small=True), "told": {},
                          "admin": SimpleNamespace(name="Vera Lindqvist")}),
    "admin-figures-none": ("admin/figures.html", {"page": NO_FIGURES, "told": {},
                           "admin": SimpleNamespace(name="Vera Lindqvist")}),
}  # fmt: skip
ADDRESSES = {
    "figures.course": "/course/<launch>/figures",
    "figures.course_csv": "/course/<launch>/figures.csv",
    "figures.badge": "/course/<launch>/badges/<slug>/figures",
    "figures.badge_csv": "/course/<launch>/badges/<slug>/figures.csv",
    "admin_figures.home": "/admin/figures",
    "admin.sign_out": "/admin/sign-out",
    "admin_figures.download": "/admin/figures/figures.csv",
    "instructor.home": "/course/<launch>/",
    "instructor.use_library": "/course/<launch>/library/<slug>",
    "instructor.import_file": "/course/<launch>/import",
    "instructor.badge": "/course/<launch>/<slug>",
    "instructor.plan": "/course/<launch>/<slug>/plan",
    "instructor.publish": "/course/<launch>/<slug>/publish",
    "instructor.remove_draft": "/course/<launch>/<slug>/remove",
    "versions.history": "/course/<launch>/<slug>/history",
    "versions.retire": "/course/<launch>/<slug>/retire",
    "versions.bring_back": "/course/<launch>/<slug>/bring-back",
    "versions.columns": "/course/<launch>/<slug>/columns",
    "versions.choose_columns": "/course/<launch>/<slug>/columns/chosen",
    "versions.look_at_columns": "/course/<launch>/<slug>/columns/look",
    "gradebook.make_again": "/course/<launch>/<slug>/gradebook/make-again",
    "gradebook.accept_maximum": "/course/<launch>/<slug>/gradebook/maximum",
    "gradebook.write_earned": "/course/<launch>/<slug>/gradebook/earned",
    "gradebook.choose_cell": "/course/<launch>/<slug>/gradebook/earned/cell",
    "gradebook.try_again": "/course/<launch>/<slug>/gradebook/earned/again",
    "score_files.new": "/course/<launch>/badges/<slug>/grades/file",
    "score_files.template": "/course/<launch>/badges/<slug>/grades/file.csv",
    "score_files.show": "/course/<launch>/badges/<slug>/grades/file/<file_id>",
    "sources.connect_moodle": "/course/<launch>/<slug>/sources/moodle",
    "sources.show": "/course/<launch>/<slug>/sources",
    "sources.match": "/course/<launch>/<slug>/sources/matched",
    "sources.look": "/course/<launch>/<slug>/sources/look",
    "sources.connect": "/course/<launch>/<slug>/sources/connect",
    "sources.disconnect": "/course/<launch>/<slug>/sources/disconnect",
    "versions.other_courses": "/course/<launch>/other-courses",
    "versions.use_course": "/course/<launch>/other-courses/<source>",
    "instructor.sync": "/course/<launch>/sync",
    "instructor.record": "/course/<launch>/<slug>/record/<person_id>/<tag>",
    "endorsements.show": "/course/<launch>/<slug>/endorsements",
    "endorsements.ask": "/course/<launch>/<slug>/endorsements/ask",
    "endorsements.withdraw": "/course/<launch>/<slug>/endorsements/<endorsement_id>",
    "endorsements.withdraw_link": "/course/<launch>/<slug>/endorsements/links/<request_id>",
    "awards.show": "/course/<launch>/<slug>/awards",
    "awards.confirm": "/course/<launch>/<slug>/awards/confirm",
    "awards.confirm_one": "/course/<launch>/<slug>/awards/<award_id>/confirm",
    "awards.hold": "/course/<launch>/<slug>/awards/<award_id>/hold",
    "awards.release": "/course/<launch>/<slug>/release",
    "awards.keep": "/course/<launch>/<slug>/awards/<award_id>/review",
    "awards.renew": "/course/<launch>/<slug>/awards/renew",
    "awards.revoke": "/course/<launch>/<slug>/awards/revoke",
    "awards.revoke_one": "/course/<launch>/<slug>/awards/<award_id>/revoke",
    "awards.give": "/course/<launch>/<slug>/awards/give",
    "awards.file": "/course/<launch>/<slug>/awards/file",
    "awards.file_page": "/course/<launch>/<slug>/awards/file/<file_id>",
    "awards.reissue": "/course/<launch>/<slug>/awards/<award_id>/reissue",
    "instructor.csv": "/course/<launch>/<slug>/progress.csv",
    "instructor.export": "/course/<launch>/<slug>/badge.toml",
    "instructor.picture": "/course/<launch>/<slug>/picture.svg",
    "instructor.library_picture": "/course/<launch>/library/<slug>/picture.svg",
    "instructor.job": "/course/<launch>/jobs/<job_id>",
    "marking.learners": "/course/<launch>/badges/<slug>/marking/",
    "marking.learner": "/course/<launch>/badges/<slug>/marking/<person_id>",
    "marking.state": "/course/<launch>/badges/<slug>/marking/<person_id>/state",
    "marking.again": "/course/<launch>/badges/<slug>/marking/again",
    "marking.attach": "/course/<launch>/badges/<slug>/marking/<person_id>/evidence",
    "marking.withdraw": "/course/<launch>/badges/<slug>/marking/<person_id>/evidence/<evidence_id>/withdraw",
    "outside.show": "/course/<launch>/badges/<slug>/outside/",
    "outside.hand_in_for": "/course/<launch>/badges/<slug>/outside/",
    "outside.decide": "/course/<launch>/badges/<slug>/outside/<outside_id>",
    "own_outside.hand_in": "/me/<launch>/badges/<slug>/outside/",
    "evidence.row": "/me/<launch>/badges/<slug>/evidence/",
    "evidence.hand_in": "/me/<launch>/badges/<slug>/evidence/<evidence_id>/hand-in",
    "evidence.discard": "/me/<launch>/badges/<slug>/evidence/<evidence_id>/discard",
    "evidence.withdraw": "/me/<launch>/badges/<slug>/evidence/<evidence_id>/withdraw",
    "learners_evidence.learner": "/course/<launch>/badges/<slug>/evidence/<person_id>/",
    "editor.blank": "/course/<launch>/badges",
    "editor.edit": "/course/<launch>/badges/<slug>/edit",
    "editor.step": "/course/<launch>/edit/<badge>/<step>",
    "editor.save": "/course/<launch>/edit/<badge>/save.json",
    "editor.preview": "/course/<launch>/edit/<badge>/preview",
    "editor.criteria": "/course/<launch>/edit/<badge>/criteria",
    "editor.picture": "/course/<launch>/edit/<badge>/picture",
    "editor.upload": "/course/<launch>/edit/<badge>/upload",
    "messages.picker": "/course/<launch>/place",
    "messages.place": "/course/<launch>/place/sent",
    "messages.cancel": "/course/<launch>/place/cancel",
    "messages.take_from_library": "/course/<launch>/place/library/<slug>",
    "messages.review": "/course/<launch>/review",
    "as_student.home": "/course/<launch>/<slug>/as-student/",
    "as_student.badge": "/course/<launch>/<slug>/as-student/badge",
    "as_student.claim": "/course/<launch>/<slug>/as-student/claim",
    "student.home": "/me/<launch>/",
    "student.everywhere": "/me/<launch>/all",
    "keep.home": "/me/<launch>/keep/",
    "notifications.dismiss": "/me/<launch>/notifications/away",
    "student.put_off": "/me/<launch>/<slug>/not-now",
    "student.answer": "/me/<launch>/<slug>/why-not",
    "student.reading": "/me/<launch>/reading.json",
    "student.badge": "/me/<launch>/<slug>",
    "student.claim": "/me/<launch>/<slug>/claim",
    "show.show": "/me/<launch>/badges/<slug>/show",
    "show.turn": "/me/<launch>/badges/<slug>/show/page",
    "show.linkedin": "/me/<launch>/badges/<slug>/show/linkedin",
    "show.qr": "/me/<launch>/badges/<slug>/show/qr.svg",
    "show.make_link": "/me/<launch>/badges/<slug>/show/links",
    "show.end_link": "/me/<launch>/badges/<slug>/show/links/<link_id>/end",
    "wallet.show": "/me/<launch>/badges/<slug>/wallet",
    "wallet.offer": "/me/<launch>/badges/<slug>/wallet/offer",
    "wallet.withdraw": "/me/<launch>/badges/<slug>/wallet/copies/<edition_id>/withdraw",
    "own_data.home": "/me/<launch>/data/",
    "own_data.copy": "/me/<launch>/data/copy.zip",
    "own_data.name": "/me/<launch>/data/name",
    "own_data.erasure": "/me/<launch>/data/erasure",
    "erased.begin_anew": "/lti/again",
    "backpacks.home": "/me/<launch>/backpacks/",
    "backpacks.code": "/me/<launch>/backpacks/code",
    "backpacks.ask": "/me/<launch>/backpacks/requests/<request_id>",
    "backpacks.end": "/me/<launch>/backpacks/<grant_id>/end",
    "frameworks.put": "/course/<launch>/framework/",
    "frameworks.begin": "/course/<launch>/framework/<file_id>",
    "student.picture": "/me/<launch>/<slug>/picture.svg",
    "student.sync": "/me/<launch>/sync",
    "student.record": "/me/<launch>/clr.json",
    "public.credential": "/credentials/<id>",
    "public.achievement": "/achievements/<slug>/v<version>",
    "public.issuer": "/issuers/<slug>",
    "public.verify": "/verify",
    "public.picture": "/pictures/<slug>.svg",
    "public.static_icon": "/lti/icon.svg",
    "public.theme": "/theme.css",
    "admin.home": "/admin/",
    "admin_issuer.home": "/admin/issuer",
    "way_in.home": "/me/<launch>/administration/",
}

# -- showing a claimed badge -------------------------------------------------------------------------------------

EMBED = f'<a href="{URL}"><img src="{URL}.png" alt="Badge “Oral Communication”" width="150" height="150"></a>'
LINK = ShareLinkView("l1", f"{BASE}/shared/3q2-7wAAAAEAAAAAAAAAAQ", "Application to the town council",
                     ("levels", "course"), ("name", "evidence"), NOW - timedelta(days=3), NOW + timedelta(days=27),
                     None, 4, NOW - timedelta(hours=5), False)  # fmt: skip
LINKS = (LINK, replace(LINK, id="l2", label="", shows=(), hides=("name", "levels", "evidence", "course"), opened=0,
                       opened_at=None), replace(LINK, id="l3", url="", label="", opened=1),
         replace(LINK, id="l4", url="", label="Internship", over=True, ended_at=NOW, opened=0, opened_at=None),
         replace(LINK, id="l5", url="", label="", over=True, expires_at=NOW - timedelta(days=2)))  # fmt: skip
SHOW = ShowPage(
    slug=BADGE.slug, badge=BADGE, award_id="a1", page_public=True, searchable=False, in_force=True, state="issued",
    url=URL, qr_svg=CREDENTIAL.qr_svg, issuer="Hallwood University", named=True,
    parts=("name", "levels", "evidence", "course"), part_words=dict(PART_WORDS), links=(), lasts=LASTS, most_open=20,
    views=0, downloads=(("PDF", "certificate", f"{URL}.pdf"), *MACHINE),
    linkedin=(("Name", BADGE.name), ("Issuing organisation", "Hallwood University"), ("Credential ID", "7fq2c81km4xw"),
              ("Credential URL", URL)),
    resume=f"Oral Communication (Foundational), Hallwood University, October 2026. {URL}",
    embed_badge=EMBED, embed_card=EMBED, for_wallets=True,
)  # fmt: skip
SHOWN = replace(CREDENTIAL, recipient="Ana Ruiz", judged=("The teachers of the course, row by row, with the rubric.",),
                preview_url=f"{URL}/preview.png", alternates=(("application/vc+ld+json", f"{URL}.json"),),
                shows_grades=True, note="She led the talk of 4 May.", searchable=True)  # fmt: skip
PAGES |= {
    "show": ("student/show.html", {"page": SHOW}),
    "show-links": ("student/show.html", {"page": replace(SHOW, links=LINKS, views=12, searchable=True, named=False),
                                         "made": "l1"}),
    "show-private": ("student/show.html", {"page": replace(SHOW, page_public=False, url="", qr_svg="", embed_badge="",
                                                           embed_card="", links=LINKS[:1])}),
    "show-over": ("student/show.html", {"page": replace(SHOW, in_force=False, state="revoked", for_wallets=False,
                                                        views=1)}),
    "show-problem": ("student/show.html", {"page": SHOW, "problem": BadInput(sentence=Sentence(
        "Choose until when the link works.")), "typed": {"shows": ["levels"], "days": "", "label": "Town council"}}),
    "credential-whole": ("public/credential.html", {"page": replace(
        SHOWN, structured=schema_org.of_credential(SHOWN))}),
    "credential-shared": ("public/credential.html", {"page": replace(
        SHOWN, url=LINK.url, credential_id="", downloads=(), alternates=(), recipient="", shows_levels=False,
        shared_until=LINK.expires_at, left_out=("name", "levels"), endorsements=(replace(SAID[0], url=""),))}),
    "achievement-whole": ("public/achievement.html", {"page": replace(
        ACHIEVEMENT, preview_url=f"{URL}/preview.png", structured=schema_org.of_achievement(ACHIEVEMENT),
        judged=SHOWN.judged)}),
    "claim-search": ("student/claim.html", {"page": replace(CLAIM, claimed=True, credential_url=URL, issued_at=NOW,
                                                            choices=Choices(public=True, search=True))}),
}  # fmt: skip
BLANK_PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><circle cx="100" cy="100" r="90"/></svg>'


PAGES |= sample_notifications.PAGES
PAGES["me-news"] = (PAGES["me"][0], {**PAGES["me"][1], "own_news": lambda: sample_notifications.NEWS})
ADDRESSES |= sample_notifications.ADDRESSES
PAGES |= sample_own_access.PAGES
PAGES["own-claim"] = (
    "student/claim.html",
    {"page": replace(CLAIM, slug="a1", claimed=True, page_public=False, issued_at=NOW, credential_url=URL,
                     downloads=FILES), "own": sample_own_access.LEARNER},
)  # fmt: skip
PAGES["own-show"] = ("student/show.html", {"page": SHOW, "own": sample_own_access.LEARNER})
PAGES["own-wallet"] = ("student/wallet.html", {"page": WALLET, "own": sample_own_access.LEARNER})
PAGES["me-keep"] = (PAGES["me"][0], {**PAGES["me"][1], "keep_access": lambda: "reminder"})
PAGES["me-may-keep"] = (PAGES["me"][0], {**PAGES["me"][1], "keep_access": lambda: "offered"})
ADDRESSES |= sample_own_access.ADDRESSES
PAGES |= sample_rights.PAGES
ADDRESSES |= sample_rights.ADDRESSES


def create_samples() -> Flask:
    """Make a program that has the real templates and styles, and nothing behind them."""
    app = Flask("samples", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    app.jinja_env.undefined = StrictUndefined
    language.OfThePage(app, locale_selector=language.choose_locale)
    app.context_processor(language.of_page)
    app.jinja_env.filters.update(
        ago=lambda when: words.ago(when, NOW),
        day=words.day,
        days_words=words.days_words,
        moment=words.moment,
        decimal=words.decimal,
        words=words.words,
        markdown=markdown,
        labels=labels,
        language=words.language,
        told=words.said,
        lasts=words.lasts,
        duration=stack_words.duration,
        stack_rule=stack_words.rule_words,
        gate_words=gate_words,
        told_error=lambda error: f"{error.sentence} {error.what_to_do}".strip(),
        moment_of=lambda text: words.moment(datetime.fromisoformat(text)),
    )
    art = Path(os.environ.get("SAMPLE_ART", "."))

    def picture(slug: str) -> Response:
        drawn = art / f"{slug}.svg"
        return Response(drawn.read_text() if drawn.exists() else BLANK_PICTURE, mimetype="image/svg+xml")

    def stub(name: str) -> Any:
        def view(**values: str) -> Any:
            if name.endswith("picture") or name == "public.static_icon":
                return picture(values.get("slug", ""))
            if name == "public.theme":
                return Response(os.environ.get("SAMPLE_THEME", ""), mimetype="text/css")
            if name == "instructor.record":
                template = "record_aside" if request.headers.get("X-Fragment") else "record"
                one = next(r for r in LEARNERS if r.person_id == values["person_id"])
                cell = next(c for c in one.cells if c.tag == values["tag"])
                verdict = "Reached." if cell.state == "met" else f"Not yet: needs {cell.required}."
                view = replace(RECORD, name=one.name, row=cell, verdict=verdict)
                return render_template(f"instructor/{template}.html", page=view, **of_badge, **IN_COURSE)
            if name == "instructor.job":
                app.config["LOOKS"] = looks = app.config.get("LOOKS", 0) + 1
                return {"state": "running" if looks % 4 else "done", "problem": "", "reload": not looks % 4,
                        "progress": [f"Reading OC-{n} …" for n in range(1, looks % 4 + 2)]}  # fmt: skip
            if name == "instructor.badge":
                return redirect(url_for("sample", name="badge", **request.args))
            return redirect(url_for("sample", name="home"))

        return view

    for name, address in ADDRESSES.items():
        app.add_url_rule(address, name, stub(name), methods=["GET", "POST"])
    app.add_url_rule("/sample/<slug>.svg", "art", picture)

    @app.route("/")
    def index() -> str:
        return "".join(f'<p><a href="/page/{name}">{name}</a></p>' for name in PAGES)

    @app.route("/page/<name>", methods=["GET", "POST"])
    def sample(name: str) -> Response:
        if name not in PAGES:
            abort(404)
        response = Response(render(name))
        # styles: the policy of the real program
        response.headers["Content-Security-Policy"] = "default-src 'none'; script-src 'self'; style-src 'self'; " \
            "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'"  # fmt: skip
        return response

    return app


def render(name: str) -> str:
    """Render one sample; needs a request of `create_samples()`."""
    template, values = PAGES[name]
    common: dict[str, Any] = IN_COURSE
    if template.startswith("public/"):
        common = OUTSIDE
    elif template in STANDALONE:
        common = {}
    return render_template(template, **{**common, **values})


if __name__ == "__main__":
    create_samples().run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 5055, threaded=True)
