"""Tables A and B over HTTP: what a browser would post against the running tool, and all that must be seen of it.

test_tokens.py asks the protocol room alone; here the answer, the cookie, the page and the log are looked at."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

import jwt
import pytest
import requests

from lti_tool.demo.keys import SigningKey, b64
from lti_tool.demo.launches import INSTITUTION, MEMBERSHIP, SYSTEM
from lti_tool.lti.platform_keys import MOST_IN_VAIN
from tests.attacks.test_tokens import listening
from tests.classroom import at_once, shared, tidy  # noqa: F401 (fixtures)
from tests.scene import COURSE, Scene, Visitor, browser_session

PERSONAL = ["name", "given_name", "family_name", "email"]


@pytest.fixture
def site(shared: Scene, caplog: pytest.LogCaptureFixture):  # noqa: F811
    caplog.set_level(logging.INFO, logger="lti_tool")
    yield shared
    tidy(shared)


class Attempt:
    """One launch, posted by hand: the form, the answer, and what the browser kept of it."""

    def __init__(self, site: Scene, user: str = "teacher1", course: str | None = COURSE, **auth: Any) -> None:
        self.site, self.user = site, site.lms.user(user)
        self.http = browser_session()
        asked = site.lms.login_request(site.lti_tool[site.mood], user, course)
        self.started = self.http.post(f"{site.url}/lti/login", data=asked, allow_redirects=False, timeout=20)
        assert self.started.status_code == 302, self.started.text
        self.form = site.lms.finish_auth(self.started.headers["Location"], **auth)["fields"]

    def post(self, **options: Any) -> requests.Response:
        return self.http.post(f"{self.site.url}/lti/launch", data=self.form, timeout=20, **options)

    @property
    def session_cookie(self) -> bool:
        return any(cookie.name.endswith("browser") for cookie in self.http.get_adapter("http://").jar)


def refused(attempt: Attempt, caplog: pytest.LogCaptureFixture, *, status: tuple[int, ...] = (400, 401)) -> str:
    """Post it, look at all that a refusal must be, and return its reason."""
    caplog.clear()
    answer = attempt.post(allow_redirects=False)
    assert answer.status_code in status, (answer.status_code, answer.text[:500])
    assert not attempt.session_cookie and "browser=" not in answer.headers.get("Set-Cookie", "")
    # a page a teacher understands, with a number to tell
    heading = re.search(r"<h1>(.+?)</h1>", answer.text)
    assert heading and heading[1].endswith((".", "?")) and "Error" not in heading[1] and "Exception" not in heading[1]
    number = re.search(rf"{answer.status_code} · ([0-9A-F]{{8}})", answer.text)
    assert number
    assert "/course/" not in answer.text and "/me/" not in answer.text
    # one line that says why
    lines = [r.getMessage() for r in caplog.records if r.name == "lti_tool" and "refused" in r.getMessage()]
    assert len(lines) == 1 and f"error_id={number[1]}" in lines[0]
    reason = re.search(r"reason=(\w+)", lines[0])
    assert reason and reason[1] not in ("error", "launch_refused")
    # nothing of the token, nobody's name
    told = answer.text + "".join(r.getMessage() for r in caplog.records)
    secrets = [part for part in attempt.form.get("id_token", "").split(".") if len(part) > 20]
    secrets += [attempt.form.get("state", ""), attempt.user.id, attempt.user.email, attempt.user.name]
    assert [secret for secret in secrets if secret and len(secret) > 3 and secret in told] == []
    return reason[1]


def token(site: Scene, payload: dict[str, Any]) -> dict[str, Any]:
    return {"fields": {"id_token": site.lms.sign(payload)}}


# -- A. certification


def test_a_launch_that_is_good_passes_this_same_way(site, caplog):
    attempt = Attempt(site)
    answer = attempt.post(allow_redirects=False)
    assert answer.status_code == 303 and "/course/" in answer.headers["Location"]
    assert attempt.session_cookie
    assert [r for r in caplog.records if "refused" in r.getMessage()] == []


def test_A01_a_token_without_kid(site, caplog):
    assert refused(Attempt(site, headers={"kid": None}), caplog, status=(401,)) == "kid_missing"


def test_A02_a_token_with_an_unknown_kid_makes_the_tool_ask_for_the_keys_exactly_once(site, caplog):
    before = site.lti_tool["moodle"], site.platform["moodle"]
    try:
        site.register("moodle")
        assert Attempt(site).post(allow_redirects=False).status_code == 303
        asked = lambda: sum(r.service == "jwks" for r in site.lms.requests)  # noqa: E731
        first = asked()
        assert refused(Attempt(site, headers={"kid": "stranger"}), caplog, status=(401,)) == "kid_unknown"
        assert asked() == first + 1
        refused(Attempt(site, headers={"kid": "stranger"}), caplog, status=(401,))
        assert asked() == first + 1  # for the same one once a minute
        for number in range(2 * MOST_IN_VAIN):
            refused(Attempt(site, headers={"kid": f"stranger-{number}"}), caplog, status=(401,))
        assert asked() == first + MOST_IN_VAIN  # whatever is posted
        assert Attempt(site).post(allow_redirects=False).status_code == 303
    finally:
        site.lti_tool["moodle"], site.platform["moodle"] = before


@pytest.mark.parametrize("version", ["11.3", "1.2.0", "1.3", 1.3, None])
def test_A03_another_lti_version(site, caplog, version):
    assert refused(Attempt(site, claims={"version": version}), caplog) == "version"


def test_A04_no_lti_version(site, caplog):
    assert refused(Attempt(site, drop=["version"]), caplog, status=(400,)) == "version"


def test_A05_a_message_that_is_none(site, caplog):
    refused(Attempt(site, **token(site, {"name": "badltilaunch"})), caplog, status=(401,))


@pytest.mark.parametrize("claim", ["aud", "iss", "sub", "deployment_id", "roles", "exp", "iat", "nonce"])
def test_A06_a_claim_that_is_missing(site, caplog, claim):
    refused(Attempt(site, drop=[claim]), caplog)


def test_A06_all_lti_claims_missing(site, caplog):
    refused(Attempt(site, drop=["aud", "iss", "sub", "deployment_id", "roles"]), caplog, status=(401,))


def test_A07_times_of_long_ago(site, caplog):
    assert refused(Attempt(site, claims={"iat": 11111, "exp": 22222}), caplog, status=(401,)) == "expired"


def test_A08_no_message_type(site, caplog):
    assert refused(Attempt(site, drop=["message_type"]), caplog, status=(400,)) == "message_type"


def test_A09_no_roles_claim(site, caplog):
    assert refused(Attempt(site, drop=["roles"]), caplog, status=(400,)) == "roles"


def test_A10_no_deployment_id(site, caplog):
    assert refused(Attempt(site, drop=["deployment_id"]), caplog, status=(400,)) == "deployment_id"


@pytest.mark.parametrize(
    "auth",
    [
        {"drop": ["resource_link"]},
        {"claims": {"resource_link": {"id": None}}},
        {"claims": {"resource_link": {"id": ""}}},
        {"claims": {"resource_link": "x"}},
    ],
)
def test_A11_no_resource_link_id(site, caplog, auth):
    assert refused(Attempt(site, **auth), caplog, status=(400,)) == "resource_link"


def test_A12_no_user_is_refused_with_a_page_that_says_so(site, caplog):
    attempt = Attempt(site, "student1", drop=["sub", *PERSONAL])
    assert refused(attempt, caplog, status=(400,)) == "sub"
    assert "did not say who you are" in Attempt(site, drop=["sub"]).post().text


TEACHER, STUDENT = f"{MEMBERSHIP}#Instructor", f"{MEMBERSHIP}#Learner"
UNKNOWN = ["http://purl.imsglobal.org/vocab/lis/v2/membership#Unknown"]
NO_ROLE, NO_COURSE = "There is nothing here for your role", "Open Badges from a course"


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        pytest.param({}, "/course/", id="A13 standard"),
        pytest.param(
            {"claims": {"roles": [TEACHER, f"{INSTITUTION}#Faculty", f"{SYSTEM}#User"]}}, "/course/", id="A14 several"
        ),
        pytest.param({"claims": {"roles": ["Instructor"]}}, "/course/", id="A15 short"),
        pytest.param({"claims": {"roles": UNKNOWN}}, NO_ROLE, id="A16 unknown"),
        pytest.param({"claims": {"roles": []}}, NO_ROLE, id="A17 none"),
        pytest.param({"drop": PERSONAL[:3]}, "/course/", id="A18 e-mail only"),
        pytest.param({"drop": ["email"]}, "/course/", id="A19 names only"),
        pytest.param({"drop": PERSONAL}, "/course/", id="A20 nothing personal"),
        pytest.param({"drop": [*PERSONAL[:3], "context"]}, NO_COURSE, id="A21 no context"),
    ],
)
@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_A13_to_A21_a_teacher_comes_to_the_page_that_fits(site, mood, auth, shown):
    site.mood = mood
    answer = Attempt(site, "teacher1", **auth).post()
    assert answer.status_code == 200
    assert shown in (answer.url if shown.startswith("/") else answer.text)


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        pytest.param({}, "/me/", id="A22 standard"),
        pytest.param(
            {"claims": {"roles": [STUDENT, f"{INSTITUTION}#Student", f"{SYSTEM}#User"]}}, "/me/", id="A23 several"
        ),
        pytest.param({"claims": {"roles": ["Learner"]}}, "/me/", id="A24 short"),
        pytest.param({"claims": {"roles": UNKNOWN}}, NO_ROLE, id="A25 unknown"),
        pytest.param({"claims": {"roles": []}}, NO_ROLE, id="A26 none"),
        pytest.param({"drop": PERSONAL[:3]}, "/me/", id="A27 e-mail only"),
        pytest.param({"drop": ["email"]}, "/me/", id="A28 names only"),
        pytest.param({"drop": PERSONAL}, "/me/", id="A29 nothing personal"),
        pytest.param({"drop": [*PERSONAL[:3], "context"]}, NO_COURSE, id="A30 no context"),
    ],
)
@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_A22_to_A30_a_student_comes_to_the_page_that_fits(site, mood, auth, shown):
    site.mood = mood
    answer = Attempt(site, "student1", **auth).post()
    assert answer.status_code == 200
    assert shown in (answer.url if shown.startswith("/") else answer.text)
    if shown != "/me/":  # without a course, what is her own from any: nothing yet
        assert "/badges/" not in answer.text and "/course/" not in answer.text
        assert shown == NO_COURSE or "/me/" not in answer.text


# -- B. attacks on the token


def test_B01_alg_none(site, caplog):
    assert refused(Attempt(site, alg="none"), caplog, status=(401,)) == "algorithm"


def test_B02_hs256_with_the_platforms_public_key_as_secret(site, caplog):
    assert refused(Attempt(site, alg="HS256"), caplog, status=(401,)) == "algorithm"


@pytest.mark.parametrize("alg", ["RS384", "PS256", "ES256"])
def test_B03_another_algorithm(site, caplog, alg):
    assert refused(Attempt(site, alg=alg), caplog, status=(401,)) == "algorithm"


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_B04_B06_a_key_address_in_the_header_is_not_asked(site, caplog, header):
    with listening() as (url, seen):
        refused(Attempt(site, headers={header: url}, key=SigningKey("attacker")), caplog, status=(401,))
        refused(
            Attempt(site, headers={header: url, "kid": "attacker"}, key=SigningKey("attacker")), caplog, status=(401,)
        )
    assert seen == []


@pytest.mark.parametrize("header", ["jwk", "x5c"])
def test_B05_B06_a_key_in_the_header_is_not_used(site, caplog, header):
    attacker = SigningKey("attacker")
    value = attacker.jwk if header == "jwk" else ["MIIB"]
    assert refused(Attempt(site, headers={header: value}, key=attacker), caplog, status=(401,)) == "signature"


def test_B08_a_payload_changed_after_signing(site, caplog):
    attempt = Attempt(site, "student1")
    header, _, signature = attempt.form["id_token"].split(".")
    claims = jwt.decode(attempt.form["id_token"], options={"verify_signature": False})
    claims["https://purl.imsglobal.org/spec/lti/claim/roles"] = [TEACHER]
    attempt.form["id_token"] = f"{header}.{b64(json.dumps(claims).encode())}.{signature}"
    assert refused(attempt, caplog, status=(401,)) == "signature"


def test_B09_the_key_of_another_registered_platform(site, caplog):
    assert refused(Attempt(site, key=site.site.canvas.signing_key), caplog, status=(401,)) == "signature"


def test_B10_the_issuer_of_another_registered_platform(site, caplog):
    assert refused(Attempt(site, claims={"iss": site.site.canvas.issuer}), caplog, status=(401,)) == "issuer"


@pytest.mark.parametrize(
    "bend", [lambda i: i + "/", str.upper, lambda i: i.replace("o", "о", 1)], ids=["slash", "case", "homoglyph"]
)
def test_B11_an_issuer_that_only_resembles(site, caplog, bend):
    assert refused(Attempt(site, claims={"iss": bend(site.lms.issuer)}), caplog, status=(401,)) == "issuer"


def test_B12_a_token_for_another_client(site, caplog):
    refused(Attempt(site, claims={"aud": "somebody-else"}, drop=["azp"]), caplog, status=(401,))


def test_B14_a_token_for_us_and_a_stranger_without_azp(site, caplog):
    audience = [site.lti_tool["moodle"].client_id, "stranger"]
    assert refused(Attempt(site, claims={"aud": audience}, drop=["azp"]), caplog, status=(401,)) == "audience"


@pytest.mark.parametrize(
    ("times", "good"),
    [
        pytest.param({"exp": -20, "iat": -60}, True, id="B16 20 s late"),
        pytest.param({"exp": -60, "iat": -120}, False, id="B16 60 s late"),
        pytest.param({"iat": 5}, True, id="B17 5 s early"),
        pytest.param({"iat": 600, "exp": 900}, False, id="B17 10 min early"),
        pytest.param({"iat": -3600, "exp": 86400}, False, id="B18 an hour old"),
    ],
)
def test_B16_to_B18_times_have_a_leeway_of_30_seconds_and_no_more(site, caplog, times, good):
    attempt = Attempt(site, claims={name: int(time.time()) + seconds for name, seconds in times.items()})
    if good:
        assert attempt.post(allow_redirects=False).status_code == 303
    else:
        refused(attempt, caplog, status=(401,))


@pytest.mark.parametrize("auth", [{"drop": ["nonce"]}, {"claims": {"nonce": "guessed"}}])
def test_B20_a_token_without_the_nonce_of_its_login(site, caplog, auth):
    assert refused(Attempt(site, **auth), caplog, status=(401,)) == "nonce"


def test_B22_a_launch_that_was_used(site, caplog):
    attempt = Attempt(site)
    assert attempt.post(allow_redirects=False).status_code == 303
    again = attempt.post(allow_redirects=False)
    assert again.status_code == 401 and "opened already" in again.text
    assert "Set-Cookie" not in again.headers or "browser=" not in again.headers["Set-Cookie"]


def test_B22_the_nonce_of_another_login(site, caplog):
    one, other = Attempt(site), Attempt(site)
    one.form["id_token"] = other.form["id_token"]
    assert refused(one, caplog, status=(401,)) == "nonce"


def test_B23_the_same_launch_posted_by_20_threads_opens_exactly_once(site):
    attempt = Attempt(site)
    cookie = attempt.started.headers["Set-Cookie"].partition(";")[0]

    def post() -> requests.Response:
        return requests.post(
            f"{site.url}/lti/launch", data=attempt.form, headers={"Cookie": cookie}, allow_redirects=False, timeout=30
        )

    answers = at_once(*[post] * 20)
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [303] + [401] * 19
    assert sum("browser=" in answer.headers.get("Set-Cookie", "") for answer in answers) == 1


@pytest.mark.parametrize("bad", ["x" * 256, "a\0b", "\ud800"], ids=["long", "NUL", "half a character"])
@pytest.mark.parametrize("claim", ["sub", "deployment_id", "context", "resource_link"])
def test_B28_an_identifier_that_cannot_be_kept(site, caplog, claim, bad):
    changed = {claim: {"id": bad}} if claim in ("context", "resource_link") else {claim: bad}
    assert refused(Attempt(site, claims=changed), caplog, status=(400,)) == "too_long"


@pytest.mark.parametrize(
    "odd", ["x" * 255, "‮evil‬", "🎓👩‍🔬", "' OR 1=1 --", "<script>alert(1)</script>", "../../x", "%00"]
)
def test_B28_any_other_identifier_is_kept_apart_and_shown_escaped(site, odd):
    claims = {
        "sub": odd,
        "name": odd,
        "given_name": odd,
        "family_name": "",
        "context": {"id": odd, "title": odd, "label": odd},
    }
    answer = Attempt(site, "teacher1", claims=claims).post()
    assert answer.status_code == 200 and "/course/" in answer.url
    assert "<script>alert" not in answer.text
    answer = Attempt(site, "student1", claims=claims | {"sub": odd[:254] + "2"}).post()
    assert answer.status_code == 200 and "/me/" in answer.url and "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"id_token": ""},
        {"id_token": "a.b.c"},
        {"id_token": "x" * 200_000},
        {"state": "x"},
        {"id_token": "é.ü.ß"},
        {"error": "<script>", "error_description": "<img src=x>"},
    ],
    ids=["nothing", "empty", "no token", "huge", "state", "not ascii", "error"],
)
def test_a_post_that_is_no_launch_is_a_friendly_refusal(site, caplog, form):
    answer = requests.post(f"{site.url}/lti/launch", data=form, timeout=10)
    assert answer.status_code in (400, 401) and re.search(r"· [0-9A-F]{8}", answer.text)
    assert "<script>" not in answer.text and "<img src=x>" not in answer.text
    assert sum("refused" in r.getMessage() for r in caplog.records) == 1


@pytest.mark.parametrize("kind", ["no_keys", "empty_keys", "html", "huge", "redirect", "not_rsa", "broken_rsa"])
def test_B26_a_key_address_that_answers_nonsense_opens_nothing_and_loses_no_key(site, caplog, kind):
    before = site.lti_tool["moodle"], site.platform["moodle"]
    try:
        site.register("moodle")
        assert Attempt(site).post(allow_redirects=False).status_code == 303
        site.lms.faults.on("jwks", kind)
        refused(Attempt(site, headers={"kid": "new"}), caplog, status=(401,))
        assert Attempt(site).post(allow_redirects=False).status_code == 303
    finally:
        site.lti_tool["moodle"], site.platform["moodle"] = before


def test_a_login_that_is_incomplete_or_unknown_is_a_friendly_refusal(site):
    asked = site.lms.login_request(site.lti_tool["moodle"], "teacher1", COURSE)
    for changed, status in (
        ({"iss": None}, 400),
        ({"login_hint": None}, 400),
        ({"target_link_uri": None}, 400),
        ({"iss": "https://unknown.example"}, 401),
        ({"client_id": "stranger"}, 401),
        ({"target_link_uri": "https://evil.example/"}, 400),
        ({"target_link_uri": "//evil.example/"}, 400),
        ({"target_link_uri": "javascript:alert(1)"}, 400),
        ({"target_link_uri": "\\\\evil.example"}, 400),
    ):
        answer = requests.post(f"{site.url}/lti/login", data={**asked, **changed}, allow_redirects=False, timeout=10)
        assert answer.status_code == status, changed
        assert re.search(rf"{status} · [0-9A-F]{{8}}", answer.text) and "Set-Cookie" not in answer.headers
        assert "evil.example" not in answer.text and "unknown.example" not in answer.text


def test_C04_C08_a_login_by_get_works_and_another_browser_cannot_finish_it(site, caplog):
    asked = site.lms.login_request(site.lti_tool["moodle"], "teacher1", COURSE)
    mine = browser_session()
    started = mine.get(f"{site.url}/lti/login", params=asked, allow_redirects=False, timeout=10)
    assert started.status_code == 302
    form = site.lms.finish_auth(started.headers["Location"])["fields"]
    other = Visitor(site)
    assert other.http.post(f"{site.url}/lti/launch", data=form, timeout=10).status_code == 401
    done = mine.post(f"{site.url}/lti/launch", data=form, timeout=10)
    assert done.status_code == 200 and "/course/" in done.url
