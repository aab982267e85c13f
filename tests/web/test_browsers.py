"""Table C over HTTP: a login in a frame, with and without cookies, and the pages of a launch that no cookie proves.

The same in Chromium stands in tests/browser/test_cookieless.py."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from sqlalchemy import select

import lti_tool
from lti_tool.lti.login import storage_key
from lti_tool.lti.registration import digest
from lti_tool.models import Browser, Login, Person, Registration
from lti_tool.models import Launch as LaunchRow
from lti_tool.services import sync
from tests.classroom import Classroom, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, browser_session, now

FRAME = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
OWN_FRAME = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"}
NEW_WINDOW = "Badges opens in a new window here"


def login(scene: Scene, room: Classroom, user: Any, http: Any = requests, **headers: str) -> requests.Response:  # noqa: F811
    """Begin a launch as the LMS has the browser do it, up to the tool's first answer."""
    asked = room.lms.login_request(scene.lti_tool[room.mood], user.id, room.course.id)
    return http.post(f"{scene.url}/lti/login", data=asked, headers=headers, allow_redirects=False, timeout=10)


def tried(scene: Scene, room: Classroom, user: Any) -> requests.Response:  # noqa: F811
    """Begin a launch in a frame that keeps no cookie; the answer to its second look."""
    first = login(scene, room, user, **FRAME)
    assert first.status_code == 303 and "probe=" in first.headers["Set-Cookie"]
    return requests.get(urljoin(scene.url, first.headers["Location"]), headers=FRAME, allow_redirects=False, timeout=10)


def script_of(page: requests.Response) -> dict[str, str]:
    """Return what a page before a launch tells its script."""
    tag = re.search(r"<script src=\"[^\"]*before_launch\.js\"([^>]*)>", page.text)
    assert tag, page.text
    return {name: html.unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', tag[1])}


def field(page: requests.Response, name: str) -> str:
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', page.text)[1])


class Carried:
    """A frame without a cookie, whose platform keeps what the tool puts into its storage."""

    def __init__(self, room: Classroom, user: Any) -> None:  # noqa: F811
        self.scene, self.room = room.scene, room
        page = tried(self.scene, room, user)
        assert page.status_code == 200, page.text
        put = script_of(page)
        self.kept = {put["key"]: put["value"]}
        self.fields = room.lms.finish_auth(put["next"])["fields"]
        launched = self.post(self.fields, FRAME)
        assert launched.status_code == 200, launched.text
        self.get = script_of(launched)
        self.form = {name: field(launched, name) for name in ("id_token", "state")}
        self.form["browser_secret"] = self.kept[self.get["key"]]
        self.opened: requests.Response | None = None

    def post(self, data: dict[str, str], headers: dict[str, str]) -> requests.Response:
        address = f"{self.scene.url}/lti/launch"
        return requests.post(address, data=data, headers=headers, allow_redirects=False, timeout=10)

    def open(self) -> str:
        """Finish the launch; the address of its home."""
        answer = self.post(self.form, OWN_FRAME)
        assert answer.status_code == 303, answer.text
        assert "Set-Cookie" not in answer.headers
        self.opened = answer
        return urljoin(self.scene.url, answer.headers["Location"])


@pytest.fixture
def canvas(make_room):  # noqa: F811
    """A Canvas course with a published badge that its first student has earned."""
    made = make_room(mood="canvas")
    made.publish(badge())
    made.grade(made.students[0], 3, 3)
    made.sync()
    return made


def test_the_code_makes_addresses_of_what_stands_for_the_launch_and_not_of_its_bare_id():
    """A page that forgets the token would end the session of a browser without cookies."""
    for path in (Path(lti_tool.__file__).parent / "web").glob("*.py"):
        assert not re.search(r"launch=[\w.]+\.launch_id|\{[\w.]+\.launch_id\}", path.read_text()), path.name


# -- the login ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Dest": "document"}, {"Sec-Fetch-Dest": "empty"}])
def test_C04_a_login_that_is_not_in_a_frame_is_redirected_at_once(shared, canvas, headers):  # noqa: F811
    started = login(shared, canvas, canvas.teacher, **headers)
    assert started.status_code == 302 and started.headers["Location"].startswith(canvas.lms.auth_url)


def test_C04_a_frame_that_takes_the_cookie_goes_on_after_one_turn_and_the_next_time_at_once(shared, canvas):  # noqa: F811
    browser = browser_session()
    first = login(shared, canvas, canvas.teacher, browser, **FRAME)
    assert first.status_code == 303
    again = urljoin(shared.url, first.headers["Location"])
    second = browser.get(again, headers=FRAME, allow_redirects=False, timeout=10)
    assert second.status_code == 302 and second.headers["Location"].startswith(canvas.lms.auth_url)
    form = canvas.lms.finish_auth(second.headers["Location"])
    page = browser.post(form["target"], data=form["fields"], headers=FRAME, timeout=10)
    assert page.status_code == 200 and "/course/" in page.url and "." not in urlsplit(page.url).path
    jar = [cookie.name for cookie in browser.get_adapter("http://").jar]
    assert jar == ["browser"]  # the one that was only to find out is gone
    assert login(shared, canvas, canvas.teacher, browser, **FRAME).status_code == 302


def test_C04_turning_round_keeps_every_parameter_of_the_platform(shared, canvas):  # noqa: F811
    asked = canvas.lms.login_request(shared.lti_tool["canvas"], canvas.teacher.id, canvas.course.id)
    asked |= {"_scheme": "https", "_external": "1", "extra": "a b&c=é\u2028"}
    first = requests.post(f"{shared.url}/lti/login", data=asked, headers=FRAME, allow_redirects=False, timeout=10)
    address = first.headers["Location"]
    assert address.startswith("/lti/login?")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(address).query, keep_blank_values=True).items()}
    assert sent.pop("lti_tool_cookie") == "1" and sent == asked


def test_C01_C02_a_bad_login_in_a_frame_is_refused_as_any_other(shared):  # noqa: F811
    for asked, status in (
        ({}, 400),
        ({"iss": "x", "login_hint": "1"}, 400),
        ({"iss": "https://nobody.example", "login_hint": "1", "target_link_uri": f"{shared.url}/lti/launch"}, 401),
    ):
        answer = requests.post(f"{shared.url}/lti/login", data=asked, headers=FRAME, timeout=10)
        assert answer.status_code == status


def test_a_login_too_long_for_an_address_is_redirected_at_once(shared, canvas):  # noqa: F811
    asked = canvas.lms.login_request(shared.lti_tool["canvas"], canvas.teacher.id, canvas.course.id)
    asked["extra"] = "x" * 6000
    started = requests.post(f"{shared.url}/lti/login", data=asked, headers=FRAME, allow_redirects=False, timeout=10)
    assert started.status_code == 302


# -- platform storage ---------------------------------------------------------------------------------------------


def test_C14_without_a_cookie_the_launch_completes_through_platform_storage(canvas):
    frame = Carried(canvas, canvas.teacher)
    state = frame.form["state"]
    assert frame.kept.keys() == {storage_key(state)} and state in storage_key(state)
    assert frame.get["key"] == storage_key(state) and frame.get["act"] == "get"
    home = frame.open()
    page = requests.get(home, timeout=10)
    assert page.status_code == 200 and "Badges in this course" in page.text


def test_C17_what_is_put_goes_to_the_origin_of_the_login_address_and_the_named_frame(canvas):
    frame = Carried(canvas, canvas.teacher)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(canvas.lms.auth_url))
    put = script_of(tried(canvas.scene, canvas, canvas.teacher))
    for told in (put, frame.get):
        assert told["origin"] == origin and told["frame"] == "post_message_forwarding"


def test_C14_the_answer_of_the_storage_is_used_once(canvas):
    frame = Carried(canvas, canvas.teacher)
    frame.open()
    again = frame.post(frame.form, OWN_FRAME)
    assert again.status_code == 401 and "opened already" in again.text


def test_C14_asking_the_storage_uses_nothing_up(canvas):
    frame = Carried(canvas, canvas.teacher)
    for _ in range(2):
        assert frame.post(frame.fields, FRAME).status_code == 200
    assert frame.open()


@pytest.mark.parametrize("secret", ["", "x", None])
def test_C08_a_secret_that_the_storage_did_not_keep_opens_nothing(canvas, secret):
    frame = Carried(canvas, canvas.teacher)
    other = Carried(canvas, canvas.teacher)
    given = other.form["browser_secret"] if secret is None else secret
    answer = frame.post({**frame.form, "browser_secret": given}, OWN_FRAME)
    assert answer.status_code in (200, 401) and "Location" not in answer.headers  # 200: asks the storage again
    assert frame.open()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_C08_a_secret_in_a_form_counts_from_the_tools_own_page_alone(canvas, site):
    """Whoever began a login of their own could else put it, secret and all, into somebody else's browser."""
    frame = Carried(canvas, canvas.teacher)
    headers = {"Sec-Fetch-Dest": "document", **({"Sec-Fetch-Site": site} if site else {})}
    answer = frame.post(frame.form, headers)
    assert answer.status_code == 401 and "Location" not in answer.headers


def test_C08_a_cookie_of_another_browser_is_not_mended_by_a_form(canvas):
    frame, other = Carried(canvas, canvas.teacher), browser_session()
    started = login(canvas.scene, canvas, canvas.teacher, other)
    name = started.headers["Set-Cookie"].partition("=")[0]
    state = frame.form["state"]
    cookie = f"login-{digest(state)[:16]}=of-another-browser"
    assert name.startswith("login-")
    answer = frame.post(frame.form, {**OWN_FRAME, "Cookie": cookie})
    assert answer.status_code == 401


def test_C08_outside_a_frame_no_storage_is_asked(canvas):
    frame = Carried(canvas, canvas.teacher)
    answer = frame.post(frame.fields, {"Sec-Fetch-Dest": "document"})
    assert answer.status_code == 401 and "before_launch" not in answer.text


def test_C14_a_forged_token_gets_no_page_that_repeats_it(canvas):
    frame = Carried(canvas, canvas.teacher)
    header, payload, signature = frame.fields["id_token"].split(".")
    forged = {**frame.fields, "id_token": f"{header}.{payload}.{signature[:-8]}AAAAAAAA"}
    answer = frame.post(forged, FRAME)
    assert answer.status_code == 401 and payload not in answer.text


# -- a new window -------------------------------------------------------------------------------------------------


def test_C15_without_cookie_and_storage_a_new_window_is_offered_and_works_there(room):  # noqa: F811
    page = tried(room.scene, room, room.teacher)
    assert page.status_code == 200 and NEW_WINDOW in page.text and script_of(page) == {}
    assert not re.search(r"<form", page.text) and "Set-Cookie" not in page.headers
    link = html.unescape(re.search(r'<a class="btn btn-primary btn-big" href="([^"]*)" target="_blank"', page.text)[1])
    browser = browser_session()
    window = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
    started = browser.get(urljoin(room.scene.url, link), headers=window, allow_redirects=False, timeout=10)
    assert started.status_code == 302
    form = room.lms.finish_auth(started.headers["Location"])  # the platform's hint was not used up before
    opened = browser.post(form["target"], data=form["fields"], headers=window, timeout=10)
    assert opened.status_code == 200 and "/course/" in opened.url


def test_C15_a_new_window_is_what_the_page_offers_without_a_script_or_an_answer(canvas):
    page = tried(canvas.scene, canvas, canvas.teacher)
    assert NEW_WINDOW in page.text and 'target="_blank"' in page.text


def test_C20_pages_before_the_launch_may_be_framed_anywhere_and_are_kept_nowhere(canvas):
    frame = Carried(canvas, canvas.teacher)
    for page in (tried(canvas.scene, canvas, canvas.teacher), frame.post(frame.fields, FRAME)):
        assert "frame-ancestors *" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store" and page.headers["Referrer-Policy"] == "no-referrer"
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:|<style|\sstyle=", page.text)


# -- pages that carry their launch --------------------------------------------------------------------------------


def addresses(page: requests.Response) -> set[str]:
    """Return every address of the tool's course pages that a page names, in links, forms, pictures and for scripts."""
    found = re.findall(r'(?:href|src|action|formaction|data-job)="([^"]+)"', page.text)
    return {urljoin(page.url, html.unescape(each)).partition("#")[0] for each in found}


def inner(scene: Scene, found: set[str]) -> set[str]:
    return {
        each for each in found if urlsplit(each).path.startswith(("/course/", "/me/")) and each.startswith(scene.url)
    }


@pytest.mark.parametrize("who", ["teacher", "earner", "student"])
def test_C14_every_address_of_a_carried_page_carries_it_on_and_opens_without_a_cookie(canvas, who):
    user = {"teacher": canvas.teacher, "earner": canvas.students[0], "student": canvas.students[1]}[who]
    home = Carried(canvas, user).open()
    root, seen, waiting = home.rstrip("/"), set(), {home}
    while waiting:
        address = waiting.pop()
        seen.add(address)
        answer = requests.get(address, allow_redirects=False, timeout=10)
        assert "Set-Cookie" not in answer.headers
        if answer.status_code == 303:
            waiting |= {urljoin(address, answer.headers["Location"])} - seen
            continue
        if answer.status_code == 405:  # the action of a form
            continue
        assert answer.status_code == 200, address
        if answer.headers["Content-Type"].startswith("text/html"):
            found = inner(canvas.scene, addresses(answer))
            assert found and all(each.startswith(root) for each in found), found
            waiting |= found - seen
    slug = canvas.badge.slug
    expected = {"/sync", f"/badges/{slug}/picture.svg"}
    if who == "teacher":
        expected |= {f"/badges/{slug}{each}" for each in ("", "/plan", "/awards", "/progress.csv")}
        assert any("/record/" in each for each in seen)
    else:
        expected |= {f"/badges/{slug}/claim" if who == "earner" else f"/badges/{slug}"}
    assert {f"{root}{each}" for each in expected} <= seen


def test_C14_forms_of_a_carried_launch_work_and_lead_on_without_a_cookie(canvas):
    student = Carried(canvas, canvas.students[0]).open()
    claim = f"{student}badges/{canvas.badge.slug}/claim"
    page = requests.get(claim, timeout=10)
    done = requests.post(claim, data={"csrf": field(page, "csrf"), "public": "yes"}, timeout=10)
    assert (
        done.status_code == 200
        and done.url == claim[: -len("claim")] + "show?claimed=yes"
        and "Files to keep" in done.text
    )
    assert canvas.award()["claimed_at"] is not None
    for form in ("json", "jwt", "png"):
        file = next(each for each in addresses(done) if each.endswith(f".{form}"))
        assert requests.get(file, timeout=10).status_code == 200

    teacher = Carried(canvas, canvas.teacher).open()
    token = field(requests.get(teacher, timeout=10), "csrf")
    for path, data in (("sync", {"slug": canvas.badge.slug}), ("library/empathy", {})):
        done = requests.post(f"{teacher}{path}", data={"csrf": token, **data}, timeout=10)
        assert done.status_code == 200 and done.url.startswith(teacher)


def test_C14_a_learners_own_private_credential_opens_with_the_launch_it_carries_and_not_without(canvas):
    home = Carried(canvas, canvas.students[0]).open()
    place = home.rstrip("/").rpartition("/")[2]
    url = canvas.award()["credential_url"]
    other = Carried(canvas, canvas.students[1]).open().rstrip("/").rpartition("/")[2]
    for form in ("", ".json", ".png"):
        assert requests.get(f"{url}{form}?launch={place}", timeout=10).status_code == 200
        for wrong in (place.partition(".")[0], f"{place}x", other, "", f".{place.partition('.')[2]}"):
            assert requests.get(f"{url}{form}?launch={wrong}", timeout=10).status_code == 404
    answer = requests.get(f"{url}.json?launch={place}", timeout=10)
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_D16_a_carried_form_without_the_right_token_changes_nothing(canvas, token):
    home = Carried(canvas, canvas.students[0]).open()
    data = {"public": "yes", **({} if token is None else {"csrf": token})}
    done = requests.post(f"{home}badges/{canvas.badge.slug}/claim", data=data, timeout=10)
    assert done.status_code == 400 and canvas.award()["claimed_at"] is None


def test_D17_the_form_token_of_another_carried_launch_changes_nothing(canvas):
    home, elsewhere = (Carried(canvas, canvas.students[0]).open() for _ in range(2))
    token = field(requests.get(elsewhere, timeout=10), "csrf")
    done = requests.post(f"{home}badges/{canvas.badge.slug}/claim", data={"csrf": token, "public": "yes"}, timeout=10)
    assert done.status_code == 400 and canvas.award()["claimed_at"] is None


def test_D07_a_carried_learner_opens_no_instructors_page(canvas):
    home = Carried(canvas, canvas.students[0]).open()
    for path in ("", f"badges/{canvas.badge.slug}", f"badges/{canvas.badge.slug}/progress.csv"):
        assert requests.get(home.replace("/me/", "/course/") + path, timeout=10).status_code == 403


def test_C18_a_token_opens_its_own_launch_and_no_other_and_is_no_cookie(canvas):
    mine, other = (Carried(canvas, user).open() for user in (canvas.teacher, canvas.students[0]))
    launch, token = mine.rstrip("/").rpartition("/")[2].split(".")
    other_launch, other_token = other.rstrip("/").rpartition("/")[2].split(".")
    base = f"{canvas.scene.url}/course/"
    for address in (f"{launch}.{other_token}", f"{other_launch}.{token}", launch, f"{launch}.", f"{launch}.{token}."):
        assert requests.get(f"{base}{address}/", timeout=10).status_code == 401
    for address in (launch, f"{launch}.x"):
        answer = requests.get(f"{base}{address}/", headers={"Cookie": f"browser={token}"}, timeout=10)
        assert answer.status_code == 401
    # nor does a token open what a cookie has opened
    visitor = canvas.enter(canvas.teacher)
    secret = next(c.value for c in visitor.http.get_adapter("http://").jar if c.name == "browser")
    for carried in (secret, token, "None", ""):
        assert requests.get(f"{base}{visitor.launch}.{carried}/", timeout=10).status_code == 401
    assert requests.get(mine, timeout=10).status_code == 200


def test_C14_a_carried_launch_ends_after_two_hours_and_only_the_hash_of_its_token_is_stored(canvas):
    home = Carried(canvas, canvas.teacher).open()
    launch, token = home.rstrip("/").rpartition("/")[2].split(".")
    assert len(token) >= 43
    with canvas.tool.db.write() as session:
        row = session.get_one(LaunchRow, launch)
        assert row.token_hash == digest(token) and row.browser_id is None
        assert row.expires_at - row.created_at == timedelta(hours=2)
        assert session.scalars(select(Browser).where(Browser.secret_hash == digest(token))).all() == []
        row.expires_at = now() - timedelta(seconds=1)
    ended = requests.get(home, timeout=10)
    assert ended.status_code == 401 and "This page has ended" in ended.text
    sync.forget_expired(canvas.tool, now())
    with canvas.tool.db.read() as session:
        assert session.get(LaunchRow, launch) is None


@pytest.mark.parametrize("what", ["registration", "deployment", "person"])
def test_D13_what_is_switched_off_ends_a_carried_launch_too(canvas, what):
    home = Carried(canvas, canvas.teacher).open()
    launch = home.rstrip("/").rpartition("/")[2].split(".")[0]

    def switch(off: bool) -> None:
        with canvas.tool.db.write() as session:
            row = session.get_one(LaunchRow, launch)
            if what == "person":
                session.get_one(Person, row.person_id).disabled = off
            elif what == "deployment":
                row.deployment.status = "disabled" if off else "active"
            else:
                session.get_one(Registration, row.deployment.registration_id).status = "disabled" if off else "active"

    switch(True)
    try:
        assert requests.get(home, timeout=10).status_code == 401
    finally:
        switch(False)
    assert requests.get(home, timeout=10).status_code == 200


def test_C20_a_carried_page_is_framed_by_its_platform_only(canvas):
    page = requests.get(Carried(canvas, canvas.teacher).open(), timeout=10)
    policy = page.headers["Content-Security-Policy"]
    told = re.search(r'data-parents="([^"]*)"', page.text)[1].split()
    assert policy.endswith("frame-ancestors " + " ".join(["'self'", *told])) and told
    assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"


def test_L12_a_carried_launch_leaves_no_token_in_the_log(canvas, caplog):
    import logging

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    frame = Carried(canvas, canvas.teacher)
    home = frame.open()
    requests.get(home, timeout=10)
    requests.get(f"{home}nothing", timeout=10)
    logged = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith(("werkzeug", "urllib3")))
    token = home.rstrip("/").rpartition(".")[2]
    assert "carried=True" in logged
    for secret in (token, frame.form["browser_secret"], frame.form["state"], *frame.form["id_token"].split(".")):
        assert secret not in logged


def test_C10_two_frames_without_cookies_live_side_by_side(canvas, make_room):  # noqa: F811
    """Two tabs, two courses, two roles: each page is its own launch's, and none reaches into another."""
    other = make_room(mood="canvas")
    other.lms.enrol(other.course, canvas.teacher, "student")
    first = Carried(canvas, canvas.teacher).open()
    second = Carried(other, canvas.teacher).open()
    assert "/course/" in first and "/me/" in second
    for _ in range(2):
        assert requests.get(first, timeout=10).status_code == 200
        assert requests.get(second, timeout=10).status_code == 200
    assert requests.get(second.replace("/me/", "/course/"), timeout=10).status_code == 403


def test_a_login_in_a_frame_that_takes_no_cookie_is_one_row_used_once(canvas):
    frame = Carried(canvas, canvas.teacher)
    frame.open()
    with canvas.tool.db.read() as session:
        row = session.get_one(Login, digest(frame.form["state"]))
        assert row.consumed_at is not None
        assert row.browser_hash == digest(frame.form["browser_secret"])
