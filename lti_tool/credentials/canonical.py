"""The fast way to the same bytes: an edition's canonical N-Quads from a template, without expanding JSON-LD again.

All editions of one badge version that have the same members (name or none, two pieces of evidence or none …) have the
same RDF but for their strings. The first of a shape is expanded by PyLD and checked in full; its strings become
places, and later ones put theirs in, label the few blank nodes, sort the lines, and hash.

Blank nodes are labelled by RDFC-1.0's first-degree hash, which is exact while no two hashes are equal
(https://www.w3.org/TR/rdf-canon/#hash-1d-quads); where two are, pyoxigraph labels them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import Any

from pyld import jsonld

from lti_tool.credentials import ob3, stamp
from lti_tool.credentials.contexts import (
    CREDENTIAL_CONTEXTS,
    canonical_of_nquads,
    context_resolver,
    dataset,
    escaped,
    is_iri,
    load_document,
    nquads,
    nquads_of,
)
from lti_tool.credentials.self_check import check_whole
from lti_tool.credentials.signing import Signed, compact, data_integrity, vc_jwt
from lti_tool.credentials.stamp import Pattern, first_degree
from lti_tool.domain.badge import Badge
from lti_tool.errors import CredentialHeldBack
from lti_tool.keyring import Key

QUAD = re.compile(r"(<[^>]*>|_:\S+) (<[^>]*>) (<[^>]*>|_:\S+|\".*\"(?:\^\^<[^>]*>|@\S+)?)(?: (<[^>]*>|_:\S+))? \.")

# Members whose values are terms of the contexts, so that another value is other RDF and not another string.
TERMS = frozenset({"@context", "type"})

# The same in all editions of a template, so never looked into.
FIXED = frozenset({"issuer", "achievement", "credentialSchema"})

# Signed documents inside the credential: other ones make another shape, and nothing in them is a place. A proof is a
# graph of its own, so only these have quads with a fourth term.
SEALED = frozenset({"endorsement"})

MOST_SHAPES = 256  # kept per template; one takes about 100 kB

Json = dict[str, Any]

NO_NAMES: Mapping[str, str] = MappingProxyType({})


class EditionTemplate:
    """One badge version ready to be issued. Make it once per version and issuer, and keep it: it learns shapes.

    `needed` is how many sub-competencies must stand at their required level (`Badge.needed`); none given: all."""

    def __init__(self, achievement: Json, issuer: ob3.IssuerProfile, *, needed: int | None = None) -> None:
        self.achievement = achievement
        self.issuer = issuer
        self.needed = needed
        self._shapes: dict[tuple[Any, ...], Shape] = {}
        self._taking = stamp.Taking(achievement, needed)
        self._stamps: dict[tuple[Any, ...], stamp.Stamp | None] = {}  # None: editions like this go the long way

    def sign(self, facts: ob3.EditionFacts, *, ed25519: Key, rsa: Key, created: datetime) -> Signed:
        """Check, build and sign one edition; byte for byte what `signing.sign(ob3.credential(…))` gives.

        Raises CredentialHeldBack for facts that do not earn the badge or a text that cannot be signed."""
        head, text, digest = self.written(facts)
        return Signed(data_integrity(head, text, digest, ed25519, created), vc_jwt(head, text, rsa))

    def sign_document(self, facts: ob3.EditionFacts, *, ed25519: Key, created: datetime) -> bytes:
        """Do the same with Data Integrity alone."""
        return data_integrity(*self.written(facts), ed25519, created)

    def prepare(self, facts: ob3.EditionFacts) -> tuple[Json, bytes, bytes]:
        """Return the checked, unsigned credential, its compact JSON, and the SHA-256 of its canonical N-Quads."""
        _, text, digest = self.written(facts)
        return ob3.credential(self.achievement, self.issuer, facts), text, digest

    def written(self, facts: ob3.EditionFacts) -> tuple[Json, bytes, bytes]:
        """Return the same with no more of the credential than its signatures name."""
        taken = self._taking.take(facts)
        known = self._stamps.get(taken.key) if taken is not None else None
        if taken is not None and known is not None and (printed := known.print(taken.values)) is not None:
            return self._head(facts), *printed
        credential, text, digest = self._the_long_way(facts)
        if taken is not None and taken.key not in self._stamps:
            made = self._stamp(facts)
            if len(self._stamps) >= MOST_SHAPES:
                self._stamps.clear()
            # One that does not print what the long way has just written is not used.
            self._stamps[taken.key] = made if made is not None and made.print(taken.values) == (text, digest) else None
        return credential, text, digest

    def _head(self, facts: ob3.EditionFacts) -> Json:
        head: Json = {
            "@context": CREDENTIAL_CONTEXTS,
            "id": ob3.credential_address(self.issuer.base_url, facts.credential_id),
            "issuer": self.issuer.did,
            "validFrom": stamp.instant(facts.valid_from),
            "credentialSubject": {"id": facts.subject_id},
        }
        if facts.valid_until is not None:
            head["validUntil"] = stamp.instant(facts.valid_until)
        return head

    def _the_long_way(self, facts: ob3.EditionFacts) -> tuple[Json, bytes, bytes]:
        credential = ob3.credential(self.achievement, self.issuer, facts)
        checked = credential
        if not facts.include_results:
            # The invariants hold for what was decided, told in the credential or not.
            told = dataclasses.replace(facts, include_results=True)
            checked = ob3.credential(self.achievement, self.issuer, told)
        ob3.check_links(checked, needed=self.needed)
        return self.encode(credential)

    def encode(self, credential: Json) -> tuple[Json, bytes, bytes]:
        """Return a credential of this template with its compact JSON and the SHA-256 of its canonical N-Quads."""
        shape, values = self.shape(credential)
        return credential, shape.json_text(values).encode(), sha256_of(shape.canonical(values))

    def shape(self, credential: Json) -> tuple[Shape, list[str]]:
        """Return a credential's shape, learning it where it is new, and its strings."""
        key, values = split(credential)
        shape = self._shapes.get(key)
        if shape is None:
            shape = _learn(credential, values)
            _check_shape(shape, credential, values)
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = shape
        return shape, values

    def _stamp(self, facts: ob3.EditionFacts) -> stamp.Stamp | None:
        """Return what prints editions like this one; None where it cannot be told how their texts come about."""

        def build(told: ob3.EditionFacts) -> Json:
            return ob3.credential(self.achievement, self.issuer, told)

        try:
            learnt = stamp.learnt(facts, self._taking, build, split)
            shape = self._shapes.get(learnt.key) if learnt is not None else None
            return shape.stamp(learnt) if learnt is not None and shape is not None else None
        except (CredentialHeldBack, ValueError, ArithmeticError):  # marks are no words that every member takes
            return None


def sha256_of(canonical: str) -> bytes:
    return hashlib.sha256(canonical.encode()).digest()


def check_template(template: EditionTemplate, badge: Badge) -> None:
    """Check a version as a strict verifier would, before anything of it is issued: once plain, once with everything.

    Links resolve, no term is dropped, no IRI is relative, and the template's canonical form is PyLD's. The first
    edition of any further shape passes the same checks when it is made. Raises CredentialHeldBack."""
    for facts in sample_facts(template.achievement, badge):
        template.prepare(facts)


def sample_facts(achievement: Json, badge: Badge) -> tuple[ob3.EditionFacts, ob3.EditionFacts]:
    """Return facts of a learner who stands exactly at each required level: pseudonymous, and with all there can be."""
    reached = tuple(
        ob3.Reached(sub.code, sub.required_index, sub.levels[sub.required_index].points)
        for sub in badge.sub_competencies
    )
    gates = [ob3.GateResult(gate.code, gate.required or None) for gate in badge.gates]
    if badge.stack:
        described = {description["id"] for description in achievement.get("resultDescription", [])}
        members = [slug for slug in badge.stack.members if ob3.gate_id(achievement["id"], slug) in described]
        gates += [ob3.GateResult(slug) for slug in members]
    plain = ob3.EditionFacts(
        credential_id=ob3.new_credential_id(),
        subject_id="urn:uuid:00000000-0000-4000-8000-000000000000",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        status_list=1,
        status_index=1,
        reached=reached,
        gates=tuple(gates),
    )
    salt = ob3.new_salt()
    everything = dataclasses.replace(
        plain,
        valid_until=datetime(2029, 1, 1, tzinfo=UTC),
        name='Zoë "Z" 🎓\n',
        email=ob3.HashedEmail(salt, ob3.identity_hash("learner@example.org", salt)),
        course="Course",
        term="Term",
        evidence=(ob3.Evidence("Evidence", "https://example.org/evidence", "d", "n", "g", "a"), ob3.Evidence("Second")),
        started=datetime(2025, 9, 1, tzinfo=UTC),
        ended=datetime(2026, 1, 1, tzinfo=UTC),
        narrative="In her own words.",
        renewable=True,
        terms_url="https://example.org/terms",
    )
    return plain, everything


@dataclass(frozen=True, slots=True)
class Shape:
    """What editions with the same members share.

    `iris` are the values that must be absolute IRIs. `fixed` are the N-Quads without a place, sorted; `ground` those
    with places, one a line; `blank` those with blank nodes, whose labels are places after the values. `nodes` has for
    each blank node its first-degree hash, or the pattern of its quads where that depends on values."""

    json: Pattern
    iris: tuple[int, ...]
    fixed: list[str]
    ground: Pattern
    blank: Pattern
    nodes: tuple[str | Pattern, ...]

    def json_text(self, values: list[str]) -> str:
        return self.json.fill([encode_basestring(value) for value in values])

    def canonical(self, values: list[str]) -> str:
        """Return the canonical N-Quads with these values. Raises CredentialHeldBack for an IRI that is not one."""
        for place in self.iris:
            if not is_iri(values[place]):
                raise CredentialHeldBack(f"not an absolute IRI: {values[place]!r}")
        if any(value.startswith("_:") for value in values):  # see stamp.CHANGED: not of this shape's first one alone
            raise CredentialHeldBack("a text that verifiers take for the label of a blank node")
        texts = [escaped(value) for value in values]
        lines = self.ground.fill(texts).split("\n")
        if self.nodes:
            hashes = [node if isinstance(node, str) else first_degree(node.fill(texts)) for node in self.nodes]
            if len(set(hashes)) < len(hashes):
                return canonical_of_nquads(self.nquads(values))
            rank = {value: place for place, value in enumerate(sorted(hashes))}
            labels = [f"_:c14n{rank[value]}" for value in hashes]
            lines += self.blank.fill(texts + labels).split("\n")
        lines += self.fixed
        if len(set(lines)) < len(lines):  # the same statement twice, when a value equals another: RDF is a set
            lines = list(set(lines))
        lines.sort()
        return "\n".join(lines) + "\n"

    def nquads(self, values: list[str]) -> str:
        """Return the N-Quads with these values, blank nodes labelled as they come."""
        texts = [escaped(value) for value in values]
        labels = [f"_:b{place}" for place in range(len(self.nodes))]
        return "\n".join([*self.fixed, self.ground.fill(texts), self.blank.fill(texts + labels)]) + "\n"

    def stamp(self, learnt: stamp.Learnt) -> stamp.Stamp | None:
        """Return the same with places for the values of facts; None where an IRI might come out as none."""
        if not all(learnt.is_iri(place) for place in self.iris):
            return None
        inner = dict(enumerate(learnt.strings))
        places = range(len(self.nodes))
        labels = {len(inner) + place: Pattern(["", ""], [len(learnt.kinds) + place]) for place in places}
        lines = [*self.ground.put(inner, escaped).split("\n"), *self.blank.put(inner | labels, escaped).split("\n")]
        return stamp.Stamp(
            self.json.put(inner, lambda text: encode_basestring(text)[1:-1], '"'),
            [f"{line}\n" for line in self.fixed],
            [stamp.joined([line, Pattern([""], [])], "\n") for line in lines if line.parts != ("",)],
            [node if isinstance(node, str) else node.put(inner, escaped) for node in self.nodes],
            len(learnt.kinds),
        )


def split(credential: Json) -> tuple[tuple[Any, ...], list[str]]:
    """Split a credential into its shape (everything but strings, in order) and its strings."""
    key: list[Any] = []
    values: list[str] = []
    _walk(credential, key, values)
    return tuple(key), values


def _walk(node: Any, key: list[Any], values: list[str]) -> None:
    if isinstance(node, str):
        key.append("")
        values.append(node)
    elif isinstance(node, dict):
        key.append("{")
        for member, value in node.items():
            key.append(member)
            if member in TERMS:
                key.append(str(value))
            elif member in SEALED:
                key.append(compact(value))
            elif member not in FIXED:
                _walk(value, key, values)
        key.append("}")
    elif isinstance(node, list):
        key.append("[")
        for item in node:
            _walk(item, key, values)
        key.append("]")
    else:
        key.append(repr(node))


def _with_places(node: Any, tokens: Iterator[str]) -> Any:
    """Return a credential with a token for each string that `_walk` takes out, in the same order."""
    if isinstance(node, str):
        return next(tokens)
    if isinstance(node, dict):
        kept = TERMS | FIXED | SEALED
        return {member: value if member in kept else _with_places(value, tokens) for member, value in node.items()}
    if isinstance(node, list):
        return [_with_places(item, tokens) for item in node]
    return node


def _learn(credential: Json, values: list[str]) -> Shape:
    """Expand one credential and turn its strings into places."""
    mark = f"urn:place:{secrets.token_hex(16)}:"  # an absolute IRI, since some places are; and in no text by chance
    in_quads, in_json = re.compile(rf"{mark}(\d+):"), re.compile(rf'"{mark}(\d+):"')
    document = _with_places(credential, (f"{mark}{place}:" for place in range(len(values))))
    quads = [_terms(line) for line in nquads(document).split("\n") if line]
    names = sorted({term for quad in quads for term in _named(quad) if term.startswith("_:")})
    labels = {name: f"{mark}{len(values) + place}:" for place, name in enumerate(names)}
    ground = [_quad(quad) for quad in quads if not any(term in labels for term in _named(quad))]
    blank = [_quad(quad, labels) for quad in quads if any(term in labels for term in _named(quad))]
    nodes: list[str | Pattern] = []
    for name in names:
        seen = {other: "_:a" if other == name else "_:z" for other in names}
        own = "\n".join(_quad(quad, seen) for quad in quads if name in _named(quad))
        nodes.append(_pattern(own, in_quads) if mark in own else first_degree(own))
    iris = {int(found[1]) for quad in quads for term in quad if (found := re.fullmatch(f"<{mark}(\\d+):>", term))}
    return Shape(
        json=_pattern(compact(document), in_json),
        iris=tuple(sorted(iris)),
        fixed=sorted(line for line in ground if mark not in line),
        ground=_pattern("\n".join(line for line in ground if mark in line), in_quads),
        blank=_pattern("\n".join(blank), in_quads),
        nodes=tuple(nodes),
    )


def _pattern(text: str, place: re.Pattern[str]) -> Pattern:
    parts = place.split(text)
    return Pattern(parts[::2], [int(each) for each in parts[1::2]])


def _terms(line: str) -> tuple[str, ...]:
    """Return subject, predicate and object, and the graph's name where the quad is in one."""
    found = QUAD.fullmatch(line)
    if not found:
        raise CredentialHeldBack(f"not a quad: {line}")
    return tuple(term for term in found.groups() if term is not None)


def _named(quad: tuple[str, ...]) -> tuple[str, ...]:
    """Return the terms that may be blank nodes: all but the predicate."""
    return (quad[0], *quad[2:])


def _quad(quad: tuple[str, ...], names: Mapping[str, str] = NO_NAMES) -> str:
    """Write a quad, blank nodes by these names where they have one."""
    return " ".join([names.get(quad[0], quad[0]), quad[1], *(names.get(term, term) for term in quad[2:]), "."])


def _check_shape(shape: Shape, credential: Json, values: list[str]) -> None:
    """Check the first credential of a shape as outsiders would, by slower and independent ways."""
    check_whole(credential)
    if shape.json_text(values) != compact(credential):
        raise CredentialHeldBack("the template writes another document")
    found = shape.canonical(values)
    statements = dataset(credential)  # expanded once: that is most of the work, and both canonicalisers read the same
    if found != canonical_of_nquads(nquads_of(statements)) or found != _canonical_by_pyld(statements):
        raise CredentialHeldBack("the template's canonical form is not the standard's")
    lines = found.rstrip("\n").split("\n")
    if lines != sorted(lines, key=lambda line: line.encode("utf-16-be", "surrogatepass")):
        # rdf-canonize 5.0 sorts by UTF-16 units where RDFC-1.0 asks for code points. They differ only between an
        # emoji and a character from U+E000 on, in two values of one set, and then its users refuse the signature.
        raise CredentialHeldBack("tags that verifiers sort differently: one has an emoji, another a full-width letter")


def _canonical_by_pyld(statements: Json) -> str:
    text: str = jsonld.URDNA2015().main(statements, {"format": "application/n-quads"})
    return text


def canonical_by_pyld(document: Json) -> str:
    """Return the canonical N-Quads by PyLD alone: the slow reference everything here is compared with."""
    options = {
        "algorithm": "URDNA2015",
        "format": "application/n-quads",
        "documentLoader": load_document,
        "contextResolver": context_resolver(),
    }
    text: str = jsonld.normalize(document, options)
    return text
