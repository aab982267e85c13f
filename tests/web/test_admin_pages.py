"""The administrator's pages: issuer, keys, jobs, audit log."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
import time_machine
from lxml import html
from PIL import Image
from sqlalchemy import func, select

import lti_tool
from lti_tool.errors import Conflict
from lti_tool.keyring import RETIRED_LTI_KEYS_STAY
from lti_tool.models import Administrator, AuditEvent, Issuer, Job, Person
from lti_tool.services import audit, audit_log, keys, work
from lti_tool.services.issuer import accent_on_paper, colour, contrast, ensure_issuer
from tests.classroom import at_once, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.interop.test_schemas import CREDENTIAL, PROFILE, errors
from tests.scene import Administrator as Browser
from tests.scene import Scene, now
from tests.web import test_templates as rules


@pytest.fixture(scope="module")
def vera(shared: Scene) -> Browser:  # noqa: F811
    return shared.administrator("Vera Lindqvist", "vera@hallwood.example")


@pytest.fixture
def issuer(shared: Scene) -> Any:  # noqa: F811
    """Let a test change the issuer, and put it back."""
    with shared.tool.db.read() as session:
        row = session.scalars(select(Issuer)).one()
        before = {name: getattr(row, name) for name in ISSUER}
    yield
    with shared.tool.db.write() as session:
        row = session.scalars(select(Issuer)).one()
        for name, value in before.items():
            setattr(row, name, value)
        row.logo = None


ISSUER = ("name", "url", "email", "description", "accent", "linkedin", "logo_at", "saved_at")
GOOD = {
    "name": "Hallwood University",
    "url": "https://hallwood.example",
    "email": "badges@hallwood.example",
    "description": "Teaches.",
    "linkedin": "206815",
    "accent": "#0E5468",
}


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 100), *, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "#0E5468").save(out, kind, **options)
    return out.getvalue()


def save(browser: Browser, logo: bytes | None = None, file_name: str = "logo.png", **changes: str) -> requests.Response:
    files = {"logo": (file_name, logo, "image/png")} if logo is not None else None
    return browser.post("/admin/issuer", {**GOOD, **changes}, files=files)


def profile(scene: Scene) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{scene.url}/issuers/hallwood.json", timeout=10).json()
    return answer


# -- every page


PAGES = [
    "/admin/issuer",
    "/admin/administrators",
    "/admin/keys",
    "/admin/keys/rotate/lti",
    "/admin/keys/rotate/credentials",
    "/admin/jobs",
    "/admin/mail",
    "/admin/audit",
    "/admin/audit?text=nothing+like+it",
]
RULES = [
    rules.test_a_page_has_no_inline_style_script_or_handler,
    rules.test_a_page_loads_nothing_from_elsewhere,
    rules.test_every_field_has_a_label,
    rules.test_every_button_link_and_picture_has_words,
    rules.test_a_page_has_one_main_one_title_one_first_heading_and_no_id_twice,
    rules.test_no_tabindex_changes_the_order,
]


def check(text: str) -> None:
    page = html.document_fromstring(text)
    for rule in RULES:
        rule(page)
    for form in page.xpath("//form[@method='post']"):
        assert form.xpath(".//input[@name='csrf']/@value")[0], form.get("action")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_keeps_the_pages_rules_and_marks_its_tab(vera: Browser, path: str) -> None:
    answer = vera.get(path)
    assert answer.status_code == 200
    check(answer.text)
    (current,) = html.document_fromstring(answer.text).xpath("//nav//a[@aria-current='page']/@href")
    assert path.startswith(current)


def test_pages_with_errors_and_the_pages_outside_a_session_keep_the_rules_too(shared: Scene, vera: Browser) -> None:  # noqa: F811
    check(save(vera, name="", url="x", email="x", linkedin="x", accent="x", logo=b"x").text)
    check(vera.post("/admin/administrators/invite", {"email": "x"}).text)
    check(vera.post("/admin/administrators/code").text)
    with shared.tool.db.read() as session:
        who = session.scalars(select(Administrator.id)).first()
    check(vera.get(f"/admin/administrators/{who}/remove").text)
    link = re.search(rf"{shared.url}/sign-in/[\w-]+", vera.post("/admin/administrators/invite").text)
    assert link
    check(requests.get(link[0], timeout=10).text)
    check(requests.get(f"{shared.url}/admin/keys", timeout=10).text)


# -- issuer


def test_at_first_start_the_issuer_is_asked_for_and_nothing_is_published_before(tmp_path, database_url: str) -> None:
    scene = Scene(tmp_path, database_url, LTI_TOOL_ISSUER__NAME="", LTI_TOOL_ISSUER__URL="")
    try:
        teacher = scene.launch("teacher1")
        home = teacher.get("").text
        assert "Badges cannot be published yet." in home and 'href="/admin/issuer"' in home
        teacher.post("library/empathy")
        refused = teacher.post("badges/empathy/publish")
        assert "on the Issuer page, at /admin/issuer" in refused.text
        browser = scene.administrator()
        assert browser.page is not None and browser.page.url == f"{scene.url}/admin/issuer"
        assert "Nothing can be published yet." in browser.page.text
        assert save(browser).status_code == 200
        assert browser.get("/admin/").url.startswith(f"{scene.url}/admin/platforms/")
        assert "Badges cannot be published yet." not in teacher.get("").text
        assert teacher.post("badges/empathy/publish").status_code == 200
        assert scene.lms.columns("EMP101")
    finally:
        scene.stop()


def test_the_issuer_is_saved_shown_and_in_the_audit_log(shared: Scene, vera: Browser, issuer: None) -> None:  # noqa: F811
    page = save(vera, picture(), description="Line one.\r\nLine <b>two</b>.")
    assert page.status_code == 200 and "Saved." in page.text
    told = profile(shared)
    assert told["name"] == "Hallwood University" and told["description"] == "Line one.\nLine <b>two</b>."
    assert told["image"] == {"id": f"{shared.url}/issuers/hallwood/logo.png", "type": "Image"}
    assert told["otherIdentifier"] == [
        {"type": "IdentifierEntry", "identifier": "206815", "identifierType": "ext:LinkedIn:organizationId"}
    ]
    assert errors(PROFILE, told) == []
    public = requests.get(f"{shared.url}/issuers/hallwood", headers={"Accept": "text/html"}, timeout=10).text
    assert f'src="{shared.url}/issuers/hallwood/logo.png"' in public and "<b>two" not in public
    with shared.tool.db.read() as session:
        row = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert row and row.action == "issuer.saved" and "logo" in row.detail["changed"]


def test_a_logo_is_drawn_anew_as_png_and_can_be_taken_away(shared: Scene, vera: Browser, issuer: None) -> None:  # noqa: F811
    address = f"{shared.url}/issuers/hallwood/logo.png"
    with_text = picture("JPEG", comment=b"<script>alert(1)</script>")
    assert b"<script>" in with_text and save(vera, with_text, "evil.svg").status_code == 200
    answer = requests.get(address, timeout=10)
    assert answer.headers["Content-Type"] == "image/png" and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.content.startswith(b"\x89PNG") and b"script" not in answer.content
    assert Image.open(io.BytesIO(answer.content)).size == (300, 100)
    assert save(vera, picture(size=(3000, 1000))).status_code == 200
    assert Image.open(io.BytesIO(requests.get(address, timeout=10).content)).size[0] == 800
    assert save(vera, remove_logo="on").status_code == 200
    assert requests.get(address, timeout=10).status_code == 404 and "image" not in profile(shared)
    assert requests.get(f"{shared.url}/issuers/nobody/logo.png", timeout=10).status_code == 404


BOMB = picture(size=(12_000, 12_000), mode="1")  # of two colours: in all of them it takes seconds to make
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("logo", "told"),
    [
        (SVG, "not a PNG, JPEG or WebP"),
        (b"GIF89a", "not a PNG, JPEG or WebP"),
        (b"", "not a PNG, JPEG or WebP"),
        (picture()[:200], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "damaged"),
        (picture(size=(20, 20)), "20 × 20 pixels"),
        (BOMB, "12000 × 12000 pixels"),
        (picture() + b"\0" * 2_100_000, "larger than 2 MB"),
    ],
)
def test_a_logo_that_cannot_be_used_is_told_and_nothing_is_saved(
    shared: Scene,  # noqa: F811
    vera: Browser,
    logo: bytes,
    told: str,
) -> None:
    before = profile(shared)
    answer = save(vera, logo, description="Typed for long.")
    assert answer.status_code == 400 and told in answer.text
    assert "Typed for long." in answer.text and profile(shared) == before


def test_a_file_beyond_all_measure_is_refused_before_it_is_read(vera: Browser) -> None:
    answer = save(vera, b"\x89PNG\r\n\x1a\n" + b"\0" * 5_100_000)
    assert answer.status_code == 413 and "larger than this tool takes" in answer.text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "Write the institution’s name"),
        ("name", "x" * 10_000, "10,000 characters; at most 200 fit"),
        ("name", "Hall\x01wood", "cannot be shown or signed"),
        ("url", "", "Write the institution’s web address"),
        ("url", "hallwood.example", "Write the whole web address"),
        ("url", "javascript:alert(1)", "Write the whole web address"),
        ("url", "https://a b.example", "Write the whole web address"),
        ("url", "https://user:pw@hallwood.example", "Write the whole web address"),
        ("url", "https://hallwood.example:99999999", "Write the whole web address"),
        ("url", "https://[::1", "Write the whole web address"),
        ("url", "https://h.example/" + "x" * 600, "at most 500 fit"),
        ("email", "nobody", "not an e-mail address"),
        ("description", "x" * 1001, "1,001 characters; at most 1,000 fit"),
        ("linkedin", "Hallwood", "This is not a number"),
        ("linkedin", "٣", "This is not a number"),
        ("accent", "red", "six digits"),
        ("accent", "#12345G", "six digits"),
        ("accent", "#0E5468; } body { display: none", "at most 7 fit"),
    ],
)
def test_what_cannot_be_used_is_told_beside_its_field_and_stays_typed(
    shared: Scene,  # noqa: F811
    vera: Browser,
    field: str,
    value: str,
    told: str,
) -> None:
    before = profile(shared)
    answer = save(vera, **{field: value, "description": "Kept." if field != "description" else value})
    assert answer.status_code == 400 and profile(shared) == before
    page = html.document_fromstring(answer.text)
    assert told in page.get_element_by_id(f"{field}-problem").text_content()
    control = page.get_element_by_id(field)
    assert control.get("aria-invalid") == "true"
    kept = control.value if field != "description" else control.text
    assert kept.strip() == value.replace("\x01", "").strip() or "\x01" in value
    assert "Kept." in answer.text or field == "description"


def test_a_pasted_linkedin_address_gives_its_number(shared: Scene, vera: Browser, issuer: None) -> None:  # noqa: F811
    save(vera, linkedin="https://www.linkedin.com/company/206815/admin/dashboard/")
    assert profile(shared)["otherIdentifier"][0]["identifier"] == "206815"
    save(vera, linkedin="")
    assert "otherIdentifier" not in profile(shared)


def test_a_colour_too_light_to_be_read_is_mixed_until_it_can_be(shared: Scene, vera: Browser, issuer: None) -> None:  # noqa: F811
    page = save(vera, accent="#ffdd00")
    assert page.status_code == 200 and "#FFDD00" in page.text
    css = requests.get(f"{shared.url}/theme.css", timeout=10).text
    shown = re.search(r"--accent: (#[0-9A-F]{6})", css)
    assert shown and shown[1] != "#FFDD00" and shown[1] in page.text


@pytest.mark.parametrize("accent", ["#FFDD00", "#0E5468", "#777777", "#000000", "#FF0000", "#3366FF"])
def test_any_colour_reads_on_the_page_and_on_its_wells_in_both_themes(accent: str) -> None:
    css = Path(lti_tool.__file__).with_name("static").joinpath("app.css").read_text()
    grounds = re.findall(r"--paper: (#\w{6});\s+--paper-2: (#\w{6});", css)
    shades = accent_on_paper(accent)
    assert len(grounds) == 2
    for ground, shade in zip(grounds, (shades["light"], shades["dark"]), strict=True):
        assert min(contrast(colour(shade), colour(each)) for each in ground) >= 4.5


def test_what_an_administrator_has_saved_is_not_filled_from_the_settings_again(
    shared: Scene,  # noqa: F811
    vera: Browser,
    issuer: None,
) -> None:
    settings = shared.tool.settings
    told = settings.model_copy(update={"issuer": settings.issuer.model_copy(update={"email": "old@hallwood.example"})})
    shared.tool.settings = told
    try:
        ensure_issuer(shared.tool)
        assert profile(shared)["email"] == "old@hallwood.example"  # nobody has saved the page yet: the settings fill it
        save(vera, email="")
        ensure_issuer(shared.tool)
        assert "email" not in profile(shared)
    finally:
        shared.tool.settings = settings


def test_a_new_issuer_changes_no_byte_of_what_is_signed_and_stands_in_what_is_signed_next(
    shared: Scene,  # noqa: F811
    vera: Browser,
    issuer: None,
    make_room,  # noqa: F811
) -> None:
    room = make_room(students=2)  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    first = room.award(room.students[0])["credential_url"]
    room.enter(room.students[0]).post(f"badges/{room.badge.slug}/claim", {"public": "on"})
    before = {form: requests.get(f"{first}.{form}", timeout=10).content for form in ("json", "jwt", "png")}
    assert save(vera, picture(), name="Hallwood Institute", linkedin="99").status_code == 200
    assert {form: requests.get(f"{first}.{form}", timeout=10).content for form in before} == before
    room.grade(room.students[1], 3, 3)
    room.sync()
    room.enter(room.students[1]).post(f"badges/{room.badge.slug}/claim", {"public": "on"})
    second = room.award(room.students[1])["credential_url"]
    signed = requests.get(f"{second}.json", timeout=10).json()
    assert signed["issuer"]["name"] == "Hallwood Institute"
    assert signed["issuer"]["image"]["id"] == f"{shared.url}/issuers/hallwood/logo.png"
    assert signed["issuer"]["otherIdentifier"][0]["identifier"] == "99"
    assert errors(CREDENTIAL, signed) == []
    for url in (first, second):
        report = requests.post(f"{shared.url}/verify", data={"text": f"{url}.json"}, timeout=20).text
        assert "Every check passed" in report or "verdictline" in report
        assert "failed" not in re.sub(r"<[^>]+>", " ", report).lower()


# -- keys


def kids(scene: Scene) -> list[str]:
    return [key["kid"] for key in requests.get(f"{scene.url}/.well-known/jwks.json", timeout=10).json()["keys"]]


def rotate(browser: Browser, name: str) -> requests.Response:
    page = browser.get(f"/admin/keys/rotate/{name}")
    told = re.search(r'name="instead_of" value="([^"]+)"', page.text)
    assert told
    return browser.post(f"/admin/keys/rotate/{name}", {"instead_of": told[1]})


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_L04_a_rotated_lti_key_stays_published_for_seven_days_and_the_new_one_signs_at_once(
    shared: Scene,  # noqa: F811
    vera: Browser,
    make_room,  # noqa: F811
    mood: str,
) -> None:
    room = make_room(mood=mood)  # noqa: F811
    room.publish(badge())
    (old, *_) = kids(shared)
    done = rotate(vera, "lti")
    assert done.status_code == 200 and "A new key signs for the LMSs from now on." in done.text
    new, *rest = kids(shared)
    assert new != old and old in rest
    assert shared.tool.tokens._signing_key().kid == new
    shared.tool.tokens._tokens.clear()  # so that the next call asks for a token, with the new key
    room.grade(room.students[0], 3, 3)
    assert room.sync().state == "done" and room.award(room.students[0])  # the LMS takes the new key's token
    with time_machine.travel(now() + RETIRED_LTI_KEYS_STAY + timedelta(minutes=1), tick=True):
        assert old not in kids(shared) and new in kids(shared)
        rows = keys.listing(shared.tool.keyring, now())["lti"]
        assert {row.kid: row.state for row in rows}[old] == "hidden"


def test_L05_a_rotated_credential_key_is_served_for_ever_and_what_it_signed_verifies(
    shared: Scene,  # noqa: F811
    vera: Browser,
    room,  # noqa: F811
) -> None:
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    room.enter(room.students[0]).post(f"badges/{room.badge.slug}/claim", {"public": "on"})
    url = room.award(room.students[0])["credential_url"]
    token = requests.get(f"{url}.jwt", timeout=10).text
    kid = jwt.get_unverified_header(token)["kid"]
    before = requests.get(f"{shared.url}/.well-known/did.json", timeout=10).json()["verificationMethod"]
    for _ in range(2):
        assert "New keys sign credentials from now on" in rotate(vera, "credentials").text
    with time_machine.travel(now() + timedelta(days=3650), tick=True):
        after = requests.get(f"{shared.url}/.well-known/did.json", timeout=10).json()["verificationMethod"]
        assert len(after) == len(before) + 4 and all(each in after for each in before)
        served = requests.get(kid, timeout=10).json()
    jwt.decode(token, jwt.PyJWK(served).key, algorithms=["RS256"], options={"verify_aud": False, "verify_exp": False})
    assert served["kid"] not in (shared.tool.keyring.rsa.kid, shared.tool.keyring.lti.kid)
    page = vera.get("/admin/keys").text
    assert served["kid"] in page and "Published" in page


def test_asking_rotates_nothing_and_a_second_click_neither(shared: Scene, vera: Browser) -> None:  # noqa: F811
    before = [key.kid for key in shared.tool.keyring.keys]
    page = vera.get("/admin/keys/rotate/credentials")
    assert "What will happen" in page.text and [key.kid for key in shared.tool.keyring.keys] == before
    told = re.search(r'name="instead_of" value="([^"]+)"', page.text)
    assert told and vera.post("/admin/keys/rotate/credentials", {"instead_of": told[1]}).status_code == 200
    again = vera.post("/admin/keys/rotate/credentials", {"instead_of": told[1]})
    assert again.status_code == 409 and "rotated in the meantime" in again.text
    assert vera.post("/admin/keys/rotate/credentials").status_code == 409
    assert len(shared.tool.keyring.keys) == len(before) + 2
    assert vera.get("/admin/keys/rotate/everything").status_code == 404
    with shared.tool.db.read() as session:
        found = select(AuditEvent).where(AuditEvent.action == "key.rotated").order_by(AuditEvent.id.desc()).limit(2)
        rows = list(session.scalars(found))
    assert {row.detail["kind"] for row in rows} == {"ed25519", "rsa"}
    assert {row.actor.partition(":")[0] for row in rows} == {"administrator"}


def test_of_two_rotations_at_once_of_the_same_keys_one_is_done(shared: Scene) -> None:  # noqa: F811
    seen, before = keys.signing(shared.tool.keyring, "lti"), len(shared.tool.keyring.of("lti"))
    turn = {"actor": audit.OPERATOR, "instead_of": seen}
    done = at_once(*[lambda: keys.rotate(shared.tool, "lti", now=now(), **turn) for _ in range(2)])
    assert [type(each) for each in done].count(Conflict) == 1, done
    assert len(shared.tool.keyring.of("lti")) == before + 1


def test_a_rotation_for_keys_that_are_gone_is_a_conflict(shared: Scene) -> None:  # noqa: F811
    with pytest.raises(Conflict):
        keys.rotate(shared.tool, "lti", actor=audit.OPERATOR, now=now(), instead_of="other")


# -- jobs


def test_J05_a_failed_job_is_shown_with_its_reason_and_tried_again_by_a_button(
    shared: Scene,  # noqa: F811
    vera: Browser,
    make_room,  # noqa: F811
) -> None:
    room = make_room(students=1)  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    with shared.tool.db.write() as session:
        job = Job(
            kind="sync",
            subject=str(room.id),
            state="failed",
            attempts=5,
            not_before=now(),
            created_at=now(),
            finished_at=now(),
            problem="Your LMS <b>could not</b> be reached.",
            outcome={"what_to_do": "Try again later.", "error_id": "AB12CD34", "reason": "service_unreachable"},
        )
        session.add(job)
    page = vera.get("/admin/jobs").text
    check(page)
    assert "Your LMS &lt;b&gt;could not&lt;/b&gt; be reached. Try again later." in page
    assert room.course.label in page and "Tried 5 times" in page and "AB12CD34" in page
    answer = vera.post(f"/admin/jobs/{job.id}/retry")
    assert answer.status_code == 200 and "It is tried again now." in answer.text
    with shared.tool.db.read() as session:
        assert session.get_one(Job, job.id).state == "done"
        row = session.scalars(select(AuditEvent).where(AuditEvent.action == "job.retried")).first()
    assert row and row.subject == f"job:{job.id}" and row.actor.startswith("administrator:")
    assert room.award(room.students[0])["status"] == "issued"
    assert vera.post("/admin/jobs/999999999/retry").status_code == 404


def test_what_waits_for_another_try_and_what_is_due_is_listed(shared: Scene, vera: Browser) -> None:  # noqa: F811
    with shared.tool.db.write() as session:
        waiting = Job(
            kind="publish", subject="gone", attempts=2, not_before=now() + timedelta(minutes=3), created_at=now()
        )
        waiting.problem = "Your LMS asks for a pause before it answers again."
        late = Job(kind="sync", subject="77", not_before=now() - timedelta(minutes=3), created_at=now())
        session.add_all([waiting, late])
    try:
        page = vera.get("/admin/jobs").text
        check(page)
        assert "Tried 2 of 5 times; next try" in page and "Publishing a badge: gone" in page
        assert "Reading grades" in page and "No worker seems to be running." in page
    finally:
        with shared.tool.db.write() as session:
            for job in (waiting, late):
                session.delete(session.get_one(Job, job.id))
    assert "No worker seems to be running." not in vera.get("/admin/jobs").text


def test_retrying_from_two_windows_at_once_makes_one_job_due(shared: Scene) -> None:  # noqa: F811
    with shared.tool.db.write() as session:
        rows = [
            Job(kind="sync", subject="78", state="failed", not_before=now(), created_at=now(), finished_at=now())
            for _ in range(2)
        ]
        session.add_all(rows)
    done = at_once(*[lambda i=row.id: work.retry(shared.tool, i, now()) for row in rows])
    assert not [each for each in done if isinstance(each, Exception)], done
    with shared.tool.db.write() as session:
        due = list(session.scalars(select(Job).where(Job.subject == "78", Job.state == "due")))
        assert len(due) == 1
        for row in rows:
            session.delete(session.get_one(Job, row.id))


# -- audit log


EVIL = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "<img src=x onerror=alert(1)>", "{{7*7}}", "Zoë, „Ω“"]


def add(scene: Scene, *, actor: str = "operator", action: str = "test.happened", at=None, **detail: Any) -> None:
    with scene.tool.db.write() as session:
        audit.record(session, at or now(), actor, action, "thing:1", **detail)


def entries(browser: Browser, query: str = "") -> list[str]:
    page = html.document_fromstring(browser.get(f"/admin/audit?{query}").text)
    return [" ".join(line.text_content().split()) for line in page.xpath("//tbody/tr")]


def test_the_log_says_who_in_words_newest_first(shared: Scene, vera: Browser, room) -> None:  # noqa: F811
    room.publish(badge())
    room.page.post("library/resilience")
    add(shared, actor="tool")
    first, second, *rest = entries(vera)
    assert "The tool" in first and "test.happened" in first
    assert "Tess Teacher" in second and "A badge was put into a course" in second and "resilience in" in second
    assert any("The operator" in line for line in rest)


def test_the_log_says_values_in_words(shared: Scene, vera: Browser, room) -> None:  # noqa: F811
    with shared.tool.db.read() as session:
        learner = session.scalars(select(Person).where(Person.name != "")).first()
    add(shared, action="mark.made", learner=learner.id, made=True, before=None, levels={"SC-1": "Proficient"})
    add(shared, action="award.confirmed", before="review", after="issued")
    add(shared, action="badge.release_set", after="2027-01-31T12:00:00+00:00", counts_for="new")
    newest, award, mark, *_ = entries(vera)
    assert "31 Jan 2027, 12:00" in newest and "new learners only" in newest
    assert "before: Waits for you · after: Issued" in award
    assert learner.name in mark and "made: yes · before: –" in mark and "SC-1: Proficient" in mark


@pytest.mark.parametrize("evil", EVIL)
def test_I19_a_hostile_name_is_text_in_the_log_and_no_formula_in_its_csv(
    shared: Scene,  # noqa: F811
    vera: Browser,
    evil: str,
) -> None:
    with shared.tool.db.write() as session:
        who = Administrator(name=evil, email="", created_at=now(), removed_at=now())
        session.add(who)
        session.flush()
        audit.record(session, now(), audit.administrator(who.id), evil, evil, reason=evil)
    page = vera.get("/admin/audit").text
    assert "<img src=x" not in page and (">49<" not in page)
    text = vera.get("/admin/audit/log.csv").content.decode()
    (_, newest, *_) = csv.reader(io.StringIO(text))
    assert not [cell for cell in newest if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    shown = f"'{evil}" if evil[0] in "=+-@\t" else evil
    assert newest[1] == newest[2] == shown and json.loads(newest[7]) == {"reason": evil}


def test_the_log_is_searched_by_text_kind_and_days(shared: Scene, vera: Browser) -> None:  # noqa: F811
    long_ago = now() - timedelta(days=400)
    add(shared, action="platform.added", at=long_ago, name="Zanzibar 100%_")
    day = long_ago.date()
    assert len(entries(vera, f"since={day}&until={day}")) == 1
    assert len(entries(vera, f"until={day - timedelta(days=1)}")) == 0
    assert len(entries(vera, "text=zanzibar")) == 1
    assert len(entries(vera, "text=100%25_")) == 1 and len(entries(vera, "text=1__%25_")) == 0  # no wildcards
    assert len(entries(vera, "text=zanzibar&kind=key")) == 0
    assert all("platform" in line or "Platform" in line for line in entries(vera, "kind=platform"))
    assert any("Vera Lindqvist" in line for line in entries(vera, "text=lindqvist"))
    assert any("Signed in" in line for line in entries(vera, "text=signed+in"))
    text = vera.get("/admin/audit/log.csv?text=zanzibar").text
    assert len(text.strip().splitlines()) == 2


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "until=2026-13-01", "kind=nothing", "before=x", "before=" + "9" * 40, "since=0001-01-01x"],
)
def test_a_search_that_cannot_be_understood_is_told_and_keeps_what_was_typed(vera: Browser, query: str) -> None:
    answer = vera.get(f"/admin/audit?{query}&text=kept")
    assert answer.status_code == 400 and 'value="kept"' in answer.text and 'role="alert"' in answer.text
    check(answer.text)


@pytest.mark.parametrize(
    "query", ["text=%00", "text=%27%3B--", "text=" + "x" * 5000, "until=9999-12-31", "since=0001-01-01"]
)
def test_an_odd_search_finds_nothing_or_something_and_harms_nothing(vera: Browser, query: str) -> None:
    assert vera.get(f"/admin/audit?{query}").status_code == 200
    assert vera.get(f"/admin/audit/log.csv?{query}").status_code == 200


def test_the_log_has_pages_and_its_csv_has_them_all(shared: Scene, vera: Browser) -> None:  # noqa: F811
    with shared.tool.db.write() as session:
        for n in range(audit_log.A_CHUNK + 20):
            audit.record(session, now(), "tool", "test.many", f"many:{n}")
    seen: list[str] = []
    address = "/admin/audit?text=test.many"
    while address:
        page = html.document_fromstring(vera.get(address).text)
        seen += [re.search(r"many:(\d+)", line.text_content())[1] for line in page.xpath("//tbody/tr")]  # type: ignore[index]
        older = page.xpath("//a[starts-with(normalize-space(.), 'Older')]/@href")
        address = older[0] if older else ""
    assert seen == [str(n) for n in reversed(range(audit_log.A_CHUNK + 20))]
    lines = list(csv.reader(io.StringIO(vera.get("/admin/audit/log.csv?text=test.many").text)))
    assert [line[6] for line in lines[1:]] == [f"many:{n}" for n in seen]
    answer = vera.get("/admin/audit/log.csv?text=test.many")
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Cache-Control"] == "no-store"
    with shared.tool.db.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) >= audit_log.A_CHUNK
