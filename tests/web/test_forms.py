"""Every form of a credential over HTTP: which one a client gets, the same bytes, and what each is worth."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from typing import Any

import pytest
import requests
from PIL import Image
from sqlalchemy import select, update

from lti_tool.credentials import contexts
from lti_tool.credentials.baking import unbake_pdf, unbake_png, unbake_svg
from lti_tool.credentials.checking.report import Report
from lti_tool.credentials.signing import verify_proof
from lti_tool.credentials.untrusted import base64url_bytes
from lti_tool.domain.badge import Picture
from lti_tool.models import AchievementVersion, Edition, Issuer
from lti_tool.services import award_acts, certificates, checking, choices, keys, records, typeset
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.interop import outside
from tests.scene import now

Json = dict[str, Any]
FORMS = ("json", "jwt", "eddsa.jwt", "png", "svg", "pdf")


def pixels(colour: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 300), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def earned(room):  # noqa: F811
    """A course with a badge that its first student has earned and not claimed; its address at `url`."""
    give(room, badge())
    return room


def give(room, definition, picture_png: bytes | None = None) -> None:  # noqa: F811
    room.publish(definition, picture_png)
    room.grade(room.students[0], 3, 3)
    room.sync()
    name(room)


def name(room) -> None:  # noqa: F811
    """Keep the addresses of the edition in force."""
    room.url = room.award()["credential_url"]
    room.ob2 = room.url.replace("/credentials/", "/ob2/assertions/")


@pytest.fixture
def claimed(earned):
    """The same, claimed and public."""
    claim(earned)
    return earned


def claim(room, **told: Any) -> None:  # noqa: F811
    told_all = choices.Choices(public=True, **told)
    choices.choose(room.tool, room.award()["id"], told_all, actor="operator", now=now())
    name(room)


def get(url: str, accept: str | None = None, **headers: str) -> requests.Response:
    if accept is not None:
        headers["Accept"] = accept
    return requests.get(url, headers=headers, timeout=20)


def said_of(report: Report, name: str) -> tuple[str, str]:
    return next((check.outcome, check.sentence) for check in report.checks if check.name == name)


def revoke(room, reason: str = "Given by mistake.") -> None:  # noqa: F811
    award_acts.revoke(room.tool, room.award()["id"], reason, actor="operator", now=now())


# -- which form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html"),
        ("", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("*/*", "text/html"),
        ("application/json", "application/vc+ld+json"),
        ("application/vc", "application/vc+ld+json"),
        ('application/ld+json;profile="http://www.w3.org/ns/json-ld#expanded"', "application/vc+ld+json"),
        ("text/html;q=0, */*", "application/vc+ld+json"),
        ("text/html;q=0.4, application/pdf;q=0.5", "application/pdf"),
        ("application/jwt", "text/plain"),
        ("application/vc+jwt, application/json;q=0.9", "text/plain"),
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("image/svg+xml, image/png;q=0.9", "image/svg+xml"),
        ("image/*, image/png;q=0", "image/svg+xml"),
        ("application/pdf", "application/pdf"),
    ],
)
def test_a_client_gets_the_form_it_likes_best(claimed, accept, kind):
    answer = get(claimed.url, accept)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, kind)
    assert answer.headers["Vary"] == "Accept"


def test_406_only_where_nothing_fits_and_404_before_that(claimed):
    assert get(claimed.url, "audio/ogg").status_code == 406
    assert get(claimed.url, "audio/ogg, image/*;q=0.1").status_code == 200
    assert get(f"{claimed.scene.url}/credentials/nothing", "audio/ogg").status_code == 404
    assert get(f"{claimed.url}.pdf", "audio/ogg").status_code == 200  # its name was asked for


@pytest.mark.parametrize("form", ["gif", "json.json", "JSON", "", "eddsa", "png.jwt"])
def test_a_form_that_there_is_not_is_not_found(claimed, form):
    assert get(f"{claimed.url}.{form}").status_code == 404
    assert get(f"{claimed.ob2}.{form}").status_code == 404


def test_an_achievement_and_an_issuer_are_chosen_by_what_is_asked_for_too(claimed):
    achievement = claimed.award()["achievement"]
    for accept, kind in (
        ("application/json", "application/ld+json"),
        ("image/png", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
        ("*/*", "text/html"),
    ):
        assert get(achievement, accept).headers["Content-Type"].split(";")[0] == kind
    assert get(achievement, "audio/ogg").status_code == 406
    issuer = f"{claimed.scene.url}/issuers/hallwood"
    assert get(issuer, "application/json").json()["name"] == "Hallwood University"
    assert get(issuer, "audio/ogg").status_code == 406


def test_no_cache_gives_a_client_another_one_s_form_of_an_address(claimed):
    for address in (claimed.url, claimed.award()["achievement"], f"{claimed.scene.url}/issuers/hallwood"):
        for accept in ("text/html", "application/json"):
            assert get(address, accept).headers["Vary"] == "Accept", (address, accept)
        assert get(address, "text/html").headers["Cache-Control"] == "private, max-age=0, must-revalidate", address


def test_the_list_of_keys_is_asked_for_anew_each_time_and_sent_again_only_after_a_rotation(claimed):
    address = f"{claimed.scene.url}/.well-known/did.json"
    first = get(address)
    assert first.headers["Cache-Control"] == "no-cache"
    again = get(address, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    keys.rotate(claimed.tool, "credentials", actor="operator", now=now())
    later = get(address, **{"If-None-Match": first.headers["ETag"]})
    assert later.status_code == 200 and later.json()["assertionMethod"] != first.json()["assertionMethod"]


def test_what_a_client_has_already_is_not_sent_again(claimed):
    for form in FORMS:
        first = get(f"{claimed.url}.{form}")
        tag = first.headers["ETag"]
        again = get(f"{claimed.url}.{form}", **{"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag), form
        assert get(f"{claimed.url}.{form}", **{"If-None-Match": '"other"'}).content == first.content
    tags = {get(f"{claimed.url}.{form}").headers["ETag"] for form in FORMS}
    assert len(tags) == len(FORMS)


# -- who gets it, and how ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_I24_a_private_credential_is_in_no_form_there_for_others(earned, form):
    assert get(f"{earned.url}.{form}").status_code == 404
    learner = earned.enter(earned.students[0])
    mine = learner.get(f"{earned.url}.{form}".removeprefix(earned.scene.url))
    assert mine.status_code == 200
    assert mine.headers["Cache-Control"] == "private, no-store"


def test_I24_neither_is_its_open_badges_2_0_view(earned):
    learner = earned.enter(earned.students[0])
    for address in (earned.ob2, f"{earned.ob2}.png", f"{earned.ob2}.json"):
        assert get(address).status_code == 404
        assert learner.get(address.removeprefix(earned.scene.url)).status_code == 200
    revoke(earned)
    assert get(earned.ob2).status_code == 404  # not 410: that would tell that there was one


def test_I18_every_file_has_its_type_may_do_nothing_and_is_sniffed_by_nobody(claimed):
    kinds = {
        "json": "application/vc+ld+json",
        "jwt": "text/plain; charset=utf-8",
        "eddsa.jwt": "text/plain; charset=utf-8",
        "png": "image/png",
        "svg": "image/svg+xml",
        "pdf": "application/pdf",
    }
    achievement = claimed.award()["achievement"]
    answers = [(get(f"{claimed.url}.{form}"), kind, form) for form, kind in kinds.items()]
    answers += [(get(f"{achievement}.png"), "image/png", "png"), (get(f"{achievement}.svg"), "image/svg+xml", "svg")]
    answers.append((get(f"{claimed.ob2}.png"), "image/png", "ob2.png"))
    for answer, kind, form in answers:
        assert answer.headers["Content-Type"].split(";")[0] == kind.split(";")[0]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "script-src" not in policy
        assert ("sandbox" in policy) == (form == "svg")
        assert re.fullmatch(rf'inline; filename="[a-z0-9-]+\.{form}"', answer.headers["Content-Disposition"])


def test_the_pages_name_every_form(claimed):
    page = get(claimed.url, "text/html").text
    for form in FORMS:
        assert f'href="{claimed.url}.{form}"' in page
    assert f'href="{claimed.ob2}"' in page
    learner = claimed.enter(claimed.students[0])
    assert f"{claimed.url}.pdf" in learner.get(f"badges/{claimed.badge.slug}/show").text


def test_a_file_is_to_be_saved_where_its_address_says_so(claimed):
    for form in FORMS:
        shown, saved = (get(f"{claimed.url}.{form}{asked}") for asked in ("", "?save=1"))
        assert shown.headers["Content-Disposition"].startswith("inline; ")
        assert saved.headers["Content-Disposition"].startswith("attachment; ")
        assert saved.content == shown.content


# -- the same bytes, and good ones ------------------------------------------------------------------------------


def test_I04_every_form_is_the_same_bytes_again_also_after_the_keys_were_rotated(claimed):
    before = {form: get(f"{claimed.url}.{form}").content for form in FORMS}
    keys.rotate(claimed.tool, "credentials", actor="operator", now=now())
    certificates.kept.forget()
    for form in FORMS:
        assert get(f"{claimed.url}.{form}").content == before[form], form
    token = before["eddsa.jwt"].decode()
    kid = checking_header(token)["kid"]
    assert kid.rpartition("/")[2] not in {key.kid for key in (claimed.tool.keyring.ed25519, claimed.tool.keyring.rsa)}
    assert get(kid).json()["crv"] == "Ed25519"


def checking_header(token: str) -> Json:
    return json.loads(base64url_bytes(token.split(".")[0]))


def test_an_eddsa_token_whose_key_was_taken_away_is_not_there_rather_than_another(claimed):
    with claimed.tool.db.write() as session:
        edition = session.get_one(Edition, claimed.url.rpartition("/")[2])
        edition.document = edition.document.replace(claimed.tool.keyring.ed25519.kid.encode(), b"gone")
    assert get(f"{claimed.url}.eddsa.jwt").status_code == 404


@pytest.mark.parametrize("form", FORMS)
def test_each_form_given_to_verify_is_genuine_and_once_taken_back_is_not(claimed, form):
    content = get(f"{claimed.url}.{form}").content
    report = checking.check(claimed.tool, content, now())
    assert report.ok, [(check.name, check.sentence) for check in report.checks if check.outcome != "passed"]
    revoke(claimed)
    assert checking.check(claimed.tool, content, now()).outcome("withdrawn") == "failed"


def test_the_same_credential_is_in_every_picture(claimed):
    document = get(f"{claimed.url}.json").text
    assert unbake_png(get(f"{claimed.url}.png").content) == document
    assert unbake_svg(get(f"{claimed.url}.svg").content) == document
    assert unbake_pdf(get(f"{claimed.url}.pdf").content) == document


def test_I02_a_token_s_key_is_at_the_address_that_it_names(claimed):
    for form, kind in (("jwt", "RSA"), ("eddsa.jwt", "OKP")):
        header = checking_header(get(f"{claimed.url}.{form}").text)
        assert header.keys() == {"alg", "kid", "typ"} and header["typ"] == "JWT"
        jwk = get(header["kid"]).json()
        assert (jwk["kty"], "d" in jwk) == (kind, False)
        listed = get(f"{claimed.scene.url}/.well-known/did.json").json()["assertionMethod"]
        assert any(each.endswith(f"#{jwk['kid']}") for each in listed)


# -- a picture that is pixels -----------------------------------------------------------------------------------


def test_a_badge_whose_picture_is_pixels_has_an_svg_with_them(room):  # noqa: F811
    give(room, badge(picture=Picture(alt="A square", file="square.png")), pixels())
    claim(room)
    pictures = select(AchievementVersion.picture_svg, AchievementVersion.picture_png)
    with room.tool.db.read() as session:
        svg, png = session.execute(pictures.order_by(AchievementVersion.id.desc())).first()
    assert svg is None
    for address in (f"{room.award()['achievement']}.svg", f"{room.url}.svg"):
        drawing = get(address)
        assert (drawing.status_code, drawing.headers["Content-Type"]) == (200, "image/svg+xml")
        (data,) = re.findall(r'href="data:image/png;base64,([^"]+)"', drawing.text)
        assert base64.b64decode(data) == png
    assert unbake_svg(get(f"{room.url}.svg").content) == get(f"{room.url}.json").text
    assert unbake_pdf(get(f"{room.url}.pdf").content) == get(f"{room.url}.json").text


def test_the_certificate_shows_the_issuer_s_logo_and_another_logo_is_another_certificate(claimed):
    plain = get(f"{claimed.url}.pdf").content
    seen = [plain]
    for colour in ("teal", "maroon"):
        with claimed.tool.db.write() as session:
            session.execute(update(Issuer).values(logo=pixels(colour), logo_at=now()))
        seen.append(get(f"{claimed.url}.pdf").content)
    with claimed.tool.db.write() as session:
        session.execute(update(Issuer).values(logo=None, logo_at=None))
    assert len(set(seen)) == 3
    assert get(f"{claimed.url}.pdf").content == plain


def test_a_certificate_speaks_the_badge_s_language_whoever_asks(make_room):  # noqa: F811
    for language, words in (("es-MX", "Certificado"), ("de", "Certificate"), ("en", "Certificate")):
        room = make_room()  # noqa: F811
        give(room, badge(language=language))
        claim(room)
        made = get(f"{room.url}.pdf", **{"Accept-Language": "fr"}).content
        assert f">{words}: Careful Work<".encode() in made
        assert get(f"{room.url}.pdf", **{"Accept-Language": "es"}).content == made


def test_certificates_are_made_a_few_at_a_time_and_kept(claimed, monkeypatch):
    monkeypatch.setattr(typeset, "PATIENCE", 0.01)
    certificates.kept.forget()
    for _ in range(typeset.AT_A_TIME):
        certificates.kept.turns.acquire()
    try:
        busy = get(f"{claimed.url}.pdf")
        assert (busy.status_code, busy.json()["reason"]) == (503, "certificates_busy")
    finally:
        for _ in range(typeset.AT_A_TIME):
            certificates.kept.turns.release()
    made = get(f"{claimed.url}.pdf").content
    monkeypatch.setattr(certificates, "certificate", lambda _: pytest.fail("it was made already"))
    assert get(f"{claimed.url}.pdf").content == made


def test_only_so_many_bytes_of_certificates_are_kept():
    kept = typeset.Typeset(10)
    for name in ("a", "b"):
        kept.put((name,), b"12345")
    assert kept.get(("a",)) == b"12345"
    kept.put(("c",), b"12345")
    assert [kept.get((name,)) is None for name in ("a", "b", "c")] == [False, True, False]
    kept.put(("c",), b"1")
    kept.put(("d",), b"1234")
    assert kept.get(("a",)) is not None


# -- Open Badges 2.0 --------------------------------------------------------------------------------------------


def test_an_assertion_leads_to_its_badge_and_its_issuer(claimed):
    assertion = get(claimed.ob2).json()
    assert (assertion["id"], assertion["type"]) == (claimed.ob2, "Assertion")
    badge_class = get(assertion["badge"]).json()
    assert (badge_class["id"], badge_class["type"], badge_class["name"]) == (
        assertion["badge"],
        "BadgeClass",
        "Careful Work",
    )
    issuer = get(badge_class["issuer"]).json()
    assert (issuer["id"], issuer["type"], issuer["name"]) == (badge_class["issuer"], "Issuer", "Hallwood University")
    assert get(badge_class["criteria"]["id"]).status_code == 200
    image = badge_class["image"]
    assert get(image["id"] if isinstance(image, dict) else image).headers["Content-Type"] == "image/png"
    for answer in (get(claimed.ob2), get(assertion["badge"]), get(badge_class["issuer"])):
        assert answer.headers["Content-Type"].startswith("application/ld+json")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_I14_the_picture_of_an_assertion_holds_it_under_the_older_keyword(claimed):
    baked = get(get(claimed.ob2).json()["image"]).content
    assert json.loads(unbake_png(baked, "openbadges")) == get(claimed.ob2).json()
    assert unbake_png(baked) is None


def test_an_assertion_given_to_verify_is_asked_for_here_and_good_until_it_is_taken_back(claimed):
    for given in (claimed.ob2, f"{claimed.ob2}.png", get(f"{claimed.ob2}.png").content, get(claimed.ob2).content):
        report = checking.check(claimed.tool, given, now())
        assert report.outcome("hosted") == "passed", [(each.name, each.sentence) for each in report.checks]
        assert report.ok, [(each.name, each.sentence) for each in report.checks if each.outcome != "passed"]
    kept = get(claimed.ob2).content
    revoke(claimed)
    assert checking.check(claimed.tool, kept, now()).outcome("withdrawn") == "failed"
    forged = json.loads(kept) | {"issuedOn": "2020-01-01T00:00:00Z"}
    assert checking.check(claimed.tool, json.dumps(forged), now()).outcome("hosted") != "unknown"


def test_I24_a_private_assertion_given_to_verify_is_as_one_that_is_not_there(earned):
    kept = earned.enter(earned.students[0]).get(earned.ob2.removeprefix(earned.scene.url)).content
    made_up = json.loads(kept) | {"id": f"{earned.scene.url}/ob2/assertions/{'0' * 32}"}
    for given in (kept, json.dumps(made_up)):
        report = checking.check(earned.tool, given, now())
        assert (report.ok, report.verdict) == (False, "Not everything could be checked")
        assert said_of(report, "hosted") == ("could not check", "Its page is not public now. Ask its holder.")
    assert checking.check(earned.tool, earned.ob2, now()).summary is None


@pytest.mark.parametrize("address", ["https://evil.example/ob2/assertions/1", "{url}/evidence/1", "{url}/x"])
def test_an_assertion_of_our_badge_whose_address_is_none_of_an_assertion_of_ours_is_not_ours(claimed, address):
    forged = json.loads(get(claimed.ob2).content) | {"id": address.format(url=claimed.scene.url)}
    assert checking.check(claimed.tool, json.dumps(forged), now()).verdict == "Not issued by us"


def test_I12_an_assertion_that_was_taken_back_is_gone_and_says_why(claimed):
    revoke(claimed)
    for address in (claimed.ob2, f"{claimed.ob2}.json", f"{claimed.ob2}.png"):
        answer = get(address)
        assert answer.status_code == 410
        assert answer.json() == {
            "@context": "https://w3id.org/openbadges/v2",
            "type": "Assertion",
            "id": claimed.ob2,
            "revoked": True,
            "revocationReason": "Given by mistake.",
        }


def test_I12_one_that_was_replaced_is_gone_too(claimed):
    with claimed.tool.db.write() as session:
        session.execute(update(Edition).where(Edition.id == claimed.url.rpartition("/")[2]).values(withdrawn_at=now()))
    answer = get(claimed.ob2)
    assert (answer.status_code, answer.json()["revoked"]) == (410, True)
    assert answer.json()["revocationReason"] == "It was replaced by a newer edition."


def test_I12_one_that_was_replaced_is_genuine_to_verify_and_not_in_force_any_more(claimed):
    """Also where the newer one says less of her: only the old one's page is shown then."""
    claim(claimed, name=True)
    kept, address = get(claimed.ob2).content, claimed.ob2
    claim(claimed)
    assert claimed.ob2 != address and get(address).status_code == 410
    for everyone_sees in (False, True):
        report = checking.check(claimed.tool, kept, now(), everyone_sees=everyone_sees)
        assert said_of(report, "hosted")[0] == "passed"
        reason = "Yes, the issuer has withdrawn it: It was replaced by a newer edition."
        assert said_of(report, "withdrawn") == ("failed", reason)
        assert report.verdict == "Do not rely on this one"
    assert "withdrawn" in checking.check(claimed.tool, address, now()).explanation


def test_I13_whoever_chose_her_e_mail_hash_and_her_name_is_named_so_and_the_edition_before_is_gone(claimed):
    before = claimed.ob2
    claim(claimed, email=True, name=True)
    recipient = get(claimed.ob2).json()["recipient"]
    email = claimed.students[0].email
    expected = hashlib.sha256((email.lower() + recipient["salt"]).encode()).hexdigest()
    assert recipient == {
        "type": "email",
        "hashed": True,
        "salt": recipient["salt"],
        "identity": f"sha256${expected}",
    }
    assert email.lower() not in get(claimed.ob2).text.lower()
    assert get(before).status_code == 410
    report = checking.check(claimed.tool, get(f"{claimed.url}.pdf").content, now())
    assert report.ok and report.document["credentialSubject"]["identifier"]


def test_I13_the_recipient_is_salted_for_each_award(claimed):
    recipient = get(claimed.ob2).json()["recipient"]
    assert recipient.keys() == {"type", "hashed", "salt", "identity"}
    assert len(recipient["salt"]) == 32 and recipient["identity"].startswith("sha256$")


@pytest.mark.parametrize(
    "path", ["assertions/nothing", "badges/nothing/v1", "issuers/nothing", "badges/x/v99999999999"]
)
def test_what_nobody_has_is_not_there(claimed, path):
    answer = get(f"{claimed.scene.url}/ob2/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "There is nothing at this address.")


# -- all of a learner's badges ----------------------------------------------------------------------------------


def test_a_learner_takes_all_her_badges_along_in_one_signed_file(claimed, make_room):  # noqa: F811
    learner = claimed.enter(claimed.students[0])
    assert "clr.json" in learner.get("").text
    answer = learner.get("clr.json")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="badges.clr.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    record = answer.json()
    assert record["credentialSubject"]["verifiableCredential"] == [get(f"{claimed.url}.json").json()]
    assert verify_proof(record, claimed.tool.keyring.ed25519.public)
    answers = outside.run(
        "data_integrity.mjs",
        {"now": now().isoformat(), "documents": documents(claimed), "credentials": {"record": record}},
    )
    assert (answers["record"]["verified"], answers["record"]["reasons"]) == (True, [])


def documents(room) -> Json:  # noqa: F811
    did = get(f"{room.scene.url}/.well-known/did.json").json()
    return {url: contexts.load_context(url) for url in contexts.PINNED} | {did["id"]: did}


def test_what_was_taken_back_is_in_no_new_record_and_without_badges_there_is_none(claimed):
    learner = claimed.enter(claimed.students[0])
    revoke(claimed)
    assert learner.get("clr.json").status_code == 404
    assert "clr.json" not in learner.get("").text
    assert claimed.enter(claimed.students[1]).get("clr.json").status_code == 404


def test_records_are_made_one_at_a_time(claimed, monkeypatch):
    monkeypatch.setattr(records, "PATIENCE", 0.01)
    learner = claimed.enter(claimed.students[0])
    with records._room:
        answer = learner.get("clr.json")
    assert (answer.status_code, answer.json()["reason"]) == (503, "records_busy")
    assert learner.get("clr.json").status_code == 200
