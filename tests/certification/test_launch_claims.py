"""1EdTech's certification of LTI 1.3 core, table A: the bad payloads, then the valid teacher and student launches.

Against the lti room; the same rows run over HTTP where the routes are."""

from __future__ import annotations

import pytest

from lti_tool.demo.launches import MEMBERSHIP, SHORT
from lti_tool.errors import LaunchMalformed, LaunchRefused
from lti_tool.lti.roles import Role

INSTRUCTOR, LEARNER = f"{MEMBERSHIP}#Instructor", f"{MEMBERSHIP}#Learner"
PERSONAL = ("name", "given_name", "family_name", "email")


def refused(room, **overrides):
    with pytest.raises(LaunchRefused) as refusal:
        room.launch(**overrides)
    assert refusal.value.sentence.endswith(".")
    return refusal.value


def test_a01_a_header_without_kid_is_refused_and_nothing_is_used_up(room):
    refusal = refused(room, headers={"kid": None})
    assert (refusal.status, refusal.reason) == (401, "kid_missing")
    assert room.logins.used() == 0
    assert room.asked("jwks") == []


def test_a02_an_unknown_kid_is_refused_after_exactly_one_refetch(room):
    room.launch()
    room.lms.requests.clear()
    refusal = refused(room, headers={"kid": "imsglobal_02"})
    assert (refusal.status, refusal.reason) == (401, "kid_unknown")
    assert len(room.asked("jwks")) == 1
    refused(room, headers={"kid": "imsglobal_02"})
    assert len(room.asked("jwks")) == 1
    refused(room, headers={"kid": "imsglobal_03"})
    assert len(room.asked("jwks")) == 2  # it may be a key that the platform has just begun to use


def test_a02_an_unknown_kid_at_the_first_launch_of_all_asks_once(room):
    assert refused(room, headers={"kid": "imsglobal_02"}).reason == "kid_unknown"
    assert len(room.asked("jwks")) == 1


@pytest.mark.parametrize("version", ["11.3", "1.2.0", 1.3, None, ["1.3.0"]])
def test_a03_another_version_is_refused(room, version):
    assert refused(room, claims={"version": version}).reason == "version"


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        pytest.param("version", "version", id="a04"),
        pytest.param("message_type", "message_type", id="a08"),
        pytest.param("roles", "roles", id="a09"),
        pytest.param("deployment_id", "deployment_id", id="a10"),
        pytest.param("resource_link", "resource_link", id="a11"),
        pytest.param("sub", "sub", id="a12"),
    ],
)
def test_a_missing_message_claim_is_a_malformed_launch(room, claim, reason):
    refusal = refused(room, drop=[claim])
    assert isinstance(refusal, LaunchMalformed)
    assert (refusal.status, refusal.reason) == (400, reason)


def test_a11_a_resource_link_without_id_is_a_malformed_launch(room):
    assert refused(room, claims={"resource_link": {"id": ""}}).reason == "resource_link"


def test_a12_the_page_for_a_launch_without_sub_says_that_badges_go_to_people(room):
    assert "people" in refused(room, drop=["sub"]).sentence


def test_a05_a_token_that_is_no_lti_message_is_refused(room):
    started = room.login()
    form = {**room.form(started), "id_token": room.lms.sign({"name": "badltilaunch"})}
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret)
    assert refusal.value.status == 401


def test_a06_a_token_without_the_claims_of_lti_is_refused(room):
    refusal = refused(room, drop=["aud", "iss", "sub", "deployment_id", "roles"])
    assert (refusal.status, refusal.reason) == (401, "claim_missing")


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat"])
def test_a06_a_token_without_a_claim_of_security_is_refused(room, claim):
    refusal = refused(room, drop=[claim])
    assert (refusal.status, refusal.reason) == (401, "claim_missing")


def test_a07_wrong_timestamps_are_refused(room):
    refusal = refused(room, claims={"iat": 11111, "exp": 22222})
    assert (refusal.status, refusal.reason) == (401, "expired")


# A13 to A30: the valid launches. (row of the teacher, row of the student, changes, roles expected)
VALID = [
    pytest.param({}, "own", id="a13-a22-standard"),
    pytest.param({"roles": "several"}, "own", id="a14-a23-multiple-roles"),
    pytest.param({"roles": "short"}, "own", id="a15-a24-short-role"),
    pytest.param({"roles": ["http://purl.imsglobal.org/vocab/lis/v2/uknownrole/unknown#Helper"]}, None, id="a16-a25"),
    pytest.param({"roles": []}, None, id="a17-a26-no-role"),
    pytest.param({"drop": ("name", "given_name", "family_name")}, "own", id="a18-a27-e-mail-only"),
    pytest.param({"drop": ("email",)}, "own", id="a19-a28-names-only"),
    pytest.param({"drop": PERSONAL}, "own", id="a20-a29-no-personal-data"),
    pytest.param({"drop": ("context", "name", "given_name", "family_name")}, "own", id="a21-a30-e-mail-no-context"),
]


@pytest.mark.parametrize("who", ["teacher", "student"])
@pytest.mark.parametrize(("case", "expected"), VALID)
def test_a_valid_launch_comes_in_with_the_rights_its_roles_give(room, who, case, expected):
    own = Role.INSTRUCTOR if who == "teacher" else Role.LEARNER
    named = {
        "several": [INSTRUCTOR if who == "teacher" else LEARNER, f"{MEMBERSHIP}#Mentor"],
        "short": [own.value],
    }
    roles = case.get("roles")
    claims = {} if roles is None else {"roles": named[roles] if isinstance(roles, str) else roles}
    dropped = case.get("drop", ())
    launch = room.launch(room.teacher if who == "teacher" else room.students[0], claims=claims, drop=list(dropped))
    assert (own in launch.course_roles) is (expected == "own")
    assert (Role.INSTRUCTOR in launch.course_roles) is (expected == "own" and who == "teacher")
    if expected is None:
        assert launch.course_roles == ()
    assert (launch.name is None) is ("name" in dropped)
    assert (launch.email is None) is ("email" in dropped)
    assert (launch.context is None) is ("context" in dropped)


def test_a38_the_roster_address_is_read_as_given(room):
    launch = room.launch()
    assert launch.memberships_url == launch.raw[SHORT["nrps"]]["context_memberships_url"]


def test_a43_the_gradebook_addresses_and_scopes_are_read_as_given(room):
    launch = room.launch()
    assert launch.ags is not None
    assert launch.ags.line_items == room.line_items_url
    assert set(launch.ags.scopes) == set(launch.raw[SHORT["ags"]]["scope"])
