"""Offers: a learner's badge on its way into her wallet, for ten minutes and once.

The two ways in:

- OpenID4VCI 1.0, pre-authorised code flow, for wallets in general
  (https://openid.net/specs/openid-4-verifiable-credential-issuance-1_0.html, sections 4 and 6);
- the Learner Credential Wallet's credential request. Its release 2.2.10 of June 2026 knows no OpenID4VCI, and of a
  VC-API exchange that asks who it is it never keeps what it is given (app/screens/ExchangeCredentials: "we never want
  to store it"). What does end with a credential in it is its first protocol: a link with `issuer`, `auth_type=bearer`,
  `challenge` and `vc_request_url`, to which it posts a presentation signed with its key (app/lib/credentialRequest.ts).

Nothing secret is stored. Address, code and transaction code are worked out from the secret of the browser (or of the
address) that made the offer, so that browser can show its offer again, and nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from flask_babel import gettext as _
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from lti_tool.credentials.signing import base64url
from lti_tool.db import random_id
from lti_tool.domain.badge import Badge, badge_from_content
from lti_tool.errors import Conflict, NotFound, WalletRefused
from lti_tool.lti.registration import digest
from lti_tool.models import AchievementVersion, Award, Edition, UsedNonce, WalletOffer
from lti_tool.sentence import Sentence
from lti_tool.services import audit, award_acts, student_pages
from lti_tool.services.authorization_server import PRE_AUTHORIZED
from lti_tool.services.awards import fits_a_wallet, get_award
from lti_tool.services.forms import credential_url, qr_code
from lti_tool.services.own_access import Viewer
from lti_tool.services.tool import Tool

OFFER_LASTS = timedelta(minutes=10)
TOKEN_LASTS = timedelta(minutes=10)
OFFERS_KEPT = timedelta(days=1)  # so that a page still open says what became of its offer
DIGITS = 6
MOST_TRIES = 5  # transaction codes for one offer
FORMATS = ("ldp_vc", "jwt_vc_json")


def configuration_id(slug: str, form: str) -> str:
    """Return the name of a badge in one format, as the issuer's metadata lists it."""
    return f"{slug}.{form}"


# -- the secrets of an offer ------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class _Secrets:
    """What an offer is opened by. `address` and `exchange` say nothing about each other: only the first may be seen."""

    address: str
    exchange: str
    pin: str

    @property
    def code(self) -> str:
        return code_of(self.address)

    @property
    def challenge(self) -> str:
        return challenge_of(self.exchange)


def _secrets(offer_id: str, of_browser: str) -> _Secrets:
    root = _derived(f"wallet offer {offer_id}", of_browser)
    number = int.from_bytes(hashlib.sha256(_derived("pin", root).encode()).digest(), "big") % 10**DIGITS
    return _Secrets(_derived("address", root), _derived("exchange", root), f"{number:0{DIGITS}}")


def code_of(address: str) -> str:
    """Return the pre-authorised code of the offer at an address."""
    return _derived("pre-authorized code", address)


def challenge_of(exchange: str) -> str:
    """Return the challenge that a presentation posted to an exchange is signed with."""
    return _derived("challenge", exchange)


def _derived(label: str, secret: str) -> str:
    return base64url(hmac.digest(secret.encode(), label.encode(), "sha256"))


def _pin_hash(code: str, pin: str) -> str:
    """Hash a transaction code together with the code it goes with: alone, six digits would be guessed from a hash."""
    return digest(f"{code}\0{pin}")


# -- the learner's page -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OfferView:
    """An offer as its learner sees it. `state`: "open", "opened" (a wallet has come for it), "taken", "over"."""

    id: str
    state: str
    expires_at: datetime
    link: str = ""
    qr_svg: str = ""
    pin: str = ""  # empty where none is asked for
    lcw_link: str = ""
    lcw_qr_svg: str = ""


@dataclass(frozen=True)
class CopyView:
    """A copy in a wallet."""

    edition_id: str
    added_at: datetime
    url: str  # empty while the award has no public page


@dataclass(frozen=True)
class WalletPage:
    slug: str
    badge: Badge
    offer: OfferView | None
    copies: tuple[CopyView, ...]


def make(tool: Tool, who: Viewer, slug: str, secret: str, now: datetime) -> str:
    """Offer a learner's badge to her wallet; returns the offer's id. Earlier offers of it that nobody used end.

    `secret` is what proves the launch. Raises NotFound where there is nothing of hers that may be offered."""
    with tool.db.write() as session:
        award = _own(tool, session, who, slug, now)
        earlier = (WalletOffer.award_id == award.id, WalletOffer.used_at.is_(None), WalletOffer.expires_at > now)
        session.execute(update(WalletOffer).where(*earlier).values(expires_at=now))
        offer_id = random_id()
        mine = _secrets(offer_id, secret)
        asked = tool.settings.wallets.transaction_code
        badge_slug = award.version.achievement.slug
        session.add(
            WalletOffer(
                id=offer_id,
                award_id=award.id,
                address_hash=digest(mine.address),
                code_hash=digest(mine.code),
                exchange_hash=digest(mine.exchange),
                pin_hash=_pin_hash(mine.code, mine.pin) if asked else None,
                created_at=now,
                expires_at=now + OFFER_LASTS,
                configurations=[configuration_id(badge_slug, form) for form in FORMATS],
            )
        )
        audit.record(session, now, audit.person(who.person_id), "award.offered", f"award:{award.id}")
        return offer_id


def page(tool: Tool, who: Viewer, slug: str, offer_id: str, secret: str, now: datetime) -> WalletPage:
    """Return the page of a badge and wallets, with the offer that this browser made; raises NotFound as `make`."""
    with tool.db.read() as session:
        award = _own(tool, session, who, slug, now)
        offer = session.get(WalletOffer, offer_id) if offer_id else None
        mine = _secrets(offer_id, secret)
        if offer is not None and (offer.award_id != award.id or offer.address_hash != digest(mine.address)):
            offer = None
        query = (
            select(Edition.id, Edition.signed_at)
            .where(Edition.award_id == award.id, Edition.holder.is_not(None), Edition.withdrawn_at.is_(None))
            .order_by(Edition.number)
        )
        copies = [
            CopyView(edition_id, added_at, credential_url(tool, edition_id) if award.page_public else "")
            for edition_id, added_at in session.execute(query)
            if added_at is not None
        ]
        return WalletPage(
            slug=slug,
            badge=badge_from_content(award.version.definition),
            offer=_view(tool, offer, mine, now) if offer is not None else None,
            copies=tuple(copies),
        )


def _own(tool: Tool, session: Session, who: Viewer, slug: str, now: datetime) -> Award:
    award = student_pages.own_award(session, who, slug, now)
    if award is None or not fits_a_wallet(tool, award, now):
        raise NotFound(f"nothing to put into a wallet in {slug}")
    return award


def _view(tool: Tool, offer: WalletOffer, mine: _Secrets, now: datetime) -> OfferView:
    if offer.used_at is not None:
        return OfferView(offer.id, "taken" if offer.holders else "opened", offer.expires_at)
    if offer.expires_at <= now or offer.tries >= MOST_TRIES:
        return OfferView(offer.id, "over", offer.expires_at)
    base = tool.settings.base_url
    link = f"openid-credential-offer://?credential_offer_uri={quote(f'{base}/oid4vci/offers/{mine.address}', safe='')}"
    # The scheme the app itself registers. https://lcw.app/request.html would do as well, and would tell that server
    # both secrets wherever the app is not installed.
    asked = {
        "issuer": base,
        "auth_type": "bearer",
        "challenge": mine.challenge,
        "vc_request_url": f"{base}/exchanges/{mine.exchange}",
    }
    lcw_link = f"dccrequest://request?{urlencode(asked)}"
    return OfferView(
        offer.id,
        "open",
        offer.expires_at,
        link=link,
        qr_svg=qr_code(link),
        pin=mine.pin if offer.pin_hash is not None else "",
        lcw_link=lcw_link,
        lcw_qr_svg=qr_code(lcw_link),
    )


def withdraw_copy(tool: Tool, who: Viewer, slug: str, edition_id: str, now: datetime) -> None:
    """Withdraw one copy: of a wallet that is lost, or that was somebody else's. The award and its other copies stay.

    Every way in ends with it, or that wallet would fetch another copy with what it has."""
    with tool.db.write() as session:
        award_id = _own(tool, session, who, slug, now).id
        _end_offers(session, award_id)  # before the award is locked, as where one is issued
        award = get_award(session, award_id)
        copy = next((each for each in award.editions if each.id == edition_id and each.holder is not None), None)
        if copy is None:
            raise NotFound("no such copy")
        if copy.withdrawn_at is not None:
            raise Conflict(sentence=Sentence("This copy has been withdrawn already."))
        award_acts.withdraw_editions(session, award, now, only=copy.id)
        actor = audit.person(who.person_id)
        audit.record(session, now, actor, "award.copy_withdrawn", f"award:{award.id}", credential=copy.id)


def _end_offers(session: Session, award_id: str) -> None:
    """End an award's offers, open ones and tokens alike, also for whoever came a moment ago and is being answered."""
    of_award = WalletOffer.award_id == award_id
    tokens = update(WalletOffer).where(of_award, WalletOffer.token_hash.is_not(None))
    session.execute(tokens.values(token_hash=None, token_expires_at=None))
    unused = update(WalletOffer).where(of_award, WalletOffer.used_at.is_(None))
    session.execute(unused.values(expires_at=WalletOffer.created_at))


# -- what wallets ask for ---------------------------------------------------------------------------------------


def credential_offer(tool: Tool, address: str, now: datetime) -> dict[str, Any]:
    """Return the Credential Offer at an address; raises NotFound for one that is over, used or was never made."""
    with tool.db.read() as session:
        offer = _open_offer(tool, session, WalletOffer.address_hash == digest(address), now)
        grant: dict[str, Any] = {"pre-authorized_code": code_of(address)}
        if offer.pin_hash is not None:
            told = _("The digits stand on the page that shows the code.")
            grant["tx_code"] = {"input_mode": "numeric", "length": DIGITS, "description": told}
        return {
            "credential_issuer": tool.settings.base_url,
            "credential_configuration_ids": offer.configurations,
            "grants": {PRE_AUTHORIZED: grant},
        }


def open_exchange(tool: Tool, session: Session, exchange: str, now: datetime) -> WalletOffer:
    """Return the offer that the Learner Credential Wallet has an address of; raises NotFound as above."""
    return _open_offer(tool, session, WalletOffer.exchange_hash == digest(exchange), now)


def _open_offer(tool: Tool, session: Session, which: Any, now: datetime) -> WalletOffer:
    offer = session.scalar(select(WalletOffer).where(which).options(_with_award()))
    if offer is None or offer.used_at is not None or offer.expires_at <= now or offer.tries >= MOST_TRIES:
        raise NotFound("no such offer")
    if not fits_a_wallet(tool, offer.award, now):
        raise NotFound("the award is not in force")
    return offer


def _with_award() -> Any:
    award = joinedload(WalletOffer.award)
    return award.joinedload(Award.version).joinedload(AchievementVersion.achievement)


def use(session: Session, offer: WalletOffer, now: datetime) -> bool:
    """Use an offer up; False where it is over, or somebody else was quicker: only one UPDATE finds it unused."""
    unused = (WalletOffer.id == offer.id, WalletOffer.used_at.is_(None), WalletOffer.expires_at > now)
    return session.scalar(update(WalletOffer).where(*unused).values(used_at=now).returning(WalletOffer.id)) is not None


def redeem(tool: Tool, code: str, pin: str | None, asked: str | None, now: datetime) -> dict[str, Any]:
    """Give an access token for a pre-authorised code and return the token response; the code works once.

    `asked` is the request's `authorization_details`. Raises WalletRefused with the codes of section 6.3; a wrong
    transaction code counts, and the fifth one ends the offer."""
    token = secrets.token_urlsafe(32)
    with tool.db.write() as session:
        query = select(WalletOffer).where(WalletOffer.code_hash == digest(code)).options(_with_award())
        offer = session.scalar(query.with_for_update(of=WalletOffer))
        over = offer is None or offer.used_at is not None or offer.expires_at <= now or offer.tries >= MOST_TRIES
        if offer is None or over or not fits_a_wallet(tool, offer.award, now):
            raise WalletRefused("the pre-authorized code is unknown, used or expired", reason="invalid_grant")
        if (offer.pin_hash is None) != (pin is None):
            raise WalletRefused("a transaction code is " + ("missing" if pin is None else "not expected"))
        details = _details(offer, asked)
        wrong = pin is not None and not hmac.compare_digest(_pin_hash(code, pin), offer.pin_hash or "")
        if wrong:
            offer.tries += 1
            if offer.tries >= MOST_TRIES:
                audit.record(session, now, audit.NOBODY, "award.offer_ended", f"award:{offer.award_id}")
        elif not use(session, offer, now):
            raise WalletRefused("the pre-authorized code is unknown, used or expired", reason="invalid_grant")
        else:
            offer.token_hash, offer.token_expires_at = digest(token), now + TOKEN_LASTS
            if details:
                offer.configurations = [each["credential_configuration_id"] for each in details]
    if wrong:  # after the transaction: that it was tried has to stay
        raise WalletRefused("the transaction code is wrong", reason="invalid_grant")
    response = {"access_token": token, "token_type": "Bearer", "expires_in": int(TOKEN_LASTS.total_seconds())}
    return {**response, "authorization_details": details} if details else response


def credential_identifier(offer: WalletOffer, configuration: str) -> str:
    """Return the name of the one credential of a configuration that an offer's token may ask for."""
    return f"{configuration}.{offer.id}"


def _details(offer: WalletOffer, asked: str | None) -> list[dict[str, Any]]:
    """Return what is granted of the `authorization_details` that were asked for; none asked: none named."""
    if asked is None:
        return []
    try:
        wanted = json.loads(asked)
        names = [each["credential_configuration_id"] for each in wanted if each["type"] == "openid_credential"]
    except (ValueError, TypeError, KeyError, RecursionError):
        names = []
    if not names or any(not isinstance(name, str) or name not in offer.configurations for name in names):
        raise WalletRefused("these details are not offered", reason="invalid_authorization_details")
    return [
        {
            "type": "openid_credential",
            "credential_configuration_id": name,
            "credential_identifiers": [credential_identifier(offer, name)],
        }
        for name in dict.fromkeys(names)
    ]


def of_token(session: Session, token: str, now: datetime, *, locked: bool = False) -> WalletOffer:
    """Return the offer an access token was given for; raises WalletRefused (401) for any other."""
    query = select(WalletOffer).where(WalletOffer.token_hash == digest(token)).options(_with_award())
    if locked:
        query = query.with_for_update(of=WalletOffer)
    offer = session.scalar(query) if token else None
    if offer is None or offer.token_expires_at is None or offer.token_expires_at <= now:
        raise WalletRefused("the access token is unknown or has expired", reason="invalid_token", status=401)
    return offer


def forget_expired(tool: Tool, now: datetime) -> None:
    """Remove offers and nonces whose time is over."""
    with tool.db.write() as session:
        session.execute(delete(WalletOffer).where(WalletOffer.expires_at < now - OFFERS_KEPT))
        session.execute(delete(UsedNonce).where(UsedNonce.expires_at < now))
