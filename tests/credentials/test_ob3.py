"""A definition as an Achievement, an edition as a credential, and the checks the JSON Schema does not make."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from lti_tool.credentials import ob3
from lti_tool.credentials.contexts import CREDENTIAL_CONTEXTS, nquads
from lti_tool.domain.badge import Level, Stack
from lti_tool.errors import ConfigurationError, CredentialHeldBack
from tests.credentials import examples

Json = dict[str, Any]


def build(**changes: Any) -> Json:
    return ob3.credential(examples.achievement(), examples.issuer(), examples.facts(**changes))


def text_of(credential: Json) -> str:
    return json.dumps(credential, ensure_ascii=False)


# -- the achievement --------------------------------------------------------------------------------------------


def test_levels_go_from_low_to_high_with_points_as_text() -> None:
    row = examples.achievement()["resultDescription"][0]
    levels = row["rubricCriterionLevel"]
    assert [level["name"] for level in levels] == list(examples.LEVELS)
    assert [level["points"] for level in levels] == ["1", "2", "3", "4"]
    assert row["requiredLevel"] == levels[2]["id"]
    assert row["resultType"] == "RubricCriterionLevel"


def test_identifiers_stay_when_words_change_and_differ_from_version_to_version() -> None:
    renamed = examples.badge(name="Another name")
    ids = [d["id"] for d in examples.achievement(renamed)["resultDescription"]]
    assert ids == [d["id"] for d in examples.achievement()["resultDescription"]]
    assert len(set(ids)) == 8
    next_version = ob3.description_id(ob3.achievement_address(examples.BASE, "oral-communication", 4), "OC-1")
    assert next_version not in ids


def test_a_gate_and_a_row_of_the_same_code_are_two_things() -> None:
    assert ob3.gate_id("https://a.example/x", "OC-1") != ob3.description_id("https://a.example/x", "OC-1")


def test_gates_say_what_they_require() -> None:
    gates = examples.achievement()["resultDescription"][4:]
    assert [gate["resultType"] for gate in gates] == ["LetterGrade", "Percent", "RawScore", "Status"]
    assert gates[0]["allowedValue"] == ["F", "D", "C", "B", "A"]
    assert [gate.get("requiredValue") for gate in gates] == ["B", "70", "12", None]


def test_criteria_are_the_authors_words_and_the_rule_that_is_applied() -> None:
    narrative = examples.achievement(examples.badge(rule="any 3"))["criteria"]["narrative"]
    assert narrative.startswith("Every row at **Proficient** or above.")
    assert "any 3 of these" in narrative
    assert "- Listens actively: Proficient" in narrative
    assert "- Final speech 70 % or better" in narrative


def test_criteria_in_another_language_get_no_english_sentence() -> None:
    narrative = examples.achievement(examples.badge(language="es", criteria="Todo."))["criteria"]["narrative"]
    assert "Earned" not in narrative
    assert "- Listens actively: Proficient" in narrative


def test_alignments_are_kept_on_badge_row_and_level() -> None:
    achievement = examples.achievement()
    row = achievement["resultDescription"][0]
    assert achievement["alignment"][0]["targetName"] == "Communication"
    assert row["alignment"][0]["targetType"] == "ceasn:Competency"
    assert row["rubricCriterionLevel"][0]["alignment"][0]["targetType"] == "CFRubricCriterionLevel"


def test_credits_are_a_number_and_whole_ones_are_written_whole() -> None:
    assert examples.achievement()["creditsAvailable"] == 1.5
    whole = examples.achievement(examples.badge(credits=Decimal("2.0")))["creditsAvailable"]
    assert json.dumps(whole) == "2"


def test_a_stack_asks_for_its_members() -> None:
    stack = examples.badge(sub_competencies=(), gates=(), stack=Stack(("find-sources", "cite-sources"), "any 1"))
    members = tuple(
        ob3.StackMember(slug, slug.title(), f"{examples.BASE}/achievements/{slug}/v1") for slug in stack.stack.members
    )
    achievement = examples.achievement(stack, members=members)
    assert [d["alignment"][0]["targetUrl"] for d in achievement["resultDescription"]] == [m.address for m in members]
    assert "any 1 of these" in achievement["criteria"]["narrative"]
    facts = examples.facts(reached=(), gates=(ob3.GateResult("cite-sources"),))
    credential = ob3.credential(achievement, examples.issuer(), facts)
    ob3.check_links(credential)
    assert [r["status"] for r in credential["credentialSubject"]["result"]] == ["Completed"]


def test_a_minimal_badge_has_no_empty_members() -> None:
    small = examples.badge(tags=(), level="", alignment=(), gates=(), credits=None)
    achievement = examples.achievement(small)
    assert not {"tag", "alignment", "creditsAvailable"} & achievement.keys()


# -- the credential ---------------------------------------------------------------------------------------------


def test_i21_the_subject_is_pseudonymous_unless_the_learner_chose_otherwise() -> None:
    subject = build()["credentialSubject"]
    assert subject["id"].startswith("urn:uuid:")
    assert "identifier" not in subject


def test_a_chosen_name_and_hashed_address_are_inside_and_the_address_is_not() -> None:
    credential = ob3.credential(examples.achievement(), examples.issuer(), examples.everything())
    name, email = credential["credentialSubject"]["identifier"]
    assert (name["identityHash"], name["hashed"], name["identityType"]) == ("Zoë O’Hara 🎓", False, "name")
    assert (email["hashed"], email["identityType"]) == (True, "emailAddress")
    assert "zoe@example.edu" not in text_of(credential)


def test_i13_an_address_is_trimmed_and_lower_cased_before_hashing() -> None:
    expected = "sha256$" + hashlib.sha256(b"zoe@example.edu" + examples.SALT.encode()).hexdigest()
    assert ob3.identity_hash("  Zoe@Example.EDU \n", examples.SALT) == expected


def test_i13_a_short_salt_is_refused_and_ours_have_128_random_bits() -> None:
    with pytest.raises(ValueError, match="salt"):
        ob3.identity_hash("zoe@example.edu", "f3b1c7d2a9")
    assert len(bytes.fromhex(ob3.new_salt())) == 16
    assert ob3.new_salt() != ob3.new_salt()
    assert len(bytes.fromhex(ob3.new_credential_id())) == 16


def test_results_link_to_what_they_are_results_of() -> None:
    credential = build()
    ob3.check_links(credential)
    first = credential["credentialSubject"]["result"][0]
    row = credential["credentialSubject"]["achievement"]["resultDescription"][0]
    assert first["resultDescription"] == row["id"]
    assert first["achievedLevel"] == row["rubricCriterionLevel"][3]["id"]
    assert first["value"] == "4"


def test_results_stand_in_the_order_of_the_badge() -> None:
    facts = examples.facts()
    assert build(reached=facts.reached[::-1], gates=facts.gates[::-1]) == build()


def test_points_are_exact_text_or_not_told() -> None:
    reached = (
        ob3.Reached("OC-1", 2, Fraction(10, 3)),
        ob3.Reached("OC-2", 2, Decimal("3.50")),
        ob3.Reached("OC-3", 3, 4),
        ob3.Reached("OC-4", 2, None),
    )
    results = build(reached=reached)["credentialSubject"]["result"]
    assert [r.get("value") for r in results[:4]] == ["3.33333", "3.5", "4", None]


def test_without_results_the_badge_still_says_what_it_asks_for() -> None:
    subject = build(include_results=False)["credentialSubject"]
    assert "result" not in subject
    assert len(subject["achievement"]["resultDescription"]) == 8


def test_two_credentials_of_one_course_do_not_share_an_identifier_for_it() -> None:
    one, other = build(course="COM 210"), build(course="COM 210", credential_id="ff")
    assert one["credentialSubject"]["source"]["id"] != other["credentialSubject"]["source"]["id"]


def test_the_status_entry_names_list_and_index() -> None:
    status = build()["credentialStatus"]
    assert status["id"] == f"{examples.BASE}/status/1#94567"
    assert status["statusListIndex"] == "94567"
    assert status["statusListCredential"] == f"{examples.BASE}/status/1"


def test_moments_are_written_in_utc_whole_seconds() -> None:
    zone = timezone(timedelta(hours=-5))
    assert ob3.instant(datetime(2026, 11, 20, 11, 4, 5, 999_999, zone)) == "2026-11-20T16:04:05Z"
    with pytest.raises(ValueError, match="time zone"):
        ob3.instant(datetime(2026, 11, 20))


def test_controls_that_implementations_escape_differently_are_left_out() -> None:
    assert ob3.signable("a\r\nb\rc\td\x00e\x7ff\x85g\ud800h\ufffei") == "a\nb\nc    defghi"
    credential = build(name="Zo\të\x00")
    assert credential["credentialSubject"]["identifier"][0]["identityHash"] == "Zo    ë"


def test_i19_hostile_words_stay_words() -> None:
    hostile = '</script><img onerror=x> {{7*7}} =HYPERLINK("x")'
    credential = ob3.credential(
        examples.achievement(examples.badge(name=hostile)), examples.issuer(), examples.facts(name=hostile)
    )
    assert json.loads(text_of(credential))["name"] == hostile


def test_only_nodes_whose_schema_forbids_an_id_are_blank() -> None:
    blank = {line.split()[0] for line in nquads(build()).splitlines() if line.startswith("_:")}
    assert len(blank) == 6  # the letters of the letter grade, in a list, and the issuer's number at LinkedIn
    everything = ob3.credential(examples.achievement(), examples.issuer(), examples.everything())
    assert len({line.split()[0] for line in nquads(everything).splitlines() if line.startswith("_:")}) == 8


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x.example/y", "video.mp4", "https://x.example/a b"])
def test_evidence_with_anything_but_a_web_address_is_held_back(url: str) -> None:
    with pytest.raises(CredentialHeldBack):
        build(evidence=(ob3.Evidence("Video", url),))


def test_facts_about_something_the_badge_does_not_have_are_held_back() -> None:
    with pytest.raises(CredentialHeldBack, match="OC-9"):
        build(reached=(ob3.Reached("OC-9", 0, 1),))
    with pytest.raises(CredentialHeldBack, match="no level 4"):
        build(reached=(ob3.Reached("OC-1", 4, 5),))


# -- the invariants ---------------------------------------------------------------------------------------------


def break_required_level(credential: Json) -> None:
    credential["credentialSubject"]["achievement"]["resultDescription"][0]["requiredLevel"] = "urn:uuid:0"


def break_achieved_level(credential: Json) -> None:
    credential["credentialSubject"]["result"][0]["achievedLevel"] = "urn:uuid:0"


def break_result_description(credential: Json) -> None:
    credential["credentialSubject"]["result"][0]["resultDescription"] = "urn:uuid:0"


def break_achieved_level_by_another_row(credential: Json) -> None:
    results = credential["credentialSubject"]["result"]
    results[0]["achievedLevel"] = results[1]["achievedLevel"]


def break_points(credential: Json) -> None:
    levels = credential["credentialSubject"]["achievement"]["resultDescription"][0]["rubricCriterionLevel"]
    levels[1]["points"] = levels[0]["points"]


def break_level(credential: Json) -> None:
    subject = credential["credentialSubject"]
    levels = subject["achievement"]["resultDescription"][0]["rubricCriterionLevel"]
    subject["result"][0]["achievedLevel"] = levels[1]["id"]


def break_completeness(credential: Json) -> None:
    del credential["credentialSubject"]["result"][0]


def break_letter(credential: Json) -> None:
    credential["credentialSubject"]["result"][4]["value"] = "C"


def break_letter_of_another_scale(credential: Json) -> None:
    credential["credentialSubject"]["result"][4]["value"] = "Z"


def break_percent(credential: Json) -> None:
    credential["credentialSubject"]["result"][5]["value"] = "69.99"


def break_number(credential: Json) -> None:
    credential["credentialSubject"]["result"][6]["value"] = "many"


def break_status(credential: Json) -> None:
    credential["credentialSubject"]["result"][7]["status"] = "Failed"


def break_subject(credential: Json) -> None:
    del credential["credentialSubject"]["id"]


def break_salt(credential: Json) -> None:
    credential["credentialSubject"]["identifier"][1]["salt"] = "f3b1c7d2a9"


@pytest.mark.parametrize(
    "damage",
    [
        break_required_level,
        break_achieved_level,
        break_result_description,
        break_achieved_level_by_another_row,
        break_points,
        break_level,
        break_completeness,
        break_letter,
        break_letter_of_another_scale,
        break_percent,
        break_number,
        break_status,
        break_subject,
        break_salt,
    ],
)
def test_a_credential_that_breaks_an_invariant_is_held_back(damage: Callable[[Json], None]) -> None:
    whole = ob3.credential(examples.achievement(), examples.issuer(), examples.everything())
    ob3.check_links(whole)
    broken = copy.deepcopy(whole)
    damage(broken)
    with pytest.raises(CredentialHeldBack):
        ob3.check_links(broken)


def test_with_any_three_a_fourth_may_be_below_or_missing_but_not_two() -> None:
    reached = examples.facts().reached
    below = ob3.Reached("OC-4", 0, 1)
    ob3.check_links(build(reached=(*reached[:3], below)), needed=3)
    ob3.check_links(build(reached=reached[:3]), needed=3)
    with pytest.raises(CredentialHeldBack, match="too few"):
        ob3.check_links(build(reached=(*reached[:2], below)), needed=3)


def test_levels_of_the_same_points_are_held_back_even_without_results() -> None:
    row = examples.badge().sub_competencies[0]
    flat = replace(row, levels=(Level("Low", Decimal(1)), Level("Proficient", Decimal("1.0"))))
    achievement = examples.achievement(examples.badge(sub_competencies=(flat,)))
    with pytest.raises(CredentialHeldBack, match="rise"):
        ob3.check_links(ob3.credential(achievement, examples.issuer(), examples.facts(include_results=False)))


# -- who signs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "did"),
    [
        ("https://badges.example.edu", "did:web:badges.example.edu"),
        ("https://badges.example.edu/", "did:web:badges.example.edu"),
        ("http://localhost:8000", "did:web:localhost%3A8000"),
    ],
)
def test_the_did_is_the_host_with_its_port_percent_encoded(base_url: str, did: str) -> None:
    assert ob3.did_web(base_url) == did


@pytest.mark.parametrize("base_url", ["https://x.example/badges", "x.example", "", "https://me@x.example"])
def test_a_base_url_with_a_path_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError):
        ob3.did_web(base_url)


def test_i07_the_did_document_lists_every_key_retired_ones_too() -> None:
    key, old = (
        examples.ed25519_key(),
        replace(examples.ed25519_key(), kid="old", retired=datetime(2026, 2, 1, tzinfo=UTC)),
    )
    rsa = examples.rsa_key()
    did = examples.issuer().did
    document = ob3.did_document(did, [key, old], [rsa], examples.BASE)
    assert document["assertionMethod"] == [f"{did}#{key.kid}", f"{did}#old", f"{did}#{rsa.kid}"]
    methods = {method["id"]: method for method in document["verificationMethod"]}
    assert methods[f"{did}#old"]["type"] == "Multikey"
    assert methods[f"{did}#old"]["publicKeyMultibase"].startswith("z6Mk")
    assert methods[f"{did}#{rsa.kid}"]["publicKeyJwk"]["kty"] == "RSA"
    assert "d" not in methods[f"{did}#{rsa.kid}"]["publicKeyJwk"]


def test_the_issuers_document_stands_alone() -> None:
    profile = ob3.issuer_profile(examples.issuer())
    assert profile["@context"] == list(CREDENTIAL_CONTEXTS)
    assert profile["url"] == examples.issuer().url
    assert ob3.issuer_profile(examples.issuer(url=""))["url"] == f"{examples.BASE}/issuers/example-university"
    assert nquads(profile)


def test_an_issuer_with_only_a_name_has_no_empty_members() -> None:
    bare = examples.issuer(url="", email="", description="", image=None, linkedin="")
    assert ob3.issuer_node(bare).keys() == {"id", "type", "name", "url"}
