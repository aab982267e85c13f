"""Launches, honest and forged, deep links, and what a browser or a person meets."""

import json
import re
import threading
import uuid

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from lti_tool.demo import DEEP_LINKING, demo_registrations, run, start

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"


def student_of(talk):
    return talk.lms.people(talk.course, "student")[0]


def page(talk, path, **query):
    """Open a page as a browser at lms.localhost would."""
    root = talk.lms.server_root.rsplit("/", 1)[0]
    host = talk.lms.browser_root.split("/")[2]
    return requests.get(f"{root}{path}", params=query, headers={"Host": host}, timeout=5, allow_redirects=False)


# Launches


def test_a_launch_goes_round_and_its_signature_holds(any_mood):
    asked = any_mood.lms.login_request(any_mood.tool, student_of(any_mood), any_mood.course)
    step = requests.get(f"{any_mood.fake.url}/login", params=asked, allow_redirects=False, timeout=5)
    form = any_mood.lms.finish_auth(step.headers["Location"])
    assert form["target"] == any_mood.tool.launch_url
    key = jwt.PyJWKClient(any_mood.lms.jwks_url).get_signing_key_from_jwt(form["fields"]["id_token"]).key
    claims = jwt.decode(
        form["fields"]["id_token"], key, ["RS256"], audience=any_mood.tool.client_id, issuer=any_mood.lms.issuer
    )
    assert (claims["nonce"], claims["sub"]) == ("nonce-1", student_of(any_mood).id)
    assert form["fields"]["state"] == "state-1"


def test_one_issuer_has_several_clients_and_one_client_several_deployments(any_mood):
    other = any_mood.lms.register_tool("http://x/l", "http://x/l", "http://x/j", deployments=2)
    assert other.client_id != any_mood.tool.client_id
    assert len(set(other.deployment_ids)) == 2
    asked = any_mood.lms.login_request(
        other, student_of(any_mood), any_mood.course, deployment_id=other.deployment_ids[1]
    )
    assert asked["lti_deployment_id"] == other.deployment_ids[1]
    assert asked["iss"] == any_mood.lms.issuer


def test_any_token_can_be_forged(any_mood):
    lms, tool, student = any_mood.lms, any_mood.tool, student_of(any_mood)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def forged(**options):
        token = lms.id_token(tool, student, any_mood.course, nonce="n", **options)
        return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False}), token

    assert "kid" not in forged(headers={"kid": None})[0]
    assert forged(headers={"jku": "http://evil.example"})[0]["jku"] == "http://evil.example"
    assert forged(alg="none")[2].endswith(".")
    assert forged(alg="HS256")[0]["alg"] == "HS256"
    jwt.decode(forged(key=stranger)[2], stranger.public_key(), ["RS256"], options={"verify_aud": False})
    for alg in ("RS384", "PS256", "ES256"):
        assert forged(alg=alg)[0]["alg"] == alg
    changed = forged(claims={"context": {"title": "Other"}, "aud": ["a", "b"]}, drop=["roles", "sub"], now=1000)[1]
    assert changed[CLAIM + "context"]["title"] == "Other"
    assert changed[CLAIM + "context"]["id"] == any_mood.course.id
    assert (changed["aud"], changed["iat"]) == (["a", "b"], 1000)
    assert CLAIM + "roles" not in changed and "sub" not in changed
    assert jwt.decode(lms.sign({"name": "badltilaunch"}), options={"verify_signature": False}) == {
        "name": "badltilaunch"
    }


def test_a_finished_login_can_carry_a_changed_token_and_form(any_mood):
    asked = any_mood.lms.login_request(any_mood.tool, student_of(any_mood), any_mood.course)
    form = any_mood.lms.finish_auth(any_mood.fake.auth_address(asked), nonce="other", fields={"state": None})["fields"]
    assert jwt.decode(form["id_token"], options={"verify_signature": False})["nonce"] == "other"
    assert "state" not in form


def test_parameters_of_a_login_can_be_changed_and_left_out(any_mood):
    asked = any_mood.lms.login_request(
        any_mood.tool,
        student_of(any_mood),
        any_mood.course,
        iss=None,
        target_link_uri="http://evil.example/",
        client_id="other",
    )
    assert "iss" not in asked and asked["client_id"] == "other"
    assert asked["target_link_uri"] == "http://evil.example/"


# Deep links


def deep_link(talk, items, **changes):
    teacher = talk.lms.people(talk.course, "instructor")[0]
    token = talk.lms.id_token(talk.tool, teacher, talk.course, nonce="n", message_type=DEEP_LINKING)
    settings = jwt.decode(token, options={"verify_signature": False})[DL + "deep_linking_settings"]
    now = int(talk.lms.clock())
    claims = {
        "iss": talk.tool.client_id,
        "aud": talk.lms.issuer,
        "iat": now,
        "exp": now + 60,
        "nonce": uuid.uuid4().hex,
        CLAIM + "deployment_id": talk.tool.deployment_id,
        CLAIM + "message_type": "LtiDeepLinkingResponse",
        CLAIM + "version": "1.3.0",
        DL + "content_items": items,
        **({DL + "data": settings["data"]} if "data" in settings else {}),
        **changes,
    }
    signed = jwt.encode(claims, talk.fake.private, "RS256", headers={"kid": talk.fake.kid})
    address = settings["deep_link_return_url"].replace("lms.localhost", "localhost")
    return requests.post(address, data={"JWT": signed}, timeout=5)


ITEM = {
    "type": "ltiResourceLink",
    "title": "Speaking <b>badge</b>",
    "custom": {"badge": "speaking"},
    "lineItem": {"scoreMaximum": 12, "tag": "speaking", "resourceId": "r1"},
}


def test_a_deep_link_becomes_a_link_with_a_column(any_mood):
    answer = deep_link(any_mood, [ITEM])
    assert answer.status_code == 200
    assert "Speaking &lt;b&gt;badge&lt;/b&gt;" in answer.text and "<b>badge" not in answer.text
    link = any_mood.lms.links_of(any_mood.course, any_mood.tool)[-1]
    column = any_mood.lms.column(any_mood.course, "speaking")
    assert (link.column, column.coupled, column.maximum, column.resource_id) == (column.number, True, 12, "r1")
    token = any_mood.lms.id_token(any_mood.tool, student_of(any_mood), any_mood.course, nonce="n", link=link)
    assert jwt.decode(token, options={"verify_signature": False})[CLAIM + "custom"]["badge"] == "speaking"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "someone else"},
        {"iss": "unknown"},
        {"exp": 1000},
        {CLAIM + "deployment_id": "unknown"},
        {CLAIM + "version": "1.2.0"},
        {CLAIM + "message_type": "LtiResourceLinkRequest"},
    ],
)
def test_a_wrong_deep_linking_response_is_refused(any_mood, changes):
    before = len(any_mood.lms.links_of(any_mood.course))
    assert deep_link(any_mood, [ITEM], **changes).status_code == 400
    assert len(any_mood.lms.links_of(any_mood.course)) <= before + 1  # Moodle makes its activity at the launch


def test_canvas_wants_data_back_and_a_maximum(canvas):
    assert "data" in deep_link(canvas, [ITEM], **{DL + "data": "changed"}).text
    answer = deep_link(canvas, [{**ITEM, "lineItem": {"tag": "x"}}])
    assert "lineItem.scoreMaximum is a required field" in answer.text
    assert canvas.lms.links_of(canvas.course) == []


def test_a_deep_linked_canvas_assignment_is_unpublished_and_a_moodle_one_is_not(any_mood):
    deep_link(any_mood, [ITEM])
    assert any_mood.lms.column(any_mood.course, "speaking").published is (any_mood.lms.name == "moodle")


# Pages


def test_the_entrance_offers_everybody(any_mood):
    text = page(any_mood, "/").text
    for name in ("Helen Marsh", "Rosa Delgado", "ليلى الحسيني", "Siobhán O&#39;Dálaigh", "Ingrid Solberg"):
        assert name in text
    assert text.count("Test Student") == 1  # Canvas has one, Moodle has none


def test_localhost_leads_to_the_browsers_host(any_mood):
    root = any_mood.lms.server_root.rsplit("/", 1)[0]
    assert (
        requests.get(f"{root}/", allow_redirects=False, timeout=5)
        .headers["Location"]
        .startswith("http://lms.localhost:")
    )


def test_entering_sets_a_cookie_and_the_course_frames_the_tool(any_mood):
    answer = page(any_mood, f"/{any_mood.lms.name}/enter", user=student_of(any_mood).id, course=any_mood.course.id)
    assert answer.status_code == 303
    assert f"demo_{any_mood.lms.name}=" in answer.headers["Set-Cookie"]
    course = page(any_mood, f"/{any_mood.lms.name}/course/{any_mood.course.number}", **{"as": student_of(any_mood).id})
    assert '<iframe name="tool" title="Badges"' in course.text
    assert "Gradebook" not in course.text


def test_the_login_page_posts_the_login_by_itself_or_by_a_button(any_mood):
    text = page(
        any_mood,
        f"/{any_mood.lms.name}/course/{any_mood.course.number}/launch",
        tool=any_mood.tool.client_id,
        **{"as": student_of(any_mood).id},
    ).text
    assert f'action="{any_mood.tool.login_url}"' in text
    assert '<button class="button">Continue</button>' in text
    assert re.search(r'<script src="[^"]+" defer></script>', text) and "onload" not in text


def test_a_teacher_changes_a_grade_in_the_gradebook_page(any_mood):
    any_mood.create("Listens <i>", tag="t")
    lms, student = any_mood.lms, student_of(any_mood)
    teacher = lms.people(any_mood.course, "instructor")[0]
    url = f"{lms.server_root}/course/{any_mood.course.number}/gradebook"
    name = f"grade-{lms.column(any_mood.course, 't').number}-{student.id}"
    host = {"Host": lms.browser_root.split("/")[2]}
    form = {"as": teacher.id, name: "2,5"}
    saved = requests.post(url, data=form, headers=host, timeout=5, allow_redirects=False)
    assert saved.status_code == 303
    assert lms.score_of(any_mood.course, "t", student) == 2.5
    wrong = requests.post(url, data=form | {name: "<good>"}, headers=host, timeout=5)
    assert wrong.status_code == 422
    assert "&lt;good&gt;" in wrong.text and "Listens &lt;i&gt;" in wrong.text
    requests.post(url, data=form | {name: ""}, headers=host, timeout=5, allow_redirects=False)
    assert lms.score_of(any_mood.course, "t", student) is None


def test_saving_the_gradebook_leaves_alone_what_the_tool_wrote_meanwhile(any_mood):
    item, lms, student = any_mood.create(tag="t").json()["id"], any_mood.lms, student_of(any_mood)
    name = f"grade-{lms.column(any_mood.course, 't').number}-{student.id}"
    any_mood.score(item, student, 3)
    form = {"as": lms.people(any_mood.course, "instructor")[0].id, name: "", f"was-{name}": ""}
    requests.post(
        f"{lms.server_root}/course/{any_mood.course.number}/gradebook",
        data=form,
        timeout=5,
        headers={"Host": lms.browser_root.split("/")[2]},
        allow_redirects=False,
    )
    assert lms.score_of(any_mood.course, "t", student) == 3


def test_a_gradebook_without_columns_says_when_they_come_and_is_not_for_students(any_mood):
    path = f"/{any_mood.lms.name}/course/{any_mood.course.number}/gradebook"
    teacher = any_mood.lms.people(any_mood.course, "instructor")[0]
    assert "once a badge is published" in page(any_mood, path, **{"as": teacher.id}).text
    assert page(any_mood, path, **{"as": student_of(any_mood).id}).status_code == 403


def test_rows_of_an_answer_can_be_changed(canvas):
    url = canvas.lms.memberships_url(canvas.course, canvas.tool)
    canvas.lms.faults.on(
        "memberships", "rows", count=1, user=student_of(canvas).id, set={"status": "Inactive"}, drop=["name"]
    )
    members = {one["user_id"]: one for one in canvas.call("GET", url).json()["members"]}
    assert members[student_of(canvas).id]["status"] == "Inactive"
    assert [one for one in members.values() if "name" not in one] == [members[student_of(canvas).id]]


# Starting


def test_run_serves_the_registrations_it_announces(tmp_path):
    with start() as spare:
        port = spare.port
    ready = threading.Event()
    threading.Thread(target=run, args=(port, tmp_path, "http://localhost:8000", ready.set), daemon=True).start()
    assert ready.wait(10)
    known = {row["product"]: row for row in demo_registrations(port)}
    assert known["canvas"]["client_id"] == "10000000000001"
    assert (known["moodle"]["client_id"], known["moodle"]["deployment_id"]) == ("demo-moodle-client", "1")
    for mood, row in known.items():
        assert requests.get(row["jwks_url"], timeout=5).json()["keys"]
        tool = json.loads((tmp_path / f"{mood}.json").read_text())["tools"][0]
        assert (tool["client_id"], tool["deployment_ids"]) == (row["client_id"], [row["deployment_id"]])
        assert tool["launch_url"] == "http://localhost:8000/lti/launch"
