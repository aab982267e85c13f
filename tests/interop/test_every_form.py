"""Each verifier of others accepts each form it can read, and refuses every copy in which one value was changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop import editions
from tests.interop.forms import DOCUMENT, FORMS, HOSTED, PICTURE, TOKEN, Form, small, small_copy, tampered, text_of
from tests.interop.verifiers import CHECKS_SIGNATURES, VERIFIERS

GENUINE = (
    *("pseudonymous", "everything", "no results", "bare", "odd words", "endorsed", "renewed", "revoked"),
    *("stack", "stack of stacks", "in a wallet, did:key", "in a wallet, did:jwk", "stack in a wallet"),
)
FEW = ("everything", "bare", "stack in a wallet", "revoked")  # of forms that only carry one of the others
CHANGED = {"small": small, "an endorsed stack in a wallet": small_copy}


def kind_of(form: Form) -> str:
    """Return the kind of what a verifier is given: of a picture, of what stands in it."""
    return form.holds or form.kind


CELLS = [
    (form, verifier) for form in FORMS for verifier, (kinds, _) in VERIFIERS.items() if kind_of(FORMS[form]) in kinds
]


def asked(verifier: str, given: dict[str, Any]) -> dict[str, str]:
    answers = VERIFIERS[verifier][1](given)
    assert answers.keys() == given.keys()
    return answers


@pytest.mark.parametrize(("form", "verifier"), CELLS)
def test_i01_each_verifier_accepts_each_form_it_reads(form: str, verifier: str) -> None:
    names = GENUINE if FORMS[form].kind in (DOCUMENT, TOKEN, HOSTED) else FEW
    made = {name: FORMS[form].made(editions.signed()[name]) for name in names} | {"small": FORMS[form].made(small())}
    answers = asked(verifier, {name: text_of(content, FORMS[form].kind) for name, content in made.items()})
    revoked = answers.pop("revoked")
    assert {name: said for name, said in answers.items() if said} == {}
    if verifier in CHECKS_SIGNATURES and verifier != "jose" and kind_of(FORMS[form]) in ("document", "token"):
        assert "revo" in revoked or "withdrawn" in revoked, "the bit of a revoked one is set"


def of_each_edition() -> list[tuple[str, str, str]]:
    """Return the cells in which something is changed: what no edition differs in is changed once."""
    cells = [cell for cell in CELLS if cell[1] in CHECKS_SIGNATURES]
    return [
        (*cell, edition)
        for cell in cells
        for edition in CHANGED
        if edition == "small" or FORMS[cell[0]].kind in (DOCUMENT, TOKEN)
    ]


@pytest.mark.parametrize(("form", "verifier", "edition"), of_each_edition())
def test_i05_each_verifier_refuses_a_form_with_any_one_value_changed(form: str, verifier: str, edition: str) -> None:
    made, kind = CHANGED[edition](), FORMS[form].kind
    copies = {name: text_of(content, kind) for name, content in tampered(FORMS[form], made).items()}
    assert len(copies) > (70 if kind in (DOCUMENT, TOKEN) else 0)
    answers = asked(verifier, {**copies, "untouched": text_of(FORMS[form].made(made), kind)})
    assert [name for name, said in answers.items() if not said] == ["untouched"]


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.kind == PICTURE])
def test_a_picture_holds_what_its_row_says(form: str) -> None:
    text = text_of(FORMS[form].made(small()), PICTURE)
    assert FORMS[form].holds == (TOKEN if isinstance(text, str) else DOCUMENT)


def test_every_form_is_read_by_others_and_by_us() -> None:
    for form in FORMS:
        readers = {verifier for name, verifier in CELLS if name == form}
        assert readers - {"Official JSON Schema", "lti-tool"}, form
