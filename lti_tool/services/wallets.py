"""A credential issuer for wallets: what it offers, its nonces, and copies of an award that are bound to a wallet.

OpenID for Verifiable Credential Issuance 1.0: https://openid.net/specs/openid-4-verifiable-credential-issuance-1_0.html
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, joinedload, undefer

from lti_tool.credentials import holder, ob3
from lti_tool.credentials.contexts import CREDENTIAL_CONTEXTS
from lti_tool.credentials.signing import CRYPTOSUITE
from lti_tool.credentials.untrusted import Refused, parsed
from lti_tool.db import repeat_collided
from lti_tool.errors import NotFound, ProofRefused, SecretLost, WalletRefused
from lti_tool.lti.registration import digest
from lti_tool.models import AchievementVersion, Award, Edition, Issuer, UsedNonce, WalletOffer
from lti_tool.services import audit, counting, editions, places, wallet_offers
from lti_tool.services.awards import fits_a_wallet, get_award
from lti_tool.services.issuer import issuer_row, logo_address
from lti_tool.services.tool import Tool
from lti_tool.services.wallet_offers import FORMATS, configuration_id

NONCE_LASTS = timedelta(minutes=5)
MOST_KEYS = 2  # wallets' keys that one offer is bound to: some make a key for each format
MOST_COPIES = 20  # of one award in force: each has a place in a status list for good
LARGEST = 64_000  # bytes of a request

TYPES = ["VerifiableCredential", "OpenBadgeCredential"]

Json = dict[str, Any]


# -- what is offered --------------------------------------------------------------------------------------------


def issuer_metadata(tool: Tool) -> bytes:
    """Return the Credential Issuer Metadata (section 12.2) as JSON; made anew where a badge or the issuer changed."""
    with tool.db.read() as session:
        issuer = issuer_row(session)
        newest = session.scalar(select(func.max(AchievementVersion.id)))
        key = (newest, issuer.name, logo_address(tool, issuer))
        if (found := tool.wallet_metadata.get(key)) is not None:
            return found
        content = json.dumps(_metadata(tool, session, issuer), ensure_ascii=False).encode()
    tool.wallet_metadata.clear()
    tool.wallet_metadata[key] = content
    return content


def _metadata(tool: Tool, session: Session, issuer: Issuer) -> Json:
    """Return each badge in both formats, by its newest version."""
    base = tool.settings.base_url
    newest = select(func.max(AchievementVersion.id)).group_by(AchievementVersion.achievement_id)
    query = (
        select(AchievementVersion)
        .where(AchievementVersion.id.in_(newest))
        .options(joinedload(AchievementVersion.achievement))
        .order_by(AchievementVersion.id)
    )
    display: Json = {"name": issuer.name} if issuer.name else {}
    if logo := logo_address(tool, issuer):
        display["logo"] = {"uri": logo}
    metadata: Json = {
        "credential_issuer": base,
        "credential_endpoint": f"{base}/oid4vci/credential",
        "nonce_endpoint": f"{base}/oid4vci/nonce",
        "credential_configurations_supported": {
            configuration_id(version.achievement.slug, form): _configuration(base, version, form)
            for version in session.scalars(query)
            for form in FORMATS
        },
    }
    return metadata | ({"display": [display]} if display else {})


def _configuration(base: str, version: AchievementVersion, form: str) -> Json:
    """Return one badge in one format. `jwt_vc_json` is the VC-JWT of Open Badges 3.0, whose payload is the credential
    itself: the `vc` claim of VC Data Model 1.1 is not in it (https://www.imsglobal.org/spec/ob/v3p0#jwt-proof)."""
    told = version.definition
    logo = {"uri": f"{ob3.achievement_address(base, version.achievement.slug, version.number)}.png"}
    if alt := (told.get("picture") or {}).get("alt"):
        logo["alt_text"] = alt
    linked: Json = {"@context": list(CREDENTIAL_CONTEXTS)} if form == "ldp_vc" else {}
    return {
        "format": form,
        "credential_definition": {**linked, "type": TYPES},
        "credential_signing_alg_values_supported": [CRYPTOSUITE if form == "ldp_vc" else "RS256"],
        "cryptographic_binding_methods_supported": [*holder.METHODS, "jwk"],
        "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": list(holder.ALGORITHMS)}},
        "credential_metadata": {
            "display": [
                {
                    "name": told["name"],
                    "locale": told.get("language") or "en",
                    "description": told["description"],
                    "logo": logo,
                }
            ]
        },
    }


# -- nonces -----------------------------------------------------------------------------------------------------


def new_nonce(tool: Tool, now: datetime) -> str:
    """Return a fresh c_nonce (section 7). Asking for one writes nothing: it is sealed, and tells its own age."""
    return tool.keyring.seal({"c_nonce": secrets.token_hex(16), "at": now.isoformat()})


def _use_nonce(tool: Tool, session: Session, nonce: str, now: datetime) -> None:
    """Use a nonce up; raises WalletRefused where it is not ours, too old, or was used before.

    What is remembered is what was sealed, not the text: one seal can be spelled in several ways."""
    refused = WalletRefused("the nonce is unknown, used or expired", reason="invalid_nonce")
    try:
        told = tool.keyring.unseal(nonce)
        made_at = datetime.fromisoformat(told["at"])
        value = told["c_nonce"]
    except (SecretLost, KeyError, ValueError):
        raise refused from None
    if not now - NONCE_LASTS < made_at <= now:
        raise refused
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    row = insert(UsedNonce).values(id=digest(value), expires_at=made_at + NONCE_LASTS)
    if session.scalar(row.on_conflict_do_nothing().returning(UsedNonce.id)) is None:
        raise refused


# -- issuing ----------------------------------------------------------------------------------------------------


def credential_response(tool: Tool, token: str, body: bytes, now: datetime) -> bytes:
    """Answer a Credential Request (section 8) as JSON; raises WalletRefused with the codes of section 8.3.1."""
    with tool.db.read() as session:
        offer = wallet_offers.of_token(session, token, now)
        _warm(tool, session, offer.award_id)
    asked = _read(body)
    form = _format(offer, asked)
    proof = holder.check_jwt(_one_proof(asked), audience=tool.settings.base_url, now=now)
    copy = repeat_collided(lambda: _issue(tool, token, proof, form, now))
    content = copy.document if form == "ldp_vc" else json.dumps((copy.jwt or b"").decode()).encode()
    # The signed bytes as they are: "Credentials of this format MUST NOT be re-encoded" (appendix A.1.2.4).
    return b'{"credentials":[{"credential":' + (content or b"") + b"}]}"


def _read(body: bytes) -> Json:
    try:
        return parsed(body.decode())
    except (Refused, UnicodeDecodeError):
        raise WalletRefused("the body is no JSON object", reason="invalid_credential_request") from None


def _format(offer: WalletOffer, asked: Json) -> str:
    """Return the format that is asked for, by exactly one of configuration and identifier."""
    named = [name for name in ("credential_configuration_id", "credential_identifier") if name in asked]
    if len(named) != 1 or not isinstance(asked[named[0]], str):
        raise WalletRefused(
            "exactly one of credential_configuration_id and credential_identifier is needed",
            reason="invalid_credential_request",
        )
    if "credential_response_encryption" in asked:
        raise WalletRefused("responses are not encrypted here", reason="invalid_encryption_parameters")
    (name,) = named
    for configuration in offer.configurations:
        by_identifier = name == "credential_identifier"
        known = wallet_offers.credential_identifier(offer, configuration) if by_identifier else configuration
        if asked[name] == known:
            return str(configuration.rpartition(".")[2])
    kind = "identifier" if name == "credential_identifier" else "configuration"
    raise WalletRefused(f"this credential {kind} was not offered", reason=f"unknown_credential_{kind}")


def _one_proof(asked: Json) -> Any:
    proofs = asked.get("proofs")
    if not isinstance(proofs, dict) or proofs.keys() != {"jwt"} or not isinstance(proofs["jwt"], list):
        raise ProofRefused("proofs has to hold jwt, and nothing else")
    if len(proofs["jwt"]) != 1:
        raise ProofRefused("one proof is taken at a time")
    return proofs["jwt"][0]


def _warm(tool: Tool, session: Session, award_id: str) -> None:
    """Compile what the signature needs before the transaction that makes it: SQLite has one writer."""
    main = session.scalar(
        select(Edition)
        .where(Edition.award_id == award_id, Edition.holder.is_(None))
        .options(joinedload(Edition.award).joinedload(Award.version))
        .order_by(Edition.number.desc())
        .limit(1)
    )
    if main is not None:
        said = editions.endorsement_documents(session, [main])
        facts = editions.edition_facts(main, tool.settings.base_url, said)
        editions.template_for(tool, session, main.award.version).prepare(facts)


def _issue(tool: Tool, token: str, proof: holder.KeyProof, form: str, now: datetime) -> Edition:
    with tool.db.write() as session:
        _use_nonce(tool, session, proof.nonce, now)
        offer = wallet_offers.of_token(session, token, now, locked=True)  # its learner may have ended it meanwhile
        return _give(tool, session, offer, proof.holder, form, now)


def _give(tool: Tool, session: Session, offer: WalletOffer, did: str, form: str, now: datetime) -> Edition:
    """Return the copy of an offer's award for a wallet, and write down that it has it."""
    award = get_award(session, offer.award_id)
    if not fits_a_wallet(tool, award, now):
        raise WalletRefused("the badge is not in force any more", reason="credential_request_denied")
    if did not in offer.holders:
        if len(offer.holders) >= MOST_KEYS:
            raise WalletRefused("the offer was taken with other keys", reason="credential_request_denied")
        offer.holders = [*offer.holders, did]
    copy = _copy(tool, session, award, did, now)
    actor = audit.person(award.person_id)
    audit.record(session, now, actor, "award.added_to_wallet", f"award:{award.id}", credential=copy.id, form=form)
    return copy


# What a copy has for itself. All else is taken over from the award's own edition.
OF_ITS_OWN = frozenset(
    {"id", "number", "salt", "status_list_id", "status_index", "signed_at", "document", "jwt", "withdrawn_at", "holder"}
)


def _copy(tool: Tool, session: Session, award: Award, did: str, now: datetime) -> Edition:
    """Return the award's copy that is bound to a holder: the one there is, or a new one, signed."""
    query = select(Edition).where(Edition.award_id == award.id, Edition.holder == did, Edition.withdrawn_at.is_(None))
    found = session.scalar(query.options(undefer(Edition.document), undefer(Edition.jwt)))
    if found is not None:
        return found
    main = max((each for each in award.editions if each.holder is None), key=lambda each: each.number, default=None)
    if main is None or main.signed_at is None or main.withdrawn_at is not None:
        raise WalletRefused("the badge is not in force any more", reason="credential_request_denied")
    copies = [each for each in award.editions if each.holder is not None]
    if sum(each.withdrawn_at is None for each in copies) >= MOST_COPIES:
        raise WalletRefused("the badge is in as many wallets as it can be", reason="credential_request_denied")
    ((list_id, index),) = places.status_places(session, 1, now)
    names = [column.key for column in Edition.__mapper__.column_attrs if column.key not in OF_ITS_OWN]
    copy = Edition(
        **{name: getattr(main, name) for name in names},
        id=ob3.new_credential_id(),
        number=min((each.number for each in copies), default=0) - 1,
        salt=ob3.new_salt(),
        status_list_id=list_id,
        status_index=index,
        holder=did,
    )
    # What it was made from: a reissue changes the award's own record, and withdraws this copy.
    copy.decision = main.decision or award.decision
    session.add(copy)
    session.flush()
    editions.sign_now(tool, session, copy, now)
    counting.count(session, counting.SHARED, award, now, where="wallet")
    return copy


def exchange(tool: Tool, address: str, body: bytes, now: datetime) -> bytes:
    """Answer the Learner Credential Wallet's request with the credential; raises WalletRefused or NotFound.

    It posts its presentation bare; inside `verifiablePresentation`, as VC-API does, it is taken too."""
    with tool.db.read() as session:
        offer = wallet_offers.open_exchange(tool, session, address, now)
        _warm(tool, session, offer.award_id)
    asked = _read(body)
    challenge, domain = wallet_offers.challenge_of(address), tool.settings.base_url
    presented = asked.get("verifiablePresentation", asked)
    did = holder.check_presentation(presented, challenge=challenge, domain=domain, now=now)
    copy = repeat_collided(lambda: _exchange(tool, offer.id, did, now))
    # The wallet reads HTML entities in what it is sent before it reads JSON (2.2.10: app/lib/parseResponse.ts), so
    # "&amp;" in a badge's words would arrive as "&" and break the signature. Written as \u0026 it means the same.
    return (copy.document or b"").replace(b"&", b"\\u0026")


def _exchange(tool: Tool, offer_id: str, did: str, now: datetime) -> Edition:
    with tool.db.write() as session:
        offer = session.get_one(WalletOffer, offer_id, with_for_update={"of": WalletOffer})
        if not wallet_offers.use(session, offer, now):
            raise NotFound("another wallet was quicker")
        return _give(tool, session, offer, did, "ldp_vc", now)
