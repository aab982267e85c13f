"""What a badge is: sub-competencies with levels low → high, gates, and the rule that joins them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

ROW, GATE, PREREQUISITE = "sub-competency:", "gate:", "badge:"  # what a standing's tag begins with
CREDITS = "credits "  # what the rule of a stack begins with that counts its badges' credits
TOTAL = "total"  # the tag of the one column of `columns = "total"`

SHAPES = ("hexagon", "cushion", "shield", "scallop")

# The words Open Badges 3.0 knows, or one of somebody's own: "ext:" and what follows.
# https://www.imsglobal.org/spec/ob/v3p0#achievementtype-enumeration
MICRO_CREDENTIAL = "MicroCredential"
ACHIEVEMENT_TYPES = (
    *("Achievement", "ApprenticeshipCertificate", "Assessment", "Assignment", "AssociateDegree", "Award", "Badge"),
    *("BachelorDegree", "Certificate", "CertificateOfCompletion", "Certification", "CommunityService", "Competency"),
    *("Course", "CoCurricular", "Degree", "Diploma", "DoctoralDegree", "Fieldwork", "GeneralEducationDevelopment"),
    *("JourneymanCertificate", "LearningProgram", "License", "Membership", "ProfessionalDoctorate"),
    *("QualityAssuranceCredential", "MasterCertificate", "MasterDegree", MICRO_CREDENTIAL, "ResearchDoctorate"),
    "SecondarySchoolDiploma",
)
ALIGNMENT_TYPES = (
    *("ceasn:Competency", "ceterms:Credential", "CFItem", "CFRubric", "CFRubricCriterion", "CFRubricCriterionLevel"),
    "CTDL",
)
IDENTIFIER_TYPES = (
    *("name", "sourcedId", "systemId", "productId", "userName", "accountId", "emailAddress", "nationalIdentityNumber"),
    *("isbn", "issn", "lisSourcedId", "oneRosterSourcedId", "sisSourcedId", "ltiContextId", "ltiDeploymentId"),
    *("ltiToolId", "ltiPlatformId", "ltiUserId", "identifier"),
)
EXTENSION = re.compile(r"ext:[A-Za-z0-9._:-]{1,60}")

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
DURATION = re.compile(r"P(?=T?\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(\d+)H)?")


@dataclass(frozen=True, slots=True)
class Alignment:
    """A pointer into somebody else's framework. `type` is one of ALIGNMENT_TYPES, or empty for the usual one."""

    framework: str
    name: str
    url: str
    code: str = ""
    type: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What others call the badge, as a CTID. `type` is one of IDENTIFIER_TYPES, or "ext:" and a word."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Creator:
    """The department or partner that made the badge; the institution issues it all the same."""

    name: str
    url: str = ""
    email: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Related:
    """The same achievement somewhere else, as in another language. `url` is its id."""

    url: str
    language: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    name: str
    points: Decimal
    description: str = ""
    alignment: tuple[Alignment, ...] = ()


@dataclass(frozen=True, slots=True)
class SubCompetency:
    """One rubric row. `levels` are ordered low → high, points strictly rising."""

    code: str
    name: str
    levels: tuple[Level, ...]
    required_level: str
    description: str = ""
    source: str = "rubric"
    evidence: str = "optional"
    alignment: tuple[Alignment, ...] = ()

    @property
    def highest_points(self) -> Decimal:
        return self.levels[-1].points

    @property
    def required_index(self) -> int:
        return self.level_index(self.required_level)

    def level_index(self, name: str) -> int:
        """Return a level's place from the lowest, 0; raises KeyError for a name that is not a level."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise KeyError(name)

    @property
    def tag(self) -> str:
        return f"{ROW}{self.code}"

    @property
    def reads_column(self) -> bool:
        """Tell whether its level comes from a gradebook column of its own."""
        return self.source in ("column", "rubric")


@dataclass(frozen=True, slots=True)
class Gate:
    """A further condition. `scale` (letters only) maps a letter to its least share of the maximum in per cent,
    ordered low → high; `required` is a letter, a number of points, a per cent, or empty for `pass`. `out_of` (points
    only) is how many points there are."""

    code: str
    name: str
    kind: str
    required: str = ""
    scale: tuple[tuple[str, Decimal], ...] = ()
    source: str = "column"
    out_of: Decimal | None = None

    @property
    def tag(self) -> str:
        return f"{GATE}{self.code}"

    @property
    def maximum(self) -> Decimal:
        """The maximum, in points, of a column made for it."""
        if self.kind == "pass":
            return Decimal(1)
        if self.out_of is not None:
            return self.out_of
        return max(Decimal(100), Decimal(self.required)) if self.kind == "points" else Decimal(100)

    @property
    def reads_column(self) -> bool:
        return self.source == "column"


@dataclass(frozen=True, slots=True)
class Picture:
    """Either drawn (shape, icon, two colours) or a file; `alt` says what it shows."""

    alt: str
    shape: str = "hexagon"
    icon: str = "star"
    colours: tuple[str, str] = ("#0E5468", "#F2B35E")
    file: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A badge made of badges. `within` is an ISO 8601 duration or empty."""

    members: tuple[str, ...]
    rule: str = "all"
    ordered: bool = False
    within: str = ""

    @property
    def counts_credits(self) -> bool:
        return self.rule.startswith(CREDITS)

    @property
    def needed(self) -> int:
        """How many of its badges it takes, or how many of their credits."""
        return int(self.rule.removeprefix(CREDITS)) if self.counts_credits else needed(self.rule, len(self.members))

    @property
    def tags(self) -> tuple[str, ...]:
        """What its members' standings are known by."""
        return tuple(PREREQUISITE + slug for slug in self.members)


@dataclass(frozen=True, slots=True)
class Badge:
    """A definition, as a file says it. Equal content has equal `digest()`, whatever file it came from."""

    slug: str
    name: str
    description: str
    criteria: str
    sub_competencies: tuple[SubCompetency, ...] = ()
    gates: tuple[Gate, ...] = ()
    level: str = ""
    tags: tuple[str, ...] = ()
    language: str = "en"
    expires_after: str = ""
    award: str = "automatic"
    release: str = "immediate"
    columns: str = "each"
    once: str = "course"
    rule: str = "all"
    credits: Decimal | None = None
    picture: Picture = Picture(alt="")
    alignment: tuple[Alignment, ...] = ()
    prerequisites: tuple[str, ...] = ()
    stack: Stack | None = None
    # All empty where the file says nothing, so that what was stored before keeps its digest
    type: str = ""  # one of ACHIEVEMENT_TYPES; empty: MicroCredential
    field_of_study: str = ""
    specialization: str = ""
    human_code: str = ""  # as a course catalogue would call it: COM-210
    identifiers: tuple[Identifier, ...] = ()
    creator: Creator | None = None
    related: tuple[Related, ...] = ()

    @property
    def needed(self) -> int:
        """How many sub-competencies must stand at their level or above; of a stack: how many badges, or credits."""
        return self.stack.needed if self.stack is not None else needed(self.rule, len(self.sub_competencies))

    @property
    def counts_credits(self) -> bool:
        """Tell whether `needed` is a number of credits."""
        return self.stack is not None and self.stack.counts_credits

    @property
    def resource_id(self) -> str:
        return f"badge:{self.slug}"

    @property
    def highest_total(self) -> Decimal:
        """The sum of each row's highest points: the maximum of the one column of `columns = "total"`."""
        return sum((row.highest_points for row in self.sub_competencies), Decimal(0))

    @property
    def marked_here(self) -> bool:
        """Tell whether levels come from marks given in the tool, and from no gradebook column."""
        return self.columns != "each"

    def sub_competency(self, code: str) -> SubCompetency:
        return next(s for s in self.sub_competencies if s.code == code)

    def content(self) -> dict[str, Any]:
        """Return the definition as plain JSON values, the form that is stored and hashed."""
        return plain(self)

    def digest(self) -> str:
        """Return the SHA-256 of the content, by which an equal version is found again."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def needed(rule: str, of: int) -> int:
    """Return how many of `of` the rule asks for: `all`, or `any k`. Raises ValueError for another rule."""
    if rule == "all":
        return of
    word, _, count = rule.partition(" ")
    if word != "any" or not count.isdecimal():
        raise ValueError(f'rule must be "all" or "any k", not {rule!r}')
    return int(count)


def months_days_hours(duration: str) -> tuple[int, int, int]:
    """Split an ISO 8601 duration of whole years, months, weeks, days and hours; ValueError for anything else."""
    match = DURATION.fullmatch(duration)
    if not match:
        raise ValueError(f"not a duration of years, months, weeks, days or hours: {duration!r}")
    years, months, weeks, days, hours = (int(part or 0) for part in match.groups())
    return years * 12 + months, weeks * 7 + days, hours


def after(start: datetime, duration: str) -> datetime:
    """Return the moment a duration ends; 31 January + P1M is the last of February."""
    months, days, hours = months_days_hours(duration)
    rest = timedelta(days=days, hours=hours)
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    for day in range(start.day, 27, -1):
        try:
            return start.replace(year=year, month=month, day=day) + rest
        except ValueError:
            continue
    return start.replace(year=year, month=month) + rest


def plain(value: Any) -> Any:
    """Turn a definition into JSON values: decimals as text in plain notation, tuples as lists, nothing for defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: plain(v) for f in fields if (v := getattr(value, f.name)) not in (None, "", ())}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return number_text(value)
    return value


def badge_from_content(content: dict[str, Any]) -> Badge:
    """Return the badge that `Badge.content()` was made of."""
    values = dict(content)
    values["sub_competencies"] = tuple(_sub_competency(s) for s in content.get("sub_competencies", ()))
    values["gates"] = tuple(_gate(g) for g in content.get("gates", ()))
    values["alignment"] = _alignments(content)
    values["tags"] = tuple(content.get("tags", ()))
    values["prerequisites"] = tuple(content.get("prerequisites", ()))
    if "credits" in content:
        values["credits"] = Decimal(content["credits"])
    picture = dict(content.get("picture", {"alt": ""}))
    picture.setdefault("alt", "")
    if "colours" in picture:
        picture["colours"] = tuple(picture["colours"])
    values["picture"] = Picture(**picture)
    values["identifiers"] = tuple(Identifier(**each) for each in content.get("identifiers", ()))
    values["related"] = tuple(Related(**each) for each in content.get("related", ()))
    if "creator" in content:
        values["creator"] = Creator(**content["creator"])
    if "stack" in content:
        values["stack"] = Stack(**{**content["stack"], "members": tuple(content["stack"]["members"])})
    return Badge(**values)


def _alignments(content: dict[str, Any]) -> tuple[Alignment, ...]:
    return tuple(Alignment(**{"framework": "", **a}) for a in content.get("alignment", ()))


def _sub_competency(content: dict[str, Any]) -> SubCompetency:
    levels = tuple(
        Level(**{**level, "points": Decimal(level["points"]), "alignment": _alignments(level)})
        for level in content["levels"]
    )
    return SubCompetency(**{**content, "levels": levels, "alignment": _alignments(content)})


def _gate(content: dict[str, Any]) -> Gate:
    scale = tuple((letter, Decimal(least)) for letter, least in content.get("scale", ()))
    out_of = Decimal(content["out_of"]) if "out_of" in content else None
    return Gate(**{**content, "scale": scale, "out_of": out_of})


def number_text(value: Decimal | Fraction) -> str:
    """Write a number for people and for JSON strings: 3, 2.5, 0.33333; never 3.0 or 1E+2.

    A fraction that no decimal holds is cut, not rounded, after five places: 2.999… must not read as 3."""
    if isinstance(value, Fraction):
        quotient = Decimal(value.numerator) / Decimal(value.denominator)
        value = quotient if Fraction(quotient) == value else Decimal(f"{math.floor(value * 100_000)}E-5")
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
