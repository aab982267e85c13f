"""Every form in which a credential leaves the house: the rows of the table that the verifiers of others are held to.

A new form is one entry in FORMS; `test_every_form.py` then asks each verifier that can read its kind."""

from __future__ import annotations

import base64
import copy
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lti_tool.credentials import baking, ob3
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.picture import draw, render_png
from lti_tool.credentials.signing import Signed
from lti_tool.domain.badge import Picture
from tests.credentials import examples
from tests.interop import editions

Json = dict[str, Any]

DOCUMENT, TOKEN, PICTURE, LIST = "document", "token", "picture", "list"


@dataclass(frozen=True)
class Form:
    """A form: which kind of thing it is, and how it is made of a signed edition (or, of a list, made at all).

    A picture is read back to the text in it, which is a document or a token."""

    kind: str
    made: Callable[[Signed], Any]


@functools.cache
def svg() -> str:
    return draw(Picture(alt="x"), slug="x", ribbon="", pips=0)


@functools.cache
def png() -> bytes:
    return render_png(svg(), 90)


def _document(edition: Signed) -> Json:
    document: Json = json.loads(edition.document)
    return document


FORMS: dict[str, Form] = {
    "JSON, eddsa-rdfc-2022": Form(DOCUMENT, _document),
    "VC-JWT, RS256": Form(TOKEN, lambda edition: edition.jwt),
    "PNG with JSON": Form(PICTURE, lambda edition: baking.bake_png(png(), edition.document.decode())),
    "PNG with VC-JWT": Form(PICTURE, lambda edition: baking.bake_png(png(), edition.jwt)),
    "SVG with JSON": Form(PICTURE, lambda edition: baking.bake_svg(svg(), edition.document.decode()).encode()),
    "SVG with VC-JWT": Form(PICTURE, lambda edition: baking.bake_svg(svg(), edition.jwt).encode()),
    "Status list": Form(LIST, lambda _: editions.status_list()),
}


@functools.cache
def small() -> Signed:
    """Return an edition with one of each: every field there is, few enough for a walk over all of them."""
    row = examples.badge().sub_competencies[0]
    badge = examples.badge(
        sub_competencies=(replace(row, levels=row.levels[2:]),), gates=examples.badge().gates[:1], tags=("one",)
    )
    facts = replace(
        examples.everything(),
        reached=(ob3.Reached(row.code, 1, 4),),
        gates=examples.facts().gates[:1],
        evidence=examples.everything().evidence[:1],
    )
    template = EditionTemplate(examples.achievement(badge), examples.issuer(), needed=badge.needed)
    return template.sign(facts, ed25519=examples.ed25519_key(), rsa=examples.rsa_key(), created=examples.CREATED)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every text, number and truth in a document."""
    if isinstance(node, dict):
        for member, value in node.items():
            yield from leaves(value, (*path, member))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from leaves(value, (*path, place))
    else:
        yield path


def changed(document: Json, path: tuple[Any, ...]) -> Json:
    """Return a copy in which one value differs by as little as can be."""
    document = copy.deepcopy(document)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    value = node[path[-1]]
    if isinstance(value, str):
        node[path[-1]] = value[:-1] + ("b" if value.endswith("a") else "a")
    else:
        node[path[-1]] = not value if isinstance(value, bool) else value + 1
    return document


def payload(token: str) -> Json:
    body = token.split(".")[1]
    claims: Json = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def with_payload(token: str, claims: Json) -> str:
    head, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def text_of(content: Any, kind: str) -> Any:
    """Return what a verifier of documents or of tokens is given of a form: of a picture, what stands in it."""
    if kind != PICTURE:
        return content
    baked = baking.unbake_png(content) if content.startswith(b"\x89PNG") else baking.unbake_svg(content)
    assert baked is not None
    return json.loads(baked) if baked.startswith("{") else baked


def tampered(form: Form) -> dict[str, Any]:
    """Return copies of a form of the small edition, by what was changed: every signed value once."""
    edition = small()
    content = form.made(edition)
    if form.kind in (DOCUMENT, LIST):
        return {"/".join(map(str, path)): changed(content, path) for path in leaves(content)}
    if form.kind == TOKEN:
        claims = payload(content)
        return {"/".join(map(str, p)): with_payload(content, changed(claims, p)) for p in leaves(claims)}
    # What stands in a picture is one of the others: one value is enough to see that it is what is checked.
    document = {**json.loads(edition.document), "name": "Another"}
    token = with_payload(edition.jwt, {**payload(edition.jwt), "name": "Another"})
    return {"name": form.made(replace(edition, document=json.dumps(document).encode(), jwt=token))}
