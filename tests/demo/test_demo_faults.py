"""Each fault switch does what it says, as often as it says."""

import time

import pytest
import requests

from lti_tool.demo import start


def test_a_status_comes_for_the_next_requests_and_then_no_more(canvas):
    canvas.lms.faults.on("lineitems", count=2, status=503, retry_after=120)
    answers = [canvas.call("GET", canvas.lineitems_url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "120"


def test_a_fault_can_let_requests_pass_first_or_wait_for_a_page(canvas):
    for number in range(25):
        canvas.lms.add_column(canvas.course, f"Column {number}", 4, client_id=canvas.tool.client_id)
    canvas.lms.faults.on("lineitems", status=500, page=3)
    assert [canvas.call("GET", f"{canvas.lineitems_url}?page={page}").status_code for page in (1, 2, 3)] == [
        200,
        200,
        500,
    ]
    canvas.lms.faults.clear()
    canvas.lms.faults.on("lineitems", status=404, skip=1)
    assert [canvas.call("GET", canvas.lineitems_url).status_code for _ in range(2)] == [200, 404]


def test_throttling_looks_like_canvas(canvas):
    canvas.lms.faults.on("lineitems", "rate_limited")
    answer = canvas.call("GET", canvas.lineitems_url)
    assert (answer.status_code, answer.text) == (403, "403 Forbidden (Rate Limit Exceeded)")
    assert answer.headers["X-Rate-Limit-Remaining"] == "0.0"


def test_a_dropped_connection_is_an_error_at_the_caller(any_mood):
    any_mood.lms.faults.on("jwks", "drop", count=1)
    with pytest.raises(requests.ConnectionError):
        requests.get(any_mood.lms.jwks_url, timeout=5)
    assert requests.get(any_mood.lms.jwks_url, timeout=5).status_code == 200


def test_an_answer_can_break_off_in_the_middle(any_mood):
    whole = requests.get(any_mood.lms.jwks_url, timeout=5).content
    any_mood.lms.faults.on("jwks", "cut", count=1)
    answer = requests.get(any_mood.lms.jwks_url, timeout=5, stream=True)
    assert int(answer.headers["Content-Length"]) == len(whole)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = answer.content
    assert requests.get(any_mood.lms.jwks_url, timeout=5).content == whole


def test_a_site_can_be_away_and_come_back_as_it_was(fake, clock):
    with start(clock=clock) as site:
        tool = site.moodle.register_tool("http://x/login", "http://x/launch", f"{fake.url}/jwks")
        with site.away(), pytest.raises(requests.ConnectionError):
            requests.get(site.moodle.jwks_url, timeout=5)
        assert requests.get(site.moodle.jwks_url, timeout=5).status_code == 200
        assert tool.client_id in site.moodle.tools


def test_a_next_link_leads_away_where_the_lms_sends_one_page(any_mood):
    any_mood.lms.faults.on("memberships", "next_host", count=1, host="evil.example")
    answer = any_mood.call("GET", any_mood.lms.memberships_url(any_mood.course, any_mood.tool))
    assert answer.links["next"]["url"].startswith(f"http://evil.example/{any_mood.lms.name}/")


def test_a_slow_service_holds_up_nobody_else(any_mood):
    any_mood.lms.faults.on("jwks", "slow", count=1, seconds=0.8)
    with pytest.raises(requests.Timeout):
        requests.get(any_mood.lms.jwks_url, timeout=0.2)
    began = time.monotonic()
    assert requests.get(any_mood.lms.jwks_url, timeout=5).status_code == 200
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("kind", ["same_kid", "not_rsa", "broken_rsa", "no_keys", "empty_keys", "html", "huge"])
def test_broken_key_sets_are_broken(any_mood, kind):
    good = requests.get(any_mood.lms.jwks_url, timeout=5).text
    any_mood.lms.faults.on("jwks", kind, count=1)
    assert requests.get(any_mood.lms.jwks_url, timeout=5).text != good
    assert requests.get(any_mood.lms.jwks_url, timeout=5).text == good


def test_a_huge_answer_is_five_megabytes_and_still_json(canvas):
    canvas.lms.faults.on("lineitems", "huge", count=1)
    answer = canvas.call("GET", canvas.lineitems_url)
    assert len(answer.content) > 5_000_000
    assert answer.json() == []


def test_a_redirect_goes_where_it_is_told(any_mood):
    any_mood.lms.faults.on("jwks", "redirect", count=1, to="http://evil.example/jwks")
    answer = requests.get(any_mood.lms.jwks_url, allow_redirects=False, timeout=5)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://evil.example/jwks")


def test_token_answers_can_lack_things(any_mood):
    any_mood.lms.faults.on("token", "no_expires_in", count=1)
    assert "expires_in" not in any_mood.ask_token().json()
    any_mood.lms.faults.on("token", "scope_subset", count=1)
    assert "/score" not in any_mood.ask_token().json()["scope"]


def test_a_token_can_end_in_the_middle_of_the_pages(canvas):
    canvas.lms.faults.on("token", "expires_after", count=1, requests=2)
    answers = [canvas.call("GET", canvas.lineitems_url).status_code for _ in range(3)]
    assert answers == [200, 200, 401]


def test_tokens_given_so_far_can_be_ended(any_mood):
    any_mood.create()
    any_mood.lms.faults.expire_tokens()
    assert any_mood.create().status_code == 401


def test_next_links_can_loop_and_lead_away(canvas):
    url = canvas.lms.memberships_url(canvas.course, canvas.tool)
    canvas.lms.max_page_size = 2
    try:
        canvas.lms.faults.on("memberships", "next_same", count=1)
        looping = canvas.call("GET", url + "?page=2")
        assert looping.links["next"]["url"] == url + "?page=2"
        canvas.lms.faults.on("memberships", "next_host", count=1, host="evil.example")
        assert canvas.call("GET", url).links["next"]["url"].startswith("http://evil.example/canvas/")
        canvas.lms.faults.on("memberships", "next_http", count=1)
        assert canvas.call("GET", url).links["next"]["url"].startswith("http://localhost:80/")
    finally:
        canvas.lms.max_page_size = None


def test_an_upper_case_next_link_works_only_as_it_is_given(canvas):
    canvas.lms.max_page_size = 2
    try:
        canvas.lms.faults.on("memberships", "next_uppercase")
        first = canvas.call("GET", canvas.lms.memberships_url(canvas.course, canvas.tool))
        following = first.links["next"]["url"]
        assert "/API/LTI/" in following and following.count("limit=10") == 2
        assert canvas.call("GET", following.lower()).status_code == 404
        assert canvas.call("GET", following.replace("&limit=10&limit=10", "&limit=10")).status_code == 404
        assert len(canvas.call("GET", following).json()["members"]) == 2
    finally:
        canvas.lms.max_page_size = None


def test_login_can_be_refused(any_mood):
    any_mood.lms.faults.on("auth", "refuse", count=1, error="login_required")
    student = any_mood.lms.people(any_mood.course, "student")[0]
    asked = any_mood.lms.login_request(any_mood.tool, student, any_mood.course)
    form = any_mood.lms.finish_auth(any_mood.fake.auth_address(asked))["fields"]
    assert (form["error"], form["state"]) == ("login_required", "state-1")


def test_faults_can_be_switched_over_http(any_mood):
    control = f"{any_mood.lms.server_root}/control/faults"
    on = requests.post(control, json={"service": "jwks", "kind": "status", "status": 502, "count": 1}, timeout=5)
    assert on.status_code == 201 and on.json()[0]["options"] == {"status": 502}
    assert requests.get(any_mood.lms.jwks_url, timeout=5).status_code == 502
    assert requests.post(control, json={"service": "nothing"}, timeout=5).status_code == 400
    any_mood.lms.faults.on("jwks", status=500)
    assert requests.delete(control, timeout=5).status_code == 204
    assert requests.get(control, timeout=5).json() == []


def test_a_teachers_acts_can_be_done_over_http(any_mood):
    control = f"{any_mood.lms.server_root}/control/faults"
    item, course = any_mood.create(tag="t").json()["id"], any_mood.course.id
    requests.post(control, json={"kind": "column_maximum", "course": course, "column": "t", "maximum": 9}, timeout=5)
    assert any_mood.lms.column(any_mood.course, "t").maximum == 9
    requests.post(control, json={"kind": "column_deleted", "course": course, "column": "t"}, timeout=5)
    assert any_mood.call("GET", item).status_code == 404
    requests.post(control, json={"kind": "course_concluded", "course": course}, timeout=5)
    assert any_mood.course.concluded


def test_everything_a_tool_can_drift_away_from_can_be_done_and_undone(any_mood):
    control = f"{any_mood.lms.server_root}/control/faults"
    course, tool = any_mood.course.id, any_mood.tool
    item = any_mood.create(tag="t").json()["id"]

    def do(kind: str, **asked: str) -> None:
        assert requests.post(control, json={"kind": kind, **asked}, timeout=5).status_code == 201

    column = any_mood.lms.column(any_mood.course, "t")
    do("column_renamed", course=course, column="t", label="Other")
    assert any_mood.call("GET", item).json()["label"] == "Other"
    do("column_unpublished", course=course, column="t")
    assert not column.published
    do("column_published", course=course, column="t")
    assert column.published
    do("tool_taken_out", course=course)
    assert any_mood.call("GET", item).status_code == 401
    do("tool_let_in", course=course)
    assert any_mood.call("GET", item).status_code == 200
    do("permission_taken", tool=tool.client_id, scope="score")
    assert not [scope for scope in tool.scopes if scope.endswith("/score")]
    do("permission_given", tool=tool.client_id, scope="score")
    assert [scope for scope in tool.scopes if scope.endswith("/score")]
    do("course_concluded", course=course)
    do("course_opened", course=course)
    assert not any_mood.course.concluded
    do("tool_off", tool=tool.client_id)
    assert not tool.active
    if any_mood.lms.name == "canvas":
        assert any_mood.call("GET", item).status_code == 401
    do("tool_on", tool=tool.client_id)
    assert any_mood.call("GET", item).status_code == 200


def test_requests_are_kept_with_what_was_asked(any_mood):
    any_mood.create("Seen")
    seen = [one for one in any_mood.lms.requests if one.service == "lineitems"][-1]
    assert (seen.method, seen.status, seen.content_type) == ("POST", 201, "application/vnd.ims.lis.v2.lineitem+json")
    assert '"Seen"' in seen.body
    assert [one for one in any_mood.lms.requests if one.service == "token"]


def test_a_snapshot_survives_a_restart(tmp_path, fake, clock):
    with start(data_dir=tmp_path, clock=clock) as site:
        tool = site.canvas.register_tool("http://x/login", "http://x/launch", f"{fake.url}/jwks")
        site.canvas.add_column("EMP101", "Listens", 4, tag="t", client_id=tool.client_id)
        site.canvas.grade("EMP101", "t", "student1", 3)
        kids = [key.kid for key in site.canvas.keys]
    with start(data_dir=tmp_path, clock=clock) as site:
        assert [key.kid for key in site.canvas.keys] == kids
        assert site.canvas.score_of("EMP101", "t", "student1") == 3
        assert site.canvas.tools == {tool.client_id: tool}
        assert len(site.moodle.people("EMP101", "student")) == 30
