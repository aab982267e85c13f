"""The platform's page: what is looked at, what turns red and green, deployments, switching off, another client id."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from lxml import html
from markupsafe import escape
from sqlalchemy import select

from lti_tool.models import Award, Course, Deployment, Job, Login, Person, Registration
from lti_tool.services import platform_checks, platforms
from tests.classroom import shared  # noqa: F401
from tests.platform_server import PlatformServer
from tests.scene import Administrator, Scene, now

AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
READ_ONLY = (f"{AGS}lineitem", f"{AGS}result.readonly")


@pytest.fixture(params=["canvas", "moodle"])
def scene(request: pytest.FixtureRequest, shared: Scene) -> Iterator[Scene]:  # noqa: F811
    """The shared scene with a platform of the test's own."""
    shared.mood = request.param
    shared.register(shared.mood)
    yield shared
    shared.lms.faults.clear()


@pytest.fixture
def admin(shared: Scene) -> Administrator:  # noqa: F811
    return shared.administrator()


def platform_of(scene: Scene) -> int:
    return scene.platform[scene.mood]


def look(scene: Scene) -> dict[str, platform_checks.Check]:
    return {check.key: check for check in platform_checks.look(scene.tool, platform_of(scene), now())}


def states(scene: Scene) -> dict[str, str]:
    return {key: check.state for key, check in look(scene).items()}


# -- the check list ---------------------------------------------------------------------------------------------

WELL = {
    "keys": "pass",
    "token": "pass",
    "launch": "pass",
    "deployment": "pass",
    "roster": "pass",
    "columns_read": "pass",
    "columns_write": "pass",
    "scopes": "pass",
    "clock": "pass",
    "course": "pass",
    "columns_kept": "pass",
    "learner": "pass",
}


def test_the_list_fills_as_the_platform_is_used(scene: Scene) -> None:
    waiting = {"launch", "deployment", "roster", "columns_read", "learner"}
    assert states(scene) == {**WELL, **dict.fromkeys(waiting, "waiting")}
    scene.launch("teacher1")
    assert states(scene) == {**WELL, "learner": "waiting"}
    scene.launch("student1")
    told = look(scene)
    assert {key: check.state for key, check in told.items()} == WELL
    assert "EMP101" in told["launch"].sentence and re.match(r"\d+ people in EMP101", told["roster"].sentence)
    assert "None was made as a try" in told["columns_write"].sentence


def test_nothing_is_left_in_a_gradebook_by_looking_and_one_token_is_enough(scene: Scene) -> None:
    scene.launch("teacher1")
    scene.lms.requests.clear()
    look(scene)
    assert [each.service for each in scene.lms.requests].count("token") == 1
    written = [each for each in scene.lms.requests if each.method != "GET" and each.service != "token"]
    assert written == []


def test_E11_a_permission_that_was_not_granted_is_red_with_the_clicks_of_that_lms(
    scene: Scene, admin: Administrator
) -> None:
    tool = scene.lti_tool[scene.mood]
    tool.scopes = [scope for scope in tool.scopes if scope in READ_ONLY]
    scene.launch("teacher1")
    told = look(scene)
    assert (told["scopes"].state, told["columns_write"].state, told["roster"].state) == ("fail", "fail", "fail")
    assert "score" in told["scopes"].sentence and told["columns_read"].state == "pass"
    page = admin.get(f"/admin/platforms/{platform_of(scene)}").text
    label = {"canvas": "LTI Advantage Services", "moodle": "Manage tools"}[scene.mood]
    assert f'<span class="ui">{label}</span>' in page
    tool.scopes = list(scene.lms.mood.scopes)
    scene.launch("teacher1")
    assert "fail" not in states(scene).values()


def test_a_platform_that_does_not_let_the_tool_in_is_red_and_what_hangs_on_it_unknown(scene: Scene) -> None:
    scene.launch("teacher1")
    scene.lms.faults.on("token", "status", status=401, body='{"error": "invalid_client"}')
    told = states(scene)
    # Theirs can be read; whether they can read ours, only a token would tell.
    assert (told["token"], told["keys"], told["roster"], told["scopes"]) == ("fail", "unknown", "unknown", "unknown")


def test_a_platform_that_asks_for_a_pause_is_not_called_wrong(scene: Scene) -> None:
    scene.lms.faults.on("token", "rate_limited", status=429, retry_after=60)
    assert states(scene)["token"] == "unknown"


@pytest.mark.parametrize("fault", ["no_keys", "empty_keys", "html", "broken_rsa", "drop"])
def test_keys_that_cannot_be_read_are_red(scene: Scene, fault: str) -> None:
    scene.lms.faults.on("jwks", fault)
    assert states(scene)["keys"] == "fail"


@pytest.mark.parametrize("minutes", [5, -5])
def test_L11_a_clock_that_is_five_minutes_wrong_is_told(scene: Scene, minutes: int) -> None:
    told = {c.key: c for c in platform_checks.look(scene.tool, platform_of(scene), now() + timedelta(minutes=minutes))}
    assert told["clock"].state == "fail" and re.match("(299|30[0-9]) s", told["clock"].sentence)
    assert ("ahead" if minutes > 0 else "behind") in told["clock"].sentence
    scene.site.canvas.clock = lambda: time.time() + 50  # the first of the site's two tells the time of its answers
    assert states(scene)["clock"] == "pass"
    scene.site.canvas.clock = time.time


def test_two_deployments_with_one_gradebook_are_told(scene: Scene) -> None:
    scene.lms.add_deployment(scene.lti_tool[scene.mood])
    for deployment in scene.lti_tool[scene.mood].deployment_ids:
        scene.launch("teacher1", deployment_id=deployment)
    assert look(scene)["shared"].state == "fail"


def test_a_failed_publishing_is_told_beside_the_columns(scene: Scene) -> None:
    teacher = scene.launch("teacher1")
    teacher.post("library/oral-communication")
    scene.lms.faults.on("lineitems", status=422, method="POST")
    teacher.post("badges/oral-communication/publish")
    assert look(scene)["columns_write"].state == "fail"
    scene.lms.faults.clear()
    teacher.post("badges/oral-communication/publish")
    assert "4 columns" in look(scene)["columns_write"].sentence.lower()


# -- the page ---------------------------------------------------------------------------------------------------


def at_the_side(page: str, scene: Scene) -> str:
    """Return what the list of platforms says of this one."""
    (own,) = html.fromstring(f"<div>{page}</div>").xpath("//ul[@id='platforms']//a[@aria-current]")
    assert own.get("href") == f"/admin/platforms/{platform_of(scene)}"
    return str(own.text_content())


def test_the_page_turns_green_by_itself_and_by_hand(scene: Scene, admin: Administrator) -> None:
    address = f"/admin/platforms/{platform_of(scene)}"
    scene.lms.faults.on("token", "status", status=401, body='{"error": "invalid_client"}')
    admin.get(address)
    fresh = admin.get(f"{address}/checks").text
    assert "Your LMS does not let the tool in any more" in fresh
    assert "one thing to fix" in at_the_side(fresh, scene)
    scene.lms.faults.clear()
    assert "does not let the tool in" in admin.get(f"{address}/checks").text  # not looked at again for half a minute
    with scene.tool.db.write() as session:
        row = session.get_one(Registration, platform_of(scene))
        row.checked_at = now() - platform_checks.AGAIN_AFTER
    fresh = admin.get(f"{address}/checks").text
    assert "does not let the tool in" not in fresh and "to fix" not in at_the_side(fresh, scene)
    scene.lms.faults.on("jwks", "empty_keys")
    assert "holds no RSA key" in admin.post(f"{address}/check").text
    with scene.tool.db.read() as session:
        looked = session.scalars(select(Job).where(Job.kind == "check", Job.subject == str(platform_of(scene)))).all()
    assert len(looked) == 1  # earlier looks leave nothing behind


def test_the_page_does_not_wait_for_a_platform_that_hangs(scene: Scene, admin: Administrator) -> None:
    wake, scene.tool.wake = scene.tool.wake, lambda job_id: None
    scene.lms.faults.on("jwks", "slow", seconds=30)
    try:
        began = time.monotonic()
        page = admin.get(f"/admin/platforms/{platform_of(scene)}")
        assert page.status_code == 200 and time.monotonic() - began < 10
        assert "Being looked at" in page.text
        with scene.tool.db.write() as session:
            job = session.scalars(select(Job).where(Job.kind == "check", Job.state == "due")).one()
            job.created_at = now() - timedelta(minutes=1)
        assert "is lti-tool worker running" in admin.get(f"/admin/platforms/{platform_of(scene)}").text
    finally:
        scene.tool.wake = wake
        with scene.tool.db.write() as session:
            session.delete(session.scalars(select(Job).where(Job.kind == "check", Job.state == "due")).one())


def test_nobody_else_sees_or_changes_a_platform(scene: Scene) -> None:
    teacher = scene.launch("teacher1")
    for path in ("", "/checks", "/edit"):
        assert teacher.get(f"/admin/platforms/{platform_of(scene)}{path}").status_code == 401
    for path in ("/disable", "/approve", "/remove", "/check", "/edit"):
        assert teacher.post(f"/admin/platforms/{platform_of(scene)}{path}").status_code == 401
    assert teacher.post("/admin/platforms/invites", {"expires": "24"}).status_code == 401
    with scene.tool.db.read() as session:
        assert session.get_one(Registration, platform_of(scene)).status == "active"


# -- deployments, and switching off -----------------------------------------------------------------------------


def test_D12_an_unknown_deployment_waits_and_is_approved_on_the_page(scene: Scene, admin: Administrator) -> None:
    platforms.set_status(scene.tool, platform_of(scene), "active", now())
    with scene.tool.db.write() as session:
        session.get_one(Registration, platform_of(scene)).deployments_named = True
    refused = scene.launch("teacher1")
    assert refused.page is not None and refused.page.status_code == 401
    assert "has not been approved" in refused.page.text
    deployment = scene.lti_tool[scene.mood].deployment_id
    assert deployment in admin.get("/admin/approvals/").text
    (pk,) = re.findall(r"/deployments/(\d+)/approve", admin.get(f"/admin/platforms/{platform_of(scene)}").text)
    other = scene.platform["canvas" if scene.mood == "moodle" else "moodle"]
    assert admin.post(f"/admin/platforms/{other}/deployments/{pk}/approve").status_code == 404
    assert admin.post(f"/admin/platforms/{platform_of(scene)}/deployments/{pk}/approve").status_code == 200
    assert scene.launch("teacher1").home


def test_D13_a_platform_or_deployment_switched_off_ends_open_pages_at_the_next_request(
    scene: Scene, admin: Administrator
) -> None:
    teacher = scene.launch("teacher1")
    address = f"/admin/platforms/{platform_of(scene)}"
    (pk,) = re.findall(r"/deployments/(\d+)/disable", admin.get(address).text)
    for off, on in (
        (f"{address}/disable", f"{address}/enable"),
        (f"{address}/deployments/{pk}/disable", f"{address}/deployments/{pk}/approve"),
    ):
        assert teacher.get("").status_code == 200
        assert admin.post(off).status_code == 200
        assert teacher.get("").status_code == 401
        again = scene.launch("teacher1")
        assert again.page is not None and again.page.status_code == 401 and not again.home
        assert admin.post(on).status_code == 200
        assert teacher.get("").status_code == 200


# -- the platform's keys ----------------------------------------------------------------------------------------


def test_L01_a_rotated_platform_key_costs_one_fetch_and_the_launch_passes(scene: Scene) -> None:
    scene.launch("teacher1")
    scene.lms.rotate_keys(3)
    scene.lms.requests.clear()
    assert scene.launch("teacher1").home
    assert scene.launch("student1").home
    assert [each.service for each in scene.lms.requests if each.service == "jwks"] == ["jwks"]


def test_L03_with_the_key_address_down_a_launch_passes_by_the_keys_that_were_kept(scene: Scene) -> None:
    scene.launch("teacher1")
    scene.lms.faults.on("jwks", "drop")
    scene.tool.keys._known.clear()  # a process that has just been started
    assert scene.launch("student1").home


# -- by hand ----------------------------------------------------------------------------------------------------


def form(**changes: str) -> dict[str, str]:
    told = {
        "name": "By hand",
        "product": "other",
        "issuer": "https://lms.example.edu",
        "client_id": "abc",
        "auth_login_url": "https://lms.example.edu/auth",
        "auth_token_url": "https://lms.example.edu/token",
        "jwks_url": "https://lms.example.edu/jwks",
        "auth_audience": "",
        "deployment_ids": "",
    }
    return {**told, **changes}


def test_a_form_reads_the_platform_s_own_configuration(shared: Scene, admin: Administrator) -> None:  # noqa: F811
    server = PlatformServer()
    asked = {"do": "read", "configuration": server.config_url, "client_id": "typed-before", "name": ""}
    filled = admin.post("/admin/platforms/by-hand", asked).text
    server.stop()
    values = dict(re.findall(r'id="([a-z_]+)" name="[a-z_]+" type="text" value="([^"]*)"', filled))
    assert values["issuer"] == server.url and values["jwks_url"] == f"{server.url}/jwks"
    assert values["client_id"] == "typed-before"


def test_a_configuration_that_cannot_be_read_loses_nothing_of_what_was_typed(
    shared: Scene,  # noqa: F811
    admin: Administrator,
) -> None:
    asked = form(do="read", configuration="http://169.254.169.254/", name="Kept <i>")
    page = admin.post("/admin/platforms/by-hand", asked)
    assert page.status_code == 400 and 'value="Kept &lt;i&gt;"' in page.text and "public https address" in page.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("issuer", " "),
        ("client_id", "x" * 256),
        ("auth_login_url", "javascript:alert(1)"),
        ("auth_token_url", "https://u:p@lms.example.edu/"),
        ("jwks_url", "https://lms.example.edu/a b"),
        ("auth_audience", "urn:x\x07"),
        ("deployment_ids", "y" * 256),
    ],
)
def test_a_field_that_cannot_be_used_is_told_beside_it(
    shared: Scene,  # noqa: F811
    admin: Administrator,
    field: str,
    value: str,
) -> None:
    page = admin.post("/admin/platforms/by-hand", form(**{field: value}))
    assert page.status_code == 422 and f'id="{field}-problem"' in page.text
    assert 'value="https://lms.example.edu/auth"' in page.text or field == "auth_login_url"


def test_the_same_platform_by_hand_twice_is_told_and_nothing_is_lost(shared: Scene, admin: Administrator) -> None:  # noqa: F811
    assert admin.post("/admin/platforms/by-hand", form(client_id="twice")).status_code == 200
    again = admin.post("/admin/platforms/by-hand", form(client_id="twice"))
    assert again.status_code == 409 and "registered already" in again.text and 'value="twice"' in again.text


def at(host: str, **changes: str) -> dict[str, str]:
    """Return a form of an LMS on a host of its own."""
    addresses = {name: f"https://{host}/{name}" for name in ("auth_login_url", "auth_token_url", "jwks_url")}
    return form(issuer=f"https://{host}", **addresses, **changes)


def test_a_client_id_that_is_a_moodle_s_is_refused_elsewhere_by_hand_too(
    shared: Scene,  # noqa: F811
    admin: Administrator,
) -> None:
    assert admin.post("/admin/platforms/by-hand", at("moodle.example.edu", client_id="rnd", product="moodle")).ok
    taken = admin.post("/admin/platforms/by-hand", at("moodle.example.org", client_id="rnd"))
    assert taken.status_code == 409 and "belongs to another LMS" in taken.text and 'value="rnd"' in taken.text
    assert admin.post("/admin/platforms/by-hand", at("moodle.example.org", client_id="own")).ok
    (other,) = [each["id"] for each in platforms.listing(shared.tool) if each["client_id"] == "own"]
    assert admin.post(f"/admin/platforms/{other}/edit", at("moodle.example.org", client_id="rnd")).status_code == 409
    assert platforms.told_of(shared.tool, other).client_id == "own"


def test_lmss_that_number_their_tools_may_have_one_client_id_and_not_at_one_token_address(
    shared: Scene,  # noqa: F811
    admin: Administrator,
) -> None:
    for host in ("canvas.example.edu", "canvas.example.org"):  # each Canvas of one's own begins with it
        assert admin.post("/admin/platforms/by-hand", at(host, client_id="10000000000001", product="canvas")).ok
    hers = at("canvas.example.net", client_id="10000000000001", product="canvas")
    hers["auth_token_url"] = "https://canvas.example.edu/login/oauth2/token"
    assert admin.post("/admin/platforms/by-hand", hers).status_code == 409


def test_any_audience_is_taken_by_hand_and_none_of_another_host_where_two_lmss_have_one_client_id(
    shared: Scene,  # noqa: F811
    admin: Administrator,
) -> None:
    canvas = {"client_id": "10000000999999", "product": "canvas"}
    elsewhere = "https://canvas.example.net/login/oauth2/token"
    told = at("canvas.example.com", auth_audience=elsewhere, **canvas)
    assert admin.post("/admin/platforms/by-hand", told).status_code == 200
    assert admin.post("/admin/platforms/by-hand", at("canvas.example.net", **canvas)).status_code == 409
    (its,) = [each["id"] for each in platforms.listing(shared.tool) if each["client_id"] == canvas["client_id"]]
    assert admin.post(f"/admin/platforms/{its}/edit", at("canvas.example.com", **canvas)).status_code == 200
    assert admin.post("/admin/platforms/by-hand", at("canvas.example.net", **canvas)).status_code == 200
    assert admin.post(f"/admin/platforms/{its}/edit", told).status_code == 409


def test_every_page_about_platforms_opens(shared: Scene, admin: Administrator) -> None:  # noqa: F811
    for path in ("", "add", "canvas", "by-hand", f"{shared.platform['canvas']}", f"{shared.platform['canvas']}/edit"):
        assert admin.get(f"/admin/platforms/{path}").status_code == 200
    made = admin.post("/admin/platforms/invites", {"expires": "24"})
    address = re.findall(r'id="invite-address">([^<]+)<', made.text)
    assert len(address) == 1 and address[0] not in admin.get("/admin/platforms/add").text
    assert admin.post("/admin/platforms/invites", {"expires": "99"}).status_code == 400


# -- moving to another client id --------------------------------------------------------------------------------


def stock(scene: Scene, platform: int) -> dict[str, Any]:
    with scene.tool.db.read() as session:
        courses = session.scalars(select(Course).where(Course.registration_id == platform).order_by(Course.id)).all()
        people = session.scalars(select(Person.id).where(Person.registration_id == platform)).all()
        awards = session.scalars(select(Award.id).join(Course).where(Course.registration_id == platform)).all()
        return {"courses": [(c.id, c.context_id) for c in courses], "people": set(people), "awards": set(awards)}


def a_course_with_an_award(scene: Scene) -> None:
    teacher = scene.publish()
    scene.grade("student2", 4, 4, 4, 4)
    scene.launch("student2")
    teacher.post("sync")
    scene.sync()


def new_client(scene: Scene) -> Any:
    tool = scene.lti_tool[scene.mood]
    return scene.lms.register_tool(tool.login_url, tool.launch_url, tool.jwks_url)


@pytest.fixture(params=["canvas", "moodle"])
def used(request: pytest.FixtureRequest, tmp_path: Any, database_url: str) -> Iterator[Scene]:
    """A scene of one's own, with a course, a badge and an award."""
    made = Scene(tmp_path, database_url, mood=request.param)
    a_course_with_an_award(made)
    yield made
    made.stop()


def test_a_platform_moves_to_another_client_id_and_keeps_courses_people_and_awards(used: Scene) -> None:
    scene, platform = used, platform_of(used)
    before = stock(scene, platform)
    assert before["awards"]
    old, new = scene.lti_tool[scene.mood], new_client(scene)
    admin = scene.administrator()
    under_way = scene.lms.login_request(old, "teacher1", "EMP101")
    visitor = scene.launch("student3").http
    started = visitor.post(f"{scene.url}/lti/login", data=under_way, allow_redirects=False, timeout=20)
    told = {name: str(getattr(platforms.told_of(scene.tool, platform), name) or "") for name in form()}
    told |= {"client_id": new.client_id, "deployment_ids": ""}
    moved = admin.post(f"/admin/platforms/{platform}/edit", told)
    assert moved.status_code == 200 and "has moved to its new client id" in moved.text

    # The login that was under way ends, and the old client id is refused.
    answer = scene.lms.finish_auth(started.headers["Location"])
    late = visitor.post(answer["target"], data=answer["fields"], timeout=20)
    assert late.status_code == 401 and "not one this tool is waiting for" in late.text
    refused = scene.launch("teacher1", tool=old)
    assert refused.page is not None and refused.page.status_code == 401

    # The same course, people and awards under the new one, whose deployments have other ids.
    assert new.deployment_id != old.deployment_id
    teacher = scene.launch("teacher1", tool=new)
    assert teacher.home and "Oral Communication" in teacher.get("").text
    assert "Oral Communication" in scene.launch("student2", tool=new).get("").text
    after = stock(scene, platform)
    assert (after["courses"], after["awards"]) == (before["courses"], before["awards"])
    assert before["people"] <= after["people"]
    with scene.tool.db.read() as session:
        rows = session.scalars(select(Deployment).where(Deployment.registration_id == platform)).all()
        assert {(row.deployment_id, row.former) for row in rows} == {
            (old.deployment_id, True),
            (new.deployment_id, False),
        }
        assert session.scalars(select(Login).where(Login.consumed_at.is_(None))).all() == []


def test_a_new_registration_of_the_same_lms_takes_the_place_of_the_old_one(used: Scene) -> None:
    from lti_tool.services import audit, registration

    scene, platform = used, platform_of(used)
    before, known = stock(scene, platform), set(used.lms.tools)
    invited = registration.invite(scene.tool, actor=audit.OPERATOR, now=now()).address
    assert requests.get(scene.lms.registration_address(invited), timeout=30).status_code == 200
    (client_id,) = set(scene.lms.tools) - known
    tool = scene.lms.tools[client_id]
    if not tool.deployment_ids:
        scene.lms.add_deployment(tool)
    tool.active = True
    admin = scene.administrator()
    newer = max(row["id"] for row in platforms.listing(scene.tool))
    assert "let it take that place" in admin.get(f"/admin/platforms/{newer}").text
    moved = admin.post(f"/admin/platforms/{newer}/take-place-of/{platform}")
    assert moved.status_code == 200 and client_id in moved.text
    assert newer not in [row["id"] for row in platforms.listing(scene.tool)]
    assert scene.launch("teacher1", tool=tool).home
    after = stock(scene, platform)
    assert (after["courses"], after["awards"]) == (before["courses"], before["awards"])


def test_two_platforms_that_were_both_used_do_not_become_one(used: Scene) -> None:
    first = platform_of(used)
    used.register(used.mood)
    used.launch("teacher1")
    second = platform_of(used)
    admin = used.administrator()
    refused = admin.post(f"/admin/platforms/{second}/take-place-of/{first}")
    assert refused.status_code == 409 and "launched from" in refused.text
    assert {row["id"] for row in platforms.listing(used.tool)} >= {first, second}


@pytest.mark.parametrize("host", ["", "http://lms.example/canvas", "lms.example/x", "user@lms.example", "lms example"])
def test_the_host_of_a_canvas_that_is_none_is_asked_for_again(scene: Scene, host: str) -> None:
    answer = scene.administrator("Host").get("/admin/platforms/canvas/form", params={"where": "own", "host": host})
    assert (
        answer.status_code == 400
        and "as canvas.example.edu" in answer.text
        and f'value="{escape(host)}"' in answer.text
    )
