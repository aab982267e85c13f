"""Third-party login initiation: the login rows of table C."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from lti_tool.errors import LaunchMalformed, LaunchRefused
from lti_tool.lti.login import login_cookie, same_secret, storage_key
from tests.lti.room import OUR_LAUNCH


def asked(room, **changes):
    """The parameters of a login, some of them changed (None: left out)."""
    honest = room.lms.login_request(room.tool, room.teacher, room.course)
    return {name: value for name, value in {**honest, **changes}.items() if value is not None}


def query(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


@pytest.mark.parametrize("missing", ["iss", "login_hint", "target_link_uri"])
@pytest.mark.parametrize("value", [None, ""])
def test_C01_a_login_without_a_required_parameter_is_malformed(room, missing, value):
    with pytest.raises(LaunchMalformed) as refusal:
        room.start(asked(room, **{missing: value}))
    assert (refusal.value.status, refusal.value.reason) == (400, "login_parameter")


@pytest.mark.parametrize("iss", ["https://stranger.example", "{iss}/", "{ISS}"])
def test_C02_an_issuer_that_is_not_registered_is_refused(room, iss):
    iss = iss.format(iss=room.lms.issuer, ISS=room.lms.issuer.upper())
    with pytest.raises(LaunchRefused) as refusal:
        room.start(asked(room, iss=iss))
    assert (refusal.value.status, refusal.value.reason) == (401, "registration_unknown")
    assert iss not in refusal.value.sentence


def test_C02_a_client_id_that_is_not_registered_is_refused(room):
    with pytest.raises(LaunchRefused) as refusal:
        room.start(asked(room, client_id="stranger"))
    assert refusal.value.reason == "registration_unknown"


def test_C03_an_issuer_with_two_client_ids_needs_one_named(room):
    room.registrations.append(replace(room.registration, id=9999, client_id="second"))
    with pytest.raises(LaunchMalformed) as refusal:
        room.start(asked(room, client_id=None))
    assert (refusal.value.status, refusal.value.reason) == (400, "client_id_needed")
    assert "client_id" in refusal.value.what_to_do
    assert room.start(asked(room, client_id="second")).row.registration_id == 9999
    assert room.start(asked(room)).row.registration_id == room.registration.id


def test_C03_an_issuer_with_one_client_id_needs_none_named(room):
    assert room.start(asked(room, client_id=None)).row.registration_id == room.registration.id


def test_C04_the_redirect_asks_for_all_that_canvas_requires(room):
    request = asked(room)
    started = room.start(request)
    assert started.redirect_url.startswith(room.lms.auth_url + "?")
    sent = query(started.redirect_url)
    assert sent == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": room.tool.client_id,
        "redirect_uri": OUR_LAUNCH,
        "login_hint": request["login_hint"],
        "lti_message_hint": request["lti_message_hint"],
        "nonce": started.row.nonce,
        "state": started.state,
    }


@pytest.mark.parametrize("hint", ['{"cmid":3,"launchid":"ltilaunch1_1"}', "eyJ.a-b_c.d", "a b+c%20&x=1#é", "\t\n"])
def test_C04_the_message_hint_goes_back_unaltered(room, hint):
    assert query(room.start(asked(room, lti_message_hint=hint)).redirect_url)["lti_message_hint"] == hint


def test_C04_without_a_message_hint_none_is_sent(room):
    assert "lti_message_hint" not in query(room.start(asked(room, lti_message_hint=None)).redirect_url)


def test_C04_a_login_address_with_a_query_of_its_own_keeps_it(room):
    address = room.registration.auth_login_url + "?tenant=1"
    room.registrations[0] = replace(room.registration, auth_login_url=address)
    sent = query(room.start(asked(room)).redirect_url)
    assert sent["tenant"] == "1" and sent["scope"] == "openid"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/lti/launch",
        "//evil.example/",
        "javascript:alert(1)",
        "\\\\evil.example",
        "/\\evil.example",
        "http://tool.localhost:8000\\@evil.example/",
        "http://tool.localhost:8000@evil.example/",
        "http://tool.localhost:8000.evil.example/",
        "http://tool.localhost:8001/",
        "https://tool.localhost:8000/",
        "http://tool.localhost/",
        "http:///tool.localhost:8000/",
        " http://tool.localhost:8000/",
        "http://tool.localhost:8000/\n",
        "http://[/",
        "/lti/launch",
        "x",
    ],
)
def test_C06_a_target_on_another_host_is_refused(room, target):
    with pytest.raises(LaunchMalformed) as refusal:
        room.start(asked(room, target_link_uri=target))
    assert (refusal.value.status, refusal.value.reason) == (400, "target_link_uri_elsewhere")


def test_C06_a_page_of_ours_as_target_does_not_change_the_redirect_uri(room):
    started = room.start(asked(room, target_link_uri="http://tool.localhost:8000/lti/launch?badge=1"))
    assert query(started.redirect_url)["redirect_uri"] == OUR_LAUNCH
    assert started.row.target_link_uri.endswith("?badge=1")


def test_C09_a_login_lasts_ten_minutes(room):
    row = room.login().row
    assert row.expires_at - row.created_at == timedelta(minutes=10)


def test_C10_each_login_has_random_values_of_256_bits_and_a_cookie_of_its_own(room):
    started = [room.login() for _ in range(5)]
    for values in ([s.state for s in started], [s.row.nonce for s in started], [s.browser_secret for s in started]):
        assert len(set(values)) == 5
        assert all(len(value) >= 43 for value in values)
    assert len({login_cookie(s.state) for s in started}) == 5
    assert login_cookie("; Path=/\r\n").replace("-", "").isalnum()
    assert all(s.state in storage_key(s.state) for s in started)


def test_C14_the_frame_for_platform_storage_is_kept_where_it_can_be_a_frame_name(room):
    for target, kept in (("_parent", "_parent"), ("", None), ("x" * 256, None), ("é", None), ("a\nb", None)):
        assert room.start(asked(room, lti_storage_target=target)).row.storage_target == kept


def test_C17_the_origin_for_platform_storage_is_that_of_the_login_address(room):
    origin = room.login().registration.storage_origin
    assert room.lms.auth_url.startswith(origin + "/") and origin.count("/") == 2


@pytest.mark.parametrize("changes", [{"login_hint": "x" * 9000}, {"lti_message_hint": "a\0b"}])
def test_a_parameter_that_no_lms_sends_is_malformed(room, changes):
    with pytest.raises(LaunchMalformed):
        room.start(asked(room, **changes))


def test_a_secret_fits_only_its_own_hash(room):
    started = room.login()
    assert same_secret(started.browser_secret, started.row.browser_hash)
    for wrong in (None, "", started.state, started.row.browser_hash):
        assert not same_secret(wrong, started.row.browser_hash)
