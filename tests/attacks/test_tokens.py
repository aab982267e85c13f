"""Attacks on the id token, table B, and the login rows of table C that end at the launch."""

from __future__ import annotations

import http.server
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lti_tool.demo.keys import SigningKey, b64
from lti_tool.demo.launches import MEMBERSHIP
from lti_tool.errors import LaunchMalformed, LaunchRefused
from lti_tool.lti.ags import SCORE
from lti_tool.lti.launch import StorageNeeded
from lti_tool.lti.platform_keys import parse_jwks
from lti_tool.lti.registration import digest


def refused(room, **overrides):
    with pytest.raises(LaunchRefused) as refusal:
        room.launch(**overrides)
    return refusal.value


def test_b01_alg_none_is_refused(room):
    refusal = refused(room, alg="none")
    assert (refusal.status, refusal.reason) == (401, "algorithm")


def test_b02_hs256_with_the_public_key_as_secret_is_refused(room):
    assert refused(room, alg="HS256").reason == "algorithm"


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "ES256"])
def test_b03_another_algorithm_is_refused_even_with_the_right_key(room, alg):
    assert refused(room, alg=alg).reason == "algorithm"


@pytest.mark.parametrize("alg", ["rs256", "none ", "None", "", 256, None])
def test_b03_an_algorithm_that_only_resembles_rs256_is_refused(room, alg):
    assert refused(room, headers={"alg": alg}).status == 401


@contextmanager
def listening():
    """A server of the attacker's that notes every request."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/keys", seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_b04_b06_a_key_address_in_the_header_is_never_asked(room, header):
    attacker = SigningKey("attacker")
    with listening() as (url, seen):
        refusal = refused(room, headers={header: url, "kid": "attacker"}, key=attacker)
        assert refusal.reason == "kid_unknown"
        assert refused(room, headers={header: url}, key=attacker).reason == "signature"
    assert seen == []


def test_b05_a_key_in_the_header_is_not_used(room):
    attacker = SigningKey("attacker")
    assert refused(room, headers={"jwk": attacker.jwk, "kid": "attacker"}, key=attacker).reason == "kid_unknown"
    assert refused(room, headers={"jwk": attacker.jwk}, key=attacker).reason == "signature"


def test_b06_a_certificate_in_the_header_is_not_used(room):
    assert refused(room, headers={"x5c": ["MIIB"]}, key=SigningKey("attacker")).reason == "signature"


@pytest.mark.parametrize("kid", ["../../etc/passwd", "' OR 1=1 --", "x" * 5000, "\0", 7, ["a"], {"a": 1}])
def test_a_kid_is_only_ever_a_name_to_look_up(room, kid):
    refusal = refused(room, headers={"kid": kid})
    assert refusal.reason in ("kid_unknown", "token_malformed")


def test_b08_a_payload_changed_after_signing_is_refused(room):
    started = room.login(room.students[0])
    form = room.form(started)
    header, _, signature = form["id_token"].split(".")
    claims = jwt.decode(form["id_token"], options={"verify_signature": False})
    claims["https://purl.imsglobal.org/spec/lti/claim/roles"] = [f"{MEMBERSHIP}#Instructor"]
    form["id_token"] = f"{header}.{b64(json.dumps(claims).encode())}.{signature}"
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret)
    assert refusal.value.reason == "signature"


def test_b09_the_key_of_another_registered_platform_signs_nothing_here(canvas, moodle):
    assert refused(canvas, key=moodle.lms.signing_key).reason == "signature"
    kid = moodle.lms.signing_key.kid
    assert refused(canvas, key=moodle.lms.signing_key, headers={"kid": kid}).reason == "kid_unknown"


def test_b10_a_token_of_platform_a_with_the_issuer_of_b_is_refused(canvas, moodle):
    assert refused(canvas, claims={"iss": moodle.lms.issuer}).reason == "issuer"


@pytest.mark.parametrize("bend", [lambda i: i + "/", str.upper, lambda i: i.replace("o", "о", 1), lambda i: [i]])
def test_b11_an_issuer_that_only_resembles_is_refused(room, bend):
    assert refused(room, claims={"iss": bend(room.lms.issuer)}).status == 401


@pytest.mark.parametrize("audience", ["another-client", ["another-client"], [], "", {"a": 1}, 7, [7]])
def test_b12_a_token_for_another_client_is_refused(room, audience):
    assert refused(room, claims={"aud": audience, "azp": None}).status == 401


def test_b12_a_token_for_another_client_of_the_same_issuer_is_refused(canvas):
    other = canvas.lms.register_tool("http://x.example/login", "http://x.example/launch", "http://x.example/jwks")
    assert refused(canvas, claims={"aud": other.client_id, "azp": other.client_id}).reason == "audience"


def test_b13_a_list_with_only_our_client_id_is_accepted(room):
    assert room.launch(claims={"aud": [room.tool.client_id]}, drop=["azp"]).sub


def test_b14_a_list_with_a_stranger_and_no_azp_is_refused(room):
    refusal = refused(room, claims={"aud": [room.tool.client_id, "stranger"]}, drop=["azp"])
    assert (refusal.status, refusal.reason) == (401, "audience")


def test_b14_a_list_with_a_stranger_is_accepted_where_azp_says_it_is_for_us(room):
    assert room.launch(claims={"aud": [room.tool.client_id, "stranger"], "azp": room.tool.client_id}).sub


@pytest.mark.parametrize("azp", ["stranger", "", ["a"], 0])
def test_b15_an_azp_that_is_another_client_is_refused(room, azp):
    assert refused(room, claims={"azp": azp}).reason == "azp"


def test_b16_an_exp_20_seconds_ago_is_within_the_leeway(room):
    now = int(time.time())
    assert room.launch(claims={"exp": now - 20, "iat": now - 60}).sub


def test_b16_an_exp_60_seconds_ago_is_refused(room):
    now = int(time.time())
    assert refused(room, claims={"exp": now - 60, "iat": now - 120}).reason == "expired"


def test_b17_an_iat_5_seconds_ahead_is_within_the_leeway(room):
    assert room.launch(claims={"iat": int(time.time()) + 5}).sub


def test_b17_an_iat_10_minutes_ahead_is_refused(room):
    assert refused(room, claims={"iat": int(time.time()) + 600}).reason == "iat_future"


def test_b18_a_token_an_hour_old_is_refused_though_it_ends_tomorrow(room):
    now = int(time.time())
    assert refused(room, claims={"iat": now - 3600, "exp": now + 86400}).reason == "too_old"


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("value", ["soon", None, True, [], {}, float("nan"), float("inf"), "9" * 400])
def test_b18_a_time_that_is_no_number_is_refused(room, claim, value):
    assert refused(room, claims={claim: value}).status == 401


def test_b18_a_token_that_is_not_valid_yet_is_refused(room):
    assert refused(room, claims={"nbf": int(time.time()) + 600}).reason == "not_yet_valid"


def test_b20_a_token_without_nonce_is_refused(room):
    refusal = refused(room, drop=["nonce"])
    assert (refusal.status, refusal.reason) == (401, "nonce")


@pytest.mark.parametrize("nonce", ["", None, "guessed", 7, ["a"]])
def test_b20_a_nonce_that_is_not_the_logins_is_refused(room, nonce):
    assert refused(room, claims={"nonce": nonce}).reason == "nonce"


def test_b21_the_nonce_of_one_login_does_not_serve_another(room):
    one, other = room.login(), room.login()
    form = {**room.form(one), "state": other.state}
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, other.browser_secret)
    assert refusal.value.reason == "nonce"
    assert room.logins.used() == 0


def test_b22_a_launch_is_good_once(room):
    started = room.login()
    form = room.form(started)
    assert room.verify(form, started.browser_secret).sub
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret)
    assert (refusal.value.status, refusal.value.reason) == (401, "state_used")


def test_b23_of_20_threads_with_the_same_launch_exactly_one_comes_in(room):
    started = room.login()
    form = room.form(started)
    start = threading.Barrier(20)

    def post(_):
        start.wait()
        try:
            return room.verify(form, started.browser_secret).sub
        except LaunchRefused as refusal:
            return refusal.reason

    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(post, range(20)))
    assert sorted(outcomes) == sorted([room.teacher.id] + ["state_used"] * 19)
    assert len(room.asked("jwks")) == 1


def test_a_forged_token_uses_no_login_up(room):
    started = room.login()
    bad = room.form(started, key=SigningKey("attacker"))
    with pytest.raises(LaunchRefused):
        room.verify(bad, started.browser_secret)
    good = {**bad, "id_token": token_for(room, started)}
    assert room.verify(good, started.browser_secret).sub


def token_for(room, started):
    return room.lms.id_token(room.tool, room.teacher, room.course, nonce=started.row.nonce)


# B26: the platform's key set is spoilt


@pytest.mark.parametrize("kind", ["same_kid", "not_rsa", "broken_rsa", "no_keys", "empty_keys", "html", "huge"])
def test_b26_a_key_set_that_is_not_one_lets_nobody_in(room, kind):
    room.lms.faults.on("jwks", kind)
    assert refused(room).reason == "kid_unknown"


@pytest.mark.parametrize("kind", ["same_kid", "not_rsa", "broken_rsa", "no_keys", "empty_keys", "html", "huge", "drop"])
def test_b26_a_bad_answer_does_not_take_the_place_of_good_keys(room, kind):
    room.launch()
    room.lms.faults.on("jwks", kind)
    assert refused(room, headers={"kid": "unknown"}).reason == "kid_unknown"
    assert room.launch().sub


def test_b26_a_redirect_of_the_key_address_to_another_host_is_refused(room):
    with listening() as (url, seen):
        room.lms.faults.on("jwks", "redirect", to=url)
        assert refused(room).reason == "kid_unknown"
    assert seen == []


def test_b26_keys_of_another_kind_or_size_are_left_out():
    good = SigningKey("good").jwk
    elliptic = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    entries = [
        good,
        {**elliptic, "kid": "ec"},
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "other-alg", "alg": "RS512"},
        {**good, "kid": "short", "n": b64((2**1023 + 1).to_bytes(128, "big"))},
        {**good, "kid": "endless", "n": b64(b"\xff" * 4096)},
        {**good, "kid": "even", "e": "AA"},
        {**good, "kid": "numbers", "n": 7},
        {**good, "kid": 7},
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"},
        {key: value for key, value in good.items() if key != "kid"},
        "key",
        None,
    ]
    assert set(parse_jwks(json.dumps({"keys": entries}))) == {"good"}


def test_b26_a_key_id_with_two_keys_names_neither_but_with_one_key_twice_names_it():
    one, other = SigningKey("k").jwk, SigningKey("k").jwk
    assert parse_jwks(json.dumps({"keys": [one, other, one]})) == {}
    assert set(parse_jwks(json.dumps({"keys": [one, one, {**other, "use": "enc"}]}))) == {"k"}


@pytest.mark.parametrize("text", ["", "[]", "null", '{"keys": 7}', '{"keys": {}}', "[" * 100_000, '{"keys": [[[]]]}'])
def test_b26_what_is_no_key_set_has_no_keys(text):
    assert parse_jwks(text) == {}


# B28: identifiers


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "x" * 256},
        {"sub": "a\0b"},
        {"sub": "\ud800"},
        {"context": {"id": "x" * 256}},
        {"context": {"id": "\0"}},
        {"deployment_id": "x" * 256},
        {"deployment_id": "\0"},
        {"resource_link": {"id": "x" * 256}},
    ],
)
def test_b28_an_identifier_too_long_or_with_nul_is_refused(room, claims):
    with pytest.raises(LaunchMalformed) as refusal:
        room.launch(claims=claims)
    assert (refusal.value.status, refusal.value.reason) == (400, "too_long")


@pytest.mark.parametrize("value", ["x" * 255, "\u202eabc", "🦊", "<script>", "' OR 1=1"])
def test_b28_a_strange_identifier_is_kept_as_it_is(room, value):
    launch = room.launch(claims={"sub": value, "context": {"id": value, "title": f"T\0{value}"}})
    assert launch.sub == value and launch.context.id == value
    assert "\0" not in launch.context.title


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 7},
        {"sub": ["a"]},
        {"roles": "Instructor"},
        {"roles": [7]},
        {"roles": None},
        {"context": "course"},
        {"context": {"id": 7}},
        {"resource_link": "x"},
        {"custom": "x"},
        {"ags": "x"},
        {"nrps": ["x"]},
        {"message_type": ["LtiResourceLinkRequest"]},
        {"message_type": {}},
        {"deployment_id": 7},
    ],
)
def test_a_claim_of_another_kind_is_a_malformed_launch(room, claims):
    with pytest.raises(LaunchMalformed) as refusal:
        room.launch(claims=claims)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "..", "\0", "[" * 60_000, "x" * 200_000]
)
def test_what_is_no_token_is_refused(room, token):
    started = room.login()
    with pytest.raises(LaunchRefused):
        room.verify({**room.form(started), "id_token": token}, started.browser_secret)


@pytest.mark.parametrize("payload", ["x", 7, None, [], [1], "[" * 20_000])
def test_a_signed_payload_that_is_no_object_is_refused(room, payload):
    started = room.login()
    with pytest.raises(LaunchRefused):
        room.verify({**room.form(started), "id_token": room.lms.sign(payload)}, started.browser_secret)


def test_a_signed_payload_nested_without_end_is_refused(room):
    started = room.login()
    key = room.lms.signing_key
    head = b64(json.dumps({"alg": "RS256", "kid": key.kid}).encode())
    message = f"{head}.{b64(b'[' * 50_000)}"
    signature = jwt.get_algorithm_by_name("RS256").sign(message.encode(), key.private)
    with pytest.raises(LaunchRefused):
        room.verify({**room.form(started), "id_token": f"{message}.{b64(signature)}"}, started.browser_secret)


# C07 to C14: the launch belongs to this login, this browser, this time


def test_C07_a_target_that_differs_from_the_logins_is_refused(room):
    for target in ("http://tool.localhost:8000/lti/launch?x=1", "http://evil.example/", None, "", 7):
        refusal = refused(room, claims={"target_link_uri": target})
        assert (refusal.status, refusal.reason) == (401, "target_link_uri")
    assert refused(room, drop=["target_link_uri"]).reason == "target_link_uri"


@pytest.mark.parametrize(("state", "reason"), [(None, "state_missing"), ("", "state_missing"), ("x", "state_unknown")])
def test_C08_a_launch_without_a_state_of_ours_is_refused_without_asking_anybody(room, state, reason):
    started = room.login()
    form = {**room.form(started), "state": state}
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret)
    assert (refusal.value.status, refusal.value.reason) == (401, reason)
    assert room.asked("jwks") == []


def test_C08_another_browsers_cookie_does_not_fit(moodle):
    one, other = moodle.login(), moodle.login()
    for secret in (other.browser_secret, "", one.row.browser_hash):
        with pytest.raises(LaunchRefused) as refusal:
            moodle.verify(moodle.form(moodle.login()), secret)
        assert refusal.value.reason == "browser"
    assert moodle.logins.used() == 0


def test_C08_no_cookie_and_no_platform_storage_is_refused(moodle):
    with pytest.raises(LaunchRefused) as refusal:
        moodle.verify(moodle.form(moodle.login()), None)
    assert (refusal.value.status, refusal.value.reason) == (401, "browser")
    assert not isinstance(refusal.value, StorageNeeded)


def test_C09_a_login_older_than_ten_minutes_is_refused(room):
    started = room.login()
    form = room.form(started)
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret, now=room.clock() + timedelta(minutes=10))
    assert (refusal.value.status, refusal.value.reason) == (401, "state_expired")
    assert "Start again from your course" in refusal.value.sentence


def test_C10_two_tabs_opened_at_once_both_come_in(room):
    one, other = room.login(), room.login()
    assert room.verify(room.form(other), other.browser_secret).sub
    assert room.verify(room.form(one), one.browser_secret).sub


def test_C14_without_a_cookie_the_secret_comes_back_from_platform_storage(canvas):
    started = canvas.login()
    form = canvas.form(started)
    with pytest.raises(StorageNeeded) as needed:
        canvas.verify(form, None)
    assert needed.value.target == "post_message_forwarding"
    assert canvas.lms.auth_url.startswith(needed.value.origin + "/")
    assert canvas.logins.used() == 0
    assert canvas.verify(form, started.browser_secret).sub


def test_C14_platform_storage_is_not_offered_to_a_forged_token(canvas):
    started = canvas.login()
    with pytest.raises(LaunchRefused) as refusal:
        canvas.verify(canvas.form(started, key=SigningKey("attacker")), None)
    assert not isinstance(refusal.value, StorageNeeded)


def test_D12_an_unknown_deployment_is_refused(room):
    room.deployments.clear()
    refusal = refused(room)
    assert (refusal.status, refusal.reason) == (401, "deployment")


def test_D13_a_registration_switched_off_between_login_and_launch_is_refused(room):
    started = room.login()
    form = room.form(started)
    room.registrations.clear()
    with pytest.raises(LaunchRefused) as refusal:
        room.verify(form, started.browser_secret)
    assert refusal.value.reason == "registration_disabled"


def test_a_student_who_forges_a_submission_review_of_another_is_refused(moodle):
    """Moodle 4.5.6 signs it for anybody who writes another's id into the address."""
    learner, other = moodle.students[:2]
    review = {"message_type": "LtiSubmissionReviewRequest"}
    with pytest.raises(LaunchRefused) as refusal:
        moodle.launch(learner, login={**review, "for_user": other})
    assert (refusal.value.status, refusal.value.reason) == (403, "for_user_other")
    assert moodle.launch(learner, login={**review, "for_user": learner}).for_user.user_id == learner.id
    assert moodle.launch(moodle.teacher, login={**review, "for_user": other}).for_user.user_id == other.id


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("login_required", "login_required"),
        ("launch_no_longer_valid", "launch_no_longer_valid"),
        ("unauthorized_client", "unauthorized_client"),
        ("<script>", "platform_error"),
    ],
)
def test_an_error_in_place_of_a_launch_is_a_page_people_understand(room, error, reason):
    started = room.login()
    with pytest.raises(LaunchRefused) as refusal:
        room.verify({"error": error, "error_description": "<b>x</b>", "state": started.state}, started.browser_secret)
    assert refusal.value.reason == reason
    assert "<" not in refusal.value.detail + refusal.value.sentence


def test_no_refusal_repeats_anything_of_the_token(room):
    """L12: detail goes to the log."""
    for overrides in ({"drop": ["nonce"]}, {"claims": {"aud": "x"}}, {"claims": {"version": "1"}}, {"alg": "HS256"}):
        refusal = refused(room, **overrides)
        for private in (room.teacher.email, room.teacher.name, room.teacher.family_name, "eyJ"):
            assert private not in f"{refusal} {refusal.detail} {refusal.sentence} {refusal.what_to_do}"


def test_l12_nobodys_name_or_secret_is_in_what_a_log_may_hold(room):
    started = room.login()
    launch = room.verify(room.form(started), started.browser_secret)
    token = room.tokens.get(room.registration, [SCORE])
    written = f"{started!r} {launch!r} {token!r}"
    for private in (
        room.teacher.email,
        room.teacher.family_name,
        started.state,
        started.row.nonce,
        started.browser_secret,
        token.value,
    ):
        assert private not in written


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"typ": "x"}, {"zip": "DEF"}])
def test_other_headers_change_nothing_or_are_refused(room, headers):
    started = room.login()
    form = room.form(started, headers=headers)
    if "crit" in headers:
        with pytest.raises(LaunchRefused):
            room.verify(form, started.browser_secret)
    else:
        assert room.verify(form, started.browser_secret).sub


def test_a_fault_of_the_app_itself_is_not_taken_for_a_bad_launch(room):
    def broken(registration, deployment):
        raise KeyError("a mistake of ours")

    started = room.login()
    with pytest.raises(KeyError):
        room.verify(room.form(started), started.browser_secret, deployment_status=broken)


def test_the_login_row_holds_no_secret_of_the_browser(room):
    started = room.login()
    assert started.row.state_hash == digest(started.state)
    assert started.state not in repr(started.row) and started.browser_secret not in repr(started.row)
