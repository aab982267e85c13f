"""A badge on its way into a wallet: the learner's page, the issuer's addresses, and what becomes of the award."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta

import pytest
import requests
from sqlalchemy import select

from lti_tool.credentials import holder
from lti_tool.jobs import sweep
from lti_tool.models import AuditEvent, Award, Edition, UsedNonce, WalletOffer
from lti_tool.services import authorization_server, award_acts, checking, editions, wallet_offers
from tests.classroom import Classroom, badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now
from tests.services.test_stacks import stack
from tests.wallet import PRE_AUTHORIZED, Key, Wallet, claim, earned_in, link_in, make_offer, pin_in


@pytest.fixture(scope="module")
def earned(shared):  # noqa: F811
    """A claimed badge for all tests of this file that leave its award as it is."""
    return earned_in(Classroom(shared))


@pytest.fixture
def fresh(room):  # noqa: F811
    """One of its own for a test that does not."""
    return earned_in(room)


def claims_of(jwt: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))


def editions_of(room) -> list[Edition]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == room.award()["id"]).order_by(Edition.number)
        return list(session.scalars(query))


def events(room) -> list[tuple[str, str]]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.subject == f"award:{room.award()['id']}").order_by(AuditEvent.id)
        return [(event.action, event.actor) for event in session.scalars(query)]


# -- the page ---------------------------------------------------------------------------------------------------


def test_a_claimed_badge_has_a_way_to_a_wallet_and_an_unclaimed_one_has_none(room):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    learner = room.enter(room.students[0])
    assert learner.get(f"badges/{room.badge.slug}/wallet").status_code == 404
    assert "Add to a wallet" not in learner.get(f"badges/{room.badge.slug}/claim").text
    claim(learner, room.badge.slug, public=False)
    for page in ("", "/show"):
        assert f"badges/{room.badge.slug}/wallet" in learner.get(f"badges/{room.badge.slug}{page}").text
    page = learner.get(f"badges/{room.badge.slug}/wallet")
    assert page.status_code == 200
    assert "openid-credential-offer" not in page.text  # nothing is offered before she asks for it


def test_the_page_with_the_code_can_be_loaded_again_and_by_this_browser_alone(earned):
    page = make_offer(earned.learner, earned.slug)
    again = earned.learner.http.get(page.url, timeout=20)
    assert link_in(again.text) == link_in(page.text)
    assert (pin_in(again.text), len(pin_in(page.text))) == (pin_in(page.text), 6)
    elsewhere = earned.enter(earned.students[0])
    shown = elsewhere.get(f"badges/{earned.slug}/wallet?{page.url.partition('?')[2].partition('#')[0]}")
    assert shown.status_code == 200
    assert "openid-credential-offer" not in shown.text


def test_a_new_code_ends_the_one_before(earned):
    first = Wallet(make_offer(earned.learner, earned.slug).text)
    second = Wallet(make_offer(earned.learner, earned.slug).text)
    assert first.offer().status_code == 404
    assert second.offer().status_code == 200


def test_the_page_says_what_became_of_the_code(earned):
    page = make_offer(earned.learner, earned.slug)
    wallet = Wallet(page.text)
    configuration = wallet.configuration("ldp_vc")
    token = wallet.token().json()["access_token"]
    assert "A wallet has come for it" in earned.learner.http.get(page.url, timeout=20).text
    assert wallet.request(token, credential_configuration_id=configuration).status_code == 200
    after = earned.learner.http.get(page.url, timeout=20).text
    assert "It is in a wallet" in after
    assert "Copies in wallets" in after


# -- what the issuer says of itself -----------------------------------------------------------------------------


def test_the_metadata_lists_each_badge_in_both_formats(earned):
    answer = requests.get(f"{earned.scene.url}/.well-known/openid-credential-issuer", timeout=20)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    told = answer.json()
    assert told["credential_issuer"] == earned.scene.url
    assert told["display"][0]["name"]
    offered = Wallet(make_offer(earned.learner, earned.slug).text).offer().json()["credential_configuration_ids"]
    linked, signed = (told["credential_configurations_supported"][name] for name in offered)
    assert (linked["format"], signed["format"]) == ("ldp_vc", "jwt_vc_json")
    assert linked["credential_definition"]["type"] == ["VerifiableCredential", "OpenBadgeCredential"]
    assert linked["credential_definition"]["@context"][0] == "https://www.w3.org/ns/credentials/v2"
    assert "@context" not in signed["credential_definition"]
    for each in (linked, signed):
        assert each["cryptographic_binding_methods_supported"] == ["did:key", "did:jwk", "jwk"]
        assert each["proof_types_supported"] == {"jwt": {"proof_signing_alg_values_supported": ["EdDSA", "ES256"]}}
        (shown,) = each["credential_metadata"]["display"]
        assert (shown["name"], shown["locale"]) == ("Careful Work", "en")
        picture = requests.get(shown["logo"]["uri"], timeout=20)
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
        assert shown["logo"]["alt_text"] == "A star on a hexagon"


def test_the_authorization_server_takes_a_code_from_anybody(earned):
    told = requests.get(f"{earned.scene.url}/.well-known/oauth-authorization-server", timeout=20).json()
    assert told["issuer"] == earned.scene.url
    assert told["token_endpoint"] == f"{earned.scene.url}/oid4vci/token"
    assert {PRE_AUTHORIZED, "authorization_code", "refresh_token"} == set(told["grant_types_supported"])
    assert told["authorization_endpoint"] == f"{earned.scene.url}/oauth/authorize"
    assert told["pre-authorized_grant_anonymous_access_supported"] is True


def test_parts_of_the_server_metadata_are_joined_and_may_not_contradict_each_other(shared):  # noqa: F811
    parts = [lambda tool: {"a": ["x"], "b": 1}, lambda tool: {"a": ["x", "y"], "b": 1}]
    assert authorization_server.document(shared.tool, parts)["a"] == ["x", "y"]
    with pytest.raises(ValueError, match="different things of b"):
        authorization_server.document(shared.tool, [*parts, lambda tool: {"b": 2}])


def test_answers_to_wallets_are_never_kept_and_open_to_wallets_in_a_browser(earned):
    wallet = Wallet(make_offer(earned.learner, earned.slug).text)
    answers = [wallet.offer(), requests.post(f"{wallet.base}/oid4vci/nonce", timeout=20), wallet.token(code="wrong")]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    asked = requests.options(f"{wallet.base}/oid4vci/credential", timeout=20)
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Set-Cookie" not in asked.headers


# -- what is issued ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["EdDSA", "ES256"])
@pytest.mark.parametrize("named", ["kid", "jwk"])
def test_a_wallet_gets_a_copy_bound_to_its_key_in_both_formats(earned, kind, named):
    wallet = Wallet(make_offer(earned.learner, earned.slug).text, Key(kind))
    names = {form: wallet.configuration(form) for form in ("ldp_vc", "jwt_vc_json")}
    token = wallet.token().json()["access_token"]
    header = {} if named == "kid" else {"kid": None, "jwk": wallet.key.jwk}
    got = {}
    for form, name in names.items():
        proofs = {"jwt": [wallet.proof(header=header)]}
        answer = wallet.request(token, credential_configuration_id=name, proofs=proofs)
        assert answer.status_code == 200, answer.text
        got[form] = answer.json()["credentials"][0]["credential"]
    document, claims = got["ldp_vc"], claims_of(got["jwt_vc_json"])
    subject = document["credentialSubject"]["id"]
    assert claims["sub"] == claims["credentialSubject"]["id"] == subject
    assert claims["jti"] == document["id"]
    assert subject == wallet.key.did if named == "kid" else subject.startswith("did:jwk:")
    mine = requests.get(earned.award()["credential_url"] + ".json", timeout=20).json()
    assert document["id"] != mine["id"]
    assert document["credentialStatus"]["id"] != mine["credentialStatus"]["id"]
    changed = {"id", "credentialSubject", "credentialStatus", "proof"}
    assert {k: v for k, v in document.items() if k not in changed} == {
        k: v for k, v in mine.items() if k not in changed
    }
    for content in (json.dumps(document), got["jwt_vc_json"]):
        report = checking.check(earned.tool, content, now())
        assert [each.name for each in report.checks if each.outcome != "passed"] == []


def test_what_a_wallet_gets_is_what_its_address_answers_byte_for_byte(earned):
    wallet = Wallet(make_offer(earned.learner, earned.slug).text)
    token = wallet.token().json()["access_token"]
    name = f"{earned.slug}.ldp_vc"
    answer = wallet.request(token, credential_configuration_id=name).content
    served = requests.get(json.loads(answer)["credentials"][0]["credential"]["id"] + ".json", timeout=20).content
    assert answer == b'{"credentials":[{"credential":' + served + b"}]}"


def test_the_same_wallet_gets_the_same_copy_again(fresh):
    key = Key()
    first = Wallet(make_offer(fresh.learner, fresh.slug).text, key).get()
    second = Wallet(make_offer(fresh.learner, fresh.slug).text, key).get()
    other = Wallet(make_offer(fresh.learner, fresh.slug).text).get()
    assert first == second
    assert first["id"] != other["id"]
    assert [edition.number for edition in editions_of(fresh)] == [-2, -1, 1]


def test_a_copy_signed_again_is_the_same_bytes(earned):
    document = Wallet(make_offer(earned.learner, earned.slug).text).get()
    with earned.tool.db.write() as session:
        copy = session.get_one(Edition, document["id"].rpartition("/")[2])
        before = bytes(copy.document), bytes(copy.jwt)
        editions.sign_now(earned.tool, session, copy, now())
        assert (copy.document, copy.jwt) == before
        session.rollback()


def test_a_copy_of_a_badge_made_of_badges_names_the_credentials_of_its_parts_as_the_awards_own_does(make_room):  # noqa: F811
    place = earned_in(make_room())
    whole = stack(place.badge)
    assert place.publish(whole).state == "done"
    claim(place.learner, whole.slug)
    (own,) = (each["credential_url"] for each in place.awards(place.students[0]) if each["badge"] == whole.slug)
    mine = requests.get(f"{own}.json", timeout=20).json()
    assert [each["genre"] for each in mine["evidence"]] == ["Credential"]
    copy = Wallet(make_offer(place.learner, whole.slug).text).get()
    assert copy["evidence"] == mine["evidence"]


def test_whatever_shows_the_newest_edition_goes_on_showing_the_awards_own(fresh):
    """Copies are numbered below zero: each of these asks for the highest number."""
    own = fresh.award()["credential_url"]
    copy = Wallet(make_offer(fresh.learner, fresh.slug).text).get()["id"]
    assert fresh.award()["credential_url"] == own
    for page in (f"badges/{fresh.slug}", f"badges/{fresh.slug}/claim"):
        shown = fresh.learner.get(page).text
        assert own in shown
        assert copy not in shown
    listed = fresh.page.get(f"badges/{fresh.slug}/awards").text
    assert own in listed
    assert copy not in listed


def test_a_learners_record_holds_each_award_once(fresh):
    """A copy says the same again: only the award's own edition is in the Comprehensive Learner Record."""
    Wallet(make_offer(fresh.learner, fresh.slug).text).get()
    held = fresh.learner.get("clr.json").json()["credentialSubject"]["verifiableCredential"]
    assert [each["id"] for each in held] == [fresh.award()["credential_url"]]


def test_what_its_learner_chose_to_show_is_in_her_copies_too_and_another_choice_replaces_them(fresh):
    chosen = {"inside": "yes", "public": "yes", "levels": "yes", "narrative": "I led the survey & wrote it up."}
    assert fresh.learner.post(f"badges/{fresh.slug}/claim", chosen).status_code == 200
    own = requests.get(fresh.award()["credential_url"] + ".json", timeout=20).json()
    copy = Wallet(make_offer(fresh.learner, fresh.slug).text).get()
    assert own["credentialSubject"]["narrative"] == copy["credentialSubject"]["narrative"] == chosen["narrative"]
    assert fresh.learner.post(f"badges/{fresh.slug}/claim", {**chosen, "narrative": ""}).status_code == 200
    report = checking.check(fresh.tool, json.dumps(copy), now())
    assert [each.name for each in report.checks if each.outcome == "failed"] == ["withdrawn"]


def test_a_copy_is_as_public_as_its_awards_page(fresh):
    copy = Wallet(make_offer(fresh.learner, fresh.slug).text).get()["id"]
    assert requests.get(copy, timeout=20).status_code == 200
    claim(fresh.learner, fresh.slug, public=False)
    assert requests.get(copy, timeout=20).status_code == 404
    assert requests.get(copy + ".json", timeout=20).status_code == 404


def test_H08_a_withdrawn_award_takes_its_copies_with_it(fresh):
    document = Wallet(make_offer(fresh.learner, fresh.slug).text).get()
    award_acts.revoke(fresh.tool, fresh.award()["id"], "A mistake", actor="operator", now=now())
    assert all(edition.withdrawn_at is not None for edition in editions_of(fresh))
    report = checking.check(fresh.tool, json.dumps(document), now())
    assert [each.name for each in report.checks if each.outcome == "failed"] == ["withdrawn"]
    assert "took it back" in requests.get(document["id"], timeout=20).text


def test_H11_a_reissue_replaces_the_copies_and_a_wallet_that_comes_back_gets_a_new_one(fresh):
    key = Key()
    old = Wallet(make_offer(fresh.learner, fresh.slug).text, key).get()
    page = f"badges/{fresh.slug}/awards/{fresh.award()['id']}/reissue"
    seal = re.search(r'name="seal" value="([0-9a-f]+)"', fresh.page.get(page).text)[1]
    done = fresh.page.post(page, {"reason": "corrected", "seal": seal})
    assert done.status_code == 200, done.text
    shown = requests.get(old["id"], timeout=20).text
    assert fresh.award()["credential_url"] in shown  # replaced, and points on to the award's own
    new = Wallet(make_offer(fresh.learner, fresh.slug).text, key).get()
    assert new["id"] != old["id"]
    assert new["credentialSubject"]["id"] == old["credentialSubject"]["id"] == key.did
    report = checking.check(fresh.tool, json.dumps(new), now())
    assert [each.name for each in report.checks if each.outcome != "passed"] == []


def test_a_learner_withdraws_one_copy_and_the_badge_stays(fresh):
    document = Wallet(make_offer(fresh.learner, fresh.slug).text).get()
    edition_id = document["id"].rpartition("/")[2]
    path = f"badges/{fresh.slug}/wallet/copies/{edition_id}/withdraw"
    classmate = fresh.enter(fresh.students[1])
    assert classmate.post(path).status_code == 404
    done = fresh.learner.post(path)
    assert done.status_code == 200
    assert "Copies in wallets" not in done.text
    assert fresh.learner.post(path).status_code == 409
    withdrawn = {edition.id for edition in editions_of(fresh) if edition.withdrawn_at is not None}
    assert withdrawn == {edition_id}
    report = checking.check(fresh.tool, json.dumps(document), now())
    assert [each.name for each in report.checks if each.outcome == "failed"] == ["withdrawn"]
    own = editions_of(fresh)[-1].id
    assert fresh.learner.post(f"badges/{fresh.slug}/wallet/copies/{own}/withdraw").status_code == 404


def test_a_wallet_whose_copy_was_withdrawn_fetches_no_other_with_what_it_has(fresh):
    wallet = Wallet(make_offer(fresh.learner, fresh.slug).text)
    wallet.configuration("ldp_vc")
    token = wallet.token().json()["access_token"]
    document = wallet.request(token).json()["credentials"][0]["credential"]
    waiting = Wallet(make_offer(fresh.learner, fresh.slug).text)
    code = waiting.code()
    edition_id = document["id"].rpartition("/")[2]
    assert fresh.learner.post(f"badges/{fresh.slug}/wallet/copies/{edition_id}/withdraw").status_code == 200
    again = wallet.request(token)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_token")
    assert (waiting.offer().status_code, waiting.token(code).json()["error"]) == (404, "invalid_grant")
    assert [each.id for each in editions_of(fresh) if each.holder and each.withdrawn_at is None] == []
    assert Wallet(make_offer(fresh.learner, fresh.slug).text).get()["id"] != document["id"]


def test_a_wallet_that_is_being_answered_while_its_copy_is_withdrawn_gets_no_other(fresh, monkeypatch):
    wallet = Wallet(make_offer(fresh.learner, fresh.slug).text)
    wallet.configuration("ldp_vc")
    token = wallet.token().json()["access_token"]
    edition_id = wallet.request(token).json()["credentials"][0]["credential"]["id"].rpartition("/")[2]
    check = holder.check_jwt

    def withdraw_first(*told, **more):  # between the look at the token and the copy that it opens
        assert fresh.learner.post(f"badges/{fresh.slug}/wallet/copies/{edition_id}/withdraw").status_code == 200
        return check(*told, **more)

    monkeypatch.setattr(holder, "check_jwt", withdraw_first)
    assert wallet.request(token).status_code == 401
    assert [each.id for each in editions_of(fresh) if each.holder and each.withdrawn_at is None] == []


def test_details_that_are_asked_for_are_granted_with_the_name_of_the_credential(earned):
    wallet = Wallet(make_offer(earned.learner, earned.slug).text)
    signed, linked = wallet.configuration("jwt_vc_json"), wallet.configuration("ldp_vc")
    asked = json.dumps([{"type": "openid_credential", "credential_configuration_id": signed}])
    refused = wallet.token(authorization_details=asked.replace(signed, "another"))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_authorization_details")
    told = wallet.token(authorization_details=asked).json()
    (detail,) = told["authorization_details"]
    (identifier,) = detail["credential_identifiers"]
    only = wallet.request(told["access_token"], credential_configuration_id=linked)
    assert only.json()["error"] == "unknown_credential_configuration"
    named = {"credential_configuration_id": None, "credential_identifier": identifier}
    answer = wallet.request(told["access_token"], **named)
    assert answer.status_code == 200, answer.text
    assert answer.json()["credentials"][0]["credential"].count(".") == 2
    other = wallet.request(told["access_token"], **{**named, "credential_identifier": "another"})
    assert other.json()["error"] == "unknown_credential_identifier"


def test_without_transaction_codes_none_is_shown_or_taken(tmp_path, database_url):
    scene = Scene(
        tmp_path, database_url, LTI_TOOL_WALLETS__TRANSACTION_CODE="false", LTI_TOOL_PRIVACY__CLAIM="automatic"
    )
    try:
        room = Classroom(scene)
        room.publish(badge())
        room.grade(room.students[0], 3, 3)
        room.sync()
        # With automatic claiming nobody has to claim first.
        page = make_offer(room.enter(room.students[0]), room.badge.slug).text
        wallet = Wallet(page)
        assert wallet.pin is None
        assert "tx_code" not in wallet.offer().json()["grants"][PRE_AUTHORIZED]
        unexpected = wallet.token(tx_code="123456")
        assert (unexpected.status_code, unexpected.json()["error"]) == (400, "invalid_request")
        assert wallet.get()["credentialSubject"]["id"] == wallet.key.did
    finally:
        scene.stop()


# -- what is kept -----------------------------------------------------------------------------------------------


def test_offers_and_copies_are_in_the_audit_log(earned):
    Wallet(make_offer(earned.learner, earned.slug).text).get()
    learner = f"person:{earned.person_id(earned.students[0])}"
    assert events(earned)[-2:] == [("award.offered", learner), ("award.added_to_wallet", learner)]


def test_nothing_that_opens_an_offer_lies_in_the_database(earned):
    page = make_offer(earned.learner, earned.slug).text
    wallet = Wallet(page)
    code = wallet.code()
    token = wallet.token(code).json()["access_token"]
    with earned.tool.db.read() as session:
        offer = session.scalars(select(WalletOffer).order_by(WalletOffer.created_at.desc())).first()
        kept = " ".join(str(value) for value in vars(offer).values())
        logged = " ".join(json.dumps(event.detail) for event in session.scalars(select(AuditEvent)))
    for secret in (wallet.address.rpartition("/")[2], code, token, link_in(page, "dccrequest")[-43:]):
        assert secret not in kept + logged
    assert wallet.pin not in kept


def test_what_is_over_is_swept_away(earned):
    wallet = Wallet(make_offer(earned.learner, earned.slug).text)
    wallet.get()
    with earned.tool.db.read() as session:
        assert session.scalars(select(UsedNonce)).first() is not None
    wallet_offers.forget_expired(earned.tool, now() + timedelta(hours=1))
    with earned.tool.db.read() as session:
        assert session.scalars(select(UsedNonce)).first() is None
        assert session.scalars(select(WalletOffer)).first() is not None
    wallet_offers.forget_expired(earned.tool, now() + timedelta(days=2))
    with earned.tool.db.read() as session:
        assert session.scalars(select(WalletOffer)).first() is None


def test_the_sweep_forgets_offers_too(earned):
    make_offer(earned.learner, earned.slug)
    with earned.tool.db.write() as session:
        for offer in session.scalars(select(WalletOffer)):
            offer.expires_at = now() - timedelta(days=3)
    sweep(earned.tool)
    with earned.tool.db.read() as session:
        assert session.scalars(select(WalletOffer)).first() is None
        assert session.get(Award, earned.award()["id"]) is not None
