"""Who may open what: roles, sessions, forms, cookies, frames, and what nobody else gets to see."""

from __future__ import annotations

import csv
import io
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from sqlalchemy import select

from lti_tool.demo.launches import INSTITUTION, MEMBERSHIP, SYSTEM
from lti_tool.models import Award, Browser, CourseBadge, Deployment, Issuer, Person, Registration
from lti_tool.models import Launch as LaunchRow
from lti_tool.services import work
from tests.classroom import at_once, badge, make_room, replace, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import ORAL, Scene, browser_session, make_database

NO_ROLE = "There is nothing here for your role"


@pytest.fixture
def opened(room):  # noqa: F811
    """A course with a badge that its first student has earned; her page at `student`."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.student = room.enter(room.students[0])
    return room


def roles(*uris: str) -> dict:
    return {"auth": {"claims": {"roles": list(uris)}}}


# -- roles


@pytest.mark.parametrize(
    "uri",
    [
        f"{INSTITUTION}#Instructor",
        f"{INSTITUTION}#Administrator",
        f"{SYSTEM}#Administrator",
        f"{SYSTEM}#SysAdmin",
        f"{INSTITUTION}#Faculty",
        "http://purl.imsglobal.org/vocab/lis/v2/membership/Administrator#Support",
    ],
)
def test_D01_D02_a_role_outside_the_course_gives_no_right_in_it(room, uri):  # noqa: F811
    visitor = room.enter(room.teacher, **roles(uri))
    assert visitor.page.status_code == 200 and NO_ROLE in visitor.page.text
    with room.tool.db.read() as session:
        launch = session.scalars(
            select(LaunchRow)
            .where(LaunchRow.person_id == room.person_id(room.teacher))
            .order_by(LaunchRow.created_at.desc())
        ).first()
    for path in (f"/course/{launch.id}/", f"/me/{launch.id}/"):
        assert visitor.get(path).status_code == 403
    assert visitor.get("/admin/").status_code == 401


def test_D01_a_teacher_of_the_institution_who_learns_here_is_a_learner(room):  # noqa: F811
    visitor = room.enter(room.teacher, **roles(f"{INSTITUTION}#Instructor", f"{MEMBERSHIP}#Learner"))
    assert "/me/" in visitor.page.url
    assert visitor.get(f"/course/{visitor.launch}/").status_code == 403


@pytest.mark.parametrize("role", ["Mentor", "Observer", "Member", "Officer", "Manager", "ContentDeveloper", "Guest"])
def test_D01_mentors_observers_and_other_members_get_nothing(opened, role):
    opened.lms.enrol(opened.course, watcher := opened.lms.add_user(opened.course, "student"), "student")
    visitor = opened.enter(watcher, **roles(f"{MEMBERSHIP}#{role}"))
    assert visitor.page.status_code == 200 and NO_ROLE in visitor.page.text
    assert opened.badge.name not in visitor.page.text
    with opened.tool.db.read() as session:
        person = opened.person_id(watcher)
        launch = session.scalars(select(LaunchRow).where(LaunchRow.person_id == person)).one()
    for path in (f"/course/{launch.id}/", f"/me/{launch.id}/"):
        assert visitor.get(path).status_code == 403
    # Her own badges, from whatever course, are hers to see: this one is not, as if it were not there.
    assert visitor.get(f"/me/{launch.id}/badges/{opened.badge.slug}").status_code == 404


def test_D03_an_instructor_who_is_a_learner_too_is_an_instructor(room):  # noqa: F811
    visitor = room.enter(room.teacher, **roles(f"{MEMBERSHIP}#Learner", f"{MEMBERSHIP}#Instructor"))
    assert "/course/" in visitor.page.url


ASSISTANT = (
    "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant",
    f"{MEMBERSHIP}#Instructor",
)


def test_D04_a_teaching_assistant_looks_and_syncs_and_changes_nothing(opened):
    assistant = opened.enter(opened.teacher, **roles(*ASSISTANT))
    slug, award = opened.badge.slug, opened.award()
    page = assistant.get(f"badges/{slug}")
    assert page.status_code == 200
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]
    assert assistant.http.post(f"{assistant.home}sync", data={"csrf": token}, timeout=10).status_code == 200
    for path, form in (
        (f"badges/{slug}/awards/{award['id']}/revoke", {"reason": "x"}),
        (f"badges/{slug}/awards/{award['id']}/confirm", {}),
        (f"badges/{slug}/awards/{award['id']}/review", {}),
        (f"badges/{slug}/awards/{award['id']}/hold", {"reason": "x"}),
        (f"badges/{slug}/awards/{award['id']}/reissue", {"reason": "x"}),
        (f"badges/{slug}/awards/confirm", {"only": award["id"]}),
        (f"badges/{slug}/awards/revoke", {"award": award["id"], "reason": "x"}),
        (f"badges/{slug}/awards/give", {"person": "x", "note": "x"}),
        (f"badges/{slug}/awards/file", {}),
        (f"badges/{slug}/publish", {}),
        (f"badges/{slug}/remove", {}),
        (f"badges/{slug}/release", {}),
        ("library/empathy", {}),
        ("import", {}),
    ):
        done = assistant.http.post(f"{assistant.home}{path}", data={"csrf": token, **form}, timeout=10)
        assert done.status_code == 403, path
    assert opened.award()["status"] == "issued"


def test_D04_a_teaching_assistant_is_not_asked_to_do_what_an_instructor_alone_may(room):  # noqa: F811
    room.publish(badge(award="review"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    pages = ("", f"badges/{room.badge.slug}", f"badges/{room.badge.slug}/awards")
    hers = [room.enter(room.teacher).get(each).text for each in pages]
    assert all("waits for you" in each for each in hers) and "Look and confirm" in hers[0]
    seen = [room.enter(room.teacher, **roles(*ASSISTANT)).get(each).text for each in pages]
    for page in seen:
        assert "ne waits for an instructor" in page or "1 waits for an instructor" in page
        assert "for you" not in page and "Look and" not in page and "until you" not in page


@pytest.mark.parametrize("setting", ["none", "review", "manage"])
def test_D04_what_an_assistant_may_do_is_a_setting(tmp_path, database_url, setting):
    scene = Scene(tmp_path, database_url, LTI_TOOL_LTI__TEACHING_ASSISTANTS=setting)
    try:
        scene.publish()
        assistant = scene.launch("teacher1", **roles(*ASSISTANT))
        if setting == "none":
            assert NO_ROLE in assistant.page.text
            return
        assert assistant.get(f"badges/{ORAL}/awards").status_code == 200
        done = assistant.post("library/empathy")
        assert done.status_code == (200 if setting == "manage" else 403)
    finally:
        scene.stop()


# -- pages of others


INSTRUCTORS = [
    "",
    "badges/{slug}",
    "badges/{slug}/plan",
    "badges/{slug}/awards",
    "badges/{slug}/progress.csv",
    "badges/{slug}/badge.toml",
    "badges/{slug}/awards/{award}/revoke",
    "badges/{slug}/awards/{award}/hold",
    "badges/{slug}/awards/{award}/reissue",
    "badges/{slug}/awards/give",
    "badges/{slug}/awards/file",
    "badges/{slug}/as-student/badge",
    "badges/{slug}/record/{person}/sub-competency:A",
    "jobs/1",
    "badges/{slug}/picture.svg",
    "library/empathy/picture.svg",
]


@pytest.mark.parametrize("path", INSTRUCTORS)
def test_D07_a_learner_opens_no_instructors_page(opened, path):
    found = path.format(slug=opened.badge.slug, award=opened.award()["id"], person=opened.person_id(opened.students[1]))
    answer = opened.student.get(f"/course/{opened.student.launch}/{found}")
    assert answer.status_code == 403
    assert opened.students[1].family_name not in answer.text


def test_D07_a_learner_posts_to_no_instructors_page(opened):
    slug, award = opened.badge.slug, opened.award()
    for path in (
        f"badges/{slug}/awards/{award['id']}/revoke",
        f"badges/{slug}/publish",
        "import",
        "sync",
        "library/empathy",
        f"badges/{slug}/awards/{award['id']}/confirm",
        f"badges/{slug}/release",
        f"badges/{slug}/awards/confirm",
    ):
        assert opened.student.post(f"/course/{opened.student.launch}/{path}", {"reason": "x"}).status_code == 403
    assert opened.award()["status"] == "issued"


def test_D08_an_instructor_reaches_nothing_of_another_course_by_changing_ids(opened, make_room):  # noqa: F811
    other = make_room()
    other.publish(badge(opened.badge.slug))  # the same local slug in her own course
    award, slug = opened.award(), opened.badge.slug
    job = work.listing(opened.tool, all_states=True)
    foreign_job = next(j["id"] for j in job if j["subject"] == str(opened.id))
    person = opened.person_id(opened.students[0])
    assert other.page.get(f"badges/{slug}/record/{person}/sub-competency:A").status_code == 404
    assert other.page.get(f"jobs/{foreign_job}").status_code == 404
    assert other.page.get(f"badges/{slug}/awards/{award['id']}/revoke").status_code == 404
    for act in ("revoke", "confirm", "review"):
        done = other.page.post(f"badges/{slug}/awards/{award['id']}/{act}", {"reason": "Mine now."})
        assert done.status_code == 404
    assert opened.award()["status"] == "issued"
    opened.put(badge("only-here"))
    for path in ("badges/only-here", "badges/only-here/plan", "badges/only-here/badge.toml"):
        assert other.page.get(path).status_code == 404
    assert other.page.post("badges/only-here/remove").status_code == 404
    # nor by another course's launch id in her own browser
    assert other.page.get(f"/course/{opened.page.launch}/").status_code == 401


def test_D14_a_learner_sees_nothing_of_anothers_award(opened):
    other = opened.enter(opened.students[1])
    url = opened.award()["credential_url"].removeprefix(opened.scene.url)
    for form in ("", ".json", ".jwt", ".png"):
        assert other.get(f"{url}{form}").status_code == 404
    page = other.get(f"badges/{opened.badge.slug}")
    assert opened.award()["id"] not in page.text and "is yours" not in page.text
    assert other.post(f"badges/{opened.badge.slug}/claim", {"public": "on"}).status_code == 404
    assert opened.award()["claimed_at"] is None


def test_D15_ids_in_addresses_are_128_random_bits(opened):
    with opened.tool.db.read() as session:
        ids = [
            *session.scalars(select(Award.id)),
            *session.scalars(select(LaunchRow.id)),
            *session.scalars(select(CourseBadge.id)),
            *session.scalars(select(Person.id)),
        ]
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids) and len(set(ids)) == len(ids)
    credential = opened.award()["credential_url"].rpartition("/")[2]
    assert len(credential) >= 22


def test_a_draft_does_not_exist_for_a_learner(room):  # noqa: F811
    room.put(badge("secret-draft", name="Secret plans"))
    student = room.enter(room.students[0])
    assert "Secret plans" not in student.page.text
    for path in ("badges/secret-draft", "badges/secret-draft/claim", "badges/secret-draft/picture.svg"):
        assert student.get(path).status_code == 404


# -- forms


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_D16_a_form_without_the_right_token_changes_nothing(opened, token):
    slug, award = opened.badge.slug, opened.award()
    data = {"reason": "x", **({} if token is None else {"csrf": token})}
    url = f"{opened.page.home}badges/{slug}/awards/{award['id']}/revoke"
    done = opened.page.http.post(url, data=data, timeout=10)
    assert done.status_code == 400 and "nothing was changed" in done.text
    assert opened.award()["status"] == "issued"


def csrf_of(visitor) -> str:
    return re.search(r'name="csrf" value="([0-9a-f]+)"', visitor.get("").text)[1]


def test_D17_the_token_of_another_launch_or_browser_changes_nothing(opened):
    path = f"badges/{opened.badge.slug}/awards/{opened.award()['id']}/revoke"
    elsewhere = opened.enter(opened.teacher)
    tokens = [csrf_of(elsewhere), csrf_of(opened.student)]
    first_home = opened.page.home
    opened.scene.launch_again(opened.page, opened.teacher.id, opened.course.id)  # a second tab of the same browser
    tokens.append(csrf_of(opened.page))
    for token in tokens:
        done = opened.page.http.post(f"{first_home}{path}", data={"csrf": token, "reason": "x"}, timeout=10)
        assert done.status_code == 400
    assert opened.award()["status"] == "issued"


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_D16_no_other_method_goes_round_the_token(opened, method):
    path = f"badges/{opened.badge.slug}/awards/{opened.award()['id']}/revoke"
    answer = getattr(opened.page.http, method)(f"{opened.page.home}{path}", timeout=10)
    assert answer.status_code == 405
    assert opened.award()["status"] == "issued"


# -- sessions


def test_D12_an_unknown_deployment_waits_for_approval_where_deployments_are_named(shared, make_room):  # noqa: F811
    room, before = make_room(), (shared.lti_tool["moodle"], shared.platform["moodle"])  # noqa: F811
    try:
        platform = shared.register("moodle", deployments=2)
        tool = shared.lti_tool["moodle"]
        with shared.tool.db.write() as session:
            session.get_one(Registration, platform).deployments_named = True
        refused = room.enter(room.teacher)
        assert refused.page.status_code == 401 and "has not been approved" in refused.page.text
        with shared.tool.db.write() as session:
            row = session.scalars(select(Deployment).where(Deployment.registration_id == platform)).one()
            assert (row.deployment_id, row.status) == (tool.deployment_id, "pending")
            row.status = "active"
        assert room.enter(room.teacher).page.status_code == 200
    finally:
        shared.lti_tool["moodle"], shared.platform["moodle"] = before


@pytest.mark.parametrize("what", ["registration", "deployment", "person"])
def test_D13_what_is_switched_off_ends_open_sessions_with_the_next_request(opened, what):
    def switch(off: bool) -> None:
        with opened.tool.db.write() as session:
            person = session.get_one(Person, opened.person_id(opened.teacher))
            launch = session.get_one(LaunchRow, opened.page.launch)
            if what == "person":
                person.disabled = off
            elif what == "deployment":
                launch.deployment.status = "disabled" if off else "active"
            else:
                launch.deployment.registration.status = "disabled" if off else "active"

    assert opened.page.get("").status_code == 200
    switch(True)
    try:
        assert opened.page.get("").status_code == 401
        path = f"{opened.page.home}badges/{opened.badge.slug}/publish"
        assert opened.page.http.post(path, timeout=10).status_code == 401
        again = opened.enter(opened.teacher)
        assert again.page.status_code in (401, 403) and "/course/" not in again.page.url
    finally:
        switch(False)
    assert opened.page.get("").status_code == 200


def test_C18_a_launch_by_somebody_else_in_the_same_browser_ends_the_earlier_pages(opened):
    browser, first_home = opened.page, opened.page.home
    before = cookie(browser)
    opened.scene.launch_again(browser, opened.students[0].id, opened.course.id)
    assert "/me/" in browser.page.url
    assert cookie(browser) != before
    assert browser.http.get(first_home, timeout=10).status_code == 401
    # the old cookie opens nothing any more, neither the old page nor the new one
    for address in (first_home, browser.home):
        assert requests.get(address, headers={"Cookie": f"browser={before}"}, timeout=10).status_code == 401


def test_C18_a_cookie_that_was_planted_before_the_launch_is_not_kept(room):  # noqa: F811
    """Session fixation: the attacker's own good cookie, put into somebody else's browser."""
    attacker = room.enter(room.students[0])
    planted = cookie(attacker)
    victim = room.enter(room.students[1])
    for jar in (victim.http.get_adapter("http://").jar,):
        for each in jar:
            if each.name == "browser":
                each.value = planted
    room.scene.launch_again(victim, room.students[1].id, room.course.id)
    assert cookie(victim) != planted
    assert attacker.get(f"/me/{victim.launch}/").status_code == 401


def cookie(visitor) -> str:
    return next(c.value for c in visitor.http.get_adapter("http://").jar if c.name == "browser")


def test_C10_the_same_person_in_two_courses_and_tabs_lives_side_by_side(opened, make_room):  # noqa: F811
    other = make_room()
    other.lms.enrol(other.course, opened.teacher, "student")
    browser, first_home = opened.page, opened.page.home
    opened.scene.launch_again(browser, opened.teacher.id, other.course.id)
    second_home = browser.home
    assert "/course/" in first_home and "/me/" in second_home
    for _ in range(2):
        assert browser.http.get(first_home, timeout=10).status_code == 200
        assert browser.http.get(second_home, timeout=10).status_code == 200
    # a role is the launch's, not the browser's: she learns in the second course
    assert browser.get(f"/course/{second_home.rstrip('/').rpartition('/')[2]}/").status_code == 403


def test_C10_two_tabs_launched_at_once_both_open(room):  # noqa: F811
    scene, browser = room.scene, browser_session()
    forms = []
    for _ in range(2):
        asked = scene.lms.login_request(scene.lti_tool["moodle"], room.teacher.id, room.course.id)
        started = browser.post(f"{scene.url}/lti/login", data=asked, allow_redirects=False, timeout=10)
        forms.append(scene.lms.finish_auth(started.headers["Location"])["fields"])
    pages = [browser.post(f"{scene.url}/lti/launch", data=form, timeout=10) for form in forms]
    assert [page.status_code for page in pages] == [200, 200]
    assert all(browser.get(page.url, timeout=10).status_code == 200 for page in pages)


def test_J10_first_launches_that_collide_write_one_row_each(shared, make_room):  # noqa: F811
    room = make_room(students=1)  # noqa: F811
    course = room.lms.add_course(f"{room.course.label}-new")
    people = [room.lms.add_user(course, "student") for _ in range(3)]
    shared.mood = "moodle"
    visitors = at_once(*[lambda p=p: shared.launch(p.id, course.id) for p in people * 3])
    assert [v.page.status_code for v in visitors] == [200] * 9
    with shared.tool.db.read() as session:
        for person in people:
            assert len(list(session.scalars(select(Person).where(Person.sub == person.id)))) == 1


def test_C12_the_launch_address_is_not_opened_by_get(shared):  # noqa: F811
    answer = requests.get(f"{shared.url}/lti/launch", timeout=10)
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


# -- cookies and frames


def test_C19_cookies_are_secure_httponly_none_and_partitioned(shared, make_room):  # noqa: F811
    room = make_room()  # noqa: F811
    browser = browser_session()
    asked = shared.lms.login_request(shared.lti_tool["moodle"], room.teacher.id, room.course.id)
    started = browser.post(f"{shared.url}/lti/login", data=asked, allow_redirects=False, timeout=10)
    form = shared.lms.finish_auth(started.headers["Location"])["fields"]
    opened = browser.post(f"{shared.url}/lti/launch", data=form, allow_redirects=False, timeout=10)
    set_cookies = [*started.raw.headers.getlist("Set-Cookie"), *opened.raw.headers.getlist("Set-Cookie")]
    assert len(set_cookies) == 3  # one for the login, dropped again, and the session's
    for each in set_cookies:
        attributes = {part.strip().lower() for part in each.split(";")[1:]}
        assert {"secure", "httponly", "samesite=none", "partitioned", "path=/"} <= attributes, each
        assert not any(a.startswith("domain=") for a in attributes)


def test_C19_over_https_cookies_have_the_host_prefix(tmp_path):
    from lti_tool import create_app
    from lti_tool.db import Database
    from lti_tool.migrations import schema
    from tests.scene import settings_for

    with make_database("", tmp_path) as url:
        settings = settings_for(tmp_path, url, "https://badges.example.edu", LTI_TOOL_NETWORK__ALLOW_PRIVATE="false")
        schema.upgrade(Database(url))
        app = create_app(settings)
        from lti_tool.services import platforms
        from tests.scene import now

        platforms.add_platform(
            app.extensions["lti_tool"],
            name="L",
            issuer="https://lms.example",
            client_id="c",
            auth_login_url="https://lms.example/auth",
            auth_token_url="https://lms.example/token",
            jwks_url="https://lms.example/jwks",
            auth_audience=None,
            deployment_ids=(),
            product="other",
            now=now(),
        )
        answer = app.test_client().post(
            "/lti/login",
            base_url="https://badges.example.edu",
            data={
                "iss": "https://lms.example",
                "login_hint": "1",
                "client_id": "c",
                "target_link_uri": "https://badges.example.edu/lti/launch",
            },
        )
        assert answer.status_code == 302
        assert answer.headers["Set-Cookie"].startswith("__Host-login-")
        assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]


def directive(answer: requests.Response, name: str) -> str:
    found = re.search(rf"(?:^|; ){name} ([^;]*)", answer.headers["Content-Security-Policy"])
    assert found, answer.headers["Content-Security-Policy"]
    return found[1]


def test_C20_pages_of_a_session_are_framed_by_their_own_platform_only(opened, make_room):  # noqa: F811
    browser_origin = opened.scene.lms.browser_root.rsplit("/", 1)[0]
    server_origin = opened.scene.lms.server_root.rsplit("/", 1)[0]
    expected = {"'self'", browser_origin, server_origin}
    for page in (opened.page.get(""), opened.student.get(""), opened.page.get(f"badges/{opened.badge.slug}")):
        assert set(directive(page, "frame-ancestors").split()) == expected
        assert "X-Frame-Options" not in page.headers
    with opened.tool.db.read() as session:
        other = session.scalars(select(Registration).where(Registration.product == "canvas")).first()
    learned = set(other.origins) - expected
    assert not learned & set(directive(opened.page.get(""), "frame-ancestors").split())


def test_C20_an_origin_is_learned_from_verified_launches_only_and_never_as_markup(room):  # noqa: F811
    def launched(url: str):
        return room.enter(room.teacher, auth={"claims": {"launch_presentation": {"return_url": url}}}).page

    allowed = directive(launched("https://frame.example/back?x=1"), "frame-ancestors")
    assert "https://frame.example" in allowed.split()
    for bad in (
        "https://evil.example;script-src *",
        "javascript:alert(1)",
        "https://a b.example/",
        "https://x'y.example/",
        "https://*/",
        "https://evil.example, https://evil2.example",
        "//no.scheme.example/",
        "https://evil.example:99999/",
        "https://evil.example:x/",
        "https://[evil",
    ):
        page = launched(bad)
        assert page.status_code == 200, bad
        policy = page.headers["Content-Security-Policy"]
        assert "evil" not in policy and "script-src *" not in policy and " * " not in f" {policy} ", bad
        assert "https://*" not in policy and policy.count("script-src") == 1 and policy.count("frame-ancestors") == 1


def test_C20_public_pages_are_framed_by_nobody(opened):
    opened.student.post(f"badges/{opened.badge.slug}/claim", {"public": "on"})
    award = opened.award()
    for address in (
        award["credential_url"],
        award["achievement"],
        f"{opened.scene.url}/issuers/hallwood",
        f"{opened.scene.url}/verify",
        f"{opened.scene.url}/no-such-page",
    ):
        page = requests.get(address, timeout=10)
        assert directive(page, "frame-ancestors") == "'none'", address
        assert page.headers["X-Frame-Options"] == "DENY"


def test_L14_every_answer_has_its_security_headers_and_no_page_runs_inline_script(opened):
    pages = [
        opened.page.get(""),
        opened.student.get(""),
        requests.get(f"{opened.scene.url}/verify", timeout=10),
        requests.get(f"{opened.scene.url}/nothing", timeout=10),
        requests.get(f"{opened.scene.url}/healthz", timeout=10),
    ]
    for page in pages:
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert directive(page, "default-src") == "'none'" and directive(page, "script-src") == "'self'"
        assert directive(page, "base-uri") == "'none'"
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:|<style|\sstyle=", page.text)


def test_L14_every_address_is_declared_public_or_guarded(shared):  # noqa: F811
    undeclared = [
        rule.rule
        for rule in shared.app.url_map.iter_rules()
        if not hasattr(shared.app.view_functions[rule.endpoint], "guard")
        and not rule.endpoint.endswith("static")
        and not rule.endpoint.startswith("bootstrap")
    ]
    assert undeclared == []


@pytest.mark.parametrize("path", ["", "badges/x", "jobs/1"])
def test_a_guarded_page_without_a_cookie_is_a_friendly_refusal(opened, path):
    for home in (opened.page.home, opened.student.home, f"{opened.scene.url}/course/{'0' * 32}/"):
        answer = requests.get(f"{home}{path}", timeout=10)
        assert answer.status_code in (401, 404)
        assert opened.course.title not in answer.text
    answer = requests.get(opened.page.home, timeout=10)
    assert answer.status_code == 401 and "This page has ended" in answer.text


# -- what is told


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/course/",
        "/me/x/y/z",
        "/credentials/",
        "/%00",
        "/<script>alert(1)</script>",
        "/achievements/x/vone",
        "/status/x",
        "/keys/none",
        "/credentials/none.json",
    ],
)
def test_an_unknown_address_is_a_page_that_says_so_and_repeats_nothing(shared, path):  # noqa: F811
    answer = requests.get(f"{shared.url}{path}", timeout=10)
    assert answer.status_code in (401, 404)
    assert "<script>alert" not in answer.text and "Traceback" not in answer.text
    assert "There is nothing at this address" in answer.text or "This page has ended" in answer.text


def led(answer: requests.Response) -> list[str]:
    """Return where the buttons of an error page lead."""
    return re.findall(r'<a class="btn[^"]*" href="([^"]*)"', answer.text)


def test_whoever_has_a_session_is_led_back_from_an_error_page(opened):
    draft = opened.page.get("badges/removed-meanwhile")
    assert draft.status_code == 404 and led(draft) == [f"/course/{opened.page.launch}/"]
    assert "It may have been removed meanwhile." in draft.text and "whoever sent it" not in draft.text
    hers = opened.student.get("badges/removed-meanwhile")
    assert hers.status_code == 404 and led(hers) == [f"/me/{opened.student.launch}/"]
    refused = opened.student.get(f"/course/{opened.student.launch}/")  # a page of instructors
    assert refused.status_code == 403 and led(refused) == [f"/me/{opened.student.launch}/"]
    assert opened.page.get(led(draft)[0]).status_code == opened.student.get(led(hers)[0]).status_code == 200
    watcher = opened.enter(opened.teacher, **roles(f"{SYSTEM}#Administrator"))
    with opened.tool.db.read() as session:
        launch = session.scalars(select(LaunchRow).order_by(LaunchRow.created_at.desc())).first().id
    nobody = watcher.get(f"/course/{launch}/")
    assert nobody.status_code == 403 and led(nobody) == [f"/me/{launch}/all"]
    assert watcher.get(led(nobody)[0]).status_code == 200


def test_without_a_session_an_error_page_leads_to_no_launch(opened):
    path = f"/course/{opened.page.launch}/badges/removed-meanwhile"
    ended = requests.get(f"{opened.scene.url}{path}", timeout=10)
    assert ended.status_code == 401 and led(ended) == []
    absent = requests.get(f"{opened.scene.url}/credentials/none", timeout=10)
    assert absent.status_code == 404 and led(absent) == ["/verify"] and "It may not be public" in absent.text


def test_D14_private_absent_and_another_s_look_the_same_to_whoever_has_a_session(opened, make_room):  # noqa: F811
    opened.put(badge("secret-draft", name="Secret plans"))
    other = make_room()
    other.publish(badge("only-there"))
    answers = [opened.student.get(f"badges/{slug}") for slug in ("secret-draft", "only-there", "never-was")]
    assert {each.status_code for each in answers} == {404}
    assert len({re.sub(r"[0-9A-Fa-f]{8,}|\d\d:\d\d", "", each.text) for each in answers}) == 1


def test_error_pages_never_repeat_what_was_sent(opened):
    sent = "eyJhbGciOiJSUzI1NiJ9.secret-part.secret-signature"
    answers = [
        requests.post(f"{opened.scene.url}/lti/launch", data={"id_token": sent, "state": sent}, timeout=10),
        requests.post(f"{opened.scene.url}/lti/login", data={"iss": sent, "login_hint": sent}, timeout=10),
        requests.get(f"{opened.scene.url}/course/{sent}/", timeout=10),
        requests.get(f"{opened.scene.url}/credentials/{sent}", timeout=10),
        opened.page.http.post(f"{opened.page.home}sync", data={"csrf": sent}, timeout=10),
    ]
    for answer in answers:
        assert answer.status_code in (400, 401, 404) and sent not in answer.text


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_L12_the_debug_log_of_a_launch_and_a_sync_names_nobody_and_holds_no_token(make_room, mood, caplog):  # noqa: F811
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    room = make_room(mood=mood)  # noqa: F811
    caplog.clear()
    seen: list[str] = []
    original = room.lms.finish_auth

    def remember(*args, **options):
        form = original(*args, **options)
        seen.append(form["fields"]["id_token"])
        return form

    room.lms.finish_auth = remember  # of the demo LMS: only to know which token was sent
    try:
        teacher = room.enter(room.teacher)
        room.publish(badge())
        for student in room.students:
            room.grade(student, 3, 3)
        teacher.post("sync", {"slug": room.badge.slug})
        student = room.enter(room.students[0])
        student.post(f"badges/{room.badge.slug}/claim", {"public": "on"})
        student.post("sync")
        room.lms.faults.on("results", "html")
        teacher.post("sync")
    finally:
        del room.lms.finish_auth
    # werkzeug serves only these tests; granian, which serves the tool, writes no access log
    logged = "\n".join(
        f"{r.getMessage()} {r.exc_text or ''}" for r in caplog.records if not r.name.startswith("werkzeug")
    )
    assert "launch registration=" in logged and len(seen) == 2
    access = [str(token.value) for token in room.tool.tokens._tokens.values()]
    people = [room.teacher, *room.students]
    secrets = [part for token in seen for part in token.split(".")] + access
    secrets += (
        [p.email for p in people] + [p.name for p in people] + [p.id for p in people] + [p.sourcedid for p in people]
    )
    secrets = [secret for secret in secrets if not secret.isdigit()]  # Moodle's ids are: 7 is in every time of day
    secrets += [cookie(teacher), cookie(student)]
    assert [secret for secret in secrets if secret in logged] == []


def test_L13_too_many_logins_from_one_address_are_told_to_wait_and_others_are_not(tmp_path, database_url):
    scene = Scene(tmp_path, database_url, LTI_TOOL_SERVER__LOGINS_PER_MINUTE="20", LTI_TOOL_SERVER__TRUSTED_PROXIES="1")
    try:
        visitor = scene.launch("teacher1")

        def login(address: str) -> int:
            asked = scene.lms.login_request(scene.lti_tool["moodle"], "teacher1", "EMP101")
            return requests.post(
                f"{scene.url}/lti/login",
                data=asked,
                headers={"X-Forwarded-For": address},
                allow_redirects=False,
                timeout=10,
            ).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(login, ["192.0.2.1"] * 40))
        assert set(statuses) == {302, 429} and 20 <= statuses.count(302) <= 24
        assert login("192.0.2.2") == 302
        assert visitor.get("").status_code == 200  # who is in stays in
        # an address in front of the proxy's own cannot be made up
        assert login("203.0.113.9, 192.0.2.1") == 429
    finally:
        scene.stop()


# -- hostile names

HOSTILE = [
    '"></script><img src=x onerror=alert(1)><svg onload=alert(1)>',
    "{{7*7}}${7*7}",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)\u202egnp.exe",
]


@pytest.mark.parametrize("evil", HOSTILE)
def test_I19_a_hostile_name_is_text_on_every_page_and_no_formula_in_the_csv(make_room, evil):  # noqa: F811
    room = make_room(students=0)  # noqa: F811
    room.course.title = evil
    student = room.lms.add_user(room.course, "student", given_name=evil, family_name=evil)
    room.students.append(student)
    nasty = replace(row("A"), name=evil, description=evil)
    nasty = replace(
        nasty,
        levels=tuple(replace(level, name=f"{evil}{n}", description=evil) for n, level in enumerate(nasty.levels)),
        required_level=f"{evil}2",
    )
    room.publish(badge(name=evil, description=evil, criteria=evil, sub_competencies=(nasty,), tags=(evil,)))
    room.grade(student, 3)
    assert room.sync().state == "done"
    teacher, learner = room.enter(room.teacher), room.enter(student)
    slug, award = room.badge.slug, room.award()
    learner.post(f"badges/{slug}/claim", {"public": "on"})
    pages = [
        teacher.get(path)
        for path in (
            "",
            f"badges/{slug}",
            f"badges/{slug}/plan",
            f"badges/{slug}/awards",
            f"badges/{slug}/awards/{award['id']}/revoke",
            f"badges/{slug}/awards/{award['id']}/hold",
            f"badges/{slug}/awards/{award['id']}/reissue",
            f"badges/{slug}/awards/give",
            f"badges/{slug}/as-student/",
            f"badges/{slug}/as-student/badge",
            f"badges/{slug}/as-student/claim",
            f"badges/{slug}/record/{room.person_id(student)}/sub-competency:A",
        )
    ]
    pages += [learner.get(path) for path in ("", f"badges/{slug}", f"badges/{slug}/claim")]
    pages += [
        requests.get(url, headers={"Accept": "text/html"}, timeout=10)
        for url in (award["credential_url"], award["achievement"])
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<img src=x" not in page.text and "<svg onload" not in page.text
        assert "</script><" not in page.text.replace("></script>", "")
    assert "{{7*7}}" in pages[0].text or "{{" not in evil
    table = list(csv.reader(io.StringIO(teacher.get(f"badges/{slug}/progress.csv").content.decode("utf-8-sig"))))
    assert len(table) == 2
    assert not [cell for line in table for cell in line if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    picture = teacher.get(f"badges/{slug}/picture.svg")
    assert "<img" not in picture.text and "onload" not in picture.text
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    document = requests.get(f"{award['credential_url']}.json", timeout=10).json()
    assert document["credentialSubject"]["achievement"]["name"] == evil.strip()


def test_I19_markup_in_criteria_is_shown_as_text_and_links_go_nowhere_dangerous(room):  # noqa: F811
    criteria = "**bold** <b onclick=alert(1)>raw</b> [x](javascript:alert(1)) [y](https://ok.example)"
    criteria += "<script>alert(2)</script>"
    room.publish(badge(criteria=criteria))
    page = room.enter(room.students[0]).get(f"badges/{room.badge.slug}").text
    assert "<strong>bold</strong>" in page and 'href="https://ok.example"' in page
    assert "<b onclick" not in page and 'href="javascript:' not in page and "<script>alert" not in page


def test_old_browsers_and_launches_are_forgotten_with_their_time(opened):
    from datetime import timedelta

    from lti_tool.services import sync
    from tests.scene import now

    visitor = opened.enter(opened.teacher)
    with opened.tool.db.write() as session:
        session.get_one(LaunchRow, visitor.launch).expires_at = now() - timedelta(seconds=1)
    assert visitor.get("").status_code == 401
    sync.forget_expired(opened.tool, now())
    with opened.tool.db.read() as session:
        assert session.get(LaunchRow, visitor.launch) is None
        assert session.scalars(select(Browser)).first() is not None


def test_L12_an_error_of_the_database_names_nobody(opened):
    """PostgreSQL adds `DETAIL: Key (registration_id, sub)=(2, 167) already exists.`"""
    from sqlalchemy.exc import IntegrityError

    sub = opened.students[0].id
    with opened.tool.db.read() as session:
        person = session.get_one(Person, opened.person_id(opened.students[0]))
    with pytest.raises(IntegrityError) as error, opened.tool.db.write() as session:
        session.add(
            Person(
                registration_id=person.registration_id, sub=sub, subject_id="urn:uuid:x", created_at=person.created_at
            )
        )
    for told in (str(error.value), str(error.value.orig), repr(error.value.__cause__)):
        assert sub not in told.replace("person.sub", "") and "DETAIL" not in told


def test_that_the_institution_has_no_name_yet_is_said_once_with_a_link_for_those_who_can_mend_it(room):  # noqa: F811
    with room.tool.db.write() as session:
        issuer = session.scalars(select(Issuer)).one()
        name, issuer.name = issuer.name, ""
    try:
        home = room.enter(room.teacher).page.text
    finally:
        with room.tool.db.write() as session:
            session.scalars(select(Issuer)).one().name = name
    assert home.count("no name or web address") == 1 and "Ask an administrator of this tool" in home
    assert re.findall(r'href="(/admin[^"]*)"[^>]*>([^<]*)', home) == [
        ("/admin/issuer", "The Issuer page, for administrators")
    ]
    assert "no name or web address" not in room.enter(room.teacher).page.text
