"""Dynamic registration over HTTP: table E of the faults, against platforms that lie, and both moods of the demo LMS."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask, Response, jsonify
from sqlalchemy import select

from lti_tool import create_app
from lti_tool.db import Database
from lti_tool.errors import Conflict, InviteRefused, RegistrationRefused
from lti_tool.http import Http
from lti_tool.lti import dynamic_registration
from lti_tool.lti.platforms import may_name_audience
from lti_tool.migrations import schema
from lti_tool.models import Base, Deployment, Invite, Registration
from lti_tool.security import RateLimit
from lti_tool.services import audit, platforms, registration
from tests.classroom import shared  # noqa: F401
from tests.platform_server import PlatformServer
from tests.scene import Scene, now, settings_for

TOKEN = "eyJhbGciOiJub25lIn0.cmVnaXN0cmF0aW9u.c2VjcmV0LXRva2Vu"
AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"


@pytest.fixture
def scene(shared: Scene) -> Scene:  # noqa: F811
    """The scene that the tests of this file share; each platform of a test has an address of its own."""
    shared.app.extensions["registration_limit"] = RateLimit(100_000)
    return shared


@pytest.fixture
def server() -> Iterator[PlatformServer]:
    made = PlatformServer()
    yield made
    made.stop()


@pytest.fixture
def strict(tmp_path: Path) -> Flask:
    """The application as it runs in production: no private address, no plain http."""
    url = f"sqlite:///{tmp_path / 'strict.db'}"
    settings = settings_for(tmp_path, url, "https://badges.example.edu", LTI_TOOL_NETWORK__ALLOW_PRIVATE="false")
    schema.upgrade(Database(url))
    return create_app(settings)


def invite(scene: Scene) -> str:
    return registration.invite(scene.tool, actor=audit.OPERATOR, now=now()).address


def register(scene: Scene, server: PlatformServer, address: str = "", **changes: str) -> requests.Response:
    asked = {"openid_configuration": server.config_url, "registration_token": TOKEN, **changes}
    return requests.get(address or invite(scene), params=asked, timeout=30)


def rows(scene: Scene, issuer: str) -> list[Registration]:
    with scene.tool.db.read() as session:
        return list(session.scalars(select(Registration).where(Registration.issuer == issuer)))


# -- where the configuration lies -------------------------------------------------------------------------------


def ask_strictly(app: Flask, url: str) -> Any:
    address = registration.invite(app.extensions["lti_tool"], actor=audit.OPERATOR, now=now()).address
    path, _, query = address.removeprefix("https://badges.example.edu").partition("?")
    told = {**{k: v[0] for k, v in parse_qs(query).items()}, "openid_configuration": url}
    return app.test_client().get(path, query_string=told, base_url="https://badges.example.edu")


def test_E01_a_configuration_over_plain_http_is_refused(strict: Flask) -> None:
    answer = ask_strictly(strict, "http://lms.example.edu/configuration")
    assert answer.status_code == 400 and "public https address" in answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "0x7f000001", "localhost", "[::ffff:127.0.0.1]"]
)
def test_E02_a_private_host_is_refused_and_no_request_reaches_it(strict: Flask, host: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.3)
    try:
        answer = ask_strictly(strict, f"https://{host}:{listener.getsockname()[1]}/configuration")
        with pytest.raises(TimeoutError):
            listener.accept()
    finally:
        listener.close()
    assert answer.status_code == 400 and "public https address" in answer.text


def test_E02_a_metadata_service_is_refused_even_where_private_hosts_are_allowed(
    scene: Scene, server: PlatformServer
) -> None:
    answer = register(scene, server, openid_configuration="http://169.254.169.254/latest/meta-data")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/configuration", "other host", "ftp://localhost/x", "//evil"]
)
def test_E04_a_redirect_elsewhere_is_refused(scene: Scene, server: PlatformServer, target: str) -> None:
    other = PlatformServer("127.0.0.1")
    server.moved_to = f"{other.url}/elsewhere" if target == "other host" else target
    answer = register(scene, server)
    other.stop()
    assert answer.status_code == 400 and "leads to another address" in answer.text
    assert other.seen == [] and rows(scene, server.url) == []


def test_E04_a_redirect_within_the_host_is_followed(scene: Scene, server: PlatformServer) -> None:
    server.moved_to = f"{server.url}/elsewhere"
    assert register(scene, server).status_code == 200
    assert server.seen == ["/configuration", "/elsewhere", "/register"]


# -- what it says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["?tenant=1", "#part", "?", "/x?y#z"])
def test_E06_an_issuer_with_query_or_fragment_is_refused(scene: Scene, server: PlatformServer, ending: str) -> None:
    server.changes = {"issuer": server.url + ending}
    answer = register(scene, server)
    assert answer.status_code == 400 and server.asked == []


@pytest.mark.parametrize(
    "issuer",
    ["https://canvas.instructure.com", "http://localhost", "http://localhost.evil.example", "http://LOCALHOST@x"],
)
def test_E06_an_issuer_on_another_host_than_the_configuration_is_refused(
    scene: Scene, server: PlatformServer, issuer: str
) -> None:
    server.changes = {"issuer": issuer}
    server.described = {"product_family_code": "canvas"}
    answer = register(scene, server)
    assert answer.status_code == 400 and server.asked == []


def test_an_issuer_below_a_path_may_have_its_configuration_anywhere_on_its_host(
    scene: Scene, server: PlatformServer
) -> None:
    server.changes = {"issuer": f"{server.url}/moodle"}
    assert register(scene, server).status_code == 200


@pytest.mark.parametrize("endpoint", ["registration_endpoint", "jwks_uri", "token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/x", "https://user@localhost/x", "javascript:alert(1)", "", 7, "http://[fd00:ec2::254]/"],
)
def test_E07_an_endpoint_that_nobody_may_call_is_refused(
    scene: Scene, server: PlatformServer, endpoint: str, address: Any
) -> None:
    server.changes = {endpoint: address}
    answer = register(scene, server)
    assert answer.status_code == 400 and server.asked == [] and rows(scene, server.url) == []


@pytest.mark.parametrize("endpoint", ["registration_endpoint", "jwks_uri", "token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "localhost", "192.168.1.1", "0x7f.1"])
def test_E07_in_production_no_endpoint_may_be_private(endpoint: str, host: str) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        dynamic_registration._check_endpoint(Http(), endpoint, f"https://{host}/x")
    assert (refused.value.status, refused.value.reason) == (400, "endpoint")


@pytest.mark.parametrize("document", ["[]", "<html>", '{"issuer": 5}', "x" * 300_000, ""])
def test_a_configuration_that_cannot_be_read_is_refused(scene: Scene, server: PlatformServer, document: str) -> None:
    server.configuration = lambda: document  # type: ignore[method-assign, assignment, return-value]
    assert register(scene, server).status_code == 400
    assert server.asked == []


def test_a_platform_without_dynamic_registration_is_sent_to_the_form(scene: Scene, server: PlatformServer) -> None:
    server.changes = {"registration_endpoint": None}
    answer = register(scene, server)
    assert answer.status_code == 400 and "does not offer registration" in answer.text


@pytest.mark.parametrize("product", ["other-lms", "moodle"])
@pytest.mark.parametrize("named", ["https://canvas.example.edu/login/oauth2/token", "canvas.example.edu", "urn:canvas"])
def test_an_lms_that_asks_for_tokens_of_another_server_is_refused(
    scene: Scene, server: PlatformServer, product: str, named: str
) -> None:
    """Whoever receives an assertion meant for another LMS could use it there, as the tool."""
    server.described = {"product_family_code": product}
    server.changes = {"authorization_server": named}
    answer = register(scene, server)
    assert answer.status_code == 400 and "another server than its own" in answer.text
    assert server.asked == [] and rows(scene, server.url) == []


def test_an_audience_of_the_lms_s_own_is_taken(scene: Scene, server: PlatformServer) -> None:
    server.changes = {"authorization_server": f"{server.url}/audience"}
    assert register(scene, server).status_code == 200
    assert [row.auth_audience for row in rows(scene, server.url)] == [f"{server.url}/audience"]


@pytest.mark.parametrize(
    ("token_address", "audience", "own"),
    [
        ("https://auth.brightspace.com/core/connect/token", "https://api.brightspace.com/auth/token", True),
        ("https://auth.brightspace.com/core/connect/token", "https://canvas.example.edu/token", False),
        ("https://school.brightspace.example/token", "https://api.brightspace.com/auth/token", False),
    ],
)
def test_the_audience_of_brightspace_lies_on_another_host_than_its_token_address(
    token_address: str, audience: str, own: bool
) -> None:
    assert may_name_audience(token_address, audience) is own


# -- the invite -------------------------------------------------------------------------------------------------


def test_E09_without_an_invite_or_with_one_that_is_no_good_nothing_happens(
    scene: Scene, server: PlatformServer
) -> None:
    wrong = f"{scene.url}/lti/register"
    assert register(scene, server, wrong).status_code == 403
    assert register(scene, server, f"{wrong}?invite=guessed").status_code == 403
    withdrawn = registration.invite(scene.tool, actor=audit.OPERATOR, now=now())
    registration.withdraw(scene.tool, withdrawn.id, actor=audit.OPERATOR, now=now())
    assert register(scene, server, withdrawn.address).status_code == 403
    late = registration.invite(scene.tool, lasts=timedelta(0), actor=audit.OPERATOR, now=now()).address
    assert register(scene, server, late).status_code == 403
    assert server.seen == []


def test_E09_an_invite_works_once(scene: Scene, server: PlatformServer) -> None:
    address = invite(scene)
    assert register(scene, server, address).status_code == 200
    again = register(scene, server, address)
    assert again.status_code == 403 and "already used" in again.text
    assert len(server.asked) == 1 and len(rows(scene, server.url)) == 1


def test_E09_of_parallel_requests_with_one_invite_one_registers(scene: Scene, server: PlatformServer) -> None:
    address, together = invite(scene), threading.Event()
    server.before_configuration = lambda: together.wait(5) and None
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(register, scene, server, address) for _ in range(6)]
        deadline = time.monotonic() + 20
        while sum(each.done() for each in asked) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        together.set()
        statuses = sorted(each.result().status_code for each in asked)
    assert statuses == [200, 409, 409, 409, 409, 409]
    assert len(server.asked) == 1 and len(rows(scene, server.url)) == 1


def test_only_the_hash_of_an_invite_is_kept(scene: Scene) -> None:
    secret = parse_qs(urlsplit(invite(scene)).query)["invite"][0]
    assert secret not in everything_stored(scene) and len(secret) >= 43


def test_asking_with_head_registers_nothing_and_uses_nothing_up(scene: Scene, server: PlatformServer) -> None:
    address = invite(scene)
    asked = {"openid_configuration": server.config_url}
    assert requests.head(address, params=asked, timeout=20).status_code == 405
    assert server.seen == [] and register(scene, server, address).status_code == 200


@pytest.mark.parametrize("status", [400, 401, 403, 422, 302])
def test_a_refusal_by_the_platform_does_not_use_the_invite_up(
    scene: Scene, server: PlatformServer, status: int
) -> None:
    address, good = invite(scene), server.answer
    server.answer = lambda: Response("missing_domain", status, headers={"Location": "/x"} if status == 302 else {})
    refused = register(scene, server, address)
    assert refused.status_code == 400 and "missing_domain" not in refused.text and rows(scene, server.url) == []
    server.answer = good
    assert register(scene, server, address).status_code == 200


def test_a_client_that_was_made_and_not_named_uses_the_invite_up_and_says_what_to_do(
    scene: Scene, server: PlatformServer
) -> None:
    address = invite(scene)
    server.answer = lambda: jsonify(client_id="")
    told = register(scene, server, address)
    assert told.status_code == 400 and "registered the tool" in told.text and "by hand" in told.text
    assert register(scene, server, address).status_code == 403


def test_a_platform_that_breaks_off_leaves_a_note_and_a_usable_invite(scene: Scene, server: PlatformServer) -> None:
    address, good = invite(scene), server.answer
    server.answer = lambda: Response("", 503)
    told = register(scene, server, address)
    assert told.status_code == 400 and "delete it" in told.text and len(server.asked) == 1
    listed = registration.invites(scene.tool, now())[0]
    assert (listed["state"], listed["asked_of"]) == ("broken off", server.url)
    server.answer = good
    assert register(scene, server, address).status_code == 200


def test_a_crash_before_the_answer_is_stored_blocks_the_invite_for_minutes_and_is_told(
    scene: Scene, server: PlatformServer
) -> None:
    secret = parse_qs(urlsplit(invite(scene)).query)["invite"][0]
    began = now()
    claimed = registration._claim(scene.tool, secret, began)
    registration._note_asked(scene.tool, claimed, server.url, began)  # here the process dies
    with pytest.raises(Conflict):
        registration.register(scene.tool, secret, server.config_url, None, began + timedelta(minutes=2))
    later = began + registration.CLAIM_LASTS
    assert registration.invites(scene.tool, later)[0]["state"] == "broken off"
    done = registration.register(scene.tool, secret, server.config_url, None, later)
    assert done.state == "pending" and len(rows(scene, server.url)) == 1
    with pytest.raises(InviteRefused):
        registration.register(scene.tool, secret, server.config_url, None, later)


# -- what comes of it -------------------------------------------------------------------------------------------


def test_E11_what_was_not_granted_is_stored_and_told_to_both_administrators(
    scene: Scene, server: PlatformServer
) -> None:
    server.answer = lambda: jsonify(client_id="c1", scope=f"{AGS}lineitem {AGS}result.readonly", deployment_id=7)
    told = register(scene, server)
    assert "send scores" in told.text and "read who is in the course" in told.text
    (row,) = rows(scene, server.url)
    assert row.granted_scopes == [f"{AGS}lineitem", f"{AGS}result.readonly"]
    shown = scene.administrator().get(f"/admin/platforms/{row.id}")
    assert "send scores" in shown.text
    with scene.tool.db.read() as session:
        assert session.scalars(select(Deployment.deployment_id).where(Deployment.registration_id == row.id)).all() == [
            "7"
        ]


def test_E12_html_in_a_name_is_shown_as_text(scene: Scene, server: PlatformServer) -> None:
    evil = "<img src=x onerror=alert(1)>"
    server.described = {"product_family_code": evil, "https://canvas.instructure.com/lti/account_name": f"{evil}\n"}
    told = register(scene, server)
    (row,) = rows(scene, server.url)
    shown = scene.administrator().get(f"/admin/platforms/{row.id}")
    for page in (told, shown):
        assert page.status_code == 200 and "<img" not in page.text and "&lt;img" in page.text


def test_E13_a_registration_waits_for_approval_and_its_window_is_closed_by_a_message_to_the_platform(
    scene: Scene, server: PlatformServer
) -> None:
    told = register(scene, server)
    (row,) = rows(scene, server.url)
    assert (row.state, row.registered_by) == ("pending", "invite")
    (button,) = re.findall(r'data-close-window="([^"]*)"', told.text)
    assert button.split() == [server.url] and "*" not in button
    script = requests.get(f"{scene.url}/static/register.js", timeout=10).text
    assert "org.imsglobal.lti.close" in script and '"*"' not in script
    policy = told.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "frame-ancestors *" in policy


def test_E13_a_launch_from_a_pending_registration_gets_a_page_that_says_so(
    scene: Scene, server: PlatformServer
) -> None:
    register(scene, server)
    (row,) = rows(scene, server.url)
    login = {
        "iss": row.issuer,
        "client_id": row.client_id,
        "login_hint": "1",
        "target_link_uri": f"{scene.url}/lti/launch",
    }
    waiting = requests.post(f"{scene.url}/lti/login", data=login, timeout=20)
    assert waiting.status_code == 401 and "waiting to be approved" in waiting.text
    admin = scene.administrator()
    assert "waits for approval" in admin.get("/admin/platforms/").text
    assert row.issuer in admin.get("/admin/approvals/").text
    assert "may launch from now on" in admin.post(f"/admin/platforms/{row.id}/approve").text
    started = requests.post(f"{scene.url}/lti/login", data=login, timeout=20, allow_redirects=False)
    assert started.status_code == 302
    platforms.set_status(scene.tool, row.id, "disabled", now())
    off = requests.post(f"{scene.url}/lti/login", data=login, timeout=20)
    assert off.status_code == 401 and "switched off for your LMS" in off.text


@pytest.fixture
def automatic(tmp_path: Path, database_url: str) -> Iterator[Scene]:
    made = Scene(tmp_path, database_url, LTI_TOOL_LTI__APPROVE_REGISTRATIONS="automatic")
    yield made
    made.stop()


def test_E13_where_the_setting_says_so_a_registration_is_approved_at_once(
    automatic: Scene, server: PlatformServer
) -> None:
    assert "launch at once" in register(automatic, server).text
    (row,) = rows(automatic, server.url)
    assert row.state == "active"


def test_E14_the_registration_token_goes_to_the_platform_and_nowhere_else(
    scene: Scene, server: PlatformServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    client = scene.app.test_client()

    def ask() -> Any:
        # Canvas writes the token into the configuration's address too.
        config_url = f"{server.config_url}?registration_token={TOKEN}"
        secret = parse_qs(urlsplit(invite(scene)).query)["invite"][0]
        asked = {"invite": secret, "openid_configuration": config_url, "registration_token": TOKEN}
        return client.get("/lti/register", query_string=asked, base_url=scene.url)

    answers = [ask()]
    server.changes = {"issuer": f"{server.url}?x"}
    answers.append(ask())
    server.changes, server.answer = {}, lambda: Response(TOKEN, 400)
    answers.append(ask())
    server.moved_to = f"http://127.0.0.1/?{TOKEN}"
    answers.append(ask())
    assert server.tokens == [f"Bearer {TOKEN}"] * 6
    assert [each.status_code for each in answers] == [200, 400, 400, 400]
    assert "registered platform=" in caplog.text and caplog.text.count("refused error_id") == 3
    ours = " ".join(each.getMessage() for each in caplog.records if each.name.startswith("lti_tool"))
    for text in (*(each.text for each in answers), ours, everything_stored(scene)):
        assert TOKEN not in text and "c2VjcmV0" not in text


def everything_stored(scene: Scene) -> str:
    with scene.tool.db.read() as session:
        return repr([[tuple(row) for row in session.execute(select(table))] for table in Base.metadata.sorted_tables])


@pytest.mark.parametrize("token", ["with blank", "x" * 9000, "line\nbreak", "é"])
def test_a_token_that_fits_no_header_is_refused(scene: Scene, server: PlatformServer, token: str) -> None:
    assert register(scene, server, registration_token=token).status_code == 400
    assert server.seen == []


def test_the_same_client_again_keeps_its_addresses_and_its_row(scene: Scene, server: PlatformServer) -> None:
    server.answer = lambda: jsonify(client_id="same")
    register(scene, server)
    (before,) = rows(scene, server.url)
    platforms.set_status(scene.tool, before.id, "active", now())
    server.changes = {"jwks_uri": f"{server.url}/other-keys"}
    server.answer = lambda: jsonify(client_id="same", deployment_id="new", scope=f"{AGS}score")
    told = register(scene, server)
    (after,) = rows(scene, server.url)
    assert told.status_code == 200 and "registered here before" in told.text
    assert (after.id, after.jwks_url, after.state) == (before.id, f"{server.url}/jwks", "active")
    assert after.granted_scopes == [f"{AGS}score"]
    with scene.tool.db.read() as session:
        assert [(d.deployment_id, d.status) for d in session.get_one(Registration, after.id).deployments] == [
            ("new", "pending")
        ]


def test_one_client_registered_by_two_invites_at_once_is_one_platform(scene: Scene, server: PlatformServer) -> None:
    barrier = threading.Barrier(2, timeout=20)

    def answer() -> Response:
        barrier.wait()
        return Response('{"client_id": "same"}', content_type="application/json")

    server.answer = answer
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(register, scene, server, invite(scene)) for _ in range(2)]
        assert [each.result().status_code for each in both] == [200, 200]
    assert len(rows(scene, server.url)) == 1
    with scene.tool.db.read() as session:
        led_to = session.scalars(select(Invite.registration_id).where(Invite.asked_of == server.url))
        assert list(led_to) == [rows(scene, server.url)[0].id] * 2


@pytest.fixture
def impostor() -> Iterator[PlatformServer]:
    made = PlatformServer()
    yield made
    made.stop()


@pytest.mark.parametrize("products", [("moodle", "other-lms"), ("moodle", "moodle"), ("other-lms", "moodle")])
def test_a_client_id_that_is_a_moodle_s_is_nobody_else_s(
    scene: Scene, server: PlatformServer, impostor: PlatformServer, products: tuple[str, str]
) -> None:
    """Moodle makes them at random, and does not look whom an assertion is meant for."""
    client_id = f"of-{urlsplit(server.url).port}"
    for each, product in zip((server, impostor), products, strict=True):
        each.described, each.answer = {"product_family_code": product}, lambda: jsonify(client_id=client_id)
    assert register(scene, server).status_code == 200
    address = invite(scene)
    told = register(scene, impostor, address)
    assert told.status_code == 400 and "belongs to another LMS" in told.text and server.url not in told.text
    assert rows(scene, impostor.url) == []
    assert register(scene, impostor, address).status_code == 403  # the LMS holds a client now


def test_a_client_id_that_another_lms_has_too_waits_for_an_administrator_whatever_the_setting_says(
    automatic: Scene, server: PlatformServer, impostor: PlatformServer
) -> None:
    for each in (server, impostor):
        each.answer = lambda: jsonify(client_id="10000000000777")
        assert register(automatic, each).status_code == 200
    ((first,), (second,)) = rows(automatic, server.url), rows(automatic, impostor.url)
    assert (first.state, second.state) == ("active", "pending")
    admin = automatic.administrator()
    shown = admin.get(f"/admin/platforms/{second.id}").text
    assert "Its client id is also that of" in shown and server.url in shown
    assert "Its client id is also that of" not in admin.post(f"/admin/platforms/{second.id}/approve").text
    assert rows(automatic, impostor.url)[0].state == "active"


def test_an_lms_that_names_another_one_s_token_address_and_client_id_is_refused(
    scene: Scene, server: PlatformServer, impostor: PlatformServer
) -> None:
    """Its service addresses would be sent the other one's access tokens."""
    client_id = f"of-{urlsplit(server.url).port}"
    server.answer = impostor.answer = lambda: jsonify(client_id=client_id)
    assert register(scene, server).status_code == 200
    impostor.changes = {"token_endpoint": f"{server.url}/token?"}
    assert register(scene, impostor).status_code == 400
    assert rows(scene, impostor.url) == []


# -- both moods, whole ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_a_tool_registers_itself_is_switched_on_approved_and_launched(scene: Scene, mood: str) -> None:
    scene.mood = mood
    lms, before = scene.lms, set(scene.lms.tools)
    told = requests.get(lms.registration_address(invite(scene)), timeout=30)
    assert told.status_code == 200, told.text
    assert {"canvas": "Developer Keys", "moodle": "Activate"}[mood] in told.text
    (client_id,) = set(lms.tools) - before
    tool = lms.tools[client_id]
    assert not tool.active and tool.redirect_uris == [f"{scene.url}/lti/launch"] and tool.privacy == "public"
    assert f"{AGS}lineitem" in tool.scopes and tool.custom["context_id_history"] == "$Context.id.history"
    if mood == "canvas":
        assert tool.placements == ["course_navigation", "assignment_selection", "link_selection", "user_navigation"]
        assert "https://purl.imsglobal.org/spec/lti/scope/noticehandlers" in tool.scopes
        lms.add_deployment(tool)
    tool.active = tool.shown = True
    (row,) = [each for each in rows(scene, lms.issuer) if each.client_id == client_id]
    assert (row.state, row.product, row.auth_audience) == ("pending", mood, None)
    assert (row.granted_scopes is None) == (mood == "moodle")
    scene.administrator().post(f"/admin/platforms/{row.id}/approve")
    teacher = scene.launch("teacher1", tool=tool)
    assert teacher.page is not None and teacher.page.status_code == 200 and teacher.home
    assert teacher.post("library/oral-communication").status_code == 200
    assert teacher.post("badges/oral-communication/publish").status_code == 200
    made = [column for column in lms.columns("EMP101") if column.resource_id]  # beside the course's own assignment
    assert [column.client_id for column in made] == [client_id] * 4


def test_a_canvas_key_made_from_the_configuration_address_launches(scene: Scene) -> None:
    from lti_tool.demo import canvas_registration

    scene.mood = "canvas"
    lms = scene.lms
    tool = canvas_registration.key_from_address(lms, f"{scene.url}/lti/config.json", [f"{scene.url}/lti/launch"])
    assert tool.placements == ["course_navigation", "assignment_selection", "link_selection", "user_navigation"]
    tool.active = True
    lms.add_deployment(tool)
    admin = scene.administrator()
    form = admin.get(f"/admin/platforms/canvas/form?where=own&host=lms.example&client_id={tool.client_id}")
    assert f'value="{tool.client_id}"' in form.text and "https://lms.example/login/oauth2/token" in form.text
    told = {
        "name": "Canvas <b>",
        "product": "canvas",
        "issuer": lms.issuer,
        "client_id": tool.client_id,
        "auth_login_url": lms.auth_url,
        "auth_token_url": lms.token_url,
        "jwks_url": lms.jwks_url,
        "auth_audience": "",
        "deployment_ids": "",
    }
    added = admin.post("/admin/platforms/by-hand", told)
    assert added.status_code == 200 and "Canvas &lt;b&gt;" in added.text
    assert scene.launch("teacher1", tool=tool).home


def test_the_configuration_for_canvas_has_what_canvas_requires(scene: Scene) -> None:
    answer = requests.get(f"{scene.url}/lti/config.json", timeout=10)
    told = answer.json()
    assert (
        told["oidc_initiation_url"] == f"{scene.url}/lti/login" and told["target_link_uri"] == f"{scene.url}/lti/launch"
    )
    assert told["public_jwk_url"] == f"{scene.url}/.well-known/jwks.json"
    placements = {each["placement"]: each for each in told["extensions"][0]["settings"]["placements"]}
    assert set(placements) == {"course_navigation", "assignment_selection", "link_selection", "user_navigation"}
    assert placements["assignment_selection"]["message_type"] == "LtiDeepLinkingRequest"
    assert requests.get(placements["course_navigation"]["icon_url"], timeout=10).status_code == 200
