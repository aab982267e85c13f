"""A badge's rows as everybody's pages show them, and how fresh they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _

from lti_tool.domain.badge import PREREQUISITE
from lti_tool.domain.mastery import BELOW, NO_RESULT, PART_WORDS
from lti_tool.services.words import said

if TYPE_CHECKING:
    pass


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
    language: str = ""  # in which its levels are named and described; empty where those words are the tool's own

    @property
    def counts(self) -> bool:
        """Tell whether the badge's rule counts it: a sub-competency or a part, and no further condition."""
        return bool(self.steps) or self.part

    @property
    def comes_first(self) -> bool:
        """Tell whether it is a badge that must be earned before this one."""
        return self.tag.startswith(PREREQUISITE) and not self.part

    @property
    def brief(self) -> str:
        """What it is called where there is no room: its code; a badge has none, and is named."""
        return self.code or self.name

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
class SyncState:
    """When grades were last read, and whether it is being done now."""

    at: datetime | None
    running: bool
    failed: str  # the sentence of the last failure, empty where the last one went well
    what_to_do: str = ""
    job_id: int = 0
    next_at: datetime | None = None  # when it is tried again by itself after a failure, where it is
