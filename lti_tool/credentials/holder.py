"""Who a wallet is: a DID that is itself a public key, and the proofs that the wallet holds the private one.

Two proofs are read: OpenID4VCI's `jwt` (https://openid.net/specs/openid-4-verifiable-credential-issuance-1_0.html,
appendix F.1), and a signed, empty presentation, which is how the Learner Credential Wallet answers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lti_tool.credentials.contexts import canonical_nquads, canonical_of_nquads, escaped, is_iri
from lti_tool.credentials.signing import CRYPTOSUITE, base58_bytes, base64url
from lti_tool.credentials.untrusted import Refused, base64url_bytes, parsed
from lti_tool.errors import CredentialHeldBack, ProofRefused

TYPE = "openid4vci-proof+jwt"
ALGORITHMS = ("EdDSA", "ES256")
METHODS = ("did:key", "did:jwk")
LONGEST_PROOF = 8_000  # characters; one with a did:jwk as key id has 900
LONGEST_DID = 1_000
LEEWAY = timedelta(minutes=5)  # between a phone's clock and ours; a proof's freshness comes from its nonce
OLDEST = timedelta(minutes=15)

# https://github.com/multiformats/multicodec/blob/master/table.csv: ed25519-pub, p256-pub (as varints)
CODES = {b"\xed\x01": "Ed25519", b"\x80\x24": "P-256"}
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

V1, V2 = "https://www.w3.org/2018/credentials/v1", "https://www.w3.org/ns/credentials/v2"
SUITE_2020 = "https://w3id.org/security/suites/ed25519-2020/v1"
SECURITY = "https://w3id.org/security#"
CREDENTIALS = "https://www.w3.org/2018/credentials#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyProof:
    """A proof that holds: whose key it is, and the nonce it was made with (not looked at yet)."""

    holder: str
    nonce: str


# -- DIDs that are keys -----------------------------------------------------------------------------------------


def key_of_did(did: str) -> PublicKey:
    """Return the key that a did:key or did:jwk is; raises ProofRefused for any other, and for another spelling."""
    if len(did) > LONGEST_DID:
        raise ProofRefused("the DID is too long")
    if did.startswith("did:key:z"):
        return _multikey(did.removeprefix("did:key:"))
    if did.startswith("did:jwk:"):
        try:
            return key_of_jwk(parsed(base64url_bytes(did.removeprefix("did:jwk:")).decode()))
        except (ValueError, Refused):
            raise ProofRefused("the did:jwk cannot be read") from None
    raise ProofRefused(f"a DID of another kind than {' and '.join(METHODS)}")


def _multikey(text: str) -> PublicKey:
    try:
        raw = base58_bytes(text)
        curve = CODES.get(raw[:2])
        if curve == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(raw[2:])
        if curve == "P-256" and len(raw) == 35:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw[2:])
    except ValueError:
        pass
    raise ProofRefused("the did:key is no Ed25519 or P-256 key")


def key_of_jwk(jwk: Json) -> PublicKey:
    """Return the key of a public JWK, Ed25519 or P-256; raises ProofRefused, for one with a private part above all."""
    if PRIVATE & jwk.keys():
        raise ProofRefused("the jwk holds a private key")
    try:
        x = base64url_bytes(str(jwk["x"]))
        if (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"):
            return ed25519.Ed25519PublicKey.from_public_bytes(x)
        if (jwk["kty"], jwk["crv"]) == ("EC", "P-256"):
            y = base64url_bytes(str(jwk["y"]))
            if len(x) == len(y) == 32:
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    except (KeyError, ValueError):
        pass
    raise ProofRefused("the jwk is no Ed25519 or P-256 key")


def did_jwk(key: PublicKey) -> str:
    """Return a key as did:jwk, always in one spelling: the members a key needs, in order.

    https://github.com/quartzjer/did-jwk/blob/main/spec.md"""
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": base64url(raw)}
    else:
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        members = {"crv": "P-256", "kty": "EC", "x": base64url(point[1:33]), "y": base64url(point[33:])}
    return "did:jwk:" + base64url(json.dumps(members, separators=(",", ":")).encode())


# -- OpenID4VCI's proof -----------------------------------------------------------------------------------------


def check_jwt(proof: Any, *, audience: str, now: datetime) -> KeyProof:
    """Check a key proof of type `jwt`; raises ProofRefused saying what is wrong, in ASCII.

    Appendix F.4 of the specification, all of it but the nonce: whether that is ours, and new, the caller decides.
    `iss` is not looked at: there is no client id here that it could name."""
    if not isinstance(proof, str) or len(proof) > LONGEST_PROOF or proof.count(".") != 2:
        raise ProofRefused("the proof is no compact JWT")
    header = _part(proof.split(".")[0], "header")
    if header.get("typ") != TYPE:
        raise ProofRefused(f"typ is not {TYPE}")
    if header.get("alg") not in ALGORITHMS:
        raise ProofRefused(f"alg is not one of {', '.join(ALGORITHMS)}")
    if "crit" in header:
        raise ProofRefused("crit names what is not understood here")
    holder, key = _named(header)
    wanted = "EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"
    if header["alg"] != wanted:
        raise ProofRefused("alg does not go with the key")
    try:
        jwt.api_jws.decode(proof, key, algorithms=[wanted])
    except jwt.PyJWTError:
        raise ProofRefused("the signature is not made with the key in the header") from None
    claims = _part(proof.split(".")[1], "payload")
    if claims.get("aud") != audience:
        raise ProofRefused("aud is not this credential issuer")
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not nonce:
        raise ProofRefused("there is no nonce")
    return KeyProof(holder, nonce)


def _part(text: str, name: str) -> Json:
    try:
        return parsed(base64url_bytes(text).decode())
    except (ValueError, Refused):
        raise ProofRefused(f"the {name} cannot be read") from None


def _named(header: Json) -> tuple[str, PublicKey]:
    """Return the holder's DID and key, by the one of `kid` and `jwk` that the header has."""
    if "x5c" in header or ("kid" in header) == ("jwk" in header):
        raise ProofRefused("the key is named by exactly one of kid and jwk")
    if "jwk" in header:
        if not isinstance(header["jwk"], dict):
            raise ProofRefused("the jwk is no object")
        key = key_of_jwk(header["jwk"])
        return did_jwk(key), key
    kid = header["kid"]
    if not isinstance(kid, str):
        raise ProofRefused("the kid is no text")
    return _key_in(kid)


def _key_in(kid: str) -> tuple[str, PublicKey]:
    """Return DID and key of a key id: the DID alone, or with the one fragment that such a DID has."""
    did, _, fragment = kid.partition("#")
    key = key_of_did(did)
    if fragment not in ("", did.removeprefix("did:key:") if did.startswith("did:key:") else "0"):
        raise ProofRefused("the kid names a key that its DID does not have")
    return did, key


def _check_times(claims: Json, now: datetime) -> None:
    moments = {name: claims[name] for name in ("iat", "nbf", "exp") if name in claims}
    for name, value in moments.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ProofRefused(f"{name} is no number")
    at = now.timestamp()
    leeway = LEEWAY.total_seconds()
    if "iat" not in moments:
        raise ProofRefused("there is no iat")
    if not at - OLDEST.total_seconds() <= moments["iat"] <= at + leeway:
        raise ProofRefused("iat is too far from the issuer's clock")
    if moments.get("nbf", at) > at + leeway or moments.get("exp", at) < at - leeway:
        raise ProofRefused("the proof is not valid at this time")


# -- a signed presentation --------------------------------------------------------------------------------------


def check_presentation(presentation: Any, *, challenge: str, domain: str, now: datetime) -> str:
    """Return the DID of whoever signed an empty presentation with this challenge; raises ProofRefused.

    The Learner Credential Wallet (2.2.10: app/lib/present.ts) signs `{@context, type, holder}` with
    Ed25519Signature2020, whose context is not among the pinned ones. A presentation that says nothing else has one
    canonical form, so it is written down here rather than worked out; one that says more is refused. A proof of type
    `eddsa-rdfc-2022` is taken too. `domain` is left out by the wallet; where it stands, it has to be ours."""
    if not isinstance(presentation, dict) or not isinstance(presentation.get("proof"), dict):
        raise ProofRefused("there is no presentation with one proof")
    proof: Json = presentation["proof"]
    document = {member: value for member, value in presentation.items() if member != "proof"}
    if document.keys() - {"@context", "id", "type", "holder"}:
        raise ProofRefused("the presentation says more than who its holder is")
    if document.get("type") not in ("VerifiablePresentation", ["VerifiablePresentation"]):
        raise ProofRefused("it is no presentation")
    if proof.get("proofPurpose") != "authentication":
        raise ProofRefused("the proof was made for something else than to authenticate")
    if proof.get("challenge") != challenge:
        raise ProofRefused("the challenge is another one")
    if "domain" in proof and proof["domain"] not in (domain, urlsplit(domain).netloc):
        raise ProofRefused("the domain is another one")
    method = proof.get("verificationMethod")
    if not isinstance(method, str):
        raise ProofRefused("the proof names no key")
    holder, key = _key_in(method)
    if document.get("holder", holder) != holder:
        raise ProofRefused("the holder is not who signed")
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ProofRefused("the key is no Ed25519 key")
    _check_created(proof, now)
    try:
        key.verify(base58_bytes(proof.get("proofValue", "")), _signed_bytes(document, proof))
    except (InvalidSignature, ValueError, CredentialHeldBack):
        raise ProofRefused("the signature is not made with the key that the proof names") from None
    return holder


def _check_created(proof: Json, now: datetime) -> None:
    try:
        created = datetime.fromisoformat(proof["created"])
        near = now - OLDEST <= created <= now + LEEWAY
    except (KeyError, TypeError, ValueError):  # a moment without a zone cannot be compared, either
        raise ProofRefused("the proof does not say when it was made") from None
    if not near:
        raise ProofRefused("the proof was made at another time")


def _signed_bytes(document: Json, proof: Json) -> bytes:
    """Return the two digests a proof is over; raises ProofRefused for a suite or shape that is not known here."""
    contexts = document.get("@context")
    options = {member: value for member, value in proof.items() if member != "proofValue"}
    if proof.get("type") == "DataIntegrityProof" and proof.get("cryptosuite") == CRYPTOSUITE:
        if contexts not in (V2, [V2]):
            raise ProofRefused("the presentation has a context that is not known here")
        texts = canonical_nquads({"@context": contexts, **options}), canonical_nquads(document)
    elif proof.get("type") == "Ed25519Signature2020":
        if contexts not in ([V1, SUITE_2020], [V2, SUITE_2020]):
            raise ProofRefused("the presentation has a context that is not known here")
        texts = _options_2020(options), _presentation(document)
    else:
        raise ProofRefused("the proof is of a type that is not known here")
    return b"".join(hashlib.sha256(text.encode()).digest() for text in texts)


def _presentation(document: Json) -> str:
    """Return the canonical N-Quads of a presentation that names its holder and nothing else."""
    name = document.get("id")
    if name is not None and not (isinstance(name, str) and is_iri(name)):
        raise ProofRefused("the presentation's id is no address")
    subject = f"<{name}>" if name is not None else "_:p"
    lines = [f"{subject} <{RDF_TYPE}> <{CREDENTIALS}VerifiablePresentation> ."]
    if "holder" in document:
        lines.append(f"{subject} <{CREDENTIALS}holder> <{document['holder']}> .")
    return canonical_of_nquads("\n".join(lines) + "\n")


def _options_2020(options: Json) -> str:
    """Return the canonical N-Quads of an Ed25519Signature2020 without its value."""
    known = {"type", "created", "verificationMethod", "proofPurpose", "challenge", "domain"}
    if options.keys() - known or not all(isinstance(options[name], str) for name in options):
        raise ProofRefused("the proof says more than is known here")
    date_time = "http://www.w3.org/2001/XMLSchema#dateTime"
    lines = [
        f'_:o <http://purl.org/dc/terms/created> "{escaped(options["created"])}"^^<{date_time}> .',
        f"_:o <{RDF_TYPE}> <{SECURITY}Ed25519Signature2020> .",
        f"_:o <{SECURITY}proofPurpose> <{SECURITY}authenticationMethod> .",
        f"_:o <{SECURITY}verificationMethod> <{options['verificationMethod']}> .",
    ]
    told = [name for name in ("challenge", "domain") if name in options]
    lines += [f'_:o <{SECURITY}{name}> "{escaped(options[name])}" .' for name in told]
    return canonical_of_nquads("\n".join(lines) + "\n")
