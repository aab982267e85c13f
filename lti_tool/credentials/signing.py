"""Sign credentials twice: Data Integrity `eddsa-rdfc-2022` inside the document, and VC-JWT around it.

Ed25519 and RSASSA-PKCS1-v1_5 draw nothing at random: the same document, keys and `created` give the same bytes.
https://www.w3.org/TR/vc-di-eddsa/#eddsa-rdfc-2022 · https://www.imsglobal.org/spec/ob/v3p0#jwt-proof
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from lti_tool.credentials.contexts import canonical_nquads
from lti_tool.errors import CredentialHeldBack
from lti_tool.keyring import Key

CRYPTOSUITE = "eddsa-rdfc-2022"
JWT_ALGORITHMS = {"rsa": "RS256", "ed25519": "EdDSA"}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_PAIRS = [high + low for high in BASE58 for low in BASE58]
PROOF = b',"proof":'
ED25519_PUBLIC = b"\xed\x01"  # multicodec, https://www.w3.org/TR/cid-1.0/#Multikey

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signed:
    """One edition in both forms: the JSON with its proof inside (UTF-8, as signed), and the compact JWS."""

    document: bytes
    jwt: str


def sign(credential: Json, *, ed25519: Key, rsa: Key, created: datetime) -> Signed:
    """Sign an unsigned credential in both forms; the general way, about 15 ms. `created` is the proof's time.

    Raises CredentialHeldBack for a document a strict verifier would refuse."""
    text = compact(credential).encode()
    digest = hashlib.sha256(canonical_nquads(credential).encode()).digest()
    return Signed(data_integrity(credential, text, digest, ed25519, created), vc_jwt(credential, text, rsa))


def sign_document(document: Json, *, ed25519: Key, created: datetime) -> bytes:
    """Sign any credential (a status list, say) with Data Integrity alone."""
    digest = hashlib.sha256(canonical_nquads(document).encode()).digest()
    return data_integrity(document, compact(document).encode(), digest, ed25519, created)


def data_integrity(document: Json, text: bytes | str, digest: bytes, key: Key, created: datetime) -> bytes:
    """Return `text`, the compact JSON of `document`, with its proof as last member.

    `digest` is the SHA-256 of the document's canonical N-Quads."""
    proof = _proof_text(tuple(document["@context"]), f"{_issuer(document)}#{key.kid}")
    moment = _whole_second(created)
    signature = _signature(proof.digest(moment) + digest, key)
    written = proof.json(moment, base58_multibase(signature))
    return b"".join((_utf8(text)[:-1], PROOF, written.encode(), b"}"))


def signed_with(document: bytes) -> str:
    """Return the kid of the key that made a signed document's proof."""
    method: str = json.loads(document)["proof"]["verificationMethod"]
    return method.rpartition("#")[2]


def jwt_of_document(document: bytes, key: Key) -> str:
    """Return a signed document as VC-JWT of another key: the same credential, without its proof."""
    credential = json.loads(document)
    end = b"".join((PROOF, compact(credential.pop("proof")).encode(), b"}"))
    # As `data_integrity` has written it: writing it anew would take half as long as the signature.
    text = document[: -len(end)] + b"}" if document.endswith(end) else compact(credential).encode()
    return vc_jwt(credential, text, key)


def vc_jwt(credential: Json, text: bytes | str, key: Key) -> str:
    """Return the VC-JWT around `text`, the compact JSON of `credential`: RS256 or EdDSA, as the key is.

    Its `kid` is the address that answers the bare JWK; the header holds alg, kid and typ only."""
    base_url = "{0.scheme}://{0.netloc}".format(urlsplit(credential["id"]))
    claims: Json = {
        "iss": _issuer(credential),
        "jti": credential["id"],
        "nbf": _seconds(credential["validFrom"]),
        "sub": credential["credentialSubject"]["id"],
    }
    if "validUntil" in credential:
        claims["exp"] = _seconds(credential["validUntil"])
    payload = b"".join((_utf8(text)[:-1], b",", compact(claims)[1:].encode()))
    signed = f"{_jwt_header(base_url, key.kid, key.kind)}.{base64url(payload)}"
    return f"{signed}.{base64url(_signature(signed.encode(), key))}"


_PADDING, _HASHED = padding.PKCS1v15(), Prehashed(hashes.SHA256())


def _signature(signed: bytes, key: Key) -> bytes:
    """Sign with a key of either kind.

    What leaves the house has been checked with the public key: a flipped bit stops here, not at an employer."""
    signature: bytes
    try:
        if key.kind == "ed25519":
            signature = key.private.sign(signed)
            _public_half(key.private).verify(signature, signed)
        else:
            # Hashed once for both: of 23 kB that is as much work as checking the signature.
            digest = hashlib.sha256(signed).digest()
            signature = key.private.sign(digest, _PADDING, _HASHED)
            _public_half(key.private).verify(signature, digest, _PADDING, _HASHED)
    except InvalidSignature:
        raise CredentialHeldBack("the signature does not verify") from None
    return signature


@functools.lru_cache(maxsize=64)
def _public_half(private: Any) -> Any:
    return private.public_key()


def verify_proof(document: Json, public: Ed25519PublicKey) -> bool:
    """Tell whether a document's one `eddsa-rdfc-2022` proof was made with a key, over exactly this document.

    False for no proof, several, another suite, or a proofPurpose other than assertionMethod."""
    proof = document.get("proof")
    if isinstance(proof, list) and len(proof) == 1:
        proof = proof[0]
    if not isinstance(proof, dict):
        return False
    expected = {"type": "DataIntegrityProof", "cryptosuite": CRYPTOSUITE, "proofPurpose": "assertionMethod"}
    if any(proof.get(member) != value for member, value in expected.items()):
        return False
    unsigned = {member: value for member, value in document.items() if member != "proof"}
    options = {member: value for member, value in proof.items() if member not in ("proofValue", "@context")}
    try:
        signature = base58_bytes(proof["proofValue"])
        config = {"@context": document["@context"], **options}
        digest = hashlib.sha256(canonical_nquads(unsigned).encode()).digest()
        public.verify(signature, hashlib.sha256(canonical_nquads(config).encode()).digest() + digest)
    except (InvalidSignature, CredentialHeldBack, KeyError, ValueError):
        return False
    return True


def proof_options(verification_method: str, created: datetime) -> Json:
    """Return a proof without its value. `created` is written in whole seconds, UTC."""
    return {
        "type": "DataIntegrityProof",
        "cryptosuite": CRYPTOSUITE,
        "created": _whole_second(created),
        "verificationMethod": verification_method,
        "proofPurpose": "assertionMethod",
    }


def proof_digest(contexts: list[str], options: Json) -> bytes:
    """Return the SHA-256 of the canonical proof configuration, which takes the document's contexts."""
    return _proof_text(tuple(contexts), options["verificationMethod"]).digest(options["created"])


@functools.lru_cache(maxsize=256)
def _whole_second(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


class _ProofText(NamedTuple):
    """A key's proof around the time: nothing else in it differs, but for the signature in its JSON."""

    canonical: tuple[str, str]
    before: str
    between: str
    after: str

    def digest(self, created: str) -> bytes:
        return hashlib.sha256(created.join(self.canonical).encode()).digest()

    def json(self, created: str, value: str) -> str:
        return f"{self.before}{created}{self.between}{value}{self.after}"


@functools.lru_cache(maxsize=64)
def _proof_text(contexts: tuple[str, ...], verification_method: str) -> _ProofText:
    place, value = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "z9999"
    options = proof_options(verification_method, place)
    before, after = canonical_nquads({"@context": list(contexts), **options}).split(options["created"])
    start, rest = compact({**options, "proofValue": value}).split(options["created"])
    between, end = rest.rsplit(value, 1)
    return _ProofText((before, after), start, between, end)


@functools.lru_cache(maxsize=64)
def _jwt_header(base_url: str, kid: str, kind: str) -> str:
    return base64url(compact({"alg": JWT_ALGORITHMS[kind], "kid": f"{base_url}/keys/{kid}", "typ": "JWT"}).encode())


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def compact(value: Any) -> str:
    """Write JSON without spaces, members in their order, characters as they are."""
    return _ENCODER.encode(value)


def _utf8(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def multikey(public: Ed25519PublicKey) -> str:
    """Return a key's `publicKeyMultibase`."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base58_multibase(ED25519_PUBLIC + raw)


def key_of_multikey(text: str) -> Ed25519PublicKey:
    """Read a `publicKeyMultibase`; ValueError for anything but an Ed25519 key."""
    raw = base58_bytes(text)
    if raw[:2] != ED25519_PUBLIC or len(raw) != 34:
        raise ValueError("not an Ed25519 Multikey")
    return Ed25519PublicKey.from_public_bytes(raw[2:])


def base58_multibase(raw: bytes) -> str:
    """Write bytes in multibase base58-btc, prefix z (https://www.w3.org/TR/cid-1.0/#multibase-0)."""
    number = int.from_bytes(raw, "big")
    digits: list[str] = []
    pairs = _BASE58_PAIRS
    while number:  # eight digits at a time: dividing the long number costs several times what the rest does
        number, eight = divmod(number, 58**8)
        high, low = divmod(eight, 58**4)
        digits.append(pairs[high // 58**2] + pairs[high % 58**2] + pairs[low // 58**2] + pairs[low % 58**2])
    digits.reverse()
    text = "".join(digits).lstrip(BASE58[0])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "z" + BASE58[0] * zeros + text


def base58_bytes(text: str) -> bytes:
    """Read multibase base58-btc of at most 128 characters; ValueError for anything else."""
    if not isinstance(text, str) or not text.startswith("z") or len(text) > 128 or set(text[1:]) - set(BASE58):
        raise ValueError("not multibase base58-btc")
    digits = text[1:]
    number = 0
    for digit in digits:
        number = number * 58 + BASE58.index(digit)
    zeros = len(digits) - len(digits.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base64url(raw: bytes) -> str:
    encoded = binascii.b2a_base64(raw, newline=False).rstrip(b"=")
    # Not translated: that walks over every byte, and of ASCII text only >, ? and ~ give one of these.
    return encoded.replace(b"+", b"-").replace(b"/", b"_").decode()


def _issuer(document: Json) -> str:
    issuer = document["issuer"]
    identifier: str = issuer if isinstance(issuer, str) else issuer["id"]
    return identifier


def _seconds(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp())
