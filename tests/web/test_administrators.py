"""Who is administrator: one-time addresses, sessions, invitations, removal, and an LMS account as the way in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
import time_machine
from sqlalchemy import delete, select, update

from lti_tool.demo.launches import INSTITUTION, MEMBERSHIP, SYSTEM
from lti_tool.errors import Conflict, NotSignedIn
from lti_tool.models import (
    Administrator,
    AdminSession,
    AuditEvent,
    Binding,
    BindingCode,
    Issuer,
    Person,
    Registration,
    SignInAddress,
)
from lti_tool.models import Launch as LaunchRow
from lti_tool.security import RateLimit
from lti_tool.services import administrators, audit, bindings
from lti_tool.web.admin import sign_in
from tests.classroom import at_once, room, shared  # noqa: F401 (fixtures)
from tests.scene import Administrator as Browser
from tests.scene import Scene, Visitor, now, token_in

SIGNED_OUT = "You are not signed in as an administrator."


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """Give each test the whole share of sign-ins, as all come from one address, and no code another has asked for."""
    for name in ("shared", "scene"):
        if name in request.fixturenames:
            extensions = request.getfixturevalue(name).app.extensions
            extensions["sign_in_limit"] = RateLimit(sign_in.SIGN_INS_PER_MINUTE)
            extensions["code_limit"] = RateLimit(10)
            with request.getfixturevalue(name).tool.db.write() as session:
                session.execute(delete(BindingCode))


def address(scene: Scene, **options: str) -> str:
    return administrators.invite(scene.tool, actor=audit.OPERATOR, now=now(), **options)


def cookie_of(browser: Visitor, name: str = "admin") -> str:
    return next((c.value or "" for c in browser.http.get_adapter("http://").jar if c.name == name), "")


def with_cookie(scene: Scene, value: str, path: str = "/admin/keys") -> requests.Response:
    return requests.get(f"{scene.url}{path}", headers={"Cookie": f"admin={value}"}, timeout=10)


def events(scene: Scene, action: str) -> list[AuditEvent]:
    with scene.tool.db.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)))


def admin_id(scene: Scene, name: str) -> str:
    with scene.tool.db.read() as session:
        query = select(Administrator.id).where(Administrator.name == name, Administrator.removed_at.is_(None))
        return session.scalars(query).one()


# -- one-time addresses


def test_an_operator_s_address_makes_an_administrator_who_is_in_the_audit_log_by_name(shared: Scene) -> None:  # noqa: F811
    vera = shared.administrator("Vera One", "vera.one@hallwood.example")
    assert vera.page is not None and vera.page.status_code == 200 and "/admin/" in vera.page.url
    found = vera.get("/admin/audit?text=Vera+One").text
    assert "Signed in" in found and "Vera One" in found
    signed_in = events(shared, "administrator.signed_in")[-1]
    assert signed_in.actor == f"administrator:{admin_id(shared, 'Vera One')}"
    assert "vera.one@" not in str([(e.subject, e.detail) for e in events(shared, "administrator.address_made")])


def test_opening_an_address_uses_nothing_up_and_pressing_the_button_does(shared: Scene) -> None:  # noqa: F811
    link = address(shared)
    for _ in range(3):  # a mail scanner, a preview, the person
        assert requests.get(link, timeout=10).status_code == 200
    assert requests.head(link, timeout=10).status_code == 200
    assert Browser(shared).sign_in(link, "Once").page.status_code == 200  # type: ignore[union-attr]
    again = Browser(shared)
    answer = again.get(link.removeprefix(shared.url))
    assert answer.status_code == 401 and "This sign-in address was already used." in answer.text
    assert "lti-tool admin invite" in answer.text  # how to get in
    assert not cookie_of(again)


def test_only_the_hash_of_an_address_and_of_a_session_is_kept(shared: Scene) -> None:  # noqa: F811
    link = address(shared)
    browser = Browser(shared).sign_in(link, "Hashed")
    secrets = (link.rpartition("/")[2], cookie_of(browser))
    with shared.tool.db.read() as session:
        rows = [
            str(vars(row))
            for table in (SignInAddress, AdminSession, AuditEvent)
            for row in session.scalars(select(table))
        ]
    assert all(len(secret) >= 43 for secret in secrets)
    assert not [row for row in rows for secret in secrets if secret in row]


def test_an_address_that_is_too_old_or_unknown_is_told_apart_and_lets_nobody_in(shared: Scene) -> None:  # noqa: F811
    link = address(shared)
    with time_machine.travel(now() + timedelta(hours=24, seconds=1), tick=True):
        answer = requests.get(link, timeout=10)
        assert answer.status_code == 401 and "has expired" in answer.text
    for secret in ("x", "a" * 43, "a" * 5000, link[-43:-1], link[-43:].swapcase()):
        answer = requests.get(f"{shared.url}/sign-in/{secret}", timeout=10)
        assert answer.status_code == 401 and "not one of ours" in answer.text
        assert secret not in answer.text or len(secret) < 5


def test_of_two_who_press_the_button_at_once_one_gets_in(shared: Scene) -> None:  # noqa: F811
    link = address(shared)
    browsers = [Browser(shared), Browser(shared)]
    tokens = [token_in(browser.get(link.removeprefix(shared.url)).text) for browser in browsers]

    def press(browser: Browser, token: str) -> int:
        data = {"csrf": token, "name": "Twice"}
        return browser.http.post(link, data=data, timeout=20, allow_redirects=False).status_code

    done = at_once(*[lambda b=b, t=t: press(b, t) for b, t in zip(browsers, tokens, strict=True)])
    assert sorted(done) == [303, 401]
    assert sorted(bool(cookie_of(browser)) for browser in browsers) == [False, True]
    with shared.tool.db.read() as session:
        assert len(list(session.scalars(select(Administrator).where(Administrator.name == "Twice")))) == 1


def test_two_addresses_for_one_e_mail_opened_at_once_make_one_administrator(shared: Scene) -> None:  # noqa: F811
    email = "same@hallwood.example"
    made = at_once(
        *[lambda: administrators.invite(shared.tool, email=email, actor=audit.OPERATOR, now=now()) for _ in range(4)]
    )
    secrets = [str(link).rpartition("/")[2] for link in made]
    options = {"name": "Same", "email": email, "before": None, "now": now()}
    done = at_once(*[lambda s=s: administrators.sign_in(shared.tool, s, **options) for s in secrets])  # type: ignore[arg-type]
    assert {type(each).__name__ for each in done} == {"OpenedSession"}, done
    assert len({each.administrator_id for each in done}) == 1 and len({each.secret for each in done}) == 4


def test_an_address_for_a_known_e_mail_signs_her_in_and_asks_for_no_name(shared: Scene) -> None:  # noqa: F811
    shared.administrator("Known", "known@hallwood.example")
    page = requests.get(address(shared, email="Known@Hallwood.example "), timeout=10).text
    assert "signs in Known, once" in page and 'name="name"' not in page


@pytest.mark.parametrize(
    ("name", "email", "told"),
    [
        ("", "", "Write your name."),
        ("   ", "", "Write your name."),
        ("x" * 10_000, "", "at most 200 characters; this one has 10,000"),
        ("A\x1b[31mB", "", "cannot be shown"),
        ("Good", "no address", "not an e-mail address"),
        ("Good", "a@" + "b" * 300 + ".example", "not an e-mail address"),
        ("Good", "taken@hallwood.example", "Another administrator has this e-mail address"),
    ],
)
def test_a_name_that_cannot_be_used_is_told_and_the_address_stays_good(
    shared: Scene,  # noqa: F811
    name: str,
    email: str,
    told: str,
) -> None:
    if email.startswith("taken"):
        shared.administrator(f"Taken {now().timestamp()}", email)
    link, browser = address(shared), Browser(shared)
    token = token_in(browser.get(link.removeprefix(shared.url)).text)
    answer = browser.http.post(link, data={"csrf": token, "name": name, "email": email}, timeout=10)
    assert answer.status_code == 400 and told in answer.text and not cookie_of(browser)
    assert not email or f'value="{email}"' in answer.text  # what was typed is still there
    good = browser.http.post(link, data={"csrf": token_in(answer.text), "name": "Good Name"}, timeout=10)
    assert good.status_code == 200 and "/admin/" in good.url


def test_a_sign_in_form_of_another_browser_is_refused_so_nobody_signs_in_unawares(shared: Scene) -> None:  # noqa: F811
    """Login CSRF: the attacker's own good address, posted by a page of his in the victim's browser."""
    link, attacker, victim = address(shared), Browser(shared), Browser(shared)
    token = token_in(attacker.get(link.removeprefix(shared.url)).text)
    for data in ({"csrf": token, "name": "A"}, {"name": "A"}, {"csrf": "", "name": "A"}):
        answer = victim.http.post(link, data=data, timeout=10)
        assert answer.status_code == 400 and not cookie_of(victim)
    victim.get(link.removeprefix(shared.url))
    assert victim.http.post(link, data={"csrf": token, "name": "A"}, timeout=10).status_code == 400


def test_a_refused_sign_in_is_in_the_audit_log_without_what_was_sent(shared: Scene) -> None:  # noqa: F811
    link, browser = address(shared), Browser(shared)
    token = token_in(browser.get(link.removeprefix(shared.url)).text)
    Browser(shared).sign_in(link, "Quicker")
    answer = browser.http.post(link, data={"csrf": token, "name": "Secret Name", "email": "s@x.example"}, timeout=10)
    assert answer.status_code == 401
    refused = events(shared, "administrator.refused")[-1]
    assert (refused.actor, refused.detail) == ("nobody", {"reason": "address_used"})
    assert refused.subject.startswith("sign-in:") and link[-43:] not in refused.subject


def test_sign_ins_from_one_address_are_limited(shared: Scene) -> None:  # noqa: F811
    answers = [requests.get(f"{shared.url}/sign-in/{n:043}", timeout=10).status_code for n in range(32)]
    assert answers.count(429) >= 1 and set(answers) == {401, 429}


# -- sessions


def test_without_a_session_every_page_says_how_to_get_in(shared: Scene) -> None:  # noqa: F811
    for path in ("", "issuer", "administrators", "keys", "jobs", "audit", "audit/log.csv", "platforms/", "approvals/"):
        answer = requests.get(f"{shared.url}/admin/{path}", timeout=10)
        assert answer.status_code == 401 and SIGNED_OUT in answer.text, path
        assert "lti-tool admin invite" in answer.text and "no-store" in answer.headers["Cache-Control"]


def test_the_session_s_cookie_is_lax_httponly_and_secure_and_its_pages_are_never_framed(shared: Scene) -> None:  # noqa: F811
    link, browser = address(shared), Browser(shared)
    token = token_in(browser.get(link.removeprefix(shared.url)).text)
    answer = browser.http.post(link, data={"csrf": token, "name": "Cookie"}, timeout=10, allow_redirects=False)
    (cookie,) = [c for c in answer.raw.headers.getlist("Set-Cookie") if c.startswith("admin=")]
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie, cookie
    assert "Domain" not in cookie and "Partitioned" not in cookie
    page = browser.get("/admin/issuer")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY" and page.headers["Cache-Control"] == "no-store"


def test_a_cookie_planted_before_the_sign_in_is_not_kept(shared: Scene) -> None:  # noqa: F811
    """Session fixation: the attacker's own good session, and one he made up, in somebody else's browser."""
    attacker = shared.administrator("Attacker Session")
    for planted in (cookie_of(attacker), "made-up"):
        victim, link = Browser(shared), address(shared)
        page = victim.http.get(link, timeout=10)
        jar = victim.http.get_adapter("http://").jar  # type: ignore[attr-defined]
        sent = {"Cookie": f"admin={planted}; sign-in={cookie_of(victim, 'sign-in')}"}
        answer = requests.post(
            link, data={"csrf": token_in(page.text), "name": "Victim"}, headers=sent, timeout=10, allow_redirects=False
        )
        assert answer.status_code == 303 and jar is not None
        fresh = re.search(r"\badmin=([^;]+)", answer.headers["Set-Cookie"])
        assert fresh and fresh[1] != planted
        assert with_cookie(shared, planted).status_code == 401  # the earlier session of that browser has ended
        assert with_cookie(shared, fresh[1]).status_code == 200


def test_a_session_ends_when_it_is_not_used_and_when_its_time_is_over(shared: Scene) -> None:  # noqa: F811
    browser, began = shared.administrator("Tired"), now()
    for minutes in (50, 100, 150):
        with time_machine.travel(began + timedelta(minutes=minutes), tick=True):
            assert browser.get("/admin/keys").status_code == 200, minutes
    with time_machine.travel(began + timedelta(minutes=150 + 61), tick=True):
        assert browser.get("/admin/keys").status_code == 401
    awake = shared.administrator("Awake")
    with shared.tool.db.write() as session:
        session.execute(update(AdminSession).values(expires_at=now() - timedelta(seconds=1), used_at=now()))
    assert awake.get("/admin/keys").status_code == 401


def test_signing_out_ends_the_session_on_the_server(shared: Scene) -> None:  # noqa: F811
    browser = shared.administrator("Leaver")
    kept = cookie_of(browser)
    assert "You are signed out" in browser.post("/admin/sign-out").text
    assert not cookie_of(browser) and with_cookie(shared, kept).status_code == 401


def test_D17_a_form_with_the_token_of_another_session_or_none_changes_nothing(shared: Scene) -> None:  # noqa: F811
    mine, other = shared.administrator("Mine"), shared.administrator("Other")
    foreign = token_in(other.get("/admin/keys/rotate/lti").text)
    before = [key.kid for key in shared.tool.keyring.keys]
    for token in (foreign, "", "0" * 64, token_in(mine.get("/admin/keys").text)[:-1]):
        answer = mine.http.post(f"{shared.url}/admin/keys/rotate/lti", data={"csrf": token}, timeout=10)
        assert answer.status_code == 400 and "nothing was changed" in answer.text
    assert mine.http.post(f"{shared.url}/admin/keys/rotate/lti", timeout=10).status_code == 400
    assert [key.kid for key in shared.tool.keyring.keys] == before


def test_a_launch_s_cookie_opens_no_administrator_s_page(room) -> None:  # noqa: F811
    secret = cookie_of(room.page, "browser")
    assert secret and with_cookie(room.scene, secret).status_code == 401


# -- inviting and removing


def test_an_administrator_invites_another_and_sees_the_address_once(shared: Scene) -> None:  # noqa: F811
    vera = shared.administrator("Vera Invites")
    page = vera.post("/admin/administrators/invite", {"email": "new@hallwood.example"})
    link = re.search(rf"{shared.url}/sign-in/[\w-]+", page.text)
    assert page.status_code == 200 and link
    listed = vera.get("/admin/administrators").text
    assert link[0] not in listed and "new@hallwood.example" in listed and "Made by Vera Invites" in listed
    nora = Browser(shared).sign_in(link[0], "Nora New")
    assert nora.get("/admin/administrators").status_code == 200
    bad = vera.post("/admin/administrators/invite", {"email": "not one"})
    assert bad.status_code == 400 and "not an e-mail address" in bad.text and 'value="not one"' in bad.text


def test_an_address_nobody_has_used_can_be_withdrawn(shared: Scene) -> None:  # noqa: F811
    vera = shared.administrator("Vera Withdraws")
    page = vera.post("/admin/administrators/invite", {"email": "gone@hallwood.example"})
    link = re.search(rf"{shared.url}/sign-in/[\w-]+", page.text)
    place = page.text.index("gone@hallwood.example</strong>")
    action = re.search(r'action="(/admin/administrators/addresses/[0-9a-f]+/withdraw)"', page.text[place:])
    assert link and action and "withdrawn" in vera.post(action[1]).text
    assert requests.get(link[0], timeout=10).status_code == 401
    assert vera.post(action[1]).status_code == 409


def test_two_administrators_inviting_at_once_both_get_an_address(shared: Scene) -> None:  # noqa: F811
    browsers = [shared.administrator("Inviter A"), shared.administrator("Inviter B")]
    done = at_once(*[lambda b=b: b.post("/admin/administrators/invite").text for b in browsers])
    links = [re.search(rf"{shared.url}/sign-in/[\w-]+", text) for text in done]
    assert all(links) and links[0][0] != links[1][0]  # type: ignore[index]


def test_removing_an_administrator_ends_all_she_had_at_once(shared: Scene) -> None:  # noqa: F811
    vera, nora = shared.administrator("Vera Removes"), shared.administrator("Nora Goes", "goes@hallwood.example")
    open_to_her = address(shared, administrator_id=admin_id(shared, "Nora Goes"))
    by_her = re.search(rf"{shared.url}/sign-in/[\w-]+", nora.post("/admin/administrators/invite").text)
    path = f"/admin/administrators/{admin_id(shared, 'Nora Goes')}/remove"
    asked = vera.get(path)
    assert "What will happen" in asked.text and nora.get("/admin/keys").status_code == 200  # asking removes nobody
    assert "is removed" in vera.post(path).text
    assert nora.get("/admin/keys").status_code == 401
    assert by_her and requests.get(by_her[0], timeout=10).status_code == 401
    assert requests.get(open_to_her, timeout=10).status_code == 401
    assert vera.post(path).status_code == 404
    assert "Nora Goes" in vera.get("/admin/audit?text=removed").text  # her name stays in the log
    again = Browser(shared).sign_in(address(shared, email="goes@hallwood.example"), "Nora Again")
    assert again.get("/admin/keys").status_code == 200


def test_the_last_administrator_is_never_removed(scene: Scene) -> None:
    vera = scene.administrator("Only One")
    path = f"/admin/administrators/{admin_id(scene, 'Only One')}/remove"
    assert "This is the last administrator" in vera.get(path).text
    answer = vera.post(path)
    assert answer.status_code == 409 and "This is the last administrator" in answer.text
    assert vera.get("/admin/keys").status_code == 200


def test_of_two_administrators_who_remove_each_other_at_once_one_stays(scene: Scene) -> None:
    for round_number in range(5):
        names = [f"A{round_number}", f"B{round_number}"]
        for name in names:
            scene.administrator(name)
        with scene.tool.db.write() as session:  # whoever stayed of the round before
            session.execute(update(Administrator).where(Administrator.name.not_in(names)).values(removed_at=now()))
        one, two = (admin_id(scene, name) for name in names)

        def remove(who: str, by: str) -> None:
            administrators.remove(scene.tool, who, actor=audit.administrator(by), now=now())

        done = at_once(lambda: remove(one, two), lambda: remove(two, one))  # noqa: B023
        assert [type(each) for each in done].count(Conflict) == 1 and done.count(None) == 1, done
        with scene.tool.db.read() as session:
            assert len(list(session.scalars(select(Administrator).where(Administrator.removed_at.is_(None))))) == 1


def test_what_is_over_is_forgotten(shared: Scene) -> None:  # noqa: F811
    shared.administrator("Forgotten")
    address(shared)
    administrators.forget_expired(shared.tool, now())
    with shared.tool.db.read() as session:
        assert session.scalars(select(AdminSession)).first() and session.scalars(select(SignInAddress)).first()
    administrators.forget_expired(shared.tool, now() + timedelta(days=60))
    with shared.tool.db.read() as session:
        for table in (AdminSession, SignInAddress, BindingCode):
            assert session.scalars(select(table)).first() is None


# -- an LMS account as the way in


OUTSIDE_ROLES = [
    f"{INSTITUTION}#Administrator",
    f"{SYSTEM}#Administrator",
    f"{SYSTEM}#SysAdmin",
    f"{MEMBERSHIP}#Administrator",
]


def launch_of(room) -> str:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(LaunchRow.id).where(LaunchRow.person_id == room.person_id(room.teacher))
        return session.scalars(query.order_by(LaunchRow.created_at.desc())).first() or ""


def enter_code(visitor: Visitor, launch: str, code: str) -> requests.Response:
    """Type a code into the page of a launch, whichever page the launch has opened."""
    home = f"{visitor.scene.url}/me/{launch}/administration/"
    page = visitor.http.get(home, timeout=10)
    assert page.status_code == 200
    token = token_in(page.text) or token_in(visitor.get("").text)
    return visitor.http.post(f"{home}code", data={"csrf": token, "code": code}, timeout=10)


def bind(room, admin: Browser) -> None:  # noqa: F811
    """Bind the teacher's account, as the two pages do it."""
    code = re.search(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>", admin.post("/admin/administrators/code").text)
    assert code
    assert "The code was right." in enter_code(room.page, room.page.launch, code[1]).text
    person = room.person_id(room.teacher)
    assert "is bound" in admin.post(f"/admin/administrators/accounts/{person}/confirm").text


def way_in(visitor: Visitor, launch: str) -> requests.Response:
    home = f"{visitor.scene.url}/me/{launch}/administration/"
    page = visitor.http.get(home, timeout=10)
    return visitor.http.post(f"{home}sign-in", data={"csrf": token_in(page.text)}, timeout=10)


@pytest.fixture
def bound(room) -> Iterator[tuple]:  # noqa: F811
    admin = room.scene.administrator(f"Bound {room.course.id}")
    bind(room, admin)
    yield room, admin


@pytest.mark.parametrize("role", OUTSIDE_ROLES)
def test_D02_no_role_of_an_lms_makes_anybody_administrator(room, role: str) -> None:  # noqa: F811
    visitor = room.enter(room.teacher, auth={"claims": {"roles": [role]}})
    launch = launch_of(room)
    assert visitor.page is not None and "Administration" not in visitor.page.text
    page = visitor.get(f"/me/{launch}/administration/")
    assert "signs in no administrator" in page.text and "<form" not in page.text
    forced = visitor.http.post(
        f"{room.scene.url}/me/{launch}/administration/sign-in", data={"csrf": token_in(page.text)}, timeout=10
    )
    assert forced.status_code in (400, 403) and "/sign-in/" not in forced.text
    assert visitor.get("/admin/").status_code == 401
    with pytest.raises(Exception, match="not bound"):
        bindings.sign_in_address(room.tool, _session_of(room, launch, visitor), now())


def _session_of(room, launch: str, visitor: Visitor):  # noqa: F811
    from lti_tool.services import launches

    return launches.find_session(room.tool, launch, cookie_of(visitor, "browser"), now())


@pytest.mark.parametrize("roles", [None, [OUTSIDE_ROLES[0]], [f"{MEMBERSHIP}#Learner"], []])
def test_D02_a_bound_account_s_launch_leads_in_by_a_one_time_address_whatever_its_role(bound, roles) -> None:
    room, _ = bound  # noqa: F811
    options = {} if roles is None else {"auth": {"claims": {"roles": roles}}}
    visitor = room.enter(room.teacher, **options)
    launch = launch_of(room)
    assert visitor.page is not None and f"/me/{launch}/administration/" in visitor.page.text
    page = way_in(visitor, launch)
    link = re.search(rf'href="({room.scene.url}/sign-in/[\w-]+)" target="_blank" rel="noopener"', page.text)
    assert link
    stranger = Browser(room.scene).sign_in(link[1])  # a window of its own has none of the frame's cookies
    assert stranger.page is not None and stranger.page.status_code == 200 and "/admin/" in stranger.page.url
    assert f"Bound {room.course.id}" in stranger.get("/admin/administrators").text
    assert requests.get(link[1], timeout=10).status_code == 401


def test_a_launch_outside_any_course_leads_in_too(bound) -> None:
    room, _ = bound  # noqa: F811
    visitor = room.enter(room.teacher, auth={"drop": ["context"]})
    launch = launch_of(room)
    assert visitor.page is not None and f"/me/{launch}/administration/" in visitor.page.text
    assert "/sign-in/" in way_in(visitor, launch).text


def test_a_bound_account_is_led_to_where_the_institution_gets_its_name(bound) -> None:
    room, _ = bound  # noqa: F811
    with room.tool.db.write() as session:
        issuer = session.scalars(select(Issuer)).one()
        name, issuer.name = issuer.name, ""
    visitor = room.enter(room.teacher)
    try:
        home = visitor.get("").text
    finally:
        with room.tool.db.write() as session:
            session.scalars(select(Issuer)).one().name = name
    [way] = re.findall(r'href="([^"]+)">Open administration<', home)
    assert "Make a sign-in address" in visitor.http.get(f"{room.scene.url}{way}", timeout=10).text


def test_an_address_of_a_bound_account_lasts_five_minutes(bound) -> None:
    room, _ = bound  # noqa: F811
    link = re.search(rf"{room.scene.url}/sign-in/[\w-]+", way_in(room.page, room.page.launch).text)
    assert link and requests.get(link[0], timeout=10).status_code == 200
    with time_machine.travel(now() + timedelta(minutes=5, seconds=1), tick=True):
        assert requests.get(link[0], timeout=10).status_code == 401


def test_a_code_binds_nobody_until_the_administrator_has_seen_whose_account_it_was(room) -> None:  # noqa: F811
    admin = room.scene.administrator("Careful")
    code = re.search(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>", admin.post("/admin/administrators/code").text)
    assert code
    student = room.enter(room.students[0])
    assert "/administration/" not in student.page.text  # the word is not shown to learners
    assert "/administration/" in room.page.get("").text
    assert "The code was right." in enter_code(student, student.launch, code[1].lower().replace("-", " ")).text
    assert "signs in no administrator" in student.get(f"/me/{student.launch}/administration/").text
    assert "Is this your LMS account?" in admin.get("/admin/administrators").text
    other = room.scene.administrator("Not Asked")
    person = room.person_id(room.students[0])
    assert other.post(f"/admin/administrators/accounts/{person}/confirm").status_code == 404
    assert "Is this your LMS account?" not in other.get("/admin/administrators").text
    admin.post(f"/admin/administrators/accounts/{person}/undo")
    assert admin.post(f"/admin/administrators/accounts/{person}/confirm").status_code == 404


def test_a_code_works_once_for_ten_minutes_and_guesses_are_limited(room) -> None:  # noqa: F811
    admin = room.scene.administrator("Coder")
    text = admin.post("/admin/administrators/code").text
    code = re.search(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>", text)
    assert code
    wrong = enter_code(room.page, room.page.launch, "AAAA-AAAA")
    assert wrong.status_code == 400 and "not right, or its ten minutes are over" in wrong.text
    with time_machine.travel(now() + timedelta(minutes=10, seconds=1), tick=True):
        assert enter_code(room.page, room.page.launch, code[1]).status_code == 400
    assert enter_code(room.page, room.page.launch, code[1]).status_code == 200
    assert enter_code(room.page, room.page.launch, code[1]).status_code == 400
    assert [enter_code(room.page, room.page.launch, "BBBB").status_code for _ in range(8)].count(429) >= 1


def test_an_account_that_signs_one_administrator_in_is_not_taken_over_by_another(bound) -> None:
    room, _ = bound  # noqa: F811
    other = room.scene.administrator("Taker")
    code = re.search(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>", other.post("/admin/administrators/code").text)
    assert code and enter_code(room.page, room.page.launch, code[1]).status_code == 409
    with room.tool.db.read() as session:
        row = session.get_one(Binding, room.person_id(room.teacher))
        assert row.administrator_id == admin_id(room.scene, f"Bound {room.course.id}")


def test_undoing_a_binding_ends_the_way_in_and_what_it_opened(bound) -> None:
    room, admin = bound  # noqa: F811
    link = re.search(rf"{room.scene.url}/sign-in/[\w-]+", way_in(room.page, room.page.launch).text)
    unused = re.search(rf"{room.scene.url}/sign-in/[\w-]+", way_in(room.page, room.page.launch).text)
    assert link and unused
    inside = Browser(room.scene).sign_in(link[0])
    assert inside.get("/admin/keys").status_code == 200
    admin.post(f"/admin/administrators/accounts/{room.person_id(room.teacher)}/undo")
    assert inside.get("/admin/keys").status_code == 401
    assert requests.get(unused[0], timeout=10).status_code == 401
    assert way_in(room.page, room.page.launch).status_code in (400, 403)
    assert admin.get("/admin/keys").status_code == 200


@pytest.mark.parametrize("what", ["registration", "person"])
def test_D13_a_disabled_person_or_platform_ends_that_way_in_with_the_next_request(bound, what: str) -> None:
    room, admin = bound  # noqa: F811
    links = [re.search(rf"{room.scene.url}/sign-in/[\w-]+", way_in(room.page, room.page.launch).text) for _ in "ab"]
    assert all(links)
    inside = Browser(room.scene).sign_in(links[0][0])  # type: ignore[index]
    assert inside.get("/admin/keys").status_code == 200

    def switch(off: bool) -> None:
        with room.tool.db.write() as session:
            person = session.get_one(Person, room.person_id(room.teacher))
            if what == "person":
                person.disabled = off
            else:
                session.get_one(Registration, person.registration_id).status = "disabled" if off else "active"

    switch(True)
    try:
        assert inside.get("/admin/keys").status_code == 401
        late = Browser(room.scene).sign_in(links[1][0])  # type: ignore[index]
        assert late.page is not None and late.page.status_code == 401 and not cookie_of(late)
        assert way_in(room.page, room.page.launch).status_code == 401
        assert admin.get("/admin/keys").status_code == 200  # she came by an operator's address
    finally:
        switch(False)


def test_D06_a_test_student_is_never_bound(room) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.get_one(Person, room.person_id(room.teacher)).test_user = True
    admin = room.scene.administrator("Tester")
    code = re.search(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>", admin.post("/admin/administrators/code").text)
    assert code and enter_code(room.page, room.page.launch, code[1]).status_code == 403


def test_a_removed_administrator_s_account_leads_nowhere(bound) -> None:
    room, _ = bound  # noqa: F811
    link = re.search(rf"{room.scene.url}/sign-in/[\w-]+", way_in(room.page, room.page.launch).text)
    who = admin_id(room.scene, f"Bound {room.course.id}")
    administrators.remove(room.tool, who, actor=audit.OPERATOR, now=now())
    assert link and requests.get(link[0], timeout=10).status_code == 401
    assert "signs in no administrator" in room.page.get(f"/me/{room.page.launch}/administration/").text
    with pytest.raises(NotSignedIn):
        administrators.find_session(room.tool, "x", now())
