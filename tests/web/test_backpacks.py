"""The Open Badges 3.0 API and its OAuth 2: a backpack that is not ours fetches a learner's badges, and attackers."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from lti_tool.lti.registration import digest
from lti_tool.models import (
    AuditEvent,
    Award,
    Edition,
    OAuthClient,
    OAuthCode,
    OAuthGrant,
    OAuthRequest,
    OAuthToken,
    Person,
)
from lti_tool.services import award_acts, checking, choices, editions, oauth, oauth_tokens, retention
from tests.backpack import (
    CREDENTIALS,
    EVERYTHING,
    PROFILE,
    UPSERT,
    Backpack,
    Window,
    allow,
    answer_in,
    connect,
    metadata,
)
from tests.classroom import NUMBERS, Classroom, at_once, badge, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now, token_in


def claim(classroom: Classroom, award_id: str, **chosen: bool) -> None:
    choices.choose(classroom.tool, award_id, choices.Choices(**chosen), actor="operator", now=now())


class Holder(Classroom):
    """A course whose first student has earned and claimed a badge; she is at `learner`, the other one at `other`."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.publish(badge())
        self.grade(self.students[0], 3, 3)
        self.sync()
        claim(self, self.award()["id"])
        self.learner, self.other = self.enter(self.students[0]), self.enter(self.students[1])
        self.since = 0

    def acts(self) -> list[str]:
        """Return what the audit log says of her and backpacks, from this test alone."""
        with self.tool.db.read() as session:
            query = (
                select(AuditEvent.action)
                .where(AuditEvent.subject == f"person:{self.person_id(self.students[0])}", AuditEvent.id > self.since)
                .order_by(AuditEvent.id)
            )
            return [action for action in session.scalars(query) if action.startswith("backpack.")]


@pytest.fixture(scope="module")
def course(shared):  # noqa: F811
    return Holder(shared)


@pytest.fixture
def holder(course):
    """The course of the module, in which no test changes anything but connections."""
    with course.tool.db.read() as session:
        course.since = session.scalar(select(func.max(AuditEvent.id))) or 0
    return course


@pytest.fixture
def own(shared):  # noqa: F811
    """A course for a test that changes its badges or people."""
    return Holder(shared)


@pytest.fixture
def backpack(shared):  # noqa: F811
    """A newly registered backpack, told from those of other tests by its name."""
    return Backpack(shared, client_name=f"Backpack {next(NUMBERS)}")


def rows(tool: Any, model: Any) -> list[Any]:
    with tool.db.read() as session:
        return list(session.scalars(select(model)))


def change(tool: Any, model: Any, which: Any, **values: Any) -> None:
    with tool.db.write() as session:
        session.execute(update(model).where(which).values(**values))


# -- the whole way ----------------------------------------------------------------------------------------------


def test_a_backpack_fetches_a_learner_s_badges_after_she_typed_its_code_in_her_course(holder, backpack):
    window = backpack.send()
    assert "Say yes in your course" in window.page.text
    assert window.page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in window.page.headers["Content-Security-Policy"]
    assert window.http.get(f"{window.page.url}/state", timeout=20).json() == {"answered": False}

    asked = holder.learner.post("backpacks/", {"code": window.code.lower().replace("-", " ")})
    assert "May this backpack fetch your badges?" in asked.text
    assert "localhost" in asked.text and backpack.name in asked.text and "It gets 1 badge now." in asked.text
    holder.learner.post(asked.url.split(f"/{holder.learner.launch}/")[1], {"do": "allow"})
    assert window.http.get(f"{window.page.url}/state", timeout=20).json() == {"answered": True}

    back = window.press("continue")
    assert back.status_code == 303
    told = answer_in(back.headers["Location"])
    assert back.headers["Location"].startswith(f"{backpack.redirect_uri}?")
    assert (told["state"], told["scope"], told["iss"]) == (backpack.state, EVERYTHING, holder.scene.url)
    tokens = backpack.fetch_tokens(back.headers["Location"])
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, EVERYTHING)

    fetched = backpack.get("credentials")
    assert fetched.headers["Content-Type"] == "application/json"
    assert fetched.headers["X-Total-Count"] == "1"
    assert fetched.headers["Cache-Control"] == "no-store"
    (credential,) = fetched.json()["credential"]
    assert fetched.json()["compactJwsString"] == []
    assert credential["id"] == holder.award()["credential_url"]
    report = checking.check(holder.tool, json.dumps(credential), now())
    assert [check.outcome for check in report.checks] == ["passed"] * len(report.checks)

    profile = backpack.get("profile").json()
    assert profile["id"] == credential["credentialSubject"]["id"]
    assert set(profile) == {"@context", "id", "type"}
    assert holder.acts() == ["backpack.allowed"]


def test_the_bytes_of_a_credential_are_those_at_its_own_address(holder, backpack):
    connect(backpack, holder.learner)
    own = holder.learner.get(f"{holder.award()['credential_url'].removeprefix(holder.scene.url)}.json").content
    assert own in backpack.get("credentials").content


def test_where_a_launch_is_open_in_the_same_browser_she_answers_there(holder, backpack):
    window = Window(holder.learner.http)
    backpack.send(window)
    assert "Your badges are open in this browser" in window.page.text
    back = window.press("allow")
    assert back.status_code == 303
    assert backpack.fetch_tokens(back.headers["Location"])["access_token"]
    assert backpack.get("credentials").json()["credential"]


def test_a_refusal_goes_back_to_the_backpack_and_gives_nothing(holder, backpack):
    window = backpack.send()
    asked = holder.learner.post("backpacks/", {"code": window.code})
    holder.learner.post(asked.url.split(f"/{holder.learner.launch}/")[1], {"do": "refuse"})
    told = answer_in(window.press("continue").headers["Location"])
    assert (told["error"], told["state"]) == ("access_denied", backpack.state)
    assert "code" not in told
    assert rows(holder.tool, OAuthGrant) == [] or all(
        g.client_id != backpack.auth.client_id for g in rows(holder.tool, OAuthGrant)
    )
    assert holder.acts() == ["backpack.refused"]


def test_whoever_sits_before_the_window_can_give_up_without_a_course(holder, backpack):
    window = backpack.send()
    told = answer_in(window.press("cancel").headers["Location"])
    assert told["error"] == "access_denied"
    assert holder.learner.post("backpacks/", {"code": window.code}).status_code == 400


def test_name_and_e_mail_address_are_told_only_where_she_ticked_them(own, backpack):
    person_id = own.person_id(own.students[0])
    change(own.tool, Person, Person.id == person_id, name="Ana María López", email="ana@example.edu")
    connect(backpack, own.learner, name="yes")
    assert backpack.get("profile").json()["name"] == "Ana María López"
    assert "email" not in backpack.get("profile").json()
    assert "López" not in backpack.get("credentials").text


def test_she_sees_her_connections_and_ends_one(holder, backpack):
    connect(backpack, holder.learner)
    backpack.get("credentials")
    page = holder.learner.get("backpacks/").text
    assert backpack.name in page and "your profile, without your name" in page and "just now" in page
    (grant,) = [g for g in rows(holder.tool, OAuthGrant) if g.client_id == backpack.auth.client_id]
    done = holder.learner.post(f"backpacks/{grant.id}/end")
    assert "It may not fetch your badges any more." in done.text
    assert backpack.name not in done.text
    assert backpack.get("credentials").status_code == 401
    refreshed = backpack.exchange(grant_type="refresh_token", refresh_token=backpack.tokens["refresh_token"])
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")
    assert holder.acts() == ["backpack.allowed", "backpack.ended"]


def test_another_consent_for_the_same_backpack_takes_the_place_of_the_first(holder, backpack):
    first = connect(backpack, holder.learner)["access_token"]
    backpack.renew()
    connect(backpack, holder.learner)
    assert backpack.get("credentials", first).status_code == 401
    assert backpack.get("credentials").status_code == 200


# -- what is returned -------------------------------------------------------------------------------------------


def test_a_badge_that_is_not_claimed_is_not_given(own, backpack):
    change(own.tool, Award, Award.id == own.award()["id"], claimed_at=None)
    connect(backpack, own.learner)
    answer = backpack.get("credentials")
    assert (answer.json()["credential"], answer.headers["X-Total-Count"]) == ([], "0")


def test_a_withdrawn_badge_stays_and_its_status_list_says_so(own, backpack):
    connect(backpack, own.learner)
    award_acts.revoke(own.tool, own.award()["id"], "given in error", actor="operator", now=now())
    (credential,) = backpack.get("credentials").json()["credential"]
    report = checking.check(own.tool, json.dumps(credential), now())
    assert [c.name for c in report.checks if c.outcome == "failed"] == ["withdrawn"]


def test_a_badge_that_was_emptied_is_left_out(own, backpack, monkeypatch):
    """Nobody claimed it in the time that was set; since then badges are open from the start."""
    long_ago = now() - timedelta(days=3000)
    change(own.tool, Award, Award.id == own.award()["id"], claimed_at=None, page_public=False, issued_at=long_ago)
    assert retention._delete_unclaimed(own.tool, long_ago + timedelta(days=1), now()) == 1
    kept = own.tool.settings
    open_pages = kept.privacy.model_copy(update={"claim": "automatic"})
    monkeypatch.setattr(own.tool, "settings", kept.model_copy(update={"privacy": open_pages}))
    connect(backpack, own.learner)
    answer = backpack.get("credentials")
    assert (answer.json()["credential"], answer.headers["X-Total-Count"]) == ([], "0")


def test_what_she_chooses_anew_takes_the_place_of_what_the_backpack_had(own, backpack):
    person_id = own.person_id(own.students[0])
    change(own.tool, Person, Person.id == person_id, name="Ana María López")
    connect(backpack, own.learner)
    (before,) = backpack.get("credentials").json()["credential"]
    claim(own, own.award()["id"], name=True)
    editions.sign_pending(own.tool)
    (after,) = backpack.get("credentials").json()["credential"]
    assert after["id"] != before["id"] and "López" in json.dumps(after, ensure_ascii=False)


def several(holder, count: int) -> None:
    for _ in range(count - 1):
        holder.publish(badge())
        holder.grade(holder.students[0], 3, 3)
        holder.sync()
    for award in holder.awards(holder.students[0]):
        claim(holder, award["id"])


def links(answer: requests.Response) -> dict[str, str]:
    return {rel: found["url"] for rel, found in answer.links.items()}


def test_pages_lead_to_each_other_and_hold_each_credential_once(own, backpack):
    several(own, 3)
    connect(backpack, own.learner)
    page = backpack.get("credentials?limit=1")
    first, found = page, []
    while True:
        found += [credential["id"] for credential in page.json()["credential"]]
        assert page.headers["X-Total-Count"] == "3"
        assert {"first", "last"} <= set(links(page))
        assert ("prev" in links(page)) == (page is not first)
        if "next" not in links(page):
            break
        page = backpack.get(links(page)["next"])
    assert len(found) == len(set(found)) == 3
    assert links(first)["last"].endswith("limit=1&offset=2")
    assert links(page)["prev"].endswith("limit=1&offset=1")
    beyond = backpack.get("credentials?limit=1&offset=20")
    assert beyond.json()["credential"] == [] and links(beyond)["prev"].endswith("offset=2")


def test_since_counts_what_was_signed_or_claimed_after_it(own, backpack):
    connect(backpack, own.learner)
    later = now() + timedelta(hours=1)
    assert backpack.get(f"credentials?since={later.isoformat()}").json()["credential"] == []  # "+" as it stands
    before = (now() - timedelta(hours=1)).isoformat().replace("+", "%2B")
    answer = backpack.get(f"credentials?since={before}")
    assert len(answer.json()["credential"]) == 1
    assert "since=" in links(answer)["first"]
    award = own.award()["id"]
    change(own.tool, Edition, Edition.award_id == award, signed_at=now() - timedelta(days=30))
    assert len(backpack.get(f"credentials?since={before}").json()["credential"]) == 1  # claimed since


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "offset=-1", "offset=99999999999", "since=yesterday", "since=2026-11-22"],
)
def test_a_query_that_cannot_be_used_is_answered_in_the_specification_s_form(holder, backpack, query):
    connect(backpack, holder.learner)
    answer = backpack.get(f"credentials?{query}")
    told = answer.json()
    assert answer.status_code == 400
    assert (told["imsx_codeMajor"], told["imsx_severity"]) == ("failure", "error")
    assert told["imsx_codeMinor"]["imsx_codeMinorField"][0]["imsx_codeMinorFieldValue"] == "invalid_query_parameter"
    assert told["imsx_description"]


@pytest.mark.parametrize(
    ("method", "path", "status", "minor"),
    [
        ("POST", "credentials", 405, "not_allowed"),
        ("PUT", "profile", 405, "not_allowed"),
        ("DELETE", "credentials", 405, "not_allowed"),
        ("GET", "credentials", 401, "unauthorizedrequest"),
        ("GET", "profile", 401, "unauthorizedrequest"),
        ("GET", "endorsements", 404, "not_found"),
    ],
)
def test_what_is_not_offered_is_said_in_the_specification_s_form(holder, method, path, status, minor):
    answer = requests.request(method, f"{holder.scene.url}/ims/ob/v3p0/{path}", json={}, timeout=20)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["imsx_codeMinor"]["imsx_codeMinorField"][0]["imsx_codeMinorFieldValue"] == minor
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if status == 405:
        assert "GET" in answer.headers["Allow"]


def test_the_discovery_document_is_open_and_names_what_a_backpack_needs(holder):
    answer = requests.get(f"{holder.scene.url}/ims/ob/v3p0/discovery", timeout=20)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    told = answer.json()
    assert told["openapi"].startswith("3.0")
    assert told["info"]["title"] == "Hallwood University"
    scheme = told["components"]["securitySchemes"]["OAuth2ACG"]
    flow = scheme["flows"]["authorizationCode"]
    assert scheme["type"] == "oauth2" and set(flow["scopes"]) == {CREDENTIALS, PROFILE, "offline_access"}
    for address in (told["info"]["termsOfService"], told["info"]["x-imssf-privacyPolicyUrl"]):
        assert requests.get(address, timeout=20).status_code == 200
    assert requests.get(told["info"]["x-imssf-image"], timeout=20).headers["Content-Type"] == "image/png"
    same = requests.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=20)
    assert same.status_code == 304


def test_the_metadata_of_the_authorization_server_lead_to_the_same(holder, backpack):
    told = requests.get(f"{holder.scene.url}/.well-known/oauth-authorization-server", timeout=20).json()
    assert told["issuer"] == holder.scene.url
    assert told["authorization_endpoint"] == backpack.flow["authorizationUrl"]
    assert told["registration_endpoint"] == backpack.scheme["x-imssf-registrationUrl"]
    assert set(told["scopes_supported"]) >= set(backpack.flow["scopes"])
    assert {"authorization_code", "refresh_token"} <= set(told["grant_types_supported"])
    assert told["code_challenge_methods_supported"] == ["S256"]
    code = code_of(backpack, holder.learner)
    backpack.flow = {**backpack.flow, "tokenUrl": told["token_endpoint"]}
    first = exchange(backpack, code).json()
    second = refresh(backpack, first["refresh_token"]).json()
    assert backpack.get("credentials", second["access_token"]).status_code == 200
    assert refresh(backpack, first["refresh_token"]).json()["error"] == "invalid_grant"


# -- registration -----------------------------------------------------------------------------------------------


def test_a_registration_is_answered_with_all_it_said_and_its_secret_is_kept_as_a_hash(holder, backpack):
    told = backpack.told.json()
    assert backpack.told.status_code == 201
    assert metadata(client_name=backpack.name).items() <= told.items()
    assert told["client_secret_expires_at"] == 0 and told["client_id_issued_at"]
    kept = next(row for row in rows(holder.tool, OAuthClient) if row.id == told["client_id"])
    assert kept.secret_hash == digest(told["client_secret"])
    assert told["client_secret"] not in json.dumps(kept.told)


def test_a_scope_that_is_not_offered_is_left_out_of_the_answer(holder):
    backpack = Backpack(holder.scene, scope=f"{UPSERT} {CREDENTIALS}")
    assert backpack.told.json()["scope"] == CREDENTIALS


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": ["http://backpack.example/authorize"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://backpack.example/authorize#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://user@localhost/authorize"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://localhost\\@evil.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["myapp://callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://localhost/authorize"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://evil.example/authorize"]}, "invalid_client_metadata"),  # another host
        ({"policy_uri": "https://evil.example/privacy"}, "invalid_client_metadata"),
        ({"client_name": ""}, "invalid_client_metadata"),
        ({"client_name": "x" * 101}, "invalid_client_metadata"),
        ({"client_name": ["x"]}, "invalid_client_metadata"),
        ({"tos_uri": None}, "invalid_client_metadata"),
        ({"software_id": ""}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"scope": UPSERT}, "invalid_client_metadata"),
        ({"scope": "offline_access"}, "invalid_client_metadata"),
    ],
)
def test_a_registration_that_cannot_be_used_is_refused_by_its_name(holder, changes, error):
    answer = Backpack(holder.scene, **changes).told
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no json", b'"x"', b"{" * 100_000])
def test_a_registration_that_is_no_object_is_refused(holder, body):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{holder.scene.url}/oauth/register", data=body, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_plain_http_to_this_machine_is_for_the_demo_alone(holder):
    from authlib.oauth2 import OAuth2Error

    from lti_tool.services.oauth_clients import read_metadata

    assert read_metadata(metadata(), allow_loopback=True)
    with pytest.raises(OAuth2Error, match="https"):
        read_metadata(metadata(), allow_loopback=False)
    assert read_metadata(metadata("https://backpack.example"), allow_loopback=False)


def test_a_name_cannot_turn_the_writing_around_or_hold_markup(holder):
    backpack = Backpack(holder.scene, client_name="Hallwood\u202e kcaP <b>x</b>")
    assert backpack.told.json()["client_name"] == "Hallwood kcaP <b>x</b>"
    assert "<b>x</b>" not in backpack.send().page.text


def test_registrations_from_one_address_are_counted(holder):
    answers = [Backpack(holder.scene).told.status_code for _ in range(15)]
    assert answers.count(201) <= 11 and answers[-1] == 429


# -- attacks on the authorization endpoint ----------------------------------------------------------------------


def refused(answer: requests.Response) -> bool:
    """Tell whether an authorization request led nowhere: a page of ours, and no redirect to anybody."""
    return answer.status_code == 400 and "asks in a way that does not work" in answer.text and not answer.history


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/authorize",
        "http://localhost:4567/authorize/",
        "http://localhost:4567/authorize?x=1",
        "http://localhost:4567/Authorize",
        "http://localhost:4567/authorize/../authorize",
        "http://localhost:4568/authorize",
        "http://localhost:4567@evil.example/authorize",
        "http://LOCALHOST:4567/authorize",
        "//evil.example",
        "",
    ],
)
def test_no_other_redirect_address_is_answered(holder, backpack, redirect_uri):
    address = backpack.address()
    changed = re.sub(r"redirect_uri=[^&]*", "redirect_uri=" + requests.utils.quote(redirect_uri, safe=""), address)
    answer = requests.get(changed, timeout=20)
    assert refused(answer)
    assert "evil.example" not in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": UPSERT}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
    ],
)
def test_an_error_is_a_page_with_a_link_to_the_backpack_never_a_redirect(holder, backpack, changes, error):
    address = backpack.address()
    for name, value in changes.items():
        address = re.sub(rf"(?<=[?&]){name}=[^&]*", f"{name}={requests.utils.quote(value, safe='')}", address)
    answer = requests.get(address, timeout=20)
    assert refused(answer)
    assert f"error={error}" in answer.text.replace("&amp;", "&") and backpack.redirect_uri in answer.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "response_type", "state"])
@pytest.mark.parametrize("value", ['"><script>', "é\u202e", "\\", "a\nb"])
def test_odd_signs_in_a_request_are_a_refusal_and_nothing_worse(holder, backpack, name, value):
    address = re.sub(rf"(?<=[?&]){name}=[^&]*", f"{name}={requests.utils.quote(value, safe='')}", backpack.address())
    answer = Window().open(address)
    if name == "state" and value.isascii() and value.isprintable():
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
    assert "<script>" not in answer.text


def test_a_parameter_that_is_there_twice_is_refused(holder, backpack):
    assert refused(requests.get(f"{backpack.address()}&scope={CREDENTIALS}", timeout=20))


def test_an_unknown_backpack_gets_no_link_and_no_redirect(holder, backpack):
    address = re.sub(r"client_id=[^&]*", "client_id=0123456789abcdef", backpack.address())
    answer = requests.get(address, timeout=20)
    assert refused(answer) and backpack.redirect_uri not in answer.text


def test_the_answer_of_a_request_goes_to_the_window_it_came_in_and_to_no_other(holder, backpack):
    window = backpack.send()
    allow(holder.learner, window.code)
    stranger = Window()
    assert stranger.open(window.page.url).status_code == 404
    sent = {"csrf": "0" * 64, "do": "continue"}
    assert stranger.http.post(window.page.url, data=sent, timeout=20).status_code == 404
    other_request = backpack.send(Window())  # another window has a cookie of its own
    assert other_request.http.get(window.page.url, timeout=20).status_code == 404
    assert window.press("continue").status_code == 303


def test_consent_needs_the_token_of_its_own_page(holder, backpack):
    window = Window(holder.learner.http)
    backpack.send(window)
    for token in ("", "0" * 64, token_in(window.page.text.split('value="refuse"')[1])):
        sent = {"csrf": token, "do": "allow"}
        answer = window.http.post(window.page.url, data=sent, timeout=20, allow_redirects=False)
        assert answer.status_code == 400, token
    assert [r.decision for r in rows(holder.tool, OAuthRequest) if r.id in window.page.url] == [None]
    with_cookie_of_launch_only = requests.Session()
    answer = with_cookie_of_launch_only.post(window.page.url, data={"do": "allow"}, timeout=20)
    assert answer.status_code == 404


def test_consent_in_the_course_needs_its_own_token_too(holder, backpack):
    window = backpack.send()
    asked = holder.learner.post("backpacks/", {"code": window.code})
    answer = holder.learner.http.post(asked.url, data={"do": "allow", "csrf": "0" * 64}, timeout=20)
    assert answer.status_code == 400
    assert window.http.get(f"{window.page.url}/state", timeout=20).json() == {"answered": False}


def test_the_second_form_s_token_does_not_allow_and_the_window_alone_cannot(holder, backpack):
    window = backpack.send()
    answer = window.press("allow")
    assert answer.status_code == 400  # no launch is open here
    early = window.press("continue")
    assert early.status_code == 409 and "is not allowed yet" in early.text


def test_a_code_is_answered_by_the_first_who_typed_it_and_shown_to_nobody_else(holder, backpack):
    window = backpack.send()
    asked = holder.learner.post("backpacks/", {"code": window.code})
    assert holder.other.post("backpacks/", {"code": window.code}).status_code == 400
    path = asked.url.split(f"/{holder.learner.launch}/")[1]
    assert holder.other.get(path).status_code == 404
    assert holder.other.post(path, {"do": "allow"}).status_code == 404
    assert holder.learner.post(path, {"do": "allow"}).status_code == 200
    again = holder.learner.post(path, {"do": "refuse"})
    assert again.status_code == 409


def test_codes_are_guessed_a_few_times_a_minute_and_no_more(holder):
    answers = [holder.learner.post("backpacks/", {"code": f"ABCD-{n:04}"}).status_code for n in range(12)]
    assert answers[0] == 400 and answers[-1] == 429


def test_a_request_ends_after_a_quarter_of_an_hour(holder, backpack):
    window = backpack.send()
    request_id = window.page.url.rpartition("/")[2]
    change(holder.tool, OAuthRequest, OAuthRequest.id == request_id, expires_at=now())
    assert holder.learner.post("backpacks/", {"code": window.code}).status_code == 400
    assert window.http.get(window.page.url, timeout=20).status_code == 404


def test_the_lms_s_test_student_connects_nothing(own, backpack):
    change(own.tool, Person, Person.id == own.person_id(own.students[1]), test_user=True)
    assert own.other.post("backpacks/", {"code": backpack.send().code}).status_code == 403


# -- attacks on codes and tokens --------------------------------------------------------------------------------


def code_of(backpack: Backpack, learner) -> str:
    window = backpack.send()
    allow(learner, window.code)
    return answer_in(window.press("continue").headers["Location"])["code"]


def exchange(backpack: Backpack, good: str, **changes: str) -> requests.Response:
    form = {
        "grant_type": "authorization_code",
        "code": good,
        "redirect_uri": backpack.redirect_uri,
        "code_verifier": backpack.verifier,
        **changes,
    }
    return backpack.exchange(**form)


def test_a_code_that_comes_twice_ends_what_the_first_one_got(holder, backpack):
    code = code_of(backpack, holder.learner)
    token = exchange(backpack, code).json()["access_token"]
    assert backpack.get("credentials", token).status_code == 200
    again = exchange(backpack, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert backpack.get("credentials", token).status_code == 401
    assert holder.acts() == ["backpack.allowed", "backpack.ended"]


def test_of_two_who_bring_a_code_at_once_one_gets_a_token_and_it_is_ended(holder, backpack):
    code = code_of(backpack, holder.learner)
    answers = at_once(*[lambda: exchange(backpack, code)] * 2)
    tokens = [answer.json()["access_token"] for answer in answers if answer.status_code == 200]
    assert len(tokens) <= 1
    assert all(backpack.get("credentials", token).status_code == 401 for token in tokens)


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "x" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "http://localhost:4567/other"},
        {"redirect_uri": ""},
        {"code": "nothing"},
    ],
)
def test_a_code_is_good_only_with_its_verifier_and_its_address(holder, backpack, changes):
    code = code_of(backpack, holder.learner)
    answer = exchange(backpack, code, **changes)
    assert answer.status_code == 400 and answer.json()["error"] in ("invalid_grant", "invalid_request")
    assert answer.headers["Cache-Control"] == "no-store"
    assert exchange(backpack, code).status_code == 200  # nothing was used up by the attempt


def test_a_code_of_one_backpack_is_none_for_another(holder, backpack):
    code = code_of(backpack, holder.learner)
    thief = Backpack(holder.scene)
    thief.verifier = backpack.verifier
    assert exchange(thief, code).json()["error"] == "invalid_grant"
    assert exchange(backpack, code).status_code == 200


def test_a_code_ends_after_five_minutes(holder, backpack):
    code = code_of(backpack, holder.learner)
    change(holder.tool, OAuthCode, OAuthCode.code_hash == digest(code), expires_at=now())
    assert exchange(backpack, code).json()["error"] == "invalid_grant"


def test_the_token_endpoint_asks_for_the_backpack_s_secret(holder, backpack):
    code = code_of(backpack, holder.learner)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": backpack.redirect_uri,
        "code_verifier": backpack.verifier,
        "client_id": backpack.auth.client_id,
        "client_secret": backpack.auth.client_secret,
    }
    url = backpack.flow["tokenUrl"]
    for auth in (None, (backpack.auth.client_id, "wrong"), ("nobody", "wrong"), ("\x00", "x")):
        answer = requests.post(url, data=form, auth=auth, timeout=20)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    in_the_address = requests.post(f"{url}?{requests.compat.urlencode(form)}", auth=("x", "y"), timeout=20)
    assert in_the_address.status_code == 400


def test_other_grants_are_not_offered(holder, backpack):
    for grant in ("client_credentials", "password", "implicit", "x\u20ac"):
        answer = backpack.exchange(grant_type=grant, username="ana", password="x")
        assert answer.status_code == 400
        assert answer.json()["error"] in ("unsupported_grant_type", "invalid_request")


def refresh(backpack: Backpack, token: str, **changes: str) -> requests.Response:
    return backpack.exchange(grant_type="refresh_token", refresh_token=token, **changes)


def test_a_refresh_token_is_used_once_and_brings_the_next(holder, backpack):
    first = connect(backpack, holder.learner)
    second = refresh(backpack, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == EVERYTHING
    assert backpack.get("credentials", second["access_token"]).status_code == 200
    third = refresh(backpack, second["refresh_token"]).json()
    assert backpack.get("credentials", third["access_token"]).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_connection(holder, backpack):
    first = connect(backpack, holder.learner)
    second = refresh(backpack, first["refresh_token"]).json()
    assert refresh(backpack, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert backpack.get("credentials", second["access_token"]).status_code == 401
    assert refresh(backpack, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert backpack.name not in holder.learner.get("backpacks/").text


def test_a_refresh_may_ask_for_less_and_never_for_more(holder):
    backpack = Backpack(holder.scene)
    backpack.renew(f"{CREDENTIALS} offline_access")
    tokens = connect(backpack, holder.learner)
    assert tokens["scope"] == f"{CREDENTIALS} offline_access"
    assert backpack.get("profile").status_code == 403
    wider = refresh(backpack, tokens["refresh_token"], scope=f"{CREDENTIALS} {PROFILE}")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    narrower = refresh(backpack, tokens["refresh_token"], scope=CREDENTIALS).json()
    assert narrower["scope"] == CREDENTIALS and narrower["refresh_token"]


def test_a_token_opens_what_it_was_allowed_for_and_says_so(holder):
    backpack = Backpack(holder.scene)
    backpack.renew(PROFILE)
    tokens = connect(backpack, holder.learner)
    answer = backpack.get("credentials")
    assert answer.status_code == 403
    assert answer.json()["imsx_codeMinor"]["imsx_codeMinorField"][0]["imsx_codeMinorFieldValue"] == "forbidden"
    assert "refresh_token" not in tokens  # she was not asked for more than an hour


def test_a_backpack_asks_for_no_more_than_it_registered(holder):
    backpack = Backpack(holder.scene, scope=PROFILE)
    window = backpack.send()  # asks for everything
    allow(holder.learner, window.code)
    back = window.press("continue").headers["Location"]
    assert answer_in(back)["scope"] == PROFILE


def test_a_refresh_token_of_one_backpack_is_none_for_another(holder, backpack):
    tokens = connect(backpack, holder.learner)
    thief = Backpack(holder.scene)
    assert refresh(thief, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(backpack, tokens["refresh_token"]).status_code == 200


def test_each_learner_s_token_opens_her_own_badges_and_nobody_else_s(holder, backpack):
    connect(backpack, holder.learner)
    mine = backpack.get("credentials").json()["credential"]
    backpack.renew()
    connect(backpack, holder.other)
    assert backpack.get("credentials").json()["credential"] == []
    assert backpack.get("profile").json()["id"] != mine[0]["credentialSubject"]["id"]


def test_nobody_ends_or_sees_somebody_else_s_connection(holder, backpack):
    connect(backpack, holder.learner)
    (grant,) = [g for g in rows(holder.tool, OAuthGrant) if g.client_id == backpack.auth.client_id]
    assert backpack.name not in holder.other.get("backpacks/").text
    assert holder.other.post(f"backpacks/{grant.id}/end").status_code == 404
    assert backpack.get("credentials").status_code == 200


def test_an_access_token_ends_after_an_hour_and_with_its_person(own, backpack):
    tokens = connect(backpack, own.learner)
    hashed = digest(tokens["access_token"])
    person_id = own.person_id(own.students[0])
    change(own.tool, Person, Person.id == person_id, disabled=True)
    assert backpack.get("credentials").status_code == 401
    assert refresh(backpack, tokens["refresh_token"]).status_code == 400
    change(own.tool, Person, Person.id == person_id, disabled=False)
    assert backpack.get("credentials").status_code == 200
    change(own.tool, OAuthToken, OAuthToken.access_hash == hashed, expires_at=now())
    answer = backpack.get("credentials")
    assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nothing", "Basic eDp5", "Bearer \xe9", "bearer a b"])
def test_what_is_no_token_opens_nothing(holder, header):
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    answer = requests.get(f"{holder.scene.url}/ims/ob/v3p0/credentials", headers=headers, timeout=20)
    assert answer.status_code == 401
    in_the_address = requests.get(f"{holder.scene.url}/ims/ob/v3p0/credentials?access_token=x", timeout=20)
    assert in_the_address.status_code == 401


def test_a_backpack_gives_a_token_back(holder, backpack):
    tokens = connect(backpack, holder.learner)
    url = f"{holder.scene.url}/oauth/revoke"
    secret = (backpack.auth.client_id, backpack.auth.client_secret)
    thief = Backpack(holder.scene)
    stolen = {"token": tokens["refresh_token"]}
    assert requests.post(url, data=stolen, timeout=20).status_code == 401
    other = requests.post(url, data=stolen, auth=(thief.auth.client_id, thief.auth.client_secret), timeout=20)
    unknown = requests.post(url, data={"token": "nothing"}, auth=secret, timeout=20)
    assert (other.status_code, other.content) == (unknown.status_code, unknown.content) == (200, b"{}")
    assert backpack.get("credentials").status_code == 200
    access = {"token": tokens["access_token"], "token_type_hint": "access_token"}
    assert requests.post(url, data=access, auth=secret, timeout=20).status_code == 200
    assert backpack.get("credentials").status_code == 401
    fresh = refresh(backpack, tokens["refresh_token"]).json()
    assert backpack.get("credentials", fresh["access_token"]).status_code == 200
    gone = {"token": fresh["refresh_token"], "token_type_hint": "refresh_token"}
    assert requests.post(url, data=gone, auth=secret, timeout=20).status_code == 200
    assert backpack.get("credentials", fresh["access_token"]).status_code == 401
    odd = requests.post(url, data={"token": "x", "token_type_hint": "saml"}, auth=secret, timeout=20)
    assert (odd.status_code, odd.json()["error"]) == (400, "unsupported_token_type")


def test_no_secret_code_or_token_stands_in_the_database(holder, backpack):
    window = backpack.send()
    code_shown = window.code
    allow(holder.learner, code_shown)
    back = window.press("continue").headers["Location"]
    tokens = backpack.fetch_tokens(back)
    secrets = [
        code_shown,
        code_shown.replace("-", ""),
        answer_in(back)["code"],
        tokens["access_token"],
        tokens["refresh_token"],
        backpack.auth.client_secret,
        next(cookie.value for cookie in window.http.get_adapter("http://").jar if cookie.name == "backpack"),
    ]
    kept = []
    with holder.tool.db.read() as session:
        for table in (OAuthClient, OAuthRequest, OAuthGrant, OAuthCode, OAuthToken, AuditEvent):
            kept += [str(value) for row in session.execute(select(table.__table__)) for value in row]
    assert not [secret for secret in secrets for value in kept if secret in value]


def test_what_is_over_is_removed_by_the_sweep(own, backpack):
    tokens = connect(backpack, own.learner)
    unseen = Backpack(own.scene)
    oauth_tokens.forget_expired(own.tool, now() + timedelta(hours=23))
    assert unseen.auth.client_id in [row.id for row in rows(own.tool, OAuthClient)]
    oauth_tokens.forget_expired(own.tool, now() + timedelta(days=2))
    known = [row.id for row in rows(own.tool, OAuthClient)]
    assert unseen.auth.client_id not in known and backpack.auth.client_id in known
    assert not [r for r in rows(own.tool, OAuthRequest) if r.client_id == backpack.auth.client_id]
    assert refresh(backpack, tokens["refresh_token"]).status_code == 200  # the connection lasts
    oauth_tokens.forget_expired(own.tool, now() + oauth_tokens.REFRESH_LASTS + timedelta(days=2))
    assert not [g for g in rows(own.tool, OAuthGrant) if g.client_id == backpack.auth.client_id]
    oauth_tokens.forget_expired(own.tool, now() + timedelta(days=500))
    assert backpack.auth.client_id not in [row.id for row in rows(own.tool, OAuthClient)]
    assert timedelta(minutes=15) == oauth.ASKED_LASTS
