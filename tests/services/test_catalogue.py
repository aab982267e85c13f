"""What catalogues and registries read: in the definition file, in the editor, on the issuer's page."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import requests

from lti_tool.credentials.ob3 import Address
from lti_tool.domain.badge import Alignment, Creator, Identifier, Related
from lti_tool.errors import DefinitionInvalid
from lti_tool.services import draft_values
from lti_tool.services.definition import read_definition, write_definition
from lti_tool.services.draft_acts import act
from lti_tool.services.issuer import issuer_profile
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.credentials import examples

FULL = replace(
    badge("full", rows=1),
    type="Competency",
    field_of_study="Communication",
    specialization="Career readiness",
    human_code="COM-210",
    identifiers=(Identifier("ext:ctid", "ce-98cb027b-95ef-4494-908d-6f7790ec6b6b"),),
    creator=Creator("The department", "https://comm.example.edu", "", "Since 1921."),
    related=(Related("https://badges.example.edu/achievements/x/v1", "es", "1"),),
    alignment=(Alignment("F", "N", "https://f.example/1", "C", "CTDL", "What it says."),),
)


def test_a_definition_file_with_all_of_it_reads_back_equal() -> None:
    text = write_definition(FULL)
    assert read_definition(text, "full.toml") == FULL
    assert "human_code" in text and "[badge.creator]" in text


def test_a_micro_credential_spelled_out_is_the_same_definition() -> None:
    text = write_definition(replace(FULL, type="")).replace("[badge]\n", '[badge]\ntype = "MicroCredential"\n')
    assert read_definition(text, "x.toml").digest() == replace(FULL, type="").digest()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('type = "Competency"', 'type = "Trophy"', "no type of achievement"),
        ("ext:ctid", "ctid", "no type of identifier"),
        ("ce-98cb027b-95ef-4494-908d-6f7790ec6b6b", " ", "write the identifier"),
        ("https://badges.example.edu/achievements/x/v1", "badges.example.edu", "begins with https://"),
        ('language = "es"', 'language = "Spanish"', "not a language tag"),
        ("https://comm.example.edu", "comm", "begins with https://"),
        ('name = "The department"', 'name = ""', "name who made the badge"),
        ('type = "CTDL"', 'type = "Thing"', "no type of target"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(old: str, new: str, sentence: str) -> None:
    text = write_definition(FULL)
    assert old in text
    with pytest.raises(DefinitionInvalid) as refused:
        read_definition(text.replace(old, new), "x.toml")
    ((line, told),) = refused.value.problems
    assert sentence in told and line > 1


def test_the_editor_makes_an_equal_definition_of_it_again() -> None:
    values = draft_values.values_of(FULL)
    assert values["identifiers"] == "ext:ctid ce-98cb027b-95ef-4494-908d-6f7790ec6b6b\n"
    made, problems = draft_values.definition(values, FULL.slug)
    assert problems == {} and made == FULL


def test_a_ctid_alone_is_an_identifier_and_other_lines_need_both() -> None:
    values = {**draft_values.values_of(FULL), "identifiers": "ce-98cb027b-95ef-4494-908d-6f7790ec6b6b\n"}
    made, problems = draft_values.definition(values, FULL.slug)
    assert problems == {} and made.identifiers == FULL.identifiers
    _made, problems = draft_values.definition({**values, "identifiers": "210"}, FULL.slug)
    assert set(problems) == {"identifiers"}
    _made, problems = draft_values.definition({**values, "related": "nowhere es"}, FULL.slug)
    assert set(problems) == {"related"}
    _made, problems = draft_values.definition({**values, "creator": {**values["creator"], "name": " "}}, FULL.slug)
    assert set(problems) == {"creator.name"}
    _made, problems = draft_values.definition({**values, "type": "Trophy"}, FULL.slug)
    assert set(problems) == {"type"}


def test_a_draft_begun_before_these_were_asked_for_goes_on() -> None:
    """What lies in the database has none of the fields, in its alignments neither."""
    values = draft_values.values_of(replace(badge("old", rows=1), alignment=FULL.alignment))
    act(values, "alignment.add:r1")
    old = copy.deepcopy(values)
    for name in (*draft_values.LATER, "creator"):
        del old[name]
    for each in (*old["alignment"], *old["rows"][0]["alignment"]):
        for name in draft_values.LATER_OF_ALIGNMENTS:
            del each[name]
    assert draft_values.definition(old, "old")[1] == {}
    whole = draft_values.complete(old)
    draft_values.write(whole, "human_code", "COM-1")
    draft_values.write(whole, "creator.name", "The library")
    draft_values.write(whole, "alignment.a1.type", "CFItem")
    made, problems = draft_values.definition(whole, "old")
    assert problems == {} and (made.human_code, made.creator) == ("COM-1", Creator("The library"))
    assert made.alignment[0].type == "CFItem"


def test_it_stands_in_the_editor_and_on_the_public_page(room):  # noqa: F811
    room.put(FULL)
    page = room.page.get(f"badges/{FULL.slug}/edit").text
    assert "For catalogues and registries" in page and 'value="COM-210"' in page and 'value="CTDL" selected' in page
    room.publish_again()
    room.grade(room.students[0], 3)
    room.sync()
    address = room.award()["achievement"]
    shown = requests.get(address, timeout=20).text
    assert all(words in shown for words in ("COM-210", "Career readiness", "The department", "ce-98cb027b"))
    document = requests.get(f"{address}.json", timeout=20).json()
    assert document["humanCode"] == "COM-210" and "related" in document
    room.publish(replace(FULL, human_code="COM-211"))
    second = requests.get(address.replace("/v1", "/v2"), timeout=20)
    assert "Other entries for catalogues" in room.page.get(f"badges/{FULL.slug}/history").text
    assert f'href="{address}"' in second.text
    assert requests.get(f"{address}.json", timeout=20).json() == document


# -- the institution --------------------------------------------------------------------------------------------


def told(**changes: str) -> dict[str, str]:
    values = {"name": "Hallwood University", "url": "https://hallwood.example", "accent": "#0E5468"}
    return {**values, "parent_name": "State System", "parent_url": "https://system.example.edu", "phone": "+1 555 0100",
            "street": "1 Main Street", "country_code": "us", "identifiers": "ext:ror 05abc12\n", **changes}  # fmt: skip


def test_the_issuer_s_page_takes_parent_address_and_identifiers(shared):  # noqa: F811
    shared.forget_sign_ins()
    admin = shared.administrator()
    try:
        done = admin.post("/admin/issuer", told(terms_url="https://hallwood.example/terms"))
        assert done.status_code == 200 and "Saved." in done.text and "State System" in done.text
        with shared.tool.db.read() as session:
            profile = issuer_profile(session, shared.tool)
        assert profile.address == Address("1 Main Street", country_code="US")
        assert profile.identifiers == (Identifier("ext:ror", "05abc12"),)
        assert (profile.parent_name, profile.parent_url) == ("State System", "https://system.example.edu")
        page = requests.get(f"{shared.url}/issuers/hallwood", timeout=20).text
        assert "State System" in page and "+1 555 0100" in page and "https://hallwood.example/terms" in page
        assert (
            requests.get(f"{shared.url}/issuers/hallwood.json", timeout=20).json()["parentOrg"]["name"]
            == "State System"
        )
    finally:
        admin.post("/admin/issuer", {k: v for k, v in told().items() if k in ("name", "url", "accent")})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parent_url", "system"),
        ("terms_url", "https://x y"),
        ("phone", "call me"),
        ("country_code", "USA"),
        ("identifiers", "ror"),
        ("identifiers", "nonsense 1"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field_and_nothing_is_lost(shared, name, text):  # noqa: F811
    shared.forget_sign_ins()
    answer = shared.administrator().post("/admin/issuer", told(**{name: text}))
    assert answer.status_code == 400 and f'id="{name}-problem"' in answer.text and text in answer.text
    assert "State System" in answer.text


def test_the_examples_of_the_tests_are_definitions() -> None:
    assert read_definition(write_definition(examples.full_badge()), "x.toml") == examples.full_badge()
