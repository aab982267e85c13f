"""An edition's JSON and canonical N-Quads straight from its facts, without building the credential in between.

Learnt from an example that went the long way (`canonical.Shape`): the same facts with marks in place of their words
are put through `ob3.credential`, and where the marks come out is where other facts will be put. Whatever is not known
here for certain (a member this file has never heard of, a character that is left out, a text that is no address, facts
that do not earn the badge) goes the long way, which says what is wrong with it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import re
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from operator import eq, itemgetter
from typing import Any, NamedTuple

from lti_tool.credentials import ob3
from lti_tool.credentials.contexts import is_iri
from lti_tool.credentials.signing import compact
from lti_tool.domain.badge import number_text
from lti_tool.errors import CredentialHeldBack

# What `ob3.signable` would change, and what looks like a blank node, which strict verifiers refuse. A text without any
# of it is written the same in JSON and in N-Quads.
CHANGED = re.compile("_:|[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
TO_ESCAPE = re.compile(r'["\\\n]')
WORD = re.compile(r"[0-9A-Za-z_-]+")  # at home within any IRI
NOTHING = -1  # the place of a value that is empty, the last one
MOST_KEPT = 4096  # answers about gates kept per template

CREDENTIAL_ID = 0  # its place among the values
WORDS, IRIS, LEVELS, TEXTS = "word", "iri", "level", "text"

EVIDENCE = ("description", "narrative", "genre", "audience")  # the members a piece may have
_KNOWN_EVIDENCE = {"name", "url", *EVIDENCE}
_KNOWN_FACTS = {
    *("credential_id", "subject_id", "valid_from", "valid_until", "status_list", "status_index"),
    *("reached", "gates", "include_results", "name", "email", "course", "term", "evidence", "started", "ended"),
    *("narrative", "licence_number", "renewable", "terms_url", "endorsements"),
}
_OTHER_FACTS = tuple(
    (field.name, field.default) for field in dataclasses.fields(ob3.EditionFacts) if field.name not in _KNOWN_FACTS
)
_OTHER_EVIDENCE = tuple(field.name for field in dataclasses.fields(ob3.Evidence) if field.name not in _KNOWN_EVIDENCE)
_AS_KNOWN = (
    ob3.Reached._fields == ("code", "level", "points")
    and ob3.GateResult._fields == ("code", "value", "passed")
    and ob3.HashedEmail._fields == ("salt", "hash")
)

Json = dict[str, Any]
Key = tuple[Any, ...]


class Pattern:
    """A text with places: `parts` around them, and in `places` which value goes into each.

    Filled as text, or as UTF-8: one 🎓 would make a whole text four bytes a character for the time being."""

    def __init__(self, parts: Sequence[str], places: Sequence[int]) -> None:
        self.parts = tuple(parts)
        self.places = tuple(places)
        self._blank = [""] * (2 * len(places) + 1)
        self._blank[::2] = parts
        self._utf8 = [part.encode() for part in self._blank]
        # itemgetter gives no tuple for one place, and takes no none
        self._get: Callable[[Sequence[Any]], Sequence[Any]]
        if len(places) > 1:
            self._get = itemgetter(*places)
        else:
            self._get = lambda values: [values[place] for place in self.places]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.parts, self.places) == (other.parts, other.places)

    def __hash__(self) -> int:
        return hash((self.parts, self.places))

    def fill(self, values: Sequence[str]) -> str:
        # Joined, not formatted: str % walks over every character of what is fixed, which here is most.
        filled = self._blank.copy()
        filled[1::2] = self._get(values)
        return "".join(filled)

    def fill_utf8(self, values: Sequence[bytes]) -> bytes:
        return b"".join(self.filled_utf8(values))

    def filled_utf8(self, values: Sequence[bytes]) -> list[bytes]:
        """Return fixed parts and values in turn."""
        filled = self._utf8.copy()
        filled[1::2] = self._get(values)
        return filled

    def split(self, separator: str) -> list[Pattern]:
        """Cut at each separator in what is fixed."""
        cut: list[tuple[list[str], list[int]]] = [([], [])]
        for number, part in enumerate(self.parts):
            first, *others = part.split(separator)
            cut[-1][0].append(first)
            cut += [([other], []) for other in others]
            if number < len(self.places):
                cut[-1][1].append(self.places[number])
        return [Pattern(parts, places) for parts, places in cut]

    def put(self, inner: Mapping[int, Pattern], write: Callable[[str], str], quote: str = "") -> Pattern:
        """Return this with a pattern in each place, its fixed parts written by `write`, between quotes where given.

        A place that `inner` does not name stays, at its own number."""
        parts, places = [self.parts[0]], list[int]()
        for place, part in zip(self.places, self.parts[1:], strict=True):
            put = inner.get(place)
            if put is None:
                parts.append(part)
                places.append(place)
                continue
            written = [write(each) for each in put.parts]
            parts[-1] += quote + written[0]
            parts += written[1:]
            places += put.places
            parts[-1] += quote + part
        return Pattern(parts, places)


def joined(patterns: Iterable[Pattern], separator: str) -> Pattern:
    """Return one pattern after the other with a separator between."""
    parts, places = [""], list[int]()
    for number, pattern in enumerate(patterns):
        parts[-1] += (separator if number else "") + pattern.parts[0]
        parts += pattern.parts[1:]
        places += pattern.places
    return Pattern(parts, places)


# -- facts taken apart ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """Facts as a stamp takes them: `key` says which members there are, `values` what is in them, ready to be written.

    `kinds` says of each value what it is: a word of letters and digits, a whole IRI, a level's IRI, or any text."""

    key: Key
    values: list[str]
    kinds: list[str]


class Told(NamedTuple):
    """Which results there are, their values with their kinds, and their texts. Kept, so never changed."""

    key: Key
    values: list[str]
    kinds: list[str]
    texts: list[str]


class Row(NamedTuple):
    """A result an edition can have: the number of its description, and its levels with whether each is enough."""

    number: int
    levels: list[str]
    enough: list[bool]


class Taking:
    """What an achievement's editions can say, looked up once: its results, and which of them earn it."""

    def __init__(self, achievement: Json, needed: int | None) -> None:
        self._id = achievement["id"]
        self._needed = needed
        self._described: list[Json] = achievement.get("resultDescription", [])
        self._by_id = {description["id"]: description for description in self._described}
        self._numbers = {description["id"]: number for number, description in enumerate(self._described)}
        self._rubrics = sum(each["resultType"] == "RubricCriterionLevel" for each in self._described)
        self._reached: dict[str, Row] = {}
        self._gates: dict[str, Row] = {}
        self._met: dict[tuple[int, bool, str | None], bool] = {}
        self._told: dict[tuple[Any, Any], Told] = {}

    def take(self, facts: ob3.EditionFacts, *, judge: bool = True) -> Taken | None:
        """Take facts apart; None where they have to go the long way.

        `judge` false asks no results whether they earn the badge: those of `marked` are none."""
        if not (_AS_KNOWN and type(facts.status_list) is int and type(facts.status_index) is int):
            return None
        for name, default in _OTHER_FACTS:
            if getattr(facts, name) != default:
                return None
        results = self._results(facts, judge)
        if results is None or not WORD.fullmatch(facts.credential_id) or not is_iri(facts.subject_id):
            return None
        if facts.status_list < 0 or facts.status_index < 0:
            return None
        values = [facts.credential_id, facts.subject_id, instant(facts.valid_from)]
        values += (str(facts.status_list), str(facts.status_index))
        kinds = [WORDS, IRIS, TEXTS, WORDS, WORDS]
        for moment in (facts.valid_until, facts.started, facts.ended):
            if moment is not None:
                values.append(instant(moment))
                kinds.append(TEXTS)
        if facts.terms_url:
            if not is_iri(facts.terms_url):
                return None
            values.append(facts.terms_url)
            kinds.append(IRIS)
        said = (facts.name, facts.course, facts.term, facts.narrative, facts.licence_number)
        texts = [text for text in said if text]
        there = tuple([bool(text) for text in said])
        if facts.email:
            if len(facts.email.salt) < ob3.SHORTEST_SALT:
                return None
            texts += facts.email
        pieces: list[tuple[bool, ...]] = []
        for piece in facts.evidence:
            for name in _OTHER_EVIDENCE:
                if getattr(piece, name):
                    return None
            if piece.url:
                if not (piece.url.startswith(("https://", "http://")) and is_iri(piece.url)):
                    return None
                values.append(piece.url)
                kinds.append(IRIS)
            about = (piece.description, piece.narrative, piece.genre, piece.audience)
            texts.append(piece.name)
            texts += [text for text in about if text]
            pieces.append((bool(piece.url), *[bool(text) for text in about]))
        if facts.include_results:
            values += results.values
            kinds += results.kinds
            texts += results.texts
        if texts:
            together = "".join(texts)
            if CHANGED.search(together):
                return None
            if TO_ESCAPE.search(together):
                texts = [encode_basestring(text)[1:-1] for text in texts]
            values += texts
            kinds += [TEXTS] * len(texts)
        key = (
            *(facts.valid_until is not None, facts.started is not None, facts.ended is not None, there),
            *(bool(facts.email), bool(facts.renewable), bool(facts.terms_url), facts.include_results, tuple(pieces)),
            results.key if facts.include_results else (),
            # Signed already, and told as they are: with others it is another kind of edition.
            tuple([compact(each) for each in facts.endorsements]),
        )
        return Taken(key, values, kinds)

    def _results(self, facts: ob3.EditionFacts, judge: bool) -> Told | None:
        """Return what results tell; None where they do not earn the badge. Many learners of a class have the same."""
        known = (facts.reached, facts.gates)
        told = self._told.get(known) if judge else None
        if told is None:
            told = self._worked_out(facts, judge)
            # Two zeros are equal and may be written differently: -0.
            if judge and told is not None and all(each.points is None or each.points for each in facts.reached):
                if len(self._told) >= MOST_KEPT:
                    self._told.clear()
                self._told[known] = told
        return told

    def _worked_out(self, facts: ob3.EditionFacts, judge: bool) -> Told | None:
        """The rules are those of `ob3.check_links`."""
        if not facts.reached and not facts.gates:
            return Told((), [], [], [])
        found: list[tuple[int, Any, Row]] = []
        for reached in facts.reached:
            row = self._reached.get(reached.code) or self._row(ob3.description_id, reached.code, self._reached)
            found.append((row.number, reached, row))
        for gate in facts.gates:
            row = self._gates.get(gate.code) or self._row(ob3.gate_id, gate.code, self._gates)
            found.append((row.number, gate, row))
        found.sort(key=_FIRST)
        key: list[int] = []
        values: list[str] = []
        kinds: list[str] = []
        texts: list[str] = []
        enough, before = 0, -1
        for number, item, row in found:
            if number <= before:
                return None  # described nowhere, or told twice
            before = number
            if type(item) is ob3.Reached:
                level, points = item.level, item.points
                if type(level) is not int or not 0 <= level < len(row.levels):
                    return None
                if row.enough[level]:
                    enough += 1
                elif judge and self._needed is None:
                    return None
                values.append(row.levels[level])
                kinds.append(LEVELS)
                if points is not None:
                    values.append(number_text(Decimal(points) if isinstance(points, int) else points))
                    kinds.append(TEXTS)
                key.append(number * 8 + (points is not None))
            else:
                if judge and not self._is_met(number, bool(item.passed), item.value):
                    return None
                if item.value is not None:
                    texts.append(item.value)
                key.append(number * 8 + 4 + 2 * (item.value is not None) + bool(item.passed))
        if judge and enough < (self._rubrics if self._needed is None else self._needed):
            return None
        return Told(tuple(key), values, kinds, texts)

    def _row(self, code_id: Callable[[str, str], str], code: str, known: dict[str, Row]) -> Row:
        """Return what a code stands for; its number is -1 where it is described nowhere."""
        number = self._numbers.get(code_id(self._id, code), -1)
        if number < 0:
            return Row(number, [], [])
        levels = [level["id"] for level in self._described[number].get("rubricCriterionLevel", [])]
        row = known[code] = Row(number, levels, [self._asked(number, achievedLevel=level) for level in levels])
        return row

    def _is_met(self, number: int, passed: bool, value: str | None) -> bool:
        key = (number, passed, value)
        met = self._met.get(key)
        if met is None:
            if len(self._met) >= MOST_KEPT:
                self._met.clear()
            told = {} if value is None else {"value": value}
            met = self._met[key] = self._asked(number, status="Completed" if passed else "Failed", **told)
        return met

    def _asked(self, number: int, **told: str) -> bool:
        try:
            return ob3.check_result({"resultDescription": self._described[number]["id"], **told}, self._by_id)
        except CredentialHeldBack:
            return False


_FIRST = itemgetter(0)
instant = functools.lru_cache(maxsize=256)(ob3.instant)


# -- the stamp --------------------------------------------------------------------------------------------------


class Group:
    """The statements about one subject, or about several whose order is known, in `runs` one after the other.

    Those of a run of several are put in order once the values are known."""

    def __init__(self, subject: Pattern, lines: Iterable[Pattern]) -> None:
        self.subject = subject
        self.runs: list[list[Pattern]] = []
        of_predicate: dict[str, list[Pattern]] = {}
        for line in dict.fromkeys(lines):
            of_predicate.setdefault(_predicate_of(line), []).append(line)
        for _, same in sorted(of_predicate.items()):
            ordered = _ordered(same)
            self.runs += [same] if ordered is None else [[line] for line in ordered]

    def told(self) -> list[list[Pattern]]:
        """Return the runs with those of one line put together."""
        told: list[list[Pattern]] = []
        for run in self.runs:
            if told and len(run) == len(told[-1]) == 1:
                told[-1] = [joined([*told[-1], *run], "")]
            else:
                told.append(run)
        return told


def _together(groups: list[Group], alone: Iterable[str]) -> tuple[list[Group], Pattern | None]:
    """Put into one group, and first, what is said of the credential and of its parts: of most subjects that vary.

    Their names begin with its own, and nothing that is `alone` (fixed) begins so; what else must not, is returned."""
    own = [group for group in groups if len(group.subject.parts) == 2 and group.subject.places == (CREDENTIAL_ID,)]
    begins = next((group.subject.parts[0] for group in own if group.subject.parts[1] == ">"), None)
    own = [group for group in own if group.subject.parts[0] == begins]
    ordered = _ordered([group.subject for group in own])
    if begins is None or ordered is None or any(subject.startswith(begins) for subject in alone):
        return groups, None
    own.sort(key=lambda group: ordered.index(group.subject))
    one = Group(own[0].subject, [])
    one.runs = [run for group in own for run in group.runs]
    return [one, *(group for group in groups if group not in own)], Pattern([begins, ""], [CREDENTIAL_ID])


def _ordered(patterns: list[Pattern]) -> list[Pattern] | None:
    """Return patterns in the order of whatever they are filled with; None where that depends on the values."""
    if any(_compared(one, two) is None for one, two in itertools.combinations(patterns, 2)):
        return None
    return sorted(patterns, key=functools.cmp_to_key(_in_turn))


def _in_turn(one: Pattern, two: Pattern) -> int:
    return _compared(one, two) or 0


def _compared(one: Pattern, two: Pattern) -> int | None:
    """Return -1, 0 or 1 as the filled patterns would compare whatever the values are; None where these decide."""
    for number, (here, there) in enumerate(zip(one.parts, two.parts, strict=False)):
        if here != there:
            shorter = min(len(here), len(there))
            if here[:shorter] == there[:shorter]:
                return None  # what one goes on with is a value of the other
            return -1 if here < there else 1
        ends = (number == len(one.places), number == len(two.places))
        if all(ends):
            return 0
        if any(ends) or one.places[number] != two.places[number]:
            return None
    return None


class Stamp:
    """All that editions with the same members share, ready to be printed with the values of one."""

    def __init__(
        self, json: Pattern, fixed: Iterable[str], lines: Iterable[Pattern], nodes: Sequence[str | Pattern], values: int
    ) -> None:
        """`fixed` and `lines` are the N-Quads without places and with, each with its line's end.

        The places of blank nodes come after those of the `values`; `nodes` has of each its first-degree hash, or the
        pattern of its quads."""
        self._json = json
        self._nodes = tuple(node if isinstance(node, str) else _Node(node) for node in nodes)
        self._names = [b"_:c14n%d" % number for number in range(len(nodes))]
        self._names = [b"_:c14n%d" % number for number in range(len(nodes))]
        of_subject: dict[Pattern, list[Pattern]] = {}
        for line in lines:
            of_subject.setdefault(_subject_of(line), []).append(line)
        alone: dict[str, list[str]] = {}
        for text in fixed:
            subject = Pattern([text.split(" ", 1)[0]], [])
            if subject in of_subject:
                of_subject[subject].append(Pattern([text], []))
            else:
                alone.setdefault(subject.parts[0], []).append(text)
        groups, begins = _together([Group(subject, lines) for subject, lines in of_subject.items()], alone)
        sheet = _Sheet()
        self._begins = sheet.add(begins) if begins is not None else None
        self._named: list[tuple[slice, _Block]] = []
        self._blank: list[tuple[int, _Block]] = []
        for group in groups:
            block = _Block(group, sheet)
            if group.subject.parts == ("", ""):  # a label and nothing more: an IRI has its <>
                self._blank.append((group.subject.places[0] - values, block))
            else:
                self._named.append((sheet.add(group.subject), block))
        self._sheet = sheet.pattern()
        self._subjects = [name.encode() for name in sorted(alone)]
        self._offsets = [0]
        self._fixed = b""
        for name in sorted(alone):
            self._fixed += "".join(sorted(set(alone[name]))).encode()
            self._offsets.append(len(self._fixed))
        self._begun: dict[int, Any] = {}

    def print(self, values: list[str]) -> tuple[bytes, bytes] | None:
        """Return the compact JSON and the SHA-256 of the canonical N-Quads; None for values that need the long way."""
        utf8 = [value.encode() for value in values]
        labels = self._labels(utf8)
        if labels is None:
            return None
        filled = self._sheet.filled_utf8([*utf8, *labels, b""])
        pieces: list[bytes] = []
        first = at = 0
        named = [(b"".join(filled[subject]), block) for subject, block in self._named]
        if self._begins is not None:
            begins = b"".join(filled[self._begins])
            for subject, _ in named[1:]:
                if subject.startswith(begins):
                    return None
        named.sort(key=_FIRST)  # bytes of UTF-8 have the order of code points, which is the standard's
        before = b""
        for subject, block in named:
            place = bisect_left(self._subjects, subject)
            if subject == before or (place < len(self._subjects) and self._subjects[place] == subject):
                return None  # it has come to be the same as another
            offset = self._offsets[place]
            if offset > at:
                if pieces:
                    pieces.append(self._fixed[at:offset])
                else:
                    first = offset
                at = offset
            pieces.append(block.of(filled))
            before = subject
        pieces.append(self._fixed[at:])
        blank = [(labels[number], block) for number, block in self._blank]
        blank.sort(key=_FIRST)
        pieces += [block.of(filled) for _, block in blank]
        digest = self._begin(first)
        digest.update(b"".join(pieces))
        return self._json.fill_utf8(utf8), digest.digest()

    def _labels(self, values: list[bytes]) -> list[bytes] | None:
        """Return the blank nodes' labels; None where first-degree hashes do not tell all of them apart."""
        hashes = [node if isinstance(node, str) else node.first_degree(values) for node in self._nodes]
        ordered = sorted(hashes)
        if any(map(eq, ordered, ordered[1:])):
            return None
        return [self._names[ordered.index(each)] for each in hashes]

    def _begin(self, offset: int) -> Any:
        """Return SHA-256 begun with what stands before every value."""
        if offset not in self._begun:
            self._begun[offset] = hashlib.sha256(self._fixed[:offset])
        return self._begun[offset].copy()


class _Block:
    """The statements of a group, each run by its slices of the sheet."""

    def __init__(self, group: Group, sheet: _Sheet) -> None:
        self._runs = [[sheet.add(line) for line in run] for run in group.told()]
        self._only = self._runs[0][0] if len(self._runs) == len(self._runs[0]) == 1 else None

    def of(self, filled: list[bytes]) -> bytes:
        if self._only is not None:
            return b"".join(filled[self._only])
        block: list[bytes] = []
        for run in self._runs:
            if len(run) == 1:
                block += filled[run[0]]
            else:  # the same statement twice is one: RDF has sets
                block += sorted({b"".join(filled[line]) for line in run})
        return b"".join(block)


class _Sheet:
    """Patterns that are filled at once, each to be found again by its slice of what comes out.

    Cutting up a whole text would take as long as filling it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._places: list[int] = []

    def add(self, pattern: Pattern) -> slice:
        if self._parts:
            self._places.append(NOTHING)
        start = 2 * len(self._parts)
        self._parts += pattern.parts
        self._places += pattern.places
        return slice(start, start + 2 * len(pattern.parts) - 1)

    def pattern(self) -> Pattern:
        return Pattern(self._parts or [""], self._places)


class _Node:
    """A blank node whose first-degree hash depends on values."""

    def __init__(self, quads: Pattern) -> None:
        ordered = _ordered(quads.split("\n"))
        self._ordered = ordered is not None
        self._quads = quads if ordered is None else joined([*ordered, Pattern([""], [])], "\n")

    def first_degree(self, values: list[bytes]) -> str:
        filled = self._quads.fill_utf8(values)
        return hashlib.sha256(filled).hexdigest() if self._ordered else first_degree(filled.decode())


def first_degree(quads: str) -> str:
    """Return RDFC-1.0's first-degree hash of quads in which the node is _:a and every other one _:z."""
    return hashlib.sha256("".join(f"{quad}\n" for quad in sorted(quads.split("\n"))).encode()).hexdigest()


def _subject_of(line: Pattern) -> Pattern:
    """Return what stands before a statement's first space: no IRI and no label has one."""
    for number, part in enumerate(line.parts):
        if " " in part:
            return Pattern([*line.parts[:number], part.split(" ", 1)[0]], line.places[:number])
    raise ValueError("a statement without a space")


def _predicate_of(line: Pattern) -> str:
    """Return a statement's predicate, which is a term of the contexts and so never a value."""
    part = next(part for part in line.parts if " " in part)
    _, predicate, *rest = part.split(" ", 2)
    if not rest:
        raise ValueError("a value within a predicate")
    return predicate


# -- learning ---------------------------------------------------------------------------------------------------

Split = tuple[Key, list[str]]


@dataclass(frozen=True, slots=True)
class Learnt:
    """How the strings of a credential of one shape are made of the values of `Taken`, whose kinds are `kinds`."""

    key: Key
    strings: list[Pattern]
    kinds: list[str]

    def is_iri(self, place: int) -> bool:
        """Tell whether a string is an IRI whatever the values are, given that the sample's is."""
        string = self.strings[place]
        kinds = {self.kinds[number] for number in string.places}
        return kinds <= {WORDS} or (string.parts == ("", "") and kinds <= {IRIS, LEVELS})


def marked(facts: ob3.EditionFacts) -> ob3.EditionFacts:
    """Return the same facts with a mark in place of each word, number and time: what no text holds by chance."""

    def mark() -> str:
        return f"x{secrets.token_hex(16)}x"

    def number() -> int:
        return secrets.randbelow(9 * 10**17) + 10**17

    def moment(given: datetime | None) -> datetime | None:
        return given and datetime(5000, 1, 1, tzinfo=UTC) + timedelta(seconds=secrets.randbelow(10**11))

    def text(given: str | None) -> Any:
        return mark() if given else given

    return dataclasses.replace(
        facts,
        credential_id=mark(),
        subject_id=f"urn:{mark()}",
        valid_from=moment(facts.valid_from) or facts.valid_from,
        valid_until=moment(facts.valid_until),
        started=moment(facts.started),
        ended=moment(facts.ended),
        status_list=number(),
        status_index=number(),
        name=text(facts.name),
        course=text(facts.course),
        term=text(facts.term),
        narrative=text(facts.narrative),
        licence_number=text(facts.licence_number),
        terms_url=f"https://{mark()}.example/" if facts.terms_url else "",
        email=ob3.HashedEmail(mark(), mark()) if facts.email else facts.email,
        evidence=tuple(
            dataclasses.replace(
                piece,
                name=mark(),
                url=f"https://{mark()}.example/" if piece.url else "",
                **{name: mark() for name in EVIDENCE if getattr(piece, name)},
            )
            for piece in facts.evidence
        ),
        reached=tuple(
            each._replace(points=Decimal(number()) if each.points is not None else None) for each in facts.reached
        ),
        gates=tuple(each._replace(value=mark() if each.value is not None else None) for each in facts.gates),
    )


def learnt(
    facts: ob3.EditionFacts, taking: Taking, build: Callable[[ob3.EditionFacts], Json], split: Callable[[Json], Split]
) -> Learnt | None:
    """Return, for each string of a credential, how it is made of its facts; None where that cannot be told.

    `build` makes a credential of facts, `split` takes its strings out (`canonical.split`)."""
    sample, marks = taking.take(facts), marked(facts)
    told = taking.take(marks, judge=False)
    if sample is None or told is None or (sample.key, sample.kinds) != (told.key, told.kinds):
        return None
    document = build(marks)
    # A level has to be one of the badge's to be found at all, so its mark is put in afterwards.
    levels = [number for number, kind in enumerate(told.kinds) if kind == LEVELS]
    reached = [each for each in document["credentialSubject"].get("result", ()) if "achievedLevel" in each]
    if [each["achievedLevel"] for each in reached] != [told.values[number] for number in levels]:
        return None
    for number, result in zip(levels, reached, strict=True):
        told.values[number] = result["achievedLevel"] = f"urn:x{secrets.token_hex(16)}x"
    key, strings = split(document)
    mark = re.compile(f"({'|'.join(map(re.escape, told.values))})")
    numbers = {value: number for number, value in enumerate(told.values)}
    made = []
    for string in strings:
        parts = mark.split(string)
        made.append(Pattern(parts[::2], [numbers[each] for each in parts[1::2]]))
    return Learnt(key, made, told.kinds)
