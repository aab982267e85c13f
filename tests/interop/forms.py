"""Every form in which a credential leaves the house: the rows of the table that the verifiers of others are held to.

A new form is one entry in FORMS; `test_every_form.py` then asks each verifier that can read its kind."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lti_tool.credentials import baking, certificate, clr, ob2, ob3, signing
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.endorsement import signed_endorsement
from lti_tool.credentials.picture import draw, render_png
from lti_tool.credentials.signing import Signed
from lti_tool.domain.badge import Badge, Picture
from tests.credentials import examples
from tests.interop import editions

Json = dict[str, Any]

DOCUMENT, TOKEN, PICTURE, LIST = "document", "token", "picture", "list"
RECORD, ENDORSEMENT, HOSTED = "record", "endorsement", "hosted"
SALT = "0f" * 16


@dataclass(frozen=True)
class Form:
    """A form: which kind of thing it is, and how it is made of a signed edition (or, of a list, made at all).

    A picture is read back to the text in it, which is a document or a token: `holds` says which."""

    kind: str
    made: Callable[[Signed], Any]
    holds: str = ""


@functools.cache
def svg() -> str:
    return draw(Picture(alt="x"), slug="x", ribbon="", pips=0)


@functools.cache
def png() -> bytes:
    return render_png(svg(), 90)


def _document(edition: Signed) -> Json:
    document: Json = json.loads(edition.document)
    return document


def _certificate(edition: Signed) -> bytes:
    sheet = certificate.Sheet(
        document=edition.document,
        url=_document(edition)["id"],
        picture=svg(),
        logo="",
        accent="#0E5468",
        slug="x",
        level="",
        language="en",
        say=str,
    )
    return certificate.certificate(sheet)


def _record(edition: Signed) -> Json:
    """Return a learner record with this edition, a stack's and one of its part in it."""
    held = {each["id"]: each for each in (_document(one) for one in (edition, *_stacked()))}
    record = clr.clr_credential(
        list(held.values()),
        issuer=examples.issuer(),
        subject_id=examples.facts().subject_id,
        name="Learner record",
        now=examples.CREATED,
    )
    document: Json = json.loads(clr.signed(record, examples.ed25519_key(), examples.CREATED))
    return document


def _stacked() -> tuple[Signed, Signed]:
    return editions.signed()["bare"], editions.signed()["stack"]


def _endorsement(about: str) -> Json:
    """Return what somebody outside says for an award or the institution, signed; of a badge `examples` has one."""
    said: Json = json.loads(signed_endorsement(examples.said(about=about), examples.issuer(), examples.ed25519_key()))
    return said


def _hosted(edition: Signed) -> Json:
    """Return the Open Badges 2.0 view: what is at each address, the assertion's own first."""
    document = _document(edition)
    achievement = document["credentialSubject"]["achievement"]
    slug, version = achievement["id"].split("/")[-2], int(achievement["version"])
    address = ob2.assertion_address(examples.BASE, document["id"].rpartition("/")[2])
    badge = ob2.badge_address(examples.BASE, slug, version)
    issuer = ob2.issuer_address(examples.BASE, examples.issuer().slug)
    said = ob2.assertion(document, address=address, badge=badge, salt=SALT)
    pages = [said, ob2.badge_class(achievement, address=badge, issuer=issuer)]
    pages.append(ob2.issuer_profile(ob3.issuer_profile(examples.issuer()), address=issuer))
    return {page["id"]: page for page in pages}


FORMS: dict[str, Form] = {
    "JSON, eddsa-rdfc-2022": Form(DOCUMENT, _document),
    "VC-JWT, RS256": Form(TOKEN, lambda edition: edition.jwt),
    "VC-JWT, EdDSA": Form(TOKEN, lambda edition: signing.jwt_of_document(edition.document, examples.ed25519_key())),
    "PNG with JSON": Form(PICTURE, lambda edition: baking.bake_png(png(), edition.document.decode()), DOCUMENT),
    "PNG with VC-JWT": Form(PICTURE, lambda edition: baking.bake_png(png(), edition.jwt), TOKEN),
    "SVG with JSON": Form(
        PICTURE, lambda edition: baking.bake_svg(svg(), edition.document.decode()).encode(), DOCUMENT
    ),
    "SVG with VC-JWT": Form(PICTURE, lambda edition: baking.bake_svg(svg(), edition.jwt).encode(), TOKEN),
    "PDF certificate": Form(PICTURE, _certificate, DOCUMENT),
    "CLR 2.0": Form(RECORD, _record),
    "Endorsement of a badge": Form(ENDORSEMENT, lambda _: examples.endorsed()),
    "Endorsement of an award": Form(ENDORSEMENT, lambda edition: _endorsement(_document(edition)["id"])),
    "Endorsement of the institution": Form(ENDORSEMENT, lambda _: _endorsement(examples.issuer().did)),
    "Open Badges 2.0, hosted": Form(HOSTED, _hosted),
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
    return _signed(badge, examples.achievement(badge), facts)


@functools.cache
def small_copy() -> Signed:
    """Return a wallet's copy of an endorsed credential of a badge made of badges: the fields that `small` has not."""
    badge, achievement = editions.stack("scholar", ("sources", "judge"), "all")
    told = {**editions.of_parts("sources", "judge"), "endorsements": (_endorsement(achievement["id"]),)}
    return _signed(badge, achievement, replace(examples.facts(), subject_id=editions.DID_JWK, **told))


def _signed(badge: Badge, achievement: Json, facts: ob3.EditionFacts) -> Signed:
    template = EditionTemplate(achievement, examples.issuer(), needed=badge.needed)
    return template.sign(facts, ed25519=examples.ed25519_key(), rsa=examples.rsa_key(), created=examples.CREATED)


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
    if content.startswith(b"%PDF"):
        baked = baking.unbake_pdf(content)
    else:
        baked = baking.unbake_png(content) if content.startswith(b"\x89PNG") else baking.unbake_svg(content)
    assert baked is not None
    return json.loads(baked) if baked.startswith("{") else baked


def tampered(form: Form, edition: Signed) -> dict[str, Any]:
    """Return copies of a form of an edition, by what was changed: every signed value once."""
    content = form.made(edition)
    if form.kind in (DOCUMENT, LIST, RECORD, ENDORSEMENT, TOKEN):
        return each_changed(content)
    if form.kind == HOSTED:
        address, said = next(iter(content.items()))
        return {
            "another badge": {**content, address: {**said, "badge": f"{examples.BASE}/ob2/badges/other/v1"}},
            "another host": {"https://evil.example/1": {**said, "id": "https://evil.example/1"}, **content},
            "no date": {**content, address: {name: value for name, value in said.items() if name != "issuedOn"}},
        }
    # What stands in a picture is one of the others: one value is enough to see that it is what is checked.
    document = {**json.loads(edition.document), "name": "Another"}
    token = with_payload(edition.jwt, {**payload(edition.jwt), "name": "Another"})
    return {"name": form.made(replace(edition, document=json.dumps(document).encode(), jwt=token))}


def each_changed(content: Json | str) -> dict[str, Any]:
    """Return copies of a document, or of a token, in each of which one signed value is another."""
    if isinstance(content, str):
        claims = payload(content)
        return {
            "/".join(map(str, p)): with_payload(content, examples.changed(claims, p)) for p in examples.leaves(claims)
        }
    paths = list(examples.leaves(content))
    # What a record carries has a row of its own: of that a few are enough to see that the record's proof covers it.
    inside = [path for path in paths if "verifiableCredential" in path]
    paths = [path for path in paths if path not in inside] + inside[:: len(inside) // 12 or 1]
    return {"/".join(map(str, path)): examples.changed(content, path) for path in paths}
