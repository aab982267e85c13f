"""Somebody who has seen a code, stolen a token, or sends what no wallet sends."""

from __future__ import annotations

import base64
import logging
import time
from datetime import timedelta

import jwt
import pytest
import requests
from sqlalchemy import select, update

from lti_tool import security
from lti_tool.lti.registration import digest
from lti_tool.models import AuditEvent, Award, Edition, WalletOffer
from lti_tool.services import award_acts, wallet_offers, wallets
from tests.classroom import Classroom, at_once, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.wallet import Key, Wallet, base64url, claim, earned_in, make_offer


@pytest.fixture(scope="module")
def earned(shared):  # noqa: F811
    """A claimed badge for all tests of this file that leave its award as it is."""
    return earned_in(Classroom(shared))


@pytest.fixture
def fresh(room):  # noqa: F811
    """One of its own for a test that does not."""
    return earned_in(room)


@pytest.fixture
def wallet(earned):
    return Wallet(make_offer(earned.learner, earned.slug).text)


@pytest.fixture
def granted(wallet):
    return with_token(wallet)


def with_token(wallet: Wallet) -> Wallet:
    """Return a wallet with its access token at `given`."""
    wallet.configuration("ldp_vc")
    wallet.given = wallet.token().json()["access_token"]
    return wallet


def refused(answer: requests.Response, error: str, status: int = 400) -> bool:
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert set(told.get("error_description", "").encode()) <= {0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    return (answer.status_code, told["error"]) == (status, error)


def copies(room) -> int:  # noqa: F811
    with room.tool.db.read() as session:
        award_id = room.award()["id"]
        query = select(Edition.id).where(Edition.award_id == award_id, Edition.holder.is_not(None))
        return len(session.scalars(query).all())


# -- the code ---------------------------------------------------------------------------------------------------


def test_a_code_works_once(wallet):
    code = wallet.code()
    assert wallet.token(code).status_code == 200
    assert refused(wallet.token(code), "invalid_grant")
    assert wallet.offer().status_code == 404


def test_a_code_that_two_send_at_the_same_moment_works_for_one(wallet):
    code = wallet.code()
    answers = at_once(*[lambda: wallet.token(code)] * 6)
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400, 400]
    assert {answer.json().get("error") for answer in answers} == {None, "invalid_grant"}


def test_a_guessed_code_is_none(wallet):
    for code in ("guess", "", "0" * 43, "\0", "☃" * 50):
        assert wallet.token(code or " ").json()["error"] == "invalid_grant"


def test_an_offer_ends_after_ten_minutes(earned, wallet):
    code = wallet.code()
    with earned.tool.db.write() as session:
        session.scalars(select(WalletOffer).order_by(WalletOffer.created_at.desc())).first().expires_at = now()
    assert wallet.offer().status_code == 404
    assert refused(wallet.token(code), "invalid_grant")
    assert timedelta(minutes=10) == wallet_offers.OFFER_LASTS


def test_five_wrong_transaction_codes_end_an_offer_even_for_the_right_one(earned, wallet):
    code = wallet.code()
    wrong = f"{(int(wallet.pin) + 1) % 10**6:06}"
    assert refused(wallet.token(code, tx_code=None), "invalid_request")  # none at all is no guess
    for _ in range(5):
        assert refused(wallet.token(code, tx_code=wrong), "invalid_grant")
    assert refused(wallet.token(code), "invalid_grant")
    assert wallet.offer().status_code == 404
    with earned.tool.db.read() as session:
        query = select(AuditEvent.actor).where(AuditEvent.action == "award.offer_ended")
        assert session.scalars(query.where(AuditEvent.subject == f"award:{earned.award()['id']}")).all() == ["nobody"]


def test_transaction_codes_tried_at_the_same_moment_are_counted_each(earned, wallet):
    code = wallet.code()
    wrong = [f"{(int(wallet.pin) + step) % 10**6:06}" for step in range(1, 9)]
    answers = at_once(*[lambda pin=pin: wallet.token(code, tx_code=pin) for pin in wrong])
    assert {answer.json()["error"] for answer in answers} == {"invalid_grant"}
    assert refused(wallet.token(code), "invalid_grant")
    with earned.tool.db.read() as session:
        assert session.scalars(select(WalletOffer).order_by(WalletOffer.created_at.desc())).first().tries == 5


def test_four_wrong_transaction_codes_leave_the_right_one(wallet):
    code = wallet.code()
    for _ in range(4):
        wallet.token(code, tx_code="x" * 6)
    assert wallet.token(code).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"pre-authorized_code": None}, "invalid_request"),
        ({"authorization_details": "[" * 5000}, "invalid_authorization_details"),
        ({"authorization_details": "{}"}, "invalid_authorization_details"),
        ({"authorization_details": "null"}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"openid_credential"}]'}, "invalid_authorization_details"),
    ],
)
def test_a_token_request_that_is_none_is_refused_in_oauths_words_and_uses_nothing_up(wallet, changes, error):
    code = wallet.code()
    assert refused(wallet.token(code, **changes), error)
    assert wallet.token(code).status_code == 200


def test_a_parameter_sent_twice_is_refused(wallet):
    sent = [("grant_type", "x"), ("grant_type", "y")]
    assert refused(requests.post(f"{wallet.base}/oid4vci/token", data=sent, timeout=20), "invalid_request")


def test_another_learners_badge_is_offered_to_nobody(earned):
    classmate = earned.enter(earned.students[1])
    assert classmate.get(f"badges/{earned.slug}/wallet").status_code == 404
    assert classmate.post(f"badges/{earned.slug}/wallet").status_code == 404
    assert earned.page.get(f"/me/{earned.page.launch}/badges/{earned.slug}/wallet").status_code == 404


def test_an_offer_id_of_somebody_else_shows_nothing(fresh):
    page = make_offer(fresh.learner, fresh.slug)
    offer_id = page.url.partition("offer=")[2].partition("#")[0]
    fresh.grade(fresh.students[1], 4, 4)
    fresh.sync()
    classmate = fresh.enter(fresh.students[1])
    claim(classmate, fresh.slug)
    shown = classmate.get(f"badges/{fresh.slug}/wallet?offer={offer_id}").text
    assert "Make a code" in shown
    assert "openid-credential-offer" not in shown
    assert "dccrequest" not in shown


def test_making_a_code_needs_the_pages_token(earned):
    sent = earned.learner.http.post(f"{earned.learner.home}badges/{earned.slug}/wallet", data={}, timeout=20)
    assert sent.status_code == 400


def test_the_address_of_an_offer_does_not_lead_to_the_other_way_in(wallet):
    """Whoever has seen the code that is scanned has no transaction code, and must not get around it."""
    secret = wallet.address.rpartition("/")[2]
    for guess in (secret, wallet.code(), wallet_offers.challenge_of(secret)):
        answer = requests.post(f"{wallet.base}/exchanges/{guess}", json={}, timeout=20)
        assert answer.status_code == 404


# -- the award --------------------------------------------------------------------------------------------------


def withdraw(room) -> None:  # noqa: F811
    award_acts.revoke(room.tool, room.award()["id"], "A mistake", actor="operator", now=now())


def test_a_withdrawn_award_ends_its_offers(fresh):
    wallet = Wallet(make_offer(fresh.learner, fresh.slug).text)
    code = wallet.code()
    withdraw(fresh)
    assert wallet.offer().status_code == 404
    assert refused(wallet.token(code), "invalid_grant")
    assert fresh.learner.post(f"badges/{fresh.slug}/wallet").status_code == 404


def test_an_award_withdrawn_after_the_token_was_given_is_not_issued(fresh):
    granted = with_token(Wallet(make_offer(fresh.learner, fresh.slug).text))
    withdraw(fresh)
    assert refused(granted.request(granted.given), "credential_request_denied")
    assert copies(fresh) == 0


def test_an_expired_award_is_not_offered(fresh):
    granted = with_token(Wallet(make_offer(fresh.learner, fresh.slug).text))
    with fresh.tool.db.write() as session:
        session.get_one(Award, fresh.award()["id"]).expires_at = now() - timedelta(seconds=1)
    assert refused(granted.request(granted.given), "credential_request_denied")
    assert fresh.learner.get(f"badges/{fresh.slug}/wallet").status_code == 404


def test_an_award_withdrawn_while_it_is_fetched_leaves_no_copy_in_force(fresh):
    granted = with_token(Wallet(make_offer(fresh.learner, fresh.slug).text))
    proofs = {"jwt": [granted.proof()]}
    at_once(lambda: granted.request(granted.given, proofs=proofs), lambda: withdraw(fresh))
    with fresh.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == fresh.award()["id"], Edition.withdrawn_at.is_(None))
        assert session.scalars(query).all() == []


# -- the access token -------------------------------------------------------------------------------------------


def test_without_the_right_token_there_is_no_credential(granted):
    answer = granted.request("another")
    assert refused(answer, "invalid_token", 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    bare = requests.post(f"{granted.base}/oid4vci/credential", json={}, timeout=20)
    assert refused(bare, "invalid_token", 401)
    assert bare.headers["WWW-Authenticate"] == "Bearer"
    basic = {"Authorization": f"Basic {granted.given}"}
    assert requests.post(f"{granted.base}/oid4vci/credential", json={}, headers=basic, timeout=20).status_code == 401


def test_a_token_ends(earned, granted):
    with earned.tool.db.write() as session:
        session.scalars(select(WalletOffer).where(WalletOffer.token_hash == digest(granted.given))).one()
        session.execute(update(WalletOffer).values(token_expires_at=now()))
    assert refused(granted.request(granted.given), "invalid_token", 401)


def test_a_stolen_token_gives_copies_for_two_keys_and_no_more(earned, granted):
    before = copies(earned)
    assert granted.request(granted.given).status_code == 200
    granted.key = Key()
    assert granted.request(granted.given).status_code == 200
    granted.key = Key()
    assert refused(granted.request(granted.given), "credential_request_denied")
    assert copies(earned) == before + 2


def test_a_badge_is_in_so_many_wallets_and_no_more(earned, granted, monkeypatch):
    monkeypatch.setattr(wallets, "MOST_COPIES", copies(earned) + 1)
    assert granted.request(granted.given).status_code == 200
    granted.key = Key()
    assert refused(granted.request(granted.given), "credential_request_denied")


def test_one_wallet_asking_twice_at_the_same_moment_has_one_copy(earned, granted):
    before = copies(earned)
    proofs = [{"jwt": [granted.proof()]} for _ in range(4)]
    answers = at_once(*[lambda each=each: granted.request(granted.given, proofs=each) for each in proofs])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert copies(earned) == before + 1


# -- the proof --------------------------------------------------------------------------------------------------


def test_a_nonce_is_used_once(earned, granted):
    nonce = granted.nonce()
    assert granted.request(granted.given, proofs={"jwt": [granted.proof(nonce=nonce)]}).status_code == 200
    again = granted.request(granted.given, proofs={"jwt": [granted.proof(nonce=nonce)]})
    assert refused(again, "invalid_nonce")


def test_a_nonce_sent_twice_at_the_same_moment_counts_once(granted):
    proofs = {"jwt": [granted.proof()]}
    answers = at_once(*[lambda: granted.request(granted.given, proofs=proofs)] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


def test_a_used_nonce_spelled_another_way_is_still_used(granted):
    nonce = granted.nonce()
    assert granted.request(granted.given, proofs={"jwt": [granted.proof(nonce=nonce)]}).status_code == 200
    for other in (nonce + "=", nonce + "\n", nonce[:10] + "\n" + nonce[10:], nonce.rstrip("=")):
        assert refused(granted.request(granted.given, proofs={"jwt": [granted.proof(nonce=other)]}), "invalid_nonce")


def test_a_nonce_that_is_not_ours_or_too_old_is_refused(earned, granted):
    old = wallets.new_nonce(earned.tool, now() - wallets.NONCE_LASTS - timedelta(seconds=1))
    early = wallets.new_nonce(earned.tool, now() + timedelta(minutes=1))
    other_seal = earned.tool.keyring.seal({"token": "x"})
    for nonce in ("guess", old, early, other_seal, "☃"):
        assert refused(granted.request(granted.given, proofs={"jwt": [granted.proof(nonce=nonce)]}), "invalid_nonce")
    assert granted.request(granted.given).status_code == 200


WRONG_PROOFS = {
    "no nonce": {"nonce": None},
    "a nonce that is a number": {"nonce": 7},
    "for another issuer": {"audience": "https://another.example"},
    "for two issuers": {"audience": ["https://another.example", "BASE"]},
    "for nobody": {"audience": None},
    "an hour old": {"iat": int(time.time()) - 3600},
    "of tomorrow": {"iat": int(time.time()) + 86_400},
    "without a time": {"iat": None},
    "a time that is a word": {"iat": "now"},
    "expired": {"exp": int(time.time()) - 3600},
    "another type": {"header": {"typ": "JWT"}},
    "no type": {"header": {"typ": None}},
    "two keys": {"header": {"jwk": Key().jwk}},
    "no key": {"header": {"kid": None}},
    "another's kid": {"header": {"kid": Key().kid}},
    "another's jwk": {"header": {"kid": None, "jwk": Key().jwk}},
    "a kid of one key with the fragment of another": {"header": {"kid": f"{Key().did}#{Key().kid}"}},
    "a did that is no key": {"header": {"kid": "did:web:wallet.example#1"}},
    "a kid without a did": {"header": {"kid": "0"}},
    "a kid that is a number": {"header": {"kid": None, "jwk": 7}},
    "an understood header that is critical": {"header": {"crit": ["x"], "x": 1}},
    "a certificate": {"header": {"kid": None, "x5c": ["MIIB"]}},
}


@pytest.mark.parametrize("name", WRONG_PROOFS)
def test_a_proof_that_does_not_hold_is_refused(earned, granted, name):
    changes = dict(WRONG_PROOFS[name])
    if isinstance(changes.get("audience"), list):
        changes["audience"] = ["https://another.example", granted.base]
    before = copies(earned)
    answer = granted.request(granted.given, proofs={"jwt": [granted.proof(**changes)]})
    assert refused(answer, "invalid_proof"), answer.text
    assert copies(earned) == before


def test_a_proof_signed_with_another_key_is_refused(granted):
    other = Key()
    proof = other.proof(granted.base, granted.nonce(), header={"kid": granted.key.kid})
    assert refused(granted.request(granted.given, proofs={"jwt": [proof]}), "invalid_proof")


def test_a_proof_with_a_private_key_in_it_is_refused(granted):
    secret = base64url(granted.key.private.private_bytes_raw())
    header = {"kid": None, "jwk": {**granted.key.jwk, "d": secret}}
    proof = granted.key.proof(granted.base, granted.nonce(), header=header)
    assert refused(granted.request(granted.given, proofs={"jwt": [proof]}), "invalid_proof")


def test_a_proof_without_a_signature_or_with_a_shared_secret_is_refused(granted):
    body = {"aud": granted.base, "iat": int(time.time()), "nonce": granted.nonce()}
    head = {"typ": "openid4vci-proof+jwt", "kid": granted.key.kid}
    unsigned = jwt.encode(body, None, algorithm="none", headers=head)
    shared_secret = jwt.encode(body, "x" * 32, algorithm="HS256", headers=head)
    es256 = Key("ES256").proof(granted.base, granted.nonce(), header={"kid": granted.key.kid})
    for proof in (unsigned, shared_secret, es256):
        assert refused(granted.request(granted.given, proofs={"jwt": [proof]}), "invalid_proof")


@pytest.mark.parametrize(
    "proofs",
    [
        None,
        {},
        [],
        "x",
        {"jwt": []},
        {"jwt": "x"},
        {"jwt": [None]},
        {"jwt": ["x"]},
        {"jwt": ["a.b.c"]},
        {"jwt": ["..", ".."]},
        {"jwt": ["e30.e30.e30"]},
        {"jwt": ["x" * 9000]},
        {"jwt": [base64.urlsafe_b64encode(b'{"typ":' + b"[" * 900).decode() + ".e30."]},
        {"di_vp": [{}]},
        {"jwt": ["a.b.c"], "di_vp": [{}]},
    ],
)
def test_proofs_that_are_none_are_refused(granted, proofs):
    answer = granted.request(granted.given, proofs=proofs)
    assert refused(answer, "invalid_proof"), answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b"\xff",
        b'{"a":1,"a":2}',
        b'{"a":' + b"[" * 10_000,
        b"{}",
        b'{"credential_identifier":7}',
    ],
)
def test_a_body_that_is_no_request_is_refused(granted, body):
    assert refused(granted.send(granted.given, body), "invalid_credential_request")


def test_a_request_that_names_its_credential_twice_or_wants_it_encrypted_is_refused(granted):
    name = granted.configuration("ldp_vc")
    twice = granted.request(granted.given, credential_configuration_id=name, credential_identifier=name)
    assert refused(twice, "invalid_credential_request")
    sealed = granted.request(granted.given, credential_response_encryption={"enc": "A128GCM"})
    assert refused(sealed, "invalid_encryption_parameters")
    unknown = granted.request(granted.given, credential_configuration_id="another.ldp_vc")
    assert refused(unknown, "unknown_credential_configuration")


@pytest.mark.parametrize("path", ["oid4vci/token", "oid4vci/credential", "exchanges/x"])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(granted, path):
    headers = {"Authorization": f"Bearer {granted.given}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(f"{granted.base}/{path}", data=b"a=" + b"x" * 70_000, headers=headers, timeout=20)
    assert refused(answer, "invalid_request", 413)


# -- the whole --------------------------------------------------------------------------------------------------


def test_L12_no_log_holds_a_code_a_token_or_a_nonce(earned, wallet, caplog):
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    code = wallet.code()
    configuration = wallet.configuration("ldp_vc")
    wallet.token(code, tx_code="000000" if wallet.pin != "000000" else "111111")
    token = wallet.token(code).json()["access_token"]
    nonce = wallet.nonce()
    for changes in ({"audience": "https://another.example"}, {}, {}):
        wallet.request(
            token, credential_configuration_id=configuration, proofs={"jwt": [wallet.proof(nonce=nonce, **changes)]}
        )
    wallet.token(code)
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("lti_tool"))
    assert "reason=invalid_grant" in ours
    assert "reason=invalid_nonce" in ours
    for secret in (code, token, nonce, wallet.pin, wallet.address.rpartition("/")[2], wallet.key.did):
        assert secret not in ours


def test_L13_one_address_is_refused_when_it_asks_too_often_and_nobody_else(earned, wallet):
    before = earned.scene.app.extensions["wallet_limit"]
    earned.scene.app.extensions["wallet_limit"] = security.RateLimit(2)
    try:
        answers = [requests.post(f"{wallet.base}/oid4vci/nonce", timeout=20) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert refused(answers[-1], "rate_limited", 429)
        client = earned.scene.app.test_client()
        other = client.post("/oid4vci/nonce", environ_base={"REMOTE_ADDR": "192.0.2.7"})
        assert other.status_code == 200
    finally:
        earned.scene.app.extensions["wallet_limit"] = before
