"""Was it changed after signing, and does the key belong to the issuer? Proofs within the document, and tokens."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from lti_tool.credentials import contexts
from lti_tool.credentials.checking.found import RECORD, Found
from lti_tool.credentials.checking.issuer import is_own
from lti_tool.credentials.checking.structure import linked_data
from lti_tool.credentials.issuer_keys import Method, Own, PublicKey, issuers_key
from lti_tool.credentials.untrusted import (
    Fetch,
    Json,
    Refused,
    Unknown,
    as_list,
    base58_bytes,
    base64url_bytes,
    begins,
    moment,
    objects,
)
from lti_tool.sentence import Sentence

MOST_LOOKALIKES = 10
MOST_LOOKALIKES_OF_A_SET = 60  # one learner's name in each credential of her record
MOST_PROOFS = 2  # an old one beside a new one

ALGORITHMS = ("RS256", "EdDSA", "ES256")
OTHER_ALGORITHMS = frozenset(
    ["RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed25519", "Ed448"]
)
BLANK_NODE = re.compile(r"(?:^|(?<= ))_:\S+")

# Cryptosuite → how the document is made canonical and what kind of key signs it. `Ed25519Signature2020` is a type of
# its own from before Data Integrity, and works as eddsa-rdfc-2022 does.
# https://www.w3.org/TR/vc-di-eddsa/ · https://www.w3.org/TR/vc-di-ecdsa/ · https://w3c.github.io/vc-di-eddsa/
RDF, JCS = "rdf", "jcs"
SUITES: dict[str, tuple[str, type[PublicKey]]] = {
    "eddsa-rdfc-2022": (RDF, ed25519.Ed25519PublicKey),
    "eddsa-jcs-2022": (JCS, ed25519.Ed25519PublicKey),
    "ecdsa-rdfc-2019": (RDF, ec.EllipticCurvePublicKey),
    "ecdsa-jcs-2019": (JCS, ec.EllipticCurvePublicKey),
    "Ed25519Signature2020": (RDF, ed25519.Ed25519PublicKey),
}


def unchanged(found: Found, methods: list[Method], own: Own | None) -> str:
    if found.header is None:
        _check_proof_form(found.document)
    if not methods:
        raise Unknown(Sentence("Without a key of the issuer this cannot be told."))
    good = token_fits(found, methods[0].key) if found.header is not None else _proofs_fit(found, methods)
    if not good:
        if is_own(found.document, own):
            raise Refused(Sentence("Yes, or it was not issued by us: our key does not fit what it says."))
        raise Refused(Sentence("Yes. The signature does not fit what it says now."))
    return Sentence("No. The signature fits every word.")


def _suite(proof: Json) -> str:
    """Return the name of a proof's suite; raises Unknown for one that cannot be checked here."""
    suite = proof.get("cryptosuite") if proof.get("type") == "DataIntegrityProof" else proof.get("type")
    if not isinstance(suite, str) or suite not in SUITES:
        if isinstance(suite, str) and suite.strip():
            raise Unknown(Sentence("It is signed in a way that is not known here (%(suite)s).", suite=suite[:60]))
        raise Unknown(Sentence("It is signed in a way that is not known here."))
    return suite


def _check_proof_form(document: Json) -> None:
    proofs = objects(document.get("proof"))
    if not proofs:
        raise Refused(Sentence("It is not signed, so nobody can tell."))
    if len(as_list(document["proof"])) > MOST_PROOFS:
        raise Refused(Sentence("It carries more signatures than any credential needs."))
    if len(as_list(document["proof"])) > len(proofs):
        raise Refused(Sentence("Its signature is not complete."))
    for proof in proofs:
        _suite(proof)
        if not isinstance(proof.get("proofValue"), str) or not isinstance(proof.get("verificationMethod"), str):
            raise Refused(Sentence("Its signature is not complete."))
        if {"previousProof", "domain", "challenge"} & set(proof):
            raise Unknown(Sentence("Its signature depends on something that is not in it."))


def _proofs_fit(found: Found, methods: list[Method]) -> bool:
    """Verify every proof (https://www.w3.org/TR/vc-di-eddsa/#verify-proof-eddsa-rdfc-2022)."""
    document = found.document
    unsecured = {name: value for name, value in document.items() if name != "proof"}
    most = MOST_LOOKALIKES_OF_A_SET if found.kind == RECORD else MOST_LOOKALIKES
    ways: dict[str, Callable[[Json], bytes]] = {RDF: lambda one: _canonical(one, most), JCS: _canonical_json}
    hashed: dict[str, bytes] = {}
    for proof, method in zip(objects(document["proof"]), methods, strict=True):
        way, kind = SUITES[_suite(proof)]
        options = {name: value for name, value in proof.items() if name != "proofValue"}
        if "@context" in options and options["@context"] != document["@context"]:
            return False
        if way == RDF:
            options["@context"] = document["@context"]
        if way not in hashed:
            hashed[way] = hashlib.sha256(ways[way](unsecured)).digest()
        value = proof["proofValue"]
        signature = base58_bytes(value[1:]) if value[:1] == "z" else None
        if signature is None or not isinstance(method.key, kind):
            return False
        if not _fits(method.key, signature, hashlib.sha256(ways[way](options)).digest() + hashed[way]):
            return False
    return True


def _canonical(document: Json, most: int) -> bytes:
    """Canonicalise a stranger's document (https://www.w3.org/TR/rdf-canon/), refusing what would take for ever."""
    nquads = linked_data(contexts.nquads, document)
    if _lookalikes(nquads) > most:
        raise Unknown(
            Sentence("It repeats the same parts so often that the signature cannot be checked in reasonable time.")
        )
    try:
        return contexts.canonical_of_nquads(nquads).encode()
    except (ValueError, SyntaxError) as error:
        raise Refused(Sentence("It is JSON, but not the linked data that Open Badges 3.0 is written in.")) from error


def _canonical_json(document: Json) -> bytes:
    """Return the canonical JSON (https://www.rfc-editor.org/rfc/rfc8785)."""
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:  # a number that no other reader need hold
        raise Refused(Sentence("No. It begins like JSON but is not well formed.")) from error


def _lookalikes(nquads: str) -> int:
    """Count the blank nodes whose own statements equal another's (their first-degree hash).

    Only these take the canonicalisation's costly path, which tries their orders. With `check_words` every blank node
    hangs on one parent, so ten of them stay cheap."""
    about: dict[str, list[str]] = {}
    for line in nquads.split("\n"):
        for label in set(BLANK_NODE.findall(line)):
            about.setdefault(label, []).append(BLANK_NODE.sub(partial(_seen_from, label), line))
    shapes = Counter("\n".join(sorted(lines)) for lines in about.values())
    return sum(count for count in shapes.values() if count > 1)


def _seen_from(own: str, found: re.Match[str]) -> str:
    return "_:a" if found[0] == own else "_:z"


def token_fits(found: Found, key: PublicKey) -> bool:
    """Verify a compact JWS with the method its header names, which must be that of the key."""
    algorithm = (found.header or {}).get("alg")
    signed, _, signature_text = found.token.rpartition(".")
    kinds: dict[object, type[PublicKey]] = {
        "RS256": rsa.RSAPublicKey,
        "EdDSA": ed25519.Ed25519PublicKey,
        "ES256": ec.EllipticCurvePublicKey,
    }
    if algorithm not in ALGORITHMS or not isinstance(key, kinds[algorithm]):
        return False
    try:
        return _fits(key, base64url_bytes(signature_text), signed.encode())
    except ValueError:
        return False


def _fits(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    """Verify a signature: RSASSA-PKCS1-v1_5 with SHA-256, Ed25519, or ECDSA on P-256 with SHA-256 as 64 bytes."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif len(signature) == 64:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


# -- the issuer's key -------------------------------------------------------------------------------------------


def key_of_issuer(found: Found, fetch: Fetch, own: Own | None, now: datetime, methods: list[Method]) -> str:
    """Find the key that each signature names among the issuer's, and add it to `methods`."""
    issuer = found.document["issuer"]["id"]
    if found.header is not None:
        named = [(_key_name(found.header), moment(begins(found.document)))]
    else:
        _check_proof_form(found.document)
        proofs = objects(found.document["proof"])
        if any(proof.get("proofPurpose") != "assertionMethod" for proof in proofs):
            raise Refused(Sentence("No. The signature was made for another purpose than issuing."))
        named = [(proof["verificationMethod"], moment(proof.get("created"))) for proof in proofs]
    resolved = [issuers_key(name, issuer, fetch, own) for name, _ in named]
    for method, (_, signed_at) in zip(resolved, named, strict=True):
        if method.revoked and method.revoked <= now:
            raise Refused(Sentence("No. The issuer has withdrawn this key."))
        if method.expires and (signed_at or now) > method.expires:
            raise Refused(Sentence("No. The key's time had run out when it was used."))
    methods.extend(resolved)
    return Sentence("Yes. %(where)s", where=resolved[0].where)


def _key_name(header: Json) -> str | Json:
    """Return the key that a token names: an address, or a key of its own to be looked for among the issuer's.

    `jku` and `x5u`, addresses of keys that anybody could have written there, are never looked at."""
    algorithm = header.get("alg")
    if isinstance(algorithm, str) and algorithm in OTHER_ALGORITHMS:
        raise Unknown(Sentence("It is signed in a way that is not known here (%(suite)s).", suite=algorithm))
    if algorithm not in ALGORITHMS:
        raise Refused(Sentence("No. The token is not signed with a method that can be trusted."))
    if "crit" in header or "b64" in header:
        raise Unknown(Sentence("The token asks for something that is not known here."))
    if isinstance(header.get("kid"), str):
        return str(header["kid"])
    if isinstance(header.get("jwk"), dict):
        return dict(header["jwk"])
    raise Refused(Sentence("No. The token does not say which key signed it."))
