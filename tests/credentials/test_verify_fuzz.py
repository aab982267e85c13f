"""Whatever is sent, a report comes back: never an exception, never "genuine", and never after minutes."""

from __future__ import annotations

import base64
import json
import time
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lti_tool.credentials import contexts, status_list
from lti_tool.credentials.baking import KEYWORD, PNG_SIGNATURE, bake_png, bake_svg
from lti_tool.credentials.verify import FAILED, UNKNOWN, Report, verify
from tests.credentials.examples import leaves
from tests.credentials.test_verify import (
    BASE,
    DID,
    LIST,
    NOW,
    Web,
    data_integrity,
    did_document,
    keys,
    outcomes,
    signed,
    token,
    unsigned,
    web,
)
from tests.credentials.test_verify_others import assertion, badges, college, older, record
from tests.interop.forms import png, svg

__all__ = ["keys"]

Json = dict[str, Any]

FEW = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # what fails is small enough as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEWER = settings(FEW, max_examples=15)  # of what is read as linked data each time, 20 ms and more
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
        st.sampled_from(["_:b0", "@id", DID, "2026-01-01T00:00:00Z", "https://[", "did:web:", "did:key:z6Mk", "\x00"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def genuine(keys: Any) -> Any:
    """Return what is signed once for all: a credential in both forms, and documents of the other kinds."""
    both = signed(keys)
    more = [data_integrity(keys, record(badges(keys, 1))), older(), assertion()]
    return SimpleNamespace(document=both.document, jwt=both.jwt, more=more, token=token(keys), web=web(keys))


def checked(data: bytes | str, fetch: Any = None) -> Report:
    begun = time.process_time()
    report = verify(data, now=NOW, fetch=fetch or Web({}))
    assert report.checks and all(check.sentence for check in report.checks)
    assert time.process_time() - begun < 10, "no text may keep this process busy"
    return report


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    for start in (b"", PNG_SIGNATURE, b"<svg ", b"{", b"%PDF", b"\xef\xbb\xbf{"):
        assert not checked(start + data).ok


@FEW
@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    for start in ("", "https://", '{"type":', "eyJhbGciOiJub25lIn0."):
        assert not checked(start + text).ok


@FEW
@given(st.dictionaries(st.sampled_from(["type", "@context", "id", "issuer", "proof", "badge", "vc", "x"]), values))
def test_any_json_is_answered(document: Json) -> None:
    text = json.dumps(document)
    assert not checked(text).ok
    head = base64.urlsafe_b64encode(json.dumps({"alg": "EdDSA", "kid": DID}).encode()).rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    assert not checked(f"{head}.{body}.AAAA").ok


@FEW
@given(values)
def test_any_header_of_a_token_is_answered(genuine: Any, header: Any) -> None:
    _, body, signature = genuine.token.split(".")
    for each in (header, {"alg": header}, {"alg": "RS256", "kid": header}, {"alg": "RS256", "jwk": header}):
        head = base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        assert not checked(f"{head}.{body}.{signature}", genuine.web).ok


def graph(document: Json) -> str:
    return contexts.canonical_nquads({name: value for name, value in document.items() if name != "proof"})


def places(document: Any) -> list[tuple[Any, ...]]:
    found = {path[:length] for path in leaves(document) for length in range(1, len(path) + 1)}
    return sorted(found, key=str)


@FEWER
@given(st.data())
def test_a_genuine_credential_with_anything_in_any_place_is_never_taken_for_genuine(genuine: Any, data: Any) -> None:
    document = json.loads(genuine.document)
    path = data.draw(st.sampled_from(places(document)))
    changed = _put(document, path, data.draw(values))
    report = checked(json.dumps(changed), genuine.web)
    assert not report.ok or graph(changed) == graph(document)


@FEWER
@given(st.data())
def test_a_record_an_older_credential_or_an_assertion_with_anything_in_any_place_is_answered(
    genuine: Any, data: Any
) -> None:
    one = data.draw(st.sampled_from(genuine.more))
    changed = _put(one, data.draw(st.sampled_from(places(one))), data.draw(values))
    pages = college(changed if "badge" in changed else None)
    pages.pages |= genuine.web.pages
    checked(json.dumps(changed), pages)


@FEWER
@given(st.data())
def test_what_the_servers_of_others_answer_is_answered_too(keys: Any, genuine: Any, data: Any) -> None:
    answer = json.dumps(data.draw(values)).encode()
    pages = {data.draw(st.sampled_from([f"{BASE}/.well-known/did.json", LIST])): answer}
    assert not checked(genuine.document, Web({**genuine.web.pages, **pages})).ok
    page = data.draw(st.sampled_from(["issuer", "badges/1", "assertions/1"]))
    assert not checked(json.dumps(assertion()), college(**{page: answer})).ok
    document = did_document(keys)
    changed = _put(document, data.draw(st.sampled_from(places(document))), data.draw(values))
    checked(genuine.document, Web({**genuine.web.pages, f"{BASE}/.well-known/did.json": changed}))


def _put(document: Json, path: tuple[Any, ...], value: Any) -> Json:
    changed: Json = json.loads(json.dumps(document))
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


# -- pictures ---------------------------------------------------------------------------------------------------


@FEWER
@given(st.data())
def test_a_picture_with_any_byte_changed_is_never_taken_for_another_credential(genuine: Any, data: Any) -> None:
    baked = bytearray(bake_png(png(), genuine.jwt))
    place = data.draw(st.integers(0, len(baked) - 1))
    baked[place] ^= data.draw(st.integers(1, 255))
    report = checked(bytes(baked), genuine.web)
    assert not report.ok or report.document == checked(genuine.jwt, genuine.web).document


@FEW
@given(st.data())
def test_a_picture_that_breaks_off_anywhere_is_answered(genuine: Any, data: Any) -> None:
    for baked in (bake_png(png(), genuine.jwt), bake_svg(svg(), genuine.jwt).encode()):
        assert not checked(baked[: data.draw(st.integers(0, len(baked) - 1))], genuine.web).ok


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def picture(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", (2**31 - 1).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0")
    return PNG_SIGNATURE + header + b"".join(chunks) + chunk(b"IEND", b"")


MEGABYTE = bytes(1024 * 1024)


def deflated(megabytes: int, window_bits: int = zlib.MAX_WBITS) -> bytes:
    """Pack zeros, quickly: after a full flush each megabyte is packed to the same bytes. The checksum is left off."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    first, one = (packer.compress(MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + one * (megabytes - 1)


BOMB = deflated(200)


@pytest.mark.parametrize(
    "data",
    [
        picture(),  # two thousand million pixels a side: nobody opens the picture itself
        picture(chunk(b"IDAT", BOMB)),
        picture(chunk(b"iTXt", KEYWORD.encode() + b"\0\1\0\0\0" + BOMB)),
        picture(chunk(b"zTXt", KEYWORD.encode() + b"\0\0" + BOMB)),
        picture(chunk(b"iTXt", KEYWORD.encode() + b"\0\1\0\0\0" + BOMB[:-9])),
        picture(chunk(b"iTXt", KEYWORD.encode() + b"\0\2\0\0\0x")),
        picture(chunk(b"iTXt", KEYWORD.encode())),
        picture(chunk(b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0{}") * 2),
        picture(*[chunk(b"tEXt", b"x\0y")] * 10_001),
        PNG_SIGNATURE + b"\xff\xff\xff\xffiTXt" + bytes(40),
        PNG_SIGNATURE,
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<g>" * 100_000,
        b"<svg " + b"a='b' " * 100_000 + b"/>",
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_a_picture_made_to_harm_is_answered_in_words(data: bytes) -> None:
    report = checked(data)
    assert report.outcome("found") in (FAILED, UNKNOWN)


def test_a_status_list_that_unpacks_to_gigabytes_says_nothing(keys: Any) -> None:
    packed = deflated(400, zlib.MAX_WBITS | 16)  # as gzip
    listed = json.loads(web(keys).pages[LIST])
    listed.pop("proof")
    listed["credentialSubject"]["encodedList"] = "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    pages = {LIST: data_integrity(keys, listed)}
    assert outcomes(checked(signed(keys).document, web(keys, pages=pages))) == {"withdrawn": UNKNOWN}
    with pytest.raises(status_list.StatusListUnreadable):
        status_list.read_bit(listed["credentialSubject"]["encodedList"], 1)


# -- made to keep the process busy ------------------------------------------------------------------------------


def nested(levels: int, width: int) -> Json:
    node: Json = {"type": ["Evidence"]}
    for _ in range(levels):
        node = {"type": ["Evidence"], "endorsement": [dict(node) for _ in range(width)]}
    return node


@pytest.mark.parametrize(
    "evidence",
    [
        [{"type": ["Evidence"]} for _ in range(900)],
        [{"type": ["Evidence"], "name": str(n)} for n in range(900)],
        [{"id": "urn:x:1", "type": ["Evidence"], "name": str(n)} for n in range(700)],
        [nested(3, 4)],
        [nested(9, 2)],
        [nested(1, 10)],
        [nested(2, 3)],
    ],
    ids=["alike", "unlike", "of one id", "tree", "deep tree", "ten of a parent", "three of three"],
)
def test_a_document_made_to_keep_the_canonicalisation_busy_is_soon_answered(keys: Any, evidence: list[Json]) -> None:
    document = {**unsigned(), "evidence": evidence}
    proof = {**json.loads(signed(keys).document)["proof"]}
    assert not checked(json.dumps({**document, "proof": proof}), web(keys)).ok


def test_a_record_made_to_keep_the_expansion_busy_is_soon_answered(keys: Any) -> None:
    carried = [{"id": f"urn:x:{n}", "type": ["VerifiableCredential"], "name": "x"} for n in range(1_000)]
    proof = {**json.loads(signed(keys).document)["proof"]}
    assert not checked(json.dumps({**record(carried), "proof": proof}), web(keys)).ok
    spread = [{**unsigned(credential_id=f"{n:032x}"), "proof": proof} for n in range(20)]
    assert not checked(json.dumps({**record(spread), "proof": proof}), web(keys)).ok
