"""What an Open Badge says beside its rubric, and that nothing said before is said otherwise now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from lti_tool.credentials import canonical, ob3, signing
from lti_tool.credentials.canonical import EditionTemplate
from lti_tool.credentials.contexts import nquads
from lti_tool.credentials.endorsement import endorsement
from lti_tool.domain.badge import Badge, Creator, Gate, Identifier, badge_from_content
from lti_tool.errors import CredentialHeldBack
from tests.credentials import examples
from tests.interop import schemas

Json = dict[str, Any]
KEYS: Json = {"ed25519": examples.ed25519_key(), "rsa": examples.rsa_key(), "created": examples.CREATED}


def errors(document: Json, part: str = "") -> list[str]:
    """Return what the official schema finds, of a whole credential or of one of its parts."""
    schema = schemas.read_json("ob_schemas/ob_v3p0_achievementcredential_schema.json")
    if part:
        schema = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    validator = Draft201909Validator(schema, format_checker=Draft201909Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message[:120]}" for error in validator.iter_errors(document)]


def achievement(badge: Badge, *, issuer: ob3.IssuerProfile | None = None, **changes: Any) -> Json:
    values: Json = {"slug": badge.slug, "version": 3, "picture_url": f"{examples.BASE}/p.png", **changes}
    return ob3.achievement(badge, base_url=examples.BASE, issuer=issuer or examples.full_issuer(), **values)


def digest(value: Json) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


# -- what was there before --------------------------------------------------------------------------------------


def test_a_definition_of_before_keeps_its_digest() -> None:
    assert examples.badge().digest() == "210f304fc500a99bfa33e3b5a031879278b1a5c84e0e2fd16afc6e796591d253"


def test_i04_a_version_of_before_keeps_its_achievement_and_an_edition_of_before_its_credential() -> None:
    before = achievement(examples.badge(), issuer=examples.issuer(), form=1, picture_url="https://x/p.png")
    assert digest(before) == "42e72b9a9695ee6cc3f6bbdbdeee6e37ffc90b275df48de4da3d0af5800cae21"
    credential = ob3.credential(before, examples.issuer(), examples.facts())
    assert digest(credential) == "ae586a465c850e1d8644bfad5402e029cbbffaed8ff5b3a5e70296cd1db2352c"


# -- the definition ---------------------------------------------------------------------------------------------


def test_everything_a_definition_says_is_kept_and_stands_in_the_achievement() -> None:
    badge = examples.full_badge()
    assert badge_from_content(json.loads(json.dumps(badge.content()))) == badge
    found = achievement(badge)
    assert (found["achievementType"], found["fieldOfStudy"]) == ("Competency", "Communication")
    assert (found["specialization"], found["humanCode"]) == ("Career readiness", "COM-210")
    assert [each["identifierType"] for each in found["otherIdentifier"]] == ["ext:ctid", "identifier"]
    assert found["creator"]["id"] == "https://comm.example.edu"
    assert found["alignment"][0]["targetType"] == "ceterms:Credential"
    assert found["alignment"][0]["targetDescription"] == "What the framework says."
    assert found["image"]["caption"] == "Blue hexagon reading Oral Communication"
    assert errors(found, "Achievement") == []


def test_a_version_names_the_earlier_ones_and_never_a_later_one() -> None:
    related = achievement(examples.badge())["related"]
    assert [each["version"] for each in related] == ["2", "1"]
    assert related[0]["id"] == f"{examples.BASE}/achievements/oral-communication/v2"
    assert "related" not in achievement(examples.badge(), version=1)
    assert "related" not in achievement(examples.badge(), form=1)
    assert len(achievement(examples.badge(), version=500)["related"]) == ob3.MOST_EARLIER


def test_points_say_out_of_how_many() -> None:
    gate = Gate("quiz", "Quiz", "points", "12", out_of=Decimal(20))
    (found,) = achievement(examples.badge(sub_competencies=(), gates=(gate,)))["resultDescription"]
    assert (found["resultType"], found["valueMin"], found["valueMax"], found["requiredValue"]) == (
        *("RawScore", "0", "20", "12"),
    )


def test_a_creator_without_an_address_still_has_an_id() -> None:
    found = achievement(examples.badge(creator=Creator("The library")))["creator"]
    assert found["id"].startswith("urn:uuid:") and found["name"] == "The library"


# -- the issuer -------------------------------------------------------------------------------------------------


def test_the_profile_says_where_the_institution_belongs() -> None:
    found = ob3.issuer_node(examples.full_issuer())
    assert found["parentOrg"] == {
        "id": "https://www.system.example.edu",
        "type": ["Profile"],
        "name": "State University System",
        "url": "https://www.system.example.edu",
    }
    assert found["address"]["addressCountryCode"] == "US"
    assert [each["identifierType"] for each in found["otherIdentifier"]] == [ob3.LINKEDIN, "ext:ror"]
    assert errors(found, "Profile") == []
    nquads(ob3.stand_alone(found))  # drops nothing


# -- what an edition says ---------------------------------------------------------------------------------------

ON_OR_OFF = {
    "name": (None, "Zoë O’Hara"),
    "email": (None, examples.everything().email),
    "include_results": (True, False),
    "course": (None, "COM 210"),
    "term": (None, "Fall 2026"),
    "evidence": ((), examples.everything().evidence),
    "started": (None, datetime(2026, 8, 24, tzinfo=UTC)),
    "ended": (None, datetime(2026, 11, 19, tzinfo=UTC)),
    "narrative": ("", "In my own words."),
    "licence_number": ("", "COM-17"),
    "renewable": (False, True),
    "terms_url": ("", "https://www.example.edu/terms"),
    "valid_until": (None, datetime(2029, 11, 20, tzinfo=UTC)),
    "endorsements": ((), (examples.endorsed(),)),
}
SMALL = examples.full_badge(sub_competencies=examples.badge().sub_competencies[:1], gates=examples.badge().gates[:1])
TEMPLATE = EditionTemplate(achievement(SMALL), examples.full_issuer(), needed=0)
some_facts = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ON_OR_OFF.items()})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some_facts, st.sampled_from([None, "B", "A"]), st.sampled_from([None, Decimal("3.4")]))
def test_i01_whatever_is_chosen_the_credential_is_valid_and_the_template_writes_what_the_slow_way_does(
    chosen: Json, grade: str | None, points: Decimal | None
) -> None:
    facts = replace(
        examples.facts(),
        reached=(ob3.Reached("OC-1", 2, points),),
        gates=(ob3.GateResult("course-grade", grade),),
        **chosen,
    )
    credential = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, facts)
    made = TEMPLATE.sign(facts, **KEYS)
    assert made == signing.sign(credential, **KEYS)
    document = json.loads(made.document)
    assert errors(document) == []
    assert signing.verify_proof(document, examples.ed25519_key().public)


@pytest.mark.parametrize("name", [name for name in ON_OR_OFF if name not in ("include_results",)])
def test_what_is_not_told_is_nowhere_in_the_credential(name: str) -> None:
    off, on = ON_OR_OFF[name]
    full = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, replace(examples.facts(gates=()), reached=()))
    told = ob3.credential(
        TEMPLATE.achievement, TEMPLATE.issuer, replace(examples.facts(gates=()), reached=(), **{name: on})
    )
    assert digest(full) != digest(told)
    silent = ob3.credential(
        TEMPLATE.achievement, TEMPLATE.issuer, replace(examples.facts(gates=()), reached=(), **{name: off})
    )
    assert digest(full) == digest(silent)


def test_a_credential_that_can_be_renewed_names_where() -> None:
    found = ob3.credential(TEMPLATE.achievement, TEMPLATE.issuer, replace(examples.everything(), reached=(), gates=()))
    assert found["refreshService"] == {"id": f"{found['id']}/refresh", "type": "1EdTechCredentialRefresh"}
    assert found["termsOfUse"][0]["id"] == "https://www.example.edu/badges/terms"


def test_a_refused_address_of_the_terms_is_held_back_and_not_signed() -> None:
    with pytest.raises(CredentialHeldBack):
        TEMPLATE.sign(replace(examples.facts(), reached=(), gates=(), terms_url="not an address"), **KEYS)


# -- endorsements -----------------------------------------------------------------------------------------------


def test_an_endorsement_is_valid_names_the_reviewer_and_is_issued_by_whoever_signs() -> None:
    document = examples.endorsed()
    assert errors(document, "EndorsementCredential") == []
    assert document["issuer"]["id"] == examples.full_issuer().did
    assert document["name"] == "Endorsement by Mei Chen, Head of training, Acme & Sons"
    assert "has no key here" in document["description"]
    assert document["credentialSubject"]["endorsementComment"] == "We hire by it."
    assert signing.verify_proof(document, examples.ed25519_key().public)
    changed = {**document, "credentialSubject": {**document["credentialSubject"], "endorsementComment": "We do not."}}
    assert not signing.verify_proof(changed, examples.ed25519_key().public)


def test_two_endorsements_of_one_template_keep_their_own_words() -> None:
    """What is signed inside is no place of the template: the second must not be written with the first's words."""
    facts = replace(examples.facts(), reached=(), gates=())
    other = {**examples.endorsed(), "issuer": {**examples.endorsed()["issuer"], "name": "Another name"}}
    first = TEMPLATE.sign(replace(facts, endorsements=(examples.endorsed(),)), **KEYS)
    second = json.loads(TEMPLATE.sign(replace(facts, endorsements=(other,)), **KEYS).document)
    assert json.loads(first.document)["endorsement"] == [examples.endorsed()]
    assert second["endorsement"][0]["issuer"]["name"] == "Another name"
    assert signing.verify_proof(second, examples.ed25519_key().public)


def test_i19_an_endorsement_carries_markup_as_text() -> None:
    odd = examples.said(comment="</script><img src=x onerror=alert(1)> {{7*7}}", name="<b>M</b>")
    document = endorsement(odd, examples.issuer())
    assert document["credentialSubject"]["endorsementComment"] == odd.comment
    nquads(document)


def test_the_samples_a_version_is_checked_with_have_all_an_edition_can_say() -> None:
    plain, everything = canonical.sample_facts(TEMPLATE.achievement, SMALL)
    same = {name for name in ON_OR_OFF if getattr(plain, name) == getattr(everything, name)}
    assert same <= {"include_results", "licence_number", "endorsements"}


def test_two_equal_identifiers_are_two_entries() -> None:
    twice = examples.full_badge(identifiers=(Identifier("identifier", "1"), Identifier("identifier", "1")))
    template = EditionTemplate(achievement(twice), examples.full_issuer(), needed=0)
    document = json.loads(template.sign(replace(examples.facts(), reached=(), gates=()), **KEYS).document)
    assert len(document["credentialSubject"]["achievement"]["otherIdentifier"]) == 2
