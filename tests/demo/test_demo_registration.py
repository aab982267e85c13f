"""How the demo LMS registers tools, checked from the tool's side of the wire."""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

CONFIG = "https://purl.imsglobal.org/spec/lti-tool-configuration"
SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"


def begin(lms, url="http://tool.example/register?invite=1"):
    """Open the registration as an administrator does; gives the configuration and the token."""
    asked = parse_qs(urlsplit(lms.registration_address(url)).query)
    token = asked["registration_token"][0]
    answer = requests.get(asked["openid_configuration"][0], headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert asked["invite"] == ["1"] and answer.status_code == 200
    return answer.json(), token


def request_for(configuration, **changes):
    config = {
        "domain": "tool.example",
        "target_link_uri": "http://tool.example/launch",
        "claims": ["iss", "sub", "name", "email"],
        "messages": [{"type": "LtiDeepLinkingRequest", "target_link_uri": "http://tool.example/deep"}],
        **changes.pop("config", {}),
    }
    return {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["client_credentials", "implicit"],
        "initiate_login_uri": "http://tool.example/login",
        "redirect_uris": ["http://tool.example/launch"],
        "client_name": "A tool",
        "jwks_uri": "http://tool.example/jwks",
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": f"{SCOPE}lineitem.readonly {SCOPE}result.readonly",
        CONFIG: config,
        **changes,
    }


def ask(configuration, token, body):
    return requests.post(
        configuration["registration_endpoint"], json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10
    )


def test_moodle_answers_scopes_it_has_not_given_and_keeps_the_tool_pending(moodle):
    configuration, token = begin(moodle.lms)
    answer = ask(configuration, token, request_for(configuration)).json()
    tool = moodle.lms.tools[answer["client_id"]]
    assert f"{SCOPE}lineitem" in answer["scope"].split() and f"{SCOPE}lineitem" not in tool.scopes
    assert (tool.active, tool.shown, answer[CONFIG]["deployment_id"]) == (False, False, tool.deployment_id)


def test_moodle_s_registration_token_is_good_once(moodle):
    configuration, token = begin(moodle.lms)
    assert ask(configuration, token, request_for(configuration)).status_code == 200
    again = ask(configuration, token, request_for(configuration))
    assert (again.status_code, again.text) == (401, "token_already_used")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"config": {"domain": ""}}, "missing_domain"),
        ({"config": {"domain": "other.example"}}, "domain_target_link_uri_mismatch"),
        ({"jwks_uri": ""}, "missing_jwks_uri"),
    ],
)
def test_moodle_refuses_in_plain_words(moodle, changes, word):
    configuration, token = begin(moodle.lms)
    answer = ask(configuration, token, request_for(configuration, **changes))
    assert (answer.status_code, answer.text) == (400, word)


def test_canvas_s_configuration_needs_the_token(canvas):
    asked = parse_qs(urlsplit(canvas.lms.registration_address("http://tool.example/")).query)
    assert requests.get(asked["openid_configuration"][0], timeout=10).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "https://nobody.example/scope"},
        {"grant_types": ["implicit"]},
        {"config": {"messages": []}},
        {"config": {"messages": [{"type": "LtiResourceLinkRequest", "placements": ["nowhere"]}]}},
    ],
)
def test_canvas_refuses_what_its_schema_does_not_know(canvas, changes):
    configuration, token = begin(canvas.lms)
    assert ask(configuration, token, request_for(configuration, **changes)).status_code == 422
    assert ask(configuration, token, request_for(configuration)).status_code == 200


def test_canvas_s_new_key_is_off_and_deployed_nowhere(canvas):
    configuration, token = begin(canvas.lms)
    answer = ask(configuration, token, request_for(configuration)).json()
    tool = canvas.lms.tools[answer["client_id"]]
    assert (tool.active, tool.deployment_ids, tool.placements) == (False, [], ["link_selection"])
    assert canvas.ask_token(iss=tool.client_id, sub=tool.client_id).status_code == 401


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_only_an_administrator_opens_the_page_of_tools(site, mood):
    lms = site.lmses[mood]
    at = {"headers": {"Host": f"lms.localhost:{site.port}"}, "timeout": 10}
    page = f"{site.url}/{mood}/tools"
    admin, teacher = lms.user("admin1"), lms.user("teacher1")
    assert requests.get(f"{page}?as={teacher.id}", **at).status_code == 403
    shown = requests.get(f"{page}?as={admin.id}", **at)
    assert shown.status_code == 200 and "Register a tool" in shown.text


def test_a_snapshot_keeps_what_a_tool_became(site, tmp_path):
    from lti_tool.demo import Lms

    tool = site.moodle.register_tool("http://t/l", "http://t/x", "http://t/j", active=False)
    site.moodle.save(tmp_path / "moodle.json")
    again = Lms("moodle", site.url, site.url, state_path=tmp_path / "moodle.json")
    assert again.tools[tool.client_id].active is False
