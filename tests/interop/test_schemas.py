"""Every edition is valid against the official JSON Schemas, formats included."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from lti_tool.credentials import ob3
from tests.credentials import examples
from tests.interop import editions
from tests.interop.schemas import errors

Json = dict[str, Any]


CREDENTIAL = "ob_v3p0_achievementcredential_schema.json"
PROFILE = "ob_v3p0_profile_schema.json"


def test_i01_every_shape_is_valid_with_its_proof_and_as_the_payload_of_its_jwt() -> None:
    for name, document in editions.credentials().items():
        assert errors(CREDENTIAL, document) == [], name
        claims = jwt.decode(editions.signed()[name].jwt, options={"verify_signature": False})
        assert errors(CREDENTIAL, claims) == [], name


def test_i01_the_issuers_profile_is_valid() -> None:
    assert errors(PROFILE, ob3.issuer_profile(examples.issuer())) == []
    assert (
        errors(PROFILE, ob3.issuer_profile(examples.issuer(url="", email="", description="", image=None, linkedin="")))
        == []
    )


def points_as_number(document: Json) -> None:
    document["credentialSubject"]["achievement"]["resultDescription"][0]["rubricCriterionLevel"][0]["points"] = 1


def status_passed(document: Json) -> None:
    document["credentialSubject"]["result"][4]["status"] = "Passed"


def moment_without_zone(document: Json) -> None:
    document["validFrom"] = "2026-11-20T16:04:05"


def contexts_reversed(document: Json) -> None:
    document["@context"].reverse()


def more_in_an_image(document: Json) -> None:
    document["credentialSubject"]["achievement"]["image"]["alt"] = "x"


@pytest.mark.parametrize(
    "damage", [points_as_number, status_passed, moment_without_zone, contexts_reversed, more_in_an_image]
)
def test_the_schema_and_its_formats_are_really_checked(damage: Callable[[Json], None]) -> None:
    document = copy.deepcopy(editions.credentials()["pseudonymous"])
    damage(document)
    assert errors(CREDENTIAL, document) != []
