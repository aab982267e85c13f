"""JSON-LD with pinned contexts: nothing fetched, nothing dropped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import pytest

from lti_tool.credentials import ob3
from lti_tool.credentials.canonical import canonical_by_pyld
from lti_tool.credentials.contexts import (
    CREDENTIAL_CONTEXTS,
    PINNED,
    VC,
    ContextNotPinned,
    canonical_nquads,
    check_context,
    expand,
    is_iri,
    load_context,
    nquads,
)
from lti_tool.errors import ConfigurationError, CredentialHeldBack
from tests.credentials import examples


def document(**changes: Any) -> dict[str, Any]:
    return {**ob3.credential(examples.achievement(), examples.issuer(), examples.facts()), **changes}


def test_every_pinned_context_is_the_one_with_its_digest() -> None:
    for url in PINNED:
        assert "@context" in load_context(url)


def test_a_context_with_one_byte_more_stops_the_tool() -> None:
    name, digest = PINNED[VC]
    content = resources.files("openbadgeslib.ob3.contexts").joinpath(name).read_bytes()
    assert check_context(name, content, digest) == load_context(VC)
    with pytest.raises(ConfigurationError, match="make setup"):
        check_context(name, content + b" ", digest)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/context.json",
        "http://www.w3.org/ns/credentials/v2",
        "https://www.w3.org/ns/credentials/v2/",
        "https://purl.imsglobal.org/spec/ob/v3p0/context.json",
    ],
)
def test_a_context_that_is_not_pinned_is_refused(url: str) -> None:
    with pytest.raises(ContextNotPinned):
        expand(document(**{"@context": [*CREDENTIAL_CONTEXTS, url]}))


def test_i01_a_credential_with_everything_loses_nothing_in_expansion() -> None:
    expand(ob3.credential(examples.achievement(), examples.issuer(), examples.everything()))


@pytest.mark.parametrize("check", [expand, nquads, canonical_nquads])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gradeBook": "x"}, "gradeBook"),
        ({"evidence": [{"id": "urn:x:1", "type": ["Evidence"], "rating": 5}]}, "rating"),
        ({"evidence": [{"id": "video.mp4", "type": ["Evidence"]}]}, "video.mp4"),
        ({"evidence": [{"id": "//host/video", "type": ["Evidence"]}]}, "host/video"),
        ({"evidence": [{"id": "urn:x:1", "type": ["Evidance"]}]}, "Evidance"),
        ({"_:hidden": "x"}, "hidden"),
        ({"@hidden": "x"}, "terms"),
        ({"evidence": [{"id": "@hidden", "type": ["Evidence"]}]}, "hidden"),
        ({"evidence": [{"id": "urn:x:1", "type": ["Evidence", "@hidden"]}]}, "hidden"),
        ({"termsOfUse": [{"id": "../terms", "type": "IssuerPolicy"}]}, "terms"),
    ],
)
def test_i01_an_undefined_term_or_relative_address_is_refused_by_name(
    check: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(CredentialHeldBack, match=told):
        check(document(**changes))


@pytest.mark.parametrize(
    "changes", [{"@context": 5}, {"type": 5}, {"id": ["a", "b"]}, {"@context": {"@version": "x"}}, {"@graph": 3}]
)
def test_what_is_no_json_ld_is_refused_with_our_own_error(changes: dict[str, Any]) -> None:
    with pytest.raises(CredentialHeldBack):
        expand(document(**changes))


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\nb", 'a"b\\', "😀", "\u202eabc", "\ufffd"])
def test_line_ends_inside_a_text_do_not_break_the_canonical_form(text: str) -> None:
    with_text = document(name=text)
    assert canonical_nquads(with_text) == canonical_by_pyld(with_text)


@pytest.mark.parametrize("check", [expand, nquads, canonical_nquads])
@pytest.mark.parametrize(
    "id_", ["urn:a><urn:b><urn:c>.#", "urn:a<", 'urn:"', "urn:a\\u003e", "urn:{x}", "urn:a b", "urn:a\nb"]
)
def test_an_address_cannot_write_statements_of_its_own(check: Any, id_: str) -> None:
    with pytest.raises(CredentialHeldBack):
        check(document(evidence=[{"id": id_, "type": ["Evidence"], "name": "x"}]))


@pytest.mark.parametrize("iri", ["https://x.example/a%20é?😀#x", "urn:uuid:1", "did:web:x%3A80#k"])
def test_addresses_that_are_addresses(iri: str) -> None:
    assert is_iri(iri)


@pytest.mark.parametrize(
    "iri", ["https://x.example/50%", "https://x.example/[a]", "https://x.example/a#b#c", "x", "", "//x"]
)
def test_addresses_that_are_not(iri: str) -> None:
    assert not is_iri(iri)


@pytest.mark.parametrize("canonical", [canonical_nquads, canonical_by_pyld])
def test_threads_do_not_disturb_each_other(canonical: Callable[[dict[str, Any]], str]) -> None:
    documents = [document(name=f"Badge {n}") for n in range(24)]
    alone = [canonical(one) for one in documents]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(canonical, documents)) == alone
