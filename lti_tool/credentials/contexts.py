"""JSON-LD with pinned contexts: they come with a pinned package, are checked by digest, and nothing is ever fetched."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pyoxigraph
from pyld import jsonld
from pyld.context_resolver import ContextResolver

from lti_tool.errors import ConfigurationError, CredentialHeldBack

VC = "https://www.w3.org/ns/credentials/v2"
OB = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
OB_EXTENSIONS = "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json"
CREDENTIAL_CONTEXTS = (VC, OB, OB_EXTENSIONS)

# File in openbadgeslib/ob3/contexts and its SHA-256. A context decides what a signature covers, so another text under
# the same address is another language: the digest is checked, not the package's version.
PINNED = {
    VC: ("credentials-v2.json", "59955ced6697d61e03f2b2556febe5308ab16842846f5b586d7f1f7adec92734"),
    OB: ("ob-v3p0-context-3.0.3.json", "3d34f4d4ef1bce691106e63798beb5e7b862ba841423f5ee1e53ab7ddf3bca84"),
    OB_EXTENSIONS: ("ob-v3p0-extensions.json", "87c06c81bc2317663bf288d740d94fddd2818c4342b186270ff6371dfaa63f93"),
    # The rest is met in credentials of others, which the verifier reads.
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.1.json": (
        "ob-v3p0-context-3.0.1.json",
        "5f3d9dd6288ef437ff8286cf95ffbff609c748a66f24a1e9450c45ca64be1571",
    ),
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.2.json": (
        "ob-v3p0-context-3.0.2.json",
        "00666ad080ba407687ed1846b7f5e7495f5019042b202a727de47c48a1755c53",
    ),
    "https://w3id.org/security/data-integrity/v2": (
        "security-data-integrity-v2.json",
        "67f21e6e33a6c14e5ccfd2fc7865f7474fb71a04af7e94136cb399dfac8ae8f4",
    ),
    "https://w3id.org/security/multikey/v1": (
        "security-multikey-v1.json",
        "ba2c182de2d92f7e47184bcca8fcf0beaee6d3986c527bf664c195bbc7c58597",
    ),
    "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json": (
        "clr_context_2.0.1.json",
        "880f1902d4158f2f33ce06af41b90719977cd1ea337a9de2e41edb3ff5e543d6",
    ),
}

# The same in pyld/documentloader/frozen/bundled: credentials from before VCDM 2.0 are written in these.
PINNED_OLDER = {
    "https://www.w3.org/2018/credentials/v1": (
        "credentials-v1.jsonld",
        "00d7dd6d3ad8b920e3e550dd3a3d9090bffcac84cdbf943da6924b3e0a5c8bb8",
    ),
    "https://w3id.org/security/suites/ed25519-2020/v1": (
        "security-ed25519-2020-v1.jsonld",
        "b9e1ab971fd8bf2c7553e0c4a9438e0b9450afde1ea1ca5b2492368b9f549588",
    ),
}

# RFC 3987 with what N-Quads forbids inside <>: no spaces, controls, or <>"{}|^`\
ABSOLUTE_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f-\x9f<>\"{}|^`\\]*")

# PyLD resolves a relative IRI, and with it any undefined type, against http://example.org/base/ when it is given no
# base or an empty one (pyld 3.3.0, jsonld.py: DEFAULT_BASE_IRI). Resolved against this they can be told.
RELATIVE = f"x-relative-{secrets.token_hex(8)}:"

XSD_STRING = "http://www.w3.org/2001/XMLSchema#string"
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")

MOST_RESOLVED = 1000  # scoped contexts kept by a thread; the pinned ones have some hundred
MOST_ACTIVE = 200  # contexts in force kept by a thread; a credential of ours has some forty

ESCAPED = {code: f"\\u{code:04X}" for code in (*range(0x20), 0x7F)} | str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)
TO_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f]')

Json = dict[str, Any]

# PyLD keeps resolved contexts in one cache for the process, and that cache is not safe among threads (pyld 3.3.0,
# context_resolver.py: a plain LRUCache). Each thread has its own.
_of_thread = threading.local()


class ContextNotPinned(CredentialHeldBack):
    """A document names a context (or anything else to fetch) that is not pinned: `address`."""

    reason = "context_not_pinned"

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"context is not pinned: {address!r}")


@functools.cache
def load_context(url: str) -> Json:
    """Return a pinned context; raises ContextNotPinned for any other address, compared exactly."""
    if url in PINNED:
        package, (name, digest) = "openbadgeslib.ob3.contexts", PINNED[url]
    elif url in PINNED_OLDER:
        package, (name, digest) = "pyld.documentloader.frozen.bundled", PINNED_OLDER[url]
    else:
        raise ContextNotPinned(url)
    content = resources.files(package).joinpath(name).read_bytes()
    return check_context(name, content, digest)


def check_context(name: str, content: bytes, digest: str) -> Json:
    """Return a context's JSON; raises ConfigurationError where its SHA-256 is not `digest`."""
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ConfigurationError(
            f"The JSON-LD context {name} is not the one this version signs with (SHA-256 {found}, expected {digest}). "
            "Install the packages of the lock file again: make setup"
        )
    context: Json = json.loads(content)
    return context


def load_document(url: str, options: object = None) -> Json:
    """Answer PyLD's request for a document from the pinned contexts alone."""
    return {"contextUrl": None, "documentUrl": url, "document": load_context(url), "tag": "static"}


def context_resolver() -> ContextResolver:
    """Return what resolves contexts in this thread; PyLD's own would share a cache that two threads break."""
    if not hasattr(_of_thread, "contexts"):
        _forget_contexts()
    return _Resolver(_of_thread.contexts, load_document)


def _forget_contexts() -> None:
    _of_thread.contexts, _of_thread.resolved, _of_thread.active = {}, {}, {}


class _Resolver(ContextResolver):
    """PyLD's, which writes a scoped context as canonical JSON each time it meets it, to know it again."""

    def resolve(self, active_ctx: Any, context: Any, base: Any, cycles: Any = None) -> Any:
        if not isinstance(context, dict):
            return super().resolve(active_ctx, context, base, cycles)
        kept: dict[int, tuple[Any, Any]] = _of_thread.resolved
        known = kept.get(id(context))
        if known is None or known[0] is not context:
            if len(kept) >= MOST_RESOLVED:
                kept.clear()
            known = kept[id(context)] = (context, super().resolve(active_ctx, context, base, cycles))
        return known[1]


class _Expanded(list[Any]):
    """What has been expanded already."""


class _Processor(jsonld.JsonLdProcessor):
    """PyLD's, which expands whatever it turns into RDF, expanded or not, and defines the terms of a type anew for each
    node that has it: it knows a context in force by a number that it draws for each of them."""

    def expand(self, input_: Any, options: Any) -> Any:
        return list(input_) if isinstance(input_, _Expanded) else super().expand(input_, options)

    def _process_context(self, active_ctx: Any, local_ctx: Any, options: Any, *args: Any, **more: Any) -> Any:
        """Return what is in force inside of a scoped context: the same for the same two, which nobody changes."""
        if args or more.get("cycles") is not None or not isinstance(local_ctx, dict):
            return super()._process_context(active_ctx, local_ctx, options, *args, **more)
        kept: dict[tuple[Any, ...], tuple[Any, Any, Any]] = _of_thread.active
        key = (id(active_ctx), id(local_ctx), *more.items())
        known = kept.get(key)
        if known is None:
            if len(kept) >= MOST_ACTIVE:
                kept.clear()
            made = super()._process_context(active_ctx, local_ctx, options, **more)
            known = kept[key] = (active_ctx, local_ctx, made)  # both are held, so that their ids stay theirs
        return known[2]


def expand(document: Json) -> list[Any]:
    """Expand a document, dropping nothing.

    Raises CredentialHeldBack for a term no context defines, and for whatever else has no place in RDF: a relative IRI
    or type, an IRI with a space, a member that is a blank node. PyLD has no safe mode: it drops or invents these, so
    a signature says nothing of them, and strict verifiers refuse the credential
    (https://www.w3.org/TR/vc-data-integrity/#context-validation)."""
    expanded: list[Any] = _process(lambda processor, options: processor.expand(document, options))
    for iri in _iris(expanded):
        _check_iri(iri)
    _check_names(document)
    return expanded


def nquads(document: Json) -> str:
    """Return the document's RDF as N-Quads, blank nodes labelled as they come. Raises as `expand` does.

    PyLD's own writer puts IRIs between <> unchecked: an `id` that holds >, < or a line's end writes statements of its
    own, or takes some away, and so could carry a foreign text under a good signature (seen with pyld 3.3.0)."""
    return nquads_of(dataset(document))


def dataset(document: Json) -> Json:
    """Return the document's RDF as PyLD holds it. Raises as `expand` does."""
    expanded = _Expanded(expand(document))
    statements: Json = _process(lambda processor, options: processor.to_rdf(expanded, options))
    return statements


def nquads_of(statements: Json) -> str:
    """Write what `dataset` returns as N-Quads, see there and `nquads`."""
    lines: list[str] = []
    for graph, triples in statements.items():
        end = "" if graph == "@default" else " " + _resource(graph)
        for triple in triples:
            subject, predicate = _resource(triple["subject"]["value"]), _resource(triple["predicate"]["value"])
            lines.append(f"{subject} {predicate} {_thing(triple['object'])}{end} .\n")
    return "".join(lines)


def _thing(thing: Json) -> str:
    if thing["type"] != "literal":
        return _resource(thing["value"])
    text = f'"{escaped(thing["value"])}"'
    if language := thing.get("language"):
        if not LANGUAGE.fullmatch(language):
            raise CredentialHeldBack(f"not a language: {language!r}")
        return f"{text}@{language}"
    return text if thing["datatype"] == XSD_STRING else f"{text}^^{_resource(thing['datatype'])}"


def _resource(name: str) -> str:
    if name.startswith("_:"):
        return name
    _check_iri(name)
    return f"<{name}>"


def _check_iri(iri: str) -> None:
    if iri.startswith(RELATIVE):
        raise CredentialHeldBack(f"a relative IRI or undefined type: {iri.removeprefix(f'{RELATIVE}//x/')}")
    if not ABSOLUTE_IRI.fullmatch(iri):
        raise CredentialHeldBack(f"not an absolute IRI: {iri!r}")


def _check_names(node: Any) -> None:
    """Refuse an id or a type of the form @word: JSON-LD ignores it, as a keyword of the future."""
    if isinstance(node, list):
        for item in node:
            _check_names(item)
    elif isinstance(node, dict):
        for member, value in node.items():
            if member in ("id", "@id", "type", "@type"):
                names = value if isinstance(value, list) else [value]
                if any(isinstance(name, str) and name.startswith("@") for name in names):
                    raise CredentialHeldBack(f"a name kept for keywords: {value!r}")
            elif member != "@context":
                _check_names(value)


def escaped(text: str) -> str:
    """Return a literal's text as canonical N-Quads write it: https://www.w3.org/TR/rdf-canon/#canonical-quads"""
    return text.translate(ESCAPED) if TO_ESCAPE.search(text) else text


def is_iri(text: str) -> bool:
    """Tell whether a text is an absolute IRI to the letter of RFC 3987, so that no verifier stumbles over it."""
    try:
        return bool(ABSOLUTE_IRI.fullmatch(text)) and bool(pyoxigraph.NamedNode(text))
    except ValueError:
        return False


def canonical_nquads(document: Json) -> str:
    """Return the document's canonical N-Quads (RDFC-1.0, https://www.w3.org/TR/rdf-canon/)."""
    return canonical_of_nquads(nquads(document))


def canonical_of_nquads(text: str) -> str:
    """Return the canonical form of N-Quads whose blank nodes are labelled anyhow."""
    try:
        # lenient: others' IRIs need not be to the letter (a stray % or [), and JSON-LD verifiers take them as they are
        quads = pyoxigraph.parse(text.encode(), format=pyoxigraph.RdfFormat.N_QUADS, lenient=True)
        dataset = pyoxigraph.Dataset(quads)
    except (SyntaxError, UnicodeEncodeError) as error:
        raise CredentialHeldBack(f"not N-Quads: {error}") from error
    dataset.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
    # Not splitlines(): a literal may hold U+2028 or U+0085, which N-Quads writes as they are.
    return "".join(sorted(f"{quad} .\n" for quad in dataset))


def _process(work: Callable[[Any, Json], Any]) -> Any:
    """Run one operation of a JSON-LD processor that drops nothing and fetches nothing."""
    dropped: list[str | None] = []
    processor = _Processor(on_property_dropped=dropped.append)
    try:
        options = {"base": f"{RELATIVE}//x/", "documentLoader": load_document, "contextResolver": context_resolver()}
        done = work(processor, options)
    except (jsonld.JsonLdError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # pyld 3.3.0 answers some malformed documents with Python's own errors.
        _forget_contexts()
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, CredentialHeldBack | ConfigurationError):
                raise cause from error
            cause = cause.__cause__
        what = (error.code or error.type) if isinstance(error, jsonld.JsonLdError) else type(error).__name__
        raise CredentialHeldBack(f"not JSON-LD: {what}") from error
    if dropped:
        raise CredentialHeldBack(f"terms that no context defines: {', '.join(sorted(set(map(str, dropped))))}")
    return done


def _iris(node: Any) -> Iterator[str]:
    """Yield each property, and each @id and @type of nodes and values, blank nodes aside (no property may be one)."""
    if isinstance(node, list):
        for item in node:
            yield from _iris(item)
        return
    if not isinstance(node, dict):
        return
    types = node.get("@type", [])
    for iri in [node.get("@id"), *(types if isinstance(types, list) else [types])]:
        if iri is not None and iri != "@json" and not iri.startswith("_:"):
            yield iri
    for key, value in node.items():
        if not key.startswith("@"):
            yield key
        if key not in ("@id", "@type", "@value"):
            yield from _iris(value)
